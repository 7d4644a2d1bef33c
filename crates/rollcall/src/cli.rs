//! The command line: the single place where commands, flags and environment variables are declared.
//! Help, the reference in `docs/commands.md` and the parser come from here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use live::connection::Which;
use verdict::account::AccountName;

use crate::render::Format;
use crate::time::age_argument;

/// The most threads one scan takes.
const THREADS_MAX: i64 = crate::config::THREADS_MAX as i64;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "rollcall",
    version,
    about = "Who logs in to MariaDB and MySQL, from where, and who failed to",
    long_about = "Reads audit logs of MariaDB and MySQL, keeps an exact ledger, and answers who logged in, \
                  from where, and who failed to.\n\n\
                  Try it without any set-up: rollcall report /var/lib/mysql",
    after_help = EXIT_HELP,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_HELP: &str = "\
T is RFC 3339, 'YYYY-MM-DD HH:MM[:SS]', an age (90d, 12h) or 'yesterday 14:00'.

Exit codes: 0 done; 1 a condition of --fail-on holds; 2 usage, configuration, or nothing could be
done; 3 done in part: some inputs failed, each named, running again is safe; 4 evidence --verify
found something that is not as it was sealed.";

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The ledger file [default: the configured one, else /var/lib/rollcall/ledger.sqlite, for an
    /// ordinary user rollcall/ledger.sqlite in the XDG state folder]
    #[arg(
        long,
        value_name = "FILE",
        env = "ROLLCALL_LEDGER",
        hide_env_values = true,
        global = true
    )]
    pub(crate) ledger: Option<PathBuf>,
    /// The configuration [default: /etc/rollcall/rollcall.toml, else
    /// /etc/conntracker/conntracker.ini]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// How answers are put out; json is one object per line
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table", global = true)]
    pub(crate) output: Format,
    /// Only this server; for scan and report PATH, the name of the server the logs are from
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) server: Option<String>,
    /// Only the configured servers of this group
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) group: Option<String>,
    /// From this time on
    #[arg(long, value_name = "T", global = true, allow_hyphen_values = true)]
    pub(crate) since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "T", global = true, allow_hyphen_values = true)]
    pub(crate) until: Option<String>,
    /// The zone of times shown, and of times given without one [default: this machine's]
    #[arg(long, value_name = "ZONE", global = true, allow_hyphen_values = true)]
    pub(crate) zone: Option<String>,
    /// Say more on standard error
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but errors on standard error
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Exit with 1 where this holds (can be given more than once)
    #[arg(long, value_enum, value_name = "CONDITION", global = true)]
    pub(crate) fail_on: Vec<Condition>,
}

/// What `--fail-on` can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Condition {
    /// The answer has at least one row
    Rows,
    /// Evidence is known to be missing
    Gap,
    /// Input was rejected or quarantined
    Doubt,
    /// doctor found something that is worse than good to know
    Warn,
    /// doctor found something by which answers are wrong or missing
    Error,
    /// quota check found a user above its soft or hard limit
    Soft,
    /// quota check found a user above its hard limit
    Hard,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read what is new in the logs, once (for cron)
    Scan(ScanArgs),
    /// Follow the logs and read what is new at once, until SIGTERM (for systemd)
    Watch(WatchArgs),
    /// An overview; with PATH of those logs alone, without any set-up
    Report(ReportArgs),
    /// Per server, user and client host: first and last login, counts
    Seen(SeenArgs),
    /// Refused attempts
    Failures(FailuresArgs),
    /// What was read, what is missing, what could not be used
    Evidence(EvidenceArgs),
    /// The servers' accounts, with what was seen of them
    Accounts(AccountsArgs),
    /// Everything that is known about one account
    Account(AccountArgs),
    /// Which accounts are not used, as far as evidence reaches
    Unused(UnusedArgs),
    /// Record that an account stays, although nobody uses it; without ACCOUNT list such exceptions
    Keep(KeepArgs),
    /// Make a plan that locks accounts, and show it
    Lock(DeedArgs),
    /// Make a plan that unlocks accounts that rollcall has locked, and show it
    Unlock(DeedArgs),
    /// Make a plan that drops accounts that have been locked for a while, and show it
    Drop(DeedArgs),
    /// Send a plan, exactly as it was shown
    Apply(ApplyArgs),
    /// Take back what was done by a plan
    Undo(UndoArgs),
    /// What was done, by whom, by which plan
    Journal(JournalArgs),
    /// Who changed what: from binary logs to connections and logins
    Trace(Box<TraceArgs>),
    /// From a connection to the client's process on this machine: over TCP or a unix socket, in
    /// containers, too; run it as root
    Who(WhoArgs),
    /// What servers and their logs lack, what that costs, and what mends it
    Doctor(DoctorArgs),
    /// Storage per user against limits
    Quota(QuotaArgs),
    /// Whether rollcall itself is well: last commit, lag, sources, sizes
    Status,
    /// Read the configuration and say what it means
    Check,
    /// Write a configuration with comments to --config FILE (or /etc/rollcall/rollcall.toml)
    Init,
    /// The log dialects that are read
    Dialects,
    /// What a server needs, as SQL with reasons for the mariadb or mysql client; nothing is sent
    Setup(SetupArgs),
}

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

