//! Limits of users, and the texts that mysql_monitor_daemon and its later versions kept them in.
//!
//! ```text
//! user1,2GB,3GB                    a list: user,soft,hard
//! user2,500MB                      no hard limit
//! alice 1000000000 2000000000      columns
//! [limits]                         INI; [users] in a file of its own
//! bob = 500000000 , 1000000000
//! "o'neil, jr",1.5GB               a name in quotes, " or ', doubled inside
//! ```
//!
//! `#` and `;` begin a comment at the beginning of a line, ` #` behind an entry. `KB`, `MB`, `GB` and `TB` are
//! powers of 1024, as that daemon took them ([`Base::Binary`]); 0 is no limit, as in the lists of its later
//! versions. Lists and columns may be mixed line by line. A text is INI where one of its lines begins with `[`;
//! other sections than `[limits]` and `[users]` are left aside.
//!
//! # Invariants
//! * A text is read whole or not at all: the first fault ends it.
//! * No fault repeats the text.

use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};

use super::size::{Base, SIZE_MAX, SizeFault, parse_size};

/// What one user may hold, in bytes. At least one is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    /// More is to be told.
    pub soft: Option<u64>,
    /// More is too much. Not less than `soft`.
    pub hard: Option<u64>,
}

/// The longest name of a user, in bytes: MariaDB has 128 characters of up to four bytes.
pub const USER_BYTES_MAX: usize = 512;

/// The most users: what their numbers and names take up has places of 32 bits.
pub const USERS_MAX: usize = 4_000_000;

/// The limits of all users that have one.
///
/// A million users with names of 11 bytes take 42 MB: names stand in one piece of memory, each limit beside the
/// place of its name in 24 bytes, and a table of 4-byte numbers, filled to three quarters at most, finds them.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// All names, one behind the other.
    names: Vec<u8>,
    /// In the order they were added.
    entries: Vec<Entry>,
    /// Numbers of entries by the hash of their names; a power of two, or empty.
    slots: Vec<u32>,
}

/// A user's limit.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The first byte of the name.
    begin: u32,
    /// The name's length.
    length: u32,
    soft: u64,
    hard: u64,
}

/// Where no limit is: more than any size.
const UNLIMITED: u64 = u64::MAX;
const _: () = assert!(SIZE_MAX < UNLIMITED && USERS_MAX * USER_BYTES_MAX <= u32::MAX as usize);

/// A slot that no entry has.
const EMPTY: u32 = u32::MAX;

impl Limits {
    /// A user's limit.
    pub fn of(&self, user: &[u8]) -> Option<Limit> {
        let entry = self.entries.get(*self.slots.get(self.slot(user)?)? as usize)?;
        let limit = |bytes: u64| Some(bytes).filter(|&bytes| bytes != UNLIMITED);
        Some(Limit { soft: limit(entry.soft), hard: limit(entry.hard) })
    }

