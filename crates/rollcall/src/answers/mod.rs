//! What the ledger's rows tell, as a page for people and records for programs.
//!
//! Pure functions: rows, `now` and zone in, [`Answer`] out. Each answer says what it rests on, and
//! an empty one says what cannot appear in it.

mod accounts;
mod doctor;
mod evidence;
mod failures;
mod journal;
mod overlap;
mod plan;
mod quota;
mod report;
mod sealed;
mod seen;
mod status;
mod trace;
mod trace_stats;
mod unused;
mod who;

use std::collections::HashMap;
use std::hash::Hash;

use ledger::{Evidence, EvidenceState, Seen};

pub(crate) use accounts::{account, accounts};
pub(crate) use doctor::{Checked, doctor};
pub(crate) use evidence::{EvidenceOptions, evidence};
pub(crate) use failures::{FailuresOptions, failures};
pub(crate) use journal::{journal, kept};
pub(crate) use plan::{done, proposed};
pub(crate) use quota::quota;
pub(crate) use report::{ReportInput, report};
pub(crate) use sealed::{DeedsTold, sealed, verified};
pub(crate) use seen::{SeenOptions, seen};
pub(crate) use status::status;
pub(crate) use trace::{Tally, TraceChunk, trace_tables};
pub(crate) use trace_stats::trace_stats;
pub(crate) use unused::{UnusedOptions, reasons, unused};
pub(crate) use who::{Sought, command_bytes, who, who_sampled};

use crate::render::{Answer, thousands};
use crate::time::{Zone, length_text};

/// From where an answer is seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// Now, in microseconds UTC.
    pub(crate) now: i64,
    /// The zone of times in tables.
    pub(crate) zone: &'a Zone,
    /// Which forms are built: with hundreds of thousands of rows each costs memory.
    pub(crate) page: bool,
    pub(crate) records: bool,
}

/// What may be wrong with the evidence an answer rests on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Doubts {
    pub(crate) gaps: u64,
    /// Their length together, in microseconds.
    pub(crate) gap_micros: i64,
    pub(crate) rejected: u64,
    pub(crate) quarantined: u64,
}

impl Doubts {
    /// Counts them.
    pub(crate) fn of(rows: &[Evidence]) -> Doubts {
        let mut doubts = Doubts::default();
        for row in rows {
            match row.state {
                EvidenceState::Covered | EvidenceState::Unconfirmed | EvidenceState::Weak => {}
                EvidenceState::Gap => {
                    doubts.gaps += 1;
                    if let (Some(from), Some(to)) = (row.from, row.to) {
                        let length = to.saturating_sub(from).max(0);
                        doubts.gap_micros = doubts.gap_micros.saturating_add(length);
                    }
                }
                EvidenceState::Rejected => doubts.rejected += row.records,
                EvidenceState::Quarantined => doubts.quarantined += row.records,
            }
        }
        doubts
    }

    /// `1 gap (31 h)`, `9 lines rejected`, `3 records quarantined`; what there is none of is left
    /// out.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        if self.gaps > 0 {
            // Of one that has not ended the length is not known.
            texts.push(match self.gap_micros {
                0 => plural(self.gaps, "gap"),
                length => format!("{} ({})", plural(self.gaps, "gap"), length_text(length)),
            });
        }
        if self.rejected > 0 {
            texts.push(format!("{} rejected", plural(self.rejected, "line")));
        }
        if self.quarantined > 0 {
            texts.push(format!("{} quarantined", plural(self.quarantined, "doubtful record")));
        }
        texts
    }

    /// The line for standard error; `None` where all is well.
    pub(crate) fn note(&self) -> Option<String> {
        let texts = self.texts();
        (!texts.is_empty()).then(|| format!("{}: see rollcall evidence", texts.join(", ")))
    }
}

/// Leaves out what was taken over from conntracker and is older than what a log tells of the same
/// user and host: conntracker did not know servers, so such a row would stand beside and look
/// stale.
pub(crate) fn without_superseded(mut rows: Vec<Seen>) -> Vec<Seen> {
    let taken_over = |row: &Seen| row.server.is_empty() && row.logins == 0 && row.failures == 0;
    if !rows.iter().any(taken_over) {
        return rows;
    }
    let mut newest: HashMap<(Vec<u8>, Vec<u8>), i64> = HashMap::new();
    for row in rows.iter().filter(|row| !taken_over(row)) {
        if let Some(last) = row.last_seen {
            let known = newest.entry((row.user.clone(), row.host.clone())).or_insert(last);
            *known = last.max(*known);
        }
    }
    rows.retain(|row| {
        let newer = || newest.get(&(row.user.clone(), row.host.clone())).copied();
        !taken_over(row) || newer() < row.last_seen
    });
    rows
}

