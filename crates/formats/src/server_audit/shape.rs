//! The shapes a record can have after its time stamp, and every way in which a text fits one.
//!
//! ```text
//! db1,app,10.0.0.7,42,977,QUERY,shop,'select \'x\'',0
//!        └──── anchor ─────────┘ └ database, object ┘└ ending
//! ```
//!
//! Names are raw, so commas do not number the columns. What can be relied on is an **anchor**
//! (host, two numbers and a known operation, between commas) and an **ending** (the error number,
//! or the empty column of a table record, with up to two further columns). An anchor and an ending
//! that go together are a fit. Each fit is found; whoever calls decides what more than one means.
//!
//! # Invariants
//! * Every fit is found: none is preferred, none is left out.
//! * The time is linear in the text, but for names: those are looked at in [`NAMES_BYTES_MAX`]
//!   bytes.

use std::ops::{ControlFlow, Range};

use super::host::{self, Host};
use crate::event::Kind;

/// The longest database and object of a table record together, in bytes. Four names of 64
/// characters, each of up to 5 bytes as file names spell them, are shorter.
pub(crate) const NAMES_BYTES_MAX: usize = 2048;

/// Host, connection id, query id and operation between commas.
#[derive(Debug, Clone)]
pub(crate) struct Anchor {
    /// The comma between user and host.
    pub(crate) user_end: usize,
    pub(crate) host: Range<usize>,
    pub(crate) port: Option<u16>,
    pub(crate) connection: Range<usize>,
    pub(crate) query: Range<usize>,
    pub(crate) kind: Kind,
    /// The comma after the operation.
    pub(crate) end: usize,
}

/// One way to read the columns from the anchor on.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    pub(crate) anchor: Anchor,
    pub(crate) database: Range<usize>,
    pub(crate) object: Range<usize>,
    /// Empty for table records.
    pub(crate) error: Range<usize>,
}

/// What the end of a text allows, found once for all anchors.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    /// The error number and the columns before it.
    numbered: Option<Numbered>,
    /// The comma before the empty error column of a table record.
    blank: Option<usize>,
    /// A record of Aurora, whose table records end in an error number.
    aurora: bool,
}

#[derive(Debug, Clone)]
struct Numbered {
    error: Range<usize>,
    /// The comma before the error number.
    comma: usize,
    /// The comma before the object, where the object has none.
    object_comma: Option<usize>,
    statement: Option<Statement>,
    /// What parts user and host of a proxied account stands before the error number.
    proxied: bool,
    /// Nothing follows the error number.
    last: bool,
}

/// A quoted statement directly before the error number.
#[derive(Debug, Clone)]
struct Statement {
    /// The comma before the opening quote.
    comma: usize,
    /// The text between the quotes.
    text: Range<usize>,
}

impl Ending {
    /// Looks at the end of `text`, which has no line break and no spaces behind it.
    pub(crate) fn of(text: &[u8], aurora: bool) -> Ending {
        let mut columns = [0..0, 0..0, 0..0, 0..0];
        let mut end = text.len();
        let mut found = 0;
        for column in &mut columns {
            let Some(comma) = memchr::memrchr(b',', &text[..end]) else { break };
            *column = trim(text, comma + 1..end);
            found += 1;
            // The comma is kept in `end`; it is the end of the column before.
            end = comma;
            if column.len() > NAMES_BYTES_MAX {
                break;
            }
        }
        let columns = &columns[..found];
        Ending { numbered: numbered(text, columns), blank: blank(text, columns), aurora }
    }

    /// Can any record end like this?
    pub(crate) fn is_possible(&self) -> bool {
        self.numbered.is_some() || self.blank.is_some()
    }

