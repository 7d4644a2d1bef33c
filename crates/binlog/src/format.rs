//! The format description, the first event of each file: how the others are written, and by whom.
//!
//! ```text
//! binlog version u16 | server version, 50 bytes | created u32 | header length u8 (19) |
//! length of the fixed part of each kind of event, u8 each | checksum algorithm u8 | CRC32
//! ```
//!
//! The algorithm and the room for a CRC32 are there since MySQL 5.6.1 and MariaDB 5.3, always
//! (MySQL `libs/mysql/binlog/event/control_events.cpp`, `Format_description_event`).

use std::fmt;

use crate::bytes::Cut;
use crate::error::{Error, Malformed, Parsed};
use crate::kind::EventType;

/// Which of the two families wrote a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// MariaDB.
    MariaDb,
    /// MySQL, Percona Server and others that keep its numbers.
    MySql,
}

/// What stands at the end of each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// Nothing: the server is older than checksums.
    Before56,
    /// Nothing: `binlog_checksum=NONE`.
    Off,
    /// The CRC32 (IEEE) of all bytes before it.
    Crc32,
}

/// How the events behind a format description are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Format {
    version: u16,
    server: [u8; 50],
    created: u32,
    family: Family,
    checksum: Checksum,
    /// By kind; 0 where not told.
    fixed_bytes: [u8; 256],
}

impl Default for Format {
    /// Without checksums and with the lengths that servers have used since MySQL 5.1: for streams
    /// whose first event comes before their format description.
    fn default() -> Self {
        let mut fixed_bytes = [0; 256];
        fixed_bytes[EventType::QUERY.0 as usize] = 13;
        fixed_bytes[EventType::QUERY_COMPRESSED.0 as usize] = 13;
        Format {
            version: 4,
            server: [0; 50],
            created: 0,
            family: Family::MySql,
            checksum: Checksum::Off,
            fixed_bytes,
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Format")
            .field("server", &self.server_version().escape_ascii().to_string())
            .field("created", &self.created)
            .field("family", &self.family)
            .field("checksum", &self.checksum)
            .finish()
    }
}

impl Format {
    /// Reads the body of a format description, checksum included.
    pub(crate) fn parse(body: &[u8], position: u64) -> Result<Format, Error> {
        let malformed =
            |malformed| Error::malformed(position, EventType::FORMAT_DESCRIPTION, malformed);
        let (mut format, lengths) = Format::parse_fixed(body).map_err(malformed)?;
        if format.version != 4 {
            return Err(Error::OldVersion { position, version: format.version });
        }
        let with_checksum = format.knows_checksums();
        let lengths = match lengths.split_last_chunk::<5>() {
            Some((lengths, [algorithm, ..])) if with_checksum => {
                format.checksum = match algorithm {
                    0 => Checksum::Off,
                    1 => Checksum::Crc32,
                    &algorithm => return Err(Error::UnknownChecksum { position, algorithm }),
                };
                lengths
            }
            None if with_checksum => return Err(malformed(Malformed::new("it ends too early"))),
            _ => lengths,
        };
        for (kind, &length) in (1..=255_usize).zip(lengths) {
            format.fixed_bytes[kind] = length;
        }
        if lengths.len() >= EventType::GTID_MARIADB.0 as usize {
            format.family = Family::MariaDb;
        }
        Ok(format)
    }

    fn parse_fixed(body: &[u8]) -> Parsed<(Format, &[u8])> {
        let mut cut = Cut::new(body);
        let version = cut.u16()?;
        let server: [u8; 50] = cut.array()?;
        let created = cut.u32()?;
        if cut.u8()? != crate::HEADER_BYTES as u8 {
            return Err(Malformed::new("it describes event headers of another length than 19"));
        }
        let family = match memchr::memmem::find(&server, b"MariaDB") {
            Some(_) => Family::MariaDb,
            None => Family::MySql,
        };
        let checksum = Checksum::Before56;
        let fixed_bytes = [0; 256];
        Ok((Format { version, server, created, family, checksum, fixed_bytes }, cut.rest()))
    }

    /// Whether the server is new enough to know checksums.
    fn knows_checksums(&self) -> bool {
        match self.family {
            Family::MariaDb => self.version_numbers() >= (5, 3, 0),
            Family::MySql => self.version_numbers() >= (5, 6, 1),
        }
    }

    /// The first three numbers of the server's version; 0 where it has fewer.
    pub fn version_numbers(&self) -> (u32, u32, u32) {
        let mut numbers =
            self.server_version().split(|byte| !byte.is_ascii_digit()).map(|digits| {
                digits
                    .iter()
                    .fold(0_u32, |sum, d| sum.saturating_mul(10).saturating_add((d - b'0') as u32))
            });
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next(), next())
    }

    /// The version of the server as it writes it, such as `10.11.19-MariaDB-log`, raw.
    pub fn server_version(&self) -> &[u8] {
        let end = self.server.iter().position(|&byte| byte == 0).unwrap_or(self.server.len());
        &self.server[..end]
    }

    /// Which family of servers wrote the log.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Seconds since 1970, UTC, when the server started, in the first file after a start only; 0 in
    /// all others. Connection ids and query ids begin again there: it is the boundary of a run.
    pub fn created(&self) -> u32 {
        self.created
    }

    /// What stands at the end of each event.
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// The length of the fixed part of an event of this kind, in bytes; 0 where the log does not
    /// tell.
    pub fn fixed_bytes(&self, kind: EventType) -> u8 {
        self.fixed_bytes[kind.0 as usize]
    }

    /// The format of events inside a Transaction_payload, which have no checksums of their own.
    pub(crate) fn inner(&self) -> Format {
        Format { checksum: Checksum::Off, ..*self }
    }
}
