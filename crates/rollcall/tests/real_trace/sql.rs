//! `--sql`, `--undo-sql` and `--style`: what they put out goes through the servers' own clients and is
//! compared with what their own tools print.

use super::*;

/// A user name that would end a comment, were it not escaped.
const HOSTILE: &str = "a*/;DROP TABLE shop.other;'--";

const TABLES: &str = "
    CREATE DATABASE shop; CREATE DATABASE copy;
    CREATE TABLE shop.orders (id INT PRIMARY KEY, note TEXT, amount DECIMAL(12,3), raw BLOB,
      twice INT AS (id * 2) STORED, e ENUM('a','b'), u BIGINT UNSIGNED,
      at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)) ENGINE=InnoDB;
    CREATE TABLE shop.keyless (a INT, b VARCHAR(40)) ENGINE=InnoDB;
    CREATE TABLE shop.other (a INT PRIMARY KEY) ENGINE=InnoDB;
    INSERT INTO shop.orders (id, note, amount, raw, e, u) VALUES (1, 'it''s', 1.5, x'0027ff', 'a', 7),
      (2, NULL, -2, NULL, NULL, 18446744073709551615), (3, 'gone soon', 0, '', 'b', 0);
    INSERT INTO shop.keyless VALUES (1, 'x'), (1, 'x'), (2, 'Y'), (NULL, NULL);
    INSERT INTO shop.other VALUES (1), (2);
    CREATE TABLE copy.orders LIKE shop.orders;
    INSERT INTO copy.orders (id, note, amount, raw, e, u, at)
      SELECT id, note, amount, raw, e, u, at FROM shop.orders;
    CREATE TABLE copy.keyless LIKE shop.keyless; INSERT INTO copy.keyless SELECT * FROM shop.keyless;";

const CHANGES: &str = "
    BEGIN;
    UPDATE shop.orders SET note = 'changed', id = id + 10 WHERE id < 3;
    INSERT INTO shop.other VALUES (3);
    DELETE FROM shop.orders WHERE id = 3;
    COMMIT;
    INSERT INTO shop.orders (id, note, amount, raw, e, u)
      SELECT 100 + a, 'several', a, REPEAT(x'005c27', 700), 'a', a FROM shop.other;
    BEGIN; DELETE FROM shop.orders; ROLLBACK;
    UPDATE shop.orders SET amount = amount + 1, raw = NULL WHERE id = 101;
    DELETE FROM shop.keyless WHERE a = 1 LIMIT 1;
    UPDATE shop.keyless SET b = 'y' WHERE a = 2;
    INSERT INTO shop.keyless VALUES (9, 'n');
    UPDATE shop.other SET a = a + 50;
    INSERT INTO shop.other SELECT 10000 + 200 * x.n + y.n FROM
      (WITH RECURSIVE s AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 199) SELECT n FROM s) x,
      (WITH RECURSIVE s AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 199) SELECT n FROM s) y;";

