//! Reading logs, and what they tell: `scan`, `watch`, `report`, `seen`, `failures`, `evidence`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::SignedDuration;

use crate::time::age_argument;

/// The most threads one scan takes.
const THREADS_MAX: i64 = crate::config::THREADS_MAX as i64;

/// How logs are read.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReadArgs {
    /// The zone of the times in the logs [default: the configured one, else this machine's]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) time_zone: Option<String>,
    /// Read as this dialect instead of recognising it (rollcall dialects)
    #[arg(long, value_name = "NAME")]
    pub(crate) dialect: Option<String>,
    /// Threads that read, where there are 24 MiB and more [default: one per processor, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=THREADS_MAX))]
    pub(crate) threads: Option<u16>,
}

/// `scan`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScanArgs {
    /// Files, folders, globs, or - for standard input [default: the configured sources]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// `watch`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WatchArgs {
    /// Files, folders, globs [default: the configured sources]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Look twice a second instead of waiting for the system to tell of changes (which it does
    /// not on network file systems)
    #[arg(long)]
    pub(crate) poll: bool,
}

/// `report`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// Files, folders, globs, or - for standard input, read into a ledger that is thrown away
    /// [default: what is in the ledger]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Write the report as one HTML file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Rows of each list
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
}

/// `seen`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SeenArgs {
    /// Only this user name
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<OsString>,
    /// Only this client host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<OsString>,
    /// Only what logged in once and then showed no sign of a session for so long (7d, 12h)
    #[arg(long, value_name = "AGE", value_parser = age_argument)]
    pub(crate) idle_for: Option<SignedDuration>,
    /// Order: times and counts fall, names rise [default: last_seen]
    #[arg(long, value_enum, value_name = "COLUMN")]
    pub(crate) sort: Option<SeenSort>,
    /// At most so many rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// Columns `seen` can be sorted by, named as its fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum SeenSort {
    LastSeen,
    FirstSeen,
    LastActive,
    LastFailed,
    Logins,
    Failures,
    User,
    Host,
    Server,
}

/// `failures`.
#[derive(Debug, Clone, Args)]
pub(crate) struct FailuresArgs {
    /// Count together; a network is /24 of IPv4, /64 of IPv6
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) by: Option<FailuresBy>,
    /// Only this user name
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<OsString>,
    /// Only this client host
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<OsString>,
    /// At most so many rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// What `failures` counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailuresBy {
    Host,
    Network,
    User,
}

/// `evidence`.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvidenceArgs {
    /// Coverage per month
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) by: Option<EvidenceBy>,
    /// Write what all evidence rests on to a new file: coverage, hashes and line totals of each log
    /// that was read, and all deeds
    #[arg(long, value_name = "FILE", conflicts_with_all = ["by", "state", "limit", "verify"])]
    pub(crate) seal: Option<PathBuf>,
    /// Prove that logs and deeds still are what this seal says, without network, and without ledger
    /// unless it is at hand
    #[arg(long, value_name = "FILE", conflicts_with_all = ["by", "state", "limit"])]
    pub(crate) verify: Option<PathBuf>,
    /// Where the sealed logs are looked for, by content: files, folders, globs [default: where they
    /// stood]
    #[arg(value_name = "PATH", requires = "verify")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only this state; with samples for rejected and quarantined
    #[arg(long, value_enum, value_name = "STATE")]
    pub(crate) state: Option<StateArg>,
    /// At most so many rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// What `evidence` counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EvidenceBy {
    Month,
}

/// The states of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateArg {
    /// Read without a break
    Covered,
    /// Covered, yet nothing confirms that the audit was on
    Unconfirmed,
    /// Covered, yet less is known there by which forged logins are told
    Weak,
    /// Known to be missing
    Gap,
    /// No records
    Rejected,
    /// Records that cannot be trusted
    Quarantined,
}

impl From<StateArg> for ledger::EvidenceState {
    fn from(state: StateArg) -> ledger::EvidenceState {
        match state {
            StateArg::Covered => ledger::EvidenceState::Covered,
            StateArg::Unconfirmed => ledger::EvidenceState::Unconfirmed,
            StateArg::Weak => ledger::EvidenceState::Weak,
            StateArg::Gap => ledger::EvidenceState::Gap,
            StateArg::Rejected => ledger::EvidenceState::Rejected,
            StateArg::Quarantined => ledger::EvidenceState::Quarantined,
        }
    }
}
