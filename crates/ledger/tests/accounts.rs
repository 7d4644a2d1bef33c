//! Accounts: what goes in comes out, and the history tells what changed, once and no more than is proven.

use ledger::{
    AccountChange, CHANGE_BYTES_MAX, ChangeKind, FORMERS_MAX, Former, HISTORY_MAX, Ledger,
    OutOfSight, StoredSnapshot,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use verdict::account::{
    Account, AccountName, Activity, ActivityKind, Definer, Missing, Snapshot, Version,
};

const DAY: i64 = 86_400_000_000;

/// What could not be read, by name.
fn missing(lacks: &[&str]) -> Vec<Missing> {
    let missing = |what: &&str| {
        let (what, remedy) = ((*what).to_owned(), "GRANT SELECT ON mysql.* TO m".to_owned());
        Missing { what, error: 1142, remedy }
    };
    lacks.iter().map(missing).collect()
}

fn snapshot(at: i64, accounts: Vec<Account>, lacks: &[&str]) -> Snapshot {
    Snapshot {
        hostname: b"db\xff".to_vec(),
        server_uuid: "a-b".into(),
        started: Some(at - 5),
        own: AccountName::new("monitor", "localhost"),
        skip_name_resolve: true,
        is_replica: true,
        accounts,
        missing: missing(lacks),
        ..Snapshot::new(Version::parse("10.11.6-MariaDB-0+deb12u1-log").unwrap(), at)
    }
}

fn account(user: &str) -> Account {
    Account {
        name: AccountName::new(user, "%"),
        plugin: "mysql_native_password".into(),
        locked: Some(false),
        expired: Some(false),
        grants_hash: Some(u64::MAX),
        ..Account::default()
    }
}

fn store(ledger: &mut Ledger, snapshot: &Snapshot) -> Vec<AccountChange> {
    ledger.store_snapshot(b"db1", snapshot).unwrap()
}

fn stored(ledger: &Ledger) -> StoredSnapshot {
    ledger.accounts(b"db1").unwrap().unwrap()
}

/// Kinds of changes, each with its times.
fn told(changes: &[AccountChange]) -> Vec<(String, Option<i64>, i64)> {
    let row = |it: &AccountChange| {
        let user = String::from_utf8_lossy(&it.name.user).into_owned();
        (format!("{user} {}", it.kind.as_str()), it.since_us, it.noticed_us)
    };
    changes.iter().map(row).collect()
}

fn row(text: &str, since: Option<i64>, noticed: i64) -> (String, Option<i64>, i64) {
    (text.to_owned(), since, noticed)
}

#[test]
fn the_newest_snapshot_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let mut ledger = Ledger::create(&path).unwrap();
    assert_eq!(ledger.accounts(b"db1").unwrap(), None);
    let odd = Account {
        name: AccountName::new(&b"a\xff"[..], &b"10.\0%"[..]),
        is_role: true,
        plugin: String::new(),
        locked: None,
        expired: Some(true),
        password_changed: Some(5),
        global_rights: vec!["BINLOG ADMIN".into(), "RELOAD".into()],
        grants_hash: Some(1 << 63),
        // Not sorted, and one twice.
        roles: vec![
            AccountName::new("z", ""),
            AccountName::new("a", "%"),
            AccountName::new("z", ""),
        ],
        default_roles: vec![AccountName::new("z", "")],
        definer_of: ["VIEW", "PROCEDURE", "FUNCTION", "PACKAGE", "TRIGGER", "EVENT"]
            .map(|kind| Definer { kind, schema: b"sh\xffop".to_vec(), name: b"v".to_vec() })
            .to_vec(),
        proxies_for: vec![AccountName::new("", "localhost")],
        is_proxied: true,
    };
    let activity = |kind, open, total| Activity {
        user: b"a\xff".to_vec(),
        host: b"".to_vec(),
        kind,
        open,
        total,
    };
    let mut full = snapshot(100, vec![odd, account("app")], &["locks", "definers"]);
    full.activity = vec![
        activity(ActivityKind::UserStatistics, 0, Some(u64::MAX)),
        activity(ActivityKind::Processlist, 3, None),
        activity(ActivityKind::Processlist, 3, None),
        activity(ActivityKind::PerformanceSchema, 1, Some(9)),
    ];
    full.accounts.sort_by(|a, b| a.name.cmp(&b.name));
    let mut other = snapshot(90, vec![account("app")], &[]);
    other.version = Version::parse("10.6.3-MariaDB").unwrap();
    other.started = None;
    for server in [&b"db1"[..], b"", b"\xff"] {
        ledger.store_snapshot(server, &other).unwrap();
        ledger.store_snapshot(server, &full).unwrap();
    }
    ledger.store_snapshot(b"db2", &other).unwrap();
    drop(ledger);
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(stored(&ledger).snapshot, full);
    assert_eq!(stored(&ledger).first_us, 90);
    assert_eq!(ledger.accounts(b"db2").unwrap().unwrap().snapshot, other);
    let servers = [(&b""[..], 100), (b"db1", 100), (b"db2", 90), (b"\xff", 100)];
    let servers = servers.map(|(name, at)| (name.to_vec(), at));
    assert_eq!(ledger.account_servers().unwrap(), servers);
}

