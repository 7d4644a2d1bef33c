//! Samples of every writer of server_audit lines, and what forged and damaged logs become.

mod common;

use common::{Call, Recorder, check, check_any, read_all, read_in_pieces};
use formats::{Dialect, Input, RECORD_BYTES_MAX, Reader, SPAN_BYTES_MAX, SPAN_LINES_MAX, Stamp};

/// One record after a usual time stamp.
#[track_caller]
fn one(rest: &str, expected: &str) {
    let log = format!("20260314 09:26:53,{rest}\n");
    let length = log.len();
    let expected = expected.replace("LEN", &length.to_string());
    check(Dialect::ServerAudit, log.as_bytes(), &[&expected]);
}

#[track_caller]
fn many(log: &str, expected: &[&str]) {
    check(Dialect::ServerAudit, log.as_bytes(), expected);
}

#[test]
fn connection_records() {
    one("db1,root,localhost,21,0,CONNECT,,,0", "Connect db1|root|localhost|21|0|||0");
    one("db1,app,10.0.0.7,22,0,CONNECT,shop,,0", "Connect db1|app|10.0.0.7|22|0|shop||0");
    one("db1,bob,10.0.0.5,22,0,FAILED_CONNECT,,,1045", "Failed db1|bob|10.0.0.5|22|0|||1045");
    one("db1,bob,10.0.0.5,22,0,DISCONNECT,,,0", "Disconnect db1|bob|10.0.0.5|22|0|||0");
    one("db1,,,0,0,DISCONNECT,,,1040", "Disconnect db1|||0|0|||1040");
    one("db1,,10.9.9.9,7,0,FAILED_CONNECT,,,1158", "Failed db1||10.9.9.9|7|0|||1158");
    one(
        "db1,proxied,localhost,9,0,PROXY_CONNECT,shop,`al,ice`@`%`,0",
        "ProxyConnect db1|proxied|localhost|9|0|shop|`al,ice`@`%`|0",
    );
    one("db1,eve,10.0.0.5,9,0,CHANGEUSER,shop,,1045", "ChangeUser db1|eve|10.0.0.5|9|0|shop||1045");
    one("db1,<wsrep_applier>,,1,0,CONNECT,,,0", "Connect db1|<wsrep_applier>||1|0|||0");
    let corrupt = "O".repeat(400);
    one(
        &format!("db1,,,31,0,CHANGEUSER,{corrupt},,0"),
        &format!("ChangeUser db1|||31|0|{corrupt}||0"),
    );
    one("db1,a,h,18446744073709551615,0,CONNECT,,,0", "Connect db1|a|h|18446744073709551615|0|||0");
    one("db1,a,h,18446744073709551616,0,CONNECT,,,0", "rejected bad-number 0..LEN");
    one("db1,a,h,1,0,FAILED_CONNECT,,,4294967296", "rejected bad-number 0..LEN");
}

#[test]
fn statements_and_tables() {
    one(
        r"db1,app,10.0.0.7,42,977,QUERY,shop,'select \'x\', \'\\\\\'',0",
        r"Query db1|app|10.0.0.7|42|977|shop|select \\\'x\\\', \\\'\\\\\\\\\\\'|0",
    );
    one("db1,a,h,1,2,QUERY,,'',1064", "Query db1|a|h|1|2|||1064");
    one(r"db1,a,h,1,2,QUERY,d,'x\\',0", r"Query db1|a|h|1|2|d|x\\\\|0");
    one(
        "db1,a,h,1,2,QUERY,d,'insert into t values (,h,1,0,CONNECT,mysql,,0,h,1,2,READ,a,b,',0",
        "Query db1|a|h|1|2|d|insert into t values (,h,1,0,CONNECT,mysql,,0,h,1,2,READ,a,b,|0",
    );
    one("db1,a,h,1,2,READ,test,t1,", "Read db1|a|h|1|2|test|t1|0");
    one("db1,a,h,1,2,WRITE,test,t1,", "Write db1|a|h|1|2|test|t1|0");
    one("db1,a,h,1,2,CREATE,test,t1,", "Create db1|a|h|1|2|test|t1|0");
    one("db1,a,h,1,2,ALTER,test,t1,", "Alter db1|a|h|1|2|test|t1|0");
    one("db1,a,h,1,2,DROP,test,t1,", "Drop db1|a|h|1|2|test|t1|0");
    one("db1,a,h,1,6,RENAME,test,t1|test.t2,", "Rename db1|a|h|1|6|test|t1|test.t2|0");
    one("db1,ev,%,5,2,WRITE,test,t1,", "Write db1|ev|%|5|2|test|t1|0");
    one("db1,event_scheduler,,5,2,QUERY,d,'x',0", "Query db1|event_scheduler||5|2|d|x|0");
}

