//! Go's reference-time layouts, as conntracker's configuration holds them.
//!
//! A layout is the moment *Mon Jan 2 15:04:05 2006, UTC−7* written in the wished form:
//!
//! ```text
//! "20060102 15:04:05"            20261120 07:18:43
//! "2006-01-02 15:04:05-07:00"    2026-11-20 08:18:43+01:00
//!
//! year 2006 06   month 01 1 Jan January   day 02 2 _2, of the year 002 __2   weekday Mon Monday
//! hour 15 03 3, PM pm   minute 04 4   second 05 5   fraction .000 ,000 (all digits) .999 ,999 (no zeros)
//! offset -0700 -07:00 -07 -070000 -07:00:00, with Z for UTC: Z0700 Z07:00 …   zone MST
//! ```
//!
//! The rules are those of the Go documentation of package `time` (`Layout`, `Parse`, `Format`): a
//! fraction after the seconds is read even where the layout has none; a blank stands for any number
//! of blanks; names are read without regard to case. Unlike Go, which takes an unknown zone
//! abbreviation for UTC, such a text is refused.

use std::fmt::Write as _;

use jiff::civil;
use jiff::tz::{Offset, TimeZone};

use crate::time::moment;

/// The longest layout, in bytes; longer ones are no layouts.
pub(crate) const LAYOUT_BYTES_MAX: usize = 256;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// How a number is filled up to its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    No,
    Zero,
    Blank,
}

/// How an offset is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OffsetForm {
    /// `Z` for UTC.
    z: bool,
    colons: bool,
    /// 1: hours, 2: and minutes, 3: and seconds.
    parts: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Year,
    Year2,
    Month(Fill),
    MonthName { short: bool },
    Day(Fill),
    DayOfYear(Fill),
    Weekday { short: bool },
    Hour,
    Hour12(Fill),
    Minute(Fill),
    Second(Fill),
    HalfDay { upper: bool },
    Offset(OffsetForm),
    Abbreviation,
    Fraction { mark: char, digits: usize, all: bool },
}

/// A layout, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoLayout {
    text: String,
    pieces: Vec<Piece>,
}

impl GoLayout {
    /// Takes a layout apart.
    ///
    /// # Errors
    /// A message where it is too long, or holds no year, month and day or no time: then it is not
    /// the reference time (`YYYY-MM-DD` is a common slip).
    pub(crate) fn new(layout: &str) -> Result<GoLayout, String> {
        if layout.len() > LAYOUT_BYTES_MAX {
            return Err(format!("a time layout of more than {LAYOUT_BYTES_MAX} bytes"));
        }
        let pieces = split(layout);
        let has = |test: fn(&Piece) -> bool| pieces.iter().any(test);
        let month_and_day = has(|it| matches!(it, Piece::Month(_) | Piece::MonthName { .. }))
            && has(|it| matches!(it, Piece::Day(_)));
        let whole = has(|it| matches!(it, Piece::Year | Piece::Year2))
            && (month_and_day || has(|it| matches!(it, Piece::DayOfYear(_))))
            && has(|it| matches!(it, Piece::Hour | Piece::Hour12(_)));
        if !whole {
            return Err(format!(
                "{layout:?} is no Go time layout with date and time: write 2006-01-02 15:04:05"
            ));
        }
        Ok(GoLayout { text: layout.to_owned(), pieces })
    }

    /// The moment `micros` (microseconds UTC) in this layout and `zone`.
    pub(crate) fn format(&self, micros: i64, zone: &TimeZone) -> String {
        let moment = moment(micros);
        let info = zone.to_offset_info(moment);
        let local = info.offset().to_datetime(moment);
        let mut out = String::new();
        for piece in &self.pieces {
            push_piece(&mut out, piece, local, info.offset(), info.abbreviation());
        }
        out
    }

    /// The moment that `text` means, in microseconds UTC; `zone` counts where the text names no
    /// offset. A local time that occurs twice is its first occurrence. `None` where `text` is not
    /// in this layout.
    pub(crate) fn parse(&self, text: &str, zone: &TimeZone) -> Option<i64> {
        let mut found = Found::default();
        let mut rest = text;
        for (at, piece) in self.pieces.iter().enumerate() {
            rest = read_piece(piece, rest, &mut found, self.pieces.get(at + 1))?;
        }
        if !rest.is_empty() {
            return None;
        }
        found.moment(zone)
    }
}

