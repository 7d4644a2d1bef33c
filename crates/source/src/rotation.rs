//! Which file names belong to one log, and in which order they were written.
//!
//! ```text
//! server_audit.log                         the stem: written to now
//! server_audit.log.1  .01  .001  .1.gz     numbered: 1 is the newest
//! server_audit.log-20261120                dated (logrotate's dateext), also .zst, _ and . before it
//! server_audit.log-20261120-1764000000     with the second
//! server_audit.log-2026-11-20              dateformat -%Y-%m-%d
//! server_audit.log-20261120.1              the second of one day
//! server_audit-20261120.log                the date before the extension (logrotate's extension)
//! ```
//!
//! Names are bytes and need not be UTF-8. A name tells the order only; whether two files hold the
//! same bytes is told by their content.

use std::cmp::{Ordering, Reverse};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The most digits of a rotation number: logrotate counts to far less, and more is a time.
const NUMBER_DIGITS_MAX: usize = 6;

/// Endings of compressed files; whether one is compressed is told by its content.
const COMPRESSED: [&[u8]; 4] = [b".gz", b".zst", b".zstd", b".z"];

/// A file name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// The name of the file that the server writes to.
    pub(crate) stem: Vec<u8>,
    /// Which of its files this is.
    pub(crate) turn: Turn,
}

/// Which file of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The one that is written to.
    Live,
    /// Moved along at each rotation: higher is older.
    Number(u64),
    /// Named when it was rotated: digits of the time, and a number where one day has several.
    Time(Vec<u8>, u64),
}

impl Turn {
    /// Older first, within one way of naming.
    pub(crate) fn order(&self, other: &Turn) -> Ordering {
        match (self, other) {
            (Turn::Number(ours), Turn::Number(theirs)) => Reverse(ours).cmp(&Reverse(theirs)),
            (Turn::Time(ours, n), Turn::Time(theirs, m)) => {
                // A date alone stands before a date with a time of the same day.
                ours.cmp(theirs).then(n.cmp(m))
            }
            _ => self.style().cmp(&other.style()),
        }
    }

    /// What the names alone show of a newer file.
    fn succession(&self, newer: &Turn) -> Succession {
        let adjoin = match (self, newer) {
            (Turn::Number(ours), Turn::Number(theirs)) if *ours > theirs + 1 => {
                return Succession::Apart;
            }
            (Turn::Number(ours), Turn::Live) if *ours > 1 => return Succession::Apart,
            (Turn::Number(_), Turn::Number(_) | Turn::Live) => true,
            (Turn::Time(ours, n), Turn::Time(theirs, m)) if ours == theirs => n + 1 == *m,
            (Turn::Time(ours, _), Turn::Time(theirs, 0)) => day_number(ours)
                .is_some_and(|day| day_number(theirs).is_some_and(|next| next == day + 1)),
            _ => false,
        };
        if adjoin { Succession::Adjoin } else { Succession::Untold }
    }

    /// The way of naming; the live file is always the newest.
    pub(crate) fn style(&self) -> Style {
        match self {
            Turn::Time(..) => Style::Time,
            Turn::Number(_) => Style::Number,
            Turn::Live => Style::Live,
        }
    }
}

/// Ways of naming rotated files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Style {
    Time,
    Number,
    Live,
}

/// What the names of two files show of what was between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// Nothing: `.2` and `.1`, two days in succession.
    Adjoin,
    /// Another file: `.3` and `.1`.
    Apart,
    /// Neither: dates tell when, not how often.
    Untold,
}

/// Which of a log's files follow one another: numbers of the older and the newer one, and what their names
/// show of what was between them. Paths are those of one log, in any order.
pub fn neighbours(paths: &[&Path]) -> Vec<(usize, usize, Succession)> {
    let name = |path: &Path| parse(path.file_name().unwrap_or_default().as_bytes());
    let mut names: Vec<(usize, Name)> =
        paths.iter().enumerate().map(|(at, path)| (at, name(path))).collect();
    names.sort_by(|(a, ours), (b, theirs)| {
        ours.stem.cmp(&theirs.stem).then(ours.turn.order(&theirs.turn)).then(a.cmp(b))
    });
    let groups: Vec<&[(usize, Name)]> = names.chunk_by(|(_, a), (_, b)| a == b).collect();
    let mut pairs = Vec::new();
    for pair in groups.windows(2) {
        let (older, newer) = (&pair[0][0].1, &pair[1][0].1);
        if older.stem == newer.stem {
            let shown = older.turn.succession(&newer.turn);
            let both = pair[0].iter().flat_map(|a| pair[1].iter().map(move |b| (a.0, b.0)));
            pairs.extend(both.map(|(older, newer)| (older, newer, shown)));
        }
    }
    pairs
}

