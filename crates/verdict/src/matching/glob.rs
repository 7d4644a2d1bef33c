//! Host patterns as text with wildcards: `10.0.%`, `web-_.example.net`, `a\_b`.
//!
//! `%` stands for any bytes, also none, `_` for one, and a backslash takes its meaning from the byte
//! behind it. Sources: `wild_compare` (MySQL `mysys/mf_wcomp.cc`) for addresses, which regards case,
//! and `wild_case_compare` for names, which does not.

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// This byte.
    Literal(u8),
    /// Any one byte: `_`.
    One,
    /// Any bytes, also none: `%`.
    Many,
}

/// How bytes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// As they are: addresses.
    Kept,
    /// Without regard to ASCII case: names.
    Folded,
}

impl Case {
    fn same(self, a: u8, b: u8) -> bool {
        a == b || self == Case::Folded && a.eq_ignore_ascii_case(&b)
    }
}

/// The parts of a pattern. A backslash at the end is itself.
pub(crate) fn tokens(pattern: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        tokens.push(match byte {
            b'%' => Token::Many,
            b'_' => Token::One,
            b'\\' if !rest.is_empty() => {
                let escaped = rest[0];
                rest = &rest[1..];
                Token::Literal(escaped)
            }
            _ => Token::Literal(byte),
        });
    }
    tokens
}

/// Whether a text fits.
pub(crate) fn matches(tokens: &[Token], text: &[u8], case: Case) -> bool {
    greedy(tokens, text.len(), |token, at| match token {
        Token::Literal(byte) => case.same(byte, text[at]),
        Token::One => true,
        Token::Many => false,
    })
}

/// Whether each text that fits `inner` also fits `outer`. What is not certain is `false`.
pub(super) fn covers(outer: &[Token], inner: &[Token], case: Case) -> bool {
    greedy(outer, inner.len(), |token, at| match (token, inner[at]) {
        (Token::Literal(a), Token::Literal(b)) => case.same(a, b),
        (Token::One, Token::Literal(_) | Token::One) => true,
        _ => false,
    })
}

/// Whether a text fits that begins in this way and goes on in a way that is not known.
pub(super) fn matches_beginning(tokens: &[Token], begin: &[u8], case: Case) -> bool {
    // Which tokens may come next, behind the bytes so far.
    let mut next = vec![false; tokens.len() + 1];
    next[0] = true;
    let skip = |next: &mut [bool]| {
        for (at, token) in tokens.iter().enumerate() {
            next[at + 1] |= next[at] && *token == Token::Many;
        }
    };
    skip(&mut next);
    for &byte in begin {
        let mut after = vec![false; tokens.len() + 1];
        for (at, token) in tokens.iter().enumerate().filter(|&(at, _)| next[at]) {
            match token {
                Token::Literal(literal) if case.same(*literal, byte) => after[at + 1] = true,
                Token::Literal(_) => {}
                Token::One => after[at + 1] = true,
                Token::Many => after[at] = true,
            }
        }
        skip(&mut after);
        next = after;
    }
    next.contains(&true)
}

/// Walks through tokens and `length` places of something. Behind a `%` that stands for too little, one
/// more place is given to it: of several the last one is enough.
fn greedy(tokens: &[Token], length: usize, fits: impl Fn(Token, usize) -> bool) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < length {
        match tokens.get(token) {
            Some(Token::Many) => {
                token += 1;
                back = Some((token, at));
            }
            Some(&other) if fits(other, at) => {
                token += 1;
                at += 1;
            }
            _ => {
                let Some((behind, taken)) = &mut back else { return false };
                *taken += 1;
                (token, at) = (*behind, *taken);
            }
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Many)
}

/// Whether a client's name fits as MySQL compares names: a `%` at the end stands for nothing only behind
/// a literal byte, and only one does (`web_%` is not `web1`, `web%%` is not `web`).
///
/// Source: `wild_case_compare` of MySQL 8.4 and 9. MariaDB's compares as [`matches`] does.
pub(super) fn matches_name_on_mysql(tokens: &[Token], name: &[u8]) -> bool {
    let core = without_tail(tokens);
    let tail = &tokens[core.len()..];
    if tail.is_empty() || !matches(tokens, name, Case::Folded) {
        return matches(tokens, name, Case::Folded);
    }
    let more = [core, &[Token::One, Token::Many]].concat();
    matches(&more, name, Case::Folded)
        || tail.len() == 1
            && matches!(core.last(), Some(Token::Literal(_)))
            && matches(core, name, Case::Folded)
}

/// Whether MySQL compares names with this pattern in a way of its own.
pub(super) fn is_odd_on_mysql(tokens: &[Token]) -> bool {
    let core = without_tail(tokens);
    match tokens.len() - core.len() {
        0 => false,
        1 => core.last() == Some(&Token::One),
        _ => !core.is_empty(),
    }
}

