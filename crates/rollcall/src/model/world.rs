//! A server that writes a log, those who rotate, pack, cut and delete it, and what was really written.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::step::{How, Pack, Step};

/// When the first record is written, in microseconds UTC: 2026-11-01T00:00:00Z.
pub(super) const START: i64 = 1_793_491_200_000_000;

pub(super) const LIVE: &str = "server_audit.log";

/// Rotated files beyond this number are deleted.
const KEEP: usize = 4;

/// One stretch of log that was written from byte 0 on, whatever the file was called.
#[derive(Debug, Clone, Default)]
pub(super) struct Stretch {
    /// Every byte of it.
    pub(super) bytes: Vec<u8>,
    /// Records that were written between the copy and the cut that ended it.
    pub(super) torn: Vec<u32>,
}

/// A record that is complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) at: i64,
    pub(super) stretch: usize,
}

pub(super) struct World {
    folder: PathBuf,
    /// The server's own descriptor: it goes on writing to a file that was renamed.
    writer: File,
    /// The stretch that it writes.
    pub(super) writes: usize,
    /// The stretch that stands under the live name, if any does.
    pub(super) live: Option<usize>,
    pub(super) stretches: Vec<Stretch>,
    pub(super) records: BTreeMap<u32, Record>,
    pub(super) now: i64,
    next: u32,
    half: Vec<u8>,
    digits: usize,
}

/// What stands in a file: its bytes, decompressed, and the records in it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<u32>,
}

