//! Texts of statements: whether an audit log's text is that of a transaction, and whether a statement
//! names a table.

/// How much of a statement is kept to be looked for: what server_audit keeps of one by default
/// (`server_audit_query_log_limit`).
pub const TEXT_BYTES_MAX: usize = 1024;

/// What server_audit writes in place of a secret.
const MASKED: &[u8] = b"*****";

/// A text of the audit log of at least so many bytes may have been cut: `server_audit_query_log_limit`
/// leaves no mark, and nobody sets it lower.
pub(super) const CUT_BYTES_MIN: usize = 128;

/// How many bytes of a statement tell which others are compared with it.
pub(super) const KEY_BYTES: usize = 24;

/// Text of the audit log as the client sent it, up to [`TEXT_BYTES_MAX`] bytes: `\'`, `\\`, `\n`, `\r`,
/// `\t`, `\f` taken back.
pub(super) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().min(TEXT_BYTES_MAX));
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if out.len() == TEXT_BYTES_MAX {
            break;
        }
        out.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'f') => 0x0c,
                Some(&other) => other,
                None => break,
            },
            byte => byte,
        });
    }
    out
}

/// A text without the space and semicolons around it.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == b';';
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// Whether a text of the audit log, as it stands there (escaped), is this statement: all of it, or its
/// beginning where it may have been cut. `*****` stands for anything. Statements are compared up to
/// [`TEXT_BYTES_MAX`] bytes.
///
/// ```
/// use verdict::trace::matches;
/// assert!(matches(br"INSERT INTO t VALUES (\'x\')", b"INSERT INTO t VALUES ('x')"));
/// assert!(matches(b"SET PASSWORD = *****", b"SET PASSWORD = PASSWORD('x')"));
/// assert!(!matches(b"INSERT INTO t", b"INSERT INTO t VALUES (1)"));
/// ```
pub fn matches(audited: &[u8], sql: &[u8]) -> bool {
    let may_be_cut = audited.len() >= CUT_BYTES_MIN;
    let audited = unescaped(audited);
    let (audited, sql) = (trimmed(&audited), trimmed(&sql[..sql.len().min(TEXT_BYTES_MAX)]));
    matches_trimmed(audited, sql, may_be_cut)
}

