//! conntracker's users: their configuration, their ledger, their query, their cron line.

use std::process::Stdio;

use insta::assert_snapshot;

use super::house::{House, session, sessions};

const INI: &str = "[default]\n\
    AuditLogPath = logs\n\
    SqlitePath = audit.sqlite\n\
    TimeFormatAudit = \"20060102 15:04:05\"\n\
    TimeFormatDB = \"2006-01-02 15:04:05-07:00\"\n\
    TimeLocation = Europe/Zurich\n\
    MaxWorkers = 4\n\
    LogLevel = ERROR\n";

/// What `sqlite3 audit.sqlite 'SELECT name, host, last_seen FROM Accounts'` prints, but for the
/// time of the last scan.
fn accounts(house: &House) -> String {
    let ledger = rusqlite::Connection::open(house.path("audit.sqlite")).unwrap();
    let mut query = ledger.prepare("SELECT name, host, last_seen FROM Accounts").unwrap();
    let rows = query.query_map([], |row| {
        let cell = |at| row.get::<_, String>(at);
        Ok(format!("{}|{}|{}\n", cell(0)?, cell(1)?, cell(2)?))
    });
    rows.unwrap().map(|row| row.unwrap()).collect()
}

/// The marker row, and the others.
fn split_marker(rows: &str) -> (String, String) {
    let (marker, rest): (Vec<&str>, Vec<&str>) =
        rows.lines().partition(|row| row.starts_with("mysql|localhost|"));
    (marker.join("\n"), rest.join("\n"))
}

fn old_ledger(house: &House) {
    let old = rusqlite::Connection::open(house.path("audit.sqlite")).unwrap();
    old.execute_batch(
        "CREATE TABLE Accounts(name TEXT, host TEXT, last_seen TIMESTAMP, PRIMARY KEY (name, host));
         INSERT INTO Accounts VALUES ('mysql', 'localhost', '2024-10-14 13:22:57+02:00'),
           ('root', 'localhost', '2024-10-14 13:23:57+02:00'),
           ('app', '10.0.0.1', '2024-10-13 09:11:57+02:00'),
           ('user1', 'example.com', '2024-10-13 09:11:57+02:00');",
    )
    .unwrap();
}

