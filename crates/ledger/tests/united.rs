//! Pairs of several sources, read one by one: each is told once, with what all sources say.

mod common;

use common::{Log, UTC_START, add_log, keeping, line};
use ledger::{Filter, Ledger, Seen};
use std::collections::BTreeMap;

const HOUR: i64 = 3_600_000_000;

/// Logins in the first hours by so many users each, and a refusal in each hour of u0 and of one that never logs in.
fn log(hours: i64, users: u64, first_id: u64) -> Log {
    let mut log = Log::default();
    let mut id = first_id;
    for hour in 0..hours {
        let at = UTC_START + hour * HOUR;
        for user in (0..users).rev() {
            let host = format!("10.0.0.{}", user % 3);
            id += 1;
            log.push(line(at, "db1", &format!("u{user}"), &host, id, "CONNECT", 0));
            log.push(line(at, "db1", &format!("u{user}"), &host, id, "DISCONNECT", 0));
        }
        for (user, host) in [("u0", "10.0.0.0"), ("ghost", "10.9.9.9")] {
            id += 1;
            log.push(line(at, "db1", user, host, id, "FAILED_CONNECT", 1045));
            log.push(line(at, "db1", user, host, id, "DISCONNECT", 0));
        }
    }
    // Later on all is settled.
    let end = UTC_START + 100 * HOUR;
    log.push(line(end, "db1", "end", "localhost", id + 1, "CONNECT", 0));
    log
}

/// Logins and refusals by user.
fn counts(rows: &[Seen]) -> BTreeMap<String, (u64, u64)> {
    let row = |it: &Seen| (String::from_utf8(it.user.clone()).unwrap(), (it.logins, it.failures));
    rows.iter().map(row).collect()
}

#[test]
fn each_pair_is_told_once_with_what_all_sources_say() {
    let mut ledger = Ledger::in_memory().unwrap();
    let keeping = || keeping(UTC_START + 200 * HOUR);
    // The second source has seen the same hours and one more, of fewer users.
    add_log(&mut ledger, keeping(), "/a.log", &log(3, 40, 1000));
    add_log(&mut ledger, keeping(), "/b.log", &log(4, 10, 1000));
    // In the third one u0 never logged in.
    add_log(&mut ledger, keeping(), "/c.log", &log(5, 0, 1000));
    let mut rows = Vec::new();
    let concerns = |user: &[u8], _: &[u8]| user != b"ghost";
    ledger.each_seen(&Filter::default(), &concerns, &mut |row| rows.push(row)).unwrap();
    let found = counts(&rows);
    assert_eq!(rows.len(), found.len(), "a pair was told twice");
    let mut expected: BTreeMap<String, (u64, u64)> =
        (1..40).map(|user| (format!("u{user}"), (if user < 10 { 4 } else { 3 }, 0))).collect();
    expected.insert("u0".to_owned(), (4, 5));
    expected.insert("end".to_owned(), (1, 0));
    assert_eq!(found, expected);
    // Whoever asks for all gets strangers, too, and everything in order.
    let all = ledger.seen(&Filter::default()).unwrap();
    expected.insert("ghost".to_owned(), (0, 5));
    assert_eq!(counts(&all), expected);
    assert!(all.is_sorted_by_key(|it| (it.server.clone(), it.user.clone(), it.host.clone())));
}

#[test]
fn names_that_are_no_text_are_told_once() {
    let mut ledger = Ledger::in_memory().unwrap();
    for (location, hours) in [("/a.log", 2), ("/b.log", 3)] {
        let mut text = Log::default();
        for hour in 0..hours {
            for (number, user) in ["z", "a\0", "é", "~"].iter().enumerate() {
                let at = UTC_START + hour * HOUR;
                let id = 100 + 10 * hour as u64 + number as u64;
                text.push(line(at, "db1", user, "h", id, "CONNECT", 0));
            }
        }
        add_log(&mut ledger, keeping(UTC_START + 200 * HOUR), location, &text);
    }
    let rows = ledger.seen(&Filter::default()).unwrap();
    let found: Vec<(&[u8], u64)> = rows.iter().map(|it| (&it.user[..], it.logins)).collect();
    let expected: [(&[u8], u64); 4] = [(b"a\0", 3), (b"z", 3), (b"~", 3), ("é".as_bytes(), 3)];
    assert_eq!(found, expected);
}
