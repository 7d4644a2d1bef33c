//! Samples of audit_login lines: the first writer's, which escapes nothing, and later ones'.

mod common;

use common::{Call, check, read_all};
use formats::{Dialect, Stamp};

#[track_caller]
fn many(log: &str, expected: &[&str]) {
    check(Dialect::AuditLogin, log.as_bytes(), expected);
}

/// One line whose span is that of the whole log.
#[track_caller]
fn one(line: &str, expected: &str) {
    let expected = expected.replace("LEN", &(line.len() + 1).to_string());
    many(&format!("{line}\n"), &[&expected]);
}

/// The first writer's line with these values, raw.
fn raw(kind: &str, user: &str, account_user: &str, host: &str, ip: &str) -> String {
    format!(
        "{{\"ts\":\"2013-09-11 09:11:47\",\"type\":\"{kind}\",\"myhost\":\"db1\",\
         \"thread\":\"74153868\",\
         \"user\":\"{user}\",\"priv_user\":\"{account_user}\",\"host\":\"{host}\",\"ip\":\"{ip}\"}}"
    )
}

fn failed(user: &str) -> String {
    raw("failed_login", user, "", "web", "10.0.0.87")
}

/// A later writer's line: the same, and more keys.
fn later(user: &str, more: &str) -> String {
    let line = raw("successful_login", user, "web", "web", "10.0.0.87");
    format!("{},{more}}}", &line[..line.len() - 1])
}

#[test]
fn the_first_writer() {
    one(
        &raw("successful_login", "web", "web", "web-87.local", "10.0.0.87"),
        "Connect db1|web|web-87.local|74153868|0|||0 as web",
    );
    one(
        &raw("successful_login", "web", "", "", "10.0.0.87"),
        "Connect db1|web|10.0.0.87|74153868|0|||0 as ",
    );
    one(&failed("backup"), "Failed db1|backup|web|74153868|0|||0");
    one(
        &raw("failed_login", "(null)", "(null)", "(null)", "10.0.0.1"),
        "Failed db1||10.0.0.1|74153868|0|||0",
    );
    one(
        &raw("successful_login", "web", "(null)", "(null)", "(null)"),
        "Connect db1|web||74153868|0|||0",
    );
    one(&raw("logout", "web", "web", "h", "1.1.1.1"), "Disconnect db1|web|h|74153868|0|||0");
    one(
        &raw("change_user", "web", "w", "h", "1.1.1.1"),
        "ChangeUser db1|web|h|74153868|0|||0 as w",
    );
    one(&raw("teleport", "web", "w", "h", "1.1.1.1"), "rejected bad-shape 0..LEN");
}