/// The layout elements that are fixed words, longest first where one begins another.
fn word(rest: &str) -> Option<(usize, Piece)> {
    let offset = |z, colons, parts| Piece::Offset(OffsetForm { z, colons, parts });
    let words = [
        ("January", Piece::MonthName { short: false }),
        ("Monday", Piece::Weekday { short: false }),
        ("MST", Piece::Abbreviation),
        ("002", Piece::DayOfYear(Fill::Zero)),
        ("__2", Piece::DayOfYear(Fill::Blank)),
        ("01", Piece::Month(Fill::Zero)),
        ("02", Piece::Day(Fill::Zero)),
        ("03", Piece::Hour12(Fill::Zero)),
        ("04", Piece::Minute(Fill::Zero)),
        ("05", Piece::Second(Fill::Zero)),
        ("06", Piece::Year2),
        ("15", Piece::Hour),
        ("1", Piece::Month(Fill::No)),
        ("2006", Piece::Year),
        ("2", Piece::Day(Fill::No)),
        ("3", Piece::Hour12(Fill::No)),
        ("4", Piece::Minute(Fill::No)),
        ("5", Piece::Second(Fill::No)),
        ("PM", Piece::HalfDay { upper: true }),
        ("pm", Piece::HalfDay { upper: false }),
        ("-070000", offset(false, false, 3)),
        ("-07:00:00", offset(false, true, 3)),
        ("-0700", offset(false, false, 2)),
        ("-07:00", offset(false, true, 2)),
        ("-07", offset(false, false, 1)),
        ("Z070000", offset(true, false, 3)),
        ("Z07:00:00", offset(true, true, 3)),
        ("Z0700", offset(true, false, 2)),
        ("Z07:00", offset(true, true, 2)),
        ("Z07", offset(true, false, 1)),
    ];
    let found = words.into_iter().find(|(word, _)| rest.starts_with(word));
    if let Some((word, piece)) = found {
        return Some((word.len(), piece));
    }
    // `Jan` and `Mon` count only where no longer word goes on: "Month" is a literal.
    let ends = || !rest[3..].starts_with(|c: char| c.is_ascii_lowercase());
    if rest.starts_with("Jan") && ends() {
        return Some((3, Piece::MonthName { short: true }));
    }
    if rest.starts_with("Mon") && ends() {
        return Some((3, Piece::Weekday { short: true }));
    }
    // `_2` is a day, but `_2006` an underscore before the year.
    if rest.starts_with("_2") && !rest.starts_with("_2006") {
        return Some((2, Piece::Day(Fill::Blank)));
    }
    fraction(rest)
}

/// `.000`, `,999`: one mark and a run of one digit, not followed by another digit.
fn fraction(rest: &str) -> Option<(usize, Piece)> {
    let mark = rest.chars().next().filter(|c| matches!(c, '.' | ','))?;
    let digit = rest[1..].chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let digits = rest[1..].chars().take_while(|&c| c == digit).count();
    let ends = !rest[1 + digits..].starts_with(|c: char| c.is_ascii_digit());
    let piece = Piece::Fraction { mark, digits, all: digit == '0' };
    (ends && digits <= 9).then_some((1 + digits, piece))
}

