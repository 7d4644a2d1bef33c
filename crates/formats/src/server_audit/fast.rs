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
//! First the ends of the next lines are found. Stamp and server of each are compared with those of the line
//! before; the commas of the 128 bytes that follow, which hold all of a connection record, are found at once.
//! Everything else is left to `careful`, and what is taken here `careful` reads the same way (tested).

use super::shape::NAMES_BYTES_MAX;
use crate::block::{BLOCK_LINES_MAX, Block, Line, Turn};
use crate::event::{Kind, RECORD_BYTES_MAX, Sink, Stamp};
use crate::mask::{self, Masks, is_host_byte};
use crate::stamp;
use std::hint::select_unpredictable;

/// A line is looked at here only with this many bytes from its start on, so that no load runs past
/// the end: stamp and server, what follows them up to the query id, the words behind it.
const LOOKAHEAD: usize = 256 + 16;
const _: () = assert!(PREFIX_MAX + HEADER_MAX <= 256);

/// User to connection id with the comma behind it: 64 bytes hold most, 128 what resolvers make of cloud
/// addresses. Longer ones are left to `careful`.
const HEADER_MAX: usize = 128;

/// Stamp and server with the comma behind it, less one. Longer server names are left to `careful`.
const PREFIX_MAX: usize = 64;

/// How many line ends are looked for at once behind an uncommon line.
const AHEAD_MIN: usize = 1;

/// Places for line ends: those of a block, and as many as 64 bytes can hold beyond.
const ENDS: usize = BLOCK_LINES_MAX + 64 + 2;

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
    /// How many line ends are looked for at once: few where uncommon lines are many.
    ahead: usize,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Memory { prefix: [0; PREFIX_MAX], bytes: 0, micros: 0, ahead: AHEAD_MIN }
    }
}

/// Reads common lines of `bytes` from the line at `from` on and stops before the first that is not
/// common, or that is too close to the end. Returns the offset of that line.
pub(crate) fn read<S: Sink>(memory: &mut Memory, bytes: &[u8], from: usize, sink: &mut S) -> usize {
    // A block tells places in 32 bits.
    let bytes = &bytes[..bytes.len().min(u32::MAX as usize)];
    if from > bytes.len() {
        return from;
    }
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

/// The loop: first where several lines end, then what each of them says, so that no line waits for the
/// one before it to be understood. All of it is inlined into a function that is compiled for the
/// machine's instructions, which a closure would not be.
#[inline(always)]
fn read_with<M: Masks, S: Sink>(
    memory: &mut Memory,
    bytes: &[u8],
    from: usize,
    sink: &mut S,
) -> usize {
    let mut ends = [0; ENDS];
    let mut lines = [Line::EMPTY; BLOCK_LINES_MAX];
    let mut start = from;
    loop {
        let found = line_ends::<M>(bytes, start, memory.ahead, &mut ends);
        let (mut filled, mut block) = (0, start);
        let mut common = 0;
        for &end in &ends[..found] {
            let Some(view) = bytes[start..].first_chunk::<LOOKAHEAD>() else { break };
            let head: &[u8; PREFIX_MAX] = view.first_chunk().expect("a part of it");
            let known = low(memory.bytes);
            if M::same(head, &memory.prefix) & known != known || memory.bytes == 0 {
                match learn(memory, head) {
                    Learned::Nothing => break,
                    Learned::Time => {}
                    Learned::Server if filled == 0 => block = start,
                    Learned::Server => {
                        tell(bytes, block, &lines[..filled], sink);
                        (filled, block) = (0, start);
                    }
                }
            }
            if !line::<M>(memory, bytes, start, end, view, &mut lines[filled]) {
                break;
            }
            start = end + 1;
            filled += 1;
            common += 1;
        }
        if filled > 0 {
            tell(bytes, block, &lines[..filled], sink);
        }
        if common < found || found == 0 {
            memory.ahead = AHEAD_MIN;
            return start;
        }
        memory.ahead = BLOCK_LINES_MAX;
    }
}

/// Hands on lines of one server, the first of which stands at `start`.
#[inline(always)]
fn tell<S: Sink>(bytes: &[u8], start: usize, lines: &[Line], sink: &mut S) {
    let server = &bytes[start + STAMP + 1..lines[0].peer as usize - 1];
    sink.records(&Block { bytes, server, lines });
}

/// Finds the offsets of the line feeds from `from` on: as many as `wanted` and a few more, or all there
/// are, up to the last 63 bytes. Returns how many stand in `ends` now, at most [`BLOCK_LINES_MAX`].
#[inline(always)]
fn line_ends<M: Masks>(
    bytes: &[u8],
    from: usize,
    wanted: usize,
    ends: &mut [usize; ENDS],
) -> usize {
    let (mut at, mut found) = (from, 0);
    while found < wanted
        && let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk())
    {
        let mut marks = M::of(block, b'\n');
        let count = marks.count_ones() as usize;
        // Two are noted whether they are there or not: how many there are cannot be foreseen.
        ends[found] = at + next(&mut marks);
        ends[found + 1] = at + next(&mut marks);
        for place in &mut ends[found..][..count][count.min(2)..] {
            *place = at + next(&mut marks);
        }
        found += count;
        at += 64;
    }
    found.min(BLOCK_LINES_MAX)
}

