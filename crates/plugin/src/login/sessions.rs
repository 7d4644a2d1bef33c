//! What is known of open connections: since when, and whether their end is to be told.
//!
//! A table of fixed size, so that an event allocates nothing. Where it has no place, which does
//! not happen below some 30,000 connections at once, a logout is told without its duration, and the
//! end of a refused connection is told as a logout.

/// How many connections have a place.
const PLACES: usize = 1 << 16;
/// How far from its own place a connection may lie.
const STEPS: usize = 16;

/// What an end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// A session that was told of.
    Open,
    /// A session of a user who is skipped.
    Skipped,
    /// A connection that was refused.
    Refused,
}

/// One connection; id 0 is an empty place, no server gives it to a client.
#[derive(Debug, Clone, Copy)]
struct Session {
    id: u64,
    /// Milliseconds times four, and the state.
    since_and_state: u64,
}

const EMPTY: Session = Session { id: 0, since_and_state: 0 };

#[derive(Debug)]
pub(crate) struct Sessions {
    places: Vec<Session>,
}

impl Sessions {
    pub(crate) fn new() -> Sessions {
        Sessions { places: vec![EMPTY; PLACES] }
    }

    /// A connection was let in or refused.
    pub(crate) fn begin(&mut self, id: u64, state: State, steady_ms: u64) {
        let empty = || around(id).find(|&at| self.places[at].id == 0);
        if let Some(at) = self.place(id).or_else(empty) {
            self.places[at] = Session { id, since_and_state: packed(state, steady_ms) };
        }
    }

    /// Its end is to be told, whoever it was.
    pub(crate) fn show(&mut self, id: u64) {
        if let Some(at) = self.place(id) {
            let session = &mut self.places[at];
            session.since_and_state = packed(State::Open, session.since_and_state >> 2);
        }
    }

    /// A connection has ended: what it was, and since when.
    pub(crate) fn end(&mut self, id: u64) -> Option<(State, u64)> {
        let at = self.place(id)?;
        let Session { since_and_state, .. } = std::mem::replace(&mut self.places[at], EMPTY);
        let state = match since_and_state & 3 {
            0 => State::Open,
            1 => State::Skipped,
            _ => State::Refused,
        };
        Some((state, since_and_state >> 2))
    }

    /// Nothing is known any more.
    pub(crate) fn forget(&mut self) {
        self.places.fill(EMPTY);
    }

    fn place(&self, id: u64) -> Option<usize> {
        around(id).find(|&at| id != 0 && self.places[at].id == id)
    }
}

fn packed(state: State, steady_ms: u64) -> u64 {
    steady_ms << 2
        | match state {
            State::Open => 0,
            State::Skipped => 1,
            State::Refused => 2,
        }
}

/// The places that a connection may have. Sessions of a pool have neighbouring ids and last: they
/// are scattered, so that those who come when ids are larger by [`PLACES`] find room.
fn around(id: u64) -> impl Iterator<Item = usize> {
    // The golden ratio's share of 2^64: neighbours come to lie far apart.
    let own = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize % PLACES;
    (0..STEPS).map(move |step| (own + step) % PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_ends_once() {
        let mut sessions = Sessions::new();
        sessions.begin(7, State::Open, 1000);
        sessions.begin(8, State::Refused, 1001);
        sessions.begin(9, State::Skipped, 1002);
        sessions.begin(10, State::Skipped, 1003);
        sessions.show(10);
        sessions.show(11);
        assert_eq!(sessions.end(7), Some((State::Open, 1000)));
        assert_eq!(sessions.end(7), None);
        assert_eq!(sessions.end(8), Some((State::Refused, 1001)));
        assert_eq!(sessions.end(9), Some((State::Skipped, 1002)));
        assert_eq!(sessions.end(10), Some((State::Open, 1003)));
        assert_eq!(sessions.end(0), None);
    }

    #[test]
    fn long_sessions_keep_their_place_while_others_come_and_go() {
        let mut sessions = Sessions::new();
        for id in 1..=5000 {
            sessions.begin(id, State::Open, id);
        }
        for id in 5001..=300_000 {
            sessions.begin(id, State::Open, id);
            assert_eq!(sessions.end(id), Some((State::Open, id)));
        }
        for id in 1..=5000 {
            assert_eq!(sessions.end(id), Some((State::Open, id)));
        }
    }

    #[test]
    fn bounds() {
        let mut sessions = Sessions::new();
        // All of one place: as many as there are steps, and no more.
        let own = |id: u64| around(id).next();
        let mut ids = (1..).filter(|&id| own(id) == own(1));
        let ids: Vec<u64> = ids.by_ref().take(STEPS + 1).collect();
        for &id in &ids {
            sessions.begin(id, State::Open, 1);
        }
        let found = ids.iter().filter(|&&id| sessions.end(id).is_some()).count();
        assert_eq!(found, STEPS);
        sessions.begin(u64::MAX, State::Refused, u64::MAX >> 2);
        assert_eq!(sessions.end(u64::MAX), Some((State::Refused, u64::MAX >> 2)));
        sessions.begin(1, State::Open, 1);
        sessions.forget();
        assert_eq!(sessions.end(1), None);
    }
}
