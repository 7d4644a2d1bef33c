//! What a running `watch` and inputs that cannot be read leave for `status`, and what was said already.
//!
//! Trouble is kept per scope, a name that the caller gives to a set of inputs: each look at them takes
//! the place of the one before, so trouble that is over is forgotten.

use crate::error::Error;
use crate::ingest::Ingest;
use crate::store::{Bytes, Ledger, name};
use crate::{Place, Trouble};
use rusqlite::{OptionalExtension, params};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The most messages that are kept of one scope: beyond it, a number tells more than a list.
pub const TROUBLES_MAX: usize = 100;

/// The longest message that is kept, in bytes: a path of the longest kind and a sentence. Longer ones are
/// cut.
pub const TROUBLE_BYTES_MAX: usize = 6000;

/// A scope that nobody looked at for so long is no longer configured, in microseconds.
const FORGOTTEN_AFTER: i64 = 7 * 86_400 * 1_000_000;

/// The table is made when there is something to keep: ledgers of before do without it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS trouble (
    scope NOT NULL, message TEXT NOT NULL, since_us INTEGER NOT NULL, seen_us INTEGER NOT NULL,
    PRIMARY KEY (scope, message)) WITHOUT ROWID";

impl Ingest<'_> {
    /// Keeps what is wrong with the inputs of a scope; nothing where all is well again.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn trouble(&self, scope: &[u8], messages: &[String]) -> Result<(), Error> {
        self.keep_trouble(scope, messages).map_err(self.failed())
    }

    fn keep_trouble(&self, scope: &[u8], messages: &[String]) -> rusqlite::Result<()> {
        let (db, now) = (self.db(), self.keeping.now);
        if !has_table(db)? {
            if messages.is_empty() {
                return Ok(());
            }
            db.execute_batch(TABLE)?;
        }
        let mut keep = db.prepare_cached(
            "INSERT INTO trouble VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT DO UPDATE SET seen_us = excluded.seen_us",
        )?;
        for message in messages.iter().take(TROUBLES_MAX) {
            let cut = message.floor_char_boundary(TROUBLE_BYTES_MAX);
            keep.execute(params![Bytes(scope), &message[..cut], now])?;
        }
        db.prepare_cached(
            "DELETE FROM trouble WHERE scope = ?1 AND seen_us <> ?2 OR seen_us < ?3",
        )?
        .execute(params![Bytes(scope), now, now.saturating_sub(FORGOTTEN_AFTER)])?;
        Ok(())
    }

    /// What is to be said of the place where the ledger stands, as [`Ledger::warning`] says it, where that was
    /// not said yet of this folder: from now on it was.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn new_warning(&self) -> Result<Option<String>, Error> {
        let Some((folder, warning)) = self.warning() else { return Ok(None) };
        let is_new = self.is_new_folder(&folder).map_err(self.failed())?;
        Ok(is_new.then_some(warning))
    }

    /// Whether the ledger stands in another folder than it did when this was asked last.
    fn is_new_folder(&self, folder: &Path) -> rusqlite::Result<bool> {
        let changed = self
            .db()
            .prepare_cached(
                "INSERT INTO meta VALUES ('warned_of_folder', ?1)
                 ON CONFLICT DO UPDATE SET value = excluded.value WHERE value IS NOT excluded.value",
            )?
            .execute([Bytes(folder.as_os_str().as_bytes())])?;
        Ok(changed > 0)
    }

    /// Rows changed since the ledger was opened: where it stays the same, there is nothing to commit.
    pub fn changes(&self) -> u64 {
        self.db().total_changes()
    }

    /// Differs where another connection has committed since: who remembers marks has to read them again.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn version(&self) -> Result<i64, Error> {
        let version = self.db().pragma_query_value(None, "data_version", |row| row.get(0));
        version.map_err(self.failed())
    }

    /// Says that a `watch` runs, as of [`Keeping::now`](crate::Keeping::now), or that it has ended.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn watching(&self, runs: bool) -> Result<(), Error> {
        let now = self.keeping.now;
        let done = match runs {
            true => self
                .db()
                .prepare_cached("INSERT OR REPLACE INTO meta VALUES ('watch_us', ?1)")
                .and_then(|mut set| set.execute([now])),
            false => self.db().execute("DELETE FROM meta WHERE key = 'watch_us'", []),
        };
        done.map(drop).map_err(self.failed())
    }
}

impl Ledger {
    pub(crate) fn troubles(&self) -> rusqlite::Result<Vec<Trouble>> {
        if !has_table(&self.db)? {
            return Ok(Vec::new());
        }
        self.db
            .prepare_cached(
                "SELECT min(since_us), message FROM trouble GROUP BY message ORDER BY 1, 2",
            )?
            .query_map([], |row| Ok(Trouble { since: row.get(0)?, message: row.get(1)? }))?
            .collect()
    }