/// The number of a day, from a date of eight digits; for comparing only.
fn day_number(digits: &[u8]) -> Option<i64> {
    let number = |part: &[u8]| std::str::from_utf8(part).ok()?.parse::<i64>().ok();
    let (year, month, day) = match digits.len() {
        8 => (number(&digits[..4])?, number(&digits[4..6])?, number(&digits[6..])?),
        _ => return None,
    };
    // Days since 1 March of the year 0: a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day)
}

/// Takes a file name apart. Every name has a stem, at least itself.
pub(crate) fn parse(name: &[u8]) -> Name {
    let base = COMPRESSED
        .iter()
        .find_map(|ending| name.strip_suffix(*ending).filter(|base| !base.is_empty()))
        .unwrap_or(name);
    if let Some(found) = numbered(base) {
        return found;
    }
    if let Some((stem, time)) = dated(base) {
        return Name { stem: stem.to_vec(), turn: Turn::Time(time, 0) };
    }
    // logrotate's `extension`: the date stands before the ending of the live file.
    if let Some(dot) = base.iter().rposition(|byte| *byte == b'.')
        && base[dot + 1..].iter().all(u8::is_ascii_alphabetic)
        && let Some((stem, time)) = dated(&base[..dot])
    {
        return Name { stem: [stem, &base[dot..]].concat(), turn: Turn::Time(time, 0) };
    }
    Name { stem: base.to_vec(), turn: Turn::Live }
}

/// `stem.7`, or `stem-20261120.7`.
fn numbered(base: &[u8]) -> Option<Name> {
    let dot = base.iter().rposition(|byte| *byte == b'.')?;
    let digits = &base[dot + 1..];
    if dot == 0 || digits.is_empty() || digits.len() > NUMBER_DIGITS_MAX {
        return None;
    }
    let (number, rest) = (number(digits)?, &base[..dot]);
    if let Some((stem, time)) = dated(rest) {
        return Some(Name { stem: stem.to_vec(), turn: Turn::Time(time, number) });
    }
    // `audit-10.0.0.7` is named after a host.
    let before = rest.rsplit(|byte| *byte == b'.').next()?;
    let of_host = before.len() < rest.len() && before.iter().all(u8::is_ascii_digit);
    (!of_host).then(|| Name { stem: rest.to_vec(), turn: Turn::Number(number) })
}

