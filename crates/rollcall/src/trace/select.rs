//! Which transactions are asked for, and what is kept of them: the sink of the first reading.
//!
//! # Invariants
//! * Rows are decoded only where `--where` asks for values of their table, counted only where the table is
//!   asked for.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use binlog::{
    Change, ChangeKind, Event, Family, Gtid, Interest, Outcome, RawEvent, Rows, Sink, Statement,
    StatementKind, Table, ThreadEvidence, Transaction, XaName,
};
use verdict::trace::{Head, TEXT_BYTES_MAX, Text, ToldThread, mentions};

use super::cell::Cell;
use super::names::Names;
use crate::cli::TraceKind;

/// How many statements of a transaction are kept to be looked for in an audit log.
const TEXTS_MAX: usize = 4;

/// What heads may weigh before they are traced: what is joined with them weighs about the same again.
const BATCH_BYTES_MAX: usize = 14 << 20;

/// How many tables without names of columns are named.
const UNNAMED_MAX: usize = 10;

/// How many prepared transactions are remembered until their end comes.
const PREPARED_MAX: usize = 10_000;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filters {
    /// From this time on, microseconds UTC.
    pub(crate) since: Option<i64>,
    /// Before this time.
    pub(crate) until: Option<i64>,
    pub(crate) table: Option<TablePattern>,
    pub(crate) kind: Option<TraceKind>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) gtid: Option<String>,
    /// In the text of a statement, but for case.
    pub(crate) statement: Option<Vec<u8>>,
    /// What was prepared (XA) and asked for: its end as well, whoever made that, and whatever it names.
    pub(crate) has_xa_ends: bool,
}

impl Filters {
    /// Nothing is chosen: all is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Filters::default()
    }
}

/// A table, of one schema or of any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TablePattern {
    pub(crate) schema: Option<Vec<u8>>,
    pub(crate) table: Vec<u8>,
}

impl TablePattern {
    /// `schema.table`, or `table` of any schema.
    pub(crate) fn parse(text: &[u8]) -> TablePattern {
        match text.iter().position(|&byte| byte == b'.') {
            Some(point) => TablePattern {
                schema: Some(text[..point].to_vec()),
                table: text[point + 1..].to_vec(),
            },
            None => TablePattern { schema: None, table: text.to_vec() },
        }
    }

    pub(crate) fn fits(&self, schema: &[u8], table: &[u8]) -> bool {
        self.schema.as_ref().is_none_or(|it| it.eq_ignore_ascii_case(schema))
            && self.table.eq_ignore_ascii_case(table)
    }

    fn is_named_in(&self, statement: &Statement<'_>) -> bool {
        let database = statement.database;
        let schema = self.schema.as_deref().unwrap_or(database);
        mentions(statement.sql, database, schema, &self.table)
    }
}

/// A column that has a value before or after the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) column: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Condition {
    /// The place of its column: by name, or by number as `@1`.
    pub(crate) fn place(&self, table: &Table) -> Option<usize> {
        let number = self.column.strip_prefix(b"@").and_then(|it| std::str::from_utf8(it).ok());
        if let Some(number) = number.and_then(|it| it.parse::<usize>().ok()) {
            return number.checked_sub(1).filter(|&place| place < table.columns.len());
        }
        let is_it = |name: &[u8]| name.eq_ignore_ascii_case(&self.column);
        table.columns.iter().position(|it| it.name.as_deref().is_some_and(is_it))
    }
}

/// Whether a change has all these values, each before or after.
pub(crate) fn fits(conditions: &[Condition], table: &Table, change: &Change<'_>) -> bool {
    conditions.iter().all(|condition| {
        let Some(place) = condition.place(table) else { return false };
        [&change.before, &change.after].into_iter().any(|image| {
            let Some(value) = image.get(place) else { return false };
            let cell = Cell::of(&table.columns[place], value);
            cell.is_text(&condition.value)
        })
    })
}

/// Changes of one table in one transaction.
#[derive(Debug, Clone)]
pub(crate) struct Sum {
    pub(crate) table: Arc<Table>,
    pub(crate) inserts: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
}

