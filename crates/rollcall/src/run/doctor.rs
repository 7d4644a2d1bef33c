//! `doctor`: looks at servers, at their logs on this machine, and at how they were read.

use std::path::PathBuf;

use ledger::Ledger;
use verdict::checkup::{Level, Reading, examine, upgrade};

use super::{Session, put};
use crate::answers::{self, Checked};
use crate::cli::{Condition, DoctorArgs};
use crate::doctor::{Asked, Looked, Past, look};
use crate::exit::Exit;
use crate::reach::Place;
use crate::time::Zone;

/// A server to look at.
struct Patient {
    /// Its configured name, or that of `--server`.
    name: Option<String>,
    /// How it is reached; `None`: not at all.
    place: Option<Place>,
    /// Where its logs are, as they are configured.
    logs: Vec<PathBuf>,
    /// The zone of its log times.
    zone: Zone,
}

impl Session<'_> {
    pub(super) fn doctor(&self, args: &DoctorArgs) -> anyhow::Result<Exit> {
        let ledger = match Ledger::open(&self.ledger()?) {
            Ok(ledger) => Some(ledger),
            Err(error) => {
                self.out.note(&format!("{error:#}"));
                None
            }
        };
        let (mut all, mut failed) = (Vec::new(), false);
        for patient in self.patients(args, ledger.as_ref())? {
            let asked = patient.place.as_ref();
            let asked = asked.map(|it| Asked::ask(it, patient.name.as_deref(), self.now));
            let asked = match asked.transpose() {
                Ok(asked) => asked,
                Err(error) => {
                    failed = true;
                    self.out.error(&error);
                    None
                }
            };
            let called = asked.as_ref().map(|it| lossy(&it.snapshot.hostname));
            let Some(name) = patient.name.clone().or(called) else { continue };
            all.push(self.checked(args, name, &patient, asked.as_ref(), ledger.as_ref())?);
        }
        put(self.out, &answers::doctor(&all, self.view()), self.global.output)?;
        let exit = match (failed, all.is_empty()) {
            (_, true) => Exit::Nothing,
            (true, false) => Exit::Partial,
            (false, false) => Exit::Done,
        };
        let worst = all.iter().flat_map(|it| &it.findings).map(|it| it.level).max();
        Ok(exit.max(condition(&self.global.fail_on, worst)))
    }

    /// The configured servers; where there are none, the one that option files lead to or, offline, those that
    /// the ledger knows.
    fn patients(&self, args: &DoctorArgs, ledger: Option<&Ledger>) -> anyhow::Result<Vec<Patient>> {
        let is_chosen = |name: &str| {
            let servers = &self.filter.servers;
            servers.is_empty() || servers.iter().any(|it| it == name.as_bytes())
        };
        let file = args.live.defaults_file.clone();
        let place = |file: Option<PathBuf>| match args.live.offline {
            true => None,
            false => file.map(|file| Place::of(Some(file))),
        };
        let zone = || self.config.time_zone.clone().unwrap_or_else(Zone::machine);
        let named = self.config.servers.iter().filter_map(|it| Some((it.name.clone()?, it)));
        let configured: Vec<Patient> = named
            .filter(|(name, _)| is_chosen(name))
            .map(|(name, it)| Patient {
                name: Some(name),
                place: place(file.clone().or(it.defaults_file.clone())),
                logs: it.audit_logs.iter().map(PathBuf::from).collect(),
                zone: it.time_zone.clone().unwrap_or_else(zone),
            })
            .collect();
        if !configured.is_empty() {
            return Ok(configured);
        }
        let logs = self.config.servers.iter().flat_map(|it| &it.audit_logs).map(PathBuf::from);
        let logs: Vec<PathBuf> = logs.collect();
        let patient = |name: Option<String>, place: Option<Place>| Patient {
            name,
            place,
            logs: logs.clone(),
            zone: zone(),
        };
        if !args.live.offline {
            let place = Place::of(file);
            return Ok(vec![patient(self.global.server.clone(), Some(place))]);
        }
        let evidence = match ledger {
            Some(ledger) => ledger.evidence(&self.filter)?,
            None => Vec::new(),
        };
        let mut names: Vec<String> = evidence.iter().map(|it| lossy(&it.server)).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|it| !it.is_empty());
        if names.is_empty() {
            let name = self.global.server.clone().unwrap_or_else(|| "this machine".to_owned());
            names.push(name);
        }
        Ok(names.into_iter().map(|name| patient(Some(name), None)).collect())
    }

    fn checked(
        &self,
        args: &DoctorArgs,
        name: String,
        patient: &Patient,
        asked: Option<&Asked>,
        ledger: Option<&Ledger>,
    ) -> anyhow::Result<Checked> {
        let past = match ledger {
            Some(ledger) => Past::of(ledger, &name, self.now)?,
            None => Past::default(),
        };
        let known = past.paths.iter().cloned().chain(asked.and_then(Asked::own_log)).collect();
        let secrets_bytes = u64::from(args.secrets) << 20;
        let Looked { files, unreadable } = look(&patient.logs, known, secrets_bytes);
        let reading = Reading {
            now: self.now,
            last_read: past.last_read,
            last_look: past.last_look,
            longest_pause: past.longest_pause,
            newest: past.newest,
            traffic: &past.traffic,
            uncovered: &past.uncovered,
            files: &files,
            unreadable: &unreadable,
            secrets_bytes,
        };
        let offsets = asked.map(|it| it.offsets(&patient.zone)).unwrap_or_default();
        let server = asked.map(|it| it.server(&patient.zone, &offsets));
        let mut findings = examine(server.as_ref(), &reading);
        let stored = match (asked, ledger) {
            (None, Some(ledger)) => ledger.accounts(name.as_bytes())?.map(|it| it.snapshot),
            _ => None,
        };
        let snapshot = asked.map(|it| &it.snapshot).or(stored.as_ref());
        if let Some(target) = &args.target {
            findings.extend(upgrade(snapshot, target));
        }
        findings.sort_by_key(|it| std::cmp::Reverse(it.level));
        let version = asked.map(|it| it.snapshot.version.clone());
        Ok(Checked { server: name, version, findings })
    }
}

/// Whether a condition of `--fail-on` holds.
fn condition(conditions: &[Condition], worst: Option<Level>) -> Exit {
    let holds = conditions.iter().any(|it| match it {
        Condition::Warn => worst >= Some(Level::Warn),
        Condition::Error => worst >= Some(Level::Error),
        Condition::Rows => worst > Some(Level::Ok),
        // Of what was read, which `evidence` tells, and of quotas.
        Condition::Gap | Condition::Doubt | Condition::Soft | Condition::Hard => false,
    });
    if holds { Exit::Condition } else { Exit::Done }
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_from_their_level_on() {
        use Condition::{Error, Rows, Warn};
        for (condition_, worst, holds) in [
            (Warn, Level::Info, false),
            (Warn, Level::Warn, true),
            (Warn, Level::Error, true),
            (Error, Level::Warn, false),
            (Error, Level::Error, true),
            (Rows, Level::Ok, false),
            (Rows, Level::Info, true),
        ] {
            let exit = condition(&[condition_], Some(worst));
            assert_eq!(exit == Exit::Condition, holds, "{condition_:?} {worst:?}");
        }
        assert_eq!(condition(&[Warn, Error, Rows], None), Exit::Done);
    }
}
