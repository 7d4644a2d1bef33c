//! What the tests and the fuzz targets share: a sink that writes every call down, and the
//! properties that hold for any bytes.

#![allow(dead_code, reason = "each test program uses its part")]

use formats::{
    Dialect, Doubt, Event, Input, Kind, Peer, Reader, SHOWN_BYTES_MAX, Sink, Span, Stamp, Standing,
};

/// An event with its texts copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) time: Stamp,
    pub(crate) server: String,
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) connection: u64,
    pub(crate) query: u64,
    pub(crate) kind: Kind,
    pub(crate) error: u32,
    pub(crate) database: String,
    pub(crate) object: String,
    pub(crate) account_user: Option<String>,
    pub(crate) further: bool,
}

/// Bytes as text that loses nothing: what is not printable ASCII is escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Owned {
    fn of(event: &Event<'_>) -> Owned {
        let Peer { .. } = event.peer;
        assert_eq!(event.peer.joined()[event.peer.user_bytes()], b',', "equal peers, equal bytes");
        Owned {
            time: event.time,
            server: shown(event.server),
            user: shown(event.peer.user()),
            host: shown(event.peer.host()),
            port: event.port,
            connection: event.connection,
            query: event.query,
            kind: event.kind,
            error: event.error,
            database: shown(event.database),
            object: shown(event.object),
            account_user: event.account_user.map(shown),
            further: event.further,
        }
    }

    /// The event in one line, as the expectations of the tests are written.
    pub(crate) fn line(&self) -> String {
        let Owned { server, user, host, connection, query, kind, error, database, object, .. } =
            self;
        let port = self.port.map_or(String::new(), |port| format!(":{port}"));
        let account =
            self.account_user.as_ref().map_or(String::new(), |user| format!(" as {user}"));
        let who = format!("{kind:?} {server}|{user}|{host}{port}");
        let further = if self.further { "|further" } else { "" };
        format!("{who}|{connection}|{query}|{database}|{object}|{error}{further}{account}")
    }
}

/// One call to the sink; the span counts from the start of the whole input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Event(usize, usize, Owned),
    Doubt(usize, usize, Doubt),
}

impl Call {
    pub(crate) fn span(&self) -> (usize, usize) {
        match self {
            Call::Event(start, end, _) | Call::Doubt(start, end, _) => (*start, *end),
        }
    }

    /// The event in one line, or the doubt as `quarantined ambiguous 0..10`.
    pub(crate) fn line(&self) -> String {
        match self {
            Call::Event(_, _, event) => event.line(),
            Call::Doubt(start, end, Doubt { standing, reason }) => {
                format!("{} {} {start}..{end}", standing.as_str(), reason.code())
            }
        }
    }
}

/// Writes calls down and checks the bytes that come with a doubt.
pub(crate) struct Recorder<'a> {
    pub(crate) calls: Vec<Call>,
    whole: &'a [u8],
    offset: usize,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(whole: &'a [u8]) -> Self {
        Recorder { calls: Vec::new(), whole, offset: 0 }
    }
}

impl Sink for Recorder<'_> {
    fn event(&mut self, span: Span, event: &Event<'_>) {
        let (start, end) = (span.start + self.offset, span.end + self.offset);
        self.calls.push(Call::Event(start, end, Owned::of(event)));
    }

    fn doubt(&mut self, span: Span, doubt: Doubt, bytes: &[u8]) {
        let (start, end) = (span.start + self.offset, span.end + self.offset);
        assert!(bytes.len() >= (end - start).min(SHOWN_BYTES_MAX));
        assert_eq!(bytes, &self.whole[start..start + bytes.len()]);
        self.calls.push(Call::Doubt(start, end, doubt));
    }
}

