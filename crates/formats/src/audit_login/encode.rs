//! The line that our own plugin writes, beside the reader of such lines.
//!
//! ```text
//! { "ts":"2026-11-28 15:17:26","type":"successful_login","myhost":"db1","thread":"42",
//!  "user":"app","priv_user":"app","host":"web-7","ip":"10.0.0.7",
//!  "time":"2026-11-28T15:17:26.000123+00:00","server":null,"server_id":1,"status":0,"db":"shop",
//!  "proxy_user":null,"external_user":null,"connection_type":"tls","seq":7,"dropped":0}
//! ```
//!
//! (on one line, with a line break). Behind these come `duration_ms` (of a logout), `user_hex` and
//! the like, and `"truncated":true` where a name was cut.
//!
//! # Invariants
//! * A line is one JSON object of UTF-8, whatever the names hold: none can end its string, begin
//!   another line, or act on a terminal (control characters, C1 and marks of direction are escaped).
//! * What is not UTF-8 is shown with U+FFFD and stands exactly in the `_hex` key. So does the text
//!   `(null)`, which readers of the first writer's lines take for nothing.
//! * The space behind the brace tells our lines from the first writer's, whose names may hold line
//!   breaks: one of ours that a full disk has cut is never taken together with the next one.
//! * No allocation: every line fits [`LOGIN_LINE_BYTES_MAX`], as names are cut at
//!   [`LOGIN_NAME_BYTES_MAX`].

/// The longest name that is written. No server has longer ones: a user name has at most 384 bytes,
/// a host name 255, a database 256 (MySQL) or 192, `proxy_user` is user and host with quotes.
pub const LOGIN_NAME_BYTES_MAX: usize = 1024;

/// How many values are names.
const NAMES: usize = 9;

/// A line is never longer, its line break included: of one byte of a name become at most 6 as text
/// and 2 as hexadecimal; keys, numbers and times take less than 1,024.
pub const LOGIN_LINE_BYTES_MAX: usize = NAMES * LOGIN_NAME_BYTES_MAX * 8 + 1024;

/// What happened, in the words of the first writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginKind {
    /// Somebody was let in.
    Successful,
    /// Somebody was refused.
    Failed,
    /// A session ended.
    Logout,
    /// `COM_CHANGE_USER`; whether it succeeded is in the status.
    ChangeUser,
}

impl LoginKind {
    /// The value of `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            LoginKind::Successful => "successful_login",
            LoginKind::Failed => "failed_login",
            LoginKind::Logout => "logout",
            LoginKind::ChangeUser => "change_user",
        }
    }
}

/// What one line tells. Names are raw bytes; `None` is written as `null`.
#[derive(Debug, Clone, Copy)]
pub struct LoginRecord<'a> {
    /// Microseconds since 1970, UTC; from 1970 to 9999.
    pub time: i64,
    /// Seconds that the server's local time is ahead of UTC.
    pub offset: i32,
    /// What happened.
    pub kind: LoginKind,
    /// The machine's host name.
    pub myhost: &'a [u8],
    /// The connection id.
    pub thread: u64,
    /// The user name as attempted.
    pub user: Option<&'a [u8]>,
    /// The user part of the account that let the login in; empty on failure.
    pub priv_user: Option<&'a [u8]>,
    /// The client's host name.
    pub host: Option<&'a [u8]>,
    /// The client's address.
    pub ip: Option<&'a [u8]>,
    /// The name that the server was given, where it was given one: it wins over `myhost`.
    pub server: Option<&'a [u8]>,
    /// The server's `server_id`.
    pub server_id: Option<u64>,
    /// The server's error number, 0 for success.
    pub status: u32,
    /// The database asked for.
    pub database: Option<&'a [u8]>,
    /// The account that a login was proxied from.
    pub proxy_user: Option<&'a [u8]>,
    /// The name outside of the server (LDAP, the system).
    pub external_user: Option<&'a [u8]>,
    /// `tcp`, `socket`, `tls` and the like, where the server tells. Plain ASCII.
    pub connection_type: Option<&'static str>,
    /// How many lines were made until now, with this one.
    pub seq: u64,
    /// How many of these could not be written.
    pub dropped: u64,
    /// How long the session has lasted; for a logout.
    pub duration_ms: Option<u64>,
}

