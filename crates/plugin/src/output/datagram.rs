//! Lines as datagrams to a local socket: one line, one datagram, never waiting.
//!
//! Whoever reads binds the socket; as each datagram is addressed anew, they may come and go. What
//! nobody takes is lost and counted.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use super::Fault;
use crate::sys;

/// A local datagram socket that somebody else reads.
#[derive(Debug)]
pub(crate) struct Datagrams {
    path: CString,
    socket: Option<OwnedFd>,
}

impl Datagrams {
    pub(crate) fn new(path: CString) -> Datagrams {
        Datagrams { path, socket: None }
    }

    pub(crate) fn path(&self) -> &CStr {
        &self.path
    }

    /// Makes our end.
    pub(crate) fn open(&mut self) -> Result<(), Fault> {
        if sys::local_address(&self.path).is_none() {
            return Err(Fault::BadPath);
        }
        let socket = sys::datagram_socket().map_err(|errno| Fault::Refused("socket", errno))?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Sends a line.
    pub(crate) fn put(&mut self, line: &[u8]) -> Result<(), Fault> {
        if self.socket.is_none() {
            self.open()?;
        }
        let (Some(socket), Some(address)) = (&self.socket, sys::local_address(&self.path)) else {
            return Err(Fault::BadPath);
        };
        sys::send(socket, line, &address).map_err(|errno| Fault::Refused("sendto", errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn readers_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let c_path = CString::new(path.to_str().unwrap()).unwrap();
        let mut datagrams = Datagrams::new(c_path);
        assert_eq!(datagrams.put(b"a\n"), Err(Fault::Refused("sendto", libc::ENOENT)));
        let reader = UnixDatagram::bind(&path).unwrap();
        assert_eq!(datagrams.put(b"b\n"), Ok(()));
        let mut buffer = [0; 16];
        assert_eq!(reader.recv(&mut buffer).unwrap(), 2);
        drop(reader);
        assert_eq!(datagrams.put(b"c\n"), Err(Fault::Refused("sendto", libc::ECONNREFUSED)));
        std::fs::remove_file(&path).unwrap();
        let reader = UnixDatagram::bind(&path).unwrap();
        let mut sent = 0;
        // Nobody reads: at some time the queue is full, and we are told at once.
        let fault = loop {
            match datagrams.put(b"d\n") {
                Ok(()) => sent += 1,
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault, Fault::Refused("sendto", libc::EAGAIN));
        for _ in 0..sent {
            assert_eq!(reader.recv(&mut buffer).unwrap(), 2);
        }
    }

    #[test]
    fn paths_that_fit_no_address() {
        let path = |bytes: usize| CString::new(vec![b'x'; bytes]).unwrap();
        assert_eq!(Datagrams::new(path(108)).open(), Err(Fault::BadPath));
        assert_eq!(Datagrams::new(path(107)).open(), Ok(()));
        assert_eq!(Datagrams::new(path(0)).open(), Err(Fault::BadPath));
    }
}
