//! Binary logs as a server sends them to replicas: which there are, and the events of one, in pieces.
//!
//! ```text
//! command   12 | position u32 | flags u16 | server id u32 | name
//! packet    length u24 | number u8 | 00 | an event            goes on in the next packet where the length is ff ff ff
//!                                    fe …                      all is sent
//!                                    ff | error u16 | text     it is not
//! ```
//!
//! (MariaDB `sql/sql_repl.cc`, MySQL `sql/rpl_source.cc` and `rpl_binlog_sender.cc`.) Events are those of the
//! file, decrypted by the server; it adds rotations and heartbeats that stand in no file. Of MariaDB they are
//! asked for as capability 4, else GTIDs are replaced, with the flag for Annotate_rows, and of both families
//! with the checksums of the file.
//!
//! The driver logs in; then the command is sent and the answer is read here, on the driver's socket. The driver
//! has a stream of its own, but it holds each event whole, parses what it need not, and has the server list a
//! replica.
//!
//! # Invariants
//! * Memory does not grow with events.
//! * Nothing is changed on the server. The connection ends with the answer.
//! * What comes through TLS can be read by the driver alone: [`LiveError::BinlogOverTls`].

use std::io;
use std::os::fd::RawFd;

use binlog::{EventType, FLAG_ARTIFICIAL, HEADER_BYTES, Header, MAGIC};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use verdict::account::Family;

use crate::error::{LiveError, grant};
use crate::server::{ANSWER_TIMEOUT, Server};

/// Bytes read at once.
const STEP_BYTES: usize = 64 << 10;

/// The length of a packet that goes on in the next.
const PACKET_BYTES_MAX: usize = 0xff_ffff;

/// How often a server that waits for more says that it is there, in nanoseconds.
const HEARTBEAT_NANOSECONDS: u64 = 1_000_000_000;

const COM_BINLOG_DUMP: u8 = 0x12;
/// End where the log does (`BINLOG_DUMP_NON_BLOCK`).
const NON_BLOCK: u16 = 1;
/// Send the texts of statements beside their rows (MariaDB, `BINLOG_SEND_ANNOTATE_ROWS_EVENT`).
const ANNOTATE_ROWS: u16 = 2;

/// A file of the server's binary log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLog {
    /// Its name, raw, without a folder.
    pub name: Vec<u8>,
    /// Its length, in bytes, when it was listed.
    pub bytes: u64,
}

/// The files of the server's binary log, oldest first.
///
/// # Errors
/// [`LiveError::Refused`] with the right that is missing; [`LiveError::NoBinlog`] where the server writes none.
pub fn logs(server: &mut Server) -> Result<Vec<ServerLog>, LiveError> {
    let doing = "listing the binary logs";
    let rows = match server.try_ask(doing, b"SHOW BINARY LOGS")? {
        Ok(rows) => rows,
        Err(1227) => {
            let version = server.version();
            let right = match version.family {
                Family::MariaDb if version.number >= (10, 5, 2) => "BINLOG MONITOR",
                _ => "REPLICATION CLIENT",
            };
            return Err(lacks(server, right));
        }
        Err(1381) => return Err(LiveError::NoBinlog { server: server.name().to_owned() }),
        Err(error) => return Err(server.fault(doing, error)),
    };
    let mut logs = Vec::with_capacity(rows.len());
    for row in rows {
        let mut columns = row.into_iter().flatten();
        let (Some(name), Some(bytes)) = (columns.next(), columns.next()) else {
            return Err(server.odd(doing, "a row without name and size"));
        };
        let bytes = std::str::from_utf8(&bytes).ok().and_then(|it| it.parse().ok());
        let bytes = bytes.ok_or_else(|| server.odd(doing, "a size is no number"))?;
        logs.push(ServerLog { name, bytes });
    }
    Ok(logs)
}

