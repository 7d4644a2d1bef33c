//! The journal: every deed, noted before it is done, with what came of it.
//!
//! ```text
//! link 1  deed 1        lock 'app'@'%' on db1     about to be sent
//! link 2  deed_end      deed 1: done
//! link 3  deed 2        drop 'old'@'%' on db1     about to be sent; no end: somebody was killed
//! ```
//!
//! Each row is a link of a chain of hashes (`chain`).
//!
//! # Invariants
//! * A deed is on the disk before [`Ledger::begin_deed`] returns, so nothing is sent that is not noted.
//! * Rows are added, never changed nor taken away: the schema refuses it, [`Ledger::verify_journal`] finds it
//!   where somebody did it all the same. Who can write to the file can also compute all hashes anew: only a
//!   hash that was kept elsewhere ([`Ledger::journal_head`]) shows that.
//! * The end of a deed is told once; again only where it was unknown.
//! * What a statement holds may be secret: it goes out to the caller and into no message.

use crate::chain::{DEED, DEED_END, add, head, verify};
use crate::error::Error;
use crate::links::End;
use crate::reserve::{Record, Reserve};
use crate::rows::Name;
use crate::store::{Bytes, Ledger, damaged, name};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;
use verdict::account::AccountName;

/// What was sent has to be told: who notes that waits longer for another writer than who begins.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// What came of a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It may have been sent: nobody noted an end.
    Begun,
    /// The server did it.
    Done,
    /// The server refused it, or it was never sent.
    Failed,
    /// It was sent, and the server's answer did not come.
    Unknown,
    /// It was done, and undone by later deeds.
    Undone,
}

impl Outcome {
    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Begun => "begun",
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
            Outcome::Undone => "undone",
        }
    }
}

/// What is about to be done: one statement for one server.
#[derive(Clone, PartialEq, Eq)]
pub struct Intent {
    /// The id of its plan.
    pub plan: Option<String>,
    /// The deed that this one undoes, wholly or in part.
    pub undo_of: Option<i64>,
    /// Its place in the plan.
    pub step: u32,
    /// The server.
    pub server: Name,
    /// The account that it is about.
    pub account: AccountName,
    /// `lock`, `unlock`, `drop`, `create`, `kill`, `revoke`, `grant`, ….
    pub kind: String,
    /// The statement, as it is sent.
    pub sql: Vec<u8>,
    /// The statements that undo it, in their order; empty where nothing does.
    pub undo: Vec<Vec<u8>>,
    /// What was true before, as JSON.
    pub before: String,
    /// Who does it: a user of the operating system …
    pub os_user: String,
    /// … on this machine.
    pub host: String,
    /// A ticket that asks for it.
    pub ticket: Option<String>,
    /// When, in microseconds UTC.
    pub begun_us: i64,
}

/// Without what may be secret.
impl fmt::Debug for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intent")
            .field("plan", &self.plan)
            .field("undo_of", &self.undo_of)
            .field("step", &self.step)
            .field("kind", &self.kind)
            .field("account", &self.account)
            .field("begun_us", &self.begun_us)
            .finish_non_exhaustive()
    }
}

/// A deed in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Its number: 1 is the first.
    pub id: i64,
    /// What was to be done.
    pub intent: Intent,
    /// What came of it.
    pub outcome: Outcome,
    /// When that was known, in microseconds UTC.
    pub ended_us: Option<i64>,
    /// The server's error number.
    pub error_code: Option<u32>,
    /// What else there is to say of its end.
    pub detail: String,
}

/// Which deeds are asked for. The default is all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeedFilter {
    /// Only on this server.
    pub server: Option<Name>,
    /// Only about this account.
    pub account: Option<AccountName>,
    /// Only of the plan of this id.
    pub plan: Option<String>,
    /// Only those begun at this time or later, in microseconds UTC.
    pub since: Option<i64>,
    /// Only those begun before this time, in microseconds UTC.
    pub until: Option<i64>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
}

impl DeedFilter {
    fn fits(&self, deed: &Deed) -> bool {
        let it = &deed.intent;
        self.server.as_ref().is_none_or(|server| *server == it.server)
            && self.account.as_ref().is_none_or(|account| *account == it.account)
            && self.plan.as_ref().is_none_or(|plan| Some(plan) == it.plan.as_ref())
            && self.since.is_none_or(|since| it.begun_us >= since)
            && self.until.is_none_or(|until| it.begun_us < until)
    }
}

/// Which deeds are to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undoable<'a> {
    /// Those of the plan of this id.
    Plan(&'a str),
    /// The newest one, with all others of its plan.
    Last,
}

