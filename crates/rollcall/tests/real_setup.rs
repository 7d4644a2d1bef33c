//! What `rollcall setup …` prints is sent to real servers, as it stands, through their own client; then what
//! it promises is tried, and what it refuses.
//!
//! Needs the feature `real-server` and the servers themselves: see `servers`. Every name that these tests make
//! begins with `su_`, and goes away before and after. What is set for a whole server is set back; the audit log
//! is tried on a server that is started for it.

mod servers;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use servers::lossy;

const PASSWORD: &str = "right-7f3a";

/// How long the server may take for what it does by and by.
const PATIENCE: Duration = Duration::from_secs(20);

const KINDS: [&str; 3] = ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"];

/// A running server.
struct Server {
    kind: &'static str,
    bench: servers::Server,
    _turn: Option<File>,
}

/// All servers, one after the other, with the turn to use each.
fn servers() -> impl Iterator<Item = Server> {
    KINDS.into_iter().map(|kind| {
        let bench = servers::Server::of(kind);
        let turn = Some(bench.turn());
        Server { kind, bench, _turn: turn }
    })
}

/// A text as an expression that means the same under every `sql_mode`.
fn text(name: &str) -> String {
    let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("CONVERT(X'{hex}' USING utf8mb4)")
}

impl Server {
    fn is_mysql(&self) -> bool {
        self.bench.told("family") == "mysql"
    }

    /// Sends a script as somebody; what it answers, or the errors.
    fn send(&self, login: &[&str], script: &str) -> Result<String, String> {
        let mut child = self
            .bench
            .client()
            .args(["-N", "-B", "--default-character-set=utf8mb4", "-S", self.bench.told("socket")])
            .args(login)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client");
        // A client that was not let in reads nothing.
        let _ = child.stdin.take().expect("a pipe").write_all(script.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().expect("the client");
        match status.success() {
            true => Ok(lossy(&stdout)),
            false => Err(lossy(&stderr)),
        }
    }

    fn admin(&self, script: &str) -> String {
        let sent = self.send(&["-uroot"], script);
        sent.unwrap_or_else(|error| panic!("{}: {script}: {error}", self.kind))
    }

    fn user(&self, user: &str, script: &str) -> Result<String, String> {
        self.send(&[&format!("-u{user}"), &format!("-p{PASSWORD}")], script)
    }

    /// Asserts that a statement of a user is refused with this error.
    fn refused(&self, user: &str, statement: &str, error: &str) {
        let answer = self.user(user, statement);
        let text = answer.expect_err(&format!("{}: {statement}", self.kind));
        assert!(text.contains(error), "{}: {statement}: {text}", self.kind);
    }

    /// Prints a script with the program, and sends it twice: the second time changes nothing.
    fn setup(&self, arguments: &[&str]) {
        let script = self.script(arguments, "");
        self.admin(&script);
        self.admin(&script);
    }

    /// The script for this server, of which its variables are told.
    fn script(&self, arguments: &[&str], input: &str) -> String {
        let version = self.bench.admin("SELECT version()");
        let mut child = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("setup")
            .args(arguments)
            .args(["--server-version", version.trim()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("rollcall");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("the input");
        let output = child.wait_with_output().expect("rollcall");
        assert!(output.status.success(), "{arguments:?}: {}", lossy(&output.stderr));
        lossy(&output.stdout)
    }

    /// Makes an account, whatever there is of that name.
    fn make_user(&self, account: &str) {
        self.admin(&format!(
            "DROP USER IF EXISTS {account}; CREATE USER {account} IDENTIFIED BY '{PASSWORD}';"
        ));
    }

    /// `'user'@'host'` of all accounts that are locked, one a line.
    fn locked(&self) -> Vec<String> {
        let answer = self.admin(match self.is_mysql() {
            true => {
                "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user \
                 WHERE account_locked = 'Y' ORDER BY 1"
            }
            false => {
                "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.global_priv \
                 WHERE JSON_VALUE(Priv, '$.account_locked') = 1 ORDER BY 1"
            }
        });
        answer.lines().map(str::to_owned).collect()
    }

    /// The id of a session of this user that is open.
    fn session(&self, user: &str) -> String {
        let list = match self.is_mysql() {
            true => "performance_schema.processlist",
            false => "information_schema.PROCESSLIST",
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let id = self.admin(&format!("SELECT ID FROM {list} WHERE USER = '{user}' LIMIT 1"));
            if !id.is_empty() {
                return id.trim().to_owned();
            }
            assert!(Instant::now() < deadline, "no session of {user}");
        }
    }

    /// Drops all that these tests make.
    fn clean(&self) {
        self.admin(
            "SET GLOBAL init_connect = ''; DROP DATABASE IF EXISTS su_procedures; \
             DROP DATABASE IF EXISTS su_log; DROP DATABASE IF EXISTS su_shop;",
        );
        let table = if self.is_mysql() { "mysql.user" } else { "mysql.global_priv" };
        let names = self.admin(&format!(
            "SELECT CONCAT(QUOTE(User), IF(Host = '', '', CONCAT('@', QUOTE(Host)))) FROM {table} \
             WHERE User LIKE 'su\\_%'"
        ));
        // The client escapes what it prints: backslashes come doubled.
        for name in names.lines().map(|it| it.replace("\\\\", "\\")) {
            let kind = if name.contains("'@'") { "USER" } else { "ROLE" };
            self.admin(&format!("SET SESSION sql_mode = ''; DROP {kind} {name}"));
        }
    }
}

/// The script that the program prints for a server that it asks, as root over the socket.
fn asked(server: &Server, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let options = folder.path().join("root.cnf");
    let text = format!("[client]\nuser=root\nsocket={}\n", server.bench.told("socket"));
    fs::write(&options, text).expect("the option file");
    let configuration = folder.path().join("rollcall.toml");
    let text = format!("[[server]]\nname = \"db1\"\ndefaults_file = {options:?}\n");
    fs::write(&configuration, text).expect("the configuration");
    let run = |further: &[&std::ffi::OsStr]| {
        let output = Command::new(env!("CARGO_BIN_EXE_rollcall"))
            .arg("setup")
            .args(arguments)
            .args(further)
            .output()
            .expect("rollcall");
        assert!(output.status.success(), "{arguments:?}: {}", lossy(&output.stderr));
        lossy(&output.stdout)
    };
    let script = run(&["--defaults-file".as_ref(), options.as_ref()]);
    // The configured server is asked in the same way.
    let named =
        run(&["--config".as_ref(), configuration.as_ref(), "--server".as_ref(), "db1".as_ref()]);
    assert_eq!(named, script, "{}", server.kind);
    script
}

/// The lines of a script that are sent.
fn sent(script: &str) -> Vec<&str> {
    script.lines().filter(|it| !it.is_empty() && !it.starts_with("--")).collect()
}

/// Carries out what a script has for a shell.
fn run_shell(server: &Server, arguments: &[&str]) {
    let json = asked(server, &[arguments, &["-o", "json"]].concat());
    for line in json.lines() {
        let step: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if step["kind"] == "shell" {
            let text = step["text"].as_str().expect("text");
            let done = Command::new("sh").args(["-e", "-c", text]).output().expect("sh");
            assert!(done.status.success(), "{text}: {}", lossy(&done.stderr));
        }
    }
}

/// The plugin's library, as `packaging/plugin` builds it.
fn library() -> String {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/plugin");
    let output = Command::new(build).output().expect("packaging/plugin");
    assert!(output.status.success(), "{}", lossy(&output.stderr));
    lossy(&output.stdout).trim().to_owned()
}

/// Whether the server's process has the library mapped.
fn is_mapped(server: &Server) -> bool {
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.bench.told("pid")));
    maps.expect("the server's maps").contains("audit_login.so")
}

/// Waits for something that a server does by and by.
fn await_that(server: &Server, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{}: {what}", server.kind);
        std::thread::sleep(Duration::from_millis(20));
    }
}

