//! What there is to read: paths become log files, log files are compared with the ledger's marks.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use formats::Dialect;
use jiff::tz::TimeZone;
use ledger::{BatchOptions, Checkpoint, Ingest, Mark};
use source::{Candidate, Compression, Fingerprint, HEAD_BYTES, Known, OpenFile, Resume, decide};

use super::chain::Chain;
use super::work::FileWork;
use super::{Look, ReadDone, adjoin, chain, forgotten, read_files, standard_input};
use crate::job::ReadJob;
use crate::render::thousands;

/// Inputs whose logs are read alike.
#[derive(Debug)]
pub(super) struct Group {
    /// The server's name where it was told; empty where the records tell it.
    pub(super) label: Vec<u8>,
    pub(super) zone: TimeZone,
    pub(super) paths: Vec<PathBuf>,
}

impl Group {
    /// What its trouble is remembered under: label and paths.
    pub(super) fn scope(&self) -> Vec<u8> {
        let paths = self.paths.iter().map(|path| path.as_os_str().as_bytes());
        std::iter::once(&self.label[..]).chain(paths).collect::<Vec<_>>().join(&0)
    }

    pub(super) fn options(&self, job: &ReadJob) -> BatchOptions {
        BatchOptions {
            server: (!self.label.is_empty()).then(|| self.label.clone()),
            keep_connections: usize::try_from(job.limits.connections_keep).unwrap_or(usize::MAX),
        }
    }
}

/// The inputs of a job, by server and zone.
pub(super) fn groups(job: &ReadJob) -> Vec<Group> {
    let mut groups: BTreeMap<(Vec<u8>, String), Group> = BTreeMap::new();
    for input in &job.inputs {
        let label = input.server.clone().unwrap_or_default().into_bytes();
        let key = (label.clone(), input.zone.name.clone());
        let zone = input.zone.tz.clone();
        let group = groups.entry(key).or_insert_with(|| Group { label, zone, paths: Vec::new() });
        group.paths.push(input.path.clone());
    }
    groups.into_values().collect()
}

/// A log file with the set it belongs to.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) candidate: Candidate,
    pub(super) location: PathBuf,
    pub(super) dialect: Dialect,
    /// The dialect was recognised in this file, not taken from its neighbours.
    pub(super) is_recognised: bool,
    /// It is the newest of its set.
    pub(super) is_newest: bool,
}

/// Reads what is new in a group.
pub(super) fn read_group(
    ingest: &mut Ingest<'_>,
    look: &mut Look<'_>,
    group: &Group,
) -> anyhow::Result<()> {
    let (piped, paths): (Vec<_>, Vec<_>) =
        group.paths.iter().cloned().partition(|path| path == Path::new("-"));
    if !paths.is_empty() {
        let (mut found, unread) = find(&paths, forced(look.job), &mut look.done);
        look.done.files += found.len() as u64;
        read_chained(ingest, look, group, &paths, &mut found, unread)?;
    }
    if !piped.is_empty() {
        standard_input::read(ingest, look.job, group, forced(look.job), look.now, &mut look.done)?;
    }
    Ok(())
}

/// The dialect that was told.
pub(super) fn forced(job: &ReadJob) -> Option<Dialect> {
    job.dialect.as_deref().and_then(|name| name.parse().ok())
}

/// Recognises a dialect by content, or takes any text for the one that was told.
pub(super) fn detect(head: &[u8], forced: Option<Dialect>) -> Option<Dialect> {
    match forced {
        Some(dialect) => {
            let text = !head.is_empty() && !head[..head.len().min(4096)].contains(&0);
            text.then_some(dialect)
        }
        None => formats::detect(head),
    }
}

/// How often files are looked for when some were renamed meanwhile: logs are not rotated all the time.
const TRIES_MAX: usize = 3;

