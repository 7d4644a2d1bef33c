//! Which logins can be believed: nothing counts before [`SETTLING`] of its log have gone by, and what the
//! records around it contradict is contested instead.
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
//! * A record is written in one go, so what a name has made stands right before the rest of it. A long
//!   name is cut in the first of the two records only, and then they differ. A refused change of user is
//!   written once: what stands right before it needs a later record to speak for it. Where the rest is no
//!   record any more, that which is rejected gives it away ([`Reason::InRefusedName`]).
//! * Ids rise. A handshake is given up after [`LATE`], so no login has an id below one that was in use
//!   before that; nor one far above all that follow ([`Reason::IdOutOfPlace`]). A restart is told by what
//!   follows: ids go on from the low one.
//!
//! [`Judge`] holds the records of the last minute and looks at each once, cheaply; `rules` weighs what is
//! out of the ordinary; a [`Stretch`] is an unbroken piece of log whose first records wait for those
//! before them.
//!
//! # Invariants
//! * What is said of a login depends on the records from [`LATE`] before it to [`SETTLING`] behind it and
//!   on the last beginning before these, in their order; not on how the log was cut.
//! * Nothing here counts: whoever calls is told of each item once, as settled or as contested.

mod item;
mod rules;
mod stretch;
#[cfg(test)]
mod tests;

pub(crate) use item::{Deed, Item, Mark, name_of, spare_of};
pub(crate) use stretch::Stretch;

use formats::Reason;
pub(crate) use rules::LOW_ID;
use rules::NAME_BYTES;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::hint::select_unpredictable;

/// A login is settled when its source goes on for longer than a handshake usually takes
/// (`connect_timeout` is 10 s by default) without a contradiction.
pub(crate) const SETTLING: i64 = 15_000_000;

/// Handshakes are given up after `connect_timeout`, which is seldom raised above 30 s.
pub(crate) const LATE: i64 = 30_000_000;

/// A stamp that is ahead of those behind it by more than this holds back nobody.
const BACK: i64 = 60_000_000;

/// Time is what so many records in a row have reached: a forged stamp alone moves nothing. A name has
/// room for three records.
const AGREE: usize = 8;

/// An id that is higher than those before by more than this is looked at again. A handshake is late by
/// thousands of ids.
const JUMP: u64 = 10_000;

/// A stamp this far from those before and behind it is none of a server's clock. Summer time moves less.
const FAR: i64 = 2 * crate::clock::HOUR;

/// No login waits for more records than these: ids of so many connections have begun by then that one
/// which is to come within [`JUMP`] has come.
const WAITING_MAX: usize = 32_768;

/// The most records kept of the beginning of a stretch, and behind what is settled. At more than 1,000
/// records a second less than [`LATE`] is known across a cut.
pub(crate) const EDGE_MAX: usize = 2 * WAITING_MAX;

/// Time is asked for and waiting items are told of once in so many records, or less.
const PORTION: usize = 256;

/// Fewer items are not worth forgetting.
const FORGET_MIN: usize = 1024;

/// The most refusals known whose end did not come yet (that there are some is enough to look closely), and the
/// most changes of user that nobody made.
const REFUSED_MAX: usize = 64;

/// A place in a log: the ledger's number of the file, and the offset in it.
pub(crate) type Place = (i64, u64);

/// The times of the last records, of whatever kind. Of so many in a row one at least is not forged: that with
/// which the record begins whose name has made the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Latest {
    times: [i64; Latest::KEPT],
    count: usize,
}

impl Latest {
    pub(crate) const KEPT: usize = 4;

    #[inline(always)]
    pub(crate) fn push(&mut self, at: i64) {
        self.times[self.count % Latest::KEPT] = at;
        self.count += 1;
    }

