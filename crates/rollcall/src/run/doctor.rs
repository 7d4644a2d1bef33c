//! `doctor`: looks at servers, at their logs on this machine, and at how they were read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use formats::{Dialect, Doubt, Event, Input, Kind, Reader, Sink, Span};
use jiff::Timestamp;
use ledger::{EvidenceState, Filter, IntervalState, Ledger};
use verdict::account::Version;
use verdict::checkup::{AuditFile, Level, Reading, Server, examine, leak, upgrade};
use verdict::unused::Uncovered;

use super::{Session, put};
use crate::answers::{self, Checked};
use crate::cli::{Condition, DoctorArgs};
use crate::exit::Exit;
use crate::reach::Place;
use crate::time::Zone;

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// Secrets of one file that are told by their place.
const LEAKS_TOLD_MAX: usize = 5;

/// Files of one server that are looked at: those of a year that rotates each day.
const FILES_MAX: usize = 400;

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
        for (name, place) in self.doctors_servers(args) {
            let live = place.map(|place| Live::look(&place, name.as_deref(), self.now));
            let live = match live {
                Some(Ok(live)) => Some(live),
                Some(Err(error)) => {
                    failed = true;
                    self.out.error(&error);
                    None
                }
                None => None,
            };
            let told = live.as_ref().map(|it| lossy(&it.snapshot.hostname));
            let Some(name) = name.or(told) else { continue };
            all.push(self.checked(args, name, live.as_ref(), ledger.as_ref())?);
        }
        put(self.out, &answers::doctor(&all, self.view()), self.global.output)?;
        let worst = all.iter().flat_map(|it| &it.findings).map(|it| it.level).max();
        let holds = |condition: &Condition| match condition {
            Condition::Warn => worst >= Some(Level::Warn),
            Condition::Error => worst == Some(Level::Error),
            Condition::Rows => worst.is_some(),
            Condition::Gap | Condition::Doubt => false,
        };
        let exit = match (failed, all.is_empty()) {
            (true, true) => Exit::Nothing,
            (true, false) => Exit::Partial,
            (false, _) => Exit::Done,
        };
        let condition = self.global.fail_on.iter().any(holds);
        Ok(exit.max(if condition { Exit::Condition } else { Exit::Done }))
    }

    /// The configured servers, or the one that option files lead to.
    fn doctors_servers(&self, args: &DoctorArgs) -> Vec<(Option<String>, Option<Place>)> {
        let is_chosen = |name: &str| {
            let servers = &self.filter.servers;
            servers.is_empty() || servers.iter().any(|it| it == name.as_bytes())
        };
        let file = args.live.defaults_file.clone();
        let place = |file: Option<PathBuf>| match args.live.offline {
            true => None,
            false => file.map(|file| Place { defaults_file: Some(file) }),
        };
        let configured = self.config.servers.iter().filter_map(|it| Some((it.name.clone()?, it)));
        let all: Vec<_> = configured
            .filter(|(name, _)| is_chosen(name))
            .map(|(name, it)| (Some(name), place(file.clone().or(it.defaults_file.clone()))))
            .collect();
        if !all.is_empty() {
            return all;
        }
        let place = (!args.live.offline).then_some(Place { defaults_file: file });
        vec![(self.global.server.clone(), place)]
    }

    fn checked(
        &self,
        args: &DoctorArgs,
        name: String,
        live: Option<&Live>,
        ledger: Option<&Ledger>,
    ) -> anyhow::Result<Checked> {
        let mut known = match ledger {
            Some(ledger) => Known::of(ledger, &name, self.now)?,
            None => Known::default(),
        };
        known.files = known.paths.iter().filter_map(|path| look_at(path, args.secrets)).collect();
        let reading = Reading {
            now: self.now,
            last_read: known.last_read,
            bytes_a_day: known.bytes_a_day,
            uncovered: &known.uncovered,
            files: &known.files,
        };
        let own = self.config.servers.iter().find(|it| it.name.as_deref() == Some(&name));
        let zone = own.and_then(|it| it.time_zone.clone()).or(self.config.time_zone.clone());
        let zone = zone.unwrap_or_else(Zone::machine);
        let zone = abbreviation(&zone, self.now);
        let server = live.map(|it| Server {
            snapshot: &it.snapshot,
            variables: &it.variables,
            status: &it.status,
            plugins: &it.plugins,
            clock_ahead: it.clock_ahead,
            zone: &zone,
            network: it.network,
        });
        let mut findings = examine(server.as_ref(), &reading);
        if let (Some(target), Some(live)) = (&args.target, live) {
            match upgrade(&live.snapshot.version, target) {
                Some(changes) => findings.extend(changes),
                None => anyhow::bail!(
                    "--target {target}: no version of {}",
                    live.snapshot.version.family.as_str()
                ),
            }
        }
        let version = live.map(|it| version_text(&it.snapshot.version));
        Ok(Checked { server: name, version, findings })
    }
}

fn version_text(version: &Version) -> String {
    match version.text.contains(version.family.as_str()) {
        true => version.text.clone(),
        false => format!("{} {}", version.family.as_str(), version.text),
    }
}

