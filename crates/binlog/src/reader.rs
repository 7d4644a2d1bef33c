//! Events to transactions, as they come: nothing of a transaction is held but its sums.
//!
//! A group begins with a GTID event. MariaDB's says whether the group is one event (`STANDALONE`) or
//! ends with Xid, `COMMIT`, `ROLLBACK` or XA_prepare; of MySQL's, the next event tells (`BEGIN`, `XA
//! START`, or a statement that is all). Logs without GTIDs have `BEGIN` or single statements.
//!
//! # Invariants
//! * Memory does not grow with a transaction: see [`TABLE_MAPS_MAX`](crate::TABLE_MAPS_MAX) and
//!   [`TRANSACTION_TABLES_MAX`](crate::TRANSACTION_TABLES_MAX).
//! * Each event is told of once, or belongs to the transaction that is told of, or is counted as
//!   passed over; one that cannot be read is told of as damaged, and the next is read all the same.

use std::sync::Arc;

use crate::bytes::Cut;
use crate::error::{Error, Malformed};
use crate::event::Event;
use crate::format::Format;
use crate::frame::{Framer, Header, RawEvent, Step};
use crate::gtid::{MariaDbGtid, MySqlGtid};
use crate::kind::EventType;
use crate::payload::Payload;
use crate::query::Query;
use crate::rows::{RowsEvent, RowsHead};
use crate::sink::{Sink, Statement, StatementKind};
use crate::stream::{Ended, Inner, Stream};
use crate::table_map::Table;
use crate::tables::{Interest, Tables};
use crate::transaction::{
    Outcome, TRANSACTION_TABLES_MAX, TableCount, ThreadEvidence, Transaction, XaName,
};

/// How long a compressed transaction may be to be held whole, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;

/// How far a log was read, when it is given up or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The position behind the last whole event.
    pub position: u64,
    /// Where to go on for the sake of whole transactions: the beginning of the one that is not
    /// finished, else as above.
    pub resume: u64,
    /// Whether a transaction was not finished.
    pub unfinished: bool,
    /// Whether the last event was a Rotate or Stop: then nothing follows in this file.
    pub closed: bool,
}

/// Reads transactions from the bytes of one log.
///
/// ```
/// struct Tables(Vec<String>);
///
/// impl binlog::Sink for Tables {
///     fn end(&mut self, transaction: &binlog::Transaction) {
///         for count in &transaction.tables {
///             self.0.push(format!(
///                 "{} {} +{}",
///                 transaction.gtid.map_or_else(String::new, |gtid| gtid.to_string()),
///                 String::from_utf8_lossy(&count.table.name),
///                 count.inserts,
///             ));
///         }
///     }
/// }
///
/// # fn main() -> Result<(), binlog::Error> {
/// let log = include_bytes!("../../../tests/fixtures/binlog/mariadb-11.8-no-checksum.binlog");
/// let mut tables = Tables(Vec::new());
/// let mut reader = binlog::Reader::new();
/// // A file would be read in pieces; what is behind `position` is given again, with more.
/// reader.read(log, &mut tables)?;
/// assert!(reader.finish(&mut tables).closed);
/// assert_eq!(tables.0.len(), 1);
/// assert!(tables.0[0].ends_with(" n +2"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reader {
    framer: Framer,
    state: State,
    /// A payload that is read while it comes.
    stream: Option<Stream>,
    payload_bytes_max: usize,
}

#[derive(Debug)]
struct State {
    tables: Tables,
    transaction: Transaction,
    /// A transaction is open.
    within: bool,
    closed: bool,
    /// Events that were passed over, by kind.
    passed_over: Box<[u64; 256]>,
}

impl Default for Reader {
    fn default() -> Self {
        Reader::new()
    }
}

impl Reader {
    /// At the beginning of a file.
    pub fn new() -> Self {
        Reader::over(Framer::new())
    }

    /// At the beginning of a transaction ([`Transaction::start`], [`End::resume`]) of a file with
    /// this format description.
    pub fn resume(position: u64, format: Format) -> Self {
        Reader::over(Framer::resume(position, format))
    }

    /// With a framer of the caller's: for streams, or without checksums.
    pub fn over(framer: Framer) -> Self {
        let state = State {
            tables: Tables::default(),
            transaction: Transaction::new(),
            within: false,
            closed: false,
            passed_over: Box::new([0; 256]),
        };
        Reader { framer, state, stream: None, payload_bytes_max: PAYLOAD_BYTES_MAX }
    }

