//! The table that `init_connect` writes logins into, on real servers: what the how-to promises holds, and
//! `rollcall scan` reads it.
//!
//! Needs the feature `real-server` and the servers of `servers`. `init_connect` holds for all who log in, so each
//! test takes its turn and takes it back.

mod servers;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use servers::{Server, lossy};
use tempfile::TempDir;

const PASSWORD: &str = "right-5d90";

/// The how-to's table.
const TABLE: &str = "id int(11) NOT NULL AUTO_INCREMENT, thread_id int(11) DEFAULT NULL, \
    log_time timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, \
    localname varchar(30) DEFAULT NULL, matchname varchar(30) DEFAULT NULL, PRIMARY KEY (id)";

/// rollcall's own.
const OWN_TABLE: &str = "id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, \
    thread_id bigint unsigned DEFAULT NULL, \
    log_time timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), \
    localname varchar(400) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL, \
    matchname varchar(400) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL, KEY (log_time)";

/// The how-to's statement.
const INSERT: &str =
    "insert into accesslog.accesslog values(null,connection_id(),now(),user(),current_user());";

/// With the user name `a…`, `@localhost` makes 31 characters.
const LONG: &str = "al_345678901234567890";

struct Bench {
    server: Server,
    folder: TempDir,
    _turn: fs::File,
}

/// What is left behind by a test that failed is taken back by the next.
fn clean(server: &Server) {
    server.admin(
        "SET GLOBAL init_connect=''; SET GLOBAL time_zone='SYSTEM'; \
         DROP DATABASE IF EXISTS accesslog; DROP DATABASE IF EXISTS al_own",
    );
    for user in ["al_user1", "al_user2", "al_reader", LONG] {
        server.admin(&format!(
            "DROP USER IF EXISTS `{user}`@localhost; DROP USER IF EXISTS `{user}`@`%`"
        ));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            clean(&self.server);
        } else {
            self.server.admin("SET GLOBAL init_connect=''; SET GLOBAL time_zone='SYSTEM'");
        }
    }
}

impl Bench {
    /// With the how-to's table, accounts, and a configuration for [`Bench::scan`].
    fn new(kind: &str) -> Bench {
        let server = Server::of(kind);
        let turn = server.turn();
        clean(&server);
        let bench = Bench { server, folder: TempDir::new().expect("a folder"), _turn: turn };
        bench.admin(&format!(
            "CREATE DATABASE accesslog; CREATE TABLE accesslog.accesslog ({TABLE})"
        ));
        for user in ["al_user1", "al_user2", "al_reader", LONG] {
            bench.admin(&format!("CREATE USER `{user}`@localhost IDENTIFIED BY '{PASSWORD}'"));
        }
        bench.admin("GRANT INSERT, SELECT, UPDATE ON *.* TO al_user1@localhost");
        bench.admin(&format!("GRANT INSERT ON accesslog.* TO `{LONG}`@localhost"));
        bench.admin("GRANT SELECT, INSERT ON accesslog.accesslog TO al_reader@localhost");
        bench.configure("accesslog.accesslog");
        bench
    }

