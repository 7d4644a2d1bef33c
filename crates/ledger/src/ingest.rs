//! Writing: the sums of batches and how far the files were read, in one transaction.
//!
//! ```text
//! Ledger::ingest ─ lock file ─► Ingest ── source, file ─► numbers
//!                                 │    ◄─ add (sums), checkpoint (how far a file was read)
//!                                 └─ commit: both or neither
//! ```
//!
//! # Invariants
//! * One writer: it holds a lock file of its own beside the ledger, so readers are never in its
//!   way.
//! * Whatever was added is committed together with the checkpoints stored since the commit before.

use crate::batch::Batch;
use crate::connections::Fact;
use crate::doubts::{Doubts, SAMPLES_MAX};
use crate::edges;
use crate::error::Error;
use crate::facts;
use crate::hole_rows;
use crate::keeping::Keeping;
use crate::lock::Lock;
use crate::pairs::Pairs;
use crate::pauses;
use crate::runs::{self, Point, RunPart};
use crate::store::{Bytes, Ledger, signed};
use crate::strangers;
use crate::tally::{LOGINS, Row, Sums, Tallies};
use crate::timeline::{self, Slot};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a statement would have to undo by itself (several rows of counts) stays in memory, a few pages,
/// instead of going to a temporary file that there may be no place for: that is decided when the
/// transaction begins. What answers sort may go there again.
pub(crate) const BEGIN: &str =
    "PRAGMA temp_store = MEMORY; BEGIN IMMEDIATE; PRAGMA temp_store = DEFAULT";

/// An open transaction on the ledger, with the right to write.
#[derive(Debug)]
pub struct Ingest<'a> {
    ledger: &'a Ledger,
    pub(crate) keeping: Keeping,
    /// `None` where the caller holds it.
    _lock: Option<Lock>,
    open: bool,
}

impl Ledger {
    /// Starts writing: takes the lock and begins a transaction.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process holds the lock.
    pub fn ingest(&mut self, keeping: Keeping) -> Result<Ingest<'_>, Error> {
        let lock = Lock::take(&self.path, false)?;
        self.begin(keeping, Some(lock))
    }

    /// Takes the right to write, for a watch, which writes again and again and lets nobody else in
    /// between.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process holds it.
    pub fn lock(&self) -> Result<Lock, Error> {
        Lock::take(&self.path, true)
    }

    /// As [`Ledger::ingest`], under a lock that is held already.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn ingest_under(&mut self, _: &Lock, keeping: Keeping) -> Result<Ingest<'_>, Error> {
        self.begin(keeping, None)
    }

    fn begin(&mut self, mut keeping: Keeping, lock: Option<Lock>) -> Result<Ingest<'_>, Error> {
        let before = "SELECT value FROM meta WHERE key = 'ages_from_us'";
        let before = self.db.query_row(before, [], |row| row.get(0)).optional();
        if let Some(before) = before.map_err(self.failed())? {
            keeping.go_on_from(before);
        }
        self.db.execute_batch(BEGIN).map_err(self.failed())?;
        Ok(Ingest { ledger: self, keeping, _lock: lock, open: true })
    }
}

impl Drop for Ingest<'_> {
    fn drop(&mut self) {
        if self.open {
            let _ = self.ledger.db.execute_batch("ROLLBACK");
        }
    }
}