/// A transaction that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    /// Which log it stands in.
    pub(crate) log: usize,
    /// Where its first event begins.
    pub(crate) position: u64,
    pub(crate) gtid: Option<Gtid>,
    pub(crate) server_id: u32,
    pub(crate) xid: Option<u64>,
    /// When it was committed, microseconds UTC: where the log does not tell, when its last statement
    /// began.
    pub(crate) time: i64,
    pub(crate) tables: Vec<Sum>,
    /// Its first statement, up to [`TEXT_BYTES_MAX`] bytes.
    pub(crate) statement: Option<Box<[u8]>>,
    pub(crate) is_statement_cut: bool,
    /// How many statements are told.
    pub(crate) statements: u64,
    pub(crate) is_ddl: bool,
    pub(crate) outcome: Outcome,
    /// Its name, where it was prepared, or is the end of what was prepared under it (XA).
    pub(crate) xa: Option<XaName>,
    pub(crate) partial_rollbacks: u64,
    /// Its length in the log.
    pub(crate) bytes: u64,
    /// From its first statement to its last, or the longest of them, in seconds.
    pub(crate) seconds: u32,
}

/// What of a transaction is found on the way.
#[derive(Debug, Default)]
struct Current {
    texts: Vec<Text>,
    is_first_cut: bool,
    /// A statement names the table.
    names_table: bool,
    has_text: bool,
    /// A row has the values.
    has_values: bool,
    /// Kinds of its statements, where rows are not told.
    kinds: u8,
    query_id: Option<u64>,
}

const INSERT: u8 = 1;
const UPDATE: u8 = 2;
const DELETE: u8 = 4;
const DDL: u8 = 8;

/// The sink of the first reading.
pub(crate) struct Selector<'a> {
    filters: &'a Filters,
    pub(crate) names: Names,
    log: usize,
    run: usize,
    server_id: u32,
    has_query_ids: bool,
    current: Current,
    pub(crate) traced: Vec<Traced>,
    pub(crate) heads: Vec<Head>,
    weight: usize,
    /// The last transaction was kept: what follows tells by when it was committed.
    is_last_kept: bool,
    last_time: u32,
    /// Kept, prepared, and not decided yet (XA).
    prepared: HashSet<XaName>,
    /// All transactions, those that were not asked for included.
    pub(crate) seen: u64,
    /// The times of all transactions, microseconds UTC.
    pub(crate) reach: Option<(i64, i64)>,
    /// Tables whose columns have no names, where names are asked for.
    pub(crate) unnamed: BTreeSet<String>,
    pub(crate) problems: Vec<String>,
}

