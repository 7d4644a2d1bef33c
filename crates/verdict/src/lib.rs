//! What follows from evidence: judgement without I/O.
//!
//! * [`failure`]: what kind of refusal an error number stands for
//! * [`network`]: client hosts as addresses and networks
//! * [`secrets`]: statements without what they may hold
//!
//! # Invariants
//! * No file, clock, environment, network or log. No input panics.

pub mod failure;
pub mod network;
pub mod secrets;
