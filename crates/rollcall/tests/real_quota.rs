//! `rollcall quota check` beside real servers: what it says of sizes is what `du` says of the server's files.
//!
//! Needs the feature `real-server` and the servers: see `servers`. Tests take turns, and asks as an account with no
//! more rights than `rollcall setup monitor` gives. Names that are made begin with `quo`. ROLLCALL_QUOTA_SCHEMAS
//! sets how many schemas the pass over many has (10,000 is the long form; 300 the short one).

mod servers;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use servers::{Server, lossy};
use tempfile::TempDir;

const PASSWORD: &str = "right-9e42";

/// A running server with a monitoring account, and a folder with a configuration that leads to it.
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
        bench
            .server
            .admin(&format!("CREATE USER quo_monitor@localhost IDENTIFIED BY '{PASSWORD}'"));
        // As little as `rollcall setup monitor` gives.
        let version = bench.server.told("version").to_owned();
        let account = "'quo_monitor'@'localhost'";
        let setup = ["setup", "monitor", "--server-version", &version, "--account", account];
        let output = bench.command().args(setup).arg("--password").output().unwrap();
        assert!(output.status.success(), "{}", lossy(&output.stderr));
        let grants = lossy(&output.stdout);
        let grants = grants.lines().filter(|it| it.starts_with("GRANT "));
        bench.server.admin(&grants.collect::<Vec<_>>().join("\n"));
        bench.options("client", "quo_monitor", bench.server.told("socket"));
        bench.configure("");
        bench
    }

    fn is_mariadb(&self) -> bool {
        self.server.told("family") == "mariadb"
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn options(&self, name: &str, user: &str, socket: &str) {
        let text = format!("[client]\nuser={user}\npassword={PASSWORD}\nsocket={socket}\n");
        let path = self.write(&format!("{name}.cnf"), &text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A configuration of this server, and of what else stands in `quota`.
    fn configure(&self, quota: &str) {
        let client = self.path("client.cnf");
        let server =
            format!("[[server]]\nname = \"db1\"\ndefaults_file = \"{}\"\n", client.display());
        self.write("rollcall.toml", &format!("{quota}\n{server}"));
    }

    fn command(&self) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("rollcall"));
        command.current_dir(self.folder.path());
        command
    }

    fn quota(&self, further: &[&str]) -> Output {
        let own = ["--config", "rollcall.toml", "--ledger", "ledger.sqlite", "quota", "check"];
        self.command().args(own).args(further).output().unwrap()
    }

    /// Rows of users and of what belongs to none, and of areas.
    fn rows(&self, further: &[&str]) -> Vec<Value> {
        let output = self.quota(&[&["-o", "json"], further].concat());
        let errors = lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let text = lossy(&output.stdout);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a user is said to hold.
    fn bytes(&self, user: &str) -> u64 {
        let rows = self.rows(&[]);
        let row = rows.iter().find(|row| row["user"] == user);
        row.unwrap_or_else(|| panic!("no {user}"))["bytes"].as_u64().unwrap()
    }

    /// Statements for the server's client, without a trace in its binlog.
    fn sql(&self, text: &str) {
        let mut client = self
            .server
            .client()
            .args(["-u", "root", "-S", self.server.told("socket"), "-BN"])
            .arg("--default-character-set=utf8mb4")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client");
        let text = format!("SET SESSION sql_log_bin=0;\n{text}\n");
        client.stdin.take().expect("a pipe").write_all(text.as_bytes()).unwrap();
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", lossy(&output.stderr));
    }

    /// A user whose name is in names of schemas.
    fn user(&self, name: &str) {
        self.sql(&format!("CREATE USER `{name}`@localhost IDENTIFIED BY '{PASSWORD}';"));
    }

    fn clean(&self) {
        // Binary: as they are, whatever the client's character set; none has a backquote.
        let drops = |what: &str, name: &str, from: &str, column: &str| {
            self.server.admin(&format!(
                "SELECT CAST(CONCAT('DROP {what} `', {name}, '`;') AS BINARY) FROM {from} \
                 WHERE {column} LIKE 'quo%'"
            ))
        };
        let schemas =
            drops("DATABASE", "SCHEMA_NAME", "information_schema.SCHEMATA", "SCHEMA_NAME");
        let users = drops("USER", "User, '`@`', Host", "mysql.user", "User");
        self.sql(&format!("{schemas}{users}"));
    }

    fn data(&self, folder: &str) -> PathBuf {
        Path::new(self.server.told("data")).join(folder)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clean();
        }
    }
}

