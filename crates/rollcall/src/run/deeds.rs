//! Commands that change something on servers: plans are made, sent and taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use ledger::{DeedFilter, Ledger, PlanFilter, Undoable};
use live::deed::{Replication, State};
use verdict::account::AccountName;
use verdict::plan::{DeedKind, Proposal, Rules, Target, propose};

use super::accounts::{account_name, no_such_account};
use super::{Session, put};
use crate::accounts::{All, Gathered, Judged};
use crate::answers::{self, View};
use crate::cli::{ApplyArgs, DeedArgs, JournalArgs, LiveArgs, PlanningArgs, UndoArgs};
use crate::deeds::{
    ARRIVES_MAX, Basis, Doer, Done, Hands, Making, Order, PLAN_BYTES_MAX, Plan, Rebuilds,
    StepOutcome, apply, guard, undo, wait,
};
use crate::exit::Exit;
use crate::out::new_file;
use crate::reach::{Place, RealHands, Witness, snapshot_of};
use crate::render::Answer;

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// The window over which accounts are judged that are named on the command line.
const WINDOW: i64 = 90 * DAY;

/// A plan that was made and stored, if there is anything to do, and what was left out of it.
pub(super) struct Made {
    kind: DeedKind,
    proposal: Proposal,
    plan: Option<(String, Plan)>,
}

impl Made {
    pub(super) fn show(&self, answer: &mut Answer, view: View<'_>) {
        let plan = self.plan.as_ref().map(|(id, plan)| (id.as_str(), plan));
        answers::proposed(answer, self.kind, plan, &self.proposal, view);
    }
}