    /// Sets how long a compressed transaction (MySQL) may be to be held whole, instead of
    /// [`PAYLOAD_BYTES_MAX`]. Longer ones are read while they come, and their checksum is compared
    /// only behind them.
    pub fn payload_bytes_max(mut self, bytes: usize) -> Self {
        self.payload_bytes_max = bytes;
        self
    }

    /// Where the next event begins.
    pub fn position(&self) -> u64 {
        self.framer.position()
    }

    /// How events are written, by the newest format description.
    pub fn format(&self) -> &Format {
        self.framer.format()
    }

    /// The transaction that is open, if one is.
    pub fn open(&self) -> Option<&Transaction> {
        self.state.within.then_some(&self.state.transaction)
    }

    /// How many events of which kinds were passed over: unknown ones, and such that say nothing
    /// about changes.
    pub fn passed_over(&self) -> impl Iterator<Item = (EventType, u64)> + '_ {
        (0..=255).map(EventType).zip(self.state.passed_over.iter().copied()).filter(|(_, n)| *n > 0)
    }

    /// Reads all whole events at the front of `bytes`, which begin at [`Reader::position`]. That
    /// moves behind what was used, also where an error is returned. The answer is how many bytes
    /// the next event needs, counted from there.
    ///
    /// # Errors
    /// Where what stands at the position cannot be framed; [`Reader::skip`] goes on behind it.
    pub fn read<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<usize, Error> {
        let start = self.framer.position();
        loop {
            let used = (self.framer.position() - start) as usize;
            if self.stream.is_some() {
                match self.read_stream(&bytes[used..], sink) {
                    0 => continue,
                    wanted => return Ok(wanted),
                }
            }
            match self.framer.next(&bytes[used..])? {
                Step::Event(event) => self.state.take(&event, self.framer.format(), sink),
                Step::Incomplete { needed } if needed > self.payload_bytes_max => {
                    let used = (self.framer.position() - start) as usize;
                    if !self.begin_stream(&bytes[used..], sink) {
                        return Ok(needed);
                    }
                    if self.stream.is_none() {
                        return Ok(Stream::HEAD_BYTES);
                    }
                }
                Step::Incomplete { needed } => return Ok(needed),
            }
        }
    }

    /// Begins to read a payload that is too long to be held; false where the event is none, or
    /// cannot be read so.
    fn begin_stream<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> bool {
        let Some(header) = Header::parse(bytes) else { return false };
        let long_enough = header.length as usize >= Stream::HEAD_BYTES + 4;
        if header.kind != EventType::TRANSACTION_PAYLOAD || !long_enough {
            return false;
        }
        let Some(front) = bytes.get(..Stream::HEAD_BYTES) else { return true };
        let (position, format) = (self.framer.position(), self.framer.format());
        let begun = Stream::begin(header, position, front, format, self.framer.verifies());
        // What is wrong with it is found again when all of it is there.
        let Ok((stream, used)) = begun else { return false };
        self.framer.advance(used);
        self.state.begin_stream(&stream.raw, sink);
        self.stream = Some(stream);
        true
    }

    /// Reads on in a payload; tells how many more bytes it wants.
    fn read_stream<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> usize {
        let Some(stream) = &mut self.stream else { return 0 };
        let state = &mut self.state;
        let tell = &mut |event: &RawEvent<'_>, format: &Format| state.take(event, format, sink);
        let (used, ended, read) = stream.take(bytes, tell);
        self.framer.advance(used);
        let Header { kind, length, .. } = stream.raw.header;
        let position = stream.raw.position;
        let wrong = (ended == Ended::WrongChecksum).then_some(Error::Checksum {
            position,
            length,
            event: kind,
        });
        let malformed = read.err().map(|malformed| Error::malformed(position, kind, malformed));
        for error in malformed.into_iter().chain(wrong) {
            self.state.unread(&error, sink);
        }
        match ended {
            Ended::Open => stream.wanted(),
            Ended::Right | Ended::WrongChecksum => {
                self.stream = None;
                0
            }
        }
    }

    /// Goes on behind the damaged event at the front of `bytes`; false where its length cannot be
    /// right.
    pub fn skip(&mut self, bytes: &[u8]) -> bool {
        let skipped = self.framer.skip(bytes).is_some();
        if skipped && self.state.within {
            self.state.transaction.unread += 1;
            self.state.transaction.end = self.framer.position();
        }
        skipped
    }

    /// Nothing follows for now: an open transaction is told of as unfinished.
    pub fn finish<S: Sink>(&mut self, sink: &mut S) -> End {
        let position = self.stream.as_ref().map_or(self.framer.position(), |s| s.raw.position);
        let unfinished = self.state.within;
        let resume = if unfinished { self.state.transaction.start } else { position };
        self.state.end(Outcome::Unfinished, sink);
        End { position, resume, unfinished, closed: self.state.closed }
    }
}

