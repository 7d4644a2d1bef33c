//! Plans: what would be sent to servers, stored before anybody applies it.
//!
//! ```text
//! 7f3a-21 │ text, and its SHA-256 │ open ──► applied, partly, refused ──► undone
//! ```
//!
//! The text is made and read elsewhere: canonical JSON, opaque here.
//!
//! # Invariants
//! * Of a stored plan only the state changes: the schema refuses anything else, and a text that does not hash
//!   to what stands beside it is no plan.
//! * A plan with a deed is never forgotten.

use crate::brief::count;
use crate::error::Error;
use crate::reserve::{self, Record};
use crate::store::{Ledger, damaged};
use crate::timeline::DAY;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

/// How long a plan is kept that nothing was done of.
const IDLE_DAYS: i64 = 400;

/// How a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlanState {
    /// Nothing was done yet.
    Open,
    /// All of it was done.
    Applied,
    /// Some of it was done.
    Partly,
    /// What was done of it is undone.
    Undone,
    /// A fact that it rests on had changed: nothing was done, nor will be.
    Refused,
}

impl PlanState {
    /// All of them.
    pub const ALL: [PlanState; 5] = [
        PlanState::Open,
        PlanState::Applied,
        PlanState::Partly,
        PlanState::Undone,
        PlanState::Refused,
    ];

    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            PlanState::Open => "open",
            PlanState::Applied => "applied",
            PlanState::Partly => "partly",
            PlanState::Undone => "undone",
            PlanState::Refused => "refused",
        }
    }

    fn of(text: &str) -> Option<PlanState> {
        PlanState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A plan that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlan {
    /// SHA-256 of `text`.
    pub hash: [u8; 32],
    /// What it does: `lock`, `drop`, ….
    pub kind: String,
    /// Who made it.
    pub author: String,
    /// When, in microseconds UTC.
    pub made_us: i64,
    /// From when on it is not to be applied any more, in microseconds UTC.
    pub expires_us: i64,
    /// All of it, as canonical JSON.
    pub text: String,
}

/// A stored plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its short name: four hexadecimal digits, which make it hard to mistype, and a number.
    pub id: String,
    /// What it says.
    pub plan: NewPlan,
    /// How it stands.
    pub state: PlanState,
}

/// Which plans are asked for. The default is all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanFilter {
    /// Only those that stand so.
    pub state: Option<PlanState>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those made at this time or later, in microseconds UTC.
    pub since: Option<i64>,
    /// Only those made before this time, in microseconds UTC.
    pub until: Option<i64>,
    /// At most so many.
    pub limit: Option<usize>,
}

impl Ledger {
    /// Stores a plan, open, and tells its id.
    ///
    /// # Errors
    /// [`Error::Refused`] where the hash is not that of the text; where SQLite fails.
    pub fn store_plan(&mut self, plan: &NewPlan) -> Result<String, Error> {
        if Sha256::digest(&plan.text)[..] != plan.hash {
            return Err(self.refused("the hash of the plan is not that of its text"));
        }
        let write = |ledger: &mut Ledger| {
            ledger.briefly(|ledger| add(&ledger.db, plan, None).map_err(ledger.failed()))
        };
        self.or_reserve(write, |_| {
            let id = reserve::plan_id(plan);
            (id.clone(), Record::Plan(id, plan.clone()))
        })
    }

    /// The plan of this id, or the only one whose id begins so. `None`: there is none.
    ///
    /// # Errors
    /// [`Error::Refused`] where several begin so; [`Error::Damaged`] where it is not what was stored; where
    /// SQLite fails.
    pub fn plan(&self, id: &str) -> Result<Option<Plan>, Error> {
        if let Some(beside) = self.reserve.as_ref().and_then(|it| it.plan(id)) {
            return Ok(Some(beside));
        }
        let find = |how| -> Result<Vec<Plan>, Error> {
            let read = |db: &Connection| {
                let mut query = db.prepare_cached(&format!("{SELECT} WHERE {how} LIMIT 2"))?;
                query.query_map([id], plan)?.collect::<rusqlite::Result<Vec<Plan>>>()
            };
            read(&self.db).map_err(self.failed())
        };
        let mut found = find("id = ?1")?;
        if found.is_empty() && !id.is_empty() {
            found = find("substr(id, 1, length(?1)) = ?1")?;
        }
        if found.len() > 1 {
            return Err(self.refused("several plans begin so: name more of the id"));
        }
        let mut found = found.pop();
        if let (Some(plan), Some(reserve)) = (&mut found, &self.reserve)
            && let Some(state) = reserve.plan_state(&plan.id)
        {
            plan.state = state;
        }
        Ok(found)
    }

