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
//! The driver logs in. Where nothing is encrypted on the way, the command is sent and the answer is read here, on
//! the driver's socket: no event is held, and the server lists no replica. Through TLS the driver's own stream does
//! both (`through_tls`; docs/decisions/0011).
//!
//! # Invariants
//! * Memory does not grow with events, but through TLS with one of them.
//! * Nothing is changed on the server. The connection ends with the answer.

mod packets;
mod through_tls;

use std::io;
use std::time::Duration;

use binlog::{EVENT_BYTES_MAX, EventType, FLAG_ARTIFICIAL, HEADER_BYTES, Header, MAGIC};
use verdict::account::{AccountName, Family};

use crate::error::{LiveError, grant};
use crate::server::Server;
use packets::{Packets, Socket, command, send_all};
use through_tls::Driver;

/// Bytes read at once.
const STEP_BYTES: usize = 64 << 10;

/// The first event of a file stands behind its magic.
const POSITION: u32 = 4;

/// How long a server that waits for more may say nothing ([`Target::answer_timeout`](crate::target::Target::answer_timeout)): it says so each second.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How often a server that waits for more says that it is there, in nanoseconds.
const HEARTBEAT_NANOSECONDS: u64 = 1_000_000_000;

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
            return Err(lacks(server.name(), right, server.own()));
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

/// Whether a server sends the texts of statements beside their rows: of MariaDB the driver's stream, through TLS,
/// cannot ask for them.
pub fn sends_texts(server: &Server) -> bool {
    !server.is_encrypted() || server.version().family == Family::MySql
}

