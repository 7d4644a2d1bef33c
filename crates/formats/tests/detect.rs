//! The dialect is known by content, whatever stands around it.

use formats::{DETECT_BYTES_MAX, Dialect, detect};

const FILE: &str = "20260314 09:26:53,db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n";
const SYSLOG: &str = "Nov 20 07:18:43 log7 audit:  db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n";
const JSON: &str = concat!(
    r#"{"ts":"2013-09-11 09:11:47","type":"successful_login","myhost":"db1","thread":"7","#,
    r#""user":"web","priv_user":"web","host":"w","ip":"10.0.0.87"}"#,
    "\n"
);

#[test]
fn each_dialect_behind_anything() {
    let all = [
        (FILE, Dialect::ServerAudit),
        (SYSLOG, Dialect::ServerAuditSyslog),
        (JSON, Dialect::AuditLogin),
    ];
    for (line, dialect) in all {
        let before =
            ["", "\u{feff}", "\n\r\n\n", "garbage\n", "\0\0\0\0", "\0\n", &line[20..], "\u{1b}[\n"];
        for before in before {
            let log = format!("{before}{line}");
            assert_eq!(detect(log.as_bytes()), Some(dialect), "{log:?}");
            let unfinished = log.trim_end();
            assert_eq!(detect(unfinished.as_bytes()), Some(dialect), "{unfinished:?}");
        }
        assert_eq!(dialect.as_str().parse(), Ok(dialect));
    }
    assert!("xml".parse::<Dialect>().is_err());
}

#[test]
fn the_first_event_decides() {
    assert_eq!(detect(format!("{FILE}{SYSLOG}").as_bytes()), Some(Dialect::ServerAudit));
    assert_eq!(detect(format!("{SYSLOG}{FILE}").as_bytes()), Some(Dialect::ServerAuditSyslog));
    assert_eq!(detect(format!("{JSON}{FILE}").as_bytes()), Some(Dialect::AuditLogin));
}

#[test]
fn a_first_statement_longer_than_the_head() {
    let log = format!("20260314 09:26:53,db1,app,h,42,7,QUERY,d,'{}", r"\'x\\".repeat(40_000));
    for extra in 0..6 {
        assert_eq!(detect(&log.as_bytes()[..60_000 + extra]), Some(Dialect::ServerAudit));
    }
    assert_eq!(detect(log.as_bytes()), Some(Dialect::ServerAudit));
}

#[test]
fn what_is_no_log() {
    let binary: Vec<u8> = (0..=255).cycle().take(5000).collect();
    for none in [&b""[..], b"\n", b"\0", &binary, b"20260314 09:26:53,db1,app", b"{}", b"a,b,c\n"] {
        assert_eq!(detect(none), None);
    }
}

#[test]
fn so_many_bytes_are_looked_at() {
    let log = |before: usize| format!("{}\n{FILE}", "x".repeat(before - 1));
    assert_eq!(detect(log(DETECT_BYTES_MAX - FILE.len()).as_bytes()), Some(Dialect::ServerAudit));
    assert_eq!(detect(log(DETECT_BYTES_MAX).as_bytes()), None);
}
