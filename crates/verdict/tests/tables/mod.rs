//! Generated account tables and the clients that log in, for tests of `verdict::matching`: patterns of
//! all kinds that overlap as often as can be.

use proptest::prelude::*;
use verdict::account::AccountName;

/// Addresses of this machine that clients come from, with the name that [`HOSTS`] gives each.
pub(crate) const SOURCES: [(&str, Option<&str>); 13] = [
    ("127.0.0.1", Some("localhost")),
    ("127.0.0.2", Some("db2.example.net")),
    ("127.0.0.3", Some("web-1.example.net")),
    ("127.0.0.4", Some("WEB-2.Example.NET")),
    ("127.0.1.5", Some("a.b.example.org")),
    ("127.0.2.6", Some("db2.example.org")),
    ("127.9.9.9", Some("l")),
    ("127.10.0.1", Some("web-10.example.net")),
    ("127.0.0.10", None),
    ("127.0.0.27", None),
    ("127.10.10.1", None),
    ("127.100.0.2", None),
    ("::1", Some("localhost")),
];

/// A host pattern.
pub(crate) fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => source(),
        6 => source().prop_flat_map(blurred),
        5 => name().prop_flat_map(blurred),
        4 => name(),
        3 => prefix(),
        3 => netmask(),
        3 => prefix_length(),
        1 => (quad(), prop::sample::select(&["%", "_", "%%", "_%", ".%", "%.1", "/", "/%"][..]))
            .prop_map(|(address, tail)| format!("{address}{tail}")),
        1 => (source(), any::<prop::sample::Index>()).prop_map(|(text, at)| escaped(&text, at)),
        1 => (name(), any::<prop::sample::Index>()).prop_map(|(text, at)| escaped(&text, at)),
        3 => prop::sample::select(ODD).prop_map(str::to_owned),
    ]
}

/// Patterns that servers read in ways of their own.
const ODD: &[&str] = &[
    "",
    "%",
    "%%",
    "_%",
    "%_",
    "%_%",
    "localhost",
    "LOCALHOST",
    "local%",
    "localhost%",
    "%localhost",
    "::1",
    "::%",
    "::_",
    "_::1",
    "%:%",
    "%1",
    "1%",
    "1",
    "0:0:0:0:0:0:0:1",
    "::01",
    "127.0.0.01",
    "127.0.0.002",
    "0127.0.0.1",
    " 127.0.0.1",
    "+127.0.0.1",
    "127.1",
    "127.0.0",
    "127.0.0.256",
    "0.0.0.0",
    "0.0.0.0/0",
    "0.0.0.0/0.0.0.0",
    "0.0.0.0/1",
    "0.0.0.0/128.0.0.0",
    "127.0.0.1/0",
    "127.0.0.1/32",
    "127.0.0.1/255.255.255.255",
    "127.0.0.1/33",
    "127.0.0.0/024",
    "127.0.0.0/+24",
    "127.0.0.0/24 ",
    "127.0.0.0/255.0.255.0",
    "127.0.0.1/0.0.0.255",
    "0.0.0.1/0.0.0.1",
    "web_%",
    "web%%",
    "web-1.example.net%",
    "web-1.example.net%%",
    "web-1.example.ne_%",
    "l%",
    "l_",
    "_",
    "l%%",
    "%l",
    "%.example.net",
    "%.EXAMPLE.%",
    r"\",
    r"%\",
    r"127.0.0.\%",
    "_27.0.0.2",
    "127.%.%.2",
    "127.%.2",
    "127.0.0._%",
    "____________",
    "127.0.0.%",
    "127.0.%",
    "127.%",
    "127.0.0._",
    "12_.%",
    "%.0.0.%",
    "%.2",
    "%0%",
    "db%",
    "%.org",
];

