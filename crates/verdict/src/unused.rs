//! Whether an account is in use, as far as evidence reaches.
//!
//! ```text
//! sign of it in the window, on any member                          → used
//! an exception in force                                            → kept
//! no sign, every member covered, and it existed when the window began → unused
//! anything else                                                    → unknown, and why
//! ```
//!
//! Servers that are judged together (a primary and its replicas) are members of one case: a sign on one of
//! them is a use of all, and silence counts only where each of them was listened to.
//!
//! # Invariants
//! * `unused` needs every moment of the window covered on each member that has the account. Doubt of any
//!   kind (a gap, contested logins, logins that may be another account's) makes it `unknown`.
//! * Failed logins never make an account used.
//! * An account that may have been dropped and made anew is as old as what may be the new one.
//! * Times are microseconds UTC. Nothing here knows a clock: the window is an argument.

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// Evidence that ends at most so long before now is taken as reaching to now: logs are read now and then.
/// What is not known of that time is told by the window's end.
pub const TRAILING_MAX: i64 = DAY;

/// What is asked: whether an account was used from `from` to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first moment.
    pub from: i64,
    /// The last moment.
    pub to: i64,
}

impl Window {
    /// The window of this length that ends where evidence does, if that is not more than [`TRAILING_MAX`]
    /// before `now`; else it ends now. A clock that jumped ahead so makes nothing look stale: what lies
    /// between evidence and now is then uncovered.
    pub fn ending(now: i64, evidence_end: Option<i64>, length: i64) -> Window {
        let recent = evidence_end.filter(|&end| now.saturating_sub(end) <= TRAILING_MAX);
        let to = recent.map_or(now, |end| end.min(now));
        Window { from: to.saturating_sub(length), to }
    }

    fn length(self) -> i64 {
        self.to.saturating_sub(self.from).max(0)
    }
}

/// A stretch of time of which one server's evidence does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncovered {
    /// Its first moment.
    pub from: i64,
    /// The moment behind it.
    pub to: i64,
    /// Why: `rotated away before it was read`.
    pub reason: String,
}

/// What evidence shows of an account on one server. The default is nothing at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// The oldest login.
    pub first_seen: Option<i64>,
    /// The newest login.
    pub last_seen: Option<i64>,
    /// The newest sign of a session: a login, a statement, an end, an open session.
    pub last_active: Option<i64>,
    /// Logins counted.
    pub logins: u64,
    /// Refused attempts counted.
    pub failures: u64,
    /// The newest refused attempt.
    pub last_failed: Option<i64>,
    /// The error number of that.
    pub last_error: Option<u32>,
    /// Doubtful records touched it.
    pub contested: bool,
}

impl Signs {
    /// Adds what other rows show.
    pub fn add(&mut self, other: &Signs) {
        self.first_seen = match (self.first_seen, other.first_seen) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.last_seen = self.last_seen.max(other.last_seen);
        self.last_active = self.last_active.max(other.last_active);
        self.logins += other.logins;
        self.failures += other.failures;
        if other.last_failed > self.last_failed {
            (self.last_failed, self.last_error) = (other.last_failed, other.last_error);
        }
        self.contested |= other.contested;
    }

    /// The newest sign that somebody was logged in.
    pub fn newest(&self) -> Option<i64> {
        self.last_seen.max(self.last_active)
    }

    /// Does it tell anything but refusals?
    fn is_login(&self) -> bool {
        self.newest().is_some()
    }
}

/// An account on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnMember<'a> {
    /// The server.
    pub server: &'a [u8],
    /// Since when it is proven to have existed.
    pub known_since: Option<i64>,
    /// When it may have been dropped and made anew ([`may_be_remade`]).
    pub remade: Option<i64>,
    /// What of the time is not covered there, in order.
    pub uncovered: &'a [Uncovered],
    /// What can only be this account's.
    pub sure: Signs,
    /// What may be this account's or another one's.
    pub possible: Signs,
    /// How many accounts the most doubtful of those rows may be of.
    pub rivals: usize,
}

