//! Accounts as a server grants them, and what was read of them: plain values that the live server fills
//! in, the ledger keeps, and every judgement rests on.
//!
//! ```text
//! 'app'@'10.0.%'      an account: user name and host pattern
//! 'app'@'10.0.0.7'    what a log tells: user name and client host; no account
//! ```
//!
//! Names are bytes: servers hold what clients of any character set have written. What is written into SQL
//! goes through [`quoted`].
//!
//! # Invariants
//! * No password hash, nor any other secret, has a place here.
//! * Times are microseconds UTC.

use std::fmt;

/// The two kinds of server, which match, list and lock accounts in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// MariaDB.
    MariaDb,
    /// MySQL, and what is made of it (Percona Server).
    MySql,
}

impl Family {
    /// The name as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::MariaDb => "MariaDB",
            Family::MySql => "MySQL",
        }
    }

    /// The family of this name.
    pub fn parse(name: &str) -> Option<Family> {
        [Family::MariaDb, Family::MySql].into_iter().find(|it| it.as_str() == name)
    }
}

/// A server's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Which kind of server.
    pub family: Family,
    /// As `10`, `11`, `6`.
    pub number: (u16, u16, u16),
    /// What `SELECT version()` says: `10.11.6-MariaDB-0+deb12u1-log`.
    pub text: String,
}

impl Version {
    /// Reads what `SELECT version()` says. MariaDB names itself; the `5.5.5-` that old ones put before
    /// their version for old replicas is left aside. `None` where it does not begin with a number.
    ///
    /// ```
    /// use verdict::account::{Family, Version};
    ///
    /// let version = Version::parse("5.5.5-10.11.6-MariaDB-log").unwrap();
    /// assert_eq!((version.family, version.number), (Family::MariaDb, (10, 11, 6)));
    /// assert_eq!(Version::parse("9.7.0").unwrap().family, Family::MySql);
    /// ```
    pub fn parse(text: &str) -> Option<Version> {
        let is_mariadb = text.to_ascii_lowercase().contains("mariadb");
        let family = if is_mariadb { Family::MariaDb } else { Family::MySql };
        let told = text.strip_prefix("5.5.5-").filter(|_| is_mariadb).unwrap_or(text);
        let end = told.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(told.len());
        let mut numbers = told[..end].split('.').map(|number| number.parse::<u16>().ok());
        let major = numbers.next()??;
        let mut next = || numbers.next().flatten().unwrap_or(0);
        Some(Version { family, number: (major, next(), next()), text: text.to_owned() })
    }
}

/// What the server grants: `'user'@'host pattern'`. A role has an empty pattern (MariaDB) or `%` (MySQL).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AccountName {
    /// The user name; empty for an anonymous account.
    pub user: Vec<u8>,
    /// The host pattern.
    pub host: Vec<u8>,
}

impl AccountName {
    /// An account of these names.
    pub fn new(user: impl Into<Vec<u8>>, host: impl Into<Vec<u8>>) -> AccountName {
        AccountName { user: user.into(), host: host.into() }
    }

    /// Reads an account as people write it: `'app'@'10.%'`, `app@10.%`, `"app"@'%'`, `` `app`@`%` ``. A
    /// quote inside quotes is doubled or stands behind a backslash. Without quotes the last `@` parts user
    /// and host. Without a host it is `%`.
    ///
    /// ```
    /// use verdict::account::AccountName;
    ///
    /// let name = AccountName::parse(br"'o''neil'@'10.%'").unwrap();
    /// assert_eq!(name, AccountName::new("o'neil", "10.%"));
    /// assert_eq!(AccountName::parse(b"app").unwrap(), AccountName::new("app", "%"));
    /// assert!(AccountName::parse(b"'app").is_none());
    /// ```
    pub fn parse(text: &[u8]) -> Option<AccountName> {
        let (user, rest) = match text.first() {
            Some(b'\'' | b'"' | b'`') => unquote(text)?,
            _ => match text.iter().rposition(|&byte| byte == b'@') {
                Some(at) => (text[..at].to_vec(), &text[at..]),
                None => (text.to_vec(), &[][..]),
            },
        };
        let host = match rest.split_first() {
            None => b"%".to_vec(),
            Some((b'@', host)) => match host.first() {
                Some(b'\'' | b'"' | b'`') => {
                    let (host, behind) = unquote(host)?;
                    behind.is_empty().then_some(host)?
                }
                _ => host.to_vec(),
            },
            Some(_) => return None,
        };
        Some(AccountName { user, host })
    }
}