    /// [`Latest::push`] for each of these.
    #[inline(always)]
    fn extend(&mut self, times: impl DoubleEndedIterator<Item = i64> + ExactSizeIterator) {
        let skipped = times.len().saturating_sub(Latest::KEPT);
        self.count += skipped;
        times.skip(skipped).for_each(|at| self.push(at));
    }

    /// In their order.
    pub(crate) fn times(&self) -> impl ExactSizeIterator<Item = i64> {
        let kept = self.count.min(Latest::KEPT);
        (0..kept).map(move |i| self.times[(self.count - kept + i) % Latest::KEPT])
    }

    /// The time that was reached for certain.
    pub(crate) fn reached(&self) -> Option<i64> {
        self.times().min()
    }

    /// The time that was reached at most.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.times().max()
    }
}

/// Times and ids of the last beginnings of a life that are older than [`LATE`]. A name may have made some of
/// them, and refusals are not asked whether they can be believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Floors(Vec<(i64, u64)>);

impl Floors {
    const KEPT: usize = 8;

    /// The next one; those before it are of another life where its id is 0.
    fn push(&mut self, at: i64, id: u64) {
        if id == 0 {
            return self.0.clear();
        }
        let surplus = (self.0.len() + 1).saturating_sub(Floors::KEPT);
        self.0.drain(..surplus);
        self.0.push((at, id));
    }

    /// The id below which none is, as far as most of them say: those of the same minute, or the last one.
    fn floor(&self, agreed: Agreed) -> Option<u64> {
        let recent = self.0.iter().filter(|(at, _)| !agreed.are_behind(*at, 2 * LATE));
        let mut ids: Vec<u64> = recent.map(|&(_, id)| id).collect();
        ids.sort_unstable();
        let middle = ids.get(ids.len().saturating_sub(1) / 2).copied();
        middle.or(self.last())
    }

    fn last(&self) -> Option<u64> {
        self.ids().last()
    }

    fn ids(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.0.iter().map(|&(_, id)| id)
    }

    /// The oldest first.
    pub(crate) fn all(&self) -> &[(i64, u64)] {
        &self.0
    }

    /// Of the same.
    pub(crate) fn of(all: Vec<(i64, u64)>) -> Floors {
        Floors(all)
    }
}

/// What a judge knows beside the records it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// How far the log was read, and the times of the last records there.
    pub(crate) end: Place,
    pub(crate) latest: Latest,
    /// The last beginnings that are older than [`LATE`].
    pub(crate) floors: Floors,
    /// Times and ids of beginnings after that, which are not kept; the id 0 where they start again.
    pub(crate) past: Vec<(i64, u64)>,
    /// What stands before this byte is doubted, so many records of it.
    pub(crate) spoiled: (u64, usize),
}

/// Who counts what has been judged.
pub(crate) trait Teller {
    /// These items are settled.
    fn settled(&mut self, items: &[Item]);

    /// This item, which stands in this file, is contested.
    fn contested(&mut self, file: i64, item: &Item, reason: Reason);
}

