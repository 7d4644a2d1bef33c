//! What the crate promises, on real files in fresh folders.
#![allow(missing_docs, reason = "tests")]

mod book;
mod discover;
mod identity;
mod sequences;
mod stream;
