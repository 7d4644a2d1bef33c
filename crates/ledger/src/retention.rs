//! Forgetting: once a day, what is older than it is kept becomes coarser or goes.
//!
//! # Invariants
//! * What is written is held to the same limits as what is there, so it does not matter whether
//!   something was made coarser when it was read or later.
//! * The journal is never touched, nor are exceptions that are in force and plans that something was done of.

use crate::facts;
use crate::ingest::{Ingest, run_part};
use crate::keep;
use crate::plans;
use crate::runs::RunPart;
use crate::strangers;
use crate::timeline;
use rusqlite::params;

/// Of this many files, the last to come, every line of the head is known; of others the first. A log that
/// is cut is one of the last, and each scan reads them all: about 500 bytes a file.
const HEAD_LINES_MAX: i64 = 1000;

/// What a line takes in `file.lines`.
const LINE_BYTES: i64 = 10;

impl Ingest<'_> {
    /// All that was stored is pruned to these. They move once a day.
    pub(crate) fn limits(&self) -> [i64; 3] {
        let keeping = &self.keeping;
        [keeping.days_before(), keeping.gone_before(), keeping.connections_before()]
    }

    /// Forgets what is older than it is kept.
    pub(crate) fn prune(&self) -> rusqlite::Result<()> {
        let db = self.db();
        let [days, gone, _] = self.limits();
        let mut none = Vec::new();
        timeline::encode(&[], &mut none);
        db.execute(
            "UPDATE tally SET hours = unite_hours(hours, ?1, ?2, ?3) WHERE first_us < ?2",
            params![none, days, gone],
        )?;
        strangers::prune(db, &self.keeping)?;
        facts::prune(db, &self.keeping)?;
        self.prune_runs(days, gone)?;
        db.execute(
            "UPDATE unsettled SET hours = unite_hours(hours, ?1, ?2, ?3) WHERE first_us < ?2",
            params![none, days, gone],
        )?;
        db.execute("DELETE FROM contested WHERE last_us < ?1", [gone])?;
        db.execute("DELETE FROM gap WHERE noticed_us < ?1", [gone])?;
        keep::prune(db, self.keeping.ages_from())?;
        plans::prune(db, self.keeping.ages_from())?;
        self.prune_files()?;
        db.execute(
            "UPDATE file SET lines = substr(lines, 1, ?1) WHERE length(lines) > ?1
             AND id <= (SELECT max(id) FROM file) - ?2",
            [LINE_BYTES, HEAD_LINES_MAX],
        )?;
        Ok(())
    }

    fn prune_runs(&self, days: i64, gone: i64) -> rusqlite::Result<()> {
        let db = self.db();
        let old = db
            .prepare(
                "SELECT start_us, day, low_id, low_us, high_id, high_us, server, source FROM run
                 WHERE start_us < ?1 AND (NOT day OR start_us < ?2)",
            )?
            .query_map([days, gone], |row| Ok((row.get(6)?, row.get(7)?, run_part(row, 0)?)))?
            .collect::<rusqlite::Result<Vec<(i64, i64, RunPart)>>>()?;
        let mut delete = db.prepare_cached(
            "DELETE FROM run WHERE server = ?1 AND source = ?2 AND start_us = ?3 AND day = ?4",
        )?;
        for (server, source, part) in old {
            let kept = part.kept(days);
            if kept != part || kept.end() <= gone {
                delete.execute(params![server, source, part.start, part.day])?;
            }
            if kept != part && kept.end() > gone {
                self.add_run(server, source, kept)?;
            }
        }
        Ok(())
    }
}