/// Writes the line with its line break into `buffer`; returns the bytes.
///
/// ```
/// let record = formats::LoginRecord {
///     time: 1_795_965_446_000_123, offset: 3600, kind: formats::LoginKind::Failed,
///     myhost: b"db1", thread: 42, user: Some(b"a\"b"), priv_user: Some(b""), host: None,
///     ip: Some(b"10.0.0.7"), server: None, server_id: Some(1), status: 1045, database: None,
///     proxy_user: None, external_user: None, connection_type: None, seq: 7, dropped: 0,
///     duration_ms: None,
/// };
/// let mut buffer = Box::new([0; formats::LOGIN_LINE_BYTES_MAX]);
/// let line = formats::login_line(&record, &mut buffer);
/// assert!(line.starts_with(br#"{ "ts":"2026-11-29 16:17:26","type":"failed_login","#));
/// ```
pub fn login_line<'b>(
    record: &LoginRecord<'_>,
    buffer: &'b mut [u8; LOGIN_LINE_BYTES_MAX],
) -> &'b [u8] {
    let mut line = Writer { buffer, length: 0 };
    line.put(br#"{ "ts":""#);
    line.local_time(record);
    line.put(br#"","type":""#);
    line.put(record.kind.as_str().as_bytes());
    line.put(b"\"");
    line.name("myhost", Some(record.myhost));
    line.put(br#","thread":""#);
    line.decimal(record.thread);
    line.put(b"\"");
    line.name("user", record.user);
    line.name("priv_user", record.priv_user);
    line.name("host", record.host);
    line.name("ip", record.ip);
    line.put(br#","time":""#);
    line.time(record);
    line.put(b"\"");
    line.name("server", record.server);
    line.number("server_id", record.server_id);
    line.number("status", Some(record.status.into()));
    line.name("db", record.database);
    line.name("proxy_user", record.proxy_user);
    line.name("external_user", record.external_user);
    line.name("connection_type", record.connection_type.map(str::as_bytes));
    line.number("seq", Some(record.seq));
    line.number("dropped", Some(record.dropped));
    if record.kind == LoginKind::Logout {
        line.number("duration_ms", record.duration_ms);
    }
    let names = [
        ("user", record.user),
        ("priv_user", record.priv_user),
        ("host", record.host),
        ("ip", record.ip),
        ("db", record.database),
        ("proxy_user", record.proxy_user),
        ("external_user", record.external_user),
    ];
    for (key, name) in names {
        line.exact(key, name.unwrap_or_default());
    }
    if names.iter().any(|(_, name)| name.is_some_and(|name| name.len() > LOGIN_NAME_BYTES_MAX)) {
        line.put(br#","truncated":true"#);
    }
    line.put(b"}\n");
    let length = line.length;
    &buffer[..length]
}

/// Writes `text` with every byte escaped that could end a JSON string, a line, or act on a
/// terminal, and what is not UTF-8 as U+FFFD; without quotes. Returns how many bytes were written,
/// or `None` where they do not fit.
pub fn escape_json(text: &[u8], buffer: &mut [u8]) -> Option<usize> {
    let mut length = 0;
    let mut put = |bytes: &[u8]| {
        buffer.get_mut(length..length + bytes.len())?.copy_from_slice(bytes);
        length += bytes.len();
        Some(())
    };
    for chunk in text.utf8_chunks() {
        let valid = chunk.valid();
        let mut plain = 0;
        for (at, character) in valid.char_indices() {
            if is_plain(character) {
                continue;
            }
            put(&valid.as_bytes()[plain..at])?;
            match character {
                '"' => put(br#"\""#)?,
                '\\' => put(br"\\")?,
                _ => put(&unicode_escape(character))?,
            }
            plain = at + character.len_utf8();
        }
        put(&valid.as_bytes()[plain..])?;
        if !chunk.invalid().is_empty() {
            put("\u{fffd}".as_bytes())?;
        }
    }
    Some(length)
}

/// Whether a character stands for itself. All others lie in the basic plane.
fn is_plain(character: char) -> bool {
    match character {
        ' '..='~' => character != '"' && character != '\\',
        '\0'..='\u{9f}' => false,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        '\u{feff}' => false,
        _ => true,
    }
}

/// `\uXXXX` for a character of the basic plane.
fn unicode_escape(character: char) -> [u8; 6] {
    let code = u32::from(character);
    let digit = |shift: u32| HEX[(code >> shift & 0xf) as usize];
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends to a buffer that is large enough for every line.
struct Writer<'b> {
    buffer: &'b mut [u8; LOGIN_LINE_BYTES_MAX],
    length: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.buffer[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// `,"key":`
    fn key(&mut self, key: &str, suffix: &str) {
        self.put(b",\"");
        self.put(key.as_bytes());
        self.put(suffix.as_bytes());
        self.put(b"\":");
    }

    fn name(&mut self, key: &str, name: Option<&[u8]>) {
        self.key(key, "");
        let Some(name) = name else { return self.put(b"null") };
        self.put(b"\"");
        // The buffer has room for all.
        self.length += escape_json(cut(name), &mut self.buffer[self.length..]).unwrap_or(0);
        self.put(b"\"");
    }

    /// The `_hex` key, where the text alone would not be read as these bytes.
    fn exact(&mut self, key: &str, name: &[u8]) {
        let name = cut(name);
        if std::str::from_utf8(name).is_ok() && !super::is_null(name) {
            return;
        }
        self.key(key, "_hex");
        self.put(b"\"");
        for byte in name {
            self.put(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
        }
        self.put(b"\"");
    }

    fn number(&mut self, key: &str, number: Option<u64>) {
        self.key(key, "");
        match number {
            Some(number) => self.decimal(number),
            None => self.put(b"null"),
        }
    }

    fn decimal(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.put(&digits[at..]);
    }

    /// `YYYY-MM-DD HH:MM:SS` of the local time.
    fn local_time(&mut self, record: &LoginRecord<'_>) {
        let mut buffer = [0; TIME_BYTES];
        rfc3339(record.time, record.offset, &mut buffer);
        buffer[10] = b' ';
        self.put(&buffer[..19]);
    }

    fn time(&mut self, record: &LoginRecord<'_>) {
        let mut buffer = [0; TIME_BYTES];
        self.put(rfc3339(record.time, record.offset, &mut buffer));
    }
}

/// The length of [`rfc3339`]'s text.
pub const TIME_BYTES: usize = "2026-11-28T15:17:26.000123+00:00".len();

/// A time as RFC 3339 writes it: local, with microseconds and the offset.
///
/// `time` is in microseconds since 1970, UTC, up to the year 9999; `offset` says how many seconds
/// local time is ahead of it.
///
/// ```
/// let mut buffer = [0; formats::TIME_BYTES];
/// let text = formats::rfc3339(1_795_965_446_000_123, -5400, &mut buffer);
/// assert_eq!(text, b"2026-11-29T13:47:26.000123-01:30");
/// ```
pub fn rfc3339(time: i64, offset: i32, buffer: &mut [u8; TIME_BYTES]) -> &[u8] {
    let local = time.div_euclid(1_000_000) + i64::from(offset);
    let (year, month, day) = civil(local.div_euclid(86_400));
    let second = local.rem_euclid(86_400).unsigned_abs();
    let minutes = u64::from(offset.unsigned_abs()) / 60;
    let parts = [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
        (time.rem_euclid(1_000_000).unsigned_abs(), 6, if offset < 0 { b'-' } else { b'+' }),
        (minutes / 60, 2, b':'),
        (minutes % 60, 2, 0),
    ];
    let mut at = 0;
    for (number, width, behind) in parts {
        let mut rest = number;
        for place in (at..at + width).rev() {
            buffer[place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        at += width;
        if behind != 0 {
            buffer[at] = behind;
            at += 1;
        }
    }
    buffer
}

fn cut(name: &[u8]) -> &[u8] {
    &name[..name.len().min(LOGIN_NAME_BYTES_MAX)]
}

/// Year, month and day of a number of days since 1970, which may not lie before: by the four-year
/// and four-hundred-year periods of the Gregorian calendar, counted from March.
fn civil(days: i64) -> (u64, u64, u64) {
    // 719,468 days lie between 1 March of the year 0 and 1970.
    let days = days.max(0).unsigned_abs() + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stamp;
    use crate::stamp::{self, Lead};

    fn record() -> LoginRecord<'static> {
        LoginRecord {
            time: 1_795_965_446_000_123,
            offset: 0,
            kind: LoginKind::Successful,
            myhost: b"db1",
            thread: 42,
            user: Some(b"app"),
            priv_user: Some(b"app"),
            host: Some(b"web-7"),
            ip: Some(b"10.0.0.7"),
            server: None,
            server_id: Some(1),
            status: 0,
            database: Some(b"shop"),
            proxy_user: None,
            external_user: None,
            connection_type: Some("tls"),
            seq: 7,
            dropped: 0,
            duration_ms: None,
        }
    }

    fn line(record: &LoginRecord<'_>) -> String {
        let mut buffer = Box::new([0; LOGIN_LINE_BYTES_MAX]);
        String::from_utf8(login_line(record, &mut buffer).to_vec()).unwrap()
    }

    #[test]
    fn all_keys() {
        assert_eq!(
            line(&record()),
            concat!(
                r#"{ "ts":"2026-11-29 15:17:26","type":"successful_login","myhost":"db1","#,
                r#""thread":"42","user":"app","priv_user":"app","host":"web-7","ip":"10.0.0.7","#,
                r#""time":"2026-11-29T15:17:26.000123+00:00","server":null,"server_id":1,"#,
                r#""status":0,"db":"shop","proxy_user":null,"external_user":null,"#,
                r#""connection_type":"tls","seq":7,"dropped":0}"#,
                "\n"
            )
        );
        let logout = LoginRecord { kind: LoginKind::Logout, duration_ms: Some(1500), ..record() };
        assert!(line(&logout).ends_with(",\"duration_ms\":1500}\n"));
        let logout = LoginRecord { duration_ms: None, ..logout };
        assert!(line(&logout).ends_with(",\"duration_ms\":null}\n"));
    }

    #[test]
    fn names() {
        let check = |user: &[u8], text: &str, hex: Option<&str>| {
            let line = line(&LoginRecord { user: Some(user), ..record() });
            assert!(line.contains(&format!(r#","user":"{text}","#)), "{line}");
            let more = hex.map(|hex| format!(r#","user_hex":"{hex}""#)).unwrap_or_default();
            assert!(line.ends_with(&format!("\"dropped\":0{more}}}\n")), "{line}");
        };
        check(b"a\"b\\c/d", r#"a\"b\\c/d"#, None);
        check(b"a\nb\r\t\0\x7f", r"a\u000ab\u000d\u0009\u0000\u007f", None);
        check(
            "ä\u{9b}\u{2028}\u{202e}\u{2066}\u{feff}€😀".as_bytes(),
            r"ä\u009b\u2028\u202e\u2066\ufeff€😀",
            None,
        );
        check(b"a\xffb", "a\u{fffd}b", Some("61ff62"));
        check(b"(null)", "(null)", Some("286e756c6c29"));
        check(b"", "", None);
    }

    #[test]
    fn the_longest() {
        // The costliest byte is a control character in a name that is not UTF-8.
        let name = |bytes: usize| [vec![0xff; 1], vec![1; bytes - 1]].concat();
        let all = |name: &[u8]| {
            let some = Some(name);
            line(&LoginRecord {
                user: some,
                priv_user: some,
                host: some,
                ip: some,
                database: some,
                proxy_user: some,
                external_user: some,
                server: some,
                myhost: name,
                time: 253_402_300_799_999_999 - 50_400_000_000,
                offset: 50_400,
                kind: LoginKind::Logout,
                thread: u64::MAX,
                server_id: Some(u64::MAX),
                status: u32::MAX,
                seq: u64::MAX,
                dropped: u64::MAX,
                duration_ms: Some(u64::MAX),
                connection_type: Some("shared_memory"),
            })
        };
        let max = all(&name(LOGIN_NAME_BYTES_MAX));
        assert!(!max.contains("truncated"));
        let more = all(&name(LOGIN_NAME_BYTES_MAX + 1));
        assert!(more.ends_with(",\"truncated\":true}\n"));
        assert_eq!(more.len(), max.len() + ",\"truncated\":true".len());
        assert!(more.len() <= LOGIN_LINE_BYTES_MAX);
        let parsed: serde_json::Value = serde_json::from_str(&more).unwrap();
        assert_eq!(parsed["ts"], "9999-12-31 23:59:59");
    }

    #[test]
    fn times_are_read_as_they_were_written() {
        let mut time = 0;
        let mut offset = -50_400;
        while time < 253_402_000_000_000_000 {
            let line = line(&LoginRecord { time, offset, ..record() });
            let value = |key: &str| {
                let start = line.find(key).unwrap() + key.len();
                &line[start..start + line[start..].find('"').unwrap()]
            };
            let local = time.div_euclid(1_000_000) + i64::from(offset);
            if local >= 0 {
                let Lead::Good(stamp, _) = stamp::date_time(value(r#""time":""#).as_bytes()) else {
                    panic!("{line}");
                };
                assert_eq!(stamp, Stamp::Utc(time), "{line}");
                let Lead::Good(stamp, _) = stamp::date_time(value(r#""ts":""#).as_bytes()) else {
                    panic!("{line}");
                };
                assert_eq!(stamp, Stamp::Local(local * 1_000_000), "{line}");
            }
            time += 1_234_567_890_123_456 / 7;
            offset = if offset >= 50_400 { -50_400 } else { offset + 900 };
        }
    }
}
