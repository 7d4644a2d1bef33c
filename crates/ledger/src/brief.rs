//! Short writes of people's commands: accounts, exceptions, plans and deeds.
//!
//! They take SQLite's own lock for a moment and not `LEDGER.lock`, which a `rollcall watch` holds as long as it
//! runs (decision 0008).
//!
//! # Invariants
//! * A transaction holds no more than what its caller hands over: nothing in it waits for a server or a person.
//! * No table that a scan writes is written here, but for `meta`.
//! * Every commit holds the page with the ledger's number, by which the `-wal` of another ledger is told.

use crate::error::Error;
use crate::ingest::BEGIN;
use crate::store::Ledger;
use rusqlite::{Connection, params};
use std::time::Duration;

impl Ledger {
    /// Writes in one transaction that is on the disk when this returns, or in none.
    pub(crate) fn briefly<T>(
        &mut self,
        write: impl FnOnce(&Ledger) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let ledger = &*self;
        ledger.db.execute_batch(BEGIN).map_err(ledger.failed())?;
        let done = write(ledger).and_then(|done| {
            count(&ledger.db, "brief_commits").map_err(ledger.failed())?;
            ledger.db.execute_batch("COMMIT").map_err(ledger.failed())?;
            Ok(done)
        });
        if done.is_err() {
            let _ = ledger.db.execute_batch("ROLLBACK");
        }
        done
    }

    /// As [`Ledger::briefly`], waiting for another writer up to `patience`.
    pub(crate) fn briefly_within<T>(
        &mut self,
        patience: Duration,
        write: impl FnOnce(&Ledger) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.db.busy_timeout(patience).map_err(self.failed())?;
        let done = self.briefly(write);
        self.db.busy_timeout(crate::store::BUSY_TIMEOUT).map_err(self.failed())?;
        done
    }

    /// Reads several things of one moment.
    pub(crate) fn at_once<T>(
        &self,
        read: impl FnOnce(&Ledger) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.db.execute_batch("BEGIN").map_err(self.failed())?;
        let found = read(self);
        let _ = self.db.execute_batch("ROLLBACK");
        found
    }

    /// What is asked cannot be, and why.
    pub(crate) fn refused(&self, what: impl Into<String>) -> Error {
        Error::Refused { path: self.path.clone(), what: what.into() }
    }
}

/// Counts up a number in `meta`: 1 the first time.
pub(crate) fn count(db: &Connection, key: &str) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO meta VALUES (?1, 1) ON CONFLICT DO UPDATE SET value = value + 1
         RETURNING value",
    )?
    .query_row(params![key], |row| row.get(0))
}
