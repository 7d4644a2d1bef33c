//! The reader: cuts bytes into lines and gives them to the dialect.
//!
//! It is pushed: the caller gives what it has, is told how much of it was used, keeps the rest and
//! calls again with more behind it.
//!
//! # Invariants
//! * However the input is parted over calls, the calls to the sink are the same (their spans count
//!   from the start of each call's bytes).
//! * A byte order mark at the very beginning and blank lines belong to no call.

use crate::dialect::Dialect;
use crate::event::{Doubt, Input, RECORD_BYTES_MAX, Reason, Sink, Span, Standing};
use crate::{audit_login, server_audit, stamp, syslog};

/// How many bytes of a record that is too long, or of a run of NUL bytes, the sink is shown.
pub const SHOWN_BYTES_MAX: usize = 1024;

/// Scratch space beyond this is given back after use: most names are short.
const SCRATCH_BYTES_KEPT: usize = 64 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads one dialect from bytes that are pushed to it.
///
/// ```
/// use formats::{Dialect, Doubt, Event, Input, Reader, Sink, Span};
///
/// struct Users(Vec<String>);
/// impl Sink for Users {
///     fn event(&mut self, _: Span, event: &Event<'_>) {
///         self.0.push(String::from_utf8_lossy(event.peer.user()).into_owned());
///     }
///     fn doubt(&mut self, _: Span, _: Doubt, _: &[u8]) {}
/// }
///
/// let log = b"20260314 09:26:53,db1,app,10.0.0.7,42,0,CONNECT,shop,,0\n20260314 09:2";
/// let mut users = Users(Vec::new());
/// let used = Reader::new(Dialect::ServerAudit).read(log, Input::Open, &mut users);
/// assert_eq!((users.0, used), (vec!["app".to_string()], log.len() - 13));
/// ```
#[derive(Debug, Clone)]
pub struct Reader {
    dialect: Dialect,
    started: bool,
    mid_record: bool,
    state: State,
}

/// What a dialect keeps between lines.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) stamps: stamp::Cache,
    pub(crate) common: server_audit::fast::Memory,
    pub(crate) scratch: Vec<u8>,
}

/// A complete line among the bytes of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) start: usize,
    /// Behind the line feed.
    pub(crate) end: usize,
    pub(crate) input: Input,
}

impl Reader {
    /// A reader at the beginning of an input, or at the beginning of a record in it.
    pub fn new(dialect: Dialect) -> Self {
        let state = State {
            stamps: stamp::Cache::new(),
            common: server_audit::fast::Memory::new(),
            scratch: Vec::new(),
        };
        Reader { dialect, started: false, mid_record: false, state }
    }

    /// The dialect that is read.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Is the reader inside a record that was too long and has been told of? The bytes up to the
    /// next line break will be passed over.
    pub fn is_mid_record(&self) -> bool {
        self.mid_record
    }

    /// Puts the reader where [`Reader::is_mid_record`] holds: what it is given next begins inside a
    /// record that was already told of.
    pub fn resume_mid_record(&mut self) {
        self.started = true;
        self.mid_record = true;
    }

    /// Reads the complete records of `bytes` and tells `sink` of them in order. Returns how many
    /// bytes were used; the caller gives the others again with more behind them. Each call either
    /// uses bytes or needs more of them: at most [`RECORD_BYTES_MAX`]. With [`Input::Ended`] all
    /// bytes are used.
    pub fn read<S: Sink>(&mut self, bytes: &[u8], input: Input, sink: &mut S) -> usize {
        let used = self.read_records(bytes, input, sink);
        sink.end_of_call();
        used
    }

    fn read_records<S: Sink>(&mut self, bytes: &[u8], input: Input, sink: &mut S) -> usize {
        let mut at = 0;
        if !self.started {
            if bytes.len() < BYTE_ORDER_MARK.len()
                && BYTE_ORDER_MARK.starts_with(bytes)
                && input == Input::Open
            {
                return 0;
            }
            self.started = true;
            if bytes.starts_with(BYTE_ORDER_MARK) {
                at = BYTE_ORDER_MARK.len();
            }
        }
        while at < bytes.len() {
            if self.dialect == Dialect::ServerAudit && !self.mid_record {
                at = server_audit::fast::read(&mut self.state.common, bytes, at, sink);
                if at == bytes.len() {
                    break;
                }
            }
            match self.step(bytes, at, input, sink) {
                Some(next) => at = next,
                None => return at,
            }
        }
        at
    }

    /// Takes what stands at `at`, which is below the length of `bytes`; the offset after it.
    fn step<S: Sink>(
        &mut self,
        bytes: &[u8],
        at: usize,
        input: Input,
        sink: &mut S,
    ) -> Option<usize> {
        if self.mid_record {
            let Some(line_break) = memchr::memchr(b'\n', &bytes[at..]) else {
                return Some(bytes.len());
            };
            self.mid_record = false;
            return Some(at + line_break + 1);
        }
        let held = &bytes[at..bytes.len().min(at + RECORD_BYTES_MAX)];
        let full = held.len() == RECORD_BYTES_MAX;
        if held[0] == 0 {
            return nul_bytes(held, at, full || input == Input::Ended, sink);
        }
        if let Some(line_break) = memchr::memchr(b'\n', held) {
            let end = at + line_break + 1;
            if is_blank(&held[..line_break]) {
                return Some(end);
            }
            let window = Window { bytes, start: at, end, input };
            let next = match self.dialect {
                Dialect::ServerAudit => server_audit::take(&mut self.state, &window, sink),
                Dialect::ServerAuditSyslog => syslog::take(&mut self.state, &window, sink),
                Dialect::AuditLogin => audit_login::take(&mut self.state, &window, sink),
            };
            if self.state.scratch.capacity() > SCRATCH_BYTES_KEPT {
                self.state.scratch = Vec::new();
            }
            return next;
        }
        let end = at + held.len();
        if full {
            self.mid_record = true;
            let doubt = Doubt { standing: Standing::Rejected, reason: Reason::TooLong };
            sink.doubt(Span { start: at, end }, doubt, &held[..SHOWN_BYTES_MAX]);
            return Some(end);
        }
        if input == Input::Open {
            return None;
        }
        if !is_blank(held) {
            let doubt = Doubt { standing: Standing::Quarantined, reason: Reason::Unfinished };
            sink.doubt(Span { start: at, end }, doubt, held);
        }
        Some(end)
    }
}

/// Takes the NUL bytes at the beginning of `held`, which stands at `at`. A run that reaches the end
/// may be longer, unless `whole`: then it is as long as it is told.
fn nul_bytes<S: Sink>(held: &[u8], at: usize, whole: bool, sink: &mut S) -> Option<usize> {
    let length = held.iter().position(|&b| b != 0).unwrap_or(held.len());
    if length == held.len() && !whole {
        return None;
    }
    let doubt = Doubt { standing: Standing::Rejected, reason: Reason::NulBytes };
    let span = Span { start: at, end: at + length };
    sink.doubt(span, doubt, &held[..length.min(SHOWN_BYTES_MAX)]);
    Some(span.end)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r'))
}
