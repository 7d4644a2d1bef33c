//! Records that a line break in a name has split: how far their rest is looked for.
//!
//! ```text
//! 20261120 07:18:43,vm,x                                       begins as a record does
//! 20261120 07:18:43,vm,root,10.9.8.7,77,0,CONNECT,mysql,,0     part of the name, or a record?
//! z,10.0.0.5,22,0,FAILED_CONNECT,,,1045
//! ```
//!
//! The first lines that together fit a shape are taken for one record that cannot be trusted. That
//! may take a genuine record along: it is counted and shown as quarantined, and no forged one gets
//! through by its side.

use crate::event::{Input, RECORD_BYTES_MAX};
use crate::reader::Window;
use crate::server_audit::careful::trim_end;

/// How far from its beginning the last line of a split record may begin, in bytes. The names of one
/// record (a user, a database and two tables) have 4 x 128 characters at most: 2 KiB.
pub const SPAN_BYTES_MAX: usize = 4096;

/// How many lines a split record may have. A name that is all line breaks has more; its lines are
/// rejected one by one.
pub const SPAN_LINES_MAX: usize = 64;

/// Where the record ends that begins in a window, if one of the following lines completes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The span of lines up to this offset fits a shape.
    Found(usize),
    /// Nothing near completes it.
    None,
    /// More bytes are needed to tell.
    Incomplete,
}

/// Do the lines so far make a record?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joins {
    Yes,
    NotYet,
    Never,
}

/// Looks for the line that completes the record which begins in `window`. `add` is given all lines
/// so far, the end of the last one trimmed, and where that one begins.
pub(crate) fn rest(window: &Window<'_>, mut add: impl FnMut(&[u8], usize) -> Joins) -> Rest {
    let Window { bytes, start, end, input } = *window;
    let held = &bytes[start..bytes.len().min(start + RECORD_BYTES_MAX)];
    let mut from = end - start;
    for _ in 1..SPAN_LINES_MAX {
        if from >= SPAN_BYTES_MAX {
            return Rest::None;
        }
        let Some(length) = memchr::memchr(b'\n', &held[from..]) else {
            let more = input == Input::Open && held.len() < RECORD_BYTES_MAX;
            return if more { Rest::Incomplete } else { Rest::None };
        };
        let next = from + length + 1;
        match add(trim_end(&held[..next]), from) {
            Joins::Yes => return Rest::Found(start + next),
            Joins::NotYet => from = next,
            Joins::Never => return Rest::None,
        }
    }
    Rest::None
}
