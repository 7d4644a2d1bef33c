//! Which connection ids may be missing in a gap: those between the last known before it and the first behind.
//!
//! # Invariants
//! * Nothing is told where a server may have started again in between: then ids started again, too.
//! * The ids that are missing lie within those that are told, however few are known.

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
    /// By time.
    points: Vec<Point>,
}

impl Ids {
    fn new(parts: &[RunPart], mut points: Vec<Point>) -> Ids {
        points.extend(parts.iter().flat_map(|part| [part.low, part.high]));
        points.sort_unstable_by_key(|point| (point.at, point.id));
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
        for row in rows.iter_mut().filter(|row| open(row)) {
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
        let mut parts: BTreeMap<(Name, Name), (Vec<RunPart>, Vec<Point>)> = BTreeMap::new();
        let runs = self.rows(
            "SELECT server.name, location, start_us, day, low_id, low_us, high_id, high_us
             FROM run JOIN server ON server.id = server JOIN source ON source.id = source",
            |row| Ok(((name(row.get_ref(0)?), name(row.get_ref(1)?)), run_part(row, 2)?)),
        )?;
        for (key, part) in runs {
            parts.entry(key).or_default().0.push(part);
        }
        let connections = self.rows(
            "SELECT server.name, location, connection.id, from_us
             FROM connection JOIN server ON server.id = server JOIN source ON source.id = source
             WHERE from_us IS NOT NULL",
            |row| {
                let key = (name(row.get_ref(0)?), name(row.get_ref(1)?));
                Ok((key, Point { id: row.get::<_, i64>(2)? as u64, at: row.get(3)? }))
            },
        )?;
        for (key, point) in connections {
            parts.entry(key).or_default().1.push(point);
        }
        Ok(parts
            .into_iter()
            .map(|(key, (parts, points))| (key, Ids::new(&parts, points)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::RunTracker;

    const SECOND: i64 = 1_000_000;

    /// Of logins at these seconds; `facts`: all are known as connections, too.
    fn ids(logins: &[(u64, i64)], facts: bool) -> Ids {
        let mut runs = RunTracker::default();
        logins.iter().for_each(|&(id, second)| runs.connected(id, second * SECOND));
        let parts: Vec<RunPart> = runs::unite(runs.parts(), i64::MIN);
        let points = logins.iter().map(|&(id, second)| Point { id, at: second * SECOND });
        Ids::new(&parts, points.filter(|_| facts).collect())
    }

    #[test]
    fn ids_between_the_nearest_that_are_known() {
        let logins = [(5, 0), (6, 10), (7, 20), (12, 60), (11, 61), (13, 70)];
        let known = ids(&logins, true);
        let lost = |from: i64, to: i64| known.lost(from * SECOND, to * SECOND);
        assert_eq!(lost(20, 60), Some((8, 10)));
        assert_eq!(lost(25, 55), Some((8, 10)));
        assert_eq!(lost(10, 20), Some((7, 6)));
        assert_eq!(lost(-1, 20), None);
        assert_eq!(lost(60, 71), None);
        // The lowest and the highest of ten minutes are always known.
        assert_eq!(ids(&logins, false).lost(20 * SECOND, 60 * SECOND), Some((6, 12)));
        assert_eq!(ids(&[(u64::MAX, 0)], true).lost(0, 0), None);
    }

    #[test]
    fn nothing_is_told_over_a_restart() {
        let known = ids(&[(500, 0), (501, 10), (3, 4000), (4, 4010)], true);
        assert_eq!(known.lost(10 * SECOND, 4000 * SECOND), None);
        assert_eq!(known.lost(0, 10 * SECOND), Some((501, 500)));
        assert_eq!(known.lost(4000 * SECOND, 4010 * SECOND), Some((4, 3)));
    }
}
