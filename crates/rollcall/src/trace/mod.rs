//! From binary logs to who changed what: selecting, joining, telling.
//!
//! ```text
//! log ─► select ── a batch of heads ──► verdict::trace::Joiner ◄── audit, twice; ledger, live server
//!                                            │ attributions
//!                                            ▼
//!                                   told one by one ◄── rows (read again, of these transactions alone)
//! ```
//!
//! # Invariants
//! * Memory does not grow with logs, audit logs or transactions: heads are traced in batches of some
//!   megabytes, events that are too long are passed over and told of.
//! * Nothing is judged here; that is `verdict::trace`.

mod audit;
mod cell;
mod follow;
mod log;
mod logins;
mod names;
mod remote;
mod rows;
mod select;
mod spill;
mod sql;
mod stats;
mod style;
mod tables;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use binlog::{Change, ChangeKind, Statement, Table, Transaction};
use verdict::trace::{Attribution, Head, Joiner, Runs};

pub(crate) use audit::AuditLogs;
pub(crate) use cell::Cell;
pub(crate) use follow::{Feed, Following, follow};
pub(crate) use log::{Log, Opened, open};
pub(crate) use logins::{Logins, Sources};
pub(crate) use names::Names;
pub(crate) use remote::{Remote, Times};
pub(crate) use rows::RowChange;
pub(crate) use select::{Condition, Filters, Sum, TablePattern, Traced, holds};
pub(crate) use sql::{Direction, Statements};
pub(crate) use stats::{Stats, StatsLine};
pub(crate) use style::Printer;
pub(crate) use tables::{TableRead, read_tables};

use log::Read;
use select::Selector;

/// How many problems of one run are named; the others are counted.
const PROBLEMS_MAX: usize = 20;

/// `schema.table`, as people read it.
pub(crate) fn table_name(table: &Table) -> String {
    let shown = crate::render::shown_plain;
    format!("{}.{}", shown(&table.database), shown(&table.name))
}

/// What is traced, with what.
pub(crate) struct Job<'a> {
    pub(crate) logs: &'a [Log],
    pub(crate) filters: &'a Filters,
    pub(crate) user: Option<&'a [u8]>,
    pub(crate) thread: Option<u64>,
    pub(crate) wanted: Wanted,
    pub(crate) limit: Option<usize>,
    pub(crate) audit: &'a AuditLogs,
    pub(crate) logins: &'a mut Logins,
    pub(crate) names: &'a mut Names,
}

/// What is told of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// What they are, no more.
    Heads,
    /// Their rows as well, as values.
    Rows,
    /// Their rows and statements as the log has them, and their ends.
    Changes,
}

/// Something that was found.
pub(crate) enum Found<'a> {
    /// A transaction, with the processes that were seen at its connection.
    Transaction(&'a Traced, &'a Attribution, &'a [ledger::Sample], &'a Log),
    /// A row of the transaction before.
    Row(&'a Traced, &'a RowChange),
    /// A row of it as the log has it, and how many bytes it takes there.
    Change(&'a Table, ChangeKind, &'a Change<'a>, usize),
    /// A statement of it.
    Statement(&'a Statement<'a>),
    /// It is over.
    End(&'a Transaction),
}

/// The number of a transaction that is told, who made it, and the processes that were seen at its connection.
type Chosen = (usize, Attribution, Vec<ledger::Sample>);

/// Is told what was found.
pub(crate) type Tell<'a> = dyn FnMut(Found<'_>) -> Result<()> + 'a;

/// What there is to say afterwards.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Transactions that were read.
    pub(crate) seen: u64,
    /// Transactions that were told.
    pub(crate) told: usize,
    /// The times of the transactions that were read, microseconds UTC.
    pub(crate) reach: Option<(i64, i64)>,
    /// Logs that could not be read to their end.
    pub(crate) failed: Vec<String>,
    /// What else could not be read.
    pub(crate) problems: Vec<String>,
    pub(crate) problems_more: u64,
    /// Lines of the audit log that are no records, or cannot be trusted.
    pub(crate) doubts: u64,
    /// Records that a refused login's name may have made.
    pub(crate) suspects: u64,
    /// Tables whose columns have no names.
    pub(crate) unnamed: BTreeSet<String>,
    /// There is more than `--limit` lets through.
    pub(crate) is_limited: bool,
}

impl Summary {
    fn problem(&mut self, text: String) {
        // What is read twice is told once.
        if self.problems.contains(&text) {
            return;
        }
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text);
        } else {
            self.problems_more += 1;
        }
    }
}

