//! Plans are sent to a server of ours that can be made to die before and after every single statement.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ledger::{DeedFilter, Ledger, PlanState};
use verdict::account::{AccountName, Family, Identity};
use verdict::plan::{DeedKind, Facts, Step, Way};

use super::*;

const NOW: i64 = 1_795_159_123_000_000;

/// A server: accounts, locked or not. `None` in `dies_in`: it lives.
#[derive(Debug, Default)]
struct World {
    accounts: BTreeMap<AccountName, bool>,
    sessions: BTreeMap<AccountName, Vec<u64>>,
    sent: Vec<String>,
    /// The run is ended at so many steps from now; odd ones behind what they did, even ones before.
    dies_in: Option<u32>,
    forbidden: Vec<AccountName>,
    /// Another server answers.
    is_other: bool,
    is_replica: bool,
    /// The connection breaks behind the next statement.
    breaks: bool,
}

#[derive(Clone)]
struct Server(Rc<RefCell<World>>);

/// What ends a run here, as SIGKILL does.
struct Killed;

impl Server {
    fn step(&self, deed: impl FnOnce(&mut World) -> Sent) -> Sent {
        self.clock();
        let sent = deed(&mut self.0.borrow_mut());
        self.clock();
        sent
    }

    fn clock(&self) {
        let mut world = self.0.borrow_mut();
        match world.dies_in {
            Some(0) => {
                drop(world);
                std::panic::resume_unwind(Box::new(Killed));
            }
            Some(left) => world.dies_in = Some(left - 1),
            None => {}
        }
    }
}

fn identity(is_other: bool) -> Identity {
    let uuid = if is_other { "other" } else { "own" };
    Identity { family: Family::MySql, uuid: uuid.to_owned(), hostname: Vec::new() }
}

fn facts(locked: bool, server: Identity) -> Facts {
    Facts { locked: Some(locked), plugin: "p".to_owned(), server: Some(server), ..Facts::default() }
}

impl Hands for Server {
    fn look(&mut self, account: &AccountName) -> Result<Option<Looked>, String> {
        let world = self.0.borrow();
        let session = |&id: &u64| Session {
            id,
            user: account.user.clone(),
            host: b"10.0.0.7".to_vec(),
            port: None,
        };
        let sessions = world.sessions.get(account).map_or(&[][..], |it| it);
        Ok(world.accounts.get(account).map(|&locked| Looked {
            facts: facts(locked, identity(world.is_other)),
            sessions: sessions.iter().map(session).collect(),
            doubtful_sessions: 0,
        }))
    }

    fn forbids(
        &mut self,
        _: DeedKind,
        accounts: &[AccountName],
        _: bool,
    ) -> Result<Vec<(AccountName, String)>, String> {
        let world = self.0.borrow();
        let forbidden = accounts.iter().filter(|it| world.forbidden.contains(it));
        Ok(forbidden.map(|it| (it.clone(), "protected".to_owned())).collect())
    }

    fn identity(&self) -> Identity {
        identity(self.0.borrow().is_other)
    }

    fn is_replica(&self) -> bool {
        self.0.borrow().is_replica
    }

    fn is_under_way(&mut self, _: &[u8]) -> Result<bool, String> {
        Ok(false)
    }

    fn shows(&mut self, _: DeedKind, _: &AccountName, _: &[u8]) -> Result<bool, String> {
        Err("the model knows no rights".to_owned())
    }

    fn send(&mut self, kind: DeedKind, account: &AccountName, sql: &[u8]) -> Sent {
        assert_eq!(sql, kind.statement(account, Way::Direct));
        self.step(|world| {
            world.sent.push(String::from_utf8(sql.to_vec()).unwrap());
            match (kind, world.accounts.get_mut(account)) {
                (_, None) => return Sent::Refused(Some(1396), "no such account".to_owned()),
                (DeedKind::Drop, _) => drop(world.accounts.remove(account)),
                (kind, Some(locked)) => *locked = kind == DeedKind::Lock,
            }
            match std::mem::take(&mut world.breaks) {
                true => Sent::Unknown("the connection broke".to_owned()),
                false => Sent::Done(String::new()),
            }
        })
    }

