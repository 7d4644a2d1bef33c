//! Columns and foreign keys of tables, as they are now: what binary logs do not tell.

use verdict::account::{Family, quoted};

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
            Some(LiveColumn { name: name.clone(), is_unsigned: is_unsigned(kind) })
        }
        _ => None,
    };
    Ok(rows.into_iter().filter_map(column).collect())
}

/// What statements need to know of a column beside its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLayout {
    /// Name and sign.
    pub column: LiveColumn,
    /// Its collation by number; `None` where it has none, or none with a number.
    pub collation: Option<u32>,
    /// Its values are computed by the server.
    pub is_generated: bool,
    /// Its place in the primary key, from 1, and how many characters or bytes of it are in the key; all
    /// where `None`.
    pub key: Option<(u32, Option<u32>)>,
}

/// The columns of a table with what statements need, in its order; none where the table is not there or
/// may not be seen.
///
/// # Errors
/// What the connection answers with.
pub fn layout(
    server: &mut Server,
    schema: &[u8],
    table: &[u8],
) -> Result<Vec<LiveLayout>, LiveError> {
    let version = server.version();
    // Collations of MariaDB's newest kind have their number with a character set alone.
    let id = match version.family {
        Family::MariaDb if version.number >= (10, 10, 1) => {
            "(SELECT l.ID FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY l \
             WHERE l.FULL_COLLATION_NAME = c.COLLATION_NAME)"
        }
        _ => {
            "(SELECT l.ID FROM information_schema.COLLATIONS l \
             WHERE l.COLLATION_NAME = c.COLLATION_NAME)"
        }
    };
    let sql = [
        b"SELECT c.COLUMN_NAME, c.COLUMN_TYPE, ",
        id.as_bytes(),
        b", COALESCE(c.GENERATION_EXPRESSION, '') <> '', s.SEQ_IN_INDEX, s.SUB_PART \
         FROM information_schema.COLUMNS c LEFT JOIN information_schema.STATISTICS s \
         ON s.TABLE_SCHEMA = c.TABLE_SCHEMA AND s.TABLE_NAME = c.TABLE_NAME \
         AND s.COLUMN_NAME = c.COLUMN_NAME AND s.INDEX_NAME = 'PRIMARY' WHERE c.TABLE_SCHEMA = ",
        &quoted(schema)[..],
        b" AND c.TABLE_NAME = ",
        &quoted(table),
        b" ORDER BY c.ORDINAL_POSITION",
    ]
    .concat();
    let rows = server.ask("reading the columns of a table", &sql)?;
    Ok(rows.into_iter().filter_map(|row| layout_of(&row)).collect())
}

fn layout_of(row: &[Option<Vec<u8>>]) -> Option<LiveLayout> {
    let [Some(name), Some(kind), collation, generated, place, prefix] = row else { return None };
    let number = |cell: &Option<Vec<u8>>| -> Option<u32> {
        std::str::from_utf8(cell.as_deref()?).ok()?.parse().ok()
    };
    Some(LiveLayout {
        column: LiveColumn { name: name.clone(), is_unsigned: is_unsigned(kind) },
        collation: number(collation),
        is_generated: number(generated) == Some(1),
        key: number(place).map(|place| (place, number(prefix))),
    })
}

fn is_unsigned(kind: &[u8]) -> bool {
    kind.windows(8).any(|it| it.eq_ignore_ascii_case(b"unsigned"))
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