/// As SQL writes it, lossily where the bytes are not UTF-8: for people, not for a server.
impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\'', "''");
        write!(f, "'{}'@'{}'", text(&self.user), text(&self.host))
    }
}

/// The text in quotes at the beginning, and what stands behind it.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let quote = *text.first()?;
    let (mut name, mut i) = (Vec::new(), 1);
    loop {
        match *text.get(i)? {
            b'\\' if quote != b'`' => {
                name.push(*text.get(i + 1)?);
                i += 2;
            }
            byte if byte == quote => {
                if text.get(i + 1) != Some(&quote) {
                    return Some((name, &text[i + 1..]));
                }
                name.push(quote);
                i += 2;
            }
            byte => {
                name.push(byte);
                i += 1;
            }
        }
    }
}

/// A string literal of SQL for a session whose `sql_mode` is empty: single quotes and backslashes are
/// doubled, nothing else is changed, so that the literal stays in the character set of the name.
///
/// ```
/// assert_eq!(verdict::account::quoted(br"o'ne\il"), br"'o''ne\\il'");
/// ```
pub fn quoted(text: &[u8]) -> Vec<u8> {
    let mut literal = Vec::with_capacity(text.len() + 2);
    literal.push(b'\'');
    for &byte in text {
        if byte == b'\'' || byte == b'\\' {
            literal.push(byte);
        }
        literal.push(byte);
    }
    literal.push(b'\'');
    literal
}

/// `'user'@'host'` as a statement names an account, for a session whose `sql_mode` is empty.
pub fn quoted_account(name: &AccountName) -> Vec<u8> {
    [quoted(&name.user), quoted(&name.host)].join(&b'@')
}

/// One account of a server, as it was when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Its name.
    pub name: AccountName,
    /// It is a role: nobody logs in with it.
    pub is_role: bool,
    /// The authentication plugin; empty for a role or where the server does not tell.
    pub plugin: String,
    /// `ACCOUNT LOCK`; `None` where that could not be read.
    pub locked: Option<bool>,
    /// The password has expired (sandbox mode at login); `None` where that could not be read.
    pub expired: Option<bool>,
    /// When the password was changed last: the account existed then. `None` where the server does not tell
    /// (accounts of the operating system, expired ones).
    pub password_changed: Option<i64>,
    /// Names of its global privileges, sorted, as `SHOW PRIVILEGES` writes them in upper case: `RELOAD`,
    /// `BINLOG ADMIN`.
    pub global_rights: Vec<String>,
    /// A hash over all that is granted to it (global, databases, tables, columns, routines, roles,
    /// proxies), so that a change is noticed; `None` where that could not be read.
    pub grants_hash: Option<u64>,
    /// Roles granted to it.
    pub roles: Vec<AccountName>,
    /// Its default roles.
    pub default_roles: Vec<AccountName>,
    /// Views, routines, triggers and events that run with its rights.
    pub definer_of: Vec<Definer>,
    /// Accounts that it may act as (`GRANT PROXY`).
    pub proxies_for: Vec<AccountName>,
    /// It is the target of a proxy: logins show another name.
    pub is_proxied: bool,
}

impl Account {
    /// Has it a right by which it can lock, drop or make other accounts, or take itself such a right?
    pub fn is_administrator(&self) -> bool {
        const ADMINISTRATIVE: [&str; 6] =
            ["SUPER", "CREATE USER", "ALL PRIVILEGES", "SYSTEM_USER", "ROLE_ADMIN", "GRANT OPTION"];
        self.global_rights.iter().any(|right| ADMINISTRATIVE.contains(&right.as_str()))
    }

    /// Is it what replicas log in with?
    pub fn is_replication(&self) -> bool {
        const REPLICATION: [&str; 4] = [
            "REPLICATION SLAVE",
            "REPLICATION REPLICA",
            "GROUP_REPLICATION_STREAM",
            "REPLICATION_APPLIER",
        ];
        self.global_rights.iter().any(|right| REPLICATION.contains(&right.as_str()))
    }
}

