//! Names that forge logins count for nobody, wherever what holds them is cut into scans.
//!
//! Each form is what a real MariaDB 10.11 wrote; `tests/campaigns/forged-names` sends all of them.

mod common;

use common::{Log, UTC_START, keeping, ledger_of, line};
use ledger::{Error, Filter, Ledger};

/// Honest logins before the forged lines and behind them, one a second.
const BEFORE: i64 = 60;
const BEHIND: i64 = 400;

/// All of them, with two at the end.
const LOGINS: u64 = (BEFORE + BEHIND + 1) as u64;

/// A session of `app`.
fn session(second: i64) -> [String; 2] {
    let at = UTC_START + second * 1_000_000;
    let id = 1000 + 2 * second as u64;
    ["CONNECT", "DISCONNECT"].map(|what| line(at, "db1", "app", "10.0.0.7", id, what, 0))
}

/// The lines in a log of `app`, and one long after them; `~` stands for stamp and server, `own` for an id that
/// is in use now.
fn log(forged: &[&str], later: &str) -> Log {
    let mut log = Log::default();
    (0..BEFORE).flat_map(session).for_each(|line| log.push(line));
    // What stands behind a name that is cut may be taken for a part of it.
    for line in forged.iter().chain([&"~eve,127.0.0.1,1101,0,DISCONNECT,,,0"]) {
        let line = line.replace('~', "20260101 00:01:00,db1,").replace("own", "1121");
        log.push(format!("{line}\n"));
    }
    (BEFORE + 1..BEFORE + BEHIND).flat_map(session).for_each(|line| log.push(line));
    log.push(later.to_owned());
    (BEHIND + BEFORE + 60..BEHIND + BEFORE + 62).flat_map(session).for_each(|line| log.push(line));
    log
}

/// Logins of `app`; those of anybody else, and whether any is contested.
fn seen(ledger: &Ledger) -> (u64, u64, bool) {
    let (mut app, mut others, mut contested) = (0, 0, false);
    for row in ledger.seen(&Filter::default()).unwrap() {
        match &row.user[..] {
            b"app" => app += row.logins,
            b"eve" => {}
            _ => {
                others += row.logins;
                contested |= row.contested;
            }
        }
    }
    (app, others, contested)
}

#[track_caller]
fn nobody(forged: &[&str]) {
    let log = log(forged, "");
    let first = 2 * BEFORE as usize;
    for cut in first..=first + forged.len() {
        for step in [0, 3, 4] {
            let made = ledger_of(&log, keeping(UTC_START), &[cut], 0, &[step]);
            let (app, others, contested) = seen(&made.ledger);
            let how = format!("cut before line {}, {step}", cut - first);
            assert_eq!((others, contested), (0, true), "{how}");
            // One that stands right beside the name may be doubted, too.
            assert!(app >= LOGINS - 1, "{app}, {how}");
        }
    }
}

#[test]
fn a_login_and_its_end_in_a_name_whose_rest_is_no_record() {
    nobody(&[
        "~f,,1119,0,CONNECT,,,0",
        "~f,,1119,0,DISCONNECT,,,0",
        "~127.0.0.1,own,0,FAILED_CONNECT,,,1045",
        "~f,,1119,0,CONNECT,,,0",
        "~f,,1119,0,DISCONNECT,,,0",
        "~127.0.0.1,own,0,DISCONNECT,,,0",
    ]);
}

#[test]
fn a_name_that_is_cut_before_its_second_line_ends() {
    nobody(&[
        "~€€€€€€€€,127.0.0.1,own,0,FAILED_CONNECT,,,1045",
        "~€€€€€€€€,,own,0,DISCONNECT,,,0",
        "~f,h,1119,0,CONNECT,,,0",
        ",,127.0.0.1,own,0,DISCONNECT,,,0",
    ]);
}

#[test]
fn a_name_that_is_written_once() {
    nobody(&[
        "~x,h,own,0,CHANGEUSER,,,1045",
        "~f,h,1123,0,CHANGEUSER,,,0",
        ",127.0.0.1,own,0,CHANGEUSER,,,1045",
    ]);
}

#[test]
fn a_table_whose_name_is_a_login() {
    for what in ["CONNECT", "CHANGEUSER"] {
        nobody(&[
            "~eve,127.0.0.1,1121,0,CONNECT,low,,0",
            "~eve,127.0.0.1,1121,17,CREATE,low,t,",
            &format!("~f,h,1123,0,{what},,,0,"),
            &format!(
                "~eve,127.0.0.1,1121,17,QUERY,low,'CREATE TABLE `t,\\n20260101 00:01:00,db1,f,h,1123,0,{what},,,0` (a INT)',0"
            ),
            "~eve,127.0.0.1,1121,0,DISCONNECT,low,,0",
        ]);
    }
}

