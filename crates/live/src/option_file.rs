//! Option files of MySQL and MariaDB: how the ecosystem's own clients are told where a server is.
//!
//! ```text
//! [client]                        a group: only those that the caller names count
//! user     = rollcall             blanks around names and values do not count
//! password = "a#b"                # ends a value, unless it stands in quotes
//! ssl_ca   = /etc/db/ca.pem       _ and - are the same in names
//! loose-x  = 1                    unknown names are told, not refused
//! !include /etc/rollcall/db1.cnf
//! !includedir /etc/rollcall/db1.d   files *.cnf, by name
//! ```
//!
//! The rules are those of `mysys/my_default.c`: a quote counts where it begins and ends a value; `\n \t \r \b \s \\
//! \" \'` are escapes in any value, another backslash is one. The last of several values counts, in the order of the
//! lines, whatever the group.
//!
//! # What it does not do
//! Names cut short (`pass=`) are unknown names. No file is read that is not named: not `~/.my.cnf`, not
//! `/etc/my.cnf`.
//!
//! # Invariants
//! * [`parse`] touches nothing but the bytes it is given and what `include` returns. No input panics.
//! * No error holds a value.
//! * [`read`] takes a password from no file that others may read, and follows links only where the user named them
//!   (`/etc/mysql/my.cnf` is one on Debian): what is included is no link.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::LiveError;
use crate::server::file_error;
use crate::target::{Secret, TlsMode};

/// The groups that a client of ours reads, whichever family the server is of.
pub const GROUPS: [&str; 4] = ["client", "client-server", "client-mariadb", "rollcall"];

/// How large a file may be: real ones have a few hundred bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// How deep files may include others: as many as MySQL follows.
pub const INCLUDE_DEPTH_MAX: usize = 10;

/// How many files may be included in all.
pub const INCLUDED_FILES_MAX: usize = 200;

/// How many unknown names are told.
pub const UNKNOWN_MAX: usize = 100;

/// Bits of a file's mode by which others than its owner may read it.
const READABLE_BY_OTHERS: u32 = 0o044;

/// How a server is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// By its port.
    Tcp,
    /// By its unix socket.
    Socket,
}

/// What option files say. `None` is what they say nothing of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `user`.
    pub user: Option<String>,
    /// `password`; empty where it stands there without a value.
    pub password: Option<Secret>,
    /// `host`.
    pub host: Option<String>,
    /// `port`.
    pub port: Option<u16>,
    /// `socket`.
    pub socket: Option<PathBuf>,
    /// `protocol`.
    pub protocol: Option<Protocol>,
    /// `ssl`, `skip-ssl`.
    pub ssl: Option<bool>,
    /// `ssl-ca`.
    pub ssl_ca: Option<PathBuf>,
    /// `ssl-cert`.
    pub ssl_cert: Option<PathBuf>,
    /// `ssl-key`.
    pub ssl_key: Option<PathBuf>,
    /// `ssl-verify-server-cert` (MariaDB).
    pub ssl_verify_server_cert: Option<bool>,
    /// `ssl-mode` (MySQL).
    pub ssl_mode: Option<TlsMode>,
    /// `connect-timeout`.
    pub connect_timeout: Option<Duration>,
    /// Names in these groups that are not used here, up to [`UNKNOWN_MAX`], as written but for `_`.
    pub unknown: BTreeSet<String>,
}

/// What a file asks to be read in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Include {
    /// `!include`: this file.
    File(PathBuf),
    /// `!includedir`: the files `*.cnf` in this folder, by name.
    Folder(PathBuf),
}

/// Files with their bytes, as an [`Include`] stands for them.
pub type Included = Vec<(PathBuf, Vec<u8>)>;

/// Reads the options of the groups named from the bytes of a file. `include` reads what it asks for.
///
/// # Errors
/// [`LiveError::Syntax`], with file and line; what `include` answers.
pub fn parse(
    path: &Path,
    bytes: &[u8],
    groups: &[&str],
    include: &mut dyn FnMut(&Include) -> Result<Included, LiveError>,
) -> Result<Options, LiveError> {
    let mut parser = Parser { groups, include, files: 0, options: Options::default() };
    parser.file(path, bytes, 0)?;
    Ok(parser.options)
}