/// Follows the connections of one server and judges its logins.
///
/// Items have numbers: how many came before them, 32 bits of it. That of an item that is forgotten, or of
/// none, is told by its distance.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    /// Up to `told`: context. Up to `seen`: those that wait. Then those that were not looked at yet.
    items: Vec<Item>,
    told: usize,
    seen: usize,
    /// How many items were forgotten from the front of `items`.
    forgotten: u32,
    /// The file of the items from this number on.
    files: Vec<(u32, i64)>,
    /// Where an id began last, by [`Judge::slot`], among the items before `linked`.
    recent: Vec<u32>,
    linked: usize,
    /// Odd, and different in each judge.
    factor: u64,
    /// Numbers of records that begin nothing, rising, by connection and pair, among the items before `listed`:
    /// only if one had to be weighed.
    later: HashMap<(u64, u32), Vec<u32>>,
    listed: usize,
    /// How many items were forgotten when `later` was cleared of such last.
    swept: u32,
    /// Not below any id that began.
    highest: u64,
    /// Some item since the last look at it was not expected.
    surprised: bool,
    /// The stamp of the last item.
    stamp: i64,
    /// The last beginnings that are older than [`LATE`], and how far items were looked through for them.
    floors: Floors,
    old: usize,
    /// Times and ids of beginnings that are forgotten and not older than [`LATE`] yet, as in [`Known`].
    past: Vec<(i64, u64)>,
    /// With the item of this number ids start again.
    restart: Option<u32>,
    /// Numbers of beginnings, rising, with ids so low that they may be the first of another life.
    low: Vec<u32>,
    /// Refused logins whose end did not come yet, by their numbers.
    refused: Vec<u32>,
    /// Ids and times of changes of user that name nobody and are contested: who shows up later did not log in
    /// by them.
    unmade: Vec<(u64, i64)>,
    /// Where names stand that have made records, from and to which byte: news for the other servers of the
    /// log.
    names: Vec<(u64, u64)>,
    /// The file and the offset up to which it has seen the log, and the times of the last records there.
    end: Place,
    latest: Latest,
}

const RECENT_MIN: usize = 256;

/// About how many bytes a connection and pair take in the list of later records.
const LATER: usize = 80;

impl Default for Judge {
    fn default() -> Self {
        Judge {
            items: Vec::new(),
            told: 0,
            seen: 0,
            // So that places without an item are far from all that have one.
            forgotten: EDGE_MAX as u32 * 8,
            files: Vec::new(),
            recent: Vec::new(),
            linked: 0,
            factor: RandomState::new().hash_one(0) | 1,
            later: HashMap::new(),
            listed: 0,
            swept: 0,
            highest: 0,
            surprised: false,
            stamp: i64::MIN,
            floors: Floors::default(),
            old: 0,
            past: Vec::new(),
            restart: None,
            low: Vec::new(),
            refused: Vec::new(),
            unmade: Vec::new(),
            names: Vec::new(),
            end: (0, 0),
            latest: Latest::default(),
        }
    }
}

impl Judge {
    /// The next record.
    fn push(&mut self, item: Item) {
        let apart = u16::from(self.is_apart_from_last(item.at)) * Mark::APART;
        self.extend(std::iter::once(item));
        if let Some(last) = self.items.last_mut() {
            last.mark.0 |= apart;
        }
    }

    /// Whether a record of this time would stand apart from the last one.
    #[inline(always)]
    fn is_apart_from_last(&self, at: i64) -> bool {
        are_apart(self.stamp, at)
    }

    /// The next records, none of which stands apart from the one before; whether all beginnings were to be
    /// expected. Without a branch on what they are, which cannot be foreseen.
    #[inline(always)]
    fn extend(&mut self, items: impl Iterator<Item = Item>) -> bool {
        let mut highest = self.highest;
        let mut all_found = 0;
        self.items.extend(items.map(|item| {
            // Of what begins nothing it is 0: not higher than any.
            let begun = select_unpredictable(item.deed.begins(), item.id, 0);
            let higher = begun > highest;
            let expected = higher & (item.id.wrapping_sub(highest) <= JUMP);
            let found = u16::from(item.deed.begins() & !expected) * Mark::UNEXPECTED;
            highest = select_unpredictable(higher, begun, highest);
            all_found |= found;
            Item { mark: Mark(item.mark.0 & !Mark::FOUND | found), ..item }
        }));
        self.highest = highest;
        self.stamp = self.items.last().map_or(self.stamp, |item| item.at);
        all_found == 0
    }

    /// What is rejected from this byte on may be the last part of a name that has made the records before it,
    /// at most so many; how many more there may be.
    fn spoil(&mut self, from: u64, records: usize) -> usize {
        spoil(self.items[self.told..].iter_mut().rev(), from, records)
    }

