//! Rights by which schemas grow: taken from an account at one place, and given back as they were.
//!
//! ```text
//! REVOKE ALTER, CREATE, INDEX, INSERT, UPDATE ON `shop\_%`.* FROM 'app'@'%'
//! GRANT ALTER, CREATE, INDEX, INSERT, UPDATE ON `shop\_%`.* TO 'app'@'%'
//! ```
//!
//! What else stands there (`SELECT`, `DELETE`, `DROP`, `WITH GRANT OPTION`) is not touched by either statement.
//!
//! # Invariants
//! * A statement that is read is one that would be written, byte by byte.

use super::DeedKind;
use crate::account::{AccountName, quoted_account};

/// Rights by which a schema grows, in the order in which they are written.
pub const GROWTH: [&str; 5] = ["ALTER", "CREATE", "INDEX", "INSERT", "UPDATE"];

/// Some of [`GROWTH`] at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Which ones, in the order of [`GROWTH`].
    pub rights: Vec<&'static str>,
    /// The schema as it is granted: a pattern with `%` and `_`, `\` before one that is itself.
    pub schema: Vec<u8>,
    /// The table; `None`: on the whole schema.
    pub table: Option<Vec<u8>>,
}

impl Rights {
    /// The statement that takes them ([`DeedKind::Revoke`]) or gives them ([`DeedKind::Grant`]).
    ///
    /// # Panics
    /// With another kind.
    pub fn statement(&self, kind: DeedKind, account: &AccountName) -> Vec<u8> {
        let (verb, to) = verb(kind).expect("a kind of deed about rights");
        let rights = self.rights.join(", ");
        let table = self.table.as_deref().map_or_else(|| b"*".to_vec(), backquoted);
        let (schema, account) = (backquoted(&self.schema), quoted_account(account));
        [verb, rights.as_bytes(), b" ON ", &schema, b".", &table, to, &account].concat()
    }

    /// The rights that such a statement takes or gives; `None` where it is none of those written here.
    pub fn parse(kind: DeedKind, account: &AccountName, sql: &[u8]) -> Option<Rights> {
        let (verb, to) = verb(kind)?;
        let end = [to, &quoted_account(account)].concat();
        let middle = sql.strip_prefix(verb)?.strip_suffix(&end[..])?;
        let at = middle.windows(4).position(|it| it == b" ON ")?;
        let words = std::str::from_utf8(&middle[..at]).ok()?;
        let known = |word: &str| GROWTH.into_iter().find(|it| *it == word);
        let rights = words.split(", ").map(known).collect::<Option<Vec<_>>>()?;
        let (schema, rest) = identifier(&middle[at + 4..])?;
        let table = match rest.strip_prefix(b".")? {
            b"*" => None,
            name => Some(identifier(name).filter(|(_, rest)| rest.is_empty())?.0),
        };
        let read = Rights { rights, schema, table };
        (read.statement(kind, account) == sql).then_some(read)
    }
}

/// The statement that takes back what one of these has done; `None` where it is none of them.
pub fn opposite(kind: DeedKind, account: &AccountName, sql: &[u8]) -> Option<Vec<u8>> {
    let back = match kind {
        DeedKind::Revoke => DeedKind::Grant,
        DeedKind::Grant => DeedKind::Revoke,
        _ => return None,
    };
    Some(Rights::parse(kind, account, sql)?.statement(back, account))
}

/// Whether a schema is one that a grant's pattern means.
pub fn is_meant(pattern: &[u8], schema: &[u8]) -> bool {
    match (pattern.split_first(), schema.split_first()) {
        (None, _) => schema.is_empty(),
        (Some((b'%', rest)), _) => (0..=schema.len()).any(|at| is_meant(rest, &schema[at..])),
        (Some((b'\\', rest)), Some((byte, schema)))
            if matches!(rest.first(), Some(b'_' | b'%' | b'\\')) =>
        {
            rest[0] == *byte && is_meant(&rest[1..], schema)
        }
        (Some((b'_', rest)), Some((_, schema))) => is_meant(rest, schema),
        (Some((one, rest)), Some((byte, schema))) => one == byte && is_meant(rest, schema),
        (Some(_), None) => false,
    }
}

