//! Who has which socket: tables of TCP sockets per network namespace, and open descriptors of processes.
//!
//! ```text
//! /proc/<pid>/net/tcp
//!   sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt   uid  timeout inode
//!    0: 0100007F:53B3 0100007F:C58E 01 00000000:00000000 00:00000000 00000000   104        0 9365088 …
//! /proc/<pid>/fd/7 -> socket:[9365088]
//! ```
//! Addresses are 32-bit words in the machine's byte order (net/ipv4/tcp_ipv4.c, `get_tcp4_sock`). An inode number
//! names one socket of the whole machine; 0 where no process has it any more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::facts::path;

/// `TCP_LISTEN` of include/net/tcp_states.h.
const LISTENS: u8 = 0x0a;

/// One TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tcp {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) listens: bool,
    pub(super) uid: u32,
    /// 0: no process has it.
    pub(super) inode: u64,
    /// The inode of its network namespace.
    pub(super) net: u64,
}

/// Network namespaces in which processes run, each with one of these processes.
#[derive(Debug, Clone, Default)]
pub(super) struct Namespaces {
    /// By inode. Our own is among them.
    pub(super) known: BTreeMap<u64, u32>,
    /// Processes whose namespace may not be seen.
    pub(super) hidden: usize,
}

/// The ids of all processes.
pub(super) fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|it| it.file_name().to_str()?.parse().ok()).collect()
}

/// The network namespace of a process.
pub(super) fn namespace(pid: u32) -> io::Result<u64> {
    let link = fs::read_link(path(pid, "ns/net"))?;
    number_in(link.as_os_str().as_encoded_bytes(), b"net:[")
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

pub(super) fn namespaces() -> Namespaces {
    let mut found = Namespaces::default();
    let own = std::process::id();
    for pid in std::iter::once(own).chain(pids()) {
        match namespace(pid) {
            Ok(inode) => _ = found.known.entry(inode).or_insert(pid),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found.hidden += 1,
            Err(_) => {}
        }
    }
    found
}

/// The TCP sockets of a namespace that one of `wanted` asks for.
pub(super) fn tcp(net: u64, pid: u32, wanted: impl Fn(&Tcp) -> bool) -> io::Result<Vec<Tcp>> {
    let mut found = Vec::new();
    for name in ["net/tcp", "net/tcp6"] {
        let file = match File::open(path(pid, name)) {
            Ok(file) => BufReader::with_capacity(64 << 10, file),
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && name.ends_with('6') => {
                continue;
            }
            Err(error) => return Err(error),
        };
        for line in file.lines().skip(1) {
            found.extend(read_tcp(&line?, net).filter(&wanted));
        }
    }
    Ok(once(found))
}

/// Without those that are told again: the kernel goes by place in its tables, which move while sockets come and go.
fn once(mut found: Vec<Tcp>) -> Vec<Tcp> {
    let key = |it: &Tcp| (it.inode, it.local, it.remote);
    found.sort_by_key(key);
    found.dedup_by_key(|it| key(&*it));
    found
}

fn read_tcp(line: &str, net: u64) -> Option<Tcp> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    Some(Tcp {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        listens: u8::from_str_radix(fields.get(3)?, 16).ok()? == LISTENS,
        uid: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
        net,
    })
}

/// `0100007F:53B3`. An IPv4 address written as IPv6 becomes IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let (digits, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(digits.get(at..at + 8)?, 16).ok();
    let ip = match digits.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at * 8)?.to_ne_bytes());
            }
            IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The addresses of a namespace.
pub(super) fn own_addresses(pid: u32) -> HashSet<IpAddr> {
    let text = |name| fs::read_to_string(path(pid, name)).unwrap_or_default();
    let mut found = local_in_trie(&text("net/fib_trie"));
    found.extend(text("net/if_inet6").lines().filter_map(|line| {
        let number = u128::from_str_radix(line.split_ascii_whitespace().next()?, 16).ok()?;
        Some(IpAddr::from(Ipv6Addr::from(number)))
    }));
    found
}

/// `|-- 10.0.0.7`, and on the next line `/32 host LOCAL`.
fn local_in_trie(text: &str) -> HashSet<IpAddr> {
    let mut found = HashSet::new();
    let mut last = None;
    for line in text.lines() {
        if let Some((_, address)) = line.split_once("|-- ") {
            last = address.trim().parse::<IpAddr>().ok();
        } else if line.trim() == "/32 host LOCAL" {
            found.extend(last);
        }
    }
    found
}

