//! Transactions of real servers: what each adds up to.

mod common;

use binlog::{
    Event, Interest, Outcome, RawEvent, Reader, Rows, Sink, Statement, Table, Transaction,
};
use common::{SERVERS, expected, fixture, folder};

/// One line a transaction: its end, what it is, its tables with rows, its statements.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    statements: Vec<String>,
    rows: u64,
    threads: Vec<Option<binlog::Thread>>,
    gtids: Vec<String>,
    ends: Vec<(u64, u64)>,
    started: u32,
}

impl Sink for Lines {
    fn table(&mut self, _: &mut Table) -> Interest {
        Interest::Rows
    }

    fn begin(&mut self, _: &Transaction) {
        self.statements.clear();
        self.rows = 0;
    }

    fn statement(&mut self, _: &Transaction, statement: &Statement<'_>) {
        let text = String::from_utf8_lossy(statement.sql);
        let words: Vec<&str> = text.split_whitespace().take(3).collect();
        self.statements.push(words.join(" "));
    }

    fn rows(&mut self, _: &Transaction, rows: &mut Rows<'_>) {
        self.rows += rows.count().expect("rows");
    }

    fn end(&mut self, transaction: &Transaction) {
        let mut line = match transaction.outcome {
            Outcome::Committed => "committed".to_string(),
            Outcome::RolledBack => "rolled back".to_string(),
            Outcome::Prepared => "prepared".to_string(),
            other => format!("{other:?}"),
        };
        if transaction.ddl {
            line += " ddl";
        }
        if transaction.xid.is_some() {
            line += " xid";
        }
        if let Some(xa) = &transaction.xa {
            line += &format!(" xa={}", String::from_utf8_lossy(&xa.global));
        }
        let mut rows = 0;
        for count in &transaction.tables {
            let name = String::from_utf8_lossy(&count.table.name);
            line += &format!(" {name}+{}~{}-{}", count.inserts, count.updates, count.deletes);
            rows += count.inserts + count.updates + count.deletes;
        }
        assert_eq!(rows, self.rows, "{line}");
        assert_eq!(transaction.statements as usize, self.statements.len());
        line += &format!(" | {}", self.statements.join("; "));
        self.lines.push(line);
        self.threads.push(transaction.thread);
        self.gtids.push(transaction.gtid.expect("a GTID").to_string());
        self.ends.push((transaction.start, transaction.end));
    }

    fn other(&mut self, _: &RawEvent<'_>, event: &Event<'_>) {
        if let Event::FormatDescription(format) = event {
            self.started += u32::from(format.created() != 0);
        }
    }

    fn damaged(&mut self, error: &binlog::Error) {
        panic!("{error}");
    }
}

fn read(log: &[u8]) -> Lines {
    let mut lines = Lines::default();
    let mut reader = Reader::new();
    reader.read(log, &mut lines).expect("a right log");
    let end = reader.finish(&mut lines);
    assert!(end.closed && !end.unfinished);
    assert_eq!(end.position, log.len() as u64);
    lines
}

const MARIADB: &str = "\
committed ddl | CREATE TABLE t
committed ddl | CREATE TABLE u
committed ddl | CREATE TABLE m
committed xid t+1~0-0 | INSERT INTO t
committed xid t+2~3-0 u+3~0-1 | INSERT INTO t; UPDATE t SET; INSERT INTO u; DELETE FROM u
committed m+1~0-0 | INSERT INTO m
committed m+1~0-0 | INSERT INTO m
committed m+1~0-0 | INSERT INTO m
committed xid t+2~0-0 | INSERT INTO t; SAVEPOINT `one`; INSERT INTO t; ROLLBACK TO `one`
prepared xa=global t+1~0-0 | INSERT INTO t; XA END X'676c6f62616c',X'6272616e6368',7
committed xa=global | XA COMMIT X'676c6f62616c',X'6272616e6368',7
prepared xa=two t+1~0-0 | INSERT INTO t; XA END X'74776f',X'',1
rolled back xa=two | XA ROLLBACK X'74776f',X'',1
committed xid t+1~0-0 | INSERT INTO t
committed ddl xid copied+6~0-0 | CREATE TABLE `copied`; CREATE TABLE copied
committed ddl | ALTER TABLE t
committed ddl | TRUNCATE TABLE u
committed ddl | DROP TABLE `m`,`copied`
committed ddl | CREATE USER 'forged'@'localhost'
committed ddl | DROP USER 'forged'@'localhost'
committed ddl | ANALYZE TABLE t";

