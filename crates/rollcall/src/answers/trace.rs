//! `trace`: who changed what, transaction by transaction; with rows, sums, or of tables alone.

use std::collections::{BTreeMap, HashSet};

use binlog::{Outcome, XaName};
use ledger::Sample;
use verdict::secrets::{MASK, shown_bytes};
use verdict::trace::{Attribution, CANDIDATES_MAX, Evidence, LoginEvidence, Reason};

use super::View;
use crate::render::{Answer, Column, Json, Records, Table, Value, shown, shown_plain, thousands};
use crate::time::{second_text, utc_text};
use crate::trace::{Cell, Log, RowChange, Sum, TableRead, Traced, table_name};

/// The fields of a transaction, for programs.
pub(super) const FIELDS: [&str; 20] = [
    "server_id",
    "file",
    "position",
    "gtid",
    "time",
    "xid",
    "thread_id",
    "user",
    "client_host",
    "client_port",
    "evidence",
    "login_evidence",
    "candidates",
    "tables",
    "statement",
    "exact",
    "reason",
    "outcome",
    "xa",
    "processes",
];

/// The fields of a row.
pub(super) const ROW_FIELDS: [&str; 6] = ["gtid", "position", "table", "kind", "before", "after"];

/// The fields of a query that used a table, from an audit log alone.
pub(super) const TABLE_FIELDS: [&str; 11] = [
    "time",
    "thread_id",
    "query_id",
    "user",
    "client_host",
    "client_port",
    "uses",
    "table",
    "renamed_to",
    "statement",
    "error",
];

/// How many tables of a transaction are named in a cell.
const TABLES_SHOWN: usize = 3;

/// How much of a statement is shown on a page, in bytes.
const STATEMENT_SHOWN: usize = 120;

/// How much of a value is shown on a page, in characters.
const VALUE_SHOWN: usize = 60;

/// How transactions were traced, to be told below them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    evidence: BTreeMap<Evidence, u64>,
    reasons: Vec<(Reason, u64)>,
    without_login: u64,
    rolled_back: u64,
    partial: u64,
    /// Names of what was prepared and not decided (XA); no more than [`PREPARED_MAX`].
    prepared: HashSet<XaName>,
}

/// How many prepared transactions are remembered until their end comes.
const PREPARED_MAX: usize = 10_000;

impl Tally {
    /// Counts one.
    pub(crate) fn add(&mut self, traced: &Traced, found: &Attribution) {
        *self.evidence.entry(found.evidence).or_default() += 1;
        if let Some(reason) = found.reason {
            match self.reasons.iter_mut().find(|it| it.0 == reason) {
                Some((_, count)) => *count += 1,
                None => self.reasons.push((reason, 1)),
            }
        }
        self.without_login += u64::from(found.thread.is_some() && found.who.is_none());
        // The end of what was prepared changes nothing itself.
        let is_xa_end = traced.xa.is_some() && traced.tables.is_empty();
        let is_rolled_back = traced.outcome == Outcome::RolledBack && !is_xa_end;
        self.rolled_back += u64::from(is_rolled_back);
        match &traced.xa {
            Some(name) if traced.outcome != Outcome::Prepared => {
                self.prepared.remove(name);
            }
            Some(name) if self.prepared.len() < PREPARED_MAX => {
                self.prepared.insert(name.clone());
            }
            _ => {}
        }
        self.partial += u64::from(traced.partial_rollbacks > 0);
    }

    /// Lines for below the transactions.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (reason, count) in &self.reasons {
            lines.push(format!("{} not exact: {}", thousands(*count), reason.text()));
        }
        if self.without_login > 0 {
            lines.push(format!(
                "{} with a connection whose login is not known: no source given reaches it \
                 (--audit-log, --server NAME, the ledger)",
                thousands(self.without_login)
            ));
        }
        if self.rolled_back > 0 {
            lines.push(format!(
                "{} rolled back: only tables without transactions keep what was changed",
                thousands(self.rolled_back)
            ));
        }
        if !self.prepared.is_empty() {
            lines.push(format!(
                "{} prepared (XA) whose COMMIT or ROLLBACK is not told: it stands in no log that was read, \
                 or a filter leaves it out",
                thousands(self.prepared.len() as u64)
            ));
        }
        if self.partial > 0 {
            lines.push(format!(
                "{} rolled back in part, to a savepoint: what was taken back is counted all the same",
                thousands(self.partial)
            ));
        }
        lines
    }
}

