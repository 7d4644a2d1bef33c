//! What follows from limits: who is warned, held back, and given back what was taken.
//!
//! ```text
//! usage, limit, what is kept of the user, rules ── decide ──► decisions, what is kept from now on
//!
//! 79 % ─► 81 %      warned at 80          81 % ─► 79 % ─► 81 %   nothing: 80 is left below 75 only
//! 99 % ─► 101 %     first look above      101 % ─► 101 %         held back, where two looks are asked for
//! 101 % ─► 95 %     nothing               95 % ─► 89 %           given back, where that is below 90
//! ```
//!
//! # Invariants
//! * Each crossing of a step is told once, until usage has fallen clearly below it.
//! * Only who is held back is given back, and by the plan that held it back.
//! * No clock: times are given.

use super::{Limit, State, Usage};

/// How far below a step usage has to fall, in per cent of the limit, before crossing it counts anew.
pub const STEP_MARGIN: u32 = 5;

/// What is done about a user above its hard limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Policy {
    /// It is said.
    #[default]
    Warn,
    /// All its accounts are locked.
    Lock,
    /// Its accounts lose the rights by which its schemas grow, and keep those by which they shrink.
    NoGrowth,
}

impl Policy {
    /// The word used everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Warn => "warn",
            Policy::Lock => "lock",
            Policy::NoGrowth => "no-growth",
        }
    }

    /// The policy of this word.
    pub fn parse(word: &str) -> Option<Policy> {
        [Policy::Warn, Policy::Lock, Policy::NoGrowth].into_iter().find(|it| it.as_str() == word)
    }
}

/// By which rules it is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRules {
    /// What is done above the hard limit.
    pub policy: Policy,
    /// Steps at which a user is warned, in per cent of its hard limit, or of the soft one where it has no other.
    pub warn_at: Vec<u32>,
    /// How many looks in succession have to find a user above its hard limit.
    pub exceed_count: u32,
    /// Below how many per cent of the hard limit is given back.
    pub restore_below: u32,
}

impl Default for PolicyRules {
    fn default() -> PolicyRules {
        PolicyRules {
            policy: Policy::Warn,
            warn_at: vec![80, 90, 98],
            exceed_count: 2,
            restore_below: 90,
        }
    }
}

/// How a user is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// In which way.
    pub policy: Policy,
    /// By the plan of this id.
    pub plan: String,
    /// Since when, in microseconds UTC.
    pub since_us: i64,
    /// Sessions that were closed for it.
    pub closed: u32,
}

/// What is kept of a user from one look to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserState {
    /// The highest step that was told, in per cent; 0: none.
    pub warned: u32,
    /// When it was, in microseconds UTC.
    pub warned_us: Option<i64>,
    /// Looks in succession that found it above its hard limit.
    pub exceeds: u32,
    /// How it is held back.
    pub held: Option<Held>,
    /// Why it is not as it should be, as was told last; empty: nothing to tell.
    pub told: String,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is told that this step is crossed.
    Warn(u32),
    /// It is told that the hard limit is exceeded, and by policy no more.
    TellHard,
    /// It is held back.
    Enforce(Policy),
    /// What was taken is given back.
    Restore,
}

/// What follows from a look at a user, and what is kept of it.
pub fn decide(
    usage: &Usage,
    before: &UserState,
    rules: &PolicyRules,
    now_us: i64,
) -> (Vec<Decision>, UserState) {
    let mut after = before.clone();
    let mut decisions = Vec::new();
    let level = level(usage, before.warned, &rules.warn_at);
    if level > before.warned && usage.state < State::Hard {
        decisions.push(Decision::Warn(level));
    }
    if level > before.warned {
        after.warned_us = Some(now_us);
    }
    after.warned = level;
    if level == 0 {
        after.warned_us = None;
    }
    if usage.state == State::Hard {
        after.exceeds = before.exceeds.saturating_add(1);
    } else {
        (after.exceeds, after.told) = (0, String::new());
    }
    let needed = rules.exceed_count.max(1);
    match (&before.held, rules.policy) {
        (Some(_), _) if may_return(usage, rules.restore_below) => decisions.push(Decision::Restore),
        (Some(_), _) => {}
        (None, Policy::Warn) if after.exceeds == needed => decisions.push(Decision::TellHard),
        (None, Policy::Warn) => {}
        (None, policy) if after.exceeds >= needed => decisions.push(Decision::Enforce(policy)),
        (None, _) => {}
    }
    (decisions, after)
}

/// Whether usage has fallen so far that what was taken is given back.
fn may_return(usage: &Usage, below: u32) -> bool {
    match usage.limit.and_then(|limit| limit.hard) {
        // The limit was taken away.
        None => true,
        Some(hard) => {
            usage.state < State::Hard
                && u128::from(usage.bytes) * 100 < u128::from(hard) * u128::from(below)
        }
    }
}

/// The highest step that usage stands at. One that was reached before is left only [`STEP_MARGIN`] below it.
fn level(usage: &Usage, before: u32, warn_at: &[u32]) -> u32 {
    let Some(limit) = usage.limit else { return 0 };
    let Some(whole) = limit.hard.or(limit.soft) else { return 0 };
    let bytes = u128::from(usage.bytes) * 100;
    let is_above = |percent: u32| bytes > u128::from(whole) * u128::from(percent);
    let stands = |step: u32| {
        is_above(step) || (step <= before && is_above(step.saturating_sub(STEP_MARGIN)))
    };
    let soft = soft_step(limit).filter(|_| usage.state >= State::Soft).unwrap_or(0);
    let steps = warn_at.iter().copied().filter(|&step| stands(step));
    let kept = soft_step(limit).filter(|&step| step <= before && stands(step)).unwrap_or(0);
    steps.max().unwrap_or(0).max(soft).max(kept)
}

