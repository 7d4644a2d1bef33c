//! What servers count of sessions, and since when at the latest one of these was there.
//!
//! ```text
//! read            10:00   11:00   12:00   13:00
//! app             3       3       5       1 (begun anew)
//! newest is of    start   start   11:00   12:00   or later
//! ```
//!
//! # Invariants
//! * A counter tells that somebody was logged in after a moment, never when, nor that nobody was.
//! * What was known once stays, also when the server has started again and counts from nothing.

use crate::rows::Name;
use crate::store::{Bytes, damaged, name};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;
use verdict::account::{ActivityKind, Snapshot};

/// Rows kept per server: several times the accounts of a large one, by client host. Beyond it those go of which
/// the oldest use is known.
pub const COUNTED_MAX: usize = 100_000;

/// Sessions that a server has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The source.
    pub kind: ActivityKind,
    /// The user name as the server tells it.
    pub user: Name,
    /// The client host; empty where the source does not tell it.
    pub host: Name,
    /// One of them was there at this time or later, in microseconds UTC.
    pub since_us: i64,
}

pub(crate) const KINDS: [(ActivityKind, &str); 3] = [
    (ActivityKind::Processlist, "processlist"),
    (ActivityKind::PerformanceSchema, "performance-schema"),
    (ActivityKind::UserStatistics, "user-statistics"),
];

/// The kind's word in the tables.
pub(crate) fn word(kind: ActivityKind) -> &'static str {
    KINDS.iter().find(|(it, _)| *it == kind).map_or("", |(_, word)| word)
}

/// The kind of a word in the tables.
pub(crate) fn kind(word: &str) -> Option<ActivityKind> {
    KINDS.iter().find(|(_, it)| *it == word).map(|(kind, _)| *kind)
}

/// Takes the counters of a snapshot. `before`: when the same server was read before; called while that reading
/// is in the tables.
pub(crate) fn store(
    db: &Connection,
    server: &[u8],
    snapshot: &Snapshot,
    before: Option<i64>,
) -> rusqlite::Result<()> {
    // What the reading before counted at all: a row that was not there was nothing then.
    let read_before = db
        .prepare_cached(
            "SELECT DISTINCT kind FROM account_activity WHERE server = ?1 AND total IS NOT NULL",
        )?
        .query_map([Bytes(server)], |row| row.get(0))?
        .collect::<rusqlite::Result<BTreeSet<String>>>()?;
    let mut known = db.prepare_cached(
        "SELECT total, since_us FROM counted
         WHERE server = ?1 AND kind = ?2 AND user = ?3 AND host = ?4",
    )?;
    let mut set =
        db.prepare_cached("INSERT OR REPLACE INTO counted VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for it in &snapshot.activity {
        let Some(total) = it.total.filter(|&total| total > 0) else { continue };
        let (server, kind) = (Bytes(server), word(it.kind));
        let (user, host) = (Bytes(&it.user), Bytes(&it.host));
        let old: Option<(i64, Option<i64>)> = known
            .query_row(params![server, kind, user, host], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let is_newer = match old {
            Some((before, _)) => before != total as i64,
            None => read_before.contains(kind),
        };
        let since = old
            .and_then(|(_, since)| since)
            .max(before.filter(|_| is_newer))
            .max(snapshot.started)
            .map(|at| at.min(snapshot.at));
        set.execute(params![server, kind, user, host, total as i64, since])?;
    }
    db.prepare_cached(
        "DELETE FROM counted WHERE server = ?1 AND (kind, user, host) IN (
           SELECT kind, user, host FROM counted WHERE server = ?1
           ORDER BY since_us DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![Bytes(server), COUNTED_MAX as i64])?;
    Ok(())
}

/// Those of which something is known, in the order of their names.
pub(crate) fn all(db: &Connection, server: &[u8]) -> rusqlite::Result<Vec<Counted>> {
    db.prepare_cached(
        "SELECT kind, user, host, since_us FROM counted
         WHERE server = ?1 AND since_us IS NOT NULL ORDER BY kind, user, host",
    )?
    .query_map([Bytes(server)], |row| {
        Ok(Counted {
            kind: kind(row.get_ref(0)?.as_str()?).ok_or_else(|| damaged("a kind in counted"))?,
            user: name(row.get_ref(1)?),
            host: name(row.get_ref(2)?),
            since_us: row.get(3)?,
        })
    })?
    .collect()
}

/// Forgets what another server counted.
pub(crate) fn forget(db: &Connection, server: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM counted WHERE server = ?1")?.execute([Bytes(server)])?;
    Ok(())
}