#[test]
fn what_is_taken_away_is_gone() {
    let mut ledger = Ledger::in_memory().unwrap();
    let mut full = account("app");
    full.roles = vec![AccountName::new("r", "")];
    full.locked = Some(true);
    store(&mut ledger, &snapshot(1, vec![full, account("b")], &["x"]));
    let bare = snapshot(2, vec![Account { locked: None, ..account("app") }], &[]);
    store(&mut ledger, &bare);
    assert_eq!(stored(&ledger).snapshot, bare);
}

#[test]
fn changes_are_told_once_and_between_two_readings() {
    let mut ledger = Ledger::in_memory().unwrap();
    let app = account("app");
    let known = store(&mut ledger, &snapshot(10, vec![app.clone()], &[]));
    assert_eq!(told(&known), [row("app known", None, 10)]);
    assert_eq!(
        known[0].became,
        b"locked=0 expired=0 plugin=mysql_native_password password=? grants=ffffffffffffffff"
    );
    assert_eq!(told(&store(&mut ledger, &snapshot(20, vec![app.clone()], &[]))), []);
    let mut other = Account { locked: Some(true), expired: Some(true), ..app.clone() };
    other.plugin = "ed25519".into();
    other.grants_hash = Some(7);
    other.roles = vec![AccountName::new("o'neil", ""), AccountName::new("r", "%")];
    other.default_roles = other.roles.clone();
    other.definer_of =
        vec![Definer { kind: "VIEW", schema: b"shop".to_vec(), name: b"all".to_vec() }];
    let changes = store(&mut ledger, &snapshot(30, vec![other.clone(), account("new")], &[]));
    let at = |text| row(text, Some(20), 30);
    assert_eq!(
        told(&changes),
        [
            at("app locked"),
            at("app expired"),
            at("app plugin"),
            at("app granted"),
            at("app roles"),
            at("app default-roles"),
            at("app definers"),
            at("new created"),
        ]
    );
    assert_eq!(
        (&changes[2].was[..], &changes[2].became[..]),
        (app.plugin.as_bytes(), &b"ed25519"[..])
    );
    assert_eq!(
        (&changes[4].was[..], &changes[4].became[..]),
        (&b""[..], &b"'o''neil', 'r'@'%'"[..])
    );
    assert_eq!(changes[6].became, b"VIEW 'shop'.'all'");
    other.password_changed = Some(35);
    assert_eq!(
        told(&store(&mut ledger, &snapshot(40, vec![other.clone()], &[]))),
        [row("new dropped", Some(30), 40)]
    );
    let back = Account { password_changed: Some(45), ..app.clone() };
    let changes = store(&mut ledger, &snapshot(50, vec![back, account("new")], &[]));
    let at = |text| row(text, Some(40), 50);
    assert_eq!(
        told(&changes)[..4],
        [at("app unlocked"), at("app unexpired"), at("app plugin"), at("app password")]
    );
    assert_eq!(told(&changes).last(), Some(&at("new created")));
    // All of it is kept, and of one account alone.
    let history = ledger.account_history(b"db1", None).unwrap();
    assert_eq!(history.len(), 1 + 8 + 1 + 9);
    let new = ledger.account_history(b"db1", Some(&AccountName::new("new", "%"))).unwrap();
    let kinds: Vec<&str> = new.iter().map(|it| it.kind.as_str()).collect();
    assert_eq!(kinds, ["created", "dropped", "created"]);
    assert!(new[1].was.starts_with(b"locked=0 "));
    assert_eq!(ledger.account_history(b"db2", None).unwrap(), []);
}

