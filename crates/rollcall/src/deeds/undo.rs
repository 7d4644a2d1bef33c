//! What rollcall did is taken back, and nothing else.

use std::collections::BTreeMap;

use anyhow::bail;
use ledger::{Deed, Intent, Ledger, Outcome, PlanState, Undoable};
use verdict::plan::{DeedKind, Way};

use super::apply::{outcome, step_outcome};
use super::{Doer, Done, Hands, Reach, Rebuilds, StepDone, StepOutcome, settle};

/// Takes back what was done by the plan of this id, the newest first. What somebody else has changed since
/// stays as it is.
///
/// # Errors
/// Where nothing could be done at all.
pub(crate) fn undo(
    ledger: &mut Ledger,
    plan: &str,
    rebuilds: &Rebuilds,
    reach: &mut Reach<'_>,
    doer: &Doer,
) -> anyhow::Result<Done> {
    settle(ledger, plan, reach, doer)?;
    let deeds = ledger.undoable(Undoable::Plan(plan))?;
    if deeds.is_empty() {
        bail!("there is nothing to undo of plan {plan}: rollcall journal --plan {plan}");
    }
    let mut done = Done { plan: plan.to_owned(), is_undo: true, ..Done::default() };
    let mut servers: BTreeMap<String, Box<dyn Hands>> = BTreeMap::new();
    for deed in deeds {
        let server = String::from_utf8_lossy(&deed.intent.server).into_owned();
        if !servers.contains_key(&server) {
            match reach(&server) {
                Ok(hands) => {
                    servers.insert(server.clone(), hands);
                }
                Err(text) => {
                    done.steps.push(one(&deed, None, "", StepOutcome::Skipped, &text));
                    continue;
                }
            }
        }
        let hands = servers.get_mut(&server).expect("it was reached").as_mut();
        done.steps.extend(take_back(ledger, &deed, rebuilds, hands, doer)?);
    }
    if done.is_good() {
        let from = [PlanState::Applied, PlanState::Partly];
        ledger.set_plan_state(plan, &from, PlanState::Undone)?;
    }
    Ok(done)
}

fn one(deed: &Deed, id: Option<i64>, sql: &str, outcome: StepOutcome, detail: &str) -> StepDone {
    StepDone {
        deed: id,
        server: String::from_utf8_lossy(&deed.intent.server).into_owned(),
        account: deed.intent.account.clone(),
        statement: if sql.is_empty() {
            format!("undo of deed {}", deed.id)
        } else {
            sql.to_owned()
        },
        outcome,
        detail: detail.to_owned(),
    }
}

/// Takes one deed back.
fn take_back(
    ledger: &mut Ledger,
    deed: &Deed,
    rebuilds: &Rebuilds,
    hands: &mut dyn Hands,
    doer: &Doer,
) -> anyhow::Result<Vec<StepDone>> {
    let account = &deed.intent.account;
    let skipped = |text: &str| Ok(vec![one(deed, None, "", StepOutcome::Skipped, text)]);
    let looked = match hands.look(account) {
        Ok(looked) => looked,
        Err(text) => return skipped(&text),
    };
    let locked = looked.as_ref().and_then(|it| it.facts.locked);
    match (DeedKind::parse(&deed.intent.kind), locked) {
        (Some(DeedKind::Lock), Some(true)) => unlock(ledger, deed, DeedKind::Unlock, hands, doer),
        (Some(DeedKind::Unlock), Some(false)) => unlock(ledger, deed, DeedKind::Lock, hands, doer),
        (Some(DeedKind::Lock | DeedKind::Unlock), Some(_)) => {
            note_as_it_is(ledger, deed, doer, "somebody else has done so already")
        }
        (Some(DeedKind::Lock | DeedKind::Unlock), None) if looked.is_none() => {
            note_as_it_is(ledger, deed, doer, "the account is not there any more")
        }
        (Some(DeedKind::Drop), _) if looked.is_some() => {
            skipped("somebody has made an account of this name anew: it stays as it is")
        }
        (Some(DeedKind::Drop), _) => make_anew(ledger, deed, rebuilds, hands, doer),
        _ => skipped("whether the account is locked cannot be read"),
    }
}

fn unlock(
    ledger: &mut Ledger,
    deed: &Deed,
    kind: DeedKind,
    hands: &mut dyn Hands,
    doer: &Doer,
) -> anyhow::Result<Vec<StepDone>> {
    let account = &deed.intent.account;
    let sql = kind.statement(account, Way::of(&deed.intent.sql));
    let id = ledger.begin_deed(&intent(deed, kind.as_str(), sql.clone(), doer))?;
    let (outcome, code, detail) = outcome(hands.send(kind, account, &sql));
    ledger.end_deed(id, (doer.clock)(), outcome, code, &detail)?;
    let text = String::from_utf8_lossy(&sql);
    Ok(vec![one(deed, Some(id), &text, step_outcome(outcome), &detail)])
}

/// Nothing is left to be done: that is noted, so that the deed counts as undone.
fn note_as_it_is(
    ledger: &mut Ledger,
    deed: &Deed,
    doer: &Doer,
    why: &str,
) -> anyhow::Result<Vec<StepDone>> {
    let undo = deed.intent.undo.first().cloned().unwrap_or_default();
    let id = ledger.begin_deed(&intent(deed, "none", undo, doer))?;
    ledger.end_deed(id, (doer.clock)(), Outcome::Done, None, why)?;
    Ok(vec![one(deed, Some(id), "", StepOutcome::Before, why)])
}

/// Makes a dropped account anew, by the statements that were stored before it was dropped.
fn make_anew(
    ledger: &mut Ledger,
    deed: &Deed,
    rebuilds: &Rebuilds,
    hands: &mut dyn Hands,
    doer: &Doer,
) -> anyhow::Result<Vec<StepDone>> {
    let reference = deed.intent.undo.first().cloned().unwrap_or_default();
    let text = String::from_utf8_lossy(&reference).into_owned();
    let statements = match rebuilds.read(&text) {
        Ok(statements) => statements,
        Err(why) => return Ok(vec![one(deed, None, "", StepOutcome::Skipped, &why)]),
    };
    let id = ledger.begin_deed(&intent(deed, "create", reference, doer))?;
    let (outcome, code, detail) = outcome(hands.rebuild(&deed.intent.account, statements));
    ledger.end_deed(id, (doer.clock)(), outcome, code, &detail)?;
    Ok(vec![one(deed, Some(id), &text, step_outcome(outcome), &detail)])
}

fn intent(deed: &Deed, kind: &str, sql: Vec<u8>, doer: &Doer) -> Intent {
    Intent {
        plan: deed.intent.plan.clone(),
        undo_of: Some(deed.id),
        step: deed.intent.step,
        server: deed.intent.server.clone(),
        account: deed.intent.account.clone(),
        kind: kind.to_owned(),
        sql,
        undo: Vec::new(),
        before: "{}".to_owned(),
        os_user: doer.os_user.clone(),
        host: doer.host.clone(),
        ticket: deed.intent.ticket.clone(),
        begun_us: (doer.clock)(),
    }
}
