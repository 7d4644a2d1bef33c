//! From a parsed command line to an exit code: one function a command, each asks, renders, puts
//! out.

mod accounts;
mod deeds;
mod doctor;
mod quota;
mod quota_watch;
mod sample;
mod setup;
mod trace;
mod who;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use ledger::{EvidenceState, Filter, Journal, Ledger};
use verdict::plan::DeedKind;

use crate::answers::{
    self, DeedsTold, Doubts, EvidenceOptions, FailuresOptions, ReportInput, SeenOptions, View,
};
use crate::cli::{
    Cli, Command, Condition, EvidenceArgs, FailuresArgs, Global, ReadArgs, ReportArgs, ScanArgs,
    SeenArgs, WatchArgs,
};
use crate::config::{Config, LogLevel, default_ledger};
use crate::exit::Exit;
use crate::job::ReadJob;
use crate::out::{Out, new_file, replace_file};
use crate::render::{Answer, Format, html_page, shown};
use crate::scan::{Follower, ReadDone, scan};
use crate::seal::{self, BadSeal, Seal, Verdict};
use crate::time::{Zone, parse_time, table_text};
use crate::watch::{self, watch};

/// Standard output did not take the answer.
#[derive(Debug, thiserror::Error)]
#[error("standard output cannot be written: {0}")]
struct OutputError(io::Error);

/// The most servers that a message lists.
const SERVERS_MAX: usize = 10;

/// The most samples of doubtful input that `evidence --state` shows without `--limit`.
const SAMPLES_DEFAULT: usize = 20;