#[test]
fn a_change_of_user_in_a_name_and_the_statement_of_another() {
    let forged = [
        "~,,1117,0,CHANGEUSER,x,,0",
        "~f,h,1119,0,CONNECT,,,0",
        "~y,127.0.0.1,own,0,FAILED_CONNECT,,,1045",
        "~,,1117,0,CHANGEUSER,x,,0",
        "~f,h,1119,0,CONNECT,,,0",
        "~y,127.0.0.1,own,0,DISCONNECT,,,0",
    ];
    let statement = [
        "~f,h,1117,7,READ,mysql,user,",
        "~z,127.0.0.1,1123,0,FAILED_CONNECT,,,1045",
        "~f,h,1117,7,READ,mysql,user,",
        "~z,127.0.0.1,1123,0,DISCONNECT,,,0",
    ];
    nobody(&[&forged[..], &statement].concat());
    let later = log(&forged, "20260101 00:08:20,db1,f,h,1117,7,READ,mysql,user,\n");
    let made = ledger_of(&later, keeping(UTC_START), &[], 0, &[]);
    assert_eq!(seen(&made.ledger), (LOGINS, 0, true));
}

#[test]
fn logins_of_a_server_that_writes_eleven_columns_count() {
    let mut log = log(&[], "");
    log.lines.iter_mut().for_each(|line| *line = line.replace(",,0\n", ",,0,SOCKET\n"));
    let made = ledger_of(&log, keeping(UTC_START), &[100], 0, &[3]);
    assert_eq!(seen(&made.ledger), (LOGINS, 0, false));
}

#[test]
fn a_name_of_a_refused_change_of_user_has_128_characters() {
    let database = "\u{20ac}".repeat(60);
    nobody(&[
        &format!("~f,h,1123,0,CONNECT,{database},,0"),
        "~y,127.0.0.1,own,0,CHANGEUSER,,,1045",
    ]);
    // The end of the session stands beside it and does not speak for it; with one more between them all
    // is too long for a name.
    let session = ["~f,h,1123,0,CONNECT,,,0", "~f,h,1123,0,DISCONNECT,,,0"];
    let change = ["~y,127.0.0.1,own,0,CHANGEUSER,,,1045"];
    nobody(&[&session[..], &change].concat());
    let between = ["~eve,127.0.0.1,1125,0,CONNECT,,,0"];
    let log = log(&[&session[..], &between, &change].concat(), "");
    let made = ledger_of(&log, keeping(UTC_START), &[], 0, &[]);
    assert_eq!(seen(&made.ledger), (LOGINS, 1, false));
}

#[test]
fn a_stamp_far_ahead_where_a_log_is_cut_makes_no_login_count_twice() {
    let mut log = Log::default();
    (0..200).flat_map(session).for_each(|line| log.push(line));
    log.push(line(
        UTC_START + 80 * 365 * 86_400_000_000,
        "db1",
        "x",
        "h",
        5,
        "FAILED_CONNECT",
        1045,
    ));
    (200..600).flat_map(session).for_each(|line| log.push(line));
    // A short piece behind what is known, and a long one behind it.
    for steps in [&[4, 0, 0][..], &[4, 0, 2], &[4, 4, 4], &[3, 3], &[0], &[2], &[4, 2]] {
        let made = ledger_of(&log, keeping(UTC_START), &[400, 425], 0, steps);
        assert_eq!(seen(&made.ledger), (600, 0, false), "{steps:?}");
    }
}

#[test]
fn whatever_stands_in_an_edge_harms_nothing_else() {
    let name = "~y,127.0.0.1,own,0,FAILED_CONNECT,,,1045";
    let made = ledger_of(&log(&[name, name], ""), keeping(UTC_START), &[100], 0, &[3]);
    let path = made.path();
    let edge = |sql: &str| {
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute(sql, []).unwrap();
        let records = db.query_row("SELECT hex(records) FROM edge", [], |row| row.get(0));
        records.unwrap()
    };
    let whole: String = edge("UPDATE edge SET offset = -1");
    let (mut read, mut damaged) = (0, 0);
    for at in (0..whole.len() / 2).step_by(7) {
        for byte in ["7F", "FFFFFFFFFFFFFFFFFF01", "FEFFFFFFFFFFFFFFFF01", ""] {
            let (before, behind) = (&whole[..2 * at], &whole[2 * at + 2..]);
            let file = ["file", "1", "9223372036854775807"][at % 3];
            edge(&format!("UPDATE edge SET file = {file}, records = x'{before}{byte}{behind}'"));
            let mut ledger = Ledger::open(&path).unwrap();
            let ingest = ledger.ingest(keeping(UTC_START)).unwrap();
            let source = ingest.source(b"/var/log/audit.log", b"", "server_audit").unwrap();
            let text = log(&[name], "").lines.concat();
            match ingest.add(source, &common::batch(1, 1 << 20, &text)) {
                Ok(()) => read += 1,
                Err(Error::Damaged { .. }) => damaged += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(read > 0 && damaged > 0, "{read} {damaged}");
}