const PLUGINS: &str = "SELECT PLUGIN_NAME, PLUGIN_STATUS FROM information_schema.PLUGINS \
    WHERE PLUGIN_LIBRARY = 'audit_login.so' ORDER BY PLUGIN_NAME";

#[test]
fn the_plugin_is_installed_and_taken_out_again() {
    let library = library();
    let install = ["plugin", "--writes", "--library", &library];
    let remove = ["plugin", "--remove"];
    for server in servers() {
        let server = &server;
        server.clean();
        server.make_user("su_app@localhost");
        run_shell(server, &install);
        let script = asked(server, &install);
        server.admin(&script);
        server.admin(&script);
        let both = "ROLLCALL_WRITES\tACTIVE\nSIMPLE_LOGIN_AUDIT\tACTIVE\n";
        assert_eq!(server.admin(PLUGINS), both, "{}", server.kind);
        server.user("su_app", "SELECT 1").expect("a login");
        server.admin("CREATE DATABASE su_shop; CREATE TABLE su_shop.a (b int); INSERT INTO su_shop.a VALUES (1)");
        let data = Path::new(server.bench.told("data"));
        let holds = |name: &str, text: &str| {
            let file = fs::read(data.join(name)).unwrap_or_default();
            lossy(&file).contains(text)
        };
        let login = r#""user":"su_app","priv_user":"su_app""#;
        await_that(server, "no line", || holds("audit_login.log", login));
        await_that(server, "no note", || holds("rollcall_writes.json", r#""database":"su_shop""#));

        let again = asked(server, &install);
        for name in ["SIMPLE_LOGIN_AUDIT", "ROLLCALL_WRITES"] {
            assert!(
                again.contains(&format!("-- {name} is installed already, and ACTIVE.")),
                "{again}"
            );
        }
        assert!(sent(&again).iter().all(|it| !it.contains("INSTALL")), "{again}");
        assert!(!again.contains("mv -T") && again.contains("never be overwritten"), "{again}");
        server.admin(&again);

        let script = asked(server, &remove);
        server.admin(&script);
        server.admin(&script);
        await_that(server, "still there", || server.admin(PLUGINS).is_empty());
        await_that(server, "still mapped", || !is_mapped(server));
        run_shell(server, &remove);
        assert!(!Path::new(server.bench.told("plugin_dir")).join("audit_login.so").exists());
        let gone = asked(server, &remove);
        assert!(gone.contains("-- SIMPLE_LOGIN_AUDIT is not installed."), "{gone}");
        server.admin(&gone);
        // The statements that look for themselves.
        run_shell(server, &install);
        server.setup(&["plugin", "--writes"]);
        assert_eq!(server.admin(PLUGINS), both, "{}", server.kind);
        server.setup(&remove);
        await_that(server, "still there", || server.admin(PLUGINS).is_empty());
        run_shell(server, &remove);
        server.clean();
    }
}

#[test]
fn a_server_that_is_asked_is_told_what_it_lacks() {
    let monitor = ["monitor", "--account", "su_watch@localhost", "--password"];
    let procedures = LOCK.map(|it| it.replace("su_agent", "su_watch"));
    let procedures = procedures.each_ref().map(String::as_str);
    for server in servers() {
        let server = &server;
        take_back(server);
        let first = asked(server, &procedures);
        assert!(first.contains("'su_watch'@'localhost' is not there"), "{first}");

        let first = asked(server, &monitor);
        assert!(first.contains("CREATE USER"), "{first}");
        server.admin(&first);
        server.admin(&first);
        let again = asked(server, &monitor);
        let grants = sent(&again).into_iter().filter(|it| it.starts_with("GRANT")).count();
        assert_eq!(grants, 0, "{}: {again}", server.kind);
        assert!(again.contains("'su_watch'@'localhost' is there already"), "{again}");
        server.admin(&again);
        server.admin("REVOKE PROCESS ON *.* FROM su_watch@localhost");
        let lacking = asked(server, &monitor);
        let grants: Vec<&str> =
            sent(&lacking).into_iter().filter(|it| it.starts_with("GRANT")).collect();
        assert_eq!(grants, ["GRANT PROCESS ON *.* TO 'su_watch'@'localhost';"], "{}", server.kind);

        let first = asked(server, &procedures);
        assert!(!first.contains("is not there"), "{first}");
        server.admin(&first);
        let again = asked(server, &procedures);
        assert!(
            again.contains("has already: lock_account, unlock_account, drop_account"),
            "{again}"
        );
        server.admin(&again);

        server.admin(
            "CREATE DATABASE su_log; CREATE TABLE su_log.accesslog (id int NOT NULL AUTO_INCREMENT \
             PRIMARY KEY, thread_id int, log_time timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, \
             localname varchar(30), matchname varchar(30))",
        );
        let first = asked(server, &ACCESS_LOG);
        assert!(first.contains("in the layout of the how-to"), "{first}");
        server.admin(&first);
        server.admin(&first);
        let again = asked(server, &ACCESS_LOG);
        assert!(again.contains("is there already, as it should be"), "{again}");
        assert!(sent(&again).iter().all(|it| !it.starts_with("CREATE TABLE")), "{again}");
        assert!(again.contains("init_connect has that text already"), "{again}");
        server.admin(&again);
        server.make_user("su_app@localhost");
        assert_eq!(server.user("su_app", "SELECT 1"), Ok("1\n".to_owned()), "{}", server.kind);
        take_back(server);
    }
}

#[test]
fn an_audit_that_is_on_is_left_alone() {
    for server in servers().filter(|it| !it.is_mysql()) {
        let before = audit_settings(&server);
        server.admin(&asked(&server, &["audit"]));
        let well = asked(&server, &["audit"]);
        assert_eq!(sent(&well), [""; 0], "{}", server.kind);
        assert!(well.contains("The log is on, and nothing is to be sent"), "{well}");
        server.admin(&format!(
            "SET GLOBAL server_audit_events = '{}'; SET GLOBAL server_audit_file_rotate_size = {}; \
             SET GLOBAL server_audit_file_rotations = {}; SET GLOBAL server_audit_logging = {}",
            before[0], before[1], before[2], before[3]
        ));
    }
}

/// Names that break what quotes badly.
const HOSTILE: [&str; 7] = [
    "su_plain",
    "su_o'neil",
    "su_\"q`b\\s\\",
    "su_a b,c@d",
    "su_ünï",
    "su_line\nbreak",
    "su_'@'%' ACCOUNT LOCK; --",
];

const MODES: [&str; 4] = ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "STRICT_ALL_TABLES,ANSI"];

const LOCK: [&str; 9] = [
    "lock-procedure",
    "--account",
    "su_agent@localhost",
    "--definer",
    "su_definer@localhost",
    "--schema",
    "su_procedures",
    "--cool-down-days",
    "30",
];

fn call(procedure: &str, user: &str, host: &str) -> String {
    format!("CALL su_procedures.{procedure}_account({}, {})", text(user), text(host))
}

/// The procedures, and accounts of every kind that they must leave alone.
fn prepare(server: &Server) {
    server.clean();
    server.make_user("su_agent@localhost");
    server.setup(&LOCK);
    for name in HOSTILE {
        server.admin(&format!(
            "SET SESSION sql_mode = ''; CREATE USER '{}'@'10.%'",
            name.replace('\\', "\\\\").replace('\'', "''")
        ));
    }
    server.admin(&format!(
        "CREATE USER su_replica@'%'; GRANT REPLICATION SLAVE ON *.* TO su_replica@'%';
         CREATE ROLE su_role; CREATE ROLE su_role_of_role;
         GRANT REPLICATION SLAVE ON *.* TO su_role; GRANT su_role TO su_role_of_role;
         CREATE USER su_by_role@'%'; GRANT su_role_of_role TO su_by_role@'%';
         CREATE USER su_listed@'%'; CREATE USER su_everywhere@'h1';
         INSERT INTO su_procedures.protected (user, host) VALUES
           ('su_listed', '%'), ('su_everywhere', '');
         CREATE USER su_proxied@'%'; CREATE USER su_proxy@'%';
         GRANT PROXY ON su_proxied@'%' TO su_proxy@'%';
         CREATE USER su_boss@localhost IDENTIFIED BY '{PASSWORD}';
         GRANT CREATE USER ON *.* TO su_boss@localhost;
         CREATE USER su_away@'%'; ALTER USER su_away@'%' ACCOUNT LOCK;"
    ));
}

#[test]
fn the_lock_procedure_locks_one_account_whatever_it_is_called() {
    for server in servers() {
        let server = &server;
        prepare(server);
        let before = server.locked();
        for (at, name) in HOSTILE.iter().enumerate() {
            let mode = format!("SET sql_mode = '{}'; ", MODES[at % MODES.len()]);
            let run = |procedure| {
                server.user("su_agent", &(mode.clone() + &call(procedure, name, "10.%")))
            };
            assert_eq!(run("lock"), Ok(String::new()), "{} {name}", server.kind);
            let mut locked = server.locked();
            assert_eq!(locked.len(), before.len() + 1, "{} {name}: {locked:?}", server.kind);
            locked.retain(|it| !before.contains(it));
            let start = name.split(['\'', '\\', '\n']).next().expect("a beginning");
            assert!(locked[0].starts_with(&format!("'{start}")), "{} {locked:?}", server.kind);
            let again = run("lock").expect_err("locked already");
            assert!(again.contains("rollcall refuses: locked already"), "{again}");
            assert_eq!(run("unlock"), Ok(String::new()), "{} {name}", server.kind);
            assert_eq!(server.locked(), before, "{} {name}", server.kind);
        }
        server.clean();
    }
}

#[test]
fn the_lock_procedure_refuses_whoever_is_protected() {
    for server in servers() {
        let server = &server;
        prepare(server);
        let role_host = if server.is_mysql() { "%" } else { "" };
        let system = if server.is_mysql() { "mysql.sys" } else { "mariadb.sys" };
        let before = server.locked();
        for (user, host, why) in [
            ("root", "localhost", "root"),
            ("root ", "localhost", "root"),
            (system, "localhost", "a system account"),
            ("su_role", role_host, "a role"),
            ("su_replica", "%", "a replication account"),
            ("su_by_role", "%", "a replication account"),
            ("su_listed", "%", "listed as protected"),
            ("su_everywhere", "h1", "listed as protected"),
            ("su_proxied", "%", "others log in as it"),
            ("su_agent", "localhost", "rollcall itself"),
            ("su_definer", "localhost", "the definer of these procedures"),
            ("su_plain", "%", "no such account"),
            ("", "", "no such account"),
        ] {
            for deed in ["lock", "unlock", "drop"] {
                let why = format!("(45000) at line 1: rollcall refuses: {why}");
                server.refused("su_agent", &call(deed, user, host), &why);
                // A session that hides rows from itself hides none from the procedure.
                let hidden = format!("SET sql_select_limit = 0; {}", call(deed, user, host));
                server.refused("su_agent", &hidden, "rollcall refuses: ");
            }
        }
        // Nor does one that follows roles not far enough.
        let depth = match server.is_mysql() {
            true => "cte_max_recursion_depth",
            false => "max_recursive_iterations",
        };
        let shallow = format!("SET {depth} = 0; {}", call("lock", "su_by_role", "%"));
        server.refused("su_agent", &shallow, "rollcall refuses: a replication account");
        // Nor one that looks at the tables as they were.
        let began = "SET autocommit = 0; SELECT 1";
        let old = format!(
            "{began}; START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT SLEEP(1.5); {}",
            call("lock", "su_late", "%")
        );
        server.admin("CREATE USER su_late@'%'");
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| server.user("su_agent", &old));
            server.session("su_agent");
            std::thread::sleep(Duration::from_millis(500));
            server.admin("INSERT INTO su_procedures.protected (user) VALUES ('su_late')");
            let answer = caller.join().expect("a thread").expect_err("protected meanwhile");
            assert!(answer.contains("rollcall refuses: listed as protected"), "{answer}");
        });
        for deed in ["lock", "unlock", "drop"] {
            let statement = format!("CALL su_procedures.{deed}_account(NULL, NULL)");
            server.refused("su_agent", &statement, "rollcall refuses: no such account");
        }
        // What somebody else has locked stays locked.
        server.refused("su_agent", &call("unlock", "su_away", "%"), "not locked by rollcall");
        server.refused("su_agent", &call("drop", "su_away", "%"), "not locked by rollcall");
        assert_eq!(server.locked(), before);
        server.clean();
    }
}

