//! Binary log bytes in; events, rows and transactions out, of MariaDB and MySQL.
//!
//! ```text
//! bytes of a log ── Framer ─► RawEvent ── decode ─► Event            one at a time, where asked
//!        │                                ├ TableMap ─► Table
//!        │                                └ RowsEvent ── with its Table ─► Rows ─► Change, Value
//!        └───────── Reader ─► Sink                                  transactions, as they come
//!                                ├ write_rows                      rows as mysqlbinlog prints them
//!                                └ SqlTable                        rows as SQL, and what undoes them
//! ```
//!
//! [`Framer`] cuts a log into events and checks their checksums. What is not asked for is not looked
//! at: [`RawEvent::decode`] reads a body, [`TableMap::table`] what a table map tells,
//! [`RowsEvent::rows`] and [`Rows::read`] rows, [`Value`] a value where it is costly. [`Reader`] does
//! all that for whole transactions and tells a [`Sink`] what it wants to know.
//!
//! Three things are told apart: an event, an [`Error`] with its position, and "not complete yet"
//! ([`Step::Incomplete`]), which is neither: more may be written, or the file was cut.
//!
//! # Invariants
//! * No file, clock, environment, network or log: the same bytes give the same answers, always.
//! * No input panics. What is allocated is bounded by the bytes given and by named constants.
//! * Rows and values borrow from the event. Only what is compressed in the log is copied.
//! * Errors hold positions and fixed texts, never bytes of the log: rows hold secrets.
//!
//! # What is read
//! Logs of version 4 (MySQL 5.0 and newer, MariaDB): all events that hold statements, rows or the
//! ends of transactions, compressed or not. Old LOAD DATA events and those of group replication are
//! passed over by their length; rows of MySQL 5.1 before its release and fragments of rows (MariaDB
//! 12.3, PARTIAL_ROW_DATA) are told of as not readable. Encrypted logs and those inside InnoDB are
//! recognised.

mod bytes;
mod collations;
mod column;
mod compressed;
mod decimal;
mod error;
mod event;
mod format;
mod frame;
mod gtid;
mod json;
mod json_tree;
mod kind;
mod literal;
mod payload;
mod query;
mod reader;
mod rows;
mod short;
mod sink;
mod sql;
mod stream;
mod table_map;
mod tables;
mod temporal;
mod text;
mod tool;
mod transaction;
pub mod undo;
pub mod value;

pub use column::{Column, ColumnKind};
pub use decimal::Decimal;
pub use error::{Error, Malformed};
pub use event::{Event, UserValue, UserVar};
pub use format::{Checksum, Family, Format};
pub use frame::{
    EVENT_BYTES_MAX, FLAG_ARTIFICIAL, FLAG_IN_USE, FLAG_THREAD_SPECIFIC, Framer, HEADER_BYTES,
    Header, MAGIC, MAGIC_ENCRYPTED, MAGIC_INNODB, RawEvent, Step,
};
pub use gtid::{
    Gtid, GtidList, GtidRange, MariaDbGtid, MySqlGtid, PreviousGtids, TAG_BYTES_MAX, Tag, XaId,
    format_uuid,
};
pub use json::{Json, JsonDiff, JsonDiffs, JsonOperation};
pub use kind::EventType;
pub use payload::{Payload, PayloadReader};
pub use query::{LoadQuery, Query, Variable, Variables};
pub use reader::{End, PAYLOAD_BYTES_MAX, Reader};
pub use rows::{Change, ChangeKind, Rows, RowsEvent, RowsHead};
pub use sink::{Sink, Statement, StatementKind};
pub use sql::{SqlError, SqlTable, write_sql_preamble};
pub use table_map::{COLUMNS_MAX, KeyPart, Table, TableMap};
pub use tables::{Interest, TABLE_MAPS_MAX};
pub use temporal::{Date, DateTime, Time, Timestamp};
pub use text::write_rows;
pub use tool::{
    TOOL_HEADS_BYTES_MAX, TOOL_WAITING_BYTES_MAX, ToolBuffer, ToolOutput, ToolText, ToolUtc,
    ToolZone,
};
pub use transaction::{
    Outcome, TRANSACTION_TABLES_MAX, TableCount, Thread, ThreadEvidence, Transaction, XaName,
};
pub use value::{Bits, Value};
