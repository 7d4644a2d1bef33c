//! The login plugin inside real servers, and what rollcall answers from its lines: what its ancestor was used for
//! (failed logins, port scans, accounts that nobody uses, logins per user, failures of a user in a row), each against
//! what was really done.
//!
//! Needs the feature `real-server` and the servers: see `servers`. Names that are made begin with `lp_`.

mod servers;

use std::fs::{self, File};
use std::io::Read as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use servers::{Server, lossy};
use tempfile::TempDir;

const PASSWORD: &str = "right-2b6c";

/// How long lines may take to be written, or to be read by a watch.
const PATIENCE: Duration = Duration::from_secs(20);

const KINDS: [&str; 3] = ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"];

/// Names that nobody has and that break what quotes badly; the longest has 32 characters, as MySQL cuts there.
const HOSTILE: [&str; 6] = [
    "lp_\"}",
    "lp_a\\",
    "lp_a\nb",
    "lp_x\",\"priv_user\":\"root",
    "lp_{ \"ts\":\"\u{1b}[2J",
    "lp_<b>ünï, 'x'",
];

/// A server that has loaded the plugin.
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
        bench.take_out();
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/plugin");
        let built = Command::new(build).output().expect("packaging/plugin");
        assert!(built.status.success(), "{}", lossy(&built.stderr));
        let library = bench.library();
        fs::copy(lossy(&built.stdout).trim(), &library).expect("the library");
        fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).expect("its mode");
        let _ = fs::remove_file(bench.log());
        let _ = fs::remove_file(bench.rotated());
        bench.server.admin(&format!(
            "INSTALL PLUGIN SIMPLE_LOGIN_AUDIT SONAME 'audit_login.so'; \
             CREATE USER lp_app@'%' IDENTIFIED BY '{PASSWORD}'; \
             CREATE USER lp_web@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; \
             CREATE USER lp_never@'%' IDENTIFIED BY '{PASSWORD}'"
        ));
        let options = format!("[client]\nuser=root\nsocket={}\n", bench.server.told("socket"));
        fs::write(bench.path("root.cnf"), options).expect("the option file");
        bench
    }

    /// Takes out what these tests make, where it is there.
    fn take_out(&self) {
        let installed = "SELECT COUNT(*) FROM information_schema.PLUGINS \
            WHERE PLUGIN_NAME = 'SIMPLE_LOGIN_AUDIT'";
        if self.server.admin(installed) != "0\n" {
            self.server.admin("UNINSTALL PLUGIN SIMPLE_LOGIN_AUDIT");
        }
        let deadline = Instant::now() + PATIENCE;
        while self.server.admin(installed) != "0\n" {
            assert!(Instant::now() < deadline, "the plugin stays");
        }
        self.server.admin(
            "DROP USER IF EXISTS lp_app@'%'; DROP USER IF EXISTS lp_web@'127.0.0.1'; \
             DROP USER IF EXISTS lp_never@'%'",
        );
        let _ = fs::remove_file(self.library());
    }

    fn library(&self) -> PathBuf {
        Path::new(self.server.told("plugin_dir")).join("audit_login.so")
    }

    fn log(&self) -> PathBuf {
        Path::new(self.server.told("data")).join("audit_login.log")
    }

    fn rotated(&self) -> PathBuf {
        self.log().with_extension("log.1")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Logs in over TCP and leaves. Whether the server let the client in.
    fn login(&self, user: &str, password: &str) -> bool {
        let mut client = self.server.client();
        client.args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1"]).args([
            "-P",
            self.server.told("port"),
            &format!("-u{user}"),
            &format!("-p{password}"),
        ]);
        if self.server.told("family") == "mariadb" {
            client.arg("--skip-ssl");
        }
        client.args(["-e", "SELECT 1"]).output().expect("the client").status.success()
    }

    /// Opens the port and leaves once the server has greeted.
    fn scan_port(&self) {
        let port = self.server.told("port").parse().expect("a port");
        let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        let read = connection.read(&mut [0; 512]).expect("the greeting");
        assert!(read > 0);
    }

    /// The lines of the log and the rotated one.
    fn lines(&self) -> Vec<Value> {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let text = read(self.rotated()) + &read(self.log());
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Waits until there are so many lines of this type that are of one of these tests' users, or of nobody.
    fn await_lines(&self, kind: &str, count: usize) {
        let is_ours = |line: &&Value| {
            let user = line["user"].as_str();
            line["type"] == kind && user.is_none_or(|it| it.starts_with("lp_"))
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.lines().iter().filter(is_ours).count();
            if found == count {
                return;
            }
            assert!(Instant::now() < deadline, "{found} of {count} lines: {kind}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn command(&self, ledger: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command.current_dir(self.folder.path()).arg("--ledger").arg(self.path(ledger));
        command.args(arguments);
        command
    }

    fn rollcall(&self, ledger: &str, arguments: &[&str]) -> Output {
        let output = self.command(ledger, arguments).output().expect("rollcall");
        assert!(output.status.success(), "{arguments:?}: {}", lossy(&output.stderr));
        output
    }

    /// The rows of an answer.
    fn ask(&self, ledger: &str, arguments: &[&str]) -> Vec<Value> {
        let output = self.rollcall(ledger, &[arguments, &["-o", "json"]].concat());
        let text = lossy(&output.stdout);
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn scan(&self, ledger: &str) {
        let all = self.log().with_extension("log*");
        self.rollcall(ledger, &["scan", all.to_str().expect("UTF-8")]);
    }

    /// What was done so far, in each of the five ways that people ask for it.
    fn check(&self, ledger: &str, logins: u64) {
        let kind = self.server.told("kind");
        let own = |row: &&Value| row["user"].as_str().is_none_or(|it| it.starts_with("lp_"));

        // Failed logins, whatever the names.
        let failures = self.ask(ledger, &["failures"]);
        let denied = |user: &str| {
            // MariaDB refuses who is not there in the manner of any plugin: 1045, or 1698.
            let is = |row: &&Value| row["user"] == user && row["kind"] == "access-denied";
            failures.iter().filter(is).map(|row| row["count"].as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!(denied("lp_app"), 4, "{kind}: {failures:?}");
        for name in HOSTILE {
            assert_eq!(denied(name), 1, "{kind}: {name:?} {failures:?}");
        }
        // Port scans.
        let scans = failures.iter().filter(|row| row["kind"] == "no-credentials");
        let scans: Vec<_> = scans.map(|row| (&row["user"], &row["error"], &row["count"])).collect();
        assert_eq!(scans, [(&"".into(), &1158.into(), &5.into())], "{kind}: {failures:?}");
        let by_host = self.ask(ledger, &["failures", "--by", "host"]);
        let row = by_host.iter().find(|row| row["host"] == "127.0.0.1").expect("the host");
        assert_eq!(row["count"], 4 + HOSTILE.len() as u64 + 5, "{kind}: {by_host:?}");
        assert!(!row["then_logged_in"].is_null(), "{kind}: {row}");
        // Failures of a user in a row, and that it got in afterwards.
        let by_user = self.ask(ledger, &["failures", "--by", "user"]);
        let row = by_user.iter().find(|row| row["user"] == "lp_app").expect("the user");
        assert_eq!(row["count"], 4, "{kind}: {by_user:?}");
        assert!(row["then_logged_in"].as_str() > row["last"].as_str(), "{kind}: {row}");
        // Logins per user.
        let seen = self.ask(ledger, &["seen"]);
        let logged_in = seen.iter().filter(own).filter(|row| row["logins"] != 0);
        let mut users: Vec<_> = logged_in
            .map(|row| (row["user"].as_str().unwrap(), row["logins"].as_u64().unwrap()))
            .collect();
        users.sort_unstable();
        assert_eq!(users, [("lp_app", logins), ("lp_web", 2)], "{kind}: {seen:?}");
        // To the microsecond of the line.
        let time = |text: &Value| text.as_str().unwrap().parse::<Timestamp>().unwrap();
        let lines = self.lines();
        let good =
            lines.iter().filter(|it| it["user"] == "lp_web" && it["type"] == "successful_login");
        let times: Vec<Timestamp> = good.map(|line| time(&line["time"])).collect();
        let row = seen.iter().find(|row| row["user"] == "lp_web").unwrap();
        assert_eq!((time(&row["first_seen"]), time(&row["last_seen"])), (times[0], times[1]));
        // Accounts that nobody uses.
        let options = self.path("root.cnf");
        let accounts =
            self.ask(ledger, &["accounts", "--defaults-file", options.to_str().unwrap()]);
        let account = |user: &str| {
            let row = accounts.iter().find(|row| row["user"] == user).expect("the account");
            (row["logins"].as_u64(), row["first_seen"].is_null(), row["matched_by"].clone())
        };
        assert_eq!(account("lp_never"), (Some(0), true, Value::Null), "{kind}");
        assert_eq!(account("lp_app"), (Some(logins), false, "account-user".into()), "{kind}");
        assert_eq!(account("lp_web"), (Some(2), false, "account-user".into()), "{kind}");
    }

    /// The reasons of what is a gap.
    fn gaps(&self, ledger: &str) -> Vec<String> {
        let rows = self.ask(ledger, &["evidence"]).into_iter();
        let gaps = rows.filter(|row| row["state"] == "gap");
        gaps.map(|row| row["reason"].as_str().unwrap().to_owned()).collect()
    }

    fn act(&self) {
        assert!(self.login("lp_web", PASSWORD) && self.login("lp_web", PASSWORD));
        for _ in 0..4 {
            assert!(!self.login("lp_app", "wrong"));
        }
        assert!(self.login("lp_app", PASSWORD));
        for name in HOSTILE {
            assert!(!self.login(name, "wrong"), "{name}");
        }
        for _ in 0..5 {
            self.scan_port();
        }
        self.await_lines("failed_login", 4 + HOSTILE.len() + 5);
        self.await_lines("logout", 3);
    }

    /// The log is renamed, and the plugin told.
    fn rotate(&self, to: &Path) {
        fs::rename(self.log(), to).expect("the log");
        self.server.admin("SET GLOBAL simple_login_audit_reopen = ON");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.take_out();
            let _ = fs::remove_file(self.log());
            let _ = fs::remove_file(self.rotated());
        }
    }
}

impl Bench {
    /// The line of a user's login.
    fn login_of(&self, user: &str) -> Value {
        let is = |line: &Value| line["user"] == user && line["type"] == "successful_login";
        self.lines().into_iter().find(is).unwrap_or_else(|| panic!("no login of {user}"))
    }

    /// Logs in on the socket.
    fn login_here(&self, user: &str) {
        let socket = self.server.told("socket");
        let mut client = self.server.client();
        client.args([
            "--no-defaults",
            "-S",
            socket,
            &format!("-u{user}"),
            &format!("-p{PASSWORD}"),
        ]);
        let output = client.args(["-e", "SELECT 1"]).output().expect("the client");
        assert!(output.status.success(), "{user}: {}", lossy(&output.stderr));
    }
}

#[test]
fn who_is_proxied_is_used_as_well() {
    // Of the three only MySQL can do that without PAM.
    let bench = Bench::new("mysql-9.7");
    let back = "SET GLOBAL check_proxy_users = OFF; SET GLOBAL sha256_password_proxy_users = OFF; \
        DROP USER IF EXISTS lp_door@'%'; DROP USER IF EXISTS lp_boss@'%'";
    bench.server.admin(back);
    bench.server.admin(&format!(
        "SET GLOBAL check_proxy_users = ON; SET GLOBAL sha256_password_proxy_users = ON; \
         CREATE USER lp_boss@'%' IDENTIFIED BY '{PASSWORD}'; \
         CREATE USER lp_door@'%' IDENTIFIED WITH sha256_password BY '{PASSWORD}'; \
         GRANT PROXY ON lp_boss@'%' TO lp_door@'%'"
    ));
    bench.login_here("lp_door");
    bench.await_lines("logout", 1);
    let line = bench.login_of("lp_door");
    assert_eq!(line["priv_user"], "lp_boss");
    assert_eq!(line["proxy_user"], "'lp_door'@'%'");
    bench.scan("scan.sqlite");
    let options = bench.path("root.cnf");
    let accounts = ["accounts", "--defaults-file", options.to_str().expect("UTF-8")];
    let accounts = bench.ask("scan.sqlite", &accounts);
    let logins = |user: &str| {
        let row = accounts.iter().find(|row| row["user"] == user).expect("the account");
        (row["logins"].as_u64(), row["matched_by"].as_str())
    };
    assert_eq!(logins("lp_boss"), (Some(1), Some("account-user")), "{accounts:?}");
    assert_eq!(logins("lp_door"), (Some(1), Some("host")), "{accounts:?}");
    assert_eq!(logins("lp_never"), (Some(0), None), "{accounts:?}");
    bench.server.admin(back);
}

#[test]
fn tls_and_names_outside_are_told_where_the_server_tells() {
    for kind in KINDS {
        let bench = Bench::new(kind);
        let is_mysql = bench.server.told("family") == "mysql";
        let mut client = bench.server.client();
        client.args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1"]);
        client.args(["-P", bench.server.told("port"), "-ulp_web", &format!("-p{PASSWORD}")]);
        client.arg(if is_mysql { "--ssl-mode=REQUIRED" } else { "--ssl" });
        let output = client.args(["-BNe", "SHOW STATUS LIKE 'Ssl_cipher'"]).output().unwrap();
        assert!(lossy(&output.stdout).trim().len() > "Ssl_cipher".len(), "{kind}: {output:?}");
        bench.await_lines("logout", 1);
        let told = if is_mysql { "tls".into() } else { Value::Null };
        assert_eq!(bench.login_of("lp_web")["connection_type"], told, "{kind}");
        // The system's name of whoever comes through the socket.
        bench.server.admin("SELECT 1");
        let is_root = nix::unistd::geteuid().is_root();
        let told = if is_mysql && is_root { "root".into() } else { Value::Null };
        if kind == "mariadb-10.11" || is_root && is_mysql {
            assert_eq!(bench.login_of("root")["external_user"], told, "{kind}");
        }
    }
}

/// A running `rollcall watch`, ended with it.
struct Watch(Child);

impl Watch {
    fn end(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM);
        assert!(self.0.wait().expect("rollcall watch").success());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the watch has counted so many logins of `lp_app`.
fn await_logins(bench: &Bench, logins: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = bench.command("watch.sqlite", &["seen", "-o", "json"]).output().expect("seen");
        let text = lossy(&output.stdout);
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let found =
            rows.filter(|row| row["user"] == "lp_app").find_map(|row| row["logins"].as_u64());
        if found == Some(logins) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{found:?} of {logins} logins: {}",
            lossy(&output.stderr)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_the_plugin_writes_is_answered_as_it_was() {
    for kind in KINDS {
        let bench = Bench::new(kind);
        let log = bench.log();
        let arguments = ["watch", log.to_str().expect("UTF-8")];
        let mut watch = bench.command("watch.sqlite", &arguments);
        let watch = watch.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut watch = Watch(watch.expect("rollcall watch"));
        bench.act();
        bench.scan("scan.sqlite");
        bench.check("scan.sqlite", 1);
        await_logins(&bench, 1);
        bench.rotate(&bench.rotated());
        assert!(bench.login("lp_app", PASSWORD) && bench.login("lp_app", PASSWORD));
        bench.await_lines("logout", 5);
        bench.scan("scan.sqlite");
        bench.check("scan.sqlite", 3);
        await_logins(&bench, 3);
        watch.end();
        bench.check("watch.sqlite", 3);
        for ledger in ["scan.sqlite", "watch.sqlite"] {
            assert_eq!(bench.gaps(ledger), [""; 0], "{kind} {ledger}");
        }
    }
}

#[test]
fn lines_that_are_gone_are_a_gap_with_its_reason() {
    for kind in KINDS {
        let bench = Bench::new(kind);
        assert!(bench.login("lp_app", PASSWORD));
        bench.await_lines("logout", 1);
        bench.rotate(&bench.rotated());
        assert!(bench.login("lp_app", PASSWORD));
        bench.await_lines("logout", 2);
        // Somebody takes away what was written between two readings, and it is in no file.
        bench.rotate(&bench.path("away.log"));
        assert!(bench.login("lp_app", PASSWORD));
        bench.await_lines("logout", 2);
        let numbers: Vec<u64> = bench.lines().iter().filter_map(|it| it["seq"].as_u64()).collect();
        let jumps = numbers.windows(2).map(|it| it[1] - it[0] - 1);
        let missing = jumps.max().expect("lines");
        assert!(missing >= 2, "{kind}: {numbers:?}");
        bench.scan("scan.sqlite");
        let gaps = bench.gaps("scan.sqlite");
        let reason =
            format!("{missing} lines of the login plugin are missing, as the numbers show");
        assert!(gaps.len() == 1 && gaps[0].starts_with(&reason), "{kind}: {reason}: {gaps:?}");
    }
}