#[test]
fn the_lock_procedure_is_all_that_its_caller_may_do() {
    for server in servers() {
        let server = &server;
        prepare(server);
        let accounts = if server.is_mysql() { "mysql.user" } else { "mysql.global_priv" };
        for (statement, error) in [
            ("ALTER USER su_plain@'10.%' ACCOUNT LOCK", "1227"),
            ("ALTER USER root@localhost IDENTIFIED BY 'x'", "1227"),
            ("DROP USER su_plain@'10.%'", "1227"),
            ("CREATE USER su_new@'%'", "1227"),
            ("GRANT EXECUTE ON su_procedures.* TO su_agent@localhost", "1044"),
            ("CALL su_procedures.do_deed('lock', 'su_plain', '10.%')", "1370"),
            ("CALL su_procedures.check_target('lock', 'su_plain', '10.%', @a, @b)", "1370"),
            ("SELECT * FROM su_procedures.deeds", "1142"),
            ("SELECT * FROM su_procedures.protected", "1142"),
            ("DELETE FROM su_procedures.protected", "1142"),
            (
                "INSERT INTO su_procedures.deeds (deed, user, host) VALUES ('lock', 'a', 'b')",
                "1142",
            ),
            ("CREATE TEMPORARY TABLE su_procedures.protected (user int, host int)", "1044"),
            ("ALTER PROCEDURE su_procedures.lock_account SQL SECURITY INVOKER", "1370"),
            ("DROP PROCEDURE su_procedures.lock_account", "1370"),
            ("CREATE PROCEDURE su_procedures.mine() SELECT 1", "1044"),
            ("SET GLOBAL init_connect = 'SELECT 1'", "1227"),
            (&format!("SELECT * FROM {accounts}"), "1142"),
        ] {
            server.refused("su_agent", statement, error);
        }
        // A statement that the procedure left behind counts with the caller's own rights.
        let left = format!(
            "SET @rollcall_deed = 'DROP USER su_plain@\\'10.%\\''; {}; \
             PREPARE mine FROM 'ALTER USER su_plain@\\'10.%\\' ACCOUNT UNLOCK'; EXECUTE mine",
            call("lock", "su_plain", "10.%")
        );
        server.refused("su_agent", &left, "1227");
        assert!(server.locked().iter().any(|it| it.contains("'su_plain'@'10.%'")));
        let login = server.send(&["-usu_definer"], "SELECT 1").expect_err("a locked account");
        assert!(["1045", "4151", "3118"].iter().any(|code| login.contains(code)), "{login}");
        server.clean();
    }
}

