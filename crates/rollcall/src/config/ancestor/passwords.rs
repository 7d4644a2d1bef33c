//! Passwords in files of their own.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use live::target::Secret;

use super::shown;

/// The largest file of passwords, in bytes: thousands fit.
const PASSWORDS_BYTES_MAX: u64 = 1 << 20;

/// The lines of the first of these files that is there, and which it is.
pub(super) fn passwords(
    places: &[PathBuf],
    credentials: Option<&Path>,
) -> Result<(PathBuf, Vec<Secret>), String> {
    let given = credentials.map(|it| it.join("passwd"));
    // A folder that is closed to us holds nothing for us.
    let is_there = |path: &&PathBuf| path.symlink_metadata().is_ok();
    let (path, others) = match given.as_ref().filter(is_there) {
        // The service manager lets the service's own user read it by an access control list, whose mask stands where
        // the group's permissions do.
        Some(path) => (path, 0o007),
        None => {
            let found = places.iter().find(is_there).or(places.first());
            (found.ok_or("no file of passwords is named: add password_file")?, 0o077)
        }
    };
    let text = secret_file(path, others)?;
    let lines = text.strip_suffix(b"\n").unwrap_or(&text).split(|&byte| byte == b'\n');
    let lines = lines.map(|line| Secret::new(line.strip_suffix(b"\r").unwrap_or(line)));
    Ok((path.clone(), lines.collect()))
}

/// The bytes of a file that holds a secret: no link, of root or of ourselves, closed to `others` (bits of a mode).
///
/// # Errors
/// A message with the remedy.
pub(crate) fn secret_file(path: &Path, others: u32) -> Result<Vec<u8>, String> {
    let place = shown(path);
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => format!("{place} is a link: passwords are read from files only"),
        _ => format!("{place} cannot be read ({error}): it holds the passwords"),
    })?;
    // Of the file that is open, whatever stands at the path by now.
    let metadata = file.metadata().map_err(|error| format!("{place}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("{place} is no file: passwords are read from files only"));
    }
    if ![0, nix::unistd::geteuid().as_raw()].contains(&metadata.uid()) {
        return Err(format!("{place} belongs to another user: chown root {place}"));
    }
    no_secret_of_others(path, metadata.mode(), others)?;
    let mut bytes = Vec::new();
    file.take(PASSWORDS_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{place} cannot be read ({error}): it holds the passwords"))?;
    if bytes.len() as u64 > PASSWORDS_BYTES_MAX {
        return Err(format!("{place} is larger than {PASSWORDS_BYTES_MAX} bytes: no passwords"));
    }
    Ok(bytes)
}

/// An error where a file's mode lets others in.
pub(super) fn no_secret_of_others(path: &Path, mode: u32, others: u32) -> Result<(), String> {
    match mode & others {
        0 => Ok(()),
        _ => Err(format!("{0} holds passwords and is open to others: chmod 600 {0}", shown(path))),
    }
}
