//! What speaks against a record: marks set while records are looked at, weighed when the time of one has
//! come.

use super::{
    AGREE, Deed, FAR, Item, JUMP, Judge, LATE, Mark, PORTION, REFUSED_MAX, SETTLING, is_due,
};
use std::hint::select_unpredictable;
use std::iter::successors;

/// Of what is forgotten while it may still be needed, the last id of each second is kept.
const PAST_STEP: u64 = 1_000_000;

/// Seconds kept of it.
const PAST_MAX: usize = 128;

/// Stamps of neighbours may step back by so much.
pub(super) const STEP_BACK: i64 = 2_000_000;

/// How many beginnings behind a doubtful id are looked at.
const FOLLOWERS: usize = 64;

/// A refusal and its end stand no further apart than this, in bytes, unless they are near in time.
const BESIDE_BYTES: u64 = 16 << 10;

/// How many ids say where they are: a name has made few of them.
const SOME: usize = 16;

/// How many neighbours a stamp is held against on each side.
const NEIGHBOURS: usize = AGREE;

/// The records that one name can hold, at most: it has 128 characters.
pub(super) const NAME_RECORDS: usize = 3;

/// The characters of a user name.
const NAME_CHARS: u64 = 128;

/// They lie so close before the rest of the record that holds the name, in bytes: each record is written in
/// one go.
pub(super) const NAME_BYTES: u64 = 640;

/// How many records are searched for one that was written twice.
const TWINS: usize = 256;

/// A first login after a restart has an id below this; it need not be followed up to be believed.
pub(crate) const LOW_ID: u64 = 100;

/// A login whose id so many others have is contested without asking who they are.
const SAME_MAX: usize = 64;

/// Of how many low ids it is asked whether ids start again with them: more than a life has.
const LOW_MAX: usize = 4 * LOW_ID as usize;

/// How many records of one connection and pair behind a login are looked at.
const LATER_MAX: usize = 256;

/// Stands for the pair of changes of user in the list of later records.
const CHANGED: u32 = u32::MAX;

impl Judge {
    /// The record that is looked at is out of the ordinary.
    pub(super) fn unusual(&mut self) {
        let item = self.items[self.seen];
        match item.deed {
            Deed::Login | Deed::LoginLong | Deed::Refused | Deed::RefusedLong => {
                self.doubtful_beginning();
            }
            Deed::End if item.mark.has(Mark::ODD) => self.odd_end(),
            Deed::ChangeRefused => self.change_refused(),
            Deed::Change if self.unmade.contains(&(item.id, item.at)) => {
                self.mark(self.seen, Mark::IN_NAME);
            }
            Deed::End | Deed::Change | Deed::ChangeUnnamed | Deed::Statement => {}
        }
    }

    fn mark(&mut self, index: usize, bits: u16) {
        self.items[index].mark.0 |= bits;
    }

    fn doubtful_beginning(&mut self) {
        let index = self.seen;
        let item = self.items[index];
        if item.deed.refuses() {
            self.note_refused(index);
        }
        if !item.mark.has(Mark::UNEXPECTED) {
            // Above all before: whoever turns out to have the same id later marks both.
            return;
        }
        self.surprised = true;
        if item.id == 0 {
            return;
        }
        if item.id <= LOW_ID {
            self.low.push(self.number(index));
        }
        let mut earlier = self.last_begun(index, item.id);
        for _ in 0..SAME_MAX {
            let Some(same) = earlier else { return };
            if self.is_near(same, index) {
                self.mark(same, Mark::CLOSELY);
                self.mark(index, Mark::CLOSELY);
                let refused = self.items[same].deed.refuses() && item.deed.refuses();
                if refused && self.is_in_name_before(same, index) {
                    // What a name has made of a refusal, and the rest of it.
                    self.mark_name_before(index);
                }
            }
            earlier = self.begun(self.items[same].link, same, item.id);
        }
    }

    /// Notes a refusal, whose end is to come.
    fn note_refused(&mut self, index: usize) {
        let mut refused = std::mem::take(&mut self.refused);
        refused.retain(|&number| {
            self.index(number, index).is_some_and(|before| self.is_beside(before, index))
        });
        if refused.len() == REFUSED_MAX {
            refused.remove(0);
        }
        refused.push(self.number(index));
        self.refused = refused;
    }

