//! Seals: a file that says what the ledger rests on, so that logs can be held against it years later.
//!
//! ```text
//! make     ledger::Holdings ─ files found by content ─ recount ─► Seal ─► text
//! verify   text ─► Seal ─ files found by content ─ recount ─► Proof, one a file
//!                   └──── chain of the journal ─ ledger, if there is one ─► DeedProof, one a deed
//! ```
//!
//! # Invariants
//! * Files are read from their beginning, by the code that a scan reads them with; a seal is made only
//!   where that counts what the ledger counted.
//! * A file is found by what it holds, whatever it is called and however it is compressed.
//! * Neither asks for the network, and verifying asks for no ledger: one that is at hand is looked at as well.

mod deeds;
mod fields;
mod form;
mod recount;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use formats::{Dialect, Reason, Standing};
use ledger::{DoubtTotal, Holdings, ReadFile};
use sha2::{Digest as _, Sha256};
use source::{Error, OpenFile};

use deeds::SealedLink;
pub(crate) use deeds::{DeedProof, verify as verify_deeds};
pub(crate) use form::{BadSeal, Seal};
use form::{Coverage, FORM, MissingFile, SEAL_BYTES_MAX, SealedFile, SealedTable};
pub(crate) use recount::Totals;
use recount::{Candidate, HEAD_BYTES, Recount, length, raw_hash, recount};

use crate::render::{hex, thousands};

/// Where the counts of the ledger and of the files differ: one text for each.
pub(crate) type Differences = Vec<String>;

