//! `quota watch`: rounds over many servers, again and again, until it is told to end.
//!
//! ```text
//! time, writes ─► schedule: who is due ─► workers: round ─► outcome ─► log, notices, metrics
//! signals, file of limits ─► settings of the next rounds
//! ```
//!
//! # Invariants
//! * One thread decides; each worker makes one round at a time, with the settings that were in force when it began.
//! * A server that does not answer keeps no other from its interval.
//! * A reload drops no round, and a faulty configuration or file of limits changes nothing.

mod schedule;
mod told;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::Ledger;
use tracing::{debug, error, info, warn};
use verdict::account::AccountName;
use verdict::quota::{Limits, Shard};

use super::writes::{self, Writes};
use super::{Notice, RoundOutcome, Rules, Wanted, round};
use crate::answers::plural;
use crate::config;
use crate::config::limits::{LimitsFile, Reload};
use crate::deeds::Doer;
use crate::out::Out;
use crate::service::{Log, Notifier, Signals, Waker, monotonic_us};
use schedule::Schedule;
use told::Told;

/// How often the file of limits is looked at.
const LIMITS_EVERY: Duration = Duration::from_secs(1);

/// Between looks that have to find a user above the hard limit in succession, where writes are noted.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// After the signal to end, rounds that run may end for so long.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// The longest rest of the loop.
const REST_MAX: Duration = Duration::from_secs(30);

/// A server and how often it is measured.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) wanted: Wanted,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

/// By what rounds are made: read anew on reload.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) tasks: Vec<Task>,
    pub(crate) quota: config::Quota,
    /// The file of limits.
    pub(crate) limits: Option<PathBuf>,
    pub(crate) protected: Vec<AccountName>,
    pub(crate) plan_days: u32,
    pub(crate) applies: bool,
    /// Statements that would be sent are logged.
    pub(crate) shows_statements: bool,
    pub(crate) shard: Shard,
}

/// Makes the settings anew from the configuration as it is now.
pub(crate) type Remake<'a> = dyn Fn(&Settings) -> Result<Settings, String> + 'a;

/// How to watch.
pub(crate) struct Options<'a> {
    pub(crate) ledger: &'a Path,
    pub(crate) out: Out,
    /// How many servers at once.
    pub(crate) workers: usize,
    pub(crate) doer: Doer,
    /// That of times in syslog.
    pub(crate) zone: TimeZone,
    pub(crate) remake: &'a Remake<'a>,
}

/// Limits that are in force, and the file they stand in.
pub(crate) struct InForce {
    file: Option<LimitsFile>,
    none: Arc<Limits>,
}

impl InForce {
    /// Reads the file.
    ///
    /// # Errors
    /// A message with file, line and column.
    pub(crate) fn load(path: Option<&Path>) -> Result<InForce, String> {
        Ok(InForce { file: path.map(LimitsFile::load).transpose()?, none: Arc::default() })
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(self.file.as_ref().map_or(&self.none, LimitsFile::limits))
    }
}

/// What a worker is to do.
struct Job {
    task: Task,
    settings: Arc<Settings>,
    limits: Arc<Limits>,
    /// Where writes are noted is asked, too.
    asks_writes: bool,
}

/// What came of it.
struct Done {
    name: String,
    took: Duration,
    outcome: Result<RoundOutcome, String>,
    /// Where writes are noted; `None`: that was not asked.
    writes: Option<Option<writes::Place>>,
}

