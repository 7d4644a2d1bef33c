//! The ledger's file: opened, made, recognised, migrated.

use crate::error::Error;
use crate::place;
use crate::reserve::Reserve;
use crate::still::{self, Still};
use crate::timeline;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The schema this program writes, in `PRAGMA user_version`.
pub(crate) const SCHEMA: i64 = 8;

/// What makes an empty file one of that schema.
const MAKE: &str = include_str!("schema.sql");

/// Marks an SQLite file as a rollcall ledger, in `PRAGMA application_id`: "rcll".
const APPLICATION: i64 = 0x7263_6c6c;

/// How long a reader waits for a writer's short exclusive moments.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The ledger: one SQLite file (WAL, `synchronous=FULL`) that any number of processes may read
/// while one writes.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) db: Connection,
    pub(crate) path: PathBuf,
    /// Set where the file may only be read.
    pub(crate) still: Option<Still>,
    /// Room for the journal, set aside.
    pub(crate) reserve: Option<Reserve>,
}

impl Ledger {
    /// Opens an existing ledger; also for those who may read its file and write nothing, while nobody
    /// writes to it.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none; [`Error::Foreign`], [`Error::Newer`],
    /// [`Error::Damaged`] and [`Error::File`] for files that cannot serve.
    pub fn open(path: &Path) -> Result<Ledger, Error> {
        match std::fs::metadata(path) {
            Ok(_) => match Ledger::connect(path) {
                Err(error) if error.is_denied() => Ledger::look_at(path).unwrap_or(Err(error)),
                opened => opened,
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::Missing { path: path.to_path_buf() })
            }
            Err(error) => {
                Err(Error::File { path: path.to_path_buf(), doing: "opening the ledger", error })
            }
        }
    }

    /// Opens a ledger, making it (readable by its owner and group) and its folder where needed.
    ///
    /// # Errors
    /// As [`Ledger::open`], but for [`Error::Missing`]; [`Error::Remote`] on a network file system.
    pub fn create(path: &Path) -> Result<Ledger, Error> {
        let failed = |doing| {
            let path = path.to_path_buf();
            move |error| Error::File { path, doing, error }
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed("making the ledger's folder"))?;
        }
        place::check(path)?;
        let made = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o640).open(path);
        match made {
            // Closed before SQLite opens it: a process that closes any descriptor of a file loses all its
            // locks on it, and who comes next would take the `-wal` for nobody's and remove it.
            Ok(file) => drop(file),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("making the ledger")(error)),
        }
        Ledger::connect(path)
    }

    /// A ledger that is gone when it is dropped.
    ///
    /// # Errors
    /// Where memory is short.
    pub fn in_memory() -> Result<Ledger, Error> {
        let path = PathBuf::from(":memory:");
        let db = Connection::open_in_memory().map_err(|error| Error::sqlite(&path, error))?;
        let mut ledger = Ledger { db, path, still: None, reserve: None };
        ledger.prepare()?;
        Ok(ledger)
    }

    /// What to say of the place where it stands, if that may be no safe one.
    pub fn warning(&self) -> Option<String> {
        place::warning(&self.path)
    }

    /// The path it was opened with; `:memory:` for one in memory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn connect(path: &Path) -> Result<Ledger, Error> {
        let failed =
            |error| Error::File { path: path.to_path_buf(), doing: "opening the ledger", error };
        let kind = std::fs::metadata(path).map_err(failed)?.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() { "it is a directory" } else { "it is no regular file" };
            return Err(failed(std::io::Error::other(what)));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let waits = still::has_wal(path);
        let db =
            Connection::open_with_flags(path, flags).map_err(|error| Error::sqlite(path, error))?;
        let mut ledger = Ledger { db, path: path.to_path_buf(), still: None, reserve: None };
        if waits {
            ledger.check_wal()?;
        }
        ledger.prepare()?;
        ledger.take_left();
        Ok(ledger)
    }

    /// Refuses a `-wal` that was left beside the file by another ledger: its pages would take the place of
    /// this one's, and SQLite cannot tell. The file alone and the file as the `-wal` makes it must have one
    /// id. Nothing is carried over from the `-wal` while that is not known.
    fn check_wal(&self) -> Result<(), Error> {
        const NO_CHECKPOINT: DbConfig = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        self.db.set_db_config(NO_CHECKPOINT, true).map_err(self.failed())?;
        self.db.busy_timeout(BUSY_TIMEOUT).map_err(self.failed())?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // What cannot be read so (a ledger in the making, a checkpoint under way) is judged elsewhere.
        let alone = Connection::open_with_flags(still::uri(&self.path), flags);
        if let Some(own) = alone.ok().and_then(|db| ledger_id(&db).ok().flatten())
            && ledger_id(&self.db).is_ok_and(|other| other.as_ref() != Some(&own))
        {
            let what = "the -wal beside it is another ledger's: remove that".to_owned();
            return Err(Error::Damaged { path: self.path.clone(), what });
        }
        self.db.set_db_config(NO_CHECKPOINT, false).map_err(self.failed())?;
        Ok(())
    }

    /// Opens a ledger that is not written to right now, asking for no right but to read it.
    pub(crate) fn look_at(path: &Path) -> Option<Result<Ledger, Error>> {
        let still = Still::of(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(still::uri(path), flags).ok()?;
        let ledger = Ledger { db, path: path.to_path_buf(), still: Some(still), reserve: None };
        match ledger.identify() {
            // An empty file, conntracker's or an older one would have to be written to.
            Ok(found) if found != SCHEMA => None,
            Ok(_) => Some(ledger.add_functions().map_err(ledger.failed()).map(|()| ledger)),
            Err(error) => Some(Err(error)),
        }
    }

    pub(crate) fn failed(&self) -> impl Fn(rusqlite::Error) -> Error + use<'_> {
        |error| Error::sqlite(&self.path, error)
    }

    fn prepare(&mut self) -> Result<(), Error> {
        self.db.busy_timeout(BUSY_TIMEOUT).map_err(self.failed())?;
        let found = self.identify()?;
        self.db.set_prepared_statement_cache_capacity(64);
        self.add_functions().map_err(self.failed())?;
        self.db.pragma_update(None, "synchronous", "full").map_err(self.failed())?;
        if found == SCHEMA {
            return Ok(());
        }
        self.migrate().map_err(self.failed())?;
        // So that the file is a ledger even where it is copied without its -wal.
        self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").map_err(self.failed())
    }

    /// The schema version of the file; 0 for an empty one or conntracker's. All that is looked at is of
    /// one moment: somebody else may be making the ledger right now.
    fn identify(&self) -> Result<i64, Error> {
        self.db.execute_batch("BEGIN").map_err(self.failed())?;
        let found = self.identify_now();
        let _ = self.db.execute_batch("ROLLBACK");
        found
    }

    fn identify_now(&self) -> Result<i64, Error> {
        let pragma = |name: &str| -> Result<i64, Error> {
            self.db.pragma_query_value(None, name, |row| row.get(0)).map_err(self.failed())
        };
        let (application, version) = (pragma("application_id")?, pragma("user_version")?);
        if application == APPLICATION {
            if version > SCHEMA {
                return Err(Error::Newer {
                    path: self.path.clone(),
                    found: version,
                    known: SCHEMA,
                });
            }
            if version < 1 {
                let what = "its schema has no version".to_owned();
                return Err(Error::Damaged { path: self.path.clone(), what });
            }
            return Ok(version);
        }
        let tables: Vec<String> = self
            .db
            .prepare(
                "SELECT lower(name) FROM sqlite_schema
                 WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'",
            )
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
            .map_err(self.failed())?;
        let conntracker = match &tables[..] {
            [] => application == 0 && version == 0,
            [table] => table == "accounts" && self.has_account_columns().map_err(self.failed())?,
            _ => false,
        };
        if !conntracker {
            let found = "an SQLite database of another program".to_owned();
            return Err(Error::Foreign { path: self.path.clone(), found });
        }
        Ok(0)
    }

    /// Whether the table `Accounts` is conntracker's, and not some other program's of that name.
    fn has_account_columns(&self) -> rusqlite::Result<bool> {
        let known: i64 = self.db.query_row(
            "SELECT count(*) FROM pragma_table_info('accounts')
             WHERE lower(name) IN ('name', 'host', 'last_seen')",
            [],
            |row| row.get(0),
        )?;
        Ok(known == 3)
    }

    fn migrate(&mut self) -> rusqlite::Result<()> {
        self.db.pragma_update(None, "journal_mode", "wal")?;
        let transaction =
            self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Somebody else may have done it while we waited.
        let version: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            let accounts: bool = transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM sqlite_schema
                   WHERE type = 'table' AND lower(name) = 'accounts')",
                [],
                |row| row.get(0),
            )?;
            if accounts {
                transaction.execute_batch("ALTER TABLE Accounts RENAME TO conntracker_accounts")?;
            }
            transaction.execute_batch(MAKE)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
        }
        if version == 1 {
            transaction.execute_batch(FROM_1)?;
        }
        if (1..=4).contains(&version) {
            transaction.execute_batch(FROM_4)?;
        }
        for (since, what) in MADE_SINCE {
            if (1..=since).contains(&version) {
                transaction.execute_batch(statement(what))?;
            }
        }
        for what in MADE_WHEN_NEEDED {
            let is_there: bool = transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE 'TABLE ' || name = ?1)",
                [what],
                |row| row.get(0),
            )?;
            if !is_there {
                transaction.execute_batch(statement(what))?;
            }
        }
        if version < 2 {
            transaction.execute_batch(NEW_ID)?;
        }
        if version < SCHEMA {
            transaction.pragma_update(None, "user_version", SCHEMA)?;
        }
        transaction.commit()
    }

    fn add_functions(&self) -> rusqlite::Result<()> {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        // unite_hours(a, b, days_before, gone_before)
        self.db.create_scalar_function("unite_hours", 4, flags, |context| {
            let blob = |argument| context.get_raw(argument).as_blob().unwrap_or(&[]);
            timeline::unite(blob(0), blob(1), context.get(2)?, context.get(3)?)
                .ok_or_else(|| damaged("a timeline in tally"))
        })
    }
}

