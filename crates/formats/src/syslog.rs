//! The same records sent through syslog (`server_audit_output_type=syslog`), as sent and as syslog
//! daemons write them to files, among the lines of other programs.
//!
//! ```text
//! <14>Nov 20 07:18:43 mysql-server_auditing: INFO db1,app,10.0.0.7,42,0,CONNECT,shop,,0
//! Nov 20 07:18:43 db1 mysql-server_auditing:  db1.local,app,10.0.0.7,42,0,CONNECT,shop,,0
//! 2026-11-20T07:18:43.123456+01:00 log7 audit[812]: prod, eu db1,app,10.0.0.7,42,0,DISCONNECT,,,0
//! time stamp                       host ident       info server,user,host,… as in a file
//! ```
//!
//! # What the format does not promise
//! * Ident and info are free text, so the server host is any word before a comma behind the ident.
//!   Info with a comma therefore makes records ambiguous.
//! * The usual time stamp has no year, and there is no inner one.
//! * Names are raw. rsyslog writes a control character as `#` and three octal digits, others write
//!   it as it is: a line break in a name then parts the record.
//!
//! # Invariants
//! * A line without a record's anchor is another program's: it belongs to no call. A line with one
//!   is an event or doubted.
//! * A line that looks like the beginning of an audit record is tried together with the next ones.
//!   Which ident audits is not known, so this holds for the plugin's default ident, for lines that
//!   follow without a time stamp, and for a next line of the same ident.

use std::ops::ControlFlow;

use crate::event::{Doubt, Event, Kind, Reason, Sink, Span, Stamp};
use crate::reader::{State, Window};
use crate::server_audit::careful::{self, Head, Joined};
use crate::server_audit::shape::{self, Ending, Fit};
use crate::span::{self, Joins, Rest};
use crate::stamp::{self, Lead};

/// What the plugin's default ident holds.
const DEFAULT_IDENT: &[u8] = b"server_audit";

/// A line with a syslog time stamp.
struct Message<'a> {
    /// `None` where the stamp is no time.
    time: Option<Stamp>,
    /// Everything behind the stamp and the space after it.
    text: &'a [u8],
    /// Where the server host may begin: behind the ident and its colon.
    body: usize,
    /// Offset of `text` in the line.
    offset: usize,
    /// The first two words that can be the server host, and the commas behind them.
    servers: [Option<(usize, usize)>; 2],
}

/// What a message turns out to be.
enum Found {
    One { fit: Fit, server: (usize, usize) },
    Several,
    Nothing { has_anchor: bool },
}

/// Takes the line of `window` and what belongs to it; the offset after it, or `None` where more
/// bytes are needed.
pub(crate) fn take<S: Sink>(state: &mut State, window: &Window<'_>, sink: &mut S) -> Option<usize> {
    let Window { bytes, start, end, .. } = *window;
    let line = careful::trim_end(&bytes[start..end]);
    let Some(message) = Message::of(line) else {
        if has_anchor(line) {
            let doubt = careful::rejected(Reason::NotARecord);
            sink.doubt(Span { start, end }, doubt, &bytes[start..end]);
        }
        return Some(end);
    };
    let (end, doubt) = match message.find() {
        Found::One { fit, server } => match (message.doubt(&fit, server), message.time) {
            (None, Some(time)) => {
                let event = message.event(&fit, server, time, &mut state.scratch);
                sink.event(Span { start, end }, &event);
                return Some(end);
            }
            (Some(reason), Some(_)) => (end, reason),
            (_, None) => (end, careful::rejected(Reason::BadTime)),
        },
        Found::Several => (end, careful::quarantined(Reason::Ambiguous)),
        Found::Nothing { has_anchor } => match rest(window, &message, line) {
            Rest::Found(end) => (end, careful::quarantined(Reason::LineBreakInName)),
            Rest::Incomplete => return None,
            Rest::None if has_anchor || message.begins_audit() => {
                (end, careful::rejected(Reason::BadShape))
            }
            Rest::None => return Some(end),
        },
    };
    sink.doubt(Span { start, end }, doubt, &bytes[start..end]);
    Some(end)
}

