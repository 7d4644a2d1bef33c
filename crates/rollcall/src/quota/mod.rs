//! Quotas: one round over one server, which `quota check` makes once and a daemon again and again.
//!
//! ```text
//! measure   connect, sizes, owners, limits ─► Measured
//! round     measure ─► growth ─► RoundOutcome: usages, notices, what could not be read
//! ```
//!
//! Nothing here writes to a terminal: what is to be said is in what is returned.

#[allow(dead_code, reason = "for `quota watch`")]
pub(crate) mod http;
mod measure;
#[allow(dead_code, reason = "for `quota watch`")]
pub(crate) mod metrics;
mod round;
#[allow(dead_code, reason = "for `quota watch`")]
pub(crate) mod writes;

pub(crate) use measure::{Measured, Wanted};
#[expect(unused_imports, reason = "rounds only measure so far")]
pub(crate) use round::{Event, Notice};
pub(crate) use round::{RoundOutcome, Rules, round};
