//! Counts per server, user and client host, in memory: what one batch of records adds up to.
//!
//! One look-up a record, no allocation on a hit: the `user,host` slice is hashed as it stands in the
//! log and compared with a copy in one arena.

use crate::clock::HOUR;
use crate::hours::{Chain, Hours};
use crate::timeline::Slot;
use formats::Peer;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};
use std::hint::select_unpredictable;
use std::ops::Range;

/// The longest `user,host` that is counted. A name has at most 128 characters of four bytes, a host
/// name 255; a longer one is no name that a server can hold.
pub const PEER_BYTES_MAX: usize = 1024;

/// 9999-12-31T23:59:59.999999Z, the last moment that RFC 3339 can write.
const TIME_MAX: i64 = 253_402_300_799_999_999;

const NONE: u32 = u32::MAX;

/// A moment with the hour it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Microseconds UTC.
    pub(crate) utc: i64,
    /// Hours since 1970.
    pub(crate) hour: u32,
    /// Microseconds since the hour began.
    pub(crate) in_hour: u32,
}

impl Moment {
    /// Times before 1970 or after 9999 are moved to the nearest that can be written.
    pub(crate) fn new(utc: i64) -> Self {
        let utc = utc.clamp(0, TIME_MAX);
        Moment { utc, hour: (utc / HOUR) as u32, in_hour: (utc % HOUR) as u32 }
    }

    /// From its hour's first microsecond to the one behind it.
    fn whole_hour(self) -> Range<i64> {
        let start = i64::from(self.hour) * HOUR;
        start..start + HOUR
    }
}

/// Refusals of one hour, and behind it those of other hours.
#[derive(Debug, Clone, Copy)]
struct Tally {
    hour: u32,
    count: u32,
    first: u32,
    last: u32,
    /// The index of the next one in `spilled`.
    next: u32,
}

impl Tally {
    const EMPTY: Tally = Tally { hour: 0, count: 0, first: 0, last: 0, next: NONE };

    fn slot(&self) -> Slot {
        let start = i64::from(self.hour) * HOUR;
        Slot {
            start,
            day: false,
            count: u64::from(self.count),
            first: start + i64::from(self.first),
            last: start + i64::from(self.last),
        }
    }
}

/// Texts of this many bytes, `user,host`, stand in the name itself.
pub(crate) const SHORT: usize = 48;

/// One user from one host on one server: one cache line, so that a record waits for memory once.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
struct Name {
    key: Key,
    /// The `user,host` slice, zeros behind it; a longer one stands in the arena.
    text: [u8; SHORT],
    /// Where in the arena.
    far: u32,
}

const _: () = assert!(size_of::<Name>() == 64);

/// What is counted of a pair, half a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
struct Count {
    current: InHour,
    /// The newest login; `i64::MAX` for none.
    last: i64,
    /// The newest sign of a session; `i64::MIN` for none.
    active: i64,
    /// Logins of other hours.
    hours: Chain,
}

const _: () = assert!(size_of::<Count>() == 32);

impl Count {
    const EMPTY: Count =
        Count { current: InHour(0), last: i64::MAX, active: i64::MIN, hours: Chain::EMPTY };
}

/// An hour, in the upper half, and the logins in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InHour(u64);

impl InHour {
    /// One login in this hour.
    #[inline(always)]
    fn one(hour: u32) -> InHour {
        InHour(u64::from(hour) << 32 | 1)
    }

    fn hour(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn logins(self) -> u32 {
        self.0 as u32
    }

    /// The same with a login more, or not; and whether it is over: the login is of another hour, that of `one`, or
    /// one more than the 2,147,483,648 that are counted here.
    #[inline(always)]
    fn step(self, one: InHour, login: bool) -> (InHour, bool) {
        let next = self.0 + u64::from(login);
        let over = login & (next.wrapping_sub(one.0) >> 31 != 0);
        (InHour(select_unpredictable(over, one.0, next)), over)
    }
}

/// What is compared before the text: its length, that of the user name, the server's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(u64);

impl Key {
    #[inline(always)]
    fn new(server: u32, text_bytes: usize, user_bytes: usize) -> Key {
        Key(text_bytes as u64 | (user_bytes as u64) << 16 | u64::from(server) << 32)
    }