    /// Looks at what was pushed, and tells of the items whose time has come.
    fn run(&mut self, teller: &mut impl Teller) {
        while self.seen < self.items.len() {
            self.look((self.seen + PORTION).min(self.items.len()));
            self.tell_due(teller);
        }
        if self.told > FORGET_MIN && self.told > self.items.len() / 2 {
            self.forget();
        }
    }

    /// Looks at the next records, up to this index: few of them are out of the ordinary.
    fn look(&mut self, until: usize) {
        while self.seen < until {
            if self.refused.is_empty() {
                let next = &self.items[self.seen..until];
                let usual = next.iter().position(|item| item.mark.has(Mark::UNUSUAL));
                self.seen += usual.unwrap_or(next.len());
            }
            if self.seen < until {
                self.unusual();
                self.seen += 1;
            }
        }
    }

    /// Tells of those whose time has come.
    fn tell_due(&mut self, teller: &mut impl Teller) {
        let Some(agreed) = self.agreed(self.seen) else { return };
        loop {
            let waiting = &self.items[self.told..self.seen];
            let mut marks = 0;
            let mut due = 0;
            for item in waiting {
                if !agreed.are_behind(item.at, SETTLING) {
                    break;
                }
                marks |= item.mark.0;
                due += 1;
            }
            if marks & Mark::SPECIAL == 0 {
                teller.settled(&waiting[..due]);
                self.told += due;
            } else {
                for _ in 0..due {
                    self.tell_next(teller);
                }
            }
            match self.items[self.told..self.seen].first() {
                Some(item) if is_due(item, agreed, self.seen - self.told) => {
                    self.tell_next(teller);
                }
                _ => return,
            }
        }
    }

    fn tell_next(&mut self, teller: &mut impl Teller) {
        let index = self.told;
        self.tell(index, teller);
        self.told += 1;
    }

    /// Tells of an item, if it is to be told of, in whatever light it stands now.
    fn tell(&mut self, index: usize, teller: &mut impl Teller) {
        let mark = self.items[index].mark;
        if mark.has(Mark::TOLD) {
            return;
        }
        if mark.has(Mark::DOUBTFUL) {
            self.weigh(index);
        }
        let item = &mut self.items[index];
        if mark.has(Mark::FOREIGN) {
            return;
        }
        item.mark.0 |= Mark::TOLD;
        let item = self.items[index];
        match item.mark.reason() {
            None => teller.settled(&[item]),
            Some(reason) => {
                if item.deed == Deed::ChangeUnnamed {
                    self.unmade.truncate(REFUSED_MAX - 1);
                    self.unmade.insert(0, (item.id, item.at));
                }
                teller.contested(self.file_of(index), &item, reason);
            }
        }
    }

    /// From when to when the last records before this index are: a forged stamp among them moves one of the
    /// two only away from what follows of it.
    #[inline(always)]
    fn agreed(&self, index: usize) -> Option<Agreed> {
        let last = self.items[..index].last_chunk::<AGREE>()?;
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for item in last {
            (least, most) = (least.min(item.at), most.max(item.at));
        }
        Some(Agreed { least, most })
    }

    /// Enters the items before this index into `recent`.
    fn link(&mut self, until: usize) {
        // Large enough for few of them to meet in one place.
        let wanted = (2 * until).next_power_of_two().max(RECENT_MIN);
        if wanted > self.recent.len() {
            self.recent = vec![0; wanted];
            self.linked = 0;
        }
        for index in self.linked..until {
            let Item { id, deed, .. } = self.items[index];
            if deed.begins() {
                let (number, slot) = (self.number(index), self.slot(id));
                self.items[index].link = std::mem::replace(&mut self.recent[slot], number);
            }
        }
        self.linked = self.linked.max(until);
    }

    /// The place of an id in `recent`, by a product that nobody can foresee: who chooses ids cannot have many of
    /// them meet.
    fn slot(&self, id: u64) -> usize {
        let bits = self.recent.len().trailing_zeros();
        (id.wrapping_mul(self.factor) >> (u64::BITS - bits)) as usize
    }

