//! `rollcall sample` beside real servers: who is gone is named afterwards, by `trace` and by `who`, and nobody else is.
//!
//! Needs the feature `real-server` and root.

#[path = "servers/own.rs"]
#[expect(dead_code, reason = "accounts are of no interest here")]
mod own;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use own::{PASSWORD, Server, text};
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A client that is logged in, with a password on its command line.
struct Client {
    process: Child,
    id: String,
}

impl Client {
    fn open(server: &Server, way: &[&str], statement: &str) -> Client {
        let mut process = Command::new(server.told("client"))
            .args(["-u", "app", &format!("--password={PASSWORD}"), "-BNn"])
            .args(way)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The insert comes last: its id is that which the list of sessions goes on to show.
        let script = format!("SELECT CONNECTION_ID();\n{statement};\n");
        process.stdin.as_mut().unwrap().write_all(script.as_bytes()).unwrap();
        let mut id = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut id).unwrap();
        Client { process, id: id.trim().to_owned() }
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Bench {
    server: Server,
    folder: TempDir,
}

impl Bench {
    fn new(kind: &str, sample: &str) -> Bench {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let server = Server::start(kind, &folder.path().join("db"), None, &[]);
        server.admin(&format!(
            "CREATE DATABASE shop; CREATE TABLE shop.t (id INT) ENGINE=InnoDB;
             CREATE USER app@'%' IDENTIFIED BY '{PASSWORD}'; GRANT INSERT ON shop.* TO app@'%';
             CREATE USER app@localhost IDENTIFIED BY '{PASSWORD}';
             GRANT INSERT ON shop.* TO app@localhost;"
        ));
        let path = folder.path();
        let socket = server.told("socket");
        fs::write(path.join("db1.cnf"), format!("[client]\nuser=root\nsocket={socket}\n")).unwrap();
        let config = format!(
            "{sample}[[server]]\nname = \"db1\"\nbinlog_index = \"{}/binlog.index\"\ndefaults_file = \"{}\"\n",
            server.told("binlog"),
            path.join("db1.cnf").display()
        );
        fs::write(path.join("rollcall.toml"), config).unwrap();
        Bench { server, folder }
    }

    fn rollcall(&self, arguments: &[&str]) -> Output {
        Command::new(assert_cmd::cargo::cargo_bin!("rollcall"))
            .env("TZ", "UTC")
            .current_dir(self.folder.path())
            .args(["--config", "rollcall.toml", "--ledger", "ledger.sqlite"])
            .args(arguments)
            .output()
            .unwrap()
    }

    fn sample(&self) {
        let output = self.rollcall(&["sample", "--once"]);
        assert_eq!((text(&output.stderr), output.status.code()), (String::new(), Some(0)));
        assert_eq!(text(&output.stdout), "");
    }