#[test]
fn raw_names_with_one_reading() {
    one("db1,a,b',\"c,h,1,0,CONNECT,,,0", "Connect db1|a,b\\',\\\"c|h|1|0|||0");
    one(
        "db1,x,h,1,2,CONNECT,mysql,,0,h,9,0,CONNECT,,,0",
        "Connect db1|x,h,1,2,CONNECT,mysql,,0|h|9|0|||0",
    );
    one("db1,a,h,1,0,CONNECT,d,e',,0", "Connect db1|a|h|1|0|d,e\\'||0");
    one("db1,a,h,1,2,QUERY,d,'e,'select 1',0", "Query db1|a|h|1|2|d,\\'e|select 1|0");
    one("db1,a,h,1,2,RENAME,d,a|b,c.d,", "Rename db1|a|h|1|2|d|a|b,c.d|0");
    one("db1,root ,h,1,0,CONNECT,,,0", "Connect db1|root |h|1|0|||0");
    one("db1, root,h,1,0,CONNECT,,,0", "Connect db1| root|h|1|0|||0");
}

#[test]
fn names_that_allow_two_readings() {
    let ambiguous = "quarantined ambiguous 0..LEN";
    one("db1,x,h,1,0,CONNECT,a,h,2,0,CONNECT,,,0", ambiguous);
    one("db1,root,h,1,2,READ,a,b,c,", ambiguous);
    one("db1,x,h,1,2,QUERY,d,h,1,2,QUERY,d,'select 1',0", ambiguous);
    one("db1,p,h,1,0,PROXY_CONNECT,d,`a,`b`@`c`,0", ambiguous);
    one("db1,victim,h,9,9,QUERY,d,',h,5,6,READ,d,t',0,", ambiguous);
    let forged = ",1.1.1.1,1,0,CONNECT,".repeat(65);
    one(&format!("db1,root{forged},,0"), ambiguous);
}

#[test]
fn other_writers() {
    one(
        "db1,root,192.168.1.24:54312,7,0,CONNECT,mysql,TLSv1.3,0",
        "Connect db1|root|192.168.1.24:54312|7|0|mysql|TLSv1.3|0",
    );
    one("db1,r,::1:54312,7,0,CONNECT,,,0", "Connect db1|r|::1:54312|7|0|||0");
    one("db1,r,[::1]:54312,7,0,CONNECT,,,0", "Connect db1|r|::1:54312|7|0|||0");
    one("db1,r,localhost:unavailable,8,0,CONNECT,,,0,", "Connect db1|r|localhost|8|0|||0|further");
    one("db1,r,db7:40000,8,0,DISCONNECT,,,0,TLSv1.3", "Disconnect db1|r|db7:40000|8|0|||0|further");
    one(
        "ip-10,r,localhost,9,0,FAILED_CONNECT,,,1045,SOCKET",
        "Failed ip-10|r|localhost|9|0|||1045|further",
    );
    one("ip-10,r,localhost,9,0,CONNECT,,,0,TCP/IP", "Connect ip-10|r|localhost|9|0|||0|further");
    one(
        "ip-10,r,localhost,9,3,QUERY,d,'select 1',0,,",
        "Query ip-10|r|localhost|9|3|d|select 1|0|further",
    );
    one("ip-10,r,localhost,9,3,READ,d,t,,", "Read ip-10|r|localhost|9|3|d|t|0");
    one("ip-10,r,localhost,9,3,READ,d,t,,TLSv1.2", "Read ip-10|r|localhost|9|3|d|t|0");
    one(
        "h,,,0,0,AUDIT_CONFIG,,file_path=server_audit.log,0",
        "AuditConfig h|||0|0||file_path=server_audit.log|0",
    );
    one("h, root, 10.0.0.1, 1, 0, CONNECT, d, , 0  ", "Connect h|root|10.0.0.1|1|0|d||0");
    one(" h, root, 10.0.0.1, 1, 0, CONNECT, d, , 0  ", "Connect h|root|10.0.0.1|1|0|d||0");
    one(" h, root, h, 1, 2, READ, d, t, ", "Read h|root|h|1|2|d|t|0");
    one(" h, root, h, 1, 2, QUERY, d, 'x', 0 ", "Query h|root|h|1|2|d|x|0");
    one("h,root, localhost,1,0,CONNECT,,,0", "Connect h|root|localhost|1|0|||0");
    many(
        "1653053459680124,c731,admin,2001:db8::7,35,698024,WRITE,testdb,test2,0\n",
        &["Write c731|admin|2001:db8::7|35|698024|testdb|test2|0"],
    );
    many(
        "1653053459680124,c731,admin,::1,35,6,QUERY,d,'a,h,1,2,READ,d,t,',0\n",
        &["Query c731|admin|::1|35|6|d|a,h,1,2,READ,d,t,|0"],
    );
    one("db1,admin,::1,35,6,WRITE,testdb,test2,0", "rejected bad-shape 0..LEN");
}

