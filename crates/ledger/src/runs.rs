//! The lives of a server, from its connection ids: a restart leaves no mark in an audit log, but
//! ids start again low.
//!
//! What is kept is the lowest and the highest connection id of each ten minutes (old ones: each
//! day), each with its moment. Lives are found in these when they are asked for ([`lives`]):
//!
//! ```text
//! 10:00   lowest 9120 at 10:00:01   highest 9480 at 10:07:11   ┐ one life
//! 10:10   lowest    4 at 10:12:40   highest 9512 at 10:11:58   ┘ … and, from id 4 on, the next
//! 10:20   lowest   61 at 10:20:02   highest  190 at 10:29:55
//! ```
//!
//! Ids of logins rise, yet not strictly: a slow handshake is logged late, by up to
//! `connect_timeout`. So an id is of a new life only where a higher one was seen half a minute
//! before it.
//!
//! # Invariants
//! * Lowest and highest do not depend on order, so neither do the lives found in them.
//! * Of several restarts within one such part, one is told.

use crate::clock::HOUR;
use crate::timeline::{DAY, day_of};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// How long a part is.
const PART: i64 = HOUR / 6;

/// Handshakes are given up after `connect_timeout`: 10 s by default, seldom raised to 30 s.
const LATE: i64 = 30_000_000;

/// Parts noted one after another before those of the same time are united.
const PARTS_NOTED: usize = 1024;

/// A connection id and when it logged in, in microseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) id: u64,
    pub(crate) at: i64,
}

/// The lowest and the highest id of ten minutes, or of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunPart {
    pub(crate) start: i64,
    pub(crate) day: bool,
    pub(crate) low: Point,
    pub(crate) high: Point,
}

impl RunPart {
    /// Unites two parts of the same time.
    pub(crate) fn add(&mut self, other: &RunPart) {
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
    }

    /// As it is kept: by the day where that day ends at or before `days_before`.
    pub(crate) fn kept(self, days_before: i64) -> RunPart {
        let day = day_of(self.start);
        let old = day + DAY <= days_before;
        if old { RunPart { start: day, day: true, ..self } } else { self }
    }

    /// The first microsecond after it.
    pub(crate) fn end(&self) -> i64 {
        self.start + if self.day { DAY } else { PART }
    }
}

/// Follows the ids of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunTracker {
    current: Option<RunPart>,
    done: Vec<RunPart>,
    /// `done` is united when it has grown to this.
    unite_at: usize,
}

impl RunTracker {
    /// A login with this id at this time.
    pub(crate) fn connected(&mut self, id: u64, at: i64) {
        let point = Point { id, at };
        match &mut self.current {
            Some(part) if (at.wrapping_sub(part.start) as u64) < PART as u64 => {
                if id >= part.high.id {
                    part.high = part.high.max(point);
                }
                if id <= part.low.id {
                    part.low = part.low.min(point);
                }
            }
            _ => self.start(point),
        }
    }

    /// [`RunTracker::connected`] for logins whose ids rise from the first to the last of these, and whose times are
    /// from `times`; false, and nothing is done, where the part of those before does not hold them all.
    #[inline(always)]
    pub(crate) fn rising(&mut self, ends: [Point; 2], times: RangeInclusive<i64>) -> bool {
        let of_part = |part: RunPart| part.start <= *times.start() && *times.end() < part.end();
        let all = self.current.is_some_and(of_part);
        if all {
            ends.iter().for_each(|login| self.connected(login.id, login.at));
        }
        all
    }

    #[cold]
    fn start(&mut self, point: Point) {
        let start = point.at.div_euclid(PART) * PART;
        let fresh = RunPart { start, day: false, low: point, high: point };
        if let Some(part) = self.current.replace(fresh) {
            self.note([part]);
        }
    }

    fn note(&mut self, parts: impl IntoIterator<Item = RunPart>) {
        self.done.extend(parts);
        if self.done.len() > self.unite_at.max(PARTS_NOTED) {
            self.done = unite(std::mem::take(&mut self.done), i64::MIN);
            self.unite_at = 2 * self.done.len();
        }
    }

    /// Adds the parts of another tracker of the same server.
    pub(crate) fn absorb(&mut self, other: &RunTracker) {
        self.note(other.done.iter().copied().chain(other.current));
    }

    /// All parts so far; several may be of the same time.
    pub(crate) fn parts(&self) -> impl Iterator<Item = RunPart> {
        self.done.iter().copied().chain(self.current)
    }

    /// About how many bytes of memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.done.capacity() * size_of::<RunPart>()
    }
}

/// Unites parts of the same time, those of days that end at or before `days_before` by the day.
/// Sorted by time.
pub(crate) fn unite(parts: impl IntoIterator<Item = RunPart>, days_before: i64) -> Vec<RunPart> {
    let mut united: BTreeMap<(i64, bool), RunPart> = BTreeMap::new();
    for part in parts {
        let part = part.kept(days_before);
        united.entry((part.start, part.day)).and_modify(|known| known.add(&part)).or_insert(part);
    }
    united.into_values().collect()
}