    /// Anchors behind this offset cannot belong to a fit: they lie in a statement, and what ends in
    /// a quote and a number is no record but a `QUERY`.
    pub(crate) fn anchors_end(&self, text: &[u8]) -> usize {
        match &self.numbered {
            Some(Numbered { last: true, statement: Some(statement), .. })
                if self.blank.is_none() =>
            {
                statement.comma
            }
            _ => text.len(),
        }
    }
}

/// The error number: the last column, or one with a further word, or with a further word and an
/// empty one behind it.
fn numbered(text: &[u8], columns: &[Range<usize>]) -> Option<Numbered> {
    let at = |i: usize| columns.get(i).map(|column| &text[column.clone()]);
    let index = if at(0).is_some_and(is_number) {
        0
    } else if at(0).is_some_and(is_word) && at(1).is_some_and(is_number) {
        1
    } else if at(0)?.is_empty() && at(1).is_some_and(is_word) && at(2).is_some_and(is_number) {
        2
    } else {
        return None;
    };
    let error = columns[index].clone();
    let comma = memchr::memrchr(b',', &text[..error.start])?;
    let object_comma = memchr::memrchr(b',', &text[..comma]);
    let names = &text[comma.saturating_sub(NAMES_BYTES_MAX)..comma];
    Some(Numbered {
        error,
        comma,
        object_comma,
        statement: statement(text, comma),
        proxied: memchr::memmem::find(names, b"`@`").is_some(),
        last: index == 0,
    })
}

/// The quoted statement that ends before the comma at `end`: from the nearest quote that is not
/// escaped. Inside, every quote is escaped, so there is no other place where it could begin.
fn statement(text: &[u8], end: usize) -> Option<Statement> {
    let close = trim(text, 0..end).end.checked_sub(1)?;
    if text[close] != b'\'' || is_escaped(text, close) {
        return None;
    }
    let open = memchr::memrchr_iter(b'\'', &text[..close]).find(|&at| !is_escaped(text, at))?;
    let comma = trim(text, 0..open).end.checked_sub(1)?;
    // One space at most, as the documentation prints it.
    let near = comma + 1 == open || (comma + 2 == open && text[comma + 1] == b' ');
    (near && text[comma] == b',').then_some(Statement { comma, text: open + 1..close })
}

/// Do an odd number of backslashes stand before `at`?
fn is_escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|&&b| b == b'\\').count() % 2 == 1
}

/// The comma before the empty error column: a table name, the empty column, then up to two further
/// ones. A table name does not end in a comma.
fn blank(text: &[u8], columns: &[Range<usize>]) -> Option<usize> {
    let at = |i: usize| columns.get(i).map(|column| &text[column.clone()]);
    let index = match (at(0)?, at(1)?) {
        (b"", b"") if at(2)?.is_empty() => {
            at(3).filter(|column| !column.is_empty())?;
            2
        }
        (b"", b"") => 1,
        (b"", _) => 0,
        (word, b"") if is_word(word) => {
            at(2).filter(|column| !column.is_empty())?;
            1
        }
        _ => return None,
    };
    memchr::memrchr(b',', &text[..columns[index].start])
}

/// Gives every anchor whose operation ends before `end`, in order, whose host stands behind
/// `from`. `each` may stop the search.
pub(crate) fn anchors<B>(
    text: &[u8],
    from: usize,
    end: usize,
    mut each: impl FnMut(Anchor) -> ControlFlow<B>,
) -> ControlFlow<B> {
    // The commas before host, connection id, query id and operation.
    let mut commas = [usize::MAX; 4];
    for comma in memchr::memchr_iter(b',', text.get(from..end).unwrap_or(b"")).map(|at| at + from) {
        let [user_end, host_end, connection_end, query_end] = commas;
        if user_end != usize::MAX
            && let Some(kind) = operation(&text[trim(text, query_end + 1..comma)])
            && let Some(anchor) =
                anchor(text, [user_end, host_end, connection_end, query_end, comma], kind)
        {
            each(anchor)?;
        }
        commas = [host_end, connection_end, query_end, comma];
    }
    ControlFlow::Continue(())
}