/// Where the first fields behind the prefix end: each the offset of a comma from the end of the prefix.
#[derive(Clone, Copy)]
struct Header {
    host: usize,
    id: usize,
    query: usize,
    /// The commas behind `query`, in the 64 bytes that follow it.
    behind: u64,
    /// How many commas the line has from the prefix on, where it has at most 128 bytes there.
    commas: u32,
    /// The host consists of the bytes of host names: no port, no address with colons.
    plain_host: bool,
}

impl Header {
    /// Looks for the fields in the first 64 bytes; the offset of the query id's comma is 64 where they
    /// are longer. `rest`: the length of the line from the prefix on.
    #[inline(always)]
    fn near<M: Masks>(window: &[u8; 64], more: &[u8; 64], rest: usize) -> Header {
        let mut marks = M::of(window, b',');
        let count = (marks & low_to(rest)).count_ones();
        let more = M::of(more, b',');
        let commas = count + (more & low_to(rest.saturating_sub(64))).count_ones();
        let (host, id, query) = (next(&mut marks), next(&mut marks), next(&mut marks));
        let behind = marks.unbounded_shr(query as u32 + 1) | more << (63 - (query & 63));
        let plain_host = !M::host_bytes(window) & low(id) & !low(host + 1) == 0;
        Header { host, id, query, behind, commas, plain_host }
    }

    /// The same in 128 bytes.
    #[cold]
    #[inline(always)]
    fn far<M: Masks>(window: &[u8; 64], more: &[u8; 64], rest: usize) -> Option<Header> {
        let both = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
        let marks = both(M::of(window, b','), M::of(more, b','));
        let below = |position: usize| (1u128 << (position & 127)) - 1;
        let inside = if rest < 128 { marks & below(rest) } else { marks };
        let mut left = inside;
        let mut next = || {
            let position = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            position
        };
        let (host, id, query) = (next(), next(), next());
        if query >= HEADER_MAX {
            return None;
        }
        let host_bytes = both(M::host_bytes(window), M::host_bytes(more));
        let plain_host = !host_bytes & below(id) & !below(host + 1) == 0;
        let behind = (marks.unbounded_shr(query as u32 + 1)) as u64;
        Some(Header { host, id, query, behind, commas: inside.count_ones(), plain_host })
    }
}

