//! `rollcall quota watch` beside real servers: it keeps its interval whatever other servers do, reloads without dropping
//! a round, shares users among shards, and gives up root.
//!
//! Needs the feature `real-server`, the servers (see `servers`), and root. Names that are made begin with `quw`.
//! Nothing here measures time: each test waits until what must come has come, and the service itself says where a turn
//! was left out.

#[path = "servers/own.rs"]
#[expect(dead_code, reason = "accounts are of no interest here")]
mod own;
mod servers;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use servers::{Server, lossy};
use tempfile::TempDir;

/// Long enough for the slowest machine; nobody waits for it where all is well.
const PATIENCE: Duration = Duration::from_secs(120);

const PASSWORD: &str = "right-9e42";

/// The user and group `nobody`.
const NOBODY: u32 = 65534;

/// A running server with an account that may measure it, and a folder with a configuration.
struct Bench {
    server: Server,
    folder: TempDir,
    _turn: File,
}

impl Bench {
    fn new(kind: &str) -> Bench {
        let server = Server::of(kind);
        let turn = server.turn();
        let bench = Bench { server, folder: TempDir::new().expect("a folder"), _turn: turn };
        bench.clean();
        bench.sql(&format!(
            "CREATE USER quw_monitor@localhost IDENTIFIED BY '{PASSWORD}';
             GRANT ALL ON *.* TO quw_monitor@localhost WITH GRANT OPTION;"
        ));
        let socket = bench.server.told("socket");
        let text = format!("[client]\nuser=quw_monitor\npassword={PASSWORD}\nsocket={socket}\n");
        bench.write("client.cnf", &text);
        fs::set_permissions(bench.path("client.cnf"), fs::Permissions::from_mode(0o600)).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// This server as `db1`, and what else stands in the configuration.
    fn configure(&self, quota: &str, further: &str) {
        let client = self.path("client.cnf");
        let server = format!("[[server]]\nname='db1'\ndefaults_file='{}'\n", client.display());
        self.write("rollcall.toml", &format!("[quota]\n{quota}\n{server}{further}"));
    }

    fn sql(&self, statements: &str) {
        self.server.admin(&format!("SET SESSION sql_log_bin=0; {statements}"));
    }

    /// Users, each with a schema.
    fn users(&self, names: &[String]) {
        let made = names.iter().map(|name| {
            format!(
                "CREATE USER {name}@localhost IDENTIFIED BY '{PASSWORD}'; CREATE DATABASE {name};
                 CREATE TABLE {name}.t (id INT PRIMARY KEY, t LONGTEXT);"
            )
        });
        self.sql(&made.collect::<String>());
    }

    fn clean(&self) {
        let drops = |what: &str, name: &str, from: &str, column: &str| {
            self.server.admin(&format!(
                "SELECT CONCAT('DROP {what} `', {name}, '`;') FROM {from} WHERE {column} LIKE 'quw%'"
            ))
        };
        let schemas =
            drops("DATABASE", "SCHEMA_NAME", "information_schema.SCHEMATA", "SCHEMA_NAME");
        let users = drops("USER", "User, '`@`', Host", "mysql.user", "User");
        self.sql(&format!("{schemas}{users} DO 1"));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
        command.current_dir(self.folder.path());
        let own =
            ["--config", "rollcall.toml", "--ledger", "ledger.sqlite", "-v", "quota", "watch"];
        command.args(own).args(arguments);
        command
    }

    fn watch(&self, arguments: &[&str]) -> Watch {
        let log = self.path(&format!("watch{}.err", arguments.concat().replace('/', "of")));
        let mut command = self.command(&[&["--run-as", "root"], arguments].concat());
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Watch { child: command.spawn().unwrap(), log }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clean();
        }
    }
}

/// A service that runs; killed where a test fails.
struct Watch {
    child: Child,
    log: PathBuf,
}

impl Watch {
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn await_log(&self, words: &str) {
        self.await_count(words, 1);
    }

