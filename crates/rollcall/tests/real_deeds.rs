//! Deeds on real servers that are not well: replicas that follow and that do not, servers that take no changes, are
//! down, or are another than their certificate says, sessions that somebody ends, and somebody else who locks
//! accounts as well. And what is sent is what was shown, and nothing else is.
//!
//! Needs the feature `real-server` and root, as it starts servers of its own with `tests/servers/start`.

#[path = "servers/own.rs"]
mod own;

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use own::{PASSWORD, Server, text};
use serde_json::Value;
use tempfile::TempDir;

/// How long a server may take for what it does by and by.
const PATIENCE: Duration = Duration::from_secs(30);

/// A test for each server.
macro_rules! on_each {
    ($($test:ident)*) => {$(
        mod $test {
            #[test]
            fn mariadb_10_11() { super::$test("mariadb-10.11"); }
            #[test]
            fn mariadb_11_8() { super::$test("mariadb-11.8"); }
            #[test]
            fn mysql_9_7() { super::$test("mysql-9.7"); }
        }
    )*};
}

on_each! {
    a_group_is_changed_on_its_primary
    what_was_shown_is_sent_and_nothing_else
    the_procedures_are_enough
    what_others_do_stays
}

/// Names that break what quotes badly.
const HOSTILE: [&str; 6] =
    ["o'neil", "\"q`b\\s\\", "a b,c@d", "ünï", "line\nbreak", "'@'%' ACCOUNT LOCK; --"];

/// An account as SQL for the empty `sql_mode`.
fn literal(user: &str, host: &str) -> String {
    let quoted = |name: &str| format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"));
    format!("{}@{}", quoted(user), quoted(host))
}

