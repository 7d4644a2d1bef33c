//! A connection to one server: opened, prepared, asked. The only module that names the driver, but for its stream of binary logs.
//!
//! A session is prepared before it is used: `sql_mode=''` (so that [`verdict::account::quoted`] is right),
//! `utf8mb4`, UTC, autocommit, limits for locks and statements.
//!
//! # Invariants
//! * Connecting ends within [`Target::connect_timeout`], whatever the other side does: it is done by a thread
//!   that is left behind. An answer is waited for [`Target::answer_timeout`] at most.
//! * `caching_sha2_password` sends a password in full at times: over TLS or a unix socket only, never encrypted
//!   with a key that the server has just sent.
//! * One statement a call: texts that hold more are refused.

use std::error::Error as _;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd as _, RawFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{BinlogRequest, BinlogStream, ClientIdentity, Conn, DriverError, OptsBuilder, SslOpts};
use rustls::CertificateError;
use verdict::account::{AccountName, Version};

use crate::error::{LiveError, grant};
use crate::target::{Place, Target, TlsMode};

/// How long one answer is waited for. Reading the definers of 100,000 tables takes tens of seconds.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// How many seconds a statement waits for a lock: a backup may hold them for hours.
pub const LOCK_WAIT_SECONDS: u32 = 10;

/// How many rows of one answer are read: a million accounts with a hundred rights each are a mistake.
pub const ROWS_MAX: usize = 2_000_000;

/// Columns of one row as text. `None` is NULL.
pub(crate) type Row = Vec<Option<Vec<u8>>>;

/// Names of columns, and rows.
pub(crate) type Named = (Vec<String>, Vec<Row>);

/// An open connection, prepared.
pub struct Server {
    conn: Conn,
    name: String,
    user: String,
    place: String,
    answer_timeout: Duration,
    version: Version,
    own: AccountName,
    is_encrypted: bool,
}

