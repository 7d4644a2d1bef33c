//! `seen`: per server, user and client host, first and last login and counts.

use std::cmp::Reverse;

use jiff::SignedDuration;
use ledger::Seen;

use super::{View, caption};
use crate::cli::SeenSort;
use crate::render::{Answer, Column, Records, Table, Value, shown, thousands};
use crate::time::{length_text, table_text, table_text_or_dash};

/// The fields for programs.
pub(super) const FIELDS: [&str; 11] = [
    "server",
    "user",
    "host",
    "first_seen",
    "last_seen",
    "last_active",
    "logins",
    "failures",
    "last_failed",
    "last_error",
    "contested",
];

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct SeenOptions {
    /// Newest login first, without one; oldest first with `idle_for`.
    pub(crate) sort: Option<SeenSort>,
    pub(crate) limit: Option<usize>,
    /// Only what logged in once and shows no sign of a session for so long.
    pub(crate) idle_for: Option<SignedDuration>,
}

/// The answer. `newest` is the time of the newest record in the ledger.
pub(crate) fn seen(
    rows: &[Seen],
    options: &SeenOptions,
    newest: Option<i64>,
    view: View<'_>,
) -> Answer {
    let idle_since = options
        .idle_for
        .map(|age| view.now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)));
    let mut rows: Vec<&Seen> =
        rows.iter().filter(|row| idle_since.is_none_or(|since| is_idle(row, since))).collect();
    sort(&mut rows, options);
    let all = rows.len();
    rows.truncate(options.limit.unwrap_or(all));

    let mut answer = Answer::default();
    if rows.is_empty() {
        answer.page.line(if idle_since.is_some() { "Nothing is stale." } else { "Nothing seen." });
    } else {
        let noun = if idle_since.is_some() { "stale row" } else { "row" };
        caption(&mut answer, rows.len(), all, noun, view.zone);
        if view.page {
            answer.page.table(table(&rows, view));
        }
    }
    if rows.iter().any(|row| row.contested) {
        answer.page.line("! doubtful records touched this row: rollcall evidence");
    }
    match options.idle_for {
        Some(age) => {
            let age = length_text(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
            answer.page.line(idle_basis(&age, newest, view));
            if let (true, Some(since), Some(newest)) = (all > 0, idle_since, newest)
                && newest < since
            {
                answer.page.line(
                    "The logs end before that time, so nobody can show up: read newer logs first \
                     (rollcall scan)",
                );
            }
        }
        None if all == 0 => answer.page.line(NEVER_USED),
        None => {}
    }
    answer.rows = rows.len();
    if view.records {
        answer.records.push(records(&rows));
    }
    answer
}

/// What logs cannot show.
pub(super) const NEVER_USED: &str = "Accounts that never logged in leave no line in a log and cannot \
    appear here: rollcall unused asks the server for them";

fn is_idle(row: &Seen, since: i64) -> bool {
    let newest = row.last_seen.max(row.last_active);
    newest.is_some_and(|newest| newest < since)
}

fn idle_basis(age: &str, newest: Option<i64>, view: View<'_>) -> String {
    let reach = match newest {
        None => "no record is in the ledger".to_owned(),
        Some(newest) => format!("the newest record is from {}", table_text(newest, view.zone)),
    };
    format!(
        "Stale: seen once, no sign of a session for {age}, from logs alone ({reach}). {NEVER_USED}"
    )
}

fn sort(rows: &mut [&Seen], options: &SeenOptions) {
    rows.sort_by(|a, b| (&a.user, &a.host, &a.server).cmp(&(&b.user, &b.host, &b.server)));
    match (options.sort, options.idle_for) {
        (None, Some(_)) => rows.sort_by_key(|row| row.last_seen),
        (None | Some(SeenSort::LastSeen), _) => rows.sort_by_key(|row| Reverse(row.last_seen)),
        (Some(SeenSort::FirstSeen), _) => rows.sort_by_key(|row| Reverse(row.first_seen)),
        (Some(SeenSort::LastActive), _) => rows.sort_by_key(|row| Reverse(row.last_active)),
        (Some(SeenSort::LastFailed), _) => rows.sort_by_key(|row| Reverse(row.last_failed)),
        (Some(SeenSort::Logins), _) => rows.sort_by_key(|row| Reverse(row.logins)),
        (Some(SeenSort::Failures), _) => rows.sort_by_key(|row| Reverse(row.failures)),
        (Some(SeenSort::User), _) => {}
        (Some(SeenSort::Host), _) => rows.sort_by(|a, b| a.host.cmp(&b.host)),
        (Some(SeenSort::Server), _) => rows.sort_by(|a, b| a.server.cmp(&b.server)),
    }
}

