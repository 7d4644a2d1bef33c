//! From the wall clock of a server to UTC.
//!
//! Logs hold local time without a zone; the zone is an argument here, found by the caller. A local
//! time that occurs twice (the hour after summer time ends) is read as the first of the two, one
//! that does not occur (the hour that summer time skips) as if the clock had not been put forward
//! yet; both are counted, so that an answer can say so.

use formats::Stamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Microseconds in an hour.
pub(crate) const HOUR: i64 = 3_600_000_000;

/// Zones change their offset at whole quarters of an hour, so one look-up serves a quarter.
const QUARTER: i64 = HOUR / 4;

/// A record's time without a year lies at most this far after the file's last change: clocks
/// differ.
const AHEAD: i64 = 24 * HOUR;

/// A step back of more than this, in a log without years, is a new year.
const NEW_YEAR: i64 = 180 * 24 * HOUR;

/// Converts the stamps of one file, in the order in which they stand.
#[derive(Debug, Clone)]
pub struct LocalClock {
    zone: TimeZone,
    /// The local quarter hour the offset below holds for: `[from, from + QUARTER)`.
    from: i64,
    offset: i64,
    /// When the file last changed, local time: bounds the years of stamps that have none.
    changed: i64,
    /// The last stamp that had no year, with the year that was found for it.
    yearless: Option<i64>,
    ambiguous: u64,
}

impl LocalClock {
    /// `changed` is the file's time of last change in microseconds UTC; it matters only for stamps
    /// without a year.
    pub fn new(zone: TimeZone, changed: i64) -> Self {
        let local = Timestamp::from_microsecond(changed)
            .map_or(changed, |at| changed + i64::from(zone.to_offset(at).seconds()) * 1_000_000);
        LocalClock { zone, from: i64::MIN, offset: 0, changed: local, yearless: None, ambiguous: 0 }
    }

    /// Starts the years of yearless stamps after `last`, the newest one read from this file before,
    /// in microseconds UTC.
    pub fn resume(&mut self, last: i64) {
        self.yearless = Timestamp::from_microsecond(last)
            .ok()
            .map(|at| last + i64::from(self.zone.to_offset(at).seconds()) * 1_000_000);
    }

    /// A clock that goes on where this one stands, with nothing counted.
    pub(crate) fn successor(&self) -> LocalClock {
        LocalClock { ambiguous: 0, ..self.clone() }
    }

    /// How many records had a local time that occurs twice or not at all.
    pub fn ambiguous(&self) -> u64 {
        self.ambiguous
    }

    /// The stamp in microseconds UTC.
    #[inline]
    pub fn utc(&mut self, stamp: Stamp) -> i64 {
        match stamp {
            Stamp::Local(local) => self.local(local),
            Stamp::Utc(utc) => utc,
            Stamp::LocalWithoutYear(in_year) => {
                let local = self.find_year(in_year);
                self.local(local)
            }
        }
    }

    #[inline]
    fn local(&mut self, local: i64) -> i64 {
        if local.wrapping_sub(self.from) as u64 >= QUARTER as u64 {
            return self.look_up(local);
        }
        local - self.offset
    }

    #[cold]
    fn look_up(&mut self, local: i64) -> i64 {
        let quarter = local.div_euclid(QUARTER) * QUARTER;
        let first = self.offset_at(quarter);
        let last = self.offset_at(quarter + QUARTER - 1);
        if let ((offset, true), (other, true)) = (first, last)
            && offset == other
        {
            self.from = quarter;
            self.offset = offset;
            return local - offset;
        }
        let (offset, plain) = self.offset_at(local);
        self.ambiguous += u64::from(!plain);
        local - offset
    }

    /// The offset of a local time in microseconds, and whether it is the only possible one.
    fn offset_at(&self, local: i64) -> (i64, bool) {
        let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        let Ok(civil) = epoch.checked_add(SignedDuration::from_micros(local)) else {
            return (0, true);
        };
        let (offset, plain) = match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => (offset, true),
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => {
                (before, false)
            }
        };
        (i64::from(offset.seconds()) * 1_000_000, plain)
    }

    /// Gives a stamp without a year the newest year that the order of the file and its time of last
    /// change allow. `in_year` counts from 1 January of a leap year.
    fn find_year(&mut self, in_year: i64) -> i64 {
        let mut year = match self.yearless {
            Some(last) => year_of(last),
            None => year_of(self.changed),
        };
        if self.yearless.is_none() && in_the_year(year, in_year) > self.changed + AHEAD {
            year -= 1;
        }
        let mut local = in_the_year(year, in_year);
        if let Some(last) = self.yearless {
            if local < last - NEW_YEAR {
                local = in_the_year(year + 1, in_year);
            } else if local > last + NEW_YEAR {
                // A record of last December that was written a moment late.
                local = in_the_year(year - 1, in_year);
            }
        }
        self.yearless = Some(local);
        local
    }
}

