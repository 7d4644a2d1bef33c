//! Storage against limits: `quota`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use verdict::quota::Shard;

/// `quota`.
#[derive(Debug, Clone, Args)]
pub(crate) struct QuotaArgs {
    #[command(subcommand)]
    pub(crate) what: Quota,
}

/// What is done about storage.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Quota {
    /// Measure once and say who is above which limit (for cron and monitoring)
    Check(QuotaCheckArgs),
    /// Measure all servers again and again, as a service
    Watch(QuotaWatchArgs),
}

/// `quota watch`.
#[derive(Debug, Clone, Args)]
pub(crate) struct QuotaWatchArgs {
    /// The limits: TOML, or lists of mysql_monitor_daemon's users [default: the configured file]
    #[arg(long, value_name = "FILE")]
    pub(crate) limits: Option<PathBuf>,
    /// Do what the configured policy says [default: the configured enforce, else nothing is changed]
    #[arg(long)]
    pub(crate) apply: bool,
    /// Only the users of this shard: of N services with the same configuration, K from 0 to N-1,
    /// each looks after its own
    #[arg(long, value_name = "K/N", conflicts_with_all = ["index", "total"])]
    pub(crate) shard: Option<Shard>,
    /// As --shard: K, counted from 0 (mysql_monitor_daemon's flag)
    #[arg(short = 's', value_name = "K", requires = "total", id = "index")]
    pub(crate) index: Option<u32>,
    /// As --shard: N (mysql_monitor_daemon's flag)
    #[arg(short = 't', value_name = "N", requires = "index", id = "total")]
    pub(crate) total: Option<u32>,
    /// 0 logs what is found, 1 also what would be done, 2 does it as --apply (mysql_monitor_daemon's
    /// flag)
    #[arg(short = 'd', value_name = "0|1|2", conflicts_with = "apply",
        value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) debug: Option<u8>,
    /// Whom it becomes where root starts it [default: the configured run_as, else rollcall]
    #[arg(long, value_name = "USER[:GROUP]")]
    pub(crate) run_as: Option<String>,
    /// Go on in the background, once all that can be checked is checked
    #[arg(long)]
    pub(crate) daemonize: bool,
    /// Keep the process's number there, and a lock on it while it runs
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Append the log to this file instead of writing it to standard error
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
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
    /// Write sizes and limits for Prometheus' textfile collector to this file as well [default: the
    /// configured file]
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
    /// How to reach the server [default: its defaults_file in the configuration; where no server is
    /// configured, the group client of the usual option files]
    #[arg(long, value_name = "FILE")]
    pub(crate) defaults_file: Option<PathBuf>,
    /// Do what the configured policy says: lock or hold back who is above the hard limit, give back
    /// where usage has fallen [default: the configured enforce, else nothing is changed]
    #[arg(long)]
    pub(crate) apply: bool,
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
