//! Refusals of users who never logged in: kept by name up to a bound per server and hour, counted
//! together beyond it, so that whoever tries random names cannot fill the ledger.
//!
//! A user and host pair that has logged in (from the same source) is known: its refusals stand in
//! `tally`, in full. All others are strangers, and their refusals stand in one row per hour:
//!
//! ```text
//! entries: version 1 | per pair and error: varint user bytes, user, varint host bytes, host, varint error,
//!                    | varint count, varint first - hour, varint last - first      (microseconds)
//! ```
//!
//! # Invariants
//! * Of the strangers of an hour those with the lowest fingerprints keep their names, whatever the
//!   order in which they come; the others are counted in the row's own columns.
//! * A stranger who logs in becomes known: its entries move to `tally`. (Of an hour with more strangers
//!   than are kept, one that was counted without its name cannot be taken back.)

use crate::clock::HOUR;
use crate::ingest::{Keeping, Sums, UPSERT_TALLY, stored_error};
use crate::pairs::Pairs;
use crate::store::{Bytes, name};
use crate::timeline::{self, Slot, put, take};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};

const VERSION: u8 = 1;

/// One hour's refusals of a pair in a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) server: i64,
    pub(crate) pair: u32,
    pub(crate) error: u32,
    pub(crate) slot: Slot,
}

/// Who was refused, in the order in which names are kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stranger {
    print: u64,
    pub(crate) user: Vec<u8>,
    pub(crate) host: Vec<u8>,
}

impl Stranger {
    fn new(user: &[u8], host: &[u8]) -> Self {
        let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
        hasher.write_usize(user.len());
        hasher.write(user);
        hasher.write(host);
        Stranger { print: hasher.finish(), user: user.to_vec(), host: host.to_vec() }
    }
}

/// The strangers of one hour by name, each with its refusals by error number.
type Named = BTreeMap<Stranger, BTreeMap<u32, Slot>>;

/// One hour of one server and source.
#[derive(Debug, Default)]
struct Hour {
    named: Named,
    pairs: u64,
    unnamed: Option<Slot>,
}

impl Hour {
    fn add(&mut self, stranger: Stranger, error: u32, slot: Slot) {
        let slots = self.named.entry(stranger).or_default();
        slots.entry(error).and_modify(|known| *known = united(*known, slot)).or_insert(slot);
    }

    /// Takes away the names beyond the bound.
    fn fold(&mut self, keep: usize) {
        while self.named.len() > keep {
            let Some((_, slots)) = self.named.pop_last() else { break };
            self.pairs += 1;
            for slot in slots.into_values() {
                self.unnamed = Some(self.unnamed.map_or(slot, |known| united(known, slot)));
            }
        }
    }
}

fn united(a: Slot, b: Slot) -> Slot {
    Slot { count: a.count + b.count, first: a.first.min(b.first), last: a.last.max(b.last), ..a }
}

/// Adds the refusals of a batch: those of known pairs to `tally`, the others by the hour.
pub(crate) fn add(
    db: &Connection,
    keeping: &Keeping,
    source: i64,
    pairs: &Pairs,
    refusals: Vec<Refusal>,
) -> rusqlite::Result<()> {
    let mut known: HashMap<(i64, u32), bool> = HashMap::new();
    let mut tallies: BTreeMap<(i64, u32, u32), Vec<Slot>> = BTreeMap::new();
    let mut hours: BTreeMap<(i64, i64), Vec<Refusal>> = BTreeMap::new();
    for refusal in refusals {
        let is_known = match known.get(&(refusal.server, refusal.pair)) {
            Some(&is_known) => is_known,
            None => {
                let pair = pairs.get(refusal.pair);
                let is_known = is_known(db, refusal.server, source, pair.user, pair.host)?;
                known.insert((refusal.server, refusal.pair), is_known);
                is_known
            }
        };
        if is_known {
            let key = (refusal.server, refusal.pair, refusal.error);
            tallies.entry(key).or_default().push(refusal.slot);
        } else {
            hours.entry((refusal.server, refusal.slot.start)).or_default().push(refusal);
        }
    }
    for ((server, pair, error), mut slots) in tallies {
        let pair = pairs.get(pair);
        add_tally(db, keeping, server, source, (pair.user, pair.host), error, &mut slots)?;
    }
    for ((server, start), refusals) in hours {
        let mut hour = load(db, server, source, start)?;
        for refusal in refusals {
            let pair = pairs.get(refusal.pair);
            hour.add(Stranger::new(pair.user, pair.host), refusal.error, refusal.slot);
            // Not after each: taking one name away and another in costs the same as many.
            if hour.named.len() > 2 * keeping.strangers_per_hour + 64 {
                hour.fold(keeping.strangers_per_hour);
            }
        }
        hour.fold(keeping.strangers_per_hour);
        store(db, server, source, start, &hour)?;
    }
    Ok(())
}

