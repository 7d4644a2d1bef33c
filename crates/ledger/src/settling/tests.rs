use super::*;

const SECOND: i64 = 1_000_000;

/// Records one after another, 60 bytes each: (second, id, deed, pair).
fn items(records: &[(i64, u64, Deed, u32)]) -> Vec<Item> {
    let item = |(&(second, id, deed, pair), offset): (&(i64, u64, Deed, u32), _)| {
        // No end is known to be that of the same pair.
        let mark = match deed {
            Deed::End => Mark::ODD | Mark::SESSION,
            Deed::Login => 0,
            _ => Mark::RARE,
        };
        Item { offset, bytes: 60, ..Item::new(second * SECOND, id, pair, deed, mark) }
    };
    records.iter().zip((0u64..).step_by(60)).map(item).collect()
}

/// What is said of each login: its second, id, pair and reason, in their order.
fn verdicts(records: &[(i64, u64, Deed, u32)]) -> Vec<(i64, u64, u32, Option<Reason>)> {
    let whole = judged(&items(records), &[]);
    for cut in 0..=records.len() {
        assert_eq!(whole, judged(&items(records), &[cut]), "cut at {cut}");
        assert_eq!(whole, judged(&items(records), &[cut / 2, cut]), "cut at {cut} and its half");
    }
    whole
}

/// Second, id, pair and reason of each login that was told of.
#[derive(Default)]
struct Told(Vec<(i64, u64, u32, Option<Reason>)>);

impl Told {
    fn add(&mut self, item: &Item, reason: Option<Reason>) {
        if item.deed.is_login() {
            self.0.push((item.at / SECOND, item.id, item.pair, reason));
        }
    }
}

impl Teller for Told {
    fn settled(&mut self, items: &[Item]) {
        items.iter().for_each(|item| self.add(item, None));
    }

    fn contested(&mut self, file: i64, item: &Item, reason: Reason) {
        assert_eq!(file, 1);
        self.add(item, Some(reason));
    }
}

fn judged(items: &[Item], cuts: &[usize]) -> Vec<(i64, u64, u32, Option<Reason>)> {
    let mut told = Told::default();
    let mut known = Stretch::default_behind();
    let mut start = 0;
    for &cut in cuts.iter().chain([&items.len()]) {
        let mut stretch = Stretch::new(1, 60 * start as u64);
        items[start..cut].iter().for_each(|item| stretch.push(*item));
        stretch.run(&mut told);
        items[start..cut].iter().for_each(|item| stretch.is_at(item.at));
        stretch.reaches((1, 60 * cut as u64));
        assert!(stretch.is_empty() || stretch.follows(&known));
        known.join(stretch, &mut told);
        known = Stretch::behind(known.context().collect(), known.known(), Vec::new());
        start = cut;
    }
    known.finish(i64::MAX, &mut told);
    told.0.sort_unstable_by_key(|&(at, id, pair, reason)| (at, id, pair, reason));
    told.0
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
    records
        .extend(between.iter().map(|&(second, id, deed, pair)| (before + second, id, deed, pair)));
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
    // The one that stands between has another time.
    let between = [(60, 1100, Login, 7), (0, 1100, Refused, 8), (60, 1100, Login, 7)];
    assert_eq!(contested(100, &between, 1101, 40), [(1100, 7, Reason::IdTwice); 2]);
    // The highest id there is hides nothing.
    let between = [(0, u64::MAX, Refused, 3), (0, 1100, Login, 7), (0, 1100, Login, 7)];
    assert_eq!(contested(100, &between, 1101, 40), [(1100, 7, Reason::IdTwice); 2]);
    let max = u64::MAX;
    let between = [(0, max, Login, 7), (60, max, End, 7), (0, max, Login, 7), (60, max, End, 7)];
    assert_eq!(contested(100, &between, 1100, 40), [(max, 7, Reason::IdTwice); 2]);
    // It ends as somebody else.
    let between = [(0, 1100, Login, 7), (0, 1100, End, 8)];
    assert_eq!(contested(100, &between, 1101, 40), [(1100, 7, Reason::IdTwice)]);
    // Pools change to the same user again and again; a name writes the same twice, with its refusal between.
    let between = [(0, 1100, Change, 7), (0, 1100, Change, 7)];
    assert_eq!(contested(100, &between, 1101, 40), []);
    let between =
        [(0, 1090, Change, 7), (0, 1100, Refused, 8), (0, 1090, Change, 7), (0, 1100, End, 8)];
    assert_eq!(contested(100, &between, 1101, 40), [(1090, 7, Reason::IdTwice); 2]);
}

