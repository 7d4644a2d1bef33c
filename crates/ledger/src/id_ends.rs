//! Connection ids at the ends of pieces of logs, and whether those of one file go on where those of another
//! end.
//!
//! ```text
//! .2   … 97 98 99 100 │ .1   101 102 103 …      they do
//! .2   … 97 98 99 100 │ .1   402 403 404 …      301 are missing: a file between the two may be gone
//! .2   … 97 98 99 100 │ .1   302 303 …          the server started again, and its first 301 are missing
//! ```
//!
//! A server gives each connection the next id, and logs its login or its refusal. Ids of replication, of
//! events, of connections that say nothing and of users that are not audited are in no log, so that some are
//! missing by nature: how many is told by the two files themselves.
//!
//! # Invariants
//! * A sum and the records nearest to the ends: where a piece was cut does not show.
//! * Nothing is said where ids cannot tell ([`LOGINS_MIN`]): without logins in the log, or with few.

use crate::runs::{self, Point, RunPart};
use crate::timeline::{put, take};

/// So many connections are kept at either end: the ids of handshakes that take long come late.
const ENDS: usize = 16;

/// Fewer connections in a file do not show which ids are missing by nature.
const LOGINS_MIN: u64 = 2 * ENDS as u64;

/// As many ids in a row may always be missing: the threads of a replica that starts, a burst of health checks.
const MISSING_MIN: u64 = 64;

/// The connections of one server in a piece of log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdEnds {
    /// How many there are: logins and refusals.
    count: u64,
    /// In their order; as many as there are.
    first: [Point; ENDS],
    /// The one of number n, from 0, at n modulo `ENDS`.
    last: [Point; ENDS],
}

impl Default for IdEnds {
    fn default() -> IdEnds {
        let none = [Point { id: 0, at: 0 }; ENDS];
        IdEnds { count: 0, first: none, last: none }
    }
}

impl IdEnds {
    /// The next connection. Id 0 stands for none.
    #[inline(always)]
    pub(crate) fn connected(&mut self, connection: Point) {
        if connection.id == 0 {
            return;
        }
        let place = self.count as usize % ENDS;
        if self.count < ENDS as u64 {
            self.first[place] = connection;
        }
        self.last[place] = connection;
        self.count += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn kept(&self) -> usize {
        self.count.min(ENDS as u64) as usize
    }

    fn first(&self) -> &[Point] {
        &self.first[..self.kept()]
    }

    fn last(&self) -> impl Iterator<Item = Point> + '_ {
        let from = self.count - self.kept() as u64;
        (from..self.count).map(|number| self.last[number as usize % ENDS])
    }

    /// Goes on with the piece behind.
    pub(crate) fn join(&mut self, behind: &IdEnds) {
        let mut all = *self;
        for &connection in behind.first() {
            all.connected(connection);
        }
        let more = behind.count - behind.kept() as u64;
        if more > 0 {
            all.count += more;
            for (back, connection) in
                behind.last().collect::<Vec<_>>().into_iter().rev().enumerate()
            {
                all.last[(all.count - 1 - back as u64) as usize % ENDS] = connection;
            }
        }
        *self = all;
    }

    /// How many ids were given that no connection has, and in how many microseconds, between the middle of those
    /// kept at one end and that of the other: some of either are late. `None`: they are few, or the server started
    /// again between them.
    fn unlogged(&self) -> Option<(u64, i64)> {
        if self.count < LOGINS_MIN {
            return None;
        }
        let middle = |mut ends: Vec<Point>| {
            let at = ends[ENDS / 2].at;
            ends.sort_unstable_by_key(|it| it.id);
            (ends[ENDS / 2].id, at)
        };
        let ((first, from), (last, to)) =
            (middle(self.first().to_vec()), middle(self.last().collect()));
        let (given, logged) = (last.checked_sub(first)?, self.count - ENDS as u64);
        let restarted = logged > given.saturating_add(ENDS as u64);
        (!restarted && to > from).then(|| (given.saturating_sub(logged), to - from))
    }