/// The year a local time lies in.
fn year_of(local: i64) -> i16 {
    DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
        .checked_add(SignedDuration::from_micros(local))
        .map_or(1970, |civil| civil.year())
}

/// A time counted from 1 January of a leap year, moved into `year`; 29 February of a year without
/// one becomes 1 March.
fn in_the_year(year: i16, in_year: i64) -> i64 {
    const LEAP_DAY: i64 = (31 + 28) * 24 * HOUR;
    let start = DateTime::new(year, 1, 1, 0, 0, 0, 0)
        .unwrap_or(DateTime::constant(1970, 1, 1, 0, 0, 0, 0))
        .duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    let leap = jiff::civil::Date::new(year, 1, 1).is_ok_and(|date| date.in_leap_year());
    let late = in_year >= LEAP_DAY + 24 * HOUR;
    start.as_micros() as i64 + in_year - if late && !leap { 24 * HOUR } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::datetime;

    fn local(text: &str) -> i64 {
        let civil: DateTime = text.parse().unwrap();
        civil.duration_since(datetime(1970, 1, 1, 0, 0, 0, 0)).as_micros() as i64
    }

    fn utc(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    #[test]
    fn local_times_of_a_zone_with_summer_time() {
        let mut clock = LocalClock::new(TimeZone::get("Europe/Zurich").unwrap(), 0);
        for (wall, expected, ambiguous) in [
            ("2026-11-20 07:18:43", "2026-11-20T06:18:43Z", 0),
            ("2026-07-01 00:00:00", "2026-06-30T22:00:00Z", 0),
            ("2026-10-25 01:59:59", "2026-10-24T23:59:59Z", 0),
            ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z", 1),
            ("2026-10-25 03:00:00", "2026-10-25T02:00:00Z", 1),
            ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z", 2),
            ("2026-03-29 03:00:00", "2026-03-29T01:00:00Z", 2),
        ] {
            assert_eq!(clock.utc(Stamp::Local(local(wall))), utc(expected), "{wall}");
            assert_eq!(clock.ambiguous(), ambiguous, "{wall}");
        }
    }

    #[test]
    fn the_offset_found_for_a_quarter_hour_is_right_all_over_it() {
        for name in ["Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "UTC"] {
            let zone = TimeZone::get(name).unwrap();
            let mut clock = LocalClock::new(zone.clone(), 0);
            for step in 0..20_000 {
                let wall = local("2026-01-01 00:00:00") + step * 27 * 60_000_000 + 59_999_999;
                let civil = datetime(1970, 1, 1, 0, 0, 0, 0) + SignedDuration::from_micros(wall);
                let ambiguous = zone.to_ambiguous_timestamp(civil);
                if !ambiguous.is_ambiguous() {
                    let expected = ambiguous.compatible().unwrap().as_microsecond();
                    assert_eq!(clock.utc(Stamp::Local(wall)), expected, "{name} {civil}");
                }
            }
        }
    }

    fn yearless(month: i64, day: i64) -> Stamp {
        let starts = [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335];
        Stamp::LocalWithoutYear((starts[month as usize - 1] + day - 1) * 24 * HOUR)
    }

    #[test]
    fn years_come_from_the_file_time_and_the_order() {
        let mut clock = LocalClock::new(TimeZone::UTC, utc("2026-01-05T00:00:00Z"));
        assert_eq!(clock.utc(yearless(12, 30)), utc("2025-12-30T00:00:00Z"));
        assert_eq!(clock.utc(yearless(1, 2)), utc("2026-01-02T00:00:00Z"));
        assert_eq!(clock.utc(yearless(12, 31)), utc("2025-12-31T00:00:00Z"));
        assert_eq!(clock.utc(yearless(1, 3)), utc("2026-01-03T00:00:00Z"));

        let mut clock = LocalClock::new(TimeZone::UTC, utc("2024-03-05T00:00:00Z"));
        assert_eq!(clock.utc(yearless(2, 29)), utc("2024-02-29T00:00:00Z"));
        assert_eq!(clock.utc(yearless(3, 1)), utc("2024-03-01T00:00:00Z"));

        let mut clock = LocalClock::new(TimeZone::UTC, utc("2027-06-01T00:00:00Z"));
        clock.resume(utc("2025-12-31T00:00:00Z"));
        assert_eq!(clock.utc(yearless(1, 1)), utc("2026-01-01T00:00:00Z"));
    }
}
