//! The command line: the single place where commands, flags and environment variables are declared.
//! Help, the reference in `docs/commands.md` and the parser come from here. What belongs to one kind of question
//! stands in a module below.

mod accounts;
mod logs;
mod quota;
mod setup;
mod trace;

pub(crate) use accounts::{
    AccountArgs, AccountsArgs, ApplyArgs, DeedArgs, JournalArgs, KeepArgs, LiveArgs, PlanArg,
    PlanningArgs, UndoArgs, UnusedArgs,
};
pub(crate) use logs::{
    EvidenceArgs, FailuresArgs, FailuresBy, ReadArgs, ReportArgs, ScanArgs, SeenArgs, SeenSort,
    WatchArgs,
};
pub(crate) use quota::{Quota, QuotaArgs, QuotaCheckArgs, QuotaWatchArgs};
pub(crate) use setup::{
    DoctorArgs, ServerArgs, Setup, SetupArgs, SetupAudit, SetupInitConnect, SetupLockProcedure,
    SetupMonitor, SetupPlugin,
};
pub(crate) use trace::{SampleArgs, TraceArgs, TraceKind, WhoArgs};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::render::Format;

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

impl Condition {
    /// Whether it compares sizes with limits.
    pub(crate) fn is_of_limits(&self) -> bool {
        matches!(self, Condition::Soft | Condition::Hard)
    }
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
    /// Note which processes have the connections that are open, so that trace and who can name them
    /// afterwards; until SIGTERM (for systemd, as root)
    Sample(SampleArgs),
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