/// Something that runs with the rights of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Definer {
    /// `VIEW`, `PROCEDURE`, `FUNCTION`, `PACKAGE`, `TRIGGER` or `EVENT`.
    pub kind: &'static str,
    /// The schema it is in.
    pub schema: Vec<u8>,
    /// Its name.
    pub name: Vec<u8>,
}

/// Sessions of an account, or connections counted for it, that the server itself knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The user name as the server tells it.
    pub user: Vec<u8>,
    /// The client host without its port, as the server tells it.
    pub host: Vec<u8>,
    /// The source.
    pub kind: ActivityKind,
    /// Sessions open now.
    pub open: u64,
    /// What the source counts of sessions, if it does: connections, or (MySQL) statements. It may begin anew at
    /// any time.
    pub total: Option<u64>,
}

/// Where an [`Activity`] was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActivityKind {
    /// `information_schema.PROCESSLIST` or `performance_schema.processlist`.
    Processlist,
    /// MariaDB's `performance_schema.accounts`; of MySQL, which counts refused logins there as well, the
    /// statements that were run.
    PerformanceSchema,
    /// MariaDB's `information_schema.USER_STATISTICS` (`userstat=1`): the host is unknown there.
    UserStatistics,
}

/// What tells one server from another that answers under the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Which kind of server.
    pub family: Family,
    /// As [`Snapshot::server_uuid`].
    pub uuid: String,
    /// As [`Snapshot::hostname`].
    pub hostname: Vec<u8>,
}

impl Identity {
    /// Is this another server than that one, or may it be? `@@server_uuid` of MySQL decides. `@@server_uid` of
    /// MariaDB is made of network address and port, which containers share on all machines, so that the host
    /// name has to be the same as well. What one of them does not tell says nothing.
    pub fn is_other(&self, than: &Identity) -> bool {
        let differs = |a: &[u8], b: &[u8]| !a.is_empty() && !b.is_empty() && a != b;
        let has_uuids = !self.uuid.is_empty() && !than.uuid.is_empty();
        let by_uuid = differs(self.uuid.as_bytes(), than.uuid.as_bytes());
        let by_name = differs(&self.hostname, &than.hostname);
        self.family != than.family
            || by_uuid
            || (by_name && !(has_uuids && self.family == Family::MySql))
    }
}

/// For people: `db1 (8e2861e2-…)`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hostname = String::from_utf8_lossy(&self.hostname);
        match self.uuid.is_empty() {
            true => write!(f, "{hostname}"),
            false => write!(f, "{hostname} ({})", self.uuid),
        }
    }
}

/// Something that could not be read, and what would mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is not known for want of it: `whether accounts are locked`.
    pub what: String,
    /// The server's error number.
    pub error: u32,
    /// The statement that mends it, ready to be sent; empty where none does.
    pub remedy: String,
}

/// All that was read of one server's accounts in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Which server it is: kind and version.
    pub version: Version,
    /// What the server calls itself: `@@hostname`.
    pub hostname: Vec<u8>,
    /// `@@server_uuid` (MySQL) or `@@server_uid` (MariaDB from 10.10 on); empty where there is none.
    pub server_uuid: String,
    /// When it was read, by this machine's clock.
    pub at: i64,
    /// When the server was started, by its own clock.
    pub started: Option<i64>,
    /// The account that this session was matched to (`CURRENT_USER()`).
    pub own: AccountName,
    /// Client names are not looked up: hosts are addresses.
    pub skip_name_resolve: bool,
    /// `@@read_only` or more.
    pub read_only: bool,
    /// It replicates from another server.
    pub is_replica: bool,
    /// `@@init_connect` is set and not empty.
    pub has_init_connect: bool,
    /// This session may lock and unlock accounts by procedures that look at their target first.
    pub has_procedures: bool,
    /// Every account and role, sorted by name.
    pub accounts: Vec<Account>,
    /// What the server knows of sessions.
    pub activity: Vec<Activity>,
    /// What could not be read.
    pub missing: Vec<Missing>,
}

