//! Plans and the journal: what is stored stays as it was, tampering is found, and writing works beside a watch.

mod common;

use common::{UTC_START, batch, fresh, keeping, line};
use ledger::{
    Deed, DeedFilter, Error, Filter, Intent, Keep, Keeping, Ledger, NewPlan, Outcome, PlanFilter,
    PlanState, Undoable,
};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::path::Path;
use verdict::account::{AccountName, Snapshot, Version};

fn intent(plan: Option<&str>, step: u32, kind: &str) -> Intent {
    Intent {
        plan: plan.map(str::to_owned),
        undo_of: None,
        step,
        server: b"db1".to_vec(),
        account: AccountName::new("app", "%"),
        kind: kind.into(),
        sql: format!("{kind} {step}").into_bytes(),
        undo: vec![b"one".to_vec(), b"".to_vec(), b"secret \xff".to_vec()],
        before: "{}".into(),
        os_user: "ann".into(),
        host: "admin1".into(),
        ticket: Some("OPS-7".into()),
        begun_us: 100 + i64::from(step),
    }
}

/// A deed that was done.
fn done(ledger: &mut Ledger, intent: &Intent) -> i64 {
    let id = ledger.begin_deed(intent).unwrap();
    ledger.end_deed(id, intent.begun_us + 1, Outcome::Done, None, "").unwrap();
    id
}

/// What undoes a deed, statement by statement.
fn undoing(deed: i64, statement: &[u8]) -> Intent {
    let sql = statement.to_vec();
    Intent { undo_of: Some(deed), sql, undo: Vec::new(), ..intent(None, 0, "unlock") }
}

fn ids(deeds: &[Deed]) -> Vec<i64> {
    deeds.iter().map(|deed| deed.id).collect()
}

fn plan(text: &str, made_us: i64) -> NewPlan {
    NewPlan {
        hash: Sha256::digest(text).into(),
        kind: "lock".into(),
        author: "ann".into(),
        made_us,
        expires_us: made_us + 10,
        text: text.into(),
    }
}

fn refusal<T: std::fmt::Debug>(done: Result<T, Error>) -> String {
    let error = done.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    error.to_string()
}

#[test]
fn a_plan_comes_out_as_it_went_in_by_its_id_or_the_beginning_of_it() {
    let mut ledger = Ledger::in_memory().unwrap();
    let stored: Vec<(String, NewPlan)> = (0..17)
        .map(|i| {
            let plan = plan(&format!("{{\"n\":{i}}}"), i);
            (ledger.store_plan(&plan).unwrap(), plan)
        })
        .collect();
    for (number, (id, new)) in (1..).zip(&stored) {
        let (hex, end) = id.split_once('-').unwrap();
        assert!(hex.len() == 4 && hex.bytes().all(|it| b"0123456789abcdef".contains(&it)), "{id}");
        assert_eq!(end, number.to_string());
        let found = ledger.plan(id).unwrap().unwrap();
        assert_eq!((&found.id, &found.plan, found.state), (id, new, PlanState::Open));
        // An id that others begin with is still one: `7f3a-1` beside `7f3a-17`.
        if stored.iter().filter(|(other, _)| other.starts_with(&id[..5])).count() == 1 {
            assert_eq!(ledger.plan(&id[..5]).unwrap().unwrap().id, *id);
        }
    }
    // Of seventeen two begin with the same digit.
    let digits = "0123456789abcdef".chars().map(|digit| digit.to_string());
    let ambiguous = digits.filter_map(|digit| ledger.plan(&digit).err()).count();
    assert!(ambiguous >= 1);
    for none in ["", "x", "%", "_", "'"] {
        assert_eq!(ledger.plan(none).unwrap(), None, "{none}");
    }
    let mut wrong = plan("{}", 1);
    wrong.hash[31] ^= 1;
    assert!(refusal(ledger.store_plan(&wrong)).contains("not that of its text"));
}

