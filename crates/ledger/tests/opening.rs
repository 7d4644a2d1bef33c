//! Files that are a ledger, that were one, and that are none; writers and readers side by side.

mod common;

use common::{Log, UTC_START, add_log, everything, fresh, keeping, line};
use ledger::{Error, Filter, Keeping, Ledger};
use rusqlite::Connection;
use std::path::Path;

fn log() -> Log {
    let mut log = Log::default();
    log.push(line(UTC_START, "db1", "app", "10.0.0.7", 4, "CONNECT", 0));
    log.push(line(UTC_START, "db1", "eve", "192.0.2.9", 5, "FAILED_CONNECT", 1045));
    // The login is settled.
    for _ in 0..4 {
        log.push(line(UTC_START + 60_000_000, "db1", "app", "10.0.0.7", 4, "QUERY", 0));
    }
    log
}

fn filled(path: &Path) -> Ledger {
    let mut ledger = Ledger::create(path).unwrap();
    add_log(&mut ledger, keeping(UTC_START), "/var/log/audit.log", &log());
    ledger
}

fn sql(path: &Path, text: &str) {
    Connection::open(path).unwrap().execute_batch(text).unwrap();
}

/// What opening says, for reading and for writing.
fn refusal(path: &Path) -> String {
    let before = std::fs::read(path).ok();
    let error = Ledger::open(path).unwrap_err().to_string();
    let other = Ledger::create(path).unwrap_err().to_string();
    assert_eq!(error, other);
    assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
    assert_eq!(before, std::fs::read(path).ok(), "it was changed");
    error
}

#[test]
fn a_missing_ledger_is_missing_and_is_not_made_by_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a").join("ledger.sqlite");
    assert!(matches!(Ledger::open(&path), Err(Error::Missing { .. })));
    assert!(!path.exists());
    Ledger::create(&path).unwrap();
    Ledger::open(&path).unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
}

#[test]
fn what_is_no_ledger_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);

    std::fs::write(path("text"), "not a database at all, but long enough to look at\n".repeat(40))
        .unwrap();
    assert!(refusal(&path("text")).contains("not an SQLite database"));

    sql(&path("foreign"), "CREATE TABLE users (id)");
    assert!(refusal(&path("foreign")).contains("of another program"));

    // Same name, other table; and conntracker's with company.
    sql(&path("accounts"), "CREATE TABLE accounts (id, email)");
    assert!(refusal(&path("accounts")).contains("of another program"));
    sql(&path("more"), "CREATE TABLE Accounts (name, host, last_seen); CREATE TABLE x (y)");
    assert!(refusal(&path("more")).contains("of another program"));
    sql(&path("stamped"), "PRAGMA application_id = 7; PRAGMA user_version = 1");
    assert!(refusal(&path("stamped")).contains("of another program"));

    std::fs::create_dir(path("folder")).unwrap();
    assert!(refusal(&path("folder")).contains("directory"));
    let pipe = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
    assert!(pipe.success());
    for opened in [Ledger::open(&path("pipe")), Ledger::create(&path("pipe"))] {
        assert!(opened.unwrap_err().to_string().contains("no regular file"));
    }
}

#[test]
fn a_newer_ledger_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    drop(filled(&path));
    sql(&path, "PRAGMA user_version = 9");
    let text = refusal(&path);
    assert!(text.contains("schema 9, this program knows 8"), "{text}");
}

/// A ledger as the program with schema 1 made it, with a log that was replaced.
fn older(path: &Path) {
    sql(path, include_str!("schema-1.sql"));
    sql(
        path,
        "PRAGMA journal_mode = wal;
         INSERT INTO server VALUES (1, 'db1');
         INSERT INTO source VALUES (1, '/log', '', 'server_audit', 5);
         INSERT INTO file VALUES (1, 1, '/log', 1, 2, 3, 100, 4, zeroblob(16), 1, 100, zeroblob(16),
           100, 100, zeroblob(16), 0, 77);
         INSERT INTO file VALUES (2, 1, '/log', 1, 3, 4, 100, 4, zeroblob(16), 1, 100, zeroblob(16),
           100, 100, zeroblob(16), 0, 99);
         INSERT INTO gap VALUES (1, 1, '/log', 77, NULL, 80, 'replaced');
         INSERT INTO stretch VALUES (1, 1, 1, 70, 77, 3);
         PRAGMA application_id = 0x72636c6c;
         PRAGMA user_version = 1;",
    );
}

