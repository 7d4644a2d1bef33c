//! How long counts are kept, and that it does not matter when they are made coarser: at once,
//! because an archived log is read late, or later, because time passes.

mod common;

use common::{Log, UTC_START, add_log, batch, checkpoint, difference, fresh, keeping, line};
use ledger::{Filter, Ledger};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// A login every five hours of so many days, and refusals of known and unknown names.
fn log(days: i64, failures_from: i64) -> Log {
    let mut log = Log::default();
    let mut id = 0;
    for at in (0..days * DAY).step_by(5 * HOUR as usize) {
        id += 2;
        let time = UTC_START + at;
        log.push(line(time, "db1", "app", "10.0.0.7", id, "CONNECT", 0));
        log.push(line(time + 1_000_000, "db1", "app", "10.0.0.7", id, "DISCONNECT", 0));
        if at >= failures_from * DAY {
            for (user, number) in [("app", 1), ("eve", 2), ("mallory", 3), ("trudy", 4)] {
                let id = id + 1;
                let refused = line(time, "db1", user, "10.0.0.7", id, "FAILED_CONNECT", 1045);
                let ended = line(time, "db1", user, "10.0.0.7", id, "DISCONNECT", 0);
                log.push(refused.repeat(number) + &ended);
            }
        }
    }
    log
}

fn empty() -> Log {
    Log::default()
}

#[test]
fn made_coarser_at_once_or_later_answers_are_the_same() {
    for (days, failures_from, strangers) in [(120, 0, 1000), (120, 0, 2), (450, 300, 1000)] {
        let folder = tempfile::tempdir().unwrap();
        let log = log(days, failures_from);
        let later = UTC_START + (days + 130) * DAY + 5;
        let keeping = |now| {
            let mut keeping = keeping(now);
            keeping.strangers_per_hour = strangers;
            keeping
        };
        let mut slow = Ledger::create(&folder.path().join("slow")).unwrap();
        add_log(&mut slow, keeping(UTC_START + days * DAY), "/log", &log);
        let fresh_periods = slow.periods(&Filter::default()).unwrap();
        assert!(fresh_periods.iter().any(|period| period.seconds == 3600));
        // Time passes, with a look at the log now and then.
        for day in (0..130).step_by(7) {
            add_log(&mut slow, keeping(UTC_START + (days + day) * DAY), "/none", &empty());
        }
        let mut at_once = Ledger::create(&folder.path().join("at once")).unwrap();
        add_log(&mut at_once, keeping(later), "/log", &log);
        for _ in (0..130).step_by(7) {
            add_log(&mut at_once, keeping(later), "/none", &empty());
        }
        for ledger in [&mut slow, &mut at_once] {
            add_log(ledger, keeping(later), "/log", &empty());
            add_log(ledger, keeping(later), "/none", &empty());
        }
        assert_eq!(difference(&slow, &at_once), "");
    }
}

#[test]
fn hours_become_days_and_days_go_while_totals_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
    let log = log(10, 0);
    let end = UTC_START + 10 * DAY;
    add_log(&mut ledger, keeping(end), "/log", &log);
    let all = Filter::default();
    let logins = |ledger: &Ledger| ledger.seen(&all).unwrap()[0].logins;
    let counted = |ledger: &Ledger| -> (u64, u64, Vec<u32>) {
        let periods = ledger.periods(&all).unwrap();
        let mut kinds: Vec<u32> = periods.iter().map(|period| period.seconds).collect();
        kinds.dedup();
        let sum = |count: fn(&ledger::Period) -> u64| periods.iter().map(count).sum();
        (sum(|period| period.logins), sum(|period| period.failures), kinds)
    };
    let at = |ledger: &mut Ledger, age: i64| {
        // Once a month, as ages grow by little more from one scan to the next.
        for age in (0..age).step_by(30).chain([age]) {
            add_log(ledger, keeping(end + age * DAY), "/log", &empty());
        }
    };
    let whole = logins(&ledger);
    assert_eq!(whole, 48);
    assert_eq!(counted(&ledger), (48, 480, vec![3600]));
    // The last hour becomes part of a day when that day ended 90 days ago.
    at(&mut ledger, 89);
    assert_eq!(counted(&ledger), (48, 480, vec![86_400, 3600]));
    at(&mut ledger, 90);
    assert_eq!(counted(&ledger), (48, 480, vec![86_400]));
    // Names are still there.
    assert_eq!(ledger.failures(&all).unwrap().len(), 4);
    at(&mut ledger, 399);
    let (logins_left, failures_left, _) = counted(&ledger);
    assert!((1..48).contains(&logins_left) && (1..480).contains(&failures_left));
    at(&mut ledger, 400);
    assert_eq!(counted(&ledger), (0, 0, vec![]));
    assert_eq!(logins(&ledger), whole);
    let seen = ledger.seen(&all).unwrap();
    assert_eq!(seen.len(), 1, "names that never logged in are forgotten");
    assert_eq!(seen[0].first_seen, Some(UTC_START));
    assert_eq!((seen[0].failures, ledger.runs(&all).unwrap().len()), (48, 0));
}

