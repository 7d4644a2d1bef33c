//! Times as people write them, and as answers show them.
//!
//! ```text
//! 2026-11-20T07:18:43Z      RFC 3339
//! 2026-11-20 07:18[:43]     in the display zone; a date alone is its midnight
//! 90d  12h  1d12h  30m      so long ago: w d h m s, a day is 24 hours
//! now  today  yesterday     today and yesterday are midnights, or with a time: yesterday 14:00
//! ```
//!
//! A local time that a clock change skips means the moment after the change; one that occurs twice
//! means its first occurrence.
//!
//! # Invariants
//! * No clock and no environment, except in [`Zone::machine`]: `now` and the zone are arguments.

use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The longest age, in days: 1,000 years. More is a slip of the pen.
pub(crate) const AGE_DAYS_MAX: i64 = 365_000;

/// A time zone and the name it is shown by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Zone {
    pub(crate) tz: TimeZone,
    pub(crate) name: String,
}

impl Zone {
    /// Coordinated Universal Time.
    pub(crate) fn utc() -> Zone {
        Zone { tz: TimeZone::UTC, name: "UTC".to_owned() }
    }

    /// The machine's own zone; UTC where it has none.
    pub(crate) fn machine() -> Zone {
        match TimeZone::try_system() {
            Ok(tz) => Zone { name: known_name(&tz, "local time"), tz },
            Err(_) => Zone::utc(),
        }
    }

    /// A zone by its name (`Europe/Zurich`, `UTC`) or offset (`+02:00`).
    ///
    /// # Errors
    /// A message with the remedy, where there is no such zone.
    pub(crate) fn parse(name: &str) -> Result<Zone, String> {
        if name.eq_ignore_ascii_case("utc") || name == "Z" {
            return Ok(Zone::utc());
        }
        if let Some(offset) = parse_offset(name) {
            return Ok(Zone { tz: TimeZone::fixed(offset), name: name.to_owned() });
        }
        match TimeZone::get(name) {
            Ok(tz) => Ok(Zone { name: known_name(&tz, name), tz }),
            Err(_) => Err(format!(
                "no time zone {name:?}: write a name like Europe/Zurich, UTC, or an offset like +02:00"
            )),
        }
    }
}

/// The name a zone is known by; what Debian calls Etc/UTC is UTC.
fn known_name(tz: &TimeZone, other: &str) -> String {
    match tz.iana_name().unwrap_or(other) {
        "Etc/UTC" => "UTC".to_owned(),
        name => name.to_owned(),
    }
}

/// `+02:00`, `-0330`, `+02`.
fn parse_offset(text: &str) -> Option<jiff::tz::Offset> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let digits = rest.replacen(':', "", 1);
    if !digits.bytes().all(|it| it.is_ascii_digit()) || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = digits.get(2..).filter(|it| !it.is_empty()).unwrap_or("0").parse().ok()?;
    if minutes > 59 {
        return None;
    }
    jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// The moment that `text` means, in microseconds UTC.
///
/// # Errors
/// A message that names the forms.
pub(crate) fn parse_time(text: &str, now: Timestamp, zone: &Zone) -> Result<i64, String> {
    let text = text.trim();
    let found = if let Some(age) = parse_age(text) {
        now.checked_sub(age).ok()
    } else if text == "now" {
        Some(now)
    } else if let Ok(moment) = text.parse::<Timestamp>() {
        Some(moment)
    } else {
        parse_civil(text, now, zone)
            .and_then(|local| zone.tz.to_ambiguous_timestamp(local).compatible().ok())
    };
    found.map(Timestamp::as_microsecond).ok_or_else(|| {
        format!(
            "no time: {text:?}. Write 2026-11-20T07:18:43Z, '2026-11-20 07:18', an age like 90d or \
             12h, or 'yesterday 14:00'"
        )
    })
}

