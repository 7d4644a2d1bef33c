//! What follows from a look: users are warned, held back by a plan, and given back what it took.
//!
//! ```text
//! states of before ─ decide ─► plan ─ stored, noted ─► apply: journal ─ send ─ read back ─ journal ─► state
//!                                                      undo of that plan ◄─ usage has fallen
//! ```
//!
//! # Invariants
//! * The plan is noted as the user's before any of it is sent: whoever is interrupted goes on with that plan.
//! * Nothing is given back but by undoing the plan that took it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use ledger::{Ledger, PlanState};
use live::growth::Granted;
use verdict::account::{Account, Snapshot};
use verdict::plan::growth::{Rights, is_meant};
use verdict::plan::{DeedKind, Proposal, Refusal, Rules as PlanRules, Step, Target, propose};
use verdict::quota::{Decision, Held, Limit, Policy, Usage, UserState, decide};
use verdict::unused::Verdict;

use super::measure::{Action, Measured, Wanted};
use super::round::{Event, Notice, Rules};
use crate::deeds::{
    self, ARRIVES_MAX, Basis, Done, Hands, Making, Order, Plan, Rebuilds, StepOutcome,
};
use crate::reach::{RealHands, snapshot_of};
use crate::render::unit_bytes;

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Acted {
    pub(super) events: Vec<Event>,
    pub(super) actions: BTreeMap<Vec<u8>, Action>,
    /// Users that are held back now.
    pub(super) enforced: usize,
    /// Somebody is above the hard limit, and has to be found so again before something is done.
    pub(super) is_pending: bool,
    /// What would be sent, where that is asked for.
    pub(super) would_send: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Decides about every user of a server, and does it where it is to be done.
///
/// # Errors
/// Where the ledger fails. What was done before that is in its journal.
pub(super) fn act(
    rules: &Rules<'_>,
    wanted: &Wanted,
    ledger: &mut Ledger,
    measured: &Measured,
    now: i64,
) -> Result<Acted, ledger::Error> {
    ledger.take_reserve()?;
    let mut states = ledger.quota_states(measured.server.as_bytes())?;
    // Those of others are not gone because we did not look at them.
    states.retain(|user, _| rules.shard.holds(user));
    let acted = Acted::default();
    let guard = None;
    let mut actor = Actor { rules, wanted, ledger, measured, now, acted, guard, snapshot: None };
    let gone = states
        .iter()
        .filter(|(user, _)| !measured.accounted.users.iter().any(|usage| usage.user == **user));
    let gone: Vec<Usage> = gone.map(|(user, _)| nothing(user)).collect();
    for usage in measured.accounted.users.iter().chain(&gone) {
        let before = states.get(&usage.user).cloned().unwrap_or_default();
        actor.user(usage, before)?;
    }
    actor.look_after();
    Ok(actor.acted)
}

/// Of a user that holds nothing and has no limit.
fn nothing(user: &[u8]) -> Usage {
    Usage {
        user: user.to_vec(),
        bytes: 0,
        limit: None,
        state: verdict::quota::State::Unlimited,
        schemas: Vec::new(),
    }
}

struct Actor<'a> {
    rules: &'a Rules<'a>,
    wanted: &'a Wanted,
    ledger: &'a mut Ledger,
    measured: &'a Measured,
    now: i64,
    acted: Acted,
    /// Held from the first deed on.
    guard: Option<File>,
    /// The server's accounts, once they were needed.
    snapshot: Option<Snapshot>,
}

