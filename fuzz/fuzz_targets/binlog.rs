//! Any bytes, read as a binary log whose checksums are not looked at.

#![no_main]

#[path = "../../crates/binlog/tests/common/any.rs"]
mod any;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| any::check(bytes));
