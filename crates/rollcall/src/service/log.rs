//! The log of services: one line an event on standard error.
//!
//! ```text
//! 2026-11-20T12:00:00Z warning: /var/log/audit.log: …      a terminal, a file, a pipe
//! <4>/var/log/audit.log: …                                 the journal: it keeps time and priority itself
//! ```
//!
//! # Invariants
//! * A line is one line: whatever acts on a terminal is written out.
//! * No text of an audit log stands in it. Statements do where `quota watch -d 1` shows what it would send: these hold
//!   no secrets.

use std::fmt::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::out::{self, Out};
use crate::render::inert;

/// Writes the program's own events.
#[derive(Debug)]
pub(crate) struct Log {
    level: Level,
    /// Standard error leads to the journal.
    journal: bool,
}

impl Log {
    /// Takes all events of the program from now on, as much as was asked for. Once.
    pub(crate) fn install(out: Out) {
        let level = match (out.quiet, out.verbose) {
            (true, _) => Level::WARN,
            (false, 0) => Level::INFO,
            (false, _) => Level::DEBUG,
        };
        let log = Log { level, journal: is_journal() };
        tracing::subscriber::set_global_default(log).expect("it is set once");
    }

    fn line(&self, level: Level, text: &str, now: Timestamp) -> String {
        // The numbers are those of syslog(3).
        let (priority, word) = match level {
            Level::ERROR => (3, "error: "),
            Level::WARN => (4, "warning: "),
            Level::INFO => (6, ""),
            Level::DEBUG | Level::TRACE => (7, ""),
        };
        let text = inert(text);
        if self.journal {
            return format!("<{priority}>{text}");
        }
        format!("{} {word}{text}", now.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// Whether standard error is the stream that the journal opened for us: systemd.exec(5),
/// `JOURNAL_STREAM`.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let metadata = stderr.and_then(|file| file.metadata());
    metadata.is_ok_and(|it| stream == format!("{}:{}", it.dev(), it.ino()))
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("rollcall") && *metadata.level() <= self.level
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        out::log_line(&self.line(*event.metadata().level(), &text.0, Timestamp::now()));
    }

    // There are no spans here.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message, then `name=value`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_one_line_and_name_their_weight() {
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        let plain = Log { level: Level::INFO, journal: false };
        let journal = Log { level: Level::INFO, journal: true };
        let text = "/a\nb: \u{1b}[2J";
        for (level, line, prefixed) in [
            (Level::ERROR, "2026-11-18T11:06:40Z error: /a\\nb: \\x1b[2J", "<3>/a\\nb: \\x1b[2J"),
            (Level::WARN, "2026-11-18T11:06:40Z warning: /a\\nb: \\x1b[2J", "<4>/a\\nb: \\x1b[2J"),
            (Level::INFO, "2026-11-18T11:06:40Z /a\\nb: \\x1b[2J", "<6>/a\\nb: \\x1b[2J"),
            (Level::DEBUG, "2026-11-18T11:06:40Z /a\\nb: \\x1b[2J", "<7>/a\\nb: \\x1b[2J"),
        ] {
            assert_eq!(plain.line(level, text, now), line);
            assert_eq!(journal.line(level, text, now), prefixed);
        }
    }
}
