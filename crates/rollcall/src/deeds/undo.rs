//! What rollcall did is taken back, and nothing else.

use std::collections::BTreeMap;

use anyhow::bail;
use ledger::{
    AccountChange, ChangeKind, Deed, DeedFilter, Intent, Ledger, Outcome, PlanState, Undoable,
};
use verdict::plan::{DeedKind, Way};

use super::apply::{outcome, step_outcome};
use super::{
    Doer, Done, Hands, Reach, Rebuilds, StepDone, StepOutcome, look_again, open_deeds, server_of,
    settle,
};
use crate::time::utc_text;

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
    let mut unreached = settle(ledger, plan, rebuilds, reach, doer)?;
    let deeds = ledger.undoable(Undoable::Plan(plan))?;
    let mut done = Done { plan: plan.to_owned(), is_undo: true, ..Done::default() };
    for deed in open_deeds(ledger, plan)? {
        let why = unreached.get(&server_of(&deed)).map_or("", |it| it.as_str());
        let sql = String::from_utf8_lossy(&deed.intent.sql);
        done.steps.push(one(&deed, Some(deed.id), &sql, StepOutcome::Unknown, why));
    }
    if deeds.is_empty() && done.steps.is_empty() {
        bail!("there is nothing to undo of plan {plan}: rollcall journal --plan {plan}");
    }
    let mut servers: BTreeMap<String, Box<dyn Hands>> = BTreeMap::new();
    for deed in deeds {
        let server = server_of(&deed);
        if !servers.contains_key(&server) && !unreached.contains_key(&server) {
            match reach(&server) {
                Ok(hands) => drop(servers.insert(server.clone(), hands)),
                Err(why) => drop(unreached.insert(server.clone(), why)),
            }
        }
        if let Some(why) = unreached.get(&server) {
            done.steps.push(one(&deed, None, "", StepOutcome::Skipped, why));
            continue;
        }
        let hands = servers.get_mut(&server).expect("it was reached").as_mut();
        let mut step = take_back(ledger, &deed, rebuilds, hands, doer)?;
        if step.outcome == StepOutcome::Unknown {
            look_again(ledger, &mut step, rebuilds, reach, doer)?;
            let why = format!("{server}: the connection broke before: run again");
            unreached.insert(server, why);
        }
        done.steps.push(step);
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
) -> anyhow::Result<StepDone> {
    let account = &deed.intent.account;
    let skipped = |text: &str| Ok(one(deed, None, "", StepOutcome::Skipped, text));
    let looked = match hands.look(account) {
        Ok(looked) => looked,
        Err(text) => return skipped(&text),
    };
    let locked = looked.as_ref().and_then(|it| it.facts.locked);
    let back = match (DeedKind::parse(&deed.intent.kind), locked) {
        (Some(DeedKind::Lock), Some(true)) => DeedKind::Unlock,
        (Some(DeedKind::Unlock), Some(false)) => DeedKind::Lock,
        (Some(DeedKind::Lock | DeedKind::Unlock), Some(_)) => {
            return note_as_it_is(ledger, deed, doer, "somebody else has done so already");
        }
        (Some(DeedKind::Lock | DeedKind::Unlock), None) if looked.is_none() => {
            return note_as_it_is(ledger, deed, doer, "the account is not there any more");
        }
        (Some(DeedKind::Drop), _) if looked.is_some() => {
            return skipped("somebody has made an account of this name anew: it stays as it is");
        }
        (Some(DeedKind::Drop), _) => return make_anew(ledger, deed, rebuilds, hands, doer),
        _ => return skipped("whether the account is locked cannot be read"),
    };
    match taken_over(ledger, deed)? {
        Some(why) => note_as_it_is(ledger, deed, doer, &why),
        None => send(ledger, deed, back, hands, doer),
    }
}

