//! Statements that hold a secret although the server masks some: what kind, never the text.
//!
//! MariaDB's plugin writes `*****` in GRANT, CREATE and ALTER USER, SET PASSWORD = PASSWORD(…), CREATE and ALTER
//! SERVER, CHANGE MASTER. Seen in the clear on 10.11 and 11.8: PASSWORD() elsewhere, the texts of PREPARE and
//! EXECUTE IMMEDIATE, what stands behind a doubled quote, hashes in SET PASSWORD = '*…', rows for
//! `mysql.global_priv`. Older plugins mask less.
//!
//! This is blunt: a word that announces a secret, and behind it a text in quotes that is no mask. It errs on the
//! side of telling: a column of an application that is called `password` is told as such.

const PASSWORD: &str = "a password in the clear";
const HASH: &str = "the hash of a password";
const COLUMN: &str = "a text for something called password";

/// The digits of a hash as MariaDB and MySQL write it behind `*`.
const HASH_DIGITS: usize = 40;

/// The kind of secret in a statement as an audit log holds it (quotes may stand behind backslashes); `None`
/// where there is none.
///
/// ```
/// use verdict::checkup::leak;
///
/// assert_eq!(leak(br"SELECT PASSWORD(\'x\')"), Some("a password in the clear"));
/// assert_eq!(leak(b"CREATE USER a IDENTIFIED BY *****"), None);
/// ```
pub fn leak(statement: &[u8]) -> Option<&'static str> {
    let text = statement.to_ascii_uppercase();
    let mut found = None;
    for (at, &byte) in text.iter().enumerate() {
        let kind = match byte {
            b'P' => behind(&text[at..], b"PASSWORD").and_then(password),
            b'I' => behind(&text[at..], b"IDENTIFIED BY").and_then(identified),
            b'A' => behind(&text[at..], b"AUTHENTICATION_STRING").and_then(stored),
            b'\'' | b'"' if is_hash(&text[at + 1..]) => Some(HASH),
            _ => None,
        };
        // A column may be anything: what is surely a secret counts more.
        match kind {
            Some(COLUMN) => found = found.or(Some(COLUMN)),
            None => {}
            sure => return sure,
        }
    }
    found
}

/// What stands behind a word and blanks.
fn behind<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    text.strip_prefix(word).map(<[u8]>::trim_ascii_start)
}

/// `PASSWORD('x')`, `PASSWORD = 'x'`, `PASSWORD 'x'`.
fn password(rest: &[u8]) -> Option<&'static str> {
    if let Some(argument) = rest.strip_prefix(b"(") {
        return is_text(argument.trim_ascii_start()).then_some(PASSWORD);
    }
    // `SET PASSWORD FOR a@b = 'x'`: the account does not matter.
    let set = match rest.strip_prefix(b"FOR ") {
        Some(account) => &account[account.iter().position(|&it| it == b'=')?..],
        None => rest,
    };
    let set = set.strip_prefix(b":").unwrap_or(set);
    let (text, kind) = match set.strip_prefix(b"=") {
        Some(text) => (text.trim_ascii_start(), COLUMN),
        None => (rest, PASSWORD),
    };
    let quoted = unescaped(text);
    match quoted {
        [b'\'' | b'"', inside @ ..] if is_hash(inside) => Some(HASH),
        _ => is_text(text).then_some(kind),
    }
}

/// `IDENTIFIED BY 'x'`, and `*****\'x\'`: the server masked up to a doubled quote only.
fn identified(rest: &[u8]) -> Option<&'static str> {
    let rest = rest.strip_prefix(b"*****").unwrap_or(rest);
    is_text(rest).then_some(PASSWORD)
}

/// `authentication_string = 'x'`, and as a key of the JSON in `global_priv`.
fn stored(rest: &[u8]) -> Option<&'static str> {
    let set = unescaped(rest);
    let set = set.strip_prefix(b"\"").unwrap_or(set).trim_ascii_start();
    let text = set.strip_prefix(b"=").or_else(|| set.strip_prefix(b":"))?.trim_ascii_start();
    match unescaped(text) {
        [b'\'' | b'"', next, ..] => (!matches!(next, b'\'' | b'"' | b'\\')).then_some(HASH),
        _ => None,
    }
}

/// Behind the backslashes that the log puts before a quote: more of them inside of text in quotes.
fn unescaped(rest: &[u8]) -> &[u8] {
    let quote = rest.iter().position(|&byte| byte != b'\\').unwrap_or(rest.len());
    &rest[quote..]
}

/// A text in quotes that is neither empty, nor a mask, nor a placeholder.
fn is_text(rest: &[u8]) -> bool {
    match unescaped(rest) {
        [b'\'' | b'"', next, ..] => !matches!(next, b'\'' | b'"' | b'*' | b'\\' | b'?'),
        _ => false,
    }
}

/// `*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19`, in upper case.
fn is_hash(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"*").unwrap_or(&[]);
    digits.len() >= HASH_DIGITS && digits[..HASH_DIGITS].iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_as_logs_hold_them() {
        const DIGITS: &str = "2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19";
        for (statement, kind) in [
            (r"SELECT PASSWORD(\'x\')", Some(PASSWORD)),
            (r"select old_password( \'x\' )", Some(PASSWORD)),
            (r"CREATE USER a IDENTIFIED BY \'x\'", Some(PASSWORD)),
            (r"PREPARE s FROM \'ALTER USER a IDENTIFIED BY \\\'x\\\'\'", Some(PASSWORD)),
            (r#"EXECUTE IMMEDIATE "ALTER USER a IDENTIFIED BY 'x'""#, Some(PASSWORD)),
            (r"CREATE USER a IDENTIFIED BY *****\'Sec\\\'ret2\'", Some(PASSWORD)),
            (r"CREATE SERVER s OPTIONS (PASSWORD \'x\')", Some(PASSWORD)),
            (r"SET PASSWORD = \'*HASH\'", Some(HASH)),
            (r"SET PASSWORD FOR a@b = \'*HASH\'", Some(HASH)),
            (r"ALTER USER a IDENTIFIED VIA ed25519 USING \'*HASH\'", Some(HASH)),
            (r"ALTER USER a IDENTIFIED BY PASSWORD \'*HASH\'", Some(HASH)),
            (r"UPDATE mysql.user SET authentication_string=\'$A$005$\'", Some(HASH)),
            (
                r#"INSERT INTO mysql.global_priv VALUES (\'h\',\'u\',\'{\"authentication_string\":\"*24\"}\')"#,
                Some(HASH),
            ),
            (r"UPDATE person SET password = \'x\' WHERE id = 1", Some(COLUMN)),
            (r"SELECT * FROM person WHERE password=\'x\' OR PASSWORD(\'y\')", Some(PASSWORD)),
            ("SET PASSWORD = PASSWORD(*****)", None),
            ("SET PASSWORD FOR a@b = *****", None),
            ("CREATE USER a IDENTIFIED BY *****", None),
            (r"UPDATE person SET password = \'\'", None),
            (r"SELECT * FROM person WHERE password = ?", None),
            ("SELECT password FROM t", None),
            (r"SELECT \'*24\'", None),
            ("SELECT 1", None),
            ("", None),
        ] {
            let statement = statement.replace("HASH", DIGITS);
            assert_eq!(leak(statement.as_bytes()), kind, "{statement}");
        }
    }

    #[test]
    fn a_cut_statement_is_no_trouble() {
        let statement = br"SET PASSWORD FOR a@b = \'*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19\'";
        for end in 0..statement.len() {
            leak(&statement[..end]);
        }
    }
}
