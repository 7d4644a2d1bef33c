//! `rollcall quota check --apply` on real servers: users are warned, held back and freed, by plans that the journal
//! knows.
//!
//! Needs the feature `real-server` and the servers: see `servers`. Tests take turns. Names that are made begin with
//! `act`.

mod servers;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use servers::{Server, lossy};
use tempfile::TempDir;

const PASSWORD: &str = "right-9e42";

/// A running server, and a folder with a configuration that leads to it as root.
struct Bench {
    server: Server,
    folder: TempDir,
    ledger: String,
    _turn: File,
}

impl Bench {
    fn new(kind: &str, quota: &str) -> Bench {
        let server = Server::of(kind);
        let turn = server.turn();
        let folder = TempDir::new().expect("a folder");
        let bench = Bench { server, folder, ledger: "ledger.sqlite".to_owned(), _turn: turn };
        bench.clean();
        let socket = bench.server.told("socket");
        bench.write("client.cnf", &format!("[client]\nuser=root\nsocket={socket}\n"));
        bench.configure(quota);
        bench.limit("2MB", "20MB");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn configure(&self, quota: &str) {
        let client = self.path("client.cnf");
        let limits = self.path("limits.toml");
        self.write(
            "rollcall.toml",
            &format!(
                "[quota]\nlimits = \"{}\"\nexceed_count = 1\n{quota}\n\
                 [[server]]\nname = \"db1\"\ndefaults_file = \"{}\"\n",
                limits.display(),
                client.display()
            ),
        );
    }

    fn limit(&self, soft: &str, hard: &str) {
        let text = format!("[users]\nact = {{ soft = \"{soft}\", hard = \"{hard}\" }}\n");
        self.write("limits.toml", &text);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
        command.current_dir(self.folder.path());
        command.args(["--config", "rollcall.toml", "--ledger", &self.ledger]).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a round says of the user, and on standard error.
    fn check(&self, further: &[&str]) -> (Value, String) {
        let output = self.run(&[&["quota", "check", "-o", "json"], further].concat());
        let errors = lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let text = lossy(&output.stdout);
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let row = rows.into_iter().find(|row| row["user"] == "act").expect("the user's row");
        (row, errors)
    }

    fn apply(&self) -> (Value, String) {
        self.check(&["--apply"])
    }

    /// Deeds, the oldest first: kind and outcome.
    fn journal(&self) -> Vec<String> {
        let output = self.run(&["journal", "-o", "json"]);
        assert!(output.status.success(), "{}", lossy(&output.stderr));
        let text = lossy(&output.stdout);
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            format!("{} {}", row["kind"].as_str().unwrap(), row["outcome"].as_str().unwrap())
        };
        let mut rows: Vec<String> = text.lines().map(row).collect();
        rows.reverse();
        rows
    }

    /// Statements for the ledger itself.
    fn ledger_sql(&self, text: &str) {
        let db = rusqlite::Connection::open(self.path(&self.ledger)).unwrap();
        db.execute_batch(text).unwrap();
    }

    fn sql(&self, text: &str) {
        let (ok, errors) = self.as_user("root", "", text);
        assert!(ok, "{text}: {errors}");
    }

    /// Whether statements of a user went well, and what the client said.
    fn as_user(&self, user: &str, password: &str, text: &str) -> (bool, String) {
        let mut client = self.session(user, password);
        client.stdin.take().expect("a pipe").write_all(text.as_bytes()).unwrap();
        let output = client.wait_with_output().unwrap();
        (output.status.success(), lossy(&output.stderr))
    }

    fn session(&self, user: &str, password: &str) -> Child {
        let mut command = self.server.client();
        command.args(["-u", user, "-S", self.server.told("socket"), "-BN", "--unbuffered"]);
        if !password.is_empty() {
            command.arg(format!("-p{password}"));
        }
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the client")
    }

    fn act(&self, text: &str) -> (bool, String) {
        self.as_user("act", PASSWORD, text)
    }

    /// A user with two accounts, its schema and rights on it; and a stranger.
    fn user(&self, grants: &str) {
        self.sql(&format!(
            "CREATE USER act@localhost IDENTIFIED BY '{PASSWORD}';
             CREATE USER act@'127.%' IDENTIFIED BY '{PASSWORD}';
             CREATE USER act_other@localhost IDENTIFIED BY '{PASSWORD}';
             CREATE DATABASE act; CREATE DATABASE act_x;
             CREATE TABLE act.t (id INT PRIMARY KEY AUTO_INCREMENT, t LONGTEXT);
             {grants}"
        ));
    }

    fn fill(&self, megabytes: u32) {
        let rows: Vec<String> =
            (0..125 * megabytes).map(|_| "(REPEAT('x',7900))".to_owned()).collect();
        self.sql(&format!("INSERT INTO act.t (t) VALUES {};", rows.join(",")));
    }

    fn shrink(&self) {
        self.sql("DELETE FROM act.t; OPTIMIZE TABLE act.t;");
    }

    fn grants(&self) -> String {
        ["localhost", "127.%"]
            .map(|host| self.server.admin(&format!("SHOW GRANTS FOR act@'{host}'")))
            .concat()
    }

    fn is_locked(&self, host: &str) -> bool {
        let text = self.server.admin(&format!("SHOW CREATE USER act@'{host}'"));
        text.contains("ACCOUNT LOCK")
    }

    fn clean(&self) {
        let drops = |what: &str, name: &str, from: &str, column: &str| {
            self.server.admin(&format!(
                "SELECT CAST(CONCAT('DROP {what} `', {name}, '`;') AS BINARY) FROM {from} \
                 WHERE {column} LIKE 'act%'"
            ))
        };
        let schemas =
            drops("DATABASE", "SCHEMA_NAME", "information_schema.SCHEMATA", "SCHEMA_NAME");
        let users = drops("USER", "User, '`@`', Host", "mysql.user", "User");
        self.sql(&format!("{schemas}{users}"));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clean();
        }
    }
}

