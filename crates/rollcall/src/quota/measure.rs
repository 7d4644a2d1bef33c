//! What the schemas of one server hold, put to the account of users.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use live::sizes::{self, Areas, Method, Sizes};
use verdict::account::Family;
use verdict::quota::{Accounted, Limits, OwnerRules, Owners, State, UserState, account};

use crate::reach::Place;

/// A server to measure.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Its configured name, or that of `--server`.
    pub(crate) name: Option<String>,
    /// How it is reached.
    pub(crate) place: Place,
}

/// What was measured on one server.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) server: String,
    pub(crate) family: Family,
    pub(crate) method: Method,
    /// The data folder, and how full its file system is in per cent; where that is this machine's.
    pub(crate) disk: Option<(String, u64)>,
    /// Bytes by schema.
    pub(crate) schemas: BTreeMap<Vec<u8>, u64>,
    pub(crate) areas: Areas,
    pub(crate) accounted: Accounted,
    /// Bytes a day, of users that were looked at before.
    pub(crate) growth: BTreeMap<Vec<u8>, i64>,
    /// What is done about users.
    pub(crate) actions: BTreeMap<Vec<u8>, Action>,
}

/// What is done about a user. Times are microseconds UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// It was told that a step is crossed.
    Warned { at_us: i64 },
    /// It is held back.
    Held { policy: &'static str, since_us: i64, closed: u32 },
    /// It would be, if it were asked for.
    Would { policy: &'static str },
    /// It should be otherwise; why it is not.
    Not { why: String },
}

impl Action {
    /// What is kept of a user tells it.
    pub(super) fn of(state: &UserState) -> Option<Action> {
        match (&state.held, state.warned_us) {
            _ if !state.told.is_empty() => Some(Action::Not { why: state.told.clone() }),
            (Some(held), _) => Some(Action::Held {
                policy: held.policy.as_str(),
                since_us: held.since_us,
                closed: held.closed,
            }),
            (None, Some(at_us)) => Some(Action::Warned { at_us }),
            (None, None) => None,
        }
    }
}

impl Measured {
    /// The worst state of a user.
    pub(crate) fn worst(&self) -> Option<State> {
        self.accounted.users.iter().map(|it| it.state).max()
    }
}

/// What was measured, and what of it is not known.
pub(super) struct Found {
    pub(super) measured: Measured,
    /// What could not be read, with what mends it.
    pub(super) missing: Vec<String>,
    /// Users with a limit whom the server does not know.
    pub(super) strangers: BTreeSet<Vec<u8>>,
}

/// Connects, reads sizes, and puts them to the account of users.
///
/// # Errors
/// A message with the remedy.
pub(super) fn measure(
    wanted: &Wanted,
    method: Method,
    owners: &OwnerRules,
    limits: &Limits,
) -> Result<Found, String> {
    let name = wanted.name.as_deref();
    let mut server = wanted.place.connect(name)?;
    let sizes = sizes::read(&mut server, method, owners.by_grants);
    let sizes = sizes.map_err(|error| error.to_string())?;
    let folder = String::from_utf8_lossy(&sizes.data_folder).into_owned();
    let disk = match wanted.place.way(name)?.is_remote {
        true => None,
        false => percent_full(Path::new(&folder)),
    };
    let folder = folder.trim_end_matches('/').to_owned();
    let called = || String::from_utf8_lossy(&sizes.hostname).into_owned();
    let server_name = wanted.name.clone().unwrap_or_else(called);
    let missing = sizes.missing.iter().map(|missing| {
        let number = match missing.error {
            0 => String::new(),
            error => format!(" ({error})"),
        };
        format!("{server_name}: not known: {}{number}: {}", missing.what, missing.remedy)
    });
    let missing = missing.collect();
    let (accounted, strangers) = accounted(&sizes, owners, limits);
    let measured = Measured {
        server: server_name,
        family: server.version().family,
        method,
        disk: disk.map(|percent| (folder, percent)),
        schemas: sizes.schemas,
        areas: sizes.areas,
        accounted,
        growth: BTreeMap::new(),
        actions: BTreeMap::new(),
    };
    Ok(Found { measured, missing, strangers })
}

/// Usages of users whom the server knows, and who else has a limit.
fn accounted(
    sizes: &Sizes,
    owners: &OwnerRules,
    limits: &Limits,
) -> (Accounted, BTreeSet<Vec<u8>>) {
    let named = limits.users().map(<[u8]>::to_vec);
    let users = sizes.users.iter().cloned().chain(named);
    let owners = Owners::new(owners, users, &sizes.grants);
    let mut accounted = account(&sizes.schemas, &owners, limits);
    let is_known = |user: &[u8]| sizes.users.is_empty() || sizes.users.contains(user);
    let unknown = accounted.users.iter();
    let unknown = unknown.filter(|it| it.schemas.is_empty() && !is_known(&it.user));
    let unknown: BTreeSet<Vec<u8>> = unknown.map(|it| it.user.clone()).collect();
    accounted.users.retain(|it| !unknown.contains(&it.user));
    (accounted, unknown)
}

/// How full the file system of a folder is, as `df` says it: of what is not kept for root. `None` where it is not
/// this machine's.
fn percent_full(folder: &Path) -> Option<u64> {
    // A server in a container has its folder elsewhere.
    if !folder.join("ibdata1").exists() {
        return None;
    }
    let all = nix::sys::statvfs::statvfs(folder).ok()?;
    let used = all.blocks().saturating_sub(all.blocks_free());
    let of = used.checked_add(all.blocks_available())?;
    used.checked_mul(100).map(|it| it.div_ceil(of.max(1)))
}