/// A row of a table, for one of the users that it is generated for; `None` is an anonymous one.
pub(crate) fn rows(users: usize, anonymous_max: usize) -> impl Strategy<Value = Vec<AccountName>> {
    let named = prop::collection::vec(prop::collection::vec(host(), 1..9), users);
    let anonymous = prop::collection::vec(host(), 0..=anonymous_max);
    (named, anonymous).prop_map(|(named, anonymous)| {
        let mut rows: Vec<AccountName> =
            anonymous.into_iter().map(|host| AccountName::new("", host)).collect();
        for (number, hosts) in named.into_iter().enumerate() {
            rows.extend(hosts.into_iter().map(|host| AccountName::new(user(number), host)));
        }
        // No server has a row twice.
        rows.sort();
        rows.dedup();
        rows
    })
}

/// The name of a user of a generated table. Wildcards in it weigh on MySQL's order.
pub(crate) fn user(number: usize) -> String {
    let mark = ["u", "u_", "U", "%u", "ü"][number % 5];
    format!("{mark}{number}")
}

fn source() -> impl Strategy<Value = String> {
    prop::sample::select(&SOURCES[..]).prop_map(|(address, _)| address.to_owned())
}

fn quad() -> impl Strategy<Value = String> {
    source().prop_filter("IPv4", |address| !address.contains(':'))
}

fn name() -> impl Strategy<Value = String> {
    let names = SOURCES.iter().filter_map(|(_, name)| *name).collect::<Vec<_>>();
    (prop::sample::select(names), 0..4).prop_map(|(name, case)| match case {
        0 => name.to_ascii_uppercase(),
        1 => name.to_ascii_lowercase(),
        _ => name.to_owned(),
    })
}

/// The text with wildcards in place of some of it.
fn blurred(text: String) -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..4usize, prop::bool::weighted(0.6));
    prop::collection::vec(change, 1..4).prop_map(move |changes| {
        let mut bytes = text.clone().into_bytes();
        for (at, length, many) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + length).min(bytes.len());
            let wildcards = if many { b"%".to_vec() } else { vec![b'_'; end - at] };
            bytes.splice(at..end, wildcards);
            if bytes.is_empty() {
                bytes.push(b'%');
            }
        }
        String::from_utf8(bytes).expect("ASCII")
    })
}

/// The text with a backslash somewhere.
fn escaped(text: &str, at: prop::sample::Index) -> String {
    let mut text = text.to_owned();
    text.insert(at.index(text.len() + 1), '\\');
    text
}

fn prefix() -> impl Strategy<Value = String> {
    (quad(), 0..4usize).prop_map(|(address, octets)| {
        let begin: String =
            address.split('.').take(octets).map(|octet| octet.to_owned() + ".").collect();
        begin + "%"
    })
}

fn numbers(address: &str) -> u32 {
    address.parse::<std::net::Ipv4Addr>().expect("an address").into()
}

fn text(address: u32) -> String {
    std::net::Ipv4Addr::from(address).to_string()
}

fn mask(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits).unwrap_or(0)
}

fn netmask() -> impl Strategy<Value = String> {
    let bits = prop_oneof![4 => prop::sample::select(&[8u32, 16, 24, 32][..]), 4 => 0..=32u32];
    // Now and then with a bit of the address that the mask does not keep.
    (quad(), bits, prop::bool::weighted(0.9)).prop_map(|(address, bits, fits)| {
        let address = numbers(&address);
        let address = if fits { address & mask(bits) } else { address };
        format!("{}/{}", text(address), text(mask(bits)))
    })
}

fn prefix_length() -> impl Strategy<Value = String> {
    let bits = prop_oneof![4 => prop::sample::select(&[8u32, 16, 24, 32][..]), 4 => 0..=32u32];
    (quad(), bits, prop::bool::weighted(0.9)).prop_map(|(address, bits, fits)| {
        let address = numbers(&address);
        let address = if fits { address & mask(bits) } else { address };
        format!("{}/{bits}", text(address))
    })
}
