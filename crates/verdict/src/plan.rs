//! What may be done to accounts: statements that would be sent, each with why, what it would break and the
//! facts it rests on; and what may not be done, and why not.
//!
//! ```text
//! unused 'sam'@'%' on db1, db2  ── propose(Lock) ──► db1  ALTER USER 'sam'@'%' ACCOUNT LOCK
//!                                                    db2  ALTER USER 'sam'@'%' ACCOUNT LOCK
//! 'root'@'localhost'            ── propose(Lock) ──► refused: root
//! ```
//!
//! Nothing is sent here. Whoever sends compares [`Facts`] once more and refuses where one changed.
//!
//! # Invariants
//! * One statement names one account: servers that take several lock the others although one is missing.
//! * No protected account is in any proposal, whatever is asked for.
//! * At least one administrator who can log in remains on each server.

pub mod growth;
mod protection;

pub use protection::{Protection, SYSTEM, protection};
use protection::{is_or_holds, is_system};

use std::fmt;

use crate::account::{Account, AccountName, Identity, Snapshot, quoted, quoted_account};
use crate::unused::Verdict;
use growth::Rights;

/// What is done to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeedKind {
    /// It can no longer log in; open sessions go on.
    Lock,
    /// It can log in again.
    Unlock,
    /// It goes away, with all that is granted to it.
    Drop,
    /// Rights by which schemas grow are taken from it.
    Revoke,
    /// They are given to it.
    Grant,
}

impl DeedKind {
    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            DeedKind::Lock => "lock",
            DeedKind::Unlock => "unlock",
            DeedKind::Drop => "drop",
            DeedKind::Revoke => "revoke",
            DeedKind::Grant => "grant",
        }
    }

    /// The kind of this word.
    pub fn parse(word: &str) -> Option<DeedKind> {
        use DeedKind::{Drop, Grant, Lock, Revoke, Unlock};
        [Lock, Unlock, Drop, Revoke, Grant].into_iter().find(|it| it.as_str() == word)
    }

    /// Whether a text is a statement for this deed on this account, as it is written here.
    pub fn is_statement(self, account: &AccountName, sql: &[u8]) -> bool {
        match self {
            DeedKind::Revoke | DeedKind::Grant => Rights::parse(self, account, sql).is_some(),
            _ => sql == self.statement(account, Way::of(sql)),
        }
    }

    /// The statement, without a semicolon, for a session whose `sql_mode` is empty. Of rights it is empty: which
    /// ones tells [`Rights`].
    pub fn statement(self, account: &AccountName, way: Way) -> Vec<u8> {
        let name = quoted_account(account);
        let (user, host) = (quoted(&account.user), quoted(&account.host));
        let deed = self.as_str().as_bytes();
        match (way, self) {
            (_, DeedKind::Revoke | DeedKind::Grant) => Vec::new(),
            (Way::Direct, DeedKind::Lock) => [b"ALTER USER ", &name[..], b" ACCOUNT LOCK"].concat(),
            (Way::Direct, DeedKind::Unlock) => {
                [b"ALTER USER ", &name[..], b" ACCOUNT UNLOCK"].concat()
            }
            (Way::Direct, DeedKind::Drop) => [b"DROP USER ", &name[..]].concat(),
            (Way::Procedure, _) => {
                [b"CALL rollcall.", deed, b"_account(", &user, b", ", &host, b")"].concat()
            }
        }
    }
}

/// How a deed is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// By the server's own statement, which takes the right to do anything to any account.
    Direct,
    /// By a procedure that looks at its target first (`rollcall setup lock-procedure`).
    Procedure,
}

impl Way {
    /// The way of a statement that [`DeedKind::statement`] has made.
    pub fn of(sql: &[u8]) -> Way {
        if sql.starts_with(b"CALL ") { Way::Procedure } else { Way::Direct }
    }
}

/// What a step rests on: where one of these is another when it is to be sent, it is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Whether the account is locked.
    pub locked: Option<bool>,
    /// Its authentication plugin.
    pub plugin: String,
    /// What is granted to it.
    pub grants_hash: Option<u64>,
    /// When its password was changed: another moment tells another account of the same name.
    pub password_changed: Option<i64>,
    /// Which server it is on; `None`: nobody noted that.
    pub server: Option<Identity>,
}

