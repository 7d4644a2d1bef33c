//! Groups files into logs by their names, and puts each log's files in order.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::found::{LogFile, LogSet};
use crate::rotation::{Name, Style, Turn, numbered_inside, parse};

/// Names of folders beside a log that hold its rotated files (logrotate's `olddir`).
const OLD_FOLDERS: [&str; 6] = ["old", "olddir", "archive", "archives", "archived", "rotated"];

type Key = (PathBuf, Vec<u8>);
type Groups<D> = BTreeMap<Key, Vec<(Turn, LogFile<D>)>>;

/// Sets in the order of their locations, files oldest first.
pub(crate) fn group<D>(files: Vec<LogFile<D>>) -> Vec<LogSet<D>> {
    let mut groups: Groups<D> = BTreeMap::new();
    for file in files {
        let folder = file.path.parent().unwrap_or(Path::new("")).to_path_buf();
        let name = file.path.file_name().unwrap_or_default().as_bytes();
        let Name { stem, turn } = parse(name);
        groups.entry((folder, stem)).or_default().push((turn, file));
    }
    join_numbers_inside(&mut groups);
    join_old_folders(&mut groups);
    groups
        .into_iter()
        .map(|((folder, stem), files)| LogSet {
            location: folder.join(OsString::from_vec(stem)),
            files: in_order(files),
        })
        .collect()
}

/// `server_audit.1.log` belongs to `server_audit.log` where that exists.
fn join_numbers_inside<D>(groups: &mut Groups<D>) {
    let moves: Vec<(Key, Key, Turn)> = groups
        .keys()
        .filter_map(|key| {
            let Name { stem, turn } = numbered_inside(&key.1)?;
            let live = (key.0.clone(), stem);
            groups.contains_key(&live).then(|| (key.clone(), live, turn))
        })
        .collect();
    for (from, to, turn) in moves {
        let files = groups.remove(&from).unwrap_or_default();
        let set = groups.entry(to).or_default();
        set.extend(files.into_iter().map(|(_, file)| (turn.clone(), file)));
    }
}

/// Rotated files in a folder of their own belong to the live file in the folder above or beside it,
/// where there is exactly one of that name.
fn join_old_folders<D>(groups: &mut Groups<D>) {
    let is_live = |files: &[(Turn, LogFile<D>)]| files.iter().any(|(turn, _)| *turn == Turn::Live);
    let mut live: HashMap<Vec<u8>, Vec<PathBuf>> = HashMap::new();
    for ((folder, stem), files) in groups.iter() {
        if is_live(files) {
            live.entry(stem.clone()).or_default().push(folder.clone());
        }
    }
    let mut moves = Vec::new();
    for (key, _) in groups.iter().filter(|(_, files)| !is_live(files)) {
        let mut homes = live.get(&key.1).into_iter().flatten().filter(|home| is_old(&key.0, home));
        if let (Some(home), None) = (homes.next(), homes.next()) {
            moves.push((key.clone(), (home.clone(), key.1.clone())));
        }
    }
    for (from, to) in moves {
        let files = groups.remove(&from).unwrap_or_default();
        groups.entry(to).or_default().extend(files);
    }
}

/// Whether a folder may hold the rotated files of a log whose live file stands in `home`.
pub(crate) fn is_old(folder: &Path, home: &Path) -> bool {
    let named_old = folder
        .file_name()
        .is_some_and(|name| OLD_FOLDERS.iter().any(|old| name.eq_ignore_ascii_case(old)));
    let beside = named_old && folder.parent().is_some() && folder.parent() == home.parent();
    folder.parent() == Some(home) || beside
}

/// Oldest first. Where two ways of naming meet (the rotation was configured anew) the way whose
/// newest file is older comes first; the live file comes last.
fn in_order<D>(mut files: Vec<(Turn, LogFile<D>)>) -> Vec<LogFile<D>> {
    let newest = |style| {
        let of_style = files.iter().filter(|(turn, _)| turn.style() == style);
        of_style.map(|(_, file)| file.facts.modified).max()
    };
    let numbers_first = newest(Style::Number) < newest(Style::Time);
    let place = |style| match style {
        Style::Time => u8::from(numbers_first),
        Style::Number => u8::from(!numbers_first),
        Style::Live => 2,
    };
    files.sort_by(|(a, ours), (b, theirs)| {
        place(a.style())
            .cmp(&place(b.style()))
            .then_with(|| a.order(b))
            .then_with(|| ours.facts.modified.cmp(&theirs.facts.modified))
            .then_with(|| ours.path.cmp(&theirs.path))
    });
    files.into_iter().map(|(_, file)| file).collect()
}
