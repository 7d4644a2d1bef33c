//! Column types: how a value is laid out, and what else a table map tells about a column.
//!
//! The numbers are those of MySQL `include/field_types.h` (`enum_field_types`); MariaDB's 140 and
//! 141 (compressed columns) stand in `include/mysql_com.h`. A table map writes CHAR, BINARY, ENUM
//! and SET all as 254 and puts the real type into the metadata.

use crate::bytes::Cut;
use crate::decimal::{self, Decimal};
use crate::error::{Malformed, Parsed};
use crate::json::{Json, JsonDiffs};
use crate::temporal::{Date, DateTime, Time, Timestamp, fraction_bytes};
use crate::value::{Bits, Value};

/// How the values of a column are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnKind {
    /// TINYINT, BOOL.
    Int1,
    /// SMALLINT.
    Int2,
    /// MEDIUMINT.
    Int3,
    /// INT.
    Int4,
    /// BIGINT.
    Int8,
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// DECIMAL.
    Decimal {
        /// All digits.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
        /// Of a value.
        bytes: u8,
    },
    /// BIT.
    Bit {
        /// 1 to 64.
        bits: u8,
    },
    /// DATE.
    Date,
    /// TIME with so many digits of a second.
    Time(u8),
    /// TIME of the old layout.
    TimeOld,
    /// DATETIME with so many digits of a second.
    DateTime(u8),
    /// DATETIME of the old layout.
    DateTimeOld,
    /// TIMESTAMP with so many digits of a second.
    Timestamp(u8),
    /// TIMESTAMP of the old layout.
    TimestampOld,
    /// YEAR.
    Year,
    /// ENUM.
    Enum {
        /// Of a value: 1 or 2.
        bytes: u8,
    },
    /// SET.
    Set {
        /// Of a value: 1 to 8.
        bytes: u8,
    },
    /// VARCHAR, VARBINARY; of MariaDB VECTOR.
    Varchar {
        /// The longest value.
        bytes: u16,
    },
    /// CHAR, BINARY; of MariaDB UUID, INET4, INET6.
    Char {
        /// The longest value.
        bytes: u16,
    },
    /// BLOB, TEXT, of any length; of MariaDB JSON.
    Blob {
        /// Of the length: 1 to 4.
        length_bytes: u8,
    },
    /// MariaDB: VARCHAR and VARBINARY COMPRESSED.
    VarcharCompressed {
        /// The longest value.
        bytes: u16,
    },
    /// MariaDB: BLOB and TEXT COMPRESSED.
    BlobCompressed {
        /// Of the length: 1 to 4.
        length_bytes: u8,
    },
    /// MySQL: JSON.
    Json {
        /// Of the length: 4.
        length_bytes: u8,
    },
    /// GEOMETRY, POINT and so on.
    Geometry {
        /// Of the length: 4.
        length_bytes: u8,
    },
    /// MySQL: VECTOR.
    Vector {
        /// Of the length: 4.
        length_bytes: u8,
    },
    /// A column that is always NULL.
    Null,
    /// A type that is not known: its values have no known length, so rows with it are not read.
    Unknown(u8),
}

/// A column of a table map.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// How its values are laid out.
    pub kind: ColumnKind,
    /// The number of the type as the table map writes it.
    pub type_number: u8,
    /// The metadata as the table map writes it, for those who print it.
    pub metadata: u16,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether its numbers are unsigned; `None` where the log does not tell (MariaDB's default) or
    /// the type is no number. Values of unknown sign are read as signed.
    pub unsigned: Option<bool>,
    /// Its name, raw, where the log tells (`binlog_row_metadata=FULL`).
    pub name: Option<Box<[u8]>>,
    /// Its collation by number, where the log tells; 63 is `binary`.
    pub collation: Option<u32>,
    /// The members of an ENUM or SET, where the log tells.
    pub members: Option<Box<[Box<[u8]>]>>,
    /// Which geometry (`Field::geometry_type`; 0 any), where the log tells.
    pub geometry: Option<u32>,
    /// The dimensions of a VECTOR, where the log tells.
    pub dimensions: Option<u32>,
    /// Whether `SELECT *` shows it, where the log tells.
    pub visible: Option<bool>,
    /// Whether its values are computed by the server (`GENERATED ALWAYS AS`). No log tells; who knows
    /// from elsewhere may say so, and statements then leave it out.
    pub generated: Option<bool>,
}

/// What a table map's list of columns is read into before the rest is known.
impl Column {
    /// Reads the metadata of a column of this type.
    pub(crate) fn parse(type_number: u8, metadata: &mut Cut<'_>) -> Parsed<Column> {
        let (kind, metadata) = parse_kind(type_number, metadata)?;
        Ok(Column {
            kind,
            type_number,
            metadata,
            nullable: false,
            unsigned: None,
            name: None,
            collation: None,
            members: None,
            geometry: None,
            dimensions: None,
            visible: None,
            generated: None,
        })
    }
}

