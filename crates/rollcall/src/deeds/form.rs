//! A plan as text: what the ledger stores, what is hashed, and what a file holds for somebody else.
//!
//! ```text
//! {"rollcall_plan":1,"id":"7f3a-21","sha256":"…","plan":{
//!   "kind":"lock","made":"2026-11-28T14:00:00Z","expires":"2026-12-05T14:00:00Z","author":"root@db1",
//!   "ticket":null,"rests_on":"unused","on_replica":false,"steps":[{"server":"db1","user":"sam","host":"%",
//!   "sql":"ALTER USER 'sam'@'%' ACCOUNT LOCK","why":"no login in 263 days","effects":[],
//!   "facts":{"locked":false,"plugin":"mysql_native_password","grants_hash":"…","password_changed":null,
//!   "on":{"family":"MariaDB","hostname":"db1","uuid":"…"}}}]}}
//! ```
//!
//! # Invariants
//! * The hash is that of `plan` as this module writes it: a file that was edited is told, one that was only
//!   laid out anew is not.
//! * No secret is in a plan.

use jiff::Timestamp;
use ledger::NewPlan;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use verdict::account::{AccountName, Family, Identity};
use verdict::plan::{DeedKind, Facts, Step};

use crate::render::hex;

/// The form's version.
const VERSION: u32 = 1;

/// The largest file that is read as a plan: 100,000 steps of a few hundred bytes.
pub(crate) const PLAN_BYTES_MAX: u64 = 64 << 20;

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    kind: String,
    made: Timestamp,
    expires: Timestamp,
    /// Operating system user and host.
    pub(crate) author: String,
    /// What the author's own records call it.
    pub(crate) ticket: Option<String>,
    /// What it rests on.
    pub(crate) rests_on: Basis,
    /// Replicas are changed as well.
    pub(crate) on_replica: bool,
    /// What is to be sent, in this order.
    pub(crate) steps: Vec<PlanStep>,
}

/// What a plan rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Basis {
    /// Evidence: it is not sent where somebody shows up meanwhile.
    Unused,
    /// Somebody's word.
    Asked,
}

/// One statement of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanStep {
    pub(crate) server: String,
    user: String,
    host: String,
    /// Without a semicolon.
    pub(crate) sql: String,
    pub(crate) why: String,
    pub(crate) effects: Vec<String>,
    facts: PlanFacts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFacts {
    locked: Option<bool>,
    plugin: String,
    grants_hash: Option<String>,
    password_changed: Option<Timestamp>,
    /// Plans of before it was noted have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<PlanServer>,
}

/// Which server an account is on, whatever it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanServer {
    family: String,
    hostname: String,
    uuid: String,
}

impl PlanServer {
    fn new(identity: &Identity) -> PlanServer {
        PlanServer {
            family: identity.family.as_str().to_owned(),
            hostname: String::from_utf8_lossy(&identity.hostname).into_owned(),
            uuid: identity.uuid.clone(),
        }
    }

    fn identity(&self) -> Option<Identity> {
        Some(Identity {
            family: Family::parse(&self.family)?,
            hostname: self.hostname.clone().into_bytes(),
            uuid: self.uuid.clone(),
        })
    }
}

/// What a file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    rollcall_plan: u32,
    id: String,
    sha256: String,
    plan: Plan,
}

/// How a plan comes about. Times are microseconds UTC.
#[derive(Debug, Clone)]
pub(crate) struct Making {
    pub(crate) kind: DeedKind,
    pub(crate) now: i64,
    pub(crate) expires: i64,
    pub(crate) author: String,
    pub(crate) ticket: Option<String>,
    pub(crate) rests_on: Basis,
    pub(crate) on_replica: bool,
}

impl Plan {
    /// As the ledger keeps it.
    pub(crate) fn stored(&self) -> NewPlan {
        NewPlan {
            hash: self.hash(),
            kind: self.kind().map_or("", DeedKind::as_str).to_owned(),
            author: self.author.clone(),
            made_us: self.made(),
            expires_us: self.expires(),
            text: self.text(),
        }
    }

    /// The plan of these steps.
    ///
    /// # Errors
    /// Where a name is not UTF-8: no server that is read here holds such a one.
    pub(crate) fn new(making: Making, steps: &[Step]) -> Result<Plan, String> {
        Ok(Plan {
            kind: making.kind.as_str().to_owned(),
            made: moment(making.now),
            expires: moment(making.expires),
            author: making.author,
            ticket: making.ticket,
            rests_on: making.rests_on,
            on_replica: making.on_replica,
            steps: steps.iter().map(PlanStep::new).collect::<Result<_, _>>()?,
        })
    }

