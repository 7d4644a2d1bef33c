//! Rows of transactions that were traced: their stretches of the logs are read once more.

use super::Chosen;
use anyhow::{Error, Result};
use binlog::{
    Change, ChangeKind, Column, Interest, Rows, Sink, Statement, StatementKind, Table, Transaction,
    Value,
};
use source::Compression;

use super::cell::Cell;
use super::log::Read;
use super::names::Names;
use super::select::{Filters, Traced, fits, is_about};
use super::{Found, Job, Log, Summary, Tell, Wanted};
use crate::cli::TraceKind;

/// A gap between transactions of which rows are told that is jumped over rather than read.
const JUMP_BYTES_MIN: u64 = 1 << 20;

/// A named value of a row.
pub(crate) type Named = (Vec<u8>, Cell);

/// A row that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowChange {
    pub(crate) schema: Vec<u8>,
    pub(crate) table: Vec<u8>,
    pub(crate) kind: &'static str,
    /// Columns that the log tells, before the change; `None` for an insert.
    pub(crate) before: Option<Vec<Named>>,
    /// The same after it; `None` for a delete.
    pub(crate) after: Option<Vec<Named>>,
}

/// Tells transactions, each with its rows.
pub(super) fn tell(
    job: &mut Job<'_>,
    traced: &[Traced],
    chosen: &[Chosen],
    summary: &mut Summary,
    tell: &mut Tell<'_>,
) -> Result<()> {
    let logs = job.logs;
    for chosen in chosen.chunk_by(|a, b| traced[a.0].log == traced[b.0].log) {
        let log = &logs[traced[chosen[0].0].log];
        let mut teller = Teller {
            filters: job.filters,
            wanted: job.wanted,
            names: &mut *job.names,
            log,
            traced,
            chosen,
            next: 0,
            is_within: false,
            tell: &mut *tell,
            failed: None,
        };
        if let Err(message) = read(&mut teller, summary) {
            summary.failed.push(message);
        }
        // What could not be found again is told without its rows.
        while teller.failed.is_none() && teller.next < chosen.len() {
            teller.begin_next();
        }
        if let Some(error) = teller.failed {
            return Err(error);
        }
    }
    Ok(())
}

/// Reads the stretches in which the transactions stand.
fn read(teller: &mut Teller<'_, '_>, summary: &mut Summary) -> Result<(), String> {
    let log = teller.log;
    let can_jump = log.file()?.compression() == Compression::Plain;
    while let Some(position) = teller.position() {
        let mut reader = log.reader_at(position)?;
        loop {
            let read = reader.read(teller, &mut |text| summary.problem(text))?;
            if teller.failed.is_some() || read == Read::Whole {
                return Ok(());
            }
            if teller.is_within {
                continue;
            }
            match teller.position() {
                None => return Ok(()),
                Some(next) if can_jump && next > reader.position() + JUMP_BYTES_MIN => break,
                Some(_) => {}
            }
        }
    }
    Ok(())
}

struct Teller<'a, 't> {
    filters: &'a Filters,
    wanted: Wanted,
    names: &'a mut Names,
    log: &'a Log,
    traced: &'a [Traced],
    chosen: &'a [Chosen],
    /// The next that is to be found.
    next: usize,
    /// The one before that is being read.
    is_within: bool,
    tell: &'a mut Tell<'t>,
    failed: Option<Error>,
}

impl Teller<'_, '_> {
    /// Where the next transaction begins.
    fn position(&self) -> Option<u64> {
        self.chosen.get(self.next).map(|(number, ..)| self.traced[*number].position)
    }

    fn begin_next(&mut self) {
        let (number, attribution, sampled) = &self.chosen[self.next];
        self.next += 1;
        let found = Found::Transaction(&self.traced[*number], attribution, sampled, self.log);
        put(self.tell, &mut self.failed, found);
    }
}

/// Tells it; what comes of that is kept.
fn put(tell: &mut Tell<'_>, failed: &mut Option<Error>, found: Found<'_>) {
    if failed.is_none() {
        *failed = tell(found).err();
    }
}

impl Sink for Teller<'_, '_> {
    fn begin(&mut self, transaction: &Transaction) {
        self.is_within = false;
        while self.failed.is_none() && self.position().is_some_and(|at| at <= transaction.start) {
            self.is_within = self.position() == Some(transaction.start);
            self.begin_next();
        }
    }

    fn table(&mut self, table: &mut Table) -> Interest {
        if self.filters.table.as_ref().is_some_and(|it| !it.fits(&table.database, &table.name)) {
            return Interest::Ignore;
        }
        match self.wanted {
            Wanted::Changes => self.names.complete_layout(table),
            _ => self.names.complete(table),
        }
        Interest::Rows
    }

    fn rows(&mut self, _: &Transaction, rows: &mut Rows<'_>) {
        let is_of_kind = match self.filters.kind {
            None | Some(TraceKind::Ddl) => true,
            Some(TraceKind::Insert) => rows.kind() == ChangeKind::Insert,
            Some(TraceKind::Update) => rows.kind() == ChangeKind::Update,
            Some(TraceKind::Delete) => rows.kind() == ChangeKind::Delete,
        };
        if !self.is_within || !is_of_kind {
            return;
        }
        let (table, kind) = (rows.table(), rows.kind());
        let traced = &self.traced[self.chosen[self.next - 1].0];
        let mut change = Change::default();
        let mut left = rows.bytes_left();
        while self.failed.is_none() && matches!(rows.read(&mut change), Ok(true)) {
            let bytes = std::mem::replace(&mut left, rows.bytes_left()) - left;
            if !fits(&self.filters.conditions, table, &change) {
                continue;
            }
            if self.wanted == Wanted::Changes {
                let found = Found::Change(table, kind, &change, bytes);
                put(self.tell, &mut self.failed, found);
                continue;
            }
            let row = RowChange {
                schema: table.database.to_vec(),
                table: table.name.to_vec(),
                kind: kind.as_str(),
                before: (kind != ChangeKind::Insert).then(|| named(&table.columns, &change.before)),
                after: (kind != ChangeKind::Delete).then(|| named(&table.columns, &change.after)),
            };
            put(self.tell, &mut self.failed, Found::Row(traced, &row));
        }
    }

    fn statement(&mut self, _: &Transaction, statement: &Statement<'_>) {
        let is_wanted = self.is_within
            && self.wanted == Wanted::Changes
            && statement.kind != StatementKind::Annotation;
        if is_wanted && is_about(self.filters, statement) {
            put(self.tell, &mut self.failed, Found::Statement(statement));
        }
    }

    fn end(&mut self, transaction: &Transaction) {
        if std::mem::take(&mut self.is_within) && self.wanted == Wanted::Changes {
            put(self.tell, &mut self.failed, Found::End(transaction));
        }
    }
}

/// The values that an image has, with the names of their columns, or `@1` where there are none.
fn named(columns: &[Column], values: &[Value<'_>]) -> Vec<Named> {
    let there = columns.iter().zip(values).enumerate();
    let there = there.filter(|(_, (_, value))| !matches!(value, Value::Absent));
    let name = |at: usize, column: &Column| match &column.name {
        Some(name) => name.to_vec(),
        None => format!("@{}", at + 1).into_bytes(),
    };
    there.map(|(at, (column, value))| (name(at, column), Cell::of(column, value))).collect()
}
