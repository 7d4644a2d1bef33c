//! `failures`: refused attempts, one by one or by client host, network or user.

use std::collections::{BTreeMap, HashMap, HashSet};

use ledger::Failure;
use verdict::failure::{FailureKind, kind};
use verdict::network::{HostList, neighbourhood};

use super::seen::server_cell;
use super::{View, caption};
use crate::cli::FailuresBy;
use crate::render::{Answer, Column, Records, Table, Value, shown, thousands};
use crate::time::{date, table_text};

pub(super) const FIELDS: [&str; 10] = [
    "server",
    "user",
    "host",
    "error",
    "kind",
    "kind_evidence",
    "count",
    "first",
    "last",
    "then_logged_in",
];
pub(super) const HOST_FIELDS: [&str; 9] = [
    "host",
    "count",
    "names",
    "first",
    "last",
    "kind",
    "health_check",
    "then_logged_in",
    "then_user",
];
pub(super) const NETWORK_FIELDS: [&str; 10] = [
    "network",
    "count",
    "hosts",
    "names",
    "first",
    "last",
    "kind",
    "health_check",
    "then_logged_in",
    "then_user",
];
pub(super) const USER_FIELDS: [&str; 8] =
    ["user", "count", "hosts", "first", "last", "kind", "then_logged_in", "then_host"];

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailuresOptions {
    pub(crate) by: Option<FailuresBy>,
    pub(crate) limit: Option<usize>,
}

/// Attempts with something in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Group<'a> {
    /// The host, network or user; `None` for names folded together.
    pub(super) key: Option<Vec<u8>>,
    pub(super) tries: u64,
    /// Different user names, the empty one not counted.
    pub(super) names: HashSet<&'a [u8]>,
    pub(super) hosts: HashSet<&'a [u8]>,
    /// User and host pairs folded together.
    pub(super) folded_pairs: u64,
    pub(super) first: i64,
    pub(super) last: i64,
    kinds: BTreeMap<FailureKind, u64>,
    /// The first login that followed: when, and the row it followed on.
    pub(super) login: Option<(i64, &'a Failure)>,
}

impl<'a> Group<'a> {
    fn add(&mut self, row: &'a Failure) {
        if self.tries == 0 {
            (self.first, self.last) = (row.first, row.last);
        }
        self.tries = self.tries.saturating_add(row.count);
        self.first = self.first.min(row.first);
        self.last = self.last.max(row.last);
        self.names.extend(row.user.as_deref().filter(|it| !it.is_empty()));
        self.hosts.extend(row.host.as_deref());
        if row.user.is_none() {
            self.folded_pairs += row.pairs;
        }
        *self.kinds.entry(kind(row.error, row.user.as_deref()).0).or_default() += row.count;
        if let Some(time) = row.then_logged_in
            && self.login.is_none_or(|(earlier, _)| time < earlier)
        {
            self.login = Some((time, row));
        }
    }

    /// The most frequent kind.
    pub(super) fn kind(&self) -> FailureKind {
        let most =
            self.kinds.iter().max_by_key(|(kind, count)| (**count, std::cmp::Reverse(**kind)));
        most.map_or(FailureKind::Other, |(kind, _)| *kind)
    }

    /// Whether all attempts came from listed hosts and without credentials.
    pub(super) fn is_health_check(&self, health: &HostList) -> bool {
        self.is_unnamed()
            && !self.hosts.is_empty()
            && self.hosts.iter().all(|host| health.contains(host))
    }

    /// Whether no attempt offered credentials.
    pub(super) fn is_unnamed(&self) -> bool {
        self.kinds.keys().all(|it| *it == FailureKind::NoCredentials)
    }
}

/// Groups the rows, most tries first; the folded ones last.
pub(super) fn groups<'a>(
    rows: impl IntoIterator<Item = &'a Failure>,
    by: FailuresBy,
) -> Vec<Group<'a>> {
    let mut groups: HashMap<Option<Vec<u8>>, Group<'a>> = HashMap::new();
    for row in rows {
        let host = row.host.as_deref();
        let key = match by {
            FailuresBy::User => row.user.clone(),
            FailuresBy::Host => host.map(<[u8]>::to_vec),
            FailuresBy::Network => host.map(|host| match neighbourhood(host) {
                Some(network) => network.to_string().into_bytes(),
                None => host.to_vec(),
            }),
        };
        groups.entry(key).or_default().add(row);
    }
    let mut groups: Vec<Group<'a>> =
        groups.into_iter().map(|(key, group)| Group { key, ..group }).collect();
    groups.sort_by(|a, b| {
        (a.key.is_none(), b.tries, &a.key).cmp(&(b.key.is_none(), a.tries, &b.key))
    });
    groups
}

