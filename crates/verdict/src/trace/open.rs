//! How many sessions were open when transactions were committed: each of them may have made it.
//!
//! ```text
//! seconds        last event ├──────────┤ committed by
//! session a ───────────────────┤                         counts: it ended meanwhile
//! session b         ├──────────────────────────────      counts
//! session c ──┤                             ├──────      neither of the two
//! session d                                  ?───┤       counts: its login is not in the log
//! ```
//!
//! Records have whole seconds: what ends in the second of the last event may have made it.

use std::collections::{HashMap, HashSet};

use super::Head;

/// A run and a connection id in it.
type Key = (usize, u64);

/// Of one run: how many are open, and how many have ended.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    open: usize,
    ended: usize,
}

/// Counts sessions while their records pass in the order of time.
#[derive(Debug, Default)]
pub(super) struct OpenSessions {
    open: HashSet<Key>,
    refused: HashSet<Key>,
    counts: HashMap<usize, Count>,
    /// By run: when sessions whose logins did not pass were seen first, in order.
    older: HashMap<usize, Vec<i64>>,
    now: i64,
    /// The seconds of transactions' last events, each with the transaction's number and run.
    lasts: Passing,
    /// The seconds by which they were committed.
    commits: Passing,
    /// By transaction: how many sessions had ended before its last event.
    ended_before: HashMap<usize, usize>,
    /// By transaction, where records behind it have passed.
    during: HashMap<usize, usize>,
}

impl OpenSessions {
    /// Asks for the sessions of a transaction; before the records pass.
    pub(super) fn want(&mut self, number: usize, head: &Head) {
        let by = i64::from(head.committed_by);
        self.lasts.add(by.min(i64::from(head.last_time)), number, head.run);
        self.commits.add(by, number, head.run);
    }

    /// All transactions are known.
    pub(super) fn sort(&mut self) {
        self.lasts.sort();
        self.commits.sort();
    }

    fn is_wanted(&self) -> bool {
        !self.lasts.all.is_empty()
    }

    /// A record of this second comes next.
    pub(super) fn pass(&mut self, second: i64) {
        self.now = self.now.max(second);
        // Records of the very second of the last event do not lie before it.
        for (number, run) in self.lasts.up_to(second) {
            self.ended_before.insert(number, self.counts.get(&run).map_or(0, |it| it.ended));
        }
        for (number, run) in self.commits.up_to(second.saturating_sub(1)) {
            let count = self.counts.get(&run).copied().unwrap_or_default();
            let before = self.ended_before.remove(&number).unwrap_or(count.ended);
            self.during.insert(number, count.open + count.ended - before);
        }
    }

    /// A connection logs in.
    pub(super) fn begun(&mut self, key: Key) {
        if self.is_wanted() && self.open.insert(key) {
            self.counts.entry(key.0).or_default().open += 1;
        }
    }

    /// A connection shows that it is open.
    pub(super) fn seen(&mut self, key: Key) {
        if self.is_wanted() && !self.open.contains(&key) {
            self.begun(key);
            self.note_older(key.0);
        }
    }

    fn note_older(&mut self, run: usize) {
        self.older.entry(run).or_default().push(self.now);
    }

    /// Its login is refused: what ends next is no session.
    pub(super) fn refused(&mut self, key: Key) {
        if self.is_wanted() {
            self.refused.insert(key);
        }
    }

    /// It ends.
    pub(super) fn ended(&mut self, key: Key) {
        if !self.is_wanted() || self.refused.remove(&key) {
            return;
        }
        let was_open = self.open.remove(&key);
        if !was_open {
            self.note_older(key.0);
        }
        let count = self.counts.entry(key.0).or_default();
        count.open -= usize::from(was_open);
        count.ended += 1;
    }

    /// How many sessions may have committed a transaction.
    pub(super) fn during(&self, number: usize, head: &Head) -> usize {
        let counted = self.during.get(&number).copied().unwrap_or_else(|| {
            let count = self.counts.get(&head.run).copied().unwrap_or_default();
            let before = self.ended_before.get(&number).copied().unwrap_or(count.ended);
            count.open + count.ended - before
        });
        let by = i64::from(head.committed_by);
        let older = self.older.get(&head.run);
        counted + older.map_or(0, |it| it.len() - it.partition_point(|at| *at <= by))
    }
}

/// Transactions in the order of one of their times, which pass once.
#[derive(Debug, Default)]
struct Passing {
    /// The second, the transaction's number, its run.
    all: Vec<(i64, usize, usize)>,
    done: usize,
}

impl Passing {
    fn add(&mut self, second: i64, number: usize, run: usize) {
        self.all.push((second, number, run));
    }

    fn sort(&mut self) {
        self.all.sort_unstable();
    }

    /// Those that have not passed yet, up to a second.
    fn up_to(&mut self, second: i64) -> impl Iterator<Item = (usize, usize)> {
        let left = &self.all[self.done..];
        let passed = left.partition_point(|(at, ..)| *at <= second);
        self.done += passed;
        left[..passed].iter().map(|(_, number, run)| (*number, *run))
    }
}
