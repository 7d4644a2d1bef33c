//! A ledger of conntracker is taken over, and what its users ask goes on working.

mod common;

use common::{Log, UTC_START, add_log, fresh, keeping, line};
use jiff::tz::TimeZone;
use ledger::{Filter, Keeping, Ledger};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;

const OLD: &str = "
    CREATE TABLE Accounts (name TEXT, host TEXT, last_seen TIMESTAMP, PRIMARY KEY (name, host));
    INSERT INTO Accounts VALUES
      ('mysql', 'localhost', '2024-10-14 13:22:57+02:00'),
      ('root', 'localhost', '2024-10-14 13:23:57+02:00'),
      ('o''brien \"x\", y', 'example.com', '2024-10-13 09:11:57+02:00'),
      ('broken', 'h', 'no time');";

fn zurich() -> Keeping {
    let mut keeping = keeping(UTC_START);
    keeping.local_text = Some(Arc::new(|at| {
        let zone = TimeZone::get("Europe/Zurich").unwrap();
        let time = jiff::Timestamp::from_microsecond(at).unwrap().to_zoned(zone);
        time.strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
    }));
    keeping
}

fn take_over(ledger: &mut Ledger) {
    let ingest = ledger.ingest(zurich()).unwrap();
    ingest
        .take_over_accounts(&|text| {
            let time = jiff::Zoned::strptime("%Y-%m-%d %H:%M:%S%:z", text);
            let stamp = jiff::fmt::strtime::parse("%Y-%m-%d %H:%M:%S%:z", text)
                .and_then(|parts| parts.to_timestamp());
            time.map(|it| it.timestamp()).or(stamp).ok().map(|at| at.as_microsecond())
        })
        .unwrap();
    ingest.finish().unwrap();
}

/// User, host, newest login, logins.
type Row<'a> = (&'a [u8], &'a [u8], Option<i64>, u64);

/// What `sqlite3 LEDGER 'SELECT name, host, last_seen FROM Accounts'` prints, sorted.
fn printed(path: &Path) -> Vec<String> {
    let db = Connection::open(path).unwrap();
    let mut query = db.prepare("SELECT name, host, last_seen FROM Accounts").unwrap();
    let rows = query.query_map([], |row| {
        let text = |column| row.get::<_, String>(column);
        Ok(format!("{}|{}|{}", text(0)?, text(1)?, text(2)?))
    });
    let mut rows: Vec<String> = rows.unwrap().map(Result::unwrap).collect();
    rows.sort();
    rows
}

#[test]
fn an_old_ledger_is_taken_over_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    Connection::open(&path).unwrap().execute_batch(OLD).unwrap();
    let mut ledger = Ledger::create(&path).unwrap();
    for _ in 0..2 {
        take_over(&mut ledger);
        let seen = ledger.seen(&Filter::default()).unwrap();
        let rows: Vec<Row<'_>> = seen
            .iter()
            .map(|row| (&row.user[..], &row.host[..], row.last_seen, row.logins))
            .collect();
        // 2024-10-13T07:11:57Z and 2024-10-14T11:23:57Z; the marker is no login, and what cannot be
        // read stays where it is.
        let expected: [Row<'_>; 2] = [
            (b"o'brien \"x\", y", b"example.com", Some(1_728_803_517_000_000), 0),
            (b"root", b"localhost", Some(1_728_905_037_000_000), 0),
        ];
        assert_eq!(rows, expected);
        assert!(seen.iter().all(|row| row.server.is_empty() && row.first_seen.is_none()));
    }
    assert_eq!(
        printed(&path),
        [
            "mysql|localhost|2026-01-01 01:00:00+01:00",
            "o'brien \"x\", y|example.com|2024-10-13 09:11:57+02:00",
            "root|localhost|2024-10-14 13:23:57+02:00",
        ]
    );
    let db = Connection::open(&path).unwrap();
    let kept: i64 =
        db.query_row("SELECT count(*) FROM conntracker_accounts", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 4);
}

#[test]
fn accounts_holds_the_newest_login_over_all_servers_and_the_marker() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    Connection::open(&path).unwrap().execute_batch(OLD).unwrap();
    let mut ledger = Ledger::create(&path).unwrap();
    take_over(&mut ledger);
    for (server, hour) in [("db1", 5), ("db2", 9), ("db3", 7)] {
        let at = UTC_START - 86_400_000_000 + hour * 3_600_000_000;
        let mut log = Log::default();
        for (user, host, id) in [("root", "localhost", 4), ("mysql", "localhost", 5)] {
            log.push(line(at, server, user, host, id, "CONNECT", 0));
        }
        log.push(line(at, server, "eve", "192.0.2.1", 6, "FAILED_CONNECT", 1045));
        add_log(&mut ledger, zurich(), server, &log);
    }
    // mysql@localhost is a real account, whose logins are seen; its row in the table is the marker.
    let user = Some(b"mysql".to_vec());
    let seen = ledger.seen(&Filter { user, ..Filter::default() }).unwrap();
    assert_eq!(seen.iter().map(|row| row.logins).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(
        printed(&path),
        [
            "mysql|localhost|2026-01-01 01:00:00+01:00",
            "o'brien \"x\", y|example.com|2024-10-13 09:11:57+02:00",
            "root|localhost|2025-12-31 10:00:00+01:00",
        ]
    );
}

#[test]
fn a_ledger_of_our_own_has_nothing_to_take_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let mut ledger = Ledger::create(&path).unwrap();
    assert!(printed(&path).is_empty());
    take_over(&mut ledger);
    assert!(ledger.seen(&Filter::default()).unwrap().is_empty());
    assert_eq!(printed(&path), ["mysql|localhost|2026-01-01 01:00:00+01:00"]);
}
