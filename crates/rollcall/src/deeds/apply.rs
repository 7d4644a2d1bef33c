//! A plan is sent: exactly what it says, or nothing where a fact it rests on is another now.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use anyhow::{anyhow, bail};
use ledger::{Deed, DeedFilter, Intent, Ledger, Outcome, PlanState};
use verdict::account::AccountName;
use verdict::plan::growth::opposite;
use verdict::plan::{DeedKind, Way};

use super::form::{self, PlanStep};
use super::{
    Basis, Doer, Done, Hands, Looked, Plan, Reach, Rebuilds, Sent, Session, StepDone, StepOutcome,
    look_again, settle,
};
use crate::time::utc_text;

/// What is sent, and how.
pub(crate) struct Order<'a> {
    /// The plan as the ledger has it.
    pub(crate) id: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) state: PlanState,
    /// The sessions of the accounts are ended as well.
    pub(crate) kill_sessions: bool,
    pub(crate) rebuilds: &'a Rebuilds,
    /// Whether two servers are of one group, in which changes may arrive by replication.
    pub(crate) are_grouped: &'a dyn Fn(&str, &str) -> bool,
    /// How long that may take: [`ARRIVES_MAX`](super::ARRIVES_MAX).
    pub(crate) patience: Duration,
}

/// Sends a plan. What was done of it before is not sent again.
///
/// # Errors
/// Where nothing may be sent at all. What became of single statements is in what is returned.
pub(crate) fn apply(
    ledger: &mut Ledger,
    order: &Order<'_>,
    reach: &mut Reach<'_>,
    doer: &Doer,
) -> anyhow::Result<Done> {
    let Order { id, plan, .. } = order;
    match order.state {
        PlanState::Open | PlanState::Partly => {}
        PlanState::Applied => bail!("plan {id} was applied already: rollcall journal --plan {id}"),
        PlanState::Undone => bail!("plan {id} was undone: make a new one"),
        PlanState::Refused => bail!("plan {id} was refused, as a fact had changed: make a new one"),
    }
    if plan.expires() <= (doer.clock)() {
        bail!("plan {id} was good until {}: make a new one", utc_text(plan.expires()));
    }
    let kind = plan.kind().ok_or_else(|| anyhow!("plan {id} says nothing that can be done"))?;
    let unsettled = settle(ledger, id, order.rebuilds, reach, doer)?;
    let filter = DeedFilter { plan: Some((*id).to_owned()), ..DeedFilter::default() };
    let mut before = ledger.deeds(&filter)?;
    before.retain(|it| it.outcome == Outcome::Done && it.intent.undo_of.is_none());

    let mut look = Look::all(order, kind, &before, unsettled, reach);
    if !look.changed.is_empty() {
        if order.state == PlanState::Open && before.is_empty() {
            ledger.set_plan_state(id, &[PlanState::Open], PlanState::Refused)?;
        }
        return Ok(nothing_sent(order, &before, &look));
    }
    let mut done = Done { plan: (*id).to_owned(), ..Done::default() };
    for (number, step) in numbered(plan) {
        if let Some(deed) = was_done(&before, number) {
            done.steps.push(step_done(step, Some(deed.id), StepOutcome::Before, ""));
            continue;
        }
        if let Some(why) = look.unreached.get(step.server.as_str()) {
            done.steps.push(step_done(step, None, StepOutcome::Skipped, why));
            continue;
        }
        let hands = look.servers.get_mut(step.server.as_str()).expect("it was reached");
        let one = Step { order, kind, number, step, doer };
        if let Some(arrived) = one.arrived(&done, hands.as_mut()) {
            done.steps.push(arrived);
            continue;
        }
        let Some(looked) = look.accounts.remove(&number) else {
            done.steps.push(step_done(step, None, StepOutcome::Skipped, GONE));
            continue;
        };
        let mut taken = one.take(ledger, hands.as_mut(), &looked)?;
        if let Some(unseen) = taken.iter_mut().find(|it| it.outcome == StepOutcome::Unknown) {
            look_again(ledger, unseen, order.rebuilds, reach, doer)?;
            let why = format!("{}: the connection broke before: run again", step.server);
            look.unreached.insert(step.server.clone(), why);
        }
        done.steps.extend(taken);
    }
    if kind == DeedKind::Revoke && order.kill_sessions {
        close_sessions(ledger, order, &mut look, &mut done, doer)?;
    }
    if done.steps.iter().any(|it| it.deed.is_some()) {
        let state = if done.is_good() { PlanState::Applied } else { PlanState::Partly };
        ledger.set_plan_state(id, &[PlanState::Open, PlanState::Partly], state)?;
    }
    Ok(done)
}

