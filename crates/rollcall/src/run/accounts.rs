//! Commands about accounts: what servers grant, and whether it is used.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use ledger::{Keep, Ledger};
use verdict::account::AccountName;
use verdict::plan::DeedKind;
use verdict::unused::Verdict;

use super::{Session, put};
use crate::accounts::{All, Wanted, gather};
use crate::answers::{self, UnusedOptions};
use crate::cli::{AccountArgs, AccountsArgs, KeepArgs, LiveArgs, PlanArg, UnusedArgs};
use crate::exit::Exit;
use crate::render::{Answer, inert};
use crate::time::parse_time;

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// The window of answers that do not ask for one.
const WINDOW_USUAL: i64 = 90 * DAY;

/// The most names that a message lists.
const NAMES_MAX: usize = 10;

impl Session<'_> {
    /// Accounts of the chosen servers, judged over the last so many microseconds.
    pub(super) fn gathered(
        &self,
        ledger: &mut Ledger,
        live: &LiveArgs,
        length: i64,
    ) -> anyhow::Result<All> {
        let wanted = Wanted {
            config: &self.config,
            servers: &self.filter.servers,
            offline: live.offline,
            defaults_file: live.defaults_file.as_deref(),
            length,
            now: self.now,
        };
        let all = gather(ledger, &wanted)?;
        for text in &all.notes {
            self.out.note(text);
        }
        for text in &all.failed {
            self.out.error(text);
        }
        for member in all.sets.iter().flat_map(|it| &it.members) {
            if let (Some(why), false) = (&member.stale, live.offline) {
                let at = crate::time::table_text(member.snapshot.at, &self.zone);
                self.out.note(&format!("{}: accounts as of {at} ({why})", member.name));
            }
        }
        if all.sets.is_empty() && all.failed.is_empty() {
            bail!(
                "no accounts are known: give a [[server]] its defaults_file, or name one with \
                 --defaults-file"
            );
        }
        Ok(all)
    }

    pub(super) fn accounts(&self, args: &AccountsArgs) -> anyhow::Result<Exit> {
        let mut ledger = Ledger::create(&self.ledger()?)?;
        let all = self.gathered(&mut ledger, &args.live, WINDOW_USUAL)?;
        let sets: Vec<_> = all.sets.iter().map(|it| (&it.members[..], &it.judged[..])).collect();
        let answer = answers::accounts(&sets, args.roles, args.limit, self.view());
        self.asked(&answer, &all)
    }

    pub(super) fn account(&self, args: &AccountArgs) -> anyhow::Result<Exit> {
        let name = account_name(&args.account)?;
        let mut ledger = Ledger::create(&self.ledger()?)?;
        let all = self.gathered(&mut ledger, &args.live, WINDOW_USUAL)?;
        let mut answer = Answer::default();
        for set in &all.sets {
            let Some(judged) = set.judged.iter().find(|it| it.name == name) else { continue };
            if answer.rows > 0 {
                answer.page.blank();
            }
            let changes = set.changes.iter().enumerate().flat_map(|(member, history)| {
                let own = history.iter().filter(|it| it.name == name);
                own.map(move |it| (member, it.clone()))
            });
            let mut changes: Vec<_> = changes.collect();
            changes.sort_by_key(|(_, it)| it.noticed_us);
            let (members, window) = (&set.members, set.window);
            answers::account(&mut answer, members, judged, &changes, window, self.view());
        }
        if answer.rows == 0 {
            return Err(no_such_account(&all, &name));
        }
        self.asked(&answer, &all)
    }

    pub(super) fn unused(&self, args: &UnusedArgs) -> anyhow::Result<Exit> {
        let length = i64::try_from(args.idle_for.as_micros()).unwrap_or(i64::MAX);
        let mut ledger = Ledger::create(&self.ledger()?)?;
        let all = self.gathered(&mut ledger, &args.live, length)?;
        let mut answer = Answer::default();
        for (number, set) in all.sets.iter().enumerate() {
            if number > 0 {
                answer.page.blank();
            }
            let options = UnusedOptions { all: args.all, limit: args.limit, window: set.window };
            let (title, members) = (&set.title, &set.members);
            answers::unused(&mut answer, title, members, &set.judged, &options, self.view());
        }
        let Some(plan) = args.plan else {
            let is_unused = |it: &&crate::accounts::Gathered| {
                it.judged.iter().any(|it| it.finding.verdict == Verdict::Unused)
            };
            if let Some(set) = all.sets.iter().find(is_unused) {
                let group = match set.members.len() {
                    1 => format!("--server {}", set.members[0].name),
                    _ => format!("--group {}", set.title),
                };
                let age = crate::time::length_text(length).replace(' ', "");
                answer.page.line(format!(
                    "make a plan: rollcall unused --for {age} {} --plan lock",
                    inert(&group)
                ));
            }
            return self.asked(&answer, &all);
        };
        let kind = match plan {
            PlanArg::Lock => DeedKind::Lock,
            PlanArg::Drop => DeedKind::Drop,
        };
        answer.page.blank();
        let is_chosen = |it: &crate::accounts::Judged| it.finding.verdict == Verdict::Unused;
        let made = self.plan(&mut ledger, &all, kind, &is_chosen, false, &args.planning)?;
        made.show(&mut answer, self.view());
        self.asked(&answer, &all)
    }

    /// Puts an answer out; servers that failed show in the exit code.
    pub(super) fn asked(&self, answer: &Answer, all: &All) -> anyhow::Result<Exit> {
        put(self.out, answer, self.global.output)?;
        let exit = match (all.failed.is_empty(), all.sets.is_empty()) {
            (true, _) => Exit::Done,
            (false, false) => Exit::Partial,
            (false, true) => Exit::Nothing,
        };
        let doubts = answers::Doubts::default();
        Ok(exit.max(super::condition(&self.global.fail_on, answer.rows > 0, doubts)))
    }

    pub(super) fn keep(&self, args: &KeepArgs) -> anyhow::Result<Exit> {
        let mut ledger = Ledger::create(&self.ledger()?)?;
        let server = self.global.server.as_ref().map(|it| it.clone().into_bytes());
        let group = self.global.group.clone();
        if let Some(account) = &args.remove {
            let name = account_name(account)?;
            if !ledger.remove_keep(server.as_deref(), group.as_deref(), &name)? {
                bail!("no exception is recorded for {}: rollcall keep", inert(&name.to_string()));
            }
            self.out.note(&format!("the exception for {name} is taken back"));
            return Ok(Exit::Done);
        }
        if let Some(account) = &args.account {
            let now = Timestamp::from_microsecond(self.now).unwrap_or_default();
            let until = args.until.as_ref().map(|it| parse_time(it, now, &self.zone));
            let until = until.transpose().map_err(|error| anyhow!("--until: {error}"))?;
            if until.is_some_and(|until| until <= self.now) {
                bail!("--until is over already: name a later day");
            }
            let doer = self.doer();
            let keep = Keep {
                server,
                group,
                account: account_name(account)?,
                until_us: until,
                owner: args.owner.clone().unwrap_or_default(),
                reason: args.reason.clone().unwrap_or_default(),
                by: format!("{}@{}", doer.os_user, doer.host),
                at_us: self.now,
            };
            ledger.set_keep(&keep)?;
        }
        let answer = answers::kept(&ledger.keeps()?, self.view());
        put(self.out, &answer, self.global.output)?;
        Ok(Exit::Done)
    }
}

/// An account as it was written on the command line.
pub(super) fn account_name(text: &std::ffi::OsStr) -> anyhow::Result<AccountName> {
    AccountName::parse(text.as_bytes())
        .ok_or_else(|| anyhow!("{}: no account: write it like 'app'@'10.%'", text.display()))
}

/// There is no such account: those of the same user name may be meant.
pub(super) fn no_such_account(all: &All, name: &AccountName) -> anyhow::Error {
    let judged = all.sets.iter().flat_map(|it| &it.judged);
    let same = judged.filter(|it| it.name.user == name.user);
    let same: BTreeSet<String> = same.map(|it| it.name.to_string()).collect();
    let same: Vec<String> = same.into_iter().take(NAMES_MAX).collect();
    match same.is_empty() {
        true => anyhow!("no server has an account {name}: rollcall accounts"),
        false => anyhow!("no server has an account {name}; there is {}", same.join(", ")),
    }
}