    /// Plans, the newest first.
    ///
    /// # Errors
    /// As [`Ledger::plan`].
    pub fn plans(&self, filter: &PlanFilter) -> Result<Vec<Plan>, Error> {
        let limit = filter.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let read = || {
            let mut query = self.db.prepare_cached(&format!(
                "{SELECT} WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR kind = ?2)
                   AND (?3 IS NULL OR made_us >= ?3) AND (?4 IS NULL OR made_us < ?4)
                 ORDER BY made_us DESC, number DESC LIMIT ?5"
            ))?;
            let state = filter.state.map(PlanState::as_str);
            let params = params![state, filter.kind, filter.since, filter.until, limit];
            query.query_map(params, plan)?.collect::<rusqlite::Result<Vec<Plan>>>()
        };
        read().map_err(self.failed())
    }

    /// Changes how a plan stands, where it stands in one of `from`. `false`: it stood otherwise, or there is
    /// no plan of this id; nothing was changed.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn set_plan_state(
        &mut self,
        id: &str,
        from: &[PlanState],
        to: PlanState,
    ) -> Result<bool, Error> {
        let stands = self.plan(id)?.map(|it| it.state);
        let write = |ledger: &mut Ledger| {
            ledger.briefly(|ledger| change_state(&ledger.db, id, from, to).map_err(ledger.failed()))
        };
        if !stands.is_some_and(|it| from.contains(&it)) {
            return Ok(false);
        }
        self.or_reserve(write, |_| (true, Record::PlanState(id.to_owned(), to)))
    }
}

impl Ledger {
    /// Plans of which something was sent, the oldest first.
    pub(crate) fn sent_plans(&self) -> rusqlite::Result<Vec<Plan>> {
        let mut query = self.db.prepare_cached(&format!(
            "{SELECT} WHERE id IN (SELECT plan FROM deed) ORDER BY number"
        ))?;
        query.query_map([], plan)?.collect()
    }
}

const SELECT: &str = "SELECT id, hash, kind, author, made_us, expires_us, text, state FROM plan";

fn plan(row: &Row<'_>) -> rusqlite::Result<Plan> {
    let id: String = row.get(0)?;
    let (hash, text): (Vec<u8>, String) = (row.get(1)?, row.get(6)?);
    let hash = <[u8; 32]>::try_from(hash).ok();
    let hash = hash.filter(|hash| Sha256::digest(&text)[..] == *hash);
    let state = PlanState::of(row.get_ref(7)?.as_str()?);
    let (Some(hash), Some(state)) = (hash, state) else {
        return Err(damaged("a plan is not what was stored"));
    };
    let plan = NewPlan {
        hash,
        kind: row.get(2)?,
        author: row.get(3)?,
        made_us: row.get(4)?,
        expires_us: row.get(5)?,
        text,
    };
    Ok(Plan { id, plan, state })
}

/// Stores a plan under this id, or under a new one.
pub(crate) fn add(
    db: &Connection,
    plan: &NewPlan,
    id: Option<&String>,
) -> rusqlite::Result<String> {
    let number = count(db, "plans_made")?;
    db.prepare_cached(
        "INSERT INTO plan (number, id, hash, kind, author, made_us, expires_us, state, text)
         VALUES (?1, coalesce(?9, lower(hex(randomblob(2))) || '-' || ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         RETURNING id",
    )?
    .query_row(
        params![
            number,
            &plan.hash[..],
            plan.kind,
            plan.author,
            plan.made_us,
            plan.expires_us,
            PlanState::Open.as_str(),
            plan.text,
            id
        ],
        |row| row.get(0),
    )
}

pub(crate) fn change_state(
    db: &Connection,
    id: &str,
    from: &[PlanState],
    to: PlanState,
) -> rusqlite::Result<bool> {
    let mut query = db.prepare_cached("SELECT state FROM plan WHERE id = ?1")?;
    let state: Option<String> = query.query_row([id], |row| row.get(0)).optional()?;
    if !state.is_some_and(|state| from.iter().any(|it| it.as_str() == state)) {
        return Ok(false);
    }
    db.prepare_cached("UPDATE plan SET state = ?2 WHERE id = ?1")?
        .execute(params![id, to.as_str()])?;
    Ok(true)
}

/// Forgets old plans that nothing was done of.
pub(crate) fn prune(db: &Connection, now: i64) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM plan WHERE max(made_us, expires_us) < ?1
           AND NOT EXISTS (SELECT 1 FROM deed WHERE deed.plan = plan.id)",
        [now.saturating_sub(IDLE_DAYS * DAY)],
    )?;
    Ok(())
}
