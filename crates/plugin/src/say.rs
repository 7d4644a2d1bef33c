//! What the plugin says to whoever runs the server: lines in its error log, not many.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::sys;

/// Not more than one line in so many seconds, whatever goes wrong.
const PAUSE_SECONDS: i64 = 60;
/// The longest line; a longer one is cut. A pipe takes up to 4,096 bytes at once or not at all.
const LINE_BYTES_MAX: usize = 1024;

static LAST: AtomicI64 = AtomicI64::new(i64::MIN);
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Forgets what was said.
pub(crate) fn reset() {
    LAST.store(i64::MIN, Ordering::Relaxed);
    LEFT_OUT.store(0, Ordering::Relaxed);
}

/// Says it, or nothing where something was said in the last minute.
pub(crate) fn seldom(what: fmt::Arguments<'_>) {
    let (now, _) = sys::clock(libc::CLOCK_MONOTONIC);
    let last = LAST.load(Ordering::Relaxed);
    let is_due = last == i64::MIN || now >= last.saturating_add(PAUSE_SECONDS);
    if !is_due || LAST.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        return;
    }
    match LEFT_OUT.swap(0, Ordering::Relaxed) {
        0 => always(what),
        count => always(format_args!("{what} ({count} more faults since the last line)")),
    }
}

/// Says it.
pub(crate) fn always(what: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; LINE_BYTES_MAX], length: 0 };
    // What does not fit is cut.
    let _ = writeln!(line, "[Warning] audit_login: {what}");
    line.bytes[line.length.clamp(1, LINE_BYTES_MAX) - 1] = b'\n';
    sys::write_error_log(&line.bytes[..line.length]);
}

struct Line {
    bytes: [u8; LINE_BYTES_MAX],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let count = text.len().min(room.len());
        room[..count].copy_from_slice(&text.as_bytes()[..count]);
        // Paths come from the configuration, but no line may break another.
        for byte in &mut room[..count.saturating_sub(usize::from(text.ends_with('\n')))] {
            if *byte < b' ' {
                *byte = b'?';
            }
        }
        self.length += count;
        if count < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}