impl Session<'_> {
    /// Who sits here.
    pub(super) fn doer(&self) -> Doer {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let user = user.map_or_else(|| nix::unistd::geteuid().to_string(), |it| it.name);
        // Set by sudo, which tells who became root.
        let os_user = match std::env::var("SUDO_USER") {
            Ok(sudo) if user == "root" && !sudo.is_empty() => format!("{sudo} as root"),
            _ => user,
        };
        let host = nix::unistd::gethostname().unwrap_or_default();
        let host = host.to_string_lossy().into_owned();
        Doer { os_user, host, clock: || Timestamp::now().as_microsecond() }
    }

    /// Makes and stores a plan for the accounts that are chosen.
    pub(super) fn plan(
        &self,
        ledger: &mut Ledger,
        all: &All,
        kind: DeedKind,
        is_chosen: &dyn Fn(&Judged) -> bool,
        anyway: bool,
        args: &PlanningArgs,
    ) -> anyhow::Result<Made> {
        let rules = Rules {
            kind,
            now: self.now,
            protected: &self.config.protected,
            anyway,
            on_replica: args.replica,
            cool_down: i64::from(self.config.limits.cool_down_days) * DAY,
        };
        if all.is_missing_references && kind != DeedKind::Unlock {
            bail!("no plan is made while a configuration under references cannot be read");
        }
        let mut proposal = Proposal::default();
        for set in &all.sets {
            if let Some(member) = set.members.iter().find(|it| it.stale.is_some()) {
                bail!("no plan is made on accounts of before: {} could not be asked", member.name);
            }
            let chosen = set.judged.iter().filter(|it| is_chosen(it));
            let targets: Vec<Target<'_>> = chosen
                .flat_map(|judged| judged.on.iter().map(move |on| (judged, on)))
                .map(|(judged, on)| Target {
                    server: set.members[on.member].name.as_bytes(),
                    snapshot: &set.members[on.member].snapshot,
                    account: &on.account,
                    verdict: judged.finding.verdict,
                    why: self.why(set, judged),
                    open_sessions: on.open_sessions,
                    references: &judged.references,
                    locked_since: on.known.locked_since,
                    locked_by_us: on.known.locked_by_us,
                })
                .collect();
            let own = propose(&targets, &rules);
            proposal.steps.extend(own.steps);
            proposal.refused.extend(own.refused);
        }
        if proposal.steps.is_empty() {
            return Ok(Made { kind, proposal, plan: None });
        }
        let doer = self.doer();
        let rests_on = match anyway || kind == DeedKind::Unlock {
            true => Basis::Asked,
            false => Basis::Unused,
        };
        let making = Making {
            kind,
            now: self.now,
            expires: self.now + i64::from(self.config.limits.plan_days) * DAY,
            author: format!("{}@{}", doer.os_user, doer.host),
            ticket: args.ticket.clone(),
            rests_on,
            on_replica: args.replica,
        };
        let plan = Plan::new(making, &proposal.steps).map_err(anyhow::Error::msg)?;
        let id = store(ledger, &plan)?;
        if let Some(path) = &args.out {
            new_file(path, &plan.file_text(&id)).map_err(anyhow::Error::msg)?;
        }
        Ok(Made { kind, proposal, plan: Some((id, plan)) })
    }

    /// `unused: no login in 263 days`.
    fn why(&self, set: &Gathered, judged: &Judged) -> String {
        let reasons = answers::reasons(&set.members, judged, set.window, self.view());
        format!("{}: {}", judged.finding.verdict.as_str(), reasons.join("; "))
    }

    /// `lock`, `unlock`, `drop`.
    pub(super) fn deed(&self, kind: DeedKind, args: &DeedArgs) -> anyhow::Result<Exit> {
        let names: Vec<AccountName> =
            args.accounts.iter().map(|it| account_name(it)).collect::<Result<_, _>>()?;
        let mut ledger = Ledger::create(&self.ledger()?)?;
        let live = LiveArgs { offline: false, defaults_file: args.defaults_file.clone() };
        let all = self.gathered(&mut ledger, &live, WINDOW)?;
        let known = |name: &AccountName| {
            all.sets.iter().flat_map(|it| &it.judged).any(|it| it.name == *name)
        };
        if let Some(unknown) = names.iter().find(|it| !known(it)) {
            return Err(no_such_account(&all, unknown));
        }
        let is_chosen = |it: &Judged| names.contains(&it.name);
        let made = self.plan(&mut ledger, &all, kind, &is_chosen, args.anyway, &args.planning)?;
        let mut answer = Answer::default();
        let Some((id, _)) = made.plan.as_ref().filter(|_| args.apply) else {
            made.show(&mut answer, self.view());
            let exit = self.asked(&answer, &all)?;
            return Ok(if made.plan.is_none() { Exit::Nothing } else { exit });
        };
        self.send(&mut ledger, id, args.kill_sessions, args.defaults_file.as_deref())
    }

    pub(super) fn apply(&self, args: &ApplyArgs) -> anyhow::Result<Exit> {
        let mut ledger = Ledger::create(&self.ledger()?)?;
        let id = self.plan_id(&mut ledger, &args.plan)?;
        self.send(&mut ledger, &id, args.kill_sessions, args.defaults_file.as_deref())
    }

    /// The plan that is meant: an id, or a file, whose plan is stored where the ledger does not have it.
    fn plan_id(&self, ledger: &mut Ledger, text: &OsStr) -> anyhow::Result<String> {
        let path = Path::new(text);
        let is_file = path.is_file();
        if let (false, Some(id)) = (is_file, text.to_str()) {
            return match ledger.plan(id)? {
                Some(plan) => Ok(plan.id),
                None => {
                    bail!("{id}: no plan has this id, and it is no file: rollcall journal --plans")
                }
            };
        }
        let named = |error: String| anyhow!("{}: {error}", path.display());
        let mut content = String::new();
        let file = File::open(path).map_err(|error| named(error.to_string()))?;
        let read = file.take(PLAN_BYTES_MAX).read_to_string(&mut content);
        read.map_err(|error| named(error.to_string()))?;
        let (id, plan) = Plan::parse_file(&content).map_err(named)?;
        match ledger.plan(&id)? {
            Some(known) if known.plan.hash == plan.hash() => Ok(known.id),
            _ => {
                let own = store(ledger, &plan)?;
                self.out.note(&format!("plan {id} of {} is stored here as {own}", path.display()));
                Ok(own)
            }
        }
    }

    /// Sends a plan that is stored.
    fn send(
        &self,
        ledger: &mut Ledger,
        id: &str,
        kill_sessions: bool,
        defaults_file: Option<&Path>,
    ) -> anyhow::Result<Exit> {
        let path = self.ledger()?;
        let _guard = guard(&path)?;
        let stored = ledger.plan(id)?.ok_or_else(|| anyhow!("{id}: no plan has this id"))?;
        let plan = Plan::parse(&stored.plan.text, &stored.plan.hash)
            .map_err(|error| anyhow!("plan {id}: {error}"))?;
        let rebuilds = Rebuilds::beside(&path);
        let are_grouped = |one: &str, other: &str| {
            let group = self.group_of(one);
            group.is_some() && group == self.group_of(other)
        };
        let order = Order {
            id,
            plan: &plan,
            state: stored.state,
            kill_sessions,
            rebuilds: &rebuilds,
            are_grouped: &are_grouped,
            patience: ARRIVES_MAX,
        };
        let mut reach = |server: &str| self.reach(server, defaults_file);
        let done = apply(ledger, &order, &mut reach, &self.doer())?;
        self.finish(ledger, &done, defaults_file)
    }

    pub(super) fn undo(&self, args: &UndoArgs) -> anyhow::Result<Exit> {
        let path = self.ledger()?;
        let mut ledger = Ledger::create(&path)?;
        let _guard = guard(&path)?;
        let id = match &args.plan {
            Some(id) => match ledger.plan(id)? {
                Some(plan) => plan.id,
                None => bail!("{id}: no plan has this id: rollcall journal --plans"),
            },
            None => {
                let last = ledger.undoable(Undoable::Last)?.into_iter().next();
                let last = last.and_then(|it| it.intent.plan);
                last.ok_or_else(|| anyhow!("nothing was done that can be undone"))?
            }
        };
        let defaults_file = args.defaults_file.as_deref();
        let mut reach = |server: &str| self.reach(server, defaults_file);
        let rebuilds = Rebuilds::beside(&path);
        let done = undo(&mut ledger, &id, &rebuilds, &mut reach, &self.doer())?;
        self.finish(&mut ledger, &done, defaults_file)
    }

    /// Says what became of it; what servers grant is read anew.
    fn finish(
        &self,
        ledger: &mut Ledger,
        done: &Done,
        defaults_file: Option<&Path>,
    ) -> anyhow::Result<Exit> {
        let arrived = self.is_everywhere(ledger, done, defaults_file)?;
        put(self.out, &answers::done(done, self.view()), self.global.output)?;
        let servers: BTreeSet<&str> = done.steps.iter().map(|it| it.server.as_str()).collect();
        let doer = self.doer();
        for server in servers {
            let read = self.place(server, defaults_file).and_then(|place| {
                snapshot_of(&place, Some(server), (doer.clock)()).map_err(anyhow::Error::msg)
            });
            match read {
                Ok(snapshot) => drop(ledger.store_snapshot(server.as_bytes(), &snapshot)?),
                Err(error) => self.out.note(&format!("{error:#}")),
            }
        }
        let any = done.steps.iter().any(crate::deeds::StepDone::is_good);
        Ok(match (arrived && done.is_good(), any) {
            (true, _) => Exit::Done,
            (false, true) => Exit::Partial,
            (false, false) => Exit::Nothing,
        })
    }

    fn group_of(&self, server: &str) -> Option<&str> {
        let of = |it: &&crate::config::Server| it.name.as_deref() == Some(server);
        self.config.servers.iter().find(of).and_then(|it| it.group.as_deref())
    }

    /// Whether what was done just now shows on the replicas of the same groups as well; says where it does not.
    /// What was done on a replica arrives nowhere else.
    fn is_everywhere(
        &self,
        ledger: &Ledger,
        done: &Done,
        defaults_file: Option<&Path>,
    ) -> anyhow::Result<bool> {
        let touched: BTreeSet<&str> = done.steps.iter().map(|it| it.server.as_str()).collect();
        let mut members: BTreeMap<&str, Result<Member, String>> = BTreeMap::new();
        let mut everywhere = true;
        for step in done.steps.iter().filter(|it| it.outcome == StepOutcome::Done) {
            let (Some(group), Some(id)) = (self.group_of(&step.server), step.deed) else {
                continue;
            };
            let kind = ledger.deed(id)?.map_or(String::new(), |it| it.intent.kind);
            let reach = |server: &str| {
                let place = self.place(server, defaults_file).map_err(|it| format!("{it:#}"))?;
                Member::reach(&place, server)
            };
            let source = members.entry(&step.server).or_insert_with(|| reach(&step.server));
            if source.as_ref().is_ok_and(|it| it.is_replica()) {
                continue;
            }
            let others = self.config.servers.iter().filter(|it| it.group.as_deref() == Some(group));
            let others = others.filter(|it| it.defaults_file.is_some());
            for other in others.filter_map(|it| it.name.as_deref()) {
                if touched.contains(other) {
                    continue;
                }
                let member = members.entry(other).or_insert_with(|| reach(other));
                let arrived = match member {
                    Ok(member) => member.shows(other, &kind, &step.account),
                    Err(why) => Err(format!("{other} could not be looked at: {why}")),
                };
                match arrived {
                    Ok(()) => self.out.detail(&format!("{other} shows it, too: {}", step.account)),
                    Err(why) => {
                        everywhere = false;
                        self.out.error(&why);
                    }
                }
            }
        }
        Ok(everywhere)
    }

    fn place(&self, server: &str, defaults_file: Option<&Path>) -> anyhow::Result<Place> {
        let of = |it: &&crate::config::Server| it.name.as_deref() == Some(server);
        let configured = self.config.servers.iter().find(of);
        if let (None, Some(configured)) = (defaults_file, configured)
            && configured.login.is_some()
        {
            return Place::configured(configured).map_err(anyhow::Error::msg);
        }
        let file = defaults_file.map(Path::to_owned);
        let file = file.or(configured.and_then(|it| it.defaults_file.clone()));
        // Without any configured server the usual option files lead to the one there is.
        match (file, self.config.servers.iter().any(|it| it.name.is_some())) {
            (None, true) => bail!(
                "{server} has no defaults_file in the configuration: name one with --defaults-file"
            ),
            (file, _) => Ok(Place::of(file)),
        }
    }

    fn reach(&self, server: &str, defaults_file: Option<&Path>) -> Result<Box<dyn Hands>, String> {
        let place = self.place(server, defaults_file).map_err(|error| format!("{error:#}"))?;
        let protected = self.config.protected.clone();
        Ok(Box::new(RealHands::reach(&place, server, protected, self.now)?))
    }

    pub(super) fn journal(&self, args: &JournalArgs) -> anyhow::Result<Exit> {
        let ledger = Ledger::open(&self.ledger()?)?;
        let account = args.account.as_deref().map(account_name).transpose()?;
        let filter = DeedFilter {
            server: self.filter.servers.first().cloned(),
            account,
            plan: args.plan.clone(),
            since: self.filter.since,
            until: self.filter.until,
            limit: args.limit,
        };
        let deeds = ledger.deeds(&filter)?;
        let plans = match args.plans {
            true => Some(ledger.plans(&PlanFilter {
                since: self.filter.since,
                until: self.filter.until,
                limit: args.limit,
                ..PlanFilter::default()
            })?),
            false => None,
        };
        let broken = ledger.verify_journal()?;
        let answer = answers::journal(&deeds, plans.as_deref(), broken, self.view());
        put(self.out, &answer, self.global.output)?;
        if let Some(id) = broken {
            self.out.error(&format!("the journal was changed at deed {id}: it proves nothing"));
            return Ok(Exit::Differs);
        }
        Ok(Exit::Done)
    }
}

