//! `verdict::matching` against a second implementation, slow and obvious, and against what must hold
//! whatever a log leaves open. What servers really do is in `real_servers.rs`.

mod tables;

use std::cmp::Ordering;

use proptest::prelude::*;
use verdict::account::{AccountName, Family, Version};
use verdict::matching::{Client, Found, Matcher, Rules, Shown, Unreachable};

/// Each of the four sets of rules, and a plain word for it.
fn rules() -> impl Strategy<Value = (Rules, Family, bool)> {
    prop::sample::select(vec!["10.11.6-MariaDB", "10.1.48-MariaDB", "9.7.4", "5.7.44"]).prop_map(
        |text| {
            let version = Version::parse(text).expect("a version");
            (Rules::of(&version), version.family, matches!(text, "10.1.48-MariaDB" | "5.7.44"))
        },
    )
}

/// A client as a server may know it, where names are resolved or not.
fn client(skip: bool) -> impl Strategy<Value = (Option<String>, Option<String>)> {
    let local = |name: Option<&str>| name.map(str::to_owned).filter(|_| !skip);
    let sources: Vec<_> = tables::SOURCES
        .iter()
        .map(|(address, name)| (Some((*address).to_owned()), local(*name)))
        .collect();
    const OTHERS: [&str; 5] =
        ["10.0.0.7", "127.0.0.9", "2001:db8::1", "fe80::1%eth0", "2001:db8::ffff:0:1"];
    let name = prop_oneof![
        Just(None),
        Just(Some("localhost".to_owned())),
        "[a-z]{1,3}(\\.[a-z]{1,2}){0,2}".prop_map(Some),
        (Just("x".repeat(58)), "[xy]{0,9}").prop_map(|(begin, end)| Some(begin + &end)),
    ]
    .prop_map(move |name| name.filter(|_| !skip));
    let socket = || (None, Some("localhost".to_owned()));
    prop_oneof![
        6 => prop::sample::select(sources),
        1 => Just(()).prop_map(move |()| socket()),
        3 => (prop::sample::select(&OTHERS[..]), name).prop_map(|(address, name)| {
            // The name of this machine belongs to its own addresses.
            let own = address.starts_with("127.");
            let name = name.filter(|name| own || name != "localhost");
            (Some(address.to_owned()), name)
        }),
    ]
}

