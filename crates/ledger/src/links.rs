//! The journal link by link, for who keeps a copy of it elsewhere and holds the two against each other.
//!
//! # Invariants
//! * A link holds all that its hash is over ([`Link::hash_behind`]), so that a copy of all links from the first
//!   on proves itself.

use crate::chain::{self, DEED, DEED_END};
use crate::error::Error;
use crate::journal::{Intent, Outcome, deed, end_row, intent_row, outcome};
use crate::plans::Plan;
use crate::store::{Ledger, damaged, ledger_id};
use rusqlite::types::ValueRef;

/// What came of a deed, as one link tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// When that was known, in microseconds UTC.
    pub ended_us: i64,
    /// Done, failed or unknown.
    pub outcome: Outcome,
    /// The server's error number.
    pub error_code: Option<u32>,
    /// What else there is to say.
    pub detail: String,
}

/// What a link tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// A deed was about to be done.
    Begun(Box<Intent>),
    /// It has ended.
    Ended(End),
}

/// A link of the journal's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its place: 1 is the first.
    pub number: i64,
    /// The deed that it is about.
    pub deed: i64,
    /// What it tells.
    pub noted: Noted,
    /// The hash that stands beside it.
    pub hash: [u8; 32],
}

impl Link {
    /// The hash that belongs to it behind a link of the hash `before` (32 zeros: it is the first).
    pub fn hash_behind(&self, before: [u8; 32]) -> [u8; 32] {
        let (table, row) = match &self.noted {
            Noted::Begun(intent) => (DEED, intent_row(self.deed, self.number, intent)),
            Noted::Ended(end) => (DEED_END, end_row(self.number, self.deed, end)),
        };
        chain::hash(before, table, row.iter().map(ValueRef::from))
    }
}

/// All that was done, with the plans that it was done by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Journal {
    /// The number that the ledger was given when it was made; its copies have it too.
    pub ledger: Option<String>,
    /// From the first on.
    pub links: Vec<Link>,
    /// Those of which something was sent, the oldest first.
    pub plans: Vec<Plan>,
    /// As [`Ledger::verify_journal`] tells it.
    pub broken: Option<i64>,
}

impl Ledger {
    /// The whole journal, as it is at one moment.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a row cannot be what was written; where SQLite fails.
    pub fn journal(&self) -> Result<Journal, Error> {
        self.at_once(Ledger::journal_now)
    }

    pub(crate) fn journal_now(&self) -> Result<Journal, Error> {
        let read = || {
            let (broken, links) = (chain::verify(&self.db)?, self.links()?);
            Ok(Journal { ledger: ledger_id(&self.db)?, links, plans: self.sent_plans()?, broken })
        };
        read().map_err(self.failed())
    }

    fn links(&self) -> rusqlite::Result<Vec<Link>> {
        let hash = |bytes: Vec<u8>| {
            <[u8; 32]>::try_from(bytes).map_err(|_| damaged("a hash in the journal"))
        };
        let mut begun = self.db.prepare_cached(
            "SELECT id, plan, undo_of, step, server, user, host, kind, sql, undo, before, os_user,
               machine, ticket, begun_us, link, hash FROM deed",
        )?;
        let begun = begun.query_map([], |row| {
            let noted = Noted::Begun(Box::new(deed(row)?.intent));
            Ok(Link { number: row.get(15)?, deed: row.get(0)?, noted, hash: hash(row.get(16)?)? })
        })?;
        let mut links = begun.collect::<rusqlite::Result<Vec<Link>>>()?;
        let mut ended = self.db.prepare_cached(
            "SELECT link, deed, ended_us, outcome, error_code, detail, hash FROM deed_end",
        )?;
        let ended = ended.query_map([], |row| {
            let noted = Noted::Ended(End {
                ended_us: row.get(2)?,
                outcome: outcome(row.get_ref(3)?.as_str()?)?,
                error_code: row.get(4)?,
                detail: row.get(5)?,
            });
            Ok(Link { number: row.get(0)?, deed: row.get(1)?, noted, hash: hash(row.get(6)?)? })
        })?;
        for link in ended {
            links.push(link?);
        }
        links.sort_by_key(|link| link.number);
        Ok(links)
    }
}
