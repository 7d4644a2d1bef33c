//! Which logins can be believed: a login waits for [`SETTLING`] before it counts, and what the records
//! around it contradict is contested instead.
//!
//! Names stand raw in `server_audit` logs, so whoever is refused can write lines:
//!
//! ```text
//! 10:04:51,db1,victim,10.0.0.9,4242,0,CONNECT,shop,,0           ┐ one name with a line break:
//! 10:04:51,db1,x,127.0.0.66,328,0,FAILED_CONNECT,,,1045         ┘ each line is a whole record
//! 10:04:51,db1,victim,10.0.0.9,4242,0,CONNECT,shop,,0           ┐ and once more
//! 10:04:51,db1,x,127.0.0.66,328,0,DISCONNECT,,,0                ┘
//! ```
//!
//! What gives them away:
//!
//! * A connection begins once: a login whose id begins again within [`SETTLING`], or begins as one user
//!   and ends as another ([`Reason::IdTwice`]).
//! * A long name is cut in the first of the two records only, so what it forges stands once, between
//!   them; and the two then differ. A refused change of user is written once, right behind the lines
//!   that its name has made ([`Reason::InRefusedName`]).
//! * Ids rise. A handshake is given up after [`LATE`], so no login has an id below one that was in use
//!   before that; nor one far above all that follow ([`Reason::IdOutOfPlace`]). A restart is told by what
//!   follows: ids go on from the low one.
//!
//! # Invariants
//! * What is said of a login depends on the records from [`LATE`] before it to [`SETTLING`] behind it and
//!   on the last beginning before these, in their order; not on how the log was cut. A stretch that
//!   begins in the middle of a log keeps its first records ([`Stretch::head`]), and whoever knows what
//!   stands before them judges them.
//! * Nothing here counts: whoever calls is told of each login once, as settled or as contested.

use crate::clock::HOUR;
use formats::Reason;

/// A login is settled when its source goes on for longer than a handshake usually takes
/// (`connect_timeout` is 10 s by default) without a contradiction.
pub(crate) const SETTLING: i64 = 15_000_000;

/// Handshakes are given up after `connect_timeout`, which is seldom raised above 30 s.
const LATE: i64 = 30_000_000;

/// Stamps of neighbours may step back by so much.
pub(crate) const STEP_BACK: i64 = 2_000_000;

/// The clock goes on in steps of so many microseconds, a power of two: 8.4 s. They are steps of time, not of
/// the log, so that it does not matter where reading began.
const STEP_BITS: u32 = 23;

/// The clock goes on to a time that so many records in a row have reached: a forged stamp alone moves
/// nothing. A name has room for three records.
const AGREE: usize = 8;

/// An id that is higher than the one before by more than this is looked at again. A handshake is late by
/// thousands of ids.
const JUMP: u64 = 10_000;

/// How many beginnings behind a doubtful id are looked at.
const FOLLOWERS: usize = 64;

/// A stamp this far from those before and behind it is none of a server's clock. Summer time moves less.
const FAR: i64 = 2 * HOUR;

/// The clock is put to a stamp that is further back than this, if records agree on it.
const BACK: i64 = 60_000_000;

/// How many neighbours a stamp is held against on each side.
const NEIGHBOURS: usize = AGREE;

/// The records that one name can hold lie so close together, in bytes.
const NAME_BYTES: u64 = 512;

/// Behind the login that a name has forged it has room for one more record at most.
const NAME_RECORDS: usize = 2;

/// Where the end of a refused login does not come, a name may have spoiled it: then logins so close behind
/// it are doubted, in bytes. Others may have written in between.
const SPOILED_BYTES: u64 = 2 << 10;

/// The same where its name is long.
const SPOILED_LONG_BYTES: u64 = 16 << 10;

/// A first login after a restart has an id below this; it need not be followed up to be believed.
const LOW_ID: u64 = 100;

/// The most refusals known whose end did not come yet: that there are some is enough to look closely.
const REFUSED_MAX: usize = 64;

/// The most records kept of the beginning of a stretch, and of its end in the ledger. At more than 1,000
/// records a second less than [`LATE`] is known across a cut.
pub(crate) const EDGE_MAX: usize = 100_000;

/// What a connection record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Deed {
    Login,
    /// A login with a name so long that it may have been cut.
    LoginLong,
    Refused,
    RefusedLong,
    End,
    /// A change of user that names the new one.
    Change,
    /// One that does not.
    ChangeUnnamed,
    ChangeRefused,
}

impl Deed {
    pub(crate) const ALL: [Deed; 8] = [
        Deed::Login,
        Deed::LoginLong,
        Deed::Refused,
        Deed::RefusedLong,
        Deed::End,
        Deed::Change,
        Deed::ChangeUnnamed,
        Deed::ChangeRefused,
    ];