fn store(ledger: &mut Ledger, plan: &Plan) -> anyhow::Result<String> {
    Ok(ledger.store_plan(&plan.stored())?)
}

/// A member of a group, as one looks whether a change has arrived there.
struct Member {
    witness: Witness,
    /// Something has not arrived in time: nothing else is waited for.
    is_late: bool,
}

impl Member {
    fn reach(place: &Place, name: &str) -> Result<Member, String> {
        Ok(Member { witness: Witness::reach(place, name)?, is_late: false })
    }

    /// Whether changes arrive there, as far as can be read.
    fn is_replica(&self) -> bool {
        !matches!(self.witness.replication, None | Some(Replication::None))
    }

    /// Waits until it shows what this kind of deed has done to an account. A server that replicates from none need
    /// not.
    ///
    /// # Errors
    /// Why it does not, with what to do.
    fn shows(&mut self, name: &str, kind: &str, account: &AccountName) -> Result<(), String> {
        let is_stopped = match self.witness.replication {
            Some(Replication::None) => return Ok(()),
            Some(Replication::Stopped) => true,
            Some(Replication::Running) | None => false,
        };
        let longest = if is_stopped || self.is_late { Duration::ZERO } else { ARRIVES_MAX };
        let arrived = wait(longest, || {
            let state = self.witness.state(account)?;
            Ok(match kind {
                "lock" => state == State::Locked,
                "unlock" => state == State::Open,
                "drop" => state == State::Absent,
                "create" => state != State::Absent,
                _ => true,
            })
        });
        match arrived {
            Ok(true) => Ok(()),
            Ok(false) if is_stopped => Err(format!(
                "{name} does not show it: {account}: its replication is stopped; start it there, then look: \
                 rollcall account \"{account}\""
            )),
            Ok(false) => {
                self.is_late = true;
                let seconds = ARRIVES_MAX.as_secs();
                Err(format!(
                    "{name} does not show it after {seconds} s: {account}: does it replicate? Look later: \
                     rollcall account \"{account}\""
                ))
            }
            Err(why) => Err(format!("{name} could not be looked at: {why}")),
        }
    }
}
