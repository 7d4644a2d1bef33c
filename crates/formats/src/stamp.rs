//! Time stamps as the dialects write them, to microseconds since 1970.
//!
//! ```text
//! 20260314 09:26:53                   server_audit: the server's local time     → Local
//! 1653053459680124                    Aurora: microseconds since 1970           → Utc
//! 20231207T13:14:28.000000+0100       a configured form with an offset          → Utc
//! 2023-12-07 13:14:28                 one without                               → Local
//! 2026-11-20T07:18:43.123456Z         RFC 3339                                  → Utc
//! Nov  4 07:18:43                     syslog (RFC 3164): no year                → LocalWithoutYear
//! ```
//!
//! # Invariants
//! * The calendar is checked (29 February 2026 is no date); the years are 1970 to 9999.
//! * Second 60 is taken as the second after 59: the same arithmetic.

use crate::event::Stamp;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;

/// What the beginning of a line says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lead {
    /// It is no time stamp.
    None,
    /// It has the form of one and is no time; so many bytes.
    Bad(usize),
    /// A time stamp of so many bytes.
    Good(Stamp, usize),
}

/// The last time stamp that was read: log lines share them by the dozen.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    text: [u8; 17],
    stamp: Stamp,
}

impl Cache {
    pub(crate) fn new() -> Cache {
        Cache { text: [0; 17], stamp: Stamp::Local(0) }
    }

    /// [`lead`], without the arithmetic where the 17 bytes are those of the last call.
    pub(crate) fn lead(&mut self, line: &[u8]) -> Lead {
        if line.len() > 17 && line[17] == b',' && line[..17] == self.text {
            return Lead::Good(self.stamp, 17);
        }
        let found = lead(line);
        if let Lead::Good(stamp, 17) = found
            && line.get(17) == Some(&b',')
        {
            self.text.copy_from_slice(&line[..17]);
            self.stamp = stamp;
        }
        found
    }
}

/// Reads the time stamp that a server_audit record begins with: any form but syslog's, the comma
/// not included.
pub(crate) fn lead(line: &[u8]) -> Lead {
    if let Some(micros) = epoch(line) {
        return Lead::Good(Stamp::Utc(micros), 16);
    }
    date_time(line)
}

/// Sixteen digits and no seventeenth: microseconds since 1970.
fn epoch(line: &[u8]) -> Option<i64> {
    let digits = line.get(..16)?;
    if line.get(16).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    number(digits)
}

/// `YYYYMMDD` or `YYYY-MM-DD`, a space or `T`, `HH:MM:SS`, then a fraction and an offset where
/// there are any.
pub(crate) fn date_time(line: &[u8]) -> Lead {
    let Some((year, month, day, date_bytes)) = date(line) else { return Lead::None };
    let Some(&(b' ' | b'T')) = line.get(date_bytes) else { return Lead::None };
    let Some(clock) = clock(&line[date_bytes + 1..]) else { return Lead::None };
    let mut at = date_bytes + 9;
    let (fraction, fraction_bytes) = fraction(&line[at..]);
    at += fraction_bytes;
    let (offset, offset_bytes) = offset(&line[at..]);
    at += offset_bytes;
    let micros = days(year, month, day)
        .zip(clock)
        .map(|(days, seconds)| (days * 86_400 + seconds) * SECOND + fraction);
    match (micros, offset) {
        (None, _) | (_, Some(Err(()))) => Lead::Bad(at),
        (Some(micros), None) => Lead::Good(Stamp::Local(micros), at),
        (Some(micros), Some(Ok(seconds))) => Lead::Good(Stamp::Utc(micros - seconds * SECOND), at),
    }
}

/// `Mon dd HH:MM:SS`, the day padded with a space or a zero.
pub(crate) fn without_year(line: &[u8]) -> Lead {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    const BYTES: usize = 15;
    let Some(text) = line.get(..BYTES) else { return Lead::None };
    let Some(month) = MONTHS.iter().position(|name| text.starts_with(*name)) else {
        return Lead::None;
    };
    let tens = if text[4] == b' ' { b'0' } else { text[4] };
    let (Some(day), Some(clock)) = (number(&[tens, text[5]]), clock(&text[7..])) else {
        return Lead::None;
    };
    if text[3] != b' ' || text[6] != b' ' {
        return Lead::None;
    }
    // 1972 is the first leap year of the calendar that stamps are counted in.
    let new_year = days(1972, 1, 1).unwrap_or(0);
    match days(1972, month as i64 + 1, day).zip(clock) {
        Some((days, seconds)) => {
            let micros = ((days - new_year) * 86_400 + seconds) * SECOND;
            Lead::Good(Stamp::LocalWithoutYear(micros), BYTES)
        }
        None => Lead::Bad(BYTES),
    }
}

