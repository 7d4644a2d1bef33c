//! When something happened, by the hour, in a few bytes: the ledger's counts.
//!
//! A timeline is a sorted list of periods, each an hour or (for old ones) a day, with how often it
//! happened in it and (for refusals) the first and last moment. It is stored as one BLOB:
//!
//! ```text
//! version 1 | per period, oldest first: varint (start gap * 2 + is_day), varint count,
//!           |                           varint first - start, varint last - first
//! version 2 | per period, oldest first: varint (start gap * 2 + is_day), varint count
//! ```
//!
//! Start gaps are in hours since the end of the period before (the first: since 1970), moments in
//! microseconds. Varints are LEB128.
//!
//! # Invariants
//! * Periods do not overlap, counts are above zero, first and last lie inside the period.
//! * Merging is commutative and associative, so the order in which logs are read does not show.
//!   (A day swallows the hours inside it when the two meet.)

use crate::clock::HOUR;

/// Microseconds in a day.
pub(crate) const DAY: i64 = 24 * HOUR;

/// With first and last moments: refusals.
const MOMENTS: u8 = 1;

/// Without them: logins, of which there are far more.
const COUNTS: u8 = 2;

/// One hour or day in which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    /// Its first microsecond: a multiple of an hour, or of a day where `day`.
    pub(crate) start: i64,
    pub(crate) day: bool,
    pub(crate) count: u64,
    /// The first moment, in microseconds UTC.
    pub(crate) first: i64,
    /// The last one.
    pub(crate) last: i64,
}

impl Slot {
    /// One occurrence at `moment`.
    pub(crate) fn at(moment: i64) -> Self {
        let start = moment.div_euclid(HOUR) * HOUR;
        Slot { start, day: false, count: 1, first: moment, last: moment }
    }

    /// So many occurrences somewhere in the hour that begins at `start`.
    pub(crate) fn counted(start: i64, count: u64) -> Self {
        Slot { start, day: false, count, first: start, last: start + HOUR - 1 }
    }

    /// The first microsecond after it.
    pub(crate) fn end(&self) -> i64 {
        self.start + if self.day { DAY } else { HOUR }
    }

    pub(crate) fn as_day(self) -> Slot {
        Slot { start: day_of(self.start), day: true, ..self }
    }

    /// As it is kept: by the day where that day ends at or before `days_before`.
    pub(crate) fn kept(self, days_before: i64) -> Slot {
        if day_of(self.start) + DAY <= days_before { self.as_day() } else { self }
    }