const ALL: &str = "GRANT ALL ON act.* TO act@localhost; GRANT ALL ON act.* TO act@'127.%';";

/// Soft, hard, locked, shrunk, free.
fn locked(kind: &str) {
    let bench = Bench::new(kind, "policy = \"lock\"");
    bench.user(ALL);
    let grants = bench.grants();
    let (row, errors) = bench.apply();
    assert_eq!((&row["state"], &row["action"]), (&"ok".into(), &Value::Null), "{errors}");
    bench.fill(3);
    // Without --apply nothing is told nor kept.
    let (row, errors) = bench.check(&[]);
    assert_eq!((&row["state"], &row["action"]), (&"soft".into(), &Value::Null));
    assert!(!errors.contains("holds more"), "{errors}");
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "warned");
    assert!(errors.contains("db1: act holds more than"), "{errors}");
    let (row, errors) = bench.apply();
    assert_eq!((&row["action"], errors.contains("holds more")), (&"warned".into(), false));
    bench.fill(24);
    assert_eq!(bench.check(&[]).0["action"], "would lock");
    assert!(bench.journal().is_empty() && !bench.is_locked("localhost"));
    let (row, errors) = bench.apply();
    assert_eq!((&row["state"], &row["action"]), (&"hard".into(), &"lock".into()), "{errors}");
    assert!(bench.is_locked("localhost") && bench.is_locked("127.%"));
    assert!(!bench.act("SELECT 1").0);
    assert!(bench.as_user("act_other", PASSWORD, "SELECT 1").0);
    assert_eq!(bench.journal(), ["lock done", "lock done"]);
    // Nothing more is done as long as it is so.
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "lock");
    assert!(!errors.contains("held back:"), "{errors}");
    assert_eq!(bench.journal().len(), 2);
    bench.shrink();
    assert_eq!(bench.check(&[]).0["action"], "would restore");
    bench.ledger_sql("CREATE TABLE kept AS SELECT * FROM quota_state");
    let (row, errors) = bench.apply();
    assert_eq!((&row["state"], &row["action"]), (&"ok".into(), &Value::Null), "{errors}");
    assert!(errors.contains("db1: act is free again: lock"), "{errors}");
    assert!(bench.act("SELECT 1").0);
    assert_eq!(bench.grants(), grants);
    let undone = ["lock undone", "lock undone", "unlock done", "unlock done"];
    assert_eq!(bench.journal(), undone);
    // As if it had been killed behind the last deed: that is found out.
    bench.ledger_sql(
        "INSERT OR REPLACE INTO quota_state SELECT * FROM kept; DROP TABLE kept;
         UPDATE plan SET state = 'applied'",
    );
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], Value::Null, "{errors}");
    assert_eq!(bench.journal(), undone);
}