/// Reads `bytes`, of which one more piece becomes known at each of `cuts` (ascending); the bytes
/// used and the calls.
pub(crate) fn read_in_pieces(
    dialect: Dialect,
    bytes: &[u8],
    cuts: &[usize],
    last: Input,
) -> (usize, Vec<Call>) {
    let mut reader = Reader::new(dialect);
    assert_eq!(reader.dialect(), dialect);
    let mut sink = Recorder::new(bytes);
    let mut used = 0;
    let ends = cuts.iter().map(|&cut| (cut, Input::Open)).chain([(bytes.len(), last)]);
    for (end, input) in ends {
        sink.offset = used;
        let now = reader.read(&bytes[used..end], input, &mut sink);
        assert!(now <= end - used, "used more than there is");
        used += now;
    }
    (used, sink.calls)
}

/// All calls for a whole input.
pub(crate) fn read_all(dialect: Dialect, bytes: &[u8]) -> Vec<Call> {
    let (used, calls) = read_in_pieces(dialect, bytes, &[], Input::Ended);
    assert_eq!(used, bytes.len(), "an ended input is used up");
    calls
}

/// What holds for any bytes: no panic, spans in order and apart, the same calls however the input
/// is parted, and nothing from a beginning that the whole does not give. Tries the cuts given, and
/// a few that depend on the length.
pub(crate) fn check_any(dialect: Dialect, bytes: &[u8], cuts: &[usize]) {
    let whole = read_all(dialect, bytes);
    let mut last = 0;
    for call in &whole {
        let (start, end) = call.span();
        assert!(last <= start && start < end && end <= bytes.len(), "{call:?} after {last}");
        last = end;
    }
    let third = bytes.len() / 3;
    let cuts = cuts.iter().copied().filter(|&cut| cut <= bytes.len());
    for cut in cuts.chain([third, bytes.len().saturating_sub(1)]) {
        let parted = read_in_pieces(dialect, bytes, &[cut], Input::Ended);
        assert_eq!(parted.1, whole, "parted at {cut}");
        let (used, begun) = read_in_pieces(dialect, &bytes[..cut], &[], Input::Open);
        assert!(used <= cut);
        assert!(whole.starts_with(&begun), "cut at {cut}: {begun:?}");
    }
    let each: Vec<usize> = (0..bytes.len()).collect();
    if each.len() <= 256 {
        assert_eq!(read_in_pieces(dialect, bytes, &each, Input::Ended).1, whole, "byte by byte");
    }
}

/// [`check_any`] with a cut at every byte.
pub(crate) fn check_every_cut(dialect: Dialect, bytes: &[u8]) {
    let cuts: Vec<usize> = (0..=bytes.len()).collect();
    check_any(dialect, bytes, &cuts);
}

/// Are the calls exactly these lines? Also checks every cut.
#[track_caller]
pub(crate) fn check(dialect: Dialect, log: &[u8], expected: &[&str]) {
    let calls = read_all(dialect, log);
    let lines: Vec<String> = calls.iter().map(Call::line).collect();
    assert_eq!(lines, expected, "{}", shown(log));
    check_every_cut(dialect, log);
}

/// How many calls are quarantined or rejected.
pub(crate) fn doubts(calls: &[Call], standing: Standing) -> usize {
    let is = |call: &&Call| matches!(call, Call::Doubt(_, _, doubt) if doubt.standing == standing);
    calls.iter().filter(is).count()
}

/// [`check_any`] for a fuzz target: the bytes themselves choose the cuts.
pub(crate) fn check_bytes(dialect: Dialect, bytes: &[u8]) {
    let chosen = bytes.iter().take(4).fold(0usize, |sum, &b| sum * 31 + usize::from(b));
    let cuts = [chosen % (bytes.len() + 1), bytes.len() / 2];
    check_any(dialect, bytes, &cuts);
}

/// What holds for [`formats::detect`] and any bytes: where a reader finds an event a dialect is
/// found, and what stands behind the head changes nothing.
pub(crate) fn check_detect(bytes: &[u8]) {
    let head = &bytes[..bytes.len().min(formats::DETECT_BYTES_MAX)];
    let found = formats::detect(bytes);
    assert_eq!(found, formats::detect(head));
    let is_event = |call: &Call| matches!(call, Call::Event(..));
    let any = Dialect::ALL.iter().any(|&dialect| read_all(dialect, head).iter().any(is_event));
    assert!(!any || found.is_some());
}
