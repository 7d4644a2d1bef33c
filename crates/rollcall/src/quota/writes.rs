//! Which databases of a server were written to, as its plugin `ROLLCALL_WRITES` notes it.
//!
//! ```text
//! {"since":"2026-11-28T15:17:26.000123+00:00","changed":null}              ␠␠␠…⏎   512 bytes a line
//! {"database":"shop","written":"2026-11-28T15:20:01.000456+00:00"}         ␠␠␠…⏎
//! ```
//!
//! The plugin overwrites a line in place in its file (the board), or sends it to a local datagram socket. A note says
//! that a database was written to at that time *and perhaps in the second behind it*. So a database is due one second
//! after a note was seen, once for all notes of that second; who goes on writing is noted again.
//!
//! What the times in the notes say is not used: a note is new where its line is another than at the look before. What
//! stood there at the first look is not told: whoever looks measures everything first.
//!
//! # Invariants
//! * Nothing here waits: not for a lock, a writer, or a pipe that stands where the file should.
//! * Whatever the file or a datagram holds costs at most one measurement a second of the whole server, as a note that
//!   cannot be read is taken for one of a write somewhere. Memory is bounded by the plugin's own bounds.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::render::inert;

/// The length of a line of the board.
const LINE_BYTES: usize = 512;

/// The most lines: its head, and one for each of 8,191 databases.
const LINES_MAX: usize = 8192;

/// The most datagrams that one look takes: the rest waits for the next, so that a flood does not hold it up.
const DATAGRAMS_MAX: usize = 2 * LINES_MAX;

/// What a note may still be true of after it was made.
const SETTLE: Duration = Duration::from_secs(1);

/// How often to look so that a write is known within two seconds.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Where a server's plugin puts its notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Board(PathBuf),
    Socket(PathBuf),
}

impl Place {
    /// From the server's variables (names in lower case), where the plugin is loaded and on.
    pub(crate) fn of(variables: &BTreeMap<String, String>) -> Option<Place> {
        let of = |name| variables.get(name).map(String::as_str).filter(|it| !it.is_empty());
        if of("rollcall_writes_enabled") != Some("ON") {
            return None;
        }
        match of("rollcall_writes_socket") {
            Some(socket) => Some(Place::Socket(socket.into())),
            // In the data directory where it begins with no slash.
            None => Some(Place::Board(Path::new(of("datadir")?).join(of("rollcall_writes_file")?))),
        }
    }
}

/// What is noted of one server.
#[derive(Debug)]
pub(crate) struct Writes {
    from: From,
    /// When a database is due; `None` is "somewhere": all databases.
    due: BTreeMap<Option<Vec<u8>>, Instant>,
}

#[derive(Debug)]
enum From {
    Board(Board),
    Socket(PathBuf, UnixDatagram),
}

