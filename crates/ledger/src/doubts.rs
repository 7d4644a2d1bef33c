//! Input that is no record, or none that can be trusted: exact totals and a bounded sample.

use formats::{Doubt, Reason, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};

/// Samples kept per source and reason: enough to judge by, few enough for any log.
pub(crate) const SAMPLES_MAX: usize = 200;

/// Bytes kept of each sample: a name of the greatest length, written twice, and what surrounds it.
pub(crate) const SAMPLE_BYTES_MAX: usize = 2048;

/// One kept piece of input. Samples are ordered by a hash of what they hold, and the lowest are
/// kept: so the choice does not depend on the order of reading, and nobody can push others out by
/// being first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sample {
    pub(crate) rank: i64,
    pub(crate) file: i64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) text: Vec<u8>,
}

/// The doubts of one batch.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    /// Count and bytes by kind.
    pub(crate) totals: BTreeMap<(Standing, Reason), (u64, u64)>,
    pub(crate) samples: BTreeMap<(Standing, Reason), BTreeSet<Sample>>,
}

impl Doubts {
    pub(crate) fn add(
        &mut self,
        file: i64,
        offset: u64,
        length: usize,
        doubt: Doubt,
        bytes: &[u8],
    ) {
        let key = (doubt.standing, doubt.reason);
        let total = self.totals.entry(key).or_default();
        total.0 += 1;
        total.1 += length as u64;
        let text = &bytes[..bytes.len().min(SAMPLE_BYTES_MAX)];
        let rank = rank(text, offset);
        let samples = self.samples.entry(key).or_default();
        if samples.len() < SAMPLES_MAX || samples.last().is_some_and(|last| rank <= last.rank) {
            let text = text.to_vec();
            samples.insert(Sample { rank, file, offset, length: length as u64, text });
            if samples.len() > SAMPLES_MAX {
                samples.pop_last();
            }
        }
    }

    pub(crate) fn absorb(&mut self, other: Doubts) {
        for (key, (count, bytes)) in other.totals {
            let total = self.totals.entry(key).or_default();
            total.0 += count;
            total.1 += bytes;
        }
        for (key, samples) in other.samples {
            let mine = self.samples.entry(key).or_default();
            mine.extend(samples);
            while mine.len() > SAMPLES_MAX {
                mine.pop_last();
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.samples.values().flatten().map(|sample| sample.text.len() + 128).sum()
    }
}

/// The same for the same text at the same place, on every machine and in every run.
fn rank(text: &[u8], offset: u64) -> i64 {
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    hasher.write(text);
    hasher.write_u64(offset);
    hasher.finish() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBT: Doubt = Doubt { standing: Standing::Rejected, reason: Reason::NotARecord };

    #[test]
    fn the_sample_is_bounded_and_does_not_depend_on_order() {
        let fill = |order: &mut dyn Iterator<Item = u64>| {
            let mut doubts = Doubts::default();
            for i in order {
                doubts.add(1, i * 10, 10, DOUBT, format!("line {i}").as_bytes());
            }
            doubts
        };
        let forth = fill(&mut (0..1000));
        let mut halves = fill(&mut (500..1000).rev());
        halves.absorb(fill(&mut (0..500)));
        assert_eq!(forth.samples, halves.samples);
        assert_eq!(forth.totals, halves.totals);
        assert_eq!(forth.samples.values().next().unwrap().len(), SAMPLES_MAX);
        assert_eq!(forth.totals[&(Standing::Rejected, Reason::NotARecord)].0, 1000);
        let few = fill(&mut (0..SAMPLES_MAX as u64));
        assert_eq!(few.samples.values().next().unwrap().len(), SAMPLES_MAX);
    }

    #[test]
    fn a_long_piece_is_kept_in_part() {
        for (length, kept) in
            [(SAMPLE_BYTES_MAX, SAMPLE_BYTES_MAX), (SAMPLE_BYTES_MAX + 1, SAMPLE_BYTES_MAX)]
        {
            let mut doubts = Doubts::default();
            doubts.add(1, 0, length, DOUBT, &vec![b'x'; length]);
            let sample = doubts.samples.values().next().unwrap().first().unwrap();
            assert_eq!((sample.text.len(), sample.length), (kept, length as u64));
        }
    }
}
