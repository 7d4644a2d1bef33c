//! Before the first log is read: `init`, `check`, `dialects`; and what a server needs to be told, as
//! scripts (`setup …`).
//!
//! ```text
//! server ── asked ──┐
//! version, variables, names ── audit, plugin, init_connect, monitor, lock_procedure ──► Script
//! Script ──► SQL with comments for the server's own client, or records for programs
//! ```
//!
//! # Invariants
//! * The scripts are made of texts alone; a server is asked in `asked` only, where the user named one. Nothing is
//!   sent.
//! * Every statement says why it is there, and can be sent again without harm.

mod asked;
mod audit;
mod check;
mod dialects;
mod init;
mod init_connect;
mod lock_procedure;
mod monitor;
mod plugin;
mod script;
mod server;

pub(crate) use asked::{Sought, ask};
pub(crate) use audit::{AuditOptions, audit};
pub(crate) use check::check;
pub(crate) use dialects::{check_dialect, dialects};
pub(crate) use init::init;
pub(crate) use init_connect::{AccessLog, init_connect};
pub(crate) use lock_procedure::{LockNames, lock_procedure};
pub(crate) use monitor::{MonitorOptions, monitor};
pub(crate) use plugin::{PluginOptions, plugin};
pub(crate) use server::ServerFacts;
