//! What plans need of a server: the facts they rest on, one statement sent, and a look at what became of it.
//!
//! ```text
//! facts_of ─► a plan is made, stored, looked at …
//! facts_of ─► the same? ─► send(Lock, 'sam'@'%', ALTER USER 'sam'@'%' ACCOUNT LOCK) ─► the row is read back
//!                          sessions_of, kill: a lock ends no session
//! ```
//!
//! # Invariants
//! * Sent is exactly the text given, and only where it is the statement for that deed on that account
//!   ([`is_statement`]). Nothing is made up here.
//! * The account must be listed byte by byte as it is called: servers take `'sam '` for `'sam'`, and a character
//!   outside the Basic Multilingual Plane for `?`, so another account would be meant.
//! * A statement counts as done when the account's row says so, not when the server says OK.
//!
//! # What it does not do
//! It judges no account and protects none: that is a plan's business. `CREATE USER` alone lets this session lock
//! anybody.

use std::collections::BTreeMap;
use std::fmt;

use verdict::account::{AccountName, Family, quoted, quoted_account};
use verdict::plan::{DeedKind, Facts, Way};

use crate::error::{LiveError, grant};
use crate::facts;
use crate::server::{Row, Server, is_exactly, single};
use crate::snapshot::{self, activity};

/// Is there the account, and can somebody log in with it?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No such account.
    Absent,
    /// It exists and is not locked.
    Open,
    /// It exists and is locked.
    Locked,
}

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Before it was sent.
    pub before: State,
    /// Afterwards: what the deed asks for.
    pub after: State,
}

/// The statements that make an account again as it was, its password hash included: a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Rebuild {
    statements: Vec<Vec<u8>>,
}

impl Rebuild {
    /// Of statements that were stored. They are sent in this order.
    pub fn new(statements: Vec<Vec<u8>>) -> Rebuild {
        Rebuild { statements }
    }

    /// The statements, for who stores or sends them. They hold the password's hash.
    pub fn expose(&self) -> &[Vec<u8>] {
        &self.statements
    }
}

impl fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rebuild({} statements)", self.statements.len())
    }
}

/// A session of a user. Which account it was matched to, the server does not list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its connection id.
    pub id: u64,
    /// The user name.
    pub user: Vec<u8>,
    /// The client host without its port.
    pub host: Vec<u8>,
    /// The client port; `None` for a unix socket.
    pub port: Option<u16>,
    /// The schema it works in.
    pub schema: Option<Vec<u8>>,
    /// What it is doing: `Sleep`, `Query`, `Binlog Dump`.
    pub command: String,
    /// For how many seconds.
    pub seconds: u64,
}

/// Whether a server takes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writable {
    /// `read_only` is on: only accounts with a right to pass it change anything.
    pub read_only: bool,
    /// `super_read_only` is on (MySQL): nobody does.
    pub super_read_only: bool,
    /// It replicates from another server, where changes belong; `None` where that cannot be read.
    pub is_replica: Option<bool>,
}

/// Is the text the statement for this deed on this account? A semicolon may stand at its end.
pub fn is_statement(kind: DeedKind, name: &AccountName, sql: &[u8]) -> bool {
    kind.is_statement(name, bare(sql))
}

/// What a plan for an account rests on, as of now; `None` where there is no such account.
///
/// # Errors
/// As [`snapshot::snapshot`].
pub fn facts_of(server: &mut Server, name: &AccountName) -> Result<Option<Facts>, LiveError> {
    Ok(snapshot::one(server, name)?.as_ref().map(Facts::of))
}

/// Is there the account, and is it locked?
///
/// # Errors
/// [`LiveError::Refused`] where that may not be read.
pub fn lock_state(server: &mut Server, name: &AccountName) -> Result<State, LiveError> {
    let is_it =
        format!("{} AND {}", is_exactly("User", &name.user), is_exactly("Host", &name.host));
    let found = states(server, Some(&is_it))?;
    Ok(found.first().map_or(State::Absent, |(_, state)| *state))
}

