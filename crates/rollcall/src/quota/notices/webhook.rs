//! A webhook: `POST` with JSON to a receiver on this machine.
//!
//! Only `http://` to a loopback address. Over the network it would need TLS, and whom that trusts: rollcall trusts no
//! certificate authority that nobody named, so a relay on this machine, or a command, takes it from here.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// As much of an answer is read: its first line says all.
const ANSWER_BYTES_MAX: usize = 4096;

/// The longest path.
const PATH_BYTES_MAX: usize = 2000;

/// Where events are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    address: SocketAddr,
    path: String,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UrlFault {
    Scheme,
    Host,
    Port,
    Path,
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlFault::Scheme => {
                "no http:// in front: write http://127.0.0.1:PORT/PATH; for https have a command send it"
            }
            UrlFault::Host => "not on this machine: write http://127.0.0.1:PORT/PATH",
            UrlFault::Port => "no port from 1 to 65535",
            UrlFault::Path => "a path with blanks, control characters or more than 2000 bytes",
        })
    }
}

impl Webhook {
    /// `http://127.0.0.1:9000/hook`, `http://localhost/`, `http://[::1]:9000`.
    pub(crate) fn parse(url: &str) -> Result<Webhook, UrlFault> {
        let rest = url.strip_prefix("http://").ok_or(UrlFault::Scheme)?;
        let (place, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if path.len() > PATH_BYTES_MAX || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlFault::Path);
        }
        let (host, port) = match place.strip_prefix('[') {
            Some(inner) => {
                let (host, behind) = inner.split_once(']').ok_or(UrlFault::Host)?;
                let port = match behind {
                    "" => None,
                    behind => Some(behind.strip_prefix(':').ok_or(UrlFault::Port)?),
                };
                (host, port)
            }
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let address: IpAddr = match host {
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            host => host.parse().map_err(|_| UrlFault::Host)?,
        };
        if !address.is_loopback() {
            return Err(UrlFault::Host);
        }
        let port = port.map_or(Some(80), |it| it.parse().ok().filter(|&port: &u16| port > 0));
        let address = SocketAddr::new(address, port.ok_or(UrlFault::Port)?);
        Ok(Webhook { address, path: path.to_owned() })
    }

    /// Posts a JSON text.
    ///
    /// # Errors
    /// What went wrong; nothing that the receiver said but its status.
    pub(super) fn post(&self, body: &str, patience: Duration) -> Result<(), String> {
        let until = Instant::now() + patience;
        let answer = self.exchange(body, until).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                format!("{}: no answer within {} s", self.address, patience.as_secs())
            }
            _ => format!("{}: {error}", self.address),
        })?;
        match status(&answer) {
            Some(200..300) => Ok(()),
            Some(status) => Err(format!("{} answers with status {status}", self.address)),
            None => Err(format!("{} does not answer in HTTP", self.address)),
        }
    }

    fn exchange(&self, body: &str, until: Instant) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, left(until)?)?;
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: rollcall\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.path,
            self.address,
            body.len()
        );
        let mut bytes = request.as_bytes();
        while !bytes.is_empty() {
            stream.set_write_timeout(Some(left(until)?))?;
            let length = stream.write(bytes)?;
            bytes = &bytes[length..];
        }
        let mut answer = Vec::new();
        let mut buffer = [0; 1024];
        while answer.len() < ANSWER_BYTES_MAX && !answer.contains(&b'\n') {
            stream.set_read_timeout(Some(left(until)?))?;
            match stream.read(&mut buffer)? {
                0 => break,
                length => answer.extend_from_slice(&buffer[..length]),
            }
        }
        Ok(answer)
    }
}

/// How long there is still time.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Of `HTTP/1.1 204 No Content`.
fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.")?;
    let digits = rest.strip_prefix(b"0 ").or(rest.strip_prefix(b"1 "))?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn urls_of_this_machine() {
        let parse = |url: &str| Webhook::parse(url).map(|it| (it.address.to_string(), it.path));
        let ok = |address: &str, path: &str| Ok((address.to_owned(), path.to_owned()));
        assert_eq!(parse("http://127.0.0.1:9000/hook?a=1"), ok("127.0.0.1:9000", "/hook?a=1"));
        assert_eq!(parse("http://localhost"), ok("127.0.0.1:80", "/"));
        assert_eq!(parse("http://[::1]:9000"), ok("[::1]:9000", "/"));
        assert_eq!(Webhook::parse("http://[::1]").unwrap().address.ip(), Ipv6Addr::LOCALHOST);
        for (url, fault) in [
            ("https://127.0.0.1/", UrlFault::Scheme),
            ("127.0.0.1:9000", UrlFault::Scheme),
            ("http://example.com/", UrlFault::Host),
            ("http://10.0.0.1/", UrlFault::Host),
            ("http://0.0.0.0/", UrlFault::Host),
            ("http://user@127.0.0.1/", UrlFault::Host),
            ("http://[::1/", UrlFault::Host),
            ("http:///", UrlFault::Host),
            ("http://127.0.0.1:0/", UrlFault::Port),
            ("http://127.0.0.1:65536/", UrlFault::Port),
            ("http://[::1]9000/", UrlFault::Port),
            ("http://127.0.0.1/a b", UrlFault::Path),
            ("http://127.0.0.1/a\r\nX: y", UrlFault::Path),
        ] {
            assert_eq!(Webhook::parse(url), Err(fault), "{url}");
        }
        let long = |bytes| format!("http://127.0.0.1/{}", "a".repeat(bytes - 1));
        assert!(Webhook::parse(&long(PATH_BYTES_MAX)).is_ok());
        assert_eq!(Webhook::parse(&long(PATH_BYTES_MAX + 1)), Err(UrlFault::Path));
    }

    #[test]
    fn answers() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 500\r\n"), Some(500));
        for answer in [&b""[..], b"HTTP/2 200\r\n", b"HTTP/1.1 2", b"HTTP/1.1 abc\r\n", b"SSH-2.0"]
        {
            assert_eq!(status(answer), None);
        }
    }
}