    #[inline(always)]
    fn text_bytes(self) -> usize {
        self.0 as u16 as usize
    }

    fn user_bytes(self) -> usize {
        (self.0 >> 16) as u16 as usize
    }

    fn server(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl Name {
    fn text<'a>(&'a self, arena: &'a [u8]) -> &'a [u8] {
        let bytes = self.key.text_bytes();
        self.text.get(..bytes).unwrap_or_else(|| &arena[self.far as usize..][..bytes])
    }
}

/// A short text in words, zeros behind it.
#[derive(Debug, Clone, Copy)]
struct Words([u64; SHORT / 8]);

impl Words {
    /// Of these bytes so many, at most [`SHORT`], without a branch on how many: that cannot be foreseen.
    #[inline(always)]
    fn of(bytes: &[u8; SHORT], count: usize) -> Words {
        /// From the place on that is as far from its middle as a text is long: a mask for that text.
        const KEPT: [u8; 2 * SHORT] = {
            let mut kept = [0; 2 * SHORT];
            let mut i = 0;
            while i < SHORT {
                kept[i] = 0xff;
                i += 1;
            }
            kept
        };
        let kept = KEPT[SHORT - count.min(SHORT)..].first_chunk().expect("half of it");
        let (bytes, kept) = (Words::all(bytes), Words::all(kept));
        Words(std::array::from_fn(|i| bytes.0[i] & kept.0[i]))
    }

    #[inline(always)]
    fn all(bytes: &[u8; SHORT]) -> Words {
        let (words, _) = bytes.as_chunks();
        Words(std::array::from_fn(|i| u64::from_le_bytes(words[i])))
    }

    #[inline(always)]
    fn are(&self, other: &Words) -> bool {
        (0..SHORT / 8).fold(0, |differ, i| differ | (self.0[i] ^ other.0[i])) == 0
    }

    /// A keyed hash: who does not know the keys cannot make two that are the same, nor that a product is zero.
    #[inline(always)]
    fn hash(&self, keys: &[u64; SHORT / 8], key: Key) -> u64 {
        let fold = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        };
        let [a, b, c, d, e, f] = std::array::from_fn(|i| self.0[i] ^ keys[i]);
        let (begin, middle, end) = (fold(a, b), fold(c, d), fold(e, f));
        begin ^ middle.rotate_left(23) ^ end.rotate_left(46) ^ key.0
    }
}

/// A pair that is looked for, whose text is short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought {
    key: Key,
    text: Words,
}

impl Sought {
    /// The pair on this server whose text is so many of these bytes, so many of them the user name, if they are
    /// no more than [`SHORT`].
    #[inline(always)]
    pub(crate) fn new(
        server: u32,
        bytes: &[u8; SHORT],
        count: usize,
        user_bytes: usize,
    ) -> Option<Sought> {
        let key = Key::new(server, count, user_bytes);
        (count <= SHORT).then(|| Sought { key, text: Words::of(bytes, count) })
    }
}

/// What a record says of a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) pair: u32,
    /// Microseconds UTC, those of a [`Moment`].
    pub(crate) at: i64,
    /// It is a login.
    pub(crate) login: bool,
    /// It is a sign of a session.
    pub(crate) active: bool,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    index: HashTable<u32>,
    names: Vec<Name>,
    counts: Vec<Count>,
    /// The oldest login of each; `i64::MAX` for none.
    first: Vec<i64>,
    hours: Hours,
    /// Finished hours of pairs with their logins, not in `hours` yet: put away many at a time, because
    /// each waits for memory.
    /// Only the first `waiting` have a meaning.
    finished: Vec<(u32, InHour)>,
    waiting: usize,
    /// The texts that are too long for a name.
    arena: Vec<u8>,
    spilled: Vec<Tally>,
    /// Refusals by pair and error number.
    refused: hashbrown::HashMap<(u32, u32), Tally, foldhash::fast::RandomState>,
    hasher: foldhash::fast::RandomState,
    keys: Keys,
}

