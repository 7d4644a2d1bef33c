//! What can happen to a log, and how often.

use proptest::prelude::*;

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The server writes records with so many bytes of padding.
    Write(Vec<u16>),
    /// The server has written the beginning of a record only; what comes next ends it.
    WriteHalf(u16),
    /// Seconds in which nothing is written.
    Pause(u16),
    /// The live file gets another name. Without `reopen` the server goes on writing to it.
    Rotate {
        how: How,
        reopen: bool,
    },
    /// The server opens the live file anew.
    Reopen,
    /// The live file is copied, so many records are written, and it is cut to nothing.
    CopyTruncate {
        torn: u8,
    },
    /// The live file is cut to nothing; with `regrow` it is written on beyond its old length.
    Truncate {
        regrow: bool,
    },
    /// The same, and part of it is kept.
    Cut {
        percent: u8,
        regrow: bool,
    },
    /// The live file is deleted and made anew, with the same inode where the file system does that.
    Replace,
    /// The live file is deleted, and the server goes on writing to it.
    DeleteLive,
    /// The n-th rotated file is deleted.
    Delete(usize),
    /// The n-th rotated file is packed; with `keep` the plain one stays.
    Pack {
        nth: usize,
        pack: Pack,
        keep: bool,
    },
    /// Half of the archive is written, and the plain one stays.
    PackHalf {
        nth: usize,
        pack: Pack,
    },
    Scan(What),
    /// A scan that dies at the n-th point where it could.
    Crash {
        stop: u32,
        each_file: bool,
    },
    /// A watch is started, or reads its configuration anew; then it looks.
    Watch(What),
    Look,
    Read,
    /// The watch is told to end.
    End,
    /// The watch is killed.
    Kill,
    /// A step of the watch comes to grief.
    Fault {
        read: bool,
        fault: Fault,
    },
    /// The ledger is copied away.
    SaveLedger,
    /// The copy takes the ledger's place.
    RestoreLedger,
}

/// What can happen to a step of a watch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// The ledger cannot be written from the n-th point on; `dies`: and that is the end of the watch.
    Ledger { stop: u32, each_file: bool, dies: bool },
    /// It is told to end while it reads, when it asks for the n-th time.
    Told(u32),
}

/// How a log is rotated.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// `.1`, or as the plugin does it: as many digits as its number of rotations has.
    Numbered { digits: usize },
    /// `-20261101`, then `-20261101.1`.
    Dated,
    /// `old/….1`.
    OldFolder,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Pack {
    pub(super) zstd: bool,
    pub(super) members: usize,
}

/// What a scan is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Folder,
    /// The live file by name; its rotated files are found beside it.
    Live,
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => (1..4_usize).prop_map(|digits| How::Numbered { digits }),
        1 => Just(How::Dated),
        1 => Just(How::OldFolder),
    ]
}

fn pack() -> impl Strategy<Value = Pack> {
    (any::<bool>(), 1..4_usize).prop_map(|(zstd, members)| Pack { zstd, members })
}

/// What happens to the log.
fn act() -> impl Strategy<Value = Step> {
    let nth = 0..8_usize;
    prop_oneof![
        8 => prop::collection::vec(prop_oneof![3 => 0..200_u16, 1 => 0..3000_u16], 1..6)
            .prop_map(Step::Write),
        1 => prop::collection::vec(0..900_u16, 10..40).prop_map(Step::Write),
        1 => (0..500_u16).prop_map(Step::WriteHalf),
        1 => prop_oneof![1..9000_u16, 1..200_u16].prop_map(Step::Pause),
        5 => (how(), prop::bool::weighted(0.8))
            .prop_map(|(how, reopen)| Step::Rotate { how, reopen }),
        1 => Just(Step::Reopen),
        3 => (0..3_u8).prop_map(|torn| Step::CopyTruncate { torn }),
        1 => any::<bool>().prop_map(|regrow| Step::Truncate { regrow }),
        1 => (0..100_u8, any::<bool>())
            .prop_map(|(percent, regrow)| Step::Cut { percent, regrow }),
        1 => Just(Step::Replace),
        1 => Just(Step::DeleteLive),
        1 => nth.clone().prop_map(Step::Delete),
        3 => (nth.clone(), pack(), prop::bool::weighted(0.3))
            .prop_map(|(nth, pack, keep)| Step::Pack { nth, pack, keep }),
        1 => (nth, pack()).prop_map(|(nth, pack)| Step::PackHalf { nth, pack }),
    ]
}

fn scan() -> impl Strategy<Value = Step> {
    prop_oneof![
        7 => Just(Step::Scan(What::Folder)),
        2 => Just(Step::Scan(What::Live)),
        2 => (0..12_u32, any::<bool>())
            .prop_map(|(stop, each_file)| Step::Crash { stop, each_file }),
        1 => Just(Step::SaveLedger),
        1 => Just(Step::RestoreLedger),
    ]
}

fn watch() -> impl Strategy<Value = Step> {
    let what = prop_oneof![3 => Just(What::Folder), 1 => Just(What::Live)];
    let ledger = (0..12_u32, any::<bool>(), any::<bool>())
        .prop_map(|(stop, each_file, dies)| Fault::Ledger { stop, each_file, dies });
    let fault = prop_oneof![3 => ledger, 1 => (0..6_u32).prop_map(Fault::Told)];
    prop_oneof![
        5 => what.prop_map(Step::Watch),
        5 => Just(Step::Look),
        7 => Just(Step::Read),
        1 => Just(Step::End),
        1 => Just(Step::Kill),
        2 => (any::<bool>(), fault).prop_map(|(read, fault)| Step::Fault { read, fault }),
    ]
}

/// One history of a log: read by scans alone, or by watches, with a scan now and then.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let scanned = prop_oneof![29 => act(), 13 => scan()];
    let watched = prop_oneof![29 => act(), 3 => scan(), 18 => watch()];
    prop_oneof![
        1 => prop::collection::vec(scanned, 1..24),
        2 => prop::collection::vec(watched, 1..30),
    ]
}