/// Seals what the ledger rests on. `now` is in microseconds UTC.
///
/// # Errors
/// Where a file cannot be read to its end; the inner ones where it holds other records than the ledger
/// counted: then nothing can be sealed.
pub(crate) fn make(holdings: &Holdings, now: i64) -> Result<Result<Seal, Differences>, Error> {
    let files = &holdings.files;
    let (candidates, unreadable) = look_around(
        files.iter().map(|file| file.path.clone()).collect(),
        files.iter().map(|file| file.location.clone()).collect(),
    );
    let (mut sealed, mut missing, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    let mut sums: BTreeMap<i64, Sum> = BTreeMap::new();
    for file in files {
        let sum = sums.entry(file.source).or_default();
        sum.missing |= holdings.forgotten.contains(&file.source);
        match find(file, &candidates)? {
            Search::Found(candidate, open, recount) => {
                let (dialect, recount) = *recount;
                let counted = recount.totals.events;
                let shares = files
                    .iter()
                    .any(|other| other != file && candidate.begins(other.head_bytes, &other.head));
                if counted != file.records && !(shares && file.records < counted) {
                    differences.push(format!(
                        "{}: {} records stand in it, and the ledger counted {}",
                        candidate.path.display(),
                        thousands(counted),
                        thousands(file.records)
                    ));
                }
                sum.shares |= shares;
                for (&kind, count) in &recount.doubts {
                    *sum.doubts.entry(kind).or_default() += count;
                }
                sealed.push(sealed_file(file, candidate, &open, dialect, &recount)?);
            }
            Search::Changed => {
                sum.missing = true;
                missing.push(missing_file(file, "changed"));
            }
            Search::Nowhere => {
                sum.missing = true;
                let reason = if unreadable.contains(&file.path) { "unreadable" } else { "gone" };
                missing.push(missing_file(file, reason));
            }
        }
    }
    for file in files {
        if let Some(sum) = sums.remove(&file.source) {
            differences.extend(sum.differences(file, &holdings.doubts));
        }
    }
    let journal = &holdings.journal;
    if let Some(deed) = journal.broken {
        differences.push(format!(
            "the journal was changed at deed {deed}: it proves nothing (rollcall journal)"
        ));
    }
    if !differences.is_empty() {
        return Ok(Err(differences));
    }
    let coverage = holdings.evidence.iter().map(|row| Coverage {
        server: row.server.clone(),
        source: row.source.clone(),
        from: row.from,
        to: row.to,
        state: row.state.as_str().to_owned(),
        records: row.records,
        reason: row.reason.clone(),
    });
    let tables = holdings.tables.iter().map(|table| SealedTable {
        table: table.location.clone(),
        server: table.server.clone(),
        made: table.made.clone(),
        rows: table.rows,
        last_id: table.last_id,
        missing_ids: table.missing,
        from: table.from,
        to: table.to,
    });
    Ok(Ok(Seal {
        form: FORM,
        program: concat!("rollcall ", env!("CARGO_PKG_VERSION")).to_owned(),
        made: now,
        ledger: holdings.id.clone(),
        coverage: coverage.collect(),
        files: sealed,
        missing,
        tables: tables.collect(),
        plans: journal.plans.clone(),
        links: journal.links.iter().map(SealedLink::new).collect(),
    }))
}

/// What all files of a source hold together: the ledger counts doubts by source.
#[derive(Default)]
struct Sum {
    doubts: BTreeMap<(Standing, Reason), u64>,
    missing: bool,
    /// Two of its files hold the same lines, which were counted once.
    shares: bool,
}

impl Sum {
    fn differences(&self, file: &ReadFile, counted: &[DoubtTotal]) -> Differences {
        let total = |standing: Standing, reason: Reason| {
            let own = counted.iter().filter(|it| it.source == file.source);
            let mut own = own.filter(|it| it.standing == standing && it.reason == reason.code());
            own.next().map_or(0, |it| it.count)
        };
        let mut differences = Vec::new();
        for standing in [Standing::Rejected, Standing::Quarantined] {
            for reason in Reason::ALL {
                let here = self.doubts.get(&(standing, reason)).copied().unwrap_or(0);
                let there = total(standing, reason);
                // Events are quarantined, too, for what other records say: that is told by no reader.
                let may_lack = self.missing || standing == Standing::Quarantined && here == 0;
                let agree =
                    here == there || may_lack && here < there || self.shares && here > there;
                if !agree {
                    differences.push(format!(
                        "{}: {} {} ({}) stand in its files, and the ledger counted {}",
                        Path::new(OsStr::from_bytes(&file.location)).display(),
                        thousands(here),
                        standing.as_str(),
                        reason.explain(),
                        thousands(there)
                    ));
                }
            }
        }
        differences
    }
}

/// Opens whatever stands at the paths or was left by rotation beside the locations. Also tells which of
/// the paths lead to something that cannot be read.
fn look_around(
    paths: BTreeSet<PathBuf>,
    locations: BTreeSet<Vec<u8>>,
) -> (Vec<Candidate>, BTreeSet<PathBuf>) {
    let mut all = paths.clone();
    for location in locations {
        let siblings = source::siblings(Path::new(OsStr::from_bytes(&location)), &|_| Some(()));
        all.extend(siblings.into_iter().map(|file| file.path));
    }
    let (mut candidates, mut unreadable) = (Vec::new(), BTreeSet::new());
    for path in all {
        match Candidate::look(&path) {
            Ok(candidate) => candidates.push(candidate),
            Err(Error::Missing { .. }) => {}
            Err(_) => drop(unreadable.insert(path)),
        }
    }
    (candidates, unreadable)
}

/// Where a file of the ledger is now.
enum Search<'a> {
    Found(&'a Candidate, OpenFile, Box<(Dialect, Recount)>),
    /// Something begins alike and goes on otherwise, or ends before.
    Changed,
    Nowhere,
}

fn find<'a>(file: &ReadFile, candidates: &'a [Candidate]) -> Result<Search<'a>, Error> {
    let alike = candidates.iter().filter(|it| it.begins(file.head_bytes, &file.head));
    let mut alike: Vec<&Candidate> = alike.collect();
    alike.sort_by_key(|it| it.path != file.path);
    for candidate in &alike {
        let open = candidate.open()?;
        let told = file.dialect.parse().unwrap_or(Dialect::ServerAudit);
        let Some(mut found) = recount(&open, told, file.bytes)? else { continue };
        let mark = &found.fingerprint;
        if mark.tail != *file.tail || mark.tail_len != file.tail_bytes {
            continue;
        }
        // A source's dialect is that of the file read last.
        let mut dialect = told;
        if found.totals.events != file.records
            && let Some(other) = formats::detect(&candidate.head).filter(|it| *it != told)
            && let Some(again) = recount(&open, other, file.bytes)?
            && again.totals.events == file.records
        {
            (dialect, found) = (other, again);
        }
        return Ok(Search::Found(candidate, open, Box::new((dialect, found))));
    }
    Ok(if alike.is_empty() { Search::Nowhere } else { Search::Changed })
}

