//! The driver's own stream of events, for what it alone can decrypt.
//!
//! It registers as a replica, so that the server lists one while it reads, and it takes each event apart; here its
//! bytes are put together again. An event is held three times, and one above the driver's longest packet (64 MiB)
//! ends the stream. It does not ask for MariaDB's Annotate_rows.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use binlog::{EventType, HEADER_BYTES};
use mysql::binlog::events::Event;
use mysql::{BinlogDumpFlags, BinlogRequest, BinlogStream};

use super::{Next, POSITION, odd};
use crate::error::LiveError;
use crate::server::{Server, plain};

/// A stream, and what of its newest event was not read yet.
pub(super) struct Driver {
    stream: BinlogStream,
    event: Vec<u8>,
    used: usize,
}

impl fmt::Debug for Driver {
    /// Without the driver's options: they hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("used", &self.used).finish_non_exhaustive()
    }
}

impl Driver {
    /// Asks for a file from its beginning.
    pub(super) fn begin(
        server: Server,
        name: &[u8],
        flags: u16,
        server_id: u32,
    ) -> Result<Driver, LiveError> {
        let request = BinlogRequest::new(server_id)
            .with_filename(name)
            .with_pos(POSITION)
            .with_flags(BinlogDumpFlags::from_bits_retain(flags));
        let stream = server.into_stream(request)?;
        Ok(Driver { stream, event: Vec::new(), used: 0 })
    }

    /// The next event.
    pub(super) fn event(&mut self) -> io::Result<Next> {
        // The driver takes lengths on trust.
        let next = catch_unwind(AssertUnwindSafe(|| self.stream.next()));
        let event = match next.map_err(|_| odd("an event that the driver cannot read"))? {
            None => return Ok(Next::End),
            Some(Err(mysql::Error::MySqlError(error))) => return Ok(Next::Refused(error.code)),
            Some(Err(error)) => return Err(io::Error::other(plain(&error))),
            Some(Ok(event)) => event,
        };
        self.event = bytes(&event);
        self.used = HEADER_BYTES;
        match self.event.first_chunk() {
            Some(header) => Ok(Next::Event(*header)),
            None => Err(odd("an event without a header")),
        }
    }

    /// Reads on in it; 0 where it is over.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> usize {
        let rest = self.event.get(self.used..).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        self.used += length;
        length
    }
}

/// An event as it came.
fn bytes(event: &Event) -> Vec<u8> {
    let header = event.header();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + event.data().len() + 5);
    bytes.extend(header.timestamp().to_le_bytes());
    bytes.push(header.event_type_raw());
    bytes.extend(header.server_id().to_le_bytes());
    bytes.extend(header.event_size().to_le_bytes());
    bytes.extend(header.log_pos().to_le_bytes());
    bytes.extend(header.flags_raw().to_le_bytes());
    bytes.extend(event.data());
    if header.event_type_raw() == EventType::FORMAT_DESCRIPTION.0
        && let Ok(Some(algorithm)) = event.footer().get_checksum_alg()
    {
        bytes.push(algorithm as u8);
    }
    bytes.extend(event.checksum().into_iter().flatten());
    bytes
}