    #[inline(always)]
    fn begins(self) -> bool {
        (self as u8) < Deed::End as u8
    }

    #[inline(always)]
    fn refuses(self) -> bool {
        matches!(self, Deed::Refused | Deed::RefusedLong)
    }

    fn changes(self) -> bool {
        matches!(self, Deed::Change | Deed::ChangeUnnamed)
    }

    fn is_login(self) -> bool {
        matches!(self, Deed::Login | Deed::LoginLong | Deed::Change)
    }
}

/// A record of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    /// Microseconds UTC.
    pub(crate) at: i64,
    pub(crate) id: u64,
    /// Where it stands: the ledger's number of the file, the offset, how many bytes.
    pub(crate) file: i64,
    pub(crate) offset: u64,
    pub(crate) bytes: u16,
    pub(crate) deed: Deed,
    pub(crate) mark: Mark,
    pub(crate) pair: u32,
}

/// What is known of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark(pub(crate) u8);

impl Mark {
    const TWICE: u8 = 1;
    const IN_NAME: u8 = 2;
    const MISPLACED: u8 = 4;
    const CONTESTED: u8 = Mark::TWICE | Mark::IN_NAME | Mark::MISPLACED;
    /// Its id is not above one that was in use long before.
    const LOW: u8 = 8;
    /// Its id is far above the one before.
    const HIGH: u8 = 16;
    /// The same id began before or begins again, or a refusal before it has not ended.
    const CLOSELY: u8 = 32;
    /// Told of already, or to be told of by others.
    pub(crate) const TOLD: u8 = 64;
    /// Its stamp is far from the one before.
    const APART: u8 = 128;

    #[inline(always)]
    pub(crate) fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    fn reason(self) -> Option<Reason> {
        match self.0 {
            bits if bits & Mark::TWICE != 0 => Some(Reason::IdTwice),
            bits if bits & Mark::IN_NAME != 0 => Some(Reason::InRefusedName),
            bits if bits & Mark::MISPLACED != 0 => Some(Reason::IdOutOfPlace),
            _ => None,
        }
    }
}

/// What a judge knows beside the records it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) end: Place,
    pub(crate) clock: i64,
    pub(crate) floor: Option<u64>,
    pub(crate) last_id: Option<u64>,
}

/// Where an id began last: the item with this number, or an earlier one that is forgotten.
#[derive(Debug, Clone, Copy)]
struct Recent {
    id: u64,
    number: u64,
}

/// Follows the connections of one server and judges its logins.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    /// Up to `told`: context. Up to `seen`: those that wait. Then those that were not looked at yet.
    items: Vec<Item>,
    told: usize,
    seen: usize,
    /// How many items were forgotten from the front of `items`.
    forgotten: u64,
    /// Where an id of the last records began, by its low bits.
    recent: Vec<Recent>,
    clock: i64,
    /// The stamp of the last record looked at.
    stamp: i64,
    /// The last beginning that is older than [`LATE`], and how far beginnings were looked through for it.
    floor: Option<u64>,
    old: usize,
    /// The id that began last.
    last_id: Option<u64>,
    /// The file and the offset up to which it has seen the log.
    end: Place,
    /// Refused logins whose end did not come yet, by their numbers.
    refused: Vec<u64>,
}

/// A place in a log: the ledger's number of the file, and the offset in it.
pub(crate) type Place = (i64, u64);

const RECENT_MIN: usize = 256;

impl Default for Judge {
    fn default() -> Self {
        Judge {
            items: Vec::new(),
            told: 0,
            seen: 0,
            forgotten: 0,
            recent: vec![Recent { id: 0, number: u64::MAX }; RECENT_MIN],
            clock: i64::MIN,
            stamp: i64::MIN,
            floor: None,
            old: 0,
            last_id: None,
            end: (0, 0),
            refused: Vec::new(),
        }
    }
}

impl Judge {
    /// The next record.
    #[inline(always)]
    pub(crate) fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    /// Looks at what was pushed, and tells of the logins whose time has come.
    pub(crate) fn run(&mut self, mut tell: impl FnMut(&Item, Option<Reason>)) {
        while self.seen < self.items.len() {
            self.step(&mut tell);
        }
        if self.told > 4096 && self.old.min(self.told) > self.items.len() / 2 {
            self.forget();
        }
    }

    /// Looks at the next record, which is there.
    #[inline(always)]
    fn step(&mut self, tell: &mut impl FnMut(&Item, Option<Reason>)) {
        let item = self.items[self.seen];
        if item.at >> STEP_BITS != self.stamp >> STEP_BITS {
            self.advance(tell);
        }
        self.stamp = item.at;
        self.look(item);
        self.seen += 1;
    }

