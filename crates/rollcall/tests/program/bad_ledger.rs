//! Ledgers that cannot be used, and scans that meet each other.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use insta::assert_snapshot;

use super::house::{House, QUIET, session, sessions};

#[test]
fn there_is_none_yet() {
    let house = House::new();
    for command in ["seen", "failures", "evidence", "status", "report"] {
        let text = house.run(&[command]);
        assert_eq!(
            text,
            "exit 2\n--- stdout\n--- stderr\nrollcall: ledger.sqlite: there is no ledger yet: run \
             rollcall scan first, or name another with --ledger\n"
        );
    }
    assert!(!house.path("ledger.sqlite").exists());
}

#[test]
fn something_else_stands_there() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..3));
    house.write("ledger.sqlite", "my diary\n".repeat(1000));
    assert_snapshot!(house.run(&["scan", "server_audit.log"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: ledger.sqlite: this is not a rollcall ledger (not an SQLite database): name another file with --ledger, or move it away
    "#);
    assert_snapshot!(house.run(&["seen"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: ledger.sqlite: this is not a rollcall ledger (not an SQLite database): name another file with --ledger, or move it away
    "#);
    assert_eq!(house.read("ledger.sqlite"), "my diary\n".repeat(1000).as_bytes());

    house.remove("ledger.sqlite");
    let other = rusqlite::Connection::open(house.path("ledger.sqlite")).unwrap();
    other.execute_batch("CREATE TABLE moz_cookies (id INTEGER)").unwrap();
    drop(other);
    let before = house.read("ledger.sqlite");
    assert_snapshot!(house.run(&["scan", "server_audit.log"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: ledger.sqlite: this is not a rollcall ledger (an SQLite database of another program): name another file with --ledger, or move it away
    "#);
    assert_eq!(house.read("ledger.sqlite"), before);
}

#[test]
fn a_newer_rollcall_wrote_it() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..3));
    house.scan(&["server_audit.log"]);
    let ledger = rusqlite::Connection::open(house.path("ledger.sqlite")).unwrap();
    ledger.pragma_update(None, "user_version", 99).unwrap();
    drop(ledger);
    let before = house.read("ledger.sqlite");
    assert_snapshot!(house.run(&["scan", "server_audit.log"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: ledger.sqlite: written by a newer rollcall (schema 99, this program knows 8): upgrade rollcall
    "#);
    assert_snapshot!(house.run(&["seen"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: ledger.sqlite: written by a newer rollcall (schema 99, this program knows 8): upgrade rollcall
    "#);
    assert_eq!(house.read("ledger.sqlite"), before);
}

#[test]
fn a_damaged_one_is_no_empty_one() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..500));
    house.scan(&["server_audit.log"]);
    let mut bytes = house.read("ledger.sqlite");
    let from = bytes.len() / 4;
    bytes[from..].fill(0x5a);
    house.write("ledger.sqlite", bytes);
    let text = house.run(&["seen"]);
    assert!(
        text.starts_with("exit 2\n--- stdout\n--- stderr\nrollcall: ledger.sqlite: "),
        "{text}"
    );
    assert!(text.contains("damaged"), "{text}");
}

#[test]
fn the_folder_may_not_be_written() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..3));
    house.write("locked/keep", "");
    let closed = std::fs::Permissions::from_mode(0o555);
    std::fs::set_permissions(house.path("locked"), closed).unwrap();
    let arguments = ["scan", "server_audit.log", "--ledger", "locked/ledger.sqlite"];
    assert_snapshot!(house.run_as_nobody(&arguments), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: locked/ledger.sqlite: making the ledger: Permission denied (os error 13)
    "#);
    assert!(!house.path("locked/ledger.sqlite").exists());
}

#[test]
fn who_may_only_read_it_gets_answers() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..3));
    assert_eq!(house.run(&["scan", "server_audit.log"]), QUIET);
    for name in ["ledger.sqlite", "rollcall.toml"] {
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(house.path(name), open).unwrap();
    }
    let own = house.run(&["seen", "-o", "json"]);
    assert_eq!(house.run_as_nobody(&["seen", "-o", "json"]), own);
    // While somebody writes, what was committed may stand in a file that this user cannot share.
    house.write("ledger.sqlite-wal", "unfinished");
    assert_snapshot!(house.run_as_nobody(&["seen"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: ledger.sqlite: the ledger and what SQLite keeps beside it (-wal, -shm) must be writable, while somebody writes also for who only reads: permission denied
    "#);
}

#[test]
fn the_folder_cannot_be_made() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..3));
    house.write("file", "");
    let text = house.run(&["scan", "server_audit.log", "--ledger", "file/ledger.sqlite"]);
    assert_snapshot!(text, @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: file/ledger.sqlite: making the ledger's folder: File exists (os error 17)
    "#);
    assert_snapshot!(house.run(&["scan", "server_audit.log", "--ledger", "/proc/ledger"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: /proc/ledger: making the ledger: No such file or directory (os error 2)
    "#);
    assert_snapshot!(house.run(&["scan", "server_audit.log", "--ledger", "."]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: .: opening the ledger: it is a directory
    "#);
}

/// A file system of 300 KiB that is unmounted whatever happens.
struct SmallDisk<'a>(&'a House);

impl SmallDisk<'_> {
    fn mount(house: &House) -> Option<SmallDisk<'_>> {
        std::fs::create_dir(house.path("small")).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=500k", "tmpfs"]).arg(house.path("small"));
        let done = mount.stderr(Stdio::null()).status();
        done.is_ok_and(|it| it.success()).then_some(SmallDisk(house))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path("small")).status();
        assert!(unmounted.unwrap().success() || std::thread::panicking());
    }
}

#[test]
fn no_space_for_it() {
    let house = House::new();
    let Some(_disk) = SmallDisk::mount(&house) else {
        // Only root can mount one.
        let skipped = "skipped: a small file system cannot be mounted\n";
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    };
    let many: String = (0..5_000).map(|id| session(&format!("user{id}"), id)).collect();
    house.write("server_audit.log", sessions(1..3));
    house.write("many.log", many);
    let in_small =
        |arguments: &[&str]| house.run(&[arguments, &["--ledger", "small/ledger.sqlite"]].concat());
    assert_eq!(in_small(&["scan", "server_audit.log"]), QUIET);
    let before = in_small(&["seen", "-o", "json"]);
    assert_eq!(before.lines().filter(|line| line.starts_with('{')).count(), 2, "{before}");
    assert_snapshot!(in_small(&["scan", "many.log"]), @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: small/ledger.sqlite: no space left for the ledger: free some, then run again; nothing was half stored
    "#);
    // What was there is there, and nothing else.
    assert_eq!(in_small(&["seen", "-o", "json"]), before);
    // With room, the same command does it.
    std::fs::copy(house.path("small/ledger.sqlite"), house.path("ledger.sqlite")).unwrap();
    assert_eq!(house.run(&["scan", "many.log"]), QUIET);
    assert_eq!(house.logins().values().sum::<u64>(), 5_002);
}

#[test]
fn one_scan_works_the_other_says_who_does() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..3));
    // A scan of a pipe works as long as the pipe is open.
    let mut first = house.command(&["scan", "-"]);
    let mut first =
        first.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = first.stdin.take().unwrap();
    let lock = house.path("ledger.sqlite.lock");
    let holder = first.id().to_string();
    while !std::fs::read_to_string(&lock).is_ok_and(|text| text == holder) {
        std::thread::yield_now();
    }
    let second = house.run(&["scan", "server_audit.log"]).replace(&holder, "FIRST");
    assert_snapshot!(second, @r#"
    exit 2
    --- stdout
    --- stderr
    rollcall: ledger.sqlite: another rollcall is writing to this ledger (process FIRST): try again when it has ended
    "#);
    // Questions are answered beside it.
    assert_eq!(house.logins().len(), 0);
    pipe.write_all(sessions(1..20).as_bytes()).unwrap();
    drop(pipe);
    assert_eq!(house.text(&first.wait_with_output().unwrap()), QUIET);
    assert_eq!(house.logins().values().sum::<u64>(), 19);
    house.scan(&["server_audit.log"]);
}

#[test]
fn of_many_scans_at_once_none_counts_twice() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..2000));
    let scans: Vec<_> = (0..12)
        .map(|_| {
            let mut scan = house.command(&["scan", "server_audit.log"]);
            scan.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut worked = 0;
    for scan in scans {
        let text = house.text(&scan.wait_with_output().unwrap());
        let busy =
            "exit 2\n--- stdout\n--- stderr\nrollcall: ledger.sqlite: another rollcall is writing";
        assert!(text == QUIET || text.starts_with(busy), "{text}");
        worked += u32::from(text == QUIET);
    }
    assert!(worked > 0);
    assert_eq!(house.logins().values().sum::<u64>(), 1999);
}

#[test]
fn a_killed_scan_leaves_nothing_half_stored() {
    let house = House::new();
    house.write("server_audit.log", sessions(1..50));
    house.scan(&["server_audit.log"]);
    let before = house.answers();
    let log = sessions(1000..9000).replace("db1", "db2");
    for share in [1, 2, 3] {
        let mut scan = house.command(&["scan", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        // What it has taken from the pipe it has read, or is about to: far more than the pipe
        // holds.
        scan.stdin.as_mut().unwrap().write_all(&log.as_bytes()[..log.len() * share / 4]).unwrap();
        scan.kill().unwrap();
        scan.wait().unwrap();
        assert_eq!(house.answers(), before);
    }
    assert_eq!(house.pipe(&["scan", "-"], log.as_bytes()), QUIET);
    let logins = house.logins();
    assert_eq!(logins.values().sum::<u64>(), 49 + 8000, "{logins:?}");
}
