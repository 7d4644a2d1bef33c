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
//! Stamp and server are compared with those of the line before; the rest of the header lies in the
//! 64 bytes that follow, whose commas are found at once. Everything else is left to `careful`.

use crate::event::{BLOCK_RECORDS_MAX, Event, Kind, Peer, RECORD_BYTES_MAX, Record, Sink, Span, Stamp};
use crate::mask::{self, Masks};
use crate::stamp;

/// A line is looked at here only with this many bytes from its start on, so that no load runs past
/// the end: stamp and server, then a block of 64.
const LOOKAHEAD: usize = PREFIX_MAX + 64;

/// Stamp and server with the comma behind it. Longer server names are left to `careful`.
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
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn read_avx2<S: Sink>(memory: &mut Memory, bytes: &[u8], from: usize, sink: &mut S) -> usize {
    read_with::<mask::Avx2, S>(memory, bytes, from, sink)
}

#[inline(always)]
fn read_with<'a, M: Masks, S: Sink>(
    memory: &mut Memory,
    bytes: &'a [u8],
    from: usize,
    sink: &mut S,
) -> usize {
    let mut line = |at: usize, record: &mut Record<'a>| {
        let view = bytes[at..].first_chunk::<LOOKAHEAD>()?;
        let end = Line { bytes, at, view }.read::<M>(memory, record)?;
        record.span = Span { start: at, end };
        Some(end)
    };
    // Where uncommon lines are many, a call often ends here: the block is not made in vain.
    let mut first = Record::EMPTY;
    let Some(mut at) = line(from, &mut first) else { return from };
    let mut block = [first; BLOCK_RECORDS_MAX];
    let mut filled = 1;
    while let Some(end) = line(at, &mut block[filled]) {
        at = end;
        filled += 1;
        if filled == BLOCK_RECORDS_MAX {
            sink.records(&block);
            filled = 0;
        }
    }
    if filled > 0 {
        sink.records(&block[..filled]);
    }
    at
}

/// A line at its place.
#[derive(Clone, Copy)]
struct Line<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The first bytes from `at` on.
    view: &'a [u8; LOOKAHEAD],
}

/// Where the header's fields end, counted from the end of the prefix: each the offset of a comma.
struct Header {
    host: usize,
    id: usize,
    query: usize,
    operation: usize,
    database: usize,
    object: usize,
}

impl<'a> Line<'a> {
    /// Reads the line into `record`; returns where the next one starts, or `None` where it is not
    /// common.
    #[inline(always)]
    fn read<M: Masks>(&self, memory: &mut Memory, record: &mut Record<'a>) -> Option<usize> {
        let head: &[u8; PREFIX_MAX] = self.view.first_chunk()?;
        // One bit too many would be needed for a prefix of 64 bytes; `learn` allows 63.
        if memory.bytes == 0 || M::same(head, &memory.prefix) & low(memory.bytes) != low(memory.bytes)
        {
            learn(memory, head)?;
        }
        let skip = memory.bytes;
        let window: &[u8; 64] = self.view[skip..].first_chunk()?;
        let marks = M::marks(window);
        let mut commas = marks.commas;
        let header = Header {
            host: next(&mut commas),
            id: next(&mut commas),
            query: next(&mut commas),
            operation: next(&mut commas),
            database: next(&mut commas),
            object: next(&mut commas),
        };
        // A line break inside the header, or one longer than the window, shows as a missing comma.
        if header.database >= 64 || marks.newlines & low(header.database) != 0 {
            return None;
        }
        if window[0] == b' '
            || window[(header.host + 1) & 63] == b' '
            || window[(header.database + 1) & 63] == b' '
        {
            return None;
        }
        let connection = number(self.view, skip + header.id + 1, skip + header.query)?;
        let foreign = !M::host_bytes(window) & low(header.id) & !low(header.host + 1);
        let (port, port_bytes) = if foreign == 0 {
            (None, 0)
        } else {
            port(self.view, skip + header.host + 1, skip + header.id)?
        };
        // A host of digits alone is none: an address has a dot within its first four bytes.
        if window[(header.host + 1) & 63].is_ascii_digit() {
            let start = skip + header.host + 2;
            let three: &[u8; 3] = self.view[start..].first_chunk()?;
            if !three.contains(&b'.') {
                return None;
            }
        }
        let base = self.at + skip;
        let event = &mut record.event;
        event.time = Stamp::Local(memory.micros);
        event.server = &self.bytes[self.at + STAMP + 1..base - 1];
        event.peer = Peer::new(&self.bytes[base..base + header.id - port_bytes], header.host);
        event.port = port;
        event.connection = connection;
        event.account_user = None;
        let end = marks.newlines.trailing_zeros() as usize;
        match connection_kind(self.view, skip + header.operation + 1, header.database) {
            // `,shop,,0` and nothing else: all but the failures.
            Some(kind)
                if end == header.object + 3
                    && self.view[skip + header.object..].starts_with(b",,0")
                    && kind != Kind::Failed
                    && self.zero_query(&header, skip) =>
            {
                event.kind = kind;
                event.query = 0;
                event.error = 0;
                event.database =
                    &self.bytes[base + header.database + 1..base + header.object];
                event.object = &[];
                Some(base + end + 1)
            }
            Some(kind) => self.connection(kind, &header, skip, end, event),
            None => self.other(&header, skip, event),
        }
    }

