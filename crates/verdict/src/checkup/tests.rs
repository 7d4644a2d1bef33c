use super::*;
use crate::account::tests::snapshot;
use crate::account::{Account, AccountName, Missing};

const DAY: i64 = 86_400 * SECOND;
const HOUR: i64 = 3600 * SECOND;

/// What is changed for one case.
struct House {
    snapshot: Snapshot,
    variables: BTreeMap<String, String>,
    status: BTreeMap<String, String>,
    plugins: Vec<String>,
    clock_ahead: i64,
    offsets: Vec<Offset>,
    network: Option<Network>,
    last_read: Option<i64>,
    last_look: Option<i64>,
    longest_pause: Option<(i64, i64)>,
    newest: Option<i64>,
    traffic: Vec<Stretch>,
    uncovered: Vec<Uncovered>,
    files: Vec<LogFile>,
    unreadable: Vec<(String, String)>,
    secrets_bytes: u64,
}

const NOW: i64 = 100 * DAY;

/// A server and a machine at which nothing is lacking.
fn well() -> House {
    let snapshot = snapshot(vec![Account {
        name: AccountName::new("rollcall", "localhost"),
        global_rights: vec!["PROCESS".to_owned(), "SHOW VIEW".to_owned()],
        ..Account::default()
    }]);
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let variables = [
        ("server_audit_logging", "ON"),
        ("server_audit_events", "CONNECT,QUERY"),
        ("server_audit_output_type", "file"),
        ("server_audit_query_log_limit", "1024"),
        ("server_audit_excl_users", ""),
        ("server_audit_file_rotate_size", "100000000"),
        ("server_audit_file_rotations", "20"),
        ("system_time_zone", "CET"),
        ("log_bin", "ON"),
        ("binlog_format", "ROW"),
        ("binlog_row_image", "FULL"),
        ("binlog_row_metadata", "FULL"),
        ("binlog_annotate_row_events", "ON"),
        ("binlog_expire_logs_seconds", "1209600"),
        ("performance_schema", "ON"),
        ("thread_handling", "one-thread-per-connection"),
    ];
    House {
        snapshot,
        variables: variables.map(text).into(),
        status: [text(("server_audit_active", "ON"))].into(),
        plugins: vec!["SERVER_AUDIT".to_owned()],
        clock_ahead: 0,
        offsets: vec![Offset { at: NOW, server: 3600, read_in: 3600 }],
        network: None,
        last_read: Some(NOW - HOUR / 4),
        last_look: Some(NOW - HOUR / 4),
        longest_pause: Some((NOW - 9 * DAY, HOUR)),
        newest: Some(NOW - HOUR / 4),
        // 50 MB a day: 2 GB last for 40 days.
        traffic: vec![Stretch { from: NOW - 90 * DAY, to: NOW, bytes: 4_500_000_000 }],
        uncovered: Vec::new(),
        files: vec![file(0o640)],
        unreadable: Vec::new(),
        secrets_bytes: 1 << 20,
    }
}

fn file(mode: u32) -> LogFile {
    LogFile {
        path: "/var/lib/mysql/server_audit.log".to_owned(),
        is_live: true,
        mode: 0o100_000 | mode,
        bytes: 5000,
        modified: NOW,
        looked_at: 5000,
        is_partial: false,
        leaks: Vec::new(),
        further_leaks: 0,
    }
}

fn all(house: &House) -> Vec<Finding> {
    let server = Server {
        snapshot: &house.snapshot,
        variables: &house.variables,
        status: &house.status,
        plugins: &house.plugins,
        clock_ahead: house.clock_ahead,
        clock_error: 1000,
        zone: "Europe/Zurich",
        offsets: &house.offsets,
        network: house.network,
        option_file: Some("/etc/rollcall/db1.cnf"),
    };
    examine(Some(&server), &reading(house))
}

fn reading(house: &House) -> Reading<'_> {
    Reading {
        now: NOW,
        last_read: house.last_read,
        last_look: house.last_look,
        longest_pause: house.longest_pause,
        newest: house.newest,
        traffic: &house.traffic,
        uncovered: &house.uncovered,
        files: &house.files,
        unreadable: &house.unreadable,
        secrets_bytes: house.secrets_bytes,
    }
}

/// What is lacking.
fn lacks(house: &House) -> Vec<Finding> {
    all(house).into_iter().filter(|it| it.level > Level::Ok).collect()
}