/// Finds the form of a time stamp that is directly followed by a comma anywhere in `text`: what the
/// beginning of another record looks like. `epoch_too`: sixteen digits count as one.
pub(crate) fn occurs_in(text: &[u8], epoch_too: bool) -> bool {
    memchr::memchr_iter(b':', text).any(|colon| clock_of_stamp(text, colon))
        || (epoch_too && memchr::memchr_iter(b',', text).any(|comma| epoch_before(text, comma)))
}

/// Is `colon` the first one of a stamp's `HH:MM:SS`, with a date before and a comma after?
fn clock_of_stamp(text: &[u8], colon: usize) -> bool {
    let Some(start) = colon.checked_sub(3) else { return false };
    if !matches!(text[start], b' ' | b'T') || clock(&text[start + 1..]).is_none() {
        return false;
    }
    let before = &text[..start];
    let compact = before.len() >= 8 && before[before.len() - 8..].iter().all(u8::is_ascii_digit);
    let dashed = before.len() >= 10
        && date(&before[before.len() - 10..]).is_some_and(|(.., bytes)| bytes == 10);
    if !compact && !dashed {
        return false;
    }
    let mut at = start + 9;
    at += fraction(&text[at..]).1;
    at += offset(&text[at..]).1;
    text.get(at) == Some(&b',')
}

fn epoch_before(text: &[u8], comma: usize) -> bool {
    comma >= 16 && text[comma - 16..comma].iter().all(u8::is_ascii_digit)
}

/// Year, month, day as written and their length: 8 or 10 bytes.
fn date(text: &[u8]) -> Option<(i64, i64, i64, usize)> {
    let year = number(text.get(..4)?)?;
    if text.get(4) == Some(&b'-') {
        if text.get(7) != Some(&b'-') {
            return None;
        }
        Some((year, number(text.get(5..7)?)?, number(text.get(8..10)?)?, 10))
    } else {
        Some((year, number(text.get(4..6)?)?, number(text.get(6..8)?)?, 8))
    }
}

/// `HH:MM:SS` as seconds; the inner `None` where it has the form and is no time of day.
fn clock(text: &[u8]) -> Option<Option<i64>> {
    let text = text.get(..8)?;
    if text[2] != b':' || text[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (number(&text[..2])?, number(&text[3..5])?, number(&text[6..])?);
    let valid = hour < 24 && minute < 60 && second <= 60;
    Some(valid.then_some(hour * 3600 + minute * 60 + second))
}

/// `.123456` as microseconds and its length; digits beyond the sixth are dropped. 0 and 0 where
/// there is none.
fn fraction(text: &[u8]) -> (i64, usize) {
    const DIGITS_MAX: usize = 9;
    let Some((b'.', rest)) = text.split_first() else { return (0, 0) };
    let digits = rest.iter().take(DIGITS_MAX + 1).take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > DIGITS_MAX {
        return (0, 0);
    }
    let micros = (0..6).fold(0, |sum, i| {
        let digit = if i < digits { i64::from(rest[i] - b'0') } else { 0 };
        sum * 10 + digit
    });
    (micros, digits + 1)
}

/// `Z`, `+01`, `+0100` or `+01:00` as seconds east and its length; the error where it is no offset
/// of this world (beyond 15 hours).
fn offset(text: &[u8]) -> (Option<Result<i64, ()>>, usize) {
    let space =
        usize::from(text.first() == Some(&b' ') && matches!(text.get(1), Some(b'+' | b'-')));
    let text = &text[space..];
    let sign = match text.first() {
        Some(b'Z') => return (Some(Ok(0)), 1),
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return (None, 0),
    };
    let Some(hours) = text.get(1..3).and_then(number) else { return (None, 0) };
    let colon = usize::from(text.get(3) == Some(&b':'));
    let (minutes, bytes) = match text.get(3 + colon..5 + colon).and_then(number) {
        Some(minutes) => (minutes, 5 + colon),
        None => (0, 3),
    };
    let valid = hours <= 15 && minutes < 60;
    let seconds = sign * (hours * 3600 + minutes * 60);
    (Some(if valid { Ok(seconds) } else { Err(()) }), space + bytes)
}

/// Days since 1970-01-01; `None` where the calendar has no such day or the year is not 1970 to
/// 9999.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let index = usize::try_from(month - 1).ok()?;
    let length = LENGTHS[index] + i64::from(leap && month == 2);
    if !(1..=length).contains(&day) {
        return None;
    }
    let past = year - 1;
    let leap_days = past / 4 - past / 100 + past / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let passed = i64::from(leap && month > 2);
    Some((year - 1970) * 365 + leap_days + BEFORE[index] + passed + day - 1)
}

