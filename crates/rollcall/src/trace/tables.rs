//! Without a binary log: who read, wrote, made, changed or dropped a table, by an audit log alone.
//!
//! ```text
//! 20260314 09:26:53,db1,app,10.0.0.7,42,977,WRITE,shop,orders,        one or more a query
//! 20260314 09:26:53,db1,app,10.0.0.7,42,977,QUERY,shop,'update …',0   behind them, with the same id
//! ```

use std::collections::{BTreeSet, HashMap};

use formats::{Event, Kind};
use verdict::trace::{AuditKind, AuditRecord};

use super::{AuditLogs, TablePattern};

/// How many queries may be without their QUERY record at a time; the oldest go first.
const WAITING_MAX: usize = 10_000;

/// How much of a statement is kept.
const TEXT_BYTES_MAX: usize = 1024;

/// What a query did with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TableUse {
    Read,
    Write,
    Create,
    Alter,
    Drop,
    Rename,
}

impl TableUse {
    fn of(kind: Kind) -> Option<TableUse> {
        Some(match kind {
            Kind::Read => TableUse::Read,
            Kind::Write => TableUse::Write,
            Kind::Create => TableUse::Create,
            Kind::Alter => TableUse::Alter,
            Kind::Drop => TableUse::Drop,
            Kind::Rename => TableUse::Rename,
            _ => return None,
        })
    }

    /// The word used in every output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            TableUse::Read => "read",
            TableUse::Write => "write",
            TableUse::Create => "create",
            TableUse::Alter => "alter",
            TableUse::Drop => "drop",
            TableUse::Rename => "rename",
        }
    }
}

/// A query that used the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableRead {
    /// Microseconds UTC.
    pub(crate) time: i64,
    pub(crate) thread: u64,
    pub(crate) query: u64,
    pub(crate) user: Vec<u8>,
    pub(crate) host: Vec<u8>,
    pub(crate) port: Option<u16>,
    pub(crate) uses: BTreeSet<TableUse>,
    /// `schema.table`, raw.
    pub(crate) table: Vec<u8>,
    /// The table's new name.
    pub(crate) renamed_to: Option<Vec<u8>>,
    /// As the log escapes it; `None` without a QUERY record.
    pub(crate) statement: Option<Vec<u8>>,
    pub(crate) error: Option<u32>,
}

/// Tells the queries that used a table, in the order in which they ended. How many lines are no records,
/// and what could not be read.
pub(crate) fn read_tables(
    logs: &AuditLogs,
    table: &TablePattern,
    tell: &mut dyn FnMut(TableRead),
) -> (u64, Vec<String>) {
    let mut waiting: HashMap<(u64, u64), TableRead> = HashMap::new();
    let mut order = std::collections::VecDeque::new();
    let done = logs.each(i64::MIN, &mut |record, event| match record.kind {
        AuditKind::Table => {
            let Some((name, renamed_to)) = named(table, event) else { return };
            let Some(use_) = TableUse::of(event.kind) else { return };
            let key = (record.connection, record.query);
            let found = waiting.entry(key).or_insert_with(|| {
                order.push_back(key);
                found(record, name)
            });
            found.uses.insert(use_);
            found.renamed_to = found.renamed_to.take().or(renamed_to);
            if order.len() > WAITING_MAX
                && let Some(oldest) = order.pop_front()
                && let Some(found) = waiting.remove(&oldest)
            {
                tell(found);
            }
        }
        AuditKind::Query => {
            if let Some(mut found) = waiting.remove(&(record.connection, record.query)) {
                order.retain(|key| *key != (record.connection, record.query));
                let kept = record.text.len().min(TEXT_BYTES_MAX);
                found.statement = Some(record.text[..kept].to_vec());
                found.error = Some(record.error);
                // A table's record names definers of stored programs.
                (found.user, found.host) = (record.user.to_vec(), record.host.to_vec());
                tell(found);
            }
        }
        _ => {}
    });
    for key in order {
        if let Some(found) = waiting.remove(&key) {
            tell(found);
        }
    }
    done
}

fn found(record: &AuditRecord<'_>, table: Vec<u8>) -> TableRead {
    TableRead {
        time: record.at,
        thread: record.connection,
        query: record.query,
        user: record.user.to_vec(),
        host: record.host.to_vec(),
        port: record.port,
        uses: BTreeSet::new(),
        table,
        renamed_to: None,
        statement: None,
        error: None,
    }
}

/// The table's name, and its new one, where a record is about it. RENAME has `old|newdatabase.new`.
fn named(table: &TablePattern, event: &Event<'_>) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let join = |schema: &[u8], name: &[u8]| [schema, b".", name].concat();
    if event.kind != Kind::Rename {
        let fits = table.fits(event.database, event.object);
        return fits.then(|| (join(event.database, event.object), None));
    }
    let bar = event.object.iter().position(|&byte| byte == b'|')?;
    let (old, new) = (&event.object[..bar], &event.object[bar + 1..]);
    let point = new.iter().position(|&byte| byte == b'.')?;
    let is_new = table.fits(&new[..point], &new[point + 1..]);
    let fits = table.fits(event.database, old) || is_new;
    fits.then(|| (join(event.database, old), Some(new.to_vec())))
}