#[test]
fn the_lock_procedure_drops_after_some_days_what_runs_nothing() {
    for server in servers() {
        let server = &server;
        prepare(server);
        let drop = call("drop", "su_plain", "10.%");
        server.refused("su_agent", &drop, "not locked");
        server.user("su_agent", &call("lock", "su_plain", "10.%")).expect("locked");
        server.refused("su_agent", &drop, "not locked for long enough");
        // The caller's clock is not the procedure's.
        let later = format!("SET timestamp = UNIX_TIMESTAMP() + 86400 * 400; {drop}");
        server.refused("su_agent", &later, "not locked for long enough");
        server.admin(
            "UPDATE su_procedures.deeds SET at = at - INTERVAL 31 DAY;
             CREATE DATABASE su_shop; CREATE TABLE su_shop.t (a int);
             CREATE DEFINER = su_plain@'10.%' VIEW su_shop.v AS SELECT 1 AS a;",
        );
        let runs = match server.is_mysql() {
            true => "4006",
            false => "views, routines, triggers or events run as it",
        };
        server.refused("su_agent", &drop, runs);
        for (make, remove) in [
            ("PROCEDURE su_shop.p() SELECT 1", "PROCEDURE su_shop.p"),
            ("EVENT su_shop.e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "EVENT su_shop.e"),
            (
                "TRIGGER su_shop.r BEFORE INSERT ON su_shop.t FOR EACH ROW SET @a = 1",
                "TRIGGER su_shop.r",
            ),
        ] {
            server.admin(&format!(
                "DROP VIEW IF EXISTS su_shop.v; CREATE DEFINER = su_plain@'10.%' {make}"
            ));
            server.refused("su_agent", &drop, runs);
            server.admin(&format!("DROP {remove}"));
        }
        assert_eq!(server.user("su_agent", &drop), Ok(String::new()));
        server.refused("su_agent", &drop, "no such account");
        let deeds = server.admin("SELECT deed, user, host, session_user FROM su_procedures.deeds");
        assert_eq!(
            deeds,
            "lock\tsu_plain\t10.%\tsu_agent@localhost\ndrop\tsu_plain\t10.%\tsu_agent@localhost\n"
        );
        server.clean();
    }
}

#[test]
fn the_lock_procedure_leaves_an_administrator() {
    for server in servers() {
        let server = &server;
        prepare(server);
        let lock = call("lock", "su_boss", "localhost");
        server.user("su_agent", &lock).expect("root remains");
        server.user("su_agent", &call("unlock", "su_boss", "localhost")).expect("unlocked");
        if server.is_mysql() {
            server.admin("GRANT SYSTEM_USER ON *.* TO su_boss@localhost");
        }
        // Others than root that administer this server would remain as well.
        let others = server.admin(
            "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE Create_user_priv = 'Y' \
             AND User NOT IN ('su_boss', 'su_definer', 'mysql')",
        );
        let each = |deed: &str| {
            let lines = others.lines().map(|name| format!("ALTER USER {name} ACCOUNT {deed};"));
            lines.collect::<String>()
        };
        server.admin(&each("LOCK"));
        let answer = server.user("su_agent", &lock);
        server.user("su_boss", &each("UNLOCK")).expect("the administrator that is left");
        let text = answer.expect_err("the last administrator");
        assert!(text.contains("no other administrator could log in"), "{}: {text}", server.kind);
        server.clean();
    }
}

#[test]
fn the_lock_procedure_ends_the_sessions_it_may() {
    for server in servers() {
        let server = &server;
        prepare(server);
        server.make_user("su_sleeper@localhost");
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| server.user("su_sleeper", "SELECT SLEEP(60)"));
            let boss = scope.spawn(|| server.user("su_boss", "SELECT SLEEP(60)"));
            let kill = |id: &str, user: &str| {
                format!("CALL su_procedures.kill_session({id}, {})", text(user))
            };
            let (asleep, bossy) = (server.session("su_sleeper"), server.session("su_boss"));
            for (statement, why) in [
                (kill(&asleep, "su_boss"), "the session is another user"),
                (kill(&asleep, ""), "the session is another user"),
                (kill(&bossy, "su_boss"), "an administrator or a replica"),
                // While the procedure runs, MariaDB lists this session as the definer's.
                (kill("CONNECTION_ID()", "su_agent"), "rollcall refuses: "),
                (kill("NULL", "su_sleeper"), "no such session"),
                (format!("CALL su_procedures.kill_session({asleep}, NULL)"), "another user"),
            ] {
                server.refused("su_agent", &statement, why);
            }
            server.refused("su_agent", &format!("KILL {asleep}"), "1095");
            let killed = server.user("su_agent", &kill(&asleep, "su_sleeper"));
            assert_eq!(killed, Ok(String::new()), "{}", server.kind);
            sleeper.join().expect("a thread").expect_err("the session ended");
            server.admin(&format!("KILL {bossy}"));
            boss.join().expect("a thread").expect_err("the session ended");
        });
        server.clean();
    }
}