fn parse_kind(type_number: u8, cut: &mut Cut<'_>) -> Parsed<(ColumnKind, u16)> {
    let mut metadata = 0;
    let kind = match type_number {
        1 => ColumnKind::Int1,
        2 => ColumnKind::Int2,
        3 => ColumnKind::Int4,
        4 | 5 => {
            metadata = cut.u8()? as u16;
            if type_number == 4 { ColumnKind::Float } else { ColumnKind::Double }
        }
        6 => ColumnKind::Null,
        7 => ColumnKind::TimestampOld,
        8 => ColumnKind::Int8,
        9 => ColumnKind::Int3,
        10 | 14 => ColumnKind::Date,
        11 => ColumnKind::TimeOld,
        12 => ColumnKind::DateTimeOld,
        13 => ColumnKind::Year,
        15 | 253 | 141 => {
            metadata = cut.u16()?;
            match type_number {
                141 => ColumnKind::VarcharCompressed { bytes: metadata },
                _ => ColumnKind::Varchar { bytes: metadata },
            }
        }
        16 => {
            metadata = cut.u16()?;
            let bits = (metadata >> 8) * 8 + (metadata & 0xff);
            if bits > 64 {
                return Err(Malformed::new("a BIT column has more than 64 bits"));
            }
            ColumnKind::Bit { bits: bits as u8 }
        }
        17..=19 => {
            metadata = cut.u8()? as u16;
            if metadata > 6 {
                return Err(Malformed::new("a temporal column has more than 6 decimals"));
            }
            let decimals = metadata as u8;
            match type_number {
                17 => ColumnKind::Timestamp(decimals),
                18 => ColumnKind::DateTime(decimals),
                _ => ColumnKind::Time(decimals),
            }
        }
        140 | 242 | 245 | 252 | 255 | 249..=251 => {
            metadata = cut.u8()? as u16;
            if !(1..=4).contains(&metadata) {
                return Err(Malformed::new("a BLOB's length has neither 1, 2, 3 nor 4 bytes"));
            }
            let length_bytes = metadata as u8;
            match type_number {
                140 => ColumnKind::BlobCompressed { length_bytes },
                242 => ColumnKind::Vector { length_bytes },
                245 => ColumnKind::Json { length_bytes },
                255 => ColumnKind::Geometry { length_bytes },
                _ => ColumnKind::Blob { length_bytes },
            }
        }
        246 => {
            let (precision, scale) = (cut.u8()?, cut.u8()?);
            metadata = (precision as u16) << 8 | scale as u16;
            ColumnKind::Decimal { precision, scale, bytes: decimal::length(precision, scale)? }
        }
        247 | 248 | 254 => {
            let (real, length) = (cut.u8()?, cut.u8()?);
            metadata = (real as u16) << 8 | length as u16;
            return Ok((parse_string_kind(type_number, real, length)?, metadata));
        }
        other => ColumnKind::Unknown(other),
    };
    Ok((kind, metadata))
}

/// Types that a table map writes as 254. Lengths above 255 borrow two bits of the real type,
/// inverted (MySQL bug 37426).
fn parse_string_kind(written: u8, real: u8, length: u8) -> Parsed<ColumnKind> {
    let (real, bytes) = match real {
        0 => (written, length as u16),
        real if real & 0x30 != 0x30 => {
            (real | 0x30, length as u16 | (((real & 0x30) ^ 0x30) as u16) << 4)
        }
        real => (real, length as u16),
    };
    match real {
        247 if matches!(bytes, 1 | 2) => Ok(ColumnKind::Enum { bytes: bytes as u8 }),
        247 => Err(Malformed::new("an ENUM has neither 1 nor 2 bytes")),
        248 if (1..=8).contains(&bytes) => Ok(ColumnKind::Set { bytes: bytes as u8 }),
        248 => Err(Malformed::new("a SET has more than 8 bytes")),
        253 | 254 => Ok(ColumnKind::Char { bytes }),
        other => Ok(ColumnKind::Unknown(other)),
    }
}

impl ColumnKind {
    /// Whether it is a number that can be signed, in the sense of a table map's SIGNEDNESS.
    pub fn is_numeric(self) -> bool {
        use ColumnKind as K;
        matches!(
            self,
            K::Int1
                | K::Int2
                | K::Int3
                | K::Int4
                | K::Int8
                | K::Float
                | K::Double
                | K::Decimal { .. }
        )
    }

    /// How many bytes of the front of a row its length has; 0 where the length is fixed.
    #[inline(always)]
    fn length_bytes(self) -> u8 {
        use ColumnKind as K;
        match self {
            K::Varchar { bytes } | K::Char { bytes } | K::VarcharCompressed { bytes } => {
                if bytes < 256 { 1 } else { 2 }
            }
            K::Blob { length_bytes }
            | K::BlobCompressed { length_bytes }
            | K::Json { length_bytes }
            | K::Geometry { length_bytes }
            | K::Vector { length_bytes } => length_bytes,
            _ => 0,
        }
    }

