//! The SQLite ledger.
mod rows;
pub use rows::*;