/// Reads an option file and what it includes.
///
/// # Errors
/// [`LiveError::FileReadable`] where a file that holds a password can be read by others, [`LiveError::FileKind`]
/// where it is no regular file, [`LiveError::FileTooLarge`], [`LiveError::Syntax`], …
pub fn read(path: &Path, groups: &[&str]) -> Result<Options, LiveError> {
    read_all(&[path], groups)
}

/// Reads several option files, of which the later ones go before the earlier ones.
///
/// # Errors
/// As [`read`].
pub fn read_all(paths: &[&Path], groups: &[&str]) -> Result<Options, LiveError> {
    read_closed(paths, groups, READABLE_BY_OTHERS)
}

/// Reads an option file that the service manager gave as a credential (systemd's `LoadCredential=`): an access control
/// list lets the service's own user read it, and its mask stands where the group's permissions do.
///
/// # Errors
/// As [`read`].
pub fn read_credential(path: &Path, groups: &[&str]) -> Result<Options, LiveError> {
    read_closed(&[path], groups, READABLE_BY_OTHERS & 0o007)
}

/// Passwords are taken only from files of whose mode these bits are not set.
fn read_closed(paths: &[&Path], groups: &[&str], others: u32) -> Result<Options, LiveError> {
    // A password that is not used is one all the same.
    let checked = |path: &Path| -> Result<Vec<u8>, LiveError> {
        let (bytes, mode) = load(path)?;
        if mode & others != 0 && holds_password(&bytes) {
            return Err(LiveError::FileReadable { path: path.to_path_buf(), mode });
        }
        Ok(bytes)
    };
    let mut include = |include: &Include| {
        let paths = match include {
            Include::File(path) => vec![path.clone()],
            Include::Folder(path) => folder(path)?,
        };
        paths.into_iter().map(|path| Ok((path.clone(), checked(&path)?))).collect()
    };
    let mut parser =
        Parser { groups, include: &mut include, files: 0, options: Options::default() };
    for path in paths {
        let named = path.canonicalize().map_err(|error| file_error(path, "opening", error))?;
        parser.file(path, &checked(&named)?, 0)?;
    }
    Ok(parser.options)
}

struct Parser<'a> {
    groups: &'a [&'a str],
    include: &'a mut dyn FnMut(&Include) -> Result<Included, LiveError>,
    files: usize,
    options: Options,
}

impl Parser<'_> {
    fn file(&mut self, path: &Path, bytes: &[u8], depth: usize) -> Result<(), LiveError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // In no group yet, in one of ours, in another's.
        let mut is_ours = None;
        for (i, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let wrong = |what| LiveError::Syntax { path: path.to_path_buf(), line: i + 1, what };
            match classify(line).map_err(wrong)? {
                Line::Nothing => {}
                Line::Group(name) => {
                    is_ours = Some(self.groups.iter().any(|group| group.as_bytes() == name));
                }
                Line::Include(include) => {
                    if depth >= INCLUDE_DEPTH_MAX {
                        return Err(wrong(
                            "files include each other too deep; name the file itself",
                        ));
                    }
                    for (path, bytes) in (self.include)(&include)? {
                        self.files += 1;
                        if self.files > INCLUDED_FILES_MAX {
                            return Err(wrong("more files are included than are read; name fewer"));
                        }
                        self.file(&path, &bytes, depth + 1)?;
                    }
                }
                Line::Option(name, value) => match is_ours {
                    None => {
                        return Err(wrong("an option before any [group]; write [client] above it"));
                    }
                    Some(false) => {}
                    Some(true) => self.option(&name, value).map_err(wrong)?,
                },
            }
        }
        Ok(())
    }

    fn option(&mut self, name: &str, value: Option<Vec<u8>>) -> Result<(), &'static str> {
        let name = name.strip_prefix("loose-").unwrap_or(name);
        let options = &mut self.options;
        match name {
            "user" => options.user = Some(utf8(value)?),
            "password" => options.password = Some(Secret::new(value.unwrap_or_default())),
            "host" => options.host = Some(utf8(value)?),
            // 0 is the default port.
            "port" => options.port = Some(number(value)?).filter(|&port: &u16| port != 0),
            "socket" => options.socket = Some(file(value)?),
            "protocol" => options.protocol = protocol(value)?,
            "ssl" => options.ssl = Some(flag(value)?),
            "skip-ssl" | "disable-ssl" => options.ssl = Some(!flag(value)?),
            "ssl-ca" => options.ssl_ca = Some(file(value)?),
            "ssl-cert" => options.ssl_cert = Some(file(value)?),
            "ssl-key" => options.ssl_key = Some(file(value)?),
            "ssl-verify-server-cert" => options.ssl_verify_server_cert = Some(flag(value)?),
            "skip-ssl-verify-server-cert" | "disable-ssl-verify-server-cert" => {
                options.ssl_verify_server_cert = Some(!flag(value)?);
            }
            "ssl-mode" => options.ssl_mode = Some(mode(value)?),
            "connect-timeout" => {
                let seconds = Some(number(value)?).filter(|&seconds: &u32| seconds != 0);
                options.connect_timeout =
                    seconds.map(|seconds| Duration::from_secs(seconds.into()));
            }
            other if options.unknown.len() < UNKNOWN_MAX => {
                options.unknown.insert(other.to_owned());
            }
            _ => {}
        }
        Ok(())
    }
}

