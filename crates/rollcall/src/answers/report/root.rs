//! The client hosts that root logged in from.

use std::collections::HashMap;

use ledger::Seen;

use super::DAY;

/// A host of root is new where it was first seen within this time of the newest record.
const NEW_WITHIN: i64 = 7 * DAY;

/// A client host that root logged in from.
pub(super) struct RootHost {
    pub(super) host: Vec<u8>,
    pub(super) logins: u64,
    pub(super) first: Option<i64>,
    pub(super) last: Option<i64>,
    pub(super) is_new: bool,
}

/// Hosts of root, most logins first. A host is new where it appeared in the last days of evidence
/// that reaches back further than those days.
pub(super) fn root_hosts(seen: &[Seen], span: Option<(i64, i64)>) -> Vec<RootHost> {
    let mut hosts: HashMap<&[u8], RootHost> = HashMap::new();
    for row in seen.iter().filter(|row| row.user == b"root" && row.logins > 0) {
        let host = hosts.entry(&row.host).or_insert_with(|| RootHost {
            host: row.host.clone(),
            logins: 0,
            first: row.first_seen,
            last: row.last_seen,
            is_new: false,
        });
        host.logins += row.logins;
        host.first = host.first.into_iter().chain(row.first_seen).min();
        host.last = host.last.max(row.last_seen);
    }
    let mut hosts: Vec<RootHost> = hosts.into_values().collect();
    if let Some((from, to)) = span {
        let new_since = to.saturating_sub(NEW_WITHIN);
        for host in &mut hosts {
            host.is_new = from < new_since && host.first.is_some_and(|first| first >= new_since);
        }
    }
    hosts.sort_by(|a, b| b.logins.cmp(&a.logins).then_with(|| a.host.cmp(&b.host)));
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::tests::{at, seen_row};

    #[test]
    fn a_host_is_new_only_where_the_past_is_known() {
        let seen = [seen_row(b"root", b"10.0.0.5", "17T03:00", "18T03:00", 3)];
        let new = |from: &str| root_hosts(&seen, Some((at(from), at("20T00:00"))))[0].is_new;
        assert!(new("12T00:00"));
        assert!(!new("13T00:00"));
        assert!(!root_hosts(&seen, None)[0].is_new);
        let old = [seen_row(b"root", b"10.0.0.5", "12T03:00", "18T03:00", 3)];
        assert!(!root_hosts(&old, Some((at("01T00:00"), at("20T00:00"))))[0].is_new);
    }
}
