//! A slow and obvious second reader of server_audit lines, compared with the real one on generated
//! logs with hostile names, damage and mutations.
//!
//! It tries every way to put the columns to the fields, with plain text functions; nothing is
//! shared with the crate but the types of the calls.

mod common;

use std::net::Ipv6Addr;

use common::{Call, Owned, check_any, read_all, shown};
use formats::{Dialect, Doubt, Kind, Reason, SPAN_BYTES_MAX, SPAN_LINES_MAX, Stamp, Standing};
use proptest::prelude::*;
use proptest::sample::select;

// ---- the second reader
// -----------------------------------------------------------------------------

fn calls(log: &[u8]) -> Vec<Call> {
    let mut found = Vec::new();
    let mut at = if log.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
    while at < log.len() {
        let zeros = log[at..].iter().take_while(|&&b| b == 0).count();
        if zeros > 0 {
            found.push(doubt(at, at + zeros, Standing::Rejected, Reason::NulBytes));
            at += zeros;
            continue;
        }
        let Some(length) = log[at..].iter().position(|&b| b == b'\n') else {
            if log[at..].iter().any(|b| !b" \t\r".contains(b)) {
                found.push(doubt(at, log.len(), Standing::Quarantined, Reason::Unfinished));
            }
            break;
        };
        let end = at + length + 1;
        if log[at..end].iter().all(|b| b" \t\r\n".contains(b)) {
            at = end;
            continue;
        }
        let call = line(log, at, end);
        at = call.span().1;
        found.push(call);
    }
    found
}

fn doubt(start: usize, end: usize, standing: Standing, reason: Reason) -> Call {
    Call::Doubt(start, end, Doubt { standing, reason })
}

fn trimmed(mut line: &[u8]) -> &[u8] {
    for end in [b'\n', b'\r'] {
        line = line.strip_suffix(&[end]).unwrap_or(line);
    }
    while let Some(shorter) = line.strip_suffix(b" ") {
        line = shorter;
    }
    line
}

fn line(log: &[u8], start: usize, end: usize) -> Call {
    let text = trimmed(&log[start..end]);
    let rejected = |reason| doubt(start, end, Standing::Rejected, reason);
    let Some(comma) = text.iter().position(|&b| b == b',') else {
        return rejected(Reason::NotARecord);
    };
    let Some(time) = stamp(&text[..comma]) else { return rejected(Reason::NotARecord) };
    let Some(time) = time else { return rejected(Reason::BadTime) };
    let aurora = comma == 16;
    let columns = split(&text[comma + 1..]);
    if columns.len() < 2 {
        return rejected(Reason::BadShape);
    }
    let mut found = readings(&columns, aurora);
    match found.len() {
        0 => {}
        1 => return judged(&text[comma + 1..], time, aurora, found.remove(0), start, end),
        _ => return doubt(start, end, Standing::Quarantined, Reason::Ambiguous),
    }
    if !is_whole(&columns) {
        let mut next = end;
        for _ in 1..SPAN_LINES_MAX {
            let near = next - start < SPAN_BYTES_MAX;
            let Some(length) = log[next..].iter().position(|&b| b == b'\n').filter(|_| near) else {
                break;
            };
            next += length + 1;
            let joined = trimmed(&log[start..next]);
            if !readings(&split(&joined[comma + 1..]), aurora).is_empty() {
                return doubt(start, next, Standing::Quarantined, Reason::LineBreakInName);
            }
        }
    }
    rejected(Reason::BadShape)
}

fn split(text: &[u8]) -> Vec<&[u8]> {
    text.split(|&b| b == b',').collect()
}

/// Nine to eleven columns, two numbers and an unknown word where they belong.
fn is_whole(columns: &[&[u8]]) -> bool {
    let digits = |column: &[u8]| !column.is_empty() && column.iter().all(u8::is_ascii_digit);
    (9..=11).contains(&columns.len())
        && digits(columns[3].trim_ascii())
        && digits(columns[4].trim_ascii())
        && !columns[5].trim_ascii().is_empty()
        && columns[5].trim_ascii().iter().all(|b| b.is_ascii_uppercase() || *b == b'_')
        && (columns[8].trim_ascii().is_empty() || digits(columns[8].trim_ascii()))
}