/// Which processes have which sockets.
#[derive(Debug, Clone, Default)]
pub(super) struct Descriptors {
    /// Process and descriptor, by inode.
    pub(super) by_inode: HashMap<u64, Vec<(u32, u32)>>,
    /// Processes that could not be looked into.
    pub(super) hidden: usize,
}

pub(super) fn descriptors(wanted: &HashSet<u64>) -> Descriptors {
    let mut found = Descriptors::default();
    if wanted.is_empty() {
        return found;
    }
    for pid in pids() {
        match sockets(pid) {
            Ok(sockets) => {
                for (descriptor, inode) in sockets.into_iter().filter(|it| wanted.contains(&it.1)) {
                    found.by_inode.entry(inode).or_default().push((pid, descriptor));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found.hidden += 1,
            Err(_) => {}
        }
    }
    found
}

/// Descriptors and inodes of the sockets that a process has open.
pub(super) fn sockets(pid: u32) -> io::Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path(pid, "fd"))? {
        let Ok(entry) = entry else { continue };
        let number = entry.file_name().to_str().and_then(|it| it.parse().ok());
        let Some(number) = number else { continue };
        found.extend(socket(pid, number).map(|inode| (number, inode)));
    }
    Ok(found)
}

/// The socket behind a descriptor.
pub(super) fn socket(pid: u32, descriptor: u32) -> Option<u64> {
    let link = fs::read_link(path(pid, &format!("fd/{descriptor}"))).ok()?;
    number_in(link.as_os_str().as_encoded_bytes(), b"socket:[")
}

/// `socket:[9365088]` behind `socket:[`.
fn number_in(link: &[u8], before: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(before)?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;

    #[test]
    fn addresses_are_in_the_machines_byte_order() {
        let check = |text: &str, expected: &str| {
            assert_eq!(address(text).unwrap(), expected.parse().unwrap());
        };
        if cfg!(target_endian = "little") {
            check("0100007F:53B3", "127.0.0.1:21427");
            check("00000000000000000000000001000000:0CEA", "[::1]:3306");
            check("0000000000000000FFFF00000700000A:0050", "10.0.0.7:80");
            check("B80D0120000000000000000001000000:0001", "[2001:db8::1]:1");
        }
        for text in ["", ":", "0100007F", "0100007F:x", "x100007F:1", "0100007é:1", "00:1"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn what_the_kernel_tells_twice_is_one_socket() {
        let line = "1: 0100007F:53B3 0100007F:0CEA 01 0:0 0:0 0 0 0 77";
        let socket = read_tcp(line, 1).unwrap();
        let other = Tcp { inode: 78, ..socket };
        assert_eq!(once(vec![socket, other, socket, other, socket]), [socket, other]);
    }

    #[test]
    fn own_connections_are_found_from_both_ends() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(place) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            let own = std::process::id();
            let port = client.local_addr().unwrap().port();
            let is_wanted = |it: &Tcp| it.local.port() == port || it.remote.port() == port;
            let found = tcp(namespace(own).unwrap(), own, is_wanted).unwrap();
            let inode_of = |local: SocketAddr, remote: SocketAddr| {
                let ends = (local, remote);
                found.iter().find(|it| (it.local, it.remote) == ends).unwrap().inode
            };
            let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            let inodes = HashSet::from([inode_of(local, remote), inode_of(remote, local)]);
            let holders = descriptors(&inodes).by_inode;
            let descriptor = |raw: i32| (own, raw as u32);
            assert!(holders[&inode_of(local, remote)].contains(&descriptor(client.as_raw_fd())));
            assert!(holders[&inode_of(remote, local)].contains(&descriptor(server.as_raw_fd())));
            assert!(own_addresses(own).contains(&local.ip()));
        }
    }

    #[test]
    fn what_is_no_row_is_none() {
        for line in ["", "x", "0: 0100007F:1 0100007F:2 01", "0: a b c d e f g h i j"] {
            assert_eq!(read_tcp(line, 1), None);
        }
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.7\n        /32 host LOCAL\n     \
            |-- 10.0.0.255\n        /32 link BROADCAST\n        /32 host LOCAL x\n";
        assert_eq!(local_in_trie(trie), HashSet::from(["10.0.0.7".parse().unwrap()]));
        assert_eq!(number_in(b"socket:[12]", b"socket:["), Some(12));
        for link in [&b"socket:[]"[..], b"pipe:[12]", b"socket:[12", b"/tmp/socket:[12]"] {
            assert_eq!(number_in(link, b"socket:["), None);
        }
    }
}
