//! JSON lines of the audit_login plugin and of writers that follow it: logins, failures, logouts.
//!
//! ```text
//! {"ts":"2013-09-11 09:11:47","type":"successful_login","myhost":"db1","thread":"74153868",
//!  "user":"web","priv_user":"web","host":"web-87.example.net","ip":"10.0.0.87"}
//! ```
//!
//! (on one line). A writer that escapes adds keys behind `ip`: `time` (RFC 3339, wins over `ts`),
//! `server` (over `myhost`), `status` (the error), `db`, `tls`, `user_hex` and the like, which hold
//! the exact bytes and win over `user`, `seq` and `dropped` (of our plugin: [`Series`]); others are
//! passed over.
//!
//! # What the format does not promise
//! * The first writer escapes nothing. A name may hold quotes, line breaks, further keys, a whole
//!   second object.
//! * `ts` is the server's local time without a zone.
//! * A failure of the first writer does not tell its error: `error` is 0 and the kind is still
//!   [`Kind::Failed`].
//!
//! # Invariants
//! * The first eight keys stand in the order above. All that strangers choose stands before `ip`,
//!   so forged keys break the order or occur twice.
//! * A line of eight keys with a backslash that could be an escape is ambiguous: which writer wrote
//!   it cannot be told. One that is no JSON is read only if the plain template fits in one way.

pub(crate) mod encode;
mod json;

use json::{Fault, Value};

use crate::event::{Doubt, Event, Kind, Peer, Reason, Series, Sink, Span, Stamp};
use crate::reader::{State, Window};
use crate::server_audit::careful::{quarantined, rejected, trim_end};
use crate::span::{self, Joins, Rest};
use crate::stamp::{self, Lead};

/// The keys of the first writer, in its order.
const KEYS: [&[u8]; 8] =
    [b"ts", b"type", b"myhost", b"thread", b"user", b"priv_user", b"host", b"ip"];

/// What stands between the values that strangers choose, as the first writer writes it.
const PRIV_USER: &[u8] = br#"","priv_user":""#;
const HOST: &[u8] = br#"","host":""#;
const IP: &[u8] = br#"","ip":""#;
const BEGIN: &[u8] = br#"{"ts":"#;
const END: &[u8] = br#""}"#;

/// A value and how it is to be taken.
#[derive(Debug, Clone, Copy)]
enum Text<'a> {
    Null,
    Raw(&'a [u8]),
    Escaped(&'a [u8]),
    Hex(&'a [u8]),
}

/// The columns of one record, in no notation.
#[derive(Debug)]
struct Login<'a> {
    time: Text<'a>,
    kind: Text<'a>,
    server: Text<'a>,
    thread: Text<'a>,
    user: Text<'a>,
    account_user: Text<'a>,
    host: Text<'a>,
    ip: Text<'a>,
    status: Text<'a>,
    database: Text<'a>,
    tls: Text<'a>,
    line: Text<'a>,
    lost: Text<'a>,
}

/// Takes the line of `window` and what belongs to it; the offset after it, or `None` where more
/// bytes are needed.
pub(crate) fn take<S: Sink>(state: &mut State, window: &Window<'_>, sink: &mut S) -> Option<usize> {
    let Window { bytes, start, end, .. } = *window;
    let line = trim_end(&bytes[start..end]);
    let (end, doubt) = match login(line) {
        Ok(login) => match event(&login, &mut state.scratch) {
            Ok(event) => {
                sink.event(Span { start, end }, &event);
                return Some(end);
            }
            Err(doubt) => (end, doubt),
        },
        Err(doubt) if doubt.reason != Reason::BadSyntax => (end, doubt),
        Err(doubt) => match rest(window, line) {
            Rest::Found(end) => (end, quarantined(Reason::LineBreakInName)),
            Rest::None => (end, doubt),
            Rest::Incomplete => return None,
        },
    };
    sink.doubt(Span { start, end }, doubt, &bytes[start..end]);
    Some(end)
}

/// Looks for the line that completes the record which begins with the line `first`.
fn rest(window: &Window<'_>, first: &[u8]) -> Rest {
    let Some(fixed) = fixed(first) else { return Rest::None };
    let user = fixed.user;
    span::rest(window, |lines, _| match template(lines, user) {
        Ok(None) => Joins::NotYet,
        Ok(Some(_)) | Err(_) => Joins::Yes,
    })
}

/// The record on one line, by whichever writer.
fn login(line: &[u8]) -> Result<Login<'_>, Doubt> {
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(rejected(Reason::NotARecord));
    }
    let fault = match json::object(line) {
        Ok(members) => return of_members(&members),
        Err(fault) => fault,
    };
    let Some(fixed) = fixed(line) else {
        return Err(quarantined(match fault {
            Fault::More => Reason::Ambiguous,
            Fault::Syntax => Reason::BadSyntax,
        }));
    };
    match (template(line, fixed.user)?, fault) {
        (Some([user, account_user, host, ip]), _) => Ok(Login {
            time: Text::Raw(fixed.time),
            kind: Text::Raw(fixed.kind),
            server: Text::Raw(fixed.server),
            thread: Text::Raw(fixed.thread),
            user: Text::Raw(user),
            account_user: Text::Raw(account_user),
            host: Text::Raw(host),
            ip: Text::Raw(ip),
            status: Text::Null,
            database: Text::Null,
            tls: Text::Null,
            line: Text::Null,
            lost: Text::Null,
        }),
        (None, Fault::More) => Err(quarantined(Reason::Ambiguous)),
        (None, Fault::Syntax) => Err(quarantined(Reason::BadSyntax)),
    }
}

