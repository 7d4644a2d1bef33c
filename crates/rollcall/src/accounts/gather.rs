//! Asks servers for their accounts and the ledger for everything else: the only part of `accounts` that
//! touches anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ledger::{
    AccountChange, ChangeKind, Counted, DeedFilter, FORMERS_MAX, Filter, Former, IntervalState,
    Ledger, Outcome, StoredSnapshot,
};
use verdict::account::{Account, AccountName, Identity, Snapshot};
use verdict::matching::{Matcher, Shown};
use verdict::references::Reference;
use verdict::unused::{PasswordChange, Uncovered, Window, apart, may_be_remade};

use super::{Basis, Each, Judged, Kept, Known, Member, judge_all};
use crate::config::Config;
use crate::reach::{Place, snapshot_of};
use crate::time::utc_text;

/// What is to be gathered.
pub(crate) struct Wanted<'a> {
    pub(crate) config: &'a Config,
    /// Only these servers; empty: all.
    pub(crate) servers: &'a [Vec<u8>],
    /// No server is asked.
    pub(crate) offline: bool,
    pub(crate) defaults_file: Option<&'a Path>,
    /// The length of the window that is judged, in microseconds.
    pub(crate) length: i64,
    /// Now, in microseconds UTC.
    pub(crate) now: i64,
}

/// Servers that are judged together, and their accounts, judged.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The group's name, or the one server's.
    pub(crate) title: String,
    pub(crate) members: Vec<Member>,
    pub(crate) window: Window,
    pub(crate) judged: Vec<Judged>,
    /// What became of accounts, by member.
    pub(crate) changes: Vec<Vec<AccountChange>>,
}

/// All of it: sets of servers, what there is to say, and what failed.
#[derive(Debug, Default)]
pub(crate) struct All {
    pub(crate) sets: Vec<Gathered>,
    pub(crate) notes: Vec<String>,
    pub(crate) failed: Vec<String>,
    /// Accounts may be listed where nobody could look: no plan is made.
    pub(crate) is_missing_references: bool,
}

/// A server that is asked, or of which accounts were read before.
struct Asked {
    name: Option<String>,
    group: Option<String>,
    /// How it is reached; `None`: not at all.
    place: Option<Place>,
}

/// A server whose accounts are known.
struct Found {
    name: String,
    snapshot: Snapshot,
    past: Past,
    /// Why they are of before, if they are.
    stale: Option<String>,
}

/// What the ledger knows of it beside the newest snapshot.
struct Past {
    /// The first reading of this very server.
    first: i64,
    known_since: BTreeMap<AccountName, i64>,
    formers: Vec<Former>,
    counted: Vec<Counted>,
}

/// Parts what the ledger has of a server into the snapshot and the rest.
fn parted(stored: StoredSnapshot) -> (Snapshot, Past) {
    let StoredSnapshot { snapshot, first_us, known_since, out_of_sight: _, formers, counted } =
        stored;
    (snapshot, Past { first: first_us, known_since, formers, counted })
}

/// Gathers and judges. Snapshots that are taken are stored.
///
/// # Errors
/// Where the ledger fails. A server that cannot be reached is named in what is returned.
pub(crate) fn gather(ledger: &mut Ledger, wanted: &Wanted<'_>) -> anyhow::Result<All> {
    let mut all = All::default();
    let mut sets: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for asked in chosen(ledger, wanted)? {
        let group = asked.group.clone();
        if let Some(found) = find(ledger, wanted, asked, &mut all)? {
            sets.entry(group.unwrap_or_else(|| found.name.clone())).or_default().push(found);
        }
    }
    let references = references(wanted.config, &mut all);
    for (title, found) in sets {
        let set = set(ledger, wanted, title, found, &references, &mut all.notes)?;
        all.sets.push(set);
    }
    Ok(all)
}

