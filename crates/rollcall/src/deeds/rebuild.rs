//! Statements that make a dropped account anew, in files that only their owner can read: they hold hashes of
//! passwords, which the ledger, readable by its group, must not.
//!
//! ```text
//! ledger.sqlite.dropped/            mode 0700
//!   7f3a-21-1.sql                   mode 0600: CREATE USER …; GRANT …;
//! ```
//!
//! The journal holds `rebuild sha256:… 7f3a-21-1.sql` as what undoes the drop. The file is plain SQL: a client
//! can send it as well.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::render::hex;

/// The largest file that is read: an account with 100,000 grants.
const BYTES_MAX: u64 = 16 << 20;

/// The folder of these files.
#[derive(Debug, Clone)]
pub(crate) struct Rebuilds {
    folder: PathBuf,
}

impl Rebuilds {
    /// Beside this ledger.
    pub(crate) fn beside(ledger: &Path) -> Rebuilds {
        let mut folder = ledger.as_os_str().to_owned();
        folder.push(".dropped");
        Rebuilds { folder: folder.into() }
    }

    /// Stores statements, through to the disk, and tells how the journal refers to them. What stands there of
    /// an earlier try is replaced.
    ///
    /// # Errors
    /// A message that names the file.
    pub(super) fn store(&self, name: &str, statements: &[Vec<u8>]) -> Result<String, String> {
        let path = self.folder.join(name);
        let failed =
            |error: std::io::Error| format!("{} cannot be written: {error}", path.display());
        let mut text = Vec::new();
        for statement in statements {
            text.extend_from_slice(statement);
            text.extend_from_slice(b";\n");
        }
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let temporary = self.folder.join(format!(".{name}.{}", std::process::id()));
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            std::fs::File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| {
            let _ = std::fs::remove_file(&temporary);
            failed(error)
        })?;
        Ok(format!("rebuild sha256:{} {name}", hex(&Sha256::digest(&text))))
    }

    /// The statements that such a reference means.
    ///
    /// # Errors
    /// Where it is none, or the file is gone, is another's, or was changed.
    pub(super) fn read(&self, reference: &str) -> Result<Vec<Vec<u8>>, String> {
        let parts = reference.strip_prefix("rebuild sha256:").and_then(|it| it.split_once(' '));
        let Some((hash, name)) = parts.filter(|(_, name)| !name.contains('/')) else {
            return Err("the journal does not tell how it was rebuilt".to_owned());
        };
        let path = self.folder.join(name);
        let failed = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path);
        let file = file.map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() || about.mode() & 0o077 != 0 {
            return Err(format!(
                "{} is open to others: chmod 600 it, if it is yours",
                path.display()
            ));
        }
        let mut text = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
        if hex(&Sha256::digest(&text)) != hash {
            return Err(format!("{} was changed since the account was dropped", path.display()));
        }
        Ok(split(&text))
    }
}

/// The statements of a text: a semicolon inside quotes ends none.
fn split(text: &[u8]) -> Vec<Vec<u8>> {
    let (mut statements, mut start, mut quote) = (Vec::new(), 0, None);
    let mut i = 0;
    while i < text.len() {
        match (quote, text[i]) {
            (None, b';') => {
                statements.push(text[start..i].trim_ascii().to_vec());
                start = i + 1;
            }
            (None, byte @ (b'\'' | b'"' | b'`')) => quote = Some(byte),
            (Some(b'\'' | b'"'), b'\\') => i += 1,
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
        i += 1;
    }
    statements.retain(|it| !it.is_empty());
    statements
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn statements() -> Vec<Vec<u8>> {
        let hostile = br"GRANT USAGE ON *.* TO 'a;\'b''c\\'@`x``;y`".to_vec();
        vec![b"CREATE USER 'a'@'%' IDENTIFIED BY PASSWORD '*94'".to_vec(), hostile]
    }

    #[test]
    fn what_is_stored_is_read_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let rebuilds = Rebuilds::beside(&folder.path().join("ledger.sqlite"));
        let reference = rebuilds.store("7f3a-1-1.sql", &statements()).unwrap();
        assert!(!reference.contains("*94"));
        assert_eq!(rebuilds.read(&reference).unwrap(), statements());
        let path = folder.path().join("ledger.sqlite.dropped/7f3a-1-1.sql");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        // A second try takes the place of the first.
        let other = rebuilds.store("7f3a-1-1.sql", &statements()[..1]).unwrap();
        assert_eq!(rebuilds.read(&other).unwrap(), &statements()[..1]);
        assert!(rebuilds.read(&reference).unwrap_err().contains("was changed"));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let rebuilds = Rebuilds::beside(&folder.path().join("l"));
        let reference = rebuilds.store("a.sql", &statements()).unwrap();
        let path = folder.path().join("l.dropped/a.sql");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(rebuilds.read(&reference).unwrap_err().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (moved, link) = (folder.path().join("b"), &path);
        std::fs::rename(&path, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, link).unwrap();
        assert!(rebuilds.read(&reference).unwrap_err().contains("cannot be read"));
        assert!(rebuilds.read("rebuild sha256:00 ../../etc/passwd").is_err());
        assert!(rebuilds.read("").is_err());
    }

    #[test]
    fn statements_are_parted_outside_quotes() {
        let parts = |text: &[u8]| split(text);
        assert_eq!(parts(b"a;\nb;\n"), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(parts(br"a '\';' ; b"), [br"a '\';'".to_vec()]);
        assert_eq!(parts(b"';"), Vec::<Vec<u8>>::new());
    }
}