/// The record of a valid object.
fn of_members<'a>(members: &[(&'a [u8], Value<'a>)]) -> Result<Login<'a>, Doubt> {
    let is_twice = |i: usize| members[..i].iter().any(|(key, _)| *key == members[i].0);
    if (0..members.len()).any(is_twice) {
        return Err(quarantined(Reason::DuplicateKey));
    }
    if !KEYS.iter().all(|name| members.iter().any(|(key, _)| key == name)) {
        return Err(rejected(Reason::BadShape));
    }
    let in_order = KEYS.iter().zip(members).all(|(name, (key, _))| key == name);
    let plain_keys = members.iter().all(|(key, _)| memchr::memchr(b'\\', key).is_none());
    let escapes = members.len() > KEYS.len();
    let has_backslash = members.iter().any(
        |(_, value)| matches!(value, Value::Text(text) if memchr::memchr(b'\\', text).is_some()),
    );
    if !in_order || !plain_keys || (has_backslash && !escapes) {
        return Err(quarantined(Reason::Ambiguous));
    }
    let value = |name: &[u8]| match members.iter().find(|(key, _)| *key == name) {
        None | Some((_, Value::Null)) => Ok(Text::Null),
        Some((_, Value::Text(text))) => Ok(Text::Escaped(text)),
        Some((_, Value::Number(number))) => Ok(Text::Raw(number)),
        Some((_, Value::Other)) => Err(rejected(Reason::BadShape)),
    };
    let exact = |name: &[u8], exact: &[u8]| match value(exact)? {
        Text::Escaped(digits) => Ok(Text::Hex(digits)),
        _ => value(name),
    };
    let prefer = |name: &[u8], other: &[u8]| match value(name)? {
        Text::Null | Text::Escaped(b"") => value(other),
        text => Ok(text),
    };
    Ok(Login {
        time: prefer(b"time", b"ts")?,
        kind: value(b"type")?,
        server: prefer(b"server", b"myhost")?,
        thread: value(b"thread")?,
        user: exact(b"user", b"user_hex")?,
        account_user: exact(b"priv_user", b"priv_user_hex")?,
        host: exact(b"host", b"host_hex")?,
        ip: exact(b"ip", b"ip_hex")?,
        status: value(b"status")?,
        database: exact(b"db", b"db_hex")?,
        tls: value(b"tls")?,
        line: value(b"seq")?,
        lost: value(b"dropped")?,
    })
}

/// The values of the template that the server itself writes, and where the user begins.
#[derive(Debug)]
struct Fixed<'a> {
    time: &'a [u8],
    kind: &'a [u8],
    server: &'a [u8],
    thread: &'a [u8],
    user: usize,
}

