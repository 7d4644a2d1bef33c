//! What a group of events adds up to: who, when, which tables, how many rows.

use std::fmt;
use std::sync::Arc;

use crate::gtid::{Gtid, XaId};
use crate::rows::ChangeKind;
use crate::table_map::Table;

/// How many tables of one transaction are counted each by itself; a transaction that touches more is
/// a dump being loaded.
pub const TRANSACTION_TABLES_MAX: usize = 1000;

/// How the connection of a transaction is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThreadEvidence {
    /// The GTID event tells it (MariaDB since 11.5).
    Gtid,
    /// A Query event tells it: `pseudo_thread_id`, which privileged users can set.
    Query,
}

/// The connection that a transaction was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thread {
    /// The connection id; ids start again with each run of the server.
    pub id: u32,
    /// Which event told it.
    pub evidence: ThreadEvidence,
    /// Another event of the transaction tells another one.
    pub disputed: bool,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It has not yet.
    Open,
    /// Its changes hold.
    Committed,
    /// Its changes were taken back, but for those to tables without transactions.
    RolledBack,
    /// XA PREPARE: a later `XA COMMIT` or `XA ROLLBACK` of the same name decides.
    Prepared,
    /// The log goes on, or stops, without its end.
    Unfinished,
}

/// How many rows of a table were changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCount {
    /// The table as first described in the transaction.
    pub table: Arc<Table>,
    /// Rows written.
    pub inserts: u64,
    /// Rows changed.
    pub updates: u64,
    /// Rows removed.
    pub deletes: u64,
    /// Row events; of tables whose rows are not counted, all that is known.
    pub events: u64,
}

impl TableCount {
    pub(crate) fn add(&mut self, kind: ChangeKind, rows: u64) {
        match kind {
            ChangeKind::Insert => self.inserts += rows,
            ChangeKind::Update => self.updates += rows,
            ChangeKind::Delete => self.deletes += rows,
        }
    }
}

/// The name of a transaction in two phases, kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct XaName {
    /// 1 unless the client said otherwise.
    pub format: u32,
    /// Global part, raw.
    pub global: Vec<u8>,
    /// Branch, raw.
    pub branch: Vec<u8>,
}

impl From<XaId<'_>> for XaName {
    fn from(id: XaId<'_>) -> Self {
        XaName { format: id.format, global: id.global.to_vec(), branch: id.branch.to_vec() }
    }
}

impl XaName {
    /// The name in a statement as servers write them into their logs: `XA COMMIT X'7831',X'62',1`
    /// (MySQL `sql/xa.h`, `XID::serialize_xid`; MariaDB `sql/xa.cc`). `None` for any other form.
    pub(crate) fn in_statement(sql: &[u8]) -> Option<XaName> {
        let start = memchr::memmem::find(sql, b" X'")?;
        let mut parts = sql[start + 1..].trim_ascii_end().splitn(3, |&byte| byte == b',');
        let mut hex = || {
            let part = parts.next()?.strip_prefix(b"X'")?.strip_suffix(b"'")?;
            let digit = |byte: u8| char::from(byte).to_digit(16).map(|it| it as u8);
            let pairs = part.chunks_exact(2).map(|it| Some(digit(it[0])? << 4 | digit(it[1])?));
            pairs.collect::<Option<Vec<u8>>>().filter(|_| part.len().is_multiple_of(2))
        };
        let (global, branch) = (hex()?, hex()?);
        let number = parts.next()?.split(|byte| !byte.is_ascii_digit()).next()?;
        let format = std::str::from_utf8(number).ok()?.parse().ok()?;
        Some(XaName { format, global, branch })
    }
}

/// As servers write it: `X'7831',X'62',1`.
impl fmt::Display for XaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.global, &self.branch] {
            f.write_str("X'")?;
            part.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str("',")?;
        }
        write!(f, "{}", self.format)
    }
}

