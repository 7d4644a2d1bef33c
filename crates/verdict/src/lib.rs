//! What follows from evidence: judgement without I/O.
//!
//! ```text
//! error number, user name   ── failure ──► access-denied, locked, no-credentials, …
//! client host               ── network ──► 203.0.113.0/24, 2001:db8:1:2::/64, or a name
//! hosts an administrator lists ─ network ► whether a client is one of them
//! text of a log             ── secrets ──► how much of it may be shown
//! words of a command line  ── command_line ► the same without secrets
//! columns of a table        ── access_log ► whether logins are written into it, in which layout
//! ProxySQL, MaxScale files  ── references ► user names that they log in with
//! what a server grants      ── account ──► plain values, names as SQL writes them
//! signs, coverage           ── unused ───► used, unused, unknown and why, kept
//! accounts to lock or drop  ── plan ─────► statements with the facts they rest on, or why not
//! user, client host         ── matching ─► the account row that a login belongs to
//! sizes, limits             ── quota ────► whose schemas hold how much, against which limits
//! settings, log files       ── checkup ──► what a server lacks, what that costs, what mends it
//! transactions, audit records ── trace ─► who made a change, and how that is known
//! ```
//!
//! What is decided here is said in every answer alike. Not here: reading logs (`formats`), counting
//! (`ledger`), words and layout of answers (`rollcall`).
//!
//! # Invariants
//! * No file, clock, environment, network or log: the same arguments give the same answer, always.
//! * No input panics. Names and hosts are what attackers chose.
//! * What a log cannot tell is not split: a wrong password and an unknown user are one kind.

pub mod access_log;
pub mod account;
pub mod checkup;
pub mod command_line;
pub mod failure;
pub mod matching;
pub mod network;
pub mod plan;
pub mod quota;
pub mod references;
pub mod secrets;
pub mod trace;
pub mod unused;