impl World {
    pub(super) fn new(folder: &Path) -> World {
        let folder = folder.join("logs");
        fs::create_dir_all(folder.join("old")).unwrap();
        let writer = open_live(&folder);
        World {
            folder,
            writer,
            writes: 0,
            live: Some(0),
            stretches: vec![Stretch::default()],
            records: BTreeMap::new(),
            now: START,
            next: 1,
            half: Vec::new(),
            digits: 1,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn live_path(&self) -> PathBuf {
        self.folder.join(LIVE)
    }

    /// Device, inode and birth of the live file.
    pub(super) fn live_number(&self) -> Option<(u64, u64)> {
        let metadata = fs::metadata(self.live_path()).ok()?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// How many bytes of a stretch are whole records.
    pub(super) fn whole(&self, stretch: usize) -> usize {
        let bytes = &self.stretches[stretch].bytes;
        bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
    }

    /// Everything that stands in files, as anybody can read it.
    pub(super) fn files(&self) -> Vec<Seen> {
        let mut paths = names(&self.folder);
        paths.extend(names(&self.folder.join("old")));
        let seen = paths.into_iter().map(|path| {
            let raw = fs::read(&path).unwrap();
            let bytes = unpack(&raw);
            let records = records_in(&bytes);
            Seen { path, bytes, records }
        });
        seen.collect()
    }

    fn append(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).unwrap();
        self.stretches[self.writes].bytes.extend_from_slice(bytes);
    }

    fn record(&mut self, padding: u16) -> Vec<u8> {
        self.now += 1_000_000;
        let time = jiff::Timestamp::from_microsecond(self.now).unwrap();
        let (n, pad) = (self.next, "p".repeat(usize::from(padding)));
        let time = time.strftime("%Y%m%d %H:%M:%S");
        format!("{time},db1,u{n},10.0.0.1,{n},0,CONNECT,{pad},,0\n").into_bytes()
    }

    fn write(&mut self, padding: u16) -> u32 {
        let record = self.record(padding);
        self.append(&record);
        self.note()
    }

    /// The record that has just been completed.
    fn note(&mut self) -> u32 {
        let n = self.next;
        self.records.insert(n, Record { at: self.now, stretch: self.writes });
        self.next += 1;
        n
    }

    fn finish_half(&mut self) {
        if !self.half.is_empty() {
            let rest = std::mem::take(&mut self.half);
            self.append(&rest);
            self.note();
        }
    }

    /// What the server has begun to write goes where its file goes.
    fn drop_half(&mut self) {
        if !std::mem::take(&mut self.half).is_empty() {
            self.next += 1;
        }
    }

    /// The server opens a file under the live name, new where there is none.
    fn reopen(&mut self) {
        self.finish_half();
        let exists = self.live_path().exists();
        self.writer = open_live(&self.folder);
        match self.live {
            Some(live) if exists => self.writes = live,
            _ => self.begin(),
        }
        self.live = Some(self.writes);
    }

    fn begin(&mut self) {
        self.stretches.push(Stretch::default());
        self.writes = self.stretches.len() - 1;
    }

    fn rotated(&self, folder: &Path) -> Vec<PathBuf> {
        let mut files = names(folder);
        files.retain(|path| !path.ends_with(LIVE));
        files
    }

    fn pick(&self, nth: usize) -> Option<PathBuf> {
        let mut files = self.rotated(&self.folder);
        files.extend(self.rotated(&self.folder.join("old")));
        let count = files.len().max(1);
        files.into_iter().nth(nth % count)
    }

    /// `.1` becomes `.2`, and so on; those beyond the number that is kept go. Gives the name of the newest.
    fn shift(&self, folder: &Path) -> PathBuf {
        let mut numbered: Vec<(usize, &str, PathBuf)> = Vec::new();
        for path in self.rotated(folder) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let rest = name.strip_prefix(&format!("{LIVE}.")).unwrap_or("");
            let (digits, ending) = rest.split_once('.').unwrap_or((rest, ""));
            let ending = ["gz", "zst"].into_iter().find(|it| *it == ending).unwrap_or("");
            if let Ok(number) = digits.parse() {
                numbered.push((number, ending, path));
            }
        }
        numbered.sort();
        let width = self.digits;
        for (number, ending, path) in numbered.into_iter().rev() {
            let dot = if ending.is_empty() { "" } else { "." };
            let to = folder.join(format!("{LIVE}.{:0width$}{dot}{ending}", number + 1));
            if number >= KEEP {
                fs::remove_file(path).unwrap();
            } else {
                fs::rename(path, to).unwrap();
            }
        }
        folder.join(format!("{LIVE}.{:0width$}", 1))
    }

    fn target(&mut self, how: How) -> PathBuf {
        match how {
            How::Numbered { digits } => {
                self.digits = digits;
                self.shift(&self.folder.clone())
            }
            How::OldFolder => self.shift(&self.folder.join("old")),
            How::Dated => {
                let time = jiff::Timestamp::from_microsecond(self.now).unwrap();
                let day = self.folder.join(format!("{LIVE}-{}", time.strftime("%Y%m%d")));
                // The second and third of one day.
                (0..)
                    .map(|n| match n {
                        0 => day.clone(),
                        n => PathBuf::from(format!("{}.{n}", day.display())),
                    })
                    .find(|path| !packed_names(path).any(|it| it.exists()))
                    .unwrap()
            }
        }
    }

    fn pack(&self, path: &Path, pack: Pack) -> (PathBuf, Vec<u8>) {
        let content = fs::read(path).unwrap();
        let ending = if pack.zstd { "zst" } else { "gz" };
        let name = PathBuf::from(format!("{}.{ending}", path.display()));
        let members = content.chunks((content.len() / pack.members).max(1));
        let one = |bytes: &[u8]| if pack.zstd { zst(bytes) } else { gz(bytes) };
        let packed = if content.is_empty() { one(b"") } else { members.flat_map(one).collect() };
        (name, packed)
    }

    /// Does what a step says to the files.
    pub(super) fn act(&mut self, step: &Step) {
        match step {
            Step::Write(paddings) => {
                self.finish_half();
                for padding in paddings {
                    self.write(*padding);
                }
            }
            Step::WriteHalf(padding) => {
                self.finish_half();
                let mut record = self.record(*padding);
                self.half = record.split_off(record.len() - 10);
                self.append(&record);
            }
            Step::Pause(seconds) => self.now += i64::from(*seconds) * 1_000_000,
            Step::Rotate { how, reopen } => {
                let to = self.target(*how);
                if self.live.is_some() {
                    fs::rename(self.live_path(), to).unwrap();
                    self.live = None;
                }
                if *reopen {
                    self.reopen();
                }
            }
            Step::Reopen => self.reopen(),
            Step::CopyTruncate { torn } => self.copy_truncate(*torn),
            Step::Truncate { regrow } => {
                if let Some(live) = self.live {
                    let before = self.stretches[live].bytes.len();
                    OpenOptions::new().write(true).truncate(true).open(self.live_path()).unwrap();
                    self.cut(live);
                    self.regrow(before, *regrow);
                }
            }
            Step::Cut { percent, regrow } => self.cut_short(*percent, *regrow),
            Step::Replace => {
                if self.live.is_some() {
                    fs::remove_file(self.live_path()).unwrap();
                    self.live = None;
                    self.drop_half();
                    // The file system hands the number out again.
                    self.writer = File::open("/dev/null").unwrap();
                    self.reopen();
                }
            }
            Step::DeleteLive => {
                if self.live.is_some() {
                    fs::remove_file(self.live_path()).unwrap();
                    self.live = None;
                }
            }
            Step::Delete(nth) => {
                if let Some(path) = self.pick(*nth) {
                    fs::remove_file(path).unwrap();
                }
            }
            Step::Pack { nth, pack, keep } => {
                if let Some(path) = self.pick(*nth).filter(|path| is_plain(path)) {
                    let (name, bytes) = self.pack(&path, *pack);
                    fs::write(name, bytes).unwrap();
                    if !keep {
                        fs::remove_file(path).unwrap();
                    }
                }
            }
            Step::PackHalf { nth, pack } => {
                if let Some(path) = self.pick(*nth).filter(|path| is_plain(path)) {
                    let (name, bytes) = self.pack(&path, *pack);
                    fs::write(name, &bytes[..bytes.len() / 2]).unwrap();
                }
            }
            // Readers change nothing.
            Step::Scan(_) | Step::Crash { .. } | Step::SaveLedger | Step::RestoreLedger => {}
            Step::Watch(_) | Step::Look | Step::Read | Step::End | Step::Kill => {}
            Step::Fault { .. } => {}
        }
    }

    fn copy_truncate(&mut self, torn: u8) {
        self.finish_half();
        let Some(live) = self.live else { return };
        let to = self.target(How::Numbered { digits: self.digits });
        fs::copy(self.live_path(), to).unwrap();
        if self.writes == live {
            for _ in 0..torn {
                let record = self.write(0);
                self.stretches[live].torn.push(record);
            }
        }
        OpenOptions::new().write(true).truncate(true).open(self.live_path()).unwrap();
        self.cut(live);
    }

    /// The live file was cut to nothing; who writes to it goes on at its beginning.
    fn cut(&mut self, live: usize) {
        let writing = self.writes == live;
        if writing {
            self.drop_half();
        }
        let before = self.writes;
        self.begin();
        self.live = Some(self.writes);
        if !writing {
            self.writes = before;
        }
    }

    /// The live file was cut somewhere.
    fn cut_short(&mut self, percent: u8, regrow: bool) {
        let Some(live) = self.live.filter(|live| *live == self.writes) else { return };
        self.drop_half();
        let mut kept = self.stretches[live].bytes.clone();
        let before = kept.len();
        kept.truncate(kept.len() * usize::from(percent) / 100);
        // Behind a record: what follows begins a line.
        kept.truncate(kept.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        let file = OpenOptions::new().write(true).open(self.live_path()).unwrap();
        file.set_len(kept.len() as u64).unwrap();
        self.begin();
        self.stretches[self.writes].bytes = kept;
        self.live = Some(self.writes);
        self.regrow(before, regrow);
    }

    /// The server writes until its file is longer than it was.
    fn regrow(&mut self, before: usize, regrow: bool) {
        while regrow && self.stretches[self.writes].bytes.len() <= before {
            self.write(900);
        }
    }
}

fn open_live(folder: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(folder.join(LIVE)).unwrap()
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

fn packed_names(path: &Path) -> impl Iterator<Item = PathBuf> {
    ["", ".gz", ".zst"].into_iter().map(|end| PathBuf::from(format!("{}{end}", path.display())))
}

fn is_plain(path: &Path) -> bool {
    path.extension().is_none_or(|it| it != "gz" && it != "zst")
}

/// The records that are complete in some bytes of log.
pub(super) fn records_in(bytes: &[u8]) -> Vec<u32> {
    let number = |line: &[u8]| {
        let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        text.split(',').nth(2)?.strip_prefix('u')?.parse().ok()
    };
    bytes.split_inclusive(|byte| *byte == b'\n').filter_map(number).collect()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As much as can be decompressed.
fn unpack(raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader: Box<dyn std::io::Read + '_> = match raw {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(raw)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::new(raw).unwrap()),
        _ => Box::new(raw),
    };
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = reader.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..n]);
    }
    bytes
}