#[test]
fn what_cannot_be_read_has_not_changed() {
    let mut ledger = Ledger::in_memory().unwrap();
    let app = account("app");
    let mut rich = account("rich");
    rich.roles = vec![AccountName::new("r", "")];
    store(&mut ledger, &snapshot(10, vec![app.clone(), rich.clone()], &[]));
    // Neither locks nor roles can be read, nor any account but one's own.
    let blind = Account { locked: None, grants_hash: None, plugin: String::new(), ..app.clone() };
    assert_eq!(told(&store(&mut ledger, &snapshot(20, vec![blind], &["accounts"]))), []);
    let hidden = OutOfSight { name: rich.name.clone(), last_us: 10 };
    assert_eq!(stored(&ledger).out_of_sight, [hidden]);
    assert_eq!(stored(&ledger).snapshot.accounts.len(), 1);
    // Read again: one is the same, the other was locked at some time since it was read last.
    let locked = Account { locked: Some(true), ..app.clone() };
    let changes = store(&mut ledger, &snapshot(30, vec![locked.clone(), rich.clone()], &[]));
    assert_eq!(told(&changes), [row("app locked", Some(10), 30)]);
    assert_eq!(stored(&ledger).known_since_us(&rich.name), Some(10));
    // Gone while it could not be seen: told when it could be.
    assert_eq!(told(&store(&mut ledger, &snapshot(40, vec![locked.clone()], &["accounts"]))), []);
    let changes = store(&mut ledger, &snapshot(50, vec![locked.clone()], &["accounts", "more"]));
    assert_eq!(told(&changes), []);
    let changes = store(&mut ledger, &snapshot(60, vec![locked.clone()], &[]));
    assert_eq!(told(&changes), [row("rich dropped", Some(30), 60)]);
    // Seen because more can be read: nobody knows since when it is there.
    store(&mut ledger, &snapshot(70, vec![locked.clone()], &["accounts"]));
    let changes = store(&mut ledger, &snapshot(80, vec![locked.clone(), account("old")], &[]));
    assert_eq!(told(&changes), [row("old known", None, 80)]);
    // Roles that could not be read before.
    let mut with_role = locked.clone();
    with_role.roles = vec![AccountName::new("r", "")];
    let with_old = |account: &Account| vec![account.clone(), self::account("old")];
    assert_eq!(told(&store(&mut ledger, &snapshot(90, with_old(&locked), &["roles"]))), []);
    assert_eq!(told(&store(&mut ledger, &snapshot(100, with_old(&with_role), &[]))), []);
    let changes = store(&mut ledger, &snapshot(110, with_old(&locked), &[]));
    assert_eq!(told(&changes), [row("app roles", Some(100), 110)]);
}