struct Reading {
    server: Vec<u8>,
    user: Vec<u8>,
    host: Vec<u8>,
    connection: Vec<u8>,
    query: Vec<u8>,
    kind: Kind,
    database: Vec<u8>,
    object: Vec<u8>,
    error: Vec<u8>,
    further: bool,
    spaced: bool,
    /// The bytes before the statement.
    before: usize,
}

fn spaceless(column: &[u8]) -> &[u8] {
    let mut column = column;
    for cut in [<[u8]>::strip_prefix::<[u8]>, <[u8]>::strip_suffix::<[u8]>] {
        while let Some(shorter) = cut(column, b" ") {
            column = shorter;
        }
    }
    column
}

/// Every way to give the columns to the fields.
fn readings(columns: &[&[u8]], aurora: bool) -> Vec<Reading> {
    let mut found = Vec::new();
    let n = columns.len();
    for host in 2..n {
        if host + 6 >= n || kind_of(spaceless(columns[host + 3])).is_none() {
            continue;
        }
        for object in host + 5..n {
            for error in object + 1..n {
                let extras = &columns[error + 1..];
                if extras.len() > 2 {
                    continue;
                }
                let database = columns[host + 4..object].join(&b',');
                let named = columns[object..error].join(&b',');
                let kind = kind_of(spaceless(columns[host + 3])).unwrap();
                let reading = Reading {
                    server: columns[0].to_vec(),
                    user: columns[1..host].join(&b','),
                    host: spaceless(columns[host]).to_vec(),
                    connection: spaceless(columns[host + 1]).to_vec(),
                    query: spaceless(columns[host + 2]).to_vec(),
                    kind,
                    database,
                    object: named,
                    error: spaceless(columns[error]).to_vec(),
                    further: error + 1 < n && !spaceless(columns[error]).is_empty(),
                    spaced: columns[host + 1].starts_with(b" "),
                    before: columns[..object].iter().map(|column| column.len() + 1).sum(),
                };
                let extras: Vec<&[u8]> = extras.iter().map(|extra| spaceless(extra)).collect();
                if fits(&reading, &extras, aurora) {
                    found.push(reading);
                }
            }
        }
    }
    found
}

fn kind_of(word: &[u8]) -> Option<Kind> {
    let words = [
        ("CONNECT", Kind::Connect),
        ("DISCONNECT", Kind::Disconnect),
        ("FAILED_CONNECT", Kind::Failed),
        ("CHANGEUSER", Kind::ChangeUser),
        ("PROXY_CONNECT", Kind::ProxyConnect),
        ("QUERY", Kind::Query),
        ("READ", Kind::Read),
        ("WRITE", Kind::Write),
        ("CREATE", Kind::Create),
        ("ALTER", Kind::Alter),
        ("DROP", Kind::Drop),
        ("RENAME", Kind::Rename),
        ("AUDIT_CONFIG", Kind::AuditConfig),
    ];
    words.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, kind)| *kind)
}

fn fits(reading: &Reading, extras: &[&[u8]], aurora: bool) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let zero = |text: &[u8]| text.iter().all(|&b| b == b'0');
    let Reading { query, connection, kind, database, object, error, user, .. } = reading;
    if !digits(connection) || !digits(query) || host_of(&reading.host).is_none() {
        return false;
    }
    let word = |extra: &[u8]| {
        extra.is_empty()
            || (extra.len() <= 32
                && extra[0].is_ascii_alphabetic()
                && extra.iter().all(|b| b.is_ascii_alphanumeric() || b"_/.-".contains(b)))
    };
    let extras_fit = match extras {
        [] => true,
        [one] => word(one),
        [one, two] => word(one) && two.is_empty(),
        _ => false,
    };
    let object_empty = spaceless(object).is_empty();
    let numbered = digits(error) && extras_fit;
    match kind {
        Kind::Connect => numbered && zero(query) && zero(error) && tls(spaceless(object)),
        Kind::Failed => {
            numbered
                && zero(query)
                && !zero(error)
                && tls(spaceless(object))
                && spaceless(database).is_empty()
        }
        Kind::Disconnect | Kind::ChangeUser => numbered && zero(query) && tls(spaceless(object)),
        Kind::ProxyConnect => {
            let object = String::from_utf8_lossy(spaceless(object)).into_owned();
            let inner = object.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
            numbered && zero(query) && zero(error) && inner.is_some_and(|text| text.contains("`@`"))
        }
        Kind::Query => numbered && statement(object).is_some(),
        Kind::AuditConfig => {
            numbered
                && spaceless(user).is_empty()
                && reading.host.is_empty()
                && zero(connection)
                && database.is_empty()
        }
        _ => {
            let renames = object.iter().position(|&b| b == b'|').map(|bar| &object[bar..]);
            let shape = !object.trim_ascii().is_empty()
                && (*kind != Kind::Rename || renames.is_some_and(|rest| rest.contains(&b'.')));
            let last = object.rsplit(|&b| b == b',').next().unwrap();
            let blank = error.is_empty()
                && !spaceless(last).is_empty()
                && match extras {
                    [] => true,
                    [one] => word(one),
                    [one, two] => one.is_empty() && two.is_empty(),
                    _ => false,
                };
            let plain = |name: &[u8]| !name.contains(&b',') && !name.contains(&b'\'');
            let by_aurora =
                aurora && digits(error) && extras.is_empty() && plain(database) && plain(object);
            shape && !object_empty && (blank || by_aurora)
        }
    }
}

