//! The journal in a seal: every link of its chain and the plans that were sent, and what a ledger makes of
//! them years later.
//!
//! # Invariants
//! * The chain is computed anew from what stands in the seal, from the first link on.
//! * No secret gets in. The journal refers to what makes a dropped account anew by a hash; a statement that is
//!   none of those that rollcall sends, and may hold a secret, is left out for its own hash (`withheld`).
//! * What was noted since the seal was made is no difference.

use std::collections::{BTreeMap, HashMap};

use ledger::{End, Intent, Journal, Link, Noted, Outcome, Plan, PlanState};
use sha2::{Digest as _, Sha256};
use verdict::account::AccountName;
use verdict::plan::DeedKind;
use verdict::secrets::shown_bytes;

use super::Verdict;
use super::fields::{Fields, unhex};
use super::form::{BadSeal, line};
use crate::render::{Value, hex};

const PLAN_FIELDS: [&str; 8] =
    ["plan", "sha256", "kind", "author", "made", "expires", "state", "text"];
const DEED_FIELDS: [&str; 17] = [
    "deed", "link", "plan", "undo_of", "step", "server", "user", "host", "kind", "sql", "withheld",
    "before", "os_user", "machine", "ticket", "begun", "hash",
];
const UNDO_FIELDS: [&str; 1] = ["undo"];
const ENDED_FIELDS: [&str; 7] = ["ended", "link", "at", "outcome", "error_code", "detail", "hash"];
const SUM_FIELDS: [&str; 4] = ["deeds", "links", "plans", "head"];

/// A plan of which something was sent, as it stood.
pub(crate) type SealedPlan = Plan;

/// A link of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedLink {
    /// Without statements where `withheld`.
    pub(crate) link: Link,
    /// SHA-256 of the statement and those that undo it, each behind its length in 8 bytes, little-endian.
    pub(crate) withheld: Option<[u8; 32]>,
}

impl SealedLink {
    /// As it goes into a seal.
    pub(super) fn new(link: &Link) -> SealedLink {
        let mut link = link.clone();
        let mut withheld = None;
        if let Noted::Begun(intent) = &mut link.noted
            && may_hold_secret(intent)
        {
            withheld = Some(hash_of_statements(intent));
            (intent.sql, intent.undo) = (Vec::new(), Vec::new());
        }
        SealedLink { link, withheld }
    }

    /// Adds a statement that undoes it; `None` where none can stand here.
    pub(super) fn add_undo(&mut self, sql: Vec<u8>) -> Option<()> {
        match &mut self.link.noted {
            Noted::Begun(intent) if self.withheld.is_none() => intent.undo.push(sql),
            _ => return None,
        }
        Some(())
    }

    /// Whether a ledger's link is this one.
    fn is(&self, other: &Link) -> bool {
        *self == SealedLink::new(other)
    }

    /// What it tells, whatever its place.
    fn content(&self) -> ([u8; 32], Option<[u8; 32]>) {
        (Link { number: 0, ..self.link.clone() }.hash_behind([0; 32]), self.withheld)
    }
}

fn hash_of_statements(intent: &Intent) -> [u8; 32] {
    let mut hash = Sha256::new();
    for sql in std::iter::once(&intent.sql).chain(&intent.undo) {
        hash.update((sql.len() as u64).to_le_bytes());
        hash.update(sql);
    }
    hash.finalize().into()
}

/// Whether a statement is none that rollcall makes, and announces a secret.
fn may_hold_secret(intent: &Intent) -> bool {
    let own = |sql: &[u8]| {
        use DeedKind::{Drop, Grant, Lock, Revoke, Unlock};
        let kinds = [Lock, Unlock, Drop, Revoke, Grant];
        kinds.iter().any(|kind| kind.is_statement(&intent.account, sql))
    };
    std::iter::once(&intent.sql)
        .chain(&intent.undo)
        .any(|sql| !own(sql) && shown_bytes(sql) < sql.len())
}

/// How many deeds are in these links.
pub(super) fn count(links: &[SealedLink]) -> usize {
    links.iter().filter(|it| matches!(it.link.noted, Noted::Begun(_))).count()
}

/// The lines of plans and links, and the line of their sums.
pub(super) fn text(plans: &[SealedPlan], links: &[SealedLink]) -> String {
    let mut text: String = plans.iter().map(plan_line).collect();
    text.extend(links.iter().map(link_lines));
    let sums = [count(links), links.len(), plans.len()].map(|count| Value::Number(count as u64));
    let head = links.last().map_or(Value::Absent, |it| Value::word(hex(&it.link.hash)));
    text + &line(&SUM_FIELDS, sums.into_iter().chain([head]).collect())
}

