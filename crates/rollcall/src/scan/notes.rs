//! What to say of a scan: files that could not be read, records that could not be used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formats::{Reason, Standing};
use ledger::Batch;
use source::Error;

use super::ReadDone;
use crate::time::{length_text, moment};

/// The most files that are named one by one: beyond it a report tells more than a list.
const FILES_MAX: usize = 20;

/// Records dated later than this after now, in microseconds, are told: clocks differ by less.
const FUTURE_MIN: i64 = 5 * 60 * 1_000_000;

/// What is doubtful about one file.
#[derive(Debug, Clone, Default)]
struct FileNotes {
    doubts: BTreeMap<(Standing, Reason), u64>,
    ambiguous_times: u64,
    /// How far its times step back, in microseconds.
    step_back: i64,
    /// Its newest record, where that lies in the future.
    future: Option<i64>,
}

/// What a batch held before a file was read into it.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    doubts: BTreeMap<(Standing, Reason), u64>,
    ambiguous_times: u64,
}

impl Before {
    pub(super) fn of(batch: &Batch) -> Before {
        let doubts = batch.doubts().map(|(standing, reason, count)| ((standing, reason), count));
        Before { doubts: doubts.collect(), ambiguous_times: batch.ambiguous_times() }
    }
}

/// Collected while reading.
#[derive(Debug)]
pub(super) struct Notes {
    /// In microseconds UTC.
    now: i64,
    failed: Vec<String>,
    /// Files that end inside a record.
    ends: Vec<String>,
    files: BTreeMap<PathBuf, FileNotes>,
    unnamed_changes: u64,
}

impl Notes {
    pub(super) fn new(now: i64) -> Notes {
        let (failed, ends, files) = (Vec::new(), Vec::new(), BTreeMap::new());
        Notes { now, failed, ends, files, unnamed_changes: 0 }
    }

    /// An input that cannot be read, or not to its end.
    pub(super) fn failed(&mut self, error: &Error) {
        self.failed.push(error.to_string());
    }

    /// A fault of this program met in a file.
    pub(super) fn crashed(&mut self, path: &Path) {
        self.failed.push(format!(
            "{}: an internal error ended the reading of this file; what was counted of it before stays \
             right, and the next run goes on there: please report it",
            path.display()
        ));
    }

    /// What a batch holds of a file, but for what it held `before`.
    pub(super) fn file(&mut self, path: &Path, batch: &Batch, before: &Before) {
        let mut notes = FileNotes::default();
        for (standing, reason, count) in batch.doubts() {
            let known = before.doubts.get(&(standing, reason)).copied().unwrap_or(0);
            if count > known {
                notes.doubts.insert((standing, reason), count - known);
            }
        }
        notes.ambiguous_times = batch.ambiguous_times() - before.ambiguous_times;
        let newest = batch.newest_of(batch.file());
        notes.future = newest.filter(|&time| time.saturating_sub(self.now) > FUTURE_MIN);
        notes.step_back = batch.step_back();
        let nothing = notes.doubts.is_empty() && notes.ambiguous_times == 0 && notes.step_back == 0;
        if nothing && notes.future.is_none() {
            return;
        }
        let known = self.files.entry(path.to_path_buf()).or_default();
        for (kind, count) in notes.doubts {
            *known.doubts.entry(kind).or_default() += count;
        }
        known.ambiguous_times += notes.ambiguous_times;
        known.step_back = known.step_back.max(notes.step_back);
        known.future = known.future.max(notes.future);
    }

    /// A log ends inside a record.
    pub(super) fn unfinished(&mut self, path: &Path, bytes: usize) {
        if bytes > 0 {
            self.ends.push(format!(
                "{}: its last record is not complete ({}): left until there is more",
                path.display(),
                plural(bytes as u64, "byte")
            ));
        }
    }

    /// What a whole batch of a source holds that should be said.
    pub(super) fn batch(&mut self, batch: &Batch) {
        self.unnamed_changes += batch.unnamed_changes();
    }

    /// Puts everything into words.
    pub(super) fn hand_over(self, done: &mut ReadDone) {
        done.failed.extend(self.failed);
        done.notes.extend(self.ends);
        for (path, notes) in self.files.iter().take(FILES_MAX) {
            let path = path.display();
            done.notes.extend(notes.texts(self.now).map(|text| format!("{path}: {text}")));
        }
        if let Some(more) = self.files.len().checked_sub(FILES_MAX).filter(|&more| more > 0) {
            done.notes.push(format!(
                "… and {} with doubtful records: rollcall evidence",
                plural(more as u64, "more file")
            ));
        }
        if self.unnamed_changes > 0 {
            done.notes.push(format!(
                "{} whose new user no later record of the log names: not counted as logins",
                plural(self.unnamed_changes, "change user record")
            ));
        }
    }
}

impl FileNotes {
    fn texts(&self, now: i64) -> impl Iterator<Item = String> {
        let doubts =
            self.doubts.iter().map(|(&(standing, reason), &count)| doubt(standing, reason, count));
        let ambiguous = (self.ambiguous_times > 0).then(|| {
            format!(
                "{} in an hour that the server's clock passed twice or not at all (summer time), and \
                 their order does not tell: counted in the first",
                plural(self.ambiguous_times, "record")
            )
        });
        let step_back = (self.step_back > 0).then(|| {
            format!(
                "its times step back by up to {}: the clock or its zone was changed, or logs were joined \
                 out of order: tell the zone of its times with --time-zone",
                length_text(self.step_back)
            )
        });
        let future = self.future.map(|newest| {
            format!(
                "its newest record lies {} in the future ({}): tell the zone of its times with \
                 --time-zone, or set the server's clock right",
                length_text(newest.saturating_sub(now)),
                moment(newest).strftime("%Y-%m-%dT%H:%M:%SZ"),
            )
        });
        doubts.chain(ambiguous).chain(step_back).chain(future)
    }
}

fn doubt(standing: Standing, reason: Reason, count: u64) -> String {
    let (what, verb) = match standing {
        Standing::Rejected => ("line", if count == 1 { "is no record" } else { "are no records" }),
        Standing::Quarantined => ("record", "cannot be trusted"),
    };
    let (explained, state) = (reason.explain(), standing.as_str());
    format!("{} {verb} ({explained}): rollcall evidence --state {state}", plural(count, what))
}

/// `1 record`, `2 records`.
fn plural(count: u64, what: &str) -> String {
    crate::answers::plural(count, what)
}