/// `setup`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetupArgs {
    #[command(subcommand)]
    pub(crate) what: Setup,
}

/// What a server is set up for.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Setup {
    /// The audit log that rollcall reads
    Audit(SetupAudit),
    /// The login plugin audit_login.so: installing it, or taking it out again
    Plugin(SetupPlugin),
    /// A table that every login writes a row into, with the account that matched
    InitConnect(SetupInitConnect),
    /// rollcall's own account, with the least it needs to read
    Monitor(SetupMonitor),
    /// Procedures that lock, unlock and drop accounts and end sessions, and look at their target first
    LockProcedure(SetupLockProcedure),
}

/// Which server a script is for; one of these, or --server with a configured name, is enough.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Ask the server that this option file leads to, and print what it lacks
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["family", "server_version", "variables"])]
    pub(crate) defaults_file: Option<PathBuf>,
    /// Which kind of server, of a version that is common
    #[arg(long, value_enum, value_name = "FAMILY")]
    pub(crate) family: Option<FamilyArg>,
    /// What SELECT version() says there
    #[arg(long, value_name = "TEXT")]
    pub(crate) server_version: Option<String>,
    /// What mariadb -B -e 'SHOW GLOBAL VARIABLES' writes there, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) variables: Option<PathBuf>,
}

/// The kinds of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyArg {
    /// MariaDB
    Mariadb,
    /// MySQL, Percona Server
    Mysql,
}

impl From<FamilyArg> for verdict::account::Family {
    fn from(family: FamilyArg) -> verdict::account::Family {
        match family {
            FamilyArg::Mariadb => verdict::account::Family::MariaDb,
            FamilyArg::Mysql => verdict::account::Family::MySql,
        }
    }
}

/// `setup audit`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetupAudit {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Also statements, so that every change can be traced to its author
    #[arg(long)]
    pub(crate) trace: bool,
    /// How much audit log a day brings, so that rotated files hold one (500MB, 3GB)
    #[arg(long, value_name = "SIZE", value_parser = size_argument)]
    pub(crate) bytes_per_day: Option<u64>,
    /// Only the lines for the server's option file
    #[arg(long)]
    pub(crate) option_file: bool,
}

/// `setup plugin`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetupPlugin {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The library, as packaging/plugin builds it
    #[arg(long, value_name = "FILE", default_value = "audit_login.so")]
    pub(crate) library: String,
    /// Also ROLLCALL_WRITES, which notes the databases that are written to
    #[arg(long)]
    pub(crate) writes: bool,
    /// How to take both out again
    #[arg(long)]
    pub(crate) remove: bool,
}

