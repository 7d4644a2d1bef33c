//! The table maps that row events refer to, read once as long as they stay the same.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Malformed, Parsed};
use crate::format::Format;
use crate::table_map::{Table, TableMap};

/// How many table maps are held. A statement has one for each table it touches, of which a join has
/// up to 61; more are there for the sake of speed.
pub const TABLE_MAPS_MAX: usize = 4096;

const RECENT: usize = 64;

/// What a caller wants of the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Nothing: not even how many there are.
    Ignore,
    /// How many there are.
    Count,
    /// The rows themselves (and their number).
    Rows,
}

/// A table map that is known.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// As in the log: the next one is often the same.
    body: Vec<u8>,
    pub(crate) table: Parsed<Arc<Table>>,
    pub(crate) interest: Interest,
    /// The transaction that it was last counted in, and its place there.
    pub(crate) counted: (u64, usize),
}

/// Table maps by their ids.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    by_id: HashMap<u64, usize>,
    known: Vec<Known>,
    /// Ids that were looked up lately, by their lowest bits; 0 is no place.
    recent: [(u64, u32); RECENT],
    /// A statement has ended: those of it are not needed any more.
    pub(crate) statement_ended: bool,
}

impl Default for Tables {
    fn default() -> Self {
        Tables {
            by_id: HashMap::new(),
            known: Vec::new(),
            recent: [(0, 0); RECENT],
            statement_ended: false,
        }
    }
}

impl Tables {
    /// Takes the body of a Table_map event. `ask` is told of tables that were not known, or are now
    /// described otherwise.
    pub(crate) fn take(
        &mut self,
        body: &[u8],
        format: &Format,
        ask: impl FnOnce(&mut Table) -> Interest,
    ) -> Parsed<()> {
        let map = TableMap::parse(body, format)?;
        if let Some(known) = self.find(map.table_id)
            && known.body == body
        {
            return known.table.as_ref().map(|_| ()).map_err(|&malformed| malformed);
        }
        if self.known.len() >= TABLE_MAPS_MAX {
            if !self.statement_ended {
                return Err(Malformed::new("a statement has more than 4096 tables"));
            }
            self.forget();
        }
        self.statement_ended = false;
        let mut interest = Interest::Ignore;
        let table = map.table().map(|mut table| {
            interest = ask(&mut table);
            Arc::new(table)
        });
        let failure = table.as_ref().err().copied();
        let known = Known { body: body.to_vec(), table, interest, counted: (0, 0) };
        let place = match self.by_id.get(&map.table_id) {
            Some(&place) => {
                self.known[place] = known;
                place
            }
            None => {
                self.known.push(known);
                self.by_id.insert(map.table_id, self.known.len() - 1);
                self.known.len() - 1
            }
        };
        self.recent[map.table_id as usize % RECENT] = (map.table_id, place as u32 + 1);
        failure.map_or(Ok(()), Err)
    }

    /// The table map of this id.
    #[inline]
    pub(crate) fn find(&mut self, id: u64) -> Option<&mut Known> {
        let recent = &mut self.recent[id as usize % RECENT];
        if recent.0 != id || recent.1 == 0 {
            *recent = (id, *self.by_id.get(&id)? as u32 + 1);
        }
        self.known.get_mut(recent.1 as usize - 1)
    }

    /// Another file begins, whose ids mean other tables.
    pub(crate) fn forget(&mut self) {
        self.by_id.clear();
        self.known.clear();
        self.recent = [(0, 0); RECENT];
    }
}
