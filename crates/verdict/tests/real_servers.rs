//! `verdict::matching` says what servers do: generated account tables on MariaDB and MySQL, logins from
//! many addresses, and `CURRENT_USER()` and `USER()` beside what is answered.
//!
//! Needs the feature `real-server`, and root for servers with a `/etc/hosts` of their own. The servers are
//! started and ended here, as these tables lock out whoever else would use them. Settings:
//!
//! * `ROLLCALL_MATCHING_TABLES`: how many tables each server is given, 40 by default;
//! * `ROLLCALL_MATCHING_SEED`: a number, for other tables than the usual ones;
//! * `ROLLCALL_MATCHING_SERVERS`: a folder with files as `tests/servers/start` prints them, named
//!   `mysql-9.7-skip` or `mysql-9.7-names`, of servers that run already; the latter must have the
//!   `/etc/hosts` that this test makes.

mod tables;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use verdict::account::{AccountName, Family, Version, quoted};
use verdict::matching::{Client, Found, Matcher, Rules, Shown};

/// Users of one generated table: each is a table of its own with the anonymous rows of all.
const USERS: usize = 50;
const KINDS: [&str; 3] = ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"];

#[test]
fn servers_match_as_is_said() {
    let number = |name: &str, usual: u64| {
        std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
    };
    let tables = number("ROLLCALL_MATCHING_TABLES", 40);
    let seed = number("ROLLCALL_MATCHING_SEED", 1);
    let servers = servers();
    let sums: Vec<Sums> = std::thread::scope(|scope| {
        let running: Vec<_> = servers
            .iter()
            .map(|server| scope.spawn(move || campaign(server, tables as usize, seed)))
            .collect();
        running.into_iter().map(|thread| thread.join().expect("a campaign")).collect()
    });
    let mut differences = 0;
    for (server, sums) in servers.iter().zip(&sums) {
        let mut told = std::io::stderr();
        writeln!(told, "{}: {sums:?}", server.name).expect("standard error");
        differences += sums.differences;
    }
    assert_eq!(differences, 0, "differences between servers and what is said of them");
}

/// What came out.
#[derive(Debug, Default)]
struct Sums {
    tables: usize,
    rows: usize,
    logins: usize,
    let_in: usize,
    anonymous: usize,
    /// Logins of which the server's own order is open.
    open: usize,
    /// Logins of which the log leaves one row, or several.
    seen_exact: usize,
    seen_candidates: usize,
    unreachable: usize,
    seconds: u64,
    differences: usize,
}

/// A running server, ended with this value if it was started for it.
struct Server {
    name: String,
    reach: HashMap<String, String>,
    _folder: Option<(Stop, tempfile::TempDir)>,
}

struct Stop(PathBuf);

