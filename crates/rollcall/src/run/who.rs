//! `who`: from a connection to the client's process.

use std::net::{IpAddr, ToSocketAddrs as _};

use anyhow::bail;
use ledger::Ledger;
use live::connection::{Connection, Looker, Which};
use live::process::{self, Doubt, Found, Host, ServerPlace};
use live::{LiveError, Server};

use super::{Session, condition, put};
use crate::answers::{self, Doubts, Sought};
use crate::cli::WhoArgs;
use crate::exit::Exit;
use crate::reach::Place;
use crate::render::{Answer, shown_plain};

impl Session<'_> {
    pub(super) fn who(&self, args: &WhoArgs) -> anyhow::Result<Exit> {
        let all = match (self.asked_server(args)?, &args.which) {
            (Some((name, place)), which) => {
                let mut server = place.connect(name.as_deref()).map_err(anyhow::Error::msg)?;
                if let Some(answer) = self.of_ended(name.as_deref(), &mut server, which)? {
                    put(self.out, &answer, self.global.output)?;
                    return Ok(condition(&self.global.fail_on, true, Doubts::default()));
                }
                self.of_server(name, &mut server, which)?
            }
            (None, Which::Client(host, port)) => vec![without_server(host, *port)?],
            (None, Which::Id(_)) => bail!("an id is one of a server: name it with --server"),
        };
        put(self.out, &answers::who(&all, self.view()), self.global.output)?;
        let exit = match all.iter().all(|it| it.found.is_certain()) {
            true => Exit::Done,
            false => Exit::Partial,
        };
        Ok(exit.max(condition(&self.global.fail_on, true, Doubts::default())))
    }

    /// The server to be asked: an id is one of a server, a client's host and port stand alone unless one is named.
    fn asked_server(&self, args: &WhoArgs) -> anyhow::Result<Option<(Option<String>, Place)>> {
        let is_named = self.global.server.is_some() || self.global.group.is_some();
        if matches!(args.which, Which::Client(..)) && !is_named && args.defaults_file.is_none() {
            return Ok(None);
        }
        let is_chosen = |name: &str| {
            let servers = &self.filter.servers;
            servers.is_empty() || servers.iter().any(|it| it == name.as_bytes())
        };
        let named = self.config.servers.iter().filter_map(|it| Some((it.name.as_ref()?, it)));
        let chosen: Vec<_> = named.filter(|(name, _)| is_chosen(name)).collect();
        if let Some(file) = &args.defaults_file {
            // It may lead to another server than those that are configured.
            let place = Place::of(Some(file.clone()));
            return Ok(Some((self.global.server.clone(), place)));
        }
        let is_any_named = self.config.servers.iter().any(|it| it.name.is_some());
        match chosen[..] {
            [] if is_any_named => bail!(
                "no such server is configured (rollcall check lists them): name one of them, or give \
                 --defaults-file"
            ),
            [] => Ok(Some((self.global.server.clone(), Place::of(None)))),
            [(name, server)] => match server.defaults_file.clone() {
                Some(file) => Ok(Some((Some(name.clone()), Place::of(Some(file))))),
                None => bail!(
                    "{name} has no defaults_file in the configuration: add it, or give --defaults-file"
                ),
            },
            _ => bail!(
                "several servers are configured, each with its own ids: name one with --server"
            ),
        }
    }

    /// What was sampled of a connection of this run that is over; `None`: it is open, or was never seen.
    fn of_ended(
        &self,
        name: Option<&str>,
        server: &mut Server,
        which: &Which,
    ) -> anyhow::Result<Option<Answer>> {
        let Which::Id(id) = which else { return Ok(None) };
        let path = self.ledger()?;
        if !path.exists() {
            return Ok(None);
        }
        let mut looker = Looker::new(server)?;
        if !looker.find(which)?.is_empty() {
            return Ok(None);
        }
        let name = name.map_or_else(|| shown_plain(looker.hostname()), str::to_owned);
        let Some(started) = live::facts::started(server)? else { return Ok(None) };
        let ledger = match Ledger::open(&path) {
            Ok(ledger) => ledger,
            Err(error) => {
                self.out.note(&error.to_string());
                return Ok(None);
            }
        };
        let run = ledger.sampled_run(name.as_bytes(), started)?;
        let mut samples = ledger.samples(name.as_bytes(), (run, run), *id)?;
        samples.retain(|it| it.pid != 0);
        let state = |it: ledger::Sample| {
            let runs = process::still_runs(it.pid, it.start_ticks);
            (it, runs)
        };
        let all: Vec<_> = samples.into_iter().map(state).collect();
        Ok((!all.is_empty()).then(|| answers::who_sampled(&name, &all, self.view())))
    }

    /// Asks a server, then looks at this machine.
    fn of_server(
        &self,
        name: Option<String>,
        server: &mut Server,
        which: &Which,
    ) -> anyhow::Result<Vec<Sought>> {
        let own_id = server.connection_id();
        let mut looker = Looker::new(server)?;
        let connections = looker.find(which)?;
        let name = name.unwrap_or_else(|| shown_plain(looker.hostname()));
        if connections.is_empty() {
            let what = match which {
                Which::Id(id) => format!("connection {id}"),
                Which::Client(host, port) => {
                    format!("connection from {}:{port}", shown_plain(host))
                }
            };
            bail!(
                "{name} has no {what}: it has ended, or never was; who logged in when: rollcall seen"
            );
        }
        let place = place_of(&mut looker, own_id)?;
        let mut all = Vec::with_capacity(connections.len());
        for connection in connections {
            let details = looker.details(connection.id)?;
            for it in &details.missing {
                let error = if it.error == 0 { String::new() } else { format!(" ({})", it.error) };
                self.out.note(&format!("{name}: not known: {}{error}: {}", it.what, it.remedy));
            }
            let found = look(&mut looker, &place, &connection)?;
            all.push(Sought {
                server: Some(name.clone()),
                client: connection.port.map(|port| (connection.host.clone(), port)),
                connection: Some((connection, details)),
                found,
            });
        }
        Ok(all)
    }
}

