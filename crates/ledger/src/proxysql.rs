//! ProxySQL's own database (`proxysql.db`): which user names it logs in with. Somebody else's file, which is
//! read and nothing else.
//!
//! ```text
//! mysql_users (username, password, active, …, backend, frontend, …)   one row a name and side
//! global_variables (variable_name, variable_value)                    mysql-monitor_username
//! ```
//!
//! Source: <https://proxysql.com/documentation/main-runtime/>; what is on the disk is what counts after its next
//! start, and may be older or newer than what it uses now (`SAVE MYSQL USERS TO DISK`).
//!
//! # Invariants
//! * Only user names are selected, no password.
//! * The file is opened for reading only and nothing is made beside it. It is locked, shared, while its rows are
//!   fetched, which is milliseconds.

use crate::error::Error;
use crate::rows::Name;
use crate::store::name;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

/// What every SQLite database begins with.
pub const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The most user names that are read: ten times what the largest installations have.
pub const PROXY_USERS_MAX: usize = 1_000_000;

/// How long somebody else's write is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The user names that a ProxySQL lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyUsers {
    /// Of `mysql_users`, active or not, sorted.
    pub users: Vec<Name>,
    /// Who monitors the servers (`mysql-monitor_username`).
    pub monitor: Option<Name>,
}

/// Reads the user names of a ProxySQL database.
///
/// # Errors
/// Where it cannot be read, or is no such database: there may be names that nobody knows of.
pub fn proxysql_users(path: &Path) -> Result<ProxyUsers, Error> {
    let refused = |what: String| Error::Refused { path: path.to_path_buf(), what };
    let mut header = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.map_err(|error| refused(format!("cannot be read: {error}")))?;
    if !header.starts_with(SQLITE_MAGIC) {
        return Err(refused("is no SQLite database".to_owned()));
    }
    // Versions of the format for writing and reading: 2 is a write-ahead log, of which an index would be made.
    if header[18..] != [1, 1] {
        return Err(refused(
            "keeps a write-ahead log, as ProxySQL does not, and cannot be read without writing beside it: list \
             the text configuration"
                .to_owned(),
        ));
    }
    users(path).map_err(|error| {
        refused(match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "is being written to: ask again".to_owned()
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                "cannot be read (a write to it was interrupted, or a right is missing): let ProxySQL open it, \
                 or list the text configuration"
                    .to_owned()
            }
            Some(ErrorCode::TooBig) => {
                format!("lists more than {PROXY_USERS_MAX} users: no proxy's database")
            }
            _ => "is no database of ProxySQL, or damaged: it has no list of users that can be read"
                .to_owned(),
        })
    })
}

