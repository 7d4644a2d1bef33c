//! Changes by concurrent clients on real servers, each carrying the connection that made it, are traced to
//! that connection: what is called exact is right, and where the logs tell all, all of it is exact.
//!
//! Needs the feature `real-server` and root, as it starts servers of its own with `tests/servers/start`.

#[path = "servers/own.rs"]
#[expect(dead_code, reason = "accounts are of no interest here")]
mod own;
#[path = "real_trace/sql.rs"]
mod sql;

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use own::{PASSWORD, text};
use serde_json::Value;
use tempfile::TempDir;

const CLIENTS: usize = 8;
const ROUNDS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(30);

/// A server of this test that names columns in its binary logs and runs events.
struct Server(own::Server);

impl Deref for Server {
    type Target = own::Server;

    fn deref(&self) -> &own::Server {
        &self.0
    }
}

impl Server {
    fn start(kind: &str, folder: &Path, options: &[&str]) -> Server {
        let needed = ["--event-scheduler=ON", "--binlog-row-metadata=FULL"];
        Server(own::Server::start(kind, folder, None, &[&needed, options].concat()))
    }

    fn is_mysql(&self) -> bool {
        !self.is_mariadb()
    }

    /// Runs a script, errors of statements or not; what came back.
    fn send(&self, login: &[&str], script: &str) -> Output {
        let mut child = Command::new(self.told("client"))
            .args(["-BN", "--force", "-S", self.told("socket")])
            .args(login)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn admin(&self, script: &str) -> String {
        let output = self.send(&["-uroot"], script);
        assert!(output.status.success(), "{script}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{script}");
        text(&output.stdout)
    }

    fn audit_folder(&self) -> String {
        let log = Path::new(self.told("audit_log"));
        log.parent().unwrap().to_str().unwrap().to_owned()
    }
}

/// Lets the second of a start pass: what is audited in it may be of the run before.
fn leave_the_second_of_the_start() {
    thread::sleep(Duration::from_secs(2));
}

/// A folder that the servers can reach.
fn folder() -> TempDir {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Tables, procedures and users for the clients.
fn prepare(server: &Server) {
    let data = server.folder.join("tmp/load.txt");
    fs::write(&data, "loaded\nloaded\nloaded\n").unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o644)).unwrap();
    let mut script = "
        CREATE DATABASE work;
        CREATE TABLE work.t (id BIGINT AUTO_INCREMENT PRIMARY KEY, c BIGINT, kind VARCHAR(64)) ENGINE=InnoDB;
        CREATE TABLE work.m (id BIGINT AUTO_INCREMENT PRIMARY KEY, c BIGINT, kind VARCHAR(64)) ENGINE=MyISAM;
        CREATE TABLE work.one (id INT PRIMARY KEY) ENGINE=InnoDB;
        INSERT INTO work.one VALUES (1);
        CREATE TABLE work.watched (id BIGINT AUTO_INCREMENT PRIMARY KEY, c BIGINT, kind VARCHAR(64)) ENGINE=InnoDB;
        DELIMITER $$
        CREATE TRIGGER work.follows AFTER INSERT ON work.watched FOR EACH ROW
          INSERT INTO work.t (c, kind) VALUES (connection_id(), 'trigger')$$
        CREATE PROCEDURE work.twice() BEGIN
          INSERT INTO work.t (c, kind) VALUES (connection_id(), 'procedure');
          INSERT INTO work.t (c, kind) VALUES (connection_id(), 'procedure');
        END$$
        CREATE PROCEDURE work.in_one() BEGIN
          DECLARE found INT;
          START TRANSACTION;
          SELECT count(*) INTO found FROM work.one;
          INSERT INTO work.t (c, kind) VALUES (connection_id(), 'procedure in one');
          COMMIT;
        END$$
        CREATE FUNCTION work.noted() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN
          INSERT INTO work.t (c, kind) VALUES (connection_id(), 'function');
          RETURN 1;
        END$$
        DELIMITER ;\n"
        .to_owned();
    if server.is_mysql() {
        script = format!("SET GLOBAL log_bin_trust_function_creators = ON;\n{script}");
    }
    for client in 0..CLIENTS {
        script += &format!(
            "CREATE USER u{client}@localhost IDENTIFIED BY '{PASSWORD}';
             GRANT ALL PRIVILEGES ON *.* TO u{client}@localhost;\n"
        );
    }
    server.admin(&script);
}

