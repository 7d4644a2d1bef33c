use super::*;
use formats::{Peer, Stamp};
use proptest::prelude::*;

fn record(kind: Kind, object: &[u8], error: u32) -> Switch {
    of(&event(kind, object, error))
}

/// A record of root.
pub(crate) fn event(kind: Kind, object: &[u8], error: u32) -> Event<'_> {
    Event {
        series: None,
        time: Stamp::Local(0),
        server: b"db1",
        peer: Peer::new(b"root,localhost", 4),
        port: None,
        connection: 1,
        query: 2,
        kind,
        error,
        database: b"",
        object,
        account_user: None,
        further: false,
    }
}

/// A statement as its client sent it.
fn sent(statement: &str) -> Switch {
    let escaped = statement
        .replace('\\', "\\\\")
        .replace('\'', "\\'")
        .replace('\n', "\\n")
        .replace('\t', "\\t");
    record(Kind::Query, escaped.as_bytes(), 0)
}

#[track_caller]
fn stops(statement: &str, stop: Option<Stop>) {
    assert_eq!(sent(statement), Switch { stop, logins: None }, "{statement}");
}

#[track_caller]
fn logins(statement: &str, logins: Logins) {
    let expected = Switch { stop: None, logins: Some(logins) };
    assert_eq!(sent(statement), expected, "{statement}");
}

#[test]
fn off_in_every_spelling() {
    for statement in [
        "SET GLOBAL server_audit_logging=OFF",
        "set global SERVER_AUDIT_LOGGING = 0",
        "SET @@GLOBAL.server_audit_logging=0",
        "set @@global . `server_audit_logging` = 'off'",
        "SET GLOBAL server_audit_logging=FALSE",
        "set global server_audit_logging=DEFAULT",
        "SET  GLOBAL server_audit_logging  := OFF",
        "SET GLOBAL server_audit_logging=\"Off\"",
        "SET GLOBAL server_audit_logging=on, server_audit_logging=off",
        "set @x=1, global server_audit_logging=off, @@global.server_audit_syslog_info='a'",
        "set @x='it''s', @y=\"a\\\"b\", global max_connections=(1,2), global server_audit_logging=off",
        "set session autocommit=1, global server_audit_logging=0;",
        "SET GLOBAL max_connections=100, server_audit_logging=0",
        "\t /* lead */ -- dashes\n# sharp\nset\nglobal\tserver_audit_logging/**/=/* off? */off -- end",
        "/*!40000 SET GLOBAL server_audit_logging=OFF */",
        "/*M!100000 set */ global server_audit_logging=OFF",
        "set /*! global */ server_audit_logging=/* 99999999 1 */ OFF",
        "SET STATEMENT max_statement_time=10 FOR SET GLOBAL server_audit_logging=OFF",
        "SET STATEMENT sort_buffer_size=1, max_statement_time=10 FOR SET GLOBAL server_audit_logging=OFF",
        "SET GLOBAL \"server_audit_logging\"=OFF",
        "set @a=1; set global server_audit_logging=off",
    ] {
        stops(statement, Some(Stop::Off));
    }
}

#[test]
fn what_only_mentions_it_is_none() {
    for statement in [
        "SET GLOBAL server_audit_logging=ON",
        "set global server_audit_logging=1, @x='server_audit_logging=0'",
        "set global server_audit_logging=off, server_audit_logging=on",
        "SET @x='SET GLOBAL server_audit_logging=OFF'",
        "SET @server_audit_logging=0",
        "SET @a=\"', global server_audit_logging=off\"",
        "SET server_audit_logging=0",
        "SET SESSION server_audit_logging=0",
        "SET /* GLOBAL server_audit_logging=OFF, */ NAMES utf8mb4",
        "SET NAMES utf8mb4 -- , global server_audit_logging=off",
        "SET autocommit=1 # , global server_audit_logging=off",
        "SET @x=(select 'a', server_audit_logging=0 from t)",
        "SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET PASSWORD FOR root@localhost = PASSWORD('x')",
        "SET PASSWORD = 'x'",
        "SET ROLE admin",
        "SET STATEMENT max_statement_time=1 FOR UPDATE t SET server_audit_logging=0",
        "SELECT 'SET GLOBAL server_audit_logging=OFF'",
        "/* SET GLOBAL server_audit_logging=OFF */ SELECT 1",
        "update t set server_audit_logging=0",
        "UNINSTALL PLUGIN metadata_lock_info",
        "union select 1",
        "SET GLOBAL server_audit_incl_users='a'",
        "set",
        "",
        ";",
    ] {
        let expected = (statement == "set").then_some(Stop::MaybeOff);
        stops(statement, expected);
    }
    assert_eq!(
        record(Kind::Query, b"SET GLOBAL server_audit_logging=OFF", 1227),
        Switch::default()
    );
    assert_eq!(record(Kind::Read, b"set", 0), Switch::default());
}

