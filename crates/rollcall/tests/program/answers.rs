//! Questions to a ledger: windows, filters, forms, conditions.

use insta::assert_snapshot;

use super::house::{House, QUIET, session};

/// Logins in November 2026, refusals, a second server.
fn house() -> House {
    let house = House::new();
    let on = |day: u32, user: &str, id: u32| {
        session(user, id).replace("20261101", &format!("202611{day:02}"))
    };
    let refused = |day: u32, user: &str, host: &str, id: u32, error: u32| {
        format!(
            "202611{day:02} 12:00:00,db1,{user},{host},{id},0,FAILED_CONNECT,,,{error}\n\
             202611{day:02} 12:00:00,db1,{user},{host},{id},0,DISCONNECT,,,0\n"
        )
    };
    house.write(
        "server_audit.log",
        on(1, "app", 60)
            + &on(1, "old", 61)
            + &on(2, "app", 120)
            + &refused(3, "app", "10.0.0.1", 200, 1045)
            + &refused(3, "root", "203.0.113.9", 201, 1045)
            + &refused(3, "admin", "203.0.113.9", 202, 1045)
            + &refused(3, "", "10.0.0.2", 203, 1158)
            + &on(4, "app", 240),
    );
    house.write("other.log", on(2, "app", 10).replace("db1", "db2"));
    house.scan(&["server_audit.log", "other.log"]);
    house
}

