//! Statements that hold a secret although the server masks some: what kind, never the text.

/// The kind of secret in a statement as an audit log holds it (quotes may stand behind backslashes); `None`
/// where there is none. Blunt: a word that announces a secret, and behind it a quoted text that is no mask.
///
/// ```
/// use verdict::checkup::leak;
///
/// assert_eq!(leak(br"SELECT PASSWORD(\'x\')"), Some("password in a function call"));
/// assert_eq!(leak(b"CREATE USER a IDENTIFIED BY *****"), None);
/// ```
pub fn leak(statement: &[u8]) -> Option<&'static str> {
    let text = statement.to_ascii_uppercase();
    let after = |word: &[u8], follows: fn(&[u8]) -> bool| {
        (0..text.len())
            .filter(|&at| text[at..].starts_with(word))
            .any(|at| follows(text[at + word.len()..].trim_ascii_start()))
    };
    if after(b"PASSWORD", called_with_quote) {
        return Some("password in a function call");
    }
    if after(b"IDENTIFIED BY", |rest| quote(rest) || mask_with_tail(rest)) {
        return Some("password of an account");
    }
    if after(b"IDENTIFIED BY PASSWORD", quote) || after(b"PASSWORD", set_to_quote) {
        return Some("hash of a password");
    }
    (after(b"AUTHENTICATION_STRING", set_to_quote)
        || after(b"GLOBAL_PRIV", |rest| rest.windows(21).any(|it| it == b"AUTHENTICATION_STRING")))
    .then_some("hash of a password")
}

/// Behind backslashes: one that the log puts before a quote, more inside of text in quotes.
fn unescaped(rest: &[u8]) -> &[u8] {
    let quote = rest.iter().position(|&byte| byte != b'\\').unwrap_or(rest.len());
    &rest[quote..]
}

/// A text in quotes that is not empty.
fn quote(rest: &[u8]) -> bool {
    match unescaped(rest) {
        [b'\'' | b'"', next, ..] => !matches!(next, b'\'' | b'"' | b'*' | b'\\'),
        _ => false,
    }
}

fn hash(rest: &[u8]) -> bool {
    matches!(unescaped(rest), [b'\'' | b'"', b'*', next, ..] if next.is_ascii_hexdigit())
}

fn called_with_quote(rest: &[u8]) -> bool {
    rest.strip_prefix(b"(").is_some_and(|rest| quote(rest.trim_ascii_start()))
}

fn set_to_quote(rest: &[u8]) -> bool {
    let set = rest.strip_prefix(b"=").or_else(|| rest.strip_prefix(b":="));
    set.is_some_and(|rest| {
        let rest = rest.trim_ascii_start();
        quote(rest) || hash(rest)
    })
}

/// `*****\'rest\'`: the server masked up to a doubled quote only.
fn mask_with_tail(rest: &[u8]) -> bool {
    rest.strip_prefix(b"*****").is_some_and(quote)
}