fn table(rows: &[&Seen], view: View<'_>) -> Table {
    let contested = rows.iter().any(|row| row.contested);
    let mut columns = vec![
        Column::fixed("LAST LOGIN"),
        Column::name("USER"),
        Column::host("FROM"),
        Column::name("SERVER").dispensable(1),
        Column::number("LOGINS"),
        Column::number("REFUSED"),
        Column::fixed("LAST REFUSED").dispensable(2),
        Column::fixed("FIRST LOGIN").dispensable(3),
        Column::fixed("LAST ACTIVE").dispensable(4),
    ];
    if contested {
        columns.push(Column::fixed("!"));
    }
    let mut table = Table::new(columns);
    for row in rows {
        let refused = row.last_failed.map(|time| table_text(time, view.zone));
        let mut cells = vec![
            table_text_or_dash(row.last_seen, view.zone),
            shown(&row.user),
            shown(&row.host),
            server_cell(&row.server),
            logins_cell(row),
            thousands(row.failures),
            match (refused, row.last_error.filter(|&it| it != 0)) {
                (None, _) => "–".to_owned(),
                (Some(time), None) => time,
                (Some(time), Some(error)) => format!("{time} ({error})"),
            },
            table_text_or_dash(row.first_seen, view.zone),
            table_text_or_dash(row.last_active, view.zone),
        ];
        if contested {
            cells.push(if row.contested { "!".to_owned() } else { String::new() });
        }
        table.push(cells);
    }
    table
}

/// The number of logins, or a dash where only the last is known: taken over from conntracker.
pub(super) fn logins_cell(row: &Seen) -> String {
    match row.logins {
        0 if row.last_seen.is_some() => "–".to_owned(),
        logins => thousands(logins),
    }
}

/// A server's name, or a dash where no record tells it.
pub(super) fn server_cell(name: &[u8]) -> String {
    if name.is_empty() { "–".to_owned() } else { shown(name) }
}

