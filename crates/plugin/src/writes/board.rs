//! Where notes go: a small file with one place for each database, or a local datagram socket.
//!
//! ```text
//! {"since":"2026-11-28T15:17:26.000123+00:00","changed":null}                      ␠␠␠…⏎
//! {"database":"shop","written":"2026-11-28T15:20:01.000456+00:00"}                 ␠␠␠…⏎
//! ```
//!
//! Each line has 512 bytes, padded with spaces, and is overwritten in place with one write(2): the
//! file is read whole, does not grow with time, and nobody has to empty it. `since` says when the
//! server began to note: what happened before is not known. `changed` is when something was changed
//! of which the database is not known. A datagram is one such line without its padding.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use formats::escape_json;

use crate::clock::Moment;
use crate::output::{Datagrams, Fault};
use crate::sys::{self, Mode, Status};

/// The length of a line. A name has at most 64 characters: 384 bytes where each is escaped.
const LINE_BYTES: usize = 512;

pub(super) struct Board {
    out: Out,
    since: Moment,
}

enum Out {
    File(CString, Option<OwnedFd>),
    Datagrams(Datagrams),
}

impl Board {
    /// To the socket where one is named, else to the file. Nothing is opened before the first note.
    pub(super) fn new(file: CString, socket: CString, since: Moment) -> Board {
        let out = if socket.is_empty() {
            Out::File(file, None)
        } else {
            Out::Datagrams(Datagrams::new(socket))
        };
        Board { out, since }
    }

    pub(super) fn path(&self) -> &CStr {
        match &self.out {
            Out::File(path, _) => path,
            Out::Datagrams(datagrams) => datagrams.path(),
        }
    }

    /// Notes a write to the database of this place, or, without one, a change somewhere.
    pub(super) fn note(
        &mut self,
        place: u32,
        database: Option<&[u8]>,
        now: &Moment,
    ) -> Result<(), Fault> {
        let line = match database {
            Some(database) => written(database, now),
            None => head(&self.since, Some(now)),
        };
        match &mut self.out {
            Out::Datagrams(datagrams) => datagrams.put(line.trimmed()),
            Out::File(path, file) => {
                if file.is_none() {
                    *file = Some(opened(path, &head(&self.since, None))?);
                }
                let Some(fd) = file else { return Err(Fault::BadPath) };
                put(fd, &line, place)
            }
        }
    }
}

/// Opens the file and begins it anew.
fn opened(path: &CStr, head: &Line) -> Result<OwnedFd, Fault> {
    if path.is_empty() {
        return Err(Fault::BadPath);
    }
    if sys::status(path).is_ok_and(|status| !status.is_regular) {
        return Err(Fault::NotRegular);
    }
    let fd = sys::open(path, Mode::Write).map_err(|errno| Fault::Refused("open", errno))?;
    let Status { is_regular, .. } =
        sys::status_of(&fd).map_err(|errno| Fault::Refused("fstat", errno))?;
    if !is_regular {
        return Err(Fault::NotRegular);
    }
    sys::truncate(&fd, 0).map_err(|errno| Fault::Refused("ftruncate", errno))?;
    put(&fd, head, 0)?;
    Ok(fd)
}

fn put(fd: &OwnedFd, line: &Line, place: u32) -> Result<(), Fault> {
    let taken = sys::write_at(fd, &line.bytes, u64::from(place) * LINE_BYTES as u64)
        .map_err(|errno| Fault::Refused("pwrite", errno))?;
    if taken == LINE_BYTES { Ok(()) } else { Err(Fault::Torn) }
}

/// What stands in place 0.
fn head(since: &Moment, changed: Option<&Moment>) -> Line {
    let mut line = Line::new();
    line.text(br#"{"since":""#);
    line.time(since);
    line.text(br#"","changed":"#);
    match changed {
        Some(changed) => {
            line.text(b"\"");
            line.time(changed);
            line.text(b"\"}");
        }
        None => line.text(b"null}"),
    }
    line
}

fn written(database: &[u8], now: &Moment) -> Line {
    let mut line = Line::new();
    line.text(br#"{"database":""#);
    // A longer name than any server has would be cut, and the line be none: it is left empty.
    let room = LINE_BYTES - line.length - 64;
    let end = line.length + room;
    line.length += escape_json(database, &mut line.bytes[line.length..end]).unwrap_or(0);
    line.text(br#"","written":""#);
    line.time(now);
    line.text(b"\"}");
    line
}

/// A line that is being made: spaces up to its line break.
struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Line {
    fn new() -> Line {
        let mut bytes = [b' '; LINE_BYTES];
        bytes[LINE_BYTES - 1] = b'\n';
        Line { bytes, length: 0 }
    }

    fn text(&mut self, text: &[u8]) {
        self.bytes[self.length..self.length + text.len()].copy_from_slice(text);
        self.length += text.len();
    }

    fn time(&mut self, moment: &Moment) {
        let mut buffer = [0; formats::TIME_BYTES];
        let time = formats::rfc3339(moment.time, moment.offset, &mut buffer);
        self.text(time);
    }

    /// Without the padding.
    fn trimmed(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(second: i64) -> Moment {
        Moment { time: second * 1_000_000 + 5, offset: 3600, steady_ms: 0 }
    }

    #[test]
    fn notes_stand_in_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("writes");
        std::fs::write(&path, "what an earlier life has left").unwrap();
        let c_path = CString::new(path.to_str().unwrap()).unwrap();
        let mut board = Board::new(c_path, CString::default(), moment(0));
        let name = "\u{1}".repeat(64);
        board.note(2, Some(name.as_bytes()), &moment(60)).unwrap();
        board.note(1, Some(b"shop"), &moment(61)).unwrap();
        board.note(1, Some(b"shop"), &moment(3661)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 3 * LINE_BYTES);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], r#"{"since":"1970-01-01T01:00:00.000005+01:00","changed":null}"#);
        assert_eq!(lines[1], r#"{"database":"shop","written":"1970-01-01T02:01:01.000005+01:00"}"#);
        let name = r"\u0001".repeat(64);
        let written = "1970-01-01T01:01:00.000005+01:00";
        assert_eq!(lines[2], format!(r#"{{"database":"{name}","written":"{written}"}}"#));
        board.note(0, None, &moment(62)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(
            r#"{"since":"1970-01-01T01:00:00.000005+01:00","changed":"1970-01-01T01:01:02.0"#
        ));
    }

    #[test]
    fn names_longer_than_any() {
        let line = written(&[1; 500], &moment(0));
        assert!(line.trimmed().starts_with(br#"{"database":"","written":"1970"#));
    }

    #[test]
    fn no_regular_file_is_refused() {
        let path = CString::new("/dev/full").unwrap();
        let mut board = Board::new(path, CString::default(), moment(0));
        assert_eq!(board.note(1, Some(b"shop"), &moment(1)), Err(Fault::NotRegular));
    }
}
