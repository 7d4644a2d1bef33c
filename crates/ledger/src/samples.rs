//! Connections that were open when a server's list of sessions was sampled, with the processes that had them.
//!
//! # Invariants
//! * What was noted of one life of a server is found by its start and the connection's id together, as ids begin
//!   again with each start.
//! * A process is its id with its start: the same id with another start is another process.
//! * No more than [`SampleLimits::keep`] rows of each table stay, the newest, and none older than they are kept.

use crate::error::Error;
use crate::rows::Name;
use crate::store::{Bytes, Ledger, name, signed};
use rusqlite::{Row, params};

/// By how much the start of a server that is told at one time differs from that told at another, in microseconds:
/// its uptime is in whole seconds, the clock goes on meanwhile.
const RUN_US: i64 = 2_000_000;

/// A connection, and a process that had it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// The connection id.
    pub connection: u64,
    /// Who logged in.
    pub user: Name,
    /// From where, as the server calls it.
    pub host: Name,
    /// The client's port; `None` over a unix socket.
    pub port: Option<u16>,
    /// The process; 0: none was found.
    pub pid: u32,
    /// Its start, in clock ticks since the machine's.
    pub start_ticks: u64,
    /// The same in microseconds UTC.
    pub started_us: Option<i64>,
    /// How it was found: `tcp-pair`, `socket-peer`; empty where it was not.
    pub evidence: String,
    /// Its effective user id.
    pub uid: u32,
    /// The name of that.
    pub os_user: Option<String>,
    /// The name that it went by.
    pub name: Name,
    /// Its file.
    pub executable: Option<Name>,
    /// Its unit.
    pub unit: Option<Name>,
    /// Its container.
    pub container: Option<Name>,
    /// Its command line, masked: the ledger takes it as it is.
    pub command_line: Name,
    /// When it was seen first, in microseconds UTC.
    pub first_us: i64,
    /// When it was seen last.
    pub last_us: i64,
}

/// The query that a connection ran last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampledQuery {
    /// Its id.
    pub query: u64,
    /// The connection id.
    pub connection: u64,
}

/// What one look at a server's list of sessions told.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// When the server started, microseconds UTC.
    pub run_us: i64,
    /// Connections that were looked for: [`Sample::first_us`] and [`Sample::last_us`] are not read.
    pub new: Vec<Sample>,
    /// Connections, processes and their starts that are still there.
    pub still: Vec<(u64, u32, u64)>,
    /// The queries that were shown.
    pub queries: Vec<SampledQuery>,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleLimits {
    /// Rows of each table.
    pub keep: u64,
    /// Microseconds since they were seen last.
    pub age_us: i64,
}

impl Ledger {
    /// Notes a look at this moment, in one short transaction, and forgets what is beyond the limits.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn note_samples(
        &mut self,
        server: &[u8],
        now_us: i64,
        sampled: &Sampled,
        limits: SampleLimits,
    ) -> Result<(), Error> {
        self.briefly(|ledger| {
            add(ledger, server, now_us, sampled)
                .and_then(|()| forget(ledger, now_us, limits))
                .map_err(ledger.failed())
        })
    }

    /// The start of the run that these samples are of: `run_us` itself, or what was noted of the same run before.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn sampled_run(&self, server: &[u8], run_us: i64) -> Result<i64, Error> {
        self.db
            .prepare_cached(
                "SELECT coalesce(max(run_us), ?2) FROM samples WHERE server = ?1 AND run_us BETWEEN ?3 AND ?4",
            )
            .and_then(|mut query| {
                let range = params![Bytes(server), run_us, run_us - RUN_US, run_us + RUN_US];
                query.query_row(range, |row| row.get(0))
            })
            .map_err(self.failed())
    }

    /// What was noted of a connection in runs that began between these moments; of several runs, or of two sessions
    /// with one id, nothing.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn samples(
        &self,
        server: &[u8],
        begun_us: (i64, i64),
        connection: u64,
    ) -> Result<Vec<Sample>, Error> {
        let read = || -> rusqlite::Result<Vec<(i64, Sample)>> {
            let mut query = self.db.prepare_cached(
                "SELECT run_us, user, host, port, pid, start_ticks, started_us, evidence, uid, os_user, name,
                   executable, unit, container, command_line, first_us, last_us
                 FROM samples WHERE server = ?1 AND run_us BETWEEN ?2 AND ?3 AND connection = ?4
                 ORDER BY first_us, pid",
            )?;
            let bounds = params![Bytes(server), begun_us.0, begun_us.1, signed(connection)];
            query.query_map(bounds, |row| Ok((row.get(0)?, sample(row, connection)?)))?.collect()
        };
        let rows = read().map_err(self.failed())?;
        let key = |(run, it): &(i64, Sample)| (*run, it.user.clone(), it.host.clone(), it.port);
        let is_one = rows.iter().all(|row| key(row) == key(&rows[0]));
        Ok(if is_one { rows.into_iter().map(|row| row.1).collect() } else { Vec::new() })
    }

    /// The connections that were seen with a query id, in runs that began between these moments.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn sampled_queries(
        &self,
        server: &[u8],
        begun_us: (i64, i64),
        query: u64,
    ) -> Result<Vec<u64>, Error> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let mut statement = self.db.prepare_cached(
                "SELECT DISTINCT connection FROM sampled_queries
                 WHERE server = ?1 AND run_us BETWEEN ?2 AND ?3 AND query = ?4",
            )?;
            let bounds = params![Bytes(server), begun_us.0, begun_us.1, signed(query)];
            statement.query_map(bounds, |row| Ok(row.get::<_, i64>(0)? as u64))?.collect()
        };
        read().map_err(self.failed())
    }
}

