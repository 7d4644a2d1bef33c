//! Global transaction ids, in the notation of each family, and the lists of them that files begin
//! with.
//!
//! ```text
//! MariaDB 162  seq u64 | domain u32 | flags u8 | [0x02: commit id u64]
//!              | [0x40 or 0x80: XA id] | flags u8 | [0x01: engines u8] | [0x0c: seq of ALTER u64]
//!              | [0x10: thread id u32] | zeros up to 19 bytes
//! MySQL 33, 34 flags u8 | uuid 16 | gno u64 | 2 | last committed u64 | sequence u64
//!              | committed u56 [its top bit: originally committed u56] | length packed | version u32 [u32]
//! MySQL 42     serialization library: version 2, size, last field, (field number, value) …
//! ```
//!
//! Sources: MariaDB `sql/log_event.cc` (`Gtid_log_event`; MDEV-7850 for the thread id), MySQL
//! `libs/mysql/binlog/event/control_events.cpp` (`Gtid_event`), `sql/rpl_gtid_set.cc`
//! (`Gtid_set::encode`).

use std::fmt;

use crate::bytes::Cut;
use crate::error::{Malformed, Parsed};

/// The longest tag of a MySQL GTID, in bytes (`mysql::gtid::tag_max_length`).
pub const TAG_BYTES_MAX: usize = 32;

/// The name of one transaction. It shows as the server family writes it.
///
/// ```
/// let gtid = binlog::Gtid::MariaDb { domain: 0, server_id: 1, sequence: 42 };
/// assert_eq!(gtid.to_string(), "0-1-42");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gtid {
    /// `domain-server_id-sequence`.
    MariaDb {
        /// `@@gtid_domain_id`.
        domain: u32,
        /// `@@server_id` of the server where the transaction came into being.
        server_id: u32,
        /// Counts within the domain.
        sequence: u64,
    },
    /// `uuid:number` or `uuid:tag:number`.
    MySql {
        /// `@@server_uuid` of the server where the transaction came into being.
        uuid: [u8; 16],
        /// Empty where none.
        tag: Tag,
        /// Counts within uuid and tag.
        number: u64,
    },
}

/// The tag of a MySQL GTID: up to [`TAG_BYTES_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tag {
    bytes: [u8; TAG_BYTES_MAX],
    length: u8,
}

impl Tag {
    fn new(bytes: &[u8]) -> Parsed<Tag> {
        let mut tag = Tag::default();
        let Some(slot) = tag.bytes.get_mut(..bytes.len()) else {
            return Err(Malformed::new("a GTID's tag is longer than 32 bytes"));
        };
        slot.copy_from_slice(bytes);
        tag.length = bytes.len() as u8;
        Ok(tag)
    }

    /// The tag, raw.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length as usize]
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gtid::MariaDb { domain, server_id, sequence } => {
                write!(f, "{domain}-{server_id}-{sequence}")
            }
            Gtid::MySql { uuid, tag, number } => {
                write_uuid(f, uuid)?;
                if tag.length > 0 {
                    write!(f, ":{}", tag.as_bytes().escape_ascii())?;
                }
                write!(f, ":{number}")
            }
        }
    }
}

/// A UUID as text.
///
/// ```
/// assert_eq!(binlog::format_uuid(&[0xab; 16]), "abababab-abab-abab-abab-abababababab");
/// ```
pub fn format_uuid(uuid: &[u8; 16]) -> String {
    struct Shown<'a>(&'a [u8; 16]);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_uuid(f, self.0)
        }
    }
    Shown(uuid).to_string()
}

/// Writes 16 bytes as `8-4-4-4-12` hexadecimal digits.
fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: &[u8; 16]) -> fmt::Result {
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

/// The name of a transaction in two phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XaId<'a> {
    /// 1 unless the client said otherwise.
    pub format: u32,
    /// Global part, raw.
    pub global: &'a [u8],
    /// Branch, raw.
    pub branch: &'a [u8],
}

/// MariaDB's GTID event, which begins each group of events (there is no `BEGIN`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MariaDbGtid<'a> {
    /// `@@gtid_domain_id`.
    pub domain: u32,
    /// Counts within the domain.
    pub sequence: u64,
    /// See the constants `FLAG_…` of this type.
    pub flags: u8,
    /// The same for transactions that committed together.
    pub commit_id: Option<u64>,
    /// For XA PREPARE and for the end of a prepared transaction.
    pub xa: Option<XaId<'a>>,
    /// The second byte of flags.
    pub flags_extra: u8,
    /// How many engines besides the first took part.
    pub extra_engines: Option<u8>,
    /// The sequence number of the `START ALTER` that this ends.
    pub alter_sequence: Option<u64>,
    /// The connection, since MariaDB 11.5.
    pub thread_id: Option<u32>,
}

impl<'a> MariaDbGtid<'a> {
    /// The group is one event without an end of its own, such as DDL.
    pub const FLAG_STANDALONE: u8 = 0x01;
    /// The transaction can be rolled back.
    pub const FLAG_TRANSACTIONAL: u8 = 0x04;
    /// DDL.
    pub const FLAG_DDL: u8 = 0x20;
    /// XA PREPARE.
    pub const FLAG_PREPARED_XA: u8 = 0x40;
    /// The end of a prepared XA transaction.
    pub const FLAG_COMPLETED_XA: u8 = 0x80;