impl std::fmt::Debug for Server {
    /// Without the driver's options: they hold the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("name", &self.name)
            .field("place", &self.place)
            .field("version", &self.version)
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Connects, logs in, prepares the session, and asks for version and own account.
    ///
    /// # Errors
    /// Each way in which that fails has a variant: [`LiveError::Down`], [`LiveError::Timeout`],
    /// [`LiveError::Login`], [`LiveError::TlsName`], [`LiveError::TlsUntrusted`], [`LiveError::InitConnect`], …
    pub fn connect(target: &Target) -> Result<Server, LiveError> {
        check_files(target)?;
        let (sender, receiver) = mpsc::channel();
        let wanted = target.clone();
        thread::Builder::new()
            .name("connect".to_owned())
            .spawn(move || sender.send(open(&wanted)))
            .map_err(|error| refused(target, error.to_string()))?;
        let opened = match receiver.recv_timeout(target.connect_timeout) {
            Ok(opened) => opened,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(timeout(target)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(refused(
                target,
                "it does not speak the protocol of MariaDB and MySQL".to_owned(),
            )),
        };
        let (conn, is_encrypted) = opened?;
        let mut server = Server {
            conn,
            name: target.name.clone(),
            user: target.user.clone(),
            place: target.place.to_string(),
            answer_timeout: target.answer_timeout,
            version: Version {
                family: verdict::account::Family::MariaDb,
                number: (0, 0, 0),
                text: String::new(),
            },
            own: AccountName::default(),
            is_encrypted,
        };
        server.prepare()?;
        Ok(server)
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Kind and version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The account that this session was matched to.
    pub fn own(&self) -> &AccountName {
        &self.own
    }

    /// Whether what is sent is encrypted (a unix socket is not, and need not be).
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// The id of this session.
    pub fn connection_id(&self) -> u64 {
        self.conn.connection_id().into()
    }

    /// The driver's stream of a binary log.
    pub(crate) fn into_stream(self, request: BinlogRequest<'_>) -> Result<BinlogStream, LiveError> {
        let doing = "asking for a binary log";
        let (name, own) = (self.name, self.own);
        self.conn.get_binlog_stream(request).map_err(|error| match error {
            mysql::Error::MySqlError(error) if matches!(error.code, 1227 | 1045) => {
                LiveError::Refused {
                    server: name,
                    what: "REPLICATION SLAVE".to_owned(),
                    error: error.code,
                    remedy: grant("REPLICATION SLAVE ON *.*", &own),
                }
            }
            mysql::Error::MySqlError(error) => {
                LiveError::Server { server: name, error: error.code, doing }
            }
            error => LiveError::Broken { server: name, doing, why: plain(&error) },
        })
    }

    /// How long one answer is waited for.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// Where the server is.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The socket of the connection, for answers that the driver has no words for. Between two questions it
    /// has read all that came.
    pub(crate) fn socket(&self) -> RawFd {
        self.conn.as_raw_fd()
    }

    /// Sets what the session's answers depend on, and learns whom it talks to.
    fn prepare(&mut self) -> Result<(), LiveError> {
        let doing = "preparing the session";
        let settings = format!(
            "SET SESSION sql_mode='', time_zone='+00:00', autocommit=1, sql_quote_show_create=1, \
             lock_wait_timeout={LOCK_WAIT_SECONDS}"
        );
        match self.try_ask(doing, settings.as_bytes()) {
            Ok(Ok(_)) => {}
            // The first statement is answered with what became of init_connect, or not at all.
            Ok(Err(error @ (1184 | 1152))) => {
                return Err(LiveError::InitConnect { server: self.name.clone(), error });
            }
            Ok(Err(error)) => return Err(self.fault(doing, error)),
            Err(error) => return Err(error),
        }
        self.ask(doing, b"SET NAMES utf8mb4")?;
        let rows = self.ask(doing, b"SELECT VERSION(), CURRENT_USER()")?;
        let [Some(version), Some(own)] = rows.first().map_or(&[][..], |row| row) else {
            return Err(self.odd(doing, "version and account are no row"));
        };
        let text = String::from_utf8_lossy(version).into_owned();
        self.version = Version::parse(&text)
            .ok_or_else(|| LiveError::Version { server: self.name.clone() })?;
        self.own = split_account(own);
        // Both are refused by the other family.
        let limits: &[u8] = match self.version.family {
            verdict::account::Family::MariaDb => b"SET SESSION max_statement_time=110",
            verdict::account::Family::MySql => {
                b"SET SESSION max_execution_time=110000, print_identified_with_as_hex=ON, \
                  information_schema_stats_expiry=0"
            }
        };
        // A server too old for one of them does without.
        self.try_ask(doing, limits)?.ok();
        Ok(())
    }

    /// The rows of an answer; an error of the server is the error number.
    pub(crate) fn try_ask(
        &mut self,
        doing: &'static str,
        sql: &[u8],
    ) -> Result<Result<Vec<Row>, u16>, LiveError> {
        Ok(self.try_ask_named(doing, sql)?.map(|(_, rows)| rows))
    }

    /// The rows of an answer with the names of their columns.
    pub(crate) fn try_ask_named(
        &mut self,
        doing: &'static str,
        sql: &[u8],
    ) -> Result<Result<Named, u16>, LiveError> {
        let Ok(text) = std::str::from_utf8(sql) else {
            return Err(LiveError::NotUtf8 { server: self.name.clone(), doing });
        };
        if !single(sql) {
            return Err(self.odd(doing, "the text holds more than one statement"));
        }
        match read_all(&mut self.conn, text) {
            Ok(Some(rows)) => Ok(Ok(rows)),
            Ok(None) => Err(LiveError::TooMany { server: self.name.clone(), doing, max: ROWS_MAX }),
            Err(mysql::Error::MySqlError(error)) => Ok(Err(error.code)),
            Err(error) if is_timeout(&error) => Err(LiveError::Timeout {
                server: self.name.clone(),
                place: self.place.clone(),
                seconds: self.answer_timeout.as_secs(),
                doing,
            }),
            Err(error) => {
                Err(LiveError::Broken { server: self.name.clone(), doing, why: plain(&error) })
            }
        }
    }

    /// The rows of an answer.
    pub(crate) fn ask(&mut self, doing: &'static str, sql: &[u8]) -> Result<Vec<Row>, LiveError> {
        self.try_ask(doing, sql)?.map_err(|error| self.fault(doing, error))
    }

    /// An error number of the server, where nothing more is known of it.
    pub(crate) fn fault(&self, doing: &'static str, error: u16) -> LiveError {
        let server = self.name.clone();
        match error {
            1290 | 1792 | 1836 | 3100 => LiveError::ReadOnly { server, error },
            1820 | 1862 => LiveError::Expired { server, user: self.user.clone(), error },
            1205 | 1213 => LiveError::Busy { server, doing },
            1053 | 1927 | 1317 => LiveError::Broken {
                server,
                doing,
                why: format!("error {error}: the server stops, or somebody killed this session"),
            },
            _ => LiveError::Server { server, error, doing },
        }
    }

    /// An answer that does not fit.
    pub(crate) fn odd(&self, doing: &'static str, what: &'static str) -> LiveError {
        LiveError::Answer { server: self.name.clone(), doing, what }
    }
}

/// Does the text hold one statement only? Read as the server reads it under `sql_mode=''`: a semicolon inside
/// quotes is none, one at the end (with blanks) is allowed. Comments may hide one from us, so they count as more.
pub(crate) fn single(sql: &[u8]) -> bool {
    let mut i = 0;
    while i < sql.len() {
        match sql[i] {
            quote @ (b'\'' | b'"' | b'`') => {
                i += 1;
                loop {
                    match sql.get(i) {
                        None => return false,
                        Some(b'\\') if quote != b'`' => i += 1,
                        // A doubled quote ends one literal and begins the next: the same to us.
                        Some(&byte) if byte == quote => break,
                        Some(_) => {}
                    }
                    i += 1;
                }
            }
            b';' => return sql[i + 1..].iter().all(u8::is_ascii_whitespace),
            b'#' | 0 => return false,
            b'-' if sql.get(i + 1) == Some(&b'-') => return false,
            b'/' if sql.get(i + 1) == Some(&b'*') => return false,
            _ => {}
        }
        i += 1;
    }
    true
}

/// A column compared byte by byte with a text, whatever character set and padding it has: `=` takes `'a '` for
/// `'a'`, and refuses characters that the column cannot hold.
pub(crate) fn is_exactly(column: &str, text: &[u8]) -> String {
    let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("CAST({column} AS BINARY)=x'{hex}'")
}

/// `user@host` as `CURRENT_USER()` and definers write it: the last `@` parts them.
pub(crate) fn split_account(text: &[u8]) -> AccountName {
    match text.iter().rposition(|&byte| byte == b'@') {
        Some(at) => AccountName::new(&text[..at], &text[at + 1..]),
        None => AccountName::new(text, &b""[..]),
    }
}

/// `None` where there are too many.
fn read_all(conn: &mut Conn, text: &str) -> Result<Option<Named>, mysql::Error> {
    let mut rows = Vec::new();
    let mut too_many = false;
    let answer = conn.query_iter(text)?;
    let columns = answer.columns();
    let names = columns.as_ref().iter().map(|column| column.name_str().into_owned()).collect();
    for row in answer {
        let row = row?;
        if rows.len() >= ROWS_MAX {
            too_many = true;
            continue;
        }
        let text = |value| match value {
            mysql::Value::NULL => None,
            mysql::Value::Bytes(bytes) => Some(bytes),
            // Never in answers to plain statements; as SQL writes it.
            other => Some(other.as_sql(true).into_bytes()),
        };
        rows.push(row.unwrap().into_iter().map(text).collect());
    }
    Ok((!too_many).then_some((names, rows)))
}

/// Connects and logs in. Tells also whether what is sent is encrypted.
fn open(target: &Target) -> Result<(Conn, bool), LiveError> {
    let mut options = options(target)?;
    let mut encrypt = !matches!(target.tls.mode, TlsMode::Disabled);
    let Place::Tcp { host, port } = &target.place else {
        return Ok((Conn::new(options).map_err(|error| told(target, &error))?, false));
    };
    // The driver tries the first address of a name only, unless it is told the family.
    let addresses = (host.as_str(), *port)
        .to_socket_addrs()
        .map_err(|error| refused(target, error.to_string()))?
        .collect::<Vec<_>>();
    let mut families = Vec::new();
    for address in &addresses {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        };
        if !families.contains(&any) {
            families.push(any);
        }
    }
    let mut last = None;
    for family in families {
        loop {
            options = options.bind_address(Some(family));
            match Conn::new(options.clone()) {
                Ok(conn) => return Ok((conn, encrypt)),
                Err(mysql::Error::DriverError(DriverError::TlsNotSupported))
                    if target.tls.mode == TlsMode::Preferred =>
                {
                    encrypt = false;
                    options = options.ssl_opts(None);
                }
                Err(error) => {
                    let is_down = matches!(
                        error,
                        mysql::Error::DriverError(
                            DriverError::CouldNotConnect(_) | DriverError::ConnectTimeout
                        )
                    );
                    last = Some(told(target, &error));
                    if is_down {
                        break;
                    }
                    return Err(last.unwrap_or_else(|| timeout(target)));
                }
            }
        }
    }
    Err(last.unwrap_or_else(|| refused(target, "the name has no address".to_owned())))
}

/// What the driver is told.
fn options(target: &Target) -> Result<OptsBuilder, LiveError> {
    let password = match std::str::from_utf8(target.password.expose()) {
        Ok("") => None,
        Ok(password) => Some(password),
        Err(_) => {
            return Err(LiveError::Option {
                server: target.name.clone(),
                option: "password",
                what: "is no UTF-8; choose one that is".to_owned(),
            });
        }
    };
    let builder = OptsBuilder::new()
        .user(Some(target.user.as_str()))
        .pass(password)
        .prefer_socket(false)
        .max_allowed_packet(Some(64 << 20))
        .stmt_cache_size(0)
        .read_timeout(Some(target.answer_timeout))
        .write_timeout(Some(target.answer_timeout))
        .tcp_connect_timeout(Some(target.connect_timeout))
        // No such file: the driver gives up where it would ask the server for a key to encrypt the password
        // with, which whoever sits between could send.
        .server_key_path(Some(PathBuf::new()));
    Ok(match &target.place {
        Place::Socket(path) => match path.to_str() {
            Some(path) => builder.socket(Some(path)),
            None => {
                return Err(LiveError::Option {
                    server: target.name.clone(),
                    option: "socket",
                    what: "is no UTF-8; choose a path that is".to_owned(),
                });
            }
        },
        Place::Tcp { host, port } => {
            let builder = builder.ip_or_hostname(Some(host.as_str())).tcp_port(*port);
            builder.ssl_opts(ssl(target))
        }
    })
}

/// TLS as the driver is told of it.
fn ssl(target: &Target) -> Option<SslOpts> {
    let tls = &target.tls;
    let (skip_name, skip_all) = match tls.mode {
        TlsMode::Disabled => return None,
        TlsMode::Preferred | TlsMode::Required => (true, true),
        TlsMode::VerifyCa => (true, false),
        TlsMode::VerifyIdentity => (false, false),
    };
    let identity =
        tls.identity.clone().map(|(certificate, key)| ClientIdentity::new(certificate, key));
    Some(
        SslOpts::default()
            .with_root_cert_path(tls.ca.clone())
            .with_client_identity(identity)
            .with_danger_skip_domain_validation(skip_name)
            .with_danger_accept_invalid_certs(skip_all),
    )
}

/// The files that TLS needs can be opened: the driver's own error would not name them.
fn check_files(target: &Target) -> Result<(), LiveError> {
    if !matches!(target.place, Place::Tcp { .. }) || target.tls.mode == TlsMode::Disabled {
        return Ok(());
    }
    let identity = target.tls.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
    for path in target.tls.ca.iter().chain(identity) {
        File::open(path).map_err(|error| file_error(path, "opening", error))?;
    }
    Ok(())
}

/// An error of the operating system with a file of ours.
pub(crate) fn file_error(path: &Path, doing: &'static str, source: io::Error) -> LiveError {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::NotFound => LiveError::FileMissing { path },
        io::ErrorKind::PermissionDenied => LiveError::FileDenied { path },
        _ => LiveError::File { path, doing, source },
    }
}

