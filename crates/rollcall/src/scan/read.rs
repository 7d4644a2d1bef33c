//! From a log's bytes to a batch: fills a buffer, lets the dialect's reader use what it can, keeps the
//! rest.
//!
//! # Invariants
//! * A record is counted whole or not at all: [`LogReader::offset`] always lies behind the last record
//!   that the batch holds.
//! * The buffer grows only for a record that is longer than it, and never beyond
//!   [`formats::RECORD_BYTES_MAX`] and one step.

use std::cell::Cell;

use formats::{Dialect, RECORD_BYTES_MAX, Reader};
use ledger::Batch;
use source::{Capture, Error, Fingerprint, OpenFile, Stream};

/// Bytes asked for at once. What is read should still be in the processor's cache when it is parsed.
const STEP_BYTES: usize = 128 << 10;

/// Where the bytes come from.
enum Input {
    /// A plain file, up to `end`: what is written from now on is for the next time.
    Plain { file: OpenFile, end: u64 },
    /// Anything decompressed or piped.
    Stream { stream: Box<dyn Bytes + Send> },
}

/// A [`Stream`] over any reader.
pub(super) trait Bytes {
    /// As [`Stream::read`].
    fn read(&mut self, out: &mut [u8]) -> Result<usize, Error>;
    /// As [`Stream::raw_offset`].
    fn raw_offset(&self) -> u64;
}

impl<R: std::io::Read> Bytes for Stream<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        Stream::read(self, out)
    }

    fn raw_offset(&self) -> u64 {
        Stream::raw_offset(self)
    }
}

/// Told of each stretch of raw bytes that is read; answers whether to read on.
pub(super) type Progress<'a> = dyn Fn(u64) -> bool + Sync + 'a;

/// How reading ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Everything there is was read, but for an unfinished last record.
    Whole,
    /// The batch has grown to its bound, or reading is to pause: hand it on and go on with another.
    BatchFull,
    /// What follows cannot be read; what was before it is in the batch.
    Broken(Error),
    /// This program is at fault.
    Crashed,
}

/// How far a log is read.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    /// Head, tail and offset of what was used.
    pub(super) fingerprint: Fingerprint,
    /// The offset lies inside a record that was too long.
    pub(super) mid_record: bool,
    /// Bytes of an unfinished last record, where nothing will be written behind them in place: of a
    /// compressed file or a pipe. They are left for the time when there is more.
    pub(super) unfinished_bytes: usize,
}

/// Reads one log, or one part of it.
pub(super) struct LogReader {
    input: Input,
    reader: Reader,
    buffer: Vec<u8>,
    /// The filled part of the buffer; it begins at `offset`.
    filled: usize,
    offset: u64,
    /// Head and tail of what was read, from the bytes themselves: the file may be cut behind our back.
    capture: Capture,
    /// Records that begin here or later belong to somebody else.
    until: Option<u64>,
    raw_seen: u64,
}

impl LogReader {
    /// Reads a plain file from where `capture` stands to `end`; with `until`, only the records that
    /// begin before it.
    pub(super) fn plain(
        file: OpenFile,
        dialect: Dialect,
        capture: Capture,
        end: u64,
        until: Option<u64>,
    ) -> LogReader {
        let offset = capture.offset();
        let rest = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let size = STEP_BYTES.min(rest.saturating_add(1)).max(4096);
        LogReader {
            input: Input::Plain { file, end },
            reader: Reader::new(dialect),
            buffer: vec![0; size],
            filled: 0,
            offset,
            capture,
            until,
            raw_seen: 0,
        }
    }

    /// Reads a stream to its end. `ahead` are bytes that were taken from it already; `capture` is the
    /// stream's before them.
    pub(super) fn stream(
        stream: Box<dyn Bytes + Send>,
        dialect: Dialect,
        capture: Capture,
        ahead: &[u8],
    ) -> LogReader {
        let mut buffer = vec![0; STEP_BYTES];
        buffer[..ahead.len()].copy_from_slice(ahead);
        LogReader {
            offset: capture.offset(),
            raw_seen: stream.raw_offset(),
            input: Input::Stream { stream },
            capture,
            reader: Reader::new(dialect),
            buffer,
            filled: ahead.len(),
            until: None,
        }
    }

    /// Begins inside a record that was too long and is told of already.
    pub(super) fn resume_mid_record(&mut self) {
        self.reader.resume_mid_record();
    }

