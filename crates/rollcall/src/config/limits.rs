//! Files of storage limits: TOML, or a list of mysql_monitor_daemon's users, as it stands.
//!
//! ```toml
//! [users]
//! t4711 = { soft = "5GB", hard = "8GB" }
//! "o'neil, jr" = { soft = 500_000_000 }
//! ```
//!
//! TOML where the file's name ends in `.toml`: `MB` and `GB` are powers of 1000 there. All else is read by
//! [`verdict::quota::parse_limits`], where they are powers of 1024, as they were to that daemon.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use verdict::quota::{
    Base, Limit, LimitFault, Limits, SIZE_MAX, SizeFault, parse_limits, parse_size,
};

/// The largest file that is read, in bytes: 400,000 users fit.
pub(crate) const LIMITS_BYTES_MAX: u64 = 16 << 20;

/// Reads a file of limits: the whole of it, or nothing.
///
/// # Errors
/// A message with file, line and column.
pub(crate) fn read(path: &Path) -> Result<Limits, String> {
    let place = crate::render::inert(&path.display().to_string());
    let unreadable = |error| format!("{place} cannot be read ({error}): it holds the limits");
    let file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(format!("{place} is no file: name the one that holds the limits"));
    }
    let mut text = Vec::new();
    file.take(LIMITS_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LIMITS_BYTES_MAX {
        return Err(format!("{place} is larger than {LIMITS_BYTES_MAX} bytes: no list of limits"));
    }
    let is_toml = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("toml"));
    match is_toml {
        true => toml(&text).map_err(|error| format!("{place}:{error}")),
        false => parse_limits(&text).map_err(|error| format!("{place}:{error}")),
    }
}

/// Reads TOML; the error begins with line and column.
fn toml(text: &[u8]) -> Result<Limits, String> {
    let text = std::str::from_utf8(text).map_err(|error| {
        // All up to there is UTF-8.
        let before = String::from_utf8_lossy(&text[..error.valid_up_to()]);
        format!("{}: not UTF-8: save the file as UTF-8", place(&before, before.len()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let top = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        format!("{}: {}", place(text, at), error.message().lines().next().unwrap_or_default())
    })?;
    let mut limits = Limits::default();
    for (key, value) in top.get_ref() {
        let at = |what: &str| format!("{}: {what}", place(text, key.span().start));
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("users", DeValue::Table(users)) => {
                for (user, limit) in users {
                    let fault =
                        |(at, fault): (usize, String)| format!("{}: {fault}", place(text, at));
                    let at = user.span().start;
                    let limit = limit_of(limit).map_err(fault)?;
                    let added = limits.add(user.get_ref().as_bytes(), limit);
                    added.map_err(|error| fault((at, error.to_string())))?;
                }
            }
            ("users", _) => return Err(at("users is no table: write [users]")),
            _ => return Err(at("unknown key: known here is [users]")),
        }
    }
    Ok(limits)
}

/// `{ soft = "5GB", hard = 8000000000 }`; the error has the byte where it is.
fn limit_of(value: &Spanned<DeValue<'_>>) -> Result<Limit, (usize, String)> {
    let form = "no limit: write { soft = \"5GB\", hard = \"8GB\" }";
    let DeValue::Table(table) = value.get_ref() else {
        return Err((value.span().start, form.to_owned()));
    };
    let mut limit = Limit::default();
    for (key, value) in table {
        let bytes = size(value.get_ref()).map_err(|it| (value.span().start, it.to_string()))?;
        match key.get_ref().as_ref() {
            "soft" => limit.soft = Some(bytes),
            "hard" => limit.hard = Some(bytes),
            _ => {
                return Err((
                    key.span().start,
                    "unknown key: known here are soft, hard".to_owned(),
                ));
            }
        }
    }
    match limit {
        Limit { soft: None, hard: None } => Err((value.span().start, form.to_owned())),
        limit => Ok(limit),
    }
}

/// A text with a unit, or a number of bytes.
fn size(value: &DeValue<'_>) -> Result<u64, LimitFault> {
    let fault = LimitFault::Size;
    match value {
        DeValue::String(text) => parse_size(text, Base::Decimal).map_err(fault),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(..0) => Err(fault(SizeFault::Negative)),
            Ok(bytes) => u64::try_from(bytes)
                .ok()
                .filter(|&bytes| bytes <= SIZE_MAX)
                .ok_or(fault(SizeFault::TooLarge)),
            Err(_) => Err(fault(SizeFault::TooLarge)),
        },
        _ => Err(fault(SizeFault::Form)),
    }
}