impl Ingest<'_> {
    pub(crate) fn db(&self) -> &Connection {
        &self.ledger.db
    }

    /// The ledger's folder without symbolic links, and what is to be said of it.
    pub(crate) fn warning(&self) -> Option<(PathBuf, String)> {
        let (warning, path) = (self.ledger.warning()?, self.ledger.path());
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        Some((path.parent().unwrap_or(&path).to_path_buf(), warning))
    }

    pub(crate) fn failed(&self) -> impl Fn(rusqlite::Error) -> Error + use<'_> {
        self.ledger.failed()
    }

    /// Adds the sums of a batch of this source.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn add(&self, source: i64, batch: &Batch) -> Result<(), Error> {
        self.add_all(source, batch).map_err(self.failed())
    }

    fn add_all(&self, source: i64, batch: &Batch) -> rusqlite::Result<()> {
        let db = self.db();
        db.prepare_cached("UPDATE source SET last_read_us = ?2 WHERE id = ?1")?
            .execute(params![source, self.keeping.now])?;
        let servers: Vec<i64> = batch
            .servers
            .iter()
            .map(|server| {
                db.prepare_cached(
                    "INSERT INTO server (name) VALUES (?1)
                     ON CONFLICT DO UPDATE SET name = excluded.name RETURNING id",
                )?
                .query_row([Bytes(&server.name)], |row| row.get(0))
            })
            .collect::<rusqlite::Result<_>>()?;
        self.add_spans(source, batch, &servers)?;
        hole_rows::add(db, source, batch, &servers)?;
        let settled = edges::settle(db, &self.keeping, source, batch, &servers)?;
        self.add_counts(source, &batch.pairs, &servers)?;
        self.add_counts(source, &settled.pairs, &servers)?;
        self.add_runs(source, batch, &servers)?;
        let mut facts: Vec<Fact> = batch.connection_facts().collect();
        facts.sort_unstable_by_key(|fact| (fact.server, fact.id, fact.from, fact.to));
        facts::add(db, &self.keeping, source, batch, &servers, facts)?;
        batch.named.store(db, source, |pair| {
            let pair = batch.pairs.get(pair);
            (servers[pair.server as usize], pair.user, pair.host)
        })?;
        batch.let_ins.store(db, source, |pair| {
            let pair = batch.pairs.get(pair);
            (servers[pair.server as usize], pair.user, pair.host)
        })?;
        edges::add_contested(db, source, &batch.contested, &batch.pairs, &servers)?;
        edges::add_contested(db, source, &settled.contested, &settled.pairs, &servers)?;
        self.add_doubts(source, &batch.doubts)?;
        self.add_doubts(source, &settled.doubts)
    }

    fn add_spans(&self, source: i64, batch: &Batch, servers: &[i64]) -> rusqlite::Result<()> {
        let mut progress = self.db().prepare_cached(
            "INSERT INTO progress (server, source, records, oldest_us, newest_us)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET records = records + excluded.records,
               oldest_us = min(oldest_us, excluded.oldest_us),
               newest_us = max(newest_us, excluded.newest_us)",
        )?;
        let mut stretch = self.db().prepare_cached(
            "INSERT INTO stretch (server, source, file, from_us, to_us, records)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET records = records + excluded.records,
               from_us = min(from_us, excluded.from_us), to_us = max(to_us, excluded.to_us)",
        )?;
        for span in batch.spans() {
            let (server, records) = (servers[span.server as usize], span.records as i64);
            progress.execute(params![server, source, records, span.first, span.last])?;
            stretch.execute(params![server, source, span.file, span.first, span.last, records])?;
        }
        Ok(())
    }

    fn add_counts(&self, source: i64, pairs: &Pairs, servers: &[i64]) -> rusqlite::Result<()> {
        let (days, gone) = (self.keeping.days_before(), self.keeping.gone_before());
        strangers::welcome(self.db(), &self.keeping, source, pairs, servers)?;
        let mut tallies = Tallies::new(self.db(), days, gone);
        let mut slots: Vec<Slot> = Vec::new();
        let mut hours = Vec::new();
        for number in pairs.sorted() {
            let straight = timeline::encode_hours(pairs.hours(number), days, gone, &mut hours);
            let count = straight.unwrap_or_else(|| {
                slots.clear();
                pairs.logins(number, &mut slots);
                let count = Sums::of(&slots).count;
                timeline::keep(&mut slots, days, gone);
                timeline::encode_counts(&slots, &mut hours);
                count
            });
            let pair = pairs.get(number);
            if count == 0 && pair.active.is_none() {
                continue;
            }
            let row = Row {
                server: servers[pair.server as usize],
                source,
                user: pair.user,
                host: pair.host,
                error: LOGINS,
                sums: Sums { count, first: pair.first, last: pair.last },
                active: pair.active,
                text: pair.last.and_then(|last| self.keeping.kept_text(last)),
            };
            tallies.add(row, &hours)?;
        }
        tallies.finish()?;
        strangers::add(self.db(), &self.keeping, source, pairs, servers)
    }

    fn add_runs(&self, source: i64, batch: &Batch, servers: &[i64]) -> rusqlite::Result<()> {
        let mut fresh: BTreeMap<i64, Vec<RunPart>> = BTreeMap::new();
        for (server, part) in batch.runs() {
            fresh.entry(servers[server as usize]).or_default().push(part);
        }
        for (server, parts) in fresh {
            for part in runs::unite(parts, self.keeping.days_before()) {
                if part.end() > self.keeping.gone_before() {
                    self.add_run(server, source, part)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn add_run(
        &self,
        server: i64,
        source: i64,
        mut part: RunPart,
    ) -> rusqlite::Result<()> {
        let known = self
            .db()
            .prepare_cached(
                "SELECT start_us, day, low_id, low_us, high_id, high_us FROM run
                 WHERE server = ?1 AND source = ?2 AND start_us = ?3 AND day = ?4",
            )?
            .query_row(params![server, source, part.start, part.day], |row| run_part(row, 0))
            .optional()?;
        if let Some(known) = known {
            part.add(&known);
        }
        self.db()
            .prepare_cached("INSERT OR REPLACE INTO run VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute(params![
                server,
                source,
                part.start,
                part.day,
                signed(part.low.id),
                part.low.at,
                signed(part.high.id),
                part.high.at
            ])?;
        Ok(())
    }

    fn add_doubts(&self, source: i64, doubts: &Doubts) -> rusqlite::Result<()> {
        let db = self.db();
        for ((standing, reason), (count, bytes)) in &doubts.totals {
            db.prepare_cached(
                "INSERT INTO doubt VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
                   count = count + excluded.count, bytes = bytes + excluded.bytes",
            )?
            .execute(params![
                source,
                standing.as_str(),
                reason.code(),
                *count as i64,
                *bytes as i64
            ])?;
        }
        for ((standing, reason), samples) in &doubts.samples {
            for sample in samples {
                db.prepare_cached(
                    "INSERT OR IGNORE INTO doubt_sample VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    source,
                    standing.as_str(),
                    reason.code(),
                    sample.rank,
                    sample.file,
                    sample.offset as i64,
                    sample.length as i64,
                    sample.text
                ])?;
            }
            db.prepare_cached(
                "DELETE FROM doubt_sample WHERE source = ?1 AND standing = ?2 AND reason = ?3
                 AND (rank, file, offset) IN (SELECT rank, file, offset FROM doubt_sample
                   WHERE source = ?1 AND standing = ?2 AND reason = ?3
                   ORDER BY rank, file, offset LIMIT -1 OFFSET ?4)",
            )?
            .execute(params![
                source,
                standing.as_str(),
                reason.code(),
                SAMPLES_MAX as i64
            ])?;
        }
        Ok(())
    }

    /// Commits what was added and begins again. Once a day it also forgets what is kept no longer.
    ///
    /// # Errors
    /// Where SQLite fails: then nothing since the last commit is stored.
    pub fn commit(&mut self) -> Result<(), Error> {
        self.finish_transaction().map_err(self.failed())?;
        self.db().execute_batch(BEGIN).map_err(self.failed())?;
        self.open = true;
        Ok(())
    }

    /// Commits and gives the right to write away.
    ///
    /// # Errors
    /// As [`Ingest::commit`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.finish_transaction().map_err(self.failed())
    }

    fn finish_transaction(&mut self) -> rusqlite::Result<()> {
        let now = self.keeping.now;
        let ledger = self.ledger;
        pauses::note(&ledger.db, now)?;
        let mut set = ledger.db.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
        set.execute(params!["last_commit_us", now])?;
        set.execute(params!["ages_from_us", self.keeping.ages_from()])?;
        let text = self.keeping.kept_text(now).unwrap_or_else(|| {
            let at = jiff::Timestamp::from_microsecond(now).unwrap_or_default();
            at.strftime("%Y-%m-%d %H:%M:%S+00:00").to_string()
        });
        set.execute(params!["last_scan_text", text])?;
        set.execute(params!["connections_before_us", self.keeping.connections_before()])?;
        let limits = format!("{:?}", self.limits());
        let pruned: Option<String> = ledger
            .db
            .prepare_cached("SELECT value FROM meta WHERE key = 'pruned_to'")?
            .query_row([], |row| row.get(0))
            .optional()?;
        if pruned.as_ref() != Some(&limits) {
            set.execute(params!["pruned_to", limits])?;
            if pruned.is_some() {
                self.prune()?;
            }
        }
        ledger.db.execute_batch("COMMIT")?;
        self.open = false;
        Ok(())
    }
}

/// A row of `run`, from its column `start_us`, the number `first`, on.
pub(crate) fn run_part(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<RunPart> {
    let point = |column| {
        let id = row.get::<_, i64>(column)? as u64;
        Ok::<_, rusqlite::Error>(Point { id, at: row.get(column + 1)? })
    };
    Ok(RunPart {
        start: row.get(first)?,
        day: row.get(first + 1)?,
        low: point(first + 2)?,
        high: point(first + 4)?,
    })
}