/// The configured servers; where there are none, the one that option files lead to, or, offline, those of which
/// accounts were read before.
fn chosen(ledger: &Ledger, wanted: &Wanted<'_>) -> Result<Vec<Asked>, ledger::Error> {
    let is_wanted = |name: &str| {
        wanted.servers.is_empty() || wanted.servers.iter().any(|it| it == name.as_bytes())
    };
    let defaults_file = wanted.defaults_file.map(Path::to_owned);
    let place = |file: Option<PathBuf>| match wanted.offline {
        true => None,
        false => file.map(|file| Place::of(Some(file))),
    };
    let named = wanted.config.servers.iter().filter_map(|it| Some((it.name.clone()?, it)));
    let configured: Vec<Asked> = named
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, server)| Asked {
            name: Some(name),
            group: server.group.clone(),
            place: place(defaults_file.clone().or(server.defaults_file.clone())),
        })
        .collect();
    if wanted.config.servers.iter().any(|it| it.name.is_some()) {
        return Ok(configured);
    }
    if wanted.offline {
        let known = ledger.account_servers()?.into_iter().map(|(name, _)| lossy(&name));
        let known = known.filter(|name| is_wanted(name));
        return Ok(known
            .map(|name| Asked { name: Some(name), group: None, place: None })
            .collect());
    }
    let name = match wanted.servers {
        [one] => Some(lossy(one)),
        _ => None,
    };
    Ok(vec![Asked { name, group: None, place: Some(Place::of(defaults_file)) }])
}

/// The accounts of one server, of now or of before.
fn find(
    ledger: &mut Ledger,
    wanted: &Wanted<'_>,
    asked: Asked,
    all: &mut All,
) -> Result<Option<Found>, ledger::Error> {
    let why =
        match asked.place.as_ref().map(|it| snapshot_of(it, asked.name.as_deref(), wanted.now)) {
            Some(Ok(snapshot)) => {
                let name = asked.name.unwrap_or_else(|| lossy(&snapshot.hostname));
                ledger.store_snapshot(name.as_bytes(), &snapshot)?;
                let missing = snapshot.missing.iter().map(|it| {
                    format!("{name} does not tell {} (error {}): {}", it.what, it.error, it.remedy)
                });
                all.notes.extend(missing);
                let stored = ledger.accounts(name.as_bytes())?;
                return Ok(stored.map(|stored| {
                    let (_, past) = parted(stored);
                    Found { name, snapshot, past, stale: None }
                }));
            }
            Some(Err(error)) => {
                all.failed.push(error.clone());
                error
            }
            None if wanted.offline => "--offline".to_owned(),
            None => "it has no defaults_file in the configuration".to_owned(),
        };
    let Some(name) = asked.name else { return Ok(None) };
    let stored = ledger.accounts(name.as_bytes())?;
    if stored.is_none() && asked.place.is_none() {
        all.notes.push(format!("the accounts of {name} are not known: {why}"));
    }
    Ok(stored.map(|stored| {
        let (snapshot, past) = parted(stored);
        Found { name, snapshot, past, stale: Some(why) }
    }))
}

/// Joins what is known of servers that are judged together, and judges.
fn set(
    ledger: &Ledger,
    wanted: &Wanted<'_>,
    title: String,
    found: Vec<Found>,
    references: &BTreeMap<Vec<u8>, Vec<String>>,
    notes: &mut Vec<String>,
) -> Result<Gathered, ledger::Error> {
    let servers: Vec<Vec<u8>> = found.iter().map(|it| it.name.clone().into_bytes()).collect();
    let filter = Filter { servers: servers.clone(), ..Filter::default() };
    let evidence = ledger.evidence(&filter)?;
    let end_of = |name: &str| {
        evidence.iter().filter(|row| row.server == name.as_bytes()).filter_map(|row| row.to).max()
    };
    // A member without any evidence does not move the window: it is not covered, whenever it ends.
    let end = found.iter().filter_map(|it| end_of(&it.name)).min();
    let window = Window::ending(wanted.now, end, wanted.length);
    let (mut members, mut changes) = (Vec::new(), Vec::new());
    let identities: Vec<Identity> = found.iter().map(|it| it.snapshot.identity()).collect();
    for Found { name, snapshot, past, stale } in found {
        let history = ledger.account_history(name.as_bytes(), None)?;
        let known = known(ledger, &name, &snapshot, &past, &history)?;
        let mut uncovered = uncovered(ledger, &name, window)?;
        let now = snapshot.identity();
        let elsewhere = elsewhere(&past.formers, &now, past.first, window);
        notes.extend(elsewhere.last().map(|it| {
            let at = utc_text(past.first);
            format!(
                "{name}: another server answers, {now}, noticed {at}: {}, and what is known of before is of \
                 that one",
                it.reason
            )
        }));
        // What it did under another name of this set is judged there.
        if identities.iter().filter(|it| is_same(it, &now)).count() < 2 {
            uncovered = apart([uncovered, elsewhere].concat());
        }
        let of_server = Filter { servers: vec![name.clone().into_bytes()], ..Filter::default() };
        let matched = ledger.matched(&of_server)?;
        let counted = past.counted;
        let let_in = ledger.let_in(name.as_bytes())?;
        members.push(Member { name, snapshot, known, matched, counted, let_in, uncovered, stale });
        changes.push(history);
    }
    know_each_other(&mut members);
    let basis = Basis {
        kept: kept(ledger, &servers, &title)?,
        references: references.clone(),
        protected: wanted.config.protected.clone(),
    };
    let mut rows = |member: &Member, matcher: &Matcher, each: &mut Each<'_>| {
        let servers = vec![member.name.clone().into_bytes()];
        let filter = Filter { servers, ..Filter::default() };
        let concerns = |user: &[u8], host: &[u8]| {
            !matcher.seen(user, Shown::NameOrAddress(host), None).rows().is_empty()
        };
        ledger.each_seen(&filter, &concerns, &mut |row| each(&row))
    };
    let judged = judge_all(&members, &mut rows, &basis, window, wanted.now)?;
    Ok(Gathered { title, members, window, judged, changes })
}