/// How the server's own programs call this zone now.
fn abbreviation(zone: &Zone, now: i64) -> String {
    let now = Timestamp::from_microsecond(now).unwrap_or_default();
    zone.tz.to_offset_info(now).abbreviation().to_owned()
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// What a running server says of itself.
struct Live {
    snapshot: verdict::account::Snapshot,
    variables: BTreeMap<String, String>,
    status: BTreeMap<String, String>,
    plugins: Vec<String>,
    clock_ahead: i64,
    network: Option<bool>,
}

impl Live {
    fn look(place: &Place, name: Option<&str>, now: i64) -> Result<Live, String> {
        let text = |error: live::LiveError| error.to_string();
        let mut server = place.connect(name)?;
        let asked = Timestamp::now().as_microsecond();
        let clock = live::facts::clock(&mut server).map_err(text)?;
        let answered = Timestamp::now().as_microsecond();
        let plugins = live::facts::plugins(&mut server).map_err(text)?;
        let active = plugins.into_iter().filter(|it| it.status == "ACTIVE");
        Ok(Live {
            snapshot: live::snapshot::snapshot(&mut server, now).map_err(text)?,
            variables: live::facts::variables(&mut server).map_err(text)?,
            status: live::facts::status(&mut server, "%").map_err(text)?,
            plugins: active.map(|it| it.name.to_ascii_uppercase()).collect(),
            // The question was there half way between, as near as can be told.
            clock_ahead: clock - (asked + (answered - asked) / 2),
            network: place.is_remote(name)?.then(|| server.is_encrypted()),
        })
    }
}

/// What the ledger knows of how a server's logs are read.
#[derive(Default)]
struct Known {
    last_read: Option<i64>,
    bytes_a_day: Option<u64>,
    uncovered: Vec<Uncovered>,
    paths: Vec<PathBuf>,
    files: Vec<AuditFile>,
}

impl Known {
    fn of(ledger: &Ledger, name: &str, now: i64) -> Result<Known, ledger::Error> {
        let filter = Filter { servers: vec![name.as_bytes().to_vec()], ..Filter::default() };
        let evidence = ledger.evidence(&filter)?;
        let sources: BTreeSet<&[u8]> = evidence.iter().map(|it| it.source.as_slice()).collect();
        let covered = || evidence.iter().filter(|it| it.state == EvidenceState::Covered);
        let from = covered().filter_map(|it| it.from).min();
        let to = covered().filter_map(|it| it.to).max();
        let status = ledger.status()?;
        let own = || status.sources.iter().filter(|it| sources.contains(it.source.as_slice()));
        let bytes: u64 = own().map(|it| it.bytes).sum();
        let micros =
            from.zip(to).map(|(from, to)| to.saturating_sub(from)).filter(|&it| it > DAY / 24);
        let places = own().flat_map(|it| &it.places).map(|it| it.path.clone());
        let window = ledger.coverage(name.as_bytes(), now - 90 * DAY, now)?;
        // Before the first record there is nothing to miss yet.
        let missing = window.into_iter().filter(|it| {
            it.state != IntervalState::Covered && from.is_some_and(|from| it.to_us > from)
        });
        Ok(Known {
            last_read: own().filter_map(|it| it.last_read).max(),
            bytes_a_day: micros.map(|it| (bytes as f64 * DAY as f64 / it as f64) as u64),
            uncovered: missing
                .map(|it| Uncovered { from: it.from_us, to: it.to_us, reason: it.reason })
                .collect(),
            paths: places.take(FILES_MAX).collect(),
            files: Vec::new(),
        })
    }
}

/// A log file on this machine; `None` where it is not there or cannot be read.
fn look_at(path: &Path, mib: u32) -> Option<AuditFile> {
    let mut file = File::open(path).ok()?;
    let about = file.metadata().ok().filter(|it| it.is_file())?;
    let wanted = u64::from(mib) << 20;
    let from = about.len().saturating_sub(wanted);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut leaks = Leaks { base: from, told: Vec::new(), further: 0 };
    let mut reader = Reader::new(Dialect::ServerAudit);
    if from > 0 {
        reader.resume_mid_record();
    }
    let (mut buffer, mut have) = (vec![0; 256 << 10], 0);
    let mut left = wanted;
    while left > 0 {
        if have == buffer.len() {
            buffer.resize(2 * have, 0);
        }
        let read = file.read(&mut buffer[have..]).ok()?;
        if read == 0 {
            break;
        }
        left = left.saturating_sub(read as u64);
        have += read;
        let used = reader.read(&buffer[..have], Input::Open, &mut leaks);
        leaks.base += used as u64;
        buffer.copy_within(used..have, 0);
        have -= used;
    }
    Some(AuditFile {
        path: path.display().to_string(),
        mode: about.mode(),
        leaks: leaks.told,
        further_leaks: leaks.further,
        looked_at: about.len() - from,
    })
}

/// Secrets by their place.
struct Leaks {
    base: u64,
    told: Vec<(u64, &'static str)>,
    further: u64,
}

impl Sink for Leaks {
    fn event(&mut self, span: Span, event: &Event<'_>) {
        let Some(kind) = (event.kind == Kind::Query).then(|| leak(event.object)).flatten() else {
            return;
        };
        match self.told.len() < LEAKS_TOLD_MAX {
            true => self.told.push((self.base + span.start as u64, kind)),
            false => self.further += 1,
        }
    }

    fn doubt(&mut self, _: Span, _: Doubt, _: &[u8]) {}
}
