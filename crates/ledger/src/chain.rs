//! The chain of hashes that the journal is.
//!
//! Each link is hashed: SHA-256 over the hash of the one before (32 zeros before the first), the name of its
//! table, and each of its columns in their order but `hash` itself: a byte for the kind (0 NULL, 1 integer,
//! 2 text, 3 bytes), 8 bytes of length, little-endian, and what it holds (an integer in 8 bytes,
//! little-endian; NULL nothing).
//!
//! # Invariants
//! * Links are numbered over both tables, without a break. The last one stands in `meta` too, so that it
//!   shows where links at the end are gone.

use crate::store::damaged;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use sha2::{Digest, Sha256};

/// A table of the journal, its columns but `hash`, and at which of them the number of the deed stands.
pub(crate) struct Table {
    name: &'static str,
    columns: &'static str,
    deed: usize,
}

pub(crate) const DEED: &Table = &Table {
    name: "deed",
    columns: "id, link, plan, undo_of, step, server, user, host, kind, sql, undo, before, os_user,
      machine, ticket, begun_us",
    deed: 0,
};

pub(crate) const DEED_END: &Table = &Table {
    name: "deed_end",
    columns: "link, deed, ended_us, outcome, error_code, detail",
    deed: 1,
};

/// Adds a link behind the one with this hash.
pub(crate) fn add(
    db: &Connection,
    table: &Table,
    mut row: Vec<Value>,
    before: [u8; 32],
    link: i64,
) -> rusqlite::Result<()> {
    let hash = hash(before, table, row.iter().map(ValueRef::from));
    let columns = table.columns;
    let marks = vec!["?"; row.len() + 1].join(", ");
    row.push(Value::Blob(hash.to_vec()));
    db.prepare_cached(&format!("INSERT INTO {} ({columns}, hash) VALUES ({marks})", table.name))?
        .execute(params_from_iter(row))?;
    db.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('journal_head', ?1)")?
        .execute([head_text(link, hash)])?;
    Ok(())
}

/// The head of the journal as `meta` has it, so that it shows where links at the end are gone.
fn head_text(link: i64, hash: [u8; 32]) -> String {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{link} {hex}")
}

/// The hash of a link behind the one with the hash `before`.
pub(crate) fn hash<'a>(
    before: [u8; 32],
    table: &Table,
    values: impl Iterator<Item = ValueRef<'a>>,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    let mut add = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(2, table.name.as_bytes());
    for value in values {
        match value {
            ValueRef::Null => add(0, &[]),
            ValueRef::Integer(number) => add(1, &number.to_le_bytes()),
            ValueRef::Text(bytes) => add(2, bytes),
            ValueRef::Blob(bytes) => add(3, bytes),
            // None is written: whoever changed a row did.
            ValueRef::Real(number) => add(4, &number.to_le_bytes()),
        }
    }
    hash.finalize().into()
}

/// The number and the hash of the last link, as they stand in their tables.
pub(crate) fn head(db: &Connection) -> rusqlite::Result<(i64, [u8; 32])> {
    let last = db
        .prepare_cached(
            "SELECT link, hash FROM (
               SELECT * FROM (SELECT link, hash FROM deed ORDER BY link DESC LIMIT 1)
               UNION ALL
               SELECT * FROM (SELECT link, hash FROM deed_end ORDER BY link DESC LIMIT 1))
             ORDER BY link DESC LIMIT 1",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?;
    let Some((link, hash)) = last else { return Ok((0, [0; 32])) };
    let hash = <[u8; 32]>::try_from(hash).map_err(|_| damaged("a hash in the journal"))?;
    Ok((link, hash))
}

/// As [`Ledger::verify_journal`](crate::Ledger::verify_journal).
pub(crate) fn verify(db: &Connection) -> rusqlite::Result<Option<i64>> {
    let mut links = db.prepare(
        "SELECT link, 0, id FROM deed UNION ALL SELECT link, 1, link FROM deed_end ORDER BY 1, 2",
    )?;
    let mut tables = Vec::new();
    for table in [DEED, DEED_END] {
        let (columns, name) = (table.columns, table.name);
        let query = format!("SELECT {columns}, hash FROM {name} WHERE rowid = ?1");
        tables.push((table, db.prepare(&query)?));
    }
    let (mut count, mut newest, mut before) = (0, 0, [0; 32]);
    let mut rows = links.query([])?;
    while let Some(row) = rows.next()? {
        let (table, query) = &mut tables[row.get::<_, u32>(1)? as usize];
        let (deed, hash) = query.query_row([row.get::<_, i64>(2)?], |row| {
            let columns = 0..row.as_ref().column_count() - 1;
            let values =
                columns.clone().map(|at| row.get_ref(at)).collect::<Result<Vec<_>, _>>()?;
            let found = hash(before, table, values.iter().copied());
            let is_same = row.get_ref(columns.end)?.as_blob().is_ok_and(|hash| hash == found);
            // Numbers of links and deeds are in the hash, like all else.
            Ok((values[table.deed].as_i64().unwrap_or(i64::MAX), is_same.then_some(found)))
        })?;
        let Some(hash) = hash else { return Ok(Some(deed.clamp(1, newest + 1))) };
        (count, newest, before) = (count + 1, newest.max(deed), hash);
    }
    let told: Option<String> = db
        .query_row("SELECT value FROM meta WHERE key = 'journal_head'", [], |row| row.get(0))
        .optional()?;
    let head = (count > 0).then(|| head_text(count, before));
    Ok((told != head).then_some(newest + 1))
}
