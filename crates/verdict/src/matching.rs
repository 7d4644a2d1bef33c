//! Which account a login belongs to: `'app'@'10.0.%'` for `app` from 10.0.0.7.
//!
//! A server compares a client with its accounts in an order of its own and takes the first that fits.
//! That row alone decides: where its password is wrong or it is locked, no less specific row is tried.
//!
//! ```text
//! accounts of MariaDB          client                      matched
//! 'app'@'10.0.0.7'             app from 10.0.0.7           'app'@'10.0.0.7'
//! 'app'@'10.0.%'               app from 10.0.0.8           'app'@'10.0.%'
//! 'app'@'10.0.0.0/8'           app from 10.0.0.9           'app'@'10.0.%': MariaDB knows no /8
//! ''@'localhost'               app over the socket         ''@'localhost', as 'app'@'%' is less
//! 'app'@'%'                                                specific; logs show `app`
//! ```
//!
//! [`Matcher::login`] answers as the server does, who knows address and name of the client.
//! [`Matcher::seen`] answers from what a log shows, which is one of the two; it tells all rows that
//! are possible. [`Matcher::unreachable`] tells rows that no login can reach.
//!
//! # What a server does not promise
//! * MySQL leaves open which of two rows comes first that it deems equally specific (`127.%` and
//!   `127.%.%.2`): that depends on the order in which accounts were made and loaded. Both are possible.
//! * Names behind addresses are what the server's resolver says, and may change from login to login.
//!
//! # Invariants
//! * No I/O. Rows are told by their index in the list that was given.
//! * `Exact` is said only where no other row is possible, whatever is not known.
//! * Roles are not in the list: nobody logs in with them.

mod address;
pub(crate) mod glob;
mod order;
mod pattern;
mod reach;

use std::collections::HashMap;

use crate::account::AccountName;
use crate::network;

pub use order::Rules;
use pattern::{Evidence, Fit, Pattern};
pub use reach::Unreachable;

/// From this many bytes on a user name in a log may have been cut (`server_audit` cuts at 128 or 132 bytes
/// and may add one of its own). Only these bytes are compared.
pub const USER_BYTES_CERTAIN: usize = 128;

/// From this many bytes on a host name in a log may have been cut: older servers keep 60.
pub const HOST_BYTES_CERTAIN: usize = 60;

/// Rows of one user above which exact hosts are looked up instead of being compared one by one.
const COMPARED_MAX: usize = 8;

/// The rows that a login belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No row: the server lets nobody in.
    None,
    /// This row and no other.
    Exact(usize),
    /// One of these, the more specific first; at least two.
    Candidates(Vec<usize>),
}

impl Found {
    fn of(mut rows: Vec<usize>) -> Found {
        match rows.len() {
            0 => Found::None,
            1 => Found::Exact(rows.remove(0)),
            _ => Found::Candidates(rows),
        }
    }

    /// All rows that are possible.
    pub fn rows(&self) -> &[usize] {
        match self {
            Found::None => &[],
            Found::Exact(row) => std::slice::from_ref(row),
            Found::Candidates(rows) => rows,
        }
    }
}

/// A client as the server knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Client<'a> {
    /// The address as the server writes it; `None` for a socket. An IPv4 client of an IPv6 socket has
    /// its IPv4 address.
    pub address: Option<&'a [u8]>,
    /// The name that the address was resolved to: `localhost` for a socket, and for 127.0.0.1 and ::1
    /// where names are resolved; `None` where there is none, or names are not resolved.
    pub name: Option<&'a [u8]>,
}