fn as_client<'a>((address, name): &'a (Option<String>, Option<String>)) -> Client<'a> {
    Client {
        address: address.as_ref().map(|text| text.as_bytes()),
        name: name.as_ref().map(|text| text.as_bytes()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn logins_match_as_in_the_slow_way(
        (rules, family, old) in rules(),
        skip: bool,
        rows in tables::rows(3, 4),
        user in 0..4usize,
        clients in prop::collection::vec(client(false), 1..12),
    ) {
        let matcher = Matcher::new(rules, &rows, skip);
        let slow = Slow { family, old, skip };
        let user = tables::user(user);
        for client in &clients {
            let client = as_client(client);
            let mut expected = slow.login(&rows, user.as_bytes(), client);
            let mut found = matcher.login(user.as_bytes(), client).rows().to_vec();
            expected.sort();
            found.sort();
            prop_assert_eq!(found, expected, "{} from {:?}", user, client);
        }
    }

    #[test]
    fn what_a_log_shows_leaves_the_true_row(
        (rules, ..) in rules(),
        (skip, clients) in any::<bool>().prop_flat_map(|skip| {
            (Just(skip), prop::collection::vec(client(skip), 1..12))
        }),
        rows in tables::rows(3, 4),
        user in 0..4usize,
        cut in 0..70usize,
    ) {
        let matcher = Matcher::new(rules, &rows, skip);
        let user = tables::user(user).into_bytes();
        let dead: Vec<usize> = matcher.unreachable().into_iter().map(|(row, _)| row).collect();
        for client in clients.iter().map(as_client) {
            let truth = matcher.login(&user, client);
            let shown = client.name.or(client.address).expect("a host");
            let mut views = vec![Shown::NameOrAddress(shown)];
            if client.name.is_some_and(|name| name.len() >= 60) {
                views.push(Shown::NameOrAddress(&shown[..shown.len().min(60 + cut)]));
            }
            let loopback = client.address.is_some_and(|it| it == b"127.0.0.1" || it == b"::1");
            // Servers that resolve names always give a name to these.
            if let Some(address) = client.address && (skip || !loopback || client.name == Some(b"localhost")) {
                views.push(Shown::Address(address));
            }
            for view in views {
                let seen = matcher.seen(&user, view, None);
                for row in truth.rows() {
                    prop_assert!(seen.rows().contains(row), "{:?}: {:?} in {:?}", view, truth, seen);
                    let matched = Some(rows[*row].user.as_slice());
                    let narrowed = matcher.seen(&user, view, matched);
                    prop_assert!(narrowed.rows().contains(row));
                    prop_assert!(narrowed.rows().len() <= seen.rows().len());
                }
                if let Found::Exact(_) = seen {
                    prop_assert!(matches!(truth, Found::None) || truth == seen);
                }
            }
            for row in truth.rows() {
                prop_assert!(!dead.contains(row), "{} is reached by {:?}", rows[*row], client);
            }
        }
    }

    #[test]
    fn rows_are_found_by_name((rules, ..) in rules(), rows in tables::rows(3, 12)) {
        let matcher = Matcher::new(rules, &rows, false);
        for (index, row) in rows.iter().enumerate() {
            prop_assert_eq!(matcher.index_of(&row.user, &row.host), Some(index));
            let text = [row.user.as_slice(), b"@", &row.host].concat();
            prop_assert_eq!(matcher.named(&text), Some(index));
        }
    }

    #[test]
    fn no_input_panics(
        (rules, ..) in rules(),
        skip: bool,
        rows in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..20),
        user: Vec<u8>,
        host: Vec<u8>,
    ) {
        let names: Vec<AccountName> =
            rows.iter().map(|(user, host)| AccountName::new(user.clone(), host.clone())).collect();
        let matcher = Matcher::new(rules, &names, skip);
        matcher.login(&user, Client { address: Some(&host), name: Some(&user) });
        matcher.seen(&user, Shown::NameOrAddress(&host), Some(&host));
        matcher.seen(&user, Shown::Address(&host), None);
        matcher.named(&host);
        matcher.unreachable();
    }
}

/// A second implementation: each row compared with each other, wildcards by recursion.
struct Slow {
    family: Family,
    old: bool,
    skip: bool,
}

/// An address, its mask, and the place of that kind of mask in MySQL's order.
type Numbers = (u32, Option<u32>, u8);

impl Slow {
    fn login(&self, rows: &[AccountName], user: &[u8], client: Client<'_>) -> Vec<usize> {
        let fits: Vec<usize> = (0..rows.len())
            .filter(|&row| rows[row].user.is_empty() || rows[row].user == user)
            .filter(|&row| self.loads(&rows[row].host) && self.fits(&rows[row].host, client))
            .collect();
        let best =
            |row: &usize| fits.iter().all(|other| self.order(&rows[*row], &rows[*other]).is_le());
        fits.iter().copied().filter(best).collect()
    }

    fn loads(&self, host: &[u8]) -> bool {
        let name = !host.iter().any(|byte| b":%_/".contains(byte))
            && !host.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        !(self.skip && self.family == Family::MariaDb && name)
            || host.eq_ignore_ascii_case(b"localhost")
    }

    fn fits(&self, host: &[u8], client: Client<'_>) -> bool {
        let host = if host.is_empty() { b"%" } else { host };
        let address = client.address.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        if let (Some((number, Some(mask), _)), Some(address)) = (self.numbers(host), address) {
            let address: std::net::Ipv4Addr = address;
            return u32::from(address) & mask == number;
        }
        let name = |name: &[u8]| {
            let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
            if self.is_new_mysql() {
                Slow::odd_like(&host, &name, true)
            } else {
                Slow::like(&host, &name)
            }
        };
        let address = |text: &[u8]| {
            if self.is_new_mysql() { Slow::odd_address(host, text) } else { Slow::like(host, text) }
        };
        client.name.is_some_and(name) || client.address.is_some_and(address)
    }

    fn is_new_mysql(&self) -> bool {
        self.family == Family::MySql && !self.old
    }

