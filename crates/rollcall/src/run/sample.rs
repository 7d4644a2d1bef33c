//! `sample`: notes which processes have the connections that are open, so that they can be named afterwards.
//!
//! ```text
//! list of sessions ─► new ones, so many a round ─► live::process ─► ledger (samples)
//!                 └─► ids of queries (MariaDB) ──────────────────► ledger (sampled_queries)
//! ```
//!
//! # Invariants
//! * Only processes that surely have a connection are noted with it; of others that none was found.
//! * Command lines are masked before they come here.
//! * A round takes no more than a fiftieth of the time, and looks at no more connections than configured.
//! * The ledger's transaction is short, and beside the lock of a `watch`.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;
use jiff::Timestamp;
use ledger::{Ledger, Sample, SampleLimits, Sampled, SampledQuery};
use live::Server;
use live::connection::{Connection, Looker, Which};
use live::process::{self, Doubt, Evidence, Found, Holder};

use super::who::{look, place_of};
use super::{Session, is_root};
use crate::answers::{command_bytes, plural};
use crate::cli::SampleArgs;
use crate::exit::Exit;
use crate::quota::Wanted;
use crate::render::shown_plain;

/// A round is followed by a pause of so many times its own length.
const PAUSES: u32 = 50;

/// No process is looked for in a round that has taken so long.
const ROUND_MAX: Duration = Duration::from_secs(2);

/// By how much a server's start may differ from one telling to the next: its uptime is in whole seconds.
const START_US: i64 = 2_000_000;

/// One server that is sampled.
struct Sampler {
    wanted: Wanted,
    server: Option<Server>,
    /// When it started.
    run_us: i64,
    known: BTreeMap<u64, Known>,
    /// What was said last.
    fault: Option<String>,
}

/// A connection that was looked at.
struct Known {
    user: Vec<u8>,
    host: Vec<u8>,
    port: Option<u16>,
    /// Its processes, with their starts; of id 0 where there is none here.
    processes: Vec<(u32, u64)>,
    query: Option<u64>,
}

impl Known {
    fn is(&self, it: &Connection) -> bool {
        (&self.user, &self.host, self.port) == (&it.user, &it.host, it.port)
    }
}

impl Session<'_> {
    pub(super) fn sample(&self, args: &SampleArgs) -> anyhow::Result<Exit> {
        if !is_root() {
            bail!("sample looks into the processes of others: run it as root");
        }
        let wanted = self.to_measure(args.defaults_file.as_deref())?.into_iter();
        let mut samplers: Vec<Sampler> = wanted
            .map(|wanted| {
                let known = BTreeMap::new();
                Sampler { wanted, server: None, run_us: 0, known, fault: None }
            })
            .collect();
        let mut ledger = Ledger::create(&self.ledger()?)?;
        loop {
            let begun = Instant::now();
            let failed = samplers.iter_mut().filter_map(|it| self.round(it, &mut ledger).err());
            let failed = failed.count();
            if args.once {
                return Ok(match failed {
                    0 => Exit::Done,
                    all if all == samplers.len() => Exit::Nothing,
                    _ => Exit::Partial,
                });
            }
            let interval = Duration::from_secs(self.config.sample.interval_seconds.into());
            sleep(interval.max(begun.elapsed() * PAUSES));
        }
    }

    /// Looks at one server; what hinders is said once, until it is another or none.
    fn round(&self, sampler: &mut Sampler, ledger: &mut Ledger) -> Result<(), ()> {
        match self.try_round(sampler, ledger) {
            Ok(()) => sampler.fault = None,
            Err(error) => {
                let text = format!("{error:#}");
                sampler.server = None;
                if sampler.fault.as_ref() != Some(&text) {
                    self.out.error(&text);
                }
                sampler.fault = Some(text);
                return Err(());
            }
        }
        Ok(())
    }

    fn try_round(&self, sampler: &mut Sampler, ledger: &mut Ledger) -> anyhow::Result<()> {
        let begun = Instant::now();
        let name = sampler.wanted.name.as_deref();
        let mut server = match sampler.server.take() {
            Some(server) => server,
            None => sampler.wanted.place.connect(name).map_err(anyhow::Error::msg)?,
        };
        let Some(started) = live::facts::started(&mut server)? else {
            bail!("{}: it does not tell when it started", server.name());
        };
        let own_id = server.connection_id();
        let mut looker = Looker::new(&mut server)?;
        let name = name.map_or_else(|| shown_plain(looker.hostname()), str::to_owned);
        if (started - sampler.run_us).abs() > START_US {
            sampler.known.clear();
            sampler.run_us = ledger.sampled_run(name.as_bytes(), started)?;
        }
        let mut all = looker.all()?;
        // What is left for the next round is first in it.
        all.sort_unstable_by_key(|it| it.id);
        let mut sampled = Sampled { run_us: sampler.run_us, ..Sampled::default() };
        sampler.go_on(&all, &mut sampled);
        let is_new = |it: &&Connection| !sampler.known.contains_key(&it.id);
        let new: Vec<&Connection> = all.iter().filter(is_new).collect();
        let most = self.config.sample.connections_per_round as usize;
        let mut looked = 0;
        if !new.is_empty() {
            let place = place_of(&mut looker, own_id)?;
            for it in new.iter().take(most) {
                if begun.elapsed() >= ROUND_MAX {
                    break;
                }
                looked += 1;
                let Some(now) = looker.find(&Which::Id(it.id))?.into_iter().next() else {
                    continue;
                };
                let found = look(&mut looker, &place, &now)?;
                sampler.add(&now, &found, &mut sampled);
            }
        }
        let limits = SampleLimits {
            keep: self.config.sample.keep.into(),
            age_us: i64::from(self.config.sample.days) * 86_400_000_000,
        };
        let now = Timestamp::now().as_microsecond();
        ledger.note_samples(name.as_bytes(), now, &sampled, limits)?;
        let left = new.len() - looked;
        self.out.detail(&format!(
            "{name}: {} open, {looked} new looked at, {left} left for the next round",
            plural(all.len() as u64, "connection")
        ));
        sampler.server = Some(server);
        Ok(())
    }
}

