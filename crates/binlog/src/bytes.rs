//! Bytes taken from the front of a slice, each with its bound checked.
//!
//! All integers of a binary log are little-endian, except those of temporal values, DECIMAL and BIT
//! (MySQL `mysys/my_byteorder`, `decimal2bin`).

use crate::error::{Malformed, Parsed};

const SHORT: Malformed = Malformed::new("it ends too early");

/// What is left of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut<'a> {
    rest: &'a [u8],
}

impl<'a> Cut<'a> {
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cut { rest: bytes }
    }

    #[inline(always)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(SHORT),
        }
    }

    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(SHORT),
        }
    }

    /// Everything that is left.
    pub(crate) fn all(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Parsed<u8> {
        Ok(self.array::<1>()?[0])
    }

    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Parsed<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline(always)]
    pub(crate) fn u24(&mut self) -> Parsed<u32> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline(always)]
    pub(crate) fn u48(&mut self) -> Parsed<u64> {
        let [a, b, c, d, e, f] = self.array()?;
        Ok(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    #[inline(always)]
    pub(crate) fn u56(&mut self) -> Parsed<u64> {
        let [a, b, c, d, e, f, g] = self.array()?;
        Ok(u64::from_le_bytes([a, b, c, d, e, f, g, 0]))
    }

    #[inline(always)]
    pub(crate) fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A length in 1 to 4 bytes, little-endian.
    #[inline(always)]
    pub(crate) fn length(&mut self, bytes: u8) -> Parsed<usize> {
        Ok(match bytes {
            1 => self.u8()? as usize,
            2 => self.u16()? as usize,
            3 => self.u24()? as usize,
            4 => self.u32()? as usize,
            _ => return Err(Malformed::new("a length has neither 1, 2, 3 nor 4 bytes")),
        })
    }

    /// An integer as the client protocol packs them: one byte below 251, else a byte that tells how
    /// many follow (MySQL `mysys/pack.cc`, `net_field_length`).
    #[inline(always)]
    pub(crate) fn packed(&mut self) -> Parsed<u64> {
        match self.u8()? {
            byte @ 0..=250 => Ok(byte as u64),
            252 => Ok(self.u16()? as u64),
            253 => Ok(self.u24()? as u64),
            254 => self.u64(),
            _ => Err(Malformed::new("a packed integer begins with 251 or 255")),
        }
    }

    pub(crate) fn packed_len(&mut self) -> Parsed<usize> {
        usize::try_from(self.packed()?).map_err(|_| SHORT)
    }

    /// Bytes behind their packed length.
    pub(crate) fn packed_bytes(&mut self) -> Parsed<&'a [u8]> {
        let count = self.packed_len()?;
        self.take(count)
    }

    /// Bytes behind a length of one byte.
    pub(crate) fn short_bytes(&mut self) -> Parsed<&'a [u8]> {
        let count = self.u8()? as usize;
        self.take(count)
    }

    /// Bytes up to a NUL, which is taken too.
    pub(crate) fn until_nul(&mut self) -> Parsed<&'a [u8]> {
        let end = memchr::memchr(0, self.rest).ok_or(Malformed::new("a text has no end"))?;
        let taken = self.take(end)?;
        self.u8()?;
        Ok(taken)
    }

    /// An unsigned integer of MySQL's serialization library: the one bits at the low end of the
    /// first byte tell how many bytes follow (`libs/mysql/serialization/variable_length_integers.h`).
    pub(crate) fn varlen(&mut self) -> Parsed<u64> {
        let first = self.u8()?;
        let more = first.trailing_ones() as usize;
        if more == 8 {
            return self.u64();
        }
        let mut raw = [0; 8];
        raw[0] = first;
        for (slot, byte) in raw[1..].iter_mut().zip(self.take(more)?) {
            *slot = *byte;
        }
        Ok(u64::from_le_bytes(raw) >> (more + 1))
    }

    /// A signed integer of the same library: the lowest bit is the sign.
    pub(crate) fn varlen_signed(&mut self) -> Parsed<i64> {
        let raw = self.varlen()?;
        let magnitude = (raw >> 1) as i64;
        Ok(if raw & 1 == 1 { -magnitude - 1 } else { magnitude })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_integers_have_four_forms() {
        for (bytes, value) in [
            (&[250][..], 250),
            (&[252, 1, 2], 0x0201),
            (&[253, 1, 2, 3], 0x03_0201),
            (&[254, 1, 0, 0, 0, 0, 0, 0, 0x80], 0x8000_0000_0000_0001),
        ] {
            let mut cut = Cut::new(bytes);
            assert_eq!(cut.packed(), Ok(value));
            assert!(cut.is_empty());
            assert!(Cut::new(&bytes[..bytes.len() - 1]).packed().is_err());
        }
        assert!(Cut::new(&[251]).packed().is_err() && Cut::new(&[255]).packed().is_err());
    }

    #[test]
    fn serialized_integers_tell_their_length_in_the_low_bits() {
        for (bytes, value) in [
            (&[0b0000_0010][..], 1),
            (&[0b1111_1110], 127),
            (&[0b0000_0001, 0b10], 128),
            (&[0xff, 1, 0, 0, 0, 0, 0, 0, 0xff], 0xff00_0000_0000_0001),
        ] {
            assert_eq!(Cut::new(bytes).varlen(), Ok(value), "{bytes:?}");
        }
        assert_eq!(Cut::new(&[0b0000_0110]).varlen_signed(), Ok(-2));
        assert_eq!(Cut::new(&[0xff; 9]).varlen_signed(), Ok(i64::MIN));
    }
}
