//! A table in memory, whose rows come late, go, and come again, read by scans that die.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{EvidenceState, Filter};
use proptest::prelude::*;

use super::*;
use crate::config::Limits;

const AT: i64 = 1_795_000_000_000_000;
const SECOND: i64 = 1_000_000;

/// Rows that may be seen, and numbers taken by sessions that have not committed.
#[derive(Debug, Clone, Default)]
struct Table {
    rows: BTreeMap<u64, LoginRow>,
    open: Vec<LoginRow>,
    next: u64,
    made: u64,
    /// Rows of one answer.
    page: usize,
    now: i64,
    thread: u64,
}

impl Table {
    fn new() -> Table {
        Table { next: 1, page: ANCHORS_MAX, now: AT, ..Table::default() }
    }

    fn row(&mut self, user: &str) -> LoginRow {
        (self.next, self.thread) = (self.next + 1, self.thread + 1);
        LoginRow {
            id: self.next - 1,
            thread: Some(self.thread),
            at: Some(self.now),
            local: Some(format!("{user}@10.0.0.7").into()),
            local_may_be_cut: false,
            matched: Some(format!("{user}@%").into()),
            matched_may_be_cut: false,
        }
    }

    fn login(&mut self, user: &str) {
        let row = self.row(user);
        self.rows.insert(row.id, row);
    }

    /// A login whose row is there to be seen when [`Table::commit`] is called.
    fn begin(&mut self, user: &str) {
        let row = self.row(user);
        self.open.push(row);
    }

    fn commit(&mut self) {
        for row in self.open.drain(..) {
            self.rows.insert(row.id, row);
        }
    }

    fn truncate(&mut self) {
        self.rows.clear();
        self.open.clear();
        self.next = 1;
    }
}

impl Rows for Table {
    fn life(&mut self) -> Result<Life, LiveError> {
        Ok(Life { made: self.made.to_string(), next_id: Some(self.next) })
    }

    fn rows_behind(&mut self, id: u64) -> Result<Vec<LoginRow>, LiveError> {
        Ok(self.rows.range(id + 1..).take(self.page).map(|(_, row)| row.clone()).collect())
    }

    fn rows_within(&mut self, ranges: &[(u64, u64)]) -> Result<Vec<LoginRow>, LiveError> {
        let within = |&(from, to): &(u64, u64)| self.rows.range(from..=to);
        Ok(ranges.iter().flat_map(within).take(self.page).map(|(_, row)| row.clone()).collect())
    }

    fn oldest_within(&mut self, ranges: &[(u64, u64)]) -> Result<Option<i64>, LiveError> {
        let within = |&(from, to): &(u64, u64)| self.rows.range(from..=to);
        Ok(ranges.iter().flat_map(within).filter_map(|(_, row)| row.at).min())
    }

    fn page_rows(&self) -> usize {
        self.page
    }
}

fn job() -> ReadJob {
    ReadJob {
        inputs: Vec::new(),
        tables: vec![AccessInput {
            server: "db1".to_owned(),
            defaults_file: "/none".into(),
            table: live::access_log::TableName::parse("accesslog.accesslog").unwrap(),
        }],
        is_configured: true,
        dialect: None,
        threads: None,
        limits: Limits::default(),
        conntracker: None,
    }
}

fn scan(ledger: &mut Ledger, table: &mut Table) -> anyhow::Result<ReadDone> {
    let job = job();
    let (mut done, now) = (ReadDone::default(), table.now);
    let input = &job.tables[0];
    Reading { ledger, lock: None, job: &job, input, now }.read(table, &mut done)?;
    Ok(done)
}

/// Logins by user, as the ledger counts them; those that the server named are as many.
fn counted(ledger: &Ledger) -> BTreeMap<String, u64> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let seen = ledger.seen(&Filter::default()).unwrap();
    let counts: BTreeMap<String, u64> =
        seen.iter().map(|row| (text(&row.user), row.logins)).collect();
    let named = ledger.matched(&Filter::default()).unwrap();
    assert_eq!(counts, named.iter().map(|row| (text(&row.user), row.count)).collect());
    counts
}

