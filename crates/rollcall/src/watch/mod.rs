//! `watch`: follows all sources until it is told to end.
//!
//! ```text
//! changes (inotify, time) ─► pace: what is due ─► scan::Follower: look, read ─► ledger
//! signals ─► reload, end                            └─► teller ─► log (tracing)
//!                                                   └─► notify (systemd)
//! ```
//!
//! It holds the ledger's lock while it runs, not only while it writes: its place in the logs is kept in
//! memory, and a second writer would move the marks behind its back. So a `scan` beside it is told at
//! once who has the ledger, instead of doing by halves what is being done already. The transaction is open
//! only while a step writes; questions are never kept waiting.
//!
//! # Invariants
//! * What was read is stored before anything else is waited for; a signal ends a step early, and never
//!   in the middle of a transaction.
//! * A fault of an input stops no other, and a fault of the ledger is retried: the records wait in the
//!   logs.
//! * Nothing grows with the time it runs.

mod changes;
mod pace;
mod teller;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use ledger::{Ledger, Lock};
use tracing::{debug, error, info, warn};

use crate::answers::plural;
use crate::out::Out;
use crate::render::unit_bytes;
use crate::scan::{Follower, Grown, Pacing, ReadDone, Stopped};
use crate::service::{Log, Notifier, Signals, monotonic_us};
pub(crate) use changes::Changes;
use pace::{Pace, Step};
use teller::{Line, Teller};

/// The ledger is told this often that the watch runs, also while nothing is written to the logs.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// After the signal to end, what is new may be read for so long.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Below this many bytes, reading is not worth a line.
const BACKLOG_MIN: u64 = 64 << 20;

/// Makes the follower anew from the configuration as it is now; a message where that is not possible.
pub(crate) type Reload<'a> = dyn Fn() -> Result<Follower, String> + 'a;

/// How to watch.
pub(crate) struct Options<'a> {
    pub(crate) ledger: &'a Path,
    pub(crate) out: Out,
    /// Nobody is asked to tell of changes.
    pub(crate) polls: bool,
    pub(crate) reload: &'a Reload<'a>,
}

/// Follows until a signal ends it.
///
/// # Errors
/// Where the ledger cannot be written at the start, is in use, or has become unusable.
pub(crate) fn watch(options: &Options<'_>, follower: Follower) -> anyhow::Result<()> {
    // Before any thread is started: all of them leave the signals to the one that waits for them.
    let signals = Signals::catch().context("signals cannot be caught")?;
    Log::install(options.out);
    let ledger = Ledger::create(options.ledger)?;
    let lock = ledger.lock()?;
    let mut daemon = Daemon {
        options,
        file: file_of(options.ledger)?,
        ledger,
        lock,
        follower,
        signals,
        notifier: Notifier::from_environment(),
        teller: Teller::default(),
        said: Instant::now(),
        fault: None,
        status: String::new(),
    };
    daemon.say(true)?;
    daemon.notifier.ready();
    info!(
        "follows the logs into {}, log times in {}",
        options.ledger.display(),
        daemon.follower.zone_text()
    );
    daemon.run()
}

/// What is written would be found by nobody.
#[derive(Debug, thiserror::Error)]
#[error("{0}: the ledger was moved or replaced while watch ran: start it again")]
struct Replaced(PathBuf);

/// Device and inode of the ledger.
fn file_of(ledger: &Path) -> anyhow::Result<(u64, u64)> {
    let metadata = fs::metadata(ledger).with_context(|| ledger.display().to_string())?;
    Ok((metadata.dev(), metadata.ino()))
}

fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// What came of a step.
struct Taken {
    /// How long to count it for, when the next one is chosen.
    cost: Duration,
    /// A look is due.
    unclear: bool,
    /// Something could not be read.
    troubled: bool,
}

struct Daemon<'a> {
    options: &'a Options<'a>,
    ledger: Ledger,
    lock: Lock,
    /// The ledger's device and inode.
    file: (u64, u64),
    follower: Follower,
    signals: Signals,
    notifier: Notifier,
    teller: Teller,
    /// When the ledger was told last that the watch runs.
    said: Instant,
    /// What is wrong with the ledger.
    fault: Option<String>,
    /// What the service manager was told last.
    status: String,
}

