//! `rollcall setup monitor`: rollcall's own account, and the least that it needs to tell of accounts.
//!
//! It reads who there is, who is locked and what is granted, never a password hash where the server lets
//! that be told apart, and no data. What may be left out is said beside each grant: then rollcall does not
//! know it, and says so.
//!
//! # Facts (seen on MariaDB 10.11, 11.8 and MySQL 9.7)
//! * `SHOW VIEW` alone shows the definers of all views; `SELECT ON *.*` is not needed for it.
//! * MariaDB's `mysql.user` is a view that does not tell who is locked; `mysql.global_priv` does, in the JSON
//!   that also holds the hashes: there is no grant for a part of it.

use live::facts::Right;
use verdict::account::{AccountName, Family};

use super::script::Script;
use super::server::{ServerFacts, account, nobody};

/// What is wanted of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MonitorOptions {
    pub(crate) account: AccountName,
    /// It logs in with a password instead of by the system user of the same name.
    pub(crate) password: bool,
}

/// Columns of MySQL's `mysql.user` that are read: all but the password hash, limits and TLS.
const MYSQL_USER: &str = "User, Host, plugin, account_locked, password_expired, password_last_changed, \
    password_lifetime, Select_priv, Insert_priv, Update_priv, Delete_priv, Create_priv, Drop_priv, \
    Reload_priv, Shutdown_priv, Process_priv, File_priv, Grant_priv, References_priv, Index_priv, \
    Alter_priv, Show_db_priv, Super_priv, Create_tmp_table_priv, Lock_tables_priv, Execute_priv, \
    Repl_slave_priv, Repl_client_priv, Create_view_priv, Show_view_priv, Create_routine_priv, \
    Alter_routine_priv, Create_user_priv, Event_priv, Trigger_priv, Create_tablespace_priv, \
    Create_role_priv, Drop_role_priv";

/// Grants: why, and what. The account stands behind ` TO `.
type Grants<'a> = &'a [(&'a str, &'a str)];

const BOTH: Grants<'_> = &[
    ("Which rights accounts have in schemas.", "SELECT ON mysql.db"),
    ("In tables.", "SELECT ON mysql.tables_priv"),
    ("In columns.", "SELECT ON mysql.columns_priv"),
    ("In routines.", "SELECT ON mysql.procs_priv"),
    ("Who may log in as somebody else.", "SELECT ON mysql.proxies_priv"),
];

const MARIADB: Grants<'_> = &[
    (
        "Who there is, who is locked. The table holds password hashes, too: rollcall reads single values of \
         it, and stores none of them.",
        "SELECT ON mysql.global_priv",
    ),
    ("Who has which role.", "SELECT ON mysql.roles_mapping"),
    ("Sessions of others, and sizes of InnoDB's files.", "PROCESS ON *.*"),
    ("Whether it is a replica: accounts are then judged with those of the primary.", {
        "SLAVE MONITOR ON *.*"
    }),
    ("Sizes of binary logs. May be left out where no quota is checked.", "BINLOG MONITOR ON *.*"),
    (
        "Whose routines there are: accounts that run something are not dropped.",
        "SELECT (db, name, type, definer) ON mysql.proc",
    ),
    ("Whose events.", "SELECT (db, name, definer) ON mysql.event"),
    (
        "Whose views, and sizes of tables of all engines; no data of them. May be left out where nothing is \
         ever dropped and no quota checked.",
        "SHOW VIEW ON *.*",
    ),
    (
        "Whose triggers. It also allows to make triggers: leave it out where nothing is ever dropped.",
        "TRIGGER ON *.*",
    ),
];

