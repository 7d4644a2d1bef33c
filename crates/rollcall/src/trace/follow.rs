//! `--follow`: what is there, and then what comes, transaction by transaction.
//!
//! ```text
//! files: the last grows, the next appears      ┐
//! server: it sends on, into a file of ours     ┘─► select ── what is complete ──► join ──► told, where ready
//!                                                              ▲                    │ not ready: again, soon
//!                                                              └────────────────────┘
//! ```
//!
//! A transaction is ready where no audit log is joined. Else its record may not be written yet: statements are
//! audited when they end, which may be after their commit. So each waits [`SETTLES`], and one that is not exact
//! until then [`AUDIT_WAIT_MAX`] at most. Joining is that of [`trace`](super::trace): the audit logs are read
//! from the start of the run each time, and what that takes is waited for tenfold before the next time.
//!
//! # Invariants
//! * Transactions are told in the order of the log, each once.
//! * Memory does not grow with time: of the logs before the last, the first of its run is kept by its head; what
//!   waits is told unjoined from some megabytes on.

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use live::LiveError;
use live::dump::{Came, Dump};
use verdict::trace::{Attribution, Runs};

use super::log::{Log, Read};
use super::remote::{Copy, Remote};
use super::select::Selector;
use super::{AuditLogs, Filters, Found, Job, Logins, Names, Summary, Wanted, is_outside, join};
use crate::scan::Places;
use crate::service::Signals;
use crate::watch::Changes;

/// How long a transaction waits for its audit records in any case.
const SETTLES: Duration = Duration::from_secs(1);

/// How long one waits that they do not make exact.
const AUDIT_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long nothing is looked at, where the system tells of changes.
const IDLE: Duration = Duration::from_secs(1);

/// The same where it does not.
const POLL: Duration = Duration::from_millis(250);

/// How many times as long as joining took is waited before joining again.
const REST: u32 = 10;

/// What is followed, with what.
pub(crate) struct Following<'a> {
    pub(crate) filters: &'a Filters,
    pub(crate) user: Option<&'a [u8]>,
    pub(crate) thread: Option<u64>,
    pub(crate) wanted: Wanted,
    pub(crate) limit: Option<usize>,
    /// Finds the audit logs: they rotate, too.
    pub(crate) audit: &'a dyn Fn() -> AuditLogs,
    pub(crate) logins: &'a mut Logins,
    pub(crate) names: &'a mut Names,
    pub(crate) signals: &'a Signals,
    /// Is told what happens meanwhile.
    pub(crate) note: &'a dyn Fn(&str),
}

/// Is told what was found; `None`: nothing more for now.
pub(crate) type TellOn<'a> = dyn FnMut(Option<Found<'_>>) -> Result<()> + 'a;

/// Where more comes from.
pub(crate) enum Feed {
    /// Files that are written here.
    Files(Changes),
    /// The server, which sends on.
    Server(Box<Sending>),
}

/// A server that sends its newest log, and those behind it.
pub(crate) struct Sending {
    remote: Rc<Remote>,
    /// The file that is being sent.
    name: Vec<u8>,
    /// `None`: the connection broke, and is to be opened again.
    dump: Option<Dump>,
    copy: Copy,
    /// Its first event is still to come.
    begins: bool,
    /// How long the copy was when the connection broke, and how often it did there.
    broken_at: (u64, u32),
}

/// How much is received before it is looked at, in bytes.
const RECEIVED_BYTES_MAX: u64 = 4 << 20;

/// How often a connection may break at one place of a log.
const BROKEN_MAX: u32 = 5;

impl Feed {
    /// Files; the system is asked to tell of changes.
    pub(crate) fn files() -> Feed {
        Feed::Files(Changes::new(false))
    }