/// Whether a pair has logged in as this source shows it.
pub(crate) fn is_known(
    db: &Connection,
    server: i64,
    source: i64,
    user: &[u8],
    host: &[u8],
) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM tally WHERE server = ?1 AND source = ?2 AND user = ?3
           AND host = ?4 AND error = 0 AND last_us IS NOT NULL)",
    )?
    .query_row(params![server, source, Bytes(user), Bytes(host)], |row| row.get(0))
}

/// A pair logs in for the first time: moves its entries to `tally`.
pub(crate) fn welcome(
    db: &Connection,
    keeping: &Keeping,
    server: i64,
    source: i64,
    user: &[u8],
    host: &[u8],
) -> rusqlite::Result<()> {
    let stranger = Stranger::new(user, host);
    let starts = db
        .prepare_cached("SELECT hour_us FROM stranger WHERE server = ?1 AND source = ?2")?
        .query_map([server, source], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut found: BTreeMap<u32, Vec<Slot>> = BTreeMap::new();
    for start in starts {
        let mut hour = load(db, server, source, start)?;
        if let Some(slots) = hour.named.remove(&stranger) {
            for (error, slot) in slots {
                found.entry(error).or_default().push(slot);
            }
            store(db, server, source, start, &hour)?;
        }
    }
    for (error, mut slots) in found {
        add_tally(db, keeping, server, source, (user, host), error, &mut slots)?;
    }
    Ok(())
}

fn add_tally(
    db: &Connection,
    keeping: &Keeping,
    server: i64,
    source: i64,
    (user, host): (&[u8], &[u8]),
    error: u32,
    slots: &mut Vec<Slot>,
) -> rusqlite::Result<()> {
    let (days, gone) = (keeping.days_before(), keeping.gone_before());
    let sums = Sums::of(slots);
    timeline::normalize(slots, days);
    slots.retain(|slot| slot.end() > gone);
    let mut hours = Vec::new();
    timeline::encode(slots, &mut hours);
    db.prepare_cached(UPSERT_TALLY)?.execute(params![
        server,
        source,
        Bytes(user),
        Bytes(host),
        stored_error(error),
        sums.count as i64,
        sums.first,
        sums.last,
        None::<i64>,
        None::<String>,
        hours,
        days,
        gone
    ])?;
    Ok(())
}

fn load(db: &Connection, server: i64, source: i64, start: i64) -> rusqlite::Result<Hour> {
    let row = db
        .prepare_cached(
            "SELECT pairs, count, first_us, last_us, entries FROM stranger
             WHERE server = ?1 AND source = ?2 AND hour_us = ?3",
        )?
        .query_row([server, source, start], |row| {
            let entries: Vec<u8> = row.get(4)?;
            Ok((row.get::<_, i64>(0)?, unnamed(row, start)?, entries))
        })
        .optional()?;
    let Some((pairs, unnamed, entries)) = row else { return Ok(Hour::default()) };
    let mut named = Named::new();
    decode(&entries, start, |user, host, error, slot| {
        named.entry(Stranger::new(user, host)).or_default().insert(error, slot);
    })
    .ok_or_else(damaged)?;
    Ok(Hour { named, pairs: pairs as u64, unnamed })
}

fn unnamed(row: &rusqlite::Row<'_>, start: i64) -> rusqlite::Result<Option<Slot>> {
    let count: i64 = row.get(1)?;
    let (first, last) = (row.get(2)?, row.get(3)?);
    Ok((count > 0).then_some(Slot { start, day: false, count: count as u64, first, last }))
}

fn damaged() -> rusqlite::Error {
    rusqlite::Error::UserFunctionError("a row of stranger is damaged".into())
}

fn store(
    db: &Connection,
    server: i64,
    source: i64,
    start: i64,
    hour: &Hour,
) -> rusqlite::Result<()> {
    if hour.named.is_empty() && hour.unnamed.is_none() {
        db.prepare_cached(
            "DELETE FROM stranger WHERE server = ?1 AND source = ?2 AND hour_us = ?3",
        )?
        .execute([server, source, start])?;
        return Ok(());
    }
    let mut entries = vec![VERSION];
    for (stranger, slots) in &hour.named {
        for (&error, slot) in slots {
            for text in [&stranger.user, &stranger.host] {
                put(&mut entries, text.len() as u64);
                entries.extend_from_slice(text);
            }
            put(&mut entries, u64::from(error));
            put(&mut entries, slot.count);
            put(&mut entries, (slot.first - start) as u64);
            put(&mut entries, (slot.last - slot.first) as u64);
        }
    }
    let unnamed = hour.unnamed.unwrap_or(Slot { start, day: false, count: 0, first: 0, last: 0 });
    db.prepare_cached("INSERT OR REPLACE INTO stranger VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
        server,
        source,
        start,
        hour.pairs as i64,
        unnamed.count as i64,
        unnamed.first,
        unnamed.last,
        entries
    ])?;
    Ok(())
}

