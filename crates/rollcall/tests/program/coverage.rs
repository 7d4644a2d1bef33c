//! What `evidence` calls covered, unconfirmed and a gap, over the files of a log.

use std::io::Write as _;

use super::house::{House, sessions};

const LOG: &str = "server_audit.log";

/// State, from and to (day and time of November) of what is covered, unconfirmed or a gap.
fn coverage(house: &House) -> Vec<String> {
    let rows = house.json(&["evidence", "-q"]);
    let mut texts: Vec<(String, String)> = rows
        .iter()
        .map(|row| {
            let time = |field: &str| row[field].as_str().unwrap()["2026-11-".len()..].to_owned();
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
    house.write(LOG, sessions(100..110));
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

#[test]
fn dated_files_follow_by_the_day_or_by_what_was_seen() {
    let house = House::new();
    house.write("server_audit.log-20261101", sessions(0..10));
    house.write("server_audit.log-20261102", sessions(1500..1510));
    house.write(LOG, sessions(3000..3010));
    house.scan(&["."]);
    // A date does not tell that no file is missing before the live one.
    let states = |house: &House| -> Vec<String> {
        coverage(house).iter().map(|it| it.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(states(&house), ["covered", "covered", "unconfirmed", "covered"]);
    // It was the live one.
    house.rename(LOG, "server_audit.log-20261109");
    house.write(LOG, sessions(6000..6010));
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
    house.write(LOG, sessions(600..610));
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