impl State {
    fn take<S: Sink>(&mut self, raw: &RawEvent<'_>, format: &Format, sink: &mut S) {
        self.closed = false;
        if let Err(error) = self.event(raw, format, sink) {
            self.unread(&error, sink);
        }
    }

    fn unread<S: Sink>(&mut self, error: &Error, sink: &mut S) {
        self.transaction.unread += u64::from(self.within);
        sink.damaged(error);
    }

    /// A payload begins whose events come one by one.
    fn begin_stream<S: Sink>(&mut self, raw: &RawEvent<'_>, sink: &mut S) {
        self.closed = false;
        self.within(raw, sink);
        self.transaction.compressed = true;
    }

    fn event<S: Sink>(
        &mut self,
        raw: &RawEvent<'_>,
        format: &Format,
        sink: &mut S,
    ) -> Result<(), Error> {
        let kind = raw.header.kind;
        let malformed = |malformed| Error::malformed(raw.position, kind, malformed);
        match kind {
            EventType::TABLE_MAP => {
                self.within(raw, sink);
                let ask = |table: &mut Table| sink.table(table);
                self.tables.take(raw.body, format, ask).map_err(malformed)
            }
            kind if kind.is_rows() => {
                self.within(raw, sink);
                self.rows(raw, format, sink).map_err(malformed)
            }
            EventType::INTVAR
            | EventType::RAND
            | EventType::USER_VAR
            | EventType::BEGIN_LOAD_QUERY
            | EventType::APPEND_BLOCK
            | EventType::DELETE_FILE => {
                self.within(raw, sink);
                Ok(())
            }
            EventType::PARTIAL_ROW_DATA
            | EventType::PRE_GA_WRITE_ROWS
            | EventType::PRE_GA_UPDATE_ROWS
            | EventType::PRE_GA_DELETE_ROWS => {
                self.within(raw, sink);
                self.passed_over[kind.0 as usize] += 1;
                Err(malformed(Malformed::new("its rows are of a layout that is not read")))
            }
            _ => self.decoded(raw, &raw.decode(format)?, format, sink).map_err(malformed),
        }
    }

    fn decoded<S: Sink>(
        &mut self,
        raw: &RawEvent<'_>,
        event: &Event<'_>,
        format: &Format,
        sink: &mut S,
    ) -> Result<(), Malformed> {
        match event {
            Event::MariaDbGtid(gtid) => self.begin_mariadb(raw, gtid, sink),
            Event::MySqlGtid(gtid) => self.begin_mysql(raw, gtid, sink),
            Event::Query(query) => self.query(raw, query, StatementKind::Query, sink),
            Event::ExecuteLoad(load) => self.query(raw, &load.query, StatementKind::Load, sink),
            Event::AnnotateRows(sql) | Event::RowsQuery(sql) => {
                self.within(raw, sink);
                let statement = Statement {
                    kind: StatementKind::Annotation,
                    sql,
                    database: b"",
                    thread_id: None,
                    query_id: None,
                    position: raw.position,
                    time: raw.header.timestamp,
                    seconds: 0,
                    error: 0,
                };
                self.transaction.statements += 1;
                sink.statement(&self.transaction, &statement);
            }
            Event::Xid(xid) => {
                self.within(raw, sink);
                self.transaction.xid = Some(*xid);
                self.end(Outcome::Committed, sink);
            }
            Event::XaPrepare { one_phase, id } => {
                self.within(raw, sink);
                self.transaction.xa = Some((*id).into());
                let outcome = if *one_phase { Outcome::Committed } else { Outcome::Prepared };
                self.end(outcome, sink);
            }
            Event::TransactionPayload(payload) => {
                self.within(raw, sink);
                self.transaction.compressed = true;
                self.payload(raw, payload, format, sink)?;
            }
            _ => self.outside(raw, event, sink),
        }
        Ok(())
    }

