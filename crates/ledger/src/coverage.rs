//! What of a server's time is covered: pieces of logs, and what lies between them.
//!
//! ```text
//! a.1 ====records====|          |====a====|                 |==b==|
//!                    '-covered--'          '--unconfirmed---'       a adjoins a.1, b is another log
//! ```
//!
//! Between the last record of one file and the first of the next the server was silent, if the one goes
//! on where the other ends (`adjoin`) and their connection ids do not speak against it (`id_ends`). Where nothing
//! shows that, something may be missing. Where it is known to be missing, the ledger has a gap; what is read later of the same time takes away from it. Holes
//! inside files (`missing`) are cut out of what they cover.
//!
//! # Invariants
//! * For each server, every moment between its first and its last record is in a row.
//! * A gap ends where it is proven to: what is left of one when other logs were read for a part of it is
//!   unconfirmed, because nothing shows that they held the rest.

use crate::id_ends::{self, IdEnds};
use crate::missing::{self, KnownHole, Missing};
use crate::rows::{Evidence, EvidenceState, Name};
use std::collections::{BTreeMap, HashMap};

/// What a file holds of a server.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Covered from its first record to its last; the reason is the file's path.
    pub(crate) row: Evidence,
    /// The file's number.
    pub(crate) file: i64,
    /// The number of its source.
    pub(crate) source: i64,
    /// Whether the file was read to its end.
    pub(crate) whole: bool,
    /// Whether nothing is added to the file: it is compressed.
    pub(crate) packed: bool,
    /// Whether the server_audit plugin writes the source.
    pub(crate) by_plugin: bool,
    /// Whether it is a table that logins write into.
    pub(crate) is_table: bool,
    /// Its first connection record, where it is known.
    pub(crate) login: Option<i64>,
    /// Its connections, where they are known.
    pub(crate) ids: Option<IdEnds>,
}

impl Piece {
    pub(crate) fn from(&self) -> i64 {
        self.row.from.unwrap_or(i64::MAX)
    }

    pub(crate) fn to(&self) -> i64 {
        self.row.to.unwrap_or(i64::MIN)
    }
}

/// The rows of all servers: the pieces, prolonged to the file before where they adjoin, gaps, and what is
/// unconfirmed. `adjoin`: number of a file, number of the one that it follows.
pub(crate) fn join(
    pieces: Vec<Piece>,
    adjoin: &[(i64, i64)],
    gaps: Vec<Evidence>,
    holes: Vec<KnownHole>,
) -> Vec<Evidence> {
    let (tables, pieces): (Vec<Piece>, Vec<Piece>) = pieces.into_iter().partition(|it| it.is_table);
    let mut missing = missing::of(holes, &pieces);
    let mut before: HashMap<i64, Vec<i64>> = HashMap::new();
    for &(file, earlier) in adjoin {
        before.entry(file).or_default().push(earlier);
    }
    let mut servers: BTreeMap<Name, (Vec<Piece>, Vec<Evidence>)> = BTreeMap::new();
    for piece in pieces {
        servers.entry(piece.row.server.clone()).or_default().0.push(piece);
    }
    let mut rows = Vec::new();
    for gap in gaps {
        match servers.get_mut(&gap.server) {
            Some(server) => server.1.push(gap),
            // Nothing of it was read: there is nothing to hold it against.
            None => rows.push(gap),
        }
    }
    for (server, (pieces, gaps)) in servers {
        let missing = missing.remove(&server).unwrap_or_default();
        join_server(pieces, &before, gaps, missing, &mut rows);
    }
    add_tables(tables, &mut rows);
    rows
}

/// Tables prove the logins that they hold. Who leaves no row cannot be told from them, so that they cover nothing;
/// what lies between them and the logs of their server is not covered either.
fn add_tables(tables: Vec<Piece>, rows: &mut Vec<Evidence>) {
    for table in tables {
        let (server, from, to) = (table.row.server.clone(), table.from(), table.to());
        let of_server = rows.iter().filter(|row| row.server == server);
        let known = unite(of_server.filter_map(|row| row.from.zip(row.to)));
        let before = known.iter().map(|it| it.1).filter(|end| *end < from).max();
        let after = known.iter().map(|it| it.0).filter(|start| *start > to).min();
        let begins_alone = known.iter().all(|it| it.0 > from || it.1 < from);
        let ends_alone = known.iter().all(|it| it.0 > to || it.1 < to);
        let row = |from, to, records, reason: String| Evidence {
            from: Some(from),
            to: Some(to),
            state: EvidenceState::Unconfirmed,
            records,
            reason,
            ..table.row.clone()
        };
        let reason = format!(
            "{}: administrators leave no row in it, so that it shows who logged in and not who did not",
            table.row.reason
        );
        rows.push(row(from, to, table.row.records, reason));
        let beside = || format!("nothing shows what lies beside the rows of {}", table.row.reason);
        if let Some(before) = before.filter(|_| begins_alone) {
            rows.push(row(before, from, 0, beside()));
        }
        if let Some(after) = after.filter(|_| ends_alone) {
            rows.push(row(to, after, 0, beside()));
        }
    }
}

