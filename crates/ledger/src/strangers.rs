//! Refusals of users who never logged in: kept by name up to a bound per server and hour, counted
//! together beyond it, so that whoever tries random names cannot fill the ledger.
//!
//! A user and host pair that has logged in (from the same source) is known: its refusals stand in
//! `tally`, in full. All others are strangers, and their refusals stand in one row per hour (old
//! ones: per day, with the same bound):
//!
//! ```text
//! entries: version 1 | per pair and error: varint user bytes, user, varint host bytes, host,
//!                    |   varint error, varint count,
//!                    |   varint first - start, varint last - first (microseconds)
//! prints:  the lowest 256 fingerprints of the pairs that are counted without names, 8 bytes
//!          each, little-endian, sorted: fewer are the pairs themselves, 256 tell about how many
//! ```
//!
//! # Invariants
//! * Of the strangers of an hour those with the lowest fingerprints keep their names, whatever the
//!   order in which they come; the others are counted in the row's own columns.
//! * A stranger who logs in becomes known: its entries move to `tally`. (Of an hour with more
//!   strangers than are kept, one that was counted without its name cannot be taken back.)
//! * Refusals older than counts are kept for are not stored, whoever they are of.

use crate::clock::HOUR;
use crate::keeping::Keeping;
use crate::pairs::Pairs;
use crate::store::{Bytes, damaged, name};
use crate::tally::{Row, Sums, Tallies, stored_error};
use crate::timeline::{self, DAY, Slot, put, take};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher};

const VERSION: u8 = 1;

/// One hour's refusals of a pair in a batch.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    pair: u32,
    error: u32,
    slot: Slot,
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
        hasher.write_u64(user.len() as u64);
        hasher.write(user);
        hasher.write(host);
        Stranger { print: hasher.finish(), user: user.to_vec(), host: host.to_vec() }
    }

    fn names(&self) -> (&[u8], &[u8]) {
        (&self.user, &self.host)
    }
}

/// The strangers of one hour by name, each with its refusals by error number.
type Named = BTreeMap<Stranger, BTreeMap<u32, Slot>>;

/// How many different pairs there are, without their names: the lowest fingerprints of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sketch(BTreeSet<u64>);

/// Fingerprints in a sketch: fewer are exact, as many are right to about one in 16.
const SKETCH_MAX: usize = 256;

impl Sketch {
    fn add(&mut self, print: u64) {
        // The strangers with the lowest prints keep their names: those here need another order.
        self.insert(print.wrapping_mul(0x9e37_79b9_7f4a_7c15).reverse_bits());
    }

    fn insert(&mut self, print: u64) {
        self.0.insert(print);
        if self.0.len() > SKETCH_MAX {
            self.0.pop_last();
        }
    }

    /// Unites two: how many there are in either.
    pub(crate) fn absorb(&mut self, other: Sketch) {
        other.0.into_iter().for_each(|print| self.insert(print));
    }

    /// How many there are: exact below [`SKETCH_MAX`], else about.
    pub(crate) fn count(&self) -> u64 {
        match self.0.last() {
            Some(&last) if self.0.len() == SKETCH_MAX => {
                // So many lie in this part of all possible prints.
                (((SKETCH_MAX as u128 - 1) << 64) / u128::from(last.max(1))) as u64
            }
            _ => self.0.len() as u64,
        }
    }

    fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|print| print.to_le_bytes()).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Sketch> {
        let (prints, rest) = bytes.as_chunks::<8>();
        let fits = rest.is_empty() && prints.len() <= SKETCH_MAX;
        fits.then(|| Sketch(prints.iter().map(|print| u64::from_le_bytes(*print)).collect()))
    }
}

/// The hour or day of a row: its first microsecond, and whether it is a day.
type Period = (i64, bool);

/// One hour or day of one server and source.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hour {
    named: Named,
    prints: Sketch,
    unnamed: Option<Slot>,
}

impl Hour {
    fn add(&mut self, stranger: Stranger, error: u32, slot: Slot) {
        let slots = self.named.entry(stranger).or_default();
        slots.entry(error).and_modify(|known| known.add(&slot)).or_insert(slot);
    }

    /// Takes away the names beyond the bound.
    fn fold(&mut self, keep: usize) {
        while self.named.len() > keep {
            let Some((stranger, slots)) = self.named.pop_last() else { break };
            self.prints.add(stranger.print);
            for slot in slots.into_values() {
                self.add_unnamed(slot);
            }
        }
    }

    fn add_unnamed(&mut self, slot: Slot) {
        self.unnamed = Some(self.unnamed.map_or(slot, |mut known| {
            known.add(&slot);
            known
        }));
    }

