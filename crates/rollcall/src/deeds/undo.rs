//! What rollcall did is taken back, and nothing else.

use std::collections::BTreeMap;

use anyhow::bail;
use ledger::{
    AccountChange, ChangeKind, Deed, DeedFilter, Intent, Ledger, Outcome, PlanState, Undoable,
};
use verdict::plan::{DeedKind, Way};

use super::apply::{outcome, step_outcome};
use super::form::{before_undo, password_before};
use super::{
    Doer, Done, Hands, Looked, Reach, Rebuilds, StepDone, StepOutcome, check_server, look_again,
    open_deeds, server_of, settle,
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
    let looked = match check_server(deed, hands).and_then(|()| hands.look(account)) {
        Ok(looked) => looked,
        Err(text) => return skipped(&text),
    };
    if deed.intent.kind == DeedKind::Revoke.as_str() {
        return give_back(ledger, deed, looked.as_ref(), hands, doer);
    }
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
        (Some(DeedKind::Drop), _) if looked.is_some() && !is_half_made(ledger, deed)? => {
            return skipped("somebody has made an account of this name anew: it stays as it is");
        }
        (Some(DeedKind::Drop), _) => {
            return make_anew(ledger, deed, rebuilds, hands, looked.is_some(), doer);
        }
        _ => return skipped("whether the account is locked cannot be read"),
    };
    // A lock that stands on it now may be of whoever made it anew.
    let password = looked.and_then(|it| it.facts.password_changed);
    let before = password_before(&deed.intent.before);
    if back == DeedKind::Unlock && before.is_some_and(|it| Some(it) != password) {
        return skipped(
            "its password was changed since, so it may be another account of this name: unlock it by hand \
             (rollcall unlock --anyway)",
        );
    }
    match taken_over(ledger, deed)? {
        Some(why) => note_as_it_is(ledger, deed, doer, &why),
        None => {
            let sql = back.statement(account, Way::of(&deed.intent.sql));
            send(ledger, deed, back, sql, hands, doer)
        }
    }
}

/// Grants what a deed has revoked, to the account it was revoked from.
fn give_back(
    ledger: &mut Ledger,
    deed: &Deed,
    looked: Option<&Looked>,
    hands: &mut dyn Hands,
    doer: &Doer,
) -> anyhow::Result<StepDone> {
    let account = &deed.intent.account;
    let skipped = |text: &str| Ok(one(deed, None, "", StepOutcome::Skipped, text));
    let Some(looked) = looked else {
        return note_as_it_is(ledger, deed, doer, "the account is not there any more");
    };
    let sql = deed.intent.undo.first().cloned().unwrap_or_default();
    match hands.shows(DeedKind::Grant, account, &sql) {
        Ok(true) => {
            return note_as_it_is(ledger, deed, doer, "somebody else has done so already");
        }
        Ok(false) => {}
        Err(text) => return skipped(&text),
    }
    // Whoever made it anew has given it what it should have.
    let before = password_before(&deed.intent.before);
    if before.is_some_and(|it| Some(it) != looked.facts.password_changed) {
        return skipped(
            "its password was changed since, so it may be another account of this name: grant by hand what it \
             should have (rollcall journal tells what was revoked)",
        );
    }
    match taken_over(ledger, deed)? {
        Some(why) => note_as_it_is(ledger, deed, doer, &why),
        None => send(ledger, deed, DeedKind::Grant, sql, hands, doer),
    }
}

