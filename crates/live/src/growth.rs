//! Rights of accounts by which schemas grow: where they are granted, and whether they are there.
//!
//! # Facts (seen on MariaDB 10.11, 11.8 and MySQL 9.7)
//! * `information_schema` tells rights by the place where they are granted: `USER_PRIVILEGES` (the whole server),
//!   `SCHEMA_PRIVILEGES` (a pattern, as it stands in the grant), `TABLE_PRIVILEGES`, `COLUMN_PRIVILEGES`. Rights that
//!   come by roles are in none of them. `SELECT ON mysql.*` shows those of others.
//! * A session keeps the rights on the schema that it is in until its next `USE`.

use verdict::account::AccountName;
use verdict::plan::growth::{GROWTH, Rights};
use verdict::plan::{DeedKind, growth};

use crate::deed::{State, grantee, lock_state, refusal};
use crate::error::LiveError;
use crate::server::{Server, is_exactly};

/// Where an account may let schemas grow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// On the whole server.
    pub global: Vec<&'static str>,
    /// On schemas and tables.
    pub places: Vec<Rights>,
    /// On columns: the tables of those, as schema and name.
    pub columns: Vec<(Vec<u8>, Vec<u8>)>,
}

const DOING: &str = "reading what is granted to an account";

/// Where an account may let schemas grow by what is granted to itself.
///
/// # Errors
/// What the connection answers with.
pub fn granted(server: &mut Server, name: &AccountName) -> Result<Granted, LiveError> {
    let whose = is_exactly("GRANTEE", &grantee(name));
    let mut rows = |what: &str, from: &str| {
        let sql =
            format!("SELECT PRIVILEGE_TYPE{what} FROM information_schema.{from} WHERE {whose}");
        server.ask(DOING, sql.as_bytes())
    };
    let known = |text: &Option<Vec<u8>>| {
        let text = text.as_deref()?;
        GROWTH.into_iter().find(|it| text.eq_ignore_ascii_case(it.as_bytes()))
    };
    let mut granted = Granted::default();
    for row in rows("", "USER_PRIVILEGES")? {
        granted.global.extend(row.first().and_then(known));
    }
    for (columns, from) in [
        (", TABLE_SCHEMA", "SCHEMA_PRIVILEGES"),
        (", TABLE_SCHEMA, TABLE_NAME", "TABLE_PRIVILEGES"),
    ] {
        for row in rows(columns, from)? {
            let Some(right) = row.first().and_then(known) else { continue };
            let schema = row.get(1).cloned().flatten().unwrap_or_default();
            add(&mut granted.places, right, schema, row.get(2).cloned().flatten());
        }
    }
    for row in rows(", TABLE_SCHEMA, TABLE_NAME", "COLUMN_PRIVILEGES")? {
        if row.first().and_then(known).is_some() {
            let mut row = row.into_iter().skip(1).map(Option::unwrap_or_default);
            let table = (row.next().unwrap_or_default(), row.next().unwrap_or_default());
            if !granted.columns.contains(&table) {
                granted.columns.push(table);
            }
        }
    }
    for place in &mut granted.places {
        place.rights.sort_unstable();
    }
    Ok(granted)
}

fn add(places: &mut Vec<Rights>, right: &'static str, schema: Vec<u8>, table: Option<Vec<u8>>) {
    match places.iter_mut().find(|it| it.schema == schema && it.table == table) {
        Some(place) => place.rights.push(right),
        None => places.push(Rights { rights: vec![right], schema, table }),
    }
}

/// Whether the account is there, and its rights are as this statement makes them.
///
/// # Errors
/// [`LiveError::NotTheStatement`] where it is no such statement; what the connection answers with.
pub fn shows(
    server: &mut Server,
    kind: DeedKind,
    name: &AccountName,
    sql: &[u8],
) -> Result<bool, LiveError> {
    let Some(wanted) = Rights::parse(kind, name, sql) else {
        return Err(LiveError::NotTheStatement {
            server: server.name().to_owned(),
            account: name.to_string(),
        });
    };
    if lock_state(server, name)? == State::Absent {
        return Ok(false);
    }
    let now = granted(server, name)?.places;
    let now = now.iter().find(|it| it.schema == wanted.schema && it.table == wanted.table);
    let is_there = |right: &&str| now.is_some_and(|it| it.rights.contains(right));
    Ok(match kind {
        DeedKind::Revoke => !wanted.rights.iter().any(is_there),
        _ => wanted.rights.iter().all(is_there),
    })
}

/// Sends the statement of a plan that takes or gives rights, and looks whether they are then as it asks for.
///
/// # Errors
/// As [`crate::deed::send`].
pub fn send(
    server: &mut Server,
    kind: DeedKind,
    name: &AccountName,
    sql: &[u8],
) -> Result<(), LiveError> {
    let doing = match kind {
        DeedKind::Revoke => "revoking rights",
        _ => "granting rights",
    };
    if growth::Rights::parse(kind, name, sql).is_none() {
        return Err(LiveError::NotTheStatement {
            server: server.name().to_owned(),
            account: name.to_string(),
        });
    }
    if lock_state(server, name)? == State::Absent {
        return Err(LiveError::NoAccount {
            server: server.name().to_owned(),
            account: name.to_string(),
        });
    }
    if let Err(error) = server.try_ask(doing, sql)? {
        return Err(refusal(server, doing, "ALL PRIVILEGES ON *.*", error, name));
    }
    let is_done = shows(server, kind, name, sql).map_err(|error| LiveError::NotSeen {
        server: server.name().to_owned(),
        account: name.to_string(),
        doing,
        source: Box::new(error),
    })?;
    match is_done {
        true => Ok(()),
        false => Err(LiveError::NotDone {
            server: server.name().to_owned(),
            account: name.to_string(),
            doing,
        }),
    }
}
