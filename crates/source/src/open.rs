//! Opens regular files, and only those, without ever blocking.
//!
//! `stat` first, then `open` with `O_NONBLOCK`, then `fstat` again: whatever stands at the path by
//! then, nothing but a regular file is read, and no FIFO is waited for. An open file stays the same
//! file when it is renamed.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::capture::{Capture, Fingerprint, HEAD_BYTES, TAIL_BYTES};
use crate::decode::Compression;
use crate::error::{Error, Kind};
use crate::stream::Stream;

/// What the file system tells of a file. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Number of the device.
    pub device: u64,
    /// Number of the file on its device; handed out again once the file is deleted.
    pub inode: u64,
    /// When the file was created, where the file system keeps it.
    pub born: Option<i64>,
    /// Length in bytes, as stored (compressed).
    pub len: u64,
    /// When the content was last changed.
    pub modified: i64,
}

impl Facts {
    /// From the metadata of a file.
    pub fn of(metadata: &Metadata) -> Facts {
        Facts {
            device: metadata.dev(),
            inode: metadata.ino(),
            born: metadata.created().ok().map(micros),
            len: metadata.len(),
            modified: metadata
                .mtime()
                .saturating_mul(1_000_000)
                .saturating_add(metadata.mtime_nsec() / 1000),
        }
    }

    /// Whether both tell of one file, as far as numbers can tell: device, inode, and birth time
    /// where both know it.
    pub fn same_file(&self, other: &Facts) -> bool {
        let born = match (self.born, other.born) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        self.device == other.device && self.inode == other.inode && born
    }
}

fn micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
    }
}

/// What stands at a path, where it is no regular file.
pub(crate) fn kind_of(metadata: &Metadata) -> Option<Kind> {
    let kind = metadata.file_type();
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some(Kind::Directory)
    } else if kind.is_fifo() {
        Some(Kind::Fifo)
    } else if kind.is_socket() {
        Some(Kind::Socket)
    } else if kind.is_char_device() || kind.is_block_device() {
        Some(Kind::Device)
    } else {
        Some(Kind::Other)
    }
}

/// An open regular file. Clones and threads share one descriptor: reading moves no position.
#[derive(Debug, Clone)]
pub struct OpenFile {
    file: Arc<File>,
    path: PathBuf,
    facts: Facts,
    compression: Compression,
}

impl OpenFile {
    /// Opens the file that `path` leads to.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Denied`], [`Error::NotRegular`], [`Error::Loop`],
    /// [`Error::Io`].
    pub fn open(path: &Path) -> Result<OpenFile, Error> {
        OpenFile::open_with(path, std::fs::metadata(path), 0)
    }

    /// Opens the file that stands at `path` itself: for paths that discovery found, so that no link
    /// put there since leads elsewhere.
    ///
    /// # Errors
    /// As [`OpenFile::open`]; a symbolic link is [`Error::NotRegular`].
    pub fn open_found(path: &Path) -> Result<OpenFile, Error> {
        OpenFile::open_with(path, std::fs::symlink_metadata(path), libc::O_NOFOLLOW)
    }

    fn open_with(
        path: &Path,
        metadata: io::Result<Metadata>,
        flags: i32,
    ) -> Result<OpenFile, Error> {
        let io = |doing| move |error| Error::from_io(path, doing, error);
        let refuse = |kind| Error::NotRegular { path: path.to_path_buf(), kind };
        if let Some(kind) = kind_of(&metadata.map_err(io("looking at the file"))?) {
            return Err(refuse(kind));
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags)
            .open(path)
            .map_err(io("opening"))?;
        let metadata = file.metadata().map_err(io("looking at the open file"))?;
        if let Some(kind) = kind_of(&metadata) {
            return Err(refuse(kind));
        }
        let mut opened = OpenFile {
            file: Arc::new(file),
            path: path.to_path_buf(),
            facts: Facts::of(&metadata),
            compression: Compression::Plain,
        };
        let mut magic = [0; Compression::MAGIC_BYTES];
        let n = opened.read_full_at(&mut magic, 0)?;
        opened.compression = Compression::of(&magic[..n]);
        Ok(opened)
    }