impl Actor<'_> {
    fn user(&mut self, usage: &Usage, mut before: UserState) -> Result<(), ledger::Error> {
        let original = before.clone();
        let is_open = self.forget_ended(&mut before)?;
        let (decisions, mut after) = decide(usage, &before, &self.rules.quota.policy, self.now);
        let mut would = None;
        for decision in &decisions {
            match *decision {
                Decision::Warn(percent) => self.tell(usage, Notice::Warned { percent }),
                Decision::TellHard => self.tell(usage, Notice::OverHard { policy: "warn" }),
                Decision::Restore if self.rules.applies => self.restore(usage, &mut after)?,
                Decision::Enforce(policy) if self.rules.applies => {
                    self.enforce(usage, policy, &mut after)?;
                }
                Decision::Enforce(policy) => {
                    would = Some(Action::Would { policy: policy.as_str() });
                    if after.exceeds == self.rules.quota.policy.exceed_count.max(1) {
                        self.tell(usage, Notice::OverHard { policy: policy.as_str() });
                        self.show(usage, policy);
                    }
                }
                Decision::Restore => would = Some(Action::Would { policy: "restore" }),
            }
        }
        // An earlier run was interrupted, and nothing else was decided.
        if is_open && self.rules.applies && !decisions.contains(&Decision::Restore) {
            self.go_on(usage, &mut after)?;
        }
        self.acted.enforced += usize::from(after.held.is_some());
        let needed = self.rules.quota.policy.exceed_count.max(1);
        self.acted.is_pending |= self.rules.applies
            && after.held.is_none()
            && (1..needed).contains(&after.exceeds)
            && self.rules.quota.policy.policy != Policy::Warn;
        let kept = if self.keeps() { &after } else { &original };
        let action = would.or_else(|| Action::of(kept));
        if let Some(action) = action {
            self.acted.actions.insert(usage.user.clone(), action);
        }
        if self.keeps() && after != original {
            self.keep(usage, &after)?;
        }
        Ok(())
    }

    /// Whether this round is one of a series: else it shows and keeps nothing of what it decides.
    fn keeps(&self) -> bool {
        self.rules.remembers || self.rules.applies
    }

    /// Whether the plan by which a user is held back was not sent to its end. One that is undone, or of which
    /// nothing was sent and nothing will be, holds nobody back.
    fn forget_ended(&mut self, state: &mut UserState) -> Result<bool, ledger::Error> {
        let Some(held) = &state.held else { return Ok(false) };
        let plan = self.ledger.plan(&held.plan)?;
        match plan.map(|it| it.state) {
            Some(PlanState::Applied) => Ok(false),
            Some(PlanState::Open | PlanState::Partly) => Ok(true),
            Some(PlanState::Undone | PlanState::Refused) | None => {
                (state.held, state.exceeds) = (None, 0);
                Ok(false)
            }
        }
    }

    fn tell(&mut self, usage: &Usage, notice: Notice) {
        if !self.keeps() {
            return;
        }
        self.acted.events.push(Event {
            server: self.measured.server.clone(),
            user: usage.user.clone(),
            bytes: usage.bytes,
            limit: usage.limit,
            at_us: self.now,
            notice,
        });
    }

    /// Tells why a user is not as it should be, where that was not told last.
    fn tell_why(&mut self, usage: &Usage, state: &mut UserState, notice: Notice) {
        let (Notice::Refused { why } | Notice::Failed { why }) = &notice else { return };
        if state.told != *why {
            state.told.clone_from(why);
            self.tell(usage, notice);
        }
    }

    fn keep(&mut self, usage: &Usage, state: &UserState) -> Result<(), ledger::Error> {
        let server = self.measured.server.as_bytes();
        self.ledger.note_quota_states(server, &[(&usage.user, state)])
    }

    /// Says what would be sent, where that is asked for.
    fn show(&mut self, usage: &Usage, policy: Policy) {
        if !self.rules.shows_statements {
            return;
        }
        let user = String::from_utf8_lossy(&usage.user);
        match self.steps(usage, policy) {
            Ok((_, steps)) => {
                let sql = steps.iter().map(|step| String::from_utf8_lossy(&step.sql));
                self.acted.would_send.extend(sql.map(|sql| format!("{user}: would send {sql};")));
            }
            Err(why) => {
                self.acted.would_send.push(format!("{user}: would not be held back: {why}"));
            }
        }
    }

    /// Holds a user back by a new plan.
    fn enforce(
        &mut self,
        usage: &Usage,
        policy: Policy,
        state: &mut UserState,
    ) -> Result<(), ledger::Error> {
        let (kind, steps) = match self.steps(usage, policy) {
            Ok(steps) => steps,
            Err(why) => {
                self.tell_why(usage, state, Notice::Refused { why });
                return Ok(());
            }
        };
        let made = Plan::new(self.making(kind), &steps);
        let plan = match made.and_then(|plan| self.guarded().map(|()| plan)) {
            Ok(plan) => plan,
            Err(why) => {
                self.tell_why(usage, state, Notice::Failed { why });
                return Ok(());
            }
        };
        let id = self.ledger.store_plan(&plan.stored())?;
        let held = Held { policy, plan: id, since_us: self.now, closed: 0 };
        state.held = Some(held);
        self.keep(usage, state)?;
        self.send(usage, &plan, PlanState::Open, state)
    }

    fn making(&self, kind: DeedKind) -> Making {
        let doer = self.rules.doer;
        Making {
            kind,
            now: self.now,
            expires: self.now + i64::from(self.rules.plan_days) * DAY,
            author: format!("{}@{}", doer.os_user, doer.host),
            ticket: None,
            rests_on: Basis::Asked,
            on_replica: false,
        }
    }

    /// Goes on with a plan that was not sent to its end.
    fn go_on(&mut self, usage: &Usage, state: &mut UserState) -> Result<(), ledger::Error> {
        let Some(held) = state.held.clone() else { return Ok(()) };
        let Some(stored) = self.ledger.plan(&held.plan)? else { return Ok(()) };
        let plan = Plan::parse(&stored.plan.text, &stored.plan.hash);
        match plan.and_then(|plan| self.guarded().map(|()| plan)) {
            Ok(plan) => self.send(usage, &plan, stored.state, state),
            Err(why) => {
                self.tell_why(usage, state, Notice::Failed { why });
                Ok(())
            }
        }
    }

    /// Sends the plan by which a user is held back.
    fn send(
        &mut self,
        usage: &Usage,
        plan: &Plan,
        plan_state: PlanState,
        state: &mut UserState,
    ) -> Result<(), ledger::Error> {
        let Some(held) = state.held.clone() else { return Ok(()) };
        let rebuilds = self.rebuilds();
        let order = Order {
            id: &held.plan,
            plan,
            state: plan_state,
            kill_sessions: self.rules.quota.kill_sessions || held.policy == Policy::NoGrowth,
            rebuilds: &rebuilds,
            // A plan of quotas is for one server.
            are_grouped: &|_, _| false,
            patience: ARRIVES_MAX,
        };
        let (wanted, rules, now) = (self.wanted, self.rules, self.now);
        let mut reach = |server: &str| reach(wanted, rules, server, now);
        let done = match deeds::apply(self.ledger, &order, &mut reach, rules.doer) {
            Ok(done) => done,
            Err(error) => {
                self.tell_why(usage, state, Notice::Failed { why: format!("{error:#}") });
                return Ok(());
            }
        };
        let closed = closed(&done);
        if done.steps.iter().all(|it| it.deed.is_none()) {
            state.held = None;
        } else if let Some(held) = &mut state.held {
            held.closed = held.closed.saturating_add(u32::try_from(closed).unwrap_or(u32::MAX));
        }
        match done.steps.iter().find(|it| !it.is_good()) {
            None => {
                state.told.clear();
                self.tell(
                    usage,
                    Notice::Enforced {
                        policy: held.policy.as_str(),
                        plan: held.plan,
                        sessions_closed: closed,
                    },
                );
            }
            Some(bad) => {
                let why = format!("{}: {}", bad.account, bad.detail);
                self.tell_why(usage, state, Notice::Failed { why });
            }
        }
        Ok(())
    }

    /// Gives back what was taken.
    fn restore(&mut self, usage: &Usage, state: &mut UserState) -> Result<(), ledger::Error> {
        let Some(held) = state.held.clone() else { return Ok(()) };
        if self.ledger.is_short_of_room() {
            let path = self.ledger.path().display();
            let why = format!("{path}: no space for the ledger: free some, then it is given back");
            self.tell_why(usage, state, Notice::Failed { why });
            return Ok(());
        }
        if let Err(why) = self.guarded() {
            self.tell_why(usage, state, Notice::Failed { why });
            return Ok(());
        }
        // For what somebody else has done meanwhile.
        if let Err(why) = self.snapshot() {
            self.tell_why(usage, state, Notice::Failed { why });
            return Ok(());
        }
        let rebuilds = self.rebuilds();
        let (wanted, rules, now) = (self.wanted, self.rules, self.now);
        let mut reach = |server: &str| reach(wanted, rules, server, now);
        let is_sent = !self.ledger.deeds(&of_plan(&held.plan))?.is_empty();
        if is_sent {
            match deeds::undo(self.ledger, &held.plan, &rebuilds, &mut reach, rules.doer) {
                Ok(done) => {
                    if let Some(bad) = done.steps.iter().find(|it| !it.is_good()) {
                        let why = format!("{}: {}", bad.account, bad.detail);
                        self.tell_why(usage, state, Notice::Failed { why });
                        return Ok(());
                    }
                }
                // All of it had failed, or is given back: an earlier run was killed behind that.
                Err(_) if self.is_nothing_done(&held.plan)? => {
                    let from = [PlanState::Applied, PlanState::Partly];
                    self.ledger.set_plan_state(&held.plan, &from, PlanState::Undone)?;
                }
                Err(error) => {
                    self.tell_why(usage, state, Notice::Failed { why: format!("{error:#}") });
                    return Ok(());
                }
            }
        }
        (state.held, state.exceeds, state.told) = (None, 0, String::new());
        let policy = held.policy.as_str();
        self.tell(usage, Notice::Restored { policy, plan: held.plan });
        Ok(())
    }

    /// Whether nothing of a plan was done that is not undone: an earlier run may have ended between the last deed
    /// and noting that.
    fn is_nothing_done(&self, plan: &str) -> Result<bool, ledger::Error> {
        let deeds = self.ledger.deeds(&of_plan(plan))?;
        let mut takes =
            deeds.iter().filter(|it| it.intent.undo_of.is_none() && !it.intent.undo.is_empty());
        Ok(takes.all(|it| matches!(it.outcome, ledger::Outcome::Failed | ledger::Outcome::Undone)))
    }

    /// What is sent to hold a user back.
    ///
    /// # Errors
    /// Why it cannot be held back.
    fn steps(&mut self, usage: &Usage, policy: Policy) -> Result<(DeedKind, Vec<Step>), String> {
        let kind = match policy {
            Policy::Warn => return Err("by policy nothing is done".to_owned()),
            Policy::Lock => DeedKind::Lock,
            Policy::NoGrowth => DeedKind::Revoke,
        };
        self.snapshot()?;
        let snapshot = self.snapshot.as_ref().expect("it was read");
        let proposal = proposal(&self.measured.server, snapshot, usage, kind, self.rules);
        let steps = all_or_none(proposal, snapshot, usage)?;
        if kind == DeedKind::Lock {
            return Ok((kind, steps));
        }
        let mut server = self.wanted.place.connect(Some(&self.measured.server))?;
        let of = |step: &Step| snapshot.accounts.iter().find(|it| it.name == step.account);
        let mut all = Vec::new();
        for step in &steps {
            let granted = live::growth::granted(&mut server, &step.account);
            let granted = granted.map_err(|error| error.to_string())?;
            let account = of(step).expect("a step's account is of the snapshot");
            let places = taken(account, granted, usage, &self.measured.schemas)?;
            all.extend(places.into_iter().map(|rights| Step {
                sql: rights.statement(kind, &step.account),
                effects: vec!["reading, DELETE and DROP stay; open sessions are closed".to_owned()],
                ..step.clone()
            }));
        }
        match all.is_empty() {
            true => Err("nothing is granted to its accounts by which its schemas grow".to_owned()),
            false => Ok((kind, all)),
        }
    }

    /// Reads the server's accounts once, and keeps what changed of them.
    fn snapshot(&mut self) -> Result<(), String> {
        if self.snapshot.is_none() {
            let name = Some(self.measured.server.as_str());
            let snapshot = snapshot_of(&self.wanted.place, name, self.now)?;
            self.store(&snapshot);
            self.snapshot = Some(snapshot);
        }
        Ok(())
    }

    /// Keeps what changed of the server's accounts. What is done about users does not hang on it: there may be no room.
    fn store(&mut self, snapshot: &Snapshot) {
        let server = self.measured.server.as_bytes();
        if let Err(error) = self.ledger.store_snapshot(server, snapshot) {
            self.acted.notes.push(format!("{error}; changes of accounts are not noted"));
        }
    }

    /// Keeps what the server's accounts are after all was done.
    fn look_after(&mut self) {
        let did =
            |it: &Event| matches!(it.notice, Notice::Enforced { .. } | Notice::Restored { .. });
        if !self.acted.events.iter().any(did) {
            return;
        }
        let name = Some(self.measured.server.as_str());
        match snapshot_of(&self.wanted.place, name, (self.rules.doer.clock)()) {
            Ok(snapshot) => self.store(&snapshot),
            Err(error) => self.acted.notes.push(error),
        }
    }

    /// Nobody else does deeds from now on.
    fn guarded(&mut self) -> Result<(), String> {
        if let (None, Some(path)) = (&self.guard, self.rules.ledger) {
            self.guard = Some(deeds::guard(path).map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    fn rebuilds(&self) -> Rebuilds {
        Rebuilds::beside(self.rules.ledger.unwrap_or(Path::new("")))
    }
}

fn reach(
    wanted: &Wanted,
    rules: &Rules<'_>,
    server: &str,
    now: i64,
) -> Result<Box<dyn Hands>, String> {
    let hands = RealHands::reach(&wanted.place, server, rules.protected.to_vec(), now)?;
    Ok(Box::new(hands))
}

/// What is taken from an account: what is granted to it on the user's schemas, and on none but those.
///
/// # Errors
/// Why the account cannot be held back so.
fn taken(
    account: &Account,
    granted: Granted,
    usage: &Usage,
    schemas: &BTreeMap<Vec<u8>, u64>,
) -> Result<Vec<Rights>, String> {
    let name = &account.name;
    if !granted.global.is_empty() {
        return Err(format!("{name} has {} on all schemas", granted.global.join(", ")));
    }
    if !account.roles.is_empty() {
        return Err(format!("{name} has rights by roles"));
    }
    let is_own = |schema: &Vec<u8>| usage.schemas.contains(schema);
    if let Some((schema, table)) = granted.columns.iter().find(|(schema, _)| is_own(schema)) {
        let text = String::from_utf8_lossy;
        return Err(format!("{name} has rights on columns of {}.{}", text(schema), text(table)));
    }
    let mut all = Vec::new();
    for rights in granted.places {
        let meant = |schema: &&Vec<u8>| match rights.table {
            Some(_) => **schema == rights.schema,
            None => is_meant(&rights.schema, schema),
        };
        let (own, others): (Vec<_>, Vec<_>) =
            schemas.keys().filter(meant).partition(|schema| is_own(schema));
        match (own.is_empty(), others.is_empty()) {
            // Of others alone, or shared: it counts for nobody here.
            (true, false) => {}
            // A pattern that means no schema yet would let a new one grow.
            (_, true) => all.push(rights),
            (false, false) => {
                let pattern = String::from_utf8_lossy(&rights.schema).into_owned();
                return Err(format!("what {name} has on {pattern} reaches schemas of others"));
            }
        }
    }
    Ok(all)
}

/// What would be done to the accounts of a user, and which of them may not be touched.
fn proposal(
    server: &str,
    snapshot: &Snapshot,
    usage: &Usage,
    kind: DeedKind,
    rules: &Rules<'_>,
) -> Proposal {
    let why = why(usage);
    let accounts = snapshot.accounts.iter().filter(|it| it.name.user == usage.user);
    let targets: Vec<Target<'_>> = accounts
        .map(|account| Target {
            server: server.as_bytes(),
            snapshot,
            account,
            verdict: Verdict::Used,
            why: why.clone(),
            references: &[],
            locked_since: None,
            locked_by_us: false,
            open_sessions: 0,
        })
        .collect();
    let rules = PlanRules {
        kind,
        now: snapshot.at,
        protected: rules.protected,
        anyway: true,
        on_replica: false,
        cool_down: 0,
    };
    propose(&targets, &rules)
}

/// All accounts of the user that are not locked yet; none where one of them may not be touched.
fn all_or_none(
    proposal: Proposal,
    snapshot: &Snapshot,
    usage: &Usage,
) -> Result<Vec<Step>, String> {
    if !snapshot.accounts.iter().any(|it| it.name.user == usage.user) {
        return Err("it has no account here".to_owned());
    }
    let refused = proposal.refused.iter().find(|(.., refusal)| *refusal != Refusal::AlreadySo);
    if let Some((_, account, refusal)) = refused {
        return Err(format!("{account}: {refusal}"));
    }
    match proposal.steps.is_empty() {
        true => Err("its accounts are locked already, and not by rollcall".to_owned()),
        false => Ok(proposal.steps),
    }
}

/// `storage: 48.0 GB of 8.0 GB`.
fn why(usage: &Usage) -> String {
    let Limit { hard, .. } = usage.limit.unwrap_or_default();
    let hard = hard.map_or_else(|| "no limit".to_owned(), unit_bytes);
    format!("storage: {} of {hard}", unit_bytes(usage.bytes))
}

fn closed(done: &Done) -> usize {
    let is_kill = |it: &&deeds::StepDone| {
        it.statement.starts_with("KILL ") && it.outcome == StepOutcome::Done
    };
    done.steps.iter().filter(is_kill).count()
}

fn of_plan(plan: &str) -> ledger::DeedFilter {
    ledger::DeedFilter { plan: Some(plan.to_owned()), ..ledger::DeedFilter::default() }
}