    #[inline(always)]
    fn look(&mut self, item: Item) {
        let number = self.forgotten + self.seen as u64;
        let place = item.id as usize & (self.recent.len() - 1);
        let recent = self.recent[place];
        let known = (recent.id == item.id)
            & (recent.number.wrapping_sub(self.forgotten) < self.seen as u64);
        if item.deed.begins() {
            let low = self.floor.is_some_and(|floor| item.id <= floor);
            let high = self.last_id.is_some_and(|last| item.id > last.saturating_add(JUMP));
            if known | low | high | !self.refused.is_empty() | item.deed.refuses() {
                self.doubtful_beginning(known.then_some(recent.number), low, high);
            }
            self.recent[place] = Recent { id: item.id, number };
            self.last_id = Some(item.id);
        } else if item.deed == Deed::End {
            if known {
                let beginning = &self.items[(recent.number - self.forgotten) as usize];
                if (beginning.pair != item.pair) | beginning.deed.refuses() {
                    self.doubtful_end((recent.number - self.forgotten) as usize);
                }
            }
        } else {
            self.changed();
        }
    }

    #[cold]
    #[inline(never)]
    fn doubtful_beginning(&mut self, earlier: Option<u64>, low: bool, high: bool) {
        let item = self.items[self.seen];
        let mark = &mut self.items[self.seen].mark.0;
        *mark |= if low { Mark::LOW } else { 0 };
        *mark |= if high { Mark::HIGH } else { 0 };
        self.look_for_refused(&item);
        let Some(earlier) = earlier.map(|number| (number - self.forgotten) as usize) else {
            return;
        };
        if item.id == 0 || !near(&self.items[earlier], &item) {
            return;
        }

        if self.items[earlier].deed.refuses() && item.deed.refuses() {
            // What a name has made of a refusal, and the rest of it.
            self.mark_between(earlier, Mark::IN_NAME);
        }
        self.items[earlier].mark.0 |= Mark::CLOSELY;
        self.items[self.seen].mark.0 |= Mark::CLOSELY;
    }

    /// Whether the item may be part of a refused name; or is a refusal itself.
    fn look_for_refused(&mut self, item: &Item) {
        let (forgotten, items) = (self.forgotten, &self.items);
        let begun = |number: &u64| number.checked_sub(forgotten).map(|at| items[at as usize]);
        self.refused.retain(|number| begun(number).is_some_and(|it| beside(&it, item)));
        if item.deed.refuses() {
            if self.refused.len() == REFUSED_MAX {
                self.refused.remove(0);
            }
            self.refused.push(forgotten + self.seen as u64);
        } else if !self.refused.is_empty() {
            self.items[self.seen].mark.0 |= Mark::CLOSELY;
        }
    }

    /// The end of a connection that began otherwise, or whose name may have been cut.
    #[cold]
    #[inline(never)]
    fn doubtful_end(&mut self, beginning: usize) {
        let (from, item) = (self.items[beginning], self.items[self.seen]);
        if item.id == 0 || !beside(&from, &item) {
            return;
        }
        match from.deed {
            Deed::Login if near(&from, &item) => {
                // A change of user in between, or a name that was cut, gives it another.
                let between = &self.items[beginning..self.seen];
                if !between.iter().any(|it| it.id == item.id && it.deed.changes()) {
                    self.items[beginning].mark.0 |= Mark::TWICE;
                }
            }
            Deed::Login | Deed::LoginLong => {}
            _ => {
                let number = self.forgotten + beginning as u64;
                self.refused.retain(|&refused| refused != number);
                if from.pair != item.pair || from.deed == Deed::RefusedLong {
                    self.mark_between(beginning, Mark::IN_NAME);
                }
            }
        }
    }

    /// A change of user: how the lines before it came about.
    #[cold]
    #[inline(never)]
    fn changed(&mut self) {
        let item = self.items[self.seen];
        for i in (0..self.seen).rev() {
            let before = self.items[i];
            let beside = before.file == item.file
                && self.seen - i <= NAME_RECORDS
                && before.offset.saturating_add(NAME_BYTES) > item.offset;
            let twin = before.deed == Deed::Change
                && (before.id, before.pair, before.at) == (item.id, item.pair, item.at);
            if item.deed == Deed::Change && twin {
                self.items[i].mark.0 |= Mark::TWICE;
                self.items[self.seen].mark.0 |= Mark::TWICE;
            }
            if item.deed == Deed::ChangeRefused && beside && before.id != item.id {
                self.items[i].mark.0 |= Mark::IN_NAME;
            }
            if !beside && !near(&before, &item) {
                break;
            }
        }
    }

    /// Marks the logins behind the item `from` and before the one that is looked at.
    fn mark_between(&mut self, from: usize, mark: u8) {
        for item in &mut self.items[from + 1..self.seen] {
            if item.deed.is_login() {
                item.mark.0 |= mark;
            }
        }
    }

