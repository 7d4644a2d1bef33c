//! Access log tables: rows that logins write through `init_connect`, as events with the account that matched.
//!
//! ```text
//! server ─ live::access_log ─► rows ─► events ─► Batch ─┐ one transaction
//!            what tells whether it is the same table ─► mark ─┴─► ledger
//! ```
//!
//! # Invariants
//! * Nothing is written while a server is asked: a page of rows is fetched, then stored with the mark behind it. A
//!   mark that somebody else moved meanwhile ends the reading.
//! * Rows count once ([`AccessMark`]). Those that come late are looked for a day long ([`LATE_MAX`]).
//! * A table that was emptied or made anew is read anew where that is certain. Where what is new in it cannot be
//!   told from what was counted, nothing is read, and it is named.

use std::collections::BTreeSet;
use std::path::PathBuf;

use formats::{Doubt, Event, Kind, Peer, Reason, Stamp, Standing};
use jiff::tz::TimeZone;
use ledger::{
    ACCESS_LOG, ANCHORS_MAX, AccessMark, Anchor, Batch, BatchOptions, Checkpoint, Ingest, Ledger,
    LocalClock, Lock, MISSING_MAX, MissingIds,
};
use live::LiveError;
use live::access_log::{AccessTable, Life, LoginRow, PAGE_ROWS_MAX};
use source::{Facts, Fingerprint, Raw};

#[cfg(test)]
use super::trial;
use super::{ReadDone, keeping};
use crate::job::{AccessInput, ReadJob};
use crate::reach::Place;
use crate::render::thousands;

/// For how long a number that was left out is looked for, in microseconds. A row is there to be seen when its
/// session commits: at once as a rule, and with `autocommit=0` when the first work of the session ends.
const LATE_MAX: i64 = 24 * 3600 * 1_000_000;

/// A table that is read.
trait Rows {
    fn life(&mut self) -> Result<Life, LiveError>;
    fn rows_behind(&mut self, id: u64) -> Result<Vec<LoginRow>, LiveError>;
    fn rows_within(&mut self, ranges: &[(u64, u64)]) -> Result<Vec<LoginRow>, LiveError>;
    fn oldest_within(&mut self, ranges: &[(u64, u64)]) -> Result<Option<i64>, LiveError>;

    /// The most rows of one answer.
    fn page_rows(&self) -> usize;
}

impl Rows for AccessTable {
    fn life(&mut self) -> Result<Life, LiveError> {
        AccessTable::life(self)
    }

    fn rows_behind(&mut self, id: u64) -> Result<Vec<LoginRow>, LiveError> {
        AccessTable::rows_behind(self, id)
    }

    fn rows_within(&mut self, ranges: &[(u64, u64)]) -> Result<Vec<LoginRow>, LiveError> {
        AccessTable::rows_within(self, ranges)
    }

    fn oldest_within(&mut self, ranges: &[(u64, u64)]) -> Result<Option<i64>, LiveError> {
        AccessTable::oldest_within(self, ranges)
    }

    fn page_rows(&self) -> usize {
        PAGE_ROWS_MAX
    }
}

/// Reads the tables of a job. `lock` is the right to write, where the caller holds it already.
///
/// # Errors
/// Where the ledger cannot be written. A table that cannot be read is named in what is returned.
pub(super) fn read_all(
    ledger: &mut Ledger,
    lock: Option<&Lock>,
    job: &ReadJob,
    now: i64,
    done: &mut ReadDone,
) -> anyhow::Result<()> {
    for input in &job.tables {
        let failed = done.failed.len();
        let place = Place::of(Some(input.defaults_file.clone()));
        let open =
            |server| AccessTable::open(server, &input.table).map_err(|error| error.to_string());
        match place.connect(Some(&input.server)).and_then(open) {
            Ok(mut table) => {
                Reading { ledger, lock, job, input, now }.read(&mut table, done)?;
            }
            Err(error) => done.failed.push(error),
        }
        let ingest = begin(ledger, lock, job, now)?;
        ingest.trouble(&scope(input), &done.failed[failed..])?;
        ingest.finish()?;
    }
    Ok(())
}

fn begin<'l>(
    ledger: &'l mut Ledger,
    lock: Option<&Lock>,
    job: &ReadJob,
    now: i64,
) -> Result<Ingest<'l>, ledger::Error> {
    match lock {
        Some(lock) => ledger.ingest_under(lock, keeping(job, now)),
        None => ledger.ingest(keeping(job, now)),
    }
}