/// A wall clock time: a date with or without a time of day, `today` or `yesterday` for the date.
fn parse_civil(text: &str, now: Timestamp, zone: &Zone) -> Option<civil::DateTime> {
    let (date, time) = match text.split_once([' ', 'T']) {
        Some((date, time)) => (date, Some(time.trim_start())),
        None => (text, None),
    };
    let today = now.to_zoned(zone.tz.clone()).date();
    let date = match date {
        "today" => today,
        "yesterday" => today.yesterday().ok()?,
        written => parse_date(written)?,
    };
    let time = time.map_or(Some(civil::Time::midnight()), parse_time_of_day)?;
    Some(date.to_datetime(time))
}

/// `2026-11-20`.
fn parse_date(text: &str) -> Option<civil::Date> {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    civil::Date::new(number(year)?, number(month)?, number(day)?).ok()
}

/// `07:18`, `07:18:43`, `07:18:43.123456`.
fn parse_time_of_day(text: &str) -> Option<civil::Time> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let parts: Vec<&str> = whole.split(':').collect();
    let (hour, minute, second) = match parts[..] {
        [hour, minute] if fraction.is_none() => (hour, minute, "00"),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    if minute.len() != 2 || second.len() != 2 || !(1..=2).contains(&hour.len()) {
        return None;
    }
    let nanoseconds = match fraction {
        None => 0,
        Some(digits) if (1..=9).contains(&digits.len()) => number::<i32>(&format!("{digits:0<9}"))?,
        Some(_) => return None,
    };
    civil::Time::new(number(hour)?, number(minute)?, number(second)?, nanoseconds).ok()
}

/// Digits alone: `parse` would take a sign as well.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|it| it.is_ascii_digit()).then(|| text.parse().ok())?
}

/// An age: `90d`, `12h`, `1w2d`, units `w d h m s` in falling order. A day is 24 hours.
pub(crate) fn parse_age(text: &str) -> Option<SignedDuration> {
    const UNITS: [(char, i64); 5] =
        [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
    let mut seconds: i64 = 0;
    let mut rest = text;
    let mut units = &UNITS[..];
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let at = units.iter().position(|(letter, _)| *letter == unit)?;
        seconds = seconds.checked_add(count.checked_mul(units[at].1)?)?;
        units = &units[at + 1..];
        rest = &rest[digits + 1..];
    }
    let fits = !text.is_empty() && seconds <= AGE_DAYS_MAX * 86_400;
    fits.then(|| SignedDuration::from_secs(seconds))
}

/// For the command line: an age, or a message.
pub(crate) fn age_argument(text: &str) -> Result<SignedDuration, String> {
    parse_age(text).ok_or_else(|| "write an age like 7d, 12h or 1d12h".to_owned())
}

/// The moment of `micros`; one beyond what can be shown is the nearest that can.
pub(crate) fn moment(micros: i64) -> Timestamp {
    let nearest = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(micros).unwrap_or(nearest)
}

/// RFC 3339 in UTC, for programs: `2026-11-20T07:18:43Z`, with six digits more where there is a
/// fraction of a second.
pub(crate) fn utc_text(micros: i64) -> String {
    let moment = moment(micros);
    if moment.subsec_nanosecond() == 0 { format!("{moment:.0}") } else { format!("{moment:.6}") }
}

/// For tables: `2026-11-20 08:18` in the zone.
pub(crate) fn table_text(micros: i64, zone: &Zone) -> String {
    let local = moment(micros).to_zoned(zone.tz.clone());
    local.strftime("%Y-%m-%d %H:%M").to_string()
}