    /// The users, in the order they were added.
    pub fn users(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| self.name(entry))
    }

    /// How many users have a limit.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nobody has one.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The memory that is held, in bytes.
    pub fn bytes(&self) -> usize {
        self.names.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.slots.capacity() * size_of::<u32>()
    }

    /// Gives back memory that was kept for more users.
    pub fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`LimitFault`] where the user is there already, or the limit cannot be meant.
    pub fn add(&mut self, user: &[u8], limit: Limit) -> Result<(), LimitFault> {
        match (limit.soft, limit.hard) {
            (None, None) => return Err(LimitFault::None),
            (Some(soft), Some(hard)) if soft > hard => return Err(LimitFault::SoftAboveHard),
            _ => {}
        }
        if user.is_empty() {
            return Err(LimitFault::NoUser);
        }
        if user.len() > USER_BYTES_MAX {
            return Err(LimitFault::LongName);
        }
        if self.entries.len() == USERS_MAX {
            return Err(LimitFault::TooManyUsers);
        }
        if (self.entries.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let slot = self.slot(user).expect("slots are never full");
        if self.slots[slot] != EMPTY {
            return Err(LimitFault::Twice);
        }
        // What they are is at most USERS_MAX * USER_BYTES_MAX.
        let number = |it: usize| u32::try_from(it).expect("bounded");
        self.slots[slot] = number(self.entries.len());
        self.entries.push(Entry {
            begin: number(self.names.len()),
            length: number(user.len()),
            soft: limit.soft.unwrap_or(UNLIMITED),
            hard: limit.hard.unwrap_or(UNLIMITED),
        });
        self.names.extend_from_slice(user);
        Ok(())
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        &self.names[entry.begin as usize..][..entry.length as usize]
    }

    /// The slot of a user, or the empty one where it belongs.
    fn slot(&self, user: &[u8]) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut hasher = DefaultHasher::new();
        hasher.write(user);
        let mut slot = hasher.finish() as usize & mask;
        loop {
            match self.entries.get(self.slots[slot] as usize) {
                Some(entry) if self.name(entry) != user => slot = (slot + 1) & mask,
                _ => return Some(slot),
            }
        }
    }

    /// Twice as many slots.
    fn grow(&mut self) {
        self.slots = vec![EMPTY; (self.slots.len() * 2).max(16)];
        for number in 0..self.entries.len() {
            let name = self.name(&self.entries[number]);
            let slot = self.slot(name).expect("there are slots");
            self.slots[slot] = u32::try_from(number).expect("bounded");
        }
    }
}

/// The same users with the same limits, whatever their order.
impl PartialEq for Limits {
    fn eq(&self, other: &Limits) -> bool {
        self.len() == other.len() && self.users().all(|user| self.of(user) == other.of(user))
    }
}

impl Eq for Limits {}

/// What is wrong with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitFault {
    /// A size that is none.
    Size(SizeFault),
    /// No limit at all.
    None,
    /// The soft limit is above the hard one.
    SoftAboveHard,
    /// The user has a limit already.
    Twice,
    /// No name.
    NoUser,
    /// A quote without its end, or with more behind it.
    Quote,
    /// More than two sizes.
    TooMany,
    /// A line of an INI file that is neither a section nor a limit.
    NoPair,
    /// A limit that stands in no section.
    NoSection,
    /// A name of more than [`USER_BYTES_MAX`] bytes.
    LongName,
    /// More than [`USERS_MAX`] users.
    TooManyUsers,
}

impl From<SizeFault> for LimitFault {
    fn from(fault: SizeFault) -> LimitFault {
        LimitFault::Size(fault)
    }
}

impl fmt::Display for LimitFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitFault::Size(fault) => return fault.fmt(f),
            LimitFault::None => {
                "no limit for this user: write user,soft,hard, or take the line out"
            }
            LimitFault::SoftAboveHard => "the soft limit is above the hard one: swap the two",
            LimitFault::Twice => "a second limit for the same user: take one out",
            LimitFault::NoUser => "no user: write user,soft,hard",
            LimitFault::Quote => "a name in quotes that do not end, or do not end the name",
            LimitFault::TooMany => "more than a soft and a hard limit: write user,soft,hard",
            LimitFault::NoPair => "neither a section nor `user = soft, hard`",
            LimitFault::NoSection => "it stands before [limits] or [users]: move it there",
            LimitFault::LongName => "a name that is longer than any server has",
            LimitFault::TooManyUsers => "more than 4,000,000 users: no list of limits",
        })
    }
}

/// Where a text of limits is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub fault: LimitFault,
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.fault)
    }
}

/// A fault, and at which byte of a line.
type Found<T> = Result<T, (usize, LimitFault)>;

