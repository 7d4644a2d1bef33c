//! Which connection ids may be missing in a gap: those between the last known before it and the first behind.
//!
//! # Invariants
//! * Nothing is told where a server may have started again in between: then ids started again, too.
//! * The ids that are missing lie within those that are told, however few are known: the lowest and the
//!   highest of each ten minutes (old ones: each day). What is kept of connections depends on how logs were
//!   parted, so it is not asked.

use crate::error::Error;
use crate::ingest::run_part;
use crate::rows::{Evidence, EvidenceState, Name};
use crate::runs::{self, Life, Point, RunPart};
use crate::store::{Ledger, name};
use std::collections::BTreeMap;

/// What the ids of one server tell, as one source shows it.
#[derive(Debug, Default)]
struct Ids {
    lives: Vec<Life>,
    points: Vec<Point>,
}

impl Ids {
    fn new(parts: &[RunPart]) -> Ids {
        let points = parts.iter().flat_map(|part| [part.low, part.high]).collect();
        Ids { lives: runs::lives(parts), points }
    }

    /// The ids that may be missing between two times: the lowest, the highest, and none where the second
    /// is below the first. `None`: not known.
    fn lost(&self, from: i64, to: i64) -> Option<(u64, u64)> {
        let life = self.lives.iter().find(|life| life.from <= from && life.to >= to)?;
        let mine = |point: &&Point| (life.from..=life.to).contains(&point.at);
        let known = self.points.iter().filter(mine);
        let last = known.clone().filter(|it| it.at <= from).map(|it| it.id).max()?;
        // Of a handshake that took long the record comes late.
        let first = known.filter(|it| it.at >= to && it.id > last).map(|it| it.id).min()?;
        Some((last.checked_add(1)?, first - 1))
    }
}

impl Ledger {
    /// Adds to the reasons of gaps, and of what is unconfirmed, which connection ids may be missing.
    pub(crate) fn add_lost_ids(&self, rows: &mut [Evidence]) -> Result<(), Error> {
        let open =
            |row: &Evidence| matches!(row.state, EvidenceState::Gap | EvidenceState::Unconfirmed);
        if !rows.iter().any(open) {
            return Ok(());
        }
        let ids = self.known_ids()?;
        let told = |row: &Evidence| row.reason.contains("connection id");
        for row in rows.iter_mut().filter(|row| open(row) && !told(row)) {
            let (Some(from), Some(to)) = (row.from, row.to) else { continue };
            let known = ids.get(&(row.server.clone(), row.source.clone()));
            match known.and_then(|ids| ids.lost(from, to)) {
                Some((low, high)) if low > high => row.reason += "; no connection id is missing",
                Some((low, high)) if low == high => {
                    row.reason += &format!("; connection id {low} may be missing");
                }
                Some((low, high)) => {
                    row.reason +=
                        &format!("; of connection ids {low} to {high} some may be missing");
                }
                None => {}
            }
        }
        Ok(())
    }

    fn known_ids(&self) -> Result<BTreeMap<(Name, Name), Ids>, Error> {
        let mut parts: BTreeMap<(Name, Name), Vec<RunPart>> = BTreeMap::new();
        let runs = self.rows(
            "SELECT server.name, location, start_us, day, low_id, low_us, high_id, high_us
             FROM run JOIN server ON server.id = server JOIN source ON source.id = source",
            |row| Ok(((name(row.get_ref(0)?), name(row.get_ref(1)?)), run_part(row, 2)?)),
        )?;
        for (key, part) in runs {
            parts.entry(key).or_default().push(part);
        }
        Ok(parts.into_iter().map(|(key, parts)| (key, Ids::new(&parts))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::RunTracker;

    const MINUTE: i64 = 60_000_000;

    /// Of logins at these minutes.
    fn ids(logins: &[(u64, i64)]) -> Ids {
        let mut runs = RunTracker::default();
        logins.iter().for_each(|&(id, minute)| runs.connected(id, minute * MINUTE));
        Ids::new(&runs::unite(runs.parts(), i64::MIN))
    }

    #[test]
    fn ids_between_the_nearest_that_are_known() {
        let known = ids(&[(5, 0), (6, 3), (7, 9), (12, 60), (13, 65)]);
        let lost = |from: i64, to: i64| known.lost(from * MINUTE, to * MINUTE);
        assert_eq!(lost(9, 60), Some((8, 11)));
        assert_eq!(lost(12, 55), Some((8, 11)));
        // Of ten minutes the lowest and the highest are known.
        assert_eq!(lost(3, 5), Some((6, 6)));
        assert_eq!(lost(60, 65), Some((13, 12)));
        assert_eq!(lost(-1, 60), None);
        assert_eq!(lost(60, 66), None);
        assert_eq!(ids(&[(u64::MAX, 0)]).lost(0, 0), None);
    }

    #[test]
    fn nothing_is_told_over_a_restart() {
        let known = ids(&[(500, 0), (501, 10), (3, 70), (4, 80)]);
        assert_eq!(known.lost(10 * MINUTE, 70 * MINUTE), None);
        assert_eq!(known.lost(0, 10 * MINUTE), Some((501, 500)));
        assert_eq!(known.lost(70 * MINUTE, 80 * MINUTE), Some((4, 3)));
    }

    #[test]
    fn a_late_handshake_is_not_taken_for_the_next_id() {
        let known = ids(&[(5, 0), (9, 10), (8, 30), (14, 30)]);
        assert_eq!(known.lost(10 * MINUTE, 30 * MINUTE), None);
        let known = ids(&[(5, 0), (9, 10), (10, 20), (14, 30)]);
        assert_eq!(known.lost(10 * MINUTE, 15 * MINUTE), Some((10, 9)));
    }
}