fn plan_line(plan: &SealedPlan) -> String {
    line(
        &PLAN_FIELDS,
        vec![
            Value::word(plan.id.as_str()),
            Value::word(hex(&plan.plan.hash)),
            Value::word(plan.plan.kind.as_str()),
            Value::word(plan.plan.author.as_str()),
            Value::Time(plan.plan.made_us),
            Value::Time(plan.plan.expires_us),
            Value::word(plan.state.as_str()),
            Value::word(plan.plan.text.as_str()),
        ],
    )
}

fn link_lines(sealed: &SealedLink) -> String {
    let link = &sealed.link;
    let number = |number: i64| Value::Number(number.unsigned_abs());
    let word = |text: &Option<String>| text.as_deref().map_or(Value::Absent, Value::word);
    match &link.noted {
        Noted::Begun(intent) => {
            let values = vec![
                number(link.deed),
                number(link.number),
                word(&intent.plan),
                intent.undo_of.map_or(Value::Absent, number),
                Value::Number(intent.step.into()),
                Value::Name(intent.server.clone()),
                Value::Name(intent.account.user.clone()),
                Value::Name(intent.account.host.clone()),
                Value::word(intent.kind.as_str()),
                Value::name(Some(intent.sql.as_slice()).filter(|_| sealed.withheld.is_none())),
                sealed.withheld.map_or(Value::Absent, |hash| Value::word(hex(&hash))),
                Value::word(intent.before.as_str()),
                Value::word(intent.os_user.as_str()),
                Value::word(intent.host.as_str()),
                word(&intent.ticket),
                Value::Time(intent.begun_us),
                Value::word(hex(&link.hash)),
            ];
            let undo =
                intent.undo.iter().map(|sql| line(&UNDO_FIELDS, vec![Value::Name(sql.clone())]));
            line(&DEED_FIELDS, values) + &undo.collect::<String>()
        }
        Noted::Ended(end) => line(
            &ENDED_FIELDS,
            vec![
                number(link.deed),
                number(link.number),
                Value::Time(end.ended_us),
                Value::word(end.outcome.as_str()),
                Value::number(end.error_code),
                Value::word(end.detail.as_str()),
                Value::word(hex(&link.hash)),
            ],
        ),
    }
}

impl Fields {
    fn hash(&self, field: &str) -> Result<[u8; 32], BadSeal> {
        let hash = unhex(&self.text(field)?).and_then(|bytes| bytes.try_into().ok());
        hash.ok_or_else(|| self.bad())
    }

    fn id(&self, field: &str) -> Result<i64, BadSeal> {
        i64::try_from(self.number(field)?).map_err(|_| self.bad())
    }

    fn moment(&self, field: &str) -> Result<i64, BadSeal> {
        self.time(field)?.ok_or_else(|| self.bad())
    }

    /// A number that may be absent.
    fn some_id(&self, field: &str) -> Result<Option<i64>, BadSeal> {
        if self.is_null(field) { Ok(None) } else { self.id(field).map(Some) }
    }

    fn narrow(&self, field: &str) -> Result<u32, BadSeal> {
        u32::try_from(self.number(field)?).map_err(|_| self.bad())
    }

    pub(super) fn plan(&self) -> Result<SealedPlan, BadSeal> {
        let state = self.text("state")?;
        let state = PlanState::ALL.into_iter().find(|it| it.as_str() == state);
        Ok(Plan {
            id: self.text("plan")?,
            plan: ledger::NewPlan {
                hash: self.hash("sha256")?,
                kind: self.text("kind")?,
                author: self.text("author")?,
                made_us: self.moment("made")?,
                expires_us: self.moment("expires")?,
                text: self.text("text")?,
            },
            state: state.ok_or_else(|| self.bad())?,
        })
    }

    pub(super) fn deed(&self) -> Result<SealedLink, BadSeal> {
        let withheld = if self.is_null("withheld") { None } else { Some(self.hash("withheld")?) };
        let sql = if withheld.is_some() { Vec::new() } else { self.name("sql")? };
        let intent = Intent {
            plan: self.optional("plan")?,
            undo_of: self.some_id("undo_of")?,
            step: self.narrow("step")?,
            server: self.name("server")?,
            account: AccountName::new(self.name("user")?, self.name("host")?),
            kind: self.text("kind")?,
            sql,
            undo: Vec::new(),
            before: self.text("before")?,
            os_user: self.text("os_user")?,
            host: self.text("machine")?,
            ticket: self.optional("ticket")?,
            begun_us: self.moment("begun")?,
        };
        let noted = Noted::Begun(Box::new(intent));
        let (number, deed) = (self.id("link")?, self.id("deed")?);
        Ok(SealedLink { link: Link { number, deed, noted, hash: self.hash("hash")? }, withheld })
    }

