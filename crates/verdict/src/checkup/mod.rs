//! What a server and its logs lack for an account of its logins that can be relied on: each lack with what it
//! costs and the statement or command that mends it.
//!
//! ```text
//! server_audit_logging = OFF   ── audit ──►  error  audit-off: nobody's logins are noted.  SET GLOBAL …
//! 9 x 1 MB, 4 MB a day         ── audit ──►  warn   audit-rotation: logs reach back 2 d
//! ```
//!
//! # Invariants
//! * No I/O: settings, counters and what was seen of files come as plain values.
//! * What could not be looked at is told as such, never as well.

mod audit;
mod leaks;
mod server;
mod upgrade;

use std::collections::BTreeMap;

use crate::account::{Family, Snapshot, Version};
use crate::unused::Uncovered;

pub use audit::AuditFile;
pub use leaks::leak;
pub use upgrade::upgrade;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Good to know.
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
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// One lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name, which stays: `audit-off`.
    pub id: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub what: String,
    /// What that costs.
    pub cost: &'static str,
    /// The statement or command that mends it; empty where none does.
    pub remedy: String,
}

impl Finding {
    fn new(id: &'static str, level: Level, what: impl Into<String>, cost: &'static str) -> Finding {
        Finding { id, level, what: what.into(), cost, remedy: String::new() }
    }

    fn mended_by(self, remedy: impl Into<String>) -> Finding {
        Finding { remedy: remedy.into(), ..self }
    }
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
    /// Active plugins by name, in upper case.
    pub plugins: &'a [String],
    /// By how much its clock is ahead of this machine's, in microseconds.
    pub clock_ahead: i64,
    /// The zone that its log times are read in, as `date +%Z` writes it now.
    pub zone: &'a str,
    /// It is reached over a network, not through a socket; and whether that is encrypted.
    pub network: Option<bool>,
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
}

/// How logs of a server were read so far. Times are microseconds UTC.
#[derive(Debug, Clone, Default)]
pub struct Reading<'a> {
    /// Now.
    pub now: i64,
    /// When logs were read last; `None`: never.
    pub last_read: Option<i64>,
    /// How many bytes the log grows by in a day, as far as it is known.
    pub bytes_a_day: Option<u64>,
    /// What of the last 90 days is not covered.
    pub uncovered: &'a [Uncovered],
    /// The log files that could be looked at.
    pub files: &'a [AuditFile],
}

/// Looks at a server and at how its logs are read. The worst first.
pub fn examine(server: Option<&Server<'_>>, reading: &Reading<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(server) = server {
        findings.extend(audit::audit(server, reading));
        findings.extend(server::server(server));
        findings.extend(server::rights(server));
    }
    findings.extend(audit::reading(server, reading));
    findings.sort_by_key(|it| std::cmp::Reverse(it.level));
    findings
}

#[cfg(test)]
mod tests;