#[test]
fn raw_names_with_one_reading() {
    one(&failed(r#"a"b"#), "Failed db1|a\\\"b|web|74153868|0|||0");
    one(&failed(r"DOM\user"), "Failed db1|DOM\\\\user|web|74153868|0|||0");
    one(&failed("a\tb"), "Failed db1|a\\tb|web|74153868|0|||0");
    one(&failed(r#"a"}b"#), "Failed db1|a\\\"}b|web|74153868|0|||0");
    let mut bytes = failed("X").into_bytes();
    let at = bytes.iter().position(|&b| b == b'X').unwrap();
    bytes[at] = 0xff;
    bytes.push(b'\n');
    check(Dialect::AuditLogin, &bytes, &["Failed db1|\\xff|web|74153868|0|||0"]);
}

#[test]
fn names_that_forge() {
    one(&failed(r#"a","host":"evil"#), "quarantined duplicate-key 0..LEN");
    one(&failed(r#"a","user":"root"#), "quarantined duplicate-key 0..LEN");
    one(&failed(r#"a","user_hex":"726f6f74"#), "quarantined ambiguous 0..LEN");
    one(&failed(r#"a","time":"2026-01-01T00:00:00Z"#), "quarantined ambiguous 0..LEN");
    one(&failed(r#"a","x\u0079":"b"#), "quarantined ambiguous 0..LEN");
    let second = raw("successful_login", "root", "root", "evil", "1.1.1.1");
    let inner = &second[..second.len() - 2];
    one(
        &failed(&format!("a\",\"priv_user\":\"\",\"host\":\"h\",\"ip\":\"1\"}}{inner}")),
        "quarantined ambiguous 0..LEN",
    );
    one(&format!("{}{second}", failed("a")), "quarantined ambiguous 0..LEN");
    one(&failed(r"a\nb"), "quarantined ambiguous 0..LEN");
    one(&failed(r#"a"{"ts":"#), "quarantined ambiguous 0..LEN");
    // No JSON, and the template could part the user in two ways.
    for separator in ["priv_user", "host", "ip"] {
        let user = format!("a\tb\",\"{separator}\":\"c");
        one(&failed(&user), "quarantined ambiguous 0..LEN");
    }
    // A line break, then a perfect line.
    let log = format!("{}\n", failed(&format!("a\n{second}\nb")));
    let tail = r#"b","priv_user":"","host":"web","ip":"10.0.0.87"}"#.len() + 1;
    many(
        &log,
        &[
            &format!("quarantined line-break-in-name 0..{}", log.len() - tail),
            &format!("rejected not-a-record {}..{}", log.len() - tail, log.len()),
        ],
    );
    let log = format!("{}\n", failed("a\nb"));
    many(&log, &[&format!("quarantined line-break-in-name 0..{}", log.len())]);
}

#[test]
fn a_writer_that_escapes() {
    let time = r#""time":"2013-09-11T11:11:47.000001+02:00""#;
    let log = later(r"a\n\u20ac\\b", time) + "\n";
    let calls = read_all(Dialect::AuditLogin, log.as_bytes());
    let [Call::Event(_, _, event)] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(event.time, Stamp::Utc(1_378_890_707_000_001));
    assert_eq!(event.user, r"a\n\xe2\x82\xac\\b");
    one(
        &later(
            "x",
            r#""server":"s9","status":1045,"db":"d","tls":"TLSv1.3","user_hex":"ff00","seq":7"#,
        ),
        "Connect s9|\\xff\\x00|web|74153868|0|d|TLSv1.3|1045",
    );
    one(
        &later("x", r#""dropped":0,"extra":{"a":[1,"}"]}"#),
        "Connect db1|x|web|74153868|0|||0 as web",
    );
    one(&later("x", r#""db":null,"server":"""#), "Connect db1|x|web|74153868|0|||0 as web");
    one(&later("x", r#""user_hex":"f""#), "quarantined bad-syntax 0..LEN");
    one(&later("x", r#""user_hex":"zz""#), "quarantined bad-syntax 0..LEN");
    one(&later(r"\ud800", time), "quarantined bad-syntax 0..LEN");
    one(&later("x", r#""time":"yesterday""#), "rejected bad-time 0..LEN");
    one(&later("x", r#""db":true"#), "rejected bad-shape 0..LEN");
    one(&later("x", r#""status":4294967296"#), "rejected bad-number 0..LEN");
    one(
        &failed("a").replace("\"74153868\"", "18446744073709551615"),
        "Failed db1|a|web|18446744073709551615|0|||0",
    );
    one(&failed("a").replace("74153868", "18446744073709551616"), "rejected bad-number 0..LEN");
    one(&failed("a").replace("74153868", "-1"), "rejected bad-shape 0..LEN");
    one(&failed("a").replace("2013-09-11", "2013-09-31"), "rejected bad-time 0..LEN");
}

#[test]
fn other_lines() {
    one("{\"msg-type\":\"activity\",\"date\":\"1\"}", "rejected bad-shape 0..LEN");
    one("junk", "rejected not-a-record 0..LEN");
    one("{\"ts\":", "quarantined bad-syntax 0..LEN");
    one(&format!("{} ", failed("a")), "Failed db1|a|web|74153868|0|||0");
    // A broken escape takes no other record along.
    let log = format!("{}\n{}\n", later(r"\ud800", r#""db":"a""#), failed("a"));
    let first = log.find('\n').unwrap() + 1;
    many(&log, &[&format!("quarantined bad-syntax 0..{first}"), "Failed db1|a|web|74153868|0|||0"]);
}

#[test]
fn hostile_input_takes_no_quadratic_time() {
    let spam = |text: &str| failed(&text.repeat((1 << 20) / text.len())) + "\n";
    for text in [r#"","host":""#, r#"","priv_user":""#, r#"{"ts":"#, "\\", "\"", "["] {
        assert_eq!(read_all(Dialect::AuditLogin, spam(text).as_bytes()).len(), 1, "{text}");
    }
    let head = failed("a");
    let head = format!("{}\\\"}}\n", &head[..head.find("\",\"priv_user").unwrap()]);
    assert_eq!(read_all(Dialect::AuditLogin, head.repeat(10_000).as_bytes()).len(), 10_000);
}
