//! What a real client does on a real MariaDB shows up in `rollcall seen`.
//!
//! Needs the feature `real-server` and the servers `mariadb-10.11` and `mariadb-11.8`: see
//! `servers`. Every test runs against both.
//!
//! All tests write into the one audit log of a server. Each has users of its own, and they take
//! turns.

mod servers;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use servers::{Server, lossy};
use tempfile::TempDir;

/// How far the time of a record may be from the clock beside the client.
const TIME_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// How long the server may take to write a record after it has answered.
const LOG_PATIENCE: Duration = Duration::from_secs(20);

const PASSWORD: &str = "right-7f3a";

/// A running server, a ledger of one's own, and the turn to use both.
struct Bench {
    server: Server,
    folder: TempDir,
    _turn: File,
}

impl Bench {
    fn new(kind: &str) -> Self {
        let server = Server::of(kind);
        let turn = server.turn();
        let bench = Bench { server, folder: TempDir::new().expect("a folder"), _turn: turn };
        bench.admin("SET GLOBAL server_audit_logging=ON");
        bench
    }

    fn audit_folder(&self) -> PathBuf {
        Path::new(self.server.told("audit_log")).parent().expect("a folder").to_path_buf()
    }

    /// Runs a statement as root on the socket.
    fn admin(&self, statement: &str) {
        self.server.admin(statement);
    }

    fn create_user(&self, user: &str) {
        self.admin(&format!("CREATE OR REPLACE USER `{user}`@`%` IDENTIFIED BY '{PASSWORD}'"));
    }

    /// Logs in over TCP, asks one question, leaves. Returns whether the server let the client in.
    fn login(&self, user: &str, password: &str) -> bool {
        self.server
            .client()
            .args(["--protocol=tcp", "-h", "127.0.0.1", "-P", self.server.told("port")])
            .args(["--skip-ssl", "-u", user, &format!("-p{password}"), "-e", "SELECT 1"])
            .output()
            .expect("the mariadb client")
            .status
            .success()
    }

    /// Waits until the log with its rotated files holds `count` DISCONNECT records of `user`: the
    /// server writes them after the client has gone.
    fn await_disconnects(&self, user: &str, count: usize) {
        let deadline = Instant::now() + LOG_PATIENCE;
        loop {
            let mut found = 0;
            for entry in fs::read_dir(self.audit_folder()).expect("the audit folder") {
                // A file may be renamed between listing and reading: then the next turn finds it.
                let text = fs::read(entry.expect("an entry").path()).unwrap_or_default();
                found += lossy(&text)
                    .lines()
                    .filter(|line| line.contains(&format!(",{user},")))
                    .filter(|line| line.contains(",DISCONNECT,"))
                    .count();
            }
            if found >= count {
                return;
            }
            assert!(Instant::now() < deadline, "{found} of {count} DISCONNECT records of {user}");
            std::thread::yield_now();
        }
    }

    fn rollcall(&self, arguments: &[&str]) -> Output {
        self.rollcall_with("ledger.sqlite", arguments)
    }

    fn rollcall_with(&self, ledger: &str, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("--ledger")
            .arg(self.folder.path().join(ledger))
            .args(arguments)
            .output()
            .expect("rollcall")
    }

    fn scan(&self) {
        self.scan_into("ledger.sqlite");
    }

    fn scan_into(&self, ledger: &str) {
        let folder = self.audit_folder();
        let path = folder.to_str().expect("a path in UTF-8");
        let output = self.rollcall_with(ledger, &["scan", path, "--time-zone", "UTC"]);
        assert!(output.status.success(), "scan: {} {}", output.status, lossy(&output.stderr));
    }

    /// All rows of `seen`.
    fn seen(&self) -> Vec<Value> {
        self.seen_in("ledger.sqlite")
    }

