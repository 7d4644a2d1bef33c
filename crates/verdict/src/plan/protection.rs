//! Accounts that are in no plan, whatever is asked for.

use std::collections::BTreeSet;

use crate::account::{Account, AccountName, Snapshot};

/// Why nothing is ever done to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// The superuser.
    Root,
    /// The server's, its distribution's or its host's own.
    System,
    /// A role.
    Role,
    /// This program's own.
    Own,
    /// Replicas log in with it.
    Replication,
    /// Others log in as it.
    Proxied,
    /// An administrator lists it.
    Listed,
}

impl Protection {
    /// The reason in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Protection::Root => "root",
            Protection::System => "system account",
            Protection::Role => "role",
            Protection::Own => "rollcall's own account",
            Protection::Replication => "replication account",
            Protection::Proxied => "others log in as it (proxy)",
            Protection::Listed => "protected by configuration",
        }
    }
}

/// Accounts that servers, their packages and providers make for themselves.
pub const SYSTEM: [&str; 13] = [
    "mariadb.sys",
    "mysql.sys",
    "mysql.session",
    "mysql.infoschema",
    "mysql",
    "PUBLIC",
    "debian-sys-maint",
    "rdsadmin",
    "rdsrepladmin",
    "rdstopmgr",
    "azure_superuser",
    "cloudsqladmin",
    "aurora",
];

/// What protects an account; `None` for one that is not.
pub fn protection(
    account: &Account,
    snapshot: &Snapshot,
    listed: &[AccountName],
) -> Option<Protection> {
    let user = account.name.user.as_slice();
    let is = |name: &AccountName| *name == account.name;
    if account.is_role {
        return Some(Protection::Role);
    }
    if user == b"root" {
        return Some(Protection::Root);
    }
    if is_system(account) {
        return Some(Protection::System);
    }
    if is(&snapshot.own) {
        return Some(Protection::Own);
    }
    if is_or_holds(account, snapshot, Account::is_replication) {
        return Some(Protection::Replication);
    }
    if account.is_proxied || snapshot.accounts.iter().any(|it| it.proxies_for.iter().any(is)) {
        return Some(Protection::Proxied);
    }
    listed.iter().any(is).then_some(Protection::Listed)
}

/// Whether this holds for an account, or for a role that it has, or that one of its roles has.
pub(super) fn is_or_holds(
    account: &Account,
    snapshot: &Snapshot,
    what: fn(&Account) -> bool,
) -> bool {
    let (mut open, mut seen) = (vec![account], BTreeSet::new());
    while let Some(one) = open.pop() {
        if what(one) {
            return true;
        }
        let new = one.roles.iter().filter(|name| seen.insert(*name));
        let named = |name: &AccountName| snapshot.accounts.iter().find(|it| it.name == *name);
        open.extend(new.filter_map(named));
    }
    false
}

pub(super) fn is_system(account: &Account) -> bool {
    SYSTEM.iter().any(|name| name.as_bytes() == account.name.user)
}
