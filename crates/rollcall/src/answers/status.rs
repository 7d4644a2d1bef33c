//! `status`: whether rollcall itself is well.

use ledger::{SourceStatus, Status};

use super::{View, plural};
use crate::render::{
    Answer, Column, Records, Table, Value, inert, shown_plain, thousands, unit_bytes,
};
use crate::time::{length_text, table_text, table_text_or_dash};

pub(super) const SOURCE_FIELDS: [&str; 11] = [
    "source",
    "dialect",
    "files",
    "bytes",
    "records",
    "rejected",
    "quarantined",
    "newest",
    "last_read",
    "lag_seconds",
    "unread_bytes",
];
pub(super) const LEDGER_FIELDS: [&str; 7] =
    ["ledger", "last_commit", "schema", "bytes", "unsettled", "connections", "watch"];
pub(super) const TROUBLE_FIELDS: [&str; 2] = ["trouble", "since"];

/// A watch that runs says so every minute; a step of it can take long while it catches up.
const WATCH_SILENT_MAX: i64 = 5 * 60 * 1_000_000;

/// The answer. `ledger` is the ledger's path; `unread` tells per source how many bytes of its files are
/// not read yet, where they could be looked at.
pub(crate) fn status(
    status: &Status,
    ledger: &std::path::Path,
    unread: &[Option<u64>],
    view: View<'_>,
) -> Answer {
    use std::os::unix::ffi::OsStrExt as _;

    let path = ledger.as_os_str().as_bytes();
    let mut answer = Answer::default();
    let page = &mut answer.page;
    page.line(format!(
        "{}: {}, schema {}, times in {}",
        shown_plain(path),
        unit_bytes(status.bytes),
        status.schema,
        inert(&view.zone.name),
    ));
    page.line(match status.last_commit {
        Some(time) => format!(
            "last commit {}, {} ago",
            table_text(time, view.zone),
            length_text(view.now.saturating_sub(time).max(0)),
        ),
        None => "nothing committed yet: rollcall scan PATH".to_owned(),
    });
    if let Some(heard) = status.watch {
        page.line(watch_text(view.now.saturating_sub(heard).max(0)));
    }
    page.line(format!(
        "{} not settled · {} kept",
        plural(status.unsettled, "login"),
        plural(status.connections, "connection fact"),
    ));
    if !status.sources.is_empty() {
        page.blank();
        page.table(table(&status.sources, unread, view));
    }
    if !status.troubles.is_empty() {
        page.blank();
        page.line("could not be read when it was last tried:");
    }
    for trouble in &status.troubles {
        let since = table_text(trouble.since, view.zone);
        page.line(format!("since {since}: {}", inert(&trouble.message)));
    }
    answer.rows = status.sources.len();
    answer.records.push(source_records(&status.sources, unread, view));
    let mut records = Records::new(&LEDGER_FIELDS);
    records.push(vec![
        Value::Name(path.to_vec()),
        Value::time(status.last_commit),
        Value::Number(status.schema.into()),
        Value::Number(status.bytes),
        Value::Number(status.unsettled),
        Value::Number(status.connections),
        Value::time(status.watch),
    ]);
    answer.records.push(records);
    let mut records = Records::new(&TROUBLE_FIELDS);
    for trouble in &status.troubles {
        records.push(vec![Value::word(trouble.message.as_str()), Value::Time(trouble.since)]);
    }
    answer.records.push(records);
    answer
}

/// `silent`: how long ago the watch said that it runs, in microseconds.
fn watch_text(silent: i64) -> String {
    let ago = length_text(silent);
    match silent <= WATCH_SILENT_MAX {
        true => format!("rollcall watch runs, heard of {ago} ago"),
        false => format!(
            "rollcall watch was last heard of {ago} ago and did not end as it should: start it again"
        ),
    }
}

/// How far the newest record is behind now.
fn lag_micros(source: &SourceStatus, view: View<'_>) -> Option<i64> {
    source.newest.map(|newest| view.now.saturating_sub(newest).max(0))
}