/// An account with all that is known of it on the servers that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case<'a> {
    /// The servers that have it: at least one.
    pub members: Vec<OnMember<'a>>,
    /// An exception is in force.
    pub kept: bool,
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Not used in the window, and all of it was covered.
    Unused,
    /// It cannot be told.
    Unknown,
    /// An exception is in force.
    Kept,
    /// Used in the window.
    Used,
}

impl Verdict {
    /// The word used in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Unused => "unused",
            Verdict::Unknown => "unknown",
            Verdict::Kept => "kept",
            Verdict::Used => "used",
        }
    }
}

/// Why a case is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// This member (by its place in the case) is not covered for so long, in microseconds, for this reason
    /// above all.
    Uncovered {
        /// The member.
        member: usize,
        /// How long together.
        micros: i64,
        /// The reason of the longest stretch.
        reason: String,
    },
    /// Nothing proves that it existed there when the window began; since when it is known, if at all.
    Young {
        /// The member.
        member: usize,
        /// Since when it is known to exist.
        since: Option<i64>,
    },
    /// It may have been dropped and made anew within the window, when its password was changed.
    Remade {
        /// The member.
        member: usize,
        /// When its password was changed.
        at: i64,
    },
    /// Logins in the window may be its own or those of other accounts.
    Ambiguous {
        /// The member.
        member: usize,
        /// How many accounts they may be of.
        candidates: usize,
    },
    /// Records that cannot be trusted concern it.
    Contested {
        /// The member.
        member: usize,
    },
}

/// What follows for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The verdict.
    pub verdict: Verdict,
    /// Its newest login that is its own for certain, and the member it was on.
    pub last_seen: Option<(i64, usize)>,
    /// The newest sign of a session of its own.
    pub last_active: Option<i64>,
    /// From when on all members are covered up to the window's end.
    pub evidence_from: i64,
    /// How much of the window is not covered on some member, in microseconds.
    pub uncovered: i64,
    /// What stands against a clear verdict; empty for `used` and `unused`.
    pub doubts: Vec<Doubt>,
}

impl Finding {
    /// Uncovered days, rounded up: less than a whole window is never told as none.
    pub fn uncovered_days(&self) -> u64 {
        self.uncovered.max(0).unsigned_abs().div_ceil(DAY.unsigned_abs())
    }
}

/// Judges one account.
pub fn judge(case: &Case<'_>, window: Window) -> Finding {
    let members = || case.members.iter().enumerate();
    let last_seen = members().filter_map(|(i, it)| Some((it.sure.last_seen?, i))).max();
    let last_active = case.members.iter().filter_map(|it| it.sure.newest()).max();
    let all: Vec<&Uncovered> = case.members.iter().flat_map(|it| it.uncovered).collect();
    let (uncovered, evidence_from) = united(&all, window);
    let doubts = doubts(case, window);
    let used = last_active.is_some_and(|at| at >= window.from);
    let verdict = match (case.kept, used, doubts.is_empty()) {
        // A use is told although the account is kept: the exception may have become needless.
        (_, true, _) => Verdict::Used,
        (true, ..) => Verdict::Kept,
        (false, _, true) => Verdict::Unused,
        (false, _, false) => Verdict::Unknown,
    };
    let doubts = if used { Vec::new() } else { doubts };
    Finding { verdict, last_seen, last_active, evidence_from, uncovered, doubts }
}