    /// The clock goes on: tells of those whose time has come.
    #[cold]
    #[inline(never)]
    fn advance(&mut self, tell: &mut impl FnMut(&Item, Option<Reason>)) {
        let at = self.items[self.seen].at;
        if self.stamp != i64::MIN && at.abs_diff(self.stamp) > FAR as u64 {
            self.items[self.seen].mark.0 |= Mark::APART;
        }
        let last = &self.items[(self.seen + 1).saturating_sub(AGREE)..=self.seen];
        if last.len() < AGREE {
            return;
        }
        let agreed = last.iter().map(|item| item.at).min().unwrap_or(self.clock);
        // A step back is the end of summer time, or a clock that was put right.
        if agreed <= self.clock && agreed >= self.clock.saturating_sub(BACK) {
            return;
        }
        self.clock = agreed;
        self.tell_to(self.seen, agreed - SETTLING, tell);
        while self.old < self.told {
            let item = &self.items[self.old];
            if item.at >= agreed - LATE && item.at <= agreed + BACK {
                break;
            }
            if item.deed.begins() && !item.mark.has(Mark::CONTESTED) {
                self.floor = Some(item.id);
            }
            self.old += 1;
        }
        let wanted = (4 * (self.seen - self.old)).next_power_of_two();
        if wanted > self.recent.len() {
            self.grow(wanted);
        }
    }

    fn grow(&mut self, places: usize) {
        self.recent = vec![Recent { id: 0, number: u64::MAX }; places];
        for (item, number) in self.items[..self.seen].iter().zip(self.forgotten..) {
            if item.deed.begins() {
                self.recent[item.id as usize & (places - 1)] = Recent { id: item.id, number };
            }
        }
    }

    /// Tells of the items before `end`, up to the first that is newer than `until`.
    fn tell_to(&mut self, end: usize, until: i64, tell: &mut impl FnMut(&Item, Option<Reason>)) {
        while self.told < end {
            let item = &self.items[self.told];
            // A stamp ahead of those behind it holds back nobody.
            let ahead = item.at > until
                && item.at > self.clock.saturating_add(BACK)
                && self.told + AGREE <= self.seen;
            if item.at > until && !ahead {
                break;
            }
            if item.deed.is_login() {
                self.tell(self.told, tell);
            }
            self.told += 1;
        }
    }

    #[inline(always)]
    fn tell(&mut self, index: usize, tell: &mut impl FnMut(&Item, Option<Reason>)) {
        let doubtful = Mark::CONTESTED | Mark::LOW | Mark::HIGH | Mark::CLOSELY | Mark::APART;
        if self.items[index].mark.has(doubtful) {
            self.judge(index);
        }
        // What others tell of is judged all the same: it is what those behind it are judged by.
        let item = &mut self.items[index];
        if !item.mark.has(Mark::TOLD) {
            item.mark.0 |= Mark::TOLD;
            tell(item, item.mark.reason());
        }
    }

    /// Weighs what speaks against a login.
    #[cold]
    #[inline(never)]
    fn judge(&mut self, index: usize) {
        let item = self.items[index];
        if item.mark.has(Mark::CLOSELY) && self.is_twice(index) {
            self.items[index].mark.0 |= Mark::TWICE;
        }
        if item.mark.has(Mark::CLOSELY) && self.is_spoiled(index) {
            self.items[index].mark.0 |= Mark::IN_NAME;
        }
        if item.mark.has(Mark::LOW) && self.floor_of(index).is_some() && !self.is_restart(index) {
            self.items[index].mark.0 |= Mark::MISPLACED;
        }
        if item.mark.has(Mark::APART) && self.is_apart(index) {
            self.items[index].mark.0 |= Mark::MISPLACED;
        }
        if item.mark.has(Mark::HIGH) {
            let (mut followers, mut lower) = (0, 0);
            for follower in self.followers(index).filter(|it| it.deed.is_login()) {
                followers += 1;
                lower += usize::from(follower.id.saturating_add(JUMP) < item.id);
            }
            if followers > 0 && lower == followers {
                self.items[index].mark.0 |= Mark::MISPLACED;
            }
        }
    }

    /// The next beginnings behind an item, while it waits.
    fn followers(&self, index: usize) -> impl Iterator<Item = &Item> {
        let item = self.items[index];
        self.items[index + 1..self.seen]
            .iter()
            .take_while(move |it| it.at <= item.at.saturating_add(SETTLING))
            .filter(|it| it.deed.begins())
            .take(FOLLOWERS)
    }

    /// The id that was in use last long before this item, if it is not below that of the item.
    fn floor_of(&self, index: usize) -> Option<u64> {
        let item = &self.items[index];
        let mut before = self.items[..index].iter().rev().filter(|it| it.deed.begins());
        let long_before =
            before.find(|it| it.at < item.at.saturating_sub(LATE) && !it.mark.has(Mark::CONTESTED));
        long_before.map(|it| it.id).or(self.floor).filter(|&floor| floor >= item.id)
    }