/// Ends the sessions of accounts from which all was taken: they keep the rights that they had until their next `USE`.
/// Those that were opened meanwhile are looked for anew.
fn close_sessions(
    ledger: &mut Ledger,
    order: &Order<'_>,
    look: &mut Look<'_>,
    done: &mut Done,
    doer: &Doer,
) -> anyhow::Result<()> {
    let mut last: BTreeMap<(&str, AccountName), (u32, &PlanStep)> = BTreeMap::new();
    for (number, step) in numbered(order.plan) {
        last.insert((step.server.as_str(), step.account()), (number, step));
    }
    for ((server, account), (number, step)) in last {
        let of_it = |it: &&StepDone| it.server == server && it.account == account;
        let is_taken = done.steps.iter().filter(of_it).all(StepDone::is_good);
        let hands = look.servers.get_mut(server).filter(|_| is_taken);
        let Some(hands) = hands.filter(|_| !look.unreached.contains_key(server)) else { continue };
        let sessions = match hands.look(&account) {
            Ok(looked) => looked.map_or_else(Vec::new, |it| it.sessions),
            Err(why) => {
                done.steps.push(step_done(step, None, StepOutcome::Skipped, &why));
                continue;
            }
        };
        let one = Step { order, kind: DeedKind::Revoke, number, step, doer };
        for session in &sessions {
            done.steps.push(one.kill(ledger, hands.as_mut(), session)?);
        }
    }
    Ok(())
}

const GONE: &str = "the account is not there any more";

/// The steps with their numbers, from 1 on.
fn numbered(plan: &Plan) -> impl Iterator<Item = (u32, &PlanStep)> {
    (1..).zip(&plan.steps)
}

/// The deed that has done a step. `before` are those of the plan that were done.
fn was_done(before: &[Deed], number: u32) -> Option<&Deed> {
    before.iter().find(|it| it.intent.step == number && DeedKind::parse(&it.intent.kind).is_some())
}

/// What a look at all servers shows before anything is sent.
struct Look<'a> {
    servers: BTreeMap<&'a str, Box<dyn Hands>>,
    /// Servers that could not be looked at, with why.
    unreached: BTreeMap<String, String>,
    /// By the number of the step.
    accounts: BTreeMap<u32, Looked>,
    /// Steps that are not to be sent, with why.
    changed: BTreeMap<u32, String>,
}

impl<'a> Look<'a> {
    fn all(
        order: &Order<'a>,
        kind: DeedKind,
        before: &[Deed],
        unreached: BTreeMap<String, String>,
        reach: &mut Reach<'_>,
    ) -> Look<'a> {
        let plan = order.plan;
        let (servers, accounts, changed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut look = Look { servers, unreached, accounts, changed };
        let open: Vec<(u32, &PlanStep)> =
            numbered(plan).filter(|(number, _)| was_done(before, *number).is_none()).collect();
        for (number, step) in &open {
            let server = step.server.as_str();
            if look.unreached.contains_key(server) {
                continue;
            }
            if let Err(why) = look.one(order, kind, before, (*number, step), reach) {
                look.servers.remove(server);
                look.unreached.insert(server.to_owned(), why);
            }
        }
        for (server, hands) in &mut look.servers {
            let own: Vec<&(u32, &PlanStep)> =
                open.iter().filter(|it| it.1.server == *server).collect();
            let accounts: Vec<AccountName> = own.iter().map(|(_, step)| step.account()).collect();
            match hands.forbids(kind, &accounts, plan.on_replica) {
                Ok(forbidden) => {
                    for (account, why) in forbidden {
                        let step = own.iter().find(|(_, step)| step.account() == account);
                        if let Some((number, step)) = step {
                            let is_there = look.accounts.get(number);
                            if !is_as_wanted(kind, is_there) || !was_elsewhere(order, before, step)
                            {
                                look.changed.entry(*number).or_insert(why);
                            }
                        }
                    }
                }
                Err(why) => drop(look.unreached.insert((*server).to_owned(), why)),
            }
        }
        look
    }

    fn one(
        &mut self,
        order: &Order<'a>,
        kind: DeedKind,
        before: &[Deed],
        (number, step): (u32, &'a PlanStep),
        reach: &mut Reach<'_>,
    ) -> Result<(), String> {
        let server = step.server.as_str();
        let hands = match self.servers.entry(server) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(reach(server)?),
        };
        let now = hands.look(&step.account())?;
        let has_arrived = is_as_wanted(kind, now.as_ref()) && was_elsewhere(order, before, step);
        let is_begun = was_begun(kind, before, step);
        let change = change(order.plan, step, is_begun, now.as_ref());
        if let Some(text) = change.filter(|_| !has_arrived) {
            self.changed.insert(number, text);
        }
        if let Some(now) = now {
            self.accounts.insert(number, now);
        }
        Ok(())
    }
}