/// A group of events that committed together, or one statement that is a group of its own. Its
/// rows and statements are told to a [`Sink`](crate::Sink) as they come and are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transaction {
    /// Its name; `None` for anonymous ones and in logs without GTIDs.
    pub gtid: Option<Gtid>,
    /// `@@server_id` of the server where it came into being.
    pub server_id: u32,
    /// The position of its first event.
    pub start: u64,
    /// The position behind its last event so far.
    pub end: u64,
    /// The timestamp of its first event, seconds since 1970, UTC.
    pub time: u32,
    /// The lowest timestamp of its events but 0. Users can set them (`SET TIMESTAMP`).
    pub first_time: u32,
    /// The highest.
    pub last_time: u32,
    /// Microseconds since 1970 of the commit, where the log tells (MySQL 8.0 and newer); users
    /// cannot set it.
    pub committed_us: Option<u64>,
    /// The longest duration that one of its statements tells, in seconds; absurd where times were
    /// set.
    pub seconds: u32,
    /// The connection, as far as known so far; complete at its end.
    pub thread: Option<Thread>,
    /// The id that it was committed with. On MariaDB it is the query id of its first statement that
    /// touched a transactional engine; on a replica it is the replica's own.
    pub xid: Option<u64>,
    /// Its name in two phases.
    pub xa: Option<XaName>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it is DDL, or the administration of accounts and such.
    pub ddl: bool,
    /// How many statements it tells the text of.
    pub statements: u64,
    /// How many events it has, those inside a payload included.
    pub events: u64,
    /// The tables whose rows it changed, in the order of their first change; up to
    /// [`TRANSACTION_TABLES_MAX`].
    pub tables: Vec<TableCount>,
    /// Row events of further tables.
    pub other_row_events: u64,
    /// How often part of it was rolled back to a savepoint: rows before that are counted
    /// and told although they do not hold.
    pub partial_rollbacks: u64,
    /// Events that could not be read, and were told of: counts are too low by what they hold.
    pub unread: u64,
    /// Whether its events were compressed as one (MySQL).
    pub compressed: bool,
    /// Set once it knows its end without a COMMIT: one statement, or a MariaDB standalone event.
    pub(crate) single: bool,
    /// How many transactions came before it.
    pub(crate) serial: u64,
}

impl Transaction {
    pub(crate) fn new() -> Self {
        Transaction {
            gtid: None,
            server_id: 0,
            start: 0,
            end: 0,
            time: 0,
            first_time: 0,
            last_time: 0,
            committed_us: None,
            seconds: 0,
            thread: None,
            xid: None,
            xa: None,
            outcome: Outcome::Open,
            ddl: false,
            statements: 0,
            events: 0,
            tables: Vec::new(),
            other_row_events: 0,
            partial_rollbacks: 0,
            unread: 0,
            compressed: false,
            single: true,
            serial: 0,
        }
    }

    /// Begins anew, in the same memory.
    pub(crate) fn restart(&mut self) {
        let serial = self.serial + 1;
        let mut tables = std::mem::take(&mut self.tables);
        tables.clear();
        *self = Transaction { tables, serial, ..Transaction::new() };
    }

    pub(crate) fn note_thread(&mut self, id: u32, evidence: ThreadEvidence) {
        match &mut self.thread {
            None => self.thread = Some(Thread { id, evidence, disputed: false }),
            Some(thread) => thread.disputed |= thread.id != id,
        }
    }

    pub(crate) fn note_time(&mut self, time: u32) {
        if time == 0 {
            return;
        }
        if self.first_time == 0 || time < self.first_time {
            self.first_time = time;
        }
        self.last_time = self.last_time.max(time);
    }

    /// Its length in the log, in bytes.
    pub fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = XaName { format: 1, global: b"x1\xff".to_vec(), branch: b"b".to_vec() };
        assert_eq!(name.to_string(), "X'7831ff',X'62',1");
        for (sql, expected) in [
            ("XA COMMIT X'7831ff',X'62',1", Some(name.clone())),
            ("XA ROLLBACK X'7831FF',X'62',1 /* y */", Some(name)),
            (
                "XA COMMIT X'',X'',4294967295",
                Some(XaName { format: u32::MAX, global: Vec::new(), branch: Vec::new() }),
            ),
            ("XA COMMIT 'x'", None),
            ("XA COMMIT X'7',X'',1", None),
            ("XA COMMIT X'7g',X'',1", None),
            ("XA COMMIT X'78',X''", None),
            ("XA COMMIT X'78',X'',", None),
            ("", None),
        ] {
            assert_eq!(XaName::in_statement(sql.as_bytes()), expected, "{sql}");
        }
    }
}