/// What stands between the quotes, if every quote inside is escaped.
fn statement(object: &[u8]) -> Option<Vec<u8>> {
    if object.contains(&b'\n') {
        return None;
    }
    let behind = object.iter().rev().take_while(|&&b| b == b' ').count();
    let object = &object[..object.len() - behind];
    let object = object.strip_prefix(b" ").unwrap_or(object).strip_prefix(b"'")?;
    let mut inside = Vec::new();
    let mut bytes = object.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\'' => return (bytes.next().is_none()).then_some(inside),
            b'\\' => {
                inside.push(byte);
                inside.push(*bytes.next()?);
            }
            _ => inside.push(byte),
        }
    }
    None
}

fn tls(object: &[u8]) -> bool {
    let text = String::from_utf8_lossy(object);
    let version =
        ["TLSv", "SSLv", "DTLSv", "QUICv"].iter().find_map(|name| text.strip_prefix(name));
    text.is_empty()
        || text == "unknown"
        || version.is_some_and(|version| {
            (1..=4).contains(&version.len())
                && version.starts_with(|c: char| c.is_ascii_digit())
                && version.chars().all(|c| c.is_ascii_digit() || c == '.')
        })
}

fn host_of(column: &[u8]) -> Option<(String, Option<u16>)> {
    let text = std::str::from_utf8(column).ok()?;
    let name = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_%".contains(c);
        let number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        text.chars().all(allowed) && !number
    };
    let zone = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_%".contains(c));
    let address = |text: &str| match text.split_once('%') {
        Some((address, rest)) => address.parse::<Ipv6Addr>().is_ok() && zone(rest),
        None => text.parse::<Ipv6Addr>().is_ok(),
    };
    let port = |text: &str| {
        if text == "unavailable" {
            return Some(None);
        }
        let digits = (1..=5).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit());
        let port = text.parse::<u16>().ok().filter(|_| digits)?;
        Some(Some(port).filter(|&port| port != 0))
    };
    if text.len() > 269 {
        return None;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { port(rest.strip_prefix(':')?)? };
        return address(inner).then(|| (inner.to_string(), port));
    }
    let Some((before, after)) = text.rsplit_once(':') else {
        return name(text).then(|| (text.to_string(), None));
    };
    if address(text) {
        return Some((text.to_string(), None));
    }
    let fits =
        if before.contains(':') { address(before) } else { !before.is_empty() && name(before) };
    Some((before.to_string(), port(after)?)).filter(|_| fits)
}