#[test]
fn connection_facts_are_bounded_by_number_and_age() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
    let log = log(30, 100);
    let now = UTC_START + 30 * DAY;
    for (keep, stored) in [(0, 0), (100, 100)] {
        let mut keeping = keeping(now);
        keeping.connections = keep;
        add_log(&mut ledger, keeping, &format!("/log{keep}"), &log);
        assert_eq!(ledger.status().unwrap().connections, stored);
    }
    // The newest of the 144 were kept; those that ended more than 30 days ago go.
    let active = ledger.seen(&Filter::default()).unwrap()[0].last_active;
    for (age, left) in [(20, true), (31, false)] {
        let mut keeping = keeping(now + age * DAY);
        keeping.connections = 100;
        add_log(&mut ledger, keeping, "/log", &empty());
        assert_eq!(ledger.status().unwrap().connections > 0, left);
    }
    assert_eq!(ledger.seen(&Filter::default()).unwrap()[0].last_active, active);
}

#[test]
fn beginnings_without_an_end_are_bounded_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
    // As a log without ends has them: 140,000 in all, 100,000 kept and some room.
    for part in 0..7 {
        let mut log = Log::default();
        for id in part * 20_000 + 1..=(part + 1) * 20_000 {
            let at = UTC_START + id as i64 * 1_000_000;
            log.push(line(at, "db1", "app", "10.0.0.7", id, "CONNECT", 0));
        }
        let mut keeping = keeping(UTC_START + DAY);
        keeping.connections = 10;
        add_log(&mut ledger, keeping, "/log", &log);
    }
    let kept = ledger.status().unwrap().connections;
    assert!((100_000..=135_000).contains(&kept), "{kept}");
    assert_eq!(ledger.seen(&Filter::default()).unwrap()[0].logins, 140_000);
}

#[test]
fn refusals_older_than_they_are_kept_are_not_stored() {
    for (age, rows) in [(399, 1), (400, 0)] {
        let mut log = Log::default();
        log.push(line(UTC_START, "db1", "app", "h", 4, "CONNECT", 0));
        log.push(line(UTC_START, "db1", "app", "h", 5, "FAILED_CONNECT", 1045));
        log.push(line(UTC_START, "db1", "eve", "h", 6, "FAILED_CONNECT", 1045));
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
        add_log(&mut ledger, keeping(UTC_START + (age + 1) * DAY), "/log", &log);
        let all = Filter::default();
        assert_eq!(ledger.failures(&all).unwrap().len(), 2 * rows, "{age}");
        assert_eq!(ledger.seen(&all).unwrap()[0].logins, 1);
    }
}

#[test]
fn a_clock_that_is_years_ahead_forgets_a_month_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
    let log = log(60, 0);
    let read = UTC_START + 60 * DAY;
    add_log(&mut ledger, keeping(read), "/log", &log);
    let before = ledger.periods(&Filter::default()).unwrap();
    let failures = ledger.failures(&Filter::default()).unwrap();
    // Wrong for two scans, then right; a day back does no harm either.
    for now in [read + 3650 * DAY, read + 3650 * DAY, read - DAY, read] {
        add_log(&mut ledger, keeping(now), "/none", &empty());
        assert_eq!(ledger.failures(&Filter::default()).unwrap(), failures);
        let periods = ledger.periods(&Filter::default()).unwrap();
        let logins = |of: &[ledger::Period]| of.iter().map(|period| period.logins).sum::<u64>();
        assert_eq!(logins(&periods), logins(&before));
    }
}

#[test]
fn the_lines_of_heads_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
    let ingest = ledger.ingest(keeping(UTC_START)).unwrap();
    let source = ingest.source(b"/log", b"", "server_audit").unwrap();
    let mut at = checkpoint("/log", 30);
    at.fingerprint.lines = vec![(10, [1; 8]), (20, [2; 8]), (30, [3; 8])];
    for _ in 0..1003 {
        ingest.checkpoint(None, source, &at).unwrap();
    }
    ingest.finish().unwrap();
    let ingest = ledger.ingest(keeping(UTC_START + DAY)).unwrap();
    ingest.finish().unwrap();
    let marks = ledger.ingest(keeping(UTC_START + DAY)).unwrap().marks(b"").unwrap();
    let cut = marks.iter().filter(|mark| mark.known.fingerprint.lines == [(10, [1; 8])]).count();
    let whole = marks.iter().filter(|mark| mark.known.fingerprint == at.fingerprint).count();
    assert_eq!((cut, whole), (3, 1000));
}

