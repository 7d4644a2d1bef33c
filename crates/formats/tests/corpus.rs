//! Replays the corpus of the fuzz targets with the targets' own checks.

mod common;

use std::fs;
use std::path::Path;

use common::{check_bytes, check_detect, check_every_cut};
use formats::Dialect;

fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let bytes = fs::read(entry.expect("a readable folder").path()).expect("a readable file");
        check(&bytes);
        count += 1;
    }
    assert!(count >= 8, "{target}: {count} files");
}

fn replay_dialect(target: &str, dialect: Dialect) {
    replay(target, |bytes| {
        check_bytes(dialect, bytes);
        if bytes.len() <= 512 {
            check_every_cut(dialect, bytes);
        }
    });
}

#[test]
fn server_audit() {
    replay_dialect("server_audit", Dialect::ServerAudit);
}

#[test]
fn syslog() {
    replay_dialect("syslog", Dialect::ServerAuditSyslog);
}

#[test]
fn audit_login() {
    replay_dialect("audit_login", Dialect::AuditLogin);
}

#[test]
fn detect() {
    replay("detect", check_detect);
}