/// The pattern as MySQL compares it with addresses: a `_` anywhere behind a `%` takes no byte, but where
/// nothing else follows there must be one (`%_1` fits `1`, `10.%_` not `10.`).
///
/// Source: `wild_compare_full` of MySQL from 8.0.17 on. MariaDB's takes a byte for each.
pub(super) fn addresses_on_mysql(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut run = tokens;
    while let Some((&token, rest)) = run.split_first() {
        run = rest;
        if token != Token::Many {
            kept.push(token);
            continue;
        }
        let end = rest.iter().position(|it| matches!(it, Token::Literal(_))).unwrap_or(rest.len());
        if end == rest.len() && rest.contains(&Token::One) {
            kept.push(Token::One);
        }
        kept.push(Token::Many);
        run = &rest[end..];
    }
    kept
}

/// The tokens before the `%` at the end.
fn without_tail(tokens: &[Token]) -> &[Token] {
    let end = tokens.iter().rposition(|token| *token != Token::Many).map_or(0, |at| at + 1);
    &tokens[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_escapes() {
        let check = |pattern: &str, text: &str, expected: bool| {
            let tokens = tokens(pattern.as_bytes());
            assert_eq!(
                matches(&tokens, text.as_bytes(), Case::Folded),
                expected,
                "{pattern} {text}"
            );
        };
        check("%", "", true);
        check("", "", true);
        check("", "a", false);
        check("10.0.%", "10.0.0.7", true);
        check("10.0.%", "10.0.", true);
        check("10.0.%", "10.10.0.7", false);
        check("_27.0.0.2", "127.0.0.2", true);
        check("_27.0.0.2", "27.0.0.2", false);
        check("%.EXAMPLE.net", "db.example.NET", true);
        check("%a%b", "xaxxbab", true);
        check("%a%b", "xaxxba", false);
        check(r"a\_b", "a_b", true);
        check(r"a\_b", "axb", false);
        check(r"a\%", "a%", true);
        check(r"a\%", "abc", false);
        check(r"a\", r"a\", true);
    }

    #[test]
    fn case_counts_in_addresses() {
        let pattern = tokens(b"FE80::%");
        assert!(!matches(&pattern, b"fe80::1", Case::Kept));
        assert!(matches(&pattern, b"fe80::1", Case::Folded));
    }

    #[test]
    fn patterns_that_take_all_of_others() {
        let check = |outer: &str, inner: &str, expected: bool| {
            let (outer, inner) = (tokens(outer.as_bytes()), tokens(inner.as_bytes()));
            assert_eq!(covers(&outer, &inner, Case::Kept), expected, "{outer:?} {inner:?}");
        };
        check("%", "%", true);
        check("%", "10.%", true);
        check("10.%", "10.0.%", true);
        check("10.0.%", "10.%", false);
        check("10._.%", "10.0.%", true);
        check("10._.%", "10.%.%", false);
        check("%.net", "db.%.net", true);
        check("_", "%", false);
    }

    #[test]
    fn names_on_mysql() {
        let check = |pattern: &str, name: &str, expected: bool| {
            let tokens = tokens(pattern.as_bytes());
            assert_eq!(
                matches_name_on_mysql(&tokens, name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        };
        check("web%", "WEB", true);
        check("web%%", "web", false);
        check("web%%", "web1", true);
        check("web_%", "web1", false);
        check("web_%", "web12", true);
        check("%_%", "a", false);
        check("%_%", "ab", true);
        check("%%", "a", true);
        check("web_", "web1", true);
    }

    #[test]
    fn addresses_on_mysql_lose_bytes_behind_a_wildcard() {
        let check = |pattern: &str, same: &str| {
            let found = addresses_on_mysql(&tokens(pattern.as_bytes()));
            assert_eq!(found, tokens(same.as_bytes()), "{pattern}");
        };
        check("%_1%", "%1%");
        check("10._%_%.7", "10._%.7");
        check("10.%_", "10._%");
        check("10.%__%", "10._%");
        check("10.%%", "10.%");
        check("10.__", "10.__");
    }

    #[test]
    fn names_that_were_cut() {
        let check = |pattern: &str, begin: &str, expected: bool| {
            let found =
                matches_beginning(&tokens(pattern.as_bytes()), begin.as_bytes(), Case::Folded);
            assert_eq!(found, expected, "{pattern} {begin}");
        };
        check("%.net", "db.exam", true);
        check("db.%", "db.exam", true);
        check("db.example.net", "db.exam", true);
        check("db.ex", "db.exam", false);
        check("web.%", "db.exam", false);
    }
}
