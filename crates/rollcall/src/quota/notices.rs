//! Who is told of events: syslog, an audit log of our own, a command, a webhook.
//!
//! ```text
//! Teller::tell ─┬─► audit log   one JSON line, written at once
//!               ├─► syslog      one datagram, never waited for
//!               ├─► queue ─► thread: command    environment, JSON on standard input; 10 s
//!               └─► queue ─► thread: webhook    POST, JSON; 10 s
//! ```
//!
//! # Invariants
//! * No command and no webhook holds a check up: what cannot be taken is counted and told, not waited for.
//! * A name is data: the command is started without a shell, syslog gets it written out, JSON escapes it.

mod webhook;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};

use super::{Event, Notice};
use crate::render::inert;
pub(crate) use webhook::Webhook;

/// How many events wait for a command or a webhook.
const QUEUE_MAX: usize = 1000;

/// How many faults are kept until somebody asks for them.
const FAULTS_MAX: usize = 100;

/// How long a command or a webhook may take for one event.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest message to syslog, in bytes: RFC 3164 has packets of 1024.
const SYSLOG_BYTES_MAX: usize = 900;

/// Where syslog listens.
const SYSLOG: &str = "/dev/log";

/// `daemon` in RFC 3164, table 1.
const FACILITY: u8 = 3;

/// Who is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Notices {
    pub(crate) syslog: bool,
    /// The file of one JSON line an event.
    pub(crate) audit_log: Option<PathBuf>,
    /// A program with its arguments.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) webhook: Option<Webhook>,
}

/// Tells of events.
#[derive(Debug)]
pub(crate) struct Teller {
    syslog: Option<PathBuf>,
    audit_log: Option<PathBuf>,
    queues: Vec<Queue>,
    faults: Faults,
    zone: TimeZone,
}

/// What could not be told, the oldest first; and how much is left out.
#[derive(Debug, Clone, Default)]
struct Faults(Arc<Mutex<(VecDeque<String>, usize)>>);

impl Faults {
    fn add(&self, fault: String) {
        let mut faults = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if faults.0.len() == FAULTS_MAX {
            faults.1 += 1;
        } else {
            faults.0.push_back(fault);
        }
    }
}

/// Events on their way to somebody who may be slow.
#[derive(Debug)]
struct Queue {
    what: &'static str,
    events: SyncSender<Arc<Event>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl Teller {
    /// `zone` is that of the times in syslog.
    pub(crate) fn new(notices: Notices, zone: TimeZone) -> Teller {
        Teller::with(notices, zone, Path::new(SYSLOG), PATIENCE)
    }

    fn with(notices: Notices, zone: TimeZone, syslog: &Path, patience: Duration) -> Teller {
        let faults = Faults::default();
        let mut queues = Vec::new();
        if let Some(command) = notices.command {
            let run = move |event: &Event| run(&command, event, patience);
            queues.extend(Queue::start("the command for notices", run, &faults));
        }
        if let Some(webhook) = notices.webhook {
            let post = move |event: &Event| webhook.post(&json(event).to_string(), patience);
            queues.extend(Queue::start("the webhook", post, &faults));
        }
        let syslog = notices.syslog.then(|| syslog.to_owned());
        Teller { syslog, audit_log: notices.audit_log, queues, faults, zone }
    }

    /// Tells all of them of an event. Waits for nobody.
    pub(crate) fn tell(&self, event: &Event) {
        if let Some(path) = &self.audit_log
            && let Err(error) = append(path, &json(event))
        {
            let path = inert(&path.display().to_string());
            self.faults.add(format!("{path}: the audit log cannot be written: {error}"));
        }
        if let Some(path) = &self.syslog
            && let Err(error) = to_syslog(path, event, &self.zone)
        {
            self.faults.add(format!("{}: syslog is not told: {error}", path.display()));
        }
        let event = Arc::new(event.clone());
        for queue in &self.queues {
            if queue.events.try_send(Arc::clone(&event)).is_err() {
                self.faults.add(format!("{} is too slow: an event is not told to it", queue.what));
            }
        }
    }

    /// What could not be told since it was asked last.
    pub(crate) fn take_faults(&self) -> Vec<String> {
        let mut faults = self.faults.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (told, left_out) = std::mem::take(&mut *faults);
        let mut told: Vec<String> = told.into();
        if left_out > 0 {
            told.push(format!("and {left_out} more"));
        }
        told
    }

    /// Waits until all is told, at most so long; what could not be told.
    pub(crate) fn finish(mut self, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        for Queue { what, events, ended } in std::mem::take(&mut self.queues) {
            drop(events);
            let left = until.saturating_duration_since(Instant::now());
            if matches!(ended.recv_timeout(left), Err(mpsc::RecvTimeoutError::Timeout)) {
                self.faults.add(format!("{what} is too slow: not all events are told to it"));
            }
        }
        self.take_faults()
    }
}

impl Queue {
    /// A thread that tells one after the other.
    fn start(
        what: &'static str,
        tell: impl Fn(&Event) -> Result<(), String> + Send + 'static,
        faults: &Faults,
    ) -> Option<Queue> {
        let (events, queue) = mpsc::sync_channel::<Arc<Event>>(QUEUE_MAX);
        let (end, ended) = mpsc::channel::<()>();
        let told = faults.clone();
        let work = move || {
            let _end = end;
            for event in queue {
                if let Err(fault) = tell(&event) {
                    told.add(format!("{what}: {fault}"));
                }
            }
        };
        match thread::Builder::new().name("notices".to_owned()).spawn(work) {
            Ok(_) => Some(Queue { what, events, ended }),
            Err(error) => {
                faults.add(format!("{what} cannot be started: {error}"));
                None
            }
        }
    }
}

/// The word for an event.
fn word(notice: &Notice) -> &'static str {
    match notice {
        Notice::Warned { .. } => "warned",
        Notice::OverHard { .. } => "over-hard",
        Notice::Enforced { .. } => "enforced",
        Notice::Refused { .. } => "refused",
        Notice::Restored { .. } => "restored",
        Notice::Failed { .. } => "failed",
    }
}