fn check(ledger: &Ledger, expected: &[(&str, u64)]) {
    let expected = expected.iter().map(|(user, count)| ((*user).to_owned(), *count)).collect();
    assert_eq!(counted(ledger), expected);
}

#[test]
fn rows_count_once_and_prove_only_themselves() {
    let (mut ledger, mut table) = (Ledger::in_memory().unwrap(), Table::new());
    for user in ["sam", "kim", "sam", "sam"] {
        table.now += SECOND;
        table.login(user);
    }
    for _ in 0..3 {
        let done = scan(&mut ledger, &mut table).unwrap();
        assert!(done.failed.is_empty() && done.notes.is_empty(), "{done:?}");
        check(&ledger, &[("kim", 1), ("sam", 3)]);
    }
    let evidence = ledger.evidence(&Filter::default()).unwrap();
    let states: Vec<_> = evidence.iter().map(|row| (row.state, row.records)).collect();
    assert_eq!(states, [(EvidenceState::Unconfirmed, 4)]);
    let status = ledger.status().unwrap();
    let source = &status.sources[0];
    assert_eq!((source.source.as_slice(), source.records), (&b"table accesslog.accesslog"[..], 4));
    // A seal rests on files: a table is none.
    assert!(ledger.holdings().unwrap().files.is_empty());
}

#[test]
fn rows_that_come_late_count() {
    let (mut ledger, mut table) = (Ledger::in_memory().unwrap(), Table::new());
    table.begin("first");
    table.login("sam");
    table.begin("late");
    table.login("sam");
    scan(&mut ledger, &mut table).unwrap();
    check(&ledger, &[("sam", 2)]);
    table.commit();
    table.login("kim");
    for _ in 0..2 {
        scan(&mut ledger, &mut table).unwrap();
        check(&ledger, &[("first", 1), ("kim", 1), ("late", 1), ("sam", 2)]);
    }
    // One that never comes is looked for up to a day long.
    table.begin("lost");
    table.login("kim");
    scan(&mut ledger, &mut table).unwrap();
    let missing = |ledger: &Ledger| {
        ledger.access_mark(b"table accesslog.accesslog", b"db1").unwrap().unwrap().missing.len()
    };
    table.now += LATE_MAX;
    scan(&mut ledger, &mut table).unwrap();
    assert_eq!(missing(&ledger), 1);
    table.now += 1;
    scan(&mut ledger, &mut table).unwrap();
    assert_eq!(missing(&ledger), 0);
}

/// Emptied, filled beyond the mark, and all but the newest gone before the next scan: a row that took a low number
/// comes late.
#[test]
fn late_rows_of_an_emptied_table_count() {
    let (mut ledger, mut table) = (Ledger::in_memory().unwrap(), Table::new());
    table.login("sam");
    table.login("sam");
    scan(&mut ledger, &mut table).unwrap();
    table.truncate();
    table.made += 1;
    table.login("gone");
    table.begin("late");
    table.login("kim");
    table.rows.remove(&1);
    scan(&mut ledger, &mut table).unwrap();
    check(&ledger, &[("kim", 1), ("sam", 2)]);
    table.commit();
    for _ in 0..2 {
        scan(&mut ledger, &mut table).unwrap();
        check(&ledger, &[("kim", 1), ("late", 1), ("sam", 2)]);
    }
}

