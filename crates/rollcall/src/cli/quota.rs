//! Storage against limits: `quota`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