/// Every kind of transaction. `execute` runs a text that holds the connection.
fn work(server: &Server, client: usize, round: usize, format: &str) -> String {
    let load = server.folder.join("tmp/load.txt");
    let load = load.display();
    let insert =
        |kind: &str| format!("INSERT INTO t (c, kind) VALUES (connection_id(), '{kind}');\n");
    let name = format!("{client}_{round}");
    let told = |before: &str, after: &str| {
        format!(
            "SET @s = concat('{before} /* truth ', connection_id(), ' */ {after}');
             PREPARE s FROM @s; EXECUTE s; DEALLOCATE PREPARE s;\n"
        )
    };
    let mut kinds = vec![
        insert("alone"),
        format!("BEGIN;\n{}{}UPDATE t SET c = connection_id() WHERE kind = 'own {name}';\nCOMMIT;\n",
            insert("several"), insert(&format!("own {name}"))),
        format!("BEGIN;\nSELECT count(*) FROM one;\n{}COMMIT;\n", insert("select first")),
        format!("BEGIN;\nSELECT * FROM one FOR UPDATE;\nDO SLEEP(0.01);\n{}COMMIT;\n",
            insert("locked first")),
        format!("BEGIN;\nINSERT INTO one VALUES (1);\n{}COMMIT;\n", insert("failed first")),
        format!("START TRANSACTION WITH CONSISTENT SNAPSHOT;\nDO 1;\n{}COMMIT;\n",
            insert("snapshot")),
        "CALL twice();\n".to_owned(),
        "CALL in_one();\n".to_owned(),
        format!("BEGIN;\nCALL twice();\n{}COMMIT;\n", insert("behind a procedure")),
        "SET @c = connection_id();\nPREPARE p FROM 'INSERT INTO t (c, kind) VALUES (?, ''prepared'')';\n\
         EXECUTE p USING @c;\nDEALLOCATE PREPARE p;\n".to_owned(),
        "INSERT INTO watched (c, kind) VALUES (connection_id(), 'watched');\n".to_owned(),
        "SELECT noted();\n".to_owned(),
        format!("XA START 'x{name}';\n{}XA END 'x{name}';\nXA PREPARE 'x{name}';\nXA COMMIT 'x{name}';\n",
            insert("xa")),
        format!("XA START 'y{name}';\n{}XA END 'y{name}';\nXA COMMIT 'y{name}' ONE PHASE;\n",
            insert("xa in one phase")),
        format!("BEGIN;\n{}SAVEPOINT a;\n{}ROLLBACK TO a;\n{}COMMIT;\n",
            insert("savepoint"), insert("taken back"), insert("savepoint")),
        "INSERT INTO m (c, kind) VALUES (connection_id(), 'no transactions');\n".to_owned(),
        format!("BEGIN;\nINSERT INTO m (c, kind) VALUES (connection_id(), 'mixed');\n{}COMMIT;\n",
            insert("mixed")),
        format!("BEGIN;\nINSERT INTO m (c, kind) VALUES (connection_id(), 'mixed');\n{}ROLLBACK;\n",
            insert("rolled back")),
        told("CREATE", &format!("TABLE d{name} (a INT)")),
        told("ALTER", &format!("TABLE d{name} ADD b INT")),
        told("TRUNCATE", &format!("TABLE d{name}")),
        told("DROP", &format!("TABLE d{name}")),
        format!("CREATE TABLE s{name} AS SELECT connection_id() AS c, 'selected' AS kind;\n"),
        format!("LOAD DATA INFILE '{load}' INTO TABLE t (kind) SET c = connection_id();\n"),
        "CREATE TEMPORARY TABLE w AS SELECT connection_id() AS c;\n\
         INSERT INTO t (c, kind) SELECT c, 'temporary' FROM w;\nDROP TEMPORARY TABLE w;\n".to_owned(),
        format!("SET autocommit=0;\nSELECT count(*) FROM t WHERE id < 3;\n{}COMMIT;\nSET autocommit=1;\n",
            insert("without autocommit")),
        "DELETE FROM t WHERE kind = 'nothing';\n".to_owned(),
    ];
    if format != "STATEMENT" {
        // Statements that depend on the connection are the same on replicas in row format alone.
        kinds.push(format!(
            "CREATE EVENT e{name} ON SCHEDULE AT now() DO
             INSERT INTO t (c, kind) VALUES (connection_id(), 'event');\n"
        ));
    }
    let at = (client * 7 + round * 3) % kinds.len();
    kinds.rotate_left(at);
    kinds.concat()
}