fn sample(row: &Row<'_>, connection: u64) -> rusqlite::Result<Sample> {
    let bytes = |column| row.get_ref(column).map(name);
    let perhaps = |column| {
        let value = row.get_ref(column)?;
        Ok::<_, rusqlite::Error>((value != rusqlite::types::ValueRef::Null).then(|| name(value)))
    };
    Ok(Sample {
        connection,
        user: bytes(1)?,
        host: bytes(2)?,
        port: row.get(3)?,
        pid: row.get(4)?,
        start_ticks: row.get::<_, i64>(5)? as u64,
        started_us: row.get(6)?,
        evidence: row.get(7)?,
        uid: row.get(8)?,
        os_user: row.get(9)?,
        name: bytes(10)?,
        executable: perhaps(11)?,
        unit: perhaps(12)?,
        container: perhaps(13)?,
        command_line: bytes(14)?,
        first_us: row.get(15)?,
        last_us: row.get(16)?,
    })
}

fn add(ledger: &Ledger, server: &[u8], now_us: i64, sampled: &Sampled) -> rusqlite::Result<()> {
    let (db, server, run) = (&ledger.db, Bytes(server), sampled.run_us);
    let perhaps = |it: &Option<Name>| it.as_deref().map(|it| Bytes(it).value());
    for it in &sampled.new {
        let connection = signed(it.connection);
        if it.pid != 0 {
            db.prepare_cached(
                "DELETE FROM samples WHERE server = ?1 AND run_us = ?2 AND connection = ?3 AND pid = 0",
            )?
            .execute(params![server, run, connection])?;
        }
        db.prepare_cached(
            "INSERT INTO samples (server, run_us, connection, user, host, port, pid, start_ticks, started_us,
               evidence, uid, os_user, name, executable, unit, container, command_line, first_us, last_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?18)
             ON CONFLICT DO UPDATE SET last_us = excluded.last_us",
        )?
        .execute(params![
            server,
            run,
            connection,
            Bytes(&it.user),
            Bytes(&it.host),
            it.port,
            it.pid,
            signed(it.start_ticks),
            it.started_us,
            it.evidence,
            it.uid,
            it.os_user,
            Bytes(&it.name),
            perhaps(&it.executable),
            perhaps(&it.unit),
            perhaps(&it.container),
            Bytes(&it.command_line),
            now_us,
        ])?;
    }
    let mut still = db.prepare_cached(
        "UPDATE samples SET last_us = ?6
         WHERE server = ?1 AND run_us = ?2 AND connection = ?3 AND pid = ?4 AND start_ticks = ?5",
    )?;
    for &(connection, pid, ticks) in &sampled.still {
        still.execute(params![server, run, signed(connection), pid, signed(ticks), now_us])?;
    }
    let mut queries = db.prepare_cached(
        "INSERT OR IGNORE INTO sampled_queries (server, run_us, query, connection, at_us)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for it in &sampled.queries {
        queries.execute(params![server, run, signed(it.query), signed(it.connection), now_us])?;
    }
    Ok(())
}

