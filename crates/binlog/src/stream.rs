//! The events of a compressed transaction, made while its bytes come.
//!
//! A transaction that is too long to be held is read like this piece by piece. Its checksum is then
//! known only at its end, when its events have been told of already; where it is wrong, that is told
//! of there, and the transaction counts as not wholly read.

use crate::error::{Malformed, Parsed};
use crate::format::{Checksum, Format};
use crate::frame::{Framer, HEADER_BYTES, Header, RawEvent, Step};
use crate::kind::EventType;
use crate::payload::{HEAD_BYTES_MAX, Payload, Plain};

/// How many bytes of a payload are asked for at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What a payload decompresses to.
#[derive(Debug)]
pub(crate) struct Inner {
    plain: Plain,
    framer: Framer,
}

impl Inner {
    pub(crate) fn new(compression: u64, format: &Format) -> Parsed<Self> {
        Ok(Inner { plain: Plain::new(compression)?, framer: Framer::inside_payload(format) })
    }

    /// Takes compressed bytes and tells of each event that they complete. All events have the
    /// position and the length of `around`.
    pub(crate) fn feed(
        &mut self,
        around: &RawEvent<'_>,
        bytes: &[u8],
        tell: &mut impl FnMut(&RawEvent<'_>, &Format),
    ) -> Parsed<()> {
        let mut bytes = bytes;
        loop {
            let (taken, made) = self.plain.step(bytes)?;
            bytes = &bytes[taken..];
            loop {
                let before = self.framer.position();
                match self.framer.next(self.plain.bytes()) {
                    Ok(Step::Event(event)) => {
                        let kind = event.header.kind;
                        if kind == EventType::TRANSACTION_PAYLOAD
                            || kind == EventType::FORMAT_DESCRIPTION
                        {
                            return Err(Malformed::new("it holds an event that none may hold"));
                        }
                        let header = Header { length: around.header.length, ..event.header };
                        let event = RawEvent { position: around.position, header, ..event };
                        tell(&event, self.framer.format());
                    }
                    Ok(Step::Incomplete { .. }) => break,
                    Err(_) => return Err(Malformed::new("an event inside it has a wrong length")),
                }
                self.plain.consume((self.framer.position() - before) as usize);
            }
            if taken == 0 && made == 0 {
                return Ok(());
            }
        }
    }

    /// All bytes have come.
    pub(crate) fn finish(&self) -> Parsed<()> {
        match self.plain.bytes().is_empty() {
            true => Ok(()),
            false => Err(Malformed::new("an event inside it is cut off")),
        }
    }
}

/// A payload whose bytes have not all come yet.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The event, without its body.
    pub(crate) raw: RawEvent<'static>,
    inner: Inner,
    /// Compressed bytes that are still to come.
    compressed: usize,
    /// What is still to come behind them and before the checksum.
    behind: usize,
    /// Of the checksum: 4 or none.
    checksum_bytes: usize,
    /// Of what has come, where it is to be compared.
    hasher: Option<crc32fast::Hasher>,
    /// Nothing more is made of it.
    failed: bool,
}

/// How a [`Stream`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It has not: more must come.
    Open,
    /// All has come, and the checksum is right or not asked for.
    Right,
    /// The checksum is wrong.
    WrongChecksum,
}

impl Stream {
    /// How many bytes must be there for [`Stream::begin`].
    pub(crate) const HEAD_BYTES: usize = HEADER_BYTES + HEAD_BYTES_MAX;

    /// Begins with the front of an event, [`Stream::HEAD_BYTES`] long; tells how many of them are
    /// used.
    pub(crate) fn begin(
        header: Header,
        position: u64,
        front: &[u8],
        format: &Format,
        verify: bool,
    ) -> Parsed<(Stream, usize)> {
        const SHORT: Malformed = Malformed::new("it is shorter than what it holds");
        let (payload, size) = Payload::parse_head(front.get(HEADER_BYTES..).ok_or(SHORT)?)?;
        let used = front.len() - payload.bytes.len();
        let with_checksum = format.checksum() == Checksum::Crc32;
        let checksum_bytes = if with_checksum { 4 } else { 0 };
        let left = (header.length as usize).checked_sub(used + checksum_bytes).ok_or(SHORT)?;
        let compressed = size.unwrap_or(left);
        let behind = left.checked_sub(compressed).ok_or(SHORT)?;
        let hasher = (with_checksum && verify).then(|| {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&front[..used]);
            hasher
        });
        let stream = Stream {
            raw: RawEvent { position, header, body: &[], checksum: None },
            inner: Inner::new(payload.compression, format)?,
            compressed,
            behind,
            checksum_bytes,
            hasher,
            failed: false,
        };
        Ok((stream, used))
    }

    /// How many bytes are wanted next.
    pub(crate) fn wanted(&self) -> usize {
        (self.compressed + self.behind + self.checksum_bytes).min(PIECE_BYTES)
    }

    /// Takes bytes and tells of events. The answer: how many bytes are used, whether it is over, and
    /// what about it cannot be read.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        tell: &mut impl FnMut(&RawEvent<'_>, &Format),
    ) -> (usize, Ended, Parsed<()>) {
        let (piece, rest) = bytes.split_at(bytes.len().min(self.compressed));
        self.compressed -= piece.len();
        let mut read = Ok(());
        if !self.failed {
            read = self.inner.feed(&self.raw, piece, tell);
            if read.is_ok() && self.compressed == 0 {
                read = self.inner.finish();
            }
            // Told once.
            self.failed = read.is_err() || self.compressed == 0;
        }
        let (passed_over, rest) = rest.split_at(rest.len().min(self.behind));
        self.behind -= passed_over.len();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
            hasher.update(passed_over);
        }
        let used = piece.len() + passed_over.len();
        if self.compressed + self.behind > 0 || rest.len() < self.checksum_bytes {
            return (used, Ended::Open, read);
        }
        let computed = self.hasher.take().map(crc32fast::Hasher::finalize);
        let stored = rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let ended = match computed.is_none() || computed == stored {
            true => Ended::Right,
            false => Ended::WrongChecksum,
        };
        (used + self.checksum_bytes, ended, read)
    }
}
