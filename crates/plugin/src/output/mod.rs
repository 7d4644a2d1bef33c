//! Where lines go: a file, or a local datagram socket.

mod datagram;
mod file;

use std::ffi::CString;
use std::fmt;

pub(crate) use datagram::Datagrams;
pub(crate) use file::{LogFile, ROTATIONS_MAX, Rotation};

use crate::sys::Errno;

/// Why a line could not be put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A system call said no.
    Refused(&'static str, Errno),
    /// What the path names is no regular file.
    NotRegular,
    /// Only a part of the line was taken.
    Torn,
    /// The path is empty, or too long for a socket.
    BadPath,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Refused(call, errno) => {
                write!(f, "{call}: {}", std::io::Error::from_raw_os_error(*errno))
            }
            Fault::NotRegular => f.write_str("it is not a regular file"),
            Fault::Torn => f.write_str("a line was taken in part only: is the disk full?"),
            Fault::BadPath => f.write_str("the path is empty or too long"),
        }
    }
}

/// Where lines go.
#[derive(Debug)]
pub(crate) enum Output {
    File(LogFile),
    Datagrams(Datagrams),
}

impl Output {
    /// To the socket where one is named, else to the file. Nothing is opened yet.
    pub(crate) fn new(file: CString, socket: CString) -> Output {
        if socket.is_empty() {
            Output::File(LogFile::new(file))
        } else {
            Output::Datagrams(Datagrams::new(socket))
        }
    }

    /// Where lines go, for messages.
    pub(crate) fn path(&self) -> &std::ffi::CStr {
        match self {
            Output::File(file) => file.path(),
            Output::Datagrams(datagrams) => datagrams.path(),
        }
    }

    /// Opens what is not open, so that a fault shows before the first line.
    pub(crate) fn open(&mut self) -> Result<(), Fault> {
        match self {
            Output::File(file) => file.open(),
            Output::Datagrams(datagrams) => datagrams.open(),
        }
    }

    /// Opens the path anew.
    pub(crate) fn reopen(&mut self) -> Result<(), Fault> {
        match self {
            Output::File(file) => file.reopen(),
            Output::Datagrams(datagrams) => datagrams.open(),
        }
    }

    /// Puts one line out, whole or not. `second` is of a clock that nobody sets. The second fault
    /// is one that the line has survived.
    pub(crate) fn put(
        &mut self,
        line: &[u8],
        rotation: Rotation,
        second: u64,
    ) -> (Result<(), Fault>, Option<Fault>) {
        match self {
            Output::File(file) => file.put(line, rotation, second),
            Output::Datagrams(datagrams) => (datagrams.put(line), None),
        }
    }
}