impl Facts {
    /// Those of an account, on whichever server.
    pub fn of(account: &Account) -> Facts {
        Facts {
            locked: account.locked,
            plugin: account.plugin.clone(),
            grants_hash: account.grants_hash,
            password_changed: account.password_changed,
            server: None,
        }
    }

    /// The first fact that is another now, as a person would say it; `None` where all are the same.
    pub fn changed(&self, now: &Facts) -> Option<&'static str> {
        if let (Some(then), Some(now)) = (&self.server, &now.server)
            && now.is_other(then)
        {
            return Some("another server answers under this name now");
        }
        if self.locked != now.locked {
            return Some(match now.locked {
                Some(true) => "it is locked now",
                Some(false) => "it is not locked any more",
                None => "whether it is locked cannot be read any more",
            });
        }
        if self.plugin != now.plugin {
            return Some("it authenticates in another way now");
        }
        if self.grants_hash != now.grants_hash {
            return Some("something else is granted to it now");
        }
        (self.password_changed != now.password_changed).then_some("its password was changed")
    }
}

/// One statement of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The server it is for.
    pub server: Vec<u8>,
    /// The account.
    pub account: AccountName,
    /// The statement, without a semicolon.
    pub sql: Vec<u8>,
    /// Why.
    pub why: String,
    /// What it would break or leave open.
    pub effects: Vec<String>,
    /// What it rests on.
    pub facts: Facts,
}

/// An account that something is to be done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// The server's name.
    pub server: &'a [u8],
    /// The server's accounts.
    pub snapshot: &'a Snapshot,
    /// The account, one of the snapshot's.
    pub account: &'a Account,
    /// What evidence says of it, and a sentence on that.
    pub verdict: Verdict,
    /// Why, for people: `no login in 263 days`.
    pub why: String,
    /// Where else it is named (ProxySQL, MaxScale).
    pub references: &'a [String],
    /// Since when it is known to be locked, and whether rollcall locked it.
    pub locked_since: Option<i64>,
    /// rollcall locked it, and nobody has unlocked it since.
    pub locked_by_us: bool,
    /// Sessions of it that are open, or may be.
    pub open_sessions: u64,
}

/// What is asked for, and under which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules<'a> {
    /// What is to be done.
    pub kind: DeedKind,
    /// Now, in microseconds UTC.
    pub now: i64,
    /// Accounts that an administrator protects.
    pub protected: &'a [AccountName],
    /// Also where evidence does not show that the account is unused, or where somebody else locked it.
    pub anyway: bool,
    /// Also on a replica, where a change is one that the primary does not know of.
    pub on_replica: bool,
    /// How long an account has to be locked before it is dropped, in microseconds.
    pub cool_down: i64,
}

/// Why an account is in no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is protected.
    Protected(Protection),
    /// No administrator who can log in would remain.
    LastAdministrator,
    /// It runs what others use, which would fail without it: so many things.
    Definer(usize),
    /// Evidence does not show that it is unused.
    NotUnused(Verdict),
    /// It is named elsewhere.
    Referenced(String),
    /// The server is a replica.
    Replica,
    /// The server is read-only.
    ReadOnly,
    /// It is so already.
    AlreadySo,
    /// Whether it is locked could not be read.
    LockUnknown,
    /// rollcall did not lock it.
    NotOurs,
    /// It is not locked, or not for long enough; since when.
    NotCooledDown(Option<i64>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Protected(protection) => f.write_str(protection.as_str()),
            Refusal::LastAdministrator => f.write_str("no other administrator could log in"),
            Refusal::Definer(1) => f.write_str("a view, routine, trigger or event runs as it"),
            Refusal::Definer(n) => write!(f, "{n} views, routines, triggers or events run as it"),
            Refusal::NotUnused(Verdict::Used) => f.write_str("it is in use (--anyway)"),
            Refusal::NotUnused(Verdict::Kept) => f.write_str("an exception is in force (--anyway)"),
            Refusal::NotUnused(_) => f.write_str("evidence does not show it unused (--anyway)"),
            Refusal::Referenced(place) => write!(f, "it is listed in {place}: remove it there"),
            Refusal::Replica => {
                f.write_str("the server is a replica: act on the primary (--replica)")
            }
            Refusal::ReadOnly => {
                f.write_str("the server is read-only: act where it takes changes (--replica)")
            }
            Refusal::AlreadySo => f.write_str("it is so already"),
            Refusal::LockUnknown => f.write_str("whether it is locked could not be read"),
            Refusal::NotOurs => f.write_str("rollcall did not lock it (--anyway)"),
            Refusal::NotCooledDown(None) => f.write_str("it is not locked: lock it first"),
            Refusal::NotCooledDown(Some(_)) => {
                f.write_str("it has not been locked for long enough")
            }
        }
    }
}