#[test]
fn time_stamps() {
    let time = |stamp: &str| {
        let log = format!("{stamp},h,u,h,1,0,CONNECT,,,0\n");
        match &read_all(Dialect::ServerAudit, log.as_bytes())[..] {
            [Call::Event(_, _, event)] => Ok(event.time),
            [call] => Err(call.line()),
            calls => panic!("{calls:?}"),
        }
    };
    assert_eq!(time("20231207 12:14:28"), Ok(Stamp::Local(1_701_951_268_000_000)));
    assert_eq!(time("20231207T13:14:28.000000+0100"), Ok(Stamp::Utc(1_701_951_268_000_000)));
    assert_eq!(time("2023-12-07 12:14:28"), Ok(Stamp::Local(1_701_951_268_000_000)));
    assert_eq!(time("1701951268000000"), Ok(Stamp::Utc(1_701_951_268_000_000)));
    assert_eq!(time("20231307 12:14:28"), Err("rejected bad-time 0..40".into()));
    assert_eq!(time("2023 12:14:28"), Err("rejected not-a-record 0..36".into()));
}

#[test]
fn damage() {
    const GOOD: &str = "20260314 09:26:53,db1,a,h,1,0,CONNECT,,,0";
    let event = "Connect db1|a|h|1|0|||0";
    many(&format!("\u{feff}{GOOD}\r\n\r\n \n{GOOD}\n"), &[event, event]);
    many(
        &format!("\0\0\0{GOOD}\n\0\n{GOOD}\n\0"),
        &[
            "rejected nul-bytes 0..3",
            event,
            "rejected nul-bytes 45..46",
            event,
            "rejected nul-bytes 89..90",
        ],
    );
    many(
        &format!("junk\n{GOOD}\n\u{feff}{GOOD}\n"),
        &["rejected not-a-record 0..5", event, "rejected not-a-record 47..92"],
    );
    many(GOOD, &["quarantined unfinished 0..41"]);
    many("", &[]);
    many(" ", &[]);
    many("\u{feff}", &[]);
    // Glued after a full disk: cut in the user name, the server, the host, the statement.
    for cut in
        ["20260314 09:26:53,db1,ro", "20260314 09:26:53,d", "20260314 09:26:53,db1,bob,10.0."]
    {
        many(
            &format!("{cut}{GOOD}\n"),
            &[&format!("quarantined record-in-name 0..{}", cut.len() + 42)],
        );
    }
    let cut = "20260314 09:26:53,db1,bob,h,5,6,QUERY,d,'sel";
    many(&format!("{cut}{GOOD}\n"), &["quarantined record-in-name 0..86"]);
    let cut = "20260314 09:26:53,db1,bob,h,5,0,CONNECT,sh";
    many(&format!("{cut}{GOOD}\n"), &["quarantined ambiguous 0..84"]);
}

#[test]
fn a_record_of_an_unknown_kind_takes_no_other_along() {
    many(
        "20260314 09:26:53,db1,a,h,1,0,TELEPORT,,,0\n20260314 09:26:53,db1,a,h,1,0,CONNECT,,,0\n",
        &["rejected bad-shape 0..43", "Connect db1|a|h|1|0|||0"],
    );
}