/// The time, the inner `None` where it is none of this calendar.
fn stamp(text: &[u8]) -> Option<Option<Stamp>> {
    let text = std::str::from_utf8(text).ok()?;
    let number = |text: &str| -> Option<i64> {
        (!text.is_empty() && text.chars().all(|c| c.is_ascii_digit()))
            .then(|| text.parse().unwrap())
    };
    if text.len() == 16 && number(text).is_some() {
        return Some(Some(Stamp::Utc(number(text)?)));
    }
    let (date, rest) = if text.as_bytes().get(4) == Some(&b'-') {
        let (date, rest) = text.split_at_checked(10)?;
        (date.as_bytes()[7] == b'-').then_some(())?;
        (format!("{}{}{}", &date[..4], date.get(5..7)?, date.get(8..)?), rest)
    } else {
        let (date, rest) = text.split_at_checked(8)?;
        (date.to_string(), rest)
    };
    number(&date)?;
    let rest = rest.strip_prefix([' ', 'T'])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts[..] else { return None };
    if [hour, minute, second].iter().any(|part| part.len() != 2) {
        return None;
    }
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    let digits = rest
        .strip_prefix('.')
        .map_or("", |rest| &rest[..rest.chars().take_while(char::is_ascii_digit).count()]);
    let rest = if rest.starts_with('.') { &rest[1 + digits.len()..] } else { rest };
    if text.contains('.') && !(1..=9).contains(&digits.len()) {
        return None;
    }
    let micros = format!("{digits:0<6}")[..6].parse::<i64>().unwrap();
    let offset = offset(rest)?;
    let valid_clock = hour < 24 && minute < 60 && second <= 60;
    let days =
        days(date[..4].parse().unwrap(), date[4..6].parse().unwrap(), date[6..].parse().unwrap());
    let (Some(days), true) = (days, valid_clock) else { return Some(None) };
    let local = (days * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000 + micros;
    Some(match offset {
        None => Some(Stamp::Local(local)),
        Some(Some(seconds)) => Some(Stamp::Utc(local - seconds * 1_000_000)),
        Some(None) => None,
    })
}

type Offset = Option<Option<i64>>;

/// Outer `None`: not an offset; then: none written; then: none of this world.
fn offset(text: &str) -> Option<Offset> {
    if text.is_empty() {
        return Some(None);
    }
    if text == "Z" {
        return Some(Some(Some(0)));
    }
    let text = text.strip_prefix(' ').unwrap_or(text);
    let sign = if text.starts_with('+') { 1 } else { -1 };
    let text = text.strip_prefix(['+', '-'])?;
    let digits: String = match text.len() {
        2 => format!("{text}00"),
        4 => text.to_string(),
        5 if text.as_bytes()[2] == b':' => text.replacen(':', "", 1),
        _ => return None,
    };
    if digits.len() != 4 || !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits[..2].parse().unwrap(), digits[2..].parse().unwrap());
    let valid = hours <= 15 && minutes < 60;
    Some(Some(valid.then_some(sign * (hours * 3600 + minutes * 60))))
}

/// Days since 1970, by counting them.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = |year: i64, month: i64| match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1970 || !(1..=12).contains(&month) || !(1..=length(year, month)).contains(&day) {
        return None;
    }
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    let months: i64 = (1..month).map(|month| length(year, month)).sum();
    Some(years + months + day - 1)
}

/// The call for the only reading.
fn judged(
    text: &[u8],
    time: Stamp,
    aurora: bool,
    reading: Reading,
    start: usize,
    end: usize,
) -> Call {
    let before = if reading.kind == Kind::Query { &text[..reading.before] } else { text };
    let names = [&reading.user[..], &reading.database, &reading.object];
    let names = &names[..if reading.kind == Kind::Query { 2 } else { 3 }];
    if names.iter().any(|name| name.contains(&b',')) && holds_stamp(before, aurora) {
        return doubt(start, end, Standing::Quarantined, Reason::RecordInName);
    }
    let parse = |digits: &[u8]| std::str::from_utf8(digits).unwrap().parse::<u64>();
    let error = if reading.error.is_empty() { Ok(0) } else { parse(&reading.error) };
    let (Ok(connection), Ok(query), Ok(Ok(error))) =
        (parse(&reading.connection), parse(&reading.query), error.map(u32::try_from))
    else {
        return doubt(start, end, Standing::Rejected, Reason::BadNumber);
    };
    let name = |name: &[u8]| {
        let name = if reading.spaced { name.strip_prefix(b" ").unwrap_or(name) } else { name };
        shown(name)
    };
    let (host, port) = host_of(&reading.host).unwrap();
    let object = match reading.kind {
        Kind::Query => shown(&statement(&reading.object).unwrap()),
        Kind::Connect | Kind::Failed | Kind::Disconnect | Kind::ChangeUser | Kind::ProxyConnect => {
            shown(spaceless(&reading.object))
        }
        _ => name(&reading.object),
    };
    let event = Owned {
        time,
        server: shown(reading.server.trim_ascii()),
        user: name(&reading.user),
        host: shown(host.as_bytes()),
        port,
        connection,
        query,
        kind: reading.kind,
        error,
        database: name(&reading.database),
        object,
        account_user: None,
        further: reading.further,
    };
    Call::Event(start, end, event)
}