/// Traces what is asked for.
///
/// # Errors
/// Those of `tell`, and of the ledger.
pub(crate) fn trace(job: &mut Job<'_>, tell: &mut Tell<'_>) -> Result<Summary> {
    let heads: Vec<_> = job.logs.iter().map(|log| log.head).collect();
    let runs = Runs::of(&heads);
    let mut summary = Summary::default();
    let mut selector = Selector::new(job.filters, std::mem::take(job.names));
    for (number, log) in job.logs.iter().enumerate() {
        if is_outside(job.logs, job.filters, number) {
            continue;
        }
        selector.begin_log(number, log, runs.of_file(number));
        let mut reader = match log.reader() {
            Ok(reader) => reader,
            Err(message) => {
                summary.failed.push(message);
                continue;
            }
        };
        loop {
            let read = reader.read(&mut selector, &mut |text| summary.problem(text));
            for text in selector.problems.drain(..) {
                summary.problem(format!("{}: {text}", log.name.display()));
            }
            match read {
                Ok(Read::More) => {}
                Ok(Read::Whole) => break,
                Err(message) => {
                    summary.failed.push(message);
                    break;
                }
            }
            if selector.is_full() {
                batch(job, &runs, &mut selector, &mut summary, tell)?;
            }
            if summary.is_limited {
                break;
            }
        }
        if log.is_of_server() {
            batch(job, &runs, &mut selector, &mut summary, tell)?;
            log.release();
        }
        if summary.is_limited {
            break;
        }
    }
    batch(job, &runs, &mut selector, &mut summary, tell)?;
    summary.seen = selector.seen;
    summary.reach = selector.reach;
    summary.unnamed = selector.unnamed;
    *job.names = selector.names;
    Ok(summary)
}

/// Traces what was selected so far. The names of columns are lent meanwhile.
fn batch(
    job: &mut Job<'_>,
    runs: &Runs,
    selector: &mut Selector<'_>,
    summary: &mut Summary,
    tell: &mut Tell<'_>,
) -> Result<()> {
    let (traced, heads) = selector.take(usize::MAX);
    std::mem::swap(job.names, &mut selector.names);
    let done = join(job, runs, &traced, &heads, summary, &|_, _| true, tell);
    std::mem::swap(job.names, &mut selector.names);
    done.map(drop)
}

/// How long before its file a transaction may have begun that is looked for, microseconds: what is told of
/// it is when its last statement began.
const LONG: i64 = 24 * 3_600_000_000;

/// Whether no transaction of a log can lie within the times that are asked for.
fn is_outside(logs: &[Log], filters: &Filters, number: usize) -> bool {
    let begun = |log: &Log| i64::from(log.head.begun) * 1_000_000;
    let next = logs.get(number + 1).filter(|log| log.head.follows);
    let is_before = next.zip(filters.since).is_some_and(|(log, since)| begun(log) <= since);
    let is_after =
        filters.until.is_some_and(|until| begun(&logs[number]) > until.saturating_add(LONG));
    is_before || is_after
}

/// Joins a batch and tells what of it was asked for, up to the first that is not ready; how many were ready.
fn join(
    job: &mut Job<'_>,
    runs: &Runs,
    traced: &[Traced],
    heads: &[Head],
    summary: &mut Summary,
    ready: &dyn Fn(usize, &Attribution) -> bool,
    tell: &mut Tell<'_>,
) -> Result<usize> {
    if traced.is_empty() || summary.is_limited {
        return Ok(traced.len());
    }
    let mut joiner = Joiner::new(heads, runs);
    pass_audit(job, runs, heads, &mut joiner, summary)?;
    job.logins.add(&mut joiner, runs)?;
    let (mut chosen, mut done) = (Vec::new(), 0);
    for (number, head) in heads.iter().enumerate() {
        let attribution = joiner.attribution(number);
        if !ready(number, &attribution) {
            break;
        }
        done = number + 1;
        if !is_wanted(job, &attribution) {
            continue;
        }
        if job.limit.is_some_and(|limit| summary.told + chosen.len() >= limit) {
            summary.is_limited = true;
            break;
        }
        let sampled = match head.is_own {
            true => job.logins.sampled(&attribution, runs, head.run)?,
            false => Vec::new(),
        };
        chosen.push((number, attribution, sampled));
    }
    summary.told += chosen.len();
    drop(joiner);
    if job.wanted != Wanted::Heads {
        rows::tell(job, traced, &chosen, summary, tell)?;
        return Ok(done);
    }
    for (number, attribution, sampled) in &chosen {
        let it = &traced[*number];
        tell(Found::Transaction(it, attribution, sampled, &job.logs[it.log]))?;
    }
    Ok(done)
}

/// Lets the records of the audit logs pass, twice.
fn pass_audit(
    job: &Job<'_>,
    runs: &Runs,
    heads: &[Head],
    joiner: &mut Joiner<'_>,
    summary: &mut Summary,
) -> Result<()> {
    if job.audit.is_empty() {
        job.logins.add_queries(joiner, runs)?;
        joiner.turn();
        return Ok(());
    }
    let from = heads.iter().map(|head| runs.run(head.run).from).min().unwrap_or(0);
    let from = i64::from(from) * 1_000_000;
    let (doubts, failed) = job.audit.each(from, &mut |record, _| joiner.first(record));
    summary.doubts = doubts;
    // Each batch reads them again.
    for text in failed {
        if !summary.failed.contains(&text) {
            summary.failed.push(text);
        }
    }
    job.logins.add_queries(joiner, runs)?;
    joiner.turn();
    job.audit.each(from, &mut |record, _| joiner.second(record));
    summary.suspects = joiner.suspects();
    Ok(())
}

fn is_wanted(job: &Job<'_>, attribution: &Attribution) -> bool {
    let is_user = |user: &[u8]| {
        let who = attribution.who.as_ref().is_some_and(|who| who.user == user);
        // One of several may be the user that is asked for.
        who || attribution.users.iter().any(|it| it == user)
    };
    job.thread.is_none_or(|id| attribution.thread == Some(id)) && job.user.is_none_or(is_user)
}

/// A path as messages name it.
pub(crate) fn place(path: &Path) -> String {
    path.display().to_string()
}
