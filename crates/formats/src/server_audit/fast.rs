//! The common lines, fast: what most of a log consists of, read without a guess and without a pass
//! over the line for each of its fields.
//!
//! A line is taken here only where no other reading of it is possible:
//!
//! ```text
//! 20260314 09:26:53,db1,app,10.0.0.7,42,0,CONNECT,shop,,0        exactly nine commas: each is a separator
//! 20260314 09:26:53,db1,app,10.0.0.7,42,977,READ,shop,orders,    the same, and nothing after the last
//! 20260314 09:26:53,db1,app,10.0.0.7,42,977,QUERY,shop,'…',0     the object holds no bare quote up to the last
//! ```
//!
//! Stamp and server are compared with those of the line before; user to operation lie in the 64 bytes
//! that follow, the rest of a connection record in 64 more, whose commas are found at once. Everything
//! else is left to `careful`, and what is taken here `careful` reads the same way (tested).

use super::shape::NAMES_BYTES_MAX;
use crate::event::{
    BLOCK_RECORDS_MAX, Event, Kind, Peer, RECORD_BYTES_MAX, Record, Sink, Span, Stamp,
};
use crate::mask::{self, Masks, is_host_byte};
use crate::stamp;

/// A line is looked at here only with this many bytes from its start on, so that no load runs past
/// the end: stamp and server, the rest of the header, a block of 64 that begins at its end.
const LOOKAHEAD: usize = PREFIX_MAX + HEADER_MAX + 64;

/// User to operation with the comma behind it: 64 bytes hold most, 128 what resolvers make of cloud
/// addresses. Longer ones are left to `careful`.
const HEADER_MAX: usize = 128;

/// Stamp and server with the comma behind it, less one. Longer server names are left to `careful`.
const PREFIX_MAX: usize = 64;

/// The stamp's length in bytes.
const STAMP: usize = 17;

/// What the last line began with: `20260314 09:26:53,db1,`.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    prefix: [u8; PREFIX_MAX],
    /// Its length; 0 while none is known.
    bytes: usize,
    /// The stamp as microseconds.
    micros: i64,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Memory { prefix: [0; PREFIX_MAX], bytes: 0, micros: 0 }
    }
}