    /// The end of a connection that began otherwise, or whose name may have been cut, or that ends twice.
    fn odd_end(&mut self) {
        let end = self.seen;
        let item = self.items[end];
        if item.id == 0 {
            return;
        }
        let beginning = self.refused_or_begun(end, item.id);
        if let Some(twin) = self.ended_before(end, beginning) {
            self.mark(twin, Mark::TWICE);
            self.mark(end, Mark::TWICE);
        }
        let Some(beginning) = beginning.filter(|&beginning| self.is_beside(beginning, end)) else {
            return;
        };
        let from = self.items[beginning];
        match from.deed {
            Deed::Login if from.pair != item.pair && self.is_near(beginning, end) => {
                // A change of user in between, or a name that was cut, gives it another.
                let between = &self.items[beginning..end];
                if !between.iter().any(|it| it.id == item.id && it.deed.changes()) {
                    self.mark(beginning, Mark::TWICE);
                }
            }
            Deed::Refused | Deed::RefusedLong => {
                self.end_refusals(beginning, end);
                let same = match from.deed {
                    Deed::RefusedLong => from.name == item.name,
                    _ => from.pair == item.pair,
                };
                if !same {
                    // What stands before the first stands here again, in full.
                    self.mark_name_before(end);
                }
                self.mark_written_twice(beginning, end);
            }
            _ => {}
        }
    }

    /// The end of a refusal has come, and of what its name may have made of it.
    fn end_refusals(&mut self, mut beginning: usize, end: usize) {
        loop {
            let Item { id, mark, .. } = self.items[beginning];
            if mark.has(Mark::ENDED) {
                // Those before it have ended with it.
                return;
            }
            let number = self.number(beginning);
            self.refused.retain(|&refused| refused != number);
            self.mark(beginning, Mark::ENDED);
            if !mark.has(Mark::UNEXPECTED) {
                return;
            }
            let earlier = self.last_begun(beginning, id);
            match earlier.filter(|&earlier| self.is_beside(earlier, end)) {
                Some(earlier) if self.items[earlier].deed.refuses() => beginning = earlier,
                _ => return,
            }
        }
    }

    /// A record that says the same as this end and follows the same beginning.
    fn ended_before(&self, end: usize, beginning: Option<usize>) -> Option<usize> {
        let item = self.items[end];
        let from = beginning.map_or(0, |index| index + 1).max(end.saturating_sub(TWINS));
        (from..end).rev().find(|&i| {
            let it = &self.items[i];
            (it.deed, it.id, it.pair) == (Deed::End, item.id, item.pair) && self.is_near(i, end)
        })
    }

    /// What stands before a refusal and once more before its end, the name has written.
    fn mark_written_twice(&mut self, refusal: usize, end: usize) {
        for i in refusal.saturating_sub(NAME_RECORDS - 1)..refusal {
            let item = self.items[i];
            let same = |it: &Item| {
                (it.deed, it.at, it.id, it.pair, it.bytes)
                    == (item.deed, item.at, item.id, item.pair, item.bytes)
                    && (item.deed.begins() || it.link == item.link)
            };
            let first = (refusal + 1).max(end.saturating_sub(TWINS));
            let twin = (first..end).find(|&twin| same(&self.items[twin]));
            if let Some(twin) = twin.filter(|_| !item.deed.refuses()) {
                self.mark(i, Mark::TWICE);
                self.mark(twin, Mark::TWICE);
            }
        }
    }

    /// A refused change of user: its name may have made the records before it, and is written once. They need
    /// somebody else to speak for them.
    fn change_refused(&mut self) {
        let index = self.seen;
        let item = self.items[index];
        for i in self.name_before(index) {
            self.mark(i, if self.items[i].id == item.id { 0 } else { Mark::ALONE });
        }
        self.names.push((item.offset.saturating_sub(NAME_BYTES), item.offset));
    }

    /// The records before this one that its name may have made. They stand together: a record that it cannot
    /// have made is the end of them.
    fn name_before(&self, index: usize) -> std::ops::Range<usize> {
        let (file, Item { offset, id, deed, link, spare, .. }) =
            (self.file_of(index), self.items[index]);
        let mut first = index;
        let mut left = NAME_RECORDS;
        // All of a name is written where it is that of a change of user, from the user of the first record on.
        let mut whole = deed == Deed::ChangeRefused && spare < u8::MAX;
        let mut chars = (NAME_CHARS + 1 + u64::from(spare)).saturating_sub(link.into());
        while first > 0 && left > 0 {
            let before = &self.items[first - 1];
            whole &= before.spare < u8::MAX;
            chars += u64::from(before.spare);
            let bytes = if whole { chars } else { NAME_BYTES };
            let own = before.deed.begins() && before.id == id && !before.mark.has(Mark::UNEXPECTED);
            let near = before.offset.saturating_add(bytes) > offset;
            if own || !near || self.file_of(first - 1) != file {
                break;
            }
            left -= usize::from(before.deed != Deed::Statement);
            first -= 1;
        }
        first..index
    }

