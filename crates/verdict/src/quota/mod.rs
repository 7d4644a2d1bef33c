//! Storage per user: whose schemas hold how much, against which limits.
//!
//! ```text
//! sizes of schemas ─ owner ─► bytes of users ─ judge ─► ok, soft, hard
//!                    limits ─────────────────────┘
//! bytes of before ──────────── growth ──────► bytes a day, days until a limit
//! states of before, rules ──── policy ──────► who is warned, held back, given back
//! ```
//!
//! Sizes are read elsewhere. Nothing is done to anybody here.

mod limits;
mod owner;
mod policy;
mod shard;
mod size;

use std::collections::BTreeMap;

pub use limits::{Limit, LimitFault, Limits, LimitsError, USER_BYTES_MAX, USERS_MAX, parse_limits};
pub use owner::{Owner, OwnerRules, Owners, Pattern, PatternFault, SchemaGrant};
pub use policy::{Decision, Held, Policy, PolicyRules, STEP_MARGIN, UserState, decide};
pub use shard::{SHARDS_MAX, Shard};
pub use size::{Base, SIZE_MAX, SizeFault, parse_size};

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// From which age on an earlier size tells of growth: twelve hours, half of what lies between two daily looks.
pub const GROWTH_AGE_MIN: i64 = DAY / 2;

/// How a user stands against its limits. The worst is the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It has none.
    Unlimited,
    /// Within them.
    Ok,
    /// More than the soft limit.
    Soft,
    /// More than the hard limit.
    Hard,
}

impl State {
    /// As answers name it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Unlimited => "unlimited",
            State::Ok => "ok",
            State::Soft => "soft",
            State::Hard => "hard",
        }
    }
}

/// How so many bytes stand. Exactly the limit is within it.
pub fn judge(bytes: u64, limit: Option<Limit>) -> State {
    match limit {
        None => State::Unlimited,
        Some(Limit { hard: Some(hard), .. }) if bytes > hard => State::Hard,
        Some(Limit { soft: Some(soft), .. }) if bytes > soft => State::Soft,
        Some(_) => State::Ok,
    }
}

/// What one user holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The user name.
    pub user: Vec<u8>,
    /// Of all its schemas together.
    pub bytes: u64,
    /// Its limit.
    pub limit: Option<Limit>,
    /// How it stands.
    pub state: State,
    /// Its schemas, the largest first.
    pub schemas: Vec<Vec<u8>>,
}

/// Schemas that count for no user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rest {
    /// Of all of them together.
    pub bytes: u64,
    /// The largest first.
    pub schemas: Vec<Vec<u8>>,
}

/// All that schemas hold, by user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounted {
    /// Users with a limit or a schema: the worst state first, then the most bytes.
    pub users: Vec<Usage>,
    /// Schemas that a rule calls shared.
    pub shared: Rest,
    /// Schemas that no rule fits.
    pub unowned: Rest,
    /// Of those, which several users may write to, and who.
    pub several: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

/// Puts schemas to the account of their owners.
pub fn account(sizes: &BTreeMap<Vec<u8>, u64>, owners: &Owners<'_>, limits: &Limits) -> Accounted {
    let mut accounted = Accounted::default();
    // The largest first; of equal ones by name.
    let mut schemas: Vec<(&Vec<u8>, u64)> =
        sizes.iter().map(|(name, bytes)| (name, *bytes)).collect();
    schemas.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    let mut users: BTreeMap<Vec<u8>, Rest> =
        limits.users().map(|user| (user.to_vec(), Rest::default())).collect();
    for (schema, bytes) in schemas {
        let rest = match owners.of(schema) {
            Owner::User(user) => users.entry(user).or_default(),
            Owner::Shared => &mut accounted.shared,
            Owner::Nobody => &mut accounted.unowned,
            Owner::Several(writers) => {
                accounted.several.push((schema.clone(), writers));
                &mut accounted.unowned
            }
        };
        rest.bytes = rest.bytes.saturating_add(bytes);
        rest.schemas.push(schema.clone());
    }
    let usage = |(user, rest): (Vec<u8>, Rest)| {
        let limit = limits.of(&user);
        let (bytes, schemas) = (rest.bytes, rest.schemas);
        Usage { user, bytes, limit, state: judge(bytes, limit), schemas }
    };
    accounted.users = users.into_iter().map(usage).collect();
    accounted.users.sort_by_key(|it| std::cmp::Reverse((it.state, it.bytes)));
    accounted
}