pub(super) fn matches_trimmed(audited: &[u8], sql: &[u8], may_be_cut: bool) -> bool {
    let mut pieces = pieces(audited).into_iter();
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = sql.strip_prefix(first) else { return false };
    let mut last: Option<&[u8]> = None;
    for piece in pieces {
        // The one before is followed by a mask.
        if let Some(piece) = last {
            let Some(at) = position(rest, piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        last = Some(piece);
    }
    match last {
        None => rest.is_empty() || may_be_cut,
        Some(last) if may_be_cut => position(rest, last).is_some(),
        Some(last) => rest.ends_with(last),
    }
}

/// What stands between the masks.
fn pieces(text: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = position(rest, MASKED) {
        pieces.push(&rest[..at]);
        rest = &rest[at + MASKED.len()..];
    }
    pieces.push(rest);
    pieces
}

pub(super) fn has_mask(text: &[u8]) -> bool {
    position(text, MASKED).is_some()
}

pub(super) fn position(text: &[u8], piece: &[u8]) -> Option<usize> {
    if piece.is_empty() {
        return Some(0);
    }
    text.windows(piece.len()).position(|window| window == piece)
}

/// Whether a statement names the table `schema`.`table`, as `table` where `database` is its default
/// database. Names in strings and comments do not count; a name used for something else (a column, an
/// alias) does: what a statement does with it is not looked at.
///
/// ```
/// use verdict::trace::mentions;
/// assert!(mentions(b"DROP TABLE `shop`.orders", b"", b"shop", b"orders"));
/// assert!(mentions(b"drop table ORDERS", b"shop", b"shop", b"orders"));
/// assert!(!mentions(b"drop table old.orders", b"shop", b"shop", b"orders"));
/// ```
pub fn mentions(sql: &[u8], database: &[u8], schema: &[u8], table: &[u8]) -> bool {
    let in_schema = database.eq_ignore_ascii_case(schema);
    let (mut before, mut point): (Option<Name>, bool) = (None, false);
    let mut words = Words { sql, at: 0 };
    while let Some(word) = words.next() {
        let name = match word {
            Word::Name(name) => name,
            Word::Other(byte) => {
                point = byte == b'.' && before.is_some();
                if !point {
                    before = None;
                }
                continue;
            }
        };
        let qualifier = before.filter(|_| point);
        point = false;
        let fits = match &qualifier {
            Some(qualifier) => qualifier.eq_ignore_ascii_case(schema),
            None => in_schema,
        };
        if fits && name.eq_ignore_ascii_case(table) {
            return true;
        }
        before = Some(name);
    }
    false
}

/// A name without its backticks.
type Name = Vec<u8>;

enum Word {
    /// A name or keyword.
    Name(Name),
    /// Any other byte that is no space; a string is its quote.
    Other(u8),
}

/// The words of a statement, one after the other. `"` is read as a string, as both families do by
/// default.
struct Words<'a> {
    sql: &'a [u8],
    at: usize,
}

impl Words<'_> {
    fn next(&mut self) -> Option<Word> {
        self.pass_over_space();
        let first = *self.sql.get(self.at)?;
        match first {
            b'`' => Some(Word::Name(self.quoted(first))),
            b'\'' | b'"' => {
                self.quoted(first);
                Some(Word::Other(first))
            }
            _ if is_name(first) => {
                let rest = &self.sql[self.at..];
                let length = rest.iter().position(|&byte| !is_name(byte)).unwrap_or(rest.len());
                self.at += length;
                Some(Word::Name(rest[..length].to_vec()))
            }
            _ => {
                self.at += 1;
                Some(Word::Other(first))
            }
        }
    }

    /// What stands between quotes; behind the closing one, or at the end of the text.
    fn quoted(&mut self, quote: u8) -> Vec<u8> {
        let mut out = Vec::new();
        self.at += 1;
        while let Some(&byte) = self.sql.get(self.at) {
            self.at += 1;
            if byte == b'\\' && quote != b'`' {
                self.at += 1;
            } else if byte != quote {
                out.push(byte);
            } else if self.sql.get(self.at) == Some(&quote) {
                out.push(quote);
                self.at += 1;
            } else {
                break;
            }
        }
        out
    }

    /// Comments but those that servers run (`/*! … */`), whose text is read.
    fn pass_over_space(&mut self) {
        loop {
            let rest = self.sql.get(self.at..).unwrap_or_default();
            let length = match rest {
                [byte, ..] if byte.is_ascii_whitespace() => 1,
                [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => 3,
                [b'/', b'*', ..] => position(&rest[2..], b"*/").map_or(rest.len(), |at| at + 4),
                [b'*', b'/', ..] => 2,
                [b'#', ..] | [b'-', b'-', b' ' | b'\n' | b'\t', ..] => {
                    rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
                }
                _ => return,
            };
            self.at += length;
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_is_the_statement() {
        for (audited, sql) in [
            (&br"select \'a\\b\'"[..], &b"select 'a\\b'"[..]),
            (br"insert\ninto\tt", b"insert\ninto\tt"),
            (b"  insert into t ; ", b"insert into t"),
            (b"", b""),
        ] {
            assert!(matches(audited, sql), "{}", audited.escape_ascii());
        }
        assert!(!matches(b"insert into t values (1)", b"insert into t values (2)"));
        assert!(!matches(b"insert into t values (12)", b"insert into t values (1)"));
    }

    #[test]
    fn masks_stand_for_anything() {
        for (audited, sql, fits) in [
            ("a *****", "a secret", true),
            ("a ***** b", "a x y b", true),
            ("a ***** b", "a x y c", false),
            ("a ***** b ***** c", "a 1 b 2 c", true),
            ("a ***** b ***** c", "a 1 c 2 b", false),
            ("*****", "anything", true),
            ("a ***** b", "a b", false),
        ] {
            assert_eq!(matches(audited.as_bytes(), sql.as_bytes()), fits, "{audited}");
        }
    }

    #[test]
    fn a_long_text_may_be_cut() {
        let sql = [b"insert into t values ('", &[b'x'; 3000][..], b"')"].concat();
        for length in [128, 1000, 1024] {
            assert!(matches(&sql[..length], &sql), "{length}");
        }
        assert!(!matches(&sql[..127], &sql));
        // Cut within an escape.
        let escaped = [&sql[..200], b"\\"].concat();
        assert!(matches(&escaped, &sql));
        let other = [&sql[..500], b"y"].concat();
        assert!(!matches(&other, &sql));
    }

    #[test]
    fn tables_are_named_where_they_stand_alone() {
        for (sql, database, named) in [
            ("truncate orders", "shop", true),
            ("truncate orders", "other", false),
            ("truncate shop . orders", "other", true),
            ("truncate `shop`.`orders`", "", true),
            ("insert into t values ('shop.orders')", "shop", false),
            ("insert into t values (\"orders\")", "shop", false),
            ("select 1 /* orders */ -- orders\n# orders", "shop", false),
            ("/*!40000 drop table orders */", "shop", true),
            ("drop table old_orders, orders2", "shop", false),
            ("drop table a.orders", "shop", false),
            ("drop table a, orders", "shop", true),
            ("alter table x rename shop.orders", "", true),
            ("insert into t values ('it\\'s orders')", "shop", false),
            ("`or``ders`", "shop", false),
            ("", "shop", false),
            ("'unfinished orders", "shop", false),
        ] {
            let found = mentions(sql.as_bytes(), database.as_bytes(), b"shop", b"orders");
            assert_eq!(found, named, "{sql}");
        }
    }
}