#[test]
fn since_when_an_account_is_known() {
    let name = AccountName::new("app", "%");
    let with =
        |password: Option<i64>| vec![Account { password_changed: password, ..account("app") }];
    let check = |snapshots: &[(i64, Vec<Account>)], expected: Option<i64>| {
        let mut ledger = Ledger::in_memory().unwrap();
        for (at, accounts) in snapshots {
            store(&mut ledger, &snapshot(*at, accounts.clone(), &[]));
        }
        assert_eq!(stored(&ledger).known_since_us(&name), expected, "{snapshots:?}");
    };
    check(&[(100, with(None))], Some(100));
    check(&[(100, with(None)), (200, with(None))], Some(100));
    check(&[(100, with(Some(40)))], Some(40));
    // A newer password, or none that is told, takes nothing away.
    check(&[(100, with(Some(40))), (200, with(Some(150)))], Some(40));
    check(&[(100, with(Some(40))), (200, with(None))], Some(40));
    check(&[(100, with(None)), (200, with(Some(50)))], Some(50));
    // Times that cannot be.
    check(&[(100, with(Some(101)))], Some(100));
    check(&[(100, with(Some(0)))], Some(100));
    check(&[(100, with(Some(-1)))], Some(100));
    // Made between two readings.
    check(&[(100, vec![]), (200, with(None))], Some(200));
    check(&[(100, vec![]), (200, with(Some(150)))], Some(150));
    // Renamed: its password is older than its name.
    check(&[(100, vec![]), (200, with(Some(40)))], Some(200));
    check(&[(100, vec![]), (200, with(None)), (300, with(Some(40)))], Some(200));
    // Another life.
    check(&[(100, with(Some(40))), (200, vec![]), (300, with(Some(250)))], Some(250));
    check(&[(100, with(Some(40))), (200, vec![])], None);
}

#[test]
fn who_reads_at_the_same_time_and_clocks_that_were_wrong() {
    let mut ledger = Ledger::in_memory().unwrap();
    let locked = Account { locked: Some(true), ..account("app") };
    let at = 100 * DAY;
    store(&mut ledger, &snapshot(at, vec![account("app")], &[]));
    store(&mut ledger, &snapshot(at + 10, vec![locked.clone()], &[]));
    // Read before the other, stored after it.
    for early in [at + 9, at + 11 - DAY] {
        assert_eq!(told(&store(&mut ledger, &snapshot(early, vec![account("app")], &[]))), []);
    }
    assert_eq!(stored(&ledger).snapshot.at, at + 10);
    // The clock was a day ahead.
    let back = at + 10 - DAY;
    let changes = store(&mut ledger, &snapshot(back, vec![account("app")], &[]));
    assert_eq!(told(&changes), [row("app unlocked", Some(back), back)]);
    assert_eq!(stored(&ledger).snapshot.at, back);
    // Two of one name: the first counts.
    let twice = snapshot(back + 1, vec![locked.clone(), account("app")], &[]);
    assert_eq!(told(&store(&mut ledger, &twice)), [row("app locked", Some(back), back + 1)]);
    assert_eq!(stored(&ledger).snapshot.accounts, [locked]);
}

#[test]
fn long_lists_are_cut_and_still_differ() {
    let mut ledger = Ledger::in_memory().unwrap();
    let roles = |count: usize, last: &str| {
        let mut app = account("app");
        app.roles = (0..count).map(|i| AccountName::new(format!("r\u{fc}{i:03}"), "")).collect();
        app.roles.push(AccountName::new(last, ""));
        app
    };
    store(&mut ledger, &snapshot(1, vec![roles(0, "z")], &[]));
    let changes = store(&mut ledger, &snapshot(2, vec![roles(200, "z")], &[]));
    let long = changes[0].became.clone();
    assert!(long.len() <= CHANGE_BYTES_MAX && long.len() > CHANGE_BYTES_MAX - 4, "{}", long.len());
    assert!(std::str::from_utf8(&long).unwrap().contains(" \u{2026} "));
    let changes = store(&mut ledger, &snapshot(3, vec![roles(200, "y")], &[]));
    assert_eq!(changes[0].was, long);
    assert_ne!(changes[0].became, long);
    // The longest that is whole.
    for (bytes, is_whole) in [(CHANGE_BYTES_MAX, true), (CHANGE_BYTES_MAX + 1, false)] {
        let app = Account { plugin: "p".repeat(bytes), ..account("app") };
        store(&mut ledger, &snapshot(4, vec![roles(0, "z")], &[]));
        let changes = store(&mut ledger, &snapshot(5, vec![app], &[]));
        let plugin = changes.iter().find(|it| it.kind == ChangeKind::Plugin).unwrap();
        assert_eq!(plugin.became == "p".repeat(bytes).into_bytes(), is_whole);
        assert!(plugin.became.len() <= CHANGE_BYTES_MAX);
    }
}