const MYSQL: &str = "\
committed ddl | CREATE TABLE t
committed ddl | CREATE TABLE u
committed ddl | CREATE TABLE m
committed xid t+1~0-0 | INSERT INTO t
committed xid t+2~3-0 u+3~0-1 | INSERT INTO t; UPDATE t SET; INSERT INTO u; DELETE FROM u
committed m+1~0-0 | INSERT INTO m
committed xid t+1~0-0 | INSERT INTO t; SAVEPOINT `one`
prepared xa=global t+1~0-0 | XA START X'676c6f62616c',X'6272616e6368',7; INSERT INTO t; XA END X'676c6f62616c',X'6272616e6368',7
committed xa=global | XA COMMIT X'676c6f62616c',X'6272616e6368',7
prepared xa=two t+1~0-0 | XA START X'74776f',X'',1; INSERT INTO t; XA END X'74776f',X'',1
rolled back xa=two | XA ROLLBACK X'74776f',X'',1
committed xa=three t+1~0-0 | XA START X'7468726565',X'',1; INSERT INTO t; XA END X'7468726565',X'',1
committed ddl xid copied+6~0-0 | CREATE TABLE `copied`; CREATE TABLE copied
committed ddl | ALTER TABLE t
committed ddl | TRUNCATE TABLE u
committed ddl | DROP TABLE `m`
committed ddl | DROP TABLE `copied`
committed ddl | CREATE USER 'forged'@'localhost'
committed ddl | DROP USER 'forged'@'localhost'
committed ddl | ANALYZE TABLE t
committed xid t+1~0-0 | INSERT INTO t";

#[test]
fn every_kind_of_transaction() {
    for server in SERVERS {
        let lines = read(&fixture(&format!("{server}-transactions.binlog")));
        let wanted = if server.starts_with("mysql") { MYSQL } else { MARIADB };
        let found = lines.lines.join("\n");
        assert_eq!(found, wanted, "{server}:\n{found}");
        if server.starts_with("mysql") {
            assert!(lines.gtids.last().is_some_and(|gtid| gtid.contains(":marked:1")));
        }
    }
}

/// The connection is known wherever the log tells it, and is the one that did it.
#[test]
fn the_connection_of_each_transaction() {
    for server in SERVERS {
        for scenario in ["transactions", "types", "minimal", "compressed", "statement-format"] {
            let name = format!("{server}-{scenario}");
            let lines = read(&fixture(&format!("{name}.binlog")));
            let id = expected(&folder(), &name)[0]["connection"].as_u64().expect("an id") as u32;
            for (line, thread) in lines.lines.iter().zip(&lines.threads) {
                match thread {
                    Some(thread) => {
                        assert_eq!((thread.id, thread.disputed), (id, false), "{name}: {line}");
                    }
                    // MariaDB before 11.5 tells none of transactions of rows alone.
                    None => assert!(server == "mariadb-10.11" && line.contains("xid"), "{line}"),
                }
            }
        }
    }
}

#[test]
fn transactions_adjoin_and_can_be_read_from_any_of_them() {
    for server in SERVERS {
        let log = fixture(&format!("{server}-transactions.binlog"));
        let whole = read(&log);
        for (pair, ends) in whole.ends.windows(2).enumerate() {
            assert_eq!(ends[0].1, ends[1].0, "{server}: after {}", whole.lines[pair]);
        }
        let mut reader = Reader::new();
        reader.read(&log, &mut Lines::default()).expect("a right log");
        for (index, &(start, _)) in whole.ends.iter().enumerate() {
            let mut lines = Lines::default();
            let mut resumed = Reader::resume(start, *reader.format());
            resumed.read(&log[start as usize..], &mut lines).expect("a right log");
            assert_eq!(lines.lines, whole.lines[index..]);
        }
    }
}

#[test]
fn the_format_description_tells_where_a_run_begins() {
    let mut lines = Lines::default();
    Reader::new().read(&fixture("smallest.binlog"), &mut lines).expect("a right log");
    assert_eq!(lines.started, 1);
    let mut lines = Lines::default();
    Reader::new().read(&fixture("mariadb-11.8-minimal.binlog"), &mut lines).expect("a right log");
    assert_eq!(lines.started, 0);
}
