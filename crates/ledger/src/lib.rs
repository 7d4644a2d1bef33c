//! The ledger: one SQLite file that holds what was seen, when, and how far each log has been read.
//!
//! ```text
//! formats::Reader ─ events ─► Batch ── sums, extremes, samples of one piece of log
//!                               │ absorb (pieces read by several threads)
//!                               ▼
//! Ledger::ingest ─ lock ─► Ingest ── add(Batch) + checkpoint(file) ── commit ──► SQLite
//!                                                                                  │
//!         seen, failures, periods, evidence, runs, doubts, status  ◄── Ledger ◄────┘
//! ```
//!
//! What is kept, by table (`docs/ledger.md` tells every column):
//!
//! * `tally`: per server, source, user, client host and error, how often and when, by the hour. Old
//!   hours become days, old days go, totals of logins stay.
//! * `stranger`: refusals of those who never logged in, by the hour, with a bounded number of
//!   names.
//! * `run`, `connection`, `unsettled`: lives of the servers, who a connection id was, logins that
//!   are too new to be sure of.
//! * `file`, `source`, `progress`, `stretch`, `gap`, `doubt`: what was read, what is missing, what
//!   could not be used.
//! * `access_mark`, `matched`: how far tables that logins write into were read, and which accounts they name.
//! * `snapshot`, `account` and what begins so: the servers' accounts as they were read last, and what became
//!   of them.
//! * `keep`, `plan`, `deed`, `deed_end`: exceptions, what would be sent to servers, what was.
//!
//! # Invariants
//! * Sums and checkpoints are committed together, and a commit is on the disk when it returns: each
//!   record counts once, whatever dies in between.
//! * Answers depend on the records read, not on their order, nor on how they were parted over
//!   files, threads, batches, commits and scans; `tests/order.rs` says where that ends.
//! * Counts are kept per source. Two sources that saw the same logins do not double them: an answer
//!   takes, hour by hour, the larger count.
//! * One process reads logs into it; any number read beside it and see whole commits. Accounts, exceptions,
//!   plans and deeds are written beside it, too, each in a moment.
//! * Nothing a log holds makes the ledger grow without bound: random names are folded together,
//!   connections, samples and times are bounded.
//! * A ledger that is damaged, foreign or newer is said to be so, and left as it is.
//!
//! # What it does not do
//! It opens no log and parses none, judges nobody, escapes nothing: names go out as the bytes that
//! came in. It has no clock: now is an argument ([`Keeping::now`]). Its files are safe on a local
//! disk; SQLite's WAL is not made for network file systems, so on those it writes nothing.
//!
//! # Example
//! ```
//! use formats::{Dialect, Input, Reader};
//! use ledger::{Batch, BatchOptions, Filter, Keeping, Ledger, LocalClock};
//!
//! let log = b"20260314 09:26:53,db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n";
//! let mut ledger = Ledger::in_memory()?;
//! let ingest = ledger.ingest(Keeping::new(1_773_500_000_000_000))?;
//! let source = ingest.source(b"/var/log/audit.log", b"", "server_audit")?;
//! let clock = LocalClock::new(jiff::tz::TimeZone::UTC, 0);
//! let mut batch = Batch::new(BatchOptions { server: None, keep_connections: 0 }, clock, 1);
//! Reader::new(Dialect::ServerAudit).read(log, Input::Ended, &mut batch);
//! ingest.add(source, &batch)?;
//! ingest.finish()?;
//! assert_eq!(ledger.seen(&Filter::default())?[0].user, b"app");
//! # Ok::<(), ledger::Error>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod still;
mod store;

mod clock;
mod timeline;

mod access;
mod batch;
mod connections;
mod contested;
mod doubts;
mod holes;
mod pairs;
mod place;
mod runs;
mod settling;
mod switches;

mod edges;
mod facts;
mod files;
mod forgotten;
mod hole_rows;
mod hours;
mod id_ends;
mod ingest;
mod keeping;
mod lock;
mod pauses;
mod retention;
mod strangers;
mod take_over;
mod tally;
mod watched;
mod weak;

mod brief;

mod accounts;
mod chain;
mod changes;
mod counted;
mod former;
mod journal;
mod keep;
mod links;
mod plans;
mod reserve;
mod usage;

mod proxysql;
mod quota_states;

mod answers;
mod coverage;
mod holdings;
mod lost_ids;
mod missing;
mod numbers;
mod rows;
mod united;
mod window;

pub use access::{
    ACCESS_LOG, ANCHORS_MAX, AccessMark, Anchor, LetIn, MISSING_MAX, Matched, MissingIds,
};
pub use accounts::{OutOfSight, StoredSnapshot};
pub use batch::{Batch, BatchOptions};
pub use changes::{AccountChange, CHANGE_BYTES_MAX, ChangeKind, HISTORY_MAX};
pub use clock::LocalClock;
pub use counted::{COUNTED_MAX, Counted};
pub use error::Error;
pub use facts::ConnectionFact;
pub use files::{Checkpoint, Gap, Mark};
pub use former::{FORMERS_MAX, Former};
pub use holdings::{DoubtTotal, Holdings, ReadFile, ReadTable};
pub use ingest::Ingest;
pub use journal::{Deed, DeedFilter, Intent, Outcome, Undoable};
pub use keep::Keep;
pub use keeping::{Keeping, LocalText};
pub use links::{End, Journal, Link, Noted};
pub use lock::Lock;
pub use pairs::PEER_BYTES_MAX;
pub use pauses::{PAUSE_DAYS, Pause};
pub use plans::{NewPlan, Plan, PlanFilter, PlanState};
pub use proxysql::{PROXY_USERS_MAX, ProxyUsers, SQLITE_MAGIC, proxysql_users};
pub use reserve::RESERVE_BYTES;
pub use rows::*;
pub use store::Ledger;
pub use usage::{EarlierUsage, USAGE_DAYS};
pub use watched::{TROUBLE_BYTES_MAX, TROUBLES_MAX};
pub use window::{Interval, IntervalState};
