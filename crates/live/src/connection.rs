//! One connection as the server knows it: who, from where, encrypted or not, what its client says of itself, and
//! which thread of the server serves it.
//!
//! ```text
//! information_schema.PROCESSLIST ──────────► user, host:port, schema, command; thread (MariaDB)
//! performance_schema.threads ──────────────► thread (MySQL), socket or TLS
//! performance_schema.status_by_thread ─────► cipher
//! performance_schema.session_connect_attrs ► what the client declares: claims, no proof
//! ```
//!
//! # What servers do not tell (seen on MariaDB 10.11, 11.8 and MySQL 9.7)
//! * MariaDB has `performance_schema` off by default: TLS and claims of others are then unknown.
//! * `performance_schema.threads` has a host without its port.
//! * Without `PROCESS` a server lists the sessions of one's own user only.
//! * Under a thread pool the thread is the one that served the connection last; 0 where none did.

use verdict::account::{Family, Missing};
use verdict::network;

use crate::deed::may_see_sessions;
use crate::error::{LiveError, grant};
use crate::server::{Row, Server};
use crate::snapshot::{self, Standing, activity};

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its id.
    pub id: u64,
    /// Who logged in.
    pub user: Vec<u8>,
    /// From where, as the server calls it: an address, a name, or `localhost` over a unix socket.
    pub host: Vec<u8>,
    /// The client's TCP port; `None` over a unix socket.
    pub port: Option<u16>,
    /// The current schema.
    pub database: Option<Vec<u8>>,
    /// `Sleep`, `Query`, …
    pub command: Vec<u8>,
    /// For how many seconds it has done so.
    pub seconds: Option<u64>,
    /// The thread of the server that serves it, by the number that the operating system gave it.
    pub thread: Option<u32>,
    /// The id of the query that it runs, or ran last (MariaDB).
    pub query: Option<u64>,
    /// A thread of the server itself, with no client.
    pub is_internal: bool,
}

impl Connection {
    /// Whether it waits for its client.
    pub fn is_idle(&self) -> bool {
        self.command == b"Sleep"
    }
}

/// Whether what goes over a connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// It is not.
    None,
    /// By this protocol and cipher: `TLSv1.3`, `TLS_AES_256_GCM_SHA384`.
    Tls(String, String),
    /// The server does not say.
    Unknown,
}

/// What there is to know of a connection besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Whether it is encrypted.
    pub encryption: Encryption,
    /// What the client declares of itself, in its order.
    pub claims: Vec<(Vec<u8>, Vec<u8>)>,
    /// What could not be read, and what mends that.
    pub missing: Vec<Missing>,
}

/// Which connection is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one with this id.
    Id(u64),
    /// Those whose client may be this host, and has this port.
    Client(Vec<u8>, u16),
}

/// Asks a server about connections.
pub struct Looker<'s> {
    server: &'s mut Server,
    standing: Standing,
    thread_right: Option<Missing>,
}

impl std::fmt::Debug for Looker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looker").field("server", &self.server).finish_non_exhaustive()
    }
}

