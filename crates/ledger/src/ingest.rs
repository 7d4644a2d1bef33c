//! Writing: the sums of batches and how far the files were read, in one transaction.
//!
//! ```text
//! Ledger::ingest ─ lock file ─► Ingest ── source, file ─► numbers
//!                                 │    ◄─ add (a batch's sums) + checkpoint (how far its file was read)
//!                                 └─ commit: both or neither
//! ```
//!
//! # Invariants
//! * One writer: it holds a lock file of its own beside the ledger, so readers are never in its way.
//! * Whatever was added is committed together with the checkpoints stored since the commit before.

use crate::batch::Batch;
use crate::connections::Fact;
use crate::doubts::SAMPLES_MAX;
use crate::error::Error;
use crate::facts;
use crate::keeping::Keeping;
use crate::lock::Lock;
use crate::runs::{self, Point, RunPart};
use crate::store::{Bytes, Ledger, name, signed};
use crate::strangers::{self, Refusal};
use crate::timeline::{self, Slot};
use rusqlite::{Connection, OptionalExtension, params};
use source::{Fingerprint, KnownFile, Raw};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A login is settled when its source goes on for longer than a handshake may take (`connect_timeout`
/// is 10 s by default) without a contradiction.
pub(crate) const SETTLING: i64 = 15_000_000;

/// An open transaction on the ledger, with the right to write.
#[derive(Debug)]
pub struct Ingest<'a> {
    ledger: &'a Ledger,
    keeping: Keeping,
    _lock: Lock,
    open: bool,
}

/// How far a file was read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where the file stands.
    pub path: PathBuf,
    /// What was read of it.
    pub fingerprint: Fingerprint,
    /// The file itself.
    pub raw: Raw,
    /// Whether the offset lies inside a record that is too long to be read.
    pub mid_record: bool,
    /// The newest record's time, in microseconds UTC.
    pub newest: Option<i64>,
}

/// A file the ledger knows, with what its reader needs to go on.
#[derive(Debug, Clone)]
pub struct Mark {
    /// The file's identity.
    pub known: KnownFile,
    /// The source it belongs to.
    pub source: i64,
    /// Whether the offset lies inside a record that is too long to be read.
    pub mid_record: bool,
    /// The newest record's time, in microseconds UTC.
    pub newest: Option<i64>,
}

impl Ledger {
    /// Starts writing: takes the lock and begins a transaction.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process holds the lock.
    pub fn ingest(&mut self, keeping: Keeping) -> Result<Ingest<'_>, Error> {
        let lock = Lock::take(&self.path)?;
        self.db.execute_batch("BEGIN IMMEDIATE").map_err(self.failed())?;
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

