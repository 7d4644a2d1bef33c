//! Who connections were, where audit logs do not tell: the table that logins write into, the ledger, the
//! sessions that are open now.

use std::collections::VecDeque;

use anyhow::Result;
use ledger::Ledger;
use live::access_log::{AccessTable, TableName};
use verdict::trace::{Attribution, Joiner, Login, LoginEvidence, Peer, Runs};

/// How near the start that a server tells must be to the one that its log tells, in seconds.
const START_SECONDS_MAX: i64 = 5;

/// Where logins are looked for.
#[derive(Default)]
pub(crate) struct Sources {
    /// The ledger, and the server's name in it.
    pub(crate) ledger: Option<(Ledger, Vec<Vec<u8>>)>,
    /// The table that logins write into.
    pub(crate) table: Option<AccessTable>,
    /// The open sessions, with when the server started, seconds since 1970.
    pub(crate) sessions: Option<(Vec<live::deed::Session>, i64)>,
    /// The server, to be asked for them again.
    pub(crate) server: Option<live::Server>,
    /// The ledger, and the server's name in what was sampled.
    pub(crate) sampled: Option<(Ledger, Vec<u8>)>,
}

impl Sources {
    /// Asks a server for its sessions.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn ask_sessions(
        &mut self,
        server: &mut live::Server,
    ) -> Result<(), live::LiveError> {
        let sessions = live::deed::sessions(server)?;
        let started = live::facts::started(server)?;
        self.sessions = started.map(|started| (sessions, started.div_euclid(1_000_000)));
        Ok(())
    }

    /// Opens the table that logins write into.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn open_table(
        &mut self,
        server: live::Server,
        name: &TableName,
    ) -> Result<(), live::LiveError> {
        self.table = Some(AccessTable::open(server, name)?);
        Ok(())
    }
}

/// What the sources have told so far.
#[derive(Default)]
pub(crate) struct Logins {
    sources: Sources,
    /// The newest rows of the table: connection id, second, who. One row is one login.
    rows: VecDeque<(u64, i64, Peer)>,
    /// The last row that was read.
    last_row: u64,
    /// All rows were read.
    has_rows: bool,
    /// What could not be read.
    pub(crate) failed: Option<String>,
}

impl Logins {
    /// From these sources.
    pub(crate) fn of(sources: Sources) -> Logins {
        Logins { sources, ..Logins::default() }
    }

    /// Time has passed: what changes is asked for again.
    pub(super) fn refresh(&mut self) {
        self.has_rows = false;
        if let Some(mut server) = self.sources.server.take() {
            match self.sources.ask_sessions(&mut server) {
                Ok(()) => self.sources.server = Some(server),
                Err(error) => self.failed = Some(error.to_string()),
            }
        }
    }