/// What `du` says of the files of a folder that hold rows: MariaDB keeps definitions beside them.
fn du(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let holds_rows =
        |name: &str| [".ibd", ".MYD", ".MYI", ".MAD", ".MAI"].iter().any(|end| name.ends_with(end));
    let files = files.filter(|file| holds_rows(&lossy(file.file_name().as_encoded_bytes())));
    files.map(|file| file.metadata().unwrap().blocks() * 512).sum()
}

/// Is `told` within 1 % of what the disk holds?
#[track_caller]
fn assert_close(told: u64, disk: u64, what: &str) {
    assert!(told.abs_diff(disk) * 100 <= disk, "{what}: {told} told, {disk} on disk");
}

/// Fills a table with so many MB: rows of 8 kB, in transactions of 16 MB.
fn fill(table: &str, from: u32, megabytes: u32) -> String {
    let rows = 125 * megabytes;
    let row = |id: u32| format!("({id},REPEAT('{}',7900))", char::from(b'a' + (id % 26) as u8));
    let mut text = String::new();
    for begin in (0..rows).step_by(2000) {
        text += "BEGIN;\n";
        for some in (begin..rows.min(begin + 2000)).collect::<Vec<_>>().chunks(50) {
            let rows: Vec<String> = some.iter().map(|id| row(from + id)).collect();
            text += &format!("INSERT INTO {table} VALUES {};\n", rows.join(","));
        }
        text += "COMMIT;\n";
    }
    text
}

const COLUMNS: &str = "(id INT PRIMARY KEY, t LONGTEXT)";

/// Right after 200 MB came, left, and came again.
fn accuracy(kind: &str) {
    let bench = Bench::new(kind);
    bench.user("quobig");
    bench.sql(&format!("CREATE DATABASE quobig; CREATE TABLE quobig.t {COLUMNS};"));
    let folder = bench.data("quobig");
    let check = |what: &str, least: u64, most: u64| {
        let (told, disk) = (bench.bytes("quobig"), du(&folder));
        assert_close(told, disk, what);
        assert!((least..=most).contains(&told), "{what}: {told}");
    };
    const MB: u64 = 1_000_000;
    bench.sql(&fill("quobig.t", 0, 200));
    check("inserted", 195 * MB, 300 * MB);
    bench.sql("DELETE FROM quobig.t WHERE id % 4 > 0;");
    check("deleted", 195 * MB, 300 * MB);
    bench.sql("OPTIMIZE TABLE quobig.t;");
    check("optimized", 45 * MB, 100 * MB);
    bench.sql("TRUNCATE TABLE quobig.t;");
    check("truncated", 1, MB);
    // information_schema tells of rows, not of files: after TRUNCATE next to nothing.
    let rows = bench.rows(&["--method", "information-schema"]);
    let row = rows.iter().find(|row| row["user"] == "quobig").unwrap();
    assert!(row["bytes"].as_u64().unwrap() < MB, "{row}");
}

