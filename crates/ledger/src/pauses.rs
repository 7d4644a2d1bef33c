//! How long nothing was read: the longest time between two commits of scans, by the day, for whoever asks
//! whether logs are read more often than they are rotated away.
//!
//! A commit with nothing new counts: somebody looked. A running watch commits once a minute at least.
//!
//! # Invariants
//! * One row a day, for [`PAUSE_DAYS`] days. A clock that went back makes no pause.

use crate::error::Error;
use crate::store::Ledger;
use crate::timeline::{DAY, day_of};
use rusqlite::{Connection, OptionalExtension, params};

/// For how many days pauses are kept: those of before a rotation was changed tell nothing.
pub const PAUSE_DAYS: i64 = 30;

/// The table is made when there is something to keep: ledgers of before do without it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS pause (
    day_us INTEGER PRIMARY KEY, end_us INTEGER NOT NULL, length_us INTEGER NOT NULL)";

/// A time in which nothing was read. Microseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// When it ended.
    pub end: i64,
    /// How long it was.
    pub length: i64,
}

/// Notes that somebody looks now: to be called before the time of the last commit is set.
pub(crate) fn note(db: &Connection, now: i64) -> rusqlite::Result<()> {
    let before: Option<i64> = db
        .prepare_cached("SELECT value FROM meta WHERE key = 'last_commit_us'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(length) = before.map(|before| now.saturating_sub(before)).filter(|&it| it > 0) else {
        return Ok(());
    };
    if !has_table(db)? {
        db.execute_batch(TABLE)?;
    }
    let day = day_of(now);
    let noted = db
        .prepare_cached(
            "INSERT INTO pause VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE
             SET end_us = excluded.end_us, length_us = excluded.length_us
             WHERE excluded.length_us > length_us",
        )?
        .execute(params![day, now, length])?;
    if noted > 0 {
        db.prepare_cached("DELETE FROM pause WHERE day_us < ?1")?
            .execute([day.saturating_sub(PAUSE_DAYS * DAY)])?;
    }
    Ok(())
}

impl Ledger {
    /// The longest time since `since_us` in which nothing was read; of the last [`PAUSE_DAYS`] days at most.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn longest_pause(&self, since_us: i64) -> Result<Option<Pause>, Error> {
        if !has_table(&self.db).map_err(self.failed())? {
            return Ok(None);
        }
        let pauses = self.rows(
            "SELECT end_us, length_us FROM pause ORDER BY length_us DESC, end_us DESC",
            |row| Ok(Pause { end: row.get(0)?, length: row.get(1)? }),
        )?;
        Ok(pauses.into_iter().find(|it| it.end >= since_us))
    }
}

fn has_table(db: &Connection) -> rusqlite::Result<bool> {
    let found = db
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'pause'")?
        .query_row([], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keeping;

    #[test]
    fn the_longest_pause_of_each_day_is_kept() {
        let mut ledger = Ledger::in_memory().unwrap();
        let look = |ledger: &mut Ledger, now: i64| {
            ledger.ingest(Keeping::new(now)).unwrap().finish().unwrap();
        };
        let longest = |ledger: &Ledger, since| {
            ledger.longest_pause(since).unwrap().map(|it| (it.end, it.length))
        };
        let day = 20_000 * DAY;
        look(&mut ledger, day);
        assert_eq!(longest(&ledger, 0), None);
        for (after, told) in [(10, (10, 10)), (15, (10, 10)), (40, (40, 25)), (41, (40, 25))] {
            look(&mut ledger, day + after);
            assert_eq!(longest(&ledger, 0), Some((day + told.0, told.1)), "{after}");
        }
        // A clock that goes back, and one that goes on from there.
        look(&mut ledger, day + 5);
        look(&mut ledger, day + 6);
        assert_eq!(longest(&ledger, 0), Some((day + 40, 25)));
        look(&mut ledger, day + DAY + 7);
        assert_eq!(longest(&ledger, 0), Some((day + DAY + 7, DAY + 1)));
        assert_eq!(longest(&ledger, day + DAY + 8), None);
        // Kept for so many days, and not one more.
        let rows = |ledger: &Ledger| {
            ledger
                .db
                .query_row("SELECT count(*) FROM pause", [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(rows(&ledger), 2);
        look(&mut ledger, day + PAUSE_DAYS * DAY);
        assert_eq!(rows(&ledger), 3);
        look(&mut ledger, day + (PAUSE_DAYS + 1) * DAY);
        assert_eq!(rows(&ledger), 3);
    }
}