/// Does what the command line says.
pub(crate) fn run(cli: &Cli) -> Exit {
    let out = Out { quiet: cli.global.quiet, verbose: cli.global.verbose };
    match dispatch(cli, out) {
        Ok(exit) => exit,
        Err(error) if is_broken_pipe(&error) => Exit::Done,
        Err(error) => {
            out.error(&format!("{error:#}"));
            Exit::Nothing
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let output = error.downcast_ref::<OutputError>();
    output.is_some_and(|it| it.0.kind() == io::ErrorKind::BrokenPipe)
}

fn dispatch(cli: &Cli, out: Out) -> anyhow::Result<Exit> {
    let global = &cli.global;
    match &cli.command {
        // Neither needs a configuration that can be read.
        Command::Init => {
            let path = crate::setup::init(global.config.as_deref()).map_err(anyhow::Error::msg)?;
            out.note(&format!("{} written: edit it, then rollcall check", path.display()));
            return Ok(Exit::Done);
        }
        Command::Dialects => {
            put(out, &crate::setup::dialects(), global.output)?;
            return Ok(Exit::Done);
        }
        Command::Setup(args) => return setup::setup(args, global, out),
        _ => {}
    }
    let session = Session::begin(global, out)?;
    match &cli.command {
        Command::Scan(args) => session.scan(args),
        Command::Watch(args) => session.watch(args),
        Command::Report(args) => session.report(args),
        Command::Seen(args) => session.seen(args),
        Command::Failures(args) => session.failures(args),
        Command::Evidence(args) => session.evidence(args),
        Command::Accounts(args) => session.accounts(args),
        Command::Account(args) => session.account(args),
        Command::Unused(args) => session.unused(args),
        Command::Keep(args) => session.keep(args),
        Command::Lock(args) => session.deed(DeedKind::Lock, args),
        Command::Unlock(args) => session.deed(DeedKind::Unlock, args),
        Command::Drop(args) => session.deed(DeedKind::Drop, args),
        Command::Apply(args) => session.apply(args),
        Command::Undo(args) => session.undo(args),
        Command::Journal(args) => session.journal(args),
        Command::Trace(args) => session.trace(args),
        Command::Who(args) => session.who(args),
        Command::Sample(args) => session.sample(args),
        Command::Doctor(args) => session.doctor(args),
        Command::Quota(args) => session.quota(args),
        Command::Status => session.status(),
        Command::Check | Command::Init | Command::Dialects | Command::Setup(_) => session.check(),
    }
}

/// Where the service manager puts the credentials of its `LoadCredential=`.
fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// What every command needs, resolved once.
struct Session<'a> {
    global: &'a Global,
    config: Config,
    out: Out,
    zone: Zone,
    now: i64,
    /// Servers and times of `--server`, `--group`, `--since`, `--until`.
    filter: Filter,
}

impl<'a> Session<'a> {
    fn begin(global: &'a Global, out: Out) -> anyhow::Result<Session<'a>> {
        let config = Config::load(global.config.as_deref(), credentials().as_deref());
        let config = config.map_err(anyhow::Error::msg)?;
        for warning in &config.warnings {
            out.detail(warning);
        }
        for note in &config.notes {
            out.note(note);
        }
        // conntracker's log level goes on meaning what it meant.
        let level = config.conntracker.as_ref().map(|it| it.log_level);
        let talks = level.is_some_and(|it| it >= LogLevel::Info) && !out.quiet;
        let out = Out { verbose: out.verbose.max(u8::from(talks)), ..out };
        let zone = match &global.zone {
            Some(name) => Zone::parse(name).map_err(|error| anyhow!("--zone: {error}"))?,
            None => Zone::machine(),
        };
        let now = Timestamp::now();
        let filter = filter(global, &config, now, &zone).map_err(anyhow::Error::msg)?;
        Ok(Session { global, config, out, zone, now: now.as_microsecond(), filter })
    }

    fn view(&self) -> View<'_> {
        let page = self.global.output == Format::Table;
        View { now: self.now, zone: &self.zone, page, records: !page }
    }

    /// The ledger's path: the flag or environment, the configuration, the default.
    fn ledger(&self) -> anyhow::Result<PathBuf> {
        // ROLLCALL_LEDGER= is how a shell takes a variable back.
        let flag = self.global.ledger.as_ref().filter(|it| !it.as_os_str().is_empty());
        let given = flag.or(self.config.ledger.as_ref());
        match given {
            Some(path) => Ok(path.clone()),
            None => {
                let folder = |name| std::env::var_os(name).map(PathBuf::from);
                default_ledger(is_root(), folder("XDG_STATE_HOME"), folder("HOME"))
                    .map_err(anyhow::Error::msg)
            }
        }
    }

    /// Says on the page which hours were counted, where a window was asked for.
    fn add_window(&self, answer: &mut Answer) {
        if let Some(text) = window_text(&self.filter, &self.zone) {
            answer.page.line(text);
        }
    }

    /// The same where the answer tells of first and last logins.
    fn add_seen_window(&self, answer: &mut Answer) {
        self.add_window(answer);
        let windowed = self.filter.since.is_some() || self.filter.until.is_some();
        if windowed && answer.rows > 0 {
            answer.page.line("First and last logins are those of all time, not of the window");
        }
    }

    /// Says which of the servers that were asked for the ledger does not know.
    fn note_unknown_servers(&self, ledger: &Ledger) -> anyhow::Result<()> {
        if self.filter.servers.is_empty() {
            return Ok(());
        }
        let all = ledger.evidence(&Filter::default())?;
        let known: BTreeSet<&[u8]> = all.iter().map(|row| row.server.as_slice()).collect();
        let names = known.iter().take(SERVERS_MAX).map(|name| shown(name));
        let names = names.collect::<Vec<_>>().join(", ");
        for server in self.filter.servers.iter().filter(|it| !known.contains(it.as_slice())) {
            let server = shown(server);
            self.out.note(&match known.is_empty() {
                true => format!("nothing was read of {server}: the ledger is empty"),
                false => format!("nothing was read of {server}: the ledger knows {names}"),
            });
        }
        Ok(())
    }

    /// Puts an answer out, says what is doubtful about it, and judges `--fail-on`.
    fn answer(&self, answer: &Answer, doubts: Option<Doubts>) -> anyhow::Result<Exit> {
        put(self.out, answer, self.global.output)?;
        let doubts = doubts.unwrap_or_default();
        if let Some(note) = doubts.note() {
            self.out.note(&note);
        }
        Ok(condition(&self.global.fail_on, answer.rows > 0, doubts))
    }

    fn job(&self, paths: &[PathBuf], args: &ReadArgs) -> anyhow::Result<ReadJob> {
        if let Some(dialect) = &args.dialect {
            crate::setup::check_dialect(dialect).map_err(|error| anyhow!("--dialect: {error}"))?;
        }
        let machine = Zone::machine();
        ReadJob::resolve(paths, args, self.global, &self.config, &machine)
            .map_err(anyhow::Error::msg)
    }

    fn scan(&self, args: &ScanArgs) -> anyhow::Result<Exit> {
        let job = self.job(&args.paths, &args.read)?;
        let ledger = self.ledger()?;
        self.out.detail(&format!("log times in {}", job.zone_text()));
        let mut opened = Ledger::create(&ledger)?;
        let done = scan(&mut opened, &job, self.now, self.out)?;
        let exit = self.say(&done);
        let doubts = match self.global.fail_on.is_empty() {
            true => Doubts::default(),
            false => Doubts::of(&Ledger::open(&ledger)?.evidence(&self.filter)?),
        };
        Ok(exit.max(condition(&self.global.fail_on, done.files > 0, doubts)))
    }

    fn watch(&self, args: &WatchArgs) -> anyhow::Result<Exit> {
        if !self.global.fail_on.is_empty() {
            bail!("watch ends when it is told to, not on a condition: ask evidence --fail-on");
        }
        let follower = |config: &Config| {
            let machine = Zone::machine();
            let job = ReadJob::resolve(&args.paths, &args.read, self.global, config, &machine)?;
            Follower::new(job)
        };
        if let Some(dialect) = &args.read.dialect {
            crate::setup::check_dialect(dialect).map_err(|error| anyhow!("--dialect: {error}"))?;
        }
        let reload = || {
            let config = Config::load(self.global.config.as_deref(), credentials().as_deref())?;
            for note in config.warnings.iter().chain(&config.notes) {
                tracing::warn!("{note}");
            }
            if config.ledger != self.config.ledger {
                tracing::warn!("another ledger is taken only after a restart");
            }
            follower(&config)
        };
        let ledger = self.ledger()?;
        let options =
            watch::Options { ledger: &ledger, out: self.out, polls: args.poll, reload: &reload };
        watch(&options, follower(&self.config).map_err(anyhow::Error::msg)?)?;
        Ok(Exit::Done)
    }

    /// Says what could not be read, and how that ends.
    fn say(&self, done: &ReadDone) -> Exit {
        for text in &done.skipped {
            self.out.detail(text);
        }
        for text in &done.notes {
            self.out.note(text);
        }
        for text in &done.failed {
            self.out.error(text);
        }
        match (done.failed.is_empty(), done.files) {
            (true, _) => Exit::Done,
            (false, 0) => Exit::Nothing,
            (false, _) => Exit::Partial,
        }
    }

    fn report(&self, args: &ReportArgs) -> anyhow::Result<Exit> {
        if self.global.output == Format::Csv {
            bail!("report has no CSV form: ask seen, failures or evidence, or take -o json");
        }
        let read = &args.read;
        let reads = read.time_zone.is_some() || read.dialect.is_some() || read.threads.is_some();
        if args.paths.is_empty() && reads {
            bail!("--time-zone, --dialect and --threads say how logs are read: give PATH as well");
        }
        let start = Instant::now();
        let (ledger, done, log_zone) = match args.paths.is_empty() {
            true => {
                let ledger = Ledger::open(&self.ledger()?)?;
                self.note_unknown_servers(&ledger)?;
                (ledger, None, "read by rollcall scan".to_owned())
            }
            false => {
                let job = self.job(&args.paths, &args.read)?;
                let mut ledger = Ledger::in_memory()?;
                let done = scan(&mut ledger, &job, self.now, self.out)?;
                (ledger, Some(done), job.zone_text())
            }
        };
        let read_seconds = done.as_ref().map(|_| start.elapsed().as_secs_f64());
        let mut filter = self.filter.clone();
        if done.is_some() {
            // There, --server is the name that was given to all of it.
            filter.servers.clear();
        }
        let status = ledger.status()?;
        let sum = |count: fn(&ledger::SourceStatus) -> u64| status.sources.iter().map(count).sum();
        let evidence = ledger.evidence(&filter)?;
        let input = ReportInput {
            seen: &answers::without_superseded(ledger.seen(&filter)?),
            failures: &ledger.failures(&filter)?,
            periods: &ledger.periods(&filter)?,
            evidence: &evidence,
            runs: &ledger.runs(&filter)?,
            files: done.as_ref().map_or_else(|| sum(|it| it.files), |it| it.files),
            bytes: sum(|it| it.bytes),
            read_seconds,
            log_zone: &log_zone,
            health: &self.config.health_checks,
            limit: args.limit,
        };
        let page = args.html.is_some() || self.global.output == Format::Table;
        let mut answer = answers::report(&input, View { page, ..self.view() });
        self.add_seen_window(&mut answer);
        let exit = done.as_ref().map_or(Exit::Done, |done| self.say(done));
        let doubts = Doubts::of(&evidence);
        let Some(file) = &args.html else {
            // The page names doubt itself.
            put(self.out, &answer, self.global.output)?;
            return Ok(exit.max(condition(&self.global.fail_on, answer.rows > 0, doubts)));
        };
        let html = html_page("rollcall report", &answer.page);
        replace_file(file, &html).map_err(anyhow::Error::msg)?;
        self.out.detail(&format!("{} written", file.display()));
        Ok(exit.max(condition(&self.global.fail_on, answer.rows > 0, doubts)))
    }

    fn seen(&self, args: &SeenArgs) -> anyhow::Result<Exit> {
        let ledger = Ledger::open(&self.ledger()?)?;
        self.note_unknown_servers(&ledger)?;
        let mut filter = self.filter.clone();
        filter.user = args.user.as_ref().map(|it| it.as_bytes().to_vec());
        filter.host = args.host.as_ref().map(|it| it.as_bytes().to_vec());
        let evidence = ledger.evidence(&self.filter)?;
        let newest = evidence.iter().filter_map(|it| it.to).max();
        let options = SeenOptions { sort: args.sort, limit: args.limit, idle_for: args.idle_for };
        let rows = answers::without_superseded(ledger.seen(&filter)?);
        let mut answer = answers::seen(&rows, &options, newest, self.view());
        self.add_seen_window(&mut answer);
        self.answer(&answer, Some(Doubts::of(&evidence)))
    }

    fn failures(&self, args: &FailuresArgs) -> anyhow::Result<Exit> {
        let ledger = Ledger::open(&self.ledger()?)?;
        self.note_unknown_servers(&ledger)?;
        let mut filter = self.filter.clone();
        filter.user = args.user.as_ref().map(|it| it.as_bytes().to_vec());
        filter.host = args.host.as_ref().map(|it| it.as_bytes().to_vec());
        let options = FailuresOptions { by: args.by, limit: args.limit };
        let health = &self.config.health_checks;
        let mut answer =
            answers::failures(&ledger.failures(&filter)?, &options, health, self.view());
        self.add_window(&mut answer);
        let evidence = ledger.evidence(&self.filter)?;
        self.answer(&answer, Some(Doubts::of(&evidence)))
    }

    /// Seals what the ledger rests on.
    fn seal(&self, path: &Path) -> anyhow::Result<Exit> {
        if self.filter != Filter::default() {
            bail!(
                "--seal: a seal is of the whole ledger, and a chain of deeds proves itself from its first link on \
                 only; leave --server, --group, --since and --until out"
            );
        }
        let holdings = Ledger::open(&self.ledger()?)?.holdings()?;
        let seal = match seal::make(&holdings, self.now)? {
            Ok(seal) => seal,
            Err(differences) => {
                for text in &differences {
                    self.out.error(text);
                }
                bail!("nothing was sealed: what is there is not what the ledger has noted");
            }
        };
        let (text, sha256) = seal.text();
        new_file(path, &text).map_err(anyhow::Error::msg)?;
        put(self.out, &answers::sealed(&seal, &sha256), self.global.output)?;
        Ok(Exit::Done)
    }

    /// Holds logs against a seal.
    fn verify(&self, path: &Path, paths: &[PathBuf]) -> anyhow::Result<Exit> {
        if self.filter != Filter::default() {
            bail!(
                "--verify: a seal is proven as a whole; leave --server, --group, --since and --until out"
            );
        }
        let text = seal::read(path)?;
        let seal = match Seal::parse(&text) {
            Ok(seal) => seal,
            Err(error @ BadSeal::Form(_)) => bail!("{}: {error}", path.display()),
            Err(error) => {
                self.out.error(&format!("{}: {error}", path.display()));
                return Ok(Exit::Differs);
            }
        };
        let (proofs, failed) = seal::verify(&seal, paths);
        for text in &failed {
            self.out.error(text);
        }
        let (compared, journal, exit) = self.journal_at_hand(&seal);
        let (deeds, added) = seal::verify_deeds(&seal.plans, &seal.links, journal.as_ref());
        let made = table_text(seal.made, &self.zone);
        let deeds = DeedsTold { proofs: deeds, added, compared };
        let answer = answers::verified(&seal, &made, &proofs, &deeds);
        put(self.out, &answer, self.global.output)?;
        let of_deeds = deeds.proofs.iter().map(|proof| proof.verdict);
        let worst = proofs.iter().map(|proof| proof.verdict).chain(of_deeds).map(|it| match it {
            Verdict::Proven => Exit::Done,
            Verdict::Missing => Exit::Partial,
            Verdict::Differs => Exit::Differs,
        });
        Ok(worst.max().unwrap_or(Exit::Done).max(exit))
    }

    /// The journal that a seal can be held against, if its ledger is at hand; in words what it was held
    /// against, and what that makes of the exit code.
    fn journal_at_hand(&self, seal: &Seal) -> (String, Option<Journal>, Exit) {
        if seal.form == 1 {
            let what =
                "seals of this form hold no deeds: make another (rollcall evidence --seal FILE)";
            return (what.to_owned(), None, Exit::Done);
        }
        let alone = |why: String| format!("{why}: proven by the seal alone");
        let path = match self.ledger() {
            Ok(path) if path.exists() => path,
            Ok(path) => {
                return (alone(format!("no ledger at {}", path.display())), None, Exit::Done);
            }
            Err(_) => return (alone("no ledger".to_owned()), None, Exit::Done),
        };
        let journal = match Ledger::open(&path).and_then(|ledger| ledger.journal()) {
            Ok(journal) => journal,
            Err(error) => {
                self.out.error(&error.to_string());
                let exit = match error {
                    ledger::Error::Damaged { .. } => Exit::Differs,
                    _ => Exit::Partial,
                };
                return (alone("the ledger cannot be read".to_owned()), None, exit);
            }
        };
        if journal.ledger != seal.ledger {
            // Who names a ledger wants to know.
            let exit = if self.global.ledger.is_some() { Exit::Partial } else { Exit::Done };
            let what = format!("{} is not the ledger that was sealed", path.display());
            return (alone(what), None, exit);
        }
        let mut exit = Exit::Done;
        if let Some(deed) = journal.broken {
            self.out.error(&format!("the ledger's journal was changed at deed {deed}"));
            exit = Exit::Differs;
        }
        (format!("held against {}", path.display()), Some(journal), exit)
    }

    fn evidence(&self, args: &EvidenceArgs) -> anyhow::Result<Exit> {
        if let Some(path) = &args.seal {
            return self.seal(path);
        }
        if let Some(path) = &args.verify {
            return self.verify(path, &args.paths);
        }
        let ledger = Ledger::open(&self.ledger()?)?;
        self.note_unknown_servers(&ledger)?;
        let mut evidence = ledger.evidence(&self.filter)?;
        evidence.extend(ledger.sessions_without_login(&self.filter)?);
        let state: Option<EvidenceState> = args.state.map(Into::into);
        let standing = match state {
            Some(EvidenceState::Rejected) => Some(formats::Standing::Rejected),
            Some(EvidenceState::Quarantined) => Some(formats::Standing::Quarantined),
            _ => None,
        };
        let samples = match standing {
            Some(_) => {
                let limit = args.limit.unwrap_or(SAMPLES_DEFAULT);
                ledger.doubts(standing, limit)?
            }
            None => Vec::new(),
        };
        let options = EvidenceOptions {
            by_month: args.by.is_some(),
            state,
            limit: args.limit,
            since: self.filter.since,
            until: self.filter.until.map(|it| it.min(self.now)),
        };
        let answer = answers::evidence(&evidence, &samples, &options, self.view());
        put(self.out, &answer, self.global.output)?;
        Ok(condition(&self.global.fail_on, answer.rows > 0, Doubts::of(&evidence)))
    }

    fn status(&self) -> anyhow::Result<Exit> {
        let path = self.ledger()?;
        let ledger = Ledger::open(&path)?;
        if let Some(warning) = ledger.warning() {
            self.out.note(&warning);
        }
        let doubts = Doubts::of(&ledger.evidence(&self.filter)?);
        let status = ledger.status()?;
        let unread: Vec<_> = status.sources.iter().map(|it| unread(&it.places)).collect();
        let answer = answers::status(&status, &path, &unread, self.view());
        self.answer(&answer, Some(doubts))
    }

    fn check(&self) -> anyhow::Result<Exit> {
        for warning in &self.config.warnings {
            self.out.note(warning);
        }
        let (answer, exit) = crate::setup::check(&self.config, &self.ledger()?, self.out);
        Ok(exit.max(self.answer(&answer, None)?))
    }
}

/// Bytes that stand in plain files of a source behind what was read; `None` where none of them stands
/// where it stood, or may be looked at.
fn unread(places: &[ledger::Place]) -> Option<u64> {
    // Of several marks for one path the newest counts: the others are of files that stood there before.
    let newest: BTreeMap<&Path, &ledger::Place> =
        places.iter().map(|place| (place.path.as_path(), place)).collect();
    let unread = newest.values().filter_map(|place| {
        let file = std::fs::symlink_metadata(&place.path).ok()?;
        let same = (file.dev(), file.ino()) == (place.device, place.inode);
        same.then(|| file.len().saturating_sub(place.offset))
    });
    unread.reduce(|a, b| a + b)
}

/// Puts an answer on standard output.
fn put(out: Out, answer: &Answer, format: Format) -> Result<(), OutputError> {
    out.answer(answer, format).map_err(OutputError)
}

/// Whether a condition of `--fail-on` holds.
fn condition(conditions: &[Condition], rows: bool, doubts: Doubts) -> Exit {
    let holds = conditions.iter().any(|condition| match condition {
        Condition::Rows => rows,
        Condition::Gap => doubts.gaps > 0,
        Condition::Doubt => doubts.rejected > 0 || doubts.quarantined > 0,
        // Of a check-up alone, and of quotas.
        Condition::Warn | Condition::Error | Condition::Soft | Condition::Hard => false,
    });
    if holds { Exit::Condition } else { Exit::Done }
}

/// The window of a filter in the whole hours that counts are kept in.
fn window_text(filter: &Filter, zone: &Zone) -> Option<String> {
    const HOUR: i64 = 3_600_000_000;
    let since = filter.since.map(|it| it.div_euclid(HOUR).saturating_mul(HOUR));
    let until = filter.until.map(|it| (-(-it).div_euclid(HOUR)).saturating_mul(HOUR));
    let text = |time| table_text(time, zone);
    let window = match (since, until) {
        (None, None) => return None,
        (Some(since), None) => format!("from {}", text(since)),
        (None, Some(until)) => format!("before {}", text(until)),
        (Some(since), Some(until)) => format!("from {} to {}", text(since), text(until)),
    };
    Some(format!("counted {window}: counts are kept per hour, old ones per day"))
}

/// The servers and times that the global flags choose.
fn filter(global: &Global, config: &Config, now: Timestamp, zone: &Zone) -> Result<Filter, String> {
    let servers = config.chosen(global.server.as_deref(), global.group.as_deref())?;
    let time = |flag: &str, text: Option<&String>| {
        let time = text.map(|text| parse_time(text, now, zone)).transpose();
        time.map_err(|error| format!("{flag}: {error}"))
    };
    let since = time("--since", global.since.as_ref())?;
    let until = time("--until", global.until.as_ref())?;
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        return Err("--since is not before --until: swap the two".to_owned());
    }
    let servers = servers.into_iter().map(String::into_bytes).collect();
    Ok(Filter { servers, since, until, ..Filter::default() })
}