fn lacks(server: &Server, right: &str) -> LiveError {
    LiveError::Refused {
        server: server.name().to_owned(),
        what: right.to_owned(),
        error: 1227,
        remedy: grant(&format!("{right} ON *.*"), server.own()),
    }
}

/// The number that a dump which waits has among replicas: another than those of replicas as people number
/// them, since a server ends the dump of one that comes again.
pub fn replica_id(connection: u64) -> u32 {
    u32::MAX - (connection % 0x0fff_ffff) as u32
}

/// The bytes of one file as they come and, where it waits, of those behind it.
///
/// What stands in no file is left out: rotations and heartbeats that the server makes up. In the place of
/// START_ENCRYPTION, which is not true of what is sent, stands an event of the same length that says nothing:
/// positions are those of the server's file.
#[derive(Debug)]
pub struct Dump {
    server: Server,
    packets: Packets<Socket>,
    /// Something of the file has come.
    is_begun: bool,
    /// Events of the file have checksums.
    checksums: bool,
    /// The file that is being sent, once the server has named it.
    name: Option<Vec<u8>>,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// An event of the file.
    Event(Header),
    /// Nothing but a sign of life.
    Heartbeat,
    /// What follows is of the file of this name, from its beginning.
    File(Vec<u8>),
    /// The log ends here, for now.
    End,
}

impl Dump {
    /// Asks for a file from its beginning. `waits`: at the end of the log more is waited for, and a heartbeat
    /// comes each second; else [`Came::End`] does.
    ///
    /// # Errors
    /// [`LiveError::BinlogOverTls`]; where the server does not take the settings. What it says of the file
    /// comes with [`Dump::next`].
    pub fn begin(mut server: Server, name: &[u8], waits: bool) -> Result<Dump, LiveError> {
        if server.is_encrypted() {
            return Err(LiveError::BinlogOverTls { server: server.name().to_owned() });
        }
        let settings = match server.version().family {
            Family::MariaDb => format!(
                "SET @mariadb_slave_capability=4, @master_binlog_checksum='CRC32', \
                 @master_heartbeat_period={HEARTBEAT_NANOSECONDS}, max_statement_time=0"
            ),
            Family::MySql => format!(
                "SET @source_binlog_checksum='CRC32', @master_binlog_checksum='CRC32', \
                 @source_heartbeat_period={HEARTBEAT_NANOSECONDS}, \
                 @master_heartbeat_period={HEARTBEAT_NANOSECONDS}"
            ),
        };
        server.ask("preparing to read a binary log", settings.as_bytes())?;
        let mut flags = if waits { 0 } else { NON_BLOCK };
        if server.version().family == Family::MariaDb {
            flags |= ANNOTATE_ROWS;
        }
        let id = if waits { replica_id(server.connection_id()) } else { 0 };
        let socket = Socket(server.socket());
        send_all(&socket, &command(name, flags, id)).map_err(|error| broken(&server, &error))?;
        let packets = Packets::new(socket);
        Ok(Dump { server, packets, is_begun: false, checksums: false, name: None })
    }

    /// What comes next; the bytes that stand in the file are given to `put`, in pieces.
    ///
    /// # Errors
    /// [`LiveError::Refused`] with the right that is missing, [`LiveError::BinlogGone`] where the server cannot
    /// send the file, [`LiveError::Broken`] and [`LiveError::Timeout`] as everywhere.
    pub fn next(&mut self, put: &mut dyn FnMut(&[u8])) -> Result<Came, LiveError> {
        match self.packets.event().map_err(|error| broken(&self.server, &error))? {
            Next::Event(header) => {
                self.event(header, put).map_err(|error| broken(&self.server, &error))
            }
            Next::End => Ok(Came::End),
            Next::Refused(1227 | 1045) => Err(lacks(&self.server, "REPLICATION SLAVE")),
            Next::Refused(1236) => {
                Err(LiveError::BinlogGone { server: self.server.name().to_owned() })
            }
            Next::Refused(error) => Err(self.server.fault(READING, error)),
        }
    }

