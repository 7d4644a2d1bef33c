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
use crate::connections::{Fact, join};
use crate::doubts::SAMPLES_MAX;
use crate::error::Error;
use crate::runs::{RunPiece, chain};
use crate::store::{Bytes, Ledger, name, signed};
use crate::strangers::{self, Refusal};
use crate::timeline::{self, DAY, Slot};
use rusqlite::{Connection, OptionalExtension, params};
use source::{Fingerprint, KnownFile, Raw};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A login is settled when its source goes on for longer than a handshake may take (`connect_timeout`
/// is 10 s by default) without a contradiction.
pub(crate) const SETTLING: i64 = 15_000_000;

/// How long and how much the ledger keeps, and how it writes local times for conntracker's users.
#[derive(Clone)]
pub struct Keeping {
    /// Now, in microseconds UTC: what retention counts from.
    pub now: i64,
    /// Counts by the hour are kept for this many days, then by the day.
    pub hour_days: u32,
    /// Counts by the day are kept for this many days; totals stay.
    pub day_days: u32,
    /// Connection facts are kept for this many days …
    pub connection_days: u32,
    /// … and at most this many; 0 for none.
    pub connections: usize,
    /// Refused pairs that never logged in, kept by name per server, source and hour.
    pub strangers_per_hour: usize,
    /// A time in microseconds UTC as local text, for the view `Accounts`.
    pub local_text: Arc<dyn Fn(i64) -> String + Send + Sync>,
}

impl Keeping {
    /// The defaults: 90 days by the hour, 400 by the day, 100,000 connections for 30 days.
    pub fn new(now: i64) -> Self {
        Keeping {
            now,
            hour_days: 90,
            day_days: 400,
            connection_days: 30,
            connections: 100_000,
            strangers_per_hour: 1000,
            local_text: Arc::new(|at| {
                jiff::Timestamp::from_microsecond(at).map(|at| at.to_string()).unwrap_or_default()
            }),
        }
    }

    /// Periods that end before this are kept by the day.
    pub(crate) fn days_before(&self) -> i64 {
        self.now - i64::from(self.hour_days) * DAY
    }

    /// Periods that end before this are kept in totals only.
    pub(crate) fn gone_before(&self) -> i64 {
        self.now - i64::from(self.day_days) * DAY
    }
}

/// Holds the lock file; the lock ends with it.
#[derive(Debug)]
struct Lock(#[allow(dead_code)] Option<std::fs::File>);

impl Lock {
    /// Takes the lock or says who holds it. A ledger in memory needs none.
    fn take(ledger: &Path) -> Result<Lock, Error> {
        if ledger == Path::new(":memory:") {
            return Ok(Lock(None));
        }
        let mut path = ledger.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |doing| {
            let path = path.clone();
            move |error| Error::File { path, doing, error }
        };
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("opening the lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = (&mut file).take(32).read_to_string(&mut text);
                let holder = match text.trim().parse::<u32>() {
                    Ok(process) => format!(" (process {process})"),
                    Err(_) => String::new(),
                };
                return Err(Error::Busy { path: ledger.to_path_buf(), holder });
            }
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(failed("locking the lock file")(error));
            }
        }
        // Only for the message above: that it cannot be written is no reason to stop.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Lock(Some(file)))
    }
}

/// An open transaction on the ledger, with the right to write.
#[derive(Debug)]
pub struct Ingest<'a> {
    ledger: &'a Ledger,
    keeping: Keeping,
    _lock: Lock,
    open: bool,
}

