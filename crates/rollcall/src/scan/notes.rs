//! What to say of a scan: files that could not be read, records that could not be used.

use std::collections::BTreeMap;

use formats::{Reason, Standing};
use ledger::Batch;
use source::Error;

use super::ReadDone;

/// Collected while reading.
#[derive(Debug, Default)]
pub(super) struct Notes {
    failed: Vec<String>,
    doubts: BTreeMap<(Standing, Reason), u64>,
    ambiguous_times: u64,
    unnamed_changes: u64,
}

impl Notes {
    /// An input that cannot be read, or not to its end.
    pub(super) fn failed(&mut self, error: &Error) {
        self.failed.push(error.to_string());
    }

    /// What a batch holds that should be said.
    pub(super) fn batch(&mut self, batch: &Batch) {
        for (standing, reason, count) in batch.doubts() {
            *self.doubts.entry((standing, reason)).or_default() += count;
        }
        self.ambiguous_times += batch.ambiguous_times();
        self.unnamed_changes += batch.unnamed_changes();
    }

    /// Puts everything into words.
    pub(super) fn hand_over(self, done: &mut ReadDone) {
        done.failed.extend(self.failed);
        for ((standing, reason), count) in self.doubts {
            done.notes.push(doubt(standing, reason, count));
        }
        if self.ambiguous_times > 0 {
            done.notes.push(format!(
                "{} lie in an hour that the server's clock passed twice or not at all (summer time): \
                 they are counted in the first",
                plural(self.ambiguous_times, "record")
            ));
        }
        if self.unnamed_changes > 0 {
            done.notes.push(format!(
                "{} whose new user no later record of the log names: not counted as logins",
                plural(self.unnamed_changes, "change user record")
            ));
        }
    }
}

fn doubt(standing: Standing, reason: Reason, count: u64) -> String {
    let (what, verb) = match standing {
        Standing::Rejected => ("line", if count == 1 { "is no record" } else { "are no records" }),
        Standing::Quarantined => ("record", "cannot be trusted"),
    };
    let (explained, state) = (reason.explain(), standing.as_str());
    format!("{} {verb} ({explained}): rollcall evidence --state {state}", plural(count, what))
}

/// `1 record`, `2 records`.
fn plural(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
