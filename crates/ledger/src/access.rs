//! Access log tables: how far each was read, and which account the server says it matched.
//!
//! A row's number (`id`) is taken before the row is there to be seen, and rows of sessions that commit late
//! come after rows with higher numbers. So a mark is more than the highest number:
//!
//! ```text
//! ids    1 2 3 . 5 6 . . 9 |            last_id 9
//! missing      4     7-8                each with the moment since when: looked for until they are too old
//! ```
//!
//! # Invariants
//! * Each row counts once: those above `last_id`, and those in `missing`, are not counted; all others are.
//! * A mark is stored with the sums of the rows that it says are counted, in one transaction.

use crate::error::Error;
use crate::ingest::Ingest;
use crate::rows::{Filter, Name};
use crate::store::{Bytes, Ledger, damaged, name, signed};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use verdict::account::AccountName;

/// The dialect of such a source.
pub const ACCESS_LOG: &str = "access_log";

/// The most ranges of missing numbers that are looked for. Where each number has a gap behind it
/// (`auto_increment_increment`), so many logins are as good as all that can be under way at once.
pub const MISSING_MAX: usize = 4096;

/// The rows by which a table is known again: the newest that were counted.
pub const ANCHORS_MAX: usize = 16;

/// Numbers of rows that were not there though higher ones were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingIds {
    /// The first of them.
    pub from: u64,
    /// The last of them.
    pub to: u64,
    /// When that was noticed, in microseconds UTC.
    pub noticed: i64,
}

/// What a row that was counted held, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Its number.
    pub id: u64,
    /// All of it.
    pub whole: [u8; 16],
    /// All but the time, which an `UPDATE` may move.
    pub timeless: [u8; 16],
}

/// How far a table was read, and how it is known again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessMark {
    /// The ledger's number of what stands for the table among files; a table that is made anew gets another.
    pub file: i64,
    /// When the table was made, as the server tells it.
    pub made: String,
    /// The highest number that was counted.
    pub last_id: u64,
    /// The newest time that was counted, in microseconds UTC.
    pub newest: Option<i64>,
    /// Lower numbers that may still come, in order.
    pub missing: Vec<MissingIds>,
    /// The newest rows that were counted, in order.
    pub anchors: Vec<Anchor>,
}

/// An account that a server says it matched to a user from a client host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// The audited server.
    pub server: Name,
    /// The user name as attempted.
    pub user: Name,
    /// The client host.
    pub host: Name,
    /// The account.
    pub account: AccountName,
    /// How many logins say so.
    pub count: u64,
    /// The oldest of them, in microseconds UTC.
    pub first: i64,
    /// The newest of them, in microseconds UTC.
    pub last: i64,
}

/// The user part of the account that let a user in from a client host, as the login plugin tells it (`priv_user`;
/// empty for the anonymous account).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetIn {
    /// The audited server.
    pub server: Name,
    /// The user name as attempted.
    pub user: Name,
    /// The client host.
    pub host: Name,
    /// The account's user name.
    pub account_user: Name,
    /// How many logins say so.
    pub count: u64,
    /// The oldest of them, in microseconds UTC.
    pub first: i64,
    /// The newest of them, in microseconds UTC.
    pub last: i64,
}

/// How many logins say something, the oldest and the newest of them in microseconds UTC.
type Sum = (u64, i64, i64);

/// User names of accounts that the logins of a batch name, by the number of the pair.
#[derive(Debug, Default)]
pub(crate) struct LetIns(BTreeMap<u32, BTreeMap<Vec<u8>, Sum>>);

impl LetIns {
    pub(crate) fn add(&mut self, pair: u32, account_user: &[u8], at: i64) {
        self.add_some(pair, account_user, (1, at, at));
    }

    fn add_some(&mut self, pair: u32, user: &[u8], (count, first, last): Sum) {
        let users = self.0.entry(pair).or_default();
        match users.get_mut(user) {
            Some(sum) => *sum = (sum.0 + count, sum.1.min(first), sum.2.max(last)),
            None => drop(users.insert(user.to_vec(), (count, first, last))),
        }
    }

    fn all(&self) -> impl Iterator<Item = (u32, &[u8], Sum)> {
        let users = |(pair, users): (&u32, _)| {
            let pair = *pair;
            let users: &BTreeMap<Vec<u8>, Sum> = users;
            users.iter().map(move |(user, sum)| (pair, &user[..], *sum))
        };
        self.0.iter().flat_map(users)
    }

