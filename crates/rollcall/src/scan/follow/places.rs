//! Where something may happen to the inputs of a job: what to wait at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Following;

/// The most folders that are told to be watched; what changes in others is found by looking now and then.
pub(super) const FOLDERS_MAX: usize = 250;

/// Where to wait for changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Something may appear, go or be renamed in these.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// These may grow.
    pub(crate) files: BTreeSet<PathBuf>,
}

impl Places {
    /// Of these inputs, and of what is open of them.
    pub(super) fn of(groups: &[Following]) -> Places {
        let mut places = Places::default();
        for following in groups {
            for path in &following.group.paths {
                places.folders.extend(nearest_folder(path));
                if path.is_symlink() {
                    // It may be made to lead elsewhere.
                    places.folders.extend(path.parent().and_then(nearest_folder));
                }
            }
            for held in following.held.iter().filter(|held| held.unnamed.is_none()) {
                let path = held.file.path();
                places.files.insert(path.to_path_buf());
                if let Some(folder) = path.parent().filter(|_| places.folders.len() < FOLDERS_MAX) {
                    places.folders.insert(folder.to_path_buf());
                }
            }
        }
        places
    }
}

/// The folder in which what a path or pattern leads to would appear: the path itself where it is a
/// folder, else the nearest one above that exists.
pub(super) fn nearest_folder(path: &Path) -> Option<PathBuf> {
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let absolute = std::path::absolute(target).ok()?;
    absolute.ancestors().find(|folder| folder.is_dir()).map(Path::to_path_buf)
}