#[test]
fn missing_numbers_are_bounded() {
    for (gaps, kept) in [(MISSING_MAX, MISSING_MAX), (MISSING_MAX + 1, MISSING_MAX)] {
        let mut table = Table::new();
        let page: Vec<LoginRow> = (0..gaps)
            .map(|_| {
                table.next += 1;
                table.row("sam")
            })
            .collect();
        let mark = advance(&AccessMark::default(), &[], &page, AT);
        assert_eq!((mark.missing.len(), mark.anchors.len()), (kept, ANCHORS_MAX));
        assert_eq!(mark.missing.last().map(|it| it.to), Some(mark.last_id - 1));
    }
}

#[test]
fn tables_that_are_made_anew_are_read_anew() {
    let (mut ledger, mut table) = (Ledger::in_memory().unwrap(), Table::new());
    (0..5).for_each(|_| table.login("sam"));
    scan(&mut ledger, &mut table).unwrap();
    // In the same second, with fewer rows than before: numbers start again.
    table.truncate();
    table.login("kim");
    let done = scan(&mut ledger, &mut table).unwrap();
    assert!(done.notes[0].contains("was emptied or made anew"), "{done:?}");
    check(&ledger, &[("kim", 1), ("sam", 5)]);
    // Dropped, and with more rows than before, later ones.
    table.truncate();
    table.made += 1;
    table.now += SECOND;
    (0..9).for_each(|_| table.login("eve"));
    scan(&mut ledger, &mut table).unwrap();
    check(&ledger, &[("eve", 9), ("kim", 1), ("sam", 5)]);
    // Empty, and nothing else.
    table.truncate();
    assert!(scan(&mut ledger, &mut table).unwrap().failed.is_empty());
    table.login("sam");
    scan(&mut ledger, &mut table).unwrap();
    check(&ledger, &[("eve", 9), ("kim", 1), ("sam", 6)]);
}

#[test]
fn old_rows_may_go_and_the_table_may_be_altered() {
    let (mut ledger, mut table) = (Ledger::in_memory().unwrap(), Table::new());
    (0..40).for_each(|_| table.login("sam"));
    scan(&mut ledger, &mut table).unwrap();
    table.rows.retain(|id, _| *id > 38);
    table.made += 1;
    table.login("kim");
    assert!(scan(&mut ledger, &mut table).unwrap().notes.is_empty());
    table.rows.clear();
    table.login("kim");
    assert!(scan(&mut ledger, &mut table).unwrap().notes.is_empty());
    check(&ledger, &[("kim", 2), ("sam", 40)]);
    // Before MySQL 8.0 and MariaDB 10.2.4 a restart gives numbers of deleted rows again.
    (0..4).for_each(|_| table.login("sam"));
    scan(&mut ledger, &mut table).unwrap();
    table.rows.retain(|id, _| *id < table.next - 2);
    table.next -= 2;
    table.login("eve");
    scan(&mut ledger, &mut table).unwrap();
    check(&ledger, &[("eve", 1), ("kim", 2), ("sam", 44)]);
}

#[test]
fn what_is_new_is_not_guessed() {
    // All times moved by an update: these rows are counted.
    let (mut ledger, mut table) = (Ledger::in_memory().unwrap(), Table::new());
    (0..5).for_each(|_| table.login("sam"));
    scan(&mut ledger, &mut table).unwrap();
    table.now += SECOND;
    table.rows.values_mut().for_each(|row| row.at = Some(AT + SECOND));
    table.made += 1;
    table.login("kim");
    let done = scan(&mut ledger, &mut table).unwrap();
    assert!(done.failed[0].contains("changed or replaced"), "{done:?}");
    check(&ledger, &[("sam", 5)]);
    // The same of more than the times; or the table was emptied, and has more rows than before: who knows.
    table.made -= 1;
    table.rows.values_mut().for_each(|row| row.thread = row.thread.map(|it| it + 1));
    assert_eq!(scan(&mut ledger, &mut table).unwrap().failed.len(), 1);
    table.truncate();
    table.login("eve");
    scan(&mut ledger, &mut table).unwrap();
    check(&ledger, &[("eve", 1), ("sam", 5)]);
    // An older copy with other numbers.
    let (mut ledger, mut table) = (Ledger::in_memory().unwrap(), Table::new());
    (0..5).for_each(|_| table.login("sam"));
    scan(&mut ledger, &mut table).unwrap();
    table.truncate();
    table.made += 1;
    table.now -= SECOND;
    (0..9).for_each(|_| table.login("sam"));
    assert_eq!(scan(&mut ledger, &mut table).unwrap().failed.len(), 1);
    check(&ledger, &[("sam", 5)]);
}