#[test]
fn plans_are_chosen_and_change_how_they_stand_once() {
    let mut ledger = Ledger::in_memory().unwrap();
    let first = ledger.store_plan(&plan("1", 1)).unwrap();
    let second = ledger.store_plan(&NewPlan { kind: "drop".into(), ..plan("2", 2) }).unwrap();
    let check = |ledger: &Ledger, filter: PlanFilter, expected: &[&String]| {
        let found = ledger.plans(&filter).unwrap();
        assert_eq!(found.iter().map(|plan| &plan.id).collect::<Vec<_>>(), expected, "{filter:?}");
    };
    let all = PlanFilter::default;
    check(&ledger, all(), &[&second, &first]);
    check(&ledger, PlanFilter { limit: Some(1), ..all() }, &[&second]);
    check(&ledger, PlanFilter { kind: Some("lock".into()), ..all() }, &[&first]);
    check(&ledger, PlanFilter { since: Some(2), ..all() }, &[&second]);
    check(&ledger, PlanFilter { until: Some(2), ..all() }, &[&first]);
    let open = [PlanState::Open];
    assert!(ledger.set_plan_state(&first, &open, PlanState::Applied).unwrap());
    assert!(!ledger.set_plan_state(&first, &open, PlanState::Refused).unwrap());
    assert!(!ledger.set_plan_state("none", &open, PlanState::Refused).unwrap());
    let applied = PlanFilter { state: Some(PlanState::Applied), ..all() };
    check(&ledger, applied, &[&first]);
    for to in PlanState::ALL {
        assert!(ledger.set_plan_state(&first, &PlanState::ALL, to).unwrap());
        assert_eq!(ledger.plan(&first).unwrap().unwrap().state, to);
    }
}

#[test]
fn a_stored_plan_does_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let mut ledger = Ledger::create(&path).unwrap();
    let id = ledger.store_plan(&plan("{}", 1)).unwrap();
    let db = Connection::open(&path).unwrap();
    for change in ["text = '{ }'", "hash = x'00'", "id = 'x'", "author = 'x'", "expires_us = 9"] {
        let error = db.execute(&format!("UPDATE plan SET {change}"), []).unwrap_err();
        assert_eq!(error.to_string(), "a plan does not change");
    }
    db.execute_batch("DROP TRIGGER plan_fixed; UPDATE plan SET text = '{ }'").unwrap();
    assert!(matches!(ledger.plan(&id), Err(Error::Damaged { .. })));
    assert!(matches!(ledger.plans(&PlanFilter::default()), Err(Error::Damaged { .. })));
}

#[test]
fn a_deed_is_noted_before_it_is_done_and_ends_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let mut ledger = Ledger::create(&path).unwrap();
    let mut odd = intent(None, u32::MAX, "kill");
    odd.server = b"\xff".to_vec();
    odd.account = AccountName::new("", "");
    odd.sql = b"\0\xff".to_vec();
    (odd.undo, odd.ticket) = (Vec::new(), None);
    let id = ledger.begin_deed(&odd).unwrap();
    // Another process sees it at once.
    let other = Ledger::open(&path).unwrap();
    let unfinished = other.unfinished_deeds().unwrap();
    let begun = Deed {
        id: 1,
        intent: odd,
        outcome: Outcome::Begun,
        ended_us: None,
        error_code: None,
        detail: String::new(),
    };
    assert_eq!((id, &unfinished[..]), (1, &[begun.clone()][..]));
    let second = ledger.begin_deed(&intent(Some("p-1"), 1, "lock")).unwrap();
    assert_eq!(ids(&other.unfinished_deeds().unwrap()), [1, 2]);
    ledger.end_deed(id, 7, Outcome::Failed, Some(1396), "no such account").unwrap();
    let (outcome, detail) = (Outcome::Failed, "no such account".to_owned());
    let ended = Deed { outcome, ended_us: Some(7), error_code: Some(1396), detail, ..begun };
    assert_eq!(other.deed(id).unwrap(), Some(ended));
    assert_eq!(ids(&other.unfinished_deeds().unwrap()), [2]);
    let again = ledger.end_deed(id, 8, Outcome::Done, None, "");
    assert!(refusal(again).ends_with("deed 1 has ended already"));
    // What is unknown may be found out.
    ledger.end_deed(second, 9, Outcome::Unknown, None, "connection lost").unwrap();
    assert_eq!(ids(&other.unfinished_deeds().unwrap()), Vec::<i64>::new());
    ledger.end_deed(second, 10, Outcome::Done, None, "looked").unwrap();
    assert_eq!(other.deed(second).unwrap().unwrap().detail, "looked");
    assert!(refusal(ledger.end_deed(3, 9, Outcome::Done, None, "")).contains("not in the journal"));
    assert_eq!(other.verify_journal().unwrap(), None);
    assert_eq!(other.deed(3).unwrap(), None);
}

