//! DECIMAL: digits in groups of nine, four bytes a group.
//!
//! ```text
//! DECIMAL(10,4), 123456.7800     80 01 | e2 40 | 1e 78     (6 digits: 3 bytes; 4 digits: 2 bytes)
//! ```
//!
//! The digits before the point that fill no group come first; those behind the point come last.
//! The topmost bit is 1 for numbers that are not negative; of negative ones all bits are inverted
//! (MySQL and MariaDB `strings/decimal.cc`, `decimal2bin`).

use std::fmt;

use crate::error::{Malformed, Parsed};
use crate::short::eight_digits;

/// How many bytes so many digits of an unfinished group have.
const BYTES: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
/// The most digits that a column has (`DECIMAL_MAX_PRECISION`).
const DIGITS_MAX: u8 = 65;
/// The longest number in bytes: 65 digits, of which each half may leave a group unfinished.
const BYTES_MAX: usize = 32;

/// A number of fixed scale. It shows as SQL writes it, with as many digits behind the point as the
/// column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal<'a> {
    bytes: &'a [u8],
    before: u8,
    scale: u8,
}

/// The length of a number with so many digits, of which `scale` stand behind the point, in bytes.
pub(crate) fn length(precision: u8, scale: u8) -> Parsed<u8> {
    let Some(before) = precision.checked_sub(scale) else {
        return Err(Malformed::new("a DECIMAL has more digits behind the point than in all"));
    };
    if precision > DIGITS_MAX {
        return Err(Malformed::new("a DECIMAL has more than 65 digits"));
    }
    let half = |digits: u8| digits / 9 * 4 + BYTES[(digits % 9) as usize];
    Ok(half(before) + half(scale))
}

impl<'a> Decimal<'a> {
    /// `bytes` are as many as [`length`] says.
    pub(crate) fn new(bytes: &'a [u8], precision: u8, scale: u8) -> Self {
        Decimal { bytes, before: precision - scale, scale }
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.bytes.first().is_some_and(|byte| byte & 0x80 == 0)
    }

    /// Appends the number as SQL writes it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let negative = self.is_negative();
        let mask = if negative { 0xff } else { 0 };
        let mut plain = [0; BYTES_MAX];
        for (slot, byte) in plain.iter_mut().zip(self.bytes) {
            *slot = byte ^ mask;
        }
        plain[0] ^= 0x80;
        if negative {
            out.push(b'-');
        }
        let mut rest = &plain[..];
        let mut text = [0; DIGITS_MAX as usize + 8];
        let mut filled = 0;
        let mut group = |digits: u8| {
            let (group, behind) = rest.split_at(BYTES[digits as usize] as usize);
            rest = behind;
            let number = group.iter().fold(0, |sum: u64, &byte| sum << 8 | byte as u64);
            let (number, last) = if digits == 9 { (number / 10, number % 10) } else { (number, 0) };
            // Eight are copied; those that are too much are written over, or left out at the end.
            let eight = u64::from_le_bytes(eight_digits(number));
            let unused = 8_u32.saturating_sub(digits.into());
            let shifted = eight.checked_shr(unused * 8).unwrap_or(0);
            let end = filled + digits as usize;
            text[filled..filled + 8].copy_from_slice(&shifted.to_le_bytes());
            if digits == 9 {
                text[end - 1] = b'0' + last as u8;
            }
            filled = end;
        };
        // The unfinished group stands first before the point, last behind it.
        group(self.before % 9);
        (0..self.before / 9).for_each(|_| group(9));
        (0..self.scale / 9).for_each(|_| group(9));
        group(self.scale % 9);
        let (before, behind) = text[..filled].split_at(self.before as usize);
        let zeros = before.iter().take_while(|&&digit| digit == b'0').count();
        match &before[zeros..] {
            [] => out.push(b'0'),
            digits => out.extend_from_slice(digits),
        }
        if !behind.is_empty() {
            out.push(b'.');
            out.extend_from_slice(behind);
        }
    }
}

impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_servers_own_comments() {
        // strings/decimal.cc: 1234567890.1234 as DECIMAL(14,4).
        let positive = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        let negative = positive.map(|byte| !byte);
        assert_eq!(length(14, 4), Ok(7));
        assert_eq!(Decimal::new(&positive, 14, 4).to_string(), "1234567890.1234");
        assert_eq!(Decimal::new(&negative, 14, 4).to_string(), "-1234567890.1234");
    }

    #[test]
    fn lengths_at_their_bounds() {
        assert_eq!(length(0, 0), Ok(0));
        assert_eq!(length(65, 0), Ok(29));
        assert!((0..=65).all(|scale| length(65, scale).is_ok_and(|n| n as usize <= BYTES_MAX)));
        assert!(length(66, 0).is_err() && length(3, 4).is_err());
        assert_eq!(Decimal::new(&[], 0, 0).to_string(), "0");
    }
}