#[test]
fn an_older_ledger_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    older(&path);
    let mut ledger = Ledger::open(&path).unwrap();
    let states: Vec<_> = ledger.evidence(&Filter::default()).unwrap();
    let reasons: Vec<&str> = states.iter().map(|row| row.reason.as_str()).collect();
    assert_eq!(reasons, ["replaced: /log", "/log"]);
    // What was told of is not told of again.
    let ingest = ledger.ingest(keeping(UTC_START)).unwrap();
    let gone: Vec<bool> = ingest.marks(b"").unwrap().iter().map(|mark| mark.gone).collect();
    assert_eq!(gone, [true, false]);
    ingest.finish().unwrap();
    add_log(&mut ledger, keeping(UTC_START), "/log", &log());
    assert_eq!(ledger.seen(&Filter::default()).unwrap().len(), 2);
    assert_eq!(ledger.status().unwrap().schema, 8);
}

/// What each table, index and view of a ledger is made of.
fn made_of(path: &Path) -> Vec<(String, Option<String>)> {
    let db = Connection::open(path).unwrap();
    let mut query = db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn ledgers_of_older_schemas_become_like_new_ones_and_keep_their_number() {
    let since_4 = "DROP TABLE edge; DROP TABLE contested; DROP TABLE unsettled; DROP VIEW Accounts;
        CREATE VIEW Accounts AS SELECT 1;
        CREATE TABLE unsettled (server INTEGER NOT NULL);
        INSERT INTO unsettled VALUES (1);";
    let since_3 = "DROP TABLE hole; DROP TABLE hole_rest; DROP TABLE segment;";
    let since_5 = "DROP TABLE snapshot; DROP TABLE account_missing; DROP TABLE account;
        DROP TABLE account_part; DROP TABLE account_lapse; DROP TABLE account_activity;
        DROP TABLE account_change; DROP TABLE keep; DROP TABLE plan; DROP TABLE deed;
        DROP TABLE deed_end;";
    let since_6 = "DROP TABLE access_mark; DROP TABLE matched;";
    let since_7 = "DROP TABLE former; DROP TABLE counted; DROP TABLE segment_ids;
         DROP TABLE series; DROP TABLE let_in; DROP TABLE quota_usage;
         DROP TABLE quota_state;";
    // Schemas 3 and 4 had these two where there had been something to keep.
    let when_needed = "DROP TABLE sighting; DROP TABLE forgotten;";
    for (version, since) in [
        (2, format!("{since_5} {since_4} {since_3} {when_needed} DROP TABLE adjoin;")),
        (3, format!("{since_5} {since_4} {since_3} {when_needed}")),
        (3, format!("{since_5} {since_4} {since_3}")),
        (4, format!("{since_5} {since_4} {when_needed}")),
        (4, format!("{since_5} {since_4}")),
        (5, since_5.into()),
        (6, String::new()),
        (7, String::new()),
    ] {
        let since_6 = if version < 7 { since_6 } else { "" };
        let folder = tempfile::tempdir().unwrap();
        let path = fresh(folder.path());
        let before = filled(&path).holdings().unwrap();
        let new = made_of(&path);
        let since_6 = if version > 6 { "" } else { since_6 };
        sql(&path, &format!("{since_7} {since_6} {since} PRAGMA user_version = {version}"));
        assert_ne!(made_of(&path), new);
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.holdings().unwrap(), before);
        assert!(before.id.is_some());
        assert_eq!(ledger.status().unwrap().schema, 8);
        assert_eq!(ledger.status().unwrap().unsettled, 0);
        add_log(&mut ledger, keeping(UTC_START), "/other", &log());
        drop(ledger);
        assert_eq!(made_of(&path), new, "from {version}");
    }
}

#[test]
fn a_ledger_without_a_version_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    for version in [0, -1, i32::MIN] {
        let path = folder.path().join(format!("{version}"));
        drop(filled(&path));
        sql(&path, &format!("PRAGMA user_version = {version}"));
        assert!(refusal(&path).contains("its schema has no version"));
    }
}

#[test]
fn an_empty_file_becomes_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    std::fs::write(&path, "").unwrap();
    let ledger = filled(&path);
    assert_eq!(ledger.seen(&Filter::default()).unwrap().len(), 2);
}