    /// The length of a value, in bytes; `None` where each value tells its own.
    pub(crate) fn fixed_bytes(self) -> Option<usize> {
        use ColumnKind as K;
        Some(match self {
            K::Int1 | K::Year => 1,
            K::Int2 => 2,
            K::Int3 | K::Date | K::TimeOld => 3,
            K::Int4 | K::Float | K::TimestampOld => 4,
            K::Int8 | K::Double | K::DateTimeOld => 8,
            K::Decimal { bytes, .. } | K::Enum { bytes } | K::Set { bytes } => bytes as usize,
            K::Bit { bits } => (bits as usize).div_ceil(8),
            K::Time(decimals) => 3 + fraction_bytes(decimals) as usize,
            K::DateTime(decimals) => 5 + fraction_bytes(decimals) as usize,
            K::Timestamp(decimals) => 4 + fraction_bytes(decimals) as usize,
            K::Null => 0,
            _ => return None,
        })
    }

    /// Passes over a value.
    #[inline]
    pub(crate) fn skip(self, cut: &mut Cut<'_>) -> Parsed<()> {
        match self.fixed_bytes() {
            Some(bytes) => cut.take(bytes)?,
            None => self.text(cut)?,
        };
        Ok(())
    }

    #[inline(always)]
    fn text<'a>(self, cut: &mut Cut<'a>) -> Parsed<&'a [u8]> {
        match self.length_bytes() {
            0 => Err(Malformed::new("a column is of an unknown type")),
            bytes => {
                let length = cut.length(bytes)?;
                cut.take(length)
            }
        }
    }
}

/// The front of `bytes` as a signed integer, little-endian.
#[inline(always)]
fn signed<const N: usize>(bytes: [u8; N]) -> i64 {
    let mut wide = [0; 8];
    wide[8 - N..].copy_from_slice(&bytes);
    i64::from_le_bytes(wide) >> (64 - 8 * N)
}

#[inline(always)]
fn unsigned<const N: usize>(bytes: [u8; N]) -> u64 {
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(&bytes);
    u64::from_le_bytes(wide)
}

impl Column {
    /// Takes a value that is not NULL from the front of a row.
    #[inline]
    pub(crate) fn value<'a>(&self, cut: &mut Cut<'a>) -> Parsed<Value<'a>> {
        use ColumnKind as K;
        Ok(match self.kind {
            K::Int1 => self.integer::<1>(cut)?,
            K::Int2 => self.integer::<2>(cut)?,
            K::Int3 => self.integer::<3>(cut)?,
            K::Int4 => self.integer::<4>(cut)?,
            K::Int8 => self.integer::<8>(cut)?,
            K::Float => Value::Float(f32::from_le_bytes(cut.array()?)),
            K::Double => Value::Double(f64::from_le_bytes(cut.array()?)),
            K::Decimal { precision, scale, bytes } => {
                Value::Decimal(Decimal::new(cut.take(bytes as usize)?, precision, scale))
            }
            K::Bit { bits } => {
                Value::Bits(Bits { bytes: cut.take((bits as usize).div_ceil(8))?, bits })
            }
            K::Date => Value::Date(Date::parse(cut)?),
            K::Time(decimals) => Value::Time(Time::parse2(cut, decimals)?),
            K::TimeOld => Value::Time(Time::parse_old(cut)?),
            K::DateTime(decimals) => Value::DateTime(DateTime::parse2(cut, decimals)?),
            K::DateTimeOld => Value::DateTime(DateTime::parse_old(cut)?),
            K::Timestamp(decimals) => Value::Timestamp(Timestamp::parse2(cut, decimals)?),
            K::TimestampOld => Value::Timestamp(Timestamp::parse_old(cut)?),
            K::Year => match cut.u8()? {
                0 => Value::Year(0),
                year => Value::Year(1900 + year as u16),
            },
            K::Enum { bytes } => Value::Enum(match bytes {
                1 => cut.u8()? as u16,
                _ => cut.u16()?,
            }),
            K::Set { bytes } => {
                let taken = cut.take(bytes as usize)?;
                Value::Set(taken.iter().rev().fold(0, |sum, &byte| sum << 8 | byte as u64))
            }
            K::Varchar { .. } | K::Char { .. } | K::Blob { .. } => {
                Value::Bytes(self.kind.text(cut)?)
            }
            K::VarcharCompressed { .. } | K::BlobCompressed { .. } => {
                Value::Compressed(self.kind.text(cut)?)
            }
            K::Json { .. } => Value::Json(Json::new(self.kind.text(cut)?)),
            K::Geometry { .. } => Value::Geometry(self.kind.text(cut)?),
            K::Vector { .. } => Value::Vector(self.kind.text(cut)?),
            K::Null => Value::Null,
            K::Unknown(_) => return Err(Malformed::new("a column is of an unknown type")),
        })
    }

    /// Takes the differences of a JSON document.
    pub(crate) fn diffs<'a>(&self, cut: &mut Cut<'a>) -> Parsed<Value<'a>> {
        Ok(Value::JsonDiffs(JsonDiffs::new(self.kind.text(cut)?)))
    }

    #[inline(always)]
    fn integer<'a, const N: usize>(&self, cut: &mut Cut<'a>) -> Parsed<Value<'a>> {
        let bytes = cut.array::<N>()?;
        Ok(match self.unsigned {
            Some(true) => Value::Unsigned(unsigned(bytes)),
            _ => Value::Signed(signed(bytes)),
        })
    }
}