    pub(crate) fn parse(body: &'a [u8]) -> Parsed<Self> {
        let mut cut = Cut::new(body);
        let sequence = cut.u64()?;
        let domain = cut.u32()?;
        let flags = cut.u8()?;
        let commit_id = if flags & 0x02 != 0 { Some(cut.u64()?) } else { None };
        let mut xa = None;
        if flags & (Self::FLAG_PREPARED_XA | Self::FLAG_COMPLETED_XA) != 0 {
            let format = cut.u32()?;
            let (global, branch) = (cut.u8()? as usize, cut.u8()? as usize);
            xa = Some(XaId { format, global: cut.take(global)?, branch: cut.take(branch)? });
        }
        // Before MariaDB 10.5 only padding follows, or nothing.
        let flags_extra = cut.u8().unwrap_or(0);
        let extra_engines = if flags_extra & 0x01 != 0 { Some(cut.u8()?) } else { None };
        let alter_sequence = if flags_extra & 0x0c != 0 { Some(cut.u64()?) } else { None };
        let thread_id = if flags_extra & 0x10 != 0 { Some(cut.u32()?) } else { None };
        Ok(MariaDbGtid {
            domain,
            sequence,
            flags,
            commit_id,
            xa,
            flags_extra,
            extra_engines,
            alter_sequence,
            thread_id,
        })
    }

    /// The transaction's name. `server_id` is that of the event's header.
    pub fn gtid(&self, server_id: u32) -> Gtid {
        Gtid::MariaDb { domain: self.domain, server_id, sequence: self.sequence }
    }
}

/// MySQL's GTID event, also the anonymous and the tagged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MySqlGtid {
    /// Bit 0: the transaction may hold statements (it is not in row format alone).
    pub flags: u8,
    /// `None` for anonymous transactions (`gtid_mode=OFF`).
    pub gtid: Option<Gtid>,
    /// Logical clock: the newest transaction of this file that this one must wait for.
    pub last_committed: u64,
    /// Logical clock: the number of this transaction in its file.
    pub sequence_number: u64,
    /// Microseconds since 1970, UTC, of the commit on the server whose log this is; users cannot
    /// set it. `None` before MySQL 8.0.
    pub committed_us: Option<u64>,
    /// The same on the server where the transaction came into being.
    pub original_committed_us: Option<u64>,
    /// Of the whole transaction in the log, in bytes; 0 where not told.
    pub transaction_bytes: u64,
    /// The version of the server whose log this is, such as 90704; 0 where not told.
    pub server_version: u32,
    /// The same of the server where the transaction came into being.
    pub original_server_version: u32,
}

impl MySqlGtid {
    /// The layout of [`GTID_MYSQL`](crate::EventType::GTID_MYSQL) and
    /// [`ANONYMOUS_GTID`](crate::EventType::ANONYMOUS_GTID).
    pub(crate) fn parse(body: &[u8], anonymous: bool) -> Parsed<Self> {
        let mut cut = Cut::new(body);
        let flags = cut.u8()?;
        let uuid = cut.array()?;
        let number = cut.u64()?;
        let gtid = Gtid::MySql { uuid, tag: Tag::default(), number };
        let mut event = MySqlGtid {
            flags,
            gtid: (!anonymous).then_some(gtid),
            last_committed: 0,
            sequence_number: 0,
            committed_us: None,
            original_committed_us: None,
            transaction_bytes: 0,
            server_version: 0,
            original_server_version: 0,
        };
        // MySQL 5.6 ends here; 2 says that logical clocks follow.
        if cut.rest().first() != Some(&2) {
            return Ok(event);
        }
        cut.u8()?;
        event.last_committed = cut.u64()?;
        event.sequence_number = cut.u64()?;
        // MySQL 5.7 ends here.
        if cut.len() < 7 {
            return Ok(event);
        }
        const FOLLOWED: u64 = 1 << 55;
        let committed = cut.u56()?;
        event.committed_us = Some(committed & !FOLLOWED);
        event.original_committed_us =
            if committed & FOLLOWED != 0 { Some(cut.u56()?) } else { event.committed_us };
        if !cut.is_empty() {
            event.transaction_bytes = cut.packed()?;
        }
        if cut.len() >= 4 {
            let version = cut.u32()?;
            event.server_version = version & 0x7fff_ffff;
            // Its top bit tells whether the original one follows.
            event.original_server_version =
                if version >> 31 == 1 { cut.u32()? } else { event.server_version };
        }
        Ok(event)
    }

