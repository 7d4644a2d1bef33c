//! Servers within reach: how option files lead to one, and what `accounts` and `deeds` need of it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger::{ProxyUsers, SQLITE_MAGIC};
use live::deed::{self, Replication, State};
use live::{LiveError, Server, Target, option_file};
use verdict::account::{AccountName, Identity, Snapshot};
use verdict::matching::{Matcher, Rules as Order, Shown};
use verdict::plan::{DeedKind, Rules, propose};
use verdict::references::{self, Reference};
use verdict::unused::Verdict;

use crate::config;
use crate::config::ancestor::Login;
use crate::deeds::{Hands, Looked, Sent, Session};

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// An option file; `None`: those that the servers' own clients read.
    pub(crate) defaults_file: Option<PathBuf>,
    /// Where that leads to, where it was read beforehand: no file is read any more.
    held: Option<Box<Target>>,
    /// The service manager gave the file to this service alone.
    is_credential: bool,
}

impl Place {
    /// By an option file, or those that the servers' own clients read.
    pub(crate) fn of(defaults_file: Option<PathBuf>) -> Place {
        Place { defaults_file, ..Place::default() }
    }

    /// Of a configured server: by its option file, or as mysql_monitor_daemon's file says.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn configured(server: &config::Server) -> Result<Place, String> {
        let held = server.login.as_ref().map(Login::target).transpose()?.map(Box::new);
        Ok(Place { defaults_file: server.defaults_file.clone(), held, is_credential: false })
    }

    /// By an option file that the service manager gave.
    pub(crate) fn credential(file: PathBuf) -> Place {
        Place { defaults_file: Some(file), held: None, is_credential: true }
    }

    /// Whether both are reached by the same option files, whatever was read of them.
    pub(crate) fn is_as(&self, other: &Place) -> bool {
        self.defaults_file == other.defaults_file
    }

    /// The same, with its option files read now, and no answer waited for longer than that. For who will not be able
    /// to read them later.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn hold(self, name: Option<&str>, timeout: Duration) -> Result<Place, String> {
        let mut target = self.target(name)?;
        target.connect_timeout = target.connect_timeout.min(timeout);
        target.answer_timeout = timeout;
        let held = Some(Box::new(target));
        Ok(Place { held, ..self })
    }

    fn target(&self, name: Option<&str>) -> Result<Target, String> {
        match &self.held {
            Some(target) => Ok((**target).clone()),
            None => target(self.defaults_file.as_deref(), self.is_credential, name),
        }
    }

    /// Connects. `name` is what messages call the server.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn connect(&self, name: Option<&str>) -> Result<Server, String> {
        let target = self.target(name)?;
        Server::connect(&target).map_err(|error| error.to_string())
    }

    /// Connects, to be told something within this time again and again.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn connect_within(
        &self,
        name: Option<&str>,
        answer: Duration,
    ) -> Result<Server, String> {
        let target = Target { answer_timeout: answer, ..self.target(name)? };
        Server::connect(&target).map_err(|error| error.to_string())
    }

    /// Whether another machine is asked, and whether its certificate is verified.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn way(&self, name: Option<&str>) -> Result<Way, String> {
        use live::target::{Place as At, TlsMode};

        let target = self.target(name)?;
        let is_remote = match &target.place {
            At::Socket(_) => false,
            At::Tcp { host, .. } => {
                let address = verdict::network::address(host.as_bytes());
                host != "localhost" && address.is_none_or(|it| !it.is_loopback())
            }
        };
        let is_verified = matches!(target.tls.mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
        Ok(Way { is_remote, is_verified })
    }
}

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// It is on another machine.
    pub(crate) is_remote: bool,
    /// Whose certificate it is is verified, where there is one.
    pub(crate) is_verified: bool,
}

/// Where the servers' own clients look for options, in their order; then the user's own file.
const USUAL_FILES: [&str; 2] = ["/etc/my.cnf", "/etc/mysql/my.cnf"];

