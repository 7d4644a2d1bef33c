//! Transactions as the text of `mariadb-binlog` and `mysqlbinlog`.
//!
//! Of a log of which all is asked for, the text is the tool's, byte for byte. Where filters choose, it is
//! the tool's for these transactions, each whole, behind the format description of their log.
//!
//! # Invariants
//! * Memory: one event and its text. Rows that wait for the end of their statement go into a [`Spill`]
//!   where they are many.

use anyhow::{Error, Result, anyhow};
use binlog::{Error as LogError, EventType, Format, Framer, RawEvent, Step};
use binlog::{ToolOutput, ToolText, ToolZone};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use source::{FileReader, Stream};

use super::log::Log;
use super::spill::Spill;
use super::sql::Put;
use super::{PROBLEMS_MAX, Traced};

/// Bytes asked for at once.
const STEP_BYTES: usize = 256 << 10;

/// The longest event that is printed: its text may be four times as long.
const EVENT_BYTES_MAX: usize = 5 << 20;

/// How much text waits in memory.
const HELD_BYTES_MAX: usize = 1 << 20;

/// Prints logs, one after the other.
pub(crate) struct Printer<'a> {
    zone: Local,
    text: Text<'a>,
    open: Option<Open>,
    /// What could not be printed.
    pub(crate) problems: Vec<String>,
    pub(crate) problems_more: u64,
}

/// The log that is being printed.
struct Open {
    name: std::path::PathBuf,
    /// Its place among the logs.
    number: usize,
    tool: ToolText<Local>,
    events: Events,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(zone: &TimeZone, put: &'a mut Put<'a>) -> Printer<'a> {
        let zone = Local { tz: zone.clone(), name: name_now(zone) };
        let text = Text { put, held: Vec::new(), spill: None, failed: None };
        Printer { zone, text, open: None, problems: Vec::new(), problems_more: 0 }
    }

    /// Prints a whole log.
    ///
    /// # Errors
    /// Those of putting out.
    pub(crate) fn log(&mut self, number: usize, log: &Log) -> Result<()> {
        self.begin(number, log)?;
        self.events_until(u64::MAX, &|_| true)?;
        log.release();
        self.finish()
    }

    /// Prints a transaction; they come in their order.
    ///
    /// # Errors
    /// Those of putting out.
    pub(crate) fn transaction(&mut self, traced: &Traced, log: &Log) -> Result<()> {
        if self.open.as_ref().is_none_or(|open| open.number != traced.log) {
            self.finish()?;
            self.begin(traced.log, log)?;
        }
        let (start, end) = (traced.position, traced.position + traced.bytes);
        self.events_until(end, &|raw| {
            raw.position >= start || raw.header.kind == EventType::FORMAT_DESCRIPTION
        })
    }

    /// Prints what the text of a log ends with.
    ///
    /// # Errors
    /// Those of putting out.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if let Some(mut open) = self.open.take() {
            self.text.release();
            open.tool.finish(&mut self.text);
        }
        self.text.failed.take().map_or(Ok(()), Err)
    }

    fn begin(&mut self, number: usize, log: &Log) -> Result<()> {
        let file = log.file().map_err(Error::msg)?;
        let stream = file.stream(0).map_err(|error| anyhow!(error.to_string()))?;
        self.open = Some(Open {
            name: log.name.clone(),
            number,
            tool: ToolText::new(self.zone.clone()),
            events: Events {
                stream,
                framer: Framer::new(),
                buffer: vec![0; STEP_BYTES],
                filled: 0,
                done: 0,
            },
        });
        Ok(())
    }

    /// Prints those events before `end` that are wanted.
    fn events_until(&mut self, end: u64, wanted: &dyn Fn(&RawEvent<'_>) -> bool) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        while open.events.framer.position() < end {
            let (tool, text) = (&mut open.tool, &mut self.text);
            let mut printed = |raw: &RawEvent<'_>, format: &Format| match wanted(raw) {
                true => tool.event(raw, format, text),
                false => Ok(()),
            };
            let (more, problem) = open.events.next(&mut printed);
            if let Some(text) = problem {
                if self.problems.len() < PROBLEMS_MAX {
                    self.problems.push(format!("{}: {text}", open.name.display()));
                } else {
                    self.problems_more += 1;
                }
            }
            if let Some(error) = self.text.failed.take() {
                return Err(error);
            }
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// The events of a log, one after another.
struct Events {
    stream: Stream<FileReader>,
    framer: Framer,
    buffer: Vec<u8>,
    /// What of the buffer is there, and how much of that is done.
    filled: usize,
    done: usize,
}

impl Events {
    /// Gives the next event to `print`. Whether there may be more, and what was wrong.
    fn next(
        &mut self,
        print: &mut dyn FnMut(&RawEvent<'_>, &Format) -> Result<(), LogError>,
    ) -> (bool, Option<String>) {
        let before = self.framer.position();
        let step = self.framer.next(&self.buffer[self.done..self.filled]);
        self.done += (self.framer.position() - before) as usize;
        match step {
            Ok(Step::Event(raw)) => {
                let printed = print(&raw, self.framer.format());
                (true, printed.err().map(|error| error.to_string()))
            }
            Ok(Step::Incomplete { needed }) if needed > EVENT_BYTES_MAX => {
                let at = self.framer.position();
                let text =
                    format!("byte {at}: an event of {needed} bytes is too long to be printed");
                (self.pass_over(), Some(text))
            }
            Ok(Step::Incomplete { needed }) => match self.fill(needed) {
                Ok(true) => (true, None),
                Ok(false) if self.filled == self.done => (false, None),
                Ok(false) => {
                    let at = self.framer.position();
                    let text = "it is being written, or was cut there";
                    (false, Some(format!("ends amid the event at byte {at}: {text}")))
                }
                Err(message) => (false, Some(message)),
            },
            Err(error @ (LogError::Checksum { .. } | LogError::Malformed { .. })) => {
                (self.pass_over(), Some(error.to_string()))
            }
            Err(error) => (false, Some(error.to_string())),
        }
    }

    /// Reads until `needed` bytes are there; false where the log ends before.
    fn fill(&mut self, needed: usize) -> Result<bool, String> {
        self.buffer.copy_within(self.done..self.filled, 0);
        self.filled -= self.done;
        self.done = 0;
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        } else if self.buffer.len() > STEP_BYTES && self.filled.max(needed) <= STEP_BYTES {
            self.buffer.truncate(STEP_BYTES);
            self.buffer.shrink_to_fit();
        }
        while self.filled < needed {
            let place = &mut self.buffer[self.filled..];
            match self.stream.read(place).map_err(|error| error.to_string())? {
                0 => return Ok(false),
                length => self.filled += length,
            }
        }
        Ok(true)
    }

    /// Goes on behind the event that begins here; false where there is nothing.
    fn pass_over(&mut self) -> bool {
        let Some(length) = self.framer.skip(&self.buffer[self.done..self.filled]) else {
            return false;
        };
        let mut rest = length as usize;
        loop {
            let held = rest.min(self.filled - self.done);
            self.done += held;
            rest -= held;
            if rest == 0 {
                return true;
            }
            if !matches!(self.fill(1), Ok(true)) {
                return false;
            }
        }
    }
}

/// Where the text goes.
struct Text<'a> {
    put: &'a mut Put<'a>,
    held: Vec<u8>,
    spill: Option<Spill>,
    failed: Option<Error>,
}