fn doubts(case: &Case<'_>, window: Window) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for (member, it) in case.members.iter().enumerate() {
        let (micros, _) = united(&it.uncovered.iter().collect::<Vec<_>>(), window);
        if micros > 0 {
            let longest = it.uncovered.iter().max_by_key(|it| within(it, window));
            let reason = longest.map_or_else(String::new, |it| it.reason.clone());
            doubts.push(Doubt::Uncovered { member, micros, reason });
        }
        if it.known_since.is_none_or(|since| since > window.from) && !was_there(it, window) {
            doubts.push(Doubt::Young { member, since: it.known_since });
        } else if let Some(at) = it.remade.filter(|&at| at > window.from) {
            doubts.push(Doubt::Remade { member, at });
        }
        let recent = |signs: &Signs| signs.newest().is_some_and(|at| at >= window.from);
        if it.possible.is_login() && recent(&it.possible) {
            doubts.push(Doubt::Ambiguous { member, candidates: it.rivals });
        }
        if it.sure.contested || it.possible.contested {
            doubts.push(Doubt::Contested { member });
        }
    }
    doubts
}

/// A login of its own before the window proves that it existed.
fn was_there(member: &OnMember<'_>, window: Window) -> bool {
    member.sure.first_seen.is_some_and(|at| at <= window.from)
}

/// A change of an account's password that was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordChange {
    /// When, as the server tells.
    pub at: i64,
    /// Nothing else of the account had changed that is lost when it is dropped: grants, roles, plugin, lock; and
    /// all of that could be read.
    pub alone: bool,
}

/// Changes that make a habit: two times between them that can be compared.
const HABIT: usize = 3;

/// How many times the shortest of these times the longest may be.
const UNEVEN_MAX: i64 = 3;

/// When an account may have been dropped and made anew, unnoticed; `None`: never since it is known. `changes` are
/// those of its password, the oldest first.
///
/// No server tells a new account from one with a new password: both have a password of that time. So each change
/// may be a making. But an account whose password is changed by habit must not stay doubtful for ever: changes
/// that follow each other evenly, nothing else having changed, are taken for changes, all but the first of them.
pub fn may_be_remade(changes: &[PasswordChange]) -> Option<i64> {
    let last = changes.last()?;
    let (mut first, mut shortest, mut longest) = (changes.len() - 1, i64::MAX, 0);
    while first > 0 && changes[first].alone {
        let time = changes[first].at.saturating_sub(changes[first - 1].at);
        (shortest, longest) = (shortest.min(time), longest.max(time));
        if time <= 0 || longest > shortest.saturating_mul(UNEVEN_MAX) {
            break;
        }
        first -= 1;
    }
    let is_habit = changes.len() - first >= HABIT;
    Some(if is_habit { changes[first].at } else { last.at })
}

/// Stretches without what they share, in order. Of two the earlier one tells the reason.
pub fn apart(mut stretches: Vec<Uncovered>) -> Vec<Uncovered> {
    stretches.sort_by_key(|it| (it.from, it.to));
    let mut reached = i64::MIN;
    stretches.retain_mut(|it| {
        it.from = it.from.max(reached);
        reached = reached.max(it.to);
        it.from < it.to
    });
    stretches
}

/// How much of an uncovered stretch lies in the window.
fn within(it: &Uncovered, window: Window) -> i64 {
    it.to.min(window.to).saturating_sub(it.from.max(window.from)).max(0)
}