#[test]
fn the_history_is_bounded_and_keeps_how_each_life_began() {
    let mut ledger = Ledger::in_memory().unwrap();
    let all = |locked| -> Vec<Account> {
        let account = |i| Account { locked: Some(locked), ..account(&format!("u{i:04}")) };
        (0..2000).map(account).collect()
    };
    store(&mut ledger, &snapshot(0, all(false), &[]));
    let length = |ledger: &Ledger| ledger.account_history(b"db1", None).unwrap().len();
    for at in 1..=HISTORY_MAX as i64 / 2000 {
        store(&mut ledger, &snapshot(at, all(at % 2 == 1), &[]));
    }
    assert_eq!(length(&ledger), 2000 + HISTORY_MAX);
    // One more: the oldest goes. Another server has a history of its own.
    let mut more = all(false);
    more[0].expired = Some(true);
    store(&mut ledger, &snapshot(11, more.clone(), &[]));
    ledger.store_snapshot(b"db2", &snapshot(11, more.clone(), &[])).unwrap();
    assert_eq!(length(&ledger), 2000 + HISTORY_MAX);
    let history = ledger.account_history(b"db1", Some(&more[0].name)).unwrap();
    assert_eq!((history[0].kind, history[1].noticed_us), (ChangeKind::Known, 2));
    assert_eq!(history.last().unwrap().kind, ChangeKind::Expired);
    // With the account goes what was kept for it.
    more.remove(0);
    store(&mut ledger, &snapshot(12, more, &[]));
    assert_eq!(length(&ledger), 1999 + HISTORY_MAX);
}

// Any sequence of snapshots.

const NAMES: [&str; 3] = ["a", "b", "c"];
const LACKS: [&str; 2] = ["x", "y"];

fn any_account(user: &'static str) -> impl Strategy<Value = Account> {
    let flag = || prop::option::weighted(0.8, any::<bool>());
    let list = || prop::collection::vec(0..2usize, 0..2);
    let facts = (flag(), flag(), prop::option::weighted(0.8, 1..4i64), 0..3usize);
    (facts, prop::option::weighted(0.8, 0..2u64), list(), list(), list()).prop_map(
        move |((locked, expired, password, plugin), grants_hash, roles, defaults, definers)| {
            let names = |list: Vec<usize>| {
                list.into_iter().map(|i| AccountName::new(["r", "s"][i], "")).collect()
            };
            let definer = |i: usize| Definer {
                kind: ["VIEW", "EVENT"][i],
                schema: b"s".to_vec(),
                name: b"n".to_vec(),
            };
            Account {
                locked,
                expired,
                password_changed: password,
                plugin: ["", "p", "q"][plugin].into(),
                grants_hash,
                roles: names(roles),
                default_roles: names(defaults),
                definer_of: definers.into_iter().map(definer).collect(),
                ..account(user)
            }
        },
    )
}

/// Accounts that are there, and what could not be read. Several times in succession the same, as it is.
fn any_snapshots() -> impl Strategy<Value = Vec<Snapshot>> {
    let accounts = NAMES.map(|name| prop::option::weighted(0.7, any_account(name)));
    let lacks = prop::collection::btree_set(0..LACKS.len(), 0..3);
    let one = (accounts, prop_oneof![2 => Just(BTreeSet::new()), 1 => lacks], 0..4u8);
    prop::collection::vec(one, 1..9).prop_map(|steps| {
        let mut snapshots: Vec<Snapshot> = Vec::new();
        for (at, (accounts, lacks, same)) in (1..).zip(steps) {
            let lacks: Vec<&str> = lacks.into_iter().map(|i| LACKS[i]).collect();
            let mut next = snapshot(at * 10, accounts.into_iter().flatten().collect(), &lacks);
            if let Some(last) = snapshots.last().filter(|_| same == 0) {
                next.accounts = last.accounts.clone();
            }
            snapshots.push(next);
        }
        snapshots
    })
}

