//! A log cut into events: magic, headers, lengths, checksums. Nothing of what events mean.
//!
//! ```text
//! fe 62 69 6e                                     once, at the beginning of a file
//! timestamp type server_id length next_pos flags  body …  [CRC32]
//!     u32    u8     u32     u32     u32     u16                u32
//! └────────────── 19 bytes ───────────────────┘
//! ```
//!
//! # What the format does not promise
//! * `next_pos` is 0 inside transactions since MariaDB 11.4 and wraps at 4 GiB: positions are
//!   computed here, from lengths.
//! * The flag "in use" stays set when a server dies; it says nothing about damage. The checksum of
//!   the format description is that without it (MySQL `Log_event_footer::event_checksum_test`).
//! * A file that is being written may end anywhere.
//!
//! # Invariants
//! * Nothing is copied; an event borrows from the bytes given.
//! * An event is given out only when its checksum is right, unless the caller wants no checksums.

use crate::error::Error;
use crate::format::{Checksum, Format};
use crate::kind::EventType;

/// The first four bytes of a binary log (MySQL `BINLOG_MAGIC`).
pub const MAGIC: [u8; 4] = *b"\xfebin";
/// The first four bytes of one that MySQL wrote with `binlog_encryption=ON`
/// (MySQL `sql/stream_cipher.h`, `rpl_log_encryption.cc`).
pub const MAGIC_ENCRYPTED: [u8; 4] = *b"\xfdbin";
/// The first four bytes of one that MariaDB keeps inside InnoDB
/// (MariaDB `storage/innobase/include/fsp_binlog.h`, `IBB_MAGIC`).
pub const MAGIC_INNODB: [u8; 4] = [0xfe, 0xfe, 0x0d, 0x01];
/// The length of an event header, in bytes.
pub const HEADER_BYTES: usize = 19;
/// The longest event that is read, in bytes: 1 GiB, the most that `max_allowed_packet` can be, and
/// room for what stands around it. A reader must not be made to wait for, or hold, more.
pub const EVENT_BYTES_MAX: u32 = (1 << 30) + (1 << 20);

/// Flag: the log is being written, or its writer died (`LOG_EVENT_BINLOG_IN_USE_F`).
pub const FLAG_IN_USE: u16 = 0x0001;
/// Flag: the statement depends on its session, as temporary tables do
/// (`LOG_EVENT_THREAD_SPECIFIC_F`).
pub const FLAG_THREAD_SPECIFIC: u16 = 0x0004;
/// Flag: not written by the server whose log it is in, but by its replication
/// (`LOG_EVENT_ARTIFICIAL_F`).
pub const FLAG_ARTIFICIAL: u16 = 0x0020;

/// The header that all events have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Seconds since 1970, UTC, when the statement began; users can set it (`SET TIMESTAMP`). 0 in
    /// events that replication makes up.
    pub timestamp: u32,
    /// How the body is laid out.
    pub kind: EventType,
    /// `@@server_id` of the server where the event came into being.
    pub server_id: u32,
    /// Of the whole event with header and checksum, in bytes.
    pub length: u32,
    /// Where the writer thought the next event begins; see the module's warning.
    pub next_position: u32,
    /// See the constants `FLAG_…`.
    pub flags: u16,
}

impl Header {
    /// The header at the front of `bytes`; `None` where fewer than 19 are there.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let b = bytes.first_chunk::<HEADER_BYTES>()?;
        let u32_at = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        Some(Header {
            timestamp: u32_at(0),
            kind: EventType(b[4]),
            server_id: u32_at(5),
            length: u32_at(9),
            next_position: u32_at(13),
            flags: u16::from_le_bytes([b[17], b[18]]),
        })
    }
}

/// An event whose frame is right; its body is not looked at yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEvent<'b> {
    /// Of its first byte, from the beginning of the file.
    pub position: u64,
    /// Its header.
    pub header: Header,
    /// What stands between header and checksum.
    pub body: &'b [u8],
    /// The checksum as stored, where events have one.
    pub checksum: Option<u32>,
}

