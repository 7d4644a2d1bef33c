//! Forgetting the marks of files that are gone, so that a log that is rotated every hour does not make the
//! ledger grow for ever.
//!
//! ```text
//! sighting   when each file was found last, by the day
//! forgotten  per source: how many marks went, and the newest record that they knew of
//! ```
//!
//! # Invariants
//! * A mark whose file is found now and then stays, however old it is.
//! * Nothing counts twice: a file without a mark that begins no later than the newest record of a forgotten
//!   one may be that one. [`Ingest::forgotten`] tells the reader up to when.
//! * The newest mark of each source stays, and so do those of syslog files: without a year their records
//!   cannot be told from newer ones. What stands for a table is no file, and none is taken for it.

use crate::error::Error;
use crate::ingest::Ingest;
use crate::store::{Bytes, Ledger};
use crate::timeline::{DAY, day_of};
use rusqlite::params;
use std::collections::HashSet;

/// Whatever is set, a file has to be gone for so long: a machine may be off for a month, and ages grow by
/// as much at once.
const GONE_FOR_MIN: i64 = 90 * DAY;

/// A record's time may differ by so much from what it was taken for before: zones, clock changes.
const ZONES: i64 = 2 * DAY;

/// Files whose marks go: found last before ?1, with no record after that.
const GOING: &str = "
    SELECT file.id FROM file JOIN sighting ON sighting.file = file.id
    JOIN source ON source.id = file.source
    WHERE sighting.day_us < ?1 AND (newest_us < ?1 OR newest_us IS NULL AND offset = 0)
      AND source.dialect NOT IN ('server_audit_syslog', 'access_log')
      AND file.id < (SELECT max(newer.id) FROM file AS newer WHERE newer.source = file.source)";

impl Ingest<'_> {
    /// Notes that the files of these marks are there.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn sighted(&self, keys: &HashSet<i64>) -> Result<(), Error> {
        self.note_sighted(keys).map_err(self.failed())
    }

    fn note_sighted(&self, keys: &HashSet<i64>) -> rusqlite::Result<()> {
        let (db, today) = (self.db(), self.today());
        let known: HashSet<i64> = db
            .prepare_cached("SELECT file FROM sighting WHERE day_us >= ?1")?
            .query_map([today], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut note = db.prepare_cached("INSERT OR REPLACE INTO sighting VALUES (?1, ?2)")?;
        for key in keys.difference(&known) {
            note.execute([*key, today])?;
        }
        Ok(())
    }

    /// Up to when a file of this label that has no mark may be one whose mark is forgotten: it is, if its
    /// first record is no newer, in microseconds UTC. `None`: none is forgotten.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn forgotten(&self, label: &[u8]) -> Result<Option<i64>, Error> {
        let newest = || {
            self.db()
                .prepare_cached(
                    "SELECT max(newest_us) FROM forgotten JOIN source ON source.id = source
                     WHERE label = ?1",
                )?
                .query_row([Bytes(label)], |row| row.get::<_, Option<i64>>(0))
        };
        let newest = newest().map_err(self.failed())?;
        Ok(newest.map(|at| at.saturating_add(ZONES)))
    }

    /// The day that sightings are noted under: as little ahead as ages are.
    fn today(&self) -> i64 {
        day_of(self.keeping.ages_from())
    }

    /// Forgets the marks of files that are gone for longer than counts by the day are kept, with what was
    /// covered by them.
    pub(crate) fn prune_files(&self) -> rusqlite::Result<()> {
        let (db, today) = (self.db(), self.today());
        let limit = self.keeping.gone_before().min(today.saturating_sub(GONE_FOR_MIN));
        // Of those that nobody found since sightings are noted, the time begins now.
        db.execute("INSERT OR IGNORE INTO sighting SELECT id, ?1 FROM file", [today])?;
        db.execute(
            &format!(
                "INSERT INTO forgotten SELECT source, count(*), max(newest_us) FROM file
                 WHERE id IN ({GOING}) AND newest_us IS NOT NULL GROUP BY source
                 ON CONFLICT (source) DO UPDATE SET files = files + excluded.files,
                   newest_us = max(newest_us, excluded.newest_us)"
            ),
            [limit],
        )?;
        for delete in [
            "DELETE FROM stretch WHERE file",
            "DELETE FROM segment_ids WHERE file",
            "DELETE FROM adjoin WHERE file",
            "DELETE FROM adjoin WHERE before",
            // What goes last: the choice is made by these two.
            "DELETE FROM file WHERE id",
        ] {
            db.execute(&format!("{delete} IN ({GOING})"), params![limit])?;
        }
        db.execute("DELETE FROM sighting WHERE file NOT IN (SELECT id FROM file)", [])?;
        Ok(())
    }
}

impl Ledger {
    /// Sources of which files were forgotten.
    pub(crate) fn sources_with_forgotten_files(&self) -> rusqlite::Result<Vec<i64>> {
        self.db
            .prepare_cached("SELECT source FROM forgotten ORDER BY source")?
            .query_map([], |row| row.get(0))?
            .collect()
    }
}
