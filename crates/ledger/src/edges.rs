//! The ends of what was read, in the ledger: logins that wait to be settled, and the records by which what
//! is read next judges them.
//!
//! # Invariants
//! * A login, or another sign of a session, is in `tally`, in `unsettled` or contested: in one of them.
//! * What is read in one go or in several, in the order in which it was written, is judged alike: the last
//!   records of each source are kept and stand before those of the next batch. A piece that is read out of
//!   order is judged by itself.

use crate::batch::{Batch, Counter};
use crate::contested::{self, Contested};
use crate::doubts::Doubts;
use crate::keeping::Keeping;
use crate::pairs::{Moment, PEER_BYTES_MAX, Pairs};
use crate::settling::{Deed, Floors, Item, Known, Latest, Place, SETTLING, Stretch};
use crate::store::{Bytes, damaged, name, signed};
use crate::timeline::{self, Slot, put, take};
use formats::Peer;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the heads of a batch and the ends of those before it add up to.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) pairs: Pairs,
    pub(crate) contested: Contested,
    pub(crate) doubts: Doubts,
}

/// Judges what stands where a batch and those before it meet; keeps what is to be judged later.
pub(crate) fn settle(
    db: &Connection,
    keeping: &Keeping,
    source: i64,
    batch: &Batch,
    servers: &[i64],
) -> rusqlite::Result<Settled> {
    let mut settled = Settled::default();
    for (&server, number) in servers.iter().zip(0..) {
        let mut current = load(db, server, source, number, &mut settled.pairs)?;
        settle_server(number, batch, &mut current, &mut settled);
        let Settled { pairs, contested, doubts } = &mut settled;
        let newest: Option<i64> = db
            .prepare_cached("SELECT newest_us FROM progress WHERE server = ?1 AND source = ?2")?
            .query_row([server, source], |row| row.get(0))
            .optional()?;
        let latest = current.latest().reached().unwrap_or(i64::MIN);
        let until = newest.unwrap_or(i64::MIN).min(latest).saturating_sub(SETTLING);
        current.finish(until, &mut Counter { pairs, contested, doubts });
        pairs.settle();
        store(db, (server, source), &current, pairs)?;
        store_waiting(db, keeping, (server, source), &current, pairs)?;
    }
    go_on(db, source, batch)?;
    Ok(settled)
}

/// Judges the stretches of one server behind `current`, which then is the newest.
fn settle_server(number: u32, batch: &Batch, current: &mut Stretch, settled: &mut Settled) {
    let mut numbers: HashMap<u32, u32> = HashMap::new();
    let mut others = Vec::new();
    for (_, stretch) in batch.stretches().filter(|(of, _)| *of == number) {
        let Settled { pairs, contested, doubts } = &mut *settled;
        let mut stretch = stretch.clone();
        stretch.renumber(|pair| {
            *numbers.entry(pair).or_insert_with(|| {
                let view = batch.pairs.get(pair);
                let joined = [view.user, b",", view.host].concat();
                pairs.find_or_add(number, Peer::new(&joined, view.user.len()))
            })
        });
        let mut counter = Counter { pairs, contested, doubts };
        if stretch.follows(current) {
            current.join(stretch, &mut counter);
            continue;
        }
        let mut other = Stretch::default_behind();
        other.join(stretch, &mut counter);
        if other.latest().reached() > current.latest().reached() {
            std::mem::swap(current, &mut other);
        }
        others.push(other);
    }
    // Their logs go on elsewhere, if at all.
    others.into_iter().for_each(|other| current.adopt(other));
}

/// What waits of one pair: its logins, its newest other sign of a session, the newest of both that is
/// contradicted already.
#[derive(Default)]
struct Waiting {
    slots: Vec<Slot>,
    active: Option<i64>,
    contested: Option<i64>,
}

/// Writes what waits, summed by user and host.
fn store_waiting(
    db: &Connection,
    keeping: &Keeping,
    (server, source): (i64, i64),
    current: &Stretch,
    pairs: &Pairs,
) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM unsettled WHERE server = ?1 AND source = ?2")?
        .execute([server, source])?;
    // What is contradicted already is known to be, and becomes contested when all is read.
    let mut sums: BTreeMap<u32, Waiting> = BTreeMap::new();
    current.outlook(&mut |item, reason| {
        let at = Moment::new(item.at).utc;
        let (login, sign) = (item.deed.is_login(), item.mark.is_sign());
        if !login && !sign {
            return;
        }
        let Waiting { slots, active, contested } = sums.entry(item.pair).or_default();
        match reason {
            None if login => slots.push(Slot::at(at)),
            None => *active = (*active).max(Some(at)),
            Some(_) => *contested = (*contested).max(Some(at)),
        }
    });
    let mut insert = db.prepare_cached(
        "INSERT INTO unsettled VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let (days, gone) = (keeping.days_before(), keeping.gone_before());
    for (pair, Waiting { mut slots, active, contested }) in sums {
        let (user, host) = (Bytes(pairs.get(pair).user), Bytes(pairs.get(pair).host));
        let count = slots.len() as i64;
        let first = slots.iter().map(|slot| slot.first).min();
        let last = slots.iter().map(|slot| slot.last).max();
        let text = last.and_then(|last| keeping.kept_text(last));
        timeline::keep(&mut slots, days, gone);
        let mut hours = Vec::new();
        timeline::encode_counts(&slots, &mut hours);
        insert.execute(params![
            server, source, user, host, count, first, last, text, hours, active, contested
        ])?;
    }
    Ok(())
}