#[test]
fn a_copy_with_its_wal_is_whole_and_one_without_is_still_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let ledger = filled(&path);
    let beside = |path: &Path| path.with_extension("sqlite-wal");
    assert!(std::fs::metadata(beside(&path)).unwrap().len() > 0, "nothing waits in the WAL");
    let [whole, bare] =
        ["whole", "bare"].map(|name| folder.path().join(name).join("ledger.sqlite"));
    for copy in [&whole, &bare] {
        std::fs::create_dir(copy.parent().unwrap()).unwrap();
        std::fs::copy(&path, copy).unwrap();
    }
    std::fs::copy(beside(&path), beside(&whole)).unwrap();
    assert_eq!(everything(&Ledger::open(&whole).unwrap()), everything(&ledger));
    assert!(Ledger::open(&bare).unwrap().seen(&Filter::default()).unwrap().is_empty());

    // A WAL that ends in the middle of a commit: the commit before it holds.
    for cut in [0, 31, 5000] {
        let name = format!("cut{cut}");
        let copy = folder.path().join(name).join("ledger.sqlite");
        std::fs::create_dir(copy.parent().unwrap()).unwrap();
        std::fs::copy(&path, &copy).unwrap();
        let bytes = std::fs::read(beside(&path)).unwrap();
        std::fs::write(beside(&copy), &bytes[..cut]).unwrap();
        let rows = Ledger::open(&copy).unwrap().seen(&Filter::default()).unwrap();
        assert!(rows.is_empty(), "{cut}");
    }
}

#[test]
fn the_second_writer_is_told_who_the_first_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let (mut first, mut second) = (filled(&path), Ledger::open(&path).unwrap());
    let ingest = first.ingest(keeping(UTC_START)).unwrap();
    let error = second.ingest(keeping(UTC_START)).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }));
    assert!(error.to_string().contains(&format!("(process {})", std::process::id())), "{error}");
    drop(ingest);
    second.ingest(keeping(UTC_START)).unwrap().finish().unwrap();
}

#[test]
fn readers_go_on_beside_a_writer_and_see_whole_commits() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let mut writer = filled(&path);
    let reader = Ledger::open(&path).unwrap();
    let before = everything(&reader);
    let mut ingest = writer.ingest(keeping(UTC_START + 1)).unwrap();
    let source = ingest.source(b"/other.log", b"", "server_audit").unwrap();
    let text = line(UTC_START, "db1", "new", "h", 9, "CONNECT", 0);
    ingest.add(source, &common::batch(1, 0, &text)).unwrap();
    assert_eq!(everything(&reader), before);
    assert_eq!(everything(&Ledger::open(&path).unwrap()), before);
    ingest.commit().unwrap();
    assert_eq!(reader.seen(&Filter::default()).unwrap().len(), 3);

    // What is not committed is gone, whatever was.
    let after = everything(&reader);
    let text = line(UTC_START, "db1", "newer", "h", 10, "CONNECT", 0);
    ingest.add(source, &common::batch(1, 0, &text)).unwrap();
    drop(ingest);
    assert_eq!(everything(&writer), after);
}

#[test]
fn damage_is_told_by_every_answer_and_by_the_next_scan() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (damage, scans)) in [
        ("UPDATE tally SET hours = x'01ff'", true),
        ("UPDATE tally SET hours = x''", true),
        ("UPDATE tally SET hours = 'text'", true),
        ("UPDATE tally SET count = 'many'", false),
        ("UPDATE tally SET hours = x'0180ffffffffffffffff01ffffffffffffffffff01ffffffffffffffffff0101'",
         true),
        ("UPDATE stranger SET entries = x'01ff'", true),
        ("UPDATE stranger SET entries = x'0100'", true),
        ("UPDATE stranger SET prints = x'00'", true),
        ("UPDATE stranger SET count = 'x'", true),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{number}.sqlite"));
        drop(filled(&path));
        sql(&path, damage);
        let mut ledger = Ledger::open(&path).unwrap();
        for error in [
            ledger.seen(&Filter::default()).unwrap_err(),
            ledger.failures(&Filter::default()).unwrap_err(),
            ledger.periods(&Filter::default()).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Damaged { .. }), "{damage}: {error}");
        }
        if scans {
            let ingest = ledger.ingest(keeping(UTC_START)).unwrap();
            let text = log().lines.concat();
            let error = ingest.add(1, &common::batch(1, 0, &text)).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{damage}: {error}");
        }
    }
}

#[test]
fn no_window_is_too_wide() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = filled(&fresh(folder.path()));
    let all = ledger.seen(&Filter::default()).unwrap();
    for (since, until, rows) in [
        (Some(i64::MIN), Some(i64::MAX), 2),
        (Some(-1), None, 2),
        (Some(i64::MAX), None, 0),
        (None, Some(i64::MIN), 0),
        (None, Some(-3_600_000_001), 0),
        (Some(i64::MAX - 1), Some(i64::MIN + 1), 0),
    ] {
        let filter = Filter { since, until, ..Filter::default() };
        assert_eq!(ledger.seen(&filter).unwrap(), all[..rows], "{since:?} {until:?}");
        assert_eq!(ledger.failures(&filter).unwrap().len(), rows / 2);
        assert_eq!(ledger.periods(&filter).unwrap().len(), rows / 2);
        ledger.evidence(&filter).unwrap();
    }
}

