//! Transactions that MySQL compresses (`binlog_transaction_compression=ON`).
//!
//! ```text
//! (kind packed, length packed, value) … | 0 | bytes
//!   1: length of the bytes      2: compression, 0 zstd or 255 none      3: length when decompressed
//! ```
//!
//! The bytes decompress to events without checksums: `BEGIN` first, Xid last. Source: MySQL
//! `libs/mysql/binlog/event/codecs/binary.cpp` (`Transaction_payload`).

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use crate::bytes::Cut;
use crate::error::{Malformed, Parsed};

/// How many decompressed bytes are made at a time, at least.
const STEP_BYTES: usize = 128 << 10;

/// A compressed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    /// 0 zstd, 255 none.
    pub compression: u64,
    /// The length of all events when decompressed, as the log tells it.
    pub plain_bytes: u64,
    /// The events as stored.
    pub bytes: &'a [u8],
}

/// What a payload begins with is shorter than this, in bytes: four fields of up to 19.
pub(crate) const HEAD_BYTES_MAX: usize = 76;

impl<'a> Payload<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Parsed<Self> {
        let (mut payload, size) = Payload::parse_head(body)?;
        let whole = payload.bytes;
        payload.bytes = Cut::new(whole).take(size.unwrap_or(whole.len()))?;
        Ok(payload)
    }

    /// Reads what stands before the compressed bytes, of which not all need be there; also tells how
    /// many these are.
    pub(crate) fn parse_head(body: &'a [u8]) -> Parsed<(Self, Option<usize>)> {
        let mut cut = Cut::new(body);
        let (mut compression, mut plain_bytes, mut size) = (255, 0, None);
        loop {
            let kind = cut.packed()?;
            if kind == 0 {
                break;
            }
            let mut value = Cut::new(cut.packed_bytes()?);
            match kind {
                1 => size = Some(value.packed_len()?),
                2 => compression = value.packed()?,
                3 => plain_bytes = value.packed()?,
                // A newer server's; passed over by its length.
                _ => {}
            }
        }
        Ok((Payload { compression, plain_bytes, bytes: cut.rest() }, size))
    }

    /// Decompresses the events piece by piece: only what no whole event was made of yet is held.
    ///
    /// # Errors
    /// Where the compression is not known.
    pub fn reader(&self) -> Result<PayloadReader<'a>, Malformed> {
        Ok(PayloadReader { plain: Plain::new(self.compression)?, input: self.bytes })
    }
}

/// Decompresses a [`Payload`].
pub struct PayloadReader<'a> {
    plain: Plain,
    input: &'a [u8],
}

impl PayloadReader<'_> {
    /// The decompressed bytes that are there and not used.
    pub fn plain(&self) -> &[u8] {
        self.plain.bytes()
    }

    /// The first `bytes` of [`PayloadReader::plain`] are not needed any more.
    pub fn consume(&mut self, bytes: usize) {
        self.plain.consume(bytes);
    }

    /// Decompresses on, until at least `needed` bytes are there; false where the payload ends
    /// before.
    ///
    /// # Errors
    /// Where the compressed bytes are damaged.
    pub fn fill(&mut self, needed: usize) -> Result<bool, Malformed> {
        while self.plain().len() < needed {
            let (taken, made) = self.plain.step(self.input)?;
            self.input = &self.input[taken..];
            if taken == 0 && made == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Compressed bytes made plain, some at a time.
pub(crate) struct Plain {
    /// `None` where nothing is compressed.
    decoder: Option<Decoder<'static>>,
    plain: Vec<u8>,
    used: usize,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain").field("bytes", &self.bytes().len()).finish()
    }
}

impl Plain {
    pub(crate) fn new(compression: u64) -> Parsed<Self> {
        let decoder = match compression {
            0 => Some(Decoder::new().map_err(|_| Malformed::new("zstd cannot be set up"))?),
            255 => None,
            _ => return Err(Malformed::new("it is compressed in an unknown way")),
        };
        Ok(Plain { decoder, plain: Vec::new(), used: 0 })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.plain[self.used..]
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.used = (self.used + bytes).min(self.plain.len());
    }

    /// Makes some more bytes; tells how many were taken and made. Neither where more input is
    /// needed or all is done.
    pub(crate) fn step(&mut self, input: &[u8]) -> Parsed<(usize, usize)> {
        self.plain.drain(..self.used);
        self.used = 0;
        let filled = self.plain.len();
        let Some(decoder) = &mut self.decoder else {
            let taken = input.len().min(STEP_BYTES);
            self.plain.extend_from_slice(&input[..taken]);
            return Ok((taken, taken));
        };
        self.plain.resize(filled + STEP_BYTES, 0);
        let mut source = InBuffer::around(input);
        let mut output = OutBuffer::around_pos(&mut self.plain[..], filled);
        let result = decoder.run(&mut source, &mut output);
        let (made, taken) = (output.pos() - filled, source.pos());
        self.plain.truncate(filled + made);
        match result {
            Ok(_) => Ok((taken, made)),
            Err(_) => Err(Malformed::new("its compressed bytes are damaged")),
        }
    }
}