    pub(super) fn ended(&self) -> Result<SealedLink, BadSeal> {
        let outcome = self.text("outcome")?;
        let known = [Outcome::Done, Outcome::Failed, Outcome::Unknown];
        let outcome = known.into_iter().find(|it| it.as_str() == outcome);
        let code = if self.is_null("error_code") { None } else { Some(self.narrow("error_code")?) };
        let noted = Noted::Ended(End {
            ended_us: self.moment("at")?,
            outcome: outcome.ok_or_else(|| self.bad())?,
            error_code: code,
            detail: self.text("detail")?,
        });
        let (number, deed) = (self.id("link")?, self.id("ended")?);
        let link = Link { number, deed, noted, hash: self.hash("hash")? };
        Ok(SealedLink { link, withheld: None })
    }
}

/// Computes all hashes anew. That of a link whose statements are withheld stands for itself.
pub(super) fn check(plans: &[SealedPlan], links: &[SealedLink]) -> Result<(), BadSeal> {
    for plan in plans {
        if Sha256::digest(&plan.plan.text)[..] != plan.plan.hash {
            return Err(BadSeal::Plan(plan.id.clone()));
        }
    }
    let mut before = [0; 32];
    for (sealed, number) in links.iter().zip(1..) {
        let link = &sealed.link;
        let follows = sealed.withheld.is_some() || link.hash_behind(before) == link.hash;
        if link.number != number || !follows {
            return Err(BadSeal::Deed(link.deed));
        }
        before = link.hash;
    }
    Ok(())
}

/// What is proven of a sealed deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeedProof {
    pub(crate) deed: i64,
    pub(crate) verdict: Verdict,
    /// Whether the ledger has it as it was sealed; `None`: no ledger was looked at.
    pub(crate) in_ledger: Option<bool>,
    pub(crate) intent: Intent,
    /// What was known of its end.
    pub(crate) outcome: Outcome,
    /// What differs, or limits the proof; empty where nothing does.
    pub(crate) reason: String,
}

/// What a seal says was done, held against the journal of a ledger where there is one. Also tells how many
/// links were added to that since.
pub(crate) fn verify(
    plans: &[SealedPlan],
    links: &[SealedLink],
    journal: Option<&Journal>,
) -> (Vec<DeedProof>, usize) {
    let mut proofs: BTreeMap<i64, DeedProof> = BTreeMap::new();
    let known = journal.map(Known::new);
    let changed_plans = journal.map(|journal| changed_plans(plans, journal)).unwrap_or_default();
    for sealed in links {
        let link = &sealed.link;
        let proof = match &link.noted {
            Noted::Begun(intent) => proofs.entry(link.deed).or_insert_with(|| DeedProof {
                deed: link.deed,
                verdict: Verdict::Proven,
                in_ledger: journal.map(|_| true),
                intent: (**intent).clone(),
                outcome: Outcome::Begun,
                reason: String::new(),
            }),
            Noted::Ended(end) => {
                let Some(proof) = proofs.get_mut(&link.deed) else { continue };
                proof.outcome = end.outcome;
                proof
            }
        };
        if sealed.withheld.is_some() && proof.reason.is_empty() {
            proof.reason =
                "its statement may hold a secret and is not in the seal: its hash is".to_owned();
        }
        let plan = proof.intent.plan.as_ref().and_then(|plan| changed_plans.get(plan));
        let differs = known.as_ref().and_then(|known| known.difference(sealed, links.len()));
        if let Some(reason) = differs.or_else(|| plan.cloned())
            && proof.verdict == Verdict::Proven
        {
            (proof.verdict, proof.in_ledger, proof.reason) =
                (Verdict::Differs, Some(false), reason);
        }
    }
    let added = journal.map_or(0, |journal| journal.links.len().saturating_sub(links.len()));
    (proofs.into_values().collect(), added)
}

/// The links of a ledger, by their places and by what they tell.
struct Known<'a> {
    by_number: HashMap<i64, &'a Link>,
    by_content: HashMap<([u8; 32], Option<[u8; 32]>), i64>,
    last: i64,
}