/// A chunk of an answer that is put out while more is read.
#[derive(Debug)]
pub(crate) struct TraceChunk<'a> {
    view: View<'a>,
    /// Transactions stand as blocks with their rows.
    has_rows: bool,
    answer: Answer,
    table: Table,
    weight: usize,
    /// Transactions come one by one: their lines are one table, whenever they are put out.
    is_steady: bool,
    has_heading: bool,
}

/// The widths of columns whose texts are not known yet; the last is as wide as its text.
const STEADY_WIDTHS: [usize; 6] = [19, 20, 8, 22, 10, 38];

/// What a chunk may weigh before it is put out, in bytes of its texts.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// How many transactions stand in one table.
const CHUNK_ROWS_MAX: usize = 1000;

impl<'a> TraceChunk<'a> {
    pub(crate) fn new(has_rows: bool, view: View<'a>) -> TraceChunk<'a> {
        let (answer, table) = (Answer::default(), transactions_table());
        let (is_steady, has_heading) = (false, false);
        TraceChunk { view, has_rows, answer, table, weight: 0, is_steady, has_heading }
    }

    /// Of transactions that come one by one.
    pub(crate) fn steady(self) -> TraceChunk<'a> {
        TraceChunk { is_steady: true, ..self }
    }

    /// Whether nothing was added since the last time.
    pub(crate) fn is_empty(&self) -> bool {
        self.answer.rows == 0 && self.weight == 0
    }

    /// Whether it is to be put out.
    pub(crate) fn is_full(&self) -> bool {
        self.weight > CHUNK_BYTES_MAX || self.answer.rows >= CHUNK_ROWS_MAX
    }

    /// Adds a transaction.
    pub(crate) fn transaction(
        &mut self,
        traced: &Traced,
        found: &Attribution,
        sampled: &[Sample],
        log: &Log,
    ) {
        self.answer.rows += 1;
        if self.view.records {
            let row = record(traced, found, sampled, log);
            self.weight += 500 + traced.tables.len() * 100;
            self.push_record(&FIELDS, row);
        }
        if !self.view.page {
            return;
        }
        let cells = cells(traced, found, sampled, self.view);
        self.weight += 300;
        if !self.has_rows {
            self.table.push(cells.to_vec());
            return;
        }
        let [time, tables, changes, who, connection, how, statement] = cells;
        let name = traced.gtid.map_or_else(String::new, |it| format!(" · {it}"));
        self.answer.page.line(format!("{time} · {who} · connection {connection} · {how}{name}"));
        self.answer.page.verbatim(&format!("  {tables}  {changes}  {statement}"));
    }

    /// Adds a row of the transaction before.
    pub(crate) fn row(&mut self, traced: &Traced, row: &RowChange) {
        if self.view.records {
            let before = row.before.as_ref().map_or(Json::Null, |it| object(it));
            let after = row.after.as_ref().map_or(Json::Null, |it| object(it));
            let sizes = [&row.before, &row.after].into_iter().flatten().flatten();
            self.weight += 200 + sizes.map(|it| it.0.len() + size(&it.1)).sum::<usize>();
            let record = vec![
                traced.gtid.map_or(Value::Absent, |it| Value::word(it.to_string())),
                Value::Number(traced.position),
                Value::Name([&row.schema[..], b".", &row.table].concat()),
                Value::word(row.kind),
                Value::Json(before),
                Value::Json(after),
            ];
            self.push_record(&ROW_FIELDS, record);
        }
        if self.view.page {
            let line = row_line(row);
            self.weight += line.len();
            self.answer.page.verbatim(&line);
        }
    }

    fn push_record(&mut self, fields: &'static [&'static str], row: Vec<Value>) {
        match self.answer.records.last_mut() {
            Some(records) if records.fields == fields => records.push(row),
            _ => {
                let mut records = Records::new(fields);
                records.push(row);
                self.answer.records.push(records);
            }
        }
    }

    /// What was added since the last time.
    pub(crate) fn take(&mut self) -> Answer {
        let mut answer = std::mem::take(&mut self.answer);
        let mut table = std::mem::replace(&mut self.table, transactions_table());
        if !table.rows.is_empty() {
            if self.is_steady {
                table = table.piece(&STEADY_WIDTHS, self.has_heading);
            }
            self.has_heading = true;
            answer.page.table(table);
        }
        if self.view.records && answer.records.is_empty() {
            // CSV has its heading also where there is no row.
            answer.records.push(Records::new(&FIELDS));
        }
        self.weight = 0;
        answer
    }
}