/// What a log shows of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown<'a> {
    /// The name, or the address where it has none: `server_audit`, `audit_login`, `USER()`.
    NameOrAddress(&'a [u8]),
    /// Always the address, whether or not the server knew a name.
    Address(&'a [u8]),
}

/// The accounts of one server, made ready for many questions.
///
/// ```
/// use verdict::account::{AccountName, Family};
/// use verdict::matching::{Found, Matcher, Shown};
///
/// let names = [AccountName::new("app", "10.0.%"), AccountName::new("app", "%.example.net")];
/// let matcher = Matcher::new(Family::MySql.into(), &names, false);
/// let seen = |host: &str| matcher.seen(b"app", Shown::NameOrAddress(host.as_bytes()), None);
/// assert_eq!(seen("10.0.0.7"), Found::Exact(0));
/// // Its address may be in 10.0, which is the more specific row.
/// assert_eq!(seen("db1.example.net"), Found::Candidates(vec![0, 1]));
/// assert_eq!(seen("192.0.2.1"), Found::None);
/// ```
pub struct Matcher {
    rules: Rules,
    skip_name_resolve: bool,
    rows: Vec<Row>,
    users: HashMap<Vec<u8>, Group>,
    /// Users whose names a log may have cut.
    long_users: Vec<Vec<u8>>,
}

/// One account.
struct Row {
    user: Vec<u8>,
    pattern: Pattern,
    /// Place in the server's order; equal where the server may take either first.
    rank: u32,
    /// The server does not load it, as it does not resolve names.
    left_out: bool,
}

/// The rows of one user name.
#[derive(Default)]
struct Group {
    /// All, by rank.
    all: Vec<u32>,
    /// Those that are compared one by one, by rank.
    compared: Vec<u32>,
    /// Those that fit one host alone, by that host.
    exact: HashMap<Vec<u8>, Vec<u32>>,
}

impl Matcher {
    /// Makes accounts ready, roles left out. `skip_name_resolve` is the server's setting; for logs the one
    /// of the time when they were written (`false` where that is not known: more rows are possible).
    pub fn new(rules: Rules, names: &[AccountName], skip_name_resolve: bool) -> Matcher {
        let patterns: Vec<Pattern> =
            names.iter().map(|name| Pattern::new(rules, &name.host)).collect();
        let ranks = order::ranks(rules, names, &patterns);
        let rows: Vec<Row> = names
            .iter()
            .zip(patterns)
            .zip(ranks)
            .map(|((name, pattern), rank)| Row {
                user: name.user.clone(),
                left_out: skip_name_resolve && pattern.is_left_out_without_names(),
                pattern,
                rank,
            })
            .collect();
        let mut users: HashMap<Vec<u8>, Group> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            users.entry(row.user.clone()).or_default().all.push(index as u32);
        }
        for group in users.values_mut() {
            group.arrange(&rows);
        }
        let long_users =
            users.keys().filter(|user| user.len() >= USER_BYTES_CERTAIN).cloned().collect();
        Matcher { rules, skip_name_resolve, rows, users, long_users }
    }

    /// The row that the server itself matches, who knows address and name of the client. More than one only
    /// where the server's own order is open.
    ///
    /// Source: MariaDB `sql_acl.cc` (`find_by_username_or_anon`, `compare_hostname`), MySQL
    /// `sql_auth_cache.cc` (`rebuild_cached_acl_users_for_name`, `ACL_HOST_AND_IP::compare_hostname`).
    pub fn login(&self, user: &[u8], client: Client<'_>) -> Found {
        let mut best: Option<(u32, Vec<usize>)> = None;
        for group in self.groups(user) {
            let Some((rank, rows)) = self.first(group, client) else { continue };
            match &mut best {
                Some((known, _)) if *known < rank => {}
                Some((known, all)) if *known == rank => all.extend(rows),
                _ => best = Some((rank, rows)),
            }
        }
        Found::of(best.map(|(_, rows)| rows).unwrap_or_default())
    }

    /// The rows that are possible for a login that a log shows, by its user name and host without port.
    ///
    /// `matched_user` is the user part of the matched account where the log tells it (`priv_user` of
    /// `audit_login`; empty for an anonymous account).
    pub fn seen(&self, user: &[u8], shown: Shown<'_>, matched_user: Option<&[u8]>) -> Found {
        let mut rows = match self.cut_users(user) {
            Some(users) => {
                let mut rows: Vec<usize> = Vec::new();
                for user in users {
                    rows.extend(self.shown(user, shown).rows());
                }
                rows.sort_by_key(|&row| (self.rows[row].rank, row));
                rows.dedup();
                rows
            }
            None => self.shown(user, shown).rows().to_vec(),
        };
        if let Some(matched) = matched_user {
            rows.retain(|&row| self.rows[row].user == matched);
        }
        Found::of(rows)
    }

    /// The rows that are possible for a login of which only the user name is known, of those that `is_reachable`
    /// lets through.
    pub fn of_user(&self, user: &[u8], is_reachable: impl Fn(usize) -> bool) -> Found {
        let rows = self.in_order(user).map(|row| row as usize);
        Found::of(rows.filter(|&row| is_reachable(row)).collect())
    }

    /// The row that an access log names as `user@host pattern`: the last `@` parts the two. Host patterns
    /// are compared without regard to ASCII case where none is written in the same way.
    pub fn named(&self, text: &[u8]) -> Option<usize> {
        let at = text.iter().rposition(|&byte| byte == b'@')?;
        self.index_of(&text[..at], &text[at + 1..])
    }

    /// The row of this user and host pattern.
    pub fn index_of(&self, user: &[u8], host: &[u8]) -> Option<usize> {
        let group = self.users.get(user)?;
        let exact = group.exact.get(&host.to_ascii_lowercase());
        let rows = || exact.into_iter().flatten().chain(&group.compared).map(|&row| row as usize);
        let text = |row: usize| self.rows[row].pattern.text();
        rows()
            .find(|&row| text(row) == host)
            .or_else(|| rows().find(|&row| text(row).eq_ignore_ascii_case(host)))
    }

    /// Rows that no login can match, in the order of the list, with the reason. Only what is certain.
    pub fn unreachable(&self) -> Vec<(usize, Unreachable)> {
        reach::unreachable(self)
    }

    /// The rows for one user name as written.
    fn shown(&self, user: &[u8], shown: Shown<'_>) -> Found {
        let (Shown::NameOrAddress(host) | Shown::Address(host)) = shown;
        if host.is_empty() {
            return Found::None;
        }
        let Some(address) = network::address(host) else {
            if self.skip_name_resolve && host.eq_ignore_ascii_case(pattern::LOCALHOST) {
                return self.login(user, Client { address: None, name: Some(host) });
            }
            return self.possible(user, Evidence::name(host));
        };
        // A zone is part of what the server compares.
        let text =
            if host.contains(&b'%') { host.to_vec() } else { address.to_string().into_bytes() };
        let mut client = Client { address: Some(&text), name: None };
        if matches!(shown, Shown::Address(_)) && !self.skip_name_resolve {
            if !pattern::OWN_ADDRESSES.contains(&text.as_slice()) {
                return self.possible(user, Evidence::address(&text));
            }
            client.name = Some(pattern::LOCALHOST);
        }
        self.login(user, client)
    }

    /// All rows that evidence leaves possible, in the server's order up to the first that fits in any case.
    fn possible(&self, user: &[u8], evidence: Evidence<'_>) -> Found {
        /// Wide rows that the next one is compared with, whether one of them takes all its clients.
        const WIDE_MAX: usize = 16;
        let (mut rows, mut wide) = (Vec::new(), Vec::new());
        let mut end = u32::MAX;
        for index in self.in_order(user) {
            let row = &self.rows[index as usize];
            if row.rank > end {
                break;
            }
            let fit = row.pattern.fit(&evidence);
            let taken = |earlier: &&Row| {
                earlier.rank < row.rank && reach::covers(&earlier.pattern, &row.pattern)
            };
            match fit {
                Fit::Never => continue,
                Fit::Perhaps if wide.iter().any(taken) => continue,
                Fit::Perhaps => {}
                Fit::Always => end = row.rank,
            }
            rows.push(index as usize);
            if wide.len() < WIDE_MAX && row.pattern.only_host().is_none() {
                wide.push(row);
            }
        }
        Found::of(rows)
    }

    /// The rows of a user and those of nobody, in the server's order.
    fn in_order(&self, user: &[u8]) -> impl Iterator<Item = u32> {
        let mut groups = self.groups(user);
        let mut lists = [&groups.next(), &groups.next()]
            .map(|group| group.map_or(&[][..], |group| group.all.as_slice()));
        std::iter::from_fn(move || {
            let rank = |list: &[u32]| list.first().map(|&row| self.rows[row as usize].rank);
            let [a, b] = lists.map(rank);
            // Of none and some the latter.
            let chosen = usize::from(a.is_none() || b.is_some_and(|b| a.is_some_and(|a| b < a)));
            let (&first, rest) = lists[chosen].split_first()?;
            lists[chosen] = rest;
            Some(first)
        })
    }

    /// The rows of a user and those of nobody, where there are any.
    fn groups(&self, user: &[u8]) -> impl Iterator<Item = &Group> {
        let anonymous = if user.is_empty() { None } else { self.users.get(&b""[..]) };
        self.users.get(user).into_iter().chain(anonymous)
    }

    /// The first rows of a group that fit a client, and their rank.
    fn first(&self, group: &Group, client: Client<'_>) -> Option<(u32, Vec<usize>)> {
        let mut best = u32::MAX;
        let mut rows = Vec::new();
        let mut consider = |index: u32| {
            let row = &self.rows[index as usize];
            if row.rank > best || row.left_out || !row.pattern.matches(client) {
                return row.rank <= best;
            }
            if row.rank < best {
                best = row.rank;
                rows.clear();
            }
            if !rows.contains(&(index as usize)) {
                rows.push(index as usize);
            }
            true
        };
        if !group.exact.is_empty() {
            for host in [client.address, client.name].into_iter().flatten() {
                let lower = host.to_ascii_lowercase();
                for &index in group.exact.get(&lower).into_iter().flatten() {
                    consider(index);
                }
            }
        }
        for &index in &group.compared {
            if !consider(index) {
                break;
            }
        }
        (!rows.is_empty()).then_some((best, rows))
    }

    /// The users that a name may stand for that a log may have cut; `None` for a whole one.
    fn cut_users<'a>(&'a self, user: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        let begin = user.get(..USER_BYTES_CERTAIN)?;
        let mut users: Vec<&[u8]> = self
            .long_users
            .iter()
            .filter(|known| known.starts_with(begin))
            .map(|known| known.as_slice())
            .collect();
        users.sort();
        // A name that no account has may have been meant: anonymous rows.
        if !users.contains(&user) {
            users.push(user);
        }
        Some(users)
    }
}

impl Group {
    fn arrange(&mut self, rows: &[Row]) {
        self.all.sort_by_key(|&row| (rows[row as usize].rank, row));
        for &index in &self.all {
            let pattern = &rows[index as usize].pattern;
            match pattern.only_host() {
                Some(host) if self.all.len() > COMPARED_MAX => {
                    self.exact.entry(host.to_ascii_lowercase()).or_default().push(index);
                }
                _ => self.compared.push(index),
            }
        }
    }
}
