//! Logs of real servers against what SELECT showed: `tests/fixtures/binlog`.

mod common;

use std::collections::BTreeMap;

use common::replay::{Columns, Replay, agrees};
use common::{SERVERS, each_event, expected, fixture, folder};

/// Plays a log into tables and compares these with what SELECT showed.
fn check(server: &str, scenario: &str) -> Replay {
    let name = format!("{server}-{scenario}");
    let lines = expected(&folder(), &name);
    let tables: BTreeMap<String, &serde_json::Value> =
        lines.iter().filter_map(|line| Some((line["table"].as_str()?.to_string(), line))).collect();
    let columns = tables.iter().map(|(name, table)| (name.clone(), Columns::of(table))).collect();
    let mut replay = Replay::default();
    each_event(&fixture(&format!("{name}.binlog")), |_, event| replay.take(event, &columns));
    for (table, wanted) in tables {
        let found =
            replay.tables.get(&table).unwrap_or_else(|| panic!("{name}: no rows of {table}"));
        let rows = wanted["rows"].as_array().expect("rows");
        assert_eq!(found.len(), rows.len(), "{name}: rows of {table}");
        for ((id, found), wanted) in found.iter().zip(rows) {
            let wanted = wanted.as_array().expect("a row");
            for ((column, found), wanted) in columns[&table].0.iter().zip(found).zip(wanted) {
                let (column, kind, data_type) = column;
                assert!(
                    agrees(data_type, found, wanted),
                    "{name}: {table} {id}: {column} {kind}: {found:?} instead of {wanted}"
                );
            }
        }
    }
    replay
}

#[test]
fn every_type_is_what_select_shows() {
    for server in SERVERS {
        for scenario in ["types", "types-full"] {
            let replay = check(server, scenario);
            assert!(replay.changes > 60, "{server}: {} changes", replay.changes);
        }
    }
}

#[test]
fn images_that_hold_few_columns() {
    for server in SERVERS {
        check(server, "minimal");
    }
}

#[test]
fn compressed_events_and_transactions() {
    for server in SERVERS {
        check(server, "compressed");
    }
}

#[test]
fn logs_without_checksums() {
    for server in SERVERS {
        check(server, "no-checksum");
    }
}
