//! Binary logs through the server: byte for byte as in the files, on every kind of server, encrypted or not; and
//! followed while clients write.
//!
//! Needs the feature `real-server` and root, as it starts servers of its own with `tests/servers/start`.

#[path = "servers/own.rs"]
#[expect(dead_code, reason = "accounts are of no interest here")]
mod own;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use live::dump::{Came, Dump};
use live::target::{Place, Secret, Tls, TlsMode};
use live::{Server as Live, Target};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use own::{PASSWORD, Server, text};
use serde_json::Value;
use tempfile::TempDir;

const KINDS: [&str; 3] = ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"];

/// A folder that the servers can reach.
fn folder() -> TempDir {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// How a server is reached.
#[derive(Debug, Clone, Copy)]
enum Way {
    Socket,
    Tls,
}

fn connect(server: &Server, way: Way) -> Live {
    let socket = PathBuf::from(server.told("socket"));
    let mut target = Target::socket("db1", socket, "root", Secret::default());
    if let Way::Tls = way {
        let port = server.told("port").parse().unwrap();
        target.user = "tls".to_owned();
        target.password = Secret::new(PASSWORD);
        target.place = Place::Tcp { host: "127.0.0.1".to_owned(), port };
        let ca = Some(server.told("ca").into());
        target.tls = Tls { mode: TlsMode::VerifyIdentity, ca, identity: None };
    }
    let live = Live::connect(&target).unwrap();
    assert_eq!(live.is_encrypted(), matches!(way, Way::Tls));
    live
}

/// A file as the server sends it.
fn fetched(server: &Server, name: &[u8], way: Way) -> Vec<u8> {
    let mut dump = Dump::begin(connect(server, way), name, false).unwrap();
    let mut bytes = Vec::new();
    let mut is_named = false;
    loop {
        let mut piece = Vec::new();
        match dump.next(&mut |it| piece.extend_from_slice(it)).unwrap() {
            Came::Event(_) => bytes.append(&mut piece),
            Came::File(told) if !is_named => {
                assert_eq!(told, name);
                is_named = true;
            }
            Came::File(_) | Came::End => return bytes,
            Came::Heartbeat => {}
        }
    }
}

/// The file itself, but for the flag that says that it is open.
fn on_disk(server: &Server, name: &[u8]) -> Vec<u8> {
    let name = std::str::from_utf8(name).unwrap();
    let mut bytes = fs::read(Path::new(server.told("binlog")).join(name)).unwrap();
    bytes[4 + 17] &= !1;
    bytes
}

/// A log whose texts beside rows (160) say nothing, as the server leaves them out of what goes through TLS. What
/// stands between them is where it was, but that inside transactions of 11.8 no place is told: they are compared
/// from event to event, and the beginnings of transactions by their places.
fn silenced(log: &[u8]) -> Vec<(u64, Vec<u8>)> {
    const SILENT: [u8; 2] = [28, 160];
    let mut events = Vec::new();
    let mut at = 4;
    while at < log.len() {
        let length = u32::from_le_bytes(log[at + 9..at + 13].try_into().unwrap()) as usize;
        let event = &log[at..at + length];
        if !SILENT.contains(&event[4]) {
            let is_outside = event[13..17] != [0; 4];
            events.push((if is_outside { at as u64 } else { 0 }, event.to_vec()));
        }
        at += length;
    }
    events
}

fn write_of_all_kinds(server: &Server) {
    server.admin(
        "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, b LONGBLOB) ENGINE=InnoDB;
         INSERT INTO shop.t (b) VALUES ('one'); UPDATE shop.t SET b = 'two'; FLUSH BINARY LOGS;
         SET GLOBAL binlog_checksum=NONE; INSERT INTO shop.t (b) VALUES ('without checksum');
         SET GLOBAL binlog_checksum=CRC32; INSERT INTO shop.t (b) VALUES (REPEAT('x', 40000000));
         XA START 'x'; INSERT INTO shop.t (b) VALUES ('xa'); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x';
         DELETE FROM shop.t WHERE id = 1;",
    );
}

#[test]
fn what_a_server_sends_is_its_file() {
    for kind in KINDS {
        let folder = folder();
        let server =
            Server::start(kind, &folder.path().join("db"), None, &["--max-allowed-packet=64M"]);
        write_of_all_kinds(&server);
        server.admin(&format!(
            "CREATE USER tls@`127.0.0.1` IDENTIFIED BY '{PASSWORD}' REQUIRE SSL;
             GRANT REPLICATION SLAVE ON *.* TO tls@`127.0.0.1`;"
        ));
        let logs = live::dump::logs(&mut connect(&server, Way::Socket)).unwrap();
        assert!(logs.len() > 2, "{kind}");
        for log in logs {
            let file = on_disk(&server, &log.name);
            let name = log.name.escape_ascii().to_string();
            assert_eq!(log.bytes, file.len() as u64, "{kind}: {name}");
            for way in [Way::Socket, Way::Tls] {
                let came = fetched(&server, &log.name, way);
                if matches!(way, Way::Tls) && server.is_mariadb() {
                    assert!(silenced(&came) == silenced(&file), "{kind}: {name} {way:?}");
                    continue;
                }
                let first = came.iter().zip(&file).position(|(a, b)| a != b);
                assert_eq!((came.len(), first), (file.len(), None), "{kind}: {name} {way:?}");
            }
        }
    }
}

/// What is traced, but for where the files are.
fn traced(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = rollcall(folder, &[&["trace", "-o", "json", "--rows"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    let lines = text(&output.stdout);
    let mut records: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for record in &mut records {
        if let Some(file) = record["file"].as_str() {
            let name = Path::new(file).file_name().unwrap().to_str().unwrap().to_owned();
            record["file"] = name.into();
        }
    }
    assert!(records.len() > 10, "{arguments:?}: {lines}");
    records
}

fn rollcall(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command
        .env("HOME", folder)
        .env("TZ", "UTC")
        .current_dir(folder)
        .args(["--config", "rollcall.toml", "--ledger", "ledger.sqlite"])
        .args(arguments);
    command
}

/// An account of the server in the configuration, with the rights that logs are read with, or without them.
fn configure(server: &Server, folder: &Path, more: &str) {
    server.admin(&format!("CREATE USER reader@localhost IDENTIFIED BY '{PASSWORD}'"));
    let options = folder.join("db1.cnf");
    let socket = server.told("socket");
    let text = format!("[client]\nsocket={socket}\nuser=reader\npassword={PASSWORD}\n");
    fs::write(&options, text).unwrap();
    fs::set_permissions(&options, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "[[server]]\nname = \"db1\"\ntime_zone = \"UTC\"\ndefaults_file = \"{}\"\n{more}",
        options.display()
    );
    fs::write(folder.join("rollcall.toml"), text).unwrap();
}

fn listing_right(server: &Server) -> &'static str {
    if server.is_mariadb() { "BINLOG MONITOR" } else { "REPLICATION CLIENT" }
}

fn grant(server: &Server, right: &str) {
    server.admin(&format!("GRANT {right} ON *.* TO reader@localhost"));
}

#[test]
fn through_the_server_the_answer_is_that_of_the_files() {
    for kind in KINDS {
        let folder = folder();
        let path = folder.path();
        let options = ["--max-allowed-packet=64M", "--binlog-row-metadata=FULL"];
        let server = Server::start(kind, &path.join("db"), None, &options);
        configure(&server, path, "");
        write_of_all_kinds(&server);

        // What is missing is named with the statement that mends it.
        let refused = ["trace", "--server", "db1"];
        for right in [listing_right(&server), "REPLICATION SLAVE"] {
            let output = rollcall(path, &refused);
            assert_eq!(output.status.code(), Some(2), "{kind}");
            let mends = text(&output.stderr);
            let grants = [
                format!("GRANT {right} ON *.* TO 'reader'@'localhost';"),
                format!("GRANT {right} ON *.* TO reader@localhost;"),
            ];
            assert!(grants.iter().any(|it| mends.contains(it)), "{kind}: {right}: {mends}");
            grant(&server, right);
        }

        let binlogs = server.told("binlog");
        let of_files = traced(path, &[binlogs]);
        assert_eq!(traced(path, &["--server", "db1"]), of_files, "{kind}");
        assert_eq!(traced(path, &["--server", "db1", "--through-server"]), of_files, "{kind}");
        let options = path.join("db1.cnf");
        let by_options = ["--through-server", "--defaults-file", options.to_str().unwrap()];
        assert_eq!(traced(path, &by_options), of_files, "{kind}");
        // No file of it is left, and nobody is listed as a replica.
        let left = fs::read_dir("/tmp").unwrap().filter_map(Result::ok);
        let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("rollcall-trace.");
        assert_eq!(left.filter(|it| ours(&it.file_name())).count(), 0);
        let replicas = if server.is_mariadb() { "SHOW SLAVE HOSTS" } else { "SHOW REPLICAS" };
        assert_eq!(server.admin(replicas), "", "{kind}");

        let styled = ["trace", "--style", "mysqlbinlog"];
        let of_files = rollcall(path, &[&styled[..], &[binlogs]].concat());
        let of_server = rollcall(path, &[&styled[..], &["--server", "db1"]].concat());
        // The tool warns of a file that is open; what a server sends does not say so.
        let open = "# Warning: this binlog is either in use or was not closed properly.\n";
        let of_files = text(&of_files.stdout).replace(open, "");
        assert!(of_files == text(&of_server.stdout), "{kind}: the text of the tool");
        assert!(of_files.len() > 1000, "{kind}");
    }
}

#[test]
fn files_that_cannot_be_read_are_read_through_the_server() {
    for kind in ["mariadb-10.11", "mariadb-11.8"] {
        let folder = folder();
        let path = folder.path();
        let keys = path.join("keys.txt");
        let key = "770a8a65da156d24ee2a093277530142770a8a65da156d24ee2a093277530142";
        fs::write(&keys, format!("1;{key}\n")).unwrap();
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
        let keys = format!("--file-key-management-filename={}", keys.display());
        let options = [
            "--max-allowed-packet=64M",
            "--binlog-row-metadata=FULL",
            "--plugin-load-add=file_key_management",
            &keys,
            "--encrypt-binlog=ON",
        ];
        let server = Server::start(kind, &path.join("db"), None, &options);
        let binlogs = server.told("binlog");
        configure(&server, path, &format!("binlog_index = \"{binlogs}/binlog.index\"\n"));
        grant(&server, "BINLOG MONITOR");
        grant(&server, "REPLICATION SLAVE");
        write_of_all_kinds(&server);

        let offline = rollcall(path, &["trace", "--server", "db1", "--offline"]);
        assert!(!offline.status.success());
        assert!(text(&offline.stderr).contains("--through-server"), "{}", text(&offline.stderr));

        let found = traced(path, &["--server", "db1"]);
        // What the server's own tool fetches is plain, but for the event that tells of the encryption.
        let fetched = path.join("fetched");
        fs::create_dir(&fetched).unwrap();
        let tool = Path::new(server.told("client")).with_file_name("mariadb-binlog");
        let output = Command::new(tool)
            .args(["--read-from-remote-server", "--raw", "--to-last-log", "-uroot"])
            .args(["-S", server.told("socket"), "binlog.000001"])
            .arg(format!("--result-file={}/", fetched.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{kind}: {}", text(&output.stderr));
        for entry in fs::read_dir(&fetched).unwrap() {
            let name = entry.unwrap().path();
            let mut bytes = fs::read(&name).unwrap();
            let length = |at: usize| u32::from_le_bytes(bytes[at + 9..at + 13].try_into().unwrap());
            let second = 4 + length(4) as usize;
            assert_eq!(bytes[second + 4], 164, "{kind}: START_ENCRYPTION");
            let end = second + length(second) as usize;
            bytes.drain(second..end);
            fs::write(&name, bytes).unwrap();
        }
        let mut plain = traced(path, &[fetched.to_str().unwrap()]);
        let mut encrypted = found.clone();
        for record in plain.iter_mut().chain(&mut encrypted) {
            record["position"] = Value::Null;
        }
        assert_eq!(encrypted, plain, "{kind}");
        // Positions are those of the server's file.
        for record in found.iter().filter(|it| it["evidence"].is_string()) {
            let (file, position) = (&record["file"], &record["position"]);
            let events = format!(
                "SHOW BINLOG EVENTS IN '{}' FROM {position} LIMIT 1",
                file.as_str().unwrap()
            );
            assert!(server.admin(&events).contains("Gtid"), "{kind}: {record}");
        }
    }
}

const CLIENTS: usize = 6;
const ROUNDS: usize = 12;
const PATIENCE: Duration = Duration::from_secs(60);

/// Clients at once, each of whose transactions has a connection of its own; logs are changed amid them.
fn work(server: &Server, first: usize) {
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                for round in first..first + ROUNDS {
                    let number = client * 1000 + round;
                    server.admin(&format!(
                        "INSERT INTO shop.t VALUES ({number}, connection_id(), 'alone');
                         BEGIN; INSERT INTO shop.t VALUES ({}, connection_id(), 'two'); DO SLEEP(0.02);
                         UPDATE shop.t SET c = connection_id() WHERE id = {number}; COMMIT;",
                        number + 500_000
                    ));
                    if client == 0 && round % 4 == 3 {
                        server.admin("FLUSH BINARY LOGS");
                    }
                    if client == 1 && round % 5 == 4 && server.is_mariadb() {
                        server.admin("SET GLOBAL server_audit_file_rotate_now=ON");
                    }
                }
            });
        }
    });
}