impl<'s> Looker<'s> {
    /// Reads the variables that matter.
    ///
    /// # Errors
    /// What the connection answers with.
    pub fn new(server: &'s mut Server) -> Result<Looker<'s>, LiveError> {
        let standing = snapshot::standing(server)?;
        Ok(Looker { server, standing, thread_right: None })
    }

    /// The server's own name for its machine.
    pub fn hostname(&self) -> &[u8] {
        self.standing.text("hostname")
    }

    /// Whether threads serve many connections each.
    pub fn has_thread_pool(&self) -> bool {
        !matches!(
            self.standing.text("thread_handling"),
            b"" | b"one-thread-per-connection" | b"no-threads"
        )
    }

    /// The connections that are meant; empty: there is none (any more).
    ///
    /// # Errors
    /// [`LiveError::Refused`] where there is none to be seen and the right `PROCESS` is missing.
    pub fn find(&mut self, which: &Which) -> Result<Vec<Connection>, LiveError> {
        let mut found = self.list(&match which {
            Which::Id(id) => format!("ID={id}"),
            // Compared below, too: a pattern may fit more.
            Which::Client(_, port) => format!("HOST LIKE '%:{port}'"),
        })?;
        let (family, list) = (self.server.version().family, self.table());
        if let Which::Client(host, port) = which {
            found.retain(|it| it.port == Some(*port) && may_be(host, &it.host));
        }
        if found.is_empty() && !may_see_sessions(self.server, list)? {
            return Err(LiveError::Refused {
                server: self.server.name().to_owned(),
                what: "the sessions of others".to_owned(),
                error: 0,
                remedy: grant("PROCESS ON *.*", self.server.own()),
            });
        }
        if family == Family::MySql {
            for it in &mut found {
                it.thread = self.thread(it.id)?;
            }
        }
        Ok(found)
    }

    /// All connections of clients but our own; on MySQL without their threads.
    ///
    /// # Errors
    /// What the connection answers with. Without the right `PROCESS` a server lists those of our own user only.
    pub fn all(&mut self) -> Result<Vec<Connection>, LiveError> {
        let own = self.server.connection_id();
        let mut found = self.list(&format!("ID<>{own}"))?;
        found.retain(|it| !it.is_internal && it.user != b"unauthenticated user");
        Ok(found)
    }

    fn table(&self) -> &'static str {
        activity::table(self.server.version().family, &self.standing)
    }

    /// Those for which a condition holds.
    fn list(&mut self, condition: &str) -> Result<Vec<Connection>, LiveError> {
        let own = match self.server.version().family {
            Family::MariaDb => "TID, QUERY_ID",
            Family::MySql => "NULL, NULL",
        };
        let sql = format!(
            "SELECT ID, USER, HOST, DB, COMMAND, TIME, {own} FROM {} WHERE {condition}",
            self.table()
        );
        let rows = self.server.ask("looking for the connection", sql.as_bytes())?;
        Ok(rows.iter().filter_map(connection).collect())
    }

    /// The thread that serves this session itself.
    ///
    /// # Errors
    /// What the connection answers with.
    pub fn own_thread(&mut self) -> Result<Option<u32>, LiveError> {
        let own = Which::Id(self.server.connection_id());
        Ok(self.find(&own)?.first().and_then(|it| it.thread))
    }

    /// TLS and claims.
    ///
    /// # Errors
    /// What the connection answers with, refusals excepted: they are in [`Details::missing`].
    pub fn details(&mut self, id: u64) -> Result<Details, LiveError> {
        let mut details =
            Details { encryption: Encryption::Unknown, claims: Vec::new(), missing: Vec::new() };
        if !self.standing.is_on("performance_schema") {
            details.missing.push(Missing {
                what: "TLS of the connection, and what its client declares".to_owned(),
                error: 0,
                remedy: "performance_schema=ON in the server's option file, and a restart"
                    .to_owned(),
            });
            return Ok(details);
        }
        details.missing.extend(self.thread_right.clone());
        let rows = self.read(
            &mut details.missing,
            "TLS of the connection",
            "SELECT ON performance_schema.status_by_thread",
            &format!(
                "SELECT s.VARIABLE_NAME, s.VARIABLE_VALUE FROM performance_schema.status_by_thread s \
                 JOIN performance_schema.threads t ON t.THREAD_ID=s.THREAD_ID WHERE \
                 t.PROCESSLIST_ID={id} AND s.VARIABLE_NAME IN ('Ssl_cipher', 'Ssl_version')"
            ),
        )?;
        let value = |name: &str| {
            let row = rows.iter().find(|it| text(it, 0).eq_ignore_ascii_case(name.as_bytes()));
            row.map(|it| String::from_utf8_lossy(text(it, 1)).into_owned())
        };
        details.encryption = match (value("Ssl_version"), value("Ssl_cipher")) {
            (_, Some(cipher)) if cipher.is_empty() => Encryption::None,
            (version, Some(cipher)) => Encryption::Tls(version.unwrap_or_default(), cipher),
            _ => Encryption::Unknown,
        };
        let rows = self.read(
            &mut details.missing,
            "what its client declares",
            "SELECT ON performance_schema.session_connect_attrs",
            &format!(
                "SELECT ATTR_NAME, ATTR_VALUE FROM performance_schema.session_connect_attrs \
                 WHERE PROCESSLIST_ID={id} ORDER BY ORDINAL_POSITION"
            ),
        )?;
        details.claims =
            rows.iter().map(|row| (text(row, 0).to_vec(), text(row, 1).to_vec())).collect();
        Ok(details)
    }