/// Whether this process is root's. (The owner of a process's folder is its effective user.)
fn is_root() -> bool {
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|it| it.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::tests::{noon, zurich};
    use clap::Parser as _;

    fn filter_of(line: &[&str]) -> Result<Filter, String> {
        let cli = Cli::try_parse_from(line).unwrap();
        filter(&cli.global, &Config::default(), noon(), &zurich())
    }

    #[test]
    fn flags_choose_servers_and_times() {
        let line =
            ["rollcall", "status", "--server", "db1", "--since", "yesterday", "--until", "1h"];
        let filter = filter_of(&line).unwrap();
        assert_eq!(filter.servers, [b"db1".to_vec()]);
        let text = |time: Option<i64>| crate::time::utc_text(time.unwrap());
        assert_eq!(text(filter.since), "2026-11-18T23:00:00Z");
        assert_eq!(text(filter.until), "2026-11-20T11:00:00Z");
        assert_eq!(filter_of(&["rollcall", "status"]).unwrap(), Filter::default());
    }

    #[test]
    fn windows_are_named_in_whole_hours() {
        let text = |line: &[&str]| {
            let line = [&["rollcall", "status"], line].concat();
            window_text(&filter_of(&line).unwrap(), &zurich())
        };
        assert_eq!(text(&[]), None);
        let kept = ": counts are kept per hour, old ones per day";
        let since = format!("counted from 2026-11-20 09:00{kept}");
        assert_eq!(text(&["--since", "2026-11-20 09:59"]), Some(since.clone()));
        assert_eq!(text(&["--since", "2026-11-20 09:00"]), Some(since));
        let until = format!("counted before 2026-11-20 10:00{kept}");
        assert_eq!(text(&["--until", "2026-11-20 09:01"]), Some(until.clone()));
        assert_eq!(text(&["--until", "2026-11-20 10:00"]), Some(until));
    }

    #[test]
    fn impossible_times_are_refused() {
        let swapped = ["rollcall", "status", "--since", "1h", "--until", "1d"];
        assert!(filter_of(&swapped).unwrap_err().contains("swap the two"));
        let same = ["rollcall", "status", "--since", "1h", "--until", "1h"];
        assert!(filter_of(&same).is_err());
        let wrong = ["rollcall", "status", "--until", "soon"];
        assert!(filter_of(&wrong).unwrap_err().starts_with("--until: no time"));
        assert!(filter_of(&["rollcall", "status", "--group", "x"]).is_err());
    }

    #[test]
    fn conditions_hold_for_their_facts_alone() {
        let none = Doubts::default();
        let gap = Doubts { gaps: 1, ..none };
        let rejected = Doubts { rejected: 1, ..none };
        let quarantined = Doubts { quarantined: 1, ..none };
        let all = [Condition::Rows, Condition::Gap, Condition::Doubt];
        for (conditions, rows, doubts, exit) in [
            (&all[..], false, none, Exit::Done),
            (&[], true, gap, Exit::Done),
            (&all[..1], true, none, Exit::Condition),
            (&all[..1], false, gap, Exit::Done),
            (&all[1..2], true, gap, Exit::Condition),
            (&all[1..2], true, rejected, Exit::Done),
            (&all[2..], false, rejected, Exit::Condition),
            (&all[2..], false, quarantined, Exit::Condition),
            (&all[2..], true, gap, Exit::Done),
        ] {
            assert_eq!(condition(conditions, rows, doubts), exit);
        }
    }
}
