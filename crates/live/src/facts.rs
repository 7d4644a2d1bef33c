//! What a server says of itself, as plain maps: variables, counters, plugins, replication. No judgement.
//!
//! # Invariants
//! * Values that hold passwords, and texts of errors (they repeat statements), are left out.

use std::collections::BTreeMap;

use verdict::account::{AccountName, Family, quoted, quoted_account};

use crate::error::{LiveError, grant};
use crate::server::Server;
use crate::snapshot;

/// Variables whose value is, or may hold, a password.
const SECRET_VARIABLES: [&str; 3] = ["report_password", "wsrep_sst_auth", "wsrep_provider_options"];

/// A plugin that the server has loaded, or could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its name: `SERVER_AUDIT`, `caching_sha2_password`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `ACTIVE`, `DISABLED`, …
    pub status: String,
    /// `AUDIT`, `AUTHENTICATION`, …
    pub kind: String,
    /// The file that it came from; empty where it is part of the server.
    pub library: String,
}

/// `SHOW GLOBAL VARIABLES`: names in lower case.
///
/// # Errors
/// What the connection answers with.
pub fn variables(server: &mut Server) -> Result<BTreeMap<String, String>, LiveError> {
    let mut found = map(server, "reading its variables", b"SHOW GLOBAL VARIABLES")?;
    found.retain(|name, _| !SECRET_VARIABLES.contains(&name.as_str()));
    Ok(found)
}

/// `SHOW GLOBAL STATUS LIKE pattern`: names in lower case. `%` and `_` are wild.
///
/// # Errors
/// What the connection answers with.
pub fn status(server: &mut Server, pattern: &str) -> Result<BTreeMap<String, String>, LiveError> {
    let sql = [b"SHOW GLOBAL STATUS LIKE ", &quoted(pattern.as_bytes())[..]].concat();
    map(server, "reading its counters", &sql)
}

/// The server's clock, in microseconds UTC, when the question reached it.
///
/// # Errors
/// What the connection answers with.
pub fn clock(server: &mut Server) -> Result<i64, LiveError> {
    let doing = "reading its clock";
    let rows = server.ask(doing, b"SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)")?;
    let text = rows.first().and_then(|row| row.first()?.as_deref());
    let number = text.and_then(|it| std::str::from_utf8(it).ok()?.parse().ok());
    number.ok_or_else(|| server.odd(doing, "its clock is no number"))
}

/// When the server started, in microseconds UTC and to about a second; `None` where it does not tell.
///
/// # Errors
/// What the connection answers with.
pub fn started(server: &mut Server) -> Result<Option<i64>, LiveError> {
    let now = clock(server)?;
    let status = status(server, "Uptime")?;
    let uptime = status.get("uptime").and_then(|it| it.parse::<i64>().ok());
    Ok(uptime.map(|uptime| now - uptime * 1_000_000))
}

/// By how many seconds the server's own zone, that of its operating system, is ahead of UTC at these moments
/// (microseconds UTC). `None` where it does not tell.
///
/// # Errors
/// What the connection answers with.
pub fn zone_offsets(server: &mut Server, moments: &[i64]) -> Result<Vec<Option<i32>>, LiveError> {
    let doing = "reading its zone";
    // The session's zone is UTC, so FROM_UNIXTIME is UTC, too.
    let column = |at: &i64| {
        let utc = format!("FROM_UNIXTIME({})", at.div_euclid(1_000_000));
        format!("TIMESTAMPDIFF(SECOND, {utc}, CONVERT_TZ({utc}, '+00:00', 'SYSTEM'))")
    };
    let columns: Vec<String> = moments.iter().map(column).collect();
    let rows = server.ask(doing, format!("SELECT {}", columns.join(", ")).as_bytes())?;
    let row = rows.into_iter().next().unwrap_or_default();
    let number = |value: Option<Vec<u8>>| std::str::from_utf8(&value?).ok()?.parse().ok();
    Ok(row.into_iter().map(number).collect())
}

/// Plugins, by name.
///
/// # Errors
/// What the connection answers with.
pub fn plugins(server: &mut Server) -> Result<Vec<Plugin>, LiveError> {
    let rows = server.ask(
        "reading its plugins",
        b"SELECT PLUGIN_NAME, PLUGIN_VERSION, PLUGIN_STATUS, PLUGIN_TYPE, PLUGIN_LIBRARY \
          FROM information_schema.PLUGINS ORDER BY PLUGIN_NAME",
    )?;
    let plugin = |row| {
        let mut columns = texts(row);
        let mut next = || columns.next().unwrap_or_default();
        Plugin { name: next(), version: next(), status: next(), kind: next(), library: next() }
    };
    Ok(rows.into_iter().map(plugin).collect())
}