/// `line:column` of a byte, in characters.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_has_powers_of_1000() {
        let text = "# limits\n[users]\nt4711 = { soft = \"5GB\", hard = \"8 GiB\" }\n\
                    \"o'neil, jr\" = { soft = 500_000_000 }\nhex.hard = 0x10\n";
        let limits = toml(text.as_bytes()).unwrap();
        let of = |user: &str| limits.of(user.as_bytes()).map(|it| (it.soft, it.hard));
        assert_eq!(of("t4711"), Some((Some(5_000_000_000), Some(8 << 30))));
        assert_eq!(of("o'neil, jr"), Some((Some(500_000_000), None)));
        assert_eq!(of("hex"), Some((None, Some(16))));
        assert_eq!(limits.len(), 3);
        assert!(toml(b"").unwrap().is_empty());
    }

    #[test]
    fn errors_have_line_and_column() {
        for (text, expected) in [
            (
                "[users]\na = { soft = \"5XB\" }",
                "2:14: no size: write it like 500MB, 1.5GiB or 2000000000",
            ),
            (
                "[users]\na = { soft = -1 }",
                "2:14: a size below zero: leave it out where there is no limit",
            ),
            (
                "[users]\na = { hard = 9223372036854775808 }",
                "2:14: more than 9.2 EB: check the unit",
            ),
            ("[users]\na = { hard = 99999999999999999999999999999999999999999 }", {
                "2:14: more than 9.2 EB: check the unit"
            }),
            ("[users]\n\u{fc} = 5", "2:1: "),
            ("[users]\na = 5", "2:5: no limit: write { soft = \"5GB\", hard = \"8GB\" }"),
            ("[users]\na = {}", "2:5: no limit: write { soft = \"5GB\", hard = \"8GB\" }"),
            (
                "[users]\na = { soft = 2, hard = 1 }",
                "2:1: the soft limit is above the hard one: swap the two",
            ),
            ("[users]\na = { sfot = 2 }", "2:7: unknown key: known here are soft, hard"),
            ("[users]\na = { soft = 2.5 }", "2:14: no size"),
            ("[users]\n'' = { soft = 2 }", "2:1: no user"),
            ("[user]\n", "1:2: unknown key: known here is [users]"),
            ("users = 1\n", "1:1: users is no table: write [users]"),
            ("[users]\na = { soft = 1 }\na = { soft = 1 }", "3:1: duplicate key"),
            ("[users\n", "1:7: "),
        ] {
            let error = toml(text.as_bytes()).expect_err(text);
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let error = toml(b"# \xc3\xbc\n# \xe4").unwrap_err();
        assert_eq!(error, "2:3: not UTF-8: save the file as UTF-8");
    }

    #[test]
    fn files_are_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let load = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            read(&path)
        };
        let place = |name: &str| folder.path().join(name).display().to_string();
        let soft = |limits: Result<Limits, String>| limits.unwrap().of(b"a").unwrap().soft;
        assert_eq!(soft(load("search_user", b"a,2GB,3GB\n")), Some(2 << 30));
        assert_eq!(soft(load("limits.toml", b"users.a.soft = '2GB'\n")), Some(2_000_000_000));
        let error = load("search_user", b"a,2GB,3GB\nb,2GB,1GB\n").unwrap_err();
        let expected = "2:3: the soft limit is above the hard one: swap the two";
        assert_eq!(error, format!("{}:{expected}", place("search_user")));
        let error = load("limits.TOML", b"[users]\nb = 1\n").unwrap_err();
        assert!(error.starts_with(&format!("{}:2:5: no limit", place("limits.TOML"))), "{error}");
        let comment = |bytes: u64| vec![b'#'; usize::try_from(bytes).unwrap()];
        assert!(load("long", &comment(LIMITS_BYTES_MAX)).unwrap().is_empty());
        assert!(load("long", &comment(LIMITS_BYTES_MAX + 1)).unwrap_err().contains("larger than"));
        assert!(read(folder.path()).unwrap_err().contains("is no file"));
        assert!(read(&folder.path().join("none")).unwrap_err().contains("cannot be read"));
    }
}
