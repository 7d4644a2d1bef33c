//! Servers that several sources tell of at the same time: there an answer takes, per hour, the
//! largest count of any one source, so that a login that two sources saw counts once. Where the
//! sources are parts of one log under names that do not say so, that is too little, and it must be
//! said.

use std::collections::BTreeMap;

use ledger::{Evidence, EvidenceState};

use super::plural;
use super::seen::server_cell;
use crate::render::shown_plain;

const HOUR: i64 = 3_600_000_000;

/// First and last hour, source.
type Stretch<'a> = (i64, i64, &'a [u8]);

/// One line for each server with sources that meet in an hour, in the order of their names.
pub(super) fn overlaps(rows: &[Evidence]) -> Vec<String> {
    let mut servers: BTreeMap<&[u8], Vec<Stretch<'_>>> = BTreeMap::new();
    for row in rows {
        let covers = row.state == EvidenceState::Covered;
        if let (true, Some(from), Some(to)) = (covers, row.from, row.to) {
            let stretch = (from.div_euclid(HOUR), to.div_euclid(HOUR), row.source.as_slice());
            servers.entry(&row.server).or_default().push(stretch);
        }
    }
    let text = |(server, mut stretches): (&[u8], Vec<Stretch<'_>>)| {
        stretches.sort_unstable();
        let (a, b) = first_meeting(&stretches)?;
        let mut sources: Vec<&[u8]> = stretches.iter().map(|it| it.2).collect();
        sources.sort_unstable();
        sources.dedup();
        let more = match sources.len() {
            2 => String::new(),
            count => format!(", of {}", plural(count as u64, "source")),
        };
        Some(format!(
            "{}: {} and {}{more} tell of the same hours: of each hour the larger count stands. Are they \
             parts of one log? Then pipe them together: cat … | rollcall scan -",
            server_cell(server),
            shown_plain(a),
            shown_plain(b),
        ))
    };
    servers.into_iter().filter_map(text).collect()
}

/// The first two sources that meet in an hour; stretches are in order.
fn first_meeting<'a>(stretches: &[Stretch<'a>]) -> Option<(&'a [u8], &'a [u8])> {
    let mut ends: BTreeMap<&[u8], i64> = BTreeMap::new();
    for &(from, to, source) in stretches {
        if let Some((other, _)) = ends.iter().find(|&(&it, &end)| it != source && end >= from) {
            return Some((other, source));
        }
        let end = ends.entry(source).or_insert(to);
        *end = to.max(*end);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, evidence_row};
    use super::*;

    fn row(source: &str, from: &str, to: &str) -> Evidence {
        let mut row = evidence_row(EvidenceState::Covered, "01T00:00", "01T00:00", 1);
        (row.from, row.to) = (Some(at(from)), Some(at(to)));
        row.source = source.as_bytes().to_vec();
        row
    }

    #[test]
    fn sources_of_one_hour_are_named() {
        let rows = [
            row("/x/monday.log", "01T08:00", "01T10:05"),
            row("/x/tuesday.log", "01T10:55", "01T12:00"),
        ];
        insta::assert_snapshot!(overlaps(&rows).join("\n"), @"db1: /x/monday.log and /x/tuesday.log tell of the same hours: of each hour the larger count stands. Are they parts of one log? Then pipe them together: cat … | rollcall scan -");
        let third = [&rows[..], &[row("/x/wednesday.log", "03T00:00", "03T01:00")]].concat();
        assert!(overlaps(&third)[0].contains("/x/tuesday.log, of 3 sources tell"));
    }

    #[test]
    fn files_of_one_source_and_other_hours_are_not() {
        let rows = [
            row("/x/a.log", "01T08:00", "01T10:05"),
            row("/x/a.log", "01T10:05", "01T11:00"),
            row("/x/b.log", "01T12:00", "01T13:00"),
        ];
        assert_eq!(overlaps(&rows), Vec::<String>::new());
        let mut other = row("/x/b.log", "01T08:00", "01T09:00");
        other.server = b"db2".to_vec();
        assert_eq!(overlaps(&[rows[0].clone(), other]), Vec::<String>::new());
    }
}