fn sealed_file(
    file: &ReadFile,
    candidate: &Candidate,
    open: &OpenFile,
    dialect: Dialect,
    recount: &Recount,
) -> Result<SealedFile, Error> {
    let raw_bytes = open.facts().len;
    let head = candidate.head.get(..HEAD_BYTES.min(file.bytes) as usize);
    Ok(SealedFile {
        path: candidate.path.as_os_str().as_bytes().to_vec(),
        source: file.location.clone(),
        dialect: dialect.as_str().to_owned(),
        bytes: file.bytes,
        sha256: hex(&recount.sha256),
        head_sha256: hex(&Sha256::digest(head.unwrap_or(&candidate.head))),
        raw_bytes,
        raw_sha256: hex(&raw_hash(open, raw_bytes)?),
        totals: recount.totals,
        counted: file.records,
        from: file.from,
        to: file.to,
    })
}

fn missing_file(file: &ReadFile, reason: &str) -> MissingFile {
    MissingFile {
        path: file.path.as_os_str().as_bytes().to_vec(),
        source: file.location.clone(),
        dialect: file.dialect.clone(),
        bytes: file.bytes,
        counted: file.records,
        from: file.from,
        to: file.to,
        head_bytes: file.head_bytes.into(),
        head: hex(&file.head),
        tail_bytes: file.tail_bytes.into(),
        tail: hex(&file.tail),
        reason: reason.to_owned(),
    }
}

/// What became of a sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The sealed bytes are there, and are what they were said to be.
    Proven,
    /// A file is there that was it, and is no more.
    Differs,
    /// Nothing that was looked at can be it.
    Missing,
}

impl Verdict {
    /// The word used in every output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verdict::Proven => "proven",
            Verdict::Differs => "differs",
            Verdict::Missing => "missing",
        }
    }
}

/// What was found of a sealed file.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(crate) verdict: Verdict,
    /// Path of the sealed file, then.
    pub(crate) path: Vec<u8>,
    /// Where it, or what it has become, was found.
    pub(crate) found: Option<PathBuf>,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) totals: Totals,
    /// Whether the file is also stored as it was then: not compressed anew, nothing behind its end.
    pub(crate) same_raw: Option<bool>,
    /// What differs; empty where nothing does.
    pub(crate) reason: String,
}

/// Holds files against a seal: those that `paths` name, or, without any, those at and beside the sealed
/// paths. Also tells what could not be read.
pub(crate) fn verify(seal: &Seal, paths: &[PathBuf]) -> (Vec<Proof>, Vec<String>) {
    let mut failed = Vec::new();
    let path_of = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let candidates = if paths.is_empty() {
        let at = seal.files.iter().map(|file| path_of(&file.path)).collect();
        let (candidates, unreadable) =
            look_around(at, seal.files.iter().map(|file| file.source.clone()).collect());
        failed.extend(unreadable.iter().map(|it| format!("{} cannot be read", it.display())));
        candidates
    } else {
        let found = source::discover(paths, &|_| Some(()));
        failed.extend(found.failures.iter().map(|it| it.reason.to_string()));
        let files = found.sets.into_iter().flat_map(|set| set.files);
        let looks = files.map(|file| Candidate::look(&file.path));
        looks.filter_map(|it| it.map_err(|error| failed.push(error.to_string())).ok()).collect()
    };
    let mut claimed = vec![false; candidates.len()];
    let mut proofs: Vec<Proof> =
        seal.files.iter().map(|file| prove(file, &candidates, &mut claimed, &mut failed)).collect();
    find_by_length(&mut proofs, &candidates, &claimed);
    (proofs, failed)
}

