//! Logs of real servers against what SELECT showed: `tests/fixtures/binlog`.

mod common;

use common::replay::Replay;
use common::{SERVERS, folder};

fn check(server: &str, scenario: &str) -> Replay {
    common::replay::check(&folder(), &format!("{server}-{scenario}"))
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