/// `setup init-connect`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetupInitConnect {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// The schema of the table
    #[arg(long, value_name = "NAME", default_value = "accesslog")]
    pub(crate) schema: String,
    /// Whose rights trigger and event run with; nobody can log in with it
    #[arg(long, value_name = "ACCOUNT", default_value = "'accesslog_owner'@'localhost'",
        value_parser = account_argument)]
    pub(crate) owner: AccountName,
    /// How many days rows are kept
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    pub(crate) keep_days: u32,
    /// A login whose row cannot be written goes on all the same (MariaDB)
    #[arg(long)]
    pub(crate) lenient: bool,
    /// The table is there in the layout of the how-to, with names of 30 characters
    #[arg(long)]
    pub(crate) from_how_to: bool,
    /// Only this account may write rows, instead of all (can be given more than once)
    #[arg(long = "account", value_name = "ACCOUNT", value_parser = account_argument)]
    pub(crate) accounts: Vec<AccountName>,
}

/// `setup monitor`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetupMonitor {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// rollcall's own account
    #[arg(long, value_name = "ACCOUNT", default_value = "'rollcall'@'localhost'",
        value_parser = account_argument)]
    pub(crate) account: AccountName,
    /// It logs in with a password, instead of by the system user of the same name
    #[arg(long)]
    pub(crate) password: bool,
}

/// `setup lock-procedure`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SetupLockProcedure {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// rollcall's own account, which may call them
    #[arg(long, value_name = "ACCOUNT", default_value = "'rollcall'@'localhost'",
        value_parser = account_argument)]
    pub(crate) account: AccountName,
    /// Whose rights they run with; nobody can log in with it
    #[arg(long, value_name = "ACCOUNT", default_value = "'rollcall_definer'@'localhost'",
        value_parser = account_argument)]
    pub(crate) definer: AccountName,
    /// The schema of procedures and tables
    #[arg(long, value_name = "NAME", default_value = "rollcall")]
    pub(crate) schema: String,
    /// How many days an account has to be locked before it may be dropped
    #[arg(long, value_name = "N", default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(0..=DAYS_MAX))]
    pub(crate) cool_down_days: u32,
}

/// The most days that flags take: 100 years.
const DAYS_MAX: i64 = 36_500;

/// An account as people write it.
fn account_argument(text: &str) -> Result<AccountName, String> {
    let name = AccountName::parse(text.as_bytes());
    name.ok_or_else(|| "write it like 'app'@'10.%' or app@localhost".to_owned())
}

/// A size with its unit: powers of 1000, or of 1024 with an i.
fn size_argument(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("b", 1),
        ("kb", 1000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = text[digits..].trim().to_ascii_lowercase();
    let unit = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes);
    let number = text[..digits].parse::<u64>().ok();
    let bytes = number.zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    bytes.ok_or_else(|| "write it like 500MB, 3GB or 2GiB".to_owned())
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

/// `who`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WhoArgs {
    /// A connection id; or the client's host and port, as the server's list of sessions shows them:
    /// no server is asked then, unless --server or --defaults-file names one
    #[arg(value_name = "ID|HOST:PORT", value_parser = which_argument)]
    pub(crate) which: Which,
    /// How to reach the server [default: its defaults_file in the configuration; where no server is
    /// configured, the group client of the usual option files]
    #[arg(long, value_name = "FILE")]
    pub(crate) defaults_file: Option<PathBuf>,
}

/// A connection's id, or its client's host and port.
fn which_argument(text: &str) -> Result<Which, String> {
    let form = "write a connection id, or HOST:PORT of the client as SHOW PROCESSLIST shows it";
    if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) {
        return text.parse().map(Which::Id).map_err(|_| form.to_owned());
    }
    let (host, port) = text.rsplit_once(':').ok_or(form)?;
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let is_number = port.bytes().all(|it| it.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if port > 0 && is_number && !bare.is_empty() => {
            Ok(Which::Client(bare.as_bytes().to_vec(), port))
        }
        _ => Err(form.to_owned()),
    }
}

/// `doctor`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) live: LiveArgs,
    /// What an upgrade to this version of the server changes
    #[arg(long, value_name = "VERSION")]
    pub(crate) target: Option<String>,
    /// Look for secrets in so many MiB of a server's audit logs, the newest; 0: not at all
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    pub(crate) secrets: u32,
}

