//! `trace`: which logs, which sources of logins, which filters; puts out what is found as it comes.

mod sql;

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, anyhow, bail};
use ledger::Ledger;

use super::{Session, condition, put};
use crate::answers::{Doubts, Tally, TraceChunk, plural, trace_stats, trace_tables};
use crate::cli::TraceArgs;
use crate::config::Server;
use crate::exit::Exit;
use crate::reach::Place;
use crate::render::{Answer, Format, shown, shown_plain, thousands};
use crate::service::Signals;
use crate::time::{Zone, second_text};
use crate::trace::{
    self, AuditLogs, Feed, Filters, Following, Found, Job, Log, Logins, Names, Opened, Remote,
    Sources, Stats, Summary, TablePattern, TableRead, Times, Wanted,
};

/// How many parents of foreign keys are named.
const PARENTS_MAX: usize = 10;

impl Session<'_> {
    pub(super) fn trace(&self, args: &TraceArgs) -> anyhow::Result<Exit> {
        if args.rows && self.global.output == Format::Csv {
            bail!("--rows has no CSV form: take -o json");
        }
        self.check_text(args)?;
        // Before any thread is started: all of them leave the signals to the one that waits for them.
        let signals = if args.follow { Some(self.begin_following(args)?) } else { None };
        let server = self.traced_server(args)?;
        let binlogs = match (&args.binlogs[..], server) {
            ([], Some(server)) if server.binlog_index.is_some() => {
                server.binlog_index.iter().cloned().collect()
            }
            (named, _) => named.to_vec(),
        };
        let audit = self.audit_logs(args, server)?;
        let filters = filters(args, self)?;
        let through = self.through_server(args, server, binlogs.is_empty(), &audit)?;
        let has_logs = through.is_some() || !binlogs.is_empty();
        if !has_logs && args.is_for_clients() {
            bail!(
                "--sql, --undo-sql and --style are made of binary logs: give BINLOG, or --server NAME"
            );
        }
        if !has_logs {
            return self.trace_tables(args, &audit, &filters);
        }
        let is_own = args.binlogs.is_empty();
        let (opened, remote) = match through {
            Some(remote) => self.server_logs(remote)?,
            None => match trace::open(&binlogs) {
                opened if is_own && opened.is_closed => self.open_again(args, server, opened),
                opened => (opened, None),
            },
        };
        let Opened { logs, mut failed, .. } = opened;
        failed.extend(audit.failed.iter().cloned());
        check_one_log(&logs, &audit)?;
        if logs.is_empty() {
            for text in &failed {
                self.out.error(text);
            }
            bail!("no binary log can be read");
        }
        let has_values = args.rows || args.is_sql() || !args.conditions.is_empty();
        let mut names = Names::of(self.live_server(args, server, has_values));
        let mut logins = Logins::of(self.login_sources(args, server)?);
        let (user, wanted) = (args.user.as_ref().map(|it| it.as_bytes()), wanted(args));
        let (mut summary, lacks) = match signals {
            Some(signals) => {
                let mut following = Following {
                    filters: &filters,
                    user,
                    thread: args.thread,
                    wanted,
                    limit: args.limit,
                    audit: &|| self.audit_logs(args, server).unwrap_or_default(),
                    logins: &mut logins,
                    names: &mut names,
                    signals: &signals,
                    note: &|text| self.out.note(text),
                };
                (self.tell_following(&mut following, logs, remote.as_ref(), args)?, false)
            }
            None => {
                let mut job = Job {
                    logs: &logs,
                    filters: &filters,
                    user,
                    thread: args.thread,
                    wanted,
                    limit: args.limit,
                    audit: &audit,
                    logins: &mut logins,
                    names: &mut names,
                };
                match args.is_for_clients() {
                    true if args.is_sql() => self.tell_sql(&mut job, args)?,
                    true => self.tell_style(&mut job, args)?,
                    false => (self.tell_found(&mut job, args)?, false),
                }
            }
        };
        let rows = summary.told;
        summary.failed.splice(0..0, failed);
        if let Some(text) = names.failed.take() {
            summary.problems.push(text);
        }
        if let Some(text) = logins.failed.take() {
            summary.problems.push(text);
        }
        self.say_afterwards(args, server, &summary, &mut names)?;
        let exit = self.trace_exit(&summary, rows);
        Ok(if lacks { exit.max(Exit::Partial) } else { exit })
    }

    /// The configured server that `--server` names.
    fn traced_server(&self, args: &TraceArgs) -> anyhow::Result<Option<&Server>> {
        let servers = &self.config.servers;
        if self.global.group.is_some() {
            bail!("--group: trace one server at a time (--server NAME)");
        }
        let Some(name) = &self.global.server else { return Ok(None) };
        let server = servers.iter().find(|it| it.name.as_ref() == Some(name));
        if server.is_none() && args.binlogs.is_empty() {
            bail!("no [[server]] is named {name:?}: add it, or give BINLOG");
        }
        let has_place = |it: &Server| it.binlog_index.is_some() || place(args, Some(it)).is_some();
        if server.is_some_and(|it| !has_place(it))
            && args.binlogs.is_empty()
            && args.table.is_none()
        {
            bail!(
                "{name}: neither its binlog_index nor its defaults_file is configured: add one, or give \
                 BINLOG"
            );
        }
        Ok(server)
    }

    /// The server, where its logs are to be read through it: because that is asked for, or because nothing
    /// else leads to them.
    fn through_server(
        &self,
        args: &TraceArgs,
        server: Option<&Server>,
        has_no_files: bool,
        audit: &AuditLogs,
    ) -> anyhow::Result<Option<Rc<Remote>>> {
        let of_audit_alone = args.table.is_some() && !audit.is_empty();
        let is_only_way = has_no_files && server.is_some() && !of_audit_alone;
        if !args.through_server && !is_only_way {
            return Ok(None);
        }
        let name = server.and_then(|it| it.name.as_deref());
        match place(args, server) {
            Some(place) => Ok(Some(Rc::new(Remote::new(place, name)))),
            None if args.through_server => bail!(
                "--through-server: name the server: --server NAME with its defaults_file in the \
                 configuration, or --defaults-file FILE"
            ),
            None => Ok(None),
        }
    }

    /// The logs of a server through it.
    fn server_logs(&self, remote: Rc<Remote>) -> anyhow::Result<(Opened, Option<Rc<Remote>>)> {
        let times = Times { since: self.filter.since, until: self.filter.until };
        let logs = remote.logs(times).map_err(anyhow::Error::msg)?;
        if remote.lacks_texts() {
            self.out.note(
                "through TLS the server's statements beside rows cannot be asked for: a unix socket or an \
                 unencrypted way (ssl-mode=DISABLED, through a tunnel) brings them",
            );
        }
        Ok((Opened { logs, ..Opened::default() }, Some(remote)))
    }

    /// Where files of a server cannot be read: its logs through the server, if that can be reached.
    fn open_again(
        &self,
        args: &TraceArgs,
        server: Option<&Server>,
        opened: Opened,
    ) -> (Opened, Option<Rc<Remote>>) {
        let Some(place) = place(args, server) else { return (opened, None) };
        let why = opened.failed.first().map_or("they are encrypted", |it| it.as_str());
        let name = server.and_then(|it| it.name.as_deref());
        match self.server_logs(Rc::new(Remote::new(place, name))) {
            Ok(found) => {
                self.out.note(&format!("binary logs are read through the server: {why}"));
                found
            }
            Err(error) => {
                self.out.note(&format!("binary logs cannot be read through the server: {error:#}"));
                (opened, None)
            }
        }
    }

    /// Catches signals from now on.
    fn begin_following(&self, args: &TraceArgs) -> anyhow::Result<Signals> {
        if self.filter.until.is_some() {
            bail!("--follow has no end: leave out --until");
        }
        if args.binlogs.iter().any(|path| path == Path::new("-")) {
            bail!("--follow: standard input is read to its end; name files, or --server NAME");
        }
        Signals::catch().context("signals cannot be caught")
    }

    /// The audit logs that are given, or those of the server.
    fn audit_logs(&self, args: &TraceArgs, server: Option<&Server>) -> anyhow::Result<AuditLogs> {
        let dialect = match &args.dialect {
            Some(name) => Some(name.parse().map_err(|error| anyhow!("--dialect: {error}"))?),
            None => None,
        };
        let flag = args.time_zone.as_deref().map(Zone::parse).transpose();
        let flag = flag.map_err(|error| anyhow!("--time-zone: {error}"))?;
        let own = server.and_then(|it| it.time_zone.clone());
        let zone = flag.or(own).or_else(|| self.config.time_zone.clone());
        let zone = zone.unwrap_or_else(Zone::machine).tz;
        let configured = || server.map_or(&[][..], |it| &it.audit_logs);
        let paths = match args.audit_logs.is_empty() {
            true => configured().iter().map(PathBuf::from).collect(),
            false => args.audit_logs.clone(),
        };
        match paths.is_empty() {
            true => Ok(AuditLogs::default()),
            false => Ok(AuditLogs::open(&paths, dialect, zone)),
        }
    }

    /// The server itself, where it may be asked and is wanted.
    fn live_server(
        &self,
        args: &TraceArgs,
        server: Option<&Server>,
        is_wanted: bool,
    ) -> Option<live::Server> {
        let place = place(args, server).filter(|_| is_wanted)?;
        let name = server.and_then(|it| it.name.as_deref());
        match place.connect(name) {
            Ok(server) => Some(server),
            Err(message) => {
                self.out.note(&message);
                None
            }
        }
    }

    /// Where logins are looked for beside audit logs.
    fn login_sources(&self, args: &TraceArgs, server: Option<&Server>) -> anyhow::Result<Sources> {
        let mut sources = Sources::default();
        let ledger = self.ledger()?;
        let opened = ledger.exists().then(|| Ledger::open(&ledger)).transpose();
        // It is one source of several: without it logins may be missing, and nothing else.
        let opened = opened.unwrap_or_else(|error| {
            self.out.note(&error.to_string());
            None
        });
        if let Some(ledger) = opened {
            let all = ledger.evidence(&ledger::Filter::default())?;
            let mut known: Vec<Vec<u8>> = all.into_iter().map(|row| row.server).collect();
            known.sort_unstable();
            known.dedup();
            // Without a name there must be no choice.
            let servers = match (self.filter.servers.is_empty(), known.len()) {
                (false, _) => Some(self.filter.servers.clone()),
                (true, 1) => Some(known),
                (true, _) => None,
            };
            sources.ledger = servers.map(|servers| (ledger, servers));
        }
        if let Some(name) = &self.global.server
            && ledger.exists()
        {
            let opened = Ledger::open(&ledger).ok();
            sources.sampled = opened.map(|ledger| (ledger, name.as_bytes().to_vec()));
        }
        let table = server.and_then(|it| it.access_log.as_ref());
        if let Some((table, live)) = table.zip(self.live_server(args, server, table.is_some()))
            && let Err(error) = sources.open_table(live, table)
        {
            self.out.note(&error.to_string());
        }
        if let Some(mut live) = self.live_server(args, server, true) {
            match sources.ask_sessions(&mut live) {
                Ok(()) => sources.server = args.follow.then_some(live),
                Err(error) => self.out.note(&error.to_string()),
            }
        }
        Ok(sources)
    }

    /// Puts out what is found while it is found.
    fn tell_found(&self, job: &mut Job<'_>, args: &TraceArgs) -> anyhow::Result<Summary> {
        let chunk = TraceChunk::new(args.rows, self.view());
        let mut teller = Teller::new(self, chunk, args.stats);
        let summary = trace::trace(job, &mut |found| teller.take(found))?;
        teller.finish(&summary)?;
        Ok(summary)
    }

    /// Puts out what is there, and then what comes.
    fn tell_following(
        &self,
        following: &mut Following<'_>,
        mut logs: Vec<Log>,
        remote: Option<&Rc<Remote>>,
        args: &TraceArgs,
    ) -> anyhow::Result<Summary> {
        let feed = match remote {
            Some(remote) => Feed::server(remote, &mut logs).map_err(anyhow::Error::msg)?,
            None => Feed::files(),
        };
        let chunk = TraceChunk::new(args.rows, self.view()).steady();
        let mut teller = Teller::new(self, chunk, args.stats);
        let summary = trace::follow(following, logs, feed, &mut |found| match found {
            Some(found) => teller.take(found),
            None => teller.flush(),
        })?;
        teller.finish(&summary)?;
        Ok(summary)
    }

    /// What could not be read, and what an empty answer cannot show.
    fn say_afterwards(
        &self,
        args: &TraceArgs,
        server: Option<&Server>,
        summary: &Summary,
        names: &mut Names,
    ) -> anyhow::Result<()> {
        for text in &summary.problems {
            self.out.note(text);
        }
        if summary.problems_more > 0 {
            self.out.note(&format!("and {} more", thousands(summary.problems_more)));
        }
        for text in &summary.failed {
            self.out.error(text);
        }
        if summary.doubts > 0 {
            self.out.note(&format!(
                "{} of the audit log are no records or cannot be trusted, and were not used",
                plural(summary.doubts, "line")
            ));
        }
        if summary.suspects > 0 {
            self.out.note(&format!(
                "{} behind a refused login with a name that was cut were not used: it may have made them",
                plural(summary.suspects, "audit record")
            ));
        }
        for table in &summary.unnamed {
            self.out.note(&format!(
                "{table}: the binlog does not name its columns (binlog_row_metadata=FULL does): write \
                 --where @1=VALUE, or name the server (--server, --defaults-file)"
            ));
        }
        if names.are_of_now {
            self.out.note("column names are those of now: the binlog does not tell them");
        }
        // Where nothing could be read, nothing is known of what is not there.
        if summary.told > 0 || (summary.seen == 0 && !summary.failed.is_empty()) {
            return Ok(());
        }
        let lines = self.empty_lines(args, server, summary, names);
        if args.is_for_clients() {
            lines.iter().for_each(|line| self.out.note(line));
            return Ok(());
        }
        let mut answer = Answer::default();
        lines.into_iter().for_each(|line| answer.page.line(line));
        put(self.out, &answer, self.global.output)?;
        Ok(())
    }

    /// Why nothing was found, and what could not have been.
    fn empty_lines(
        &self,
        args: &TraceArgs,
        server: Option<&Server>,
        summary: &Summary,
        names: &mut Names,
    ) -> Vec<String> {
        let mut lines = vec![match summary.reach {
            None => "No transaction is in these logs.".to_owned(),
            Some((from, to)) => format!(
                "None of {} fits, from {} to {} ({}).",
                plural(summary.seen, "transaction"),
                second_text(from, &self.zone),
                second_text(to, &self.zone),
                crate::render::inert(&self.zone.name)
            ),
        }];
        lines.push(
            "Cannot appear here: what was changed with sql_log_bin=0; what binlog_do_db, \
             binlog_ignore_db and the like leave out; statements outside these files, which may be \
             rotated away; temporary tables in row format."
                .to_owned(),
        );
        lines.push(self.cascades_line(args, server, names));
        lines
    }

    /// Which tables change along with others without a trace.
    fn cascades_line(
        &self,
        args: &TraceArgs,
        server: Option<&Server>,
        names: &mut Names,
    ) -> String {
        const WHAT: &str = "MariaDB logs no rows that foreign keys change (CASCADE, SET NULL)";
        let mut live = None;
        if names.server().is_none() {
            live = self.live_server(args, server, true);
        }
        let Some(live) = names.server().or(live.as_mut()) else {
            return format!("{WHAT}: trace the parent table as well.");
        };
        let cascades = match live::columns::cascades(live) {
            Ok(cascades) => cascades,
            Err(error) => return format!("{WHAT}; its foreign keys are not known: {error}"),
        };
        let table = args.table.as_ref().map(|it| TablePattern::parse(it.as_bytes()));
        let fits = |it: &&live::columns::Cascade| {
            table.as_ref().is_none_or(|table| table.fits(&it.child.0, &it.child.1))
        };
        let name = |(schema, table): &(Vec<u8>, Vec<u8>)| {
            format!("{}.{}", shown_plain(schema), shown_plain(table))
        };
        let parents: Vec<String> = cascades
            .iter()
            .filter(fits)
            .map(|it| format!("{} by {}", name(&it.child), name(&it.parent)))
            .collect();
        match parents.len() {
            0 => "No foreign key of now changes it along with another table.".to_owned(),
            all => {
                let more = if all > PARENTS_MAX { ", …" } else { "" };
                let parents = parents[..all.min(PARENTS_MAX)].join(", ");
                format!("{WHAT}: {parents}{more}.")
            }
        }
    }

    /// Tells who used a table, by audit logs alone.
    fn trace_tables(
        &self,
        args: &TraceArgs,
        audit: &AuditLogs,
        filters: &Filters,
    ) -> anyhow::Result<Exit> {
        let Some(table) = &filters.table else {
            bail!(
                "nothing to trace: give BINLOG, or --server NAME with its binlog_index in the \
                 configuration, or --audit-log PATH with --table SCHEMA.TABLE"
            );
        };
        if audit.is_empty() {
            audit.failed.iter().for_each(|text| self.out.error(text));
            bail!("no audit log can be read: name one with --audit-log");
        }
        let (mut reads, mut rows): (Vec<TableRead>, usize) = (Vec::new(), 0);
        let mut broken = None;
        let mut is_first = true;
        let mut put_reads = |reads: &mut Vec<TableRead>| -> anyhow::Result<()> {
            let answer = trace_tables(reads, self.view());
            reads.clear();
            match self.global.output {
                Format::Csv if !is_first => self.out.more(&answer)?,
                format => put(self.out, &answer, format)?,
            }
            is_first = false;
            Ok(())
        };
        let (doubts, failed) = trace::read_tables(audit, table, &mut |found| {
            let is_limited = args.limit.is_some_and(|limit| rows >= limit);
            if is_limited || broken.is_some() || !is_wanted(args, filters, &found) {
                return;
            }
            rows += 1;
            reads.push(found);
            if reads.len() >= 1000 {
                broken = put_reads(&mut reads).err();
            }
        });
        if let Some(error) = broken {
            return Err(error);
        }
        put_reads(&mut reads)?;
        let mut below = Answer::default();
        let count = match rows {
            0 => "No query of the audit log used it. Tables are noted where server_audit_events holds \
                  TABLE, statements where it holds QUERY."
                .to_owned(),
            rows => format!("{}, times in {}", quantity(rows), self.zone.name),
        };
        below.page.line(count);
        put(self.out, &below, self.global.output)?;
        let failed: Vec<String> = audit.failed.iter().cloned().chain(failed).collect();
        let summary = Summary { doubts, failed, told: rows, ..Summary::default() };
        for text in &summary.failed {
            self.out.error(text);
        }
        Ok(self.trace_exit(&summary, rows))
    }

    fn trace_exit(&self, summary: &Summary, rows: usize) -> Exit {
        let exit = match (summary.failed.is_empty(), summary.seen > 0 || rows > 0) {
            (true, _) => Exit::Done,
            (false, true) => Exit::Partial,
            (false, false) => Exit::Nothing,
        };
        let doubts = Doubts { rejected: summary.doubts, ..Doubts::default() };
        exit.max(condition(&self.global.fail_on, rows > 0, doubts))
    }
}