type Values = BTreeMap<&'static str, Option<String>>;

fn values(account: &Account) -> Values {
    BTreeMap::from([
        ("locked", account.locked.map(|it| u8::from(it).to_string())),
        ("expired", account.expired.map(|it| u8::from(it).to_string())),
        ("plugin", Some(account.plugin.clone()).filter(|it| !it.is_empty())),
        ("password", account.password_changed.map(|it| it.to_string())),
        ("grants", account.grants_hash.map(|it| format!("{it:016x}"))),
    ])
}

fn kind_of(fact: &str, value: &str) -> &'static str {
    match (fact, value) {
        ("locked", "1") => "locked",
        ("locked", _) => "unlocked",
        ("expired", "1") => "expired",
        ("expired", _) => "unexpired",
        ("plugin", _) => "plugin",
        ("password", _) => "password",
        _ => "granted",
    }
}

/// The history of one account, slowly: each fact is looked for backwards through all snapshots.
fn expected(snapshots: &[Snapshot], name: &AccountName) -> Vec<(String, Option<i64>, i64)> {
    let find = |i: usize| snapshots[i].accounts.iter().find(|it| it.name == *name);
    let lacks = |i: usize| -> BTreeSet<&str> {
        snapshots[i].missing.iter().map(|it| it.what.as_str()).collect()
    };
    let at = |i: usize| snapshots[i].at;
    let user = String::from_utf8_lossy(&name.user);
    let mut rows = Vec::new();
    let mut tell =
        |kind: &str, since, noticed| rows.push((format!("{user} {kind}"), since, noticed));
    // Where the life began that goes on.
    let mut born: Option<usize> = None;
    for i in 0..snapshots.len() {
        let Some(account) = find(i) else {
            let last = born.and_then(|born| (born..i).rev().find(|&j| find(j).is_some()));
            if let Some(last) = last.filter(|&last| lacks(i).is_subset(&lacks(last))) {
                tell("dropped", Some(at(last)), at(i));
                born = None;
            }
            continue;
        };
        let Some(born) = born else {
            born = Some(i);
            match i.checked_sub(1).filter(|&j| lacks(j).is_subset(&lacks(i))) {
                Some(before) => tell("created", Some(at(before)), at(i)),
                None => tell("known", None, at(i)),
            }
            continue;
        };
        for (fact, value) in values(account) {
            let known = |j: usize| find(j).and_then(|it| values(it)[fact].clone());
            let before = (born..i).rev().find_map(|j| known(j).map(|it| (j, it)));
            if let (Some(value), Some((j, was))) = (value, before)
                && value != was
            {
                tell(kind_of(fact, &value), Some(at(j)), at(i));
            }
        }
        if let Some(before) = find(i - 1).filter(|_| lacks(i - 1) == lacks(i)) {
            let set = |names: &[AccountName]| names.iter().cloned().collect::<BTreeSet<_>>();
            let definers = |it: &Account| it.definer_of.iter().cloned().collect::<BTreeSet<_>>();
            let since = Some(at(i - 1));
            if set(&before.roles) != set(&account.roles) {
                tell("roles", since, at(i));
            }
            if set(&before.default_roles) != set(&account.default_roles) {
                tell("default-roles", since, at(i));
            }
            if definers(before) != definers(account) {
                tell("definers", since, at(i));
            }
        }
    }
    rows
}