/// Keys of the hash, chosen anew for each table: whoever writes the names cannot know which collide.
#[derive(Debug)]
struct Keys([u64; SHORT / 8]);

impl Default for Keys {
    fn default() -> Self {
        let key = |n: usize| foldhash::quality::RandomState::default().hash_one(n);
        Keys(std::array::from_fn(key))
    }
}

/// One pair's counts, as handed on to the ledger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairView<'a> {
    pub(crate) server: u32,
    pub(crate) user: &'a [u8],
    pub(crate) host: &'a [u8],
    /// The oldest login.
    pub(crate) first: Option<i64>,
    /// The newest login.
    pub(crate) last: Option<i64>,
    /// The newest sign of a session.
    pub(crate) active: Option<i64>,
}

impl Pairs {
    /// The number of the pair that this probably is; some number where it is none. Touches only the
    /// index, so that many can be looked up at once.
    #[inline(always)]
    pub(crate) fn guess(&self, sought: &Sought) -> u32 {
        let mut guess = NONE;
        let _ = self.index.find(sought.text.hash(&self.keys.0, sought.key), |&number| {
            guess = number;
            true
        });
        guess
    }

    /// Whether it is the pair of this number.
    #[inline(always)]
    pub(crate) fn is(&self, number: u32, sought: &Sought) -> bool {
        self.names.get(number as usize).is_some_and(|name| {
            (name.key == sought.key) && sought.text.are(&Words::all(&name.text))
        })
    }

    /// Has the memory of several pairs fetched, all at once.
    #[inline(always)]
    pub(crate) fn touch(&self, numbers: &[u32]) {
        let mut keys = 0;
        for &number in numbers {
            keys |= self.names.get(number as usize).map_or(0, |name| name.key.0);
        }
        std::hint::black_box(keys);
    }

    /// The number of this pair on this server, made if it is new. The peer must not be longer than
    /// [`PEER_BYTES_MAX`].
    #[inline(never)]
    pub(crate) fn find_or_add(&mut self, server: u32, peer: Peer<'_>) -> u32 {
        let (text, key) = (peer.joined(), Key::new(server, peer.joined().len(), peer.user_bytes()));
        let hash = self.hash(key, text);
        let (names, arena) = (&self.names, &self.arena);
        let found = self.index.find(hash, |&i| {
            let name = &names[i as usize];
            name.key == key && name.text(arena) == text
        });
        match found {
            Some(&number) => number,
            None => self.add(hash, key, text),
        }
    }

    /// A keyed hash. Texts of usual length are mixed without a branch on their length; foldhash does the others.
    fn hash(&self, key: Key, text: &[u8]) -> u64 {
        hash(&self.hasher, &self.keys, key, text)
    }

    #[cold]
    #[inline(never)]
    fn add(&mut self, hash: u64, key: Key, text: &[u8]) -> u32 {
        let number = self.names.len() as u32;
        let far = self.arena.len() as u32;
        let short = short(text);
        if short.is_none() {
            self.arena.extend_from_slice(text);
        }
        self.names.push(Name { key, text: short.unwrap_or([0; SHORT]), far });
        self.counts.push(Count::EMPTY);
        self.first.push(i64::MAX);
        let (hasher, keys, names, arena) = (&self.hasher, &self.keys, &self.names, &self.arena);
        self.index.insert_unique(hash, number, |&i| {
            let name = &names[i as usize];
            crate::pairs::hash(hasher, keys, name.key, name.text(arena))
        });
        number
    }