/// Names that are encoded in files' names, partitions, other engines, sparse files, tables without a file.
fn shapes(kind: &str) {
    let bench = Bench::new(kind);
    bench.user("quo");
    let mut folders = Vec::new();
    for (schema, folder, table) in [
        ("quo_a-b", "quo_a@002db", "t,'q"),
        ("quo_\u{fc}", "quo_@1o", "\u{65e5}\u{672c} @ x"),
        ("quo_u", "quo_u", "t"),
        ("quo_a.b", "quo_a@002eb", "c.d"),
        ("quo_x/y", "quo_x@002fy", "t/z"),
        // `y/t/z` would be the same to MySQL, which refuses it.
        ("quo_x", "quo_x", "y/z"),
        ("quo_#P#p", "quo_@0023P@0023p", "t#P#x"),
    ] {
        bench.sql(&format!(
            "CREATE DATABASE `{schema}`; CREATE TABLE `{schema}`.`{table}` {COLUMNS};\n{}",
            fill(&format!("`{schema}`.`{table}`"), 0, 2)
        ));
        folders.push((schema, folder));
    }
    bench.sql(&format!(
        "CREATE DATABASE quo_part; CREATE TABLE quo_part.t {COLUMNS} \
         PARTITION BY HASH(id) PARTITIONS 5;\n{}\
         ANALYZE TABLE quo_part.t;\n\
         CREATE TABLE quo_part.f (id INT PRIMARY KEY, t TEXT, FULLTEXT(t)) ENGINE=InnoDB;\n\
         CREATE TABLE quo_part.c {COLUMNS} ENGINE=InnoDB ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4;\n{}\
         CREATE DATABASE quo_mi; CREATE TABLE quo_mi.t {COLUMNS} ENGINE=MyISAM;\n{}",
        fill("quo_part.t", 0, 5),
        fill("quo_part.c", 0, 2),
        fill("quo_mi.t", 0, 3),
    ));
    folders.extend([("quo_part", "quo_part"), ("quo_mi", "quo_mi")]);
    let compressed = if bench.is_mariadb() { "PAGE_COMPRESSED=1" } else { "COMPRESSION='zlib'" };
    bench.sql(&format!(
        "CREATE DATABASE quo_zip; CREATE TABLE quo_zip.t {COLUMNS} {compressed};\n{}\
         FLUSH TABLES quo_zip.t FOR EXPORT; UNLOCK TABLES;",
        fill("quo_zip.t", 0, 6)
    ));
    let file = fs::metadata(bench.data("quo_zip/t.ibd")).unwrap();
    assert!(file.blocks() * 512 < file.len(), "{} of {}", file.blocks() * 512, file.len());
    folders.push(("quo_zip", "quo_zip"));
    if bench.is_mariadb() {
        bench.sql(&format!(
            "CREATE DATABASE quo_aria; CREATE TABLE quo_aria.t {COLUMNS} ENGINE=Aria;\n{}\
             CREATE TABLE quo_aria.p {COLUMNS} ENGINE=Aria PARTITION BY HASH(id) PARTITIONS 3;\n{}\
             FLUSH TABLES;",
            fill("quo_aria.t", 0, 3),
            fill("quo_aria.p", 0, 3)
        ));
        folders.push(("quo_aria", "quo_aria"));
    }
    // Each schema alone, by an owner of its own; and all as one user's.
    let map = folders.iter().map(|(schema, _)| format!("\"{schema}\" = \"of {schema}\"\n"));
    let all = bench.bytes("quo");
    bench.configure(&format!("[quota.schemas]\n{}", map.collect::<String>()));
    let rows = bench.rows(&[]);
    let mut sum = 0;
    for (schema, folder) in &folders {
        let user = format!("of {schema}");
        let row = rows.iter().find(|row| row["user"] == user.as_str());
        let row = row.unwrap_or_else(|| panic!("no {schema}"));
        assert_eq!(row["schemas"], serde_json::json!([schema]));
        let told = row["bytes"].as_u64().unwrap();
        assert_close(told, du(&bench.data(folder)), schema);
        assert!(told > 1_000_000 || *schema == "quo_zip", "{schema}: {told}");
        sum += told;
    }
    // Not to the byte: pages of compressed tables give blocks back when they are written, at any time.
    assert_close(all, sum, "all of them");
}

/// Tables that share a file are counted for their schema by what information_schema estimates.
fn shared_files(kind: &str) {
    let bench = Bench::new(kind);
    bench.user("quoin");
    bench.sql(&match bench.is_mariadb() {
        true => format!(
            "CREATE DATABASE quoin; SET GLOBAL innodb_file_per_table=OFF; \
             CREATE TABLE quoin.t {COLUMNS}; SET GLOBAL innodb_file_per_table=ON;"
        ),
        false => format!(
            "CREATE DATABASE quoin; CREATE TABLE quoin.t {COLUMNS} TABLESPACE innodb_system;"
        ),
    });
    assert!(!bench.data("quoin/t.ibd").exists());
    bench.sql(&fill("quoin.t", 0, 8));
    bench.sql("ANALYZE TABLE quoin.t;");
    let told = bench.bytes("quoin");
    assert!((7_000_000..14_000_000).contains(&told), "{told}");
}