/// What one line is.
enum Line<'a> {
    Nothing,
    Group(&'a [u8]),
    Include(Include),
    /// A name with `-` for `_`, and what stands behind `=`.
    Option(String, Option<Vec<u8>>),
}

fn classify(line: &[u8]) -> Result<Line<'_>, &'static str> {
    let line = line.trim_ascii();
    match line.first() {
        None | Some(b'#' | b';') => return Ok(Line::Nothing),
        Some(b'!') => return directive(line).map(Line::Include),
        Some(b'[') => {
            let end = line.iter().position(|&byte| byte == b']');
            let name = end.map(|end| line[1..end].trim_ascii());
            return name
                .map(Line::Group)
                .ok_or("a group without its closing bracket; write [client]");
        }
        Some(_) => {}
    }
    let line = &line[..comment(line)];
    let (name, value) = match line.iter().position(|&byte| byte == b'=') {
        Some(at) => (&line[..at], Some(unescape(line[at + 1..].trim_ascii()))),
        None => (line, None),
    };
    let name = String::from_utf8_lossy(name.trim_ascii()).replace('_', "-");
    if name.is_empty() {
        return Err("a value without a name before it; write name=value");
    }
    Ok(Line::Option(name, value))
}

fn directive(line: &[u8]) -> Result<Include, &'static str> {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let path = PathBuf::from(OsString::from_vec(line[end..].trim_ascii().to_vec()));
    let include = match &line[..end] {
        b"!include" => Include::File(path.clone()),
        b"!includedir" => Include::Folder(path.clone()),
        _ => return Err("an unknown directive; there are !include and !includedir"),
    };
    // Where they are relative to depends on who starts the program.
    if !path.is_absolute() {
        return Err("a path that is not absolute; write all of it");
    }
    Ok(include)
}

/// Where a comment begins behind a value: at a `#` outside quotes.
fn comment(line: &[u8]) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (i, &byte) in line.iter().enumerate() {
        if matches!(byte, b'\'' | b'"') && !escaped {
            match quote {
                None => quote = Some(byte),
                Some(open) if open == byte => quote = None,
                Some(_) => {}
            }
        }
        if quote.is_none() && byte == b'#' {
            return i;
        }
        escaped = quote.is_some() && byte == b'\\' && !escaped;
    }
    line.len()
}

/// The value without quotes around it, its escapes resolved.
fn unescape(value: &[u8]) -> Vec<u8> {
    let value = match value {
        [first @ (b'\'' | b'"'), inner @ .., last] if first == last => inner,
        other => other,
    };
    let mut out = Vec::with_capacity(value.len());
    let mut i = 0;
    while i < value.len() {
        let next = (value[i] == b'\\').then(|| value.get(i + 1)).flatten();
        match next {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'b') => out.push(8),
            Some(b's') => out.push(b' '),
            Some(&byte @ (b'"' | b'\'' | b'\\')) => out.push(byte),
            Some(&other) => out.extend([b'\\', other]),
            None => {
                out.push(value[i]);
                i += 1;
                continue;
            }
        }
        i += 2;
    }
    out
}

fn utf8(value: Option<Vec<u8>>) -> Result<String, &'static str> {
    String::from_utf8(value.unwrap_or_default()).map_err(|_| "a value that is no UTF-8")
}

fn number<T: std::str::FromStr>(value: Option<Vec<u8>>) -> Result<T, &'static str> {
    utf8(value)?.parse().map_err(|_| "a value that is no number, or too large")
}

fn file(value: Option<Vec<u8>>) -> Result<PathBuf, &'static str> {
    match value {
        Some(path) if !path.is_empty() && !path.contains(&0) => {
            Ok(PathBuf::from(OsString::from_vec(path)))
        }
        _ => Err("a path is missing behind `=`"),
    }
}

