//! What became of accounts between one reading and the next, and how much of it is proven.
//!
//! ```text
//! read         10:00              11:00              12:00
//! app          unlocked           locked             (gone)
//! told                            locked, after 10:00, noticed 11:00
//!                                                    dropped, after 11:00, noticed 12:00
//! ```
//!
//! # What a reading does not prove
//! * What it could not read has not changed. A fact without a value is held against its last known value
//!   when it has one again, and the change is told to lie between these two moments.
//! * An account that appears was made only if the reading before could have shown it: it could read all that
//!   this one could. One that is missing was dropped only if this reading could have shown it. Else it is
//!   newly known, or out of sight.
//! * Roles and definers have no mark of whether they were read: they are compared only between readings in
//!   succession that lacked the same.
//! * An account that was dropped and made again between two readings is taken for one, unless its password or
//!   its grants tell; then these are told, and no more (`verdict::unused::may_be_remade` draws from that).
//!
//! # Invariants
//! * Each change is told once: against what was known last, not against what was told last.
//! * Nothing here touches the ledger: the caller stores what comes out.

use crate::rows::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use verdict::account::{Account, AccountName, quoted, quoted_account};

/// Changes kept per server: with fifty a day, which is a busy server, more than a year. Beyond it the oldest
/// go; not those with which the life of an account that is there begins.
pub const HISTORY_MAX: usize = 20_000;

/// What was and what became is kept up to this many bytes: some twenty roles or definers. Longer texts are
/// cut, with a hash at their end, so that they differ where what they stand for does.
pub const CHANGE_BYTES_MAX: usize = 1000;

/// What became of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It was there when it was first looked for: made some time before.
    Known,
    /// It was made.
    Created,
    /// It is there no more.
    Dropped,
    /// `ACCOUNT LOCK`.
    Locked,
    /// `ACCOUNT UNLOCK`.
    Unlocked,
    /// Its password has expired.
    Expired,
    /// Its password is expired no more.
    Unexpired,
    /// It authenticates in another way.
    Plugin,
    /// Its password was changed (at the time that `became` tells, by the server's clock).
    Password,
    /// Something was granted to it or revoked.
    Granted,
    /// It has other roles.
    Roles,
    /// It has other default roles.
    DefaultRoles,
    /// Other things run with its rights.
    Definers,
}

impl ChangeKind {
    /// All of them.
    pub const ALL: [ChangeKind; 13] = [
        ChangeKind::Known,
        ChangeKind::Created,
        ChangeKind::Dropped,
        ChangeKind::Locked,
        ChangeKind::Unlocked,
        ChangeKind::Expired,
        ChangeKind::Unexpired,
        ChangeKind::Plugin,
        ChangeKind::Password,
        ChangeKind::Granted,
        ChangeKind::Roles,
        ChangeKind::DefaultRoles,
        ChangeKind::Definers,
    ];

    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Known => "known",
            ChangeKind::Created => "created",
            ChangeKind::Dropped => "dropped",
            ChangeKind::Locked => "locked",
            ChangeKind::Unlocked => "unlocked",
            ChangeKind::Expired => "expired",
            ChangeKind::Unexpired => "unexpired",
            ChangeKind::Plugin => "plugin",
            ChangeKind::Password => "password",
            ChangeKind::Granted => "granted",
            ChangeKind::Roles => "roles",
            ChangeKind::DefaultRoles => "default-roles",
            ChangeKind::Definers => "definers",
        }
    }

    pub(crate) fn of(text: &str) -> Option<ChangeKind> {
        ChangeKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One change of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChange {
    /// The account.
    pub name: AccountName,
    /// What became of it.
    pub kind: ChangeKind,
    /// It happened after this time, in microseconds UTC by the clock of whoever read; `None`: nobody knows
    /// since when.
    pub since_us: Option<i64>,
    /// And not after this time.
    pub noticed_us: i64,
    /// What was before: for `Plugin` its name, for `Password` a time in microseconds UTC, for `Granted` a
    /// hash, for roles and definers their list as SQL names them, for `Dropped` all that is compared
    /// (`locked=0 expired=? …`). Cut at [`CHANGE_BYTES_MAX`].
    pub was: Name,
    /// What is since; for `Known` and `Created` all that is compared.
    pub became: Name,
}

/// A fact of an account that is known, or not, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fact {
    Locked,
    Expired,
    Plugin,
    Password,
    Grants,
}