    /// Do the two stand so close together that one name may have made the first, and the second is the rest?
    fn is_in_name_before(&self, first: usize, second: usize) -> bool {
        let [a, b] = [first, second].map(|index| self.items[index].offset);
        self.file_of(first) == self.file_of(second) && a.saturating_add(NAME_BYTES) > b
    }

    /// What stands right before this record is the name's.
    fn mark_name_before(&mut self, index: usize) {
        for i in self.name_before(index) {
            // Ends and statements are told by twins alone: not all statements are here, nor is it known of all
            // ends whether they are those of a session.
            self.mark(i, if self.items[i].deed.is_forged() { Mark::IN_NAME } else { 0 });
        }
        let to = self.items[index].offset;
        self.names.push((to.saturating_sub(NAME_BYTES), to));
    }

    /// Weighs what speaks against an item whose time has come: all before it are told of.
    #[cold]
    #[inline(never)]
    pub(super) fn weigh(&mut self, index: usize) {
        let item = self.items[index];
        self.list_later();
        if item.deed.begins() && item.mark.has(Mark::UNEXPECTED) {
            self.weigh_id(index);
        }
        if item.deed == Deed::ChangeUnnamed && item.mark.has(Mark::CONTESTED) {
            // Nor did anybody log in by it.
            let by_it = |&i: &usize| self.items[i].at == item.at;
            let by_it: Vec<usize> = self.later(index, item.id, CHANGED).filter(by_it).collect();
            for other in by_it {
                self.mark(other, item.mark.0 & Mark::CONTESTED);
            }
        }
        if !item.deed.is_login() {
            return;
        }
        if item.id == 0 && self.items[..index].iter().rev().any(|it| it.deed.begins()) {
            // The first of a server has id 1.
            self.mark(index, Mark::MISPLACED);
        }
        if item.mark.has(Mark::CLOSELY) && self.is_twice(index) {
            self.mark(index, Mark::TWICE);
        }
        if item.mark.has(Mark::ALONE) && !self.is_vouched_for(index) {
            self.mark(index, Mark::IN_NAME);
        }
        if item.mark.has(Mark::APART) && self.is_apart(index) {
            self.mark(index, Mark::MISPLACED);
        }
        if item.mark.has(Mark::FURTHER) && self.is_of_another_shape(index) {
            self.mark(index, Mark::IN_NAME);
        }
        if self.items[index].mark.has(Mark::CONTESTED) {
            // Nor is its end a sign of a session.
            let is_end = |&i: &usize| self.items[i].deed == Deed::End && self.is_near(i, index);
            let end = self.later(index, item.id, item.pair).find(is_end);
            if let Some(end) = end {
                self.items[end].mark.0 &= !Mark::SESSION;
            }
        }
    }

    /// Whether an id that was not expected fits those around it.
    fn weigh_id(&mut self, index: usize) {
        let item = self.items[index];
        if let Some(floor) = self.floor_at(index).filter(|&floor| floor >= item.id) {
            if self.is_restart(index, floor) {
                self.mark(index, Mark::RESTART);
                self.restart = Some(self.number(index));
            } else {
                self.mark(index, Mark::MISPLACED);
            }
            return;
        }
        let before = self.items[..index].iter().rev().find(|it| it.deed.begins());
        let near = |id: u64| id.saturating_add(JUMP) >= item.id;
        if before.map(|it| it.id).or(self.floors.last()).is_none_or(near) {
            return;
        }
        let (mut followers, mut lower) = (0, 0);
        for follower in self.followers(index).filter(|it| it.deed.is_login()) {
            followers += 1;
            lower += usize::from(!near(follower.id));
        }
        if followers > 0 && lower == followers {
            self.mark(index, Mark::MISPLACED);
        }
    }

