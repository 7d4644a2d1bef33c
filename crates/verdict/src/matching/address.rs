//! Addresses as servers write and read them, and which patterns can fit one.
//!
//! A client's address is compared as text: `10.0.0.7`, `2001:db8::1`. A pattern such as `2001:DB8::1` or
//! `10.0.0.07` is an address to people, and fits no client (but see [`quad`]).

use super::glob::{self, Case, Token};

/// Reads four numbers with dots between them from the beginning, and returns what stands behind them. Both
/// families take blanks and a sign before each number and any zeros: `010.0.0.+7` is `10.0.0.7`.
///
/// Source: `calc_ip` and `str2int` of both families.
pub(super) fn quad(text: &[u8]) -> Option<(u32, &[u8])> {
    let (mut value, mut rest) = (0, text);
    for place in 0..4 {
        if place > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        let (number, behind) = number(rest, 255)?;
        (value, rest) = (value << 8 | number, behind);
    }
    Some((value, rest))
}

/// A whole number up to a limit at the beginning of a text, and what stands behind it.
pub(super) fn number(text: &[u8], max: u32) -> Option<(u32, &[u8])> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|byte| !blank(byte))?;
    let text = &text[start..];
    let (negative, text) = match text.first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return None;
    }
    let value = text[..end]
        .iter()
        .fold(0u32, |sum, digit| sum.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    (value <= max && !(negative && value > 0)).then_some((value, &text[end..]))
}

/// The IPv4 address that a server has written.
pub(super) fn written_quad(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    // Rust takes no zeros before a number, as servers write none.
    text.parse::<std::net::Ipv4Addr>().ok().map(u32::from)
}

/// The network that all IPv4 addresses lie in whose text begins as the pattern does, up to the last whole
/// number: address and mask. `10.0.%` is in 10.0.0.0/16, `1%` in 0.0.0.0/0.
pub(super) fn beginning(tokens: &[Token]) -> (u32, u32) {
    let (mut address, mut octets) = (0u32, 0u32);
    let mut digits: Vec<u8> = Vec::new();
    let end = std::iter::once(&Token::Literal(b'.'));
    for token in tokens.iter().chain(end) {
        match token {
            Token::Literal(b'.') if octets < 4 => {
                let Some((value, [])) = number(&digits, 255) else { break };
                address = address << 8 | value;
                octets += 1;
                digits.clear();
            }
            Token::Literal(byte) => digits.push(*byte),
            _ => break,
        }
    }
    let low = 32 - 8 * octets;
    let shift = |value: u32| value.checked_shl(low).unwrap_or(0);
    (shift(address), shift(u32::MAX))
}

/// Which addresses a pattern can fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fits {
    /// Some IPv4 address; exact.
    pub(super) v4: bool,
    /// Perhaps some IPv6 address; `false` is certain.
    pub(super) v6: bool,
    /// Some address of this machine: 127.0.0.0/8, ::1; exact.
    pub(super) loopback: bool,
}

/// Which addresses can fit a pattern that is compared as text.
pub(super) fn fits(tokens: &[Token]) -> Fits {
    Fits {
        v4: fits_quad(tokens, ANY_QUAD),
        v6: may_fit_v6(tokens),
        loopback: fits_quad(tokens, LOOPBACK_QUAD) || glob::matches(tokens, b"::1", Case::Kept),
    }
}

/// Of a pattern without wildcards only the text that servers write; else what its bytes allow.
fn may_fit_v6(tokens: &[Token]) -> bool {
    let literals: Vec<u8> = tokens
        .iter()
        .filter_map(|token| match token {
            Token::Literal(byte) => Some(*byte),
            _ => None,
        })
        .collect();
    // `::10.0.0.7`, as the C library writes some.
    if fits_quad(tokens, V6_QUAD) {
        return true;
    }
    if literals.len() == tokens.len() {
        let text = String::from_utf8_lossy(&literals);
        return text.parse::<std::net::Ipv6Addr>().is_ok_and(|it| it.to_string() == text);
    }
    literals.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b':'))
}

// An automaton that reads an IPv4 address. State 8 * n + p: in number n, with p of
const START: usize = 0;
const ZERO: usize = 1;
const ONE: usize = 2;
const TWO: usize = 3;
const DIGIT: usize = 4;
/// Any digit may follow.
const TENS: usize = 5;
const TWENTY_FIVE: usize = 6;
/// No digit may follow.
const FULL: usize = 7;
const WIDTH: usize = 8;
/// More states read `127.` or `::` before that.
const BEFORE: &[u8; 6] = b"127.::";
const STATES: usize = 4 * WIDTH + BEFORE.len();
const ANY_QUAD: u64 = 1;
const LOOPBACK_QUAD: u64 = 1 << (4 * WIDTH);
const V6_QUAD: u64 = 1 << (4 * WIDTH + 4);
/// Bytes that the automaton reads.
const BYTES: &[u8; 12] = b"0123456789.:";

