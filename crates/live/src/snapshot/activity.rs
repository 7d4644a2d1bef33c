//! Sessions that the server knows of: those open now, and where it counts them, all since its start.
//!
//! # Refused logins are no sessions
//! MySQL counts them in `performance_schema.accounts` as it does those that succeed (seen on 9.7), so there the
//! statements of an account are counted, which nobody can send who is not logged in. MariaDB counts them there not
//! at all, and in `USER_STATISTICS` apart (seen on 10.11 and 11.8).

use std::collections::BTreeMap;

use verdict::account::{Activity, ActivityKind, Family};

use super::{Look, bytes, text};
use crate::error::LiveError;

pub(super) fn read(look: &mut Look<'_>) -> Result<Vec<Activity>, LiveError> {
    let mut found = sessions(look)?;
    if look.standing.is_on("performance_schema") {
        let (granted, sql) = match look.family() {
            Family::MariaDb => (
                "SELECT ON performance_schema.accounts",
                "SELECT USER, HOST, CURRENT_CONNECTIONS, TOTAL_CONNECTIONS \
                 FROM performance_schema.accounts WHERE USER IS NOT NULL AND HOST IS NOT NULL",
            ),
            Family::MySql => (
                "SELECT ON performance_schema.events_statements_summary_by_account_by_event_name",
                "SELECT USER, HOST, 0, SUM(COUNT_STAR) FROM \
                 performance_schema.events_statements_summary_by_account_by_event_name \
                 WHERE COUNT_STAR > 0 AND USER IS NOT NULL AND HOST IS NOT NULL \
                 AND USER <> 'event_scheduler' GROUP BY USER, HOST",
            ),
        };
        let what = "which accounts were used since the server's start";
        let rows = look.read(what, granted, sql)?;
        found.extend(rows.unwrap_or_default().iter().map(|row| Activity {
            user: bytes(row, 0),
            host: bytes(row, 1),
            kind: ActivityKind::PerformanceSchema,
            open: text(row, 2).parse().unwrap_or(0),
            total: text(row, 3).parse().ok(),
        }));
    }
    if look.standing.is_on("userstat") {
        let rows = look.read(
            "how often users connected since counting began",
            "PROCESS ON *.*",
            "SELECT USER, CONCURRENT_CONNECTIONS, TOTAL_CONNECTIONS \
             FROM information_schema.USER_STATISTICS",
        )?;
        found.extend(rows.unwrap_or_default().iter().map(|row| Activity {
            user: bytes(row, 0),
            host: Vec::new(),
            kind: ActivityKind::UserStatistics,
            open: text(row, 1).parse().unwrap_or(0),
            total: text(row, 2).parse().ok(),
        }));
    }
    Ok(found)
}

/// Sessions of now, counted by user and host.
fn sessions(look: &mut Look<'_>) -> Result<Vec<Activity>, LiveError> {
    let what = "which sessions of others are open";
    // The server shows a session its own ones, and says nothing of the others.
    if !look.may("PROCESS") {
        look.miss(what, 0, "PROCESS ON *.*");
    }
    let sql = format!("SELECT USER, HOST, COMMAND FROM {}", table(look.family(), look.standing));
    let mut counts: BTreeMap<(Vec<u8>, Vec<u8>), u64> = BTreeMap::new();
    for row in look.read(what, "PROCESS ON *.*", &sql)?.unwrap_or_default() {
        if is_of_the_server(&bytes(&row, 0), &bytes(&row, 2)) {
            continue;
        }
        let host = bytes(&row, 1);
        *counts.entry((bytes(&row, 0), without_port(&host).to_vec())).or_default() += 1;
    }
    let sessions = counts.into_iter().map(|((user, host), open)| Activity {
        user,
        host,
        kind: ActivityKind::Processlist,
        open,
        total: None,
    });
    Ok(sessions.collect())
}

/// Where sessions are listed: the older list of MySQL holds a lock that new connections need.
pub(crate) fn table(family: Family, standing: &super::Standing) -> &'static str {
    match family {
        Family::MySql if standing.is_on("performance_schema") => "performance_schema.processlist",
        _ => "information_schema.PROCESSLIST",
    }
}

/// Threads of the server itself, and connections that have not logged in yet.
pub(crate) fn is_of_the_server(user: &[u8], command: &[u8]) -> bool {
    command == b"Daemon"
        || user == b"system user"
        || user == b"unauthenticated user"
        || (user == b"event_scheduler" && command != b"Query" && command != b"Sleep")
}

/// `10.0.0.7:51234` to `10.0.0.7`; a session of a socket has no port.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    match host.iter().rposition(|&byte| byte == b':') {
        Some(at) if host[at + 1..].iter().all(u8::is_ascii_digit) => &host[..at],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_without_their_port() {
        assert_eq!(without_port(b"10.0.0.7:51234"), b"10.0.0.7");
        assert_eq!(without_port(b"::1:51234"), b"::1");
        assert_eq!(without_port(b"localhost"), b"localhost");
        assert_eq!(without_port(b""), b"");
    }
}