fn refused(target: &Target, why: String) -> LiveError {
    LiveError::Down { server: target.name.clone(), place: target.place.to_string(), why }
}

fn timeout(target: &Target) -> LiveError {
    LiveError::Timeout {
        server: target.name.clone(),
        place: target.place.to_string(),
        seconds: target.connect_timeout.as_secs(),
        doing: "connecting",
    }
}

/// What a failed connect means.
fn told(target: &Target, error: &mysql::Error) -> LiveError {
    let server = target.name.clone();
    let user = target.user.clone();
    let place = target.place.to_string();
    if let Some(tls) = tls_error(error) {
        return untrusted(target, tls);
    }
    match error {
        mysql::Error::MySqlError(refusal) => login(target, refusal.code),
        mysql::Error::DriverError(DriverError::CouldNotConnect(Some((_, why, _)))) => {
            refused(target, why.clone())
        }
        mysql::Error::DriverError(DriverError::ConnectTimeout) => timeout(target),
        mysql::Error::DriverError(DriverError::TlsNotSupported) => {
            LiveError::TlsNotOffered { server, place }
        }
        mysql::Error::DriverError(DriverError::UnknownAuthPlugin(plugin)) => LiveError::Plugin {
            server,
            user,
            // The other side chose it.
            plugin: plugin.chars().filter(char::is_ascii_graphic).take(64).collect(),
            // MySQL names one of its plugins for users that do not exist, too.
            why: "which rollcall does not speak: check that the user exists (MySQL names any \
                  plugin for one that does not), give it a password with mysql_native_password, \
                  caching_sha2_password or ed25519, or let it log in over the unix socket",
        },
        mysql::Error::DriverError(
            DriverError::CleartextPluginDisabled | DriverError::OldMysqlPasswordDisabled,
        ) => LiveError::Plugin {
            server,
            user,
            plugin: "a plugin that sends the password in clear or as an old hash".to_owned(),
            why: "which rollcall does not speak: choose another for this account",
        },
        mysql::Error::IoError(error) if error.kind() == io::ErrorKind::NotFound => {
            LiveError::Plugin {
                server,
                user,
                plugin: "caching_sha2_password".to_owned(),
                why: "which now needs the password in full: write ssl-mode=REQUIRED (better: ssl-ca) in its \
                      option file, or use the unix socket",
            }
        }
        error if is_timeout(error) => timeout(target),
        error => refused(target, plain(error)),
    }
}

