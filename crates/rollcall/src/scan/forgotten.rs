//! Files that may have been read before the ledger forgot them: they begin too early to be told from those.

use formats::{Dialect, Doubt, Event, Input, Reader, Sink, Span, Stamp};
use jiff::tz::TimeZone;
use ledger::LocalClock;
use source::{Error, OpenFile};

use crate::time::{Zone, date};

/// Bytes asked for at once.
const STEP_BYTES: usize = 64 << 10;

/// The time of the first record.
#[derive(Debug, Default)]
struct First(Option<Stamp>);

impl Sink for First {
    fn event(&mut self, _: Span, event: &Event<'_>) {
        self.0.get_or_insert(event.time);
    }

    fn doubt(&mut self, _: Span, _: Doubt, _: &[u8]) {}
}

/// Whether bytes with which a log begins are as old as what was forgotten, which is so until `until`; then
/// why nothing of it is read.
pub(super) fn refuse_bytes(
    name: &dyn std::fmt::Display,
    bytes: &[u8],
    dialect: Dialect,
    zone: &TimeZone,
    until: i64,
) -> Option<String> {
    let mut first = First::default();
    Reader::new(dialect).read(bytes, Input::Open, &mut first);
    refuse(name, first.0?, zone, until)
}

/// The same of a file that has no mark.
///
/// # Errors
/// Where it cannot be read up to its first record.
pub(super) fn refuse_file(
    file: &OpenFile,
    dialect: Dialect,
    zone: &TimeZone,
    until: i64,
) -> Result<Option<String>, Error> {
    let (mut stream, mut reader) = (file.stream(0)?, Reader::new(dialect));
    let (mut bytes, mut first) = (Vec::new(), First::default());
    while first.0.is_none() {
        let filled = bytes.len();
        bytes.resize(filled + STEP_BYTES, 0);
        let read = stream.read(&mut bytes[filled..])?;
        bytes.truncate(filled + read);
        if read == 0 {
            break;
        }
        let used = reader.read(&bytes, Input::Open, &mut first);
        bytes.drain(..used);
    }
    let stamp = first.0;
    Ok(stamp.and_then(|stamp| refuse(&file.path().display(), stamp, zone, until)))
}

fn refuse(
    name: &dyn std::fmt::Display,
    stamp: Stamp,
    zone: &TimeZone,
    until: i64,
) -> Option<String> {
    // Such logs are not forgotten.
    if matches!(stamp, Stamp::LocalWithoutYear(_)) {
        return None;
    }
    let at = LocalClock::new(zone.clone(), 0).utc(stamp);
    (at <= until).then(|| {
        format!(
            "{name}: it begins on {}, and this ledger has forgotten which files it read of that time, for \
             they were gone for too long; nothing of it is read, because it may have been counted: ask it \
             alone with rollcall report, or read it into a ledger of its own",
            date(at, &Zone::utc())
        )
    })
}