/// The number that a ledger was given when it was made; its copies have the same. `None`: made by schema 1,
/// or not made yet.
pub(crate) fn ledger_id(db: &Connection) -> rusqlite::Result<Option<String>> {
    let tables: i64 =
        db.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| {
            row.get(0)
        })?;
    match tables {
        0 => Ok(None),
        _ => db
            .query_row("SELECT value FROM meta WHERE key = 'ledger_id'", [], |row| row.get(0))
            .optional(),
    }
}

const NEW_ID: &str = "INSERT INTO meta VALUES ('ledger_id', lower(hex(randomblob(16))))";

/// Version 1 did not say which file a gap is of, nor that it was told.
const FROM_1: &str = "
    ALTER TABLE gap ADD COLUMN file INTEGER;
    ALTER TABLE gap ADD COLUMN from_byte INTEGER;
    ALTER TABLE gap ADD COLUMN to_byte INTEGER;
    ALTER TABLE file ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE file ADD COLUMN lines BLOB NOT NULL DEFAULT x'';
    UPDATE file SET gone = 1 WHERE EXISTS (SELECT 1 FROM gap WHERE gap.source = file.source
      AND gap.path = file.path AND gap.from_us IS file.newest_us);";

/// What the schema up to this version did not have: which files are consecutive pieces of one log; what a log
/// itself says may be missing in it; which logins are not settled, or contradicted; accounts, what is to be done
/// with them and what was; how far tables were read, and which accounts they name; which servers answered under a
/// name before, and what servers count of sessions; connection ids at the ends of pieces of logs; numbers of lines,
/// and which users of accounts they name; what users' schemas held.
const MADE_SINCE: [(i64, &str); 44] = [
    (2, "TABLE adjoin"),
    (3, "TABLE hole"),
    (3, "INDEX hole_file"),
    (3, "TABLE hole_rest"),
    (3, "TABLE segment"),
    (4, "TABLE unsettled"),
    (4, "TABLE edge"),
    (4, "TABLE contested"),
    (4, "VIEW Accounts"),
    (5, "TABLE snapshot"),
    (5, "TABLE account_missing"),
    (5, "INDEX account_missing_server"),
    (5, "TABLE account"),
    (5, "INDEX account_born"),
    (5, "TABLE account_part"),
    (5, "INDEX account_part_account"),
    (5, "TABLE account_lapse"),
    (5, "TABLE account_activity"),
    (5, "INDEX account_activity_server"),
    (5, "TABLE account_change"),
    (5, "INDEX account_change_account"),
    (5, "TABLE keep"),
    (5, "TABLE plan"),
    (5, "TRIGGER plan_fixed"),
    (5, "TABLE deed"),
    (5, "INDEX deed_plan"),
    (5, "INDEX deed_undo_of"),
    (5, "TABLE deed_end"),
    (5, "INDEX deed_end_deed"),
    (5, "TRIGGER deed_once"),
    (5, "TRIGGER deed_fixed"),
    (5, "TRIGGER deed_kept"),
    (5, "TRIGGER deed_end_once"),
    (5, "TRIGGER deed_end_fixed"),
    (5, "TRIGGER deed_end_kept"),
    (6, "TABLE access_mark"),
    (6, "TABLE matched"),
    (7, "TABLE former"),
    (7, "TABLE counted"),
    (7, "TABLE segment_ids"),
    (7, "TABLE series"),
    (7, "TABLE let_in"),
    (7, "TABLE quota_usage"),
    (7, "TABLE quota_state"),
];