fn split(layout: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        if let Some((bytes, piece)) = word(rest) {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
            rest = &rest[bytes..];
        } else {
            literal.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    pieces
}

fn push_number(out: &mut String, number: i32, width: usize, fill: Fill) {
    let _ = match fill {
        Fill::No => write!(out, "{number}"),
        Fill::Zero => write!(out, "{number:0width$}"),
        Fill::Blank => write!(out, "{number:width$}"),
    };
}

fn push_piece(out: &mut String, piece: &Piece, local: civil::DateTime, offset: Offset, zone: &str) {
    let name = |names: &[&str], at: i8, short: bool| {
        let name = names[at as usize];
        if short { name[..3].to_owned() } else { name.to_owned() }
    };
    match *piece {
        Piece::Literal(ref text) => out.push_str(text),
        Piece::Year => push_number(out, local.year().into(), 4, Fill::Zero),
        Piece::Year2 => push_number(out, (local.year() % 100).abs().into(), 2, Fill::Zero),
        Piece::Month(fill) => push_number(out, local.month().into(), 2, fill),
        Piece::MonthName { short } => out.push_str(&name(&MONTHS, local.month() - 1, short)),
        Piece::Day(fill) => push_number(out, local.day().into(), 2, fill),
        Piece::DayOfYear(fill) => push_number(out, local.day_of_year().into(), 3, fill),
        Piece::Weekday { short } => {
            let at = local.weekday().to_monday_zero_offset();
            out.push_str(&name(&WEEKDAYS, at, short));
        }
        Piece::Hour => push_number(out, local.hour().into(), 2, Fill::Zero),
        Piece::Hour12(fill) => {
            let hour = (local.hour() + 11) % 12 + 1;
            push_number(out, hour.into(), 2, fill);
        }
        Piece::Minute(fill) => push_number(out, local.minute().into(), 2, fill),
        Piece::Second(fill) => push_number(out, local.second().into(), 2, fill),
        Piece::HalfDay { upper } => {
            let text = if local.hour() < 12 { "AM" } else { "PM" };
            out.push_str(&if upper { text.to_owned() } else { text.to_lowercase() });
        }
        Piece::Offset(form) => push_offset(out, form, offset.seconds()),
        Piece::Abbreviation => out.push_str(zone),
        Piece::Fraction { mark, digits, all } => {
            let text = format!("{:09}", local.subsec_nanosecond());
            let text = &text[..digits];
            let text = if all { text } else { text.trim_end_matches('0') };
            if !text.is_empty() {
                out.push(mark);
                out.push_str(text);
            }
        }
    }
}

fn push_offset(out: &mut String, form: OffsetForm, seconds: i32) {
    if form.z && seconds == 0 {
        return out.push('Z');
    }
    let colon = if form.colons { ":" } else { "" };
    let size = seconds.abs();
    out.push(if seconds < 0 { '-' } else { '+' });
    let _ = write!(out, "{:02}", size / 3600);
    if form.parts > 1 {
        let _ = write!(out, "{colon}{:02}", size / 60 % 60);
    }
    if form.parts > 2 {
        let _ = write!(out, "{colon}{:02}", size % 60);
    }
}

/// What a text has told so far.
#[derive(Debug, Default)]
struct Found {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    afternoon: Option<bool>,
    offset_seconds: Option<i32>,
    abbreviation: Option<String>,
}

impl Found {
    fn moment(&self, zone: &TimeZone) -> Option<i64> {
        let date = match self.day_of_year {
            Some(day) => {
                let date = civil::Date::new(self.year, 1, 1).ok()?.with().day_of_year(day).build();
                date.ok()?
            }
            None => civil::Date::new(self.year, self.month?, self.day?).ok()?,
        };
        let hour = match (self.afternoon, self.hour) {
            (None, hour) => hour,
            (Some(_), 13..) => return None,
            (Some(afternoon), hour) => hour % 12 + if afternoon { 12 } else { 0 },
        };
        let time = civil::Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let local = date.to_datetime(time);
        let moment = match (self.offset_seconds, &self.abbreviation) {
            (Some(seconds), _) => Offset::from_seconds(seconds).ok()?.to_timestamp(local).ok()?,
            (None, Some(name)) if matches!(name.as_str(), "UTC" | "GMT" | "Z") => {
                Offset::UTC.to_timestamp(local).ok()?
            }
            (None, Some(name)) => {
                let times = zone.to_ambiguous_timestamp(local);
                [times.earlier(), times.later()].into_iter().flatten().find(|&moment| {
                    zone.to_offset_info(moment).abbreviation() == name
                        && zone.to_datetime(moment) == local
                })?
            }
            (None, None) => zone.to_ambiguous_timestamp(local).compatible().ok()?,
        };
        Some(moment.as_microsecond())
    }
}

/// Takes `least` to `most` digits off `text`.
fn digits(text: &str, least: usize, most: usize) -> Option<(i32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let number = text[..count].parse().ok()?;
    (count >= least).then_some((number, &text[count..]))
}

fn small(text: &str, fill: Fill) -> Option<(i8, &str)> {
    let text = if fill == Fill::Blank { text.strip_prefix(' ').unwrap_or(text) } else { text };
    let (number, rest) = digits(text, if fill == Fill::Zero { 2 } else { 1 }, 2)?;
    Some((i8::try_from(number).ok()?, rest))
}

/// The place of the name that `text` begins with.
fn named<'a>(text: &'a str, names: &[&str], short: bool) -> Option<(i8, &'a str)> {
    names.iter().zip(0..).find_map(|(name, at)| {
        let name = if short { &name[..3] } else { name };
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| (at, &text[name.len()..]))
    })
}

