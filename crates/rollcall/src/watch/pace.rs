//! When the next step is due. Pure: time is an argument.
//!
//! ```text
//! read   soon after something has grown, at the latest a second after the one before
//! look   soon after something appeared or went; else every half minute, where the system tells of
//!        changes, and every two seconds where it does not
//! ```
//!
//! A step that took long is followed by a longer rest, so that neither a slow disk nor a huge folder
//! takes the machine.

use std::time::{Duration, Instant};

/// A commit waits for the disk: under a light load records need not wait longer than this.
const READ_REST_MIN: Duration = Duration::from_millis(250);

/// A record waits no longer than this for its turn to be read.
const READ_REST_MAX: Duration = Duration::from_secs(1);

/// Reading takes up to a tenth of the time, while the rest that this asks for is within its bound.
const READ_SHARE: u32 = 10;

/// Without anybody who tells, files are looked at this often.
const POLL: Duration = Duration::from_millis(500);

/// Folders are looked at no more often than this.
const LOOK_REST_MIN: Duration = Duration::from_millis(200);

/// A look takes up to a fifth of the time.
const LOOK_SHARE: u32 = 5;

/// Looking again costs little where nothing has changed, and finds what nobody told of.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The same where nobody tells, or something is missing that may come back.
const LOOK_OFTEN: Duration = Duration::from_secs(2);

/// However long a look took.
const LOOK_REST_MAX: Duration = Duration::from_secs(60);

/// The first rest after the ledger could not be written; it doubles up to the second.
const FAILED_REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Look,
    Read,
}

/// What happened, and when.
#[derive(Debug)]
pub(super) struct Pace {
    looked: (Instant, Duration),
    read: (Instant, Duration),
    /// The rest after faults of the ledger; and at the beginning, when nothing is known of it either.
    failed: Option<(Instant, Duration)>,
    /// An open file may have grown since the last step.
    pub(super) files: bool,
    /// Something else may have changed since the last look.
    pub(super) folders: bool,
    /// The system tells of all changes.
    pub(super) told: bool,
    /// Something could not be read.
    pub(super) troubled: bool,
}

impl Pace {
    /// Begins with a look.
    pub(super) fn new(start: Instant) -> Pace {
        Pace {
            looked: (start, Duration::ZERO),
            read: (start, Duration::ZERO),
            failed: Some((start, Duration::ZERO)),
            files: false,
            folders: false,
            told: false,
            troubled: false,
        }
    }

    /// The next step, and when it is due.
    pub(super) fn next(&self) -> (Step, Instant) {
        let (look, read) = (self.look_due(), self.read_due());
        let (step, due) = if look <= read { (Step::Look, look) } else { (Step::Read, read) };
        match self.failed {
            // What was read is not known to be stored.
            Some((at, rest)) => (Step::Look, at + rest),
            None => (step, due),
        }
    }

    fn look_due(&self) -> Instant {
        let (start, cost) = self.looked;
        let usual = if self.told && !self.troubled { LOOK_EVERY } else { LOOK_OFTEN };
        let rest = if self.folders { LOOK_REST_MIN } else { usual };
        start + rest.max((cost * LOOK_SHARE).min(LOOK_REST_MAX))
    }

    fn read_due(&self) -> Instant {
        let (start, cost) = self.read;
        let rest = match (self.files, self.told) {
            (true, _) => (cost * READ_SHARE).clamp(READ_REST_MIN, READ_REST_MAX),
            (false, true) => READ_REST_MAX,
            (false, false) => POLL.max(cost * READ_SHARE).min(READ_REST_MAX),
        };
        start + rest
    }

    /// A step was taken; a look has read as well.
    pub(super) fn took(&mut self, step: Step, start: Instant, cost: Duration) {
        self.read = (start, cost);
        if step == Step::Look {
            self.looked = (start, cost);
            self.failed = None;
        }
    }

    /// The ledger could not be written at this time.
    pub(super) fn fail(&mut self, at: Instant) {
        let (first, longest) = FAILED_REST;
        let rest = self.failed.map_or(first, |(_, rest)| (rest * 2).clamp(first, longest));
        self.failed = Some((at, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn looked(start: Instant) -> Pace {
        let mut pace = Pace::new(start);
        assert_eq!(pace.next(), (Step::Look, start));
        pace.took(Step::Look, start, MS);
        pace
    }

    fn next(pace: &Pace, start: Instant) -> (Step, u128) {
        let (step, due) = pace.next();
        (step, (due - start).as_millis())
    }

    #[test]
    fn steps_are_due_as_things_change() {
        let start = Instant::now();
        let mut pace = looked(start);
        assert_eq!(next(&pace, start), (Step::Read, 500));
        pace.told = true;
        assert_eq!(next(&pace, start), (Step::Read, 1000));
        pace.files = true;
        assert_eq!(next(&pace, start), (Step::Read, 250));
        pace.folders = true;
        assert_eq!(next(&pace, start), (Step::Look, 200));
    }

    #[test]
    fn looks_come_round_while_there_is_always_something_to_read() {
        let start = Instant::now();
        for (told, troubled, every) in
            [(true, false, 30_000), (false, false, 2000), (true, true, 2000)]
        {
            let mut pace = Pace { told, troubled, files: true, ..looked(start) };
            loop {
                let (step, due) = pace.next();
                if step == Step::Look {
                    assert_eq!((due - start).as_millis(), every);
                    break;
                }
                pace.took(Step::Read, due, MS);
            }
        }
    }

    #[test]
    fn what_takes_long_is_done_less_often() {
        let start = Instant::now();
        let mut pace = Pace { told: true, ..looked(start) };
        pace.files = true;
        for (cost, due) in [(10, 250), (50, 500), (100, 1000), (900, 1000)] {
            pace.took(Step::Read, start, cost * MS);
            assert_eq!(next(&pace, start), (Step::Read, due));
        }
        pace.folders = true;
        for (cost, due) in [(10, 200), (100, 500), (60_000, 60_000)] {
            pace.took(Step::Look, start, cost * MS);
            assert_eq!((pace.look_due() - start).as_millis(), due);
        }
    }

    #[test]
    fn a_ledger_that_fails_is_tried_less_and_less_often() {
        let start = Instant::now();
        let mut pace = Pace { files: true, ..looked(start) };
        let rests = [1, 2, 4, 8, 16, 32, 60, 60].map(|rest| {
            pace.fail(start);
            assert_eq!(next(&pace, start), (Step::Look, rest * 1000));
            rest
        });
        assert_eq!(rests.len(), 8);
        pace.took(Step::Look, start, MS);
        assert_eq!(next(&pace, start), (Step::Read, 250));
    }
}