impl<'a> Known<'a> {
    fn new(journal: &'a Journal) -> Known<'a> {
        let links = &journal.links;
        Known {
            by_number: links.iter().map(|link| (link.number, link)).collect(),
            by_content: links
                .iter()
                .map(|link| (SealedLink::new(link).content(), link.number))
                .collect(),
            last: links.iter().map(|link| link.number).max().unwrap_or(0),
        }
    }

    /// What became of a sealed link, one of `count`, in words; `None`: it is there as it was.
    fn difference(&self, sealed: &SealedLink, count: usize) -> Option<String> {
        let number = sealed.link.number;
        let there = self.by_number.get(&number);
        if there.is_some_and(|link| sealed.is(link)) {
            return None;
        }
        let what = match sealed.link.noted {
            Noted::Begun(_) => "it",
            Noted::Ended(_) => "its end",
        };
        Some(match (self.by_content.get(&sealed.content()), there) {
            (Some(&place), _) if place == number => {
                format!("{what} stands in the ledger behind others than it did (link {number})")
            }
            (Some(place), _) => format!(
                "{what} stands at another place in the ledger: link {number} is now {place}"
            ),
            (None, Some(link)) if link.deed == sealed.link.deed => {
                format!("{what} was changed in the ledger (link {number})")
            }
            (None, _) if number > self.last => format!(
                "{what} is gone from the ledger, whose journal ends before it (link {number} of {count})"
            ),
            (None, _) => format!("{what} was removed from the ledger (link {number})"),
        })
    }
}

/// Plans that the ledger does not have as they were sealed, with the reason.
fn changed_plans(plans: &[SealedPlan], journal: &Journal) -> HashMap<String, String> {
    let known: HashMap<&str, &Plan> =
        journal.plans.iter().map(|plan| (plan.id.as_str(), plan)).collect();
    let changed = plans.iter().filter_map(|plan| {
        let reason = match known.get(plan.id.as_str()) {
            Some(now) if now.plan == plan.plan => return None,
            Some(_) => "was changed in the ledger",
            None => "is gone from the ledger",
        };
        Some((plan.id.clone(), format!("its plan {} {reason}", plan.id)))
    });
    changed.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use verdict::plan::Way;

    /// A plan whose author has this name.
    pub(crate) fn plan(name: &[u8]) -> SealedPlan {
        let text = "{\"n\":1}".to_owned();
        Plan {
            id: "7f3a-1".to_owned(),
            plan: ledger::NewPlan {
                hash: Sha256::digest(&text).into(),
                kind: "lock".to_owned(),
                author: String::from_utf8_lossy(name).into_owned(),
                made_us: 0,
                expires_us: 1,
                text,
            },
            state: PlanState::Applied,
        }
    }

    fn intent(kind: DeedKind, user: &[u8]) -> Intent {
        let account = AccountName::new(user, "%");
        Intent {
            plan: Some("7f3a-1".to_owned()),
            undo_of: None,
            step: 1,
            server: user.to_vec(),
            kind: kind.as_str().to_owned(),
            sql: kind.statement(&account, Way::Direct),
            undo: vec![DeedKind::Unlock.statement(&account, Way::Direct)],
            account,
            before: "{}".to_owned(),
            os_user: "ann".to_owned(),
            host: "admin1".to_owned(),
            ticket: Some("OPS-7".to_owned()),
            begun_us: 7,
        }
    }

    fn ended(outcome: Outcome) -> Noted {
        let (ended_us, error_code, detail) = (9, Some(1396), "refused".to_owned());
        Noted::Ended(End { ended_us, outcome, error_code, detail })
    }

    /// A chain of these, each of the deed of this number.
    fn chain(all: Vec<(i64, Noted)>) -> Vec<Link> {
        let mut before = [0; 32];
        let links = all.into_iter().zip(1..).map(|((deed, noted), number)| {
            let mut link = Link { number, deed, noted, hash: [0; 32] };
            link.hash = link.hash_behind(before);
            before = link.hash;
            link
        });
        links.collect()
    }

    /// What three deeds leave: one that was done, one that was refused, one without an end.
    fn noted(name: &[u8]) -> Vec<(i64, Noted)> {
        let begun = |kind| Noted::Begun(Box::new(intent(kind, name)));
        let undo = Intent { undo_of: Some(1), undo: Vec::new(), ..intent(DeedKind::Unlock, name) };
        vec![
            (1, begun(DeedKind::Lock)),
            (1, ended(Outcome::Done)),
            (2, begun(DeedKind::Drop)),
            (2, ended(Outcome::Failed)),
            (3, Noted::Begun(Box::new(undo))),
        ]
    }

    pub(crate) fn links(name: &[u8]) -> Vec<SealedLink> {
        chain(noted(name)).iter().map(SealedLink::new).collect()
    }

    fn journal(links: Vec<Link>) -> Journal {
        Journal { ledger: None, links, plans: vec![plan(b"ann")], broken: None }
    }

    /// Verdicts by deed, with what is said of those that differ, and how many links were added.
    fn told(journal: &Journal) -> (Vec<String>, usize) {
        let (proofs, added) = verify(&[plan(b"ann")], &links(b"sam"), Some(journal));
        let text = |it: &DeedProof| match it.verdict {
            Verdict::Proven => format!("{} proven", it.deed),
            _ => format!("{} {}", it.deed, it.reason),
        };
        (proofs.iter().map(text).collect(), added)
    }

    const PROVEN: [&str; 3] = ["1 proven", "2 proven", "3 proven"];

    #[test]
    fn the_same_journal_and_one_that_went_on_are_proven() {
        let whole = chain(noted(b"sam"));
        assert_eq!(told(&journal(whole)), (PROVEN.map(str::to_owned).to_vec(), 0));
        let more = [noted(b"sam"), vec![(3, ended(Outcome::Done))]].concat();
        assert_eq!(told(&journal(chain(more))), (PROVEN.map(str::to_owned).to_vec(), 1));
        let (proofs, added) = verify(&[], &links(b"sam"), None);
        assert!(proofs.iter().all(|it| it.verdict == Verdict::Proven && it.in_ledger.is_none()));
        assert_eq!((proofs.len(), added), (3, 0));
        let outcomes: Vec<Outcome> = proofs.iter().map(|it| it.outcome).collect();
        assert_eq!(outcomes, [Outcome::Done, Outcome::Failed, Outcome::Begun]);
    }

    #[test]
    fn what_was_changed_removed_moved_or_cut_off_is_named_though_the_chain_is_whole() {
        let check = |all: Vec<(i64, Noted)>, expected: [&str; 3]| {
            assert_eq!(told(&journal(chain(all))).0, expected);
        };
        let mut changed = noted(b"sam");
        changed[3].1 = ended(Outcome::Done);
        check(
            changed,
            [
                "1 proven",
                "2 its end was changed in the ledger (link 4)",
                "3 it stands in the ledger behind others than it did (link 5)",
            ],
        );
        let mut removed = noted(b"sam");
        removed.drain(..2);
        check(
            removed,
            [
                "1 it was removed from the ledger (link 1)",
                "2 it stands at another place in the ledger: link 3 is now 1",
                "3 it stands at another place in the ledger: link 5 is now 3",
            ],
        );
        let mut moved = noted(b"sam");
        moved.swap(0, 2);
        moved.swap(1, 3);
        check(
            moved,
            [
                "1 it stands at another place in the ledger: link 1 is now 3",
                "2 it stands at another place in the ledger: link 3 is now 1",
                "3 it stands in the ledger behind others than it did (link 5)",
            ],
        );
        let gone = "3 it is gone from the ledger, whose journal ends before it (link 5 of 5)";
        check(noted(b"sam")[..4].to_vec(), ["1 proven", "2 proven", gone]);
        let mut other_plan = journal(chain(noted(b"sam")));
        other_plan.plans.clear();
        assert_eq!(told(&other_plan).0[0], "1 its plan 7f3a-1 is gone from the ledger");
    }

    #[test]
    fn no_secret_is_sealed() {
        let secret = b"CREATE USER 'sam'@'%' IDENTIFIED BY PASSWORD '*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29'";
        let mut leaking = noted(b"sam");
        let (sql, undo) = (secret.to_vec(), Vec::new());
        let create = Intent { sql, undo, ..intent(DeedKind::Drop, b"sam") };
        leaking[2].1 = Noted::Begun(Box::new(create));
        let all = chain(leaking);
        let sealed: Vec<SealedLink> = all.iter().map(SealedLink::new).collect();
        assert!(!text(&[], &sealed).contains("94BDCEBE"));
        assert_eq!(check(&[], &sealed), Ok(()));
        let (proofs, _) =
            verify(&[], &sealed, Some(&Journal { links: all.clone(), ..Journal::default() }));
        assert!(proofs.iter().all(|it| it.verdict == Verdict::Proven), "{proofs:?}");
        assert!(proofs[1].reason.contains("may hold a secret"));
        // Another statement in its place is found all the same.
        let mut other = all;
        let Noted::Begun(intent) = &mut other[2].noted else { unreachable!() };
        intent.sql.push(b' ');
        let (proofs, _) =
            verify(&[], &sealed, Some(&Journal { links: other, ..Journal::default() }));
        assert_eq!(proofs[1].verdict, Verdict::Differs);
        // An account may be called so: its statements are rollcall's own.
        let named = SealedLink::new(&chain(noted(b"password_reset"))[0]);
        assert_eq!(named.withheld, None);
    }
}
