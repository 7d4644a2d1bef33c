//! Audit log bytes in, neutral events out.
//!
//! ```text
//! bytes of a log ── detect ───────► Dialect
//!        └───────── Reader::read ─► Sink::event   one per record
//!                                   Sink::doubt   what is no record, or cannot be trusted
//! ```
//!
//! A [`Reader`] is given bytes and a [`Sink`]; it says how many bytes it has used. Three things are
//! told apart: an event, a doubt (rejected or quarantined, with the reason), and "not complete
//! yet", which is neither: those bytes stay with the caller until more arrive or the input is
//! [`Input::Ended`].
//!
//! # Invariants
//! * No file, clock, environment, network or log: the same bytes give the same calls, always.
//! * Every byte is accounted for: it lies in the span of one call to the sink, or is not used yet.
//!   To no call belong blank lines, a byte order mark at the very beginning, what follows the first
//!   16 MiB of a record that is too long, and the lines of other programs in a syslog file.
//! * No input panics, and nothing is kept that grows with the input.

mod audit_login;
mod block;
mod dialect;
mod event;
mod mask;
mod reader;
mod server_audit;
mod span;
mod stamp;
mod syslog;

pub use audit_login::encode::{
    LOGIN_LINE_BYTES_MAX, LOGIN_NAME_BYTES_MAX, LoginKind, LoginRecord, TIME_BYTES, escape_json,
    login_line, rfc3339,
};
pub use block::{BLOCK_LINES_MAX, Block, LINE_USER_BYTES_MAX, Line, Turn};
pub use dialect::{DETECT_BYTES_MAX, Dialect, UnknownDialect, detect};
pub use event::{
    Doubt, Event, Input, Kind, Peer, RECORD_BYTES_MAX, Reason, Series, Sink, Span, Stamp, Standing,
};
pub use reader::{Reader, SHOWN_BYTES_MAX};
pub use span::{SPAN_BYTES_MAX, SPAN_LINES_MAX};
