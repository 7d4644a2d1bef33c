//! Lines at the end of a file: one write(2) a line, O_APPEND, so that lines of several writers do
//! not mix.
//!
//! # Invariants
//! * Only a regular file is ever written to.
//! * A line is written whole, or it is told as lost. Where a part of it got into the file, the next
//!   line begins with a line break, also after a crash of the server.
//! * Where the path names another file than ours (logrotate), it is opened within a second; until
//!   then lines go to the file that has been renamed, so none is lost. Where it cannot be opened,
//!   lines go on to the old one as long as that has a name.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use super::Fault;
use crate::sys::{self, Mode, Status};

/// The most rotated files that are kept: their names have at most three digits.
pub(crate) const ROTATIONS_MAX: u64 = 999;

/// When the file is to be rotated by ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Before the file gets longer than so many bytes; 0 for never.
    pub(crate) size: u64,
    /// How many rotated files are kept.
    pub(crate) count: u64,
}

/// The file that is open.
#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    device: u64,
    inode: u64,
    size: u64,
    /// Whether it ends in the middle of a line.
    torn: bool,
}

/// A file that lines are appended to.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: CString,
    open: Option<Open>,
    /// The second in which the path was looked at last.
    looked_at: u64,
    /// The second in which rotating failed last.
    not_rotated_at: Option<u64>,
}

impl LogFile {
    pub(crate) fn new(path: CString) -> LogFile {
        LogFile { path, open: None, looked_at: 0, not_rotated_at: None }
    }

    pub(crate) fn path(&self) -> &CStr {
        &self.path
    }

    /// Opens the file where it is not open.
    pub(crate) fn open(&mut self) -> Result<(), Fault> {
        if self.open.is_none() { self.reopen() } else { Ok(()) }
    }

    /// Opens what the path names now.
    pub(crate) fn reopen(&mut self) -> Result<(), Fault> {
        match opened(&self.path) {
            Ok(open) => {
                self.open = Some(open);
                Ok(())
            }
            Err(fault) => {
                // A file without a name is nobody's: what goes there is lost.
                let is_gone =
                    |open: &Open| sys::status_of(&open.fd).is_ok_and(|status| status.links == 0);
                if self.open.as_ref().is_some_and(is_gone) {
                    self.open = None;
                }
                Err(fault)
            }
        }
    }

    /// Appends a line; `second` is of a clock that nobody sets. The second fault is one that the
    /// line has survived.
    pub(crate) fn put(
        &mut self,
        line: &[u8],
        rotation: Rotation,
        second: u64,
    ) -> (Result<(), Fault>, Option<Fault>) {
        let mut survived = None;
        if second != self.looked_at {
            self.looked_at = second;
            survived = self.look().err();
        }
        if self.is_due(line, rotation, second)
            && let Err(fault) = self.rotate(rotation.count)
        {
            self.not_rotated_at = Some(second);
            survived = Some(fault);
        }
        let Some(open) = &mut self.open else {
            return (Err(survived.unwrap_or(Fault::NotRegular)), None);
        };
        (append(open, line), survived)
    }

    /// Opens the path where it names another file than ours, or where we have none.
    fn look(&mut self) -> Result<(), Fault> {
        let Some(open) = &mut self.open else { return self.reopen() };
        match sys::status(&self.path) {
            Ok(status) if (status.device, status.inode) == (open.device, open.inode) => {
                // Somebody else may have appended to it, or cut it.
                open.size = status.size;
                Ok(())
            }
            _ => self.reopen(),
        }
    }

    fn is_due(&self, line: &[u8], rotation: Rotation, second: u64) -> bool {
        let size = self.open.as_ref().map_or(0, |open| open.size);
        rotation.size > 0
            && size > 0
            && size.saturating_add(line.len() as u64) > rotation.size
            && self.not_rotated_at != Some(second)
    }

    /// Renames the file to `.1`, `.1` to `.2` and so on, and begins a new one.
    fn rotate(&mut self, count: u64) -> Result<(), Fault> {
        let refused = |errno| Fault::Refused("rename", errno);
        // Somebody else may be rotating the same file at the same time: what we have open is looked
        // at once more, so that a new file is not rotated for the old one's size.
        self.look()?;
        for number in (1..count.clamp(1, ROTATIONS_MAX)).rev() {
            let (from, to) = (Name::new(&self.path, number), Name::new(&self.path, number + 1));
            match sys::rename(from?.as_c_str(), to?.as_c_str()) {
                Ok(()) | Err(libc::ENOENT) => {}
                Err(errno) => return Err(refused(errno)),
            }
        }
        sys::rename(&self.path, Name::new(&self.path, 1)?.as_c_str()).map_err(refused)?;
        self.reopen()
    }
}