/// Calls `each` with user, host, error and slot of every entry; `None` where they are damaged.
fn decode(
    mut bytes: &[u8],
    start: i64,
    mut each: impl FnMut(&[u8], &[u8], u32, Slot),
) -> Option<()> {
    let (&version, rest) = bytes.split_first()?;
    if version != VERSION {
        return None;
    }
    bytes = rest;
    let text = |bytes: &mut &[u8]| {
        let length = usize::try_from(take(bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(text.to_vec())
    };
    while !bytes.is_empty() {
        let (user, host) = (text(&mut bytes)?, text(&mut bytes)?);
        let error = u32::try_from(take(&mut bytes)?).ok()?;
        let count = take(&mut bytes)?;
        let (first, lasted) = (take(&mut bytes)?, take(&mut bytes)?);
        if count == 0 || first.checked_add(lasted)? >= HOUR as u64 {
            return None;
        }
        let first = start + first as i64;
        let slot = Slot { start, day: false, count, first, last: first + lasted as i64 };
        each(&user, &host, error, slot);
    }
    Some(())
}

/// One row of the table, for answers.
#[derive(Debug)]
pub(crate) struct StrangerHour {
    pub(crate) server: i64,
    pub(crate) source: i64,
    /// User, host, error number, when.
    pub(crate) named: Vec<(Vec<u8>, Vec<u8>, u32, Slot)>,
    /// How many pairs are counted without their names, and their refusals.
    pub(crate) unnamed: Option<(u64, Slot)>,
}

/// Reads the hours that overlap `[since, until)`.
pub(crate) fn read(
    db: &Connection,
    since: i64,
    until: i64,
    mut each: impl FnMut(StrangerHour),
) -> rusqlite::Result<()> {
    let mut query = db.prepare_cached(
        "SELECT pairs, count, first_us, last_us, server, source, hour_us, entries FROM stranger
         WHERE hour_us > ?1 - 3600000000 AND hour_us < ?2 ORDER BY server, source, hour_us",
    )?;
    let mut rows = query.query([since.max(0), until])?;
    while let Some(row) = rows.next()? {
        let start: i64 = row.get(6)?;
        let entries = name(row.get_ref(7)?);
        let mut named = Vec::new();
        decode(&entries, start, |user, host, error, slot| {
            named.push((user.to_vec(), host.to_vec(), error, slot));
        })
        .ok_or_else(damaged)?;
        let pairs = row.get::<_, i64>(0)? as u64;
        each(StrangerHour {
            server: row.get(4)?,
            source: row.get(5)?,
            named,
            unnamed: unnamed(row, start)?.map(|slot| (pairs, slot)),
        });
    }
    Ok(())
}

/// Takes the names from hours before `days`, and forgets those before `gone`.
pub(crate) fn prune(db: &Connection, days: i64, gone: i64) -> rusqlite::Result<()> {
    db.execute("DELETE FROM stranger WHERE hour_us < ?1", [gone])?;
    let old = db
        .prepare("SELECT server, source, hour_us FROM stranger WHERE hour_us < ?1 AND length(entries) > 1")?
        .query_map([days], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<Vec<(i64, i64, i64)>>>()?;
    for (server, source, start) in old {
        let mut hour = load(db, server, source, start)?;
        hour.fold(0);
        store(db, server, source, start, &hour)?;
    }
    Ok(())
}
