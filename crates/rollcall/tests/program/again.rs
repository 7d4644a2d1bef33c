//! Reading again: only what is new counts, however the files were moved, packed or copied.

use std::io::Write as _;

use insta::assert_snapshot;

use super::house::{House, QUIET, session, sessions};

fn gz(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(content.as_ref()).unwrap();
    out.finish().unwrap()
}

fn zst(content: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(content.as_ref(), 1).unwrap()
}

/// The answers of a ledger that has read `content` from one file at one go.
fn answers_of(content: &str) -> String {
    let house = House::new();
    house.write("all.log", content);
    house.scan(&["all.log"]);
    house.answers()
}

#[test]
fn a_second_scan_adds_nothing() {
    let house = House::new();
    house.write("logs/server_audit.log", sessions(1..100));
    house.scan(&["logs"]);
    let once = house.answers();
    assert_eq!(once, answers_of(&sessions(1..100)));
    for arguments in [&["logs"][..], &["logs/server_audit.log"], &["logs", "logs/*.log", "logs"]] {
        house.scan(arguments);
        assert_eq!(house.answers(), once, "{arguments:?}");
    }
}

#[test]
fn appended_lines_alone_are_read() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..100));
    house.scan(&["server_audit.log"]);
    for (from, to) in [(100, 101), (101, 150), (150, 400)] {
        house.append("server_audit.log", sessions(from..to));
        house.scan(&["server_audit.log"]);
        assert_eq!(house.answers(), answers_of(&sessions(1..to)), "{to}");
    }
}

#[test]
fn rotation_between_scans_loses_and_doubles_nothing() {
    let house = House::new();
    house.write("logs/server_audit.log", sessions(1..10));
    house.scan(&["logs"]);
    let mut end = 10;
    for turn in 0..4 {
        // Something more is written before the file is moved away.
        house.append("logs/server_audit.log", sessions(end..end + 5));
        for number in (1..=turn).rev() {
            house.rename(
                &format!("logs/server_audit.log.{number}"),
                &format!("logs/server_audit.log.{}", number + 1),
            );
        }
        house.rename("logs/server_audit.log", "logs/server_audit.log.1");
        house.write("logs/server_audit.log", sessions(end + 5..end + 10));
        end += 10;
        house.scan(&["logs"]);
        assert_eq!(house.answers(), answers_of(&sessions(1..end)), "{turn}");
    }
}

#[test]
fn a_partly_read_file_that_is_packed_goes_on_where_it_was() {
    for (ending, pack) in [("gz", gz as fn(Vec<u8>) -> Vec<u8>), ("zst", zst)] {
        let house = House::new();
        house.write("logs/server_audit.log", sessions(1..100));
        house.scan(&["logs"]);
        house.append("logs/server_audit.log", sessions(100..150));
        let packed = pack(house.read("logs/server_audit.log"));
        house.write(&format!("logs/server_audit.log.1.{ending}"), packed);
        house.write("logs/server_audit.log", sessions(150..160));
        house.scan(&["logs"]);
        assert_eq!(house.answers(), answers_of(&sessions(1..160)), "{ending}");
        house.scan(&["logs"]);
        assert_eq!(house.answers(), answers_of(&sessions(1..160)), "{ending}");
    }
}

#[test]
fn a_log_that_is_copied_and_truncated_is_followed() {
    let house = House::new();
    house.write("logs/server_audit.log", sessions(1..100));
    house.scan(&["logs"]);
    // Records that nobody has read yet move into the copy; the new ones may be fewer or more.
    for (turn, fresh) in [(1, 3), (2, 200), (3, 1)] {
        let end = turn * 400;
        house.append("logs/server_audit.log", sessions(end..end + 5));
        let content = house.read("logs/server_audit.log");
        house.write(&format!("logs/server_audit.log.{}", 10 - turn), content);
        house.write("logs/server_audit.log", sessions(end + 5..end + 5 + fresh));
        house.scan(&["logs"]);
    }
    let all = [1..100, 400..408, 800..1005, 1200..1206].map(sessions).concat();
    assert_eq!(house.answers(), answers_of(&all));
}