    /// Whether more has come already than what was told of.
    pub fn has_more(&self) -> bool {
        !self.packets.unused.is_empty()
    }

    fn event(&mut self, bytes: [u8; HEADER_BYTES], put: &mut dyn FnMut(&[u8])) -> io::Result<Came> {
        let header = Header::parse(&bytes).ok_or_else(|| odd("an event without a header"))?;
        match header.kind {
            EventType::HEARTBEAT | EventType::HEARTBEAT_V2 => return Ok(Came::Heartbeat),
            EventType::ROTATE if header.timestamp == 0 || header.flags & FLAG_ARTIFICIAL != 0 => {
                return self.rotation(bytes);
            }
            _ => {}
        }
        if !std::mem::replace(&mut self.is_begun, true) {
            put(&MAGIC);
        }
        if header.kind == EventType::START_ENCRYPTION {
            return self.hide(&header, put);
        }
        put(&bytes);
        // A format description ends with the kind of checksum and a checksum of its own.
        let mut end = [0; 5];
        let mut length = HEADER_BYTES as u64;
        let mut piece = vec![0; STEP_BYTES];
        loop {
            match self.packets.read(&mut piece)? {
                0 => break,
                read => {
                    put(&piece[..read]);
                    length += read as u64;
                    let kept = read.min(end.len());
                    end.rotate_left(kept);
                    end[5 - kept..].copy_from_slice(&piece[read - kept..read]);
                }
            }
        }
        if length != u64::from(header.length) {
            return Err(odd("an event whose length is not that of its packet"));
        }
        if header.kind == EventType::FORMAT_DESCRIPTION {
            self.checksums = end[0] == 1;
        }
        Ok(Came::Event(header))
    }

    /// Puts an event that says nothing in the place of one that is not true of what is sent.
    fn hide(&mut self, header: &Header, put: &mut dyn FnMut(&[u8])) -> io::Result<Came> {
        /// Scheme, key version and nonce are some tens of bytes.
        const HIDDEN_BYTES_MAX: u32 = 4096;
        let least = HEADER_BYTES as u32 + if self.checksums { 4 } else { 0 };
        if !(least..=HIDDEN_BYTES_MAX).contains(&header.length) {
            return Err(odd("an event whose length is not that of its kind"));
        }
        let mut event = vec![0; header.length as usize];
        event[..4].copy_from_slice(&header.timestamp.to_le_bytes());
        event[4] = EventType::IGNORABLE.0;
        event[5..9].copy_from_slice(&header.server_id.to_le_bytes());
        event[9..13].copy_from_slice(&header.length.to_le_bytes());
        event[13..17].copy_from_slice(&header.next_position.to_le_bytes());
        if self.checksums
            && let Some((told, checksum)) = event.split_last_chunk_mut::<4>()
        {
            *checksum = crc32fast::hash(told).to_le_bytes();
        }
        put(&event);
        Ok(Came::Event(Header { kind: EventType::IGNORABLE, ..*header }))
    }

    /// The server names the file that it sends from now on.
    fn rotation(&mut self, header: [u8; HEADER_BYTES]) -> io::Result<Came> {
        /// The longest path of a file.
        const NAME_BYTES_MAX: usize = 4096;
        let mut event = header.to_vec();
        let mut piece = [0; 512];
        while let length @ 1.. = self.packets.read(&mut piece)? {
            event.extend_from_slice(&piece[..length]);
            if event.len() > NAME_BYTES_MAX {
                return Err(odd("a rotation that is too long"));
            }
        }
        // It has a checksum where the server's newest events do, whatever this file's are.
        if let Some((told, checksum)) = event.split_last_chunk::<4>()
            && crc32fast::hash(told).to_le_bytes() == *checksum
        {
            event.truncate(event.len() - 4);
        }
        let Some(name) = event.get(HEADER_BYTES + 8..) else {
            return Err(odd("a rotation without a name"));
        };
        // The end of a file that tells its rotation itself, and the beginning of the next, both name it.
        if self.name.as_deref() != Some(name) {
            self.is_begun = false;
            self.name = Some(name.to_vec());
            return Ok(Came::File(name.to_vec()));
        }
        Ok(Came::Heartbeat)
    }
}