    /// Adds an hour to the day it lies in.
    fn absorb_as_day(&mut self, hour: Hour) {
        for (stranger, slots) in hour.named {
            for (error, slot) in slots {
                self.add(stranger.clone(), error, slot.as_day());
            }
        }
        self.prints.absorb(hour.prints);
        if let Some(slot) = hour.unnamed {
            self.add_unnamed(slot.as_day());
        }
    }
}

/// Adds the refusals of a batch: those of known pairs to `tally`, the others by the hour. Logins of the
/// batch are in `tally` already.
pub(crate) fn add(
    db: &Connection,
    keeping: &Keeping,
    source: i64,
    pairs: &Pairs,
    servers: &[i64],
) -> rusqlite::Result<()> {
    let mut hours: BTreeMap<(i64, Period), Vec<Refusal>> = BTreeMap::new();
    let (days, gone) = (keeping.days_before(), keeping.gone_before());
    let mut tallies = Tallies::new(db, days, gone);
    let mut slots = Vec::new();
    // The pair before, and whether it is known: those of one pair stand together.
    let mut last = None;
    for (pair, error) in pairs.refusals() {
        let view = pairs.get(pair);
        let server = servers[view.server as usize];
        let known = match last {
            Some((same, known)) if same == pair => known,
            _ => pairs.has_logins(pair) || is_known(db, server, source, view.user, view.host)?,
        };
        last = Some((pair, known));
        slots.clear();
        pairs.refusal((pair, error), &mut slots);
        for slot in &mut slots {
            *slot = slot.kept(days);
        }
        slots.retain(|slot| slot.end() > gone);
        if slots.is_empty() {
            continue;
        }
        if known {
            let names = (view.user, view.host);
            add_tally(&mut tallies, keeping, (server, source), names, error, &mut slots)?;
            continue;
        }
        for &slot in &slots {
            let refusal = Refusal { pair, error, slot };
            hours.entry((server, (slot.start, slot.day))).or_default().push(refusal);
        }
    }
    tallies.finish()?;
    for ((server, period), refusals) in hours {
        let mut hour = load(db, server, source, period)?;
        for refusal in refusals {
            let pair = pairs.get(refusal.pair);
            hour.add(Stranger::new(pair.user, pair.host), refusal.error, refusal.slot);
            // Not after each: taking one name away and another in costs the same as many.
            if hour.named.len() > 2 * keeping.strangers_per_hour + 64 {
                hour.fold(keeping.strangers_per_hour);
            }
        }
        hour.fold(keeping.strangers_per_hour);
        store(db, server, source, period, &hour)?;
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

/// Moves the entries of pairs that log in for the first time to `tally`. To be called before their
/// logins are counted.
pub(crate) fn welcome(
    db: &Connection,
    keeping: &Keeping,
    source: i64,
    pairs: &Pairs,
    servers: &[i64],
) -> rusqlite::Result<()> {
    for (&server, number) in servers.iter().zip(0..) {
        let any: bool = db
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM stranger WHERE server = ?1 AND source = ?2)",
            )?
            .query_row([server, source], |row| row.get(0))?;
        if any {
            welcome_on(db, keeping, source, pairs, (server, number))?;
        }
    }
    Ok(())
}

fn welcome_on(
    db: &Connection,
    keeping: &Keeping,
    source: i64,
    pairs: &Pairs,
    (server, number): (i64, u32),
) -> rusqlite::Result<()> {
    // By fingerprint alone: there may be many of them. That names are equal is looked at on a hit.
    let mut fresh: HashMap<u64, u32> = HashMap::new();
    for pair in pairs.numbers() {
        let view = pairs.get(pair);
        if view.server == number
            && pairs.has_logins(pair)
            && !is_known(db, server, source, view.user, view.host)?
        {
            fresh.insert(Stranger::new(view.user, view.host).print, pair);
        }
    }
    if fresh.is_empty() {
        return Ok(());
    }
    let mut found: BTreeMap<(Stranger, u32), Vec<Slot>> = BTreeMap::new();
    for period in periods(db, server, source)? {
        let mut hour = load(db, server, source, period)?;
        let stays = hour.named.len();
        hour.named.retain(|stranger, slots| {
            let hit = fresh.get(&stranger.print).map(|&pair| pairs.get(pair));
            let is_it = hit.is_some_and(|pair| (pair.user, pair.host) == stranger.names());
            if is_it {
                for (&error, &slot) in slots.iter() {
                    found.entry((stranger.clone(), error)).or_default().push(slot);
                }
            }
            !is_it
        });
        if hour.named.len() < stays {
            store(db, server, source, period, &hour)?;
        }
    }
    let mut tallies = Tallies::new(db, keeping.days_before(), keeping.gone_before());
    for ((stranger, error), slots) in &mut found {
        let place = (server, source);
        add_tally(&mut tallies, keeping, place, stranger.names(), *error, slots)?;
    }
    tallies.finish()
}

