//! Dates and times. Each shows as SQL writes it; nothing is checked against a calendar, since
//! servers store `2026-00-00` where `sql_mode` lets them.
//!
//! ```text
//! DATE       u24: year 15 bits, month 4, day 5
//! TIME2      u24 big-endian, + 0x800000 | fraction: 1 unused bit, hours 10, minutes 6, seconds 6
//! DATETIME2  u40 big-endian, + 0x8000000000 | fraction: year * 13 + month 17 bits, day 5, h 5, m 6, s 6
//! TIMESTAMP2 u32 big-endian | fraction
//! fraction   0, 1, 2 or 3 bytes, big-endian: hundredths, 1/10 000, microseconds
//! ```
//!
//! Sources: MySQL `mysys/my_time.cc` (`my_time_packed_from_binary` and its neighbours); the types
//! without a 2 are those of before MySQL 5.6 and of MariaDB with `mysql56_temporal_format=OFF`.

use std::fmt;

use crate::bytes::Cut;
use crate::error::Parsed;

/// A date of the calendar, parts of which may be 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    /// 0 to 9999.
    pub year: u16,
    /// 0 to 12; up to 15 in damaged rows.
    pub month: u8,
    /// 0 to 31.
    pub day: u8,
}

/// A time of day or a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    /// Whether it is below zero.
    pub negative: bool,
    /// Up to 838.
    pub hours: u16,
    /// Up to 59; up to 63 in damaged rows.
    pub minutes: u8,
    /// Likewise.
    pub seconds: u8,
    /// Below 1,000,000.
    pub microseconds: u32,
    /// How many digits of a second the column has, 0 to 6.
    pub decimals: u8,
}

/// A date with a time of day, of no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// The date.
    pub date: Date,
    /// The time of day; never negative.
    pub time: Time,
}

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Since 1970, UTC; 0 stands for `0000-00-00 00:00:00` too. Above `i32::MAX` since MariaDB 11.5.
    pub seconds: u32,
    /// Below 1,000,000.
    pub microseconds: u32,
    /// How many digits of a second the column has, 0 to 6.
    pub decimals: u8,
}

/// The length of a fraction with so many digits, in bytes.
pub(crate) fn fraction_bytes(decimals: u8) -> u8 {
    decimals.min(6).div_ceil(2)
}

/// The fraction of a second as microseconds.
#[inline]
fn fraction(cut: &mut Cut<'_>, decimals: u8) -> Parsed<u32> {
    Ok(match fraction_bytes(decimals) {
        0 => 0,
        1 => cut.u8()? as u32 * 10_000,
        2 => u16::from_be_bytes(cut.array()?) as u32 * 100,
        _ => {
            let [a, b, c] = cut.array()?;
            u32::from_be_bytes([0, a, b, c])
        }
    })
}

impl Date {
    #[inline]
    pub(crate) fn parse(cut: &mut Cut<'_>) -> Parsed<Date> {
        let raw = cut.u24()?;
        Ok(Date { year: (raw >> 9) as u16, month: (raw >> 5 & 15) as u8, day: (raw & 31) as u8 })
    }
}

impl Time {
    #[inline]
    pub(crate) fn parse2(cut: &mut Cut<'_>, decimals: u8) -> Parsed<Time> {
        let [a, b, c] = cut.array()?;
        let whole = u32::from_be_bytes([0, a, b, c]) as i64 - 0x80_0000;
        let bytes = fraction_bytes(decimals) as u32;
        let unit = [0, 10_000, 100, 1][bytes as usize];
        // The fraction belongs to the number as a whole, which is what is negative.
        let part = match bytes {
            0 => 0,
            1 => cut.u8()? as i64,
            2 => u16::from_be_bytes(cut.array()?) as i64,
            _ => {
                let [a, b, c] = cut.array()?;
                u32::from_be_bytes([0, a, b, c]) as i64
            }
        };
        let number = (whole << (8 * bytes)) + part;
        let magnitude = number.unsigned_abs();
        let (clock, part) = (magnitude >> (8 * bytes), magnitude & ((1 << (8 * bytes)) - 1));
        Ok(Time {
            negative: number < 0,
            hours: (clock >> 12 & 0x3ff) as u16,
            minutes: (clock >> 6 & 0x3f) as u8,
            seconds: (clock & 0x3f) as u8,
            microseconds: part as u32 * unit,
            decimals,
        })
    }