#[test]
fn a_forged_line_in_a_user_name_is_no_event() {
    let name = "x\n20261120 07:18:43,vm,root,10.9.8.7,77,0,CONNECT,mysql,,0\nz";
    let log = format!(
        "20261120 07:18:43,vm,{name},10.0.0.5,22,0,FAILED_CONNECT,,,1045\n\
         20261120 07:18:43,vm,{name},10.0.0.5,22,0,DISCONNECT,,,0\n\
         20261120 07:18:44,vm,app,10.0.0.5,23,0,CONNECT,,,0\n"
    );
    many(
        &log,
        &[
            "quarantined line-break-in-name 0..80",
            "rejected not-a-record 80..118",
            "quarantined line-break-in-name 118..198",
            "rejected not-a-record 198..229",
            "Connect vm|app|10.0.0.5|23|0|||0",
        ],
    );
}

#[test]
fn line_breaks_in_names_make_one_span() {
    for record in [
        "20261120 07:18:43,vm,a\nb,h,1,0,CONNECT,,,0\n",
        "20261120 07:18:43,vm,a\r\n\r\nb,h,1,0,CONNECT,,,0\r\n",
        "20261120 07:18:43,vm,\n,h,1,0,CONNECT,,,0\n",
        "20261120 07:18:43,vm,a,h,1,0,CONNECT,d\ne,,0\n",
        "20261120 07:18:43,vm,a,h,1,2,READ,d,t\nu,\n",
        "20261120 07:18:43,vm,a,h,1,2,QUERY,d\ne,'select 1',0\n",
    ] {
        many(record, &[&format!("quarantined line-break-in-name 0..{}", record.len())]);
    }
    // A statement never holds a line break.
    many(
        "20261120 07:18:43,vm,a,h,1,2,QUERY,d,'select\n1',0\n",
        &["rejected bad-shape 0..45", "rejected not-a-record 45..50"],
    );
}

#[test]
fn a_split_record_may_have_so_many_lines_and_bytes() {
    let spread = |lines: usize| {
        format!("20261120 07:18:43,vm,a{},h,1,0,CONNECT,,,0\n", "\n".repeat(lines - 1))
    };
    let log = spread(SPAN_LINES_MAX);
    many(&log, &[&format!("quarantined line-break-in-name 0..{}", log.len())]);
    many(
        &spread(SPAN_LINES_MAX + 1),
        &["rejected bad-shape 0..23", "rejected not-a-record 86..105"],
    );

    let long = |bytes: usize| {
        let head = "20261120 07:18:43,vm,";
        format!("{head}{}\nb,h,1,0,CONNECT,,,0\n", "a".repeat(bytes - head.len() - 1))
    };
    let log = long(SPAN_BYTES_MAX - 1);
    let spanned = format!("quarantined line-break-in-name 0..{}", log.len());
    let lines = |log: &str| -> Vec<String> {
        check_any(Dialect::ServerAudit, log.as_bytes(), &[1, 4095, 4096, 4097]);
        read_all(Dialect::ServerAudit, log.as_bytes()).iter().map(Call::line).collect()
    };
    assert_eq!(lines(&log), [spanned]);
    assert_eq!(
        lines(&long(SPAN_BYTES_MAX)),
        ["rejected bad-shape 0..4096".to_string(), "rejected not-a-record 4096..4116".to_string(),]
    );
}

#[test]
fn a_record_may_have_so_many_bytes() {
    const HEAD: &str = "20261120 07:18:43,vm,a,h,1,2,QUERY,d,'";
    const GOOD: &str = "20261120 07:18:43,vm,a,h,1,0,CONNECT,,,0\n";
    let log = |bytes: usize| {
        let text = "x".repeat(bytes - HEAD.len() - 4);
        format!("{HEAD}{text}',0\n{GOOD}")
    };
    let good = "Connect vm|a|h|1|0|||0";
    let lines = |log: &str, cuts: &[usize]| -> Vec<String> {
        let (used, calls) =
            read_in_pieces(Dialect::ServerAudit, log.as_bytes(), cuts, Input::Ended);
        assert_eq!(used, log.len());
        calls.iter().map(|call| call.line().chars().take(60).collect()).collect()
    };
    let longest = log(RECORD_BYTES_MAX);
    let found = lines(&longest, &[RECORD_BYTES_MAX - 1]);
    assert!(found[0].starts_with("Query vm|a|h|1|2|d|xxx"), "{found:?}");
    assert_eq!(found[1..], [good]);
    let longer = log(RECORD_BYTES_MAX + 1);
    for cuts in [&[][..], &[RECORD_BYTES_MAX - 1], &[RECORD_BYTES_MAX], &[RECORD_BYTES_MAX + 1]] {
        let found = lines(&longer, cuts);
        assert_eq!(found, ["rejected too-long 0..16777216", good], "{cuts:?}");
    }
}