/// Goes round until a signal ends it.
///
/// # Errors
/// Where threads or signals are not to be had.
pub(crate) fn watch(
    options: &Options<'_>,
    settings: Settings,
    limits: InForce,
) -> anyhow::Result<()> {
    // Before any thread is started: all of them leave the signals to the one that waits for them.
    let signals = Signals::catch().context("signals cannot be caught")?;
    Log::install(options.out);
    let (jobs, taken) = mpsc::channel();
    let (sender, done) = mpsc::channel();
    let taken = Arc::new(Mutex::new(taken));
    for _ in 0..options.workers {
        let worker = Worker {
            jobs: Arc::clone(&taken),
            done: sender.clone(),
            waker: signals.waker().try_clone()?,
            ledger: options.ledger.to_owned(),
            doer: options.doer.clone(),
        };
        thread::Builder::new().name("round".to_owned()).spawn(move || worker.run())?;
    }
    let told = Told::start(&settings.quota, &options.zone).map_err(anyhow::Error::msg)?;
    let mut daemon = Daemon {
        options,
        settings: Arc::new(settings),
        limits,
        limits_due: Instant::now(),
        schedule: Schedule::default(),
        jobs,
        done,
        writes: BTreeMap::new(),
        faults: BTreeMap::new(),
        told,
        signals,
        notifier: Notifier::from_environment(),
    };
    daemon.schedule_all();
    daemon.notifier.ready();
    daemon.say_begin();
    daemon.run();
    Ok(())
}

/// Makes rounds, one at a time.
struct Worker {
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    done: mpsc::Sender<Done>,
    waker: Waker,
    ledger: PathBuf,
    doer: Doer,
}

impl Worker {
    fn run(&self) {
        loop {
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let start = Instant::now();
            // A round that panics must not take its server out of the schedule.
            let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.round(&job)));
            let outcome = made.unwrap_or_else(|_| Err("the round ended in a fault".to_owned()));
            let writes = match &outcome {
                Ok(_) if job.asks_writes => Some(writes_of(&job.task)),
                _ => None,
            };
            let done = Done { name: job.task.name, took: start.elapsed(), outcome, writes };
            if self.done.send(done).is_err() {
                return;
            }
            self.waker.wake();
        }
    }

    fn round(&self, job: &Job) -> Result<RoundOutcome, String> {
        let settings = &job.settings;
        let mut fault = None;
        let mut ledger = match Ledger::create(&self.ledger) {
            Ok(ledger) => Some(ledger),
            Err(error) => {
                fault = Some(format!("{error}; growth is not known, and nothing is done"));
                None
            }
        };
        let rules = Rules {
            quota: &settings.quota,
            method: settings.quota.method,
            limits: &job.limits,
            shard: settings.shard,
            protected: &settings.protected,
            plan_days: settings.plan_days,
            ledger: Some(&self.ledger),
            applies: settings.applies,
            remembers: true,
            shows_statements: settings.shows_statements,
            doer: &self.doer,
        };
        let mut outcome = round(&rules, &job.task.wanted, ledger.as_mut(), now())?;
        outcome.notes.extend(fault);
        Ok(outcome)
    }
}

fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Where the server's plugin notes writes, where it does and the place is on this machine.
fn writes_of(task: &Task) -> Option<writes::Place> {
    let name = Some(task.name.as_str());
    if task.wanted.place.way(name).ok()?.is_remote {
        return None;
    }
    let mut server = task.wanted.place.connect(name).ok()?;
    writes::Place::of(&live::facts::variables(&mut server).ok()?)
}

struct Daemon<'a> {
    options: &'a Options<'a>,
    settings: Arc<Settings>,
    limits: InForce,
    limits_due: Instant,
    schedule: Schedule,
    jobs: mpsc::Sender<Job>,
    done: mpsc::Receiver<Done>,
    /// By server: where writes are noted; `None` where they are not.
    writes: BTreeMap<String, Option<(writes::Place, Writes)>>,
    /// By server: what was told last of what it lacks, and why it cannot be measured.
    faults: BTreeMap<String, Vec<String>>,
    told: Told,
    signals: Signals,
    notifier: Notifier,
}

