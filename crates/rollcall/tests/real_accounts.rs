//! From logs and two real servers to locked accounts and back, on MariaDB and on MySQL: twenty accounts that the
//! servers made 100 days ago by their own clock, a log of each with a gap in one of them, verdicts, a plan,
//! somebody else who applies it, and its undoing.
//!
//! Needs the feature `real-server` and root, as it starts servers of its own with `tests/servers/start`.

#[path = "servers/own.rs"]
mod own;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use own::{PASSWORD, Server, text};
use serde_json::Value;
use tempfile::TempDir;

const DAY: i64 = 86_400;

/// The user that somebody else is to this machine: `nobody`.
const SOMEBODY_ELSE: u32 = 65_534;

/// The error number of a login, or `None` where it was let in.
fn login(server: &Server, user: &str) -> Option<u32> {
    let mut command = Command::new(server.told("client"));
    command.args(["-u", user, &format!("-p{PASSWORD}"), "-S", server.told("socket"), "-e", "DO 1"]);
    let output = command.output().unwrap();
    if output.status.success() {
        return None;
    }
    let error = text(&output.stderr);
    let number = error.split("ERROR ").nth(1).and_then(|rest| rest.split(' ').next());
    Some(number.unwrap_or_else(|| panic!("{error}")).parse().unwrap())
}

/// Twenty accounts: who they are, and how many days ago each logged in last, if ever.
fn accounts() -> Vec<(String, Option<i64>)> {
    let mut all = Vec::new();
    all.extend((1..=6).map(|n| (format!("never{n}"), None)));
    all.extend((1..=3).map(|n| (format!("stale{n}"), Some(90 + n))));
    all.push(("repl".to_owned(), None));
    all.push(("payroll".to_owned(), None));
    all.push(("yearend".to_owned(), Some(97)));
    all.extend((1..=8).map(|n| (format!("app{n}"), Some(n))));
    assert_eq!(all.len(), 20);
    all
}

/// Two servers that are judged together, a folder, and what stands in it.
struct House {
    /// Ended before the folder goes, which they are told by.
    servers: Vec<(&'static str, Server)>,
    folder: TempDir,
    now: i64,
}

impl House {
    fn new(kinds: [&str; 2]) -> House {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let now = jiff::Timestamp::now().as_second();
        let servers = ["db1", "db2"].into_iter().zip(kinds).map(|(name, kind)| {
            let data = folder.path().join(name);
            // The server made them 100 days ago, as far as it knows.
            let then = Server::start(kind, &data, Some(now - 100 * DAY), &[]);
            for (user, _) in accounts() {
                then.admin(&format!("CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'"));
            }
            then.admin(
                "GRANT REPLICATION SLAVE ON *.* TO repl@'%'; CREATE DATABASE shop;
                 GRANT SELECT, INSERT ON shop.* TO stale1@'%' WITH GRANT OPTION;
                 GRANT SELECT (Host) ON mysql.db TO never1@'%'",
            );
            then.admin(&format!(
                "CREATE USER dba@'localhost' IDENTIFIED BY '{PASSWORD}';
                 GRANT ALL PRIVILEGES ON *.* TO dba@'localhost' WITH GRANT OPTION"
            ));
            drop(then);
            (name, Server::start(kind, &data, None, &[]))
        });
        let house = House { servers: servers.collect(), folder, now };
        house.configure();
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self) {
        let mut configuration = "protected = [\"'payroll'@'%'\"]\n".to_owned();
        for (name, server) in &self.servers {
            let options = self.path(&format!("{name}.cnf"));
            let socket = server.told("socket");
            let login = format!("[client]\nsocket={socket}\nuser=dba\npassword={PASSWORD}\n");
            fs::write(&options, login).unwrap();
            fs::set_permissions(&options, fs::Permissions::from_mode(0o600)).unwrap();
            configuration += &format!(
                "[[server]]\nname = \"{name}\"\ngroup = \"shop\"\ntime_zone = \"UTC\"\n\
                 audit_logs = [\"{}\"]\ndefaults_file = \"{}\"\n",
                self.path(&format!("{name}.log*")).display(),
                options.display()
            );
        }
        fs::write(self.path("rollcall.toml"), configuration).unwrap();
    }