impl Fact {
    pub(crate) const ALL: [Fact; 5] =
        [Fact::Locked, Fact::Expired, Fact::Plugin, Fact::Password, Fact::Grants];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Fact::Locked => "locked",
            Fact::Expired => "expired",
            Fact::Plugin => "plugin",
            Fact::Password => "password",
            Fact::Grants => "grants",
        }
    }

    pub(crate) fn of(text: &str) -> Option<Fact> {
        Fact::ALL.into_iter().find(|fact| fact.as_str() == text)
    }

    /// Its value as text, where it is known.
    fn value(self, account: &Account) -> Option<String> {
        let flag = |it: Option<bool>| it.map(|it| if it { "1" } else { "0" }.to_owned());
        match self {
            Fact::Locked => flag(account.locked),
            Fact::Expired => flag(account.expired),
            Fact::Plugin => (!account.plugin.is_empty()).then(|| account.plugin.clone()),
            Fact::Password => account.password_changed.map(|at| at.to_string()),
            Fact::Grants => account.grants_hash.map(|hash| format!("{hash:016x}")),
        }
    }

    /// What it means that it has this value now.
    fn kind(self, value: &str) -> ChangeKind {
        match (self, value) {
            (Fact::Locked, "1") => ChangeKind::Locked,
            (Fact::Locked, _) => ChangeKind::Unlocked,
            (Fact::Expired, "1") => ChangeKind::Expired,
            (Fact::Expired, _) => ChangeKind::Unexpired,
            (Fact::Plugin, _) => ChangeKind::Plugin,
            (Fact::Password, _) => ChangeKind::Password,
            (Fact::Grants, _) => ChangeKind::Granted,
        }
    }
}

/// What could not be read, as a set of names.
pub(crate) type Lacks = BTreeSet<String>;

/// An account as it was known last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) account: Account,
    /// The row of the change with which its life begins; 0: not stored yet.
    pub(crate) born: i64,
    /// The first reading that shows it.
    pub(crate) first: i64,
    /// The last one before that proves that it was not there.
    pub(crate) absent: Option<i64>,
    /// The earliest change of its password that was told.
    pub(crate) password_first: Option<i64>,
    /// Where it is out of sight: the last reading that shows it, and what that one lacked.
    pub(crate) hidden: Option<(i64, Lacks)>,
    /// Last known values of facts that the newest reading of it did not tell, and when they were told.
    pub(crate) lapses: BTreeMap<Fact, (String, i64)>,
}

impl Known {
    /// Since when it is proven to have been there.
    pub(crate) fn since(&self) -> i64 {
        // A renamed account keeps the time of its password: before it was absent it had another name.
        let password = self.password_first.filter(|&at| self.absent.is_none_or(|it| at > it));
        password.map_or(self.first, |at| at.min(self.first))
    }

    /// The last known value of a fact and when it was told, for a reading that follows the one at `before`.
    fn last(&self, fact: Fact, before: i64) -> Option<(String, i64)> {
        let at = self.hidden.as_ref().map_or(before, |(at, _)| *at);
        fact.value(&self.account)
            .map(|value| (value, at))
            .or_else(|| self.lapses.get(&fact).cloned())
    }

    /// All facts, as text.
    fn state(&self) -> Name {
        let mut text = String::new();
        for fact in Fact::ALL {
            let value = self.last(fact, 0).map_or_else(|| "?".to_owned(), |(value, _)| value);
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{}={value}", fact.as_str());
        }
        cut(text.into_bytes())
    }
}

/// The reading before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) at: i64,
    pub(crate) lacks: Lacks,
}

/// What a reading makes of what was known: the accounts that are known now, and the changes. Sorted by name.
pub(crate) fn follow(
    mut known: BTreeMap<AccountName, Known>,
    before: Option<&Before>,
    at: i64,
    lacks: &Lacks,
    accounts: &[Account],
) -> (BTreeMap<AccountName, Known>, Vec<AccountChange>) {
    let mut now = BTreeMap::new();
    let mut changes = Vec::new();
    for account in accounts {
        // Nobody has two accounts of one name; the first counts.
        if now.contains_key(&account.name) {
            continue;
        }
        let next = match known.remove(&account.name) {
            Some(old) => go_on(old, before, at, lacks, account, &mut changes),
            None => appear(before, at, lacks, account, &mut changes),
        };
        now.insert(account.name.clone(), next);
    }
    for (name, mut old) in known {
        let seen = before.map_or((at, lacks), |before| (before.at, &before.lacks));
        let (seen_at, lacked) = old.hidden.clone().unwrap_or((seen.0, seen.1.clone()));
        if lacks.is_subset(&lacked) {
            changes.push(AccountChange {
                name,
                kind: ChangeKind::Dropped,
                since_us: Some(seen_at.min(at)),
                noticed_us: at,
                was: old.state(),
                became: Name::new(),
            });
        } else {
            old.hidden = Some((seen_at, lacked));
            now.insert(name, old);
        }
    }
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    (now, changes)
}

