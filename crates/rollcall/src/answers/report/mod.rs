//! `report`: the overview.

mod chart;
mod records;
mod root;

use std::collections::{HashMap, HashSet};

use ledger::{Evidence, Failure, Period, Run, Seen};
use verdict::failure::FailureKind;
use verdict::network::HostList;

use super::failures::{Group, group_name, groups, near};
use super::overlap::overlaps;
use super::seen::{NEVER_USED, server_cell};
use super::{Doubts, View, plural, tally};
use crate::cli::FailuresBy;
use crate::render::{Answer, Column, Page, Table, inert, shown, thousands, unit_bytes};
use crate::time::{date, length_text, table_text, table_text_or_dash};
use chart::chart;
use records::records;
use root::root_hosts;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// What the report is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReportInput<'a> {
    pub(crate) seen: &'a [Seen],
    pub(crate) failures: &'a [Failure],
    pub(crate) periods: &'a [Period],
    pub(crate) evidence: &'a [Evidence],
    pub(crate) runs: &'a [Run],
    pub(crate) files: u64,
    /// Decompressed bytes.
    pub(crate) bytes: u64,
    /// How long reading took; `None` where nothing was read for this report.
    pub(crate) read_seconds: Option<f64>,
    /// The zone of log times and where it comes from: `Europe/Zurich, this machine's zone`.
    pub(crate) log_zone: &'a str,
    pub(crate) health: &'a HostList,
    /// Rows of each list on the page.
    pub(crate) limit: usize,
}

/// The answer. Records have a `section` each; the page is cut to `limit`, the records are not.
pub(crate) fn report(input: &ReportInput<'_>, view: View<'_>) -> Answer {
    let facts = Facts::of(input);
    let rows = input.seen.len() + input.failures.len();
    let mut answer = Answer { rows, ..Answer::default() };
    if view.records {
        answer.records = records(input, &facts);
    }
    if !view.page {
        return answer;
    }
    let page = &mut answer.page;
    header(page, input, &facts, view);
    if !input.seen.is_empty() || !input.failures.is_empty() {
        chart(page, input.periods, view);
        last_logins(page, input, view);
        activity(page, input, &facts, view);
        refused(page, input, view);
    }
    footer(page, input, &facts, view);
    answer
}

/// What more than one part needs.
#[derive(Debug)]
struct Facts {
    logins: u64,
    /// Refused attempts, and those of them that offered no credentials.
    refused: u64,
    unnamed: u64,
    users: usize,
    hosts: usize,
    /// The first and last time of the evidence, or else of what was seen.
    span: Option<(i64, i64)>,
    doubts: Doubts,
}

impl Facts {
    fn of(input: &ReportInput<'_>) -> Facts {
        let mut users: HashSet<&[u8]> = HashSet::new();
        let mut hosts: HashSet<&[u8]> = HashSet::new();
        for row in input.seen.iter().filter(|row| row.last_seen.is_some()) {
            users.insert(&row.user);
            hosts.insert(&row.host);
        }
        let evidence = input.evidence.iter().flat_map(|row| [row.from, row.to]);
        let seen = input.seen.iter().flat_map(|row| [row.first_seen, row.last_active]);
        let range = |times: &mut dyn Iterator<Item = i64>| {
            times.fold(None, |range: Option<(i64, i64)>, time| {
                let (from, to) = range.unwrap_or((time, time));
                Some((from.min(time), to.max(time)))
            })
        };
        Facts {
            logins: input.seen.iter().map(|row| row.logins).sum(),
            refused: input.failures.iter().map(|row| row.count).sum(),
            unnamed: input.failures.iter().filter(|it| is_unnamed(it)).map(|it| it.count).sum(),
            users: users.len(),
            hosts: hosts.len(),
            span: range(&mut evidence.flatten()).or_else(|| range(&mut seen.flatten())),
            doubts: Doubts::of(input.evidence),
        }
    }
}