/// Reads common lines of `bytes` from the line at `from` on and stops before the first that is not
/// common, or that is too close to the end. Returns the offset of that line.
pub(crate) fn read<S: Sink>(memory: &mut Memory, bytes: &[u8], from: usize, sink: &mut S) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("bmi1")
            && std::is_x86_feature_detected!("bmi2")
            && std::is_x86_feature_detected!("lzcnt")
            && std::is_x86_feature_detected!("popcnt")
        {
            if std::is_x86_feature_detected!("avx512bw") {
                // SAFETY: the machine has the features the function is compiled for.
                return unsafe { read_avx512(memory, bytes, from, sink) };
            }
            // SAFETY: the machine has the features the function is compiled for.
            return unsafe { read_avx2(memory, bytes, from, sink) };
        }
        read_with::<mask::Sse2, S>(memory, bytes, from, sink)
    }
    #[cfg(target_arch = "aarch64")]
    return read_with::<mask::Neon, S>(memory, bytes, from, sink);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return read_with::<mask::Portable, S>(memory, bytes, from, sink);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512bw,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn read_avx512<S: Sink>(memory: &mut Memory, bytes: &[u8], from: usize, sink: &mut S) -> usize {
    read_with::<mask::Avx512, S>(memory, bytes, from, sink)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn read_avx2<S: Sink>(memory: &mut Memory, bytes: &[u8], from: usize, sink: &mut S) -> usize {
    read_with::<mask::Avx2, S>(memory, bytes, from, sink)
}

/// The loop. All of it is inlined into a function that is compiled for the machine's instructions,
/// which a closure would not be.
#[inline(always)]
fn read_with<M: Masks, S: Sink>(
    memory: &mut Memory,
    bytes: &[u8],
    from: usize,
    sink: &mut S,
) -> usize {
    // Where uncommon lines are many, a call often ends here: the block is not made in vain.
    let mut first = Record::EMPTY;
    let Some(mut at) = line::<M>(memory, bytes, from, &mut first) else { return from };
    let mut block = [first; BLOCK_RECORDS_MAX];
    let mut filled = 1;
    while let Some(end) = line::<M>(memory, bytes, at, &mut block[filled]) {
        at = end;
        filled += 1;
        if filled == BLOCK_RECORDS_MAX {
            block[0].like_last = false;
            sink.records(&block);
            filled = 0;
        }
    }
    if filled > 0 {
        block[0].like_last = false;
        sink.records(&block[..filled]);
    }
    at
}

/// Where the header's fields end, counted from the end of the prefix: each the offset of a comma.
#[derive(Clone, Copy)]
struct Header {
    host: usize,
    id: usize,
    query: usize,
    operation: usize,
    database: usize,
    /// The host consists of the bytes of host names: no port, no address with colons.
    plain_host: bool,
}

impl Header {
    /// Finds the fields in the first 64 bytes; `None` where they are longer, or a line break is among
    /// them.
    #[inline(always)]
    fn near<M: Masks>(window: &[u8; 64]) -> Option<Header> {
        let mut commas = M::of(window, b',');
        let host = next(&mut commas);
        let id = next(&mut commas);
        let query = next(&mut commas);
        let operation = next(&mut commas);
        let database = next(&mut commas);
        if database >= 64 || M::of(window, b'\n') & low(database) != 0 {
            return None;
        }
        let plain_host = !M::host_bytes(window) & low(id) & !low(host + 1) == 0;
        Some(Header { host, id, query, operation, database, plain_host })
    }

    /// The same in 128 bytes.
    #[cold]
    #[inline(always)]
    fn far<M: Masks>(window: &[u8; HEADER_MAX]) -> Option<Header> {
        let (low, high) = window.split_first_chunk::<64>()?;
        let high: &[u8; 64] = high.first_chunk()?;
        let both = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
        let mut commas = both(M::of(low, b','), M::of(high, b','));
        let mut next = || {
            let position = commas.trailing_zeros() as usize;
            commas &= commas.wrapping_sub(1);
            position
        };
        let (host, id, query) = (next(), next(), next());
        let (operation, database) = (next(), next());
        let below = |position: usize| (1u128 << (position & 127)) - 1;
        let newlines = both(M::of(low, b'\n'), M::of(high, b'\n'));
        if database >= HEADER_MAX || newlines & below(database) != 0 {
            return None;
        }
        let host_bytes = both(M::host_bytes(low), M::host_bytes(high));
        let plain_host = !host_bytes & below(id) & !below(host + 1) == 0;
        Some(Header { host, id, query, operation, database, plain_host })
    }
}

/// Reads the line at `at` into `record`, which holds an earlier one or none; returns where the next
/// one starts, or `None` where the line is not common.
#[inline(always)]
fn line<'a, M: Masks>(
    memory: &mut Memory,
    bytes: &'a [u8],
    at: usize,
    record: &mut Record<'a>,
) -> Option<usize> {
    let view: &[u8; LOOKAHEAD] = bytes[at..].first_chunk()?;
    let head: &[u8; PREFIX_MAX] = view.first_chunk()?;
    record.like_last = M::same(head, &memory.prefix) & low(memory.bytes) == low(memory.bytes);
    if !record.like_last || memory.bytes == 0 {
        record.like_last = false;
        learn(memory, head)?;
    }
    let skip = memory.bytes;
    let header = match Header::near::<M>(view[skip..].first_chunk()?) {
        Some(header) => header,
        None => Header::far::<M>(view[skip..].first_chunk()?)?,
    };
    let Header { host, id, query, operation, database, plain_host } = header;
    let tail: &[u8; 64] = view[skip + database + 1..].first_chunk()?;
    // Where the writer puts a space after each comma, the connection id shows it.
    let connection = number(view, skip + id + 1, skip + query)?;
    let (port, port_bytes) =
        if plain_host { (None, 0) } else { port(view, skip + host + 1, skip + id)? };
    // A host of digits alone is none: an address has a dot within its first four bytes.
    let start = skip + host + 1;
    if byte(view, start).is_ascii_digit()
        & (byte(view, start + 1) != b'.')
        & (byte(view, start + 2) != b'.')
        & (byte(view, start + 3) != b'.')
    {
        return None;
    }
    let base = at + skip;
    let event = &mut record.event;
    event.time = Stamp::Local(memory.micros);
    event.server = &bytes[at + STAMP + 1..base - 1];
    event.peer = Peer::new(&bytes[base..base + id - port_bytes], host);
    event.port = port;
    event.connection = connection;
    let rest = base + database + 1;
    let end = match connection_kind(view, skip + operation + 1) {
        Some(kind) => {
            // Connection records write a zero where the query id stands.
            if (operation != query + 2) | (byte(view, skip + query + 1) != b'0') {
                return None;
            }
            let end = M::of(tail, b'\n').trailing_zeros() as usize;
            let commas = M::of(tail, b',') & if end < 64 { low(end) } else { 0 };
            event.kind = kind;
            event.query = 0;
            event.object = &[];
            rest + connection_end(bytes, rest, commas, end, event)?
        }
        None => other::<M>(bytes, at, rest, view, header, skip, event)?,
    };
    record.span = Span { start: at, end };
    Some(end)
}

