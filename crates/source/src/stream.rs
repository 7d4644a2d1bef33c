//! Sequential reading with decompression, from a file or from any `Read` such as standard input.
//!
//! ```text
//! raw       | member | member | mem~   (cut)
//! out       ================>==========>  every byte before the cut, then Error::CutShort
//! ```
//!
//! # Invariants
//! * Everything that can be decompressed is delivered before an error is.
//! * Once an error or the end was told, it is told again.
//! * NUL bytes after the last member are padding, as tapes and some file systems add it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::capture::{Capture, Fingerprint};
use crate::decode::{Between, Compression, Decoder, Fault, ZSTD_WINDOW_LOG_MAX};
use crate::error::Error;

/// Bytes asked for at first: whoever wants only the head of a file has it read no further.
const INPUT_BYTES_FIRST: usize = 4 << 10;

/// Bytes asked for at once in the end; each read doubles up to it.
const INPUT_BYTES: usize = 128 << 10;

/// Bytes decompressed at once to be skipped.
const SKIP_BYTES: usize = 64 << 10;

/// Reads decompressed bytes one after the other.
///
/// ```
/// # fn main() -> Result<(), source::Error> {
/// let mut stream = source::Stream::new(&b"a line\n"[..], "standard input".as_ref())?;
/// let mut bytes = [0; 16];
/// assert_eq!(stream.read(&mut bytes)?, 7);
/// assert_eq!(stream.read(&mut bytes)?, 0);
/// # Ok(())
/// # }
/// ```
pub struct Stream<R> {
    reader: R,
    name: PathBuf,
    compression: Compression,
    decoder: Option<Decoder>,
    input: Vec<u8>,
    /// What of `input` is not used yet.
    start: usize,
    end: usize,
    reader_ended: bool,
    /// Inside a member; else between two.
    in_member: bool,
    /// Of the first byte of `input[start..]` in the raw file.
    raw_offset: u64,
    capture: Capture,
    ending: Option<Ending>,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Complete,
    CutShort,
    Garbage,
    Broken(Fault),
}

impl<R: Read> Stream<R> {
    /// Reads as much as tells the compression. `name` stands in messages.
    ///
    /// # Errors
    /// Where reading fails.
    pub fn new(reader: R, name: &Path) -> Result<Stream<R>, Error> {
        let mut stream = Stream {
            reader,
            name: name.to_path_buf(),
            compression: Compression::Plain,
            decoder: None,
            input: Vec::new(),
            start: 0,
            end: 0,
            reader_ended: false,
            in_member: false,
            raw_offset: 0,
            capture: Capture::new(),
            ending: None,
        };
        while stream.end < Compression::MAGIC_BYTES && !stream.reader_ended {
            stream.fill()?;
        }
        stream.compression = Compression::of(&stream.input[..stream.end]);
        stream.decoder =
            Decoder::new(stream.compression).map_err(|error| stream.io("decompressing", error))?;
        Ok(stream)
    }

    /// A plain reader that stands at the offset of `capture`.
    pub(crate) fn plain_at(reader: R, name: &Path, capture: Capture) -> Stream<R> {
        Stream {
            reader,
            name: name.to_path_buf(),
            compression: Compression::Plain,
            decoder: None,
            input: Vec::new(),
            start: 0,
            end: 0,
            reader_ended: false,
            in_member: false,
            raw_offset: capture.offset(),
            capture,
            ending: None,
        }
    }

    /// How the input is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// How many decompressed bytes were delivered or skipped.
    pub fn offset(&self) -> u64 {
        self.capture.offset()
    }

    /// How many raw bytes were used: for progress.
    pub fn raw_offset(&self) -> u64 {
        self.raw_offset
    }

    /// Whether nothing more comes: the end, or an error at which the stream ends.
    pub fn ended(&self) -> bool {
        self.ending.is_some()
    }

    /// The first decompressed bytes so far, up to `HEAD_BYTES`.
    pub fn head(&self) -> &[u8] {
        self.capture.head()
    }

    /// The decompressed bytes before [`Stream::offset`], up to `TAIL_BYTES`.
    pub fn tail(&self) -> &[u8] {
        self.capture.tail()
    }

    /// Head and tail at [`Stream::offset`]. A caller that uses less than it has read (an unfinished
    /// last line) clones it before reading and feeds it with what it used.
    pub fn capture(&self) -> &Capture {
        &self.capture
    }

    /// The mark at [`Stream::offset`].
    pub fn fingerprint(&self) -> Fingerprint {
        self.capture.fingerprint()
    }

