//! `rollcall doctor` beside real servers: a setting that is wrong makes its finding, turning it right takes the
//! finding away.
//!
//! Needs the feature `real-server` and the servers: see `servers`. Settings are put back as they were found, and
//! tests take turns. Names that are made begin with `doc_`.

mod servers;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use servers::{Server, lossy};
use tempfile::TempDir;

const PASSWORD: &str = "right-5d1e";

/// A secret that no output may show.
const SECRET: &str = "Secret-77ab";

/// A running server with a monitoring account, and a folder with a configuration that leads to it.
struct Bench {
    server: Server,
    folder: TempDir,
    /// Statements that put settings back.
    back: Vec<String>,
    _turn: File,
}

impl Bench {
    fn new(kind: &str) -> Bench {
        let server = Server::of(kind);
        let turn = server.turn();
        let mut bench = Bench {
            server,
            folder: TempDir::new().expect("a folder"),
            back: Vec::new(),
            _turn: turn,
        };
        bench.server.admin(&format!(
            "DROP USER IF EXISTS doc_monitor@localhost; \
             CREATE USER doc_monitor@localhost IDENTIFIED BY '{PASSWORD}'"
        ));
        bench.back.push("DROP USER IF EXISTS doc_monitor@localhost".to_owned());
        // As little as `rollcall setup monitor` gives.
        let version = bench.server.told("version").to_owned();
        let account = "'doc_monitor'@'localhost'";
        let setup = ["setup", "monitor", "--server-version", &version, "--account", account];
        let output = bench.command(&[]).args(setup).args(["--password"]).output().unwrap();
        assert!(output.status.success(), "{}", lossy(&output.stderr));
        let grants = lossy(&output.stdout);
        let grants = grants.lines().filter(|it| it.starts_with("GRANT "));
        bench.server.admin(&grants.collect::<Vec<_>>().join("\n"));
        bench.options("client", &format!("socket={}", bench.server.told("socket")));
        bench.configure("UTC");
        bench
    }