/// The state after one more byte.
fn next(state: usize, byte: u8) -> Option<usize> {
    if let Some(before) = state.checked_sub(4 * WIDTH) {
        let after = match before {
            3 => WIDTH,
            5 => 0,
            _ => state + 1,
        };
        return (byte == BEFORE[before]).then_some(after);
    }
    let (place, progress) = (state / WIDTH, state % WIDTH);
    let progress = match (progress, byte) {
        (START, b'0') => ZERO,
        (START, b'1') => ONE,
        (START, b'2') => TWO,
        (START, b'3'..=b'9') => DIGIT,
        (ONE, b'0'..=b'9') | (TWO, b'0'..=b'4') => TENS,
        (TWO, b'5') => TWENTY_FIVE,
        (TWO, b'6'..=b'9') | (DIGIT | TENS, b'0'..=b'9') | (TWENTY_FIVE, b'0'..=b'5') => FULL,
        (START, _) => return None,
        (_, b'.') if place < 3 => return Some((place + 1) * WIDTH),
        _ => return None,
    };
    Some(place * WIDTH + progress)
}

/// The states after one more byte, for a set of states and one byte, or any.
fn step(states: u64, byte: Option<u8>) -> u64 {
    let bytes = byte.as_ref().map_or(&BYTES[..], std::slice::from_ref);
    let mut after = 0;
    for state in (0..STATES).filter(|state| states >> state & 1 == 1) {
        for &byte in bytes {
            after |= next(state, byte).map_or(0, |state| 1 << state);
        }
    }
    after
}

/// Whether some address that the automaton reads from these states on fits.
fn fits_quad(tokens: &[Token], start: u64) -> bool {
    let end = (3 * WIDTH + ZERO..4 * WIDTH).fold(0, |set, state| set | 1u64 << state);
    let mut states = start;
    for token in tokens {
        states = match token {
            Token::Literal(byte) => step(states, Some(*byte)),
            Token::One => step(states, None),
            Token::Many => {
                let (mut all, mut more) = (states, states);
                while more != 0 {
                    more = step(more, None) & !all;
                    all |= more;
                }
                all
            }
        };
        if states == 0 {
            return false;
        }
    }
    states & end != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quads_as_servers_read_them() {
        assert_eq!(quad(b"10.0.0.7"), Some((0x0a00_0007, &b""[..])));
        assert_eq!(quad(b" 010.0.0.+7/24"), Some((0x0a00_0007, &b"/24"[..])));
        assert_eq!(quad(b"10.0.0.7%"), Some((0x0a00_0007, &b"%"[..])));
        for text in ["10.0.0", "10.0.0.256", "10.0.0.%", "10.0.0.-7", "", "::1", "10..0.1"] {
            assert_eq!(quad(text.as_bytes()), None, "{text}");
        }
        assert_eq!(written_quad(b"10.0.0.7"), Some(0x0a00_0007));
        assert_eq!(written_quad(b"10.0.0.07"), None);
    }

    #[test]
    fn which_addresses_can_fit() {
        let check = |pattern: &str, v4: bool, v6: bool, loopback: bool| {
            let found = fits(&glob::tokens(pattern.as_bytes()));
            assert_eq!(found, Fits { v4, v6, loopback }, "{pattern}");
        };
        check("%", true, true, true);
        check("10.0.%", true, false, false);
        check("127.0.0.1", true, false, true);
        check("_27.0.0.2", true, false, true);
        check("%.1", true, true, true);
        check("1%7.%.1", true, false, true);
        check("2%", true, true, false);
        check("256.%", false, false, false);
        check("10.0.0.07", false, false, false);
        check("10.0.0", false, false, false);
        check("1_.1_.1_.%", true, false, false);
        check("___.___.___.___.%", false, false, false);
        check("::_.0.0.%", false, true, false);
        check("::1", false, true, true);
        check("2001:db8::1", false, true, false);
        check("2001:DB8::1", false, false, false);
        check("2001:db8:0:0::1", false, false, false);
        check("2001:db8:%", false, true, false);
        check("%.example.net", false, false, false);
        check("10.0.0.0/24", false, false, false);
        check("localhost", false, false, false);
    }

    #[test]
    fn beginnings() {
        let check = |pattern: &str, address: u32, mask: u32| {
            let found = beginning(&glob::tokens(pattern.as_bytes()));
            assert_eq!(found, (address, mask), "{pattern}");
        };
        check("%", 0, 0);
        check("1%", 0, 0);
        check("10.%", 0x0a00_0000, 0xff00_0000);
        check("10.1.2_.%", 0x0a01_0000, 0xffff_0000);
        check("10.1.2.3", 0x0a01_0203, 0xffff_ffff);
        check("db.%", 0, 0);
    }
}
