//! What is granted below the global rights, and roles and proxies: read from the tables that hold it, put into
//! one hash an account.
//!
//! # Invariants
//! * The hash covers rows as the server stores them, without who granted them and when. It is the same whatever
//!   the order of the rows, on any machine, in any version of this program that knows the same tables.
//! * It is 64 bits of SHA-256: whoever may choose names of tables cannot make a second set of grants with the
//!   hash of the first.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use verdict::account::{Account, AccountName, Family};

use super::{Look, bytes};
use crate::error::LiveError;

/// Hashes of the rows of each account.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    rows: BTreeMap<AccountName, Vec<[u8; 32]>>,
    is_incomplete: bool,
}

impl Hashes {
    /// A row of an account: which table, and its columns.
    pub(super) fn add(&mut self, name: &AccountName, table: &[u8], columns: &[Option<Vec<u8>>]) {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        put(table);
        for column in columns {
            // NULL is not the empty text.
            put(if column.is_some() { b"+" } else { b"-" });
            put(column.as_deref().unwrap_or_default());
        }
        self.rows.entry(name.clone()).or_default().push(hash.finalize().into());
    }

    /// A table could not be read: no hash is told.
    pub(super) fn incomplete(&mut self) {
        self.is_incomplete = true;
    }

    /// `None` where something could not be read.
    pub(super) fn finish(mut self) -> Option<Hashes> {
        self.rows.values_mut().for_each(|rows| rows.sort_unstable());
        (!self.is_incomplete).then_some(self)
    }

    /// The hash of an account, also of one without any row.
    pub(super) fn of(&self, name: &AccountName) -> u64 {
        let mut hash = Sha256::new();
        for row in self.rows.get(name).map_or(&[][..], |rows| rows) {
            hash.update(row);
        }
        let digest: [u8; 32] = hash.finalize().into();
        u64::from_le_bytes(digest[..8].try_into().unwrap_or_default())
    }
}

/// A table of grants: what is not known without it, its name, and the columns beside user and host.
struct Table {
    what: &'static str,
    name: &'static str,
    user: &'static str,
    host: &'static str,
    columns: &'static str,
}

/// Tables that both families have.
const TABLES: [Table; 5] = [
    Table {
        what: "which rights accounts have in schemas",
        name: "mysql.db",
        user: "User",
        host: "Host",
        columns: "mysql.db.*",
    },
    Table {
        what: "which rights accounts have in tables",
        name: "mysql.tables_priv",
        user: "User",
        host: "Host",
        columns: "Db, Table_name, Table_priv, Column_priv",
    },
    Table {
        what: "which rights accounts have in columns",
        name: "mysql.columns_priv",
        user: "User",
        host: "Host",
        columns: "Db, Table_name, Column_name, Column_priv",
    },
    Table {
        what: "which rights accounts have in routines",
        name: "mysql.procs_priv",
        user: "User",
        host: "Host",
        columns: "Db, Routine_name, Routine_type, Proc_priv",
    },
    PROXIES,
];

const PROXIES: Table = Table {
    what: "which accounts may act as another",
    name: "mysql.proxies_priv",
    user: "User",
    host: "Host",
    columns: "Proxied_user, Proxied_host, With_grant",
};

/// Roles of MariaDB: the first column is the role's name.
const MARIADB_ROLES: Table = Table {
    what: "which roles accounts have",
    name: "mysql.roles_mapping",
    user: "User",
    host: "Host",
    columns: "Role, '', Admin_option",
};

/// Roles of MySQL.
const MYSQL_ROLES: Table = Table {
    what: "which roles accounts have",
    name: "mysql.role_edges",
    user: "TO_USER",
    host: "TO_HOST",
    columns: "FROM_USER, FROM_HOST, WITH_ADMIN_OPTION",
};

impl Look<'_> {
    pub(super) fn grants(&mut self) -> Result<(), LiveError> {
        for table in &TABLES {
            self.table(table, |account, other| {
                if table.name == PROXIES.name {
                    account.proxies_for.push(other);
                }
            })?;
        }
        let family = self.family();
        let roles = match family {
            Family::MariaDb => MARIADB_ROLES,
            Family::MySql => MYSQL_ROLES,
        };
        self.table(&roles, |account, role| account.roles.push(role))?;
        if family == Family::MySql {
            self.granted_are_roles()?;
        }
        Ok(())
    }

    /// Reads a table into the hashes; tells `with` of each row's account, and of the first two columns as a name.
    fn table(
        &mut self,
        table: &Table,
        with: impl Fn(&mut Account, AccountName),
    ) -> Result<(), LiveError> {
        let Table { what, name, user, host, columns } = table;
        let filter = self.filter(user, host);
        let sql = format!("SELECT {user}, {host}, {columns} FROM {name}{filter}");
        let Some(rows) = self.read(what, &format!("SELECT ON {name}"), &sql)? else {
            self.hashes.incomplete();
            return Ok(());
        };
        for row in rows {
            let account = AccountName::new(bytes(&row, 0), bytes(&row, 1));
            self.hashes.add(&account, name.as_bytes(), &row[2..]);
            if let Some(account) = self.accounts.get_mut(&account) {
                with(account, AccountName::new(bytes(&row, 2), bytes(&row, 3)));
            }
        }
        Ok(())
    }

    /// On MySQL, what was granted to somebody is a role.
    fn granted_are_roles(&mut self) -> Result<(), LiveError> {
        let filter = self.filter("FROM_USER", "FROM_HOST");
        let sql = format!("SELECT DISTINCT FROM_USER, FROM_HOST FROM mysql.role_edges{filter}");
        let granted = "SELECT ON mysql.role_edges";
        for row in self.read(MYSQL_ROLES.what, granted, &sql)?.unwrap_or_default() {
            let role = AccountName::new(bytes(&row, 0), bytes(&row, 1));
            if let Some(account) = self.accounts.get_mut(&role) {
                account.is_role = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(rows: &[(&str, &[Option<&str>])]) -> u64 {
        let name = AccountName::new("app", "%");
        let mut hashes = Hashes::default();
        for (table, columns) in rows {
            let columns: Vec<_> =
                columns.iter().map(|text| text.map(|text| text.as_bytes().to_vec())).collect();
            hashes.add(&name, table.as_bytes(), &columns);
        }
        hashes.finish().unwrap().of(&name)
    }

    #[test]
    fn the_order_of_rows_does_not_show_all_else_does() {
        let (one, two) = (("db", &[Some("a"), Some("Y")][..]), ("db", &[Some("b"), Some("Y")][..]));
        assert_eq!(hash(&[one, two]), hash(&[two, one]));
        let all = [
            hash(&[]),
            hash(&[one]),
            hash(&[one, one]),
            hash(&[one, two]),
            hash(&[("tables", one.1)]),
            hash(&[("db", &[Some("aY"), Some("")])]),
            hash(&[("db", &[Some("a"), None])]),
            hash(&[("db", &[Some("a"), Some("")])]),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        assert_eq!(hash(&[]), 0x141c_fc98_42c4_b0e3);
        assert_eq!(hash(&[("mysql.db", &[Some("shop"), Some("Y"), None])]), 0x536b132a485db112);
    }

    #[test]
    fn nothing_is_told_of_what_was_read_in_part() {
        let mut hashes = Hashes::default();
        hashes.incomplete();
        assert!(hashes.finish().is_none());
    }
}