/// Reads the line from `start` to the line feed at `end`, whose prefix is known, into `line`; false where
/// it is not common. `view` is what `bytes` hold from `start` on.
#[inline(always)]
fn line<M: Masks>(
    memory: &Memory,
    bytes: &[u8],
    start: usize,
    end: usize,
    view: &[u8; LOOKAHEAD],
    line: &mut Line,
) -> bool {
    let skip = memory.bytes;
    // No line break is in the prefix.
    let rest = end - start - skip;
    let window = view[skip..].first_chunk().expect("a prefix is short");
    let more = view[skip + 64..].first_chunk().expect("a prefix is short");
    let mut header = Header::near::<M>(window, more, rest);
    if header.query >= 64 {
        match Header::far::<M>(window, more, rest) {
            Some(far) => header = far,
            None => return false,
        }
    }
    let Header { host, id, query, commas, plain_host, .. } = header;
    // Where the writer puts a space after each comma, the connection id shows it.
    let Some(connection) = number(view, skip + id + 1, skip + query) else { return false };
    let (port, port_bytes) = if plain_host {
        (0, 0)
    } else {
        match port(view, skip + host + 1, skip + id) {
            Some(port) => port,
            None => return false,
        }
    };
    if number_host(word(view, skip + host + 1) as u32) {
        return false;
    }
    let base = start + skip;
    line.time = memory.micros;
    line.start = start as u32;
    line.end = end as u32 + 1;
    line.peer = base as u32;
    line.user_bytes = host as u8;
    line.peer_bytes = (id - port_bytes) as u8;
    line.port = port;
    line.connection = connection;
    // Which of the two comes next cannot be foreseen: it is selected, not branched on.
    let at = skip + query;
    let begin = word(view, at);
    let connect = (begin == u64::from_le_bytes(*b",0,CONNE"))
        & (word(view, at + 3) == u64::from_le_bytes(*b"CONNECT,"));
    let disconnect = (begin == u64::from_le_bytes(*b",0,DISCO"))
        & (word(view, at + 6) == u64::from_le_bytes(*b"CONNECT,"));
    let succeeded = bytes[end - 3..].first_chunk() == Some(b",,0\n");
    if (connect | disconnect) & succeeded & (commas == 7) & (rest <= 128) {
        line.kind = select_unpredictable(connect, Kind::Connect, Kind::Disconnect);
        line.turn = select_unpredictable(connect, Turn::Login, Turn::End);
        line.query = 0;
        line.error = 0;
        line.database = (base + query + select_unpredictable(connect, 11, 14)) as u32;
        line.database_end = end as u32 - 3;
        line.object = end as u32;
        line.object_end = end as u32;
        return true;
    }
    other::<M>(bytes, base, end, header, line).is_some()
}

/// All other common records: refused logins, connections that ended with an error, statements, tables.
/// The line's fields begin at `base`, its line feed stands at `end`.
#[inline(always)]
fn other<M: Masks>(
    bytes: &[u8],
    base: usize,
    end: usize,
    header: Header,
    line: &mut Line,
) -> Option<()> {
    if end >= line.start as usize + RECORD_BYTES_MAX {
        return None;
    }
    let record = &bytes[base..end];
    // The query id and the comma behind it, the operation, the database: each ends with a comma.
    let mut marks = header.behind;
    let at = header.query + 1;
    let operation = comma(record, at, at, &mut marks)?;
    let word_end = comma(record, operation + 1, at, &mut marks)?;
    let word = &record[operation + 1..word_end];
    line.kind = kind(word)?;
    let database = word_end + 1;
    let query = &record[at..operation];
    let database_end = comma(record, database, at, &mut marks)?;
    let behind = &record[database_end + 1..];
    line.database = (base + database) as u32;
    line.database_end = (base + database_end) as u32;
    line.object = (base + database_end + 1) as u32;
    line.object_end = line.object;
    match line.kind {
        Kind::Connect | Kind::Disconnect | Kind::Failed => {
            // Connection records write a zero where the query id stands, and nothing for an object.
            if query != b"0" || behind.first() != Some(&b',') || record.len() > 128 {
                return None;
            }
            line.turn = Turn::Other;
            line.query = 0;
            line.error = digits_of(&behind[1..])?;
            let fits = match line.kind {
                Kind::Connect => line.error == 0,
                Kind::Failed => line.error != 0 && database == database_end,
                _ => true,
            };
            fits.then_some(())
        }
        Kind::Query => {
            line.turn = Turn::Statement;
            line.query = number(bytes, base + at, base + operation)?;
            let (statement, error) = statement::<M>(bytes, behind, end)?;
            line.object += 1;
            line.object_end = line.object + statement.len() as u32;
            line.error = error;
            Some(())
        }
        _ => {
            line.turn = Turn::Statement;
            line.query = number(bytes, base + at, base + operation)?;
            line.error = 0;
            // Nothing stands behind the object's comma.
            let object_end = comma(record, database_end + 1, at, &mut marks)?;
            line.object_end = (base + object_end) as u32;
            let fits = object_end + 1 == record.len() && record.len() - database <= NAMES_BYTES_MAX;
            (fits && !behind[0].is_ascii_whitespace() && behind[0] != b',').then_some(())
        }
    }
}