/// Two logs under unlike names may both have seen a login, so of each hour the larger count stands;
/// that is said, for they may be two parts of one log.
#[test]
fn parts_of_a_log_that_do_not_look_so_are_named() {
    let house = House::new();
    house.write("monday.log", sessions(1..20));
    house.write("tuesday.log", sessions(20..40));
    let text = house.run(&["report", "monday.log", "tuesday.log"]);
    let said = "db1: FOLDER/monday.log and FOLDER/tuesday.log tell of the same hours";
    assert!(text.contains(said), "{text}");
    let both = [house.read("monday.log"), house.read("tuesday.log")].concat();
    assert_eq!(house.pipe(&["scan", "-"], &both), QUIET);
    assert_eq!(house.answers(), answers_of(&sessions(1..40)));
}

#[test]
fn copies_do_not_count() {
    let house = House::new();
    let content = sessions(1..100);
    house.write("logs/server_audit.log", &content);
    house.write("logs/copy.log", &content);
    house.write("logs/server_audit.log.1.gz", gz(&content));
    house.scan(&["logs"]);
    assert_eq!(house.answers(), answers_of(&content));
    house.write("later.log", &content);
    house.write("later.zst", zst(&content));
    house.scan(&["later.log", "later.zst"]);
    assert_eq!(house.answers(), answers_of(&content));
}

#[test]
fn a_shorter_copy_is_told() {
    let house = House::new();
    let content = sessions(1..100);
    house.write("server_audit.log", &content);
    house.scan(&["server_audit.log"]);
    house.write("copy.log", &content[..content.len() / 2]);
    assert_snapshot!(house.run(&["scan", "copy.log"]), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: FOLDER/copy.log: begins as a log that was read further and ends before: taken for a shorter copy, so nothing of it is read
    "#);
    assert_eq!(house.answers(), answers_of(&content));
}

#[test]
fn a_log_that_was_changed_behind_the_mark_is_not_guessed_at() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..300));
    house.scan(&["server_audit.log"]);
    let answers = house.answers();
    // In the last records that were read; a log is known again by its beginning.
    let changed =
        sessions(1..290) + &sessions(290..300).replace("cms", "CMS") + &sessions(300..310);
    house.write("server_audit.log", changed);
    assert_snapshot!(house.run(&["scan", "server_audit.log"]), @r#"
    exit 3
    --- stdout
    --- stderr
    rollcall: FOLDER/server_audit.log: what was read of it before has been changed since; nothing of it is read, because what is new cannot be told from what was counted: restore the file
    "#);
    assert_eq!(house.answers(), answers);
}

#[test]
fn a_replaced_log_is_read_and_the_gap_is_told() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..100));
    house.scan(&["server_audit.log"]);
    house.write("other", sessions(500..510));
    house.rename("other", "server_audit.log");
    assert_snapshot!(house.run(&["scan", "server_audit.log"]), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: FOLDER/server_audit.log: the log that stood there was read up to byte 11,367 and is gone; what may have followed is lost: rollcall evidence
    "#);
    assert_snapshot!(house.run(&["seen", "--sort", "user", "-q"]), @r#"
    exit 0
    --- stdout
    3 rows, times in UTC
    LAST LOGIN        USER  FROM      SERVER  LOGINS  REFUSED  LAST REFUSED  FIRST LOGIN       LAST ACTIVE
    2026-11-01 08:27  app   10.0.0.1  db1         36        0  –             2026-11-01 00:03  2026-11-01 08:27
    2026-11-01 08:28  cms   10.0.0.1  db1         36        0  –             2026-11-01 00:01  2026-11-01 08:28
    2026-11-01 08:29  etl   10.0.0.1  db1         37        0  –             2026-11-01 00:02  2026-11-01 08:29
    --- stderr
    "#);
    let rows = house.json(&["evidence", "-q"]);
    let states: Vec<&str> = rows.iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["covered", "gap", "covered"]);
    assert_eq!(rows[1]["from"], "2026-11-01T01:39:05Z");
}

#[test]
fn a_cut_at_every_byte_of_the_last_lines_loses_nothing() {
    let (head, tail) = (sessions(1..20), session("line", 21) + &session("end", 22));
    let whole = answers_of(&format!("{head}{tail}"));
    for at in (0..tail.len()).step_by(7) {
        let house = House::new();
        house.write("server_audit.log", format!("{head}{}", &tail[..at]));
        house.scan(&["server_audit.log"]);
        house.append("server_audit.log", &tail[at..]);
        house.scan(&["server_audit.log"]);
        assert_eq!(house.answers(), whole, "cut at {at}");
    }
}

