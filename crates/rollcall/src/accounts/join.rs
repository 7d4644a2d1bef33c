//! Rows of what was seen, given to the accounts they belong to.
//!
//! A log shows user name and client host; which account let it in follows from the server's own rules. Where
//! only one account can have, the row is a sure sign of it; where several can, a possible one of each.
//!
//! An access log holds what the server itself said: which account it matched. Where that is always the same one for a
//! user and client host, all that is known of them is its own. Where it is not, the logins that name an account are
//! signs of it, and the rest stays possible for each of several.
//!
//! The login plugin tells the user part of that account: where it is always the same one, only accounts of that user
//! are possible. Where it is another user's than the one that logged in, an account of that user was proxied, and is used
//! as well.
//!
//! What the server counts of sessions is given in the same way; where it does not tell from where they came
//! (`USER_STATISTICS`), to all accounts of that user name.
//!
//! # Invariants
//! * An account that is not among those that the server's rules allow (a proxied one, which `CURRENT_USER()` names, or
//!   one that was dropped) takes nothing away from these.

use std::collections::HashMap;

use ledger::{Counted, LetIn, Matched};
use verdict::account::{AccountName, ActivityKind, Snapshot};
use verdict::matching::{Found, Matcher, Shown};
use verdict::unused::Signs;

/// How it is known that signs are those of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MatchedBy {
    /// The server names the account.
    AccessLog,
    /// The login plugin names the account's user, and only this account of that user fits.
    AccountUser,
    /// Only this account fits user name and client host.
    Host,
    /// It is one of several that fit.
    Candidates,
}

impl MatchedBy {
    /// The word used in every output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            MatchedBy::AccessLog => "access-log",
            MatchedBy::AccountUser => "account-user",
            MatchedBy::Host => "host",
            MatchedBy::Candidates => "candidates",
        }
    }
}

/// The signs of one account.
#[derive(Debug, Clone, Default)]
pub(super) struct Joined {
    pub(super) sure: Signs,
    pub(super) possible: Signs,
    /// Of how many accounts the most doubtful of the possible signs may be.
    pub(super) rivals: usize,
    pub(super) matched_by: Option<MatchedBy>,
    /// Sessions open now that are, or may be, its own.
    pub(super) open: u64,
}

/// What an access log names an account in.
#[derive(Debug, Clone, Copy)]
struct Naming<'a> {
    /// The account's place; `None` where the server has no such account any more.
    account: Option<usize>,
    row: &'a Matched,
}

/// Which accounts an access log names, and which of their users the login plugin, by user and client host.
pub(super) struct Told<'a> {
    let_in: HashMap<(&'a [u8], &'a [u8]), Vec<&'a LetIn>>,
    /// The places of accounts, by their user.
    places: HashMap<Vec<u8>, Vec<usize>>,
    by_pair: HashMap<&'a [u8], HashMap<&'a [u8], Vec<Naming<'a>>>>,
    /// How many accounts there are.
    accounts: usize,
    /// Where the window begins: what was named last before that narrows nothing.
    from: i64,
}

impl<'a> Told<'a> {
    /// From the rows of one server.
    pub(super) fn new(
        rows: &'a [Matched],
        let_in: &'a [LetIn],
        names: &[AccountName],
        from: i64,
    ) -> Told<'a> {
        let places: HashMap<&AccountName, usize> = names.iter().zip(0..).collect();
        let mut by_pair: HashMap<&[u8], HashMap<&[u8], Vec<Naming<'_>>>> = HashMap::new();
        for row in rows {
            let naming = Naming { account: places.get(&row.account).copied(), row };
            by_pair.entry(&row.user).or_default().entry(&row.host).or_default().push(naming);
        }
        let mut users: HashMap<_, Vec<&LetIn>> = HashMap::new();
        for row in let_in {
            users.entry((&row.user[..], &row.host[..])).or_default().push(row);
        }
        let mut places: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (place, name) in names.iter().enumerate() {
            places.entry(name.user.clone()).or_default().push(place);
        }
        Told { let_in: users, places, by_pair, accounts: names.len(), from }
    }

    fn of(&self, user: &[u8], host: &[u8]) -> &[Naming<'a>] {
        self.by_pair.get(user).and_then(|it| it.get(host)).map_or(&[][..], Vec::as_slice)
    }

    /// The only account's user that was named within the window.
    fn account_user(&self, user: &[u8], host: &[u8]) -> Option<&'a [u8]> {
        let rows = self.let_in.get(&(user, host))?;
        let mut named = rows.iter().filter(|it| it.last >= self.from);
        let only = named.next()?;
        named.next().is_none().then_some(&only.account_user)
    }

    /// Accounts of another user that logins were proxied to: their places, and what is told of these logins.
    fn proxied<'s>(
        &'s self,
        user: &'s [u8],
        host: &'s [u8],
    ) -> impl Iterator<Item = (&'s [usize], &'a LetIn)> {
        let rows = self.let_in.get(&(user, host)).map_or(&[][..], Vec::as_slice);
        let others =
            rows.iter().filter(move |it| !it.account_user.is_empty() && it.account_user != user);
        others.filter_map(|it| Some((self.places.get(&it.account_user)?.as_slice(), *it)))
    }

    /// The only account that was named within the window, if it is one of these.
    fn only(&self, user: &[u8], host: &[u8], candidates: &[usize]) -> Option<usize> {
        let mut named = self.of(user, host).iter().filter(|it| it.row.last >= self.from);
        let only = named.next()?;
        only.account.filter(|it| named.next().is_none() && candidates.contains(it))
    }
}