    /// How far the log is read, in decompressed bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// How far the log is read, as it is stored.
    pub(super) fn reached(&self) -> Reached {
        Reached {
            fingerprint: self.capture.fingerprint(),
            mid_record: self.reader.is_mid_record(),
            unfinished_bytes: match self.input {
                Input::Plain { .. } => 0,
                Input::Stream { .. } => self.filled,
            },
        }
    }

    /// Reads until the end, a fault, `batch_bytes` in the batch, or until `progress` says no.
    pub(super) fn read(
        &mut self,
        batch: &mut Batch,
        batch_bytes: usize,
        progress: &Progress<'_>,
    ) -> Ended {
        let go_on = Cell::new(true);
        let told = |bytes| go_on.set(progress(bytes) && go_on.get());
        loop {
            if self.until.is_some_and(|until| self.offset >= until) {
                return Ended::Whole;
            }
            if batch.bytes() > batch_bytes {
                return Ended::BatchFull;
            }
            let more = match self.fill(&told) {
                Ok(more) => more,
                Err(error) if error.ends_stream() => {
                    self.give(batch);
                    return Ended::Broken(error);
                }
                Err(error) => return Ended::Broken(error),
            };
            self.give(batch);
            if !more {
                return Ended::Whole;
            }
            if !go_on.get() {
                return Ended::BatchFull;
            }
        }
    }

    /// Reads on; false where there is nothing more.
    fn fill(&mut self, progress: &dyn Fn(u64)) -> Result<bool, Error> {
        if self.filled == self.buffer.len() {
            let size = (self.buffer.len() * 2).min(RECORD_BYTES_MAX + STEP_BYTES);
            self.buffer.resize(size, 0);
        }
        match &mut self.input {
            Input::Plain { file, end } => {
                let at = self.offset + self.filled as u64;
                let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
                let room = (self.buffer.len() - self.filled).min(left);
                let place = &mut self.buffer[self.filled..self.filled + room];
                let n = match file.read_at(place, at) {
                    Ok(n) => n,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                        return Ok(true);
                    }
                    // Told with its path and remedy.
                    Err(_) => file.read_full_at(place, at)?,
                };
                self.filled += n;
                progress(n as u64);
                Ok(n > 0)
            }
            Input::Stream { stream } => {
                let n = stream.read(&mut self.buffer[self.filled..])?;
                self.filled += n;
                progress(stream.raw_offset() - self.raw_seen);
                self.raw_seen = stream.raw_offset();
                Ok(n > 0)
            }
        }
    }

    /// Gives the reader what is there, as far as it belongs to this part.
    fn give(&mut self, batch: &mut Batch) {
        let mut end = self.part_end(0);
        loop {
            batch.at(self.offset);
            let used = self.reader.read(&self.buffer[..end], formats::Input::Open, batch);
            self.capture.feed(&self.buffer[..used]);
            self.offset += used as u64;
            self.buffer.copy_within(used..self.filled, 0);
            self.filled -= used;
            end -= used;
            // A record that begins in this part may need bytes of the next to be judged.
            let undecided = end > 0 && self.until.is_some_and(|until| self.offset < until);
            if !undecided || end == self.filled {
                break;
            }
            end = self.part_end(end);
        }
        batch.at(self.offset);
    }

    /// How many of the filled bytes to give: up to the line break at or behind the part's end, the first
    /// that lies behind `given`.
    fn part_end(&self, given: usize) -> usize {
        let Some(until) = self.until else { return self.filled };
        let last = usize::try_from(until.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let from = last.saturating_sub(1).max(given);
        if from >= self.filled {
            return self.filled;
        }
        let found = self.buffer[from..self.filled].iter().position(|&byte| byte == b'\n');
        found.map_or(self.filled, |line_break| from + line_break + 1)
    }
}

/// Where the first line begins that starts at `at` or later: behind the first line break from the byte
/// before it on. `None` where there is none before `end`.
///
/// # Errors
/// Where reading fails.
pub(super) fn line_start(file: &OpenFile, at: u64, end: u64) -> Result<Option<u64>, Error> {
    if at == 0 {
        return Ok(Some(0));
    }
    let mut buffer = vec![0; 64 << 10];
    let mut from = at - 1;
    while from < end {
        let n = file.read_full_at(&mut buffer, from)?;
        if let Some(found) = buffer[..n].iter().position(|&byte| byte == b'\n') {
            let start = from + found as u64 + 1;
            return Ok((start < end).then_some(start));
        }
        if n == 0 {
            break;
        }
        from += n as u64;
    }
    Ok(None)
}