impl Drop for Stop {
    fn drop(&mut self) {
        let _ = Command::new(script("stop")).arg(&self.0).status();
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/servers").join(name)
}

fn servers() -> Vec<Server> {
    if let Some(folder) = std::env::var_os("ROLLCALL_MATCHING_SERVERS") {
        let mut files: Vec<_> =
            fs::read_dir(folder).expect("servers").map(|it| it.unwrap()).collect();
        files.sort_by_key(|file| file.file_name());
        return files
            .iter()
            .map(|file| Server {
                name: file.file_name().into_string().expect("UTF-8"),
                reach: reach(&fs::read_to_string(file.path()).expect("a file")),
                _folder: None,
            })
            .collect();
    }
    std::thread::scope(|scope| {
        let starting: Vec<_> = KINDS
            .into_iter()
            .flat_map(|kind| ["skip", "names"].map(|mode| scope.spawn(move || start(kind, mode))))
            .collect();
        starting.into_iter().map(|thread| thread.join().expect("a server")).collect()
    })
}

fn start(kind: &str, mode: &str) -> Server {
    let folder = tempfile::Builder::new()
        .prefix("rollcall-matching-")
        // The server's own user must get there.
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in("/var/tmp")
        .expect("a folder");
    let place = folder.path().join("server");
    let mut command = Command::new(script("start"));
    command.arg(kind).arg(&place);
    if mode == "names" {
        let hosts = folder.path().join("hosts");
        let lines: String = tables::SOURCES
            .iter()
            .filter_map(|(address, name)| Some(format!("{address} {}\n", (*name)?)))
            .collect();
        fs::write(&hosts, lines).expect("hosts");
        command.arg("--hosts").arg(hosts);
    }
    command.args(["--", "--bind-address=*"]);
    if mode == "skip" {
        command.arg("--skip-name-resolve");
    }
    let output = command.output().expect("tests/servers/start");
    assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    Server {
        name: format!("{kind}-{mode}"),
        reach: reach(&String::from_utf8(output.stdout).expect("UTF-8")),
        _folder: Some((Stop(place), folder)),
    }
}

fn reach(text: &str) -> HashMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Server {
    fn options(&self, user: &str) -> OptsBuilder {
        OptsBuilder::new()
            .user(Some(user))
            .prefer_socket(false)
            // Not asked for, as it costs a statement.
            .max_allowed_packet(Some(1 << 20))
    }

    fn over_socket(&self, user: &str) -> Result<Conn, mysql::Error> {
        Conn::new(self.options(user).socket(Some(&self.reach["socket"])))
    }

    fn over_tcp(&self, user: &str, source: &str) -> Result<Conn, mysql::Error> {
        let source: IpAddr = source.parse().expect("an address");
        let target = if source.is_ipv4() { "127.0.0.1" } else { "::1" };
        Conn::new(
            self.options(user)
                .ip_or_hostname(Some(target))
                .tcp_port(self.reach["port"].parse().expect("a port"))
                .bind_address(Some(SocketAddr::new(source, 0))),
        )
    }
}

fn campaign(server: &Server, tables: usize, seed: u64) -> Sums {
    let begin = Instant::now();
    let mut admin = server.over_socket("root").expect("the administrator");
    let version: String = admin.query_first("SELECT version()").unwrap().expect("a version");
    let version = Version::parse(&version).expect("a version");
    let skip: bool = admin.query_first("SELECT @@skip_name_resolve").unwrap().expect("a setting");
    let mut random = [0; 32];
    random[..8].copy_from_slice(&seed.to_le_bytes());
    for (byte, named) in random[8..].iter_mut().zip(server.name.bytes()) {
        *byte = named;
    }
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &random);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let mut sums = Sums::default();
    while sums.tables < tables {
        let users = USERS.min(tables - sums.tables);
        let rows = tables::rows(users, 5).new_tree(&mut runner).expect("rows").current();
        let names = store(&mut admin, version.family, &rows);
        let matcher = Matcher::new(Rules::of(&version), &names, skip);
        let dead: Vec<usize> = matcher.unreachable().into_iter().map(|(row, _)| row).collect();
        sums.rows += names.len();
        sums.unreachable += dead.len();
        sums.tables += users;
        // One more, whom no row names.
        for number in 0..=users {
            let user = tables::user(number);
            for source in std::iter::once(None).chain(tables::SOURCES.map(|it| Some(it.0))) {
                let login = Login::try_in(server, &user, source);
                sums.logins += 1;
                if let Err(difference) = compare(&matcher, &names, &dead, &login, &mut sums) {
                    sums.differences += 1;
                    if sums.differences <= 20 {
                        let mine: Vec<String> = names
                            .iter()
                            .filter(|name| name.user.is_empty() || name.user == user.as_bytes())
                            .map(|name| name.to_string())
                            .collect();
                        let mut told = std::io::stderr();
                        writeln!(
                            told,
                            "{}: {difference}\n  {login:?}\n  {}",
                            server.name,
                            mine.join(" ")
                        )
                        .expect("standard error");
                    }
                }
            }
        }
    }
    sums.seconds = begin.elapsed().as_secs();
    sums
}

/// Puts rows in place of all generated ones, and returns all that the server has.
fn store(admin: &mut Conn, family: Family, rows: &[AccountName]) -> Vec<AccountName> {
    let text = |bytes: &[u8]| String::from_utf8(quoted(bytes)).expect("UTF-8");
    let (table, columns, rest) = match family {
        Family::MariaDb => (
            "mysql.global_priv",
            "Host, User, Priv",
            r#"'{"access":0,"plugin":"mysql_native_password","authentication_string":""}'"#,
        ),
        Family::MySql => (
            "mysql.user",
            "Host, User, plugin, authentication_string, ssl_cipher, x509_issuer, x509_subject",
            "'caching_sha2_password', '', '', '', ''",
        ),
    };
    let values: Vec<String> = rows
        .iter()
        .map(|name| format!("({}, {}, {rest})", text(&name.host), text(&name.user)))
        .collect();
    let others = "'root', 'mariadb.sys', 'mysql.sys', 'mysql.session', 'mysql.infoschema'";
    for statement in [
        "SET SESSION sql_mode = ''".to_owned(),
        format!("DELETE FROM {table} WHERE User NOT IN ({others})"),
        format!("INSERT IGNORE INTO {table} ({columns}) VALUES {}", values.join(", ")),
        "FLUSH PRIVILEGES".to_owned(),
    ] {
        admin.query_drop(statement).expect("an account table");
    }
    admin
        .query_map(format!("SELECT User, Host FROM {table}"), |(user, host): (Vec<u8>, Vec<u8>)| {
            AccountName { user, host }
        })
        .expect("accounts")
}