/// Where an option file, or the usual ones, lead to.
fn target(
    defaults_file: Option<&Path>,
    is_credential: bool,
    name: Option<&str>,
) -> Result<Target, String> {
    let text = |error: LiveError| error.to_string();
    let options = match defaults_file {
        Some(path) if is_credential => option_file::read_credential(path, &option_file::GROUPS),
        Some(path) => option_file::read(path, &option_file::GROUPS),
        None => {
            let own = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".my.cnf"));
            let usual = USUAL_FILES.iter().map(PathBuf::from).chain(own);
            let there: Vec<PathBuf> = usual.filter(|path| path.is_file()).collect();
            let there: Vec<&Path> = there.iter().map(PathBuf::as_path).collect();
            option_file::read_all(&there, &option_file::GROUPS)
        }
    };
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let user = user.map_or_else(String::new, |it| it.name);
    let called = name.unwrap_or("the server");
    Target::from_options(called, &options.map_err(text)?, &user).map_err(text)
}

/// The server's accounts, as of `now` in microseconds UTC.
///
/// # Errors
/// A message with the remedy.
pub(crate) fn snapshot_of(place: &Place, name: Option<&str>, now: i64) -> Result<Snapshot, String> {
    let mut server = place.connect(name)?;
    live::snapshot::snapshot(&mut server, now).map_err(|error| error.to_string())
}

/// The largest configuration of a proxy that is read: 100,000 users fit in.
const REFERENCES_BYTES_MAX: u64 = 64 << 20;

/// User names that a configuration of ProxySQL or MaxScale, or ProxySQL's database, lists, each with the place; and
/// messages that name the file, where there may be more.
pub(crate) fn references_in(path: &Path) -> (Vec<Reference>, Vec<String>) {
    let place = path.display().to_string();
    // Anything but a file could keep us waiting.
    if std::fs::metadata(path).is_ok_and(|it| !it.is_file()) {
        return (Vec::new(), vec![format!("{place} is no file: list the files in it")]);
    }
    match is_database(path) {
        Ok(true) => in_database(path, &place),
        Ok(false) => in_text(path, &place),
        Err(error) => (Vec::new(), vec![format!("{place} cannot be read: {error}")]),
    }
}

fn is_database(path: &Path) -> std::io::Result<bool> {
    let mut begin = Vec::new();
    std::fs::File::open(path)?.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut begin)?;
    Ok(begin == SQLITE_MAGIC)
}

fn in_database(path: &Path, place: &str) -> (Vec<Reference>, Vec<String>) {
    match ledger::proxysql_users(path) {
        Ok(ProxyUsers { users, monitor }) => {
            let mut found = references::listed(users, "mysql_users", place);
            found.extend(references::listed(monitor, "mysql-monitor_username", place));
            (found, Vec::new())
        }
        Err(error) => (Vec::new(), vec![error.to_string()]),
    }
}

fn in_text(path: &Path, place: &str) -> (Vec<Reference>, Vec<String>) {
    let text = std::fs::File::open(path).and_then(|file| {
        let mut text = Vec::new();
        file.take(REFERENCES_BYTES_MAX + 1).read_to_end(&mut text)?;
        Ok(text)
    });
    match text {
        Ok(text) if text.len() as u64 > REFERENCES_BYTES_MAX => {
            let most = REFERENCES_BYTES_MAX >> 20;
            (Vec::new(), vec![format!("{place}: more than {most} MiB: no proxy's configuration")])
        }
        Ok(text) => {
            let read = references::read(&text, place);
            let faults = read.faults.iter().map(|fault| format!("{place}: {fault}"));
            (read.found, faults.collect())
        }
        Err(error) => (Vec::new(), vec![format!("{place} cannot be read: {error}")]),
    }
}

/// A real server, for deeds.
pub(crate) struct RealHands {
    server: Server,
    /// Its accounts when it was reached.
    snapshot: Snapshot,
    names: Vec<AccountName>,
    matcher: Matcher,
    protected: Vec<AccountName>,
}

impl RealHands {
    /// Reaches a server. `protected` are accounts that configuration protects.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn reach(
        place: &Place,
        name: &str,
        protected: Vec<AccountName>,
        now: i64,
    ) -> Result<RealHands, String> {
        let mut server = place.connect(Some(name))?;
        let text = |error: LiveError| error.to_string();
        let snapshot = live::snapshot::snapshot(&mut server, now).map_err(text)?;
        let users = snapshot.accounts.iter().filter(|it| !it.is_role);
        let names: Vec<AccountName> = users.map(|it| it.name.clone()).collect();
        let order = Order::of(&snapshot.version);
        let matcher = Matcher::new(order, &names, snapshot.skip_name_resolve);
        Ok(RealHands { server, snapshot, names, matcher, protected })
    }
}