/// The logs that the paths name, open, and whether one may be among what could not be looked into.
pub(super) fn find(
    paths: &[PathBuf],
    forced: Option<Dialect>,
    done: &mut ReadDone,
) -> (Vec<Found>, bool) {
    for _ in 1..TRIES_MAX {
        let before = (done.failed.len(), done.skipped.len());
        let (found, unread, gone) = find_once(paths, forced, done);
        if !gone {
            return (found, unread);
        }
        done.failed.truncate(before.0);
        done.skipped.truncate(before.1);
    }
    let (found, unread, _) = find_once(paths, forced, done);
    (found, unread)
}

/// The same, and whether a file that was found stood there no more when it was opened.
fn find_once(
    paths: &[PathBuf],
    forced: Option<Dialect>,
    done: &mut ReadDone,
) -> (Vec<Found>, bool, bool) {
    let mut gone = false;
    let discovery = source::discover(paths, &|head| detect(head, forced));
    let mut unopened = Vec::new();
    let mut unread = false;
    for failure in discovery.failures {
        unread |= may_hide_a_log(&failure.reason);
        match failure.reason {
            reason if is_out_of_files(&reason) => unopened.push(failure.path),
            reason => done.failed.push(reason.to_string()),
        }
    }
    for skipped in &discovery.skipped {
        done.skipped.push(format!("{}: {}", skipped.path.display(), skipped.reason));
    }
    if discovery.skipped_more > 0 {
        done.skipped.push(format!("and {} more files", discovery.skipped_more));
    }
    for link in &discovery.redirected {
        done.skipped.push(format!(
            "{} leads to {}, which is read",
            link.link.display(),
            link.target.display()
        ));
    }
    let count = discovery.sets.iter().map(|set| set.files.len()).sum();
    allow_open_files(count);
    let mut found = Vec::with_capacity(count);
    for set in discovery.sets {
        let usual = set.files.iter().rev().find_map(|file| file.detected);
        let mut left = set.files.len();
        for file in set.files {
            left -= 1;
            let dialect = file.detected.or(usual).unwrap_or(Dialect::ServerAudit);
            match OpenFile::open_found(&file.path).and_then(Candidate::new) {
                Ok(candidate) => found.push(Found {
                    candidate,
                    location: set.location.clone(),
                    dialect,
                    is_recognised: file.detected.is_some(),
                    is_newest: left == 0,
                }),
                Err(error) if is_out_of_files(&error) => unopened.push(file.path),
                Err(error) => {
                    gone |= matches!(error, source::Error::Missing { .. });
                    unread |= may_hide_a_log(&error);
                    done.failed.push(error.to_string());
                }
            }
        }
    }
    if let Some((first, others)) = unopened.split_first() {
        let more = match others.len() as u64 {
            0 => String::new(),
            more => format!(" and {} more", thousands(more)),
        };
        done.failed.push(format!(
            "{}{more}: too many files are open at once: raise the limit (ulimit -n), or name fewer \
             files",
            first.display(),
        ));
    }
    (found, unread | !unopened.is_empty(), gone)
}

/// Whether a log may stand where this error was met.
fn may_hide_a_log(error: &source::Error) -> bool {
    use source::Error as E;
    !matches!(
        error,
        E::Missing { .. }
            | E::NoMatch { .. }
            | E::BadPattern { .. }
            | E::NotRegular { .. }
            | E::NotAuditLog { .. }
            | E::NoCompleteLine { .. }
            | E::NothingFound { denied: 0, .. }
    )
}

/// Whether the system opens no more files for this process, or for any.
fn is_out_of_files(error: &source::Error) -> bool {
    use nix::errno::Errno;
    let source::Error::Io { source, .. } = error else { return false };
    let code = source.raw_os_error();
    [Errno::EMFILE, Errno::ENFILE].iter().any(|it| code == Some(*it as i32))
}

/// All files of a run are held open, so that none changes its name under the reader. The system's
/// soft limit (1,024) may be too low for that.
fn allow_open_files(count: usize) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const OTHERS: u64 = 64;
    let wanted = count as u64 + OTHERS;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        // Where this fails, opening the files tells.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}