fn join_server(
    mut pieces: Vec<Piece>,
    before: &HashMap<i64, Vec<i64>>,
    gaps: Vec<Evidence>,
    missing: Vec<Missing>,
    rows: &mut Vec<Evidence>,
) {
    let broken = prolong(&mut pieces, before, &gaps);
    pieces.sort_by_key(|piece| (piece.from(), piece.to(), piece.file));
    let parts: Vec<Vec<(i64, i64)>> = pieces.iter().map(|it| parts(it, &missing)).collect();
    let covered = unite(parts.iter().flatten().copied());
    let mut known = Vec::new();
    for gap in gaps {
        let (Some(from), Some(to)) = (gap.from, gap.to) else {
            rows.push(gap);
            continue;
        };
        let left = without((from, to), &covered);
        if from >= to || left == [(from, to)] {
            known.push((from, to));
            rows.push(gap);
            continue;
        }
        for (from, to) in left {
            known.push((from, to));
            rows.push(Evidence {
                from: Some(from),
                to: Some(to),
                state: EvidenceState::Unconfirmed,
                reason: format!("rest of a gap that logs read later have narrowed; {}", gap.reason),
                ..gap.clone()
            });
        }
    }
    for it in &missing {
        let others = pieces.iter().zip(&parts).filter(|(piece, _)| !it.is_of(piece));
        let mut others: Vec<(i64, i64)> =
            others.flat_map(|(_, parts)| parts.iter().copied()).collect();
        if !it.everywhere {
            // That is told by itself.
            let off = missing.iter().filter(|other| other.everywhere);
            others.extend(off.map(|other| (other.from, other.to)));
        }
        for (from, to) in without((it.from, it.to), &unite(others.into_iter())) {
            // Other logs have what followed: behind their ends nothing is covered anyway.
            if !it.everywhere && to == i64::MAX && from > it.from {
                continue;
            }
            known.push((from, to));
            rows.push(it.part(from, to));
        }
    }
    let known = unite(known.into_iter());
    let mut newest: Option<&Piece> = None;
    for piece in &pieces {
        if let Some(newest) = newest.filter(|it| it.to() < piece.from()) {
            for (from, to) in without((newest.to(), piece.from()), &known) {
                let why = broken.get(&(newest.file, piece.file));
                rows.push(between(newest, piece, why, from, to));
            }
        }
        if newest.is_none_or(|it| it.to() < piece.to()) {
            newest = Some(piece);
        }
    }
    if let Some(newest) = newest.filter(|it| it.packed && !it.whole) {
        rows.push(Evidence {
            from: Some(newest.to()),
            to: None,
            state: EvidenceState::Gap,
            records: 0,
            reason: not_whole(newest),
            ..newest.row.clone()
        });
    }
    for (piece, parts) in pieces.into_iter().zip(parts) {
        // How the records are spread over the parts is not known.
        let mut records = piece.row.records;
        for (from, to) in parts {
            let (from, to) = (Some(from), Some(to));
            let records = std::mem::take(&mut records);
            rows.push(Evidence { from, to, records, ..piece.row.clone() });
        }
    }
}

/// What a piece covers: all from its first record to its last that is not missing in it; at least its
/// first moment.
fn parts(piece: &Piece, missing: &[Missing]) -> Vec<(i64, i64)> {
    let whole = (piece.from(), piece.to());
    let cuts = unite(missing.iter().filter(|it| it.is_of(piece)).map(|it| (it.from, it.to)));
    let parts = without(whole, &cuts);
    if parts.is_empty() { vec![(whole.0, whole.0)] } else { parts }
}

fn not_whole(piece: &Piece) -> String {
    format!("not read to its end, cut off or unreadable: {}", piece.row.reason)
}

/// Lets each piece begin where the one before it ends, where nothing lies between them. Tells of which files,
/// older and newer, connection ids speak against that, and why.
fn prolong(
    pieces: &mut [Piece],
    before: &HashMap<i64, Vec<i64>>,
    gaps: &[Evidence],
) -> HashMap<(i64, i64), String> {
    let ends: HashMap<i64, (i64, bool)> =
        pieces.iter().map(|piece| (piece.file, (piece.to(), piece.whole))).collect();
    let broken = broken(pieces, before);
    let is_gap = |from: i64, to: i64| {
        gaps.iter()
            .any(|gap| gap.from.is_none_or(|it| it < to) && gap.to.is_none_or(|it| it > from))
    };
    for piece in pieces {
        let from = piece.from();
        let earlier = before.get(&piece.file).into_iter().flatten();
        let earlier = earlier.filter(|file| !broken.contains_key(&(**file, piece.file)));
        let ends = earlier
            .filter_map(|file| ends.get(file))
            .filter(|(to, whole)| *whole && *to < from && !is_gap(*to, from));
        if let Some(end) = ends.map(|(to, _)| *to).max() {
            piece.row.from = Some(end);
        }
    }
    broken
}

