//! Which files are consecutive pieces of one log: seen while they stand side by side, kept for the time
//! when they are gone.
//!
//! That one goes on where the other ends is shown by their names (`.2` and `.1`), or by the ledger: what
//! was written to when it was read last, and stands before the next file now. Whether connection ids speak
//! against it is looked at when an answer is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use ledger::{Ingest, Mark};
use source::Succession;

use super::inputs::{Found, Group};

/// Numbers of the files that stood where the server writes when they were read last.
pub(super) fn live(ingest: &Ingest<'_>, group: &Group) -> anyhow::Result<HashSet<i64>> {
    let marks = ingest.marks(&group.label)?;
    let live = marks.into_iter().filter(|mark| mark.known.path == mark.location);
    Ok(live.map(|mark| mark.known.key).collect())
}

/// Notes which of the files that were found follow one another.
pub(super) fn note(
    ingest: &Ingest<'_>,
    group: &Group,
    found: &[Found],
    was_live: &HashSet<i64>,
) -> anyhow::Result<()> {
    let marks = ingest.marks(&group.label)?;
    // Of several marks of one path the newest is of what stands there.
    let keys: HashMap<&Path, &Mark> =
        marks.iter().map(|mark| (mark.known.path.as_path(), mark)).collect();
    let mut logs: BTreeMap<&Path, Vec<(&Path, i64)>> = BTreeMap::new();
    for file in found {
        let open = file.candidate.file();
        if let Some(mark) = keys.get(open.path())
            && mark.known.raw.facts.same_file(&open.facts())
        {
            logs.entry(&file.location).or_default().push((open.path(), mark.known.key));
        }
    }
    for files in logs.into_values() {
        let paths: Vec<&Path> = files.iter().map(|(path, _)| *path).collect();
        for (older, newer, shown) in source::neighbours(&paths) {
            let (older, newer) = (files[older].1, files[newer].1);
            let adjoin = match shown {
                Succession::Adjoin => true,
                Succession::Apart => false,
                Succession::Untold => was_live.contains(&older),
            };
            if adjoin {
                ingest.adjoin(newer, older)?;
            }
        }
    }
    Ok(())
}
