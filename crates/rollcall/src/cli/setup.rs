//! What servers need and lack: `setup`, `doctor`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use verdict::account::AccountName;

use super::accounts::{LiveArgs, account_argument};

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