#[test]
fn files_in_any_order_give_the_same_answers() {
    let parts = [1..40, 40..41, 41..200, 200..260].map(sessions);
    let whole = answers_of(&parts.concat());
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
        let house = House::new();
        for (number, part) in parts.iter().enumerate() {
            house.write(&format!("server_audit.log.{number}"), part);
        }
        for number in order {
            house.scan(&[&format!("server_audit.log.{number}")]);
        }
        assert_eq!(house.answers(), whole, "{order:?}");
    }
}

#[test]
fn a_pipe_is_known_again_by_its_content() {
    let house = House::new();
    // Longer than the 4 KiB that a log is known by, then longer than what is looked at ahead.
    for end in [20, 20, 100, 100, 1500, 1600] {
        assert_eq!(house.pipe(&["scan", "-"], sessions(1..end).as_bytes()), QUIET);
        assert_eq!(house.answers(), answers_of(&sessions(1..end)), "{end}");
    }
    assert_eq!(house.pipe(&["scan", "-"], &gz(sessions(1..1600))), QUIET);
    assert_eq!(house.answers(), answers_of(&sessions(1..1600)));
    assert_eq!(house.pipe(&["scan", "-"], &gz(sessions(1..1700))), QUIET);
    assert_eq!(house.pipe(&["scan", "-"], &zst(sessions(1..1800))), QUIET);
    assert_eq!(house.answers(), answers_of(&sessions(1..1800)));
    let shorter = house.pipe(&["scan", "-"], sessions(1..1700).as_bytes());
    assert_snapshot!(shorter, @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: standard input: all of it was read before: nothing is new
    "#);
    assert_eq!(house.answers(), answers_of(&sessions(1..1800)));
}

#[test]
fn a_pipe_or_an_archive_that_ends_inside_a_record_goes_on_later() {
    let content = sessions(1..30);
    let cut = content.len() - 20;
    let house = House::new();
    let said = house.pipe(&["scan", "-"], &content.as_bytes()[..cut]);
    assert_snapshot!(said, @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: standard input: its last record is not complete (39 bytes): left until there is more
    "#);
    assert_eq!(house.pipe(&["scan", "-"], content.as_bytes()), QUIET);
    assert_eq!((house.answers(), house.doubts()), (answers_of(&content), (0, 0)));

    let house = House::new();
    house.write("server_audit.log.1.gz", gz(&content[..cut]));
    assert_snapshot!(house.run(&["scan", "server_audit.log.1.gz"]), @r#"
    exit 0
    --- stdout
    --- stderr
    rollcall: FOLDER/server_audit.log.1.gz: its last record is not complete (39 bytes): left until there is more
    "#);
    house.scan(&["server_audit.log.1.gz"]);
    house.write("server_audit.log.1.gz", gz(&content));
    house.scan(&["server_audit.log.1.gz"]);
    assert_eq!((house.answers(), house.doubts()), (answers_of(&content), (0, 0)));
}

/// The gaps of the ledger: source path apart, what they say.
fn gaps(house: &House) -> Vec<(String, String, String)> {
    let rows = house.json(&["evidence", "-q"]);
    let gaps = rows.iter().filter(|row| row["state"] == "gap");
    let text = |row: &serde_json::Value, field: &str| {
        let text = row[field].as_str().unwrap_or_default();
        text.replace(house.folder().to_str().unwrap(), "FOLDER")
    };
    gaps.map(|row| (text(row, "from"), text(row, "to"), text(row, "reason"))).collect()
}

fn gap(from: &str, to: &str, reason: &str) -> (String, String, String) {
    let at = |text: &str| format!("2026-11-01T{text}Z");
    (at(from), at(to), reason.to_owned())
}

#[test]
fn a_log_that_was_named_alone_is_followed_beside_it() {
    for place in ["server_audit.log.1", "server_audit.log-20261101", "old/server_audit.log.01"] {
        let house = House::new();
        house.write("old/keep", "");
        house.write("server_audit.log", sessions(1..100));
        house.scan(&["server_audit.log"]);
        house.append("server_audit.log", sessions(100..110));
        house.rename("server_audit.log", place);
        house.write("server_audit.log", sessions(110..120));
        house.scan(&["server_audit.log"]);
        assert_eq!(house.answers(), answers_of(&sessions(1..120)), "{place}");
        // Where the server has not opened it anew, too.
        house.append("server_audit.log", sessions(120..130));
        house.rename("server_audit.log", "server_audit.log-20261102");
        let said = house.run(&["scan", "server_audit.log"]);
        assert!(said.contains("server_audit.log: no such file"), "{said}");
        assert_eq!(house.answers(), answers_of(&sessions(1..130)), "{place}");
        assert_eq!(gaps(&house), []);
    }
}

#[test]
fn rotations_that_overwrote_what_was_not_read_leave_one_gap() {
    let house = House::new();
    house.write("logs/server_audit.log", sessions(1..100));
    house.scan(&["logs"]);
    // Two rotations, of which one is kept.
    house.write("logs/server_audit.log.1", sessions(200..210));
    house.write("logs/server_audit.log", sessions(210..220));
    let said = house.run(&["scan", "logs"]);
    assert!(said.contains("was read up to byte 11,367 and is gone"), "{said}");
    let reason = "gone before its end was read, if anything followed, from byte 11367: \
                  FOLDER/logs/server_audit.log; of connection ids 100 to 199 some may be missing";
    let expected = vec![gap("01:39:05", "03:20:00", reason)];
    assert_eq!(gaps(&house), expected);
    // It is told once, however often the log is rotated from now on.
    for turn in 0..3 {
        house.rename("logs/server_audit.log", &format!("logs/server_audit.log-2026110{turn}"));
        house.write("logs/server_audit.log", sessions(220 + turn * 10..230 + turn * 10));
        house.scan(&["logs"]);
        assert_eq!(gaps(&house), expected);
    }
    // What comes back is missing no more.
    house.write("logs/server_audit.log-20261031", sessions(1..150));
    house.scan(&["logs"]);
    let all = [1..150, 200..250].map(sessions).concat();
    assert_eq!(house.answers(), answers_of(&all));
    assert_eq!(gaps(&house)[0].0, "2026-11-01T02:29:05Z");
}

#[test]
fn what_was_written_between_the_copy_and_the_cut_lies_in_a_gap() {
    let house = House::new();
    house.write("logs/server_audit.log", sessions(1..100));
    house.scan(&["logs"]);
    house.append("logs/server_audit.log", sessions(100..110));
    let content = house.read("logs/server_audit.log");
    house.write("logs/server_audit.log.1", content);
    house.write("logs/server_audit.log", sessions(112..120));
    house.scan(&["logs"]);
    let reason = "copied and cut to nothing: what was written in between, if anything, is lost, from \
                  byte 12537: FOLDER/logs/server_audit.log; of connection ids 110 to 111 some may be \
                  missing";
    let gaps = gaps(&house);
    // Not every file system knows when a file was made: without that nothing tells of the cut.
    let born = std::fs::metadata(house.path("logs/server_audit.log")).unwrap().created().is_ok();
    assert_eq!(gaps, if born { vec![gap("01:49:05", "01:52:00", reason)] } else { vec![] });
}

#[test]
fn a_cut_archive_that_is_deleted_leaves_a_gap() {
    let house = House::new();
    let content: String =
        (1..4000).map(|id| session(&format!("u{}", id * 7919 % 3001), id)).collect();
    let packed = gz(&content);
    house.write("logs/server_audit.log", sessions(5000..5001));
    house.write("logs/server_audit.log.1.gz", &packed[..packed.len() / 2]);
    let said = house.run(&["scan", "logs"]);
    assert!(said.starts_with("exit 3"), "{said}");
    house.remove("logs/server_audit.log.1.gz");
    let said = house.run(&["scan", "logs"]);
    assert!(
        said.contains("server_audit.log.1.gz: the log that stood there was read up to"),
        "{said}"
    );
    assert_eq!(gaps(&house).len(), 1);
    house.scan(&["logs"]);
    assert_eq!(gaps(&house).len(), 1);
}

#[test]
fn a_log_that_was_cut_inside_its_first_page_goes_on_behind_what_was_read() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..20));
    house.scan(&["server_audit.log"]);
    // A shorter copy, then one that was written on.
    house.write("copy.log", sessions(1..10));
    house.scan(&["copy.log"]);
    assert_eq!(house.answers(), answers_of(&sessions(1..20)));
    house.write("server_audit.log", sessions(1..5) + &sessions(30..40));
    house.run(&["scan", "server_audit.log"]);
    assert_eq!(house.answers(), answers_of(&(sessions(1..20) + &sessions(30..40))));
    assert_eq!(house.pipe(&["scan", "-"], sessions(1..7).as_bytes()), QUIET);
    assert_eq!(house.answers(), answers_of(&(sessions(1..20) + &sessions(30..40))));
}