/// Reads files as [`read_found`], with those that rotation left beside them, and notes what is gone.
/// `unread`: something could not be looked into.
pub(super) fn read_chained(
    ingest: &mut Ingest<'_>,
    look: &mut Look<'_>,
    group: &Group,
    paths: &[PathBuf],
    found: &mut Vec<Found>,
    unread: bool,
) -> anyhow::Result<()> {
    let was_live = adjoin::live(ingest, group)?;
    let mut chain = chain::follow(ingest, group, found, paths, forced(look.job))?;
    let unread = unread | read_found(ingest, look, group, found, &mut chain)?;
    // What is missing may be in a file that could not be looked into.
    chain.note(ingest, !unread, &mut look.done)?;
    adjoin::note(ingest, group, found, &was_live)
}

/// Reads files as the ledger's marks say, until none waits for another. Tells whether one could not be
/// looked into.
fn read_found(
    ingest: &mut Ingest<'_>,
    look: &mut Look<'_>,
    group: &Group,
    found: &[Found],
    chain: &mut Chain,
) -> anyhow::Result<bool> {
    let mut unread = false;
    let forgotten = ingest.forgotten(&group.label)?;
    // What has been dealt with is not looked at again.
    let mut open: Vec<usize> = (0..found.len()).collect();
    while !open.is_empty() {
        let marks = ingest.marks(&group.label)?;
        let known = Known::new(marks.iter().map(|mark| mark.known.clone()).collect());
        let marks: HashMap<i64, Mark> =
            marks.into_iter().map(|mark| (mark.known.key, mark)).collect();
        let candidates: Vec<&Candidate> = open.iter().map(|&i| &found[i].candidate).collect();
        let mut files = Vec::new();
        let mut waiting = Vec::new();
        let decision = chain.decision.take().unwrap_or_else(|| decide(&candidates, &known));
        for (&index, answer) in open.iter().zip(decision.resumes) {
            let file = &found[index];
            let resume = match answer {
                Ok(resume) => resume,
                Err(error) => {
                    unread = true;
                    look.done.failed.push(error.to_string());
                    continue;
                }
            };
            if resume == Resume::New && may_be_forgotten(forgotten, group, file, &mut look.done) {
                continue;
            }
            match resume {
                Resume::Twin { .. } => waiting.push(index),
                resume if resume.reads() => {
                    files.push(to_read(ingest, look.job, group, file, resume, &marks)?);
                }
                resume => put_aside(ingest, group, file, resume, &marks, &mut look.done, chain)?,
            }
        }
        if files.is_empty() && waiting.len() == open.len() {
            // Each waits for the other: read the first alone.
            let first = &found[waiting.remove(0)];
            if !may_be_forgotten(forgotten, group, first, &mut look.done) {
                files.push(to_read(ingest, look.job, group, first, Resume::New, &marks)?);
            }
        }
        if !files.is_empty() {
            read_files(ingest, look, &files)?;
        }
        open = waiting;
    }
    Ok(unread)
}

/// Whether a file without a mark may have been read before the ledger forgot it; then that is told.
fn may_be_forgotten(until: Option<i64>, group: &Group, found: &Found, done: &mut ReadDone) -> bool {
    let Some(until) = until else { return false };
    let refusal = forgotten::refuse_file(found.candidate.file(), found.dialect, &group.zone, until);
    // Where it cannot be read, that is told when it is tried.
    let refusal = refusal.ok().flatten();
    done.failed.extend(refusal.clone());
    refusal.is_some()
}