#[test]
fn the_monitor_reads_accounts_and_nothing_else() {
    // What crate `live` asks for a snapshot.
    const BOTH: &[&str] = &[
        "SELECT VERSION(), CURRENT_USER()",
        "SHOW GLOBAL VARIABLES",
        "SHOW GLOBAL STATUS LIKE 'Uptime'",
        "SELECT User, Host, Db FROM mysql.db",
        "SELECT * FROM mysql.db",
        "SELECT User, Host, Db, Table_name, Table_priv, Column_priv FROM mysql.tables_priv",
        "SELECT User, Host, Db, Table_name, Column_name, Column_priv FROM mysql.columns_priv",
        "SELECT User, Host, Db, Routine_name, Routine_type, Proc_priv FROM mysql.procs_priv",
        "SELECT User, Host, Proxied_user, Proxied_host, With_grant FROM mysql.proxies_priv",
    ];
    const MARIADB: &[&str] = &[
        "SELECT User, Host, Priv FROM mysql.global_priv",
        "SELECT User, Host, Role, '', Admin_option FROM mysql.roles_mapping",
        "SELECT USER, HOST, COMMAND FROM information_schema.PROCESSLIST",
        "SELECT USER, HOST, CURRENT_CONNECTIONS, TOTAL_CONNECTIONS FROM performance_schema.accounts",
        "SELECT USER, CONCURRENT_CONNECTIONS, TOTAL_CONNECTIONS FROM information_schema.USER_STATISTICS",
        "SELECT definer, db, name, type FROM mysql.proc",
        "SELECT definer, db, name, 'EVENT' FROM mysql.event",
        "SHOW ALL SLAVES STATUS",
    ];
    const MYSQL: &[&str] = &[
        "SELECT User, Host, plugin, account_locked, password_expired, password_last_changed, \
         password_lifetime, Select_priv, Grant_priv, Super_priv, Repl_slave_priv, Create_user_priv, \
         Create_role_priv, Drop_role_priv FROM mysql.user",
        "SELECT USER, HOST, PRIV, WITH_GRANT_OPTION FROM mysql.global_grants",
        "SELECT USER, HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles",
        "SELECT TO_USER, TO_HOST, FROM_USER, FROM_HOST, WITH_ADMIN_OPTION FROM mysql.role_edges",
        "SELECT USER, HOST, COMMAND FROM performance_schema.processlist",
        "SELECT USER, HOST, COUNT_STAR \
         FROM performance_schema.events_statements_summary_by_account_by_event_name",
        "SHOW REPLICA STATUS",
    ];
    const DEFINERS: [&str; 4] = [
        "SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'su_shop'",
        "SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'su_shop'",
        "SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'su_shop'",
        "SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'su_shop'",
    ];
    for server in servers() {
        let server = &server;
        server.clean();
        server.setup(&["monitor", "--account", "su_watch@localhost", "--password"]);
        let login = server.send(&["-usu_watch"], "SELECT 1").expect_err("no password yet");
        assert!(["1045", "4151", "3118"].iter().any(|code| login.contains(code)), "{login}");
        server.admin(&format!(
            "ALTER USER su_watch@localhost IDENTIFIED BY '{PASSWORD}' ACCOUNT UNLOCK;
             CREATE USER su_owner@localhost; CREATE DATABASE su_shop; CREATE TABLE su_shop.t (a int);
             INSERT INTO su_shop.t VALUES (1);
             CREATE DEFINER = su_owner@localhost VIEW su_shop.v AS SELECT * FROM su_shop.t;
             CREATE DEFINER = su_owner@localhost PROCEDURE su_shop.p() SELECT 1;
             CREATE DEFINER = su_owner@localhost EVENT su_shop.e ON SCHEDULE EVERY 1 DAY DO SELECT 1;
             CREATE DEFINER = su_owner@localhost TRIGGER su_shop.r BEFORE INSERT ON su_shop.t
               FOR EACH ROW SET @a = 1;"
        ));
        let own = if server.is_mysql() { MYSQL } else { MARIADB };
        for query in BOTH.iter().chain(own) {
            server
                .user("su_watch", query)
                .unwrap_or_else(|error| panic!("{}: {error}", server.kind));
        }
        for query in DEFINERS {
            // MariaDB hides routines and events of others there; it has tables for them.
            let query = match (server.is_mysql(), query) {
                (false, query) if query.contains("ROUTINES") => {
                    "SELECT definer FROM mysql.proc WHERE db = 'su_shop'"
                }
                (false, query) if query.contains("EVENTS") => {
                    "SELECT definer FROM mysql.event WHERE db = 'su_shop'"
                }
                (_, query) => query,
            };
            assert_eq!(server.user("su_watch", query), Ok("su_owner@localhost\n".to_owned()));
        }
        for (statement, error) in [
            ("SELECT * FROM su_shop.t", "1142"),
            ("SELECT * FROM su_shop.v", "1142"),
            ("INSERT INTO su_shop.t VALUES (2)", "1142"),
            ("ALTER USER su_owner@localhost ACCOUNT LOCK", "1227"),
            ("UPDATE mysql.db SET Insert_priv = 'Y'", "1142"),
            ("CREATE DATABASE su_mine", "1044"),
            ("SET GLOBAL read_only = 1", "1227"),
        ] {
            server.refused("su_watch", statement, error);
        }
        if server.is_mysql() {
            server.refused("su_watch", "SELECT authentication_string FROM mysql.user", "1143");
            server.refused("su_watch", "SELECT * FROM mysql.user", "1142");
        }
        server.clean();
        // The other way in: the system user of that name (here nobody is called so).
        server.setup(&["monitor", "--account", "su_watch@localhost"]);
        server.send(&["-usu_watch"], "SELECT 1").expect_err("another system user");
        server.clean();
    }
}