    /// Counts logins, or not, and notes signs of sessions, or not, without a branch on whether: that cannot be
    /// foreseen.
    pub(crate) fn steps(&mut self, steps: impl ExactSizeIterator<Item = Step>) {
        let room = self.waiting + steps.len();
        if room > self.finished.len() {
            self.finished.resize(2 * room, (0, InHour(0)));
        }
        let (counts, first) = (&mut self.counts[..], &mut self.first[..]);
        let (finished, mut waiting) = (&mut self.finished[..], self.waiting);
        let mut hour = 0..HOUR;
        let mut one = InHour::one(0);
        for Step { pair: number, at, login, active } in steps {
            if !hour.contains(&at) {
                let moment = Moment::new(at);
                hour = moment.whole_hour();
                one = InHour::one(moment.hour);
            }
            let count = &mut counts[number as usize];
            count.active = count.active.max(select_unpredictable(active, at, i64::MIN));
            finished[waiting] = (number, count.current);
            let (current, over) = count.current.step(one, login);
            waiting += usize::from(over);
            count.current = current;
            // An end is seldom older either: to ask whether it is a login would be the worse branch.
            if at < count.last {
                older(count, &mut first[number as usize], at, login);
            } else {
                count.last = select_unpredictable(login, at, count.last);
            }
        }
        self.waiting = waiting;
    }

    /// Puts finished hours away. To be called before logins are asked for, and often enough that few are
    /// waiting.
    pub(crate) fn settle(&mut self) {
        for some in self.finished[..self.waiting].chunks(32) {
            // Has the memory of all fetched at once.
            let mut places = 0;
            for &(number, _) in some {
                places |= self.hours.room(self.counts[number as usize].hours);
            }
            std::hint::black_box(places);
            // The first login of a pair finishes an hour without any.
            for &(number, hour) in some.iter().filter(|(_, hour)| hour.logins() > 0) {
                self.hours.push(
                    &mut self.counts[number as usize].hours,
                    hour.hour(),
                    hour.logins(),
                );
            }
        }
        self.waiting = 0;
    }

    /// Notes a sign of a session.
    #[inline(always)]
    pub(crate) fn active(&mut self, pair: u32, at: Moment) {
        let count = &mut self.counts[pair as usize];
        count.active = count.active.max(at.utc);
    }

    /// Counts a refused attempt.
    pub(crate) fn refused(&mut self, pair: u32, error: u32, at: Moment) {
        let tally = self.refused.entry((pair, error)).or_insert(Tally::EMPTY);
        count(tally, &mut self.spilled, at);
    }