#[test]
fn deeds_are_chosen() {
    let mut ledger = Ledger::in_memory().unwrap();
    let mut on_other = intent(Some("p-2"), 3, "drop");
    on_other.server = b"db2".to_vec();
    on_other.account = AccountName::new("old", "%");
    for it in [&intent(Some("p-1"), 1, "lock"), &intent(Some("p-1"), 2, "lock"), &on_other] {
        done(&mut ledger, it);
    }
    let check = |filter: DeedFilter, expected: &[i64]| {
        assert_eq!(ids(&ledger.deeds(&filter).unwrap()), expected, "{filter:?}");
    };
    let all = DeedFilter::default;
    check(all(), &[3, 2, 1]);
    check(DeedFilter { limit: Some(2), ..all() }, &[3, 2]);
    check(DeedFilter { server: Some(b"db2".to_vec()), ..all() }, &[3]);
    check(DeedFilter { account: Some(AccountName::new("app", "%")), ..all() }, &[2, 1]);
    check(DeedFilter { account: Some(AccountName::new("app", "x")), ..all() }, &[]);
    check(DeedFilter { plan: Some("p-1".into()), ..all() }, &[2, 1]);
    check(DeedFilter { since: Some(102), until: Some(103), ..all() }, &[2]);
}

#[test]
fn what_was_done_can_be_undone_once() {
    let mut ledger = Ledger::in_memory().unwrap();
    let ask = |ledger: &Ledger, which: Undoable<'_>| ids(&ledger.undoable(which).unwrap());
    assert_eq!(ask(&ledger, Undoable::Last), []);
    let one = done(&mut ledger, &intent(Some("p-1"), 1, "lock"));
    let two = done(&mut ledger, &intent(Some("p-1"), 2, "lock"));
    let alone = done(&mut ledger, &intent(None, 0, "drop"));
    let failed = ledger.begin_deed(&intent(Some("p-1"), 3, "lock")).unwrap();
    ledger.end_deed(failed, 1, Outcome::Failed, Some(1), "").unwrap();
    let mut killed = intent(Some("p-1"), 4, "kill");
    killed.undo = Vec::new();
    let killed = done(&mut ledger, &killed);
    assert_eq!(ask(&ledger, Undoable::Plan("p-1")), [two, one]);
    assert_eq!(ask(&ledger, Undoable::Plan("p-2")), []);
    assert_eq!(ask(&ledger, Undoable::Last), [alone]);
    // It is undone when the last of its statements was.
    for (statement, outcome) in
        [(&b"one"[..], Outcome::Done), (b"", Outcome::Done), (b"secret \xff", Outcome::Undone)]
    {
        let undo = done(&mut ledger, &undoing(alone, statement));
        assert_eq!(ledger.deed(alone).unwrap().unwrap().outcome, outcome);
        // Undoing is not undone.
        assert!(refusal(ledger.begin_deed(&undoing(undo, b"x"))).contains("cannot be undone"));
    }
    assert_eq!(ask(&ledger, Undoable::Last), [two, one]);
    for deed in [alone, failed, 99] {
        refusal(ledger.begin_deed(&undoing(deed, b"one")));
    }
    // The same twice, at the same time or one after the other; not where it failed.
    let begun = ledger.begin_deed(&undoing(two, b"one")).unwrap();
    assert!(refusal(ledger.begin_deed(&undoing(two, b"one"))).contains("has not ended"));
    ledger.end_deed(begun, 1, Outcome::Failed, None, "").unwrap();
    assert_eq!(ask(&ledger, Undoable::Plan("p-1")), [two, one]);
    done(&mut ledger, &undoing(two, b"one"));
    assert!(refusal(ledger.begin_deed(&undoing(two, b"one"))).contains("was done"));
    assert_eq!(ledger.deed(killed).unwrap().unwrap().outcome, Outcome::Done);
    assert_eq!(ledger.verify_journal().unwrap(), None);
}

