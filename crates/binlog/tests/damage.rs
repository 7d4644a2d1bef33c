//! Logs that were cut, damaged, or are none: no panic, and the right one of three answers.

mod common;

use binlog::{Error, Event, EventType, Framer, Reader, Step};
use common::any::{Calls, calls, calls_of, check};
use common::{all_logs, fixture};
use proptest::prelude::*;

/// The corpus of the fuzz target, with the target's own checks.
#[test]
fn the_fuzz_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/binlog");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus is part of the repository") {
        check(&std::fs::read(entry.expect("a file").path()).expect("a file"));
        count += 1;
    }
    assert!(count >= 8, "{count} files");
}

#[test]
fn every_recorded_log_however_it_is_parted() {
    for (name, log) in all_logs() {
        let whole = calls(&log, &[log.len()], true);
        assert!(!whole.lines.iter().any(|line| line.starts_with("error")), "{name}");
        for pieces in [&[13][..], &[1000, 1], &[65_536]] {
            assert!(calls(&log, pieces, true).lines == whole.lines, "{name}: {pieces:?}");
        }
    }
}

/// Compressed transactions that are too long to be held are read while they come, with the same
/// outcome.
#[test]
fn payloads_that_are_read_while_they_come() {
    let mut log = fixture("mysql-9.7-compressed.binlog");
    let whole = calls(&log, &[log.len()], true);
    for pieces in [&[1][..], &[100], &[77, 3]] {
        let streamed = calls_of(Reader::new().payload_bytes_max(0), &log, pieces);
        assert_eq!(streamed.lines, whole.lines, "{pieces:?}");
    }
    // The last byte of the first payload's checksum: everything of it is told, then that it is wrong.
    let mut framer = Framer::new();
    let end = loop {
        match framer.next(&log[framer.position() as usize..]).expect("a right log") {
            Step::Event(event) if event.header.kind == EventType::TRANSACTION_PAYLOAD => {
                break event.end() as usize;
            }
            Step::Event(_) => {}
            Step::Incomplete { .. } => panic!("no payload"),
        }
    };
    log[end - 1] ^= 1;
    let mut lines = calls_of(Reader::new().payload_bytes_max(0), &log, &[100]).lines;
    let complaints = lines.iter().filter(|line| line.starts_with("damaged")).count();
    lines.retain(|line| !line.starts_with("damaged"));
    assert_eq!((complaints, lines), (1, whole.lines));
}

/// A log that ends anywhere is "not complete yet", never an error, and what stands before is read
/// all the same.
#[test]
fn cut_at_every_byte() {
    for (name, log) in all_logs() {
        let step = 1 + log.len() / 1500;
        for end in (0..log.len()).step_by(step) {
            let mut framer = Framer::new();
            let mut position = 0;
            loop {
                match framer.next(&log[position..end]) {
                    Ok(Step::Event(_)) => position = framer.position() as usize,
                    Ok(Step::Incomplete { needed }) => {
                        let at = framer.position() as usize;
                        assert!(at + needed > end, "{name}: {end}");
                        break;
                    }
                    Err(error) => panic!("{name} cut at {end}: {error}"),
                }
            }
        }
        if log.len() > 4_000 {
            continue;
        }
        let whole = calls(&log, &[log.len()], true);
        for end in 0..log.len() {
            let cut = calls(&log[..end], &[end.max(1)], true);
            let same = cut.lines.iter().zip(&whole.lines).take_while(|(a, b)| a == b).count();
            // Behind the common part: the unfinished transaction and the end.
            assert!(cut.lines.len() - same <= 2, "{name} cut at {end}");
        }
    }
}

/// Each byte of the first 64 KiB of a log is changed. With checksums no change passes unseen, but
/// for those in the header of the format description that it does not cover.
#[test]
fn every_changed_byte_is_seen() {
    for name in ["mariadb-11.8-minimal", "mysql-9.7-minimal", "mariadb-10.11-compressed"] {
        let mut log = fixture(&format!("{name}.binlog"));
        let whole = calls(&log, &[log.len()], true).lines;
        for at in 0..log.len() {
            let bit = 1 << (at % 8);
            log[at] ^= bit;
            let lines = calls(&log, &[log.len()], true).lines;
            // The flag "in use" is not part of the checksum (byte 21 of the file).
            assert!(lines != whole || at == 21, "{name}: bit {bit:#x} of byte {at}");
            // Without checksums anything may come of it, but no panic.
            calls(&log, &[log.len()], false);
            log[at] ^= bit;
        }
    }
}

