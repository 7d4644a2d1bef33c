//! Connection facts in the ledger: who a connection id was, from when to when.
//!
//! Whole ones come from one unbroken piece of log and are firm. Halves are joined with the halves
//! that other pieces left here; what is joined like that is `loose`: a piece read later may show
//! that the two do not belong together.
//!
//! # Invariants
//! * Which halves are joined depends on the set of moments alone, not on the order in which they
//!   came.
//! * The end of a refused login is no sign of a session, wherever it stands. So the ends of loose
//!   ones are looked at when an answer is asked for, and go into `tally.active_us` only when the
//!   fact is forgotten.

use crate::batch::{Batch, is_cut};
use crate::connections::{Fact, join};
use crate::error::Error;
use crate::keeping::Keeping;
use crate::store::{Bytes, Ledger, name, signed};
use crate::tally::{LOGINS, Row, Sums, Tallies};
use crate::timeline;
use rusqlite::{Connection, OptionalExtension, Statement, params};
use std::collections::BTreeMap;

/// Halves and loose ones kept at least, whatever is kept for tracing: as many as a server may hold
/// open (`max_connections` is at most 100,000).
const LOOSE_KEPT: usize = 100_000;

/// Room above a bound before it is enforced, so that it is not done each time.
const ROOM: usize = 10_000;

type Names = (Vec<u8>, Vec<u8>);

/// Adds the facts of a batch.
pub(crate) fn add(
    db: &Connection,
    keeping: &Keeping,
    source: i64,
    batch: &Batch,
    servers: &[i64],
    mut facts: Vec<Fact>,
) -> rusqlite::Result<()> {
    // The newest finished ones, as many and as long as they are kept; halves always, to be joined.
    let before = keeping.connections_before();
    facts.retain(|fact| !fact.is_firm() || fact.to > Some(before));
    let keep = keeping.connections;
    if facts.iter().filter(|fact| fact.is_firm()).count() > keep {
        let ends = facts.iter().filter(|fact| fact.is_firm()).filter_map(|fact| fact.to);
        let mut ends: Vec<i64> = ends.collect();
        ends.sort_unstable();
        let oldest = ends.get(ends.len() - keep.max(1)).copied().unwrap_or(i64::MAX);
        facts.retain(|fact| !fact.is_firm() || (keep > 0 && fact.to >= Some(oldest)));
    }
    let mut halves: BTreeMap<(i64, u64), Vec<Fact>> = BTreeMap::new();
    facts.retain(|fact| {
        let server = servers[fact.server as usize];
        if !fact.is_firm() {
            halves.entry((server, fact.id)).or_default().push(*fact);
        }
        fact.is_firm()
    });
    let mut added = 0;
    // Several rows to a statement, as in `tally`.
    let (several, rest) = facts.as_chunks::<ROWS>();
    for facts in several.iter().map(|facts| &facts[..]).chain(rest.chunks(1)) {
        let mut insert = db.prepare_cached(&insert(facts.len()))?;
        for (fact, row) in facts.iter().zip(0..) {
            let pair = batch.pairs.get(fact.pair);
            let server = servers[fact.server as usize];
            bind(&mut insert, row, server, source, fact, (pair.user, pair.host))?;
        }
        added += insert.raw_execute()?;
    }
    for ((server, id), facts) in halves {
        let facts = facts.into_iter().map(|fact| {
            let pair = batch.pairs.get(fact.pair);
            (fact, (pair.user.to_vec(), pair.host.to_vec()))
        });
        added += join_with_stored(db, server, source, id, facts.collect())?;
    }
    trim(db, keeping, added)
}

/// Rows in a full statement.
const ROWS: usize = 32;

/// What each row binds.
const COLUMNS: usize = 10;

/// A statement that adds so many rows.
fn insert(rows: usize) -> String {
    format!(
        "INSERT INTO connection
           (server, source, id, from_us, to_us, user, host, port, refused, loose)
         VALUES {}",
        vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(",")
    )
}

