//! Binary log files: opened, told apart, read in pieces. Those of a server are fetched when they are read.
//!
//! # Invariants
//! * Memory does not grow with a file or a transaction: an event longer than [`HELD_BYTES_MAX`] is passed
//!   over and told of.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use binlog::{Error, Event, EventType, Format, Framer, Header, Reader, Sink, Step};
use source::{BinlogFile, Compression, FileReader, OpenFile, Stream};
use verdict::trace::FileHead;

use super::remote::Remote;

/// Bytes asked for at once.
const STEP_BYTES: usize = 256 << 10;

/// The longest event that is held.
pub(super) const HELD_BYTES_MAX: usize = 24 << 20;

/// Where the format description ends at the latest: it has a fixed length for each kind of event.
const HEAD_BYTES: usize = 4 << 10;

/// A file of a binary log whose beginning was read.
#[derive(Debug)]
pub(crate) struct Log {
    body: Body,
    /// What it is called: its path, or `-`.
    pub(crate) name: PathBuf,
    pub(crate) head: FileHead,
    pub(crate) format: Format,
    /// Folder and name that all files of the log have.
    pub(crate) log: PathBuf,
    /// What stands behind the format description is encrypted.
    pub(crate) is_encrypted: bool,
}

/// Where the bytes are.
#[derive(Debug)]
enum Body {
    File(OpenFile),
    /// With the server, or fetched.
    Server {
        remote: Rc<Remote>,
        /// Raw, as the server calls it.
        name: Vec<u8>,
        fetched: RefCell<Option<OpenFile>>,
    },
}

/// What paths lead to.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// In order.
    pub(crate) logs: Vec<Log>,
    /// What cannot be used, each a message.
    pub(crate) failed: Vec<String>,
    /// One that is there cannot be read, or is encrypted.
    pub(crate) is_closed: bool,
}

/// Opens the files that the paths name.
pub(crate) fn open(paths: &[PathBuf]) -> Opened {
    let (mut logs, mut failed): (Vec<Log>, Vec<String>) = (Vec::new(), Vec::new());
    let (piped, paths): (Vec<_>, Vec<_>) =
        paths.iter().cloned().partition(|path| path == Path::new("-"));
    let found = source::binlogs(&paths);
    failed.extend(found.failures.iter().map(ToString::to_string));
    let mut is_closed = !failed.is_empty();
    failed.extend(found.missing.iter().map(|path| {
        format!("{}: the index lists it, and it is not there (purged?)", path.display())
    }));
    let mut before: Option<&BinlogFile> = None;
    for file in &found.files {
        let follows = before.is_some_and(|before| file.follows(before));
        match Log::open(&file.file, file.log.clone(), file.file.path(), follows) {
            Ok(log) => {
                is_closed |= log.is_encrypted;
                logs.push(log);
            }
            Err(message) => {
                is_closed = true;
                failed.push(message);
            }
        }
        before = Some(file);
    }
    if !piped.is_empty() {
        let name = Path::new("-");
        let opened = spilled().and_then(|file| Log::open(&file, name.to_owned(), name, false));
        match opened {
            Ok(log) => logs.push(log),
            Err(message) => failed.push(message),
        }
    }
    Opened { logs, failed, is_closed }
}