/// Applies a change to a house that lacks nothing: exactly this is found then, and its remedy holds a text.
fn check(change: impl Fn(&mut House), id: &'static str, level: Level, remedy: &str) {
    let mut house = well();
    assert!(all(&house).iter().all(|it| it.level == Level::Ok), "{:#?}", lacks(&house));
    change(&mut house);
    let lacks = lacks(&house);
    let found: Vec<_> = lacks.iter().map(|it| (it.id, it.level)).collect();
    assert_eq!(found, [(id, level)], "{lacks:#?}");
    let told = lacks[0].remedy.as_deref().unwrap_or_default();
    assert!(told.contains(remedy) && told.is_empty() == remedy.is_empty(), "{id}: {told}");
    assert!(!lacks[0].cost.is_empty(), "{id}");
}

fn set(name: &'static str, value: &'static str) -> impl Fn(&mut House) {
    move |house| _ = house.variables.insert(name.to_owned(), value.to_owned())
}

fn count(name: &'static str, value: &'static str) -> impl Fn(&mut House) {
    move |house| _ = house.status.insert(name.to_owned(), value.to_owned())
}

#[test]
fn each_check_has_one_name_and_says_something() {
    let house = well();
    let mut ids: Vec<_> = all(&house).iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 26, "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 26, "{ids:?}");
}

#[test]
fn the_audit_log() {
    let error = Level::Error;
    check(|it| it.plugins.clear(), "audit-plugin", error, "rollcall setup audit");
    check(
        set("server_audit_logging", "OFF"),
        "audit-logging",
        error,
        "SET GLOBAL server_audit_logging = ON",
    );
    check(
        set("server_audit_events", "QUERY,TABLE"),
        "audit-events",
        error,
        "= 'CONNECT,QUERY,TABLE'",
    );
    check(count("server_audit_writes_failed", "3"), "audit-writes-failed", error, "df -h");
    check(count("server_audit_active", "OFF"), "audit-active", error, "server_audit_logging = ON");
    let info = Level::Info;
    let syslog = |it: &mut House| {
        set("server_audit_output_type", "syslog")(it);
        // Nothing is rotated, so nothing says how long it lasts.
        it.longest_pause = None;
    };
    check(syslog, "audit-output", info, "= 'file'");
    check(set("server_audit_events", "connect"), "audit-statements", info, "'CONNECT,QUERY'");
    check(set("server_audit_events", "CONNECT,QUERY_DML"), "audit-statements", info, "DML,QUERY'");
    check(set("server_audit_excl_users", "app"), "audit-statements", info, "excl_users = ''");
    check(set("server_audit_query_log_limit", "100"), "audit-statements", info, "= 1024");
    check(set("server_audit_timestamp_format", "%H:%M"), "audit-timestamp", error, "%Y%m%d");
    check(set("server_audit_file_buffer_size", "4096"), "audit-buffer", info, "= 0");
    // All events, no limit, a full form, no buffer.
    let mut house = well();
    for (name, value) in [
        ("server_audit_events", ""),
        ("server_audit_query_log_limit", "0"),
        ("server_audit_timestamp_format", "%F %T"),
        ("server_audit_file_buffer_size", "0"),
    ] {
        set(name, value)(&mut house);
    }
    assert_eq!(lacks(&house), []);
    // From 11.5 on the binlog tells.
    house.snapshot.version = Version::parse("11.8.2-MariaDB").unwrap();
    set("server_audit_events", "CONNECT")(&mut house);
    assert_eq!(lacks(&house), []);
}

#[test]
fn other_writers_of_logins() {
    let mysql = |it: &mut House| {
        it.snapshot.version = Version::parse("9.7.4").unwrap();
        it.plugins.clear();
    };
    check(mysql, "audit-plugin", Level::Error, "rollcall setup init-connect");
    let init_connect = |it: &mut House| {
        mysql(it);
        it.snapshot.has_init_connect = true;
    };
    check(init_connect, "audit-plugin", Level::Info, "");
    let foreign = |it: &mut House| {
        mysql(it);
        set("audit_log_file", "audit.log")(it);
    };
    check(foreign, "audit-plugin", Level::Error, "rollcall setup init-connect");
    let simple = |it: &mut House| it.plugins = vec!["SIMPLE_LOGIN_AUDIT".to_owned()];
    let off = |it: &mut House| {
        simple(it);
        set("simple_login_audit_enabled", "OFF")(it);
    };
    check(off, "audit-logging", Level::Error, "SET GLOBAL simple_login_audit_enabled = ON");
    let dropping = |it: &mut House| {
        simple(it);
        count("audit_login_dropped", "2")(it);
    };
    check(dropping, "audit-writes-failed", Level::Error, "df -h");
    let mut house = well();
    simple(&mut house);
    assert_eq!(lacks(&house), []);
}