    fn only(&self, arguments: &[&str]) -> Value {
        let output = self.rollcall(&[&["-o", "json"], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let lines = text(&output.stdout);
        assert_eq!(lines.lines().count(), 1, "{lines}");
        assert!(!lines.contains(PASSWORD), "{lines}");
        serde_json::from_str(lines.trim()).unwrap()
    }

    fn trace(&self, id: u32) -> Value {
        let condition = format!("@1={id}");
        self.only(&["trace", "--server", "db1", "--table", "shop.t", "--where", &condition])
    }

    /// Waits until so many clients sleep.
    fn await_clients(&self, count: usize) {
        let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER='app' AND COMMAND='Sleep'";
        let end = Instant::now() + PATIENCE;
        while self.server.admin(sql).trim() != count.to_string() {
            assert!(Instant::now() < end, "never {count} clients");
            sleep(Duration::from_millis(20));
        }
    }

    /// What the ledger holds: connection, process, evidence.
    fn stored(&self) -> Vec<(i64, i64, String)> {
        let ledger = rusqlite::Connection::open(self.folder.path().join("ledger.sqlite")).unwrap();
        let mut query =
            ledger.prepare("SELECT connection, pid, evidence FROM samples ORDER BY 1, 2").unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        query.query_map([], row).unwrap().map(Result::unwrap).collect()
    }
}

/// No file of the ledger holds the password.
fn no_secret(folder: &Path) {
    for name in ["ledger.sqlite", "ledger.sqlite-wal"] {
        let bytes = fs::read(folder.join(name)).unwrap_or_default();
        let holds = bytes.windows(PASSWORD.len()).any(|it| it == PASSWORD.as_bytes());
        assert!(!holds, "{name} holds the password");
    }
    let bytes = fs::read(folder.join("ledger.sqlite")).unwrap();
    assert!(bytes.windows(11).any(|it| it == b"--password="), "no command line was stored");
}

/// A process with an id that another one had, if the kernel gives us one.
fn with_pid(pid: u32) -> Option<Child> {
    for _ in 0..200 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        if child.id() == pid {
            return Some(child);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    None
}

fn the_gone_are_named(kind: &str) {
    let bench = Bench::new(kind, "");
    let socket = ["-S", bench.server.told("socket")];
    let tcp = ["-h", "127.0.0.1", "-P", bench.server.told("port")];
    let one = Client::open(&bench.server, &socket, "INSERT INTO shop.t VALUES (1)");
    let other = Client::open(&bench.server, &tcp, "INSERT INTO shop.t VALUES (2)");
    bench.await_clients(2);
    bench.sample();
    let unseen = Client::open(&bench.server, &tcp, "INSERT INTO shop.t VALUES (3)");
    bench.await_clients(3);
    let clients = [(&one, "socket-peer", "localhost"), (&other, "tcp-pair", "127.0.0.1")];
    let known: Vec<_> =
        clients.iter().map(|(it, by, host)| (it.id.clone(), it.pid(), *by, *host)).collect();
    let unseen_id = unseen.id.clone();
    drop((one, other, unseen));
    bench.await_clients(0);

    for (number, (id, pid, by, host)) in known.iter().enumerate() {
        let who = bench.only(&["who", id]);
        assert_eq!((&who["pid"], &who["evidence"]), (&(*pid).into(), &"sampled".into()), "{who:#}");
        assert_eq!((&who["user"], &who["host"]), (&"app".into(), &(*host).into()));
        assert!(who["reason"].as_str().unwrap().contains("it has ended"), "{who:#}");
        assert!(who["sampled_from"].is_string() && who["sampled_to"].is_string(), "{who:#}");
        let found = bench.trace(u32::try_from(number).unwrap() + 1);
        assert_eq!(found["thread_id"], id[..], "{found:#}");
        assert_eq!((&found["exact"], &found["user"]), (&true.into(), &"app".into()), "{found:#}");
        let evidence = match kind {
            "mariadb-10.11" => "xid-query-id",
            "mariadb-11.8" => "gtid-thread",
            _ => "query-thread",
        };
        assert_eq!(
            (&found["evidence"], &found["login_evidence"]),
            (&evidence.into(), &"processlist".into())
        );
        let process = &found["processes"][0];
        assert_eq!((&process["pid"], &process["sampled_by"]), (&(*pid).into(), &(*by).into()));
        assert_eq!(process["evidence"], "sampled");
    }
    // Of whom there is no sample nobody is named.
    let found = bench.trace(3);
    assert_eq!(found["processes"], Value::Null, "{found:#}");
    assert_eq!(found["user"], Value::Null, "{found:#}");
    let output = bench.rollcall(&["who", &unseen_id]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));

    // Another process has the id now.
    let (id, pid, ..) = &known[0];
    if let Some(mut taker) = with_pid(*pid) {
        let who = bench.only(&["who", id]);
        assert!(who["reason"].as_str().unwrap().contains("it has ended"), "{who:#}");
        assert!(!who["command_line"].as_str().unwrap().contains("sleep"), "{who:#}");
        taker.kill().unwrap();
        taker.wait().unwrap();
    }
    no_secret(bench.folder.path());
}

#[test]
fn mariadb_10_11() {
    the_gone_are_named("mariadb-10.11");
}

#[test]
fn mariadb_11_8() {
    the_gone_are_named("mariadb-11.8");
}

#[test]
fn mysql_9_7() {
    the_gone_are_named("mysql-9.7");
}

#[test]
fn a_round_looks_at_no_more_than_it_may_and_the_ledger_keeps_no_more() {
    let bench = Bench::new("mariadb-10.11", "[sample]\nconnections_per_round = 2\nkeep = 3\n");
    let socket = ["-S", bench.server.told("socket")];
    let clients: Vec<Client> =
        (0..4).map(|_| Client::open(&bench.server, &socket, "DO 0")).collect();
    bench.await_clients(4);
    let output = bench.rollcall(&["sample", "--once", "-v"]);
    let said = text(&output.stderr);
    assert!(
        said.contains("4 connections open, 2 new looked at, 2 left for the next round"),
        "{said}"
    );
    let stored = bench.stored();
    let expected: Vec<(i64, i64, String)> = clients[..2]
        .iter()
        .map(|it| (it.id.parse().unwrap(), it.pid().into(), "socket-peer".to_owned()))
        .collect();
    assert_eq!(stored, expected);
    fs::write(
        bench.folder.path().join("rollcall.toml"),
        fs::read_to_string(bench.folder.path().join("rollcall.toml"))
            .unwrap()
            .replace("connections_per_round = 2", "connections_per_round = 50"),
    )
    .unwrap();
    bench.sample();
    assert_eq!(bench.stored().len(), 3);
}

/// A server that was started anew gives the same ids to others.
#[test]
fn nothing_is_carried_into_another_run() {
    let bench = Bench::new("mariadb-11.8", "");
    let socket = ["-S", bench.server.told("socket")];
    let before = Client::open(&bench.server, &socket, "INSERT INTO shop.t VALUES (1)");
    bench.await_clients(1);
    bench.sample();
    let id = before.id.clone();
    drop(before);
    let Bench { server, folder } = bench;
    let at = server.folder.clone();
    drop(server);
    // No start is near the other.
    sleep(Duration::from_secs(12));
    let server = Server::start("mariadb-11.8", &at, None, &[]);
    let bench = Bench { server, folder };
    let output = bench.rollcall(&["who", &id]);
    let said = text(&output.stdout);
    assert!(!said.contains("sampled"), "{said}");
    let found = bench.trace(1);
    assert_eq!(found["thread_id"], id[..]);
    assert_eq!(found["processes"].as_array().map(Vec::len), Some(1), "{found:#}");
    let socket = ["-S", bench.server.told("socket")];
    let after = loop {
        let client = Client::open(&bench.server, &socket, "INSERT INTO shop.t VALUES (2)");
        let number: u64 = client.id.parse().unwrap();
        if number >= id.parse().unwrap() {
            break client;
        }
        bench.await_clients(1);
        bench.server.admin("DELETE FROM shop.t WHERE id = 2");
    };
    bench.await_clients(1);
    assert_eq!(bench.trace(2)["processes"], Value::Null, "connection {}, before {id}", after.id);
}