/// One life of a server: its first and last moment, its lowest and highest id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) first_id: u64,
    pub(crate) last_id: u64,
}

/// The lives that parts tell of, oldest first.
pub(crate) fn lives(parts: &[RunPart]) -> Vec<Life> {
    let mut points: Vec<Point> = parts.iter().flat_map(|part| [part.low, part.high]).collect();
    points.sort_unstable_by_key(|point| (point.at, point.id));
    let mut lives: Vec<Life> = Vec::new();
    // The highest id of this life half a minute ago, from the points before `settled`.
    let (mut floor, mut settled) = (0, 0);
    for (index, point) in points.iter().enumerate() {
        while points[settled].at < point.at - LATE {
            floor = floor.max(points[settled].id);
            settled += 1;
        }
        match lives.last_mut() {
            Some(life) if point.id >= floor => {
                life.to = point.at;
                life.first_id = life.first_id.min(point.id);
                life.last_id = life.last_id.max(point.id);
            }
            _ => {
                (floor, settled) = (0, index);
                let &Point { id, at } = point;
                lives.push(Life { from: at, to: at, first_id: id, last_id: id });
            }
        }
    }
    lives
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;

    fn found(runs: &RunTracker) -> Vec<Life> {
        lives(&unite(runs.parts(), i64::MIN))
    }

    proptest! {
        #[test]
        fn those_that_rise_are_noted_as_one_after_another(
            all in prop::collection::vec(prop::collection::vec((0..3000i64, 1..9u64), 1..5), 1..40)
        ) {
            let (mut several, mut single) = (RunTracker::default(), RunTracker::default());
            for rises in all {
                let mut id = 0;
                let points = rises.into_iter().map(|(second, higher)| {
                    id += higher;
                    Point { id, at: second * SECOND }
                });
                let points: Vec<Point> = points.collect();
                let times = || points.iter().map(|point| point.at);
                let (from, to) = (times().min().unwrap(), times().max().unwrap());
                points.iter().for_each(|&Point { id, at }| single.connected(id, at));
                if !several.rising([points[0], points[points.len() - 1]], from..=to) {
                    points.iter().for_each(|&Point { id, at }| several.connected(id, at));
                }
            }
            let parts = |runs: &RunTracker| unite(runs.parts(), i64::MIN);
            prop_assert_eq!(parts(&several), parts(&single));
        }
    }

    #[test]
    fn ids_that_start_again_are_another_life() {
        let mut runs = RunTracker::default();
        for i in 0..1000 {
            runs.connected(5 + i as u64, i * SECOND);
        }
        // A handshake that was held open for ten seconds.
        runs.connected(990, 1000 * SECOND);
        for i in 0..10 {
            runs.connected(4 + i as u64, (1010 + i) * SECOND);
        }
        let all = found(&runs);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!((all[0].first_id, all[0].last_id), (5, 1004));
        assert_eq!((all[1].first_id, all[1].from), (4, 1010 * SECOND));
    }

    #[test]
    fn a_late_handshake_is_no_restart_up_to_half_a_minute() {
        for (late, count) in [(LATE, 1), (LATE + 1, 2)] {
            let mut runs = RunTracker::default();
            runs.connected(5, 0);
            runs.connected(9, PART);
            runs.connected(8, PART + late);
            runs.connected(8, PART + late);
            assert_eq!(found(&runs).len(), count, "{late}");
        }
    }

    #[test]
    fn ids_may_use_all_64_bits() {
        let mut runs = RunTracker::default();
        runs.connected(u64::MAX, 0);
        runs.connected(3, 3 * HOUR);
        let all = found(&runs);
        assert_eq!((all.len(), all[0].last_id, all[1].last_id), (2, u64::MAX, 3));
    }

    #[test]
    fn parts_noted_are_bounded_by_the_time_they_span() {
        let mut runs = RunTracker::default();
        for i in 0..100_000 {
            runs.connected(i as u64, i % 2 * HOUR);
        }
        assert!(runs.done.len() <= PARTS_NOTED);
    }

    proptest! {
        #[test]
        fn the_order_of_logins_does_not_show(
            logins in prop::collection::vec((0..40u64, 0..50_000i64), 1..60), cut in 0..60usize
        ) {
            let fill = |logins: &[(u64, i64)]| {
                let mut runs = RunTracker::default();
                logins.iter().for_each(|&(id, at)| runs.connected(id, at * SECOND));
                runs
            };
            let cut = cut.min(logins.len());
            let mut apart = fill(&logins[cut..]);
            apart.absorb(&fill(&logins[..cut]));
            prop_assert_eq!(found(&apart), found(&fill(&logins)));
        }
    }
}