/// One right of an account. What it is on is empty where it is on everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `SELECT`, `SHOW VIEW`, …; `USAGE` where there is none.
    pub privilege: String,
    /// The schema, as it is granted: `_` and `%` may be wild.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

/// The rights that an account has of its own, without those of roles. Empty where there is no such account, or
/// none that we may look at.
///
/// # Errors
/// What the connection answers with.
pub fn rights(server: &mut Server, account: &AccountName) -> Result<Vec<Right>, LiveError> {
    let grantee = quoted(&quoted_account(account));
    let columns = ["'', '', ''", "TABLE_SCHEMA, '', ''", "TABLE_SCHEMA, TABLE_NAME, ''", {
        "TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME"
    }];
    let tables = ["USER", "SCHEMA", "TABLE", "COLUMN"];
    let mut rights = Vec::new();
    for (table, columns) in tables.iter().zip(columns) {
        let from =
            format!("SELECT PRIVILEGE_TYPE, {columns} FROM information_schema.{table}_PRIVILEGES");
        let sql = [from.as_bytes(), b" WHERE GRANTEE = ", &grantee[..]].concat();
        rights.extend(server.ask("reading rights", &sql)?.into_iter().map(|row| {
            let mut columns = texts(row);
            let mut next = || columns.next().unwrap_or_default();
            Right { privilege: next(), schema: next(), table: next(), column: next() }
        }));
    }
    Ok(rights)
}

/// The columns of a table that we may look at: for each what `COLUMN_TYPE` and `EXTRA` say, with a blank between
/// them. Empty where there is no such table for us.
///
/// # Errors
/// What the connection answers with.
pub fn columns(
    server: &mut Server,
    schema: &str,
    table: &str,
) -> Result<BTreeMap<String, String>, LiveError> {
    let sql = [
        b"SELECT COLUMN_NAME, CONCAT_WS(' ', COLUMN_TYPE, EXTRA) FROM information_schema.COLUMNS \
          WHERE TABLE_SCHEMA = ",
        &quoted(schema.as_bytes())[..],
        b" AND TABLE_NAME = ",
        &quoted(table.as_bytes())[..],
    ]
    .concat();
    map(server, "reading the columns of a table", &sql)
}

/// The names of a schema's routines, as far as we may look.
///
/// # Errors
/// What the connection answers with.
pub fn routines(server: &mut Server, schema: &str) -> Result<Vec<String>, LiveError> {
    let sql = [
        b"SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ",
        &quoted(schema.as_bytes())[..],
        b" ORDER BY 1",
    ]
    .concat();
    let rows = server.ask("reading the routines of a schema", &sql)?;
    Ok(rows.into_iter().filter_map(|row| texts(row).next()).collect())
}

/// One map for each server that this one replicates from: the columns of `SHOW ALL SLAVES STATUS` (MariaDB) or
/// `SHOW REPLICA STATUS` (MySQL), names in lower case, without the texts of errors.
///
/// # Errors
/// [`LiveError::Refused`] without `SLAVE MONITOR` (MariaDB) or `REPLICATION CLIENT` (MySQL).
pub fn replication(server: &mut Server) -> Result<Vec<BTreeMap<String, String>>, LiveError> {
    let doing = "reading its replication";
    let (sql, granted): (&[u8], _) = match server.version().family {
        Family::MariaDb => (b"SHOW ALL SLAVES STATUS", "SLAVE MONITOR ON *.*"),
        Family::MySql => (b"SHOW REPLICA STATUS", "REPLICATION CLIENT ON *.*"),
    };
    let (names, rows) = match server.try_ask_named(doing, sql)? {
        Ok(found) => found,
        Err(error) if snapshot::is_refusal(error) => {
            return Err(LiveError::Refused {
                server: server.name().to_owned(),
                what: "the state of replication".to_owned(),
                error,
                remedy: grant(granted, server.own()),
            });
        }
        Err(error) => return Err(server.fault(doing, error)),
    };
    let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let one = |row| {
        let columns = names.iter().cloned().zip(texts(row));
        columns.filter(|(name, _)| !name.ends_with("_error")).collect()
    };
    Ok(rows.into_iter().map(one).collect())
}

/// Two columns: name and value.
fn map(
    server: &mut Server,
    doing: &'static str,
    sql: &[u8],
) -> Result<BTreeMap<String, String>, LiveError> {
    let pair = |row| {
        let mut columns = texts(row);
        Some((columns.next()?.to_ascii_lowercase(), columns.next()?))
    };
    Ok(server.ask(doing, sql)?.into_iter().filter_map(pair).collect())
}

fn texts(row: crate::server::Row) -> impl Iterator<Item = String> {
    row.into_iter().map(|value| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned())
}