    /// MySQL's comparison of addresses: a `_` behind a `%` asks for a byte, and leaves it.
    fn odd_address(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'%', rest @ ..] => {
                let end = rest.iter().position(|byte| !b"%_".contains(byte)).unwrap_or(rest.len());
                let byte = rest[..end].contains(&b'_');
                !(byte && text.is_empty())
                    && (end == rest.len()
                        || (0..text.len()).any(|at| Slow::odd_address(&rest[end..], &text[at..])))
            }
            [b'_', rest @ ..] => !text.is_empty() && Slow::odd_address(rest, &text[1..]),
            [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
                text.first() == Some(literal) && Slow::odd_address(rest, &text[1..])
            }
        }
    }

    fn like(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'%', rest @ ..] => (0..=text.len()).any(|at| Slow::like(rest, &text[at..])),
            [b'_', rest @ ..] => !text.is_empty() && Slow::like(rest, &text[1..]),
            [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
                text.first() == Some(literal) && Slow::like(rest, &text[1..])
            }
        }
    }

    /// MySQL's comparison of names: behind the end of the name a single `%` is all that may be left, and
    /// only behind a literal byte.
    fn odd_like(pattern: &[u8], text: &[u8], literal_before: bool) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'%'] => !text.is_empty() || literal_before,
            _ if text.is_empty() => false,
            [b'%', rest @ ..] => (0..text.len()).any(|at| Slow::odd_like(rest, &text[at..], false)),
            [b'_', rest @ ..] => Slow::odd_like(rest, &text[1..], false),
            [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
                text[0] == *literal && Slow::odd_like(rest, &text[1..], true)
            }
        }
    }

    fn numbers(&self, host: &[u8]) -> Option<Numbers> {
        let text = std::str::from_utf8(host).ok()?;
        let (address, rest) = Slow::quad(text)?;
        if self.family == Family::MariaDb || self.old {
            let (mask, rest) = Slow::quad(rest.strip_prefix('/')?)?;
            return (rest.is_empty() && mask != 0).then_some((address, Some(mask), 2));
        }
        if rest.is_empty() {
            return Some((address, Some(u32::MAX), 0));
        }
        let Some(behind) = rest.strip_prefix('/') else { return Some((address, None, 0)) };
        if let Some((mask, "")) = Slow::quad(behind)
            && mask != 0
            && (0..32).any(|bits| u32::MAX << bits == mask)
        {
            return Some((address, Some(mask), 2));
        }
        let length: u32 = behind.trim_start().trim_start_matches('+').parse().ok()?;
        match length {
            0 => Some((address, None, 1)),
            1..=32 => Some((address, Some(u32::MAX << (32 - length)), 1)),
            _ => None,
        }
    }

    fn quad(text: &str) -> Option<(u32, &str)> {
        let mut numbers = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
            rest = rest.strip_prefix('+').unwrap_or(rest);
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            numbers.push(rest[..end].parse::<u8>().ok()?);
            rest = &rest[end..];
            if numbers.len() == 4 {
                return Some((u32::from_be_bytes(numbers.try_into().ok()?), rest));
            }
            rest = rest.strip_prefix('.')?;
        }
    }

    /// `Less`: the former is compared with clients before the latter.
    fn order(&self, a: &AccountName, b: &AccountName) -> Ordering {
        let named_first = a.user.is_empty().cmp(&b.user.is_empty());
        if self.family == Family::MariaDb && !self.old {
            let text = |name: &AccountName| {
                if name.host.is_empty() { b"%".to_vec() } else { name.host.clone() }
            };
            let (a, b) = (text(a), text(b));
            return Slow::clients(&a).cmp(&Slow::clients(&b)).then(named_first).then(b.cmp(&a));
        }
        if !self.old {
            let numbers =
                |name: &AccountName| self.numbers(&name.host).filter(|numbers| numbers.0 != 0);
            match (numbers(a), numbers(b)) {
                (Some(a), Some(b)) => {
                    let mask = |numbers: Numbers| numbers.1.unwrap_or(0);
                    return a.2.cmp(&b.2).then(mask(b).cmp(&mask(a))).then(named_first);
                }
                (Some(_), None) => return Ordering::Less,
                (None, Some(_)) => return Ordering::Greater,
                (None, None) => {}
            }
        }
        Slow::before_wildcard(&b.host).cmp(&Slow::before_wildcard(&a.host)).then(named_first)
    }

    /// Higher for more bytes before the first wildcard.
    fn before_wildcard(host: &[u8]) -> usize {
        let mut at = 0;
        while at < host.len() {
            match host[at] {
                b'%' if host == b"%" => return 1,
                b'%' | b'_' => return (at + 2).min(127),
                b'\\' if at + 1 < host.len() => at += 2,
                _ => at += 1,
            }
        }
        if host.is_empty() { 0 } else { 128 }
    }

    /// How many clients fit as MariaDB compares it: free length and count of `%`, count of `_`; then what
    /// stands before the first wildcard.
    fn clients(host: &[u8]) -> (u64, u64, u64, u64) {
        let text = String::from_utf8_lossy(host).into_owned();
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        // Escaped bytes are one plain byte, several `%` are one.
        while let Some(c) = rest.next() {
            match c {
                '\\' if rest.peek().is_some() => {
                    rest.next();
                    plain.push('x');
                }
                '%' if plain.ends_with('%') => {}
                _ => plain.push(c),
            }
        }
        let count = |wanted: char| plain.matches(wanted).count() as u64;
        let (many, one) = (count('%').min(31), count('_').min(31));
        let literals = plain.len() as u64 - count('%') - count('_');
        let before = plain.find(['%', '_']).map_or(0, |at| at as u64);
        let free = if many > 0 { 255 - literals - one } else { 0 };
        if free > one { (free * 2 + 1, many, one, before) } else { (one * 2, free, many, before) }
    }
}