fn checksum(server: &Server, table: &str) -> String {
    let line = server.admin(&format!("CHECKSUM TABLE {table};"));
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// The newest binary log.
fn newest(server: &Server) -> PathBuf {
    let all = server.admin("SHOW BINARY LOGS;");
    let name = all.lines().last().unwrap().split('\t').next().unwrap();
    Path::new(server.told("binlog")).join(name)
}

fn tool(server: &Server, log: &Path) -> Vec<u8> {
    let name = if server.is_mysql() { "mysqlbinlog" } else { "mariadb-binlog" };
    let tool = Path::new(server.told("client")).with_file_name(name);
    let mut command = Command::new(tool);
    command.args(["-v", "--base64-output=DECODE-ROWS"]).arg(log).env("TZ", "UTC");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

/// What `trace` puts out for clients, and how it ended.
fn put_out(path: &Path, log: &Path, arguments: &[&str], code: i32) -> Vec<u8> {
    let log = log.to_str().unwrap();
    let output = rollcall(path, &[&["trace", log, "--server", "db1"], arguments].concat());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    output.stdout
}

fn try_server(server: &Server, path: &Path, more: &str) {
    let options = path.join("client.cnf");
    let login = format!("[client]\nuser=root\nsocket={}\n", server.told("socket"));
    fs::write(&options, login).unwrap();
    fs::set_permissions(&options, fs::Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "[[server]]\nname = \"db1\"\ntime_zone = \"UTC\"\ndefaults_file = \"{}\"\n{more}",
        options.display()
    );
    fs::write(path.join("rollcall.toml"), config).unwrap();
    server.admin(TABLES);
    server.admin(&format!(
        "CREATE USER \"{HOSTILE}\"@localhost IDENTIFIED BY '{PASSWORD}';
         GRANT ALL ON shop.* TO \"{HOSTILE}\"@localhost;"
    ));
    let before = checksum(server, "shop.orders");
    let keyless_before = checksum(server, "shop.keyless");
    server.admin("FLUSH BINARY LOGS;");
    let log = newest(server);
    let user = format!("-u{HOSTILE}");
    let changed = server.send(&[&user, &format!("-p{PASSWORD}")], CHANGES);
    assert!(!text(&changed.stderr).contains("ERROR"), "{}", text(&changed.stderr));
    server.admin("FLUSH BINARY LOGS;");
    let after = checksum(server, "shop.orders");
    let keyless = checksum(server, "shop.keyless");
    let other = checksum(server, "shop.other");
    assert!(before != after && keyless != keyless_before);

    // Again, in a copy.
    for table in ["orders", "keyless"] {
        let filter = format!("shop.{table}");
        let sql = text(&put_out(path, &log, &["--sql", "--table", &filter], 0));
        assert!(!sql.contains("`other`") && sql.contains("\nBEGIN;\n"), "{sql}");
        server.admin(&sql.replace("`shop`.", "`copy`."));
        let same = checksum(server, &filter) == checksum(server, &format!("copy.{table}"));
        assert!(same, "{}: {table}: {sql}", server.told("kind"));
    }
    // Back, one table and then another; the third stays as it is.
    let undo = text(&put_out(path, &log, &["--undo-sql", "--table", "shop.orders"], 0));
    assert!(undo.contains("WHERE `id` = 101 LIMIT 1;"), "by its key: {undo}");
    server.admin(&undo);
    assert_eq!(checksum(server, "shop.orders"), before, "{}: {undo}", server.told("kind"));
    assert_eq!(checksum(server, "shop.keyless"), keyless);
    let undo = text(&put_out(path, &log, &["--undo-sql", "--table", "shop.keyless"], 0));
    server.admin(&undo);
    assert_eq!(checksum(server, "shop.keyless"), keyless_before, "{undo}");
    assert_eq!(checksum(server, "shop.other"), other);

    // Who did it stands in comments, and nothing breaks out of them. (With the log before, the start of
    // the run is known, and so are the connections of 10.11.)
    if !server.is_mysql() {
        let first = log.with_extension("000001");
        let filters = [log.to_str().unwrap(), "--kind", "delete", "--table", "shop.keyless"];
        let undo = text(&put_out(path, &first, &[&["--undo-sql"], &filters[..]].concat(), 0));
        assert!(undo.contains(", a%2A/%3BDROP TABLE shop.other%3B%27-- from localhost,"), "{undo}");
        server.admin(&undo);
        assert_eq!(checksum(server, "shop.other"), other);
    }

    // The tool's text, with a statement whose rows do not wait in memory.
    let theirs = tool(server, &log);
    let ours = put_out(path, &log, &["--style", "mysqlbinlog"], 0);
    assert!(ours == theirs, "{}: {}", server.told("kind"), text(&ours));
    let some = put_out(path, &log, &["--style", "mysqlbinlog", "--kind", "delete"], 0);
    let lines: std::collections::HashSet<&[u8]> = theirs.split(|it| *it == b'\n').collect();
    let some: Vec<&[u8]> = some.split(|it| *it == b'\n').collect();
    let is_of = |what: &&&[u8]| what.starts_with(b"### DELETE FROM");
    assert!(some.len() < lines.len() && some.iter().filter(is_of).count() == 2);
    assert!(some.iter().filter(|it| it.starts_with(b"###")).all(|it| lines.contains(it)));

    // What cannot be taken back.
    let log = newest(server);
    server.admin("TRUNCATE shop.other; INSERT INTO shop.other VALUES (77); FLUSH BINARY LOGS;");
    let undo = text(&put_out(path, &log, &["--undo-sql", "--table", "shop.other"], 3));
    assert!(undo.contains("left out: 1 of statements (TRUNCATE)"), "{undo}");
    assert!(undo.contains("DELETE FROM `shop`.`other` WHERE `a` = 77 LIMIT 1;"), "{undo}");
}

#[test]
fn statements_are_made_again_and_taken_back_by_clients() {
    for (kind, metadata) in
        [("mariadb-10.11", "MINIMAL"), ("mariadb-11.8", "FULL"), ("mysql-9.7", "MINIMAL")]
    {
        let folder = folder();
        let metadata = format!("--binlog-row-metadata={metadata}");
        let server = Server::start(kind, &folder.path().join("db"), &[&metadata]);
        let mut more = String::new();
        if !server.is_mysql() {
            set_audit(&server, "CONNECT,QUERY,TABLE");
            more = format!("audit_logs = [\"{}\"]\n", server.audit_folder());
        }
        thread::sleep(Duration::from_secs(2));
        try_server(&server, folder.path(), &more);
    }
}