/// Where the server is that may be asked.
fn place(args: &TraceArgs, server: Option<&Server>) -> Option<Place> {
    let own = server.and_then(|it| it.defaults_file.clone());
    let defaults_file = args.live.defaults_file.clone().or(own);
    (!args.live.offline && defaults_file.is_some()).then(|| Place::of(defaults_file))
}

/// Puts out what is told, in pieces.
struct Teller<'a> {
    session: &'a Session<'a>,
    chunk: TraceChunk<'a>,
    tally: Tally,
    /// Where sums are asked for.
    stats: Option<Stats>,
    rows: usize,
    is_first: bool,
}

impl<'a> Teller<'a> {
    fn new(session: &'a Session<'a>, chunk: TraceChunk<'a>, has_stats: bool) -> Teller<'a> {
        let stats = has_stats.then(Stats::default);
        Teller { session, chunk, tally: Tally::default(), stats, rows: 0, is_first: true }
    }

    fn take(&mut self, found: Found<'_>) -> anyhow::Result<()> {
        match found {
            Found::Transaction(traced, found, sampled, log) => {
                self.rows += 1;
                self.tally.add(traced, found);
                match &mut self.stats {
                    Some(stats) => {
                        let user = found.who.as_ref().map(|who| &who.user[..]);
                        stats.add(traced, user, &trace::place(&log.name));
                    }
                    None => self.chunk.transaction(traced, found, sampled, log),
                }
            }
            Found::Row(traced, row) => self.chunk.row(traced, row),
            Found::Change(..) | Found::Statement(_) | Found::End(_) => {}
        }
        if self.chunk.is_full() { self.put_chunk() } else { Ok(()) }
    }

    /// Puts out what was taken.
    fn flush(&mut self) -> anyhow::Result<()> {
        if self.chunk.is_empty() { Ok(()) } else { self.put_chunk() }
    }

    fn put_chunk(&mut self) -> anyhow::Result<()> {
        let answer = self.chunk.take();
        // CSV has one heading.
        match self.session.global.output {
            Format::Csv if !self.is_first => self.session.out.more(&answer)?,
            format => put(self.session.out, &answer, format)?,
        }
        self.is_first = false;
        Ok(())
    }

    /// Puts out what is left, and what there is to say below.
    fn finish(&mut self, summary: &Summary) -> anyhow::Result<()> {
        let session = self.session;
        let format = session.global.output;
        if let Some(stats) = &self.stats {
            put(session.out, &trace_stats(stats, session.view()), format)?;
        } else if !self.chunk.is_empty() || (self.is_first && format == Format::Csv) {
            self.put_chunk()?;
        }
        let mut below = Answer::default();
        if self.rows > 0 && self.stats.is_none() {
            let zone = crate::render::inert(&session.zone.name);
            let limited = if summary.is_limited { " (--limit)" } else { "" };
            let count = plural(self.rows as u64, "transaction");
            below.page.line(format!("{count}{limited}, times in {zone}"));
        }
        self.tally.lines().into_iter().for_each(|line| below.page.line(line));
        Ok(put(session.out, &below, format)?)
    }
}

fn wanted(args: &TraceArgs) -> Wanted {
    match (args.is_sql(), args.rows) {
        (true, _) => Wanted::Changes,
        (false, true) => Wanted::Rows,
        (false, false) => Wanted::Heads,
    }
}

fn quantity(rows: usize) -> String {
    match rows {
        1 => "1 query".to_owned(),
        rows => format!("{} queries", thousands(rows as u64)),
    }
}

fn is_wanted(args: &TraceArgs, filters: &Filters, found: &TableRead) -> bool {
    let in_time = filters.since.is_none_or(|it| found.time >= it)
        && filters.until.is_none_or(|it| found.time < it);
    let is_user = args.user.as_ref().is_none_or(|it| it.as_bytes() == found.user);
    let is_thread = args.thread.is_none_or(|it| it == found.thread);
    let has_text = filters
        .statement
        .as_ref()
        .is_none_or(|part| found.statement.as_ref().is_some_and(|it| trace::holds(it, part)));
    in_time && is_user && is_thread && has_text
}

/// Ids of one server mean nothing on another.
fn check_one_log(logs: &[Log], audit: &AuditLogs) -> anyhow::Result<()> {
    let first = logs.first().map(|log| &log.log);
    let other = logs.iter().find(|log| Some(&log.log) != first);
    if let (Some(first), Some(other), false) = (first, other, audit.is_empty()) {
        bail!(
            "{} and {} are different logs: to join an audit log, trace those of one server",
            first.display(),
            other.log.display()
        );
    }
    Ok(())
}

fn filters(args: &TraceArgs, session: &Session<'_>) -> anyhow::Result<Filters> {
    let mut conditions = Vec::new();
    for text in &args.conditions {
        let bytes = text.as_bytes();
        let Some(sign) = bytes.iter().position(|&byte| byte == b'=').filter(|&at| at > 0) else {
            bail!("--where {}: write COLUMN=VALUE", shown(bytes));
        };
        let (column, value) = (bytes[..sign].to_vec(), bytes[sign + 1..].to_vec());
        conditions.push(trace::Condition { column, value });
    }
    Ok(Filters {
        since: session.filter.since,
        until: session.filter.until,
        table: args.table.as_ref().map(|it| TablePattern::parse(it.as_bytes())),
        kind: args.kind,
        conditions,
        gtid: args.gtid.clone(),
        statement: args.statement.as_ref().map(|it| it.as_bytes().to_vec()),
        has_xa_ends: !args.is_for_clients(),
    })
}
