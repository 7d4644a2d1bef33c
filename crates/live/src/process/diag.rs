//! The other end of a unix socket: one question to the kernel's socket diagnostics, sock_diag(7).
//!
//! ```text
//! question: nlmsghdr (16 bytes), unix_diag_req (24 bytes: family, protocol, states, inode, what is wanted, cookie)
//! answer:   nlmsghdr, unix_diag_msg (16 bytes: family, type, state, inode, cookie), attributes of 4 bytes and more
//! ```
//! Layouts and numbers: include/uapi/linux/{netlink,sock_diag,unix_diag}.h. All in the machine's byte order.
//!
//! The kernel answers for sockets of the asker's network namespace only, and a socket that a server accepted is in
//! that of its client (net/unix/af_unix.c, `unix_stream_connect`): each namespace is asked, by a thread that enters it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt::ReceiveTimeout,
};
use nix::sys::time::TimeVal;

use super::facts::path;
use super::tables::{Namespaces, namespace};

/// How long the kernel's answer is waited for; it comes at once.
const ANSWER_SECONDS: i64 = 2;

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `UDIAG_SHOW_NAME | UDIAG_SHOW_PEER`.
const SHOW: u32 = 1 | 4;
/// `UNIX_DIAG_NAME`, `UNIX_DIAG_PEER`.
const NAME: u16 = 0;
const PEER: u16 = 2;
/// Bytes of a `nlmsghdr`, of a `unix_diag_msg`, of an attribute's head.
const HEADER: usize = 16;
const MESSAGE: usize = 16;
const ATTRIBUTE: usize = 4;

/// What the kernel says of a unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnixSocket {
    /// Whether it was accepted at a name: it is the server's end.
    pub(super) is_named: bool,
    /// The inode of the other end.
    pub(super) peer: Option<u64>,
}

/// What the kernel says of unix sockets.
#[derive(Debug, Clone, Default)]
pub(super) struct UnixSockets {
    pub(super) by_inode: HashMap<u64, UnixSocket>,
    /// Namespaces that could not be entered.
    pub(super) closed: usize,
}

impl UnixSockets {
    /// The other end of a socket that was accepted at a name.
    pub(super) fn client_of(&self, inode: u64) -> Option<u64> {
        self.by_inode.get(&inode).filter(|it| it.is_named)?.peer
    }
}

/// Looks sockets up in all namespaces, our own first. What is no unix socket is left out.
///
/// # Errors
/// Where the kernel has no such diagnostics.
pub(super) fn unix(inodes: &[u64], namespaces: &Namespaces) -> io::Result<UnixSockets> {
    let mut found = UnixSockets { by_inode: ask(inodes)?, closed: 0 };
    let own = namespace(std::process::id()).ok();
    for (&net, &pid) in namespaces.known.iter().filter(|(net, _)| Some(**net) != own) {
        let rest = inodes.iter().filter(|it| !found.by_inode.contains_key(it));
        let rest: Vec<u64> = rest.copied().collect();
        if rest.is_empty() {
            break;
        }
        match ask_in(rest, net, pid) {
            Ok(more) => found.by_inode.extend(more),
            Err(_) => found.closed += 1,
        }
    }
    Ok(found)
}

/// Asks in the network namespace of another process, in a thread of its own, which ends inside.
fn ask_in(inodes: Vec<u64>, net: u64, pid: u32) -> io::Result<HashMap<u64, UnixSocket>> {
    let file = File::open(path(pid, "ns/net"))?;
    if namespace(pid)? != net {
        return Ok(HashMap::new());
    }
    let ask = move || {
        setns(&file, CloneFlags::CLONE_NEWNET)?;
        ask(&inodes)
    };
    let asked = thread::Builder::new().name("namespace".to_owned()).spawn(ask)?;
    asked.join().map_err(|_| io::Error::other("the asking thread ended early"))?
}