fn transactions_table() -> Table {
    Table::new(vec![
        Column::fixed("TIME"),
        Column::name("TABLE"),
        Column::fixed("ROWS"),
        Column::name("WHO"),
        Column::number("CONNECTION"),
        Column::name("HOW WE KNOW"),
        Column::name("STATEMENT").dispensable(1),
    ])
}

fn cells(traced: &Traced, found: &Attribution, sampled: &[Sample], view: View<'_>) -> [String; 7] {
    [
        second_text(traced.time, view.zone),
        tables_text(traced),
        changes_text(&traced.tables),
        format!("{}{}", who_text(found), process_text(sampled)),
        found.thread.map_or_else(|| "–".to_owned(), |it| it.to_string()),
        how_text(found),
        statement_text(traced),
    ]
}

fn tables_text(traced: &Traced) -> String {
    let names = traced.tables.iter().take(TABLES_SHOWN).map(|it| table_name(&it.table));
    let mut names: Vec<String> = names.collect();
    if traced.tables.len() > TABLES_SHOWN {
        names.push(format!("{} more", traced.tables.len() - TABLES_SHOWN));
    }
    match (names.is_empty(), traced.is_ddl) {
        (false, _) => names.join(", "),
        (true, true) => "(DDL)".to_owned(),
        (true, false) => "–".to_owned(),
    }
}

/// `+2 ~1 -3`: inserted, updated, deleted.
fn changes_text(sums: &[Sum]) -> String {
    let sum = |count: fn(&Sum) -> u64| sums.iter().map(count).sum::<u64>();
    let counts =
        [('+', sum(|it| it.inserts)), ('~', sum(|it| it.updates)), ('-', sum(|it| it.deletes))];
    let texts = counts.iter().filter(|it| it.1 > 0);
    let texts: Vec<String> =
        texts.map(|(sign, count)| format!("{sign}{}", thousands(*count))).collect();
    if texts.is_empty() { "–".to_owned() } else { texts.join(" ") }
}

/// ` · sampled: pid 4711 mysql`.
fn process_text(sampled: &[Sample]) -> String {
    let Some(first) = sampled.first() else { return String::new() };
    let more = match sampled.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    format!(" · sampled: pid {} {}{more}", first.pid, shown(&first.name))
}

fn process_json(it: &Sample) -> Json {
    let time = |at: i64| Json::text(&utc_text(at));
    let name = |it: &Option<Vec<u8>>| it.clone().map_or(Json::Null, Json::Text);
    let fields = [
        ("pid", Json::Count(it.pid.into())),
        ("started", it.started_us.map_or(Json::Null, time)),
        ("uid", Json::Count(it.uid.into())),
        ("os_user", it.os_user.as_ref().map_or(Json::Null, |it| Json::text(it))),
        ("executable", name(&it.executable)),
        ("unit", name(&it.unit)),
        ("container", name(&it.container)),
        ("command_line", Json::Text(it.command_line.clone())),
        ("evidence", Json::text("sampled")),
        ("sampled_by", Json::text(&it.evidence)),
        ("sampled_from", time(it.first_us)),
        ("sampled_to", time(it.last_us)),
    ];
    Json::Object(fields.map(|(name, value)| (name.into(), value)).into())
}

fn who_text(found: &Attribution) -> String {
    match &found.who {
        Some(who) => match &who.host {
            Some(host) if !host.is_empty() => {
                format!("{} from {}", shown(&who.user), shown(host))
            }
            _ => shown(&who.user),
        },
        None if !found.users.is_empty() => {
            let names: Vec<String> = found.users.iter().map(|it| shown(it)).collect();
            format!("perhaps {}", names.join(", "))
        }
        None => "unknown".to_owned(),
    }
}