#[test]
fn a_log_that_was_cut_behind_its_first_page_is_not_guessed_at() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..300));
    house.scan(&["server_audit.log"]);
    let answers = house.answers();
    house.write("server_audit.log", sessions(1..100));
    house.append("server_audit.log", sessions(400..410));
    for _ in 0..2 {
        let said = house.run(&["scan", "server_audit.log", "-q"]);
        assert!(said.starts_with("exit 3") && said.contains("it was cut to less"), "{said}");
        assert_eq!(house.answers(), answers);
        assert_eq!(gaps(&house).len(), 1);
    }
}

#[test]
fn a_ledger_that_is_copied_moved_or_put_back_counts_nothing_twice() {
    let house = House::new();
    house.write("logs/server_audit.log", sessions(1..100));
    house.scan(&["logs"]);
    let copy = house.read("ledger.sqlite");
    house.append("logs/server_audit.log", sessions(100..150));
    house.rename("logs/server_audit.log", "logs/server_audit.log.1");
    house.write("logs/server_audit.log", sessions(150..160));
    // The copy goes on beside the first.
    house.write("copy/other.sqlite", &copy);
    for _ in 0..2 {
        house.scan(&["logs"]);
        house.scan(&["logs", "--ledger", "copy/other.sqlite"]);
    }
    let whole = answers_of(&sessions(1..160));
    assert_eq!(house.answers(), whole);
    house.remove("ledger.sqlite");
    house.rename("copy/other.sqlite", "ledger.sqlite");
    assert_eq!(house.answers(), whole);
    // An old copy is put back, and what it lacks is read again.
    house.write("ledger.sqlite", &copy);
    house.write("logs/server_audit.log.1.gz", gz(house.read("logs/server_audit.log.1")));
    house.remove("logs/server_audit.log.1");
    house.scan(&["logs"]);
    assert_eq!((house.answers(), gaps(&house)), (whole, vec![]));
}

