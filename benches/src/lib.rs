//! What the benchmark programs share: a generator of `server_audit` logs that knows the answers.
//!
//! [`Log`] writes records in the plugin's own format and keeps, per user and client host, what
//! `rollcall seen` must answer. Times are UTC. The same seed gives the same bytes.
//!
//! `live` has records of its own: their times are those of the clock.
//!
//! Not here: any reading of logs. The truth is never computed from the text that was written.

mod log;
mod modes;
mod names;
mod random;
mod statements;

pub use log::{Log, START_SECONDS, civil};
pub use modes::{Mode, Order, generate};
pub use random::Random;