/// What somebody else has locked stays locked; protected accounts are named; who was made anew is left alone.
fn not_ours(kind: &str) {
    let bench = Bench::new(kind, "policy = \"lock\"\nkill_sessions = true");
    bench.user(ALL);
    bench.sql("ALTER USER act@'127.%' ACCOUNT LOCK;");
    bench.fill(24);
    let mut session = bench.session("act", PASSWORD);
    let mut input = session.stdin.take().unwrap();
    input.write_all(b"SELECT 1;\n").unwrap();
    let mut answer = [0; 2];
    session.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "lock", "{errors}");
    assert!(errors.contains("1 sessions closed"), "{errors}");
    // Its session has ended.
    let _ = input.write_all(b"SELECT 1;\n");
    drop(input);
    assert!(!session.wait().unwrap().success());
    bench.shrink();
    bench.apply();
    assert!(!bench.is_locked("localhost") && bench.is_locked("127.%"));

    // All of its accounts are locked by others.
    bench.fill(24);
    bench.sql("ALTER USER act@localhost ACCOUNT LOCK;");
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "refused");
    assert!(errors.contains("locked already, and not by rollcall"), "{errors}");
    // Told once.
    assert!(!bench.apply().1.contains("locked already"));
    bench.shrink();
    bench.apply();
    assert!(bench.is_locked("localhost"));

    // Made anew while it was held back.
    bench.sql("ALTER USER act@localhost ACCOUNT UNLOCK;");
    bench.fill(24);
    assert_eq!(bench.apply().0["action"], "lock");
    bench.sql(&format!(
        "SET TIMESTAMP=UNIX_TIMESTAMP()+60; DROP USER act@localhost;
         CREATE USER act@localhost IDENTIFIED BY '{PASSWORD}' ACCOUNT LOCK;"
    ));
    bench.shrink();
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "refused", "{errors}");
    assert!(errors.contains("it may be another account"), "{errors}");
    assert!(bench.is_locked("localhost"), "somebody else's lock");
    // Whoever looks after it ends that.
    bench.sql("ALTER USER act@localhost ACCOUNT UNLOCK;");
    assert_eq!(bench.apply().0["action"], Value::Null);

    // One protected account protects the user.
    bench.sql(
        "ALTER USER act@localhost ACCOUNT UNLOCK; GRANT REPLICATION SLAVE ON *.* TO act@localhost;",
    );
    bench.fill(24);
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "refused");
    assert!(errors.contains("'act'@'localhost': replication account"), "{errors}");
    assert!(!bench.is_locked("localhost"));
}

