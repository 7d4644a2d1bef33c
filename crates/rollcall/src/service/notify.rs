//! What systemd wants to hear of a service, as sd_notify(3) documents it: one datagram a message, to the
//! socket that `NOTIFY_SOCKET` names (a path, or `@` and an abstract name). Without it nothing is sent.
//!
//! ```text
//! READY=1            the ledger can be written; reading begins
//! RELOADING=1        with MONOTONIC_USEC=…; READY=1 follows
//! STOPPING=1
//! WATCHDOG=1         at the latest every third of WATCHDOG_USEC
//! STATUS=…           one line for systemctl status
//! ```

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::render::inert;

/// A service manager that does not take messages must not stop us for longer.
const SEND_PATIENCE: Duration = Duration::from_millis(500);

/// Tells the service manager, where there is one. Threads may share it.
#[derive(Debug)]
pub(crate) struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants a sign of life, by a third of its patience.
    every: Option<Duration>,
    sent: Mutex<Instant>,
}

impl Notifier {
    /// As the environment says.
    pub(crate) fn from_environment() -> Notifier {
        let text = |name| std::env::var(name).ok();
        let process = text("WATCHDOG_PID");
        let ours = process.is_none_or(|it| it == std::process::id().to_string());
        let watchdog = text("WATCHDOG_USEC").filter(|_| ours);
        Notifier::new(std::env::var_os("NOTIFY_SOCKET"), watchdog.as_deref())
    }

    fn new(socket: Option<OsString>, watchdog_usec: Option<&str>) -> Notifier {
        let socket = socket.and_then(|name| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_write_timeout(Some(SEND_PATIENCE)).ok()?;
            Some((socket, address(&name)?))
        });
        let every = watchdog_usec.and_then(|text| text.parse().ok()).filter(|&usec| usec > 0);
        let every = every.map(|usec| Duration::from_micros(usec) / 3);
        Notifier { socket, every, sent: Mutex::new(Instant::now()) }
    }

    /// How long to wait at most between two calls of [`Notifier::alive`].
    pub(crate) fn every(&self) -> Option<Duration> {
        self.every.filter(|_| self.socket.is_some())
    }

    /// The service has begun, or read its configuration again.
    pub(crate) fn ready(&self) {
        self.send("READY=1\n");
    }

    /// The configuration is being read again. `monotonic_usec` is the system's monotonic clock.
    pub(crate) fn reloading(&self, monotonic_usec: u64) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={monotonic_usec}\n"));
    }

    /// The service ends.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// One line about what goes on.
    pub(crate) fn status(&self, text: &str) {
        self.send(&format!("STATUS={}\n", inert(text)));
    }

    /// A sign of life; sent when it is due.
    pub(crate) fn alive(&self) {
        let Some(every) = self.every() else { return };
        // Whoever holds it sends it.
        let Ok(mut sent) = self.sent.try_lock() else { return };
        if sent.elapsed() >= every {
            *sent = Instant::now();
            self.send("WATCHDOG=1\n");
        }
    }

    fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.socket {
            // There is nobody to tell that nobody listens.
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}

/// A path, or an abstract name behind `@` (Linux). Other kinds (`vsock:`) are for virtual machines.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        #[cfg(target_os = "linux")]
        [b'@', rest @ ..] => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(rest).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..n].to_vec()).unwrap()
    }

    #[test]
    fn messages_arrive_one_a_datagram() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(Some(path.into()), None);
        notifier.ready();
        notifier.reloading(17);
        notifier.status("two\nlines");
        notifier.stopping();
        let all: Vec<String> = (0..4).map(|_| received(&socket)).collect();
        assert_eq!(
            all,
            [
                "READY=1\n",
                "RELOADING=1\nMONOTONIC_USEC=17\n",
                "STATUS=two\\nlines\n",
                "STOPPING=1\n"
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_names_are_reached() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("rollcall-test-{}", std::process::id());
        let socket =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::new(Some(format!("@{name}").into()), None).ready();
        assert_eq!(received(&socket), "READY=1\n");
    }

    #[test]
    fn signs_of_life_are_sent_when_they_are_due() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let seldom = Notifier::new(Some(path.clone().into()), Some("3600000000"));
        assert_eq!(seldom.every(), Some(Duration::from_secs(1200)));
        seldom.alive();
        seldom.ready();
        assert_eq!(received(&socket), "READY=1\n");
        let often = Notifier::new(Some(path.into()), Some("3"));
        while often.sent.lock().unwrap().elapsed() < Duration::from_micros(1) {}
        often.alive();
        assert_eq!(received(&socket), "WATCHDOG=1\n");
    }

    #[test]
    fn nothing_is_sent_where_nobody_asked() {
        for socket in [None, Some("".into()), Some("vsock:2:1".into()), Some("relative".into())] {
            let notifier = Notifier::new(socket, Some("3000000"));
            assert!(notifier.socket.is_none() && notifier.every().is_none());
            notifier.alive();
        }
        for text in ["0", "-1", "x", ""] {
            assert_eq!(Notifier::new(None, Some(text)).every, None);
        }
    }
}