impl Ledger {
    /// Notes what is about to be done, and tells its number. What this returns is on the disk.
    ///
    /// # Errors
    /// [`Error::Refused`] where the same step of the same plan, or the same undoing, was begun before and has
    /// not ended, or was done; where the deed to be undone is none that was done. Where SQLite fails.
    pub fn begin_deed(&mut self, intent: &Intent) -> Result<i64, Error> {
        let write = |ledger: &mut Ledger| {
            ledger.briefly(|ledger| {
                let blocked = ledger.blocked(intent).map_err(ledger.failed())?;
                if let Some(what) = blocked {
                    return Err(ledger.refused(what));
                }
                begin(&ledger.db, intent).map_err(ledger.failed())
            })
        };
        self.or_reserve(write, |ledger| {
            let id = ledger.next_reserved();
            (id, Record::Begin(id, Box::new(intent.clone())))
        })
    }

    /// Notes what came of a deed: done, failed or unknown.
    ///
    /// # Errors
    /// [`Error::Refused`] where there is no such deed, or its end is known. Where SQLite fails: the deed is
    /// unfinished then, and whoever looks finds out what became of it.
    ///
    /// # Panics
    /// Where `outcome` is `Begun` or `Undone`, which follow from what is in the journal.
    pub fn end_deed(
        &mut self,
        id: i64,
        ended_us: i64,
        outcome: Outcome,
        error_code: Option<u32>,
        detail: &str,
    ) -> Result<(), Error> {
        assert!(
            matches!(outcome, Outcome::Done | Outcome::Failed | Outcome::Unknown),
            "a deed ends done, failed or unknown"
        );
        let end = End { ended_us, outcome, error_code, detail: detail.to_owned() };
        let write = |ledger: &mut Ledger| ledger.end_in(id, &end);
        self.or_reserve(write, |_| ((), Record::End(id, end.clone())))
    }

    /// Notes the end of a deed of the ledger.
    fn end_in(&mut self, id: i64, end: &End) -> Result<(), Error> {
        self.briefly_within(END_PATIENCE, |ledger| {
            match ledger.deed_now(id).map_err(ledger.failed())?.map(|deed| deed.outcome) {
                None => return Err(ledger.refused(format!("deed {id} is not in the journal"))),
                Some(Outcome::Begun | Outcome::Unknown) => {}
                Some(_) => return Err(ledger.refused(format!("deed {id} has ended already"))),
            }
            let note = || {
                let (link, before) = head(&ledger.db)?;
                add(&ledger.db, DEED_END, end_row(link + 1, id, end), before, link + 1)
            };
            note().map_err(ledger.failed())
        })
    }