/// What the history says is true in the end: accounts that are there, with their facts where it tells them.
fn replayed(history: &[AccountChange]) -> BTreeMap<AccountName, BTreeMap<String, String>> {
    let mut there: BTreeMap<AccountName, BTreeMap<String, String>> = BTreeMap::new();
    for change in history {
        let (was, became) = (text(&change.was), text(&change.became));
        let fact = match change.kind {
            ChangeKind::Known | ChangeKind::Created => {
                let facts = became.split(' ').filter_map(|it| it.split_once('='));
                let facts = facts.filter(|(_, value)| *value != "?");
                let facts = facts.map(|(fact, value)| (fact.to_owned(), value.to_owned()));
                assert!(there.insert(change.name.clone(), facts.collect()).is_none(), "twice");
                continue;
            }
            ChangeKind::Dropped => {
                let facts = there.remove(&change.name).expect("what is dropped was there");
                for (fact, value) in facts {
                    assert!(was.contains(&format!("{fact}={value}")), "{was}");
                }
                continue;
            }
            ChangeKind::Locked | ChangeKind::Unlocked => "locked",
            ChangeKind::Expired | ChangeKind::Unexpired => "expired",
            ChangeKind::Plugin => "plugin",
            ChangeKind::Password => "password",
            ChangeKind::Granted => "grants",
            _ => continue,
        };
        let facts = there.get_mut(&change.name).expect("what changes is there");
        let before = facts.insert(fact.to_owned(), became);
        assert!(before.is_none_or(|before| before == was));
    }
    there
}