#[test]
fn the_lock_leads_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let (lock, treasure) =
        (folder.path().join("ledger.sqlite.lock"), folder.path().join("treasure"));
    std::fs::write(&treasure, "kept").unwrap();
    let mut ledger = Ledger::create(&path).unwrap();
    let mut refused = || ledger.ingest(Keeping::new(0)).unwrap_err().to_string();

    std::os::unix::fs::symlink(&treasure, &lock).unwrap();
    assert!(refused().contains("ledger.sqlite.lock: opening the lock file"), "{}", refused());
    std::fs::remove_file(&lock).unwrap();
    std::fs::hard_link(&treasure, &lock).unwrap();
    assert!(refused().contains("no file of its own"), "{}", refused());
    std::fs::remove_file(&lock).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&lock).status().unwrap();
    assert!(made.success());
    assert!(refused().contains("no file of its own"), "{}", refused());
    std::fs::remove_file(&lock).unwrap();

    assert_eq!(std::fs::read_to_string(&treasure).unwrap(), "kept");
    drop(ledger.ingest(Keeping::new(0)).unwrap());
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&lock).unwrap().permissions().mode() & 0o777, 0o600);
}

/// What waits beside a ledger that a process left open when it died.
fn wal_of(path: &Path, change: &str) -> Vec<u8> {
    let db = Connection::open(path).unwrap();
    db.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
    db.execute_batch(change).unwrap();
    std::fs::read(path.with_extension("sqlite-wal")).unwrap()
}

#[test]
fn the_wal_of_another_ledger_is_refused_and_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).join("ledger.sqlite");
    let path = place("ours");
    drop(filled(&path));
    let content = std::fs::read(&path).unwrap();
    let other = place("other");
    let mut open = Ledger::create(&other).unwrap();
    add_log(&mut open, keeping(UTC_START), "/var/log/other.log", &log());
    // Every commit holds the number of its ledger.
    let small = std::fs::read(other.with_extension("sqlite-wal")).unwrap();
    drop(open);
    // So does that of a short write.
    let mut open = Ledger::create(&other).unwrap();
    open.remove_keep(None, None, &verdict::account::AccountName::new("a", "b")).unwrap();
    let brief = std::fs::read(other.with_extension("sqlite-wal")).unwrap();
    drop(open);
    // A whole ledger stands in the -wal: every page of ours would be hidden.
    let whole = wal_of(&other, "VACUUM");
    // Not even a ledger of schema 1 may.
    let third = place("third");
    std::fs::create_dir(third.parent().unwrap()).unwrap();
    let old = Connection::open(&third).unwrap();
    old.execute_batch("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0").unwrap();
    let make = format!(
        "BEGIN; {} PRAGMA application_id = 0x72636c6c; PRAGMA user_version = 1; COMMIT",
        include_str!("schema-1.sql")
    );
    old.execute_batch(&make).unwrap();
    let oldest = std::fs::read(third.with_extension("sqlite-wal")).unwrap();
    for wal in [small, brief, whole, oldest] {
        let beside = path.with_extension("sqlite-wal");
        std::fs::write(&beside, wal).unwrap();
        assert!(matches!(Ledger::open(&path), Err(Error::Damaged { .. })));
        assert!(matches!(Ledger::create(&path), Err(Error::Damaged { .. })));
        assert!(content == std::fs::read(&path).unwrap(), "it was written to");
        std::fs::remove_file(beside).unwrap();
        assert_eq!(Ledger::open(&path).unwrap().seen(&Filter::default()).unwrap().len(), 2);
    }
}

#[test]
fn a_ledger_whose_making_waits_in_the_wal_is_no_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    drop(filled(&path));
    sql(&path, "DELETE FROM meta WHERE key = 'ledger_id'; PRAGMA wal_checkpoint(TRUNCATE)");
    let content = std::fs::read(&path).unwrap();
    let wal = wal_of(&path, "INSERT INTO meta VALUES ('ledger_id', 'new')");
    std::fs::write(&path, content).unwrap();
    std::fs::write(path.with_extension("sqlite-wal"), wal).unwrap();
    assert_eq!(Ledger::open(&path).unwrap().seen(&Filter::default()).unwrap().len(), 2);
}