impl<'a> Selector<'a> {
    pub(crate) fn new(filters: &'a Filters, names: Names) -> Selector<'a> {
        Selector {
            filters,
            names,
            log: 0,
            run: 0,
            server_id: 0,
            has_query_ids: false,
            current: Current::default(),
            traced: Vec::new(),
            heads: Vec::new(),
            weight: 0,
            is_last_kept: false,
            last_time: 0,
            prepared: HashSet::new(),
            seen: 0,
            reach: None,
            unnamed: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// Another file begins.
    pub(crate) fn begin_log(&mut self, number: usize, log: &super::log::Log, run: usize) {
        self.log = number;
        self.run = run;
        self.server_id = log.head.server_id;
        self.has_query_ids = log.format.family() == Family::MariaDb;
        self.is_last_kept &= log.head.follows;
        self.last_time = if log.head.follows { self.last_time } else { 0 };
    }

    /// Whether what is kept is to be traced before more is read.
    pub(crate) fn is_full(&self) -> bool {
        self.weight > BATCH_BYTES_MAX
    }

    /// The first of what was kept, to be traced.
    pub(crate) fn take(&mut self, count: usize) -> (Vec<Traced>, Vec<Head>) {
        let count = count.min(self.traced.len());
        let left = (self.traced.split_off(count), self.heads.split_off(count));
        let taken = (
            std::mem::replace(&mut self.traced, left.0),
            std::mem::replace(&mut self.heads, left.1),
        );
        self.is_last_kept &= !self.traced.is_empty();
        self.weight = self.traced.iter().zip(&self.heads).map(|it| weight(it.0, it.1)).sum();
        taken
    }

    /// Something of this time stands behind the transaction before.
    fn note_time(&mut self, time: u32) {
        if self.is_last_kept && time != 0 {
            if let Some(head) = self.heads.last_mut() {
                head.committed_by = head.committed_by.max(time);
            }
            self.is_last_kept = false;
        }
    }

    fn is_wanted(&self, transaction: &Transaction, sums: &[Sum], time: i64) -> bool {
        let filters = self.filters;
        let current = &self.current;
        if filters.since.is_some_and(|it| time < it) || filters.until.is_some_and(|it| time >= it) {
            return false;
        }
        if let Some(gtid) = &filters.gtid
            && transaction.gtid.as_ref().is_none_or(|it| it.to_string() != *gtid)
        {
            return false;
        }
        if filters.table.is_some() && sums.is_empty() && !current.names_table {
            return false;
        }
        if filters.statement.is_some() && !current.has_text {
            return false;
        }
        if !filters.conditions.is_empty() && !current.has_values {
            return false;
        }
        filters.kind.is_none_or(|kind| {
            let of_rows = |count: fn(&Sum) -> u64| sums.iter().any(|it| count(it) > 0);
            let by_statement = |bit: u8| current.kinds & bit != 0;
            match kind {
                TraceKind::Insert => of_rows(|it| it.inserts) || by_statement(INSERT),
                TraceKind::Update => of_rows(|it| it.updates) || by_statement(UPDATE),
                TraceKind::Delete => of_rows(|it| it.deletes) || by_statement(DELETE),
                TraceKind::Ddl => transaction.ddl || by_statement(DDL),
            }
        })
    }

    /// Whether it decides about a transaction that was kept.
    fn ends_prepared(&self, transaction: &Transaction) -> bool {
        let is_end = self.filters.has_xa_ends && transaction.outcome != Outcome::Prepared;
        is_end && transaction.xa.as_ref().is_some_and(|name| self.prepared.contains(name))
    }

    fn note_prepared(&mut self, transaction: &Transaction) {
        let Some(name) = &transaction.xa else { return };
        if transaction.outcome != Outcome::Prepared {
            self.prepared.remove(name);
            return;
        }
        if self.prepared.len() >= PREPARED_MAX {
            self.prepared.clear();
        }
        self.prepared.insert(name.clone());
    }

    fn keep(&mut self, transaction: &Transaction, tables: Vec<Sum>, time: i64) {
        let current = std::mem::take(&mut self.current);
        let first = current.texts.first();
        let statement = first.map(|it| it.sql.clone());
        let thread = transaction.thread.map(|it| ToldThread {
            id: it.id.into(),
            by_gtid: it.evidence == ThreadEvidence::Gtid,
            disputed: it.disputed,
        });
        let texts = if thread.is_none() { current.texts } else { Vec::new() };
        let lasted = transaction.last_time.saturating_sub(transaction.first_time);
        let head = Head {
            run: self.run,
            is_own: transaction.server_id == self.server_id,
            has_query_ids: self.has_query_ids,
            thread,
            xid: transaction.xid,
            query_id: current.query_id,
            first_time: transaction.first_time,
            last_time: transaction.last_time,
            committed_by: transaction.last_time.max(self.last_time),
            committed: transaction.committed_us.and_then(|it| u32::try_from(it / 1_000_000).ok()),
            seconds: transaction.seconds,
            texts,
        };
        let traced = Traced {
            log: self.log,
            position: transaction.start,
            gtid: transaction.gtid,
            server_id: transaction.server_id,
            xid: transaction.xid,
            time,
            tables,
            statement,
            is_statement_cut: current.is_first_cut,
            statements: transaction.statements,
            is_ddl: transaction.ddl,
            outcome: transaction.outcome,
            xa: transaction.xa.clone(),
            partial_rollbacks: transaction.partial_rollbacks,
            bytes: transaction.bytes(),
            seconds: lasted.max(transaction.seconds),
        };
        self.weight += weight(&traced, &head);
        self.traced.push(traced);
        self.heads.push(head);
        self.is_last_kept = true;
    }
}

/// What one takes in memory, in bytes.
fn weight(traced: &Traced, head: &Head) -> usize {
    std::mem::size_of::<Head>()
        + std::mem::size_of::<Traced>()
        + traced.tables.len() * std::mem::size_of::<Sum>()
        + traced.statement.as_ref().map_or(0, |it| it.len())
        + traced.xa.as_ref().map_or(0, |it| it.global.len() + it.branch.len())
        + head.texts.iter().map(|it| it.sql.len() + 48).sum::<usize>()
}

/// Whether a statement may have changed what is asked for, as far as its text shows.
pub(super) fn is_about(filters: &Filters, statement: &Statement<'_>) -> bool {
    let of_kind = filters.kind.is_none_or(|kind| {
        let others = match kind {
            TraceKind::Insert => UPDATE | DELETE,
            TraceKind::Update => INSERT | DELETE,
            TraceKind::Delete => INSERT | UPDATE,
            TraceKind::Ddl => INSERT | UPDATE | DELETE,
        };
        kind_of(statement.sql) & others == 0
    });
    of_kind && filters.table.as_ref().is_none_or(|it| it.is_named_in(statement))
}

/// The tables whose rows were counted.
fn sums(transaction: &Transaction) -> Vec<Sum> {
    let counted = transaction.tables.iter().filter(|it| it.inserts + it.updates + it.deletes > 0);
    counted
        .map(|it| Sum {
            table: Arc::clone(&it.table),
            inserts: it.inserts,
            updates: it.updates,
            deletes: it.deletes,
        })
        .collect()
}

/// What a statement does, by its first word.
fn kind_of(sql: &[u8]) -> u8 {
    let sql = sql.trim_ascii_start();
    let end = sql.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(sql.len());
    match &sql[..end].to_ascii_uppercase()[..] {
        b"INSERT" | b"REPLACE" | b"LOAD" => INSERT,
        b"UPDATE" => UPDATE,
        b"DELETE" => DELETE,
        b"CREATE" | b"ALTER" | b"DROP" | b"RENAME" | b"TRUNCATE" | b"GRANT" | b"REVOKE" => DDL,
        _ => 0,
    }
}

/// Whether `text` holds `part`, but for case of ASCII letters.
pub(crate) fn holds(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|it| it.eq_ignore_ascii_case(part))
}

impl Sink for Selector<'_> {
    fn begin(&mut self, transaction: &Transaction) {
        self.note_time(transaction.time);
        self.current = Current::default();
    }

    fn table(&mut self, table: &mut Table) -> Interest {
        if self.filters.table.as_ref().is_some_and(|it| !it.fits(&table.database, &table.name)) {
            return Interest::Ignore;
        }
        if self.filters.conditions.is_empty() {
            return Interest::Count;
        }
        self.names.complete(table);
        if self.filters.conditions.iter().all(|it| it.place(table).is_some()) {
            return Interest::Rows;
        }
        let has_names = table.columns.iter().all(|it| it.name.is_some());
        if !has_names && self.unnamed.len() < UNNAMED_MAX {
            self.unnamed.insert(super::table_name(table));
        }
        Interest::Count
    }

    fn statement(&mut self, _: &Transaction, statement: &Statement<'_>) {
        let current = &mut self.current;
        if let Some(part) = &self.filters.statement {
            current.has_text |= holds(statement.sql, part);
        }
        current.query_id = current.query_id.or(statement.query_id);
        if statement.kind != StatementKind::Annotation {
            current.kinds |= kind_of(statement.sql);
            if let Some(table) = &self.filters.table {
                current.names_table |= table.is_named_in(statement);
            }
        }
        if current.texts.len() < TEXTS_MAX {
            let kept = statement.sql.len().min(TEXT_BYTES_MAX);
            if current.texts.is_empty() {
                current.is_first_cut = kept < statement.sql.len();
            }
            current.texts.push(Text { time: statement.time, sql: statement.sql[..kept].into() });
        }
    }

    fn rows(&mut self, _: &Transaction, rows: &mut Rows<'_>) {
        if self.current.has_values {
            return;
        }
        let table = rows.table();
        let mut change = Change::default();
        while let Ok(true) = rows.read(&mut change) {
            let of_kind = match self.filters.kind {
                None | Some(TraceKind::Ddl) => true,
                Some(TraceKind::Insert) => rows.kind() == ChangeKind::Insert,
                Some(TraceKind::Update) => rows.kind() == ChangeKind::Update,
                Some(TraceKind::Delete) => rows.kind() == ChangeKind::Delete,
            };
            if of_kind && fits(&self.filters.conditions, table, &change) {
                self.current.has_values = true;
                return;
            }
        }
    }

    fn end(&mut self, transaction: &Transaction) {
        self.seen += 1;
        self.note_time(transaction.last_time);
        let seconds = i64::from(transaction.last_time) * 1_000_000;
        let committed = transaction.committed_us.and_then(|it| i64::try_from(it).ok());
        let time = committed.filter(|&it| it > 0).unwrap_or(seconds);
        let reach = self.reach.get_or_insert((time, time));
        *reach = (reach.0.min(time), reach.1.max(time));
        let sums = sums(transaction);
        if self.is_wanted(transaction, &sums, time) || self.ends_prepared(transaction) {
            self.note_prepared(transaction);
            self.keep(transaction, sums, time);
        }
        self.last_time = transaction.last_time;
    }

    fn other(&mut self, raw: &RawEvent<'_>, _: &Event<'_>) {
        self.note_time(raw.header.timestamp);
    }

    fn damaged(&mut self, error: &binlog::Error) {
        self.problems.push(error.to_string());
    }
}
