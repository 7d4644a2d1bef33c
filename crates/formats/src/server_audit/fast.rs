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
//! Stamp and server of each line are compared with those of the line before; commas and line break are found
//! in the 128 bytes that follow, which hold all of a connection record. A statement's end and its quotes are
//! looked for at the same time, so that each byte of a long one is looked at once.
//! Everything else is left to `careful`, and what is taken here `careful` reads the same way (tested).

use super::shape::NAMES_BYTES_MAX;
use crate::block::{BLOCK_LINES_MAX, Block, LINE_USER_BYTES_MAX, Line, Turn};
use crate::event::{Kind, RECORD_BYTES_MAX, Sink, Stamp};
use crate::mask::{self, Masks, is_host_byte};
use crate::stamp;
use std::hint::select_unpredictable;

/// A line is looked at here only with this many bytes from its start on, so that no load runs past
/// the end: stamp and server, what follows them up to the query id, the 64 bytes behind that.
const LOOKAHEAD: usize = 256 + 64;
const _: () = assert!(PREFIX_MAX + HEADER_MAX + 64 <= 256);

/// User to connection id with the comma behind it: 64 bytes hold most, 128 what resolvers make of cloud
/// addresses. Longer ones are left to `careful`.
const HEADER_MAX: usize = 128;
const _: () = assert!(HEADER_MAX <= LINE_USER_BYTES_MAX + 3);

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
        read_with::<mask::Sse2, S>(memory, bytes, from, sink, tell)
    }
    #[cfg(target_arch = "aarch64")]
    return read_with::<mask::Neon, S>(memory, bytes, from, sink, tell);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return read_with::<mask::Portable, S>(memory, bytes, from, sink, tell);
}