#[test]
fn the_old_ledger_goes_on_in_its_place() {
    let house = House::new();
    house.write("conntracker.ini", INI);
    house.write(
        "logs/server_audit.log",
        sessions(1..10) + &session("mysql", 10).replace("10.0.0.1", "localhost"),
    );
    old_ledger(&house);
    let scan = || {
        let mut command = house.command(&["scan", "--config", "conntracker.ini"]);
        command.env_remove("ROLLCALL_LEDGER");
        house.text(&command.output().unwrap())
    };
    // No PATH, no output.
    let before = jiff::Timestamp::now();
    assert_eq!(scan(), super::house::QUIET);
    let after = jiff::Timestamp::now();
    let (marker, rows) = split_marker(&accounts(&house));
    assert_snapshot!(rows, @r#"
    app|10.0.0.1|2026-11-01 00:09:00+01:00
    cms|10.0.0.1|2026-11-01 00:07:00+01:00
    etl|10.0.0.1|2026-11-01 00:08:00+01:00
    root|localhost|2024-10-14 13:23:57+02:00
    user1|example.com|2024-10-13 09:11:57+02:00
    "#);
    // The marker row is the time of the scan, in their form and zone.
    let time = marker.strip_prefix("mysql|localhost|").unwrap();
    let time = jiff::Zoned::strptime("%Y-%m-%d %H:%M:%S%:z", time).unwrap();
    let zurich = jiff::tz::TimeZone::get("Europe/Zurich").unwrap();
    assert_eq!(time.offset(), zurich.to_offset(time.timestamp()));
    let second = jiff::SignedDuration::from_secs(1);
    assert!(before - second <= time.timestamp() && time.timestamp() <= after);

    // The real logins of mysql@localhost are told by `seen` alone.
    let seen = |user: &str| {
        let seen =
            ["seen", "--ledger", "audit.sqlite", "--config", "conntracker.ini", "--user", user];
        house.json(&seen)
    };
    assert_eq!(seen("mysql")[0]["logins"], 1);
    assert_eq!(seen("mysql")[0]["last_seen"], "2026-10-31T23:10:00Z");
    // What was taken over has a last login, and no count.
    assert_eq!(seen("root")[0]["last_seen"], "2024-10-14T11:23:57Z");
    assert_eq!(seen("root")[0]["logins"], 0);

    assert_eq!(scan(), super::house::QUIET);
    assert_eq!(split_marker(&accounts(&house)).1, rows);
    house.append("logs/server_audit.log", session("app", 60));
    assert_eq!(scan(), super::house::QUIET);
    let rows = split_marker(&accounts(&house)).1;
    assert!(rows.contains("app|10.0.0.1|2026-11-01 01:00:00+01:00"), "{rows}");
}

#[test]
fn accounts_whose_last_login_alone_is_known_are_shown() {
    let house = House::new();
    house.write("conntracker.ini", INI);
    house.write("logs/server_audit.log", sessions(1..4));
    old_ledger(&house);
    let run = |arguments: &[&str]| {
        let all =
            ["--config", "conntracker.ini", "--ledger", "audit.sqlite", "--zone", "Europe/Zurich"];
        house.run(&[arguments, &all].concat())
    };
    assert_eq!(run(&["scan"]), super::house::QUIET);
    assert_snapshot!(run(&["seen"]), @r#"
    exit 0
    --- stdout
    5 rows, times in Europe/Zurich
    LAST LOGIN        USER   FROM         SERVER  LOGINS  REFUSED  LAST REFUSED  FIRST LOGIN       LAST ACTIVE
    2026-11-01 00:03  app    10.0.0.1     db1          1        0  –             2026-11-01 00:03  2026-11-01 00:03
    2026-11-01 00:02  etl    10.0.0.1     db1          1        0  –             2026-11-01 00:02  2026-11-01 00:02
    2026-11-01 00:01  cms    10.0.0.1     db1          1        0  –             2026-11-01 00:01  2026-11-01 00:01
    2024-10-14 13:23  root   localhost    –            –        0  –             –                 2024-10-14 13:23
    2024-10-13 09:11  user1  example.com  –            –        0  –             –                 2024-10-13 09:11
    --- stderr
    "#);
    let report = run(&["report"]);
    let (_, list) = report.split_once("LAST LOGIN").unwrap();
    assert_snapshot!(list.split_once("\n\n").unwrap().0, @r#"
            USER   FROM         SERVER  LOGINS  REFUSED
    2024-10-13 09:11  user1  example.com  –            –        0
    2024-10-14 13:23  root   localhost    –            –        0
    2026-11-01 00:01  cms    10.0.0.1     db1          1        0
    2026-11-01 00:02  etl    10.0.0.1     db1          1        0
    2026-11-01 00:03  app    10.0.0.1     db1          1        0
    "#);
}

#[test]
fn their_layout_of_time_is_kept() {
    let house = House::new();
    let ini = INI.replace("\"2006-01-02 15:04:05-07:00\"", "\"Mon 2 Jan 2006 3:04 PM MST\"");
    house.write("conntracker.ini", ini.replace("Europe/Zurich", "America/New_York"));
    house.write("logs/server_audit.log", session("app", 800));
    let mut command = house.command(&["scan", "--config", "conntracker.ini"]);
    assert!(command.env_remove("ROLLCALL_LEDGER").status().unwrap().success());
    assert_snapshot!(split_marker(&accounts(&house)).1, @"app|10.0.0.1|Sun 1 Nov 2026 1:20 PM EST");
}

#[test]
fn settings_that_cannot_be_meant_are_told() {
    let house = House::new();
    house.write("logs/server_audit.log", sessions(1..3));
    let with = |from: &str, to: &str| {
        house.write("conntracker.ini", INI.replace(from, to));
        house.run(&["scan", "--config", "conntracker.ini"])
    };
    assert_snapshot!(with("20060102 15:04:05", "02.01.06 15h"), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: conntracker.ini:4: TimeFormatAudit is "02.01.06 15h", which no server writes: it is left aside, times are recognised by their form
    "#);
    assert_snapshot!(with("AuditLogPath = logs\n", ""), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: conntracker.ini: AuditLogPath is not set: add it, or give PATH
    "#);
    assert_snapshot!(with("= logs", "= nowhere"), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: nowhere: no such file; check the path
    "#);
    assert_snapshot!(with("Europe/Zurich", "Europe/Zuerich"), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: conntracker.ini:6: TimeLocation: no time zone "Europe/Zuerich": write a name like Europe/Zurich, UTC, or an offset like +02:00
    "#);
    assert_eq!(with("LogLevel = ERROR", "LogLevel = ERROR\nFuture = 1"), super::house::QUIET);
    assert_snapshot!(with("ERROR", "DEBUG"), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: log times in Europe/Zurich, configured
    "#);
}

#[test]
fn a_second_run_says_who_is_active() {
    let house = House::new();
    house.write("conntracker.ini", INI);
    house.write("logs/server_audit.log", sessions(1..3));
    let arguments = ["scan", "-", "--config", "conntracker.ini", "--ledger", "audit.sqlite"];
    let mut first = house.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let holder = first.id().to_string();
    let lock = house.path("audit.sqlite.lock");
    while !std::fs::read_to_string(&lock).is_ok_and(|text| text == holder) {
        std::thread::yield_now();
    }
    let arguments = ["scan", "--config", "conntracker.ini", "--ledger", "audit.sqlite"];
    let text = house.run(&arguments);
    assert_snapshot!(text.replace(&holder, "FIRST"), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: audit.sqlite: another rollcall is writing to this ledger (process FIRST): try again when it has ended
    "#);
    drop(first.stdin.take());
    first.wait().unwrap();
}