/// A number of up to 18 decimal digits and nothing else.
fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits
        .iter()
        .try_fold(0i64, |sum, &b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Stamp {
        match lead(text.as_bytes()) {
            Lead::Good(stamp, bytes) => {
                assert_eq!(bytes, text.len(), "{text}");
                stamp
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_form_of_one_moment() {
        const UTC: i64 = 1_701_951_268_000_000;
        assert_eq!(good("20231207 12:14:28"), Stamp::Local(UTC));
        assert_eq!(good("2023-12-07 12:14:28"), Stamp::Local(UTC));
        assert_eq!(good("2023-12-07T12:14:28.5"), Stamp::Local(UTC + 500_000));
        assert_eq!(good("20231207T13:14:28.000000+0100"), Stamp::Utc(UTC));
        assert_eq!(good("2023-12-07T13:14:28.000000+01:00"), Stamp::Utc(UTC));
        assert_eq!(good("2023-12-07 06:44:28-0530"), Stamp::Utc(UTC));
        assert_eq!(good("2023-12-07 13:14:28 +01"), Stamp::Utc(UTC));
        assert_eq!(good("2023-12-07T12:14:28.123456789Z"), Stamp::Utc(UTC + 123_456));
        assert_eq!(good("1701951268000000"), Stamp::Utc(UTC));
        assert_eq!(good("20231207 12:13:60"), Stamp::Local(UTC - 28_000_000));
    }

    #[test]
    fn the_calendar_is_checked() {
        assert_eq!(good("19700101 00:00:00"), Stamp::Local(0));
        assert_eq!(good("99991231 23:59:59"), Stamp::Local(253_402_300_799_000_000));
        assert_eq!(good("20000229 00:00:00"), Stamp::Local(951_782_400_000_000));
        for bad in [
            "19691231 23:59:59",
            "21000229 00:00:00",
            "20260229 00:00:00",
            "20261301 00:00:00",
            "20260001 00:00:00",
            "20260100 00:00:00",
            "20260431 00:00:00",
            "20260101 24:00:00",
            "20260101 00:60:00",
            "20260101 00:00:61",
            "2026-01-01T00:00:00+1600",
        ] {
            assert_eq!(lead(bad.as_bytes()), Lead::Bad(bad.len()), "{bad}");
        }
        for none in
            ["", "x", "20260101", "20260101 00:00", "2026010100:00:00:", "2026-0101 00:00:00"]
        {
            assert_eq!(lead(none.as_bytes()), Lead::None, "{none}");
        }
    }

    #[test]
    fn days_agree_with_a_walk_through_the_calendar() {
        let mut expected = 0;
        for year in 1970..=2405 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(found) = days(year, month, day) {
                        assert_eq!(found, expected, "{year}-{month}-{day}");
                        expected += 1;
                    }
                }
            }
        }
        assert_eq!(expected, 436 * 365 + 106);
    }

    #[test]
    fn syslog_time_has_no_year() {
        const DAY: i64 = 86_400 * SECOND;
        let at = |text: &str| without_year(text.as_bytes());
        assert_eq!(at("Jan  1 00:00:00 "), Lead::Good(Stamp::LocalWithoutYear(0), 15));
        assert_eq!(at("Jan 01 00:00:01"), Lead::Good(Stamp::LocalWithoutYear(SECOND), 15));
        assert_eq!(at("Feb 29 00:00:00"), Lead::Good(Stamp::LocalWithoutYear(59 * DAY), 15));
        assert_eq!(at("Dec 31 00:00:00"), Lead::Good(Stamp::LocalWithoutYear(365 * DAY), 15));
        assert_eq!(at("Feb 30 00:00:00"), Lead::Bad(15));
        assert_eq!(at("Foo 30 00:00:00"), Lead::None);
    }

    #[test]
    fn the_beginning_of_a_record_is_found_in_a_name() {
        assert!(occurs_in(b"ro20261120 07:18:44,vm", false));
        assert!(occurs_in(b"x,2026-11-20T07:18:44.000+01:00,vm", false));
        assert!(!occurs_in(b"x,20261120 07:18:44 vm", false));
        assert!(!occurs_in(b"07:18:44,", false));
        assert!(!occurs_in(b"20261120xx 07:18:44,", false));
        assert!(occurs_in(b"x1653053459680124,vm", true));
        assert!(!occurs_in(b"x1653053459680124,vm", false));
    }

    #[test]
    fn the_cache_changes_nothing() {
        let mut cache = Cache::new();
        for line in ["20231207 12:14:28,a", "20231207 12:14:28,b", "20231207 12:14:28x", "x"] {
            assert_eq!(cache.lead(line.as_bytes()), lead(line.as_bytes()));
        }
    }
}
