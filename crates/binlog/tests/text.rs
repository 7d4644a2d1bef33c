//! Rows in the style of the servers' own tools, against what these printed for the same logs.

mod common;

use binlog::{Event, Family};
use common::replay::Replay;
use common::{SERVERS, each_event, fixture};

/// The lines of rows, and no others.
fn lines_of_rows(text: &[u8]) -> Vec<&[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"###")).collect()
}

fn ours(log: &[u8], family: Family) -> Vec<u8> {
    let mut replay = Replay::default();
    let mut text = Vec::new();
    each_event(log, |_, event| {
        replay.take(event, &std::collections::BTreeMap::new());
        if let Event::Rows(rows) = event {
            let mut rows = rows.rows(&replay.maps[&rows.table_id]).expect("its table");
            binlog::write_rows(&mut rows, family, &mut text).expect("rows");
        }
    });
    text
}

/// Every line, byte for byte. MySQL's tool gives up at the first GEOMETRY of an event: those are
/// left out on both sides.
#[test]
fn rows_are_what_the_servers_own_tools_print() {
    let mut compared = 0;
    for server in SERVERS {
        let mysql = server.starts_with("mysql");
        let family = if mysql { Family::MySql } else { Family::MariaDb };
        for scenario in
            ["types", "minimal", "compressed", "transactions", "statement-format", "no-checksum"]
        {
            let name = format!("{server}-{scenario}");
            let ours = ours(&fixture(&format!("{name}.binlog")), family);
            let theirs = fixture(&format!("{name}.text"));
            let (mut ours, mut theirs) = (groups(&ours), groups(&theirs));
            if mysql {
                ours.retain(|group| !group[0].ends_with(b"`shapes`"));
                theirs.retain(|group| !group[0].ends_with(b"`shapes`"));
            }
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert_eq!(
                    ours.iter().map(|line| line.escape_ascii().to_string()).collect::<Vec<_>>(),
                    theirs.iter().map(|line| line.escape_ascii().to_string()).collect::<Vec<_>>(),
                    "{name}"
                );
                compared += ours.len();
            }
            assert_eq!(ours.len(), theirs.len(), "{name}");
        }
    }
    assert!(compared > 3000, "{compared} lines");
}

/// Lines by the row they belong to.
fn groups(text: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut groups: Vec<Vec<&[u8]>> = Vec::new();
    for line in lines_of_rows(text) {
        let begins = [&b"### INSERT"[..], b"### UPDATE", b"### DELETE"];
        if begins.iter().any(|words| line.starts_with(words)) {
            groups.push(Vec::new());
        }
        groups.last_mut().expect("a row").push(line);
    }
    groups
}