/// What would be sent, and what not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposal {
    /// In the order of the targets, but those on replicas behind all others: there it arrives.
    pub steps: Vec<Step>,
    /// Server, account and why not.
    pub refused: Vec<(Vec<u8>, AccountName, Refusal)>,
}

/// Makes the steps for these targets.
pub fn propose(targets: &[Target<'_>], rules: &Rules<'_>) -> Proposal {
    let mut proposal = Proposal::default();
    let mut accepted: Vec<&Target<'_>> = Vec::new();
    for target in targets {
        match refusal(target, rules) {
            Some(refusal) => proposal.refuse(target, refusal),
            None => accepted.push(target),
        }
    }
    accepted.sort_by_key(|it| it.snapshot.is_replica);
    for target in &accepted {
        let last = matches!(rules.kind, DeedKind::Lock | DeedKind::Drop)
            && is_or_holds(target.account, target.snapshot, Account::is_administrator)
            && !administrator_remains(target, &accepted);
        match last {
            true => proposal.refuse(target, Refusal::LastAdministrator),
            false => proposal.steps.push(step(target, rules.kind)),
        }
    }
    proposal
}

impl Proposal {
    fn refuse(&mut self, target: &Target<'_>, refusal: Refusal) {
        let entry = (target.server.to_vec(), target.account.name.clone(), refusal);
        self.refused.push(entry);
    }
}

fn refusal(target: &Target<'_>, rules: &Rules<'_>) -> Option<Refusal> {
    let Target { account, snapshot, .. } = target;
    if let Some(protection) = protection(account, snapshot, rules.protected) {
        return Some(Refusal::Protected(protection));
    }
    match rules.on_replica {
        false if snapshot.is_replica => return Some(Refusal::Replica),
        false if snapshot.read_only => return Some(Refusal::ReadOnly),
        _ => {}
    }
    match (rules.kind, account.locked) {
        (DeedKind::Revoke | DeedKind::Grant, _) => {}
        (DeedKind::Lock, Some(true)) | (DeedKind::Unlock, Some(false)) => {
            return Some(Refusal::AlreadySo);
        }
        (_, None) => return Some(Refusal::LockUnknown),
        _ => {}
    }
    match rules.kind {
        DeedKind::Revoke | DeedKind::Grant => None,
        DeedKind::Unlock => (!target.locked_by_us && !rules.anyway).then_some(Refusal::NotOurs),
        DeedKind::Lock => doubtful(target, rules),
        DeedKind::Drop => {
            if !account.definer_of.is_empty() {
                return Some(Refusal::Definer(account.definer_of.len()));
            }
            let since = target.locked_since.filter(|_| account.locked == Some(true));
            let cooled = since.is_some_and(|at| at <= rules.now.saturating_sub(rules.cool_down));
            if !cooled {
                return Some(Refusal::NotCooledDown(since));
            }
            doubtful(target, rules)
        }
    }
}

/// A deed that takes something away rests on evidence, or on somebody who says so.
fn doubtful(target: &Target<'_>, rules: &Rules<'_>) -> Option<Refusal> {
    if let Some(place) = target.references.first() {
        return Some(Refusal::Referenced(place.clone()));
    }
    (target.verdict != Verdict::Unused && !rules.anyway)
        .then_some(Refusal::NotUnused(target.verdict))
}

/// Whether somebody who can administer the server can still log in to it afterwards.
fn administrator_remains(target: &Target<'_>, accepted: &[&Target<'_>]) -> bool {
    let goes = |account: &Account| {
        accepted.iter().any(|it| it.server == target.server && it.account.name == account.name)
    };
    // Nobody logs in with what a server or its provider keeps for itself.
    let could = |it: &Account| !it.is_role && !is_system(it) && it.locked == Some(false);
    let snapshot = target.snapshot;
    snapshot
        .accounts
        .iter()
        .any(|it| could(it) && !goes(it) && is_or_holds(it, snapshot, Account::is_administrator))
}