    /// Of MySQL.
    fn thread(&mut self, id: u64) -> Result<Option<u32>, LiveError> {
        if !self.standing.is_on("performance_schema") {
            return Ok(None);
        }
        let mut missing = Vec::new();
        let rows = self.read(
            &mut missing,
            "which thread serves the connection",
            "SELECT ON performance_schema.threads",
            &format!(
                "SELECT THREAD_OS_ID FROM performance_schema.threads WHERE PROCESSLIST_ID={id}"
            ),
        )?;
        self.thread_right = missing.pop();
        Ok(rows.first().and_then(|row| number(row, 0)))
    }

    /// Rows, or none where a right is missing.
    fn read(
        &mut self,
        missing: &mut Vec<Missing>,
        what: &str,
        right: &str,
        sql: &str,
    ) -> Result<Vec<Row>, LiveError> {
        let doing = "looking at the connection";
        match self.server.try_ask(doing, sql.as_bytes())? {
            Ok(rows) => Ok(rows),
            Err(error) if snapshot::is_refusal(error) => {
                let remedy = grant(right, self.server.own());
                missing.push(Missing { what: what.to_owned(), error: error.into(), remedy });
                Ok(Vec::new())
            }
            Err(error) => Err(self.server.fault(doing, error)),
        }
    }
}

fn connection(row: &Row) -> Option<Connection> {
    let (user, host) = (text(row, 1), text(row, 2));
    let port = host.strip_prefix(activity::without_port(host)).and_then(|it| it.get(1..));
    let port = port.and_then(|it| std::str::from_utf8(it).ok()?.parse().ok());
    let command = text(row, 4).to_vec();
    Some(Connection {
        id: number(row, 0)?,
        is_internal: activity::is_of_the_server(user, &command) && user != b"unauthenticated user",
        user: user.to_vec(),
        host: activity::without_port(host).to_vec(),
        port,
        database: row.get(3).cloned().flatten(),
        command,
        seconds: number(row, 5),
        thread: number(row, 6).filter(|&it: &u32| it > 0),
        query: number(row, 7).filter(|&it: &u64| it > 0),
    })
}

/// Whether two names of a host may mean the same one: two addresses are compared, a name may stand for any.
fn may_be(one: &[u8], other: &[u8]) -> bool {
    match (network::address(one), network::address(other)) {
        (Some(one), Some(other)) => one.to_canonical() == other.to_canonical(),
        _ => true,
    }
}

fn text(row: &Row, column: usize) -> &[u8] {
    row.get(column).and_then(|it| it.as_deref()).unwrap_or_default()
}

fn number<T: std::str::FromStr>(row: &Row, column: usize) -> Option<T> {
    std::str::from_utf8(text(row, column)).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: [&str; 7]) -> Row {
        columns.iter().map(|it| Some(it.as_bytes().to_vec())).collect()
    }

    #[test]
    fn rows_become_connections() {
        let tcp = connection(&row(["7", "app", "10.0.0.7:51234", "shop", "Sleep", "12", "99"]));
        let tcp = tcp.unwrap();
        assert_eq!((tcp.id, &tcp.host[..], tcp.port), (7, &b"10.0.0.7"[..], Some(51234)));
        assert_eq!((tcp.thread, tcp.seconds, tcp.is_internal), (Some(99), Some(12), false));
        assert!(tcp.is_idle());
        let socket = connection(&row(["8", "a", "localhost", "", "Query", "-1", "0"])).unwrap();
        assert_eq!((socket.port, socket.thread, socket.seconds), (None, None, None));
        assert!(!socket.is_idle());
        let own = connection(&row(["1", "system user", "", "", "Daemon", "", ""])).unwrap();
        assert!(own.is_internal);
        let odd = connection(&row(["9", "a", "h:99999", "", "Sleep", "0", ""])).unwrap();
        assert_eq!(odd.port, None);
        assert!(connection(&row(["x", "a", "h", "", "Sleep", "0", ""])).is_none());
    }
}
