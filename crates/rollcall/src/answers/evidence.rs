//! `evidence`: what was read, what is missing, what could not be used.

use std::collections::BTreeMap;

use jiff::civil;
use ledger::{DoubtSample, Evidence, EvidenceState};
use verdict::secrets::{MASK, shown_bytes};

use super::overlap::overlaps;
use super::seen::server_cell;
use super::{Doubts, View, plural};
use crate::render::{Answer, Column, Records, Table, Value, inert, shown, shown_plain, thousands};
use crate::time::{Zone, date, length_text, table_text, table_text_or_dash};

pub(super) const FIELDS: [&str; 7] =
    ["server", "source", "from", "to", "state", "records", "reason"];
pub(super) const MONTH_FIELDS: [&str; 8] = [
    "server",
    "month",
    "from",
    "to",
    "covered_percent",
    "covered_seconds",
    "gaps",
    "unconfirmed_seconds",
];
pub(super) const SAMPLE_FIELDS: [&str; 7] =
    ["source", "file", "offset", "length", "state", "reason", "text"];

/// The most months in one answer; the newest are kept. 100 years: a forged or broken clock in a
/// record must not make the answer endless.
pub(crate) const MONTHS_MAX: usize = 1200;

/// The most characters of a doubtful record in a table.
const SAMPLE_CHARS_MAX: usize = 100;

/// What is asked.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EvidenceOptions {
    pub(crate) by_month: bool,
    pub(crate) state: Option<EvidenceState>,
    pub(crate) limit: Option<usize>,
    /// The window asked for, in microseconds UTC; without it, what the evidence spans.
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
}

/// The answer. `samples` are kept pieces of doubtful input, shown where their state is asked for.
pub(crate) fn evidence(
    rows: &[Evidence],
    samples: &[DoubtSample],
    options: &EvidenceOptions,
    view: View<'_>,
) -> Answer {
    let mut answer = Answer::default();
    if rows.is_empty() {
        answer.page.line("No evidence: nothing was read yet. Read logs with: rollcall scan PATH");
    } else {
        summary(&mut answer, rows, options, view);
    }
    if options.by_month {
        months(&mut answer, rows, options, view);
        return answer;
    }
    let state = options.state;
    let mut chosen: Vec<&Evidence> =
        rows.iter().filter(|row| state.is_none_or(|state| row.state == state)).collect();
    chosen.sort_by(|a, b| {
        (&a.server, a.from, a.to, a.state).cmp(&(&b.server, b.from, b.to, b.state))
    });
    let all = chosen.len();
    chosen.truncate(options.limit.unwrap_or(all));
    if chosen.len() < all {
        let shown = thousands(chosen.len() as u64);
        answer.page.line(format!("{shown} of {} (--limit)", plural(all as u64, "stretch")));
    }
    if !chosen.is_empty() {
        answer.page.table(table(&chosen, view));
    }
    answer.rows = chosen.len();
    answer.records.push(records(&chosen));
    if matches!(state, Some(EvidenceState::Rejected | EvidenceState::Quarantined)) {
        add_samples(&mut answer, samples);
    } else if Doubts::of(rows).quarantined > 0 {
        answer.page.line("What is quarantined: rollcall evidence --state quarantined");
    }
    answer
}

