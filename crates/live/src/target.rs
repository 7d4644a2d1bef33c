//! Where a server is and how it is reached, resolved from options: socket or host and port, TLS, who logs in.
//!
//! What option files mean together:
//!
//! | they say | how it is reached |
//! |---|---|
//! | no host, or `localhost`; no `protocol=tcp` | `socket`, or the first of [`SOCKETS`] that is there |
//! | another host, or `protocol=tcp` | TCP |
//! | `ssl-mode` | TLS as it says |
//! | `ssl-verify-server-cert`, or `ssl-ca` alone | TLS; authority and name are verified |
//! | `ssl-ca` and `ssl-verify-server-cert=0` | TLS; nothing is verified |
//! | `ssl` | TLS; nothing is verified |
//! | `skip-ssl` | no TLS |
//! | nothing of TLS, this machine | TLS where it is offered |
//! | nothing of TLS, another machine | TLS; nothing is verified |
//!
//! # Invariants
//! * `Debug` shows no password.
//! * Where nothing is said of TLS, another machine is reached with TLS or not at all.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::LiveError;
use crate::option_file::{Options, Protocol};
use crate::server::ANSWER_TIMEOUT;

/// Where packages put the socket.
pub const SOCKETS: [&str; 4] = [
    "/run/mysqld/mysqld.sock",
    "/var/run/mysqld/mysqld.sock",
    "/var/lib/mysql/mysql.sock",
    "/tmp/mysql.sock",
];

/// The port of MySQL and MariaDB.
pub const PORT: u16 = 3306;

/// A password: not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(bytes.into())
    }

    /// The bytes, for who needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// No byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A unix socket.
    Socket(PathBuf),
    /// A TCP port.
    Tcp {
        /// A name or an address.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// `/run/mysqld/mysqld.sock`, `db1:3306`, `[::1]:3306`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Socket(path) => write!(f, "{}", path.display()),
            Place::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// How much of TLS is asked for. A unix socket needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// None: everything can be read and changed on the way.
    Disabled,
    /// Where the server offers it, without verifying whose it is.
    Preferred,
    /// Encrypted, without verifying whose it is.
    Required,
    /// The certificate is signed by the authority named; it may be for any name.
    VerifyCa,
    /// The certificate is signed by the authority named, for the host named.
    #[default]
    VerifyIdentity,
}

/// TLS and its files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// How much.
    pub mode: TlsMode,
    /// Certificates of the authorities that are trusted (PEM or DER). Nobody else is.
    pub ca: Option<PathBuf>,
    /// The client's own certificate (PEM or DER), with its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A server as it is to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What messages call it.
    pub name: String,
    /// Who logs in.
    pub user: String,
    /// With which password; empty for none.
    pub password: Secret,
    /// Where.
    pub place: Place,
    /// How.
    pub tls: Tls,
    /// How long connecting may take in all: look-up of the name, TLS and login included.
    pub connect_timeout: Duration,
    /// How long each answer may take.
    pub answer_timeout: Duration,
}

impl Target {
    /// [`Target::connect_timeout`] where nothing else is said.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

    /// A server at a unix socket.
    pub fn socket(
        name: impl Into<String>,
        path: impl Into<PathBuf>,
        user: impl Into<String>,
        password: Secret,
    ) -> Target {
        Target {
            name: name.into(),
            user: user.into(),
            password,
            place: Place::Socket(path.into()),
            tls: Tls { mode: TlsMode::Disabled, ..Tls::default() },
            connect_timeout: Target::CONNECT_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
        }
    }

    /// From what option files say. `name` is what messages call the server; `default_user` logs in where no user is
    /// named: for the ecosystem's clients it is the one of the operating system.
    ///
    /// # Errors
    /// [`LiveError::Option`] where options do not fit each other.
    pub fn from_options(
        name: &str,
        options: &Options,
        default_user: &str,
    ) -> Result<Target, LiveError> {
        let wrong = |option, what: &str| LiveError::Option {
            server: name.to_owned(),
            option,
            what: what.to_owned(),
        };
        let host = options.host.as_deref().filter(|host| !host.is_empty());
        let by_socket = match options.protocol {
            Some(Protocol::Socket) => true,
            Some(Protocol::Tcp) => false,
            None => host.is_none_or(|host| host == "localhost"),
        };
        let place = if by_socket {
            if host.is_some_and(|host| host != "localhost") {
                return Err(wrong(
                    "host",
                    "a unix socket is on this machine; leave out host or protocol",
                ));
            }
            Place::Socket(options.socket.clone().unwrap_or_else(usual_socket))
        } else {
            let host = host.unwrap_or("localhost").to_owned();
            Place::Tcp { host, port: options.port.unwrap_or(PORT) }
        };
        let identity = match (&options.ssl_cert, &options.ssl_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("ssl-cert", "needs ssl-key beside it")),
            (None, Some(_)) => return Err(wrong("ssl-key", "needs ssl-cert beside it")),
        };
        let mode = tls_mode(options, &place);
        let verifies = matches!(mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
        if verifies && options.ssl_ca.is_none() && !by_socket {
            return Err(wrong(
                "ssl-ca",
                "is missing: a certificate can be verified only by the authority that signed it; name its file",
            ));
        }
        Ok(Target {
            name: name.to_owned(),
            user: options.user.clone().unwrap_or_else(|| default_user.to_owned()),
            password: options.password.clone().unwrap_or_default(),
            place,
            tls: Tls { mode, ca: options.ssl_ca.clone(), identity },
            connect_timeout: options.connect_timeout.unwrap_or(Target::CONNECT_TIMEOUT),
            answer_timeout: ANSWER_TIMEOUT,
        })
    }
}

