//! Holes in the ledger, and what the ends of pieces of logs tell of them.
//!
//! # Invariants
//! * Which holes there are does not depend on the order in which pieces came: those of a file are settled
//!   again with each piece of it, before and behind.
//! * They are kept as long as what is covered is: without them it would seem covered again.

use crate::batch::Batch;
use crate::error::Error;
use crate::holes::{ANY, HOLES_MAX, Hole, Place, Rest, Segment, Why, settle, trim};
use crate::id_ends::IdEnds;
use crate::missing::KnownHole;
use crate::numbers::{Numbered, Numbers};
use crate::rows::{Evidence, EvidenceState, Name};
use crate::store::{Ledger, damaged, name};
use rusqlite::{Connection, Row, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A server's number in the ledger; 0 stands for all of a source.
fn stored(server: u32, servers: &[i64]) -> i64 {
    servers.get(server as usize).copied().unwrap_or(0)
}

/// The same in memory, where [`ANY`] stands for all.
fn number(stored: i64) -> u32 {
    u32::try_from(stored).ok().filter(|&it| it != 0).unwrap_or(ANY)
}

/// A number in memory as it is stored.
fn back(number: u32) -> i64 {
    if number == ANY { 0 } else { number.into() }
}

/// Adds the holes of a batch, and the ends of its pieces.
pub(crate) fn add(
    db: &Connection,
    source: i64,
    batch: &Batch,
    servers: &[i64],
) -> rusqlite::Result<()> {
    let (mut segments, mut holes, rest) = batch.holes();
    segments.iter_mut().for_each(|it| it.server = number(stored(it.server, servers)));
    holes.iter_mut().for_each(|it| it.server = number(stored(it.server, servers)));
    let mut files: BTreeMap<i64, (Vec<Segment>, Vec<Hole>)> = BTreeMap::new();
    for segment in segments {
        files.entry(segment.file).or_default().0.push(segment);
    }
    for hole in holes {
        files.entry(hole.file).or_default().1.push(hole);
    }
    for (file, (mut segments, mut holes)) in files {
        take_out(db, source, file, &mut segments, &mut holes)?;
        settle(&mut holes, &mut segments);
        put_back(db, source, file, &segments, &holes)?;
    }
    for (server, rest) in rest {
        add_rest(db, source, stored(server, servers), rest)?;
    }
    bound(db, source)
}

/// Adds what the ledger knows of a file and may change: it is put back when it is settled.
fn take_out(
    db: &Connection,
    source: i64,
    file: i64,
    segments: &mut Vec<Segment>,
    holes: &mut Vec<Hole>,
) -> rusqlite::Result<()> {
    let begins = segments.iter().map(|it| it.from).min().unwrap_or(0);
    let known = db
        .prepare_cached(
            "SELECT segment.server, segment.from_byte, to_byte, segment.first_byte, segment.first_us,
               login_byte, login_us, segment.last_us, ids, series.first_byte, series.first_us,
               first_line, first_lost, first_thread, last_byte, series.last_us, last_line, last_lost,
               last_thread
             FROM segment LEFT JOIN segment_ids USING (file, server, from_byte)
               LEFT JOIN series USING (file, server, from_byte)
             WHERE segment.file = ?1",
        )?
        .query_map([file], |row| {
            Ok(Segment {
                file,
                server: number(row.get(0)?),
                from: unsigned(row, 1)?,
                to: unsigned(row, 2)?,
                first: Place { byte: unsigned(row, 3)?, at: row.get(4)? },
                login: place(row, 5)?,
                last: row.get(7)?,
                ids: ids(row, 8)?.map(Box::new),
                numbers: numbers(row, 9)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<Segment>>>()?;
    segments.extend(known);
    let which = "file = ?1 AND source = ?2
      AND (before_us IS NULL OR behind_us IS NULL OR behind_byte >= ?3)";
    let known = db
        .prepare_cached(&format!("SELECT {COLUMNS} FROM hole WHERE {which}"))?
        .query_map(params![file, source, begins as i64], hole)?
        .collect::<rusqlite::Result<Vec<Hole>>>()?;
    if !known.is_empty() {
        db.prepare_cached(&format!("DELETE FROM hole WHERE {which}"))?.execute(params![
            file,
            source,
            begins as i64
        ])?;
    }
    holes.extend(known);
    Ok(())
}

fn put_back(
    db: &Connection,
    source: i64,
    file: i64,
    segments: &[Segment],
    holes: &[Hole],
) -> rusqlite::Result<()> {
    for table in ["segment", "segment_ids", "series"] {
        db.prepare_cached(&format!("DELETE FROM {table} WHERE file = ?1"))?.execute([file])?;
    }
    put_numbers(db, file, segments)?;
    let mut insert = db.prepare_cached(
        "INSERT INTO segment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET to_byte = max(to_byte, excluded.to_byte)",
    )?;
    for it in segments {
        insert.execute(params![
            file,
            back(it.server),
            it.from as i64,
            it.to as i64,
            it.first.byte as i64,
            it.first.at,
            it.login.map(|place| place.byte as i64),
            it.login.map(|place| place.at),
            it.last
        ])?;
    }
    let mut insert =
        db.prepare_cached("INSERT OR REPLACE INTO segment_ids VALUES (?1, ?2, ?3, ?4)")?;
    for it in segments {
        if let Some(ids) = &it.ids {
            insert.execute(params![file, back(it.server), it.from as i64, ids.encode()])?;
        }
    }
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO hole VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for it in holes {
        insert.execute(params![
            source,
            back(it.server),
            file,
            it.byte as i64,
            it.why.code(),
            it.by,
            it.detail,
            it.before.map(|place| place.byte as i64),
            it.before.map(|place| place.at),
            it.behind.map(|place| place.byte as i64),
            it.behind.map(|place| place.at)
        ])?;
    }
    Ok(())
}

fn put_numbers(db: &Connection, file: i64, segments: &[Segment]) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO series
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for it in segments {
        let Some(Numbers { first, last }) = it.numbers else { continue };
        insert.execute(params![
            file,
            back(it.server),
            it.from as i64,
            first.place.byte as i64,
            first.place.at,
            first.line as i64,
            first.lost as i64,
            first.connection as i64,
            last.place.byte as i64,
            last.place.at,
            last.line as i64,
            last.lost as i64,
            last.connection as i64
        ])?;
    }
    Ok(())
}

/// Keeps the number of holes of a source within its bound.
fn bound(db: &Connection, source: i64) -> rusqlite::Result<()> {
    let many = db
        .prepare_cached(
            "SELECT server FROM hole WHERE source = ?1 GROUP BY server HAVING count(*) > ?2",
        )?
        .query_map(params![source, HOLES_MAX as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    for server in many {
        let mut holes = db
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM hole WHERE source = ?1 AND server = ?2"
            ))?
            .query_map([source, server], hole)?
            .collect::<rusqlite::Result<Vec<Hole>>>()?;
        let all = holes.clone();
        for rest in trim(&mut holes).into_values() {
            add_rest(db, source, server, rest)?;
        }
        let mut delete = db.prepare_cached(
            "DELETE FROM hole
             WHERE source = ?1 AND server = ?2 AND file = ?3 AND byte = ?4 AND why = ?5",
        )?;
        let kept: BTreeSet<_> = holes.iter().map(|it| (it.file, it.byte, it.why.code())).collect();
        for it in all.iter().filter(|it| !kept.contains(&(it.file, it.byte, it.why.code()))) {
            delete.execute(params![source, server, it.file, it.byte as i64, it.why.code()])?;
        }
    }
    Ok(())
}

fn add_rest(db: &Connection, source: i64, server: i64, rest: Rest) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO hole_rest VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
           count = count + excluded.count, from_us = min(from_us, excluded.from_us),
           to_us = max(to_us, excluded.to_us)",
    )?
    .execute(params![source, server, rest.count as i64, rest.from, rest.to])?;
    Ok(())
}

impl Ledger {
    /// All holes.
    pub(crate) fn holes(&self) -> Result<Vec<KnownHole>, Error> {
        self.rows(
            &format!(
                "SELECT {COLUMNS}, server.name, hole.source, location, dialect, path
                 FROM hole JOIN source ON source.id = hole.source JOIN file ON file.id = hole.file
                 LEFT JOIN server ON server.id = hole.server"
            ),
            |row| {
                let hole = hole(row)?;
                Ok(KnownHole {
                    server: (hole.server != ANY).then_some(name(row.get_ref(10)?)),
                    hole,
                    source: row.get(11)?,
                    location: name(row.get_ref(12)?),
                    dialect: row.get(13)?,
                    path: name(row.get_ref(14)?),
                })
            },
        )
    }

    /// The connections of each server in each file, by the file's number.
    pub(crate) fn id_ends(&self) -> Result<BTreeMap<(i64, Name), IdEnds>, Error> {
        let rows = self.rows(
            "SELECT file, server.name, ids FROM segment_ids JOIN server ON server.id = server
             ORDER BY file, server, from_byte",
            |row| Ok((row.get::<_, i64>(0)?, name(row.get_ref(1)?), ids(row, 2)?)),
        )?;
        let mut ends: BTreeMap<(i64, Name), IdEnds> = BTreeMap::new();
        for (file, server, ids) in rows {
            ends.entry((file, server)).or_default().join(&ids.unwrap_or_default());
        }
        Ok(ends)
    }

    /// The numbers of the first and the last line of each file, by file and server.
    pub(crate) fn numbers(&self) -> Result<HashMap<(i64, Vec<u8>), Numbers>, Error> {
        let pieces = self.rows(
            "SELECT file, server.name, first_byte, first_us, first_line, first_lost, first_thread,
               last_byte, last_us, last_line, last_lost, last_thread
             FROM series JOIN server ON server.id = series.server ORDER BY file, from_byte",
            |row| Ok(((row.get::<_, i64>(0)?, name(row.get_ref(1)?)), numbers(row, 2)?)),
        )?;
        let mut files: HashMap<(i64, Vec<u8>), Numbers> = HashMap::new();
        for (file, piece) in pieces.into_iter().filter_map(|(file, it)| Some((file, it?))) {
            files.entry(file).and_modify(|it| it.last = piece.last).or_insert(piece);
        }
        Ok(files)
    }

    /// What is told of holes that are not kept.
    pub(crate) fn hole_rests(&self) -> Result<Vec<Evidence>, Error> {
        self.rows(
            "SELECT coalesce(server.name, source.label), location, count, from_us, to_us,
               (SELECT min(behind_us - before_us) FROM hole
                WHERE hole.source = source.id AND hole.server = hole_rest.server)
             FROM hole_rest JOIN source ON source.id = hole_rest.source
             LEFT JOIN server ON server.id = hole_rest.server",
            |row| {
                let longest = row.get::<_, Option<i64>>(5)?.unwrap_or(0) / 1_000_000;
                let time = |column| {
                    let at = row.get::<_, i64>(column)?;
                    Ok::<_, rusqlite::Error>(jiff::Timestamp::from_microsecond(at).unwrap_or_default())
                };
                Ok(Evidence {
                    server: name(row.get_ref(0)?),
                    source: name(row.get_ref(1)?),
                    from: None,
                    to: None,
                    state: EvidenceState::Unconfirmed,
                    records: row.get::<_, i64>(2)? as u64,
                    reason: format!(
                        "shorter stretches than are kept one by one, of {longest} s at most, from {} to {}",
                        time(3)?,
                        time(4)?
                    ),
                })
            },
        )
    }
}

/// As [`hole`] reads them.
const COLUMNS: &str = "hole.server, hole.file, byte, why, switched_by, detail, before_byte,
  before_us, behind_byte, behind_us";

/// A row of `hole`, its columns those of [`COLUMNS`].
fn hole(row: &Row<'_>) -> rusqlite::Result<Hole> {
    Ok(Hole {
        server: number(row.get(0)?),
        file: row.get(1)?,
        byte: unsigned(row, 2)?,
        why: Why::of_code(row.get_ref(3)?.as_str()?).ok_or_else(|| damaged("why in hole"))?,
        by: name(row.get_ref(4)?),
        detail: name(row.get_ref(5)?),
        before: place(row, 6)?,
        behind: place(row, 8)?,
    })
}

fn ids(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<IdEnds>> {
    let bytes: Option<Vec<u8>> = row.get(column)?;
    let decode = |bytes: Vec<u8>| {
        IdEnds::decode(&bytes).ok_or_else(|| damaged("connection ids in segment_ids"))
    };
    bytes.map(decode).transpose()
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)? as u64)
}

/// A place in two columns, of which neither or both are NULL.
fn place(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Place>> {
    let byte: Option<i64> = row.get(column)?;
    let at: Option<i64> = row.get(column + 1)?;
    Ok(byte.zip(at).map(|(byte, at)| Place { byte: byte as u64, at }))
}

/// The first and the last line of a piece, in five columns each, of which all or none are NULL.
fn numbers(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Numbers>> {
    let numbered = |column| {
        let Some(place) = place(row, column)? else { return Ok(None) };
        let number = |column| unsigned(row, column);
        Ok::<_, rusqlite::Error>(Some(Numbered {
            place,
            line: number(column + 2)?,
            lost: number(column + 3)?,
            connection: number(column + 4)?,
        }))
    };
    let ends = numbered(column)?.zip(numbered(column + 5)?);
    Ok(ends.map(|(first, last)| Numbers { first, last }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchOptions, Filter, Keeping, LocalClock};
    use formats::{Dialect, Input, Reader};

    /// What is told of `count` switches, each a second longer than the one before, read in two pieces.
    fn told(count: usize) -> (usize, Vec<Evidence>) {
        let mut log = String::new();
        let mut at = 1_773_500_000i64;
        for i in 0..=count as i64 {
            let time = jiff::Timestamp::from_second(at).unwrap().strftime("%Y%m%d %H:%M:%S");
            let off = "2,7,QUERY,,'SET GLOBAL server_audit_logging=OFF',0";
            let last = "2,0,DISCONNECT,,,0";
            let record = if i < count as i64 { off } else { last };
            log += &format!("{time},db1,root,localhost,{record}\n");
            at += i + 1;
        }
        let mut ledger = Ledger::in_memory().unwrap();
        let ingest = ledger.ingest(Keeping::new(at * 1_000_000)).unwrap();
        let source = ingest.source(b"/log", b"", "server_audit").unwrap();
        let middle = log.len() / 2 + log[log.len() / 2..].find('\n').unwrap() + 1;
        for (offset, part) in [(0, &log[..middle]), (middle, &log[middle..])] {
            let clock = LocalClock::new(jiff::tz::TimeZone::UTC, 0);
            let options = BatchOptions { server: None, keep_connections: 0 };
            let mut batch = Batch::new(options, clock, 1);
            batch.at(offset as u64);
            Reader::new(Dialect::ServerAudit).read(part.as_bytes(), Input::Ended, &mut batch);
            batch.at((offset + part.len()) as u64);
            ingest.add(source, &batch).unwrap();
        }
        ingest.finish().unwrap();
        let kept: i64 =
            ledger.db.query_row("SELECT count(*) FROM hole", [], |row| row.get(0)).unwrap();
        let mut rests = ledger.evidence(&Filter::default()).unwrap();
        rests.retain(|row| row.from.is_none());
        (kept as usize, rests)
    }

    #[test]
    fn the_longest_holes_are_kept_and_the_others_told_of() {
        assert_eq!(told(HOLES_MAX), (HOLES_MAX, Vec::new()));
        let (kept, rests) = told(HOLES_MAX + 3);
        assert_eq!((kept, rests.len(), rests[0].records), (HOLES_MAX, 1, 3));
        let reason = "shorter stretches than are kept one by one, of 4 s at most, \
                      from 2026-03-14T14:53:20Z to 2026-03-14T14:53:26Z";
        assert_eq!(rests[0].reason, reason);
    }
}
