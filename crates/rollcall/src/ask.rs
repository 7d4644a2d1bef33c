//! The calls that reach the ledger and the scan: the only place that knows both.

use std::path::Path;

use ledger::{DoubtSample, Evidence, Failure, Filter, Period, Run, Seen, Status};

use crate::job::ReadJob;
use crate::out::Out;
use stand_in::Ledger;

/// What a scan did.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadDone {
    /// Files read, also those that held nothing new.
    pub(crate) files: u64,
    /// Decompressed bytes read.
    pub(crate) bytes: u64,
    /// Inputs that could not be read, each with file, place and remedy.
    pub(crate) failed: Vec<String>,
    /// What to know of inputs that were read: doubtful records, cut files.
    pub(crate) notes: Vec<String>,
    /// Files that hold no audit log.
    pub(crate) skipped: Vec<String>,
}

/// Everything the ledger tells about a choice of rows.
#[derive(Debug)]
pub(crate) struct Asked {
    ledger: Ledger,
}

impl Asked {
    /// Opens the ledger for questions.
    ///
    /// # Errors
    /// The ledger's own message.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Asked> {
        Ok(Asked { ledger: Ledger::open(path)? })
    }

    /// Reads what is new into the ledger at `path`, making it where needed.
    ///
    /// # Errors
    /// Where nothing could be done: the ledger cannot be written, or another scan holds it.
    pub(crate) fn scan(path: &Path, job: &ReadJob, out: Out) -> anyhow::Result<ReadDone> {
        stand_in::scan(&mut Ledger::create(path)?, job, out)
    }

    /// Reads everything into a ledger that is gone afterwards.
    ///
    /// # Errors
    /// As [`Asked::scan`].
    pub(crate) fn throw_away(job: &ReadJob, out: Out) -> anyhow::Result<(Asked, ReadDone)> {
        let mut ledger = Ledger::in_memory()?;
        let done = stand_in::scan(&mut ledger, job, out)?;
        Ok((Asked { ledger }, done))
    }

    /// Who was seen.
    pub(crate) fn seen(&self, filter: &Filter) -> anyhow::Result<Vec<Seen>> {
        Ok(self.ledger.seen(filter)?)
    }

    /// Refused attempts.
    pub(crate) fn failures(&self, filter: &Filter) -> anyhow::Result<Vec<Failure>> {
        Ok(self.ledger.failures(filter)?)
    }

    /// Counts per hour or day.
    pub(crate) fn periods(&self, filter: &Filter) -> anyhow::Result<Vec<Period>> {
        Ok(self.ledger.periods(filter)?)
    }

    /// What was read and what not.
    pub(crate) fn evidence(&self, filter: &Filter) -> anyhow::Result<Vec<Evidence>> {
        Ok(self.ledger.evidence(filter)?)
    }

    /// Kept pieces of doubtful input.
    pub(crate) fn doubts(
        &self,
        standing: Option<formats::Standing>,
        limit: usize,
    ) -> anyhow::Result<Vec<DoubtSample>> {
        Ok(self.ledger.doubts(standing, limit)?)
    }

    /// Lives of servers.
    pub(crate) fn runs(&self, filter: &Filter) -> anyhow::Result<Vec<Run>> {
        Ok(self.ledger.runs(filter)?)
    }

    /// The ledger as a whole.
    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        Ok(self.ledger.status()?)
    }
}

/// The shapes of the ledger's and the scan's calls.
mod stand_in {
    use super::*;

    type Answer<T> = Result<T, std::io::Error>;

    #[derive(Debug)]
    pub(super) struct Ledger;

    fn absent<T>() -> Answer<T> {
        Err(std::io::Error::other("no ledger is built in"))
    }

    impl Ledger {
        pub(super) fn open(_: &Path) -> Answer<Ledger> {
            absent()
        }
        pub(super) fn create(_: &Path) -> Answer<Ledger> {
            absent()
        }
        pub(super) fn in_memory() -> Answer<Ledger> {
            absent()
        }
        pub(super) fn seen(&self, _: &Filter) -> Answer<Vec<Seen>> {
            absent()
        }
        pub(super) fn failures(&self, _: &Filter) -> Answer<Vec<Failure>> {
            absent()
        }
        pub(super) fn periods(&self, _: &Filter) -> Answer<Vec<Period>> {
            absent()
        }
        pub(super) fn evidence(&self, _: &Filter) -> Answer<Vec<Evidence>> {
            absent()
        }
        pub(super) fn doubts(
            &self,
            _: Option<formats::Standing>,
            _: usize,
        ) -> Answer<Vec<DoubtSample>> {
            absent()
        }
        pub(super) fn runs(&self, _: &Filter) -> Answer<Vec<Run>> {
            absent()
        }
        pub(super) fn status(&self) -> Answer<Status> {
            absent()
        }
    }

    pub(super) fn scan(_: &mut Ledger, _: &ReadJob, _: Out) -> anyhow::Result<ReadDone> {
        Ok(absent()?)
    }
}