/// The soft limit is a step, too.
fn soft_step(limit: Limit) -> Option<u32> {
    let soft = limit.soft?;
    let whole = limit.hard.unwrap_or(soft).max(1);
    u32::try_from((u128::from(soft) * 100).div_ceil(u128::from(whole))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::judge;

    fn usage(bytes: u64, soft: Option<u64>, hard: Option<u64>) -> Usage {
        let limit = Some(Limit { soft, hard }).filter(|it| *it != Limit::default());
        Usage {
            user: b"a".to_vec(),
            bytes,
            limit,
            state: judge(bytes, limit),
            schemas: vec![b"a".to_vec()],
        }
    }

    /// Decisions of one look after another.
    fn looks(
        rules: &PolicyRules,
        state: &mut UserState,
        soft: Option<u64>,
        hard: Option<u64>,
        bytes: &[u64],
    ) -> Vec<Vec<Decision>> {
        let mut look = |(now, &bytes): (usize, &u64)| {
            let (decisions, after) = decide(&usage(bytes, soft, hard), state, rules, now as i64);
            *state = after;
            decisions
        };
        bytes.iter().enumerate().map(&mut look).collect()
    }

    #[test]
    fn each_step_is_told_once_until_it_is_left() {
        use Decision::Warn;
        let (rules, mut state) = (PolicyRules::default(), UserState::default());
        let told = looks(
            &rules,
            &mut state,
            None,
            Some(100),
            &[80, 81, 79, 82, 76, 99, 91, 92, 75, 81, 50, 91],
        );
        let expected = [
            vec![],
            vec![Warn(80)],
            vec![],
            vec![],
            vec![],
            vec![Warn(98)],
            // 98 is left, 90 is not.
            vec![],
            vec![],
            vec![],
            vec![Warn(80)],
            vec![],
            vec![Warn(90)],
        ];
        assert_eq!(told, expected);
        assert_eq!((state.warned, state.warned_us), (90, Some(11)));
    }

    #[test]
    fn the_soft_limit_is_a_step() {
        use Decision::Warn;
        let (rules, mut state) = (PolicyRules::default(), UserState::default());
        let told = looks(&rules, &mut state, Some(50), Some(100), &[50, 51, 49, 51, 45, 51, 81]);
        let expected =
            [vec![], vec![Warn(50)], vec![], vec![], vec![], vec![Warn(50)], vec![Warn(80)]];
        assert_eq!(told, expected);
        // Alone it is the whole: at 98 % one is told, and above it.
        let mut state = UserState::default();
        let told = looks(&rules, &mut state, Some(100), None, &[99, 101, 200, 10]);
        assert_eq!(told, [vec![Warn(98)], vec![Warn(100)], vec![], vec![]]);
        let mut state = UserState::default();
        assert_eq!(looks(&rules, &mut state, None, None, &[u64::MAX]), [vec![]]);
    }

    #[test]
    fn who_stays_above_is_held_back_and_given_back_below() {
        use Decision::{Enforce, Restore, Warn};
        let rules = PolicyRules { policy: Policy::Lock, exceed_count: 2, ..PolicyRules::default() };
        let mut state = UserState::default();
        let told = looks(&rules, &mut state, None, Some(100), &[101, 99, 101, 101, 101]);
        let enforce = vec![Enforce(Policy::Lock)];
        assert_eq!(told[..2], [vec![], vec![]]);
        // As long as it does not succeed.
        assert_eq!(told[2..], [vec![], enforce.clone(), enforce]);
        state.held =
            Some(Held { policy: Policy::Lock, plan: "7f3a-1".to_owned(), since_us: 3, closed: 0 });
        let told = looks(&rules, &mut state, None, Some(100), &[101, 100, 90, 89]);
        assert_eq!(told, [vec![], vec![], vec![], vec![Restore]]);
        // Whatever the policy is by now, and where the limit is gone.
        let rules = PolicyRules::default();
        assert_eq!(looks(&rules, &mut state, None, Some(100), &[89]), [vec![Restore]]);
        assert_eq!(looks(&rules, &mut state, Some(1), None, &[95]), [vec![Warn(100), Restore]]);
        // Never while it is above, whatever is configured.
        let rules = PolicyRules { restore_below: 200, ..rules };
        assert_eq!(looks(&rules, &mut state, None, Some(100), &[101]), [vec![]]);
    }

    #[test]
    fn where_nothing_is_done_it_is_told_once() {
        let (rules, mut state) = (PolicyRules::default(), UserState::default());
        let told = looks(&rules, &mut state, None, Some(100), &[101, 101, 101, 99, 101, 101]);
        let tell = vec![Decision::TellHard];
        assert_eq!(told, [vec![], tell.clone(), vec![], vec![], vec![], tell]);
    }

    #[test]
    fn words() {
        for policy in [Policy::Warn, Policy::Lock, Policy::NoGrowth] {
            assert_eq!(Policy::parse(policy.as_str()), Some(policy));
        }
        assert_eq!(Policy::parse("kill"), None);
    }
}