    /// Whether ids start again with this item, as far as what follows tells: no higher one comes.
    fn is_restart(&self, index: usize) -> bool {
        let item = self.items[index];
        let Some(floor) = self.floor_of(index) else { return false };
        let mut followers = self.followers(index).filter(|it| it.id != item.id).peekable();
        if followers.peek().is_none() {
            // A higher one before it may have been forged: then it goes on from those before that.
            let goes_on = |it: &Item| it.id < item.id && item.id - it.id <= LOW_ID;
            return item.id < LOW_ID
                || self.items[..index].iter().any(|it| it.deed.begins() && goes_on(it));
        }
        // The first of a new life is low; others come after it.
        let young = || {
            item.id < LOW_ID
                || self.items[..index].iter().any(|it| {
                    it.mark.has(Mark::LOW) && !it.mark.has(Mark::CONTESTED) && it.id < item.id
                })
        };
        let mut highest = item.id;
        followers.all(|it| {
            let goes_on = it.id <= floor || it.id <= highest.saturating_add(LOW_ID) && young();
            highest = highest.max(it.id);
            goes_on
        })
    }

    /// Whether the stamp is that of nobody near: before all those before it, or behind all behind it.
    fn is_apart(&self, index: usize) -> bool {
        let at = self.items[index].at;
        let before = &self.items[index.saturating_sub(NEIGHBOURS)..index];
        let behind = &self.items[index + 1..self.seen.min(index + 1 + NEIGHBOURS)];
        before.iter().any(|b| {
            behind.iter().any(|a| {
                b.at <= a.at.saturating_add(STEP_BACK) && (at < b.at - FAR || at > a.at + FAR)
            })
        })
    }

    /// Whether the id of this item began once more nearby, in the same life of the server.
    fn is_twice(&self, index: usize) -> bool {
        let item = self.items[index];
        let same = |&i: &usize| {
            let it = &self.items[i];
            i != index && it.id == item.id && it.deed.begins() && near(it, &item)
        };
        let others: Vec<usize> = (0..self.seen).filter(same).collect();
        let twins = |a: &Item, b: &Item| (a.at, a.pair) == (b.at, b.pair);
        if others.iter().any(|&i| twins(&self.items[i], &item)) {
            return true;
        }
        others.iter().any(|&i| {
            // A name that was written twice has forged both of those: they say nothing of this one.
            let twin = |&other: &usize| other != i && twins(&self.items[other], &self.items[i]);
            let restarts = |j: usize| self.items[j].mark.has(Mark::LOW) && self.is_restart(j);
            !others.iter().any(twin) && !(i.min(index) + 1..=i.max(index)).any(restarts)
        })
    }

    /// Whether a refusal stands close before this item whose end never comes. In a log without ends none
    /// does.
    fn is_spoiled(&self, index: usize) -> bool {
        let item = self.items[index];
        let spoils = |i: usize| {
            let before = &self.items[i];
            let bytes = match before.deed {
                Deed::Refused => SPOILED_BYTES,
                Deed::RefusedLong => SPOILED_LONG_BYTES,
                _ => return false,
            };
            let ended =
                |it: &Item| it.deed == Deed::End && it.id == before.id && beside(it, before);
            // Its end may stand where reading has not come to yet.
            let over = self.items[i..self.seen].last().is_some_and(|last| {
                self.seen - i > NAME_RECORDS + 1
                    || !near(last, before)
                    || last.offset > before.offset.saturating_add(bytes)
            });
            before.file == item.file
                && over
                && item.offset < before.offset.saturating_add(bytes)
                && !self.items[i..self.seen].iter().any(ended)
        };
        self.items[..self.seen].iter().any(|it| it.deed == Deed::End)
            && (0..index)
                .rev()
                .take_while(|&i| {
                    let before = &self.items[i];
                    before.file == item.file
                        && item.offset < before.offset.saturating_add(SPOILED_LONG_BYTES)
                })
                .any(spoils)
    }

    fn forget(&mut self) {
        let gone = self.old.min(self.told);
        self.items.drain(..gone);
        self.forgotten += gone as u64;
        (self.told, self.seen, self.old) = (self.told - gone, self.seen - gone, self.old - gone);
    }

    /// Tells of all that are not newer than `until`.
    pub(crate) fn finish(&mut self, until: i64, mut tell: impl FnMut(&Item, Option<Reason>)) {
        for index in self.told..self.seen {
            let item = self.items[index];
            if item.at <= until && item.deed.is_login() && !item.mark.has(Mark::TOLD) {
                self.tell(index, &mut tell);
            }
        }
    }

    /// What is known beside the records.
    pub(crate) fn known(&self) -> Known {
        Known { end: self.end, clock: self.clock, floor: self.floor, last_id: self.last_id }
    }