const READING: &str = "reading a binary log";

fn broken(server: &Server, error: &io::Error) -> LiveError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => LiveError::Timeout {
            server: server.name().to_owned(),
            place: server.place().to_owned(),
            seconds: ANSWER_TIMEOUT.as_secs(),
            doing: READING,
        },
        _ => LiveError::Broken {
            server: server.name().to_owned(),
            doing: READING,
            why: error.to_string(),
        },
    }
}

/// The packet that asks for a file.
fn command(name: &[u8], flags: u16, server_id: u32) -> Vec<u8> {
    /// Behind the magic.
    const POSITION: u32 = 4;
    let mut body = vec![COM_BINLOG_DUMP];
    body.extend(POSITION.to_le_bytes());
    body.extend(flags.to_le_bytes());
    body.extend(server_id.to_le_bytes());
    body.extend(name);
    let mut packet = (body.len() as u32).to_le_bytes().to_vec();
    packet.append(&mut body);
    packet
}

/// The socket of a connection that somebody else holds.
#[derive(Debug)]
struct Socket(RawFd);

impl io::Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(self.0, bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

fn send_all(socket: &Socket, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match send(socket.0, rest, MsgFlags::MSG_NOSIGNAL) {
            Err(Errno::EINTR) => {}
            sent => rest = &rest[sent?..],
        }
    }
    Ok(())
}

/// What a packet begins with.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Event([u8; HEADER_BYTES]),
    End,
    /// The server's error number.
    Refused(u16),
}

/// The packets of an answer, each an event.
#[derive(Debug)]
struct Packets<R> {
    input: R,
    buffer: Vec<u8>,
    /// What of the buffer is not used yet.
    unused: std::ops::Range<usize>,
    /// What of the packet is still to come.
    left: usize,
    /// The packet goes on in the next.
    goes_on: bool,
}

impl<R: io::Read> Packets<R> {
    fn new(input: R) -> Packets<R> {
        Packets { input, buffer: vec![0; STEP_BYTES], unused: 0..0, left: 0, goes_on: false }
    }

    /// The next event, behind what is left of the one before.
    fn event(&mut self) -> io::Result<Next> {
        let mut rest = [0; 4096];
        while self.read(&mut rest)? > 0 {}
        self.begin_packet()?;
        let mut status = [0];
        self.exactly(&mut status)?;
        match status[0] {
            0 => {
                let mut header = [0; HEADER_BYTES];
                self.exactly(&mut header)?;
                Ok(Next::Event(header))
            }
            // As long as an end can be: with warnings and status, or as OK packets are.
            0xfe => Ok(Next::End),
            0xff => {
                let mut error = [0; 2];
                self.exactly(&mut error)?;
                Ok(Next::Refused(u16::from_le_bytes(error)))
            }
            _ => Err(odd("an event that begins as none does")),
        }
    }

    /// Reads of the event that was begun; 0 where it is over.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            if !self.goes_on {
                return Ok(0);
            }
            self.begin_packet()?;
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        self.fill()?;
        let length = bytes.len().min(self.left).min(self.unused.len());
        bytes[..length].copy_from_slice(&self.buffer[self.unused.start..][..length]);
        self.unused.start += length;
        self.left -= length;
        Ok(length)
    }

    fn exactly(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => return Err(odd("a packet that is too short")),
                length => filled += length,
            }
        }
        Ok(())
    }

    fn begin_packet(&mut self) -> io::Result<()> {
        let mut head = [0; 4];
        for byte in &mut head {
            self.fill()?;
            *byte = self.buffer[self.unused.start];
            self.unused.start += 1;
        }
        self.left = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        self.goes_on = self.left == PACKET_BYTES_MAX;
        Ok(())
    }

    /// Sees to it that there is a byte at least.
    fn fill(&mut self) -> io::Result<()> {
        if self.unused.is_empty() {
            let length = self.input.read(&mut self.buffer)?;
            if length == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server ended the connection",
                ));
            }
            self.unused = 0..length;
        }
        Ok(())
    }
}

