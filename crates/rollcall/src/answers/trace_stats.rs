//! `trace --stats`: sums by user, table and hour; the largest and the longest transactions.

use super::View;
use crate::render::{Answer, Column, Records, Table, Value, shown, shown_plain, thousands};
use crate::time::{length_text, second_text, table_text};
use crate::trace::{Stats, StatsLine};

/// The fields of a sum of `--stats`.
pub(super) const FIELDS: [&str; 7] =
    ["by", "key", "transactions", "inserts", "updates", "deletes", "bytes"];

/// The fields of one of the largest or longest transactions.
pub(super) const LIST_FIELDS: [&str; 9] =
    ["list", "file", "position", "gtid", "time", "user", "rows", "bytes", "seconds"];

/// How many lines a sum of `--stats` has on a page.
const LINES_SHOWN: usize = 10;

/// Sums of transactions.
pub(crate) fn trace_stats(stats: &Stats, view: View<'_>) -> Answer {
    let mut answer = Answer { rows: stats.all.transactions as usize, ..Answer::default() };
    if view.records {
        stats_records(stats, &mut answer);
    }
    let all = stats.all;
    answer.page.line(format!(
        "{}, {} ({}), {}, times in {}",
        super::plural(all.transactions, "transaction"),
        super::plural(all.rows(), "row"),
        line_text(&all),
        crate::render::unit_bytes(all.bytes),
        view.zone.name
    ));
    let mut users: Vec<_> = stats.users.iter().collect();
    users.sort_by_key(|(_, line)| std::cmp::Reverse(line.rows()));
    let user = |it: &Option<Vec<u8>>| it.as_ref().map_or("unknown".to_owned(), |it| shown(it));
    stats_table(&mut answer, "USER", users.iter().map(|(key, line)| (user(key), **line)));
    let mut tables: Vec<_> = stats.tables.iter().collect();
    tables.sort_by_key(|(_, line)| std::cmp::Reverse(line.rows()));
    stats_table(&mut answer, "TABLE", tables.iter().map(|(key, line)| ((*key).clone(), **line)));
    let hours = stats.hours.iter().map(|(hour, line)| (table_text(*hour, view.zone), *line));
    stats_table(&mut answer, "HOUR", hours);
    for (heading, list) in [("LARGEST", &stats.largest), ("LONGEST", &stats.longest)] {
        if list.is_empty() {
            continue;
        }
        let mut table = Table::new(vec![
            Column::fixed(heading),
            Column::name("USER"),
            Column::number("ROWS"),
            Column::number("BYTES"),
            Column::number("LASTED"),
            Column::name("PLACE"),
        ]);
        for it in list {
            table.push(vec![
                second_text(it.traced.time, view.zone),
                it.user.as_ref().map_or("unknown".to_owned(), |it| shown(it)),
                thousands(it.rows),
                crate::render::unit_bytes(it.traced.bytes),
                length_text(i64::from(it.traced.seconds) * 1_000_000),
                format!("{} at {}", shown_plain(it.file.as_bytes()), it.traced.position),
            ]);
        }
        answer.page.blank();
        answer.page.table(table);
    }
    answer
}

fn line_text(line: &StatsLine) -> String {
    format!(
        "+{} ~{} -{}",
        thousands(line.inserts),
        thousands(line.updates),
        thousands(line.deletes)
    )
}

fn stats_table(
    answer: &mut Answer,
    heading: &str,
    lines: impl ExactSizeIterator<Item = (String, StatsLine)>,
) {
    let all = lines.len();
    if all == 0 {
        return;
    }
    // All hours: they are in order, and a gap among them says something.
    let shown = if heading == "HOUR" { all } else { LINES_SHOWN };
    let mut table = Table::new(vec![
        Column::name(heading),
        Column::number("TRANSACTIONS"),
        Column::number("INSERTED"),
        Column::number("UPDATED"),
        Column::number("DELETED"),
    ]);
    for (key, line) in lines.take(shown) {
        table.push(vec![
            key,
            thousands(line.transactions),
            thousands(line.inserts),
            thousands(line.updates),
            thousands(line.deletes),
        ]);
    }
    answer.page.blank();
    answer.page.table(table);
    if all > shown {
        answer
            .page
            .line(format!("and {} more: -o json lists all", thousands((all - shown) as u64)));
    }
}

fn stats_records(stats: &Stats, answer: &mut Answer) {
    let mut sums = Records::new(&FIELDS);
    let mut push = |by: &str, key: Value, line: &StatsLine| {
        let bytes = if by == "table" { Value::Absent } else { Value::Number(line.bytes) };
        sums.push(vec![
            Value::word(by),
            key,
            Value::Number(line.transactions),
            Value::Number(line.inserts),
            Value::Number(line.updates),
            Value::Number(line.deletes),
            bytes,
        ]);
    };
    push("all", Value::Absent, &stats.all);
    for (user, line) in &stats.users {
        push("user", Value::name(user.as_deref()), line);
    }
    for (table, line) in &stats.tables {
        push("table", Value::word(table.clone()), line);
    }
    for (hour, line) in &stats.hours {
        push("hour", Value::Time(*hour), line);
    }
    let mut lists = Records::new(&LIST_FIELDS);
    for (name, list) in [("largest", &stats.largest), ("longest", &stats.longest)] {
        for it in list {
            lists.push(vec![
                Value::word(name),
                Value::Name(it.file.as_bytes().to_vec()),
                Value::Number(it.traced.position),
                it.traced.gtid.map_or(Value::Absent, |it| Value::word(it.to_string())),
                Value::Time(it.traced.time),
                Value::name(it.user.as_deref()),
                Value::Number(it.rows),
                Value::Number(it.traced.bytes),
                Value::Number(it.traced.seconds.into()),
            ]);
        }
    }
    answer.records.extend([sums, lists]);
}