/// Reads a file of one login, at so many days; returns its number.
fn add_file(ledger: &mut Ledger, days: i64, location: &str, number: i64) -> i64 {
    let at = UTC_START + days * DAY;
    let ingest = ledger.ingest(keeping(at)).unwrap();
    let dialect = if location == "/syslog" { "server_audit_syslog" } else { "server_audit" };
    let source = ingest.source(location.as_bytes(), b"", dialect).unwrap();
    let text = line(at, "db1", "app", "10.0.0.7", number as u64, "CONNECT", 0);
    let mut mark = checkpoint(&format!("{location}.{number}"), text.len());
    mark.newest = Some(at);
    let file = ingest.checkpoint(None, source, &mark).unwrap();
    ingest.add(source, &batch(file, 0, &text)).unwrap();
    ingest.finish().unwrap();
    file
}

/// The files whose marks are there after a scan at so many days that finds these.
fn scanned(ledger: &mut Ledger, days: i64, found: &[i64]) -> Vec<i64> {
    let ingest = ledger.ingest(keeping(UTC_START + days * DAY)).unwrap();
    ingest.sighted(&found.iter().copied().collect()).unwrap();
    ingest.finish().unwrap();
    let ingest = ledger.ingest(keeping(UTC_START + days * DAY)).unwrap();
    ingest.marks(b"").unwrap().iter().map(|mark| mark.known.key).collect()
}

fn forgotten(ledger: &mut Ledger, label: &[u8]) -> Option<i64> {
    ledger.ingest(keeping(UTC_START)).unwrap().forgotten(label).unwrap()
}

#[test]
fn marks_of_files_that_are_gone_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
    let stays = add_file(&mut ledger, 0, "/log", 1);
    let goes = add_file(&mut ledger, 1, "/log", 2);
    let syslog = add_file(&mut ledger, 1, "/syslog", 3);
    let newer = add_file(&mut ledger, 2, "/syslog", 4);
    let newest = add_file(&mut ledger, 2, "/log", 5);
    let all = [stays, goes, syslog, newer, newest];
    assert_eq!(scanned(&mut ledger, 3, &all), all);
    // The one that is found now and then stays; gone is what nobody found for 400 days.
    for days in (10..=400).step_by(30).chain([403]) {
        assert_eq!(scanned(&mut ledger, days, &[stays]), all, "{days}");
    }
    assert_eq!(forgotten(&mut ledger, b""), None);
    let left = [stays, syslog, newer, newest];
    assert_eq!(scanned(&mut ledger, 404, &[stays]), left);
    // A clock change of some hours is no way in.
    assert_eq!(forgotten(&mut ledger, b""), Some(UTC_START + 3 * DAY));
    assert_eq!(forgotten(&mut ledger, b"other"), None);
    let holdings = ledger.holdings().unwrap();
    assert_eq!((holdings.files.len(), holdings.forgotten.len()), (4, 1));
    let covered = ledger.evidence(&Filter::default()).unwrap();
    assert_eq!(covered.iter().map(|row| row.records).sum::<u64>(), 4);
    // Its login counts as before.
    assert_eq!(ledger.seen(&Filter::default()).unwrap()[0].logins, 3);
    // The last of a source is never forgotten, however long it is gone.
    for days in (410..=900).step_by(30) {
        scanned(&mut ledger, days, &[]);
    }
    assert_eq!(scanned(&mut ledger, 901, &[]), [syslog, newer, newest]);
    assert_eq!(forgotten(&mut ledger, b""), Some(UTC_START + 3 * DAY));
}

#[test]
fn files_are_not_forgotten_after_a_month_whatever_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
    let files = [add_file(&mut ledger, 0, "/log", 1), add_file(&mut ledger, 0, "/log", 2)];
    let scan = |ledger: &mut Ledger, days: i64, found: &[i64]| {
        let mut keeping = keeping(UTC_START + days * DAY);
        (keeping.hour_days, keeping.day_days) = (1, 1);
        let ingest = ledger.ingest(keeping).unwrap();
        ingest.sighted(&found.iter().copied().collect()).unwrap();
        ingest.finish().unwrap();
        ledger.holdings().unwrap().files.len()
    };
    assert_eq!(scan(&mut ledger, 1, &files), 2);
    for days in [30, 60, 91] {
        assert_eq!(scan(&mut ledger, days, &[]), 2, "{days}");
    }
    assert_eq!(scan(&mut ledger, 92, &[]), 1);
}

#[test]
fn a_ledger_that_knows_of_no_sightings_begins_with_today() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(&fresh(folder.path())).unwrap();
    let files = [add_file(&mut ledger, 0, "/log", 1), add_file(&mut ledger, 0, "/log", 2)];
    for days in (10..=800).step_by(30) {
        add_log(&mut ledger, keeping(UTC_START + days * DAY), "/none", &empty());
        let db = rusqlite::Connection::open(ledger.path()).unwrap();
        db.execute_batch("DELETE FROM sighting; DELETE FROM forgotten").unwrap();
    }
    assert_eq!(scanned(&mut ledger, 801, &[])[..2], files);
}
