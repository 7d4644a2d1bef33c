//! Values of rows. They borrow from the event; what is costly to read (DECIMAL, JSON, compressed
//! text) is read only when it is asked for.

use std::borrow::Cow;
use std::fmt;

use crate::column::{Column, ColumnKind};
use crate::compressed;
use crate::decimal::Decimal;
use crate::error::Malformed;
use crate::json::{Json, JsonDiffs};
use crate::temporal::{Date, DateTime, Time, Timestamp};

/// The value of a column in one image of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// The image does not hold the column (`binlog_row_image=MINIMAL`, NOBLOB).
    Absent,
    /// NULL.
    Null,
    /// An integer that is signed, or whose sign the log does not tell.
    Signed(i64),
    /// An integer that is unsigned.
    Unsigned(u64),
    /// FLOAT.
    Float(f32),
    /// DOUBLE.
    Double(f64),
    /// DECIMAL.
    Decimal(Decimal<'a>),
    /// BIT.
    Bits(Bits<'a>),
    /// DATE.
    Date(Date),
    /// TIME.
    Time(Time),
    /// DATETIME.
    DateTime(DateTime),
    /// TIMESTAMP.
    Timestamp(Timestamp),
    /// YEAR; 0 stands for `0000`.
    Year(u16),
    /// ENUM: the number of the member, from 1; 0 for the empty value of an error.
    Enum(u16),
    /// SET: bit 0 for the first member.
    Set(u64),
    /// CHAR, VARCHAR, BINARY, VARBINARY, BLOB, TEXT, MariaDB's JSON, UUID, INET4, INET6 and VECTOR:
    /// bytes in the column's character set. Spaces (of BINARY: NULs) at the end of CHAR are not in
    /// the log.
    Bytes(&'a [u8]),
    /// MariaDB's COMPRESSED columns, as stored; see [`Value::text`].
    Compressed(&'a [u8]),
    /// MySQL's JSON.
    Json(Json<'a>),
    /// Changes to MySQL's JSON in an image after an update.
    JsonDiffs(JsonDiffs<'a>),
    /// SRID u32 and Well-Known Binary; see [`geometry`].
    Geometry(&'a [u8]),
    /// MySQL's VECTOR: f32 each, little-endian; see [`vector`].
    Vector(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The bytes of a text or BLOB, decompressed where they are compressed; `None` for other types.
    ///
    /// # Errors
    /// Where compressed bytes are damaged.
    pub fn text(&self) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        Ok(match self {
            Value::Bytes(bytes) => Some(Cow::Borrowed(*bytes)),
            Value::Compressed(bytes) => Some(Cow::Owned(compressed::inflate_column(bytes)?)),
            _ => None,
        })
    }

    /// The integer as if its column were unsigned; for columns whose sign was learnt elsewhere.
    pub fn as_unsigned(self, column: &Column) -> Value<'a> {
        let bits = match column.kind {
            ColumnKind::Int1 => 8,
            ColumnKind::Int2 => 16,
            ColumnKind::Int3 => 24,
            ColumnKind::Int4 => 32,
            ColumnKind::Int8 => 64,
            _ => return self,
        };
        match self {
            Value::Signed(number) => Value::Unsigned(number as u64 & (u64::MAX >> (64 - bits))),
            other => other,
        }
    }
}

/// A BIT value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) bits: u8,
}

impl Bits<'_> {
    /// As a number.
    pub fn number(&self) -> u64 {
        self.bytes.iter().fold(0, |sum, &byte| sum << 8 | byte as u64)
    }

    /// How many bits the column has.
    pub fn len(&self) -> u8 {
        self.bits
    }

    /// Whether the column has none, which no server makes.
    pub fn is_empty(&self) -> bool {
        self.bits == 0
    }
}

/// Shows zeros and ones, as many as the column has.
impl fmt::Display for Bits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$b}", self.number(), width = self.bits as usize)
    }
}

/// The spatial reference and the Well-Known Binary of a geometry; `None` where it is too short.
pub fn geometry(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (srid, wkb) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*srid), wkb))
}

/// The numbers of a VECTOR, of MySQL's own type or in the bytes of MariaDB's.
pub fn vector(bytes: &[u8]) -> impl ExactSizeIterator<Item = f32> + '_ {
    bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number))
}

/// The bytes of a BINARY(N), UUID or INET column, of which the log holds no NULs at the end.
///
/// ```
/// assert_eq!(binlog::value::padded::<4>(&[10]), Some([10, 0, 0, 0]));
/// ```
pub fn padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut whole = [0; N];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(whole)
}

/// The 16 bytes of MariaDB's UUID in their usual order, from the bytes of its column; `None` where
/// they are more. Of UUIDs that hold a time (variant 1, versions 1 to 5) the column has the last
/// group first, so that they sort by time (MariaDB `plugin/type_uuid/sql_type_uuid.h`,
/// `record_to_memory`).
pub fn uuid(bytes: &[u8]) -> Option<[u8; 16]> {
    let stored = padded::<16>(bytes)?;
    if stored[6] & 0x80 == 0 || !(0x01..0x60).contains(&stored[8]) {
        return Some(stored);
    }
    let [n0, n1, n2, n3, n4, n5, c0, c1, h0, h1, m0, m1, l0, l1, l2, l3] = stored;
    Some([l0, l1, l2, l3, m0, m1, h0, h1, c0, c1, n0, n1, n2, n3, n4, n5])
}
