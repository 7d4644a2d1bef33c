//! Which answer each thing that can happen to a log gets.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::write::GzEncoder;
use source::{
    Candidate, Capture, Error, Fingerprint, HEAD_BYTES, Known, KnownFile, OpenFile, Resume, decide,
};

use crate::book::{Book, append, candidate, files_of, gzip, lines, zstd};

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    book: Book,
}

/// A fresh folder.
fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_path_buf();
    Place { _folder: folder, path, book: Book::default() }
}

impl Place {
    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.file(name), bytes).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.file(from), self.file(to)).unwrap();
    }

    /// Answers for all files, as `name: answer`.
    fn scan(&mut self) -> Vec<(String, Resume)> {
        let paths = files_of(&self.path);
        let answers = self.book.scan(&paths);
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        paths.iter().map(name).zip(answers).collect()
    }

    fn check(&mut self, expected: &[(&str, Resume)]) {
        let expected: Vec<(String, Resume)> =
            expected.iter().map(|(name, answer)| ((*name).to_owned(), *answer)).collect();
        assert_eq!(self.scan(), expected);
    }
}

use Resume::{Continue, Copy, Covered, New, Rewritten, Shorter, Twin, Unchanged};

#[test]
fn growth_goes_on_where_it_ended() {
    for first in [0, 30, 60, 4000, 4096, 5000, 100_000] {
        let mut place = place();
        let text = lines(0, first.max(1));
        let text = if first == 0 { &[] } else { &text[..] };
        place.write("a", text);
        place.check(&[("a", New)]);
        place.check(&[("a", Unchanged { key: 1 })]);
        append(&place.file("a"), b"more\n");
        place.check(&[("a", Continue { key: 1, offset: text.len() as u64 })]);
        assert_eq!(place.book.lines.concat(), [text, b"more\n"].concat());
    }
}

#[test]
fn an_unfinished_line_waits_and_costs_nothing_while_it_waits() {
    let mut place = place();
    place.write("a", b"one\ntw");
    place.check(&[("a", New)]);
    assert_eq!(place.book.mark(1).fingerprint.offset, 4);
    place.check(&[("a", Unchanged { key: 1 })]);
    append(&place.file("a"), b"o\n");
    place.check(&[("a", Continue { key: 1, offset: 4 })]);
    assert_eq!(place.book.lines, [b"one\n", b"two\n"]);
}

#[test]
fn numbered_rotation_moves_marks_along() {
    let mut place = place();
    place.write("a", &lines(0, 9000));
    place.scan();
    append(&place.file("a"), b"last\n");
    place.rename("a", "a.1");
    place.write("a", &lines(1000, 100));
    let offset = place.book.mark(1).fingerprint.offset;
    place.check(&[("a", New), ("a.1", Continue { key: 1, offset })]);
    place.rename("a.1", "a.2");
    place.rename("a", "a.1");
    place.write("a", b"");
    place.check(&[("a", New), ("a.1", Unchanged { key: 2 }), ("a.2", Unchanged { key: 1 })]);
}

#[test]
fn compression_goes_on_at_the_same_decompressed_offset() {
    for (ending, compress) in [("gz", gzip as fn(&[u8]) -> Vec<u8>), ("zst", zstd)] {
        for (read, more) in [(100, 100), (5000, 0), (100_000, 50_000)] {
            let mut place = place();
            let (first, rest) = (lines(0, read), lines(9000, more));
            place.write("a.1", &first);
            place.scan();
            fs::remove_file(place.file("a.1")).unwrap();
            let name = format!("a.1.{ending}");
            place.write(&name, &compress(&[&first[..], &rest].concat()));
            let offset = first.len() as u64;
            let expected =
                if rest.is_empty() { Unchanged { key: 1 } } else { Continue { key: 1, offset } };
            place.check(&[(&name, expected)]);
            assert_eq!(place.book.lines.concat(), [&first[..], &rest].concat());
            place.check(&[(&name, Unchanged { key: 1 })]);
            place.rename(&name, "renamed");
            place.check(&[("renamed", Unchanged { key: 1 })]);
        }
    }
}