/// One login and what the server said of it.
#[derive(Debug)]
struct Login {
    user: String,
    /// `None` for a socket.
    source: Option<&'static str>,
    /// `CURRENT_USER()` and the host of `USER()`; `None` where it was refused.
    matched: Option<(String, String)>,
}

impl Login {
    fn try_in(server: &Server, user: &str, source: Option<&'static str>) -> Login {
        let connected = match source {
            None => server.over_socket(user),
            Some(source) => server.over_tcp(user, source),
        };
        let matched = match connected {
            Ok(mut connection) => {
                let (account, seen): (String, String) = connection
                    .query_first("SELECT CURRENT_USER(), USER()")
                    .expect("an answer")
                    .expect("a row");
                let (_, host) = seen.rsplit_once('@').expect("user@host");
                Some((account, host.to_owned()))
            }
            // No account; no account for this host.
            Err(mysql::Error::MySqlError(error)) if [1045, 1130, 1698].contains(&error.code) => {
                None
            }
            // Who is unknown is asked for a password in a way that MySQL draws by lot.
            Err(mysql::Error::DriverError(mysql::DriverError::UnknownAuthPlugin(_))) => None,
            Err(error) => panic!("{}: {user} from {source:?}: {error}", server.name),
        };
        Login { user: user.to_owned(), source, matched }
    }
}

/// Compares what a server did with what is said of it.
fn compare(
    matcher: &Matcher,
    names: &[AccountName],
    dead: &[usize],
    login: &Login,
    sums: &mut Sums,
) -> Result<(), String> {
    let user = login.user.as_bytes();
    let Some((account, shown)) = &login.matched else {
        // What the server would have called the client is not told: both must be refused.
        let address = login.source.map(str::as_bytes);
        let name = match login.source {
            None => Some("localhost"),
            Some(source) => tables::SOURCES.iter().find(|it| it.0 == source).and_then(|it| it.1),
        };
        let named = matcher.login(user, Client { address, name: name.map(str::as_bytes) });
        let bare = matcher.login(user, Client { address, name: None });
        return match (named, bare) {
            (Found::None, _) | (_, Found::None) => Ok(()),
            (named, _) => Err(format!("refused, and said to be {named:?}")),
        };
    };
    sums.let_in += 1;
    // The host as the server keeps it is empty for everybody, and told as such or as `%`.
    let (account_user, account_host) = account.rsplit_once('@').expect("user@host");
    let index = names
        .iter()
        .position(|name| {
            name.user == account_user.as_bytes() && name.host == account_host.as_bytes()
        })
        .or_else(|| {
            let empty = |name: &AccountName| name.host.is_empty() && account_host == "%";
            names.iter().position(|name| name.user == account_user.as_bytes() && empty(name))
        })
        .ok_or_else(|| format!("no row is {account}"))?;
    sums.anonymous += usize::from(account_user.is_empty());

    let name = (login.source != Some(shown)).then_some(shown.as_bytes());
    let client = Client { address: login.source.map(str::as_bytes), name };
    let said = matcher.login(user, client);
    match &said {
        Found::Exact(row) if *row == index => {}
        Found::Candidates(rows) if rows.contains(&index) => sums.open += 1,
        _ => return Err(format!("{account} (row {index}), said to be {said:?}")),
    }
    if dead.contains(&index) {
        return Err(format!("{account} is said to be unreachable"));
    }
    let mut views = vec![Shown::NameOrAddress(shown.as_bytes())];
    views.extend(login.source.map(|source| Shown::Address(source.as_bytes())));
    for view in views {
        let seen = matcher.seen(user, view, None);
        if !seen.rows().contains(&index) {
            return Err(format!("{account} (row {index}) is not among {seen:?} of {view:?}"));
        }
        let by_user = matcher.seen(user, view, Some(account_user.as_bytes()));
        if !by_user.rows().contains(&index) {
            return Err(format!("{account} is not among {by_user:?} of its user"));
        }
        match seen {
            Found::Exact(_) => sums.seen_exact += 1,
            _ => sums.seen_candidates += 1,
        }
    }
    let text = format!("{account_user}@{}", String::from_utf8_lossy(&names[index].host));
    if matcher.named(text.as_bytes()) != Some(index) {
        return Err(format!("{text} names {:?}", matcher.named(text.as_bytes())));
    }
    Ok(())
}