/// What follows the operation of a connection record, at `rest`: `shop,,0` and a line break at `end`.
/// Two commas side by side and no other: `commas` are all of the line's.
#[inline(always)]
fn connection_end<'a>(
    bytes: &'a [u8],
    rest: usize,
    commas: u64,
    end: usize,
    event: &mut Event<'a>,
) -> Option<usize> {
    let database = commas.trailing_zeros() as usize;
    if end >= 64 || database >= 63 || commas != 0b11 << database {
        return None;
    }
    event.database = &bytes[rest..rest + database];
    if end == database + 3 && bytes[rest + end - 1] == b'0' && event.kind != Kind::Failed {
        event.error = 0;
        return Some(end + 1);
    }
    event.error = digits_of(&bytes[rest + database + 2..rest + end])?;
    let fits = match event.kind {
        Kind::Connect => event.error == 0,
        Kind::Failed => event.error != 0 && database == 0,
        _ => true,
    };
    fits.then_some(end + 1)
}

/// Statement and table records, which may be longer than the windows. `rest`: the database's offset.
#[inline(always)]
fn other<'a, M: Masks>(
    bytes: &'a [u8],
    at: usize,
    rest: usize,
    view: &[u8; LOOKAHEAD],
    header: Header,
    skip: usize,
    event: &mut Event<'a>,
) -> Option<usize> {
    event.kind = match &view[skip + header.operation + 1..skip + header.database] {
        b"QUERY" => Kind::Query,
        b"READ" => Kind::Read,
        b"WRITE" => Kind::Write,
        b"CREATE" => Kind::Create,
        b"ALTER" => Kind::Alter,
        b"DROP" => Kind::Drop,
        _ => return None,
    };
    event.query = number(view, skip + header.query + 1, skip + header.operation)?;
    let tail: &[u8; 64] = view[skip + header.database + 1..].first_chunk()?;
    let near = M::of(tail, b'\n').trailing_zeros() as usize;
    let end = if near < 64 {
        near
    } else {
        let held = &bytes[rest..bytes.len().min(at + RECORD_BYTES_MAX)];
        64 + memchr::memchr(b'\n', held.get(64..)?)?
    };
    let held = &bytes[rest..rest + end];
    let near = M::of(tail, b',').trailing_zeros() as usize;
    let comma = if near < 64 { near } else { memchr::memchr(b',', held)? };
    if comma >= end {
        return None;
    }
    event.database = &held[..comma];
    let object = &held[comma + 1..];
    (event.object, event.error) = if event.kind == Kind::Query {
        statement::<M>(object)?
    } else {
        let (&last, object) = object.split_last()?;
        let fits = last == b',' && end <= NAMES_BYTES_MAX && !object.contains(&b',');
        if !fits || object.first().is_none_or(u8::is_ascii_whitespace) {
            return None;
        }
        (object, 0)
    };
    Some(rest + end + 1)
}

#[inline(always)]
fn connection_kind(view: &[u8; LOOKAHEAD], start: usize) -> Option<Kind> {
    // Selected, not branched on: which of the first two comes next cannot be foreseen.
    let word = u64::from_le_bytes(*view[start..].first_chunk()?);
    let more = u32::from_le_bytes(*view[start + 7..].first_chunk()?);
    let connect = word == u64::from_le_bytes(*b"CONNECT,");
    let disconnect =
        (word == u64::from_le_bytes(*b"DISCONNE")) & (more == u32::from_le_bytes(*b"ECT,"));
    if connect | disconnect {
        return Some(if connect { Kind::Connect } else { Kind::Disconnect });
    }
    view[start..].starts_with(b"FAILED_CONNECT,").then_some(Kind::Failed)
}

/// `'select \'x\'',0` → the statement between the quotes and the error number; `None` where a bare
/// quote stands inside, which a real statement never has.
#[inline(always)]
fn statement<M: Masks>(text: &[u8]) -> Option<(&[u8], u32)> {
    let quote = memchr::memrchr(b'\'', text)?;
    if quote == 0 || text[0] != b'\'' || text.get(quote + 1) != Some(&b',') {
        return None;
    }
    let error = digits_of(&text[quote + 2..])?;
    let inside = &text[1..quote];
    // The closing quote must be bare, no other may.
    let slashes = inside.iter().rev().take_while(|&&byte| byte == b'\\').count();
    (slashes % 2 == 0 && !has_bare_quote::<M>(inside)).then_some((inside, error))
}

