//! What is read from real servers, and sent to them, is what they really hold.
//!
//! Needs the feature `real-server` and the servers of `tests/servers/start`: `./test` starts them. Each test takes
//! its turn, and makes and drops accounts of its own, whose names begin with `lv`.

#[path = "../../rollcall/tests/servers/mod.rs"]
mod servers;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use live::deed::{self, State};
use live::error::LiveError;
use live::target::{Place, Secret, Tls, TlsMode};
use live::{Server, Target, facts, option_file, snapshot};
use servers::Server as Bench;
use verdict::account::{Account, AccountName, ActivityKind, Family, Snapshot, quoted_account};
use verdict::plan::{DeedKind, Way};

const PASSWORD: &str = "right-2c81";
const NOW: i64 = 1_800_000_000_000_000;

/// A test for each server, in its turn.
macro_rules! on_each {
    ($($test:ident)*) => {$(
        mod $test {
            #[test]
            fn mariadb_10_11() { super::in_turn("mariadb-10.11", super::checks::$test); }
            #[test]
            fn mariadb_11_8() { super::in_turn("mariadb-11.8", super::checks::$test); }
            #[test]
            fn mysql_9_7() { super::in_turn("mysql-9.7", super::checks::$test); }
        }
    )*};
}

on_each! {
    snapshots_tell_what_is_granted
    each_right_has_its_name
    each_grant_changes_the_hash
    only_the_account_named_is_touched
    names_that_mean_another_account_are_not_sent
    remedies_mend_what_is_missing
    fewer_rights_show_less
    dropped_accounts_are_made_again
    sessions_are_listed_and_ended
    servers_that_take_no_changes_say_so
    certificates_are_verified
    logins_that_fail_are_told_apart
    facts_are_read
}

fn in_turn(kind: &str, check: fn(&Bench)) {
    let bench = Bench::of(kind);
    let _turn = bench.turn();
    clean(&bench);
    check(&bench);
    clean(&bench);
}

