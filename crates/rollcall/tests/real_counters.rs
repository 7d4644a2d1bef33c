//! What real servers count of sessions, as evidence of use: whom it speaks for, and that refused logins are none.
//!
//! Needs the feature `real-server` and the servers: see `servers`. Tests take turns. Names that are made begin
//! with `cnt_`.

mod servers;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use servers::{Server, lossy};
use tempfile::TempDir;

const PASSWORD: &str = "right-5d1e";

/// A running server, and a folder with a configuration that leads to it.
struct Bench {
    server: Server,
    folder: TempDir,
    _turn: File,
}

impl Bench {
    /// With these accounts of one password.
    fn new(kind: &str, accounts: &[&str]) -> Bench {
        let server = Server::of(kind);
        let turn = server.turn();
        let bench = Bench { server, folder: TempDir::new().unwrap(), _turn: turn };
        for account in accounts {
            bench.server.admin(&format!(
                "DROP USER IF EXISTS {account}; CREATE USER {account} IDENTIFIED BY '{PASSWORD}'"
            ));
        }
        let options = bench.folder.path().join("db1.cnf");
        let socket = bench.server.told("socket");
        fs::write(&options, format!("[client]\nuser=root\nsocket={socket}\n")).unwrap();
        fs::set_permissions(&options, fs::Permissions::from_mode(0o600)).unwrap();
        let configuration = "[[server]]\nname = \"db1\"\ndefaults_file = \"db1.cnf\"\n";
        fs::write(bench.folder.path().join("rollcall.toml"), configuration).unwrap();
        bench
    }

    /// Whether a login over TCP is let in.
    fn login(&self, user: &str, password: &str) -> bool {
        let mut command = self.server.client();
        let port = self.server.told("port");
        command.args(["-h", "127.0.0.1", "-P", port, "-u", user, &format!("-p{password}")]);
        command.args(["-e", "SELECT 1"]).output().unwrap().status.success()
    }

    /// By account: verdict, newest sign, reasons.
    fn verdicts(&self) -> BTreeMap<String, (String, Value, String)> {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
        command.current_dir(self.folder.path()).args(["--config", "rollcall.toml"]);
        command.args(["--ledger", "ledger.sqlite", "unused", "--all", "-o", "json"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", lossy(&output.stderr));
        assert_eq!(lossy(&output.stderr), "");
        let rows = lossy(&output.stdout);
        let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        rows.map(|row| {
            let name = format!("{}@{}", text(&row["user"]), text(&row["host"]));
            let verdict =
                (text(&row["verdict"]), row["last_active"].clone(), text(&row["reasons"]));
            (name, verdict)
        })
        .collect()
    }

    fn end(&self, accounts: &[&str]) {
        accounts.iter().for_each(|account| _ = self.server.admin(&format!("DROP USER {account}")));
    }
}

/// `USER_STATISTICS` tells the user name alone.
fn user_statistics(kind: &str) {
    let accounts = ["cnt_one@'%'", "cnt_two@'127.0.0.1'", "cnt_two@'localhost'", "cnt_no@'%'"];
    let bench = Bench::new(kind, &accounts);
    bench.server.admin("SET GLOBAL userstat=1; FLUSH USER_STATISTICS");
    assert!(!bench.login("cnt_no", "wrong"));
    let before = bench.verdicts();
    for account in ["cnt_one@%", "cnt_two@127.0.0.1", "cnt_two@localhost", "cnt_no@%"] {
        assert_eq!(before[account].1, Value::Null, "{account}");
    }
    assert!(bench.login("cnt_one", PASSWORD) && bench.login("cnt_two", PASSWORD));
    assert!(!bench.login("cnt_no", "wrong"));
    let after = bench.verdicts();
    assert_eq!(after["cnt_one@%"].0, "used");
    assert_ne!(after["cnt_one@%"].1, Value::Null);
    for account in ["cnt_two@127.0.0.1", "cnt_two@localhost"] {
        let (verdict, at, reasons) = &after[account];
        assert_eq!(verdict, "unknown");
        assert_ne!(*at, Value::Null);
        assert!(reasons.contains("may be its own or those of 1 other account"), "{reasons}");
    }
    assert_eq!(after["cnt_no@%"].1, Value::Null);
    // What is known stays known when it counts from nothing.
    bench.server.admin("FLUSH USER_STATISTICS; SET GLOBAL userstat=0");
    assert_eq!(bench.verdicts()["cnt_one@%"], after["cnt_one@%"]);
    bench.end(&accounts);
}

#[test]
fn user_statistics_of_mariadb_10_11() {
    user_statistics("mariadb-10.11");
}

#[test]
fn user_statistics_of_mariadb_11_8() {
    user_statistics("mariadb-11.8");
}

/// MySQL counts refused logins as connections: they are no use.
#[test]
fn performance_schema_of_mysql() {
    let accounts = ["cnt_one@'%'", "cnt_two@'127.0.0.1'", "cnt_two@'localhost'", "cnt_no@'%'"];
    let bench = Bench::new("mysql-9.7", &accounts);
    assert!(bench.login("cnt_one", PASSWORD) && bench.login("cnt_two", PASSWORD));
    assert!(!bench.login("cnt_no", "wrong"));
    let counted =
        "SELECT TOTAL_CONNECTIONS > 0 FROM performance_schema.accounts WHERE USER='cnt_no'";
    assert_eq!(bench.server.admin(counted), "1\n");
    let verdicts = bench.verdicts();
    assert_eq!(verdicts["cnt_one@%"].0, "used");
    assert_eq!(verdicts["cnt_two@127.0.0.1"].0, "used");
    assert_eq!(verdicts["cnt_two@localhost"].1, Value::Null);
    assert_eq!(verdicts["cnt_no@%"].1, Value::Null);
    bench.end(&accounts);
}
