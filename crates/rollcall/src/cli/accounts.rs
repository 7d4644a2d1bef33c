//! Accounts, plans and deeds: `accounts`, `account`, `unused`, `keep`, `lock`, `unlock`, `drop`, `apply`, `undo`,
//! `journal`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use verdict::account::AccountName;

use crate::time::age_argument;

/// An account as people write it.
pub(super) fn account_argument(text: &str) -> Result<AccountName, String> {
    let name = AccountName::parse(text.as_bytes());
    name.ok_or_else(|| "write it like 'app'@'10.%' or app@localhost".to_owned())
}

/// Whether servers are asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct LiveArgs {
    /// Ask no server: answer from what was read of accounts before
    #[arg(long)]
    pub(crate) offline: bool,
    /// How to reach the server [default: its defaults_file in the configuration; where no server is
    /// configured, the group client of the usual option files]
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    pub(crate) defaults_file: Option<PathBuf>,
}

/// `accounts`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AccountsArgs {
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    /// Roles as well
    #[arg(long)]
    pub(crate) roles: bool,
    /// At most so many rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// `account`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AccountArgs {
    /// The account: 'app'@'10.%', app@10.%, or app for 'app'@'%'
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: OsString,
    #[command(flatten)]
    pub(crate) live: LiveArgs,
}

/// `unused`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UnusedArgs {
    /// How long nobody may have used it: an age (90d), or a rule: stig (35d, DISA STIG SRG-OS-000118),
    /// pci-dss (90d, PCI DSS 4 requirement 8.2.6), irs-1075 (120d, IRS Publication 1075 AC-2)
    #[arg(long = "for", value_name = "AGE", value_parser = idle_argument, default_value = "90d")]
    pub(crate) idle_for: SignedDuration,
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    /// Used accounts as well
    #[arg(long)]
    pub(crate) all: bool,
    /// Make a plan for those that are unused
    #[arg(long, value_enum, value_name = "DEED")]
    pub(crate) plan: Option<PlanArg>,
    #[command(flatten)]
    pub(crate) planning: PlanningArgs,
    /// At most so many rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// An age, or a rule that asks for one.
fn idle_argument(text: &str) -> Result<SignedDuration, String> {
    age_argument(match text {
        "stig" => "35d",
        "pci-dss" => "90d",
        "irs-1075" => "120d",
        age => age,
    })
}

/// What `unused --plan` plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanArg {
    /// To lock them
    Lock,
    /// To drop them: those that have been locked for the cool-down
    Drop,
}

/// How a plan is made.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlanningArgs {
    /// Write the plan to a new file as well, for somebody else to apply
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Why, as your own records name it: goes into plan and journal
    #[arg(long, value_name = "TEXT")]
    pub(crate) ticket: Option<String>,
    /// On replicas as well: the primary then does not know of it
    #[arg(long)]
    pub(crate) replica: bool,
}

/// `keep`.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeepArgs {
    /// The account
    #[arg(value_name = "ACCOUNT", requires_all = ["owner", "reason"])]
    pub(crate) account: Option<OsString>,
    /// Until when; without it for good
    #[arg(long, value_name = "DATE", requires = "account")]
    pub(crate) until: Option<String>,
    /// Who answers for it
    #[arg(long, value_name = "NAME", requires = "account")]
    pub(crate) owner: Option<String>,
    /// Why it stays
    #[arg(long, value_name = "TEXT", requires = "account")]
    pub(crate) reason: Option<String>,
    /// Take the exception for this account back
    #[arg(long, value_name = "ACCOUNT", conflicts_with_all = ["account", "until"])]
    pub(crate) remove: Option<OsString>,
}

/// `lock`, `unlock`, `drop`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeedArgs {
    /// The accounts
    #[arg(value_name = "ACCOUNT", required = true)]
    pub(crate) accounts: Vec<OsString>,
    /// Send it at once
    #[arg(long)]
    pub(crate) apply: bool,
    /// Also an account that is in use or of which evidence does not tell; unlock: also one that
    /// somebody else has locked. Protected accounts stay protected
    #[arg(long)]
    pub(crate) anyway: bool,
    /// End the sessions that the accounts have open, when the plan is sent
    #[arg(long)]
    pub(crate) kill_sessions: bool,
    /// How to reach the server [default: its defaults_file in the configuration]
    #[arg(long, value_name = "FILE")]
    pub(crate) defaults_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) planning: PlanningArgs,
}

/// `apply`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApplyArgs {
    /// The plan's id, or the file it was written to
    #[arg(value_name = "ID|FILE")]
    pub(crate) plan: OsString,
    /// End the sessions that the accounts have open
    #[arg(long)]
    pub(crate) kill_sessions: bool,
    /// How to reach the server [default: its defaults_file in the configuration]
    #[arg(long, value_name = "FILE")]
    pub(crate) defaults_file: Option<PathBuf>,
}

/// `undo`.
#[derive(Debug, Clone, Args)]
pub(crate) struct UndoArgs {
    /// The plan's id
    #[arg(value_name = "ID", required_unless_present = "last", conflicts_with = "last")]
    pub(crate) plan: Option<String>,
    /// The plan that was sent last
    #[arg(long)]
    pub(crate) last: bool,
    /// How to reach the server [default: its defaults_file in the configuration]
    #[arg(long, value_name = "FILE")]
    pub(crate) defaults_file: Option<PathBuf>,
}

/// `journal`.
#[derive(Debug, Clone, Args)]
pub(crate) struct JournalArgs {
    /// Only what concerns this account
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<OsString>,
    /// Only this plan
    #[arg(long, value_name = "ID")]
    pub(crate) plan: Option<String>,
    /// Plans as well as deeds
    #[arg(long)]
    pub(crate) plans: bool,
    /// At most so many rows, the newest
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}