/// Rights by which schemas grow go and come back as they were, whatever they were granted on.
fn no_growth(kind: &str) {
    let bench = Bench::new(kind, "policy = \"no-growth\"");
    bench.user(
        r"GRANT ALL ON act.* TO act@localhost WITH GRANT OPTION;
          CREATE TABLE act.`t``u` (id INT); CREATE TABLE act_x.t (id INT);
          GRANT SELECT, INSERT ON `act\_%`.* TO act@'127.%';
          GRANT INSERT, UPDATE, DELETE ON act.`t``u` TO act@'127.%';
          GRANT INSERT, DROP ON act.t TO act@'127.%' WITH GRANT OPTION;",
    );
    let grants = bench.grants();
    bench.fill(24);
    // An open session has its rights until its next USE.
    let mut session = bench.session("act", PASSWORD);
    let mut input = session.stdin.take().unwrap();
    input.write_all(b"USE act; SELECT 1;\n").unwrap();
    let mut answer = [0; 2];
    session.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "no-growth", "{errors}");
    assert!(errors.contains("1 sessions closed"), "{errors}");
    let _ = input.write_all(b"INSERT INTO act.t (t) VALUES ('late');\n");
    drop(input);
    assert!(!session.wait().unwrap().success());
    assert_ne!(bench.grants(), grants);
    for refused in [
        "INSERT INTO act.t (t) VALUES ('x')",
        "UPDATE act.t SET t = 'x'",
        "CREATE TABLE act.n (id INT)",
        "ALTER TABLE act.t ADD COLUMN n INT",
        "CREATE INDEX i ON act.t (id)",
    ] {
        let (ok, errors) = bench.act(refused);
        assert!(!ok && errors.contains("denied"), "{refused}: {errors}");
    }
    for done in ["SELECT COUNT(*) FROM act.t", "DELETE FROM act.t", "DROP TABLE act.`t``u`"] {
        let (ok, errors) = bench.act(done);
        assert!(ok, "{done}: {errors}");
    }
    assert!(!bench.is_locked("localhost"));
    bench.sql("CREATE TABLE act.`t``u` (id INT); OPTIMIZE TABLE act.t;");
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], Value::Null, "{errors}");
    assert!(errors.contains("act is free again: no-growth"), "{errors}");
    assert_eq!(bench.grants(), grants);
    let (ok, errors) = bench.act("INSERT INTO act.t (t) VALUES ('x')");
    assert!(ok, "{errors}");
    let journal = bench.journal();
    let count = |what: &str| journal.iter().filter(|it| *it == what).count();
    let counts = [count("revoke undone"), count("grant done"), count("kill done")];
    assert_eq!(counts, [4, 4, 1], "{journal:?}");
    // By hand it is the same.
    bench.fill(24);
    bench.apply();
    assert_ne!(bench.grants(), grants);
    let output = bench.run(&["undo", "--last"]);
    assert!(output.status.success(), "{}", lossy(&output.stderr));
    assert_eq!(bench.grants(), grants);
}

/// Who has rights in another way is named and left alone.
fn no_growth_refused(kind: &str) {
    let bench = Bench::new(kind, "policy = \"no-growth\"");
    bench.user("");
    bench.fill(24);
    let refused = |grant: &str, why: &str| {
        bench.sql(grant);
        let grants = bench.grants();
        let (row, errors) = bench.apply();
        assert_eq!(row["action"], "refused", "{grant}");
        assert!(errors.contains(why), "{grant}: {errors}");
        assert_eq!(bench.grants(), grants);
    };
    refused("SELECT 1;", "nothing is granted to its accounts by which its schemas grow");
    refused("GRANT INSERT ON *.* TO act@localhost;", "'act'@'localhost' has INSERT on all schemas");
    bench.sql("REVOKE INSERT ON *.* FROM act@localhost;");
    refused("GRANT INSERT (t) ON act.t TO act@localhost;", "has rights on columns of act.t");
    bench.sql("REVOKE INSERT (t) ON act.t FROM act@localhost; CREATE DATABASE acts;");
    refused("GRANT INSERT ON `act%`.* TO act@localhost;", "on act% reaches schemas of others");
    bench.sql("REVOKE INSERT ON `act%`.* FROM act@localhost;");
    refused("CREATE ROLE act_role; GRANT act_role TO act@localhost;", "has rights by roles");
    assert!(bench.journal().is_empty());
    let role = if bench.server.told("family") == "mariadb" { "act_role" } else { "act_role@'%'" };
    bench.sql(&format!("DROP ROLE {role};"));
}

/// A small file system that ends with the test.
struct Mount(PathBuf);