#[test]
fn rotation_and_scans() {
    let busy = |it: &mut House| {
        // 200 MB an hour, for a day: 2 GB last for 10 hours.
        it.traffic = vec![Stretch { from: NOW - DAY, to: NOW, bytes: 4_800_000_000 }];
    };
    check(busy, "rotation", Level::Warn, "rotate_size = 240000000");
    let unknown = |it: &mut House| {
        it.traffic.clear();
        set("server_audit_file_rotate_size", "1000000")(it);
    };
    check(unknown, "rotation", Level::Warn, "rotate_size = 10000000");
    let mut house = well();
    house.traffic.clear();
    assert_eq!(lacks(&house), []);

    let read = |at: Option<i64>| move |it: &mut House| (it.last_read, it.last_look) = (at, at);
    check(read(None), "scan-interval", Level::Error, "rollcall scan");
    check(|it| it.last_look = Some(NOW - 21 * DAY), "scan-interval", Level::Warn, "*/15 * * * *");
    check(|it| it.last_look = Some(NOW - 41 * DAY), "scan-interval", Level::Error, "*/15 * * * *");
    let pause = |days: i64| move |it: &mut House| it.longest_pause = Some((NOW - DAY, days * DAY));
    check(pause(41), "scan-interval", Level::Error, "rollcall scan");
    check(pause(21), "scan-interval", Level::Warn, "rollcall scan");
    let mut house = well();
    pause(19)(&mut house);
    assert_eq!(lacks(&house), []);

    // 9 MB at 60 MB an hour last for 9 minutes: a scan of every quarter of an hour comes too late.
    let mut house = well();
    set("server_audit_file_rotate_size", "1000000")(&mut house);
    set("server_audit_file_rotations", "9")(&mut house);
    house.traffic = vec![Stretch { from: NOW - DAY, to: NOW, bytes: 24 * 60_000_000 }];
    let lacks = lacks(&house);
    let found: Vec<_> = lacks.iter().map(|it| (it.id, it.level, it.what.as_str())).collect();
    assert_eq!(
        found,
        [
            (
                "rotation",
                Level::Error,
                "9 rotated files of 1.0 MB hold 9 min at the highest rate seen"
            ),
            (
                "scan-interval",
                Level::Error,
                "the longest time between two scans was 60 min, 9 d ago; a log lasts 9 min at the highest rate seen"
            ),
        ]
    );
    assert_eq!(lacks[1].remedy.as_deref(), Some("*/3 * * * * rollcall scan"));

    // Something else rotates: what stands there tells.
    let others = |it: &mut House| {
        set("server_audit_file_rotations", "0")(it);
        let rotated = LogFile { is_live: false, modified: NOW - 3 * HOUR, ..file(0o640) };
        it.files.insert(0, rotated);
        it.longest_pause = Some((NOW - DAY, 4 * HOUR));
    };
    check(others, "scan-interval", Level::Error, "*/15 * * * *");
}

#[test]
fn clock_and_zone() {
    check(|it| it.clock_ahead = -3 * SECOND, "clock", Level::Warn, "timedatectl");
    check(|it| it.clock_ahead = 61 * SECOND, "clock", Level::Error, "timedatectl");
    // Two seconds, and a millisecond that may be the network's.
    let mut house = well();
    house.clock_ahead = 2 * SECOND + 1000;
    assert_eq!(lacks(&house), []);
    let other = |server: i32| {
        move |it: &mut House| {
            it.offsets = vec![Offset { at: NOW, server, read_in: 3600 }];
        }
    };
    check(other(0), "zone", Level::Error, "time_zone = \"UTC\"");
    check(other(-12_600), "zone", Level::Error, "time_zone = \"-03:30\"");
    let summer = |it: &mut House| it.offsets.push(Offset { at: 0, server: 3600, read_in: 7200 });
    check(summer, "zone", Level::Error, "time_zone = \"+01:00\"");
    check(|it| it.offsets.clear(), "zone", Level::Info, "system_time_zone");
}

