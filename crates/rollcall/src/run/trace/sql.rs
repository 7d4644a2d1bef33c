//! `trace --sql`, `--undo-sql`, `--style`: what is found as text for the servers' own clients.

use std::io::{self, BufWriter, Write as _};

use anyhow::bail;

use super::super::{OutputError, Session};
use crate::cli::TraceArgs;
use crate::render::{Format, thousands};
use crate::trace::{self, Direction, Filters, Found, Job, Log, Printer, Statements, Summary};

/// How many things that were left out are named on standard error.
const NAMED_MAX: usize = 20;

impl TraceArgs {
    /// Whether the answer is text for the servers' clients.
    pub(super) fn is_for_clients(&self) -> bool {
        self.is_sql() || self.style.is_some()
    }

    /// Whether statements are made of rows.
    pub(super) fn is_sql(&self) -> bool {
        self.sql || self.undo_sql
    }
}

impl Session<'_> {
    /// Refuses what has no meaning with these texts.
    pub(super) fn check_text(&self, args: &TraceArgs) -> anyhow::Result<()> {
        if args.is_for_clients() && self.global.output != Format::Table {
            bail!("--sql, --undo-sql and --style are text for the server's client: leave out -o");
        }
        Ok(())
    }

    /// Puts out statements while transactions are found (those of an undo afterwards). The second value
    /// says whether something that was asked for is not there.
    pub(super) fn tell_sql(
        &self,
        job: &mut Job<'_>,
        args: &TraceArgs,
    ) -> anyhow::Result<(Summary, bool)> {
        let direction = if args.undo_sql { Direction::Back } else { Direction::Again };
        let mut stdout = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        let mut put = |text: &[u8]| Ok(stdout.write_all(text).map_err(OutputError)?);
        let mut statements = Statements::new(direction, &self.zone, &mut put)?;
        let summary = trace::trace(job, &mut |found| statements.take(found))?;
        let made = statements.made;
        let left_out = statements.finish()?;
        stdout.flush().map_err(OutputError)?;
        self.out.note(&format!("{} statements made of rows", thousands(made)));
        for line in left_out.iter().take(NAMED_MAX) {
            self.out.error(&format!("left out: {line}"));
        }
        if left_out.len() > NAMED_MAX {
            self.out.error("more that was left out is named in the comments");
        }
        let lacks = !left_out.is_empty() || !summary.problems.is_empty();
        Ok((summary, lacks))
    }

    /// Puts out the text of the servers' tools. The second value is as in [`Session::tell_sql`].
    pub(super) fn tell_style(
        &self,
        job: &mut Job<'_>,
        args: &TraceArgs,
    ) -> anyhow::Result<(Summary, bool)> {
        let mut stdout = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        let mut put = |text: &[u8]| Ok(stdout.write_all(text).map_err(OutputError)?);
        let mut printer = Printer::new(&self.zone.tz, &mut put);
        let mut summary = match is_whole(args, job.filters) {
            true => whole_logs(&mut printer, job.logs)?,
            false => trace::trace(job, &mut |found| match found {
                Found::Transaction(traced, _, _, log) => printer.transaction(traced, log),
                _ => Ok(()),
            })?,
        };
        printer.finish()?;
        let lacks = !printer.problems.is_empty() || !summary.problems.is_empty();
        for text in std::mem::take(&mut printer.problems) {
            // Both readings tell of it.
            if !summary.problems.contains(&text) {
                summary.problems.push(text);
            }
        }
        summary.problems_more += printer.problems_more;
        stdout.flush().map_err(OutputError)?;
        Ok((summary, lacks))
    }
}

fn whole_logs(printer: &mut Printer<'_>, logs: &[Log]) -> anyhow::Result<Summary> {
    for (number, log) in logs.iter().enumerate() {
        printer.log(number, log)?;
    }
    Ok(Summary { told: logs.len(), seen: logs.len() as u64, ..Summary::default() })
}

/// Whether all of the logs is asked for.
fn is_whole(args: &TraceArgs, filters: &Filters) -> bool {
    filters.is_empty() && args.user.is_none() && args.thread.is_none() && args.limit.is_none()
}