/// The next comma, which is behind `start`: the first of `marks`, which count from `at`, or else further
/// than they reach.
#[inline(always)]
fn comma(record: &[u8], start: usize, at: usize, marks: &mut u64) -> Option<usize> {
    if *marks == 0 {
        return Some(start + memchr::memchr(b',', record.get(start..)?)?);
    }
    let near = at + next(marks);
    (near < record.len()).then_some(near)
}

#[inline(always)]
fn kind(word: &[u8]) -> Option<Kind> {
    Some(match word {
        b"QUERY" => Kind::Query,
        b"READ" => Kind::Read,
        b"WRITE" => Kind::Write,
        b"CREATE" => Kind::Create,
        b"ALTER" => Kind::Alter,
        b"DROP" => Kind::Drop,
        b"FAILED_CONNECT" => Kind::Failed,
        b"DISCONNECT" => Kind::Disconnect,
        b"CONNECT" => Kind::Connect,
        _ => return None,
    })
}

/// `'select \'x\'',0` → the statement between the quotes and the error number; `None` where a bare
/// quote stands inside, which a real statement never has. The text ends at `end` of `bytes`.
#[inline(always)]
fn statement<'a, M: Masks>(bytes: &'a [u8], text: &'a [u8], end: usize) -> Option<(&'a [u8], u32)> {
    let (quote, error) = match text {
        [.., b'\'', b',', b'0'] => (text.len() - 3, 0),
        _ => {
            let quote = memchr::memrchr(b'\'', text)?;
            (text.get(quote + 1) == Some(&b',')).then_some(())?;
            (quote, digits_of(&text[quote + 2..])?)
        }
    };
    if quote == 0 || text[0] != b'\'' {
        return None;
    }
    // The closing quote must be bare, no other may.
    let start = end - text.len();
    let bare = first_bare_quote::<M>(bytes, start + 1, start + quote + 1);
    (bare == Some(start + quote)).then_some((&text[1..quote], error))
}

/// The first quote between two offsets that has an even number of backslashes before it.
///
/// Which bytes are escaped is found for 64 at once: runs of backslashes that begin at an odd place are
/// carried by an addition to their end, where the parity of that place tells the length's (the way
/// that is known from simdjson).
#[inline(always)]
fn first_bare_quote<M: Masks>(bytes: &[u8], start: usize, end: usize) -> Option<usize> {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let mut at = start;
    let mut first_escaped = 0;
    let mut last = [0; 64];
    while at < end {
        let block = match bytes[at..].first_chunk::<64>() {
            Some(block) => block,
            None => {
                last[..bytes.len() - at].copy_from_slice(&bytes[at..]);
                &last
            }
        };
        let slashes = M::of(block, b'\\') & !first_escaped;
        let quotes = M::of(block, b'\'') & low_to(end - at);
        let after = slashes << 1 | first_escaped;
        let odd_starts = slashes & !EVEN & !after;
        let (carried, over) = odd_starts.overflowing_add(slashes);
        let escaped = (EVEN ^ (carried << 1)) & after;
        first_escaped = u64::from(over);
        let bare = quotes & !escaped;
        if bare != 0 {
            return Some(at + bare.trailing_zeros() as usize);
        }
        at += 64;
    }
    None
}

