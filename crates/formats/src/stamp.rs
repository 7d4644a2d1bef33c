//! Calendar arithmetic for the time stamps of logs: text to microseconds, nothing read from a clock.

const DAY_SECONDS: i64 = 86_400;

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

/// Whether the date exists, years 1970 to 9999.
pub(crate) fn is_date(year: i64, month: i64, day: i64) -> bool {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && day >= 1
        && day <= LENGTHS[month as usize - 1] + i64::from(leap && month == 2)
}

/// Microseconds since 1970-01-01 00:00:00 for a date and a time of day; `None` where there is no such
/// time. Second 60 (a leap second) is the second after 59.
pub(crate) fn micros(date: [i64; 3], time: [i64; 3]) -> Option<i64> {
    let [year, month, day] = date;
    let [hour, minute, second] = time;
    if !is_date(year, month, day)
        || !(0..24).contains(&hour)
        || !(0..60).contains(&minute)
        || !(0..=60).contains(&second)
    {
        return None;
    }
    let seconds =
        days(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000)
}

/// `20260314 09:26:53`, as server_audit writes it.
pub(crate) fn compact(text: &[u8; 17]) -> Option<i64> {
    if text[8] != b' ' || text[11] != b':' || text[14] != b':' {
        return None;
    }
    let two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        (tens <= 9 && ones <= 9).then(|| i64::from(tens * 10 + ones))
    };
    micros([two(0)? * 100 + two(2)?, two(4)?, two(6)?], [two(9)?, two(12)?, two(15)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (text, seconds) in [
            (b"19700101 00:00:00", Some(0)),
            (b"20000229 12:00:00", Some(951_825_600)),
            (b"20260314 09:26:53", Some(1_773_480_413)),
            (b"20260314  9:26:53", None),
            (b"99991231 23:59:59", Some(253_402_300_799)),
            (b"20161231 23:59:60", Some(1_483_228_800)),
            (b"20260229 00:00:00", None),
            (b"20261301 00:00:00", None),
            (b"20260101 24:00:00", None),
            (b"20260101 00:60:00", None),
            (b"20260101 00:00:61", None),
            (b"2026010a 00:00:00", None),
            (b"19691231 23:59:59", None),
        ] {
            let seconds: Option<i64> = seconds;
            assert_eq!(compact(text), seconds.map(|s| s * 1_000_000), "{text:?}");
        }
    }

    #[test]
    fn every_day_follows_the_day_before() {
        let mut expected = days(1970, 1, 1);
        assert_eq!(expected, 0);
        for year in 1970..=2400 {
            for month in 1..=12 {
                for day in (1..=31).filter(|&day| is_date(year, month, day)) {
                    assert_eq!(days(year, month, day), expected);
                    expected += 1;
                }
            }
        }
    }
}
