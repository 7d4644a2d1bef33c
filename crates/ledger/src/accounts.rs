//! Accounts of the servers as they were read last, with all that was read beside them, and their history.
//!
//! ```text
//! snapshot          the server itself          account_missing    what could not be read
//! account           its accounts               account_part       what each has several of
//! account_lapse     what was known once        account_activity   sessions that the server tells of
//! account_change    what became of accounts (src/changes.rs)
//! former            who answered under its name before (src/former.rs)
//! counted           what it counts of sessions (src/counted.rs)
//! ```
//!
//! # Invariants
//! * The newest snapshot comes out as it went in, but that its accounts are sorted, of two of one name the
//!   first is there, and `has_procedures`, which is of a session and not of the server, is not kept.
//! * No column has room for a password hash.
//! * Where another server answers than before, its accounts are known since now: what was read of the other one
//!   says nothing of them.
//! * A snapshot that is a little older than the stored one changes nothing: two processes read at the same
//!   time. Where it is much older the clock was wrong before, and it counts.

use crate::changes::{AccountChange, Before, ChangeKind, Fact, HISTORY_MAX, Known, Lacks, follow};
use crate::counted::{self, Counted};
use crate::error::Error;
use crate::former::{self, Former};
use crate::rows::Name;
use crate::store::{Bytes, Ledger, damaged, name};
use crate::timeline::DAY;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;
use verdict::account::{
    Account, AccountName, Activity, Definer, Family, Missing, Snapshot, Version,
};

/// What the ledger knows of a server's accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// What was read last.
    pub snapshot: Snapshot,
    /// When the accounts of this very server were read for the first time, in microseconds UTC.
    pub first_us: i64,
    /// Since when each account of it is proven to have been there, in microseconds UTC: an account of this
    /// name, for whether it was dropped and made again between two readings nobody can tell.
    pub known_since: BTreeMap<AccountName, i64>,
    /// Accounts of earlier snapshots that the newest one does not show, because it could not read as much:
    /// nobody knows whether they are still there. Sorted by name.
    pub out_of_sight: Vec<OutOfSight>,
    /// Servers that answered under this name before, the oldest first.
    pub formers: Vec<Former>,
    /// What it has counted of sessions.
    pub counted: Vec<Counted>,
}

impl StoredSnapshot {
    /// Since when an account is proven to have been there.
    pub fn known_since_us(&self, account: &AccountName) -> Option<i64> {
        self.known_since.get(account).copied()
    }
}

/// An account that may be there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfSight {
    /// The account.
    pub name: AccountName,
    /// When it was read last, in microseconds UTC.
    pub last_us: i64,
}

impl Ledger {
    /// Keeps what was read of a server's accounts, and tells what has changed since it was read before,
    /// sorted by name. The first time every account is `Known`.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn store_snapshot(
        &mut self,
        server: &[u8],
        snapshot: &Snapshot,
    ) -> Result<Vec<AccountChange>, Error> {
        self.briefly(|ledger| store(&ledger.db, server, snapshot).map_err(ledger.failed()))
    }

    /// What was read of a server's accounts last. `None`: nothing ever was.
    ///
    /// # Errors
    /// Where SQLite fails or the ledger is damaged.
    pub fn accounts(&self, server: &[u8]) -> Result<Option<StoredSnapshot>, Error> {
        let found = self.at_once(|ledger| load(&ledger.db, server).map_err(ledger.failed()))?;
        self.check_still()?;
        Ok(found)
    }

    /// What became of a server's accounts, or of one of them, in the order in which it was noticed.
    ///
    /// # Errors
    /// Where SQLite fails or the ledger is damaged.
    pub fn account_history(
        &self,
        server: &[u8],
        account: Option<&AccountName>,
    ) -> Result<Vec<AccountChange>, Error> {
        let read = || {
            self.db
                .prepare_cached(
                    "SELECT user, host, kind, since_us, noticed_us, was, became FROM account_change
                     WHERE server = ?1 AND (?2 IS NULL OR user = ?2) AND (?3 IS NULL OR host = ?3)
                     ORDER BY id",
                )?
                .query_map(
                    params![
                        Bytes(server),
                        account.map(|it| Bytes(&it.user)),
                        account.map(|it| Bytes(&it.host))
                    ],
                    change,
                )?
                .collect::<rusqlite::Result<Vec<AccountChange>>>()
        };
        let found = read().map_err(self.failed())?;
        self.check_still()?;
        Ok(found)
    }

    /// The servers whose accounts were read, and when last, in microseconds UTC; sorted by name.
    ///
    /// # Errors
    /// Where SQLite fails.
    pub fn account_servers(&self) -> Result<Vec<(Name, i64)>, Error> {
        let mut servers = self.rows("SELECT server, at_us FROM snapshot", |row| {
            Ok((name(row.get_ref(0)?), row.get(1)?))
        })?;
        servers.sort_unstable();
        Ok(servers)
    }
}