/// The answer. `health` are the hosts whose attempts without credentials are checks.
pub(crate) fn failures(
    rows: &[Failure],
    options: &FailuresOptions,
    health: &HostList,
    view: View<'_>,
) -> Answer {
    let mut answer = Answer::default();
    if rows.is_empty() {
        answer.page.line("No refused attempts.");
        answer.page.line(
            "Attempts that the server did not log cannot appear here: its audit must be on and its \
             events must hold connections (SHOW VARIABLES LIKE 'server_audit%')",
        );
    }
    match options.by {
        None => single(&mut answer, rows, options.limit, view),
        Some(by) => grouped(&mut answer, rows, by, options.limit, health, view),
    }
    answer
}

fn single(answer: &mut Answer, rows: &[Failure], limit: Option<usize>, view: View<'_>) {
    let mut rows: Vec<&Failure> = rows.iter().collect();
    rows.sort_by(|a, b| {
        (b.last, b.count, &a.user, &a.host, &a.server, a.error)
            .cmp(&(a.last, a.count, &b.user, &b.host, &b.server, b.error))
    });
    let all = rows.len();
    rows.truncate(limit.unwrap_or(all));
    let mut table = Table::new(vec![
        Column::fixed("LAST").dispensable(1),
        Column::name("USER"),
        Column::host("FROM"),
        Column::name("SERVER").dispensable(3),
        Column::number("TRIES"),
        Column::fixed("KIND").dispensable(2),
        Column::number("ERROR").dispensable(4),
        Column::fixed("FIRST").dispensable(5),
        Column::fixed("THEN LOGGED IN"),
    ]);
    let mut records = Records::new(&FIELDS);
    answer.rows = rows.len();
    for row in &rows {
        if view.page {
            table.push(row_cells(row, view));
        }
        if view.records {
            records.push(row_values(row));
        }
    }
    if !rows.is_empty() {
        caption(answer, rows.len(), all, "row", view.zone);
        answer.page.table(table);
    }
    answer.records.push(records);
}

/// The kind of a row's refusals and what that rests on.
fn row_kind(row: &Failure) -> (FailureKind, String) {
    match (row.error, &row.user) {
        (None, None) => (FailureKind::Other, "counted together".to_owned()),
        (error, user) => kind(error, user.as_deref()),
    }
}

fn row_cells(row: &Failure, view: View<'_>) -> Vec<String> {
    let folded = || format!("({})", super::plural(row.pairs, "pair"));
    let error = row.error.filter(|&it| it != 0);
    vec![
        table_text(row.last, view.zone),
        row.user.as_deref().map_or_else(folded, shown),
        row.host.as_deref().map_or_else(|| "–".to_owned(), shown),
        server_cell(&row.server),
        thousands(row.count),
        row_kind(row).0.as_str().to_owned(),
        error.map_or_else(|| "–".to_owned(), |it| it.to_string()),
        table_text(row.first, view.zone),
        match row.then_logged_in {
            Some(time) => format!("YES: {}", near(time, row.last, view)),
            None if row.user.is_none() => "not known".to_owned(),
            None => "no".to_owned(),
        },
    ]
}

fn row_values(row: &Failure) -> Vec<Value> {
    let (kind, kind_evidence) = row_kind(row);
    vec![
        Value::server(&row.server),
        Value::name(row.user.as_deref()),
        Value::name(row.host.as_deref()),
        Value::number(row.error.filter(|&it| it != 0)),
        Value::word(kind.as_str()),
        Value::Text(kind_evidence),
        Value::Number(row.count),
        Value::Time(row.first),
        Value::Time(row.last),
        Value::time(row.then_logged_in),
    ]
}