/// What a table is called in messages and in the ledger.
fn location(input: &AccessInput) -> String {
    format!("table {}", input.table)
}

/// What its trouble is remembered under.
fn scope(input: &AccessInput) -> Vec<u8> {
    [input.server.as_bytes(), location(input).as_bytes()].join(&0)
}

/// What became of the table since its mark was made.
#[derive(Debug, PartialEq, Eq)]
enum Sameness {
    /// It goes on behind the mark.
    Same(AccessMark),
    /// It was emptied or made anew: all of it is new.
    Anew,
    /// What is new cannot be told from what was counted.
    Unclear,
}

/// One table, on its way into the ledger.
struct Reading<'a> {
    ledger: &'a mut Ledger,
    lock: Option<&'a Lock>,
    job: &'a ReadJob,
    input: &'a AccessInput,
    now: i64,
}

impl Reading<'_> {
    /// Reads what is new, page by page.
    fn read(&mut self, table: &mut impl Rows, done: &mut ReadDone) -> anyhow::Result<()> {
        let mut doubts = Doubts::default();
        let read = self.read_pages(table, &mut doubts, done);
        let name = format!("{} on {}", location(self.input), self.input.server);
        done.notes.extend(doubts.note(&name));
        match read? {
            Ok(()) => {}
            Err(why) => done.failed.push(why),
        }
        Ok(())
    }

    /// The inner error is a message about the table.
    fn read_pages(
        &mut self,
        table: &mut impl Rows,
        doubts: &mut Doubts,
        done: &mut ReadDone,
    ) -> anyhow::Result<Result<(), String>> {
        let label = self.input.server.clone().into_bytes();
        let place = location(self.input);
        let stored = self.ledger.access_mark(place.as_bytes(), &label)?;
        let start = match start(stored.as_ref(), table) {
            Ok(Sameness::Same(mark)) => mark,
            Ok(Sameness::Anew) => {
                done.notes.push(format!(
                    "{place} on {} was emptied or made anew: all of its rows are new",
                    self.input.server
                ));
                fresh(table)
            }
            Ok(Sameness::Unclear) => {
                return Ok(Err(format!(
                    "{}: {place}: rows that were read before have been changed or replaced; nothing of it is \
                     read, because what is new cannot be told from what was counted: restore them, or empty \
                     the table: what it holds until then does not count",
                    self.input.server
                )));
            }
            Err(error) => return Ok(Err(error.to_string())),
        };
        done.files += 1;
        let (mut before, mut mark) = (stored, start);
        loop {
            let (late, page) = match self.page(table, &mark) {
                Ok(rows) => rows,
                Err(error) => return Ok(Err(error.to_string())),
            };
            let is_last = late.len().max(page.len()) < table.page_rows();
            let after = advance(&mark, &late, &page, self.now);
            if before.as_ref() == Some(&after) {
                break;
            }
            let rows = late.iter().chain(&page);
            match self.store(before.as_ref(), after, rows, doubts)? {
                Some(stored) => (before, mark) = (Some(stored.clone()), stored),
                None => {
                    return Ok(Err(format!(
                        "{}: {place}: another rollcall reads it at the same time: run again",
                        self.input.server
                    )));
                }
            }
            if is_last {
                break;
            }
        }
        Ok(Ok(()))
    }

    /// Rows that come late, and the next ones.
    fn page(
        &self,
        table: &mut impl Rows,
        mark: &AccessMark,
    ) -> Result<(Vec<LoginRow>, Vec<LoginRow>), LiveError> {
        let ranges: Vec<(u64, u64)> = mark.missing.iter().map(|it| (it.from, it.to)).collect();
        let late = if ranges.is_empty() { Vec::new() } else { table.rows_within(&ranges)? };
        Ok((late, table.rows_behind(mark.last_id)?))
    }

    /// Stores rows and the mark behind them. `None`: the mark is not that of before any more.
    fn store<'r>(
        &mut self,
        before: Option<&AccessMark>,
        mut after: AccessMark,
        rows: impl Iterator<Item = &'r LoginRow>,
        doubts: &mut Doubts,
    ) -> anyhow::Result<Option<AccessMark>> {
        let (job, input) = (self.job, self.input);
        let place = location(input);
        let ingest = begin(self.ledger, self.lock, job, self.now)?;
        let source = ingest.source(place.as_bytes(), input.server.as_bytes(), ACCESS_LOG)?;
        if ingest.access_mark(source)?.as_ref() != before {
            return Ok(None);
        }
        let key = (after.file != 0).then_some(after.file);
        after.file = ingest.checkpoint(key, source, &stand_in(&place, after.newest))?;
        let options = BatchOptions {
            server: Some(input.server.clone().into_bytes()),
            keep_connections: usize::try_from(job.limits.connections_keep).unwrap_or(usize::MAX),
        };
        let clock = LocalClock::new(TimeZone::UTC, self.now);
        let mut batch = Batch::new(options, clock, after.file);
        for row in rows {
            count(&mut batch, row, doubts);
        }
        ingest.add(source, &batch)?;
        #[cfg(test)]
        trial::stop()?;
        ingest.set_access_mark(source, &after)?;
        #[cfg(test)]
        trial::stop()?;
        ingest.finish()?;
        #[cfg(test)]
        trial::stop()?;
        Ok(Some(after))
    }
}