/// `trace`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TraceArgs {
    /// Files of a binary log (also .gz, .zst), their folder, index or pattern, or - for standard input
    /// [default: those of --server, by its binlog_index in the configuration]
    #[arg(value_name = "BINLOG")]
    pub(crate) binlogs: Vec<PathBuf>,
    /// Audit logs of the same server, to join; without BINLOG, and with --table: what they alone tell of
    /// that table [default: those of --server in the configuration]
    #[arg(long = "audit-log", value_name = "PATH")]
    pub(crate) audit_logs: Vec<PathBuf>,
    /// The zone of the times in the audit logs [default: the configured one, else this machine's]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) time_zone: Option<String>,
    /// Read audit logs as this dialect instead of recognising it (rollcall dialects)
    #[arg(long, value_name = "NAME")]
    pub(crate) dialect: Option<String>,
    /// Only changes of this table: schema.table, or table in any schema
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<OsString>,
    /// Only what this user did, or one of the candidates
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<OsString>,
    /// Only this kind of change
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<TraceKind>,
    /// Only rows that have this value before or after; the column by name or as @1; NULL for none (all
    /// of several must hold)
    #[arg(long = "where", value_name = "COL=VALUE")]
    pub(crate) conditions: Vec<OsString>,
    /// Only the transaction of this name
    #[arg(long, value_name = "GTID")]
    pub(crate) gtid: Option<String>,
    /// Only what this connection did
    #[arg(long, value_name = "ID")]
    pub(crate) thread: Option<u64>,
    /// Only where a statement holds this text, but for case
    #[arg(long, value_name = "TEXT")]
    pub(crate) statement: Option<OsString>,
    /// The rows as well, before and after
    #[arg(long, conflicts_with = "stats")]
    pub(crate) rows: bool,
    /// Sums by user, table and hour, the largest and the longest transactions
    #[arg(long)]
    pub(crate) stats: bool,
    /// SQL that makes the changes again, for the server's own client; comments name who
    #[arg(long, conflicts_with_all = ["rows", "stats"])]
    pub(crate) sql: bool,
    /// SQL that takes the changes back, the last first; what cannot be taken back is named (exit code 3)
    #[arg(long, conflicts_with_all = ["rows", "stats", "sql"])]
    pub(crate) undo_sql: bool,
    /// The transactions as the text of another tool
    #[arg(long, value_enum, value_name = "STYLE", conflicts_with_all = ["rows", "stats", "sql", "undo_sql"])]
    pub(crate) style: Option<TraceStyle>,
    /// At most so many transactions, the oldest
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) live: LiveArgs,
}

/// Texts of other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceStyle {
    /// That of mariadb-binlog and mysqlbinlog with -v --base64-output=DECODE-ROWS, byte for byte
    Mysqlbinlog,
}

/// Kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceKind {
    /// Rows were written
    Insert,
    /// Rows were changed
    Update,
    /// Rows were removed
    Delete,
    /// Tables and such were made, changed, dropped or emptied
    Ddl,
}

/// `quota`.
#[derive(Debug, Clone, Args)]
pub(crate) struct QuotaArgs {
    #[command(subcommand)]
    pub(crate) what: Quota,
}

/// What is done about storage.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Quota {
    /// Measure once and say who is above which limit (for cron and monitoring); changes nothing
    Check(QuotaCheckArgs),
}

/// `quota check`.
#[derive(Debug, Clone, Args)]
pub(crate) struct QuotaCheckArgs {
    /// The limits: TOML, or lists of mysql_monitor_daemon's users [default: the configured file]
    #[arg(long, value_name = "FILE")]
    pub(crate) limits: Option<PathBuf>,
    /// How sizes are read [default: the configured way, else tablespaces]
    #[arg(long, value_enum, value_name = "METHOD")]
    pub(crate) method: Option<MethodArg>,
    /// Write sizes and limits for Prometheus' textfile collector to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
    /// How to reach the server [default: its defaults_file in the configuration; where no server is
    /// configured, the group client of the usual option files]
    #[arg(long, value_name = "FILE")]
    pub(crate) defaults_file: Option<PathBuf>,
    /// At most so many users of each server
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// How sizes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MethodArg {
    /// The files as they are on the disk
    Tablespaces,
    /// What information_schema.TABLES tells: estimates, of InnoDB late by seconds (MariaDB)
    InformationSchema,
}