/// In statement format, changes whose text holds the connection.
fn work_in_statements(client: usize, round: usize) -> String {
    let name = format!("{client}_{round}");
    let told = |text: &str| {
        format!(
            "SET @s = concat('INSERT INTO t (c, kind) VALUES (', connection_id(), ', ''{text}'') /* truth ',
               connection_id(), ' */');
             PREPARE s FROM @s; EXECUTE s; DEALLOCATE PREPARE s;\n"
        )
    };
    format!(
        "{}BEGIN;\n{}{}COMMIT;\nBEGIN;\nSELECT count(*) FROM one;\n{}COMMIT;\n\
         BEGIN;\nINSERT INTO one VALUES (1);\n{}SAVEPOINT a;\n{}COMMIT;\n\
         XA START 'z{name}';\n{}XA END 'z{name}';\nXA PREPARE 'z{name}';\nXA COMMIT 'z{name}';\n",
        told("alone"),
        told("several"),
        told("several"),
        told("select first"),
        told("failed"),
        told("savepoint"),
        told("xa")
    )
}

/// All clients at once, each as several connections one after the other.
fn run_clients(server: &Server, format: &str, first_round: usize) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for round in first_round..first_round + ROUNDS {
                    let (user, password) = (format!("-uu{client}"), format!("-p{PASSWORD}"));
                    let mut script = format!("USE work;\nSET SESSION binlog_format={format};\n");
                    script += &match format {
                        "STATEMENT" => work_in_statements(client, round),
                        format => work(server, client, round, format),
                    };
                    server.send(&[&user, &password], &script);
                }
            });
        }
    });
    if format != "STATEMENT" {
        let deadline = Instant::now() + PATIENCE;
        let open = "SELECT count(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'work'";
        while server.admin(open).trim() != "0" {
            assert!(Instant::now() < deadline, "events that do not end");
            thread::sleep(Duration::from_millis(50));
        }
    }
    server.admin("FLUSH BINARY LOGS;");
}

/// A transaction as `trace` tells it, with the connections that its rows and statements tell.
#[derive(Debug)]
struct Told {
    record: Value,
    truths: Vec<u64>,
    kinds: Vec<String>,
}

