//! Opens, identifies, decompresses and lists log files.
//!
//! ```text
//! arguments ── discover ──► LogSet { files, oldest first }
//!                              │ OpenFile::open
//! marks of earlier runs ── decide ──► Resume: where reading goes on, per file
//!                              │ OpenFile::read_at (plain) or Stream (gzip, zstd, standard input)
//!                              ▼
//!                           bytes  ── Capture ──► Fingerprint: the mark of this run
//! ```
//!
//! What bytes mean is none of this crate's business: whether a file is an audit log is told by a
//! detector that the caller passes in.
//!
//! # Invariants
//! * Files are read and never written. No FIFO, socket or device is opened, so nothing blocks.
//! * All offsets count decompressed bytes, so a mark stays true when a log is compressed.
//! * Log text never stands in an error: statements hold secrets.
//! * Memory does not grow with the size of a file.
#![forbid(unsafe_code)]

mod binlogs;
mod candidate;
mod capture;
mod decode;
mod discover;
mod error;
mod fit;
mod found;
mod identity;
mod known;
mod open;
mod rotation;
mod sets;
mod stream;

pub use binlogs::{BinlogFile, Binlogs, binlogs, next_binlog};
pub use candidate::Candidate;
pub use capture::{Capture, Fingerprint, HEAD_BYTES, LineEnd, TAIL_BYTES};
pub use decode::{Compression, ZSTD_WINDOW_LOG_MAX};
pub use discover::{
    DEPTH_MAX, DETECT_BYTES, ENTRIES_MAX, SKIPPED_MAX, discover, is_server_file, siblings,
};
pub use error::{Error, Kind};
pub use found::{Discovery, Failure, LogFile, LogSet, Redirected, SkipReason, Skipped};
pub use identity::{Decision, Resume, decide};
pub use known::{Known, KnownFile, Raw};
pub use open::{Facts, FileReader, OpenFile};
pub use rotation::{Succession, neighbours};
pub use stream::Stream;