impl Text<'_> {
    fn note(&mut self, done: Result<()>) {
        if let Err(error) = done {
            self.failed.get_or_insert(error);
        }
    }

    /// Puts what is held, and what belongs behind it, into the file.
    fn spill_held(&mut self, text: &[u8]) -> Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::new()?),
        };
        spill.append(&self.held)?;
        self.held.clear();
        spill.append(text)
    }

    fn release_held(&mut self) -> Result<()> {
        if let Some(mut spill) = self.spill.take() {
            spill.drain(self.put)?;
        }
        if !self.held.is_empty() {
            (self.put)(&self.held)?;
            self.held.clear();
        }
        Ok(())
    }
}

impl ToolOutput for Text<'_> {
    fn write(&mut self, text: &[u8]) {
        if self.failed.is_none() && !text.is_empty() {
            let done = (self.put)(text);
            self.note(done);
        }
    }

    fn hold(&mut self, text: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.held.len() + text.len() <= HELD_BYTES_MAX {
            return self.held.extend_from_slice(text);
        }
        let done = self.spill_held(text);
        self.note(done);
    }

    fn release(&mut self) {
        if self.failed.is_none() {
            let done = self.release_held();
            self.note(done);
        }
    }
}

/// The zone in which times are shown, by the name it has now.
#[derive(Debug, Clone)]
struct Local {
    tz: TimeZone,
    name: String,
}

impl ToolZone for Local {
    fn at(&self, seconds: u64) -> (i64, &str) {
        let moment = i64::try_from(seconds).ok().and_then(|it| Timestamp::from_second(it).ok());
        let offset = moment.map_or(0, |it| self.tz.to_offset(it).seconds());
        (offset.into(), &self.name)
    }
}

/// How the zone is abbreviated now.
fn name_now(tz: &TimeZone) -> String {
    tz.to_offset_info(Timestamp::now()).abbreviation().to_owned()
}