/// A sink that inlines [`Sink::records`] is compiled for the machine's instructions as well: in a function of
/// its own, because beside the reading there are not registers enough for both.
#[inline(never)]
fn tell<S: Sink>(sink: &mut S, block: &Block<'_>) {
    sink.records(block);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512bw,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn read_avx512<S: Sink>(memory: &mut Memory, bytes: &[u8], from: usize, sink: &mut S) -> usize {
    read_with::<mask::Avx512, S>(memory, bytes, from, sink, |sink, block| tell_avx512(sink, block))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512bw,avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline(never)]
fn tell_avx512<S: Sink>(sink: &mut S, block: &Block<'_>) {
    sink.records(block);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn read_avx2<S: Sink>(memory: &mut Memory, bytes: &[u8], from: usize, sink: &mut S) -> usize {
    read_with::<mask::Avx2, S>(memory, bytes, from, sink, |sink, block| tell_avx2(sink, block))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline(never)]
fn tell_avx2<S: Sink>(sink: &mut S, block: &Block<'_>) {
    sink.records(block);
}

/// The loop. All of it is inlined into a function that is compiled for the machine's instructions, which
/// a closure would not be.
#[inline(always)]
fn read_with<M: Masks, S: Sink>(
    memory: &mut Memory,
    bytes: &[u8],
    from: usize,
    sink: &mut S,
    tell: impl Fn(&mut S, &Block<'_>),
) -> usize {
    let mut lines = [Line::EMPTY; BLOCK_LINES_MAX];
    let mut start = from;
    let mut known = low(memory.bytes);
    loop {
        let (mut filled, mut more) = (0, true);
        let first = start;
        for line in &mut lines {
            more = false;
            let Some(view) = bytes.get(start..).and_then(|rest| rest.first_chunk()) else { break };
            let head = view.first_chunk().expect("a part of it");
            if !M::same(head, &memory.prefix) & known != 0 || known == 0 {
                match learn(memory, head) {
                    Learned::Nothing => break,
                    Learned::Server if filled > 0 => {
                        more = true;
                        break;
                    }
                    _ => known = low(memory.bytes),
                }
            }
            let Some(end) = read_line::<M>(memory, bytes, start, view, line) else { break };
            start = end + 1;
            filled += 1;
            more = true;
        }
        if filled > 0 {
            let server = &bytes[first + STAMP + 1..lines[0].peer as usize - 1];
            tell(sink, &Block { bytes, server, lines: &lines[..filled] });
        }
        if !more {
            return start;
        }
        // The next line's server is learned already where it is another one.
        known = low(memory.bytes);
    }
}

/// Where the first fields behind the prefix end: each the offset of a comma from the end of the prefix.
#[derive(Clone, Copy)]
struct Header {
    host: usize,
    id: usize,
    query: usize,
    /// The host consists of the bytes of host names: no port, no address with colons.
    plain_host: bool,
}

impl Header {
    /// Looks for the fields in the first 64 bytes, or else in 128. `None` where they are longer, and where
    /// the connection id does not consist of digits, or the host does, which none does.
    #[inline(always)]
    fn of<M: Masks>(window: &[u8; 64], more: &[u8; 64]) -> Option<Header> {
        let marks = M::of(window, b',');
        let (others, strange) = (!M::digits(window), !M::host_bytes(window));
        // The commas as single bits. One less another are the bits from the comma before a field to its
        // end, and the comma alone is left of them where all bytes of the field are as they should be.
        let first = marks & marks.wrapping_neg();
        let marks = marks ^ first;
        let second = marks & marks.wrapping_neg();
        let marks = marks ^ second;
        let third = marks & marks.wrapping_neg();
        let (in_host, in_id) = (second.wrapping_sub(first), third.wrapping_sub(second));
        if third == 0 {
            return Header::far::<M>(window, more);
        }
        if in_id & others != second || (in_host & others == first && in_host != first) {
            return None;
        }
        let place = |comma: u64| comma.trailing_zeros() as usize;
        let (host, id, query) = (place(first), place(second), place(third));
        Some(Header { host, id, query, plain_host: in_host & strange == first })
    }

    /// The same in 128 bytes.
    #[cold]
    #[inline(always)]
    fn far<M: Masks>(window: &[u8; 64], more: &[u8; 64]) -> Option<Header> {
        let both = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
        let mut marks = both(M::of(window, b','), M::of(more, b','));
        let mut next = || {
            let position = marks.trailing_zeros() as usize;
            marks &= marks.wrapping_sub(1);
            position
        };
        let (host, id, query) = (next(), next(), next());
        if query >= HEADER_MAX {
            return None;
        }
        let below = |position: usize| (1u128 << position) - 1;
        let (inside_host, inside_id) =
            (below(id) & !below(host + 1), below(query) & !below(id + 1));
        let others = !both(M::digits(window), M::digits(more));
        if inside_id & others != 0 || (inside_host & others == 0 && inside_host != 0) {
            return None;
        }
        let host_bytes = both(M::host_bytes(window), M::host_bytes(more));
        let plain_host = !host_bytes & inside_host == 0;
        Some(Header { host, id, query, plain_host })
    }
}

/// Reads the line from `start` on, whose prefix is known, into `line`. Returns the offset of its line
/// feed; `None` where the line is not common. `view` is what `bytes` hold from `start` on.
#[inline(always)]
fn read_line<M: Masks>(
    memory: &Memory,
    bytes: &[u8],
    start: usize,
    view: &[u8; LOOKAHEAD],
    line: &mut Line,
) -> Option<usize> {
    let skip = memory.bytes & (PREFIX_MAX - 1);
    let (window, more) = (sixty_four(view, skip), sixty_four(view, skip + 64));
    // The line's length from the prefix on, 128 where it is that or more. No line break is in the prefix.
    // Whether 64 bytes hold it cannot be foreseen: it is selected, not branched on.
    let (near, far) = (M::of(window, b'\n'), M::of(more, b'\n'));
    let behind = select_unpredictable(near == 0, far.trailing_zeros(), 0);
    let rest = (near.trailing_zeros() + behind) as usize;
    let Header { host, id, query, plain_host } = Header::of::<M>(window, more)?;
    // Where the writer puts a space after each comma, the connection id shows it.
    if query > rest {
        return None;
    }
    let connection = id_of::<M>(view, skip + id + 1, skip + query)?;
    let base = start + skip;
    line.time = memory.micros;
    line.connection = connection;
    line.start = start as u32;
    line.peer = base as u32;
    line.user_bytes = host as u8;
    line.peer_bytes = id as u8;
    line.port = 0;
    if !plain_host {
        let (port, port_bytes) = port(view, skip + host + 1, skip + id)?;
        line.peer_bytes -= port_bytes;
        line.port = port;
    }
    // Which of the two comes next cannot be foreseen either.
    let first_bytes = window;
    let at = skip + query;
    let window = sixty_four(view, at);
    let connect = !M::same(window, &CONNECT) & low(CONNECT_BYTES) == 0;
    let disconnect = !M::same(window, &DISCONNECT) & low(DISCONNECT_BYTES) == 0;
    // No error, no object, and from here on no comma but the five that part the fields.
    let succeeded = word(view, skip + rest - 3) as u32 == u32::from_le_bytes(*b",,0\n");
    let commas = M::of(window, b',');
    let length = rest - query;
    let five = length < 64 && (commas & low(length)).count_ones() == 5;
    if (connect | disconnect) && succeeded && five {
        let end = base + rest;
        line.end = end as u32 + 1;
        line.kind = select_unpredictable(connect, Kind::Connect, Kind::Disconnect);
        line.turn = select_unpredictable(connect, Turn::Login, Turn::End);
        // Up to the line break, the lowest bit there is.
        let up_to = |feeds: u64| feeds.wrapping_sub(1) & !feeds;
        let further = select_unpredictable(near == 0, M::wide(more) & up_to(far), 0);
        line.wide = (M::wide(first_bytes) & up_to(near)) | further != 0;
        let words = select_unpredictable(connect, CONNECT_BYTES, DISCONNECT_BYTES);
        line.database = (start + at + words) as u32;
        return Some(end);
    }
    let end = other::<M>(bytes, start, view, at, commas, line)?;
    line.end = end as u32 + 1;
    (end - start < RECORD_BYTES_MAX).then_some(end)
}

/// What stands behind the connection id of a login, and of the end of a connection.
const CONNECT: [u8; 64] = padded(b",0,CONNECT,");
const CONNECT_BYTES: usize = 11;
const DISCONNECT: [u8; 64] = padded(b",0,DISCONNECT,");
const DISCONNECT_BYTES: usize = 14;

const fn padded(text: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    let mut i = 0;
    while i < text.len() {
        bytes[i] = text[i];
        i += 1;
    }
    bytes
}

/// All other common records: refused logins, connections that ended with an error, statements, tables.
/// The line stands at `start` of `bytes`, the comma before its query id at `at` of `view`; `commas` are
/// those from there on, in 64 bytes. Returns the offset of the line feed.
#[inline(always)]
fn other<M: Masks>(
    bytes: &[u8],
    start: usize,
    view: &[u8; LOOKAHEAD],
    at: usize,
    commas: u64,
    line: &mut Line,
) -> Option<usize> {
    let feeds = M::of(sixty_four(view, at), b'\n');
    // Those of this line, without the first: behind query id, operation, database and object.
    let mut marks = commas & feeds.wrapping_sub(1) & !feeds & !1;
    let (query_end, word_end) = (next(&mut marks), next(&mut marks));
    if word_end >= 64 {
        return None;
    }
    let known = operation(view, at + query_end + 1, word_end - query_end - 1)?;
    let database = start + at + word_end + 1;
    let database_end = comma(bytes, start + at, next(&mut marks), database)?;
    let object = database_end + 1;
    let first = *bytes.get(object)?;
    line.kind = known.kind;
    line.database = database as u32;
    line.database_end = database_end as u32;
    line.object = object as u32;
    line.object_end = object as u32;
    match known.class {
        Class::Statement => {
            line.turn = Turn::Statement;
            line.query = number::<M>(view, at + 1, at + query_end)?;
            if first != b'\'' {
                return None;
            }
            let close = closing_quote::<M>(bytes, object + 1)?;
            line.object = object as u32 + 1;
            line.object_end = close as u32;
            error_at(bytes, close + 1, line)
        }
        Class::Table => {
            line.turn = Turn::Statement;
            line.query = number::<M>(view, at + 1, at + query_end)?;
            line.error = 0;
            let object_end = comma(bytes, start + at, next(&mut marks), object)?;
            line.object_end = object_end as u32;
            // Nothing stands behind the object's comma.
            let end = object_end + 1;
            let fits = bytes.get(end) == Some(&b'\n') && end - database <= NAMES_BYTES_MAX;
            let blank = first.is_ascii_whitespace() || object == object_end;
            (fits && !blank).then_some(end)
        }
        Class::Connection => {
            // Connection records write a zero where the query id stands, and nothing for an object.
            if query_end != 2 || view[at + 1] != b'0' || first != b',' {
                return None;
            }
            line.turn = Turn::Other;
            line.query = 0;
            let end = error_at(bytes, object, line)?;
            let fits = match line.kind {
                Kind::Connect => line.error == 0,
                Kind::Failed => line.error != 0 && database == database_end,
                _ => true,
            };
            fits.then_some(end)
        }
    }
}

/// The offset of the comma behind the field at `field`: `near` from `origin` where that is below 64, or
/// else further off in the same line.
#[inline(always)]
fn comma(bytes: &[u8], origin: usize, near: usize, field: usize) -> Option<usize> {
    if near < 64 { Some(origin + near) } else { far_comma(bytes, field) }
}

#[cold]
#[inline(never)]
fn far_comma(bytes: &[u8], field: usize) -> Option<usize> {
    let end = field + memchr::memchr2(b',', b'\n', &bytes[field..])?;
    (bytes[end] == b',').then_some(end)
}

/// What a common operation is.
#[derive(Debug, Clone, Copy)]
struct Operation {
    /// Its first eight letters, and which bytes of them there are.
    word: u64,
    mask: u64,
    length: usize,
    kind: Kind,
    class: Class,
}

/// What kind of fields a record has behind its operation.
#[derive(Debug, Clone, Copy)]
enum Class {
    Connection,
    Statement,
    Table,
}

/// Common operations, each at the place that its first two letters add up to; see [`place`]. So none of
/// them is branched on.
const OPERATIONS: [Operation; 16] = {
    use Class::{Connection, Statement, Table};
    let none = Operation { word: 1, mask: 0, length: 0, kind: Kind::Query, class: Statement };
    let known: [(&[u8], Kind, Class); 9] = [
        (b"CONNECT", Kind::Connect, Connection),
        (b"DISCONNECT", Kind::Disconnect, Connection),
        (b"FAILED_CONNECT", Kind::Failed, Connection),
        (b"QUERY", Kind::Query, Statement),
        (b"READ", Kind::Read, Table),
        (b"WRITE", Kind::Write, Table),
        (b"CREATE", Kind::Create, Table),
        (b"ALTER", Kind::Alter, Table),
        (b"DROP", Kind::Drop, Table),
    ];
    let mut table = [none; 16];
    let mut i = 0;
    while i < known.len() {
        let (name, kind, class) = known[i];
        let (mut word, mut mask, mut byte) = (0, 0, 0);
        while byte < name.len() && byte < 8 {
            word |= (name[byte] as u64) << (8 * byte);
            mask |= 0xff << (8 * byte);
            byte += 1;
        }
        assert!(table[place(word)].length == 0, "two operations at one place");
        table[place(word)] = Operation { word, mask, length: name.len(), kind, class };
        i += 1;
    }
    table
};

/// Where in [`OPERATIONS`] an operation stands that begins like this.
#[inline(always)]
const fn place(word: u64) -> usize {
    (word.wrapping_mul(2).wrapping_add(word >> 8) & 15) as usize
}

/// The operation of so many bytes at `at` of the view. The two that are longer than eight bytes end alike.
#[inline(always)]
fn operation(view: &[u8; LOOKAHEAD], at: usize, length: usize) -> Option<&'static Operation> {
    let begin = word(view, at);
    let known = &OPERATIONS[place(begin)];
    let long = word(view, at.wrapping_add(length).wrapping_sub(7));
    let fits = (begin & known.mask == known.word)
        & (length == known.length)
        & ((length <= 8) | (long == u64::from_le_bytes(*b"CONNECT,")));
    fits.then_some(known)
}

/// The first quote from `start` on that has an even number of backslashes before it; `None` where the
/// line, or what there is of it, ends before.
///
/// Which bytes are escaped is found for 64 at once: runs of backslashes that begin at an odd place are
/// carried by an addition to their end, where the parity of that place tells the length's (the way
/// that is known from simdjson).
#[inline(always)]
fn closing_quote<M: Masks>(bytes: &[u8], start: usize) -> Option<usize> {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let mut at = start;
    let mut first_escaped = 0;
    loop {
        let block = bytes.get(at..)?.first_chunk::<64>()?;
        let slashes = M::of(block, b'\\') & !first_escaped;
        let after = slashes << 1 | first_escaped;
        let odd_starts = slashes & ODD & !after;
        let (carried, over) = odd_starts.overflowing_add(slashes);
        let escaped = (!ODD ^ (carried << 1)) & after;
        first_escaped = u64::from(over);
        let bare = M::of(block, b'\'') & !escaped;
        let feeds = M::of(block, b'\n');
        if bare | feeds != 0 {
            // The lowest bit of both.
            let quote = bare.trailing_zeros();
            return (quote < feeds.trailing_zeros()).then_some(at + quote as usize);
        }
        at += 64;
    }
}

/// Reads the comma at `at`, an error number of one to five digits and the line feed behind it, whose
/// offset it returns.
#[inline(always)]
fn error_at(bytes: &[u8], at: usize, line: &mut Line) -> Option<usize> {
    line.error = 0;
    match bytes.get(at..)?.first_chunk()? {
        b",0\n" => Some(at + 2),
        _ => {
            let (error, end) = digits_at(bytes, at)?;
            line.error = error;
            Some(end)
        }
    }
}

#[inline(never)]
fn digits_at(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let digits = bytes[at..].strip_prefix(b",")?;
    let length = digits.iter().take(6).take_while(|digit| digit.is_ascii_digit()).count();
    if length == 0 || length > 5 || digits.get(length) != Some(&b'\n') {
        return None;
    }
    let error = digits[..length].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some((error, at + 1 + length))
}

/// 64 bytes of the view, for whose place there is room.
#[inline(always)]
fn sixty_four(view: &[u8; LOOKAHEAD], at: usize) -> &[u8; 64] {
    view[at & 255..].first_chunk().expect("64 bytes are behind the last place")
}

/// Eight bytes of the view.
#[inline(always)]
fn word(view: &[u8; LOOKAHEAD], at: usize) -> u64 {
    u64::from_le_bytes(*view[at & 255..].first_chunk().expect("64 bytes are behind the last place"))
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

/// The number that one to sixteen digits of the view make; `None` where there are more or none (`careful`
/// takes longer numbers).
#[inline(always)]
fn id_of<M: Masks>(view: &[u8; LOOKAHEAD], start: usize, end: usize) -> Option<u64> {
    let digits = end.wrapping_sub(start);
    if digits.wrapping_sub(1) <= 7 {
        return Some(eight::<M>(word(view, end - 8), digits));
    }
    if digits.wrapping_sub(1) > 15 {
        return None;
    }
    let high = eight::<M>(word(view, end - 16), digits - 8);
    Some(high * 100_000_000 + eight::<M>(word(view, end - 8), 8))
}

/// The same where the bytes were not looked at: `None` where one is no digit, too.
#[inline(always)]
fn number<M: Masks>(view: &[u8; LOOKAHEAD], start: usize, end: usize) -> Option<u64> {
    let digits = end.wrapping_sub(start);
    let fits = are_digits(word(view, end.wrapping_sub(8)), digits.min(8))
        & ((digits <= 8) | are_digits(word(view, end.wrapping_sub(16)), digits.clamp(8, 16) - 8));
    if fits { id_of::<M>(view, start, end) } else { None }
}

/// Are the last of eight bytes digits, so many of them?
#[inline(always)]
fn are_digits(raw: u64, digits: usize) -> bool {
    let unused = (8 - digits as u32) * 8;
    let value = (raw ^ 0x3030_3030_3030_3030).unbounded_shr(unused);
    (value.wrapping_add(0x7676_7676_7676_7676) | value) & 0x8080_8080_8080_8080 == 0
}

/// The number that the last one to eight of eight bytes make, which are digits.
#[inline(always)]
fn eight<M: Masks>(raw: u64, digits: usize) -> u64 {
    // What stands before the digits goes out at the lower end.
    let unused = 64 - 8 * digits as u32;
    M::number((raw >> (unused & 63) << (unused & 63)) & 0x0f0f_0f0f_0f0f_0f0f)
}

/// The port of `10.0.0.7:54312` (MariaDB 12) and how many bytes it takes with its colon. `None` for a
/// host that needs care (IPv6, `localhost:unavailable`).
fn port(view: &[u8; LOOKAHEAD], start: usize, end: usize) -> Option<(u16, u8)> {
    let host = view.get(start..end)?;
    let colon = host.iter().position(|&byte| byte == b':')?;
    let name = &host[..colon];
    // A host of digits alone is none.
    let fits = name.iter().all(is_host_byte) && !name.iter().all(u8::is_ascii_digit);
    if !fits || host.len() - colon > 6 {
        return None;
    }
    let port = host[colon + 1..].iter().try_fold(0, |sum: u32, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
    })?;
    let port = u16::try_from(port).ok()?;
    (port != 0).then_some((port, (host.len() - colon) as u8))
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