    /// Adds those of `other`; `pairs` gives this batch's number for each pair of that one.
    pub(crate) fn absorb(&mut self, other: &LetIns, pairs: &[u32]) {
        for (pair, user, sum) in other.all() {
            self.add_some(pairs[pair as usize], user, sum);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.all().map(|(_, user, _)| user.len() + 128).sum()
    }

    /// Adds them to the ledger; `names` gives a pair's server, user and host.
    pub(crate) fn store<'a>(
        &self,
        db: &Connection,
        source: i64,
        names: impl Fn(u32) -> (i64, &'a [u8], &'a [u8]),
    ) -> rusqlite::Result<()> {
        let mut add = db.prepare_cached(
            "INSERT INTO let_in VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET count = count + excluded.count,
               first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us)",
        )?;
        for (pair, account, (count, first, last)) in self.all() {
            let (server, user, host) = names(pair);
            let (user, host, account) = (Bytes(user), Bytes(host), Bytes(account));
            add.execute(params![server, source, user, host, account, count as i64, first, last])?;
        }
        Ok(())
    }
}

/// Accounts that the rows of a batch name, by the number of the pair.
#[derive(Debug, Default)]
pub(crate) struct Named(BTreeMap<(u32, AccountName), Sum>);

impl Named {
    pub(crate) fn add(&mut self, pair: u32, account: AccountName, at: i64) {
        self.add_some((pair, account), (1, at, at));
    }

    fn add_some(&mut self, key: (u32, AccountName), (count, first, last): Sum) {
        let sum = self.0.entry(key).or_insert((0, first, last));
        *sum = (sum.0 + count, sum.1.min(first), sum.2.max(last));
    }

    /// Adds those of `other`; `pairs` gives this batch's number for each pair of that one.
    pub(crate) fn absorb(&mut self, other: Named, pairs: &[u32]) {
        for ((pair, account), sum) in other.0 {
            self.add_some((pairs[pair as usize], account), sum);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.keys().map(|(_, account)| account.user.len() + account.host.len() + 128).sum()
    }

    /// Adds them to the ledger; `names` gives a pair's server, user and host.
    pub(crate) fn store<'a>(
        &self,
        db: &Connection,
        source: i64,
        names: impl Fn(u32) -> (i64, &'a [u8], &'a [u8]),
    ) -> rusqlite::Result<()> {
        let mut add = db.prepare_cached(
            "INSERT INTO matched VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET count = count + excluded.count,
               first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us)",
        )?;
        for ((pair, account), (count, first, last)) in &self.0 {
            let (server, user, host) = names(*pair);
            let (user, host) = (Bytes(user), Bytes(host));
            let (account_user, account_host) = (Bytes(&account.user), Bytes(&account.host));
            let count = *count as i64;
            add.execute(params![
                server,
                source,
                user,
                host,
                account_user,
                account_host,
                count,
                first,
                last
            ])?;
        }
        Ok(())
    }
}

impl Ingest<'_> {
    /// The mark of a source.
    ///
    /// # Errors
    /// Where SQLite fails or the mark is damaged.
    pub fn access_mark(&self, source: i64) -> Result<Option<AccessMark>, Error> {
        mark(self.db(), "source = ?1", params![source]).map_err(self.failed())
    }

    /// Stores how far the table of a source was read.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn set_access_mark(&self, source: i64, mark: &AccessMark) -> Result<(), Error> {
        let missing: Vec<u8> = mark.missing.iter().flat_map(encode_missing).collect();
        let anchors: Vec<u8> = mark.anchors.iter().flat_map(encode_anchor).collect();
        self.db()
            .prepare_cached(
                "INSERT OR REPLACE INTO access_mark VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .and_then(|mut set| {
                let last_id = signed(mark.last_id);
                let (file, made, newest) = (mark.file, &mark.made, mark.newest);
                set.execute(params![source, file, made, last_id, newest, missing, anchors])
            })
            .map_err(self.failed())?;
        Ok(())
    }
}

impl Ledger {
    /// The mark of the source with this location and label.
    ///
    /// # Errors
    /// Where SQLite fails or the mark is damaged.
    pub fn access_mark(&self, location: &[u8], label: &[u8]) -> Result<Option<AccessMark>, Error> {
        let of = "source = (SELECT id FROM source WHERE location = ?1 AND label = ?2)";
        mark(&self.db, of, params![Bytes(location), Bytes(label)]).map_err(self.failed())
    }

