//! Windows of time: what evidence of real logs makes of them.

mod common;

use common::{Log, UTC_START, batch, checkpoint, keeping, line};
use ledger::IntervalState::{Covered, Gap, Unconfirmed, Uncovered};
use ledger::{Interval, IntervalState, Ledger};

const HOUR: i64 = 3_600_000_000;

fn at(hour: i64) -> i64 {
    UTC_START + hour * HOUR
}

/// A log of a session an hour.
fn log(server: &str, hours: std::ops::RangeInclusive<i64>) -> Log {
    let mut log = Log::default();
    for hour in hours {
        let id = 10 + hour as u64;
        log.push(line(at(hour), server, "app", "10.0.0.7", id, "CONNECT", 0));
        log.push(line(at(hour), server, "app", "10.0.0.7", id, "DISCONNECT", 0));
    }
    log
}

fn add(ledger: &mut Ledger, location: &str, path: &str, text: &str) {
    let ingest = ledger.ingest(keeping(at(500))).unwrap();
    let source = ingest.source(location.as_bytes(), b"", "server_audit").unwrap();
    let file = ingest.checkpoint(None, source, &checkpoint(path, text.len())).unwrap();
    ingest.add(source, &batch(file, 0, text)).unwrap();
    ingest.finish().unwrap();
}

/// In hours.
fn told(intervals: &[Interval]) -> Vec<(IntervalState, i64, i64)> {
    let hours = |us| (us - UTC_START) / HOUR;
    intervals.iter().map(|it| (it.state, hours(it.from_us), hours(it.to_us))).collect()
}

#[test]
fn two_sources_of_one_server_cover_together() {
    let mut ledger = Ledger::in_memory().unwrap();
    let window = |ledger: &Ledger| ledger.coverage(b"db1", at(0), at(20)).unwrap();
    assert_eq!(told(&window(&ledger)), [(Uncovered, 0, 20)]);
    add(&mut ledger, "/a.log", "/a.log.1", &log("db1", 2..=5).lines.concat());
    add(&mut ledger, "/a.log", "/a.log", &log("db1", 9..=12).lines.concat());
    add(&mut ledger, "/other.log", "/other.log", &log("db2", 0..=19).lines.concat());
    let found = window(&ledger);
    let parts = [
        (Uncovered, 0, 2),
        (Covered, 2, 5),
        (Unconfirmed, 5, 9),
        (Covered, 9, 12),
        (Uncovered, 12, 20),
    ];
    assert_eq!(told(&found), parts);
    assert!(found[2].reason.contains("nothing shows that /a.log goes on where /a.log.1 ends"));
    assert_eq!((&found[1].source[..], found[1].reason.as_str()), (&b"/a.log"[..], ""));
    // The same time from syslog.
    add(&mut ledger, "/b.log", "/b.log", &log("db1", 4..=8).lines.concat());
    let parts = [
        (Uncovered, 0, 2),
        (Covered, 2, 5),
        (Covered, 5, 8),
        (Unconfirmed, 8, 9),
        (Covered, 9, 12),
        (Uncovered, 12, 20),
    ];
    assert_eq!(told(&window(&ledger)), parts);
    // Only what lies in it.
    assert_eq!(told(&ledger.coverage(b"db1", at(10), at(11)).unwrap()), [(Covered, 10, 11)]);
    assert_eq!(ledger.coverage(b"db1", at(11), at(11)).unwrap(), []);
    let all = ledger.coverages(at(0), at(20)).unwrap();
    assert_eq!(all[&b"db1".to_vec()], window(&ledger));
    assert_eq!(told(&all[&b"db2".to_vec()]), [(Covered, 0, 19), (Uncovered, 19, 20)]);
}

#[test]
fn an_audit_that_was_switched_off_is_a_gap() {
    let mut ledger = Ledger::in_memory().unwrap();
    let mut text = log("db1", 0..=3).lines;
    let time = jiff::Timestamp::from_microsecond(at(4)).unwrap().strftime("%Y%m%d %H:%M:%S");
    text.push(format!(
        "{time},db1,root,localhost,14,7,QUERY,,'SET GLOBAL server_audit_logging=OFF',0\n"
    ));
    text.extend(log("db1", 6..=7).lines);
    add(&mut ledger, "/a.log", "/a.log", &text.concat());
    let found = ledger.coverage(b"db1", at(0), at(7)).unwrap();
    assert_eq!(told(&found), [(Covered, 0, 4), (Gap, 4, 6), (Covered, 6, 7)]);
    assert!(found[1].reason.starts_with("plugin off"), "{}", found[1].reason);
}

#[test]
fn a_log_without_logins_covers_none() {
    let mut ledger = Ledger::in_memory().unwrap();
    let queries = (0..5).map(|hour| line(at(hour), "db1", "app", "h", 4, "QUERY", 0));
    add(&mut ledger, "/q.log", "/q.log", &queries.collect::<String>());
    let found = ledger.coverage(b"db1", at(0), at(4)).unwrap();
    let states: Vec<IntervalState> = found.iter().map(|it| it.state).collect();
    assert_eq!((states, told(&found).len()), (vec![Unconfirmed], 1), "{found:?}");
    assert!(found[0].reason.starts_with("no connection is told of"));
}
