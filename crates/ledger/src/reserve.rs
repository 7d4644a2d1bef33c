//! Room for the journal that was set aside: deeds are noted there where the ledger's file system is full.
//!
//! ```text
//! LEDGER.reserve   written through once with zeros; records behind each other, zeros behind the last
//! record           length (4 bytes, little-endian), SHA-256 over the hash before (32 zeros before the first) and
//!                  what it holds, what it holds: fields, each behind its length
//! ```
//!
//! Records are written in place and forced to the disk, which takes no new space. The next opening that can commit
//! takes all of them into the ledger, in one transaction that notes the last hash, and then writes zeros over them.
//!
//! # Invariants
//! * Who writes here holds a lock on the file; who cannot have it writes nothing and takes nothing.
//! * A record that was cut by a crash is none: its hash does not fit.
//! * Records are taken once, whatever dies in between: the hash of the last one is noted with them.
//! * Deeds have numbers below 0 here, from -1 downwards; in the ledger they get the next ones.

use crate::chain::{DEED_END, add, head};
use crate::error::Error;
use crate::journal::{Deed, Intent, Outcome, begin, end_row, outcome, pack, unpack};
use crate::links::End;
use crate::plans::{self, NewPlan, Plan, PlanState};
use crate::quota_states;
use crate::rows::Name;
use crate::store::Ledger;
use rusqlite::{ErrorCode, OptionalExtension};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use verdict::account::AccountName;
use verdict::quota::{Held, Policy, UserState};

/// How much is set aside: a round that locks a thousand users fits in.
pub const RESERVE_BYTES: u64 = 4 << 20;

/// Length and hash in front of each record.
const HEAD: usize = 36;

/// One thing that is noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Plan(String, NewPlan),
    PlanState(String, PlanState),
    Begin(i64, Box<Intent>),
    End(i64, End),
    State(Name, Name, UserState),
}

/// The file, locked for us.
#[derive(Debug)]
pub(crate) struct Reserve {
    file: File,
    path: PathBuf,
    pub(crate) records: Vec<Record>,
    /// Where the next record goes.
    end: u64,
    hash: [u8; 32],
    /// We hold the lock, and may write.
    is_ours: bool,
}

impl Reserve {
    /// Opens it. `makes`: it is made and written through where it is missing or short. `None`: there is none, or
    /// somebody else has it.
    fn open(ledger: &Path, makes: bool) -> io::Result<Option<Reserve>> {
        let mut path = ledger.as_os_str().to_owned();
        path.push(".reserve");
        let path = PathBuf::from(path);
        let mut options = File::options();
        options.read(true).write(true).create(makes).truncate(false).mode(0o640);
        let file = match options.custom_flags(libc::O_NOFOLLOW).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        let bytes = file.metadata()?.len();
        if makes && bytes < RESERVE_BYTES {
            // Zeros, not a hole: what is overwritten later must be there.
            let zeros = vec![0; usize::try_from(RESERVE_BYTES - bytes).unwrap_or(0)];
            file.write_all_at(&zeros, bytes)?;
            file.sync_all()?;
        }
        let (records, hash) = (Vec::new(), [0; 32]);
        let mut reserve = Reserve { file, path, records, end: 0, hash, is_ours: true };
        reserve.read()?;
        Ok(Some(reserve))
    }

    fn read(&mut self) -> io::Result<()> {
        let bytes = self.file.metadata()?.len().min(RESERVE_BYTES);
        let mut all = vec![0; usize::try_from(bytes).unwrap_or(0)];
        self.file.read_exact_at(&mut all, 0)?;
        let mut rest = &all[..];
        while let Some((record, hash, behind)) = next(rest, self.hash) {
            self.end += (rest.len() - behind.len()) as u64;
            (self.hash, rest) = (hash, behind);
            self.records.push(record);
        }
        Ok(())
    }

    /// From now on it is shown, and another may write to it.
    fn let_go(&mut self) {
        self.is_ours = false;
        let _ = self.file.unlock();
    }