/// Where reading begins.
fn start(stored: Option<&AccessMark>, table: &mut impl Rows) -> Result<Sameness, LiveError> {
    let life = table.life()?;
    let Some(mark) = stored else {
        return Ok(Sameness::Same(AccessMark { made: life.made, ..AccessMark::default() }));
    };
    let ids: Vec<(u64, u64)> = mark.anchors.iter().map(|it| (it.id, it.id)).collect();
    let anchors = if ids.is_empty() { Vec::new() } else { table.rows_within(&ids)? };
    let is_known = anchors.iter().any(|row| is_anchor(mark, row, Alike::Whole));
    let oldest = match is_known || mark.last_id == 0 {
        true => None,
        false => table.oldest_within(&counted(mark))?,
    };
    Ok(judge(mark, &life, &anchors, oldest))
}

/// Ranges of the numbers up to the mark that are not missing.
fn counted(mark: &AccessMark) -> Vec<(u64, u64)> {
    let mut ranges = Vec::with_capacity(mark.missing.len() + 1);
    let mut from = 1;
    for missing in &mark.missing {
        if from < missing.from {
            ranges.push((from, missing.from - 1));
        }
        from = missing.to.saturating_add(1);
    }
    if from <= mark.last_id {
        ranges.push((from, mark.last_id));
    }
    ranges
}

/// A mark from which all of a table is read, as a new life of it.
fn fresh(table: &mut impl Rows) -> AccessMark {
    let made = table.life().map(|life| life.made).unwrap_or_default();
    AccessMark { made, ..AccessMark::default() }
}

/// How much of a row is to be the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alike {
    Whole,
    Timeless,
}

fn is_anchor(mark: &AccessMark, row: &LoginRow, alike: Alike) -> bool {
    let (whole, timeless) = row.prints();
    mark.anchors.iter().any(|it| {
        let same = if alike == Alike::Whole { it.whole == whole } else { it.timeless == timeless };
        it.id == row.id && same
    })
}

/// What became of a table. `anchors` are the rows with the numbers of those that were counted last; `oldest` is the
/// oldest time among all rows with numbers that were counted, where none of the anchors is the same.
fn judge(mark: &AccessMark, life: &Life, anchors: &[LoginRow], oldest: Option<i64>) -> Sameness {
    let mut same = AccessMark { made: life.made.clone(), ..mark.clone() };
    let starts_again = life.next_id.is_some_and(|next| next <= mark.last_id);
    let known = anchors.iter().filter(|row| is_anchor(mark, row, Alike::Whole)).map(|row| row.id);
    if let Some(known) = known.max() {
        // Up to MySQL 5.7 and MariaDB 10.2 numbers of rows deleted last are given again after a restart.
        if starts_again && known < mark.last_id {
            same.last_id = known;
            same.anchors.retain(|it| it.id <= known);
            same.missing.retain(|it| it.to < known);
        }
        return Sameness::Same(same);
    }
    if mark.last_id == 0 {
        return Sameness::Same(same);
    }
    let is_other = starts_again || life.made != mark.made;
    let Some(oldest) = oldest else {
        // Nothing is left of what was counted: whatever is there is new, and so are numbers up to the mark that may
        // come late, where it was emptied.
        return if is_other { Sameness::Anew } else { Sameness::Same(same) };
    };
    // An update changes rows that were counted, and may move their times.
    let is_updated = anchors.iter().any(|row| is_anchor(mark, row, Alike::Timeless));
    // Other rows with the same numbers prove nothing: an update of all of them looks like that.
    match mark.newest.is_none_or(|newest| oldest >= newest) && is_other && !is_updated {
        true => Sameness::Anew,
        false => Sameness::Unclear,
    }
}