fn store(
    db: &Connection,
    server: &[u8],
    snapshot: &Snapshot,
) -> rusqlite::Result<Vec<AccountChange>> {
    let mut before = before(db, server)?;
    if let Some((before, _)) = &before
        && snapshot.at < before.at
        && before.at.saturating_sub(snapshot.at) < DAY
    {
        return Ok(Vec::new());
    }
    let lacks: Lacks = snapshot.missing.iter().map(|it| it.what.clone()).collect();
    let known = known(db, server)?;
    let last = former::last(db, server)?;
    let is_other = last.filter(|it| snapshot.identity().is_other(&it.identity));
    if let Some(former) = &is_other {
        former::add(db, server, former)?;
        counted::forget(db, server)?;
        before = None;
    }
    counted::store(db, server, snapshot, before.as_ref().map(|(before, _)| before.at))?;
    let (mut now, changes) = follow(
        if is_other.is_some() { BTreeMap::new() } else { known.clone() },
        before.as_ref().map(|(before, _)| before),
        snapshot.at,
        &lacks,
        &snapshot.accounts,
    );
    for change in &changes {
        let row = add_change(db, server, change)?;
        if matches!(change.kind, ChangeKind::Known | ChangeKind::Created)
            && let Some(account) = now.get_mut(&change.name)
        {
            account.born = row;
        }
    }
    for (name, old) in &known {
        if now.get(name) != Some(old) {
            remove(db, server, name)?;
        }
    }
    for (name, account) in &now {
        if known.get(name) != Some(account) {
            add(db, server, account)?;
        }
    }
    let first = before.map_or(snapshot.at, |(_, first)| first);
    set_server(db, server, first, snapshot)?;
    if now != known {
        trim(db, server)?;
    }
    Ok(changes)
}