#[test]
fn a_step_of_a_plan_is_begun_by_one() {
    let mut ledger = Ledger::in_memory().unwrap();
    let step = intent(Some("p-1"), 1, "lock");
    let id = ledger.begin_deed(&step).unwrap();
    assert!(refusal(ledger.begin_deed(&step)).contains("deed 1 is the same and has not ended"));
    // Another statement, server or plan is another deed.
    for other in [
        Intent { sql: b"x".to_vec(), ..step.clone() },
        Intent { server: b"db2".to_vec(), ..step.clone() },
        Intent { plan: Some("p-2".into()), ..step.clone() },
        Intent { step: 2, ..step.clone() },
        Intent { plan: None, ..step.clone() },
        Intent { plan: None, ..step.clone() },
    ] {
        ledger.begin_deed(&other).unwrap();
    }
    // Nor does what was sent to undo another stand in its way.
    let alone = done(&mut ledger, &intent(None, 7, "drop"));
    let undo = Intent { plan: Some("p-1".into()), step: 1, ..undoing(alone, b"one") };
    done(&mut ledger, &undo);
    ledger.begin_deed(&Intent { sql: b"one".to_vec(), ..step.clone() }).unwrap();
    ledger.end_deed(id, 1, Outcome::Unknown, None, "").unwrap();
    let id = ledger.begin_deed(&step).unwrap();
    ledger.end_deed(id, 1, Outcome::Failed, None, "").unwrap();
    let id = done(&mut ledger, &step);
    assert!(refusal(ledger.begin_deed(&step)).contains("was done"));
    // What was undone may be done again.
    for statement in &step.undo {
        done(&mut ledger, &undoing(id, statement));
    }
    ledger.begin_deed(&step).unwrap();
}

#[test]
fn what_may_be_secret_is_in_no_message() {
    let secret = Intent {
        sql: b"hunter2".to_vec(),
        undo: vec![b"hunter2".to_vec()],
        before: "hunter2".into(),
        ..intent(None, 1, "create")
    };
    let text = format!("{secret:?}");
    // Nor as numbers: 104, 117 is how bytes are shown.
    assert!(!text.contains("hunter2") && !text.contains("104, 117"), "{text}");
}

/// A ledger with deeds of all sorts: 1 done, 2 begun, 3 done, 4 undoes a part of 3, 5 unknown and failed.
fn journal(path: &Path) {
    let mut ledger = Ledger::create(path).unwrap();
    done(&mut ledger, &intent(Some("p-1"), 1, "lock"));
    ledger.begin_deed(&intent(Some("p-1"), 2, "lock")).unwrap();
    done(&mut ledger, &intent(Some("p-1"), 3, "lock"));
    done(&mut ledger, &undoing(3, b"one"));
    let last = ledger.begin_deed(&intent(None, 1, "drop")).unwrap();
    ledger.end_deed(last, 1, Outcome::Unknown, Some(2013), "lost").unwrap();
    ledger.end_deed(last, 2, Outcome::Failed, None, "").unwrap();
    assert_eq!(ledger.verify_journal().unwrap(), None);
}

