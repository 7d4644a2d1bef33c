//! From the wall clock of a server to UTC.
//!
//! Logs hold local time without a zone; the zone is an argument here, found by the caller. A local
//! time that occurs twice (the hour after summer time ends) is told by the order of the records:
//!
//! ```text
//! 02:58:10  first   goes on from what stands before
//! 02:00:03  second  else it would step back by an hour
//! 02:59:59  first   late by a moment
//! 02:10:00  second
//! ```
//!
//! Where the order does not tell (nothing stands before it, or nothing for a while) it is read as the
//! first of the two; one that does not occur (the hour that summer time skips) as if the clock had not
//! been put forward yet. Both are counted, so that an answer can say so.

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

/// Records may stand this much later in a log than they are dated: threads write side by side, and a
/// handshake that stalls is logged after `connect_timeout`.
const LATE_MAX: i64 = 5 * 60 * 1_000_000;

/// A step back of at least this is no late record: a clock or a zone was changed. Zones differ by half an
/// hour or more, but for two that differ from their neighbours by a quarter.
const STEP_BACK_MIN: i64 = 29 * 60 * 1_000_000;

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
    /// The newest moment so far; `i64::MIN` before the first.
    newest: i64,
    /// The largest step back behind it.
    step_back: i64,
    /// A time that occurs twice was met before anything else.
    blind: bool,
}

impl LocalClock {
    /// `changed` is the file's time of last change in microseconds UTC; it matters only for stamps
    /// without a year.
    pub fn new(zone: TimeZone, changed: i64) -> Self {
        let local = Timestamp::from_microsecond(changed)
            .map_or(changed, |at| changed + i64::from(zone.to_offset(at).seconds()) * 1_000_000);
        LocalClock {
            zone,
            from: i64::MIN,
            offset: 0,
            changed: local,
            yearless: None,
            ambiguous: 0,
            newest: i64::MIN,
            step_back: 0,
            blind: false,
        }
    }

    /// Goes on after `last`, the newest moment read from this file before, in microseconds UTC.
    pub fn resume(&mut self, last: i64) {
        self.newest = last;
        self.yearless = Timestamp::from_microsecond(last)
            .ok()
            .map(|at| last + i64::from(self.zone.to_offset(at).seconds()) * 1_000_000);
    }

    /// A clock that goes on where this one stands, with nothing counted.
    pub(crate) fn successor(&self) -> LocalClock {
        LocalClock { ambiguous: 0, step_back: 0, blind: false, ..self.clone() }
    }

    /// By how much the times step back at most, in microseconds, where that is too much for late
    /// records; else 0.
    pub(crate) fn step_back(&self) -> i64 {
        self.step_back
    }

    /// Whether a time that occurs twice was read without knowing what stands before it.
    pub(crate) fn is_blind(&self) -> bool {
        self.blind
    }

    /// How many records had a local time that does not occur, or occurs twice and is not told by their
    /// order.
    pub fn ambiguous(&self) -> u64 {
        self.ambiguous
    }

    /// The stamp in microseconds UTC.
    #[inline]
    pub fn utc(&mut self, stamp: Stamp) -> i64 {
        let utc = match stamp {
            Stamp::Local(local) => self.local(local),
            Stamp::Utc(utc) => utc,
            Stamp::LocalWithoutYear(in_year) => {
                let local = self.find_year(in_year);
                self.local(local)
            }
        };
        let back = self.newest.saturating_sub(utc);
        if back < 0 {
            self.newest = utc;
        } else if back >= STEP_BACK_MIN {
            self.step_back = self.step_back.max(back);
        }
        utc
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
        let (offset, plain) = match self.twice(local) {
            Some(offsets) => self.told_by_order(local, offsets),
            None => self.offset_at(local),
        };
        self.ambiguous += u64::from(!plain);
        local - offset
    }

    /// Both offsets of a local time that occurs twice, the first of the two before the other.
    fn twice(&self, local: i64) -> Option<(i64, i64)> {
        let civil = civil(local)?;
        let AmbiguousOffset::Fold { before, after } =
            self.zone.to_ambiguous_timestamp(civil).offset()
        else {
            return None;
        };
        Some((i64::from(before.seconds()) * 1_000_000, i64::from(after.seconds()) * 1_000_000))
    }

    /// Which of two offsets the records before tell, and whether they do.
    fn told_by_order(&mut self, local: i64, (before, after): (i64, i64)) -> (i64, bool) {
        if self.newest == i64::MIN {
            self.blind = true;
            return (before, false);
        }
        let early = |offset: i64| local - offset < self.newest - LATE_MAX;
        match (early(before), early(after)) {
            (false, _) => (before, local - before <= self.newest.saturating_add(LATE_MAX)),
            (true, false) => (after, true),
            (true, true) => (before, false),
        }
    }