fn password(account: &Account, at: i64) -> Option<i64> {
    // Nothing is told by a time that cannot be.
    account.password_changed.filter(|&it| it > 0 && it <= at)
}

fn appear(
    before: Option<&Before>,
    at: i64,
    lacks: &Lacks,
    account: &Account,
    changes: &mut Vec<AccountChange>,
) -> Known {
    let absent = before.filter(|it| it.lacks.is_subset(lacks)).map(|it| it.at.min(at));
    let known = Known {
        account: account.clone(),
        born: 0,
        first: at,
        absent,
        password_first: password(account, at),
        hidden: None,
        lapses: BTreeMap::new(),
    };
    changes.push(AccountChange {
        name: account.name.clone(),
        kind: if absent.is_some() { ChangeKind::Created } else { ChangeKind::Known },
        since_us: absent,
        noticed_us: at,
        was: Name::new(),
        became: known.state(),
    });
    known
}

fn go_on(
    mut old: Known,
    before: Option<&Before>,
    at: i64,
    lacks: &Lacks,
    account: &Account,
    changes: &mut Vec<AccountChange>,
) -> Known {
    let before_at = before.map_or(at, |it| it.at);
    let mut change = |kind, since: i64, was, became| {
        let (name, since_us) = (account.name.clone(), Some(since.min(at)));
        changes.push(AccountChange { name, kind, since_us, noticed_us: at, was, became });
    };
    let mut lapses = BTreeMap::new();
    for fact in Fact::ALL {
        let Some((was, told_at)) = old.last(fact, before_at) else { continue };
        match fact.value(account) {
            Some(value) if value != was => {
                let kind = fact.kind(&value);
                change(kind, told_at, cut(was.into_bytes()), cut(value.into_bytes()));
            }
            Some(_) => {}
            None => _ = lapses.insert(fact, (was, told_at)),
        }
    }
    if old.hidden.is_none() && before.is_some_and(|it| it.lacks == *lacks) {
        let lists = [
            (ChangeKind::Roles, roles(&old.account.roles), roles(&account.roles)),
            (
                ChangeKind::DefaultRoles,
                roles(&old.account.default_roles),
                roles(&account.default_roles),
            ),
            (ChangeKind::Definers, definers(&old.account), definers(account)),
        ];
        for (kind, was, is) in lists {
            if was != is {
                change(kind, before_at, listed(was), listed(is));
            }
        }
    }
    old.lapses = lapses;
    old.hidden = None;
    let told = password(account, at);
    old.password_first =
        old.password_first.map_or(told, |first| Some(told.map_or(first, |it| it.min(first))));
    old.account = account.clone();
    old
}

/// Roles as SQL names them: MariaDB's have no host.
fn roles(names: &[AccountName]) -> BTreeSet<Name> {
    let text =
        |it: &AccountName| if it.host.is_empty() { quoted(&it.user) } else { quoted_account(it) };
    names.iter().map(text).collect()
}

fn definers(account: &Account) -> BTreeSet<Name> {
    let text = |it: &verdict::account::Definer| {
        [it.kind.as_bytes(), b" ", &quoted(&it.schema)[..], b".", &quoted(&it.name)[..]].concat()
    };
    account.definer_of.iter().map(text).collect()
}

fn listed(items: BTreeSet<Name>) -> Name {
    cut(items.into_iter().collect::<Vec<_>>().join(&b", "[..]))
}

/// A text that is not longer than what is kept, and another one where the longer one is another.
fn cut(mut text: Name) -> Name {
    if text.len() > CHANGE_BYTES_MAX {
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest(&text);
        let mut end = String::from(" \u{2026} ");
        for byte in &hash[..8] {
            let _ = write!(end, "{byte:02x}");
        }
        let kept = CHANGE_BYTES_MAX - end.len();
        // Not within a character, where it is text.
        let kept = std::str::from_utf8(&text).map_or(kept, |text| text.floor_char_boundary(kept));
        text.truncate(kept);
        text.extend(end.bytes());
    }
    text
}