    /// A judge that goes on behind these records, all of which were looked at.
    pub(crate) fn of(items: Vec<Item>, known: Known) -> Judge {
        let Known { end, clock, floor, last_id } = known;
        let stamp = items.last().map_or(i64::MIN, |item| item.at);
        let seen = items.len();
        let mut judge =
            Judge { items, seen, clock, stamp, floor, last_id, end, ..Judge::default() };
        let refusals = judge.items.iter().enumerate().rev().filter(|(_, it)| it.deed.refuses());
        for (i, item) in refusals.take(REFUSED_MAX) {
            let ends = |it: &Item| it.deed == Deed::End && it.id == item.id;
            if !judge.items[i..].iter().any(ends) {
                judge.refused.insert(0, i as u64);
            }
        }
        judge.grow((4 * seen).next_power_of_two().max(RECENT_MIN));
        judge
    }

    /// Takes logins over that wait elsewhere.
    pub(crate) fn adopt<'a>(&mut self, waiting: impl Iterator<Item = &'a Item>) {
        let before = self.items.len();
        self.items.extend(waiting);
        if self.items.len() > before {
            self.items.sort_by_key(|item| item.at);
            let known = self.known();
            *self = Judge::of(std::mem::take(&mut self.items), known);
        }
    }

    /// Those that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Item> {
        let waiting = self.items[self.told..self.seen].iter();
        waiting.filter(|item| item.deed.is_login() && !item.mark.has(Mark::TOLD))
    }

    /// Those that wait, judged by what is known so far.
    pub(crate) fn outlook(&self, tell: impl FnMut(&Item, Option<Reason>)) {
        self.clone().finish(i64::MAX, tell);
    }

    /// The records that what follows is judged by, the newest [`EDGE_MAX`] of them.
    pub(crate) fn context(&self) -> &[Item] {
        let kept = self.clock.saturating_sub(LATE + SETTLING);
        let from = self.items.iter().position(|item| item.at >= kept).unwrap_or(self.items.len());
        let long_before = self.items[..from].iter().rposition(|it| it.deed.begins());
        let from = long_before.unwrap_or(from).min(self.items.len().saturating_sub(AGREE));
        &self.items[from.min(self.told).max(self.items.len().saturating_sub(EDGE_MAX))..]
    }

    /// The record looked at last.
    pub(crate) fn last(&self) -> Option<&Item> {
        self.items.last()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Item>() + self.recent.len() * size_of::<Recent>()
    }
}

/// Do the two stand so close together that a name may have written what is between them, whatever their
/// stamps say?
fn beside(a: &Item, b: &Item) -> bool {
    near(a, b) || (a.file == b.file && a.offset.abs_diff(b.offset) < SPOILED_LONG_BYTES)
}

/// Are the two no further apart than a login waits?
fn near(a: &Item, b: &Item) -> bool {
    a.at.abs_diff(b.at) <= SETTLING as u64
}

/// One unbroken piece of log, of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stretch {
    judge: Judge,
    start: u64,
    /// The first records, to be judged by whoever knows what stands before them: those before `border`
    /// are told of by nobody else, those behind it are what they are judged by.
    head: Vec<Item>,
    border: Option<usize>,
    /// There is more than the head.
    headed: bool,
    /// Told of by the judge while it was not known whether there is more than the head.
    owed: Vec<(Item, Option<Reason>)>,
}

impl Stretch {
    #[inline(always)]
    pub(crate) fn push(&mut self, item: Item) {
        self.judge.push(item);
    }

    /// Looks at what was pushed, and tells of the logins that are not part of the head.
    pub(crate) fn run(&mut self, mut tell: impl FnMut(&Item, Option<Reason>)) {
        while !self.headed && self.judge.seen < self.judge.items.len() {
            self.grow_head();
            self.judge.step(&mut |item, reason| self.owed.push((*item, reason)));
        }
        if self.headed {
            self.owed.drain(..).for_each(|(item, reason)| tell(&item, reason));
            self.judge.run(tell);
        }
    }

    /// Takes the next record into the head, if it belongs there.
    fn grow_head(&mut self) {
        let i = self.judge.seen;
        let full = self.head.len() >= EDGE_MAX;
        if self.border.is_none() && (full || self.judge.floor.is_some()) {
            // From here on as much is known as is kept.
            self.border = Some(self.head.len());
        }
        if let Some(border) = self.border.filter(|&border| border < self.head.len()) {
            let last = &self.judge.items[(i + 1).saturating_sub(AGREE)..=i];
            let agreed = last.iter().map(|item| item.at).min().unwrap_or(i64::MIN);
            if full || agreed > self.head[border].at.saturating_add(SETTLING) {
                self.headed = true;
                return;
            }
        }
        if self.border.is_none() {
            self.judge.items[i].mark.0 |= Mark::TOLD;
        }
        self.head.push(Item { mark: Mark::default(), ..self.judge.items[i] });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.judge.items.is_empty()
    }

