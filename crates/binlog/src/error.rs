//! What can be wrong with a binary log: each message names the place and the remedy, none holds
//! bytes of the log, since statements and rows hold secrets.

use crate::kind::EventType;

/// Why a log, or one event of it, cannot be read. Positions count bytes from the beginning of the
/// file; the name of the file is the caller's to add.
///
/// "The bytes end before the event does" is no error but
/// [`Step::Incomplete`](crate::Step::Incomplete).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first bytes are not those of a binary log.
    #[error("this is no binary log: its first bytes are not fe 'bin'; name a binlog or its index")]
    NotABinlog,
    /// The magic of a MySQL log written with `binlog_encryption=ON`.
    #[error(
        "this binary log is encrypted (MySQL binlog_encryption): read it through the server, which \
         holds the key (--server NAME --through-server)"
    )]
    EncryptedFile,
    /// A MariaDB log after its START_ENCRYPTION event.
    #[error(
        "from byte {position} on this binary log is encrypted (MariaDB encrypt_binlog): read it \
         through the server, which holds the key (--server NAME --through-server)"
    )]
    EncryptedFrom {
        /// Of the first byte that cannot be read.
        position: u64,
    },
    /// A log that MariaDB 12.3 keeps inside InnoDB.
    #[error(
        "this is an InnoDB binary log (.ibb, MariaDB binlog_storage_engine=innodb), whose layout is \
         the storage engine's own: read it through the server (--server NAME --through-server)"
    )]
    InsideInnoDb,
    /// A log older than MySQL 5.0.
    #[error("byte {position}: binary log version {version} is older than MySQL 5.0; not read")]
    OldVersion {
        /// Of the event.
        position: u64,
        /// As its format description tells; 1 and 3 were used.
        version: u16,
    },
    /// The checksum algorithm is none that is known.
    #[error("byte {position}: unknown checksum algorithm {algorithm}; a newer server's log?")]
    UnknownChecksum {
        /// Of the format description event.
        position: u64,
        /// Its number there.
        algorithm: u8,
    },
    /// A length below that of the event header with its checksum.
    #[error(
        "byte {position}: an event of {length} bytes, fewer than its header has; the log is damaged \
         or was overwritten here"
    )]
    BadLength {
        /// Of the event.
        position: u64,
        /// As the header tells.
        length: u32,
    },
    /// A length above what the caller allows.
    #[error(
        "byte {position}: an event of {length} bytes, above the limit of {limit}; the log is damaged \
         here, or the limit is too low"
    )]
    TooLong {
        /// Of the event.
        position: u64,
        /// As the header tells.
        length: u32,
        /// See [`EVENT_BYTES_MAX`](crate::EVENT_BYTES_MAX).
        limit: u32,
    },
    /// The checksum is not that of the event's bytes.
    #[error(
        "byte {position}: the checksum of this event ({event}, {length} bytes) is wrong; the log is \
         damaged here"
    )]
    Checksum {
        /// Of the event.
        position: u64,
        /// As the header tells.
        length: u32,
        /// What the event says it is.
        event: EventType,
    },
    /// The bytes of an event do not fit its layout.
    #[error("byte {position}: {event} event cannot be read: {}", .malformed.what())]
    Malformed {
        /// Of the event (of the outermost, where it stood in a Transaction_payload).
        position: u64,
        /// What it says it is.
        event: EventType,
        /// What does not fit.
        malformed: Malformed,
    },
}

impl Error {
    /// The error of an event whose bytes do not fit its layout.
    pub(crate) fn malformed(position: u64, event: EventType, malformed: Malformed) -> Self {
        Error::Malformed { position, event, malformed }
    }
}

/// What about bytes does not fit the layout that they should have: a fixed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{what}")]
pub struct Malformed {
    what: &'static str,
}

impl Malformed {
    pub(crate) const fn new(what: &'static str) -> Self {
        Malformed { what }
    }

    /// One clause for people.
    pub const fn what(self) -> &'static str {
        self.what
    }
}

/// Shorthand inside the crate: what reads bytes of an event and knows no position.
pub(crate) type Parsed<T> = Result<T, Malformed>;