impl From<MethodArg> for live::sizes::Method {
    fn from(method: MethodArg) -> live::sizes::Method {
        match method {
            MethodArg::Tablespaces => live::sizes::Method::Tablespaces,
            MethodArg::InformationSchema => live::sizes::Method::InformationSchema,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_and_behind_the_command() {
        for line in ["rollcall -o json seen --limit 3", "rollcall seen --limit 3 -o json"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.global.output, Format::Json);
            assert!(matches!(cli.command, Command::Seen(SeenArgs { limit: Some(3), .. })));
        }
    }

    /// The reference, as it stands in `docs/commands.md`.
    fn reference() -> String {
        let mut command = Cli::command().term_width(100);
        command.build();
        let mut text =
            "# Commands\n\nMade from the program's own help by a test of `crates/rollcall`; \
            `ROLLCALL_WRITE_DOCS=1 cargo test -p rollcall` writes it anew.\n"
                .to_owned();
        let mut add = |title: &str, command: &mut clap::Command| {
            let help = command.render_help().to_string();
            let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
            text += &format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n"));
        };
        add("rollcall", &mut command);
        // The global flags stand above once.
        let own = |command: &clap::Command| {
            command.clone().term_width(100).mut_args(|arg| {
                let global = arg.is_global_set();
                arg.hide(global)
            })
        };
        for command in command.get_subcommands() {
            let title = format!("rollcall {}", command.get_name());
            add(&title, &mut own(command));
            for below in command.get_subcommands() {
                add(&format!("{title} {}", below.get_name()), &mut own(below));
            }
        }
        text
    }

    #[test]
    fn the_reference_is_true() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
        if std::env::var_os("ROLLCALL_WRITE_DOCS").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert!(written == reference(), "docs/commands.md is out of date: ROLLCALL_WRITE_DOCS=1");
    }

    #[test]
    fn offsets_are_no_flags() {
        let line = ["rollcall", "--zone", "-03:30", "scan", "--time-zone", "-05:00", "-"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.global.zone.as_deref(), Some("-03:30"));
        let Command::Scan(scan) = cli.command else { panic!("scan") };
        assert_eq!(scan.read.time_zone.as_deref(), Some("-05:00"));
        assert_eq!(scan.paths, [PathBuf::from("-")]);
    }

    #[test]
    fn connections_have_an_id_or_a_client() {
        let client = |host: &str, port| Ok(Which::Client(host.as_bytes().to_vec(), port));
        assert_eq!(which_argument("8812"), Ok(Which::Id(8812)));
        assert_eq!(which_argument("10.0.0.7:51234"), client("10.0.0.7", 51234));
        assert_eq!(which_argument("db1:1"), client("db1", 1));
        // As lists of sessions show it, and as people write it.
        assert_eq!(which_argument("::1:51234"), client("::1", 51234));
        assert_eq!(which_argument("[::1]:51234"), client("::1", 51234));
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("0", 0), ("7", 7), ("500MB", 500_000_000), ("2GiB", 2 << 30), ("1 kB", 1000)]
        {
            assert_eq!(size_argument(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1.5GB", "1XB", "99999999TB"] {
            assert!(size_argument(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_values_are_refused() {
        for line in [
            "rollcall setup",
            "rollcall setup nosuch",
            "rollcall setup audit --family oracle",
            "rollcall setup audit --bytes-per-day much",
            "rollcall setup monitor --account 'x",
            "rollcall setup init-connect --keep-days 0",
            "rollcall setup init-connect --keep-days 36501",
            "rollcall",
            "rollcall nosuch",
            "rollcall who",
            "rollcall who x",
            "rollcall who :1",
            "rollcall who h:",
            "rollcall who h:0",
            "rollcall who h:+1",
            "rollcall who h:65536",
            "rollcall who 99999999999999999999",
            "rollcall seen --idle-for 7",
            "rollcall seen --sort nosuch",
            "rollcall scan --threads 0",
            "rollcall scan --threads 257",
            "rollcall failures --by month",
            "rollcall -v -q status",
            "rollcall --fail-on nosuch status",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
        assert!(Cli::try_parse_from(["rollcall", "scan", "--threads", "256"]).is_ok());
    }
}