/// Does a time stamp end before any of the commas?
fn holds_stamp(text: &[u8], aurora: bool) -> bool {
    let commas = (0..text.len()).filter(|&at| text[at] == b',');
    commas.into_iter().any(|comma| {
        (0..comma).any(|start| {
            let piece = &text[start..comma];
            let epoch = piece.len() == 16 && piece.iter().all(u8::is_ascii_digit);
            (epoch && aurora) || (!epoch && stamp(piece).is_some())
        })
    })
}

// ---- generated logs
// --------------------------------------------------------------------------------

const PIECES: [&str; 44] = [
    "a",
    "root",
    ",",
    ",",
    "'",
    "\\",
    "\\'",
    "`",
    "`@`",
    " ",
    "\n",
    "\r\n",
    "\r",
    "h",
    "10.0.0.7",
    "1",
    "0",
    "42",
    "CONNECT",
    "QUERY",
    "READ",
    "RENAME",
    "AUDIT_CONFIG",
    "|",
    ".",
    ":",
    "é",
    "\t",
    "TLSv1.3",
    "SOCKET",
    ",h,1,0,CONNECT,",
    ",h,1,2,READ,",
    ",h,1,2,QUERY,",
    ",h,1,0,FAILED_CONNECT,",
    ",,0",
    ",,0\n",
    "20260314 09:26:53,vm,",
    "20260314 09:26:53",
    "20260314 09:26:53,vm,root,h,7,0,CONNECT,,,0\n",
    "',0",
    "#012",
    "\0",
    "::1",
    "18446744073709551616",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec!["app", "root", "shop", "", "t1"]).prop_map(String::from),
        2 => prop::collection::vec(select(PIECES.to_vec()), 0..6).prop_map(|all| all.concat()),
    ]
}

/// Mostly one of the first, now and then one of the second.
fn mostly(
    usual: &[&'static str],
    odd: &[&'static str],
) -> impl Strategy<Value = &'static str> + use<> {
    prop_oneof![9 => select(usual.to_vec()), 1 => select(odd.to_vec())]
}

fn client_host() -> impl Strategy<Value = &'static str> {
    let usual =
        ["localhost", "10.0.0.7", "", "%", "::1", "::1:54312", "[::1]:54312", "db7:1234", " h"];
    mostly(&usual, &["localhost:unavailable", "1", "a b", "a:b", "h'"])
}

fn tail() -> impl Strategy<Value = String> {
    let connect = |op: &'static str, code: &'static str| {
        (name(), select(vec!["", "", "TLSv1.3", "x"]), select(vec!["", "", ",", ",SOCKET", ",,"]))
            .prop_map(move |(db, object, extra)| format!("0,{op},{db},{object},{code}{extra}"))
    };
    let table = |op: &'static str| {
        (name(), name(), select(vec!["", "", ",", ",,", ",TLSv1.2", "0"]))
            .prop_map(move |(db, table, extra)| format!("7,{op},{db},{table},{extra}"))
    };
    let statement = prop::collection::vec(select(PIECES.to_vec()), 0..8).prop_map(|pieces| {
        let text = pieces.concat().replace('\\', r"\\").replace('\'', r"\'");
        text.replace('\n', r"\n").replace('\r', r"\r")
    });
    prop_oneof![
        3 => connect("CONNECT", "0"),
        2 => connect("DISCONNECT", "0"),
        1 => connect("DISCONNECT", "1040"),
        1 => connect("CHANGEUSER", "1045"),
        2 => select(vec!["1045", "0"]).prop_map(|code| format!("0,FAILED_CONNECT,,,{code}")),
        1 => (name(), name(), name())
            .prop_map(|(db, user, host)| format!("0,PROXY_CONNECT,{db},`{user}`@`{host}`,0")),
        2 => table("READ"),
        1 => table("WRITE"),
        1 => (name(), name(), name())
            .prop_map(|(db, old, new)| format!("7,RENAME,{db},{old}|{db}.{new},")),
        4 => (name(), statement, select(vec!["", "", ",,", ","]))
            .prop_map(|(db, text, extra)| format!("7,QUERY,{db},'{text}',0{extra}")),
        1 => name().prop_map(|object| format!("0,AUDIT_CONFIG,,{object},0")),
        1 => Just("7,TELEPORT,,,0".to_string()),
    ]
}