    /// Events that belong to no transaction.
    fn outside<S: Sink>(&mut self, raw: &RawEvent<'_>, event: &Event<'_>, sink: &mut S) {
        match event {
            Event::FormatDescription(_) => {
                self.end(Outcome::Unfinished, sink);
                self.tables.forget();
            }
            // An incident has a GTID of its own and nothing else.
            Event::Incident { .. } if self.within => {
                self.within(raw, sink);
                self.end(Outcome::Committed, sink);
            }
            // Those that replication makes up say nothing about the file.
            Event::Rotate { .. } | Event::Stop if raw.header.timestamp != 0 => {
                self.end(Outcome::Unfinished, sink);
                self.closed = true;
            }
            Event::Other => self.passed_over[raw.header.kind.0 as usize] += 1,
            _ => {}
        }
        sink.other(raw, event);
    }

    /// Counts an event to the open transaction; opens one where a log has no GTIDs.
    #[inline]
    fn within<S: Sink>(&mut self, raw: &RawEvent<'_>, sink: &mut S) {
        if !self.within {
            self.open(raw);
            sink.begin(&self.transaction);
        }
        self.transaction.events += 1;
        self.transaction.end = raw.end();
        self.transaction.note_time(raw.header.timestamp);
    }

    fn open(&mut self, raw: &RawEvent<'_>) {
        self.transaction.restart();
        self.within = true;
        let transaction = &mut self.transaction;
        transaction.server_id = raw.header.server_id;
        transaction.start = raw.position;
        transaction.end = raw.end();
        transaction.time = raw.header.timestamp;
    }

    fn end<S: Sink>(&mut self, outcome: Outcome, sink: &mut S) {
        if std::mem::take(&mut self.within) {
            self.transaction.outcome = outcome;
            sink.end(&self.transaction);
        }
    }

    fn begin_mariadb<S: Sink>(&mut self, raw: &RawEvent<'_>, gtid: &MariaDbGtid<'_>, sink: &mut S) {
        self.end(Outcome::Unfinished, sink);
        self.open(raw);
        let transaction = &mut self.transaction;
        transaction.gtid = Some(gtid.gtid(raw.header.server_id));
        transaction.ddl = gtid.flags & MariaDbGtid::FLAG_DDL != 0;
        transaction.single = gtid.flags & MariaDbGtid::FLAG_STANDALONE != 0;
        transaction.xa = gtid.xa.map(Into::into);
        if let Some(id) = gtid.thread_id {
            transaction.note_thread(id, ThreadEvidence::Gtid);
        }
        sink.begin(&self.transaction);
        self.within(raw, sink);
    }

    fn begin_mysql<S: Sink>(&mut self, raw: &RawEvent<'_>, gtid: &MySqlGtid, sink: &mut S) {
        self.end(Outcome::Unfinished, sink);
        self.open(raw);
        self.transaction.gtid = gtid.gtid;
        self.transaction.committed_us = gtid.committed_us;
        sink.begin(&self.transaction);
        self.within(raw, sink);
    }

    fn query<S: Sink>(
        &mut self,
        raw: &RawEvent<'_>,
        query: &Query<'_>,
        kind: StatementKind,
        sink: &mut S,
    ) {
        self.within(raw, sink);
        let transaction = &mut self.transaction;
        transaction.note_thread(query.thread_id, ThreadEvidence::Query);
        transaction.seconds = transaction.seconds.max(query.seconds);
        if query.is("BEGIN") {
            transaction.single = false;
            return;
        }
        if query.is("COMMIT") {
            return self.end(Outcome::Committed, sink);
        }
        if query.is("ROLLBACK") {
            return self.end(Outcome::RolledBack, sink);
        }
        if query.begins("ROLLBACK TO") {
            transaction.partial_rollbacks += 1;
        }
        transaction.statements += 1;
        let query_id = query.variables.xid();
        let statement = Statement {
            kind,
            sql: &query.sql,
            database: query.database,
            thread_id: Some(query.thread_id),
            query_id,
            position: raw.position,
            time: raw.header.timestamp,
            seconds: query.seconds,
            error: query.error,
        };
        sink.statement(&self.transaction, &statement);
        self.after_query(query, sink);
    }