/// The state of every account that is no role of MariaDB.
///
/// # Errors
/// [`LiveError::Refused`] where that may not be read.
pub fn lock_states(server: &mut Server) -> Result<BTreeMap<AccountName, State>, LiveError> {
    Ok(states(server, None)?.into_iter().collect())
}

/// Whether another session of this session's own user is carrying this statement out right now: it may wait for
/// somebody's lock, for [`LOCK_WAIT_SECONDS`](crate::server::LOCK_WAIT_SECONDS) at most, while whoever sent it is
/// gone. Of a procedure the server lists what that does: any statement of the same user counts then.
///
/// # Errors
/// What the connection answers with.
pub fn is_under_way(server: &mut Server, sql: &[u8]) -> Result<bool, LiveError> {
    let standing = snapshot::standing(server)?;
    let list = activity::table(server.version().family, &standing);
    let of_it = match Way::of(sql) {
        Way::Direct => is_exactly("INFO", bare(sql)),
        Way::Procedure => {
            format!("COMMAND='Query' AND {}", is_exactly("USER", &server.own().user))
        }
    };
    let sql = format!("SELECT 1 FROM {list} WHERE ID<>CONNECTION_ID() AND {of_it} LIMIT 1");
    Ok(!server.ask("looking for a statement of before", sql.as_bytes())?.is_empty())
}

/// Whether changes arrive at a server from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// It replicates from no other server.
    None,
    /// It does.
    Running,
    /// It would, but its replication is stopped, or cannot go on.
    Stopped,
}