fn record() -> impl Strategy<Value = String> {
    let times = mostly(
        &[
            "20260314 09:26:53",
            "20260314 09:26:54",
            "1653053459680124",
            "2026-03-14T09:26:53.5+01:00",
        ],
        &["20260231 09:26:53", "20260314 09:26"],
    );
    let servers = mostly(&["vm", " vm"], &["", "v\nm"]);
    let ids = mostly(&["42", "0", "18446744073709551615"], &["18446744073709551616", "x"]);
    let parts = (times, servers, name(), client_host(), ids, tail(), 0..24u8);
    parts.prop_map(|(time, server, user, host, id, tail, style)| {
        let line = format!("{time},{server},{user},{host},{id},{tail}");
        match style {
            0 => line.replace(',', ", ") + "\n",
            1 => line + "\r\n",
            2 => line + "  \n",
            // Cut, with the next record glued to it.
            3 => line.chars().take(line.len() * 2 / 3).collect(),
            4 => line.chars().take(line.len() / 3).collect(),
            5 => ["\n\0\0", &line, "\n"].concat(),
            _ => line + "\n",
        }
    })
}

fn log() -> impl Strategy<Value = Vec<u8>> {
    let records = prop::collection::vec(record(), 1..6);
    let mark = select(vec!["", "", "", "\u{feff}"]);
    (mark, records).prop_map(|(mark, records)| (mark.to_string() + &records.concat()).into_bytes())
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let bytes = b",,,'\\\n\r 019:TZ+.-hQ\xff`|\x00".to_vec();
    let change = (any::<prop::sample::Index>(), 0..3u8, select(bytes));
    (log(), prop::collection::vec(change, 1..5)).prop_map(|(mut log, changes)| {
        for (index, how, byte) in changes {
            if log.is_empty() {
                break;
            }
            let at = index.index(log.len());
            match how {
                0 => log[at] = byte,
                1 => log.insert(at, byte),
                _ => drop(log.remove(at)),
            }
        }
        log
    })
}

fn agree(log: &[u8]) {
    let expected: Vec<String> = calls(log).iter().map(|call| format!("{call:?}")).collect();
    let found: Vec<String> =
        read_all(Dialect::ServerAudit, log).iter().map(|call| format!("{call:?}")).collect();
    assert_eq!(found, expected, "{}", shown(log));
}

proptest! {
    // So many that a fault in most of the fast path's conditions is met; PROPTEST_CASES may ask for more.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(4096),
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn generated_logs_give_the_same_calls(log in log()) {
        agree(&log);
        agree(&followed(&log));
    }

    #[test]
    fn mutated_logs_give_the_same_calls(log in mutated(), cut in any::<prop::sample::Index>()) {
        agree(&log);
        agree(&followed(&log));
        check_any(Dialect::ServerAudit, &log, &[cut.index(log.len() + 1)]);
    }

    #[test]
    fn other_dialects_keep_their_properties(log in mutated(), cut in any::<prop::sample::Index>()) {
        let text = log.split(|&b| b == b'\n').flat_map(|line| {
            let lead = b"Nov 20 07:18:43 vm mysql-server_auditing: ";
            [lead, line.get(18..).unwrap_or(b""), b"\n"].concat()
        });
        let syslog: Vec<u8> = text.collect();
        check_any(Dialect::ServerAuditSyslog, &syslog, &[cut.index(syslog.len() + 1)]);
        check_any(Dialect::AuditLogin, &log, &[cut.index(log.len() + 1)]);
    }
}

/// The log with more behind it: the fast path looks only at lines that are far from the end.
fn followed(log: &[u8]) -> Vec<u8> {
    let line = b"\n20260314 09:26:53,db1,app,10.0.0.7,42,0,CONNECT,shop,,0".repeat(8);
    [log, &line, b"\n"].concat()
}

