//! Rows of `tally` on their way into the ledger: several to a statement.
//!
//! Much of what a row costs SQLite is the beginning and end of its statement, and the way from the
//! root of the tree to its place, which a statement with several rows goes once for those that stand
//! side by side.
//!
//! # Invariants
//! * What a row adds to one that is there does not depend on which came first.
//! * Rows wait in memory until there are [`ROWS`] of them; [`Tallies::finish`] writes the rest.

use crate::store::Bytes;
use crate::timeline::Slot;
use rusqlite::{Connection, Statement};

/// Rows in a full statement: two made no difference to one, 32 took 0.6 of the time, 100 no less.
const ROWS: usize = 32;

/// What each row binds, in this order: the columns of the table.
const COLUMNS: usize = 11;

/// Counts of one user and client host, to be added to what the ledger holds of them.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) server: i64,
    pub(crate) source: i64,
    pub(crate) user: &'a [u8],
    pub(crate) host: &'a [u8],
    /// [`LOGINS`], or as [`stored_error`] makes it.
    pub(crate) error: i64,
    pub(crate) sums: Sums,
    /// The newest sign of a session, in microseconds UTC.
    pub(crate) active: Option<i64>,
    /// The newest login as local text.
    pub(crate) text: Option<String>,
}

/// Adds rows to `tally`.
#[derive(Debug)]
pub(crate) struct Tallies<'a> {
    db: &'a Connection,
    days_before: i64,
    gone_before: i64,
    /// Each with the end of its timeline in `hours`.
    waiting: Vec<(Row<'a>, usize)>,
    hours: Vec<u8>,
}

impl<'a> Tallies<'a> {
    /// Timelines that are united with those of the ledger are kept by the day before `days_before`, and
    /// not at all before `gone_before` (microseconds UTC).
    pub(crate) fn new(db: &'a Connection, days_before: i64, gone_before: i64) -> Self {
        Tallies { db, days_before, gone_before, waiting: Vec::new(), hours: Vec::new() }
    }

    /// Adds a row with its encoded timeline.
    pub(crate) fn add(&mut self, row: Row<'a>, hours: &[u8]) -> rusqlite::Result<()> {
        self.hours.extend_from_slice(hours);
        self.waiting.push((row, self.hours.len()));
        if self.waiting.len() == ROWS { self.write(ROWS) } else { Ok(()) }
    }

    /// Writes the rows that still wait.
    pub(crate) fn finish(mut self) -> rusqlite::Result<()> {
        self.write(1)
    }

    /// Writes all that wait, so many to a statement: a divisor of how many there are.
    fn write(&mut self, rows: usize) -> rusqlite::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut statement = self.db.prepare_cached(&upsert(rows))?;
        let mut start = 0;
        for rows in self.waiting.chunks(rows) {
            let mut at = 1;
            for (row, end) in rows {
                bind(&mut statement, at, row, &self.hours[start..*end])?;
                (at, start) = (at + COLUMNS, *end);
            }
            statement.raw_bind_parameter(at, self.days_before)?;
            statement.raw_bind_parameter(at + 1, self.gone_before)?;
            statement.raw_execute()?;
        }
        self.waiting.clear();
        self.hours.clear();
        Ok(())
    }
}

fn bind(
    statement: &mut Statement<'_>,
    at: usize,
    row: &Row<'_>,
    hours: &[u8],
) -> rusqlite::Result<()> {
    statement.raw_bind_parameter(at, row.server)?;
    statement.raw_bind_parameter(at + 1, row.source)?;
    statement.raw_bind_parameter(at + 2, Bytes(row.user))?;
    statement.raw_bind_parameter(at + 3, Bytes(row.host))?;
    statement.raw_bind_parameter(at + 4, row.error)?;
    statement.raw_bind_parameter(at + 5, row.sums.count as i64)?;
    statement.raw_bind_parameter(at + 6, row.sums.first)?;
    statement.raw_bind_parameter(at + 7, row.sums.last)?;
    statement.raw_bind_parameter(at + 8, row.active)?;
    statement.raw_bind_parameter(at + 9, row.text.as_deref())?;
    statement.raw_bind_parameter(at + 10, hours)
}