    /// Where it stands: the offset at which it begins, and the place at which it ends.
    pub(crate) fn lies(&mut self, start: u64, end: Place) {
        (self.start, self.judge.end) = (start, end);
    }

    /// Does it go on where `judge` stands? It may be the next file, as far as times tell.
    pub(crate) fn follows(&self, judge: &Judge) -> bool {
        let (Some(last), Some(first)) = (judge.last(), self.head.first()) else { return true };
        let (file, offset) = judge.end;
        match file == self.judge.end.0 {
            true => self.start == offset,
            false => self.start == 0 && first.at >= last.at.saturating_sub(STEP_BACK),
        }
    }

    /// Judges the head behind what `judge` has seen; the judge that goes on behind this stretch.
    pub(crate) fn join(
        self,
        mut judge: Judge,
        mut tell: impl FnMut(&Item, Option<Reason>),
    ) -> Judge {
        let border = self.border.filter(|_| self.headed).unwrap_or(self.head.len());
        for (i, mut item) in self.head.into_iter().enumerate() {
            item.mark.0 |= if i >= border { Mark::TOLD } else { 0 };
            judge.push(item);
        }
        judge.run(&mut tell);
        judge.end = self.judge.end;
        if !self.headed {
            return judge;
        }
        judge.finish(i64::MAX, tell);
        self.judge
    }

    /// The same with the pairs of another table.
    pub(crate) fn renumbered(&self, mut number: impl FnMut(u32) -> u32) -> Stretch {
        let mut stretch = self.clone();
        for item in stretch.judge.items.iter_mut().chain(&mut stretch.head) {
            item.pair = number(item.pair);
        }
        stretch
    }