impl std::fmt::Debug for Keeping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeping").field("now", &self.now).finish_non_exhaustive()
    }
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
    fn db(&self) -> &Connection {
        &self.ledger.db
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> Error + use<'_> {
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
        self.add_connections(source, batch, &servers)?;
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
        let strangers: bool = self.db().query_row(
            "SELECT EXISTS (SELECT 1 FROM stranger WHERE source = ?1)",
            [source],
            |row| row.get(0),
        )?;
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
            if strangers && !slots.is_empty() {
                self.welcome(server, source, pair.user, pair.host)?;
            }
            let count: u64 = slots.iter().map(|slot| slot.count).sum();
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

    /// Notes that a pair logged in: refusals that were counted as a stranger's become its own.
    fn welcome(&self, server: i64, source: i64, user: &[u8], host: &[u8]) -> rusqlite::Result<()> {
        if strangers::is_known(self.db(), server, source, user, host)? {
            return Ok(());
        }
        strangers::welcome(self.db(), &self.keeping, server, source, user, host)
    }

    fn add_runs(&self, source: i64, batch: &Batch, servers: &[i64]) -> rusqlite::Result<()> {
        let mut fresh: BTreeMap<i64, Vec<RunPiece>> = BTreeMap::new();
        for (server, piece) in batch.runs() {
            fresh.entry(servers[server as usize]).or_default().push(piece);
        }
        for (server, mut pieces) in fresh {
            let known = self
                .db()
                .prepare_cached(
                    "SELECT from_us, to_us, first_id, last_id FROM run WHERE server = ?1 AND source = ?2",
                )?
                .query_map([server, source], |row| {
                    Ok(RunPiece {
                        from: row.get(0)?,
                        to: row.get(1)?,
                        first_id: row.get::<_, i64>(2)? as u64,
                        last_id: row.get::<_, i64>(3)? as u64,
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            pieces.extend(known);
            self.db()
                .prepare_cached("DELETE FROM run WHERE server = ?1 AND source = ?2")?
                .execute([server, source])?;
            let mut insert =
                self.db().prepare_cached("INSERT INTO run VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for run in chain(pieces) {
                let (first, last) = (signed(run.first_id), signed(run.last_id));
                insert.execute(params![server, source, run.from, run.to, first, last])?;
            }
        }
        Ok(())
    }

    fn add_connections(&self, source: i64, batch: &Batch, servers: &[i64]) -> rusqlite::Result<()> {
        let db = self.db();
        let mut facts: Vec<Fact> = batch.connection_facts().collect();
        // The newest finished ones, as many as are kept; halves always, to be joined.
        facts.sort_unstable_by_key(|fact| (fact.server, fact.id, fact.from, fact.to));
        self.add_unsettled(source, batch, servers, &facts)?;
        let whole = |fact: &Fact| fact.from.is_some() && fact.to.is_some();
        let mut ends: Vec<i64> = facts.iter().filter(|f| whole(f)).filter_map(|f| f.to).collect();
        let keep = self.keeping.connections;
        if ends.len() > keep {
            ends.sort_unstable();
            let oldest = ends.get(ends.len() - keep.max(1)).copied().unwrap_or(i64::MAX);
            facts.retain(|fact| !whole(fact) || (keep > 0 && fact.to >= Some(oldest)));
        }
        let mut insert = db.prepare_cached(
            "INSERT OR IGNORE INTO connection VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let mut added = 0;
        let mut write = |server: i64, fact: &Fact, user: &[u8], host: &[u8]| {
            added += insert.execute(params![
                server,
                source,
                signed(fact.id),
                fact.from.or(fact.to),
                fact.from,
                fact.to,
                Bytes(user),
                Bytes(host),
                fact.port,
                fact.refused
            ])?;
            Ok::<_, rusqlite::Error>(())
        };
        let mut halves: BTreeMap<(i64, u64), Vec<Fact>> = BTreeMap::new();
        for fact in facts {
            let server = servers[fact.server as usize];
            if whole(&fact) {
                let pair = batch.pairs.get(fact.pair);
                write(server, &fact, pair.user, pair.host)?;
            } else {
                halves.entry((server, fact.id)).or_default().push(fact);
            }
        }
        for ((server, id), facts) in halves {
            self.join_halves(source, batch, server, id, facts, &mut write)?;
        }
        self.trim_connections(added)
    }

    /// Joins halves of one connection id with those the ledger holds.
    fn join_halves(
        &self,
        source: i64,
        batch: &Batch,
        server: i64,
        id: u64,
        mut facts: Vec<Fact>,
        write: &mut impl FnMut(i64, &Fact, &[u8], &[u8]) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut names: Vec<(Vec<u8>, Vec<u8>)> = facts
            .iter()
            .map(|fact| batch.pairs.get(fact.pair))
            .map(|pair| (pair.user.to_vec(), pair.host.to_vec()))
            .collect();
        for (fact, number) in facts.iter_mut().zip(0..) {
            fact.pair = number;
        }
        let mut query = self.db().prepare_cached(
            "SELECT from_us, to_us, user, host, port, refused FROM connection
             WHERE server = ?1 AND source = ?2 AND id = ?3 ORDER BY at_us, refused",
        )?;
        let mut rows = query.query(params![server, source, signed(id)])?;
        let mut stored = 0;
        while let Some(row) = rows.next()? {
            let pair = names.len() as u32;
            names.push((name(row.get_ref(2)?), name(row.get_ref(3)?)));
            facts.push(Fact {
                id,
                from: row.get(0)?,
                to: row.get(1)?,
                server: 0,
                pair,
                port: row.get(4)?,
                refused: row.get(5)?,
            });
            stored += 1;
        }
        if stored > 0 {
            self.db()
                .prepare_cached(
                    "DELETE FROM connection WHERE server = ?1 AND source = ?2 AND id = ?3",
                )?
                .execute(params![server, source, signed(id)])?;
        }
        join(&mut facts);
        for fact in facts {
            let (user, host) = &names[fact.pair as usize];
            let half = fact.from.is_none() || fact.to.is_none();
            if let Some(to) = fact.to.filter(|_| !half) {
                self.settle_activity(server, source, user, host, to)?;
            }
            // With no connections kept, only halves are: the other half may still come.
            if self.keeping.connections > 0 || half {
                write(server, &fact, user, host)?;
            }
        }
        Ok(())
    }

    /// The end of a session is a sign of it.
    fn settle_activity(
        &self,
        server: i64,
        source: i64,
        user: &[u8],
        host: &[u8],
        at: i64,
    ) -> rusqlite::Result<()> {
        let (mut hours, none) = (Vec::new(), None::<i64>);
        timeline::encode_counts(&[], &mut hours);
        self.db().prepare_cached(UPSERT_TALLY)?.execute(params![
            server,
            source,
            Bytes(user),
            Bytes(host),
            0,
            0,
            none,
            none,
            at,
            None::<String>,
            hours,
            0,
            0
        ])?;
        Ok(())
    }

    /// Keeps the number of connection facts within its bound, with some room so that it is not done
    /// each time.
    fn trim_connections(&self, added: usize) -> rusqlite::Result<()> {
        let db = self.db();
        let stored: i64 = db
            .prepare_cached("SELECT value FROM meta WHERE key = 'connections'")?
            .query_row([], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        let mut count = stored + added as i64;
        let keep = self.keeping.connections as i64;
        if count > keep + keep / 4 + 10_000 {
            let oldest: Option<i64> = db
                .query_row(
                    "SELECT coalesce(to_us, from_us) FROM connection WHERE to_us IS NOT NULL
                     ORDER BY 1 DESC LIMIT 1 OFFSET ?1",
                    [keep],
                    |row| row.get(0),
                )
                .optional()?;
            if let Some(oldest) = oldest {
                self.forget_connections(oldest)?;
            }
            count = db.query_row("SELECT count(*) FROM connection", [], |row| row.get(0))?;
        }
        db.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('connections', ?1)")?
            .execute([count])?;
        Ok(())
    }

    /// Forgets connections that ended at `oldest` or before. An end without a beginning is a sign of a
    /// session and is kept as one.
    fn forget_connections(&self, oldest: i64) -> rusqlite::Result<()> {
        let ends = self
            .db()
            .prepare_cached(
                "SELECT server, source, user, host, max(to_us) FROM connection
                 WHERE to_us <= ?1 AND NOT refused GROUP BY 1, 2, 3, 4",
            )?
            .query_map([oldest], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    name(row.get_ref(2)?),
                    name(row.get_ref(3)?),
                    row.get(4)?,
                ))
            })?
            .collect::<rusqlite::Result<Vec<(i64, i64, Vec<u8>, Vec<u8>, i64)>>>()?;
        for (server, source, user, host, to) in ends {
            self.settle_activity(server, source, &user, &host, to)?;
        }
        self.db().execute("DELETE FROM connection WHERE to_us <= ?1", [oldest])?;
        self.db().execute(
            "DELETE FROM connection WHERE to_us IS NULL AND refused AND from_us <= ?1",
            [oldest],
        )?;
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

    /// Takes the rows of a conntracker ledger over, once: who was seen when it last looked, of a server
    /// that it did not name. `parse` reads its times, into microseconds UTC; a row whose time it
    /// cannot read is left where it is, in the table `conntracker_accounts`.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn take_over_accounts(&self, parse: &dyn Fn(&str) -> Option<i64>) -> Result<(), Error> {
        self.take_over(parse).map_err(self.failed())
    }

    fn take_over(&self, parse: &dyn Fn(&str) -> Option<i64>) -> rusqlite::Result<()> {
        let db = self.db();
        let waiting: bool = db.query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'conntracker_accounts')
               AND NOT EXISTS (SELECT 1 FROM meta WHERE key = 'conntracker_taken_over')",
            [],
            |row| row.get(0),
        )?;
        if !waiting {
            return Ok(());
        }
        let source: i64 = db.query_row(
            "INSERT INTO source (location, label, dialect) VALUES ('conntracker', '', 'conntracker')
             RETURNING id",
            [],
            |row| row.get(0),
        )?;
        let server: i64 = db.query_row(
            "INSERT INTO server (name) VALUES ('') ON CONFLICT DO UPDATE SET name = '' RETURNING id",
            [],
            |row| row.get(0),
        )?;
        let rows = db
            .prepare("SELECT name, host, CAST(last_seen AS TEXT) FROM conntracker_accounts")?
            .query_map([], |row| {
                Ok((name(row.get_ref(0)?), name(row.get_ref(1)?), name(row.get_ref(2)?)))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let mut hours = Vec::new();
        timeline::encode_counts(&[], &mut hours);
        for (user, host, text) in rows {
            // Its marker for the time of the last run.
            if (&user[..], &host[..]) == (b"mysql", b"localhost") {
                continue;
            }
            let text = String::from_utf8_lossy(&text).into_owned();
            let Some(last) = parse(&text) else { continue };
            let (user, host, none) = (Bytes(&user), Bytes(&host), None::<i64>);
            db.prepare_cached(UPSERT_TALLY)?.execute(params![
                server, source, user, host, 0, 0, none, last, last, text, hours, 0, 0
            ])?;
        }
        db.execute("INSERT INTO meta VALUES ('conntracker_taken_over', 1)", [])?;
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
        let pruned: Option<i64> = ledger
            .db
            .prepare_cached("SELECT value FROM meta WHERE key = 'last_pruned_us'")?
            .query_row([], |row| row.get(0))
            .optional()?;
        if pruned.is_none_or(|pruned| now - pruned >= DAY) {
            set.execute(params!["last_pruned_us", now])?;
            if pruned.is_some() {
                self.prune()?;
            }
        }
        ledger.db.execute_batch("COMMIT")?;
        self.open = false;
        Ok(())
    }

    /// Forgets what is older than it is kept.
    fn prune(&self) -> rusqlite::Result<()> {
        let db = self.db();
        let (days, gone) = (self.keeping.days_before(), self.keeping.gone_before());
        let mut none = Vec::new();
        timeline::encode(&[], &mut none);
        db.execute(
            "UPDATE tally SET hours = unite_hours(hours, ?1, ?2, ?3) WHERE first_us < ?2",
            params![none, days, gone],
        )?;
        db.execute("DELETE FROM tally WHERE error <> 0 AND last_us < ?1", [gone])?;
        strangers::prune(db, days, gone)?;
        self.forget_connections(self.keeping.now - i64::from(self.keeping.connection_days) * DAY)?;
        db.execute("DELETE FROM gap WHERE noticed_us < ?1", [gone])?;
        Ok(())
    }
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
            count: slots.iter().map(|slot| slot.count).sum(),
            first: slots.iter().map(|slot| slot.first).min(),
            last: slots.iter().map(|slot| slot.last).max(),
        }
    }
}