fn records(rows: &[&Seen]) -> Records {
    let mut records = Records::new(&FIELDS);
    for row in rows {
        records.push(vec![
            Value::server(&row.server),
            Value::name(Some(&row.user)),
            Value::name(Some(&row.host)),
            Value::time(row.first_seen),
            Value::time(row.last_seen),
            Value::time(row.last_active),
            Value::Number(row.logins),
            Value::Number(row.failures),
            Value::time(row.last_failed),
            Value::number(row.last_error.filter(|&it| it != 0)),
            Value::Flag(row.contested),
        ]);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, seen_rows, with_view};
    use super::*;
    use crate::render::Format;
    use insta::assert_snapshot;

    fn ask(options: &SeenOptions) -> Answer {
        with_view(|view| seen(&seen_rows(), options, Some(at("20T11:59")), view))
    }

    fn users(options: &SeenOptions) -> Vec<String> {
        let text = ask(options).text(Format::Json, None);
        let user = |line| {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            object["user"].as_str().unwrap().to_owned() + "@" + object["host"].as_str().unwrap()
        };
        text.lines().map(user).collect()
    }

    #[test]
    fn tables_fit_their_terminal() {
        let answer = ask(&SeenOptions::default());
        assert_snapshot!(answer.text(Format::Table, Some(60)), @r#"
        7 rows, times in Europe/Zurich
        LAST LOGIN        USER       FROM         LOGINS  REFUSED  !
        2026-11-20 12:59  app        10.0.0.7  1,234,567        0
        2026-11-20 07:30  root       localho…        812        0
        2026-11-19 01:00  caf�       2001:db…          7        0
        2026-11-18 04:00  root       10.0.0.5          3        0
        2026-11-05 01:00  x\n=1\x1…  203.0.1…          1        0  !
        2026-11-03 05:12  old_blog   web-87.…          4        2
        –                 admin      203.0.1…          0        9
        (no room for LAST ACTIVE, FIRST LOGIN, LAST REFUSED, SERVER)
        ! doubtful records touched this row: rollcall evidence
        "#);
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        7 rows, times in Europe/Zurich
        LAST LOGIN        USER          FROM               SERVER     LOGINS  REFUSED  !
        2026-11-20 12:59  app           10.0.0.7           db1     1,234,567        0
        2026-11-20 07:30  root          localhost          db1           812        0
        2026-11-19 01:00  caf�          2001:db8::1        db1             7        0
        2026-11-18 04:00  root          10.0.0.5           db1             3        0
        2026-11-05 01:00  x\n=1\x1b[2J  203.0.113.9        db1             1        0  !
        2026-11-03 05:12  old_blog      web-87.localdoma…  db1             4        2
        –                 admin         203.0.113.9        –               0        9
        (no room for LAST ACTIVE, FIRST LOGIN, LAST REFUSED)
        ! doubtful records touched this row: rollcall evidence
        "#);
        assert_snapshot!(answer.text(Format::Table, Some(120)), @r#"
        7 rows, times in Europe/Zurich
        LAST LOGIN        USER         FROM             SERVER     LOGINS  REFUSED  LAST REFUSED             FIRST LOGIN       !
        2026-11-20 12:59  app          10.0.0.7         db1     1,234,567        0  –                        2026-11-01 09:00
        2026-11-20 07:30  root         localhost        db1           812        0  –                        2026-11-01 09:01
        2026-11-19 01:00  caf�         2001:db8::1      db1             7        0  –                        2026-11-06 01:00
        2026-11-18 04:00  root         10.0.0.5         db1             3        0  –                        2026-11-17 04:00
        2026-11-05 01:00  x\n=1\x1b[…  203.0.113.9      db1             1        0  –                        2026-11-05 01:00  !
        2026-11-03 05:12  old_blog     web-87.localdo…  db1             4        2  2026-11-04 01:00 (1045)  2026-11-02 05:12
        –                 admin        203.0.113.9      –               0        9  2026-11-20 02:00         –
        (no room for LAST ACTIVE)
        ! doubtful records touched this row: rollcall evidence
        "#);
        assert_snapshot!(answer.text(Format::Table, None), @r#"
        7 rows, times in Europe/Zurich
        LAST LOGIN        USER          FROM                SERVER     LOGINS  REFUSED  LAST REFUSED             FIRST LOGIN       LAST ACTIVE       !
        2026-11-20 12:59  app           10.0.0.7            db1     1,234,567        0  –                        2026-11-01 09:00  2026-11-20 13:00
        2026-11-20 07:30  root          localhost           db1           812        0  –                        2026-11-01 09:01  2026-11-20 07:31
        2026-11-19 01:00  caf�          2001:db8::1         db1             7        0  –                        2026-11-06 01:00  2026-11-19 01:01
        2026-11-18 04:00  root          10.0.0.5            db1             3        0  –                        2026-11-17 04:00  2026-11-18 04:01
        2026-11-05 01:00  x\n=1\x1b[2J  203.0.113.9         db1             1        0  –                        2026-11-05 01:00  2026-11-05 01:01  !
        2026-11-03 05:12  old_blog      web-87.localdomain  db1             4        2  2026-11-04 01:00 (1045)  2026-11-02 05:12  2026-11-03 05:13
        –                 admin         203.0.113.9         –               0        9  2026-11-20 02:00         –                 –
        ! doubtful records touched this row: rollcall evidence
        "#);
    }

    #[test]
    fn programs_get_every_field() {
        let answer = ask(&SeenOptions::default());
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"server":"db1","user":"app","host":"10.0.0.7","first_seen":"2026-11-01T08:00:00Z","last_seen":"2026-11-20T11:59:00Z","last_active":"2026-11-20T12:00:00Z","logins":1234567,"failures":0,"last_failed":null,"last_error":null,"contested":false}
        {"server":"db1","user":"root","host":"localhost","first_seen":"2026-11-01T08:01:00Z","last_seen":"2026-11-20T06:30:00Z","last_active":"2026-11-20T06:31:00Z","logins":812,"failures":0,"last_failed":null,"last_error":null,"contested":false}
        {"server":"db1","user":"caf�","user_hex":"636166e9","host":"2001:db8::1","first_seen":"2026-11-06T00:00:00Z","last_seen":"2026-11-19T00:00:00Z","last_active":"2026-11-19T00:01:00Z","logins":7,"failures":0,"last_failed":null,"last_error":null,"contested":false}
        {"server":"db1","user":"root","host":"10.0.0.5","first_seen":"2026-11-17T03:00:00Z","last_seen":"2026-11-18T03:00:00Z","last_active":"2026-11-18T03:01:00Z","logins":3,"failures":0,"last_failed":null,"last_error":null,"contested":false}
        {"server":"db1","user":"x\n=1\u001b[2J","host":"203.0.113.9","first_seen":"2026-11-05T00:00:00Z","last_seen":"2026-11-05T00:00:00Z","last_active":"2026-11-05T00:01:00Z","logins":1,"failures":0,"last_failed":null,"last_error":null,"contested":true}
        {"server":"db1","user":"old_blog","host":"web-87.localdomain","first_seen":"2026-11-02T04:12:00Z","last_seen":"2026-11-03T04:12:00Z","last_active":"2026-11-03T04:13:00Z","logins":4,"failures":2,"last_failed":"2026-11-04T00:00:00.123456Z","last_error":1045,"contested":false}
        {"server":null,"user":"admin","host":"203.0.113.9","first_seen":null,"last_seen":null,"last_active":null,"logins":0,"failures":9,"last_failed":"2026-11-20T01:00:00Z","last_error":null,"contested":false}
        "#);
        assert_snapshot!(answer.text(Format::Csv, None), @r#"
        server,user,host,first_seen,last_seen,last_active,logins,failures,last_failed,last_error,contested,user_hex
        db1,app,10.0.0.7,2026-11-01T08:00:00Z,2026-11-20T11:59:00Z,2026-11-20T12:00:00Z,1234567,0,,,false,
        db1,root,localhost,2026-11-01T08:01:00Z,2026-11-20T06:30:00Z,2026-11-20T06:31:00Z,812,0,,,false,
        db1,caf�,2001:db8::1,2026-11-06T00:00:00Z,2026-11-19T00:00:00Z,2026-11-19T00:01:00Z,7,0,,,false,636166e9
        db1,root,10.0.0.5,2026-11-17T03:00:00Z,2026-11-18T03:00:00Z,2026-11-18T03:01:00Z,3,0,,,false,
        db1,x\n=1\x1b[2J,203.0.113.9,2026-11-05T00:00:00Z,2026-11-05T00:00:00Z,2026-11-05T00:01:00Z,1,0,,,true,780a3d311b5b324a
        db1,old_blog,web-87.localdomain,2026-11-02T04:12:00Z,2026-11-03T04:12:00Z,2026-11-03T04:13:00Z,4,2,2026-11-04T00:00:00.123456Z,1045,false,
        ,admin,203.0.113.9,,,,0,9,2026-11-20T01:00:00Z,,false,
        "#);
    }

    #[test]
    fn idle_rows_logged_in_once_and_fell_silent() {
        let options = SeenOptions { idle_for: crate::time::parse_age("7d"), ..Default::default() };
        assert_snapshot!(ask(&options).text(Format::Table, Some(80)), @r#"
        2 stale rows, times in Europe/Zurich
        LAST LOGIN        USER          FROM                SERVER  LOGINS  REFUSED  !
        2026-11-03 05:12  old_blog      web-87.localdomain  db1          4        2
        2026-11-05 01:00  x\n=1\x1b[2J  203.0.113.9         db1          1        0  !
        (no room for LAST ACTIVE, FIRST LOGIN, LAST REFUSED)
        ! doubtful records touched this row: rollcall evidence
        Stale: seen once, no sign of a session for 7 d, from logs alone (the newest
        record is from 2026-11-20 12:59). Accounts that never logged in leave no line in
        a log and cannot appear here: rollcall unused asks the server for them
        "#);
        // A session that goes on without a new login is not idle.
        let mut rows = seen_rows();
        rows[3].last_active = Some(at("19T00:00"));
        let answer = with_view(|view| seen(&rows, &options, None, view));
        assert_eq!(answer.records[0].rows.len(), 1);
        // The bound itself is not idle, one microsecond before is.
        let bound = at("13T12:00");
        for (time, idle) in [(bound, 0), (bound - 1, 1)] {
            rows.truncate(1);
            (rows[0].last_seen, rows[0].last_active) = (Some(time), None);
            let answer = with_view(|view| seen(&rows, &options, None, view));
            assert_eq!(answer.records[0].rows.len(), idle);
        }
    }

    #[test]
    fn rows_are_sorted_as_asked() {
        let first =
            |sort| users(&SeenOptions { sort: Some(sort), limit: Some(2), ..Default::default() });
        assert_eq!(first(SeenSort::LastSeen), ["app@10.0.0.7", "root@localhost"]);
        assert_eq!(first(SeenSort::FirstSeen), ["root@10.0.0.5", "caf\u{fffd}@2001:db8::1"]);
        assert_eq!(first(SeenSort::LastActive), ["app@10.0.0.7", "root@localhost"]);
        assert_eq!(
            first(SeenSort::LastFailed),
            ["admin@203.0.113.9", "old_blog@web-87.localdomain"]
        );
        assert_eq!(first(SeenSort::Logins), ["app@10.0.0.7", "root@localhost"]);
        assert_eq!(first(SeenSort::Failures), ["admin@203.0.113.9", "old_blog@web-87.localdomain"]);
        assert_eq!(first(SeenSort::User), ["admin@203.0.113.9", "app@10.0.0.7"]);
        assert_eq!(first(SeenSort::Host), ["root@10.0.0.5", "app@10.0.0.7"]);
        assert_eq!(first(SeenSort::Server), ["admin@203.0.113.9", "app@10.0.0.7"]);
    }

    #[test]
    fn an_empty_answer_says_what_cannot_appear() {
        let answer = with_view(|view| seen(&[], &SeenOptions::default(), None, view));
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        Nothing seen.
        Accounts that never logged in leave no line in a log and cannot appear here:
        rollcall unused asks the server for them
        "#);
        assert_eq!(answer.text(Format::Json, None), "");
        assert_eq!(answer.text(Format::Csv, None), FIELDS.join(",") + "\n");
    }
}