fn summary(answer: &mut Answer, rows: &[Evidence], options: &EvidenceOptions, view: View<'_>) {
    for (server, coverage) in coverage(rows, options, view.now) {
        let days = length_text(coverage.to - coverage.from);
        let percent = percent_text(coverage.tenths());
        let server = server_cell(&server);
        let unconfirmed = match coverage.tenths_of(coverage.open(coverage.from, coverage.to)) {
            0 => String::new(),
            share => format!(" ({} unconfirmed)", percent_text(share)),
        };
        answer.page.line(format!(
            "{server}: covered {percent}{unconfirmed} of {days}, {} … {} ({})",
            table_text(coverage.from, view.zone),
            table_text(coverage.to, view.zone),
            inert(&view.zone.name),
        ));
        if let Some(newest) = coverage.newest.filter(|_| coverage.open_since.is_none()) {
            answer.page.line(format!(
                "{server}: newest record {} ago; nothing is known of the time since",
                length_text(view.now.saturating_sub(newest).max(0)),
            ));
        }
        if let Some(since) = coverage.open_since {
            let since = table_text(since, view.zone);
            answer.page.line(format!("{server}: a gap since {since} has not ended"));
        }
    }
    // Rows of tables prove themselves, and cover nothing.
    let is_table = |row: &Evidence| row.state == EvidenceState::Unconfirmed && row.from.is_some();
    let read = rows.iter().filter(|row| is_covered(row) || is_table(row));
    let covered = read.map(|row| row.records).sum();
    let mut texts = vec![plural(covered, "record")];
    texts.extend(Doubts::of(rows).texts());
    answer.page.line(texts.join(" · "));
    for text in overlaps(rows) {
        answer.page.line(text);
    }
    answer.page.blank();
}

fn is_covered(row: &Evidence) -> bool {
    row.state == EvidenceState::Covered
}

/// What of a server's time is covered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Coverage {
    /// The window, in microseconds UTC.
    from: i64,
    to: i64,
    /// Covered stretches, in order, not touching.
    stretches: Vec<(i64, i64)>,
    /// What may be missing, in order; covered by nothing else.
    unconfirmed: Vec<(i64, i64, String)>,
    gaps: Vec<(i64, i64, String)>,
    /// The newest record.
    newest: Option<i64>,
    /// The beginning of a gap whose end is not known.
    open_since: Option<i64>,
}

impl Coverage {
    /// Covered microseconds between two times.
    fn covered(&self, from: i64, to: i64) -> i64 {
        let within = |&(start, end): &(i64, i64)| (end.min(to) - start.max(from)).max(0);
        self.stretches.iter().map(within).sum()
    }

    /// Unconfirmed microseconds between two times.
    fn open(&self, from: i64, to: i64) -> i64 {
        let within =
            |(start, end, _): &(i64, i64, String)| (*end.min(&to) - *start.max(&from)).max(0);
        self.unconfirmed.iter().map(within).sum()
    }

    fn tenths(&self) -> u64 {
        self.tenths_of(self.covered(self.from, self.to))
    }

    fn tenths_of(&self, part: i64) -> u64 {
        tenths(part, self.to - self.from)
    }
}

/// Per mille, rounded down: what is not whole is never called whole. An empty window is whole.
fn tenths(part: i64, whole: i64) -> u64 {
    if whole <= 0 {
        return 1000;
    }
    u64::try_from(i128::from(part) * 1000 / i128::from(whole)).unwrap_or(0)
}

fn percent_text(tenths: u64) -> String {
    match tenths % 10 {
        0 => format!("{} %", tenths / 10),
        rest => format!("{}.{rest} %", tenths / 10),
    }
}

/// `now` is in microseconds UTC: where a gap without an end reaches to.
fn coverage(rows: &[Evidence], options: &EvidenceOptions, now: i64) -> BTreeMap<Vec<u8>, Coverage> {
    let mut servers: BTreeMap<Vec<u8>, Coverage> = BTreeMap::new();
    for row in rows {
        let is_open = row.state == EvidenceState::Gap && row.to.is_none();
        let to = row.to.or(is_open.then_some(now));
        let (Some(from), Some(to)) = (row.from, to) else { continue };
        let doubtful = matches!(
            row.state,
            EvidenceState::Weak | EvidenceState::Rejected | EvidenceState::Quarantined
        );
        if to < from || doubtful {
            continue;
        }
        let coverage = servers.entry(row.server.clone()).or_insert_with(|| Coverage {
            from: i64::MAX,
            to: i64::MIN,
            ..Coverage::default()
        });
        (coverage.from, coverage.to) = (coverage.from.min(from), coverage.to.max(to));
        if is_open {
            coverage.open_since = coverage.open_since.map_or(Some(from), |it| Some(it.min(from)));
        }
        match row.state {
            EvidenceState::Covered => {
                coverage.newest = coverage.newest.max(Some(to));
                coverage.stretches.push((from, to));
            }
            EvidenceState::Unconfirmed => coverage.unconfirmed.push((from, to, row.reason.clone())),
            _ => coverage.gaps.push((from, to, row.reason.clone())),
        }
    }
    for coverage in servers.values_mut() {
        coverage.from = options.since.unwrap_or(coverage.from);
        let known_to = coverage.to;
        coverage.to = options.until.unwrap_or(known_to).max(coverage.from);
        if coverage.to > known_to {
            let silence = "nothing is known behind the newest record".to_owned();
            coverage.unconfirmed.push((known_to.max(coverage.from), coverage.to, silence));
        }
        coverage.stretches.sort_unstable();
        coverage.unconfirmed.sort_unstable();
        coverage.gaps.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for &(from, to) in &coverage.stretches {
            match joined.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => joined.push((from, to)),
            }
        }
        coverage.stretches = joined;
    }
    servers
}