/// Whether nothing is left to be done.
fn is_as_wanted(kind: DeedKind, now: Option<&Looked>) -> bool {
    let locked = now.map(|it| it.facts.locked);
    match kind {
        DeedKind::Lock => locked == Some(Some(true)),
        DeedKind::Unlock => locked == Some(Some(false)),
        DeedKind::Drop => locked.is_none(),
        // Plans of rights are for one server: none arrives from another.
        DeedKind::Revoke | DeedKind::Grant => false,
    }
}

/// Whether an earlier run has taken rights from the same account by this plan: then others are granted to it now.
fn was_begun(kind: DeedKind, before: &[Deed], step: &PlanStep) -> bool {
    let account = step.account();
    kind == DeedKind::Revoke
        && before.iter().any(|it| {
            it.intent.account == account
                && it.intent.server == step.server.as_bytes()
                && it.intent.kind == kind.as_str()
        })
}

/// Whether the plan has done the same on another member of the group before: it may have arrived from there.
fn was_elsewhere(order: &Order<'_>, before: &[Deed], step: &PlanStep) -> bool {
    let account = step.account();
    before.iter().any(|it| {
        let other = String::from_utf8_lossy(&it.intent.server);
        it.intent.account == account
            && DeedKind::parse(&it.intent.kind).is_some()
            && other != step.server
            && (order.are_grouped)(&other, &step.server)
    })
}

/// What is another now than when the plan was made.
fn change(plan: &Plan, step: &PlanStep, is_begun: bool, now: Option<&Looked>) -> Option<String> {
    let Some(now) = now else { return Some(GONE.to_owned()) };
    let mut facts = step.facts();
    if is_begun {
        facts.grants_hash = now.facts.grants_hash;
    }
    if let Some(text) = facts.changed(&now.facts) {
        return Some(text.to_owned());
    }
    let is_used = !now.sessions.is_empty() || now.doubtful_sessions > 0;
    (plan.rests_on == Basis::Unused && is_used)
        .then(|| "somebody is, or may be, logged in with it".to_owned())
}

fn nothing_sent(order: &Order<'_>, before: &[Deed], look: &Look<'_>) -> Done {
    let steps = numbered(order.plan).map(|(number, step)| {
        if let Some(deed) = was_done(before, number) {
            return step_done(step, Some(deed.id), StepOutcome::Before, "");
        }
        let why = look.changed.get(&number).or_else(|| look.unreached.get(&step.server));
        let why = why.map_or("another step cannot be sent", |it| it.as_str());
        step_done(step, None, StepOutcome::Skipped, why)
    });
    Done { plan: order.id.to_owned(), is_undo: false, steps: steps.collect() }
}

fn step_done(step: &PlanStep, deed: Option<i64>, outcome: StepOutcome, detail: &str) -> StepDone {
    StepDone {
        deed,
        server: step.server.clone(),
        account: step.account(),
        statement: step.sql.clone(),
        outcome,
        detail: detail.to_owned(),
    }
}

/// A step on its way.
struct Step<'a> {
    order: &'a Order<'a>,
    kind: DeedKind,
    number: u32,
    step: &'a PlanStep,
    doer: &'a Doer,
}