    /// What those beginnings say that are older than [`LATE`] when this item comes and of the same life of the
    /// server.
    fn floor_at(&mut self, index: usize) -> Option<u64> {
        let agreed = self.agreed(index + 1)?;
        let is_old = |at| agreed.are_behind(at, LATE) || agreed.are_long_before(at);
        let forgotten = self.past.iter().take_while(|(at, _)| is_old(*at)).count();
        self.past.drain(..forgotten).for_each(|(at, id)| self.floors.push(at, id));
        while self.past.is_empty() && self.old < index && is_old(self.reached(self.old)) {
            let item = self.items[self.old];
            if item.mark.has(Mark::RESTART) {
                self.floors.push(item.at, 0);
            }
            if item.deed.begins() && !item.mark.has(Mark::CONTESTED) && item.id > 0 {
                self.floors.push(item.at, item.id);
            }
            self.old += 1;
        }
        let restart = self.restart.and_then(|number| self.index(number, index));
        if restart.is_some_and(|restart| restart >= self.old) {
            return None;
        }
        self.floors.floor(agreed)
    }

    /// When this item was written at the latest, as far as those right behind it tell: a name has made three of
    /// four at most.
    fn reached(&self, index: usize) -> i64 {
        let next = self.items[index..].iter().take(NAME_RECORDS + 1).map(|it| it.at);
        next.min().unwrap_or(i64::MIN)
    }

    /// Notes of the items before this index, which are about to be forgotten, what floors come of: the first
    /// and the last beginning of each second. Those of one stamp are looked at together, as nearly all of
    /// them are reached when their stamp says.
    #[inline(never)]
    pub(super) fn note_past(&self, index: usize, past: &mut Vec<(i64, u64)>) {
        let mut since = past.last().map_or(i64::MIN, |&(at, _)| at);
        // The last that counts of the second that begins with `since`, if it is not the first.
        let mut newest = None;
        let mut next = self.old;
        while next < index {
            let together = next..self.same_stamp(next, index);
            next = together.end;
            let restarts = self.items[together.start].mark.has(Mark::RESTART);
            let reached = self.reached(together.start);
            // Which of them count cannot be foreseen: there is no branch on it.
            let (mut first, mut last) = (0, 0);
            for item in &self.items[together] {
                let counts = item.deed.begins() & !item.mark.has(Mark::CONTESTED) & (item.id > 0);
                last = select_unpredictable(counts, item.id, last);
                first = select_unpredictable(first == 0, last, first);
            }
            if last == 0 {
                continue;
            }
            if (reached.abs_diff(since) < PAST_STEP) & !restarts {
                newest = Some(last);
                continue;
            }
            note_id(newest, past);
            if restarts {
                past.push((reached, 0));
            }
            past.push((reached, first));
            newest = Some(last);
            since = reached;
        }
        note_id(newest, past);
        let surplus = past.len().saturating_sub(PAST_MAX);
        past.drain(..surplus);
    }