impl Hands for RealHands {
    fn look(&mut self, account: &AccountName) -> Result<Option<Looked>, String> {
        let text = |error: LiveError| error.to_string();
        let Some(mut facts) = deed::facts_of(&mut self.server, account).map_err(text)? else {
            return Ok(None);
        };
        facts.server = Some(self.identity());
        let place = self.names.iter().position(|name| name == account);
        let (mut sessions, mut doubtful_sessions) = (Vec::new(), 0);
        for session in deed::sessions_of(&mut self.server, account).map_err(text)? {
            let shown = Shown::NameOrAddress(&session.host);
            let fits = self.matcher.seen(&session.user, shown, None);
            match (place, fits.rows()) {
                (Some(place), [only]) if *only == place => sessions.push(Session {
                    id: session.id,
                    user: session.user,
                    host: session.host,
                    port: session.port,
                }),
                (Some(place), rows) if !rows.contains(&place) => {}
                _ => doubtful_sessions += 1,
            }
        }
        Ok(Some(Looked { facts, sessions, doubtful_sessions }))
    }

    fn forbids(
        &mut self,
        kind: DeedKind,
        accounts: &[AccountName],
        on_replica: bool,
    ) -> Result<Vec<(AccountName, String)>, String> {
        let snapshot = live::snapshot::snapshot(&mut self.server, self.snapshot.at);
        self.snapshot = snapshot.map_err(|error| error.to_string())?;
        let rules = Rules {
            kind,
            now: self.snapshot.at,
            protected: &self.protected,
            anyway: true,
            on_replica,
            cool_down: 0,
        };
        let wanted = self.snapshot.accounts.iter().filter(|it| accounts.contains(&it.name));
        let targets: Vec<verdict::plan::Target<'_>> = wanted
            .map(|account| verdict::plan::Target {
                server: self.server.name().as_bytes(),
                snapshot: &self.snapshot,
                account,
                verdict: Verdict::Unused,
                why: String::new(),
                references: &[],
                // Since when was looked at when the plan was made.
                locked_since: Some(self.snapshot.at),
                locked_by_us: true,
                open_sessions: 0,
            })
            .collect();
        let refused = propose(&targets, &rules).refused.into_iter();
        Ok(refused.map(|(_, account, refusal)| (account, refusal.to_string())).collect())
    }

    fn identity(&self) -> Identity {
        self.snapshot.identity()
    }

    fn is_replica(&self) -> bool {
        self.snapshot.is_replica
    }

    fn is_under_way(&mut self, sql: &[u8]) -> Result<bool, String> {
        deed::is_under_way(&mut self.server, sql).map_err(|error| error.to_string())
    }

    fn shows(&mut self, kind: DeedKind, account: &AccountName, sql: &[u8]) -> Result<bool, String> {
        let shown = live::growth::shows(&mut self.server, kind, account, sql);
        shown.map_err(|error| error.to_string())
    }

    fn send(&mut self, kind: DeedKind, account: &AccountName, sql: &[u8]) -> Sent {
        match deed::send(&mut self.server, kind, account, sql) {
            Ok(_) => Sent::Done(String::new()),
            Err(error) => sent(error),
        }
    }

    fn kill(&mut self, session: &Session) -> Sent {
        let session = deed::Session {
            id: session.id,
            user: session.user.clone(),
            host: session.host.clone(),
            port: session.port,
            schema: None,
            command: String::new(),
            seconds: 0,
        };
        match deed::kill(&mut self.server, &session) {
            Ok(true) => Sent::Done(String::new()),
            Ok(false) => Sent::Done("it had ended already".to_owned()),
            Err(error) => sent(error),
        }
    }

    fn rebuilding(&mut self, account: &AccountName) -> Result<Vec<Vec<u8>>, String> {
        let rebuild = deed::show_create(&mut self.server, account);
        rebuild.map(|it| it.expose().to_vec()).map_err(|error| error.to_string())
    }

