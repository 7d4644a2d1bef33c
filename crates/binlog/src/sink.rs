//! What a [`Reader`](crate::Reader) tells, and whom.

use crate::error::Error;
use crate::event::Event;
use crate::frame::RawEvent;
use crate::rows::Rows;
use crate::table_map::Table;
use crate::tables::Interest;
use crate::transaction::Transaction;

/// Where the text of a statement comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatementKind {
    /// It is what replicas run (statement format, DDL, savepoints, XA).
    Query,
    /// LOAD DATA that replicas run.
    Load,
    /// It is told beside the rows that it changed.
    Annotation,
}

/// A statement of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement<'a> {
    /// Where its text comes from.
    pub kind: StatementKind,
    /// Its text, raw.
    pub sql: &'a [u8],
    /// The default database; empty where none or not told.
    pub database: &'a [u8],
    /// The connection, where told.
    pub thread_id: Option<u32>,
    /// MariaDB: the query id of a DDL, where told.
    pub query_id: Option<u64>,
    /// The position of its event (of the payload around it).
    pub position: u64,
    /// When it began, seconds since 1970, UTC.
    pub time: u32,
    /// How many seconds it took, where told.
    pub seconds: u32,
    /// The error that it ended with; 0 for none.
    pub error: u16,
}

/// Is told what a log holds, in its order.
pub trait Sink {
    /// A transaction begins; little of it is known yet.
    fn begin(&mut self, transaction: &Transaction) {
        let _ = transaction;
    }

    /// A table is described for the first time, or otherwise than before: what of its rows is
    /// wanted? What is known of it from elsewhere (names of columns, signs) may be added.
    fn table(&mut self, table: &mut Table) -> Interest {
        let _ = table;
        Interest::Count
    }

    /// A statement of the transaction. `BEGIN`, `COMMIT` and `ROLLBACK` are not told.
    fn statement(&mut self, transaction: &Transaction, statement: &Statement<'_>) {
        let _ = (transaction, statement);
    }

    /// Rows of a table that [`Interest::Rows`] was answered for; those not read here are passed
    /// over. `transaction` does not count them yet. Damaged rows end with an error of
    /// [`Rows::read`], which [`Sink::damaged`] is told too.
    fn rows(&mut self, transaction: &Transaction, rows: &mut Rows<'_>) {
        let _ = (transaction, rows);
    }

    /// The transaction is over; everything of it is known.
    fn end(&mut self, transaction: &Transaction) {
        let _ = transaction;
    }

    /// An event outside of transactions: format descriptions, rotations, incidents and such.
    fn other(&mut self, raw: &RawEvent<'_>, event: &Event<'_>) {
        let _ = (raw, event);
    }

    /// An event that cannot be read. What follows is read all the same.
    fn damaged(&mut self, error: &Error) {
        let _ = error;
    }
}