/// A user goes above its soft limit, then its hard one; growth since yesterday; what nobody owns.
fn states(kind: &str) {
    let bench = Bench::new(kind);
    bench.user("quou");
    bench.user("quo'o, x");
    bench.sql(&format!(
        "CREATE DATABASE quou; CREATE TABLE quou.t {COLUMNS}; CREATE DATABASE quou_x; \
         CREATE TABLE quou_x.t {COLUMNS}; CREATE DATABASE quofree; CREATE TABLE quofree.t {COLUMNS}; \
         CREATE DATABASE quocommon; CREATE DATABASE `quo'o, x`;"
    ));
    let limits = bench.write(
        "limits.toml",
        "[users]\nquou = { soft = \"2MB\", hard = \"20MB\" }\n\
         \"quo'o, x\" = { hard = \"1GB\" }\nquomisspelt = { soft = 1 }\n",
    );
    let limits = format!("[quota]\nlimits = \"{}\"\nshared = [\"quocommon\"]", limits.display());
    bench.configure(&limits);
    let look = |soft: i32, hard: i32| {
        let code = |condition| bench.quota(&["--fail-on", condition]).status.code().unwrap();
        assert_eq!((code("soft"), code("hard")), (soft, hard));
        let rows = bench.rows(&[]);
        rows.iter().find(|row| row["user"] == "quou").unwrap().clone()
    };
    let row = look(0, 0);
    assert_eq!((row["state"].as_str(), &row["action"]), (Some("ok"), &Value::Null));
    assert_eq!(row["schemas"].as_array().unwrap().len(), 2);
    assert_eq!(row["growth_bytes_per_day"], Value::Null);
    bench.sql(&fill("quou.t", 0, 2));
    assert_eq!(look(1, 0)["state"], "soft");
    bench.sql(&fill("quou_x.t", 0, 20));
    let row = look(1, 1);
    assert_eq!(
        (row["state"].as_str(), row["hard_limit_bytes"].as_u64()),
        (Some("hard"), Some(20_000_000))
    );
    let bytes = row["bytes"].as_u64().unwrap();

    // Yesterday, which the ledger tells, it held nothing.
    let ledger = rusqlite::Connection::open(bench.path("ledger.sqlite")).unwrap();
    let moved = ledger.execute(
        "UPDATE quota_usage SET day = day - 1, at_us = at_us - 86400000000, bytes = 0
         WHERE CAST(user AS TEXT) = 'quou'",
        [],
    );
    assert_eq!(moved.unwrap(), 1);
    drop(ledger);
    let growth = look(1, 1)["growth_bytes_per_day"].as_i64().unwrap();
    assert!(growth.abs_diff(i64::try_from(bytes).unwrap()) * 100 < bytes, "{growth} {bytes}");

    let output = bench.quota(&["--metrics", "m.prom"]);
    let (text, errors) = (lossy(&output.stdout), lossy(&output.stderr));
    assert!(text.lines().any(|it| it.starts_with("unowned ") && it.contains("quofree ")), "{text}");
    assert!(
        text.lines().any(|it| it.starts_with("shared ") && it.contains("quocommon ")),
        "{text}"
    );
    assert!(text.lines().any(|it| it.starts_with("db1: /") && it.contains(" % full: ")), "{text}");
    assert!(text.contains("OPTIMIZE"), "{text}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("quomisspelt"), "{errors}");
    let metrics = fs::read_to_string(bench.path("m.prom")).unwrap();
    for line in [
        format!("mysql_user_storage_bytes{{server=\"db1\",user=\"quou\"}} {bytes}"),
        "mysql_user_storage_hard_limit_bytes{server=\"db1\",user=\"quo'o, x\"} 1000000000"
            .to_owned(),
        "mysql_user_storage_soft_limit_bytes{server=\"db1\",user=\"quou\"} 2000000".to_owned(),
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} in {metrics}");
    }
    let areas: Vec<Value> =
        bench.rows(&[]).into_iter().filter(|it| it["area"].is_string()).collect();
    for area in ["schemas", "binlog", "tmp", "system"] {
        let row = areas.iter().find(|row| row["area"] == area);
        assert!(row.unwrap_or_else(|| panic!("no {area}"))["area_bytes"].as_u64().unwrap() > 0);
    }
    grants(&bench);
}