/// Reads a text of limits.
///
/// # Errors
/// The first fault, with its place.
///
/// ```
/// let limits = verdict::quota::parse_limits(b"# who\nt4711,5GB,8GB\n").unwrap();
/// assert_eq!(limits.of(b"t4711").unwrap().hard, Some(8 << 30));
/// let error = verdict::quota::parse_limits(b"t4711,5GB,8G\n").unwrap_err();
/// assert_eq!((error.line, error.column), (1, 11));
/// ```
pub fn parse_limits(text: &[u8]) -> Result<Limits, LimitsError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = || text.split(|&byte| byte == b'\n');
    let is_ini = lines().any(|line| line.trim_ascii_start().starts_with(b"["));
    let mut limits = Limits::default();
    let mut section = Section::None;
    for (line, number) in lines().zip(1..) {
        let read = match is_ini {
            true => ini_line(line, &mut section),
            false => list_line(line),
        };
        let added = read.and_then(|entry| {
            let Some((at, user, limit)) = entry else { return Ok(()) };
            limits.add(&user, limit).map_err(|fault| (at, fault))
        });
        added.map_err(|(at, fault)| LimitsError {
            line: number,
            column: column(line, at),
            fault,
        })?;
    }
    limits.shrink();
    Ok(limits)
}

/// The character at a byte of a line, from 1.
fn column(line: &[u8], at: usize) -> usize {
    // All but what continues a character of UTF-8.
    line[..at.min(line.len())].iter().filter(|&&byte| byte & 0xc0 != 0x80).count() + 1
}

/// A user with its limit, behind where the limit begins.
type Read = (usize, Vec<u8>, Limit);

/// `user,soft,hard` or `user soft hard`. `None`: a blank line or a comment.
fn list_line(line: &[u8]) -> Found<Option<Read>> {
    let Some(begin) = entry_begin(line) else { return Ok(None) };
    let end = entry_end(line, begin);
    let (user, behind, separator) = match line[begin] {
        b'"' | b'\'' => {
            let (user, behind) = quoted_name(line, begin)?;
            let next = line[behind..end].iter().position(|byte| !byte.is_ascii_whitespace());
            let is_list = next.is_some_and(|at| line[behind + at] == b',');
            if !is_list && next == Some(0) {
                return Err((behind, LimitFault::Quote));
            }
            (user, behind, is_list.then_some(b','))
        }
        _ => {
            let comma = line[begin..end].iter().position(|&byte| byte == b',');
            let blank = || line[begin..end].iter().position(u8::is_ascii_whitespace);
            let length = comma.or_else(blank).unwrap_or(end - begin);
            let user = line[begin..begin + length].trim_ascii().to_vec();
            (user, begin + length, comma.map(|_| b','))
        }
    };
    let fields = match separator {
        Some(comma) => {
            // The first field is what is left of the name: nothing.
            let mut fields = split(line, behind, end, |byte| byte == comma);
            fields.remove(0);
            fields
        }
        None => {
            let mut fields = split(line, behind, end, |byte| byte.is_ascii_whitespace());
            fields.retain(|&(_, field)| !field.is_empty());
            fields
        }
    };
    limit_of(&fields, begin).map(|(at, limit)| Some((at, user, limit)))
}

/// Where an INI file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    /// Before all sections.
    None,
    /// In one of limits.
    Limits,
    /// In another.
    Other,
}

/// `[section]` or `user = soft, hard`.
fn ini_line(line: &[u8], section: &mut Section) -> Found<Option<Read>> {
    let Some(begin) = entry_begin(line) else { return Ok(None) };
    if line[begin] == b'[' {
        let name = line[begin + 1..].split(|&byte| byte == b']').next().unwrap_or_default();
        let is_limits = [&b"limits"[..], b"users"].contains(&name.trim_ascii());
        *section = if is_limits { Section::Limits } else { Section::Other };
        return Ok(None);
    }
    match section {
        Section::Other => return Ok(None),
        Section::None => return Err((begin, LimitFault::NoSection)),
        Section::Limits => {}
    }
    let end = entry_end(line, begin);
    let equals = |from: usize| line[from..end].iter().position(|&byte| byte == b'=');
    let (user, at) = match line[begin] {
        b'"' | b'\'' => {
            let (user, behind) = quoted_name(line, begin)?;
            let length = equals(behind).ok_or((begin, LimitFault::NoPair))?;
            if !line[behind..behind + length].trim_ascii().is_empty() {
                return Err((behind, LimitFault::Quote));
            }
            (user, behind + length)
        }
        _ => {
            let length = equals(begin).ok_or((begin, LimitFault::NoPair))?;
            (line[begin..begin + length].trim_ascii().to_vec(), begin + length)
        }
    };
    let fields = split(line, at + 1, end, |byte| byte == b',');
    limit_of(&fields, begin).map(|(at, limit)| Some((at, user, limit)))
}

