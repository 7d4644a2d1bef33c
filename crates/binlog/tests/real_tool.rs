//! Logs that real servers write now, against what their own tools print for them: of these logs every
//! line that is no row, and every row of this test's own database (other tests may write to the same
//! logs, and MySQL's tool gives up at their geometries).

mod common;

use std::process::Command;

use binlog::{Framer, Step, ToolBuffer, ToolText, ToolUtc};
use common::server::{Server, servers};

/// Statements whose events have something of their own to print.
const DEEDS: &str = r#"
CREATE TABLE a (i INT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(9000), r DOUBLE, d DECIMAL(30,10));
SET SESSION binlog_format = 'STATEMENT';
SET @n = 5, @t = 'abc', @r = 1e100, @d = -1.50, @z = NULL, @u = 18446744073709551615, @`we``ird` = 'q',
  @l = _latin1 x'e4', @r2 = 0.1e0, @h = 1e14, @e = '';
INSERT INTO a (r, b) VALUES (@n, @t);
INSERT INTO a (b, r, d) VALUES (@t, @r, @d);
INSERT INTO a (d, b) VALUES (@u % 100, @z);
INSERT INTO a (r, b) VALUES (@r2, @`we``ird`);
INSERT INTO a (r, b) VALUES (@h, @l);
INSERT INTO a (b) VALUES (@e);
INSERT INTO a (r, b) VALUES (RAND(), LAST_INSERT_ID());
SET foreign_key_checks = 0, unique_checks = 0;
INSERT INTO a (b) VALUES ('x');
SET foreign_key_checks = 1, unique_checks = 1, autocommit = 0;
INSERT INTO a (b) VALUES ('y');
COMMIT;
SET autocommit = 1, TIMESTAMP = 1000000000.123456;
INSERT INTO a (b) VALUES (NOW(6));
SET TIMESTAMP = DEFAULT, auto_increment_increment = 3, auto_increment_offset = 2;
INSERT INTO a (b) VALUES ('z');
SET auto_increment_increment = 1, auto_increment_offset = 1, lc_time_names = 'en_GB';
INSERT INTO a (b) VALUES (DATE_FORMAT('2026-11-28', '%W'));
SET NAMES latin1, lc_time_names = 'en_US';
SET @n2 = 6;
INSERT INTO a (r, b) VALUES (@n2, @t);
SET NAMES utf8mb4, time_zone = '+02:00';
INSERT INTO a (b) VALUES (NOW());
CREATE TEMPORARY TABLE tt (a INT);
INSERT INTO tt VALUES (1);
DROP TEMPORARY TABLE tt;
SET sql_mode = 'ANSI_QUOTES';
INSERT INTO "a" (b) VALUES ('line1
line2');
SET sql_mode = DEFAULT, SESSION binlog_format = 'ROW', foreign_key_checks = 0, unique_checks = 0;
INSERT INTO a (b) VALUES ('x');
SET foreign_key_checks = 1, unique_checks = 1;
INSERT INTO a (b)

VALUES ('multi
line'), ("it's");
CREATE TABLE trig (a INT);
CREATE TRIGGER tr AFTER INSERT ON trig FOR EACH ROW INSERT INTO a (b) VALUES ('trig');
INSERT INTO trig VALUES (1), (2);
UPDATE a, trig SET a.b = 'm', trig.a = 5 WHERE a.i = 1;
CREATE VIEW v AS SELECT 1;
CREATE TABLE ctas SELECT * FROM a;
ALTER TABLE a ADD COLUMN q INT, COMMENT 'it''s';
BEGIN;
INSERT INTO a (b) VALUES ('s');
SAVEPOINT s1;
INSERT INTO a (b) VALUES ('t');
ROLLBACK TO s1;
COMMIT;
CREATE TABLE `t``1` (a INT);
INSERT INTO `t``1` VALUES (1);
CREATE TABLE my (a INT) ENGINE = MyISAM;
INSERT INTO my VALUES (1);
INSERT INTO a (b) SELECT REPEAT('x', 8000) FROM a LIMIT 4;
XA START 'one', 'two', 3;
DELETE FROM a LIMIT 1;
XA END 'one', 'two', 3;
XA PREPARE 'one', 'two', 3;
XA ROLLBACK 'one', 'two', 3;
XA START x'00ff';
DELETE FROM a LIMIT 1;
XA END x'00ff';
XA COMMIT x'00ff' ONE PHASE;
DELETE FROM a;
TRUNCATE a;
DROP TABLE IF EXISTS a, nosuch;
"#;

/// What MariaDB alone knows.
const MARIADB: &str = "
CREATE TABLE phases (a INT);
SET SESSION binlog_alter_two_phase = 1;
ALTER TABLE phases ADD COLUMN b INT;
ALTER TABLE phases ENGINE = InnoDB;
";

fn ours(log: &[u8]) -> Vec<u8> {
    let (mut framer, mut out) = (Framer::new(), ToolBuffer::default());
    let mut tool = ToolText::new(ToolUtc);
    while let Step::Event(event) =
        framer.next(&log[framer.position() as usize..]).expect("a right log")
    {
        tool.event(&event, framer.format(), &mut out).expect("a right event");
    }
    tool.finish(&mut out);
    out.text
}

fn theirs(server: &Server, log: &str) -> Vec<u8> {
    let name = if server.is_mysql() { "mysqlbinlog" } else { "mariadb-binlog" };
    let done = Command::new(server.tool(name))
        .args(["-v", "--base64-output=DECODE-ROWS"])
        .arg(server.log_path(log))
        .env("TZ", "UTC")
        .output()
        .expect("the server's tool");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// The lines, without rows of other databases.
fn lines(text: &[u8], database: &str) -> Vec<String> {
    let (mut lines, mut mine) = (Vec::new(), true);
    let beginning = format!(" `{database}`.");
    for line in text.split(|byte| *byte == b'\n') {
        let text = line.escape_ascii().to_string();
        if ["### INSERT", "### UPDATE", "### DELETE"].iter().any(|verb| text.starts_with(verb)) {
            mine = text.contains(&beginning);
        }
        if mine || !text.starts_with("###") || text.starts_with("### ALTER") {
            lines.push(text);
        }
    }
    lines
}

#[test]
fn logs_are_what_the_servers_own_tools_print() {
    for server in servers() {
        let database = "real_tool";
        let log = server.new_log();
        let own = if server.is_mysql() { "" } else { MARIADB };
        server.ask(&format!(
            "DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database}; USE {database}; {DEEDS} \
             {own}"
        ));
        server.ask(&format!("DROP DATABASE {database}"));
        server.new_log();
        let bytes = std::fs::read(server.log_path(&log)).expect("a log");
        let (ours, theirs) =
            (lines(&ours(&bytes), database), lines(&theirs(&server, &log), database));
        for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours, theirs, "{}: line {}", server.kind(), number + 1);
        }
        assert_eq!(ours.len(), theirs.len(), "{}", server.kind());
        assert!(ours.len() > 400, "{}: {} lines", server.kind(), ours.len());
    }
}