const ACCESS_LOG: [&str; 7] =
    ["init-connect", "--schema", "su_log", "--owner", "su_owner@localhost", "--keep-days", "90"];

/// Takes back what `init-connect` sets for the whole server.
fn take_back(server: &Server) {
    server.admin(match server.is_mysql() {
        true => {
            "SET GLOBAL init_connect = ''; RESET PERSIST IF EXISTS init_connect; \
             SET GLOBAL mandatory_roles = ''; RESET PERSIST IF EXISTS mandatory_roles; \
             SET GLOBAL activate_all_roles_on_login = OFF; \
             RESET PERSIST IF EXISTS activate_all_roles_on_login; \
             RESET PERSIST IF EXISTS event_scheduler; DROP ROLE IF EXISTS accesslog_writer"
        }
        false => "SET GLOBAL init_connect = ''; SET GLOBAL event_scheduler = OFF",
    });
    if server.kind == "mariadb-10.11" || server.kind == "mariadb-11.8" {
        server.admin(
            "CREATE DATABASE IF NOT EXISTS su_log; CREATE TABLE IF NOT EXISTS su_log.accesslog \
            (thread_id int, localname int, matchname int)",
        );
        // Where it was never granted there is nothing to take back.
        let _ = server.send(
            &["-uroot"],
            "REVOKE INSERT (thread_id, localname, matchname) \
            ON su_log.accesslog FROM PUBLIC",
        );
    }
    server.clean();
}