/// The first byte of an entry; `None` for blank lines and comments.
fn entry_begin(line: &[u8]) -> Option<usize> {
    let begin = line.iter().position(|byte| !byte.is_ascii_whitespace())?;
    (!matches!(line[begin], b'#' | b';')).then_some(begin)
}

/// Behind the last byte of an entry: before a comment and blanks. A `#` in quotes begins none.
fn entry_end(line: &[u8], begin: usize) -> usize {
    let from = match line[begin] {
        b'"' | b'\'' => quoted_name(line, begin).map_or(begin, |(_, behind)| behind),
        _ => begin,
    };
    let is_comment = |pair: &[u8]| pair[0].is_ascii_whitespace() && pair[1] == b'#';
    let comment = line[from..].windows(2).position(is_comment);
    let end = comment.map_or(line.len(), |at| from + at);
    begin + line[begin..end].trim_ascii_end().len()
}

/// A name in quotes that begin at this byte, and the byte behind them.
fn quoted_name(line: &[u8], begin: usize) -> Found<(Vec<u8>, usize)> {
    let quote = line[begin];
    let (mut name, mut at) = (Vec::new(), begin + 1);
    loop {
        match line.get(at) {
            None => return Err((begin, LimitFault::Quote)),
            Some(&byte) if byte == quote && line.get(at + 1) == Some(&quote) => {
                name.push(byte);
                at += 2;
            }
            Some(&byte) if byte == quote => return Ok((name, at + 1)),
            Some(&byte) => {
                name.push(byte);
                at += 1;
            }
        }
    }
}

/// The fields between two bytes of a line, without blanks around them, each with where it begins.
fn split(
    line: &[u8],
    from: usize,
    to: usize,
    is_separator: impl Fn(u8) -> bool,
) -> Vec<(usize, &[u8])> {
    let mut fields = Vec::new();
    let from = from.min(to);
    let mut begin = from;
    for at in from..=to {
        if at == to || is_separator(line[at]) {
            let field = &line[begin..at];
            let blanks = field.len() - field.trim_ascii_start().len();
            fields.push((begin + blanks, field.trim_ascii()));
            begin = at + 1;
        }
    }
    fields
}

