//! Seals: what is sealed is proven as long as it is the same, wherever it stands, and not otherwise.

use std::io::Write as _;

use ledger::{Intent, Ledger, NewPlan, Outcome};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use verdict::account::AccountName;

use super::house::{House, count, sessions};

const LOG: &str = "server_audit.log";

/// A house with a sealed log of two files, `server_audit.log.1` and `server_audit.log`.
fn sealed() -> House {
    let house = House::new();
    house.write("server_audit.log.1", sessions(0..300));
    house.write(LOG, sessions(300..500) + "\n \nnonsense\n");
    house.write("note.txt", "no log");
    house.run(&["scan", LOG, "server_audit.log.1"]);
    house.run(&["evidence", "--seal", "seal"]);
    house
}

fn lines(house: &House) -> Vec<Value> {
    let text = String::from_utf8(house.read("seal")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Exit code and verdicts, the files' order.
fn verdicts(house: &House, paths: &[&str]) -> (i32, Vec<String>) {
    let arguments = [&["evidence", "--verify", "seal", "-o", "json"], paths].concat();
    let output = house.command(&arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let verdicts = rows.map(|row| row["verdict"].as_str().unwrap().to_owned()).collect();
    (output.status.code().unwrap(), verdicts)
}

fn flip(house: &House, name: &str, at: usize) {
    let mut bytes = house.read(name);
    bytes[at] ^= 1;
    house.write(name, bytes);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn proven(count: usize) -> (i32, Vec<String>) {
    (0, vec!["proven".to_owned(); count])
}

#[test]
fn what_is_sealed_is_proven() {
    let house = sealed();
    let sealed = lines(&house);
    let kinds: Vec<&str> = String::from_utf8(house.read("seal"))
        .unwrap()
        .lines()
        .map(|line| line.split('"').nth(1).unwrap().to_owned())
        .map(|kind| {
            ["seal", "coverage", "file", "totals", "deeds", "sha256"]
                .into_iter()
                .find(|known| **known == kind)
                .unwrap()
        })
        .collect();
    assert_eq!(
        kinds,
        ["seal", "coverage", "coverage", "coverage", "file", "file", "totals", "deeds", "sha256"]
    );
    let live = &sealed[5];
    assert_eq!(live["file"], house.path(LOG).canonicalize().unwrap().to_str().unwrap());
    assert_eq!(live["bytes"], house.read(LOG).len());
    let counts = ["lines", "events", "rejected", "quarantined", "others", "continued", "unended"];
    assert_eq!(counts.map(|it| count(live, it)), [403, 400, 1, 0, 2, 0, 0]);
    let totals = &sealed[6];
    assert_eq!(counts.map(|it| count(totals, it)), [1003, 1000, 1, 0, 2, 0, 0]);
    assert_eq!(verdicts(&house, &[]), proven(2));
    // Neither ledger nor configuration is needed.
    house.remove("ledger.sqlite");
    assert_eq!(verdicts(&house, &["."]), proven(2));
    let text = house.run(&["evidence", "--verify", "seal"]);
    assert!(text.starts_with("exit 0\n"), "{text}");
    assert!(text.contains("2 proven · 0 not available · 0 differ"), "{text}");
    assert!(
        text.contains("1,003 lines = 1,000 records + 1 rejected + 0 quarantined + 2 blank"),
        "{text}"
    );
}

/// A house with a sealed log and a journal of two deeds, the second of which undoes the first.
fn sealed_deeds() -> House {
    let house = sealed();
    house.remove("seal");
    let mut ledger = Ledger::open(&house.path("ledger.sqlite")).unwrap();
    let text = "{\"n\":1}".to_owned();
    let plan = NewPlan {
        hash: Sha256::digest(&text).into(),
        kind: "lock".to_owned(),
        author: "ann@admin1".to_owned(),
        made_us: 1,
        expires_us: 2,
        text,
    };
    let plan = ledger.store_plan(&plan).unwrap();
    let lock = intent(Some(&plan), None, "LOCK");
    for intent in [&lock, &intent(Some(&plan), Some(1), "UNLOCK")] {
        let id = ledger.begin_deed(intent).unwrap();
        ledger.end_deed(id, 9, Outcome::Done, None, "").unwrap();
    }
    drop(ledger);
    let text = house.run(&["evidence", "--seal", "seal"]);
    assert!(text.starts_with("exit 0\n") && text.contains("2 deeds of 1 plan"), "{text}");
    house
}

fn intent(plan: Option<&str>, undo_of: Option<i64>, what: &str) -> Intent {
    let account = AccountName::new(b"caf\xe9", "%");
    Intent {
        plan: plan.map(str::to_owned),
        undo_of,
        step: 1,
        server: b"db1".to_vec(),
        kind: what.to_lowercase(),
        sql: [&b"ALTER USER 'caf\xe9'@'%' ACCOUNT "[..], what.as_bytes()].concat(),
        undo: vec![b"ALTER USER 'caf\xe9'@'%' ACCOUNT UNLOCK".to_vec()],
        account,
        before: "{}".to_owned(),
        os_user: "ann".to_owned(),
        host: "admin1".to_owned(),
        ticket: Some("OPS-7".to_owned()),
        begun_us: 8,
    }
}

/// Changes a ledger as somebody would who knows how, triggers and all.
fn tamper(house: &House, sql: &str) {
    let ledger = rusqlite::Connection::open(house.path("ledger.sqlite")).unwrap();
    for trigger in
        ["deed_once", "deed_fixed", "deed_kept", "deed_end_once", "deed_end_fixed", "deed_end_kept"]
    {
        ledger.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    ledger.execute_batch(sql).unwrap();
}

/// Exit code, and the rows of deeds.
fn deeds(house: &House) -> (i32, Vec<Value>) {
    let output = house.command(&["evidence", "--verify", "seal", "-o", "json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    (output.status.code().unwrap(), rows.filter(|row| row.get("deed").is_some()).collect())
}

#[test]
fn deeds_are_proven_by_the_seal_alone_and_by_the_ledger() {
    let house = sealed_deeds();
    let (code, rows) = deeds(&house);
    assert_eq!((code, rows.len()), (0, 2), "{rows:?}");
    for row in &rows {
        assert_eq!((&row["verdict"], &row["in_ledger"]), (&"proven".into(), &true.into()));
    }
    assert_eq!(rows[0]["user_hex"], "636166e9");
    assert_eq!((&rows[1]["undo_of"], &rows[1]["who"]), (&1.into(), &"ann@admin1".into()));
    // What is done since is told, and no difference.
    let mut ledger = Ledger::open(&house.path("ledger.sqlite")).unwrap();
    ledger.begin_deed(&intent(None, None, "LOCK")).unwrap();
    drop(ledger);
    let text = house.run(&["evidence", "--verify", "seal"]);
    assert!(text.starts_with("exit 0\n"), "{text}");
    assert!(text.contains("Deeds: 2 proven · 0 differ · held against ledger.sqlite, to which 1 link were added since"), "{text}");
    house.remove("ledger.sqlite");
    let (code, rows) = deeds(&house);
    assert_eq!((code, rows.len()), (0, 2));
    assert!(rows.iter().all(|row| row["verdict"] == "proven" && row["in_ledger"].is_null()));
}

#[test]
fn a_journal_that_is_not_the_sealed_one_is_named_deed_by_deed() {
    for (sql, deed, reason) in [
        ("UPDATE deed SET os_user = 'bob' WHERE id = 1", 0, "it was changed in the ledger"),
        ("DELETE FROM deed_end WHERE deed = 1", 0, "its end was removed"),
        (
            "DELETE FROM deed_end WHERE deed = 2; DELETE FROM deed WHERE id = 2;
             UPDATE meta SET value = '2 ' || (SELECT lower(hex(hash)) FROM deed_end WHERE link = 2)
             WHERE key = 'journal_head'",
            1,
            "whose journal ends before it",
        ),
        ("DROP TRIGGER plan_fixed; DELETE FROM plan", 0, "is gone from the ledger"),
    ] {
        let house = sealed_deeds();
        tamper(&house, sql);
        let (code, rows) = deeds(&house);
        assert_eq!((code, &rows[deed]["verdict"]), (4, &"differs".into()), "{sql}: {rows:?}");
        assert!(rows[deed]["reason"].as_str().unwrap().contains(reason), "{sql}: {rows:?}");
        assert_eq!(rows[1 - deed]["verdict"] == "proven", !sql.contains("plan"), "{sql}: {rows:?}");
        // Neither is a changed journal sealed.
        let text = house.run(&["evidence", "--seal", "other"]);
        assert_eq!(
            text.contains("the journal was changed at deed"),
            deed == 0 && !sql.contains("plan")
        );
    }
}

#[test]
fn another_ledger_and_an_old_seal_are_said() {
    let house = sealed_deeds();
    tamper(&house, "UPDATE meta SET value = 'ff' WHERE key = 'ledger_id'");
    let text = house.run(&["evidence", "--verify", "seal"]);
    assert!(text.starts_with("exit 3\n"), "{text}");
    assert!(text.contains("ledger.sqlite is not the ledger that was sealed"), "{text}");
    // The form of before holds no deeds, and says what to do.
    let seal = String::from_utf8(house.read("seal")).unwrap();
    let kept = seal.lines().filter(|line| {
        !["{\"plan\"", "{\"deed", "{\"undo\"", "{\"ended\"", "{\"sha256\""]
            .iter()
            .any(|it| line.starts_with(it))
    });
    let body = kept.map(|line| format!("{line}\n")).collect::<String>().replacen(
        "rollcall 2",
        "rollcall 1",
        1,
    ) + "{\"deeds\":[]}\n";
    let hash: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    house.write("seal", format!("{body}{{\"sha256\":\"{hash}\"}}\n"));
    let text = house.run(&["evidence", "--verify", "seal"]);
    assert!(text.starts_with("exit 0\n") && text.contains("2 proven"), "{text}");
    assert!(text.contains("seals of this form hold no deeds"), "{text}");
    let later = body.replacen("rollcall 1", "rollcall 9", 1);
    let hash: String = Sha256::digest(&later).iter().map(|byte| format!("{byte:02x}")).collect();
    house.write("seal", format!("{later}{{\"sha256\":\"{hash}\"}}\n"));
    let text = house.run(&["evidence", "--verify", "seal"]);
    assert!(text.starts_with("exit 2\n") && text.contains("or a newer one"), "{text}");
    let text = house.run(&["evidence", "--verify", "seal", "--since", "90d"]);
    assert!(text.starts_with("exit 2\n") && text.contains("proven as a whole"), "{text}");
}

#[test]
fn any_flipped_byte_of_a_log_is_found() {
    let house = sealed();
    let log = house.read(LOG);
    for at in [0, 100, 255, 256, log.len() / 2, log.len() - 1] {
        flip(&house, LOG, at);
        let expected = vec!["proven".to_owned(), "differs".to_owned()];
        assert_eq!(verdicts(&house, &[]), (4, expected.clone()), "byte {at}");
        assert_eq!(verdicts(&house, &["."]), (4, expected), "byte {at}");
        house.write(LOG, &log);
    }
    // Cut short is not the same either.
    house.write(LOG, &log[..log.len() - 1]);
    let text = house.run(&["evidence", "--verify", "seal", "-o", "json"]);
    assert!(text.starts_with("exit 4\n") && text.contains("ends before byte"), "{text}");
    house.write(LOG, &log);
    assert_eq!(verdicts(&house, &[]), proven(2));
}

#[test]
fn any_flipped_byte_of_the_seal_is_found() {
    let house = sealed();
    let seal = house.read("seal");
    for at in (0..seal.len()).step_by(97).chain([seal.len() - 2, seal.len() - 1]) {
        flip(&house, "seal", at);
        let text = house.run(&["evidence", "--verify", "seal"]);
        assert!(text.starts_with("exit 4\n--- stdout\n--- stderr\nrollcall: seal: "), "{text}");
        house.write("seal", &seal);
    }
    for cut in [0, 1, seal.len() / 2, seal.len() - 1] {
        house.write("seal", &seal[..cut]);
        assert_eq!(verdicts(&house, &[]).0, 4, "cut at {cut}");
    }
    house.write("seal", [&seal[..], b"{\"deeds\":[]}\n"].concat());
    assert_eq!(verdicts(&house, &[]).0, 4);
    house.remove("seal");
    assert_eq!(verdicts(&house, &[]).0, 2);
}

#[test]
fn a_log_is_known_by_what_it_holds() {
    let house = sealed();
    let log = house.read("server_audit.log.1");
    house.remove("server_audit.log.1");
    house.write("archive/2026/old=name.gz", gzip(&log));
    house.rename(LOG, "server_audit.log.1");
    house.append("server_audit.log.1", sessions(500..520));
    house.write(LOG, sessions(520..530));
    assert_eq!(verdicts(&house, &[".", "archive"]), proven(2));
    let rows = house.json(&["evidence", "--verify", "seal", "archive", "server_audit.log.1"]);
    assert_eq!(rows[0]["same_raw"], false);
    assert!(rows[0]["found"].as_str().unwrap().ends_with("/archive/2026/old=name.gz"));
    // Where they stood only the second is found, and the other's name leads to no false alarm.
    assert_eq!(verdicts(&house, &[]), (3, vec!["missing".to_owned(), "proven".to_owned()]));
}

#[test]
fn files_that_are_gone_are_said() {
    let house = sealed();
    house.remove("server_audit.log.1");
    assert_eq!(verdicts(&house, &[]), (3, vec!["missing".to_owned(), "proven".to_owned()]));
    house.remove("seal");
    let text = house.run(&["evidence", "--seal", "seal"]);
    assert!(text.contains("1 file not available when the seal was made"), "{text}");
    let sealed = lines(&house);
    let missing =
        sealed.iter().find(|line| line.get("missing").is_some_and(Value::is_string)).unwrap();
    assert_eq!((count(missing, "counted"), &missing["reason"]), (600, &Value::from("gone")));
    assert_eq!(verdicts(&house, &[]), proven(1));
    // One that was edited at its beginning or end since it was read is not taken for the one that was.
    house.remove("seal");
    let end = house.read(LOG).len() - 2;
    flip(&house, LOG, end);
    house.run(&["evidence", "--seal", "seal"]);
    let sealed = lines(&house);
    let missing = sealed.iter().filter(|line| line.get("missing").is_some_and(Value::is_string));
    assert_eq!(
        missing.map(|it| it["reason"].as_str().unwrap()).collect::<Vec<_>>(),
        ["gone", "changed"]
    );
}

#[test]
fn nothing_is_sealed_where_the_ledger_counted_something_else() {
    for change in [
        "UPDATE stretch SET records = records + 1 WHERE file = 1",
        "UPDATE stretch SET records = records - 1 WHERE file = 1",
        "UPDATE doubt SET count = count + 1",
    ] {
        let house = sealed();
        house.remove("seal");
        let ledger = rusqlite::Connection::open(house.path("ledger.sqlite")).unwrap();
        assert_eq!(ledger.execute(change, []).unwrap(), 1);
        drop(ledger);
        let text = house.run(&["evidence", "--seal", "seal"]);
        assert!(
            text.starts_with("exit 2\n--- stdout\n--- stderr\nrollcall: FOLDER/server_audit.log"),
            "{text}"
        );
        assert!(text.contains("nothing was sealed"), "{text}");
        assert!(!house.path("seal").exists());
    }
    // Lines that were taken out of the middle of a log since it was read, and others put in.
    let house = sealed();
    house.remove("seal");
    let log = String::from_utf8(house.read("server_audit.log.1")).unwrap();
    let middle = log[..log.len() / 2].rfind('\n').unwrap() + 1;
    let line = log[middle..].find('\n').unwrap();
    let edited = format!("{}{}{}", &log[..middle], "x".repeat(line), &log[middle + line..]);
    house.write("server_audit.log.1", edited);
    let text = house.run(&["evidence", "--seal", "seal"]);
    assert!(text.contains("599 records stand in it, and the ledger counted 600"), "{text}");
}

#[test]
fn a_seal_takes_no_place_of_a_file() {
    let house = sealed();
    let log = house.read(LOG);
    for taken in [LOG, "seal", "."] {
        let text = house.run(&["evidence", "--seal", taken]);
        assert!(text.starts_with("exit 2\n"), "{text}");
    }
    assert_eq!(house.read(LOG), log);
    assert!(house.run(&["evidence", "--seal", "no/seal"]).contains("no/seal cannot be written"));
    let text = house.run(&["evidence", "--seal", "other", "--server", "db1"]);
    assert!(text.starts_with("exit 2\n") && !house.path("other").exists(), "{text}");
    for wrong in [
        &["evidence", "--seal", "a", "--verify", "seal"][..],
        &["evidence", "server_audit.log"],
        &["evidence", "--seal", "a", "--by", "month"],
    ] {
        assert!(house.run(wrong).starts_with("exit 2\n"), "{wrong:?}");
    }
}

#[test]
fn copies_and_files_read_in_pieces_are_sealed() {
    let house = House::new();
    house.write(LOG, sessions(0..100));
    house.run(&["scan", LOG]);
    house.write("copy.log", house.read(LOG));
    house.append(LOG, sessions(100..200));
    house.run(&["scan", "."]);
    house.write("old/server_audit.log", house.read(LOG));
    house.append(LOG, sessions(200..210));
    house.append("old/server_audit.log", sessions(300..310));
    house.run(&["scan", "."]);
    let text = house.run(&["evidence", "--seal", "seal"]);
    assert!(text.starts_with("exit 0\n"), "{text}");
    let files = lines(&house).iter().filter(|line| line.get("file").is_some()).count();
    assert_eq!(verdicts(&house, &[]), proven(files));
    assert!(files >= 2, "{files}");
}

#[test]
fn torn_archives_and_pipes_are_sealed_as_far_as_they_were_read() {
    let house = House::new();
    let archive = gzip(sessions(0..500).as_bytes());
    house.write("server_audit.log.1.gz", &archive[..archive.len() / 2]);
    house.run(&["scan", "server_audit.log.1.gz"]);
    house.pipe(&["scan", "-"], sessions(600..610).as_bytes());
    let text = house.run(&["evidence", "--seal", "seal"]);
    assert!(text.starts_with("exit 0\n") && text.contains("1 file not available"), "{text}");
    assert_eq!(verdicts(&house, &[]), proven(1));
    // The whole archive begins with all that was sealed.
    house.write("server_audit.log.1.gz", archive);
    assert_eq!(verdicts(&house, &[]), proven(1));
    // A log of which nothing was sealed proves nothing.
    house.write("server_audit.log.1.gz", gzip(sessions(700..800).as_bytes()));
    assert_eq!(verdicts(&house, &[]), (3, vec!["missing".to_owned()]));
}

#[test]
fn hostile_names_stay_in_their_line() {
    let house = House::new();
    let names: [&[u8]; 4] = [
        b"a\n{\"deeds\":[1]}\n.log",
        b"\x1b[2J\".log",
        b"caf\xe9.log",
        "\u{202e}gol.log".as_bytes(),
    ];
    use std::os::unix::ffi::OsStrExt as _;
    for (at, name) in (0..).zip(names) {
        let path = house.folder().join("logs").join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let log = sessions(at * 100..at * 100 + 50)
            + "20261101 00:00:00,d\x1b[2J\"b,u,h,7000,0,CONNECT,,,0\n"
            + "20261101 00:00:01,db1,x\n20261101 00:00:01,db1,root,h,7001,0,CONNECT,,,0\n";
        std::fs::write(path, log).unwrap();
    }
    house.run(&["scan", "logs"]);
    let text = house.run(&["evidence", "--seal", "seal"]);
    assert!(text.starts_with("exit 0\n"), "{text}");
    let seal = String::from_utf8(house.read("seal")).unwrap();
    assert!(!seal.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{seal}");
    assert_eq!(seal.lines().filter(|line| line.starts_with("{\"file\"")).count(), 4);
    assert_eq!(seal.lines().filter(|line| line.starts_with("{\"deeds\"")).count(), 1);
    for arguments in [&["--verify", "seal"][..], &["--verify", "seal", "-o", "json", "logs"]] {
        let text = house.run(&[&["evidence"], arguments].concat());
        assert!(text.starts_with("exit 0\n"), "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{text}");
    }
}