impl Joined {
    /// Signs that the server says are its own.
    fn add_told(&mut self, signs: &Signs) {
        self.sure.add(signs);
        self.matched_by = Some(MatchedBy::AccessLog);
    }

    fn add(&mut self, signs: &Signs, candidates: usize, sure: MatchedBy) {
        let by = if candidates > 1 { MatchedBy::Candidates } else { sure };
        if candidates > 1 {
            self.possible.add(signs);
            self.rivals = self.rivals.max(candidates);
        } else {
            self.sure.add(signs);
        }
        self.matched_by = Some(self.matched_by.map_or(by, |known| known.min(by)));
    }
}

/// Gives rows of one server to its accounts, one by one: it holds accounts, no rows.
pub(super) struct Join<'a> {
    matcher: &'a Matcher,
    told: Told<'a>,
    joined: Vec<Joined>,
}

impl<'a> Join<'a> {
    pub(super) fn new(matcher: &'a Matcher, told: Told<'a>) -> Join<'a> {
        let joined = vec![Joined::default(); told.accounts];
        Join { matcher, told, joined }
    }

    /// Adds what was seen of a user from a client host.
    pub(super) fn add(&mut self, row: &ledger::Seen) {
        let signs = Signs {
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            last_active: row.last_active,
            logins: row.logins,
            failures: row.failures,
            last_failed: row.last_failed,
            last_error: row.last_error,
            contested: row.contested,
        };
        let (told, matcher) = (&self.told, self.matcher);
        for (places, it) in told.proxied(&row.user, &row.host) {
            let signs = Signs {
                first_seen: Some(it.first),
                last_seen: Some(it.last),
                logins: it.count,
                ..Signs::default()
            };
            for &place in places {
                self.joined[place].add(&signs, places.len(), MatchedBy::AccountUser);
            }
        }
        let shown = Shown::NameOrAddress(&row.host);
        let by_user = told
            .account_user(&row.user, &row.host)
            .map(|it| matcher.seen(&row.user, shown, Some(it)))
            .filter(|it| !it.rows().is_empty());
        let sure = if by_user.is_some() { MatchedBy::AccountUser } else { MatchedBy::Host };
        let found = by_user.unwrap_or_else(|| matcher.seen(&row.user, shown, None));
        if let Some(only) = told.only(&row.user, &row.host, found.rows()) {
            self.joined[only].add_told(&signs);
            return;
        }
        for Naming { account, row } in self.told.of(&row.user, &row.host) {
            let is_counted = |account| found.rows() == [account];
            if let Some(account) = account.filter(|&it| !is_counted(it)) {
                self.joined[account].add_told(&Signs {
                    first_seen: Some(row.first),
                    last_seen: Some(row.last),
                    logins: row.count,
                    ..Signs::default()
                });
            }
        }
        give(&mut self.joined, found, &signs, sure);
    }

    /// The signs of each account, with what the server itself tells: sessions that are open, and what it has
    /// counted. `is_reachable` tells of an account whether any login can match it.
    pub(super) fn finish(
        mut self,
        snapshot: &Snapshot,
        counted: &[Counted],
        is_reachable: &dyn Fn(usize) -> bool,
    ) -> Vec<Joined> {
        for it in snapshot.activity.iter().filter(|it| it.open > 0) {
            let found = self.server_shows(it.kind, &it.user, &it.host, is_reachable);
            if it.kind == ActivityKind::Processlist {
                found.rows().iter().for_each(|&row| self.joined[row].open += it.open);
            }
            let signs = Signs { last_active: Some(snapshot.at), ..Signs::default() };
            give(&mut self.joined, found, &signs, MatchedBy::Host);
        }
        for it in counted {
            let found = self.server_shows(it.kind, &it.user, &it.host, is_reachable);
            let signs = Signs { last_active: Some(it.since_us), ..Signs::default() };
            give(&mut self.joined, found, &signs, MatchedBy::Host);
        }
        self.joined
    }

    /// The accounts that may be meant by what the server tells of sessions.
    fn server_shows(
        &self,
        kind: ActivityKind,
        user: &[u8],
        host: &[u8],
        is_reachable: &dyn Fn(usize) -> bool,
    ) -> Found {
        match kind {
            ActivityKind::Processlist | ActivityKind::PerformanceSchema => {
                self.matcher.seen(user, Shown::NameOrAddress(host), None)
            }
            ActivityKind::UserStatistics => self.matcher.of_user(user, is_reachable),
        }
    }
}