    /// The server, from the beginning of the last of these logs, which is replaced by what comes.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn server(remote: &Rc<Remote>, logs: &mut Vec<Log>) -> Result<Feed, String> {
        let Some(last) = logs.pop() else { return Err("the server lists no binary log".into()) };
        let name = last.server_name().to_vec();
        let dump = Some(remote.send_on(&name)?);
        let (remote, copy) = (Rc::clone(remote), Copy::new()?);
        let mut sending = Sending { remote, name, dump, copy, begins: false, broken_at: (0, 0) };
        loop {
            if let Some(log) = sending.receive(last.head.follows, &|_| {})? {
                logs.push(log);
                return Ok(Feed::Server(Box::new(sending)));
            }
            if sending.dump.is_none() {
                return Err("the connection to the server broke: run again".into());
            }
        }
    }

    /// The log behind `last`, once it is there; else waits for more, so long at most.
    fn next(
        &mut self,
        last: &Log,
        wait: Duration,
        following: &Following<'_>,
    ) -> Result<Option<Log>, String> {
        match self {
            Feed::Files(changes) => {
                if let Some(log) = last.next_beside() {
                    return Ok(Some(log));
                }
                let folder = last.path().and_then(Path::parent).map(Path::to_path_buf);
                let files = last.path().map(Path::to_path_buf).into_iter().collect();
                let places = Places { folders: folder.into_iter().collect(), files };
                let is_told = changes.watch(&places);
                changes.wait(following.signals, if is_told { wait } else { wait.min(POLL) });
                Ok(None)
            }
            Feed::Server(sending) => sending.receive(true, following.note),
        }
    }
}