fn months(answer: &mut Answer, rows: &[Evidence], options: &EvidenceOptions, view: View<'_>) {
    let mut table = Table::new(vec![
        Column::name("SERVER").dispensable(1),
        Column::fixed("MONTH"),
        Column::fixed("COVERED"),
        Column::number(""),
        Column::prose("NOT COVERED"),
    ]);
    let mut records = Records::new(&MONTH_FIELDS);
    for (server, coverage) in coverage(rows, options, view.now) {
        let mut months = months_between(coverage.from, coverage.to, view.zone);
        let skip = months.len().saturating_sub(options.limit.unwrap_or(MONTHS_MAX));
        for (month, start, end) in months.drain(skip..) {
            let (start, end) = (start.max(coverage.from), end.min(coverage.to));
            let covered = coverage.covered(start, end);
            let share = tenths(covered, end - start);
            let texts = |stretches: &[(i64, i64, String)], what: &str| -> Vec<String> {
                let inside = stretches.iter().filter(|(from, to, _)| *from < end && *to > start);
                let text = |(from, to, reason): &(i64, i64, String)| {
                    let (from, to) = (table_text(*from, view.zone), table_text(*to, view.zone));
                    format!("{from} … {to} {what}{}", inert(reason))
                };
                inside.map(text).collect()
            };
            let gaps = texts(&coverage.gaps, "");
            let unconfirmed = texts(&coverage.unconfirmed, "unconfirmed: ");
            let month = format!("{:04}-{:02}", month.year(), month.month());
            records.push(vec![
                Value::server(&server),
                Value::word(month.as_str()),
                Value::Time(start),
                Value::Time(end),
                Value::Tenths(share),
                Value::Number(u64::try_from(covered / 1_000_000).unwrap_or(0)),
                Value::Number(gaps.len() as u64),
                Value::Number(u64::try_from(coverage.open(start, end) / 1_000_000).unwrap_or(0)),
            ]);
            let (server, percent) = (server_cell(&server), percent_text(share));
            let open = [gaps, unconfirmed].concat().join("; ");
            table.push(vec![server, month, bar(share), percent, open]);
        }
    }
    answer.rows = records.rows.len();
    if answer.rows > 0 {
        answer.page.table(table);
    }
    answer.records.push(records);
}

/// Ten cells, full only where nothing is missing.
fn bar(tenths: u64) -> String {
    let full = usize::try_from(tenths / 100).unwrap_or(10).min(10);
    let half = if full < 10 && tenths % 100 >= 50 { "▌" } else { "" };
    let rest = 10 - full - usize::from(!half.is_empty());
    format!("{}{half}{}", "█".repeat(full), "░".repeat(rest))
}

