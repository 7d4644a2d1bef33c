//! The ends of what was read, in the ledger: logins that wait to be settled, and the records by which what
//! is read next judges them.
//!
//! # Invariants
//! * A login is in `tally`, in `unsettled` or contested: in one of them.
//! * What is read in one go or in several, in the order in which it was written, is judged alike: the last
//!   records of each source are kept and stand before those of the next batch. A piece that is read out of
//!   order is judged by itself.

use crate::batch::Batch;
use crate::contested::{self, Contested};
use crate::doubts::Doubts;
use crate::keeping::Keeping;
use crate::pairs::{Moment, Pairs};
use crate::settling::{Deed, Item, Judge, Known, Mark, SETTLING};
use crate::store::{Bytes, damaged};
use crate::timeline::{self, Slot, put, take};
use formats::Peer;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, HashMap};

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
        let Settled { pairs, contested, doubts } = &mut settled;
        let mut current = load(db, server, source, number, pairs)?;
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        let mut others = Vec::new();
        let mut goes_on = false;
        for (_, stretch) in batch.stretches().filter(|(of, _)| *of == number) {
            let stretch = stretch.renumbered(|pair| {
                *numbers.entry(pair).or_insert_with(|| {
                    let view = batch.pairs.get(pair);
                    let joined = [view.user, b",", view.host].concat();
                    pairs.find_or_add(number, Peer::new(&joined, view.user.len()))
                })
            });
            let tell = |item: &Item, reason| match reason {
                None => pairs.login(item.pair, Moment::new(item.at)),
                Some(reason) => contested.add(item, reason, pairs, doubts),
            };
            goes_on = stretch.follows(&current);
            if goes_on {
                current = stretch.join(current, tell);
            } else {
                let other = stretch.join(Judge::default(), tell);
                let newer = other.last().map(|item| item.at) > current.last().map(|item| item.at);
                others.push(if newer { std::mem::replace(&mut current, other) } else { other });
            }
        }
        let newest: Option<i64> = db
            .prepare_cached("SELECT newest_us FROM progress WHERE server = ?1 AND source = ?2")?
            .query_row([server, source], |row| row.get(0))
            .optional()?;
        let until = newest.unwrap_or(i64::MIN).saturating_sub(SETTLING);
        let latest = if goes_on { batch.latest(number) } else { i64::MAX };
        let current_until = until.min(latest.saturating_sub(SETTLING));
        let others_until = others.iter_mut().map(|judge| (judge, until));
        for (judge, until) in others_until.chain([(&mut current, current_until)]) {
            judge.finish(until, |item, reason| match reason {
                None => pairs.login(item.pair, Moment::new(item.at)),
                Some(reason) => contested.add(item, reason, pairs, doubts),
            });
        }
        for other in &others {
            current.adopt(other.waiting());
        }
        pairs.settle();
        store(db, server, source, &current, pairs)?;
        store_waiting(db, keeping, (server, source), &current, pairs)?;
    }
    Ok(settled)
}

/// Writes the logins that wait, summed by user and host.
fn store_waiting(
    db: &Connection,
    keeping: &Keeping,
    (server, source): (i64, i64),
    judge: &Judge,
    pairs: &Pairs,
) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM unsettled WHERE server = ?1 AND source = ?2")?
        .execute([server, source])?;
    // Those that are contradicted already are known to be, and become contested when all is read.
    let mut sums: BTreeMap<u32, (Vec<Slot>, Option<i64>)> = BTreeMap::new();
    judge.outlook(|item, reason| {
        let at = Moment::new(item.at).utc;
        let (slots, contested) = sums.entry(item.pair).or_default();
        match reason {
            None => slots.push(Slot::at(at)),
            Some(_) => *contested = (*contested).max(Some(at)),
        }
    });
    let mut insert = db
        .prepare_cached("INSERT INTO unsettled VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    let (days, gone) = (keeping.days_before(), keeping.gone_before());
    for (pair, (mut slots, contested)) in sums {
        let (user, host) = (Bytes(pairs.get(pair).user), Bytes(pairs.get(pair).host));
        let count = slots.len() as i64;
        let first = slots.iter().map(|slot| slot.first).min();
        let last = slots.iter().map(|slot| slot.last).max();
        let text = last.and_then(|last| keeping.kept_text(last));
        timeline::keep(&mut slots, days, gone);
        let mut hours = Vec::new();
        timeline::encode_counts(&slots, &mut hours);
        insert.execute(params![
            server, source, user, host, count, first, last, text, hours, contested
        ])?;
    }
    Ok(())
}

