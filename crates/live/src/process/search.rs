//! The search itself: from an address, or a thread of the server, to processes.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::Duration;

use super::diag::unix;
use super::facts::{process, stat};
use super::tables::{
    Descriptors, Namespaces, Tcp, descriptors, namespace, namespaces, own_addresses, socket,
    sockets, tcp,
};
use super::thread::{in_process, waits_at};
use super::{Doubt, Evidence, Found, HOLDERS_MAX, Holder, Host, ServerPlace, ServerProcess};

/// How often a busy connection is looked at, and the pause in between: those of applications are idle now and then.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Sockets of a server that are looked at for candidates.
const CANDIDATES_MAX: usize = 4096;

/// Finds the process of the server that this process is connected to. `thread`: the one that serves our connection;
/// `seen`: our host, where the server calls it by an address, and port as the server sees them.
pub fn server(thread: Option<u32>, seen: Option<(Option<IpAddr>, u16)>) -> ServerPlace {
    let namespaces = namespaces();
    let own_pid = std::process::id();
    let own: HashSet<u64> =
        sockets(own_pid).unwrap_or_default().into_iter().map(|it| it.1).collect();
    let own_net = namespace(own_pid).unwrap_or(0);
    let of_own = |it: &Tcp| own.contains(&it.inode) && !it.listens;
    let connections = tcp(own_net, own_pid, of_own).unwrap_or_default();
    let at = connections.first().map(|it| it.remote);
    let wanted: HashSet<u64> = match seen {
        // Addresses may have been translated on the way; what the server sees is what its socket has.
        Some((ip, port)) => {
            let is_end = |it: &Tcp| {
                let is_ours = connections.iter().any(|own| are_pair(own, it));
                let is_seen = ip.is_some_and(|ip| !ip.is_loopback() && it.remote.ip() == ip);
                it.remote.port() == port && (is_ours || is_seen)
            };
            rows(&namespaces, is_end).into_iter().map(|it| it.inode).collect()
        }
        None => {
            let own: Vec<u64> = own.into_iter().collect();
            let found = unix(&own, &namespaces).unwrap_or_default();
            found.by_inode.values().filter_map(|it| it.peer).collect()
        }
    };
    let found = descriptors(&wanted);
    let mut pids: Vec<u32> = found.by_inode.values().flatten().map(|it| it.0).collect();
    pids.sort_unstable();
    pids.dedup();
    pids.retain(|&pid| pid != own_pid);
    pids.retain(|&pid| thread.is_none_or(|thread| in_process(pid, thread).is_some()));
    let net = |pid: &u32| namespace(*pid).ok();
    match (&pids[..], pids.first().and_then(net)) {
        (&[pid], Some(net)) => ServerPlace::Here(ServerProcess { pid, net }),
        _ => ServerPlace::NotFound { at, needs_root: found.hidden > 0 },
    }
}

/// Finds the process at the client's end of a TCP connection. `server`: where the server is, or `None` where none was
/// asked.
pub fn of_client(host: &Host, port: u16, server: Option<&ServerPlace>) -> Found {
    let namespaces = namespaces();
    let all = rows(&namespaces, |it| it.local.port() == port || it.remote.port() == port);
    let mut servers: Vec<&Tcp> =
        all.iter().filter(|it| !it.listens && it.remote.port() == port).collect();
    let mut addresses = host.addresses();
    if let Some(ServerPlace::Here(server)) = server {
        let held = sockets(server.pid).unwrap_or_default();
        servers.retain(|it| held.iter().any(|(_, inode)| *inode == it.inode));
        match (host, &servers[..]) {
            // The server's own socket has the address; its name may stand for another one here.
            (Host::Name(_), [only]) => addresses = vec![only.remote.ip()],
            _ => servers.retain(|it| addresses.contains(&it.remote.ip())),
        }
    }
    let is_client = |it: &&Tcp| {
        it.local.port() == port
            && !it.listens
            && it.inode != 0
            && addresses.contains(&it.local.ip())
    };
    let is_paired = |it: &&Tcp| servers.iter().any(|server| are_pair(it, server));
    let mut clients: Vec<&Tcp> = all.iter().filter(is_client).collect();
    match server {
        Some(ServerPlace::Here(_)) if clients.iter().any(is_paired) => clients.retain(is_paired),
        // A loopback address is one of the server's own network namespace.
        Some(ServerPlace::Here(server)) => {
            clients.retain(|it| !it.local.ip().is_loopback() || it.net == server.net);
        }
        // Addresses of its machine may be ours as well: only what leads to it counts.
        Some(ServerPlace::NotFound { at, .. }) => clients.retain(|it| Some(it.remote) == *at),
        None => {}
    }
    let mut found = Found::default();
    if clients.is_empty() {
        found.doubts = why_none(&namespaces, &all, &addresses, port, server);
        return found;
    }
    if clients.len() > 1 {
        found.doubts.push(Doubt::Ambiguous);
    }
    if matches!(server, Some(ServerPlace::Here(_))) && !clients.iter().any(is_paired) {
        found.doubts.push(Doubt::Translated);
    }
    let ends: Vec<(&Tcp, Option<&Tcp>)> = clients
        .iter()
        .map(|client| (*client, servers.iter().find(|it| are_pair(client, it)).copied()))
        .collect();
    let inodes = ends.iter().flat_map(|(own, other)| [Some(own.inode), other.map(|it| it.inode)]);
    let held = descriptors(&inodes.flatten().collect());
    for (client, other) in ends {
        hold_tcp(&mut found, client, other, &held, &namespaces);
    }
    found
}

