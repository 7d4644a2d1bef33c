//! The exact splitter for one record: every reading is weighed, nothing is guessed.

use std::ops::ControlFlow;

use super::shape::{self, Anchor, Ending, Fit};
use crate::event::{Doubt, Event, Kind, Peer, Reason, Stamp, Standing};
use crate::span::Joins;
use crate::stamp::{self, Cache, Lead};

/// What one line by itself turns out to be.
#[derive(Debug)]
pub(crate) enum Line {
    /// A record with exactly one reading; see [`event`].
    Record(Record),
    /// No record, or none to be trusted, whatever follows.
    Doubt(Doubt),
    /// It begins as a record does and does not end as one: the rest may stand on the next lines.
    Head(Head),
}

/// A record's time and the one way to read the rest.
#[derive(Debug)]
pub(crate) struct Record {
    head: Head,
    fit: Fit,
}

/// The beginning of a record: time stamp and server host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    time: Stamp,
    /// The writer is Aurora, by its time stamps.
    aurora: bool,
    /// Offset of the server host.
    pub(crate) server: usize,
    /// Offset of the user name, spaces included.
    user: usize,
}

impl Head {
    /// A head whose time is told elsewhere, its server host at `server` and its user at `user`.
    pub(crate) fn at(server: usize, user: usize) -> Head {
        Head { time: Stamp::Utc(0), aurora: false, server, user }
    }
}

pub(crate) const fn rejected(reason: Reason) -> Doubt {
    Doubt { standing: Standing::Rejected, reason }
}

pub(crate) const fn quarantined(reason: Reason) -> Doubt {
    Doubt { standing: Standing::Quarantined, reason }
}

/// The line without what ends it: a line feed, a carriage return before it, spaces.
pub(crate) fn trim_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let spaces = line.iter().rev().take_while(|&&b| b == b' ').count();
    &line[..line.len() - spaces]
}

/// Reads one line, its end trimmed.
pub(crate) fn line(line: &[u8], cache: &mut Cache) -> Line {
    let head = match head(line, cache) {
        Ok(head) => head,
        Err(doubt) => return Line::Doubt(doubt),
    };
    let ending = Ending::of(&line[head.server..], head.aurora);
    if !ending.is_possible() {
        return no_fit(line, head);
    }
    let text = &line[head.server..];
    let mut found: Option<Fit> = None;
    let user = head.user - head.server;
    let flow = shape::anchors(text, user, ending.anchors_end(text), |anchor| {
        shape::fits(text, &anchor, &ending, |fit| {
            if !stands(text, user, &fit) {
                return ControlFlow::Continue(());
            }
            match found.replace(fit) {
                None => ControlFlow::Continue(()),
                Some(_) => ControlFlow::Break(()),
            }
        })
    });
    match (flow, found) {
        (ControlFlow::Break(()), _) => Line::Doubt(quarantined(Reason::Ambiguous)),
        (_, None) => no_fit(line, head),
        (_, Some(fit)) => checked(text, head, fit),
    }
}

/// Time and server host. The host name has no comma, space inside or line break.
fn head(line: &[u8], cache: &mut Cache) -> Result<Head, Doubt> {
    let (lead, bytes) = match cache.lead(line) {
        Lead::None => return Err(rejected(Reason::NotARecord)),
        Lead::Bad(bytes) => (None, bytes),
        Lead::Good(time, bytes) => (Some(time), bytes),
    };
    if line.get(bytes) != Some(&b',') {
        return Err(rejected(Reason::NotARecord));
    }
    let Some(time) = lead else { return Err(rejected(Reason::BadTime)) };
    let server = bytes + 1;
    let Some(comma) = memchr::memchr(b',', &line[server..]) else {
        return Err(rejected(Reason::BadShape));
    };
    Ok(Head { time, aurora: bytes == 16, server, user: server + comma + 1 })
}

/// What the columns by themselves cannot tell.
pub(crate) fn stands(text: &[u8], user: usize, fit: &Fit) -> bool {
    match fit.anchor.kind {
        Kind::AuditConfig => shape::trim(text, user..fit.anchor.user_end).is_empty(),
        Kind::Query => memchr::memchr(b'\n', &text[fit.object.clone()]).is_none(),
        _ => true,
    }
}

/// A line without a reading.
fn no_fit(line: &[u8], head: Head) -> Line {
    match is_whole(&line[head.server..]) {
        true => Line::Doubt(rejected(Reason::BadShape)),
        false => Line::Head(head),
    }
}

/// Has it every column where it belongs, from the server host on? If it has no reading all the same,
/// it is a record of a kind that is not known: nothing on the next lines can belong to it.
pub(crate) fn is_whole(text: &[u8]) -> bool {
    const COLUMNS_MAX: usize = 11;
    let mut columns = [&b""[..]; COLUMNS_MAX];
    let mut count = 0;
    for column in text.split(|&b| b == b',') {
        if count == COLUMNS_MAX {
            return false;
        }
        columns[count] = column.trim_ascii();
        count += 1;
    }
    let operation = columns[5];
    count >= 9
        && shape::is_number(columns[3])
        && shape::is_number(columns[4])
        && !operation.is_empty()
        && operation.iter().all(|b| b.is_ascii_uppercase() || *b == b'_')
        && (columns[8].is_empty() || shape::is_number(columns[8]))
}

