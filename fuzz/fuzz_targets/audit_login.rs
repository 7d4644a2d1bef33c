//! Any bytes, read as audit_login lines.

#![no_main]

#[path = "../../crates/formats/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::check_bytes(formats::Dialect::AuditLogin, bytes);
});