    /// The plain files of a source.
    pub(crate) fn places(&self, source: i64) -> rusqlite::Result<Vec<Place>> {
        self.db
            .prepare_cached(
                "SELECT path, device, inode, offset FROM file
                 WHERE source = ?1 AND print = zeroblob(16) AND inode <> 0 ORDER BY id",
            )?
            .query_map([source], |row| {
                let unsigned = |column| row.get::<_, i64>(column).map(|number| number as u64);
                Ok(Place {
                    path: PathBuf::from(OsStr::from_bytes(&name(row.get_ref(0)?))),
                    device: unsigned(1)?,
                    inode: unsigned(2)?,
                    offset: unsigned(3)?,
                })
            })?
            .collect()
    }
}

fn has_table(db: &rusqlite::Connection) -> rusqlite::Result<bool> {
    let found = db
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'trouble'")?
        .query_row([], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keeping, Lock};

    fn told(ledger: &mut Ledger, now: i64, scope: &[u8], messages: &[&str]) -> Vec<(i64, String)> {
        let ingest = ledger.ingest(Keeping::new(now)).unwrap();
        let messages: Vec<String> = messages.iter().map(|it| (*it).to_owned()).collect();
        ingest.trouble(scope, &messages).unwrap();
        ingest.finish().unwrap();
        let troubles = ledger.status().unwrap().troubles;
        troubles.into_iter().map(|it| (it.since, it.message)).collect()
    }

    #[test]
    fn trouble_lasts_until_a_look_finds_none() {
        let mut ledger = Ledger::in_memory().unwrap();
        let row = |since: i64, message: &str| (since, message.to_owned());
        assert_eq!(told(&mut ledger, 1, b"a", &[]), []);
        assert_eq!(told(&mut ledger, 2, b"a", &["x"]), [row(2, "x")]);
        assert_eq!(told(&mut ledger, 3, b"b", &["y"]), [row(2, "x"), row(3, "y")]);
        assert_eq!(told(&mut ledger, 4, b"a", &["x", "z"])[0], row(2, "x"));
        assert_eq!(told(&mut ledger, 5, b"a", &[]), [row(3, "y")]);
        let later = 3 + FORGOTTEN_AFTER;
        assert_eq!(told(&mut ledger, later, b"a", &[]), [row(3, "y")]);
        assert_eq!(told(&mut ledger, later + 1, b"a", &[]), []);
    }

    #[test]
    fn trouble_is_bounded() {
        let mut ledger = Ledger::in_memory().unwrap();
        for (count, kept) in [(TROUBLES_MAX, TROUBLES_MAX), (TROUBLES_MAX + 1, TROUBLES_MAX)] {
            let messages: Vec<String> = (0..count).map(|i| i.to_string()).collect();
            let words: Vec<&str> = messages.iter().map(String::as_str).collect();
            assert_eq!(told(&mut ledger, 1, b"", &words).len(), kept);
        }
        for (bytes, kept) in
            [(TROUBLE_BYTES_MAX, TROUBLE_BYTES_MAX), (TROUBLE_BYTES_MAX + 1, TROUBLE_BYTES_MAX)]
        {
            let rows = told(&mut ledger, 2, b"", &[&"x".repeat(bytes)]);
            assert_eq!(rows[0].1.len(), kept);
        }
    }

    #[test]
    fn a_watch_says_that_it_runs() {
        let mut ledger = Ledger::in_memory().unwrap();
        for (now, runs, told) in [(7, true, Some(7)), (9, true, Some(9)), (10, false, None)] {
            let ingest = ledger.ingest(Keeping::new(now)).unwrap();
            ingest.watching(runs).unwrap();
            ingest.finish().unwrap();
            assert_eq!(ledger.status().unwrap().watch, told);
        }
    }

    #[test]
    fn a_folder_is_new_once() {
        let mut ledger = Ledger::in_memory().unwrap();
        for (now, folder, is_new) in [(1, "/a", true), (2, "/a", false), (3, "/b", true)] {
            let ingest = ledger.ingest(Keeping::new(now)).unwrap();
            assert_eq!(ingest.is_new_folder(Path::new(folder)).unwrap(), is_new, "{now}");
            ingest.finish().unwrap();
            // What is not stored was not said.
            let ingest = ledger.ingest(Keeping::new(now)).unwrap();
            assert!(ingest.is_new_folder(Path::new("/never stored")).unwrap());
        }
        let ingest = ledger.ingest(Keeping::new(4)).unwrap();
        assert_eq!(ingest.new_warning().unwrap(), None);
    }

    #[test]
    fn what_others_commit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let mut ledger = Ledger::create(&path).unwrap();
        let lock = ledger.lock().unwrap();
        let turn = |ledger: &mut Ledger, lock: &Lock| {
            let ingest = ledger.ingest_under(lock, Keeping::new(1)).unwrap();
            let version = ingest.version().unwrap();
            ingest.finish().unwrap();
            version
        };
        let before = turn(&mut ledger, &lock);
        assert_eq!(turn(&mut ledger, &lock), before);
        let mut other = Ledger::open(&path).unwrap();
        assert!(matches!(other.ingest(Keeping::new(2)), Err(Error::Busy { .. })));
        drop(lock);
        other.ingest(Keeping::new(2)).unwrap().finish().unwrap();
        let lock = ledger.lock().unwrap();
        assert_ne!(turn(&mut ledger, &lock), before);
    }
}