/// A name alone means that it is so.
fn flag(value: Option<Vec<u8>>) -> Result<bool, &'static str> {
    match utf8(value)?.to_ascii_lowercase().as_str() {
        "" | "1" | "on" | "true" | "yes" => Ok(true),
        "0" | "off" | "false" | "no" => Ok(false),
        _ => Err("a value that is neither 1 nor 0"),
    }
}

fn protocol(value: Option<Vec<u8>>) -> Result<Option<Protocol>, &'static str> {
    match utf8(value)?.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Some(Protocol::Tcp)),
        "socket" => Ok(Some(Protocol::Socket)),
        "default" | "" => Ok(None),
        _ => Err("a protocol that is neither TCP nor SOCKET"),
    }
}

fn mode(value: Option<Vec<u8>>) -> Result<TlsMode, &'static str> {
    match utf8(value)?.to_ascii_uppercase().as_str() {
        "DISABLED" => Ok(TlsMode::Disabled),
        "PREFERRED" => Ok(TlsMode::Preferred),
        "REQUIRED" => Ok(TlsMode::Required),
        "VERIFY_CA" => Ok(TlsMode::VerifyCa),
        "VERIFY_IDENTITY" => Ok(TlsMode::VerifyIdentity),
        _ => Err(
            "an unknown ssl-mode; write VERIFY_IDENTITY, VERIFY_CA, REQUIRED, PREFERRED or DISABLED",
        ),
    }
}

/// Is there a password in any group, also one that is not asked for?
fn holds_password(bytes: &[u8]) -> bool {
    bytes.split(|&byte| byte == b'\n').any(|line| match classify(line) {
        Ok(Line::Option(name, Some(value))) => {
            let name = name.strip_prefix("loose-").unwrap_or(&name);
            // Clients take names that are cut short.
            name.len() >= 4 && "password".starts_with(name) && !value.is_empty()
        }
        _ => false,
    })
}

/// The bytes of a regular file, and its permissions.
fn load(path: &Path) -> Result<(Vec<u8>, u32), LiveError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file: File = match opened {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            let what = "a symbolic link";
            return Err(LiveError::FileKind { path: path.to_path_buf(), what });
        }
        // What a socket answers.
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
            return Err(LiveError::FileKind { path: path.to_path_buf(), what: "a socket" });
        }
        Err(error) => return Err(file_error(path, "opening", error)),
    };
    let metadata =
        file.metadata().map_err(|error| file_error(path, "looking at the open file", error))?;
    let kind = metadata.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a folder"
        } else if kind.is_fifo() {
            "a named pipe"
        } else {
            "a device"
        };
        return Err(LiveError::FileKind { path: path.to_path_buf(), what });
    }
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| file_error(path, "reading", error))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(LiveError::FileTooLarge { path: path.to_path_buf(), max: FILE_BYTES_MAX });
    }
    Ok((bytes, metadata.mode() & 0o7777))
}