    /// Connection records write a zero where the query id stands.
    #[inline(always)]
    fn zero_query(&self, header: &Header, skip: usize) -> bool {
        header.operation == header.query + 2 && self.view[skip + header.query + 1] == b'0'
    }

    /// `…,shop,,1045`: two more commas side by side, then the error number up to the line break.
    fn connection(
        &self,
        kind: Kind,
        header: &Header,
        skip: usize,
        end: usize,
        event: &mut Event<'a>,
    ) -> Option<usize> {
        if end >= 64 || header.object >= end || !self.zero_query(header, skip) {
            return None;
        }
        let rest = &self.view[skip + header.object..skip + end];
        if !rest.starts_with(b",,") || rest[2..].contains(&b',') {
            return None;
        }
        let error = number(self.view, skip + header.object + 2, skip + end)?;
        let fits = match kind {
            Kind::Connect => error == 0,
            Kind::Failed => error != 0 && header.object == header.database + 1,
            _ => true,
        };
        if !fits {
            return None;
        }
        let base = self.at + skip;
        event.kind = kind;
        event.query = 0;
        event.error = u32::try_from(error).ok()?;
        event.database = &self.bytes[base + header.database + 1..base + header.object];
        event.object = &[];
        Some(base + end + 1)
    }

    /// Statement and table records, which may be longer than the window.
    fn other(&self, header: &Header, skip: usize, event: &mut Event<'a>) -> Option<usize> {
        event.kind = match &self.view[skip + header.operation + 1..skip + header.database] {
            b"QUERY" => Kind::Query,
            b"READ" => Kind::Read,
            b"WRITE" => Kind::Write,
            b"CREATE" => Kind::Create,
            b"ALTER" => Kind::Alter,
            b"DROP" => Kind::Drop,
            b"RENAME" => Kind::Rename,
            _ => return None,
        };
        event.query = number(self.view, skip + header.query + 1, skip + header.operation)?;
        let from = self.at + skip + header.database + 1;
        let held = &self.bytes[from..self.bytes.len().min(self.at + RECORD_BYTES_MAX)];
        let end = from + memchr::memchr(b'\n', held)?;
        let rest = &self.bytes[from..end];
        let comma = memchr::memchr(b',', rest)?;
        let object = &rest[comma + 1..];
        event.database = &rest[..comma];
        (event.object, event.error) = if event.kind == Kind::Query {
            statement(object)?
        } else {
            let (&last, object) = object.split_last()?;
            if last != b',' || object.first() == Some(&b' ') || object.contains(&b',') {
                return None;
            }
            (object, 0)
        };
        Some(end + 1)
    }
}

#[inline(always)]
fn connection_kind(view: &[u8; LOOKAHEAD], start: usize, _end: usize) -> Option<Kind> {
    let word = u64::from_le_bytes(*view[start..].first_chunk()?);
    if word == u64::from_le_bytes(*b"CONNECT,") {
        Some(Kind::Connect)
    } else if word == u64::from_le_bytes(*b"DISCONNE") {
        view[start + 8..].starts_with(b"CT,").then_some(Kind::Disconnect)
    } else if word == u64::from_le_bytes(*b"FAILED_C") {
        view[start + 8..].starts_with(b"ONNECT,").then_some(Kind::Failed)
    } else {
        None
    }
}

/// `'select \'x\'',0` → the statement between the quotes and the error number; `None` where a bare
/// quote stands inside, which a real statement never has.
fn statement(text: &[u8]) -> Option<(&[u8], u32)> {
    let quote = memchr::memrchr(b'\'', text)?;
    if quote == 0 || text[0] != b'\'' || text.get(quote + 1) != Some(&b',') {
        return None;
    }
    let digits = &text[quote + 2..];
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let error = digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    // Each quote, the closing one too, is judged by the backslashes before it.
    let bare = |found: usize| {
        let slashes = text[1..found].iter().rev().take_while(|&&byte| byte == b'\\').count();
        slashes % 2 == 0
    };
    let inner = memchr::memchr_iter(b'\'', &text[1..quote]).all(|found| !bare(found + 1));
    (inner && bare(quote)).then_some((&text[1..quote], error))
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
    let raw = u64::from_le_bytes(*view.get(end - 8..)?.first_chunk()?);
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
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_%".contains(byte);
    if colon == 0 || host.len() - colon > 6 || !host[..colon].iter().all(name) {
        return None;
    }
    let port = u16::try_from(number(view, start + colon + 1, end)?).ok()?;
    (port != 0).then_some((Some(port), host.len() - colon))
}

/// Remembers a new stamp, and a new server where it is another one.
fn learn(memory: &mut Memory, head: &[u8; PREFIX_MAX]) -> Option<()> {
    let stamp::Lead::Good(Stamp::Local(micros), STAMP) = stamp::lead(head) else { return None };
    let known = memory.bytes;
    if known == 0 || head[STAMP..known] != memory.prefix[STAMP..known] {
        if head[STAMP] != b',' || head[STAMP + 1] == b' ' {
            return None;
        }
        let server = &head[STAMP + 1..PREFIX_MAX - 1];
        let end = memchr::memchr2(b',', b'\n', server)?;
        if server[end] != b',' {
            return None;
        }
        memory.bytes = STAMP + 1 + end + 1;
    }
    memory.prefix = *head;
    memory.micros = micros;
    Some(())
}