fn step(target: &Target<'_>, kind: DeedKind) -> Step {
    let way = if target.snapshot.has_procedures { Way::Procedure } else { Way::Direct };
    Step {
        server: target.server.to_vec(),
        account: target.account.name.clone(),
        sql: kind.statement(&target.account.name, way),
        why: target.why.clone(),
        effects: effects(target, kind),
        facts: Facts { server: Some(target.snapshot.identity()), ..Facts::of(target.account) },
    }
}

/// The most things a step lists as running with the rights of its account.
const DEFINERS_SHOWN_MAX: usize = 3;

fn effects(target: &Target<'_>, kind: DeedKind) -> Vec<String> {
    let mut effects = Vec::new();
    let definers = &target.account.definer_of;
    if kind == DeedKind::Lock && !definers.is_empty() {
        let text = String::from_utf8_lossy;
        let shown = definers.iter().take(DEFINERS_SHOWN_MAX);
        let mut names: Vec<String> = shown
            .map(|it| format!("{} {}.{}", it.kind.to_lowercase(), text(&it.schema), text(&it.name)))
            .collect();
        let others = definers.len().saturating_sub(DEFINERS_SHOWN_MAX);
        if others > 0 {
            names.push(format!("{others} more"));
        }
        effects.push(format!("owns {} (works on while it is locked)", names.join(", ")));
    }
    let user = &target.account.name.user;
    let is_sibling = |it: &&Account| {
        it.name.user == *user && it.name != target.account.name && it.locked == Some(false)
    };
    let open: Vec<String> =
        target.snapshot.accounts.iter().filter(is_sibling).map(|it| it.name.to_string()).collect();
    if kind != DeedKind::Unlock && !open.is_empty() {
        let of_ours = "stays open for hosts that match it";
        effects.push(format!("{} {of_ours}", open.join(", ")));
    }
    if kind != DeedKind::Unlock {
        effects.push(match target.open_sessions {
            0 => "open sessions: none".to_owned(),
            open => format!("open sessions: {open}, which go on (--kill-sessions)"),
        });
    }
    effects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Definer;
    use crate::account::tests::snapshot;
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000_000;

    fn account(user: &str, rights: &[&str]) -> Account {
        Account {
            name: AccountName::new(user, "%"),
            locked: Some(false),
            global_rights: rights.iter().map(|it| (*it).to_owned()).collect(),
            ..Account::default()
        }
    }

    fn rules<'a>(kind: DeedKind) -> Rules<'a> {
        Rules {
            kind,
            now: 100 * DAY,
            protected: &[],
            anyway: false,
            on_replica: false,
            cool_down: 14 * DAY,
        }
    }

    fn targets<'a>(snapshot: &'a Snapshot, verdict: Verdict) -> Vec<Target<'a>> {
        let target = |account| Target {
            server: b"db1",
            snapshot,
            account,
            verdict,
            why: "no login in 90 days".to_owned(),
            references: &[],
            locked_since: None,
            locked_by_us: false,
            open_sessions: 0,
        };
        snapshot.accounts.iter().map(target).collect()
    }

    fn admin() -> Account {
        account("dba", &["SUPER"])
    }

    fn sole(account: Account, rules: &Rules<'_>) -> Proposal {
        let snapshot = snapshot(vec![admin(), account]);
        propose(&targets(&snapshot, Verdict::Unused)[1..], rules)
    }

    #[test]
    fn an_unused_account_is_locked_by_one_statement() {
        let proposal = sole(account("o'neil", &[]), &rules(DeedKind::Lock));
        assert_eq!(proposal.refused, []);
        let [step] = &proposal.steps[..] else { panic!("{proposal:?}") };
        assert_eq!(step.sql, b"ALTER USER 'o''neil'@'%' ACCOUNT LOCK");
    }

    #[test]
    fn where_there_are_procedures_they_are_called() {
        let mut snapshot = snapshot(vec![admin(), account("o'neil", &[])]);
        snapshot.has_procedures = true;
        let targets = targets(&snapshot, Verdict::Unused);
        let proposal = propose(&targets[1..], &rules(DeedKind::Lock));
        let sql = &proposal.steps[0].sql;
        assert_eq!(sql, b"CALL rollcall.lock_account('o''neil', '%')");
        assert_eq!(Way::of(sql), Way::Procedure);
    }

    #[test]
    fn what_protects() {
        let mut proxied = account("shared", &[]);
        proxied.is_proxied = true;
        let mut role = account("reader", &[]);
        role.is_role = true;
        let own = Account { name: AccountName::new("rollcall", "localhost"), ..account("", &[]) };
        for (account, protection) in [
            (account("root", &[]), Protection::Root),
            (account("mariadb.sys", &[]), Protection::System),
            (role, Protection::Role),
            (own, Protection::Own),
            (account("repl", &["REPLICATION SLAVE"]), Protection::Replication),
            (proxied, Protection::Proxied),
            (account("listed", &[]), Protection::Listed),
        ] {
            let listed = [AccountName::new("listed", "%")];
            for kind in [DeedKind::Lock, DeedKind::Unlock, DeedKind::Drop] {
                let rules = Rules { protected: &listed, anyway: true, ..rules(kind) };
                let proposal = sole(account.clone(), &rules);
                assert_eq!(proposal.steps, []);
                assert_eq!(proposal.refused[0].2, Refusal::Protected(protection));
            }
        }
    }

    #[test]
    fn evidence_comes_first_unless_somebody_says_so() {
        let snapshot = snapshot(vec![admin(), account("app", &[])]);
        for verdict in [Verdict::Used, Verdict::Unknown, Verdict::Kept] {
            let targets = targets(&snapshot, verdict);
            let proposal = propose(&targets[1..], &rules(DeedKind::Lock));
            assert_eq!(proposal.refused[0].2, Refusal::NotUnused(verdict));
            let rules = Rules { anyway: true, ..rules(DeedKind::Lock) };
            assert_eq!(propose(&targets[1..], &rules).steps.len(), 1);
        }
        let listed = ["mysql_users of ProxySQL".to_owned()];
        let mut targets = targets(&snapshot, Verdict::Unused);
        targets[1].references = &listed;
        let rules = Rules { anyway: true, ..rules(DeedKind::Lock) };
        let proposal = propose(&targets[1..], &rules);
        assert_eq!(proposal.refused[0].2, Refusal::Referenced(listed[0].clone()));
    }

    #[test]
    fn only_what_rollcall_locked_is_unlocked() {
        let mut locked = account("app", &[]);
        locked.locked = Some(true);
        let snapshot = snapshot(vec![admin(), locked]);
        let mut targets = targets(&snapshot, Verdict::Unused);
        let proposal = propose(&targets[1..], &rules(DeedKind::Unlock));
        assert_eq!(proposal.refused[0].2, Refusal::NotOurs);
        targets[1].locked_by_us = true;
        assert_eq!(propose(&targets[1..], &rules(DeedKind::Unlock)).steps.len(), 1);
        let proposal = propose(&targets[..1], &rules(DeedKind::Unlock));
        assert_eq!(proposal.refused[0].2, Refusal::AlreadySo);
    }

    #[test]
    fn only_what_was_locked_for_long_is_dropped() {
        let mut locked = account("app", &[]);
        locked.locked = Some(true);
        let check = |account: &Account, since: Option<i64>| {
            let snapshot = snapshot(vec![admin(), account.clone()]);
            let mut targets = targets(&snapshot, Verdict::Unused);
            targets[1].locked_since = since;
            let proposal = propose(&targets[1..], &rules(DeedKind::Drop));
            proposal.refused.first().map(|it| it.2.clone())
        };
        assert_eq!(check(&locked, None), Some(Refusal::NotCooledDown(None)));
        let since = Some(86 * DAY + 1);
        assert_eq!(check(&locked, since), Some(Refusal::NotCooledDown(since)));
        assert_eq!(check(&locked, Some(86 * DAY)), None);
        let mut open = locked.clone();
        open.locked = Some(false);
        assert_eq!(check(&open, Some(0)), Some(Refusal::NotCooledDown(None)));
        let view = Definer { kind: "VIEW", schema: b"shop".to_vec(), name: b"v".to_vec() };
        locked.definer_of.push(view);
        assert_eq!(check(&locked, Some(0)), Some(Refusal::Definer(1)));
    }

    #[test]
    fn replicas_are_left_alone_unless_told() {
        let mut snapshot = snapshot(vec![admin(), account("app", &[])]);
        snapshot.is_replica = true;
        let targets = targets(&snapshot, Verdict::Unused);
        let proposal = propose(&targets[1..], &rules(DeedKind::Lock));
        assert_eq!(proposal.refused[0].2, Refusal::Replica);
        let told = Rules { on_replica: true, ..rules(DeedKind::Lock) };
        assert_eq!(propose(&targets[1..], &told).steps.len(), 1);
        snapshot.is_replica = false;
        snapshot.read_only = true;
        let targets = self::targets(&snapshot, Verdict::Unused);
        let proposal = propose(&targets[1..], &rules(DeedKind::Lock));
        assert_eq!(proposal.refused[0].2, Refusal::ReadOnly);
        assert_eq!(propose(&targets[1..], &told).steps.len(), 1);
    }

    #[test]
    fn what_stays_open_is_told() {
        let mut other = account("app", &[]);
        other.name.host = b"127.0.0.2".to_vec();
        let mut locked = account("app", &[]);
        locked.definer_of =
            vec![Definer { kind: "VIEW", schema: b"shop".to_vec(), name: b"v_old".to_vec() }];
        let snapshot = snapshot(vec![admin(), locked, other]);
        let targets = targets(&snapshot, Verdict::Unused);
        let proposal = propose(&targets[1..2], &rules(DeedKind::Lock));
        assert_eq!(
            proposal.steps[0].effects,
            [
                "owns view shop.v_old (works on while it is locked)",
                "'app'@'127.0.0.2' stays open for hosts that match it",
                "open sessions: none",
            ]
        );
    }

    proptest! {
        /// Whatever the account table is: nothing protected is in a plan, and somebody can still
        /// administer the server.
        #[test]
        fn no_plan_takes_the_last_administrator_or_what_is_protected(
            accounts in prop::collection::vec(
                (
                    prop::sample::select(vec!["root", "dba", "ops", "app", "repl", "mysql.sys"]),
                    0..4u8, any::<bool>(), any::<bool>(), any::<bool>(),
                ), 1..8),
            drop in any::<bool>(),
        ) {
            let accounts: Vec<Account> = accounts.iter().map(|&(user, host, is_admin, locked, replicates)| {
                let mut rights = Vec::new();
                if is_admin { rights.push("CREATE USER") }
                if replicates { rights.push("REPLICATION SLAVE") }
                let mut account = account(user, &rights);
                account.name.host = host.to_string().into_bytes();
                account.locked = Some(locked);
                account
            }).collect();
            let mut accounts = accounts;
            accounts.sort_by(|a, b| a.name.cmp(&b.name));
            accounts.dedup_by(|a, b| a.name == b.name);
            let snapshot = snapshot(accounts);
            let mut targets = targets(&snapshot, Verdict::Unused);
            for target in &mut targets {
                target.locked_since = Some(0);
            }
            let kind = if drop { DeedKind::Drop } else { DeedKind::Lock };
            let rules = Rules { anyway: true, ..rules(kind) };
            let proposal = propose(&targets, &rules);
            let could = |it: &&Account| it.is_administrator() && it.locked == Some(false);
            let before = snapshot.accounts.iter().filter(could).count();
            let planned = |it: &Account| proposal.steps.iter().any(|step| step.account == it.name);
            let after = snapshot.accounts.iter().filter(could).filter(|it| !planned(it)).count();
            prop_assert!(before == 0 || after > 0);
            for account in snapshot.accounts.iter().filter(|it| planned(it)) {
                prop_assert_eq!(protection(account, &snapshot, &[]), None);
            }
        }
    }
}