/// What programs are told of an event. Fields that have no meaning for it are not there.
fn json(event: &Event) -> Value {
    let Event { server, user, bytes, limit, at_us, notice } = event;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    let at = Timestamp::from_microsecond(*at_us).unwrap_or_default();
    put("at", json!(format!("{at:.6}")));
    put("event", json!(word(notice)));
    put("server", json!(server));
    put("user", json!(String::from_utf8_lossy(user)));
    if std::str::from_utf8(user).is_err() {
        let hex: String = user.iter().map(|byte| format!("{byte:02x}")).collect();
        put("user_hex", json!(hex));
    }
    put("bytes", json!(bytes));
    put("soft_limit_bytes", json!(limit.and_then(|it| it.soft)));
    put("hard_limit_bytes", json!(limit.and_then(|it| it.hard)));
    match notice {
        Notice::Warned { percent } => {
            put("percent", json!(percent));
        }
        Notice::OverHard { policy } => {
            put("policy", json!(policy));
        }
        Notice::Enforced { policy, plan, sessions_closed } => {
            put("policy", json!(policy));
            put("plan", json!(plan));
            put("sessions_closed", json!(sessions_closed));
        }
        Notice::Restored { policy, plan } => {
            put("policy", json!(policy));
            put("plan", json!(plan));
        }
        Notice::Refused { why } | Notice::Failed { why } => {
            put("reason", json!(why));
        }
    }
    put("message", json!(event.to_string()));
    Value::Object(fields)
}

/// Adds a line with one write, so that lines of several processes do not mix. The file is opened anew for each, so
/// that it may be rotated.
fn append(path: &Path, line: &Value) -> io::Result<()> {
    let mut file = File::options()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    file.write_all(format!("{line}\n").as_bytes())
}

/// 0 is the most urgent: RFC 3164, table 2.
fn severity(notice: &Notice) -> u8 {
    match notice {
        Notice::Warned { .. } => 4,
        Notice::OverHard { .. }
        | Notice::Enforced { .. }
        | Notice::Refused { .. }
        | Notice::Failed { .. } => 1,
        Notice::Restored { .. } => 5,
    }
}

fn to_syslog(path: &Path, event: &Event, zone: &TimeZone) -> io::Result<()> {
    let time = Timestamp::from_microsecond(event.at_us).unwrap_or_default();
    // Local messages have no host name, as syslog(3) sends them.
    let time = time.to_zoned(zone.clone()).strftime("%b %e %H:%M:%S");
    let priority = FACILITY * 8 + severity(&event.notice);
    let mut text = inert(&event.to_string());
    if text.len() > SYSLOG_BYTES_MAX {
        text.truncate(text.floor_char_boundary(SYSLOG_BYTES_MAX));
        text.push('…');
    }
    let message = format!("<{priority}>{time} rollcall[{}]: {text}", std::process::id());
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(message.as_bytes(), path).map(drop)
}

/// Runs the command for an event.
fn run(command: &[String], event: &Event, patience: Duration) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let program = Path::new(program);
    // No name has such a byte; a process would not be given the value.
    let user: Vec<u8> =
        event.user.iter().map(|&byte| if byte == 0 { b'?' } else { byte }).collect();
    let bytes = |it: Option<u64>| it.map_or_else(String::new, |it| it.to_string());
    let mut child = Command::new(program)
        .args(arguments)
        .env("ROLLCALL_EVENT", word(&event.notice))
        .env("ROLLCALL_SERVER", event.server.replace('\0', "?"))
        .env("ROLLCALL_USER", OsStr::from_bytes(&user))
        .env("ROLLCALL_BYTES", event.bytes.to_string())
        .env("ROLLCALL_SOFT_LIMIT_BYTES", bytes(event.limit.and_then(|it| it.soft)))
        .env("ROLLCALL_HARD_LIMIT_BYTES", bytes(event.limit.and_then(|it| it.hard)))
        .env("ROLLCALL_MESSAGE", event.to_string().replace('\0', "?"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // So that what it starts ends with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // It need not read: an event fits into the pipe.
        let _ = input.write_all(format!("{}\n", json(event)).as_bytes());
    }
    match wait(&mut child, patience) {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(format!("failed: {status}")),
        None => Err(format!("took more than {} s and was ended", patience.as_secs())),
    }
}

/// Waits for a child, and ends it and what it has started where it takes too long.
fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(10)),
            _ => break,
        }
    }
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

#[cfg(test)]
mod tests;
