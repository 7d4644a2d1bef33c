//! The answers to generated logs equal the generator's own truth, byte for byte.
//!
//! The logs are those of `benches/run`, only smaller: the truth is never computed from their text.

use std::fs::{self, File};
use std::process::Command;

use bench::{Mode, Order, generate};
use tempfile::TempDir;

/// Generates a log, scans it in `threads`, compares `seen -o csv` with the truth, both sorted.
fn check(mode: Mode, bytes: u64, pairs: usize, threads: &str) {
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (log, truth) = (path("server_audit.log"), path("truth.csv"));
    let create = |path| File::create(path).map(std::io::BufWriter::new).expect("a file");
    generate(Order { mode, bytes, pairs, seed: 7 }, create(&log), create(&truth)).expect("a log");

    let rollcall = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("--ledger")
            .arg(path("ledger.sqlite"))
            .args(arguments)
            .output()
            .expect("rollcall");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {} {stderr}", output.status);
        String::from_utf8(output.stdout).expect("the generator's names are ASCII")
    };
    let log = log.to_str().expect("a path in UTF-8");
    rollcall(&["scan", log, "--time-zone", "UTC", "--threads", threads]);
    let answers = rollcall(&["seen", "-o", "csv"]);
    let truth = fs::read_to_string(truth).expect("the truth");
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    };
    let (answers, truth) = (sorted(&answers), sorted(&truth));
    for (answer, expected) in answers.iter().zip(&truth) {
        assert_eq!(answer, expected);
    }
    assert_eq!(answers.len(), truth.len());
}

#[test]
fn connection_records() {
    check(Mode::Connects, 3_000_000, 2_000, "1");
}

#[test]
fn connection_records_read_in_two_parts() {
    check(Mode::Connects, 3_000_000, 2_000, "2");
}

#[test]
fn statements_that_hold_whole_records() {
    check(Mode::Queries, 10_000_000, 300, "1");
}

#[test]
fn statements_that_hold_whole_records_read_in_two_parts() {
    check(Mode::Queries, 10_000_000, 300, "2");
}

#[test]
fn many_pairs() {
    check(Mode::Pairs, 1, 20_000, "1");
}