fn lacks(server: &str, right: &str, own: &AccountName) -> LiveError {
    LiveError::Refused {
        server: server.to_owned(),
        what: right.to_owned(),
        error: 1227,
        remedy: grant(&format!("{right} ON *.*"), own),
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
/// START_ENCRYPTION, which is not true of what is sent, and of what the server leaves out stands an event of the
/// same length that says nothing: positions are those of the server's file.
#[derive(Debug)]
pub struct Dump {
    who: Who,
    events: Events,
    /// Where the next event begins in the file; 0 where nothing of it has come.
    position: u64,
    /// Events of the file have checksums.
    checksums: bool,
    /// The file that is being sent, once the server has named it.
    name: Option<Vec<u8>>,
}

/// Whose log it is.
#[derive(Debug)]
struct Who {
    server: String,
    place: String,
    own: AccountName,
    answer_timeout: Duration,
}

/// Where events come from.
#[derive(Debug)]
enum Events {
    Clear(Box<Packets<Socket>>),
    Tls(Box<Driver>),
}

impl Events {
    fn next(&mut self) -> io::Result<Next> {
        match self {
            Events::Clear(packets) => packets.event(),
            Events::Tls(driver) => driver.event(),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Events::Clear(packets) => packets.read(bytes),
            Events::Tls(driver) => Ok(driver.read(bytes)),
        }
    }
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
    /// Where the server does not take the settings. What it says of the file comes with [`Dump::next`].
    pub fn begin(mut server: Server, name: &[u8], waits: bool) -> Result<Dump, LiveError> {
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
        let who = Who {
            server: server.name().to_owned(),
            place: server.place().to_owned(),
            own: server.own().clone(),
            answer_timeout: server.answer_timeout(),
        };
        let events = match server.is_encrypted() {
            true => Events::Tls(Box::new(Driver::begin(server, name, flags, id)?)),
            false => {
                let socket = Socket(server);
                send_all(&socket, &command(name, flags, id)).map_err(|error| who.broken(&error))?;
                Events::Clear(Box::new(Packets::new(socket)))
            }
        };
        Ok(Dump { who, events, position: 0, checksums: false, name: None })
    }

    /// What comes next; the bytes that stand in the file are given to `put`, in pieces.
    ///
    /// # Errors
    /// [`LiveError::Refused`] with the right that is missing, [`LiveError::BinlogGone`] where the server cannot
    /// send the file, [`LiveError::Broken`] and [`LiveError::Timeout`] as everywhere.
    pub fn next(&mut self, put: &mut dyn FnMut(&[u8])) -> Result<Came, LiveError> {
        match self.events.next().map_err(|error| self.who.broken(&error))? {
            Next::Event(header) => self.event(header, put).map_err(|error| self.who.broken(&error)),
            Next::End => Ok(Came::End),
            Next::Refused(error) => Err(self.who.refused(error)),
        }
    }

    /// Whether more has come already than what was told of.
    pub fn has_more(&self) -> bool {
        matches!(&self.events, Events::Clear(packets) if packets.has_more())
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
        if self.position == 0 {
            put(&MAGIC);
            self.position = MAGIC.len() as u64;
        }
        if let Some(left_out) = self.left_out(&header) {
            self.put_silent(left_out, header.server_id, put);
        }
        if header.kind == EventType::START_ENCRYPTION {
            self.put_silent(self.silent_length(header.length)?, header.server_id, put);
            return Ok(Came::Event(Header { kind: EventType::IGNORABLE, ..header }));
        }
        put(&bytes);
        // A format description ends with the kind of checksum and a checksum of its own.
        let mut end = [0; 5];
        let mut length = HEADER_BYTES as u64;
        let mut piece = vec![0; STEP_BYTES];
        loop {
            match self.events.read(&mut piece)? {
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
        self.position += length;
        Ok(Came::Event(header))
    }

    /// How many bytes of the file are left out before this event, as far as it tells its place.
    fn left_out(&self, header: &Header) -> Option<u32> {
        // Inside transactions MariaDB 11.4 and newer do not tell it; above 4 GiB it wraps.
        let told = header.next_position != 0 && header.kind != EventType::FORMAT_DESCRIPTION;
        let begins = told.then(|| header.next_position.wrapping_sub(header.length))?;
        self.silent_length(begins.wrapping_sub(self.position as u32)).ok()
    }

    /// The same length, if an event can have it.
    fn silent_length(&self, length: u32) -> io::Result<u32> {
        let least = HEADER_BYTES as u32 + if self.checksums { 4 } else { 0 };
        match (least..=EVENT_BYTES_MAX).contains(&length) {
            true => Ok(length),
            false => Err(odd("an event whose length is not that of its kind")),
        }
    }

    /// Puts an event that says nothing, so that the next stands where it stands in the file.
    fn put_silent(&mut self, length: u32, server_id: u32, put: &mut dyn FnMut(&[u8])) {
        let next_position = (self.position as u32).wrapping_add(length);
        let mut header = [0; HEADER_BYTES];
        header[4] = EventType::IGNORABLE.0;
        header[5..9].copy_from_slice(&server_id.to_le_bytes());
        header[9..13].copy_from_slice(&length.to_le_bytes());
        header[13..17].copy_from_slice(&next_position.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        let checksum_bytes = if self.checksums { 4 } else { 0 };
        let mut left = length as usize - HEADER_BYTES - checksum_bytes;
        hasher.update(&header);
        put(&header);
        let zeros = vec![0; left.min(STEP_BYTES)];
        while left > 0 {
            let piece = &zeros[..left.min(STEP_BYTES)];
            hasher.update(piece);
            put(piece);
            left -= piece.len();
        }
        if self.checksums {
            put(&hasher.finalize().to_le_bytes());
        }
        self.position += u64::from(length);
    }

    /// The server names the file that it sends from now on.
    fn rotation(&mut self, header: [u8; HEADER_BYTES]) -> io::Result<Came> {
        /// The longest path of a file.
        const NAME_BYTES_MAX: usize = 4096;
        let mut event = header.to_vec();
        let mut piece = [0; 512];
        while let length @ 1.. = self.events.read(&mut piece)? {
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
            self.position = 0;
            self.name = Some(name.to_vec());
            return Ok(Came::File(name.to_vec()));
        }
        Ok(Came::Heartbeat)
    }
}

const READING: &str = "reading a binary log";

impl Who {
    fn broken(&self, error: &io::Error) -> LiveError {
        let (server, doing) = (self.server.clone(), READING);
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let seconds = self.answer_timeout.as_secs();
                LiveError::Timeout { server, place: self.place.clone(), seconds, doing }
            }
            _ => LiveError::Broken { server, doing, why: error.to_string() },
        }
    }

    fn refused(&self, error: u16) -> LiveError {
        match error {
            1227 | 1045 => lacks(&self.server, "REPLICATION SLAVE", &self.own),
            1236 => LiveError::BinlogGone { server: self.server.clone() },
            error => LiveError::Server { server: self.server.clone(), error, doing: READING },
        }
    }
}

/// What a packet begins with.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Event([u8; HEADER_BYTES]),
    End,
    /// The server's error number.
    Refused(u16),
}

fn odd(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