    /// Adds what happened in the same period.
    pub(crate) fn add(&mut self, other: &Slot) {
        // Only a damaged ledger holds counts that do not fit.
        self.count = self.count.saturating_add(other.count);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// The first microsecond of the UTC day a moment lies in.
pub(crate) fn day_of(moment: i64) -> i64 {
    moment.div_euclid(DAY) * DAY
}

/// Whether slots are what [`normalize`] makes of them: as a rule those of a log that was read once.
fn is_normal(slots: &[Slot], days_before: i64) -> bool {
    let apart = slots.windows(2).all(|pair| pair[0].end() <= pair[1].start);
    let oldest_hour = slots.iter().find(|slot| !slot.day);
    apart && oldest_hour.is_none_or(|hour| day_of(hour.start) + DAY > days_before)
}

/// Sorts slots, turns those that end at or before `days_before` into days, and unites those of one
/// period. The result is the canonical form of the same facts.
pub(crate) fn normalize(slots: &mut Vec<Slot>, days_before: i64) {
    if is_normal(slots, days_before) {
        return;
    }
    // A day that is kept as a day swallows hours inside it, whatever their age.
    let days: Vec<i64> = {
        let mut days: Vec<i64> = slots.iter().filter(|slot| slot.day).map(|s| s.start).collect();
        days.sort_unstable();
        days.dedup();
        days
    };
    for slot in slots.iter_mut() {
        let day = day_of(slot.start);
        if day + DAY <= days_before || (!days.is_empty() && days.binary_search(&day).is_ok()) {
            *slot = slot.as_day();
        }
    }
    slots.sort_unstable();
    slots.dedup_by(|next, kept| {
        let same = next.start == kept.start;
        if same {
            kept.add(next);
        }
        same
    });
}

/// Normalizes slots and leaves out what ends at or before `gone_before`: what the ledger keeps of them.
pub(crate) fn keep(slots: &mut Vec<Slot>, days_before: i64, gone_before: i64) {
    normalize(slots, days_before);
    let gone = slots.partition_point(|slot| slot.end() <= gone_before);
    slots.drain(..gone);
}

/// Encodes normalized slots with their first and last moments.
pub(crate) fn encode(slots: &[Slot], out: &mut Vec<u8>) {
    write(slots, MOMENTS, out);
}

/// Encodes the counts of normalized slots.
pub(crate) fn encode_counts(slots: &[Slot], out: &mut Vec<u8>) {
    write(slots, COUNTS, out);
}

/// Encodes counts of hours (since 1970) straight away and tells their sum; `None` where they have to be
/// normalized first, because one comes after a later one, or is older than hours are kept for. `out` then
/// holds nothing of use.
pub(crate) fn encode_hours(
    hours: impl Iterator<Item = (u32, u32)>,
    days_before: i64,
    gone_before: i64,
    out: &mut Vec<u8>,
) -> Option<u64> {
    out.clear();
    out.push(COUNTS);
    let (mut end, mut sum) = (0, 0);
    let mut hours = hours.peekable();
    while let Some((hour, count)) = hours.next() {
        let mut count = u64::from(count);
        // Two parts of a log may meet within an hour.
        while let Some((_, more)) = hours.next_if(|(next, _)| *next == hour) {
            count += u64::from(more);
        }
        let start = i64::from(hour) * HOUR;
        // All others are younger than the first.
        if end == 0 && (day_of(start) + DAY <= days_before || start + HOUR <= gone_before) {
            return None;
        }
        put_period(out, u64::from(hour.checked_sub(end)?) * 2, count);
        (end, sum) = (hour.checked_add(1)?, sum + count);
    }
    Some(sum)
}

fn write(slots: &[Slot], version: u8, out: &mut Vec<u8>) {
    out.clear();
    out.push(version);
    let mut end = 0;
    for slot in slots {
        put_period(out, ((slot.start - end) / HOUR) as u64 * 2 + u64::from(slot.day), slot.count);
        if version == MOMENTS {
            put(out, (slot.first - slot.start) as u64);
            put(out, (slot.last - slot.first) as u64);
        }
        end = slot.end();
    }
}

/// Unites two stored timelines; `None` where one is damaged. Moments are kept where both have them.
pub(crate) fn unite(a: &[u8], b: &[u8], days_before: i64, gone_before: i64) -> Option<Vec<u8>> {
    // A period takes two bytes or more.
    let mut slots = Vec::with_capacity((a.len() + b.len()) / 2);
    decode(a, &mut slots)?;
    decode(b, &mut slots)?;
    keep(&mut slots, days_before, gone_before);
    let mut bytes = Vec::new();
    write(&slots, *a.first().max(b.first())?, &mut bytes);
    Some(bytes)
}

/// Appends the slots of a stored timeline to `slots`. `None` where it is damaged: the caller says
/// which row. `slots` then holds what could be read.
pub(crate) fn decode(mut bytes: &[u8], slots: &mut Vec<Slot>) -> Option<()> {
    let (&version, rest) = bytes.split_first()?;
    if version != MOMENTS && version != COUNTS {
        return None;
    }
    bytes = rest;
    let mut end = 0i64;
    while !bytes.is_empty() {
        let head = take(&mut bytes)?;
        let count = take(&mut bytes)?;
        let gap = i64::try_from(head / 2).ok()?.checked_mul(HOUR)?;
        let start = end.checked_add(gap)?;
        let day = head % 2 == 1;
        let length = if day { DAY } else { HOUR };
        end = start.checked_add(length)?;
        let (first, last) = match version {
            MOMENTS => {
                let first = i64::try_from(take(&mut bytes)?).ok()?;
                let lasted = i64::try_from(take(&mut bytes)?).ok()?;
                let first = start.checked_add(first)?;
                (first, first.checked_add(lasted)?)
            }
            _ => (start, end - 1),
        };
        if count == 0 || last >= end || (day && start % DAY != 0) {
            return None;
        }
        slots.push(Slot { start, day, count, first, last });
    }
    Some(())
}

/// Appends the beginning of a period: mostly two bytes.
fn put_period(out: &mut Vec<u8>, gap_and_day: u64, count: u64) {
    if gap_and_day < 0x80 && count < 0x80 {
        out.extend_from_slice(&[gap_and_day as u8, count as u8]);
    } else {
        put(out, gap_and_day);
        put(out, count);
    }
}

/// Appends a LEB128 varint.
pub(crate) fn put(out: &mut impl Extend<u8>, mut value: u64) {
    while value >= 0x80 {
        out.extend([value as u8 | 0x80]);
        value >>= 7;
    }
    out.extend([value as u8]);
}

/// Takes a LEB128 varint; `None` where it is cut or larger than 64 bits.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_790_000_000_000_000;

    fn slots() -> impl Strategy<Value = Vec<Slot>> {
        prop::collection::vec(0..200 * DAY, 0..60)
            .prop_map(|ages| ages.into_iter().map(|age| Slot::at(NOW - age)).collect())
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(mut slots in slots(), days in 0..200i64) {
            normalize(&mut slots, NOW - days * DAY);
            let (mut bytes, mut back) = (Vec::new(), Vec::new());
            encode(&slots, &mut bytes);
            prop_assert!(decode(&bytes, &mut back).is_some());
            prop_assert_eq!(back, slots);
        }

        #[test]
        fn hours_are_encoded_as_their_slots_are(
            hours in prop::collection::vec((0..400u32, 1..300u32), 0..40),
            sort: bool,
            days in -10..20i64,
            gone in -10..20i64,
        ) {
            let first = (NOW / HOUR) as u32;
            let mut hours: Vec<(u32, u32)> =
                hours.into_iter().map(|(hour, count)| (first + hour, count)).collect();
            if sort {
                hours.sort_unstable();
                hours.dedup_by_key(|(hour, _)| *hour);
            }
            let slot = |&(hour, count): &(u32, u32)| {
                Slot::counted(i64::from(hour) * HOUR, count.into())
            };
            let mut slots: Vec<Slot> = hours.iter().map(slot).collect();
            let as_they_came = slots.clone();
            let (days, gone) = (NOW + days * DAY, NOW + gone * DAY);
            let (mut straight, mut bytes) = (Vec::new(), Vec::new());
            let sum = encode_hours(hours.iter().copied(), days, gone, &mut straight);
            keep(&mut slots, days, gone);
            match sum {
                Some(sum) => {
                    encode_counts(&slots, &mut bytes);
                    prop_assert_eq!(straight, bytes);
                    prop_assert_eq!(sum, hours.iter().map(|(_, count)| u64::from(*count)).sum());
                }
                None => prop_assert_ne!(slots, as_they_came),
            }
        }

        #[test]
        fn the_order_of_merging_does_not_show(
            mut a in slots(), mut b in slots(), days in 0..200i64, other in 0..200i64
        ) {
            let mut whole: Vec<Slot> = b.iter().chain(&a).copied().collect();
            normalize(&mut whole, NOW - days.min(other) * DAY);
            normalize(&mut a, NOW - other.max(days) * DAY);
            let mut later = a;
            normalize(&mut b, NOW - DAY * 500);
            later.extend(b);
            normalize(&mut later, NOW - days.min(other) * DAY);
            prop_assert_eq!(whole, later);
        }

        #[test]
        fn damage_is_told_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut slots = Vec::new();
            let _ = decode(&bytes, &mut slots);
        }
    }

    #[test]
    fn a_cut_timeline_is_damaged() {
        let mut slots = vec![Slot::at(NOW)];
        normalize(&mut slots, 0);
        let mut bytes = Vec::new();
        encode(&slots, &mut bytes);
        for cut in [0, 2, bytes.len() - 1] {
            assert!(decode(&bytes[..cut], &mut Vec::new()).is_none(), "{cut}");
        }
    }
}
