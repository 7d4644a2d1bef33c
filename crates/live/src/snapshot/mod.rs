//! All that a server tells of its accounts, read in one go: a few questions a kind, not one an account.
//!
//! Each question may be refused on its own. What is then not known is a [`Missing`] with the statement that
//! mends it for the account that asks; only a server that shows no list of accounts at all is an error.
//!
//! # Invariants
//! * No password hash is asked for: of MariaDB's `global_priv` single values are, of MySQL's `user` single
//!   columns.
//! * The order in which a server lists rows does not show: accounts are sorted, and the hash over grants does not
//!   depend on it.

pub(crate) mod activity;
mod definers;
mod grants;
mod mariadb;
mod mysql;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use verdict::account::{Account, AccountName, Activity, Family, Missing, Snapshot};

use crate::deed;
use crate::error::{LiveError, grant};
use crate::server::{Row, Server, is_exactly};
use grants::Hashes;

/// Error numbers by which a server says that a right is missing: for a column, a table, a schema, a routine, and
/// for what needs a right by name.
const REFUSALS: [u16; 8] = [1142, 1143, 1044, 1227, 1370, 1045, 1141, 1410];

/// Error numbers by which it says that it does not have the thing at all: an older version, an engine that is off.
const ABSENT: [u16; 5] = [1146, 1109, 1193, 1286, 1049];

/// Reads all that [`Snapshot`] holds. `now_us` becomes its time.
///
/// # Errors
/// [`LiveError::Refused`] where no list of accounts can be read, with the statement that mends it; what
/// [`Server`] answers with otherwise. What else is refused is in [`Snapshot::missing`].
pub fn snapshot(server: &mut Server, now_us: i64) -> Result<Snapshot, LiveError> {
    let standing = standing(server)?;
    let mut look = Look::new(server, None, &standing);
    look.accounts()?;
    look.definers()?;
    let (activity, is_replica) = (look.activity()?, look.is_replica()?);
    let (accounts, missing) = look.finish();
    let has_procedures = deed::has_procedures(server)?;
    Ok(Snapshot {
        version: server.version().clone(),
        hostname: standing.text("hostname").to_vec(),
        server_uuid: standing.server_uuid(),
        at: now_us,
        started: standing.started,
        own: server.own().clone(),
        skip_name_resolve: standing.is_on("skip_name_resolve"),
        read_only: standing.is_on("read_only") || standing.is_on("super_read_only"),
        is_replica,
        has_init_connect: !standing.text("init_connect").is_empty(),
        has_procedures,
        accounts,
        activity,
        missing,
    })
}

/// One account as [`snapshot`] would tell of it, without definers and sessions. `None` where there is none.
pub(crate) fn one(server: &mut Server, name: &AccountName) -> Result<Option<Account>, LiveError> {
    let standing = standing(server)?;
    let mut look = Look::new(server, Some(name), &standing);
    look.accounts()?;
    let (accounts, _) = look.finish();
    Ok(accounts.into_iter().find(|account| account.name == *name))
}

/// Does it replicate from another server? `None` where that may not be read.
pub(crate) fn is_replica(server: &mut Server) -> Result<Option<bool>, LiveError> {
    let standing = standing(server)?;
    let mut look = Look::new(server, None, &standing);
    let is_replica = look.is_replica()?;
    Ok(look.missing.is_empty().then_some(is_replica))
}

/// Does the error number say that a right is missing?
pub(crate) fn is_refusal(error: u16) -> bool {
    REFUSALS.contains(&error)
}

/// Variables that matter to a snapshot, and the server's clock.
pub(crate) struct Standing {
    variables: HashMap<String, Vec<u8>>,
    /// The server's clock.
    pub(crate) now: i64,
    /// When it was started.
    pub(crate) started: Option<i64>,
}

impl Standing {
    pub(crate) fn text(&self, name: &str) -> &[u8] {
        self.variables.get(name).map_or(b"", |value| value)
    }

    /// `ON`, `1`; and what MariaDB's `read_only` says from version 12 on (`NO_LOCK`, `NO_LOCK_NO_ADMIN`).
    pub(crate) fn is_on(&self, name: &str) -> bool {
        !matches!(self.text(name), b"" | b"OFF" | b"0" | b"NO")
    }

