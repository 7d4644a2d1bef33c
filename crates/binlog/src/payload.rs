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

impl<'a> Payload<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Parsed<Self> {
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
        let bytes = cut.take(size.unwrap_or(cut.len()))?;
        Ok(Payload { compression, plain_bytes, bytes })
    }

    /// Decompresses the events piece by piece: only what no whole event was made of yet is held.
    ///
    /// # Errors
    /// Where the compression is not known.
    pub fn reader(&self) -> Result<PayloadReader<'a>, Malformed> {
        let decoder = match self.compression {
            0 => Some(Decoder::new().map_err(|_| Malformed::new("zstd cannot be set up"))?),
            255 => None,
            _ => return Err(Malformed::new("it is compressed in an unknown way")),
        };
        Ok(PayloadReader { decoder, input: self.bytes, plain: Vec::new(), used: 0 })
    }
}

/// Decompresses a [`Payload`].
pub struct PayloadReader<'a> {
    /// `None` where the payload is not compressed.
    decoder: Option<Decoder<'static>>,
    input: &'a [u8],
    plain: Vec<u8>,
    used: usize,
}

impl PayloadReader<'_> {
    /// The decompressed bytes that are there and not used.
    pub fn plain(&self) -> &[u8] {
        &self.plain[self.used..]
    }

    /// The first `bytes` of [`PayloadReader::plain`] are not needed any more.
    pub fn consume(&mut self, bytes: usize) {
        self.used = (self.used + bytes).min(self.plain.len());
    }

    /// Decompresses on, until at least `needed` bytes are there; false where the payload ends
    /// before.
    ///
    /// # Errors
    /// Where the compressed bytes are damaged.
    pub fn fill(&mut self, needed: usize) -> Result<bool, Malformed> {
        self.plain.drain(..self.used);
        self.used = 0;
        while self.plain.len() < needed {
            if !self.step()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes some more bytes; false where there are none.
    fn step(&mut self) -> Parsed<bool> {
        let Some(decoder) = &mut self.decoder else {
            self.plain.extend_from_slice(self.input);
            return Ok(!std::mem::take(&mut self.input).is_empty());
        };
        let filled = self.plain.len();
        self.plain.resize(filled + STEP_BYTES, 0);
        let mut input = InBuffer::around(self.input);
        let mut output = OutBuffer::around_pos(&mut self.plain[..], filled);
        let result = decoder.run(&mut input, &mut output);
        let (made, taken) = (output.pos(), input.pos());
        self.plain.truncate(made);
        self.input = &self.input[taken..];
        match result {
            Ok(_) => Ok(made > filled || taken > 0),
            Err(_) => Err(Malformed::new("its compressed bytes are damaged")),
        }
    }
}