    /// Adds all counts of `other`, which is settled; `servers` gives this table's number for each server
    /// of `other`. Returns this table's number for each pair of `other`.
    pub(crate) fn absorb(&mut self, mut other: Pairs, servers: &[u32]) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(other.names.len());
        let moved = self.hours.take_over(std::mem::take(&mut other.hours));
        for ((name, count), &first) in other.names.iter().zip(&other.counts).zip(&other.first) {
            let peer = Peer::new(name.text(&other.arena), name.key.user_bytes());
            let number = self.find_or_add(servers[name.key.server() as usize], peer);
            let mine = &mut self.counts[number as usize];
            mine.active = mine.active.max(count.active);
            mine.last = match (mine.last, count.last) {
                (last, i64::MAX) | (i64::MAX, last) => last,
                (a, b) => a.max(b),
            };
            let mine_first = &mut self.first[number as usize];
            *mine_first = first.min(*mine_first);
            // In the order of time where `other` goes on from here.
            let (own, theirs) = (mine.current, count.current);
            if own.logins() > 0 && theirs.logins() > 0 && own.hour() <= theirs.hour() {
                self.hours.push(&mut mine.hours, own.hour(), own.logins());
                mine.current = InHour(0);
            }
            self.hours.append(&mut mine.hours, count.hours, moved);
            if mine.current.logins() == 0 {
                mine.current = theirs;
            } else if theirs.logins() > 0 {
                self.hours.push(&mut mine.hours, theirs.hour(), theirs.logins());
            }
            numbers.push(number);
        }
        for (&(pair, error), tally) in &other.refused {
            let mine = self.refused.entry((numbers[pair as usize], error)).or_insert(Tally::EMPTY);
            for tally in other.chain(tally) {
                merge(mine, &mut self.spilled, tally);
            }
        }
        numbers
    }

    /// About how many bytes of memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.names.len() * (size_of::<Name>() + size_of::<Count>() + size_of::<i64>())
            + self.hours.bytes()
            + self.arena.len()
            + self.spilled.len() * size_of::<Tally>()
            + self.index.capacity() * 5
            + self.refused.capacity() * (size_of::<((u32, u32), Tally)>() + 1)
    }

    /// A pair by its number.
    pub(crate) fn get(&self, number: u32) -> PairView<'_> {
        let (name, count) = (&self.names[number as usize], &self.counts[number as usize]);
        let known = |at: i64| (at != i64::MIN && at != i64::MAX).then_some(at);
        let (user, host) = name.text(&self.arena).split_at(name.key.user_bytes());
        PairView {
            server: name.key.server(),
            user,
            host: &host[1..],
            first: known(self.first[number as usize]),
            last: known(count.last),
            active: known(count.active),
        }
    }

    /// Every pair's number, sorted by server, user and host (nearly), so that the ledger's tree is filled
    /// from one end to the other.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = u32> {
        let mut keys: Vec<(u64, u32)> = self
            .names
            .iter()
            .zip(0..)
            .map(|(name, number)| (name.key.server().into(), number))
            .collect();
        keys.sort_unstable();
        for server in keys.chunk_by_mut(|a, b| a.0 == b.0) {
            self.sort_from(server, 0);
        }
        keys.into_iter().map(|(_, number)| number)
    }

    /// Sorts the numbers of pairs whose texts are alike up to `start`: by eight bytes, and those that
    /// are alike in these too by the next. (That the comma sorts behind a few other characters costs
    /// nothing but a little order.)
    fn sort_from(&self, keys: &mut [(u64, u32)], start: usize) {
        let mut longest = 0;
        for (key, number) in &mut *keys {
            let text = self.names[*number as usize].text(&self.arena);
            longest = longest.max(text.len());
            let mut word = [0; 8];
            let part = &text[start.min(text.len())..(start + 8).min(text.len())];
            word[..part.len()].copy_from_slice(part);
            *key = u64::from_be_bytes(word);
        }
        keys.sort_unstable();
        if longest > start + 8 {
            for alike in keys.chunk_by_mut(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
                self.sort_from(alike, start + 8);
            }
        }
    }

    /// The hours since 1970 in which a pair logged in, and how often; oldest first as a rule, but an hour
    /// may come twice, and after a later one.
    pub(crate) fn hours(&self, number: u32) -> impl Iterator<Item = (u32, u32)> {
        let Count { current, hours, .. } = self.counts[number as usize];
        let current = (current.logins() > 0).then_some((current.hour(), current.logins()));
        self.hours.of(hours).chain(current)
    }

    /// The login slots of a pair, appended to `slots`; not normalized. Only their hours and counts are
    /// kept: first and last are those of the hours.
    pub(crate) fn logins(&self, number: u32, slots: &mut Vec<Slot>) {
        let slot =
            |(hour, logins): (u32, u32)| Slot::counted(i64::from(hour) * HOUR, logins.into());
        slots.extend(self.hours(number).map(slot));
    }

    /// The numbers of all pairs, in the order in which they came.
    pub(crate) fn numbers(&self) -> std::ops::Range<u32> {
        0..self.names.len() as u32
    }

    /// Whether the pair logged in.
    pub(crate) fn has_logins(&self, pair: u32) -> bool {
        self.counts[pair as usize].last != i64::MAX
    }

    /// The refusals as (pair, error), sorted.
    pub(crate) fn refusals(&self) -> Vec<(u32, u32)> {
        let mut all: Vec<(u32, u32)> = self.refused.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// The slots of one refusal, appended to `slots`; not normalized.
    pub(crate) fn refusal(&self, key: (u32, u32), slots: &mut Vec<Slot>) {
        slots.extend(self.chain(&self.refused[&key]).map(Tally::slot));
    }

    fn chain<'a>(&'a self, tally: &'a Tally) -> impl Iterator<Item = &'a Tally> {
        let first = (tally.count > 0).then_some(tally);
        std::iter::successors(first, |tally| self.spilled.get(tally.next as usize))
    }
}

/// A login that is the pair's first, or older than its newest.
#[cold]
#[inline(never)]
fn older(count: &mut Count, first: &mut i64, at: i64, login: bool) {
    if !login {
        return;
    }
    *first = at.min(*first);
    if count.last == i64::MAX {
        count.last = at;
    }
}