/// The order that was seen on servers, where it is not what one would expect.
#[test]
fn orders_that_surprise() {
    let check =
        |version: &str, hosts: &[&str], address: &str, name: Option<&str>, expected: &str| {
            let names: Vec<AccountName> =
                hosts.iter().map(|host| AccountName::new("u", *host)).collect();
            let rules = Rules::of(&Version::parse(version).expect("a version"));
            let matcher = Matcher::new(rules, &names, name.is_none());
            let client = Client {
                address: Some(address.as_bytes()),
                name: name.map(|name| name.as_bytes()),
            };
            let found = matcher.login(b"u", client);
            let found: Vec<&str> = found.rows().iter().map(|&row| hosts[row]).collect();
            assert_eq!(found.join(" "), expected, "{version} {hosts:?}");
        };
    let (mariadb, mysql) = ("10.11.19-MariaDB", "9.7.4");
    let local = Some("localhost");
    check(mariadb, &["127.0.0.1", "localhost"], "127.0.0.1", local, "localhost");
    check(mysql, &["127.0.0.1", "localhost"], "127.0.0.1", local, "127.0.0.1");
    for (server, expected) in [(mariadb, "127.%.%.2"), (mysql, "127.0.%")] {
        check(server, &["127.0.%", "127.%.%.2"], "127.0.0.2", None, expected);
    }
    for (server, expected) in [(mariadb, "_27.0.0.2"), (mysql, "127.0.0.%")] {
        check(server, &["127.0.0.%", "_27.0.0.2"], "127.0.0.2", None, expected);
    }
    for server in [mariadb, mysql] {
        let mask = "127.0.0.0/255.255.255.0";
        check(server, &["127.0.0.%", mask], "127.0.0.2", None, mask);
        check(server, &["127.0.0.2", mask], "127.0.0.2", None, "127.0.0.2");
    }
    // MariaDB holds an address and a network for equally specific: the greater text comes first.
    let wide = "64.0.0.0/192.0.0.0";
    check(mariadb, &["100.0.0.1", wide], "100.0.0.1", None, wide);
    check(mysql, &["100.0.0.1", wide], "100.0.0.1", None, "100.0.0.1");
    let narrow = "10.100.0.0/255.255.0.0";
    check(mariadb, &[narrow, "10.64.0.0/255.192.0.0"], "10.100.0.7", None, "10.64.0.0/255.192.0.0");
    check(mysql, &[narrow, "10.64.0.0/255.192.0.0"], "10.100.0.7", None, narrow);
    check(mysql, &[narrow, "10.0.0.0/8"], "10.100.0.7", None, "10.0.0.0/8");
    // What only begins as an address does is sorted as one.
    check(mysql, &["10.0.0.0/24", "10.0.0.1%"], "10.0.0.1", None, "10.0.0.1%");
    check(mysql, &["10.0.0.01"], "10.0.0.1", None, "10.0.0.01");
    check(mariadb, &["10.0.0.01"], "10.0.0.1", None, "");
    check(mysql, &["10.0.0.0/24"], "10.0.0.1", None, "10.0.0.0/24");
    check(mariadb, &["10.0.0.0/24"], "10.0.0.1", None, "");
    check("8.0.22", &["10.0.0.0/24"], "10.0.0.1", None, "");
    // Of these MySQL may take either.
    check(mysql, &["127.%", "127.%.%.2"], "127.0.0.2", None, "127.% 127.%.%.2");
    check(mysql, &["::1", "localhost"], "::1", local, "::1 localhost");
}

