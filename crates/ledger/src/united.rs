//! What all sources say of each pair, united, one pair at a time.
//!
//! ```text
//! tally, source 1   (app, 10.0.0.7) (app, 10.0.0.8) (etl, 10.0.0.7) ─┐
//! tally, source 2   (app, 10.0.0.7)                 (etl, 10.0.0.7) ─┼─ merged ─► one pair after another
//! unsettled, contested, connection: likewise, each in its own order ─┤
//! stranger          by the hour: held, sorted ───────────────────────┘
//! ```
//!
//! # Invariants
//! * Nothing is held but one pair, one row of each table and source, and the names that were only refused.
//! * The order is SQLite's: text before other bytes, each by its bytes.

use crate::error::Error;
use crate::rows::{Filter, Name};
use crate::store::{Bytes, Ledger, damaged, name};
use crate::strangers::{self, Sketch};
use crate::timeline::{self, Slot};
use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator as _;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows, Statement, params};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// How often and when, as one source shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Count {
    pub(crate) count: u64,
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
    pub(crate) slots: Vec<Slot>,
}

impl Count {
    fn of_slot(slot: Slot) -> Count {
        Count {
            count: slot.count,
            first: Some(slot.first),
            last: Some(slot.last),
            slots: vec![slot],
        }
    }

    /// The periods that overlap a window.
    pub(crate) fn within(&self, since: i64, until: i64) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| slot.end() > since && slot.start < until)
    }

    fn add(&mut self, other: Count) {
        self.count = self.count.saturating_add(other.count);
        self.first = min(self.first, other.first);
        self.last = self.last.max(other.last);
        self.slots.extend(other.slots);
    }
}

fn min(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Counts of several sources, united: hour by hour the largest; and in `window` only, where there
/// is one.
fn unite(counts: Vec<Count>, window: Option<(i64, i64)>) -> Count {
    let mut united = match <[Count; 1]>::try_from(counts) {
        Ok([count]) => count,
        Err(counts) => largest(counts),
    };
    let Some((since, until)) = window else { return united };
    united.slots = united.within(since, until).copied().collect();
    united.count = sum(&united.slots);
    united.first = united.slots.iter().map(|slot| slot.first).min();
    united.last = united.slots.iter().map(|slot| slot.last).max();
    united
}

fn largest(mut counts: Vec<Count>) -> Count {
    // All by the day where one of them is.
    let days = counts.iter().flat_map(|count| &count.slots).filter(|slot| slot.day);
    let days = days.map(Slot::end).max().unwrap_or(i64::MIN);
    let mut periods: BTreeMap<i64, Slot> = BTreeMap::new();
    let mut older = 0;
    let mut united = Count::default();
    for count in &mut counts {
        timeline::normalize(&mut count.slots, days);
        older = older.max(count.count.saturating_sub(sum(&count.slots)));
        united.first = min(united.first, count.first);
        united.last = united.last.max(count.last);
        for slot in &count.slots {
            periods
                .entry(slot.start)
                .and_modify(|known| {
                    known.count = known.count.max(slot.count);
                    known.first = known.first.min(slot.first);
                    known.last = known.last.max(slot.last);
                })
                .or_insert(*slot);
        }
    }
    united.slots = periods.into_values().collect();
    united.count = sum(&united.slots).saturating_add(older);
    united
}

fn sum(slots: &[Slot]) -> u64 {
    slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.count))
}

/// What each source says. There are few of them for many pairs: a map would take ten times the memory.
#[derive(Debug, Default)]
pub(crate) struct BySource(Vec<(i64, Count)>);