#[test]
fn a_finished_archive_is_known_by_its_stored_bytes() {
    // Its content cannot be decompressed any more where it is damaged in the middle: recognising it
    // without looking there shows that nothing was decompressed.
    let mut place = place();
    let mut raw = gzip(&lines(0, 3_000_000));
    assert!(raw.len() > 20_000);
    place.write("a.gz", &raw);
    place.check(&[("a.gz", New)]);
    raw[9000..9100].fill(0);
    place.write("a.gz", &raw);
    place.check(&[("a.gz", Unchanged { key: 1 })]);
}

#[test]
fn an_archive_beside_its_plain_twin_is_read_once() {
    let mut place = place();
    let text = lines(0, 50_000);
    place.write("a.1", &text);
    place.write("a.1.gz", &gzip(&text));
    place.write("a.1.zst", &zstd(&text));
    place.check(&[("a.1", New), ("a.1.gz", Twin { of: 0 }), ("a.1.zst", Twin { of: 0 })]);
    assert_eq!(place.book.lines.concat(), text);
    let known = |key| Unchanged { key };
    place.check(&[("a.1", known(1)), ("a.1.gz", known(2)), ("a.1.zst", known(3))]);
    assert_eq!(place.book.mark(2).fingerprint, place.book.mark(1).fingerprint);
    // New ones, in a later run.
    place.write("b", &text);
    let answers = place.scan();
    assert_eq!(answers[3], ("b".to_owned(), Copy { key: 1 }));
    assert_eq!(place.book.lines.concat(), text);
}

#[test]
fn small_twins_are_covered() {
    let mut place = place();
    let text = lines(0, 300);
    place.write("a", &text);
    place.write("b", &text);
    place.write("c", &text[..200]);
    place.write("d.gz", &gzip(&text[..150]));
    let by = Covered { by: 0 };
    place.check(&[("a", New), ("b", by), ("c", by), ("d.gz", by)]);
    assert_eq!(place.book.lines.concat(), text);
    // Without any line break there is nothing to tell them apart by, and nothing to count.
    let mut place = self::place();
    place.write("a", b"2026");
    place.write("b", b"20261120");
    place.check(&[("a", New), ("b", New)]);
}

#[test]
fn an_archive_being_written_waits_beside_its_log() {
    let mut place = place();
    let text = lines(0, 500_000);
    let raw = gzip(&text);
    place.write("a.1", &text);
    place.scan();
    place.write("a.1.gz", &raw[..raw.len() / 2]);
    place.check(&[("a.1", Unchanged { key: 1 }), ("a.1.gz", Shorter { key: 1 })]);
    place.write("a.1.gz", &raw);
    fs::remove_file(place.file("a.1")).unwrap();
    place.check(&[("a.1.gz", Unchanged { key: 1 })]);
    assert_eq!(place.book.lines.concat(), text);
}

#[test]
fn a_cut_archive_goes_on_when_it_is_whole() {
    for compress in [gzip as fn(&[u8]) -> Vec<u8>, zstd] {
        let text = lines(0, 600_000);
        let raw = compress(&text);
        for part in 1..20 {
            let mut place = place();
            place.write("a.gz", &raw[..raw.len() * part / 20]);
            place.check(&[("a.gz", New)]);
            let read = place.book.lines.concat().len() as u64;
            place.check(&[("a.gz", Unchanged { key: 1 })]);
            place.write("a.gz", &raw);
            place.check(&[("a.gz", Continue { key: 1, offset: read })]);
            assert!(place.book.lines.concat() == text, "part {part}");
        }
    }
}

#[test]
fn a_reused_inode_with_other_content_is_another_file() {
    // Writing into the same file gives the same inode and birth time with other content: the worst
    // case, whatever the file system does.
    for (old, new) in [(300, 9000), (9000, 300), (9000, 9000), (9000, 20_000), (60, 60)] {
        let mut place = place();
        place.write("a", &lines(0, old));
        place.scan();
        let text = lines(5000, new);
        place.write("a", &text);
        place.check(&[("a", New)]);
        assert!(place.book.lines.concat().ends_with(&text));
        place.check(&[("a", Unchanged { key: 2 })]);
    }
}