impl Step<'_> {
    /// What is done on another member of the group arrives here by replication: then nothing is sent. To a replica
    /// nothing is sent either where it has not arrived yet, as its replication would stop at the second one.
    fn arrived(&self, done: &Done, hands: &mut dyn Hands) -> Option<StepDone> {
        let account = self.step.account();
        let from = done.steps.iter().find(|it| {
            it.is_good()
                && it.account == account
                && it.server != self.step.server
                && (self.order.are_grouped)(&it.server, &self.step.server)
        })?;
        let is_replica = hands.is_replica();
        let longest = if is_replica { self.order.patience } else { Duration::ZERO };
        let arrives =
            super::wait(longest, || Ok(is_as_wanted(self.kind, hands.look(&account)?.as_ref())));
        let (outcome, detail) = match arrives {
            Ok(true) => (StepOutcome::Before, format!("it arrived from {}", from.server)),
            Ok(false) if !is_replica => return None,
            Ok(false) => (
                StepOutcome::Skipped,
                format!(
                    "what was done on {} has not arrived here after {} s: see whether it replicates \
                     (a plan for this server alone is sent)",
                    from.server,
                    longest.as_secs()
                ),
            ),
            Err(why) => (StepOutcome::Skipped, why),
        };
        Some(step_done(self.step, None, outcome, &detail))
    }

    /// Does it, and what belongs to it.
    fn take(
        &self,
        ledger: &mut Ledger,
        hands: &mut dyn Hands,
        looked: &Looked,
    ) -> anyhow::Result<Vec<StepDone>> {
        let mut all = vec![self.send(ledger, hands)?];
        let ends_sessions = matches!(self.kind, DeedKind::Lock | DeedKind::Drop);
        if looked.sessions.is_empty() || !all[0].is_good() || !ends_sessions {
            return Ok(all);
        }
        if self.order.kill_sessions {
            for session in &looked.sessions {
                all.push(self.kill(ledger, hands, session)?);
            }
        } else {
            let ids: Vec<String> = looked.sessions.iter().map(|it| it.id.to_string()).collect();
            let note = format!("open sessions go on: {} (--kill-sessions)", ids.join(", "));
            let known = std::mem::take(&mut all[0].detail);
            all[0].detail = if known.is_empty() { note } else { format!("{known}; {note}") };
        }
        Ok(all)
    }

    /// Notes, sends, reads back, notes.
    fn send(&self, ledger: &mut Ledger, hands: &mut dyn Hands) -> anyhow::Result<StepDone> {
        let account = self.step.account();
        let way = Way::of(self.step.sql.as_bytes());
        let undo = match self.kind {
            DeedKind::Lock => DeedKind::Unlock.statement(&account, way),
            DeedKind::Unlock => DeedKind::Lock.statement(&account, way),
            DeedKind::Revoke | DeedKind::Grant => {
                let back = opposite(self.kind, &account, self.step.sql.as_bytes());
                back.expect("a plan holds statements that rollcall writes alone")
            }
            DeedKind::Drop => match self.store_rebuilding(hands, &account) {
                Ok(reference) => reference,
                Err(why) => return Ok(step_done(self.step, None, StepOutcome::Skipped, &why)),
            },
        };
        let sql = self.step.sql.as_bytes();
        let id = ledger.begin_deed(&self.intent(self.kind.as_str(), sql.to_vec(), vec![undo]))?;
        let sent = hands.send(self.kind, &account, sql);
        self.end(ledger, id, sent, self.step.sql.clone())
    }

    /// What makes the account anew is kept before it is dropped.
    fn store_rebuilding(
        &self,
        hands: &mut dyn Hands,
        account: &AccountName,
    ) -> Result<Vec<u8>, String> {
        let statements = hands.rebuilding(account)?;
        let name = format!("{}-{}.sql", self.order.id, self.number);
        Ok(self.order.rebuilds.store(&name, &statements)?.into_bytes())
    }

    fn kill(
        &self,
        ledger: &mut Ledger,
        hands: &mut dyn Hands,
        session: &Session,
    ) -> anyhow::Result<StepDone> {
        let sql = format!("KILL {}", session.id);
        let id = ledger.begin_deed(&self.intent("kill", sql.clone().into_bytes(), Vec::new()))?;
        let sent = hands.kill(session);
        self.end(ledger, id, sent, sql)
    }

    fn end(
        &self,
        ledger: &mut Ledger,
        id: i64,
        sent: Sent,
        sql: String,
    ) -> anyhow::Result<StepDone> {
        let (outcome, code, detail) = outcome(sent);
        ledger.end_deed(id, (self.doer.clock)(), outcome, code, &detail)?;
        let done = step_done(self.step, Some(id), step_outcome(outcome), &detail);
        Ok(StepDone { statement: sql, ..done })
    }

    fn intent(&self, kind: &str, sql: Vec<u8>, undo: Vec<Vec<u8>>) -> Intent {
        Intent {
            plan: Some(self.order.id.to_owned()),
            undo_of: None,
            step: self.number,
            server: self.step.server.as_bytes().to_vec(),
            account: self.step.account(),
            kind: kind.to_owned(),
            sql,
            undo,
            before: form::before(&self.step.facts()),
            os_user: self.doer.os_user.clone(),
            host: self.doer.host.clone(),
            ticket: self.order.plan.ticket.clone(),
            begun_us: (self.doer.clock)(),
        }
    }
}

/// As the journal notes it.
pub(super) fn outcome(sent: Sent) -> (Outcome, Option<u32>, String) {
    match sent {
        Sent::Done(detail) => (Outcome::Done, None, detail),
        Sent::Refused(code, text) => (Outcome::Failed, code, text),
        Sent::Unknown(text) => (Outcome::Unknown, None, text),
    }
}

pub(super) fn step_outcome(outcome: Outcome) -> StepOutcome {
    match outcome {
        Outcome::Done | Outcome::Undone => StepOutcome::Done,
        Outcome::Failed => StepOutcome::Failed,
        Outcome::Begun | Outcome::Unknown => StepOutcome::Unknown,
    }
}
