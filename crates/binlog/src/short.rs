//! Short texts: numbers, dates and times in decimal digits.
//!
//! They are put together in an array and appended with a copy of constant length, which is a few
//! instructions where one of any length is a call; what is too much is cut off again. Digits come
//! eight at a time, without a branch.

use crate::temporal::{Date, Time};

/// The last eight decimal digits of a number, as values of 0 to 9, the first one lowest.
///
/// Halves, quarters and single digits are divided in lanes of one register; the factors are 1/100 and
/// 1/10 in fixed point, exact for what a lane can hold.
#[inline]
fn lanes(number: u64) -> u64 {
    let number = number % 100_000_000;
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((halves - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((pairs - tens * 10) << 8)
}

const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// The last eight decimal digits of a number, zeros in front included.
#[inline]
pub(crate) fn eight_digits(number: u64) -> [u8; 8] {
    (lanes(number) | ZEROS).to_le_bytes()
}

/// Appends the first `length` of these bytes.
#[inline]
pub(crate) fn append<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N], length: usize) {
    let end = out.len() + length;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

/// Appends a number in decimal digits.
#[inline]
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    const LAST_EIGHT: u64 = 100_000_000;
    if number >= LAST_EIGHT {
        push_long(out, number / LAST_EIGHT);
        return out.extend_from_slice(&eight_digits(number));
    }
    let digits = lanes(number);
    // Of zero itself one digit stays.
    let zeros = (digits | 1 << 56).trailing_zeros() & !7;
    append(out, &((digits | ZEROS) >> zeros).to_le_bytes(), 8 - zeros as usize / 8);
}

/// The same, for what stands before the last eight digits.
#[inline(never)]
fn push_long(out: &mut Vec<u8>, number: u64) {
    push_number(out, number);
}

/// Appends a number below 100 in two digits.
#[inline]
pub(crate) fn push_two(out: &mut Vec<u8>, number: u32) {
    let [.., tens, ones] = eight_digits(number.into());
    out.extend_from_slice(&[tens, ones]);
}

/// A text of up to 32 bytes; what does not fit is left out.
#[derive(Default)]
pub(crate) struct Short {
    bytes: [u8; 32],
    length: usize,
}

impl Short {
    /// Appends it to `out`.
    #[inline]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        append(out, &self.bytes, self.length);
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, byte: u8) {
        self.extend([byte]);
    }

    #[inline(always)]
    fn extend<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(slots) = self.bytes.get_mut(self.length..self.length + N) {
            slots.copy_from_slice(&bytes);
            self.length += N;
        }
    }

    /// A number below 1000, in at least two digits.
    #[inline(always)]
    pub(crate) fn push_two(&mut self, number: u32) {
        if number >= 100 {
            self.push(b'0' + (number / 100 % 10) as u8);
        }
        self.extend([b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
    }

    #[inline]
    pub(crate) fn push_date(&mut self, date: Date, between: u8) {
        let (year, month, day) = (date.year as u32, date.month as u32, date.day as u32);
        if year < 10_000 && month < 100 && day < 100 {
            let [a, b, c, d, e, f, g, h] = eight_digits((year * 10_000 + month * 100 + day).into());
            return self.extend([a, b, c, d, between, e, f, between, g, h]);
        }
        // Damaged.
        if year >= 10_000 {
            self.push(b'0' + (year / 10_000 % 10) as u8);
        }
        self.push_two(year / 100 % 100);
        self.push_two(year % 100);
        self.push(between);
        self.push_two(month);
        self.push(between);
        self.push_two(day);
    }

    #[inline]
    pub(crate) fn push_time(&mut self, time: &Time) {
        if time.negative {
            self.push(b'-');
        }
        let (hours, minutes, seconds) =
            (time.hours as u32, time.minutes as u32, time.seconds as u32);
        if hours < 100 && minutes < 100 && seconds < 100 {
            let [.., a, b, c, d, e, f] =
                eight_digits((hours * 10_000 + minutes * 100 + seconds).into());
            self.extend([a, b, b':', c, d, b':', e, f]);
        } else {
            self.push_two(hours % 1000);
            self.push(b':');
            self.push_two(minutes);
            self.push(b':');
            self.push_two(seconds);
        }
        self.push_fraction(time.microseconds, time.decimals);
    }

    #[inline]
    pub(crate) fn push_fraction(&mut self, microseconds: u32, decimals: u8) {
        if decimals > 0 {
            let [.., a, b, c, d, e, f] = eight_digits(microseconds.into());
            let end = self.length + 1 + decimals as usize;
            self.extend([b'.', a, b, c, d, e, f]);
            self.length = self.length.min(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_the_standard_library_has_them() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let around = powers.flat_map(|power| [power - 1, power, power + 1, power.wrapping_mul(7)]);
        let many = (0..200_000).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (n % 64));
        for number in around.chain(0..100_000).chain(many).chain([u64::MAX]) {
            let mut out = b"before ".to_vec();
            push_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), format!("before {number}"));
            let last = format!("{:08}", number % 100_000_000);
            assert_eq!(eight_digits(number), last.as_bytes());
        }
    }

    fn shown(put: impl FnOnce(&mut Short)) -> String {
        let (mut short, mut out) = (Short::default(), Vec::new());
        put(&mut short);
        short.append_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_and_times_right_and_damaged() {
        let date = |year, month, day| shown(|s| s.push_date(Date { year, month, day }, b'-'));
        assert_eq!(date(2026, 3, 14), "2026-03-14");
        assert_eq!(date(0, 0, 0), "0000-00-00");
        assert_eq!(date(9999, 99, 99), "9999-99-99");
        assert_eq!(date(10_000, 100, 255), "10000-100-255");
        let time = |negative, hours, minutes, microseconds, decimals| {
            let time = Time { negative, hours, minutes, seconds: 5, microseconds, decimals };
            shown(|s| s.push_time(&time))
        };
        assert_eq!(time(false, 9, 26, 0, 0), "09:26:05");
        assert_eq!(time(true, 838, 59, 120_000, 2), "-838:59:05.12");
        assert_eq!(time(false, 99, 100, 1, 6), "99:100:05.000001");
        assert_eq!(time(false, 1, 2, 999_999, 1), "01:02:05.9");
    }
}