/// What the server's error number at a login means.
fn login(target: &Target, error: u16) -> LiveError {
    let (server, user) = (target.name.clone(), target.user.clone());
    let turned_away = |remedy| LiveError::TurnedAway { server: target.name.clone(), error, remedy };
    match error {
        1045 | 1698 | 1044 | 1524 => LiveError::Login { server, user, error },
        3118 | 4151 => LiveError::Locked { server, user, error },
        1820 | 1862 => LiveError::Expired { server, user, error },
        1184 | 1152 => LiveError::InitConnect { server, error },
        1130 => turned_away("no account allows this host: create one for it"),
        1129 => turned_away(
            "this host is blocked after too many failed connections: FLUSH HOSTS; there, and see what fails",
        ),
        1040 | 1203 | 1226 => {
            turned_away("it has too many connections: end some, or raise the limit")
        }
        1158..=1161 => turned_away("the network failed while logging in: run again"),
        3159 => turned_away("it takes encrypted connections only: write ssl-mode=REQUIRED"),
        4031 | 1053 => turned_away("it is stopping: run again when it is up"),
        _ => turned_away("the server's manual tells what this error number means"),
    }
}

/// What is wrong with a certificate.
fn untrusted(target: &Target, error: &rustls::Error) -> LiveError {
    let (server, place) = (target.name.clone(), target.place.to_string());
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => LiveError::TlsName { server, place },
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::Other(_),
        ) => LiveError::TlsUntrusted { server, place, ca: target.tls.ca.clone() },
        other => LiveError::Tls { server, place, why: other.to_string() },
    }
}