/// Files that follow one another by all else, older and newer, between whose connection ids too many are
/// missing, with the reason in words.
fn broken(pieces: &[Piece], before: &HashMap<i64, Vec<i64>>) -> HashMap<(i64, i64), String> {
    let known: HashMap<i64, &Piece> = pieces.iter().map(|piece| (piece.file, piece)).collect();
    let mut broken = HashMap::new();
    for newer in pieces {
        for older in before.get(&newer.file).into_iter().flatten().filter_map(|it| known.get(it)) {
            let Some(missing) = ids_between(older, newer).filter(|_| older.to() < newer.from())
            else {
                continue;
            };
            if !are_elsewhere(older, newer, pieces) {
                broken.insert((older.file, newer.file), missing_ids(older, newer, missing));
            }
        }
    }
    broken
}

fn ids_between(older: &Piece, newer: &Piece) -> Option<id_ends::IdsBetween> {
    id_ends::missing(older.ids.as_ref()?, newer.ids.as_ref()?)
}

/// Whether files of other names that lie between two go on from one to the other.
fn are_elsewhere(older: &Piece, newer: &Piece, pieces: &[Piece]) -> bool {
    let lies_between =
        |it: &&Piece| it.from() >= older.to() && it.to() <= newer.from() && it.ids.is_some();
    let mut others: Vec<&Piece> = pieces.iter().filter(lies_between).collect();
    others.sort_by_key(|it| (it.from(), it.to(), it.file));
    let mut last = older;
    for next in others {
        if ids_between(last, next).is_none() {
            last = next;
        }
    }
    last.file != older.file && ids_between(last, newer).is_none()
}

fn missing_ids(older: &Piece, newer: &Piece, missing: id_ends::IdsBetween) -> String {
    let (id_ends::IdsBetween { from, to, restarted }, reason) = (missing, &newer.row.reason);
    let older = &older.row.reason;
    if restarted {
        return format!(
            "{reason} follows {older}, but the server started again between them and its first {to} \
             connection ids are in neither: a log file is missing"
        );
    }
    format!(
        "{reason} follows {older}, but connection ids {from} to {to} are in neither: a log file is missing"
    )
}

/// The time between two files of which nothing is known.
fn between(older: &Piece, newer: &Piece, why: Option<&String>, from: i64, to: i64) -> Evidence {
    let (state, reason) = match (older.whole, why) {
        (true, Some(why)) => (EvidenceState::Unconfirmed, why.clone()),
        (true, None) => (
            EvidenceState::Unconfirmed,
            format!(
                "nothing shows that {} goes on where {} ends",
                newer.row.reason, older.row.reason
            ),
        ),
        (false, _) => (EvidenceState::Gap, not_whole(older)),
    };
    Evidence {
        server: newer.row.server.clone(),
        source: newer.row.source.clone(),
        from: Some(from),
        to: Some(to),
        state,
        records: 0,
        reason,
    }
}

/// Sorted stretches that do not touch.
pub(crate) fn unite(stretches: impl Iterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut sorted: Vec<(i64, i64)> = stretches.filter(|(from, to)| from <= to).collect();
    sorted.sort_unstable();
    let mut united: Vec<(i64, i64)> = Vec::new();
    for (from, to) in sorted {
        match united.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => united.push((from, to)),
        }
    }
    united
}

