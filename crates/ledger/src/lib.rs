//! The SQLite ledger.
mod batch;
mod clock;
mod connections;
mod doubts;
mod error;
mod ingest;
mod pairs;
mod rows;
mod runs;
mod store;
mod strangers;
mod timeline;
pub use batch::{Batch, BatchOptions};
pub use clock::LocalClock;
pub use error::Error;
pub use ingest::{Checkpoint, Ingest, Keeping, Mark};
pub use rows::*;
pub use store::Ledger;