    /// The old layout: hhmmss as a number.
    pub(crate) fn parse_old(cut: &mut Cut<'_>) -> Parsed<Time> {
        let raw = (cut.u24()? << 8) as i32 >> 8;
        let number = raw.unsigned_abs();
        Ok(Time {
            negative: raw < 0,
            hours: (number / 10_000) as u16,
            minutes: (number / 100 % 100) as u8,
            seconds: (number % 100) as u8,
            microseconds: 0,
            decimals: 0,
        })
    }
}

impl DateTime {
    #[inline]
    pub(crate) fn parse2(cut: &mut Cut<'_>, decimals: u8) -> Parsed<DateTime> {
        let [a, b, c, d, e] = cut.array()?;
        let raw = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]).wrapping_sub(0x80_0000_0000);
        let months = (raw >> 22 & 0x1_ffff) as u32;
        let date = Date {
            year: (months / 13) as u16,
            month: (months % 13) as u8,
            day: (raw >> 17 & 0x1f) as u8,
        };
        let time = Time {
            negative: false,
            hours: (raw >> 12 & 0x1f) as u16,
            minutes: (raw >> 6 & 0x3f) as u8,
            seconds: (raw & 0x3f) as u8,
            microseconds: fraction(cut, decimals)?,
            decimals,
        };
        Ok(DateTime { date, time })
    }

    /// The old layout: YYYYMMDDhhmmss as a number.
    pub(crate) fn parse_old(cut: &mut Cut<'_>) -> Parsed<DateTime> {
        let raw = cut.u64()?;
        let (date, clock) = (raw / 1_000_000, raw % 1_000_000);
        let date = Date {
            year: (date / 10_000) as u16,
            month: (date / 100 % 100) as u8,
            day: (date % 100) as u8,
        };
        let time = Time {
            negative: false,
            hours: (clock / 10_000) as u16,
            minutes: (clock / 100 % 100) as u8,
            seconds: (clock % 100) as u8,
            microseconds: 0,
            decimals: 0,
        };
        Ok(DateTime { date, time })
    }
}

impl Timestamp {
    #[inline]
    pub(crate) fn parse2(cut: &mut Cut<'_>, decimals: u8) -> Parsed<Timestamp> {
        let seconds = u32::from_be_bytes(cut.array()?);
        Ok(Timestamp { seconds, microseconds: fraction(cut, decimals)?, decimals })
    }

    pub(crate) fn parse_old(cut: &mut Cut<'_>) -> Parsed<Timestamp> {
        Ok(Timestamp { seconds: cut.u32()?, microseconds: 0, decimals: 0 })
    }
}

/// Temporal values inside MySQL's JSON: 40 bits as above without offset, 24 bits of microseconds.
pub(crate) fn packed_datetime(packed: i64) -> DateTime {
    let (whole, micros) = (packed.unsigned_abs() >> 24, packed.unsigned_abs() & 0xff_ffff);
    let months = (whole >> 22 & 0x1_ffff) as u32;
    DateTime {
        date: Date {
            year: (months / 13) as u16,
            month: (months % 13) as u8,
            day: (whole >> 17 & 0x1f) as u8,
        },
        time: Time {
            negative: false,
            hours: (whole >> 12 & 0x1f) as u16,
            minutes: (whole >> 6 & 0x3f) as u8,
            seconds: (whole & 0x3f) as u8,
            microseconds: micros as u32,
            decimals: 6,
        },
    }
}

/// The same for a time.
pub(crate) fn packed_time(packed: i64) -> Time {
    let (whole, micros) = (packed.unsigned_abs() >> 24, packed.unsigned_abs() & 0xff_ffff);
    Time {
        negative: packed < 0,
        hours: (whole >> 12 & 0x3ff) as u16,
        minutes: (whole >> 6 & 0x3f) as u8,
        seconds: (whole & 0x3f) as u8,
        microseconds: micros as u32,
        decimals: 6,
    }
}

/// The digits of the fraction that the column has, with their point.
fn write_fraction(f: &mut fmt::Formatter<'_>, microseconds: u32, decimals: u8) -> fmt::Result {
    match decimals.min(6) {
        0 => Ok(()),
        digits => {
            let cut = 10_u32.pow(6 - digits as u32);
            write!(f, ".{:0width$}", microseconds / cut, width = digits as usize)
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        write!(f, "{sign}{:02}:{:02}:{:02}", self.hours, self.minutes, self.seconds)?;
        write_fraction(f, self.microseconds, self.decimals)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.date, self.time)
    }
}

/// Shows seconds since 1970, which need no zone, with the column's digits.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        write_fraction(f, self.microseconds, self.decimals)
    }
}