const MYSQL: Grants<'_> = &[
    ("Which dynamic rights accounts have.", "SELECT ON mysql.global_grants"),
    ("Who has which role.", "SELECT ON mysql.role_edges"),
    ("Which roles count from the login on.", "SELECT ON mysql.default_roles"),
    ("Sessions of others, and sizes of InnoDB's files.", "PROCESS ON *.*"),
    (
        "Which accounts were used since the start. accounts would count refused logins as well.",
        "SELECT ON performance_schema.events_statements_summary_by_account_by_event_name",
    ),
    (
        "Whether it is a replica: accounts are then judged with those of the primary. And sizes of binary logs.",
        "REPLICATION CLIENT ON *.*",
    ),
    (
        "Whose views, and sizes of tables of all engines; no data of them. May be left out where nothing is \
         ever dropped and no quota checked.",
        "SHOW VIEW ON *.*",
    ),
    ("Whose routines: accounts that run something are not dropped.", "SHOW_ROUTINE ON *.*"),
    (
        "Whose triggers. It also allows to make triggers: leave it out where nothing is ever dropped.",
        "TRIGGER ON *.*",
    ),
    (
        "Whose events. It also allows to make events: leave it out where nothing is ever dropped.",
        "EVENT ON *.*",
    ),
];

/// The statements.
///
/// # Errors
/// A message where the server is too old.
pub(crate) fn monitor(server: &ServerFacts, options: &MonitorOptions) -> Result<Script, String> {
    server.require((10, 5), (8, 0), "the tables that are read are there")?;
    let family = server.version.family;
    let name = account(&options.account);
    let mut script = Script::default();
    script.note(server.heading("rollcall's own account"));
    script.session();
    let is_there = server.present.as_ref().is_some_and(|it| !it.rights.is_empty());
    match is_there {
        true => script.note(format!("{name} is there already.")),
        false => make(&mut script, family, options, &name),
    }
    let user = format!("SELECT ({MYSQL_USER}) ON mysql.user");
    let columns = [(
        "Who there is, who is locked, which rights they have; without the password hashes.",
        user.as_str(),
    )];
    let grants: [Grants<'_>; 3] = match family {
        Family::MariaDb => [&MARIADB[..2], BOTH, &MARIADB[2..]],
        Family::MySql => [&columns, BOTH, MYSQL],
    };
    let rights = server.present.as_ref().map_or(&[][..], |it| &it.rights);
    let (held, lacking): (Vec<_>, Vec<_>) =
        grants.into_iter().flatten().copied().partition(|(_, what)| holds(rights, what));
    if !held.is_empty() {
        let held: Vec<&str> = held.iter().map(|(_, what)| *what).collect();
        script.note(format!("{name} has already: {}.", held.join("; ")));
    }
    for (why, what) in lacking {
        script.sql(why, format!("GRANT {what} TO {name}"));
    }
    if family == Family::MariaDb {
        match server.variable("performance_schema") {
            Some(Some("OFF") | None) => {}
            _ if holds(rights, "SELECT ON performance_schema.accounts") => {}
            _ => script.sql(
                "How often accounts connected since the start, where performance_schema is on.",
                format!("GRANT SELECT ON performance_schema.accounts TO {name}"),
            ),
        }
    }
    script.note("It can change nothing. For locking: rollcall setup lock-procedure.");
    let client = match options.password {
        false => "[client] with user and socket",
        true => "[client] with user, password and socket, mode 0600",
    };
    script.note(format!(
        "rollcall finds its way by defaults_file of the [[server]] in rollcall.toml: {client}."
    ));
    Ok(script)
}

/// Whether an account has all that a grant gives, `SELECT (a, b) ON mysql.proc`.
fn holds(rights: &[Right], what: &str) -> bool {
    let Some((privilege, object)) = what.rsplit_once(" ON ") else { return false };
    let (schema, table) = object.split_once('.').unwrap_or((object, "*"));
    let (privilege, columns) = match privilege.split_once(" (") {
        Some((privilege, columns)) => (privilege, columns.trim_end_matches(')')),
        None => (privilege, ""),
    };
    let part = |text: &str| if text == "*" { String::new() } else { text.to_owned() };
    columns.split(',').map(str::trim).all(|column| {
        rights.iter().any(|it| {
            it.privilege.eq_ignore_ascii_case(privilege)
                && (&it.schema, &it.table) == (&part(schema), &part(table))
                && it.column.eq_ignore_ascii_case(column)
        })
    })
}