/// Who may write to a schema owns it, if nobody else may.
fn grants(bench: &Bench) {
    bench.user("quowriter");
    bench.sql("GRANT INSERT ON quofree.* TO quowriter@localhost;");
    bench.configure("[quota]\nby_grants = true");
    let owned = || {
        let rows = bench.rows(&[]);
        let row = rows.iter().find(|row| row["user"] == "quowriter");
        row.map(|row| row["schemas"].clone())
    };
    assert_eq!(owned(), Some(serde_json::json!(["quofree"])));
    bench.user("quoother");
    bench.sql("GRANT CREATE ON quofree.t TO quoother@localhost;");
    assert_eq!(owned(), None);
    let text = lossy(&bench.quota(&[]).stdout);
    assert!(text.contains("quofree may be written by quoother, quowriter"), "{text}");
}

/// Rights that are missing, servers that are down, lists that are wrong.
fn refusals(kind: &str) {
    let bench = Bench::new(kind);
    bench.user("quobare");
    bench.options("bare", "quobare", bench.server.told("socket"));
    let bare = ["--server", "bare", "--defaults-file", "bare.cnf"];
    let asked = |further: &[&str]| {
        let output = bench.quota(&[&bare[..], further].concat());
        (output.status.code().unwrap(), lossy(&output.stderr))
    };
    let (code, errors) = asked(&[]);
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("GRANT PROCESS ON *.* TO 'quobare'@'localhost';"), "{errors}");
    bench.sql("GRANT PROCESS ON *.* TO quobare@localhost;");
    let (code, errors) = asked(&[]);
    assert_eq!(code, 0, "{errors}");
    let binlog = if bench.is_mariadb() { "BINLOG MONITOR" } else { "REPLICATION CLIENT" };
    for right in [binlog, "SHOW VIEW"] {
        let grant = format!("GRANT {right} ON *.* TO 'quobare'@'localhost';");
        assert!(errors.contains(&grant), "{errors}");
    }
    assert_eq!(asked(&["--fail-on", "doubt"]).0, 1);
    assert!(bench.quota(&["--fail-on", "doubt"]).status.success());

    // One server of two: its users are told, its numbers not given for all.
    bench.options("down", "quo_monitor", "/no/such/socket");
    let configuration = fs::read_to_string(bench.path("rollcall.toml")).unwrap();
    let down = bench.path("down.cnf");
    let down = format!("[[server]]\nname = \"db2\"\ndefaults_file = \"{}\"\n", down.display());
    bench.write("rollcall.toml", &format!("{configuration}\n{down}"));
    bench.write("m.prom", "as it was");
    let output = bench.quota(&["--metrics", "m.prom"]);
    assert_eq!(output.status.code(), Some(3), "{}", lossy(&output.stderr));
    assert!(lossy(&output.stdout).starts_with("db1: "));
    assert!(lossy(&output.stderr).contains("db2: no server answers"));
    assert_eq!(fs::read_to_string(bench.path("m.prom")).unwrap(), "as it was");

    // Logs alone are known of this one; and a file leads to one server.
    bench.write("rollcall.toml", &format!("{configuration}\n[[server]]\nname = \"db3\"\n"));
    assert_eq!(bench.quota(&[]).status.code(), Some(0));
    assert_eq!(bench.quota(&["--server", "db3"]).status.code(), Some(2));
    assert_eq!(bench.quota(&["--defaults-file", "client.cnf"]).status.code(), Some(2));
    let own = ["--defaults-file", "client.cnf", "--server", "db3"];
    assert!(lossy(&bench.quota(&own).stdout).starts_with("db3: "));

    let output = bench.quota(&["--limits", "none"]);
    assert_eq!(output.status.code(), Some(2));
    bench.write("list", "a,1GB,2GB\nb,2GB,1GB\n");
    let output = bench.quota(&["--limits", "list"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let errors = lossy(&output.stderr);
    assert!(errors.contains("list:2:3: the soft limit is above the hard one"), "{errors}");
}

/// Many schemas take no more questions than few.
fn many(kind: &str) {
    let schemas: u32 = std::env::var("ROLLCALL_QUOTA_SCHEMAS")
        .map_or(300, |it| it.parse().expect("ROLLCALL_QUOTA_SCHEMAS is a number"));
    let bench = Bench::new(kind);
    bench.user("quom");
    let asked = || {
        let text = bench.server.admin("SHOW GLOBAL STATUS LIKE 'Questions'");
        text.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let mut text = String::new();
    for number in 0..schemas {
        text += &format!("CREATE DATABASE quom_{number};\n");
        for table in ["a", "b", "c"] {
            text += &format!("CREATE TABLE quom_{number}.{table} (id INT PRIMARY KEY, t TEXT);\n");
        }
    }
    bench.sql(&text);
    let before = asked();
    let rows = bench.rows(&[]);
    let questions = asked() - before;
    // Other tests take turns, so nobody else asks much.
    assert!(questions < 60, "{questions} questions");
    let row = rows.iter().find(|row| row["user"] == "quom").unwrap();
    assert_eq!(row["schemas"].as_array().unwrap().len(), schemas as usize);
    let disk = (0..schemas).map(|number| du(&bench.data(&format!("quom_{number}")))).sum();
    assert_close(row["bytes"].as_u64().unwrap(), disk, "many");
}

/// From files of mysql_monitor_daemon alone.
fn ancestors(kind: &str) {
    let bench = Bench::new(kind);
    let (host, port) = ("127.0.0.1", bench.server.told("port"));
    bench.sql(&format!(
        "CREATE USER quo_daemon@'{host}' IDENTIFIED BY '{PASSWORD}'; GRANT PROCESS, SELECT ON *.* TO \
         quo_daemon@'{host}';"
    ));
    bench.user("quou");
    bench.sql("CREATE DATABASE quou; CREATE DATABASE quou_logs; CREATE DATABASE quou_other;");
    for (table, megabytes) in [("quou.t", 2), ("quou_logs.t", 1)] {
        bench.sql(&format!("CREATE TABLE {table} {COLUMNS};\n{}", fill(table, 0, megabytes)));
    }
    let closed = |name: &str, text: &str| {
        let path = bench.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let passwords = closed("passwd", &format!("{PASSWORD}\nother\n"));
    let metrics = bench.path("guard.prom");
    let guard = format!(
        "[general]\nmetrics_file = {}\nschema_patterns = %s,%s_logs\n[database]\nhost = {host}\nport = {port}\n\
         user = quo_daemon\npassword_file = {}\n[limits]\nquou = 1000000 , 900000000\n",
        metrics.display(),
        passwords.display(),
    );
    closed("guard.conf", &guard);
    let check = |config: &str, further: &[&str]| {
        let own = ["--config", config, "--ledger", "ledger.sqlite", "quota", "check", "-o", "json"];
        let output = bench.command().args(own).args(further).output().unwrap();
        let rows = lossy(&output.stdout);
        let rows: Vec<Value> = rows.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        let user = rows.iter().find(|row| row["user"] == "quou").cloned();
        (output.status.code(), user.unwrap_or_default(), lossy(&output.stderr))
    };
    let (code, row, errors) = check("guard.conf", &[]);
    assert_eq!((code, &row["state"]), (Some(0), &"soft".into()), "{errors}");
    assert_eq!(row["server"], format!("{host}:{port}"));
    assert_eq!(row["schemas"], serde_json::json!(["quou", "quou_logs"]));
    let written = fs::read_to_string(&metrics).unwrap();
    assert!(written.contains("mysql_user_storage_hard_limit_bytes{"), "{written}");
    assert!(!written.contains(PASSWORD));

    let columns = format!("{host} quo_daemon {PASSWORD} mysql {port} 60 information_schema\n");
    closed("db_config", &columns);
    bench.write("user_limits", "quou 0 1\n");
    // Not to the place that the daemon has.
    let elsewhere = ["--metrics", "m.prom"];
    let (_, row, errors) = check("db_config", &elsewhere);
    // Of `user_` only.
    assert_eq!(row["schemas"], serde_json::json!(["quou_logs", "quou_other"]), "{errors}");
    assert_eq!((&row["state"], &row["hard_limit_bytes"]), (&"hard".into(), &1.into()), "{errors}");
    closed("db_config", &columns.replace(PASSWORD, "wrong-5cc1"));
    let (code, _, errors) = check("db_config", &elsewhere);
    assert!(code == Some(2) && !errors.contains("wrong-5cc1"), "{errors}");
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

on_each_server!(accuracy, shapes, shared_files, states, refusals, many, ancestors);