impl Log {
    fn open(file: &OpenFile, log: PathBuf, name: &Path, follows: bool) -> Result<Log, String> {
        let failed = |what: String| format!("{}: {what}", name.display());
        let mut bytes = vec![0; HEAD_BYTES];
        let mut filled = 0;
        let mut stream = file.stream(0).map_err(|error| error.to_string())?;
        while filled < bytes.len() {
            match stream.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if error.ends_stream() => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        let mut framer = Framer::new();
        let text = |error: Error| failed(error.to_string());
        let event = match framer.next(&bytes[..filled]).map_err(text)? {
            Step::Event(event) => event,
            Step::Incomplete { .. } => {
                return Err(failed("it ends before its first event does: nothing to trace".into()));
            }
        };
        let Event::FormatDescription(format) = event.decode(framer.format()).map_err(text)? else {
            return Err(failed("it does not begin as a binary log does".into()));
        };
        let head = FileHead {
            server_id: event.header.server_id,
            created: format.created(),
            begun: event.header.timestamp,
            follows,
        };
        let next = Header::parse(&bytes[framer.position() as usize..filled]);
        let is_encrypted = next.is_some_and(|it| it.kind == EventType::START_ENCRYPTION);
        let (body, name) = (Body::File(file.clone()), name.to_owned());
        Ok(Log { body, name, head, format: *format, log, is_encrypted })
    }

    /// One that a server has, by a file that holds its beginning.
    pub(super) fn of_server(
        remote: &Rc<Remote>,
        name: &[u8],
        beginning: &OpenFile,
        follows: bool,
    ) -> Result<Log, String> {
        let called = Path::new(OsStr::from_bytes(name));
        let log = Log::open(beginning, PathBuf::new(), called, follows)?;
        let fetched = RefCell::new(None);
        let body = Body::Server { remote: Rc::clone(remote), name: name.to_vec(), fetched };
        Ok(Log { body, ..log })
    }

    /// Its bytes; a server's are fetched now, where they are not yet.
    pub(super) fn file(&self) -> Result<OpenFile, String> {
        match &self.body {
            Body::File(file) => Ok(file.clone()),
            Body::Server { remote, name, fetched } => {
                let mut fetched = fetched.borrow_mut();
                match &*fetched {
                    Some(file) => Ok(file.clone()),
                    None => Ok(fetched.insert(remote.fetch(name)?).clone()),
                }
            }
        }
    }

    /// The log behind it, where its file stands beside.
    pub(super) fn next_beside(&self) -> Option<Log> {
        let Body::File(file) = &self.body else { return None };
        let found = source::next_binlog(file)?;
        let follows = found.follows(&BinlogFile::of(file.clone()));
        // A file of which the first event is not whole yet is looked at again.
        Log::open(&found.file, found.log.clone(), found.file.path(), follows).ok()
    }

    /// Where its file is.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.body {
            Body::File(file) => Some(file.path()),
            Body::Server { .. } => None,
        }
    }

    /// One that a server is sending, as far as it has come.
    pub(super) fn arriving(
        remote: &Rc<Remote>,
        name: &[u8],
        file: &OpenFile,
        follows: bool,
    ) -> Result<Log, String> {
        let log = Log::of_server(remote, name, file, follows)?;
        if let Body::Server { fetched, .. } = &log.body {
            fetched.replace(Some(file.clone()));
        }
        Ok(log)
    }

    /// Whether it is fetched from a server.
    pub(super) fn is_of_server(&self) -> bool {
        matches!(self.body, Body::Server { .. })
    }

    /// What its server calls it, raw; nothing where it is a file.
    pub(super) fn server_name(&self) -> &[u8] {
        match &self.body {
            Body::File(_) => b"",
            Body::Server { name, .. } => name,
        }
    }

    /// Lets go of what was fetched.
    pub(super) fn release(&self) {
        if let Body::Server { fetched, .. } = &self.body {
            fetched.take();
        }
    }

    /// A reader at the beginning.
    pub(crate) fn reader(&self) -> Result<LogReader, String> {
        self.reader_over(Reader::new(), 0)
    }

    /// A reader of one that is being written: at its end it can be asked again, until it is closed.
    pub(super) fn growing_reader(&self) -> Result<LogReader, String> {
        let reader = self.reader()?;
        match reader.input {
            Input::Plain(_) => Ok(LogReader { grows: true, ..reader }),
            Input::Stream(_) => {
                Err(format!("{}: what is compressed does not grow", self.name.display()))
            }
        }
    }

    /// A reader at the beginning of a transaction.
    pub(crate) fn reader_at(&self, position: u64) -> Result<LogReader, String> {
        self.reader_over(Reader::resume(position, self.format), position)
    }

    fn reader_over(&self, reader: Reader, position: u64) -> Result<LogReader, String> {
        let file = self.file()?;
        let input = match file.compression() {
            Compression::Plain => Input::Plain(file),
            _ => {
                let stream = file.stream(position).map_err(|error| error.to_string())?;
                Input::Stream(Box::new(stream))
            }
        };
        let name = self.name.clone();
        let buffer = vec![0; STEP_BYTES];
        Ok(LogReader { input, reader, name, buffer, filled: 0, at: position, grows: false })
    }
}

/// Standard input in a file without a name: it is read more than once.
fn spilled() -> Result<OpenFile, String> {
    let (mut out, path) = super::spill::private_file()?;
    let failed = |error: std::io::Error| {
        format!("standard input cannot be kept in {}: {error}; set TMPDIR", path.display())
    };
    let copied = (|| {
        let mut stream = Stream::new(std::io::stdin().lock(), Path::new("-"))
            .map_err(|error| error.to_string())?;
        let mut bytes = vec![0; STEP_BYTES];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(length) => out.write_all(&bytes[..length]).map_err(failed)?,
                Err(error) => return Err(error.to_string()),
            }
        }
    })();
    let opened = copied.and_then(|()| OpenFile::open(&path).map_err(|error| error.to_string()));
    let _ = std::fs::remove_file(&path);
    opened
}

enum Input {
    Plain(OpenFile),
    Stream(Box<Stream<FileReader>>),
}

