//! `audit_login.so`: what MariaDB and MySQL servers load to tell of logins.
//!
//! ```text
//! server ─ event ─► login  ─► one JSON line ─► output: file or local datagram
//!                └► writes ─► "this database was written to" ─► output   (opt-in, second plugin)
//! ```
//!
//! One library holds two plugins, `SIMPLE_LOGIN_AUDIT` and `ROLLCALL_WRITES`, each declared once
//! for MariaDB and once for MySQL (`declare`). The layouts of both families are in `abi`.
//!
//! # Invariants
//! * No panic crosses the border: whatever a server calls goes through `guard`.
//! * No thread, no thread-local with a destructor, no allocation for an event, no fsync; nothing
//!   waits but for write(2) to a regular file.
//! * Every static gets its value in `init`: a library may be loaded again without being unmapped.
//! * Lines made = lines written + lines dropped, at every moment that a status is read.

// The border of a C interface: each block of it says why it is sound.
#![allow(unsafe_code)]

mod abi;
mod clock;
mod declare;
mod guard;
mod login;
mod output;
mod say;
mod sys;
mod variables;
mod writes;