/// Writes how many logins of whom are contested.
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

/// The version of `edge.records`.
const VERSION: u8 = 1;

fn load(
    db: &Connection,
    server: i64,
    source: i64,
    number: u32,
    pairs: &mut Pairs,
) -> rusqlite::Result<Judge> {
    let records: Option<Vec<u8>> = db
        .prepare_cached("SELECT records FROM edge WHERE server = ?1 AND source = ?2")?
        .query_row([server, source], |row| row.get(0))
        .optional()?;
    let Some(records) = records else { return Ok(Judge::default()) };
    decode(&records, number, pairs).ok_or_else(|| damaged("the records in edge"))
}

fn store(
    db: &Connection,
    server: i64,
    source: i64,
    judge: &Judge,
    pairs: &Pairs,
) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO edge VALUES (?1, ?2, ?3)")?.execute(params![
        server,
        source,
        encode(judge, pairs)
    ])?;
    Ok(())
}

fn encode(judge: &Judge, pairs: &Pairs) -> Vec<u8> {
    let mut out = vec![VERSION];
    let Known { end: (file, offset), clock, floor, last_id } = judge.known();
    put_signed(&mut out, file);
    put(&mut out, offset);
    put_signed(&mut out, clock);
    for id in [floor, last_id] {
        put(&mut out, u64::from(id.is_some()));
        put(&mut out, id.unwrap_or(0));
    }
    let items = judge.context();
    let mut names: HashMap<u32, u64> = HashMap::new();
    let mut before = (0i64, 0u64, 0i64, 0u64);
    put(&mut out, items.len() as u64);
    for item in items {
        let (at, id, file, offset) = before;
        put_signed(&mut out, item.at.wrapping_sub(at));
        put_signed(&mut out, item.id.wrapping_sub(id) as i64);
        put_signed(&mut out, item.file.wrapping_sub(file));
        put_signed(&mut out, item.offset.wrapping_sub(offset) as i64);
        put(&mut out, item.bytes.into());
        out.extend([item.deed as u8, item.mark.0]);
        before = (item.at, item.id, item.file, item.offset);
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

fn decode(mut bytes: &[u8], server: u32, pairs: &mut Pairs) -> Option<Judge> {
    let from = &mut bytes;
    if byte(from)? != VERSION {
        return None;
    }
    let end = (take_signed(from)?, take(from)?);
    let clock = take_signed(from)?;
    let mut id = || {
        let is_some = take(from)? != 0;
        let id = take(from)?;
        Some(is_some.then_some(id))
    };
    let known = Known { end, clock, floor: id()?, last_id: id()? };
    let mut items = Vec::new();
    let mut names: Vec<u32> = Vec::new();
    let mut before = (0i64, 0u64, 0i64, 0u64);
    for _ in 0..take(from)? {
        let (at, id, file, offset) = before;
        before = (
            at.wrapping_add(take_signed(from)?),
            id.wrapping_add(take_signed(from)? as u64),
            file.wrapping_add(take_signed(from)?),
            offset.wrapping_add(take_signed(from)? as u64),
        );
        let (at, id, file, offset) = before;
        let bytes = u16::try_from(take(from)?).ok()?;
        let deed = *Deed::ALL.get(usize::from(byte(from)?))?;
        let mark = Mark(byte(from)?);
        let name = usize::try_from(take(from)?).ok()?;
        if name == names.len() {
            let user = text(from)?;
            let host = text(from)?;
            let joined = [user, b",", host].concat();
            names.push(pairs.find_or_add(server, Peer::new(&joined, user.len())));
        }
        let pair = *names.get(name)?;
        items.push(Item { at, id, file, offset, bytes, deed, mark, pair });
    }
    Some(Judge::of(items, known))
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