    fn number(&self, index: usize) -> u32 {
        self.forgotten.wrapping_add(index as u32)
    }

    /// Whether the item with this number, forgotten or not, stands before this index.
    fn is_before(&self, number: u32, index: usize) -> bool {
        (number.wrapping_sub(self.forgotten) as i32) < index as i32
    }

    /// The index of the item with this number, if it is before `end` and not forgotten.
    fn index(&self, number: u32, end: usize) -> Option<usize> {
        let index = number.wrapping_sub(self.forgotten) as usize;
        (index < end).then_some(index)
    }

    /// Forgets what nothing that comes is judged by.
    fn forget(&mut self) {
        let gone = self.context_from().min(self.told);
        let mut past = std::mem::take(&mut self.past);
        self.note_past(gone, &mut past);
        self.past = past;
        self.items.drain(..gone);
        self.forgotten = self.forgotten.wrapping_add(gone as u32);
        (self.told, self.seen) = (self.told - gone, self.seen - gone);
        self.linked = self.linked.saturating_sub(gone);
        self.listed = self.listed.saturating_sub(gone);
        self.old = self.old.saturating_sub(gone);
        self.forget_later();
        let first = self.files.partition_point(|&(from, _)| self.is_before(from, 1));
        self.files.drain(..first.saturating_sub(1));
        let first = self.low.partition_point(|&low| self.is_before(low, 0));
        self.low.drain(..first);
        self.restart = self.restart.filter(|&number| self.index(number, self.seen).is_some());
        if std::mem::take(&mut self.surprised) {
            let begun = self.items.iter().filter(|item| item.deed.begins());
            self.highest = begun.map(|item| item.id).max().unwrap_or(0);
        }
    }

    /// From where on items are context of what comes.
    fn context_from(&self) -> usize {
        let agreed = self.agreed(self.seen).map_or(i64::MIN, |agreed| agreed.least);
        let kept = agreed.saturating_sub(LATE + SETTLING);
        let from = self.items[..self.seen].iter().position(|item| item.at >= kept);
        let from = from.unwrap_or(self.seen).min(self.told);
        from.max(self.seen.saturating_sub(EDGE_MAX)).min(self.seen.saturating_sub(AGREE))
    }

    /// Tells of all that are not newer than `until`, in whatever light they stand now.
    fn finish(&mut self, until: i64, teller: &mut impl Teller) {
        for index in self.told..self.seen {
            if self.items[index].at <= until {
                self.tell(index, teller);
            }
        }
    }

    /// What is known beside the context.
    fn known(&self) -> Known {
        let mut past = self.past.clone();
        self.note_past(self.context_from(), &mut past);
        Known {
            end: self.end,
            latest: self.latest,
            floors: self.floors.clone(),
            past,
            spoiled: (0, 0),
        }
    }

    /// A judge that goes on behind these records with their files, all of which were looked at.
    pub(crate) fn of(items: Vec<(i64, Item)>, known: Known) -> Judge {
        let Known { end, latest, floors, past, .. } = known;
        let mut judge = Judge { past, end, latest, ..Judge::default() };
        for (file, item) in items {
            judge.in_file(file);
            judge.items.push(item);
        }
        judge.seen = judge.items.len();
        judge.stamp = judge.items.last().map_or(i64::MIN, |item| item.at);
        let begun = judge.items.iter().filter(|item| item.deed.begins());
        judge.highest = begun.map(|item| item.id).chain(floors.ids()).max().unwrap_or(0);
        judge.floors = floors;
        judge.surprised = true;
        let has = |item: &Item, mark| item.mark.has(mark);
        let restart = judge.items.iter().rposition(|item| has(item, Mark::RESTART));
        judge.restart = restart.map(|index| judge.number(index));
        let low = judge.items.iter().enumerate();
        let low = low.filter(|(_, item)| item.deed.begins() && item.id <= LOW_ID);
        judge.low = low.map(|(index, _)| judge.number(index)).collect();
        let open = judge.items.iter().enumerate().rev();
        let open = open.filter(|(_, item)| item.deed.refuses() && !has(item, Mark::ENDED));
        judge.refused = open.take(REFUSED_MAX).map(|(index, _)| judge.number(index)).collect();
        judge.refused.reverse();
        judge
    }