    /// Tells a joiner what it lacks.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(super) fn add(&mut self, joiner: &mut Joiner<'_>, runs: &Runs) -> Result<()> {
        self.add_rows(joiner, runs);
        self.add_ledger(joiner, runs)?;
        self.add_sessions(joiner, runs);
        self.add_sampled(joiner, runs)
    }

    /// Tells a joiner which connections were listed with the query ids that it looks for.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(super) fn add_queries(&self, joiner: &mut Joiner<'_>, runs: &Runs) -> Result<()> {
        let Some((ledger, server)) = &self.sources.sampled else { return Ok(()) };
        for (run, query) in joiner.query_ids() {
            let Some(begun) = begun_us(runs, run) else { continue };
            for connection in ledger.sampled_queries(server, begun, query)? {
                joiner.listed(run, query, connection);
            }
        }
        Ok(())
    }

    /// What was sampled of the connection of a transaction, if it was of the same user.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(super) fn sampled(
        &self,
        found: &Attribution,
        runs: &Runs,
        run: usize,
    ) -> Result<Vec<ledger::Sample>> {
        let Some((ledger, server)) = &self.sources.sampled else { return Ok(Vec::new()) };
        let Some((thread, begun)) = found.thread.zip(begun_us(runs, run)) else {
            return Ok(Vec::new());
        };
        let mut samples = ledger.samples(server, begun, thread)?;
        let is_same =
            |it: &ledger::Sample| found.who.as_ref().is_none_or(|who| who.user == it.user);
        samples.retain(|it| it.pid != 0 && is_same(it));
        Ok(samples)
    }

    fn add_sampled(&self, joiner: &mut Joiner<'_>, runs: &Runs) -> Result<()> {
        let Some((ledger, server)) = &self.sources.sampled else { return Ok(()) };
        for (run, connection) in joiner.lacking() {
            let Some(begun) = begun_us(runs, run) else { continue };
            let Some(it) = ledger.samples(server, begun, connection)?.into_iter().next() else {
                continue;
            };
            let peer = Peer { user: it.user, host: Some(it.host), port: it.port };
            let (from, to, source) = (None, None, LoginEvidence::Processlist);
            joiner.login(Login { run, connection, peer, from, to, source });
        }
        Ok(())
    }

    fn add_rows(&mut self, joiner: &mut Joiner<'_>, runs: &Runs) {
        let lacking = joiner.lacking();
        if lacking.is_empty() {
            return;
        }
        self.read_rows();
        for (connection, at, peer) in &self.rows {
            let Some(run) = runs.at(*at) else { continue };
            if lacking.binary_search(&(run, *connection)).is_ok() {
                joiner.login(Login {
                    run,
                    connection: *connection,
                    peer: peer.clone(),
                    from: Some(*at),
                    to: None,
                    source: LoginEvidence::AccessLog,
                });
            }
        }
    }

    fn read_rows(&mut self) {
        /// The most rows that are held.
        const ROWS_MAX: usize = 100_000;
        let Some(table) = &mut self.sources.table else { return };
        while !self.has_rows {
            let page = match table.rows_behind(self.last_row) {
                Ok(page) => page,
                Err(error) => {
                    self.failed = Some(error.to_string());
                    self.sources.table = None;
                    return;
                }
            };
            self.has_rows = page.is_empty();
            for row in page {
                self.last_row = self.last_row.max(row.id);
                let Some(((thread, at), peer)) = row.thread.zip(row.at).zip(row.peer()) else {
                    continue;
                };
                let peer = Peer { user: peer.user, host: Some(peer.host), port: None };
                self.rows.push_back((thread, at.div_euclid(1_000_000), peer));
                if self.rows.len() > ROWS_MAX {
                    self.rows.pop_front();
                }
            }
        }
    }

    fn add_ledger(&self, joiner: &mut Joiner<'_>, runs: &Runs) -> Result<()> {
        let Some((ledger, servers)) = &self.sources.ledger else { return Ok(()) };
        for (run, connection) in joiner.lacking() {
            let second = |at: Option<i64>| at.map(|at| at.div_euclid(1_000_000));
            let mut facts = ledger.connections(servers, connection)?;
            facts.retain(|fact| {
                let at = second(fact.from.or(fact.to));
                !fact.refused && at.and_then(|at| runs.at(at)) == Some(run)
            });
            // The same login may have been read from several sources; different ones are a doubt.
            let is_one = |fact: &ledger::ConnectionFact| {
                (&fact.user, &fact.host) == (&facts[0].user, &facts[0].host)
            };
            if facts.is_empty() || !facts.iter().all(is_one) {
                continue;
            }
            let fact = facts.swap_remove(0);
            let (from, to) = (second(fact.from), second(fact.to));
            let peer = Peer { user: fact.user, host: Some(fact.host), port: fact.port };
            let source = LoginEvidence::Ledger;
            joiner.login(Login { run, connection, peer, from, to, source });
        }
        Ok(())
    }

    fn add_sessions(&self, joiner: &mut Joiner<'_>, runs: &Runs) {
        let Some((sessions, started)) = &self.sources.sessions else { return };
        // Of the run that goes on, if its first file is there.
        let Some(last) = runs.len().checked_sub(1) else { return };
        let begun = runs.run(last).started.map(i64::from);
        let is_it = match begun {
            Some(begun) => (begun - started).abs() <= START_SECONDS_MAX,
            None => i64::from(runs.run(last).from) >= *started,
        };
        if !is_it {
            return;
        }
        for (run, connection) in joiner.lacking() {
            let open = sessions.iter().find(|it| run == last && it.id == connection);
            if let Some(open) = open {
                let peer = Peer {
                    user: open.user.clone(),
                    host: Some(open.host.clone()),
                    port: open.port,
                };
                let (from, to, source) = (None, None, LoginEvidence::Processlist);
                joiner.login(Login { run, connection, peer, from, to, source });
            }
        }
    }
}

/// Between which moments a server tells to have started in this run, microseconds UTC; `None` where its log does not
/// tell when that was.
fn begun_us(runs: &Runs, run: usize) -> Option<(i64, i64)> {
    let started = i64::from(runs.run(run).started?);
    let is_near = |other: usize| {
        let begun = i64::from(runs.run(other).from);
        other != run && (begun - started).abs() <= 2 * START_SECONDS_MAX
    };
    if (0..runs.len()).any(is_near) {
        return None;
    }
    // The log is begun behind the start; uptime is in whole seconds.
    let at = |second: i64| second * 1_000_000;
    Some((at(started - START_SECONDS_MAX), at(started + 1)))
}
