//! Servers that answered under a name before another one did: a failover behind one address.
//!
//! ```text
//! snapshot   who answers now, from first_us to at_us
//! former     who answered before, each from the first reading to the last
//! ```
//!
//! # Invariants
//! * What was read of another server's accounts proves nothing of those of this one.

use crate::store::{Bytes, damaged, name};
use rusqlite::{Connection, OptionalExtension, Row, params};
use verdict::account::{Family, Identity};

/// Former servers kept per name: a failover a day for two years. Beyond it the oldest go, and the time of what
/// they told counts as that of another.
pub const FORMERS_MAX: usize = 1000;

/// A server that answered under a name. Times are microseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// Which it was.
    pub identity: Identity,
    /// The first reading of it.
    pub from_us: i64,
    /// The last.
    pub to_us: i64,
}

/// Who answered last under this name.
pub(crate) fn last(db: &Connection, server: &[u8]) -> rusqlite::Result<Option<Former>> {
    db.prepare_cached(
        "SELECT family, uuid, hostname, first_us, at_us FROM snapshot WHERE server = ?1",
    )?
    .query_row([Bytes(server)], former)
    .optional()
}

/// Those before, the oldest first.
pub(crate) fn all(db: &Connection, server: &[u8]) -> rusqlite::Result<Vec<Former>> {
    db.prepare_cached(
        "SELECT family, uuid, hostname, from_us, to_us FROM former WHERE server = ?1
         ORDER BY from_us",
    )?
    .query_map([Bytes(server)], former)?
    .collect()
}

/// Notes that another one answers now.
pub(crate) fn add(db: &Connection, server: &[u8], it: &Former) -> rusqlite::Result<()> {
    let Identity { family, uuid, hostname } = &it.identity;
    db.prepare_cached("INSERT OR REPLACE INTO former VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(
        params![Bytes(server), it.from_us, it.to_us, family.as_str(), uuid, Bytes(hostname)],
    )?;
    db.prepare_cached(
        "DELETE FROM former WHERE server = ?1 AND from_us NOT IN (
           SELECT from_us FROM former WHERE server = ?1 ORDER BY from_us DESC LIMIT ?2)",
    )?
    .execute(params![Bytes(server), FORMERS_MAX as i64])?;
    Ok(())
}

fn former(row: &Row<'_>) -> rusqlite::Result<Former> {
    let family = Family::parse(row.get_ref(0)?.as_str()?);
    let hostname = name(row.get_ref(2)?);
    let family = family.ok_or_else(|| damaged("a family of a server"))?;
    Ok(Former {
        identity: Identity { family, uuid: row.get(1)?, hostname },
        from_us: row.get(3)?,
        to_us: row.get(4)?,
    })
}