/// Bytes a day since an earlier look. `None` where that is less than [`GROWTH_AGE_MIN`] ago.
pub fn growth_per_day(bytes: u64, earlier: u64, age_us: i64) -> Option<i64> {
    if age_us < GROWTH_AGE_MIN {
        return None;
    }
    let growth = (i128::from(bytes) - i128::from(earlier)) * i128::from(DAY) / i128::from(age_us);
    i64::try_from(growth).ok()
}

/// Whole days until a limit is exceeded. `None` where it is already, or never will be.
pub fn days_until(limit: u64, bytes: u64, growth_per_day: i64) -> Option<u64> {
    let growth = u64::try_from(growth_per_day).ok().filter(|&growth| growth > 0)?;
    limit.checked_sub(bytes).map(|left| left / growth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(soft: impl Into<Option<u64>>, hard: impl Into<Option<u64>>) -> Option<Limit> {
        Some(Limit { soft: soft.into(), hard: hard.into() })
    }

    #[test]
    fn states_change_behind_the_limit() {
        for (bytes, limit, state) in [
            (u64::MAX, None, State::Unlimited),
            (5, limit(5, 8), State::Ok),
            (6, limit(5, 8), State::Soft),
            (8, limit(5, 8), State::Soft),
            (9, limit(5, 8), State::Hard),
            (u64::MAX, limit(5, None), State::Soft),
            (8, limit(None, 8), State::Ok),
            (9, limit(None, 8), State::Hard),
            (0, limit(0, None), State::Ok),
        ] {
            assert_eq!(judge(bytes, limit), state, "{bytes} {limit:?}");
        }
        assert!(
            State::Hard > State::Soft && State::Soft > State::Ok && State::Ok > State::Unlimited
        );
    }

    #[test]
    fn schemas_are_put_to_the_account_of_users() {
        let sizes =
            [("a", 3), ("a_x", 9), ("b", 50), ("common", 7), ("d1", 1), ("d2", 2), ("e", 4)];
        let sizes: BTreeMap<Vec<u8>, u64> =
            sizes.map(|(name, bytes)| (name.as_bytes().to_vec(), bytes)).into();
        let rules = OwnerRules {
            shared: vec![Pattern::schema("common").unwrap()],
            by_grants: true,
            ..OwnerRules::default()
        };
        let write = |user: &str| SchemaGrant { user: user.into(), schema: b"e".to_vec() };
        let grants = [write("a"), write("b")];
        let owners = Owners::new(&rules, ["a", "b"].map(|it| it.as_bytes().to_vec()), &grants);
        let mut limits = Limits::default();
        limits.add(b"a", limit(5, 8).unwrap()).unwrap();
        limits.add(b"none", limit(5, 8).unwrap()).unwrap();
        let found = account(&sizes, &owners, &limits);
        let users: Vec<_> = found
            .users
            .iter()
            .map(|it| (String::from_utf8(it.user.clone()).unwrap(), it.bytes, it.state))
            .collect();
        assert_eq!(
            users,
            [
                ("a".to_owned(), 12, State::Hard),
                ("none".to_owned(), 0, State::Ok),
                ("b".to_owned(), 50, State::Unlimited),
            ]
        );
        assert_eq!(found.users[0].schemas, [b"a_x".to_vec(), b"a".to_vec()]);
        assert_eq!(found.shared, Rest { bytes: 7, schemas: vec![b"common".to_vec()] });
        let unowned = ["e", "d2", "d1"].map(|it| it.as_bytes().to_vec()).to_vec();
        assert_eq!(found.unowned, Rest { bytes: 7, schemas: unowned });
        assert_eq!(found.several, [(b"e".to_vec(), vec![b"a".to_vec(), b"b".to_vec()])]);
    }

    #[test]
    fn growth_is_by_the_day() {
        assert_eq!(growth_per_day(30, 10, 2 * DAY), Some(10));
        assert_eq!(growth_per_day(10, 30, 2 * DAY), Some(-10));
        assert_eq!(growth_per_day(30, 10, GROWTH_AGE_MIN), Some(40));
        assert_eq!(growth_per_day(30, 10, GROWTH_AGE_MIN - 1), None);
        assert_eq!(growth_per_day(u64::MAX, 0, GROWTH_AGE_MIN), None);
    }

    #[test]
    fn days_until_a_limit() {
        for (limit, bytes, growth, days) in [
            (100, 50, 10, Some(5)),
            (100, 50, 11, Some(4)),
            (100, 100, 1, Some(0)),
            (100, 101, 1, None),
            (100, 50, 0, None),
            (100, 50, -1, None),
        ] {
            assert_eq!(days_until(limit, bytes, growth), days);
        }
    }
}