/// The same with seconds.
pub(crate) fn second_text(micros: i64, zone: &Zone) -> String {
    let local = moment(micros).to_zoned(zone.tz.clone());
    local.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// For tables: the time, or a dash.
pub(crate) fn table_text_or_dash(micros: Option<i64>, zone: &Zone) -> String {
    micros.map_or_else(|| "–".to_owned(), |it| table_text(it, zone))
}

/// The date in the zone.
pub(crate) fn date(micros: i64, zone: &Zone) -> civil::Date {
    moment(micros).to_zoned(zone.tz.clone()).date()
}

/// A length of time in its largest fitting unit: `31 h`, `12 d`.
pub(crate) fn length_text(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        i64::MIN..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 2026-11-20 12:00 UTC.
    pub(crate) fn noon() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    pub(crate) fn zurich() -> Zone {
        Zone::parse("Europe/Zurich").unwrap()
    }

    #[test]
    fn every_form_means_its_moment() {
        for (text, expected) in [
            ("2026-11-20T07:18:43Z", "2026-11-20T07:18:43Z"),
            ("2026-11-20T07:18:43+01:00", "2026-11-20T06:18:43Z"),
            ("2026-11-20T07:18:43.5Z", "2026-11-20T07:18:43.500000Z"),
            ("2026-11-20 07:18", "2026-11-20T06:18:00Z"),
            ("2026-11-20T07:18", "2026-11-20T06:18:00Z"),
            ("2026-11-20 07:18:43", "2026-11-20T06:18:43Z"),
            ("2026-11-20 07:18:43.25", "2026-11-20T06:18:43.250000Z"),
            ("2026-07-01 00:00", "2026-06-30T22:00:00Z"),
            ("2026-11-20", "2026-11-19T23:00:00Z"),
            (" today ", "2026-11-19T23:00:00Z"),
            ("today 9:30", "2026-11-20T08:30:00Z"),
            ("yesterday", "2026-11-18T23:00:00Z"),
            ("yesterday 14:00", "2026-11-19T13:00:00Z"),
            ("yesterday 14:00:01", "2026-11-19T13:00:01Z"),
            ("now", "2026-11-20T12:00:00Z"),
            ("90d", "2026-08-22T12:00:00Z"),
            ("12h", "2026-11-20T00:00:00Z"),
            ("1w1d1h1m1s", "2026-11-12T10:58:59Z"),
            ("0s", "2026-11-20T12:00:00Z"),
            // The clock change in spring skips 02:30, the one in autumn passes it twice.
            ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ] {
            let found = parse_time(text, noon(), &zurich()).map(utc_text);
            assert_eq!(found.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "",
            "d",
            "90",
            "90x",
            "1h1d",
            "-1d",
            "+1d",
            "1.5d",
            "tomorrow",
            "yesterday 25:00",
            "2026-13-01",
            "2026-02-30 10:00",
            "2026-11-20 07",
            "2026-11-20 07:1",
            "26-11-20",
            "2026-11-20 07:18:43.",
            "99999999999999999999d",
            "日本",
        ] {
            let error = parse_time(text, noon(), &zurich()).unwrap_err();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn ages_are_bounded() {
        assert!(parse_age(&format!("{AGE_DAYS_MAX}d")).is_some());
        assert!(parse_age(&format!("{AGE_DAYS_MAX}d1s")).is_none());
    }

    #[test]
    fn zones_have_names_and_offsets() {
        for (text, name) in [
            ("europe/zurich", "Europe/Zurich"),
            ("utc", "UTC"),
            ("Etc/UTC", "UTC"),
            ("Z", "UTC"),
            ("+02:00", "+02:00"),
            ("-0330", "-0330"),
            ("+02", "+02"),
        ] {
            assert_eq!(Zone::parse(text).unwrap().name, name);
        }
        let half = Zone::parse("-03:30").unwrap();
        assert_eq!(table_text(0, &half), "1969-12-31 20:30");
        for text in ["", "Europe/Nowhere", "+2", "+02:60", "+99:00", "+-2:00", "2026"] {
            assert!(Zone::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_shown_for_programs_and_for_people() {
        for (micros, utc, local) in [
            (0, "1970-01-01T00:00:00Z", "1970-01-01 01:00"),
            (1_000, "1970-01-01T00:00:00.001000Z", "1970-01-01 01:00"),
            (-1, "1969-12-31T23:59:59.999999Z", "1970-01-01 00:59"),
            (1_795_159_123_123_456, "2026-11-20T07:18:43.123456Z", "2026-11-20 08:18"),
        ] {
            assert_eq!(utc_text(micros), utc);
            assert_eq!(table_text(micros, &zurich()), local);
        }
    }

    #[test]
    fn impossible_times_are_shown_as_the_nearest() {
        assert!(utc_text(i64::MAX).starts_with("9999-12-30T"));
        assert!(utc_text(i64::MIN).starts_with("-009999-01-02T"));
    }

    #[test]
    fn lengths_have_fitting_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_200, "2 h"),
            (111_600, "31 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(length_text(seconds * 1_000_000), text);
        }
    }
}