fn anchor(text: &[u8], commas: [usize; 5], kind: Kind) -> Option<Anchor> {
    let connection = trim(text, commas[1] + 1..commas[2]);
    let query = trim(text, commas[2] + 1..commas[3]);
    if !is_number(&text[connection.clone()]) || !is_number(&text[query.clone()]) {
        return None;
    }
    let host = trim(text, commas[0] + 1..commas[1]);
    let Host { start, end, port } = host::split(&text[host.clone()])?;
    Some(Anchor {
        user_end: commas[0],
        host: host.start + start..host.start + end,
        port,
        connection,
        query,
        kind,
        end: commas[4],
    })
}

/// Gives every way in which the text behind `anchor` can be read up to `ending`.
pub(crate) fn fits<B>(
    text: &[u8],
    anchor: &Anchor,
    ending: &Ending,
    mut each: impl FnMut(Fit) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let fit = |database, object, error| Fit { anchor: anchor.clone(), database, object, error };
    let after = anchor.end + 1;
    match anchor.kind {
        Kind::Query => {
            if let Some(Numbered { error, statement: Some(statement), .. }) = &ending.numbered
                && after <= statement.comma
            {
                let database = after..statement.comma;
                each(fit(database, statement.text.clone(), error.clone()))?;
            }
        }
        Kind::Read | Kind::Write | Kind::Create | Kind::Alter | Kind::Drop | Kind::Rename => {
            if let Some(end) = ending.blank {
                table_names(text, anchor.kind, after..end, |database, object| {
                    each(fit(database, object, end..end))
                })?;
            }
            if ending.aurora
                && let Some(Numbered {
                    error, comma, object_comma: Some(before), last: true, ..
                }) = &ending.numbered
                && after <= *before
                && memchr::memchr2(b',', b'\'', &text[after..*before]).is_none()
                && memchr::memchr(b'\'', &text[*before..*comma]).is_none()
            {
                table_names(text, anchor.kind, after..*comma, |database, object| {
                    each(fit(database, object, error.clone()))
                })?;
            }
        }
        Kind::AuditConfig => {
            if let Some(Numbered { error, comma, .. }) = &ending.numbered
                && after < *comma
                && text[after] == b','
                && anchor.host.is_empty()
                && is_zero(&text[anchor.connection.clone()])
            {
                each(fit(after..after, after + 1..*comma, error.clone()))?;
            }
        }
        _ => {
            let Some(numbered) = &ending.numbered else { return ControlFlow::Continue(()) };
            if is_zero(&text[anchor.query.clone()]) {
                connection(text, anchor.kind, after, numbered, |database, object| {
                    each(fit(database, object, numbered.error.clone()))
                })?;
            }
        }
    }
    ControlFlow::Continue(())
}