fn users(path: &Path) -> rusqlite::Result<ProxyUsers> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    let mut users = db
        .prepare("SELECT DISTINCT username FROM mysql_users LIMIT ?1")?
        .query_map([PROXY_USERS_MAX as i64 + 1], |row| Ok(name(row.get_ref(0)?)))?
        .collect::<rusqlite::Result<Vec<Name>>>()?;
    if users.len() > PROXY_USERS_MAX {
        let too_big = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_TOOBIG);
        return Err(rusqlite::Error::SqliteFailure(too_big, None));
    }
    users.sort_unstable();
    let has_variables: bool = db.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'global_variables')",
        [],
        |row| row.get(0),
    )?;
    let monitor = match has_variables {
        false => None,
        true => db
            .prepare(
                "SELECT variable_value FROM global_variables
                 WHERE variable_name = 'mysql-monitor_username' AND variable_value <> ''",
            )?
            .query_map([], |row| Ok(name(row.get_ref(0)?)))?
            .next()
            .transpose()?,
    };
    Ok(ProxyUsers { users, monitor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// As ProxySQL 2.5 makes them, shortened.
    const MADE: &str = "
        CREATE TABLE mysql_users (username VARCHAR NOT NULL, password VARCHAR, active INT NOT NULL DEFAULT 1,
          default_hostgroup INT NOT NULL DEFAULT 0, backend INT NOT NULL DEFAULT 1,
          frontend INT NOT NULL DEFAULT 1, PRIMARY KEY (username, backend));
        CREATE TABLE global_variables (variable_name VARCHAR NOT NULL PRIMARY KEY, variable_value VARCHAR);";

    fn made(folder: &Path, sql: &str) -> (PathBuf, Connection) {
        let path = folder.join("proxysql.db");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(sql).unwrap();
        (path, db)
    }

    fn told(path: &Path) -> String {
        let error = proxysql_users(path).unwrap_err().to_string();
        let begin = format!("{}: ", path.display());
        error.strip_prefix(&begin).unwrap_or_else(|| panic!("{error}")).to_owned()
    }

    #[test]
    fn user_names_are_read_and_the_file_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let sql = format!(
            "{MADE} INSERT INTO mysql_users VALUES ('etl', '*SECRET', 0, 0, 1, 0), ('app', 'x', 1, 0, 1, 1),
               ('app', 'x', 1, 0, 0, 1), (CAST(x'ff61' AS TEXT), '', 1, 0, 1, 1);
             INSERT INTO global_variables VALUES ('mysql-monitor_username', 'monitor'),
               ('mysql-monitor_password', '*SECRET'), ('admin-admin_credentials', 'admin:admin');"
        );
        let (path, writer) = made(folder.path(), &sql);
        let before = std::fs::read(&path).unwrap();
        // Somebody is about to write: a shared lock is not in the way, nor is he in ours.
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        let found = proxysql_users(&path).unwrap();
        assert_eq!(found.users, [&b"app"[..], b"etl", b"\xffa"]);
        assert_eq!(found.monitor.as_deref(), Some(&b"monitor"[..]));
        assert!(!format!("{found:?}").contains("SECRET"));
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let beside = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(beside, 1);
    }

    #[test]
    fn what_cannot_be_read_is_told_and_holds_no_content() {
        let folder = tempfile::tempdir().unwrap();
        let (path, db) =
            made(folder.path(), "CREATE TABLE t (a); INSERT INTO t VALUES ('*SECRET')");
        assert!(told(&path).contains("no database of ProxySQL"));
        db.execute_batch(&format!("{MADE} BEGIN EXCLUSIVE")).unwrap();
        assert_eq!(told(&path), "is being written to: ask again");
        db.execute_batch("COMMIT").unwrap();
        assert_eq!(proxysql_users(&path).unwrap(), ProxyUsers::default());
        db.execute_batch("DROP TABLE global_variables").unwrap();
        assert_eq!(proxysql_users(&path).unwrap(), ProxyUsers::default());
        db.execute_batch("PRAGMA journal_mode = wal").unwrap();
        drop(db);
        assert!(told(&path).contains("write-ahead log"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::write(&path, "mysql_users:").unwrap();
        assert!(told(&path).contains("cannot be read"));
        std::fs::write(&path, "mysql_users: ( { username = \"a\" } )").unwrap();
        assert_eq!(told(&path), "is no SQLite database");
        let damaged = [&SQLITE_MAGIC[..], &[16, 0, 1, 1, 0, 64, 32, 32], &[7; 4096]].concat();
        std::fs::write(&path, damaged).unwrap();
        assert!(told(&path).contains("damaged"));
        assert!(told(&folder.path().join("none")).contains("cannot be read"));
    }

    #[test]
    fn names_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let sql = format!(
            "{MADE} WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PROXY_USERS_MAX})
             INSERT INTO mysql_users (username) SELECT i FROM n;"
        );
        let (path, db) = made(folder.path(), &sql);
        assert_eq!(proxysql_users(&path).unwrap().users.len(), PROXY_USERS_MAX);
        db.execute_batch("INSERT INTO mysql_users (username) VALUES ('one more')").unwrap();
        assert!(told(&path).contains("more than 1000000 users"));
    }
}