const TRIGGERS: [&str; 6] =
    ["deed_once", "deed_fixed", "deed_kept", "deed_end_once", "deed_end_fixed", "deed_end_kept"];

#[test]
fn the_journal_is_only_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    journal(&path);
    let db = Connection::open(&path).unwrap();
    for change in [
        "UPDATE deed SET before = ''",
        "UPDATE deed SET sql = x'00' WHERE id = 1",
        "UPDATE deed SET id = 9 WHERE id = 5",
        "DELETE FROM deed WHERE id = 5",
        "DELETE FROM deed",
        "INSERT OR REPLACE INTO deed SELECT * FROM deed WHERE id = 1",
        "REPLACE INTO deed SELECT 77, link, plan, undo_of, step, server, user, host, kind, sql, undo,
           before, os_user, machine, ticket, begun_us, hash FROM deed WHERE id = 1",
        "UPDATE deed_end SET outcome = 'failed'",
        "DELETE FROM deed_end",
        "INSERT OR REPLACE INTO deed_end SELECT * FROM deed_end",
    ] {
        let error = db.execute(change, []).unwrap_err().to_string();
        assert_eq!(error, "the journal is only added to", "{change}");
    }
    assert_eq!(Ledger::open(&path).unwrap().verify_journal().unwrap(), None);
}

#[test]
fn tampering_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    journal(&path);
    // Every column of every row.
    let columns = |table: &str| -> Vec<String> {
        let db = Connection::open(&path).unwrap();
        let mut query = db.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
        let rows = query.query_map([table], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut cases: Vec<(String, i64)> = Vec::new();
    for deed in 1..=5 {
        for column in columns("deed").iter().filter(|it| *it != "id") {
            let to = if column == "link" { "77" } else { "CAST(x'00' AS TEXT)" };
            cases.push((format!("UPDATE deed SET {column} = {to} WHERE id = {deed}"), deed));
        }
        // The same, told in another type.
        cases.push((
            format!("UPDATE deed SET server = CAST(server AS BLOB) WHERE id = {deed}"),
            deed,
        ));
    }
    for (link, deed) in [(2, 1), (5, 3), (7, 4), (9, 5), (10, 5)] {
        for column in columns("deed_end").iter().filter(|it| *it != "link" && *it != "deed") {
            let what = format!("UPDATE deed_end SET {column} = 'x' WHERE link = {link}");
            cases.push((what, deed));
        }
    }
    cases.extend(
        [
            ("UPDATE deed_end SET deed = 1 WHERE link = 5", 1),
            ("UPDATE deed_end SET deed = 77 WHERE link = 5", 4),
            ("DELETE FROM deed WHERE id = 1", 1),
            ("DELETE FROM deed WHERE id = 2", 2),
            // Who is left over tells that something is gone.
            ("DELETE FROM deed WHERE id = 5", 5),
            ("DELETE FROM deed_end WHERE link = 2", 2),
            ("DELETE FROM deed_end WHERE link = 5", 4),
            ("DELETE FROM deed_end WHERE link = 10", 6),
            ("DELETE FROM deed_end WHERE deed = 5; DELETE FROM deed WHERE id = 5", 5),
            ("DELETE FROM deed_end; DELETE FROM deed", 1),
            ("INSERT INTO deed_end VALUES (11, 2, 5, 'done', NULL, '', zeroblob(32))", 2),
            ("UPDATE deed SET id = 9 WHERE id = 5", 5),
            ("DELETE FROM meta WHERE key = 'journal_head'", 6),
        ]
        .map(|(what, deed)| (what.to_owned(), deed)),
    );
    let free: Vec<String> = TRIGGERS.iter().map(|it| format!("DROP TRIGGER {it};")).collect();
    for (number, (what, deed)) in cases.iter().enumerate() {
        let copy = folder.path().join(format!("{number}.sqlite"));
        std::fs::copy(&path, &copy).unwrap();
        let db = Connection::open(&copy).unwrap();
        db.execute_batch(&free.concat()).unwrap();
        db.execute_batch(what).unwrap();
        drop(db);
        let ledger = Ledger::open(&copy).unwrap();
        assert_eq!(ledger.verify_journal().unwrap(), Some(*deed), "{what}");
    }
}

#[test]
fn a_hash_that_was_kept_shows_a_journal_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let mut ledger = Ledger::create(&path).unwrap();
    assert_eq!(ledger.journal_head().unwrap(), (0, [0; 32]));
    assert_eq!(ledger.verify_journal().unwrap(), None);
    done(&mut ledger, &intent(None, 1, "lock"));
    let (links, kept) = ledger.journal_head().unwrap();
    assert_eq!(links, 2);
    let mut other = Ledger::in_memory().unwrap();
    done(&mut other, &intent(None, 1, "lock"));
    assert_eq!(other.journal_head().unwrap(), (2, kept));
    let mut forged = Ledger::in_memory().unwrap();
    done(&mut forged, &intent(None, 2, "lock"));
    assert_ne!(forged.journal_head().unwrap(), (2, kept));
}