/// 64 KiB of each log of all types, a bit of every byte, without checksums: 0 panics.
#[test]
fn flipped_bits_of_64_kib_do_not_panic() {
    for server in common::SERVERS {
        let mut log = fixture(&format!("{server}-types-full.binlog"));
        log.truncate(64 << 10);
        // Whole logs would take long: each part between two positions is damaged by itself.
        let mut framer = Framer::new();
        let mut starts = Vec::new();
        while let Ok(Step::Event(event)) = framer.next(&log[framer.position() as usize..]) {
            if event.header.kind.is_gtid() {
                starts.push(event.position as usize);
            }
        }
        starts.push(framer.position() as usize);
        let format = *framer.format();
        for part in starts.windows(2) {
            let mut bytes = log[part[0]..part[1]].to_vec();
            for at in 0..bytes.len() {
                let bit = 1 << (at % 8);
                bytes[at] ^= bit;
                let framer = Framer::resume(0, format).verify(false);
                let mut reader = Reader::over(framer);
                let mut calls = Calls::default();
                while reader.read(&bytes[reader.position() as usize..], &mut calls).is_err() {
                    let rest = &bytes[reader.position() as usize..];
                    if !reader.skip(rest) || reader.position() as usize > bytes.len() {
                        break;
                    }
                }
                bytes[at] ^= bit;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes);
        let mut log = fixture("smallest.binlog");
        log.extend_from_slice(&bytes);
        check(&log);
    }

    /// Pieces of a log put together anyhow, with changed bytes.
    #[test]
    fn mangled_logs(
        server in 0..3_usize,
        cuts in proptest::collection::vec((0..4000_usize, 0..300_usize), 1..6),
        changes in proptest::collection::vec((0..2000_usize, any::<u8>()), 0..8),
    ) {
        let log = fixture(&format!("{}-minimal.binlog", common::SERVERS[server]));
        let mut mangled = log[..300].to_vec();
        for (start, length) in cuts {
            let start = start.min(log.len());
            mangled.extend_from_slice(&log[start..log.len().min(start + length)]);
        }
        for (at, byte) in changes {
            let at = at % mangled.len();
            mangled[at] = byte;
        }
        check(&mangled);
    }
}

fn first_error(log: &[u8]) -> Option<Error> {
    let mut framer = Framer::new();
    loop {
        match framer.next(&log[framer.position() as usize..]) {
            Ok(Step::Event(_)) => {}
            Ok(Step::Incomplete { .. }) => return None,
            Err(error) => return Some(error),
        }
    }
}

#[test]
fn what_is_no_log_or_cannot_be_read_is_said() {
    assert_eq!(first_error(b"\x1f\x8b\x08\x00"), Some(Error::NotABinlog));
    assert_eq!(first_error(b"\xfdbin\x01"), Some(Error::EncryptedFile));
    assert_eq!(first_error(b"\xfe\xfe\x0d\x01"), Some(Error::InsideInnoDb));
    assert_eq!(first_error(b"\xfeb"), None);
    for (log, way) in [
        (&b"\xfdbin\x01"[..], "through the server"),
        (b"\xfe\xfe\x0d\x01", ".ibb"),
        (b"binlog.000001\n", "name a binlog or its index"),
    ] {
        let text = first_error(log).expect("an error").to_string();
        assert!(text.contains(way), "{text}");
    }
}

#[test]
fn an_encrypted_log_of_a_real_server() {
    let log = fixture("encrypted.binlog");
    let mut framer = Framer::new();
    let mut last = EventType(0);
    let error = loop {
        match framer.next(&log[framer.position() as usize..]) {
            Ok(Step::Event(event)) => {
                last = event.header.kind;
                if last == EventType::START_ENCRYPTION {
                    assert_eq!(event.decode(framer.format()), Ok(Event::StartEncryption));
                }
            }
            Ok(Step::Incomplete { .. }) => panic!("the rest is encrypted"),
            Err(error) => break error,
        }
    };
    assert_eq!(last, EventType::START_ENCRYPTION);
    assert_eq!(error, Error::EncryptedFrom { position: framer.position() });
}

/// Lengths at their bounds: 18 and 19 bytes, the longest event and one byte more.
#[test]
fn lengths_at_their_bounds() {
    let log = fixture("smallest.binlog");
    let event = |length: u32| {
        let mut bytes = [0; 19];
        bytes[4] = 3;
        bytes[9..13].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    let format = {
        let mut framer = Framer::new();
        framer.next(&log).expect("a format description");
        *framer.format()
    };
    let next = |length: u32, limit: u32| {
        let mut framer = Framer::resume(100, format).event_bytes_max(limit);
        framer.next(&event(length)).map(|step| matches!(step, Step::Incomplete { .. }))
    };
    assert_eq!(next(18, 1000), Err(Error::BadLength { position: 100, length: 18 }));
    assert!(matches!(next(19, 1000), Err(Error::Checksum { .. })));
    assert_eq!(next(1000, 1000), Ok(true));
    assert_eq!(next(1001, 1000), Err(Error::TooLong { position: 100, length: 1001, limit: 1000 }));
    assert_eq!(
        next(u32::MAX, binlog::EVENT_BYTES_MAX),
        Err(Error::TooLong { position: 100, length: u32::MAX, limit: binlog::EVENT_BYTES_MAX })
    );
}
