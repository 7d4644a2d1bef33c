//! MariaDB's accounts: `mysql.global_priv`, one JSON object a row.
//!
//! ```text
//! {"access":1,"version_id":101119,"plugin":"mysql_native_password","authentication_string":"*B6…",
//!  "password_last_changed":1795878791,"default_role":"r1","account_locked":true}
//! ```
//!
//! `access` has a bit for each right (`sql/privilege.h`); what a bit means depends on `version_id`, the version
//! that wrote the row, which rows from before 10.5.2 lack. `mysql.user` is a view of it without the lock.

use verdict::account::{Account, AccountName};

use super::{Look, bytes, is_past_life, number, text};
use crate::error::{LiveError, grant};

/// Names of the bits of `access`, from bit 0 on (`sql/privilege.h`).
const RIGHTS: [&str; 40] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "RELOAD",
    "SHUTDOWN",
    "PROCESS",
    "FILE",
    "GRANT OPTION",
    "REFERENCES",
    "INDEX",
    "ALTER",
    "SHOW DATABASES",
    "SUPER",
    "CREATE TEMPORARY TABLES",
    "LOCK TABLES",
    "EXECUTE",
    "REPLICATION SLAVE",
    "BINLOG MONITOR",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "CREATE USER",
    "EVENT",
    "TRIGGER",
    "CREATE TABLESPACE",
    "DELETE HISTORY",
    "SET USER",
    "FEDERATED ADMIN",
    "CONNECTION ADMIN",
    "READ_ONLY ADMIN",
    "REPLICATION SLAVE ADMIN",
    "REPLICATION MASTER ADMIN",
    "BINLOG ADMIN",
    "BINLOG REPLAY",
    "SLAVE MONITOR",
    "SHOW CREATE ROUTINE",
];

/// Bits that `GRANT ALL` sets in every version from 10.5.9 on.
const ALL: u64 = (1 << 39) - 1 - (1 << 10);

/// Rights that SUPER included before they had names of their own (`GLOBAL_SUPER_ADDED_SINCE_USER_TABLE_ACLS`).
const ONCE_SUPER: [&str; 7] = [
    "SET USER",
    "FEDERATED ADMIN",
    "CONNECTION ADMIN",
    "READ_ONLY ADMIN",
    "REPLICATION SLAVE ADMIN",
    "BINLOG ADMIN",
    "BINLOG REPLAY",
];

/// Columns of the view `mysql.user` that stand for the first 30 bits, in their order.
const VIEW_RIGHTS: &str = "Select_priv, Insert_priv, Update_priv, Delete_priv, Create_priv, Drop_priv, \
    Reload_priv, Shutdown_priv, Process_priv, File_priv, Grant_priv, References_priv, Index_priv, Alter_priv, \
    Show_db_priv, Super_priv, Create_tmp_table_priv, Lock_tables_priv, Execute_priv, Repl_slave_priv, \
    Repl_client_priv, Create_view_priv, Show_view_priv, Create_routine_priv, Alter_routine_priv, \
    Create_user_priv, Event_priv, Trigger_priv, Create_tablespace_priv, Delete_history_priv";