impl RawEvent<'_> {
    /// The position behind the event.
    #[inline]
    pub fn end(&self) -> u64 {
        self.position + self.header.length as u64
    }
}

/// What [`Framer::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'b> {
    /// A whole event.
    Event(RawEvent<'b>),
    /// The bytes end before the event does, which is neither an error nor the end of the log: more
    /// may be written, or the log was cut. Call again with at least so many bytes, counted from
    /// [`Framer::position`].
    Incomplete {
        /// In bytes; grows when the header has come.
        needed: usize,
    },
}

/// Finds the events in the bytes of one log, from any of them on.
///
/// ```
/// # fn main() -> Result<(), binlog::Error> {
/// let log = include_bytes!("../../../tests/fixtures/binlog/smallest.binlog");
/// let mut framer = binlog::Framer::new();
/// let mut kinds = Vec::new();
/// loop {
///     // A file would be read in pieces: what `framer` has used need not be there any more.
///     let rest = &log[framer.position() as usize..];
///     match framer.next(rest)? {
///         binlog::Step::Event(event) => kinds.push(event.header.kind.name()),
///         binlog::Step::Incomplete { .. } => break,
///     }
/// }
/// assert_eq!(kinds, ["Format_desc", "Gtid_list", "Binlog_checkpoint", "Stop"]);
/// assert_eq!(framer.position(), log.len() as u64);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Framer {
    position: u64,
    format: Format,
    /// The magic is still to come.
    magic: bool,
    verify: bool,
    encrypted: bool,
    event_bytes_max: u32,
}

impl Default for Framer {
    fn default() -> Self {
        Framer::new()
    }
}

impl Framer {
    /// At the beginning of a file.
    pub fn new() -> Self {
        Framer {
            position: 0,
            format: Format::default(),
            magic: true,
            verify: true,
            encrypted: false,
            event_bytes_max: EVENT_BYTES_MAX,
        }
    }

    /// In the middle of a file, at the first byte of an event. `format` is that of the file's
    /// format description, its first event.
    pub fn resume(position: u64, format: Format) -> Self {
        Framer { position, format, magic: false, ..Framer::new() }
    }

    /// Events as a server sends them to replicas: without magic. Positions count from 0.
    pub fn stream() -> Self {
        Framer { magic: false, ..Framer::new() }
    }

    /// Events as [`Payload::reader`](crate::Payload::reader) decompresses them. Positions count
    /// from 0. `format` is that of the log around it.
    pub fn inside_payload(format: &Format) -> Self {
        Framer { format: format.inner(), ..Framer::stream() }
    }

    /// Whether checksums are computed and compared; they are from the beginning.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Sets the longest event that is taken for one, instead of [`EVENT_BYTES_MAX`].
    pub fn event_bytes_max(mut self, bytes: u32) -> Self {
        self.event_bytes_max = bytes;
        self
    }

