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

    /// The moment at this time, which is likely to be of the same hour.
    #[inline(always)]
    pub(crate) fn or_new(self, utc: i64) -> Self {
        let in_hour = utc.wrapping_sub(i64::from(self.hour) * HOUR);
        if (0..HOUR).contains(&in_hour) {
            return Moment { utc, hour: self.hour, in_hour: in_hour as u32 };
        }
        Moment::new(utc)
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

/// Names of this many bytes, `user,host`, stand in the pair itself.
const SHORT: usize = 32;

/// One user from one host on one server: one cache line, so that a record waits for memory once.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
struct Pair {
    key: Key,
    /// The `user,host` slice; a longer one stands in the arena, at the offset in the first four bytes.
    text: [u8; SHORT],
    /// The hour of the last login, and the logins in it.
    hour: u32,
    logins: u32,
    /// The newest login; `i64::MAX` for none.
    last: i64,
    /// The newest sign of a session; `i64::MIN` for none.
    active: i64,
}

const _: () = assert!(size_of::<Pair>() == 64);

/// What is compared before the text: its length, that of the user name, the server's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(u64);

impl Key {
    #[inline(always)]
    fn new(server: u32, peer: Peer<'_>) -> Key {
        let (text, user) = (peer.joined().len() as u64, peer.user_bytes() as u64);
        Key(text | user << 16 | u64::from(server) << 32)
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

impl Pair {
    #[inline(always)]
    fn text<'a>(&'a self, arena: &'a [u8]) -> &'a [u8] {
        let bytes = self.key.text_bytes();
        let short = bytes <= SHORT;
        let start = u32::from_le_bytes([self.text[0], self.text[1], self.text[2], self.text[3]]);
        // Which of the two it is cannot be foreseen.
        let start = select_unpredictable(short, 0, start as usize);
        &select_unpredictable(short, &self.text[..], arena)[start..start + bytes]
    }
}

/// What a record says of a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) pair: u32,
    /// Microseconds UTC.
    pub(crate) at: i64,
    /// It is a login.
    pub(crate) login: bool,
    /// It is a sign of a session.
    pub(crate) active: bool,
}

/// What is seldom needed of a pair: its first login, and its logins of other hours.
#[derive(Debug, Clone, Copy)]
struct Past {
    first: i64,
    hours: Chain,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    index: HashTable<u32>,
    pairs: Vec<Pair>,
    past: Vec<Past>,
    hours: Hours,
    /// Finished hours of pairs with their logins, not in `hours` yet: put away many at a time, because
    /// each waits for memory.
    /// Only the first `waiting` have a meaning.
    finished: Vec<(u32, u32, u32)>,
    waiting: usize,
    /// The names that are too long for a pair.
    arena: Vec<u8>,
    spilled: Vec<Tally>,
    /// Refusals by pair and error number.
    refused: hashbrown::HashMap<(u32, u32), Tally, foldhash::fast::RandomState>,
    hasher: foldhash::fast::RandomState,
    keys: Keys,
}

/// Keys of the hash, chosen anew for each table: whoever writes the names cannot know which collide.
#[derive(Debug)]
struct Keys([u64; 4]);

impl Default for Keys {
    fn default() -> Self {
        Keys([0, 1, 2, 3].map(|n: u64| foldhash::quality::RandomState::default().hash_one(n)))
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
    pub(crate) fn guess(&self, server: u32, peer: Peer<'_>) -> u32 {
        let mut guess = NONE;
        let _ = self.index.find(self.hash(server, peer.joined()), |&number| {
            guess = number;
            true
        });
        guess
    }

    /// The number of the pair, made if it is new. The peer must not be longer than [`PEER_BYTES_MAX`].
    #[inline(always)]
    pub(crate) fn confirm(&mut self, guess: u32, server: u32, peer: Peer<'_>) -> u32 {
        match self.pairs.get(guess as usize) {
            Some(pair) if is_pair(pair, &self.arena, server, peer) => guess,
            _ => self.find_or_add(server, peer),
        }
    }

    /// Has the memory of several pairs fetched, all at once.
    #[inline(always)]
    pub(crate) fn touch(&self, numbers: &[u32]) {
        let mut keys = 0;
        for &number in numbers {
            keys |= self.pairs.get(number as usize).map_or(0, |pair| pair.key.0);
        }
        std::hint::black_box(keys);
    }

    /// [`Pairs::guess`] and [`Pairs::confirm`] at once.
    #[inline(never)]
    pub(crate) fn find_or_add(&mut self, server: u32, peer: Peer<'_>) -> u32 {
        let hash = self.hash(server, peer.joined());
        let (pairs, arena) = (&self.pairs, &self.arena);
        let found = self.index.find(hash, |&i| is_pair(&pairs[i as usize], arena, server, peer));
        match found {
            Some(&pair) => pair,
            None => self.add(hash, server, peer),
        }
    }

    #[inline(always)]
    fn hash(&self, server: u32, joined: &[u8]) -> u64 {
        hash(&self.hasher, &self.keys.0, server, joined)
    }

    #[cold]
    #[inline(never)]
    fn add(&mut self, hash: u64, server: u32, peer: Peer<'_>) -> u32 {
        let number = self.pairs.len() as u32;
        let mut text = [0; SHORT];
        match text.get_mut(..peer.joined().len()) {
            Some(place) => place.copy_from_slice(peer.joined()),
            None => {
                text[..4].copy_from_slice(&(self.arena.len() as u32).to_le_bytes());
                self.arena.extend_from_slice(peer.joined());
            }
        }
        self.pairs.push(Pair {
            text,
            key: Key::new(server, peer),
            hour: 0,
            logins: 0,
            last: i64::MAX,
            active: i64::MIN,
        });
        self.past.push(Past { first: i64::MAX, hours: Chain::EMPTY });
        let (hasher, keys, pairs, arena) = (&self.hasher, &self.keys.0, &self.pairs, &self.arena);
        self.index.insert_unique(hash, number, |&i| {
            let pair = &pairs[i as usize];
            crate::pairs::hash(hasher, keys, pair.key.server(), pair.text(arena))
        });
        number
    }

    /// Counts logins, or not, and notes signs of sessions, or not, without a branch on whether: that cannot be
    /// foreseen.
    pub(crate) fn steps(&mut self, steps: impl ExactSizeIterator<Item = Step>) {
        let room = self.waiting + steps.len();
        if room > self.finished.len() {
            self.finished.resize(2 * room, (0, 0, 0));
        }
        let (pairs, past) = (&mut self.pairs[..], &mut self.past[..]);
        let (finished, mut waiting) = (&mut self.finished[..], self.waiting);
        let mut moment = Moment::new(0);
        for Step { pair: number, at, login, active } in steps {
            moment = moment.or_new(at);
            let (at, hour) = (moment.utc, moment.hour);
            let pair = &mut pairs[number as usize];
            pair.active = pair.active.max(select_unpredictable(active, at, i64::MIN));
            let over = login & ((pair.hour != hour) | (pair.logins == u32::MAX));
            finished[waiting] = (number, pair.hour, pair.logins);
            waiting += usize::from(over & (pair.logins > 0));
            pair.hour = select_unpredictable(login, hour, pair.hour);
            pair.logins = select_unpredictable(over, 0, pair.logins) + u32::from(login);
            // An end is seldom older either: to ask whether it is a login would be the worse branch.
            if at < pair.last {
                older(pair, &mut past[number as usize], at, login);
            }
            pair.last = select_unpredictable(login, pair.last.max(at), pair.last);
        }
        self.waiting = waiting;
    }

    /// Puts finished hours away. To be called before logins are asked for, and often enough that few are
    /// waiting.
    pub(crate) fn settle(&mut self) {
        for some in self.finished[..self.waiting].chunks(32) {
            // Has the memory of all fetched at once.
            let mut places = 0;
            for &(number, ..) in some {
                places |= self.hours.room(self.past[number as usize].hours);
            }
            std::hint::black_box(places);
            for &(number, hour, logins) in some {
                self.hours.push(&mut self.past[number as usize].hours, hour, logins);
            }
        }
        self.waiting = 0;
    }

    /// Notes a sign of a session.
    #[inline(always)]
    pub(crate) fn active(&mut self, pair: u32, at: Moment) {
        let pair = &mut self.pairs[pair as usize];
        pair.active = pair.active.max(at.utc);
    }

    /// Counts a refused attempt.
    pub(crate) fn refused(&mut self, pair: u32, error: u32, at: Moment) {
        let tally = self.refused.entry((pair, error)).or_insert(Tally::EMPTY);
        count(tally, &mut self.spilled, at);
    }

    /// Adds all counts of `other`, which is settled; `servers` gives this table's number for each server
    /// of `other`. Returns this table's number for each pair of `other`.
    pub(crate) fn absorb(&mut self, mut other: Pairs, servers: &[u32]) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(other.pairs.len());
        let moved = self.hours.take_over(std::mem::take(&mut other.hours));
        for pair in &other.pairs {
            let joined = other.joined(pair);
            let peer = Peer::new(joined, pair.key.user_bytes());
            let number = self.find_or_add(servers[pair.key.server() as usize], peer);
            let past = &other.past[numbers.len()];
            let mine = &mut self.pairs[number as usize];
            let mine_past = &mut self.past[number as usize];
            mine.active = mine.active.max(pair.active);
            mine.last = match (mine.last, pair.last) {
                (last, i64::MAX) | (i64::MAX, last) => last,
                (a, b) => a.max(b),
            };
            mine_past.first = mine_past.first.min(past.first);
            // In the order of time where `other` goes on from here.
            if mine.logins > 0 && pair.logins > 0 && mine.hour <= pair.hour {
                self.hours.push(&mut mine_past.hours, mine.hour, mine.logins);
                mine.logins = 0;
            }
            self.hours.append(&mut mine_past.hours, past.hours, moved);
            if mine.logins == 0 {
                (mine.hour, mine.logins) = (pair.hour, pair.logins);
            } else if pair.logins > 0 {
                self.hours.push(&mut mine_past.hours, pair.hour, pair.logins);
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
        self.pairs.len() * (size_of::<Pair>() + size_of::<Past>())
            + self.hours.bytes()
            + self.arena.len()
            + self.spilled.len() * size_of::<Tally>()
            + self.index.capacity() * 5
            + self.refused.capacity() * (size_of::<((u32, u32), Tally)>() + 1)
    }

    /// A pair by its number.
    pub(crate) fn get(&self, number: u32) -> PairView<'_> {
        let pair = &self.pairs[number as usize];
        let known = |at: i64| (at != i64::MIN && at != i64::MAX).then_some(at);
        let (user, host) = self.joined(pair).split_at(pair.key.user_bytes());
        PairView {
            server: pair.key.server(),
            user,
            host: &host[1..],
            first: known(self.past[number as usize].first),
            last: known(pair.last),
            active: known(pair.active),
        }
    }

    /// Every pair's number, sorted by server, user and host (nearly), so that the ledger's tree is filled
    /// from one end to the other.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = u32> {
        let mut keys: Vec<(u64, u32)> = self
            .pairs
            .iter()
            .zip(0..)
            .map(|(pair, number)| (pair.key.server().into(), number))
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
            let text = self.joined(&self.pairs[*number as usize]);
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
        let pair = &self.pairs[number as usize];
        let hours = self.hours.of(self.past[number as usize].hours);
        hours.chain([(pair.hour, pair.logins)]).filter(|(_, logins)| *logins > 0)
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
        0..self.pairs.len() as u32
    }

    /// Whether the pair logged in.
    pub(crate) fn has_logins(&self, pair: u32) -> bool {
        self.pairs[pair as usize].last != i64::MAX
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

    fn joined<'a>(&'a self, pair: &'a Pair) -> &'a [u8] {
        pair.text(&self.arena)
    }

    fn chain<'a>(&'a self, tally: &'a Tally) -> impl Iterator<Item = &'a Tally> {
        let first = (tally.count > 0).then_some(tally);
        std::iter::successors(first, |tally| self.spilled.get(tally.next as usize))
    }
}

/// A login that is the pair's first, or older than its newest.
#[cold]
#[inline(never)]
fn older(pair: &mut Pair, past: &mut Past, at: i64, login: bool) {
    if !login {
        return;
    }
    past.first = past.first.min(at);
    if pair.last == i64::MAX {
        pair.last = at;
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

#[inline(always)]
fn is_pair(pair: &Pair, arena: &[u8], server: u32, peer: Peer<'_>) -> bool {
    pair.key == Key::new(server, peer) && same(pair.text(arena), peer.joined())
}

/// A keyed hash. Names of usual length are mixed without a branch on their length, which cannot be
/// foreseen; foldhash does the others.
#[inline(always)]
fn hash(state: &foldhash::fast::RandomState, keys: &[u64; 4], server: u32, joined: &[u8]) -> u64 {
    let n = joined.len();
    if !(16..=48).contains(&n) {
        let mut hasher = state.build_hasher();
        hasher.write_u32(server);
        hasher.write(joined);
        return hasher.finish();
    }
    let word = |at: usize| u64::from_le_bytes(joined[at..at + 8].try_into().expect("eight bytes"));
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let ends = fold(word(0) ^ keys[0], word(n - 8) ^ keys[1]);
    let inner = fold(word(8) ^ keys[2], word(n - 16) ^ keys[3]);
    let middle = fold(word(16.min(n - 8)) ^ keys[1], word(n.max(24) - 24) ^ keys[2]);
    fold(ends ^ u64::from(server) ^ keys[3], inner ^ middle.rotate_left(23) ^ n as u64 ^ keys[0])
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
