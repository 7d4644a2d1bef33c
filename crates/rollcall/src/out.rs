//! Standard output, standard error, and files that are there whole or not at all.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::render::{Answer, Format, inert};

/// The narrowest terminal that tables are fitted into; they are cut off on narrower ones.
const WIDTH_MIN: u16 = 40;

/// The width of terminals that do not tell theirs: serial lines.
const WIDTH_USUAL: usize = 80;

/// Where text goes. All of it passes here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// Notes are left out, errors are not.
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
}

impl Out {
    /// Puts an answer on standard output.
    ///
    /// # Errors
    /// Those of writing; [`io::ErrorKind::BrokenPipe`] where the reader has gone.
    pub(crate) fn answer(&self, answer: &Answer, format: Format) -> io::Result<()> {
        let mut stdout = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        answer.write(format, terminal_width(), &mut stdout)?;
        stdout.flush()
    }

    /// Puts further rows of an answer that is put out piece by piece, as CSV without a heading.
    ///
    /// # Errors
    /// As [`Out::answer`].
    pub(crate) fn more(&self, answer: &Answer) -> io::Result<()> {
        let mut stdout = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        answer.write_more_csv(&mut stdout)?;
        stdout.flush()
    }

    /// A note on standard error.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// A detail on standard error, with `-v`.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose > 0 {
            self.error(text);
        }
    }

    /// An error on standard error.
    pub(crate) fn error(&self, text: &str) {
        // Where standard error is gone there is nobody left to tell.
        let _ = writeln!(io::stderr().lock(), "rollcall: {}", inert(text));
    }
}

/// A line of the watch's own log, on standard error, in one piece.
pub(crate) fn log_line(line: &str) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// The width of the terminal that standard output is; `None` where it is none.
fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| {
        let size = terminal_size::terminal_size_of(stdout);
        size.map_or(WIDTH_USUAL, |(width, _)| usize::from(width.0.max(WIDTH_MIN)))
    })
}

/// Writes a file readable by all (mode 0644) in one step: readers see the old one or the new one.
///
/// # Errors
/// A message that names the file; nothing is left behind.
pub(crate) fn replace_file(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{} cannot be written: {error}", path.display());
    let temporary = temporary(path).map_err(failed)?;
    if path.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let written = write_new(&temporary, text, 0o644);
    let replaced = written.and_then(|()| std::fs::rename(&temporary, path));
    replaced.map_err(|error| {
        if error.kind() != io::ErrorKind::AlreadyExists {
            let _ = std::fs::remove_file(&temporary);
        }
        failed(error)
    })
}

/// Writes a file readable by all (mode 0644) that must not exist yet, whole or not at all.
///
/// # Errors
/// A message that names the file; nothing is left behind.
pub(crate) fn new_file(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} is there already and stays as it is: name another file", path.display())
        }
        _ => format!("{} cannot be written: {error}", path.display()),
    };
    let temporary = temporary(path).map_err(failed)?;
    let written = write_new(&temporary, text, 0o644);
    let linked = written.and_then(|()| std::fs::hard_link(&temporary, path));
    let _ = std::fs::remove_file(&temporary);
    linked.map_err(failed)
}

/// A name for the file while it is written, beside it.
fn temporary(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

/// Writes a file that must not exist yet, through to the disk.
///
/// # Errors
/// Those of opening and writing; [`io::ErrorKind::AlreadyExists`] where there is anything.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        replace_file(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::fs::write(&target, "untouched").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        replace_file(&link, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "untouched");
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "new");
    }

    #[test]
    fn a_new_file_takes_no_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("seal"), folder.path().join("link"));
        new_file(&path, "first").unwrap();
        std::os::unix::fs::symlink(folder.path().join("nothing"), &link).unwrap();
        for taken in [&path, &link] {
            assert!(new_file(taken, "second").unwrap_err().contains("is there already"));
        }
        assert!(new_file(folder.path(), "x").is_err());
        assert!(new_file(&folder.path().join("no/seal"), "x").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn failures_name_the_file_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/report.html");
        let error = replace_file(&missing, "x").unwrap_err();
        assert!(error.contains("no/report.html cannot be written"), "{error}");
        assert!(replace_file(folder.path(), "x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