    /// The log of a server from this many days ago to that many: the used accounts on their days, and somebody
    /// each hour so that the log is not silent.
    fn log(&self, server: &str, from: i64, to: i64) -> String {
        let mut lines = String::new();
        let first_hour = (100 - from) * 24;
        for hour in 0..(from - to) * 24 {
            let at = self.now - from * DAY + hour * 3600;
            let days_ago = from - hour / 24;
            let id = 1000 + 100 * (first_hour + hour);
            let mut users = vec!["app1".to_owned()];
            let is_noon = hour % 24 == 12;
            users.extend(
                accounts()
                    .into_iter()
                    .filter(|(_, last)| is_noon && last.is_some_and(|last| days_ago >= last))
                    .map(|(user, _)| user),
            );
            let stamp = jiff::Timestamp::from_second(at).unwrap().strftime("%Y%m%d %H:%M:%S");
            for (user, id) in users.iter().zip(id..) {
                for operation in ["CONNECT", "DISCONNECT"] {
                    let record = format!("{stamp},{server},{user},10.0.0.7,{id},0,{operation},,,0");
                    lines += &(record + "\n");
                }
            }
        }
        lines
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
        command.current_dir(self.folder.path()).args([
            "--config",
            "rollcall.toml",
            "--zone",
            "UTC",
        ]);
        command.args(["--ledger", "ledger.sqlite"]).args(arguments);
        command
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn well(&self, arguments: &[&str]) -> String {
        let (code, out, error) = self.run(arguments);
        assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}\n{out}");
        out
    }

    /// Which accounts are locked, as each server itself tells it.
    fn locked(&self) -> Vec<String> {
        let of = |server: &Server| server.admin(LOCKED_OF[usize::from(!server.is_mariadb())]);
        self.servers.iter().map(|(_, server)| of(server)).collect()
    }

    /// Verdicts by user, the same on both servers.
    fn verdicts(&self) -> BTreeMap<String, (String, Value)> {
        let answer =
            self.well(&["unused", "--group", "shop", "--for", "90d", "--all", "-o", "json"]);
        let mut verdicts = BTreeMap::new();
        for line in answer.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let user = row["user"].as_str().unwrap().to_owned();
            let verdict = row["verdict"].as_str().unwrap().to_owned();
            let known = verdicts.insert(user.clone(), (verdict.clone(), row));
            assert!(known.is_none_or(|(known, _)| known == verdict), "{user}");
        }
        verdicts
    }
}

/// A log of each server; of that of db2 a rotated file is missing.
fn write_logs(house: &House) {
    fs::write(house.path("db1.log"), house.log("db1", 100, 0)).unwrap();
    // The days from 60 to 48 days ago are missing on db2.
    fs::write(house.path("db2.log.2"), house.log("db2", 100, 60)).unwrap();
    fs::write(house.path("db2.log"), house.log("db2", 48, 0)).unwrap();
}

fn users(verdicts: &BTreeMap<String, (String, Value)>, verdict: &str) -> Vec<String> {
    let of = verdicts.iter().filter(|(_, (it, _))| it == verdict).map(|(user, _)| user.clone());
    of.filter(|user| accounts().iter().any(|(it, _)| it == user)).collect()
}

