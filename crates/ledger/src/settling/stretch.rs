//! One unbroken piece of log, of one server: judged by itself but for its first records, which wait for
//! those that stand before them.

use super::rules::{NAME_BYTES, NAME_RECORDS, STEP_BACK};
use super::{
    Deed, EDGE_MAX, Item, Judge, Known, LATE, Latest, Mark, Place, SETTLING, Teller, spoil,
};
use formats::Reason;

/// Rejected lines that are kept of the first bytes of a stretch: no more have room there.
const EARLY_MAX: usize = super::rules::NAME_BYTES as usize;

/// A piece of log, or several that stand one behind the other.
///
/// ```text
/// head ───────────────┬──────────── border ─────────────┐
/// to be judged by     │ judged by this stretch, and kept │ … judged by this stretch
/// whoever knows what  │ so that the former can be judged │
/// stands before       │                                  │
/// ```
#[derive(Debug, Clone, Default)]
pub(crate) struct Stretch {
    judge: Judge,
    /// The file and the offset with which it begins.
    file: i64,
    start: u64,
    /// Where something was rejected so early that it may belong to what stands before, and to how many
    /// records of it.
    early: Vec<(u64, usize)>,
    head: Vec<(i64, Item)>,
    border: Option<usize>,
    /// There is more than the head.
    headed: bool,
    /// Told of by the judge while it was not known whether there is more than the head.
    owed: Owed,
    /// What stands before this byte is doubted, so many records of it.
    spoiled: (u64, usize),
    /// What waits of other pieces, judged by these.
    apart: Vec<(i64, Item)>,
}

impl Stretch {
    /// The beginning of a stretch in this file.
    pub(crate) fn new(file: i64, start: u64) -> Stretch {
        let mut stretch = Stretch { file, start, ..Stretch::default() };
        stretch.judge.in_file(file);
        stretch
    }

    /// A stretch of which all is known up to here, and what waits of others.
    pub(crate) fn behind(
        context: Vec<(i64, Item)>,
        known: Known,
        apart: Vec<(i64, Item)>,
    ) -> Stretch {
        let spoiled = known.spoiled;
        let judge = Judge::of(context, known);
        Stretch { judge, headed: true, border: Some(0), spoiled, apart, ..Stretch::default() }
    }

    /// A stretch behind which anything may come.
    pub(crate) fn default_behind() -> Stretch {
        Stretch { headed: true, border: Some(0), ..Stretch::default() }
    }

    /// The next record.
    pub(crate) fn push(&mut self, item: Item) {
        self.judge.push(item);
        self.spoil_pushed(1);
    }

    /// Whether a record of this time would stand apart from the last one.
    #[inline(always)]
    pub(crate) fn is_apart(&self, at: i64) -> bool {
        self.judge.is_apart_from_last(at)
    }

    /// The next records, none of which stands apart from the one before; whether all beginnings were to be
    /// expected: ids rise.
    #[inline(always)]
    pub(crate) fn extend(&mut self, items: impl ExactSizeIterator<Item = Item>) -> bool {
        let count = items.len();
        let risen = self.judge.extend(items);
        self.spoil_pushed(count);
        risen
    }

    /// So many records were pushed: those behind what was rejected may be part of a name.
    #[inline(always)]
    fn spoil_pushed(&mut self, count: usize) {
        if self.spoiled.1 > 0 {
            self.spoil_last(count);
        }
    }

    #[cold]
    #[inline(never)]
    fn spoil_last(&mut self, count: usize) {
        let from = self.judge.items.len() - count;
        for item in &mut self.judge.items[from..] {
            if self.spoiled.1 == 0 {
                break;
            }
            self.spoiled.1 -= usize::from(item.deed != Deed::Statement);
            let inside = item.offset < self.spoiled.0 && item.deed.is_forged();
            item.mark.0 |= if inside { Mark::IN_NAME } else { 0 };
        }
    }

    /// What was rejected from this byte on may be the last part of a name that has made the records before it.
    pub(crate) fn spoil_before(&mut self, from: u64) {
        self.spoil(from, NAME_RECORDS);
    }

    fn spoil(&mut self, from: u64, records: usize) {
        let left = self.judge.spoil(from, records);
        spoil(self.head.iter_mut().rev().map(|(_, item)| item), from, records);
        let reaches = from < self.start.saturating_add(NAME_BYTES);
        if left > 0 && reaches && self.early.len() < EARLY_MAX {
            self.early.push((from, left));
        }
    }

