//! Exceptions: accounts that are to stay though nobody uses them, who answers for that, and until when.
//!
//! # Invariants
//! * One exception for each server, group and account: a new one takes the place of the old one.
//! * While it is in force nothing but [`Ledger::remove_keep`] ends it. One that has expired stays for
//!   [`EXPIRED_DAYS`], so that its end is told and not just noticed by what happens next.

use crate::error::Error;
use crate::rows::Name;
use crate::store::{Bytes, Ledger, name};
use crate::timeline::DAY;
use rusqlite::{Connection, params};
use verdict::account::AccountName;

/// How long an exception is told of after its end: longer than a year, so that whoever looks once a year sees it.
pub(crate) const EXPIRED_DAYS: i64 = 400;

/// An account that stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keep {
    /// Only on this server; `None`: on all (of the group, if one is named).
    pub server: Option<Name>,
    /// Only on servers of this group.
    pub group: Option<String>,
    /// The account.
    pub account: AccountName,
    /// In force before this time, in microseconds UTC; `None`: for good.
    pub until_us: Option<i64>,
    /// Who answers for it.
    pub owner: String,
    /// Why it stays.
    pub reason: String,
    /// Who said so: a user of the operating system.
    pub by: String,
    /// When, in microseconds UTC.
    pub at_us: i64,
}

impl Keep {
    /// Whether it holds at this moment.
    pub fn is_in_force(&self, now_us: i64) -> bool {
        self.until_us.is_none_or(|until| now_us < until)
    }
}

impl Ledger {
    /// Adds an exception, or puts it in the place of the one of the same server, group and account.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn set_keep(&mut self, keep: &Keep) -> Result<(), Error> {
        self.briefly(|ledger| {
            let of = (keep.server.as_deref(), keep.group.as_deref());
            remove(&ledger.db, of, &keep.account)
                .and_then(|_| add(&ledger.db, keep))
                .map_err(ledger.failed())
        })
    }

    /// Ends an exception. `false`: there is none of this server, group and account.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn remove_keep(
        &mut self,
        server: Option<&[u8]>,
        group: Option<&str>,
        account: &AccountName,
    ) -> Result<bool, Error> {
        self.briefly(|ledger| remove(&ledger.db, (server, group), account).map_err(ledger.failed()))
    }

    /// All exceptions, also those that have expired, sorted by server, group and account.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn keeps(&self) -> Result<Vec<Keep>, Error> {
        let mut keeps = self.rows(
            "SELECT server, grouping, user, host, until_us, owner, reason, author, at_us FROM keep",
            |row| {
                let server = row.get_ref(0)?;
                Ok(Keep {
                    server: (server != rusqlite::types::ValueRef::Null).then(|| name(server)),
                    group: row.get(1)?,
                    account: AccountName::new(name(row.get_ref(2)?), name(row.get_ref(3)?)),
                    until_us: row.get(4)?,
                    owner: row.get(5)?,
                    reason: row.get(6)?,
                    by: row.get(7)?,
                    at_us: row.get(8)?,
                })
            },
        )?;
        keeps.sort_unstable();
        Ok(keeps)
    }
}

fn add(db: &Connection, keep: &Keep) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO keep (server, grouping, user, host, until_us, owner, reason, author, at_us)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        keep.server.as_deref().map(Bytes),
        keep.group,
        Bytes(&keep.account.user),
        Bytes(&keep.account.host),
        keep.until_us,
        keep.owner,
        keep.reason,
        keep.by,
        keep.at_us
    ])?;
    Ok(())
}

fn remove(
    db: &Connection,
    (server, group): (Option<&[u8]>, Option<&str>),
    account: &AccountName,
) -> rusqlite::Result<bool> {
    let removed = db
        .prepare_cached(
            "DELETE FROM keep
             WHERE server IS ?1 AND grouping IS ?2 AND user = ?3 AND host = ?4",
        )?
        .execute(params![server.map(Bytes), group, Bytes(&account.user), Bytes(&account.host)])?;
    Ok(removed > 0)
}

/// Forgets exceptions that ended long ago.
pub(crate) fn prune(db: &Connection, now: i64) -> rusqlite::Result<()> {
    db.execute("DELETE FROM keep WHERE until_us < ?1", [now.saturating_sub(EXPIRED_DAYS * DAY)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(server: Option<&str>, group: Option<&str>, user: &str, until: Option<i64>) -> Keep {
        Keep {
            server: server.map(|it| it.as_bytes().to_vec()),
            group: group.map(str::to_owned),
            account: AccountName::new(user, "%"),
            until_us: until,
            owner: "ann".into(),
            reason: "yearly run".into(),
            by: "bob".into(),
            at_us: 7,
        }
    }

    #[test]
    fn one_for_each_server_group_and_account() {
        let mut ledger = Ledger::in_memory().unwrap();
        let all = [
            keep(None, None, "app", None),
            keep(None, Some("shop"), "app", Some(9)),
            keep(Some(""), None, "app", None),
            keep(Some("db1"), None, "app", None),
            keep(Some("db1"), None, "\u{fc}\0", None),
        ];
        for it in all.iter().rev() {
            ledger.set_keep(it).unwrap();
        }
        assert_eq!(ledger.keeps().unwrap(), all);
        let other = Keep { reason: "another".into(), ..keep(None, None, "app", Some(3)) };
        ledger.set_keep(&other).unwrap();
        assert_eq!(ledger.keeps().unwrap()[0], other);
        assert_eq!(ledger.keeps().unwrap()[1..], all[1..]);
        let app = AccountName::new("app", "%");
        for (left, removed) in [(4, true), (4, false)] {
            assert_eq!(ledger.remove_keep(None, None, &app).unwrap(), removed);
            assert_eq!(ledger.keeps().unwrap().len(), left);
        }
        assert!(!ledger.remove_keep(Some(b"db2"), None, &app).unwrap());
    }

    #[test]
    fn what_expired_is_told_of_for_long_and_what_is_in_force_stays() {
        let mut ledger = Ledger::in_memory().unwrap();
        ledger.set_keep(&keep(None, None, "ended", Some(DAY))).unwrap();
        ledger.set_keep(&keep(None, None, "for good", None)).unwrap();
        let ended = ledger.keeps().unwrap()[0].clone();
        assert!(ended.is_in_force(DAY - 1) && !ended.is_in_force(DAY));
        for (now, left) in
            [(DAY, 2), ((1 + EXPIRED_DAYS) * DAY, 2), ((1 + EXPIRED_DAYS) * DAY + 1, 1)]
        {
            prune(&ledger.db, now).unwrap();
            assert_eq!(ledger.keeps().unwrap().len(), left, "{now}");
        }
    }
}