#[test]
fn copytruncate_keeps_the_rest_in_the_copy() {
    for regrown in [0, 200, 20_000, 60_000] {
        let mut place = place();
        let first = lines(0, 30_000);
        place.write("a", &first);
        place.scan();
        append(&place.file("a"), b"unread\n");
        fs::copy(place.file("a"), place.file("a.1")).unwrap();
        let text = if regrown == 0 { Vec::new() } else { lines(7000, regrown) };
        place.write("a", &text);
        let offset = first.len() as u64;
        place.check(&[("a", New), ("a.1", Continue { key: 1, offset })]);
        let all = [&text[..], &first, b"unread\n"].concat();
        let mut lines: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
        lines.sort_unstable();
        place.book.lines.sort_unstable();
        assert_eq!(place.book.lines, lines);
        let answers = place.scan();
        assert!(answers.iter().all(|(_, answer)| matches!(answer, Unchanged { .. })));
    }
}

#[test]
fn cut_to_nothing_without_a_copy_is_another_log() {
    let mut place = place();
    place.write("a", &lines(0, 9000));
    place.scan();
    place.write("a", b"");
    place.check(&[("a", New)]);
    place.check(&[("a", Unchanged { key: 2 })]);
    append(&place.file("a"), b"first\n");
    place.check(&[("a", Continue { key: 2, offset: 0 })]);
}

#[test]
fn an_edited_log_is_refused() {
    let mut place = place();
    let mut text = lines(0, 20_000);
    place.write("a", &text);
    place.scan();
    text.drain(8000..8060);
    text.extend_from_slice(&lines(9000, 500));
    place.write("a", &text);
    place.check(&[("a", Rewritten { key: 1 })]);
    text.truncate(15_000);
    place.write("a", &text);
    place.check(&[("a", Shorter { key: 1 })]);
}

/// A gzip member whose data is stored as it is: content of equal length gives files of equal length.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_edited_archive_is_refused_though_its_length_and_head_are_the_same() {
    let mut place = place();
    let mut text = lines(0, 20_000);
    place.write("a.gz", &stored(&text));
    place.scan();
    let digit = text.len() - 20;
    text[digit] ^= 1;
    place.write("a.gz", &stored(&text));
    place.check(&[("a.gz", Rewritten { key: 1 })]);
}

#[test]
fn a_log_that_was_cut_inside_its_head_goes_on_behind_its_last_line() {
    for (kept, fresh) in [(2000, 0), (2000, 500), (60, 60), (2000, 9000), (4000, 200)] {
        let mut place = place();
        let text = lines(0, 9000);
        place.write("a", &text);
        place.scan();
        let kept = text[..kept].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        let fresh = lines(7000, fresh);
        place.write("a", &[&text[..kept], &fresh].concat());
        place.check(&[("a", Resume::Fork { key: 1, offset: kept as u64 })]);
        assert!(place.book.lines.concat() == [&text[..], &fresh].concat(), "{kept}");
        place.check(&[("a", Unchanged { key: 2 })]);
    }
    // Inside a line: that one is written again.
    let mut place = place();
    place.write("a", b"one,1\ntwo,2\nthree,3\n");
    place.scan();
    place.write("a", b"one,1\ntwo");
    place.check(&[("a", Resume::Fork { key: 1, offset: 6 })]);
    append(&place.file("a"), b",4\n");
    place.check(&[("a", Continue { key: 2, offset: 6 })]);
    assert_eq!(place.book.lines.concat(), b"one,1\ntwo,2\nthree,3\ntwo,4\n");
}

#[test]
fn of_an_old_mark_a_part_of_the_head_is_not_guessed_at() {
    let mut place = place();
    let text = lines(0, 9000);
    place.write("a", &text);
    place.scan();
    place.book.marks[0].fingerprint.lines.truncate(1);
    place.write("a", &text[..2000]);
    place.check(&[("a", Rewritten { key: 1 })]);
    place.write("a", &text);
    place.check(&[("a", Unchanged { key: 1 })]);
}

#[test]
fn a_copy_goes_on_under_its_own_mark() {
    let mut place = place();
    let text = lines(0, 9000);
    place.write("a", &text);
    place.scan();
    place.write("b", &[&text[..], b"only in b\n"].concat());
    let offset = text.len() as u64;
    place.check(&[("a", Unchanged { key: 1 }), ("b", Resume::Fork { key: 1, offset })]);
    place.check(&[("a", Unchanged { key: 1 }), ("b", Unchanged { key: 2 })]);
}

