//! Where a server is and how it is reached, resolved from options: socket or host and port, TLS, who logs in.
//!
//! # Invariants
//! * `Debug` shows no password.
//! * Where nothing is said of TLS, another machine is reached with TLS or not at all.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
        }
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
    fn places_as_people_write_them() {
        let tcp = |host: &str| Place::Tcp { host: host.to_owned(), port: 3306 };
        assert_eq!(tcp("db1").to_string(), "db1:3306");
        assert_eq!(tcp("::1").to_string(), "[::1]:3306");
    }
}