/// Whether a host that begins with these four bytes (little-endian) may consist of digits alone, which
/// none does: an address has a dot within its first four. (A host that begins with a character below
/// `0` may be taken for one, which costs nothing but time.)
#[inline(always)]
fn number_host(four: u32) -> bool {
    // In numbers, because what comes next cannot be foreseen.
    let digit = (four & 0xff).wrapping_sub(u32::from(b'0') + 10) >> 31;
    let differing = four ^ u32::from_le_bytes([b'.'; 4]);
    let dot = differing.wrapping_sub(0x0101_0101) & !differing & 0x8080_8080;
    let no_dot = (dot.wrapping_sub(1) & !dot) >> 31;
    digit & no_dot != 0
}

/// Eight bytes of the view.
#[inline(always)]
fn word(view: &[u8; LOOKAHEAD], at: usize) -> u64 {
    u64::from_le_bytes(*view[at & 255..].first_chunk().expect("16 bytes are behind the last"))
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

/// The bits below `position`, which is at most the number of bits; all of them from there on.
#[inline(always)]
fn low_to(position: usize) -> u64 {
    if position < 64 { low(position) } else { u64::MAX }
}

/// Reads one to sixteen digits between two offsets; `None` for anything else (`careful` takes longer
/// numbers). At least sixteen bytes stand before `end`: the stamp.
#[inline(always)]
fn number(bytes: &[u8], start: usize, end: usize) -> Option<u64> {
    let digits = end.wrapping_sub(start);
    if digits.wrapping_sub(1) <= 7 {
        return eight(bytes, end, digits);
    }
    if digits.wrapping_sub(1) > 15 {
        return None;
    }
    Some(eight(bytes, end - 8, digits - 8)? * 100_000_000 + eight(bytes, end, 8)?)
}

/// Reads one to eight `digits` that end before `end`.
#[inline(always)]
fn eight(bytes: &[u8], end: usize, digits: usize) -> Option<u64> {
    let raw = u64::from_le_bytes(*bytes.get(end.wrapping_sub(8)..)?.first_chunk()?);
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
fn port(view: &[u8; LOOKAHEAD], start: usize, end: usize) -> Option<(u16, usize)> {
    let host = view.get(start..end)?;
    let colon = host.iter().position(|&byte| byte == b':')?;
    if colon == 0 || host.len() - colon > 6 || !host[..colon].iter().all(is_host_byte) {
        return None;
    }
    let port = u16::try_from(number(view, start + colon + 1, end)?).ok()?;
    (port != 0).then_some((port, host.len() - colon))
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

/// What the beginning of a line has told.
enum Learned {
    /// It is none that is read here.
    Nothing,
    /// Another time.
    Time,
    /// Another server, or the first; and another time.
    Server,
}

/// Remembers a new stamp, and a new server where it is another one.
#[inline(never)]
fn learn(memory: &mut Memory, head: &[u8; PREFIX_MAX]) -> Learned {
    if let Some(micros) = later_in_the_minute(memory, head) {
        memory.prefix = *head;
        memory.micros = micros;
        return Learned::Time;
    }
    let stamp::Lead::Good(Stamp::Local(micros), STAMP) = stamp::lead(head) else {
        return Learned::Nothing;
    };
    let known = memory.bytes;
    let mut learned = Learned::Time;
    if known == 0 || head[STAMP..known] != memory.prefix[STAMP..known] {
        let Some(bytes) = prefix_bytes(head) else { return Learned::Nothing };
        memory.bytes = bytes;
        learned = Learned::Server;
    }
    memory.prefix = *head;
    memory.micros = micros;
    learned
}

/// The length of stamp and server with the commas behind them.
fn prefix_bytes(head: &[u8; PREFIX_MAX]) -> Option<usize> {
    if head[STAMP] != b',' || head[STAMP + 1] == b' ' {
        return None;
    }
    let server = &head[STAMP + 1..PREFIX_MAX - 1];
    let end = memchr::memchr2(b',', b'\n', server)?;
    let fits = server[end] == b',' && !server[..end].iter().any(u8::is_ascii_whitespace);
    fits.then_some(STAMP + 1 + end + 1)
}
