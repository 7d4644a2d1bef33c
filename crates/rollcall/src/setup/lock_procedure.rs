//! `rollcall setup lock-procedure`: deeds without the rights to do anything else.
//!
//! Whoever may lock an account in MariaDB (`CREATE USER`) may lock root and change its password. So
//! rollcall's own account gets no such right, but the right to run four procedures that look at their
//! target first:
//!
//! ```text
//! CALL rollcall.lock_account('sam', '10.%')       ALTER USER 'sam'@'10.%' ACCOUNT LOCK
//! CALL rollcall.unlock_account('sam', '10.%')     only what lock_account has locked
//! CALL rollcall.drop_account('sam', '10.%')       the same, and only after some days
//! CALL rollcall.kill_session(8812, 'sam')         KILL, if the session is still sam's
//! ```
//!
//! They run with the rights of an account that nobody can log in with. What they refuse is error 1644
//! (SQLSTATE 45000), `rollcall refuses: a system account`. The statements stand in `sql/`, one file a
//! family.
//!
//! # What they rest on
//! * A routine keeps the `sql_mode` and character sets of the session that made it. The script sets both
//!   first, so `QUOTE()` is read back as it was written, whatever the caller's mode is.
//! * The names in the statement are those of the account's row, not those of the caller.
//! * What cannot be checked is refused.

use verdict::account::{AccountName, Family};
use verdict::plan::SYSTEM;

use super::script::Script;
use super::server::{ServerFacts, account, identifier, literal, nobody, schema_pattern};

const MARIADB: &str = include_str!("sql/lock_procedure.mariadb.sql");
const MYSQL: &str = include_str!("sql/lock_procedure.mysql.sql");

/// How everything is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LockNames {
    /// The schema of procedures and tables.
    pub(crate) schema: String,
    /// Whose rights they run with.
    pub(crate) definer: AccountName,
    /// Who may call them.
    pub(crate) agent: AccountName,
    /// How many days an account has to be locked before it may be dropped.
    pub(crate) cool_down_days: u32,
}

/// The procedures.
const PROCEDURES: [&str; 4] = ["lock_account", "unlock_account", "drop_account", "kill_session"];

/// The statements.
///
/// # Errors
/// A message where the server is too old, or the definer is rollcall's own account.
pub(crate) fn lock_procedure(server: &ServerFacts, names: &LockNames) -> Result<Script, String> {
    server.require((10, 5), (8, 0), "locked definers and rights for ending sessions are there")?;
    if names.agent.user == names.definer.user {
        let user = String::from_utf8_lossy(&names.agent.user);
        return Err(format!("{user:?} cannot be the definer: it would have its rights"));
    }
    let system: Vec<String> = SYSTEM.iter().map(|name| literal(name.as_bytes())).collect();
    let words = [
        ("schema", identifier(&names.schema)),
        ("schema_pattern", schema_pattern(&names.schema)),
        ("definer", account(&names.definer)),
        ("definer_user", literal(&names.definer.user)),
        ("nobody", nobody(server.version.family).to_owned()),
        ("agent", account(&names.agent)),
        ("agent_user", literal(&names.agent.user)),
        ("system", system.join(", ")),
        ("lock_name", literal(format!("{}.deeds", names.schema).as_bytes())),
        ("cool_down_days", names.cool_down_days.to_string()),
    ];
    let words: Vec<(&str, &str)> =
        words.iter().map(|(name, word)| (*name, word.as_str())).collect();
    let mut script = Script::default();
    script.note(server.heading("Procedures that lock, unlock and drop accounts and end sessions"));
    present(&mut script, server, names);
    script.note(format!(
        "{agent} must be there: rollcall setup monitor. It must have no other rights than those that \
         come from there and from here: with CREATE USER, with rights on {schema} or on mysql (CREATE \
         TEMPORARY TABLES among them) it could go round the procedures.",
        agent = account(&names.agent),
        schema = identifier(&names.schema),
    ));
    let template = match server.version.family {
        Family::MariaDb => MARIADB,
        Family::MySql => MYSQL,
    };
    script.template(template, &words);
    script.note(format!(
        "Protect an account: INSERT INTO {0}.protected (user, host, reason) VALUES ('app', '%', 'shop').",
        identifier(&names.schema)
    ));
    script.note(match server.version.family {
        Family::MariaDb => format!(
            "Where this server is read_only and accounts are to be locked on it all the same: GRANT \
             READ_ONLY ADMIN ON *.* TO {}.",
            account(&names.definer)
        ),
        Family::MySql => "Accounts with SYSTEM_USER cannot be locked by it, and nothing under \
            super_read_only."
            .to_owned(),
    });
    Ok(script)
}

/// Says what is there already.
fn present(script: &mut Script, server: &ServerFacts, names: &LockNames) {
    let Some(present) = &server.present else { return };
    let there: Vec<&str> =
        PROCEDURES.into_iter().filter(|it| present.routines.iter().any(|own| own == it)).collect();
    if !there.is_empty() {
        script.note(format!(
            "{} has already: {}. They are made anew, as their texts may be older; protected and deeds keep \
             their rows.",
            identifier(&names.schema),
            there.join(", ")
        ));
    }
    if present.rights.is_empty() {
        script.note(format!(
            "{} is not there, or we may not see it: rollcall setup monitor first, or what it may call cannot \
             be granted.",
            account(&names.agent)
        ));
    }
}