#[test]
fn what_cannot_be_told_may_be_a_switch() {
    for statement in [
        "SET GLOBAL server_audit_logging=@z",
        "SET GLOBAL server_audit_logging=(select 0)",
        "SET GLOBAL server_audit_logging=1-1",
        // Written by a procedure with a local variable.
        "SET GLOBAL server_aud NAME_CONST('v',0)t_logging=v",
        // Cut off.
        "SET GLOBAL server_audit_query_",
        "SET GLOBAL server_audit_loggin",
        "SET GLOBAL server_audit_logging=",
        "SET GLOBAL server_audit_logging=O",
        "SET GLOBAL",
        "SET /* aaaaaaaaaaaaaaaaaaaaaaa",
        "SET @x='aaaa",
        "SET @x=1,",
        "SET @@global.",
        "SET @`aa",
        "SET @x=(select 1",
        "/* aaaa",
        "/*!40000 set @x=1",
        "UNINSTALL PLUGIN",
        "SET STATEMENT max_statement_time=1",
    ] {
        stops(statement, Some(Stop::MaybeOff));
    }
    let long = |bytes: usize| format!("SET @x={}", "1".repeat(bytes - 7));
    for (bytes, stop) in [(1020, None), (1021, Some(Stop::MaybeOff))] {
        stops(&long(bytes), stop);
    }
    for (bytes, stop) in [(1024, Some(Stop::MaybeOff)), (1025, None)] {
        stops(&long(bytes), stop);
    }
    for (bytes, stop) in
        [(STATEMENT_BYTES_MAX, None), (STATEMENT_BYTES_MAX + 1, Some(Stop::MaybeOff))]
    {
        stops(&long(bytes), stop);
    }
}

#[test]
fn logins_may_be_left_out() {
    for (value, expected) in [
        ("'QUERY'", Logins::LeftOut),
        ("QUERY", Logins::LeftOut),
        ("'table,query_ddl'", Logins::LeftOut),
        ("'query, Connect'", Logins::Written),
        ("CONNECT", Logins::Written),
        ("''", Logins::Written),
        ("DEFAULT", Logins::Written),
        ("3", Logins::Written),
        ("0", Logins::Written),
        ("6", Logins::LeftOut),
        ("99999999999999999999999", Logins::Unknown),
        ("concat('a')", Logins::Unknown),
    ] {
        logins(&format!("SET GLOBAL server_audit_events={value}"), expected);
    }
    let both = sent("SET GLOBAL server_audit_events='table', server_audit_logging=OFF");
    let expected = Switch { stop: Some(Stop::Off), logins: Some(Logins::LeftOut) };
    assert_eq!(both, expected);
}

#[test]
fn it_may_go_elsewhere() {
    for (statement, stop) in [
        ("SET GLOBAL server_audit_output_type=syslog", Stop::ToSyslog),
        ("SET GLOBAL server_audit_output_type=0", Stop::ToSyslog),
        ("SET GLOBAL server_audit_output_type='FILE'", Stop::ToFile),
        ("SET GLOBAL server_audit_output_type=default", Stop::ToFile),
        ("SET GLOBAL server_audit_output_type=@a", Stop::Moved),
        (
            "SET GLOBAL server_audit_file_path='/var/log/A.log'",
            Stop::ToPath(b"/var/log/A.log".into()),
        ),
        ("SET GLOBAL server_audit_file_path=@a", Stop::Moved),
        ("SET GLOBAL server_audit_output_type=syslog, server_audit_logging=0", Stop::Off),
        ("SET GLOBAL server_audit_logging=0, server_audit_output_type=syslog", Stop::Off),
        ("UNINSTALL PLUGIN server_audit", Stop::Uninstalled),
        ("UNINSTALL /* x */ PLUGIN IF EXISTS Server_Audit", Stop::Uninstalled),
        ("uninstall soname 'server_audit.so'", Stop::Uninstalled),
        ("UNINSTALL PLUGIN `server_audit2`", Stop::Uninstalled),
    ] {
        stops(statement, Some(stop));
    }
}

#[test]
fn settings_that_older_servers_write() {
    let setting = |text: &str| record(Kind::AuditConfig, text.as_bytes(), 0);
    for (text, stop) in [
        ("logging=OFF", Some(Stop::Off)),
        ("server_audit_logging=0", Some(Stop::Off)),
        ("logging=ON", None),
        ("output_type=SYSLOG", Some(Stop::ToSyslog)),
        ("file_path=server_audit.log", None),
        ("rotate_size=1000000", None),
        ("file_rotations=9", None),
        ("nonsense", None),
    ] {
        assert_eq!(setting(text), Switch { stop, logins: None }, "{text}");
    }
    assert_eq!(setting("events=QUERY").logins, Some(Logins::LeftOut));
    assert_eq!(record(Kind::AuditConfig, b"logging=OFF", 1), Switch::default());
}

proptest! {
    #[test]
    fn no_statement_is_too_odd(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            prop::collection::vec(prop::sample::select(vec![
                &b"set "[..], b"global ", b"@@", b"@", b".", b"server_audit_logging", b"=", b":=",
                b"off", b",", b";", b"'", b"\\'", b"\\\\", b"\"", b"`", b"/*", b"/*!", b"*/", b"#",
                b"--", b" ", b"\\n", b"(", b")", b"statement ", b" for ", b"uninstall ", b"1",
            ]), 0..20).prop_map(|it| it.concat()),
        ]
    ) {
        let whole = record(Kind::Query, &text, 0);
        // Blanks before it change nothing.
        let later = record(Kind::Query, &[b"  ", &text[..]].concat(), 0);
        if may_switch(&text) {
            prop_assert_eq!(whole, later);
        }
    }
}
