//! `quota check`: measures servers, puts schemas to the account of users, and holds those against limits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::bail;
use ledger::Ledger;
use live::sizes::{self, Method, Sizes};
use verdict::quota::{Limits, Owners, State, account, growth_per_day};

use super::{Session, put};
use crate::answers::{self, Measured};
use crate::cli::{Condition, Quota, QuotaArgs, QuotaCheckArgs};
use crate::config::limits;
use crate::exit::Exit;
use crate::out::replace_file;
use crate::reach::Place;
use crate::render::{inert, metrics_text, shown};

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// Growth is what lies between now and the oldest look of so many days.
const GROWTH_DAYS: i64 = 30;

/// The most names that a message lists.
const NAMES_MAX: usize = 10;

/// A server to measure.
struct Wanted {
    /// Its configured name, or that of `--server`.
    name: Option<String>,
    /// How it is reached.
    place: Place,
}

/// What came of measuring.
#[derive(Default)]
struct Done {
    measured: Vec<Measured>,
    failed: bool,
    /// Something could not be read.
    is_doubtful: bool,
    /// Users with a limit whom no server knows; `None`: nobody was measured.
    strangers: Option<BTreeSet<Vec<u8>>>,
}

impl Session<'_> {
    pub(super) fn quota(&self, args: &QuotaArgs) -> anyhow::Result<Exit> {
        match &args.what {
            Quota::Check(args) => self.quota_check(args),
        }
    }

    fn quota_check(&self, args: &QuotaCheckArgs) -> anyhow::Result<Exit> {
        let limits = self.limits(args)?;
        let mut ledger = self.usage_ledger();
        let mut done = Done::default();
        for wanted in self.to_measure(args.defaults_file.as_deref())? {
            match self.measure(args, &wanted) {
                Ok((server, sizes)) => {
                    let ledger = ledger.as_mut();
                    self.add_measured(&mut done, server, sizes, &limits, ledger);
                }
                Err(error) => {
                    done.failed = true;
                    self.out.error(&error);
                }
            }
        }
        self.note_strangers(done.strangers.as_ref());
        let answer = answers::quota(&done.measured, args.limit, self.view());
        put(self.out, &answer, self.global.output)?;
        let mut exit = match (done.failed, done.measured.is_empty()) {
            (_, true) => Exit::Nothing,
            (true, false) => Exit::Partial,
            (false, false) => Exit::Done,
        };
        // Numbers of some servers alone would let the others vanish from whoever watches.
        if let Some(path) = &args.metrics {
            if done.failed {
                self.out.note(&format!("{} stays as it was", path.display()));
            } else {
                let text = metrics_text(&answers::quota_metrics(&done.measured));
                if let Err(error) = replace_file(path, &text) {
                    self.out.error(&error);
                    exit = exit.max(Exit::Partial);
                }
            }
        }
        let worst = done.measured.iter().filter_map(Measured::worst).max();
        let conditions = &self.global.fail_on;
        Ok(exit.max(condition(conditions, worst, answer.rows > 0, done.is_doubtful)))
    }

    /// The limits of users; none where no file is named and no exit code hangs on them.
    fn limits(&self, args: &QuotaCheckArgs) -> anyhow::Result<Limits> {
        const NONE: &str = "no limits: name their file, limits of [quota], or --limits FILE";
        match args.limits.as_ref().or(self.config.quota.limits.as_ref()) {
            Some(path) => limits::read(path).map_err(anyhow::Error::msg),
            None if self.global.fail_on.iter().any(Condition::is_of_limits) => bail!(NONE),
            None => {
                self.out.note(NONE);
                Ok(Limits::default())
            }
        }
    }

    /// The ledger that holds earlier sizes; without one growth is not known, and all else is.
    fn usage_ledger(&self) -> Option<Ledger> {
        let opened = self.ledger().and_then(|path| Ok(Ledger::create(&path)?));
        match opened {
            Ok(ledger) => Some(ledger),
            Err(error) => {
                self.out.note(&format!("{error:#}; growth is not known"));
                None
            }
        }
    }

    /// The configured servers that can be reached; where none is configured, the one that option files lead to.
    fn to_measure(&self, defaults_file: Option<&Path>) -> anyhow::Result<Vec<Wanted>> {
        let chosen = &self.filter.servers;
        let is_chosen =
            |name: &str| chosen.is_empty() || chosen.iter().any(|it| it == name.as_bytes());
        let named = self.config.servers.iter().filter_map(|it| Some((it.name.clone()?, it)));
        let named: Vec<_> = named.filter(|(name, _)| is_chosen(name)).collect();
        if let Some(file) = defaults_file {
            if named.len() > 1 {
                bail!("--defaults-file leads to one server: say which with --server");
            }
            let name = named.into_iter().next().map(|(name, _)| name);
            let name = name.or_else(|| self.global.server.clone());
            return Ok(vec![Wanted { name, place: Place::of(Some(file.to_owned())) }]);
        }
        if self.config.servers.iter().all(|it| it.name.is_none()) {
            let place = Place::of(None);
            return Ok(vec![Wanted { name: self.global.server.clone(), place }]);
        }
        let mut wanted = Vec::new();
        for (name, server) in named {
            match (&server.defaults_file, &server.login) {
                (Some(_), _) | (_, Some(_)) => {
                    let place = Place::configured(server).map_err(anyhow::Error::msg)?;
                    wanted.push(Wanted { name: Some(name), place });
                }
                // Of this one the logs alone are read.
                (None, None) => {
                    self.out.detail(&format!("{}: no defaults_file: left out", inert(&name)))
                }
            }
        }
        if wanted.is_empty() {
            bail!(
                "no way to a server: give its [[server]] a defaults_file, or --defaults-file FILE"
            );
        }
        Ok(wanted)
    }

    /// Connects and reads sizes. A frame of what is measured comes back with them.
    fn measure(&self, args: &QuotaCheckArgs, wanted: &Wanted) -> Result<(Measured, Sizes), String> {
        let name = wanted.name.as_deref();
        let method = args.method.map_or(self.config.quota.method, Into::into);
        let mut server = wanted.place.connect(name)?;
        let by_grants = self.config.quota.owners.by_grants;
        let sizes = sizes::read(&mut server, method, by_grants);
        let sizes = sizes.map_err(|error| error.to_string())?;
        let folder = String::from_utf8_lossy(&sizes.data_folder).into_owned();
        let disk = match wanted.place.way(name)?.is_remote {
            true => None,
            false => percent_full(Path::new(&folder)),
        };
        let folder = folder.trim_end_matches('/').to_owned();
        let called = || String::from_utf8_lossy(&sizes.hostname).into_owned();
        let measured = Measured {
            server: wanted.name.clone().unwrap_or_else(called),
            family: server.version().family,
            method,
            disk: disk.map(|percent| (folder, percent)),
            schemas: BTreeMap::new(),
            areas: sizes.areas,
            accounted: verdict::quota::Accounted::default(),
            growth: BTreeMap::new(),
        };
        Ok((measured, sizes))
    }

    /// Puts schemas to the account of users, and looks at what those held before.
    fn add_measured(
        &self,
        done: &mut Done,
        mut measured: Measured,
        sizes: Sizes,
        limits: &Limits,
        ledger: Option<&mut Ledger>,
    ) {
        for missing in &sizes.missing {
            done.is_doubtful = true;
            let number = match missing.error {
                0 => String::new(),
                error => format!(" ({error})"),
            };
            let (server, what) = (&measured.server, &missing.what);
            self.out.note(&format!("{server}: not known: {what}{number}: {}", missing.remedy));
        }
        let named = limits.users().map(<[u8]>::to_vec);
        let users = sizes.users.iter().cloned().chain(named);
        let owners = Owners::new(&self.config.quota.owners, users, &sizes.grants);
        measured.accounted = account(&sizes.schemas, &owners, limits);
        let is_known = |user: &[u8]| sizes.users.is_empty() || sizes.users.contains(user);
        let unknown = measured.accounted.users.iter();
        let unknown = unknown.filter(|it| it.schemas.is_empty() && !is_known(&it.user));
        let unknown: BTreeSet<Vec<u8>> = unknown.map(|it| it.user.clone()).collect();
        measured.accounted.users.retain(|it| !unknown.contains(&it.user));
        done.strangers = Some(match done.strangers.take() {
            Some(before) => before.intersection(&unknown).cloned().collect(),
            None => unknown,
        });
        measured.schemas = sizes.schemas;
        // Sizes of two methods are not to be compared.
        if let (Some(ledger), Method::Tablespaces) = (ledger, measured.method)
            && let Err(error) = self.compare(ledger, &mut measured)
        {
            self.out.note(&format!("{error}; growth is not known"));
        }
        done.measured.push(measured);
    }

    /// Growth since earlier looks; and this look for later ones.
    fn compare(&self, ledger: &mut Ledger, measured: &mut Measured) -> Result<(), ledger::Error> {
        let server = measured.server.as_bytes();
        let earlier = ledger.earlier_usage(server, self.now - GROWTH_DAYS * DAY)?;
        let earlier: BTreeMap<_, _> = earlier.into_iter().map(|it| (it.user.clone(), it)).collect();
        let users = &measured.accounted.users;
        let growth = users.iter().filter_map(|it| {
            let before = earlier.get(&it.user)?;
            let growth = growth_per_day(it.bytes, before.bytes, self.now - before.at_us)?;
            Some((it.user.clone(), growth))
        });
        measured.growth = growth.collect();
        let users: Vec<(&[u8], u64)> = users.iter().map(|it| (&it.user[..], it.bytes)).collect();
        ledger.note_usage(server, self.now, &users)
    }

    /// Says which users of the limits no server knows: their names may be misspelt.
    fn note_strangers(&self, strangers: Option<&BTreeSet<Vec<u8>>>) {
        let Some(strangers) = strangers.filter(|it| !it.is_empty()) else { return };
        let mut names: Vec<String> = strangers.iter().take(NAMES_MAX).map(|it| shown(it)).collect();
        if strangers.len() > NAMES_MAX {
            names.push(format!("and {} more", strangers.len() - NAMES_MAX));
        }
        self.out.note(&format!(
            "limits of users that are on no server, nor have a schema: {}",
            names.join(", ")
        ));
    }
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