/// The one reading, unless its numbers are out of range or a name holds another record's beginning.
/// That has commas, and so has the name: without one, nothing can be glued into it.
fn checked(text: &[u8], head: Head, fit: Fit) -> Line {
    let user = head.user - head.server..fit.anchor.user_end;
    let (object, named) = match fit.anchor.kind {
        Kind::Query => (0..0, &text[..fit.object.start]),
        _ => (fit.object.clone(), text),
    };
    let commas = [user, fit.database.clone(), object]
        .into_iter()
        .any(|name| memchr::memchr(b',', &text[name]).is_some());
    if commas && stamp::occurs_in(named, head.aurora) {
        return Line::Doubt(quarantined(Reason::RecordInName));
    }
    if !in_range(text, &fit) {
        return Line::Doubt(rejected(Reason::BadNumber));
    }
    Line::Record(Record { head, fit })
}

/// Do the ids have 64 bits at most, and the error number 32?
pub(crate) fn in_range(text: &[u8], fit: &Fit) -> bool {
    number::<u64>(&text[fit.anchor.connection.clone()]).is_some()
        && number::<u64>(&text[fit.anchor.query.clone()]).is_some()
        && number::<u32>(&text[fit.error.clone()]).is_some()
}

/// The event of a record that [`line()`] found in `line`. `scratch` takes user and host where they
/// do not stand side by side.
pub(crate) fn event<'a>(line: &'a [u8], record: &Record, scratch: &'a mut Vec<u8>) -> Event<'a> {
    let Record { head, fit } = record;
    let text = &line[head.server..];
    let user = head.user - head.server;
    let server = &text[..user - 1];
    fields(text, fit, server.trim_ascii(), user, head.time, scratch)
}

/// The event that one reading of `text` makes; `user` is where the user name begins.
pub(crate) fn fields<'a>(
    text: &'a [u8],
    fit: &Fit,
    server: &'a [u8],
    user: usize,
    time: Stamp,
    scratch: &'a mut Vec<u8>,
) -> Event<'a> {
    let Anchor { user_end, host, port, connection, query, kind, .. } = &fit.anchor;
    // No name can put a space before the connection id: where one stands, the writer puts one
    // after each comma, as the documentation does.
    let spaced = text[connection.start - 1] == b' ';
    let name = |start: usize, end: usize| {
        let space = usize::from(spaced && start < end && text[start] == b' ');
        start + space..end
    };
    let user = name(user, *user_end);
    let object = match kind {
        Kind::Query => fit.object.clone(),
        _ => name(fit.object.start, fit.object.end),
    };
    let joined = if host.start == user_end + 1 {
        &text[user.start..host.end]
    } else {
        scratch.clear();
        scratch.extend_from_slice(&text[user.clone()]);
        scratch.push(b',');
        scratch.extend_from_slice(&text[host.clone()]);
        &scratch[..]
    };
    Event {
        series: None,
        time,
        server,
        peer: Peer::new(joined, user.len()),
        port: *port,
        connection: number(&text[connection.clone()]).unwrap_or(0),
        query: number(&text[query.clone()]).unwrap_or(0),
        kind: *kind,
        error: number(&text[fit.error.clone()]).unwrap_or(0),
        database: &text[name(fit.database.start, fit.database.end)],
        object: &text[object],
        account_user: None,
        further: !fit.error.is_empty() && text[fit.error.end..].contains(&b','),
    }
}

/// The first lines of a record that a name with line breaks has split, grown line by line.
pub(crate) struct Joined {
    head: Head,
    anchors: Vec<Anchor>,
}

/// More anchors than names can hold: a name of 128 characters has room for 12.
const ANCHORS_MAX: usize = 64;

impl Joined {
    /// Begins with the first line.
    pub(crate) fn new(first: &[u8], head: Head) -> Joined {
        let mut joined = Joined { head, anchors: Vec::new() };
        joined.find_anchors(first, head.user);
        joined
    }

    /// Adds anchors from `from` on; an anchor never crosses a line break. False where there are too
    /// many.
    fn find_anchors(&mut self, lines: &[u8], from: usize) -> bool {
        let Head { server, .. } = self.head;
        let text = &lines[server..];
        shape::anchors(text, from - server, text.len(), |anchor| {
            self.anchors.push(anchor);
            match self.anchors.len() > ANCHORS_MAX {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })
        .is_continue()
    }

    /// Do the lines fit a shape, now that the last of them (beginning at `from`, its end trimmed)
    /// is added?
    pub(crate) fn add(&mut self, lines: &[u8], from: usize) -> Joins {
        if from < lines.len() && !self.find_anchors(lines, from) {
            return Joins::Never;
        }
        if self.anchors.is_empty() {
            return Joins::NotYet;
        }
        let text = &lines[self.head.server..];
        let ending = Ending::of(text, self.head.aurora);
        if !ending.is_possible() {
            return Joins::NotYet;
        }
        let user = self.head.user - self.head.server;
        let fits = self.anchors.iter().any(|anchor| {
            shape::fits(text, anchor, &ending, |fit| match stands(text, user, &fit) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
            .is_break()
        });
        if fits { Joins::Yes } else { Joins::NotYet }
    }
}

/// A decimal number; 0 where there are no digits.
fn number<T: TryFrom<u64>>(digits: &[u8]) -> Option<T> {
    let value = digits.iter().try_fold(0u64, |sum, &b| {
        sum.checked_mul(10)?.checked_add(u64::from(b.wrapping_sub(b'0')))
    })?;
    T::try_from(value).ok()
}