#[test]
fn every_login_writes_a_true_row() {
    for server in servers() {
        let server = &server;
        take_back(server);
        server.setup(&ACCESS_LOG);
        // As long as names can be: 128 characters on MariaDB, 32 on MySQL.
        let long = format!("su_{}", "x".repeat(if server.is_mysql() { 29 } else { 125 }));
        server.make_user("su_app@'localhost'");
        server.make_user(&format!("{long}@'local%'"));
        let rows = "SELECT localname, matchname FROM su_log.accesslog ORDER BY id";
        assert_eq!(server.user("su_app", "SELECT 1"), Ok("1\n".to_owned()), "{}", server.kind);
        assert_eq!(server.user(&long, "SELECT 1"), Ok("1\n".to_owned()), "{}", server.kind);
        server.admin("SELECT 1");
        let expected =
            format!("su_app@localhost\tsu_app@localhost\n{long}@localhost\t{long}@local%\n");
        assert_eq!(server.admin(rows), expected, "{}", server.kind);

        // Forged rows have the server's own time, connection and name.
        server
            .user(
                "su_app",
                "SET timestamp = 5; INSERT INTO su_log.accesslog (thread_id, localname, matchname) \
                 VALUES (1, 'root@h', 'root@h')",
            )
            .expect("a row");
        let forged = server.admin(
            "SELECT localname, thread_id > 1, log_time > NOW() - INTERVAL 1 HOUR FROM su_log.accesslog \
             WHERE matchname = 'root@h'",
        );
        assert_eq!(forged, "su_app@localhost\t1\t1\n", "{}", server.kind);
        for (statement, error) in [
            (
                "INSERT INTO su_log.accesslog (id, localname) VALUES (18446744073709551615, '')",
                "1143",
            ),
            ("INSERT INTO su_log.accesslog (log_time) VALUES ('2020-01-01')", "1143"),
            ("DELETE FROM su_log.accesslog", "1142"),
            ("UPDATE su_log.accesslog SET localname = ''", "1142"),
            ("SELECT * FROM su_log.accesslog", "1142"),
        ] {
            server.refused("su_app", statement, error);
        }

        // The event's own statement deletes what is old, with the rights of its owner.
        server.admin(
            "UPDATE su_log.accesslog SET log_time = NOW() - INTERVAL 91 DAY WHERE id = 1; \
             ALTER DEFINER = su_owner@localhost EVENT su_log.accesslog_forget ON SCHEDULE EVERY 1 SECOND",
        );
        let deadline = Instant::now() + PATIENCE;
        while server.admin("SELECT COUNT(*) FROM su_log.accesslog WHERE id = 1") != "0\n" {
            assert!(Instant::now() < deadline, "{}: an old row is still there", server.kind);
        }
        let event = server
            .admin("SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'su_log'");
        assert_eq!(event, "su_owner@localhost\n");
        take_back(server);
    }
}

#[test]
fn what_cannot_be_written_ends_the_login_or_not_as_was_chosen() {
    for server in servers() {
        let server = &server;
        take_back(server);
        server.make_user("su_app@localhost");
        server.make_user("su_other@localhost");
        let only: Vec<&str> =
            ACCESS_LOG.iter().copied().chain(["--account", "su_app@localhost"]).collect();
        server.setup(&only);
        assert_eq!(server.user("su_app", "SELECT 1"), Ok("1\n".to_owned()));
        // MySQL's client asks nothing before the statement, and the server closes the connection.
        server.user("su_other", "SELECT 1").expect_err("no right to write");
        server.admin("SET GLOBAL read_only = 1");
        let read_only = server.user("su_app", "SELECT 1");
        server.admin("SET GLOBAL read_only = 0");
        read_only.expect_err("a server that is read-only");
        if !server.is_mysql() {
            server.setup(&[&only[..], &["--lenient"]].concat());
            let before = server.admin("SELECT COUNT(*) FROM su_log.accesslog");
            assert_eq!(server.user("su_other", "SELECT 1"), Ok("1\n".to_owned()));
            server.admin("SET GLOBAL read_only = 1");
            let read_only = server.user("su_app", "SELECT 1");
            server.admin("SET GLOBAL read_only = 0");
            assert_eq!(read_only, Ok("1\n".to_owned()));
            assert_eq!(server.admin("SELECT COUNT(*) FROM su_log.accesslog"), before);
            assert_eq!(server.user("su_app", "SELECT 1"), Ok("1\n".to_owned()));
            assert_ne!(server.admin("SELECT COUNT(*) FROM su_log.accesslog"), before);
        }
        take_back(server);
    }
}

#[test]
fn the_how_tos_table_is_widened() {
    for server in servers() {
        let server = &server;
        take_back(server);
        server.admin(
            "CREATE DATABASE su_log; CREATE TABLE su_log.accesslog (id int(11) NOT NULL AUTO_INCREMENT, \
             thread_id int(11) DEFAULT NULL, log_time timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP \
             ON UPDATE CURRENT_TIMESTAMP, localname varchar(30) DEFAULT NULL, \
             matchname varchar(30) DEFAULT NULL, PRIMARY KEY (id)) ENGINE=InnoDB; \
             INSERT INTO su_log.accesslog VALUES (NULL, 7, CURRENT_DATE(), 'a@h', 'a@%')",
        );
        let layout = "SELECT GROUP_CONCAT(CONCAT_WS(' ', COLUMN_NAME, COLUMN_TYPE, EXTRA) \
            ORDER BY ORDINAL_POSITION SEPARATOR ',') FROM information_schema.COLUMNS \
            WHERE TABLE_SCHEMA = 'su_log' AND TABLE_NAME = 'accesslog'";
        let old = server.admin(layout).to_lowercase();
        assert!(old.contains("varchar(30)") && old.contains("on update"), "{old}");
        server.setup(&[&ACCESS_LOG[..], &["--from-how-to"]].concat());
        let new = server.admin(layout).to_lowercase();
        assert!(!new.contains("varchar(30)") && !new.contains("on update"), "{new}");
        let row = server.admin(
            "SELECT id, thread_id, log_time = CURRENT_DATE(), localname, matchname FROM su_log.accesslog",
        );
        assert_eq!(row, "1\t7\t1\ta@h\ta@%\n");
        server.make_user("su_app_with_a_name_of_32_letters@localhost");
        server.user("su_app_with_a_name_of_32_letters", "SELECT 1").expect("a login");
        assert_eq!(server.admin("SELECT COUNT(*) FROM su_log.accesslog"), "2\n");
        take_back(server);
    }
}

/// A MariaDB 10.11 that is started for one test, without the audit plugin, and ended with it.
struct Own {
    folder: tempfile::TempDir,
    server: Server,
    process: Child,
}

