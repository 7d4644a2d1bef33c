//! Input that cannot be read, or not in full: file, place and remedy are named, the rest is read.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use insta::assert_snapshot;

use super::house::{House, QUIET, session, sessions};

/// Scans `bad` together with a good log, which must count in full.
fn beside_a_good_one(house: &House, bad: &str) -> String {
    house.write("good.log", session("good", 1));
    let text = house.run(&["scan", bad, "good.log"]);
    let good = house.json(&["seen", "-q", "--user", "good"]);
    assert_eq!(good.len(), 1, "{text}");
    assert_eq!(good[0]["logins"], 1, "{text}");
    text
}

#[test]
fn a_missing_file() {
    let house = House::new();
    assert_snapshot!(beside_a_good_one(&house, "nosuch.log"), @r#"
    exit 3
    --- stdout
    --- stderr
    rollcall: nosuch.log: no such file; check the path
    "#);
    assert_snapshot!(house.run(&["scan", "nosuch.log"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: nosuch.log: no such file; check the path
    "#);
    assert_snapshot!(house.run(&["scan", "nosuch*.log"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: nosuch*.log: the pattern matches no file; check the path
    "#);
    assert_snapshot!(house.run(&["scan", "good[.log"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: good[.log: bad pattern: invalid range pattern; write [[] for a bracket
    "#);
}

#[test]
fn an_unreadable_file() {
    let house = House::new();
    house.write("logs/server_audit.log", sessions(1..3));
    house.write("data/private", sessions(1..3));
    house.write("good.log", session("good", 1));
    for file in ["logs/server_audit.log", "data/private"] {
        let closed = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(house.path(file), closed).unwrap();
    }
    let text = house.run_as_nobody(&["report", "logs", "data", "good.log", "-o", "json"]);
    let (code, rest) = text.split_once('\n').unwrap();
    assert_eq!(code, "exit 3");
    assert!(rest.contains(r#""user":"good""#), "{text}");
    assert_snapshot!(text.split_once("--- stderr\n").unwrap().1, @r#"
    rollcall: FOLDER/logs/server_audit.log: permission denied; run as root or add this user to the group that owns it
    rollcall: data: no audit log in this folder; but not everything in it may be read (-v names it); run as root or add this user to the group that owns it
    "#);
}

#[test]
fn what_is_no_file() {
    let house = House::new();
    nix_mkfifo(&house, "pipe");
    assert_snapshot!(beside_a_good_one(&house, "pipe"), @r#"
    exit 3
    --- stdout
    --- stderr
    rollcall: pipe: is a named pipe; name a file or a folder
    "#);
    assert_snapshot!(beside_a_good_one(&house, "/dev/null"), @r#"
    exit 3
    --- stdout
    --- stderr
    rollcall: /dev/null: is a device; name a file or a folder
    "#);
    std::os::unix::net::UnixListener::bind(house.path("socket")).unwrap();
    assert_snapshot!(beside_a_good_one(&house, "socket"), @r#"
    exit 3
    --- stdout
    --- stderr
    rollcall: socket: is a socket; name a file or a folder
    "#);
}

fn nix_mkfifo(house: &House, name: &str) {
    assert!(Command::new("mkfifo").arg(house.path(name)).status().unwrap().success());
}

#[test]
fn a_folder_holds_what_it_likes() {
    let house = House::new();
    house.write("data/server_audit.log", sessions(1..10));
    house.write("data/ibdata1", [0; 5000]);
    house.write("data/empty.log", "");
    house.write("data/notes.txt", "nothing here\n");
    house.write("data/deep/er/audit.log.2", sessions(600..610));
    house.write("outside/server_audit.log", session("outside", 1));
    nix_mkfifo(&house, "data/pipe");
    symlink("../outside/server_audit.log", house.path("data/linked.log")).unwrap();
    symlink("..", house.path("data/deep/up")).unwrap();
    symlink("round", house.path("data/round")).unwrap();
    symlink("nowhere", house.path("data/dangling")).unwrap();
    house.scan(&["data"]);
    assert_eq!(house.logins().values().sum::<u64>(), 9 + 10);
    assert_snapshot!(house.run(&["scan", "data", "-v"]), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: log times in UTC, this machine's zone
    rollcall: FOLDER/data/ibdata1: a table, binlog or engine file by its name
    rollcall: FOLDER/data/dangling: a link to nothing, or a loop of links
    rollcall: FOLDER/data/empty.log: empty
    rollcall: FOLDER/data/linked.log: a link out of the folder, to FOLDER/outside/server_audit.log: name it to read it
    rollcall: FOLDER/data/notes.txt: no audit log of a known dialect
    rollcall: FOLDER/data/pipe: a named pipe
    rollcall: FOLDER/data/round: a link to nothing, or a loop of links
    rollcall: FOLDER/data/deep/up: a link to FOLDER/data, which is in the same folder tree
    "#);
    // A link that is named is followed.
    house.scan(&["data/linked.log"]);
    assert_eq!(house.logins().values().sum::<u64>(), 20);
    assert_snapshot!(house.run(&["scan", "data/round"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: data/round: symbolic links form a loop; name the file they should lead to
    "#);
}

#[test]
fn a_folder_without_any_log() {
    let house = House::new();
    house.write("data/ibdata1", [0; 5000]);
    assert_snapshot!(beside_a_good_one(&house, "data"), @r#"
    exit 3
    --- stdout
    --- stderr
    rollcall: data: no audit log in this folder; -v names what was skipped
    "#);
    assert_snapshot!(house.run(&["report", "data"]), @r#"
    exit 2
    --- stdout
    0 audit files, 0 B (UTC, this machine's zone), read in under 0.1 s
    No audit record found. Is this an audit log (rollcall dialects), and does the audit log connections: SHOW VARIABLES LIKE 'server_audit%'

    Accounts that never logged in leave no line in a log and cannot appear here: rollcall unused asks the server for them
    --- stderr
    rollcall: data: no audit log in this folder; -v names what was skipped
    "#);
}

#[test]
fn a_binary_file() {
    let house = House::new();
    let bytes: Vec<u8> =
        (0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    house.write("binary", bytes);
    assert_snapshot!(beside_a_good_one(&house, "binary"), @r#"
    exit 3
    --- stdout
    --- stderr
    rollcall: FOLDER/binary: no audit log of a known dialect in its first 65536 bytes; tell its dialect with --dialect if it is one
    "#);
}

#[test]
fn an_empty_file_is_a_log_that_has_just_been_rotated() {
    let house = House::new();
    house.write("server_audit.log", "");
    house.scan(&["server_audit.log"]);
    house.append("server_audit.log", session("app", 1));
    house.scan(&["server_audit.log"]);
    assert_eq!(house.logins().values().sum::<u64>(), 1);
}

#[test]
fn one_partial_line_alone() {
    let house = House::new();
    let line = session("app", 1);
    house.write("server_audit.log", &line[..30]);
    assert_snapshot!(beside_a_good_one(&house, "server_audit.log"), @r#"
    exit 3
    --- stdout
    --- stderr
    rollcall: FOLDER/server_audit.log: holds no complete line yet (30 bytes); read it again when the server has written more
    "#);
    house.append("server_audit.log", &line[30..]);
    house.scan(&["server_audit.log"]);
    assert_eq!(house.json(&["seen", "--user", "app"])[0]["logins"], 1);
}

#[test]
fn line_ends_marks_and_nul_bytes() {
    let house = House::new();
    house.write("a.log", sessions(1..10).replace('\n', "\r\n"));
    house.write("a.log.1", format!("\u{feff}{}", sessions(10..20)));
    house.scan(&["a.log", "a.log.1"]);
    assert_eq!(house.logins().values().sum::<u64>(), 19);
    // As a crash leaves them: the record behind them counts.
    let nul = [sessions(100..110).as_bytes(), &[0; 5000], sessions(110..120).as_bytes()].concat();
    house.write("a.log.2", nul);
    assert_snapshot!(house.run(&["scan", "a.log.2"]), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: FOLDER/a.log.2: 1 line is no record (NUL bytes, as a crash leaves them): rollcall evidence --state rejected
    "#);
    assert_eq!(house.logins().values().sum::<u64>(), 39);
    house.write("a.log.3", [sessions(200..210).as_bytes(), &[0; 5000]].concat());
    assert_eq!(house.run(&["scan", "a.log.3"]), QUIET);
    assert_eq!(house.logins().values().sum::<u64>(), 49);
}

#[test]
fn dates_of_no_calendar() {
    let house = House::new();
    let line = |time| format!("{time},db1,bad,10.0.0.1,5,0,CONNECT,shop,,0\n");
    let bad = ["20261301 10:00:00", "20260230 10:00:00", "20261101 25:00:00", "20261101 10:61:00"];
    house.write("bad.log", sessions(1..10) + &bad.map(line).concat() + &sessions(10..20));
    assert_snapshot!(house.run(&["scan", "bad.log"]), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: FOLDER/bad.log: 4 lines are no records (its time stamp is no time): rollcall evidence --state rejected
    "#);
    assert!(house.logins().keys().all(|(user, _)| user != "bad"));
    assert_eq!(house.logins().values().sum::<u64>(), 19);
    assert_eq!(house.doubts(), (4, 0));
}

#[test]
fn dates_in_the_future() {
    let house = House::new();
    house.write("future.log", sessions(1..3) + &session("app", 3).replace("20261101", "21261101"));
    let text = house.run(&["scan", "future.log"]);
    let (before, after) = text.split_once(" lies ").unwrap();
    assert_snapshot!(before, @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: FOLDER/future.log: its newest record
    "#);
    assert_snapshot!(after.split_once(" in the future ").unwrap().1, @"(2126-11-01T00:03:05Z): tell the zone of its times with --time-zone, or set the server's clock right");
    // A clock that once was wrong makes nobody else stale, and nobody appear.
    let stale = house.json(&["seen", "--idle-for", "1d"]);
    assert!(stale.iter().all(|row| row["user"] != "app"));
}

#[test]
fn an_archive_that_is_cut_is_told_until_it_is_whole() {
    let house = House::new();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(sessions(1..1000).as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let cut = &gz[..gz.len() / 2];
    let mut decoded = Vec::new();
    let _ = flate2::read::GzDecoder::new(cut).read_to_end(&mut decoded);
    let logins = decoded.split(|&byte| byte == b'\n').rev().skip(1);
    let logins = logins.filter(|line| line.windows(9).any(|it| it == b",CONNECT,")).count();

    house.write("old.log.gz", cut);
    let text = beside_a_good_one(&house, "old.log.gz");
    let shown =
        text.replace(&cut.len().to_string(), "RAW").replace(&decoded.len().to_string(), "TEXT");
    assert_snapshot!(shown, @r#"
    exit 3
    --- stdout
    --- stderr
    rollcall: FOLDER/old.log.gz: the compressed data is cut off at byte RAW; the TEXT bytes of log before it are read; copy the file again, or wait for its end
    "#);
    assert_eq!(house.logins().values().sum::<u64>() - 1, logins as u64);
    // Nobody is to think that all was well.
    assert_eq!(house.run(&["scan", "old.log.gz", "good.log"]), text);
    house.write("old.log.gz", &gz);
    house.scan(&["old.log.gz"]);
    assert_eq!(house.logins().values().sum::<u64>() - 1, 999);

    house.write("damaged.log.gz", [&cut[..200], &[0xff; 200], &cut[400..]].concat());
    let text = house.run(&["scan", "damaged.log.gz"]);
    assert!(text.contains("damaged.log.gz: the compressed data is damaged near byte"), "{text}");
}

#[test]
fn notes_name_the_file_that_is_doubtful() {
    let house = House::new();
    house.write("logs/server_audit.log", sessions(1..10));
    house.write("logs/server_audit.log.1", session("line\nbreak", 1) + &sessions(20..30));
    house.write("logs/server_audit.log.2", "no record\n".to_owned() + &sessions(40..50));
    assert_snapshot!(house.run(&["scan", "logs"]), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: FOLDER/logs/server_audit.log.1: 2 records cannot be trusted (a name holds a line break): rollcall evidence --state quarantined
    rollcall: FOLDER/logs/server_audit.log.2: 1 line is no record (does not start as a record does): rollcall evidence --state rejected
    "#);
    for number in 3..40 {
        let log = format!("no record {number}\n{}", sessions(number * 60..number * 60 + 2));
        house.write(&format!("logs/server_audit.log.{number}"), log);
    }
    let text = house.run(&["scan", "logs"]);
    assert!(
        text.ends_with("rollcall: … and 17 more files with doubtful records: rollcall evidence\n")
    );
    assert_eq!(text.lines().count(), 3 + 21, "{text}");
}

#[test]
fn more_files_than_may_be_open_are_told_in_one_line() {
    let house = House::new();
    for number in 0..60 {
        house.write(&format!("{number:02}.log"), session("app", number * 60));
    }
    // Whoever starts the tests may leave files open in every program they start.
    let inherited = open_files();
    let scan = |free: usize| {
        let limit = format!("--nofile={}", inherited + free);
        house.text(&house.limited(&limit, &["scan", "*.log"]).output().unwrap())
    };
    let text = scan(40);
    let (before, after) = text.split_once(".log and ").expect(&text);
    assert!(before.starts_with("exit 3\n") && before.lines().count() == 4, "{text}");
    assert_snapshot!(after.split_once(' ').unwrap().1, @"more: too many files are open at once: raise the limit (ulimit -n), or name fewer files");
    // Where not even the ledger can be opened, that is said, too.
    for free in 1..10 {
        let text = scan(free);
        assert!(text.contains("oo many") && text.lines().count() == 4, "{free}: {text}");
    }
}

/// How many files a program finds open that is started here.
fn open_files() -> usize {
    let listed = Command::new("ls").arg("/proc/self/fd").output().unwrap().stdout;
    // One of them is the folder that `ls` reads.
    listed.split(|&byte| byte == b'\n').filter(|name| !name.is_empty()).count() - 1
}

/// A line that is longer than any record may be must not fill memory.
#[test]
fn a_line_of_20_mib_is_skipped_and_memory_stays_flat() {
    let house = House::new();
    let mut log = sessions(1..10).into_bytes();
    log.extend(b"20261101 10:00:00,db1,app,10.0.0.1,9,9,QUERY,shop,'");
    log.resize(log.len() + (20 << 20), b'x');
    log.extend(b"',0\n");
    log.extend(sessions(10..20).as_bytes());
    house.write("long.log", &log);
    drop(log);
    // 64 MiB of address space beyond what the empty program takes are enough for the longest
    // record.
    let limit = address_space(&house) + (64 << 20);
    let mut limited =
        house.limited(&format!("--as={limit}"), &["scan", "long.log", "--threads", "1"]);
    assert_snapshot!(house.text(&limited.output().unwrap()), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: FOLDER/long.log: 1 line is no record (longer than 16 MiB): rollcall evidence --state rejected
    "#);
    assert_eq!(house.logins().values().sum::<u64>(), 19);
    assert_eq!(house.doubts(), (1, 0));
}

/// The least address space, to 1 MiB, in which the program can scan a short log.
fn address_space(house: &House) -> u64 {
    house.write("short.log", sessions(1..2));
    let scans = |limit: u64| {
        let short = ["scan", "short.log", "--ledger", "short.sqlite", "--threads", "1"];
        house.limited(&format!("--as={limit}"), &short).output().unwrap().status.success()
    };
    let (mut least, mut most) = (0, 4096);
    assert!(scans(most << 20), "prlimit (util-linux) is needed");
    while most - least > 1 {
        let middle = (least + most) / 2;
        match scans(middle << 20) {
            true => most = middle,
            false => least = middle,
        }
    }
    most << 20
}