#[test]
fn hostile_input_takes_no_quadratic_time() {
    // Each would take minutes if the time were quadratic.
    let spam = |text: &str| text.repeat((1 << 20) / text.len());
    for text in [
        ",1,2,CONNECT,",
        ",h,1,0,CONNECT,",
        ",h,1,2,READ,",
        ",h,1,0,PROXY_CONNECT,`",
        ",h,1,0,PROXY_CONNECT,x`@`",
        ",h,1,2,QUERY,'",
    ] {
        for end in ["", ",0", ",,0", "',0", ","] {
            let log = format!("20261120 07:18:43,vm,{}{end}\n", spam(text));
            assert_eq!(read_all(Dialect::ServerAudit, log.as_bytes()).len(), 1, "{text}{end}");
        }
    }
    for text in ["20261120 07:18:43,vm,a\n", "20261120 07:18:43,vm,a,h,1,2,CONNECT,\n"] {
        let calls = read_all(Dialect::ServerAudit, text.repeat(10_000).as_bytes());
        assert_eq!(calls.len(), 10_000, "{text}");
    }
}

#[test]
fn reading_goes_on_inside_a_record_that_was_too_long() {
    const GOOD: &[u8] = b"20261120 07:18:43,vm,a,h,1,0,CONNECT,,,0\n";
    let long = vec![b'x'; RECORD_BYTES_MAX];
    let mut reader = Reader::new(Dialect::ServerAudit);
    let mut sink = Recorder::new(&long);
    assert_eq!(reader.read(&long, Input::Open, &mut sink), RECORD_BYTES_MAX);
    assert!(reader.is_mid_record());
    assert_eq!(sink.calls.len(), 1);

    let mut resumed = Reader::new(Dialect::ServerAudit);
    assert!(!resumed.is_mid_record());
    resumed.resume_mid_record();
    assert!(resumed.is_mid_record());
    let rest = [b"20261120 07:18:43,vm,b,h,1,0,CONNECT,,,0\n", GOOD].concat();
    for mut reader in [reader, resumed] {
        let mut sink = Recorder::new(&rest);
        assert_eq!(reader.read(&rest[..5], Input::Open, &mut sink), 5);
        assert!(reader.is_mid_record() && sink.calls.is_empty());
        assert_eq!(reader.read(&rest[5..], Input::Open, &mut sink), rest.len() - 5);
        assert!(!reader.is_mid_record());
        let lines: Vec<String> = sink.calls.iter().map(Call::line).collect();
        assert_eq!(lines, ["Connect vm|a|h|1|0|||0"]);
    }
}

#[test]
fn names_and_anchors_have_bounds() {
    // Database, comma and table of a table record: 2048 bytes.
    let table = |bytes: usize| format!("db1,a,h,1,2,READ,d,{},", "t".repeat(bytes - 2));
    let longest = table(2048);
    one(&longest, &format!("Read db1|a|h|1|2|d|{}|0", "t".repeat(2046)));
    one(&table(2049), "rejected bad-shape 0..LEN");

    // Anchors in a record that spans lines: 64.
    let spans = |anchors: usize| {
        let forged = ",h,1,2,CONNECT".repeat(anchors - 1);
        format!("20260314 09:26:53,db1,a{forged},\nb,h,1,0,CONNECT,,,0\n")
    };
    let most = spans(64);
    many(&most, &[&format!("quarantined line-break-in-name 0..{}", most.len())]);
    let more = spans(65);
    let first = more.find('\n').unwrap() + 1;
    many(
        &more,
        &[
            &format!("rejected bad-shape 0..{first}"),
            &format!("rejected not-a-record {first}..{}", more.len()),
        ],
    );
}