fn grouped(
    answer: &mut Answer,
    rows: &[Failure],
    by: FailuresBy,
    limit: Option<usize>,
    health: &HostList,
    view: View<'_>,
) {
    let mut groups = groups(rows, by);
    let all = groups.len();
    groups.truncate(limit.unwrap_or(all));
    let (noun, heading, fields): (_, _, &'static [&'static str]) = match by {
        FailuresBy::Host => ("host", "FROM", &HOST_FIELDS),
        FailuresBy::Network => ("network", "FROM", &NETWORK_FIELDS),
        FailuresBy::User => ("user", "USER", &USER_FIELDS),
    };
    let mut columns = vec![Column::host(heading), Column::number("TRIES")];
    if by != FailuresBy::Host {
        columns.push(Column::number("HOSTS").dispensable(3));
    }
    if by != FailuresBy::User {
        columns.push(Column::number("NAMES"));
    }
    columns.extend([
        Column::fixed("FIRST").dispensable(2),
        Column::fixed("LAST").dispensable(1),
        Column::prose("THEN LOGGED IN"),
    ]);
    let mut table = Table::new(columns);
    let mut records = Records::new(fields);
    answer.rows = groups.len();
    for group in &groups {
        if view.page {
            table.push(group_cells(group, by, health, view));
        }
        if view.records {
            records.push(group_values(group, by, health));
        }
    }
    if !groups.is_empty() {
        caption(answer, groups.len(), all, noun, view.zone);
        answer.page.table(table);
    }
    let folded: u64 = groups.iter().map(|it| it.folded_pairs).sum();
    if folded > 0 {
        let pairs = super::plural(folded, "user and host pair");
        answer.page.line(format!(
            "(folded): {pairs} that only failed, too many in an hour to keep one by one; whether a \
             login followed is not known for them"
        ));
    }
    answer.records.push(records);
}

fn group_cells(
    group: &Group<'_>,
    by: FailuresBy,
    health: &HostList,
    view: View<'_>,
) -> Vec<String> {
    let count_or_dash = |count: usize| match count {
        0 => "–".to_owned(),
        count => thousands(count as u64),
    };
    let mut cells = vec![group_name(group), thousands(group.tries)];
    if by != FailuresBy::Host {
        cells.push(count_or_dash(group.hosts.len()));
    }
    if by != FailuresBy::User {
        cells.push(count_or_dash(group.names.len()));
    }
    cells.push(table_text(group.first, view.zone));
    cells.push(table_text(group.last, view.zone));
    cells.push(match group.login {
        Some((time, row)) => {
            let time = near(time, group.last, view);
            let who = match by {
                FailuresBy::User => format!("from {}", shown(row.host.as_deref().unwrap_or(b""))),
                _ => shown(row.user.as_deref().unwrap_or(b"")),
            };
            format!("YES: {who} at {time}")
        }
        None if group.key.is_none() => "not known".to_owned(),
        None if group.is_health_check(health) => "no name sent (health check)".to_owned(),
        None if group.is_unnamed() => "no name sent".to_owned(),
        None => "no".to_owned(),
    });
    cells
}

/// What a group is called: a network with a single host by that host.
pub(super) fn group_name(group: &Group<'_>) -> String {
    let Some(key) = group.key.as_deref() else { return "(folded)".to_owned() };
    let mut hosts = group.hosts.iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if key.contains(&b'/') && neighbourhood(host).is_some() => shown(host),
        _ => shown(key),
    }
}

/// The time of day, with the date where that is not the day of `reference`.
pub(super) fn near(time: i64, reference: i64, view: View<'_>) -> String {
    let text = table_text(time, view.zone);
    match date(time, view.zone) == date(reference, view.zone) {
        true => text.rsplit(' ').next().unwrap_or_default().to_owned(),
        false => text,
    }
}