    /// The layout of [`GTID_TAGGED`](crate::EventType::GTID_TAGGED).
    pub(crate) fn parse_tagged(body: &[u8]) -> Parsed<Self> {
        let mut cut = Cut::new(body);
        // The format's own version is written like all its numbers; 1 is in use.
        if cut.varlen()? != 1 {
            return Err(Malformed::new("its serialization is of an unknown version"));
        }
        let size = cut.varlen()?;
        let used = (body.len() - cut.len()) as u64;
        cut.varlen()?;
        let after = (body.len() - cut.len()) as u64 - used;
        let fields = size
            .checked_sub(used + after)
            .and_then(|length| usize::try_from(length).ok())
            .ok_or(Malformed::new("its serialized size is too small"))?;
        let mut cut = Cut::new(cut.take(fields)?);
        let (mut uuid, mut tag, mut number) = ([0; 16], Tag::default(), 0);
        let mut event = MySqlGtid {
            flags: 0,
            gtid: None,
            last_committed: 0,
            sequence_number: 0,
            committed_us: None,
            original_committed_us: None,
            transaction_bytes: 0,
            server_version: 0,
            original_server_version: 0,
        };
        while !cut.is_empty() {
            match cut.varlen()? {
                0 => event.flags = cut.varlen()? as u8,
                1 => {
                    for byte in &mut uuid {
                        *byte = cut.varlen()? as u8;
                    }
                }
                2 => number = cut.varlen_signed()? as u64,
                3 => {
                    let length = cut.varlen()?;
                    tag = Tag::new(cut.take(length.min(usize::MAX as u64) as usize)?)?;
                }
                4 => event.last_committed = cut.varlen_signed()? as u64,
                5 => event.sequence_number = cut.varlen_signed()? as u64,
                6 => event.committed_us = Some(cut.varlen()?),
                7 => event.original_committed_us = Some(cut.varlen()?),
                8 => event.transaction_bytes = cut.varlen()?,
                9 => event.server_version = cut.varlen()? as u32,
                10 => event.original_server_version = cut.varlen()? as u32,
                // 11 is a ticket; newer ones are ignorable.
                _ => break,
            }
        }
        event.original_committed_us = event.original_committed_us.or(event.committed_us);
        if event.original_server_version == 0 {
            event.original_server_version = event.server_version;
        }
        event.gtid = Some(Gtid::MySql { uuid, tag, number });
        Ok(event)
    }
}

/// What MariaDB knew when a file began: the newest transaction of each domain and server.
///
/// The layout: count u32 (its top four bits are flags), then domain u32, server id u32, sequence u64
/// each (MariaDB `sql/log_event.cc`, `Gtid_list_log_event`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GtidList<'a> {
    entries: &'a [u8],
}

impl<'a> GtidList<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Parsed<Self> {
        let mut cut = Cut::new(body);
        let count = (cut.u32()? & 0x0fff_ffff) as usize;
        Ok(GtidList { entries: cut.take(count.saturating_mul(16))? })
    }

    /// The names, in the order of the log.
    pub fn iter(&self) -> impl Iterator<Item = Gtid> + use<'a> {
        self.entries.chunks_exact(16).filter_map(|entry| {
            let mut cut = Cut::new(entry);
            Some(Gtid::MariaDb {
                domain: cut.u32().ok()?,
                server_id: cut.u32().ok()?,
                sequence: cut.u64().ok()?,
            })
        })
    }
}

/// A run of GTIDs of one MySQL server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GtidRange {
    /// `@@server_uuid`.
    pub uuid: [u8; 16],
    /// Empty where none.
    pub tag: Tag,
    /// The first number.
    pub first: u64,
    /// The last number.
    pub last: u64,
}

/// What MySQL had executed before a file began (Previous_gtids).
///
/// ```text
/// count u64 | uuid 16 | [tag] | ranges u64 | first u64, behind the last u64 …
/// ```
///
/// With tags (MySQL 8.3 and newer) the count's first and last byte are 1 and the six between them
/// the count; the tag is a length and bytes of the serialization library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousGtids<'a> {
    body: &'a [u8],
}

impl<'a> PreviousGtids<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Parsed<Self> {
        let gtids = PreviousGtids { body };
        gtids.each(|_| ())?;
        Ok(gtids)
    }

    /// The ranges, in the order of the log.
    pub fn ranges(&self) -> Vec<GtidRange> {
        let mut ranges = Vec::new();
        // Was read to its end before.
        let _ = self.each(|range| ranges.push(range));
        ranges
    }

    fn each(&self, mut tell: impl FnMut(GtidRange)) -> Parsed<()> {
        let mut cut = Cut::new(self.body);
        let head: [u8; 8] = cut.array()?;
        let tagged = head[7] == 1;
        let mut count = u64::from_le_bytes(head);
        if tagged {
            count = (count >> 8) & 0xffff_ffff_ffff;
        }
        for _ in 0..count {
            let uuid = cut.array()?;
            let mut tag = Tag::default();
            if tagged {
                let length = cut.varlen()?;
                tag = Tag::new(cut.take(length.min(usize::MAX as u64) as usize)?)?;
            }
            for _ in 0..cut.u64()? {
                let (first, behind) = (cut.u64()?, cut.u64()?);
                if first == 0 || behind <= first {
                    return Err(Malformed::new("a range of GTIDs ends before it begins"));
                }
                tell(GtidRange { uuid, tag, first, last: behind - 1 });
            }
        }
        Ok(())
    }
}