fn periods(db: &Connection, server: i64, source: i64) -> rusqlite::Result<Vec<Period>> {
    db.prepare_cached("SELECT start_us, day FROM stranger WHERE server = ?1 AND source = ?2")?
        .query_map([server, source], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Adds refusals with one error number, of a pair that is known, to `tally`.
fn add_tally<'a>(
    tallies: &mut Tallies<'a>,
    keeping: &Keeping,
    (server, source): (i64, i64),
    (user, host): (&'a [u8], &'a [u8]),
    error: u32,
    slots: &mut Vec<Slot>,
) -> rusqlite::Result<()> {
    let sums = Sums::of(slots);
    timeline::keep(slots, keeping.days_before(), keeping.gone_before());
    let mut hours = Vec::new();
    timeline::encode(slots, &mut hours);
    let error = stored_error(error);
    let row = Row { server, source, user, host, error, sums, active: None, text: None };
    tallies.add(row, &hours)
}

fn load(db: &Connection, server: i64, source: i64, period: Period) -> rusqlite::Result<Hour> {
    let hour = db
        .prepare_cached(
            "SELECT count, first_us, last_us, prints, entries FROM stranger
             WHERE server = ?1 AND source = ?2 AND start_us = ?3 AND day = ?4",
        )?
        .query_row(params![server, source, period.0, period.1], |row| hour(row, period))
        .optional()?;
    Ok(hour.unwrap_or_default())
}

/// A row, from its columns `count, first_us, last_us, prints, entries`.
fn hour(row: &rusqlite::Row<'_>, (start, day): Period) -> rusqlite::Result<Hour> {
    let count: i64 = row.get(0)?;
    let (first, last) = (row.get(1)?, row.get(2)?);
    let unnamed = (count > 0).then_some(Slot { start, day, count: count as u64, first, last });
    let blob = |column| Ok::<_, rusqlite::Error>(name(row.get_ref(column)?));
    let mut named = Named::new();
    let prints = Sketch::decode(&blob(3)?);
    let entries = decode(&blob(4)?, (start, day), |user, host, error, slot| {
        named.entry(Stranger::new(user, host)).or_default().insert(error, slot);
    });
    let (Some(prints), Some(())) = (prints, entries) else {
        return Err(damaged("a row of stranger"));
    };
    Ok(Hour { named, prints, unnamed })
}

fn store(
    db: &Connection,
    server: i64,
    source: i64,
    (start, day): Period,
    hour: &Hour,
) -> rusqlite::Result<()> {
    if hour.named.is_empty() && hour.unnamed.is_none() {
        return delete(db, server, source, (start, day));
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
    let unnamed = hour.unnamed.unwrap_or(Slot { start, day, count: 0, first: 0, last: 0 });
    db.prepare_cached(
        "INSERT OR REPLACE INTO stranger VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        server,
        source,
        start,
        day,
        hour.prints.count() as i64,
        i64::try_from(unnamed.count).unwrap_or(i64::MAX),
        unnamed.first,
        unnamed.last,
        hour.prints.encode(),
        entries
    ])?;
    Ok(())
}

fn delete(db: &Connection, server: i64, source: i64, (start, day): Period) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM stranger WHERE server = ?1 AND source = ?2 AND start_us = ?3 AND day = ?4",
    )?
    .execute(params![server, source, start, day])?;
    Ok(())
}

/// Calls `each` with user, host, error and slot of every entry; `None` where they are damaged.
fn decode(
    mut bytes: &[u8],
    (start, day): Period,
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
        let length = if day { DAY } else { HOUR };
        if count == 0 || first.checked_add(lasted)? >= length as u64 {
            return None;
        }
        let first = start.checked_add(first as i64)?;
        first.checked_add(lasted as i64)?;
        let slot = Slot { start, day, count, first, last: first + lasted as i64 };
        each(&user, &host, error, slot);
    }
    Some(())
}

/// One row of the table, for answers.
#[derive(Debug)]
pub(crate) struct StrangerHour {
    pub(crate) source: i64,
    /// User, host, error number, when.
    pub(crate) named: Vec<(Vec<u8>, Vec<u8>, u32, Slot)>,
    /// Which pairs are counted without their names, and their refusals.
    pub(crate) unnamed: Option<(Sketch, Slot)>,
}