#[test]
fn windows_count_what_lies_in_them() {
    let house = house();
    assert_snapshot!(house.run(&["seen"]), @r#"
    exit 0
    --- stdout
    6 rows, times in UTC
    LAST LOGIN        USER   FROM         SERVER  LOGINS  REFUSED  LAST REFUSED             FIRST LOGIN       LAST ACTIVE
    2026-11-04 04:00  app    10.0.0.1     db1          3        1  2026-11-03 12:00 (1045)  2026-11-01 01:00  2026-11-04 04:00
    2026-11-02 00:10  app    10.0.0.1     db2          1        0  –                        2026-11-02 00:10  2026-11-02 00:10
    2026-11-01 01:01  old    10.0.0.1     db1          1        0  –                        2026-11-01 01:01  2026-11-01 01:01
    –                 ''     10.0.0.2     db1          0        1  2026-11-03 12:00 (1158)  –                 –
    –                 admin  203.0.113.9  db1          0        1  2026-11-03 12:00 (1045)  –                 –
    –                 root   203.0.113.9  db1          0        1  2026-11-03 12:00 (1045)  –                 –
    --- stderr
    "#);
    let window = ["seen", "--server", "db1", "--since", "2026-11-02", "--until", "2026-11-04"];
    assert_snapshot!(house.run(&window), @r#"
    exit 0
    --- stdout
    4 rows, times in UTC
    LAST LOGIN        USER   FROM         SERVER  LOGINS  REFUSED  LAST REFUSED             FIRST LOGIN       LAST ACTIVE
    2026-11-04 04:00  app    10.0.0.1     db1          1        1  2026-11-03 12:00 (1045)  2026-11-01 01:00  2026-11-04 04:00
    –                 ''     10.0.0.2     db1          0        1  2026-11-03 12:00 (1158)  –                 –
    –                 admin  203.0.113.9  db1          0        1  2026-11-03 12:00 (1045)  –                 –
    –                 root   203.0.113.9  db1          0        1  2026-11-03 12:00 (1045)  –                 –
    counted from 2026-11-02 00:00 to 2026-11-04 00:00: counts are kept per hour, old ones per day
    First and last logins are those of all time, not of the window
    --- stderr
    "#);
    assert_snapshot!(house.run(&["seen", "--until", "2026-11-01", "--server", "db2"]), @r#"
    exit 0
    --- stdout
    Nothing seen.
    Accounts that never logged in leave no line in a log and cannot appear here: rollcall unused asks the server for them
    counted before 2026-11-01 00:00: counts are kept per hour, old ones per day
    --- stderr
    "#);
    let zurich = ["--zone", "Europe/Zurich", "--user", "old"];
    assert_snapshot!(house.run(&[&["seen"][..], &zurich].concat()), @r#"
    exit 0
    --- stdout
    1 row, times in Europe/Zurich
    LAST LOGIN        USER  FROM      SERVER  LOGINS  REFUSED  LAST REFUSED  FIRST LOGIN       LAST ACTIVE
    2026-11-01 02:01  old   10.0.0.1  db1          1        0  –             2026-11-01 02:01  2026-11-01 02:01
    --- stderr
    "#);
    assert_snapshot!(house.run(&["seen", "--since", "2026-11-04", "--until", "2026-11-02"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: --since is not before --until: swap the two
    "#);
}

#[test]
fn who_is_idle() {
    let house = house();
    let rows = house.json(&["seen", "--idle-for", "1d"]);
    assert!(rows.iter().all(|row| row["logins"] != 0));
    let text = house.run(&["seen", "--idle-for", "36500d"]);
    assert!(text.contains("\nNothing is stale.\n"), "{text}");
    // Where the logs end before that time everybody is idle: it must be said.
    let log = session("app", 1).replace("20261101", "20250101");
    let ended = House::new();
    ended.write("server_audit.log", log);
    ended.scan(&["server_audit.log"]);
    assert_snapshot!(ended.run(&["seen", "--idle-for", "7d"]), @r#"
    exit 0
    --- stdout
    1 stale row, times in UTC
    LAST LOGIN        USER  FROM      SERVER  LOGINS  REFUSED  LAST REFUSED  FIRST LOGIN       LAST ACTIVE
    2025-01-01 00:01  app   10.0.0.1  db1          1        0  –             2025-01-01 00:01  2025-01-01 00:01
    Stale: seen once, no sign of a session for 7 d, from logs alone (the newest record is from 2025-01-01 00:01). Accounts that never logged in leave no line in a log and cannot appear here: rollcall unused asks the server for them
    The logs end before that time, so nobody can show up: read newer logs first (rollcall scan)
    --- stderr
    "#);
}

#[test]
fn servers_that_nobody_knows() {
    let house = house();
    assert_snapshot!(house.run(&["seen", "--server", "db9"]), @r#"
    exit 0
    --- stdout
    Nothing seen.
    Accounts that never logged in leave no line in a log and cannot appear here: rollcall unused asks the server for them
    --- stderr
    rollcall: nothing was read of db9: the ledger knows db1, db2
    "#);
    assert_eq!(house.json(&["failures", "--server", "db2"]).len(), 0);
}

#[test]
fn a_told_server_goes_before_the_recorded_one() {
    let house = House::new();
    house.write("server_audit.log", session("app", 1));
    house.scan(&["server_audit.log", "--server", "shop-1"]);
    let rows = house.json(&["seen"]);
    assert_eq!((rows.len(), &rows[0]["server"]), (1, &"shop-1".into()));
    house.write(
        "rollcall.toml",
        "[[server]]\nname = 'db7'\ngroup = 'shop'\naudit_logs = ['server_audit.log']\n\
         time_zone = 'Asia/Tokyo'\n[[server]]\nname = 'db8'\ngroup = 'web'\n",
    );
    house.scan(&["--ledger", "configured.sqlite"]);
    let of = |group: &str| {
        house.json(&["seen", "--group", group, "-q", "--ledger", "configured.sqlite"])
    };
    assert_eq!(of("shop")[0]["server"], "db7");
    assert_eq!(of("shop")[0]["last_seen"], "2026-10-31T15:01:00Z");
    assert_eq!(of("web").len(), 0);
}

#[test]
fn failures_by_what_is_asked() {
    let house = house();
    assert_snapshot!(house.run(&["failures"]), @r#"
    exit 0
    --- stdout
    4 rows, times in UTC
    LAST              USER   FROM         SERVER  TRIES  KIND            ERROR  FIRST             THEN LOGGED IN
    2026-11-03 12:00  ''     10.0.0.2     db1         1  no-credentials   1158  2026-11-03 12:00  no
    2026-11-03 12:00  admin  203.0.113.9  db1         1  access-denied    1045  2026-11-03 12:00  no
    2026-11-03 12:00  app    10.0.0.1     db1         1  access-denied    1045  2026-11-03 12:00  YES: 2026-11-04 04:00
    2026-11-03 12:00  root   203.0.113.9  db1         1  access-denied    1045  2026-11-03 12:00  no
    --- stderr
    "#);
    assert_snapshot!(house.run(&["failures", "--by", "network", "-o", "csv"]), @r#"
    exit 0
    --- stdout
    network,count,hosts,names,first,last,kind,health_check,then_logged_in,then_user
    10.0.0.0/24,2,2,1,2026-11-03T12:00:00Z,2026-11-03T12:00:00Z,access-denied,false,2026-11-04T04:00:00Z,app
    203.0.113.0/24,2,1,2,2026-11-03T12:00:00Z,2026-11-03T12:00:00Z,access-denied,false,,
    --- stderr
    "#);
    assert_snapshot!(house.run(&["failures", "--by", "user"]), @r#"
    exit 0
    --- stdout
    4 users, times in UTC
    USER   TRIES  HOSTS  FIRST             LAST              THEN LOGGED IN
    ''         1      1  2026-11-03 12:00  2026-11-03 12:00  no name sent
    admin      1      1  2026-11-03 12:00  2026-11-03 12:00  no
    app        1      1  2026-11-03 12:00  2026-11-03 12:00  YES: from 10.0.0.1 at 2026-11-04 04:00
    root       1      1  2026-11-03 12:00  2026-11-03 12:00  no
    --- stderr
    "#);
    house.write("rollcall.toml", "health_checks = ['10.0.0.0/24']\n");
    assert_snapshot!(house.run(&["failures", "--by", "host", "-o", "json"]), @r#"
    exit 0
    --- stdout
    {"host":"203.0.113.9","count":2,"names":2,"first":"2026-11-03T12:00:00Z","last":"2026-11-03T12:00:00Z","kind":"access-denied","health_check":false,"then_logged_in":null,"then_user":null}
    {"host":"10.0.0.1","count":1,"names":1,"first":"2026-11-03T12:00:00Z","last":"2026-11-03T12:00:00Z","kind":"access-denied","health_check":false,"then_logged_in":"2026-11-04T04:00:00Z","then_user":"app"}
    {"host":"10.0.0.2","count":1,"names":0,"first":"2026-11-03T12:00:00Z","last":"2026-11-03T12:00:00Z","kind":"no-credentials","health_check":true,"then_logged_in":null,"then_user":null}
    --- stderr
    "#);
}

#[test]
fn forms_for_programs() {
    let house = house();
    assert_snapshot!(house.run(&["seen", "--user", "app", "-o", "csv"]), @r#"
    exit 0
    --- stdout
    server,user,host,first_seen,last_seen,last_active,logins,failures,last_failed,last_error,contested
    db1,app,10.0.0.1,2026-11-01T01:00:00Z,2026-11-04T04:00:00Z,2026-11-04T04:00:05Z,3,1,2026-11-03T12:00:00Z,1045,false
    db2,app,10.0.0.1,2026-11-02T00:10:00Z,2026-11-02T00:10:00Z,2026-11-02T00:10:05Z,1,0,,,false
    --- stderr
    "#);
    assert_snapshot!(house.run(&["seen", "--user", "app", "--server", "db1", "-o", "json"]), @r#"
    exit 0
    --- stdout
    {"server":"db1","user":"app","host":"10.0.0.1","first_seen":"2026-11-01T01:00:00Z","last_seen":"2026-11-04T04:00:00Z","last_active":"2026-11-04T04:00:05Z","logins":3,"failures":1,"last_failed":"2026-11-03T12:00:00Z","last_error":1045,"contested":false}
    --- stderr
    "#);
    let status = house.json(&["status"]);
    assert!(!status.is_empty());
    let evidence = house.json(&["evidence"]);
    assert_eq!(evidence.len(), 2);
    assert_eq!(evidence[0]["from"], "2026-11-01T01:00:00Z");
}

#[test]
fn conditions_end_with_1() {
    let house = house();
    let code = |arguments: &[&str]| house.command(arguments).output().unwrap().status.code();
    assert_eq!(code(&["seen", "--fail-on", "rows"]), Some(1));
    assert_eq!(code(&["seen", "--fail-on", "rows", "--user", "nobody"]), Some(0));
    assert_eq!(code(&["seen", "--fail-on", "doubt"]), Some(0));
    assert_eq!(code(&["seen", "--fail-on", "gap"]), Some(0));
    house.append("server_audit.log", "what is this\n");
    assert_eq!(code(&["scan", "server_audit.log", "--fail-on", "doubt"]), Some(1));
    assert_eq!(code(&["scan", "server_audit.log", "nosuch.log", "--fail-on", "doubt"]), Some(3));
    assert_eq!(code(&["seen", "--fail-on", "gap", "--fail-on", "doubt"]), Some(1));
    // Doubt is named on standard error, and by -q it is not.
    assert!(house.run(&["seen"]).ends_with("rollcall: 1 line rejected: see rollcall evidence\n"));
    assert!(house.run(&["seen", "-q"]).ends_with("--- stderr\n"));
}

#[test]
fn a_reader_that_leaves_early_is_success() {
    let house = House::new();
    let many: String = (0..3000).map(|id| session(&format!("user{id}"), id)).collect();
    house.write("server_audit.log", many);
    house.scan(&["server_audit.log"]);
    for form in ["table", "json", "csv"] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut seen = house.command(&["seen", "-o", form]);
        let seen = seen.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(&mut reader, &mut [0; 10]).unwrap();
        drop(reader);
        let output = seen.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{form}");
    }
}

#[test]
fn a_report_needs_no_set_up_and_leaves_nothing() {
    let house = House::new();
    house.write("server_audit.log", session("app", 1) + &session("app", 61));
    let text = house.run(&["report", "server_audit.log"]);
    assert_snapshot!(text, @r#"
    exit 0
    --- stdout
    1 audit file, 228 B, 2026-11-01 (UTC, this machine's zone), read in under 0.1 s
    1 user from 1 host · 2 logins · 0 refused

    logins per hour  ██
    most in one bar: 1 from 2026-11-01 00:00

    oldest last logins first, times in UTC
    LAST LOGIN        USER  FROM      LOGINS  REFUSED
    2026-11-01 01:01  app   10.0.0.1       2        0

    logins      db1 2
    accounts    app 2
    hosts       10.0.0.1 2

    Accounts that never logged in leave no line in a log and cannot appear here: rollcall unused asks the server for them
    Who has been silent for a week: rollcall seen --idle-for 7d (logs span 60 min)
    --- stderr
    "#);
    assert!(!house.path("ledger.sqlite").exists());
    assert_eq!(house.run(&["report", "server_audit.log", "--html", "r.html"]), QUIET);
    let page = String::from_utf8(house.read("r.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<td>app</td>"));
}

/// A terminal is made by `script`.
#[test]
fn tables_fit_the_terminal() {
    let house = house();
    let on_terminal = |size: &str, arguments: &[&str]| {
        let command = house.command(arguments);
        let program = command.get_program().to_str().unwrap();
        let line = format!("stty {size} && exec '{program}' {}", arguments.join(" "));
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(house.folder());
        script.env("TZ", "UTC").env("ROLLCALL_LEDGER", "ledger.sqlite");
        let output = script.stdin(std::process::Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", house.text(&output));
        String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
    };
    let seen = ["seen", "--config", "rollcall.toml"];
    assert_snapshot!(on_terminal("rows 24 cols 60", &seen), @r#"
    6 rows, times in UTC
    LAST LOGIN        USER   FROM         LOGINS  REFUSED
    2026-11-04 04:00  app    10.0.0.1          3        1
    2026-11-02 00:10  app    10.0.0.1          1        0
    2026-11-01 01:01  old    10.0.0.1          1        0
    –                 ''     10.0.0.2          0        1
    –                 admin  203.0.113.9       0        1
    –                 root   203.0.113.9       0        1
    (no room for LAST ACTIVE, FIRST LOGIN, LAST REFUSED, SERVER)
    "#);
    for (size, width) in [("rows 24 cols 60", 60), ("rows 50 cols 100", 100), ("rows 0 cols 0", 80)]
    {
        for command in ["seen", "failures", "evidence", "status", "report"] {
            let text = on_terminal(size, &[command, "--config", "rollcall.toml"]);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!((width / 2..=width).contains(&widest), "{command}: {widest}\n{text}");
        }
    }
}