/// Lines that look common and are not, or are and look odd, each at a condition of the fast path.
#[test]
fn at_the_borders_of_the_common_both_readers_agree() {
    let wide = format!("app,{}", "h".repeat(120));
    for rest in [
        "db1, app,10.0.0.7,42,0,CONNECT,shop,,0",
        "db1,app, 10.0.0.7,42,0,CONNECT,shop,,0",
        "db1,app,10.0.0.7,42,0,CONNECT, shop,,0",
        "db1\r,app,10.0.0.7,42,0,CONNECT,shop,,0",
        "db1,app,10.0.0.7,42,0,FAILED_CONNECT,shop,,1045",
        "db1,app,10.0.0.7,42,0,FAILED_CONNECT,,,0",
        "db1,app,10.0.0.7,42,0,FAILED_CONNECT,,,1045",
        "db1,app,10.0.0.7,42,0,CONNECT,shop,,1045",
        "db1,app,10.0.0.7,42,0,DISCONNECT,shop,,1040",
        "db1,app,10.0.0.7,42,7,CONNECT,shop,,0",
        "db1,app,10.0.0.7,42,0,CONNECT,shop,x,0",
        "db1,app,10.0.0.7,42,0,CONNECT,a,b,,0",
        "db1,app,10.0.0.7,42,0,CONNECTS,shop,,0",
        "db1,app,10.0.0.7,42,0,DISCONNEXT,shop,,0",
        "db1,app,10.0.0.7,x2,0,CONNECT,shop,,0",
        "db1,app,10.0.0.7,,0,CONNECT,shop,,0",
        "db1,app,10.0.0.7,123456789,0,CONNECT,shop,,0",
        "db1,app,12345,42,0,CONNECT,shop,,0",
        "db1,app,1.2.3.4,42,0,CONNECT,shop,,0",
        "db1,app,ho st,42,0,CONNECT,shop,,0",
        "db1,app,10.0.0.7:54312,42,0,CONNECT,shop,,0",
        "db1,app,10.0.0.7:0,42,0,CONNECT,shop,,0",
        "db1,app,10.0.0.7:65536,42,0,CONNECT,shop,,0",
        "db1,app,::1,42,0,CONNECT,shop,,0",
        "db1,,,42,0,DISCONNECT,,,0",
        ",app,10.0.0.7,42,0,CONNECT,shop,,0",
        "db1,app,10.0.0.7,42,7,READ,shop,orders,",
        "db1,app,10.0.0.7,42,7,READ,shop,\t,",
        "db1,app,10.0.0.7,42,7,READ,shop,,",
        "db1,app,10.0.0.7,42,7,READ,shop,a,b,",
        "db1,app,10.0.0.7,42,7,RENAME,shop,orders,",
        "db1,app,10.0.0.7,42,7,RENAME,shop,a|shop.b,",
        &format!("db1,{wide},42,0,CONNECT,shop,,0"),
        "db1,app,10.0.0.7,42,7,QUERY,shop,'select 1',0",
        "db1,app,10.0.0.7,42,7,QUERY,shop,'select \\'1\\'',0",
        "db1,app,10.0.0.7,42,7,QUERY,shop,'select \\\\'1',0",
        "db1,app,10.0.0.7,42,7,QUERY,shop,'select \\\\\\'1',0",
        "db1,app,10.0.0.7,42,7,QUERY,shop,'a'b',0",
        "db1,app,10.0.0.7,42,7,QUERY,shop,'a\\',0",
        "db1,app,10.0.0.7,42,7,QUERY,shop,'',0",
        "db1,app,10.0.0.7,42,7,QUERY,shop,'a',0,",
        "db1,app,10.0.0.7,42,7,QUERY,shop,'a',",
        "db1,app,10.0.0.7,42,7,QUERY,a,b,'c',0",
    ] {
        agree(&followed(format!("20260314 09:26:53,{rest}").as_bytes()));
        agree(&followed(format!("20260314 09:26:60,{rest}\n20260314 09:27:0x,{rest}").as_bytes()));
    }
}

