//! MySQL's accounts: `mysql.user`, by columns that hold no secret, and `mysql.global_grants`.
//!
//! A role is an account that was granted to another (`mysql.role_edges`), is somebody's default role, or is
//! mandatory. One that is none of these cannot be told from a locked account without reading its password.

use std::collections::BTreeSet;

use verdict::account::{Account, AccountName};

use super::{Look, bytes, is_past_life, micros, number, text};
use crate::error::{LiveError, grant};

/// Columns of `mysql.user` with the names of the rights they stand for.
const RIGHTS: [(&str, &str); 31] = [
    ("Select_priv", "SELECT"),
    ("Insert_priv", "INSERT"),
    ("Update_priv", "UPDATE"),
    ("Delete_priv", "DELETE"),
    ("Create_priv", "CREATE"),
    ("Drop_priv", "DROP"),
    ("Reload_priv", "RELOAD"),
    ("Shutdown_priv", "SHUTDOWN"),
    ("Process_priv", "PROCESS"),
    ("File_priv", "FILE"),
    ("Grant_priv", "GRANT OPTION"),
    ("References_priv", "REFERENCES"),
    ("Index_priv", "INDEX"),
    ("Alter_priv", "ALTER"),
    ("Show_db_priv", "SHOW DATABASES"),
    ("Super_priv", "SUPER"),
    ("Create_tmp_table_priv", "CREATE TEMPORARY TABLES"),
    ("Lock_tables_priv", "LOCK TABLES"),
    ("Execute_priv", "EXECUTE"),
    ("Repl_slave_priv", "REPLICATION SLAVE"),
    ("Repl_client_priv", "REPLICATION CLIENT"),
    ("Create_view_priv", "CREATE VIEW"),
    ("Show_view_priv", "SHOW VIEW"),
    ("Create_routine_priv", "CREATE ROUTINE"),
    ("Alter_routine_priv", "ALTER ROUTINE"),
    ("Create_user_priv", "CREATE USER"),
    ("Event_priv", "EVENT"),
    ("Trigger_priv", "TRIGGER"),
    ("Create_tablespace_priv", "CREATE TABLESPACE"),
    ("Create_role_priv", "CREATE ROLE"),
    ("Drop_role_priv", "DROP ROLE"),
];

const NAMES: &str = "User, Host";
const STATE: &str = "User, Host, plugin, account_locked, password_expired, password_last_changed, \
    password_lifetime";

impl Look<'_> {
    pub(super) fn mysql_accounts(&mut self) -> Result<(), LiveError> {
        let columns: Vec<&str> = RIGHTS.iter().map(|(column, _)| *column).collect();
        let all = format!("{STATE}, {}", columns.join(", "));
        let granted = format!("SELECT ({all}) ON mysql.user");
        let selected = |columns: &str, filter: &str| {
            let columns = columns.replace(
                "password_last_changed",
                "UNIX_TIMESTAMP(password_last_changed) AS password_last_changed",
            );
            format!("SELECT {columns} FROM mysql.user{filter}")
        };
        let filter = self.filter("User", "Host");
        // From all that is wanted down to the names alone.
        let steps = [
            ("which global rights accounts have", &all[..]),
            ("whether accounts are locked", STATE),
        ];
        let mut found = None;
        for (what, columns) in steps {
            found = self.read(what, &granted, &selected(columns, &filter))?;
            if found.is_some() {
                break;
            }
            self.hashes.incomplete();
        }
        let rows = match found {
            Some(rows) => rows,
            None => self
                .server
                .try_ask("reading accounts", selected(NAMES, &filter).as_bytes())?
                .map_err(|error| LiveError::Refused {
                server: self.server.name().to_owned(),
                what: "SELECT on mysql.user".to_owned(),
                error,
                remedy: grant(&granted, self.server.own()),
            })?,
        };
        for row in &rows {
            let name = AccountName::new(bytes(row, 0), bytes(row, 1));
            let knows_state = row.len() > 2;
            let flag = |column| knows_state.then(|| bytes(row, column) == b"Y");
            let password_changed =
                row.get(5).and_then(|at| micros(at.as_deref())).filter(|&at| at > 0);
            let past = is_past_life(
                password_changed,
                row.get(6).and_then(|days| number(days.as_deref())),
                self.standing.password_lifetime(),
                self.standing.now,
            );
            let rights = row.get(7..).unwrap_or_default();
            let granted =
                RIGHTS.iter().zip(rights).filter(|(_, flag)| flag.as_deref() == Some(b"Y"));
            self.hashes.add(&name, b"global", rights);
            let account = Account {
                plugin: text(row, 2),
                locked: flag(3),
                expired: flag(4).map(|expired| expired || past),
                password_changed,
                global_rights: granted.map(|((_, right), _)| (*right).to_owned()).collect(),
                name: name.clone(),
                ..Account::default()
            };
            self.accounts.insert(name, account);
        }
        self.mysql_dynamic()?;
        self.mysql_roles()
    }

    /// Rights that are rows of their own: `BINLOG_ADMIN`, `SYSTEM_USER`, …
    fn mysql_dynamic(&mut self) -> Result<(), LiveError> {
        let filter = self.filter("USER", "HOST");
        let rows = self.read(
            "which dynamic rights accounts have",
            "SELECT ON mysql.global_grants",
            &format!("SELECT USER, HOST, PRIV, WITH_GRANT_OPTION FROM mysql.global_grants{filter}"),
        )?;
        if rows.is_none() {
            self.hashes.incomplete();
        }
        for row in rows.unwrap_or_default() {
            let name = AccountName::new(bytes(&row, 0), bytes(&row, 1));
            self.hashes.add(&name, b"dynamic", &row[2..]);
            if let Some(account) = self.accounts.get_mut(&name) {
                account.global_rights.push(text(&row, 2).to_ascii_uppercase());
            }
        }
        for account in self.accounts.values_mut() {
            account.global_rights.sort();
        }
        Ok(())
    }

    fn mysql_roles(&mut self) -> Result<(), LiveError> {
        let filter = self.filter("USER", "HOST");
        let what = "which roles accounts take on at login";
        let rows = self.read(
            what,
            "SELECT ON mysql.default_roles",
            &format!(
                "SELECT USER, HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles{filter}"
            ),
        )?;
        if rows.is_none() {
            self.hashes.incomplete();
        }
        let mut roles = BTreeSet::new();
        for row in rows.unwrap_or_default() {
            let name = AccountName::new(bytes(&row, 0), bytes(&row, 1));
            let role = AccountName::new(bytes(&row, 2), bytes(&row, 3));
            self.hashes.add(&name, b"default role", &row[2..]);
            roles.insert(role.clone());
            if let Some(account) = self.accounts.get_mut(&name) {
                account.default_roles.push(role);
            }
        }
        let mandatory = self.standing.text("mandatory_roles").to_vec();
        for role in mandatory.split(|&byte| byte == b',') {
            roles.extend(AccountName::parse(role.trim_ascii()));
        }
        for role in roles {
            if let Some(account) = self.accounts.get_mut(&role) {
                account.is_role = true;
            }
        }
        Ok(())
    }
}
