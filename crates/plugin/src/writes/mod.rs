//! The plugin `ROLLCALL_WRITES`: which databases are written to, so that only these need to be
//! measured again.
//!
//! # What a note says
//! *This database was written to at that time, and perhaps in the second behind it*: further writes
//! in that second are not noted. Who measures waits until it is over. MariaDB tells of a statement
//! when it begins, so a long one may write long after its note.
//!
//! # What it does not see
//! * MariaDB: temporary tables, `CREATE DATABASE` and `DROP DATABASE`.
//! * MySQL tells of `CREATE TABLE`, `ALTER TABLE`, `DROP` and the like without a database: they are
//!   noted as a change somewhere.

mod board;
mod databases;
pub(crate) mod variables;

use std::ffi::{c_int, c_uint, c_void};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::abi::{Text, maria, mysql};
use crate::clock::Clock;
use crate::guard::{self, guard, lock};
use crate::{say, sys};
use board::Board;
use databases::{Databases, Place};
use variables::{COUNTERS, ENABLED};

/// A database is noted once in so many milliseconds.
const PAUSE_MS: u64 = 1000;

/// Databases of the servers' own.
const SYSTEM: [&[u8]; 4] = [b"mysql", b"information_schema", b"performance_schema", b"sys"];

/// Everything between `init` and `deinit`; null outside. Servers call nothing else of a plugin
/// while they call these two.
static WRITES: AtomicPtr<Writes> = AtomicPtr::new(ptr::null_mut());

struct Writes {
    databases: Databases,
    out: Mutex<Out>,
}

struct Out {
    board: Board,
    clock: Clock,
}

impl Writes {
    /// A database was written to; `None` where it is not known which.
    fn note(&self, database: Option<&[u8]>) {
        let (seconds, nanoseconds) = sys::clock(libc::CLOCK_MONOTONIC_COARSE);
        let now = seconds.unsigned_abs() * 1000 + nanoseconds.unsigned_abs() / 1_000_000;
        let place = match database {
            Some(name) if SYSTEM.contains(&name) => return,
            Some(name) => self.databases.find(name),
            None => Place::SOMEWHERE,
        };
        if self.databases.is_fresh(place, now, PAUSE_MS) {
            return;
        }
        let mut out = lock(&self.out);
        // With the lock: two may have come so far.
        let place = match (place, database) {
            (Place::UNKNOWN, Some(name)) => self.databases.add(name),
            _ => place,
        };
        if self.databases.is_fresh(place, now, PAUSE_MS) {
            return;
        }
        let moment = out.clock.now();
        let named = database.filter(|_| place != Place::SOMEWHERE);
        match out.board.note(place.number(), named, &moment) {
            Ok(()) => {
                self.databases.noted(place, now);
                COUNTERS.noted.fetch_add(1, Ordering::Relaxed);
            }
            // The next write tries again.
            Err(fault) => {
                COUNTERS.errors.fetch_add(1, Ordering::Relaxed);
                let path = out.board.path().to_string_lossy();
                say::seldom(format_args!("{path}: {fault}; writes are not noted"));
            }
        }
    }
}

/// Notes a write, where the plugin is loaded and on.
fn note(database: Option<&[u8]>) {
    if !ENABLED.load(Ordering::Relaxed) {
        return;
    }
    let writes = WRITES.load(Ordering::Acquire);
    if !writes.is_null() {
        // SAFETY: made in `init`, and freed in `deinit` only, while no event is told of.
        unsafe { (*writes).note(database) };
    }
}

/// Tells the plugin of an event of MariaDB.
///
/// # Safety
/// Called by MariaDB, with what it passes for that class.
pub(crate) unsafe extern "C" fn maria_notify(_: *mut c_void, class: c_uint, event: *const c_void) {
    guard((), || {
        if class != maria::TABLE_CLASS || event.is_null() {
            return;
        }
        // SAFETY: for this class MariaDB passes this event, which lives as long as the call.
        let event = unsafe { &*event.cast::<maria::TableEvent>() };
        if event.subclass == maria::TABLE_LOCK && event.read_only != 0 {
            return;
        }
        // SAFETY: as above.
        let text = |text: Text| unsafe { text.bytes() }.filter(|text| !text.is_empty());
        note(text(event.database));
        if event.subclass == maria::TABLE_RENAME
            && let Some(database) = text(event.new_database)
        {
            note(Some(database));
        }
    });
}

/// Tells the plugin of an event of MySQL. Always 0: anything else would abort the statement.
///
/// # Safety
/// Called by MySQL, with what it passes for that class.
pub(crate) unsafe extern "C" fn mysql_notify(
    _: *mut c_void,
    class: c_uint,
    event: *const c_void,
) -> c_int {
    guard((), || {
        if event.is_null() {
            return;
        }
        match class {
            mysql::TABLE_ACCESS_CLASS => {
                // SAFETY: for this class MySQL passes this event, which lives as long as the call.
                let event = unsafe { &*event.cast::<mysql::TableAccessEvent>() };
                // SAFETY: as above.
                let database = unsafe { event.database.bytes() };
                note(database.filter(|database| !database.is_empty()));
            }
            mysql::GENERAL_CLASS => {
                // SAFETY: as for the other class.
                let event = unsafe { &*event.cast::<mysql::GeneralEvent>() };
                // SAFETY: as above.
                let command = unsafe { event.sql_command.bytes() };
                if event.subclass == mysql::GENERAL_STATUS && command.is_some_and(changes_size) {
                    note(None);
                }
            }
            _ => {}
        }
    });
    0
}

/// Whether a statement of this kind makes a database larger or smaller and is not told of as access
/// to a table. The words are MySQL's, those of `performance_schema` behind `statement/sql/`.
fn changes_size(command: &[u8]) -> bool {
    const COMMANDS: [&[u8]; 11] = [
        b"alter_db",
        b"alter_table",
        b"create_db",
        b"create_index",
        b"create_table",
        b"drop_db",
        b"drop_index",
        b"drop_table",
        b"optimize",
        b"rename_table",
        b"truncate",
    ];
    COMMANDS.contains(&command)
}

/// Begins. Notes of an earlier life are gone: the first line of the file says since when it tells.
///
/// # Safety
/// Called by a server that has given the variables their values.
pub(crate) unsafe extern "C" fn init(_: *mut c_void) -> c_int {
    guard(1, || {
        guard::install_hook();
        COUNTERS.reset();
        // SAFETY: we are in `init`.
        let (file, socket) = unsafe { variables::paths() };
        let mut clock = Clock::new();
        let board = Board::new(file.into(), socket.into(), clock.now());
        let writes =
            Box::new(Writes { databases: Databases::new(), out: Mutex::new(Out { board, clock }) });
        let before = WRITES.swap(Box::into_raw(writes), Ordering::AcqRel);
        free(before);
        0
    })
}

/// Ends.
///
/// # Safety
/// Called by a server that calls nothing else of this plugin at the same time.
pub(crate) unsafe extern "C" fn deinit(_: *mut c_void) -> c_int {
    guard(0, || {
        free(WRITES.swap(ptr::null_mut(), Ordering::AcqRel));
        0
    })
}

fn free(writes: *mut Writes) {
    if !writes.is_null() {
        // SAFETY: it came from a box, and the swap has given it to nobody else.
        drop(unsafe { Box::from_raw(writes) });
    }
}