impl Mount {
    fn new(path: PathBuf) -> Mount {
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(&path);
        let output = mount.output().expect("mount");
        assert!(output.status.success(), "root mounts it: {}", lossy(&output.stderr));
        Mount(path)
    }

    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        for bytes in [1 << 16, 1] {
            let zeros = vec![0; bytes];
            while file.write_all(&zeros).is_ok() {}
        }
        assert!(fs::write(self.0.join("more"), "x").is_err());
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// With no byte free for the ledger users are held back, and the journal has it afterwards.
fn full_disk(kind: &str) {
    let mut bench = Bench::new(kind, "policy = \"lock\"");
    let mount = Mount::new(bench.path("full"));
    bench.ledger = "full/ledger.sqlite".to_owned();
    bench.user(ALL);
    let grants = bench.grants();
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], Value::Null, "{errors}");
    bench.fill(24);
    mount.fill();
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "lock", "{errors}");
    assert!(bench.is_locked("localhost") && bench.is_locked("127.%"));
    // The next run knows it, and does nothing more.
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "lock", "{errors}");
    assert!(!errors.contains("held back:"), "{errors}");
    // Usage falls, but what was taken cannot be noted as given back.
    bench.limit("200MB", "500MB");
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], "refused", "{errors}");
    assert!(errors.contains("no space for the ledger"), "{errors}");
    assert!(bench.is_locked("localhost"));
    mount.free();
    assert_eq!(bench.journal(), ["lock done", "lock done"]);
    let (row, errors) = bench.apply();
    assert_eq!(row["action"], Value::Null, "{errors}");
    assert!(!bench.is_locked("localhost") && !bench.is_locked("127.%"));
    assert_eq!(bench.grants(), grants);
    let undone = ["lock undone", "lock undone", "unlock done", "unlock done"];
    assert_eq!(bench.journal(), undone);
    // It is one deed each, whoever looks.
    assert_eq!(bench.journal(), undone);
}

/// Killed at any moment: the next run finds out what became of it, and goes on.
fn killed(kind: &str) {
    let bench = Bench::new(kind, "");
    bench.user(
        "GRANT ALL ON act.* TO act@localhost WITH GRANT OPTION; GRANT INSERT, SELECT ON act.* TO act@'127.%';
         GRANT INSERT, UPDATE ON act.t TO act@'127.%';",
    );
    let grants = bench.grants();
    bench.fill(3);
    for round in 0..14_u64 {
        let policy = if round % 2 == 0 { "lock" } else { "no-growth" };
        bench.configure(&format!("policy = \"{policy}\""));
        for (soft, hard, action) in
            [("1MB", "2MB", Value::from(policy)), ("1GB", "2GB", Value::Null)]
        {
            bench.limit(soft, hard);
            let mut run = bench.command(&["quota", "check", "--apply"]);
            let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(20 + 30 * round));
            let _ = run.kill();
            run.wait().unwrap();
            let (row, errors) = bench.apply();
            assert_eq!(row["action"], action, "{policy} {round}: {errors}");
            let is_held = action != Value::Null;
            let is_locked = is_held && policy == "lock";
            assert_eq!(bench.is_locked("localhost"), is_locked, "{policy} {round}");
            assert_eq!(bench.is_locked("127.%"), is_locked, "{policy} {round}");
            let takes_rights = is_held && policy == "no-growth";
            assert_eq!(
                bench.grants() != grants,
                takes_rights,
                "{policy} {round}: {}",
                bench.grants()
            );
        }
    }
    let journal = bench.journal();
    let is_settled = |it: &String| !it.ends_with(" begun") && !it.ends_with(" unknown");
    assert!(journal.iter().all(is_settled), "{journal:?}");
}

macro_rules! on_each_server {
    ($($check:ident),*) => {
        $(
            mod $check {
                #[test]
                fn mariadb_10_11() {
                    super::$check("mariadb-10.11");
                }

                #[test]
                fn mariadb_11_8() {
                    super::$check("mariadb-11.8");
                }

                #[test]
                fn mysql_9_7() {
                    super::$check("mysql-9.7");
                }
            }
        )*
    };
}

on_each_server!(locked, not_ours, no_growth, no_growth_refused, full_disk, killed);
