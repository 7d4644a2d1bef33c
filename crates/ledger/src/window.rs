//! What of a window of time is covered, for verdicts: of one server, all its sources together.
//!
//! ```text
//! evidence   |==covered==|      |==covered==|--unconfirmed--|==covered==|
//!                 |=other source=|                |gap|
//! window  [uncovered|   covered      | covered  | unconfirmed | covered  |uncovered]
//! ```
//!
//! # Invariants
//! * The intervals follow each other without a break from the beginning of the window to its end. What has no
//!   length is told only where it is not covered.
//! * A moment is covered if one source covers it; unconfirmed if none does and one may; a gap if it is known
//!   to be missing and nothing else; else uncovered.
//! * A source that tells of no login covers none: its time is unconfirmed.

use crate::coverage::{unite, without};
use crate::error::Error;
use crate::rows::{Evidence, EvidenceState, Filter, Name};
use crate::store::{Ledger, name};
use crate::weak::SILENT;
use std::collections::{BTreeMap, BTreeSet};

/// What a stretch of a window is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IntervalState {
    /// Read without a break.
    Covered,
    /// Nothing shows that something is missing, nor that nothing is.
    Unconfirmed,
    /// Known to be missing.
    Gap,
    /// No source tells of it.
    Uncovered,
}

impl IntervalState {
    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            IntervalState::Covered => "covered",
            IntervalState::Unconfirmed => "unconfirmed",
            IntervalState::Gap => "gap",
            IntervalState::Uncovered => "uncovered",
        }
    }
}

/// A stretch of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// Its beginning, in microseconds UTC.
    pub from_us: i64,
    /// Its end, where the next one begins.
    pub to_us: i64,
    /// What it is worth.
    pub state: IntervalState,
    /// Why it is not covered; empty where it is. Holds paths as they are: escape it.
    pub reason: String,
    /// The source that says so: a log file set's path; empty where none does.
    pub source: Name,
}

impl Ledger {
    /// What of the time from `since_us` up to `until_us` is covered by evidence of a server. Where the window
    /// has no length, nothing.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn coverage(
        &self,
        server: &[u8],
        since_us: i64,
        until_us: i64,
    ) -> Result<Vec<Interval>, Error> {
        let servers = vec![server.to_vec()];
        let mut found = self.coverage_of(servers, since_us, until_us)?;
        Ok(found.remove(server).unwrap_or_else(|| lay(Vec::new(), since_us, until_us)))
    }

    /// As [`Ledger::coverage`], of every server that there is evidence of.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn coverages(
        &self,
        since_us: i64,
        until_us: i64,
    ) -> Result<BTreeMap<Name, Vec<Interval>>, Error> {
        self.coverage_of(Vec::new(), since_us, until_us)
    }

    fn coverage_of(
        &self,
        servers: Vec<Name>,
        since: i64,
        until: i64,
    ) -> Result<BTreeMap<Name, Vec<Interval>>, Error> {
        self.at_once(|ledger| {
            let filter = Filter { servers, ..Filter::default() };
            let rows = ledger.evidence(&filter)?;
            let silent = ledger.silent_sources()?;
            let rests = ledger.rests()?;
            let mut claims: BTreeMap<Name, Vec<Claim>> = BTreeMap::new();
            for row in rows {
                let server = row.server.clone();
                let claims = claims.entry(server).or_default();
                claim(row, &silent, &rests, claims);
            }
            let lay = |(server, claims)| (server, lay(claims, since, until));
            Ok(claims.into_iter().map(lay).collect())
        })
    }

    /// When holes were that are not kept one by one, by server and source.
    fn rests(&self) -> Result<Rests, Error> {
        let rows = self.rows(
            "SELECT coalesce(server.name, source.label), location, from_us, to_us
             FROM hole_rest JOIN source ON source.id = hole_rest.source
             LEFT JOIN server ON server.id = hole_rest.server",
            |row| {
                let key = (name(row.get_ref(0)?), name(row.get_ref(1)?));
                Ok((key, (row.get::<_, i64>(2)?, row.get::<_, i64>(3)?)))
            },
        )?;
        let mut rests = Rests::new();
        for (key, stretch) in rows {
            rests.entry(key).or_default().push(stretch);
        }
        for stretches in rests.values_mut() {
            *stretches = unite(std::mem::take(stretches).into_iter());
        }
        Ok(rests)
    }
}