impl Writes {
    /// Opens it. A board need not be there yet: the plugin makes it with its first note. A socket is made; an
    /// abandoned one in its place is taken out.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn open(place: &Place) -> Result<Writes, String> {
        let from = match place {
            Place::Board(path) => From::Board(Board::new(path)),
            Place::Socket(path) => {
                let socket = bind(path).map_err(|error| {
                    let path = inert(&path.display().to_string());
                    format!("{path}: no socket for the notes of ROLLCALL_WRITES: {error}")
                })?;
                From::Socket(path.clone(), socket)
            }
        };
        Ok(Writes { from, due: BTreeMap::new() })
    }

    /// Takes what was noted since the look before.
    ///
    /// # Errors
    /// A message where the notes cannot be read: then the interval rules.
    pub(crate) fn look(&mut self, now: Instant) -> Result<(), String> {
        let due = &mut self.due;
        let mut note = |database: Option<Vec<u8>>| {
            // A flood of names is a write everywhere.
            let database =
                database.filter(|it| due.len() < LINES_MAX || due.contains_key(&Some(it.clone())));
            due.entry(database).or_insert(now + SETTLE);
        };
        match &mut self.from {
            From::Board(board) => board.look(&mut note),
            From::Socket(_, socket) => receive(socket, &mut note),
        }
    }

    /// When the next database is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// The databases to be measured now, each once; `None` is all of the server's.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Option<Vec<u8>>> {
        let due: Vec<_> = self.due.iter().filter(|(_, at)| **at <= now).collect();
        let due: Vec<Option<Vec<u8>>> = due.into_iter().map(|(name, _)| name.clone()).collect();
        for database in &due {
            self.due.remove(database);
        }
        due
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        if let From::Socket(path, _) = &self.from {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A note as it is written.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Note {
    Written { database: String },
    Head { since: String, changed: Option<String> },
}

/// The database of a note; `None`: somewhere. A line that cannot be read is an error.
fn parse(line: &[u8]) -> Result<Note, ()> {
    serde_json::from_slice(line.trim_ascii_end()).map_err(|_| ())
}

fn database(note: Result<Note, ()>) -> Option<Vec<u8>> {
    match note {
        // A name that the plugin found too long for a line is left empty.
        Ok(Note::Written { database }) if !database.is_empty() => Some(database.into_bytes()),
        _ => None,
    }
}

/// The plugin's file.
#[derive(Debug)]
struct Board {
    path: PathBuf,
    /// A hash of each line; `None` before the first look.
    lines: Option<Vec<u64>>,
    /// Since when it tells.
    since: String,
    /// The file at the look before.
    seen: Option<(u64, u64, u64, i64, i64)>,
    /// It had been so for a while when it was read.
    rests: bool,
}

impl Board {
    fn new(path: &Path) -> Board {
        let since = String::new();
        Board { path: path.to_owned(), lines: None, since, seen: None, rests: false }
    }

    fn look(&mut self, note: &mut impl FnMut(Option<Vec<u8>>)) -> Result<(), String> {
        let bytes = match self.read() {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Nothing is noted yet: all that will be is new.
                self.lines.get_or_insert_default();
                return Ok(());
            }
            Err(error) => {
                let path = inert(&self.path.display().to_string());
                return Err(format!("{path}: the notes of ROLLCALL_WRITES: {error}"));
            }
        };
        let lines: Vec<&[u8]> = bytes.chunks(LINE_BYTES).take(LINES_MAX).collect();
        let hashes: Vec<u64> = lines.iter().map(|line| hash(line)).collect();
        let (since, changed) = match lines.first().map(|line| parse(line)) {
            Some(Ok(Note::Head { since, changed })) => (since, changed),
            _ => (String::new(), None),
        };
        let before = self.lines.replace(hashes);
        let began_anew = std::mem::replace(&mut self.since, since) != self.since;
        let Some(before) = before else { return Ok(()) };
        if began_anew && !before.is_empty() {
            // Of the time between nothing is known.
            note(None);
        }
        let hashes = self.lines.as_ref().expect("set above");
        for (number, line) in lines.iter().enumerate() {
            let is_new = before.get(number) != Some(&hashes[number]);
            // Of a board that was not there the head alone says nothing.
            let is_first_head = number == 0 && before.is_empty() && changed.is_none();
            // A place that no database has yet.
            let is_empty = line.iter().all(|&byte| byte == 0);
            if is_new && !is_first_head && !is_empty {
                note(database(parse(line)));
            }
        }
        Ok(())
    }

    /// What it holds; `None`: the same as before.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = File::options().read(true).custom_flags(flags).open(&self.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let seen = Some(stamp(&metadata));
        if self.rests && self.seen == seen {
            return Ok(None);
        }
        // Times of files move by ticks: a second write in the same tick does not show.
        let age = metadata.modified().ok().and_then(|it| it.elapsed().ok());
        (self.seen, self.rests) = (seen, age.is_some_and(|it| it > SETTLE));
        let mut bytes = Vec::new();
        file.take((LINE_BYTES * LINES_MAX) as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

fn stamp(it: &Metadata) -> (u64, u64, u64, i64, i64) {
    (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec())
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(line);
    hasher.finish()
}

/// Binds the socket so that the server's user can send to it.
fn bind(path: &Path) -> io::Result<UnixDatagram> {
    let is_abandoned = || {
        let is_socket = path.symlink_metadata().is_ok_and(|it| it.file_type().is_socket());
        let refuses = |socket: UnixDatagram| {
            socket.connect(path).is_err_and(|it| it.kind() == ErrorKind::ConnectionRefused)
        };
        is_socket && UnixDatagram::unbound().is_ok_and(refuses)
    };
    let socket = match UnixDatagram::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_abandoned() => {
            std::fs::remove_file(path)?;
            UnixDatagram::bind(path)?
        }
        bound => bound?,
    };
    // Who sends what is not true has a database measured too often, no more.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn receive(socket: &UnixDatagram, note: &mut impl FnMut(Option<Vec<u8>>)) -> Result<(), String> {
    let mut buffer = [0; LINE_BYTES];
    for _ in 0..DATAGRAMS_MAX {
        match socket.recv(&mut buffer) {
            // What is longer is cut, and no note.
            Ok(length) => note(database(parse(&buffer[..length]))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("the notes of ROLLCALL_WRITES: {error}")),
        }
    }
    Ok(())
}

#[cfg(all(test, feature = "real-server"))]
mod real;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn line(text: &str) -> Vec<u8> {
        let mut line = text.as_bytes().to_vec();
        line.resize(LINE_BYTES - 1, b' ');
        line.push(b'\n');
        line
    }

    fn written(database: &str, second: u32) -> Vec<u8> {
        let time = format!("2026-11-28T15:20:{second:02}.000456+00:00");
        line(&format!(r#"{{"database":"{database}","written":"{time}"}}"#))
    }

    fn head(since: u32, changed: &str) -> Vec<u8> {
        let time = format!("2026-11-28T15:{since:02}:00.000123+00:00");
        line(&format!(r#"{{"since":"{time}","changed":{changed}}}"#))
    }

    /// A board with what was noted, and a reader.
    struct Bench {
        _folder: tempfile::TempDir,
        path: PathBuf,
        writes: Writes,
        now: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("rollcall_writes.json");
            let writes = Writes::open(&Place::Board(path.clone())).unwrap();
            Bench { _folder: folder, path, writes, now: Instant::now() }
        }

        fn put(&self, place: u64, line: &[u8]) {
            let file = File::options().create(true).truncate(false).write(true).open(&self.path);
            file.unwrap().write_all_at(line, place * LINE_BYTES as u64).unwrap();
        }

        /// What is due a second after what is noted now.
        fn told(&mut self) -> Vec<String> {
            self.writes.look(self.now).unwrap();
            self.now += SETTLE;
            let due = self.writes.take_due(self.now).into_iter();
            due.map(|it| it.map_or("*".into(), |it| String::from_utf8(it).unwrap())).collect()
        }
    }

    #[test]
    fn a_database_is_due_once_the_second_of_its_note_is_over() {
        let mut bench = Bench::new();
        assert!(bench.told().is_empty());
        bench.put(0, &head(1, "null"));
        bench.put(1, &written("shop", 1));
        let begin = bench.now;
        bench.writes.look(begin).unwrap();
        assert_eq!(bench.writes.next(), Some(begin + SETTLE));
        assert!(bench.writes.take_due(begin + SETTLE - Duration::from_millis(1)).is_empty());
        // Noted again: due when the first note is, and then again.
        bench.put(1, &written("shop", 2));
        bench.writes.look(begin + Duration::from_millis(900)).unwrap();
        assert_eq!(bench.writes.take_due(begin + SETTLE), [Some(b"shop".to_vec())]);
        assert_eq!(bench.writes.next(), None);
        assert!(bench.told().is_empty());
        bench.put(1, &written("shop", 3));
        bench.put(2, &written("caf\u{e9} \\\"x\\u0001", 3));
        assert_eq!(bench.told(), ["caf\u{e9} \"x\u{1}", "shop"]);
        assert!(bench.told().is_empty());
        bench.put(0, &head(1, "\"2026-11-28T15:20:04.000456+00:00\""));
        assert_eq!(bench.told(), ["*"]);
    }

    #[test]
    fn a_change_may_be_what_a_board_begins_with() {
        let mut bench = Bench::new();
        assert!(bench.told().is_empty());
        bench.put(0, &head(1, "\"2026-11-28T15:20:04.000456+00:00\""));
        assert_eq!(bench.told(), ["*"]);
        assert!(bench.told().is_empty());
    }

    #[test]
    fn what_stood_there_before_is_not_told() {
        let mut bench = Bench::new();
        bench.put(0, &head(1, "null"));
        bench.put(1, &written("shop", 1));
        assert!(bench.told().is_empty());
        bench.put(1, &written("shop", 2));
        assert_eq!(bench.told(), ["shop"]);
        // The server was started anew: of the time between nothing is known.
        File::create(&bench.path).unwrap();
        bench.put(0, &head(2, "null"));
        bench.put(1, &written("other", 9));
        assert_eq!(bench.told(), ["*", "other"]);
        assert!(bench.told().is_empty());
    }

    #[test]
    fn notes_in_one_tick_of_the_file_systems_clock_are_told() {
        let mut bench = Bench::new();
        bench.put(0, &head(1, "null"));
        assert!(bench.told().is_empty());
        let at = std::fs::metadata(&bench.path).unwrap().modified().unwrap();
        for second in 1..4 {
            bench.put(1, &written("shop", second));
            File::options().write(true).open(&bench.path).unwrap().set_modified(at).unwrap();
            assert_eq!(bench.told(), ["shop"], "{second}");
            bench.put(2, &written("cms", second));
            File::options().write(true).open(&bench.path).unwrap().set_modified(at).unwrap();
            assert_eq!(bench.told(), ["cms"], "{second}");
            assert!(bench.told().is_empty());
        }
    }

    #[test]
    fn boards_that_no_plugin_wrote() {
        let mut bench = Bench::new();
        bench.put(0, &head(1, "null"));
        bench.put(1, &written("shop", 1));
        assert!(bench.told().is_empty());
        for bytes in [&b"["[..], &[0xff; LINE_BYTES], &line("[]"), &line("{\"database\":1}")] {
            bench.put(1, bytes);
            assert_eq!(bench.told(), ["*"]);
        }
        // Torn, and whole at the next look.
        bench.put(1, &written("shop", 2)[..40]);
        assert_eq!(bench.told(), ["*"]);
        bench.put(1, &written("shop", 2));
        assert_eq!(bench.told(), ["shop"]);
        bench.put(1, &written("", 3));
        assert_eq!(bench.told(), ["*"]);
        // More lines than the plugin has are not looked at; those without a note are no note.
        bench.put(LINES_MAX as u64, &written("far", 1));
        assert!(bench.told().is_empty());
        bench.put(LINES_MAX as u64 - 1, &written("last", 1));
        assert_eq!(bench.told(), ["last"]);
        File::create(&bench.path).unwrap();
        assert_eq!(bench.told(), ["*"]);

        std::fs::remove_file(&bench.path).unwrap();
        assert!(bench.told().is_empty());
        nix::unistd::mkfifo(&bench.path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = bench.writes.look(bench.now).unwrap_err();
        assert!(error.contains("not a regular file"), "{error}");
        std::fs::remove_file(&bench.path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &bench.path).unwrap();
        assert!(bench.writes.look(bench.now).is_err());
    }

    #[test]
    fn datagrams_are_notes_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        // One that its process has left behind.
        drop(UnixDatagram::bind(&path).unwrap());
        let mut writes = Writes::open(&Place::Socket(path.clone())).unwrap();
        // One that is in use stays.
        let error = Writes::open(&Place::Socket(path.clone())).unwrap_err();
        assert!(error.contains("no socket for the notes"), "{error}");
        let now = Instant::now();
        writes.look(now).unwrap();
        assert_eq!(writes.next(), None);
        let sender = UnixDatagram::unbound().unwrap();
        let mut send = |line: &[u8]| {
            sender.send_to(line, &path).unwrap();
            writes.look(now).unwrap();
            writes.take_due(now + SETTLE)
        };
        let shop = Some(b"shop".to_vec());
        assert_eq!(send(written("shop", 1).trim_ascii_end()), std::slice::from_ref(&shop));
        assert_eq!(send(&written("shop", 1)), [shop]);
        assert_eq!(send(head(1, "\"x\"").trim_ascii_end()), [None]);
        assert_eq!(send(b""), [None]);
        assert_eq!(send(&[&written("shop", 1)[..], b"x"].concat()), [Some(b"shop".to_vec())]);
        assert_eq!(send(&[b'x'; 4096]), [None]);
        drop(writes);
        assert!(!path.exists());
        std::fs::write(&path, "a file").unwrap();
        assert!(Writes::open(&Place::Socket(path)).is_err());
    }

    #[test]
    fn names_are_bounded() {
        let mut writes = Writes::open(&Place::Board("/nowhere".into())).unwrap();
        let now = Instant::now();
        for number in 0..LINES_MAX as u32 {
            writes.due.insert(Some(number.to_be_bytes().to_vec()), now);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let Writes { from, .. } = &mut writes;
        *from = From::Socket(path.clone(), bind(&path).unwrap());
        let sender = UnixDatagram::unbound().unwrap();
        for database in ["one more", "another"] {
            sender.send_to(&written(database, 1), &path).unwrap();
        }
        writes.look(now).unwrap();
        assert_eq!(writes.due.len(), LINES_MAX + 1);
        assert!(writes.due.contains_key(&None));
    }

    #[test]
    fn the_plugins_variables_say_where() {
        let variables = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Place::of(&pairs.collect())
        };
        let on = [("rollcall_writes_enabled", "ON"), ("datadir", "/var/lib/mysql/")];
        let file = ("rollcall_writes_file", "w.json");
        let board = Some(Place::Board("/var/lib/mysql/w.json".into()));
        assert_eq!(variables(&[on[0], on[1], file]), board);
        let absolute = variables(&[on[0], on[1], ("rollcall_writes_file", "/run/w")]);
        assert_eq!(absolute, Some(Place::Board("/run/w".into())));
        let socket = variables(&[on[0], on[1], file, ("rollcall_writes_socket", "/run/s")]);
        assert_eq!(socket, Some(Place::Socket("/run/s".into())));
        assert_eq!(variables(&[on[1], file]), None);
        assert_eq!(variables(&[on[1], file, ("rollcall_writes_enabled", "OFF")]), None);
        assert_eq!(variables(&[on[0], on[1]]), None);
    }
}