/// Opens a regular file at its end.
fn opened(path: &CStr) -> Result<Open, Fault> {
    let refused = |errno| Fault::Refused("open", errno);
    if path.is_empty() {
        return Err(Fault::BadPath);
    }
    // Opening alone can do something to a device, so what is there is looked at before.
    if sys::status(path).is_ok_and(|status| !status.is_regular) {
        return Err(Fault::NotRegular);
    }
    let (fd, is_readable) = match sys::open(path, Mode::Append) {
        Err(libc::EACCES) => (sys::open(path, Mode::AppendOnly).map_err(refused)?, false),
        fd => (fd.map_err(refused)?, true),
    };
    let Status { device, inode, size, is_regular, .. } =
        sys::status_of(&fd).map_err(|errno| Fault::Refused("fstat", errno))?;
    if !is_regular {
        return Err(Fault::NotRegular);
    }
    let mut last = [0];
    let ends_well = size == 0
        || (is_readable && sys::read_at(&fd, &mut last, size - 1) == Ok(1) && last == *b"\n");
    Ok(Open { fd, device, inode, size, torn: !ends_well })
}

/// One write(2).
fn append(open: &mut Open, line: &[u8]) -> Result<(), Fault> {
    let lead: &[u8] = if open.torn { b"\n" } else { b"" };
    let length = lead.len() + line.len();
    match sys::write(&open.fd, [lead, line]) {
        Ok(taken) => {
            open.size += taken as u64;
            // What was taken may end with the line break that parts it from the torn line.
            open.torn = taken < length && (open.torn || taken > 0);
            if taken < length { Err(Fault::Torn) } else { Ok(()) }
        }
        Err(errno) => Err(Fault::Refused("write", errno)),
    }
}

/// The name of a rotated file, made without allocating.
struct Name {
    bytes: [u8; libc::PATH_MAX as usize],
}