fn give(joined: &mut [Joined], found: Found, signs: &Signs, sure: MatchedBy) {
    let rows = found.rows();
    for &row in rows {
        joined[row].add(signs, rows.len(), sure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdict::account::{Family, Version};
    use verdict::matching::Rules;

    const NOW: i64 = 1_000;

    fn seen(host: &str, logins: u64) -> ledger::Seen {
        ledger::Seen {
            server: b"db1".to_vec(),
            user: b"sam".to_vec(),
            host: host.into(),
            first_seen: Some(1),
            last_seen: Some(NOW),
            last_active: Some(NOW),
            logins,
            failures: 0,
            last_failed: None,
            last_error: None,
            contested: false,
        }
    }

    fn matched(host: &str, account: &AccountName, (count, last): (u64, i64)) -> Matched {
        Matched {
            server: b"db1".to_vec(),
            user: b"sam".to_vec(),
            host: host.into(),
            account: account.clone(),
            count,
            first: 1,
            last,
        }
    }

    /// Per account: sure and possible logins, and how that is known. A host name may stand for any address, so `web-1`
    /// may have come in by the first two accounts; the third is matched by nobody.
    fn check(
        rows: &[ledger::Seen],
        told: &[(&str, usize, (u64, i64))],
        expected: [(u64, u64, &str); 3],
    ) {
        let hosts = ["10.0.0.7", "10.%", "web-1"];
        let names: Vec<AccountName> =
            hosts.iter().map(|host| AccountName::new("sam", *host)).collect();
        let other = AccountName::new("gone", "%");
        let told: Vec<Matched> = told
            .iter()
            .map(|(host, account, sum)| matched(host, names.get(*account).unwrap_or(&other), *sum))
            .collect();
        let version = Version::parse("10.11.6-MariaDB").unwrap();
        assert_eq!(version.family, Family::MariaDb);
        let matcher = Matcher::new(Rules::of(&version), &names[..2], false);
        let mut join = Join::new(&matcher, Told::new(&told, &[], &names, 500));
        rows.iter().for_each(|row| join.add(row));
        let joined = join.finish(&Snapshot::new(version, NOW), &[], &|_| true);
        let found: Vec<_> = joined
            .iter()
            .map(|it| {
                let by = it.matched_by.map_or("", MatchedBy::as_str);
                (it.sure.logins, it.possible.logins, by)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_server_decides_between_candidates() {
        let row = [seen("web-1", 5)];
        let none = (0, 0, "");
        let possible = (0, 5, "candidates");
        check(&row, &[], [possible, possible, none]);
        // What it names always takes all.
        check(&row, &[("web-1", 1, (2, NOW))], [none, (5, 0, "access-log"), none]);
        // Another host says nothing of this one, nor does what was named before the window.
        check(&row, &[("web-2", 1, (2, NOW))], [possible, possible, none]);
        check(&row, &[("web-1", 1, (2, 499))], [possible, (2, 5, "access-log"), none]);
        check(&row, &[("web-1", 1, (2, NOW)), ("web-1", 0, (1, 499))], {
            [none, (5, 0, "access-log"), none]
        });
        // Both of two are in use, and the rest may be of either.
        check(&row, &[("web-1", 0, (1, NOW)), ("web-1", 1, (2, NOW))], {
            [(1, 5, "access-log"), (2, 5, "access-log"), none]
        });
    }

    #[test]
    fn the_user_of_the_account_narrows() {
        // The address of `web-1` is not known: whether it is one of 10.% decides.
        let names = [("sam", "%"), ("", "10.%"), ("boss", "%")];
        let names = names.map(|(user, host)| AccountName::new(user, host));
        let version = Version::parse("10.11.6-MariaDB").unwrap();
        let matcher = Matcher::new(Rules::of(&version), &names, false);
        let let_in = |account_user: &str, last| LetIn {
            server: b"db1".to_vec(),
            user: b"sam".to_vec(),
            host: b"web-1".to_vec(),
            account_user: account_user.into(),
            count: 1,
            first: 1,
            last,
        };
        let found = |rows: &[LetIn]| {
            let told = Told::new(&[], rows, &names, 500);
            let mut join = Join::new(&matcher, told);
            join.add(&seen("web-1", 5));
            let joined = join.finish(&Snapshot::new(version.clone(), NOW), &[], &|_| true);
            let by = |it: &Joined| it.matched_by.map_or("", MatchedBy::as_str);
            joined.iter().map(|it| (it.sure.logins, it.possible.logins, by(it))).collect::<Vec<_>>()
        };
        let none = (0, 0, "");
        let unknown = found(&[]);
        let possible = (0, 5, "candidates");
        assert_eq!(unknown, [possible, possible, none]);
        assert_eq!(found(&[let_in("", NOW)]), [none, (5, 0, "account-user"), none]);
        assert_eq!(found(&[let_in("sam", NOW)]), [(5, 0, "account-user"), none, none]);
        // What was before the window, both, or one that does not fit, says nothing.
        assert_eq!(found(&[let_in("sam", 499)]), unknown);
        assert_eq!(found(&[let_in("sam", NOW), let_in("", NOW)]), unknown);
        assert_eq!(found(&[let_in("gone", NOW)]), unknown);
        // A proxied account is used as well.
        let proxied = (1, 0, "account-user");
        assert_eq!(found(&[let_in("boss", NOW)]), [unknown[0], unknown[1], proxied]);
    }

    #[test]
    fn who_is_no_candidate_takes_nothing_away() {
        let row = [seen("10.0.0.7", 5)];
        let none = (0, 0, "");
        check(&row, &[], [(5, 0, "host"), none, none]);
        check(&row, &[("10.0.0.7", 0, (2, NOW))], [(5, 0, "access-log"), none, none]);
        // A proxied account is used as well; one that is gone is nobody's.
        check(&row, &[("10.0.0.7", 2, (2, NOW))], [(5, 0, "host"), none, (2, 0, "access-log")]);
        check(&row, &[("10.0.0.7", 9, (2, NOW))], [(5, 0, "host"), none, none]);
    }
    /// By account: what is sure and what is possible, of what the server has counted.
    fn check_counted(
        rows: &[(ActivityKind, &str, &str)],
        unreachable: Option<usize>,
        expected: [(Option<i64>, Option<i64>); 4],
    ) {
        let names = [("sam", "10.0.0.7"), ("sam", "10.%"), ("etl", "%"), ("app", "10.%")]
            .map(|(user, host)| AccountName::new(user, host));
        let version = Version::parse("10.11.6-MariaDB").unwrap();
        let matcher = Matcher::new(Rules::of(&version), &names, true);
        let counted = |&(kind, user, host): &(ActivityKind, &str, &str)| Counted {
            kind,
            user: user.into(),
            host: host.into(),
            since_us: 700,
        };
        let counted: Vec<Counted> = rows.iter().map(counted).collect();
        let join = Join::new(&matcher, Told::new(&[], &[], &names, 0));
        let is_reachable = |place| Some(place) != unreachable;
        let joined = join.finish(&Snapshot::new(version, NOW), &counted, &is_reachable);
        let found: Vec<_> =
            joined.iter().map(|it| (it.sure.newest(), it.possible.newest())).collect();
        assert_eq!(found, expected, "{rows:?}");
    }

    #[test]
    fn counters_are_signs_of_whoever_may_be_meant() {
        use ActivityKind::{PerformanceSchema, UserStatistics};
        let (none, sure, possible) = ((None, None), (Some(700), None), (None, Some(700)));
        check_counted(&[(UserStatistics, "etl", "")], None, [none, none, sure, none]);
        check_counted(&[(UserStatistics, "sam", "")], None, [possible, possible, none, none]);
        check_counted(&[(UserStatistics, "sam", "")], Some(0), [none, sure, none, none]);
        check_counted(&[(UserStatistics, "who", "")], None, [none; 4]);
        check_counted(&[(PerformanceSchema, "sam", "10.0.0.7")], None, [sure, none, none, none]);
        check_counted(&[(PerformanceSchema, "app", "11.0.0.7")], None, [none; 4]);
    }
}
