//! What `evidence` calls covered, unconfirmed and a gap, over the files of a log.

use std::io::Write as _;

use super::house::{House, session_at, sessions, sessions_at};

const LOG: &str = "server_audit.log";

/// State, from and to (day and time of November) of what is covered, unconfirmed or a gap.
fn coverage(house: &House) -> Vec<String> {
    let rows = house.json(&["evidence", "-q"]);
    let mut texts: Vec<(String, String)> = rows
        .iter()
        .filter(|row| !row["from"].is_null() && row["state"] != "weak")
        .map(|row| {
            let time = |field: &str| {
                row[field].as_str().map_or("…".to_owned(), |it| it["2026-11-".len()..].to_owned())
            };
            (
                time("from"),
                format!("{} {} {}", row["state"].as_str().unwrap(), time("from"), time("to")),
            )
        })
        .collect();
    texts.sort();
    texts.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn a_rotated_log_is_covered_over_all_its_files() {
    let house = House::new();
    house.write("server_audit.log.2", sessions(0..10));
    house.write("server_audit.log.1", sessions(20..30));
    house.write(LOG, sessions(40..50));
    house.scan(&["."]);
    let all = [
        "covered 01T00:00:00Z 01T00:09:05Z",
        "covered 01T00:09:05Z 01T00:29:05Z",
        "covered 01T00:29:05Z 01T00:49:05Z",
    ];
    assert_eq!(coverage(&house), all);
    // Also when they are gone, and however late the next one is rotated in.
    house.remove("server_audit.log.2");
    house.rename("server_audit.log.1", "server_audit.log.2");
    house.rename(LOG, "server_audit.log.1");
    house.write(LOG, sessions_at(50, 100..110));
    house.scan(&["."]);
    let longer = [&all[..], &["covered 01T00:49:05Z 01T01:49:05Z"]].concat();
    assert_eq!(coverage(&house), longer);
    let months = house.json(&["evidence", "--by", "month", "-q"]);
    assert_eq!(
        (&months[0]["covered_percent"], &months[0]["unconfirmed_seconds"]),
        (&100.0.into(), &0.into())
    );
}

#[test]
fn a_hole_in_the_numbers_is_unconfirmed() {
    let house = House::new();
    house.write("server_audit.log.2", sessions(0..10));
    house.write(LOG, sessions(40..50));
    house.scan(&["."]);
    assert_eq!(
        coverage(&house),
        [
            "covered 01T00:00:00Z 01T00:09:05Z",
            "unconfirmed 01T00:09:05Z 01T00:40:00Z",
            "covered 01T00:40:00Z 01T00:49:05Z",
        ]
    );
    let text = house.run(&["evidence", "--by", "month"]);
    assert!(text.contains("covered 37 % (62.9 % unconfirmed) of 49 min"), "{text}");
    assert!(
        text.contains("unconfirmed: nothing shows that FOLDER/server_audit.log goes on where"),
        "{text}"
    );
    let months = house.json(&["evidence", "--by", "month", "-q"]);
    assert_eq!(months[0]["unconfirmed_seconds"], 30 * 60 + 55);
    // The file between them, read later, closes it.
    house.write("server_audit.log.1", sessions(15..30));
    house.scan(&["."]);
    assert_eq!(coverage(&house).iter().filter(|it| it.starts_with("covered")).count(), 3);
    assert_eq!(coverage(&house).len(), 3);
}

/// What is said of the only stretch that is unconfirmed.
fn unconfirmed(house: &House) -> String {
    let rows = house.json(&["evidence", "--state", "unconfirmed", "-q"]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let folder = house.folder().canonicalize().unwrap();
    rows[0]["reason"].as_str().unwrap().replace(folder.to_str().unwrap(), "FOLDER")
}

#[test]
fn a_file_that_is_gone_from_among_numbered_ones_is_missed_by_its_connection_ids() {
    // The oldest was renamed to take the place of the one that is gone.
    let house = House::new();
    house.write("server_audit.log.1", sessions(0..100));
    house.write(LOG, sessions(200..300));
    house.run(&["scan", "."]);
    let expected = [
        "covered 01T00:00:00Z 01T01:39:05Z",
        "unconfirmed 01T01:39:05Z 01T03:20:00Z",
        "covered 01T03:20:00Z 01T04:59:05Z",
    ];
    assert_eq!(coverage(&house), expected);
    assert_eq!(
        unconfirmed(&house),
        "FOLDER/server_audit.log follows FOLDER/server_audit.log.1, but connection ids 100 to 199 are in \
         neither: a log file is missing"
    );
    // Read piece by piece it is the same.
    let pieces = House::new();
    pieces.write(LOG, sessions(0..50));
    pieces.scan(&["."]);
    pieces.append(LOG, sessions(50..100));
    pieces.scan(&["."]);
    pieces.rename(LOG, "server_audit.log.1");
    pieces.write(LOG, sessions(200..207));
    pieces.run(&["scan", "."]);
    pieces.append(LOG, sessions(207..300));
    pieces.run(&["scan", "."]);
    assert_eq!(coverage(&pieces), expected);
    // What was missing is found, under whatever name.
    house.write("saved.log", sessions(100..200));
    house.run(&["scan", "."]);
    assert!(coverage(&house).iter().all(|it| it.starts_with("covered")), "{:?}", coverage(&house));
}

#[test]
fn the_first_ids_of_a_life_are_missed_when_the_server_started_again_between_two_files() {
    let house = House::new();
    house.write("server_audit.log.1", sessions_at(5000, 0..100));
    house.write(LOG, sessions_at(300, 400..500));
    house.run(&["scan", "."]);
    assert_eq!(
        unconfirmed(&house),
        "FOLDER/server_audit.log follows FOLDER/server_audit.log.1, but the server started again between \
         them and its first 299 connection ids are in neither: a log file is missing"
    );
    // A restart alone is nothing to wonder at.
    let house = House::new();
    house.write("server_audit.log.1", sessions_at(5000, 0..100));
    house.write(LOG, sessions_at(4, 400..500));
    house.scan(&["."]);
    assert!(coverage(&house).iter().all(|it| it.starts_with("covered")), "{:?}", coverage(&house));
}

#[test]
fn ids_that_are_missing_all_through_are_no_sign() {
    // Two of three ids are those of events, and the log was rotated in a silence of eight hours.
    let events = |id: u32, minutes: std::ops::Range<u32>| -> String {
        (0..).zip(minutes).map(|(n, minute)| session_at("app", id + 3 * n, minute)).collect()
    };
    let house = House::new();
    house.write("server_audit.log.1", events(1, 0..100));
    house.write(LOG, events(301 + 2 * 480, 580..680));
    house.scan(&["."]);
    assert!(coverage(&house).iter().all(|it| it.starts_with("covered")), "{:?}", coverage(&house));
    // Where logins are not audited names alone are the proof.
    let house = House::new();
    let queries = |id: u32, minutes: std::ops::Range<u32>| -> String {
        let query = |(id, minute): (u32, u32)| {
            let (hour, minute) = (minute / 60, minute % 60);
            format!("20261101 {hour:02}:{minute:02}:00,db1,app,h,{id},9,QUERY,,'select 1',0\n")
        };
        (id..).zip(minutes).map(query).collect()
    };
    house.write("server_audit.log.1", queries(1, 0..100));
    house.write(LOG, queries(5000, 200..300));
    house.run(&["scan", "."]);
    assert!(coverage(&house).iter().all(|it| it.starts_with("covered")), "{:?}", coverage(&house));
}

#[test]
fn numbers_between_which_one_is_missing_are_no_neighbours_though_the_older_was_followed() {
    let house = House::new();
    house.write(LOG, sessions(0..10));
    house.scan(&["."]);
    house.rename(LOG, "server_audit.log.2");
    house.write(LOG, sessions(12..20));
    house.run(&["scan", "."]);
    assert_eq!(coverage(&house)[1], "unconfirmed 01T00:09:05Z 01T00:12:00Z");
}

#[test]
fn dated_files_follow_by_the_day_or_by_what_was_seen() {
    let house = House::new();
    house.write("server_audit.log-20261101", sessions(0..10));
    house.write("server_audit.log-20261102", sessions_at(10, 1500..1510));
    house.write(LOG, sessions_at(20, 3000..3010));
    house.scan(&["."]);
    // A date does not tell that no file is missing before the live one.
    let states = |house: &House| -> Vec<String> {
        coverage(house).iter().map(|it| it.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(states(&house), ["covered", "covered", "unconfirmed", "covered"]);
    // It was the live one.
    house.rename(LOG, "server_audit.log-20261109");
    house.write(LOG, sessions_at(30, 6000..6010));
    house.scan(&["."]);
    assert_eq!(states(&house), ["covered", "covered", "unconfirmed", "covered", "covered"]);
}

#[test]
fn an_archive_closes_the_gap_of_a_log_that_was_lost() {
    let house = House::new();
    house.write(LOG, sessions(0..10));
    house.scan(&["."]);
    house.write("later.log", sessions(40..50));
    house.remove(LOG);
    house.rename("later.log", LOG);
    house.run(&["scan", "."]);
    assert_eq!(coverage(&house)[1], "gap 01T00:09:05Z 01T00:40:00Z");
    house.write("archive/saved.log", sessions(8..35));
    house.scan(&["archive"]);
    assert_eq!(
        coverage(&house),
        [
            "covered 01T00:00:00Z 01T00:09:05Z",
            "covered 01T00:08:00Z 01T00:34:05Z",
            "unconfirmed 01T00:34:05Z 01T00:40:00Z",
            "covered 01T00:40:00Z 01T00:49:05Z",
        ]
    );
    house.write("archive/rest.log", sessions(34..41));
    house.scan(&["archive"]);
    assert!(coverage(&house).iter().all(|it| it.starts_with("covered")), "{:?}", coverage(&house));
}

#[test]
fn a_torn_file_leaves_a_gap() {
    let house = House::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(sessions(0..500).as_bytes()).unwrap();
    let archive = encoder.finish().unwrap();
    house.write("server_audit.log.1.gz", &archive[..archive.len() / 2]);
    house.write(LOG, sessions_at(500, 600..610));
    house.run(&["scan", "."]);
    let torn = coverage(&house);
    assert_eq!(torn.len(), 3);
    assert!(torn[1].starts_with("gap ") && torn[1].ends_with(" 01T10:00:00Z"), "{torn:?}");
    let text = house.run(&["evidence", "--state", "gap", "-o", "json"]);
    assert!(
        text.contains("not read to its end, cut off or unreadable: FOLDER/server_audit.log.1.gz"),
        "{text}"
    );
    // The whole file closes it.
    house.write("server_audit.log.1.gz", archive);
    house.scan(&["."]);
    assert_eq!(
        coverage(&house),
        ["covered 01T00:00:00Z 01T08:19:05Z", "covered 01T08:19:05Z 01T10:09:05Z"]
    );
}

/// A statement of root in minute `minute` of the day.
fn statement(minute: u32, text: &str) -> String {
    let (hour, minute) = (minute / 60, minute % 60);
    let text = text.replace('\'', "\\'");
    format!("20261101 {hour:02}:{minute:02}:30,db1,root,localhost,2,77,QUERY,,'{text}',0\n")
}

/// The reasons of what is a gap or unconfirmed.
fn reasons(house: &House) -> Vec<String> {
    let rows = house.json(&["evidence", "-q"]);
    let open =
        rows.iter().filter(|row| ["gap", "unconfirmed"].map(Into::into).contains(&row["state"]));
    open.map(|row| row["reason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_plugin_that_is_off_is_a_gap_that_no_archive_closes() {
    let house = House::new();
    let off = statement(9, "SET GLOBAL server_audit_logging=OFF");
    let log = sessions(0..10) + &off + &sessions(40..50);
    house.write(LOG, &log);
    house.scan(&["."]);
    let expected = [
        "covered 01T00:00:00Z 01T00:09:30Z",
        "gap 01T00:09:30Z 01T00:40:00Z",
        "covered 01T00:40:00Z 01T00:49:05Z",
    ];
    assert_eq!(coverage(&house), expected);
    let reason =
        "plugin off, SET GLOBAL by root@localhost; of connection ids 11 to 40 some may be missing";
    assert_eq!(reasons(&house), [reason.replace("11 to 40", &lost(9, 40))]);
    let months = house.run(&["evidence", "--by", "month"]);
    assert!(months.contains("00:09 … 2026-11-01 00:40 plugin off"), "{months}");
    // The records of the covered parts are counted once.
    let rows = house.json(&["evidence", "-q"]);
    let records: u64 = rows.iter().map(|row| row["records"].as_u64().unwrap()).sum();
    assert_eq!(records, 41);
    // The seal holds it.
    house.run(&["evidence", "--seal", "seal"]);
    let seal = String::from_utf8(house.read("seal")).unwrap();
    assert!(seal.contains(r#"{"coverage":"gap","server":"db1""#), "{seal}");
    assert!(seal.contains("plugin off, SET GLOBAL by root@localhost"), "{seal}");
    assert!(house.run(&["evidence", "--verify", "seal"]).contains("1 proven"));
    // A copy of the same log read later, and one of other times of the plugin, leave it.
    house.write("archive/copy.log", &log[60..]);
    house.write("archive/other.log", statement(8, "select 1") + &sessions(45..46));
    house.run(&["scan", "archive"]);
    let gaps =
        || coverage(&house).into_iter().filter(|it| it.starts_with("gap")).collect::<Vec<_>>();
    assert!(
        gaps().iter().all(|it| it == expected[1]) && !gaps().is_empty(),
        "{:?}",
        coverage(&house)
    );
    // Nor does what it takes when all is read in other scans.
    let parts = House::new();
    parts.write(LOG, &log[..log.find("20261101 00:40").unwrap()]);
    parts.scan(&["."]);
    assert_eq!(coverage(&parts), [expected[0], "gap 01T00:09:30Z …"]);
    let text = parts.run(&["evidence"]);
    assert!(text.contains("a gap since 2026-11-01 00:09 has not ended"), "{text}");
    parts.append(LOG, sessions(40..50));
    parts.scan(&["."]);
    assert_eq!(coverage(&parts), expected);
}

/// The ids between those of two minutes.
fn lost(before: u32, behind: u32) -> String {
    let id = |minute: u32| {
        let line = sessions(minute..minute + 1);
        line.split(',').nth(4).unwrap().parse::<u64>().unwrap()
    };
    format!("{} to {}", id(before) + 1, id(behind) - 1)
}

#[test]
fn a_switch_at_the_end_of_a_file_reaches_into_the_next() {
    let house = House::new();
    house.write(
        "server_audit.log.1",
        sessions(0..10) + &statement(9, "SET @@global.server_audit_logging=0"),
    );
    house.write(LOG, sessions(40..50));
    house.scan(&["."]);
    assert_eq!(
        coverage(&house),
        [
            "covered 01T00:00:00Z 01T00:09:30Z",
            "gap 01T00:09:30Z 01T00:40:00Z",
            "covered 01T00:40:00Z 01T00:49:05Z",
        ]
    );
}

#[test]
fn logins_that_are_left_out_are_missing_until_one_is_written() {
    let house = House::new();
    let text = sessions(0..10)
        + &statement(9, "SET GLOBAL server_audit_events='QUERY'")
        + &statement(15, "select 1")
        + &sessions(40..50);
    house.write(LOG, text);
    house.scan(&["."]);
    assert_eq!(coverage(&house)[1], "gap 01T00:09:30Z 01T00:40:00Z");
    assert!(reasons(&house)[0].starts_with("logins are not audited (server_audit_events)"));
}

#[test]
fn syslog_closes_what_went_there() {
    let house = House::new();
    let to_syslog = statement(9, "SET GLOBAL server_audit_output_type=syslog");
    house.write(LOG, sessions(0..10) + &to_syslog + &sessions(40..50));
    house.scan(&["."]);
    assert_eq!(coverage(&house)[1], "gap 01T00:09:30Z 01T00:40:00Z");
    let lines: String = sessions(10..40)
        .lines()
        .map(|line| {
            let (stamp, rest) = line.split_once(',').unwrap();
            format!("2026-11-01T{}+00:00 db1 mysql-server_auditing: {rest}\n", &stamp[9..])
        })
        .collect();
    house.write("syslog/syslog", lines);
    house.scan(&["syslog"]);
    let open: Vec<String> =
        coverage(&house).into_iter().filter(|it| !it.starts_with("covered")).collect();
    assert_eq!(open, ["gap 01T00:09:30Z 01T00:10:00Z", "gap 01T00:39:05Z 01T00:40:00Z"]);
}

#[test]
fn another_file_closes_what_went_there() {
    let house = House::new();
    let to_path = statement(9, "SET GLOBAL server_audit_file_path='/var/log/other.log'");
    house.write("a/server_audit.log", sessions(0..10) + &to_path);
    house.scan(&["a"]);
    assert_eq!(
        coverage(&house),
        ["covered 01T00:00:00Z 01T00:09:30Z", "unconfirmed 01T00:09:30Z …"]
    );
    let off = statement(19, "SET GLOBAL server_audit_logging=OFF");
    house.write("b/other.log", sessions(10..20) + &off + &sessions(30..40));
    house.scan(&["b"]);
    let open: Vec<String> =
        coverage(&house).into_iter().filter(|it| !it.starts_with("covered")).collect();
    let expected = ["unconfirmed 01T00:09:30Z 01T00:10:00Z", "gap 01T00:19:30Z 01T00:30:00Z"];
    assert_eq!(open, expected);
}

#[test]
fn what_is_torn_is_unconfirmed_until_an_archive_has_it() {
    let house = House::new();
    let records = sessions(0..50);
    let (head, rest) = records.split_at(records.find("20261101 00:09").unwrap());
    let tail = &rest[rest.find("20261101 00:40").unwrap()..];
    // The disk was full: a record was cut off, and the next one written behind it.
    let glued = format!("{head}20261101 00:09:00,db1,app,10.0.0.7,1{tail}");
    house.write(LOG, glued);
    house.run(&["scan", "."]);
    let torn = coverage(&house);
    assert_eq!(torn.len(), 3, "{torn:?}");
    assert!(torn[1].starts_with("unconfirmed 01T00:08:05Z 01T00:40:"), "{torn:?}");
    let reason = &reasons(&house)[0];
    assert!(reason.starts_with("torn or unreadable at byte ") && reason.contains(LOG), "{reason}");
    // NUL bytes that a crash left.
    let crashed = House::new();
    crashed.write(
        LOG,
        [sessions(0..100).as_bytes(), &[0; 4096], sessions(130..140).as_bytes()].concat(),
    );
    crashed.run(&["scan", "."]);
    assert_eq!(coverage(&crashed)[1], "unconfirmed 01T01:39:05Z 01T02:10:00Z");
    for house in [&house, &crashed] {
        house.write("archive/whole.log", sessions(5..135));
        house.scan(&["archive"]);
        let states = coverage(house);
        assert!(states.iter().all(|it| it.starts_with("covered")), "{states:?}");
    }
}

#[test]
fn an_archive_that_is_cut_off_says_so_though_nothing_follows() {
    let house = House::new();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(sessions(0..500).as_bytes()).unwrap();
    let archive = encoder.finish().unwrap();
    house.write("server_audit.log.1.gz", &archive[..archive.len() / 2]);
    house.run(&["scan", "."]);
    let torn = coverage(&house);
    assert!(torn.len() == 2 && torn[1].starts_with("gap ") && torn[1].ends_with(" …"), "{torn:?}");
    house.write("server_audit.log.1.gz", archive);
    house.scan(&["."]);
    assert_eq!(coverage(&house), ["covered 01T00:00:00Z 01T08:19:05Z"]);
}

#[test]
fn where_less_tells_forged_logins_apart_is_said() {
    let weak = |log: String| {
        let house = House::new();
        house.write(LOG, log);
        house.scan(&["."]);
        let rows = house.json(&["evidence", "-q", "--state", "weak"]);
        let text = |row: &serde_json::Value| {
            assert_eq!(row["server"], "db1");
            let [from, to, reason] = ["from", "to", "reason"].map(|it| row[it].as_str().unwrap());
            let times = [from, to].map(|time| &time["2026-11-01T".len()..]).join(" ");
            format!("{times} {}: {}", row["records"], reason.split([':', ',']).next().unwrap())
        };
        rows.iter().map(text).collect::<Vec<String>>()
    };
    let record = |minute: u32, id: u32, what: &str| {
        format!("20261101 00:{minute:02}:00,db1,app,10.0.0.7,{id},{what}\n")
    };
    let (begin, end) = ("0,CONNECT,,,0", "0,DISCONNECT,,,0");
    let sessions = |first: u32| -> String {
        (0..20).map(|i| record(i, first + i, begin) + &record(i, first + i, end)).collect()
    };
    assert_eq!(weak(sessions(7)), [""; 0]);
    // The log begins when the server runs already.
    let inside = "00:00:00Z 00:00:30Z 0: connections before 4711 are not in these logs";
    assert_eq!(weak(sessions(4711)), [inside]);
    // So it does where it begins with a session's end; that one began before it.
    assert_eq!(weak(record(0, 4700, end) + &sessions(4711)).len(), 1);
    // Of every other session the login is left out.
    let filtered = (0..21).map(|i| {
        let login = if i % 2 == 0 { record(i, 7 + i, begin) } else { String::new() };
        login + &record(i, 7 + i, end)
    });
    let missing = "00:01:00Z 00:19:00Z 10: sessions end whose logins are not in these logs";
    assert_eq!(weak(filtered.collect()), [missing]);
    // Statements alone.
    let statements = (0..3).map(|i| record(i, 7, "9,QUERY,shop,'select 1',0"));
    let nobody = "00:00:00Z 00:02:00Z 3: no connection is told of";
    assert_eq!(weak(statements.collect()), [nobody]);
}