    /// What was rejected up to this byte may be the first part of a name that has made the records behind it.
    pub(crate) fn spoil_behind(&mut self, to: u64) {
        self.spoiled = (to.saturating_add(NAME_BYTES), NAME_RECORDS);
    }

    /// Where names stand that have made records, since it was asked last.
    pub(crate) fn names(&mut self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.judge.names)
    }

    /// A name that stands between these bytes of the log may have made the records there.
    pub(crate) fn taint(&mut self, (from, to): (u64, u64)) {
        // They stand in the order of their bytes.
        let mark = |item: &mut Item| {
            item.mark.0 |= if item.deed.is_forged() { Mark::IN_NAME } else { 0 };
        };
        let waiting = &mut self.judge.items[self.judge.told..];
        let first = waiting.partition_point(|item| item.offset < from);
        waiting[first..].iter_mut().take_while(|item| item.offset < to).for_each(mark);
        let first = self.head.partition_point(|(_, item)| item.offset < from);
        let head = self.head[first..].iter_mut().map(|(_, item)| item);
        head.take_while(|item| item.offset < to).for_each(mark);
    }

    /// Looks at what was pushed, and tells of the items that are not part of the head.
    pub(crate) fn run(&mut self, teller: &mut impl Teller) {
        if !self.headed {
            self.run_head();
        }
        if self.headed {
            self.owed.tell(teller);
            self.judge.run(teller);
        }
    }

    /// Takes the next records into the head, as long as they belong there.
    fn run_head(&mut self) {
        while self.judge.seen < self.judge.items.len() {
            let next = self.judge.seen;
            let full = self.head.len() >= EDGE_MAX;
            if self.border.is_none() && (full || self.judge.knows_the_past(next)) {
                // From here on as much is known as is kept.
                self.border = Some(self.head.len());
            }
            if let Some((_, first)) = self.border.and_then(|border| self.head.get(border)) {
                let agreed = self.judge.agreed(next + 1);
                if full || agreed.is_some_and(|agreed| agreed.are_behind(first.at, SETTLING)) {
                    self.headed = true;
                    return;
                }
            }
            let item = &mut self.judge.items[next];
            let mark = Mark(item.mark.0 & !Mark::FOREIGN);
            let own = Item { mark, ..*item };
            item.mark.0 |= if self.border.is_none() { Mark::FOREIGN } else { 0 };
            self.head.push((self.judge.file_of(next), own));
            self.judge.look(next + 1);
            self.judge.tell_due(&mut self.owed);
        }
    }

    /// Nothing was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.judge.latest.reached().is_none()
    }

    /// Where it begins in its file.
    pub(crate) fn begins_at(&mut self, start: u64) {
        self.start = start;
    }

    /// How far it reaches.
    pub(crate) fn reaches(&mut self, end: Place) {
        self.judge.end = end;
    }

    /// A record of this time, of whatever kind.
    #[inline(always)]
    pub(crate) fn is_at(&mut self, at: i64) {
        self.judge.latest.push(at);
    }

    /// Records of these times.
    #[inline(always)]
    pub(crate) fn were_at(
        &mut self,
        times: impl DoubleEndedIterator<Item = i64> + ExactSizeIterator,
    ) {
        self.judge.latest.extend(times);
    }

    /// Does it go on where `before` ends? It may be the next file, as far as times tell.
    pub(crate) fn follows(&self, before: &Stretch) -> bool {
        let (last, newest) = (before.judge.latest.reached(), self.judge.latest.newest());
        let (Some(last), Some(newest)) = (last, newest) else { return true };
        let (file, offset) = before.judge.end;
        match self.file == file {
            true => self.start == offset,
            false => self.start == 0 && newest >= last.saturating_sub(STEP_BACK),
        }
    }

    /// Goes on with `next`, whose head it judges.
    pub(crate) fn join(&mut self, next: Stretch, teller: &mut impl Teller) {
        // Who copies and cuts a log may part a name.
        let (file, end) = self.judge.end;
        let before = if next.file == file { 0 } else { end };
        next.early.iter().for_each(|&(from, left)| self.spoil(before.saturating_add(from), left));
        let border = next.border.filter(|_| next.headed).unwrap_or(next.head.len());
        let told_by_next = (!self.headed).then_some(self.head.len() + border);
        for (i, (file, mut item)) in next.head.into_iter().enumerate() {
            item.mark.0 |= if i >= border { Mark::FOREIGN } else { 0 };
            self.judge.in_file(file);
            self.push(item);
        }
        self.run(teller);
        self.apart.extend(next.apart);
        if next.spoiled.0 > 0 {
            self.spoiled = next.spoiled;
        }
        if next.headed {
            // The next one's head is as long as one has to be, and it tells of what stands behind its border.
            self.headed = true;
            self.border = self.border.into_iter().chain(told_by_next).min();
            self.run(teller);
            self.judge.finish(i64::MAX, teller);
            self.judge = next.judge;
        } else {
            self.judge.end = next.judge.end;
            next.judge.latest.times().for_each(|at| self.judge.latest.push(at));
        }
    }

    /// Tells of all that are not newer than `until`.
    pub(crate) fn finish(&mut self, until: i64, teller: &mut impl Teller) {
        self.judge.finish(until, teller);
        for (file, item) in self.apart.extract_if(.., |(_, item)| item.at <= until) {
            match item.mark.reason() {
                None => teller.settled(&[item]),
                Some(reason) => teller.contested(file, &item, reason),
            }
        }
    }

    /// Those that wait, judged by what is known so far.
    pub(crate) fn outlook(&self, tell: &mut impl FnMut(&Item, Option<Reason>)) {
        let waiting = self.judge.clone().into_waiting();
        for (_, item) in waiting.iter().chain(&self.apart) {
            tell(item, item.mark.reason());
        }
    }

    /// Takes over what waits in another, which does not go on from here: nothing here speaks against it.
    pub(crate) fn adopt(&mut self, other: Stretch) {
        self.apart.extend(other.apart);
        self.apart.extend(other.judge.into_waiting());
    }

    /// What waits of other pieces, with their files.
    pub(crate) fn apart(&self) -> &[(i64, Item)] {
        &self.apart
    }

    /// The times of the records that came last.
    pub(crate) fn latest(&self) -> Latest {
        self.judge.latest
    }

    /// What that which follows is judged by.
    pub(crate) fn known(&self) -> Known {
        Known { spoiled: self.spoiled, ..self.judge.known() }
    }

    /// The records that what follows is judged by, with their files.
    pub(crate) fn context(&self) -> impl ExactSizeIterator<Item = (i64, Item)> {
        self.judge.context()
    }

    /// The same with the pairs of another table.
    pub(crate) fn renumber(&mut self, mut number: impl FnMut(u32) -> u32) {
        let head = self.head.iter_mut().map(|(_, item)| item);
        let owed = self.owed.0.iter_mut().map(|(_, item, _)| item);
        let apart = self.apart.iter_mut().map(|(_, item)| item);
        for item in self.judge.items.iter_mut().chain(head).chain(owed).chain(apart) {
            item.pair = number(item.pair);
        }
        self.judge.renumbered();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.judge.bytes()
            + (self.head.capacity() + self.owed.0.capacity() + self.apart.capacity())
                * size_of::<(i64, Item)>()
    }
}

/// What is to be told later.
#[derive(Debug, Clone, Default)]
struct Owed(Vec<(i64, Item, Option<Reason>)>);

impl Owed {
    fn tell(&mut self, teller: &mut impl Teller) {
        for (file, item, reason) in self.0.drain(..) {
            match reason {
                None => teller.settled(&[item]),
                Some(reason) => teller.contested(file, &item, reason),
            }
        }
    }
}

impl Teller for Owed {
    fn settled(&mut self, items: &[Item]) {
        self.0.extend(items.iter().map(|item| (0, *item, None)));
    }

    fn contested(&mut self, file: i64, item: &Item, reason: Reason) {
        self.0.push((file, *item, Some(reason)));
    }
}

impl Judge {
    /// Whether there is a beginning long before this item.
    fn knows_the_past(&self, index: usize) -> bool {
        let Some(agreed) = self.agreed(index + 1) else { return false };
        let begun = |item: &&Item| item.deed.begins() && !item.mark.has(Mark::CONTESTED);
        self.items[..index]
            .iter()
            .find(begun)
            .is_some_and(|first| agreed.are_behind(first.at, LATE))
    }
}