/// Reads the hours and days of a server that overlap `[since, until)`.
pub(crate) fn read(
    db: &Connection,
    server: i64,
    (since, until): (i64, i64),
    mut each: impl FnMut(StrangerHour),
) -> rusqlite::Result<()> {
    let mut query = db.prepare_cached(
        "SELECT count, first_us, last_us, prints, entries, source, start_us, day FROM stranger
         WHERE start_us > ?1 - CASE WHEN day THEN 86400000000 ELSE 3600000000 END AND start_us < ?2
           AND server = ?3
         ORDER BY source, start_us",
    )?;
    let mut rows = query.query([since.max(0), until, server])?;
    while let Some(row) = rows.next()? {
        let Hour { named, prints, unnamed } = hour(row, (row.get(6)?, row.get(7)?))?;
        let named = named.into_iter().flat_map(|(Stranger { user, host, .. }, slots)| {
            slots.into_iter().map(move |(error, slot)| (user.clone(), host.clone(), error, slot))
        });
        each(StrangerHour {
            source: row.get(5)?,
            named: named.collect(),
            unnamed: unnamed.map(|slot| (prints, slot)),
        });
    }
    Ok(())
}

/// Unites the hours of old days, and forgets what is kept no longer.
pub(crate) fn prune(db: &Connection, keeping: &Keeping) -> rusqlite::Result<()> {
    let (days, gone) = (keeping.days_before(), keeping.gone_before());
    db.execute(
        "DELETE FROM stranger
         WHERE start_us + CASE WHEN day THEN 86400000000 ELSE 3600000000 END <= ?1",
        [gone],
    )?;
    let old = db
        .prepare("SELECT server, source, start_us FROM stranger WHERE start_us < ?1 AND NOT day")?
        .query_map([days], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<Vec<(i64, i64, i64)>>>()?;
    for (server, source, start) in old {
        let day = timeline::day_of(start);
        let hour = load(db, server, source, (start, false))?;
        let mut whole = load(db, server, source, (day, true))?;
        whole.absorb_as_day(hour);
        whole.fold(keeping.strangers_per_hour);
        delete(db, server, source, (start, false))?;
        store(db, server, source, (day, true), &whole)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_pairs_are_counted_exactly_and_many_about() {
        let filled = |count: u64| {
            let mut sketch = Sketch::default();
            for i in 0..count {
                let print = Stranger::new(format!("user{i}").as_bytes(), b"h").print;
                sketch.add(print);
                sketch.add(print);
            }
            sketch
        };
        for exact in [0, 1, SKETCH_MAX as u64 - 1] {
            assert_eq!(filled(exact).count(), exact);
        }
        for about in [SKETCH_MAX as u64, SKETCH_MAX as u64 + 1, 20_000] {
            let counted = filled(about).count();
            assert!(counted.abs_diff(about) < about / 5, "{counted} for {about}");
        }
    }

    #[test]
    fn sketches_are_bounded_and_read_back() {
        let mut sketch = Sketch::default();
        (0..10_000).for_each(|print| sketch.add(print));
        let bytes = sketch.encode();
        assert_eq!(bytes.len(), 8 * SKETCH_MAX);
        assert_eq!(Sketch::decode(&bytes), Some(sketch));
        assert_eq!(Sketch::decode(&bytes[1..]), None);
        assert_eq!(Sketch::decode(&vec![0; 8 * SKETCH_MAX + 8]), None);
    }

    fn refusals() -> impl Strategy<Value = Vec<(u8, u32, i64)>> {
        prop::collection::vec((0..12u8, 1040..1046u32, 0..HOUR), 0..60)
    }

    fn filled(refusals: &[(u8, u32, i64)], keep: usize) -> Hour {
        let mut hour = Hour::default();
        for &(user, error, at) in refusals {
            hour.add(Stranger::new(&[b'a' + user], b"h"), error, Slot::at(at));
        }
        hour.fold(keep);
        hour
    }

    proptest! {
        #[test]
        fn who_keeps_a_name_does_not_depend_on_order(
            a in refusals(), b in refusals(), keep in 0..8usize
        ) {
            let mut whole = filled(&[a.clone(), b.clone()].concat(), keep);
            whole.fold(keep);
            let mut parts = filled(&a, keep);
            for (user, error, at) in b {
                parts.add(Stranger::new(&[b'a' + user], b"h"), error, Slot::at(at));
            }
            parts.fold(keep);
            prop_assert_eq!(&whole.named, &parts.named);
            prop_assert_eq!(whole, parts);
        }

        #[test]
        fn a_day_of_hours_is_as_if_counted_by_the_day(
            a in refusals(), b in refusals(), keep in 0..8usize
        ) {
            let mut day = Hour::default();
            for half in [&a, &b] {
                day.absorb_as_day(filled(half, keep));
                day.fold(keep);
            }
            let mut whole = Hour::default();
            whole.absorb_as_day(filled(&[a, b].concat(), usize::MAX));
            whole.fold(keep);
            prop_assert_eq!(whole, day);
        }

        #[test]
        fn damage_is_told_and_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..80), start: i64
        ) {
            let _ = decode(&bytes, (start, false), |_, _, _, _| {});
            let mut bytes = bytes;
            bytes.insert(0, VERSION);
            let _ = decode(&bytes, (start, true), |_, _, _, _| {});
        }
    }
}