fn ask(inodes: &[u64]) -> io::Result<HashMap<u64, UnixSocket>> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&netlink, ReceiveTimeout, &TimeVal::new(ANSWER_SECONDS, 0))?;
    let mut found = HashMap::new();
    // The kernel takes 32 bits.
    for inode in inodes.iter().filter_map(|it| u32::try_from(*it).ok()) {
        send(netlink.as_raw_fd(), &question(inode), MsgFlags::empty())?;
        let mut buffer = [0; 4096];
        let length = recv(netlink.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        match answer(&buffer[..length.min(buffer.len())], inode) {
            Answer::Socket(it) => _ = found.insert(u64::from(inode), it),
            Answer::Error(Errno::ENOENT) => {}
            Answer::Error(error) => return Err(error.into()),
            Answer::Odd => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(found)
}

fn question(inode: u32) -> Vec<u8> {
    let mut text = Vec::with_capacity(40);
    text.extend(40_u32.to_ne_bytes());
    text.extend(BY_FAMILY.to_ne_bytes());
    text.extend(REQUEST.to_ne_bytes());
    // Sequence number and sender: one question, one answer.
    text.extend([0; 8]);
    text.extend([AddressFamily::Unix as u8, 0, 0, 0]);
    // All states; no cookie (INET_DIAG_NOCOOKIE).
    for number in [u32::MAX, inode, SHOW, u32::MAX, u32::MAX] {
        text.extend(number.to_ne_bytes());
    }
    text
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Socket(UnixSocket),
    Error(Errno),
    Odd,
}

fn answer(text: &[u8], inode: u32) -> Answer {
    read_answer(text, inode).unwrap_or(Answer::Odd)
}

fn read_answer(text: &[u8], inode: u32) -> Option<Answer> {
    let length = usize::try_from(word(text, 0)?).ok()?;
    let text = text.get(..length)?;
    match half(text, 4)? {
        ERROR => {
            let error = i32::from_ne_bytes(text.get(HEADER..HEADER + 4)?.try_into().ok()?);
            Some(Answer::Error(Errno::from_raw(error.checked_neg()?)))
        }
        BY_FAMILY if word(text, HEADER + 4)? == inode => {
            let mut found = UnixSocket { is_named: false, peer: None };
            let mut rest = text.get(HEADER + MESSAGE..)?;
            while rest.len() >= ATTRIBUTE {
                let length = usize::from(half(rest, 0)?);
                let value = rest.get(ATTRIBUTE..length)?;
                match half(rest, 2)? {
                    NAME => found.is_named = !value.is_empty(),
                    PEER => found.peer = word(value, 0).map(u64::from).filter(|it| *it != 0),
                    _ => {}
                }
                // Attributes begin at multiples of four.
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
            Some(Answer::Socket(found))
        }
        _ => None,
    }
}

fn word(text: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(text.get(at..at + 4)?.try_into().ok()?))
}

fn half(text: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(text.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::tables::{namespaces, socket as inode_of};
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    fn inode(descriptor: &impl std::os::fd::AsRawFd) -> u64 {
        inode_of(std::process::id(), descriptor.as_raw_fd() as u32).unwrap()
    }

    #[test]
    fn the_kernel_tells_the_other_end() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let client = UnixStream::connect(folder.path().join("s")).unwrap();
        let (server, _) = listener.accept().unwrap();
        let spaces = namespaces();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (ours, theirs) = (inode(&client), inode(&server));
        let found = unix(&[ours, theirs, inode(&tcp), u64::MAX], &spaces).unwrap();
        assert_eq!(
            found.by_inode,
            HashMap::from([
                (ours, UnixSocket { is_named: false, peer: Some(theirs) }),
                (theirs, UnixSocket { is_named: true, peer: Some(ours) }),
            ])
        );
        assert_eq!((found.client_of(theirs), found.client_of(ours)), (Some(ours), None));
    }

    /// An answer about socket 7 with attributes.
    fn told(attributes: &[u8]) -> Vec<u8> {
        let mut text = ((HEADER + MESSAGE + attributes.len()) as u32).to_ne_bytes().to_vec();
        text.extend(BY_FAMILY.to_ne_bytes());
        text.extend([0; 10]);
        text.extend([1, 1, 1, 0]);
        text.extend(7_u32.to_ne_bytes());
        text.extend([0; 8]);
        text.extend(attributes);
        text
    }

    #[test]
    fn answers_are_cut_anywhere_without_harm() {
        let mut attributes = Vec::new();
        for (kind, value) in [(NAME, &b"/run/s"[..]), (9, b"x"), (PEER, &8_u32.to_ne_bytes())] {
            attributes.extend((4 + value.len() as u16).to_ne_bytes());
            attributes.extend(kind.to_ne_bytes());
            attributes.extend(value);
            attributes.resize(attributes.len().next_multiple_of(4), 0);
        }
        let text = told(&attributes);
        let whole = Answer::Socket(UnixSocket { is_named: true, peer: Some(8) });
        assert_eq!(answer(&text, 7), whole);
        assert_eq!(answer(&text, 6), Answer::Odd);
        for end in 0..text.len() {
            assert_eq!(answer(&text[..end], 7), Answer::Odd, "{end}");
        }
        // An attribute that says it has no bytes must not keep us.
        assert_eq!(answer(&told(&[0, 0, 0, 0, 0, 0, 0, 0]), 7), Answer::Odd);
        for at in 0..text.len() {
            for byte in [0, 1, 0xff] {
                let mut damaged = text.clone();
                damaged[at] = byte;
                answer(&damaged, 7);
            }
        }
    }

    #[test]
    fn refusals_are_error_numbers() {
        let mut text = 36_u32.to_ne_bytes().to_vec();
        text.extend(ERROR.to_ne_bytes());
        text.resize(HEADER, 0);
        text.extend((-2_i32).to_ne_bytes());
        text.resize(36, 0);
        assert_eq!(answer(&text, 7), Answer::Error(Errno::ENOENT));
        text[HEADER..HEADER + 4].copy_from_slice(&i32::MIN.to_ne_bytes());
        assert_eq!(answer(&text, 7), Answer::Odd);
    }
}
