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

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use verdict::quota::{
    Base, Limit, LimitFault, Limits, SIZE_MAX, SizeFault, parse_limits, parse_size,
};

/// The largest list that is read, in bytes: a million users fit.
pub(crate) const LIMITS_BYTES_MAX: u64 = 64 << 20;

/// The largest TOML that is read, in bytes: 400,000 users fit. While it is read it takes some 50 times as much memory.
pub(crate) const TOML_BYTES_MAX: u64 = 16 << 20;

/// Reads a file of limits: the whole of it, or nothing.
///
/// # Errors
/// A message with file, line and column.
pub(crate) fn read(path: &Path) -> Result<Limits, String> {
    let (mut file, place) = open(path)?;
    parse(path, &bytes_of(path, &mut file)?).map_err(|error| format!("{place}:{error}"))
}

/// Opens the file, and how messages call it.
fn open(path: &Path) -> Result<(File, String), String> {
    let place = crate::render::inert(&path.display().to_string());
    let unreadable = |error| format!("{place} cannot be read ({error}): it holds the limits");
    // A named pipe would keep us waiting for who writes to it.
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(format!("{place} is no file: name the one that holds the limits"));
    }
    Ok((file, place))
}

fn bytes_of(path: &Path, file: &mut File) -> Result<Vec<u8>, String> {
    let place = crate::render::inert(&path.display().to_string());
    let most = if is_toml(path) { TOML_BYTES_MAX } else { LIMITS_BYTES_MAX };
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{place} cannot be read ({error}): it holds the limits"))?;
    if bytes.len() as u64 > most {
        return Err(format!("{place} is larger than {most} bytes: no list of limits"));
    }
    Ok(bytes)
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|it| it.eq_ignore_ascii_case("toml"))
}

/// The error begins with line and column.
fn parse(path: &Path, text: &[u8]) -> Result<Limits, String> {
    match is_toml(path) {
        true => toml(text),
        false => parse_limits(text).map_err(|error| error.to_string()),
    }
}

/// A file of limits that may change while a service runs: the limits that are in force, and what of the file they
/// were read from.
///
/// The whole file is taken, or nothing: where what it holds now is no list of limits, those of before stay in force.
/// A list that is just being written may be a list already, with less in it: `user,2GB,3` on its way to
/// `user,2GB,3GB`. So a change is taken only when the next look finds the file as the look before did.
#[derive(Debug)]
pub(crate) struct LimitsFile {
    path: PathBuf,
    limits: Arc<Limits>,
    /// SHA-256 of what they were read from.
    hash: [u8; 32],
    /// The file when it was read last, or tried to.
    read: Stamp,
    /// The file at the look before, where it has to be read once more.
    seen: Option<Stamp>,
    /// The message of what was refused last: it is said once.
    refused: Option<String>,
}

/// What a look at limits came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reload {
    /// Those of before are in force: the file says the same.
    Unchanged,
    /// New ones are in force.
    Replaced,
    /// Those of before stay in force: a message with file, line and column. It is told once for each such content.
    Refused(String),
}

/// A file as a look at it shows it; `None`: there is none, or it cannot be looked at.
type Stamp = Option<(u64, u64, u64, [i64; 4])>;

impl LimitsFile {
    /// Reads the file.
    ///
    /// # Errors
    /// A message with file, line and column.
    pub(crate) fn load(path: &Path) -> Result<LimitsFile, String> {
        let (limits, hash, stamp) = read_stamped(path)?;
        let limits = Arc::new(limits);
        // Once more at the next look: it may have been changed within the tick of the clock that its times are of.
        let seen = Some(stamp);
        Ok(LimitsFile { path: path.to_owned(), limits, hash, read: stamp, seen, refused: None })
    }

    /// The limits that are in force. Whoever holds them keeps them, whatever becomes of the file.
    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// Looks whether the file has changed, and reads it where it has, and rests. For every round.
    pub(crate) fn refresh(&mut self) -> Reload {
        let stamp = stamp_at(&self.path);
        if self.seen == Some(stamp) {
            return self.reload();
        }
        self.seen = (stamp != self.read).then_some(stamp);
        Reload::Unchanged
    }

    /// Reads the file at once, as who asks for it (SIGHUP) says that it is whole.
    pub(crate) fn reload(&mut self) -> Reload {
        self.seen = None;
        // Before reading: what comes behind it is seen at the next look.
        self.read = stamp_at(&self.path);
        match read_stamped(&self.path) {
            Ok((_, hash, stamp)) if hash == self.hash => {
                self.read = stamp;
                self.refused = None;
                Reload::Unchanged
            }
            Ok((limits, hash, stamp)) => {
                (self.limits, self.hash, self.read) = (Arc::new(limits), hash, stamp);
                self.refused = None;
                Reload::Replaced
            }
            Err(error) if self.refused.as_ref() == Some(&error) => Reload::Unchanged,
            Err(error) => {
                self.refused = Some(error.clone());
                Reload::Refused(error)
            }
        }
    }
}

