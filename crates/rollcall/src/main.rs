//! rollcall: who logs in to MariaDB and MySQL, from where, and who failed to.
mod answers;
mod cli;
mod config;
mod render;
mod time;
fn main() {}