/// The months that a window touches, the newest [`MONTHS_MAX`] of them: first day, start, end.
fn months_between(from: i64, to: i64, zone: &Zone) -> Vec<(civil::Date, i64, i64)> {
    let start_of = |day: civil::Date| {
        let midnight = day.to_zoned(zone.tz.clone()).ok();
        midnight.map_or(i64::MIN, |it| it.timestamp().as_microsecond())
    };
    let mut months = Vec::new();
    let mut day = date(to.saturating_sub(1).max(from), zone).first_of_month();
    let mut end = day.checked_add(jiff::Span::new().months(1)).map_or(i64::MAX, start_of);
    while months.len() < MONTHS_MAX {
        let start = start_of(day);
        months.push((day, start, end));
        let Ok(before) = day.checked_sub(jiff::Span::new().months(1)) else { break };
        if start <= from {
            break;
        }
        (day, end) = (before, start);
    }
    months.reverse();
    months
}

fn table(rows: &[&Evidence], view: View<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::fixed("FROM"),
        Column::fixed("TO"),
        Column::name("SERVER").dispensable(1),
        Column::fixed("STATE"),
        Column::number("RECORDS"),
        Column::path("SOURCE").dispensable(2),
        Column::prose("WHY"),
    ]);
    for row in rows {
        table.push(vec![
            table_text_or_dash(row.from, view.zone),
            table_text_or_dash(row.to, view.zone),
            server_cell(&row.server),
            row.state.as_str().to_owned(),
            thousands(row.records),
            shown_plain(&row.source),
            explained(&row.reason),
        ]);
    }
    table
}

/// A reason's code in words, where it is one.
fn explained(reason: &str) -> String {
    let known = formats::Reason::ALL.iter().find(|it| it.code() == reason);
    known.map_or_else(|| inert(reason), |it| it.explain().to_owned())
}

fn records(rows: &[&Evidence]) -> Records {
    let mut records = Records::new(&FIELDS);
    for row in rows {
        records.push(vec![
            Value::server(&row.server),
            Value::name(Some(&row.source)),
            Value::time(row.from),
            Value::time(row.to),
            Value::word(row.state.as_str()),
            Value::Number(row.records),
            match row.reason.as_str() {
                "" => Value::Absent,
                reason => Value::word(reason),
            },
        ]);
    }
    records
}