    fn kill(&mut self, session: &Session) -> Sent {
        self.step(|world| {
            world.sessions.values_mut().for_each(|it| it.retain(|id| *id != session.id));
            Sent::Done(String::new())
        })
    }

    fn rebuilding(&mut self, account: &AccountName) -> Result<Vec<Vec<u8>>, String> {
        let locked = self.0.borrow().accounts[account];
        Ok(vec![format!("CREATE {account}; {locked}").replace(';', "").into_bytes()])
    }

    fn rebuild(&mut self, account: &AccountName, statements: Vec<Vec<u8>>) -> Sent {
        self.step(|world| {
            let locked = statements[0].ends_with(b"true");
            world.accounts.insert(account.clone(), locked);
            Sent::Done(String::new())
        })
    }

    fn complete(&mut self, _: &AccountName, _: Vec<Vec<u8>>) -> Sent {
        Sent::Done(String::new())
    }
}

fn name(user: &str) -> AccountName {
    AccountName::new(user, "%")
}

fn world(locked: bool) -> World {
    let accounts = ["a", "b", "c", "other"].iter().map(|user| (name(user), locked)).collect();
    World { accounts, ..World::default() }
}

/// A ledger with a plan for accounts a, b, c on one server.
struct House {
    folder: tempfile::TempDir,
    world: Rc<RefCell<World>>,
    /// Another server of the group, for plans of [`House::of_two`]; `None`: it is out of reach.
    second: Option<Rc<RefCell<World>>>,
    id: String,
    plan: Plan,
}

impl House {
    fn new(kind: DeedKind, rests_on: Basis) -> House {
        House::of(kind, rests_on, &[("db1", "a"), ("db1", "b"), ("db1", "c")])
    }

    /// A plan for the same accounts on two servers.
    fn of_two(kind: DeedKind, second: Option<World>) -> House {
        let steps = [("db1", "a"), ("db1", "b"), ("db2", "a"), ("db2", "b")];
        let second = second.map(|world| Rc::new(RefCell::new(world)));
        House { second, ..House::of(kind, Basis::Asked, &steps) }
    }

    fn of(kind: DeedKind, rests_on: Basis, steps: &[(&str, &str)]) -> House {
        let locked = kind != DeedKind::Lock;
        let world = Rc::new(RefCell::new(world(locked)));
        let steps: Vec<Step> = steps
            .iter()
            .map(|(server, user)| Step {
                server: server.as_bytes().to_vec(),
                account: name(user),
                sql: kind.statement(&name(user), Way::Direct),
                why: "no login in 90 days".to_owned(),
                effects: Vec::new(),
                facts: facts(locked, identity(false)),
            })
            .collect();
        let making = Making {
            kind,
            now: NOW,
            expires: NOW + 1_000_000,
            author: "root@db1".to_owned(),
            ticket: Some("CHG-7".to_owned()),
            rests_on,
            on_replica: false,
        };
        let plan = Plan::new(making, &steps).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut house = House { folder, world, second: None, id: String::new(), plan };
        house.id = house.ledger().store_plan(&house.plan.stored()).unwrap();
        house
    }

    fn ledger(&self) -> Ledger {
        Ledger::create(&self.folder.path().join("ledger.sqlite")).unwrap()
    }

    fn rebuilds(&self) -> Rebuilds {
        Rebuilds::beside(&self.folder.path().join("ledger.sqlite"))
    }

    fn doer(&self) -> Doer {
        Doer { os_user: "anna".to_owned(), host: "db1".to_owned(), clock: || NOW + 1 }
    }

    fn state(&self) -> PlanState {
        self.ledger().plan(&self.id).unwrap().unwrap().state
    }