#[test]
fn the_hash_is_what_the_module_says() {
    let mut ledger = Ledger::in_memory().unwrap();
    ledger
        .begin_deed(&Intent {
            plan: None,
            undo_of: None,
            step: 3,
            server: b"\xff".to_vec(),
            account: AccountName::new("a", ""),
            kind: "kill".into(),
            sql: b"KILL 5".to_vec(),
            undo: vec![b"x".to_vec()],
            before: "{}".into(),
            os_user: "ann".into(),
            host: "h".into(),
            ticket: None,
            begun_us: -1,
        })
        .unwrap();
    let mut hash = Sha256::new();
    hash.update([0; 32]);
    let mut add = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(2, b"deed");
    add(1, &1i64.to_le_bytes());
    add(1, &1i64.to_le_bytes());
    add(0, b"");
    add(0, b"");
    add(1, &3i64.to_le_bytes());
    add(3, b"\xff");
    add(2, b"a");
    add(2, b"");
    add(2, b"kill");
    add(3, b"KILL 5");
    add(3, b"\x01\0\0\0x");
    add(2, b"{}");
    add(2, b"ann");
    add(2, b"h");
    add(0, b"");
    add(1, &(-1i64).to_le_bytes());
    assert_eq!(ledger.journal_head().unwrap(), (1, hash.finalize().into()));
}

/// One of each kind of short write.
fn write_all(ledger: &mut Ledger, at: i64) {
    let snapshot = Snapshot {
        version: Version::parse("9.7.0").unwrap(),
        hostname: Vec::new(),
        server_uuid: String::new(),
        at,
        started: None,
        own: AccountName::default(),
        skip_name_resolve: false,
        read_only: false,
        is_replica: false,
        has_init_connect: false,
        has_procedures: false,
        accounts: Vec::new(),
        activity: Vec::new(),
        missing: Vec::new(),
    };
    ledger.store_snapshot(b"db1", &snapshot).unwrap();
    let id = ledger.store_plan(&plan(&at.to_string(), at)).unwrap();
    done(ledger, &intent(Some(&id), 1, "lock"));
    ledger.set_plan_state(&id, &[PlanState::Open], PlanState::Applied).unwrap();
    let keep = Keep {
        server: None,
        group: None,
        account: AccountName::new("app", "%"),
        until_us: None,
        owner: "ann".into(),
        reason: at.to_string(),
        by: "ann".into(),
        at_us: at,
    };
    ledger.set_keep(&keep).unwrap();
}