    /// Delivers the next decompressed bytes, at least one; 0 at the end or where `out` is empty.
    ///
    /// # Errors
    /// An error for which [`Error::ends_stream`] holds comes after every byte before it was
    /// delivered. Others tell that reading failed.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        if out.is_empty() {
            return Ok(0);
        }
        let made = if self.decoder.is_none() { self.read_plain(out)? } else { self.decode(out)? };
        self.capture.feed(&out[..made]);
        Ok(made)
    }

    /// Goes on to a decompressed offset by decoding what lies before it. Tells the offset reached:
    /// less than `offset` where the data ends before.
    ///
    /// # Errors
    /// As [`Stream::read`], except that a cut or damage is no error here: the next read tells it.
    pub fn skip_to(&mut self, offset: u64) -> Result<u64, Error> {
        let mut scratch = vec![0; SKIP_BYTES];
        while self.offset() < offset {
            let want = (offset - self.offset()).min(SKIP_BYTES as u64) as usize;
            match self.read(&mut scratch[..want]) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.ends_stream() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.offset())
    }

    fn read_plain(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        if self.start < self.end {
            let n = out.len().min(self.end - self.start);
            out[..n].copy_from_slice(&self.input[self.start..self.start + n]);
            self.used(n);
            return Ok(n);
        }
        if self.reader_ended {
            return Ok(0);
        }
        let n = read_some(&mut self.reader, out).map_err(|error| self.io("reading", error))?;
        self.raw_offset += n as u64;
        if n == 0 {
            self.reader_ended = true;
            self.ending = Some(Ending::Complete);
        }
        Ok(n)
    }

    fn decode(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        loop {
            if let Some(ending) = self.ending {
                return self.tell(ending);
            }
            if !self.in_member {
                self.find_member()?;
                continue;
            }
            if self.start == self.end && !self.reader_ended {
                self.fill()?;
            }
            let Some(decoder) = &mut self.decoder else {
                return Ok(0);
            };
            let step = decoder.step(&self.input[self.start..self.end], out);
            self.used(step.used);
            match step.end {
                Ok(true) => self.in_member = false,
                // Without input and without output there is nothing left inside the decoder.
                Ok(false) if self.reader_ended && step.used == 0 && step.made == 0 => {
                    self.ending = Some(Ending::CutShort);
                }
                Ok(false) => {}
                Err(fault) => self.ending = Some(Ending::Broken(fault)),
            }
            if step.made > 0 {
                return Ok(step.made);
            }
        }
    }

    /// Looks at what follows a member: another one, padding, the end, or something else.
    fn find_member(&mut self) -> Result<(), Error> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(());
        };
        let rest = &self.input[self.start..self.end];
        match decoder.between(rest) {
            Between::Member => {
                decoder.next_member();
                self.in_member = true;
            }
            Between::Undecided if !self.reader_ended => self.fill()?,
            Between::Undecided if rest.is_empty() => self.ending = Some(Ending::Complete),
            Between::Undecided => self.ending = Some(Ending::CutShort),
            Between::Other if rest.iter().any(|byte| *byte != 0) => {
                self.ending = Some(Ending::Garbage);
            }
            Between::Other => {
                let padding = rest.len();
                self.used(padding);
                if self.reader_ended {
                    self.ending = Some(Ending::Complete);
                } else {
                    self.fill()?;
                    // After padding only padding: a member there would be garbage to other tools.
                    if self.input[self.start..self.end].iter().any(|byte| *byte != 0) {
                        self.ending = Some(Ending::Garbage);
                    }
                }
            }
        }
        Ok(())
    }

    fn tell(&self, ending: Ending) -> Result<usize, Error> {
        let path = self.name.clone();
        let (decompressed_offset, raw_offset) = (self.offset(), self.raw_offset);
        Err(match ending {
            Ending::Complete => return Ok(0),
            Ending::CutShort => Error::CutShort { path, decompressed_offset, raw_offset },
            Ending::Garbage => Error::TrailingGarbage { path, decompressed_offset, raw_offset },
            Ending::Broken(Fault::Damaged(what)) => {
                Error::Damaged { path, decompressed_offset, raw_offset, what }
            }
            Ending::Broken(Fault::WindowTooLarge) => Error::WindowTooLarge {
                path,
                decompressed_offset,
                raw_offset,
                window_log_max: ZSTD_WINDOW_LOG_MAX,
            },
        })
    }

    /// Reads once, behind what is not used yet.
    fn fill(&mut self) -> Result<(), Error> {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.input.len() < INPUT_BYTES {
            self.input.resize((self.input.len() * 2).max(INPUT_BYTES_FIRST), 0);
        }
        let n = read_some(&mut self.reader, &mut self.input[self.end..])
            .map_err(|error| Error::from_io(&self.name, "reading", error))?;
        self.end += n;
        self.reader_ended = n == 0;
        Ok(())
    }

    fn used(&mut self, n: usize) {
        self.start += n;
        self.raw_offset += n as u64;
    }

    fn io(&self, doing: &'static str, error: io::Error) -> Error {
        Error::from_io(&self.name, doing, error)
    }
}

/// One read, repeated where a signal interrupted it.
fn read_some<R: Read>(reader: &mut R, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(out) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