/// Which files were forgotten: versions 3 and 4 made these when there was something to keep.
const MADE_WHEN_NEEDED: [&str; 2] = ["TABLE sighting", "TABLE forgotten"];

/// Version 4 counted logins at once. What it noted as too new to be settled is counted in `tally`, so only
/// the note goes.
const FROM_4: &str = "DROP TABLE unsettled; DROP VIEW Accounts;";

/// The statement of [`MAKE`] that makes this.
fn statement(what: &str) -> &'static str {
    let from = MAKE.find(&format!("CREATE {what} ")).unwrap_or(MAKE.len());
    // A trigger holds statements of its own.
    let ends = if what.starts_with("TRIGGER ") { " END;" } else { ";" };
    let end = MAKE[from..].find(ends).map_or(MAKE.len(), |at| from + at + ends.len());
    &MAKE[from..end]
}

/// Part of the ledger cannot be what it is; becomes [`Error::Damaged`].
pub(crate) fn damaged(what: &str) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(format!("{DAMAGED}{what}").into())
}

/// What [`damaged`] begins with: SQLite hands on the text of an error alone.
pub(crate) const DAMAGED: &str = "damaged: ";

/// A name on its way into SQLite: TEXT where SQL can treat it as text, else BLOB.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Bytes<'_> {
    /// Does it become TEXT?
    pub(crate) fn is_text(&self) -> bool {
        std::str::from_utf8(self.0).is_ok() && !self.0.contains(&0)
    }

    /// As it stands in a column.
    pub(crate) fn value(&self) -> Value {
        match std::str::from_utf8(self.0) {
            Ok(text) if !self.0.contains(&0) => Value::Text(text.to_owned()),
            _ => Value::Blob(self.0.to_vec()),
        }
    }
}

