//! When each database was noted last, found without a lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many databases are told apart; all others are one: "somewhere". The file has one place of
/// 512 bytes for each, so it has at most 4 MiB.
pub(super) const DATABASES_MAX: u32 = 8191;

/// Twice as many entries as databases, so that few lie far from their own place.
const ENTRIES: usize = 2 * (DATABASES_MAX as usize + 1);

/// The place of a database: its number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// Where changes are noted whose database is not known.
    pub(super) const SOMEWHERE: Place = Place(0);
    /// Of a database that was never noted.
    pub(super) const UNKNOWN: Place = Place(u32::MAX);

    pub(super) fn number(self) -> u32 {
        self.0
    }
}

/// A database is known by 64 bits of a hash with a random key: nobody can make two that are taken
/// for one.
struct Entry {
    /// 0 is an empty entry.
    hash: AtomicU64,
    place: AtomicU32,
}

pub(super) struct Databases {
    key: RandomState,
    entries: Vec<Entry>,
    /// By place: milliseconds of a clock that nobody sets, plus one; 0 for never.
    noted: Vec<AtomicU64>,
    count: AtomicU32,
}

impl Databases {
    pub(super) fn new() -> Databases {
        let entry = || Entry { hash: AtomicU64::new(0), place: AtomicU32::new(0) };
        Databases {
            key: RandomState::new(),
            entries: (0..ENTRIES).map(|_| entry()).collect(),
            noted: (0..=DATABASES_MAX).map(|_| AtomicU64::new(0)).collect(),
            count: AtomicU32::new(0),
        }
    }

    pub(super) fn find(&self, name: &[u8]) -> Place {
        match self.entry(self.hash(name)) {
            (entry, true) => Place(entry.place.load(Ordering::Relaxed)),
            _ => Place::UNKNOWN,
        }
    }

    /// Gives a database its place; by one at a time.
    pub(super) fn add(&self, name: &[u8]) -> Place {
        let hash = self.hash(name);
        let (entry, is_known) = self.entry(hash);
        if is_known {
            return Place(entry.place.load(Ordering::Relaxed));
        }
        let count = self.count.load(Ordering::Relaxed);
        if count == DATABASES_MAX {
            return Place::SOMEWHERE;
        }
        self.count.store(count + 1, Ordering::Relaxed);
        entry.place.store(count + 1, Ordering::Relaxed);
        entry.hash.store(hash, Ordering::Release);
        Place(count + 1)
    }

    /// Whether it was noted within the pause.
    pub(super) fn is_fresh(&self, place: Place, now: u64, pause: u64) -> bool {
        let Some(noted) = self.noted.get(place.0 as usize) else { return false };
        let noted = noted.load(Ordering::Relaxed);
        noted != 0 && now.saturating_add(1).saturating_sub(noted) < pause
    }

    pub(super) fn noted(&self, place: Place, now: u64) {
        if let Some(noted) = self.noted.get(place.0 as usize) {
            noted.store(now + 1, Ordering::Relaxed);
        }
    }

    fn hash(&self, name: &[u8]) -> u64 {
        self.key.hash_one(name).max(1)
    }

    /// The entry with this hash, or the empty one where it belongs: half of all stay empty.
    fn entry(&self, hash: u64) -> (&Entry, bool) {
        let mut at = hash as usize % ENTRIES;
        loop {
            match self.entries[at].hash.load(Ordering::Acquire) {
                0 => return (&self.entries[at], false),
                found if found == hash => return (&self.entries[at], true),
                _ => at = (at + 1) % ENTRIES,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noted_once_in_a_pause() {
        let databases = Databases::new();
        assert_eq!(databases.find(b"shop"), Place::UNKNOWN);
        assert!(!databases.is_fresh(Place::UNKNOWN, 0, 1000));
        let shop = databases.add(b"shop");
        assert_eq!((databases.add(b"shop"), databases.find(b"shop")), (shop, shop));
        assert_ne!(databases.add(b"cms"), shop);
        assert!(!databases.is_fresh(shop, 0, 1000));
        databases.noted(shop, 0);
        assert!(databases.is_fresh(shop, 0, 1000));
        assert!(databases.is_fresh(shop, 999, 1000));
        assert!(!databases.is_fresh(shop, 1000, 1000));
    }

    #[test]
    fn bounds() {
        let databases = Databases::new();
        for number in 1..=DATABASES_MAX {
            assert_eq!(databases.add(format!("d{number}").as_bytes()), Place(number));
        }
        assert_eq!(databases.add(b"one more"), Place::SOMEWHERE);
        assert_eq!(databases.find(b"one more"), Place::UNKNOWN);
        assert_eq!(databases.find(b"d1"), Place(1));
    }
}