fn table(sources: &[SourceStatus], unread: &[Option<u64>], view: View<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::path("SOURCE"),
        Column::fixed("DIALECT").dispensable(3),
        Column::number("FILES").dispensable(5),
        Column::number("BYTES").dispensable(4),
        Column::number("RECORDS"),
        Column::number("REJECTED"),
        Column::number("QUARANTINED"),
        Column::fixed("NEWEST RECORD").dispensable(2),
        Column::number("LAG"),
        Column::number("UNREAD").dispensable(1),
        Column::fixed("LAST READ").dispensable(6),
    ]);
    for (source, unread) in sources.iter().zip(unread) {
        table.push(vec![
            shown_plain(&source.source),
            inert(&source.dialect),
            thousands(source.files),
            unit_bytes(source.bytes),
            thousands(source.records),
            thousands(source.rejected),
            thousands(source.quarantined),
            table_text_or_dash(source.newest, view.zone),
            lag_micros(source, view).map_or_else(|| "–".to_owned(), length_text),
            unread.map_or_else(|| "–".to_owned(), unit_bytes),
            table_text_or_dash(source.last_read, view.zone),
        ]);
    }
    table
}

fn source_records(sources: &[SourceStatus], unread: &[Option<u64>], view: View<'_>) -> Records {
    let mut records = Records::new(&SOURCE_FIELDS);
    for (source, &unread) in sources.iter().zip(unread) {
        let lag = lag_micros(source, view).map(|it| it.unsigned_abs() / 1_000_000);
        records.push(vec![
            Value::name(Some(&source.source)),
            Value::word(source.dialect.as_str()),
            Value::Number(source.files),
            Value::Number(source.bytes),
            Value::Number(source.records),
            Value::Number(source.rejected),
            Value::Number(source.quarantined),
            Value::time(source.newest),
            Value::time(source.last_read),
            Value::number(lag),
            Value::number(unread),
        ]);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::super::tests::{status_row, with_view};
    use super::*;
    use crate::render::Format;
    use insta::assert_snapshot;
    use std::path::Path;

    #[test]
    fn the_ledger_and_its_sources() {
        let path = Path::new("/var/lib/rollcall/ledger.sqlite");
        let answer = with_view(|view| status(&status_row(), path, &[Some(0), None], view));
        assert_snapshot!(answer.text(Format::Table, Some(60)), @r#"
        /var/lib/rollcall/ledger.sqlite: 4.3 MB, schema 1, times in
        Europe/Zurich
        last commit 2026-11-20 12:45, 15 min ago
        2 logins not settled · 100,000 connection facts kept

        SOURCE                RECORDS  REJECTED  QUARANTINED     LAG
        …/server_audit.log  3,000,000         9            3  16 min
        /var/log/\x1b[2J�           0         0            0       –
        (no room for LAST READ, FILES, BYTES, DIALECT, NEWEST
        RECORD, UNREAD)
        "#);
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        /var/lib/rollcall/ledger.sqlite: 4.3 MB, schema 1, times in Europe/Zurich
        last commit 2026-11-20 12:45, 15 min ago
        2 logins not settled · 100,000 connection facts kept

        SOURCE                            RECORDS  REJECTED  QUARANTINED     LAG  UNREAD
        …ar/lib/mysql/server_audit.log  3,000,000         9            3  16 min     0 B
        /var/log/\x1b[2J�                       0         0            0       –       –
        (no room for LAST READ, FILES, BYTES, DIALECT, NEWEST RECORD)
        "#);
        assert_snapshot!(answer.text(Format::Table, Some(120)), @r#"
        /var/lib/rollcall/ledger.sqlite: 4.3 MB, schema 1, times in Europe/Zurich
        last commit 2026-11-20 12:45, 15 min ago
        2 logins not settled · 100,000 connection facts kept

        SOURCE                   DIALECT       FILES   BYTES    RECORDS  REJECTED  QUARANTINED  NEWEST RECORD        LAG  UNREAD
        …mysql/server_audit.log  server_audit     11  3.0 GB  3,000,000         9            3  2026-11-20 12:44  16 min     0 B
        /var/log/\x1b[2J�        audit_login       1     0 B          0         0            0  –                      –       –
        (no room for LAST READ)
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"source":"/var/lib/mysql/server_audit.log","dialect":"server_audit","files":11,"bytes":3000000000,"records":3000000,"rejected":9,"quarantined":3,"newest":"2026-11-20T11:44:00Z","last_read":"2026-11-20T11:45:00Z","lag_seconds":960,"unread_bytes":0}
        {"source":"/var/log/\u001b[2J�","source_hex":"2f7661722f6c6f672f1b5b324aff","dialect":"audit_login","files":1,"bytes":0,"records":0,"rejected":0,"quarantined":0,"newest":null,"last_read":"2026-11-10T00:00:00Z","lag_seconds":null,"unread_bytes":null}
        {"ledger":"/var/lib/rollcall/ledger.sqlite","last_commit":"2026-11-20T11:45:00Z","schema":1,"bytes":4300800,"unsettled":2,"connections":100000,"watch":null}
        "#);
        assert_snapshot!(answer.text(Format::Csv, None), @r#"
        source,dialect,files,bytes,records,rejected,quarantined,newest,last_read,lag_seconds,unread_bytes,source_hex
        /var/lib/mysql/server_audit.log,server_audit,11,3000000000,3000000,9,3,2026-11-20T11:44:00Z,2026-11-20T11:45:00Z,960,0,
        /var/log/\x1b[2J�,audit_login,1,0,0,0,0,,2026-11-10T00:00:00Z,,,2f7661722f6c6f672f1b5b324aff
        "#);
    }

    #[test]
    fn a_new_ledger_names_the_next_step() {
        let new = Status {
            last_commit: None,
            unsettled: 1,
            connections: 0,
            sources: Vec::new(),
            ..status_row()
        };
        let answer = with_view(|view| status(&new, Path::new("/l"), &[], view));
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        /l: 4.3 MB, schema 1, times in Europe/Zurich
        nothing committed yet: rollcall scan PATH
        1 login not settled · 0 connection facts kept
        "#);
    }

    #[test]
    fn a_watch_and_its_trouble_are_told() {
        let now = with_view(|view| view.now);
        let message = "/var/log/a\nb: cannot be read".to_owned();
        let troubles = vec![ledger::Trouble { since: now - 7_200_000_000, message }];
        let told = |watch| {
            let row = Status { watch, troubles: troubles.clone(), ..status_row() };
            let path = Path::new("/l");
            with_view(|view| status(&row, path, &[Some(4_500_000), None], view))
        };
        assert_snapshot!(told(Some(now - 20_000_000)).text(Format::Table, Some(130)), @r#"
        /l: 4.3 MB, schema 1, times in Europe/Zurich
        last commit 2026-11-20 12:45, 15 min ago
        rollcall watch runs, heard of 20 s ago
        2 logins not settled · 100,000 connection facts kept

        SOURCE                           DIALECT       FILES   BYTES    RECORDS  REJECTED  QUARANTINED  NEWEST RECORD        LAG  UNREAD
        /var/lib/mysql/server_audit.log  server_audit     11  3.0 GB  3,000,000         9            3  2026-11-20 12:44  16 min  4.5 MB
        /var/log/\x1b[2J�                audit_login       1     0 B          0         0            0  –                      –       –
        (no room for LAST READ)

        could not be read when it was last tried:
        since 2026-11-20 11:00: /var/log/a\nb: cannot be read
        "#);
        let silent = told(Some(now - WATCH_SILENT_MAX - 1)).text(Format::Table, Some(130));
        assert_snapshot!(silent.lines().nth(2).unwrap(), @r#"rollcall watch was last heard of 5 min ago and did not end as it should: start it again"#);
        assert_snapshot!(told(Some(now)).text(Format::Json, None), @r#"
        {"source":"/var/lib/mysql/server_audit.log","dialect":"server_audit","files":11,"bytes":3000000000,"records":3000000,"rejected":9,"quarantined":3,"newest":"2026-11-20T11:44:00Z","last_read":"2026-11-20T11:45:00Z","lag_seconds":960,"unread_bytes":4500000}
        {"source":"/var/log/\u001b[2J�","source_hex":"2f7661722f6c6f672f1b5b324aff","dialect":"audit_login","files":1,"bytes":0,"records":0,"rejected":0,"quarantined":0,"newest":null,"last_read":"2026-11-10T00:00:00Z","lag_seconds":null,"unread_bytes":null}
        {"ledger":"/l","last_commit":"2026-11-20T11:45:00Z","schema":1,"bytes":4300800,"unsettled":2,"connections":100000,"watch":"2026-11-20T12:00:00Z"}
        {"trouble":"/var/log/a\nb: cannot be read","since":"2026-11-20T10:00:00Z"}
        "#);
    }
}