/// Whether changes arrive from another server; `None` where that may not be read.
///
/// # Errors
/// What the connection answers with.
pub fn replication(server: &mut Server) -> Result<Option<Replication>, LiveError> {
    let sources = match facts::replication(server) {
        Ok(sources) => sources,
        Err(LiveError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let runs = |source: &BTreeMap<String, String>| {
        let mut threads = source
            .iter()
            .filter(|(name, _)| name.ends_with("_io_running") || name.ends_with("_sql_running"));
        threads.all(|(_, value)| value == "Yes")
    };
    Ok(Some(match sources.is_empty() {
        true => Replication::None,
        false if sources.iter().all(runs) => Replication::Running,
        false => Replication::Stopped,
    }))
}

/// Sends the statement of a plan, and looks whether the account is then as the deed asks for.
///
/// # Errors
/// [`LiveError::NotTheStatement`] where the text is another one, [`LiveError::NoAccount`] where no account is
/// called exactly that: nothing was sent. [`LiveError::Refused`], [`LiveError::ReadOnly`], [`LiveError::Busy`],
/// [`LiveError::IsDefiner`]: the server did not carry it out. [`LiveError::NotDone`]: it said OK, but the account
/// is not as it should be. [`LiveError::Broken`], [`LiveError::Timeout`], [`LiveError::NotSeen`]: nobody knows; ask
/// [`lock_state`].
pub fn send(
    server: &mut Server,
    kind: DeedKind,
    name: &AccountName,
    sql: &[u8],
) -> Result<Sent, LiveError> {
    if !is_statement(kind, name, sql) {
        return Err(LiveError::NotTheStatement {
            server: server.name().to_owned(),
            account: name.to_string(),
        });
    }
    let before = lock_state(server, name)?;
    if before == State::Absent {
        return Err(LiveError::NoAccount {
            server: server.name().to_owned(),
            account: name.to_string(),
        });
    }
    let (doing, wanted) = match kind {
        DeedKind::Lock => ("locking an account", State::Locked),
        DeedKind::Unlock => ("unlocking an account", State::Open),
        DeedKind::Drop => ("dropping an account", State::Absent),
        DeedKind::Revoke | DeedKind::Grant => {
            crate::growth::send(server, kind, name, sql)?;
            return Ok(Sent { before, after: before });
        }
    };
    if let Err(error) = server.try_ask(doing, bare(sql))? {
        return Err(refusal(server, doing, "CREATE USER ON *.*", error, name));
    }
    let after = lock_state(server, name).map_err(|error| LiveError::NotSeen {
        server: server.name().to_owned(),
        account: name.to_string(),
        doing,
        source: Box::new(error),
    })?;
    if after != wanted {
        return Err(LiveError::NotDone {
            server: server.name().to_owned(),
            account: name.to_string(),
            doing,
        });
    }
    Ok(Sent { before, after })
}

/// The statements that make the account again: user with password hash, lock, expiry, limits; grants; roles that it
/// has, and (MySQL) who has it as a role.
///
/// # What they do not bring back
/// When the password was changed last; a second password that MySQL retains; on MySQL, `GRANT PROXY` on this
/// account to others, which a drop removes.
///
/// # Errors
/// [`LiveError::NoAccount`], [`LiveError::Refused`].
pub fn show_create(server: &mut Server, name: &AccountName) -> Result<Rebuild, LiveError> {
    let doing = "reading how an account was made";
    let account = quoted_account(name);
    if lock_state(server, name)? == State::Absent {
        return Err(LiveError::NoAccount {
            server: server.name().to_owned(),
            account: name.to_string(),
        });
    }
    let mut statements = Vec::new();
    for question in [&b"SHOW CREATE USER "[..], &b"SHOW GRANTS FOR "[..]] {
        let rows = match server.try_ask(doing, &[question, &account].concat())? {
            Ok(rows) => rows,
            Err(error) => return Err(refusal(server, doing, "SELECT ON mysql.*", error, name)),
        };
        for row in rows {
            let Some(Some(statement)) = row.into_iter().next() else {
                return Err(server.odd(doing, "a statement is NULL"));
            };
            if !single(&statement) {
                return Err(server.odd(doing, "a statement does not end where it should"));
            }
            statements.push(statement);
        }
    }
    let family = server.version().family;
    match family {
        // The grants repeat the password, which then counts as new.
        Family::MariaDb if is_expired(server, name)? => {
            statements.push([b"ALTER USER ", &account[..], b" PASSWORD EXPIRE"].concat());
        }
        Family::MariaDb => {}
        Family::MySql => statements.extend(granted_to_others(server, name)?),
    }
    Ok(Rebuild { statements })
}

/// Makes an account again that was dropped.
///
/// # Errors
/// [`LiveError::Exists`] where there is one again: nothing was sent. What the server refuses; statements before
/// that were carried out.
pub fn rebuild(
    server: &mut Server,
    name: &AccountName,
    rebuild: &Rebuild,
) -> Result<(), LiveError> {
    if lock_state(server, name)? != State::Absent {
        return Err(LiveError::Exists {
            server: server.name().to_owned(),
            account: name.to_string(),
        });
    }
    make(server, name, &rebuild.statements, 0)
}

/// Goes on where [`rebuild`] was interrupted behind its first statement. The others may be sent twice.
///
/// # Errors
/// [`LiveError::Exists`] where the account is none that this first statement has made: nothing was sent. As
/// [`rebuild`].
pub fn complete(
    server: &mut Server,
    name: &AccountName,
    rebuild: &Rebuild,
) -> Result<(), LiveError> {
    let now = show_create(server, name)?;
    let made = |statements: &[Vec<u8>]| {
        let first = String::from_utf8_lossy(statements.first().map_or(b"", |it| it)).into_owned();
        // The last of the statements sets this again.
        first.replace(" PASSWORD EXPIRE", "")
    };
    if made(&now.statements) != made(&rebuild.statements) {
        return Err(LiveError::Exists {
            server: server.name().to_owned(),
            account: name.to_string(),
        });
    }
    make(server, name, &rebuild.statements, 1)
}

/// Sends these statements but for the first ones.
fn make(
    server: &mut Server,
    name: &AccountName,
    statements: &[Vec<u8>],
    first: usize,
) -> Result<(), LiveError> {
    let doing = "making an account again";
    for (number, statement) in statements.iter().enumerate().skip(first) {
        let Err(error) = server.try_ask(doing, statement)? else { continue };
        if number == 0 {
            return Err(refusal(server, doing, "ALL PRIVILEGES ON *.*", error, name));
        }
        return Err(match server.fault(doing, error) {
            LiveError::Server { .. } => LiveError::HalfMade {
                server: server.name().to_owned(),
                account: name.to_string(),
                error,
                number: number + 1,
                count: statements.len(),
            },
            other => other,
        });
    }
    match lock_state(server, name)? {
        State::Absent => Err(LiveError::NotDone {
            server: server.name().to_owned(),
            account: name.to_string(),
            doing,
        }),
        State::Open | State::Locked => Ok(()),
    }
}

/// Open sessions with the user name of an account, from any host, but for this one. Which of them were matched to
/// it follows from their hosts (and is judged elsewhere).
///
/// # Errors
/// [`LiveError::Refused`] without the right `PROCESS`: a server then shows a session its own ones only.
pub fn sessions_of(server: &mut Server, name: &AccountName) -> Result<Vec<Session>, LiveError> {
    let user = is_exactly("USER", &name.user);
    let found = sessions_where(server, &format!(" WHERE {user}"))?;
    Ok(found.into_iter().filter(|it| it.user == name.user).collect())
}

/// All open sessions but this one.
///
/// # Errors
/// As [`sessions_of`].
pub fn sessions(server: &mut Server) -> Result<Vec<Session>, LiveError> {
    sessions_where(server, "")
}

fn sessions_where(server: &mut Server, condition: &str) -> Result<Vec<Session>, LiveError> {
    let doing = "listing sessions";
    let standing = snapshot::standing(server)?;
    let list = activity::table(server.version().family, &standing);
    if !may_see_sessions(server, list)? {
        return Err(LiveError::Refused {
            server: server.name().to_owned(),
            what: "the sessions of others".to_owned(),
            error: 0,
            remedy: grant("PROCESS ON *.*", server.own()),
        });
    }
    let sql = format!("SELECT ID, USER, HOST, DB, COMMAND, TIME FROM {list}{condition}");
    let rows = server.ask(doing, sql.as_bytes())?;
    let own = server.connection_id();
    Ok(rows.iter().filter_map(session).filter(|found| found.id != own).collect())
}

/// Ends a session, if it is still the one that was listed. Tells whether it was.
///
/// # Errors
/// [`LiveError::Refused`] without `CONNECTION ADMIN` (MariaDB) or `CONNECTION_ADMIN` (MySQL).
pub fn kill(server: &mut Server, session: &Session) -> Result<bool, LiveError> {
    let doing = "ending a session";
    let name = AccountName::new(session.user.clone(), "");
    let is_there = sessions_of(server, &name)?.into_iter().any(|found| {
        (found.id, &found.host, found.port) == (session.id, &session.host, session.port)
    });
    if !is_there {
        return Ok(false);
    }
    let sql = match has_procedures(server)? {
        true => {
            let user = quoted(&session.user);
            let call = format!("CALL rollcall.kill_session({}, ", session.id).into_bytes();
            [&call[..], &user, b")"].concat()
        }
        false => format!("KILL CONNECTION {}", session.id).into_bytes(),
    };
    match server.try_ask(doing, &sql)? {
        Ok(_) => Ok(true),
        // It ended by itself.
        Err(1094) => Ok(false),
        Err(error) => {
            let right = match server.version().family {
                Family::MariaDb => "CONNECTION ADMIN ON *.*",
                Family::MySql => "CONNECTION_ADMIN ON *.*",
            };
            let error = if error == 1095 { 1227 } else { error };
            Err(refusal(server, doing, right, error, &name))
        }
    }
}

/// Whether the server takes changes.
///
/// # Errors
/// What the connection answers with.
pub fn writable(server: &mut Server) -> Result<Writable, LiveError> {
    let standing = snapshot::standing(server)?;
    Ok(Writable {
        read_only: standing.is_on("read_only"),
        super_read_only: standing.is_on("super_read_only"),
        is_replica: snapshot::is_replica(server)?,
    })
}

/// Without the semicolon at its end.
fn bare(sql: &[u8]) -> &[u8] {
    let sql = sql.trim_ascii();
    sql.strip_suffix(b";").unwrap_or(sql)
}

/// The state of every account of which this holds.
fn states(
    server: &mut Server,
    condition: Option<&str>,
) -> Result<Vec<(AccountName, State)>, LiveError> {
    let doing = "reading which accounts are locked";
    let (what, is_account, granted) = match server.version().family {
        Family::MariaDb => (
            "SELECT User, Host, JSON_VALUE(Priv, '$.account_locked') FROM mysql.global_priv",
            "JSON_VALUE(Priv, '$.is_role') IS NULL",
            "SELECT ON mysql.global_priv",
        ),
        Family::MySql => (
            "SELECT User, Host, account_locked='Y' FROM mysql.user",
            "TRUE",
            "SELECT (User, Host, account_locked) ON mysql.user",
        ),
    };
    // Names come first: they cost less than JSON to look at.
    let sql = format!("{what} WHERE {} AND {is_account}", condition.unwrap_or("TRUE"));
    let rows = match server.try_ask(doing, sql.as_bytes())? {
        Ok(rows) => rows,
        Err(error) => return Err(refusal(server, doing, granted, error, &AccountName::default())),
    };
    let state = |row: Row| {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let name = AccountName::new(row.next()?, row.next()?);
        let state = if row.next()? == b"1" { State::Locked } else { State::Open };
        Some((name, state))
    };
    Ok(rows.into_iter().filter_map(state).collect())
}

/// Does the password count as expired because somebody said so?
fn is_expired(server: &mut Server, name: &AccountName) -> Result<bool, LiveError> {
    let sql = format!(
        "SELECT JSON_VALUE(Priv, '$.password_last_changed') FROM mysql.global_priv WHERE {} AND {}",
        is_exactly("User", &name.user),
        is_exactly("Host", &name.host)
    );
    let rows = server.ask("reading how an account was made", sql.as_bytes())?;
    Ok(rows.first().is_some_and(|row| row.first() == Some(&Some(b"0".to_vec()))))
}

/// `GRANT 'sam'@'%' TO 'app'@'%'`: on MySQL any account can be a role.
fn granted_to_others(server: &mut Server, name: &AccountName) -> Result<Vec<Vec<u8>>, LiveError> {
    let doing = "reading how an account was made";
    let sql = format!(
        "SELECT TO_USER, TO_HOST, WITH_ADMIN_OPTION FROM mysql.role_edges WHERE {} AND {}",
        is_exactly("FROM_USER", &name.user),
        is_exactly("FROM_HOST", &name.host)
    );
    let rows = match server.try_ask(doing, sql.as_bytes())? {
        Ok(rows) => rows,
        Err(error) => {
            return Err(refusal(server, doing, "SELECT ON mysql.role_edges", error, name));
        }
    };
    let statement = |row: Row| {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let other = AccountName::new(row.next()?, row.next()?);
        let admin: &[u8] = if row.next()? == b"Y" { b" WITH ADMIN OPTION" } else { b"" };
        Some(
            [b"GRANT ", &quoted_account(name)[..], b" TO ", &quoted_account(&other), admin]
                .concat(),
        )
    };
    Ok(rows.into_iter().filter_map(statement).collect())
}

/// Without the right, a list of sessions holds those of this session's own user only: asked of the server's own
/// threads, which it then leaves out.
pub(crate) fn may_see_sessions(server: &mut Server, list: &str) -> Result<bool, LiveError> {
    let doing = "listing sessions";
    let own = server.own();
    let sql = format!(
        "SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE='PROCESS' AND {} \
         UNION ALL SELECT 1 FROM {list} WHERE NOT {} AND USER<>'unauthenticated user' LIMIT 1",
        is_exactly("GRANTEE", &grantee(own)),
        is_exactly("USER", &own.user)
    );
    Ok(!server.ask(doing, sql.as_bytes())?.is_empty())
}

/// Whether deeds are done by the procedures of `rollcall setup lock-procedure`: this session may call them, and
/// has no right of its own to do the same to any account.
pub(crate) fn has_procedures(server: &mut Server) -> Result<bool, LiveError> {
    let doing = "looking for procedures";
    let sql = format!(
        "SELECT (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='rollcall' AND \
         ROUTINE_NAME='lock_account'), (SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE \
         PRIVILEGE_TYPE='CREATE USER' AND {})",
        is_exactly("GRANTEE", &grantee(server.own())),
    );
    let rows = server.ask(doing, sql.as_bytes())?;
    let is_some = |column: usize| {
        let value = rows.first().and_then(|row| row.get(column)?.as_deref());
        value.is_some_and(|value| value != b"0")
    };
    Ok(is_some(0) && !is_some(1))
}

/// As `information_schema` writes an account: in quotes, with nothing in it escaped.
pub(crate) fn grantee(name: &AccountName) -> Vec<u8> {
    [b"'", &name.user[..], b"'@'", &name.host, b"'"].concat()
}

fn session(row: &Row) -> Option<Session> {
    let text = |column: usize| row.get(column).cloned().flatten().unwrap_or_default();
    let number = |column: usize| std::str::from_utf8(&text(column)).ok()?.parse::<u64>().ok();
    let (user, place, command) = (text(1), text(2), text(4));
    if activity::is_of_the_server(&user, &command) {
        return None;
    }
    let host = activity::without_port(&place).to_vec();
    let port =
        place.get(host.len() + 1..).and_then(|port| std::str::from_utf8(port).ok()?.parse().ok());
    Some(Session {
        id: number(0)?,
        user,
        host,
        port,
        schema: row.get(3).cloned().flatten(),
        command: String::from_utf8_lossy(&command).into_owned(),
        seconds: number(5).unwrap_or(0),
    })
}

/// A refusal, with what mends it.
pub(crate) fn refusal(
    server: &Server,
    doing: &'static str,
    granted: &str,
    error: u16,
    name: &AccountName,
) -> LiveError {
    match error {
        // What the procedures refuse, they refuse by this.
        1644 => LiveError::ProcedureRefuses {
            server: server.name().to_owned(),
            doing,
            account: name.to_string(),
        },
        // MySQL: the statement would leave objects without their definer.
        4006 => {
            LiveError::IsDefiner { server: server.name().to_owned(), account: name.to_string() }
        }
        error if snapshot::is_refusal(error) => LiveError::Refused {
            server: server.name().to_owned(),
            what: doing.to_owned(),
            error,
            remedy: grant(granted, server.own()),
        },
        error => server.fault(doing, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_statement_itself_is_one() {
        let name = AccountName::new("o'neil", r"%\");
        let sql = DeedKind::Lock.statement(&name, Way::Direct);
        assert_eq!(sql, br"ALTER USER 'o''neil'@'%\\' ACCOUNT LOCK");
        assert!(is_statement(DeedKind::Lock, &name, &sql));
        assert!(is_statement(DeedKind::Lock, &name, &[&sql[..], b"; \n"].concat()));
        assert!(!is_statement(DeedKind::Unlock, &name, &sql));
        assert!(!is_statement(DeedKind::Lock, &AccountName::new("o'neil", "%"), &sql));
        assert!(!is_statement(DeedKind::Lock, &name, &[&sql[..], b"; DROP USER 'a'@'b'"].concat()));
        assert!(!is_statement(DeedKind::Lock, &name, &[&sql[..], b" PASSWORD EXPIRE"].concat()));
    }

    #[test]
    fn a_rebuild_is_not_shown() {
        let rebuild =
            Rebuild::new(vec![b"CREATE USER 'a'@'%' IDENTIFIED BY PASSWORD '*B6'".to_vec()]);
        assert_eq!(format!("{rebuild:?}"), "Rebuild(1 statements)");
    }

    #[test]
    fn sessions_by_their_row() {
        let row = |host: &str| -> Row {
            ["7", "app", host, "shop", "Sleep", "12"]
                .iter()
                .map(|text| Some(text.as_bytes().to_vec()))
                .collect()
        };
        let found = session(&row("10.0.0.7:51234")).unwrap();
        assert_eq!((found.id, found.port, found.seconds), (7, Some(51234), 12));
        assert_eq!(found.host, b"10.0.0.7");
        assert_eq!(session(&row("localhost")).unwrap().port, None);
    }
}