    /// As it is stored.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(&mut bytes, self.count);
        for point in self.first().iter().copied().chain(self.last()) {
            put(&mut bytes, point.id);
            put(&mut bytes, point.at as u64);
        }
        bytes
    }

    /// What [`IdEnds::encode`] made.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<IdEnds> {
        let mut next = || take(&mut bytes);
        let count = next()?;
        let mut ends = IdEnds { count, ..IdEnds::default() };
        let kept = ends.kept() as u64;
        for place in 0..kept {
            ends.first[place as usize] = Point { id: next()?, at: next()? as i64 };
        }
        for number in count - kept..count {
            ends.last[number as usize % ENDS] = Point { id: next()?, at: next()? as i64 };
        }
        (bytes.is_empty() && count > 0).then_some(ends)
    }
}

/// Ids that neither of two files has, and that were given between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdsBetween {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Whether the server started again between them.
    pub(crate) restarted: bool,
}

/// The ids that are missing between two files where they are more than what is missing by nature. `None` also
/// where ids cannot tell.
pub(crate) fn missing(older: &IdEnds, newer: &IdEnds) -> Option<IdsBetween> {
    let first = *newer.first().first()?;
    let last = older.last().last()?;
    let ends: Vec<Point> = older.last().chain(newer.first().iter().copied()).collect();
    let start = |point: Point| RunPart { start: point.at, day: false, low: point, high: point };
    let lives = runs::lives(&ends.into_iter().map(start).collect::<Vec<_>>());
    let life = lives.iter().find(|life| (life.from..=life.to).contains(&first.at))?;
    let of_life = |point: &Point| (life.first_id..=life.last_id).contains(&point.id);
    let before = older.last().filter(|it| it.at >= life.from).filter(of_life).map(|it| it.id).max();
    let own = newer.first().iter().filter(|it| (life.from..=life.to).contains(&it.at));
    let behind = own.map(|it| it.id).filter(|&id| before.is_none_or(|before| id > before)).min()?;
    let missing = IdsBetween {
        from: before.unwrap_or(0).checked_add(1)?,
        to: behind - 1,
        restarted: before.is_none(),
    };
    let count = behind - missing.from;
    let silence = first.at.saturating_sub(last.at).max(0);
    (count > usual(older, newer, silence)?).then_some(missing)
}

