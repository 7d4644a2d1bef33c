//! What MariaDB compresses: whole events (`log_bin_compress`) and single columns (`COMPRESSED`).
//!
//! ```text
//! event   0x80 | bytes of the length (1 … 4) | length, big-endian | zlib stream
//! column  0x00 | bytes as they are
//!         0x80 | [0x08: no zlib header] | bytes of the length (1 … 4) | length, big-endian | stream
//! ```
//!
//! Sources: MariaDB `sql/log_event.cc` (`binlog_buf_compress`, `binlog_get_uncompress_len`),
//! `sql/field.cc` (`compress_zlib`, `uncompress_zlib`).

use flate2::{Decompress, FlushDecompress, Status};

use crate::error::{Malformed, Parsed};

/// The longest text that is made of compressed bytes: as long as an event may be.
const PLAIN_BYTES_MAX: usize = crate::EVENT_BYTES_MAX as usize;

/// The plain text of a compressed part of an event.
pub(crate) fn inflate_event(bytes: &[u8]) -> Parsed<Vec<u8>> {
    let (&head, rest) = bytes.split_first().ok_or(Malformed::new("nothing is compressed in it"))?;
    if head & 0xf8 != 0x80 {
        return Err(Malformed::new("it is compressed in an unknown way"));
    }
    inflate(rest, head & 0x07, true)
}

/// The plain text of a column that is stored compressed.
pub(crate) fn inflate_column(bytes: &[u8]) -> Parsed<Vec<u8>> {
    match bytes.split_first() {
        None => Ok(Vec::new()),
        Some((0, plain)) => Ok(plain.to_vec()),
        Some((&head, rest)) if head & 0xf0 == 0x80 => inflate(rest, head & 0x07, head & 0x08 == 0),
        Some(_) => Err(Malformed::new("a column is compressed in an unknown way")),
    }
}

fn inflate(bytes: &[u8], length_bytes: u8, zlib_header: bool) -> Parsed<Vec<u8>> {
    const WRONG: Malformed = Malformed::new("its compressed bytes are damaged");
    if !(1..=4).contains(&length_bytes) {
        return Err(Malformed::new("the length of compressed bytes is of an unknown form"));
    }
    let (length, stream) = bytes.split_at_checked(length_bytes as usize).ok_or(WRONG)?;
    let length = length.iter().fold(0, |sum, &byte| sum << 8 | byte as usize);
    // deflate makes at most 1032 bytes of one: a length above is no length.
    if length > PLAIN_BYTES_MAX || length > stream.len().saturating_mul(1032) {
        return Err(Malformed::new("the length of compressed bytes is too large"));
    }
    let mut plain = Vec::with_capacity(length);
    let mut decompress = Decompress::new(zlib_header);
    let status = decompress.decompress_vec(stream, &mut plain, FlushDecompress::Finish);
    match status {
        Ok(Status::StreamEnd) if plain.len() == length => Ok(plain),
        _ => Err(WRONG),
    }
}