    fn server_uuid(&self) -> String {
        let uuid = self.text("server_uuid");
        let told = if uuid.is_empty() { self.text("server_uid") } else { uuid };
        String::from_utf8_lossy(told).into_owned()
    }

    /// Days after which a password expires where the account does not say; 0 for never.
    fn password_lifetime(&self) -> i64 {
        number(Some(self.text("default_password_lifetime"))).unwrap_or(0)
    }
}

/// Reads the variables and the clock.
pub(crate) fn standing(server: &mut Server) -> Result<Standing, LiveError> {
    let doing = "reading its variables";
    let rows = server.ask(
        doing,
        b"SHOW GLOBAL VARIABLES WHERE Variable_name IN ('hostname', 'server_uuid', 'server_uid', \
          'skip_name_resolve', 'read_only', 'super_read_only', 'init_connect', 'performance_schema', \
          'userstat', 'default_password_lifetime', 'mandatory_roles', 'thread_handling')",
    )?;
    let mut variables = HashMap::new();
    for row in rows {
        if let [Some(name), value] = &row[..] {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            variables.insert(name, value.clone().unwrap_or_default());
        }
    }
    let rows = server.ask(doing, b"SELECT UNIX_TIMESTAMP(NOW(6))")?;
    let now = rows
        .first()
        .and_then(|row| micros(row.first()?.as_deref()))
        .ok_or_else(|| server.odd(doing, "its clock is no number"))?;
    let rows = server.ask(doing, b"SHOW GLOBAL STATUS LIKE 'Uptime'")?;
    let uptime = rows.first().and_then(|row| number(row.get(1)?.as_deref()));
    let started = uptime.map(|seconds| (now / 1_000_000 - seconds) * 1_000_000);
    Ok(Standing { variables, now, started })
}

/// What is being put together.
struct Look<'s> {
    server: &'s mut Server,
    /// Read this account only.
    only: Option<&'s AccountName>,
    standing: &'s Standing,
    accounts: BTreeMap<AccountName, Account>,
    hashes: Hashes,
    missing: Vec<Missing>,
    /// Rights that this session has everywhere, its roles included.
    own_rights: BTreeSet<String>,
}

impl<'s> Look<'s> {
    fn new(
        server: &'s mut Server,
        only: Option<&'s AccountName>,
        standing: &'s Standing,
    ) -> Look<'s> {
        Look {
            server,
            only,
            standing,
            accounts: BTreeMap::new(),
            hashes: Hashes::default(),
            missing: Vec::new(),
            own_rights: BTreeSet::new(),
        }
    }

    fn family(&self) -> Family {
        self.server.version().family
    }

    /// Accounts with what is granted to them.
    fn accounts(&mut self) -> Result<(), LiveError> {
        match self.family() {
            Family::MariaDb => self.mariadb_accounts()?,
            Family::MySql => self.mysql_accounts()?,
        }
        self.grants()?;
        self.own_rights = self.rights_of(self.server.own().clone());
        Ok(())
    }

    /// Global rights of an account and of all roles it has.
    fn rights_of(&self, name: AccountName) -> BTreeSet<String> {
        let (mut rights, mut seen) = (BTreeSet::new(), BTreeSet::new());
        // MariaDB grants to everybody through this role.
        let mut open = vec![name, AccountName::new("PUBLIC", "")];
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Some(account) = self.accounts.get(&name) {
                rights.extend(account.global_rights.iter().cloned());
                open.extend(account.roles.iter().cloned());
            }
        }
        rights
    }

    /// Has this session the right everywhere?
    fn may(&self, right: &str) -> bool {
        self.own_rights.contains(right) || self.own_rights.contains("ALL PRIVILEGES")
    }

    /// The rows of an answer; `None` where the right is missing (noted, with the grant that mends it) or where
    /// the server has no such thing.
    fn read(
        &mut self,
        what: &str,
        granted: &str,
        sql: &str,
    ) -> Result<Option<Vec<Row>>, LiveError> {
        match self.server.try_ask("reading accounts", sql.as_bytes())? {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if REFUSALS.contains(&error) => {
                self.miss(what, error, granted);
                Ok(None)
            }
            Err(error) if ABSENT.contains(&error) => Ok(None),
            Err(error) => Err(self.server.fault("reading accounts", error)),
        }
    }

    /// Notes what is not known. The number is 0 where the server leaves rows out and says nothing.
    fn miss(&mut self, what: &str, error: u16, granted: &str) {
        let remedy = grant(granted, self.server.own());
        if !self.missing.iter().any(|missing| missing.what == what && missing.remedy == remedy) {
            self.missing.push(Missing { what: what.to_owned(), error: error.into(), remedy });
        }
    }

    /// ` WHERE` with the account that is asked for, if only one is.
    fn filter(&self, user: &str, host: &str) -> String {
        self.only.map_or(String::new(), |name| {
            let (user, host) = (is_exactly(user, &name.user), is_exactly(host, &name.host));
            format!(" WHERE {user} AND {host}")
        })
    }

    /// Does it replicate from another server?
    fn is_replica(&mut self) -> Result<bool, LiveError> {
        let what = "whether it replicates from another server";
        let rows = match self.family() {
            Family::MariaDb => self.read(what, "SLAVE MONITOR ON *.*", "SHOW ALL SLAVES STATUS")?,
            Family::MySql if self.server.version().number < (8, 0, 22) => {
                self.read(what, "REPLICATION CLIENT ON *.*", "SHOW SLAVE STATUS")?
            }
            Family::MySql => self.read(what, "REPLICATION CLIENT ON *.*", "SHOW REPLICA STATUS")?,
        };
        Ok(rows.is_some_and(|rows| !rows.is_empty()))
    }

    fn activity(&mut self) -> Result<Vec<Activity>, LiveError> {
        activity::read(self)
    }

    fn definers(&mut self) -> Result<(), LiveError> {
        definers::read(self)
    }

    fn finish(mut self) -> (Vec<Account>, Vec<Missing>) {
        let hashes = std::mem::take(&mut self.hashes).finish();
        let proxied: BTreeSet<AccountName> =
            self.accounts.values().flat_map(|account| account.proxies_for.clone()).collect();
        let accounts = self.accounts.into_values().map(|mut account| {
            account.is_proxied |= proxied.contains(&account.name);
            account.grants_hash = hashes.as_ref().map(|hashes| hashes.of(&account.name));
            account.roles.sort();
            account.default_roles.sort();
            account.definer_of.sort();
            account.proxies_for.sort();
            account
        });
        (accounts.collect(), self.missing)
    }
}