    fn configure(&self, table: &str) {
        let folder = self.folder.path();
        for (name, user, password) in [("reader", "al_reader", PASSWORD), ("root", "root", "")] {
            let path = folder.join(format!("{name}.cnf"));
            let socket = self.server.told("socket");
            let text = format!("[client]\nuser={user}\npassword={password}\nsocket={socket}\n");
            fs::write(&path, text).expect("an option file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
            let text = format!(
                "[[server]]\nname = 'db1'\naccess_log = '{table}'\ndefaults_file = '{}'\n",
                path.display()
            );
            fs::write(folder.join(format!("{name}.toml")), text).expect("a configuration");
        }
    }

    fn admin(&self, statements: &str) -> String {
        self.server.admin(statements)
    }

    fn switch_on(&self) {
        self.admin(&format!("SET GLOBAL init_connect='{INSERT}'"));
    }

    fn login(&self, user: &str) -> Output {
        self.server
            .client()
            .args(["-S", self.server.told("socket"), "-u", user, &format!("-p{PASSWORD}")])
            .args(["-BN", "-e", "SELECT 1"])
            .output()
            .expect("the client")
    }

    #[track_caller]
    fn logs_in(&self, user: &str) {
        let output = self.login(user);
        assert!(output.status.success(), "{user}: {}", lossy(&output.stderr));
    }

    /// The server lets it in and ends the connection at its first statement.
    #[track_caller]
    fn is_thrown_out(&self, user: &str) {
        let output = self.login(user);
        let text = lossy(&output.stderr);
        let says_so =
            ["1184", "1152", "2013", "2006", "4031"].iter().any(|code| text.contains(code));
        assert!(!output.status.success() && says_so, "{user}: {text}");
    }

    fn rollcall(&self, configuration: &str, arguments: &[&str]) -> Output {
        let folder = self.folder.path();
        Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("--ledger")
            .arg(folder.join("ledger.sqlite"))
            .arg("--config")
            .arg(folder.join(format!("{configuration}.toml")))
            .args(arguments)
            .output()
            .expect("rollcall")
    }

    /// What a scan that succeeds says.
    #[track_caller]
    fn scan(&self) -> String {
        let output = self.rollcall("reader", &["scan"]);
        let text = lossy(&output.stderr);
        assert!(output.status.success(), "scan: {} {text}", output.status);
        text
    }

    /// What one that fails says.
    #[track_caller]
    fn failed_scan(&self) -> String {
        let output = self.rollcall("reader", &["scan"]);
        // Nothing that it was to read could be read.
        assert_eq!(output.status.code(), Some(2), "{}", lossy(&output.stderr));
        lossy(&output.stderr)
    }

    #[track_caller]
    fn rows(&self, configuration: &str, arguments: &[&str]) -> Vec<Value> {
        let output = self.rollcall(configuration, &[arguments, &["-o", "json"]].concat());
        let json = |line: &str| serde_json::from_str(line).expect("JSON");
        let rows: Vec<Value> = lossy(&output.stdout).lines().map(json).collect();
        assert!(!rows.is_empty(), "{arguments:?}: {}", lossy(&output.stderr));
        rows
    }

    /// Logins of a user, and the newest.
    #[track_caller]
    fn seen(&self, user: &str) -> Option<(u64, Timestamp)> {
        let rows = self.rows("reader", &["seen"]);
        let row = rows.iter().find(|row| row["user"] == user)?;
        assert_eq!((&row["server"], &row["host"]), (&"db1".into(), &"localhost".into()), "{row}");
        let last = row["last_seen"].as_str().expect("a time").parse().expect("a time");
        Some((row["logins"].as_u64().expect("a number"), last))
    }
}

/// A session of the administrator that stays open, or another process that ends with its test.
struct Session {
    child: Child,
}

impl Session {
    fn open(bench: &Bench) -> Session {
        let child = bench
            .server
            .client()
            .args(["-u", "root", "-S", bench.server.told("socket"), "-BN", "-n"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client");
        Session { child }
    }

    /// Returns when the server has answered.
    fn send(&mut self, statements: &str) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(format!("{statements}; SELECT 'done';\n").as_bytes()).expect("a pipe");
        let mut line = String::new();
        let output = self.child.stdout.as_mut().expect("a pipe");
        BufReader::with_capacity(1, output).read_line(&mut line).expect("an answer");
        assert_eq!(line, "done\n");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A test for each server.
macro_rules! on_each {
    ($($test:ident)*) => {$(
        mod $test {
            #[test]
            fn mariadb_10_11() { super::checks::$test(&super::Bench::new("mariadb-10.11")); }
            #[test]
            fn mariadb_11_8() { super::checks::$test(&super::Bench::new("mariadb-11.8")); }
            #[test]
            fn mysql_9_7() { super::checks::$test(&super::Bench::new("mysql-9.7")); }
        }
    )*};
}

on_each! {
    what_the_how_to_promises_holds
    rows_that_come_late_count_once
    each_row_counts_once_whatever_dies
    emptied_and_altered_tables_are_read
    other_names_and_the_own_layout_are_read
    what_is_missing_is_said
    a_watch_reads_it_too
}

mod checks {
    use super::*;

    pub(super) fn what_the_how_to_promises_holds(bench: &Bench) {
        // The zone of the server's clock does not matter.
        bench.admin("SET GLOBAL time_zone='+05:30'");
        bench.switch_on();
        let before = Timestamp::now();
        bench.logs_in("al_user1");
        bench.logs_in("al_user1");
        bench.is_thrown_out("al_user2");
        bench.is_thrown_out(LONG);
        for _ in 0..3 {
            bench.scan();
            let (logins, last) = bench.seen("al_user1").expect("a row");
            assert_eq!(logins, 2);
            let tolerance = SignedDuration::from_secs(2);
            assert!(before - tolerance < last && last < Timestamp::now() + tolerance, "{last}");
        }
        // Who cannot log in, and who leaves no row.
        assert_eq!(bench.seen("al_user2"), None);
        assert_eq!(bench.seen(LONG), None);
        assert_eq!(bench.seen("root"), None);
        // rollcall itself is an ordinary account here.
        assert_eq!(bench.seen("al_reader").map(|(logins, _)| logins), Some(3));
        let accounts = bench.rows("root", &["accounts"]);
        let account = |user: &str| {
            accounts.iter().find(|it| it["user"] == user && it["host"] == "localhost").expect("one")
        };
        assert_eq!(account("al_user1")["matched_by"], "access-log");
        assert_eq!(account("al_user1")["logins"], 2);
        // MySQL itself counts the connections of those that are thrown out.
        assert_ne!(account("al_user2")["matched_by"], "access-log");
        // It proves what it holds, and nothing else.
        let evidence = bench.rows("reader", &["evidence", "-q"]);
        let states: Vec<&Value> = evidence.iter().map(|row| &row["state"]).collect();
        assert_eq!(states, ["unconfirmed"], "{evidence:?}");
        let status = bench.rows("reader", &["status"]);
        assert_eq!(status[0]["source"], "table accesslog.accesslog");
        assert_eq!(status[0]["dialect"], "access_log");
        // A name of 30 characters fits the table, as a longer one would where the server cuts it.
        bench.admin(
            "INSERT INTO accesslog.accesslog (localname) VALUES ('al_45678901234567890@localhost')",
        );
        let text = bench.scan();
        assert!(text.contains("1 with a name that fills its column"), "{text}");
    }

    pub(super) fn rows_that_come_late_count_once(bench: &Bench) {
        bench.switch_on();
        let insert = |user: &str| {
            let peer = format!("'{user}@localhost', '{user}@localhost'");
            format!("INSERT INTO accesslog.accesslog (localname, matchname) VALUES ({peer})")
        };
        let mut late = Session::open(bench);
        late.send(&format!("START TRANSACTION; {}", insert("al_late")));
        let mut lost = Session::open(bench);
        lost.send(&format!("START TRANSACTION; {}", insert("al_lost")));
        bench.logs_in("al_user1");
        bench.scan();
        assert_eq!(bench.seen("al_late"), None);
        late.send("COMMIT");
        lost.send("ROLLBACK");
        for _ in 0..2 {
            bench.scan();
            assert_eq!(bench.seen("al_late").map(|it| it.0), Some(1));
            assert_eq!(bench.seen("al_user1").map(|it| it.0), Some(1));
        }
        assert_eq!(bench.seen("al_lost"), None);
    }

    pub(super) fn each_row_counts_once_whatever_dies(bench: &Bench) {
        let table = "accesslog.accesslog (localname, matchname)";
        let mut statements =
            format!("INSERT INTO {table} VALUES ('al_many@localhost', 'al_many@localhost')");
        // Several pages, with numbers left out: the server takes more than it needs.
        for _ in 0..15 {
            statements += &format!(
                "; INSERT INTO {table} SELECT localname, matchname FROM accesslog.accesslog"
            );
        }
        bench.admin(&statements);
        for moment in 0..15 {
            let folder = bench.folder.path();
            let mut scan = Command::new(env!("CARGO_BIN_EXE_rollcall"))
                .arg("--ledger")
                .arg(folder.join("ledger.sqlite"))
                .arg("--config")
                .arg(folder.join("reader.toml"))
                .args(["scan", "-q"])
                .spawn()
                .expect("rollcall");
            std::thread::sleep(Duration::from_millis(moment * 40));
            scan.kill().expect("its end");
            scan.wait().expect("its end");
        }
        for _ in 0..2 {
            bench.scan();
            assert_eq!(bench.seen("al_many").map(|it| it.0), Some(1 << 15));
        }
    }

    pub(super) fn emptied_and_altered_tables_are_read(bench: &Bench) {
        bench.switch_on();
        (0..5).for_each(|_| bench.logs_in("al_user1"));
        bench.scan();
        bench.admin("DELETE FROM accesslog.accesslog WHERE id < 5");
        bench.admin("ALTER TABLE accesslog.accesslog MODIFY localname varchar(400)");
        bench.logs_in("al_user1");
        assert!(!bench.scan().contains("made anew"));
        assert_eq!(bench.seen("al_user1").map(|it| it.0), Some(6));
        bench.admin("TRUNCATE accesslog.accesslog");
        bench.logs_in("al_user1");
        assert!(bench.scan().contains("was emptied or made anew"));
        assert!(!bench.scan().contains("made anew"));
        assert_eq!(bench.seen("al_user1").map(|it| it.0), Some(7));
        // An update moves the times of rows that were counted.
        bench.admin("DO SLEEP(1.1); UPDATE accesslog.accesslog SET thread_id = thread_id + 1");
        assert!(bench.failed_scan().contains("changed or replaced"));
        bench.admin("TRUNCATE accesslog.accesslog");
        bench.scan();
        assert_eq!(bench.seen("al_user1").map(|it| it.0), Some(7));
    }

    pub(super) fn other_names_and_the_own_layout_are_read(bench: &Bench) {
        bench.admin(&format!(
            "CREATE DATABASE al_own; CREATE TABLE al_own.`log``ins` ({OWN_TABLE}); \
             GRANT SELECT, INSERT ON al_own.`log``ins` TO al_reader@localhost"
        ));
        bench.admin(&format!("GRANT INSERT ON al_own.* TO `{LONG}`@localhost"));
        bench.configure("al_own.log`ins");
        bench.admin(
            "SET GLOBAL init_connect='INSERT INTO al_own.`log``ins` (thread_id, localname, matchname) \
             VALUES (CONNECTION_ID(), USER(), CURRENT_USER())'",
        );
        bench.logs_in("al_user1");
        bench.logs_in(LONG);
        bench.scan();
        assert_eq!(bench.seen("al_user1").map(|it| it.0), Some(1));
        assert_eq!(bench.seen(LONG).map(|it| it.0), Some(1));
    }

    pub(super) fn a_watch_reads_it_too(bench: &Bench) {
        bench.switch_on();
        bench.logs_in("al_user1");
        let folder = bench.folder.path();
        let watch = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("--ledger")
            .arg(folder.join("ledger.sqlite"))
            .arg("--config")
            .arg(folder.join("reader.toml"))
            .args(["watch", "-q"])
            .spawn()
            .expect("rollcall");
        let _watch = Session { child: watch };
        let deadline = Instant::now() + Duration::from_secs(20);
        let is_seen = || {
            let output = bench.rollcall("reader", &["seen", "-o", "json"]);
            lossy(&output.stdout).contains("al_user1")
        };
        while !is_seen() {
            assert!(Instant::now() < deadline, "it was not read");
        }
        assert_eq!(bench.seen("al_user1").map(|it| it.0), Some(1));
    }

    pub(super) fn what_is_missing_is_said(bench: &Bench) {
        bench.admin("REVOKE SELECT ON accesslog.accesslog FROM al_reader@localhost");
        let text = bench.failed_scan();
        let remedy = "GRANT SELECT ON `accesslog`.`accesslog` TO 'al_reader'@'localhost'";
        assert!(text.contains(remedy), "{text}");
        bench.admin(remedy);
        bench.scan();
        bench.admin("ALTER TABLE accesslog.accesslog MODIFY log_time datetime");
        assert!(bench.failed_scan().contains("`log_time` is no TIMESTAMP"));
        bench.admin("ALTER TABLE accesslog.accesslog DROP COLUMN matchname");
        assert!(bench.failed_scan().contains("lacks a column"));
        bench.admin("DROP TABLE accesslog.accesslog");
        assert!(bench.failed_scan().contains("there is no such table"));
        // What could not be read is remembered.
        let status = bench.rows("reader", &["status"]);
        assert!(status.iter().any(|row| {
            row["trouble"].as_str().is_some_and(|text| text.contains("there is no such table"))
        }));
    }
}