#[test]
fn a_file_that_comes_back_after_it_was_forgotten_is_not_counted_again() {
    let house = House::new();
    let old = sessions(1..50).replace("202611", "202101");
    house.write("logs/server_audit.log.1", &old);
    house.write("logs/server_audit.log", sessions(50..60));
    house.scan(&["logs"]);
    house.scan(&["logs"]);
    house.remove("logs/server_audit.log.1");
    // As if it had been found last years ago.
    let db = rusqlite::Connection::open(house.path("ledger.sqlite")).unwrap();
    db.execute_batch("UPDATE sighting SET day_us = 0; DELETE FROM meta WHERE key = 'pruned_to'")
        .unwrap();
    db.execute("INSERT INTO meta VALUES ('pruned_to', '')", []).unwrap();
    house.scan(&["logs"]);
    let files =
        || db.query_row("SELECT count(*) FROM file", [], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(files(), 1);
    let answers = house.answers();
    assert_eq!(answers, answers_of(&(old.clone() + &sessions(50..60))));
    // Under another name, packed, or through a pipe.
    let words = "it begins on 2021-01-01, and this ledger has forgotten";
    house.write("logs/server_audit.log.7", &old);
    house.write("logs/server_audit.log.8.gz", gz(&old));
    let said = house.run(&["scan", "logs"]);
    assert!(said.starts_with("exit 3") && said.matches(words).count() == 2, "{said}");
    let said = house.pipe(&["scan", "-"], old.as_bytes());
    assert!(said.starts_with("exit 3") && said.contains(words), "{said}");
    assert_eq!((house.answers(), files()), (answers, 1));
    // What is newer is read as ever, and a seal knows that something is missing.
    house.write("logs/server_audit.log.1", sessions(60..70));
    assert!(house.run(&["scan", "logs"]).starts_with("exit 3"));
    assert_eq!(house.answers(), answers_of(&(old + &sessions(50..70))));
    let said = house.run(&["evidence", "--seal", "seal.txt"]);
    assert!(said.starts_with("exit 0") && files() == 2, "{said}");
}