fn header(page: &mut Page, input: &ReportInput<'_>, facts: &Facts, view: View<'_>) {
    let files = plural(input.files, "audit file");
    let mut parts = vec![format!("{files}, {}", unit_bytes(input.bytes))];
    if let Some((from, to)) = facts.span {
        let (from, to) = (date(from, view.zone), date(to, view.zone));
        parts.push(match from == to {
            true => format!("{from}"),
            false => format!("{from} … {to}"),
        });
    }
    let mut line = format!("{} ({})", parts.join(", "), inert(input.log_zone));
    if let Some(seconds) = input.read_seconds {
        let seconds = match seconds {
            ..0.1 => "under 0.1".to_owned(),
            _ => format!("{seconds:.1}"),
        };
        line.push_str(&format!(", read in {seconds} s"));
    }
    page.line(line);
    if facts.span.is_none() && input.seen.is_empty() && input.failures.is_empty() {
        page.line(
            "No audit record found. Is this an audit log (rollcall dialects), and does the audit \
             log connections: SHOW VARIABLES LIKE 'server_audit%'",
        );
        return;
    }
    let mut counts = vec![
        format!(
            "{} from {}",
            plural(facts.users as u64, "user"),
            plural(facts.hosts as u64, "host")
        ),
        plural(facts.logins, "login"),
        format!("{} refused", thousands(facts.refused - facts.unnamed)),
    ];
    if facts.unnamed > 0 {
        counts.push(format!("{} without a user name", thousands(facts.unnamed)));
    }
    counts.extend(facts.doubts.texts());
    page.line(counts.join(" · "));
}

fn last_logins(page: &mut Page, input: &ReportInput<'_>, view: View<'_>) {
    // Also those of whom only the last login is known: taken over from conntracker.
    let mut rows: Vec<&Seen> = input.seen.iter().filter(|row| row.last_seen.is_some()).collect();
    let servers: HashSet<&[u8]> = rows.iter().map(|row| row.server.as_slice()).collect();
    rows.sort_by(|a, b| (a.last_seen, &a.user, &a.host).cmp(&(b.last_seen, &b.user, &b.host)));
    let more = rows.len().saturating_sub(input.limit);
    rows.truncate(input.limit);
    if rows.is_empty() {
        return;
    }
    let mut columns = vec![Column::fixed("LAST LOGIN"), Column::name("USER"), Column::host("FROM")];
    if servers.len() > 1 {
        columns.push(Column::name("SERVER").dispensable(1));
    }
    columns.extend([Column::number("LOGINS"), Column::number("REFUSED")]);
    let mut table = Table::new(columns);
    for row in rows {
        let mut cells =
            vec![table_text_or_dash(row.last_seen, view.zone), shown(&row.user), shown(&row.host)];
        if servers.len() > 1 {
            cells.push(server_cell(&row.server));
        }
        cells.extend([super::seen::logins_cell(row), thousands(row.failures)]);
        table.push(cells);
    }
    page.blank();
    page.line(format!("oldest last logins first, times in {}", inert(&view.zone.name)));
    page.table(table);
    if more > 0 {
        page.line(format!("… and {} with newer logins (--limit)", plural(more as u64, "row")));
    }
}

/// The first `limit` texts, and how many more there are.
fn cut(mut texts: Vec<String>, limit: usize) -> Vec<String> {
    let more = texts.len().saturating_sub(limit);
    texts.truncate(limit);
    if more > 0 && limit > 0 {
        texts.push(format!("{} more", thousands(more as u64)));
    }
    texts
}

/// Who connects, from where, to which server.
fn activity(page: &mut Page, input: &ReportInput<'_>, facts: &Facts, view: View<'_>) {
    let sums = |name: fn(&Seen) -> &[u8]| -> Vec<String> {
        tally(input.seen.iter().filter(|row| row.logins > 0).map(|row| (name(row), row.logins)))
            .into_iter()
            .map(|(name, logins)| format!("{} {}", shown(name), thousands(logins)))
            .collect()
    };
    let runs = runs_per_server(input.runs);
    let busy = input.seen.iter().filter(|row| row.logins > 0);
    let servers = tally(busy.map(|row| (row.server.as_slice(), row.logins)));
    let servers = servers.into_iter().map(|(server, logins)| {
        let restarts = match runs.get(server).copied().unwrap_or(0) {
            0 | 1 => String::new(),
            runs => format!(" ({})", plural(runs - 1, "restart")),
        };
        format!("{} {}{restarts}", server_cell(server), thousands(logins))
    });
    page.blank();
    page.items("logins", cut(servers.collect(), input.limit));
    page.items("accounts", cut(sums(|row| &row.user), input.limit));
    page.items("hosts", cut(sums(|row| &row.host), input.limit));
    let root = root_hosts(input.seen, facts.span).into_iter().map(|root| {
        let new = match root.is_new {
            true => {
                let since = date(root.first.unwrap_or(0), view.zone);
                format!(" (new since {since})")
            }
            false => String::new(),
        };
        format!("{} {}{new}", shown(&root.host), thousands(root.logins))
    });
    page.items("root from", cut(root.collect(), input.limit));
}