/// Database and object of a connection record.
fn connection<B>(
    text: &[u8],
    kind: Kind,
    after: usize,
    numbered: &Numbered,
    mut each: impl FnMut(Range<usize>, Range<usize>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let succeeded = is_zero(&text[numbered.error.clone()]);
    let code_fits = match kind {
        Kind::Connect | Kind::ProxyConnect => succeeded,
        Kind::Failed => !succeeded,
        _ => true,
    };
    if !code_fits {
        return ControlFlow::Continue(());
    }
    if kind == Kind::ProxyConnect {
        if !numbered.proxied {
            return ControlFlow::Continue(());
        }
        let from = after.max(numbered.comma.saturating_sub(NAMES_BYTES_MAX));
        for comma in memchr::memchr_iter(b',', text.get(from..numbered.comma).unwrap_or(b"")) {
            let object = trim(text, from + comma + 1..numbered.comma);
            if is_proxied(&text[object.clone()]) {
                each(after..from + comma, object)?;
            }
        }
        return ControlFlow::Continue(());
    }
    if let Some(comma) = numbered.object_comma
        && after <= comma
    {
        let object = trim(text, comma + 1..numbered.comma);
        let database_fits = kind != Kind::Failed || trim(text, after..comma).is_empty();
        if database_fits && is_tls(&text[object.clone()]) {
            each(after..comma, object)?;
        }
    }
    ControlFlow::Continue(())
}

/// Each way to part `names` into database and object.
fn table_names<B>(
    text: &[u8],
    kind: Kind,
    names: Range<usize>,
    mut each: impl FnMut(Range<usize>, Range<usize>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    if names.start >= names.end || names.len() > NAMES_BYTES_MAX {
        return ControlFlow::Continue(());
    }
    for comma in memchr::memchr_iter(b',', &text[names.clone()]) {
        let object = names.start + comma + 1..names.end;
        let written = &text[object.clone()];
        let fits = !written.trim_ascii().is_empty()
            && (kind != Kind::Rename
                || memchr::memchr(b'|', written)
                    .is_some_and(|bar| memchr::memchr(b'.', &written[bar..]).is_some()));
        if fits {
            each(names.start..names.start + comma, object)?;
        }
    }
    ControlFlow::Continue(())
}

/// The operation of that name.
pub(crate) fn operation(text: &[u8]) -> Option<Kind> {
    Some(match text {
        b"CONNECT" => Kind::Connect,
        b"DISCONNECT" => Kind::Disconnect,
        b"FAILED_CONNECT" => Kind::Failed,
        b"CHANGEUSER" => Kind::ChangeUser,
        b"PROXY_CONNECT" => Kind::ProxyConnect,
        b"QUERY" => Kind::Query,
        b"READ" => Kind::Read,
        b"WRITE" => Kind::Write,
        b"CREATE" => Kind::Create,
        b"ALTER" => Kind::Alter,
        b"DROP" => Kind::Drop,
        b"RENAME" => Kind::Rename,
        b"AUDIT_CONFIG" => Kind::AuditConfig,
        _ => return None,
    })
}

/// Empty, or a protocol version as OpenSSL names it: `TLSv1.3`, `SSLv3`, `QUICv1`, `unknown`.
fn is_tls(text: &[u8]) -> bool {
    if text.is_empty() || text == b"unknown" {
        return true;
    }
    [&b"TLSv"[..], b"SSLv", b"DTLSv", b"QUICv"].iter().any(|name| {
        text.strip_prefix(*name).is_some_and(|version| {
            version.len() <= 4
                && version.first().is_some_and(u8::is_ascii_digit)
                && version.iter().all(|&b| b.is_ascii_digit() || b == b'.')
        })
    })
}

/// `` `user`@`host` ``
fn is_proxied(text: &[u8]) -> bool {
    text.strip_prefix(b"`")
        .and_then(|rest| rest.strip_suffix(b"`"))
        .is_some_and(|inner| memchr::memmem::find(inner, b"`@`").is_some())
}

/// A further column: empty, or a connection type or TLS version: `SOCKET`, `TCP/IP`, `TLSv1.3`.
fn is_word(text: &[u8]) -> bool {
    const WORD_BYTES_MAX: usize = 32;
    text.is_empty()
        || (text.len() <= WORD_BYTES_MAX
            && text[0].is_ascii_alphabetic()
            && text.iter().all(|b| b.is_ascii_alphanumeric() || b"_/.-".contains(b)))
}

pub(crate) fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn is_zero(text: &[u8]) -> bool {
    text.iter().all(|&b| b == b'0')
}

/// The range without the spaces at its ends.
pub(crate) fn trim(text: &[u8], range: Range<usize>) -> Range<usize> {
    let spaces = |&&b: &&u8| b == b' ';
    let front = text[range.clone()].iter().take_while(spaces).count();
    let start = range.start + front;
    let back = text[start..range.end].iter().rev().take_while(spaces).count();
    start..range.end - back
}
