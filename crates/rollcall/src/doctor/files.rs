//! The log files of a server on this machine: who may read them, and where secrets stand in them.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use formats::{Dialect, Doubt, Event, Input, Kind, Reader, Sink, Span};
use source::{Compression, LogFile as Found, OpenFile, SkipReason};
use verdict::checkup::{Leak, LogFile, leak};

/// Places of secrets that are kept of one file, the newest; the others are counted.
const LEAKS_KEPT_MAX: usize = 10;

/// Bytes asked for at once.
const READ_BYTES: usize = 256 << 10;

/// What stands on this machine.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Oldest first, as far as their times tell.
    pub(crate) files: Vec<LogFile>,
    /// What cannot be looked at, and why.
    pub(crate) unreadable: Vec<(String, String)>,
}

/// Looks at the logs that `named` (configured) and `known` (seen before, or told by the server) lead to. Of all
/// of them, the newest first, at most `bytes` bytes are looked through for secrets.
pub(crate) fn look(named: &[PathBuf], known: Vec<PathBuf>, bytes: u64) -> Looked {
    let there = known.into_iter().filter(|it| it.is_file());
    let mut paths: Vec<PathBuf> = named.iter().cloned().chain(there).collect();
    paths.retain(|it| it.as_os_str() != "-");
    let found = source::discover(&paths, &formats::detect);
    let denied = found.skipped.iter().filter(|it| it.reason == SkipReason::Denied);
    let text = |path: &std::path::Path, why: String| (path.display().to_string(), why);
    let mut looked = Looked {
        files: Vec::new(),
        unreadable: denied
            .map(|it| text(&it.path, it.reason.to_string()))
            .chain(found.failures.iter().map(|it| text(&it.path, it.reason.to_string())))
            .collect(),
    };
    let sets = found.sets.into_iter();
    let mut all: Vec<(bool, Found<Dialect>)> = sets
        .flat_map(|set| {
            let location = set.location;
            set.files.into_iter().map(move |file| (file.path == location, file))
        })
        .collect();
    all.sort_by_key(|(_, file)| file.facts.modified);
    let mut left = bytes;
    for (is_live, file) in all.into_iter().rev() {
        match look_at(is_live, &file, left) {
            Ok(log) => {
                left = left.saturating_sub(log.looked_at);
                looked.files.push(log);
            }
            Err(error) => looked.unreadable.push(text(&file.path, error.to_string())),
        }
    }
    looked.files.reverse();
    looked
}

fn look_at(is_live: bool, found: &Found<Dialect>, bytes: u64) -> Result<LogFile, source::Error> {
    let file = OpenFile::open_found(&found.path)?;
    let facts = file.facts();
    let mode = fs::symlink_metadata(&found.path).map_or(0, |it| it.mode());
    let mut log = LogFile {
        path: found.path.display().to_string(),
        is_live,
        mode,
        bytes: facts.len,
        modified: facts.modified,
        looked_at: 0,
        is_partial: false,
        leaks: Vec::new(),
        further_leaks: 0,
    };
    // Logins have no statements.
    let Some(dialect) = found.detected.filter(|&it| it != Dialect::AuditLogin) else {
        return Ok(log);
    };
    let from = match found.compression {
        Compression::Plain => facts.len.saturating_sub(bytes),
        // It can be read from its beginning only.
        _ => 0,
    };
    log.is_partial = from > 0;
    let mut leaks = Leaks { base: from, kept: VecDeque::new(), further: 0 };
    let mut reader = Reader::new(dialect);
    if from > 0 {
        reader.resume_mid_record();
    }
    let mut stream = file.stream(from)?;
    let (mut buffer, mut have) = (vec![0; READ_BYTES], 0);
    loop {
        let left = usize::try_from(bytes - log.looked_at).unwrap_or(usize::MAX);
        if left == 0 {
            // How much follows in a compressed file is not known.
            log.is_partial |= file.compression() != Compression::Plain && !stream.ended();
            break;
        }
        if have == buffer.len() {
            // A record that does not fit: the reader gives up above its own bound.
            buffer.resize(2 * have, 0);
        }
        let room = (buffer.len() - have).min(left);
        let read = match stream.read(&mut buffer[have..have + room]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.ends_stream() => {
                log.is_partial = true;
                break;
            }
            Err(error) => return Err(error),
        };
        log.looked_at += read as u64;
        have += read;
        let used = reader.read(&buffer[..have], Input::Open, &mut leaks);
        leaks.base += used as u64;
        buffer.copy_within(used..have, 0);
        have -= used;
    }
    (log.leaks, log.further_leaks) = (leaks.kept.into(), leaks.further);
    Ok(log)
}

