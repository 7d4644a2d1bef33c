//! Reading: which files the ledger's counts rest on, for who reads them again.

use crate::error::Error;
use crate::links::Journal;
use crate::rows::{Evidence, Filter, Name};
use crate::store::{Ledger, name};
use formats::Standing;
use rusqlite::OptionalExtension;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A file of which something was read: how it is known again, and what was counted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// The number of its source.
    pub source: i64,
    /// The source's path.
    pub location: Name,
    /// The dialect last read from the source.
    pub dialect: String,
    /// Where the file was last.
    pub path: PathBuf,
    /// Decompressed bytes read, from its beginning.
    pub bytes: u64,
    /// How many of the first of them `head` covers.
    pub head_bytes: u32,
    /// As `source::Fingerprint::head`.
    pub head: Vec<u8>,
    /// How many of the last of them `tail` covers.
    pub tail_bytes: u32,
    /// As `source::Fingerprint::tail`.
    pub tail: Vec<u8>,
    /// Records counted.
    pub records: u64,
    /// The oldest record's time, in microseconds UTC.
    pub from: Option<i64>,
    /// The newest record's time, in microseconds UTC.
    pub to: Option<i64>,
}

/// How much input of a source was doubted for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubtTotal {
    /// The number of the source.
    pub source: i64,
    /// Rejected or quarantined.
    pub standing: Standing,
    /// The reason's code, as `formats::Reason::code` gives it.
    pub reason: String,
    /// How many records or lines.
    pub count: u64,
}

/// What the ledger rests on, all of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdings {
    /// The number that the ledger was given when it was made, in hexadecimal; its copies have it too.
    pub id: Option<String>,
    /// As [`Ledger::evidence`] tells it.
    pub evidence: Vec<Evidence>,
    /// Every file of which something was read, by source, then the oldest first.
    pub files: Vec<ReadFile>,
    /// Numbers of the sources of which files were read that the ledger has forgotten since.
    pub forgotten: Vec<i64>,
    /// What was doubted, by source, standing and reason.
    pub doubts: Vec<DoubtTotal>,
    /// Every table of which rows were read, by source.
    pub tables: Vec<ReadTable>,
    /// What was done to servers.
    pub journal: Journal,
}

/// A table that logins write into, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTable {
    /// The source's path: `table`, schema and name.
    pub location: Name,
    /// The server's name, as the reader was told it.
    pub server: Name,
    /// When the server made the table, as it tells it.
    pub made: String,
    /// Rows counted.
    pub rows: u64,
    /// The highest number that was counted.
    pub last_id: u64,
    /// How many lower numbers were not there and are looked for.
    pub missing: u64,
    /// The oldest row's time, in microseconds UTC.
    pub from: Option<i64>,
    /// The newest row's time, in microseconds UTC.
    pub to: Option<i64>,
}

impl Ledger {
    /// What the ledger rests on. A scan that commits meanwhile is in all of it or in nothing.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn holdings(&self) -> Result<Holdings, Error> {
        self.db.execute_batch("BEGIN").map_err(self.failed())?;
        let holdings = self.holdings_now();
        let _ = self.db.execute_batch("ROLLBACK");
        holdings
    }

    fn holdings_now(&self) -> Result<Holdings, Error> {
        let id = self
            .db
            .query_row("SELECT value FROM meta WHERE key = 'ledger_id'", [], |row| row.get(0))
            .optional()
            .map_err(self.failed())?;
        let evidence = self.evidence(&Filter::default())?;
        let forgotten = self.sources_with_forgotten_files().map_err(self.failed())?;
        let (files, doubts) = (self.read_files()?, self.doubt_totals()?);
        let (tables, journal) = (self.read_tables()?, self.journal_now()?);
        Ok(Holdings { id, evidence, files, forgotten, doubts, tables, journal })
    }

    fn read_tables(&self) -> Result<Vec<ReadTable>, Error> {
        let places = self.rows(
            "SELECT location, label, coalesce(sum(records), 0), min(from_us), max(to_us)
             FROM access_mark JOIN source ON source.id = access_mark.source
             LEFT JOIN stretch ON stretch.source = source.id
             GROUP BY source.id ORDER BY location, label",
            |row| {
                let (location, label) = (name(row.get_ref(0)?), name(row.get_ref(1)?));
                Ok((location, label, row.get::<_, i64>(2)? as u64, row.get(3)?, row.get(4)?))
            },
        )?;
        let mut tables = Vec::new();
        for (location, server, rows, from, to) in places {
            let Some(mark) = self.access_mark(&location, &server)? else { continue };
            let missing = mark
                .missing
                .iter()
                .fold(0u64, |sum, it| sum.saturating_add((it.to - it.from).saturating_add(1)));
            let (made, last_id) = (mark.made, mark.last_id);
            tables.push(ReadTable { location, server, made, rows, last_id, missing, from, to });
        }
        Ok(tables)
    }

    fn read_files(&self) -> Result<Vec<ReadFile>, Error> {
        self.rows(
            "SELECT file.source, location, dialect, path, offset, head_bytes, head, tail_bytes, tail,
               coalesce(sum(stretch.records), 0), min(stretch.from_us), max(stretch.to_us)
             FROM file JOIN source ON source.id = file.source
             LEFT JOIN stretch ON stretch.file = file.id
             WHERE offset > 0 GROUP BY file.id
             ORDER BY location, label, min(stretch.from_us), file.id",
            |row| {
                let unsigned = |column| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)? as u64);
                Ok(ReadFile {
                    source: row.get(0)?,
                    location: name(row.get_ref(1)?),
                    dialect: row.get(2)?,
                    path: PathBuf::from(OsStr::from_bytes(&name(row.get_ref(3)?))),
                    bytes: unsigned(4)?,
                    head_bytes: row.get(5)?,
                    head: row.get(6)?,
                    tail_bytes: row.get(7)?,
                    tail: row.get(8)?,
                    records: unsigned(9)?,
                    from: row.get(10)?,
                    to: row.get(11)?,
                })
            },
        )
    }

    fn doubt_totals(&self) -> Result<Vec<DoubtTotal>, Error> {
        self.rows(
            "SELECT source, standing, reason, count FROM doubt ORDER BY source, standing, reason",
            |row| {
                let rejected = row.get_ref(1)?.as_str()? == Standing::Rejected.as_str();
                Ok(DoubtTotal {
                    source: row.get(0)?,
                    standing: if rejected { Standing::Rejected } else { Standing::Quarantined },
                    reason: row.get(2)?,
                    count: row.get::<_, i64>(3)? as u64,
                })
            },
        )
    }
}
