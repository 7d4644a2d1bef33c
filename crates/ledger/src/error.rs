//! What can go wrong with a ledger, and what to do about it.

use crate::store::DAMAGED;
use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// An error of this crate. Messages name the file, what is wrong and the remedy; they hold nothing
/// that a log or an account name could have put there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no ledger yet.
    #[error(
        "{path}: there is no ledger yet: run rollcall scan first, or name another with --ledger"
    )]
    Missing {
        /// Its path.
        path: PathBuf,
    },
    /// The file is something else.
    #[error(
        "{path}: this is not a rollcall ledger ({found}): name another file with --ledger, or move \
         it away"
    )]
    Foreign {
        /// Its path.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// Written by a newer rollcall.
    #[error(
        "{path}: written by a newer rollcall (schema {found}, this program knows {known}): upgrade \
         rollcall"
    )]
    Newer {
        /// Its path.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest one this program knows.
        known: i64,
    },
    /// Another process writes to it.
    #[error(
        "{path}: another rollcall is writing to this ledger{holder}: try again when it has ended"
    )]
    Busy {
        /// Its path.
        path: PathBuf,
        /// ` (process 123)`, where it is known.
        holder: String,
    },
    /// No room left.
    #[error(
        "{path}: no space left for the ledger: free some, then run again; nothing was half stored"
    )]
    Full {
        /// Its path.
        path: PathBuf,
    },
    /// The file cannot be opened or written.
    #[error("{path}: {doing}: {error}")]
    File {
        /// Its path.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is to be made or written on a file system of another machine.
    #[error(
        "{path}: this is on a network file system ({kind}), where commits can be lost and readers can see \
         half of them: keep the ledger on a local disk and copy it from there"
    )]
    Remote {
        /// Its path.
        path: PathBuf,
        /// Which one.
        kind: &'static str,
    },
    /// It was written to while somebody read it who may not write beside it.
    #[error("{path}: the ledger changed while it was read: ask again")]
    Changed {
        /// Its path.
        path: PathBuf,
    },
    /// Part of the ledger cannot be read.
    #[error(
        "{path}: the ledger is damaged ({what}): restore it from a copy, or move it away and scan \
         again"
    )]
    Damaged {
        /// Its path.
        path: PathBuf,
        /// Which part.
        what: String,
    },
    /// What is asked of it contradicts what it holds: nothing was done.
    #[error("{path}: {what}")]
    Refused {
        /// Its path.
        path: PathBuf,
        /// What contradicts, and what to do.
        what: String,
    },
    /// SQLite failed otherwise.
    #[error("{path}: SQLite: {error}")]
    Sqlite {
        /// Its path.
        path: PathBuf,
        /// What it said.
        error: rusqlite::Error,
    },
}

impl Error {
    /// Whether a right is missing.
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Error::File { error, .. } if error.kind() == std::io::ErrorKind::PermissionDenied)
    }

    /// From an SQLite error on the ledger at `path`.
    pub(crate) fn sqlite(path: &Path, error: rusqlite::Error) -> Error {
        let path = path.to_path_buf();
        if let Some(what) = damage(&error) {
            return Error::Damaged { path, what };
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::Full { path },
            Some(ErrorCode::NotADatabase) => {
                Error::Foreign { path, found: "not an SQLite database".to_owned() }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::Busy { path, holder: String::new() }
            }
            Some(ErrorCode::CannotOpen) if let Some(error) = out_of_files() => {
                Error::File { path, doing: "raise the limit of open files (ulimit -n)", error }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                let doing = "the ledger and what SQLite keeps beside it (-wal, -shm) must be \
                             writable, while somebody writes also for who only reads";
                let error = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
                Error::File { path, doing, error }
            }
            _ => Error::Sqlite { path, error },
        }
    }
}

/// What the system says where it opens no more files: SQLite does not hand that on.
fn out_of_files() -> Option<std::io::Error> {
    let error = std::fs::File::open("/dev/null").err()?;
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)).then_some(error)
}

/// What is damaged, where the error says that something is.
fn damage(error: &rusqlite::Error) -> Option<String> {
    use rusqlite::Error as E;
    match error {
        E::UserFunctionError(what) => Some(without_mark(&what.to_string()).to_owned()),
        // What a function of ours found, as SQLite hands it on.
        E::SqliteFailure(_, Some(text)) if text.starts_with(DAMAGED) => {
            Some(without_mark(text).to_owned())
        }
        E::SqliteFailure(code, _) if code.code == ErrorCode::DatabaseCorrupt => {
            Some("SQLite finds it malformed".to_owned())
        }
        E::InvalidColumnType(..)
        | E::IntegralValueOutOfRange(..)
        | E::FromSqlConversionFailure(..)
        | E::Utf8Error(..) => Some("a column holds what it cannot hold".to_owned()),
        _ => None,
    }
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix(DAMAGED).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn what_sqlite_says_becomes_a_message_with_place_and_remedy() {
        for (code, words) in [
            (ffi::SQLITE_FULL, "no space left for the ledger"),
            (ffi::SQLITE_NOTADB, "not a rollcall ledger (not an SQLite database)"),
            (ffi::SQLITE_CORRUPT, "the ledger is damaged (SQLite finds it malformed)"),
            (ffi::SQLITE_BUSY, "another rollcall is writing"),
            (ffi::SQLITE_LOCKED, "another rollcall is writing"),
            (
                ffi::SQLITE_READONLY,
                "must be writable, while somebody writes also for who only reads: permission denied",
            ),
            (ffi::SQLITE_CANTOPEN, "(-wal, -shm) must be writable"),
            (ffi::SQLITE_IOERR, "SQLite: "),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let text = Error::sqlite(Path::new("/x/ledger.sqlite"), error).to_string();
            assert!(text.starts_with("/x/ledger.sqlite: ") && text.contains(words), "{text}");
        }
    }
}