/// The files `*.cnf` of a folder, by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>, LiveError> {
    let entries = std::fs::read_dir(path).map_err(|error| file_error(path, "listing", error))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| file_error(path, "listing", error))?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "cnf") {
            found.push(path);
        }
        if found.len() > INCLUDED_FILES_MAX {
            break;
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &[u8]) -> Result<Options, LiveError> {
        parse(Path::new("db1.cnf"), text, &GROUPS, &mut |_| Ok(Vec::new()))
    }

    fn told(text: &str) -> Options {
        read_text(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn password(text: &str) -> String {
        let options = told(&format!("[client]\n{text}\n"));
        String::from_utf8(options.password.expect("a password").expose().to_vec()).unwrap()
    }

    #[test]
    fn all_that_is_used() {
        let options = told(
            "# ours\n; too\n[client]\n  user = rollcall  # who\nPassword=no\npassword = 'top'\n\
             host=db1\nport=3307\nsocket=/run/s\nprotocol=TCP\nssl\nssl_ca=/ca.pem\nssl-cert=/c.pem\n\
             ssl-key=/k.pem\nssl-verify-server-cert\nssl-mode=verify_identity\nloose_connect_timeout=3\n",
        );
        let expected = Options {
            user: Some("rollcall".to_owned()),
            password: Some(Secret::new("top")),
            host: Some("db1".to_owned()),
            port: Some(3307),
            socket: Some("/run/s".into()),
            protocol: Some(Protocol::Tcp),
            ssl: Some(true),
            ssl_ca: Some("/ca.pem".into()),
            ssl_cert: Some("/c.pem".into()),
            ssl_key: Some("/k.pem".into()),
            ssl_verify_server_cert: Some(true),
            ssl_mode: Some(TlsMode::VerifyIdentity),
            connect_timeout: Some(Duration::from_secs(3)),
            unknown: BTreeSet::from(["Password".to_owned()]),
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn values_as_the_server_s_own_programs_read_them() {
        for (written, expected) in [
            ("password=plain", "plain"),
            ("password = two words ", "two words"),
            ("password=cut#here", "cut"),
            (r#"password="kept#here""#, "kept#here"),
            ("password='a\"b'", "a\"b"),
            ("password=it's", "it's"),
            ("password='open", "'open"),
            ("password='", "'"),
            ("password=''", ""),
            ("password=a=b", "a=b"),
            ("password", ""),
            (r"password=\s\t\n\r\b\\\'\q\", " \t\n\r\u{8}\\'\\q\\"),
            (r#"password="a\"b#c" # d"#, "a\"b#c"),
            ("password=ünï", "ünï"),
            ("password=a\r", "a"),
        ] {
            assert_eq!(password(written), expected, "{written}");
        }
    }

    #[test]
    fn groups_that_are_not_named_do_not_count_and_the_last_value_does() {
        let options =
            told("[mysqld]\nuser=mysql\n[client]\nuser=a\n[ rollcall ]\nuser=b\n[mysql]\nuser=c");
        assert_eq!(options.user.as_deref(), Some("b"));
        assert!(told("[client]\nssl\nskip-ssl\n").ssl == Some(false));
        assert!(told("[client]\nskip_ssl=0\n").ssl == Some(true));
        assert!(told("[client]\nport=0\nconnect-timeout=0\n").port.is_none());
    }

    #[test]
    fn unknown_names_are_told_and_bounded() {
        let options = told("[client]\nloose-quick\nprompt=top-7f3a\ndefault_character_set=utf8\n");
        let names: Vec<_> = options.unknown.iter().map(String::as_str).collect();
        assert_eq!(names, ["default-character-set", "prompt", "quick"]);
        for (count, expected) in [(UNKNOWN_MAX, UNKNOWN_MAX), (UNKNOWN_MAX + 1, UNKNOWN_MAX)] {
            let lines: String = (0..count).map(|i| format!("x{i}\n")).collect();
            assert_eq!(told(&format!("[client]\n{lines}")).unknown.len(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        for (text, expected) in [
            ("user=a", "db1.cnf:1: an option before any [group]; write [client] above it"),
            ("\n[client\n", "db1.cnf:2: a group without its closing bracket; write [client]"),
            (
                "[client]\n=top-7f3a",
                "db1.cnf:2: a value without a name before it; write name=value",
            ),
            ("[client]\nport=top-7f3a", "db1.cnf:2: a value that is no number, or too large"),
            ("[client]\nport=65536", "db1.cnf:2: a value that is no number, or too large"),
            ("[client]\nssl=top-7f3a", "db1.cnf:2: a value that is neither 1 nor 0"),
            ("[client]\nprotocol=pipe", "db1.cnf:2: a protocol that is neither TCP nor SOCKET"),
            ("[client]\nsocket=", "db1.cnf:2: a path is missing behind `=`"),
            ("!import /x", "db1.cnf:1: an unknown directive; there are !include and !includedir"),
            ("!include x", "db1.cnf:1: a path that is not absolute; write all of it"),
            (
                "[client]\nssl-mode=top-7f3a",
                "db1.cnf:2: an unknown ssl-mode; write VERIFY_IDENTITY, VERIFY_CA, REQUIRED, PREFERRED or \
                 DISABLED",
            ),
        ] {
            assert_eq!(read_text(text.as_bytes()).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn files_that_include_each_other_end() {
        let again = b"!include /again\n";
        let mut asked = 0;
        let error = parse(Path::new("/again"), again, &GROUPS, &mut |_| {
            asked += 1;
            Ok(vec![("/again".into(), again.to_vec())])
        });
        assert!(matches!(error, Err(LiveError::Syntax { line: 1, .. })));
        assert_eq!(asked, INCLUDE_DEPTH_MAX);
        for (count, is_read) in [(INCLUDED_FILES_MAX, true), (INCLUDED_FILES_MAX + 1, false)] {
            let read = parse(Path::new("/many"), b"!includedir /many\n", &GROUPS, &mut |_| {
                Ok(vec![("/one.cnf".into(), Vec::new()); count])
            });
            assert_eq!(read.is_ok(), is_read);
        }
    }

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_password_that_others_can_read_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db1.cnf");
        for mode in [0o644, 0o640, 0o604] {
            for text in ["[client]\npassword=top-7f3a\n", "[mysqldump]\npass = 'top-7f3a'\n"] {
                write(&path, text, mode);
                let file = path.display();
                let expected = format!(
                    "{file} is readable by others (mode {mode:04o}); it holds a password: chmod 600 {file}"
                );
                assert_eq!(read(&path, &GROUPS).unwrap_err().to_string(), expected);
            }
        }
        write(&path, "[client]\npassword=top-7f3a\n", 0o600);
        assert_eq!(read(&path, &GROUPS).unwrap().password, Some(Secret::new("top-7f3a")));
        write(&path, "[client]\nuser=a\npassword=\n#password=b\n", 0o644);
        assert_eq!(read(&path, &GROUPS).unwrap().user.as_deref(), Some("a"));
    }

    #[test]
    fn included_files_are_read_in_their_order_and_checked_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let (path, parts) = (folder.path().join("db1.cnf"), folder.path().join("d"));
        std::fs::create_dir(&parts).unwrap();
        let head = format!("[client]\nuser=a\n!includedir {}\nhost=mine\n", parts.display());
        write(&path, &head, 0o644);
        write(&parts.join("2.cnf"), "[client]\nuser=c\nhost=theirs\n", 0o644);
        write(&parts.join("1.cnf"), "[client]\nuser=b\n", 0o644);
        write(&parts.join("3.txt"), "[client]\nuser=d\n", 0o644);
        let options = read(&path, &GROUPS).unwrap();
        assert_eq!((options.user.as_deref(), options.host.as_deref()), (Some("c"), Some("mine")));
        write(&parts.join("1.cnf"), "[client]\npassword=top-7f3a\n", 0o644);
        assert!(matches!(read(&path, &GROUPS), Err(LiveError::FileReadable { mode: 0o644, .. })));
    }

    #[test]
    fn regular_files_only_and_no_links_but_named_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db1.cnf");
        assert!(matches!(read(&path, &GROUPS), Err(LiveError::FileMissing { .. })));
        let is = |path: &Path, expected: &str| {
            let error = read(path, &GROUPS).unwrap_err();
            assert!(
                matches!(error, LiveError::FileKind { what, .. } if what == expected),
                "{error}"
            );
        };
        is(folder.path(), "a folder");
        is(Path::new("/dev/null"), "a device");
        write(&path, "[client]\n", 0o600);
        let parts = folder.path().join("d");
        std::fs::create_dir(&parts).unwrap();
        std::os::unix::fs::symlink(&path, parts.join("link.cnf")).unwrap();
        assert!(read(&parts.join("link.cnf"), &GROUPS).is_ok(), "the user named it");
        let head = folder.path().join("head.cnf");
        write(&head, &format!("!includedir {}\n", parts.display()), 0o600);
        is(&head, "a symbolic link");
        for (len, is_read) in [(FILE_BYTES_MAX, true), (FILE_BYTES_MAX + 1, false)] {
            write(&path, &"#".repeat(len), 0o600);
            assert_eq!(read(&path, &GROUPS).is_ok(), is_read);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_text(&bytes);
            let _ = read_text(&[b"[client]\n", &bytes[..]].concat());
        }

        #[test]
        fn no_line_panics(
            lines in prop::collection::vec(r#"[\[\]!#;='"\\ a-z_\-]{0,12}|password='?[^\n]{0,8}'?"#, 0..8)
        ) {
            let _ = read_text(format!("[client]\n{}", lines.join("\n")).as_bytes());
        }

        #[test]
        fn any_password_can_be_written(secret in "[^\\x00]{0,20}") {
            let mut written = String::new();
            for c in secret.chars() {
                match c {
                    '\n' => written.push_str("\\n"),
                    '\r' => written.push_str("\\r"),
                    '\\' | '"' => written.extend(['\\', c]),
                    other => written.push(other),
                }
            }
            prop_assert_eq!(password(&format!("password=\"{written}\"")), secret);
        }
    }
}