    pub(crate) fn failed(&self) -> impl Fn(rusqlite::Error) -> Error + use<'_> {
        self.ledger.failed()
    }

    /// The number of a source; `label` is the server's name where the reader was told it (else empty).
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn source(&self, location: &[u8], label: &[u8], dialect: &str) -> Result<i64, Error> {
        self.db()
            .prepare_cached(
                "INSERT INTO source (location, label, dialect) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET dialect = excluded.dialect RETURNING id",
            )
            .and_then(|mut insert| {
                insert.query_row(params![Bytes(location), Bytes(label), dialect], |row| row.get(0))
            })
            .map_err(self.failed())
    }

    /// Every file read under this label.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn marks(&self, label: &[u8]) -> Result<Vec<Mark>, Error> {
        let print = |bytes: Vec<u8>| <[u8; 16]>::try_from(bytes).unwrap_or_default();
        self.db()
            .prepare_cached(
                "SELECT file.id, source, path, device, inode, born_us, file.bytes, modified_us, print,
                        drained, head_bytes, head, offset, tail_bytes, tail, mid_record, newest_us
                 FROM file JOIN source ON source.id = file.source WHERE source.label = ?1 ORDER BY file.id",
            )
            .and_then(|mut query| {
                query
                    .query_map([Bytes(label)], |row| {
                        let path = name(row.get_ref(2)?);
                        let unsigned = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)? as u64);
                        Ok(Mark {
                            source: row.get(1)?,
                            mid_record: row.get(15)?,
                            newest: row.get(16)?,
                            known: KnownFile {
                                key: row.get(0)?,
                                path: PathBuf::from(OsStr::from_bytes(&path)),
                                fingerprint: Fingerprint {
                                    head_len: row.get(10)?,
                                    head: print(row.get(11)?),
                                    offset: unsigned(12)?,
                                    tail_len: row.get(13)?,
                                    tail: print(row.get(14)?),
                                },
                                raw: Raw {
                                    facts: source::Facts {
                                        device: unsigned(3)?,
                                        inode: unsigned(4)?,
                                        born: row.get(5)?,
                                        len: unsigned(6)?,
                                        modified: row.get(7)?,
                                    },
                                    print: print(row.get(8)?),
                                    drained: row.get(9)?,
                                },
                            },
                        })
                    })?
                    .collect()
            })
            .map_err(self.failed())
    }

    /// Stores a file's checkpoint: under `key`, or under a new number where that is `None`. Returns the
    /// number.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn checkpoint(&self, key: Option<i64>, source: i64, at: &Checkpoint) -> Result<i64, Error> {
        let (facts, print) = (&at.raw.facts, &at.fingerprint);
        self.db()
            .prepare_cached(
                "INSERT INTO file (id, source, path, device, inode, born_us, bytes, modified_us, print,
                   drained, head_bytes, head, offset, tail_bytes, tail, mid_record, newest_us)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
                 ON CONFLICT (id) DO UPDATE SET source = excluded.source, path = excluded.path,
                   device = excluded.device,
                   inode = excluded.inode, born_us = excluded.born_us, bytes = excluded.bytes,
                   modified_us = excluded.modified_us, print = excluded.print, drained = excluded.drained,
                   head_bytes = excluded.head_bytes, head = excluded.head, offset = excluded.offset,
                   tail_bytes = excluded.tail_bytes, tail = excluded.tail,
                   mid_record = excluded.mid_record,
                   newest_us = coalesce(max(newest_us, excluded.newest_us), newest_us, excluded.newest_us)
                 RETURNING id",
            )
            .and_then(|mut insert| {
                insert.query_row(
                    params![
                        key,
                        source,
                        Bytes(at.path.as_os_str().as_bytes()),
                        facts.device as i64,
                        facts.inode as i64,
                        facts.born,
                        facts.len as i64,
                        facts.modified,
                        at.raw.print,
                        at.raw.drained,
                        print.head_len,
                        print.head,
                        print.offset as i64,
                        print.tail_len,
                        print.tail,
                        at.mid_record,
                        at.newest,
                    ],
                    |row| row.get(0),
                )
            })
            .map_err(self.failed())
    }

    /// Notes that evidence of a source is missing.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn gap(
        &self,
        source: i64,
        path: &Path,
        from: Option<i64>,
        reason: &str,
    ) -> Result<(), Error> {
        self.db()
            .prepare_cached(
                "INSERT INTO gap (source, path, from_us, noticed_us, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    source,
                    Bytes(path.as_os_str().as_bytes()),
                    from,
                    self.keeping.now,
                    reason
                ])
            })
            .map_err(self.failed())?;
        Ok(())
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
        self.add_counts(source, batch, &servers)?;
        self.add_runs(source, batch, &servers)?;
        let mut facts: Vec<Fact> = batch.connection_facts().collect();
        facts.sort_unstable_by_key(|fact| (fact.server, fact.id, fact.from, fact.to));
        self.add_unsettled(source, batch, &servers, &facts)?;
        facts::add(db, &self.keeping, source, batch, &servers, facts)?;
        self.add_doubts(source, batch)
    }

    fn add_spans(&self, source: i64, batch: &Batch, servers: &[i64]) -> rusqlite::Result<()> {
        let mut progress = self.db().prepare_cached(
            "INSERT INTO progress (server, source, records, oldest_us, newest_us) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET records = records + excluded.records,
               oldest_us = min(oldest_us, excluded.oldest_us),
               newest_us = max(newest_us, excluded.newest_us)",
        )?;
        let mut stretch = self.db().prepare_cached(
            "INSERT INTO stretch (server, source, file, from_us, to_us, records) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
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

    fn add_counts(&self, source: i64, batch: &Batch, servers: &[i64]) -> rusqlite::Result<()> {
        let (days, gone) = (self.keeping.days_before(), self.keeping.gone_before());
        let mut upsert = self.db().prepare_cached(UPSERT_TALLY)?;
        let pairs = &batch.pairs;
        let refusals = pairs.refusals();
        strangers::welcome(self.db(), &self.keeping, source, pairs, servers)?;
        let mut slots: Vec<Slot> = Vec::new();
        let mut hours = Vec::new();
        for number in pairs.sorted() {
            slots.clear();
            pairs.logins(number, &mut slots);
            let pair = pairs.get(number);
            if slots.is_empty() && pair.active.is_none() {
                continue;
            }
            let server = servers[pair.server as usize];
            let count = Sums::of(&slots).count;
            timeline::normalize(&mut slots, days);
            slots.retain(|slot| slot.end() > gone);
            timeline::encode_counts(&slots, &mut hours);
            let text = pair.last.map(|last| (self.keeping.local_text)(last));
            upsert.execute(params![
                server,
                source,
                Bytes(pair.user),
                Bytes(pair.host),
                0,
                count as i64,
                pair.first,
                pair.last,
                pair.active,
                text,
                hours,
                days,
                gone
            ])?;
        }
        let mut all = Vec::new();
        for key in refusals {
            let pair = pairs.get(key.0);
            slots.clear();
            pairs.refusal(key, &mut slots);
            timeline::normalize(&mut slots, i64::MIN);
            all.extend(slots.iter().map(|&slot| Refusal {
                server: servers[pair.server as usize],
                pair: key.0,
                error: key.1,
                slot,
            }));
        }
        strangers::add(self.db(), &self.keeping, source, pairs, all)
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

    fn add_run(&self, server: i64, source: i64, mut part: RunPart) -> rusqlite::Result<()> {
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

    fn add_unsettled(
        &self,
        source: i64,
        batch: &Batch,
        servers: &[i64],
        facts: &[Fact],
    ) -> rusqlite::Result<()> {
        let db = self.db();
        for (&server, number) in servers.iter().zip(0..) {
            let newest: Option<i64> = db
                .prepare_cached("SELECT newest_us FROM progress WHERE server = ?1 AND source = ?2")?
                .query_row([server, source], |row| row.get(0))
                .optional()?;
            let settled = newest.unwrap_or(i64::MIN).saturating_sub(SETTLING);
            db.prepare_cached(
                "DELETE FROM unsettled WHERE server = ?1 AND source = ?2 AND at_us <= ?3",
            )?
            .execute([server, source, settled])?;
            let mut insert = db.prepare_cached(
                "INSERT OR IGNORE INTO unsettled VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for fact in facts.iter().filter(|fact| fact.server == number && !fact.refused) {
                let Some(from) = fact.from.filter(|&from| from > settled) else { continue };
                let pair = batch.pairs.get(fact.pair);
                let (user, host) = (Bytes(pair.user), Bytes(pair.host));
                insert.execute(params![server, source, from, signed(fact.id), user, host])?;
            }
        }
        Ok(())
    }

    fn add_doubts(&self, source: i64, batch: &Batch) -> rusqlite::Result<()> {
        let db = self.db();
        for ((standing, reason), (count, bytes)) in &batch.doubts.totals {
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
        for ((standing, reason), samples) in &batch.doubts.samples {
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
        self.db().execute_batch("BEGIN IMMEDIATE").map_err(self.failed())?;
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
        let mut set = ledger.db.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
        set.execute(params!["last_commit_us", now])?;
        set.execute(params!["last_scan_text", (self.keeping.local_text)(now)])?;
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

    /// All that was stored is pruned to these. They move once a day.
    fn limits(&self) -> [i64; 3] {
        let keeping = &self.keeping;
        [keeping.days_before(), keeping.gone_before(), keeping.connections_before()]
    }

    /// Forgets what is older than it is kept.
    fn prune(&self) -> rusqlite::Result<()> {
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
        db.execute("DELETE FROM gap WHERE noticed_us < ?1", [gone])?;
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

/// Error 0 of a refusal means that the source does not tell; in the table 0 stands for logins.
pub(crate) fn stored_error(error: u32) -> i64 {
    if error == 0 { -1 } else { i64::from(error) }
}

pub(crate) const UPSERT_TALLY: &str =
    "INSERT INTO tally (server, source, user, host, error, count, first_us, last_us, active_us, last_text, hours)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
     ON CONFLICT DO UPDATE SET
       count = count + excluded.count,
       first_us = coalesce(min(first_us, excluded.first_us), first_us, excluded.first_us),
       last_text = CASE WHEN last_us IS NULL OR excluded.last_us > last_us
                        THEN excluded.last_text ELSE last_text END,
       last_us = coalesce(max(last_us, excluded.last_us), last_us, excluded.last_us),
       active_us = coalesce(max(active_us, excluded.active_us), active_us, excluded.active_us),
       hours = unite_hours(hours, excluded.hours, ?12, ?13)";

/// What slots add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) count: u64,
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
}

impl Sums {
    pub(crate) fn of(slots: &[Slot]) -> Self {
        Sums {
            count: slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.count)),
            first: slots.iter().map(|slot| slot.first).min(),
            last: slots.iter().map(|slot| slot.last).max(),
        }
    }
}