    pub(crate) fn bytes(&self) -> usize {
        self.judge.bytes() + self.head.capacity() * size_of::<Item>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// Records one after another, 60 bytes each: (second, id, deed, pair).
    fn items(records: &[(i64, u64, Deed, u32)]) -> Vec<Item> {
        let item = |(&(second, id, deed, pair), offset): (&(i64, u64, Deed, u32), _)| Item {
            at: second * SECOND,
            id,
            file: 1,
            offset,
            bytes: 60,
            deed,
            mark: Mark::default(),
            pair,
        };
        records.iter().zip((0u64..).step_by(60)).map(item).collect()
    }

    /// What is said of each login: its second, id, pair and reason, in their order.
    fn verdicts(records: &[(i64, u64, Deed, u32)]) -> Vec<(i64, u64, u32, Option<Reason>)> {
        let whole = judged(&items(records), &[]);
        for cut in 0..=records.len() {
            assert_eq!(whole, judged(&items(records), &[cut]), "cut at {cut}");
        }
        whole
    }

    fn judged(items: &[Item], cuts: &[usize]) -> Vec<(i64, u64, u32, Option<Reason>)> {
        let mut found = Vec::new();
        let mut tell = |item: &Item, reason| {
            found.push((item.at / SECOND, item.id, item.pair, reason));
        };
        let mut judge = Judge::default();
        let mut start = 0;
        for &cut in cuts.iter().chain([&items.len()]) {
            let mut stretch = Stretch::default();
            items[start..cut].iter().for_each(|item| stretch.push(*item));
            stretch.run(&mut tell);
            stretch.lies(60 * start as u64, (1, 60 * cut as u64));
            assert!(stretch.is_empty() || stretch.follows(&judge));
            judge = stretch.join(judge, &mut tell);
            let known = judge.known();
            judge = Judge::of(judge.context().to_vec(), known);
            start = cut;
        }
        judge.finish(i64::MAX, &mut tell);
        found.sort_unstable_by_key(|&(at, id, pair, reason)| (at, id, pair, reason));
        found
    }

    use Deed::{Change, ChangeRefused, ChangeUnnamed, End, Login, Refused, RefusedLong};

    /// Logins of pair 0 with rising ids, one a second, each ended.
    fn usual(seconds: std::ops::Range<i64>, first_id: u64) -> Vec<(i64, u64, Deed, u32)> {
        let session = |(second, id)| [(second, id, Login, 0), (second, id, End, 0)];
        seconds.zip(first_id..).flat_map(session).collect()
    }

    fn contested(
        before: i64,
        between: &[(i64, u64, Deed, u32)],
        first_id_after: u64,
        after: i64,
    ) -> Vec<(u64, u32, Reason)> {
        let first_id = 1000;
        let mut records = usual(0..before, first_id);
        records.extend(
            between.iter().map(|&(second, id, deed, pair)| (before + second, id, deed, pair)),
        );
        records.extend(usual(before + 1..before + 1 + after, first_id_after));
        let all = verdicts(&records);
        let logins = records.iter().filter(|it| it.2.is_login()).count();
        assert_eq!(all.len(), logins, "each login is told of once");
        all.iter().filter_map(|&(_, id, pair, reason)| Some((id, pair, reason?))).collect()
    }

    #[test]
    fn clean_logs_are_believed() {
        assert_eq!(contested(100, &[], 1100, 100), []);
        // Some ids are those of internal threads; a slow handshake; a change of user; a refusal.
        assert_eq!(contested(100, &[], 1400, 100), []);
        let late = [(0, 1105, Login, 6), (10, 1100, Login, 7)];
        assert_eq!(contested(100, &late, 1111, 100), []);
        let session = [(0, 1100, Login, 7), (0, 1100, ChangeUnnamed, 9), (1, 1100, End, 8)];
        assert_eq!(contested(100, &session, 1101, 100), []);
        let refusal = [(0, 1100, Refused, 7), (0, 1101, Login, 8), (0, 1100, End, 7)];
        assert_eq!(contested(100, &refusal, 1102, 100), []);
    }

    #[test]
    fn ids_that_start_again_are_believed() {
        assert_eq!(contested(100, &[], 4, 100), []);
        assert_eq!(contested(10, &[], 4, 100), []);
        // Nothing follows: a low id is believed.
        assert_eq!(contested(100, &[(0, 5, Login, 1)], 0, 0), []);
    }

    #[test]
    fn an_id_begins_once() {
        let twice = |other| {
            let between = [(0, 1100, Login, 7), (0, 1100, Login, other)];
            contested(100, &between, 1101, 40)
        };
        assert_eq!(twice(7), [(1100, 7, Reason::IdTwice); 2]);
        assert_eq!(twice(8), [(1100, 7, Reason::IdTwice), (1100, 8, Reason::IdTwice)]);
        // The genuine one comes later, up to 15 seconds.
        let late = |second| {
            let between = [(0, 1100, Login, 7), (second, 1100, Login, 8)];
            contested(100, &between, 1101, 40).len()
        };
        assert_eq!((late(15), late(16)), (2, 0));
        // What was written twice says nothing of the genuine one.
        let between = [(0, 1100, Login, 7), (0, 1100, Login, 7), (1, 1100, Login, 8)];
        assert_eq!(contested(100, &between, 1101, 40), [(1100, 7, Reason::IdTwice); 2]);
        // It ends as somebody else.
        let between = [(0, 1100, Login, 7), (0, 1100, End, 8)];
        assert_eq!(contested(100, &between, 1101, 40), [(1100, 7, Reason::IdTwice)]);
        let between = [(0, 1100, Change, 7), (0, 1100, Change, 7)];
        assert_eq!(contested(100, &between, 1101, 40), [(1100, 7, Reason::IdTwice); 2]);
    }

    #[test]
    fn what_stands_in_a_refused_name_is_contested() {
        let within = |begin, end| {
            let between = [(0, 1100, begin, 3), (0, 1101, Login, 7), (0, 1100, End, end)];
            contested(100, &between, 1102, 40)
        };
        assert_eq!(within(RefusedLong, 3), [(1101, 7, Reason::InRefusedName)]);
        assert_eq!(within(Refused, 4), [(1101, 7, Reason::InRefusedName)]);
        assert_eq!(within(Refused, 3), []);
        // A name has made the beginning of one and spoiled the end.
        let between =
            [(0, 1100, Refused, 3), (0, 1101, Login, 7), (0, 1100, Refused, 4), (0, 1100, End, 4)];
        assert_eq!(contested(100, &between, 1102, 40), [(1101, 7, Reason::InRefusedName)]);
        // Its end never comes: all are doubted for 2 KiB.
        let between = [(0, 1100, Refused, 3), (0, 1101, Login, 7)];
        let found = contested(100, &between, 1102, 40);
        assert_eq!((found[0], found.len()), ((1101, 7, Reason::InRefusedName), 18));
        let between = [(0, 1100, Login, 3), (0, 1101, Login, 7), (0, 1100, ChangeRefused, 4)];
        assert_eq!(contested(100, &between, 1102, 40), [(1101, 7, Reason::InRefusedName)]);
    }

    #[test]
    fn ids_and_stamps_have_their_neighbourhood() {
        let alone = |second, id| contested(100, &[(second, id, Login, 7)], 1100, 40);
        assert_eq!(alone(0, 77), [(77, 7, Reason::IdOutOfPlace)]);
        assert_eq!(alone(0, 1050), [(1050, 7, Reason::IdOutOfPlace)]);
        assert_eq!(alone(0, 1100 + 40 + JUMP), [(1140 + JUMP, 7, Reason::IdOutOfPlace)]);
        assert_eq!(alone(-8000, 1500), [(1500, 7, Reason::IdOutOfPlace)]);
        assert_eq!(alone(8000, 1500), [(1500, 7, Reason::IdOutOfPlace)]);
        assert_eq!(alone(0, 1500), []);
    }
}