impl Daemon<'_> {
    fn run(&mut self) {
        while self.signals.stop().is_none() {
            self.notifier.alive();
            if self.signals.take_reload() {
                self.reload();
            }
            self.take_done();
            self.look_at_limits();
            self.look_for_writes();
            self.start_due();
            self.told.write_due(Instant::now());
            self.signals.wait(self.rest());
        }
        self.end();
    }

    /// How long there is nothing to do but wait.
    fn rest(&self) -> Duration {
        let now = Instant::now();
        let mut rest = self.notifier.every().unwrap_or(REST_MAX).min(REST_MAX);
        if self.limits.file.is_some() {
            rest = rest.min(self.limits_due.saturating_duration_since(now));
        }
        for (_, writes) in self.writes.values().flatten() {
            let due = writes.next().map(|due| due.saturating_duration_since(now));
            rest = due.map_or(rest, |due| rest.min(due)).min(writes::LOOK_EVERY);
        }
        if let Some(due) = self.told.due() {
            rest = rest.min(due.saturating_duration_since(now));
        }
        // Who finds no worker waits until one is done, which wakes us.
        let due = self.schedule.next(self.options.workers, now);
        let due = due.map(|due| due.saturating_duration_since(now));
        due.map_or(rest, |due| rest.min(due)).max(Duration::from_millis(1))
    }

    fn schedule_all(&mut self) {
        let tasks = self.settings.tasks.iter();
        let servers: Vec<_> = tasks.map(|it| (it.name.clone(), it.interval, it.timeout)).collect();
        let salt = u64::from(self.settings.shard.index());
        self.schedule.set(&servers, salt, Instant::now());
        let is_known = |name: &String| servers.iter().any(|it| it.0 == *name);
        self.writes.retain(|name, _| is_known(name));
        self.faults.retain(|name, _| is_known(name));
        self.told.retain(|name| servers.iter().any(|it| it.0 == name));
    }

    fn say_begin(&self) {
        let settings = &self.settings;
        let deeds = match settings.applies {
            true => format!("policy {}", settings.quota.policy.policy.as_str()),
            false => "nothing is changed".to_owned(),
        };
        info!(
            "measures {}, shard {}, {deeds}",
            plural(settings.tasks.len() as u64, "server"),
            settings.shard
        );
        if self.limits.file.is_none() {
            warn!("no limits: name their file, limits of [quota], or --limits FILE");
        }
    }

    fn start_due(&mut self) {
        while let Some(name) = self.schedule.start(self.options.workers, Instant::now()) {
            let Some(task) = self.settings.tasks.iter().find(|it| it.name == name) else { return };
            let job = Job {
                task: task.clone(),
                settings: Arc::clone(&self.settings),
                limits: self.limits.limits(),
                // The plugin may be loaded later.
                asks_writes: !matches!(self.writes.get(&name), Some(Some(_))),
            };
            // Workers end after we do.
            let _ = self.jobs.send(job);
        }
    }

    fn take_done(&mut self) {
        while let Ok(done) = self.done.try_recv() {
            let passed = self.schedule.end(&done.name, done.outcome.is_ok(), Instant::now());
            if passed > 0 {
                let left_out = plural(passed.into(), "turn");
                let seconds = done.took.as_secs_f64();
                warn!("{}: took {seconds:.1} s: {left_out} left out", done.name);
            }
            if let Some(place) = done.writes {
                self.open_writes(&done.name, place);
            }
            match done.outcome {
                Ok(outcome) => {
                    self.told.done(&outcome, done.took, now());
                    self.look_again(&done.name, &outcome);
                    self.tell(&done.name, done.took, outcome);
                }
                Err(text) => {
                    self.told.failed(&done.name, done.took);
                    // Whoever comes back may note writes elsewhere.
                    self.writes.remove(&done.name);
                    self.tell_faults(&done.name, vec![text], true);
                }
            }
        }
    }

    /// Who has been found above the hard limit by a write is not left until the next interval.
    fn look_again(&mut self, name: &str, outcome: &RoundOutcome) {
        if outcome.is_pending && self.writes.get(name).is_some_and(Option::is_some) {
            self.schedule.wake_after(name, LOOK_AGAIN, Instant::now());
        }
    }

    fn open_writes(&mut self, name: &str, place: Option<writes::Place>) {
        let opened = place.and_then(|place| match Writes::open(&place) {
            Ok(writes) => {
                info!("{name}: writes are noted by ROLLCALL_WRITES: measured at once");
                Some((place, writes))
            }
            Err(error) => {
                warn!("{name}: {error}; the interval rules");
                None
            }
        });
        self.writes.insert(name.to_owned(), opened);
    }

    fn look_for_writes(&mut self) {
        let now = Instant::now();
        for (name, open) in &mut self.writes {
            let Some((_, writes)) = open else { continue };
            if let Err(error) = writes.look(now) {
                warn!("{name}: {error}; the interval rules");
                *open = None;
                continue;
            }
            if !writes.take_due(now).is_empty() {
                self.schedule.wake(name);
            }
        }
    }

    fn look_at_limits(&mut self) {
        let now = Instant::now();
        if now < self.limits_due {
            return;
        }
        self.limits_due = now + LIMITS_EVERY;
        if let Some(file) = &mut self.limits.file {
            tell_reload(&file.refresh());
        }
    }

    fn reload(&mut self) {
        self.notifier.reloading(monotonic_us());
        match (self.options.remake)(&self.settings) {
            Ok(settings) => match self.take_limits(settings.limits.as_deref()) {
                Ok(()) => {
                    self.told.reload(&self.settings.quota, &settings.quota, &self.options.zone);
                    self.settings = Arc::new(settings);
                    self.schedule_all();
                    info!(
                        "configuration read again: {}",
                        plural(self.settings.tasks.len() as u64, "server")
                    );
                }
                Err(error) => error!("the configuration stays as it was: {error}"),
            },
            Err(error) => error!("the configuration stays as it was: {error}"),
        }
        self.notifier.ready();
    }

    /// Reads limits at once; where another file is named, that one.
    fn take_limits(&mut self, path: Option<&Path>) -> Result<(), String> {
        match &mut self.limits.file {
            Some(file) if path == self.settings.limits.as_deref() => {
                tell_reload(&file.reload());
            }
            _ => self.limits = InForce::load(path)?,
        }
        Ok(())
    }

    fn tell(&mut self, name: &str, took: Duration, outcome: RoundOutcome) {
        let users = &outcome.measured.accounted.users;
        let hard = users.iter().filter(|it| it.state == verdict::quota::State::Hard).count();
        debug!(
            "{name}: {} in {:.1} s, above the hard limit: {hard}, held back: {}",
            plural(users.len() as u64, "user"),
            took.as_secs_f64(),
            outcome.enforced
        );
        for event in &outcome.events {
            match event.notice {
                Notice::Failed { .. } | Notice::Refused { .. } => error!("{event}"),
                Notice::Restored { .. } => info!("{event}"),
                _ => warn!("{event}"),
            }
        }
        for line in &outcome.would_send {
            info!("{name}: {line}");
        }
        let faults = outcome.missing.into_iter().chain(outcome.notes).collect();
        self.tell_faults(name, faults, false);
    }

    /// Tells what is new of what a server lacks, and what is over.
    fn tell_faults(&mut self, name: &str, faults: Vec<String>, is_down: bool) {
        let before = self.faults.insert(name.to_owned(), faults).unwrap_or_default();
        let faults = &self.faults[name];
        for fault in faults.iter().filter(|it| !before.contains(it)) {
            match is_down {
                true => error!("{name}: {fault}; tried again"),
                false => warn!("{name}: {fault}"),
            }
        }
        if !is_down {
            for fault in before.iter().filter(|it| !faults.contains(it)) {
                info!("{name}: over: {fault}");
            }
        }
    }

    /// Lets rounds that run end.
    fn end(&mut self) {
        self.notifier.stopping();
        let deadline = Instant::now() + END_PATIENCE;
        while self.schedule.running() > 0 && Instant::now() < deadline {
            self.notifier.alive();
            self.signals.wait(Duration::from_millis(500));
            self.take_done();
        }
        self.told.end();
        match self.schedule.running() as u64 {
            0 => info!("ended"),
            count => warn!(
                "ended, {} of which did not: the journal settles deeds",
                plural(count, "round")
            ),
        }
    }
}

fn tell_reload(reload: &Reload) {
    match reload {
        Reload::Unchanged => {}
        Reload::Replaced => info!("new limits are in force"),
        Reload::Refused(error) => error!("the limits stay as they were: {error}"),
    }
}