/// Binds the row of this number, the first being 0.
fn bind(
    insert: &mut Statement<'_>,
    row: usize,
    server: i64,
    source: i64,
    fact: &Fact,
    (user, host): (&[u8], &[u8]),
) -> rusqlite::Result<()> {
    let at = row * COLUMNS + 1;
    insert.raw_bind_parameter(at, server)?;
    insert.raw_bind_parameter(at + 1, source)?;
    insert.raw_bind_parameter(at + 2, signed(fact.id))?;
    insert.raw_bind_parameter(at + 3, fact.from)?;
    insert.raw_bind_parameter(at + 4, fact.to)?;
    insert.raw_bind_parameter(at + 5, Bytes(user))?;
    insert.raw_bind_parameter(at + 6, Bytes(host))?;
    insert.raw_bind_parameter(at + 7, fact.port)?;
    insert.raw_bind_parameter(at + 8, fact.refused)?;
    insert.raw_bind_parameter(at + 9, !fact.is_firm())
}

/// Joins halves of one connection id with those the ledger holds.
fn join_with_stored(
    db: &Connection,
    server: i64,
    source: i64,
    id: u64,
    mut facts: Vec<(Fact, Names)>,
) -> rusqlite::Result<usize> {
    let mut query = db.prepare_cached(
        "SELECT from_us, to_us, user, host, port, refused, loose FROM connection
         WHERE server = ?1 AND source = ?2 AND id = ?3",
    )?;
    let mut rows = query.query(params![server, source, signed(id)])?;
    let mut stored = false;
    while let Some(row) = rows.next()? {
        let fact = Fact {
            id,
            from: row.get(0)?,
            to: row.get(1)?,
            server: 0,
            pair: 0,
            port: row.get(4)?,
            refused: row.get(5)?,
            loose: row.get(6)?,
        };
        stored |= fact.loose;
        facts.push((fact, (name(row.get_ref(2)?), name(row.get_ref(3)?))));
    }
    if stored {
        db.prepare_cached(
            "DELETE FROM connection WHERE server = ?1 AND source = ?2 AND id = ?3 AND loose",
        )?
        .execute(params![server, source, signed(id)])?;
    }
    // Pairs are numbered in the order of their names, so that ties are broken by these.
    let mut names: Vec<Names> = facts.iter().map(|(_, names)| names.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let mut numbered: Vec<Fact> = facts
        .into_iter()
        .map(|(fact, own)| {
            let pair = names.binary_search(&own).unwrap_or_default() as u32;
            // Where it was read, `loose` of a half means nothing.
            let loose = fact.loose && fact.from.is_some() && fact.to.is_some();
            Fact { pair, server: 0, loose, ..fact }
        })
        .collect();
    join(&mut numbered, |pair| is_cut(&names[pair as usize].0));
    let mut added = 0;
    let mut insert = db.prepare_cached(&insert(1))?;
    for fact in numbered.iter().filter(|fact| !fact.is_firm()) {
        let (user, host) = &names[fact.pair as usize];
        bind(&mut insert, 0, server, source, fact, (user, host))?;
        added += insert.raw_execute()?;
    }
    Ok(added)
}

/// Keeps the number of facts within its bounds.
fn trim(db: &Connection, keeping: &Keeping, added: usize) -> rusqlite::Result<()> {
    let stored: i64 = db
        .prepare_cached("SELECT value FROM meta WHERE key = 'connections'")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let mut count = stored.saturating_add(added as i64);
    let bounds =
        [("NOT loose", keeping.connections), ("loose", keeping.connections.max(LOOSE_KEPT))];
    let room = |bound: usize| bound.saturating_add(bound / 4).saturating_add(ROOM) as i64;
    // An upper bound of what is there: rows that were joined were counted twice.
    if count > room(keeping.connections) {
        for (kind, bound) in bounds {
            let there = format!("SELECT count(*) FROM connection WHERE {kind}");
            let there: i64 = db.query_row(&there, [], |row| row.get(0))?;
            if there > room(bound) {
                let oldest = format!(
                    "SELECT coalesce(to_us, from_us) FROM connection WHERE {kind}
                     ORDER BY 1 DESC LIMIT 1 OFFSET ?1"
                );
                let oldest = db.query_row(&oldest, [bound as i64], |row| row.get(0))?;
                forget(db, kind, oldest)?;
            }
        }
        count =
            db.query_row("SELECT count(*) FROM connection WHERE NOT loose", [], |row| row.get(0))?;
    }
    db.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('connections', ?1)")?
        .execute([count])?;
    Ok(())
}

/// Forgets facts whose last moment is `oldest` or before. What the end of a loose one tells of a
/// session goes to `tally`.
fn forget(db: &Connection, kind: &str, oldest: i64) -> rusqlite::Result<()> {
    let ends = db
        .prepare(&format!(
            "SELECT server, source, user, host, max(to_us) FROM connection
             WHERE {kind} AND loose AND NOT refused AND to_us <= ?1 GROUP BY 1, 2, 3, 4"
        ))?
        .query_map([oldest], |row| {
            let names = (name(row.get_ref(2)?), name(row.get_ref(3)?));
            Ok((row.get(0)?, row.get(1)?, names, row.get(4)?))
        })?
        .collect::<rusqlite::Result<Vec<(i64, i64, Names, i64)>>>()?;
    // The end of a session is a sign of it.
    let mut tallies = Tallies::new(db, i64::MIN, i64::MIN);
    let mut hours = Vec::new();
    timeline::encode_counts(&[], &mut hours);
    for (server, source, (user, host), to) in &ends {
        let row = Row {
            server: *server,
            source: *source,
            user,
            host,
            error: LOGINS,
            sums: Sums::default(),
            active: Some(*to),
            text: None,
        };
        tallies.add(row, &hours)?;
    }
    tallies.finish()?;
    db.execute(
        &format!("DELETE FROM connection WHERE {kind} AND coalesce(to_us, from_us) <= ?1"),
        [oldest],
    )?;
    Ok(())
}

/// Forgets what is older than it is kept. Halves and loose ones are kept as long as counts are:
/// archived logs that are read later may still hold the other half.
pub(crate) fn prune(db: &Connection, keeping: &Keeping) -> rusqlite::Result<()> {
    forget(db, "NOT loose", keeping.connections_before())?;
    forget(db, "loose", keeping.gone_before())
}

/// Who a connection was, as logs that were read tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFact {
    /// The user name, raw.
    pub user: Vec<u8>,
    /// The client host, raw.
    pub host: Vec<u8>,
    /// The client port, where told.
    pub port: Option<u16>,
    /// When it began, microseconds UTC; `None` where that was not read.
    pub from: Option<i64>,
    /// When it ended; `None` where that was not read.
    pub to: Option<i64>,
    /// The login was refused.
    pub refused: bool,
}