impl Snapshot {
    /// Of a server of this version at this time, in microseconds UTC; nothing else is known of it.
    pub fn new(version: Version, at: i64) -> Snapshot {
        Snapshot {
            version,
            hostname: Vec::new(),
            server_uuid: String::new(),
            at,
            started: None,
            own: AccountName::default(),
            skip_name_resolve: false,
            read_only: false,
            is_replica: false,
            has_init_connect: false,
            has_procedures: false,
            accounts: Vec::new(),
            activity: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// What tells the server from others.
    pub fn identity(&self) -> Identity {
        Identity {
            family: self.version.family,
            uuid: self.server_uuid.clone(),
            hostname: self.hostname.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A server with these accounts, at which nothing is odd.
    pub(crate) fn snapshot(accounts: Vec<Account>) -> Snapshot {
        Snapshot {
            hostname: b"db1".to_vec(),
            own: AccountName::new("rollcall", "localhost"),
            accounts,
            ..Snapshot::new(Version::parse("10.11.6-MariaDB").unwrap(), 0)
        }
    }

    #[test]
    fn versions_of_both_families() {
        for (text, expected) in [
            ("10.11.6-MariaDB-0+deb12u1-log", Some((Family::MariaDb, (10, 11, 6)))),
            ("5.5.5-10.6.3-MariaDB", Some((Family::MariaDb, (10, 6, 3)))),
            ("11.8.6-MariaDB-0+deb13u1 from Debian", Some((Family::MariaDb, (11, 8, 6)))),
            ("9.7.4", Some((Family::MySql, (9, 7, 4)))),
            ("8.4.0-0ubuntu1", Some((Family::MySql, (8, 4, 0)))),
            ("8", Some((Family::MySql, (8, 0, 0)))),
            ("5.5.5-2", Some((Family::MySql, (5, 5, 5)))),
            ("", None),
            ("Vitess", None),
        ] {
            let version = Version::parse(text);
            assert_eq!(version.map(|it| (it.family, it.number)), expected, "{text}");
        }
    }

    #[test]
    fn accounts_as_people_write_them() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = AccountName::parse(text.as_bytes());
            assert_eq!(found, expected.map(|(user, host)| AccountName::new(user, host)), "{text}");
        };
        check("'app'@'%'", Some(("app", "%")));
        check("app@10.0.%", Some(("app", "10.0.%")));
        check("a@b@host", Some(("a@b", "host")));
        check("'a@b'@host", Some(("a@b", "host")));
        check("`a``b`@\"h\"", Some(("a`b", "h")));
        check(r"'a\'b'@'%'", Some(("a'b", "%")));
        check("''@'localhost'", Some(("", "localhost")));
        check("'app'", Some(("app", "%")));
        check("", Some(("", "%")));
        check("'app'@'%'x", None);
        check("'app'x", None);
        check("'app'@'%", None);
        check(r"'app\", None);
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        for name in ["plain", "o'neil", r"back\slash", r"both\''", "line\nbreak", "", "ünï"] {
            let literal = quoted_account(&AccountName::new(name, name));
            assert_eq!(AccountName::parse(&literal), Some(AccountName::new(name, name)), "{name}");
        }
    }
    #[test]
    fn another_server_by_what_it_tells() {
        let check = |family, (a, b): ((&str, &str), (&str, &str)), expected: bool| {
            let identity = |(uuid, hostname): (&str, &str)| Identity {
                family,
                uuid: uuid.to_owned(),
                hostname: hostname.into(),
            };
            let (a, b) = (identity(a), identity(b));
            assert_eq!((a.is_other(&b), b.is_other(&a)), (expected, expected), "{a:?} {b:?}");
        };
        for family in [Family::MariaDb, Family::MySql] {
            check(family, (("u", "db1"), ("u", "db1")), false);
            check(family, (("u", "db1"), ("v", "db1")), true);
            // Old servers have none.
            check(family, (("", "db1"), ("v", "db1")), false);
            check(family, (("", "db1"), ("v", "db2")), true);
            check(family, (("", "db1"), ("", "db2")), true);
            check(family, (("u", ""), ("u", "db2")), false);
        }
        check(Family::MySql, (("u", "db1"), ("u", "db2")), false);
        check(Family::MariaDb, (("u", "db1"), ("u", "db2")), true);
        let maria = Identity { family: Family::MariaDb, uuid: "u".into(), hostname: b"h".into() };
        assert!(maria.is_other(&Identity { family: Family::MySql, ..maria.clone() }));
        assert_eq!(maria.to_string(), "h (u)");
    }
}