/// How much of the window lies in any of these stretches, and from when on none is.
fn united(all: &[&Uncovered], window: Window) -> (i64, i64) {
    let clamp = |it: &&Uncovered| (it.from.max(window.from), it.to.min(window.to));
    let mut parts: Vec<(i64, i64)> = all.iter().map(clamp).filter(|(from, to)| from < to).collect();
    parts.sort_unstable();
    let (mut sum, mut reached) = (0, window.from);
    for (from, to) in parts {
        sum += to.saturating_sub(from.max(reached)).max(0);
        reached = reached.max(to);
    }
    debug_assert!(sum <= window.length());
    (sum, reached)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { from: 100 * DAY, to: 190 * DAY };

    fn member<'a>() -> OnMember<'a> {
        OnMember {
            server: b"db1",
            known_since: Some(0),
            remade: None,
            uncovered: &[],
            sure: Signs::default(),
            possible: Signs::default(),
            rivals: 0,
        }
    }

    fn case(members: Vec<OnMember<'_>>) -> Case<'_> {
        Case { members, kept: false }
    }

    fn login(day: i64) -> Signs {
        let at = Some(day * DAY);
        Signs { first_seen: at, last_seen: at, last_active: at, logins: 1, ..Signs::default() }
    }

    fn verdict(members: Vec<OnMember<'_>>) -> Verdict {
        judge(&case(members), WINDOW).verdict
    }

    fn gap(from: i64, to: i64) -> Uncovered {
        Uncovered { from: from * DAY, to: to * DAY, reason: "rotated away".into() }
    }

    #[test]
    fn silence_that_was_listened_to_is_unused() {
        let finding = judge(&case(vec![member()]), WINDOW);
        assert_eq!(finding.verdict, Verdict::Unused);
        assert_eq!((finding.uncovered_days(), finding.evidence_from), (0, WINDOW.from));
        assert_eq!(finding.doubts, []);
        let old = OnMember { sure: login(99), ..member() };
        assert_eq!(verdict(vec![old]), Verdict::Unused);
    }

    #[test]
    fn a_sign_on_any_member_is_a_use_on_all() {
        let used = OnMember { sure: login(100), ..member() };
        assert_eq!(verdict(vec![member(), used.clone()]), Verdict::Used);
        // An end of a session that began before the window.
        let signs = Signs { last_active: Some(101 * DAY), ..login(50) };
        assert_eq!(verdict(vec![OnMember { sure: signs, ..member() }]), Verdict::Used);
        let kept = Case { members: vec![used], kept: true };
        assert_eq!(judge(&kept, WINDOW).verdict, Verdict::Used);
        let kept = Case { members: vec![member()], kept: true };
        assert_eq!(judge(&kept, WINDOW).verdict, Verdict::Kept);
    }

    #[test]
    fn refusals_are_no_use() {
        let signs = Signs { failures: 9, last_failed: Some(150 * DAY), ..Signs::default() };
        assert_eq!(verdict(vec![OnMember { sure: signs, ..member() }]), Verdict::Unused);
    }

    #[test]
    fn an_uncovered_moment_on_one_member_is_enough_to_doubt() {
        let gaps = [gap(120, 130), gap(125, 132)];
        let finding =
            judge(&case(vec![member(), OnMember { uncovered: &gaps, ..member() }]), WINDOW);
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert_eq!((finding.uncovered_days(), finding.evidence_from), (12, 132 * DAY));
        let Doubt::Uncovered { member: 1, micros, reason } = &finding.doubts[0] else {
            panic!("{:?}", finding.doubts)
        };
        assert_eq!((*micros, reason.as_str()), (12 * DAY, "rotated away"));
        // Outside the window it does not matter.
        let outside = [gap(1, 100), gap(190, 200)];
        assert_eq!(verdict(vec![OnMember { uncovered: &outside, ..member() }]), Verdict::Unused);
        let brief = [Uncovered { from: 120 * DAY, to: 120 * DAY + 1, reason: String::new() }];
        let finding = judge(&case(vec![OnMember { uncovered: &brief, ..member() }]), WINDOW);
        assert_eq!((finding.verdict, finding.uncovered_days()), (Verdict::Unknown, 1));
    }

    #[test]
    fn who_may_not_have_existed_is_not_unused() {
        for since in [None, Some(101 * DAY)] {
            let young = OnMember { known_since: since, ..member() };
            let finding = judge(&case(vec![young]), WINDOW);
            assert_eq!(finding.doubts, [Doubt::Young { member: 0, since }]);
        }
        // Its own login proves it.
        let proven = OnMember { known_since: None, sure: login(60), ..member() };
        assert_eq!(verdict(vec![proven]), Verdict::Unused);
    }

    #[test]
    fn what_may_be_anothers_is_doubt_and_not_use() {
        let possible = OnMember { possible: login(150), rivals: 2, ..member() };
        let finding = judge(&case(vec![possible]), WINDOW);
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert_eq!(finding.doubts, [Doubt::Ambiguous { member: 0, candidates: 2 }]);
        assert_eq!(finding.last_seen, None);
        let before = OnMember { possible: login(50), rivals: 2, ..member() };
        assert_eq!(verdict(vec![before]), Verdict::Unused);
        let contested =
            OnMember { sure: Signs { contested: true, ..Signs::default() }, ..member() };
        assert_eq!(verdict(vec![contested]), Verdict::Unknown);
    }

    #[test]
    fn a_clock_that_jumped_makes_nothing_stale() {
        let length = 90 * DAY;
        let window = Window::ending(1000 * DAY, Some(1000 * DAY - 3600), length);
        assert_eq!(window.to, 1000 * DAY - 3600);
        // Ten years ahead of all records: the time between is asked for, and nobody has listened.
        let window = Window::ending(4650 * DAY, Some(1000 * DAY), length);
        assert_eq!(window, Window { from: 4560 * DAY, to: 4650 * DAY });
        // A day behind them.
        let window = Window::ending(999 * DAY, Some(1000 * DAY), length);
        assert_eq!(window.to, 999 * DAY);
        assert_eq!(Window::ending(999 * DAY, None, length).to, 999 * DAY);
    }
    #[test]
    fn what_may_be_another_account_is_as_young_as_that() {
        let remade = |day: i64| OnMember { remade: Some(day * DAY), ..member() };
        assert_eq!(verdict(vec![remade(100)]), Verdict::Unused);
        let finding = judge(&case(vec![remade(101)]), WINDOW);
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert_eq!(finding.doubts, [Doubt::Remade { member: 0, at: 101 * DAY }]);
        // A login of before may be the other's.
        let old = OnMember { known_since: None, sure: login(60), ..remade(150) };
        assert_eq!(verdict(vec![old]), Verdict::Unknown);
        let used = OnMember { sure: login(151), ..remade(150) };
        assert_eq!(verdict(vec![used]), Verdict::Used);
    }

    #[test]
    fn a_habit_is_told_from_a_making() {
        let check = |days: &[(i64, bool)], expected: Option<i64>| {
            let changes: Vec<PasswordChange> =
                days.iter().map(|&(day, alone)| PasswordChange { at: day * DAY, alone }).collect();
            assert_eq!(may_be_remade(&changes), expected.map(|day| day * DAY), "{days:?}");
        };
        check(&[], None);
        check(&[(5, true)], Some(5));
        check(&[(5, true), (35, true)], Some(35));
        // The first of a habit may be the making, whatever changed with it.
        check(&[(5, true), (35, true), (66, true)], Some(5));
        check(&[(5, false), (35, true), (66, true), (94, true)], Some(5));
        // What came with other grants, after a pause, or out of turn.
        check(&[(5, true), (35, true), (66, true), (96, false)], Some(96));
        check(&[(5, true), (35, true), (66, true), (160, true)], Some(160));
        check(&[(5, true), (35, true), (66, true), (69, true)], Some(69));
        check(&[(5, true), (35, true), (66, true), (69, true), (99, true)], Some(99));
        // The habit goes on.
        check(&[(5, true), (35, true), (300, true), (330, true), (360, true)], Some(300));
        check(&[(5, true), (5, true), (5, true)], Some(5));
    }

    #[test]
    fn stretches_share_nothing() {
        let of = |all: &[(i64, i64)]| all.iter().map(|&(a, b)| gap(a, b)).collect::<Vec<_>>();
        let found = apart(of(&[(5, 9), (1, 6), (2, 3), (9, 9), (8, 12)]));
        assert_eq!(found, of(&[(1, 6), (6, 9), (9, 12)]));
    }
}