/// The first writer's line up to the user: none of these values holds a quote.
fn fixed(line: &[u8]) -> Option<Fixed<'_>> {
    let mut at = 0;
    let mut next = |before: &[u8]| {
        line[at..].starts_with(before).then(|| {
            let start = at + before.len();
            let length = memchr::memchr(b'"', &line[start..]).unwrap_or(line.len() - start);
            at = start + length;
            &line[start..at]
        })
    };
    let time = next(br#"{"ts":""#)?;
    let kind = next(br#"","type":""#)?;
    let server = next(br#"","myhost":""#)?;
    let thread = next(br#"","thread":""#)?;
    let user = line[at..].starts_with(br#"","user":""#).then_some(at + br#"","user":""#.len())?;
    Some(Fixed { time, kind, server, thread, user })
}

/// User, account user, host and address by the first writer's template; `None` where it does not
/// fit.
///
/// # Errors
/// Where a value holds what parts the values, or another object's beginning.
fn template(line: &[u8], user: usize) -> Result<Option<[&[u8]; 4]>, Doubt> {
    let Some(rest) = line.get(user..).and_then(|rest| rest.strip_suffix(END)) else {
        return Ok(None);
    };
    let Some(account) = memchr::memmem::find(rest, PRIV_USER) else { return Ok(None) };
    let Some(ip) = memchr::memmem::rfind(rest, IP) else { return Ok(None) };
    let between = (account + PRIV_USER.len(), ip);
    let inner = rest.get(between.0..between.1);
    let Some(host) = inner.and_then(|inner| memchr::memmem::find(inner, HOST)) else {
        return Ok(None);
    };
    let host = between.0 + host;
    let several = |separator: &[u8]| memchr::memmem::find_iter(rest, separator).count() > 1;
    let twice = several(PRIV_USER) || several(HOST) || several(IP);
    if twice || memchr::memmem::find(rest, BEGIN).is_some() {
        return Err(quarantined(Reason::Ambiguous));
    }
    Ok(Some([
        &rest[..account],
        &rest[between.0..host],
        &rest[host + HOST.len()..ip],
        &rest[ip + IP.len()..],
    ]))
}

/// Puts the texts into `scratch` and makes the event.
fn event<'a>(login: &Login<'_>, scratch: &'a mut Vec<u8>) -> Result<Event<'a>, Doubt> {
    scratch.clear();
    let mut put = |text: Text<'_>| {
        let start = scratch.len();
        decode(text, scratch).map(|()| start..scratch.len())
    };
    let kind = put(login.kind)?;
    let time = put(login.time)?;
    let thread = put(login.thread)?;
    let status = put(login.status)?;
    let server = put(login.server)?;
    let database = put(login.database)?;
    let tls = put(login.tls)?;
    let line = put(login.line)?;
    let lost = put(login.lost)?;
    let account = put(login.account_user)?;
    let user = put(login.user)?;
    put(Text::Raw(b","))?;
    let host = put(login.host)?;
    let host = if host.is_empty() { put(login.ip)? } else { host };
    let joined = user.start..host.end;

    let scratch = &scratch[..];
    let kind = match &scratch[kind] {
        b"successful_login" => Kind::Connect,
        b"failed_login" => Kind::Failed,
        b"logout" => Kind::Disconnect,
        b"change_user" => Kind::ChangeUser,
        _ => return Err(rejected(Reason::BadShape)),
    };
    let error = if status.is_empty() { 0 } else { number(&scratch[status])? };
    let error = u32::try_from(error).map_err(|_| rejected(Reason::BadNumber))?;
    let succeeded = matches!(kind, Kind::Connect | Kind::ChangeUser) && error == 0;
    let series = match (line.is_empty(), lost.is_empty()) {
        (false, false) => {
            Some(Series { line: number(&scratch[line])?, lost: number(&scratch[lost])? })
        }
        _ => None,
    };
    let told = !matches!(login.account_user, Text::Null)
        && !matches!(login.account_user, Text::Raw(text) | Text::Escaped(text) if is_null(text));
    Ok(Event {
        time: time_of(&scratch[time])?,
        server: &scratch[server],
        peer: Peer::new(&scratch[joined], user.len()),
        port: None,
        connection: number(&scratch[thread])?,
        query: 0,
        kind,
        error,
        database: &scratch[database],
        object: &scratch[tls],
        account_user: (succeeded && told).then_some(&scratch[account]),
        further: false,
        series,
    })
}

fn decode(text: Text<'_>, into: &mut Vec<u8>) -> Result<(), Doubt> {
    let syntax = || quarantined(Reason::BadSyntax);
    match text {
        Text::Null => {}
        Text::Raw(text) | Text::Escaped(text) if is_null(text) => {}
        Text::Raw(text) => into.extend_from_slice(text),
        Text::Escaped(text) => json::unescape(text, into).ok_or_else(syntax)?,
        Text::Hex(digits) => {
            if digits.len() % 2 != 0 {
                return Err(syntax());
            }
            for pair in digits.chunks_exact(2) {
                let digit = |i: usize| json::hex_digit(pair[i]).ok_or_else(syntax);
                into.push((digit(0)? << 4 | digit(1)?) as u8);
            }
        }
    }
    Ok(())
}

/// What C prints for a null pointer.
fn is_null(text: &[u8]) -> bool {
    text == b"(null)"
}

fn time_of(text: &[u8]) -> Result<Stamp, Doubt> {
    match stamp::date_time(text) {
        Lead::Good(stamp, bytes) if bytes == text.len() => Ok(stamp),
        _ => Err(rejected(Reason::BadTime)),
    }
}

fn number(digits: &[u8]) -> Result<u64, Doubt> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(rejected(Reason::BadShape));
    }
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(rejected(Reason::BadNumber))
}