fn how_text(found: &Attribution) -> String {
    let login = match found.login {
        LoginEvidence::None => String::new(),
        login => format!(", login: {}", login.as_str()),
    };
    let many = if found.candidates >= CANDIDATES_MAX { " or more" } else { "" };
    match found.evidence {
        Evidence::TextMatch => {
            format!(
                "text match, {}{many}{login}",
                super::plural(found.candidates as u64, "candidate")
            )
        }
        Evidence::Unknown if found.candidates > 0 => {
            format!("unknown, one of {}", super::plural(found.candidates as u64, "open session"))
        }
        Evidence::Unknown => "unknown".to_owned(),
        evidence if found.is_exact => format!("exact ({}){login}", evidence.as_str()),
        evidence => format!("doubtful ({}){login}", evidence.as_str()),
    }
}

/// A statement without the secrets it may hold, and whether something was left out.
fn without_secrets(statement: &[u8]) -> (&[u8], &'static str) {
    let length = shown_bytes(statement);
    (&statement[..length], if length < statement.len() { MASK } else { "" })
}

fn statement_text(traced: &Traced) -> String {
    let Some(statement) = &traced.statement else { return "–".to_owned() };
    let (text, mask) = without_secrets(statement);
    let mut end = text.len().min(STATEMENT_SHOWN);
    while end > 0 && end < text.len() && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    let cut = if end < text.len() || traced.is_statement_cut { "…" } else { mask };
    let text = text[..end].to_vec();
    let text = String::from_utf8_lossy(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    let more = match traced.statements {
        0 | 1 => String::new(),
        count => format!(" (+{})", thousands(count - 1)),
    };
    let prepared = match &traced.xa {
        Some(name) if traced.outcome == Outcome::Prepared => format!(" (prepared: XA {name})"),
        _ => String::new(),
    };
    format!("{}{cut}{more}{prepared}", shown_plain(text.as_bytes()))
}

fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open | Outcome::Unfinished => "unfinished",
        Outcome::Committed => "committed",
        Outcome::RolledBack => "rolled-back",
        Outcome::Prepared => "prepared",
    }
}

fn record(traced: &Traced, found: &Attribution, sampled: &[Sample], log: &Log) -> Vec<Value> {
    use std::os::unix::ffi::OsStrExt as _;

    let who = found.who.as_ref();
    let statement = traced.statement.as_ref().map(|statement| {
        let (text, mask) = without_secrets(statement);
        let cut = if traced.is_statement_cut && mask.is_empty() { "…" } else { mask };
        [text, cut.as_bytes()].concat()
    });
    let tables = traced.tables.iter().map(|sum| {
        let name = [&sum.table.database[..], b".", &sum.table.name].concat();
        Json::Object(vec![
            (b"table".to_vec(), Json::Text(name)),
            (b"inserts".to_vec(), Json::Count(sum.inserts)),
            (b"updates".to_vec(), Json::Count(sum.updates)),
            (b"deletes".to_vec(), Json::Count(sum.deletes)),
        ])
    });
    vec![
        Value::Number(traced.server_id.into()),
        Value::Name(log.name.as_os_str().as_bytes().to_vec()),
        Value::Number(traced.position),
        traced.gtid.map_or(Value::Absent, |it| Value::word(it.to_string())),
        Value::Time(traced.time),
        traced.xid.map_or(Value::Absent, |it| Value::word(it.to_string())),
        found.thread.map_or(Value::Absent, |it| Value::word(it.to_string())),
        Value::name(who.map(|it| &it.user[..])),
        Value::name(who.and_then(|it| it.host.as_deref())),
        Value::number(who.and_then(|it| it.port)),
        Value::word(found.evidence.as_str()),
        Value::word(found.login.as_str()),
        Value::Number(found.candidates as u64),
        Value::Json(Json::List(tables.collect())),
        Value::name(statement.as_deref()),
        Value::Flag(found.is_exact),
        found.reason.map_or(Value::Absent, |it| Value::word(it.text())),
        Value::word(outcome_text(traced.outcome)),
        traced.xa.as_ref().map_or(Value::Absent, |it| Value::word(it.to_string())),
        match sampled {
            [] => Value::Absent,
            all => Value::Json(Json::List(all.iter().map(process_json).collect())),
        },
    ]
}