#[test]
fn a_file_that_vanished_is_no_concern() {
    let mut place = place();
    place.write("a", &lines(0, 900));
    place.write("b", &lines(900, 900));
    place.scan();
    fs::remove_file(place.file("a")).unwrap();
    place.check(&[("b", Unchanged { key: 2 })]);
}

#[test]
fn marks_of_a_file_are_the_same_however_they_are_made() {
    let place = place();
    let text = lines(0, 20_000);
    place.write("a", &text);
    let file = OpenFile::open(&place.file("a")).unwrap();
    for offset in [0, 1, 63, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, 9999] {
        let mut capture = Capture::new();
        for part in text[..offset].chunks(777) {
            capture.feed(part);
        }
        let mark = capture.fingerprint();
        assert_eq!(mark, file.fingerprint(offset as u64).unwrap());
        assert_eq!(mark.head_len as usize, offset.min(HEAD_BYTES));
        assert_eq!(mark.tail_len as usize, offset.min(HEAD_BYTES));
    }
    let beyond = file.fingerprint(text.len() as u64 + 1);
    assert!(matches!(beyond, Err(Error::Shrunk { .. })));
}

#[test]
fn marks_that_no_reader_leaves_match_nothing_and_do_not_panic() {
    let place = place();
    let text = lines(0, 20_000);
    place.write("a", &text);
    let right = OpenFile::open(&place.file("a")).unwrap().fingerprint(9000).unwrap();
    let wrong = [
        Fingerprint { head_len: u32::MAX, ..right.clone() },
        Fingerprint { tail_len: u32::MAX, ..right.clone() },
        Fingerprint { offset: 10, ..right.clone() },
        Fingerprint { offset: u64::MAX, ..right.clone() },
        Fingerprint { head_len: 100, ..right.clone() },
        Fingerprint { tail_len: 0, ..right.clone() },
    ];
    for fingerprint in wrong {
        let file = candidate(&place.file("a"));
        let raw = file.raw(false);
        let text = format!("{fingerprint:?}");
        let known = KnownFile { key: 1, path: PathBuf::from("elsewhere"), fingerprint, raw };
        let answer = decide(&[file], &Known::new(vec![known])).resumes.remove(0).unwrap();
        assert!(!matches!(answer, Continue { .. } | Unchanged { .. }), "{text}: {answer:?}");
    }
}

#[test]
fn ten_thousand_marks_are_looked_up_by_content() {
    let place = place();
    place.write("b", b"");
    let elsewhere = candidate(&place.file("b"));
    let mut marks = Vec::new();
    for key in 0..10_000 {
        let text = lines(key * 100, if key % 2 == 0 { 5000 } else { key % 4000 + 1 });
        let mut capture = Capture::new();
        capture.feed(&text);
        marks.push(KnownFile {
            key: key as i64,
            path: PathBuf::from(format!("{key}")),
            fingerprint: capture.fingerprint(),
            raw: elsewhere.raw(true),
        });
    }
    let known = Known::new(marks);
    for key in [0, 1, 2, 4999, 5000, 9998] {
        let mark = &known.files()[key];
        let text = lines(key * 100, if key % 2 == 0 { 5000 } else { key % 4000 + 1 });
        place.write("a", &[&text[..], b"more\n"].concat());
        let answers = decide(&[candidate(&place.file("a"))], &known).resumes;
        let expected = Continue { key: key as i64, offset: mark.fingerprint.offset };
        assert_eq!(*answers[0].as_ref().unwrap(), expected);
    }
}

#[test]
fn a_file_cut_between_opening_and_deciding_is_decided_by_what_is_left() {
    let place = place();
    place.write("a", &lines(0, 9000));
    place.write("b", &lines(5000, 9000));
    let candidates: Vec<Candidate> = files_of(&place.path).iter().map(|p| candidate(p)).collect();
    place.write("a", b"");
    let answers = decide(&candidates, &Known::default()).resumes;
    let answers: Vec<Resume> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [New, New]);
}