type Rests = BTreeMap<(Name, Name), Vec<(i64, i64)>>;

/// What evidence says of a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    state: IntervalState,
    from: i64,
    to: i64,
    source: Name,
    reason: String,
}

fn claim(row: Evidence, silent: &BTreeSet<(Name, Name)>, rests: &Rests, claims: &mut Vec<Claim>) {
    let state = match row.state {
        EvidenceState::Covered => IntervalState::Covered,
        EvidenceState::Unconfirmed => IntervalState::Unconfirmed,
        EvidenceState::Gap => IntervalState::Gap,
        // These say what the other rows are worth, or are in them as holes.
        EvidenceState::Weak | EvidenceState::Rejected | EvidenceState::Quarantined => return,
    };
    if state == IntervalState::Unconfirmed && row.from.is_none() && row.to.is_none() {
        // Holes that are told of together: cut out below.
        return;
    }
    let (from, to) = (row.from.unwrap_or(i64::MIN), row.to.unwrap_or(i64::MAX));
    let key = (row.server, row.source);
    let claim = |state, from, to, reason: &str| Claim {
        state,
        from,
        to,
        source: key.1.clone(),
        reason: reason.to_owned(),
    };
    if state != IntervalState::Covered {
        claims.push(claim(state, from, to, &row.reason));
    } else if silent.contains(&key) {
        claims.push(claim(IntervalState::Unconfirmed, from, to, SILENT));
    } else {
        let rests = rests.get(&key).map_or(&[][..], Vec::as_slice);
        for (from, to) in without((from, to), rests) {
            claims.push(claim(IntervalState::Covered, from, to, ""));
        }
        for &(rest_from, rest_to) in rests {
            let (from, to) = (from.max(rest_from), to.min(rest_to));
            if from < to {
                let reason = "torn or unreadable in more places than are kept one by one";
                claims.push(claim(IntervalState::Unconfirmed, from, to, reason));
            }
        }
    }
}

/// Lays claims over a window, the best on top.
fn lay(mut claims: Vec<Claim>, since: i64, until: i64) -> Vec<Interval> {
    if since >= until {
        return Vec::new();
    }
    // By state, then by time.
    claims.sort_unstable();
    let mut laid: Vec<Interval> = Vec::new();
    let mut taken: Vec<(i64, i64)> = Vec::new();
    for claims in claims.chunk_by(|a, b| a.state == b.state) {
        let mut end = i64::MIN;
        let before = laid.len();
        for claim in claims {
            let (from, to) = (claim.from.max(end).max(since), claim.to.min(until));
            let interval = |(from_us, to_us)| Interval {
                from_us,
                to_us,
                state: claim.state,
                reason: claim.reason.clone(),
                source: claim.source.clone(),
            };
            if from < to {
                laid.extend(without((from, to), &taken).into_iter().map(interval));
                end = to;
            } else if claim.state != IntervalState::Covered && from == to && claim.from == claim.to
            {
                laid.extend((!is_within(from, &taken)).then(|| interval((from, to))));
            }
        }
        let more: Vec<(i64, i64)> =
            laid[before..].iter().map(|it| (it.from_us, it.to_us)).collect();
        taken = unite(taken.into_iter().chain(more));
    }
    laid.extend(without((since, until), &taken).into_iter().map(|(from_us, to_us)| Interval {
        from_us,
        to_us,
        state: IntervalState::Uncovered,
        reason: "no log that was read tells of this time".to_owned(),
        source: Name::new(),
    }));
    laid.sort_by_key(|it| (it.from_us, it.to_us));
    laid.dedup_by(|next, last| {
        let same = (next.state, &next.source, &next.reason)
            == (last.state, &last.source, &last.reason)
            && last.to_us == next.from_us;
        if same {
            last.to_us = next.to_us;
        }
        same
    });
    laid
}