/// The mark behind these rows.
fn advance(mark: &AccessMark, late: &[LoginRow], page: &[LoginRow], now: i64) -> AccessMark {
    let mut next = mark.clone();
    let came: BTreeSet<u64> = late.iter().map(|row| row.id).collect();
    next.missing = without(&mark.missing, &came);
    for row in page {
        if row.id > next.last_id + 1 {
            next.missing.push(MissingIds { from: next.last_id + 1, to: row.id - 1, noticed: now });
        }
        next.last_id = next.last_id.max(row.id);
    }
    next.missing.retain(|it| now.saturating_sub(it.noticed) <= LATE_MAX);
    // The lowest are the oldest.
    next.missing.drain(..next.missing.len().saturating_sub(MISSING_MAX));
    for row in late.iter().chain(page) {
        next.newest = next.newest.max(row.at);
        let (whole, timeless) = row.prints();
        next.anchors.push(Anchor { id: row.id, whole, timeless });
    }
    next.anchors.sort_by_key(|it| it.id);
    next.anchors.drain(..next.anchors.len().saturating_sub(ANCHORS_MAX));
    next
}

/// Ranges without the numbers that came.
fn without(missing: &[MissingIds], came: &BTreeSet<u64>) -> Vec<MissingIds> {
    let mut left = Vec::with_capacity(missing.len());
    for range in missing {
        let mut from = range.from;
        for &id in came.range(range.from..=range.to) {
            if id > from {
                left.push(MissingIds { from, to: id - 1, noticed: range.noticed });
            }
            from = id + 1;
        }
        if from <= range.to {
            left.push(MissingIds { from, ..*range });
        }
    }
    left
}

/// Counts a row.
fn count(batch: &mut Batch, row: &LoginRow, doubts: &mut Doubts) {
    let text = row.local.as_deref().unwrap_or_default();
    let mut doubt = |standing, reason| {
        batch.doubt_row(row.id, Doubt { standing, reason }, text);
        doubts.add(reason);
    };
    let Some(peer) = row.peer() else {
        return doubt(Standing::Rejected, Reason::BadShape);
    };
    let Some(at) = row.at else {
        return doubt(Standing::Rejected, Reason::BadTime);
    };
    if row.local_may_be_cut {
        return doubt(Standing::Quarantined, Reason::Unfinished);
    }
    let joined = [&peer.user[..], &peer.host[..]].join(&b',');
    let account = row.account();
    let event = Event {
        series: None,
        time: Stamp::Utc(at),
        server: b"",
        peer: Peer::new(&joined, peer.user.len()),
        port: None,
        connection: row.thread.unwrap_or(0),
        query: 0,
        kind: Kind::Connect,
        error: 0,
        database: b"",
        object: b"",
        account_user: account.as_ref().map(|it| &it.user[..]),
        further: false,
    };
    batch.row(row.id, &event, account.clone());
}

/// What stands for the table among files: it has no bytes.
fn stand_in(place: &str, newest: Option<i64>) -> Checkpoint {
    let facts = Facts { device: 0, inode: 0, born: None, len: 0, modified: 0 };
    Checkpoint {
        path: PathBuf::from(place),
        fingerprint: Fingerprint::default(),
        raw: Raw { facts, print: [0; 16], drained: true },
        mid_record: false,
        newest,
    }
}

/// Rows that did not count, by the reason.
#[derive(Default)]
struct Doubts(std::collections::BTreeMap<Reason, u64>);

impl Doubts {
    fn add(&mut self, reason: Reason) {
        *self.0.entry(reason).or_default() += 1;
    }

    fn note(&self, name: &str) -> Option<String> {
        let text = |(reason, count): (&Reason, &u64)| {
            let what = match reason {
                Reason::Unfinished => "with a name that fills its column and may be cut off",
                Reason::BadTime => "without a time",
                _ => "without user and host",
            };
            format!("{} {what}", thousands(*count))
        };
        let texts: Vec<String> = self.0.iter().map(text).collect();
        (!texts.is_empty()).then(|| {
            format!("{name}: rows that do not count: {}: rollcall evidence", texts.join(", "))
        })
    }
}

#[cfg(test)]
mod tests;
