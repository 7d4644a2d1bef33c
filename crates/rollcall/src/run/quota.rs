//! `quota check`: measures servers, puts schemas to the account of users, and holds those against limits.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use ledger::Ledger;
use verdict::quota::{Limits, Shard, State};

use super::{Session, put};
use crate::answers;
use crate::cli::{Condition, Quota, QuotaArgs, QuotaCheckArgs};
use crate::config::limits;
use crate::exit::Exit;
use crate::out::replace_file;
use crate::quota::metrics::Metrics;
use crate::quota::notices::Teller;
use crate::quota::{Measured, RoundOutcome, Rules, Wanted, round};
use crate::reach::Place;
use crate::render::{inert, shown};

/// The most names that a message lists.
const NAMES_MAX: usize = 10;

/// How long a check waits at its end for who is told of events.
const TELL_PATIENCE: Duration = Duration::from_secs(30);

/// What came of measuring.
#[derive(Default)]
struct Done {
    measured: Vec<Measured>,
    failed: bool,
    /// Something could not be read.
    is_doubtful: bool,
    /// Users with a limit whom no server knows; `None`: nobody was measured.
    strangers: Option<BTreeSet<Vec<u8>>>,
}

impl Session<'_> {
    pub(super) fn quota(&self, args: &QuotaArgs) -> anyhow::Result<Exit> {
        match &args.what {
            Quota::Check(args) => self.quota_check(args),
            Quota::Watch(args) => self.quota_watch(args),
        }
    }

    fn quota_check(&self, args: &QuotaCheckArgs) -> anyhow::Result<Exit> {
        let limits = self.limits(args)?;
        let applies = args.apply || self.config.quota.enforce;
        let mut ledger = self.usage_ledger(applies)?;
        let ledger_path = self.ledger().ok();
        let mut done = Done::default();
        let doer = self.doer();
        let rules = Rules {
            quota: &self.config.quota,
            method: args.method.map_or(self.config.quota.method, Into::into),
            limits: &limits,
            shard: Shard::ALL,
            protected: &self.config.protected,
            plan_days: self.config.limits.plan_days,
            ledger: ledger_path.as_deref(),
            applies,
            remembers: applies,
            shows_statements: false,
            doer: &doer,
        };
        let mut metrics = Metrics::new(self.config.quota.metrics.series_max);
        let zone = jiff::tz::TimeZone::system();
        let teller = Teller::new(self.config.quota.notices.clone(), zone);
        for wanted in self.to_measure(args.defaults_file.as_deref())? {
            let begin = Instant::now();
            match round(&rules, &wanted, ledger.as_mut(), self.now) {
                Ok(outcome) => {
                    metrics.done(&outcome, begin.elapsed(), self.now);
                    outcome.events.iter().for_each(|event| teller.tell(event));
                    self.add(&mut done, outcome);
                }
                Err(error) => {
                    done.failed = true;
                    self.out.error(&error);
                }
            }
        }
        for fault in teller.finish(TELL_PATIENCE) {
            self.out.note(&fault);
        }
        self.note_strangers(done.strangers.as_ref());
        let answer = answers::quota(&done.measured, args.limit, self.view());
        put(self.out, &answer, self.global.output)?;
        let mut exit = match (done.failed, done.measured.is_empty()) {
            (_, true) => Exit::Nothing,
            (true, false) => Exit::Partial,
            (false, false) => Exit::Done,
        };
        // Numbers of some servers alone would let the others vanish from whoever watches.
        let rules = &self.config.quota.metrics;
        if let Some(path) = args.metrics.as_ref().or(rules.file.as_ref()) {
            if done.failed {
                self.out.note(&format!("{} stays as it was", path.display()));
            } else {
                let before =
                    rules.keeps_series.then(|| std::fs::read_to_string(path).ok()).flatten();
                let text = metrics.text(before.as_deref());
                if let Err(error) = replace_file(path, &text) {
                    self.out.error(&error);
                    exit = exit.max(Exit::Partial);
                }
            }
        }
        let worst = done.measured.iter().filter_map(Measured::worst).max();
        let conditions = &self.global.fail_on;
        Ok(exit.max(condition(conditions, worst, answer.rows > 0, done.is_doubtful)))
    }

    /// The limits of users; none where no file is named and no exit code hangs on them.
    fn limits(&self, args: &QuotaCheckArgs) -> anyhow::Result<Limits> {
        const NONE: &str = "no limits: name their file, limits of [quota], or --limits FILE";
        match args.limits.as_ref().or(self.config.quota.limits.as_ref()) {
            Some(path) => limits::read(path).map_err(anyhow::Error::msg),
            None if self.global.fail_on.iter().any(Condition::is_of_limits) => bail!(NONE),
            None => {
                self.out.note(NONE);
                Ok(Limits::default())
            }
        }
    }

    /// The ledger that holds earlier sizes; without one growth is not known, and all else is. Who acts needs it.
    fn usage_ledger(&self, applies: bool) -> anyhow::Result<Option<Ledger>> {
        if applies {
            return Ok(Some(Ledger::with_reserve(&self.ledger()?)?));
        }
        let opened = self.ledger().and_then(|path| Ok(Ledger::create(&path)?));
        match opened {
            Ok(ledger) => Ok(Some(ledger)),
            Err(error) => {
                self.out.note(&format!("{error:#}; growth is not known"));
                Ok(None)
            }
        }
    }

    /// The configured servers that can be reached; where none is configured, the one that option files lead to.
    pub(super) fn to_measure(&self, defaults_file: Option<&Path>) -> anyhow::Result<Vec<Wanted>> {
        let chosen = &self.filter.servers;
        let is_chosen =
            |name: &str| chosen.is_empty() || chosen.iter().any(|it| it == name.as_bytes());
        let named = self.config.servers.iter().filter_map(|it| Some((it.name.clone()?, it)));
        let named: Vec<_> = named.filter(|(name, _)| is_chosen(name)).collect();
        if let Some(file) = defaults_file {
            if named.len() > 1 {
                bail!("--defaults-file leads to one server: say which with --server");
            }
            let name = named.into_iter().next().map(|(name, _)| name);
            let name = name.or_else(|| self.global.server.clone());
            return Ok(vec![Wanted { name, place: Place::of(Some(file.to_owned())) }]);
        }
        if self.config.servers.iter().all(|it| it.name.is_none()) {
            let place = Place::of(None);
            return Ok(vec![Wanted { name: self.global.server.clone(), place }]);
        }
        let mut wanted = Vec::new();
        for (name, server) in named {
            match (&server.defaults_file, &server.login) {
                (Some(_), _) | (_, Some(_)) => {
                    let place = Place::configured(server).map_err(anyhow::Error::msg)?;
                    wanted.push(Wanted { name: Some(name), place });
                }
                // Of this one the logs alone are read.
                (None, None) => {
                    self.out.detail(&format!("{}: no defaults_file: left out", inert(&name)))
                }
            }
        }
        if wanted.is_empty() {
            bail!(
                "no way to a server: give its [[server]] a defaults_file, or --defaults-file FILE"
            );
        }
        Ok(wanted)
    }

    /// Takes what came of a round, and says what is not in the answer.
    fn add(&self, done: &mut Done, outcome: RoundOutcome) {
        done.is_doubtful |= !outcome.missing.is_empty();
        for note in outcome.missing.iter().chain(&outcome.notes) {
            self.out.note(note);
        }
        for event in &outcome.events {
            self.out.note(&inert(&event.to_string()));
        }
        let server = inert(&outcome.measured.server);
        self.out.detail(&format!("{server}: users held back: {}", outcome.enforced));
        let unknown = outcome.strangers;
        done.strangers = Some(match done.strangers.take() {
            Some(before) => before.intersection(&unknown).cloned().collect(),
            None => unknown,
        });
        done.measured.push(outcome.measured);
    }

    /// Says which users of the limits no server knows: their names may be misspelt.
    fn note_strangers(&self, strangers: Option<&BTreeSet<Vec<u8>>>) {
        let Some(strangers) = strangers.filter(|it| !it.is_empty()) else { return };
        let mut names: Vec<String> = strangers.iter().take(NAMES_MAX).map(|it| shown(it)).collect();
        if strangers.len() > NAMES_MAX {
            names.push(format!("and {} more", strangers.len() - NAMES_MAX));
        }
        self.out.note(&format!(
            "limits of users that are on no server, nor have a schema: {}",
            names.join(", ")
        ));
    }
}

