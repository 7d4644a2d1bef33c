//! What is worth a line in the log: news, each once. Pure: time is an argument.
//!
//! * What cannot be read is told when it stays so (an archive that is just being written is not told),
//!   and once more when it is over.
//! * Notes on what was read are told as they come, so many a minute, the others in a number: whoever can
//!   reach the server's port can cause them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::answers::plural;

/// A fault that is over sooner is not told.
const FAULT_AGE_MIN: Duration = Duration::from_secs(10);

/// The most faults that are remembered one by one.
const FAULTS_MAX: usize = 100;

/// The most notes told in [`NOTES_TIME`].
const NOTES_MAX: usize = 20;

/// The time in which they are counted.
const NOTES_TIME: Duration = Duration::from_secs(60);

/// The most details (files left aside, files that are shorter copies) that are remembered as told.
const DETAILS_MAX: usize = 1000;

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Error(String),
    Warning(String),
    Info(String),
    Detail(String),
}

/// Remembers what was told.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// Since when, and whether it was told.
    faults: BTreeMap<String, (Instant, bool)>,
    notes: Option<Notes>,
    /// The notes of the last look.
    standing: BTreeSet<String>,
    details: BTreeSet<String>,
}

#[derive(Debug)]
struct Notes {
    since: Instant,
    told: usize,
    more: u64,
}

impl Teller {
    /// All that could not be read at a look. `at_once`: nothing is waited for.
    pub(super) fn faults(&mut self, faults: &[String], now: Instant, at_once: bool) -> Vec<Line> {
        let mut lines = Vec::new();
        let named = &faults[..faults.len().min(FAULTS_MAX)];
        let mut before = std::mem::take(&mut self.faults);
        for fault in named {
            let (since, told) = before.remove(fault).unwrap_or((now, false));
            let tells = !told && (at_once || now - since >= FAULT_AGE_MIN);
            if tells {
                lines.push(Line::Error(fault.clone()));
            }
            self.faults.insert(fault.clone(), (since, told || tells));
        }
        for (fault, (_, told)) in before {
            if told {
                lines.push(Line::Info(format!("over: {fault}")));
            }
        }
        if faults.len() > named.len() && at_once {
            let more = (faults.len() - named.len()) as u64;
            lines.push(Line::Error(format!(
                "and {} that cannot be read",
                plural(more, "more input")
            )));
        }
        lines
    }

    /// What there is to know of a look; what stays as it is from look to look is told once.
    pub(super) fn look_notes(&mut self, notes: &[String], now: Instant) -> Vec<Line> {
        let standing = std::mem::take(&mut self.standing);
        let news: Vec<String> =
            notes.iter().filter(|note| !standing.contains(*note)).cloned().collect();
        self.standing = notes.iter().take(DETAILS_MAX).cloned().collect();
        self.notes(&news, now)
    }

    /// What there is to know of what was read.
    pub(super) fn notes(&mut self, notes: &[String], now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        let over = |it: &Notes| now - it.since >= NOTES_TIME;
        if let Some(last) = self.notes.take_if(|it| over(it)).filter(|it| it.more > 0) {
            let more = plural(last.more, "more note");
            lines.push(Line::Warning(format!("and {more} like these: rollcall evidence")));
        }
        for note in notes {
            let count = self.notes.get_or_insert(Notes { since: now, told: 0, more: 0 });
            if count.told < NOTES_MAX {
                count.told += 1;
                lines.push(Line::Warning(note.clone()));
            } else {
                count.more += 1;
            }
        }
        lines
    }

    /// Files that were left aside, each once.
    pub(super) fn details(&mut self, details: &[String]) -> Vec<Line> {
        let mut lines = Vec::new();
        for detail in details {
            if self.details.len() < DETAILS_MAX && self.details.insert(detail.clone()) {
                lines.push(Line::Detail(detail.clone()));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn faults_that_stay_are_told_once_and_their_end() {
        let now = Instant::now();
        let mut teller = Teller::default();
        let error = |text: &str| Line::Error(text.to_owned());
        assert_eq!(teller.faults(&texts(&["a"]), now, true), [error("a")]);
        assert_eq!(teller.faults(&texts(&["a", "b"]), now, false), []);
        let later = now + FAULT_AGE_MIN;
        assert_eq!(teller.faults(&texts(&["a", "b", "c"]), later, false), [error("b")]);
        let over = ["over: a", "over: b"].map(|it| Line::Info(it.to_owned()));
        assert_eq!(teller.faults(&[], later, false), over);
        assert_eq!(teller.faults(&[], later, false), []);
    }

    #[test]
    fn faults_are_bounded() {
        let many: Vec<String> = (0..=FAULTS_MAX).map(|it| it.to_string()).collect();
        let now = Instant::now();
        let told = |count: usize| Teller::default().faults(&many[..count], now, true).len();
        assert_eq!((told(FAULTS_MAX), told(FAULTS_MAX + 1)), (FAULTS_MAX, FAULTS_MAX + 1));
        let mut teller = Teller::default();
        teller.faults(&many, now, true);
        assert_eq!(teller.faults.len(), FAULTS_MAX);
    }

    #[test]
    fn notes_are_told_so_many_a_minute() {
        let now = Instant::now();
        let mut teller = Teller::default();
        let many: Vec<String> = (0..NOTES_MAX).map(|it| it.to_string()).collect();
        assert_eq!(teller.notes(&many, now).len(), NOTES_MAX);
        assert_eq!(teller.notes(&many[..2], now), []);
        let later = teller.notes(&many[..1], now + NOTES_TIME);
        assert_eq!(
            later,
            [
                Line::Warning("and 2 more notes like these: rollcall evidence".to_owned()),
                Line::Warning("0".to_owned())
            ]
        );
    }

    #[test]
    fn what_stays_from_look_to_look_is_told_once() {
        let now = Instant::now();
        let mut teller = Teller::default();
        let warning = |text: &str| Line::Warning(text.to_owned());
        assert_eq!(teller.look_notes(&texts(&["a"]), now), [warning("a")]);
        assert_eq!(teller.look_notes(&texts(&["a", "b"]), now), [warning("b")]);
        assert_eq!(teller.look_notes(&texts(&["b"]), now), []);
        assert_eq!(teller.look_notes(&texts(&["a"]), now), [warning("a")]);
        assert_eq!(teller.notes(&texts(&["a"]), now), [warning("a")]);
    }

    #[test]
    fn details_are_told_once() {
        let mut teller = Teller::default();
        assert_eq!(teller.details(&texts(&["a", "b", "a"])).len(), 2);
        assert_eq!(teller.details(&texts(&["b"])), []);
        let many: Vec<String> = (0..2 * DETAILS_MAX).map(|it| it.to_string()).collect();
        assert_eq!(teller.details(&many).len(), DETAILS_MAX - 2);
    }
}