fn runs_per_server(runs: &[Run]) -> HashMap<&[u8], u64> {
    // Two sources of one server tell of the same run: the source that knows most counts.
    let per_source = tally(runs.iter().map(|run| ((&run.server[..], &run.source[..]), 1)));
    let mut most: HashMap<&[u8], u64> = HashMap::new();
    for ((server, _), count) in per_source {
        let known = most.entry(server).or_default();
        *known = count.max(*known);
    }
    most
}

fn is_unnamed(row: &Failure) -> bool {
    verdict::failure::kind(row.error, row.user.as_deref()).0 == FailureKind::NoCredentials
}

/// `1 try`, `2 tries`.
fn tries(count: u64) -> String {
    format!("{} {}", thousands(count), if count == 1 { "try" } else { "tries" })
}

/// Refused attempts: those with a name, those without, those folded.
fn refused(page: &mut Page, input: &ReportInput<'_>, view: View<'_>) {
    let groups = groups(input.failures, FailuresBy::Host);
    let (folded, known): (Vec<&Group<'_>>, Vec<&Group<'_>>) =
        groups.iter().partition(|group| group.key.is_none());
    let (unnamed, named): (Vec<&Group<'_>>, Vec<&Group<'_>>) =
        known.into_iter().partition(|group| group.is_unnamed());
    let named = named.into_iter().map(|group| {
        let names = plural(group.names.len() as u64, "name");
        let tries = tries(group.tries);
        let then = group.login.map_or_else(String::new, |(time, row)| {
            let user = shown(row.user.as_deref().unwrap_or(b""));
            format!(", then LOGGED IN: {user} at {}", near(time, group.last, view))
        });
        format!("{} {tries}, {names}{then}", group_name(group))
    });
    page.list("refused", cut(named.collect(), input.limit));
    let (checks, probes): (Vec<&Group<'_>>, Vec<&Group<'_>>) =
        unnamed.into_iter().partition(|group| group.is_health_check(input.health));
    let texts = |groups: &[&Group<'_>]| {
        let text = |group: &&Group<'_>| format!("{} {}", group_name(group), thousands(group.tries));
        cut(groups.iter().map(text).collect(), input.limit)
    };
    page.items("checks", texts(&checks));
    page.items("probes", texts(&probes));
    if !probes.is_empty() {
        let hint = match input.health.is_empty() {
            true => {
                ": port scans, or health checks (list those as health_checks in the configuration)"
            }
            false => ": port scans (configured health checks are shown apart)",
        };
        page.line(format!("probes opened a connection and sent no user name{hint}"));
    }
    for group in folded {
        page.line(format!(
            "{} of {} that only failed are counted together",
            tries(group.tries),
            plural(group.folded_pairs, "user and host pair"),
        ));
    }
}

