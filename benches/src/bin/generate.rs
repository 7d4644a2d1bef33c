//! Makes an audit log and, beside it, the answers that must come out of it.
//!
//! ```text
//! generate connects|queries|pairs --out FILE [--truth FILE] [--bytes N] [--pairs N] [--seed N]
//! ```
//!
//! `--truth` is by default the file with `.truth.csv` appended: the rows of `rollcall seen -o csv`,
//! sorted by user and host.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use bench::{Mode, Order, generate};

const USAGE: &str = "usage: generate connects|queries|pairs --out FILE [--truth FILE] [--bytes N] \
                     [--pairs N] [--seed N]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Nowhere left to complain where standard error is closed.
            let _ = writeln!(io::stderr(), "generate: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let mode = match arguments.next().as_deref() {
        Some("connects") => Mode::Connects,
        Some("queries") => Mode::Queries,
        Some("pairs") => Mode::Pairs,
        _ => return Err(USAGE.into()),
    };
    let pairs = if mode == Mode::Pairs { 500_000 } else { 11_000 };
    let mut order = Order { mode, bytes: 1_000_000_000, pairs, seed: 1 };
    let (mut out, mut truth) = (None, None);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        let number = || value.parse().map_err(|_| format!("{name} {value}: not a number"));
        match name.as_str() {
            "--out" => out = Some(value),
            "--truth" => truth = Some(value),
            "--bytes" => order.bytes = number()?,
            "--seed" => order.seed = number()?,
            "--pairs" => order.pairs = number()? as usize,
            _ => return Err(USAGE.into()),
        }
    }
    let out = out.ok_or(USAGE)?;
    if order.bytes == 0 || order.pairs == 0 {
        return Err("--bytes and --pairs must be above 0".into());
    }
    let truth = truth.unwrap_or_else(|| format!("{out}.truth.csv"));
    generate(order, create(&out)?, create(&truth)?).map_err(|error| format!("{out}: {error}"))
}

fn create(path: &str) -> Result<BufWriter<File>, String> {
    let file = File::create(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}
