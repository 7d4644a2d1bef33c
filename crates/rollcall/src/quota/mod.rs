//! Quotas: one round over one server, which `quota check` makes once and a daemon again and again.
//!
//! ```text
//! measure   connect, sizes, owners, limits ─► Measured
//! round     measure ─► growth ─► act ─► RoundOutcome: usages, events, what could not be read
//! act       states of before, policy ─► plan ─► deeds ─► states
//! ```
//!
//! Nothing here writes to a terminal: what is to be said is in what is returned.

mod act;
mod http;
mod measure;
pub(crate) mod metrics;
pub(crate) mod notices;
mod round;
pub(crate) mod watch;
pub(crate) mod writes;

pub(crate) use measure::{Action, Measured, Wanted};
pub(crate) use round::{Event, Notice};
pub(crate) use round::{RoundOutcome, Rules, round};