/// What is doubtful, what logs cannot tell, and what to ask next.
fn footer(page: &mut Page, input: &ReportInput<'_>, facts: &Facts, view: View<'_>) {
    page.blank();
    for row in input.evidence {
        if let (ledger::EvidenceState::Gap, Some(from), Some(to)) = (row.state, row.from, row.to) {
            let (from, to) = (table_text(from, view.zone), table_text(to, view.zone));
            let why = inert(&row.reason);
            page.line(format!("gap on {}: {from} … {to} {why}", server_cell(&row.server)));
        }
    }
    for text in overlaps(input.evidence) {
        page.line(text);
    }
    if facts.doubts.quarantined > 0 {
        page.line(
            "Doubtful records are set aside, not counted: rollcall evidence --state quarantined",
        );
    }
    if facts.doubts.rejected > 0 {
        page.line("Lines that are no records: rollcall evidence --state rejected");
    }
    if input.seen.iter().any(|row| row.contested) {
        page.line("Doubtful records touched some rows: rollcall seen marks them with !");
    }
    page.line(NEVER_USED);
    if let Some((from, to)) = facts.span {
        let reach = length_text(to - from);
        page.line(format!(
            "Who has been silent for a week: rollcall seen --idle-for 7d (logs span {reach})"
        ));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::*;
    use super::*;
    use crate::render::{Format, Records, html_page};
    use insta::assert_snapshot;

    fn ask(limit: usize) -> Answer {
        let health = HostList::parse(&["lb-1"]).unwrap();
        let (seen, failures, periods) = (seen_rows(), failure_rows(), period_rows());
        let (evidence, runs) = (evidence_rows(), run_rows());
        let input = ReportInput {
            seen: &seen,
            failures: &failures,
            periods: &periods,
            evidence: &evidence,
            runs: &runs,
            files: 11,
            bytes: 3_000_000_000,
            read_seconds: Some(1.23),
            log_zone: "Europe/Zurich, this machine's zone",
            health: &health,
            limit,
        };
        with_view(|view| report(&input, view))
    }

    /// The records of a report with something in every section.
    pub(in crate::answers) fn every_section() -> Vec<Records> {
        ask(10).records
    }

    const NOTHING: ReportInput<'static> = ReportInput {
        seen: &[],
        failures: &[],
        periods: &[],
        evidence: &[],
        runs: &[],
        files: 0,
        bytes: 0,
        read_seconds: None,
        log_zone: "UTC, from --time-zone",
        health: &HostList::none(),
        limit: 10,
    };

    #[test]
    fn the_overview() {
        assert_snapshot!(ask(10).text(Format::Table, Some(80)), @r#"
        11 audit files, 3.0 GB, 2026-11-01 … 2026-11-20 (Europe/Zurich, this machine's
        zone), read in 1.2 s
        5 users from 6 hosts · 1,235,394 logins · 52,713 refused · 8,652 without a user
        name · 1 gap (31 h) · 9 lines rejected · 3 doubtful records quarantined

        logins per day  ▆▇█████████████████▃
        most in one bar: 3,191 from 2026-11-19

        oldest last logins first, times in Europe/Zurich
        LAST LOGIN        USER          FROM                   LOGINS  REFUSED
        2026-11-03 05:12  old_blog      web-87.localdomain          4        2
        2026-11-05 01:00  x\n=1\x1b[2J  203.0.113.9                 1        0
        2026-11-18 04:00  root          10.0.0.5                    3        0
        2026-11-19 01:00  caf�          2001:db8::1                 7        0
        2026-11-20 07:30  root          localhost                 812        0
        2026-11-20 12:59  app           10.0.0.7            1,234,567        0

        logins      db1 1,235,394 (1 restart)
        accounts    app 1,234,567 · root 815 · caf� 7 · old_blog 4 · x\n=1\x1b[2J 1
        hosts       10.0.0.7 1,234,567 · localhost 812 · 2001:db8::1 7
                    web-87.localdomain 4 · 10.0.0.5 3 · 203.0.113.9 1
        root from   localhost 812 · 10.0.0.5 3 (new since 2026-11-17)
        refused     203.0.113.9 812 tries, 31 names, then LOGGED IN: admin at 02:14
                    185.1.2.3 400 tries, 1 name
                    185.1.2.200 300 tries, 1 name
                    � 1 try, 1 name, then LOGGED IN: x\n=1\x1b[2J at 2026-11-21 08:00
        checks      lb-1 8,640
        probes      198.51.100.7 12
        probes opened a connection and sent no user name: port scans (configured health
        checks are shown apart)
        51,200 tries of 51,000 user and host pairs that only failed are counted together

        gap on db1: 2026-11-10 01:00 … 2026-11-11 08:00 rotated away before it was read
        Doubtful records are set aside, not counted: rollcall evidence --state
        quarantined
        Lines that are no records: rollcall evidence --state rejected
        Doubtful records touched some rows: rollcall seen marks them with !
        Accounts that never logged in leave no line in a log and cannot appear here:
        rollcall unused asks the server for them
        Who has been silent for a week: rollcall seen --idle-for 7d (logs span 19 d)
        "#);
        assert_snapshot!(ask(3).text(Format::Table, Some(60)), @r#"
        11 audit files, 3.0 GB, 2026-11-01 … 2026-11-20
        (Europe/Zurich, this machine's zone), read in 1.2 s
        5 users from 6 hosts · 1,235,394 logins · 52,713 refused ·
        8,652 without a user name · 1 gap (31 h) · 9 lines rejected
        · 3 doubtful records quarantined

        logins per day  ▆▇█████████████████▃
        most in one bar: 3,191 from 2026-11-19

        oldest last logins first, times in Europe/Zurich
        LAST LOGIN        USER        FROM           LOGINS  REFUSED
        2026-11-03 05:12  old_blog    web-87.local…       4        2
        2026-11-05 01:00  x\n=1\x1b…  203.0.113.9         1        0
        2026-11-18 04:00  root        10.0.0.5            3        0
        … and 3 rows with newer logins (--limit)

        logins      db1 1,235,394 (1 restart)
        accounts    app 1,234,567 · root 815 · caf� 7 · 2 more
        hosts       10.0.0.7 1,234,567 · localhost 812
                    2001:db8::1 7 · 3 more
        root from   localhost 812
                    10.0.0.5 3 (new since 2026-11-17)
        refused     203.0.113.9 812 tries, 31 names, then LOGGED
                      IN: admin at 02:14
                    185.1.2.3 400 tries, 1 name
                    185.1.2.200 300 tries, 1 name
                    1 more
        checks      lb-1 8,640
        probes      198.51.100.7 12
        probes opened a connection and sent no user name: port scans
        (configured health checks are shown apart)
        51,200 tries of 51,000 user and host pairs that only failed
        are counted together

        gap on db1: 2026-11-10 01:00 … 2026-11-11 08:00 rotated away
        before it was read
        Doubtful records are set aside, not counted: rollcall
        evidence --state quarantined
        Lines that are no records: rollcall evidence --state
        rejected
        Doubtful records touched some rows: rollcall seen marks them
        with !
        Accounts that never logged in leave no line in a log and
        cannot appear here: rollcall unused asks the server for them
        Who has been silent for a week: rollcall seen --idle-for 7d
        (logs span 19 d)
        "#);
        assert_snapshot!(ask(10).text(Format::Table, Some(120)), @r#"
        11 audit files, 3.0 GB, 2026-11-01 … 2026-11-20 (Europe/Zurich, this machine's zone), read in 1.2 s
        5 users from 6 hosts · 1,235,394 logins · 52,713 refused · 8,652 without a user name · 1 gap (31 h) · 9 lines rejected ·
        3 doubtful records quarantined

        logins per day  ▆▇█████████████████▃
        most in one bar: 3,191 from 2026-11-19

        oldest last logins first, times in Europe/Zurich
        LAST LOGIN        USER          FROM                   LOGINS  REFUSED
        2026-11-03 05:12  old_blog      web-87.localdomain          4        2
        2026-11-05 01:00  x\n=1\x1b[2J  203.0.113.9                 1        0
        2026-11-18 04:00  root          10.0.0.5                    3        0
        2026-11-19 01:00  caf�          2001:db8::1                 7        0
        2026-11-20 07:30  root          localhost                 812        0
        2026-11-20 12:59  app           10.0.0.7            1,234,567        0

        logins      db1 1,235,394 (1 restart)
        accounts    app 1,234,567 · root 815 · caf� 7 · old_blog 4 · x\n=1\x1b[2J 1
        hosts       10.0.0.7 1,234,567 · localhost 812 · 2001:db8::1 7 · web-87.localdomain 4 · 10.0.0.5 3 · 203.0.113.9 1
        root from   localhost 812 · 10.0.0.5 3 (new since 2026-11-17)
        refused     203.0.113.9 812 tries, 31 names, then LOGGED IN: admin at 02:14
                    185.1.2.3 400 tries, 1 name
                    185.1.2.200 300 tries, 1 name
                    � 1 try, 1 name, then LOGGED IN: x\n=1\x1b[2J at 2026-11-21 08:00
        checks      lb-1 8,640
        probes      198.51.100.7 12
        probes opened a connection and sent no user name: port scans (configured health checks are shown apart)
        51,200 tries of 51,000 user and host pairs that only failed are counted together

        gap on db1: 2026-11-10 01:00 … 2026-11-11 08:00 rotated away before it was read
        Doubtful records are set aside, not counted: rollcall evidence --state quarantined
        Lines that are no records: rollcall evidence --state rejected
        Doubtful records touched some rows: rollcall seen marks them with !
        Accounts that never logged in leave no line in a log and cannot appear here: rollcall unused asks the server for them
        Who has been silent for a week: rollcall seen --idle-for 7d (logs span 19 d)
        "#);
        assert_snapshot!(ask(10).text(Format::Json, None), @r#"
        {"section":"summary","files":11,"bytes":3000000000,"from":"2026-11-01T08:00:00Z","to":"2026-11-20T12:00:00Z","users":5,"hosts":6,"logins":1235394,"failures":61365,"gaps":1,"rejected":9,"quarantined":3}
        {"section":"server","server":"db1","logins":1235394,"runs":2}
        {"section":"server","server":null,"logins":0,"runs":0}
        {"section":"user","user":"app","logins":1234567}
        {"section":"user","user":"root","logins":815}
        {"section":"user","user":"caf�","user_hex":"636166e9","logins":7}
        {"section":"user","user":"old_blog","logins":4}
        {"section":"user","user":"x\n=1\u001b[2J","logins":1}
        {"section":"host","host":"10.0.0.7","logins":1234567}
        {"section":"host","host":"localhost","logins":812}
        {"section":"host","host":"2001:db8::1","logins":7}
        {"section":"host","host":"web-87.localdomain","logins":4}
        {"section":"host","host":"10.0.0.5","logins":3}
        {"section":"host","host":"203.0.113.9","logins":1}
        {"section":"root_from","host":"localhost","logins":812,"first_seen":"2026-11-01T08:01:00Z","last_seen":"2026-11-20T06:30:00Z","new":false}
        {"section":"root_from","host":"10.0.0.5","logins":3,"first_seen":"2026-11-17T03:00:00Z","last_seen":"2026-11-18T03:00:00Z","new":true}
        {"section":"refused","host":"lb-1","count":8640,"names":0,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"no-credentials","health_check":true,"then_logged_in":null,"then_user":null}
        {"section":"refused","host":"203.0.113.9","count":812,"names":31,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"access-denied","health_check":false,"then_logged_in":"2026-11-20T01:14:00Z","then_user":"admin"}
        {"section":"refused","host":"185.1.2.3","count":400,"names":1,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"access-denied","health_check":false,"then_logged_in":null,"then_user":null}
        {"section":"refused","host":"185.1.2.200","count":300,"names":1,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"access-denied","health_check":false,"then_logged_in":null,"then_user":null}
        {"section":"refused","host":"198.51.100.7","count":12,"names":0,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"no-credentials","health_check":false,"then_logged_in":null,"then_user":null}
        {"section":"refused","host":"�","host_hex":"ff","count":1,"names":1,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"locked","health_check":false,"then_logged_in":"2026-11-21T07:00:00Z","then_user":"x\n=1\u001b[2J"}
        {"section":"folded","host":null,"count":51200,"names":51000,"first":"2026-11-20T01:01:00Z","last":"2026-11-20T01:13:00Z","kind":"other","health_check":false,"then_logged_in":null,"then_user":null}
        "#);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        use unicode_width::UnicodeWidthStr as _;
        for width in [60, 80, 100, 120] {
            for line in ask(10).text(Format::Table, Some(width)).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn html_holds_the_same_content() {
        let answer = ask(10);
        let html = html_page("rollcall report", &answer.page);
        for text in ["old_blog", "203.0.113.9", "LAST LOGIN", "1,234,567"] {
            assert!(html.contains(text), "{text}");
        }
        assert!(!html.contains('\x1b'));
    }

    #[test]
    fn nothing_found_names_the_next_step() {
        let answer = with_view(|view| report(&NOTHING, view));
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        0 audit files, 0 B (UTC, from --time-zone)
        No audit record found. Is this an audit log (rollcall dialects), and does the
        audit log connections: SHOW VARIABLES LIKE 'server_audit%'

        Accounts that never logged in leave no line in a log and cannot appear here:
        rollcall unused asks the server for them
        "#);
    }
}