    /// Up to where, before `end`, items from this one on have its stamp and are reached then, and ids do not
    /// start again with them: only this one, if it is any other.
    fn same_stamp(&self, from: usize, end: usize) -> usize {
        let at = self.items[from].at;
        let usual = |item: &&Item| (item.at == at) & !item.mark.has(Mark::RESTART);
        let same = self.items[from..end].iter().take_while(usual).count();
        // The last of them are reached earlier where the stamps behind them step back.
        let mut behind = self.items[from + same..].iter().take(NAME_RECORDS);
        let back = if behind.any(|item| item.at < at) { NAME_RECORDS } else { 0 };
        from + same.saturating_sub(back).max(1)
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
    fn is_restart(&self, index: usize, floor: u64) -> bool {
        let item = self.items[index];
        let mut followers = self.followers(index).filter(|it| it.id != item.id).peekable();
        if followers.peek().is_none() {
            return item.id < LOW_ID;
        }
        let mut highest = item.id;
        followers.all(|it| {
            // The first of a new life is low; others come after it.
            let near = it.id <= highest.saturating_add(LOW_ID) && item.id < LOW_ID;
            highest = highest.max(it.id);
            it.id <= floor || near
        })
    }

    /// Whether the stamp is that of nobody near: before all those before it, or behind all behind it. Of files
    /// with few records it is not certain which is the next, so only those of its own are asked.
    fn is_apart(&self, index: usize) -> bool {
        let (at, file) = (self.items[index].at, self.file_of(index));
        let own = |&i: &usize| self.file_of(i) == file;
        let before = (index.saturating_sub(NEIGHBOURS)..index).filter(own);
        let mut before = before.map(|i| self.items[i]);
        let behind = (index + 1..self.seen.min(index + 1 + NEIGHBOURS)).filter(own);
        let behind: Vec<Item> = behind.map(|i| self.items[i]).collect();
        before.any(|b| {
            behind.iter().any(|a| {
                b.at <= a.at.saturating_add(STEP_BACK)
                    && (at < b.at.saturating_sub(FAR) || at > a.at.saturating_add(FAR))
            })
        })
    }

    /// Whether it has a column that most of those near have not: behind the name of a table stands a comma.
    fn is_of_another_shape(&self, index: usize) -> bool {
        let told = |it: &&Item| it.deed != Deed::Statement;
        let before = self.items[..index].iter().rev().filter(told).take(NEIGHBOURS);
        let behind = self.items[index + 1..self.seen].iter().filter(told).take(NEIGHBOURS);
        let (mut same, mut other) = (0, 0);
        for it in before.chain(behind) {
            same += usize::from(it.mark.has(Mark::FURTHER));
            other += usize::from(!it.mark.has(Mark::FURTHER));
        }
        other > same
    }

    /// Whether the id of this item began once more nearby, in the same life of the server.
    fn is_twice(&mut self, index: usize) -> bool {
        let item = self.items[index];
        self.link(self.seen);
        let newest = self.recent[self.slot(item.id)];
        let all = successors(self.begun(newest, self.seen, item.id), |&i| {
            self.begun(self.items[i].link, i, item.id)
        });
        let waiting = self.waits_until(index, self.seen);
        let others: Vec<usize> = all
            .filter(|&i| i != index && self.is_near(i, index))
            .filter(|&i| match i < index {
                true => self.waits_until(i, index) >= index && !self.is_due_at(i, index),
                false => waiting >= i && !self.is_due_at(index, i),
            })
            .take(SAME_MAX)
            .collect();
        let twins = |a: &Item, b: &Item| (a.at, a.pair) == (b.at, b.pair);
        if others.len() == SAME_MAX || others.iter().any(|&i| twins(&self.items[i], &item)) {
            return true;
        }
        others.iter().any(|&i| {
            // A name that was written twice has forged both of those: they say nothing of this one.
            let twin = |&other: &usize| other != i && twins(&self.items[other], &self.items[i]);
            !others.iter().any(twin) && !self.restarts_between(i.min(index), i.max(index), index)
        })
    }

    /// Whether ids start again behind the first of two items and not behind the second, of which one is weighed.
    fn restarts_between(&self, first: usize, second: usize, weighed: usize) -> bool {
        let known = self.restart.and_then(|number| self.index(number, self.seen));
        if known.is_some_and(|restart| (first + 1..=second).contains(&restart)) {
            return true;
        }
        // They start low; and now and then a low one comes late.
        let from = self.low.partition_point(|&low| self.is_before(low, first + 1));
        let low = self.low[from..].iter().take(LOW_MAX);
        let low = low.filter_map(|&low| self.index(low, second + 1));
        low.filter(|&low| self.items[low].id <= self.items[first].id)
            .take(FOLLOWERS)
            .any(|low| self.ids_fall(low, self.items[weighed].at))
    }

    /// Whether the ids of logins from here on, as far as an item of this time waits for them, are below most of
    /// those before. Refusals say nothing: names make up any number of them.
    fn ids_fall(&self, index: usize, at: i64) -> bool {
        let login =
            |it: &&Item| it.deed.begins() && it.deed.is_login() && !it.mark.has(Mark::CONTESTED);
        let before = self.items[..index].iter().rev().filter(login).take(SOME);
        let before = before.filter(|it| near(it, &self.items[index])).map(|it| it.id);
        let mut before: Vec<u64> = before.collect();
        before.sort_unstable();
        let Some(&middle) = before.get(before.len() / 2) else { return false };
        let behind = self.items[index..self.seen].iter().filter(login);
        let behind = behind.filter(|it| it.at <= at.saturating_add(SETTLING)).take(SOME);
        let mut behind = behind.peekable();
        behind.peek().is_some() && behind.all(|it| it.id < middle)
    }

    /// Up to which index an item waits, at least, if not up to `end`. Time is asked for now and then: where it
    /// steps back, a little later is soon enough.
    fn waits_until(&self, index: usize, end: usize) -> usize {
        let mut steps = (index + PORTION..end).step_by(PORTION);
        steps.find(|&step| self.is_due_at(index, step)).unwrap_or(end)
    }

    /// Whether an item's time has come when the records before `end` are there.
    fn is_due_at(&self, index: usize, end: usize) -> bool {
        let agreed = self.agreed(end);
        agreed.is_some_and(|agreed| is_due(&self.items[index], agreed, end - index))
    }

    /// Whether a record that no name may have made shows the same connection of the same pair.
    fn is_vouched_for(&self, index: usize) -> bool {
        let item = self.items[index];
        self.later(index, item.id, item.pair).any(|i| {
            let mark = self.items[i].mark;
            mark.is_sign() && !mark.has(Mark::CONTESTED | Mark::ALONE)
        })
    }

    /// Enters the records that were looked at into `later`.
    fn list_later(&mut self) {
        for index in self.listed..self.seen {
            let item = &self.items[index];
            if !item.deed.begins() {
                let number = self.forgotten.wrapping_add(index as u32);
                let pair = if item.deed == Deed::Change { CHANGED } else { item.pair };
                self.later.entry((item.id, pair)).or_default().push(number);
            }
        }
        self.listed = self.listed.max(self.seen);
    }

    /// The next records of a connection and a pair behind this index that begin none; with [`CHANGED`] for a
    /// pair its changes of user.
    fn later(&self, index: usize, id: u64, pair: u32) -> impl Iterator<Item = usize> {
        let all = self.later.get(&(id, pair)).map_or(&[][..], |all| all);
        let first = all.partition_point(|&number| self.is_before(number, index + 1));
        all[first..].iter().take(LATER_MAX).filter_map(|&number| self.index(number, self.seen))
    }

    /// Forgets those listed whose items are forgotten, now and then.
    pub(super) fn forget_later(&mut self) {
        let forgotten = self.forgotten;
        if (forgotten.wrapping_sub(self.swept) as usize) < self.items.len() {
            return;
        }
        self.swept = forgotten;
        self.later.retain(|_, numbers| {
            numbers.retain(|&number| number.wrapping_sub(forgotten) as i32 >= 0);
            !numbers.is_empty()
        });
    }

    /// The pairs of items are others now.
    pub(super) fn renumbered(&mut self) {
        self.later.clear();
        self.listed = 0;
    }

    /// The refusal of this id that has not ended, or else the last beginning of this id before this index.
    fn refused_or_begun(&mut self, end: usize, id: u64) -> Option<usize> {
        let refused = self.refused.iter().rev().filter_map(|&number| self.index(number, end));
        let refused = refused.filter(|&index| self.items[index].id == id).max();
        refused.or_else(|| self.last_begun(end, id))
    }

    /// The last beginning of this id before this index.
    fn last_begun(&mut self, end: usize, id: u64) -> Option<usize> {
        self.link(end);
        let newest = self.recent[self.slot(id)];
        // What is linked already may stand behind it.
        let mut found = self.begun(newest, self.linked, id)?;
        while found >= end {
            found = self.begun(self.items[found].link, found, id)?;
        }
        Some(found)
    }

    /// The last beginning of this id before `end`: that of this number, or one it leads to.
    fn begun(&self, number: u32, mut end: usize, id: u64) -> Option<usize> {
        let mut index = self.index(number, end)?;
        while self.items[index].id != id || !self.items[index].deed.begins() {
            end = index;
            index = self.index(self.items[index].link, end)?;
        }
        Some(index)
    }

    fn is_near(&self, a: usize, b: usize) -> bool {
        near(&self.items[a], &self.items[b])
    }

    /// Do the two stand so close together that a name may have written what is between them, whatever
    /// their stamps say?
    fn is_beside(&self, a: usize, b: usize) -> bool {
        self.is_near(a, b)
            || (self.file_of(a) == self.file_of(b)
                && self.items[a].offset.abs_diff(self.items[b].offset) < BESIDE_BYTES)
    }
}

/// Are the two no further apart than a login waits?
fn near(a: &Item, b: &Item) -> bool {
    a.at.abs_diff(b.at) <= SETTLING as u64
}

/// The last id of the last second is this, if there is one.
fn note_id(id: Option<u64>, past: &mut [(i64, u64)]) {
    if let (Some(id), Some((_, last))) = (id, past.last_mut()) {
        *last = id;
    }
}