impl Ledger {
    /// What is kept of the connections with this id, of these servers (empty: all), the oldest first. Ids
    /// begin again with each start of a server.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn connections(&self, servers: &[Vec<u8>], id: u64) -> Result<Vec<ConnectionFact>, Error> {
        let rows = connections(&self.db, id).map_err(self.failed())?;
        let is_of = |server: &Vec<u8>| servers.is_empty() || servers.contains(server);
        Ok(rows.into_iter().filter(|(server, _)| is_of(server)).map(|(_, fact)| fact).collect())
    }
}

fn connections(db: &Connection, id: u64) -> rusqlite::Result<Vec<(Vec<u8>, ConnectionFact)>> {
    let mut query = db.prepare_cached(
        "SELECT server.name, c.user, c.host, c.port, c.from_us, c.to_us, c.refused
             FROM server CROSS JOIN source CROSS JOIN connection AS c
             ON c.server = server.id AND c.source = source.id AND c.id = ?1
             ORDER BY coalesce(c.from_us, c.to_us)",
    )?;
    let rows = query.query_map([signed(id)], |row| {
        let fact = ConnectionFact {
            user: name(row.get_ref(1)?),
            host: name(row.get_ref(2)?),
            port: row.get(3)?,
            from: row.get(4)?,
            to: row.get(5)?,
            refused: row.get(6)?,
        };
        Ok((name(row.get_ref(0)?), fact))
    })?;
    rows.collect()
}
