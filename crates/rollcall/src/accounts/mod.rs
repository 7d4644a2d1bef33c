//! What servers grant, held against what evidence shows: the accounts of servers that are judged together,
//! each with its signs of use and the verdict that follows.
//!
//! ```text
//! live server ── live::snapshot ──► ledger ──► Member (accounts, coverage) ─┐
//! ledger ── seen rows, accounts that access logs name ──── join ──► signs ───┼─ judge ──► Judged
//! keep, references, journal ────────────────────────────────────────────────┘
//! ```
//!
//! [`gather()`] asks servers and the ledger; everything else here is pure.

mod gather;
mod join;

use std::collections::BTreeMap;

use verdict::account::{Account, AccountName, Snapshot};
use verdict::matching::{Matcher, Rules, Unreachable};
use verdict::plan::{Protection, protection};
use verdict::unused::{Case, Finding, OnMember, Signs, Uncovered, Window, judge};

pub(crate) use gather::{All, Gathered, Wanted, gather};
pub(crate) use join::MatchedBy;
use join::{Join, Joined, Told};

/// One of the servers that are judged together.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Its accounts, as they were read last.
    pub(crate) snapshot: Snapshot,
    /// Since when each of them is proven to exist, and since when it is known to be locked.
    pub(crate) known: BTreeMap<AccountName, Known>,
    /// Which accounts its access log names, by user and client host.
    pub(crate) matched: Vec<ledger::Matched>,
    /// What the server has counted of sessions.
    pub(crate) counted: Vec<ledger::Counted>,
    /// Users of accounts that the login plugin names.
    pub(crate) let_in: Vec<ledger::LetIn>,
    /// What of the window evidence does not tell, in order.
    pub(crate) uncovered: Vec<Uncovered>,
    /// Why its accounts could not be read now, if they are of before.
    pub(crate) stale: Option<String>,
}

/// What the ledger knows of an account beside its newest state. Times are microseconds UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Since when it is proven to exist.
    pub(crate) since: Option<i64>,
    /// It was seen to be made: signs of before that are those of another account of this name.
    pub(crate) made: bool,
    /// When it may have been dropped and made anew, unnoticed.
    pub(crate) remade: Option<i64>,
    /// Since when it is locked, as far as that was seen.
    pub(crate) locked_since: Option<i64>,
    /// rollcall has locked it, and it still is.
    pub(crate) locked_by_us: bool,
}

/// An exception that somebody has recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) until: Option<i64>,
    pub(crate) owner: String,
    pub(crate) reason: String,
}

/// An account on one member.
#[derive(Debug, Clone)]
pub(crate) struct OnServer {
    /// Its place among the members.
    pub(crate) member: usize,
    pub(crate) account: Account,
    pub(crate) known: Known,
    pub(crate) sure: Signs,
    pub(crate) possible: Signs,
    pub(crate) rivals: usize,
    pub(crate) matched_by: Option<MatchedBy>,
    pub(crate) protection: Option<Protection>,
    /// Why no login can match it.
    pub(crate) unreachable: Option<String>,
    /// Sessions that the server shows open.
    pub(crate) open_sessions: u64,
}

/// An account of all members that have it, judged.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) name: AccountName,
    pub(crate) on: Vec<OnServer>,
    pub(crate) finding: Finding,
    pub(crate) kept: Option<Kept>,
    /// An exception that has ended.
    pub(crate) lapsed: Option<Kept>,
    /// Where else it is named: it stays out of plans until it is removed there.
    pub(crate) references: Vec<String>,
    /// How it differs between members, one text each.
    pub(crate) differences: Vec<String>,
}

/// What verdicts rest on, beside accounts.
#[derive(Debug, Default)]
pub(crate) struct Basis {
    /// Exceptions, in force or not, by account.
    pub(crate) kept: BTreeMap<AccountName, Vec<Kept>>,
    /// Where user names are listed elsewhere.
    pub(crate) references: BTreeMap<Vec<u8>, Vec<String>>,
    /// Accounts that configuration protects.
    pub(crate) protected: Vec<AccountName>,
}

/// Is told a row of what was seen.
pub(crate) type Each<'a> = dyn FnMut(&ledger::Seen) + 'a;

/// Tells each row of what was seen on a member; of names that were only refused, of those its accounts match.
pub(crate) type Rows<'a, E> = dyn FnMut(&Member, &Matcher, &mut Each<'_>) -> Result<(), E> + 'a;

/// Joins and judges. `rows` tells of what was seen on a member, row by row; `now` is in microseconds UTC.
///
/// # Errors
/// What `rows` fails with.
pub(crate) fn judge_all<E>(
    members: &[Member],
    rows: &mut Rows<'_, E>,
    basis: &Basis,
    window: Window,
    now: i64,
) -> Result<Vec<Judged>, E> {
    let mut accounts: BTreeMap<AccountName, Vec<OnServer>> = BTreeMap::new();
    for (number, member) in members.iter().enumerate() {
        for on in on_server(number, member, rows, basis, window)? {
            accounts.entry(on.account.name.clone()).or_default().push(on);
        }
    }
    let judged = |(name, on): (AccountName, Vec<OnServer>)| {
        let exceptions = basis.kept.get(&name).map_or(&[][..], |all| all);
        let is_in_force = |kept: &&Kept| kept.until.is_none_or(|until| until > now);
        let kept = exceptions.iter().find(is_in_force).cloned();
        let members_of = on.iter().map(|it| OnMember {
            server: members[it.member].name.as_bytes(),
            known_since: it.known.since,
            remade: it.known.remade,
            uncovered: &members[it.member].uncovered,
            sure: it.sure,
            possible: it.possible,
            rivals: it.rivals,
        });
        let case = Case { members: members_of.collect(), kept: kept.is_some() };
        Judged {
            finding: judge(&case, window),
            lapsed: match kept {
                None => exceptions.iter().max_by_key(|it| it.until).cloned(),
                Some(_) => None,
            },
            kept,
            references: basis.references.get(&name.user).cloned().unwrap_or_default(),
            differences: differences(members, &on),
            name,
            on,
        }
    };
    Ok(accounts.into_iter().map(judged).collect())
}

