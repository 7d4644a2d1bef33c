//! `--stats`: sums by user, table and hour; the largest and the longest transactions.

use std::collections::BTreeMap;

use super::Traced;

/// How many users and tables are told apart; the others are counted together.
const KEYS_MAX: usize = 10_000;

/// How many of the largest and the longest are kept.
const LIST_MAX: usize = 10;

/// What some transactions add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StatsLine {
    pub(crate) transactions: u64,
    pub(crate) inserts: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
    pub(crate) bytes: u64,
}

impl StatsLine {
    /// Rows in all.
    pub(crate) fn rows(&self) -> u64 {
        self.inserts + self.updates + self.deletes
    }
}

/// One of the largest or longest.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) traced: Traced,
    /// Which log it stands in.
    pub(crate) file: String,
    /// `None`: not known.
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) rows: u64,
}

/// The sums.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) all: StatsLine,
    /// `None`: not known.
    pub(crate) users: BTreeMap<Option<Vec<u8>>, StatsLine>,
    pub(crate) tables: BTreeMap<String, StatsLine>,
    /// By hour UTC, microseconds.
    pub(crate) hours: BTreeMap<i64, StatsLine>,
    /// By bytes.
    pub(crate) largest: Vec<Listed>,
    /// By seconds.
    pub(crate) longest: Vec<Listed>,
}

const OTHERS: &str = "(others)";

impl Stats {
    /// Adds a transaction.
    pub(crate) fn add(&mut self, traced: &Traced, user: Option<&[u8]>, file: &str) {
        let mut line = StatsLine { transactions: 1, bytes: traced.bytes, ..StatsLine::default() };
        for sum in &traced.tables {
            line.inserts += sum.inserts;
            line.updates += sum.updates;
            line.deletes += sum.deletes;
            let mut name = super::table_name(&sum.table);
            if self.tables.len() >= KEYS_MAX && !self.tables.contains_key(&name) {
                name = OTHERS.to_owned();
            }
            let of_table = StatsLine {
                transactions: 1,
                inserts: sum.inserts,
                updates: sum.updates,
                deletes: sum.deletes,
                // What a transaction weighs is not told by table.
                bytes: 0,
            };
            add(self.tables.entry(name).or_default(), of_table);
        }
        add(&mut self.all, line);
        let mut key = user.map(<[u8]>::to_vec);
        if self.users.len() >= KEYS_MAX && !self.users.contains_key(&key) {
            key = Some(OTHERS.as_bytes().to_vec());
        }
        add(self.users.entry(key).or_default(), line);
        const HOUR: i64 = 3_600_000_000;
        let mut hour = traced.time.div_euclid(HOUR) * HOUR;
        if self.hours.len() >= KEYS_MAX && !self.hours.contains_key(&hour) {
            // Only forged times come to so many.
            hour = self.hours.last_key_value().map_or(hour, |(last, _)| *last);
        }
        add(self.hours.entry(hour).or_default(), line);
        let listed = || Listed {
            traced: traced.clone(),
            file: file.to_owned(),
            user: user.map(<[u8]>::to_vec),
            rows: line.rows(),
        };
        keep(&mut self.largest, traced, listed, |it| it.bytes);
        if traced.seconds > 0 {
            keep(&mut self.longest, traced, listed, |it| u64::from(it.seconds));
        }
    }
}

fn add(line: &mut StatsLine, more: StatsLine) {
    line.transactions += more.transactions;
    line.inserts += more.inserts;
    line.updates += more.updates;
    line.deletes += more.deletes;
    line.bytes += more.bytes;
}

/// Keeps a transaction if it is among the first by `weight`.
fn keep(
    list: &mut Vec<Listed>,
    traced: &Traced,
    listed: impl Fn() -> Listed,
    weight: fn(&Traced) -> u64,
) {
    let place = list.partition_point(|it| weight(&it.traced) >= weight(traced));
    if place < LIST_MAX {
        list.insert(place, listed());
        list.truncate(LIST_MAX);
    }
}
