//! What a server and its logs lack for an account of its logins that can be relied on: each lack with what it
//! costs and the statement or command that mends it.
//!
//! ```text
//! server_audit_logging = OFF   ── audit ─────►  error  audit-logging: nobody's logins are noted.  SET GLOBAL …
//! 9 x 1 MB, 40 MB in an hour   ── rotation ──►  error  scan-interval: 15 min were left unread, 13 min fit
//! ```
//!
//! Every check has one name, and says something each time: [`Level::Ok`] where nothing is lacking, so that who
//! watches it sees a check that stopped being made.
//!
//! # Invariants
//! * No I/O: settings, counters and what was seen of files come as plain values.
//! * What could not be looked at is told as such, never as well.
//! * A secret is told by its place and kind. No finding holds the text of a statement.

mod audit;
mod binlog;
mod clock;
mod leaks;
mod logs;
mod rights;
mod rotation;
mod server;
mod upgrade;

use std::collections::BTreeMap;

use crate::account::{Family, Snapshot, Version};
use crate::unused::Uncovered;

pub use clock::Offset;
pub use leaks::leak;
pub use logs::{Leak, LogFile};
pub use rotation::{Stretch, hourly};
pub use upgrade::upgrade;

/// A second in microseconds.
const SECOND: i64 = 1_000_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing is lacking.
    Ok,
    /// Good to know, or not looked at.
    Info,
    /// Something is lost, or may be.
    Warn,
    /// What is asked of the logs cannot be answered.
    Error,
}

impl Level {
    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check, which stays: `audit-logging`.
    pub id: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub what: String,
    /// What that costs; empty where nothing is lacking.
    pub cost: String,
    /// The statement, command or line that mends it; `None` where none does.
    pub remedy: Option<String>,
    /// Where it is: a setting (`@@server_audit_logging`), a file, a file and its byte; `None` where it is the
    /// server as a whole.
    pub place: Option<String>,
}

impl Finding {
    fn new(
        id: &'static str,
        level: Level,
        what: impl Into<String>,
        cost: impl Into<String>,
    ) -> Finding {
        Finding { id, level, what: what.into(), cost: cost.into(), remedy: None, place: None }
    }

    /// Nothing is lacking.
    fn well(id: &'static str, what: impl Into<String>) -> Finding {
        Finding::new(id, Level::Ok, what, "")
    }

    /// It could not be looked at; `remedy` says how it can.
    fn unseen(id: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::new(id, Level::Info, what, "what may be wrong there is not known")
            .mended_by(remedy)
    }

    fn mended_by(self, remedy: impl Into<String>) -> Finding {
        Finding { remedy: Some(remedy.into()), ..self }
    }

    fn at(self, place: impl Into<String>) -> Finding {
        Finding { place: Some(place.into()), ..self }
    }

    /// In a setting of the server.
    fn in_setting(self, name: &str) -> Finding {
        self.at(format!("@@{name}"))
    }
}

/// A plugin that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its name in upper case: `SERVER_AUDIT`.
    pub name: String,
    /// `AUDIT`, `AUTHENTICATION`, …
    pub kind: String,
}

/// How a server on another machine is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// What is sent is encrypted.
    pub is_encrypted: bool,
    /// Whose certificate it is was verified.
    pub is_verified: bool,
}

/// A server as it was looked at.
#[derive(Debug, Clone)]
pub struct Server<'a> {
    /// Its accounts and what else was read with them.
    pub snapshot: &'a Snapshot,
    /// `SHOW GLOBAL VARIABLES`, names in lower case.
    pub variables: &'a BTreeMap<String, String>,
    /// `SHOW GLOBAL STATUS`, names in lower case.
    pub status: &'a BTreeMap<String, String>,
    /// Its active plugins.
    pub plugins: &'a [Plugin],
    /// By how much its clock is ahead of this machine's, in microseconds …
    pub clock_ahead: i64,
    /// … give or take this.
    pub clock_error: i64,
    /// The zone that its log times are read in, by its name.
    pub zone: &'a str,
    /// What its own zone and that one are ahead of UTC, at some moments.
    pub offsets: &'a [Offset],
    /// `None`: it is on this machine.
    pub network: Option<Network>,
    /// The option file by which it is reached, where one was named.
    pub option_file: Option<&'a str>,
}

