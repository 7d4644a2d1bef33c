//! What rollcall's own account may do, too little or too much, and how it gets there.

use std::collections::BTreeSet;

use super::{Finding, Level, Server};
use crate::account::{Account, AccountName, quoted_account};

/// Rights by which whoever gets hold of the account takes over the server, or changes what it holds. None is
/// needed to read accounts; to lock them a procedure does (`rollcall setup lock-procedure`).
const POWERFUL: [&str; 26] = [
    "ALL PRIVILEGES",
    "SUPER",
    "CREATE USER",
    "GRANT OPTION",
    "ROLE_ADMIN",
    "SYSTEM_USER",
    "SET USER",
    "SET_USER_ID",
    "SET_ANY_DEFINER",
    "INSERT",
    "UPDATE",
    "DELETE",
    "DELETE HISTORY",
    "CREATE",
    "ALTER",
    "DROP",
    "INDEX",
    "CREATE VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "FILE",
    "SHUTDOWN",
    "RELOAD",
    "SELECT",
    "SYSTEM_VARIABLES_ADMIN",
    "BINLOG ADMIN",
];

/// More of them than these are counted, not named.
const NAMED_MAX: usize = 4;

/// One account has so many of them that it was made to administrate.
const ADMINISTRATOR_MIN: usize = 8;

pub(super) fn rights(server: &Server<'_>) -> Vec<Finding> {
    let mut findings = too_few(server);
    findings.push(too_many(server));
    findings
}

fn too_few(server: &Server<'_>) -> Vec<Finding> {
    const ID: &str = "rights-missing";
    let missing = &server.snapshot.missing;
    if missing.is_empty() {
        return vec![Finding::well(
            ID,
            format!("{} may read all it asks for", server.snapshot.own),
        )];
    }
    let finding = |it: &crate::account::Missing| {
        let error = match it.error {
            0 => String::new(),
            error => format!(" (error {error})"),
        };
        let what = format!("{} may not read {}{error}", server.snapshot.own, it.what);
        const COST: &str = "answers on accounts say less than they could";
        let finding = Finding::new(ID, Level::Warn, what, COST);
        match it.remedy.is_empty() {
            true => finding,
            false => finding.mended_by(it.remedy.as_str()),
        }
    };
    missing.iter().map(finding).collect()
}

fn too_many(server: &Server<'_>) -> Finding {
    const ID: &str = "rights-too-many";
    let snapshot = server.snapshot;
    if !snapshot.accounts.iter().any(|it| it.name == snapshot.own) {
        let what = format!("what {} may do could not be read", snapshot.own);
        return Finding::unseen(ID, what, "rollcall setup monitor");
    }
    let (held, through_roles) = held(&snapshot.accounts, &snapshot.own);
    let held: Vec<&str> = POWERFUL.into_iter().filter(|it| held.contains(it)).collect();
    if held.is_empty() {
        return Finding::well(ID, format!("{} may change nothing", snapshot.own));
    }
    let named = held[..held.len().min(NAMED_MAX)].join(", ");
    let more = match held.len() - held.len().min(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = format!("{} has {named}{more} on everything", snapshot.own);
    const COST: &str = "whoever gets hold of its password or option file can do the same";
    let own = String::from_utf8_lossy(&quoted_account(&snapshot.own)).into_owned();
    let remedy = match &held[..] {
        ["CREATE USER"] if !snapshot.has_procedures => "rollcall setup lock-procedure".to_owned(),
        held if held.len() >= ADMINISTRATOR_MIN || through_roles => {
            "rollcall setup monitor, and lock-procedure where it is to lock".to_owned()
        }
        held => format!("REVOKE {} ON *.* FROM {own}", held.join(", ")),
    };
    // Reading all data is bad enough to be said, and no way to take the server over.
    let level = if held == ["SELECT"] { Level::Info } else { Level::Warn };
    Finding::new(ID, level, what, COST).mended_by(remedy)
}

/// The global rights of an account and of its roles; whether some come from a role.
fn held<'a>(accounts: &'a [Account], own: &AccountName) -> (BTreeSet<&'a str>, bool) {
    let (mut rights, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let (mut open, mut through_roles) = (vec![own], false);
    while let Some(name) = open.pop() {
        let Some(account) = accounts.iter().find(|it| it.name == *name) else { continue };
        if !seen.insert(name) {
            continue;
        }
        let powerful = account.global_rights.iter().map(String::as_str);
        let powerful: Vec<&str> = powerful.filter(|it| POWERFUL.contains(it)).collect();
        through_roles |= account.is_role && !powerful.is_empty();
        rights.extend(powerful);
        open.extend(&account.roles);
    }
    (rights, through_roles)
}

/// TLS to a server on another machine.
pub(super) fn network(server: &Server<'_>) -> Finding {
    const ID: &str = "tls";
    let place = server.option_file.unwrap_or("its option file");
    let mended = |finding: Finding| {
        finding
            .mended_by("ssl-ca=/etc/rollcall/ca.pem and ssl-verify-server-cert under [client]")
            .at(place)
    };
    match server.network {
        None => Finding::well(ID, "it is reached on this machine"),
        Some(network) if !network.is_encrypted => {
            const COST: &str = "accounts and statements can be read and changed on the way";
            mended(Finding::new(ID, Level::Error, "it is asked over a network without TLS", COST))
        }
        Some(network) if !network.is_verified => {
            const COST: &str = "somebody on the way can pass for the server, and take the login";
            let what = "TLS to it is used, and whose certificate it is not verified";
            mended(Finding::new(ID, Level::Warn, what, COST))
        }
        Some(_) => Finding::well(ID, "it is asked over TLS, and its certificate is verified"),
    }
}
