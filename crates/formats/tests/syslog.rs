//! Samples of server_audit records that came through syslog, in every form.

mod common;

use common::{Call, check, read_all};
use formats::{Dialect, Stamp};

const RECORD: &str = "app,10.0.0.7,42,0,CONNECT,shop,,0";
const EVENT: &str = "Connect db1|app|10.0.0.7|42|0|shop||0";

#[track_caller]
fn many(log: &str, expected: &[&str]) {
    check(Dialect::ServerAuditSyslog, log.as_bytes(), expected);
}

/// One line whose span is that of the whole log.
#[track_caller]
fn one(line: &str, expected: &str) {
    let expected = expected.replace("LEN", &(line.len() + 1).to_string());
    many(&format!("{line}\n"), &[&expected]);
}

#[test]
fn every_way_to_write_one_record() {
    for lead in [
        "<14>Nov 20 07:18:43 mysql-server_auditing: INFO db1,",
        "<14>Nov 20 07:18:43 mysql-server_auditing:  db1,",
        "Nov 20 07:18:43 log7 mysql-server_auditing:  db1,",
        "Nov  2 07:18:43 log7 mysql-server_auditing: INFO db1,",
        "Nov 20 07:18:43 log7 my audit, of: a (b): c: info: here db1,",
        "2026-11-20T07:18:43.123456+01:00 log7 audit[812]: db1,",
        "2026-11-20T07:18:43Z log7 audit[812]: info db1,",
        "<14>1 2026-11-20T07:18:43Z log7 audit 812 - - db1,",
        "Nov 20 07:18:43 db1 ident:  ,",
    ] {
        one(&format!("{lead}{RECORD}"), EVENT);
    }
}

#[test]
fn times() {
    let time = |stamp: &str| {
        let log = format!("{stamp} log7 audit: db1,{RECORD}\n");
        match &read_all(Dialect::ServerAuditSyslog, log.as_bytes())[..] {
            [Call::Event(_, _, event)] => event.time,
            calls => panic!("{calls:?}"),
        }
    };
    const DAY: i64 = 86_400_000_000;
    assert_eq!(time("Jan  2 00:00:00"), Stamp::LocalWithoutYear(DAY));
    assert_eq!(time("Mar  1 00:00:00"), Stamp::LocalWithoutYear(60 * DAY));
    assert_eq!(time("1970-01-03T01:00:00.5+01:00"), Stamp::Utc(2 * DAY + 500_000));
    assert_eq!(time("1970-01-03T00:00:00"), Stamp::Local(2 * DAY));
    one(&format!("Feb 30 00:00:00 log7 audit: db1,{RECORD}"), "rejected bad-time 0..LEN");
}

#[test]
fn names_are_raw() {
    let one = |rest: &str, expected: &str| {
        one(&format!("Nov 20 07:18:43 db1 mysql-server_auditing:  db1,{rest}"), expected);
    };
    one("a,b, c,h,1,0,CONNECT,,,0", "Connect db1|a,b, c|h|1|0|||0");
    one(r"a,h,1,2,QUERY,d,'x\',0',0", r"Query db1|a|h|1|2|d|x\\\',0|0");
    one("a,h,1,2,QUERY,d,'a #012 b, c',0", "Query db1|a|h|1|2|d|a #012 b, c|0");
    one(",,0,0,DISCONNECT,,,1040", "Disconnect db1|||0|0|||1040");
    one("a,::1:50000,1,2,READ,d,t,", "Read db1|a|::1:50000|1|2|d|t|0");
    one("x db9,root,h,1,0,CONNECT,,,0", "quarantined ambiguous 0..LEN");
    one("x,h,1,0,CONNECT,a,h,1,0,CONNECT,,,0", "quarantined ambiguous 0..LEN");
    one("a#012b,h,1,0,CONNECT,,,0", "quarantined line-break-in-name 0..LEN");
    one("a,h,1,0,CONNECT,d#015,,0", "quarantined line-break-in-name 0..LEN");
    one("a,h,1,2,READ,d,t#177,", "quarantined line-break-in-name 0..LEN");
    one("a#0129,h,1,0,CONNECT,,,0", "quarantined line-break-in-name 0..LEN");
    one("a#089,h,1,0,CONNECT,,,0", "Connect db1|a#089|h|1|0|||0");
    one("a,h,99999999999999999999,0,CONNECT,,,0", "rejected bad-number 0..LEN");
    one("a,h,1,0,CONNECT,,,7", "rejected bad-shape 0..LEN");
}

#[test]
fn info_with_a_comma_is_ambiguous() {
    one(
        &format!("Nov 20 07:18:43 log7 audit: prod, eu db1,{RECORD}"),
        "quarantined ambiguous 0..LEN",
    );
}

#[test]
fn lines_of_other_programs_are_passed_over() {
    let log = format!(
        "Nov 20 07:18:42 log7 systemd[1]: Started foo,bar\n\
         Nov 20 07:18:43 log7 kernel: [1.0] eth0: up, 1000Mbps\n\
         no time stamp at all\n\
         Nov 20 07:18:43 log7 mysql-server_auditing:  db1,{RECORD}\n\
         2026-11-20T07:18:43Z log7 cron[7]: (root) CMD (x,y)\n"
    );
    many(&log, &[EVENT]);
    one(&format!("junk db1,{RECORD}"), "rejected not-a-record 0..LEN");
}

#[test]
fn many_servers_in_one_file() {
    many(
        "Nov 20 07:18:43 a audit:  db1,u,h,1,0,CONNECT,,,0\n\
         2026-11-20T07:18:43Z b audit:  db2,u,h,1,0,CONNECT,,,0\n",
        &["Connect db1|u|h|1|0|||0", "Connect db2|u|h|1|0|||0"],
    );
}

#[test]
fn raw_line_breaks_in_names() {
    for lead in
        ["Nov 20 07:18:43 log7 mysql-server_auditing:  db1,", "Nov 20 07:18:43 l own:  db1,"]
    {
        let tail = "z,h,1,0,FAILED_CONNECT,,,1045\n";
        let log = format!("{lead}x\n{tail}");
        many(&log, &[&format!("quarantined line-break-in-name 0..{}", log.len())]);
        // The forged line has the ident of the genuine one.
        let forged = format!("{lead}root,10.9.8.7,77,0,CONNECT,mysql,,0\n");
        let log = format!("{lead}x\n{forged}{tail}");
        let end = log.len() - tail.len();
        many(
            &log,
            &[
                &format!("quarantined line-break-in-name 0..{end}"),
                &format!("rejected not-a-record {end}..{}", log.len()),
            ],
        );
    }
    let lead = "Nov 20 07:18:43 log7 mysql-server_auditing:  db1,";
    many(&format!("{lead}x\n"), &["rejected bad-shape 0..51"]);
    // The default ident is known: the forged line cannot hide behind another.
    let log = format!("{lead}x\nNov 20 07:18:43 q own:  db2,root,h,7,0,CONNECT,,,0\n");
    many(&log, &[&format!("quarantined line-break-in-name 0..{}", log.len())]);
}

#[test]
fn a_record_of_an_unknown_kind_takes_no_other_along() {
    let lead = "Nov 20 07:18:43 log7 mysql-server_auditing:  db1,";
    let log = format!("{lead}a,h,1,0,TELEPORT,,,0\n{lead}{RECORD}\n");
    many(&log, &["rejected bad-shape 0..70", EVENT]);
}