fn trace(server: &Server, folder: &Path, arguments: &[&str]) -> Vec<Told> {
    let binlogs = server.told("binlog");
    let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .env("HOME", folder)
        .args([
            "--ledger",
            "none.sqlite",
            "--config",
            "rollcall.toml",
            "--zone",
            "UTC",
            "-o",
            "json",
        ])
        .args(["trace", binlogs, "--rows"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    let mut told: Vec<Told> = Vec::new();
    for line in text(&output.stdout).lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        if record.get("evidence").is_some() {
            let truths = truth_of(record["statement"].as_str().unwrap_or_default());
            told.push(Told { record, truths, kinds: Vec::new() });
            continue;
        }
        let last = told.last_mut().expect("a transaction before its rows");
        assert_eq!(last.record["position"], record["position"]);
        let after = &record["after"];
        last.truths.extend(after["c"].as_u64());
        last.kinds.extend(after["kind"].as_str().map(str::to_owned));
    }
    told
}

/// The connection that a statement's text holds.
fn truth_of(statement: &str) -> Vec<u64> {
    let behind = statement.split("/* truth ").nth(1);
    let digits = behind.and_then(|it| it.split(' ').next());
    digits.map(|it| it.parse().unwrap()).into_iter().collect()
}

/// What became of transactions that tell their truth.
#[derive(Debug, Default)]
struct Count {
    all: usize,
    exact: usize,
    evidence: BTreeMap<String, usize>,
    kinds: BTreeMap<String, usize>,
    /// Kinds and reasons of those that are not exact.
    not_exact: BTreeMap<String, usize>,
}

/// Asserts that nothing that is called exact is wrong, neither its connection nor its user.
fn count(told: &[Told]) -> Count {
    let mut count = Count::default();
    for it in told.iter().filter(|it| !it.truths.is_empty()) {
        let record = &it.record;
        let truth = it.truths[0];
        assert!(it.truths.iter().all(|other| *other == truth), "{it:?}");
        count.all += 1;
        *count.evidence.entry(record["evidence"].as_str().unwrap().to_owned()).or_default() += 1;
        for kind in &it.kinds {
            let kind = if kind.starts_with("own") { "own" } else { kind };
            *count.kinds.entry(kind.to_owned()).or_default() += 1;
        }
        if record["exact"] != true {
            let what = format!("{:?}: {}", it.kinds, record["reason"]);
            *count.not_exact.entry(what).or_default() += 1;
            continue;
        }
        count.exact += 1;
        assert_eq!(record["thread_id"], truth.to_string(), "wrong: {it:?}");
        assert_eq!(record["candidates"], 1);
    }
    count
}

/// Kinds of rows that must have been among them.
fn assert_all_kinds(count: &Count) {
    for kind in [
        "alone",
        "several",
        "own",
        "select first",
        "locked first",
        "failed first",
        "snapshot",
        "procedure",
        "procedure in one",
        "behind a procedure",
        "prepared",
        "watched",
        "trigger",
        "function",
        "xa",
        "xa in one phase",
        "savepoint",
        "no transactions",
        "mixed",
        "selected",
        "loaded",
        "temporary",
        "event",
        "without autocommit",
    ] {
        assert!(count.kinds.contains_key(kind), "{kind}: {:?}", count.kinds);
    }
}

fn set_audit(server: &Server, events: &str) {
    server.admin(&format!(
        "SET GLOBAL server_audit_events='{events}'; SET GLOBAL server_audit_logging=ON;"
    ));
}

/// Begins a stretch of logs of its own: what was done before is not in it.
fn fresh(server: &Server) {
    server.admin("RESET MASTER;");
}

#[test]
fn mariadb_10_11_with_a_full_audit_is_exact() {
    let folder = folder();
    fs::write(folder.path().join("rollcall.toml"), "").unwrap();
    let server = Server::start("mariadb-10.11", &folder.path().join("db"), &[]);
    prepare(&server);
    set_audit(&server, "CONNECT,QUERY,TABLE");
    leave_the_second_of_the_start();
    run_clients(&server, "ROW", 0);
    let audit = server.audit_folder();
    let found = trace(&server, folder.path(), &["--audit-log", &audit]);
    let full = count(&found);
    assert_all_kinds(&full);
    assert_eq!(full.exact, full.all, "{:#?}", full.not_exact);
    assert!(full.all > CLIENTS * ROUNDS * 20, "{full:#?}");
    assert!(full.evidence["xid-query-id"] > full.all / 2, "{:?}", full.evidence);
    // The user is right as well: clients are told apart by their names.
    let own: Vec<&Told> =
        found.iter().filter(|it| it.kinds.iter().any(|kind| kind.starts_with("own "))).collect();
    // Some end in a deadlock.
    assert!(own.len() > CLIENTS * ROUNDS / 2, "{}", own.len());
    for it in own {
        let kind = it.kinds.iter().find_map(|kind| kind.strip_prefix("own ")).unwrap();
        let client = kind.split('_').next().unwrap();
        assert_eq!(it.record["user"], format!("u{client}"), "{it:?}");
        assert_eq!(it.record["login_evidence"], "audit");
        assert_eq!(it.record["client_host"], "localhost");
    }
    // Without the audit log the binlog alone tells some connections, and says what it lacks.
    let alone = count(&trace(&server, folder.path(), &[]));
    assert!(alone.exact < alone.all && alone.exact > 0);
    assert!(alone.not_exact.keys().all(|it| it.contains("no audit log was given")), "{alone:#?}");

    // Less of an audit is less exact, and never wrong.
    for (events, least_percent) in [("CONNECT,TABLE", 80), ("CONNECT,QUERY_DML_NO_SELECT", 50)] {
        fresh(&server);
        set_audit(&server, events);
        leave_the_second_of_the_start();
        run_clients(&server, "ROW", 100 + least_percent);
        let less = count(&trace(&server, folder.path(), &["--audit-log", &audit]));
        assert!(less.all > 500, "{events}: {less:#?}");
        assert!(less.exact * 100 >= less.all * least_percent, "{events}: {less:#?}");
        assert!(!less.evidence.contains_key("gtid-thread"));
    }
    fresh(&server);
    set_audit(&server, "CONNECT");
    leave_the_second_of_the_start();
    run_clients(&server, "ROW", 300);
    let found = trace(&server, folder.path(), &["--audit-log", &audit]);
    let logins = count(&found);
    assert!(!logins.evidence.contains_key("xid-query-id"), "{logins:#?}");
    let of_sessions = found.iter().filter(|it| it.record["evidence"] == "unknown");
    let of_sessions: Vec<u64> =
        of_sessions.map(|it| it.record["candidates"].as_u64().unwrap()).collect();
    assert!(of_sessions.len() > 500);
    // Events run in threads of the server's own; of all others the session is among those counted.
    let of_clients = found.iter().filter(|it| !it.kinds.iter().any(|kind| kind == "event"));
    for it in of_clients.filter(|it| it.record["evidence"] == "unknown") {
        assert!(it.record["candidates"].as_u64().unwrap() > 0, "{it:?}");
    }
    let counted = of_sessions.iter().filter(|it| **it > 1).count();
    assert!(counted * 2 > of_sessions.len(), "{counted} of {}", of_sessions.len());
}

#[test]
fn a_restart_parts_what_is_joined() {
    let folder = folder();
    fs::write(folder.path().join("rollcall.toml"), "").unwrap();
    let place = folder.path().join("db");
    let audited = ["--server-audit-events=CONNECT,QUERY,TABLE", "--server-audit-logging=ON"];
    let server = Server::start("mariadb-10.11", &place, &audited);
    prepare(&server);
    leave_the_second_of_the_start();
    run_clients(&server, "ROW", 0);
    drop(server);
    let server = Server::start("mariadb-10.11", &place, &audited);
    leave_the_second_of_the_start();
    run_clients(&server, "ROW", 500);
    let audit = server.audit_folder();
    let all = trace(&server, folder.path(), &["--audit-log", &audit]);
    let both = count(&all);
    assert!(both.all > 2 * CLIENTS * ROUNDS * 20);
    assert_eq!(both.exact, both.all, "{:#?}", both.not_exact);
    // Query ids were used twice.
    let xids = all.iter().filter_map(|it| it.record["xid"].as_str());
    let mut times: HashMap<&str, usize> = HashMap::new();
    xids.for_each(|xid| *times.entry(xid).or_default() += 1);
    assert!(times.values().any(|it| *it > 1), "no id was used by both runs");

    // A zone that is wrong takes records to the other run: doubt, never a wrong name.
    for zone in ["+00:01", "-00:01", "+01:00", "-01:00"] {
        let found = trace(&server, folder.path(), &["--audit-log", &audit, "--time-zone", zone]);
        count(&found);
    }
}

#[test]
fn servers_that_name_the_connection_are_exact_in_any_format() {
    for kind in ["mariadb-11.8", "mysql-9.7"] {
        let folder = folder();
        fs::write(folder.path().join("rollcall.toml"), "").unwrap();
        let server = Server::start(kind, &folder.path().join("db"), &[]);
        prepare(&server);
        for (number, format) in ["ROW", "MIXED", "STATEMENT"].into_iter().enumerate() {
            run_clients(&server, format, number * 100);
        }
        if server.is_mysql() {
            server.admin("SET GLOBAL binlog_transaction_compression=ON;");
            run_clients(&server, "ROW", 900);
        }
        let found = trace(&server, folder.path(), &[]);
        let count = count(&found);
        assert_all_kinds(&count);
        assert_eq!(count.exact, count.all, "{kind}: {:#?}", count.not_exact);
        assert!(count.all > 2 * CLIENTS * ROUNDS * 20, "{kind}: {count:#?}");
        let evidence = if server.is_mysql() { "query-thread" } else { "gtid-thread" };
        assert_eq!(count.evidence.keys().collect::<Vec<_>>(), [evidence]);
    }
}

#[test]
fn what_came_by_replication_is_not_joined() {
    let folder = folder();
    fs::write(folder.path().join("rollcall.toml"), "").unwrap();
    let audited = ["--server-audit-events=CONNECT,QUERY,TABLE", "--server-audit-logging=ON"];
    let primary = Server::start("mariadb-10.11", &folder.path().join("db"), &audited);
    prepare(&primary);
    let replica = [&audited[..], &["--server-id=2", "--log-slave-updates"]].concat();
    let replica = Server::start("mariadb-10.11", &folder.path().join("replica"), &replica);
    primary.admin(&format!(
        "CREATE USER copy@`127.0.0.1` IDENTIFIED BY '{PASSWORD}';
         GRANT REPLICATION SLAVE ON *.* TO copy@`127.0.0.1`;"
    ));
    replica.admin(&format!(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={}, MASTER_USER='copy',
           MASTER_PASSWORD='{PASSWORD}', MASTER_USE_GTID=slave_pos; START SLAVE;",
        primary.told("port")
    ));
    run_clients(&primary, "ROW", 0);
    let position = primary.admin("SELECT @@gtid_binlog_pos");
    let caught_up = format!("SELECT MASTER_GTID_WAIT('{}', 60)", position.trim());
    assert_eq!(replica.admin(&caught_up).trim(), "0");
    replica
        .admin("SET sql_log_bin=1; INSERT INTO work.t (c, kind) VALUES (connection_id(), 'here');");
    // The replica's own audit log has the ids of its own statements: the same numbers, other sessions.
    let found = trace(&replica, folder.path(), &["--audit-log", &replica.audit_folder()]);
    let count = count(&found);
    assert!(count.all > CLIENTS * ROUNDS * 20, "{count:#?}");
    for it in &found {
        let is_own = it.record["server_id"] == 2;
        let is_here = it.kinds == ["here"];
        assert_eq!(is_here, is_own && !it.kinds.is_empty(), "{it:?}");
        if !is_own {
            assert_eq!(it.record["exact"], false, "{it:?}");
            assert_eq!(it.record["user"], Value::Null, "{it:?}");
            assert!(it.record["reason"].as_str().unwrap().contains("replication"), "{it:?}");
        } else if is_here {
            assert_eq!(it.record["evidence"], "xid-query-id");
            assert_eq!(it.record["user"], "root");
        }
    }
}

/// A session that stays open until this value ends.
struct Open {
    child: std::process::Child,
    connection: u64,
}

impl Open {
    fn begin(server: &Server, user: &str, statement: &str) -> Open {
        use std::io::BufRead as _;

        let mut child = Command::new(server.told("client"))
            .args(["-BN", "-n", "-S", server.told("socket"), "-u", user, &format!("-p{PASSWORD}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let script = format!("{statement};\nSELECT connection_id();\n");
        child.stdin.as_mut().unwrap().write_all(script.as_bytes()).unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        std::io::BufReader::new(out).read_line(&mut line).unwrap();
        Open { child, connection: line.trim().parse().unwrap() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn rollcall(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .env("HOME", folder)
        .env("TZ", "UTC")
        .current_dir(folder)
        .args(["--config", "rollcall.toml", "--ledger", "ledger.sqlite"])
        .args(arguments)
        .output()
        .unwrap()
}

/// The only transaction that a `trace` tells.
fn only(folder: &Path, arguments: &[&str]) -> Value {
    let output = rollcall(folder, &[&["trace", "-o", "json"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert_eq!(lines.lines().count(), 1, "{arguments:?}: {lines}{}", text(&output.stderr));
    serde_json::from_str(lines.trim()).unwrap()
}

#[test]
fn a_server_by_name_gives_its_logs_names_and_logins() {
    for kind in ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"] {
        let folder = folder();
        let path = folder.path();
        let server = Server::start(kind, &path.join("db"), &[]);
        server_by_name(&server, path);
    }
}

fn server_by_name(server: &Server, path: &Path) {
    let metadata = if server.is_mysql() { "MINIMAL" } else { "NO_LOG" };
    if !server.is_mysql() {
        set_audit(server, "CONNECT");
    }
    server.admin(&format!(
        "SET GLOBAL binlog_row_metadata='{metadata}';
         CREATE DATABASE shop; CREATE DATABASE accesslog;
         CREATE TABLE shop.parent (id INT PRIMARY KEY) ENGINE=InnoDB;
         CREATE TABLE shop.child (id INT PRIMARY KEY, parent INT, amount INT UNSIGNED, note TEXT,
           FOREIGN KEY (parent) REFERENCES shop.parent (id) ON DELETE CASCADE) ENGINE=InnoDB;
         CREATE TABLE accesslog.accesslog (id INT NOT NULL AUTO_INCREMENT, thread_id INT DEFAULT NULL,
           log_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
           localname VARCHAR(30) DEFAULT NULL, matchname VARCHAR(30) DEFAULT NULL, PRIMARY KEY (id));
         CREATE USER dba@localhost IDENTIFIED BY '{PASSWORD}'; GRANT ALL PRIVILEGES ON *.* TO dba@localhost;
         CREATE USER app@localhost IDENTIFIED BY '{PASSWORD}';
         GRANT SELECT, INSERT, DELETE ON shop.* TO app@localhost;
         GRANT INSERT ON accesslog.accesslog TO app@localhost;"
    ));
    let options = path.join("db1.cnf");
    let socket = server.told("socket");
    fs::write(&options, format!("[client]\nsocket={socket}\nuser=dba\npassword={PASSWORD}\n"))
        .unwrap();
    fs::set_permissions(&options, fs::Permissions::from_mode(0o600)).unwrap();
    let audit = match server.is_mysql() {
        true => String::new(),
        false => format!("audit_logs = [\"{}\"]\n", server.audit_folder()),
    };
    let head = format!(
        "[[server]]\nname = \"db1\"\ntime_zone = \"UTC\"\nbinlog_index = \"{}/binlog.index\"\n",
        server.told("binlog")
    );
    let live = format!("defaults_file = \"{}\"\n", options.display());
    let configure = |more: &[&str]| {
        fs::write(path.join("rollcall.toml"), format!("{head}{}", more.concat())).unwrap();
    };
    leave_the_second_of_the_start();
    let names_connection = server.told("kind") != "mariadb-10.11";

    // A session that is still open.
    let insert =
        "INSERT INTO shop.parent VALUES (1); INSERT INTO shop.child VALUES (7, 1, 4000000000, 'x')";
    let open = Open::begin(server, "app", insert);
    configure(&[&live]);
    let chosen = ["--server", "db1", "--table", "shop.child", "--where", "amount=4000000000"];
    let found = only(path, &chosen);
    if names_connection {
        assert_eq!(found["login_evidence"], "processlist", "{found}");
        assert_eq!((&found["user"], &found["exact"]), (&"app".into(), &true.into()));
        assert_eq!(found["thread_id"], open.connection.to_string());
    } else {
        assert_eq!((&found["evidence"], &found["user"]), (&"unknown".into(), &Value::Null));
    }
    let rows = rollcall(path, &[&["trace", "--rows"], &chosen[..]].concat());
    assert!(
        text(&rows.stdout).contains("insert shop.child  id=7 parent=1 amount=4000000000 note='x'"),
        "{}",
        text(&rows.stdout)
    );
    assert!(text(&rows.stderr).contains("column names are those of now"), "{}", text(&rows.stderr));
    // Without the server columns have numbers, and a name says how to write them.
    let offline = rollcall(path, &[&["trace", "--offline"], &chosen[..]].concat());
    assert!(text(&offline.stderr).contains("write --where @1=VALUE"), "{}", text(&offline.stderr));

    // The ledger of a scan, and the audit log itself.
    if !server.is_mysql() && names_connection {
        configure(&[&audit]);
        let scanned = rollcall(path, &["scan"]);
        assert!(scanned.status.success(), "{}", text(&scanned.stderr));
        let by_number = ["--server", "db1", "--table", "shop.child", "--where", "@1=7"];
        assert_eq!(only(path, &by_number)["login_evidence"], "audit");
        configure(&[]);
        let found = only(path, &by_number);
        assert_eq!((&found["login_evidence"], &found["user"]), (&"ledger".into(), &"app".into()));
        fs::remove_file(path.join("ledger.sqlite")).unwrap();
    }
    drop(open);

    // A session that is over, of which the table that logins write into knows.
    server.admin(
        "SET GLOBAL init_connect='insert into accesslog.accesslog values (null, connection_id(), now(), \
         user(), current_user())';",
    );
    let over = Open::begin(server, "app", "INSERT INTO shop.child VALUES (8, 1, 1, 'y')");
    let connection = over.connection;
    drop(over);
    configure(&[&live, "access_log = \"accesslog.accesslog\"\n"]);
    let found = only(path, &["--server", "db1", "--table", "shop.child", "--where", "id=8"]);
    if names_connection {
        assert_eq!(found["login_evidence"], "accesslog", "{found}");
        assert_eq!((&found["user"], &found["client_host"]), (&"app".into(), &"localhost".into()));
        assert_eq!(found["thread_id"], connection.to_string());
    }

    // A foreign key removes rows, which MariaDB does not log.
    server.admin("DELETE FROM shop.parent WHERE id = 1;");
    let deleted = ["trace", "--server", "db1", "--table", "shop.child", "--kind", "delete"];
    let output = rollcall(path, &deleted);
    let said = text(&output.stdout);
    match server.is_mysql() {
        true => assert!(said.contains("shop.child") && !said.contains("Cannot appear"), "{said}"),
        false => assert!(said.contains("shop.child by shop.parent"), "{said}"),
    }
}

#[test]
fn what_sessions_set_takes_exactness_away() {
    for kind in ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"] {
        let folder = folder();
        let path = folder.path();
        fs::write(path.join("rollcall.toml"), "").unwrap();
        let server = Server::start(kind, &path.join("db"), &[]);
        let mut arguments = vec!["--table", "shop.t"];
        let audit = if server.is_mysql() { String::new() } else { server.audit_folder() };
        if !server.is_mysql() {
            set_audit(&server, "CONNECT,QUERY,TABLE");
            arguments.extend(["--audit-log", &audit]);
        }
        server.admin(
            "CREATE DATABASE shop; CREATE TABLE shop.t (c BIGINT, kind VARCHAR(20)) ENGINE=InnoDB;",
        );
        thread::sleep(Duration::from_secs(2));
        let real = server.admin(
            "SELECT connection_id(); SET pseudo_thread_id=999;
             INSERT INTO shop.t (c, kind) VALUES (1, 'pretended');",
        );
        server.admin(
            "SET timestamp=1000000000; INSERT INTO shop.t (c, kind) VALUES (2, 'in the past');",
        );
        server.admin(
            "SET timestamp=2000000000; INSERT INTO shop.t (c, kind) VALUES (3, 'in the future');",
        );
        server.admin("INSERT INTO shop.t (c, kind) VALUES (4, 'honest');");
        server.admin("FLUSH BINARY LOGS;");
        thread::sleep(Duration::from_secs(1));
        let found = trace(&server, path, &arguments);
        let of = |kind: &str| {
            let found = found.iter().find(|it| it.kinds == [kind]);
            &found.unwrap_or_else(|| panic!("{kind}: {found:?}")).record
        };
        assert_eq!(of("honest")["exact"], true, "{kind}: {:?}", of("honest"));
        assert_eq!(of("in the past")["exact"], false, "{kind}: {:?}", of("in the past"));
        let pretended = of("pretended");
        match kind {
            // Nothing in the log tells of it.
            "mysql-9.7" => {
                assert_eq!(pretended["thread_id"], "999");
                assert_eq!(of("in the future")["exact"], false, "{:?}", of("in the future"));
            }
            _ => assert_eq!(pretended["thread_id"], real.trim(), "{kind}: {pretended}"),
        }
        if kind == "mariadb-11.8" {
            assert_eq!(pretended["exact"], false);
            assert!(
                pretended["reason"].as_str().unwrap().contains("pseudo_thread_id"),
                "{pretended}"
            );
        }
    }
}
