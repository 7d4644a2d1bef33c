//! What another version changes for those who read a server's logs, list its accounts and ask it.

use super::{Finding, Level};
use crate::account::{Account, Family, Snapshot, Version};

/// The most accounts that a finding names.
const NAMED_MAX: usize = 5;

/// A change that came with a version.
struct Change {
    family: Family,
    since: (u16, u16, u16),
    what: &'static str,
    cost: &'static str,
    /// Empty: nothing needs to be done.
    remedy: &'static str,
}

/// In the order of versions.
const CHANGES: [Change; 8] = [
    // mariadb.com/docs: Zero-Configuration SSL.
    Change {
        family: Family::MariaDb,
        since: (11, 4, 0),
        what: "TLS is on without being configured, with a certificate that the server makes at each start",
        cost: "an option file of rollcall that says ssl-verify-server-cert needs an authority that stays",
        remedy: "ssl_cert and ssl_key under [mysqld], and ssl-ca in the option file",
    },
    // MDEV-7850.
    Change {
        family: Family::MariaDb,
        since: (11, 5, 0),
        what: "binlogs name the session of each transaction",
        cost: "none: who changed a row is told exactly, also without statements in the audit log",
        remedy: "",
    },
    // server_audit 1.5.0.
    Change {
        family: Family::MariaDb,
        since: (12, 0, 1),
        what: "the audit log writes host:port of a client, and the TLS version of its login",
        cost: "rollcall reads both; scripts of your own that split the line may not",
        remedy: "",
    },
    // server_audit_file_buffer_size.
    Change {
        family: Family::MariaDb,
        since: (12, 1, 0),
        what: "the audit log can be buffered",
        cost: "where it is, logins are seen late, and the last ones before a crash are lost",
        remedy: "server_audit_file_buffer_size = 0 under [mysqld] in my.cnf",
    },
    // binlog_storage_engine.
    Change {
        family: Family::MariaDb,
        since: (12, 3, 0),
        what: "binlogs can be kept inside InnoDB, in files that end in .ibb",
        cost: "where they are, they cannot be read as files: tracing has to ask the server",
        remedy: "leave binlog_storage_engine out of my.cnf",
    },
    // server_audit_timestamp_format.
    Change {
        family: Family::MariaDb,
        since: (13, 0, 1),
        what: "the time stamp of the audit log can have any form",
        cost: "records without a full date and time are rejected",
        remedy: "server_audit_timestamp_format with date, time and offset: %Y-%m-%dT%H:%M:%S%z",
    },
    // MySQL 8.4 Reference Manual, What Is New: removed syntax.
    Change {
        family: Family::MySql,
        since: (8, 4, 0),
        what: "SHOW MASTER STATUS, SHOW SLAVE STATUS and their like are gone",
        cost: "rollcall asks by the new names; scripts of your own may not",
        remedy: "",
    },
    Change {
        family: Family::MySql,
        since: (8, 4, 0),
        what: "the right SET_USER_ID is gone, replaced by SET_ANY_DEFINER and ALLOW_NONEXISTENT_DEFINER",
        cost: "accounts change their rights without anybody granting: rollcall shows that as a change",
        remedy: "rollcall accounts before and after, so that the change stands between the two",
    },
];

/// What is another in the target version than in the one that runs, with the accounts that the target refuses.
pub fn upgrade(snapshot: Option<&Snapshot>, target: &str) -> Vec<Finding> {
    const ID: &str = "upgrade";
    let Some(snapshot) = snapshot else {
        let what = "which version runs now is not known, so what another changes is not, either";
        return vec![Finding::unseen(
            ID,
            what,
            "rollcall doctor --defaults-file FILE --target VERSION",
        )];
    };
    let present = &snapshot.version;
    let unseen = |what: String| {
        let remedy = match present.family {
            Family::MariaDb => "rollcall doctor --target 11.8",
            Family::MySql => "rollcall doctor --target 9.7",
        };
        vec![Finding::unseen(ID, what, remedy)]
    };
    let mut text = target.to_owned();
    if present.family == Family::MariaDb && !target.to_ascii_lowercase().contains("mariadb") {
        text += "-MariaDB";
    }
    let Some(target) = Version::parse(&text).filter(|it| it.family == present.family) else {
        return unseen(format!("{target} is no version of {}", present.family.as_str()));
    };
    if target.number < present.number {
        return unseen(format!("{} is older than what runs", number_text(target.number)));
    }
    let comes = |since| since > present.number && since <= target.number;
    let mut findings: Vec<Finding> = native_password(snapshot, comes).into_iter().collect();
    let changes = CHANGES.iter().filter(|it| it.family == present.family && comes(it.since));
    findings.extend(changes.map(|it| {
        let what = format!("from {} on {}", number_text(it.since), it.what);
        let finding = Finding::new(ID, Level::Info, what, it.cost);
        match it.remedy {
            "" => finding,
            remedy => finding.mended_by(remedy),
        }
    }));
    if findings.is_empty() {
        findings.push(Finding::well(
            ID,
            format!("{} changes nothing here", number_text(target.number)),
        ));
    }
    findings
}

/// MySQL 8.4 loads `mysql_native_password` only where it is told to, 9.0.0 does not have it any more (MySQL
/// Reference Manual, Native Pluggable Authentication).
fn native_password(
    snapshot: &Snapshot,
    comes: impl Fn((u16, u16, u16)) -> bool,
) -> Option<Finding> {
    if snapshot.version.family != Family::MySql {
        return None;
    }
    let is_native = |it: &&Account| it.plugin == "mysql_native_password";
    let accounts: Vec<_> = snapshot.accounts.iter().filter(is_native).collect();
    let first = accounts.first()?;
    let gone = comes((9, 0, 0));
    let (level, how) = match (gone, comes((8, 4, 0))) {
        (true, _) => (Level::Error, "which is gone from 9.0 on"),
        (false, true) => (Level::Warn, "which is off from 8.4 on"),
        (false, false) => return None,
    };
    let named = accounts.iter().take(NAMED_MAX).map(|it| it.name.to_string());
    let named = named.collect::<Vec<_>>().join(", ");
    let more = match accounts.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = format!("{named}{more} log in with mysql_native_password, {how}");
    const COST: &str = "they are refused after the upgrade, and then look unused";
    let remedy = match gone {
        true => format!(
            "ALTER USER {} IDENTIFIED WITH caching_sha2_password BY RANDOM PASSWORD",
            String::from_utf8_lossy(&crate::account::quoted_account(&first.name))
        ),
        false => "mysql_native_password = ON under [mysqld] in my.cnf".to_owned(),
    };
    Some(Finding::new("upgrade", level, what, COST).mended_by(remedy))
}

fn number_text((major, minor, patch): (u16, u16, u16)) -> String {
    match patch {
        0 => format!("{major}.{minor}"),
        patch => format!("{major}.{minor}.{patch}"),
    }
}