    /// Waits until the log holds that so often.
    fn await_count(&self, words: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.said().matches(words).count() < count {
            assert!(Instant::now() < deadline, "waited for {words:?}; found: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Rounds over `db1` that are done.
    fn rounds(&self) -> usize {
        self.said().matches("Z db1: ").count()
    }

    /// Waits for so many more rounds over `db1`.
    fn await_rounds(&self, more: usize) {
        self.await_count("Z db1: ", self.rounds() + more);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn end(mut self) -> String {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said());
        self.said()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Servers that accept connections and never say a word.
fn silent(bench: &Bench, count: usize) -> (Vec<TcpListener>, String) {
    let mut servers = String::new();
    let listeners = (0..count).map(|number| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let file = format!("dead{number}.cnf");
        bench.write(&file, &format!("[client]\nuser=x\nhost=127.0.0.1\nport={port}\n"));
        let file = bench.path(&file);
        servers +=
            &format!("[[server]]\nname='dead{number}'\ndefaults_file='{}'\n", file.display());
        listener
    });
    (listeners.collect(), servers)
}

/// Three servers that never answer, two workers.
fn dead_servers(kind: &str) {
    let bench = Bench::new(kind);
    let (_listeners, dead) = silent(&bench, 3);
    bench.configure("interval_seconds = 2\ntimeout_seconds = 5\nworkers = 2", &dead);
    let watch = bench.watch(&[]);
    for number in 0..3 {
        watch.await_log(&format!("dead{number}: "));
    }
    // All are known to be silent by now; those that are tried again take one worker at most. The turn that waited for
    // this may have been late.
    watch.await_rounds(1);
    let known = watch.said().len();
    watch.await_rounds(6);
    let said = watch.end();
    assert!(!said[known..].contains("left out"), "{said}");
    assert!(said.ends_with("ended\n"), "{said}");
}

/// Many reloads, with a faulty configuration and faulty limits among them.
fn reload_under_load(kind: &str) {
    let bench = Bench::new(kind);
    let quota = "interval_seconds = 2\nlimits = 'limits'";
    bench.write("limits", "quw_a,2GB,3GB\n");
    bench.configure(quota, "");
    let watch = bench.watch(&[]);
    watch.await_rounds(1);
    let storm = || {
        for _ in 0..50 {
            watch.signal(Signal::SIGHUP);
            std::thread::sleep(Duration::from_millis(40));
        }
    };
    storm();
    watch.await_rounds(2);
    // The whole file is refused, by line and column, on a signal and without one.
    bench.write("limits", "quw_a,2GB,3GB\nquw_b,9GB,1GB\n");
    watch.await_log("the limits stay as they were");
    assert!(watch.said().contains("limits:2:"), "{}", watch.said());
    storm();
    watch.await_rounds(2);
    assert_eq!(watch.said().matches("the limits stay as they were").count(), 1);
    bench.write("limits", "quw_a,2GB,4GB\n");
    watch.await_log("new limits are in force");
    bench.write("rollcall.toml", "[quota]\nlimts = 'x'\n");
    watch.signal(Signal::SIGHUP);
    watch.await_log("the configuration stays as it was: rollcall.toml:2: unknown key `limts`");
    watch.await_rounds(2);
    // Another server joins, and the first keeps its turn.
    let client = bench.path("client.cnf");
    bench.configure(
        quota,
        &format!("[[server]]\nname='db2'\ndefaults_file='{}'\n", client.display()),
    );
    watch.signal(Signal::SIGHUP);
    watch.await_count("Z db2: ", 2);
    let said = watch.end();
    assert!(!said.contains("left out"), "{said}");
}

/// Four services at once, one ledger.
fn shards(kind: &str) {
    let bench = Bench::new(kind);
    let users: Vec<String> = (0..24).map(|it| format!("quw{it}")).collect();
    bench.users(&users);
    bench.configure("interval_seconds = 60", "");
    let shards = ["0/4", "1/4", "2/4"].map(|it| bench.watch(&["--shard", it]));
    // The ancestor's way to say it.
    let last = bench.watch(&["-s", "3", "-t", "4", "-d", "1"]);
    let counts = shards.iter().chain([&last]).map(|watch| {
        watch.await_log("Z db1: ");
        let said = watch.said();
        let (_, rest) = said.split_once("Z db1: ").unwrap();
        let count: usize = rest.split(' ').next().unwrap().parse().unwrap();
        assert!(count > 0, "{said}");
        count
    });
    let counts: Vec<usize> = counts.collect();
    for watch in shards.into_iter().chain([last]) {
        watch.end();
    }
    let ledger = rusqlite::Connection::open(bench.path("ledger.sqlite")).unwrap();
    let (rows, all): (i64, i64) = ledger
        .query_row(
            "SELECT count(*), count(DISTINCT user) FROM quota_usage WHERE server = CAST('db1' AS BLOB)
             OR server = 'db1'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let sum = counts.iter().sum::<usize>();
    assert_eq!((rows as usize, all as usize), (sum, sum), "{counts:?}");
    assert!(sum >= users.len(), "{sum}");
}

/// Started by root in the background; the password is root's alone.
fn privileges(kind: &str) {
    let bench = Bench::new(kind);
    bench.configure("interval_seconds = 1", "");
    fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let run = bench.path("run");
    fs::create_dir(&run).unwrap();
    chown(&run, Some(NOBODY), Some(NOBODY)).unwrap();
    let (pid, log) = (run.join("pid"), run.join("log"));
    fs::write(&pid, "4194304\n").unwrap();
    let arguments = ["--ledger", "run/ledger.sqlite", "--run-as", "nobody", "--daemonize"];
    let files = ["--pid-file", "run/pid", "--log-file", "run/log"];
    let start = || bench.command(&[&arguments[..], &files].concat()).output().unwrap();
    let output = start();
    assert!(output.status.success(), "{}", lossy(&output.stderr));
    let said = || fs::read_to_string(&log).unwrap();
    let await_log = |words: &str, count: usize| {
        let deadline = Instant::now() + PATIENCE;
        while said().matches(words).count() < count {
            assert!(Instant::now() < deadline, "waited for {words:?}; found: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    await_log("Z db1: ", 2);
    let number = fs::read_to_string(&pid).unwrap();
    let process = Pid::from_raw(number.trim().parse().unwrap());
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = |name: &str| status.lines().find_map(|it| it.strip_prefix(name)).unwrap().trim();
    let all = format!("{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}");
    assert_eq!((line("Uid:"), line("Gid:")), (&*all, &*all));
    assert_eq!(line("Groups:"), NOBODY.to_string());
    for set in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
        assert_eq!(line(set).trim_start_matches('0'), "", "{set}");
    }
    // It runs already.
    let second = start();
    assert_eq!(second.status.code(), Some(2));
    assert!(lossy(&second.stderr).contains("stop that first"), "{}", lossy(&second.stderr));
    // The option file is closed to it now.
    kill(process, Signal::SIGHUP).unwrap();
    await_log("what was read of it at the start is kept", 1);
    await_log("configuration read again", 1);
    await_log("Z db1: ", said().matches("Z db1: ").count() + 2);
    kill(process, Signal::SIGTERM).unwrap();
    await_log("Z ended", 1);
    assert!(!said().contains(PASSWORD));
}

/// A server of this test that notes writes; looks come once an hour by the interval.
fn at_once(kind: &str) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let server = own::Server::start(kind, &folder.path().join("db"), None, &[]);
    let build = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/plugin");
    let built = Command::new(build).output().unwrap();
    assert!(built.status.success(), "{}", lossy(&built.stderr));
    let library = std::path::Path::new(server.told("plugin_dir")).join("audit_login.so");
    fs::copy(lossy(&built.stdout).trim(), &library).unwrap();
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    server.admin(&format!(
        "INSTALL PLUGIN ROLLCALL_WRITES SONAME 'audit_login.so'; SET GLOBAL rollcall_writes_enabled = ON;
         CREATE DATABASE heavy; CREATE TABLE heavy.t (id INT AUTO_INCREMENT PRIMARY KEY, t LONGTEXT);
         CREATE USER heavy@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON heavy.* TO heavy@'%';
         CREATE DATABASE light; CREATE TABLE light.t (id INT AUTO_INCREMENT PRIMARY KEY, t LONGTEXT);
         CREATE USER light@'%' IDENTIFIED BY '{PASSWORD}'"
    ));
    let place = |name: &str| folder.path().join(name);
    let socket = server.told("socket");
    fs::write(place("client.cnf"), format!("[client]\nuser=root\nsocket={socket}\n")).unwrap();
    fs::write(place("limits"), "heavy,4MB,8MB\nlight,4MB,8MB\n").unwrap();
    // A free port, which is free again when the service takes it.
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "[quota]\ninterval_seconds = 3600\nlimits = 'limits'\npolicy = 'lock'\n\
         [quota.metrics]\nfile = 'quota.prom'\nlisten = '{listen}'\n\
         [quota.notices]\naudit_log = 'audit.log'\n\
         [[server]]\nname='db1'\ndefaults_file='{}'\n",
        place("client.cnf").display()
    );
    fs::write(place("rollcall.toml"), text).unwrap();
    let log = place("watch.err");
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
    command.current_dir(folder.path()).args(["--config", "rollcall.toml", "-v"]);
    command.args(["--ledger", "ledger.sqlite", "quota", "watch", "--apply", "--run-as", "root"]);
    command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
    let watch = Watch { child: command.spawn().unwrap(), log };
    watch.await_log("writes are noted by ROLLCALL_WRITES");
    let rounds = watch.said().matches("Z db1: ").count();
    assert_eq!(watch.said().matches("is held back").count(), 0, "{rounds} {}", watch.said());

    let begin = Instant::now();
    server.admin(
        "INSERT INTO heavy.t (t) SELECT REPEAT('x', 1048576) FROM mysql.help_topic LIMIT 14",
    );
    watch.await_log("heavy is held back: lock");
    if let Some(path) = std::env::var_os("ROLLCALL_SECONDS") {
        let seconds = format!("{kind} {:.2}\n", begin.elapsed().as_secs_f64());
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, seconds.as_bytes()).unwrap();
    }
    let locked = |user: &str| {
        let shown = server.admin(&format!("SHOW CREATE USER {user}@'%'"));
        shown.contains("ACCOUNT LOCK")
    };
    assert!(locked("heavy") && !locked("light"));
    // The same is told by all.
    let audit = fs::read_to_string(place("audit.log")).unwrap();
    let lines: Vec<serde_json::Value> =
        audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let enforced = lines.iter().filter(|it| it["event"] == "enforced");
    assert_eq!(enforced.map(|it| it["user"].as_str().unwrap()).collect::<Vec<_>>(), ["heavy"]);
    let http = || {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(listen).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let held = "rollcall_quota_accounts_locked{server=\"db1\"} 1\n";
    let hard = "mysql_user_storage_hard_limit_bytes{server=\"db1\",user=\"heavy\"} 8388608\n";
    let answer = http();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains(hard), "{answer}");
    assert!(answer.contains(held), "{answer}");
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(place("quota.prom")).is_ok_and(|text| text.contains(held)) {
        assert!(Instant::now() < deadline, "the file of metrics does not tell it");
        std::thread::sleep(Duration::from_millis(20));
    }

    // Space that comes back is seen as well.
    server.admin("TRUNCATE heavy.t");
    watch.await_log("heavy is free again: lock");
    assert!(!locked("heavy"));
    let said = watch.end();
    assert!(said.ends_with("ended\n"), "{said}");
}

/// The ancestor's `-d 1`: what would be sent is in the log, and is not sent.
fn statements_are_shown(kind: &str) {
    let bench = Bench::new(kind);
    bench.users(&["quw_fat".to_owned()]);
    bench.write("limits", "quw_fat,1KB,2KB\n");
    bench.configure("interval_seconds = 1\nlimits = 'limits'\npolicy = 'lock'", "");
    let watch = bench.watch(&["-d", "1"]);
    let sql = "db1: quw_fat: would send ALTER USER 'quw_fat'@'localhost' ACCOUNT LOCK;";
    watch.await_log(sql);
    watch.await_rounds(2);
    let said = watch.end();
    assert_eq!(said.matches("would send").count(), 1, "{said}");
    let shown = bench.server.admin("SHOW CREATE USER quw_fat@localhost");
    assert!(!shown.contains("ACCOUNT LOCK"), "{shown}");
}

#[test]
fn mariadb_shows_what_it_would_send() {
    statements_are_shown("mariadb-10.11");
}

#[test]
fn mysql_shows_what_it_would_send() {
    statements_are_shown("mysql-9.7");
}

#[test]
fn mariadb_10_11_stops_who_writes_too_much_at_once() {
    at_once("mariadb-10.11");
}

#[test]
fn mariadb_11_8_stops_who_writes_too_much_at_once() {
    at_once("mariadb-11.8");
}

#[test]
fn mysql_stops_who_writes_too_much_at_once() {
    at_once("mysql-9.7");
}

#[test]
fn users_that_do_not_exist_are_refused_before_anything_is_done() {
    let bench = Bench::new("mariadb-10.11");
    bench.configure("run_as = 'no-such-user'", "");
    let output = bench.command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = lossy(&output.stderr);
    assert!(said.contains("there is no user no-such-user: useradd --system"), "{said}");
    assert!(!bench.path("ledger.sqlite").exists());
}

#[test]
fn mariadb_keeps_its_interval_beside_dead_servers() {
    dead_servers("mariadb-10.11");
}

#[test]
fn mysql_keeps_its_interval_beside_dead_servers() {
    dead_servers("mysql-9.7");
}

#[test]
fn reloads_drop_no_round() {
    reload_under_load("mariadb-10.11");
}

#[test]
fn mariadb_users_are_shared_among_shards() {
    shards("mariadb-10.11");
}

#[test]
fn mysql_users_are_shared_among_shards() {
    shards("mysql-9.7");
}

#[test]
fn root_is_given_up() {
    privileges("mariadb-10.11");
}