fn count(tally: &mut Tally, spilled: &mut Vec<Tally>, at: Moment) {
    if tally.hour != at.hour || tally.count == 0 || tally.count == u32::MAX {
        spill(tally, spilled, at.hour);
        tally.first = at.in_hour;
        tally.last = at.in_hour;
    }
    tally.count += 1;
    tally.first = tally.first.min(at.in_hour);
    tally.last = tally.last.max(at.in_hour);
}

/// Puts the current hour away and starts another.
#[cold]
fn spill(tally: &mut Tally, spilled: &mut Vec<Tally>, hour: u32) {
    if tally.count > 0 {
        spilled.push(*tally);
        *tally = Tally { next: spilled.len() as u32 - 1, ..Tally::EMPTY };
    }
    tally.hour = hour;
}

fn merge(into: &mut Tally, spilled: &mut Vec<Tally>, from: &Tally) {
    if into.hour != from.hour || into.count == 0 || into.count.checked_add(from.count).is_none() {
        spill(into, spilled, from.hour);
        into.first = from.first;
        into.last = from.last;
    }
    into.count += from.count;
    into.first = into.first.min(from.first);
    into.last = into.last.max(from.last);
}

/// The text with zeros behind it, if it is short.
fn short(text: &[u8]) -> Option<[u8; SHORT]> {
    let mut bytes = [0; SHORT];
    bytes.get_mut(..text.len())?.copy_from_slice(text);
    Some(bytes)
}

fn hash(state: &foldhash::fast::RandomState, keys: &Keys, key: Key, text: &[u8]) -> u64 {
    match short(text) {
        Some(bytes) => Words::all(&bytes).hash(&keys.0, key),
        None => {
            let mut hasher = state.build_hasher();
            hasher.write_u64(key.0);
            hasher.write(text);
            hasher.finish()
        }
    }
}