impl BySource {
    fn of(&mut self, source: i64) -> &mut Count {
        let at = self.0.iter().position(|(known, _)| *known == source).unwrap_or_else(|| {
            self.0.push((source, Count::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    pub(crate) fn unite(self, window: Option<(i64, i64)>) -> Count {
        unite(self.0.into_iter().map(|(_, count)| count).collect(), window)
    }
}

/// What all sources say of one pair.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    pub(crate) logins: BySource,
    /// By error number.
    pub(crate) refused: BTreeMap<u32, BySource>,
    pub(crate) active: Option<i64>,
    /// The newest login that other records contradict.
    pub(crate) contested: Option<i64>,
}

impl Pair {
    /// Adds the refusals of another.
    fn add_refused(&mut self, other: Pair) {
        for (error, counts) in other.refused {
            let own = self.refused.entry(error).or_default();
            counts.0.into_iter().for_each(|(source, count)| own.of(source).add(count));
        }
    }
}

/// Refusals of a server that are counted without names, by source; and how many pairs they are.
#[derive(Debug, Default)]
pub(crate) struct Unnamed {
    pub(crate) pairs: Sketch,
    pub(crate) counts: BySource,
}

/// User and host in SQLite's order; with each, whether it is no text.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key([(bool, Name); 2]);

impl Key {
    fn of_row(row: &Row<'_>) -> rusqlite::Result<Key> {
        let one = |column| -> rusqlite::Result<(bool, Name)> {
            let value = row.get_ref(column)?;
            Ok((matches!(value, ValueRef::Blob(_)), name(value)))
        };
        Ok(Key([one(0)?, one(1)?]))
    }

    /// Of names that a BLOB holds, as they would stand in a column.
    fn of_names(user: Name, host: Name) -> Key {
        let one = |name: Name| (!Bytes(&name).is_text(), name);
        Key([one(user), one(host)])
    }
}

/// Is told of a pair: server, user, host, and what all sources say.
pub(crate) type Each<'a> = dyn FnMut(&[u8], Name, Name, Pair) + 'a;

impl Ledger {
    /// Tells of each pair that a filter lets through; of strangers only where `concerns` says so. Returns the
    /// refusals that are counted without names, by server.
    pub(crate) fn each_pair(
        &self,
        filter: &Filter,
        concerns: &dyn Fn(&[u8], &[u8]) -> bool,
        each: &mut Each<'_>,
    ) -> Result<Vec<(Name, Unnamed)>, Error> {
        let servers = self.servers(filter)?;
        let mut all = Vec::new();
        self.at_once(|ledger| {
            for (server, name) in servers {
                let told = &mut |user, host, pair| each(&name, user, host, pair);
                let unnamed = of_server(&ledger.db, server, filter, concerns, told);
                if let Some(unnamed) = unnamed.map_err(ledger.failed())? {
                    all.push((name, unnamed));
                }
            }
            Ok(())
        })?;
        self.check_still()?;
        Ok(all)
    }
}

/// Where rows of pairs are: what a row says is added to its pair by `add`, with the source's number.
struct Table {
    /// Has a row for each source.
    name: &'static str,
    by_source: bool,
    /// From column 2 on; `?1` is the server, `?2` the source.
    sql: &'static str,
    add: fn(&Row<'_>, i64, &mut Pair) -> rusqlite::Result<()>,
}

const TABLES: [Table; 4] = [
    Table {
        name: "tally",
        by_source: true,
        sql: "SELECT user, host, error, count, first_us, last_us, active_us, hours FROM tally
              WHERE server = ?1 AND source = ?2
                AND (?3 IS NULL OR user = ?3) AND (?4 IS NULL OR host = ?4)
              ORDER BY user, host",
        add: add_tally,
    },
    // Logins that may still be contradicted count until they are.
    Table {
        name: "unsettled",
        by_source: true,
        sql: "SELECT user, host, count, first_us, last_us, hours, active_us, contested_us
              FROM unsettled WHERE server = ?1 AND source = ?2
                AND (?3 IS NULL OR user = ?3) AND (?4 IS NULL OR host = ?4)
              ORDER BY user, host",
        add: add_unsettled,
    },
    Table {
        name: "contested",
        by_source: true,
        sql: "SELECT user, host, last_us FROM contested WHERE server = ?1 AND source = ?2
                AND (?3 IS NULL OR user = ?3) AND (?4 IS NULL OR host = ?4)
              ORDER BY user, host",
        add: |row, _, pair| {
            pair.contested = pair.contested.max(row.get(2)?);
            Ok(())
        },
    },
    // Ends of connections whose beginning was not read with them are signs of a session, while nothing
    // shows that it was a refused login.
    Table {
        name: "connection",
        by_source: false,
        sql: "SELECT user, host, max(to_us) FROM connection
              WHERE server = ?1 AND loose AND NOT refused AND to_us IS NOT NULL AND ?2 = 0
                AND (?3 IS NULL OR user = ?3) AND (?4 IS NULL OR host = ?4)
              GROUP BY user, host ORDER BY user, host",
        add: |row, _, pair| {
            pair.active = pair.active.max(row.get(2)?);
            Ok(())
        },
    },
];

fn add_tally(row: &Row<'_>, source: i64, pair: &mut Pair) -> rusqlite::Result<()> {
    let mut slots = Vec::new();
    let hours = row.get_ref(7)?.as_blob().unwrap_or(&[]);
    timeline::decode(hours, &mut slots).ok_or_else(|| damaged("a timeline in tally"))?;
    let (first, last) = (row.get(4)?, row.get(5)?);
    let count = Count { count: row.get::<_, i64>(3)? as u64, first, last, slots };
    let error: i64 = row.get(2)?;
    if error == 0 {
        pair.active = pair.active.max(row.get(6)?);
        pair.logins.of(source).add(count);
    } else {
        let error = u32::try_from(error).unwrap_or(0);
        pair.refused.entry(error).or_default().of(source).add(count);
    }
    Ok(())
}

fn add_unsettled(row: &Row<'_>, source: i64, pair: &mut Pair) -> rusqlite::Result<()> {
    let mut slots = Vec::new();
    let hours = row.get_ref(5)?.as_blob().unwrap_or(&[]);
    timeline::decode(hours, &mut slots).ok_or_else(|| damaged("a timeline in unsettled"))?;
    let (first, last) = (row.get(3)?, row.get(4)?);
    let count = Count { count: row.get::<_, i64>(2)? as u64, first, last, slots };
    pair.active = pair.active.max(last).max(row.get(6)?);
    pair.contested = pair.contested.max(row.get(7)?);
    let logins = pair.logins.of(source);
    logins.add(count);
    timeline::normalize(&mut logins.slots, i64::MIN);
    Ok(())
}

/// The sources that a table has rows of a server from: one look into its key for each.
fn sources(db: &Connection, table: &Table, server: i64) -> rusqlite::Result<Vec<i64>> {
    if !table.by_source {
        return Ok(vec![0]);
    }
    let name = table.name;
    db.prepare_cached(&format!(
        "WITH RECURSIVE found (source) AS (
           SELECT min(source) FROM {name} WHERE server = ?1 UNION ALL
           SELECT (SELECT min(source) FROM {name} WHERE server = ?1 AND source > found.source)
           FROM found WHERE found.source IS NOT NULL)
         SELECT source FROM found WHERE source IS NOT NULL"
    ))?
    .query_map([server], |row| row.get(0))?
    .collect()
}

/// Rows of one table and source; the first is the next.
struct Cursor<'s> {
    rows: Rows<'s>,
    source: i64,
    add: fn(&Row<'_>, i64, &mut Pair) -> rusqlite::Result<()>,
}

impl Cursor<'_> {
    /// Goes to the next row: whose it is.
    fn advance(&mut self) -> rusqlite::Result<Option<Key>> {
        self.rows.advance()?;
        self.rows.get().map(Key::of_row).transpose()
    }

    /// Adds what the row says.
    fn add(&self, pair: &mut Pair) -> rusqlite::Result<()> {
        self.rows.get().map_or(Ok(()), |row| (self.add)(row, self.source, pair))
    }
}

/// The pairs of one server.
fn of_server(
    db: &Connection,
    server: i64,
    filter: &Filter,
    concerns: &dyn Fn(&[u8], &[u8]) -> bool,
    each: &mut dyn FnMut(Name, Name, Pair),
) -> rusqlite::Result<Option<Unnamed>> {
    let (mut strangers, unnamed) = strangers_of(db, server, filter, concerns)?;
    let mut end = |key: Key, mut pair: Pair, strangers: &mut BTreeMap<Key, Pair>| {
        if let Some(refused) = strangers.remove(&key) {
            pair.add_refused(refused);
        }
        let Key([(_, user), (_, host)]) = key;
        each(user, host, pair);
    };
    let mut statements: Vec<(Statement<'_>, &Table, i64)> = Vec::new();
    for table in &TABLES {
        for source in sources(db, table, server)? {
            statements.push((db.prepare(table.sql)?, table, source));
        }
    }
    let (mut cursors, mut heads) = (Vec::new(), BinaryHeap::new());
    for (number, (statement, table, source)) in statements.iter_mut().enumerate() {
        let (user, host) = (filter.user.as_deref(), filter.host.as_deref());
        let rows = statement.query(params![server, *source, user.map(Bytes), host.map(Bytes)])?;
        let mut cursor = Cursor { rows, source: *source, add: table.add };
        heads.extend(cursor.advance()?.map(|key| Reverse((key, number))));
        cursors.push(cursor);
    }
    let mut current: Option<(Key, Pair)> = None;
    while let Some(Reverse((key, number))) = heads.pop() {
        if current.as_ref().is_none_or(|(known, _)| *known != key)
            && let Some((key, pair)) = current.replace((key, Pair::default()))
        {
            end(key, pair, &mut strangers);
        }
        let cursor = &mut cursors[number];
        if let Some((_, pair)) = &mut current {
            cursor.add(pair)?;
        }
        heads.extend(cursor.advance()?.map(|key| Reverse((key, number))));
    }
    if let Some((key, pair)) = current {
        end(key, pair, &mut strangers);
    }
    while let Some((key, pair)) = strangers.pop_first() {
        end(key, pair, &mut strangers);
    }
    Ok(unnamed)
}

/// Pairs of one server that never logged in where they were refused, and those without names.
fn strangers_of(
    db: &Connection,
    server: i64,
    filter: &Filter,
    concerns: &dyn Fn(&[u8], &[u8]) -> bool,
) -> rusqlite::Result<(BTreeMap<Key, Pair>, Option<Unnamed>)> {
    let (mut pairs, mut unnamed): (BTreeMap<Key, Pair>, Option<Unnamed>) = Default::default();
    let takes = |wanted: &Option<Name>, name: &Name| wanted.as_ref().is_none_or(|it| it == name);
    strangers::read(db, server, filter.whole_hours(), |hour| {
        for (user, host, error, slot) in hour.named {
            if takes(&filter.user, &user) && takes(&filter.host, &host) && concerns(&user, &host) {
                let pair = pairs.entry(Key::of_names(user, host)).or_default();
                let counts = pair.refused.entry(error).or_default();
                counts.of(hour.source).add(Count::of_slot(slot));
            }
        }
        let named = filter.user.is_some() || filter.host.is_some();
        if let Some((sketch, slot)) = hour.unnamed.filter(|_| !named) {
            let unnamed = unnamed.get_or_insert_default();
            unnamed.pairs.absorb(sketch);
            unnamed.counts.of(hour.source).add(Count::of_slot(slot));
        }
    })?;
    Ok((pairs, unnamed))
}