#[test]
fn binlogs_and_what_else_tells() {
    let info = Level::Info;
    check(set("log_bin", "OFF"), "binlog", info, "log_bin = ON");
    check(set("encrypt_binlog", "ON"), "binlog", info, "");
    check(set("binlog_storage_engine", "innodb"), "binlog", info, "");
    check(set("binlog_format", "MIXED"), "binlog-format", Level::Warn, "= 'ROW'");
    check(set("binlog_row_image", "MINIMAL"), "binlog-row-image", info, "= 'FULL'");
    check(set("binlog_row_metadata", "NO_LOG"), "binlog-row-metadata", info, "= 'FULL'");
    check(set("binlog_annotate_row_events", "OFF"), "binlog-statements", info, "= ON");
    check(set("binlog_expire_logs_seconds", "86400"), "binlog-retention", info, "= 1209600");
    let days = |it: &mut House| {
        it.variables.remove("binlog_expire_logs_seconds");
        set("expire_logs_days", "1.000000")(it);
    };
    check(days, "binlog-retention", info, "expire_logs_days = 14");
    check(set("performance_schema", "OFF"), "performance-schema", info, "restart");
    check(set("thread_handling", "pool-of-threads"), "thread-pool", info, "");
    let mut house = well();
    set("binlog_expire_logs_seconds", "0")(&mut house);
    assert_eq!(lacks(&house), []);
}

#[test]
fn rights_and_tls() {
    let warn = Level::Warn;
    let missing = |it: &mut House| {
        it.snapshot.missing = vec![Missing {
            what: "locks".to_owned(),
            error: 1142,
            remedy: "GRANT SELECT ON mysql.global_priv TO rollcall".to_owned(),
        }];
    };
    check(missing, "rights-missing", warn, "GRANT SELECT ON mysql.global_priv");
    let rights = |rights: &'static [&'static str]| {
        move |it: &mut House| {
            it.snapshot.accounts[0].global_rights =
                rights.iter().map(|&it| it.to_owned()).collect();
        }
    };
    const ID: &str = "rights-too-many";
    check(rights(&["CREATE USER"]), ID, warn, "rollcall setup lock-procedure");
    check(rights(&["SELECT"]), ID, Level::Info, "REVOKE SELECT ON *.* FROM 'rollcall'@'localhost'");
    check(rights(&["INSERT", "SUPER"]), ID, warn, "REVOKE SUPER, INSERT ON *.*");
    check(
        rights(&["SUPER", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "FILE"]),
        ID,
        warn,
        "rollcall setup monitor",
    );
    let procedures = |it: &mut House| {
        rights(&["CREATE USER"])(it);
        it.snapshot.has_procedures = true;
    };
    check(procedures, ID, warn, "REVOKE CREATE USER ON *.*");
    let by_role = |it: &mut House| {
        let role = AccountName::new("dba", "");
        it.snapshot.accounts[0].roles = vec![role.clone()];
        it.snapshot.accounts.push(Account {
            name: role,
            is_role: true,
            global_rights: vec!["CREATE USER".to_owned(), "UPDATE".to_owned()],
            ..Account::default()
        });
    };
    check(by_role, ID, warn, "rollcall setup monitor");
    check(|it| it.snapshot.accounts.clear(), ID, Level::Info, "rollcall setup monitor");

    let network = |is_encrypted, is_verified| {
        move |it: &mut House| it.network = Some(Network { is_encrypted, is_verified })
    };
    check(network(false, false), "tls", Level::Error, "ssl-ca=");
    check(network(true, false), "tls", warn, "ssl-verify-server-cert");
    let mut house = well();
    network(true, true)(&mut house);
    assert_eq!(lacks(&house), []);
}

#[test]
fn evidence_and_log_files() {
    let gap = |length: i64| {
        move |it: &mut House| {
            let reason = "rotated away before it was read".to_owned();
            it.uncovered = vec![Uncovered { from: 0, to: length, reason }];
        }
    };
    check(gap(3 * DAY), "evidence-gaps", Level::Warn, "rollcall evidence");
    let mut house = well();
    gap(HOUR)(&mut house);
    assert_eq!(lacks(&house), []);
    let silent = |it: &mut House| it.newest = Some(NOW - 3 * DAY);
    check(silent, "log-silent", Level::Warn, "rollcall status");
    let elsewhere = |it: &mut House| {
        silent(it);
        count("server_audit_current_log", "/srv/audit.log")(it);
    };
    check(elsewhere, "log-silent", Level::Warn, "rollcall scan /srv/audit.log");

    let mode = |mode| move |it: &mut House| it.files = vec![file(mode)];
    check(mode(0o644), "log-permissions", Level::Warn, "chmod o= /var/lib/mysql/server_audit.log");
    let mut house = well();
    mode(0o660)(&mut house);
    assert_eq!(lacks(&house), []);
    check(mode(0o666), "log-permissions", Level::Error, "chmod");
    check(|it| it.files.clear(), "log-files", Level::Info, "audit_logs = [");
    let denied = |it: &mut House| {
        it.files.clear();
        it.unreadable = vec![("/var/lib/mysql".to_owned(), "permission denied".to_owned())];
    };
    check(denied, "log-files", Level::Info, "sudo rollcall doctor");
    check(|it| it.secrets_bytes = 0, "log-secrets", Level::Info, "--secrets");
    let quoted = LogFile { path: "/srv/it's.log".to_owned(), ..file(0o644) };
    check(
        move |it| it.files = vec![quoted.clone()],
        "log-permissions",
        Level::Warn,
        r"'/srv/it'\''s.log'",
    );
}