/// Why an account that is as a deed has left it is so by another hand; `None` where nothing tells so: servers do
/// not say who has locked an account, nor when.
fn taken_over(ledger: &Ledger, deed: &Deed) -> anyhow::Result<Option<String>> {
    let Intent { server, account, kind, .. } = &deed.intent;
    let against = match kind.as_str() {
        "lock" => "unlock",
        "revoke" => "grant",
        _ => "lock",
    };
    let filter = DeedFilter {
        server: Some(server.clone()),
        account: Some(account.clone()),
        ..DeedFilter::default()
    };
    let mut later = ledger.deeds(&filter)?;
    later.retain(|it| it.id > deed.id && matches!(it.outcome, Outcome::Done | Outcome::Undone));
    // What was undone is as if it had not been done.
    let done = later.iter().find(|it| {
        it.outcome == Outcome::Done
            && it.intent.undo_of.is_none()
            && [against, "drop"].contains(&it.intent.kind.as_str())
    });
    if let Some(done) = done {
        return Ok(Some(format!("deed {} has done so since: it stays as it is", done.id)));
    }
    let since = deed.ended_us.unwrap_or(deed.intent.begun_us);
    let history = ledger.account_history(server, Some(account))?;
    let other = history.iter().find(|change| {
        let (kind, _) = noticed(change.kind);
        change.noticed_us > since
            && [against, "drop", "create"].contains(&kind)
            && !later.iter().any(|it| it.intent.kind == kind && is_within(it, change))
    });
    Ok(other.map(|change| {
        format!(
            "it was {} meanwhile (noticed {}), and not by rollcall: it stays as it is",
            noticed(change.kind).1,
            utc_text(change.noticed_us),
        )
    }))
}

/// The kind of deed that makes such a change, and what it makes.
fn noticed(change: ChangeKind) -> (&'static str, &'static str) {
    match change {
        ChangeKind::Locked => ("lock", "locked"),
        ChangeKind::Unlocked => ("unlock", "unlocked"),
        ChangeKind::Dropped => ("drop", "dropped"),
        ChangeKind::Created => ("create", "made anew"),
        _ => ("", ""),
    }
}

/// Whether a deed can have made a change that was noticed.
fn is_within(deed: &Deed, change: &AccountChange) -> bool {
    let ended = deed.ended_us.unwrap_or(deed.intent.begun_us);
    deed.intent.begun_us <= change.noticed_us && change.since_us.is_none_or(|at| ended >= at)
}

fn send(
    ledger: &mut Ledger,
    deed: &Deed,
    kind: DeedKind,
    sql: Vec<u8>,
    hands: &mut dyn Hands,
    doer: &Doer,
) -> anyhow::Result<StepDone> {
    let account = &deed.intent.account;
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

/// Whether an earlier try has made a dropped account anew in part.
fn is_half_made(ledger: &Ledger, deed: &Deed) -> anyhow::Result<bool> {
    let filter = DeedFilter { plan: deed.intent.plan.clone(), ..DeedFilter::default() };
    let tries = ledger.deeds(&filter)?;
    Ok(tries.iter().any(|it| it.intent.undo_of == Some(deed.id) && it.outcome == Outcome::Failed))
}

/// Makes a dropped account anew, by the statements that were stored before it was dropped, or completes it.
fn make_anew(
    ledger: &mut Ledger,
    deed: &Deed,
    rebuilds: &Rebuilds,
    hands: &mut dyn Hands,
    is_begun: bool,
    doer: &Doer,
) -> anyhow::Result<StepDone> {
    let reference = deed.intent.undo.first().cloned().unwrap_or_default();
    let text = String::from_utf8_lossy(&reference).into_owned();
    let statements = match rebuilds.read(&text) {
        Ok(statements) => statements,
        Err(why) => return Ok(one(deed, None, "", StepOutcome::Skipped, &why)),
    };
    let id = ledger.begin_deed(&intent(deed, "create", reference, doer))?;
    let account = &deed.intent.account;
    let (outcome, code, detail) = outcome(match is_begun {
        true => hands.complete(account, statements),
        false => hands.rebuild(account, statements),
    });
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
        before: before_undo(&deed.intent.before),
        os_user: doer.os_user.clone(),
        host: doer.host.clone(),
        ticket: deed.intent.ticket.clone(),
        begun_us: (doer.clock)(),
    }
}
