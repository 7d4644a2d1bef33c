use super::*;
use crate::account::{Account, AccountName, Missing};

const DAY: i64 = 86_400_000_000;

struct House {
    snapshot: Snapshot,
    variables: BTreeMap<String, String>,
    status: BTreeMap<String, String>,
    plugins: Vec<String>,
    clock_ahead: i64,
    network: Option<bool>,
}

/// A server at which nothing is wrong.
fn well() -> House {
    let snapshot = Snapshot {
        version: Version::parse("10.11.6-MariaDB").unwrap(),
        hostname: b"db1".to_vec(),
        server_uuid: String::new(),
        at: 0,
        started: None,
        own: AccountName::new("rollcall", "localhost"),
        skip_name_resolve: false,
        read_only: false,
        is_replica: false,
        has_init_connect: false,
        has_procedures: true,
        accounts: vec![Account {
            name: AccountName::new("rollcall", "localhost"),
            ..Account::default()
        }],
        activity: Vec::new(),
        missing: Vec::new(),
    };
    let variables = [
        ("server_audit_logging", "ON"),
        ("server_audit_events", "CONNECT,QUERY"),
        ("server_audit_file_rotate_size", "100000000"),
        ("server_audit_file_rotations", "20"),
        ("system_time_zone", "UTC"),
        ("log_bin", "ON"),
        ("binlog_format", "ROW"),
        ("binlog_row_metadata", "FULL"),
        ("binlog_annotate_row_events", "ON"),
        ("binlog_expire_logs_seconds", "864000"),
        ("performance_schema", "ON"),
    ];
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    House {
        snapshot,
        variables: variables.map(text).into(),
        status: [text(("server_audit_active", "ON"))].into(),
        plugins: vec!["SERVER_AUDIT".to_owned()],
        clock_ahead: 0,
        network: Some(true),
    }
}

fn read_well() -> Reading<'static> {
    Reading {
        now: 100 * DAY,
        last_read: Some(100 * DAY - 900_000_000),
        bytes_a_day: Some(50_000_000),
        uncovered: &[],
        files: &[],
    }
}

fn found(house: &House, reading: &Reading<'_>) -> Vec<(&'static str, Level)> {
    let server = Server {
        snapshot: &house.snapshot,
        variables: &house.variables,
        status: &house.status,
        plugins: &house.plugins,
        clock_ahead: house.clock_ahead,
        zone: "UTC",
        network: house.network,
    };
    examine(Some(&server), reading).iter().map(|it| (it.id, it.level)).collect()
}

#[test]
fn a_server_that_lacks_nothing_is_told_nothing() {
    assert_eq!(found(&well(), &read_well()), []);
}

#[test]
fn each_lack_of_a_server_is_told() {
    let check = |change: &dyn Fn(&mut House), id: &'static str, level: Level| {
        let mut house = well();
        change(&mut house);
        assert_eq!(found(&house, &read_well()), [(id, level)]);
    };
    let set = |name: &'static str, value: &'static str| {
        move |house: &mut House| _ = house.variables.insert(name.to_owned(), value.to_owned())
    };
    check(&|house| house.plugins.clear(), "audit-missing", Level::Error);
    check(&set("server_audit_logging", "OFF"), "audit-off", Level::Error);
    check(&set("server_audit_events", "QUERY,TABLE"), "audit-events", Level::Error);
    check(&set("server_audit_events", "connect"), "audit-no-statements", Level::Info);
    check(&set("server_audit_file_rotate_size", "1000000"), "audit-rotation", Level::Warn);
    let failed = |house: &mut House| {
        _ = house.status.insert("server_audit_writes_failed".to_owned(), "3".to_owned());
    };
    check(&failed, "audit-writes-failed", Level::Error);
    let inactive = |house: &mut House| {
        _ = house.status.insert("server_audit_active".to_owned(), "OFF".to_owned());
    };
    check(&inactive, "audit-not-active", Level::Error);
    check(&set("system_time_zone", "CET"), "zone", Level::Error);
    check(&|house| house.clock_ahead = -3_000_000, "clock", Level::Warn);
    check(&|house| house.clock_ahead = 61_000_000, "clock", Level::Error);
    check(&set("log_bin", "OFF"), "binlog-off", Level::Info);
    check(&set("binlog_format", "MIXED"), "binlog-format", Level::Warn);
    check(&set("binlog_row_metadata", "NO_LOG"), "binlog-metadata", Level::Info);
    check(&set("binlog_annotate_row_events", "OFF"), "binlog-annotations", Level::Info);
    check(&set("binlog_expire_logs_seconds", "86400"), "binlog-retention", Level::Info);
    check(&set("performance_schema", "OFF"), "performance-schema-off", Level::Info);
    check(&set("thread_handling", "pool-of-threads"), "thread-pool", Level::Info);
    check(&|house| house.network = Some(false), "tls-off", Level::Error);
    let blind = |house: &mut House| {
        house.snapshot.missing = vec![Missing {
            what: "locks".to_owned(),
            error: 1142,
            remedy: "GRANT SELECT ON mysql.global_priv TO rollcall".to_owned(),
        }];
    };
    check(&blind, "rights-missing", Level::Warn);
    let mighty = |house: &mut House| {
        house.snapshot.accounts[0].global_rights = vec!["CREATE USER".to_owned()];
    };
    check(&mighty, "rights-too-many", Level::Warn);
}

