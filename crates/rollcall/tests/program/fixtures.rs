//! Logs of a real MariaDB, scanned, against what was really done there.
//!
//! `.expected` was written from the client's side, so it is no reading of the log. Where the two
//! differ each difference stands below, with its reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::house::{Counts, House, count, name};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/mariadb-10.11")
}

/// Scenarios whose log tells less, or more, than was done: the reason, and every difference.
const EXCEPTIONS: &[(&str, &str, &[&str])] = &[
    (
        "disk-full",
        "the server dropped records while the disk was full, and the one that stands on the cut line \
         is quarantined",
        &["quarantined 1", "logins app@127.0.0.5: 75 of 79", "logins app@127.0.0.6: 2 of 3"],
    ),
    (
        "forged",
        "names that make every physical line a whole record: no login that they forge counts; a true \
         one that stands close behind a long name is contested with them. Refusals are counted as the lines \
         say. Names that do not come out even are quarantined",
        &[
            "rejected 4",
            "quarantined 5",
            "logins app@127.0.0.5: 1 of 2",
            "failures €x44@127.0.0.66 1045: 1 of 2",
            r"failures root,10.9.8.7,330,0,CONNECT,mysql,,0\r@127.0.0.66 1045: 0 of 1",
            r"failures u,h,9,0,DISCONNECT,,,0\n20261120 10:04:51,db1,root,10.9.8.7,78,0,CONNECT,,,0\n20261120 10:04:51,db1,x@127.0.0.66 1045: 0 of 1",
            r"failures victim,10.0.0.9,4242,0,CONNECT,shop,,0\n20261120 10:04:51,db1,x@127.0.0.66 1045: 0 of 1",
            "failures x@127.0.0.66 1045: 2 of 0",
            "failures x@h 1045: 2 of 0",
            r"failures x,h,331,0,FAILED_CONNECT,,,1045\n20261120 10:04:51,db1,root,10.9.8.7,332,0,CONNECT,,,0\n20261120 10:04:51,db1,y@127.0.0.66 1045: 0 of 1",
            r"failures x\n20261120 10:04:51,db1,root,10.9.8.7,77,0,CONNECT,mysql,,0\nz@127.0.0.66 1045: 0 of 1",
            "failures y@127.0.0.66 1045: 1 of 0",
        ],
    ),
    (
        "forged-with-password",
        "the same with the name of a database and with a refused change of user",
        &[
            "quarantined 2",
            "failures x@h 1045: 1 of 0",
            r"failures x,h,1,0,CHANGEUSER,,,1045\n20261120 10:04:51,db1,root,10.9.8.7,99,0,CONNECT,,,0\n20261120 10:04:51,db1,y@127.0.0.66 1045: 0 of 1",
            "failures y@127.0.0.66 1045: 1 of 0",
        ],
    ),
    (
        "hostile-databases",
        "a database whose name has a line break splits the record of one login; another makes whole \
         lines, as in `forged`",
        &["rejected 4", "quarantined 6", "logins app@127.0.0.5: 8 of 9"],
    ),
    (
        "hostile-names",
        "names with a line break, or with what could be the middle of a record: quarantined, and \
         nobody else's logins or failures",
        &[
            "quarantined 18",
            "logins 20261120 07:18:43,db1,root,localhost,1,0,CONNECT,,,0@127.0.0.5: 0 of 1",
            "logins a,10.0.0.9,4242,0,CONNECT,shop,@127.0.0.5: 0 of 1",
            "logins a,10.0.0.9,4242,0,CONNECT,shop,,0@127.0.0.5: 0 of 1",
            r"logins line\nbreak@127.0.0.5: 0 of 1",
            "logins root,localhost,7,0,DISCONNECT,,,0@127.0.0.5: 0 of 1",
            "failures 20261120 07:18:43,db1,root,localhost,1,0,CONNECT,,,0@127.0.0.6 1045: 0 of 1",
            r"failures line\nbreak@127.0.0.6 1045: 0 of 1",
            "failures root,localhost,7,0,DISCONNECT,,,0@127.0.0.6 1045: 0 of 1",
        ],
    ),
    (
        "hostile-tables",
        "the session was open before the log began; a table's name makes a whole line, as in `forged`",
        &["rejected 1", "quarantined 12", "logins app@127.0.0.5: 0 of 1"],
    ),
    (
        "hostile-unknown-names",
        "a name with a line break is quarantined",
        &["quarantined 2", r"failures a\nz@127.0.0.5 1045: 0 of 1"],
    ),
    ("long-statements", "server_audit_events left CONNECT out", &["logins app@127.0.0.5: 0 of 1"]),
    (
        "rotation-lost",
        "the server deleted its oldest file before anybody read it",
        &[
            "logins app@127.0.0.5: 7 of 14",
            "logins app@127.0.0.6: 7 of 13",
            "logins app@127.0.0.7: 7 of 13",
        ],
    ),
    ("statements", "server_audit_events left CONNECT out", &["logins app@127.0.0.5: 0 of 1"]),
    ("syslog-rfc3339", SYSLOG, SYSLOG_DIFFERENCES),
    ("syslog-traditional", SYSLOG, SYSLOG_DIFFERENCES),
];