/// The accounts of one member with their signs.
fn on_server<E>(
    number: usize,
    member: &Member,
    rows: &mut Rows<'_, E>,
    basis: &Basis,
    window: Window,
) -> Result<Vec<OnServer>, E> {
    let snapshot = &member.snapshot;
    let (roles, users): (Vec<&Account>, Vec<&Account>) =
        snapshot.accounts.iter().partition(|it| it.is_role);
    let names: Vec<AccountName> = users.iter().map(|it| it.name.clone()).collect();
    let rules = Rules::of(&snapshot.version);
    let matcher = Matcher::new(rules, &names, snapshot.skip_name_resolve);
    let mut join =
        Join::new(&matcher, Told::new(&member.matched, &member.let_in, &names, window.from));
    rows(member, &matcher, &mut |row| join.add(row))?;
    let unreachable = matcher.unreachable().into_iter();
    let mut unreachable: BTreeMap<usize, String> =
        unreachable.map(|(place, why)| (place, unreachable_text(why, &names))).collect();
    let is_reachable = |place: usize| !unreachable.contains_key(&place);
    let mut joined = join.finish(snapshot, &member.counted, &is_reachable);
    let mut all = Vec::with_capacity(snapshot.accounts.len());
    for (place, account) in users.into_iter().enumerate() {
        let known = member.known.get(&account.name).copied().unwrap_or_default();
        let Joined { mut sure, possible, rivals, matched_by, open } =
            std::mem::take(&mut joined[place]);
        if let (true, Some(since)) = (known.made, known.since) {
            forget_before(&mut sure, since);
        }
        all.push(OnServer {
            member: number,
            known,
            sure,
            possible,
            rivals,
            matched_by,
            protection: protection(account, snapshot, &basis.protected),
            unreachable: unreachable.remove(&place),
            open_sessions: open,
            account: account.clone(),
        });
    }
    all.extend(roles.into_iter().map(|account| OnServer {
        member: number,
        known: member.known.get(&account.name).copied().unwrap_or_default(),
        sure: Signs::default(),
        possible: Signs::default(),
        rivals: 0,
        matched_by: None,
        protection: protection(account, snapshot, &basis.protected),
        unreachable: None,
        open_sessions: 0,
        account: account.clone(),
    }));
    Ok(all)
}

/// Why no login can match an account.
fn unreachable_text(why: Unreachable, names: &[AccountName]) -> String {
    match why {
        Unreachable::NamesNotResolved => {
            "its host is a name, and the server does not look names up".to_owned()
        }
        Unreachable::PrefixLength => "MariaDB knows netmasks, no prefix lengths".to_owned(),
        Unreachable::Netmask => "its address does not fit its mask".to_owned(),
        Unreachable::NoSuchHost => "no client has such a host".to_owned(),
        Unreachable::Shadowed(other) => format!("all its clients match {} first", names[other]),
    }
}

/// Leaves out what is older than an account that was seen to be made: it was another one.
fn forget_before(signs: &mut Signs, since: i64) {
    let keep = |at: Option<i64>| at.filter(|&at| at >= since);
    signs.first_seen = keep(signs.first_seen).or(keep(signs.last_seen));
    (signs.last_seen, signs.last_active) = (keep(signs.last_seen), keep(signs.last_active));
}

/// How rows of one account differ between members.
fn differences(members: &[Member], on: &[OnServer]) -> Vec<String> {
    let mut texts = Vec::new();
    let name = |it: &OnServer| members[it.member].name.as_str();
    let Some((first, others)) = on.split_first() else { return texts };
    if on.len() < members.len() {
        let has = |number: usize| on.iter().any(|it| it.member == number);
        let lacking = members.iter().enumerate().filter(|(number, _)| !has(*number));
        let lacking: Vec<&str> = lacking.map(|(_, member)| member.name.as_str()).collect();
        texts.push(format!("not on {}", lacking.join(", ")));
    }
    for other in others {
        let (a, b) = (&first.account, &other.account);
        let mut differ = Vec::new();
        if a.locked != b.locked {
            differ.push(match b.locked {
                Some(true) => "locked",
                Some(false) => "not locked",
                None => "lock unknown",
            });
        }
        if a.plugin != b.plugin {
            differ.push("another plugin");
        }
        if a.grants_hash.is_some() && b.grants_hash.is_some() && a.grants_hash != b.grants_hash {
            differ.push("other grants");
        }
        if !differ.is_empty() {
            texts.push(format!(
                "on {}, unlike {}: {}",
                name(other),
                name(first),
                differ.join(", ")
            ));
        }
    }
    texts
}