/// The sizes of one entry; with where the first begins. `begin` is where the entry does.
fn limit_of(fields: &[(usize, &[u8])], begin: usize) -> Found<(usize, Limit)> {
    if let Some(&(at, _)) = fields.get(2) {
        return Err((at, LimitFault::TooMany));
    }
    let size = |field: Option<&(usize, &[u8])>| {
        let Some(&(at, text)) = field else { return Ok(None) };
        // `user,,3GB` has no soft limit.
        if text.is_empty() && fields.len() > 1 {
            return Ok(None);
        }
        let text = std::str::from_utf8(text).map_err(|_| (at, SizeFault::Form.into()))?;
        let bytes = parse_size(text, Base::Binary).map_err(|fault| (at, fault.into()))?;
        Ok(Some(bytes).filter(|&bytes| bytes > 0))
    };
    let limit = Limit { soft: size(fields.first())?, hard: size(fields.get(1))? };
    match limit {
        Limit { soft: None, hard: None } => Err((begin, LimitFault::None)),
        limit => Ok((fields[0].0, limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    fn read(text: &str) -> Vec<(String, Option<u64>, Option<u64>)> {
        let limits = parse_limits(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let users = limits.users().map(|user| {
            let limit = limits.of(user).unwrap();
            (String::from_utf8(user.to_vec()).unwrap(), limit.soft, limit.hard)
        });
        let mut users: Vec<_> = users.collect();
        users.sort();
        users
    }

    fn row(
        user: &str,
        soft: impl Into<Option<u64>>,
        hard: impl Into<Option<u64>>,
    ) -> (String, Option<u64>, Option<u64>) {
        (user.to_owned(), soft.into(), hard.into())
    }

    #[test]
    fn the_daemons_list_is_read_as_it_stands() {
        let text = "\u{feff}# Monitored users\n\n  ; old\nuser1,2GB,3GB\r\nuser2,500MB\n\
                    user3 , 1.5GB , 2gb   # since May\nplain,2000000000,3000000000\nhard only,,1TB\nsoft only,1,";
        assert_eq!(
            read(text),
            [
                row("hard only", None, 1024 * GIB),
                row("plain", 2_000_000_000, 3_000_000_000),
                row("soft only", 1, None),
                row("user1", 2 * GIB, 3 * GIB),
                row("user2", 500 * MIB, None),
                row("user3", 3 * GIB / 2, 2 * GIB),
            ]
        );
        assert_eq!(read(""), []);
    }

    #[test]
    fn columns_of_later_versions() {
        let text = "# user soft hard\nalice 1000000000 2000000000\nbob\t5000000000   8000000000 # x, y\n\
                    test 0 3000000000\n";
        assert_eq!(
            read(text),
            [
                row("alice", 1_000_000_000, 2_000_000_000),
                row("bob", 5_000_000_000, 8_000_000_000),
                row("test", None, 3_000_000_000),
            ]
        );
    }

    #[test]
    fn sections_of_later_versions() {
        let text = "# main\n[general]\ncheck_interval = 30\nnonsense\n\n[limits]\n\
                    user1 = 500000000 , 1000000000\nuser2=5\n[database]\nhost = 127.0.0.1\n\
                    [users]\n\"a = b\" = 1 , 2 # c\n";
        assert_eq!(
            read(text),
            [row("a = b", 1, 2), row("user1", 500_000_000, 1_000_000_000), row("user2", 5, None)]
        );
    }

    #[test]
    fn names_with_quotes_commas_and_signs() {
        let text =
            "\"o'neil, \"\"jr\"\"\",1,2\n'it''s #1' 1 2\no'neil,1,2\na#b,1,2\n\u{fc} x,1,2\n";
        assert_eq!(
            read(text),
            [
                row("a#b", 1, 2),
                row("it's #1", 1, 2),
                row("o'neil", 1, 2),
                row("o'neil, \"jr\"", 1, 2),
                row("\u{fc} x", 1, 2),
            ]
        );
        let limits = parse_limits(b"caf\xe9,1,2\n").unwrap();
        assert_eq!(limits.of(b"caf\xe9"), Some(Limit { soft: Some(1), hard: Some(2) }));
    }

    #[test]
    fn faults_have_line_and_column() {
        for (text, line, column, fault) in [
            ("a,1\nb,2XB\n", 2, 3, LimitFault::Size(SizeFault::Form)),
            ("a, ,\n", 1, 1, LimitFault::None),
            ("\u{fc},1, 2 GX", 1, 6, LimitFault::Size(SizeFault::Form)),
            ("a,-5MB", 1, 3, LimitFault::Size(SizeFault::Negative)),
            ("a,1,99999999999TB", 1, 5, LimitFault::Size(SizeFault::TooLarge)),
            ("a,3GB,2GB", 1, 3, LimitFault::SoftAboveHard),
            ("a,1\n# x\n  a,2", 3, 5, LimitFault::Twice),
            ("a", 1, 1, LimitFault::None),
            ("a,", 1, 3, LimitFault::Size(SizeFault::Form)),
            ("a,0,0", 1, 1, LimitFault::None),
            (",1,2", 1, 2, LimitFault::NoUser),
            ("a,1,2,3", 1, 7, LimitFault::TooMany),
            ("alice 2 GB", 1, 9, LimitFault::Size(SizeFault::Form)),
            ("'a,1,2", 1, 1, LimitFault::Quote),
            ("'a'b,1,2", 1, 4, LimitFault::Quote),
            ("a = 1\n[limits]", 1, 1, LimitFault::NoSection),
            ("[limits]\na 1", 2, 1, LimitFault::NoPair),
            ("[limits]\n a = x", 2, 6, LimitFault::Size(SizeFault::Form)),
            ("[limits]\n'a' b = 1", 2, 4, LimitFault::Quote),
            ("[users]\na = { soft = 1 }", 2, 5, LimitFault::Size(SizeFault::Form)),
        ] {
            let error = parse_limits(text.as_bytes()).expect_err(text);
            assert_eq!((error.line, error.column, error.fault), (line, column, fault), "{text}");
        }
    }

    #[test]
    fn many_users_in_little_memory() {
        let mut limits = Limits::default();
        let name = |number: usize| format!("user{number:07}");
        // No order that helps.
        let numbers = || (0..1_000_000).map(|number| number * 7919 % 1_000_000);
        for number in numbers() {
            let limit = Limit { soft: Some(number as u64), hard: None };
            limits.add(name(number).as_bytes(), limit).unwrap();
        }
        limits.shrink();
        assert_eq!(limits.len(), 1_000_000);
        assert!(limits.bytes() <= 44_000_000, "{} bytes", limits.bytes());
        for number in [0, 1, 7919, 999_999] {
            let limit = Limit { soft: Some(number as u64), hard: None };
            assert_eq!(limits.of(name(number).as_bytes()), Some(limit));
            assert_eq!(limits.add(name(number).as_bytes(), limit), Err(LimitFault::Twice));
        }
        assert_eq!(limits.of(b"user1000000"), None);
        assert!(limits.users().eq(numbers().map(|number| name(number).into_bytes())));
    }

    #[test]
    fn bounds_of_names_and_of_their_number() {
        let mut limits = Limits::default();
        let limit = Limit { soft: Some(SIZE_MAX), hard: Some(SIZE_MAX) };
        let name = vec![b'a'; USER_BYTES_MAX];
        assert_eq!(limits.add(&name, limit), Ok(()));
        assert_eq!(limits.of(&name), Some(limit));
        assert_eq!(limits.add(&[&name[..], b"a"].concat(), limit), Err(LimitFault::LongName));
        // As if so many had been added.
        limits.entries.resize(USERS_MAX - 1, limits.entries[0]);
        limits.slots = vec![EMPTY; USERS_MAX * 2];
        assert_eq!(limits.add(b"the last", limit), Ok(()));
        assert_eq!(limits.add(b"one more", limit), Err(LimitFault::TooManyUsers));
    }

    #[test]
    fn limits_are_the_same_whatever_their_order() {
        let of = |text: &str| parse_limits(text.as_bytes()).unwrap();
        assert_eq!(of("a,1,2\nb,1"), of("b,1\na,1,2"));
        assert_ne!(of("a,1,2"), of("a,1,3"));
        assert_ne!(of("a,1,2"), of("b,1,2"));
        assert_ne!(of("a,1,2"), of("a,1,2\nb,1"));
    }

    #[test]
    fn no_text_panics() {
        let parts: [&[u8]; 12] =
            [b"a", b",", b"\"", b"'", b"#", b" ", b"=", b"[limits]", b"\n", b"1", b"\xff", b"GB"];
        // All texts of up to five parts.
        for number in 0..12_u32.pow(5) {
            let text: Vec<u8> = (0..5)
                .flat_map(|at| parts[(number / 12_u32.pow(at) % 12) as usize])
                .copied()
                .collect();
            if let Err(error) = parse_limits(&text) {
                assert!(error.line >= 1 && error.column >= 1);
            }
        }
    }
}