fn text(name: &[u8]) -> String {
    String::from_utf8(name.to_vec()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_snapshots_give_a_history_that_leads_to_the_last(snapshots in any_snapshots()) {
        let mut ledger = Ledger::in_memory().unwrap();
        let mut all = Vec::new();
        for snapshot in &snapshots {
            all.extend(store(&mut ledger, snapshot));
            prop_assert_eq!(&stored(&ledger).snapshot, snapshot);
        }
        let history = ledger.account_history(b"db1", None).unwrap();
        prop_assert_eq!(&history, &all);
        for name in NAMES {
            let name = AccountName::new(name, "%");
            let mut found = told(&ledger.account_history(b"db1", Some(&name)).unwrap());
            let mut wanted = expected(&snapshots, &name);
            found.sort();
            wanted.sort();
            prop_assert_eq!(found, wanted);
        }
        let stored = stored(&ledger);
        let replayed = replayed(&history);
        let hidden = stored.out_of_sight.iter().map(|it| it.name.clone());
        let there: BTreeSet<AccountName> =
            stored.snapshot.accounts.iter().map(|it| it.name.clone()).chain(hidden).collect();
        prop_assert_eq!(replayed.keys().cloned().collect::<BTreeSet<_>>(), there);
        for account in &stored.snapshot.accounts {
            let born = history.iter().rfind(|it| it.name == account.name
                && matches!(it.kind, ChangeKind::Known | ChangeKind::Created)).unwrap();
            for (fact, value) in values(account) {
                let told = replayed[&account.name].get(fact);
                // What was not known at first is told of when it changes.
                let unknown = text(&born.became).contains(&format!("{fact}=?"));
                prop_assert!(value.is_none() || told == value.as_ref() || told.is_none() && unknown);
            }
            prop_assert!(stored.known_since[&account.name] <= born.noticed_us);
        }
    }
}

/// Who else answers.
fn elsewhere(at: i64, accounts: Vec<Account>) -> Snapshot {
    Snapshot { server_uuid: "c-d".into(), hostname: b"db2".into(), ..snapshot(at, accounts, &[]) }
}

#[test]
fn another_server_begins_a_history_of_its_own() {
    let mut ledger = Ledger::in_memory().unwrap();
    store(&mut ledger, &snapshot(10, vec![account("app"), account("old")], &[]));
    store(&mut ledger, &snapshot(20, vec![account("app"), account("old")], &[]));
    assert_eq!(stored(&ledger).formers, []);
    let changes = store(&mut ledger, &elsewhere(30, vec![account("app"), account("new")]));
    assert_eq!(told(&changes), [row("app known", None, 30), row("new known", None, 30)]);
    let now = stored(&ledger);
    let name = AccountName::new("app", "%");
    assert_eq!((now.first_us, now.known_since_us(&name)), (30, Some(30)));
    assert_eq!(now.snapshot.accounts.len(), 2);
    let former = Former { identity: snapshot(0, vec![], &[]).identity(), from_us: 10, to_us: 20 };
    assert_eq!(now.formers, std::slice::from_ref(&former));
    // The password tells what the reading does not.
    let older = Account { password_changed: Some(5), ..account("app") };
    let changes = store(&mut ledger, &snapshot(40, vec![older], &[]));
    assert_eq!(told(&changes), [row("app known", None, 40)]);
    let now = stored(&ledger);
    assert_eq!((now.first_us, now.known_since_us(&name)), (40, Some(5)));
    let second = Former { identity: elsewhere(0, vec![]).identity(), from_us: 30, to_us: 30 };
    assert_eq!(now.formers, [former, second]);
    // It is the same as before.
    store(&mut ledger, &snapshot(50, vec![account("app")], &[]));
    assert_eq!(stored(&ledger).formers.len(), 2);
}

#[test]
fn former_servers_are_bounded() {
    let mut ledger = Ledger::in_memory().unwrap();
    for at in 0..=FORMERS_MAX as i64 + 1 {
        let it = if at % 2 == 0 { elsewhere(at, vec![]) } else { snapshot(at, vec![], &[]) };
        store(&mut ledger, &it);
        let kept = stored(&ledger).formers;
        assert_eq!(kept.len(), FORMERS_MAX.min(at as usize));
        assert_eq!(kept.last().map(|it| it.to_us), (at > 0).then(|| at - 1));
    }
}

#[test]
fn counters_tell_after_when_somebody_was_there() {
    let mut ledger = Ledger::in_memory().unwrap();
    let mut check = |at: i64, started: Option<i64>, total: Option<u64>, expected: Option<i64>| {
        let row = |user: &str, total| Activity {
            user: user.into(),
            host: Vec::new(),
            kind: ActivityKind::UserStatistics,
            open: 0,
            total: Some(total),
        };
        let activity = [row("monitor", at as u64)].into_iter();
        let activity = activity.chain(total.map(|total| row("app", total))).collect();
        let full = Snapshot { started, activity, ..snapshot(at, vec![], &[]) };
        store(&mut ledger, &full);
        let counted = stored(&ledger).counted;
        let app = counted.iter().find(|it| it.user == b"app");
        assert_eq!(app.map(|it| it.since_us), expected, "{at}");
    };
    check(100, Some(50), Some(3), Some(50));
    check(110, Some(50), Some(3), Some(50));
    check(120, Some(50), Some(4), Some(110));
    check(130, Some(50), Some(4), Some(110));
    // Begun anew: all of it was after the reading before.
    check(140, Some(50), Some(1), Some(130));
    // Not there, or nothing: what was known stays.
    check(150, Some(145), None, Some(130));
    check(160, Some(145), Some(0), Some(130));
    check(170, Some(145), Some(1), Some(145));
    check(180, None, Some(1), Some(145));
    check(190, None, Some(2), Some(180));
    // A server whose clock is ahead.
    check(200, Some(900), Some(2), Some(200));
}

#[test]
fn nobody_knows_when_a_first_count_was() {
    let mut ledger = Ledger::in_memory().unwrap();
    let activity = |user: &str, kind, total| Activity {
        user: user.into(),
        host: b"10.0.0.7".into(),
        kind,
        open: 2,
        total,
    };
    let mut full = Snapshot { started: None, ..snapshot(10, vec![], &[]) };
    full.activity = vec![
        activity("app", ActivityKind::PerformanceSchema, Some(7)),
        activity("app", ActivityKind::Processlist, None),
    ];
    store(&mut ledger, &full);
    assert_eq!(stored(&ledger).counted, []);
    // It was not there when the others were read.
    full.at = 20;
    full.activity.push(activity("etl", ActivityKind::PerformanceSchema, Some(1)));
    store(&mut ledger, &full);
    let counted = stored(&ledger).counted;
    let found: Vec<_> = counted.iter().map(|it| (&it.user[..], it.kind, it.since_us)).collect();
    assert_eq!(found, [(&b"etl"[..], ActivityKind::PerformanceSchema, 10)]);
    // Of another server nothing is known.
    let mut other = Snapshot { started: None, ..elsewhere(30, vec![]) };
    other.activity = full.activity.clone();
    store(&mut ledger, &other);
    assert_eq!(stored(&ledger).counted, []);
}
