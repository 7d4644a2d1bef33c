//! A log that is large enough to be read in parts gives the same answers as one that is read alone.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use bench::{Mode, Order, generate};

use super::house::{House, QUIET};

/// Where parts meet with four threads: they are 16 MiB long at least, and a file is cut where it holds two.
const PART_BYTES: u64 = 16 << 20;

/// Enough for three parts.
const LOG_BYTES: u64 = 3 * PART_BYTES + 1_000_000;

/// Writes a log through, with records whose user name holds line breaks and whole records: some
/// everywhere, and one across each place where parts meet.
struct Hostile<W> {
    out: W,
    written: u64,
    lines: u64,
}

impl<W: Write> Hostile<W> {
    /// A record whose name has so many line breaks, and a whole record behind them.
    fn add(&mut self, breaks: usize) -> std::io::Result<()> {
        let mut forged = "nineteen characters\n".repeat(breaks);
        forged += "20261101 00:00:00,db1,root,evil,7,0,CONNECT,,,0\n";
        let id = self.lines;
        self.put(
            format!("20261101 00:00:00,db1,{forged}y,10.9.9.9,{id},0,CONNECT,shop,,0\n").as_bytes(),
        )
    }

    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl<W: Write> Write for Hostile<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
        self.put(&bytes[..end])?;
        if bytes[..end].ends_with(b"\n") {
            self.lines += 1;
            let before_meeting = PART_BYTES - self.written % PART_BYTES;
            if (300..800).contains(&before_meeting) {
                // Whoever begins at a line break where parts meet comes upon the forged record.
                self.add(50)?;
            } else if self.lines.is_multiple_of(400) {
                self.add(3)?;
            }
        }
        Ok(end)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn write_log(path: &Path, hostile: bool) {
    let out = BufWriter::new(File::create(path).unwrap());
    let order = Order { mode: Mode::Connects, bytes: LOG_BYTES, pairs: 500, seed: 11 };
    match hostile {
        true => generate(order, Hostile { out, written: 0, lines: 0 }, std::io::sink()).unwrap(),
        false => generate(order, out, std::io::sink()).unwrap(),
    }
}

/// Scans with so many threads, in a ledger of its own; every answer, and the doubts.
fn answers(house: &House, threads: &str) -> (String, (u64, u64)) {
    if house.path("ledger.sqlite").exists() {
        house.remove("ledger.sqlite");
    }
    let said = house.run(&["scan", "-q", "server_audit.log", "--threads", threads]);
    assert_eq!(said, QUIET, "{threads} threads");
    (house.answers(), house.doubts())
}

#[test]
fn threads_do_not_change_the_answers() {
    let house = House::new();
    write_log(&house.path("server_audit.log"), false);
    let alone = answers(&house, "1");
    assert!(alone.0.lines().count() > 400 && alone.1 == (0, 0));
    for threads in ["2", "4"] {
        assert!(answers(&house, threads) == alone, "{threads} threads");
    }
}

#[test]
fn names_with_line_breaks_may_stand_where_parts_meet() {
    let house = House::new();
    write_log(&house.path("server_audit.log"), true);
    let alone = answers(&house, "1");
    assert!(alone.1.1 > 1_000, "{:?}", alone.1);
    assert!(!alone.0.contains("evil"));
    for threads in ["2", "4"] {
        assert!(answers(&house, threads) == alone, "{threads} threads");
    }
}

/// The hour that occurs twice is so busy that parts begin in its second half: which of the two a record
/// tells of follows from the records of the part before.
#[test]
fn parts_may_begin_in_the_hour_that_occurs_twice() {
    let house = House::new();
    let mut log = BufWriter::new(File::create(house.path("server_audit.log")).unwrap());
    let (mut written, mut id) = (0, 0);
    for second in 0..2 * 3600_u64 {
        // 01:59:00 to 02:59:59, then 02:00:00 to 02:58:59, which is all that is left to be told.
        let of_day = 7140 + second - if second < 3660 { 0 } else { 3600 };
        let time = format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
        while written < LOG_BYTES * (second + 1) / 7200 {
            id += 1;
            let user = if second < 3660 { "app" } else { "cms" };
            let line = format!(
                "20261025 {time},db1,{user},10.0.0.7,{id},0,CONNECT,{},,0\n",
                "d".repeat(600)
            );
            written += line.len() as u64;
            log.write_all(line.as_bytes()).unwrap();
        }
    }
    log.into_inner().unwrap();
    let scan = |threads: &str| {
        if house.path("ledger.sqlite").exists() {
            house.remove("ledger.sqlite");
        }
        let zone = ["--time-zone", "Europe/Zurich", "--threads", threads];
        let said = house.run(&[&["scan", "server_audit.log"][..], &zone].concat());
        assert_eq!(said, QUIET, "{threads} threads");
        house.answers()
    };
    let alone = scan("1");
    assert!(
        alone.contains("\"user\":\"cms\",\"host\":\"10.0.0.7\",\"first_seen\":\"2026-10-25T01:00")
    );
    for threads in ["2", "4"] {
        assert!(scan(threads) == alone, "{threads} threads");
    }
}