impl<'a> Message<'a> {
    /// `None` where the line has no syslog time stamp.
    fn of(line: &'a [u8]) -> Option<Message<'a>> {
        let mut at = priority(line);
        let versioned = at > 0 && line[at..].starts_with(b"1 ");
        at += if versioned { 2 } else { 0 };
        let lead = match stamp::without_year(&line[at..]) {
            Lead::None => stamp::date_time(&line[at..]),
            found => found,
        };
        let (time, bytes) = match lead {
            Lead::None => return None,
            Lead::Bad(bytes) => (None, bytes),
            Lead::Good(time, bytes) => (Some(time), bytes),
        };
        let offset = at + bytes + 1;
        if line.get(offset - 1) != Some(&b' ') {
            return None;
        }
        let text = &line[offset..];
        let body = match memchr::memmem::find(text, b": ") {
            Some(colon) => colon + 2,
            // The newer syslog protocol parts its columns with spaces alone.
            None if versioned => 0,
            None => text.len(),
        };
        Some(Message { time, text, body, offset, servers: servers(text, body) })
    }

    /// Weighs every reading.
    fn find(&self) -> Found {
        let mut found = None;
        let mut anchored = false;
        let ending = Ending::of(self.text, false);
        let Some((_, first)) = self.servers[0] else {
            return Found::Nothing { has_anchor: has_anchor(self.text) };
        };
        let flow = shape::anchors(self.text, first + 1, ending.anchors_end(self.text), |anchor| {
            anchored = true;
            shape::fits(self.text, &anchor, &ending, |fit| {
                for server in self.servers.into_iter().flatten() {
                    let user = server.1 + 1;
                    if server.1 < fit.anchor.user_end
                        && careful::stands(self.text, user, &fit)
                        && found.replace((fit.clone(), server)).is_some()
                    {
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            })
        });
        match (flow, found) {
            (ControlFlow::Break(()), _) => Found::Several,
            (_, Some((fit, server))) => Found::One { fit, server },
            (_, None) => Found::Nothing { has_anchor: anchored },
        }
    }

    /// Why the one reading is not to be trusted.
    fn doubt(&self, fit: &Fit, server: (usize, usize)) -> Option<Doubt> {
        let names = match fit.anchor.kind {
            Kind::Query => [server.1..fit.anchor.user_end, fit.database.clone(), 0..0],
            _ => [server.1..fit.anchor.user_end, fit.database.clone(), fit.object.clone()],
        };
        if names.into_iter().any(|name| has_escape(&self.text[name])) {
            return Some(careful::quarantined(Reason::LineBreakInName));
        }
        (!careful::in_range(self.text, fit)).then(|| careful::rejected(Reason::BadNumber))
    }

    fn event<'b>(
        &'b self,
        fit: &Fit,
        server: (usize, usize),
        time: Stamp,
        scratch: &'b mut Vec<u8>,
    ) -> Event<'b> {
        let named = &self.text[server.0..server.1];
        let server_host = if named.is_empty() { self.host() } else { named };
        careful::fields(self.text, fit, server_host, server.1 + 1, time, scratch)
    }

    /// The host that syslog names: the first word, unless the ident stands there.
    fn host(&self) -> &'a [u8] {
        let word = self.text.split(|&b| b == b' ').next().unwrap_or(b"");
        if word.last() == Some(&b':') { b"" } else { word }
    }

    /// Syslog host and ident.
    fn ident(&self) -> &'a [u8] {
        &self.text[..self.body]
    }

    /// Does it look like the beginning of an audit record: a word, a comma and, without a space
    /// between, a name?
    fn begins_record(&self) -> bool {
        self.servers[0].is_some_and(|(_, comma)| self.text.get(comma + 1) != Some(&b' '))
    }

    /// Does it, and did the plugin write it by its ident?
    fn begins_audit(&self) -> bool {
        self.begins_record() && memchr::memmem::find(self.ident(), DEFAULT_IDENT).is_some()
    }
}

/// Looks for the line that completes the record which may begin with `message`.
fn rest(window: &Window<'_>, message: &Message<'_>, first: &[u8]) -> Rest {
    let Some((server, comma)) = message.servers[0] else { return Rest::None };
    if !message.begins_record() || careful::is_whole(&message.text[server..]) {
        return Rest::None;
    }
    let audits = message.begins_audit();
    let head = Head::at(message.offset, message.offset + comma + 1);
    let mut joined = Joined::new(first, head);
    span::rest(window, |lines, from| {
        let other = Message::of(&lines[from..]);
        if !audits && other.as_ref().is_some_and(|other| other.ident() != message.ident()) {
            return Joins::Never;
        }
        match joined.add(lines, from) {
            Joins::NotYet if !audits && other.is_some() => Joins::Never,
            joins => joins,
        }
    })
}

/// The length of `<14>`; 0 where there is none.
fn priority(line: &[u8]) -> usize {
    const DIGITS_MAX: usize = 3;
    let Some((b'<', rest)) = line.split_first() else { return 0 };
    let digits = rest.iter().take(DIGITS_MAX).take_while(|b| b.is_ascii_digit()).count();
    if digits > 0 && rest.get(digits) == Some(&b'>') { digits + 2 } else { 0 }
}

/// The first two words behind `body` that a comma follows and that can be a host name, or nothing
/// where a space stands before the comma: an empty host name.
fn servers(text: &[u8], body: usize) -> [Option<(usize, usize)>; 2] {
    let mut found = [None; 2];
    let mut word = Some(body);
    for (at, &byte) in text.iter().enumerate().skip(body) {
        match byte {
            b' ' => word = Some(at + 1),
            b',' => {
                if let Some(start) = word.take() {
                    let slot = usize::from(found[0].is_some());
                    found[slot] = Some((start, at));
                    if slot == 1 {
                        break;
                    }
                }
            }
            b'.' | b'-' | b'_' => {}
            _ if byte.is_ascii_alphanumeric() => {}
            _ => word = None,
        }
    }
    found
}

fn has_anchor(text: &[u8]) -> bool {
    shape::anchors(text, 0, text.len(), |_| ControlFlow::Break(())).is_break()
}

/// Does it hold a control character as rsyslog writes one: `#012`?
fn has_escape(name: &[u8]) -> bool {
    name.windows(4).any(|four| {
        four[0] == b'#'
            && matches!(four[1], b'0'..=b'3')
            && four[2..].iter().all(|b| matches!(b, b'0'..=b'7'))
    })
}