    /// Whether a statement ends its transaction.
    fn after_query<S: Sink>(&mut self, query: &Query<'_>, sink: &mut S) {
        if query.begins("XA START") || query.begins("XA BEGIN") {
            self.transaction.single = false;
        } else if query.begins("XA COMMIT") {
            self.end_xa(query, Outcome::Committed, sink);
        } else if query.begins("XA ROLLBACK") {
            self.end_xa(query, Outcome::RolledBack, sink);
        } else if query.begins("CREATE") && ends_with(&query.sql, b"START TRANSACTION") {
            // CREATE TABLE … SELECT of MySQL 8.0.21 and newer: its rows and an Xid follow.
            self.transaction.ddl = true;
            self.transaction.single = false;
        } else if self.transaction.single {
            // Without a BEGIN there is nothing but statements that commit by themselves.
            self.transaction.ddl |= !is_dml(query);
            self.end(Outcome::Committed, sink);
        }
    }

    /// What was prepared under a name is decided: MySQL tells the name in the text alone.
    fn end_xa<S: Sink>(&mut self, query: &Query<'_>, outcome: Outcome, sink: &mut S) {
        if self.transaction.xa.is_none() {
            self.transaction.xa = XaName::in_statement(&query.sql);
        }
        self.end(outcome, sink);
    }

    fn rows<S: Sink>(
        &mut self,
        raw: &RawEvent<'_>,
        format: &Format,
        sink: &mut S,
    ) -> Result<(), Malformed> {
        let head = RowsHead::parse(&mut Cut::new(raw.body), raw.header.kind, format)?;
        if head.flags & RowsEvent::FLAG_STATEMENT_END != 0 {
            self.tables.statement_ended = true;
        }
        let Some(known) = self.tables.find(head.table_id) else {
            // The end of a statement none of whose tables is logged.
            if matches!(head.table_id, 0x00ff_ffff | 0xffff_ffff_ffff) {
                return Ok(());
            }
            return Err(Malformed::new("its table map is not there; was reading begun amid it?"));
        };
        let table = known.table.clone()?;
        let transaction = &mut self.transaction;
        if known.counted.0 != transaction.serial {
            known.counted = (transaction.serial, transaction.count(&table));
        }
        let place = known.counted.1;
        match transaction.tables.get_mut(place) {
            Some(count) => count.events += 1,
            None => transaction.other_row_events += 1,
        }
        if known.interest == Interest::Ignore {
            return Ok(());
        }
        let interest = known.interest;
        let event = RowsEvent::parse(raw.header.kind, raw.body, format)?;
        let mut rows = event.rows(&table)?;
        if interest == Interest::Rows {
            sink.rows(&self.transaction, &mut rows);
        }
        let number = rows.count()?;
        if let Some(count) = self.transaction.tables.get_mut(place) {
            count.add(event.kind, number);
        }
        Ok(())
    }

    /// Reads the events of a payload.
    fn payload<S: Sink>(
        &mut self,
        raw: &RawEvent<'_>,
        payload: &Payload<'_>,
        format: &Format,
        sink: &mut S,
    ) -> Result<(), Malformed> {
        let mut inner = Inner::new(payload.compression, format)?;
        inner.feed(raw, payload.bytes, &mut |event, format| self.take(event, format, sink))?;
        inner.finish()
    }
}

impl Transaction {
    /// The place where rows of this table are counted; behind all where there are too many.
    fn count(&mut self, table: &Arc<Table>) -> usize {
        let same = |count: &TableCount| {
            Arc::ptr_eq(&count.table, table)
                || count.table.name == table.name && count.table.database == table.database
        };
        if let Some(place) = self.tables.iter().position(same) {
            return place;
        }
        if self.tables.len() < TRANSACTION_TABLES_MAX {
            let table = Arc::clone(table);
            self.tables.push(TableCount { table, inserts: 0, updates: 0, deletes: 0, events: 0 });
            return self.tables.len() - 1;
        }
        usize::MAX
    }
}

fn ends_with(sql: &[u8], words: &[u8]) -> bool {
    let sql = sql.trim_ascii_end();
    let start = sql.len().saturating_sub(words.len());
    sql[start..].eq_ignore_ascii_case(words)
}

/// Whether a statement by itself changes rows, in logs of old servers and of tables without
/// transactions.
fn is_dml(query: &Query<'_>) -> bool {
    ["INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD DATA", "SAVEPOINT"]
        .iter()
        .any(|words| query.begins(words))
}
