//! Whatever the account tables of some servers are, and whatever is asked for: nothing protected is in a plan,
//! somebody can still administer each server, and a statement names the account it is for.
//!
//! Who is protected is known from how each table was made, not asked of what is tested.

use std::collections::BTreeSet;

use verdict::account::{Account, AccountName, Definer, Snapshot, Version};
use verdict::plan::{DeedKind, Rules, Target, propose};
use verdict::unused::Verdict;

const TABLES: usize = 10_000;
const DAY: i64 = 86_400_000_000;

/// The same numbers in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator.
        const FACTOR: u64 = 6_364_136_223_846_793_005;
        self.0 = self.0.wrapping_mul(FACTOR).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.next(bound) == 0
    }
}

/// A server's accounts, and what was put into them.
struct Table {
    name: String,
    snapshot: Snapshot,
    protected: BTreeSet<AccountName>,
    /// Who can administer it, if not locked.
    administrators: BTreeSet<AccountName>,
    definers: BTreeSet<AccountName>,
}

const SYSTEM: [&str; 5] =
    ["mariadb.sys", "mysql.session", "debian-sys-maint", "rdsadmin", "cloudsqladmin"];
const PLAIN: [&str; 6] = ["app", "o'neil", "Root", "root ", "", "mysqlx"];
const HOSTS: [&str; 5] = ["%", "localhost", "10.0.0.%", "::1", "o'h\\"];
const ADMINISTRATIVE: [&str; 4] = ["SUPER", "CREATE USER", "SYSTEM_USER", "GRANT OPTION"];
const REPLICATES: [&str; 3] =
    ["REPLICATION SLAVE", "GROUP_REPLICATION_STREAM", "REPLICATION_APPLIER"];
const HARMLESS: [&str; 3] = ["PROCESS", "REPLICATION CLIENT", "RELOAD"];

/// A table of up to 24 accounts, of roles that are granted to each other in a circle, too.
fn table(chance: &mut Chance, number: usize, listed: &[AccountName]) -> Table {
    let own = AccountName::new("watch", "localhost");
    let mut snapshot = Snapshot {
        version: Version::parse("11.8.2-MariaDB").unwrap(),
        hostname: b"db1".to_vec(),
        server_uuid: String::new(),
        at: 0,
        started: None,
        own: own.clone(),
        skip_name_resolve: false,
        read_only: false,
        is_replica: false,
        has_init_connect: false,
        has_procedures: chance.one_in(4),
        accounts: Vec::new(),
        activity: Vec::new(),
        missing: Vec::new(),
    };
    let (mut protected, mut administrators, mut definers) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let role = |name: &str, right: Option<&str>, roles: &[&str]| Account {
        name: AccountName::new(name, ""),
        is_role: true,
        locked: Some(false),
        global_rights: right.into_iter().map(str::to_owned).collect(),
        roles: roles.iter().map(|name| AccountName::new(*name, "")).collect(),
        ..Account::default()
    };
    for role in [
        role("r_reads", Some("PROCESS"), &["r_circle"]),
        role("r_circle", None, &["r_reads"]),
        role("r_copies", Some(REPLICATES[chance.next(3)]), &[]),
        role("r_copies_by_role", None, &["r_circle", "r_copies"]),
        role("r_rules", Some(ADMINISTRATIVE[chance.next(4)]), &[]),
        role("r_rules_by_role", None, &["r_rules"]),
    ] {
        protected.insert(role.name.clone());
        snapshot.accounts.push(role);
    }
    let mut names = BTreeSet::from([own.clone()]);
    names.extend(listed.iter().filter(|_| chance.one_in(2)).cloned());
    for _ in 0..chance.next(16) {
        let user = match chance.next(6) {
            0 => "root",
            1 => SYSTEM[chance.next(SYSTEM.len())],
            _ => PLAIN[chance.next(PLAIN.len())],
        };
        names.insert(AccountName::new(user, HOSTS[chance.next(HOSTS.len())]));
    }
    for name in &names {
        let user = String::from_utf8(name.user.clone()).unwrap();
        let is_system = SYSTEM.contains(&user.as_str());
        let mut account = Account { name: name.clone(), ..Account::default() };
        account.locked = match chance.next(6) {
            0 => None,
            1 | 2 => Some(true),
            _ => Some(false),
        };
        let mut is_protected = *name == own || user == "root" || is_system || listed.contains(name);
        let mut rules = false;
        match chance.next(10) {
            0 => {
                account.global_rights.push(REPLICATES[chance.next(3)].to_owned());
                is_protected = true;
            }
            1 | 2 => {
                account.global_rights.push(ADMINISTRATIVE[chance.next(4)].to_owned());
                rules = true;
            }
            3 => {
                account.roles.push(AccountName::new("r_copies_by_role", ""));
                is_protected = true;
            }
            4 => {
                account.roles.push(AccountName::new("r_rules_by_role", ""));
                rules = true;
            }
            5 => {
                account.is_proxied = true;
                is_protected = true;
            }
            6 => account.roles.push(AccountName::new("r_reads", "")),
            _ => account.global_rights.push(HARMLESS[chance.next(3)].to_owned()),
        }
        if chance.one_in(5) {
            let view = Definer { kind: "VIEW", schema: b"shop".to_vec(), name: b"v".to_vec() };
            account.definer_of.push(view);
            definers.insert(name.clone());
        }
        if rules && !is_system {
            administrators.insert(name.clone());
        }
        if is_protected {
            protected.insert(name.clone());
        }
        snapshot.accounts.push(account);
    }
    // One that logs in as another.
    if names.len() > 1 && chance.one_in(3) {
        let target = names.iter().nth(chance.next(names.len())).unwrap().clone();
        let last = snapshot.accounts.len() - 1;
        snapshot.accounts[last].proxies_for.push(target.clone());
        protected.insert(target);
    }
    snapshot.accounts.sort_by(|one, other| one.name.cmp(&other.name));
    Table { name: format!("db{number}"), snapshot, protected, administrators, definers }
}