impl Server<'_> {
    fn version(&self) -> &Version {
        &self.snapshot.version
    }

    fn is_mariadb(&self) -> bool {
        self.version().family == Family::MariaDb
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.variable(name).to_ascii_uppercase().as_str(), "ON" | "1" | "YES")
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.variable(name).parse().ok()
    }

    fn counter(&self, name: &str) -> u64 {
        self.status.get(name).and_then(|it| it.parse().ok()).unwrap_or(0)
    }

    fn has_plugin(&self, name: &str) -> bool {
        self.plugins.iter().any(|it| it.name == name)
    }

    /// The events that MariaDB's plugin notes; empty for all of them.
    fn audit_events(&self) -> Vec<String> {
        let events = self.variable("server_audit_events").to_ascii_uppercase();
        let events = events.split(',').map(|it| it.trim().to_owned());
        events.filter(|it| !it.is_empty()).collect()
    }

    /// A server from this version on tells the session of each transaction in its binlog (MDEV-7850).
    fn binlog_tells_session(&self) -> bool {
        !self.is_mariadb() || self.version().number >= (11, 5, 0)
    }
}

/// How logs of a server were read so far, and its log files. Times are microseconds UTC.
#[derive(Debug, Clone, Default)]
pub struct Reading<'a> {
    /// Now.
    pub now: i64,
    /// When something new of its logs was read last; `None`: never.
    pub last_read: Option<i64>,
    /// When logs were looked at last, new or not.
    pub last_look: Option<i64>,
    /// The longest time between two looks of the last weeks: when it ended, and how long it was.
    pub longest_pause: Option<(i64, i64)>,
    /// When its newest record was written.
    pub newest: Option<i64>,
    /// How fast its log grew, in order and without overlaps.
    pub traffic: &'a [Stretch],
    /// What of the time between its first record and its newest one is not covered.
    pub uncovered: &'a [Uncovered],
    /// Its log files on this machine.
    pub files: &'a [LogFile],
    /// What may be its logs and cannot be looked at, and why.
    pub unreadable: &'a [(String, String)],
    /// Bytes that were to be looked through for secrets at most; 0: none were.
    pub secrets_bytes: u64,
}

/// Looks at a server and at how its logs are read. The worst first, else in the order of the checks.
pub fn examine(server: Option<&Server<'_>>, reading: &Reading<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    match server {
        Some(server) => {
            findings.extend(audit::audit(server));
            findings.extend(rotation::rotation(server, reading));
            findings.push(clock::clock(server));
            findings.push(clock::zone(server));
            findings.extend(binlog::binlog(server));
            findings.extend(server::server(server));
            findings.extend(rights::rights(server));
            findings.push(rights::network(server));
        }
        None => findings.push(Finding::unseen(
            "server",
            "the server was not asked: settings, clock, zone, rights and TLS are not known",
            "rollcall doctor --defaults-file FILE",
        )),
    }
    findings.push(rotation::interval(server, reading));
    findings.extend(logs::coverage(reading));
    findings.extend(logs::silence(server, reading));
    findings.extend(logs::files(server, reading));
    findings.sort_by_key(|it| std::cmp::Reverse(it.level));
    findings
}

/// `31 h`, `12 d`: a length of time in its largest fitting unit.
fn length_text(micros: i64) -> String {
    let seconds = micros / SECOND;
    match seconds {
        i64::MIN..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `950 kB`, `3.0 GB`.
fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1000.0, 0);
    while size >= 999.5 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1000.0, unit + 1);
    }
    match size < 9.95 {
        true => format!("{size:.1} {}", UNITS[unit]),
        false => format!("{size:.0} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests;