/// Adds those who have a TCP socket.
fn hold_tcp(
    found: &mut Found,
    client: &Tcp,
    other: Option<&Tcp>,
    held: &Descriptors,
    namespaces: &Namespaces,
) {
    let evidence = if other.is_some() { Evidence::TcpPair } else { Evidence::Tcp };
    let count = found.holders.len();
    hold(found, client.inode, evidence, held, Some(client.uid));
    let still = namespaces.known.get(&client.net).map(|pid| {
        let is_it = |it: &Tcp| {
            (it.local, it.remote, it.inode) == (client.local, client.remote, client.inode)
        };
        tcp(client.net, *pid, is_it).unwrap_or_default().len()
    });
    if still.unwrap_or(0) == 0 {
        found.holders.truncate(count);
        found.doubts.push(Doubt::Changed);
        return;
    }
    let peer = other.and_then(|it| held.by_inode.get(&it.inode)?.first());
    let peer = peer.and_then(|(pid, _)| Some((*pid, stat(*pid)?.name)));
    for holder in &mut found.holders[count..] {
        holder.ends = Some((client.local, client.remote));
        holder.peer.clone_from(&peer);
    }
}

/// Adds those who have a socket, and have it still when they have been looked at.
fn hold(found: &mut Found, inode: u64, evidence: Evidence, held: &Descriptors, uid: Option<u32>) {
    let mut holders = held.by_inode.get(&inode).cloned().unwrap_or_default();
    if holders.is_empty() {
        found.doubts.push(if held.hidden > 0 { Doubt::NeedsRoot(uid) } else { Doubt::Unseen });
        return;
    }
    holders.sort_unstable();
    holders.dedup_by_key(|(pid, _)| *pid);
    if holders.len() > HOLDERS_MAX {
        found.doubts.push(Doubt::More(holders.len() - HOLDERS_MAX));
        holders.truncate(HOLDERS_MAX);
    }
    for (pid, descriptor) in holders {
        match process(pid).filter(|_| socket(pid, descriptor) == Some(inode)) {
            Some(process) => {
                found.holders.push(Holder { process, evidence, ends: None, peer: None });
            }
            None => found.doubts.push(Doubt::Changed),
        }
    }
}

/// Why no process was found that has this address and port.
fn why_none(
    namespaces: &Namespaces,
    all: &[Tcp],
    addresses: &[IpAddr],
    port: u16,
    server: Option<&ServerPlace>,
) -> Vec<Doubt> {
    if let Some(ServerPlace::NotFound { at, needs_root }) = server {
        let no_server = if *needs_root { Doubt::NeedsRoot(None) } else { Doubt::NoServer };
        let is_loopback = !addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback);
        return match (is_loopback, at) {
            (true, _) => vec![no_server],
            // The server at a unix socket is on this machine, and was not found: no more was its client.
            (false, None) => vec![Doubt::Elsewhere, no_server],
            (false, Some(_)) => vec![Doubt::Elsewhere],
        };
    }
    let fits = |ip: IpAddr| addresses.contains(&ip) || ip.is_unspecified();
    let mut own = all.iter().filter(|it| it.local.port() == port && fits(it.local.ip()));
    if let Some(listening) = own.clone().find(|it| it.listens) {
        let held = descriptors(&HashSet::from([listening.inode]));
        let pid = held.by_inode.get(&listening.inode).and_then(|it| Some(it.first()?.0));
        let name = pid.and_then(stat).map_or_else(|| b"a server".to_vec(), |it| it.name);
        return vec![Doubt::Listens(pid, name)];
    }
    if own.any(|it| it.inode == 0) {
        return vec![Doubt::Closed];
    }
    let is_own = |ip: &IpAddr| {
        ip.is_loopback() || namespaces.known.values().any(|pid| own_addresses(*pid).contains(ip))
    };
    let why = if addresses.iter().any(is_own) { Doubt::NoSocket } else { Doubt::Elsewhere };
    // It may be in one that is closed to us.
    let hidden = (namespaces.hidden > 0).then_some(Doubt::Namespaces);
    std::iter::once(why).chain(hidden).collect()
}

