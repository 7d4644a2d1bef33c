//! Decompression of one member (gzip) or frame (zstd) at a time, without I/O.
//!
//! A file may hold several members one after the other; `stream` looks at what stands between them.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::DParameter;

/// The largest zstd window that is granted, as a power of two: 128 MiB, what the `zstd` program
/// grants without an option. Every level without `--ultra --long=28` or more stays below.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Of a skippable frame, whose first byte is 0x50 to 0x5f.
const ZSTD_SKIPPABLE_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];
const GZIP_WINDOW_BITS: u8 = 15;

/// How a file is compressed, told by its first bytes and never by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Compression {
    /// How many bytes [`Compression::of`] looks at.
    pub const MAGIC_BYTES: usize = 4;

    /// From the first bytes of a file.
    pub fn of(head: &[u8]) -> Compression {
        if head.starts_with(&GZIP_MAGIC) {
            Compression::Gzip
        } else if head.starts_with(&ZSTD_MAGIC) || is_skippable(head) {
            Compression::Zstd
        } else {
            Compression::Plain
        }
    }

    /// The word for messages and for the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Compression::Plain => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}

fn is_skippable(head: &[u8]) -> bool {
    head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == ZSTD_SKIPPABLE_MAGIC
}

/// What stands where a member may begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Between {
    /// Another member.
    Member,
    /// The beginning of a magic number, or nothing: more bytes are needed to tell.
    Undecided,
    /// Something else.
    Other,
}

/// What a step of decoding found.
#[derive(Debug)]
pub(crate) struct Step {
    /// Compressed bytes used.
    pub(crate) used: usize,
    /// Decompressed bytes made.
    pub(crate) made: usize,
    /// `Ok(true)`: the member has ended.
    pub(crate) end: Result<bool, Fault>,
}

/// Why a member cannot be decoded any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Damaged(&'static str),
    WindowTooLarge,
}

pub(crate) enum Decoder {
    Gzip(Decompress),
    Zstd(ZstdDecoder<'static>),
}

impl Decoder {
    /// `None` for plain files.
    pub(crate) fn new(compression: Compression) -> std::io::Result<Option<Decoder>> {
        match compression {
            Compression::Plain => Ok(None),
            Compression::Gzip => Ok(Some(Decoder::Gzip(Decompress::new_gzip(GZIP_WINDOW_BITS)))),
            Compression::Zstd => {
                let mut decoder = ZstdDecoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Ok(Some(Decoder::Zstd(decoder)))
            }
        }
    }

    /// Looks at the bytes after a member, or at the beginning.
    pub(crate) fn between(&self, bytes: &[u8]) -> Between {
        let compression = match self {
            Decoder::Gzip(_) => Compression::Gzip,
            Decoder::Zstd(_) => Compression::Zstd,
        };
        if Compression::of(bytes) == compression {
            return Between::Member;
        }
        let beginning = match self {
            Decoder::Gzip(_) => GZIP_MAGIC.starts_with(bytes),
            Decoder::Zstd(_) => {
                let skippable = bytes.len() < 4
                    && bytes.first().is_some_and(|b| b & 0xf0 == 0x50)
                    && ZSTD_SKIPPABLE_MAGIC.starts_with(&bytes[1..]);
                ZSTD_MAGIC.starts_with(bytes) || skippable
            }
        };
        if beginning { Between::Undecided } else { Between::Other }
    }

    /// Makes ready for another member.
    pub(crate) fn next_member(&mut self) {
        // zstd starts another frame by itself; a gzip decoder can only be reset to zlib or raw.
        if let Decoder::Gzip(decoder) = self {
            *decoder = Decompress::new_gzip(GZIP_WINDOW_BITS);
        }
    }

    /// Decodes inside a member.
    pub(crate) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        match self {
            Decoder::Gzip(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let status = decoder.decompress(input, output, FlushDecompress::None);
                let used = (decoder.total_in() - before.0) as usize;
                let made = (decoder.total_out() - before.1) as usize;
                let end = match status {
                    Ok(Status::StreamEnd) => Ok(true),
                    Ok(_) => Ok(false),
                    Err(_) => Err(Fault::Damaged("not valid gzip data, or its checksum differs")),
                };
                Step { used, made, end }
            }
            Decoder::Zstd(decoder) => {
                let mut input = InBuffer::around(input);
                let mut output = OutBuffer::around(output);
                let end = match decoder.run(&mut input, &mut output) {
                    Ok(hint) => Ok(hint == 0),
                    Err(error) => Err(zstd_fault(&error)),
                };
                Step { used: input.pos(), made: output.pos(), end }
            }
        }
    }
}

/// The library tells its errors by name only.
fn zstd_fault(error: &std::io::Error) -> Fault {
    let name = error.to_string();
    if name.contains("too much memory") {
        Fault::WindowTooLarge
    } else if name.contains("checksum") {
        Fault::Damaged("the checksum of a zstd frame differs")
    } else if name.contains("ictionary") {
        Fault::Damaged("it was compressed with a dictionary, which is not known here")
    } else {
        Fault::Damaged("not valid zstd data")
    }
}