/// What of a stretch lies in none of `others`, which are united.
pub(crate) fn without((from, to): (i64, i64), others: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut left = Vec::new();
    let mut at = from;
    let first = others.partition_point(|(_, end)| *end <= from);
    for &(start, end) in others[first..].iter().take_while(|(start, _)| *start < to) {
        if start > at {
            left.push((at, start));
        }
        at = at.max(end);
    }
    if at < to {
        left.push((at, to));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use EvidenceState::{Covered, Gap, Unconfirmed};

    fn row(state: EvidenceState, from: i64, to: i64) -> Evidence {
        let (server, source) = (b"db1".to_vec(), b"log".to_vec());
        let reason = String::new();
        Evidence { server, source, from: Some(from), to: Some(to), state, records: 0, reason }
    }

    fn piece(file: i64, from: i64, to: i64) -> Piece {
        let (whole, packed, by_plugin, is_table, login) = (true, false, true, false, None);
        let ids = None;
        let row = row(Covered, from, to);
        Piece { row, file, source: 1, whole, packed, by_plugin, is_table, login, ids }
    }

    fn check(
        pieces: &[Piece],
        adjoin: &[(i64, i64)],
        gaps: &[(i64, i64)],
        expected: &[(EvidenceState, i64, i64)],
    ) {
        let gaps = gaps.iter().map(|&(from, to)| row(Gap, from, to)).collect();
        let rows = join(pieces.to_vec(), adjoin, gaps, Vec::new());
        let mut found: Vec<_> =
            rows.iter().map(|row| (row.state, row.from.unwrap(), row.to.unwrap())).collect();
        found.sort_unstable_by_key(|it| (it.1, it.2));
        assert_eq!(found, expected);
    }

    #[test]
    fn silence_between_pieces_of_one_log_is_covered() {
        let pieces = [piece(1, 0, 10), piece(2, 15, 20), piece(3, 30, 40)];
        check(
            &pieces,
            &[(2, 1)],
            &[],
            &[(Covered, 0, 10), (Covered, 10, 20), (Unconfirmed, 20, 30), (Covered, 30, 40)],
        );
        // Not where the first was not read to its end, nor where a gap is known.
        let mut torn = pieces[..2].to_vec();
        torn[0].whole = false;
        check(&torn, &[(2, 1)], &[], &[(Covered, 0, 10), (Gap, 10, 15), (Covered, 15, 20)]);
        check(
            &pieces[..2],
            &[(2, 1)],
            &[(10, 15)],
            &[(Covered, 0, 10), (Gap, 10, 15), (Covered, 15, 20)],
        );
    }

    #[test]
    fn other_logs_close_gaps() {
        let ends = [piece(1, 0, 10), piece(2, 50, 60)];
        let gap = [(10, 50)];
        check(&ends, &[], &gap, &[(Covered, 0, 10), (Gap, 10, 50), (Covered, 50, 60)]);
        let archive = [piece(3, 10, 50)];
        let with = |more: &[Piece]| [&ends[..], more].concat();
        let all = [(Covered, 0, 10), (Covered, 10, 50), (Covered, 50, 60)];
        check(&with(&archive), &[], &gap, &all);
        check(
            &with(&[piece(3, 12, 45)]),
            &[],
            &gap,
            &[
                (Covered, 0, 10),
                (Unconfirmed, 10, 12),
                (Covered, 12, 45),
                (Unconfirmed, 45, 50),
                (Covered, 50, 60),
            ],
        );
        // Of no length, and of a server of which nothing was read.
        check(&ends[..1], &[], &[(10, 10)], &[(Covered, 0, 10), (Gap, 10, 10)]);
        check(&[], &[], &gap, &[(Gap, 10, 50)]);
    }

    #[test]
    fn what_overlaps_leaves_nothing_between() {
        let pieces = [piece(1, 0, 100), piece(2, 10, 20), piece(3, 30, 120)];
        check(&pieces, &[], &[], &[(Covered, 0, 100), (Covered, 10, 20), (Covered, 30, 120)]);
        check(
            &[piece(1, 0, 10), piece(2, 10, 20)],
            &[],
            &[],
            &[(Covered, 0, 10), (Covered, 10, 20)],
        );
    }

    #[test]
    fn tables_cover_nothing() {
        let table = |file, from, to| Piece { is_table: true, ..piece(file, from, to) };
        check(&[table(1, 0, 10)], &[], &[], &[(Unconfirmed, 0, 10)]);
        // Neither do they close what logs leave open.
        let logs = [piece(1, 20, 30), piece(2, 40, 50)];
        let with = |more: Piece| [&logs[..], &[more]].concat();
        let gap = [(30, 40)];
        check(
            &with(table(3, 0, 10)),
            &[],
            &gap,
            &[
                (Unconfirmed, 0, 10),
                (Unconfirmed, 10, 20),
                (Covered, 20, 30),
                (Gap, 30, 40),
                (Covered, 40, 50),
            ],
        );
        check(
            &with(table(3, 35, 60)),
            &[],
            &gap,
            &[(Covered, 20, 30), (Gap, 30, 40), (Unconfirmed, 35, 60), (Covered, 40, 50)],
        );
        check(
            &with(table(3, 70, 80)),
            &[],
            &gap,
            &[
                (Covered, 20, 30),
                (Gap, 30, 40),
                (Covered, 40, 50),
                (Unconfirmed, 50, 70),
                (Unconfirmed, 70, 80),
            ],
        );
    }

    #[test]
    fn times_far_apart_are_no_trouble() {
        let pieces = [piece(1, i64::MIN, i64::MIN), piece(2, i64::MAX, i64::MAX)];
        let rows = [
            (Covered, i64::MIN, i64::MIN),
            (Unconfirmed, i64::MIN, i64::MAX),
            (Covered, i64::MAX, i64::MAX),
        ];
        check(&pieces, &[], &[], &rows);
    }
}
