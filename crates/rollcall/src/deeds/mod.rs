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

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use ledger::{Deed, DeedFilter, Intent, Ledger, Outcome};
use live::server::LOCK_WAIT_SECONDS;
use verdict::account::AccountName;
use verdict::plan::DeedKind;

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

/// How long a change may take to arrive at the other members of a group.
pub(crate) const ARRIVES_MAX: Duration = Duration::from_secs(10);

/// How long a statement of a run that was ended may go on: the server waits for locks no longer.
const UNDER_WAY_MAX: Duration = Duration::from_secs(LOCK_WAIT_SECONDS as u64 + 5);

/// Finds out what became of deeds of a plan that were begun and not ended, by looking at their servers. Returned
/// are servers that could not be looked at, with why: nothing more may be done there before.
///
/// # Errors
/// Where the ledger fails.
fn settle(
    ledger: &mut Ledger,
    plan: &str,
    rebuilds: &Rebuilds,
    reach: &mut Reach<'_>,
    doer: &Doer,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut unsettled = BTreeMap::new();
    for deed in open_deeds(ledger, plan)? {
        let server = server_of(&deed);
        if unsettled.contains_key(&server) {
            continue;
        }
        let looked = reach(&server).and_then(|mut hands| {
            check_server(&deed, hands.as_ref())?;
            ending(&deed, rebuilds, hands.as_mut())
        });
        match looked {
            Ok((outcome, shown)) => {
                let detail = format!("an earlier run was interrupted; {shown}");
                ledger.end_deed(deed.id, (doer.clock)(), outcome, None, &detail)?;
            }
            Err(why) => drop(unsettled.insert(server, why)),
        }
    }
    Ok(unsettled)
}

/// Deeds of a plan that were begun and not ended, the oldest first.
fn open_deeds(ledger: &Ledger, plan: &str) -> anyhow::Result<Vec<Deed>> {
    let filter = DeedFilter { plan: Some(plan.to_owned()), ..DeedFilter::default() };
    let mut deeds = ledger.deeds(&filter)?;
    deeds.retain(|it| matches!(it.outcome, Outcome::Begun | Outcome::Unknown));
    deeds.reverse();
    Ok(deeds)
}

fn server_of(deed: &Deed) -> String {
    String::from_utf8_lossy(&deed.intent.server).into_owned()
}

/// It is the server that the deed was sent to, as far as that was noted.
fn check_server(deed: &Deed, hands: &dyn Hands) -> Result<(), String> {
    match form::server_before(&deed.intent.before) {
        Some(before) if hands.identity().is_other(&before) => Err(format!(
            "{}: another server answers under this name than the one that was changed ({before}): nothing is taken \
             back here; make a plan for it",
            server_of(deed)
        )),
        _ => Ok(()),
    }
}

/// What the server shows of a deed whose end nobody saw, once no session is at it any more. An account of which
/// only a part was made anew is completed.
fn ending(
    deed: &Deed,
    rebuilds: &Rebuilds,
    hands: &mut dyn Hands,
) -> Result<(Outcome, String), String> {
    let Intent { account, sql, kind, .. } = &deed.intent;
    if !wait(UNDER_WAY_MAX, || Ok(!hands.is_under_way(sql)?))? {
        return Err(format!(
            "{}: the statement of deed {} is still being carried out there: see what it waits for, then run \
             again",
            server_of(deed),
            deed.id
        ));
    }
    let looked = hands.look(account)?;
    let locked = looked.as_ref().and_then(|it| it.facts.locked);
    let is_done = match kind.as_str() {
        "lock" => locked == Some(true),
        "unlock" => locked == Some(false),
        "drop" => looked.is_none(),
        "revoke" => hands.shows(DeedKind::Revoke, account, sql)?,
        "grant" => hands.shows(DeedKind::Grant, account, sql)?,
        "create" if looked.is_some() => {
            let statements = rebuilds.read(&String::from_utf8_lossy(sql))?;
            return match hands.complete(account, statements) {
                Sent::Done(_) => Ok((Outcome::Done, "it was completed".to_owned())),
                Sent::Refused(_, why) => Ok((Outcome::Failed, why)),
                Sent::Unknown(why) => Err(why),
            };
        }
        "create" => false,
        // Whether a session has ended by our hand nobody can tell; it is not undone either.
        _ => true,
    };
    Ok(match is_done {
        true => (Outcome::Done, "the server shows it done".to_owned()),
        false => (Outcome::Failed, "the server shows it not done".to_owned()),
    })
}

/// Looks once more, in a session of its own, where the end of a statement was not seen.
fn look_again(
    ledger: &mut Ledger,
    step: &mut StepDone,
    rebuilds: &Rebuilds,
    reach: &mut Reach<'_>,
    doer: &Doer,
) -> anyhow::Result<()> {
    let Some(deed) = step.deed.map(|id| ledger.deed(id)).transpose()?.flatten() else {
        return Ok(());
    };
    let looked = reach(&step.server).and_then(|mut hands| ending(&deed, rebuilds, hands.as_mut()));
    match looked {
        Ok((outcome, shown)) => {
            step.detail = format!("{}; {shown}", step.detail);
            step.outcome = apply::step_outcome(outcome);
            ledger.end_deed(deed.id, (doer.clock)(), outcome, None, &step.detail)?;
        }
        Err(why) => step.detail = format!("{}; {why}", step.detail),
    }
    Ok(())
}

/// Waits until a look shows what is wanted; `false`: it did not in that time.
pub(crate) fn wait(
    longest: Duration,
    mut look: impl FnMut() -> Result<bool, String>,
) -> Result<bool, String> {
    let begun = Instant::now();
    loop {
        if look()? {
            return Ok(true);
        }
        if begun.elapsed() >= longest {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(100).min(longest));
    }
}

/// One run does deeds on a ledger at a time: another would take what this one has begun for interrupted.
pub(crate) fn guard(ledger: &Path) -> anyhow::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let mut path = ledger.as_os_str().to_owned();
    path.push(".deeds");
    let path = Path::new(&path);
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(|error| anyhow!("{} cannot be opened: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("another rollcall is sending or undoing a plan right now: wait for it")
        }
        Err(std::fs::TryLockError::Error(error)) => {
            bail!("{} cannot be locked: {error}", path.display())
        }
    }
}
