//! The lives of a server, from its connection ids: a restart leaves no mark in an audit log, but ids
//! start again low.
//!
//! Ids of logins rise, yet not strictly: a slow handshake is logged late, by up to `connect_timeout`.
//! So an id below the highest one is a new run only where it lies below what was the highest id
//! already half a minute before.

/// Handshakes are given up after `connect_timeout`: 10 s by default, seldom raised to 30 s.
const LATE: i64 = 30_000_000;

/// Run pieces kept per batch and server. A log with more restarts than this is damaged or made up;
/// the rest is united with the last one.
const PIECES_MAX: usize = 4096;

/// A stretch of one run as one piece of log shows it. Times are microseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunPiece {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) first_id: u64,
    pub(crate) last_id: u64,
}

/// Follows the ids of one server through one piece of log.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunTracker {
    current: Option<RunPiece>,
    /// The highest id as it was at least [`LATE`] ago; ids below it cannot be late.
    floor: u64,
    /// The highest id when `checked` was set.
    highest: u64,
    checked: i64,
    done: Vec<RunPiece>,
}

impl RunTracker {
    /// A login with this id at this time.
    #[inline(always)]
    pub(crate) fn connected(&mut self, id: u64, at: i64) {
        match &mut self.current {
            Some(run) if id >= self.floor => {
                run.last_id = run.last_id.max(id);
                run.first_id = run.first_id.min(id);
                run.from = run.from.min(at);
                if at > run.to {
                    run.to = at;
                    if at - self.checked > LATE {
                        self.floor = self.highest;
                        self.highest = run.last_id;
                        self.checked = at;
                    }
                }
            }
            _ => self.start(id, at),
        }
    }

    #[cold]
    fn start(&mut self, id: u64, at: i64) {
        self.interrupt();
        self.current = Some(RunPiece { from: at, to: at, first_id: id, last_id: id });
        self.floor = 0;
        self.highest = 0;
        self.checked = at;
    }

    /// What follows stands elsewhere: it may be another run.
    pub(crate) fn interrupt(&mut self) {
        self.done.extend(self.current.take());
        if self.done.len() > PIECES_MAX {
            self.done = chain(std::mem::take(&mut self.done));
            self.done.truncate(PIECES_MAX);
        }
    }

    /// Adds the pieces of another tracker of the same server.
    pub(crate) fn absorb(&mut self, other: &RunTracker) {
        self.interrupt();
        self.done.extend(other.pieces());
        self.done = chain(std::mem::take(&mut self.done));
        self.done.truncate(PIECES_MAX);
    }

    /// All pieces so far.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = RunPiece> {
        self.done.iter().copied().chain(self.current)
    }
}

/// Unites pieces that belong to one run: in the order of time, a piece goes on with the run before it
/// where its lowest id is not below that run's highest, give or take late handshakes; pieces that
/// overlap in time and ids are one run read in parts.
pub(crate) fn chain(mut pieces: Vec<RunPiece>) -> Vec<RunPiece> {
    pieces.sort_unstable();
    let mut runs: Vec<RunPiece> = Vec::new();
    for piece in pieces {
        match runs.last_mut() {
            Some(run)
                if piece.first_id >= run.last_id
                    || (piece.from <= run.to.saturating_add(LATE)
                        && piece.last_id >= run.last_id
                        && piece.first_id > run.first_id)
                    || (piece.from <= run.to && piece.first_id >= run.first_id) =>
            {
                run.to = run.to.max(piece.to);
                run.last_id = run.last_id.max(piece.last_id);
                run.first_id = run.first_id.min(piece.first_id);
            }
            _ => runs.push(piece),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn ids_that_start_again_are_another_run() {
        let mut runs = RunTracker::default();
        for i in 0..1000 {
            runs.connected(5 + i as u64, i * SECOND);
        }
        // A handshake that was held open for ten seconds.
        runs.connected(990, 1000 * SECOND);
        for i in 0..10 {
            runs.connected(4 + i as u64, (1010 + i) * SECOND);
        }
        let all: Vec<RunPiece> = runs.pieces().collect();
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!((all[0].first_id, all[0].last_id), (5, 1004));
        assert_eq!((all[1].first_id, all[1].last_id, all[1].from), (4, 13, 1010 * SECOND));
    }

    #[test]
    fn pieces_of_one_run_are_one_run_in_any_order() {
        let piece = |from, to, first_id, last_id| RunPiece { from, to, first_id, last_id };
        let pieces = [
            piece(0, 10, 1, 100),
            piece(10, 20, 101, 180),
            piece(21, 30, 4, 50),
            piece(31, 40, 51, 60),
        ];
        let expected = vec![piece(0, 20, 1, 180), piece(21, 40, 4, 60)];
        for turn in 0..4 {
            let mut turned = pieces.to_vec();
            turned.rotate_left(turn);
            assert_eq!(chain(turned), expected);
        }
    }
}