#[test]
fn rows_that_are_no_logins_are_told_of() {
    let (mut ledger, mut table) = (Ledger::in_memory().unwrap(), Table::new());
    (0..4).for_each(|_| table.login("sam"));
    let mut row = |id, change: fn(&mut LoginRow)| change(table.rows.get_mut(&id).unwrap());
    row(1, |row| row.local = None);
    row(2, |row| row.at = None);
    row(3, |row| row.local_may_be_cut = true);
    row(4, |row| row.matched = None);
    let done = scan(&mut ledger, &mut table).unwrap();
    assert_eq!(done.notes.len(), 1, "{done:?}");
    let doubts: Vec<u64> = ledger.status().unwrap().sources.iter().map(|it| it.rejected).collect();
    assert_eq!(doubts, [2]);
    let seen = ledger.seen(&Filter::default()).unwrap();
    assert_eq!((seen.len(), seen[0].logins), (1, 1));
    assert!(ledger.matched(&Filter::default()).unwrap().is_empty());
}

/// What happens to a table between scans.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Logins(u8),
    Begin,
    Commit,
    RollBack,
    Expire,
    Truncate,
    /// A scan that dies at a point; without one it does not.
    Scan(Option<u32>),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (1..20u8).prop_map(Deed::Logins),
        4 => Just(Deed::Begin),
        2 => Just(Deed::Commit),
        1 => Just(Deed::RollBack),
        1 => Just(Deed::Expire),
        1 => Just(Deed::Truncate),
        4 => prop::option::of(0..8u32).prop_map(Deed::Scan),
    ];
    prop::collection::vec(deed, 1..40)
}

proptest! {
    /// Whatever dies in between: each row that a scan that lived could see counts once, and none counts twice.
    #[test]
    fn each_row_counts_once(deeds in deeds()) {
        let (mut ledger, mut table) = (Ledger::in_memory().unwrap(), Table::new());
        let (mut due, mut number) = (BTreeSet::new(), 0);
        let mut user = || {
            number += 1;
            format!("u{number}")
        };
        for deed in deeds.into_iter().chain([Deed::Commit, Deed::Scan(None), Deed::Scan(None)]) {
            match deed {
                Deed::Logins(count) => (0..count).for_each(|_| table.login(&user())),
                Deed::Begin => table.begin(&user()),
                Deed::Commit => table.commit(),
                Deed::RollBack => table.open.clear(),
                Deed::Expire => {
                    let keep = table.rows.keys().rev().nth(2).copied().unwrap_or(0);
                    table.rows.retain(|id, _| *id >= keep);
                }
                Deed::Truncate => {
                    table.now += SECOND;
                    table.truncate();
                    table.made += 1;
                    table.login(&user());
                }
                Deed::Scan(stop) => {
                    let answer = trial::run(stop, false, || scan(&mut ledger, &mut table));
                    if let Ok(done) = &answer {
                        prop_assert!(done.failed.is_empty(), "{done:?}");
                        due.extend(table.rows.values().map(|row| {
                            String::from_utf8(row.peer().unwrap().user).unwrap()
                        }));
                    }
                    let counted = counted(&ledger);
                    prop_assert!(counted.values().all(|&count| count == 1), "{counted:?}");
                    for user in &due {
                        prop_assert!(counted.contains_key(user), "{user}: {counted:?}");
                    }
                }
            }
        }
    }
}
