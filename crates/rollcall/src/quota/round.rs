//! One round over one server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use ledger::Ledger;
use live::sizes::Method;
use verdict::account::AccountName;
use verdict::quota::{Limit, Limits, Shard, growth_per_day};

use super::act::{Acted, act};
use super::measure::{Found, Measured, Wanted, measure};
use crate::config;
use crate::deeds::Doer;

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// Growth is what lies between now and the oldest look of so many days.
const GROWTH_DAYS: i64 = 30;

/// By which rules rounds are made.
#[derive(Debug, Clone)]
pub(crate) struct Rules<'a> {
    /// `[quota]` of the configuration.
    pub(crate) quota: &'a config::Quota,
    /// How sizes are read.
    pub(crate) method: Method,
    pub(crate) limits: &'a Limits,
    /// Whose users are looked at.
    pub(crate) shard: Shard,
    /// Accounts that no plan may hold.
    pub(crate) protected: &'a [AccountName],
    /// Days that a plan can be applied.
    pub(crate) plan_days: u32,
    /// Where the ledger is: files of deeds stand beside it.
    pub(crate) ledger: Option<&'a Path>,
    /// Statements are sent; else it is only said what would be done.
    pub(crate) applies: bool,
    /// What was told is kept also where nothing is sent, so that it is not told again.
    pub(crate) remembers: bool,
    /// Statements that would be sent are told.
    pub(crate) shows_statements: bool,
    pub(crate) doer: &'a Doer,
}

/// What came of a round.
#[derive(Debug, Clone)]
pub(crate) struct RoundOutcome {
    /// Usages, the worst first.
    pub(crate) measured: Measured,
    /// What somebody should know, each once.
    pub(crate) events: Vec<Event>,
    /// Users of whom rollcall holds something back now.
    pub(crate) enforced: usize,
    /// Somebody is above the hard limit, and has to be found so again before something is done.
    pub(crate) is_pending: bool,
    /// What would be sent, where that is asked for.
    pub(crate) would_send: Vec<String>,
    /// What could not be read, with what mends it.
    pub(crate) missing: Vec<String>,
    /// What else is to be said on standard error.
    pub(crate) notes: Vec<String>,
    /// Users with a limit whom the server does not know.
    pub(crate) strangers: BTreeSet<Vec<u8>>,
}

/// Something that happened to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) server: String,
    pub(crate) user: Vec<u8>,
    /// What it holds, and its limit.
    pub(crate) bytes: u64,
    pub(crate) limit: Option<Limit>,
    /// When, in microseconds UTC.
    pub(crate) at_us: i64,
    pub(crate) notice: Notice,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// It crossed so many per cent of its limit.
    Warned { percent: u32 },
    /// It went above its hard limit, and nothing is done about it: by policy, or because nothing is applied.
    OverHard { policy: &'static str },
    /// It is held back now, by a plan of this id.
    Enforced { policy: &'static str, plan: String, sessions_closed: usize },
    /// It should be held back and is not; why.
    Refused { why: String },
    /// What was taken from it is back.
    Restored { policy: &'static str, plan: String },
    /// Holding it back, or giving back, was tried and did not end well.
    Failed { why: String },
}

/// One line for people. Names in it are not made safe for a terminal.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ", self.server, String::from_utf8_lossy(&self.user))?;
        match &self.notice {
            Notice::Warned { percent } => write!(f, "holds more than {percent} % of its limit"),
            Notice::OverHard { policy } => {
                write!(f, "is above its hard limit (policy {policy}): nothing is done")
            }
            Notice::Enforced { policy, plan, sessions_closed } => {
                write!(f, "is held back: {policy}, {sessions_closed} sessions closed (plan {plan})")
            }
            Notice::Refused { why } => {
                write!(f, "is above its hard limit and not held back: {why}")
            }
            Notice::Restored { policy, plan } => write!(f, "is free again: {policy} (plan {plan})"),
            Notice::Failed { why } => write!(f, "is not as it should be: {why}"),
        }
    }
}

/// Measures a server, compares with before, and does what follows. `ledger` holds what was before; without one
/// growth is not known, and nothing is done.
///
/// # Errors
/// A message with the remedy, where the server cannot be measured.
pub(crate) fn round(
    rules: &Rules<'_>,
    wanted: &Wanted,
    ledger: Option<&mut Ledger>,
    now: i64,
) -> Result<RoundOutcome, String> {
    let Found { mut measured, missing, strangers } = measure(wanted, rules)?;
    let mut notes = Vec::new();
    let mut acted = Acted::default();
    if let Some(ledger) = ledger {
        // Sizes of two methods are not to be compared.
        if measured.method == Method::Tablespaces
            && let Err(error) = compare(ledger, rules.shard, &mut measured, now)
        {
            notes.push(format!("{error}; growth is not known"));
        }
        match act(rules, wanted, ledger, &measured, now) {
            Ok(done) => acted = done,
            Err(error) => notes.push(format!("{error}; nothing is done about limits")),
        }
    }
    notes.append(&mut acted.notes);
    measured.actions = acted.actions;
    let Acted { events, enforced, is_pending, would_send, .. } = acted;
    Ok(RoundOutcome {
        measured,
        events,
        enforced,
        is_pending,
        would_send,
        missing,
        notes,
        strangers,
    })
}

/// Growth since earlier looks; and this look for later ones.
fn compare(
    ledger: &mut Ledger,
    shard: Shard,
    measured: &mut Measured,
    now: i64,
) -> Result<(), ledger::Error> {
    let server = measured.server.as_bytes();
    let earlier = ledger.earlier_usage(server, now - GROWTH_DAYS * DAY)?;
    let earlier: BTreeMap<_, _> = earlier.into_iter().map(|it| (it.user.clone(), it)).collect();
    let users = &measured.accounted.users;
    let growth = users.iter().filter_map(|it| {
        let before = earlier.get(&it.user)?;
        let growth = growth_per_day(it.bytes, before.bytes, now - before.at_us)?;
        Some((it.user.clone(), growth))
    });
    measured.growth = growth.collect();
    let users: Vec<(&[u8], u64)> = users.iter().map(|it| (&it.user[..], it.bytes)).collect();
    ledger.note_usage_of(shard, server, now, &users)
}
