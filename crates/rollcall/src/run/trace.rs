//! `trace`: which logs, which sources of logins, which filters; puts out what is found as it comes.

mod sql;

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use ledger::Ledger;

use super::{Session, condition, put};
use crate::answers::{Doubts, Tally, TraceChunk, plural, trace_stats, trace_tables};
use crate::cli::TraceArgs;
use crate::config::Server;
use crate::exit::Exit;
use crate::reach::Place;
use crate::render::{Answer, Format, shown, shown_plain, thousands};
use crate::time::{Zone, second_text};
use crate::trace::{
    self, AuditLogs, Filters, Found, Job, Log, Logins, Names, Sources, Stats, Summary,
    TablePattern, TableRead, Wanted,
};

/// How many parents of foreign keys are named.
const PARENTS_MAX: usize = 10;

impl Session<'_> {
    pub(super) fn trace(&self, args: &TraceArgs) -> anyhow::Result<Exit> {
        if args.rows && self.global.output == Format::Csv {
            bail!("--rows has no CSV form: take -o json");
        }
        self.check_text(args)?;
        let server = self.traced_server(args)?;
        let binlogs = match (&args.binlogs[..], server) {
            ([], Some(server)) if server.binlog_index.is_some() => {
                server.binlog_index.iter().cloned().collect()
            }
            (named, _) => named.to_vec(),
        };
        let audit = self.audit_logs(args, server)?;
        let filters = filters(args, self)?;
        if binlogs.is_empty() && args.is_for_clients() {
            bail!(
                "--sql, --undo-sql and --style are made of binary logs: give BINLOG, or --server NAME"
            );
        }
        if binlogs.is_empty() {
            return self.trace_tables(args, &audit, &filters);
        }
        let (logs, mut failed) = trace::open(&binlogs);
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
        let mut job = Job {
            logs: &logs,
            filters: &filters,
            user: args.user.as_ref().map(|it| it.as_bytes()),
            thread: args.thread,
            wanted: wanted(args),
            limit: args.limit,
            audit: &audit,
            logins: &mut logins,
            names: &mut names,
        };
        let (mut summary, lacks) = match args.is_for_clients() {
            true if args.is_sql() => self.tell_sql(&mut job, args)?,
            true => self.tell_style(&mut job, args)?,
            false => (self.tell_found(&mut job, args)?, false),
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
        if server.is_some_and(|it| it.binlog_index.is_none())
            && args.binlogs.is_empty()
            && args.table.is_none()
        {
            bail!("{name}: its binlog_index is not configured: add it, or give BINLOG");
        }
        Ok(server)
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
        let own = server.and_then(|it| it.defaults_file.clone());
        let defaults_file = args.live.defaults_file.clone().or(own);
        if args.live.offline || !is_wanted || defaults_file.is_none() {
            return None;
        }
        let name = server.and_then(|it| it.name.as_deref());
        match Place::of(defaults_file).connect(name) {
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
        let table = server.and_then(|it| it.access_log.as_ref());
        if let Some((table, live)) = table.zip(self.live_server(args, server, table.is_some()))
            && let Err(error) = sources.open_table(live, table)
        {
            self.out.note(&error.to_string());
        }
        if let Some(mut live) = self.live_server(args, server, true)
            && let Err(error) = sources.ask_sessions(&mut live)
        {
            self.out.note(&error.to_string());
        }
        Ok(sources)
    }

    /// Puts out what is found while it is found.
    fn tell_found(&self, job: &mut Job<'_>, args: &TraceArgs) -> anyhow::Result<Summary> {
        let mut chunk = TraceChunk::new(args.rows, self.view());
        let (mut tally, mut stats, mut rows) = (Tally::default(), Stats::default(), 0);
        let mut is_first = true;
        let mut put_chunk = |chunk: &mut TraceChunk<'_>| -> anyhow::Result<()> {
            let answer = chunk.take();
            // CSV has one heading.
            match self.global.output {
                Format::Csv if !is_first => self.out.more(&answer)?,
                format => put(self.out, &answer, format)?,
            }
            is_first = false;
            Ok(())
        };
        let summary = trace::trace(job, &mut |found| {
            match found {
                Found::Transaction(traced, found, log) if args.stats => {
                    rows += 1;
                    tally.add(traced, found);
                    let user = found.who.as_ref().map(|who| &who.user[..]);
                    stats.add(traced, user, &trace::place(&log.name));
                }
                Found::Transaction(traced, found, log) => {
                    rows += 1;
                    tally.add(traced, found);
                    chunk.transaction(traced, found, log);
                }
                Found::Row(traced, row) => chunk.row(traced, row),
                Found::Change(..) | Found::Statement(_) | Found::End(_) => {}
            }
            if chunk.is_full() { put_chunk(&mut chunk) } else { Ok(()) }
        })?;
        if args.stats {
            put(self.out, &trace_stats(&stats, self.view()), self.global.output)?;
        } else if rows > 0 || self.global.output == Format::Csv {
            put_chunk(&mut chunk)?;
        }
        let mut below = Answer::default();
        if rows > 0 && !args.stats {
            let zone = crate::render::inert(&self.zone.name);
            let limited = if summary.is_limited { " (--limit)" } else { "" };
            below.page.line(format!("{}{limited}, times in {zone}", plural(rows, "transaction")));
        }
        tally.lines().into_iter().for_each(|line| below.page.line(line));
        put(self.out, &below, self.global.output)?;
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
    })
}
