//! An open file whose place among the marks is to be found, with as much of its content as that
//! takes.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::capture::{Fingerprint, HEAD_BYTES, TAIL_BYTES, short};
use crate::decode::Compression;
use crate::error::Error;
use crate::known::Raw;
use crate::open::OpenFile;

/// An open file about which is to be decided.
#[derive(Debug)]
pub struct Candidate {
    pub(crate) file: OpenFile,
    pub(crate) print: [u8; 16],
    head: OnceLock<Vec<u8>>,
}

impl Candidate {
    /// Reads the first and last 4 KiB of a compressed file, and nothing of a plain one.
    ///
    /// # Errors
    /// Where reading fails.
    pub fn new(file: OpenFile) -> Result<Candidate, Error> {
        let print = match file.compression() {
            Compression::Plain => [0; 16],
            Compression::Gzip | Compression::Zstd => print_of(&file)?,
        };
        Ok(Candidate { file, print, head: OnceLock::new() })
    }

    /// The open file.
    pub fn file(&self) -> &OpenFile {
        &self.file
    }

    /// To be stored with the mark. `drained`: it was read to its end or cut.
    pub fn raw(&self, drained: bool) -> Raw {
        Raw { facts: self.file.facts(), print: self.print, drained }
    }

    /// The mark of a file of which the first `offset` bytes were read, where that is no more than the
    /// head.
    ///
    /// # Errors
    /// [`Error::Shrunk`] where the head is shorter.
    pub fn fingerprint_in_head(&self, offset: u64) -> Result<Fingerprint, Error> {
        let part = usize::try_from(offset).ok().and_then(|end| self.head().ok()?.get(..end));
        match part {
            Some(part) => Ok(Fingerprint::of(part, part, offset)),
            None => Err(Error::Shrunk { path: self.file.path().to_path_buf(), offset }),
        }
    }

    /// Whether nothing at all is in it, decompressed; also where nothing of it can be read.
    pub fn is_empty(&self) -> bool {
        self.head().is_ok_and(<[u8]>::is_empty)
    }

    /// The first decompressed bytes: fewer than [`HEAD_BYTES`] where the content (or what can be
    /// decompressed of it) ends before.
    pub(crate) fn head(&self) -> Result<&[u8], Error> {
        if let Some(head) = self.head.get() {
            return Ok(head);
        }
        let head = match self.file.compression() {
            Compression::Plain => {
                let mut head = vec![0; HEAD_BYTES];
                let n = self.file.read_full_at(&mut head, 0)?;
                // What was written since the file was opened is for the next time.
                head.truncate(n.min(usize::try_from(self.file.facts().len).unwrap_or(n)));
                head
            }
            Compression::Gzip | Compression::Zstd => {
                let mut stream = self.file.stream(0)?;
                stream.skip_to(HEAD_BYTES as u64)?;
                stream.head().to_vec()
            }
        };
        Ok(self.head.get_or_init(|| head))
    }

    /// The head where it was read before.
    pub(crate) fn head_read(&self) -> Option<&[u8]> {
        self.head.get().map(Vec::as_slice)
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.file.compression() == Compression::Plain
    }
}

/// Hash of the length, the first and the last 4 KiB as stored. The last bytes of a gzip member are
/// the checksum and length of its content.
fn print_of(file: &OpenFile) -> Result<[u8; 16], Error> {
    let len = file.facts().len;
    let mut bytes = vec![0; HEAD_BYTES + TAIL_BYTES];
    let head = file.read_full_at(&mut bytes[..HEAD_BYTES], 0)?;
    let last = len.saturating_sub(TAIL_BYTES as u64);
    let tail = file.read_full_at(&mut bytes[HEAD_BYTES..], last)?;
    let mut hasher = Sha256::new();
    hasher.update(len.to_le_bytes());
    hasher.update(&bytes[..head]);
    hasher.update(&bytes[HEAD_BYTES..HEAD_BYTES + tail]);
    Ok(short(hasher.finalize().as_slice()))
}