    /// `None`: it was killed.
    fn run<T>(&self, what: impl FnOnce() -> T) -> Option<T> {
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
        self.world.borrow_mut().dies_in = None;
        match ran {
            Ok(done) => Some(done),
            Err(payload) if payload.is::<Killed>() => None,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    fn reach(&self, server: &str) -> Result<Box<dyn Hands>, String> {
        let world = if server == "db1" { Some(&self.world) } else { self.second.as_ref() };
        let world = world.ok_or_else(|| format!("{server}: no server answers"))?;
        Ok(Box::new(Server(world.clone())))
    }

    fn apply(&self, kill_sessions: bool) -> Option<anyhow::Result<Done>> {
        let mut ledger = self.ledger();
        let rebuilds = self.rebuilds();
        let state = self.state();
        let order = Order {
            id: &self.id,
            plan: &self.plan,
            state,
            kill_sessions,
            rebuilds: &rebuilds,
            are_grouped: &|_, _| true,
            patience: Duration::ZERO,
        };
        let mut reach = |server: &str| self.reach(server);
        self.run(|| apply(&mut ledger, &order, &mut reach, &self.doer()))
    }

    fn undo(&self) -> Option<anyhow::Result<Done>> {
        let mut ledger = self.ledger();
        let rebuilds = self.rebuilds();
        let mut reach = |server: &str| self.reach(server);
        self.run(|| undo(&mut ledger, &self.id, &rebuilds, &mut reach, &self.doer()))
    }

    fn locked(&self) -> Vec<(String, bool)> {
        let world = self.world.borrow();
        let text = |name: &AccountName| String::from_utf8(name.user.clone()).unwrap();
        world.accounts.iter().map(|(name, locked)| (text(name), *locked)).collect()
    }
}

fn all(locked: [bool; 4]) -> Vec<(String, bool)> {
    ["a", "b", "c", "other"].map(str::to_owned).into_iter().zip(locked).collect()
}

#[test]
fn a_plan_is_sent_as_it_stands_and_taken_back() {
    let house = House::new(DeedKind::Lock, Basis::Unused);
    let done = house.apply(false).unwrap().unwrap();
    assert!(done.is_good());
    assert_eq!(house.locked(), all([true, true, true, false]));
    assert_eq!(house.state(), PlanState::Applied);
    let sent: Vec<String> = house.plan.steps.iter().map(|it| it.sql.clone()).collect();
    assert_eq!(house.world.borrow().sent, sent);
    assert!(house.apply(false).unwrap().unwrap_err().to_string().contains("applied already"));
    let undone = house.undo().unwrap().unwrap();
    assert!(undone.is_good() && undone.is_undo);
    assert_eq!(house.locked(), all([false; 4]));
    assert_eq!(house.state(), PlanState::Undone);
    assert!(house.undo().unwrap().unwrap_err().to_string().contains("nothing to undo"));
    let deeds = house.ledger().deeds(&DeedFilter::default()).unwrap();
    assert_eq!(deeds.len(), 6);
    assert!(deeds.iter().all(|it| it.intent.ticket.as_deref() == Some("CHG-7")));
    assert_eq!(house.ledger().verify_journal().unwrap(), None);
}

#[test]
fn nothing_is_sent_where_a_fact_is_another() {
    let check = |change: &dyn Fn(&mut World), text: &str| {
        let house = House::new(DeedKind::Lock, Basis::Unused);
        change(&mut house.world.borrow_mut());
        let done = house.apply(false).unwrap().unwrap();
        assert!(!done.is_good());
        assert!(done.steps.iter().all(|it| it.outcome == StepOutcome::Skipped));
        assert!(done.steps.iter().any(|it| it.detail.contains(text)), "{:?}", done.steps);
        assert_eq!(house.world.borrow().sent, Vec::<String>::new());
        assert_eq!(house.state(), PlanState::Refused);
        assert!(house.apply(false).unwrap().is_err());
    };
    check(&|world| _ = world.accounts.remove(&name("b")), "not there any more");
    check(&|world| _ = world.accounts.insert(name("c"), true), "it is locked now");
    check(&|world| _ = world.sessions.insert(name("a"), vec![7]), "logged in");
    check(&|world| world.forbidden.push(name("b")), "protected");
    check(&|world| world.is_other = true, "another server answers under this name now");
}

#[test]
fn sessions_are_ended_only_when_asked() {
    let house = House::new(DeedKind::Lock, Basis::Asked);
    house.world.borrow_mut().sessions.insert(name("a"), vec![7, 9]);
    let done = house.apply(false).unwrap().unwrap();
    assert!(done.steps[0].detail.contains("open sessions go on: 7, 9"), "{:?}", done.steps);
    assert_eq!(house.world.borrow().sessions[&name("a")], [7, 9]);
    let house = House::new(DeedKind::Lock, Basis::Asked);
    house.world.borrow_mut().sessions.insert(name("a"), vec![7, 9]);
    assert_eq!(house.apply(true).unwrap().unwrap().steps.len(), 5);
    assert_eq!(house.world.borrow().sessions[&name("a")], [0; 0]);
    // Nothing brings a session back: undoing does not try.
    assert_eq!(house.undo().unwrap().unwrap().steps.len(), 3);
}

#[test]
fn an_old_plan_is_not_sent() {
    let mut house = House::new(DeedKind::Lock, Basis::Unused);
    let making = Making {
        kind: DeedKind::Lock,
        now: NOW,
        expires: NOW + 1,
        author: String::new(),
        ticket: None,
        rests_on: Basis::Unused,
        on_replica: false,
    };
    house.plan = Plan::new(making, &[]).unwrap();
    assert!(house.apply(false).unwrap().unwrap_err().to_string().contains("was good until"));
}

#[test]
fn undo_leaves_alone_what_others_did_since() {
    let house = House::new(DeedKind::Lock, Basis::Unused);
    house.apply(false).unwrap().unwrap();
    // Somebody unlocks b; locks another one; drops c.
    house.world.borrow_mut().accounts.insert(name("b"), false);
    house.world.borrow_mut().accounts.insert(name("other"), true);
    house.world.borrow_mut().accounts.remove(&name("c"));
    let sent = house.world.borrow().sent.len();
    let done = house.undo().unwrap().unwrap();
    assert!(done.is_good(), "{:?}", done.steps);
    assert_eq!(house.world.borrow().sent[sent..], ["ALTER USER 'a'@'%' ACCOUNT UNLOCK"]);
    let expected = [("a", false), ("b", false), ("other", true)];
    assert_eq!(house.locked(), expected.map(|(user, locked)| (user.to_owned(), locked)));
    assert_eq!(house.state(), PlanState::Undone);
}

/// A failover: the same name leads to a server on which rollcall did nothing.
#[test]
fn another_server_is_not_touched_by_undo() {
    for kind in [DeedKind::Lock, DeedKind::Drop] {
        let house = House::new(kind, Basis::Asked);
        house.apply(false).unwrap().unwrap();
        let (before, sent) = (house.locked(), house.world.borrow().sent.len());
        house.world.borrow_mut().is_other = true;
        let done = house.undo().unwrap().unwrap();
        assert!(!done.is_good());
        assert!(done.steps.iter().all(|it| it.detail.contains("another server answers")));
        assert_eq!((house.locked(), house.world.borrow().sent.len()), (before, sent));
        house.world.borrow_mut().is_other = false;
        assert!(house.undo().unwrap().unwrap().is_good());
    }
}

/// Nor is what an interrupted run left open judged by another server.
#[test]
fn another_server_does_not_tell_how_a_deed_ended() {
    let house = House::new(DeedKind::Lock, Basis::Asked);
    house.world.borrow_mut().dies_in = Some(1);
    assert!(house.apply(false).is_none());
    house.world.borrow_mut().is_other = true;
    let done = house.undo().unwrap().unwrap();
    assert!(!done.is_good(), "{:?}", done.steps);
    let deeds = house.ledger().deeds(&DeedFilter::default()).unwrap();
    assert_eq!(deeds[0].outcome, Outcome::Begun);
    // A try that was broken off is judged by the same rule.
    house.world.borrow_mut().is_other = false;
    house.world.borrow_mut().dies_in = Some(1);
    assert!(house.undo().is_none());
    house.world.borrow_mut().is_other = true;
    assert!(!house.undo().unwrap().unwrap().is_good());
    house.world.borrow_mut().is_other = false;
    // The server shows it done: nothing is left.
    assert!(house.undo().unwrap().unwrap_err().to_string().contains("nothing to undo"));
    assert_eq!(house.locked(), all([false; 4]));
}

#[test]
fn a_dropped_account_is_made_anew_unless_somebody_did() {
    let house = House::new(DeedKind::Drop, Basis::Asked);
    assert!(house.apply(false).unwrap().unwrap().is_good());
    assert_eq!(house.locked(), [("other".to_owned(), true)]);
    // No statement that makes an account anew is in the journal.
    let deeds = house.ledger().deeds(&DeedFilter::default()).unwrap();
    assert!(deeds.iter().all(|it| it.intent.undo[0].starts_with(b"rebuild sha256:")));
    house.world.borrow_mut().accounts.insert(name("b"), false);
    let done = house.undo().unwrap().unwrap();
    assert!(!done.is_good());
    assert_eq!(house.locked(), all([true, false, true, true]));
    assert_eq!(house.state(), PlanState::Applied);
}

/// Ended before or behind each single statement, and run again, a plan is done as if nothing had happened; so is
/// its undoing, and nothing of others is touched.
#[test]
fn a_run_that_was_killed_anywhere_goes_on() {
    for kind in [DeedKind::Lock, DeedKind::Unlock, DeedKind::Drop] {
        let mut kills = 0;
        for dies_in in 0.. {
            let house = House::new(kind, Basis::Asked);
            let before = house.locked();
            house.world.borrow_mut().dies_in = Some(dies_in);
            if house.apply(false).is_some() {
                break;
            }
            kills += 1;
            let done = house.apply(false).unwrap().unwrap();
            assert!(done.is_good(), "{kind:?} {dies_in}: {:?}", done.steps);
            assert_eq!(house.state(), PlanState::Applied);
            assert_eq!(house.world.borrow().sent.len(), 3, "{kind:?}: each is sent once");
            house.undo().unwrap().unwrap();
            assert_eq!(house.locked(), before);
        }
        assert_eq!(kills, 6);
        for dies_in in 0.. {
            let house = House::new(kind, Basis::Asked);
            let before = house.locked();
            house.apply(false).unwrap().unwrap();
            house.world.borrow_mut().dies_in = Some(dies_in);
            if house.undo().is_some() {
                break;
            }
            house.undo().map(|it| it.map(|it| assert!(it.is_good())));
            assert_eq!(house.locked(), before, "{kind:?} {dies_in}");
            assert_eq!(house.ledger().verify_journal().unwrap(), None);
        }
    }
}

/// Killed in the middle of a plan, what was done of it is undone without doing the rest first.
#[test]
fn half_a_plan_is_undone() {
    for dies_in in 0..6 {
        let house = House::new(DeedKind::Lock, Basis::Asked);
        house.world.borrow_mut().dies_in = Some(dies_in);
        assert!(house.apply(false).is_none());
        let undone = house.undo().unwrap();
        // Nothing was done yet at the very first.
        assert_eq!(undone.is_err(), dies_in == 0);
        assert_eq!(house.locked(), all([false; 4]), "{dies_in}");
    }
}

fn outcomes(done: &Done) -> Vec<StepOutcome> {
    done.steps.iter().map(|it| it.outcome).collect()
}

#[test]
fn a_server_out_of_reach_stops_its_own_statements_alone() {
    use StepOutcome::{Before, Done, Skipped};

    let mut house = House::of_two(DeedKind::Lock, None);
    let done = house.apply(false).unwrap().unwrap();
    assert_eq!(outcomes(&done), [Done, Done, Skipped, Skipped]);
    assert_eq!(done.steps[2].detail, "db2: no server answers");
    assert_eq!(house.state(), PlanState::Partly);
    house.second = Some(Rc::new(RefCell::new(world(false))));
    let done = house.apply(false).unwrap().unwrap();
    assert_eq!(outcomes(&done), [Before, Before, Done, Done]);
    assert_eq!(house.state(), PlanState::Applied);
    let second = house.second.take();
    let undone = house.undo().unwrap().unwrap();
    assert_eq!(outcomes(&undone), [Skipped, Skipped, Done, Done]);
    assert_eq!(house.state(), PlanState::Applied);
    house.second = second;
    assert_eq!(outcomes(&house.undo().unwrap().unwrap()), [Done, Done]);
    assert_eq!(house.state(), PlanState::Undone);
}

#[test]
fn what_arrives_from_another_member_is_not_sent() {
    use StepOutcome::{Before, Done, Skipped};

    for kind in [DeedKind::Lock, DeedKind::Unlock, DeedKind::Drop] {
        for dies_in in 0.. {
            let mut house = House::of_two(kind, None);
            house.second = Some(house.world.clone());
            let before = house.locked();
            house.world.borrow_mut().dies_in = Some(dies_in);
            if house.apply(false).is_some() {
                assert_eq!(dies_in, 4);
                break;
            }
            let done = house.apply(false).unwrap().unwrap();
            assert!(done.is_good(), "{kind:?} {dies_in}: {:?}", done.steps);
            assert_eq!(done.steps[2].detail, "it arrived from db1");
            assert_eq!(house.world.borrow().sent.len(), 2, "each is sent once");
            assert!(house.undo().unwrap().unwrap().is_good());
            assert_eq!(house.locked(), before);
        }
    }
    // To a replica that does not follow nothing is sent; to another server it is.
    let late = World { is_replica: true, ..world(false) };
    let house = House::of_two(DeedKind::Lock, Some(late));
    let done = house.apply(false).unwrap().unwrap();
    assert_eq!(outcomes(&done), [Done, Done, Skipped, Skipped]);
    assert_eq!(house.second.as_ref().unwrap().borrow().sent.len(), 0);
    let replica = house.second.as_ref().unwrap();
    replica.borrow_mut().accounts.extend([(name("a"), true), (name("b"), true)]);
    let done = house.apply(false).unwrap().unwrap();
    assert_eq!(outcomes(&done), [Before; 4]);
    assert_eq!(house.state(), PlanState::Applied);
    let house = House::of_two(DeedKind::Lock, Some(world(false)));
    assert_eq!(outcomes(&house.apply(false).unwrap().unwrap()), [Done; 4]);
}

#[test]
fn behind_a_broken_connection_nothing_more_is_sent() {
    use StepOutcome::{Before, Done, Skipped};

    let house = House::new(DeedKind::Lock, Basis::Asked);
    house.world.borrow_mut().breaks = true;
    let done = house.apply(false).unwrap().unwrap();
    assert_eq!(outcomes(&done), [Done, Skipped, Skipped]);
    assert_eq!(done.steps[0].detail, "the connection broke; the server shows it done");
    assert_eq!(outcomes(&house.apply(false).unwrap().unwrap()), [Before, Done, Done]);
    house.world.borrow_mut().breaks = true;
    assert_eq!(outcomes(&house.undo().unwrap().unwrap()), [Done, Skipped, Skipped]);
    assert_eq!(outcomes(&house.undo().unwrap().unwrap()), [Done, Done]);
    assert_eq!(house.locked(), all([false; 4]));
}