/// Is it the same server, beyond doubt?
fn is_same(a: &Identity, b: &Identity) -> bool {
    !a.uuid.is_empty() && a.uuid == b.uuid && !a.is_other(b)
}

/// What is known of accounts of a server under one of its names is known of them under all.
fn know_each_other(members: &mut [Member]) {
    let identities: Vec<Identity> = members.iter().map(|it| it.snapshot.identity()).collect();
    for number in 0..members.len() {
        for other in 0..members.len() {
            if other == number || !is_same(&identities[number], &identities[other]) {
                continue;
            }
            let theirs = members[other].known.clone();
            for (name, known) in &mut members[number].known {
                let Some(it) = theirs.get(name) else { continue };
                if !known.made {
                    known.since = known.since.min(it.since).or(known.since).or(it.since);
                }
                known.remade = known.remade.max(it.remade);
            }
        }
    }
}

/// When in the window another server answered under the name of this one, or may have: not between two readings
/// of this one, of which none in between showed another. What logs of that time tell is not of this one.
fn elsewhere(formers: &[Former], now: &Identity, first: i64, window: Window) -> Vec<Uncovered> {
    let Some(last_other) = formers.iter().rfind(|it| it.identity.is_other(now)) else {
        return Vec::new();
    };
    let reason = format!("{} answered under this name", last_other.identity);
    let mut all = Vec::new();
    let mut reached = window.from;
    let mut until = |from: i64, to: i64| {
        if from > reached {
            all.push(Uncovered { from: reached, to: from, reason: reason.clone() });
        }
        reached = reached.max(to);
    };
    for (number, former) in formers.iter().enumerate() {
        if !former.identity.is_other(now) {
            // Of the time before the first reading of all, nothing says that it was another.
            let is_first = number == 0 && formers.len() < FORMERS_MAX;
            until(if is_first { i64::MIN } else { former.from_us }, former.to_us);
        }
    }
    until(first, i64::MAX);
    all
}

/// What of the window the evidence of a server does not tell.
fn uncovered(
    ledger: &Ledger,
    server: &str,
    window: Window,
) -> Result<Vec<Uncovered>, ledger::Error> {
    let intervals = ledger.coverage(server.as_bytes(), window.from, window.to)?;
    let open = intervals.into_iter().filter(|it| it.state != IntervalState::Covered);
    let why = |state: IntervalState, reason: String| match (state, reason.is_empty()) {
        (_, false) => reason,
        (IntervalState::Uncovered, true) => "no log of that time was read".to_owned(),
        (_, true) => state.as_str().to_owned(),
    };
    Ok(open
        .map(|it| Uncovered { from: it.from_us, to: it.to_us, reason: why(it.state, it.reason) })
        .collect())
}