#[test]
fn there_is_no_way_back_to_a_less_specific_row() {
    for family in [Family::MariaDb, Family::MySql] {
        let names = [
            AccountName::new("u", "127.%"),
            AccountName::new("", "127.0.0.2"),
            AccountName::new("", "%"),
            AccountName::new("U", "%"),
        ];
        let matcher = Matcher::new(family.into(), &names, true);
        let login = |user: &str, address: &str| {
            let client = Client { address: Some(address.as_bytes()), name: None };
            matcher.login(user.as_bytes(), client)
        };
        assert_eq!(login("u", "127.0.0.2"), Found::Exact(1));
        assert_eq!(login("u", "127.0.0.3"), Found::Exact(0));
        // Of equal hosts the user's own comes first.
        assert_eq!(login("U", "10.0.0.1"), Found::Exact(3));
        assert_eq!(login("u", "10.0.0.1"), Found::Exact(2));
        assert_eq!(login("", "10.0.0.1"), Found::Exact(2));
    }
}

#[test]
fn logs_leave_several() {
    let names = [
        AccountName::new("app", "127.0.0.1"),
        AccountName::new("app", "localhost"),
        AccountName::new("app", "10.0.0.%"),
        AccountName::new("app", "%.example.net"),
        AccountName::new("app", "%"),
        AccountName::new("", "10.%"),
    ];
    let seen = |family: Family, skip: bool, shown: Shown<'_>, matched: Option<&[u8]>| {
        let matcher = Matcher::new(family.into(), &names, skip);
        matcher.seen(b"app", shown, matched)
    };
    let host = |text: &'static str| Shown::NameOrAddress(text.as_bytes());
    use Family::{MariaDb, MySql};
    assert_eq!(seen(MariaDb, false, host("localhost"), None), Found::Exact(1));
    assert_eq!(seen(MySql, false, host("localhost"), None), Found::Candidates(vec![0, 1]));
    assert_eq!(seen(MySql, true, host("localhost"), None), Found::Exact(1));
    assert_eq!(seen(MySql, true, host("127.0.0.1"), None), Found::Exact(0));
    assert_eq!(seen(MariaDb, false, host("10.0.0.7"), None), Found::Exact(2));
    assert_eq!(seen(MariaDb, false, host("10.1.0.7"), None), Found::Exact(5));
    assert_eq!(seen(MariaDb, false, host("10.1.0.7"), Some(b"app")), Found::None);
    assert_eq!(seen(MariaDb, false, host("db.example.net"), None), Found::Exact(3));
    assert_eq!(seen(MySql, false, host("db.example.net"), None), Found::Candidates(vec![2, 5, 3]));
    assert_eq!(seen(MySql, false, host("db.example.net"), Some(b"")), Found::Exact(5));
    // A log of addresses alone does not tell whether there is a name.
    let address = Shown::Address(b"10.0.0.7");
    assert_eq!(seen(MariaDb, false, address, None), Found::Candidates(vec![3, 2]));
    assert_eq!(seen(MariaDb, true, address, None), Found::Exact(2));
    assert_eq!(seen(MariaDb, false, Shown::Address(b"127.0.0.1"), None), Found::Exact(1));
    assert_eq!(seen(MariaDb, false, host("::ffff:10.0.0.7"), None), Found::Exact(2));
    assert_eq!(seen(MariaDb, false, host(""), None), Found::None);
}