fn add_samples(answer: &mut Answer, samples: &[DoubtSample]) {
    let mut table = Table::new(vec![
        Column::path("FILE"),
        Column::number("BYTE"),
        Column::number("LENGTH").dispensable(1),
        Column::prose("WHY"),
        Column::prose("BEGINS WITH"),
    ]);
    let mut records = Records::new(&SAMPLE_FIELDS);
    for sample in samples {
        let bytes = shown_bytes(&sample.text);
        let mut text = sample.text[..bytes].to_vec();
        if bytes < sample.text.len() {
            text.extend([b" ", MASK.as_bytes()].concat());
        }
        let short: String = shown(&text).chars().take(SAMPLE_CHARS_MAX).collect();
        table.push(vec![
            shown_plain(&sample.file),
            thousands(sample.offset),
            thousands(sample.length),
            explained(&sample.reason),
            short,
        ]);
        records.push(vec![
            Value::name(Some(&sample.source)),
            Value::name(Some(&sample.file)),
            Value::Number(sample.offset),
            Value::Number(sample.length),
            Value::word(sample.standing.as_str()),
            Value::word(sample.reason.as_str()),
            Value::Name(text),
        ]);
    }
    if !samples.is_empty() {
        answer.page.blank();
        answer.page.line(format!("{} kept:", plural(samples.len() as u64, "sample")));
        answer.page.table(table);
        answer.records.push(records);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, evidence_row, evidence_rows, with_view};
    use super::*;
    use crate::render::Format;
    use insta::assert_snapshot;

    fn ask(options: &EvidenceOptions) -> Answer {
        let sample = DoubtSample {
            source: b"/var/lib/mysql/server_audit.log".to_vec(),
            file: b"/var/lib/mysql/server_audit.log.3".to_vec(),
            offset: 8812,
            length: 140,
            standing: formats::Standing::Quarantined,
            reason: "line-break-in-name".to_owned(),
            text: b"20261105 00:00:00,vm,x\x1b[2J,h,SET PASSWORD = 'hunter2'".to_vec(),
        };
        with_view(|view| evidence(&evidence_rows(), &[sample], options, view))
    }

    #[test]
    fn stretches_in_their_order() {
        let answer = ask(&EvidenceOptions::default());
        assert_snapshot!(answer.text(Format::Table, Some(60)), @r#"
        db1: covered 93.2 % of 19 d, 2026-11-01 09:00 … 2026-11-20
        13:00 (Europe/Zurich)
        db1: newest record 0 s ago; nothing is known of the time
        since
        3,000,000 records · 1 gap (31 h) · 9 lines rejected · 3
        doubtful records quarantined

        FROM              TO                STATE          RECORDS  WHY
        –                 –                 rejected             9  doe…
        2026-11-01 09:00  2026-11-10 01:00  covered      1,000,000
        2026-11-05 01:00  2026-11-05 01:00  quarantined          3  a n…
        2026-11-10 01:00  2026-11-11 08:00  gap                  0  rot…
        2026-11-11 08:00  2026-11-20 13:00  covered      2,000,000
        (no room for SOURCE, SERVER)
        What is quarantined: rollcall evidence --state quarantined
        "#);
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        db1: covered 93.2 % of 19 d, 2026-11-01 09:00 … 2026-11-20 13:00 (Europe/Zurich)
        db1: newest record 0 s ago; nothing is known of the time since
        3,000,000 records · 1 gap (31 h) · 9 lines rejected · 3 doubtful records
        quarantined

        FROM              TO                STATE          RECORDS  WHY
        –                 –                 rejected             9  does not start as a…
        2026-11-01 09:00  2026-11-10 01:00  covered      1,000,000
        2026-11-05 01:00  2026-11-05 01:00  quarantined          3  a name holds a line…
        2026-11-10 01:00  2026-11-11 08:00  gap                  0  rotated away before…
        2026-11-11 08:00  2026-11-20 13:00  covered      2,000,000
        (no room for SOURCE, SERVER)
        What is quarantined: rollcall evidence --state quarantined
        "#);
        assert_snapshot!(answer.text(Format::Table, Some(120)), @r#"
        db1: covered 93.2 % of 19 d, 2026-11-01 09:00 … 2026-11-20 13:00 (Europe/Zurich)
        db1: newest record 0 s ago; nothing is known of the time since
        3,000,000 records · 1 gap (31 h) · 9 lines rejected · 3 doubtful records quarantined

        FROM              TO                SERVER  STATE          RECORDS  SOURCE                     WHY
        –                 –                 db1     rejected             9  …b/mysql/server_audit.log  does not start as a reco…
        2026-11-01 09:00  2026-11-10 01:00  db1     covered      1,000,000  …b/mysql/server_audit.log
        2026-11-05 01:00  2026-11-05 01:00  db1     quarantined          3  …b/mysql/server_audit.log  a name holds a line break
        2026-11-10 01:00  2026-11-11 08:00  db1     gap                  0  …b/mysql/server_audit.log  rotated away before it w…
        2026-11-11 08:00  2026-11-20 13:00  db1     covered      2,000,000  …b/mysql/server_audit.log
        What is quarantined: rollcall evidence --state quarantined
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"server":"db1","source":"/var/lib/mysql/server_audit.log","from":null,"to":null,"state":"rejected","records":9,"reason":"not-a-record"}
        {"server":"db1","source":"/var/lib/mysql/server_audit.log","from":"2026-11-01T08:00:00Z","to":"2026-11-10T00:00:00Z","state":"covered","records":1000000,"reason":null}
        {"server":"db1","source":"/var/lib/mysql/server_audit.log","from":"2026-11-05T00:00:00Z","to":"2026-11-05T00:00:00Z","state":"quarantined","records":3,"reason":"line-break-in-name"}
        {"server":"db1","source":"/var/lib/mysql/server_audit.log","from":"2026-11-10T00:00:00Z","to":"2026-11-11T07:00:00Z","state":"gap","records":0,"reason":"rotated away before it was read"}
        {"server":"db1","source":"/var/lib/mysql/server_audit.log","from":"2026-11-11T07:00:00Z","to":"2026-11-20T12:00:00Z","state":"covered","records":2000000,"reason":null}
        "#);
        assert_snapshot!(answer.text(Format::Csv, None), @r#"
        server,source,from,to,state,records,reason
        db1,/var/lib/mysql/server_audit.log,,,rejected,9,not-a-record
        db1,/var/lib/mysql/server_audit.log,2026-11-01T08:00:00Z,2026-11-10T00:00:00Z,covered,1000000,
        db1,/var/lib/mysql/server_audit.log,2026-11-05T00:00:00Z,2026-11-05T00:00:00Z,quarantined,3,line-break-in-name
        db1,/var/lib/mysql/server_audit.log,2026-11-10T00:00:00Z,2026-11-11T07:00:00Z,gap,0,rotated away before it was read
        db1,/var/lib/mysql/server_audit.log,2026-11-11T07:00:00Z,2026-11-20T12:00:00Z,covered,2000000,
        "#);
    }

    #[test]
    fn quarantined_records_are_shown_without_secrets() {
        let options = EvidenceOptions {
            state: Some(EvidenceState::Quarantined),
            ..EvidenceOptions::default()
        };
        let answer = ask(&options);
        assert_snapshot!(answer.text(Format::Table, Some(120)), @r#"
        db1: covered 93.2 % of 19 d, 2026-11-01 09:00 … 2026-11-20 13:00 (Europe/Zurich)
        db1: newest record 0 s ago; nothing is known of the time since
        3,000,000 records · 1 gap (31 h) · 9 lines rejected · 3 doubtful records quarantined

        FROM              TO                SERVER  STATE        RECORDS  SOURCE                       WHY
        2026-11-05 01:00  2026-11-05 01:00  db1     quarantined        3  …lib/mysql/server_audit.log  a name holds a line break

        1 sample kept:
        FILE                                BYTE  LENGTH  WHY                        BEGINS WITH
        /var/lib/mysql/server_audit.log.3  8,812     140  a name holds a line break  '20261105 00:00:00,vm,x\x1b[2J,h,SET PASSW…
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"server":"db1","source":"/var/lib/mysql/server_audit.log","from":"2026-11-05T00:00:00Z","to":"2026-11-05T00:00:00Z","state":"quarantined","records":3,"reason":"line-break-in-name"}
        {"source":"/var/lib/mysql/server_audit.log","file":"/var/lib/mysql/server_audit.log.3","offset":8812,"length":140,"state":"quarantined","reason":"line-break-in-name","text":"20261105 00:00:00,vm,x\u001b[2J,h,SET PASSWORD *****"}
        "#);
        for format in [Format::Table, Format::Json, Format::Csv] {
            assert!(!answer.text(format, None).contains("hunter2"));
        }
    }

    #[test]
    fn by_month() {
        let mut rows = evidence_rows();
        rows[0].from = Some(at("01T08:00") - 20 * 86_400_000_000);
        let options = EvidenceOptions { by_month: true, ..EvidenceOptions::default() };
        let answer = with_view(|view| evidence(&rows, &[], &options, view));
        assert_snapshot!(answer.text(Format::Table, Some(80)), @r#"
        db1: covered 96.7 % of 39 d, 2026-10-12 10:00 … 2026-11-20 13:00 (Europe/Zurich)
        db1: newest record 0 s ago; nothing is known of the time since
        3,000,000 records · 1 gap (31 h) · 9 lines rejected · 3 doubtful records
        quarantined

        SERVER  MONTH    COVERED             NOT COVERED
        db1     2026-10  ██████████   100 %
        db1     2026-11  █████████░  93.3 %  2026-11-10 01:00 … 2026-11-11 08:00 rotate…
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"server":"db1","month":"2026-10","from":"2026-10-12T08:00:00Z","to":"2026-10-31T23:00:00Z","covered_percent":100.0,"covered_seconds":1695600,"gaps":0,"unconfirmed_seconds":0}
        {"server":"db1","month":"2026-11","from":"2026-10-31T23:00:00Z","to":"2026-11-20T12:00:00Z","covered_percent":93.3,"covered_seconds":1576800,"gaps":1,"unconfirmed_seconds":0}
        "#);
    }

    #[test]
    fn the_window_asked_for_counts() {
        let since = Some(at("09T00:00"));
        let options = EvidenceOptions { since, until: Some(at("12T00:00")), ..Default::default() };
        let coverage = coverage(&evidence_rows(), &options, at("20T12:00"));
        assert_eq!(coverage[&b"db1"[..]].tenths(), (72 - 31) * 1000 / 72);
    }

    #[test]
    fn what_follows_the_newest_record_is_not_claimed() {
        let hours = 3_600_000_000;
        let covered = evidence_row(EvidenceState::Covered, "01T00:00", "03T00:00", 1);
        let until = Some(at("07T00:00"));
        let options = EvidenceOptions { until, ..EvidenceOptions::default() };
        let now = at("08T00:00");
        let silent = &coverage(std::slice::from_ref(&covered), &options, now)[&b"db1"[..]];
        assert_eq!((silent.tenths(), silent.open(silent.from, silent.to)), (333, 96 * hours));
        let mut off = evidence_row(EvidenceState::Gap, "03T00:00", "03T00:00", 0);
        (off.to, off.reason) = (None, "plugin off".to_owned());
        let rows = [covered, off];
        let open = &coverage(&rows, &EvidenceOptions::default(), now)[&b"db1"[..]];
        assert_eq!((open.to, open.tenths(), open.gaps.len()), (now, 2000 / 7, 1));
        let answer = |rows: &[Evidence]| {
            let options = EvidenceOptions::default();
            let answer = with_view(|view| evidence(rows, &[], &options, view));
            answer
                .text(Format::Table, Some(100))
                .lines()
                .skip(1)
                .take(2)
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_snapshot!(answer(&rows[..1]), @r"
        db1: newest record 17 d ago; nothing is known of the time since
        1 record
        ");
        assert_snapshot!(answer(&rows), @r"
        db1: a gap since 2026-11-03 01:00 has not ended
        1 record · 1 gap
        ");
    }

    #[test]
    fn overlapping_sources_count_once() {
        let rows = [
            evidence_row(EvidenceState::Covered, "01T00:00", "03T00:00", 1),
            evidence_row(EvidenceState::Covered, "02T00:00", "04T00:00", 1),
            evidence_row(EvidenceState::Covered, "02T12:00", "02T13:00", 1),
        ];
        let coverage = coverage(&rows, &EvidenceOptions::default(), at("20T12:00"));
        assert_eq!(coverage[&b"db1"[..]].stretches, [(at("01T00:00"), at("04T00:00"))]);
    }

    #[test]
    fn nothing_is_called_whole_that_is_not() {
        assert_eq!(percent_text(tenths(999_999, 1_000_000)), "99.9 %");
        assert_eq!(percent_text(tenths(0, 0)), "100 %");
        assert_eq!(bar(999), "█████████▌");
        assert_eq!(bar(1000), "██████████");
        assert_eq!(bar(0), "░░░░░░░░░░");
    }

    #[test]
    fn broken_clocks_do_not_make_it_endless() {
        let zone = Zone::utc();
        let months = months_between(i64::MIN, i64::MAX, &zone);
        assert_eq!(months.len(), MONTHS_MAX);
        assert_eq!(months_between(0, 0, &zone).len(), 1);
        let year = 365 * 86_400_000_000;
        assert_eq!(months_between(0, year, &zone).len(), 12);
        assert_eq!(months_between(0, year + 1, &zone).len(), 13);
    }

    #[test]
    fn nothing_read_is_said() {
        let by_month = EvidenceOptions { by_month: true, ..EvidenceOptions::default() };
        let answer = with_view(|view| evidence(&[], &[], &EvidenceOptions::default(), view));
        let months = with_view(|view| evidence(&[], &[], &by_month, view));
        assert_eq!(months.text(Format::Table, None), answer.text(Format::Table, None));
        assert_snapshot!(answer.text(Format::Table, Some(80)), @"No evidence: nothing was read yet. Read logs with: rollcall scan PATH");
    }
}