#[test]
fn what_people_do_is_written_beside_a_watch_which_notices() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let mut watch = Ledger::create(&path).unwrap();
    let lock = watch.lock().unwrap();
    let version = |watch: &mut Ledger| {
        let ingest = watch.ingest_under(&lock, Keeping::new(UTC_START)).unwrap();
        let version = ingest.version().unwrap();
        ingest.finish().unwrap();
        version
    };
    let before = version(&mut watch);
    let mut other = Ledger::open(&path).unwrap();
    assert!(matches!(other.ingest(keeping(UTC_START)), Err(Error::Busy { .. })));
    write_all(&mut other, UTC_START);
    assert_ne!(version(&mut watch), before);
    // Its own writes are none of somebody else's.
    let before = version(&mut watch);
    write_all(&mut watch, UTC_START + 1);
    assert_eq!(version(&mut watch), before);

    // While a step of the watch writes, the other waits; neither loses anything.
    let ingest = watch.ingest_under(&lock, keeping(UTC_START)).unwrap();
    let source = ingest.source(b"/log", b"", "server_audit").unwrap();
    ingest.add(source, &batch(1, 0, &line(UTC_START, "db1", "app", "h", 4, "CONNECT", 0))).unwrap();
    let (started, waits) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        started.send(()).unwrap();
        write_all(&mut other, UTC_START + 2);
        other
    });
    waits.recv().unwrap();
    assert_eq!(Ledger::open(&path).unwrap().keeps().unwrap()[0].at_us, UTC_START + 1);
    ingest.finish().unwrap();
    let other = writer.join().unwrap();
    assert_eq!(other.keeps().unwrap()[0].at_us, UTC_START + 2);
    assert_eq!(other.seen(&Filter::default()).unwrap().len(), 1);
    assert_eq!(other.plans(&PlanFilter::default()).unwrap().len(), 3);
    assert_eq!(other.verify_journal().unwrap(), None);
}

#[test]
fn writers_of_deeds_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    drop(Ledger::create(&path).unwrap());
    let write = |number: u32| {
        let mut ledger = Ledger::open(&path).unwrap();
        for step in 0..25 {
            done(&mut ledger, &intent(Some(&format!("p-{number}")), step, "lock"));
        }
    };
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || write(number));
        }
    });
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(
        ids(&ledger.deeds(&DeedFilter::default()).unwrap()),
        (1..=100).rev().collect::<Vec<_>>()
    );
    assert_eq!(ledger.verify_journal().unwrap(), None);
    // One step of one plan is begun by one of them.
    let step = intent(Some("p-9"), 1, "lock");
    let begun = std::thread::scope(|scope| {
        let begin = || scope.spawn(|| Ledger::open(&path).unwrap().begin_deed(&step).is_ok());
        [begin(), begin(), begin()].map(|it| it.join().unwrap())
    });
    assert_eq!(begun.iter().filter(|it| **it).count(), 1);
}

#[test]
fn forgetting_leaves_the_journal_and_what_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let mut ledger = Ledger::create(&path).unwrap();
    let day = 86_400_000_000;
    let idle = ledger.store_plan(&plan("idle", UTC_START)).unwrap();
    write_all(&mut ledger, UTC_START);
    let head = ledger.journal_head().unwrap();
    // Ages grow by a month at most from one scan to the next.
    for month in 0..24 {
        ledger.ingest(keeping(UTC_START + month * 30 * day)).unwrap().finish().unwrap();
        let is_kept = ledger.plan(&idle).unwrap().is_some();
        assert_eq!(is_kept, month * 30 <= 400, "after {month} months");
    }
    assert_eq!(ledger.journal_head().unwrap(), head);
    assert_eq!(ledger.verify_journal().unwrap(), None);
    assert_eq!(ledger.plans(&PlanFilter::default()).unwrap().len(), 1);
    assert_eq!(ledger.keeps().unwrap().len(), 1);
    assert_eq!(ledger.account_servers().unwrap().len(), 1);
}
