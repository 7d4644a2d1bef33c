//! The real binary on real files: what it reads, counts, refuses and says.
//!
//! Every test has a folder of its own, with a configuration of its own, so that nothing of this
//! machine is read. Snapshots hold exit code, standard output and standard error; the folder's name
//! is taken out.

mod again;
mod answers;
mod bad_input;
mod bad_ledger;
mod conntracker;
mod coverage;
mod doctor;
mod fixtures;
mod hostile;
mod house;
mod parallel;
mod seal;
mod watch;
mod who;
