//! Sources, and how far each of their files was read.
//!
//! A source is a log file set (a location, and the server's name where the reader was told it); its
//! files are known by what they hold, not by their names, so that a rotated file goes on where it
//! was left.

use crate::error::Error;
use crate::ingest::Ingest;
use crate::store::{Bytes, name};
use rusqlite::params;
use source::{Fingerprint, KnownFile, Raw};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How far a file was read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where the file stands.
    pub path: PathBuf,
    /// What was read of it.
    pub fingerprint: Fingerprint,
    /// The file itself.
    pub raw: Raw,
    /// Whether the offset lies inside a record that is too long to be read.
    pub mid_record: bool,
    /// The newest record's time, in microseconds UTC.
    pub newest: Option<i64>,
}

/// A file the ledger knows, with what its reader needs to go on.
#[derive(Debug, Clone)]
pub struct Mark {
    /// The file's identity.
    pub known: KnownFile,
    /// The source it belongs to.
    pub source: i64,
    /// Whether the offset lies inside a record that is too long to be read.
    pub mid_record: bool,
    /// The newest record's time, in microseconds UTC.
    pub newest: Option<i64>,
}

impl Ingest<'_> {
    /// The number of a source; `label` is the server's name where the reader was told it (else
    /// empty).
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn source(&self, location: &[u8], label: &[u8], dialect: &str) -> Result<i64, Error> {
        self.db()
            .prepare_cached(
                "INSERT INTO source (location, label, dialect) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET dialect = excluded.dialect RETURNING id",
            )
            .and_then(|mut insert| {
                insert.query_row(params![Bytes(location), Bytes(label), dialect], |row| row.get(0))
            })
            .map_err(self.failed())
    }

    /// Every file read under this label.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn marks(&self, label: &[u8]) -> Result<Vec<Mark>, Error> {
        let print = |bytes: Vec<u8>| <[u8; 16]>::try_from(bytes).unwrap_or_default();
        self.db()
            .prepare_cached(
                "SELECT file.id, source, path, device, inode, born_us, file.bytes, modified_us,
                   print,
                        drained, head_bytes, head, offset, tail_bytes, tail, mid_record, newest_us
                 FROM file JOIN source ON source.id = file.source WHERE source.label = ?1 ORDER BY
                   file.id",
            )
            .and_then(|mut query| {
                query
                    .query_map([Bytes(label)], |row| {
                        let path = name(row.get_ref(2)?);
                        let unsigned =
                            |column| row.get::<_, i64>(column).map(|number| number as u64);
                        Ok(Mark {
                            source: row.get(1)?,
                            mid_record: row.get(15)?,
                            newest: row.get(16)?,
                            known: KnownFile {
                                key: row.get(0)?,
                                path: PathBuf::from(OsStr::from_bytes(&path)),
                                fingerprint: Fingerprint {
                                    head_len: row.get(10)?,
                                    head: print(row.get(11)?),
                                    offset: unsigned(12)?,
                                    tail_len: row.get(13)?,
                                    tail: print(row.get(14)?),
                                },
                                raw: Raw {
                                    facts: source::Facts {
                                        device: unsigned(3)?,
                                        inode: unsigned(4)?,
                                        born: row.get(5)?,
                                        len: unsigned(6)?,
                                        modified: row.get(7)?,
                                    },
                                    print: print(row.get(8)?),
                                    drained: row.get(9)?,
                                },
                            },
                        })
                    })?
                    .collect()
            })
            .map_err(self.failed())
    }

    /// Stores a file's checkpoint: under `key`, or under a new number where that is `None`. Returns
    /// the number.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn checkpoint(&self, key: Option<i64>, source: i64, at: &Checkpoint) -> Result<i64, Error> {
        let (facts, print) = (&at.raw.facts, &at.fingerprint);
        self.db()
            .prepare_cached(
                "INSERT INTO file (id, source, path, device, inode, born_us, bytes, modified_us,
                   print,
                   drained, head_bytes, head, offset, tail_bytes, tail, mid_record, newest_us)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
                 ON CONFLICT (id) DO UPDATE SET source = excluded.source, path = excluded.path,
                   device = excluded.device,
                   inode = excluded.inode, born_us = excluded.born_us, bytes = excluded.bytes,
                   modified_us = excluded.modified_us, print = excluded.print, drained =
                     excluded.drained,
                   head_bytes = excluded.head_bytes, head = excluded.head, offset = excluded.offset,
                   tail_bytes = excluded.tail_bytes, tail = excluded.tail,
                   mid_record = excluded.mid_record,
                   newest_us = coalesce(max(newest_us, excluded.newest_us), newest_us,
                     excluded.newest_us)
                 RETURNING id",
            )
            .and_then(|mut insert| {
                insert.query_row(
                    params![
                        key,
                        source,
                        Bytes(at.path.as_os_str().as_bytes()),
                        facts.device as i64,
                        facts.inode as i64,
                        facts.born,
                        facts.len as i64,
                        facts.modified,
                        at.raw.print,
                        at.raw.drained,
                        print.head_len,
                        print.head,
                        print.offset as i64,
                        print.tail_len,
                        print.tail,
                        at.mid_record,
                        at.newest,
                    ],
                    |row| row.get(0),
                )
            })
            .map_err(self.failed())
    }

    /// Notes that evidence of a source is missing.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn gap(
        &self,
        source: i64,
        path: &Path,
        from: Option<i64>,
        reason: &str,
    ) -> Result<(), Error> {
        self.db()
            .prepare_cached(
                "INSERT INTO gap (source, path, from_us, noticed_us, reason) VALUES (?1, ?2, ?3,
                   ?4, ?5)",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    source,
                    Bytes(path.as_os_str().as_bytes()),
                    from,
                    self.keeping.now,
                    reason
                ])
            })
            .map_err(self.failed())?;
        Ok(())
    }
}
