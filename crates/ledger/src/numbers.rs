//! Numbers of lines: what is missing by them.
//!
//! The login plugin numbers its lines from 1 on when it is loaded, those that it could not write among them:
//!
//! ```text
//! line   5 6 7 . . 10 | 1 2 | 1 2        8 and 9 are missing
//! thread 4 5 6 .  .  9| 4 5 | 6 7        the server was started anew; then only the plugin was loaded anew
//! ```
//!
//! # What they do not tell
//! * While the plugin is switched off it numbers nothing.
//! * The last lines before a new beginning: nobody knows how many there were.

use crate::coverage::Piece;
use crate::holes::{Hole, Place, Why};
use crate::rows::{Evidence, EvidenceState, Name};
use formats::Event;
use std::collections::HashMap;

/// A line with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) place: Place,
    pub(crate) line: u64,
    /// How many lines could not be written until then.
    pub(crate) lost: u64,
    pub(crate) connection: u64,
}

/// The first and the last line of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) first: Numbered,
    pub(crate) last: Numbered,
}

/// What lies between two lines that follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    /// Nothing.
    Nothing,
    /// The server was started anew: nothing, as far as can be told.
    Restart,
    /// So many lines, of which so many could not be written.
    Missing(u64, u64),
    /// The plugin was loaded anew while the server ran: what happened without it is not known.
    Reloaded,
}

impl Numbered {
    #[inline(always)]
    pub(crate) fn of(place: Place, event: &Event<'_>) -> Option<Numbered> {
        let series = event.series?;
        let connection = event.connection;
        Some(Numbered { place, line: series.line, lost: series.lost, connection })
    }

    /// What lies between this line and the next one that is known.
    pub(crate) fn until(self, next: Numbered) -> Between {
        if next.line > self.line {
            let count = next.line - self.line - 1;
            let lost = next.lost.saturating_sub(self.lost).min(count);
            return if count == 0 { Between::Nothing } else { Between::Missing(count, lost) };
        }
        match (next.line, next.connection > self.connection) {
            (0 | 1, true) => Between::Reloaded,
            (0 | 1, false) => Between::Restart,
            (line, _) => Between::Missing(line - 1, next.lost.min(line - 1)),
        }
    }

    /// The hole between this line and the next one in its file, if there is one.
    pub(crate) fn hole(self, next: Numbered, file: i64, server: u32) -> Option<Hole> {
        let (why, detail) = match self.until(next) {
            Between::Nothing | Between::Restart => return None,
            Between::Missing(count, lost) => (Why::LinesMissing, format!("{count},{lost}")),
            Between::Reloaded => (Why::Reloaded, String::new()),
        };
        Some(Hole {
            file,
            server,
            byte: self.place.byte,
            why,
            by: Vec::new(),
            detail: detail.into_bytes(),
            before: Some(self.place),
            behind: Some(next.place),
        })
    }
}

/// What is said of missing lines.
pub(crate) fn missing(count: u64, lost: u64) -> String {
    let lines = match count {
        1 => "1 line of the login plugin is".to_owned(),
        _ => format!("{count} lines of the login plugin are"),
    };
    match lost {
        0 => format!("{lines} missing, as the numbers show"),
        _ => {
            format!("{lines} missing, as the numbers show: it could not write {lost} (disk full?)")
        }
    }
}

/// What is said of a plugin that was loaded anew.
pub(crate) const RELOADED: &str =
    "the login plugin was loaded anew while the server ran: what came before that is not known";

/// What numbers tell of the times between files of one source: which file goes on where another ends, and what is
/// missing.
pub(crate) fn between(
    pieces: &[Piece],
    numbers: &HashMap<(i64, Name), Numbers>,
) -> (Vec<(i64, i64)>, Vec<Evidence>) {
    let of = |piece: &Piece| numbers.get(&(piece.file, piece.row.server.clone())).copied();
    let mut numbered: Vec<(&Piece, Numbers)> =
        pieces.iter().filter_map(|piece| Some((piece, of(piece)?))).collect();
    numbered.sort_by(|(a, of_a), (b, of_b)| {
        let key = |piece: &Piece, numbers: &Numbers| (piece.source, numbers.first.place.at);
        (&a.row.server, key(a, of_a), a.file).cmp(&(&b.row.server, key(b, of_b), b.file))
    });
    let (mut adjoin, mut gaps) = (Vec::new(), Vec::new());
    for pair in numbered.windows(2) {
        let [(older, before), (newer, behind)] = pair else { continue };
        if (&older.row.server, older.source) != (&newer.row.server, newer.source) {
            continue;
        }
        let (last, first) = (before.last, behind.first);
        let (state, reason) = match last.until(first) {
            Between::Nothing => {
                adjoin.push((newer.file, older.file));
                continue;
            }
            Between::Restart => continue,
            Between::Missing(count, lost) => (EvidenceState::Gap, missing(count, lost)),
            Between::Reloaded => (EvidenceState::Unconfirmed, RELOADED.to_owned()),
        };
        if last.place.at < first.place.at {
            gaps.push(Evidence {
                from: Some(last.place.at),
                to: Some(first.place.at),
                state,
                records: 0,
                reason,
                ..newer.row.clone()
            });
        }
    }
    (adjoin, gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: u64, lost: u64, connection: u64) -> Numbered {
        Numbered { place: Place { byte: 0, at: 0 }, line, lost, connection }
    }

    #[test]
    fn numbers_tell_what_is_missing() {
        let at = line(7, 1, 40);
        assert_eq!(at.until(line(8, 1, 41)), Between::Nothing);
        assert_eq!(at.until(line(9, 2, 41)), Between::Missing(1, 1));
        assert_eq!(at.until(line(12, 2, 41)), Between::Missing(4, 1));
        assert_eq!(at.until(line(12, 1, 41)), Between::Missing(4, 0));
        // A new life of the server, or of the plugin alone.
        assert_eq!(at.until(line(1, 0, 5)), Between::Restart);
        assert_eq!(at.until(line(1, 0, 41)), Between::Reloaded);
        assert_eq!(at.until(line(4, 2, 5)), Between::Missing(3, 2));
        assert_eq!(at.until(line(7, 1, 40)), Between::Missing(6, 1));
        // No number that a line may hold makes it fail.
        assert_eq!(at.until(line(u64::MAX, u64::MAX, 0)), {
            Between::Missing(u64::MAX - 8, u64::MAX - 8)
        });
        assert_eq!(line(u64::MAX, 0, 9).until(line(0, 0, 1)), Between::Restart);
    }
}
