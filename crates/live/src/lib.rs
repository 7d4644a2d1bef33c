//! A running database server: what it grants, who is on it, and what plans send to it.
//!
//! ```text
//! option file ─► Options ─► Target ─► Server::connect
//!                                        │
//!                    snapshot ◄──────────┼──────────► deed: look, send one statement, look again
//!       verdict::account::Snapshot     facts: variables, status, plugins, replication
//!                                      connection: one session ─► process: its client, on this machine
//!                                      sizes: what schemas and the server itself hold on disk
//! ```
//!
//! Blocking, one connection at a time. What is read goes out as the plain values of [`verdict::account`];
//! what follows from it is judged elsewhere.
//!
//! # Invariants
//! * It writes only in [`deed`], one statement a call, and reads back what became of it.
//! * What a smaller right leaves unknown is a [`Missing`](verdict::account::Missing) with the statement that
//!   mends it; the rest is still read.
//! * A password hash is read in [`deed::show_create`] alone, whose result does not show it to `Debug`.
//! * No error holds a password, a statement, or a text that the server sent with its error number.
//! * Passwords go in clear text over a unix socket or TLS only.
//! * Times are microseconds UTC. It has no clock but that of its timeouts: now is an argument.
//!
//! # What it does not do
//! It does not retry, does not pool, and does not choose which accounts to touch. The driver (the `mysql`
//! crate) is named in [`server`] only.
#![forbid(unsafe_code)]

pub mod access_log;
pub mod columns;
pub mod connection;
pub mod deed;
pub mod error;
pub mod facts;
pub mod growth;
pub mod option_file;
pub mod process;
pub mod server;
pub mod sizes;
pub mod snapshot;
pub mod target;

pub use error::LiveError;
pub use server::Server;
pub use target::Target;
