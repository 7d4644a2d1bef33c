//! In which order a server compares its accounts with a client.
//!
//! ```text
//! MariaDB from 10.5 on   fewest clients first: no wildcard, then `_`, then `%`; of `%` the pattern with
//!                        more other bytes; of equals the host that is greater as text
//!                        (`localhost` before `127.0.0.1`, `10.0.0.9` before `10.0.0.0/255.0.0.0`)
//! MySQL from 8.0.23 on   `10.0.0.7`, `10.0.0.0/16`, `10.0.0.0/255.255.0.0`, then all others by
//!                        how many bytes stand before the first wildcard
//! older                  all by how many bytes stand before the first wildcard
//! ```
//!
//! Where hosts are equal in this, an account with a user name comes before an anonymous one.

use std::cmp::Reverse;

use super::pattern::{Kind, Pattern};
use crate::account::{AccountName, Family, Version};

/// How a server orders and reads host patterns. Made of a [`Version`], or of a [`Family`] as its present
/// releases do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    family: Family,
    old: bool,
}

impl Rules {
    /// The rules of a version. Those of MariaDB 10.11 and 11.8 and of MySQL 9.7 were compared with servers.
    /// Those of MySQL before 8.0.23 and of MariaDB before 10.5 are taken from their sources, and where
    /// MariaDB's changed is not known for certain.
    ///
    /// Source: MDEV-14735 (MariaDB); MySQL's manual on specifying account names (`/16` from 8.0.23 on).
    pub fn of(version: &Version) -> Rules {
        let old = match version.family {
            Family::MariaDb => version.number < (10, 5, 0),
            Family::MySql => version.number < (8, 0, 23),
        };
        Rules { family: version.family, old }
    }

    /// The kind of server.
    pub fn family(self) -> Family {
        self.family
    }

    /// Whether it is MySQL as it is now: `10.0.0.0/16` is a network, `10.0.0.7` a number, and wildcards
    /// are compared in ways of its own.
    pub(super) fn is_new_mysql(self) -> bool {
        self.family == Family::MySql && !self.old
    }
}

impl From<Family> for Rules {
    fn from(family: Family) -> Rules {
        Rules { family, old: false }
    }
}

/// What rows are sorted by, the least first. Equal: which comes first is open.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    /// Clients that fit, anonymous, host.
    Clients(u64, bool, Reverse<&'a [u8]>),
    /// Where the mask comes from, mask, anonymous. Comes before [`Key::Prefix`].
    Number(Kind, Reverse<u32>, bool),
    /// Bytes before the first wildcard, of host and user.
    Prefix(Reverse<u32>),
}

/// The place of each row in the server's order.
pub(super) fn ranks(rules: Rules, names: &[AccountName], patterns: &[Pattern]) -> Vec<u32> {
    let keys: Vec<Key<'_>> =
        names.iter().zip(patterns).map(|(name, pattern)| key(rules, name, pattern)).collect();
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| keys[a].cmp(&keys[b]));
    let mut ranks = vec![0; names.len()];
    let mut rank = 0;
    for pair in order.windows(2) {
        rank += u32::from(keys[pair[0]] != keys[pair[1]]);
        ranks[pair[1]] = rank;
    }
    ranks
}

fn key<'a>(rules: Rules, name: &'a AccountName, pattern: &Pattern) -> Key<'a> {
    let anonymous = name.user.is_empty();
    let numbers = pattern.numbers;
    match rules.family {
        Family::MariaDb if !rules.old => {
            let host = if name.host.is_empty() { b"%" } else { name.host.as_slice() };
            Key::Clients(clients(host), anonymous, Reverse(host))
        }
        Family::MySql if !rules.old && numbers.address != 0 => {
            Key::Number(numbers.kind, Reverse(numbers.mask.unwrap_or(0)), anonymous)
        }
        _ => Key::Prefix(Reverse(prefix(&name.host) << 8 | prefix(&name.user))),
    }
}

/// How many clients a pattern fits, as MariaDB estimates: less is more specific.
///
/// Source: `get_magic_sort` in `sql_acl_getsort.ic`.
fn clients(host: &[u8]) -> u64 {
    /// `max_hostname_length` of MariaDB from 10.6 on.
    const LENGTH_MAX: u64 = 255;
    /// The most wildcards of a kind that are counted.
    const COUNT_MAX: u64 = 31;
    let (mut literals, mut many, mut one) = (0u64, 0u64, 0u64);
    let mut before_first = 0;
    let mut at = 0;
    while let Some(&byte) = host.get(at) {
        if matches!(byte, b'%' | b'_') && many + one == 0 {
            before_first = literals;
        }
        match byte {
            b'%' => {
                many += 1;
                while host.get(at + 1) == Some(&b'%') {
                    at += 1;
                }
            }
            b'_' => one += 1,
            _ => {
                at += usize::from(byte == b'\\' && at + 1 < host.len());
                literals += 1;
            }
        }
        at += 1;
    }
    let (many, one) = (many.min(COUNT_MAX), one.min(COUNT_MAX));
    let free = if many > 0 { LENGTH_MAX.saturating_sub(literals + one) } else { 0 };
    let digits = |high: u64, middle: u64, low: u64| {
        ((high * (LENGTH_MAX + 1) + middle) * (COUNT_MAX + 1) + low) * (LENGTH_MAX + 1)
            + before_first
    };
    if free > one { digits(free * 2 + 1, many, one) } else { digits(one * 2, free, many) }
}

/// How many bytes stand before the first wildcard, as a weight: more is more specific.
///
/// Source: `get_sort` of MySQL (Bug#20181776), and of MariaDB before 10.5.
fn prefix(pattern: &[u8]) -> u32 {
    let mut at = 0;
    while let Some(&byte) = pattern.get(at) {
        match byte {
            b'%' if pattern.len() == 1 => return 1,
            b'%' | b'_' => return (at as u32 + 2).min(127),
            b'\\' if at + 1 < pattern.len() => at += 2,
            _ => at += 1,
        }
    }
    if pattern.is_empty() { 0 } else { 128 }
}
