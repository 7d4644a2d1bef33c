//! `quota watch`: from the command line to a service that has given up what it does not need.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::bail;
use ledger::Ledger;
use nix::unistd::{daemon, dup2_stderr, dup2_stdin, dup2_stdout, geteuid};
use verdict::quota::Shard;

use super::{Session, credentials};
use crate::cli::QuotaWatchArgs;
use crate::exit::Exit;
use crate::out::Out;
use crate::quota::watch::{InForce, Options, Settings, Task, watch};
use crate::reach::Place;
use crate::render::inert;
use crate::service::{Identity, PidFile};

impl Session<'_> {
    /// Reads what only root may read, becomes its user, checks what it needs as that, and goes round.
    pub(super) fn quota_watch(&self, args: &QuotaWatchArgs) -> anyhow::Result<Exit> {
        if !self.global.fail_on.is_empty() {
            bail!("watch ends when it is told to, not on a condition: ask quota check --fail-on");
        }
        let out = match args.debug {
            Some(1..) => Out { verbose: self.out.verbose.max(1), ..self.out },
            _ => self.out,
        };
        let settings = self.watch_settings(args, None)?;
        let limits = InForce::load(settings.limits.as_deref()).map_err(anyhow::Error::msg)?;
        let ledger = std::path::absolute(self.ledger()?)?;
        let identity = self.identity(args)?;
        let pid_file = args.pid_file.as_deref().map(PidFile::take).transpose();
        let mut pid_file = pid_file.map_err(anyhow::Error::msg)?;
        let log = args.log_file.as_deref().map(open_log).transpose()?;
        if let Some(identity) = &identity {
            identity.assume().map_err(anyhow::Error::msg)?;
        }
        // Whoever starts it is told at once, not only the log.
        drop(Ledger::create(&ledger)?);
        if args.daemonize {
            if log.is_none() {
                out.note("nothing of what happens is kept: name a --log-file");
            }
            // It stays in its folder: paths of the configuration may start there.
            daemon(true, true)?;
        }
        lead_away(args.daemonize, log)?;
        if let Some(file) = &mut pid_file {
            file.write().map_err(anyhow::Error::msg)?;
        }
        let remake = |before: &Settings| {
            let session = Session::begin(self.global, out).map_err(|error| format!("{error:#}"))?;
            session.watch_settings(args, Some(before)).map_err(|error| format!("{error:#}"))
        };
        let options = Options {
            ledger: &ledger,
            out,
            workers: self.config.quota.service.workers,
            doer: self.doer(),
            zone: jiff::tz::TimeZone::system(),
            remake: &remake,
        };
        watch(&options, settings, limits)?;
        Ok(Exit::Done)
    }

    /// Whom to become; `None`: whoever started it is nobody special.
    fn identity(&self, args: &QuotaWatchArgs) -> anyhow::Result<Option<Identity>> {
        if !geteuid().is_root() {
            return match &args.run_as {
                Some(_) => bail!("--run-as: only root can become somebody else"),
                None => Ok(None),
            };
        }
        let who = args.run_as.as_deref().unwrap_or(&self.config.quota.service.run_as);
        let (user, group) = match who.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (who, None),
        };
        Identity::of(user, group).map(Some).map_err(anyhow::Error::msg)
    }

    /// What rounds are made by. `before`: of these, what cannot be read any more is kept.
    fn watch_settings(
        &self,
        args: &QuotaWatchArgs,
        before: Option<&Settings>,
    ) -> anyhow::Result<Settings> {
        let quota = &self.config.quota;
        let shard = match (args.shard, args.index, args.total) {
            (Some(shard), ..) => shard,
            (None, Some(index), Some(total)) => match Shard::new(index, total) {
                Some(shard) => shard,
                None => bail!("-s counts from 0 to one less than -t: write -s 0 -t 4"),
            },
            _ => Shard::ALL,
        };
        Ok(Settings {
            tasks: self.tasks(before)?,
            quota: quota.clone(),
            limits: args.limits.clone().or_else(|| quota.limits.clone()),
            protected: self.config.protected.clone(),
            plan_days: self.config.limits.plan_days,
            applies: match args.debug {
                Some(debug) => debug == 2,
                None => args.apply || quota.enforce,
            },
            shows_statements: args.debug == Some(1),
            shard,
        })
    }

    /// The servers, with their option files read.
    fn tasks(&self, before: Option<&Settings>) -> anyhow::Result<Vec<Task>> {
        let service = &self.config.quota.service;
        let mut tasks = Vec::new();
        for mut wanted in self.to_measure(None)? {
            let server = self.config.servers.iter().find(|it| it.name == wanted.name);
            let timeout = server.and_then(|it| it.quota_timeout).unwrap_or(service.timeout);
            let interval = server.and_then(|it| it.quota_interval).unwrap_or(service.interval);
            let name = wanted.name.clone().unwrap_or_else(|| "the server".to_owned());
            let known = before.and_then(|it| it.tasks.iter().find(|it| it.name == name));
            let known = known.filter(|it| it.wanted.place.is_as(&wanted.place));
            let place = match given(wanted.place.defaults_file.as_deref()) {
                Some(file) => Place::credential(file),
                None => wanted.place.clone(),
            };
            match (place.hold(Some(&name), timeout), known) {
                (Ok(place), _) => wanted.place = place,
                // Root read it, before it became somebody else.
                (Err(error), Some(known)) => {
                    tracing::warn!("{error}: what was read of it at the start is kept");
                    wanted.place = known.wanted.place.clone();
                }
                (Err(error), None) => bail!("{error}"),
            }
            tasks.push(Task { name, wanted, interval, timeout });
        }
        Ok(tasks)
    }
}

/// The credential of the service manager that goes by the name of an option file, where there is one.
fn given(file: Option<&Path>) -> Option<PathBuf> {
    let given = credentials()?.join(file?.file_name()?);
    given.exists().then_some(given)
}

/// Opens a log to append to; links are not followed.
fn open_log(path: &Path) -> anyhow::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let mut options = File::options();
    let opened = options.append(true).create(true).mode(0o640).custom_flags(flags).open(path);
    let place = inert(&path.display().to_string());
    let file = match opened {
        Ok(file) => file,
        Err(error) => bail!("{place} cannot be written: {error}"),
    };
    if !file.metadata()?.is_file() {
        bail!("{place} is no file: name another one");
    }
    Ok(file)
}

/// Leads standard error into the log; in the background, input and output nowhere.
fn lead_away(is_daemon: bool, log: Option<File>) -> anyhow::Result<()> {
    if is_daemon {
        let nowhere = File::options().read(true).write(true).open(PathBuf::from("/dev/null"))?;
        dup2_stdin(&nowhere)?;
        dup2_stdout(&nowhere)?;
        dup2_stderr(log.as_ref().unwrap_or(&nowhere))?;
    } else if let Some(log) = log {
        dup2_stderr(&log)?;
    }
    Ok(())
}