    /// Notes a record. What this returns is on the disk.
    fn add(&mut self, record: Record) -> Result<(), Error> {
        if !self.is_ours {
            return Err(Error::Full { path: self.path.clone() });
        }
        let failed = |path: &Path, error| Error::File {
            path: path.to_path_buf(),
            doing: "writing to what is set aside for the journal",
            error,
        };
        let held = pack(&encode(&record));
        let hash = chained(self.hash, &held);
        let length = u32::try_from(held.len()).unwrap_or(u32::MAX);
        let text = [&length.to_le_bytes()[..], &hash, &held].concat();
        if self.end + text.len() as u64 > RESERVE_BYTES {
            return Err(Error::Full { path: self.path.clone() });
        }
        let written = self.file.write_all_at(&text, self.end).and_then(|()| self.file.sync_data());
        written.map_err(|error| failed(&self.path, error))?;
        self.end += text.len() as u64;
        (self.hash, _) = (hash, self.records.push(record));
        Ok(())
    }

    /// All of it was taken.
    fn clear(&mut self) -> io::Result<()> {
        let zeros = vec![0; usize::try_from(self.end).unwrap_or(0)];
        self.file.write_all_at(&zeros, 0)?;
        self.file.sync_data()?;
        (self.end, self.hash) = (0, [0; 32]);
        self.records.clear();
        Ok(())
    }

    /// The number of the next deed.
    fn next_deed(&self) -> i64 {
        let begun = self.records.iter().filter(|it| matches!(it, Record::Begin(..))).count();
        -1 - i64::try_from(begun).unwrap_or(i64::MAX - 1)
    }