fn object(values: &[(Vec<u8>, Cell)]) -> Json {
    let mut fields = Vec::with_capacity(values.len());
    for (name, cell) in values {
        let value = match cell {
            Cell::Null => Json::Null,
            Cell::Number(digits) => Json::Number(digits.clone()),
            Cell::Text(text) | Cell::Cut(text, _) => Json::Text(text.clone()),
            Cell::Json(text) => Json::text(text),
            Cell::Damaged => Json::text("(cannot be read)"),
        };
        fields.push((name.clone(), value));
        if let Cell::Cut(_, length) = cell {
            fields.push(([&name[..], b"_bytes"].concat(), Json::Count(*length as u64)));
        }
    }
    Json::Object(fields)
}

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Null | Cell::Damaged => 4,
        Cell::Number(text) | Cell::Json(text) => text.len(),
        Cell::Text(text) | Cell::Cut(text, _) => text.len() * 3,
    }
}

/// `    update shop.orders  id=7 state='new' → state='paid'`: of an update the values that changed.
fn row_line(row: &RowChange) -> String {
    let name = format!("{}.{}", shown_plain(&row.schema), shown_plain(&row.table));
    let all =
        |values: &[(Vec<u8>, Cell)]| values.iter().map(value_text).collect::<Vec<_>>().join(" ");
    let values = match (&row.before, &row.after) {
        (Some(before), Some(after)) => {
            let changed = after.iter().filter(|it| !before.contains(it));
            let changed: Vec<String> = changed.map(value_text).collect();
            format!("{} → {}", all(before), changed.join(" "))
        }
        (Some(values), None) | (None, Some(values)) => all(values),
        (None, None) => String::new(),
    };
    format!("    {} {name}  {values}", row.kind)
}

fn value_text((name, cell): &(Vec<u8>, Cell)) -> String {
    let cut = |text: &str| {
        let start: String = text.chars().take(VALUE_SHOWN).collect();
        let more = if start.len() < text.len() { "…" } else { "" };
        format!("{start}{more}")
    };
    let value = match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Number(digits) => digits.clone(),
        Cell::Text(text) | Cell::Cut(text, _) => {
            let start = &text[..text.len().min(VALUE_SHOWN * 4)];
            format!("'{}'", cut(&shown_plain(start)))
        }
        Cell::Json(text) => cut(&shown_plain(text.as_bytes())),
        Cell::Damaged => "(cannot be read)".to_owned(),
    };
    format!("{}={value}", shown_plain(name))
}

/// Queries that used a table, from an audit log alone.
pub(crate) fn trace_tables(reads: &[TableRead], view: View<'_>) -> Answer {
    let mut answer = Answer { rows: reads.len(), ..Answer::default() };
    let uses = |it: &TableRead| it.uses.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(" ");
    let statement = |it: &TableRead| {
        it.statement.as_ref().map(|statement| {
            let (text, mask) = without_secrets(statement);
            [text, mask.as_bytes()].concat()
        })
    };
    if view.records {
        let mut records = Records::new(&TABLE_FIELDS);
        for it in reads {
            records.push(vec![
                Value::Time(it.time),
                Value::word(it.thread.to_string()),
                Value::word(it.query.to_string()),
                Value::Name(it.user.clone()),
                Value::Name(it.host.clone()),
                Value::number(it.port),
                Value::word(uses(it)),
                Value::Name(it.table.clone()),
                Value::name(it.renamed_to.as_deref()),
                Value::name(statement(it).as_deref()),
                Value::number(it.error),
            ]);
        }
        answer.records.push(records);
    }
    if view.page && !reads.is_empty() {
        let mut table = Table::new(vec![
            Column::fixed("TIME"),
            Column::fixed("USE"),
            Column::name("TABLE"),
            Column::name("WHO"),
            Column::number("CONNECTION"),
            Column::name("STATEMENT"),
        ]);
        for it in reads {
            let renamed = it.renamed_to.as_ref();
            let renamed = renamed.map_or_else(String::new, |it| format!(" → {}", shown_plain(it)));
            let failed = it.error.filter(|&it| it != 0);
            let failed = failed.map_or_else(String::new, |it| format!(" (error {it})"));
            let text = statement(it).unwrap_or_else(|| "–".into());
            let text = &text[..text.len().min(STATEMENT_SHOWN)];
            table.push(vec![
                second_text(it.time, view.zone),
                uses(it),
                format!("{}{renamed}", shown_plain(&it.table)),
                format!("{} from {}", shown(&it.user), shown(&it.host)),
                it.thread.to_string(),
                format!("{}{failed}", shown_plain(text)),
            ]);
        }
        answer.page.table(table);
    }
    answer
}