/// A file to be read, under its number in the ledger.
fn to_read<'a>(
    ingest: &Ingest<'_>,
    job: &ReadJob,
    group: &Group,
    found: &'a Found,
    resume: Resume,
    marks: &HashMap<i64, Mark>,
) -> anyhow::Result<FileWork<'a>> {
    let (key, mark) = match resume {
        Resume::Continue { key, .. } => (Some(key), marks.get(&key)),
        Resume::Fork { key, .. } => (None, marks.get(&key)),
        _ => (None, None),
    };
    let location = found.location.as_os_str().as_bytes();
    // A file that was rotated out of its set goes on in the source it began in.
    let source = match (key, mark) {
        (Some(_), Some(mark)) => mark.source,
        _ => ingest.source(location, &group.label, found.dialect.as_str())?,
    };
    let mut fingerprint =
        mark.map_or(Fingerprint::default(), |mark| mark.known.fingerprint.clone());
    let mut mid_record = mark.is_some_and(|mark| mark.mid_record);
    if let Resume::Fork { offset, .. } = resume
        && offset != fingerprint.offset
    {
        fingerprint = found.candidate.fingerprint_in_head(offset)?;
        mid_record = false;
    }
    let offset = fingerprint.offset;
    let id = match key {
        Some(key) => key,
        None => ingest.checkpoint(
            None,
            source,
            &Checkpoint {
                path: found.candidate.file().path().to_path_buf(),
                fingerprint,
                raw: found.candidate.raw(false),
                mid_record: false,
                newest: mark.and_then(|mark| mark.newest),
            },
        )?,
    };
    let head = head(found.candidate.file())?;
    Ok(FileWork {
        candidate: &found.candidate,
        head,
        dialect: found.dialect,
        source,
        id,
        offset,
        mid_record,
        newest: mark.and_then(|mark| mark.newest),
        zone: group.zone.clone(),
        options: group.options(job),
    })
}

/// The first bytes of a plain file as they are now.
pub(super) fn head(file: &OpenFile) -> Result<Vec<u8>, source::Error> {
    let mut head = Vec::new();
    if file.compression() == Compression::Plain {
        head.resize(HEAD_BYTES, 0);
        let read = file.read_full_at(&mut head, 0)?;
        head.truncate(read);
    }
    Ok(head)
}

/// Deals with a file that has nothing to read.
fn put_aside(
    ingest: &Ingest<'_>,
    group: &Group,
    found: &Found,
    resume: Resume,
    marks: &HashMap<i64, Mark>,
    done: &mut ReadDone,
    chain: &mut Chain,
) -> anyhow::Result<()> {
    let file = found.candidate.file();
    let path = file.path().display();
    match resume {
        Resume::Unchanged { key } => {
            let Some(mark) = marks.get(&key) else { return Ok(()) };
            let raw = found.candidate.raw(true);
            if mark.known.raw != raw || mark.known.path != file.path() {
                ingest.checkpoint(Some(key), mark.source, &moved(mark, found))?;
            }
        }
        Resume::Copy { key } => {
            let Some(mark) = marks.get(&key) else { return Ok(()) };
            let location = found.location.as_os_str().as_bytes();
            let source = ingest.source(location, &group.label, found.dialect.as_str())?;
            ingest.checkpoint(None, source, &moved(mark, found))?;
        }
        Resume::Rewritten { key } => {
            chain.refused(key);
            done.failed.push(format!(
                "{path}: what was read of it before has been changed since; nothing of it is read, \
                 because what is new cannot be told from what was counted: restore the file"
            ));
        }
        Resume::Shorter { key } => {
            let facts = marks.get(&key).map(|mark| mark.known.raw.facts);
            if facts.is_some_and(|facts| facts.same_file(&file.facts())) && is_plain(file) {
                chain.refused(key);
                done.failed.push(format!(
                    "{path}: it was cut to less than what was read of it before; nothing of it is read, \
                     because what is new cannot be told from what was counted: restore the file, or \
                     rotate it away"
                ));
            } else {
                done.notes.push(format!(
                    "{path}: begins as a log that was read further and ends before: taken for a shorter \
                     copy, so nothing of it is read"
                ));
            }
        }
        Resume::Covered { .. } => done
            .skipped
            .push(format!("{path}: all of it is the beginning of another file that is read")),
        _ => {}
    }
    Ok(())
}

fn is_plain(file: &OpenFile) -> bool {
    file.compression() == Compression::Plain
}

/// A mark for the same content at another place.
fn moved(mark: &Mark, found: &Found) -> Checkpoint {
    Checkpoint {
        path: found.candidate.file().path().to_path_buf(),
        fingerprint: mark.known.fingerprint.clone(),
        raw: found.candidate.raw(true),
        mid_record: mark.mid_record,
        newest: mark.newest,
    }
}