fn read_piece<'a>(
    piece: &Piece,
    text: &'a str,
    found: &mut Found,
    next: Option<&Piece>,
) -> Option<&'a str> {
    let rest;
    match *piece {
        Piece::Literal(ref literal) => return skip_literal(literal, text),
        Piece::Year => {
            let (year, after) = digits(text, 4, 4)?;
            (found.year, rest) = (i16::try_from(year).ok()?, after);
        }
        Piece::Year2 => {
            let (year, after) = digits(text, 2, 2)?;
            let century = if year >= 69 { 1900 } else { 2000 };
            (found.year, rest) = (i16::try_from(century + year).ok()?, after);
        }
        Piece::Month(fill) => {
            let (month, after) = small(text, fill)?;
            (found.month, rest) = (Some(month), after);
        }
        Piece::MonthName { short } => {
            let (at, after) = named(text, &MONTHS, short)?;
            (found.month, rest) = (Some(at + 1), after);
        }
        Piece::Day(fill) => {
            let (day, after) = small(text, fill)?;
            (found.day, rest) = (Some(day), after);
        }
        Piece::DayOfYear(fill) => {
            let text = if fill == Fill::Blank { text.trim_start_matches(' ') } else { text };
            let (day, after) = digits(text, if fill == Fill::Blank { 1 } else { 3 }, 3)?;
            (found.day_of_year, rest) = (Some(i16::try_from(day).ok()?), after);
        }
        Piece::Weekday { short } => rest = named(text, &WEEKDAYS, short)?.1,
        Piece::Hour => (found.hour, rest) = small(text, Fill::No)?,
        Piece::Hour12(fill) => {
            (found.hour, rest) = small(text, fill).filter(|(hour, _)| *hour <= 12)?;
        }
        Piece::Minute(fill) => (found.minute, rest) = small(text, fill)?,
        Piece::Second(fill) => {
            let (second, after) = small(text, fill)?;
            found.second = second;
            rest = match next {
                Some(Piece::Fraction { .. }) => after,
                _ => read_fraction(after, found).unwrap_or(after),
            };
        }
        Piece::HalfDay { upper } => rest = read_half_day(upper, text, found)?,
        Piece::Offset(form) => {
            let (seconds, after) = read_offset(form, text)?;
            (found.offset_seconds, rest) = (Some(seconds), after);
        }
        Piece::Abbreviation => rest = read_abbreviation(text, found)?,
        Piece::Fraction { digits: count, all: true, .. } => {
            let after = text.strip_prefix(['.', ','])?;
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            if digits != count {
                return None;
            }
            rest = read_fraction(text, found)?;
        }
        Piece::Fraction { .. } => rest = read_fraction(text, found).unwrap_or(text),
    }
    Some(rest)
}

fn read_half_day<'a>(upper: bool, text: &'a str, found: &mut Found) -> Option<&'a str> {
    let word = text.get(..2)?;
    let (am, pm) = if upper { ("AM", "PM") } else { ("am", "pm") };
    if word != am && word != pm {
        return None;
    }
    found.afternoon = Some(word == pm);
    Some(&text[2..])
}

/// `CET`, or `+03` where a zone has no letters.
fn read_abbreviation<'a>(text: &'a str, found: &mut Found) -> Option<&'a str> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let name = text[sign..].bytes().take_while(u8::is_ascii_alphanumeric).count() + sign;
    if name == 0 {
        return None;
    }
    found.abbreviation = Some(text[..name].to_owned());
    Some(&text[name..])
}

