//! One log file to be read: what it is, from where on, and as what.

use formats::Dialect;
use jiff::tz::TimeZone;
use ledger::{Batch, BatchOptions, LocalClock};
use source::{Candidate, Capture, Compression, Error, HEAD_BYTES, OpenFile, TAIL_BYTES};

use super::read::LogReader;

/// A file that has something to read.
#[derive(Debug)]
pub(super) struct FileWork<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) dialect: Dialect,
    /// The ledger's number of the source.
    pub(super) source: i64,
    /// The ledger's number of the file.
    pub(super) id: i64,
    pub(super) offset: u64,
    /// The first bytes of a plain file, as they were before anything was counted.
    pub(super) head: Vec<u8>,
    pub(super) mid_record: bool,
    /// The newest record read of it before.
    pub(super) newest: Option<i64>,
    pub(super) zone: TimeZone,
    pub(super) options: BatchOptions,
}

impl FileWork<'_> {
    pub(super) fn file(&self) -> OpenFile {
        self.candidate.file().clone()
    }

    /// Where a plain file ended when it was opened; of others the raw length.
    pub(super) fn end(&self) -> u64 {
        self.candidate.file().facts().len
    }

    fn is_plain(&self) -> bool {
        self.candidate.file().compression() == Compression::Plain
    }

    /// Whether parts of it can be read apart: years without a number are found by the order of the
    /// whole file.
    pub(super) fn can_be_split(&self) -> bool {
        self.is_plain() && self.dialect != Dialect::ServerAuditSyslog
    }

    /// Raw bytes that are left to read, for progress.
    pub(super) fn raw_left(&self) -> u64 {
        if self.is_plain() { self.end().saturating_sub(self.offset) } else { self.end() }
    }

    /// An empty batch for records of this file.
    pub(super) fn batch(&self) -> Batch {
        let mut clock = LocalClock::new(self.zone.clone(), self.candidate.file().facts().modified);
        if let Some(newest) = self.newest {
            clock.resume(newest);
        }
        Batch::new(self.options.clone(), clock, self.id)
    }

    /// An empty batch for records behind those that `clock` has converted.
    pub(super) fn batch_after(&self, clock: LocalClock) -> Batch {
        Batch::new(self.options.clone(), clock, self.id)
    }

    /// A reader from where the file was left.
    ///
    /// # Errors
    /// Where the file cannot be read up to there.
    pub(super) fn reader(&self, until: Option<u64>) -> Result<LogReader, Error> {
        let mut reader = if self.is_plain() {
            self.reader_at(self.offset, until)?
        } else {
            let stream = self.candidate.file().stream(self.offset)?;
            let capture = stream.capture().clone();
            LogReader::stream(Box::new(stream), self.dialect, capture, &[])
        };
        if self.mid_record {
            reader.resume_mid_record();
        }
        Ok(reader)
    }

    /// A reader of a plain file from the beginning of a line.
    ///
    /// # Errors
    /// Where the file has been cut before it.
    pub(super) fn reader_at(&self, offset: u64, until: Option<u64>) -> Result<LogReader, Error> {
        let file = self.file();
        let mut tail = vec![0; offset.min(TAIL_BYTES as u64) as usize];
        let tail_start = offset - tail.len() as u64;
        let read = file.read_full_at(&mut tail, tail_start)?;
        let head = self.head.get(..offset.min(HEAD_BYTES as u64) as usize);
        let Some(head) = head.filter(|_| read == tail.len()) else {
            return Err(Error::Shrunk { path: file.path().to_path_buf(), offset });
        };
        let capture = Capture::at(head, &tail, offset);
        Ok(LogReader::plain(file, self.dialect, capture, self.end(), until))
    }
}