    /// The deed of this number.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn deed(&self, id: i64) -> Result<Option<Deed>, Error> {
        let beside = self.reserve.iter().flat_map(Reserve::deeds).find(|it| it.id == id);
        match beside {
            Some(deed) => Ok(Some(deed)),
            None => self.at_once(|ledger| ledger.deed_now(id).map_err(ledger.failed())),
        }
    }

    /// Deeds, the newest first.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn deeds(&self, filter: &DeedFilter) -> Result<Vec<Deed>, Error> {
        let limit = filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let mut beside: Vec<Deed> = self.reserve.iter().flat_map(Reserve::deeds).collect();
        beside.retain(|deed| filter.fits(deed));
        beside.reverse();
        let mut deeds = self.at_once(|ledger| {
            let account = filter.account.as_ref();
            let params = params![
                filter.server.as_deref().map(Bytes),
                account.map(|it| Bytes(&it.user)),
                account.map(|it| Bytes(&it.host)),
                filter.plan,
                filter.since,
                filter.until,
                limit
            ];
            ledger
                .select(
                    "WHERE (?1 IS NULL OR server = ?1) AND (?2 IS NULL OR user = ?2)
                       AND (?3 IS NULL OR host = ?3) AND (?4 IS NULL OR plan = ?4)
                       AND (?5 IS NULL OR begun_us >= ?5) AND (?6 IS NULL OR begun_us < ?6)
                     ORDER BY id DESC LIMIT ?7",
                    params,
                )
                .map_err(ledger.failed())
        })?;
        beside.append(&mut deeds);
        beside.truncate(filter.limit.unwrap_or(usize::MAX));
        Ok(beside)
    }

    /// Deeds that were begun and of which no end was noted, the oldest first: who did them was killed, or
    /// does them right now.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn unfinished_deeds(&self) -> Result<Vec<Deed>, Error> {
        self.at_once(|ledger| {
            ledger
                .select(
                    "WHERE NOT EXISTS (SELECT 1 FROM deed_end WHERE deed_end.deed = deed.id)
                     ORDER BY id",
                    [],
                )
                .map_err(ledger.failed())
        })
    }

    /// Deeds that were done, can be undone, and are not undone yet (some of them perhaps in part), the newest
    /// first. Those that undo others are none of them.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn undoable(&self, which: Undoable<'_>) -> Result<Vec<Deed>, Error> {
        self.at_once(|ledger| ledger.undoable_now(which).map_err(ledger.failed()))
    }

    /// Looks through the whole journal. `Some`: the number of the first deed that is not as it was noted, is
    /// missing, or follows a missing end of one; where it is at the end that something is missing, the number
    /// after the last.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn verify_journal(&self) -> Result<Option<i64>, Error> {
        self.at_once(|ledger| verify(&ledger.db).map_err(ledger.failed()))
    }

    /// How many links the journal has, and the hash of the last: with what was kept of it elsewhere it shows
    /// whether all of the journal was made anew.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn journal_head(&self) -> Result<(i64, [u8; 32]), Error> {
        head(&self.db).map_err(self.failed())
    }

    fn deed_now(&self, id: i64) -> rusqlite::Result<Option<Deed>> {
        Ok(self.select("WHERE id = ?1", [id])?.pop())
    }

    fn undoable_now(&self, which: Undoable<'_>) -> rusqlite::Result<Vec<Deed>> {
        const DONE: &str = "undo_of IS NULL AND undo <> x'' AND EXISTS (
            SELECT 1 FROM deed_end WHERE deed_end.deed = deed.id AND outcome = 'done')";
        let is_done = |deed: &Deed| deed.outcome == Outcome::Done;
        let mut deeds = match which {
            Undoable::Plan(plan) => {
                self.select(&format!("WHERE plan = ?1 AND {DONE} ORDER BY id DESC"), [plan])?
            }
            Undoable::Last => {
                let ids: Vec<i64> = self
                    .db
                    .prepare_cached(&format!("SELECT id FROM deed WHERE {DONE} ORDER BY id DESC"))?
                    .query_map([], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                let mut last = None;
                for id in ids {
                    last = self.deed_now(id)?.filter(is_done);
                    if last.is_some() {
                        break;
                    }
                }
                match last {
                    Some(Deed { intent: Intent { plan: Some(plan), .. }, .. }) => {
                        return self.undoable_now(Undoable::Plan(&plan));
                    }
                    last => last.into_iter().collect(),
                }
            }
        };
        deeds.retain(is_done);
        Ok(deeds)
    }

    /// Why this must not be begun.
    fn blocked(&self, intent: &Intent) -> rusqlite::Result<Option<String>> {
        let same = match (intent.undo_of, &intent.plan) {
            (Some(undone), _) => {
                let Some(deed) = self.deed_now(undone)? else {
                    return Ok(Some(format!("deed {undone} is not in the journal")));
                };
                if deed.outcome != Outcome::Done || deed.intent.undo_of.is_some() {
                    return Ok(Some(format!("deed {undone} cannot be undone: see its outcome")));
                }
                self.select("WHERE undo_of = ?1 AND sql = ?2", params![undone, intent.sql])?
            }
            (None, Some(plan)) => self.select(
                "WHERE plan = ?1 AND step = ?2 AND undo_of IS NULL AND server = ?3 AND sql = ?4",
                params![plan, intent.step, Bytes(&intent.server), intent.sql],
            )?,
            (None, None) => return Ok(None),
        };
        Ok(same.iter().find_map(|deed| match deed.outcome {
            Outcome::Begun => Some(format!(
                "deed {} is the same and has not ended: look what became of it first",
                deed.id
            )),
            Outcome::Done => Some(format!("deed {} is the same and was done", deed.id)),
            Outcome::Failed | Outcome::Unknown | Outcome::Undone => None,
        }))
    }

    /// Deeds with their ends.
    fn select(&self, how: &str, params: impl rusqlite::Params) -> rusqlite::Result<Vec<Deed>> {
        let mut query = self.db.prepare_cached(&format!(
            "SELECT id, plan, undo_of, step, server, user, host, kind, sql, undo, before, os_user,
               machine, ticket, begun_us FROM deed {how}"
        ))?;
        let mut deeds = query.query_map(params, deed)?.collect::<rusqlite::Result<Vec<Deed>>>()?;
        let mut ends = self.db.prepare_cached(
            "SELECT ended_us, outcome, error_code, detail FROM deed_end WHERE deed = ?1
             ORDER BY link DESC LIMIT 1",
        )?;
        let mut undoing = self.db.prepare_cached(
            "SELECT sql FROM deed WHERE undo_of = ?1 AND EXISTS (
               SELECT 1 FROM deed_end WHERE deed_end.deed = deed.id AND outcome = 'done')",
        )?;
        for deed in &mut deeds {
            let end = ends.query_row([deed.id], |row| {
                Ok((row.get(0)?, outcome(row.get_ref(1)?.as_str()?)?, row.get(2)?, row.get(3)?))
            });
            if let Some((ended, outcome, error_code, detail)) = end.optional()? {
                deed.ended_us = Some(ended);
                (deed.outcome, deed.error_code, deed.detail) = (outcome, error_code, detail);
            }
            if deed.outcome == Outcome::Done && !deed.intent.undo.is_empty() {
                let sent = undoing
                    .query_map([deed.id], |row| row.get(0))?
                    .collect::<rusqlite::Result<BTreeSet<Vec<u8>>>>()?;
                if deed.intent.undo.iter().all(|statement| sent.contains(statement)) {
                    deed.outcome = Outcome::Undone;
                }
            }
        }
        Ok(deeds)
    }
}

