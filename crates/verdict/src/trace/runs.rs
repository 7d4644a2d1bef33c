//! Lives of a server, by its binary logs: connection and query ids begin again with each.
//!
//! ```text
//! created 1000        0        2000          0          the format description of each file
//! ├── run 0 ───────────────────┤├── run 1 ────────────
//! 1001 …                 … 1999  2001 …                 records of these seconds are surely of the run
//! ```
//!
//! Files are told in their order. A file that does not follow the one before (its number is missing)
//! may be of another run: nothing in between is known, so it begins a run of its own.

/// What the beginning of a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHead {
    /// `@@server_id` of the server that wrote it.
    pub server_id: u32,
    /// When the server started, where this is its first file since; else 0. Seconds since 1970.
    pub created: u32,
    /// When the file was begun, seconds since 1970.
    pub begun: u32,
    /// It is the next of the file before.
    pub follows: bool,
}

/// One life of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// `@@server_id` of the server that wrote its files.
    pub server_id: u32,
    /// When it began, where its first file is there; seconds since 1970.
    pub started: Option<u32>,
    /// The first second whose records are surely its own.
    pub from: u32,
    /// When the next run began, where that is known.
    pub ended: Option<u32>,
}

/// The runs of one server's files, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runs {
    runs: Vec<Run>,
    /// By file.
    files: Vec<usize>,
}

impl Runs {
    /// From the heads of files, in their order.
    pub fn of(heads: &[FileHead]) -> Runs {
        let mut runs = Runs::default();
        for head in heads {
            let same = head.follows
                && head.created == 0
                && runs.runs.last().is_some_and(|run| run.server_id == head.server_id);
            if !same {
                runs.begin(head);
            }
            runs.files.push(runs.runs.len() - 1);
        }
        runs
    }

    fn begin(&mut self, head: &FileHead) {
        let started = (head.created != 0).then_some(head.created);
        if let (Some(last), Some(at), true) = (self.runs.last_mut(), started, head.follows) {
            last.ended = Some(at);
        }
        // The server that was there before may have written in that second, too.
        let from = started.map_or(head.begun, |at| at.saturating_add(1));
        self.runs.push(Run { server_id: head.server_id, started, from, ended: None });
    }

    /// The run of this number.
    ///
    /// # Panics
    /// Where there is none.
    pub fn run(&self, number: usize) -> &Run {
        &self.runs[number]
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The run of a file, counted from 0.
    ///
    /// # Panics
    /// Where there is no such file.
    pub fn of_file(&self, file: usize) -> usize {
        self.files[file]
    }

    /// The run that a record of this second is of; `None` where it may be of another.
    pub fn at(&self, second: i64) -> Option<usize> {
        let number =
            self.runs.partition_point(|run| i64::from(run.from) <= second).checked_sub(1)?;
        let ended = self.runs[number].ended;
        ended.is_none_or(|at| second < i64::from(at)).then_some(number)
    }

    /// Whether a record of this second lies so near to a start of the server that a wrong zone would
    /// take it into another run. Zones differ by up to 26 hours.
    pub fn is_near_start(&self, second: i64) -> bool {
        const ZONES_SECONDS: i64 = 26 * 3600;
        let is_near = |at: u32| (second - i64::from(at)).abs() <= ZONES_SECONDS;
        self.runs.iter().any(|run| is_near(run.started.unwrap_or(run.from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(created: u32, begun: u32) -> FileHead {
        FileHead { server_id: 1, created, begun, follows: true }
    }

    #[test]
    fn a_start_of_the_server_parts_runs() {
        let runs = Runs::of(&[head(1000, 1000), head(0, 1500), head(2000, 2000), head(3000, 3000)]);
        assert_eq!((0..4).map(|file| runs.of_file(file)).collect::<Vec<_>>(), [0, 0, 1, 2]);
        for (second, run) in [
            (999, None),
            (1000, None),
            (1001, Some(0)),
            (1999, Some(0)),
            (2000, None),
            (2001, Some(1)),
            (2999, Some(1)),
            (3000, None),
            (3001, Some(2)),
            (9_999_999_999, Some(2)),
        ] {
            assert_eq!(runs.at(second), run, "{second}");
        }
    }

    #[test]
    fn nothing_is_known_before_the_first_file_or_across_a_missing_one() {
        let missing = FileHead { follows: false, ..head(0, 2000) };
        let runs = Runs::of(&[FileHead { follows: false, ..head(0, 1000) }, missing]);
        assert_eq!((runs.of_file(0), runs.of_file(1)), (0, 1));
        assert_eq!((runs.at(999), runs.at(1000), runs.at(1999)), (None, Some(0), Some(0)));
        assert_eq!(runs.at(2000), Some(1));
        assert_eq!(runs.run(0).ended, None);
    }

    #[test]
    fn another_server_is_another_run() {
        let other = FileHead { server_id: 2, ..head(0, 1500) };
        let runs = Runs::of(&[head(1000, 1000), other]);
        assert_eq!(runs.of_file(1), 1);
    }

    #[test]
    fn zones_matter_near_a_start_alone() {
        let runs = Runs::of(&[head(1_000_000, 1_000_000)]);
        assert!(runs.is_near_start(1_000_000 + 26 * 3600));
        assert!(!runs.is_near_start(1_000_000 + 26 * 3600 + 1));
    }
}
