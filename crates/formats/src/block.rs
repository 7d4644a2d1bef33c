//! Common records, many at a time: what most of a log consists of, told by their places in the bytes.

use crate::event::{Event, Kind, Peer, Span, Stamp};

/// The most records in a [`Block`].
pub const BLOCK_LINES_MAX: usize = 32;

/// The longest user name of a [`Line`] in bytes.
pub const LINE_USER_BYTES_MAX: usize = 125;

/// Records of one server that stand one after another in the bytes of a call of `Reader::read`.
///
/// Each is a [`Line`] of a few numbers; its texts are cut from the bytes when they are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) server: &'a [u8],
    pub(crate) lines: &'a [Line],
}

/// A record of a [`Block`], which has its texts: by their places, 32 bits each, from the beginning of the
/// bytes. A place behind a text is that of the byte after it.
///
/// Of a [`Turn::Login`] or [`Turn::End`] the query id, the error number, the object and the end of the
/// database are not filled in: the first two are zero, the object is empty, and the database ends four bytes
/// before the record does (`,,0` and the line feed).
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Line {
    /// Microseconds on the server's wall clock, as in [`Stamp::Local`].
    pub time: i64,
    /// The server's connection id.
    pub connection: u64,
    pub(crate) query: u64,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) peer: u32,
    pub(crate) database: u32,
    pub(crate) database_end: u32,
    pub(crate) object: u32,
    pub(crate) object_end: u32,
    pub(crate) error: u32,
    /// The client's TCP port; 0 where the record does not tell it.
    pub port: u16,
    pub(crate) user_bytes: u8,
    pub(crate) peer_bytes: u8,
    /// Whether a login or the end of a connection holds bytes that are not ASCII; of others it is not told.
    pub wide: bool,
    /// What happened.
    pub kind: Kind,
    /// What most records are.
    pub turn: Turn,
}

/// What most records are, so that a sink need not ask for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// [`Kind::Connect`].
    Login,
    /// [`Kind::Disconnect`] with error 0.
    End,
    /// A statement or a table it used.
    Statement,
    /// Any other.
    Other,
}

impl Line {
    /// A line that says nothing, to fill places with.
    pub(crate) const EMPTY: Line = Line {
        time: 0,
        connection: 0,
        query: 0,
        start: 0,
        end: 0,
        peer: 0,
        database: 0,
        database_end: 0,
        object: 0,
        object_end: 0,
        error: 0,
        port: 0,
        user_bytes: 0,
        peer_bytes: 1,
        wide: false,
        kind: Kind::AuditConfig,
        turn: Turn::Other,
    };
}

impl Line {
    /// The length of the user name in bytes.
    #[inline(always)]
    pub fn user_bytes(&self) -> usize {
        self.user_bytes.into()
    }

    /// That of user name and client host, with the comma between them.
    #[inline(always)]
    pub fn peer_bytes(&self) -> usize {
        self.peer_bytes.into()
    }
}

impl<'a> Block<'a> {
    /// The audited server as the records name it.
    #[inline(always)]
    pub fn server(&self) -> &'a [u8] {
        self.server
    }

    /// The records in the order of the bytes: 1 to [`BLOCK_LINES_MAX`].
    #[inline(always)]
    pub fn lines(&self) -> &'a [Line] {
        self.lines
    }

    /// Who: user name and client host.
    #[inline(always)]
    pub fn peer(&self, line: &Line) -> Peer<'a> {
        Peer::new(
            self.text(line.peer, line.peer + u32::from(line.peer_bytes)),
            line.user_bytes.into(),
        )
    }

    /// So many bytes from where user name and client host begin, whatever stands behind these; `None` near the
    /// end of the bytes.
    #[inline(always)]
    pub fn from_peer<const BYTES: usize>(&self, line: &Line) -> Option<&'a [u8; BYTES]> {
        let start = line.peer as usize;
        self.bytes.get(start..start + BYTES)?.first_chunk()
    }

    /// What the record is about, as [`Event::object`].
    #[inline(always)]
    pub fn object(&self, line: &Line) -> &'a [u8] {
        self.text(line.object, line.object_end)
    }

    /// The whole record.
    pub fn event(&self, line: &Line) -> Event<'a> {
        let (query, error, database_end, object, object_end) = match line.turn {
            Turn::Login | Turn::End => (0, 0, line.end - 4, line.end - 4, line.end - 4),
            Turn::Statement | Turn::Other => {
                (line.query, line.error, line.database_end, line.object, line.object_end)
            }
        };
        Event {
            series: None,
            time: Stamp::Local(line.time),
            server: self.server,
            peer: self.peer(line),
            port: (line.port != 0).then_some(line.port),
            connection: line.connection,
            query,
            kind: line.kind,
            error,
            database: self.text(line.database, database_end),
            object: self.text(object, object_end),
            account_user: None,
            further: false,
        }
    }

    /// Where it stands in the bytes given to this call of `Reader::read`.
    pub fn span(&self, line: &Line) -> Span {
        Span { start: line.start as usize, end: line.end as usize }
    }

    #[inline(always)]
    fn text(&self, start: u32, end: u32) -> &'a [u8] {
        &self.bytes[start as usize..end as usize]
    }
}