/// Whether a condition of `--fail-on` holds.
fn condition(
    conditions: &[Condition],
    worst: Option<State>,
    rows: bool,
    is_doubtful: bool,
) -> Exit {
    let holds = conditions.iter().any(|it| match it {
        Condition::Soft => worst >= Some(State::Soft),
        Condition::Hard => worst >= Some(State::Hard),
        Condition::Rows => rows,
        Condition::Doubt => is_doubtful,
        // Of logs, and of a check-up.
        Condition::Gap | Condition::Warn | Condition::Error => false,
    });
    if holds { Exit::Condition } else { Exit::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_from_their_state_on() {
        use Condition::{Doubt, Error, Gap, Hard, Rows, Soft, Warn};
        for (condition_, worst, rows, is_doubtful, holds) in [
            (Soft, None, true, true, false),
            (Soft, Some(State::Ok), true, true, false),
            (Soft, Some(State::Soft), false, false, true),
            (Soft, Some(State::Hard), false, false, true),
            (Hard, Some(State::Soft), true, true, false),
            (Hard, Some(State::Hard), false, false, true),
            (Rows, None, true, false, true),
            (Rows, Some(State::Hard), false, true, false),
            (Doubt, None, false, true, true),
            (Doubt, Some(State::Hard), true, false, false),
            (Gap, Some(State::Hard), true, true, false),
            (Warn, Some(State::Hard), true, true, false),
            (Error, Some(State::Hard), true, true, false),
        ] {
            let exit = condition(&[condition_], worst, rows, is_doubtful);
            assert_eq!(exit == Exit::Condition, holds, "{condition_:?} {worst:?}");
        }
        assert_eq!(condition(&[], Some(State::Hard), true, true), Exit::Done);
    }
}