    /// Which accounts servers say they matched, sorted by server, user, host and account. Of the filter, servers,
    /// user and host are looked at.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn matched(&self, filter: &Filter) -> Result<Vec<Matched>, Error> {
        let mut rows = self.rows(
            "SELECT server.name, user, host, account_user, account_host,
               sum(count), min(first_us), max(last_us)
             FROM matched JOIN server ON server.id = server GROUP BY 1, 2, 3, 4, 5",
            |row| {
                let text = |column| Ok::<_, rusqlite::Error>(name(row.get_ref(column)?));
                Ok(Matched {
                    server: text(0)?,
                    user: text(1)?,
                    host: text(2)?,
                    account: AccountName::new(text(3)?, text(4)?),
                    count: row.get::<_, i64>(5)? as u64,
                    first: row.get(6)?,
                    last: row.get(7)?,
                })
            },
        )?;
        rows.retain(|row| {
            let is =
                |wanted: &Option<Name>, name: &Name| wanted.as_ref().is_none_or(|it| it == name);
            let of_server = filter.servers.is_empty() || filter.servers.contains(&row.server);
            of_server && is(&filter.user, &row.user) && is(&filter.host, &row.host)
        });
        rows.sort_unstable_by(|a, b| {
            (&a.server, &a.user, &a.host, &a.account)
                .cmp(&(&b.server, &b.user, &b.host, &b.account))
        });
        Ok(rows)
    }

    /// Which users of accounts the login plugin says let a server's logins in, sorted by user, host and account.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn let_in(&self, server: &[u8]) -> Result<Vec<LetIn>, Error> {
        let mut rows = self.rows(
            "SELECT server.name, user, host, account_user, sum(count), min(first_us), max(last_us)
             FROM let_in JOIN server ON server.id = server GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
            |row| {
                let text = |column| Ok::<_, rusqlite::Error>(name(row.get_ref(column)?));
                Ok(LetIn {
                    server: text(0)?,
                    user: text(1)?,
                    host: text(2)?,
                    account_user: text(3)?,
                    count: row.get::<_, i64>(4)? as u64,
                    first: row.get(5)?,
                    last: row.get(6)?,
                })
            },
        )?;
        rows.retain(|row| row.server == server);
        Ok(rows)
    }
}