/// Reads `.` or `,` and digits; those after the ninth do not count.
fn read_fraction<'a>(text: &'a str, found: &mut Found) -> Option<&'a str> {
    let after = text.strip_prefix(['.', ','])?;
    let count = after.bytes().take_while(u8::is_ascii_digit).count();
    if count == 0 {
        return None;
    }
    let nine: String = format!("{:0<9}", &after[..count]).chars().take(9).collect();
    found.nanosecond = nine.parse().ok()?;
    Some(&after[count..])
}

fn read_offset(form: OffsetForm, text: &str) -> Option<(i32, &str)> {
    if form.z
        && let Some(rest) = text.strip_prefix('Z')
    {
        return Some((0, rest));
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let text = text.strip_prefix(['+', '-'])?;
    let (hours, mut rest) = digits(text, 2, 2)?;
    let mut seconds = hours * 3600;
    for (part, unit) in [(2, 60), (3, 1)] {
        if form.parts >= part {
            let after = if form.colons { rest.strip_prefix(':')? } else { rest };
            let (number, after) = digits(after, 2, 2)?;
            if number > 59 {
                return None;
            }
            seconds += number * unit;
            rest = after;
        }
    }
    Some((sign * seconds, rest))
}

/// Literal text; a run of blanks stands for one or more of them.
fn skip_literal<'a>(literal: &str, text: &'a str) -> Option<&'a str> {
    let mut literal = literal;
    let mut text = text;
    while let Some(c) = literal.chars().next() {
        if c == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            literal = literal.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(c)?;
            literal = &literal[c.len_utf8()..];
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Zone, utc_text};

    fn zurich() -> TimeZone {
        Zone::parse("Europe/Zurich").unwrap().tz
    }

    fn layout(text: &str) -> GoLayout {
        GoLayout::new(text).unwrap()
    }

    /// 2006-01-02 22:04:05.012345 UTC: Go's own reference moment with a fraction.
    const REFERENCE: i64 = 1_136_239_445_012_345;

    #[test]
    fn layouts_format_as_go_does() {
        let west = TimeZone::fixed(jiff::tz::offset(-7));
        for text in [
            "20060102 15:04:05",
            "2006-01-02 15:04:05-07:00",
            "2006-01-02T15:04:05Z07:00",
            "2006-01-02 15:04:05 -0700",
            "Mon Jan _2 15:04:05 2006",
            "Monday, 02-Jan-06 15:04:05 -07",
            "January 2, 2006 at 3:04pm (-07:00:00)",
            "1/2/06 03:4:5 PM Z070000",
            "002 2006 15h",
            "__2 2006 15",
            "Month 2006-01-02 15",
            "2006_01_02 15",
        ] {
            // A layout is the reference moment written in itself.
            let written = layout(text).format(REFERENCE, &west);
            let expected = text.replace('Z', "-").replace("__2", "  2");
            let expected = expected.replace("_2 15:04:05 2006", " 2 15:04:05 2006");
            assert_eq!(written, expected, "{text}");
        }
    }

    #[test]
    fn fractions_and_zones_format_as_go_does() {
        for (text, expected) in [
            ("2006-01-02 15:04:05.000", "2006-01-02 23:04:05.012"),
            ("2006-01-02 15:04:05.000000000", "2006-01-02 23:04:05.012345000"),
            ("2006-01-02 15:04:05.999999999", "2006-01-02 23:04:05.012345"),
            ("2006-01-02 15:04:05,999", "2006-01-02 23:04:05,012"),
            ("2006-01-02 15:04:05.9", "2006-01-02 23:04:05"),
            ("2006-01-02 15:04:05 MST", "2006-01-02 23:04:05 CET"),
            ("2006-01-02 15:04:05 Z07:00", "2006-01-02 23:04:05 +01:00"),
            ("3PM 2006-1-2", "11PM 2006-1-2"),
        ] {
            assert_eq!(layout(text).format(REFERENCE, &zurich()), expected);
        }
        let utc = layout("2006-01-02T15:04Z07:00").format(REFERENCE, &TimeZone::UTC);
        assert_eq!(utc, "2006-01-02T22:04Z");
        assert_eq!(layout("2006-01-02 3:04 pm").format(0, &TimeZone::UTC), "1970-01-01 12:00 am");
    }

    #[test]
    fn texts_are_read_as_go_does() {
        let check = |form: &str, text: &str, expected: &str| {
            let found = layout(form).parse(text, &zurich()).map(utc_text);
            assert_eq!(found.as_deref(), Some(expected), "{form} {text}");
        };
        check("20060102 15:04:05", "20260314 09:26:53", "2026-03-14T08:26:53Z");
        let database = "2006-01-02 15:04:05-07:00";
        check(database, "2024-10-14 13:22:57+02:00", "2024-10-14T11:22:57Z");
        check(database, "2024-10-14 13:22:57.5+02:00", "2024-10-14T11:22:57.500000Z");
        check("2006-01-02T15:04:05Z07:00", "2024-10-14T13:22:57Z", "2024-10-14T13:22:57Z");
        check("Mon Jan _2 15:04:05 2006", "fri NOV  6 07:18:43 2026", "2026-11-06T06:18:43Z");
        check("Jan 2 2006 3:04PM", "Jul 14 2026 12:05AM", "2026-07-13T22:05:00Z");
        check("02/01/06 15:04 MST", "25/10/26 02:30 CET", "2026-10-25T01:30:00Z");
        check("02/01/06 15:04 MST", "25/10/26 02:30 CEST", "2026-10-25T00:30:00Z");
        check("02/01/06 15:04 MST", "25/10/69 02:30 UTC", "1969-10-25T02:30:00Z");
        check("2006-01-02 15:04:05.000", "2026-01-01 00:00:00.250", "2025-12-31T23:00:00.250000Z");
        check("2006-01-02 15:04:05.999", "2026-01-01 00:00:00", "2025-12-31T23:00:00Z");
        check("2006 002 15", "2024 366 00", "2024-12-30T23:00:00Z");
    }

    #[test]
    fn other_texts_are_refused() {
        for (form, text) in [
            ("20060102 15:04:05", "20260314 09:26:5"),
            ("20060102 15:04:05", "20260314 09:26:53x"),
            ("20060102 15:04:05", "20260229 09:26:53"),
            ("20060102 15:04:05", "20261301 09:26:53"),
            ("20060102 15:04:05", "20260314 24:00:00"),
            ("20060102 15:04:05", "2026031409:26:53"),
            ("20060102 15:04:05", ""),
            ("2006-01-02 15:04 MST", "2026-07-01 10:00 CET"),
            ("2006-01-02 15:04 MST", "2026-07-01 10:00 XYZ"),
            ("2006-01-02 15:04-07:00", "2026-07-01 10:00+0200"),
            ("2006-01-02 15:04-07:00", "2026-07-01 10:00+02:60"),
            ("2006-01-02 15:04-07:00", "2026-07-01 10:00+99:00"),
            ("2006-01-02 03:04 PM", "2026-07-01 13:00 PM"),
            ("2006-01-02 15:04:05.000", "2026-01-01 00:00:00.25"),
            ("2006 Jan 2 15", "2026 Foo 2 15"),
            ("2006 002 15", "2023 366 00"),
            ("2006-01-02 15", "日026-01-02 15"),
        ] {
            assert_eq!(layout(form).parse(text, &zurich()), None, "{form} {text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let form = layout("Monday 2006-01-02T15:04:05.999999999Z07:00:00");
        for micros in [0, -1, 1, REFERENCE, 1_795_159_123_123_456, -62_000_000_000_000_000] {
            let text = form.format(micros, &zurich());
            assert_eq!(form.parse(&text, &TimeZone::UTC), Some(micros), "{text}");
        }
    }

    #[test]
    fn layouts_hold_date_and_time() {
        for text in ["", "YYYY-MM-DD HH:MM:SS", "15:04:05", "2006-01-02", "2006 15:04", "%Y"] {
            assert!(GoLayout::new(text).is_err(), "{text}");
        }
        let most = format!("2006-01-02 15{}", "x".repeat(LAYOUT_BYTES_MAX - 13));
        assert!(GoLayout::new(&most).is_ok());
        assert!(GoLayout::new(&(most + "x")).is_err());
    }
}
