//! Deeds: plans become statements on servers, each noted in the journal before it is sent, and can be taken
//! back.
//!
//! ```text
//! verdict::plan ─ steps ─► form ─ text, hash ─► ledger (and a file)
//! ledger, file ─► form ─► apply: all facts looked at once more ─► journal ─ send ─ read back ─ journal
//! journal ─► undo: what rollcall did, and nothing else
//! ```
//!
//! # Invariants
//! * Nothing is sent that is not in the journal, on the disk.
//! * Nothing of a plan is sent where one of its facts is another now.
//! * What an interrupted run left open is found out by looking at the server before anything else is done.

mod apply;
mod form;
mod hands;
mod rebuild;
#[cfg(test)]
mod tests;
mod undo;

pub(crate) use apply::{Order, apply};
pub(crate) use form::{Basis, Making, PLAN_BYTES_MAX, Plan};
pub(crate) use hands::{Hands, Looked, Sent, Session};
pub(crate) use rebuild::Rebuilds;
pub(crate) use undo::undo;

use ledger::{Deed, Ledger, Outcome};
use verdict::account::AccountName;

/// Who does it, and by which clock, in microseconds UTC.
#[derive(Debug, Clone)]
pub(crate) struct Doer {
    pub(crate) os_user: String,
    pub(crate) host: String,
    pub(crate) clock: fn() -> i64,
}

/// Reaches the server of this name.
pub(crate) type Reach<'a> = dyn FnMut(&str) -> Result<Box<dyn Hands>, String> + 'a;

/// What became of a plan, or of its undoing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Done {
    pub(crate) plan: String,
    pub(crate) is_undo: bool,
    pub(crate) steps: Vec<StepDone>,
}

/// What became of one statement.
#[derive(Debug, Clone)]
pub(crate) struct StepDone {
    /// Its number in the journal; `None` where it was not even begun.
    pub(crate) deed: Option<i64>,
    pub(crate) server: String,
    pub(crate) account: AccountName,
    pub(crate) statement: String,
    pub(crate) outcome: StepOutcome,
    pub(crate) detail: String,
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepOutcome {
    /// Sent, and the server shows it.
    Done,
    /// Done before.
    Before,
    /// The server refused it, or did not do it.
    Failed,
    /// Sent, and what became of it could not be seen.
    Unknown,
    /// Not sent.
    Skipped,
}

impl StepOutcome {
    /// The word used in every output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            StepOutcome::Done => "done",
            StepOutcome::Before => "done before",
            StepOutcome::Failed => "FAILED",
            StepOutcome::Unknown => "UNKNOWN",
            StepOutcome::Skipped => "not sent",
        }
    }
}

impl StepDone {
    /// Is all as it should be now?
    pub(crate) fn is_good(&self) -> bool {
        matches!(self.outcome, StepOutcome::Done | StepOutcome::Before)
    }
}

impl Done {
    /// Is all as it should be now?
    pub(crate) fn is_good(&self) -> bool {
        self.steps.iter().all(StepDone::is_good)
    }
}

/// Finds out what became of deeds of a plan that were begun and not ended, by looking at their servers.
///
/// # Errors
/// Where one cannot be looked at: nothing more may be done before.
fn settle(
    ledger: &mut Ledger,
    plan: &str,
    reach: &mut Reach<'_>,
    doer: &Doer,
) -> anyhow::Result<()> {
    let filter =
        ledger::DeedFilter { plan: Some(plan.to_owned()), ..ledger::DeedFilter::default() };
    let is_open = |it: &Deed| matches!(it.outcome, Outcome::Begun | Outcome::Unknown);
    for deed in ledger.deeds(&filter)?.into_iter().rev().filter(is_open) {
        let server = String::from_utf8_lossy(&deed.intent.server).into_owned();
        let mut hands = reach(&server).map_err(anyhow::Error::msg)?;
        let looked = hands.look(&deed.intent.account).map_err(anyhow::Error::msg)?;
        let locked = looked.as_ref().and_then(|it| it.facts.locked);
        let is_done = match deed.intent.kind.as_str() {
            "lock" => locked == Some(true),
            "unlock" => locked == Some(false),
            "drop" => looked.is_none(),
            "create" => looked.is_some(),
            // Whether a session has ended by our hand nobody can tell; it is not undone either.
            _ => true,
        };
        let (outcome, detail) = match is_done {
            true => (Outcome::Done, "an earlier run was interrupted; the server shows it done"),
            false => {
                (Outcome::Failed, "an earlier run was interrupted; the server shows it not done")
            }
        };
        ledger.end_deed(deed.id, (doer.clock)(), outcome, None, detail)?;
    }
    Ok(())
}
