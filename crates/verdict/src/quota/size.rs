//! Sizes as people write them: `500MB`, `1.5 GiB`, `7`.

use std::fmt;

/// The largest size that is taken, 9.2 EB: the ledger keeps signed numbers.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// What `KB`, `MB`, `GB` and `TB` are powers of. `KiB`, `MiB`, `GiB` and `TiB` are always of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// 1000: rollcall's own files.
    Decimal,
    /// 1024: lists of mysql_monitor_daemon (its `parse_capacity_string`).
    Binary,
}

/// Why a text is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeFault {
    /// No number with a unit.
    Form,
    /// Below zero.
    Negative,
    /// More than [`SIZE_MAX`].
    TooLarge,
}

impl fmt::Display for SizeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SizeFault::Form => "no size: write it like 500MB, 1.5GiB or 2000000000",
            SizeFault::Negative => "a size below zero: leave it out where there is no limit",
            SizeFault::TooLarge => "more than 9.2 EB: check the unit",
        })
    }
}

/// Bytes. Upper and lower case do not matter, blanks may stand before the unit, a fraction needs a unit and is
/// rounded down.
///
/// # Errors
/// [`SizeFault`]
///
/// ```
/// use verdict::quota::{Base, parse_size};
///
/// assert_eq!(parse_size("2GB", Base::Decimal), Ok(2_000_000_000));
/// assert_eq!(parse_size("2GB", Base::Binary), Ok(2 << 30));
/// assert_eq!(parse_size("1.5 MiB", Base::Decimal), Ok(3 << 19));
/// ```
pub fn parse_size(text: &str, base: Base) -> Result<u64, SizeFault> {
    let text = text.trim();
    if text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        return Err(SizeFault::Negative);
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at(end);
    let (fraction, unit) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (fraction, unit) = rest.split_at(end);
            if fraction.is_empty() || unit.is_empty() {
                return Err(SizeFault::Form);
            }
            (fraction, unit)
        }
    };
    if whole.is_empty() {
        return Err(SizeFault::Form);
    }
    let unit = unit_bytes(unit.trim(), base).ok_or(SizeFault::Form)?;
    let number = whole.parse::<u64>().map_err(|_| SizeFault::TooLarge)?;
    let bytes = u128::from(number) * u128::from(unit) + part_of(unit, fraction);
    u64::try_from(bytes).ok().filter(|&bytes| bytes <= SIZE_MAX).ok_or(SizeFault::TooLarge)
}

/// `unit` times `0.fraction`; digits behind the twelfth are less than a byte.
fn part_of(unit: u64, fraction: &str) -> u128 {
    let digits = fraction.bytes().take(12).map(|digit| u128::from(digit - b'0'));
    let (number, of) = digits.fold((0, 1), |(number, of), digit| (number * 10 + digit, of * 10));
    u128::from(unit) * number / of
}

fn unit_bytes(unit: &str, base: Base) -> Option<u64> {
    let power = |name: &str| match base {
        Base::Decimal => 1000_u64.pow(exponent(name)),
        Base::Binary => 1 << (10 * exponent(name)),
    };
    let unit = unit.to_ascii_lowercase();
    match unit.as_str() {
        "" | "b" => Some(1),
        "kb" | "mb" | "gb" | "tb" => Some(power(&unit)),
        "kib" | "mib" | "gib" | "tib" => Some(1 << (10 * exponent(&unit))),
        _ => None,
    }
}

fn exponent(unit: &str) -> u32 {
    match unit.as_bytes().first() {
        Some(b'k') => 1,
        Some(b'm') => 2,
        Some(b'g') => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_by_their_base() {
        for (text, decimal, binary) in [
            ("0", 0, 0),
            ("7", 7, 7),
            ("7b", 7, 7),
            ("1kB", 1000, 1024),
            ("500MB", 500_000_000, 500 << 20),
            (" 2 gb ", 2_000_000_000, 2 << 30),
            ("1TB", 1_000_000_000_000, 1 << 40),
            ("3KiB", 3 << 10, 3 << 10),
            ("2GiB", 2 << 30, 2 << 30),
            ("1TiB", 1 << 40, 1 << 40),
            ("1.5GB", 1_500_000_000, 3 << 29),
            ("0.1KB", 100, 102),
            ("9223372036854775807", SIZE_MAX, SIZE_MAX),
        ] {
            assert_eq!(parse_size(text, Base::Decimal), Ok(decimal), "{text}");
            assert_eq!(parse_size(text, Base::Binary), Ok(binary), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_apart() {
        for (text, fault) in [
            ("", SizeFault::Form),
            ("GB", SizeFault::Form),
            (".5GB", SizeFault::Form),
            ("1.GB", SizeFault::Form),
            ("1.5", SizeFault::Form),
            ("1XB", SizeFault::Form),
            ("2 GB x", SizeFault::Form),
            ("1e9", SizeFault::Form),
            ("--1", SizeFault::Form),
            ("+1", SizeFault::Form),
            ("\u{662}GB", SizeFault::Form),
            ("-1GB", SizeFault::Negative),
            ("9223372036854775808", SizeFault::TooLarge),
            ("99999999999999999999999", SizeFault::TooLarge),
            ("99999999TB", SizeFault::TooLarge),
        ] {
            assert_eq!(parse_size(text, Base::Decimal), Err(fault), "{text}");
        }
    }
}
