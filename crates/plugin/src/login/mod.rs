//! The plugin `SIMPLE_LOGIN_AUDIT`: each login, refusal, logout and change of user as a line.

mod configuration;
pub(crate) mod counters;
mod event;
mod sessions;
mod skip;
pub(crate) mod variables;

use std::ffi::{c_int, c_uint, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use formats::{LOGIN_LINE_BYTES_MAX, LoginKind, LoginRecord, login_line};

use crate::abi::{CONNECTION_CLASS, maria, mysql};
use crate::clock::{Clock, Moment};
use crate::guard::{self, guard, lock};
use crate::output::{Output, Rotation};
use crate::{say, sys};
use configuration::Configuration;
use counters::COUNTERS;
use event::Event;
use sessions::{Sessions, State};
use skip::SkipList;

/// The longest host name of the machine.
const HOST_BYTES_MAX: usize = 256;

/// Everything between `init` and `deinit`.
static AUDIT: Mutex<Option<Audit>> = Mutex::new(None);

struct Audit {
    output: Output,
    clock: Clock,
    sessions: Sessions,
    skip: SkipList,
    host: [u8; HOST_BYTES_MAX],
    host_bytes: usize,
    /// The server's name as configured; empty where it is not.
    server: &'static [u8],
    server_id: Option<&'static AtomicU64>,
    line: Box<[u8; LOGIN_LINE_BYTES_MAX]>,
}

impl Audit {
    /// Counts an event and puts its line out.
    fn take(&mut self, event: &Event<'_>) {
        let now = self.clock.now();
        let kind = event.kind();
        let mut duration_ms = None;
        match kind {
            LoginKind::Successful => {
                let is_skipped = self.skip.holds(event);
                let state = if is_skipped { State::Skipped } else { State::Open };
                self.sessions.begin(event.connection, state, now.steady_ms);
                if is_skipped {
                    COUNTERS.skipped.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
            // MariaDB tells of the end of a refused connection as well, which is no logout.
            LoginKind::Failed => {
                if event.tells_end_of_refused {
                    self.sessions.begin(event.connection, State::Refused, now.steady_ms);
                }
            }
            LoginKind::ChangeUser => {
                // Whoever it has become, it may not hide behind the name it came with.
                self.sessions.show(event.connection);
            }
            LoginKind::Logout => {
                match self.sessions.end(event.connection) {
                    Some((State::Refused, _)) => return,
                    Some((State::Skipped, _)) => {
                        COUNTERS.skipped.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    Some((State::Open, since)) => {
                        duration_ms = Some(now.steady_ms.saturating_sub(since));
                    }
                    None => {}
                }
                if !variables::LOGOUTS.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
        self.put(event, kind, duration_ms, &now);
    }

    fn put(&mut self, event: &Event<'_>, kind: LoginKind, duration_ms: Option<u64>, now: &Moment) {
        let seq = COUNTERS.begin(kind);
        let is_let_in = event.status == 0;
        let record = LoginRecord {
            time: now.time,
            offset: now.offset,
            kind,
            myhost: &self.host[..self.host_bytes],
            thread: event.connection,
            user: event.user,
            // On failure MySQL passes the name as attempted, others pass nothing: no account let
            // anybody in.
            priv_user: if is_let_in { event.priv_user } else { Some(b"") },
            host: event.host,
            ip: event.ip,
            server: Some(self.server).filter(|server| !server.is_empty()),
            server_id: self.server_id.map(|id| id.load(Ordering::Relaxed)),
            status: event.status,
            database: event.database,
            proxy_user: event.proxy_user,
            external_user: event.external_user,
            connection_type: event.connection_type,
            seq,
            dropped: COUNTERS.dropped.load(Ordering::Relaxed),
            duration_ms,
        };
        let line = login_line(&record, &mut self.line);
        let rotation = Rotation {
            size: variables::ROTATE_SIZE.load(Ordering::Relaxed),
            count: variables::ROTATIONS.load(Ordering::Relaxed),
        };
        let (done, survived) = self.output.put(line, rotation, now.steady_seconds());
        COUNTERS.end(done.is_ok());
        if let Some(fault) = done.err().or(survived) {
            COUNTERS.errors.fetch_add(1, Ordering::Relaxed);
            let path = self.output.path().to_string_lossy();
            let dropped = COUNTERS.dropped.load(Ordering::Relaxed);
            say::seldom(format_args!("{path}: {fault}; {dropped} lines lost until now"));
        }
    }
}

/// One event of either family.
fn notify(event: Option<Event<'_>>) {
    let Some(event) = event else { return };
    if !variables::ENABLED.load(Ordering::Relaxed) {
        return;
    }
    let before = guard::panics();
    guard((), || {
        if let Some(audit) = &mut *lock(&AUDIT) {
            audit.take(&event);
        }
    });
    if guard::panics() != before {
        COUNTERS.errors.fetch_add(1, Ordering::Relaxed);
        // With the lock, so that no other line is between its counts.
        let _held = lock(&AUDIT);
        COUNTERS.settle();
    }
}

/// Tells the plugin of an event of MariaDB.
///
/// # Safety
/// Called by MariaDB, with what it passes for that class.
pub(crate) unsafe extern "C" fn maria_notify(_: *mut c_void, class: c_uint, event: *const c_void) {
    guard((), || {
        if class == CONNECTION_CLASS && !event.is_null() {
            // SAFETY: for this class MariaDB passes this event, which lives as long as the call.
            notify(unsafe { Event::of_maria(&*event.cast::<maria::ConnectionEvent>()) });
        }
    });
}

/// Tells the plugin of an event of MySQL. Always 0: anything else would abort the login.
///
/// # Safety
/// Called by MySQL, with what it passes for that class.
pub(crate) unsafe extern "C" fn mysql_notify(
    _: *mut c_void,
    class: c_uint,
    event: *const c_void,
) -> c_int {
    guard((), || {
        if class == CONNECTION_CLASS && !event.is_null() {
            // SAFETY: for this class MySQL passes this event, which lives as long as the call.
            notify(unsafe { Event::of_mysql(&*event.cast::<mysql::ConnectionEvent>()) });
        }
    });
    0
}

/// Begins. A file that cannot be opened is said and tried again with each second's first event: a
/// file system that is full or not mounted yet must not end the audit for the life of the server.
///
/// # Safety
/// Called by a server that has given the variables their values.
pub(crate) unsafe extern "C" fn init(_: *mut c_void) -> c_int {
    guard(1, || {
        guard::install_hook();
        say::reset();
        COUNTERS.reset();
        let configuration = Configuration::read();
        // SAFETY: we are in `init`.
        let settings = unsafe { variables::take_over(&configuration) };
        let mut host = [0; HOST_BYTES_MAX];
        let host_bytes = sys::host_name(&mut host);
        let mut output = Output::new(settings.file.into(), settings.socket.into());
        if let Err(fault) = output.open() {
            COUNTERS.errors.fetch_add(1, Ordering::Relaxed);
            let path = output.path().to_string_lossy();
            say::always(format_args!("{path}: {fault}; logins are not written until it opens"));
        }
        *lock(&AUDIT) = Some(Audit {
            output,
            clock: Clock::new(),
            sessions: Sessions::new(),
            skip: settings.skip,
            host,
            host_bytes,
            server: settings.server.to_bytes(),
            server_id: sys::server_id(),
            line: boxed_line(),
        });
        0
    })
}

/// On the heap from the start: it is too large for a server's stack.
fn boxed_line() -> Box<[u8; LOGIN_LINE_BYTES_MAX]> {
    vec![0; LOGIN_LINE_BYTES_MAX]
        .into_boxed_slice()
        .try_into()
        .unwrap_or_else(|_| unreachable!("made with this length"))
}

/// Ends.
///
/// # Safety
/// Called by a server that calls nothing else of this plugin at the same time.
pub(crate) unsafe extern "C" fn deinit(_: *mut c_void) -> c_int {
    guard(0, || {
        let ended = lock(&AUDIT).take();
        drop(ended);
        0
    })
}

/// Somebody has set the skip list.
fn skip_list_was_set(text: &[u8]) {
    if let Some(audit) = &mut *lock(&AUDIT) {
        audit.skip = SkipList::new(text);
    }
}

/// Somebody wants the file to be opened anew.
fn reopen() {
    if let Some(audit) = &mut *lock(&AUDIT)
        && let Err(fault) = audit.output.reopen()
    {
        COUNTERS.errors.fetch_add(1, Ordering::Relaxed);
        let path = audit.output.path().to_string_lossy();
        say::seldom(format_args!("{path}: {fault}"));
    }
}

/// Somebody has switched the audit on or off. Sessions that end while it is off are not told of, so
/// what is known of them is forgotten.
fn was_switched(value: &AtomicBool, on: bool) {
    let mut audit = lock(&AUDIT);
    value.store(on, Ordering::Relaxed);
    if let Some(audit) = &mut *audit
        && !on
    {
        audit.sessions.forget();
    }
}