fn usual_socket() -> PathBuf {
    let found = SOCKETS.iter().map(Path::new).find(|path| path.exists());
    found.unwrap_or(Path::new(SOCKETS[0])).to_path_buf()
}

/// How much of TLS the options mean.
fn tls_mode(options: &Options, place: &Place) -> TlsMode {
    let Place::Tcp { host, .. } = place else { return TlsMode::Disabled };
    if let Some(mode) = options.ssl_mode {
        return mode;
    }
    if options.ssl == Some(false) {
        return TlsMode::Disabled;
    }
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match (options.ssl_verify_server_cert, &options.ssl_ca, options.ssl) {
        (Some(true), _, _) | (None, Some(_), _) => TlsMode::VerifyIdentity,
        (Some(false), _, _) | (None, None, Some(_)) => TlsMode::Required,
        (None, None, None) if is_loopback => TlsMode::Preferred,
        (None, None, None) => TlsMode::Required,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let target = Target::socket("db1", "/run/socket", "rollcall", Secret::new("top-7f3a"));
        assert!(!format!("{target:?}").contains("top-7f3a"));
        assert_eq!(target.place.to_string(), "/run/socket");
    }

    #[test]
    fn options_to_a_target() {
        let read = |text: &str| {
            let text = format!("[client]\n{text}");
            let path = Path::new("db1.cnf");
            let options =
                crate::option_file::parse(path, text.as_bytes(), &["client"], &mut |_| {
                    Ok(Vec::new())
                });
            Target::from_options("db1", &options.unwrap(), "monitor")
        };
        let check = |text: &str, place: &str, mode| {
            let target = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (target.place.to_string().as_str(), target.tls.mode),
                (place, mode),
                "{text}"
            );
        };
        check("socket=/s", "/s", TlsMode::Disabled);
        check("socket=/s\nhost=localhost\nport=1", "/s", TlsMode::Disabled);
        check("socket=/s\nprotocol=tcp", "localhost:3306", TlsMode::Preferred);
        check("host=127.0.0.1\nport=1", "127.0.0.1:1", TlsMode::Preferred);
        check("host=db1", "db1:3306", TlsMode::Required);
        check("host=db1\nskip-ssl", "db1:3306", TlsMode::Disabled);
        check("host=db1\nssl", "db1:3306", TlsMode::Required);
        check("host=db1\nssl-ca=/ca", "db1:3306", TlsMode::VerifyIdentity);
        check("host=db1\nssl-ca=/ca\nssl-verify-server-cert=0", "db1:3306", TlsMode::Required);
        check("host=db1\nssl-ca=/ca\nssl-mode=VERIFY_CA", "db1:3306", TlsMode::VerifyCa);
        for (text, option) in [
            ("host=db1\nprotocol=socket", "host"),
            ("host=db1\nssl-mode=VERIFY_CA", "ssl-ca"),
            ("host=db1\nssl-verify-server-cert", "ssl-ca"),
            ("host=db1\nssl-cert=/c", "ssl-cert"),
            ("host=db1\nssl-key=/k", "ssl-key"),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                matches!(error, LiveError::Option { option: it, .. } if it == option),
                "{text}"
            );
        }
        assert_eq!(read("socket=/s").unwrap().user, "monitor");
        assert_eq!(read("socket=/s\nuser=x").unwrap().user, "x");
    }

    #[test]
    fn places_as_people_write_them() {
        let tcp = |host: &str| Place::Tcp { host: host.to_owned(), port: 3306 };
        assert_eq!(tcp("db1").to_string(), "db1:3306");
        assert_eq!(tcp("::1").to_string(), "[::1]:3306");
    }
}