/// A file of which the first bytes were changed is told by its length.
fn find_by_length(proofs: &mut [Proof], candidates: &[Candidate], claimed: &[bool]) {
    let missing = || proofs.iter().any(|proof| proof.verdict == Verdict::Missing);
    let others = candidates.iter().zip(claimed).filter(|(_, claimed)| missing() && !**claimed);
    let lengths: Vec<(&Candidate, u64)> = others
        .filter_map(|(it, _)| Some((it, it.open().and_then(|open| length(&open)).ok()?)))
        .collect();
    for proof in proofs.iter_mut().filter(|proof| proof.verdict == Verdict::Missing) {
        if let Some((candidate, _)) = lengths.iter().find(|(_, bytes)| *bytes == proof.bytes) {
            proof.verdict = Verdict::Differs;
            proof.found = Some(candidate.path.clone());
            proof.reason = "as long, and begins with other bytes".to_owned();
        }
    }
}

fn prove(
    file: &SealedFile,
    candidates: &[Candidate],
    claimed: &mut [bool],
    failed: &mut Vec<String>,
) -> Proof {
    let mut proof = Proof {
        verdict: Verdict::Missing,
        path: file.path.clone(),
        found: None,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        totals: file.totals,
        same_raw: None,
        reason: String::new(),
    };
    let head = HEAD_BYTES.min(file.bytes);
    let alike = (0..candidates.len()).filter(|&at| {
        candidates[at].head_hash(head).is_some_and(|hash| hex(&hash) == file.head_sha256)
    });
    let mut alike: Vec<usize> = alike.collect();
    alike.sort_by_key(|&at| candidates[at].path.as_os_str().as_bytes() != file.path);
    for at in alike {
        let candidate = &candidates[at];
        claimed[at] = true;
        let judged = match candidate.open().and_then(|open| judge(file, &open)) {
            Ok(judged) => judged,
            Err(error) => {
                failed.push(error.to_string());
                continue;
            }
        };
        let proven = judged.is_ok();
        if proven || proof.found.is_none() {
            proof.found = Some(candidate.path.clone());
            (proof.verdict, proof.same_raw, proof.reason) = match judged {
                Ok(same_raw) => (Verdict::Proven, Some(same_raw), String::new()),
                Err(reason) => (Verdict::Differs, None, reason),
            };
        }
        if proven {
            break;
        }
    }
    proof
}

/// Whether a file holds the sealed bytes, and then whether it is stored as it was; else what differs.
fn judge(file: &SealedFile, open: &OpenFile) -> Result<Result<bool, String>, Error> {
    let Ok(dialect) = file.dialect.parse() else {
        return Ok(Err(format!("its dialect {} is not known", file.dialect)));
    };
    let Some(found) = recount(open, dialect, file.bytes)? else {
        return Ok(Err(format!("ends before byte {}", thousands(file.bytes))));
    };
    if hex(&found.sha256) != file.sha256 {
        return Ok(Err("begins alike, and holds other bytes".to_owned()));
    }
    if found.totals != file.totals {
        return Ok(Err(
            "holds the same bytes, which are not the records that were sealed".to_owned()
        ));
    }
    let same_length = open.facts().len == file.raw_bytes;
    Ok(Ok(same_length && hex(&raw_hash(open, file.raw_bytes)?) == file.raw_sha256))
}

/// Reads the file of a seal.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let file = OpenFile::open(path)?;
    let bytes = file.facts().len.min(SEAL_BYTES_MAX);
    let mut text = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    let n = file.read_full_at(&mut text, 0)?;
    text.truncate(n);
    Ok(text)
}