fn verb(kind: DeedKind) -> Option<(&'static [u8], &'static [u8])> {
    match kind {
        DeedKind::Revoke => Some((b"REVOKE ", b" FROM ")),
        DeedKind::Grant => Some((b"GRANT ", b" TO ")),
        _ => None,
    }
}

fn backquoted(name: &[u8]) -> Vec<u8> {
    let mut text = vec![b'`'];
    for &byte in name {
        if byte == b'`' {
            text.push(byte);
        }
        text.push(byte);
    }
    text.push(b'`');
    text
}

/// The name in backquotes at the beginning, and what stands behind it.
fn identifier(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut name = Vec::new();
    let mut rest = text.strip_prefix(b"`")?;
    loop {
        let at = rest.iter().position(|&byte| byte == b'`')?;
        name.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix(b"`") {
            Some(behind) => {
                name.push(b'`');
                rest = behind;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(schema: &str, table: Option<&str>) -> Rights {
        Rights {
            rights: vec!["CREATE", "INSERT"],
            schema: schema.into(),
            table: table.map(|it| it.as_bytes().to_vec()),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let account = AccountName::new("o'neil", "%");
        for (rights, sql) in [
            (rights(r"shop\_%", None), r"REVOKE CREATE, INSERT ON `shop\_%`.* FROM 'o''neil'@'%'"),
            (
                rights("a` ON `b", Some("*")),
                "REVOKE CREATE, INSERT ON `a`` ON ``b`.`*` FROM 'o''neil'@'%'",
            ),
        ] {
            assert_eq!(rights.statement(DeedKind::Revoke, &account), sql.as_bytes());
            let read = Rights::parse(DeedKind::Revoke, &account, sql.as_bytes());
            assert_eq!(read, Some(rights.clone()));
            let back = opposite(DeedKind::Revoke, &account, sql.as_bytes()).unwrap();
            assert_eq!(back, rights.statement(DeedKind::Grant, &account));
            assert_eq!(opposite(DeedKind::Grant, &account, &back).unwrap(), sql.as_bytes());
            assert_eq!(Rights::parse(DeedKind::Grant, &account, sql.as_bytes()), None);
        }
        for sql in [
            "REVOKE INSERT ON `a`.* FROM 'o''neil'@'%'; DROP USER x",
            "REVOKE SELECT ON `a`.* FROM 'o''neil'@'%'",
            "REVOKE  INSERT ON `a`.* FROM 'o''neil'@'%'",
            "REVOKE INSERT ON *.* FROM 'o''neil'@'%'",
            "REVOKE INSERT ON `a`.`b` WITH x FROM 'o''neil'@'%'",
            "REVOKE INSERT ON `a`.* FROM 'root'@'%'",
            "REVOKE INSERT ON `a FROM 'o''neil'@'%'",
            "",
        ] {
            assert_eq!(Rights::parse(DeedKind::Revoke, &account, sql.as_bytes()), None, "{sql}");
        }
    }

    #[test]
    fn patterns_of_grants() {
        for (pattern, schema, fits) in [
            ("shop", "shop", true),
            ("shop", "shops", false),
            ("sh_p", "shop", true),
            (r"sh\_p", "shop", false),
            (r"sh\_p", "sh_p", true),
            ("%", "", true),
            ("a%", "abc", true),
            ("a%c%e", "abcde", true),
            ("a%c%f", "abcde", false),
            (r"a\%", "a%", true),
            (r"a\%", "ab", false),
            (r"a\", r"a\", true),
            ("a_", "a", false),
        ] {
            assert_eq!(is_meant(pattern.as_bytes(), schema.as_bytes()), fits, "{pattern} {schema}");
        }
    }
}
