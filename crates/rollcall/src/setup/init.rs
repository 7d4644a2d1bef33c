//! `rollcall init`: the configuration with comments, written once.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{DEFAULT_PATHS, TEMPLATE};
use crate::out::write_new;

/// Writes the commented configuration, never over an existing file. The folder is made where only
/// it is missing.
///
/// # Errors
/// A message that names the file and the remedy.
pub(crate) fn init(path: Option<&Path>) -> Result<PathBuf, String> {
    let path = path.unwrap_or(Path::new(DEFAULT_PATHS[0]));
    let place = path.display();
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty() && !it.exists()) {
        std::fs::create_dir(folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    }
    write_new(path, TEMPLATE, 0o644).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{place} is there already and stays as it is: check it with rollcall check")
        }
        _ => format!("{place} cannot be written: {error}"),
    })?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn init_writes_once_what_check_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollcall/rollcall.toml");
        assert_eq!(init(Some(&path)), Ok(path.clone()));
        assert!(Config::load(Some(&path), None).is_ok());
        std::fs::write(&path, "# mine").unwrap();
        let error = init(Some(&path)).unwrap_err();
        assert!(error.contains("is there already and stays as it is"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine");
        assert!(init(Some(&folder.path().join("a/b/c"))).unwrap_err().contains("cannot be made"));
    }
}
