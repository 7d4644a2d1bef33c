//! Names of columns that a log does not tell, from the live server: as they are now.

use std::collections::HashMap;

use binlog::{KeyPart, Table};
use live::columns::{LiveColumn, LiveLayout};

/// How many tables' names are held.
const TABLES_MAX: usize = 10_000;

/// Schema and table, raw.
type Key = (Vec<u8>, Vec<u8>);

/// A server that is asked, once a table.
#[derive(Default)]
pub(crate) struct Names {
    server: Option<live::Server>,
    known: HashMap<Key, Option<Vec<LiveColumn>>>,
    layouts: HashMap<Key, Option<Vec<LiveLayout>>>,
    /// A table got its names from the server.
    pub(crate) are_of_now: bool,
    /// Why the server could not be asked.
    pub(crate) failed: Option<String>,
}

impl Names {
    /// From this server.
    pub(crate) fn of(server: Option<live::Server>) -> Names {
        Names { server, ..Names::default() }
    }

    /// Gives a table's columns their names (and signs), where its log does not tell them and the server has
    /// as many columns.
    pub(crate) fn complete(&mut self, table: &mut Table) {
        let lacks_names = table.columns.iter().any(|it| it.name.is_none());
        let Some(server) = self.server.as_mut().filter(|_| lacks_names) else { return };
        let key = (table.database.to_vec(), table.name.to_vec());
        if self.known.len() >= TABLES_MAX {
            self.known.clear();
        }
        let failed = &mut self.failed;
        let columns = self.known.entry(key).or_insert_with(|| {
            match live::columns::columns(server, &table.database, &table.name) {
                Ok(columns) => Some(columns),
                Err(error) => {
                    failed.get_or_insert_with(|| error.to_string());
                    None
                }
            }
        });
        let Some(columns) = columns.as_ref().filter(|it| it.len() == table.columns.len()) else {
            return;
        };
        for (column, now) in table.columns.iter_mut().zip(columns) {
            column.name.get_or_insert_with(|| now.name.clone().into());
            column.unsigned = column.unsigned.or(Some(now.is_unsigned));
        }
        self.are_of_now = true;
    }

    /// As [`Names::complete`], with what statements need as well: key, collations, which columns are
    /// computed. Where the log tells names and they are others now, nothing of now is taken.
    pub(crate) fn complete_layout(&mut self, table: &mut Table) {
        let Some(server) = self.server.as_mut() else { return };
        let key = (table.database.to_vec(), table.name.to_vec());
        if self.layouts.len() >= TABLES_MAX {
            self.layouts.clear();
        }
        let failed = &mut self.failed;
        let layout = self.layouts.entry(key).or_insert_with(|| {
            match live::columns::layout(server, &table.database, &table.name) {
                Ok(layout) => Some(layout),
                Err(error) => {
                    failed.get_or_insert_with(|| error.to_string());
                    None
                }
            }
        });
        if let Some(layout) = layout {
            self.are_of_now |= add_layout(table, layout);
        }
    }

    /// The server, for other questions.
    pub(crate) fn server(&mut self) -> Option<&mut live::Server> {
        self.server.as_mut()
    }
}

/// Adds what is known now; whether names were.
fn add_layout(table: &mut Table, layout: &[LiveLayout]) -> bool {
    let is_other = |(told, now): (&binlog::Column, &LiveLayout)| {
        told.name.as_ref().is_some_and(|name| **name != now.column.name[..])
    };
    if layout.len() != table.columns.len() || table.columns.iter().zip(layout).any(is_other) {
        return false;
    }
    let lacks_names = table.columns.iter().any(|it| it.name.is_none());
    for (column, now) in table.columns.iter_mut().zip(layout) {
        column.name.get_or_insert_with(|| now.column.name.clone().into());
        column.unsigned = column.unsigned.or(Some(now.column.is_unsigned));
        column.collation = column.collation.or(now.collation);
        column.generated = Some(now.is_generated);
    }
    // A log that tells names tells the key, too: where it does not, there was none.
    if lacks_names && table.primary_key.is_empty() {
        let mut key: Vec<(u32, KeyPart)> = Vec::new();
        for (column, now) in layout.iter().enumerate() {
            key.extend(
                now.key.map(|(place, prefix)| {
                    (place, KeyPart { column, prefix: prefix.map(u64::from) })
                }),
            );
        }
        key.sort_by_key(|part| part.0);
        table.primary_key = key.into_iter().map(|(_, part)| part).collect();
    }
    lacks_names
}

#[cfg(test)]
mod tests {
    use binlog::{Event, Framer, Step};

    use super::*;

    /// The first table of a log: one column, `id`, unnamed.
    fn table() -> Table {
        let log =
            include_bytes!("../../../../tests/fixtures/binlog/mariadb-11.8-no-checksum.binlog");
        let mut framer = Framer::new();
        while let Step::Event(event) = framer.next(&log[framer.position() as usize..]).unwrap() {
            if let Event::TableMap(map) = event.decode(framer.format()).unwrap() {
                return map.table().unwrap();
            }
        }
        panic!("no table");
    }

    fn now(name: &str) -> LiveLayout {
        LiveLayout {
            column: LiveColumn { name: name.as_bytes().to_vec(), is_unsigned: true },
            collation: None,
            is_generated: true,
            key: Some((1, Some(5))),
        }
    }

    #[test]
    fn a_log_without_names_gets_those_of_now_and_the_key() {
        let mut table = table();
        assert!(add_layout(&mut table, &[now("id")]));
        assert_eq!(table.columns[0].name.as_deref(), Some(&b"id"[..]));
        assert_eq!(table.columns[0].generated, Some(true));
        assert_eq!(table.primary_key, [KeyPart { column: 0, prefix: Some(5) }]);
    }

    #[test]
    fn what_the_log_tells_goes_before_what_is_now() {
        let mut told = table();
        told.columns[0].name = Some((*b"id").into());
        told.columns[0].unsigned = Some(false);
        let mut same = told.clone();
        assert!(!add_layout(&mut same, &[now("id")]));
        assert_eq!(
            (same.columns[0].unsigned, same.columns[0].generated),
            (Some(false), Some(true))
        );
        assert!(same.primary_key.is_empty(), "the log told names, and no key");
        // Another table by now.
        for layout in [&[now("other")][..], &[now("id"), now("more")], &[]] {
            let mut other = told.clone();
            assert!(!add_layout(&mut other, layout));
            assert_eq!(other, told);
        }
    }
}