    /// As given to [`OpenFile::open`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As of opening.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// Told by the first bytes.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The facts as of now.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn facts_now(&self) -> Result<Facts, Error> {
        let metadata = self
            .file
            .metadata()
            .map_err(|error| Error::from_io(&self.path, "looking at the open file", error))?;
        Ok(Facts::of(&metadata))
    }

    /// The same open file with its facts as of now: for who keeps it open and reads on.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn again(&self) -> Result<OpenFile, Error> {
        Ok(OpenFile { facts: self.facts_now()?, ..self.clone() })
    }

    /// The same open file under another name: where a copy of it stands, once its own name is gone.
    pub fn called(self, path: &Path) -> OpenFile {
        OpenFile { path: path.to_path_buf(), ..self }
    }

    /// Whether no name leads to the file any more: it was deleted, and goes when it is closed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_deleted(&self) -> Result<bool, Error> {
        let metadata = self.file.metadata();
        let failed = |error| Error::from_io(&self.path, "looking at the open file", error);
        Ok(metadata.map_err(failed)?.nlink() == 0)
    }

    /// Reads raw bytes (not decompressed) at an offset, with one system call.
    ///
    /// # Errors
    /// What the system tells, also that the call was interrupted.
    pub fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(out, offset)
    }

    /// Reads raw bytes at an offset until `out` is full or the file ends; tells how many.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read_full_at(&self, out: &mut [u8], offset: u64) -> Result<usize, Error> {
        let mut n = 0;
        while n < out.len() {
            match self.file.read_at(&mut out[n..], offset + n as u64) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::from_io(&self.path, "reading", error)),
            }
        }
        Ok(n)
    }

    /// A sequential reader that stands at a decompressed offset. A plain file is not read before it
    /// (but for head and tail); a compressed one is decoded up to it.
    ///
    /// # Errors
    /// [`Error::Shrunk`] where the data ends before `offset`; else as [`Stream::read`].
    pub fn stream(&self, offset: u64) -> Result<Stream<FileReader>, Error> {
        if self.compression == Compression::Plain {
            let reader = FileReader { file: Arc::clone(&self.file), offset };
            return Ok(Stream::plain_at(reader, &self.path, self.capture_plain(offset)?));
        }
        let reader = FileReader { file: Arc::clone(&self.file), offset: 0 };
        let mut stream = Stream::new(reader, &self.path)?;
        if stream.skip_to(offset)? < offset {
            return Err(Error::Shrunk { path: self.path.clone(), offset });
        }
        Ok(stream)
    }

    /// The mark of a plain file of which the first `offset` bytes were read: two small reads.
    ///
    /// # Errors
    /// [`Error::Shrunk`] where the file is shorter by now, [`Error::Io`].
    ///
    /// # Panics
    /// Where the file is compressed: there the mark comes from a [`Capture`].
    pub fn fingerprint(&self, offset: u64) -> Result<Fingerprint, Error> {
        assert_eq!(self.compression, Compression::Plain);
        Ok(self.capture_plain(offset)?.fingerprint())
    }

    /// Head and tail of a plain file at an offset.
    pub(crate) fn capture_plain(&self, offset: u64) -> Result<Capture, Error> {
        let mut head = vec![0; offset.min(HEAD_BYTES as u64) as usize];
        let mut tail = vec![0; offset.min(TAIL_BYTES as u64) as usize];
        let tail_start = offset - tail.len() as u64;
        let head_read = self.read_full_at(&mut head, 0)?;
        let tail_read = self.read_full_at(&mut tail, tail_start)?;
        if head_read < head.len() || tail_read < tail.len() {
            return Err(Error::Shrunk { path: self.path.clone(), offset });
        }
        Ok(Capture::at(&head, &tail, offset))
    }
}

/// Reads an [`OpenFile`] from an offset on, raw.
#[derive(Debug)]
pub struct FileReader {
    file: Arc<File>,
    offset: u64,
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(out, self.offset)?;
        self.offset += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_handed_out_again_is_another_file() {
        let facts = Facts { device: 1, inode: 2, born: Some(3), len: 4, modified: 5 };
        assert!(facts.same_file(&Facts { len: 9, modified: 9, ..facts }));
        assert!(facts.same_file(&Facts { born: None, ..facts }));
        assert!(!facts.same_file(&Facts { born: Some(4), ..facts }));
        assert!(!facts.same_file(&Facts { inode: 3, ..facts }));
        assert!(!facts.same_file(&Facts { device: 2, ..facts }));
    }

    #[test]
    fn an_open_file_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "one").unwrap();
        let file = OpenFile::open(&path).unwrap();
        std::fs::write(&path, "longer").unwrap();
        let again = file.again().unwrap();
        assert_eq!((file.facts().len, again.facts().len), (3, 6));
        assert!(again.facts().same_file(&file.facts()) && !again.is_deleted().unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(again.is_deleted().unwrap());
    }

    #[test]
    fn facts_are_those_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let modified = UNIX_EPOCH + std::time::Duration::from_micros(1_764_000_000_000_123);
        file.as_file().set_len(77).unwrap();
        file.as_file().set_modified(modified).unwrap();
        let facts = OpenFile::open(file.path()).unwrap().facts();
        let metadata = file.as_file().metadata().unwrap();
        assert_eq!((facts.len, facts.modified), (77, 1_764_000_000_000_123));
        assert_eq!((facts.device, facts.inode), (metadata.dev(), metadata.ino()));
        assert_eq!(facts.born, metadata.created().ok().map(micros));
        assert_eq!(micros(UNIX_EPOCH - std::time::Duration::from_micros(5)), -5);
    }
}