/// How many ids may be missing in so many microseconds; `None`: any number.
fn usual(older: &IdEnds, newer: &IdEnds, silence: i64) -> Option<u64> {
    let known = [older, newer].into_iter().filter_map(IdEnds::unlogged);
    let (unlogged, span) =
        known.reduce(|a, b| (a.0.saturating_add(b.0), a.1.saturating_add(b.1)))?;
    // Of few that were seen, chance may have hidden some.
    let by_time = 2 * (i128::from(unlogged) + 5) * i128::from(silence) / i128::from(span);
    let by_time = u64::try_from(by_time).unwrap_or(u64::MAX);
    Some(MISSING_MIN.max(unlogged.saturating_mul(2)).max(by_time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::Range;

    const SECOND: i64 = 1_000_000;

    /// Connections with these ids, one each second from then on.
    fn ends(from: i64, ids: impl IntoIterator<Item = u64>) -> IdEnds {
        let mut ends = IdEnds::default();
        for (id, second) in ids.into_iter().zip(from..) {
            ends.connected(Point { id, at: second * SECOND });
        }
        ends
    }

    fn check(older: &IdEnds, newer: &IdEnds, expected: Option<(u64, u64, bool)>) {
        let found = missing(older, newer).map(|it| (it.from, it.to, it.restarted));
        assert_eq!(found, expected);
        let stored = |it: &IdEnds| IdEnds::decode(&it.encode()).unwrap_or_default();
        assert_eq!(missing(&stored(older), &stored(newer)), missing(older, newer));
    }

    #[test]
    fn ids_that_go_on_lack_nothing_and_a_file_between_is_missed() {
        let older = ends(0, 1..301);
        check(&older, &ends(300, 301..601), None);
        check(&older, &ends(600, 601..901), Some((301, 600, false)));
        // A crowd of internal threads, at the bound and above.
        check(&older, &ends(300, 365..665), None);
        check(&older, &ends(300, 366..666), Some((301, 365, false)));
        // However long the silence was: no id was given in it.
        check(&older, &ends(900_000, 301..601), None);
        // The newer has just begun.
        check(&older, &ends(600, [601]), Some((301, 600, false)));
    }

    #[test]
    fn late_handshakes_and_forged_ids_are_no_hole() {
        let older = ends(0, (1..299).chain([300, 301]));
        check(&older, &ends(300, [299, 302, 304, 303, 305]), None);
        // An id out of all bounds stands for ids that may be missing by nature.
        check(&ends(0, (1..300).chain([u64::MAX])), &ends(300, 301..310), None);
        check(&older, &ends(300, [u64::MAX, 302, 303]), None);
        // Handshakes that stalled for ten seconds.
        let stalled = ends(600, [590, 593, 601, 602, 595].into_iter().chain(603..900));
        check(&older, &stalled, Some((302, 589, false)));
    }

    #[test]
    fn what_is_missing_by_nature_is_told_by_the_files() {
        // Two of three ids are an event's, all through.
        let thirds = |ids: Range<u64>| ids.step_by(3);
        check(&ends(0, thirds(1..900)), &ends(300, thirds(901..1800)), None);
        // Rotated in the night: an event a second and no login for hours.
        let night = 8 * 3600;
        let older = ends(0, thirds(1..900));
        check(
            &older,
            &ends(300 + night, thirds(901 + 2 * night as u64..40_000_000).take(300)),
            None,
        );
        // A crowd in one second each day, an event each minute.
        let crowd = |day: i64, from: u64| {
            let mut crowd = IdEnds::default();
            (from..from + 40).zip(0..).for_each(|(id, n)| {
                crowd.connected(Point { id, at: (day * 86_400 + n / 20) * SECOND });
            });
            crowd
        };
        check(&crowd(0, 1), &crowd(1, 41 + 1440), None);
    }

    #[test]
    fn nothing_is_told_of_few_logins_or_none() {
        let few = ends(0, 1..32);
        check(&few, &ends(900, 901..932), None);
        check(&few, &ends(900, 901..933), Some((32, 900, false)));
        check(&IdEnds::default(), &ends(0, 1000..1100), None);
        check(&ends(0, 1..100), &IdEnds::default(), None);
        let mut at_once = IdEnds::default();
        (1..100).for_each(|id| at_once.connected(Point { id, at: 0 }));
        let mut again = IdEnds::default();
        (900..999).for_each(|id| again.connected(Point { id, at: 0 }));
        check(&at_once, &again, None);
    }

    #[test]
    fn a_restart_between_two_files_lacks_its_first_ids_or_none() {
        let older = ends(0, 5000..5300);
        check(&older, &ends(400, 4..300), None);
        check(&older, &ends(1000, 400..700), Some((1, 399, true)));
        // The restart is in one of the files.
        let within = ends(0, (5000..5300).chain(3..100));
        check(&within, &ends(397, 100..300), None);
        check(&within, &ends(900, 500..800), Some((100, 499, false)));
        check(&older, &ends(300, (5300..5310).chain(3..100)), None);
    }

    #[test]
    fn damage_is_no_number() {
        let bytes = ends(0, 1..40).encode();
        for cut in 0..bytes.len() {
            assert_eq!(IdEnds::decode(&bytes[..cut]), None);
        }
        assert_eq!(IdEnds::decode(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(IdEnds::decode(&IdEnds::default().encode()), None);
    }

    proptest! {
        #[test]
        fn where_a_piece_was_cut_does_not_show(
            ids in prop::collection::vec(0..60u64, 0..80), cuts in prop::collection::vec(0..80usize, 0..4)
        ) {
            let points: Vec<Point> = ids.iter().zip(0..).map(|(&id, at)| Point { id, at }).collect();
            let of = |points: &[Point]| {
                let mut ends = IdEnds::default();
                points.iter().for_each(|&it| ends.connected(it));
                ends
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|it| it.min(points.len())).collect();
            cuts.extend([0, points.len()]);
            cuts.sort_unstable();
            let mut joined = IdEnds::default();
            cuts.windows(2).for_each(|ends| joined.join(&of(&points[ends[0]..ends[1]])));
            let whole = of(&points);
            prop_assert_eq!(joined.first(), whole.first());
            prop_assert!(joined.last().eq(whole.last()));
            prop_assert_eq!(joined.count, whole.count);
            if !whole.is_empty() {
                let stored = IdEnds::decode(&whole.encode()).unwrap();
                prop_assert!(stored.first() == whole.first() && stored.last().eq(whole.last()));
            }
        }
    }
}