/// Fields of every length across the 64 and 128 bytes in which the fast path looks for commas, line breaks
/// and quotes, and bytes in them that end a field or a line.
#[test]
fn at_each_length_both_readers_agree() {
    let text = |length: usize| "abc_".repeat(length / 4 + 1)[..length].to_string();
    for length in 0..150 {
        let long = text(length);
        let (user, host) = (format!("db1,{long},10.0.0.7,42"), format!("db1,app,{long},42"));
        let digits = format!("db1,app,10.0.0.7,{}", "7".repeat(length));
        let escaped = format!("{}\\'", "\\\\".repeat(length));
        for rest in [
            format!("{user},0,CONNECT,shop,,0"),
            format!("{user},0,DISCONNECT,shop,,1040"),
            format!("{user},7,READ,shop,orders,"),
            format!("{user},7,QUERY,shop,'select 1',0"),
            format!("{user}\n20260314 09:26:54,db1,app,::1,42,0,CONNECT,shop,,0"),
            format!("{host},0,DISCONNECT,,,0"),
            format!("db1,{long},12345,42,0,CONNECT,shop,,0"),
            format!("db1,{long},10.0.0.7,4x2,0,CONNECT,shop,,0"),
            format!("db1,app,{}:7,42,0,CONNECT,,,0", "1".repeat(length)),
            format!("{digits},0,CONNECT,,,0"),
            format!("{digits},{},WRITE,shop,orders,", "9".repeat(length / 8)),
            format!("db1,app,10.0.0.7,42,{}x,WRITE,shop,orders,", "9".repeat(length / 8)),
            format!("db1,app,10.0.0.7,42,0,CONNECT,{long},,0"),
            format!("db1,app,10.0.0.7,42,0,CONNECT,{long},,,0"),
            format!("db1,app,10.0.0.7,42,0,CONNECT,a,::1,7,0,CONNECT,{long},,0"),
            format!("db1,app,10.0.0.7,42,0,FAILED_CONNECT,{long},,1045"),
            format!("db1,app,10.0.0.7,42,7,QUERY,{long},'select 1',0"),
            format!("db1,app,10.0.0.7,42,7,QUERY,shop,'{long}',1064"),
            format!("db1,app,10.0.0.7,42,7,QUERY,shop,'{long}\\'b',0"),
            format!("db1,app,10.0.0.7,42,7,QUERY,shop,'{long}{escaped}',0"),
            format!("db1,app,10.0.0.7,42,7,QUERY,shop,'{long}\\{escaped}',0"),
            format!("db1,app,10.0.0.7,42,7,QUERY,shop,'{long}\n',0"),
            format!("db1,app,10.0.0.7,42,7,QUERY,shop,'{long}'b',0"),
            format!("db1,app,10.0.0.7,42,7,WRITE,{long},orders,"),
            format!("db1,app,10.0.0.7,42,7,WRITE,{long},{long},"),
            format!("db1,app,10.0.0.7,42,7,WRITE,{long},{long},,"),
            format!("db1,app,10.0.0.7,42,7,WRITE,{long}\n,orders,"),
            format!("db1,app,10.0.0.7,42,7,WRITE,{long}\norders,"),
            format!("db1,app,10.0.0.7,42,7,QUERY,{long}\n'select 1',0"),
        ] {
            agree(&followed(format!("20260314 09:26:53,{rest}").as_bytes()));
        }
    }
}

/// Servers whose names begin alike, are longer and shorter, take turns.
#[test]
fn of_many_servers_both_readers_agree() {
    let servers = ["db1", "database2", "database3", "d", "db1", "db", "db1", "database2"];
    for lines in 1..5 {
        let log: String = servers
            .iter()
            .map(|server| {
                let line =
                    format!("20260314 09:26:53,{server},app,10.0.0.7,42,0,CONNECT,shop,,0\n");
                line.repeat(lines)
            })
            .collect();
        agree(&followed(log.as_bytes()));
    }
}

#[test]
fn every_outcome_is_generated() {
    // The comparison is worth something only if all outcomes occur.
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..2000 {
        let log = log().new_tree(&mut runner).unwrap().current();
        for call in calls(&log) {
            let outcome = match call {
                Call::Event(..) => "event",
                Call::Doubt(_, _, doubt) => doubt.reason.code(),
            };
            *seen.entry(outcome).or_insert(0) += 1;
        }
    }
    for outcome in [
        "event",
        "ambiguous",
        "bad-number",
        "bad-shape",
        "bad-time",
        "line-break-in-name",
        "not-a-record",
        "nul-bytes",
        "record-in-name",
        "unfinished",
    ] {
        assert!(seen.get(outcome).is_some_and(|&count| count >= 20), "{outcome}: {seen:?}");
    }
    assert!(seen["event"] > 1500, "{seen:?}");
}