    fn is_mariadb(&self) -> bool {
        self.server.told("family") == "mariadb"
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self, name: &str, place: &str) {
        let path = self.path(&format!("{name}.cnf"));
        let text = format!("[client]\nuser=doc_monitor\npassword={PASSWORD}\n{place}\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn configure(&self, zone: &str) {
        let configuration = format!(
            "[[server]]\nname = \"db1\"\ntime_zone = \"{zone}\"\naudit_logs = [\"{}\"]\n\
             defaults_file = \"{}\"\n",
            self.path("logs").display(),
            self.path("client.cnf").display()
        );
        fs::create_dir_all(self.path("logs")).unwrap();
        fs::write(self.path("rollcall.toml"), configuration).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
        command.current_dir(self.folder.path());
        if !arguments.is_empty() {
            command.args([
                "--config",
                "rollcall.toml",
                "--ledger",
                "ledger.sqlite",
                "--zone",
                "UTC",
            ]);
        }
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What the checks found, by their names; the worst of each.
    fn doctor(&self, further: &[&str]) -> BTreeMap<String, Value> {
        let output = self.run(&[&["doctor", "-o", "json"], further].concat());
        assert!(output.status.success(), "{}", lossy(&output.stderr));
        let text = lossy(&output.stdout);
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut found = BTreeMap::new();
        // The worst stand first.
        for row in rows {
            found.entry(row["id"].as_str().unwrap().to_owned()).or_insert(row);
        }
        found
    }

    fn level(&self, id: &str) -> String {
        let found = self.doctor(&["--secrets", "0"]);
        found.get(id).map_or("none", |it| it["level"].as_str().unwrap()).to_owned()
    }

    /// Sets a variable for as long as the bench lives.
    fn set(&mut self, name: &str, value: &str) {
        let before = self.server.admin(&format!("SELECT @@GLOBAL.{name}"));
        let before = before.trim_end_matches('\n');
        let literal = match before.parse::<i64>() {
            Ok(number) => number.to_string(),
            Err(_) => format!("'{before}'"),
        };
        self.back.push(format!("SET GLOBAL {name} = {literal}"));
        self.server.admin(&format!("SET GLOBAL {name} = {value}"));
    }

    fn put_back(&mut self) {
        for statement in std::mem::take(&mut self.back).into_iter().rev() {
            self.server.admin(&statement);
        }
    }

    /// Sets `name` wrong, which makes the finding, and right, which takes it away: with the finding's own
    /// remedy, where it is a statement.
    fn wrong_and_right(&mut self, name: &str, wrong: &str, right: &str, id: &str, level: &str) {
        self.set(name, wrong);
        let found = self.doctor(&["--secrets", "0"]);
        assert_eq!(found[id]["level"], level, "{name} = {wrong}: {:#}", found[id]);
        match found[id]["remedy"].as_str().filter(|it| it.starts_with("SET GLOBAL")) {
            Some(remedy) => _ = self.server.admin(remedy),
            None => _ = self.server.admin(&format!("SET GLOBAL {name} = {right}")),
        }
        assert_eq!(self.level(id), "ok", "{name}");
        let statement = self.back.pop().unwrap();
        self.server.admin(&statement);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.put_back();
    }
}

/// What holds for every kind of server.
fn common(bench: &mut Bench) {
    let found = bench.doctor(&[]);
    for id in
        ["clock", "zone", "tls", "rights-missing", "rights-too-many", "binlog", "binlog-format"]
    {
        assert_eq!(found[id]["level"], "ok", "{:#}", found[id]);
    }
    // Never read; and nothing stands in the folder that is configured.
    assert_eq!(found["scan-interval"]["level"], "error");

    bench.wrong_and_right("binlog_row_metadata", "MINIMAL", "FULL", "binlog-row-metadata", "info");
    bench.wrong_and_right("binlog_row_image", "MINIMAL", "FULL", "binlog-row-image", "info");
    bench.wrong_and_right("binlog_expire_logs_seconds", "3600", "0", "binlog-retention", "info");
    let (name, id) = match bench.is_mariadb() {
        true => ("binlog_annotate_row_events", "binlog-statements"),
        false => ("binlog_rows_query_log_events", "binlog-statements"),
    };
    bench.wrong_and_right(name, "OFF", "ON", id, "info");
    bench.wrong_and_right("binlog_format", "'STATEMENT'", "'ROW'", "binlog-format", "warn");

    // The zone of the log, as it is configured, and the other half of the year.
    for (zone, level) in [("Europe/Zurich", "error"), ("Europe/London", "error"), ("UTC", "ok")] {
        bench.configure(zone);
        assert_eq!(bench.level("zone"), level, "{zone}");
    }

    rights(bench);

    // Over TCP on this machine; the account is another one where names are not looked up.
    bench.server.admin(&format!(
        "DROP USER IF EXISTS doc_monitor@127.0.0.1; \
         CREATE USER doc_monitor@127.0.0.1 IDENTIFIED BY '{PASSWORD}'"
    ));
    bench.back.push("DROP USER IF EXISTS doc_monitor@127.0.0.1".to_owned());
    let port = bench.server.told("port").to_owned();
    let ca = bench.server.told("ca").to_owned();
    bench.options("client", &format!("host=127.0.0.1\nport={port}\nssl-ca={ca}"));
    assert_eq!(bench.level("tls"), "ok");

    // Nobody answers: what is known of files is still told, and that the rest is not.
    bench.options("client", "host=127.0.0.1\nport=1");
    let output = bench.run(&["doctor", "-o", "json"]);
    assert_eq!(output.status.code(), Some(3), "{}", lossy(&output.stderr));
    assert!(lossy(&output.stdout).contains(r#""id":"server","level":"info""#));
    assert!(lossy(&output.stderr).contains("127.0.0.1:1"), "{}", lossy(&output.stderr));
}

/// Too many rights, and too few.
fn rights(bench: &Bench) {
    let own = "doc_monitor@localhost";
    bench.server.admin(&format!("GRANT CREATE USER, INSERT ON *.* TO {own}"));
    let found = bench.doctor(&["--secrets", "0"]);
    let remedy = found["rights-too-many"]["remedy"].as_str().unwrap();
    assert_eq!(remedy, "REVOKE CREATE USER, INSERT ON *.* FROM 'doc_monitor'@'localhost'");
    bench.server.admin(remedy);
    assert_eq!(bench.level("rights-too-many"), "ok");
    bench.server.admin(&format!("REVOKE PROCESS ON *.* FROM {own}"));
    let found = bench.doctor(&["--secrets", "0"]);
    assert_eq!(found["rights-missing"]["level"], "warn");
    bench.server.admin(found["rights-missing"]["remedy"].as_str().unwrap());
    assert_eq!(bench.level("rights-missing"), "ok");
    // Not even the list of accounts.
    bench.server.admin(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {own}"));
    let found = bench.doctor(&["--secrets", "0"]);
    assert_eq!(found["rights-missing"]["level"], "warn");
    assert_eq!(found["rights-too-many"]["level"], "info");
    assert_eq!(found["clock"]["level"], "ok");
}

/// MariaDB's own audit log, and what stands in it.
fn mariadb(kind: &str) {
    let mut bench = Bench::new(kind);
    let found = bench.doctor(&[]);
    assert_eq!(found["audit-plugin"]["level"], "ok");
    bench.wrong_and_right("server_audit_logging", "OFF", "ON", "audit-logging", "error");
    bench.wrong_and_right("server_audit_events", "'QUERY'", "''", "audit-events", "error");
    bench.wrong_and_right("server_audit_output_type", "'syslog'", "'file'", "audit-output", "info");
    let tells = !kind.contains("10.11");
    bench.set("server_audit_events", "'CONNECT'");
    assert_eq!(bench.level("audit-statements"), if tells { "ok" } else { "info" });
    bench.put_back_last();
    // A path that cannot be written: the log does not come on.
    bench.set("server_audit_logging", "OFF");
    bench.set("server_audit_file_path", "'/proc/nowhere/audit.log'");
    bench.server.admin("SET GLOBAL server_audit_logging = ON");
    let found = bench.doctor(&["--secrets", "0"]);
    let is_told = |id: &str| found.get(id).is_some_and(|it| it["level"] == "error");
    assert!(is_told("audit-active") || is_told("audit-logging"), "{found:#?}");
    bench.put_back_last();
    bench.put_back_last();
    assert_eq!(bench.level("audit-active"), "ok");
    secrets(&bench);
    upgrades(&bench);
    common(&mut bench);
}

impl Bench {
    fn put_back_last(&mut self) {
        let statement = self.back.pop().unwrap();
        self.server.admin(&statement);
    }
}

/// Statements whose secrets the server does not mask are told by file and byte, and never by their text.
fn secrets(bench: &Bench) {
    let log = bench.server.told("audit_log");
    let copy = bench.path("logs").join("server_audit.log");
    bench.server.admin("SET GLOBAL server_audit_file_rotate_now = ON");
    bench.server.admin("SELECT 1");
    fs::copy(log, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o640)).unwrap();
    let found = bench.doctor(&[]);
    assert_eq!(found["log-permissions"]["level"], "ok");

    bench.server.admin(&format!("SELECT PASSWORD('{SECRET}')"));
    bench
        .server
        .admin(&format!("EXECUTE IMMEDIATE \"CREATE USER doc_x IDENTIFIED BY '{SECRET}'\""));
    bench.server.admin("ALTER USER doc_x IDENTIFIED BY 'masked'; DROP USER doc_x");
    fs::copy(log, &copy).unwrap();
    let output = bench.run(&["doctor", "-o", "json"]);
    let text = lossy(&output.stdout);
    let rows: Vec<Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let told: Vec<&Value> = rows.iter().filter(|it| it["id"] == "log-secrets").collect();
    let bytes = fs::read(&copy).unwrap();
    let own: Vec<&str> = told
        .iter()
        .filter_map(|it| it["place"].as_str()?.rsplit_once(':')?.1.parse::<usize>().ok())
        .filter_map(|at| std::str::from_utf8(&bytes[at..]).ok()?.lines().next())
        .filter(|line| line.contains(SECRET))
        .collect();
    assert!(own.iter().any(|it| it.contains("SELECT PASSWORD")), "{told:#?}");
    assert!(own.iter().any(|it| it.contains("EXECUTE IMMEDIATE")), "{told:#?}");
    assert!(!own.iter().any(|it| it.contains("masked")), "{told:#?}");
    for format in ["table", "json", "csv"] {
        let output = bench.run(&["doctor", "-o", format]);
        assert!(!lossy(&output.stdout).contains(SECRET) && !lossy(&output.stderr).contains(SECRET));
    }
    // Readable by everybody.
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    let found = bench.doctor(&[]);
    let remedy = found["log-permissions"]["remedy"].as_str().unwrap();
    assert!(Command::new("sh").args(["-c", remedy]).status().unwrap().success());
    assert_eq!(bench.doctor(&[])["log-permissions"]["level"], "ok");
    fs::remove_file(&copy).unwrap();
}

fn upgrades(bench: &Bench) {
    let output = bench.run(&["doctor", "--target", "13.0.1", "-o", "json"]);
    let text = lossy(&output.stdout);
    assert!(text.contains("host:port") && text.contains(".ibb"), "{text}");
    let found = bench.doctor(&["--target", "10.5"]);
    assert!(found["upgrade"]["what"].as_str().unwrap().contains("older than what runs"));
}

#[test]
fn mariadb_10_11() {
    mariadb("mariadb-10.11");
}

#[test]
fn mariadb_11_8() {
    mariadb("mariadb-11.8");
}

#[test]
fn mysql_9_7() {
    let mut bench = Bench::new("mysql-9.7");
    assert_eq!(bench.level("audit-plugin"), "error");
    bench.set("init_connect", "'DO 1'");
    assert_eq!(bench.level("audit-plugin"), "info");
    bench.put_back_last();
    common(&mut bench);
}

/// `--fail-on` and reading: a scan takes the finding away.
#[test]
fn conditions_and_scans() {
    let bench = Bench::new("mariadb-10.11");
    let fails = |condition: &str| {
        let output = bench.run(&["doctor", "--secrets", "0", "--fail-on", condition]);
        output.status.code().unwrap()
    };
    // Nothing was ever read.
    assert_eq!((fails("error"), fails("warn")), (1, 1));
    bench.server.admin("SELECT 1");
    fs::copy(bench.server.told("audit_log"), bench.path("logs").join("server_audit.log")).unwrap();
    let output = bench.run(&["scan"]);
    assert!(output.status.success(), "{}", lossy(&output.stderr));
    assert_eq!(bench.level("scan-interval"), "ok");
}
