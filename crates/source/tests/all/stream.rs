//! Decompression: cuts, damage, members, garbage.

use std::fs;
use std::path::Path;

use source::{Compression, Error, Fingerprint, Kind, OpenFile, Stream, ZSTD_WINDOW_LOG_MAX};

use crate::book::zstd as zstd_frame;
use crate::book::{drain, gzip, lines};

fn read(raw: &[u8]) -> (Vec<u8>, Option<Error>) {
    drain(&mut Stream::new(raw, Path::new("x")).unwrap(), 700)
}

#[test]
fn compression_is_told_by_content() {
    let text = lines(0, 1000);
    for (raw, expected) in [
        (text.clone(), Compression::Plain),
        (gzip(&text), Compression::Gzip),
        (zstd_frame(&text), Compression::Zstd),
        (Vec::new(), Compression::Plain),
        (vec![0x1f], Compression::Plain),
    ] {
        let stream = Stream::new(&raw[..], Path::new("-")).unwrap();
        assert_eq!(stream.compression(), expected);
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    let parts = [lines(0, 5000), Vec::new(), lines(100, 70_000), lines(2000, 10)];
    for compress in [gzip as fn(&[u8]) -> Vec<u8>, zstd_frame] {
        let raw: Vec<u8> = parts.iter().flat_map(|part| compress(part)).collect();
        let (bytes, error) = read(&raw);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(bytes, parts.concat());
    }
    // A skippable frame of zstd, in front and between.
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let raw = [&skippable[..], &zstd_frame(b"one"), &skippable, &zstd_frame(b"two")].concat();
    let (bytes, error) = read(&raw);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(bytes, b"onetwo");
}

/// Cut anywhere: what comes out is a beginning of the content that only grows with the cut, and
/// the end is told as a cut.
fn check_cuts(raw: &[u8], content: &[u8], whole: &[usize]) {
    let mut before = 0;
    for cut in 4..raw.len() {
        let (bytes, error) = read(&raw[..cut]);
        assert!(content.starts_with(&bytes), "cut at {cut}");
        assert!(bytes.len() >= before, "cut at {cut}");
        before = bytes.len();
        let mut stream = Stream::new(&raw[..cut], Path::new("x")).unwrap();
        assert!(drain(&mut stream, 1).0 == bytes, "byte by byte, cut at {cut}");
        match error {
            Some(Error::CutShort { decompressed_offset, raw_offset, .. }) => {
                assert_eq!(decompressed_offset, bytes.len() as u64, "cut at {cut}");
                assert!(raw_offset <= cut as u64);
                assert!(!whole.contains(&cut), "cut at {cut}");
            }
            None => assert!(whole.contains(&cut), "cut at {cut} not told"),
            Some(other) => panic!("cut at {cut}: {other}"),
        }
    }
    assert_eq!(read(raw).0, content);
}

#[test]
fn a_cut_at_every_byte_is_told() {
    let (one, two) = (lines(0, 3000), lines(500, 2000));
    let content = [&one[..], &two].concat();
    for compress in [gzip as fn(&[u8]) -> Vec<u8>, zstd_frame] {
        let (first, second) = (compress(&one), compress(&two));
        check_cuts(&[&first[..], &second].concat(), &content, &[first.len()]);
    }
}

#[test]
fn bytes_before_a_cut_are_delivered() {
    // Two blocks of zstd and many of deflate: most of a large log comes out when half is there.
    let content = lines(0, 2_000_000);
    for compress in [gzip as fn(&[u8]) -> Vec<u8>, zstd_frame] {
        let raw = compress(&content);
        let (bytes, error) = read(&raw[..raw.len() / 2]);
        assert!(matches!(error, Some(Error::CutShort { .. })));
        assert!(bytes.len() > content.len() / 3, "{}", bytes.len());
        assert!(content.starts_with(&bytes));
    }
}

#[test]
fn small_buffers_get_the_same_bytes() {
    // Without a checksum the decoder has used all input before it has given all output.
    let content = lines(0, 300_000);
    for raw in [zstd::stream::encode_all(&content[..], 1).unwrap(), gzip(&content)] {
        for cut in [raw.len(), raw.len() - 1, raw.len() / 2, raw.len() / 3] {
            let whole = |bytes| {
                let mut stream = Stream::new(&raw[..cut], Path::new("x")).unwrap();
                let (bytes, error) = drain(&mut stream, bytes);
                (bytes, error.map(|error| error.to_string()))
            };
            let (bytes, error) = whole(1 << 20);
            assert_eq!(error.is_none(), cut == raw.len());
            assert!(bytes.len() == content.len() || cut < raw.len());
            assert!(whole(7) == (bytes, error), "cut at {cut}");
        }
    }
}

#[test]
fn an_error_at_the_end_is_told_again() {
    let raw = gzip(b"a line\n");
    let mut stream = Stream::new(&raw[..raw.len() - 1], Path::new("x")).unwrap();
    let (bytes, error) = drain(&mut stream, 64);
    assert_eq!(bytes, b"a line\n");
    assert!(matches!(error, Some(Error::CutShort { .. })));
    assert!(stream.ended());
    assert!(matches!(stream.read(&mut [0; 8]), Err(Error::CutShort { .. })));
}

#[test]
fn damage_is_told_and_what_is_sound_comes_out() {
    let content = lines(0, 400_000);
    for compress in [gzip as fn(&[u8]) -> Vec<u8>, zstd_frame] {
        let mut raw = compress(&content);
        let middle = raw.len() / 2;
        raw[middle..middle + 64].fill(0xff);
        let (bytes, error) = read(&raw);
        let error = error.expect("damage is told");
        assert!(error.ends_stream());
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        assert!(!error.to_string().contains("CONNECT"));
        assert!(bytes.len() < content.len() + 64);
        // The first member of two is sound.
        let raw = [compress(b"sound\n"), raw].concat();
        assert!(read(&raw).0.starts_with(b"sound\n"));
    }
    let mut raw = gzip(b"a line\n");
    let checksum = raw.len() - 8;
    raw[checksum] ^= 1;
    let (bytes, error) = read(&raw);
    assert_eq!(bytes, b"a line\n");
    assert!(matches!(error, Some(Error::Damaged { .. })));
}

#[test]
fn garbage_after_the_end_is_told_and_padding_is_not() {
    for compress in [gzip as fn(&[u8]) -> Vec<u8>, zstd_frame] {
        let raw = compress(b"a line\n");
        for garbage in [&b"plain text\n"[..], b"\0\0\0x", b"x"] {
            let (bytes, error) = read(&[&raw[..], garbage].concat());
            assert_eq!(bytes, b"a line\n");
            match error {
                Some(Error::TrailingGarbage { decompressed_offset: 7, raw_offset, .. }) => {
                    assert_eq!(raw_offset, raw.len() as u64);
                }
                other => panic!("{other:?}"),
            }
        }
        for padding in [1, 2, 3, 4, 512, 300_000] {
            let (bytes, error) = read(&[raw.clone(), vec![0; padding]].concat());
            assert_eq!(bytes, b"a line\n");
            assert!(error.is_none(), "{padding}: {error:?}");
        }
        let late = [raw.clone(), vec![0; 300_000], b"x".to_vec()].concat();
        assert!(matches!(read(&late).1, Some(Error::TrailingGarbage { .. })));
    }
}

/// A frame header of zstd that asks for a window of `1 << window_log`, and one empty last block.
fn frame_with_window(window_log: u8) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (window_log - 10) << 3];
    frame.extend_from_slice(&[0x01, 0x00, 0x00]);
    frame
}

