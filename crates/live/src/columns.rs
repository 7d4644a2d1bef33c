//! Columns and foreign keys of tables, as they are now: what binary logs do not tell.

use verdict::account::quoted;

use crate::error::LiveError;
use crate::server::Server;

/// A column as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveColumn {
    /// Its name, raw.
    pub name: Vec<u8>,
    /// Whether it is a number without sign.
    pub is_unsigned: bool,
}

/// The columns of a table, in its order; none where the table is not there or may not be seen.
///
/// # Errors
/// What the connection answers with.
pub fn columns(
    server: &mut Server,
    schema: &[u8],
    table: &[u8],
) -> Result<Vec<LiveColumn>, LiveError> {
    let sql = [
        b"SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ",
        &quoted(schema)[..],
        b" AND TABLE_NAME = ",
        &quoted(table),
        b" ORDER BY ORDINAL_POSITION",
    ]
    .concat();
    let rows = server.ask("reading the columns of a table", &sql)?;
    let column = |row: Vec<Option<Vec<u8>>>| match &row[..] {
        [Some(name), Some(kind)] => {
            let is_unsigned = kind.windows(8).any(|it| it.eq_ignore_ascii_case(b"unsigned"));
            Some(LiveColumn { name: name.clone(), is_unsigned })
        }
        _ => None,
    };
    Ok(rows.into_iter().filter_map(column).collect())
}

/// A foreign key by which a change of one table changes another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cascade {
    /// The table that is changed along, as schema and name, raw.
    pub child: (Vec<u8>, Vec<u8>),
    /// The table whose change it follows.
    pub parent: (Vec<u8>, Vec<u8>),
}

/// The foreign keys with CASCADE, SET NULL or SET DEFAULT of all tables that may be seen.
///
/// # Errors
/// What the connection answers with.
pub fn cascades(server: &mut Server) -> Result<Vec<Cascade>, LiveError> {
    let sql = b"SELECT CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, \
        REFERENCED_TABLE_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS \
        WHERE NOT (DELETE_RULE IN ('RESTRICT', 'NO ACTION') \
        AND UPDATE_RULE IN ('RESTRICT', 'NO ACTION'))";
    let rows = server.ask("reading foreign keys", sql)?;
    let mut cascades: Vec<Cascade> = rows
        .into_iter()
        .filter_map(|row| {
            let names: Option<Vec<Vec<u8>>> = row.into_iter().collect();
            let [schema, table, above, parent] = <[Vec<u8>; 4]>::try_from(names?).ok()?;
            Some(Cascade { child: (schema, table), parent: (above, parent) })
        })
        .collect();
    cascades.sort();
    cascades.dedup();
    Ok(cascades)
}