impl Sampler {
    /// What is still as it was, and what has run since; the rest is forgotten, and looked at anew where it is open.
    fn go_on(&mut self, all: &[Connection], sampled: &mut Sampled) {
        let mut known = BTreeMap::new();
        for it in all {
            let before = self.known.remove(&it.id).filter(|known| known.is(it));
            let is_there =
                |(pid, ticks): &(u32, u64)| *pid == 0 || process::still_runs(*pid, *ticks);
            let Some(mut before) = before.filter(|it| it.processes.iter().all(is_there)) else {
                continue;
            };
            let processes = before.processes.iter();
            sampled.still.extend(processes.map(|&(pid, ticks)| (it.id, pid, ticks)));
            if it.query != before.query {
                before.query = it.query;
                sampled.queries.extend(query_of(it));
            }
            known.insert(it.id, before);
        }
        self.known = known;
    }

    /// What was found of a new connection.
    fn add(&mut self, it: &Connection, found: &Found, sampled: &mut Sampled) {
        let holders = surely(found);
        let samples: Vec<Sample> = match holders.is_empty() {
            true => vec![sample(it, None)],
            false => holders.into_iter().map(|holder| sample(it, Some(holder))).collect(),
        };
        let processes = samples.iter().map(|it| (it.pid, it.start_ticks)).collect();
        sampled.new.extend(samples);
        sampled.queries.extend(query_of(it));
        // What was busy may be idle the next time.
        if found.doubts.iter().any(|it| matches!(it, Doubt::Busy | Doubt::Changed)) {
            return;
        }
        let (user, host, port) = (it.user.clone(), it.host.clone(), it.port);
        self.known.insert(it.id, Known { user, host, port, processes, query: it.query });
    }
}

fn query_of(it: &Connection) -> Option<SampledQuery> {
    it.query.map(|query| SampledQuery { query, connection: it.id })
}

/// The processes at both of whose socket's ends the connection was seen.
fn surely(found: &Found) -> Vec<&Holder> {
    let is_proof = |it: &&Holder| matches!(it.evidence, Evidence::TcpPair | Evidence::SocketPeer);
    match found.is_certain() {
        true => found.holders.iter().filter(is_proof).collect(),
        false => Vec::new(),
    }
}

fn sample(it: &Connection, holder: Option<&Holder>) -> Sample {
    let (user, host) = (it.user.clone(), it.host.clone());
    let connection = Sample { connection: it.id, user, host, port: it.port, ..Sample::default() };
    let Some(holder) = holder else { return connection };
    let process = &holder.process;
    Sample {
        pid: process.pid,
        start_ticks: process.started_ticks,
        started_us: process.started,
        evidence: holder.evidence.as_str().to_owned(),
        uid: process.uid,
        os_user: process.user.clone(),
        name: process.name.clone(),
        executable: process.executable.clone(),
        unit: process.unit.clone(),
        container: process.container.clone(),
        command_line: command_bytes(process),
        ..connection
    }
}