impl Name {
    fn new(path: &CStr, number: u64) -> Result<Name, Fault> {
        let mut bytes = [0; libc::PATH_MAX as usize];
        let path = path.to_bytes();
        let digits = number.checked_ilog10().map_or(1, |log| log as usize + 1);
        // The last byte stays NUL.
        if path.len() + 1 + digits >= bytes.len() {
            return Err(Fault::BadPath);
        }
        bytes[..path.len()].copy_from_slice(path);
        bytes[path.len()] = b'.';
        let mut rest = number;
        for at in (0..digits).rev() {
            bytes[path.len() + 1 + at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Ok(Name { bytes })
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    const NEVER: Rotation = Rotation { size: 0, count: 9 };

    struct Scene {
        _folder: tempfile::TempDir,
        path: PathBuf,
        file: LogFile,
        second: u64,
    }

    impl Scene {
        fn new() -> Scene {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("audit_login.log");
            let file = LogFile::new(c_path(&path));
            Scene { _folder: folder, path, file, second: 1 }
        }

        fn put(&mut self, line: &str) -> Result<(), Fault> {
            self.file.put(line.as_bytes(), NEVER, self.second).0
        }

        fn text(&self, suffix: &str) -> String {
            fs::read_to_string(format!("{}{suffix}", self.path.display())).unwrap()
        }
    }

    fn c_path(path: &Path) -> CString {
        CString::new(path.to_str().unwrap()).unwrap()
    }

    #[test]
    fn a_file_is_made_with_its_mode() {
        let mut scene = Scene::new();
        scene.put("a\n").unwrap();
        scene.put("b\n").unwrap();
        assert_eq!(scene.text(""), "a\nb\n");
        let mode = fs::metadata(&scene.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
    }

    #[test]
    fn a_renamed_file_is_left_within_a_second() {
        let mut scene = Scene::new();
        scene.put("a\n").unwrap();
        let old = format!("{}.old", scene.path.display());
        fs::rename(&scene.path, old).unwrap();
        scene.put("b\n").unwrap();
        scene.second += 1;
        scene.put("c\n").unwrap();
        assert_eq!((scene.text(".old").as_str(), scene.text("").as_str()), ("a\nb\n", "c\n"));
    }

    #[test]
    fn what_cannot_be_opened_anew_goes_to_the_old_file_while_it_has_a_name() {
        let mut scene = Scene::new();
        scene.put("a\n").unwrap();
        let old = format!("{}.old", scene.path.display());
        fs::rename(&scene.path, &old).unwrap();
        fs::create_dir(&scene.path).unwrap();
        scene.second += 1;
        let (done, survived) = scene.file.put(b"b\n", NEVER, scene.second);
        assert_eq!((done, survived), (Ok(()), Some(Fault::NotRegular)));
        assert_eq!(fs::read_to_string(&old).unwrap(), "a\nb\n");
        fs::remove_file(&old).unwrap();
        scene.second += 1;
        assert_eq!(scene.put("c\n"), Err(Fault::NotRegular));
        fs::remove_dir(&scene.path).unwrap();
        // It is looked at once a second only.
        assert_eq!(scene.put("d\n"), Err(Fault::NotRegular));
        scene.second += 1;
        assert_eq!(scene.put("e\n"), Ok(()));
        assert_eq!(scene.text(""), "e\n");
    }

    #[test]
    fn a_torn_end_is_parted_from_the_next_line() {
        let mut scene = Scene::new();
        fs::write(&scene.path, "half").unwrap();
        scene.put("a\n").unwrap();
        scene.put("b\n").unwrap();
        assert_eq!(scene.text(""), "half\na\nb\n");
    }

    #[test]
    fn no_regular_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        // SAFETY: a path that ends with NUL.
        assert_eq!(unsafe { libc::mkfifo(c_path(&fifo).as_ptr(), 0o600) }, 0);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        for path in [&fifo, folder.path(), Path::new("/dev/full"), &link, Path::new("/dev/tty")] {
            assert_eq!(LogFile::new(c_path(path)).open(), Err(Fault::NotRegular), "{path:?}");
        }
        assert_eq!(LogFile::new(CString::default()).open(), Err(Fault::BadPath));
    }

    #[test]
    fn rotation() {
        let mut scene = Scene::new();
        let rotation = Rotation { size: 6, count: 2 };
        for line in ["aa\n", "bb\n", "cc\n", "a long line\n", "dd\n", "ee\n", "ff\n"] {
            let told = scene.file.put(line.as_bytes(), rotation, scene.second);
            assert_eq!(told, (Ok(()), None));
        }
        assert_eq!(scene.text(""), "ff\n");
        assert_eq!(scene.text(".1"), "dd\nee\n");
        assert_eq!(scene.text(".2"), "a long line\n");
        assert!(!Path::new(&format!("{}.3", scene.path.display())).exists());
    }

    #[test]
    fn a_rotation_that_fails_loses_nothing() {
        let mut scene = Scene::new();
        fs::create_dir(format!("{}.1", scene.path.display())).unwrap();
        let rotation = Rotation { size: 2, count: 1 };
        assert_eq!(scene.file.put(b"a\n", rotation, 1), (Ok(()), None));
        let failed = Some(Fault::Refused("rename", libc::EISDIR));
        assert_eq!(scene.file.put(b"b\n", rotation, 1), (Ok(()), failed));
        assert_eq!(scene.file.put(b"c\n", rotation, 1), (Ok(()), None));
        assert_eq!(scene.file.put(b"d\n", rotation, 2), (Ok(()), failed));
        assert_eq!(scene.text(""), "a\nb\nc\nd\n");
    }

    #[test]
    fn names_of_rotated_files() {
        let name = |path: &str, number| {
            Name::new(&CString::new(path).unwrap(), number)
                .map(|name| name.as_c_str().to_str().unwrap().to_owned())
        };
        assert_eq!(name("log", 1), Ok("log.1".to_owned()));
        assert_eq!(name("log", 10), Ok("log.10".to_owned()));
        assert_eq!(name("log", ROTATIONS_MAX), Ok("log.999".to_owned()));
        let longest = "x".repeat(libc::PATH_MAX as usize - 3);
        assert_eq!(name(&longest, 1), Ok(format!("{longest}.1")));
        assert_eq!(name(&longest, 10), Err(Fault::BadPath));
    }
}