#[test]
fn what_stands_in_a_refused_name_is_contested() {
    let within = |begin, end| {
        let between = [(0, 1100, begin, 3), (0, 1101, Login, 7), (0, 1100, End, end)];
        contested(100, &between, 1102, 40)
    };
    // That it is long says nothing where the end is of the same name.
    assert_eq!(within(RefusedLong, 3), []);
    assert_eq!(within(Refused, 4), [(1101, 7, Reason::InRefusedName)]);
    assert_eq!(within(Refused, 3), []);
    // A name has made the beginning of one and spoiled the end.
    let between =
        [(0, 1100, Refused, 3), (0, 1101, Login, 7), (0, 1100, Refused, 4), (0, 1100, End, 4)];
    assert_eq!(contested(100, &between, 1102, 40), [(1101, 7, Reason::InRefusedName)]);
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

#[test]
fn a_login_before_a_refused_change_of_user_needs_somebody_to_speak_for_it() {
    let change = (0, 1100, ChangeRefused, 4);
    let with = |behind: &[(i64, u64, Deed, u32)]| {
        let mut between = vec![(0, 1100, Login, 3), (0, 1101, Login, 7), change];
        between.extend(behind);
        contested(100, &between, 1102, 40)
    };
    assert_eq!(with(&[(1, 1101, End, 8)]).len(), 1);
    assert_eq!(with(&[(1, 1101, End, 7)]), []);
    // Not what another such name may have made.
    assert_eq!(with(&[(1, 1101, End, 7), change]).len(), 1);
}

#[test]
fn what_stands_beside_rejected_input_is_contested() {
    let records: Vec<_> = usual(0..100, 1000).into_iter().collect();
    let items = items(&records);
    let mut stretch = Stretch::new(1, 0);
    stretch.is_at(0);
    // The fiftieth login and its end stand at 6000 and 6060, and between them something that is no record.
    for item in &items {
        if item.offset == 6060 {
            stretch.spoil_before(6050);
            stretch.spoil_behind(6060);
        }
        stretch.push(*item);
    }
    let mut told = Told::default();
    stretch.run(&mut told);
    stretch.reaches((1, 60 * items.len() as u64));
    let mut known = Stretch::default_behind();
    known.join(stretch, &mut told);
    known.finish(i64::MAX, &mut told);
    let doubted: Vec<u64> = told.0.iter().filter(|it| it.3.is_some()).map(|it| it.1).collect();
    // Three records before it and three behind it.
    assert_eq!(doubted, [1049, 1050, 1051]);
}

#[test]
fn a_stamp_long_ago_does_not_hurry_anything() {
    let mut records = usual(0..100, 1000);
    records.extend([(100, 1100, Login, 7), (-7000, 5, Refused, 9), (-7000, 5, End, 9)]);
    records.extend((0..20).map(|i| (100, 1200 + i, Login, 1)));
    records.push((100, 1100, Login, 7));
    records.extend(usual(101..140, 1300));
    let doubted: Vec<_> =
        judged(&items(&records), &[]).into_iter().filter_map(|it| Some((it.1, it.3?))).collect();
    assert_eq!(doubted, [(1100, Reason::IdTwice); 2]);
}

#[test]
fn refusals_of_two_lives_speak_against_nobody() {
    let life = |second: i64, ids: std::ops::Range<u64>| {
        let session =
            move |id| [(second, id, Refused, 9), (second, id, End, 9), (second, id + 1, Login, 1)];
        ids.step_by(2).flat_map(session)
    };
    let records: Vec<_> = life(0, 5..1200).chain(life(4, 5..1000)).collect();
    let doubted = judged(&items(&records), &[]).into_iter().filter(|it| it.3.is_some());
    assert_eq!(doubted.count(), 0);
}

#[test]
fn ids_that_are_in_use_again_within_seconds_are_those_of_another_life() {
    // Some handshakes are overtaken by others, and ids are high already when the log begins.
    let life = |second: i64, ids: std::ops::Range<u64>| {
        ids.map(move |id| (second + id as i64 / 1000, id ^ 3, Login, 1 + (id % 7) as u32))
    };
    for (first, second) in
        [(5..3000, 5..3000), (5..3000, 6..900), (800..3000, 5..3500), (5..900, 5..3000)]
    {
        let records: Vec<_> = life(0, first.clone()).chain(life(4, second.clone())).collect();
        let doubted: Vec<_> = judged(&items(&records), &[])
            .into_iter()
            .filter(|it| it.3.is_some())
            .map(|it| (it.0, it.1))
            .collect();
        assert_eq!(doubted, [], "{first:?} and {second:?}");
    }
}

/// What a hostile log may hold in any number: nothing is looked through again for each of them.
#[test]
fn many_records_of_one_kind_are_judged() {
    const COUNT: u64 = 60_000;
    let judge = |records: &dyn Fn(u64) -> [(u64, Deed, u32); 2]| {
        let all: Vec<_> = (0..COUNT / 2)
            .flat_map(|i| records(i).map(|(id, deed, pair)| (i as i64 / 3000, id, deed, pair)))
            .collect();
        let told = judged(&items(&all), &[]);
        let logins = all.iter().filter(|it| it.2.is_login()).count();
        assert_eq!(told.len(), logins, "each login is told of once");
        told.iter().filter(|told| told.3.is_some()).count() as u64
    };
    // Ids with the same low bits; one id again and again; changes of user in names; logins with one id.
    assert_eq!(judge(&|i| [(i << 21, Refused, 1), (i << 21 | 1 << 20, Refused, 1)]), 0);
    assert_eq!(judge(&|_| [(77, Refused, 1), (77, End, 1)]), 0);
    let alone = judge(&|i| [(1000 + i, Login, 1), (999, ChangeRefused, 2)]);
    assert_eq!(alone, COUNT / 2);
    assert_eq!(judge(&|_| [(77, Login, 1), (77, Login, 1)]), COUNT);
    assert_eq!(judge(&|_| [(0, Login, 1), (5, End, 1)]), COUNT / 2 - 1);
}