    fn rebuild(&mut self, account: &AccountName, statements: Vec<Vec<u8>>) -> Sent {
        let rebuild = deed::Rebuild::new(statements);
        match deed::rebuild(&mut self.server, account, &rebuild) {
            Ok(()) => Sent::Done(String::new()),
            Err(error) => sent(error),
        }
    }

    fn complete(&mut self, account: &AccountName, statements: Vec<Vec<u8>>) -> Sent {
        let rebuild = deed::Rebuild::new(statements);
        match deed::complete(&mut self.server, account, &rebuild) {
            Ok(()) => Sent::Done(String::new()),
            Err(error) => sent(error),
        }
    }
}

/// What an error says of what became of a statement.
fn sent(error: LiveError) -> Sent {
    let text = error.to_string();
    match error {
        LiveError::Broken { .. } | LiveError::Timeout { .. } | LiveError::NotSeen { .. } => {
            Sent::Unknown(text)
        }
        LiveError::Refused { error, .. }
        | LiveError::ReadOnly { error, .. }
        | LiveError::HalfMade { error, .. }
        | LiveError::Server { error, .. } => Sent::Refused(Some(error.into()), text),
        _ => Sent::Refused(None, text),
    }
}

/// A member of a group that a plan does not name: a change there arrives by replication.
pub(crate) struct Witness {
    server: Server,
    /// `None`: that may not be read.
    pub(crate) replication: Option<Replication>,
}

impl Witness {
    /// Reaches it.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn reach(place: &Place, name: &str) -> Result<Witness, String> {
        let mut server = place.connect(Some(name))?;
        let replication = deed::replication(&mut server).map_err(|error| error.to_string())?;
        Ok(Witness { server, replication })
    }

    /// How an account is there now.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn state(&mut self, account: &AccountName) -> Result<State, String> {
        deed::lock_state(&mut self.server, account).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_needs_no_file_any_more() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db1.cnf");
        std::fs::write(&path, "[client]\nsocket=/s\nuser=u\npassword=p-77aa\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let place = Place::of(Some(path.clone()));
        let held = place.clone().hold(Some("db1"), Duration::from_secs(5)).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(place.target(Some("db1")).is_err());
        let target = held.target(Some("db1")).unwrap();
        assert_eq!((target.user.as_str(), target.password.expose()), ("u", &b"p-77aa"[..]));
        assert!(!format!("{held:?}").contains("p-77aa"));
    }

    #[test]
    fn references_by_what_a_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, expected: &[(&str, &str)], failed: &str| {
            let path = folder.path().join(name);
            let (found, told) = references_in(&path);
            let at = format!(" of {}", path.display());
            let found: Vec<(String, String)> = found
                .into_iter()
                .map(|it| (String::from_utf8(it.user).unwrap(), it.place.replace(&at, "")))
                .collect();
            let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (&a[..], &b[..])).collect();
            assert_eq!(found, expected);
            assert_eq!(told.is_empty(), failed.is_empty(), "{told:?}");
            assert!(told.iter().all(|it| it.contains(name) && it.contains(failed)), "{told:?}");
        };
        let text = "mysql_users:\n(\n  { username = \"app\" }\n)\n";
        std::fs::write(folder.path().join("proxysql.cnf"), text).unwrap();
        check("proxysql.cnf", &[("app", "mysql_users line 3")], "");
        let db = rusqlite::Connection::open(folder.path().join("proxysql.db")).unwrap();
        db.execute_batch("CREATE TABLE t (a)").unwrap();
        check("proxysql.db", &[], "no database of ProxySQL");
        db.execute_batch(
            "CREATE TABLE mysql_users (username); INSERT INTO mysql_users VALUES ('etl');
             CREATE TABLE global_variables (variable_name, variable_value);
             INSERT INTO global_variables VALUES ('mysql-monitor_username', 'mon')",
        )
        .unwrap();
        let expected = [("etl", "mysql_users"), ("mon", "mysql-monitor_username")];
        check("proxysql.db", &expected, "");
        check("none", &[], "cannot be read");
        check(".", &[], "is no file");
    }
}
