//! Sources, and how far each of their files was read.
//!
//! A source is a log file set (a location, and the server's name where the reader was told it); its
//! files are known by what they hold, not by their names, so that a rotated file goes on where it
//! was left.

use crate::error::Error;
use crate::ingest::Ingest;
use crate::store::{Bytes, name};
use rusqlite::params;
use source::{Fingerprint, KnownFile, LineEnd, Raw};
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
    /// The location of its source.
    pub location: PathBuf,
    /// Whether it is noted already that the file is gone.
    pub gone: bool,
}

/// Evidence that is missing.
#[derive(Debug, Clone)]
pub struct Gap<'a> {
    /// The source it would belong to.
    pub source: i64,
    /// The file that held it, if it was known.
    pub file: i64,
    /// Where that file stood.
    pub path: &'a Path,
    /// The newest record before it, in microseconds UTC.
    pub from: Option<i64>,
    /// The first byte of the file that was not read, decompressed.
    pub from_byte: u64,
    /// What is known of the end: so many bytes the file had at least.
    pub to_byte: Option<u64>,
    /// Why it is missing.
    pub reason: &'a str,
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
                        drained, head_bytes, head, offset, tail_bytes, tail, mid_record, newest_us,
                        location, gone, lines
                 FROM file JOIN source ON source.id = file.source WHERE source.label = ?1 ORDER BY
                   file.id",
            )
            .and_then(|mut query| {
                query
                    .query_map([Bytes(label)], |row| {
                        let path = name(row.get_ref(2)?);
                        let location = name(row.get_ref(17)?);
                        let unsigned =
                            |column| row.get::<_, i64>(column).map(|number| number as u64);
                        Ok(Mark {
                            source: row.get(1)?,
                            mid_record: row.get(15)?,
                            newest: row.get(16)?,
                            location: PathBuf::from(OsStr::from_bytes(&location)),
                            gone: row.get(18)?,
                            known: KnownFile {
                                key: row.get(0)?,
                                path: PathBuf::from(OsStr::from_bytes(&path)),
                                fingerprint: Fingerprint {
                                    head_len: row.get(10)?,
                                    head: print(row.get(11)?),
                                    offset: unsigned(12)?,
                                    tail_len: row.get(13)?,
                                    tail: print(row.get(14)?),
                                    lines: decode_lines(&row.get::<_, Vec<u8>>(19)?),
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
                   drained, head_bytes, head, offset, tail_bytes, tail, mid_record, newest_us, lines)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                   ?18)
                 ON CONFLICT (id) DO UPDATE SET source = excluded.source, path = excluded.path,
                   device = excluded.device,
                   inode = excluded.inode, born_us = excluded.born_us, bytes = excluded.bytes,
                   modified_us = excluded.modified_us, print = excluded.print, drained =
                     excluded.drained,
                   head_bytes = excluded.head_bytes, head = excluded.head, offset = excluded.offset,
                   tail_bytes = excluded.tail_bytes, tail = excluded.tail,
                   mid_record = excluded.mid_record, lines = excluded.lines,
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
                        encode_lines(&print.lines),
                    ],
                    |row| row.get(0),
                )
            })
            .map_err(self.failed())
    }

    /// Notes that evidence is missing. It reaches to the first record of the source behind `from` that
    /// is known from another file; where there is none yet, to now. Returns its number.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn gap(&self, gap: &Gap<'_>) -> Result<i64, Error> {
        self.db()
            .prepare_cached(
                "INSERT INTO gap (source, file, path, from_us, to_us, from_byte, to_byte,
                   noticed_us, reason)
                 VALUES (?1, ?2, ?3, ?4,
                   (SELECT min(stretch.from_us) FROM stretch WHERE stretch.source = ?1
                      AND stretch.file <> ?2 AND stretch.from_us >= ?4),
                   ?5, ?6, ?7, ?8) RETURNING id",
            )
            .and_then(|mut insert| {
                let values = params![
                    gap.source,
                    gap.file,
                    Bytes(gap.path.as_os_str().as_bytes()),
                    gap.from,
                    gap.from_byte as i64,
                    gap.to_byte.map(|to| to as i64),
                    self.keeping.now,
                    gap.reason
                ];
                insert.query_row(values, |row| row.get(0))
            })
            .map_err(self.failed())
    }

    /// Moves a gap to where its file ends and the next one begins, as far as they are read by now.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn settle_gap(&self, gap: i64) -> Result<(), Error> {
        self.db()
            .prepare_cached(
                "UPDATE gap SET from_us = coalesce(file.newest_us, gap.from_us),
                   from_byte = file.offset,
                   to_us = (SELECT min(stretch.from_us) FROM stretch
                     WHERE stretch.source = gap.source AND stretch.file <> gap.file
                       AND stretch.from_us >= coalesce(file.newest_us, gap.from_us))
                 FROM file WHERE file.id = gap.file AND gap.id = ?1",
            )
            .and_then(|mut update| update.execute([gap]))
            .map_err(self.failed())?;
        Ok(())
    }

    /// Lets the gaps of a file that is still not read reach to the next record that is known by now.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn prolong_gaps(&self, file: i64) -> Result<(), Error> {
        self.db()
            .prepare_cached(
                "UPDATE gap SET noticed_us = max(noticed_us, ?2), to_us =
                   (SELECT min(stretch.from_us) FROM stretch WHERE stretch.source = gap.source
                      AND stretch.file <> gap.file AND stretch.from_us >= gap.from_us)
                 WHERE file = ?1",
            )
            .and_then(|mut update| update.execute([file, self.keeping.now]))
            .map_err(self.failed())?;
        Ok(())
    }

    /// Notes that one file goes on where another ends: both are pieces of one log.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn adjoin(&self, file: i64, before: i64) -> Result<(), Error> {
        self.db()
            .prepare_cached("INSERT OR IGNORE INTO adjoin VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute([file, before]))
            .map_err(self.failed())?;
        Ok(())
    }

    /// Notes that a file is gone, so that this is told once.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn gone(&self, key: i64) -> Result<(), Error> {
        self.db()
            .prepare_cached("UPDATE file SET gone = 1 WHERE id = ?1")
            .and_then(|mut update| update.execute([key]))
            .map_err(self.failed())?;
        Ok(())
    }

    /// Notes that a file that was gone is there again: what was read of it since is missing no more.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn found_again(&self, key: i64) -> Result<(), Error> {
        let change = |sql: &str| self.db().prepare_cached(sql)?.execute([key]);
        change("UPDATE file SET gone = 0 WHERE id = ?1")
            .and_then(|_| {
                change(
                    "UPDATE gap SET from_us = coalesce(max(gap.from_us, file.newest_us),
                       file.newest_us, gap.from_us), from_byte = max(from_byte, file.offset)
                     FROM file WHERE file.id = gap.file AND gap.file = ?1",
                )
            })
            .and_then(|_| change("DELETE FROM gap WHERE file = ?1 AND from_us >= to_us"))
            .map_err(self.failed())?;
        Ok(())
    }

    /// The newest record's time of a source, in microseconds UTC; `None` where nothing was read of it.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn newest(&self, source: i64) -> Result<Option<i64>, Error> {
        self.db()
            .prepare_cached("SELECT max(newest_us) FROM progress WHERE source = ?1")
            .and_then(|mut query| query.query_row([source], |row| row.get(0)))
            .map_err(self.failed())
    }
}

/// Per line of a head: its end (2 bytes, little-endian), then its hash (8 bytes).
fn encode_lines(lines: &[LineEnd]) -> Vec<u8> {
    lines.iter().flat_map(|(end, hash)| end.to_le_bytes().into_iter().chain(*hash)).collect()
}

fn decode_lines(bytes: &[u8]) -> Vec<LineEnd> {
    bytes
        .chunks_exact(10)
        .filter_map(|line| {
            let (end, hash) = line.split_at(2);
            Some((u16::from_le_bytes(end.try_into().ok()?), hash.try_into().ok()?))
        })
        .collect()
}