/// Equality of slices of the same length, without a call for the short ones that names are.
#[inline(always)]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let n = a.len();
    if !(16..=48).contains(&n) || b.len() != n {
        return a == b;
    }
    let wide =
        |s: &[u8], i: usize| u128::from_le_bytes(s[i..i + 16].try_into().expect("sixteen bytes"));
    let middle = 16.min(n - 16);
    (wide(a, 0) ^ wide(b, 0))
        | (wide(a, middle) ^ wide(b, middle))
        | (wide(a, n - 16) ^ wide(b, n - 16))
        == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn equality_of_short_slices() {
        for n in 0..80 {
            let a: Vec<u8> = (0..n as u8).collect();
            assert!(same(&a, &a.clone()));
            for i in 0..n {
                let mut b = a.clone();
                b[i] ^= 1;
                assert!(!same(&a, &b), "length {n}, byte {i}");
            }
        }
    }

    #[test]
    fn an_hour_is_over_with_the_next_or_when_it_is_full() {
        let one = InHour::one(7);
        let full = InHour(one.0 + (1 << 31) - 1);
        let of = |hour: u32, logins: u32| InHour(u64::from(hour) << 32 | u64::from(logins));
        assert_eq!(full.logins(), 1 << 31);
        for (before, after, over) in [
            (InHour(0), one, true),
            (of(7, 1), of(7, 2), false),
            (of(7, (1 << 31) - 1), full, false),
            (full, one, true),
            (of(6, 3), one, true),
            (of(6, u32::MAX), one, true),
            (of(8, 3), one, true),
        ] {
            assert_eq!(before.step(one, true), (after, over), "{before:?}");
            assert_eq!(before.step(one, false), (before, false), "{before:?}");
        }
    }

    #[test]
    fn what_stands_behind_a_text_does_not_count() {
        let mut pairs = Pairs::default();
        let log: [u8; 2 * SHORT] = std::array::from_fn(|i| b'a' + (i % 26) as u8);
        let other = log.map(|byte| byte ^ 1);
        let mut guessed = 0;
        for count in 2..=SHORT + 1 {
            let number = pairs.find_or_add(3, Peer::new(&log[..count], 1));
            let mut bytes: [u8; SHORT] = other[..SHORT].try_into().unwrap();
            let kept = count.min(SHORT);
            bytes[..kept].copy_from_slice(&log[..kept]);
            let Some(sought) = Sought::new(3, &bytes, count, 1) else {
                assert!(count > SHORT);
                continue;
            };
            guessed += usize::from(pairs.guess(&sought) == number);
            assert!(pairs.is(number, &sought), "{count}");
            bytes[count - 1] ^= 1;
            let another = Sought::new(3, &bytes, count, 1).unwrap();
            assert!(!pairs.is(number, &another), "{count}");
        }
        assert!(guessed > SHORT / 2, "{guessed}");
        assert_eq!(pairs.get(SHORT as u32 - 1).host, &log[2..SHORT + 1]);
    }

    #[test]
    fn a_comma_in_a_name_does_not_join_two_pairs() {
        let mut pairs = Pairs::default();
        let a = pairs.find_or_add(0, Peer::new(b"a,b,c", 1));
        let b = pairs.find_or_add(0, Peer::new(b"a,b,c", 3));
        assert_ne!(a, b);
        assert_eq!(pairs.get(a).host, b"b,c");
        assert_eq!(pairs.get(b).user, b"a,b");
    }

    proptest! {
        /// Each step may be a login, a sign of a session, both or nothing, at times in any order.
        #[test]
        fn steps_add_up(
            steps in prop::collection::vec((0..40_000_000i64, any::<bool>(), any::<bool>()), 1..80)
        ) {
            let mut pairs = Pairs::default();
            let pair = pairs.find_or_add(0, Peer::new(b"u,h", 1));
            for some in steps.chunks(32) {
                pairs.steps(some.iter().map(|&(at, login, active)| {
                    Step { pair, at: at * 1000, login, active }
                }));
                pairs.settle();
            }
            let times = |wanted: fn(&(i64, bool, bool)) -> bool| {
                steps.iter().filter(move |step| wanted(step)).map(|step| step.0 * 1000)
            };
            let view = pairs.get(pair);
            prop_assert_eq!(view.first, times(|step| step.1).min());
            prop_assert_eq!(view.last, times(|step| step.1).max());
            prop_assert_eq!(view.active, times(|step| step.2).max());
            let (mut found, mut hours) = (BTreeMap::new(), BTreeMap::new());
            for (hour, logins) in pairs.hours(pair) {
                *found.entry(hour).or_insert(0) += logins;
            }
            for at in times(|step| step.1) {
                *hours.entry((at / HOUR) as u32).or_insert(0) += 1;
            }
            prop_assert_eq!(found, hours);
        }
    }

    #[test]
    fn absorbing_equals_counting_together() {
        let events: Vec<(u32, &[u8], i64)> = (0..5000)
            .map(|i: i64| {
                ((i % 2) as u32, [&b"u,h"[..], b"v,h", b"u,i"][(i % 3) as usize], i * HOUR / 7)
            })
            .collect();
        let fill = |part: &[(u32, &[u8], i64)]| {
            let mut pairs = Pairs::default();
            for &(server, joined, at) in part {
                let pair = pairs.find_or_add(server, Peer::new(joined, 1));
                pairs.steps(std::iter::once(Step { pair, at, login: true, active: true }));
                pairs.refused(pair, 1045, Moment::new(at));
            }
            pairs.settle();
            pairs
        };
        let view = |pairs: &Pairs| {
            let mut all = Vec::new();
            for number in pairs.sorted() {
                let pair = pairs.get(number);
                let (mut logins, mut refused) = (Vec::new(), Vec::new());
                pairs.logins(number, &mut logins);
                pairs.refusal((number, 1045), &mut refused);
                crate::timeline::normalize(&mut logins, 0);
                crate::timeline::normalize(&mut refused, 0);
                let moments = (pair.first, pair.last, pair.active);
                all.push((
                    pair.server,
                    pair.user.to_vec(),
                    pair.host.to_vec(),
                    moments,
                    logins,
                    refused,
                ));
            }
            all
        };
        let whole = fill(&events);
        let mut parts = fill(&events[3000..]);
        parts.absorb(fill(&events[..3000]), &[0, 1]);
        assert_eq!(view(&whole), view(&parts));
    }
}
