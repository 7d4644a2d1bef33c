//! Runs programs and says what they cost: user + system time of the whole process, wall time,
//! peak memory.
//!
//! ```text
//! measure [--runs N] [--before COMMAND] A… [::: B…]
//! ```
//!
//! With two programs the runs alternate A B A B, so that a change of the machine's pace meets both.
//! `--before` runs through the shell before each run and is not measured. What the programs print
//! is thrown away; a program that fails ends the measuring. Prints one line of `name=value`:
//!
//! ```text
//! a_cpu_ms=412.7 a_wall_ms=431.0 a_peak_kib=6120 b_cpu_ms=171.2 … cpu_ratio=2.41 wall_ratio=2.39
//! ```
//!
//! Milliseconds are medians, the ratios medians of the ratios of each pair of runs. The peak is the
//! largest of all runs, of A alone where there is no B; it can be no smaller than that of `measure`
//! itself (about 2 MiB), because a new process begins as a copy of its parent.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

const USAGE: &str = "usage: measure [--runs N] [--before COMMAND] A… [::: B…]";

/// One run of a program, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(line) => match writeln!(io::stdout(), "{line}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(2),
        },
        Err(message) => {
            // Nowhere left to complain where standard error is closed.
            let _ = writeln!(io::stderr(), "measure: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Vec<String>) -> Result<String, String> {
    let (mut runs, mut before) = (5, None);
    let mut rest = &arguments[..];
    loop {
        match rest {
            [name, value, tail @ ..] if name == "--runs" => {
                runs = value.parse().map_err(|_| USAGE)?;
                rest = tail;
            }
            [name, value, tail @ ..] if name == "--before" => {
                before = Some(value.as_str());
                rest = tail;
            }
            _ => break,
        }
    }
    let mut programs = rest.split(|argument| argument == ":::");
    let (a, b) = (programs.next().unwrap_or_default(), programs.next());
    if a.is_empty() || b.is_some_and(<[String]>::is_empty) || programs.next().is_some() || runs == 0
    {
        return Err(USAGE.into());
    }
    let (mut costs_a, mut costs_b, mut peak_kib) = (Vec::new(), Vec::new(), 0);
    for _ in 0..runs {
        prepare(before)?;
        costs_a.push(cost(a)?);
        if let Some(b) = b {
            prepare(before)?;
            costs_b.push(cost(b)?);
        } else {
            peak_kib = usage()?.max_rss();
        }
    }
    Ok(summary(&costs_a, &costs_b, peak_kib))
}

fn summary(a: &[Cost], b: &[Cost], peak_kib: i64) -> String {
    let median = |costs: &[Cost], pick: fn(&Cost) -> f64| median(costs.iter().map(pick).collect());
    let (cpu, wall) = (|cost: &Cost| cost.cpu, |cost: &Cost| cost.wall);
    let mut line = format!("a_cpu_ms={:.1} a_wall_ms={:.1}", median(a, cpu), median(a, wall));
    if b.is_empty() {
        return format!("{line} a_peak_kib={peak_kib}");
    }
    let ratio = |pick: fn(&Cost) -> f64| {
        self::median(a.iter().zip(b).map(|(a, b)| pick(a) / pick(b)).collect())
    };
    line += &format!(
        " b_cpu_ms={:.1} b_wall_ms={:.1} cpu_ratio={:.3} wall_ratio={:.3}",
        median(b, cpu),
        median(b, wall),
        ratio(cpu),
        ratio(wall)
    );
    line
}

fn prepare(before: Option<&str>) -> Result<(), String> {
    let Some(command) = before else { return Ok(()) };
    match Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command}: {status}")),
        Err(error) => Err(format!("sh: {error}")),
    }
}

fn cost(program: &[String]) -> Result<Cost, String> {
    let (before, began) = (cpu_ms()?, Instant::now());
    let status = Command::new(&program[0])
        .args(&program[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}", program[0]))?;
    let wall = began.elapsed().as_secs_f64() * 1e3;
    if !status.success() {
        return Err(format!("{}: {status}", program.join(" ")));
    }
    Ok(Cost { cpu: cpu_ms()? - before, wall })
}

/// User + system time of all programs that have ended.
fn cpu_ms() -> Result<f64, String> {
    let usage = usage()?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e3)
}

fn usage() -> Result<nix::sys::resource::Usage, String> {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| format!("getrusage: {error}"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(arguments: &[&str]) -> Result<String, String> {
        run(arguments.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn two_programs_are_compared() {
        let line = measured(&["--runs", "3", "true", ":::", "true"]).unwrap();
        assert!(line.contains("a_cpu_ms=") && line.contains("cpu_ratio="), "{line}");
    }

    #[test]
    fn one_program_tells_its_peak() {
        let line = measured(&["--runs", "1", "true"]).unwrap();
        let peak: i64 = line.rsplit_once("a_peak_kib=").unwrap().1.parse().unwrap();
        assert!(peak > 0, "{line}");
    }

    #[test]
    fn failure_is_told() {
        assert!(measured(&["false"]).unwrap_err().contains("exit status: 1"));
        assert!(measured(&["--before", "exit 3", "true"]).unwrap_err().contains("3"));
        assert!(measured(&[]).is_err());
        assert!(measured(&["true", ":::"]).is_err());
    }
}