/// As root on the socket, through `client`: the mode of the session is empty, the text UTF-8.
fn admin(bench: &Bench, statements: &str) -> String {
    let mut child = bench
        .client()
        .args(["-u", "root", "-S", bench.told("socket"), "-BN", "--default-character-set=utf8mb4"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client");
    let text = format!("SET sql_mode='';\n{statements}");
    child.stdin.take().expect("standard input").write_all(text.as_bytes()).expect("a pipe");
    let output = child.wait_with_output().expect("the client");
    assert!(output.status.success(), "{statements}: {}", servers::lossy(&output.stderr));
    servers::lossy(&output.stdout)
}

/// An account for [`admin`]: clients take a carriage return before a line break away.
fn literal(name: &AccountName) -> String {
    String::from_utf8(quoted_account(name)).expect("UTF-8").replace('\r', "\\r")
}

fn is_mysql(bench: &Bench) -> bool {
    bench.told("family") == "mysql"
}

/// Drops what tests have made.
fn clean(bench: &Bench) {
    admin(
        bench,
        "DROP DATABASE IF EXISTS lvdb; SET GLOBAL sql_mode=DEFAULT; SET GLOBAL init_connect='';",
    );
    let mut server = root(bench);
    let all = snapshot::snapshot(&mut server, NOW).expect("a snapshot");
    let mut statements = String::new();
    for account in &all.accounts {
        let name = &account.name;
        if !name.user.starts_with(b"lv") && !name.host.starts_with(b"lv") {
            continue;
        }
        let text = literal(name);
        if account.is_role && !is_mysql(bench) {
            statements += &format!("DROP ROLE {};\n", text.split('@').next().expect("a name"));
        } else {
            statements += &format!("DROP USER {text};\n");
        }
    }
    admin(bench, &statements);
}

fn root(bench: &Bench) -> Server {
    let target = Target::socket("db1", bench.told("socket"), "root", Secret::default());
    Server::connect(&target).expect("a connection")
}

fn target(bench: &Bench, user: &str) -> Target {
    Target::socket("db1", bench.told("socket"), user, Secret::new(PASSWORD))
}

fn over_tcp(bench: &Bench, host: &str, mode: TlsMode, ca: Option<&str>) -> Target {
    let port = bench.told("port").parse().expect("a port");
    Target {
        place: Place::Tcp { host: host.to_owned(), port },
        tls: Tls { mode, ca: ca.map(PathBuf::from), identity: None },
        ..target(bench, "lvtls")
    }
}

fn by_name(all: &Snapshot) -> BTreeMap<AccountName, Account> {
    all.accounts.iter().map(|it| (it.name.clone(), it.clone())).collect()
}

mod checks {
    use super::*;

    pub(super) fn snapshots_tell_what_is_granted(bench: &Bench) {
        let family = if is_mysql(bench) { Family::MySql } else { Family::MariaDb };
        admin(
            bench,
            &format!(
                "CREATE USER lvplain@'10.%' IDENTIFIED BY '{PASSWORD}';\n\
                 CREATE USER lvlocked@'%' IDENTIFIED BY '{PASSWORD}' ACCOUNT LOCK;\n\
                 CREATE USER lvexpired@'%' IDENTIFIED BY '{PASSWORD}' PASSWORD EXPIRE;\n\
                 CREATE USER lvadmin@'%';\nGRANT RELOAD, CREATE USER ON *.* TO lvadmin@'%' WITH GRANT OPTION;\n\
                 CREATE USER lvreplica@'%';\nGRANT REPLICATION SLAVE ON *.* TO lvreplica@'%';\n\
                 CREATE ROLE lvrole;\nGRANT lvrole TO lvplain@'10.%';\n\
                 SET DEFAULT ROLE lvrole {} lvplain@'10.%';\n\
                 GRANT PROXY ON lvlocked@'%' TO lvadmin@'%';\n\
                 CREATE DATABASE lvdb;\nCREATE TABLE lvdb.t (a INT);\n\
                 CREATE DEFINER=lvlocked@'%' VIEW lvdb.v AS SELECT 1;\n\
                 CREATE DEFINER=lvlocked@'%' PROCEDURE lvdb.p() SELECT 1;\n\
                 CREATE DEFINER=lvlocked@'%' FUNCTION lvdb.f() RETURNS INT DETERMINISTIC RETURN 1;\n\
                 CREATE DEFINER=lvlocked@'%' TRIGGER lvdb.g BEFORE INSERT ON lvdb.t FOR EACH ROW SET @a=1;\n\
                 CREATE DEFINER=lvlocked@'%' EVENT lvdb.e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1;\n",
                if is_mysql(bench) { "TO" } else { "FOR" }
            ),
        );
        let before = admin(bench, "SELECT UNIX_TIMESTAMP();").trim().parse::<i64>().unwrap();
        let mut server = root(bench);
        let all = snapshot::snapshot(&mut server, NOW).unwrap();
        assert_eq!(all.missing, []);
        assert_eq!(
            (all.version.family, all.at, all.hostname.as_slice()),
            (family, NOW, b"db1".as_slice())
        );
        assert_eq!(all.own, AccountName::new("root", "localhost"));
        assert!(!all.read_only && !all.is_replica && !all.has_init_connect);
        assert!(!all.server_uuid.is_empty());
        let started = all.started.unwrap() / 1_000_000;
        assert!(started <= before && before - started < 1_000_000, "{started} {before}");
        assert!(all.accounts.is_sorted_by(|one, two| one.name < two.name));

        let accounts = by_name(&all);
        let found = |user: &str, host: &str| &accounts[&AccountName::new(user, host)];
        let plain = found("lvplain", "10.%");
        let role = AccountName::new("lvrole", if is_mysql(bench) { "%" } else { "" });
        assert_eq!((plain.locked, plain.expired, plain.is_role), (Some(false), Some(false), false));
        assert_eq!(
            (&plain.roles, &plain.default_roles),
            (&vec![role.clone()], &vec![role.clone()])
        );
        let changed = plain.password_changed.unwrap() / 1_000_000;
        assert!((before - changed).abs() < 60, "{changed} {before}");
        let plugin =
            if is_mysql(bench) { "caching_sha2_password" } else { "mysql_native_password" };
        assert_eq!(plain.plugin, plugin);
        assert!(plain.global_rights.is_empty() && plain.grants_hash.is_some());
        assert!(accounts[&role].is_role);
        assert_eq!(found("lvexpired", "%").expired, Some(true));
        assert!(found("lvreplica", "%").is_replication());
        assert!(found("root", "localhost").is_administrator());
        let admin = found("lvadmin", "%");
        assert_eq!(admin.global_rights, ["CREATE USER", "GRANT OPTION", "RELOAD"]);
        let locked = found("lvlocked", "%");
        assert_eq!(locked.locked, Some(true));
        assert!(locked.is_proxied && admin.proxies_for == [locked.name.clone()]);
        let kinds: Vec<_> =
            locked.definer_of.iter().map(|it| (it.kind, it.name.as_slice())).collect();
        let expected: [(_, &[u8]); 5] = [
            ("EVENT", b"e"),
            ("FUNCTION", b"f"),
            ("PROCEDURE", b"p"),
            ("TRIGGER", b"g"),
            ("VIEW", b"v"),
        ];
        assert_eq!(kinds, expected);
        let own = |it: &&verdict::account::Activity| it.user == b"root" && it.open > 0;
        assert_eq!(all.activity.iter().find(own).unwrap().kind, ActivityKind::Processlist);

        // No hash of a password, neither as text nor as bytes.
        let shown = format!("{all:?}");
        for account in ["lvplain", "lvlocked"] {
            let column = "authentication_string";
            let hash =
                bench.admin(&format!("SELECT {column} FROM mysql.user WHERE User='{account}'"));
            let hash = hash.trim_end();
            assert!(hash.len() > 20 && !shown.contains(hash), "{hash}");
            let bytes = format!("{:?}", hash.as_bytes());
            assert!(!shown.contains(&bytes[1..bytes.len() - 1]));
        }
        if is_mysql(bench) {
            assert!(all.activity.iter().any(|it| it.kind == ActivityKind::PerformanceSchema));
        } else {
            admin_global(bench, "userstat", "1");
            drop(root(bench));
            let all = snapshot::snapshot(&mut root(bench), NOW).unwrap();
            let statistics = all.activity.iter().find(|it| it.kind == ActivityKind::UserStatistics);
            assert!(statistics.unwrap().total.unwrap() > 0);
            admin_global(bench, "userstat", "0");
        }
    }

    /// As `information_schema` names it, which lists rights only to who may read `mysql`.
    pub(super) fn each_right_has_its_name(bench: &Bench) {
        let listed = |user: &str| {
            let sql = format!(
                "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE \
                 GRANTEE=\"{user}\" AND PRIVILEGE_TYPE<>'USAGE' ORDER BY 1"
            );
            bench.admin(&sql).lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let all = listed("'root'@'localhost'");
        let mut statements = String::new();
        for (i, right) in all.iter().enumerate() {
            statements += &format!("CREATE USER lv{i}@'%'; GRANT {right} ON *.* TO lv{i}@'%';\n");
        }
        admin(bench, &statements);
        let accounts = by_name(&snapshot::snapshot(&mut root(bench), NOW).unwrap());
        for (i, right) in all.iter().enumerate() {
            let account = &accounts[&AccountName::new(format!("lv{i}"), "%")];
            assert_eq!(account.global_rights, listed(&format!("'lv{i}'@'%'")), "{right}");
        }
        let root = &accounts[&AccountName::new("root", "localhost")].global_rights;
        assert!(all.iter().all(|right| root.contains(right)) && all.len() > 30, "{root:?}");
    }

    pub(super) fn each_grant_changes_the_hash(bench: &Bench) {
        admin(
            bench,
            "CREATE USER lva@'%'; CREATE USER lvb@'%'; CREATE ROLE lvrole; CREATE DATABASE lvdb;\n\
             CREATE TABLE lvdb.t (a INT); CREATE PROCEDURE lvdb.p() SELECT 1;",
        );
        let name = AccountName::new("lva", "%");
        let mut server = root(bench);
        let mut hash = || {
            let facts = deed::facts_of(&mut server, &name).unwrap().unwrap();
            let all = snapshot::snapshot(&mut server, NOW).unwrap();
            assert_eq!(by_name(&all)[&name].grants_hash, facts.grants_hash);
            facts.grants_hash.unwrap()
        };
        let bare = hash();
        let mut seen = vec![bare];
        let default_role = if is_mysql(bench) {
            (
                "GRANT lvrole TO lva@'%'; SET DEFAULT ROLE lvrole TO lva@'%'",
                "REVOKE lvrole FROM lva@'%'",
            )
        } else {
            (
                "GRANT lvrole TO lva@'%'; SET DEFAULT ROLE lvrole FOR lva@'%'",
                "SET DEFAULT ROLE NONE FOR lva@'%'; REVOKE lvrole FROM lva@'%'",
            )
        };
        let dynamic = if is_mysql(bench) { "CONNECTION_ADMIN" } else { "CONNECTION ADMIN" };
        for (grant, revoke) in [
            ("GRANT RELOAD ON *.* TO lva@'%'", "REVOKE RELOAD ON *.* FROM lva@'%'"),
            (
                &format!("GRANT {dynamic} ON *.* TO lva@'%'"),
                &format!("REVOKE {dynamic} ON *.* FROM lva@'%'"),
            ),
            ("GRANT SELECT ON lvdb.* TO lva@'%'", "REVOKE SELECT ON lvdb.* FROM lva@'%'"),
            ("GRANT SELECT ON lvdb.t TO lva@'%'", "REVOKE SELECT ON lvdb.t FROM lva@'%'"),
            ("GRANT SELECT (a) ON lvdb.t TO lva@'%'", "REVOKE SELECT (a) ON lvdb.t FROM lva@'%'"),
            (
                "GRANT EXECUTE ON PROCEDURE lvdb.p TO lva@'%'",
                "REVOKE EXECUTE ON PROCEDURE lvdb.p FROM lva@'%'",
            ),
            ("GRANT PROXY ON lvb@'%' TO lva@'%'", "REVOKE PROXY ON lvb@'%' FROM lva@'%'"),
            ("GRANT lvrole TO lva@'%'", "REVOKE lvrole FROM lva@'%'"),
            default_role,
        ] {
            admin(bench, &format!("{grant};"));
            let granted = hash();
            assert!(!seen.contains(&granted), "{grant}");
            seen.push(granted);
            admin(bench, &format!("{revoke};"));
            assert_eq!(hash(), bare, "{revoke}");
        }
        admin(
            bench,
            "ALTER USER lva@'%' IDENTIFIED BY 'other-7f3a'; ALTER USER lva@'%' ACCOUNT LOCK;",
        );
        assert_eq!(hash(), bare, "neither password nor lock is a grant");
    }

    pub(super) fn only_the_account_named_is_touched(bench: &Bench) {
        let count: usize = std::env::var("ROLLCALL_HOSTILE_NAMES")
            .map_or(100, |count| count.parse().expect("a number in ROLLCALL_HOSTILE_NAMES"));
        let mut names = Names(Chance(0x2c81));
        for mode in ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES"]
        {
            admin_global(bench, "sql_mode", &format!("'{mode}'"));
            for chunk in 0..count.div_ceil(100) {
                let names = names.take(100.min(count - chunk * 100), is_mysql(bench));
                touch(bench, &names);
            }
        }
    }

    /// Creates accounts of these names, locks them in one order, unlocks them in the other, and drops them. Before
    /// each statement the account's own row is looked at, so one that the statement for another has reached as well is
    /// found in one of the two orders; behind each pass the whole table is looked at.
    fn touch(bench: &Bench, names: &[AccountName]) {
        let mut server = root(bench);
        let others = deed::lock_states(&mut server).unwrap();
        // Without passwords: MySQL takes milliseconds to hash one.
        let create = |name| format!("CREATE USER {};\n", literal(name));
        admin(bench, &names.iter().map(create).collect::<String>());
        let mut check = |kind: DeedKind, before, after, is_reversed: bool| {
            let mut order: Vec<&AccountName> = names.iter().collect();
            if is_reversed {
                order.reverse();
            }
            for name in order {
                let sql = kind.statement(name, Way::Direct);
                let sent = deed::send(&mut server, kind, name, &sql).unwrap();
                assert_eq!((sent.before, sent.after), (before, after), "{kind:?} {name}");
            }
            let own = names.iter().filter(|_| after != State::Absent);
            let own = own.map(|name| (name.clone(), after));
            let expected: BTreeMap<_, _> = others.clone().into_iter().chain(own).collect();
            assert_eq!(deed::lock_states(&mut server).unwrap(), expected, "{kind:?}");
        };
        check(DeedKind::Lock, State::Open, State::Locked, false);
        check(DeedKind::Unlock, State::Locked, State::Open, true);
        check(DeedKind::Drop, State::Open, State::Absent, false);
    }

    /// Names made of what breaks quoting, without end.
    struct Names(Chance);

    impl Names {
        fn next(&mut self, bound: usize) -> usize {
            self.0.next(bound)
        }

        /// MySQL makes accounts whose host pattern holds a backslash, and finds none of them again (1133).
        fn take(&mut self, count: usize, is_mysql: bool) -> Vec<AccountName> {
            const PARTS: [&str; 24] = [
                "'", "\"", "\\", "`", "\n", "\r", "\t", "%", "_", "@", ";", "--", "#", "/*", "*/",
                "?", ":a", "é", "名", " ", "a", "B", "\\'", "''",
            ];
            const HOSTS: [&str; 8] =
                ["%", "10.0.%", "_0.1.2.3", "lv'h", "lv\"%", "lv.example", "lv\\", "lv`\\'"];
            let hosts = if is_mysql { &HOSTS[..6] } else { &HOSTS };
            let mut names = std::collections::BTreeSet::new();
            // Nobody's name.
            names.insert(AccountName::new("", "lv.example"));
            while names.len() < count {
                let mut user = "lv".to_owned();
                for _ in 0..self.next(12) {
                    user += PARTS[self.next(PARTS.len())];
                }
                let user = user.trim_end_matches([' ', '\t', '\r', '\n']);
                names.insert(AccountName::new(user, hosts[self.next(hosts.len())]));
            }
            names.into_iter().collect()
        }
    }

    pub(super) fn names_that_mean_another_account_are_not_sent(bench: &Bench) {
        admin(bench, "CREATE USER lvsp@'%'; CREATE USER 'lv?'@'%';");
        let mut server = root(bench);
        for (name, meant) in
            [("lvsp ", "lvsp"), ("lv😀", "lv?"), ("LVSP", "lvsp"), ("lvnone", "lvsp")]
        {
            let name = AccountName::new(name, "%");
            for kind in [DeedKind::Lock, DeedKind::Drop] {
                let error =
                    deed::send(&mut server, kind, &name, &kind.statement(&name, Way::Direct))
                        .unwrap_err();
                assert!(matches!(error, LiveError::NoAccount { .. }), "{error}");
            }
            let meant = AccountName::new(meant, "%");
            assert_eq!(deed::lock_state(&mut server, &meant).unwrap(), State::Open);
            assert_eq!(deed::facts_of(&mut server, &name).unwrap(), None);
        }
        let name = AccountName::new("lvsp", "%");
        let sql =
            [&DeedKind::Lock.statement(&name, Way::Direct)[..], b"; DROP USER 'lv?'@'%'"].concat();
        let error = deed::send(&mut server, DeedKind::Lock, &name, &sql).unwrap_err();
        assert!(matches!(error, LiveError::NotTheStatement { .. }), "{error}");
    }

    /// A user without any right is told, step by step, what it needs; then it sees all that root does.
    pub(super) fn remedies_mend_what_is_missing(bench: &Bench) {
        admin(
            bench,
            &format!(
                "CREATE USER lvmon@localhost IDENTIFIED BY '{PASSWORD}'; CREATE USER lva@'%';\n\
                 CREATE DATABASE lvdb; CREATE TABLE lvdb.t (a INT);\n\
                 CREATE DEFINER=lva@'%' VIEW lvdb.v AS SELECT a FROM lvdb.t;\n\
                 CREATE DEFINER=lva@'%' PROCEDURE lvdb.p() SELECT 1;\n\
                 CREATE DEFINER=lva@'%' TRIGGER lvdb.g BEFORE INSERT ON lvdb.t FOR EACH ROW SET @a=1;\n\
                 CREATE DEFINER=lva@'%' EVENT lvdb.e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1;\n"
            ),
        );
        let mut given = Vec::new();
        let all = loop {
            let mut server = Server::connect(&target(bench, "lvmon")).unwrap();
            let remedies: Vec<String> = match snapshot::snapshot(&mut server, NOW) {
                Ok(all) if all.missing.is_empty() => break all,
                Ok(all) => all.missing.into_iter().map(|it| it.remedy).collect(),
                Err(LiveError::Refused { remedy, .. }) => vec![remedy],
                Err(error) => panic!("{error}"),
            };
            for remedy in remedies {
                assert!(!given.contains(&remedy), "{remedy} mends nothing");
                admin(bench, &remedy);
                given.push(remedy);
            }
        };
        let seen = by_name(&all);
        let mut real = by_name(&snapshot::snapshot(&mut root(bench), NOW).unwrap());
        for account in real.values_mut() {
            // Columns that hold hashes are not among what is asked for.
            account.definer_of.sort();
        }
        assert_eq!(seen, real);
        assert!(all.activity.iter().any(|it| it.user == b"root") || all.activity.len() == 1);
        given.sort();
        let expected: &[&str] = if is_mysql(bench) {
            &[
                "EVENT ON *.*",
                "PROCESS ON *.*",
                "REPLICATION CLIENT ON *.*",
                "SELECT (User, Host, plugin, account_locked, ",
                "SELECT ON mysql.columns_priv",
                "SELECT ON mysql.db",
                "SELECT ON mysql.default_roles",
                "SELECT ON mysql.global_grants",
                "SELECT ON mysql.procs_priv",
                "SELECT ON mysql.proxies_priv",
                "SELECT ON mysql.role_edges",
                "SELECT ON mysql.tables_priv",
                "SELECT ON performance_schema.events_statements_summary_by_account_by_event_name",
                "SHOW VIEW ON *.*",
                "SHOW_ROUTINE ON *.*",
                "TRIGGER ON *.*",
            ]
        } else {
            &[
                "PROCESS ON *.*",
                "SELECT (db, name, definer) ON mysql.event",
                "SELECT (db, name, type, definer) ON mysql.proc",
                "SELECT ON mysql.columns_priv",
                "SELECT ON mysql.db",
                "SELECT ON mysql.global_priv",
                "SELECT ON mysql.procs_priv",
                "SELECT ON mysql.proxies_priv",
                "SELECT ON mysql.roles_mapping",
                "SELECT ON mysql.tables_priv",
                "SHOW VIEW ON *.*",
                "SLAVE MONITOR ON *.*",
                "TRIGGER ON *.*",
            ]
        };
        assert_eq!(given.len(), expected.len(), "{given:#?}");
        for (given, expected) in given.iter().zip(expected) {
            assert!(given.starts_with(&format!("GRANT {expected}")), "{given} / {expected}");
            assert!(given.ends_with(" TO 'lvmon'@'localhost';"), "{given}");
        }

        // It may look, and nothing else.
        let mut server = Server::connect(&target(bench, "lvmon")).unwrap();
        let name = AccountName::new("lva", "%");
        let sql = DeedKind::Lock.statement(&name, Way::Direct);
        let error = deed::send(&mut server, DeedKind::Lock, &name, &sql).unwrap_err();
        let expected = "GRANT CREATE USER ON *.* TO 'lvmon'@'localhost';";
        assert!(
            matches!(&error, LiveError::Refused { remedy, .. } if remedy == expected),
            "{error}"
        );
        assert_eq!(deed::lock_state(&mut server, &name).unwrap(), State::Open);
    }

    /// Names alone; names and state; on MariaDB the view without locks.
    pub(super) fn fewer_rights_show_less(bench: &Bench) {
        let user = format!("CREATE USER lvmon@localhost IDENTIFIED BY '{PASSWORD}';");
        admin(
            bench,
            &format!(
                "{user} CREATE USER lvlocked@'%' ACCOUNT LOCK;\nGRANT FILE ON *.* TO lvlocked@'%';"
            ),
        );
        let name = AccountName::new("lvlocked", "%");
        let account = || {
            let mut server = Server::connect(&target(bench, "lvmon")).unwrap();
            let all = snapshot::snapshot(&mut server, NOW).unwrap();
            let what: Vec<String> = all.missing.iter().map(|it| it.what.clone()).collect();
            (by_name(&all).remove(&name).unwrap(), what)
        };
        let lock = "whether accounts are locked".to_owned();
        let rights = "which global rights accounts have".to_owned();
        if is_mysql(bench) {
            admin(bench, "GRANT SELECT (User, Host) ON mysql.user TO lvmon@localhost;");
            let (found, missing) = account();
            assert_eq!((found.locked, found.expired, found.grants_hash), (None, None, None));
            assert!(found.global_rights.is_empty());
            assert!(missing.contains(&lock) && missing.contains(&rights));
            let columns = "plugin, account_locked, password_expired, password_last_changed, password_lifetime";
            admin(bench, &format!("GRANT SELECT ({columns}) ON mysql.user TO lvmon@localhost;"));
            let (found, missing) = account();
            assert_eq!((found.locked, found.expired), (Some(true), Some(false)));
            assert!(found.global_rights.is_empty());
            assert!(!missing.contains(&lock) && missing.contains(&rights));
        } else {
            admin(bench, "GRANT SELECT ON mysql.user TO lvmon@localhost;");
            let (found, missing) = account();
            assert_eq!((found.locked, found.expired, found.grants_hash), (None, Some(false), None));
            assert_eq!(found.global_rights, ["FILE"]);
            assert!(missing.contains(&lock));
        }
    }

    pub(super) fn dropped_accounts_are_made_again(bench: &Bench) {
        let role = if is_mysql(bench) { "TO" } else { "FOR" };
        admin(
            bench,
            &format!(
                "CREATE ROLE lvrole; CREATE DATABASE lvdb; CREATE TABLE lvdb.t (a INT, b INT);\n\
                 CREATE PROCEDURE lvdb.p() SELECT 1; CREATE USER lvother@'%';\n\
                 CREATE USER 'lv''\\\\o'@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL \
                   WITH MAX_USER_CONNECTIONS 3 PASSWORD EXPIRE ACCOUNT LOCK;\n\
                 GRANT SELECT, RELOAD ON *.* TO 'lv''\\\\o'@'%' WITH GRANT OPTION;\n\
                 GRANT INSERT ON lvdb.* TO 'lv''\\\\o'@'%';\n\
                 GRANT UPDATE (a), DELETE ON lvdb.t TO 'lv''\\\\o'@'%';\n\
                 GRANT EXECUTE ON PROCEDURE lvdb.p TO 'lv''\\\\o'@'%';\n\
                 GRANT PROXY ON lvother@'%' TO 'lv''\\\\o'@'%';\n\
                 GRANT lvrole TO 'lv''\\\\o'@'%' WITH ADMIN OPTION;\n\
                 SET DEFAULT ROLE lvrole {role} 'lv''\\\\o'@'%';\n\
                 CREATE USER lvplain@localhost IDENTIFIED BY '{PASSWORD}';\n"
            ),
        );
        if is_mysql(bench) {
            admin(bench, "GRANT 'lv''\\\\o'@'%' TO lvother@'%' WITH ADMIN OPTION;");
        }
        for name in [AccountName::new("lv'\\o", "%"), AccountName::new("lvplain", "localhost")] {
            let mut server = root(bench);
            let account = |server: &mut Server| {
                let all = snapshot::snapshot(server, NOW).unwrap();
                // The password counts as new.
                by_name(&all).remove(&name).map(|it| Account { password_changed: None, ..it })
            };
            let shown = |bench: &Bench| {
                let literal = literal(&name);
                let hex = if is_mysql(bench) { "SET print_identified_with_as_hex=1;" } else { "" };
                admin(
                    bench,
                    &format!("{hex}SHOW CREATE USER {literal}; SHOW GRANTS FOR {literal};"),
                )
            };
            let (before, told) = (account(&mut server), shown(bench));
            assert!(before.is_some());
            let rebuild = deed::show_create(&mut server, &name).unwrap();
            assert!(rebuild.expose().len() >= 2);
            assert!(!format!("{rebuild:?}").contains("IDENTIFIED"));
            let error = deed::rebuild(&mut server, &name, &rebuild).unwrap_err();
            assert!(matches!(error, LiveError::Exists { .. }), "{error}");
            deed::send(
                &mut server,
                DeedKind::Drop,
                &name,
                &DeedKind::Drop.statement(&name, Way::Direct),
            )
            .unwrap();
            assert_eq!(account(&mut server), None);
            deed::rebuild(&mut server, &name, &rebuild).unwrap();
            assert_eq!((account(&mut server), shown(bench)), (before.clone(), told.clone()));

            // Interrupted behind any of its statements it is completed, as long as it is the same account.
            for sent in 1..rebuild.expose().len() {
                admin(bench, &format!("DROP USER {};", literal(&name)));
                for statement in &rebuild.expose()[..sent] {
                    admin(bench, &format!("{};", String::from_utf8_lossy(statement)));
                }
                deed::complete(&mut server, &name, &rebuild).unwrap();
                assert_eq!((account(&mut server), shown(bench)), (before.clone(), told.clone()));
            }
            admin(
                bench,
                &format!("DROP USER {0}; CREATE USER {0} IDENTIFIED BY 'x-5';", literal(&name)),
            );
            let (others, error) =
                (account(&mut server), deed::complete(&mut server, &name, &rebuild));
            assert!(matches!(error, Err(LiveError::Exists { .. })), "{error:?}");
            assert_eq!(account(&mut server), others);
            admin(bench, &format!("DROP USER {};", literal(&name)));
            deed::rebuild(&mut server, &name, &rebuild).unwrap();
        }
        Server::connect(&target(bench, "lvplain")).expect("the old password");

        // What would be left without its definer: MySQL lets only who may leave it so.
        admin(
            bench,
            &format!(
                "CREATE DEFINER=lvother@'%' VIEW lvdb.v AS SELECT 1; CREATE USER lvdrop@localhost \
                 IDENTIFIED BY '{PASSWORD}'; GRANT CREATE USER ON *.* TO lvdrop@localhost; \
                 GRANT SELECT ON mysql.* TO lvdrop@localhost;"
            ),
        );
        let name = AccountName::new("lvother", "%");
        let mut server = Server::connect(&target(bench, "lvdrop")).unwrap();
        let sent = deed::send(
            &mut server,
            DeedKind::Drop,
            &name,
            &DeedKind::Drop.statement(&name, Way::Direct),
        );
        assert_eq!(matches!(sent, Err(LiveError::IsDefiner { .. })), is_mysql(bench), "{sent:?}");
    }

    pub(super) fn sessions_are_listed_and_ended(bench: &Bench) {
        admin(
            bench,
            &format!(
                "CREATE USER lva@localhost IDENTIFIED BY '{PASSWORD}';\n\
                 CREATE USER lvtls@'%' IDENTIFIED BY '{PASSWORD}';"
            ),
        );
        let mut one = Server::connect(&target(bench, "lva")).unwrap();
        let tcp = over_tcp(bench, "127.0.0.1", TlsMode::Required, None);
        let mut two = Server::connect(&tcp).unwrap();
        let mut server = root(bench);
        let sessions =
            deed::sessions_of(&mut server, &AccountName::new("lva", "localhost")).unwrap();
        let [session] = &sessions[..] else { panic!("{sessions:?}") };
        assert_eq!((session.id, session.port), (one.connection_id(), None));
        assert_eq!(
            (session.host.as_slice(), session.command.as_str()),
            (&b"localhost"[..], "Sleep")
        );
        let others = deed::sessions_of(&mut server, &AccountName::new("lvtls", "%")).unwrap();
        assert_eq!((others.len(), others[0].host.as_slice()), (1, &b"127.0.0.1"[..]));
        assert!(others[0].port.is_some());

        assert!(
            !deed::kill(&mut server, &deed::Session { port: Some(1), ..session.clone() }).unwrap()
        );
        assert!(facts::status(&mut one, "Uptime").is_ok());
        assert!(deed::kill(&mut server, session).unwrap());
        let error = facts::status(&mut one, "Uptime").unwrap_err();
        assert!(matches!(error, LiveError::Broken { .. }), "{error}");
        assert!(!deed::kill(&mut server, session).unwrap());

        // Without the right, nothing is said rather than that there are none.
        let error =
            deed::sessions_of(&mut two, &AccountName::new("root", "localhost")).unwrap_err();
        let expected = "GRANT PROCESS ON *.* TO 'lvtls'@'%';";
        assert!(
            matches!(&error, LiveError::Refused { remedy, .. } if remedy == expected),
            "{error}"
        );
    }

    pub(super) fn servers_that_take_no_changes_say_so(bench: &Bench) {
        admin(
            bench,
            &format!(
                "CREATE USER lva@'%'; CREATE USER lvlocker@localhost IDENTIFIED BY '{PASSWORD}';\n\
                 GRANT CREATE USER ON *.* TO lvlocker@localhost; GRANT SELECT ON mysql.* TO lvlocker@localhost;"
            ),
        );
        let variable = if is_mysql(bench) { "super_read_only" } else { "read_only" };
        admin_global(bench, variable, "1");
        let mut server = Server::connect(&target(bench, "lvlocker")).unwrap();
        let name = AccountName::new("lva", "%");
        let sent = deed::send(
            &mut server,
            DeedKind::Lock,
            &name,
            &DeedKind::Lock.statement(&name, Way::Direct),
        );
        let writable = deed::writable(&mut root(bench)).unwrap();
        admin(bench, &format!("SET GLOBAL {variable}=0; SET GLOBAL read_only=0;"));
        assert!(matches!(sent, Err(LiveError::ReadOnly { .. })), "{sent:?}");
        assert!(writable.read_only);
        assert_eq!((writable.super_read_only, writable.is_replica), (is_mysql(bench), Some(false)));
        let writable = deed::writable(&mut server).unwrap();
        assert_eq!((writable.read_only, writable.is_replica), (false, None));
    }

    pub(super) fn certificates_are_verified(bench: &Bench) {
        admin(bench, &format!("CREATE USER lvtls@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL;"));
        let ca = bench.told("ca").to_owned();
        let connect = |target: &Target| Server::connect(target).map(|server| server.is_encrypted());
        for host in ["127.0.0.1", "localhost"] {
            for mode in
                [TlsMode::VerifyIdentity, TlsMode::VerifyCa, TlsMode::Required, TlsMode::Preferred]
            {
                assert!(
                    connect(&over_tcp(bench, host, mode, Some(&ca))).unwrap(),
                    "{host} {mode:?}"
                );
            }
        }
        assert!(connect(&over_tcp(bench, "127.0.0.1", TlsMode::Required, None)).unwrap());
        let error = connect(&over_tcp(bench, "127.0.0.1", TlsMode::Disabled, None)).unwrap_err();
        assert!(matches!(error, LiveError::Login { .. }), "{error}");

        // Another authority's, and none that the user has named: nobody is trusted.
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other.pem");
        std::fs::write(&other, include_str!("other-ca.pem")).unwrap();
        for ca in [Some(other.to_str().unwrap()), None] {
            for mode in [TlsMode::VerifyIdentity, TlsMode::VerifyCa] {
                let error = connect(&over_tcp(bench, "127.0.0.1", mode, ca)).unwrap_err();
                assert!(matches!(error, LiveError::TlsUntrusted { .. }), "{mode:?}: {error}");
            }
        }
        let missing = over_tcp(bench, "127.0.0.1", TlsMode::VerifyCa, Some("/nowhere/ca.pem"));
        let error = connect(&missing).unwrap_err();
        assert!(matches!(error, LiveError::FileMissing { .. }), "{error}");

        // The same server under an address that its certificate does not name.
        let port = forward("127.0.0.2:0", bench.told("port"));
        let through = |mode| {
            let target = over_tcp(bench, "127.0.0.2", mode, Some(&ca));
            connect(&Target { place: Place::Tcp { host: "127.0.0.2".to_owned(), port }, ..target })
        };
        let error = through(TlsMode::VerifyIdentity).unwrap_err();
        assert!(matches!(error, LiveError::TlsName { .. }), "{error}");
        assert!(through(TlsMode::VerifyCa).unwrap());
    }

    pub(super) fn logins_that_fail_are_told_apart(bench: &Bench) {
        admin(
            bench,
            &format!(
                "CREATE USER lva@localhost IDENTIFIED BY 'other-7f3a';\n\
                 CREATE USER lvlocked@localhost IDENTIFIED BY '{PASSWORD}' ACCOUNT LOCK;\n\
                 CREATE USER lvexpired@localhost IDENTIFIED BY '{PASSWORD}' PASSWORD EXPIRE;\n\
                 CREATE USER lvtls@'%' IDENTIFIED BY '{PASSWORD}';\n\
                 CREATE USER lvplain@localhost IDENTIFIED BY '{PASSWORD}';"
            ),
        );
        let fails = |target: &Target| {
            let error = Server::connect(target).map(drop).unwrap_err();
            assert!(
                !error.to_string().contains(PASSWORD) && !format!("{error:?}").contains(PASSWORD)
            );
            error
        };
        let error = fails(&target(bench, "lva"));
        assert!(matches!(error, LiveError::Login { error: 1045, .. }), "{error}");
        // MySQL draws a plugin for a user who does not exist: it may be one that is not spoken.
        let error = fails(&target(bench, "lvnobody"));
        let is_drawn = is_mysql(bench) && matches!(error, LiveError::Plugin { .. });
        assert!(
            matches!(error, LiveError::Login { error: 1045 | 1698, .. })
                || is_drawn && error.to_string().contains("check that the user exists"),
            "{error}"
        );
        let error = fails(&target(bench, "lvlocked"));
        assert!(matches!(error, LiveError::Locked { .. }), "{error}");
        let error = fails(&target(bench, "lvexpired"));
        assert!(matches!(error, LiveError::Expired { .. }), "{error}");
        let error = fails(&Target::socket("db1", "/nowhere/socket", "root", Secret::default()));
        assert!(matches!(error, LiveError::Down { .. }), "{error}");
        let at = |port| Target {
            place: Place::Tcp { host: "localhost".to_owned(), port },
            connect_timeout: Duration::from_millis(500),
            ..over_tcp(bench, "localhost", TlsMode::Disabled, None)
        };
        // A port that is not handed out to others meanwhile.
        let error = fails(&at(1));
        assert!(matches!(error, LiveError::Down { .. }), "{error}");

        admin_global(bench, "init_connect", "'SELECT no_such_column'");
        let error = fails(&target(bench, "lvplain"));
        admin_global(bench, "init_connect", "''");
        assert!(matches!(error, LiveError::InitConnect { .. }), "{error}");
        Server::connect(&target(bench, "lvplain")).unwrap();

        // A password in full is sent over TLS and the socket, not in clear.
        let clear = over_tcp(bench, "127.0.0.1", TlsMode::Disabled, None);
        if is_mysql(bench) {
            let error = fails(&clear);
            assert!(matches!(error, LiveError::Plugin { .. }), "{error}");
            Server::connect(&over_tcp(bench, "127.0.0.1", TlsMode::Required, None)).unwrap();
        }
        assert!(!Server::connect(&clear).unwrap().is_encrypted());
        if !is_mysql(bench) {
            admin(bench, "INSTALL SONAME 'auth_ed25519';");
            admin(
                bench,
                &format!(
                    "CREATE USER lved@localhost IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORD}');"
                ),
            );
            Server::connect(&target(bench, "lved")).unwrap();
            admin(bench, "DROP USER lved@localhost; UNINSTALL SONAME 'auth_ed25519';");
        }
    }

    pub(super) fn facts_are_read(bench: &Bench) {
        admin(bench, &format!("CREATE USER lva@localhost IDENTIFIED BY '{PASSWORD}';"));
        let mut server = Server::connect(&target(bench, "lva")).unwrap();
        let variables = facts::variables(&mut server).unwrap();
        assert_eq!(variables["hostname"], "db1");
        assert!(!variables.contains_key("report_password"));
        let status = facts::status(&mut server, "Upt%").unwrap();
        assert!(status["uptime"].parse::<u64>().is_ok() && !status.contains_key("queries"));
        let plugins = facts::plugins(&mut server).unwrap();
        assert!(plugins.iter().any(|it| it.name == "InnoDB" && it.status == "ACTIVE"));
        let error = facts::replication(&mut server).unwrap_err();
        assert!(matches!(error, LiveError::Refused { error: 1227, .. }), "{error}");
        assert_eq!(facts::replication(&mut root(bench)).unwrap(), []);
    }
}

/// The same numbers in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator.
        const FACTOR: u64 = 6_364_136_223_846_793_005;
        self.0 = self.0.wrapping_mul(FACTOR).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn admin_global(bench: &Bench, name: &str, value: &str) {
    admin(bench, &format!("SET GLOBAL {name}={value};"));
}

/// Listens at an address and hands everything on to a port of this machine.
fn forward(address: &str, port: &str) -> u16 {
    let listener = TcpListener::bind(address).unwrap();
    let to = format!("127.0.0.1:{port}");
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&to).unwrap();
            for (mut from, mut to) in
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    own
}

/// `my_print_defaults` stands beside MariaDB's server: what it makes of a value, we do.
#[test]
fn values_are_read_as_by_mariadb() {
    const PARTS: [&str; 16] =
        ["'", "\"", "\\", "#", " ", "=", "a", "n", "s", "\t", ";", "[", "!", "é", "\\\\", "\\'"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("o.cnf");
    let mut chance = Chance(0x7f3a);
    for _ in 0..400 {
        let mut value = String::new();
        for _ in 0..chance.next(9) {
            value += PARTS[chance.next(PARTS.len())];
        }
        let text = format!("[client]\nuser={value}\n");
        std::fs::write(&path, &text).unwrap();
        let output = std::process::Command::new("my_print_defaults")
            .arg(format!("--defaults-file={}", path.display()))
            .arg("client")
            .output()
            .expect("my_print_defaults, of the package mariadb-client-core");
        let theirs = servers::lossy(&output.stdout);
        let theirs = theirs.strip_prefix("--user=").and_then(|it| it.strip_suffix('\n'));
        let ours = option_file::read(&path, &["client"]).unwrap().user;
        assert_eq!(ours.as_deref(), theirs, "{text}");
    }
}

/// Whatever listens there, connecting ends in time.
#[test]
fn what_is_no_server_does_not_hold_us_up() {
    for (greeting, is_silent) in [
        (&b""[..], true),
        (b"SSH-2.0-OpenSSH_9.2\r\n", false),
        // An empty packet.
        (b"\0\0\0\0", false),
        (b"\x01\0\0\0\x0a", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(greeting).unwrap();
            if is_silent {
                std::thread::sleep(Duration::from_secs(5));
            }
            // Until the client leaves.
            let _ = client.shutdown(std::net::Shutdown::Write);
            let _ = client.read_to_end(&mut Vec::new());
        });
        let target = Target {
            place: Place::Tcp { host: "127.0.0.1".to_owned(), port },
            connect_timeout: Duration::from_secs(1),
            ..Target::socket("db1", "", "root", Secret::default())
        };
        let begun = Instant::now();
        let error = Server::connect(&target).map(drop).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(4));
        match is_silent {
            true => assert!(matches!(error, LiveError::Timeout { .. }), "{error}"),
            false => assert!(matches!(error, LiveError::Down { .. }), "{error}"),
        }
    }
}