/// Waits for what comes by and by.
fn until(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A row of `apply`, `undo` or `journal`.
fn rows(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn column(rows: &[Value], name: &str) -> Vec<String> {
    rows.iter().map(|row| row[name].as_str().unwrap_or_default().to_owned()).collect()
}

/// Servers, the program, and what stands in its folder.
struct House {
    /// Ended before the folder goes, which they are told by.
    servers: Vec<(&'static str, Server)>,
    folder: TempDir,
}

/// What an administrator makes on each server: the one who does deeds, and accounts.
const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        House { servers: Vec::new(), folder }
    }

    /// Starts a server.
    fn add(&mut self, name: &'static str, kind: &str, options: &[&str]) {
        let server = Server::start(kind, &self.path(name), None, options);
        self.servers.push((name, server));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self, name: &str) -> &Server {
        &self.servers.iter().find(|(known, _)| *known == name).expect("a server").1
    }

    /// Makes the accounts on a server.
    fn people(&self, name: &str) {
        let mut statements = format!(
            "CREATE USER dba@'%' IDENTIFIED BY '{PASSWORD}';
             GRANT ALL PRIVILEGES ON *.* TO dba@'%' WITH GRANT OPTION;
             CREATE DATABASE shop;"
        );
        for user in ACCOUNTS {
            statements += &format!(
                "CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}';
                 GRANT SELECT, INSERT ON shop.* TO {user}@'%';"
            );
        }
        self.server(name).admin(&statements);
    }

    /// Writes the option file by which a server is reached.
    fn reach(&self, name: &str, lines: &str) {
        let path = self.path(&format!("{name}.cnf"));
        fs::write(&path, format!("[client]\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn reach_by_socket(&self, name: &str) {
        let socket = self.server(name).told("socket").to_owned();
        self.reach(name, &format!("socket={socket}\nuser=dba\npassword={PASSWORD}"));
    }

    /// Writes the configuration: all servers, in this group.
    fn configure(&self, group: Option<&str>, more: &str) {
        let mut configuration = more.to_owned();
        for (name, _) in &self.servers {
            self.reach_by_socket(name);
            configuration += &format!(
                "[[server]]\nname = \"{name}\"\ntime_zone = \"UTC\"\ndefaults_file = \"{}\"\n",
                self.path(&format!("{name}.cnf")).display()
            );
            if let Some(group) = group {
                configuration += &format!("group = \"{group}\"\n");
            }
        }
        fs::write(self.path("rollcall.toml"), configuration).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
        command.current_dir(self.folder.path()).args(["--config", "rollcall.toml"]);
        command.args(["--ledger", "ledger.sqlite", "--zone", "UTC"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn well(&self, arguments: &[&str]) -> String {
        let (code, out, error) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}\n{out}{error}");
        out
    }

    /// Makes a plan; its id.
    fn plan(&self, arguments: &[&str]) -> String {
        let file = self.path("plan.json");
        let _ = fs::remove_file(&file);
        self.well(&[arguments, &["--out", "plan.json"]].concat());
        let plan: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        plan["id"].as_str().unwrap().to_owned()
    }

    /// Which of the accounts are locked on a server, as it tells itself.
    fn locked(&self, name: &str) -> Vec<String> {
        let server = self.server(name);
        let sql = match server.is_mariadb() {
            true => {
                "SELECT User FROM mysql.global_priv WHERE JSON_VALUE(Priv, '$.account_locked')=1
                 AND User IN ('a', 'b', 'c') ORDER BY 1"
            }
            false => {
                "SELECT User FROM mysql.user WHERE account_locked='Y'
                 AND User IN ('a', 'b', 'c') ORDER BY 1"
            }
        };
        server.admin(sql).lines().map(str::to_owned).collect()
    }

    /// Holds the lock of a backup on a server, in which accounts cannot be changed, until this is dropped.
    fn hold(&self, name: &str) -> Held {
        let server = self.server(name);
        let mut child = Command::new(server.told("client"))
            .args(["-u", "root", "-S", server.told("socket"), "-BNn"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let statements = b"FLUSH TABLES WITH READ LOCK;\nSELECT 'held';\n";
        child.stdin.as_mut().unwrap().write_all(statements).unwrap();
        let mut answer = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut answer).unwrap();
        assert_eq!(&answer, b"held\n");
        Held(child)
    }

    /// The session of `dba` that is at a statement which changes an account.
    fn session_at_work(&self, name: &str) -> String {
        let server = self.server(name);
        let mut id = String::new();
        until("a statement waits", || {
            id = server.admin(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE USER='dba'
                 AND INFO LIKE 'ALTER USER%'",
            );
            !id.is_empty()
        });
        id.trim().to_owned()
    }
}

/// A lock that is held.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// A primary and a replica that stops at the first statement which it cannot repeat.
fn group(kind: &str) -> House {
    let mut house = House::new();
    let is_mariadb = kind.starts_with("mariadb");
    let options: &[&str] = match is_mariadb {
        true => &["--gtid-strict-mode=ON", "--log-slave-updates=ON"],
        false => &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"],
    };
    // The replica's name comes first.
    house.add("db0", kind, &[options, &["--server-id=2"]].concat());
    house.add("db1", kind, options);
    house.people("db1");
    let primary = house.server("db1");
    primary.admin(&format!(
        "CREATE USER repl@'%' IDENTIFIED BY '{PASSWORD}'; GRANT REPLICATION SLAVE ON *.* TO repl@'%'"
    ));
    let port = primary.told("port");
    house.server("db0").admin(&match is_mariadb {
        true => format!(
            "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='repl',
             MASTER_PASSWORD='{PASSWORD}', MASTER_USE_GTID=slave_pos; START SLAVE"
        ),
        false => format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port},
             SOURCE_USER='repl', SOURCE_PASSWORD='{PASSWORD}', SOURCE_AUTO_POSITION=1,
             GET_SOURCE_PUBLIC_KEY=1; START REPLICA"
        ),
    });
    house.configure(Some("shop"), "[plans]\ncool_down_days = 0\n");
    follows(&house);
    house
}

/// Asserts that the replica has all that the primary has, and nothing else.
fn follows(house: &House) {
    let (primary, replica) = (house.server("db1"), house.server("db0"));
    let gtid = match primary.is_mariadb() {
        true => "SELECT @@gtid_binlog_pos",
        false => "SELECT @@gtid_executed",
    };
    let told = primary.admin(gtid);
    until("the replica follows", || replica.admin(gtid) == told);
}

fn a_group_is_changed_on_its_primary(kind: &str) {
    let house = group(kind);
    let both = |users: &[&str]| {
        assert_eq!((house.locked("db0"), house.locked("db1")), {
            let users: Vec<String> = users.iter().map(|it| (*it).to_owned()).collect();
            (users.clone(), users)
        });
    };
    // The plan names the primary alone, and says why.
    let page = house.well(&["lock", "a", "b", "--anyway"]);
    assert!(page.contains("the server is a replica: act on the primary (--replica)"), "{page}");
    let (code, page, _) = house.run(&["lock", "a", "--anyway", "--server", "db0"]);
    assert_eq!(code, 2, "{page}");
    assert!(page.contains("the server is a replica"), "{page}");

    // What is done on the primary is looked for on the replica.
    let applied = ["lock", "a", "b", "--anyway", "--apply", "-v", "-o", "json"];
    let (code, out, error) = house.run(&applied);
    assert_eq!(code, 0, "{error}");
    assert_eq!(column(&rows(&out), "server"), ["db1", "db1"]);
    assert!(error.contains("db0 shows it, too: 'b'@'%'"), "{error}");
    both(&["a", "b"]);
    follows(&house);
    house.well(&["undo", "--last"]);
    both(&[]);

    // Told to change replicas as well, it does so only where the change does not arrive by itself.
    let told = ["lock", "a", "--anyway", "--replica", "--apply", "-o", "json"];
    let done = rows(&house.well(&told));
    assert_eq!(column(&done, "server"), ["db1", "db0"]);
    assert_eq!(column(&done, "outcome"), ["done", "done before"]);
    assert_eq!(done[1]["detail"], "it arrived from db1");
    both(&["a"]);
    house.well(&["undo", "--last"]);
    both(&[]);
    follows(&house);

    // An account that is dropped and made anew.
    let before = house.server("db0").grants("c");
    house.well(&["lock", "c", "--anyway", "--apply"]);
    house.well(&["drop", "c", "--anyway", "--replica", "--apply"]);
    follows(&house);
    house.well(&["undo", "--last"]);
    let lock = rows(&house.well(&["journal", "-o", "json"]));
    let lock = lock.iter().find(|it| it["kind"] == "lock" && it["user"] == "c").unwrap();
    house.well(&["undo", lock["plan"].as_str().unwrap()]);
    follows(&house);
    assert_eq!(house.server("db0").grants("c"), before);
    assert_eq!(house.server("db1").grants("c"), before);

    // A replica that does not follow is named.
    let (stop, start) = match kind.starts_with("mariadb") {
        true => ("STOP SLAVE SQL_THREAD", "START SLAVE"),
        false => ("STOP REPLICA SQL_THREAD", "START REPLICA"),
    };
    house.server("db0").admin(stop);
    let (code, _, error) = house.run(&["lock", "a", "--anyway", "--apply"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("db0 does not show it: 'a'@'%': its replication is stopped"), "{error}");
    let (code, out, error) = house.run(&["undo", "--last", "-o", "json"]);
    assert_eq!((code, column(&rows(&out), "outcome")), (0, vec!["done".to_owned()]), "{error}");
    // Told to change it as well, it waits, and leaves it alone: its replication would stop for good.
    let (code, out, _) = house.run(&told);
    assert_eq!(code, 3);
    let done = rows(&out);
    assert_eq!(column(&done, "outcome"), ["done", "not sent"]);
    assert!(done[1]["detail"].as_str().unwrap().contains("has not arrived here after 10 s"));
    house.server("db0").admin(start);
    follows(&house);
    both(&["a"]);
    // It goes on where it was.
    let plan = done[0]["plan"].as_str().unwrap();
    let done = rows(&house.well(&["apply", plan, "-o", "json"]));
    assert_eq!(column(&done, "outcome"), ["done before", "done before"]);
    house.well(&["undo", plan]);
    both(&[]);

    // A server that takes no changes.
    house.server("db1").admin("SET GLOBAL read_only=1");
    let (code, page, _) = house.run(&["lock", "a", "--anyway"]);
    assert_eq!(code, 2, "{page}");
    assert!(page.contains("the server is read-only"), "{page}");
    house.server("db1").admin(&format!(
        "SET GLOBAL read_only=0; CREATE USER small@'%' IDENTIFIED BY '{PASSWORD}';
         GRANT CREATE USER, PROCESS, SELECT, {} ON *.* TO small@'%'",
        if kind.starts_with("mariadb") { "SLAVE MONITOR" } else { "REPLICATION CLIENT" }
    ));
    let plan = house.plan(&["lock", "a", "b", "--anyway", "--replica", "--server", "db1"]);
    house.server("db1").admin("SET GLOBAL read_only=1");
    let socket = house.server("db1").told("socket").to_owned();
    house.reach("db1", &format!("socket={socket}\nuser=small\npassword={PASSWORD}"));
    let (code, out, _) = house.run(&["apply", &plan, "-o", "json"]);
    let done = rows(&out);
    assert_eq!((code, column(&done, "outcome")), (2, vec!["FAILED".to_owned(); 2]), "{done:?}");
    assert!(done[0]["detail"].as_str().unwrap().contains("is read-only (1290)"), "{done:?}");
    both(&[]);
    house.server("db1").admin("SET GLOBAL read_only=0");
    house.well(&["apply", &plan]);
    follows(&house);
    both(&["a", "b"]);
    house.well(&["undo", &plan]);
    follows(&house);

    // On a replica alone, when told: nothing is expected elsewhere.
    let alone = ["lock", "c", "--anyway", "--replica", "--server", "db0", "--apply"];
    house.well(&alone);
    assert_eq!(house.locked("db0"), ["c"]);
    assert_eq!(house.locked("db1"), [""; 0]);
    house.well(&["undo", "--last"]);
    both(&[]);
}

/// A server that logs each statement as it came.
fn logged(kind: &str) -> House {
    let mut house = House::new();
    let raw: &[&str] = if kind.starts_with("mysql") { &["--log-raw=ON"] } else { &[] };
    house.add("db1", kind, &[raw, &["--general-log=ON", "--log-output=TABLE"]].concat());
    house.people("db1");
    let mut statements = "SET sql_mode='';".to_owned();
    for user in HOSTILE {
        statements += &format!("CREATE USER {};", literal(user, "10.%"));
    }
    house.server("db1").admin(&statements);
    house.configure(None, "");
    house
}

/// What `dba` has sent since the log was emptied, but for what only reads and what a session sets for itself.
fn changes(server: &Server) -> Vec<Vec<u8>> {
    let rows = server.admin(
        "SELECT HEX(argument) FROM mysql.general_log WHERE user_host LIKE 'dba%'
         AND command_type IN ('Query', 'Execute', 'Prepare') ORDER BY event_time, thread_id",
    );
    let bytes = |hex: &str| -> Vec<u8> {
        let pair = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(pair).collect()
    };
    let reads = |it: &Vec<u8>| {
        [&b"SELECT "[..], b"SHOW ", b"SET SESSION ", b"SET NAMES "]
            .iter()
            .any(|word| it.starts_with(word))
    };
    rows.lines().map(bytes).filter(|it| !reads(it)).collect()
}

fn what_was_shown_is_sent_and_nothing_else(kind: &str) {
    let house = logged(kind);
    let server = house.server("db1");
    let table = if server.is_mariadb() { "mysql.global_priv" } else { "mysql.user" };
    let state = || server.admin(&format!("SELECT * FROM {table} ORDER BY User, Host"));
    let before = state();
    server.admin("TRUNCATE mysql.general_log");
    let names: Vec<String> = HOSTILE.iter().map(|user| literal(user, "10.%")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for arguments in [
        &["accounts"][..],
        &["account", "a"],
        &["unused", "--for", "90d", "--plan", "lock"],
        &["lock", "a", "--anyway"],
        &["drop", "a", "--anyway"],
        &["unlock", "a", "--anyway"],
        &["findings"],
        &["doctor"],
        &["setup", "lock-procedure"],
        &["setup", "monitor"],
    ] {
        let (code, _, error) = house.run(arguments);
        assert!(code <= 3, "{arguments:?}: {error}");
    }
    let plan = house.plan(&[&["lock", "--anyway"][..], &names].concat());
    assert_eq!(changes(server), Vec::<Vec<u8>>::new());
    let own = server.admin("SELECT COUNT(*) FROM mysql.general_log WHERE user_host LIKE 'dba%'");
    assert!(own.trim().parse::<u32>().unwrap() > 100, "{own}");
    assert_eq!(state(), before);

    // What is sent is what the plan shows, byte by byte; so is what takes it back.
    let shown: Value = serde_json::from_slice(&fs::read(house.path("plan.json")).unwrap()).unwrap();
    let shown: Vec<Vec<u8>> = shown["plan"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["sql"].as_str().unwrap().as_bytes().to_vec())
        .collect();
    assert_eq!(shown.len(), HOSTILE.len());
    house.well(&["apply", &plan]);
    assert_eq!(changes(server), shown);
    assert_ne!(state(), before);
    server.admin("TRUNCATE mysql.general_log");
    let undone = column(&rows(&house.well(&["undo", &plan, "-o", "json"])), "statement");
    let undone: Vec<Vec<u8>> = undone.into_iter().map(String::into_bytes).collect();
    assert_eq!(changes(server), undone);
    let back = |sql: &Vec<u8>| [&sql[..sql.len() - b"LOCK".len()], b"UNLOCK"].concat();
    assert_eq!(undone, shown.iter().rev().map(back).collect::<Vec<_>>());
    // As it was, but for what MariaDB then says of a lock.
    assert_eq!(state().replace(",\"account_locked\":false", ""), before);
}

fn the_procedures_are_enough(kind: &str) {
    let mut house = House::new();
    house.add("db1", kind, &[]);
    house.people("db1");
    house.configure(None, "[plans]\ncool_down_days = 0\n");
    let server = house.server("db1");
    let version = server.admin("SELECT VERSION()");
    let version = ["--server-version", version.trim()];
    let admin = |script: &str| {
        let mut child = Command::new(server.told("client"))
            .args(["-u", "root", "-S", server.told("socket")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{script}");
    };
    let account = ["--account", "watch@localhost"];
    let days = ["--cool-down-days", "0"];
    let monitor = [&["setup", "monitor", "--password"][..], &account, &version].concat();
    let procedures = [&["setup", "lock-procedure"][..], &account, &days, &version].concat();
    admin(&house.well(&monitor));
    admin(&house.well(&procedures));
    admin(&format!("ALTER USER watch@localhost IDENTIFIED BY '{PASSWORD}' ACCOUNT UNLOCK;"));
    let socket = server.told("socket").to_owned();
    house.reach("db1", &format!("socket={socket}\nuser=watch\npassword={PASSWORD}"));
    let create = "SELECT COUNT(*) FROM mysql.user WHERE User='watch' AND Create_user_priv='Y'";
    assert_eq!(server.admin(create).trim(), "0");

    let before = server.grants("a");
    let plan = house.plan(&["lock", "a", "b", "--anyway"]);
    let text = fs::read_to_string(house.path("plan.json")).unwrap();
    assert!(text.contains("CALL rollcall.lock_account('a', '%')"), "{text}");
    house.well(&["apply", &plan]);
    assert_eq!(house.locked("db1"), ["a", "b"]);
    house.well(&["undo", &plan]);
    assert_eq!(house.locked("db1"), [""; 0]);
    assert_eq!(server.grants("a"), before);

    // What the procedure protects, whatever the plan says; what it did before that is done and taken back.
    let plan = house.plan(&["lock", "a", "c", "--anyway"]);
    server.admin("INSERT INTO rollcall.protected (user, host) VALUES ('c', '%')");
    let (code, out, _) = house.run(&["apply", &plan, "-o", "json"]);
    let done = rows(&out);
    assert_eq!((code, column(&done, "outcome")), (3, vec!["done".to_owned(), "FAILED".to_owned()]));
    assert!(done[1]["detail"].as_str().unwrap().contains("the procedure refuses"), "{done:?}");
    assert_eq!(house.locked("db1"), ["a"]);
    house.well(&["undo", &plan]);
    assert_eq!(house.locked("db1"), [""; 0]);

    // What others have locked it does not unlock.
    server.admin("ALTER USER b@'%' ACCOUNT LOCK");
    let plan = house.plan(&["unlock", "b", "--anyway"]);
    let (code, out, _) = house.run(&["apply", &plan, "-o", "json"]);
    assert_eq!((code, column(&rows(&out), "outcome")), (2, vec!["FAILED".to_owned()]));
    assert_eq!(house.locked("db1"), ["b"]);
}

fn what_others_do_stays(kind: &str) {
    let mut house = House::new();
    house.add("db1", kind, &[]);
    house.people("db1");
    house.configure(None, "");
    let server = house.server("db1");

    // Unlocked and locked again by somebody else, and that was seen: it stays locked.
    let plan = house.plan(&["lock", "a", "b", "--anyway"]);
    house.well(&["apply", &plan]);
    server.admin("ALTER USER a@'%' ACCOUNT UNLOCK");
    house.well(&["accounts"]);
    server.admin("ALTER USER a@'%' ACCOUNT LOCK");
    let (_, page, _) = house.run(&["unlock", "a"]);
    assert!(page.contains("rollcall did not lock it"), "{page}");
    let done = rows(&house.well(&["undo", &plan, "-o", "json"]));
    assert_eq!(column(&done, "outcome"), ["done", "done before"]);
    let detail = done[1]["detail"].as_str().unwrap();
    assert!(detail.starts_with("it was unlocked meanwhile (noticed "), "{detail}");
    assert_eq!(house.locked("db1"), ["a"]);

    // The same by rollcall, of another plan.
    house.well(&["unlock", "a", "--anyway", "--apply"]);
    let first = house.plan(&["lock", "a", "--anyway"]);
    house.well(&["apply", &first]);
    house.well(&["unlock", "a", "--apply"]);
    let second = house.plan(&["lock", "a", "--anyway"]);
    house.well(&["apply", &second]);
    let done = rows(&house.well(&["undo", &first, "-o", "json"]));
    assert!(done[0]["detail"].as_str().unwrap().contains("has done so since"), "{done:?}");
    assert_eq!(house.locked("db1"), ["a"]);
    house.well(&["undo", &second]);
    assert_eq!(house.locked("db1"), [""; 0]);

    // Whoever ends the session stops the plan there; the next run goes on.
    let plan = house.plan(&["lock", "a", "b", "--anyway"]);
    let held = house.hold("db1");
    let run = house.command(&["apply", &plan, "-o", "json"]).spawn().unwrap();
    let id = house.session_at_work("db1");
    server.admin(&format!("KILL {id}"));
    let output = run.wait_with_output().unwrap();
    drop(held);
    let done = rows(&text(&output.stdout));
    assert_eq!(output.status.code(), Some(2), "{done:?}");
    assert_eq!(column(&done, "outcome"), ["FAILED", "not sent"]);
    let detail = done[0]["detail"].as_str().unwrap();
    assert!(detail.ends_with("; the server shows it not done"), "{detail}");
    assert_eq!(house.locked("db1"), [""; 0]);
    house.well(&["apply", &plan]);
    assert_eq!(house.locked("db1"), ["a", "b"]);
    house.well(&["undo", &plan]);

    // A run that is killed while its statement waits on the server. MariaDB gives up what nobody waits for; MySQL
    // does it all the same, and undoing waits until it has.
    let plan = house.plan(&["lock", "a", "b", "--anyway"]);
    let held = house.hold("db1");
    let mut run = house.command(&["apply", &plan]).spawn().unwrap();
    house.session_at_work("db1");
    run.kill().unwrap();
    run.wait().unwrap();
    let undo = house.command(&["undo", &plan, "-o", "json"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    drop(held);
    let output = undo.wait_with_output().unwrap();
    let done = rows(&text(&output.stdout));
    let journal = rows(&house.well(&["journal", "--plan", &plan, "-o", "json"]));
    let begun = journal.last().unwrap()["detail"].as_str().unwrap();
    let (code, sent, detail) = match server.is_mariadb() {
        true => (2, &[][..], "the server shows it not done"),
        false => (0, &["ALTER USER 'a'@'%' ACCOUNT UNLOCK"][..], "the server shows it done"),
    };
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    assert_eq!(column(&done, "statement"), sent);
    assert_eq!(begun, format!("an earlier run was interrupted; {detail}"));
    assert_eq!(house.locked("db1"), [""; 0]);
}

/// Listens on an address that no certificate names, and hands everything on to a port of this machine.
fn forward(port: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let to = format!("127.0.0.1:{port}");
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&to).unwrap();
            for (mut from, mut to) in
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    own
}

/// A server that cannot be reached has a result for each of its accounts; the other one is done, and running again
/// does the rest.
#[test]
fn a_server_out_of_reach_stops_its_own_accounts_alone() {
    let mut house = House::new();
    house.add("db1", "mariadb-10.11", &[]);
    house.add("db2", "mysql-9.7", &[]);
    house.people("db1");
    house.people("db2");
    house.configure(None, "");
    let server = house.server("db2");
    let (port, ca) = (server.told("port").to_owned(), server.told("ca").to_owned());
    let login = format!("user=dba\npassword={PASSWORD}");
    let verify = format!("ssl-mode=VERIFY_IDENTITY\nssl-ca={ca}");
    let elsewhere = forward(&port);
    for (lines, why) in [
        (format!("host=127.0.0.1\nport=1\n{login}"), "no server answers at 127.0.0.1:1"),
        (format!("host=127.0.0.1\nport={port}\nuser=dba\npassword=wrong"), "refused the login"),
        (
            format!("host=127.0.0.2\nport={elsewhere}\n{login}\n{verify}"),
            "the certificate of 127.0.0.2",
        ),
    ] {
        let plan = house.plan(&["lock", "a", "b", "--anyway"]);
        house.reach("db2", &lines);
        let (code, out, _) = house.run(&["apply", &plan, "-o", "json"]);
        let done = rows(&out);
        assert_eq!(code, 3, "{done:?}");
        let told = ["db1 done", "db2 not sent", "db1 done", "db2 not sent"];
        let outcomes = column(&done, "outcome");
        let pairs = column(&done, "server").into_iter().zip(outcomes);
        let mut pairs: Vec<String> = pairs.map(|(name, it)| format!("{name} {it}")).collect();
        let mut told = told.map(str::to_owned).to_vec();
        pairs.sort();
        told.sort();
        assert_eq!(pairs, told);
        let of_db2 = done.iter().filter(|it| it["server"] == "db2");
        assert!(of_db2.clone().all(|it| it["detail"].as_str().unwrap().contains(why)), "{done:?}");
        assert!(!out.contains(PASSWORD) && !out.contains("wrong"));
        assert_eq!((house.locked("db1").len(), house.locked("db2").len()), (2, 0));

        // Both are there again: only what is left is sent.
        house.reach_by_socket("db2");
        let done = rows(&house.well(&["apply", &plan, "-o", "json"]));
        assert_eq!(column(&done, "outcome").iter().filter(|it| *it == "done before").count(), 2);
        assert_eq!((house.locked("db1").len(), house.locked("db2").len()), (2, 2));
        // The same for what takes it back.
        house.reach("db2", &lines);
        let (code, out, _) = house.run(&["undo", &plan, "-o", "json"]);
        assert_eq!(code, 3, "{out}");
        assert_eq!(rows(&out).len(), 4);
        assert_eq!((house.locked("db1").len(), house.locked("db2").len()), (0, 2));
        house.reach_by_socket("db2");
        let done = rows(&house.well(&["undo", &plan, "-o", "json"]));
        assert_eq!(column(&done, "server"), ["db2", "db2"]);
        assert_eq!((house.locked("db1").len(), house.locked("db2").len()), (0, 0));
    }
    // None is there: nothing was done, and the plan is as good as before.
    let plan = house.plan(&["lock", "a", "--anyway"]);
    for name in ["db1", "db2"] {
        house.reach(name, &format!("host=127.0.0.1\nport=1\n{login}"));
    }
    let (code, out, _) = house.run(&["apply", &plan, "-o", "json"]);
    assert_eq!((code, column(&rows(&out), "outcome")), (2, vec!["not sent".to_owned(); 2]));
    for name in ["db1", "db2"] {
        house.reach_by_socket(name);
    }
    house.well(&["apply", &plan]);
    assert_eq!((house.locked("db1").len(), house.locked("db2").len()), (1, 1));
}
