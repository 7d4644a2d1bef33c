//! Asks servers for their accounts and the ledger for everything else: the only part of `accounts` that
//! touches anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ledger::{AccountChange, ChangeKind, DeedFilter, Filter, IntervalState, Ledger, Outcome, Seen};
use verdict::account::{AccountName, Snapshot};
use verdict::references::Reference;
use verdict::unused::{Uncovered, Window};

use super::{Basis, Judged, Kept, Known, Member, judge_all};
use crate::answers::without_superseded;
use crate::config::Config;
use crate::reach::{Place, snapshot_of};

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
    /// Why they are of before, if they are.
    stale: Option<String>,
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
        all.sets.push(set(ledger, wanted, title, found, &references)?);
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
        false => file.map(|file| Place { defaults_file: Some(file) }),
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
    Ok(vec![Asked { name, group: None, place: Some(Place { defaults_file }) }])
}

/// The accounts of one server, of now or of before.
fn find(
    ledger: &mut Ledger,
    wanted: &Wanted<'_>,
    asked: Asked,
    all: &mut All,
) -> Result<Option<Found>, ledger::Error> {
    let stored = match &asked.name {
        Some(name) => ledger.accounts(name.as_bytes())?,
        None => None,
    };
    let why =
        match asked.place.as_ref().map(|it| snapshot_of(it, asked.name.as_deref(), wanted.now)) {
            Some(Ok(snapshot)) => {
                let name = asked.name.unwrap_or_else(|| lossy(&snapshot.hostname));
                ledger.store_snapshot(name.as_bytes(), &snapshot)?;
                let missing = snapshot.missing.iter().map(|it| {
                    format!("{name} does not tell {} (error {}): {}", it.what, it.error, it.remedy)
                });
                all.notes.extend(missing);
                return Ok(Some(Found { name, snapshot, stale: None }));
            }
            Some(Err(error)) => {
                all.failed.push(error.clone());
                error
            }
            None if wanted.offline => "--offline".to_owned(),
            None => "it has no defaults_file in the configuration".to_owned(),
        };
    let name = asked.name.unwrap_or_default();
    if stored.is_none() && asked.place.is_none() {
        all.notes.push(format!("the accounts of {name} are not known: {why}"));
    }
    Ok(stored.map(|it| Found { name, snapshot: it.snapshot, stale: Some(why) }))
}

/// Joins what is known of servers that are judged together, and judges.
fn set(
    ledger: &Ledger,
    wanted: &Wanted<'_>,
    title: String,
    found: Vec<Found>,
    references: &BTreeMap<Vec<u8>, Vec<String>>,
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
    for Found { name, snapshot, stale } in found {
        let history = ledger.account_history(name.as_bytes(), None)?;
        let known = known(ledger, &name, &snapshot, &history)?;
        let uncovered = uncovered(ledger, &name, window)?;
        let of_server = Filter { servers: vec![name.clone().into_bytes()], ..Filter::default() };
        let matched = ledger.matched(&of_server)?;
        let let_in = ledger.let_in(name.as_bytes())?;
        members.push(Member { name, snapshot, known, matched, let_in, uncovered, stale });
        changes.push(history);
    }
    let seen: Vec<Seen> = without_superseded(ledger.seen(&filter)?);
    let basis = Basis {
        kept: kept(ledger, &servers, &title)?,
        references: references.clone(),
        protected: wanted.config.protected.clone(),
    };
    let judged = judge_all(&members, &seen, &basis, window, wanted.now);
    Ok(Gathered { title, members, window, judged, changes })
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
    history: &[AccountChange],
) -> Result<BTreeMap<AccountName, Known>, ledger::Error> {
    let mut all: BTreeMap<AccountName, Known> = BTreeMap::new();
    for change in history {
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
    if let Some(stored) = ledger.accounts(server.as_bytes())? {
        for account in &snapshot.accounts {
            let since = stored.known_since_us(&account.name);
            all.entry(account.name.clone()).or_default().since = since;
        }
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
            let known = all.entry(deed.intent.account).or_default();
            // Somebody may have unlocked and locked it since.
            known.locked_by_us = known.locked_since.is_some();
            known.locked_since = known.locked_since.max(deed.ended_us);
        }
    }
    Ok(all)
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