fn odd(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet, cut as the protocol cuts it.
    fn packet(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut pieces: Vec<&[u8]> = body.chunks(PACKET_BYTES_MAX).collect();
        if body.len().is_multiple_of(PACKET_BYTES_MAX) {
            pieces.push(b"");
        }
        for (number, piece) in pieces.into_iter().enumerate() {
            out.extend(&(piece.len() as u32).to_le_bytes()[..3]);
            out.push(number as u8);
            out.extend(piece);
        }
        out
    }

    /// The events of an answer, and how it ends.
    fn read(input: impl io::Read) -> (Vec<Vec<u8>>, Result<Next, String>) {
        let mut packets = Packets::new(input);
        let mut events = Vec::new();
        loop {
            match packets.event() {
                Ok(Next::Event(header)) => {
                    let mut event = header.to_vec();
                    let mut piece = [0; 1000];
                    while let length @ 1.. = packets.read(&mut piece).unwrap() {
                        event.extend(&piece[..length]);
                    }
                    events.push(event);
                }
                Ok(end) => return (events, Ok(end)),
                Err(error) => return (events, Err(error.to_string())),
            }
        }
    }

    #[test]
    fn events_of_any_length_come_whole() {
        let lengths =
            [HEADER_BYTES, 100, PACKET_BYTES_MAX - 1, PACKET_BYTES_MAX, 2 * PACKET_BYTES_MAX + 5];
        let events: Vec<Vec<u8>> =
            lengths.iter().map(|&it| (0..it).map(|at| at as u8).collect()).collect();
        let mut answer = Vec::new();
        for event in &events {
            answer.extend(packet(&[&[0], &event[..]].concat()));
        }
        answer.extend(packet(&[0xfe, 0, 0, 2, 0]));
        let (found, end) = read(&answer[..]);
        assert!(found == events);
        assert_eq!(end, Ok(Next::End));
    }

    #[test]
    fn what_is_not_read_is_passed_over() {
        let first = [vec![0], vec![1; 70_000]].concat();
        let second = [vec![0], vec![2; HEADER_BYTES]].concat();
        let answer = [packet(&first), packet(&second)].concat();
        let mut packets = Packets::new(&answer[..]);
        assert_eq!(packets.event().unwrap(), Next::Event([1; HEADER_BYTES]));
        assert_eq!(packets.read(&mut [0; 5]).unwrap(), 5);
        assert_eq!(packets.event().unwrap(), Next::Event([2; HEADER_BYTES]));
    }

    #[test]
    fn refusals_and_cuts_are_told() {
        let refused = packet(b"\xff\xd4\x04#HY000Could not find first log file name");
        assert_eq!(read(&refused[..]).1, Ok(Next::Refused(1236)));
        let whole = packet(&[vec![0], vec![7; 50]].concat());
        for cut in 0..24 {
            let (events, end) = read(&whole[..cut]);
            assert_eq!((events.len(), end.is_err()), (0, true), "{cut}");
        }
        assert!(read(&packet(&[0, 1, 2])[..]).1.unwrap_err().contains("too short"));
        assert!(read(&packet(&[9; 30])[..]).1.is_err());
    }

    #[test]
    fn the_command_is_as_servers_read_it() {
        let told = command(b"b.1", 3, 0x0403_0201);
        assert_eq!(told, b"\x0e\0\0\0\x12\x04\0\0\0\x03\0\x01\x02\x03\x04b.1");
        assert_ne!(replica_id(1), replica_id(2));
        assert!(replica_id(u64::MAX) > 1 << 31);
    }
}
