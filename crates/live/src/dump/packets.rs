//! The protocol's packets on the socket of a connection that the driver has logged in.

use std::io;

use binlog::HEADER_BYTES;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::{Next, odd};
use crate::server::Server;

/// Bytes read at once.
const STEP_BYTES: usize = 64 << 10;

/// The length of a packet that goes on in the next.
const PACKET_BYTES_MAX: usize = 0xff_ffff;

const COM_BINLOG_DUMP: u8 = 0x12;

/// The packet that asks for a file.
pub(super) fn command(name: &[u8], flags: u16, server_id: u32) -> Vec<u8> {
    let mut body = vec![COM_BINLOG_DUMP];
    body.extend(super::POSITION.to_le_bytes());
    body.extend(flags.to_le_bytes());
    body.extend(server_id.to_le_bytes());
    body.extend(name);
    let mut packet = (body.len() as u32).to_le_bytes().to_vec();
    packet.append(&mut body);
    packet
}

/// The socket of a connection that the driver holds open.
#[derive(Debug)]
pub(super) struct Socket(pub(super) Server);

impl io::Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(self.0.socket(), bytes, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

/// Sends all of it.
pub(super) fn send_all(socket: &Socket, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match send(socket.0.socket(), rest, MsgFlags::MSG_NOSIGNAL) {
            Err(Errno::EINTR) => {}
            sent => rest = &rest[sent?..],
        }
    }
    Ok(())
}

/// The packets of an answer, each an event.
#[derive(Debug)]
pub(super) struct Packets<R> {
    input: R,
    buffer: Vec<u8>,
    /// What of the buffer is not used yet.
    unused: std::ops::Range<usize>,
    /// What of the packet is still to come.
    left: usize,
    /// The packet goes on in the next.
    goes_on: bool,
}

impl<R: io::Read> Packets<R> {
    pub(super) fn new(input: R) -> Packets<R> {
        Packets { input, buffer: vec![0; STEP_BYTES], unused: 0..0, left: 0, goes_on: false }
    }

    /// The next event, behind what is left of the one before.
    pub(super) fn event(&mut self) -> io::Result<Next> {
        let mut rest = [0; 4096];
        while self.read(&mut rest)? > 0 {}
        self.begin_packet()?;
        let mut status = [0];
        self.exactly(&mut status)?;
        match status[0] {
            0 => {
                let mut header = [0; HEADER_BYTES];
                self.exactly(&mut header)?;
                Ok(Next::Event(header))
            }
            // As long as an end can be: with warnings and status, or as OK packets are.
            0xfe => Ok(Next::End),
            0xff => {
                let mut error = [0; 2];
                self.exactly(&mut error)?;
                Ok(Next::Refused(u16::from_le_bytes(error)))
            }
            _ => Err(odd("an event that begins as none does")),
        }
    }

    /// Reads of the event that was begun; 0 where it is over.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            if !self.goes_on {
                return Ok(0);
            }
            self.begin_packet()?;
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        self.fill()?;
        let length = bytes.len().min(self.left).min(self.unused.len());
        bytes[..length].copy_from_slice(&self.buffer[self.unused.start..][..length]);
        self.unused.start += length;
        self.left -= length;
        Ok(length)
    }

    /// Whether more has come than was read.
    pub(super) fn has_more(&self) -> bool {
        !self.unused.is_empty()
    }

    fn exactly(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => return Err(odd("a packet that is too short")),
                length => filled += length,
            }
        }
        Ok(())
    }

    fn begin_packet(&mut self) -> io::Result<()> {
        let mut head = [0; 4];
        for byte in &mut head {
            self.fill()?;
            *byte = self.buffer[self.unused.start];
            self.unused.start += 1;
        }
        self.left = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
        self.goes_on = self.left == PACKET_BYTES_MAX;
        Ok(())
    }

    /// Sees to it that there is a byte at least.
    fn fill(&mut self) -> io::Result<()> {
        if self.unused.is_empty() {
            let length = self.input.read(&mut self.buffer)?;
            if length == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server ended the connection",
                ));
            }
            self.unused = 0..length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::replica_id;
    use super::*;

    /// A packet, cut as the protocol cuts it.
    fn packet(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut pieces: Vec<&[u8]> = body.chunks(PACKET_BYTES_MAX).collect();
        if body.len().is_multiple_of(PACKET_BYTES_MAX) {
            pieces.push(b"");
        }
        for (number, piece) in pieces.into_iter().enumerate() {
            out.extend(&(piece.len() as u32).to_le_bytes()[..3]);
            out.push(number as u8);
            out.extend(piece);
        }
        out
    }

    /// The events of an answer, and how it ends.
    fn read(input: impl io::Read) -> (Vec<Vec<u8>>, Result<Next, String>) {
        let mut packets = Packets::new(input);
        let mut events = Vec::new();
        loop {
            match packets.event() {
                Ok(Next::Event(header)) => {
                    let mut event = header.to_vec();
                    let mut piece = [0; 1000];
                    while let length @ 1.. = packets.read(&mut piece).unwrap() {
                        event.extend(&piece[..length]);
                    }
                    events.push(event);
                }
                Ok(end) => return (events, Ok(end)),
                Err(error) => return (events, Err(error.to_string())),
            }
        }
    }

    #[test]
    fn events_of_any_length_come_whole() {
        let lengths =
            [HEADER_BYTES, 100, PACKET_BYTES_MAX - 1, PACKET_BYTES_MAX, 2 * PACKET_BYTES_MAX + 5];
        let events: Vec<Vec<u8>> =
            lengths.iter().map(|&it| (0..it).map(|at| at as u8).collect()).collect();
        let mut answer = Vec::new();
        for event in &events {
            answer.extend(packet(&[&[0], &event[..]].concat()));
        }
        answer.extend(packet(&[0xfe, 0, 0, 2, 0]));
        let (found, end) = read(&answer[..]);
        assert!(found == events);
        assert_eq!(end, Ok(Next::End));
    }

    #[test]
    fn what_is_not_read_is_passed_over() {
        let first = [vec![0], vec![1; 70_000]].concat();
        let second = [vec![0], vec![2; HEADER_BYTES]].concat();
        let answer = [packet(&first), packet(&second)].concat();
        let mut packets = Packets::new(&answer[..]);
        assert_eq!(packets.event().unwrap(), Next::Event([1; HEADER_BYTES]));
        assert_eq!(packets.read(&mut [0; 5]).unwrap(), 5);
        assert_eq!(packets.event().unwrap(), Next::Event([2; HEADER_BYTES]));
    }

    #[test]
    fn refusals_and_cuts_are_told() {
        let refused = packet(b"\xff\xd4\x04#HY000Could not find first log file name");
        assert_eq!(read(&refused[..]).1, Ok(Next::Refused(1236)));
        let whole = packet(&[vec![0], vec![7; 50]].concat());
        for cut in 0..24 {
            let (events, end) = read(&whole[..cut]);
            assert_eq!((events.len(), end.is_err()), (0, true), "{cut}");
        }
        assert!(read(&packet(&[0, 1, 2])[..]).1.unwrap_err().contains("too short"));
        assert!(read(&packet(&[9; 30])[..]).1.is_err());
    }

    #[test]
    fn the_command_is_as_servers_read_it() {
        let told = command(b"b.1", 3, 0x0403_0201);
        assert_eq!(told, b"\x0e\0\0\0\x12\x04\0\0\0\x03\0\x01\x02\x03\x04b.1");
        assert_ne!(replica_id(1), replica_id(2));
        assert!(replica_id(u64::MAX) > 1 << 31);
    }
}
