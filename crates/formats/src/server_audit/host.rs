//! The client host column: what can stand there, and its port.
//!
//! ```text
//! localhost  db7.example.net  10.0.0.7  2001:db8::7  %  (empty)     MariaDB up to 11, Aurora
//! 10.0.0.7:54312  db7:54312  ::1:54312  localhost:unavailable       MariaDB 12, Enterprise
//! [2001:db8::7]:54312                                               with brackets, where written
//! ```
//!
//! # What the format does not promise
//! * MariaDB 12 puts host, colon and port side by side, also for IPv6. `::1:54312` can only be an
//!   address with a port (a group has four digits); `::1:8080` is an address by itself and is
//!   taken as one. Ports of clients are above 9999 unless someone configured otherwise.

use std::net::Ipv6Addr;

/// The longest host column in bytes: a name of 255, brackets, a colon and `unavailable`.
const HOST_BYTES_MAX: usize = 255 + 2 + 1 + 11;

/// A host column taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host {
    /// Where the host begins in the column: 1 after a bracket.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// The client's TCP port.
    pub(super) port: Option<u16>,
}

/// Takes a host column apart; `None` where it can be none. A host of digits alone is none: no
/// resolver yields it, and numbers stand beside the host in every record.
pub(super) fn split(text: &[u8]) -> Option<Host> {
    if text.len() > HOST_BYTES_MAX {
        return None;
    }
    if text.first() == Some(&b'[') {
        let close = memchr::memchr(b']', text)?;
        ipv6(&text[1..close])?;
        let port = match &text[close + 1..] {
            [] => None,
            [b':', port @ ..] => port_of(port)?,
            _ => return None,
        };
        return Some(Host { start: 1, end: close, port });
    }
    let bare = Host { start: 0, end: text.len(), port: None };
    let Some(colon) = memchr::memrchr(b':', text) else {
        return (is_name(text) && !is_number(text)).then_some(bare);
    };
    let (before, after) = (&text[..colon], &text[colon + 1..]);
    let several = memchr::memchr(b':', before).is_some();
    if several && ipv6(text).is_some() {
        return Some(bare);
    }
    let port = port_of(after)?;
    let host_fits = if several {
        ipv6(before).is_some()
    } else {
        !before.is_empty() && is_name(before) && !is_number(before)
    };
    host_fits.then_some(Host { end: colon, port, ..bare })
}

/// `54312`, or `unavailable` on a socket; port 0 is none.
fn port_of(text: &[u8]) -> Option<Option<u16>> {
    if text == b"unavailable" {
        return Some(None);
    }
    if !is_number(text) || text.len() > 5 {
        return None;
    }
    let port = std::str::from_utf8(text).ok()?.parse::<u16>().ok()?;
    Some((port != 0).then_some(port))
}

fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let zone = memchr::memchr(b'%', text).unwrap_or(text.len());
    if !is_name(&text[zone..]) {
        return None;
    }
    std::str::from_utf8(&text[..zone]).ok()?.parse().ok()
}

fn is_name(text: &[u8]) -> bool {
    text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'%'))
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, Option<u16>)>) {
        let found = split(text.as_bytes()).map(|host| (&text[host.start..host.end], host.port));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn hosts_with_and_without_ports() {
        for bare in [
            "",
            "localhost",
            "db-7_a.example.net",
            "10.0.0.7",
            "%",
            "::1",
            "2001:db8::7",
            "::ffff:10.0.0.7",
            "fe80::1%eth0",
            "::1:8080",
        ] {
            check(bare, Some((bare, None)));
        }
        check("192.168.1.24:54312", Some(("192.168.1.24", Some(54312))));
        check("db7:1", Some(("db7", Some(1))));
        check("localhost:65535", Some(("localhost", Some(65535))));
        check("localhost:unavailable", Some(("localhost", None)));
        check("localhost:0", Some(("localhost", None)));
        check("::1:54312", Some(("::1", Some(54312))));
        check("1:2:3:4:5:6:7:8:9999", Some(("1:2:3:4:5:6:7:8", Some(9999))));
        check("::ffff:10.0.0.7:54312", Some(("::ffff:10.0.0.7", Some(54312))));
        check("[::1]:54312", Some(("::1", Some(54312))));
        check("[::1]", Some(("::1", None)));
    }

    #[test]
    fn what_is_no_host() {
        for none in [
            "a b", "a,b", "42", "42:42", "a:65536", "a:", ":1", "a:b:c", "[::1", "[::1]x", "[a]:1",
            "h\n", "o'hara", "::g", "\u{e9}",
        ] {
            check(none, None);
        }
    }

    #[test]
    fn the_longest_host() {
        let longest = "a".repeat(HOST_BYTES_MAX);
        check(&longest, Some((&longest, None)));
        check(&format!("{longest}a"), None);
    }
}