    fn seen_in(&self, ledger: &str) -> Vec<Value> {
        let output = self.rollcall_with(ledger, &["seen", "-o", "json"]);
        assert!(output.status.success(), "seen: {} {}", output.status, lossy(&output.stderr));
        lossy(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// The row of a user that was only seen from 127.0.0.1.
    fn seen_user(&self, user: &str) -> Value {
        one_row(self.seen(), user)
    }
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn one_row(rows: Vec<Value>, user: &str) -> Value {
    let rows: Vec<Value> = rows.into_iter().filter(|row| row["user"] == user).collect();
    assert_eq!(rows.len(), 1, "rows of {user}: {rows:?}");
    assert_eq!(rows[0]["host"], "127.0.0.1");
    rows.into_iter().next().expect("one row")
}

/// The time in `row[field]` lies between `from` and `to`, within the tolerance.
fn assert_time(row: &Value, field: &str, from: Timestamp, to: Timestamp) {
    let text = row[field].as_str().unwrap_or_else(|| panic!("{field} of {row}"));
    assert!(text.ends_with('Z'), "{field} {text} is not UTC");
    let time: Timestamp = text.parse().unwrap_or_else(|_| panic!("{field} {text} is no time"));
    assert!(
        from - TIME_TOLERANCE <= time && time <= to + TIME_TOLERANCE,
        "{field} {time} is not between {from} and {to}"
    );
}

/// Makes a test of each function for each server.
macro_rules! on_each {
    ($($name:ident)*) => {
        mod mariadb_10_11 {
            $(#[test] fn $name() { super::$name("mariadb-10.11"); })*
        }
        mod mariadb_11_8 {
            $(#[test] fn $name() { super::$name("mariadb-11.8"); })*
        }
    };
}

on_each! {
    logins_and_failures_have_their_counts_and_times
    a_second_scan_adds_nothing_and_a_third_only_what_is_new
    rotation_by_the_plugin_loses_nothing
    a_login_shows_up_while_watch_runs
    a_switch_of_the_audit_is_a_gap
    a_record_inside_a_name_is_nobodys_login
}

fn logins_and_failures_have_their_counts_and_times(kind: &str) {
    let bench = Bench::new(kind);
    bench.create_user("e2e_app");
    let from = Timestamp::now();
    assert!(bench.login("e2e_app", PASSWORD));
    let after_first = Timestamp::now();
    for _ in 0..2 {
        assert!(!bench.login("e2e_app", "wrong"));
    }
    assert!(bench.login("e2e_app", PASSWORD));
    let before_last = Timestamp::now();
    assert!(bench.login("e2e_app", PASSWORD));
    let to = Timestamp::now();
    assert!(!bench.login("e2e_nobody", PASSWORD));
    bench.await_disconnects("e2e_app", 5);
    bench.await_disconnects("e2e_nobody", 1);
    bench.scan();

    let row = bench.seen_user("e2e_app");
    assert_eq!(row["server"], bench.server.told("hostname"));
    assert_eq!(row["logins"], 3);
    assert_eq!(row["failures"], 2);
    assert_eq!(row["last_error"], 1045);
    assert_eq!(row["contested"], false);
    assert_time(&row, "first_seen", from, after_first);
    assert_time(&row, "last_seen", before_last, to);
    assert_time(&row, "last_active", before_last, to);
    assert_time(&row, "last_failed", after_first, before_last);

    let row = bench.seen_user("e2e_nobody");
    assert_eq!(row["logins"], 0);
    assert_eq!(row["failures"], 1);
    assert_eq!(row["first_seen"], Value::Null);
}

fn a_second_scan_adds_nothing_and_a_third_only_what_is_new(kind: &str) {
    let bench = Bench::new(kind);
    bench.create_user("e2e_again");
    for _ in 0..4 {
        assert!(bench.login("e2e_again", PASSWORD));
    }
    bench.await_disconnects("e2e_again", 4);
    bench.scan();
    let first = bench.seen();
    bench.scan();
    assert_eq!(bench.seen(), first);

    assert!(bench.login("e2e_again", PASSWORD));
    bench.await_disconnects("e2e_again", 5);
    bench.scan();
    assert_eq!(bench.seen_user("e2e_again")["logins"], 5);
}

fn rotation_by_the_plugin_loses_nothing(kind: &str) {
    let bench = Bench::new(kind);
    bench.create_user("e2e_rotated");
    let mut logins = 0;
    // A scan before the first rotation, one between, and two rotations without a scan.
    for (rotate, scan) in [(false, true), (true, true), (true, false), (true, false), (true, true)]
    {
        if rotate {
            bench.admin("SET GLOBAL server_audit_file_rotate_now=1");
        }
        for _ in 0..3 {
            assert!(bench.login("e2e_rotated", PASSWORD));
            logins += 1;
        }
        bench.await_disconnects("e2e_rotated", logins);
        if scan {
            bench.scan();
            assert_eq!(bench.seen_user("e2e_rotated")["logins"], logins);
        }
    }
    // Who reads everything at once gets the same answer.
    bench.scan_into("fresh.sqlite");
    let row = one_row(bench.seen_in("fresh.sqlite"), "e2e_rotated");
    assert_eq!(row, bench.seen_user("e2e_rotated"));
}

fn a_login_shows_up_while_watch_runs(kind: &str) {
    let bench = Bench::new(kind);
    bench.create_user("e2e_watched");
    // So that there is a ledger to ask from the beginning.
    bench.scan();
    let watch = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .arg("--ledger")
        .arg(bench.folder.path().join("ledger.sqlite"))
        .args(["watch", "-q", "--time-zone", "UTC"])
        .arg(bench.audit_folder())
        .spawn();
    let mut watch = Ended(watch.expect("rollcall"));
    let await_logins = |logins: u64| {
        let deadline = Instant::now() + LOG_PATIENCE;
        loop {
            let rows = bench.seen();
            let row = rows.iter().find(|row| row["user"] == "e2e_watched");
            if row.is_some_and(|row| row["logins"] == logins) {
                return;
            }
            assert!(Instant::now() < deadline, "{logins} logins are waited for: {row:?}");
            std::thread::yield_now();
        }
    };
    let mut logins = 0;
    for rotate in [false, true, false, true, true] {
        if rotate {
            bench.admin("SET GLOBAL server_audit_file_rotate_now=1");
        }
        assert!(bench.login("e2e_watched", PASSWORD));
        logins += 1;
        await_logins(logins);
    }
    kill(Pid::from_raw(watch.0.id() as i32), Signal::SIGTERM).expect("the signal");
    assert!(watch.0.wait().expect("the end of watch").success());
    // Who reads everything at once gets the same answer.
    bench.await_disconnects("e2e_watched", logins as usize);
    bench.scan();
    bench.scan_into("fresh.sqlite");
    let row = one_row(bench.seen_in("fresh.sqlite"), "e2e_watched");
    assert_eq!(row, bench.seen_user("e2e_watched"));
}

fn a_switch_of_the_audit_is_a_gap(kind: &str) {
    let bench = Bench::new(kind);
    bench.create_user("e2e_unseen");
    bench.create_user("e2e_back");
    let gaps = |begins: &str| -> Vec<Value> {
        let output = bench.rollcall(&["evidence", "-q", "-o", "json"]);
        let text = lossy(&output.stdout);
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        rows.filter(|row| row["reason"].as_str().is_some_and(|it| it.starts_with(begins))).collect()
    };
    let mut logins = 0;
    for (off, on, state, begins) in [
        (
            "SET GLOBAL server_audit_logging=OFF",
            "logging=ON",
            "gap",
            "plugin off, SET GLOBAL by root@",
        ),
        (
            "set @x='a, b', @@global . `server_audit_logging` := DEFAULT",
            "logging=1",
            "gap",
            "plugin off, SET GLOBAL by root@",
        ),
        (
            "SET GLOBAL server_audit_logging=(SELECT 0)",
            "logging=ON",
            "unconfirmed",
            "plugin may be off",
        ),
        ("SET GLOBAL server_audit_events='QUERY'", "events=''", "gap", "logins are not audited"),
        (
            "SET GLOBAL server_audit_output_type=syslog",
            "output_type=file",
            "gap",
            "audited to syslog",
        ),
    ] {
        // Logs before this test have such gaps, too.
        bench.scan();
        let known = gaps(begins).len();
        let from = Timestamp::now();
        bench.admin(off);
        assert!(bench.login("e2e_unseen", PASSWORD));
        // The log has seconds.
        while Timestamp::now().as_second() < from.as_second() + 3 {
            std::thread::sleep(Duration::from_millis(50));
        }
        bench.admin(&format!("SET GLOBAL server_audit_{on}"));
        let to = Timestamp::now();
        assert!(bench.login("e2e_back", PASSWORD));
        logins += 1;
        bench.await_disconnects("e2e_back", logins);
        bench.scan();
        let all = gaps(begins);
        assert_eq!(all.len(), known + 1, "{off}: {all:?}");
        let row = all.iter().max_by_key(|row| row["from"].to_string()).expect("a row");
        assert_eq!(row["state"], state, "{off}: {row}");
        assert_time(row, "from", from, from);
        assert_time(row, "to", to, to);
    }
    let unseen = |row: &&Value| row["user"] == "e2e_unseen";
    assert!(bench.seen().iter().filter(unseen).all(|row| row["logins"] == 0));
    // Read at once it is the same, and the seal holds it.
    bench.scan_into("fresh.sqlite");
    let evidence = |ledger: &str| {
        lossy(&bench.rollcall_with(ledger, &["evidence", "-q", "-o", "json"]).stdout)
    };
    assert_eq!(evidence("fresh.sqlite"), evidence("ledger.sqlite"));
    let seal = bench.folder.path().join("seal");
    let sealed = bench.rollcall(&["evidence", "--seal", seal.to_str().expect("UTF-8")]);
    assert!(sealed.status.success(), "{}", lossy(&sealed.stderr));
    let text = fs::read_to_string(&seal).expect("the seal");
    assert!(text.contains("plugin off, SET GLOBAL by root@localhost"), "{text}");
}

fn a_record_inside_a_name_is_nobodys_login(kind: &str) {
    let bench = Bench::new(kind);
    let stamp = Timestamp::now().strftime("%Y%m%d %H:%M:%S");
    let form = format!("x\n{stamp},db1,e2e_forged,10.9.8.7,77,0,CONNECT,mysql,,0\nz");
    assert!(!bench.login(&form, PASSWORD));
    // The name stands in a FAILED_CONNECT and in its DISCONNECT record; a last, plain failure
    // tells that both are written.
    assert!(!bench.login("e2e_after", PASSWORD));
    bench.await_disconnects("e2e_after", 1);
    bench.scan();
    for row in bench.seen() {
        assert_ne!(row["user"], "e2e_forged", "{row}");
        assert_ne!(row["host"], "10.9.8.7", "{row}");
    }
    let evidence = bench.rollcall(&["evidence", "-o", "json"]);
    assert!(evidence.status.success(), "{}", lossy(&evidence.stderr));
    assert!(lossy(&evidence.stdout).contains(r#""quarantined""#), "{}", lossy(&evidence.stdout));
}