impl ToSql for Bytes<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(if self.is_text() {
            ValueRef::Text(self.0)
        } else {
            ValueRef::Blob(self.0)
        }))
    }
}

/// A name on its way out.
pub(crate) fn name(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    }
}

/// 64-bit connection ids stand in SQLite's signed integers.
pub(crate) fn signed(id: u64) -> Value {
    Value::Integer(id as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checkpoint, Keeping};

    #[test]
    fn no_space_is_said_and_nothing_is_half_stored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let mut ledger = Ledger::create(&path).unwrap();
        let pages: i64 =
            ledger.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        ledger.db.pragma_update(None, "max_page_count", pages).unwrap();
        let ingest = ledger.ingest(Keeping::new(0)).unwrap();
        let source = ingest.source(b"/log", b"", "server_audit").unwrap();
        let mut at = Checkpoint {
            path: PathBuf::from("/log"),
            fingerprint: source::Fingerprint::default(),
            raw: source::Raw {
                facts: source::Facts { device: 0, inode: 0, born: None, len: 0, modified: 0 },
                print: [0; 16],
                drained: false,
            },
            mid_record: false,
            newest: None,
        };
        let error = (0..10_000).find_map(|i| {
            at.path = PathBuf::from(format!("/log{}{i}", "x".repeat(200)));
            ingest.checkpoint(None, source, &at).err()
        });
        assert!(matches!(error, Some(Error::Full { .. })), "{error:?}");
        drop(ingest);
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        assert!(ledger.status().unwrap().sources.is_empty());
    }

    #[test]
    fn names_are_text_where_they_can_be() {
        let ledger = Ledger::in_memory().unwrap();
        for (bytes, kind) in [
            (&b"app"[..], "text"),
            ("na\u{ef}ve".as_bytes(), "text"),
            (b"", "text"),
            (b"a\0b", "blob"),
            (b"\xff", "blob"),
        ] {
            let (found, back): (String, Vec<u8>) = ledger
                .db
                .query_row("SELECT typeof(?1), ?1", [Bytes(bytes)], |row| {
                    Ok((row.get(0)?, name(row.get_ref(1)?)))
                })
                .unwrap();
            assert_eq!((found.as_str(), &back[..]), (kind, bytes));
        }
    }

    #[test]
    fn every_opening_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        drop(Ledger::create(&path).unwrap());
        let ledger = Ledger::open(&path).unwrap();
        let full: i64 =
            ledger.db.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        let mode: String =
            ledger.db.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!((full, mode.as_str()), (2, "wal"));
    }
}