/// Whether a quote has an even number of backslashes before it.
///
/// Which bytes are escaped is found for 64 at once: runs of backslashes that begin at an odd place are
/// carried by an addition to their end, where the parity of that place tells the length's (the way
/// that is known from simdjson).
#[inline(always)]
fn has_bare_quote<M: Masks>(text: &[u8]) -> bool {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let (blocks, rest) = text.as_chunks::<64>();
    let mut last = [0; 64];
    last[..rest.len()].copy_from_slice(rest);
    let (mut first_escaped, mut bare) = (0, 0);
    for block in blocks.iter().chain([&last]) {
        let slashes = M::of(block, b'\\') & !first_escaped;
        let after = slashes << 1 | first_escaped;
        let odd_starts = slashes & !EVEN & !after;
        let (carried, over) = odd_starts.overflowing_add(slashes);
        let escaped = (EVEN ^ (carried << 1)) & after;
        first_escaped = u64::from(over);
        bare |= M::of(block, b'\'') & !escaped;
    }
    bare != 0
}

/// A byte of the view; the offsets used here all lie within it.
#[inline(always)]
fn byte(view: &[u8; LOOKAHEAD], at: usize) -> u8 {
    view[at % LOOKAHEAD]
}

/// An error number of one to five digits.
#[inline(never)]
fn digits_of(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

/// Takes the lowest mark: its position, or 64 where none is left.
#[inline(always)]
fn next(marks: &mut u64) -> usize {
    let position = marks.trailing_zeros() as usize;
    *marks &= marks.wrapping_sub(1);
    position
}

/// The bits below `position`, which is below 64.
#[inline(always)]
fn low(position: usize) -> u64 {
    (1 << (position & 63)) - 1
}

/// Reads one to eight digits between two offsets; `None` for anything else (`careful` takes longer
/// numbers). At least eight bytes stand before `end`: the stamp.
#[inline(always)]
fn number(view: &[u8; LOOKAHEAD], start: usize, end: usize) -> Option<u64> {
    let digits = end.wrapping_sub(start);
    if digits.wrapping_sub(1) > 7 {
        return None;
    }
    let raw = u64::from_le_bytes(*view[(end - 8) % LOOKAHEAD..].first_chunk()?);
    let unused = (8 - digits) * 8;
    let value = (raw ^ 0x3030_3030_3030_3030) >> unused << unused;
    if (value.wrapping_add(0x7676_7676_7676_7676) | value) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    // Neighbouring digits are united to pairs, pairs to fours, fours to the number.
    let pairs = (value.wrapping_mul(10) + (value >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff)
}

/// The port of `10.0.0.7:54312` (MariaDB 12) and how many bytes it takes with its colon. `None` for a
/// host that needs care (IPv6, `localhost:unavailable`).
fn port(view: &[u8; LOOKAHEAD], start: usize, end: usize) -> Option<(Option<u16>, usize)> {
    let host = &view[start..end];
    let colon = host.iter().position(|&byte| byte == b':')?;
    if colon == 0 || host.len() - colon > 6 || !host[..colon].iter().all(is_host_byte) {
        return None;
    }
    let port = u16::try_from(number(view, start + colon + 1, end)?).ok()?;
    (port != 0).then_some((Some(port), host.len() - colon))
}

/// The time, where only the seconds differ from what is remembered: nearly always.
#[inline(always)]
fn later_in_the_minute(memory: &Memory, head: &[u8; PREFIX_MAX]) -> Option<i64> {
    const MINUTE: usize = STAMP - 2;
    let known = memory.bytes;
    let digit = |byte: u8| Some(i64::from(byte.wrapping_sub(b'0'))).filter(|&digit| digit <= 9);
    if known <= STAMP
        || head[..MINUTE] != memory.prefix[..MINUTE]
        || head[STAMP..known] != memory.prefix[STAMP..known]
    {
        return None;
    }
    let seconds = |text: &[u8; PREFIX_MAX]| Some(digit(text[15])? * 10 + digit(text[16])?);
    let (now, then) = (seconds(head)?, seconds(&memory.prefix)?);
    (now < 60 && then < 60).then(|| memory.micros + (now - then) * 1_000_000)
}

/// Remembers a new stamp, and a new server where it is another one.
#[inline(never)]
fn learn(memory: &mut Memory, head: &[u8; PREFIX_MAX]) -> Option<()> {
    if let Some(micros) = later_in_the_minute(memory, head) {
        memory.prefix = *head;
        memory.micros = micros;
        return Some(());
    }
    let stamp::Lead::Good(Stamp::Local(micros), STAMP) = stamp::lead(head) else { return None };
    let known = memory.bytes;
    if known == 0 || head[STAMP..known] != memory.prefix[STAMP..known] {
        if head[STAMP] != b',' || head[STAMP + 1] == b' ' {
            return None;
        }
        let server = &head[STAMP + 1..PREFIX_MAX - 1];
        let end = memchr::memchr2(b',', b'\n', server)?;
        if server[end] != b',' || server[..end].iter().any(u8::is_ascii_whitespace) {
            return None;
        }
        memory.bytes = STAMP + 1 + end + 1;
    }
    memory.prefix = *head;
    memory.micros = micros;
    Some(())
}