/// Reads one log.
pub(crate) struct LogReader {
    input: Input,
    reader: Reader,
    name: PathBuf,
    buffer: Vec<u8>,
    filled: usize,
    /// Where the buffer begins in the log.
    at: u64,
    /// More is written to it: its end is none.
    grows: bool,
}

/// How a reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// There is more.
    More,
    /// All of it is read.
    Whole,
}

impl LogReader {
    /// How far it has read.
    pub(super) fn position(&self) -> u64 {
        self.reader.position()
    }

    /// Reads a piece. What cannot be read is told to `problem`, and what follows is read all the same,
    /// where it can be found.
    pub(crate) fn read<S: Sink>(
        &mut self,
        sink: &mut S,
        problem: &mut dyn FnMut(String),
    ) -> Result<Read, String> {
        let wanted = self.give(sink, problem)?;
        if wanted > HELD_BYTES_MAX {
            problem(format!(
                "{}: byte {}: an event of {wanted} bytes is too long to be read here; passed over",
                self.name.display(),
                self.reader.position()
            ));
            return self.pass_over(sink);
        }
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        } else if self.buffer.len() > STEP_BYTES
            && wanted <= STEP_BYTES
            && self.filled <= STEP_BYTES
        {
            self.buffer.truncate(STEP_BYTES);
            self.buffer.shrink_to_fit();
        }
        if self.fill()? {
            return Ok(Read::More);
        }
        if !self.grows {
            self.close(sink, problem);
        }
        Ok(Read::Whole)
    }

    /// Nothing more is written to it.
    pub(super) fn close<S: Sink>(&mut self, sink: &mut S, problem: &mut dyn FnMut(String)) {
        let position = self.reader.position();
        let end = self.reader.finish(sink);
        if end.position < self.at + self.filled as u64 {
            problem(format!(
                "{}: ends amid the event at byte {position}: it is being written, or was cut there",
                self.name.display()
            ));
        }
    }

    /// Gives the reader what is there; how many bytes it wants.
    fn give<S: Sink>(
        &mut self,
        sink: &mut S,
        problem: &mut dyn FnMut(String),
    ) -> Result<usize, String> {
        loop {
            let read = self.reader.read(&self.buffer[..self.filled], sink);
            let used = (self.reader.position() - self.at) as usize;
            self.buffer.copy_within(used..self.filled, 0);
            self.filled -= used;
            self.at += used as u64;
            let error = match read {
                Ok(wanted) => return Ok(wanted),
                Err(error) => error,
            };
            let message = format!("{}: {}", self.name.display(), error);
            let is_damaged = matches!(error, Error::Checksum { .. } | Error::Malformed { .. });
            if !is_damaged || !self.reader.skip(&self.buffer[..self.filled]) {
                return Err(message);
            }
            problem(message);
            self.drop_skipped()?;
        }
    }

    /// Goes on behind an event that is not held.
    fn pass_over<S: Sink>(&mut self, sink: &mut S) -> Result<Read, String> {
        if !self.reader.skip(&self.buffer[..self.filled]) {
            return Err(format!("{}: no event can be found any more", self.name.display()));
        }
        self.drop_skipped()?;
        if self.fill()? {
            return Ok(Read::More);
        }
        if !self.grows {
            self.reader.finish(sink);
        }
        Ok(Read::Whole)
    }

    /// Lets go of what the reader has skipped, be it in the buffer or not.
    fn drop_skipped(&mut self) -> Result<(), String> {
        let skipped = self.reader.position() - self.at;
        let held = skipped.min(self.filled as u64) as usize;
        self.buffer.copy_within(held..self.filled, 0);
        self.filled -= held;
        self.at += held as u64;
        let mut rest = skipped - held as u64;
        if let Input::Stream(stream) = &mut self.input {
            let mut bytes = vec![0; STEP_BYTES];
            while rest > 0 {
                let length = rest.min(STEP_BYTES as u64) as usize;
                match stream.read(&mut bytes[..length]).map_err(|error| error.to_string())? {
                    0 => break,
                    length => rest -= length as u64,
                }
            }
        }
        self.at += skipped - held as u64;
        Ok(())
    }

    /// Reads on; false where there is nothing more.
    fn fill(&mut self) -> Result<bool, String> {
        let place = &mut self.buffer[self.filled..];
        if place.is_empty() {
            return Ok(true);
        }
        let length = match &mut self.input {
            Input::Plain(file) => file.read_full_at(place, self.at + self.filled as u64),
            Input::Stream(stream) => stream.read(place),
        };
        let length = length.map_err(|error| error.to_string())?;
        self.filled += length;
        Ok(length > 0)
    }
}