impl Daemon<'_> {
    fn run(&mut self) -> anyhow::Result<()> {
        let mut changes = Changes::new(self.options.polls);
        // Before anything is looked at: what changes meanwhile is looked at again.
        let mut told = changes.watch(&self.follower.places());
        let mut pace = Pace::new(Instant::now());
        let mut first = true;
        while self.signals.stop().is_none() {
            self.notifier.alive();
            if self.signals.take_reload() {
                self.reload();
                (first, pace.folders) = (true, true);
            }
            let (step, due) = pace.next();
            let start = Instant::now();
            if due > start {
                let wait = (due - start).min(self.notifier.every().unwrap_or(SAY_EVERY));
                let woken = changes.wait(&self.signals, wait);
                pace.files |= woken.files;
                pace.folders |= woken.folders;
                continue;
            }
            if step == Step::Look {
                // What changes while we look is for the next look.
                pace.folders = false;
            }
            pace.files = false;
            match self.step(step, first) {
                Ok(taken) => {
                    pace.took(step, start, taken.cost);
                    pace.folders |= taken.unclear;
                    if step == Step::Look {
                        pace.troubled = taken.troubled;
                        let complete = changes.watch(&self.follower.places());
                        if told && !complete && !self.options.polls {
                            info!(
                                "the system does not tell of all changes: looks every 2 s as well"
                            );
                        }
                        (told, pace.told) = (complete, complete);
                        // A file that grew before it was watched told nobody.
                        pace.files = true;
                        first = false;
                    }
                }
                Err(error) if error.is::<Stopped>() => break,
                Err(error) => {
                    self.fail(error)?;
                    pace.fail(Instant::now());
                }
            }
        }
        self.end()
    }

    /// Looks or reads.
    fn step(&mut self, step: Step, first: bool) -> anyhow::Result<Taken> {
        let start = Instant::now();
        let says_so = self.said.elapsed() >= SAY_EVERY;
        if step == Step::Look || says_so {
            self.check_ledger()?;
        }
        let (signals, notifier) = (&self.signals, &self.notifier);
        let go_on = || {
            notifier.alive();
            signals.stop().is_none_or(|since| since.elapsed() < END_PATIENCE)
        };
        let pacing = Pacing::watching(&go_on);
        let (ledger, time) = ((&mut self.ledger, &self.lock), (now(), start));
        let Grown { done, unclear } = match step {
            Step::Look => {
                let done = self.follower.look(ledger, time, pacing, says_so)?;
                Grown { done, unclear: false }
            }
            Step::Read => self.follower.read(ledger, time, pacing)?,
        };
        if says_so && step == Step::Read && done.bytes == 0 {
            self.say(true)?;
        }
        if says_so || done.bytes > 0 {
            self.said = Instant::now();
        }
        if let Some(fault) = self.fault.take() {
            info!("over: {fault}");
        }
        self.tell(step, &done, first, start);
        let mut cost = start.elapsed();
        if step == Step::Look {
            // However much there was to read: looking again costs what looking costs.
            cost = cost.saturating_sub(done.reading);
        }
        Ok(Taken { cost, unclear, troubled: !done.failed.is_empty() })
    }

    fn tell(&mut self, step: Step, done: &ReadDone, first: bool, start: Instant) {
        let now = Instant::now();
        let mut lines = match step {
            Step::Look => self.teller.look_notes(&done.notes, now),
            Step::Read => self.teller.notes(&done.notes, now),
        };
        if step == Step::Look {
            lines.extend(self.teller.faults(&done.failed, now, first));
            lines.extend(self.teller.details(&done.skipped));
        }
        for line in lines {
            match line {
                Line::Error(text) => error!("{text}"),
                Line::Warning(text) => warn!("{text}"),
                Line::Info(text) => info!("{text}"),
                Line::Detail(text) => debug!("{text}"),
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        if done.bytes >= BACKLOG_MIN {
            info!("caught up: {} in {seconds:.1} s", unit_bytes(done.bytes));
        } else if done.bytes > 0 {
            debug!("read {} bytes in {seconds:.3} s", done.bytes);
        }
        if step == Step::Look {
            let files = plural(self.follower.places().files.len() as u64, "file");
            if first {
                info!("{} looked at, {files} kept open", plural(done.files, "log file"));
            }
            let trouble = match done.failed.len() as u64 {
                0 => String::new(),
                count => format!(", {} cannot be read", plural(count, "input")),
            };
            self.status(format!("follows {files}{trouble}"));
        }
    }

    /// Tells the service manager, where it is news.
    fn status(&mut self, text: String) {
        if self.status != text {
            self.notifier.status(&text);
            self.status = text;
        }
    }

    /// A fault of the ledger: told once, and tried again.
    ///
    /// # Errors
    /// The fault, where the file itself is to blame.
    fn fail(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        use ledger::Error as E;
        let text = format!("{error:#}");
        let hopeless = match error.downcast_ref::<E>() {
            Some(E::Damaged { .. } | E::Foreign { .. } | E::Newer { .. }) => true,
            Some(_) => false,
            None => error.is::<Replaced>(),
        };
        if hopeless {
            return Err(error);
        }
        if self.fault.as_ref() != Some(&text) {
            error!("{text}; tried again until it can be written");
            self.status(text.clone());
            self.fault = Some(text);
        }
        Ok(())
    }

    /// The open file must still be the one that everybody else finds there.
    fn check_ledger(&self) -> anyhow::Result<()> {
        let path = self.options.ledger;
        match file_of(path) {
            Ok(file) if file == self.file => Ok(()),
            _ => Err(Replaced(path.to_path_buf()).into()),
        }
    }

    fn say(&mut self, runs: bool) -> anyhow::Result<()> {
        self.follower.say((&mut self.ledger, &self.lock), now(), runs)?;
        self.said = Instant::now();
        Ok(())
    }

    fn reload(&mut self) {
        self.notifier.reloading(monotonic_us());
        match (self.options.reload)() {
            Ok(follower) => {
                self.follower.replace(follower);
                info!("configuration read again, log times in {}", self.follower.zone_text());
            }
            Err(error) => error!("the configuration stays as it was: {error}"),
        }
        self.notifier.ready();
    }

    /// Reads what is new at the end, and says that it was the end.
    fn end(&mut self) -> anyhow::Result<()> {
        self.notifier.stopping();
        if self.fault.is_none() {
            let read = match self.step(Step::Read, false) {
                Ok(Taken { unclear: true, .. }) => self.step(Step::Look, false),
                read => read,
            };
            match read {
                Err(error) if !error.is::<Stopped>() => return Err(error),
                _ => {}
            }
        }
        self.say(false)?;
        info!("ended");
        Ok(())
    }
}