    /// The offset of a local time in microseconds, and whether it is the only possible one.
    fn offset_at(&self, local: i64) -> (i64, bool) {
        let Some(civil) = civil(local) else { return (0, true) };
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

/// A local time in microseconds since 1970 as date and time; `None` beyond the calendar.
fn civil(local: i64) -> Option<DateTime> {
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    epoch.checked_add(SignedDuration::from_micros(local)).ok()
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

    /// Reads wall times of one file, and tells the moments and how many the order does not tell.
    fn read(zone: &str, walls: &[&str], resume: Option<&str>) -> (Vec<String>, u64) {
        let mut clock = LocalClock::new(TimeZone::get(zone).unwrap(), 0);
        if let Some(last) = resume {
            clock.resume(utc(last));
        }
        let moments = walls.iter().map(|wall| {
            let moment = clock.utc(Stamp::Local(local(&format!("2026-10-25 {wall}"))));
            Timestamp::from_microsecond(moment).unwrap().strftime("%H:%M:%S").to_string()
        });
        (moments.collect(), clock.ambiguous())
    }

    #[test]
    fn the_hour_that_occurs_twice_is_told_by_the_order() {
        let walls = ["01:58:00", "02:00:00", "02:03:00", "02:08:00", "02:07:59"];
        let moments = ["23:58:00", "00:00:00", "00:03:00", "00:08:00", "00:07:59"];
        assert_eq!(read("Europe/Zurich", &walls, None), (moments.map(str::to_owned).into(), 0));

        let walls = ["02:59:58", "02:00:00", "02:59:59", "02:00:01", "02:40:00", "03:00:00"];
        let moments = ["00:59:58", "01:00:00", "00:59:59", "01:00:01", "01:40:00", "02:00:00"];
        // Nothing stands before the first; after it all is told.
        assert_eq!(read("Europe/Zurich", &walls, None), (moments.map(str::to_owned).into(), 1));
        // What an earlier scan has read stands before it.
        let resumed = read("Europe/Zurich", &walls, Some("2026-10-25T00:57:00Z"));
        assert_eq!(resumed, (moments.map(str::to_owned).into(), 0));
        let resumed = read("Europe/Zurich", &["02:30:00"], Some("2026-10-25T01:20:00Z"));
        assert_eq!(resumed, (vec!["01:30:00".to_owned()], 0));

        // After a quiet while nobody can tell.
        let walls = ["01:30:00", "02:30:00", "02:31:00"];
        let moments = ["23:30:00", "00:30:00", "00:31:00"];
        assert_eq!(read("Europe/Zurich", &walls, None), (moments.map(str::to_owned).into(), 1));
        // Long after it a record of that hour is out of its place.
        let walls = ["03:30:00", "02:30:00"];
        assert_eq!(read("Europe/Zurich", &walls, None).1, 1);

        // A change of half an hour: Lord Howe, 5 April, 02:00 to 01:30.
        let mut clock = LocalClock::new(TimeZone::get("Australia/Lord_Howe").unwrap(), 0);
        for (wall, moment) in [
            ("2026-04-05 01:29:59", "2026-04-04T14:29:59Z"),
            ("2026-04-05 01:31:00", "2026-04-04T14:31:00Z"),
            ("2026-04-05 01:59:59", "2026-04-04T14:59:59Z"),
            ("2026-04-05 01:30:00", "2026-04-04T15:00:00Z"),
            ("2026-04-05 02:00:00", "2026-04-04T15:30:00Z"),
        ] {
            let read = clock.utc(Stamp::Local(local(wall)));
            assert_eq!((read, clock.step_back()), (utc(moment), 0), "{wall}");
        }
    }

    #[test]
    fn steps_back_that_no_late_record_makes_are_told() {
        let step = |walls: &[&str], resume: Option<&str>| {
            let mut clock = LocalClock::new(TimeZone::get("Europe/Zurich").unwrap(), 0);
            if let Some(last) = resume {
                clock.resume(utc(last));
            }
            for wall in walls {
                clock.utc(Stamp::Local(local(&format!("2026-11-20 {wall}"))));
            }
            clock.step_back() / 1_000_000
        };
        assert_eq!(step(&["10:00:00", "09:59:59", "09:45:00"], None), 0);
        assert_eq!(step(&["10:00:00", "09:31:01"], None), 0);
        assert_eq!(step(&["10:00:00", "09:31:00"], None), 29 * 60);
        assert_eq!(step(&["10:00:00", "09:00:00", "09:10:00"], None), 3600);
        // The zone was told otherwise by an earlier scan.
        assert_eq!(step(&["10:00:00"], Some("2026-11-20T09:59:00Z")), 59 * 60);
    }

    #[test]
    fn the_last_moments_that_a_log_can_tell() {
        let mut clock = LocalClock::new(TimeZone::get("Europe/Zurich").unwrap(), 0);
        for (wall, moment) in [
            // 2038-01-19T03:14:07Z is the last second that 32 bits hold.
            ("2038-01-19 04:14:07", "2038-01-19T03:14:07Z"),
            ("2038-01-19 04:14:08", "2038-01-19T03:14:08Z"),
            ("2039-07-01 00:00:00", "2039-06-30T22:00:00Z"),
            // A leap second is the first second of the next minute in every log that has seen one.
            ("2017-01-01 00:59:59", "2016-12-31T23:59:59Z"),
            ("2017-01-01 01:00:00", "2017-01-01T00:00:00Z"),
        ] {
            assert_eq!(clock.utc(Stamp::Local(local(wall))), utc(moment), "{wall}");
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
