//! Many short lists of hours with their counts, one byte an hour as a rule: the logins of each pair in a
//! log that spans days.
//!
//! Each list is a chain of chunks in one arena. An entry is
//!
//! ```text
//! 0ggg cccc            the hour ggg after the one before (0 to 7), cccc logins (1 to 15)
//! 1000 0000, varints   any other: the gap (zigzag: logs step back now and then), the count
//! ```
//!
//! The first chunk of a list counts its gap from hour 0. Lists of another arena are taken over as they
//! are, so a chain may hold several such beginnings.

use crate::timeline::{put, take};

const NONE: u32 = u32::MAX;

/// The bytes of a chunk: with its link and length it is half a cache line.
const CHUNK: usize = 26;

/// The mark and two varints of 32-bit numbers, one of them zigzag.
const ENTRY_MAX: usize = 11;

/// Chunks that are taken over at once: 256 KiB.
const PIECE: usize = 8192;

/// Says that an entry is a long one.
const LONG: u8 = 0x80;

#[derive(Debug, Clone)]
struct Chunk {
    next: u32,
    used: u8,
    /// Gaps count from hour 0 again.
    begins: bool,
    bytes: [u8; CHUNK],
}

const _: () = assert!(size_of::<Chunk>() == 32);

/// One list: where it ends. Behind its last chunk comes its first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    tail: u32,
    hour: u32,
}

impl Chain {
    /// An empty list.
    pub(crate) const EMPTY: Chain = Chain { tail: NONE, hour: 0 };
}

/// Where the chunks of another arena came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    to: usize,
    count: usize,
}

impl Moved {
    /// A chunk's number here: the pieces stand in the opposite order.
    fn number(self, old: u32) -> u32 {
        let old = old as usize;
        let piece = old / PIECE * PIECE;
        let behind = self.count.saturating_sub(piece + PIECE);
        (self.to + behind + (old - piece)) as u32
    }
}

/// All lists.
#[derive(Debug, Default)]
pub(crate) struct Hours {
    chunks: Vec<Chunk>,
}

impl Hours {
    /// Adds an hour and its count to a list.
    pub(crate) fn push(&mut self, chain: &mut Chain, hour: u32, count: u32) {
        let gap = i64::from(hour) - i64::from(chain.hour);
        if let Some(byte) = short(gap, count)
            && let Some(chunk) = self.chunks.get_mut(chain.tail as usize)
            && let Some(place) = chunk.bytes.get_mut(chunk.used as usize)
        {
            *place = byte;
            chunk.used += 1;
            chain.hour = hour;
            return;
        }
        self.push_entry(chain, hour, Entry::new(gap, count));
    }

    fn push_entry(&mut self, chain: &mut Chain, hour: u32, entry: Entry) {
        if self.room(*chain) < entry.used {
            let new = self.chunks.len() as u32;
            let last = self.chunks.get_mut(chain.tail as usize);
            let begins = last.is_none();
            let first = last.map_or(new, |last| std::mem::replace(&mut last.next, new));
            self.chunks.push(Chunk { next: first, used: 0, begins, bytes: [0; CHUNK] });
            chain.tail = new;
        }
        let chunk = &mut self.chunks[chain.tail as usize];
        let used = chunk.used as usize;
        chunk.bytes[used..used + entry.used].copy_from_slice(&entry.bytes[..entry.used]);
        chunk.used += entry.used as u8;
        chain.hour = hour;
    }

    /// How many bytes the last chunk of a list can still hold.
    #[inline(always)]
    pub(crate) fn room(&self, chain: Chain) -> usize {
        match self.chunks.get(chain.tail as usize) {
            Some(chunk) => CHUNK - chunk.used as usize,
            None => 0,
        }
    }

    /// Takes over the chunks of another arena, a piece at a time and the last first, so that their memory is
    /// not needed twice.
    pub(crate) fn take_over(&mut self, mut other: Hours) -> Moved {
        let moved = Moved { to: self.chunks.len(), count: other.chunks.len() };
        self.chunks.reserve_exact(moved.count);
        while let Some(last) = other.chunks.len().checked_sub(1) {
            let piece = last / PIECE * PIECE;
            self.chunks.extend(
                other
                    .chunks
                    .drain(piece..)
                    .map(|chunk| Chunk { next: moved.number(chunk.next), ..chunk }),
            );
            other.chunks.shrink_to_fit();
        }
        moved
    }

    /// Adds a list of an arena that was taken over to the end of another.
    pub(crate) fn append(&mut self, chain: &mut Chain, other: Chain, moved: Moved) {
        if other.tail == NONE {
            return;
        }
        let tail = moved.number(other.tail);
        if let Some(last) = self.chunks.get(chain.tail as usize) {
            // Two circles become one.
            let first = last.next;
            let others = std::mem::replace(&mut self.chunks[tail as usize].next, first);
            self.chunks[chain.tail as usize].next = others;
        }
        *chain = Chain { tail, hour: other.hour };
    }