#[test]
fn mysql_without_any_log_of_logins() {
    let mut house = well();
    house.snapshot.version = Version::parse("9.7.4").unwrap();
    house.plugins.clear();
    assert_eq!(found(&house, &read_well()), [("audit-missing", Level::Error)]);
    house.snapshot.has_init_connect = true;
    assert_eq!(found(&house, &read_well()), []);
}

#[test]
fn each_lack_of_reading_is_told() {
    let check = |reading: &Reading<'_>, id: &'static str, level: Level| {
        assert_eq!(found(&well(), reading), [(id, level)]);
    };
    check(&Reading { last_read: None, ..read_well() }, "scan-never", Level::Error);
    // 21 x 100 MB at 50 MB a day: 42 days.
    let read = |days: i64| Reading { last_read: Some((100 - days) * DAY), ..read_well() };
    assert_eq!(found(&well(), &read(20)), []);
    check(&read(22), "scan-interval", Level::Warn);
    check(&read(43), "scan-interval", Level::Error);
    let gap = |days: i64| {
        [Uncovered { from: 50 * DAY, to: (50 + days) * DAY, reason: "rotated away".to_owned() }]
    };
    check(&Reading { uncovered: &gap(3), ..read_well() }, "evidence-gap", Level::Warn);
    let file = |mode: u32, leaks: Vec<(u64, &'static str)>| {
        let path = "/var/lib/mysql/server_audit.log".to_owned();
        [AuditFile { path, mode, leaks, further_leaks: 2, looked_at: 9 }]
    };
    check(
        &Reading { files: &file(0o644, Vec::new()), ..read_well() },
        "log-permissions",
        Level::Warn,
    );
    let leaking = file(0o640, vec![(77, "hash of a password")]);
    check(&Reading { files: &leaking, ..read_well() }, "log-secrets", Level::Warn);
    assert_eq!(found(&well(), &Reading { files: &file(0o640, Vec::new()), ..read_well() }), []);
    // Without a server what is known of reading is still told.
    let alone = examine(None, &Reading { last_read: None, ..read_well() });
    assert_eq!(alone.len(), 1);
}

#[test]
fn secrets_as_logs_hold_them() {
    for (statement, kind) in [
        (r"SELECT PASSWORD(\'x\')", Some("password in a function call")),
        (r"select old_password( \'x\' )", Some("password in a function call")),
        (r"CREATE USER a IDENTIFIED BY \'x\'", Some("password of an account")),
        (
            r"PREPARE s FROM \'ALTER USER a IDENTIFIED BY \\\'x\\\'\'",
            Some("password of an account"),
        ),
        (r#"EXECUTE IMMEDIATE "ALTER USER a IDENTIFIED BY 'x'""#, Some("password of an account")),
        (r"CREATE USER a IDENTIFIED BY *****\'Sec\'", Some("password of an account")),
        (
            r"SET PASSWORD = \'*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19\'",
            Some("hash of a password"),
        ),
        (r"UPDATE mysql.user SET authentication_string=\'*24\'", Some("hash of a password")),
        ("SET PASSWORD = PASSWORD(*****)", None),
        ("CREATE USER a IDENTIFIED BY *****", None),
        ("SELECT password FROM t", None),
        ("SELECT 1", None),
        ("", None),
    ] {
        assert_eq!(leak(statement.as_bytes()), kind, "{statement}");
    }
}

#[test]
fn what_an_upgrade_changes() {
    let ids = |present: &str, target: &str| {
        let present = Version::parse(present).unwrap();
        upgrade(&present, target).map(|it| it.len())
    };
    assert_eq!(ids("10.11.6-MariaDB", "11.4"), Some(0));
    assert_eq!(ids("10.11.6-MariaDB", "11.8"), Some(1));
    assert_eq!(ids("10.11.6-MariaDB", "12.0.1"), Some(2));
    assert_eq!(ids("12.3.1-MariaDB", "13.0.1"), Some(1));
    assert_eq!(ids("8.0.40", "9.7"), Some(2));
    assert_eq!(ids("8.0.40", "11.8-MariaDB"), None);
    assert_eq!(ids("8.0.40", "newest"), None);
}
