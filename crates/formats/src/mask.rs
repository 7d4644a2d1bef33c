//! Where the commas and line breaks are in the next 64 bytes, as bit masks.
//!
//! Bit `i` of a mask stands for byte `i`. The widest instructions that the machine has are chosen at
//! run time, once per call of a reader; every implementation gives the same masks (tested).

/// A way to find bytes. Implementations are stateless; they are types so that a
/// loop is compiled once for each.
pub(crate) trait Masks {
    /// Where `byte` occurs.
    fn of(bytes: &[u8; 64], byte: u8) -> u64;
    /// Where bytes of host names stand: letters, digits, `.`, `-`, `_`, `%`.
    fn host_bytes(bytes: &[u8; 64]) -> u64;
    /// Where digits stand.
    fn digits(bytes: &[u8; 64]) -> u64;
    /// Where bytes stand that are not ASCII.
    fn wide(bytes: &[u8; 64]) -> u64;
    /// Where two blocks hold the same bytes.
    fn same(a: &[u8; 64], b: &[u8; 64]) -> u64;

    /// The number that eight digits make, each a byte from 0 to 9, the first lowest.
    #[inline(always)]
    fn number(digits: u64) -> u64 {
        // Neighbouring digits are united to pairs, pairs to fours, fours to the number.
        let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
        let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
        (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff
    }
}

/// What [`Masks::host_bytes`] looks for.
pub(crate) fn is_host_byte(&byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'%')
}

/// Eight bytes at a time in plain registers: for machines without a better way.
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(crate) struct Portable;