fn mark(
    db: &Connection,
    of: &str,
    which: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<Option<AccessMark>> {
    db.prepare_cached(&format!(
        "SELECT file, made, last_id, newest_us, missing, anchors FROM access_mark WHERE {of}"
    ))?
    .query_row(which, |row| {
        let (missing, anchors): (Vec<u8>, Vec<u8>) = (row.get(4)?, row.get(5)?);
        if missing.len() % MISSING_BYTES != 0 || anchors.len() % ANCHOR_BYTES != 0 {
            return Err(damaged("the mark of an access log"));
        }
        Ok(AccessMark {
            file: row.get(0)?,
            made: row.get(1)?,
            last_id: row.get::<_, i64>(2)? as u64,
            newest: row.get(3)?,
            missing: missing.chunks_exact(MISSING_BYTES).map(decode_missing).collect(),
            anchors: anchors.chunks_exact(ANCHOR_BYTES).map(decode_anchor).collect(),
        })
    })
    .optional()
}

/// First and last number, moment; 8 bytes each, little-endian.
const MISSING_BYTES: usize = 24;

/// The number, then two hashes.
const ANCHOR_BYTES: usize = 40;

fn encode_missing(it: &MissingIds) -> [u8; MISSING_BYTES] {
    let mut bytes = [0; MISSING_BYTES];
    bytes[..8].copy_from_slice(&it.from.to_le_bytes());
    bytes[8..16].copy_from_slice(&it.to.to_le_bytes());
    bytes[16..].copy_from_slice(&it.noticed.to_le_bytes());
    bytes
}

fn decode_missing(bytes: &[u8]) -> MissingIds {
    MissingIds {
        from: u64::from_le_bytes(part(bytes, 0)),
        to: u64::from_le_bytes(part(bytes, 8)),
        noticed: i64::from_le_bytes(part(bytes, 16)),
    }
}

fn encode_anchor(it: &Anchor) -> [u8; ANCHOR_BYTES] {
    let mut bytes = [0; ANCHOR_BYTES];
    bytes[..8].copy_from_slice(&it.id.to_le_bytes());
    bytes[8..24].copy_from_slice(&it.whole);
    bytes[24..].copy_from_slice(&it.timeless);
    bytes
}

fn decode_anchor(bytes: &[u8]) -> Anchor {
    let (id, whole, timeless) = (part(bytes, 0), part(bytes, 8), part(bytes, 24));
    Anchor { id: u64::from_le_bytes(id), whole, timeless }
}

/// So many bytes from there on; zeros where there are not.
fn part<const N: usize>(bytes: &[u8], from: usize) -> [u8; N] {
    bytes.get(from..from + N).and_then(|it| it.try_into().ok()).unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, BatchOptions, Keeping, LocalClock};
    use formats::{Event, Kind, Peer, Stamp};

    const AT: i64 = 1_795_000_000_000_000;

    fn event(peer: Peer<'_>, at: i64, connection: u64) -> Event<'_> {
        Event {
            series: None,
            time: Stamp::Utc(at),
            server: b"db1",
            peer,
            port: None,
            connection,
            query: 0,
            kind: Kind::Connect,
            error: 0,
            database: b"",
            object: b"",
            account_user: None,
            further: false,
        }
    }

    fn batch(logins: &[(&str, &str, &str, &str, i64)]) -> Batch {
        let options = BatchOptions { server: None, keep_connections: 10 };
        let clock = LocalClock::new(jiff::tz::TimeZone::UTC, AT);
        let mut batch = Batch::new(options, clock, 1);
        for ((user, host, account_user, account_host, at), id) in logins.iter().zip(1..) {
            let joined = format!("{user},{host}");
            let peer = Peer::new(joined.as_bytes(), user.len());
            let account = AccountName::new(*account_user, *account_host);
            batch.row(id, &event(peer, *at, id), Some(account));
        }
        batch
    }

    fn stored(ledger: &mut Ledger, batch: &Batch) -> i64 {
        let ingest = ledger.ingest(Keeping::new(AT)).unwrap();
        let source = ingest.source(b"table t", b"db1", "access_log").unwrap();
        ingest.add(source, batch).unwrap();
        ingest.finish().unwrap();
        source
    }

    #[test]
    fn logins_count_at_once_with_their_accounts() {
        let mut ledger = Ledger::in_memory().unwrap();
        let mut first = batch(&[
            ("sam", "10.0.0.7", "sam", "10.%", AT),
            ("sam", "10.0.0.7", "sam", "10.%", AT + 5),
            ("sam", "10.0.0.8", "", "%", AT - 5),
        ]);
        first.absorb(batch(&[("sam", "10.0.0.7", "sam", "%", AT + 9)]));
        stored(&mut ledger, &first);
        let seen = ledger.seen(&Filter::default()).unwrap();
        let logins: Vec<u64> = seen.iter().map(|row| row.logins).collect();
        assert_eq!(logins, [3, 1]);
        assert_eq!((seen[0].first_seen, seen[0].last_seen), (Some(AT), Some(AT + 9)));
        assert_eq!(ledger.status().unwrap().unsettled, 0);
        let told = |ledger: &Ledger, filter: &Filter| -> Vec<String> {
            let rows = ledger.matched(filter).unwrap();
            let text = |row: &Matched| {
                format!("{} {} {} {}", row.account, row.count, row.first - AT, row.last - AT)
            };
            rows.iter().map(text).collect()
        };
        let all = ["'sam'@'%' 1 9 9", "'sam'@'10.%' 2 0 5", "''@'%' 1 -5 -5"];
        assert_eq!(told(&ledger, &Filter::default()), all);
        stored(&mut ledger, &batch(&[("sam", "10.0.0.8", "", "%", AT + 7)]));
        let host = Filter { host: Some(b"10.0.0.8".to_vec()), ..Filter::default() };
        assert_eq!(told(&ledger, &host), ["''@'%' 2 -5 7"]);
        let other = Filter { servers: vec![b"db2".to_vec()], ..Filter::default() };
        assert!(told(&ledger, &other).is_empty());
    }

    #[test]
    fn a_mark_comes_back_as_it_was_and_a_torn_one_is_damage() {
        let mut ledger = Ledger::in_memory().unwrap();
        let source = stored(&mut ledger, &batch(&[]));
        let mark = AccessMark {
            file: 7,
            made: "2026-11-20 07:18:43".to_owned(),
            last_id: u64::MAX,
            newest: Some(AT),
            missing: vec![MissingIds { from: 3, to: u64::MAX - 1, noticed: -1 }],
            anchors: vec![Anchor { id: 9, whole: [1; 16], timeless: [2; 16] }],
        };
        let ingest = ledger.ingest(Keeping::new(AT)).unwrap();
        assert_eq!(ingest.access_mark(source).unwrap(), None);
        ingest.set_access_mark(source, &mark).unwrap();
        assert_eq!(ingest.access_mark(source).unwrap().as_ref(), Some(&mark));
        ingest.finish().unwrap();
        assert_eq!(ledger.access_mark(b"table t", b"db1").unwrap(), Some(mark));
        assert_eq!(ledger.access_mark(b"table t", b"db2").unwrap(), None);
        ledger.db.execute("UPDATE access_mark SET missing = x'00'", []).unwrap();
        assert!(matches!(ledger.access_mark(b"table t", b"db1"), Err(Error::Damaged { .. })));
    }

    #[test]
    fn what_is_stored_and_not_committed_is_gone() {
        let mut ledger = Ledger::in_memory().unwrap();
        let source = stored(&mut ledger, &batch(&[]));
        let ingest = ledger.ingest(Keeping::new(AT)).unwrap();
        ingest.add(source, &batch(&[("sam", "h", "sam", "%", AT)])).unwrap();
        ingest.set_access_mark(source, &AccessMark::default()).unwrap();
        drop(ingest);
        assert!(ledger.matched(&Filter::default()).unwrap().is_empty());
        assert_eq!(ledger.access_mark(b"table t", b"db1").unwrap(), None);
    }
}