fn show(kinds: [&str; 2]) {
    let house = House::new(kinds);
    write_logs(&house);
    house.well(&["scan"]);
    house.well(&[
        "keep",
        "yearend",
        "--until",
        "2099-01-31",
        "--owner",
        "finance",
        "--reason",
        "closing",
    ]);

    // With a gap on one member nobody who is silent is unused.
    let verdicts = house.verdicts();
    assert_eq!(users(&verdicts, "unused"), [""; 0]);
    assert_eq!(users(&verdicts, "kept"), ["yearend"]);
    let used: Vec<String> = (1..=8).map(|n| format!("app{n}")).collect();
    assert_eq!(users(&verdicts, "used"), used);
    assert_eq!(users(&verdicts, "unknown").len(), 11);
    let days = verdicts["never1"].1["uncovered_days"].as_u64().unwrap();
    assert!((12..=13).contains(&days), "{days}");
    let (code, out, _) =
        house.run(&["unused", "--group", "shop", "--for", "90d", "--plan", "lock"]);
    assert_eq!(code, 0);
    assert!(out.contains("there is nothing to lock"), "{out}");

    // The archived log closes it.
    fs::write(house.path("db2.log.1"), house.log("db2", 60, 48)).unwrap();
    house.well(&["scan"]);
    let verdicts = house.verdicts();
    let mut unused = users(&verdicts, "unused");
    let mut expected: Vec<String> = (1..=6).map(|n| format!("never{n}")).collect();
    expected.extend((1..=3).map(|n| format!("stale{n}")));
    expected.extend(["payroll".to_owned(), "repl".to_owned()]);
    expected.sort();
    unused.sort();
    assert_eq!(unused, expected, "{verdicts:#?}");
    assert_eq!(verdicts["repl"].1["protected"], "replication account");
    assert_eq!(verdicts["payroll"].1["protected"], "protected by configuration");
    assert_eq!(verdicts["never1"].1["last_seen"], Value::Null);

    // The default is to send nothing.
    let before = house.locked();
    let grants = |house: &House| -> Vec<String> {
        let all = house.servers.iter();
        all.flat_map(|(_, it)| ["stale1", "never1"].map(|user| it.grants(user))).collect()
    };
    let granted = grants(&house);
    let asked =
        ["unused", "--group", "shop", "--for", "90d", "--plan", "lock", "--out", "plan.json"];
    let page = house.well(&asked);
    assert!(page.contains("(nothing sent yet)"), "{page}");
    let now = house.locked();
    assert_eq!(now, before);
    let plan: Value = serde_json::from_slice(&fs::read(house.path("plan.json")).unwrap()).unwrap();
    let planned: Vec<&str> = plan["plan"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["sql"].as_str().unwrap())
        .collect();
    assert_eq!(planned.len(), 18);
    assert!(planned.iter().all(|it| !it.contains("repl") && !it.contains("payroll")));

    // Somebody else applies it, with a ledger and option files of his own.
    let own = house.path("somebody");
    fs::create_dir(&own).unwrap();
    for name in ["db1.cnf", "db2.cnf", "rollcall.toml", "plan.json"] {
        fs::copy(house.path(name), own.join(name)).unwrap();
    }
    let configuration = fs::read_to_string(own.join("rollcall.toml")).unwrap();
    let here = house.folder.path().display().to_string();
    let configuration =
        configuration.replace(&format!("{here}/db1.cnf"), &format!("{here}/somebody/db1.cnf"));
    let configuration =
        configuration.replace(&format!("{here}/db2.cnf"), &format!("{here}/somebody/db2.cnf"));
    fs::write(own.join("rollcall.toml"), configuration).unwrap();
    let program = own.join("rollcall");
    fs::copy(assert_cmd::cargo::cargo_bin!("rollcall"), &program).unwrap();
    for entry in fs::read_dir(&own).unwrap() {
        std::os::unix::fs::chown(entry.unwrap().path(), Some(SOMEBODY_ELSE), None).unwrap();
    }
    std::os::unix::fs::chown(&own, Some(SOMEBODY_ELSE), None).unwrap();
    let somebody = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(&own).uid(SOMEBODY_ELSE).gid(SOMEBODY_ELSE).env_remove("SUDO_USER");
        command.args(["--config", "rollcall.toml", "--ledger", "own.sqlite"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let done = somebody(&["apply", "plan.json"]);
    assert!(done.contains("18 of 18 statements done"), "{done}");
    for (name, server) in &house.servers {
        let locked = if server.is_mariadb() { 4151 } else { 3118 };
        for user in ["never1", "stale3"] {
            assert_eq!(login(server, user), Some(locked), "{user} on {name}");
        }
        assert_eq!(login(server, "app1"), None);
        assert_eq!(login(server, "repl"), None);
    }
    let sent: Vec<Value> = somebody(&["journal", "-o", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut statements: Vec<&str> =
        sent.iter().map(|it| it["statement"].as_str().unwrap()).collect();
    let mut planned = planned.clone();
    statements.sort();
    planned.sort();
    assert_eq!(statements, planned, "exactly what was shown was sent");
    assert!(sent.iter().all(|it| it["os_user"] == "nobody"));

    // And takes it back: everything is as it was.
    let undone = somebody(&["undo", "--last"]);
    assert!(undone.contains("18 of 18 statements undone"), "{undone}");
    let now = house.locked();
    assert_eq!(now, before);
    assert_eq!(grants(&house), granted);
    for (_, server) in &house.servers {
        assert_eq!(login(server, "never1"), None);
    }

    // Drop waits for the cool-down; then the account is made anew exactly as it was.
    let (code, out, _) = house.run(&["drop", "stale1", "--anyway"]);
    assert_eq!(code, 2);
    assert!(out.contains("it is not locked: lock it first"), "{out}");
    let configuration = fs::read_to_string(house.path("rollcall.toml")).unwrap();
    let impatient = configuration.replace(
        "[[server]]\nname = \"db1\"",
        "[plans]\ncool_down_days = 0\n[[server]]\nname = \"db1\"",
    );
    fs::write(house.path("rollcall.toml"), impatient).unwrap();
    house.well(&["lock", "stale1", "--apply"]);
    let locked = grants(&house);
    house.well(&["drop", "stale1", "--apply"]);
    for (_, server) in &house.servers {
        assert!(matches!(login(server, "stale1"), Some(1045 | 1698)));
    }
    house.well(&["undo", "--last"]);
    assert_eq!(grants(&house), locked);
    let journal = house.well(&["journal", "-o", "json"]);
    assert!(!journal.contains("IDENTIFIED"), "{journal}");
    assert_eq!(house.run(&["journal"]).0, 0);
    made_anew(&house);
    failed_over(&house);
}

/// An account that is dropped and made again between two looks is as old as its password.
fn made_anew(house: &House) {
    assert_eq!(house.verdicts()["never2"].0, "unused");
    for (_, server) in &house.servers {
        server.admin(&format!(
            "DROP USER never2@'%'; CREATE USER never2@'%' IDENTIFIED BY '{PASSWORD}'"
        ));
    }
    let (verdict, row) = &house.verdicts()["never2"];
    let reasons = row["reasons"].as_str().unwrap();
    assert_eq!(verdict, "unknown", "{reasons}");
    assert!(reasons.contains("may have been made anew on db1"), "{reasons}");
    // It may as well have got another password: its history says no more than that.
    let answer = house.well(&["account", "never2", "--offline", "-o", "json"]);
    let times = |kind: &str| answer.matches(&format!("\"change\":\"{kind}\"")).count();
    assert_eq!((times("known"), times("password"), times("created")), (2, 2, 0), "{answer}");
}

/// Another server answers under a name: it is said, nothing is unused by the other's logs, and no plan of before
/// is sent to it.
fn failed_over(house: &House) {
    let asked = ["lock", "never3", "--out", "failover.json"];
    house.well(&[&asked[..], &["--server", "db1"]].concat());
    let configuration = fs::read_to_string(house.path("rollcall.toml")).unwrap();
    let (first, _) = configuration.split_once("[[server]]\nname = \"db2\"").unwrap();
    fs::write(house.path("rollcall.toml"), first).unwrap();
    let unused = ["unused", "--server", "db1", "--for", "90d", "--all", "-o", "json"];
    assert!(house.well(&unused).contains("\"verdict\":\"unused\""));
    fs::copy(house.path("db2.cnf"), house.path("db1.cnf")).unwrap();

    let (code, out, error) = house.run(&["apply", "failover.json"]);
    assert_eq!(code, 2, "{out}{error}");
    assert!(out.contains("another server answers under this name now"), "{out}{error}");
    for (_, server) in &house.servers {
        assert_eq!(login(server, "never3"), None);
    }
    for _ in 0..2 {
        let (code, out, error) = house.run(&unused);
        assert_eq!(code, 0);
        assert!(error.contains("db1: another server answers"), "{error}");
        assert!(!out.contains("\"verdict\":\"unused\""), "{out}");
        assert!(out.contains("answered under this name"), "{out}");
    }
    let (_, _, error) = house.run(&["accounts", "--server", "db1"]);
    assert!(error.contains("db1: another server answers"), "{error}");
    // The group knows this server by its own name: what it did before is judged there.
    fs::write(house.path("rollcall.toml"), configuration).unwrap();
    let group = ["unused", "--group", "shop", "--for", "90d", "--all", "-o", "json"];
    let (code, out, error) = house.run(&group);
    assert_eq!(code, 0);
    assert!(error.contains("db1: another server answers"), "{error}");
    assert!(out.contains("\"verdict\":\"unused\""), "{out}");
    assert!(!out.contains("answered under this name"), "{out}");
}

/// Which accounts are locked: MariaDB, MySQL.
const LOCKED_OF: [&str; 2] = [
    "SELECT User, Host, COALESCE(JSON_VALUE(Priv, '$.account_locked'), 0) FROM mysql.global_priv
     ORDER BY 1, 2",
    "SELECT User, Host, account_locked FROM mysql.user ORDER BY 1, 2",
];

#[test]
fn mariadb() {
    show(["mariadb-10.11", "mariadb-11.8"]);
}

#[test]
fn mysql() {
    show(["mysql-9.7", "mysql-9.7"]);
}