fn forget(ledger: &Ledger, now_us: i64, limits: SampleLimits) -> rusqlite::Result<()> {
    let keep = i64::try_from(limits.keep).unwrap_or(i64::MAX);
    for (table, column) in [("samples", "last_us"), ("sampled_queries", "at_us")] {
        let old = format!("DELETE FROM {table} WHERE {column} < ?1");
        ledger.db.prepare_cached(&old)?.execute([now_us.saturating_sub(limits.age_us)])?;
        let more = format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY {column}, id
             LIMIT max(0, (SELECT count(*) FROM {table}) - ?1))"
        );
        ledger.db.prepare_cached(&more)?.execute([keep])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: SampleLimits = SampleLimits { keep: 100, age_us: i64::MAX };
    const SECOND: i64 = 1_000_000;

    fn of(connection: u64, user: &[u8], pid: u32, start_ticks: u64) -> Sample {
        let user = user.to_vec();
        Sample { connection, user, pid, start_ticks, host: b"h".to_vec(), ..Sample::default() }
    }

    fn note(ledger: &mut Ledger, run_us: i64, now_us: i64, new: &[Sample], limits: SampleLimits) {
        let queries = new.iter();
        let queries = queries.map(|it| SampledQuery { query: it.connection, connection: 7 });
        let queries = queries.collect();
        let sampled = Sampled { run_us, new: new.to_vec(), still: Vec::new(), queries };
        ledger.note_samples(b"db1", now_us, &sampled, limits).unwrap();
    }

    fn pids(ledger: &Ledger, begun_us: (i64, i64), connection: u64) -> Vec<(u32, u64, i64, i64)> {
        let rows = ledger.samples(b"db1", begun_us, connection).unwrap();
        rows.iter().map(|it| (it.pid, it.start_ticks, it.first_us, it.last_us)).collect()
    }

    #[test]
    fn processes_are_told_by_id_and_start_within_one_run() {
        let mut ledger = Ledger::in_memory().unwrap();
        note(&mut ledger, 0, 10, &[of(7, b"a", 0, 0)], ALL);
        assert_eq!(pids(&ledger, (0, 9), 7), [(0, 0, 10, 10)]);
        note(&mut ledger, 0, 11, &[of(7, b"a", 5, 1)], ALL);
        note(&mut ledger, 0, 12, &[of(7, b"a", 5, 2)], ALL);
        let sampled = Sampled { still: vec![(7, 5, 2), (8, 5, 1)], ..Sampled::default() };
        ledger.note_samples(b"db1", 13, &sampled, ALL).unwrap();
        assert_eq!(pids(&ledger, (0, 9), 7), [(5, 1, 11, 11), (5, 2, 12, 13)]);
        // Another run has the same id: with both in reach nothing tells which.
        note(&mut ledger, 99 * SECOND, 100 * SECOND, &[of(7, b"a", 6, 9)], ALL);
        assert_eq!(pids(&ledger, (10, 99 * SECOND), 7), [(6, 9, 100 * SECOND, 100 * SECOND)]);
        assert_eq!(pids(&ledger, (0, 99 * SECOND), 7), []);
        assert_eq!(ledger.samples(b"db2", (0, 9), 7).unwrap(), []);
        // Two sessions with one id.
        note(&mut ledger, 0, 14, &[of(7, b"b", 8, 1)], ALL);
        assert_eq!(pids(&ledger, (0, 9), 7), []);
        assert_eq!(ledger.sampled_queries(b"db1", (0, 9), 7).unwrap(), [7]);
        assert_eq!(ledger.sampled_queries(b"db1", (1, 9), 7).unwrap(), [0_u64; 0]);
    }

    #[test]
    fn a_run_keeps_the_start_that_was_noted_first() {
        let mut ledger = Ledger::in_memory().unwrap();
        note(&mut ledger, 5 * SECOND, 6 * SECOND, &[of(7, b"a", 5, 1)], ALL);
        for (told, run) in [(5, 5), (7, 5), (3, 5), (8, 8), (2, 2)] {
            let found = ledger.sampled_run(b"db1", told * SECOND).unwrap();
            assert_eq!(found, run * SECOND, "{told}");
        }
        assert_eq!(ledger.sampled_run(b"db2", 6 * SECOND).unwrap(), 6 * SECOND);
    }

    #[test]
    fn the_newest_are_kept_and_none_for_too_long() {
        let mut ledger = Ledger::in_memory().unwrap();
        let limits = SampleLimits { keep: 3, age_us: 100 };
        for number in 0..5 {
            let at = i64::try_from(number).unwrap();
            note(&mut ledger, 0, at, &[of(number, b"a", 5, 1)], limits);
        }
        let count = |ledger: &Ledger, table: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM {table}");
            ledger.db.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!((count(&ledger, "samples"), count(&ledger, "sampled_queries")), (3, 3));
        assert_eq!((pids(&ledger, (0, 0), 1), pids(&ledger, (0, 0), 2).len()), (Vec::new(), 1));
        note(&mut ledger, 0, 103, &[], limits);
        assert_eq!((count(&ledger, "samples"), count(&ledger, "sampled_queries")), (2, 2));
    }
}