/// Writes how many logins and other signs of whom are contested.
pub(crate) fn add_contested(
    db: &Connection,
    source: i64,
    contested: &Contested,
    pairs: &Pairs,
    servers: &[i64],
) -> rusqlite::Result<()> {
    if contested.sums.is_empty() {
        return Ok(());
    }
    mark_connections(db, source, contested, pairs, servers)?;
    let mut there: i64 = db
        .prepare_cached("SELECT count(*) FROM contested WHERE source = ?1")?
        .query_row([source], |row| row.get(0))?;
    let mut update = db.prepare_cached(
        "UPDATE contested SET count = count + ?5, first_us = min(first_us, ?6),
           last_us = max(last_us, ?7)
         WHERE server = ?1 AND source = ?2 AND user = ?3 AND host = ?4",
    )?;
    let mut insert =
        db.prepare_cached("INSERT INTO contested VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (&pair, sum) in &contested.sums {
        let pair = pairs.get(pair);
        let server = servers[pair.server as usize];
        let (user, host, count) = (Bytes(pair.user), Bytes(pair.host), sum.count as i64);
        let row = params![server, source, user, host, count, sum.first, sum.last];
        if update.execute(row)? == 0 && there < contested::PAIRS_MAX as i64 {
            insert.execute(row)?;
            there += 1;
        }
    }
    Ok(())
}

/// When and as which user and host a connection began.
type Begun<'a> = (i64, &'a [u8], &'a [u8]);

/// Marks the connections of contested logins. Who they were is not known: they are shown as what refused ones
/// left. Whoever forges them may give thousands one id, so those of an id are looked through once.
fn mark_connections(
    db: &Connection,
    source: i64,
    contested: &Contested,
    pairs: &Pairs,
    servers: &[i64],
) -> rusqlite::Result<()> {
    let mut by_id: BTreeMap<(i64, u64), HashSet<Begun<'_>>> = BTreeMap::new();
    for &(pair, id, at) in contested.logins() {
        let pair = pairs.get(pair);
        let login = (at, pair.user, pair.host);
        by_id.entry((servers[pair.server as usize], id)).or_default().insert(login);
    }
    let mut select = db.prepare_cached(
        "SELECT rowid, from_us, user, host FROM connection
         WHERE server = ?1 AND source = ?2 AND id = ?3 AND from_us IS NOT NULL AND NOT refused",
    )?;
    let mut update = db.prepare_cached("UPDATE connection SET refused = 1 WHERE rowid = ?1")?;
    for ((server, id), logins) in by_id {
        let mut found: Vec<i64> = Vec::new();
        let mut rows = select.query(params![server, source, signed(id)])?;
        while let Some(row) = rows.next()? {
            let (user, host) = (name(row.get_ref(2)?), name(row.get_ref(3)?));
            if logins.contains(&(row.get(1)?, &user[..], &host[..])) {
                found.push(row.get(0)?);
            }
        }
        for row in found {
            update.execute([row])?;
        }
    }
    Ok(())
}

/// The version of `edge.records`.
const VERSION: u8 = 1;