#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
impl Masks for Portable {
    #[inline(always)]
    fn of(bytes: &[u8; 64], byte: u8) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let wanted = u64::from(byte) * 0x0101_0101_0101_0101;
        let (words, _) = bytes.as_chunks::<8>();
        words.iter().enumerate().fold(0, |mask, (i, word)| {
            let differing = u64::from_le_bytes(*word) ^ wanted;
            // Bit 7 of each byte: set where the byte is zero. Exact, unlike the shorter formula.
            let zero = !(((differing & LOW) + LOW) | differing | LOW);
            mask | (zero.wrapping_mul(0x0002_0408_1020_4081) >> 56) << (8 * i)
        })
    }

    #[inline(always)]
    fn host_bytes(bytes: &[u8; 64]) -> u64 {
        (0..64).fold(0, |mask, i| mask | u64::from(is_host_byte(&bytes[i])) << i)
    }

    #[inline(always)]
    fn digits(bytes: &[u8; 64]) -> u64 {
        (0..64).fold(0, |mask, i| mask | u64::from(bytes[i].is_ascii_digit()) << i)
    }

    #[inline(always)]
    fn wide(bytes: &[u8; 64]) -> u64 {
        (0..64).fold(0, |mask, i| mask | u64::from(!bytes[i].is_ascii()) << i)
    }

    #[inline(always)]
    fn same(a: &[u8; 64], b: &[u8; 64]) -> u64 {
        (0..64).fold(0, |mask, i| mask | u64::from(a[i] == b[i]) << i)
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512, Sse2};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Masks;
    use std::arch::x86_64::*;

    /// Which halves of a byte go together to a byte of a host name: for each low half the sets it
    /// belongs to, for each high half the set that goes with it. 0x2-: % - .   0x3-: digits
    /// 0x4-, 0x6-: from A or a on   0x5-: up to Z, and _   0x7-: up to z
    const HOST_LOW: [u8; 16] = [26, 30, 30, 30, 30, 31, 30, 30, 30, 30, 28, 4, 4, 5, 5, 12];
    const HOST_HIGH: [u8; 16] = [0, 0, 1, 2, 4, 8, 4, 16, 0, 0, 0, 0, 0, 0, 0, 0];

    /// 16 bytes at a time; every x86-64 machine has it.
    pub(crate) struct Sse2;

    impl Sse2 {
        #[inline(always)]
        fn part(bytes: &[u8; 64], i: usize) -> __m128i {
            // SAFETY: SSE2 is part of x86-64; the unaligned load stays inside the 64 bytes, because
            // `i` is below 4.
            unsafe { _mm_loadu_si128(bytes.as_ptr().add(16 * i).cast()) }
        }

        #[inline(always)]
        fn equal(a: __m128i, b: __m128i) -> u64 {
            // SAFETY: SSE2 is part of x86-64.
            unsafe { u64::from(_mm_movemask_epi8(_mm_cmpeq_epi8(a, b)) as u32) }
        }

        /// All ones in each byte from `first` to `last`.
        #[inline(always)]
        fn within(byte: __m128i, first: u8, last: u8) -> __m128i {
            // SAFETY: SSE2 is part of x86-64.
            unsafe {
                let low = _mm_max_epu8(byte, _mm_set1_epi8(first as i8));
                _mm_cmpeq_epi8(byte, _mm_min_epu8(low, _mm_set1_epi8(last as i8)))
            }
        }

        #[inline(always)]
        fn host_part(byte: __m128i) -> u64 {
            // SAFETY: SSE2 is part of x86-64.
            unsafe {
                let letter = Self::within(_mm_or_si128(byte, _mm_set1_epi8(0x20)), b'a', b'z');
                let plain = _mm_or_si128(letter, Self::within(byte, b'0', b'9'));
                let (line, percent) =
                    (Self::within(byte, b'_', b'_'), Self::within(byte, b'%', b'%'));
                let others = _mm_or_si128(_mm_or_si128(line, percent), plain);
                let all = _mm_or_si128(others, Self::within(byte, b'-', b'.'));
                u64::from(_mm_movemask_epi8(all) as u32)
            }
        }

        #[inline(always)]
        fn digit_part(byte: __m128i) -> u64 {
            // SAFETY: SSE2 is part of x86-64.
            unsafe { u64::from(_mm_movemask_epi8(Self::within(byte, b'0', b'9')) as u32) }
        }

        #[inline(always)]
        fn wide_part(byte: __m128i) -> u64 {
            // SAFETY: SSE2 is part of x86-64.
            u64::from(unsafe { _mm_movemask_epi8(byte) } as u32)
        }
    }

    impl Masks for Sse2 {
        #[inline(always)]
        fn of(bytes: &[u8; 64], byte: u8) -> u64 {
            // SAFETY: SSE2 is part of x86-64.
            let wanted = unsafe { _mm_set1_epi8(byte as i8) };
            Self::equal(Self::part(bytes, 0), wanted)
                | Self::equal(Self::part(bytes, 1), wanted) << 16
                | Self::equal(Self::part(bytes, 2), wanted) << 32
                | Self::equal(Self::part(bytes, 3), wanted) << 48
        }

        #[inline(always)]
        fn host_bytes(bytes: &[u8; 64]) -> u64 {
            Self::host_part(Self::part(bytes, 0))
                | Self::host_part(Self::part(bytes, 1)) << 16
                | Self::host_part(Self::part(bytes, 2)) << 32
                | Self::host_part(Self::part(bytes, 3)) << 48
        }

        #[inline(always)]
        fn digits(bytes: &[u8; 64]) -> u64 {
            Self::digit_part(Self::part(bytes, 0))
                | Self::digit_part(Self::part(bytes, 1)) << 16
                | Self::digit_part(Self::part(bytes, 2)) << 32
                | Self::digit_part(Self::part(bytes, 3)) << 48
        }

        #[inline(always)]
        fn wide(bytes: &[u8; 64]) -> u64 {
            Self::wide_part(Self::part(bytes, 0))
                | Self::wide_part(Self::part(bytes, 1)) << 16
                | Self::wide_part(Self::part(bytes, 2)) << 32
                | Self::wide_part(Self::part(bytes, 3)) << 48
        }

        #[inline(always)]
        fn same(a: &[u8; 64], b: &[u8; 64]) -> u64 {
            Self::equal(Self::part(a, 0), Self::part(b, 0))
                | Self::equal(Self::part(a, 1), Self::part(b, 1)) << 16
                | Self::equal(Self::part(a, 2), Self::part(b, 2)) << 32
                | Self::equal(Self::part(a, 3), Self::part(b, 3)) << 48
        }
    }

    /// 64 bytes at a time. To be used only inside functions compiled for AVX-512BW; see [`Avx2`].
    pub(crate) struct Avx512;

    impl Avx512 {
        #[inline(always)]
        fn load(bytes: &[u8; 64]) -> __m512i {
            // SAFETY: callers use this type only where AVX-512BW was found; the array has 64 bytes.
            unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
        }
    }

    impl Masks for Avx512 {
        #[inline(always)]
        fn of(bytes: &[u8; 64], byte: u8) -> u64 {
            // SAFETY: callers use this type only where AVX-512BW was found.
            unsafe { _mm512_cmpeq_epi8_mask(Self::load(bytes), _mm512_set1_epi8(byte as i8)) }
        }

        #[inline(always)]
        fn host_bytes(bytes: &[u8; 64]) -> u64 {
            // SAFETY: callers use this type only where AVX-512BW was found; the tables have 16 bytes.
            unsafe {
                let low = _mm512_broadcast_i32x4(_mm_loadu_si128(HOST_LOW.as_ptr().cast()));
                let high = _mm512_broadcast_i32x4(_mm_loadu_si128(HOST_HIGH.as_ptr().cast()));
                let (byte, half) = (Self::load(bytes), _mm512_set1_epi8(0x0f));
                let upper = _mm512_and_si512(_mm512_srli_epi16::<4>(byte), half);
                let lower = _mm512_and_si512(byte, half);
                _mm512_test_epi8_mask(
                    _mm512_shuffle_epi8(low, lower),
                    _mm512_shuffle_epi8(high, upper),
                )
            }
        }

        #[inline(always)]
        fn digits(bytes: &[u8; 64]) -> u64 {
            // SAFETY: callers use this type only where AVX-512BW was found.
            unsafe {
                let value = _mm512_sub_epi8(Self::load(bytes), _mm512_set1_epi8(b'0' as i8));
                _mm512_cmplt_epu8_mask(value, _mm512_set1_epi8(10))
            }
        }

        #[inline(always)]
        fn wide(bytes: &[u8; 64]) -> u64 {
            // SAFETY: callers use this type only where AVX-512BW was found.
            unsafe { _mm512_movepi8_mask(Self::load(bytes)) }
        }

        #[inline(always)]
        fn same(a: &[u8; 64], b: &[u8; 64]) -> u64 {
            // SAFETY: callers use this type only where AVX-512BW was found.
            unsafe { _mm512_cmpeq_epi8_mask(Self::load(a), Self::load(b)) }
        }

        #[inline(always)]
        fn number(digits: u64) -> u64 {
            Avx2::number(digits)
        }
    }

    /// 32 bytes at a time. To be used only inside functions compiled for AVX2. (No closures here: they
    /// would be compiled without it, and every instruction would become a call.)
    pub(crate) struct Avx2;

    impl Avx2 {
        #[inline(always)]
        fn part(bytes: &[u8; 64], i: usize) -> __m256i {
            // SAFETY: callers use this type only where AVX2 was found; the unaligned load stays inside
            // the 64 bytes, because `i` is below 2.
            unsafe { _mm256_loadu_si256(bytes.as_ptr().add(32 * i).cast()) }
        }

        #[inline(always)]
        fn equal(a: __m256i, b: __m256i) -> u64 {
            // SAFETY: callers use this type only where AVX2 was found.
            unsafe { u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b)) as u32) }
        }

        #[inline(always)]
        fn wide_part(byte: __m256i) -> u64 {
            // SAFETY: callers use this type only where AVX2 was found.
            u64::from(unsafe { _mm256_movemask_epi8(byte) } as u32)
        }

        #[inline(always)]
        fn host_part(byte: __m256i) -> u64 {
            // SAFETY: callers use this type only where AVX2 was found; the tables have 16 bytes.
            unsafe {
                let low = _mm256_broadcastsi128_si256(_mm_loadu_si128(HOST_LOW.as_ptr().cast()));
                let high = _mm256_broadcastsi128_si256(_mm_loadu_si128(HOST_HIGH.as_ptr().cast()));
                let half = _mm256_set1_epi8(0x0f);
                let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(byte), half);
                let lower = _mm256_and_si256(byte, half);
                let sets = _mm256_and_si256(
                    _mm256_shuffle_epi8(low, lower),
                    _mm256_shuffle_epi8(high, upper),
                );
                let none = _mm256_cmpeq_epi8(sets, _mm256_setzero_si256());
                u64::from(!_mm256_movemask_epi8(none) as u32)
            }
        }

        #[inline(always)]
        fn digit_part(byte: __m256i) -> u64 {
            // SAFETY: callers use this type only where AVX2 was found.
            unsafe {
                let value = _mm256_sub_epi8(byte, _mm256_set1_epi8(b'0' as i8));
                Self::equal(value, _mm256_min_epu8(value, _mm256_set1_epi8(9)))
            }
        }
    }

    impl Masks for Avx2 {
        #[inline(always)]
        fn of(bytes: &[u8; 64], byte: u8) -> u64 {
            // SAFETY: callers use this type only where AVX2 was found.
            let wanted = unsafe { _mm256_set1_epi8(byte as i8) };
            Self::equal(Self::part(bytes, 0), wanted)
                | Self::equal(Self::part(bytes, 1), wanted) << 32
        }

        #[inline(always)]
        fn host_bytes(bytes: &[u8; 64]) -> u64 {
            Self::host_part(Self::part(bytes, 0)) | Self::host_part(Self::part(bytes, 1)) << 32
        }

        #[inline(always)]
        fn digits(bytes: &[u8; 64]) -> u64 {
            Self::digit_part(Self::part(bytes, 0)) | Self::digit_part(Self::part(bytes, 1)) << 32
        }

        #[inline(always)]
        fn wide(bytes: &[u8; 64]) -> u64 {
            Self::wide_part(Self::part(bytes, 0)) | Self::wide_part(Self::part(bytes, 1)) << 32
        }

        #[inline(always)]
        fn same(a: &[u8; 64], b: &[u8; 64]) -> u64 {
            Self::equal(Self::part(a, 0), Self::part(b, 0))
                | Self::equal(Self::part(a, 1), Self::part(b, 1)) << 32
        }

        #[inline(always)]
        fn number(digits: u64) -> u64 {
            // SAFETY: callers use this type only where AVX2 was found, which SSE4.1 is part of.
            unsafe {
                let digits = _mm_cvtsi64_si128(digits as i64);
                let pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(1 << 8 | 10));
                let fours = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 100));
                let fours = _mm_packus_epi32(fours, fours);
                let eights = _mm_madd_epi16(fours, _mm_set1_epi32(1 << 16 | 10_000));
                u64::from(_mm_cvtsi128_si32(eights) as u32)
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(crate) use arm::Neon;

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{Masks, is_host_byte};
    use std::arch::aarch64::*;

    /// 16 bytes at a time; every 64-bit ARM machine has it.
    pub(crate) struct Neon;

    impl Masks for Neon {
        #[inline(always)]
        fn of(bytes: &[u8; 64], byte: u8) -> u64 {
            const BIT: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
            // SAFETY: NEON is part of the 64-bit ARM targets; the loads stay inside the 64 bytes.
            unsafe {
                let wanted = vdupq_n_u8(byte);
                let bit = vld1q_u8(BIT.as_ptr());
                let part = |i: usize| {
                    vandq_u8(vceqq_u8(vld1q_u8(bytes.as_ptr().add(16 * i)), wanted), bit)
                };
                let low = vpaddq_u8(part(0), part(1));
                let high = vpaddq_u8(part(2), part(3));
                let all = vpaddq_u8(low, high);
                vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0)
            }
        }

        #[inline(always)]
        fn host_bytes(bytes: &[u8; 64]) -> u64 {
            let mut found = [0; 64];
            for (found, &byte) in found.iter_mut().zip(bytes) {
                *found = u8::from(is_host_byte(&byte));
            }
            Self::of(&found, 1)
        }

        #[inline(always)]
        fn digits(bytes: &[u8; 64]) -> u64 {
            let mut found = [0; 64];
            for (found, byte) in found.iter_mut().zip(bytes) {
                *found = u8::from(byte.is_ascii_digit());
            }
            Self::of(&found, 1)
        }

        #[inline(always)]
        fn wide(bytes: &[u8; 64]) -> u64 {
            let mut found = [0; 64];
            for (found, byte) in found.iter_mut().zip(bytes) {
                *found = byte >> 7;
            }
            Self::of(&found, 1)
        }

        #[inline(always)]
        fn same(a: &[u8; 64], b: &[u8; 64]) -> u64 {
            let mut differing = [0; 64];
            for (i, difference) in differing.iter_mut().enumerate() {
                *difference = a[i] ^ b[i];
            }
            Self::of(&differing, 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(bytes: &[u8; 64], byte: u8) -> u64 {
        (0..64).filter(|&i| bytes[i] == byte).map(|i| 1 << i).sum()
    }

    fn check_number<M: Masks>(number: u64) {
        let digits = format!("{number:08}").into_bytes();
        let values = u64::from_le_bytes(digits.try_into().unwrap()) & 0x0f0f_0f0f_0f0f_0f0f;
        assert_eq!(M::number(values), number);
    }

    proptest! {
        #[test]
        fn every_way_finds_the_same_number(number in 0..100_000_000u64) {
            check_number::<Portable>(number);
            #[cfg(target_arch = "x86_64")]
            if std::is_x86_feature_detected!("avx2") {
                check_number::<Avx2>(number);
            }
        }

        #[test]
        fn every_way_finds_the_same(raw in prop::collection::vec(
            prop_oneof![Just(b','), Just(b'\n'), Just(b','+1), Just(b','-1), Just(b'/'), Just(b'0'), Just(b'9'), Just(b':'), Just(0x8a), any::<u8>()], 64)
        ) {
            let bytes: [u8; 64] = raw.try_into().unwrap();
            let other: [u8; 64] = std::array::from_fn(|i| if i % 3 == 0 { b',' } else { bytes[i] });
            let same: u64 = (0..64).filter(|&i| bytes[i] == other[i]).map(|i| 1 << i).sum();
            let host: u64 = (0..64).filter(|&i| is_host_byte(&bytes[i])).map(|i| 1 << i).sum();
            let digits: u64 = (0..64).filter(|&i| bytes[i].is_ascii_digit()).map(|i| 1 << i).sum();
            prop_assert_eq!(Portable::host_bytes(&bytes), host);
            prop_assert_eq!(Portable::digits(&bytes), digits);
            prop_assert_eq!(Portable::same(&bytes, &other), same);
            let wide: u64 = (0..64).filter(|&i| bytes[i] > 127).map(|i| 1 << i).sum();
            prop_assert_eq!(Portable::wide(&bytes), wide);
            let commas = plain(&bytes, b',');
            prop_assert_eq!(Portable::of(&bytes, b','), commas);
            #[cfg(target_arch = "x86_64")]
            {
                prop_assert_eq!(Sse2::of(&bytes, b','), commas);
                prop_assert_eq!(Sse2::host_bytes(&bytes), host);
                prop_assert_eq!(Sse2::digits(&bytes), digits);
                prop_assert_eq!(Sse2::same(&bytes, &other), same);
                prop_assert_eq!(Sse2::wide(&bytes), wide);
                if std::is_x86_feature_detected!("avx2") {
                    prop_assert_eq!(Avx2::of(&bytes, b','), commas);
                prop_assert_eq!(Avx2::host_bytes(&bytes), host);
                prop_assert_eq!(Avx2::digits(&bytes), digits);
                prop_assert_eq!(Avx2::same(&bytes, &other), same);
                prop_assert_eq!(Avx2::wide(&bytes), wide);
                }
            }
            #[cfg(target_arch = "x86_64")]
            if std::is_x86_feature_detected!("avx512bw") {
                prop_assert_eq!(Avx512::of(&bytes, b','), commas);
                prop_assert_eq!(Avx512::host_bytes(&bytes), host);
                prop_assert_eq!(Avx512::digits(&bytes), digits);
                prop_assert_eq!(Avx512::same(&bytes, &other), same);
                prop_assert_eq!(Avx512::wide(&bytes), wide);
            }
            #[cfg(target_arch = "aarch64")]
            {
                prop_assert_eq!(Neon::of(&bytes, b','), commas);
                prop_assert_eq!(Neon::host_bytes(&bytes), host);
                prop_assert_eq!(Neon::digits(&bytes), digits);
                prop_assert_eq!(Neon::same(&bytes, &other), same);
                prop_assert_eq!(Neon::wide(&bytes), wide);
            }
        }
    }
}