/// A `trace --follow` that writes into a file.
struct Followed {
    child: Child,
    out: PathBuf,
}

impl Followed {
    fn start(folder: &Path, name: &str, arguments: &[&str]) -> Followed {
        let out = folder.join(name);
        let child = command(folder, &[&["trace", "--follow"], arguments].concat())
            .stdout(fs::File::create(&out).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Followed { child, out }
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.out).unwrap().lines().map(str::to_owned).collect()
    }

    /// Waits until a line holds this.
    fn await_text(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.lines().iter().any(|line| line.contains(text)) {
            assert!(Instant::now() < deadline, "{text} does not come: {:?}", self.lines().last());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it; what it said on standard error.
    fn end(self, signal: Signal) -> (Vec<String>, String) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let lines = fs::read_to_string(&self.out).unwrap();
        (lines.lines().map(str::to_owned).collect(), said)
    }
}

/// What was told, but for logins that are known only while their session is open.
fn comparable(lines: &[String], is_mysql: bool) -> Vec<Value> {
    let records = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    let mut records: Vec<Value> = records.collect();
    for record in records.iter_mut().filter(|it| it.get("evidence").is_some()) {
        if let Some(name) = record["file"].as_str().map(|it| it.rsplit('/').next().unwrap_or(it)) {
            record["file"] = name.to_owned().into();
        }
        if is_mysql {
            for field in ["user", "client_host", "client_port", "login_evidence"] {
                record[field] = Value::Null;
            }
        }
    }
    records
}

#[test]
fn what_is_followed_is_what_is_told_afterwards() {
    for kind in KINDS {
        let folder = folder();
        let path = folder.path();
        let mut options = vec!["--binlog-row-metadata=FULL"];
        if kind != "mysql-9.7" {
            options
                .extend(["--server-audit-events=CONNECT,QUERY,TABLE", "--server-audit-logging=ON"]);
        }
        let server = Server::start(kind, &path.join("db"), None, &options);
        let binlogs = server.told("binlog");
        let audit = match server.is_mariadb() {
            true => format!(
                "audit_logs = [\"{}\"]\n",
                Path::new(server.told("audit_log")).parent().unwrap().display()
            ),
            false => String::new(),
        };
        let index = format!("binlog_index = \"{binlogs}/binlog.index\"\n");
        configure(&server, path, &format!("{index}{audit}"));
        grant(&server, listing_right(&server));
        grant(&server, "REPLICATION SLAVE");
        grant(&server, "PROCESS");
        server.admin(
            "CREATE DATABASE shop;
             CREATE TABLE shop.t (id INT PRIMARY KEY, c BIGINT, kind VARCHAR(9)) ENGINE=InnoDB;",
        );
        thread::sleep(Duration::from_secs(2));
        work(&server, 0);
        let json = ["--server", "db1", "-o", "json", "--rows", "--table", "shop.t"];
        let by_files = Followed::start(path, "files.out", &json);
        let through = [&json[..], &["--through-server"]].concat();
        let by_server = Followed::start(path, "server.out", &through);
        let page = Followed::start(path, "page.out", &["--server", "db1", "--table", "shop.t"]);
        work(&server, 100);
        let last = "INSERT INTO shop.t VALUES (999, connection_id(), 'last')";
        server.admin(last);
        // Nobody waits for more to come before it is told.
        for followed in [&by_files, &by_server] {
            followed.await_text("\"last\"");
        }
        let deadline = Instant::now() + PATIENCE;
        // The table was made, and the last row comes alone.
        let all = 2 * CLIENTS * ROUNDS * 2 + 2;
        while page.lines().len() <= all {
            assert!(Instant::now() < deadline, "{kind}: {} lines", page.lines().len());
            thread::sleep(Duration::from_millis(50));
        }
        let afterwards = rollcall(path, &[&["trace"], &json[..]].concat());
        let afterwards: Vec<String> = text(&afterwards.stdout).lines().map(str::to_owned).collect();
        let expected = comparable(&afterwards, !server.is_mariadb());
        let told = expected.iter().filter(|it| it.get("evidence").is_some());
        assert_eq!(told.filter(|it| it["exact"] == true).count(), all, "{kind}");
        for (followed, signal) in [(by_files, Signal::SIGINT), (by_server, Signal::SIGTERM)] {
            let (lines, said) = followed.end(signal);
            let found = comparable(&lines, !server.is_mariadb());
            let differs = found.iter().zip(&expected).position(|(a, b)| a != b);
            let differs = differs.map(|at| (&found[at], &expected[at]));
            assert_eq!((found.len(), differs), (expected.len(), None), "{kind}: {said}");
        }
        let (lines, _) = page.end(Signal::SIGTERM);
        assert!(lines[0].starts_with("TIME "), "{kind}: {}", lines[0]);
        let rows = lines.iter().filter(|line| line.contains(" shop.t "));
        assert_eq!(rows.count(), all, "{kind}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("TIME ")).count(), 1, "{kind}");
        assert!(lines[all + 1].contains(&format!("{all} transactions")), "{kind}");
    }
}

#[test]
fn a_transaction_waits_for_its_audit_record_and_not_for_ever() {
    let folder = folder();
    let path = folder.path();
    let audited = ["--server-audit-events=CONNECT,QUERY", "--server-audit-logging=ON"];
    let server = Server::start("mariadb-10.11", &path.join("db"), None, &audited);
    fs::write(path.join("rollcall.toml"), "").unwrap();
    server.admin("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY) ENGINE=InnoDB;");
    thread::sleep(Duration::from_secs(2));
    // An audit log that lags behind.
    let lagging = path.join("lagging.log");
    let write = || fs::copy(server.told("audit_log"), &lagging).unwrap();
    write();
    let lagging = lagging.to_str().unwrap();
    let binlogs = server.told("binlog");
    let chosen = ["--time-zone=UTC", "--table=shop.t", "--kind=insert", "-o", "json"];
    let arguments = [&[binlogs, "--audit-log", lagging][..], &chosen].concat();
    let followed = Followed::start(path, "out", &arguments);
    server.admin("INSERT INTO shop.t VALUES (1)");
    thread::sleep(Duration::from_secs(2));
    write();
    followed.await_text("VALUES (1)");
    server.admin("INSERT INTO shop.t VALUES (2)");
    followed.await_text("VALUES (2)");
    let (lines, said) = followed.end(Signal::SIGINT);
    let told = |line: usize| serde_json::from_str::<Value>(&lines[line]).unwrap();
    let (known, unknown) = (told(0), told(1));
    assert_eq!(known["evidence"], "xid-query-id", "{known} {said}");
    assert_eq!((&known["exact"], &known["user"]), (&true.into(), &"root".into()), "{known}");
    assert_eq!((&unknown["evidence"], &unknown["exact"]), (&"unknown".into(), &false.into()));
}

#[test]
fn what_was_prepared_is_told_with_who_decided_about_it() {
    for kind in KINDS {
        let folder = folder();
        let path = folder.path();
        let mut options = vec!["--binlog-row-metadata=FULL"];
        if kind != "mysql-9.7" {
            options.extend(["--server-audit-events=CONNECT", "--server-audit-logging=ON"]);
        }
        let server = Server::start(kind, &path.join("db"), None, &options);
        fs::write(path.join("rollcall.toml"), "").unwrap();
        server
            .admin("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY) ENGINE=InnoDB;");
        let right = if server.is_mariadb() { "SUPER" } else { "XA_RECOVER_ADMIN" };
        for user in ["alice", "bob"] {
            server.admin(&format!(
                "CREATE USER {user}@localhost IDENTIFIED BY '{PASSWORD}';
                 GRANT ALL ON shop.* TO {user}@localhost; GRANT {right} ON *.* TO {user}@localhost;"
            ));
        }
        let by = |user: &str, statements: &str| {
            let output = Command::new(server.told("client"))
                .args(["-BN", "-S", server.told("socket"), "-u", user, &format!("-p{PASSWORD}")])
                .args(["-e", &format!("SELECT connection_id(); {statements}")])
                .output()
                .unwrap();
            assert!(output.status.success(), "{kind}: {}", text(&output.stderr));
            text(&output.stdout).trim().to_owned()
        };
        thread::sleep(Duration::from_secs(2));
        let prepare = |name: &str, id: u32| {
            format!(
                "XA START '{name}', 'b'; INSERT INTO shop.t VALUES ({id}); XA END '{name}', 'b'; \
                     XA PREPARE '{name}', 'b'"
            )
        };
        let first = by("alice", &prepare("held", 1));
        let second = by("bob", "XA COMMIT 'held', 'b'");
        let third = by("alice", &prepare("gone", 2));
        let fourth = by("bob", "XA ROLLBACK 'gone', 'b'");
        let fifth = by("alice", &prepare("open", 3));
        let mut arguments =
            vec!["trace", server.told("binlog"), "--table", "shop.t", "--kind", "insert"];
        let audit;
        if server.is_mariadb() {
            audit = Path::new(server.told("audit_log")).parent().unwrap().to_owned();
            arguments.extend(["--audit-log", audit.to_str().unwrap(), "--time-zone", "UTC"]);
        }
        let output = rollcall(path, &[&arguments[..], &["-o", "json"]].concat());
        let lines = text(&output.stdout);
        let told: Vec<Value> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        let (held, gone, open) =
            ("X'68656c64',X'62',1", "X'676f6e65',X'62',1", "X'6f70656e',X'62',1");
        let expected = [
            (&first, "alice", held, "prepared", 1),
            (&second, "bob", held, "committed", 0),
            (&third, "alice", gone, "prepared", 1),
            (&fourth, "bob", gone, "rolled-back", 0),
            (&fifth, "alice", open, "prepared", 1),
        ];
        assert_eq!(told.len(), expected.len(), "{kind}: {lines}{}", text(&output.stderr));
        for (told, (connection, user, name, outcome, tables)) in told.iter().zip(expected) {
            assert_eq!(told["thread_id"], **connection, "{kind}: {told}");
            assert_eq!((&told["xa"], &told["outcome"]), (&name.into(), &outcome.into()), "{told}");
            assert_eq!(told["tables"].as_array().unwrap().len(), tables, "{kind}: {told}");
            assert_eq!(told["exact"], true, "{kind}: {told}");
            if server.is_mariadb() {
                assert_eq!(told["user"], user, "{kind}: {told}");
            }
        }
        let page = text(&rollcall(path, &arguments).stdout);
        assert!(page.contains("1 prepared (XA) whose COMMIT or ROLLBACK is not told"), "{page}");
        assert!(page.contains(&format!("(prepared: XA {open})")), "{page}");
        assert!(!page.contains("only tables without transactions"), "{page}");
        server.admin("XA ROLLBACK 'open', 'b'");
    }
}

#[test]
fn what_is_followed_goes_on_over_a_restart() {
    for kind in ["mariadb-11.8", "mysql-9.7"] {
        let folder = folder();
        let path = folder.path();
        let server = Server::start(kind, &path.join("db"), None, &[]);
        let index = format!("binlog_index = \"{}/binlog.index\"\n", server.told("binlog"));
        configure(&server, path, &index);
        grant(&server, listing_right(&server));
        grant(&server, "REPLICATION SLAVE");
        server.admin("CREATE DATABASE shop; CREATE TABLE shop.before_it (id INT) ENGINE=InnoDB;");
        let json = ["--server", "db1", "-o", "json"];
        let by_files = Followed::start(path, "files.out", &json);
        let by_server =
            Followed::start(path, "server.out", &[&json[..], &["--through-server"]].concat());
        for followed in [&by_files, &by_server] {
            followed.await_text("shop.before_it");
        }
        drop(server);
        let server = Server::start(kind, &path.join("db"), None, &[]);
        server.admin("CREATE TABLE shop.after_it (id INT) ENGINE=InnoDB;");
        for followed in [&by_files, &by_server] {
            followed.await_text("shop.after_it");
        }
        let expected = text(&rollcall(path, &[&["trace"], &json[..]].concat()).stdout);
        let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        for followed in [by_files, by_server] {
            let (lines, said) = followed.end(Signal::SIGTERM);
            assert_eq!(comparable(&lines, true), comparable(&expected, true), "{kind}: {said}");
        }
    }
}