    /// What is done.
    pub(crate) fn kind(&self) -> Option<DeedKind> {
        DeedKind::parse(&self.kind)
    }

    /// When it was made, in microseconds UTC.
    pub(crate) fn made(&self) -> i64 {
        self.made.as_microsecond()
    }

    /// From when on it is not sent any more, in microseconds UTC.
    pub(crate) fn expires(&self) -> i64 {
        self.expires.as_microsecond()
    }

    /// The text that is stored and hashed.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("a plan holds nothing that JSON has no form for")
    }

    /// SHA-256 of its text.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text()).into()
    }

    /// Reads a stored text.
    ///
    /// # Errors
    /// Where it is none, or does not have this hash.
    pub(crate) fn parse(text: &str, hash: &[u8]) -> Result<Plan, String> {
        let plan: Plan = serde_json::from_str(text).map_err(|error| error.to_string())?;
        plan.check(&hex(hash))?;
        Ok(plan)
    }

    /// What a file of it holds.
    pub(crate) fn file_text(&self, id: &str) -> String {
        let saved = Saved {
            rollcall_plan: VERSION,
            id: id.to_owned(),
            sha256: hex(&self.hash()),
            plan: self.clone(),
        };
        let text = serde_json::to_string_pretty(&saved);
        text.expect("a plan holds nothing that JSON has no form for") + "\n"
    }

    /// Reads a file: id and plan.
    ///
    /// # Errors
    /// Where it is no plan, one of another version, or was changed.
    pub(crate) fn parse_file(text: &str) -> Result<(String, Plan), String> {
        let saved: Saved =
            serde_json::from_str(text).map_err(|error| format!("it is no plan: {error}"))?;
        if saved.rollcall_plan != VERSION {
            return Err(format!(
                "it is a plan of form {}, and this rollcall knows {VERSION}: take the same version",
                saved.rollcall_plan
            ));
        }
        saved.plan.check(&saved.sha256)?;
        Ok((saved.id, saved.plan))
    }

    fn check(&self, sha256: &str) -> Result<(), String> {
        if hex(&self.hash()) != sha256 {
            return Err(
                "it was changed after it was made (its hash differs): make a new one".into()
            );
        }
        let Some(kind) = self.kind() else {
            return Err(format!("{:?} is nothing that a plan can do", self.kind));
        };
        // Whatever the text says: what is sent is what rollcall writes for this account.
        let own = |step: &PlanStep| kind.is_statement(&step.account(), step.sql.as_bytes());
        match self.steps.iter().all(own) {
            true => Ok(()),
            false => {
                Err("it holds a statement that rollcall does not write: make a new one".into())
            }
        }
    }
}

impl PlanStep {
    fn new(step: &Step) -> Result<PlanStep, String> {
        let text = |bytes: &[u8], what: &str| {
            let text = String::from_utf8(bytes.to_vec());
            text.map_err(|_| format!("{what} {} is not UTF-8: no plan can hold it", step.account))
        };
        Ok(PlanStep {
            server: text(&step.server, "the server of")?,
            user: text(&step.account.user, "the user name of")?,
            host: text(&step.account.host, "the host of")?,
            sql: text(&step.sql, "the statement for")?,
            why: step.why.clone(),
            effects: step.effects.clone(),
            facts: PlanFacts {
                locked: step.facts.locked,
                plugin: step.facts.plugin.clone(),
                grants_hash: step.facts.grants_hash.map(|hash| format!("{hash:016x}")),
                password_changed: step.facts.password_changed.map(moment),
                on: step.facts.server.as_ref().map(PlanServer::new),
            },
        })
    }

    /// Its account.
    pub(crate) fn account(&self) -> AccountName {
        AccountName::new(self.user.as_str(), self.host.as_str())
    }

    /// What it rests on.
    pub(crate) fn facts(&self) -> Facts {
        let hash = self.facts.grants_hash.as_deref();
        Facts {
            locked: self.facts.locked,
            plugin: self.facts.plugin.clone(),
            grants_hash: hash.and_then(|hash| u64::from_str_radix(hash, 16).ok()),
            password_changed: self.facts.password_changed.map(Timestamp::as_microsecond),
            server: self.facts.on.as_ref().and_then(PlanServer::identity),
        }
    }
}

/// What was true before a deed, as the journal notes it.
pub(super) fn before(facts: &Facts) -> String {
    let mut text = serde_json::json!({
        "locked": facts.locked,
        "plugin": facts.plugin,
        "grants_hash": facts.grants_hash.map(|hash| format!("{hash:016x}")),
        "password_changed": facts.password_changed.map(moment),
    });
    if let Some(server) = &facts.server {
        text["on"] = serde_json::json!(PlanServer::new(server));
    }
    text.to_string()
}