    /// Where the next event begins, or, at the beginning of a file, the magic.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How events are written, by the newest format description.
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// The next event. `bytes` begin at [`Framer::position`], which moves behind what was used,
    /// whatever the answer is.
    ///
    /// # Errors
    /// Where no log, a log that cannot be read, or a damaged event stands there; the position stays
    /// before it. [`Framer::skip`] goes on behind it.
    #[inline]
    pub fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<Step<'b>, Error> {
        let mut bytes = bytes;
        if self.magic {
            let Some((magic, rest)) = bytes.split_first_chunk::<4>() else {
                return Ok(Step::Incomplete { needed: 4 });
            };
            check_magic(magic)?;
            self.magic = false;
            self.position += 4;
            bytes = rest;
        }
        let Some(header) = Header::parse(bytes) else {
            return Ok(Step::Incomplete { needed: HEADER_BYTES });
        };
        let needed = self.check_length(&header)?;
        let Some(whole) = bytes.get(..needed) else {
            return Ok(Step::Incomplete { needed });
        };
        let event = self.event(header, whole)?;
        self.position += needed as u64;
        Ok(Step::Event(event))
    }

    /// Goes on behind the event at the front of `bytes`, without looking at it; returns its length.
    /// For events that are damaged; whether there is another event behind it is then a guess.
    pub fn skip(&mut self, bytes: &[u8]) -> Option<u32> {
        let length = Header::parse(bytes)?.length;
        if (length as usize) < HEADER_BYTES || length > self.event_bytes_max {
            return None;
        }
        self.position += length as u64;
        Some(length)
    }

    /// Whether checksums are compared.
    pub(crate) fn verifies(&self) -> bool {
        self.verify
    }

    /// Moves on by bytes that were read otherwise.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.position += bytes as u64;
    }

    fn check_length(&self, header: &Header) -> Result<usize, Error> {
        let position = self.position;
        if self.encrypted {
            return Err(Error::EncryptedFrom { position });
        }
        let length = header.length;
        if (length as usize) < HEADER_BYTES {
            return Err(Error::BadLength { position, length });
        }
        if length > self.event_bytes_max {
            return Err(Error::TooLong { position, length, limit: self.event_bytes_max });
        }
        Ok(length as usize)
    }

    fn event<'b>(&mut self, header: Header, whole: &'b [u8]) -> Result<RawEvent<'b>, Error> {
        let position = self.position;
        let kind = header.kind;
        if kind == EventType::FORMAT_DESCRIPTION {
            let format = Format::parse(&whole[HEADER_BYTES..], position)?;
            if self.verify && format.checksum() == Checksum::Crc32 {
                let mut start = [0; HEADER_BYTES];
                start.copy_from_slice(&whole[..HEADER_BYTES]);
                start[17] &= !(FLAG_IN_USE as u8);
                self.check_crc(&header, &start, &whole[HEADER_BYTES..])?;
            }
            self.format = format;
        } else if self.verify && self.format.checksum() == Checksum::Crc32 {
            // In one piece: most events are short, and each piece costs.
            self.check_crc(&header, &[], whole)?;
        }
        self.encrypted = kind == EventType::START_ENCRYPTION;
        let body = &whole[HEADER_BYTES..];
        // A format description has room for a checksum even where there is none.
        let tail = match self.format.checksum() {
            Checksum::Crc32 => 4,
            Checksum::Off if kind == EventType::FORMAT_DESCRIPTION => 4,
            Checksum::Off | Checksum::Before56 => 0,
        };
        let Some((body, checksum)) = body.split_at_checked(body.len().wrapping_sub(tail)) else {
            return Err(Error::BadLength { position, length: header.length });
        };
        let checksum = checksum.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        Ok(RawEvent { position, header, body, checksum })
    }

    /// Compares the CRC32 of two adjoining pieces with the last four bytes of the second.
    fn check_crc(&self, header: &Header, start: &[u8], rest: &[u8]) -> Result<(), Error> {
        let wrong =
            Error::Checksum { position: self.position, length: header.length, event: header.kind };
        let Some((body, stored)) = rest.split_last_chunk::<4>() else { return Err(wrong) };
        let mut hasher = crc32fast::Hasher::new();
        if !start.is_empty() {
            hasher.update(start);
        }
        hasher.update(body);
        if hasher.finalize() == u32::from_le_bytes(*stored) { Ok(()) } else { Err(wrong) }
    }
}

fn check_magic(magic: &[u8; 4]) -> Result<(), Error> {
    match *magic {
        MAGIC => Ok(()),
        MAGIC_ENCRYPTED => Err(Error::EncryptedFile),
        MAGIC_INNODB => Err(Error::InsideInnoDb),
        _ => Err(Error::NotABinlog),
    }
}