fn stamp_at(path: &Path) -> Stamp {
    std::fs::metadata(path).ok().as_ref().and_then(stamp_of)
}

fn stamp_of(it: &Metadata) -> Stamp {
    let times = [it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec()];
    Some((it.dev(), it.ino(), it.size(), times))
}

/// Limits, the hash of their text, and the file it stood in.
fn read_stamped(path: &Path) -> Result<(Limits, [u8; 32], Stamp), String> {
    let (mut file, place) = open(path)?;
    let before = file.metadata().ok().as_ref().and_then(stamp_of);
    let bytes = bytes_of(path, &mut file)?;
    if file.metadata().ok().as_ref().and_then(stamp_of) != before {
        return Err(format!("{place} was written to while it was read: it is read again"));
    }
    let hash = Sha256::digest(&bytes).into();
    let limits = parse(path, &bytes).map_err(|error| format!("{place}:{error}"))?;
    Ok((limits, hash, before))
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
    limits.shrink();
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
        assert!(load("long.toml", &comment(TOML_BYTES_MAX)).unwrap().is_empty());
        let error = load("long.toml", &comment(TOML_BYTES_MAX + 1)).unwrap_err();
        assert!(error.contains("larger than"), "{error}");
        assert!(read(folder.path()).unwrap_err().contains("is no file"));
        assert!(read(&folder.path().join("none")).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn a_changed_file_is_taken_when_it_rests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("search_user");
        let put = |text: &str| std::fs::write(&path, text).unwrap();
        put("a,2GB,3GB\n");
        let mut file = LimitsFile::load(&path).unwrap();
        let hard = |file: &LimitsFile, user: &str| file.limits().of(user.as_bytes())?.hard;
        assert_eq!(file.refresh(), Reload::Unchanged);
        let held = Arc::clone(file.limits());
        // Cut in the middle: a list as well, with a limit of four bytes.
        put("a,2B,4");
        assert_eq!(file.refresh(), Reload::Unchanged);
        put("a,2GB,4GB\nb,1,2\n");
        assert_eq!(file.refresh(), Reload::Unchanged);
        assert_eq!(hard(&file, "a"), Some(3 << 30));
        assert_eq!(file.refresh(), Reload::Replaced);
        assert_eq!((hard(&file, "a"), hard(&file, "b")), (Some(4 << 30), Some(2)));
        assert_eq!(held.of(b"a").unwrap().hard, Some(3 << 30));
        // The same again: nothing new, and no look at what it holds after that.
        put("a,2GB,4GB\nb,1,2\n");
        assert_eq!((file.refresh(), file.refresh()), (Reload::Unchanged, Reload::Unchanged));
        // Renamed into place.
        std::fs::write(folder.path().join("new"), "c,1,2\n").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!((file.refresh(), file.refresh()), (Reload::Unchanged, Reload::Replaced));
        assert_eq!((hard(&file, "a"), hard(&file, "c")), (None, Some(2)));
    }

    #[test]
    fn a_faulty_file_leaves_the_old_limits_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("search_user");
        let put = |text: &str| std::fs::write(&path, text).unwrap();
        put("a,2GB,3GB\n");
        let mut file = LimitsFile::load(&path).unwrap();
        for (text, fault) in [
            ("b,1,2\na,2GB,3XB\n", "2:7: no size: write it like 500MB, 1.5GiB or 2000000000"),
            ("a,3GB,2GB\n", "1:3: the soft limit is above the hard one: swap the two"),
            ("a,-1,2\n", "1:3: a size below zero: leave it out where there is no limit"),
            ("a,1,9223372036854775808\n", "1:5: more than 9.2 EB: check the unit"),
            ("a,1,2\nb,1\na,1,2\n", "3:3: a second limit for the same user: take one out"),
        ] {
            put(text);
            let expected = format!("{}:{fault}", path.display());
            assert_eq!(file.reload(), Reload::Refused(expected), "{text}");
            assert_eq!(file.limits().of(b"a").unwrap().hard, Some(3 << 30));
            assert_eq!(file.limits().len(), 1);
            // Said once.
            assert_eq!((file.refresh(), file.reload()), (Reload::Unchanged, Reload::Unchanged));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(file.reload(), Reload::Refused(it) if it.contains("cannot be read")));
        assert_eq!(file.limits().len(), 1);
        // A pipe keeps nobody waiting.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(file.reload(), Reload::Refused(it) if it.contains("is no file")));
        std::fs::remove_file(&path).unwrap();
        put("a,2GB,3GB\n");
        assert_eq!(file.reload(), Reload::Unchanged);
        put("a,2GB,5GB\n");
        assert_eq!(file.reload(), Reload::Replaced);
        assert_eq!(file.limits().of(b"a").unwrap().hard, Some(5 << 30));
    }
}
