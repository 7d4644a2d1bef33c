//! Client hosts as addresses and networks, and lists of hosts given by an administrator.
//!
//! ```text
//! 203.0.113.9          → 203.0.113.0/24
//! 2001:db8:1:2::9      → 2001:db8:1:2::/64
//! ::ffff:203.0.113.9   → 203.0.113.0/24     an IPv4 client of a socket that listens on both
//! lb-1.example.com     → itself: a name says nothing about its neighbours
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most entries a [`HostList`] takes: it is written by hand, and each host is compared with each.
pub const HOST_LIST_ENTRIES_MAX: usize = 10_000;

/// An address range: an address with its host bits zero, and the length of the prefix in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// The network of `prefix_bits` bits that holds `address`; `None` where that is more than the
    /// address has. IPv4 addresses written as IPv6 (`::ffff:10.0.0.1`) count as IPv4.
    pub fn of(address: IpAddr, prefix_bits: u8) -> Option<Network> {
        let (address, prefix_bits) = match (address.to_canonical(), address) {
            // The prefix of `::ffff:10.0.0.0/104` counts the 96 bits before the IPv4 address.
            (short @ IpAddr::V4(_), IpAddr::V6(_)) => (short, prefix_bits.checked_sub(96)?),
            (same, _) => (same, prefix_bits),
        };
        let address = match address {
            IpAddr::V4(address) => {
                let mask = mask(prefix_bits, 32)? as u32;
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = mask(prefix_bits, 128)?;
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Some(Network { address, prefix_bits })
    }

    /// Whether `address` lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && Network::of(address, self.prefix_bits).is_some_and(|it| it.address == self.address)
    }
}

/// The upper `bits` of `width` bits set; `None` where there are not so many.
fn mask(bits: u8, width: u32) -> Option<u128> {
    let low = width.checked_sub(u32::from(bits))?;
    Some(u128::MAX.checked_shl(low).unwrap_or(0))
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

/// The address that a client host is, where it is one. A zone (`fe80::1%eth0`) is left aside.
pub fn address(host: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(host).ok()?;
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The network a client host stands in for counting attempts: /24 of IPv4, /64 of IPv6 (what one
/// customer is given); `None` for a name.
pub fn neighbourhood(host: &[u8]) -> Option<Network> {
    let address = address(host)?;
    Network::of(address, if address.is_ipv4() { 24 } else { 64 })
}

/// Hosts as an administrator lists them: names, addresses, networks (`10.0.0.0/8`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostList {
    names: Vec<String>,
    networks: Vec<Network>,
}

impl HostList {
    /// No hosts.
    pub const fn none() -> HostList {
        HostList { names: Vec::new(), networks: Vec::new() }
    }

    /// Reads the entries.
    ///
    /// # Errors
    /// What is wrong with which entry.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<HostList, String> {
        if entries.len() > HOST_LIST_ENTRIES_MAX {
            return Err(format!("more than {HOST_LIST_ENTRIES_MAX} hosts"));
        }
        let mut list = HostList::default();
        for entry in entries {
            list.add(entry.as_ref())?;
        }
        Ok(list)
    }

    fn add(&mut self, entry: &str) -> Result<(), String> {
        if entry.trim() != entry || entry.is_empty() {
            return Err(format!("{entry:?} is no host: empty, or blanks around it"));
        }
        let bad = || format!("{entry:?} is no network: write it like 10.0.0.0/8 or 2001:db8::/32");
        if let Some((start, bits)) = entry.split_once('/') {
            let start: IpAddr = start.parse().map_err(|_| bad())?;
            let bits = bits.parse().map_err(|_| bad())?;
            self.networks.push(Network::of(start, bits).ok_or_else(bad)?);
        } else if let Some(address) = address(entry.as_bytes()) {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            self.networks.extend(Network::of(address, bits));
        } else {
            self.names.push(entry.to_owned());
        }
        Ok(())
    }

    /// Whether a client host is listed. Names are compared without regard to ASCII case.
    pub fn contains(&self, host: &[u8]) -> bool {
        match address(host) {
            Some(address) => self.networks.iter().any(|network| network.contains(address)),
            None => self.names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(host)),
        }
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.networks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_their_neighbourhood() {
        let of = |host: &str| neighbourhood(host.as_bytes()).map(|network| network.to_string());
        assert_eq!(of("203.0.113.9").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(of("::ffff:203.0.113.9").as_deref(), Some("203.0.113.0/24"));
        assert_eq!(of("2001:db8:1:2:3::9").as_deref(), Some("2001:db8:1:2::/64"));
        assert_eq!(of("fe80::1%eth0").as_deref(), Some("fe80::/64"));
        for name in ["lb-1", "", "10.0.0", "10.0.0.256", "localhost", "%"] {
            assert_eq!(of(name), None, "{name}");
        }
        assert_eq!(neighbourhood(b"\xff10.0.0.1"), None);
    }

    #[test]
    fn prefixes_end_where_addresses_end() {
        let v4: IpAddr = "10.1.2.3".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(Network::of(v4, 0).unwrap().to_string(), "0.0.0.0/0");
        assert_eq!(Network::of(v4, 32).unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(Network::of(v4, 33), None);
        assert_eq!(Network::of(v6, 0).unwrap().to_string(), "::/0");
        assert_eq!(Network::of(v6, 128).unwrap().to_string(), "2001:db8::1/128");
        assert_eq!(Network::of(v6, 129), None);
        let mapped: IpAddr = "::ffff:10.0.0.0".parse().unwrap();
        assert_eq!(Network::of(mapped, 104).unwrap().to_string(), "10.0.0.0/8");
    }

    #[test]
    fn lists_match_names_addresses_and_networks() {
        let list = HostList::parse(&["LB-1.example", "10.0.0.7", "10.9.0.0/16", "2001:db8::/32"]);
        let list = list.unwrap();
        for host in ["lb-1.EXAMPLE", "10.0.0.7", "::ffff:10.0.0.7", "10.9.255.1", "2001:db8::5"] {
            assert!(list.contains(host.as_bytes()), "{host}");
        }
        for host in ["lb-2.example", "10.0.0.8", "10.10.0.1", "2001:db9::5", ""] {
            assert!(!list.contains(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn bad_entries_are_named() {
        for entry in ["10.0.0.0/33", "10.0.0/8", "x/8", " lb", "", "::/129", "10.0.0.0/"] {
            let error = HostList::parse(&[entry]).unwrap_err();
            assert!(error.contains(&format!("{entry:?}")), "{error}");
        }
    }

    #[test]
    fn lists_are_bounded() {
        let most = vec!["lb"; HOST_LIST_ENTRIES_MAX];
        assert!(HostList::parse(&most).is_ok());
        let more = vec!["lb"; HOST_LIST_ENTRIES_MAX + 1];
        assert!(HostList::parse(&more).is_err());
    }
}