/// A statement that adds so many rows.
fn upsert(rows: usize) -> String {
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    format!(
        "INSERT INTO tally (server, source, user, host, error, count, first_us, last_us,
           active_us, last_text, hours)
         VALUES {}
         ON CONFLICT DO UPDATE SET
           count = count + excluded.count,
           first_us = coalesce(min(first_us, excluded.first_us), first_us, excluded.first_us),
           last_text = CASE WHEN last_us IS NULL OR excluded.last_us > last_us
                            THEN excluded.last_text ELSE last_text END,
           last_us = coalesce(max(last_us, excluded.last_us), last_us, excluded.last_us),
           active_us = coalesce(max(active_us, excluded.active_us), active_us,
                                excluded.active_us),
           hours = unite_hours(hours, excluded.hours, ?{}, ?{})",
        vec![row; rows].join(","),
        rows * COLUMNS + 1,
        rows * COLUMNS + 2
    )
}

/// What stands for logins where refusals have their error number.
pub(crate) const LOGINS: i64 = 0;

/// Error 0 of a refusal means that the source does not tell; in the table 0 stands for logins.
pub(crate) fn stored_error(error: u32) -> i64 {
    if error == 0 { -1 } else { i64::from(error) }
}

/// What slots add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) count: u64,
    /// The first moment, in microseconds UTC.
    pub(crate) first: Option<i64>,
    /// The last one.
    pub(crate) last: Option<i64>,
}

impl Sums {
    pub(crate) fn of(slots: &[Slot]) -> Self {
        Sums {
            count: slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.count)),
            first: slots.iter().map(|slot| slot.first).min(),
            last: slots.iter().map(|slot| slot.last).max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ledger;
    use crate::clock::HOUR;
    use crate::timeline;

    /// How many logins the table holds, and its rows as text, after logins of these users, one a row;
    /// `each`: every row by itself.
    fn table(users: &[u64], each: bool) -> (i64, Vec<String>) {
        let ledger = Ledger::in_memory().unwrap();
        let names: Vec<String> = users.iter().map(|user| format!("u{user}")).collect();
        let mut tallies = Tallies::new(&ledger.db, 0, 0);
        for (user, i) in names.iter().zip(0..) {
            let mut hours = Vec::new();
            timeline::encode_counts(&[Slot::counted(i % 7 * HOUR, 1)], &mut hours);
            let sums = Sums { count: 1, first: Some(i), last: Some(i) };
            let (user, text) = (user.as_bytes(), Some(format!("at {i}")));
            let row = Row {
                server: 1,
                source: 1,
                user,
                host: b"h",
                error: LOGINS,
                sums,
                active: Some(i),
                text,
            };
            tallies.add(row, &hours).unwrap();
            if each {
                tallies.finish().unwrap();
                tallies = Tallies::new(&ledger.db, 0, 0);
            }
        }
        tallies.finish().unwrap();
        let db = &ledger.db;
        let count = "SELECT coalesce(sum(count), 0) FROM tally";
        let count = db.query_row(count, [], |row| row.get(0)).unwrap();
        let rows = "SELECT concat_ws(' ', user, count, first_us, last_us, active_us, last_text,
                      hex(hours)) FROM tally";
        let mut rows = db.prepare(rows).unwrap();
        (count, rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect())
    }

    #[test]
    fn many_to_a_statement_are_stored_as_one_by_one() {
        for rows in [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 1] {
            // All different; and each user several times, so that one statement meets its own rows.
            for users in [rows as u64, 5] {
                let users: Vec<u64> = (0..rows as u64).map(|i| i * 7 % users).collect();
                let together = table(&users, false);
                assert_eq!(together.0, rows as i64);
                assert_eq!(together, table(&users, true));
            }
        }
    }
}