/// Whether a condition of `--fail-on` holds.
fn condition(
    conditions: &[Condition],
    worst: Option<State>,
    rows: bool,
    is_doubtful: bool,
) -> Exit {
    let holds = conditions.iter().any(|it| match it {
        Condition::Soft => worst >= Some(State::Soft),
        Condition::Hard => worst >= Some(State::Hard),
        Condition::Rows => rows,
        Condition::Doubt => is_doubtful,
        // Of logs, and of a check-up.
        Condition::Gap | Condition::Warn | Condition::Error => false,
    });
    if holds { Exit::Condition } else { Exit::Done }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_from_their_state_on() {
        use Condition::{Doubt, Error, Gap, Hard, Rows, Soft, Warn};
        for (condition_, worst, rows, is_doubtful, holds) in [
            (Soft, None, true, true, false),
            (Soft, Some(State::Ok), true, true, false),
            (Soft, Some(State::Soft), false, false, true),
            (Soft, Some(State::Hard), false, false, true),
            (Hard, Some(State::Soft), true, true, false),
            (Hard, Some(State::Hard), false, false, true),
            (Rows, None, true, false, true),
            (Rows, Some(State::Hard), false, true, false),
            (Doubt, None, false, true, true),
            (Doubt, Some(State::Hard), true, false, false),
            (Gap, Some(State::Hard), true, true, false),
            (Warn, Some(State::Hard), true, true, false),
            (Error, Some(State::Hard), true, true, false),
        ] {
            let exit = condition(&[condition_], worst, rows, is_doubtful);
            assert_eq!(exit == Exit::Condition, holds, "{condition_:?} {worst:?}");
        }
        assert_eq!(condition(&[], Some(State::Hard), true, true), Exit::Done);
    }
}