/// Such a note for the deed that takes one back: the server of that.
pub(super) fn before_undo(note: &str) -> String {
    let server = server_before(note).map(|it| PlanServer::new(&it));
    server.map_or_else(|| "{}".to_owned(), |it| serde_json::json!({ "on": it }).to_string())
}

/// When the password had been changed last, in such a note, in microseconds UTC; `None` where it tells nothing.
pub(super) fn password_before(note: &str) -> Option<i64> {
    let note: serde_json::Value = serde_json::from_str(note).ok()?;
    let at: Timestamp = serde_json::from_value(note.get("password_changed")?.clone()).ok()?;
    Some(at.as_microsecond())
}

/// The server in such a note; `None` where it tells none.
pub(super) fn server_before(note: &str) -> Option<Identity> {
    let note: serde_json::Value = serde_json::from_str(note).ok()?;
    serde_json::from_value::<PlanServer>(note.get("on")?.clone()).ok()?.identity()
}

/// Times beyond the calendar are moved to its ends.
fn moment(micros: i64) -> Timestamp {
    let end = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(micros).unwrap_or(end)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use verdict::plan::Way;

    fn identity() -> Identity {
        Identity { family: Family::MySql, uuid: "8e28-61e2".into(), hostname: b"db1".into() }
    }

    pub(in crate::deeds) fn example() -> Plan {
        let making = Making {
            kind: DeedKind::Lock,
            now: 1_795_159_123_000_000,
            expires: 1_795_759_123_000_000,
            author: "root@db1".to_owned(),
            ticket: Some("CHG-7".to_owned()),
            rests_on: Basis::Unused,
            on_replica: false,
        };
        let account = AccountName::new("o'neil\n", "%");
        let step = Step {
            server: b"db1".to_vec(),
            sql: DeedKind::Lock.statement(&account, Way::Direct),
            account,
            why: "no login in 263 days".to_owned(),
            effects: vec!["owns view shop.v".to_owned()],
            facts: Facts {
                locked: Some(false),
                plugin: "unix_socket".to_owned(),
                grants_hash: Some(u64::MAX),
                password_changed: Some(-1),
                server: Some(identity()),
            },
        };
        Plan::new(making, &[step]).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let plan = example();
        assert_eq!(Plan::parse(&plan.text(), &plan.hash()).unwrap(), plan);
        let (id, read) = Plan::parse_file(&plan.file_text("7f3a-21")).unwrap();
        assert_eq!((id.as_str(), &read), ("7f3a-21", &plan));
        assert_eq!(read.steps[0].account(), AccountName::new("o'neil\n", "%"));
        assert_eq!(read.steps[0].facts().grants_hash, Some(u64::MAX));
        assert_eq!(read.steps[0].facts().password_changed, Some(-1));
        assert_eq!(read.steps[0].facts().server, Some(identity()));
        // A plan of before it was noted keeps its hash.
        let mut older = plan;
        older.steps[0].facts.on = None;
        assert!(!older.text().contains("hostname"));
        assert_eq!(Plan::parse(&older.text(), &older.hash()).unwrap(), older);
    }

    #[test]
    fn what_was_changed_is_refused() {
        let text = example().file_text("7f3a-21");
        for (from, to) in [
            ("sam", "root"),
            ("263", "264"),
            ("8e28", "8e29"),
            ("'o''neil", "'root"),
            ("db1\"", "db2\""),
        ] {
            let changed = text.replace(from, to);
            assert!(changed == text || Plan::parse_file(&changed).is_err(), "{from}");
        }
        assert!(Plan::parse_file(&text.replace("263", "264")).unwrap_err().contains("hash"));
        // Laid out anew it is the same.
        let compact: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(Plan::parse_file(&compact.to_string()).is_ok());
        assert!(Plan::parse_file("{}").unwrap_err().starts_with("it is no plan"));
        let newer = text.replace("\"rollcall_plan\": 1", "\"rollcall_plan\": 2");
        assert!(Plan::parse_file(&newer).unwrap_err().contains("same version"));
    }

    #[test]
    fn a_statement_of_somebody_else_is_refused_though_its_hash_fits() {
        let mut plan = example();
        plan.steps[0].sql = "DROP DATABASE shop".to_owned();
        let error = Plan::parse(&plan.text(), &plan.hash()).unwrap_err();
        assert!(error.contains("does not write"), "{error}");
        let mut plan = example();
        plan.kind = "grant".to_owned();
        assert!(Plan::parse(&plan.text(), &plan.hash()).is_err());
    }
}
