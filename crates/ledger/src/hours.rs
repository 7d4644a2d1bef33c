//! Many short lists of hours with their counts, two bytes an hour: the logins of each pair in a log
//! that spans days.
//!
//! Each list is a chain of chunks in one arena; each hour in it is a varint of the gap to the hour
//! before (zigzag: logs step back now and then) and a varint of the count.

use crate::timeline::{put, take};

const NONE: u32 = u32::MAX;

/// The bytes of a chunk: with its link and length it fills half a cache line.
const CHUNK: usize = 27;

/// Two varints of 32-bit numbers (one of them zigzag).
const ENTRY_MAX: usize = 10;

#[derive(Debug, Clone)]
struct Chunk {
    next: u32,
    used: u8,
    bytes: [u8; CHUNK],
}

/// One list: where it begins and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    head: u32,
    tail: u32,
    hour: u32,
}

impl Chain {
    /// An empty list.
    pub(crate) const EMPTY: Chain = Chain { head: NONE, tail: NONE, hour: 0 };
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
        let mut entry = Entry::default();
        put(&mut entry, ((gap << 1) ^ (gap >> 63)) as u64);
        put(&mut entry, u64::from(count));
        let room = match self.chunks.get(chain.tail as usize) {
            Some(chunk) => CHUNK - chunk.used as usize,
            None => 0,
        };
        if room < entry.used {
            let new = self.chunks.len() as u32;
            self.chunks.push(Chunk { next: NONE, used: 0, bytes: [0; CHUNK] });
            match self.chunks.get_mut(chain.tail as usize) {
                Some(chunk) => chunk.next = new,
                None => chain.head = new,
            }
            chain.tail = new;
        }
        let chunk = &mut self.chunks[chain.tail as usize];
        let used = chunk.used as usize;
        chunk.bytes[used..used + entry.used].copy_from_slice(&entry.bytes[..entry.used]);
        chunk.used += entry.used as u8;
        chain.hour = hour;
    }

    /// The hours of a list with their counts, in the order in which they were added.
    pub(crate) fn of(&self, chain: Chain) -> impl Iterator<Item = (u32, u32)> {
        let mut at = chain.head;
        let mut rest: &[u8] = &[];
        let mut hour = 0i64;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                let chunk = self.chunks.get(at as usize)?;
                rest = &chunk.bytes[..chunk.used as usize];
                at = chunk.next;
            }
            let gap = take(&mut rest)?;
            hour += (gap >> 1) as i64 ^ -((gap & 1) as i64);
            Some((hour as u32, take(&mut rest)? as u32))
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
            entries in prop::collection::vec((0..3usize, any::<u32>(), any::<u32>()), 0..200)
        ) {
            let mut hours = Hours::default();
            let mut chains = [Chain::EMPTY; 3];
            for &(list, hour, count) in &entries {
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
}
