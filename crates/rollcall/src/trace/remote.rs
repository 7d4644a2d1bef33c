//! Binary logs through their server: which are needed, and each in a private file while it is read.
//!
//! # Invariants
//! * A connection a file, and one for each beginning that is looked at; all of them end at the end of the log.
//! * What was fetched is in a file without a name, one at a time.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::rc::Rc;

use binlog::EventType;
use live::dump::{Came, Dump, SILENCE_MAX, ServerLog};
use source::OpenFile;

use super::LONG;
use super::log::Log;
use super::spill::private_file;
use crate::reach::Place;

/// How many beginnings before the time asked for are looked at to find the start of the server.
const HEADS_BEFORE_MAX: usize = 100;

/// A server that sends its binary logs.
#[derive(Debug)]
pub(crate) struct Remote {
    place: Place,
    /// What messages call it.
    name: Option<String>,
    /// It does not send the texts of statements beside their rows.
    lacks_texts: Cell<bool>,
}

/// From and until when, microseconds UTC.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
}

impl Remote {
    /// The server at this place.
    pub(crate) fn new(place: Place, name: Option<&str>) -> Remote {
        Remote { place, name: name.map(str::to_owned), lacks_texts: Cell::new(false) }
    }

    /// The logs that hold these times, with those before them back to the start of the server, where that is
    /// near. Nothing but their beginnings is read.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn logs(self: &Rc<Remote>, times: Times) -> Result<Vec<Log>, String> {
        let mut server = self.connect()?;
        let listed = live::dump::logs(&mut server).map_err(|error| error.to_string())?;
        self.lacks_texts.set(!live::dump::sends_texts(&server));
        drop(server);
        let heads = Heads { remote: self, listed: &listed, known: RefCell::default() };
        heads.known.borrow_mut().resize_with(listed.len(), || None);
        let end = match times.until {
            None => listed.len(),
            Some(until) => heads.first_begun_after(until.saturating_add(LONG))?,
        };
        let mut first = end;
        let mut before = 0;
        while first > 0 && before <= HEADS_BEFORE_MAX {
            let (begun, is_start) = heads.of(first - 1)?;
            first -= 1;
            // The one that holds the time, and those before it that tell of its run.
            let is_early = times.since.is_some_and(|since| begun <= since);
            before += usize::from(is_early);
            if is_early && is_start {
                break;
            }
        }
        let known = heads.known.into_inner();
        Ok(known.into_iter().take(end).skip(first).flatten().collect())
    }

    /// Whether it does not send the texts of statements beside their rows; known once logs were listed.
    pub(crate) fn lacks_texts(&self) -> bool {
        self.lacks_texts.get()
    }

    /// A file of it, whole as it is now.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(super) fn fetch(&self, name: &[u8]) -> Result<OpenFile, String> {
        self.copy(name, &|_| true)
    }

    /// A file of it and those behind it, as they come.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(super) fn send_on(&self, name: &[u8]) -> Result<Dump, String> {
        let server = self.place.connect_within(self.name.as_deref(), SILENCE_MAX)?;
        Dump::begin(server, name, true).map_err(|error| error.to_string())
    }

    fn connect(&self) -> Result<live::Server, String> {
        self.place.connect(self.name.as_deref())
    }

    /// Its bytes up to the first event that is not wanted, in a file without a name.
    fn copy(&self, name: &[u8], wanted: &dyn Fn(EventType) -> bool) -> Result<OpenFile, String> {
        let text = |error: live::LiveError| error.to_string();
        let mut dump = Dump::begin(self.connect()?, name, false).map_err(text)?;
        let mut copy = Copy::new()?;
        let mut is_begun = false;
        loop {
            match dump.next(&mut |bytes| copy.put(bytes)).map_err(text)? {
                Came::Event(header) if wanted(header.kind) => {}
                Came::File(_) if !is_begun => is_begun = true,
                Came::Heartbeat => {}
                Came::Event(_) | Came::File(_) | Came::End => return copy.finish(),
            }
            copy.check()?;
        }
    }
}

/// The beginnings of a server's logs, each fetched where it is asked for.
struct Heads<'a> {
    remote: &'a Rc<Remote>,
    listed: &'a [ServerLog],
    known: RefCell<Vec<Option<Log>>>,
}

impl Heads<'_> {
    /// When it was begun, microseconds UTC, and whether it is the first since the start of the server.
    fn of(&self, number: usize) -> Result<(i64, bool), String> {
        let mut known = self.known.borrow_mut();
        let place = &mut known[number];
        if place.is_none() {
            let name = &self.listed[number].name;
            let is_head = |kind| kind == EventType::FORMAT_DESCRIPTION;
            let beginning = self.remote.copy(name, &|kind| is_head(kind))?;
            *place = Some(Log::of_server(self.remote, name, &beginning, number > 0)?);
        }
        let head = place.as_ref().map(|log| log.head);
        let (begun, created) = head.map_or((0, 0), |it| (it.begun, it.created));
        Ok((i64::from(begun) * 1_000_000, created != 0))
    }

    /// The first that was begun later than that: files are begun one after the other.
    fn first_begun_after(&self, time: i64) -> Result<usize, String> {
        let (mut low, mut high) = (0, self.listed.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.of(middle)?.0 > time {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        Ok(low)
    }
}

/// A private file that is being filled.
#[derive(Debug)]
pub(super) struct Copy {
    out: BufWriter<File>,
    file: OpenFile,
    length: u64,
    /// How much of what comes is there already.
    known: u64,
    failed: Option<io::Error>,
}

impl Copy {
    /// An empty one.
    pub(super) fn new() -> Result<Copy, String> {
        let (out, path) = private_file()?;
        let opened = OpenFile::open(&path).map_err(|error| error.to_string());
        let _ = std::fs::remove_file(&path);
        let (out, file) = (BufWriter::with_capacity(256 << 10, out), opened?);
        Ok(Copy { out, file, length: 0, known: 0, failed: None })
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The same bytes come once more, and then more.
    pub(super) fn begin_again(&mut self) {
        self.known = self.length;
    }

    /// Puts bytes at the end; what fails is told by [`Copy::check`].
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let known = self.known.min(bytes.len() as u64);
        self.known -= known;
        let bytes = &bytes[known as usize..];
        self.length += bytes.len() as u64;
        if self.failed.is_none() {
            self.failed = self.out.write_all(bytes).err();
        }
    }

    /// Whether all could be written so far.
    pub(super) fn check(&mut self) -> Result<(), String> {
        match self.failed.take() {
            None => Ok(()),
            Some(error) => Err(format!(
                "the temporary file cannot be written: {error}; set TMPDIR where there is room"
            )),
        }
    }

    /// Sees to it that what was put can be read; the file.
    pub(super) fn flush(&mut self) -> Result<OpenFile, String> {
        if self.failed.is_none() {
            self.failed = self.out.flush().err();
        }
        self.check().map(|()| self.file.clone())
    }

    fn finish(mut self) -> Result<OpenFile, String> {
        self.flush()
    }
}
