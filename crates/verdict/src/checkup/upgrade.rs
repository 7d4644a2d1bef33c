//! What another version changes for those who read its logs.

use super::{Finding, Level};
use crate::account::{Family, Version};

/// A change that came with a version.
struct Change {
    family: Family,
    since: (u16, u16, u16),
    what: &'static str,
    cost: &'static str,
    remedy: &'static str,
}

/// In the order of versions.
const CHANGES: [Change; 7] = [
    // MDEV-31246: thread id and xid in the GTID event, from MariaDB 11.5 on.
    Change {
        family: Family::MariaDb,
        since: (11, 5, 0),
        what: "binlogs name the session of each transaction",
        cost: "who changed a row is told exactly, also without statements in the audit log",
        remedy: "",
    },
    // server_audit 1.5.0.
    Change {
        family: Family::MariaDb,
        since: (12, 0, 1),
        what: "the audit log writes host:port, and the TLS version of a login",
        cost: "rollcall reads both; scripts of your own that read the log may not",
        remedy: "",
    },
    Change {
        family: Family::MariaDb,
        since: (12, 1, 0),
        what: "the audit log is buffered where server_audit_file_buffer_size is set",
        cost: "records come late; at a crash the last ones are lost",
        remedy: "SET GLOBAL server_audit_file_buffer_size = 0",
    },
    Change {
        family: Family::MariaDb,
        since: (12, 3, 0),
        what: "binlogs can be kept inside InnoDB (binlog_storage_engine), in .ibb files",
        cost: "they are not read as files",
        remedy: "leave binlog_storage_engine unset, or trace through the server",
    },
    Change {
        family: Family::MariaDb,
        since: (13, 0, 1),
        what: "the time stamp of the audit log can have any form (server_audit_timestamp_format)",
        cost: "forms without a full date and time are not read",
        remedy: "leave it at its default, or take one with the offset: %Y-%m-%dT%H:%M:%S%z",
    },
    // WL#15908 and its removal in 9.0.
    Change {
        family: Family::MySql,
        since: (8, 4, 0),
        what: "mysql_native_password is off by default",
        cost: "accounts with it are refused, and look unused soon",
        remedy: "rollcall accounts -o json: plugin; ALTER USER … IDENTIFIED WITH caching_sha2_password",
    },
    Change {
        family: Family::MySql,
        since: (9, 0, 0),
        what: "mysql_native_password is gone",
        cost: "accounts with it cannot log in at all",
        remedy: "ALTER USER … IDENTIFIED WITH caching_sha2_password before",
    },
];

/// What is another in the target version than in the present one; `None` where the target is of another family
/// or no version.
pub fn upgrade(present: &Version, target: &str) -> Option<Vec<Finding>> {
    let mut text = target.to_owned();
    if present.family == Family::MariaDb && !target.to_ascii_lowercase().contains("mariadb") {
        text += "-MariaDB";
    }
    let target = Version::parse(&text).filter(|it| it.family == present.family)?;
    let comes = |it: &&Change| {
        it.family == present.family && it.since > present.number && it.since <= target.number
    };
    let finding = |it: &Change| {
        let (major, minor, _) = it.since;
        let what = format!("from {major}.{minor} on {}", it.what);
        Finding::new("upgrade", Level::Info, what, it.cost).mended_by(it.remedy)
    };
    Some(CHANGES.iter().filter(comes).map(finding).collect())
}
