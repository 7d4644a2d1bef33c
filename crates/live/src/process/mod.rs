//! From a connection to the client's process, on this machine. Linux only, by what `/proc` and the kernel's socket
//! diagnostics tell.
//!
//! ```text
//! TCP:     client's address and port ─► /proc/<pid>/net/tcp of each network namespace ─► inode ─► /proc/*/fd
//! socket:  thread of the server ─► /proc/<server>/task/<thread>/syscall: poll(2) of one descriptor
//!          ─► its number, in /proc/<server>/mem ─► /proc/<server>/fd ─► inode ─► sock_diag(7): the other end
//!          ─► /proc/*/fd
//! server:  the process that holds the other end of our own connection to it, and has our thread
//! ```
//!
//! # Invariants
//! * Nothing is written, no process is stopped or traced. No environment is read: it holds passwords.
//! * Command lines leave here without what may be a password ([`verdict::command_line`]); other texts are as hostile
//!   as their processes are.
//! * A process is named where it held the socket before and after it was looked at, and is the same process still
//!   (its start time). What is less sure is a [`Doubt`].
//!
//! # What it needs
//! Sockets of one's own processes can be found by anybody; those of others by root, or with `CAP_SYS_PTRACE` and
//! `CAP_DAC_READ_SEARCH`. Other network namespaces need `CAP_SYS_ADMIN` for unix sockets.
//!
//! # What it does not see
//! Processes in another PID namespace than ours that ours does not enclose: run it on the host, not in a container.
//! A network namespace in which no process runs.

#[cfg(target_os = "linux")]
mod diag;
#[cfg(target_os = "linux")]
mod facts;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(target_os = "linux")]
mod search;
#[cfg(target_os = "linux")]
mod tables;
#[cfg(target_os = "linux")]
mod thread;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

#[cfg(target_os = "linux")]
pub use facts::still_runs;
#[cfg(not(target_os = "linux"))]
pub use other::{candidates, of_client, of_thread, server, still_runs};
#[cfg(target_os = "linux")]
pub use search::{candidates, of_client, of_thread, server};

/// Bytes of a command line that are read: more tells nobody anything.
pub const COMMAND_LINE_BYTES_MAX: usize = 4096;

/// Processes that are told of one socket: it may have been inherited by many.
pub const HOLDERS_MAX: usize = 16;

/// Parents of a process that are told.
pub const PARENTS_MAX: usize = 16;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it was started, in microseconds UTC, to about a second.
    pub started: Option<i64>,
    /// The same in clock ticks since the machine's start: with the id it names one process.
    pub started_ticks: u64,
    /// Whose it is: the effective user id.
    pub uid: u32,
    /// The name of that user.
    pub user: Option<String>,
    /// `pts/3`, `tty1`; `None`: it has no terminal.
    pub terminal: Option<String>,
    /// The program's file, if it may be read; ` (deleted)` at its end where it is gone.
    pub executable: Option<Vec<u8>>,
    /// The name that it goes by: up to 15 bytes, of its own choice.
    pub name: Vec<u8>,
    /// Its words, without what may be a password; empty for threads of the kernel.
    pub command_line: Vec<Vec<u8>>,
    /// Whether more words were left out.
    pub is_cut: bool,
    /// Id and name of its parent, of that one's parent, …
    pub parents: Vec<(u32, Vec<u8>)>,
    /// Its unit: `cron.service`, `session-3.scope`.
    pub unit: Option<Vec<u8>>,
    /// The id of its container.
    pub container: Option<Vec<u8>>,
    /// Its id inside that container, where it has another one there.
    pub pid_inside: Option<u32>,
}

/// How it is known that a process has a connection, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// Its TCP socket is the other end of a socket that the server's process holds.
    TcpPair,
    /// Its unix socket is the other end of the one that the server's thread for this connection waits at.
    SocketPeer,
    /// Its TCP socket has the client's address and port; the server's end was not found.
    Tcp,
    /// It has some unix socket of this server: the connection's or another one.
    Candidate,
}

impl Evidence {
    /// `tcp-pair`, `socket-peer`, `tcp`, `candidate`.
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::TcpPair => "tcp-pair",
            Evidence::SocketPeer => "socket-peer",
            Evidence::Tcp => "tcp",
            Evidence::Candidate => "candidate",
        }
    }
}

/// A process with the connection, or one that may have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub process: Process,
    /// How that is known.
    pub evidence: Evidence,
    /// Both ends of its TCP socket, its own first.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Who has the other end: id and name.
    pub peer: Option<(u32, Vec<u8>)>,
}