    /// Items that are pushed from here on stand in this file.
    fn in_file(&mut self, file: i64) {
        if self.files.last().is_none_or(|&(_, last)| last != file) {
            let number = self.number(self.items.len());
            self.files.push((number, file));
        }
    }

    /// The file in which an item stands.
    fn file_of(&self, index: usize) -> i64 {
        let from = self.files.partition_point(|&(from, _)| self.is_before(from, index + 1));
        self.files.get(from.saturating_sub(1)).map_or(self.end.0, |&(_, file)| file)
    }

    /// Those that wait, with their files, in whatever light they stand now.
    fn into_waiting(mut self) -> Vec<(i64, Item)> {
        let waiting: Vec<usize> = (self.told..self.seen).filter(|&i| self.waits(i)).collect();
        for &index in &waiting {
            if self.items[index].mark.has(Mark::DOUBTFUL) {
                self.weigh(index);
            }
        }
        waiting.into_iter().map(|index| (self.file_of(index), self.items[index])).collect()
    }

    fn waits(&self, index: usize) -> bool {
        !self.items[index].mark.has(Mark::TOLD | Mark::FOREIGN)
    }

    /// The records that what follows is judged by, the newest [`EDGE_MAX`] of them, with their files.
    fn context(&self) -> impl ExactSizeIterator<Item = (i64, Item)> {
        let from = self.context_from();
        (from..self.seen).map(|index| {
            let told = if index < self.told { Mark::TOLD } else { 0 };
            let item = self.items[index];
            (self.file_of(index), Item { mark: Mark(item.mark.0 | told), ..item })
        })
    }

    fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Item>() + self.recent.len() * 4 + self.later.len() * LATER
    }
}

/// Marks the logins among the last items before this byte, as far as one name may have made them: of so many
/// items, statements not counted, the last first. How many more there may be.
fn spoil<'a>(items: impl Iterator<Item = &'a mut Item>, from: u64, records: usize) -> usize {
    let mut left = records;
    for item in items {
        if left == 0 || item.offset.saturating_add(NAME_BYTES) <= from {
            return 0;
        }
        item.mark.0 |= if item.deed.is_forged() { Mark::IN_NAME } else { 0 };
        left -= usize::from(item.deed != Deed::Statement);
    }
    left
}

/// Whether stamps of neighbours are so far from each other that one of them is none of the server's clock.
#[inline(always)]
pub(crate) fn are_apart(before: i64, at: i64) -> bool {
    at.wrapping_sub(before).wrapping_add(FAR) as u64 > 2 * FAR as u64
}

/// What stamps one after another say of the time.
#[derive(Debug, Clone, Copy)]
struct Agreed {
    least: i64,
    most: i64,
}

impl Agreed {
    /// All are at least so much later.
    fn are_behind(self, at: i64, by: i64) -> bool {
        at < self.least.saturating_sub(by)
    }

    /// The stamp is ahead of all of them.
    fn are_long_before(self, at: i64) -> bool {
        at > self.most.saturating_add(BACK)
    }
}

/// Has an item's time come, `behind` records behind it, when the last of these are of this time? A stamp
/// ahead of theirs holds back nobody.
fn is_due(item: &Item, agreed: Agreed, behind: usize) -> bool {
    let far_ahead = agreed.are_long_before(item.at) & (behind >= AGREE);
    agreed.are_behind(item.at, SETTLING) | far_ahead | (behind >= WAITING_MAX)
}