impl Own {
    fn start() -> Own {
        let kind = KINDS[0];
        let folder = tempfile::Builder::new().prefix("rollcall-setup-").tempdir_in("/var/tmp");
        let folder = folder.expect("a folder");
        // The server's own user must get there.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("the mode");
        let started = Command::new(script("start"))
            .args([kind.as_ref(), Own::place(&folder).as_os_str()])
            .output()
            .expect("tests/servers/start");
        assert!(started.status.success(), "{}", lossy(&started.stderr));
        let bench = servers::Server::read(folder.path(), &lossy(&started.stdout));
        let stopped = Command::new(script("stop")).arg(Own::place(&folder)).status();
        assert!(stopped.expect("tests/servers/stop").success());
        let settings = fs::read_to_string(Own::settings(&folder)).expect("my.cnf");
        let plain = settings.lines().filter(|line| !line.contains("audit"));
        let plain = plain.map(|line| format!("{line}\n"));
        fs::write(Own::settings(&folder), plain.collect::<String>()).expect("my.cnf");
        let server = Server { kind, bench, _turn: None };
        let process = Own::run(&folder, &server);
        Own { folder, server, process }
    }

    fn place(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("server")
    }

    fn settings(folder: &tempfile::TempDir) -> PathBuf {
        Own::place(folder).join("my.cnf")
    }

    fn run(folder: &tempfile::TempDir, server: &Server) -> Child {
        let process = Command::new("/usr/sbin/mariadbd")
            .arg(format!("--defaults-file={}", Own::settings(folder).display()))
            .arg(format!("--port={}", server.bench.told("port")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mariadbd");
        let deadline = Instant::now() + PATIENCE;
        while server.send(&["-uroot"], "SELECT 1").is_err() {
            assert!(Instant::now() < deadline, "the server does not answer");
        }
        process
    }

    fn end(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
        let _ = self.process.wait();
    }

    /// Ends the server and starts it again with these lines in its option file as well.
    fn restart(&mut self, lines: &str) {
        self.end();
        let settings = Own::settings(&self.folder);
        let now = fs::read_to_string(&settings).expect("my.cnf");
        fs::write(&settings, now + lines).expect("my.cnf");
        self.process = Own::run(&self.folder, &self.server);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.end();
    }
}

/// A program of `tests/servers`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers").join(name)
}

/// The audit settings that scripts change.
fn audit_settings(server: &Server) -> Vec<String> {
    const NAMES: [&str; 4] = ["events", "file_rotate_size", "file_rotations", "logging"];
    let one = |name: &&str| server.admin(&format!("SELECT @@GLOBAL.server_audit_{name}"));
    NAMES.iter().map(|name| one(name).trim().to_owned()).collect()
}

#[test]
fn the_audit_log_is_switched_on() {
    let mut own = Own::start();
    let server = &own.server;
    // Known to be absent: it is installed, and a log is written.
    let variables = server.admin("SHOW GLOBAL VARIABLES");
    let script = server.script(&["audit", "--variables", "-"], &variables);
    assert!(script.contains("\nINSTALL SONAME 'server_audit';\n"), "{script}");
    server.admin(&script);
    assert_eq!(audit_settings(server), ["CONNECT", "100000000", "20", "1"]);
    let active = "SHOW GLOBAL STATUS LIKE 'Server_audit_active'";
    assert_eq!(server.admin(active), "Server_audit_active\tON\n");
    // Known to be well: there is nothing to send.
    let variables = server.admin("SHOW GLOBAL VARIABLES");
    let script = server.script(&["audit", "--variables", "-"], &variables);
    assert!(script.lines().all(|it| it.is_empty() || it.starts_with("--")), "{script}");

    // The lines for the option file: the server starts with them, although the plugin is installed as well, and
    // nobody can uninstall it.
    let lines = server.script(&["audit", "--option-file", "--variables", "-"], &variables);
    own.restart(&lines);
    let server = &own.server;
    assert_eq!(audit_settings(server), ["CONNECT", "100000000", "20", "1"]);
    let refused = server.send(&["-uroot"], "UNINSTALL SONAME 'server_audit'");
    let refused = refused.expect_err("it stays");
    assert!(refused.contains("is force_plus_permanent"), "{refused}");
    assert_eq!(server.admin(active), "Server_audit_active\tON\n");

    // Nothing is known of the server: the statements look for themselves.
    server.admin("SET GLOBAL server_audit_logging = OFF; SET GLOBAL server_audit_events = ''");
    server.setup(&["audit"]);
    assert_eq!(audit_settings(server), ["CONNECT", "100000000", "20", "1"]);
    server.admin(
        "SET GLOBAL server_audit_events = 'TABLE'; SET GLOBAL server_audit_file_rotate_size = 200000000",
    );
    server.setup(&["audit", "--trace", "--bytes-per-day", "3GB"]);
    assert_eq!(audit_settings(server), ["CONNECT,QUERY,TABLE", "200000000", "30", "1"]);
    // All events, where that was chosen, stay; and a log that others rotate.
    server.admin("SET GLOBAL server_audit_events = ''; SET GLOBAL server_audit_file_rotations = 0");
    server.setup(&["audit", "--trace"]);
    assert_eq!(audit_settings(server), ["", "200000000", "0", "1"]);
}

#[test]
fn newer_servers_are_audited_in_the_same_way() {
    for server in servers() {
        if server.kind == "mysql-9.7" {
            let before = server.admin("SELECT @@GLOBAL.log_error_verbosity");
            server.setup(&["audit", "--trace"]);
            let after = server.admin("SELECT @@GLOBAL.log_error_verbosity");
            server.admin(&format!(
                "SET GLOBAL log_error_verbosity = {before}; RESET PERSIST log_error_verbosity"
            ));
            assert_eq!(after, "3\n");
            continue;
        }
        let before = audit_settings(&server);
        server.admin("SET GLOBAL server_audit_events = 'TABLE'");
        server.setup(&["audit", "--bytes-per-day", "3GB"]);
        let after = audit_settings(&server);
        server.admin(&format!(
            "SET GLOBAL server_audit_events = '{}'; SET GLOBAL server_audit_file_rotate_size = {}; \
             SET GLOBAL server_audit_file_rotations = {}; SET GLOBAL server_audit_logging = {}",
            before[0], before[1], before[2], before[3]
        ));
        assert_eq!(after, ["CONNECT,TABLE", "100000000", "30", "1"], "{}", server.kind);
    }
}