impl Sending {
    /// Takes what has come, and waits for the next event or sign of life; the next log, once it begins.
    fn receive(&mut self, follows: bool, note: &dyn Fn(&str)) -> Result<Option<Log>, String> {
        let before = self.copy.length();
        loop {
            let Some(dump) = &mut self.dump else {
                self.reopen(note);
                return Ok(None);
            };
            let copy = &mut self.copy;
            let came = dump.next(&mut |bytes| copy.put(bytes));
            self.copy.check()?;
            match came {
                Ok(Came::File(name)) => {
                    // A file that is sent again goes on where it broke off.
                    if self.begins || name != self.name || self.copy.length() == 0 {
                        self.copy.flush()?;
                        self.copy = Copy::new()?;
                        self.begins = true;
                        self.name = name;
                    }
                }
                Ok(Came::Event(_)) if self.begins => {
                    let file = self.copy.flush()?;
                    self.begins = false;
                    return Log::arriving(&self.remote, &self.name, &file, follows).map(Some);
                }
                Ok(Came::Event(_))
                    if dump.has_more()
                        && self.copy.length().saturating_sub(before) < RECEIVED_BYTES_MAX => {}
                Ok(Came::Event(_) | Came::Heartbeat) => {
                    self.copy.flush()?;
                    return Ok(None);
                }
                Ok(Came::End) => return self.broken("the server ended its binary log", note),
                Err(error @ (LiveError::Broken { .. } | LiveError::Timeout { .. })) => {
                    return self.broken(&error.to_string(), note);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn broken(&mut self, why: &str, note: &dyn Fn(&str)) -> Result<Option<Log>, String> {
        self.copy.flush()?;
        let length = self.copy.length();
        self.broken_at = match self.broken_at {
            (at, times) if at == length => (at, times + 1),
            _ => (length, 1),
        };
        if self.broken_at.1 > BROKEN_MAX {
            return Err(format!("{why}; it was tried {BROKEN_MAX} times"));
        }
        note(&format!("{why}; it is tried again each second"));
        self.dump = None;
        Ok(None)
    }

    /// Asks for the file again, of which the beginning is there already; waits where the server is not.
    fn reopen(&mut self, note: &dyn Fn(&str)) {
        match self.remote.send_on(&self.name) {
            Ok(dump) => {
                note("the server sends its binary log again");
                self.copy.begin_again();
                self.dump = Some(dump);
            }
            Err(_) => std::thread::sleep(IDLE),
        }
    }
}

/// Traces what is asked for of these logs and of what comes behind them, until a signal comes.
///
/// # Errors
/// Those of `tell`, and of the ledger.
pub(crate) fn follow(
    following: &mut Following<'_>,
    mut logs: Vec<Log>,
    mut feed: Feed,
    tell: &mut TellOn<'_>,
) -> Result<Summary> {
    let mut state = State::new(following);
    let mut at = 0;
    while at < logs.len() {
        let is_last = at + 1 == logs.len();
        if !is_last && is_outside(&logs, following.filters, at) {
            at += 1;
            continue;
        }
        if is_last && state.selector.traced.is_empty() {
            at = keep_last(&mut logs);
        }
        let feed = is_last.then_some(&mut feed);
        match state.read(following, &logs, at, feed, tell)? {
            Ended::Whole => {
                state.settle(following, &logs, true, tell)?;
                logs[at].release();
            }
            Ended::Next(log) => logs.push(*log),
            Ended::Over => break,
            Ended::Failed(message) => state.summary.failed.push(message),
        }
        at += 1;
    }
    state.settle(following, &logs, true, tell)?;
    let mut summary = state.summary;
    summary.seen = state.selector.seen;
    summary.reach = state.selector.reach;
    summary.unnamed = state.selector.unnamed;
    *following.names = state.selector.names;
    Ok(summary)
}

/// Lets go of all logs but the last and the first of its run, which tells when that began; the place of the
/// last.
fn keep_last(logs: &mut Vec<Log>) -> usize {
    let Some(mut last) = logs.pop() else { return 0 };
    let heads: Vec<_> = logs.iter().chain([&last]).map(|log| log.head).collect();
    let runs = Runs::of(&heads);
    let run = runs.of_file(logs.len());
    let first = (0..logs.len()).find(|&it| runs.of_file(it) == run);
    let first = first.map(|it| logs.swap_remove(it));
    logs.clear();
    if let Some(first) = first {
        first.release();
        last.head.follows = true;
        logs.push(first);
    }
    logs.push(last);
    logs.len() - 1
}

/// How a log was read.
enum Ended {
    /// To its end, and nothing is waited for.
    Whole,
    /// To its end; the next has begun.
    Next(Box<Log>),
    /// A signal came, or all that was asked for is told.
    Over,
    /// It cannot be read on.
    Failed(String),
}

struct State<'a> {
    selector: Selector<'a>,
    summary: Summary,
    /// When each of the transactions that wait was read.
    arrived: VecDeque<Instant>,
    /// All that was there has been read once.
    is_live: bool,
    /// Not before then are audit logs read again.
    rests_until: Instant,
    /// When logins were asked for.
    refreshed: Instant,
    has_audit: bool,
}

impl<'a> State<'a> {
    fn new(following: &mut Following<'a>) -> State<'a> {
        State {
            selector: Selector::new(following.filters, std::mem::take(following.names)),
            summary: Summary::default(),
            arrived: VecDeque::new(),
            is_live: false,
            rests_until: Instant::now(),
            refreshed: Instant::now(),
            has_audit: !(following.audit)().is_empty(),
        }
    }

    /// Reads a log to its end; with a feed, until there is a next one.
    fn read(
        &mut self,
        following: &mut Following<'_>,
        logs: &[Log],
        at: usize,
        mut feed: Option<&mut Feed>,
        tell: &mut TellOn<'_>,
    ) -> Result<Ended> {
        let log = &logs[at];
        self.selector.begin_log(at, log, runs_of(logs).of_file(at));
        let opened = if feed.is_some() { log.growing_reader() } else { log.reader() };
        let mut reader = match opened {
            Ok(reader) => reader,
            Err(message) => return Ok(Ended::Failed(message)),
        };
        let mut next = None;
        loop {
            let summary = &mut self.summary;
            let read = reader.read(&mut self.selector, &mut |text| summary.problem(text));
            self.note(log);
            let over = match read {
                Err(message) => Some(Ended::Failed(message)),
                Ok(Read::More) => {
                    if self.selector.is_full() {
                        self.settle(following, logs, true, tell)?;
                    }
                    self.is_over(following).then_some(Ended::Over)
                }
                Ok(Read::Whole) => match (&mut feed, next.take()) {
                    (None, _) => return Ok(Ended::Whole),
                    (Some(_), Some(log)) => Some(Ended::Next(Box::new(log))),
                    (Some(feed), None) => {
                        self.is_live = true;
                        self.settle(following, logs, false, tell)?;
                        match self.is_over(following) {
                            true => Some(Ended::Over),
                            false => match feed.next(log, self.wait(), following) {
                                Ok(found) => {
                                    next = found;
                                    None
                                }
                                Err(message) => Some(Ended::Failed(message)),
                            },
                        }
                    }
                },
            };
            if let Some(over) = over {
                let summary = &mut self.summary;
                reader.close(&mut self.selector, &mut |text| summary.problem(text));
                self.note(log);
                return Ok(over);
            }
        }
    }

    fn is_over(&self, following: &Following<'_>) -> bool {
        let is_full = following.limit.is_some_and(|limit| self.summary.told >= limit);
        is_full || self.summary.is_limited || following.signals.is_end_asked()
    }

    /// Notes what the reading has brought.
    fn note(&mut self, log: &Log) {
        for text in self.selector.problems.drain(..) {
            self.summary.problem(format!("{}: {text}", log.name.display()));
        }
        let known = self.arrived.len();
        self.arrived.resize(self.selector.traced.len(), Instant::now());
        if self.is_live {
            // It stands in the log, so it is committed.
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = u32::try_from(since_1970.as_secs()).unwrap_or(u32::MAX);
            for head in &mut self.selector.heads[known..] {
                head.committed_by = head.committed_by.max(now);
            }
        }
    }

    /// How long nothing need be done.
    fn wait(&self) -> Duration {
        let Some(first) = self.arrived.front() else { return IDLE };
        let due = (*first + SETTLES).max(self.rests_until);
        due.saturating_duration_since(Instant::now()).clamp(POLL, IDLE)
    }

    /// Joins what waits and tells what is ready; `all` is told as it is.
    fn settle(
        &mut self,
        following: &mut Following<'_>,
        logs: &[Log],
        all: bool,
        tell: &mut TellOn<'_>,
    ) -> Result<()> {
        let now = Instant::now();
        let waits = self.has_audit && !all;
        let age = |arrived: &Instant| now.saturating_duration_since(*arrived);
        let count = match waits {
            true if now < self.rests_until => 0,
            true => self.arrived.partition_point(|it| age(it) >= SETTLES),
            false => self.arrived.len(),
        };
        if count == 0 {
            return Ok(());
        }
        let audit = (following.audit)();
        if age(&self.refreshed) >= POLL {
            following.logins.refresh();
            self.refreshed = now;
        }
        std::mem::swap(following.names, &mut self.selector.names);
        let mut job = Job {
            logs,
            filters: following.filters,
            user: following.user,
            thread: following.thread,
            wanted: following.wanted,
            limit: following.limit,
            audit: &audit,
            logins: &mut *following.logins,
            names: &mut *following.names,
        };
        let ready = |number: usize, found: &Attribution| {
            let is_known = found.is_exact && found.who.is_some();
            !waits || is_known || age(&self.arrived[number]) >= AUDIT_WAIT_MAX
        };
        let (traced, heads) = (&self.selector.traced[..count], &self.selector.heads[..count]);
        let (runs, summary) = (runs_of(logs), &mut self.summary);
        let done = join(&mut job, &runs, traced, heads, summary, &ready, &mut |it| tell(Some(it)));
        std::mem::swap(following.names, &mut self.selector.names);
        let done = done?;
        self.selector.take(done);
        self.arrived.drain(..done);
        self.rests_until = Instant::now() + now.elapsed() * REST;
        tell(None)
    }
}

fn runs_of(logs: &[Log]) -> Runs {
    let heads: Vec<_> = logs.iter().map(|log| log.head).collect();
    Runs::of(&heads)
}