impl Look<'_> {
    pub(super) fn mariadb_accounts(&mut self) -> Result<(), LiveError> {
        let filter = self.filter("User", "Host");
        let sql = format!(
            "SELECT User, Host, JSON_VALUE(Priv, '$.is_role'), JSON_VALUE(Priv, '$.plugin'), \
             JSON_VALUE(Priv, '$.account_locked'), JSON_VALUE(Priv, '$.password_last_changed'), \
             JSON_VALUE(Priv, '$.password_lifetime'), JSON_VALUE(Priv, '$.access'), \
             JSON_VALUE(Priv, '$.version_id'), JSON_VALUE(Priv, '$.default_role') \
             FROM mysql.global_priv{filter}"
        );
        let granted = "SELECT ON mysql.global_priv";
        let missing = self.missing.len();
        let Some(rows) = self.read("whether accounts are locked", granted, &sql)? else {
            return self.mariadb_view(missing);
        };
        for row in &rows {
            let name = AccountName::new(bytes(row, 0), bytes(row, 1));
            let is_role = bytes(row, 2) == b"1";
            let changed = number(row[5].as_deref());
            // 0 says that it has expired, not when it was changed.
            let password_changed = changed.filter(|&at| at > 0).map(|at| at * 1_000_000);
            let lifetime = number(row[6].as_deref());
            let past = is_past_life(
                password_changed,
                lifetime,
                self.standing.password_lifetime(),
                self.standing.now,
            );
            let access = text(row, 7).parse::<u64>().unwrap_or(0);
            let default_role = bytes(row, 9);
            // `SET DEFAULT ROLE NONE` leaves an empty name.
            let noted = row[9].clone().filter(|role| !role.is_empty());
            self.hashes.add(&name, b"global", &[row[7].clone(), noted]);
            let account = Account {
                is_role,
                plugin: text(row, 3),
                locked: Some(bytes(row, 4) == b"1"),
                expired: Some(changed == Some(0) || past),
                password_changed,
                global_rights: rights(access, number(row[8].as_deref())),
                default_roles: role(default_role),
                name: name.clone(),
                ..Account::default()
            };
            self.accounts.insert(name, account);
        }
        Ok(())
    }

    /// The view, where the table may not be read: no locks, and only the rights of before 10.5.
    fn mariadb_view(&mut self, missing: usize) -> Result<(), LiveError> {
        let filter = self.filter("User", "Host");
        let sql = format!(
            "SELECT User, Host, is_role, plugin, password_expired, default_role, {VIEW_RIGHTS} \
             FROM mysql.user{filter}"
        );
        // What mends it is noted already: the table tells all that the view does.
        let rows = match self.server.try_ask("reading accounts", sql.as_bytes())? {
            Ok(rows) => rows,
            Err(_) => {
                let noted = self.missing.get(missing);
                return Err(LiveError::Refused {
                    server: self.server.name().to_owned(),
                    what: "SELECT on mysql.global_priv".to_owned(),
                    error: noted.map_or(0, |noted| noted.error as u16),
                    remedy: grant("SELECT ON mysql.global_priv", self.server.own()),
                });
            }
        };
        self.hashes.incomplete();
        for row in &rows {
            let name = AccountName::new(bytes(row, 0), bytes(row, 1));
            let granted =
                RIGHTS.iter().zip(&row[6..]).filter(|(_, flag)| flag.as_deref() == Some(b"Y"));
            let mut global_rights: Vec<String> =
                granted.map(|(right, _)| (*right).to_owned()).collect();
            global_rights.sort();
            let account = Account {
                is_role: bytes(row, 2) == b"Y",
                plugin: text(row, 3),
                expired: Some(bytes(row, 4) == b"Y"),
                default_roles: role(bytes(row, 5)),
                global_rights,
                name: name.clone(),
                ..Account::default()
            };
            self.accounts.insert(name, account);
        }
        Ok(())
    }
}

fn role(name: Vec<u8>) -> Vec<AccountName> {
    if name.is_empty() { Vec::new() } else { vec![AccountName::new(name, "")] }
}

/// Names of the rights that `access` stands for, sorted, as the server reads a row of that version.
fn rights(access: u64, version: Option<i64>) -> Vec<String> {
    let mut names: Vec<&str> = RIGHTS
        .iter()
        .enumerate()
        .filter(|(bit, _)| access >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    let has = |names: &[&str], right: &str| names.contains(&right);
    let version = version.unwrap_or(0);
    if version < 100_502 && has(&names, "SUPER") {
        names.extend(ONCE_SUPER);
    }
    if version < 100_502 && has(&names, "REPLICATION SLAVE") {
        names.push("REPLICATION MASTER ADMIN");
    }
    if version < 100_509 && has(&names, "REPLICATION SLAVE ADMIN") {
        names.push("SLAVE MONITOR");
    }
    // `GRANT ALL` sets all bits that the version knows but GRANT OPTION; an installation's own rows have all 64.
    if access & ALL == ALL {
        names.push("ALL PRIVILEGES");
    }
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_a_row_by_the_version_that_wrote_it() {
        assert!(rights(0, Some(101_119)).is_empty());
        assert_eq!(rights(1 | 1 << 6, Some(101_119)), ["RELOAD", "SELECT"]);
        assert_eq!(rights(1 << 36, Some(101_119)), ["BINLOG ADMIN"]);
        assert!(rights(ALL, Some(101_119)).contains(&"ALL PRIVILEGES".to_owned()));
        assert!(!rights(ALL - 1, Some(101_119)).contains(&"ALL PRIVILEGES".to_owned()));
        assert!(rights(1 << 15, None).contains(&"CONNECTION ADMIN".to_owned()));
        assert_eq!(rights(1 << 15, Some(101_119)), ["SUPER"]);
        assert!(rights(u64::MAX, None).contains(&"ALL PRIVILEGES".to_owned()));
    }
}