#[test]
fn no_plan_takes_what_is_protected_or_the_last_administrator() {
    let mut chance = Chance(0x2c81);
    let listed = [AccountName::new("payroll", "%"), AccountName::new("app", "10.0.0.%")];
    let (mut steps, mut refused, mut saved) = (0, 0, 0);
    for made in 0..TABLES / 2 {
        let tables: Vec<Table> = (0..2).map(|number| table(&mut chance, number, &listed)).collect();
        let kind = [DeedKind::Lock, DeedKind::Unlock, DeedKind::Drop][chance.next(3)];
        let rules = Rules {
            kind,
            now: 100 * DAY,
            protected: &listed,
            anyway: true,
            on_replica: true,
            cool_down: 14 * DAY,
        };
        let targets: Vec<Target<'_>> = tables
            .iter()
            .flat_map(|table| table.snapshot.accounts.iter().map(move |account| (table, account)))
            .map(|(table, account)| Target {
                server: table.name.as_bytes(),
                snapshot: &table.snapshot,
                account,
                verdict: Verdict::Unused,
                why: String::new(),
                references: &[],
                locked_since: Some(0),
                locked_by_us: true,
                open_sessions: 0,
            })
            .collect();
        let proposal = propose(&targets, &rules);
        assert_eq!(proposal.steps.len() + proposal.refused.len(), targets.len());
        refused += proposal.refused.len();
        for table in &tables {
            let own = proposal.steps.iter().filter(|it| it.server == table.name.as_bytes());
            let planned: BTreeSet<AccountName> = own.clone().map(|it| it.account.clone()).collect();
            let wrong: Vec<_> = planned.intersection(&table.protected).collect();
            assert!(wrong.is_empty(), "table {made}, {kind:?}: {wrong:?}");
            if kind == DeedKind::Drop {
                assert!(planned.is_disjoint(&table.definers), "table {made}");
            }
            for step in own {
                let way = verdict::plan::Way::of(&step.sql);
                assert_eq!(step.sql, kind.statement(&step.account, way));
                steps += 1;
            }
            let open = |name: &&AccountName| {
                table
                    .snapshot
                    .accounts
                    .iter()
                    .any(|it| it.name == **name && it.locked == Some(false))
            };
            let before = table.administrators.iter().filter(open).count();
            let after = table
                .administrators
                .iter()
                .filter(open)
                .filter(|it| !planned.contains(*it))
                .count();
            assert!(kind == DeedKind::Unlock || before == 0 || after > 0, "table {made}, {kind:?}");
            saved += usize::from(after == 1 && before == 1);
        }
    }
    // The tables are of a kind in which there is something to get wrong.
    assert!(steps > 5_000 && refused > 50_000 && saved > 1_000, "{steps} {refused} {saved}");
}