const SYSLOG: &str = "the last sessions ran with an info text that holds a comma, which could belong to \
    a name; and a name has a line break";

const SYSLOG_DIFFERENCES: &[&str] = &[
    "quarantined 16",
    "logins app@127.0.0.5: 2 of 3",
    "logins com,ma@127.0.0.5: 2 of 3",
    r"logins line\nbreak@127.0.0.5: 0 of 3",
    "failures app@127.0.0.6 1045: 2 of 3",
];

/// What scanning a scenario's log gives, held against what was done.
fn differences(scenario: &str) -> Vec<String> {
    let house = House::new();
    let mut arguments = vec!["scan".to_owned(), "-q".to_owned(), "--time-zone".to_owned()];
    arguments.push(if scenario.starts_with("clock") { "Europe/Zurich" } else { "UTC" }.to_owned());
    arguments.push(folder().join(format!("{scenario}.log*")).to_str().unwrap().to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert_eq!(house.command(&arguments).status().unwrap().code(), Some(0), "{scenario}");

    let (rejected, quarantined) = house.doubts();
    let mut differences = Vec::new();
    for (state, records) in [("rejected", rejected), ("quarantined", quarantined)] {
        if records > 0 {
            differences.push(format!("{state} {records}"));
        }
    }
    let (done_logins, done_failures) = done(scenario);
    compare("logins", &house.logins(), &done_logins, &mut differences);
    compare("failures", &failures(&house), &done_failures, &mut differences);
    differences
}

fn compare(what: &str, found: &Counts, done: &Counts, differences: &mut Vec<String>) {
    let keys: BTreeSet<_> = found.keys().chain(done.keys()).collect();
    for key in keys {
        let of = |counts: &Counts| counts.get(key).copied().unwrap_or(0);
        if of(found) != of(done) {
            let (user, host) = key;
            let user = user.replace(&r"\xe2\x82\xac".repeat(44), "€x44");
            differences.push(format!("{what} {user}@{host}: {} of {}", of(found), of(done)));
        }
    }
}

/// Logins and refused attempts, those with their error behind the host.
fn done(scenario: &str) -> (Counts, Counts) {
    let (mut logins, mut failures) = (Counts::new(), Counts::new());
    let text = fs::read_to_string(folder().join(format!("{scenario}.expected"))).unwrap();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let deed: Value = serde_json::from_str(line).unwrap();
        let (user, host) = (name(&deed, "user"), name(&deed, "host"));
        let error = deed["error"].as_u64().unwrap_or(0);
        match deed["op"].as_str().unwrap() {
            "connect" | "changeuser" if error == 0 => {
                *logins.entry((user, host)).or_default() += 1;
            }
            "failed" | "refused" | "changeuser" => {
                *failures.entry((user, format!("{host} {error}"))).or_default() += 1;
            }
            _ => {}
        }
    }
    (logins, failures)
}

fn failures(house: &House) -> Counts {
    let mut failures = Counts::new();
    for row in house.json(&["failures", "-q"]) {
        let host = format!("{} {}", name(&row, "host"), row["error"]);
        *failures.entry((name(&row, "user"), host)).or_default() += count(&row, "count");
    }
    failures
}

#[test]
fn what_was_done_is_what_is_counted() {
    let mut scenarios: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".expected").map(str::to_owned)
        })
        .collect();
    scenarios.sort();
    assert!(scenarios.len() > 30);
    let mut wrong = String::new();
    for scenario in scenarios {
        let found = differences(&scenario);
        let expected = EXCEPTIONS.iter().find(|it| it.0 == scenario).map_or(&[][..], |it| it.2);
        if found != expected {
            wrong += &format!("{scenario}:\n    {}\n", found.join("\n    "));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
