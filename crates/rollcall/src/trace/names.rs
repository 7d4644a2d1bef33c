//! Names of columns that a log does not tell, from the live server: as they are now.

use std::collections::HashMap;

use binlog::Table;
use live::columns::LiveColumn;

/// How many tables' names are held.
const TABLES_MAX: usize = 10_000;

/// Schema and table, raw.
type Key = (Vec<u8>, Vec<u8>);

/// A server that is asked, once a table.
#[derive(Default)]
pub(crate) struct Names {
    server: Option<live::Server>,
    known: HashMap<Key, Option<Vec<LiveColumn>>>,
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

    /// The server, for other questions.
    pub(crate) fn server(&mut self) -> Option<&mut live::Server> {
        self.server.as_mut()
    }
}