    /// The hours of a list with their counts, in the order in which they were added.
    pub(crate) fn of(&self, chain: Chain) -> impl Iterator<Item = (u32, u32)> {
        let mut next = self.chunks.get(chain.tail as usize).map(|last| last.next);
        let mut rest: &[u8] = &[];
        let mut hour = 0i64;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                let at = next?;
                let chunk = &self.chunks[at as usize];
                rest = &chunk.bytes[..chunk.used as usize];
                next = (at != chain.tail).then_some(chunk.next);
                if chunk.begins {
                    hour = 0;
                }
            }
            let (gap, count) = next_entry(&mut rest)?;
            hour += gap;
            Some((hour as u32, count))
        })
    }

    /// About how many bytes of memory they take.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * size_of::<Chunk>()
    }
}

#[derive(Default)]
struct Entry {
    bytes: [u8; ENTRY_MAX],
    used: usize,
}

impl Entry {
    fn new(gap: i64, count: u32) -> Entry {
        let mut entry = Entry::default();
        match short(gap, count) {
            Some(byte) => entry.extend([byte]),
            None => {
                entry.extend([LONG]);
                put(&mut entry, ((gap << 1) ^ (gap >> 63)) as u64);
                put(&mut entry, u64::from(count));
            }
        }
        entry
    }
}

/// The entry of one byte, where it is one.
#[inline(always)]
fn short(gap: i64, count: u32) -> Option<u8> {
    ((0..8).contains(&gap) & (1..16).contains(&count)).then_some((gap as u8) << 4 | count as u8)
}

/// The gap and count of the entry at the beginning of `bytes`.
fn next_entry(bytes: &mut &[u8]) -> Option<(i64, u32)> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    if first & LONG == 0 {
        return Some((i64::from(first >> 4), u32::from(first & 15)));
    }
    let gap = take(bytes)?;
    Some(((gap >> 1) as i64 ^ -((gap & 1) as i64), take(bytes)? as u32))
}

impl Extend<u8> for Entry {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        for byte in bytes {
            self.bytes[self.used] = byte;
            self.used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_do_not_mix(
            entries in prop::collection::vec(
                (0..3usize, prop_oneof![0..40u32, any::<u32>()], prop_oneof![0..40u32, any::<u32>()]),
                0..200,
            ),
            cut in 0..200usize,
        ) {
            let (first, second) = entries.split_at(cut.min(entries.len()));
            let mut hours = Hours::default();
            let mut chains = [Chain::EMPTY; 3];
            for &(list, hour, count) in first {
                hours.push(&mut chains[list], hour, count);
            }
            // The rest comes from another arena, but for its last entry.
            let mut others = Hours::default();
            let mut other_chains = [Chain::EMPTY; 3];
            let (last, second) = match second.split_last() {
                Some((last, second)) => (Some(last), second),
                None => (None, second),
            };
            for &(list, hour, count) in second {
                others.push(&mut other_chains[list], hour, count);
            }
            let moved = hours.take_over(others);
            for (chain, other) in chains.iter_mut().zip(other_chains) {
                hours.append(chain, other, moved);
            }
            if let Some(&(list, hour, count)) = last {
                hours.push(&mut chains[list], hour, count);
            }
            for (list, &chain) in chains.iter().enumerate() {
                let expected: Vec<(u32, u32)> = entries
                    .iter()
                    .filter(|entry| entry.0 == list)
                    .map(|&(_, hour, count)| (hour, count))
                    .collect();
                prop_assert_eq!(hours.of(chain).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn lists_that_go_through_several_pieces_are_taken_over_whole() {
        // The second and third entry are long ones: each list gets a chunk far behind its first.
        let lists = (PIECE + PIECE / 2) as u32;
        let entries = |list: u32| [(list, 3), (list / 2, u32::MAX - list), (u32::MAX, 70_000)];
        let mut others = Hours::default();
        let mut chains = vec![Chain::EMPTY; lists as usize];
        for turn in [0, 1, 2, 1, 2] {
            for (chain, list) in chains.iter_mut().zip(0..) {
                let (hour, count) = entries(list)[turn];
                others.push(chain, hour, count);
            }
        }
        assert!(others.chunks.len() > 2 * PIECE);
        let mut hours = Hours::default();
        let mut own = Chain::EMPTY;
        hours.push(&mut own, 1, 1);
        let moved = hours.take_over(others);
        for (&other, list) in chains.iter().zip(0..) {
            let mut chain = Chain::EMPTY;
            hours.append(&mut chain, other, moved);
            let expected = [0, 1, 2, 1, 2].map(|turn| entries(list)[turn]);
            assert_eq!(hours.of(chain).collect::<Vec<_>>(), expected, "list {list}");
        }
    }
}