fn group_values(group: &Group<'_>, by: FailuresBy, health: &HostList) -> Vec<Value> {
    let hosts = Value::Number(group.hosts.len() as u64);
    let names = Value::Number(group.names.len() as u64);
    let mut values = vec![Value::name(group.key.as_deref()), Value::Number(group.tries)];
    match by {
        FailuresBy::Host => values.push(names),
        FailuresBy::Network => values.extend([hosts, names]),
        FailuresBy::User => values.push(hosts),
    }
    values.extend([Value::Time(group.first), Value::Time(group.last)]);
    values.push(Value::word(group.kind().as_str()));
    if by != FailuresBy::User {
        values.push(Value::Flag(group.is_health_check(health)));
    }
    values.push(Value::time(group.login.map(|(time, _)| time)));
    values.push(Value::name(group.login.and_then(|(_, row)| match by {
        FailuresBy::User => row.host.as_deref(),
        _ => row.user.as_deref(),
    })));
    values
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, failure_row, failure_rows, with_view};
    use super::*;
    use crate::render::Format;
    use insta::assert_snapshot;

    fn ask(by: Option<FailuresBy>, limit: Option<usize>) -> Answer {
        let health = HostList::parse(&["lb-1"]).unwrap();
        let options = FailuresOptions { by, limit };
        with_view(|view| failures(&failure_rows(), &options, &health, view))
    }

    #[test]
    fn one_by_one() {
        let mut rows = failure_rows();
        rows.drain(..28);
        let ask = with_view(|view| {
            failures(&rows, &FailuresOptions::default(), &HostList::default(), view)
        });
        assert_snapshot!(ask.text(Format::Table, Some(60)), @r#"
        9 rows, times in Europe/Zurich
        USER            FROM           TRIES  THEN LOGGED IN
        (51,000 pairs)  –             51,200  not known
        ''              lb-1           8,640  no
        root            185.1.2.3        400  no
        sa              185.1.2.200      300  no
        user28          203.0.113.9       27  no
        user29          203.0.113.9       27  no
        ''              198.51.100.7      12  no
        admin           203.0.113.9        2  YES: 02:14
        x\n=1\x1b[2J    �                  1  YES: 2026-11-21 08:00
        (no room for FIRST, ERROR, SERVER, KIND, LAST)
        "#);
        assert_snapshot!(ask.text(Format::Table, Some(80)), @r#"
        9 rows, times in Europe/Zurich
        LAST              USER            FROM           TRIES  THEN LOGGED IN
        2026-11-20 02:13  (51,000 pairs)  –             51,200  not known
        2026-11-20 02:13  ''              lb-1           8,640  no
        2026-11-20 02:13  root            185.1.2.3        400  no
        2026-11-20 02:13  sa              185.1.2.200      300  no
        2026-11-20 02:13  user28          203.0.113.9       27  no
        2026-11-20 02:13  user29          203.0.113.9       27  no
        2026-11-20 02:13  ''              198.51.100.7      12  no
        2026-11-20 02:13  admin           203.0.113.9        2  YES: 02:14
        2026-11-20 02:13  x\n=1\x1b[2J    �                  1  YES: 2026-11-21 08:00
        (no room for FIRST, ERROR, SERVER, KIND)
        "#);
        assert_snapshot!(ask.text(Format::Table, Some(120)), @r#"
        9 rows, times in Europe/Zurich
        LAST              USER            FROM          SERVER   TRIES  KIND            ERROR  THEN LOGGED IN
        2026-11-20 02:13  (51,000 pairs)  –             db1     51,200  other               –  not known
        2026-11-20 02:13  ''              lb-1          db1      8,640  no-credentials   1158  no
        2026-11-20 02:13  root            185.1.2.3     db1        400  access-denied    1045  no
        2026-11-20 02:13  sa              185.1.2.200   db1        300  access-denied    1698  no
        2026-11-20 02:13  user28          203.0.113.9   db1         27  access-denied    1045  no
        2026-11-20 02:13  user29          203.0.113.9   db1         27  access-denied    1045  no
        2026-11-20 02:13  ''              198.51.100.7  db1         12  no-credentials   1156  no
        2026-11-20 02:13  admin           203.0.113.9   db1          2  access-denied    1045  YES: 02:14
        2026-11-20 02:13  x\n=1\x1b[2J    �             db1          1  locked           4151  YES: 2026-11-21 08:00
        (no room for FIRST)
        "#);
        assert_snapshot!(ask.text(Format::Json, None), @r#"
        {"server":"db1","user":null,"host":null,"error":null,"kind":"other","kind_evidence":"counted together","count":51200,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","then_logged_in":null}
        {"server":"db1","user":"","host":"lb-1","error":1158,"kind":"no-credentials","kind_evidence":"error 1158, no user name","count":8640,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","then_logged_in":null}
        {"server":"db1","user":"root","host":"185.1.2.3","error":1045,"kind":"access-denied","kind_evidence":"error 1045","count":400,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","then_logged_in":null}
        {"server":"db1","user":"sa","host":"185.1.2.200","error":1698,"kind":"access-denied","kind_evidence":"error 1698","count":300,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","then_logged_in":null}
        {"server":"db1","user":"user28","host":"203.0.113.9","error":1045,"kind":"access-denied","kind_evidence":"error 1045","count":27,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","then_logged_in":null}
        {"server":"db1","user":"user29","host":"203.0.113.9","error":1045,"kind":"access-denied","kind_evidence":"error 1045","count":27,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","then_logged_in":null}
        {"server":"db1","user":"","host":"198.51.100.7","error":1156,"kind":"no-credentials","kind_evidence":"error 1156, no user name","count":12,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","then_logged_in":null}
        {"server":"db1","user":"admin","host":"203.0.113.9","error":1045,"kind":"access-denied","kind_evidence":"error 1045","count":2,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","then_logged_in":"2026-11-20T01:14:00Z"}
        {"server":"db1","user":"x\n=1\u001b[2J","host":"�","host_hex":"ff","error":4151,"kind":"locked","kind_evidence":"error 4151","count":1,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","then_logged_in":"2026-11-21T07:00:00Z"}
        "#);
        assert_snapshot!(ask.text(Format::Csv, None), @r#"
        server,user,host,error,kind,kind_evidence,count,first,last,then_logged_in,user_hex,host_hex
        db1,,,,other,counted together,51200,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,,,
        db1,,lb-1,1158,no-credentials,"error 1158, no user name",8640,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,,,
        db1,root,185.1.2.3,1045,access-denied,error 1045,400,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,,,
        db1,sa,185.1.2.200,1698,access-denied,error 1698,300,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,,,
        db1,user28,203.0.113.9,1045,access-denied,error 1045,27,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,,,
        db1,user29,203.0.113.9,1045,access-denied,error 1045,27,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,,,
        db1,,198.51.100.7,1156,no-credentials,"error 1156, no user name",12,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,,,
        db1,admin,203.0.113.9,1045,access-denied,error 1045,2,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,2026-11-20T01:14:00Z,,
        db1,x\n=1\x1b[2J,�,4151,locked,error 4151,1,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,2026-11-21T07:00:00Z,780a3d311b5b324a,ff
        "#);
    }

    #[test]
    fn by_network() {
        let answer = ask(Some(FailuresBy::Network), None);
        assert_snapshot!(answer.text(Format::Table, Some(60)), @r#"
        6 networks, times in Europe/Zurich
        FROM           TRIES  NAMES  THEN LOGGED IN
        lb-1           8,640      –  no name sent (health check)
        203.0.113.9      812     31  YES: admin at 02:14
        185.1.2.0/24     700      2  no
        198.51.100.7      12      –  no name sent
        �                  1      1  YES: x\n=1\x1b[2J at 2026-11-2…
        (folded)      51,200      –  not known
        (no room for HOSTS, FIRST, LAST)
        (folded): 51,000 user and host pairs that only failed, too
        many in an hour to keep one by one; whether a login followed
        is not known for them
        "#);
        assert_snapshot!(answer.text(Format::Table, Some(120)), @r#"
        6 networks, times in Europe/Zurich
        FROM           TRIES  HOSTS  NAMES  FIRST             LAST              THEN LOGGED IN
        lb-1           8,640      1      –  2026-11-20 02:01  2026-11-20 02:13  no name sent (health check)
        203.0.113.9      812      1     31  2026-11-20 02:01  2026-11-20 02:13  YES: admin at 02:14
        185.1.2.0/24     700      2      2  2026-11-20 02:01  2026-11-20 02:13  no
        198.51.100.7      12      1      –  2026-11-20 02:01  2026-11-20 02:13  no name sent
        �                  1      1      1  2026-11-20 02:01  2026-11-20 02:13  YES: x\n=1\x1b[2J at 2026-11-21 08:00
        (folded)      51,200      –      –  2026-11-20 02:01  2026-11-20 02:13  not known
        (folded): 51,000 user and host pairs that only failed, too many in an hour to keep one by one; whether a login followed
        is not known for them
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"network":"lb-1","count":8640,"hosts":1,"names":0,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"no-credentials","health_check":true,"then_logged_in":null,"then_user":null}
        {"network":"203.0.113.0/24","count":812,"hosts":1,"names":31,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"access-denied","health_check":false,"then_logged_in":"2026-11-20T01:14:00Z","then_user":"admin"}
        {"network":"185.1.2.0/24","count":700,"hosts":2,"names":2,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"access-denied","health_check":false,"then_logged_in":null,"then_user":null}
        {"network":"198.51.100.0/24","count":12,"hosts":1,"names":0,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"no-credentials","health_check":false,"then_logged_in":null,"then_user":null}
        {"network":"�","network_hex":"ff","count":1,"hosts":1,"names":1,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"locked","health_check":false,"then_logged_in":"2026-11-21T07:00:00Z","then_user":"x\n=1\u001b[2J"}
        {"network":null,"count":51200,"hosts":0,"names":0,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"other","health_check":false,"then_logged_in":null,"then_user":null}
        "#);
    }

    #[test]
    fn by_host() {
        let answer = ask(Some(FailuresBy::Host), Some(3));
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        3 of 7 hosts (--limit), times in Europe/Zurich
        FROM         TRIES  NAMES  LAST              THEN LOGGED IN
        lb-1         8,640      –  2026-11-20 02:13  no name sent (health check)
        203.0.113.9    812     31  2026-11-20 02:13  YES: admin at 02:14
        185.1.2.3      400      1  2026-11-20 02:13  no
        (no room for FIRST)
        "#);
        assert_snapshot!(answer.text(Format::Csv, None), @r#"
        host,count,names,first,last,kind,health_check,then_logged_in,then_user
        lb-1,8640,0,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,no-credentials,true,,
        203.0.113.9,812,31,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,access-denied,false,2026-11-20T01:14:00Z,admin
        185.1.2.3,400,1,2026-11-20T01:01:00Z,2026-11-20T01:13:00Z,access-denied,false,,
        "#);
    }

    #[test]
    fn by_user() {
        let answer = ask(Some(FailuresBy::User), Some(4));
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        4 of 36 users (--limit), times in Europe/Zurich
        USER   TRIES  HOSTS  FIRST             LAST              THEN LOGGED IN
        ''     8,652      2  2026-11-20 02:01  2026-11-20 02:13  no name sent
        root     400      1  2026-11-20 02:01  2026-11-20 02:13  no
        sa       300      1  2026-11-20 02:01  2026-11-20 02:13  no
        user0     27      1  2026-11-20 02:01  2026-11-20 02:13  no
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"user":"","count":8652,"hosts":2,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"no-credentials","then_logged_in":null,"then_host":null}
        {"user":"root","count":400,"hosts":1,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"access-denied","then_logged_in":null,"then_host":null}
        {"user":"sa","count":300,"hosts":1,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"access-denied","then_logged_in":null,"then_host":null}
        {"user":"user0","count":27,"hosts":1,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"access-denied","then_logged_in":null,"then_host":null}
        "#);
    }

    #[test]
    fn the_first_login_counts() {
        let later = Failure {
            then_logged_in: Some(at("20T05:00")),
            ..failure_row(b"b", b"10.0.0.1", 1045, 1)
        };
        let earlier = Failure {
            then_logged_in: Some(at("20T04:00")),
            user: Some(b"a".to_vec()),
            ..later.clone()
        };
        for rows in [vec![later.clone(), earlier.clone()], vec![earlier, later]] {
            let groups = groups(&rows, FailuresBy::Host);
            assert_eq!(groups[0].login.unwrap().1.user.as_deref(), Some(&b"a"[..]));
        }
    }

    #[test]
    fn a_listed_host_that_sends_names_is_no_health_check() {
        let health = HostList::parse(&["lb-1"]).unwrap();
        let rows = [failure_row(b"", b"lb-1", 1158, 5), failure_row(b"root", b"lb-1", 1045, 1)];
        assert!(groups(&rows[..1], FailuresBy::Host)[0].is_health_check(&health));
        assert!(!groups(&rows, FailuresBy::Host)[0].is_health_check(&health));
        assert!(!groups(&rows[..1], FailuresBy::Host)[0].is_health_check(&HostList::default()));
    }

    #[test]
    fn an_empty_answer_says_what_cannot_appear() {
        let answer = with_view(|view| {
            failures(&[], &FailuresOptions::default(), &HostList::default(), view)
        });
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        No refused attempts.
        Attempts that the server did not log cannot appear here: its audit must be on
        and its events must hold connections (SHOW VARIABLES LIKE 'server_audit%')
        "#);
    }
}
