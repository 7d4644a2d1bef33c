//! rollcall: who logs in to MariaDB and MySQL, from where, and who failed to.
//!
//! ```text
//! cli ── Cli ──► run ──► job ──► scan ──► ledger          scan, report PATH
//!                 ├───► watch ──► scan                     the same, again and again
//!                 └───► ask (rows) ──► answers ──► render  every question
//! ```
//!
//! # Invariants
//! * Escaping lives in `render` only; standard output and error are written by `out` only.
//! * `answers`, `time`, `job` and `config` (but for reading its file) know no clock and no
//!   environment.
#![deny(unsafe_code)]

mod accounts;
mod answers;
mod cli;
mod config;
mod deeds;
mod doctor;
mod exit;
mod job;
mod memory;
#[cfg(test)]
mod model;
mod out;
mod quota;
mod reach;
mod render;
mod run;
mod scan;
mod seal;
mod service;
mod setup;
mod time;
mod trace;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let exit = match cli::Cli::try_parse() {
        Ok(cli) => run::run(&cli),
        Err(usage) => {
            // Help and version are answers, the rest is misuse; a closed pipe changes neither.
            let _ = usage.print();
            if usage.use_stderr() { exit::Exit::Nothing } else { exit::Exit::Done }
        }
    };
    ExitCode::from(exit.code())
}