/// The TLS library's error inside the driver's.
fn tls_error(error: &mysql::Error) -> Option<&rustls::Error> {
    if let mysql::Error::TlsError(mysql::error::tls::TlsError::Tls(error)) = error {
        return Some(error);
    }
    io_error(error)?.get_ref()?.downcast_ref::<rustls::Error>()
}

/// The operating system's error inside the driver's.
fn io_error(error: &mysql::Error) -> Option<&io::Error> {
    match error {
        mysql::Error::IoError(error) => Some(error),
        mysql::Error::CodecError(error) => error.source()?.downcast_ref::<io::Error>(),
        _ => None,
    }
}

fn is_timeout(error: &mysql::Error) -> bool {
    io_error(error).is_some_and(|error| {
        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
    })
}

/// The driver's error without anything that the server said.
pub(crate) fn plain(error: &mysql::Error) -> String {
    match io_error(error) {
        Some(error) => error.to_string(),
        None => match error {
            mysql::Error::CodecError(_) => "packets out of order, or too large".to_owned(),
            mysql::Error::TlsError(_) => "TLS".to_owned(),
            _ => "it does not speak the protocol as expected".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_and_no_more() {
        for (text, expected) in [
            ("ALTER USER 'a'@'%' ACCOUNT LOCK", true),
            ("ALTER USER 'a'@'%' ACCOUNT LOCK; \n", true),
            ("ALTER USER 'a;b'@'%' ACCOUNT LOCK", true),
            (r"ALTER USER 'a\\'@'%' ACCOUNT LOCK", true),
            (r"ALTER USER 'a\\;'';'@'%' ACCOUNT LOCK", true),
            ("GRANT SELECT ON `a;b`.* TO 'c'@'d'", true),
            (r"GRANT SELECT ON `a\`.* TO 'c'@'d'", true),
            ("SELECT 1; SELECT 2", false),
            ("SELECT 'a", false),
            (r"SELECT 'a\'; SELECT 2", false),
            (r"SELECT 'a\\'; SELECT 2", false),
            ("SELECT 1 -- ; ", false),
            ("SELECT 1 # ;", false),
            ("SELECT /*! 1; */ 2", false),
            ("SELECT 1\0", false),
            ("", true),
        ] {
            assert_eq!(single(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_last_at_parts_user_and_host() {
        assert_eq!(split_account(b"a@b@%"), AccountName::new("a@b", "%"));
        assert_eq!(split_account(b"@localhost"), AccountName::new("", "localhost"));
        assert_eq!(split_account(b"role"), AccountName::new("role", ""));
    }
}