/// How a deed ended.
pub(crate) fn outcome(word: &str) -> rusqlite::Result<Outcome> {
    match word {
        "done" => Ok(Outcome::Done),
        "failed" => Ok(Outcome::Failed),
        "unknown" => Ok(Outcome::Unknown),
        _ => Err(damaged("an outcome in the journal")),
    }
}

/// The first fifteen columns as [`Ledger::select`] names them.
pub(crate) fn deed(row: &Row<'_>) -> rusqlite::Result<Deed> {
    let undo = unpack(row.get_ref(9)?.as_blob()?);
    let intent = Intent {
        plan: row.get(1)?,
        undo_of: row.get(2)?,
        step: row.get(3)?,
        server: name(row.get_ref(4)?),
        account: AccountName::new(name(row.get_ref(5)?), name(row.get_ref(6)?)),
        kind: row.get(7)?,
        sql: row.get(8)?,
        undo: undo.ok_or_else(|| damaged("undo in the journal"))?,
        before: row.get(10)?,
        os_user: row.get(11)?,
        host: row.get(12)?,
        ticket: row.get(13)?,
        begun_us: row.get(14)?,
    };
    let (outcome, detail) = (Outcome::Begun, String::new());
    Ok(Deed { id: row.get(0)?, intent, outcome, ended_us: None, error_code: None, detail })
}

/// Statements behind each other, each behind its length in 4 bytes, little-endian.
pub(crate) fn pack(statements: &[Vec<u8>]) -> Vec<u8> {
    let mut packed = Vec::new();
    for statement in statements {
        let length = u32::try_from(statement.len()).expect("SQL is shorter than 4 GiB");
        packed.extend(length.to_le_bytes());
        packed.extend(statement);
    }
    packed
}

pub(crate) fn unpack(mut packed: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut statements = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk() {
        let (statement, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        statements.push(statement.to_vec());
        packed = rest;
    }
    packed.is_empty().then_some(statements)
}

pub(crate) fn begin(db: &Connection, intent: &Intent) -> rusqlite::Result<i64> {
    let id: i64 = db
        .prepare_cached("SELECT coalesce(max(id), 0) + 1 FROM deed")?
        .query_row([], |row| row.get(0))?;
    let (link, before) = head(db)?;
    add(db, DEED, intent_row(id, link + 1, intent), before, link + 1)?;
    Ok(id)
}

/// What stands of it in the columns of [`DEED`].
pub(crate) fn intent_row(id: i64, link: i64, intent: &Intent) -> Vec<Value> {
    let text = |text: &str| Value::Text(text.to_owned());
    let optional = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
    vec![
        Value::Integer(id),
        Value::Integer(link),
        optional(&intent.plan),
        intent.undo_of.map_or(Value::Null, Value::Integer),
        Value::Integer(intent.step.into()),
        Bytes(&intent.server).value(),
        Bytes(&intent.account.user).value(),
        Bytes(&intent.account.host).value(),
        text(&intent.kind),
        Value::Blob(intent.sql.clone()),
        Value::Blob(pack(&intent.undo)),
        text(&intent.before),
        text(&intent.os_user),
        text(&intent.host),
        optional(&intent.ticket),
        Value::Integer(intent.begun_us),
    ]
}

/// What stands of an end in the columns of [`DEED_END`].
pub(crate) fn end_row(link: i64, deed: i64, end: &End) -> Vec<Value> {
    vec![
        Value::Integer(link),
        Value::Integer(deed),
        Value::Integer(end.ended_us),
        Value::Text(end.outcome.as_str().to_owned()),
        end.error_code.map_or(Value::Null, |code| Value::Integer(code.into())),
        Value::Text(end.detail.clone()),
    ]
}