/// What makes an answer less than certain, or explains that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// The client's address is none of this machine.
    Elsewhere,
    /// The address is of this machine, no socket has the port.
    NoSocket,
    /// A socket was there that no process has any more.
    Closed,
    /// A process listens at this port: it is a server's end.
    Listens(Option<u32>, Vec<u8>),
    /// Sockets of other users' processes cannot be seen. The socket's user, where that is known.
    NeedsRoot(Option<u32>),
    /// The server's own process was not found on this machine.
    NoServer,
    /// The server does not say which thread serves the connection.
    NoThread,
    /// It is a thread of the server itself.
    Internal,
    /// Its threads serve many connections each.
    ThreadPool,
    /// The thread did not wait for its client in any of the looks.
    Busy,
    /// What was found had changed when it was looked at again.
    Changed,
    /// Several sockets have the client's address and port: in several network namespaces, or to several servers.
    Ambiguous,
    /// The socket has the client's address and port, and leads elsewhere than to the server's socket.
    Translated,
    /// So many processes more have the socket.
    More(usize),
    /// There are network namespaces that could not be looked into.
    Namespaces,
    /// The other end of the socket is known, and no process that can be seen here has it: it may be in a PID
    /// namespace around this one.
    Unseen,
    /// This system is no Linux.
    NotLinux,
    /// The kernel does not tell this here: `what` failed with this error.
    Kernel(&'static str, String),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Elsewhere => f.write_str("the client's address is none of this machine, as seen from here"),
            Doubt::NoSocket => {
                f.write_str("the address is of this machine, but no open socket has this port: it has ended, or never was")
            }
            Doubt::Closed => {
                f.write_str("the socket is being closed: no process has it any more")
            }
            Doubt::Listens(pid, name) => write!(
                f,
                "{}{} listens at this port: name the client's end, as the server's processlist shows it",
                String::from_utf8_lossy(name),
                pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
            ),
            Doubt::NeedsRoot(None) => f.write_str(
                "processes of others cannot be looked into: that takes root, with all its capabilities",
            ),
            Doubt::NeedsRoot(Some(uid)) => write!(
                f,
                "the socket belongs to user id {uid}, and to a process that cannot be looked into: that takes \
                 root, with all its capabilities"
            ),
            Doubt::NoServer => f.write_str(
                "the server's process was not found on this machine: it runs elsewhere, behind a proxy, or \
                 outside of this container",
            ),
            Doubt::NoThread => {
                f.write_str("the server does not tell which of its threads serves the connection")
            }
            Doubt::Internal => f.write_str("it is a thread of the server itself: there is no client"),
            Doubt::ThreadPool => f.write_str(
                "the server has a thread pool: no thread waits for one client alone, so nothing tells which \
                 unix socket is this connection's",
            ),
            Doubt::Busy => f.write_str(
                "the connection is busy: only while it waits for its client its thread shows which unix \
                 socket is its own; try again when it sleeps",
            ),
            Doubt::Changed => f.write_str(
                "the connection or the process changed while it was being looked at: try again",
            ),
            Doubt::Ambiguous => f.write_str(
                "several sockets have this address and port, in other network namespaces or to other servers: \
                 which is meant is not known",
            ),
            Doubt::Translated => f.write_str(
                "this socket does not lead to the server's own: its address is translated on the way, or it is \
                 another connection with the same address and port",
            ),
            Doubt::More(count) => write!(f, "{count} more processes have the same socket"),
            Doubt::Namespaces => f.write_str(
                "the network namespaces of some processes could not be looked into: that takes root, with all \
                 its capabilities",
            ),
            Doubt::Unseen => f.write_str(
                "no process that can be seen from here has the client's end: run it outside of this container",
            ),
            Doubt::NotLinux => f.write_str("processes are looked for on Linux only"),
            Doubt::Kernel(what, error) => write!(f, "{what} failed: {error}"),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Processes, the best evidence first.
    pub holders: Vec<Holder>,
    /// What is to be said besides.
    pub doubts: Vec<Doubt>,
}

impl Found {
    /// Whether there is a process that surely has the connection.
    pub fn is_certain(&self) -> bool {
        let is_doubtful =
            self.doubts.iter().any(|it| matches!(it, Doubt::Ambiguous | Doubt::Translated));
        !is_doubtful && self.holders.iter().any(|it| it.evidence != Evidence::Candidate)
    }
}

/// A client's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Its address.
    Address(IpAddr),
    /// A name, and what it stands for on this machine, if anything.
    Name(Vec<IpAddr>),
}

#[cfg(target_os = "linux")]
impl Host {
    fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Host::Address(ip) => vec![*ip],
            Host::Name(addresses) => addresses.clone(),
        }
    }
}

/// Where the server is, as seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerPlace {
    /// This process on this machine.
    Here(ServerProcess),
    /// In no process that was found.
    NotFound {
        /// Where our own connection leads to; `None`: to a unix socket.
        at: Option<SocketAddr>,
        /// There are processes that could not be looked into.
        needs_root: bool,
    },
}

/// The process of a server on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerProcess {
    /// Its id.
    pub pid: u32,
    /// The network namespace that it is in.
    net: u64,
}
