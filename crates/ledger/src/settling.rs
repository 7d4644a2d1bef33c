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
const NEIGHBOURS: usize = 3;

/// The records that one name can hold lie so close together, in bytes.
const NAME_BYTES: u64 = 512;

/// Behind the login that a name has forged it has room for one more record at most.
const NAME_RECORDS: usize = 2;

/// Where the end of a refused login with a long name does not come, a name may have spoiled it: then logins
/// so close behind it are doubted, in bytes.
const SPOILED_BYTES: u64 = 16 << 10;

/// A first login after a restart has an id below this; it need not be followed up to be believed.
const LOW_ID: u64 = 100;

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
    /// The same id began before or begins again.
    const AGAIN: u8 = 32;
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
    /// Refused logins with long names whose end did not come yet, by their numbers.
    long: Vec<u64>,
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
            long: Vec::new(),
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
            let item = self.items[self.seen];
            if item.at != self.stamp {
                if self.stamp != i64::MIN && item.at.abs_diff(self.stamp) > FAR as u64 {
                    self.items[self.seen].mark.0 |= Mark::APART;
                }
                self.stamp = item.at;
                self.advance(&mut tell);
            }
            self.look(item);
            self.seen += 1;
        }
        if self.told > 4096 && self.old.min(self.told) > self.items.len() / 2 {
            self.forget();
        }
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
            if known | low | high | !self.long.is_empty() | (item.deed == Deed::RefusedLong) {
                self.doubtful_beginning(known.then_some(recent.number), low, high);
            }
            self.recent[place] = Recent { id: item.id, number };
            self.last_id = Some(item.id);
        } else if item.deed == Deed::End {
            if known {
                let beginning = &self.items[(recent.number - self.forgotten) as usize];
                if (beginning.pair != item.pair) | (beginning.deed == Deed::RefusedLong) {
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
        self.look_for_long(&item);
        let Some(earlier) = earlier.map(|number| (number - self.forgotten) as usize) else {
            return;
        };
        if item.id == 0 || !near(&self.items[earlier], &item) {
            return;
        }
        let refused = |deed| matches!(deed, Deed::Refused | Deed::RefusedLong);
        if refused(self.items[earlier].deed) && refused(item.deed) {
            // What a name has made of a refusal, and the rest of it.
            self.mark_between(earlier, Mark::IN_NAME);
        }
        self.items[earlier].mark.0 |= Mark::AGAIN;
        self.items[self.seen].mark.0 |= Mark::AGAIN;
    }

    /// Whether the item may be part of a long name, or has one.
    fn look_for_long(&mut self, item: &Item) {
        let (forgotten, items) = (self.forgotten, &self.items);
        let begun = |number: &u64| number.checked_sub(forgotten).map(|at| items[at as usize]);
        self.long.retain(|number| begun(number).is_some_and(|it| near(&it, item)));
        let close = self.long.iter().filter_map(begun).any(|it| {
            it.file == item.file && item.offset < it.offset.saturating_add(SPOILED_BYTES)
        });
        if close && item.deed.is_login() {
            self.items[self.seen].mark.0 |= Mark::IN_NAME;
        }
        if item.deed == Deed::RefusedLong {
            self.long.push(self.forgotten + self.seen as u64);
        }
    }

    /// The end of a connection that began otherwise, or whose name may have been cut.
    #[cold]
    #[inline(never)]
    fn doubtful_end(&mut self, beginning: usize) {
        let (from, item) = (self.items[beginning], self.items[self.seen]);
        if item.id == 0 || !near(&from, &item) {
            return;
        }
        match from.deed {
            Deed::Login => {
                // A change of user in between, or a name that was cut, gives it another.
                let between = &self.items[beginning..self.seen];
                if !between.iter().any(|it| it.id == item.id && it.deed.changes()) {
                    self.items[beginning].mark.0 |= Mark::TWICE;
                }
            }
            _ => {
                let number = self.forgotten + beginning as u64;
                self.long.retain(|&long| long != number);
                self.mark_between(beginning, Mark::IN_NAME);
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
            let item = self.items[self.told];
            // A stamp ahead of those behind it holds back nobody.
            let ahead = item.at > self.clock.saturating_add(BACK) && self.told + AGREE <= self.seen;
            if item.at > until && !ahead {
                break;
            }
            if item.deed.is_login() && !item.mark.has(Mark::TOLD) {
                self.tell(self.told, tell);
            }
            self.told += 1;
        }
    }

    #[inline(always)]
    fn tell(&mut self, index: usize, tell: &mut impl FnMut(&Item, Option<Reason>)) {
        let doubtful = Mark::CONTESTED | Mark::LOW | Mark::HIGH | Mark::AGAIN | Mark::APART;
        if self.items[index].mark.has(doubtful) {
            self.judge(index);
        }
        let item = &mut self.items[index];
        item.mark.0 |= Mark::TOLD;
        tell(item, item.mark.reason());
    }

    /// Weighs what speaks against a login.
    #[cold]
    #[inline(never)]
    fn judge(&mut self, index: usize) {
        let item = self.items[index];
        if item.mark.has(Mark::AGAIN) && self.is_twice(index) {
            self.items[index].mark.0 |= Mark::TWICE;
        }
        if item.mark.has(Mark::LOW) && !self.is_restart(index) {
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

    /// Whether ids start again with this item, as far as what follows tells: no higher one comes.
    fn is_restart(&self, index: usize) -> bool {
        let item = self.items[index];
        let mut before = self.items[..index].iter().rev().filter(|it| it.deed.begins());
        let long_before =
            before.find(|it| it.at < item.at.saturating_sub(LATE) && !it.mark.has(Mark::CONTESTED));
        let Some(floor) = long_before.map(|it| it.id).or(self.floor) else { return true };
        let mut followers = self.followers(index).filter(|it| it.id != item.id).peekable();
        if followers.peek().is_none() {
            return item.id < LOW_ID;
        }
        let mut highest = item.id;
        followers.all(|it| {
            let goes_on = it.id <= floor || it.id <= highest.saturating_add(LOW_ID);
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
        for (i, item) in judge.items.iter().enumerate() {
            let ends = |it: &Item| it.deed == Deed::End && it.id == item.id;
            if item.deed == Deed::RefusedLong && !judge.items[i..].iter().any(ends) {
                judge.long.push(i as u64);
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
        if !self.headed {
            self.grow_head();
        }
        if self.headed {
            self.owed.drain(..).for_each(|(item, reason)| tell(&item, reason));
            self.judge.run(tell);
        } else {
            self.judge.run(|item, reason| self.owed.push((*item, reason)));
        }
    }

    fn grow_head(&mut self) {
        for i in self.judge.seen..self.judge.items.len() {
            let last = &self.judge.items[(i + 1).saturating_sub(AGREE)..=i];
            let agreed = last.iter().map(|item| item.at).min().unwrap_or(i64::MIN);
            let first = self.head.first().map_or(agreed, |item| item.at);
            let full = self.head.len() >= EDGE_MAX;
            match self.border {
                None if full || agreed > first.saturating_add(LATE) => {
                    self.border = Some(self.head.len());
                }
                Some(border) if full || agreed >= self.head[border].at.saturating_add(SETTLING) => {
                    self.headed = true;
                    return;
                }
                _ => {}
            }
            if self.border.is_none() {
                self.judge.items[i].mark.0 |= Mark::TOLD;
            }
            self.head.push(Item { mark: Mark::default(), ..self.judge.items[i] });
        }
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