#[test]
fn secrets_are_told_by_their_place_and_counted() {
    let told = |leaks: u64, further_leaks| {
        let mut house = well();
        let leaks = (0..leaks).map(|byte| Leak { byte, kind: "the hash of a password" });
        house.files[0].leaks = leaks.collect();
        house.files[0].further_leaks = further_leaks;
        house.files[0].is_partial = true;
        lacks(&house)
    };
    assert_eq!(told(0, 0), []);
    let one = told(1, 0);
    let place = |it: &Finding| it.place.clone();
    assert_eq!(
        one.iter().map(place).collect::<Vec<_>>(),
        [Some("/var/lib/mysql/server_audit.log:0".to_owned()), None]
    );
    assert_eq!(
        one[1].what,
        "1 statements in 1 log file hold a secret (1 of them above); the newest 5.0 kB of 1 log \
         file looked through, not all of 1 of them (--secrets)"
    );
    // At the bound and above it.
    assert_eq!((told(10, 0).len(), told(11, 5).len()), (11, 11));
    let many = told(11, 5);
    assert_eq!(many[0].place.as_deref(), Some("/var/lib/mysql/server_audit.log:10"));
    assert!(many[10].what.starts_with("16 statements"), "{}", many[10].what);
}

#[test]
fn without_a_server_what_was_not_looked_at_is_told() {
    let house = well();
    let found = examine(None, &reading(&house));
    let lacking: Vec<_> = found.iter().filter(|it| it.level > Level::Ok).collect();
    assert_eq!(lacking.iter().map(|it| it.id).collect::<Vec<_>>(), ["server"]);
    let empty = examine(None, &Reading { now: NOW, ..Reading::default() });
    let ids: Vec<_> = empty.iter().map(|it| (it.id, it.level)).collect();
    assert_eq!(
        ids,
        [("scan-interval", Level::Error), ("server", Level::Info), ("log-files", Level::Info)]
    );
}

#[test]
fn what_an_upgrade_changes() {
    let found = |present: &str, target: &str, natives: usize| {
        let mut snapshot = well().snapshot;
        snapshot.version = Version::parse(present).unwrap();
        let native = |number: usize| Account {
            name: AccountName::new(format!("n{number}"), "%"),
            plugin: "mysql_native_password".to_owned(),
            ..Account::default()
        };
        snapshot.accounts.extend((0..natives).map(native));
        let found = upgrade(Some(&snapshot), target);
        found.into_iter().map(|it| (it.level, it.what)).collect::<Vec<_>>()
    };
    let lengths = |present: &str, target: &str| found(present, target, 0).len();
    assert_eq!(
        found("10.11.6-MariaDB", "10.11.14", 0),
        [(Level::Ok, "10.11.14 changes nothing here".to_owned())]
    );
    assert_eq!(lengths("10.11.6-MariaDB", "11.4"), 1);
    assert_eq!(lengths("10.11.6-MariaDB", "11.8"), 2);
    assert_eq!(lengths("10.11.6-MariaDB", "12.0.1"), 3);
    assert_eq!(lengths("12.3.1-MariaDB", "13.0.1"), 1);
    assert_eq!(lengths("8.0.40", "9.7"), 2);
    let native = found("8.0.40", "9.7", 7);
    assert_eq!(native.len(), 3);
    assert_eq!(
        native[0],
        (
            Level::Error,
            "'n0'@'%', 'n1'@'%', 'n2'@'%', 'n3'@'%', 'n4'@'%' and 2 more log in with \
         mysql_native_password, which is gone from 9.0 on"
                .to_owned()
        )
    );
    assert_eq!(found("8.0.40", "8.4", 1)[0].0, Level::Warn);
    // MariaDB keeps the plugin.
    assert!(found("10.11.6-MariaDB", "13.0.1", 1).iter().all(|it| it.0 == Level::Info));
    assert_eq!(upgrade(None, "11.8")[0].level, Level::Info);
    for (present, target, what) in [
        ("8.0.40", "11.8-MariaDB", "11.8-MariaDB is no version of MySQL"),
        ("8.0.40", "newest", "newest is no version of MySQL"),
        ("10.11.6-MariaDB", "10.6", "10.6 is older than what runs"),
    ] {
        assert_eq!(found(present, target, 0), [(Level::Info, what.to_owned())]);
    }
}
