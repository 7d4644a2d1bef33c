//! What users' schemas held, by the day: of several looks at one day the last counts.
//!
//! # Invariants
//! * A user that is not in a look of a day is not in that day's rows, so that a dropped schema leaves no trace of
//!   growth.
//! * Days older than [`USAGE_DAYS`] are forgotten by the next look at the same server.

use crate::error::Error;
use crate::rows::Name;
use crate::store::{Bytes, Ledger, name};
use crate::timeline::DAY;
use rusqlite::params;
use verdict::quota::Shard;

/// How many days are kept: 10,000 users take about 40 MB.
pub const USAGE_DAYS: i64 = 100;

/// What a user held earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierUsage {
    /// The user name.
    pub user: Name,
    /// When, in microseconds UTC.
    pub at_us: i64,
    /// How much.
    pub bytes: u64,
}

impl Ledger {
    /// Notes what users of a server hold at this moment, in the place of what was noted on the same day (UTC).
    /// Sizes above `i64::MAX` are noted as that.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn note_usage(
        &mut self,
        server: &[u8],
        now_us: i64,
        users: &[(&[u8], u64)],
    ) -> Result<(), Error> {
        self.note_usage_of(Shard::ALL, server, now_us, users)
    }

    /// The same where only users of a shard were looked at: what is noted of others stays.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn note_usage_of(
        &mut self,
        shard: Shard,
        server: &[u8],
        now_us: i64,
        users: &[(&[u8], u64)],
    ) -> Result<(), Error> {
        self.briefly(|ledger| {
            let write = || -> rusqlite::Result<()> {
                let day = now_us.div_euclid(DAY);
                let db = &ledger.db;
                db.prepare_cached("DELETE FROM quota_usage WHERE server = ?1 AND day < ?2")?
                    .execute(params![Bytes(server), day - USAGE_DAYS])?;
                let mut noted = db.prepare_cached(
                    "SELECT user FROM quota_usage WHERE server = ?1 AND day = ?2",
                )?;
                let noted = noted
                    .query_map(params![Bytes(server), day], |row| Ok(name(row.get_ref(0)?)))?
                    .collect::<rusqlite::Result<Vec<Name>>>()?;
                let mut remove = db.prepare_cached(
                    "DELETE FROM quota_usage WHERE server = ?1 AND day = ?2 AND user = ?3",
                )?;
                for user in noted.iter().filter(|user| shard.holds(user)) {
                    remove.execute(params![Bytes(server), day, Bytes(user)])?;
                }
                let mut add = db.prepare_cached(
                    "INSERT INTO quota_usage (server, user, day, at_us, bytes)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?;
                for (user, bytes) in users {
                    let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                    add.execute(params![Bytes(server), Bytes(user), day, now_us, bytes])?;
                }
                Ok(())
            };
            write().map_err(ledger.failed())
        })
    }

    /// Of each user of a server the oldest size that is not older than `since_us`, sorted by user.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn earlier_usage(&self, server: &[u8], since_us: i64) -> Result<Vec<EarlierUsage>, Error> {
        let read = || -> rusqlite::Result<Vec<EarlierUsage>> {
            // Of the row with the least time SQLite takes the other columns, too.
            let mut query = self.db.prepare_cached(
                "SELECT user, min(at_us), bytes FROM quota_usage
                 WHERE server = ?1 AND day >= ?2 AND at_us >= ?3 GROUP BY user",
            )?;
            let day = since_us.div_euclid(DAY);
            let rows = query.query_map(params![Bytes(server), day, since_us], |row| {
                Ok(EarlierUsage {
                    user: name(row.get_ref(0)?),
                    at_us: row.get(1)?,
                    bytes: row.get::<_, i64>(2)?.try_into().unwrap_or(0),
                })
            })?;
            rows.collect()
        };
        let mut rows = read().map_err(self.failed())?;
        rows.sort_unstable_by(|one, two| one.user.cmp(&two.user));
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earlier(ledger: &Ledger, since_us: i64) -> Vec<(String, i64, u64)> {
        let rows = ledger.earlier_usage(b"db1", since_us).unwrap().into_iter();
        rows.map(|it| (String::from_utf8_lossy(&it.user).into_owned(), it.at_us, it.bytes))
            .collect()
    }

    #[test]
    fn of_a_day_the_last_look_counts_and_of_all_days_the_oldest_is_told() {
        let mut ledger = Ledger::in_memory().unwrap();
        ledger.note_usage(b"db1", DAY, &[(b"a", 5), (b"b", 7), (b"\xff\0", 1)]).unwrap();
        ledger.note_usage(b"db1", DAY + 9, &[(b"a", 6), (b"\xff\0", u64::MAX)]).unwrap();
        ledger.note_usage(b"db2", DAY, &[(b"a", 99)]).unwrap();
        ledger.note_usage(b"db1", 2 * DAY, &[(b"a", 8), (b"b", 3)]).unwrap();
        assert_eq!(
            earlier(&ledger, 0),
            [
                ("a".to_owned(), DAY + 9, 6),
                ("b".to_owned(), 2 * DAY, 3),
                ("\u{fffd}\0".to_owned(), DAY + 9, i64::MAX as u64),
            ]
        );
        assert_eq!(earlier(&ledger, DAY + 9).len(), 3);
        let later = [("a".to_owned(), 2 * DAY, 8), ("b".to_owned(), 2 * DAY, 3)];
        assert_eq!(earlier(&ledger, DAY + 10), later);
        assert_eq!(earlier(&ledger, 2 * DAY + 1), []);
    }

    #[test]
    fn shards_of_a_server_leave_each_others_sizes() {
        let mut ledger = Ledger::in_memory().unwrap();
        let users: Vec<String> = (0..20).map(|it| format!("user{it}")).collect();
        for (turn, index) in [0, 1, 2, 3, 0].into_iter().enumerate() {
            let shard = Shard::new(index, 4).unwrap();
            let own = users.iter().filter(|it| shard.holds(it.as_bytes()));
            let own: Vec<(&[u8], u64)> = own.map(|it| (it.as_bytes(), turn as u64)).collect();
            ledger.note_usage_of(shard, b"db1", DAY + turn as i64, &own).unwrap();
        }
        assert_eq!(earlier(&ledger, 0).len(), 20);
        // Who is gone from its shard is gone.
        ledger.note_usage_of(Shard::new(0, 4).unwrap(), b"db1", DAY + 9, &[]).unwrap();
        let left = earlier(&ledger, 0);
        assert!(!left.is_empty() && left.iter().all(|it| (1..4).contains(&it.2)), "{left:?}");
    }

    #[test]
    fn old_days_are_forgotten_by_the_next_look_at_the_same_server() {
        let mut ledger = Ledger::in_memory().unwrap();
        ledger.note_usage(b"db1", DAY, &[(b"a", 5)]).unwrap();
        ledger.note_usage(b"db2", DAY, &[(b"a", 5)]).unwrap();
        ledger.note_usage(b"db1", (1 + USAGE_DAYS) * DAY, &[]).unwrap();
        assert_eq!(earlier(&ledger, 0).len(), 1);
        ledger.note_usage(b"db1", (2 + USAGE_DAYS) * DAY, &[]).unwrap();
        assert_eq!(earlier(&ledger, 0).len(), 0);
        assert_eq!(ledger.earlier_usage(b"db2", 0).unwrap().len(), 1);
    }
}
