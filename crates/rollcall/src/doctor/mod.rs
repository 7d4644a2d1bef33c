//! What `doctor` looks at: a server, its logs on this machine, and how they were read so far. What follows from
//! it is judged in [`verdict::checkup`]; everything here only looks.
//!
//! ```text
//! option file ─ live ──► settings, counters, plugins, clock, zone, accounts ─┐
//! audit_logs, marks ─ files ──► permissions, sizes, places of secrets ───────┼─ examine ──► findings
//! ledger ─ past ──► rate, pauses between scans, gaps ────────────────────────┘
//! ```
//!
//! # Invariants
//! * Nothing is changed on a server. The text of a statement is looked at, and goes nowhere.

mod asked;
mod files;
mod past;

pub(crate) use asked::Asked;
pub(crate) use files::{Looked, look};
pub(crate) use past::Past;

/// A second in microseconds.
const SECOND: i64 = 1_000_000;

/// A day in microseconds.
const DAY: i64 = 86_400 * SECOND;