/// Finds the process at the client's end of a unix socket. `thread`: the one that serves the connection; `is_idle`
/// tells whether the connection is as it was, and waits for its client.
///
/// # Errors
/// Those of `is_idle`.
pub fn of_thread<E>(
    server: &ServerProcess,
    thread: u32,
    mut is_idle: impl FnMut() -> Result<bool, E>,
) -> Result<Found, E> {
    let mut found = Found::default();
    let Some(thread) = in_process(server.pid, thread) else {
        found.doubts.push(Doubt::NoThread);
        return Ok(found);
    };
    let mut why = Doubt::Busy;
    for look in 0..LOOKS {
        if look > 0 {
            sleep(PAUSE);
        }
        if !is_idle()? {
            continue;
        }
        match look_at(server, thread) {
            Ok(Some((inode, client, looked))) => {
                let is_still = is_idle()?
                    && matches!(waits_at(server.pid, thread), Ok(Some(it)) if it == inode)
                    && matches!(client_of(inode), Ok(Some(it)) if it == client);
                if is_still {
                    return Ok(looked);
                }
                why = Doubt::Changed;
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                why = Doubt::NeedsRoot(None);
                break;
            }
            Err(error) => {
                why = Doubt::Kernel("looking at the server's thread", error.to_string());
                break;
            }
        }
    }
    found.doubts.push(why);
    Ok(found)
}

/// The socket that the thread waits at, the client's end of it, and who has that. `None`: it waits at no client.
fn look_at(server: &ServerProcess, thread: u32) -> io::Result<Option<(u64, u64, Found)>> {
    let Some(inode) = waits_at(server.pid, thread)? else { return Ok(None) };
    let Some(client) = client_of(inode)? else { return Ok(None) };
    let mut found = Found::default();
    let held = descriptors(&HashSet::from([client]));
    hold(&mut found, client, Evidence::SocketPeer, &held, None);
    Ok(Some((inode, client, found)))
}

fn client_of(inode: u64) -> io::Result<Option<u64>> {
    Ok(unix(&[inode], &namespaces())?.client_of(inode))
}

/// All who are connected to a server by a unix socket, but for this process: one of them has the connection, where
/// nothing tells which.
pub fn candidates(server: &ServerProcess) -> Found {
    let mut found = Found::default();
    let is_tcp = tcp(server.net, server.pid, |_| true).unwrap_or_default();
    let is_tcp: HashSet<u64> = is_tcp.into_iter().map(|it| it.inode).collect();
    let mut inodes: Vec<u64> = match sockets(server.pid) {
        Ok(sockets) => {
            sockets.into_iter().map(|it| it.1).filter(|it| !is_tcp.contains(it)).collect()
        }
        // Why nothing was found has been said already.
        Err(_) => return found,
    };
    inodes.truncate(CANDIDATES_MAX);
    let ends = match unix(&inodes, &namespaces()) {
        Ok(ends) => ends,
        Err(error) => {
            found.doubts.push(Doubt::Kernel("asking for unix sockets", error.to_string()));
            return found;
        }
    };
    if ends.closed > 0 {
        found.doubts.push(Doubt::Namespaces);
    }
    let clients: HashSet<u64> = inodes.iter().filter_map(|it| ends.client_of(*it)).collect();
    let held = descriptors(&clients);
    let mut pids: Vec<u32> = held.by_inode.values().flatten().map(|it| it.0).collect();
    pids.sort_unstable();
    pids.dedup();
    pids.retain(|&pid| pid != std::process::id());
    if pids.len() > HOLDERS_MAX {
        found.doubts.push(Doubt::More(pids.len() - HOLDERS_MAX));
        pids.truncate(HOLDERS_MAX);
    }
    found.holders.extend(pids.into_iter().filter_map(process).map(|process| Holder {
        process,
        evidence: Evidence::Candidate,
        ends: None,
        peer: None,
    }));
    found
}

/// Both ends of one connection. Those of a loopback address are in one namespace.
fn are_pair(one: &Tcp, other: &Tcp) -> bool {
    let ends = |it: &Tcp| -> (SocketAddr, SocketAddr) { (it.local, it.remote) };
    let (local, remote) = ends(one);
    ends(other) == (remote, local) && (one.net == other.net || !local.ip().is_loopback())
}

/// TCP sockets of all namespaces.
fn rows(namespaces: &Namespaces, wanted: impl Fn(&Tcp) -> bool) -> Vec<Tcp> {
    let all = namespaces.known.iter();
    all.flat_map(|(net, pid)| tcp(*net, *pid, &wanted).unwrap_or_default()).collect()
}