#[test]
fn names_that_a_log_has_cut() {
    let long = "ü".repeat(70);
    let host = "x".repeat(70);
    let names = [
        AccountName::new(long.as_bytes(), "%"),
        AccountName::new("app", format!("{host}.example.net")),
        AccountName::new("app", "%.example.org"),
        AccountName::new("", "%"),
    ];
    let matcher = Matcher::new(Family::MariaDb.into(), &names, false);
    let seen =
        |user: &[u8], host: &str| matcher.seen(user, Shown::NameOrAddress(host.as_bytes()), None);
    let cut = [&long.as_bytes()[..132], b"\x87"].concat();
    // The name may also have been another, longer one, which no row names.
    assert_eq!(seen(&cut, "192.0.2.1"), Found::Candidates(vec![0, 3]));
    assert_eq!(seen(&long.as_bytes()[..120], "192.0.2.1"), Found::Exact(3));
    assert_eq!(seen(b"app", &host[..63]), Found::Candidates(vec![1, 2, 3]));
    assert_eq!(seen(b"app", &host[..50]), Found::Exact(3));
}

#[test]
fn rows_that_nobody_reaches() {
    use Unreachable::*;
    let hosts = [
        "10.0.0.0/24",
        "10.0.0.7/255.0.0.0",
        "10.0.0",
        "10.0.0.256",
        "2001:DB8::1",
        "db.example.net",
        "%.example.net",
        "localhost",
        "10.0.%",
        "10.0.0.0/255.255.0.0",
        "192.0.2.07",
        "127.0.0.1",
        "x/y",
    ];
    let names: Vec<AccountName> = hosts
        .iter()
        .map(|host| AccountName::new("u", *host))
        .chain([AccountName::new("", "127.0.0.1"), AccountName::new("", "%")])
        .chain([AccountName::new("v", "127.0.0.1"), AccountName::new("", "127.0.0.2")])
        .collect();
    let check = |family: Family, skip: bool, expected: &[(&str, Unreachable)]| {
        let found = Matcher::new(family.into(), &names, skip).unreachable();
        let found: Vec<_> = found
            .into_iter()
            .map(|(row, why)| (std::str::from_utf8(&names[row].host).expect("UTF-8"), why))
            .collect();
        assert_eq!(found, expected, "{family:?} {skip}");
    };
    let both = |first: Unreachable| {
        vec![
            ("10.0.0.0/24", first),
            ("10.0.0.7/255.0.0.0", Netmask),
            ("10.0.0", NoSuchHost),
            ("10.0.0.256", NoSuchHost),
            ("2001:DB8::1", NoSuchHost),
        ]
    };
    let rest = [("10.0.%", Shadowed(9)), ("192.0.2.07", NoSuchHost), ("x/y", Netmask)];
    check(Family::MariaDb, false, &[both(PrefixLength), rest.to_vec()].concat());
    let names_unresolved =
        [("db.example.net", NamesNotResolved), ("%.example.net", NamesNotResolved)];
    check(
        Family::MariaDb,
        true,
        &[both(PrefixLength), names_unresolved.to_vec(), rest.to_vec()]
            .concat()
            .into_iter()
            // What holds a letter counts as a name, if it is no pattern.
            .collect::<Vec<_>>(),
    );
    // MySQL knows `/24`, and reads `07` as a number.
    let mysql: Vec<_> = both(PrefixLength).into_iter().skip(1).chain([rest[0], rest[2]]).collect();
    check(Family::MySql, false, &mysql);
}

#[test]
fn many_rows_of_one_user_are_looked_up() {
    for family in [Family::MariaDb, Family::MySql] {
        let mut names: Vec<AccountName> = (0..1000)
            .map(|number| {
                AccountName::new("app", format!("10.1.{}.{}", number / 250, number % 250))
            })
            .collect();
        names.push(AccountName::new("app", "10.1.%"));
        names.push(AccountName::new("app", "DB.example.net"));
        let matcher = Matcher::new(family.into(), &names, false);
        let seen = |host: &str| matcher.seen(b"app", Shown::NameOrAddress(host.as_bytes()), None);
        assert_eq!(seen("10.1.2.3"), Found::Exact(503));
        assert_eq!(seen("10.1.2.251"), Found::Exact(1000));
        assert_eq!(matcher.named(b"app@db.EXAMPLE.net"), Some(1001));
        let client = Client { address: Some(b"192.0.2.1"), name: Some(b"db.example.NET") };
        assert_eq!(matcher.login(b"app", client), Found::Exact(1001));
    }
}