/// Where the server is that our own connection leads to.
pub(super) fn place_of(looker: &mut Looker<'_>, own_id: u64) -> Result<ServerPlace, LiveError> {
    let own = looker.find(&Which::Id(own_id))?.into_iter().next();
    let not_found = ServerPlace::NotFound { at: None, needs_root: false };
    Ok(own.map_or(not_found, |own| {
        process::server(thread(looker, &own), own.port.map(|it| (address(&own.host), it)))
    }))
}

/// Looks for the process of a connection that a server has told of.
pub(super) fn look(
    looker: &mut Looker<'_>,
    place: &ServerPlace,
    connection: &Connection,
) -> Result<Found, LiveError> {
    if connection.is_internal {
        return Ok(Found { holders: Vec::new(), doubts: vec![Doubt::Internal] });
    }
    let Some(port) = connection.port else { return look_at_socket(looker, place, connection) };
    let found = process::of_client(&host(&connection.host, port), port, Some(place));
    match still(looker, connection)? {
        Some(_) => Ok(found),
        None => Ok(Found { holders: Vec::new(), doubts: vec![Doubt::Changed] }),
    }
}

fn look_at_socket(
    looker: &mut Looker<'_>,
    place: &ServerPlace,
    connection: &Connection,
) -> Result<Found, LiveError> {
    let server = match place {
        ServerPlace::Here(server) => server,
        ServerPlace::NotFound { needs_root, .. } => {
            let why = if *needs_root { Doubt::NeedsRoot(None) } else { Doubt::NoServer };
            return Ok(Found { holders: Vec::new(), doubts: vec![why] });
        }
    };
    let mut found = match thread(looker, connection) {
        _ if looker.has_thread_pool() => {
            Found { holders: Vec::new(), doubts: vec![Doubt::ThreadPool] }
        }
        None => Found { holders: Vec::new(), doubts: vec![Doubt::NoThread] },
        Some(thread) => process::of_thread(server, thread, || {
            Ok::<_, LiveError>(still(looker, connection)?.is_some_and(|it| it.is_idle()))
        })?,
    };
    if found.holders.is_empty() {
        let candidates = process::candidates(server);
        found.holders = candidates.holders;
        found.doubts.extend(candidates.doubts);
    }
    Ok(found)
}

/// The connection as it is now, if it is the one that it was.
fn still(looker: &mut Looker<'_>, was: &Connection) -> Result<Option<Connection>, LiveError> {
    let now = looker.find(&Which::Id(was.id))?.into_iter().next();
    let key = |it: &Connection| (it.id, it.user.clone(), it.host.clone(), it.port, it.thread);
    let is_pooled = looker.has_thread_pool();
    Ok(now.filter(|now| {
        let (a, b) = (key(now), key(was));
        (&a.0, &a.1, &a.2, &a.3) == (&b.0, &b.1, &b.2, &b.3) && (is_pooled || a.4 == b.4)
    }))
}

/// The thread that serves a connection and no other.
fn thread(looker: &Looker<'_>, connection: &Connection) -> Option<u32> {
    connection.thread.filter(|_| !looker.has_thread_pool())
}

/// By the client's address alone, on this machine.
fn without_server(name: &[u8], port: u16) -> anyhow::Result<Sought> {
    let named = format!("{}:{port}", shown_plain(name));
    let client = host(name, port);
    if client == Host::Name(Vec::new()) {
        bail!("{named}: no such host; write its address");
    }
    let found = process::of_client(&client, port, None);
    if found.holders.is_empty() {
        let doubts: Vec<String> = found.doubts.iter().map(ToString::to_string).collect();
        bail!("{named}: {}", doubts.join("; "));
    }
    Ok(Sought { server: None, connection: None, client: Some((name.to_vec(), port)), found })
}

fn address(host: &[u8]) -> Option<IpAddr> {
    verdict::network::address(host).map(|it| it.to_canonical())
}

/// A host as a server calls it, or as it was written.
fn host(name: &[u8], port: u16) -> Host {
    if let Some(ip) = address(name) {
        return Host::Address(ip);
    }
    let name = std::str::from_utf8(name).unwrap_or_default();
    let found = (name, port).to_socket_addrs().map(|found| found.map(|it| it.ip().to_canonical()));
    Host::Name(found.map(Iterator::collect).unwrap_or_default())
}
