//! `doctor` without a server: what logs and ledger tell, and what they cannot.

use std::collections::BTreeMap;

use serde_json::Value;

use super::house::House;

const LOG: &str = "logs/server_audit.log";

/// A house with a log of the last three hours.
fn house() -> House {
    let house = House::new();
    house.write(
        "rollcall.toml",
        "[[server]]\nname = \"db1\"\ntime_zone = \"UTC\"\naudit_logs = [\"logs\"]\n",
    );
    let now = jiff::Timestamp::now().as_second();
    let mut lines = String::new();
    for at in (0..180).map(|minute| now - (180 - minute) * 60) {
        let stamp = jiff::Timestamp::from_second(at).unwrap().strftime("%Y%m%d %H:%M:%S");
        let id = at - now + 20_000;
        for kind in ["CONNECT", "DISCONNECT"] {
            lines += &format!("{stamp},db1,app,10.0.0.7,{id},0,{kind},shop,,0\n");
        }
    }
    house.write(LOG, lines);
    house.mode(LOG, 0o640);
    house
}

fn found(house: &House, arguments: &[&str]) -> BTreeMap<String, Value> {
    let rows = house.json(&[&["doctor", "--offline"], arguments].concat());
    let mut found = BTreeMap::new();
    for row in rows {
        // The worst stand first.
        found.entry(row["id"].as_str().unwrap().to_owned()).or_insert(row);
    }
    found
}

fn code(house: &House, condition: &str) -> i32 {
    let output = house.command(&["doctor", "--offline", "--fail-on", condition]).output().unwrap();
    output.status.code().unwrap()
}

#[test]
fn scans_permissions_and_secrets() {
    let house = house();
    house.scan(&[]);
    let well = found(&house, &[]);
    for id in ["scan-interval", "evidence-gaps", "log-silent", "log-permissions", "log-secrets"] {
        assert_eq!(well[id]["level"], "ok", "{:#}", well[id]);
    }
    assert_eq!(well["server"]["level"], "info");
    assert_eq!((code(&house, "warn"), code(&house, "rows")), (0, 1));

    let before = house.read(LOG).len();
    let stamp = jiff::Timestamp::now().strftime("%Y%m%d %H:%M:%S");
    house.append(
        LOG,
        format!(
            "{stamp},db1,app,10.0.0.7,30000,7,QUERY,shop,'SELECT PASSWORD(\\'Secret-1b\\')',0\n"
        ),
    );
    house.mode(LOG, 0o644);
    let bad = found(&house, &[]);
    let place = bad["log-secrets"]["place"].as_str().unwrap();
    assert!(place.ends_with(&format!("server_audit.log:{before}")), "{place}");
    assert_eq!(bad["log-permissions"]["level"], "warn");
    assert_eq!((code(&house, "warn"), code(&house, "error")), (1, 0));
    let output = house.command(&["doctor", "--offline"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains("Secret-1b"));
    // Nothing is looked through where that is not wanted.
    assert_eq!(found(&house, &["--secrets", "0"])["log-secrets"]["level"], "info");
}

#[test]
fn a_pause_between_two_scans_is_told() {
    let house = house();
    house.scan(&[]);
    // As if the first scan had been two days ago.
    let ledger = rusqlite::Connection::open(house.path("ledger.sqlite")).unwrap();
    let earlier = "UPDATE meta SET value = value - 172800000000 WHERE key = 'last_commit_us'";
    assert_eq!(ledger.execute(earlier, []).unwrap(), 1);
    drop(ledger);
    house.scan(&[]);
    let interval = &found(&house, &[])["scan-interval"];
    assert_eq!(interval["level"], "warn", "{interval:#}");
    let what = interval["what"].as_str().unwrap();
    assert!(what.starts_with("the longest time between two scans was 2 d, "), "{what}");
    assert_eq!(interval["remedy"], "*/15 * * * * rollcall scan");
}

#[test]
fn without_anything_it_says_what_it_does_not_know() {
    let house = House::new();
    let output = house.command(&["doctor", "--offline"]).output().unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout), @r#"
    this machine (not asked: from its logs and the ledger alone): 1 error · 2 to know · 0 checks in order
    error       scan-interval: its logs were never read
                what is rotated away before it is read is lost
                → rollcall scan
    info        server: the server was not asked: settings, clock, zone, rights and TLS are not known
                what may be wrong there is not known
                → rollcall doctor --defaults-file FILE
    info        log-files: none of its log files is on this machine, or known: permissions and secrets were not looked at
                what may be wrong there is not known
                → audit_logs = ["PATH"] for this [[server]] in rollcall.toml

    Nothing was changed. Each check: docs/doctor.md
    "#);
    assert_eq!(code(&house, "error"), 1);
}