fn make(script: &mut Script, family: Family, options: &MonitorOptions, name: &str) {
    if options.password {
        script.sql(
            "Locked and without a password that fits, until you set one.",
            format!("CREATE USER IF NOT EXISTS {name} {}", nobody(family)),
        );
        script.note(format!(
            "Then, with a password of yours in place of the dots: ALTER USER {name} IDENTIFIED BY '…' \
             ACCOUNT UNLOCK;"
        ));
        return;
    }
    let user = String::from_utf8_lossy(&options.account.user).into_owned();
    let why = format!(
        "Without a password: the socket tells the server who the system user is, and only {user:?} gets in."
    );
    match family {
        Family::MariaDb => {
            script.sql(why, format!("CREATE USER IF NOT EXISTS {name} IDENTIFIED VIA unix_socket"))
        }
        Family::MySql => {
            script.note(
                "The plugin auth_socket must be there (SHOW PLUGINS); else first: INSTALL PLUGIN \
                 auth_socket SONAME 'auth_socket.so'; or take --password.",
            );
            script
                .sql(why, format!("CREATE USER IF NOT EXISTS {name} IDENTIFIED WITH auth_socket"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Part;
    use super::super::server::tests::server;
    use super::*;

    fn text(version: &str, password: bool) -> String {
        let options =
            MonitorOptions { account: AccountName::new("rollcall", "localhost"), password };
        let script = monitor(&server(version), &options).unwrap();
        let sql = script.parts.into_iter().filter_map(|part| match part {
            Part::Sql(statement) => Some(statement.sql),
            _ => None,
        });
        sql.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn no_grant_reaches_data_or_changes_accounts() {
        for version in ["10.11.6-MariaDB", "9.7.4"] {
            let text = text(version, false);
            for wrong in ["SELECT ON *.*", "authentication_string", "CREATE USER ON", "ALL"] {
                assert!(!text.contains(wrong), "{version}: {wrong}");
            }
            let is_known = |line: &str| {
                line.ends_with("TO 'rollcall'@'localhost'")
                    || ["CREATE USER IF NOT", "SET "].iter().any(|it| line.starts_with(it))
            };
            assert!(text.lines().all(is_known), "{text}");
        }
    }

    #[test]
    fn only_what_is_lacking_is_granted() {
        let right = |privilege: &str, schema: &str, table: &str, column: &str| Right {
            privilege: privilege.to_owned(),
            schema: schema.to_owned(),
            table: table.to_owned(),
            column: column.to_owned(),
        };
        let rights = [
            right("PROCESS", "", "", ""),
            right("SELECT", "mysql", "db", ""),
            right("SELECT", "mysql", "event", "db"),
            right("SELECT", "mysql", "event", "name"),
            right("SHOW VIEW", "shop", "", ""),
        ];
        for (what, expected) in [
            ("PROCESS ON *.*", true),
            ("SELECT ON mysql.db", true),
            ("SELECT ON *.*", false),
            ("SELECT ON mysql.tables_priv", false),
            ("SELECT (db, name) ON mysql.event", true),
            ("SELECT (db, name, definer) ON mysql.event", false),
            ("SHOW VIEW ON *.*", false),
        ] {
            assert_eq!(holds(&rights, what), expected, "{what}");
        }
    }

    #[test]
    fn no_password_is_ever_one_that_somebody_knows() {
        for version in ["10.11.6-MariaDB", "9.7.4"] {
            let text = text(version, true);
            let made = text.lines().find(|it| it.starts_with("CREATE USER")).unwrap();
            assert!(made.ends_with("ACCOUNT LOCK"), "{made}");
            assert!(!text.contains("IDENTIFIED BY"), "{text}");
        }
    }
}