/// Why an account that is as a deed has left it is so by somebody else's hand; `None` where nothing tells so:
/// servers do not say who has locked an account, and when.
fn taken_over(ledger: &Ledger, deed: &Deed) -> anyhow::Result<Option<String>> {
    let Intent { server, account, kind, .. } = &deed.intent;
    let is_lock = kind == "lock";
    let word = if is_lock { "unlocked" } else { "locked" };
    let filter = DeedFilter {
        server: Some(server.clone()),
        account: Some(account.clone()),
        ..DeedFilter::default()
    };
    let undoes = |later: &Deed| match later.intent.kind.as_str() {
        "lock" => !is_lock,
        "unlock" => is_lock,
        kind => kind == "drop",
    };
    let later = ledger.deeds(&filter)?.into_iter().find(|it| {
        it.id > deed.id && undoes(it) && matches!(it.outcome, Outcome::Done | Outcome::Undone)
    });
    if let Some(later) = later {
        return Ok(Some(format!("deed {} has done so since: it stays as it is", later.id)));
    }
    let since = deed.ended_us.unwrap_or(deed.intent.begun_us);
    let is_other = |change: &AccountChange| {
        change.noticed_us > since
            && match change.kind {
                ChangeKind::Unlocked => is_lock,
                ChangeKind::Locked => !is_lock,
                kind => matches!(kind, ChangeKind::Created | ChangeKind::Dropped),
            }
    };
    let history = ledger.account_history(server, Some(account))?;
    Ok(history.iter().find(|it| is_other(it)).map(|change| {
        let what = match change.kind {
            ChangeKind::Created | ChangeKind::Dropped => "dropped or made anew",
            _ => word,
        };
        format!(
            "it was {what} meanwhile (noticed {}), and then {} by somebody else: it stays as it is",
            utc_text(change.noticed_us),
            if is_lock { "locked" } else { "unlocked" },
        )
    }))
}

fn send(
    ledger: &mut Ledger,
    deed: &Deed,
    kind: DeedKind,
    hands: &mut dyn Hands,
    doer: &Doer,
) -> anyhow::Result<StepDone> {
    let account = &deed.intent.account;
    let sql = kind.statement(account, Way::of(&deed.intent.sql));
    let id = ledger.begin_deed(&intent(deed, kind.as_str(), sql.clone(), doer))?;
    let (outcome, code, detail) = outcome(hands.send(kind, account, &sql));
    ledger.end_deed(id, (doer.clock)(), outcome, code, &detail)?;
    let text = String::from_utf8_lossy(&sql);
    Ok(one(deed, Some(id), &text, step_outcome(outcome), &detail))
}

/// Nothing is left to be done: that is noted, so that the deed counts as undone.
fn note_as_it_is(
    ledger: &mut Ledger,
    deed: &Deed,
    doer: &Doer,
    why: &str,
) -> anyhow::Result<StepDone> {
    let undo = deed.intent.undo.first().cloned().unwrap_or_default();
    let id = ledger.begin_deed(&intent(deed, "none", undo, doer))?;
    ledger.end_deed(id, (doer.clock)(), Outcome::Done, None, why)?;
    Ok(one(deed, Some(id), "", StepOutcome::Before, why))
}

/// Makes a dropped account anew, by the statements that were stored before it was dropped.
fn make_anew(
    ledger: &mut Ledger,
    deed: &Deed,
    rebuilds: &Rebuilds,
    hands: &mut dyn Hands,
    doer: &Doer,
) -> anyhow::Result<StepDone> {
    let reference = deed.intent.undo.first().cloned().unwrap_or_default();
    let text = String::from_utf8_lossy(&reference).into_owned();
    let statements = match rebuilds.read(&text) {
        Ok(statements) => statements,
        Err(why) => return Ok(one(deed, None, "", StepOutcome::Skipped, &why)),
    };
    let id = ledger.begin_deed(&intent(deed, "create", reference, doer))?;
    let (outcome, code, detail) = outcome(hands.rebuild(&deed.intent.account, statements));
    ledger.end_deed(id, (doer.clock)(), outcome, code, &detail)?;
    Ok(one(deed, Some(id), &text, step_outcome(outcome), &detail))
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