#[test]
fn a_window_above_the_bound_is_refused() {
    let bound = ZSTD_WINDOW_LOG_MAX as u8;
    let (bytes, error) = read(&frame_with_window(bound));
    assert!(error.is_none() && bytes.is_empty(), "{error:?}");
    let (_, error) = read(&frame_with_window(bound + 1));
    let error = error.unwrap();
    assert!(matches!(error, Error::WindowTooLarge { window_log_max: 27, .. }), "{error:?}");
    assert!(error.to_string().contains("128 MiB"), "{error}");
}

#[test]
fn a_stream_goes_on_at_any_offset() {
    let content = lines(0, 200_000);
    let folder = tempfile::tempdir().unwrap();
    for (name, raw) in [("p", content.clone()), ("g", gzip(&content)), ("z", zstd_frame(&content))]
    {
        let path = folder.path().join(name);
        fs::write(&path, raw).unwrap();
        let file = OpenFile::open(&path).unwrap();
        for offset in [0, 1, 4095, 4096, 4097, 100_000, content.len()] {
            let mut stream = file.stream(offset as u64).unwrap();
            assert_eq!(stream.offset(), offset as u64);
            let first = offset.min(4096);
            let mark =
                Fingerprint::of(&content[..first], &content[offset - first..offset], offset as u64);
            assert_eq!(stream.fingerprint(), mark, "{name} at {offset}");
            let (bytes, error) = drain(&mut stream, 5000);
            assert!(error.is_none());
            assert!(bytes == content[offset..], "{name} at {offset}");
            assert_eq!(stream.raw_offset(), file.facts().len);
        }
        let beyond = file.stream(content.len() as u64 + 1);
        assert!(matches!(beyond.err(), Some(Error::Shrunk { .. })));
    }
}

#[test]
fn only_regular_files_are_opened_and_links_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link, pipe) =
        (folder.path().join("file"), folder.path().join("link"), folder.path().join("pipe"));
    fs::write(&file, b"a line\n").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(OpenFile::open(&link).unwrap().facts(), OpenFile::open(&file).unwrap().facts());
    assert!(OpenFile::open_found(&file).is_ok());
    let kind = |result: Result<OpenFile, Error>| match result {
        Err(Error::NotRegular { kind, .. }) => kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(OpenFile::open_found(&link)), Kind::Other);
    assert_eq!(kind(OpenFile::open(&pipe)), Kind::Fifo);
    assert_eq!(kind(OpenFile::open(folder.path())), Kind::Directory);
}

#[test]
fn threads_read_one_descriptor() {
    let content = lines(0, 300_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, &content).unwrap();
    let file = OpenFile::open(&path).unwrap();
    let half = content.len() / 2;
    let read = |from: usize, to: usize| {
        let mut bytes = vec![0; to - from];
        assert_eq!(file.read_full_at(&mut bytes, from as u64).unwrap(), to - from);
        bytes
    };
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| read(0, half));
        let second = scope.spawn(|| read(half, content.len()));
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_eq!([first, second].concat(), content);
}

/// A reader that gives one byte at a time, and is interrupted before each.
struct Drip<'a>(&'a [u8], bool);

impl std::io::Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let n = self.0.len().min(out.len()).min(1);
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

#[test]
fn standard_input_may_drip() {
    let content = lines(0, 5000);
    for raw in [
        content.clone(),
        gzip(&content),
        [zstd_frame(&content[..99]), zstd_frame(&content[99..])].concat(),
    ] {
        let mut stream = Stream::new(Drip(&raw, false), Path::new("standard input")).unwrap();
        let (bytes, error) = drain(&mut stream, 64);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(bytes, content);
    }
}