fn load(
    db: &Connection,
    server: i64,
    source: i64,
    number: u32,
    pairs: &mut Pairs,
) -> rusqlite::Result<Stretch> {
    let found: Option<(i64, i64, Vec<u8>)> = db
        .prepare_cached("SELECT file, offset, records FROM edge WHERE server = ?1 AND source = ?2")?
        .query_row([server, source], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((file, offset, records)) = found else { return Ok(Stretch::default_behind()) };
    decode(&records, (file, offset as u64), number, pairs)
        .ok_or_else(|| damaged("the records in edge"))
}

fn store(
    db: &Connection,
    (server, source): (i64, i64),
    current: &Stretch,
    pairs: &Pairs,
) -> rusqlite::Result<()> {
    let (file, offset) = current.known().end;
    db.prepare_cached("INSERT OR REPLACE INTO edge VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![server, source, file, signed(offset), encode(current, pairs)])?;
    Ok(())
}

/// Servers that are silent in a piece of log are as far as those that it tells of.
fn go_on(db: &Connection, source: i64, batch: &Batch) -> rusqlite::Result<()> {
    let Some(((file, start), end)) = batch.one_piece() else { return Ok(()) };
    db.prepare_cached(
        "UPDATE edge SET offset = ?4 WHERE source = ?1 AND file = ?2 AND offset = ?3",
    )?
    .execute(params![source, file, signed(start), signed(end)])?;
    Ok(())
}

fn encode(current: &Stretch, pairs: &Pairs) -> Vec<u8> {
    let mut out = vec![VERSION];
    let Known { latest, floors, past, spoiled, .. } = current.known();
    put(&mut out, latest.times().len() as u64);
    latest.times().for_each(|at| put_signed(&mut out, at));
    put(&mut out, spoiled.0);
    put(&mut out, spoiled.1 as u64);
    for begun in [floors.all(), &past] {
        put(&mut out, begun.len() as u64);
        for &(at, id) in begun {
            put_signed(&mut out, at);
            put(&mut out, id);
        }
    }
    let mut names = HashMap::new();
    let context = current.context();
    let apart = current.apart().iter().copied();
    put(&mut out, context.len() as u64);
    put(&mut out, apart.len() as u64);
    let mut before = Before::default();
    for (file, item) in context.chain(apart) {
        before.put(&mut out, file, &item);
        // Each name stands where it occurs first.
        let next = names.len() as u64;
        let name = *names.entry(item.pair).or_insert(next);
        put(&mut out, name);
        if name == next {
            let pair = pairs.get(item.pair);
            for text in [pair.user, pair.host] {
                put(&mut out, text.len() as u64);
                out.extend_from_slice(text);
            }
        }
    }
    out
}

fn decode(mut bytes: &[u8], end: Place, server: u32, pairs: &mut Pairs) -> Option<Stretch> {
    let from = &mut bytes;
    if byte(from)? != VERSION {
        return None;
    }
    let mut latest = Latest::default();
    for _ in 0..take(from)? {
        latest.push(take_signed(from)?);
    }
    let spoiled = (take(from)?, take(from)? as usize);
    let mut begun = || {
        let count = take(from)?;
        (0..count).map(|_| Some((take_signed(from)?, take(from)?))).collect::<Option<Vec<_>>>()
    };
    let (floors, past) = (Floors::of(begun()?), begun()?);
    let counts = [take(from)?, take(from)?];
    let mut names: Vec<u32> = Vec::new();
    let mut before = Before::default();
    let [context, apart] = counts.map(|count| {
        let mut items = Vec::new();
        for _ in 0..count {
            let (file, item) = before.take(from)?;
            let name = usize::try_from(take(from)?).ok()?;
            if name == names.len() {
                let (user, host) = (text(from)?, text(from)?);
                let joined = [user, b",", host].concat();
                if joined.len() > PEER_BYTES_MAX {
                    return None;
                }
                names.push(pairs.find_or_add(server, Peer::new(&joined, user.len())));
            }
            items.push((file, Item { pair: *names.get(name)?, ..item }));
        }
        Some(items)
    });
    let known = Known { end, latest, floors, past, spoiled };
    Some(Stretch::behind(context?, known, apart?))
}

/// The item before: the next resembles it.
#[derive(Default)]
struct Before {
    file: i64,
    at: i64,
    id: u64,
    offset: u64,
}

impl Before {
    /// Appends all of an item but its pair.
    fn put(&mut self, out: &mut Vec<u8>, file: i64, item: &Item) {
        put_signed(out, item.at.wrapping_sub(self.at));
        put_signed(out, item.id.wrapping_sub(self.id) as i64);
        put_signed(out, file.wrapping_sub(self.file));
        put_signed(out, item.offset.wrapping_sub(self.offset) as i64);
        put(out, item.bytes.into());
        out.push(item.deed as u8);
        put(out, item.mark.0.into());
        put(out, item.name.into());
        out.push(item.spare);
        if item.deed == Deed::Statement {
            put(out, item.link.into());
        }
        *self = Before { file, at: item.at, id: item.id, offset: item.offset };
    }

    fn take(&mut self, from: &mut &[u8]) -> Option<(i64, Item)> {
        self.at = self.at.wrapping_add(take_signed(from)?);
        self.id = self.id.wrapping_add(take_signed(from)? as u64);
        self.file = self.file.wrapping_add(take_signed(from)?);
        self.offset = self.offset.wrapping_add(take_signed(from)? as u64);
        let bytes = u16::try_from(take(from)?).ok()?;
        let deed = *Deed::ALL.get(usize::from(byte(from)?))?;
        let mark = u16::try_from(take(from)?).ok()?;
        let name = u16::try_from(take(from)?).ok()?;
        let spare = byte(from)?;
        let link = if deed == Deed::Statement { take(from)? as u32 } else { 0 };
        let item = Item {
            offset: self.offset,
            bytes,
            link,
            name,
            spare,
            ..Item::new(self.at, self.id, 0, deed, mark)
        };
        Some((self.file, item))
    }
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, (value << 1 ^ value >> 63) as u64);
}

fn take_signed(from: &mut &[u8]) -> Option<i64> {
    let value = take(from)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

fn byte(from: &mut &[u8]) -> Option<u8> {
    let (&byte, rest) = from.split_first()?;
    *from = rest;
    Some(byte)
}

fn text<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let bytes = usize::try_from(take(from)?).ok()?;
    let (text, rest) = from.split_at_checked(bytes)?;
    *from = rest;
    Some(text)
}