/// The reading before, and when the first was.
fn before(db: &Connection, server: &[u8]) -> rusqlite::Result<Option<(Before, i64)>> {
    let times = db
        .prepare_cached("SELECT at_us, first_us FROM snapshot WHERE server = ?1")?
        .query_row([Bytes(server)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((at, first)) = times else { return Ok(None) };
    let lacks = db
        .prepare_cached("SELECT what FROM account_missing WHERE server = ?1")?
        .query_map([Bytes(server)], |row| row.get(0))?
        .collect::<rusqlite::Result<Lacks>>()?;
    Ok(Some((Before { at, lacks }, first)))
}

/// Every account that is known, also out of sight.
fn known(db: &Connection, server: &[u8]) -> rusqlite::Result<BTreeMap<AccountName, Known>> {
    let mut accounts: BTreeMap<AccountName, Known> = db
        .prepare_cached(
            "SELECT user, host, is_role, plugin, locked, expired, password_us, grants, is_proxied,
               born, first_us, absent_us, password_first_us, hidden_us, hidden_missing
             FROM account WHERE server = ?1",
        )?
        .query_map([Bytes(server)], |row| {
            let known = account(row)?;
            Ok((known.account.name.clone(), known))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut parts = db.prepare_cached(
        "SELECT user, host, kind, one, two FROM account_part WHERE server = ?1 ORDER BY id",
    )?;
    let mut rows = parts.query([Bytes(server)])?;
    while let Some(row) = rows.next()? {
        let of = AccountName::new(name(row.get_ref(0)?), name(row.get_ref(1)?));
        let Some(known) = accounts.get_mut(&of) else { continue };
        let (one, two) = (name(row.get_ref(3)?), name(row.get_ref(4)?));
        let account = &mut known.account;
        match row.get_ref(2)?.as_str()? {
            RIGHT => account.global_rights.push(text(one)?),
            ROLE => account.roles.push(AccountName::new(one, two)),
            DEFAULT_ROLE => account.default_roles.push(AccountName::new(one, two)),
            PROXY_FOR => account.proxies_for.push(AccountName::new(one, two)),
            kind => {
                let kind = DEFINERS.into_iter().find(|it| *it == kind);
                let kind = kind.ok_or_else(|| damaged("a kind in account_part"))?;
                account.definer_of.push(Definer { kind, schema: one, name: two });
            }
        }
    }
    let mut lapses = db.prepare_cached(
        "SELECT user, host, fact, value, at_us FROM account_lapse WHERE server = ?1",
    )?;
    let mut rows = lapses.query([Bytes(server)])?;
    while let Some(row) = rows.next()? {
        let of = AccountName::new(name(row.get_ref(0)?), name(row.get_ref(1)?));
        let fact = Fact::of(row.get_ref(2)?.as_str()?);
        let fact = fact.ok_or_else(|| damaged("a fact in account_lapse"))?;
        if let Some(known) = accounts.get_mut(&of) {
            known.lapses.insert(fact, (row.get(3)?, row.get(4)?));
        }
    }
    Ok(accounts)
}

// Kinds of `account_part`.
const RIGHT: &str = "right";
const ROLE: &str = "role";
const DEFAULT_ROLE: &str = "default-role";
const PROXY_FOR: &str = "proxy-for";
const DEFINERS: [&str; 7] =
    ["VIEW", "PROCEDURE", "FUNCTION", "PACKAGE", "PACKAGE BODY", "TRIGGER", "EVENT"];

fn text(bytes: Vec<u8>) -> rusqlite::Result<String> {
    String::from_utf8(bytes).map_err(|_| damaged("a text in account_part"))
}

fn account(row: &Row<'_>) -> rusqlite::Result<Known> {
    let hidden: Option<i64> = row.get(13)?;
    let lacked: Option<String> = row.get(14)?;
    Ok(Known {
        account: Account {
            name: AccountName::new(name(row.get_ref(0)?), name(row.get_ref(1)?)),
            is_role: row.get(2)?,
            plugin: row.get(3)?,
            locked: row.get(4)?,
            expired: row.get(5)?,
            password_changed: row.get(6)?,
            grants_hash: row.get::<_, Option<i64>>(7)?.map(|hash| hash as u64),
            is_proxied: row.get(8)?,
            ..Account::default()
        },
        born: row.get(9)?,
        first: row.get(10)?,
        absent: row.get(11)?,
        password_first: row.get(12)?,
        hidden: hidden.map(|at| {
            let lacked = lacked.unwrap_or_default();
            (at, lacked.split('\n').filter(|it| !it.is_empty()).map(str::to_owned).collect())
        }),
        lapses: BTreeMap::new(),
    })
}

fn remove(db: &Connection, server: &[u8], account: &AccountName) -> rusqlite::Result<()> {
    for table in ["account", "account_part", "account_lapse"] {
        let sql = format!("DELETE FROM {table} WHERE server = ?1 AND user = ?2 AND host = ?3");
        db.prepare_cached(&sql)?.execute(params![
            Bytes(server),
            Bytes(&account.user),
            Bytes(&account.host)
        ])?;
    }
    Ok(())
}

fn add(db: &Connection, server: &[u8], known: &Known) -> rusqlite::Result<()> {
    let Account {
        name,
        is_role,
        plugin,
        locked,
        expired,
        password_changed,
        global_rights,
        grants_hash,
        roles,
        default_roles,
        definer_of,
        proxies_for,
        is_proxied,
    } = &known.account;
    let (server, user, host) = (Bytes(server), Bytes(&name.user), Bytes(&name.host));
    let lacked = |(_, lacked): &(i64, Lacks)| lacked.iter().cloned().collect::<Vec<_>>().join("\n");
    db.prepare_cached(
        "INSERT INTO account VALUES
           (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?
    .execute(params![
        server,
        user,
        host,
        is_role,
        plugin,
        locked,
        expired,
        password_changed,
        grants_hash.map(|hash| hash as i64),
        is_proxied,
        known.born,
        known.first,
        known.absent,
        known.password_first,
        known.hidden.as_ref().map(|(at, _)| at),
        known.hidden.as_ref().map(lacked)
    ])?;
    let mut insert = db.prepare_cached(
        "INSERT INTO account_part (server, user, host, kind, one, two)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut part = |kind: &str, one: &[u8], two: &[u8]| {
        insert.execute(params![server, user, host, kind, Bytes(one), Bytes(two)]).map(drop)
    };
    for right in global_rights {
        part(RIGHT, right.as_bytes(), b"")?;
    }
    for (kind, names) in [(ROLE, roles), (DEFAULT_ROLE, default_roles), (PROXY_FOR, proxies_for)] {
        for name in names {
            part(kind, &name.user, &name.host)?;
        }
    }
    for definer in definer_of {
        part(definer.kind, &definer.schema, &definer.name)?;
    }
    let mut insert =
        db.prepare_cached("INSERT INTO account_lapse VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (fact, (value, at)) in &known.lapses {
        insert.execute(params![server, user, host, fact.as_str(), value, at])?;
    }
    Ok(())
}

fn set_server(
    db: &Connection,
    server: &[u8],
    first: i64,
    snapshot: &Snapshot,
) -> rusqlite::Result<()> {
    let Snapshot {
        version,
        hostname,
        server_uuid,
        at,
        started,
        own,
        skip_name_resolve,
        read_only,
        is_replica,
        has_init_connect,
        has_procedures: _,
        accounts: _,
        activity,
        missing,
    } = snapshot;
    let (major, minor, patch) = version.number;
    db.prepare_cached(
        "INSERT OR REPLACE INTO snapshot VALUES
           (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        Bytes(server),
        first,
        at,
        version.family.as_str(),
        format!("{major}.{minor}.{patch}"),
        version.text,
        Bytes(hostname),
        server_uuid,
        started,
        Bytes(&own.user),
        Bytes(&own.host),
        skip_name_resolve,
        read_only,
        is_replica,
        has_init_connect
    ])?;
    for table in ["account_missing", "account_activity"] {
        db.prepare_cached(&format!("DELETE FROM {table} WHERE server = ?1"))?
            .execute([Bytes(server)])?;
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO account_missing (server, what, error, remedy) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for it in missing {
        insert.execute(params![Bytes(server), it.what, it.error, it.remedy])?;
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO account_activity (server, kind, user, host, open, total)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for it in activity {
        let kind = counted::word(it.kind);
        let counts = (it.open as i64, it.total.map(|total| total as i64));
        let (user, host) = (Bytes(&it.user), Bytes(&it.host));
        insert.execute(params![Bytes(server), kind, user, host, counts.0, counts.1])?;
    }
    Ok(())
}

fn load(db: &Connection, server: &[u8]) -> rusqlite::Result<Option<StoredSnapshot>> {
    let snapshot = db
        .prepare_cached(
            "SELECT family, release, version, hostname, uuid, at_us, started_us, own_user, own_host,
               skip_name_resolve, read_only, is_replica, has_init_connect, first_us
             FROM snapshot WHERE server = ?1",
        )?
        .query_row([Bytes(server)], |row| Ok((row.get(13)?, server_of(row)?)))
        .optional()?;
    let Some((first_us, mut snapshot)) = snapshot else { return Ok(None) };
    snapshot.missing = db
        .prepare_cached(
            "SELECT what, error, remedy FROM account_missing WHERE server = ?1 ORDER BY id",
        )?
        .query_map([Bytes(server)], |row| {
            Ok(Missing { what: row.get(0)?, error: row.get(1)?, remedy: row.get(2)? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    snapshot.activity = db
        .prepare_cached(
            "SELECT kind, user, host, open, total FROM account_activity WHERE server = ?1
             ORDER BY id",
        )?
        .query_map([Bytes(server)], activity)?
        .collect::<rusqlite::Result<_>>()?;
    let (mut known_since, mut out_of_sight) = (BTreeMap::new(), Vec::new());
    for (name, known) in known(db, server)? {
        match known.hidden {
            Some((last_us, _)) => out_of_sight.push(OutOfSight { name, last_us }),
            None => {
                known_since.insert(name, known.since());
                snapshot.accounts.push(known.account);
            }
        }
    }
    let (formers, counted) = (former::all(db, server)?, counted::all(db, server)?);
    Ok(Some(StoredSnapshot { snapshot, first_us, known_since, out_of_sight, formers, counted }))
}

fn server_of(row: &Row<'_>) -> rusqlite::Result<Snapshot> {
    let family = Family::parse(row.get_ref(0)?.as_str()?);
    let release: String = row.get(1)?;
    let mut numbers = release.split('.').map_while(|number| number.parse().ok());
    let mut next = || numbers.next().ok_or_else(|| damaged("release in snapshot"));
    Ok(Snapshot {
        version: Version {
            family: family.ok_or_else(|| damaged("family in snapshot"))?,
            number: (next()?, next()?, next()?),
            text: row.get(2)?,
        },
        hostname: name(row.get_ref(3)?),
        server_uuid: row.get(4)?,
        at: row.get(5)?,
        started: row.get(6)?,
        own: AccountName::new(name(row.get_ref(7)?), name(row.get_ref(8)?)),
        skip_name_resolve: row.get(9)?,
        read_only: row.get(10)?,
        is_replica: row.get(11)?,
        has_init_connect: row.get(12)?,
        // Of a session, not of the server: whoever acts looks anew.
        has_procedures: false,
        accounts: Vec::new(),
        activity: Vec::new(),
        missing: Vec::new(),
    })
}

fn activity(row: &Row<'_>) -> rusqlite::Result<Activity> {
    let kind = counted::kind(row.get_ref(0)?.as_str()?);
    Ok(Activity {
        kind: kind.ok_or_else(|| damaged("a kind in account_activity"))?,
        user: name(row.get_ref(1)?),
        host: name(row.get_ref(2)?),
        open: row.get::<_, i64>(3)? as u64,
        total: row.get::<_, Option<i64>>(4)?.map(|total| total as u64),
    })
}

fn change(row: &Row<'_>) -> rusqlite::Result<AccountChange> {
    let kind = ChangeKind::of(row.get_ref(2)?.as_str()?);
    Ok(AccountChange {
        name: AccountName::new(name(row.get_ref(0)?), name(row.get_ref(1)?)),
        kind: kind.ok_or_else(|| damaged("a kind in account_change"))?,
        since_us: row.get(3)?,
        noticed_us: row.get(4)?,
        was: name(row.get_ref(5)?),
        became: name(row.get_ref(6)?),
    })
}

fn add_change(db: &Connection, server: &[u8], change: &AccountChange) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "INSERT INTO account_change (server, user, host, kind, since_us, noticed_us, was, became)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id",
    )?
    .query_row(
        params![
            Bytes(server),
            Bytes(&change.name.user),
            Bytes(&change.name.host),
            change.kind.as_str(),
            change.since_us,
            change.noticed_us,
            Bytes(&change.was),
            Bytes(&change.became)
        ],
        |row| row.get(0),
    )
}

/// Keeps the history of a server within its bound.
fn trim(db: &Connection, server: &[u8]) -> rusqlite::Result<()> {
    let kept = "server = ?1 AND NOT EXISTS (SELECT 1 FROM account WHERE born = account_change.id)";
    db.prepare_cached(&format!(
        "DELETE FROM account_change WHERE id IN (
           SELECT id FROM account_change WHERE {kept} ORDER BY id DESC LIMIT -1 OFFSET ?2)"
    ))?
    .execute(params![Bytes(server), HISTORY_MAX as i64])?;
    Ok(())
}