/// What the ledger knows of each account beside its newest state.
fn known(
    ledger: &Ledger,
    server: &str,
    snapshot: &Snapshot,
    past: &Past,
    history: &[AccountChange],
) -> Result<BTreeMap<AccountName, Known>, ledger::Error> {
    let mut all: BTreeMap<AccountName, Known> = BTreeMap::new();
    // When an account was last noticed to be open, or another one of the same name.
    let mut open: BTreeMap<&AccountName, i64> = BTreeMap::new();
    for change in history {
        if matches!(change.kind, ChangeKind::Created | ChangeKind::Dropped | ChangeKind::Unlocked) {
            open.insert(&change.name, change.noticed_us);
        }
        let known = all.entry(change.name.clone()).or_default();
        match change.kind {
            ChangeKind::Known | ChangeKind::Created => {
                let is_locked = change.became.split(|&it| it == b' ').any(|it| it == b"locked=1");
                *known = Known {
                    made: change.kind == ChangeKind::Created,
                    locked_since: is_locked.then_some(change.noticed_us),
                    ..Known::default()
                };
            }
            ChangeKind::Locked => known.locked_since = Some(change.noticed_us),
            ChangeKind::Unlocked => known.locked_since = None,
            _ => {}
        }
    }
    let lives = lives(history);
    for account in &snapshot.accounts {
        let known = all.entry(account.name.clone()).or_default();
        known.since = past.known_since.get(&account.name).copied();
        known.remade = lives.get(&account.name).and_then(|life| life.remade(account));
    }
    let filter = DeedFilter { server: Some(server.as_bytes().to_vec()), ..DeedFilter::default() };
    // The newest first: what was done last decides.
    let mut decided = BTreeSet::new();
    for deed in ledger.deeds(&filter)? {
        let kind = deed.intent.kind.as_str();
        if !matches!(kind, "lock" | "unlock" | "drop" | "create") {
            continue;
        }
        let is_first = decided.insert(deed.intent.account.clone());
        if is_first && kind == "lock" && deed.outcome == Outcome::Done {
            // Somebody may have unlocked and locked it since.
            let was_open = open.get(&deed.intent.account).copied();
            let known = all.entry(deed.intent.account).or_default();
            known.locked_by_us = known.locked_since.is_some() && was_open <= deed.ended_us;
            known.locked_since = known.locked_since.max(deed.ended_us);
        }
    }
    Ok(all)
}

/// What became of an account since it is known, as far as it tells whether it was made anew. Times of the
/// readings between which something changed, in microseconds UTC.
#[derive(Debug, Default)]
struct Life {
    /// Changes of its password, with when that was.
    passwords: Vec<(i64, i64, i64)>,
    /// Changes of what is lost when it is dropped.
    others: Vec<(i64, i64)>,
}

impl Life {
    /// When it may have been dropped and made anew.
    fn remade(&self, account: &Account) -> Option<i64> {
        let change = |&(since, noticed, at): &(i64, i64, i64)| {
            let meets = |&(from, to): &(i64, i64)| from < noticed && since < to;
            let alone = account.grants_hash.is_some() && !self.others.iter().any(meets);
            PasswordChange { at, alone }
        };
        may_be_remade(&self.passwords.iter().map(change).collect::<Vec<_>>())
    }
}

/// The life of each account that has got another password.
fn lives(history: &[AccountChange]) -> BTreeMap<&AccountName, Life> {
    let mut all: BTreeMap<&AccountName, Life> = BTreeMap::new();
    for change in history {
        let life = all.entry(&change.name).or_default();
        let times = (change.since_us.unwrap_or(i64::MIN), change.noticed_us);
        match change.kind {
            ChangeKind::Known | ChangeKind::Created | ChangeKind::Dropped => {
                *life = Life::default()
            }
            ChangeKind::Password => {
                let at = std::str::from_utf8(&change.became).ok().and_then(|it| it.parse().ok());
                life.passwords.push((times.0, times.1, at.unwrap_or(change.noticed_us)));
            }
            ChangeKind::Granted
            | ChangeKind::Plugin
            | ChangeKind::Unlocked
            | ChangeKind::Roles
            | ChangeKind::DefaultRoles => life.others.push(times),
            ChangeKind::Locked
            | ChangeKind::Expired
            | ChangeKind::Unexpired
            | ChangeKind::Definers => {}
        }
    }
    all
}

