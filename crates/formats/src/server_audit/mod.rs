//! Lines written by MariaDB's `server_audit` plugin to a file (`server_audit_output_type=file`),
//! and by its relatives: MariaDB Enterprise, Amazon RDS and Aurora.
//!
//! One record is one line; the plugin separates the columns with commas:
//!
//! ```text
//! 20260314 09:26:53,db1,app,10.0.0.7,42,977,QUERY,shop,'select \'x\'',0
//! time stamp       |   |   |        |  |   |     |    |              error
//!             server   user host    |  |   |     |    object
//!                                   |  |   |     database
//!                                   |  |   operation
//!                                   |  query id (0 for connection records)
//!                                   connection id
//! ```
//!
//! # What the format does not promise
//! * Only the statement is escaped: user, database and table names may hold commas and line
//!   breaks, and anyone can try to log in as `root,h,1,2,CONNECT,mysql,,0`.
//! * The time stamp is the server's local time without a zone, unless it was configured.
//! * A statement may have been cut at `server_audit_query_log_limit` bytes; it still ends in a
//!   quote.
//! * After a full disk the next record is glued to the cut one.
//!
//! # Invariants
//! * A record with exactly one reading is an event; one with several is quarantined, never guessed.
//! * A line that begins as a record and does not end as one is tried together with the lines that
//!   follow, [`SPAN_LINES_MAX`](crate::SPAN_LINES_MAX) of them within
//!   [`SPAN_BYTES_MAX`](crate::SPAN_BYTES_MAX); if they fit, all are quarantined together, so that
//!   no line inside a name is taken for a record.

pub(crate) mod careful;
pub(crate) mod fast;
mod host;
pub(crate) mod shape;

use careful::{Joined, Line};

use crate::event::{Reason, Sink, Span};
use crate::reader::{State, Window};
use crate::span::{self, Rest};

/// Takes the line of `window` and what belongs to it; the offset after it, or `None` where more
/// bytes are needed.
pub(crate) fn take<S: Sink>(state: &mut State, window: &Window<'_>, sink: &mut S) -> Option<usize> {
    let Window { bytes, start, end, .. } = *window;
    let line = careful::trim_end(&bytes[start..end]);
    let (end, doubt) = match careful::line(line, &mut state.stamps) {
        Line::Record(record) => {
            let event = careful::event(line, &record, &mut state.scratch);
            sink.event(Span { start, end }, &event);
            return Some(end);
        }
        Line::Doubt(doubt) => (end, doubt),
        Line::Head(head) => {
            let mut joined = Joined::new(line, head);
            match span::rest(window, |lines, from| joined.add(lines, from)) {
                Rest::Found(end) => (end, careful::quarantined(Reason::LineBreakInName)),
                Rest::None => (end, careful::rejected(Reason::BadShape)),
                Rest::Incomplete => return None,
            }
        }
    };
    sink.doubt(Span { start, end }, doubt, &bytes[start..end]);
    Some(end)
}
