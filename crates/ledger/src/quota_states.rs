//! What quotas have told of users of a server and done about them.
//!
//! # Invariants
//! * Of a user of whom there is nothing to keep there is no row.

use crate::error::Error;
use crate::reserve::Record;
use crate::rows::Name;
use crate::store::{Bytes, Ledger, damaged, name};
use rusqlite::{Row, params};
use std::collections::BTreeMap;
use verdict::quota::{Held, Policy, UserState};

impl Ledger {
    /// What is kept of each user of a server.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a row is none of this program's; where SQLite fails.
    pub fn quota_states(&self, server: &[u8]) -> Result<BTreeMap<Name, UserState>, Error> {
        let read = || -> rusqlite::Result<BTreeMap<Name, UserState>> {
            let mut query = self.db.prepare_cached(
                "SELECT user, warned, warned_us, exceeds, policy, plan, since_us, closed, told
                 FROM quota_state WHERE server = ?1",
            )?;
            query.query_map(params![Bytes(server)], state)?.collect()
        };
        let mut states = read().map_err(self.failed())?;
        for (user, state) in self.reserve.iter().flat_map(|it| it.states(server)) {
            states.insert(user, state);
        }
        Ok(states)
    }

    /// Keeps this of users of a server; of others what was kept of them stays.
    ///
    /// # Errors
    /// Where SQLite fails: of users behind that nothing is changed then.
    pub fn note_quota_states(
        &mut self,
        server: &[u8],
        states: &[(&[u8], &UserState)],
    ) -> Result<(), Error> {
        for (user, state) in states {
            let write = |ledger: &mut Ledger| {
                ledger
                    .briefly(|ledger| put(&ledger.db, server, user, state).map_err(ledger.failed()))
            };
            self.or_reserve(write, |_| {
                let record = Record::State(server.to_vec(), user.to_vec(), (*state).clone());
                ((), record)
            })?;
        }
        Ok(())
    }
}

pub(crate) fn put(
    db: &rusqlite::Connection,
    server: &[u8],
    user: &[u8],
    state: &UserState,
) -> rusqlite::Result<()> {
    if *state == UserState::default() {
        db.prepare_cached("DELETE FROM quota_state WHERE server = ?1 AND user = ?2")?
            .execute(params![Bytes(server), Bytes(user)])?;
        return Ok(());
    }
    let held = state.held.as_ref();
    db.prepare_cached(
        "INSERT OR REPLACE INTO quota_state
           (server, user, warned, warned_us, exceeds, policy, plan, since_us, closed, told)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        Bytes(server),
        Bytes(user),
        state.warned,
        state.warned_us,
        state.exceeds,
        held.map(|it| it.policy.as_str()),
        held.map(|it| &it.plan),
        held.map(|it| it.since_us),
        held.map_or(0, |it| it.closed),
        state.told,
    ])?;
    Ok(())
}

fn state(row: &Row<'_>) -> rusqlite::Result<(Name, UserState)> {
    let held = match row.get::<_, Option<String>>(4)? {
        None => None,
        Some(word) => Some(Held {
            policy: Policy::parse(&word).ok_or_else(|| damaged("a policy of quotas"))?,
            plan: row.get(5)?,
            since_us: row.get(6)?,
            closed: row.get(7)?,
        }),
    };
    let state = UserState {
        warned: row.get(1)?,
        warned_us: row.get(2)?,
        exceeds: row.get(3)?,
        held,
        told: row.get(8)?,
    };
    Ok((name(row.get_ref(0)?), state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_what_is_empty_is_gone() {
        let mut ledger = Ledger::in_memory().unwrap();
        let held = Held {
            policy: Policy::NoGrowth,
            plan: "7f3a-1".to_owned(),
            since_us: -5,
            closed: u32::MAX,
        };
        let full = UserState {
            warned: 98,
            warned_us: Some(7),
            exceeds: u32::MAX,
            held: Some(held),
            told: "a global right".to_owned(),
        };
        let warned = UserState { warned: 80, warned_us: Some(1), ..UserState::default() };
        let states: [(&[u8], _); 3] =
            [(b"a", &full), (b"\xff\0", &warned), (b"b", &UserState::default())];
        ledger.note_quota_states(b"db1", &states).unwrap();
        ledger.note_quota_states(b"db2", &[(b"a", &warned)]).unwrap();
        let expected = BTreeMap::from([(b"a".to_vec(), full), (b"\xff\0".to_vec(), warned)]);
        assert_eq!(ledger.quota_states(b"db1").unwrap(), expected);
        ledger.note_quota_states(b"db1", &[(b"a", &UserState::default())]).unwrap();
        assert_eq!(ledger.quota_states(b"db1").unwrap().len(), 1);
        assert_eq!(ledger.quota_states(b"db2").unwrap().len(), 1);
        ledger.db.execute("UPDATE quota_state SET policy = 'kill'", []).unwrap();
        assert!(matches!(ledger.quota_states(b"db1"), Err(Error::Damaged { .. })));
    }
}