/// Exceptions that hold for these servers.
fn kept(
    ledger: &Ledger,
    servers: &[Vec<u8>],
    group: &str,
) -> Result<BTreeMap<AccountName, Vec<Kept>>, ledger::Error> {
    let mut all: BTreeMap<AccountName, Vec<Kept>> = BTreeMap::new();
    for keep in ledger.keeps()? {
        let holds = keep.server.as_ref().is_none_or(|it| servers.contains(it))
            && keep.group.as_ref().is_none_or(|it| it == group);
        if holds {
            let kept = Kept { until: keep.until_us, owner: keep.owner, reason: keep.reason };
            all.entry(keep.account).or_default().push(kept);
        }
    }
    Ok(all)
}

/// User names that other programs list.
fn references(config: &Config, all: &mut All) -> BTreeMap<Vec<u8>, Vec<String>> {
    let mut names: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for path in &config.references {
        let (found, failed) = crate::reach::references_in(path);
        all.is_missing_references |= !failed.is_empty();
        all.failed.extend(failed);
        for Reference { user, place } in found {
            names.entry(user).or_default().push(place);
        }
    }
    names
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use verdict::account::Family;

    fn identity(uuid: &str) -> Identity {
        Identity { family: Family::MySql, uuid: uuid.to_owned(), hostname: uuid.into() }
    }

    #[test]
    fn what_another_server_told_is_not_told_of_this_one() {
        let check = |formers: &[(&str, i64, i64)], first: i64, expected: &[(i64, i64)]| {
            let former = |&(uuid, from_us, to_us): &(&str, i64, i64)| Former {
                identity: identity(uuid),
                from_us,
                to_us,
            };
            let formers: Vec<Former> = formers.iter().map(former).collect();
            let found = elsewhere(&formers, &identity("a"), first, Window { from: 100, to: 200 });
            let stretches: Vec<(i64, i64)> = found.iter().map(|it| (it.from, it.to)).collect();
            assert_eq!(stretches, expected, "{formers:?}");
            assert!(found.iter().all(|it| it.reason == "b (b) answered under this name"));
        };
        check(&[], 150, &[]);
        check(&[("b", 10, 120)], 150, &[(100, 150)]);
        // It is back: only the time of the other one is not its own, up to the readings around it.
        check(&[("a", 10, 120), ("b", 130, 140)], 150, &[(120, 150)]);
        check(&[("a", 110, 120), ("b", 130, 140)], 150, &[(120, 150)]);
        check(&[("b", 10, 20), ("a", 110, 120), ("b", 130, 140)], 150, &[(100, 110), (120, 150)]);
        check(&[("b", 10, 20), ("a", 30, 40)], 90, &[]);
        // So often that the oldest are not known any more.
        let mut many: Vec<(&str, i64, i64)> = vec![("b", 0, 0); FORMERS_MAX];
        many[0] = ("a", 110, 120);
        check(&many, 150, &[(100, 110), (120, 150)]);
    }

    #[test]
    fn an_account_may_be_another_since_its_password_is() {
        let change = |kind, since: i64, noticed: i64, became: &str| AccountChange {
            name: AccountName::new("app", "%"),
            kind,
            since_us: Some(since),
            noticed_us: noticed,
            was: Vec::new(),
            became: became.into(),
        };
        let habit = [(30, 31, "30"), (60, 61, "60"), (90, 91, "90")]
            .map(|(since, noticed, at)| change(ChangeKind::Password, since, noticed, at));
        let check = |other: Option<AccountChange>, grants_hash, expected: Option<i64>| {
            let mut history = vec![change(ChangeKind::Known, 0, 0, "")];
            history.extend(habit.iter().cloned());
            history.extend(other);
            let account = Account { grants_hash, ..Account::default() };
            let name = AccountName::new("app", "%");
            let lives = lives(&history);
            assert_eq!(lives.get(&name).and_then(|it| it.remade(&account)), expected);
        };
        check(None, Some(7), Some(30));
        // Nobody knows whether its grants are the same.
        check(None, None, Some(90));
        check(Some(change(ChangeKind::Granted, 90, 91, "")), Some(7), Some(90));
        check(Some(change(ChangeKind::Unlocked, 80, 100, "")), Some(7), Some(90));
        check(Some(change(ChangeKind::Granted, 91, 92, "")), Some(7), Some(30));
        check(Some(change(ChangeKind::Unexpired, 90, 91, "")), Some(7), Some(30));
        // It was seen to be made.
        check(Some(change(ChangeKind::Created, 91, 92, "")), Some(7), None);
    }
}