    /// The deeds in it, the oldest first.
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        let mut deeds: Vec<Deed> = Vec::new();
        for record in &self.records {
            match record {
                Record::Begin(id, intent) => deeds.push(Deed {
                    id: *id,
                    intent: (**intent).clone(),
                    outcome: Outcome::Begun,
                    ended_us: None,
                    error_code: None,
                    detail: String::new(),
                }),
                Record::End(id, end) => {
                    if let Some(deed) = deeds.iter_mut().find(|it| it.id == *id) {
                        (deed.outcome, deed.ended_us) = (end.outcome, Some(end.ended_us));
                        (deed.error_code, deed.detail) = (end.error_code, end.detail.clone());
                    }
                }
                _ => {}
            }
        }
        deeds
    }

    /// The plan of this id.
    pub(crate) fn plan(&self, id: &str) -> Option<Plan> {
        let mut found = None;
        for record in &self.records {
            match record {
                Record::Plan(own, plan) if own == id => {
                    let plan = plan.clone();
                    found = Some(Plan { id: id.to_owned(), plan, state: PlanState::Open });
                }
                Record::PlanState(own, state) if own == id => {
                    if let Some(plan) = &mut found {
                        plan.state = *state;
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// How this plan stands since, whether it is here or in the ledger.
    pub(crate) fn plan_state(&self, id: &str) -> Option<PlanState> {
        self.records.iter().rev().find_map(|it| match it {
            Record::PlanState(own, state) if own == id => Some(*state),
            _ => None,
        })
    }

    /// What is kept of users of this server.
    pub(crate) fn states(&self, server: &[u8]) -> BTreeMap<Name, UserState> {
        let of_it = |it: &Record| match it {
            Record::State(own, user, state) if own == server => Some((user.clone(), state.clone())),
            _ => None,
        };
        self.records.iter().filter_map(of_it).collect()
    }
}

impl Ledger {
    /// As [`Ledger::create`], with room for the journal set aside beside it (`LEDGER.reserve`). Where the file system
    /// is full the ledger may only be read then, and deeds are noted in that room.
    ///
    /// # Errors
    /// As [`Ledger::create`]; where the room cannot be made.
    pub fn with_reserve(path: &Path) -> Result<Ledger, Error> {
        let mut ledger = match Ledger::create(path) {
            Ok(ledger) => ledger,
            Err(error) if lacks_room(&error) => match Ledger::look_at(path) {
                Some(looked) => looked?,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        };
        // What another run has left is shown from there; here it is written to.
        ledger.reserve = None;
        let doing = "setting room aside for the journal";
        let reserve = Reserve::open(path, true);
        ledger.reserve =
            reserve.map_err(|error| Error::File { path: path.to_path_buf(), doing, error })?;
        ledger.take_reserve()?;
        Ok(ledger)
    }

    /// Whether something stands beside the ledger that it has no room for.
    pub fn is_short_of_room(&self) -> bool {
        self.reserve.as_ref().is_some_and(|it| !it.records.is_empty())
    }

    /// Takes what was noted beside the ledger into it, if there is room by now.
    ///
    /// # Errors
    /// Where SQLite fails for another reason.
    pub fn take_reserve(&mut self) -> Result<(), Error> {
        let Some(mut reserve) = self.reserve.take_if(|it| it.is_ours) else { return Ok(()) };
        let done = match reserve.records.is_empty() {
            true => Ok(()),
            false => self.take_in(&mut reserve),
        };
        self.reserve = Some(reserve);
        match done {
            Err(error) if lacks_room(&error) || self.still.is_some() => Ok(()),
            done => done,
        }
    }

    /// As [`Ledger::take_reserve`], of what another run has left; where nobody else has it.
    pub(crate) fn take_left(&mut self) {
        if let Ok(Some(reserve)) = Reserve::open(&self.path, false)
            && !reserve.records.is_empty()
        {
            self.reserve = Some(reserve);
            // What cannot be taken stays, and is shown from there.
            let _ = self.take_reserve();
            match self.is_short_of_room() {
                true => self.reserve.iter_mut().for_each(Reserve::let_go),
                false => self.reserve = None,
            }
        }
    }

    fn take_in(&mut self, reserve: &mut Reserve) -> Result<(), Error> {
        let last: String = reserve.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        self.briefly(|ledger| take(&ledger.db, &reserve.records, &last).map_err(ledger.failed()))?;
        reserve.clear().map_err(|error| Error::File {
            path: reserve.path.clone(),
            doing: "clearing what was set aside for the journal",
            error,
        })
    }

    /// Notes a record beside the ledger, where that is the place: something is there already, or there is no room in
    /// the ledger. `error` is what its own commit ended with.
    fn reserved(&mut self, error: Error, record: Record) -> Result<(), Error> {
        let is_still = self.still.is_some();
        match &mut self.reserve {
            Some(reserve) if is_still || lacks_room(&error) => reserve.add(record),
            _ => Err(error),
        }
    }

    /// Writes to the ledger, or notes what is written beside it.
    pub(crate) fn or_reserve<T>(
        &mut self,
        write: impl FnOnce(&mut Ledger) -> Result<T, Error>,
        instead: impl FnOnce(&Ledger) -> (T, Record),
    ) -> Result<T, Error> {
        let written =
            match self.is_short_of_room() || (self.still.is_some() && self.reserve.is_some()) {
                true => Err(Error::Full { path: self.path.clone() }),
                false => write(self),
            };
        match written {
            Ok(done) => Ok(done),
            Err(error) => {
                let (done, record) = instead(self);
                self.reserved(error, record)?;
                Ok(done)
            }
        }
    }

    /// The number that the next deed beside the ledger has.
    pub(crate) fn next_reserved(&self) -> i64 {
        self.reserve.as_ref().map_or(-1, Reserve::next_deed)
    }
}

/// Whether the file system has no room, as SQLite tells it: also where it cannot make a file beside the ledger.
fn lacks_room(error: &Error) -> bool {
    match error {
        Error::Full { .. } => true,
        Error::Sqlite { error, .. } => {
            error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
        }
        Error::File { error, .. } => {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::PermissionDenied)
        }
        _ => false,
    }
}

/// Takes records into the ledger, unless an earlier try has.
fn take(db: &rusqlite::Connection, records: &[Record], last: &str) -> rusqlite::Result<()> {
    let taken: Option<String> = db
        .query_row("SELECT value FROM meta WHERE key = 'reserve_taken'", [], |row| row.get(0))
        .optional()?;
    if taken.as_deref() == Some(last) {
        return Ok(());
    }
    let mut numbers = BTreeMap::new();
    let number = |numbers: &BTreeMap<i64, i64>, id: i64| numbers.get(&id).copied().unwrap_or(id);
    for record in records {
        match record {
            Record::Plan(id, plan) => drop(plans::add(db, plan, Some(id))?),
            Record::PlanState(id, state) => {
                plans::change_state(db, id, &PlanState::ALL, *state)?;
            }
            Record::Begin(id, intent) => {
                let mut intent = (**intent).clone();
                intent.undo_of = intent.undo_of.map(|id| number(&numbers, id));
                numbers.insert(*id, begin(db, &intent)?);
            }
            Record::End(id, end) => {
                let (link, before) = head(db)?;
                let row = end_row(link + 1, number(&numbers, *id), end);
                add(db, DEED_END, row, before, link + 1)?;
            }
            Record::State(server, user, state) => quota_states::put(db, server, user, state)?,
        }
    }
    db.execute("INSERT OR REPLACE INTO meta VALUES ('reserve_taken', ?1)", [last])?;
    Ok(())
}

fn chained(before: [u8; 32], held: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(held);
    hash.finalize().into()
}

/// The record at the beginning, its hash, and what stands behind it.
fn next(bytes: &[u8], before: [u8; 32]) -> Option<(Record, [u8; 32], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?);
    let (held, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let hash = chained(before, held);
    if length == 0 || hash != head[4..] {
        return None;
    }
    Some((decode(unpack(held)?)?, hash, rest))
}

fn number(number: i64) -> Vec<u8> {
    number.to_le_bytes().to_vec()
}

fn optional(field: Option<Vec<u8>>) -> Vec<u8> {
    field.map_or_else(Vec::new, |field| [&b"="[..], &field].concat())
}

fn encode(record: &Record) -> Vec<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    match record {
        Record::Plan(id, plan) => vec![
            text("plan"),
            text(id),
            plan.hash.to_vec(),
            text(&plan.kind),
            text(&plan.author),
            number(plan.made_us),
            number(plan.expires_us),
            text(&plan.text),
        ],
        Record::PlanState(id, state) => vec![text("stands"), text(id), text(state.as_str())],
        Record::Begin(id, it) => vec![
            text("deed"),
            number(*id),
            optional(it.plan.as_deref().map(text)),
            optional(it.undo_of.map(number)),
            number(it.step.into()),
            it.server.clone(),
            it.account.user.clone(),
            it.account.host.clone(),
            text(&it.kind),
            it.sql.clone(),
            pack(&it.undo),
            text(&it.before),
            text(&it.os_user),
            text(&it.host),
            optional(it.ticket.as_deref().map(text)),
            number(it.begun_us),
        ],
        Record::End(id, end) => vec![
            text("end"),
            number(*id),
            number(end.ended_us),
            text(end.outcome.as_str()),
            optional(end.error_code.map(|code| number(code.into()))),
            text(&end.detail),
        ],
        Record::State(server, user, state) => {
            let held = state.held.as_ref();
            vec![
                text("state"),
                server.clone(),
                user.clone(),
                number(state.warned.into()),
                optional(state.warned_us.map(number)),
                number(state.exceeds.into()),
                optional(held.map(|it| text(it.policy.as_str()))),
                text(held.map_or("", |it| &it.plan)),
                number(held.map_or(0, |it| it.since_us)),
                number(held.map_or(0, |it| it.closed.into())),
                text(&state.told),
            ]
        }
    }
}

/// Fields in their order.
struct Fields(std::vec::IntoIter<Vec<u8>>);

impl Fields {
    fn bytes(&mut self) -> Option<Vec<u8>> {
        self.0.next()
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.0.next()?).ok()
    }

    fn number(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.0.next()?.try_into().ok()?))
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// `Some(None)`: it is absent.
    fn optional(&mut self) -> Option<Option<Vec<u8>>> {
        let field = self.0.next()?;
        Some(field.strip_prefix(b"=").map(<[u8]>::to_vec))
    }

    fn optional_number(&mut self) -> Option<Option<i64>> {
        let field = self.optional()?;
        field.map_or(Some(None), |it| Some(Some(i64::from_le_bytes(it.try_into().ok()?))))
    }

    fn optional_text(&mut self) -> Option<Option<String>> {
        let field = self.optional()?;
        field.map_or(Some(None), |it| Some(String::from_utf8(it).ok()))
    }
}

fn decode(fields: Vec<Vec<u8>>) -> Option<Record> {
    let mut it = Fields(fields.into_iter());
    Some(match it.text()?.as_str() {
        "plan" => Record::Plan(
            it.text()?,
            NewPlan {
                hash: it.bytes()?.try_into().ok()?,
                kind: it.text()?,
                author: it.text()?,
                made_us: it.number()?,
                expires_us: it.number()?,
                text: it.text()?,
            },
        ),
        "stands" => {
            let (id, state) = (it.text()?, it.text()?);
            let state = PlanState::ALL.into_iter().find(|it| it.as_str() == state)?;
            Record::PlanState(id, state)
        }
        "deed" => {
            let id = it.number()?;
            let intent = Intent {
                plan: it.optional_text()?,
                undo_of: it.optional_number()?,
                step: it.small()?,
                server: it.bytes()?,
                account: AccountName::new(it.bytes()?, it.bytes()?),
                kind: it.text()?,
                sql: it.bytes()?,
                undo: unpack(&it.bytes()?)?,
                before: it.text()?,
                os_user: it.text()?,
                host: it.text()?,
                ticket: it.optional_text()?,
                begun_us: it.number()?,
            };
            Record::Begin(id, Box::new(intent))
        }
        "end" => Record::End(
            it.number()?,
            End {
                ended_us: it.number()?,
                outcome: outcome(&it.text()?).ok()?,
                error_code: match it.optional_number()? {
                    Some(code) => Some(u32::try_from(code).ok()?),
                    None => None,
                },
                detail: it.text()?,
            },
        ),
        "state" => {
            let (server, user) = (it.bytes()?, it.bytes()?);
            let (warned, warned_us, exceeds) = (it.small()?, it.optional_number()?, it.small()?);
            let policy = it.optional_text()?;
            let (plan, since_us, closed) = (it.text()?, it.number()?, it.small()?);
            let held = match policy {
                Some(word) => Some(Held { policy: Policy::parse(&word)?, plan, since_us, closed }),
                None => None,
            };
            let state = UserState { warned, warned_us, exceeds, held, told: it.text()? };
            Record::State(server, user, state)
        }
        _ => return None,
    })
}

/// The id of a plan beside the ledger: a few digits of its hash, and when it was made.
pub(crate) fn plan_id(plan: &NewPlan) -> String {
    let [one, two, ..] = plan.hash;
    format!("{one:02x}{two:02x}-r{}", plan.made_us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::DeedFilter;
    use std::fs;

    fn plan() -> NewPlan {
        let text = "{}".to_owned();
        NewPlan {
            hash: Sha256::digest(&text).into(),
            kind: "lock".to_owned(),
            author: "root@db1".to_owned(),
            made_us: -7,
            expires_us: i64::MAX,
            text,
        }
    }

    fn intent(plan: &str) -> Intent {
        Intent {
            plan: Some(plan.to_owned()),
            undo_of: None,
            step: 1,
            server: b"db\xff".to_vec(),
            account: AccountName::new("o'neil", "%"),
            kind: "lock".to_owned(),
            sql: b"LOCK".to_vec(),
            undo: vec![b"UNLOCK".to_vec()],
            before: "{}".to_owned(),
            os_user: "root".to_owned(),
            host: "db1".to_owned(),
            ticket: None,
            begun_us: 5,
        }
    }

    /// One of each kind.
    fn records() -> Vec<Record> {
        let (plan, id) = (plan(), plan_id(&plan()));
        let held = Held { policy: Policy::Lock, plan: id.clone(), since_us: 5, closed: 2 };
        let state = UserState { warned: 98, exceeds: 3, held: Some(held), ..UserState::default() };
        let (outcome, detail) = (Outcome::Done, "as asked".to_owned());
        let end = End { ended_us: 9, outcome, error_code: Some(1396), detail };
        vec![
            Record::Plan(id.clone(), plan),
            Record::State(b"db\xff".to_vec(), b"act".to_vec(), state),
            Record::Begin(-1, Box::new(intent(&id))),
            Record::End(-1, end),
            Record::PlanState(id, PlanState::Applied),
        ]
    }

    fn written(ledger: &Path) -> Vec<u8> {
        let mut reserve = Reserve::open(ledger, true).unwrap().unwrap();
        records().into_iter().for_each(|record| reserve.add(record).unwrap());
        drop(reserve);
        fs::read(ledger.with_extension("sqlite.reserve")).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_a_record_cut_anywhere_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.sqlite");
        let bytes = written(&path);
        assert_eq!(bytes.len() as u64, RESERVE_BYTES);
        let reserve = Reserve::open(&path, false).unwrap().unwrap();
        assert_eq!(reserve.records, records());
        // It is one process's.
        assert!(Reserve::open(&path, true).unwrap().is_none());
        let end = usize::try_from(reserve.end).unwrap();
        drop(reserve);
        for cut in (0..end).step_by(7) {
            let mut torn = bytes.clone();
            torn[cut..].fill(0);
            fs::write(path.with_extension("sqlite.reserve"), torn).unwrap();
            let read = Reserve::open(&path, false).unwrap().unwrap().records;
            assert!(read.len() < records().len() && records().starts_with(&read), "{cut}");
        }
    }

    #[test]
    fn records_are_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.sqlite");
        drop(Ledger::create(&path).unwrap());
        let bytes = written(&path);
        let look = |ledger: &Ledger| {
            let deeds = ledger.deeds(&DeedFilter::default()).unwrap();
            assert_eq!(deeds.len(), 1);
            assert_eq!((deeds[0].id, deeds[0].outcome), (1, Outcome::Done));
            assert_eq!(deeds[0].intent, intent(&plan_id(&plan())));
            assert_eq!(ledger.plan(&plan_id(&plan())).unwrap().unwrap().state, PlanState::Applied);
            assert_eq!(ledger.quota_states(b"db\xff").unwrap().len(), 1);
            assert_eq!(ledger.verify_journal().unwrap(), None);
        };
        look(&Ledger::open(&path).unwrap());
        let file = path.with_extension("sqlite.reserve");
        assert!(fs::read(&file).unwrap().iter().all(|byte| *byte == 0));
        // Killed before the zeros were written.
        fs::write(&file, bytes).unwrap();
        look(&Ledger::with_reserve(&path).unwrap());
        assert!(fs::read(&file).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn beside_the_ledger_it_is_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.sqlite");
        drop(Ledger::create(&path).unwrap());
        let mut ledger = Ledger::with_reserve(&path).unwrap();
        // As if nothing could be written.
        ledger.db.pragma_update(None, "query_only", true).unwrap();
        let id = ledger.store_plan(&plan()).unwrap();
        let deed = ledger.begin_deed(&intent(&id)).unwrap();
        assert_eq!(deed, -1);
        ledger.end_deed(deed, 9, Outcome::Done, None, "").unwrap();
        assert!(ledger.set_plan_state(&id, &[PlanState::Open], PlanState::Applied).unwrap());
        assert!(!ledger.set_plan_state(&id, &[PlanState::Open], PlanState::Refused).unwrap());
        assert!(ledger.is_short_of_room());
        assert_eq!(ledger.plan(&id).unwrap().unwrap().state, PlanState::Applied);
        assert_eq!(ledger.deed(-1).unwrap().unwrap().outcome, Outcome::Done);
        ledger.db.pragma_update(None, "query_only", false).unwrap();
        ledger.take_reserve().unwrap();
        assert!(!ledger.is_short_of_room());
        assert_eq!(ledger.deed(1).unwrap().unwrap().outcome, Outcome::Done);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::open(&folder.path().join("l"), true).unwrap().unwrap();
        let mut large = intent("7f3a-1");
        // All but the length, of the largest that fits, is what an empty one takes.
        large.sql = Vec::new();
        let bytes = HEAD + pack(&encode(&Record::Begin(-1, Box::new(large.clone())))).len();
        large.sql = vec![b'x'; usize::try_from(RESERVE_BYTES).unwrap() - bytes + 1];
        let add = |reserve: &mut Reserve, large: &Intent| {
            reserve.add(Record::Begin(-1, Box::new(large.clone())))
        };
        assert!(matches!(add(&mut reserve, &large), Err(Error::Full { .. })));
        large.sql.pop();
        add(&mut reserve, &large).unwrap();
        assert!(matches!(add(&mut reserve, &intent("")), Err(Error::Full { .. })));
    }
}
