//! The mark that a reader leaves in a log: hashes of its head and of the bytes before an offset.
//!
//! ```text
//! decompressed bytes of a log
//! |==== head ====|..................|==== tail ====|------- not read yet ------
//! 0     min(4096, offset)   offset - min(4096, offset)   offset
//! ```
//!
//! Both hashes cover only bytes that were read. A mark with an offset up to 4096 therefore proves
//! that a file begins with exactly what was read; a mark at offset 0 proves nothing. A shorter hash
//! for each line of the head tells how much of it a file still begins with that was cut inside it.

use sha2::{Digest, Sha256};

/// How much of the head is hashed, in decompressed bytes. A log of the same server with the same
/// first 4 KiB is the same log: each record holds its time and a connection id.
pub const HEAD_BYTES: usize = 4096;

/// How much before the offset is hashed, in decompressed bytes: one page, and about 40 records.
pub const TAIL_BYTES: usize = 4096;

/// Where a line of a head ends (in bytes, behind its line break), with the first 8 bytes of the SHA-256 of
/// everything up to there.
pub type LineEnd = (u16, [u8; 8]);

/// What was read of a log, so that it is found again under any name and compression.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint {
    /// How many bytes `head` covers: `min(offset, HEAD_BYTES)`.
    pub head_len: u32,
    /// SHA-256 of the first `head_len` decompressed bytes, its first 16 bytes.
    pub head: [u8; 16],
    /// How many decompressed bytes were read.
    pub offset: u64,
    /// How many bytes `tail` covers: `min(offset, TAIL_BYTES)`.
    pub tail_len: u32,
    /// SHA-256 of the `tail_len` decompressed bytes before `offset`, its first 16 bytes.
    pub tail: [u8; 16],
    /// The lines that end in the head; a caller may keep the first alone.
    pub lines: Vec<LineEnd>,
}

impl Fingerprint {
    /// From the bytes themselves: `head` is the first `min(offset, HEAD_BYTES)` and `tail` the last
    /// `min(offset, TAIL_BYTES)` decompressed bytes before `offset`.
    ///
    /// # Panics
    /// Where the lengths are not those.
    pub fn of(head: &[u8], tail: &[u8], offset: u64) -> Fingerprint {
        assert_eq!(head.len() as u64, offset.min(HEAD_BYTES as u64));
        assert_eq!(tail.len() as u64, offset.min(TAIL_BYTES as u64));
        Fingerprint {
            head_len: head.len() as u32,
            head: hash(head),
            offset,
            tail_len: tail.len() as u32,
            tail: hash(tail),
            lines: line_ends(head),
        }
    }
}

/// The lines that end in a head.
pub(crate) fn line_ends(head: &[u8]) -> Vec<LineEnd> {
    let mut hasher = Sha256::new();
    let mut end = 0;
    head.split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .map(|line| {
            hasher.update(line);
            end += line.len() as u16;
            let mut cut = [0; 8];
            cut.copy_from_slice(&hasher.clone().finalize()[..8]);
            (end, cut)
        })
        .collect()
}

/// The first 16 bytes of SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> [u8; 16] {
    short(Sha256::digest(bytes).as_slice())
}

/// The first 16 bytes of a SHA-256 value.
pub(crate) fn short(digest: &[u8]) -> [u8; 16] {
    let mut cut = [0; 16];
    cut.copy_from_slice(&digest[..16]);
    cut
}

/// Keeps the head and the last 4 KiB of what passes, so that a mark costs no second reading.
///
/// ```
/// use source::{Capture, Fingerprint};
/// let mut capture = Capture::new();
/// capture.feed(b"first\n");
/// capture.feed(b"second\n");
/// let all = b"first\nsecond\n";
/// assert_eq!(capture.fingerprint(), Fingerprint::of(all, all, 13));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Capture {
    head: Vec<u8>,
    tail: Vec<u8>,
    offset: u64,
}

impl Capture {
    /// At offset 0.
    pub fn new() -> Capture {
        Capture::default()
    }

    /// At an offset whose surroundings are known; the same bytes as for [`Fingerprint::of`].
    ///
    /// # Panics
    /// Where the lengths are not those.
    pub fn at(head: &[u8], tail: &[u8], offset: u64) -> Capture {
        assert_eq!(head.len() as u64, offset.min(HEAD_BYTES as u64));
        assert_eq!(tail.len() as u64, offset.min(TAIL_BYTES as u64));
        Capture { head: head.to_vec(), tail: tail.to_vec(), offset }
    }

    /// The next bytes of the log. Costs a copy of at most 4 KiB per call.
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() >= TAIL_BYTES {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - TAIL_BYTES..]);
        } else {
            let keep = self.tail.len().min(TAIL_BYTES - bytes.len());
            self.tail.drain(..self.tail.len() - keep);
            self.tail.extend_from_slice(bytes);
        }
        self.offset += bytes.len() as u64;
    }

    /// How many bytes have passed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The first bytes, up to [`HEAD_BYTES`].
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The last bytes, up to [`TAIL_BYTES`].
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// The mark at this offset.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.head, &self.tail, self.offset)
    }
}
