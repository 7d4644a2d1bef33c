//! `GET /metrics` over HTTP/1.1: one answer a connection, then it is closed.
//!
//! # Invariants
//! * No client holds anything up: a request has [`REQUEST_PATIENCE`] in all and [`HEAD_BYTES_MAX`] bytes, an answer
//!   [`ANSWER_PATIENCE`]; beyond [`CONNECTIONS_MAX`] at a time a connection is closed at once.
//! * Nothing of a request is looked at but its first line; a body is never read.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The most connections at a time: a thread each.
const CONNECTIONS_MAX: usize = 16;

/// The longest head of a request: those of Prometheus have 300 bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// How long a client may take for its request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// How long a client may take to fetch the answer: a few hundred kB.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);

/// What is answered, made when it is asked for.
pub(crate) type Text = Arc<dyn Fn() -> String + Send + Sync>;

/// A listener; it ends with this value.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Listens at an address and answers with that text.
    ///
    /// # Errors
    /// A message with the remedy, where the address cannot be had.
    pub(crate) fn start(address: SocketAddr, text: Text) -> Result<Listener, String> {
        let fault = |error: io::Error| format!("{address}: no place for /metrics: {error}");
        let listener = TcpListener::bind(address).map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let accept = move || accept(&listener, &text, &ended);
        let thread = thread::Builder::new().name("metrics".to_owned()).spawn(accept);
        Ok(Listener { address, ends, thread: Some(thread.map_err(fault)?) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // Wakes it.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, text: &Text, ends: &AtomicBool) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let accepted = listener.accept();
        if ends.load(Ordering::Acquire) {
            return;
        }
        let Ok((stream, _)) = accepted else {
            // No file descriptor is left, or the client is gone: others may come.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        if open.load(Ordering::Acquire) >= CONNECTIONS_MAX {
            continue;
        }
        open.fetch_add(1, Ordering::AcqRel);
        let place = Place(Arc::clone(&open));
        let text = Arc::clone(text);
        let serve = move || {
            let _place = place;
            // There is nobody to tell that a client is gone.
            let _ = serve(stream, &text);
        };
        let _ = thread::Builder::new().name("metrics client".to_owned()).spawn(serve);
    }
}

/// One of the connections; given back when it is over, also by a panic.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn serve(mut stream: TcpStream, text: &Text) -> io::Result<()> {
    let head = head(&mut stream, Instant::now() + REQUEST_PATIENCE)?;
    let answer = match request(&head) {
        Ok(with_body) => {
            let body = text();
            let head =
                answer_head("200 OK", "text/plain; version=0.0.4; charset=utf-8", body.len());
            if with_body { head + &body } else { head }
        }
        Err(status) => {
            let body = "metrics are at /metrics\n";
            answer_head(status, "text/plain; charset=utf-8", body.len()) + body
        }
    };
    put(&mut stream, answer.as_bytes(), Instant::now() + ANSWER_PATIENCE)
}

fn answer_head(status: &str, kind: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

/// What a request's first line asks for: whether with a body; or the status that refuses it.
fn request(head: &[u8]) -> Result<bool, &'static str> {
    let line = head.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else { return Err("400 Bad Request") };
    if !version.starts_with(b"HTTP/1.") {
        return Err("400 Bad Request");
    }
    let path = target.split(|&byte| byte == b'?').next();
    match (method, path) {
        (b"GET" | b"HEAD", Some(b"/metrics")) => Ok(method == b"GET"),
        (b"GET" | b"HEAD", _) => Err("404 Not Found"),
        _ => Err("405 Method Not Allowed"),
    }
}

/// The bytes up to the empty line, or as many as are read.
fn head(stream: &mut TcpStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left(until)?))?;
        let length = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..length]);
        let is_whole = head.windows(4).any(|it| it == b"\r\n\r\n");
        if is_whole || head.windows(2).any(|it| it == b"\n\n") {
            return Ok(head);
        }
        if length == 0 || head.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

fn put(stream: &mut TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        match stream.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            length => bytes = &bytes[length..],
        }
    }
    stream.flush()
}

/// How long there is still time.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(body: &'static str) -> Listener {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Listener::start(address, Arc::new(move || body.to_owned())).unwrap()
    }

    fn ask(listener: &Listener, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(listener.address()).unwrap();
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        // A connection that is reset has no more to say.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn metrics_are_at_their_place() {
        let listener = start("a 1\n");
        let answer = ask(&listener, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(
            answer,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: 4\r\nConnection: close\r\n\r\na 1\n"
        );
        let answer = ask(&listener, b"HEAD /metrics?x=1 HTTP/1.0\n\n");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
        for (request, status) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
            (b"GET /metrics/../../etc/passwd HTTP/1.1\r\n\r\n", "404"),
            (b"POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "405"),
            (b"GET /metrics\r\n\r\n", "400"),
            (b"GET /metrics SSH-2.0\r\n\r\n", "400"),
            (b"\x16\x03\x01\xff\r\n\r\n", "400"),
        ] {
            let answer = ask(&listener, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(!answer.contains("a 1"));
        }
    }

    #[test]
    fn requests_have_bounds() {
        let listener = start("a 1\n");
        let head = |bytes: usize| {
            let mut request = b"GET /metrics HTTP/1.1\r\nX: ".to_vec();
            request.resize(bytes - 4, b'x');
            [&request[..], b"\r\n\r\n"].concat()
        };
        assert!(ask(&listener, &head(HEAD_BYTES_MAX)).starts_with("HTTP/1.1 200 "));
        assert_eq!(ask(&listener, &head(1 << 20)), "");
        assert!(ask(&listener, b"GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn who_dawdles_keeps_nobody_waiting() {
        let listener = start("a 1\n");
        let connect = || TcpStream::connect(listener.address()).unwrap();
        let mut slow: Vec<TcpStream> = (0..CONNECTIONS_MAX - 1).map(|_| connect()).collect();
        for stream in &mut slow {
            stream.write_all(b"GET /metr").unwrap();
        }
        assert!(ask(&listener, b"GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
        // More than there are places for: the last ones are closed at once.
        slow.extend((0..3).map(|_| connect()));
        let mut answer = Vec::new();
        let last = slow.last_mut().unwrap();
        last.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
        assert!(matches!(last.read_to_end(&mut answer), Ok(0)), "{answer:?}");
        // Their time is over.
        let mut answer = Vec::new();
        assert!(matches!(slow[0].read_to_end(&mut answer), Ok(0)), "{answer:?}");
        let until = Instant::now() + Duration::from_secs(20);
        while !ask(&listener, b"GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 ") {
            assert!(Instant::now() < until, "places are given back");
            thread::sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_listener_ends_with_its_value() {
        let listener = start("a 1\n");
        let address = listener.address();
        let second = Listener::start(address, Arc::new(String::new)).unwrap_err();
        assert!(second.contains("no place for /metrics"), "{second}");
        drop(listener);
        drop(Listener::start(address, Arc::new(String::new)).unwrap());
    }
}