/// A column of a row; NULL and what is not there are no bytes.
fn bytes(row: &Row, column: usize) -> Vec<u8> {
    row.get(column).cloned().flatten().unwrap_or_default()
}

fn text(row: &Row, column: usize) -> String {
    String::from_utf8_lossy(&bytes(row, column)).into_owned()
}

fn number(value: Option<&[u8]>) -> Option<i64> {
    std::str::from_utf8(value?).ok()?.parse().ok()
}

/// Seconds with a fraction, as microseconds.
pub(crate) fn micros(value: Option<&[u8]>) -> Option<i64> {
    let text = std::str::from_utf8(value?).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{fraction:0<6}");
    let micros: i64 = fraction.get(..6)?.parse().ok()?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
}

/// Is a password of this age past its life? An account's own limit (−1: none of its own) goes before the server's.
fn is_past_life(changed: Option<i64>, own_days: Option<i64>, default_days: i64, now: i64) -> bool {
    let days = own_days.filter(|&days| days >= 0).unwrap_or(default_days);
    let life = days.saturating_mul(86_400_000_000);
    changed.is_some_and(|changed| days > 0 && now.saturating_sub(changed) > life)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_with_a_fraction() {
        let check = |text: &str, expected| assert_eq!(micros(Some(text.as_bytes())), expected);
        check("1795878791.123456", Some(1_795_878_791_123_456));
        check("1795878791.5", Some(1_795_878_791_500_000));
        check("0", Some(0));
        check("", None);
        check("now", None);
        check("99999999999999999", None);
    }

    #[test]
    fn the_life_of_a_password() {
        const DAY: i64 = 86_400_000_000;
        assert!(is_past_life(Some(0), Some(10), 0, 11 * DAY));
        assert!(!is_past_life(Some(0), Some(10), 0, 10 * DAY));
        assert!(!is_past_life(Some(0), Some(0), 5, 11 * DAY));
        assert!(is_past_life(Some(0), Some(-1), 5, 11 * DAY));
        assert!(is_past_life(Some(0), None, 5, 11 * DAY));
        assert!(!is_past_life(None, Some(10), 5, 11 * DAY));
    }
}