/// `server_audit.1.log` (logrotate's `extension` without dates) as `server_audit.log` and 1. Only
/// to be believed where that file exists: `audit.2.log` may be the log of a second server.
pub(crate) fn numbered_inside(stem: &[u8]) -> Option<Name> {
    let dot = stem.iter().rposition(|byte| *byte == b'.')?;
    let Name { stem: base, turn: turn @ Turn::Number(_) } = numbered(&stem[..dot])? else {
        return None;
    };
    Some(Name { stem: [&base, &stem[dot..]].concat(), turn })
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Splits a time off the end: the stem, and the digits of the time in the order of their weight.
fn dated(base: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let is_time = |byte: &u8| byte.is_ascii_digit() || b"-_.:T".contains(byte);
    let mut start = base.iter().rposition(|byte| !is_time(byte)).map_or(0, |i| i + 1);
    // The longest run of digits and separators that is a time wins: `.log-2026-11-20-10`.
    while start < base.len() {
        if b"-_.".contains(&base[start])
            && start > 0
            && let Some(time) = time(&base[start + 1..])
        {
            return Some((&base[..start], time));
        }
        start += 1;
    }
    None
}

/// `20261120`, `2026-11-20`, either followed by hour, minute, second or by seconds since 1970.
fn time(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().filter(u8::is_ascii_digit).collect();
    let ends_well = text.last().is_some_and(u8::is_ascii_digit);
    let starts_well = text.first().is_some_and(u8::is_ascii_digit);
    // 8 day, 10 hour, 12 minute, 14 second, 18 day and seconds since 1970.
    if !starts_well || !ends_well || ![8, 10, 12, 14, 18].contains(&digits.len()) {
        return None;
    }
    let year = number(&digits[..4])?;
    let month = number(&digits[4..6])?;
    let day = number(&digits[6..8])?;
    let sane =
        (1990..=2999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    sane.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, stem: &str, turn: Turn) {
        assert_eq!(parse(name.as_bytes()), Name { stem: stem.into(), turn }, "{name}");
    }

    fn time(digits: &str, number: u64) -> Turn {
        Turn::Time(digits.into(), number)
    }

    #[test]
    fn names_of_every_rotation_style() {
        let stem = "server_audit.log";
        check("server_audit.log", stem, Turn::Live);
        check("server_audit.log.gz", stem, Turn::Live);
        check("server_audit.log.1", stem, Turn::Number(1));
        check("server_audit.log.01", stem, Turn::Number(1));
        check("server_audit.log.010", stem, Turn::Number(10));
        check("server_audit.log.1.gz", stem, Turn::Number(1));
        check("server_audit.log.999.zst", stem, Turn::Number(999));
        check("server_audit.log-20261120", stem, time("20261120", 0));
        check("server_audit.log-20261120.gz", stem, time("20261120", 0));
        check("server_audit.log.20261120", stem, time("20261120", 0));
        check("server_audit.log_20261120", stem, time("20261120", 0));
        check("server_audit.log-2026-11-20", stem, time("20261120", 0));
        check("server_audit.log-2026-11-20.zst", stem, time("20261120", 0));
        check("server_audit.log.2026-11-20_10", stem, time("2026112010", 0));
        check("server_audit.log-20261120-1764000000", stem, time("202611201764000000", 0));
        check("server_audit.log-20261120.1", stem, time("20261120", 1));
        check("server_audit.log-20261120.2.gz", stem, time("20261120", 2));
        check("server_audit-20261120.log", stem, time("20261120", 0));
        check("server_audit-20261120.log.gz", stem, time("20261120", 0));
    }

    #[test]
    fn names_that_tell_nothing_are_their_own_stem() {
        for name in ["audit", ".1", "audit-10.0.0.7", "a.", "audit-99999999", "audit-20261320"] {
            check(name, name, Turn::Live);
        }
        assert_eq!(parse(b".gz").stem, b".gz");
        assert_eq!(parse(b"").stem, b"");
        assert_eq!(parse(b"20261120").turn, Turn::Live);
        assert_eq!(parse(b"a\xff.log.2").stem, b"a\xff.log");
    }

    #[test]
    fn a_number_before_the_ending() {
        let found = numbered_inside(b"server_audit.2.log").unwrap();
        assert_eq!(found, Name { stem: b"server_audit.log".to_vec(), turn: Turn::Number(2) });
        assert_eq!(numbered_inside(b"server_audit.log"), None);
        assert_eq!(numbered_inside(b"audit-10.0.0.7.log"), None);
    }

    #[test]
    fn a_number_above_the_bound_is_no_rotation() {
        check("a.log.999999", "a.log", Turn::Number(999_999));
        check("a.log.1234567", "a.log.1234567", Turn::Live);
    }

    #[test]
    fn neighbours_by_name() {
        use Succession::{Adjoin, Apart, Untold};
        let check = |names: &[&str], expected: &[(usize, usize, Succession)]| {
            let paths: Vec<&Path> = names.iter().map(Path::new).collect();
            assert_eq!(neighbours(&paths), expected, "{names:?}");
        };
        let all = ["a.log", "x/a.log.1", "a.log.2.gz", "a.log.4"];
        check(&all, &[(3, 2, Apart), (2, 1, Adjoin), (1, 0, Adjoin)]);
        check(&["a.log.2", "a.log"], &[(0, 1, Apart)]);
        check(&["a.log.1", "a.log.1.gz", "a.log"], &[(0, 2, Adjoin), (1, 2, Adjoin)]);
        check(&["a-20240228", "a-20240229", "a-20240301"], &[(0, 1, Adjoin), (1, 2, Adjoin)]);
        check(&["a-20230228", "a-20230301", "a-20230303"], &[(0, 1, Adjoin), (1, 2, Untold)]);
        check(&["a-20251231", "a-20260101", "a-20260101.1"], &[(0, 1, Adjoin), (1, 2, Adjoin)]);
        check(&["a-20251231", "a"], &[(0, 1, Untold)]);
        check(&["a.log.1", "b.log"], &[]);
        check(&[], &[]);
    }

    #[test]
    fn older_comes_first() {
        let mut names = vec!["a.log", "a.log.2", "a.log.10", "a.log.1"];
        names.sort_by(|a, b| parse(a.as_bytes()).turn.order(&parse(b.as_bytes()).turn));
        assert_eq!(names, ["a.log.10", "a.log.2", "a.log.1", "a.log"]);
        let mut names = vec!["a-20261120.1", "a-20261120", "a-20251231", "a-20261120-1764000000"];
        names.sort_by(|a, b| parse(a.as_bytes()).turn.order(&parse(b.as_bytes()).turn));
        assert_eq!(names, ["a-20251231", "a-20261120", "a-20261120.1", "a-20261120-1764000000"]);
    }
}