/// `1 gap`, `2 gaps`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// Sums per key, the largest first; equal sums by key.
fn tally<K: Hash + Ord>(items: impl Iterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut sums: HashMap<K, u64> = HashMap::new();
    for (key, count) in items {
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut sums: Vec<(K, u64)> = sums.into_iter().collect();
    sums.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    sums
}

/// Adds the caption that every table stands under.
fn caption(answer: &mut Answer, shown: usize, all: usize, noun: &str, zone: &Zone) {
    let zone = crate::render::inert(&zone.name);
    let count = match shown == all {
        true => plural(all as u64, noun),
        false => format!("{} of {} (--limit)", thousands(shown as u64), plural(all as u64, noun)),
    };
    answer.page.line(format!("{count}, times in {zone}"));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::time::tests::{noon, zurich};
    use ledger::{Failure, Period, Run, SourceStatus, Status};

    /// A time of November 2026, in UTC.
    pub(crate) fn at(text: &str) -> i64 {
        format!("2026-11-{text}:00Z").parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    /// Calls `test` with a view from 2026-11-20 13:00 in Zurich.
    pub(crate) fn with_view<T>(test: impl FnOnce(View<'_>) -> T) -> T {
        test(View { now: noon().as_microsecond(), zone: &zurich(), page: true, records: true })
    }

    pub(crate) fn seen_row(user: &[u8], host: &[u8], first: &str, last: &str, logins: u64) -> Seen {
        Seen {
            server: b"db1".to_vec(),
            user: user.to_vec(),
            host: host.to_vec(),
            first_seen: Some(at(first)),
            last_seen: Some(at(last)),
            last_active: Some(at(last) + 60_000_000),
            logins,
            failures: 0,
            last_failed: None,
            last_error: None,
            contested: false,
        }
    }

    pub(crate) fn seen_rows() -> Vec<Seen> {
        let mut rows = vec![
            seen_row(b"app", b"10.0.0.7", "01T08:00", "20T11:59", 1_234_567),
            seen_row(b"root", b"localhost", "01T08:01", "20T06:30", 812),
            seen_row(b"root", b"10.0.0.5", "17T03:00", "18T03:00", 3),
            seen_row(b"old_blog", b"web-87.localdomain", "02T04:12", "03T04:12", 4),
            seen_row(b"x\n=1\x1b[2J", b"203.0.113.9", "05T00:00", "05T00:00", 1),
            seen_row(b"caf\xe9", b"2001:db8::1", "06T00:00", "19T00:00", 7),
        ];
        rows[4].contested = true;
        rows[3].failures = 2;
        rows[3].last_failed = Some(at("04T00:00") + 123_456);
        rows[3].last_error = Some(1045);
        let only_failed = Seen {
            first_seen: None,
            last_seen: None,
            last_active: None,
            logins: 0,
            failures: 9,
            last_failed: Some(at("20T01:00")),
            last_error: Some(0),
            server: b"".to_vec(),
            ..seen_row(b"admin", b"203.0.113.9", "01T00:00", "01T00:00", 0)
        };
        rows.push(only_failed);
        rows
    }

    pub(crate) fn failure_row(user: &[u8], host: &[u8], error: u32, count: u64) -> Failure {
        Failure {
            server: b"db1".to_vec(),
            user: Some(user.to_vec()),
            host: Some(host.to_vec()),
            error: Some(error),
            pairs: 1,
            count,
            first: at("20T01:01"),
            last: at("20T01:13"),
            then_logged_in: None,
        }
    }

    pub(crate) fn failure_rows() -> Vec<Failure> {
        let mut rows: Vec<Failure> = (0..30)
            .map(|it| failure_row(format!("user{it}").as_bytes(), b"203.0.113.9", 1045, 27))
            .collect();
        rows.push(Failure {
            then_logged_in: Some(at("20T01:14")),
            ..failure_row(b"admin", b"203.0.113.9", 1045, 2)
        });
        rows.push(failure_row(b"root", b"185.1.2.3", 1045, 400));
        rows.push(failure_row(b"sa", b"185.1.2.200", 1698, 300));
        rows.push(failure_row(b"", b"lb-1", 1158, 8640));
        rows.push(failure_row(b"", b"198.51.100.7", 1156, 12));
        rows.push(Failure {
            then_logged_in: Some(at("21T07:00")),
            ..failure_row(b"x\n=1\x1b[2J", b"\xff", 4151, 1)
        });
        rows.push(Failure {
            user: None,
            host: None,
            error: None,
            pairs: 51_000,
            count: 51_200,
            ..failure_row(b"", b"", 0, 0)
        });
        rows
    }

    pub(crate) fn evidence_row(state: EvidenceState, from: &str, to: &str, n: u64) -> Evidence {
        Evidence {
            server: b"db1".to_vec(),
            source: b"/var/lib/mysql/server_audit.log".to_vec(),
            from: Some(at(from)),
            to: Some(at(to)),
            state,
            records: n,
            reason: String::new(),
        }
    }

    pub(crate) fn evidence_rows() -> Vec<Evidence> {
        let mut rows = vec![
            evidence_row(EvidenceState::Covered, "01T08:00", "10T00:00", 1_000_000),
            evidence_row(EvidenceState::Gap, "10T00:00", "11T07:00", 0),
            evidence_row(EvidenceState::Covered, "11T07:00", "20T12:00", 2_000_000),
            evidence_row(EvidenceState::Quarantined, "05T00:00", "05T00:00", 3),
            evidence_row(EvidenceState::Rejected, "05T00:00", "05T00:00", 9),
        ];
        rows[1].reason = "rotated away before it was read".to_owned();
        rows[3].reason = "line-break-in-name".to_owned();
        rows[4].reason = "not-a-record".to_owned();
        (rows[4].from, rows[4].to) = (None, None);
        rows
    }

    pub(crate) fn period_rows() -> Vec<Period> {
        let start = at("01T00:00");
        let hour = 3_600_000_000;
        let period = |it: i64| Period {
            server: b"db1".to_vec(),
            start: start + it * hour,
            seconds: 3600,
            logins: (it as u64 % 24) * 10 + it as u64 / 24,
            failures: u64::from(it == 457),
        };
        (8..468).map(period).collect()
    }

    pub(crate) fn run_rows() -> Vec<Run> {
        let run = |from: &str, to: &str| Run {
            server: b"db1".to_vec(),
            source: b"/var/lib/mysql/server_audit.log".to_vec(),
            from: at(from),
            to: at(to),
            first_connection: 3,
            last_connection: 900_000,
        };
        vec![run("01T08:00", "09T00:00"), run("09T00:01", "20T12:00")]
    }

    pub(crate) fn status_row() -> Status {
        Status {
            last_commit: Some(at("20T11:45")),
            schema: 1,
            bytes: 4_300_800,
            unsettled: 2,
            connections: 100_000,
            sources: vec![
                SourceStatus {
                    source: b"/var/lib/mysql/server_audit.log".to_vec(),
                    dialect: "server_audit".to_owned(),
                    files: 11,
                    bytes: 3_000_000_000,
                    records: 3_000_000,
                    rejected: 9,
                    quarantined: 3,
                    newest: Some(at("20T11:44")),
                    last_read: Some(at("20T11:45")),
                    places: Vec::new(),
                },
                SourceStatus {
                    source: b"/var/log/\x1b[2J\xff".to_vec(),
                    dialect: "audit_login".to_owned(),
                    files: 1,
                    bytes: 0,
                    records: 0,
                    rejected: 0,
                    quarantined: 0,
                    newest: None,
                    last_read: Some(at("10T00:00")),
                    places: Vec::new(),
                },
            ],
            watch: None,
            troubles: Vec::new(),
        }
    }

    #[test]
    fn every_field_is_documented_in_its_order() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/output.md");
        let text = std::fs::read_to_string(path).unwrap();
        let documented = |fields: &[&str]| {
            let line = fields.join(" ");
            let found = text.lines().any(|it| it == line || it.ends_with(&format!("  {line}")));
            assert!(found, "{line}");
        };
        documented(&seen::FIELDS);
        documented(&accounts::FIELDS);
        documented(&accounts::CHANGE_FIELDS);
        documented(&unused::FIELDS);
        documented(&plan::FIELDS);
        documented(&plan::DONE_FIELDS);
        documented(&journal::FIELDS);
        documented(&journal::PLAN_FIELDS);
        documented(&journal::KEEP_FIELDS);
        documented(&doctor::FIELDS);
        documented(&trace::FIELDS);
        documented(&trace::ROW_FIELDS);
        documented(&trace::TABLE_FIELDS);
        documented(&trace_stats::FIELDS);
        documented(&trace_stats::LIST_FIELDS);
        documented(&who::FIELDS);
        documented(&quota::FIELDS);
        documented(&quota::AREA_FIELDS);
        documented(&failures::FIELDS);
        documented(&failures::HOST_FIELDS);
        documented(&failures::NETWORK_FIELDS);
        documented(&failures::USER_FIELDS);
        documented(&evidence::FIELDS);
        documented(&evidence::MONTH_FIELDS);
        documented(&evidence::SAMPLE_FIELDS);
        documented(&sealed::SEALED_FIELDS);
        documented(&sealed::PROOF_FIELDS);
        documented(&sealed::DEED_PROOF_FIELDS);
        documented(&status::SOURCE_FIELDS);
        documented(&status::LEDGER_FIELDS);
        documented(&status::TROUBLE_FIELDS);
        for records in report::tests::every_section() {
            documented(records.fields);
        }
    }

    #[test]
    fn doubts_are_summed_and_named() {
        let doubts = Doubts::of(&evidence_rows());
        assert_eq!(
            doubts.note().as_deref(),
            Some(
                "1 gap (31 h), 9 lines rejected, 3 doubtful records quarantined: see rollcall evidence"
            )
        );
        assert_eq!(Doubts::of(&evidence_rows()[..1]).note(), None);
    }

    #[test]
    fn tallies_are_in_a_fixed_order() {
        let items = [("b", 1), ("a", 1), ("c", 2), ("b", 1), ("d", u64::MAX), ("d", 1)];
        assert_eq!(tally(items.into_iter()), [("d", u64::MAX), ("b", 2), ("c", 2), ("a", 1)]);
    }
}