/// Whether a moment lies inside one of these stretches, not at its ends.
fn is_within(at: i64, stretches: &[(i64, i64)]) -> bool {
    let next = stretches.partition_point(|(_, end)| *end <= at);
    stretches.get(next).is_some_and(|(from, _)| *from < at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use IntervalState::{Covered, Gap, Unconfirmed, Uncovered};
    use proptest::prelude::*;

    fn claim(state: IntervalState, from: i64, to: i64) -> Claim {
        Claim { state, from, to, source: b"log".to_vec(), reason: String::new() }
    }

    fn check(claims: &[Claim], window: (i64, i64), expected: &[(IntervalState, i64, i64)]) {
        let laid = lay(claims.to_vec(), window.0, window.1);
        let found: Vec<_> = laid.iter().map(|it| (it.state, it.from_us, it.to_us)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_whole_window_is_told() {
        check(&[], (0, 10), &[(Uncovered, 0, 10)]);
        check(&[], (10, 10), &[]);
        check(&[], (11, 10), &[]);
        let log = [claim(Covered, 2, 4), claim(Covered, 4, 8)];
        check(&log, (0, 10), &[(Uncovered, 0, 2), (Covered, 2, 8), (Uncovered, 8, 10)]);
        check(&log, (3, 7), &[(Covered, 3, 7)]);
        check(&log, (8, 9), &[(Uncovered, 8, 9)]);
        let all = (i64::MIN, i64::MAX);
        check(
            &[claim(Gap, i64::MIN, 3), claim(Unconfirmed, 5, i64::MAX)],
            all,
            &[(Gap, i64::MIN, 3), (Uncovered, 3, 5), (Unconfirmed, 5, i64::MAX)],
        );
    }

    #[test]
    fn the_best_is_on_top() {
        let claims = [claim(Gap, 0, 10), claim(Unconfirmed, 2, 8), claim(Covered, 4, 6)];
        check(
            &claims,
            (0, 10),
            &[(Gap, 0, 2), (Unconfirmed, 2, 4), (Covered, 4, 6), (Unconfirmed, 6, 8), (Gap, 8, 10)],
        );
    }

    #[test]
    fn what_has_no_length_is_told_where_it_is_not_covered() {
        let gap = |at| claim(Gap, at, at);
        let two = [claim(Covered, 0, 5), claim(Covered, 5, 9)];
        let with = |at| [&two[..], &[gap(at)]].concat();
        check(&with(4), (0, 9), &[(Covered, 0, 9)]);
        check(&with(9), (0, 12), &[(Covered, 0, 9), (Gap, 9, 9), (Uncovered, 9, 12)]);
        check(&with(10), (0, 9), &[(Covered, 0, 9)]);
        check(&[claim(Covered, 3, 3)], (0, 9), &[(Uncovered, 0, 9)]);
    }

    fn any_claims() -> impl Strategy<Value = Vec<Claim>> {
        let state = prop::sample::select(vec![Covered, Unconfirmed, Gap]);
        let one =
            (state, 0..30i64, 1..12i64, 0..3usize).prop_map(|(state, from, length, source)| {
                let reason = if state == Covered { "" } else { ["x", "y", "z"][source] };
                let source = ["a", "b", "c"][source].as_bytes().to_vec();
                Claim { state, from, to: from + length, source, reason: reason.to_owned() }
            });
        prop::collection::vec(one, 0..12)
    }

    proptest! {
        /// Moment by moment, the slow way.
        #[test]
        fn each_moment_is_what_the_best_source_says(
            claims in any_claims(), since in -5..20i64, length in 1..40i64,
        ) {
            let until = since + length;
            let laid = lay(claims.clone(), since, until);
            let mut at = since;
            for interval in &laid {
                prop_assert_eq!(interval.from_us, at);
                prop_assert!(interval.to_us > at);
                at = interval.to_us;
            }
            prop_assert_eq!(at, until);
            for moment in since..until {
                let interval =
                    laid.iter().find(|it| (it.from_us..it.to_us).contains(&moment)).unwrap();
                let here = || claims.iter().filter(|it| (it.from..it.to).contains(&moment));
                let best = here().map(|it| it.state).min().unwrap_or(Uncovered);
                prop_assert_eq!(interval.state, best);
                let says_so = |it: &Claim| (it.state, &it.source, &it.reason)
                    == (best, &interval.source, &interval.reason);
                prop_assert!(best == Uncovered || here().any(says_so));
            }
            for pair in laid.windows(2) {
                let same = |it: &Interval| (it.state, it.source.clone(), it.reason.clone());
                prop_assert_ne!(same(&pair[0]), same(&pair[1]));
            }
        }
    }
}