/// Secrets by their place.
struct Leaks {
    /// The offset of the bytes that are being read.
    base: u64,
    kept: VecDeque<Leak>,
    further: u64,
}

impl Sink for Leaks {
    fn event(&mut self, span: Span, event: &Event<'_>) {
        let found = (event.kind == Kind::Query).then(|| leak(event.object)).flatten();
        let Some(kind) = found else { return };
        if self.kept.len() == LEAKS_KEPT_MAX {
            self.kept.pop_front();
            self.further += 1;
        }
        self.kept.push_back(Leak { byte: self.base + span.start as u64, kind });
    }

    fn doubt(&mut self, _: Span, _: Doubt, _: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::path::Path;

    const SAFE: &str = "20260314 09:26:53,db1,app,10.0.0.7,42,977,QUERY,shop,'select 1',0\n";
    const LEAK: &str =
        "20260314 09:26:54,db1,app,10.0.0.7,42,978,QUERY,shop,'SELECT PASSWORD(\\'x\\')',0\n";

    fn places(looked: &Looked) -> Vec<(String, Vec<u64>, u64, bool)> {
        let name = |path: &str| Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
        let row = |it: &LogFile| {
            let bytes = it.leaks.iter().map(|it| it.byte).collect();
            (name(&it.path), bytes, it.further_leaks, it.is_partial)
        };
        looked.files.iter().map(row).collect()
    }

    #[test]
    fn secrets_are_found_by_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let old = folder.path().join("audit.log.1.gz");
        let safe = SAFE.len() as u64;
        fs::write(&path, format!("{SAFE}{LEAK}{SAFE}{LEAK}")).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(format!("{LEAK}{SAFE}").as_bytes()).unwrap();
        fs::write(&old, gz.finish().unwrap()).unwrap();
        let earlier = std::time::SystemTime::now() - std::time::Duration::from_secs(99);
        fs::File::options().write(true).open(&old).unwrap().set_modified(earlier).unwrap();
        let named = [folder.path().to_path_buf()];
        let second = 2 * safe + LEAK.len() as u64;
        let looked = look(&named, vec![path.clone()], 1 << 20);
        assert_eq!(
            places(&looked),
            [
                ("audit.log.1.gz".to_owned(), vec![0], 0, false),
                ("audit.log".to_owned(), vec![safe, second], 0, false),
            ]
        );
        assert!(looked.files[1].is_live && !looked.files[0].is_live);
        assert_eq!(looked.unreadable, []);
        // Only the end of the newest one: whatever the cut goes through is passed over.
        let looked = look(&named, Vec::new(), LEAK.len() as u64 + 9);
        assert_eq!(places(&looked)[1], ("audit.log".to_owned(), vec![second], 0, true));
        assert_eq!(looked.files[0].looked_at, 0);
        let text = format!("{looked:?}");
        assert!(!text.contains("PASSWORD") && !text.contains("select"), "{text}");
    }

    #[test]
    fn of_many_secrets_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        for (count, further) in [(LEAKS_KEPT_MAX, 0), (LEAKS_KEPT_MAX + 1, 1)] {
            fs::write(&path, LEAK.repeat(count)).unwrap();
            let looked = look(std::slice::from_ref(&path), Vec::new(), 1 << 20);
            let file = &looked.files[0];
            assert_eq!((file.leaks.len(), file.further_leaks), (LEAKS_KEPT_MAX, further));
            assert_eq!(file.leaks.last().unwrap().byte, ((count - 1) * LEAK.len()) as u64);
        }
    }

    #[test]
    fn what_is_not_there_is_named_where_the_user_named_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.log");
        let looked = look(std::slice::from_ref(&path), vec![folder.path().join("gone.log")], 1);
        assert_eq!(looked.unreadable.len(), 1);
        assert_eq!(looked.unreadable[0].0, path.display().to_string());
    }
}
