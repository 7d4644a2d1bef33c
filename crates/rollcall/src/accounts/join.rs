//! Rows of what was seen, given to the accounts they belong to.
//!
//! A log shows user name and client host; which account let it in follows from the server's own rules. Where
//! only one account can have, the row is a sure sign of it; where several can, a possible one of each.

use verdict::account::{ActivityKind, Snapshot};
use verdict::matching::{Found, Matcher, Shown};
use verdict::unused::Signs;

/// How it is known that signs are those of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MatchedBy {
    /// The server names the account.
    AccessLog,
    /// Only this account fits user name and client host.
    Host,
    /// It is one of several that fit.
    Candidates,
}

impl MatchedBy {
    /// The word used in every output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            MatchedBy::AccessLog => "access-log",
            MatchedBy::Host => "host",
            MatchedBy::Candidates => "candidates",
        }
    }
}

/// The signs of one account.
#[derive(Debug, Clone, Default)]
pub(super) struct Joined {
    pub(super) sure: Signs,
    pub(super) possible: Signs,
    /// Of how many accounts the most doubtful of the possible signs may be.
    pub(super) rivals: usize,
    pub(super) matched_by: Option<MatchedBy>,
    /// Sessions open now that are, or may be, its own.
    pub(super) open: u64,
}

impl Joined {
    fn add(&mut self, signs: &Signs, candidates: usize) {
        let by = if candidates > 1 { MatchedBy::Candidates } else { MatchedBy::Host };
        if candidates > 1 {
            self.possible.add(signs);
            self.rivals = self.rivals.max(candidates);
        } else {
            self.sure.add(signs);
        }
        self.matched_by = Some(self.matched_by.map_or(by, |known| known.min(by)));
    }
}

/// The signs of each of so many accounts: from rows of one server, and from what the server tells itself.
pub(super) fn join<'a>(
    matcher: &Matcher,
    count: usize,
    rows: impl Iterator<Item = &'a ledger::Seen>,
    snapshot: &Snapshot,
) -> Vec<Joined> {
    let mut joined = vec![Joined::default(); count];
    for row in rows {
        let signs = Signs {
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            last_active: row.last_active,
            logins: row.logins,
            failures: row.failures,
            last_failed: row.last_failed,
            last_error: row.last_error,
            contested: row.contested,
        };
        give(&mut joined, matcher.seen(&row.user, Shown::NameOrAddress(&row.host), None), &signs);
    }
    for activity in &snapshot.activity {
        let at = match activity.kind {
            _ if activity.open > 0 => Some(snapshot.at),
            // Since the server's start, at some time.
            ActivityKind::PerformanceSchema if activity.total > Some(0) => snapshot.started,
            _ => None,
        };
        let Some(at) = at else { continue };
        if activity.host.is_empty() && activity.kind == ActivityKind::UserStatistics {
            continue;
        }
        let found = matcher.seen(&activity.user, Shown::NameOrAddress(&activity.host), None);
        if activity.kind == ActivityKind::Processlist {
            found.rows().iter().for_each(|&row| joined[row].open += activity.open);
        }
        give(&mut joined, found, &Signs { last_active: Some(at), ..Signs::default() });
    }
    joined
}

fn give(joined: &mut [Joined], found: Found, signs: &Signs) {
    let rows = found.rows();
    for &row in rows {
        joined[row].add(signs, rows.len());
    }
}
