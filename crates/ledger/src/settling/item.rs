//! A record as it is judged: what it tells, and what is known of it.

use formats::Reason;

/// The bytes of a user name that every record has: the rest may be cut off.
const NAME_KEPT: usize = 128;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Deed {
    Login,
    /// A login with a name so long that it may have been cut.
    LoginLong,
    Refused,
    RefusedLong,
    End,
    /// A change of user that names the new one.
    Change,
    /// One that does not.
    ChangeUnnamed,
    ChangeRefused,
    /// A statement close to a refusal. All others count at once.
    Statement,
}

impl Deed {
    pub(crate) const ALL: [Deed; 9] = [
        Deed::Login,
        Deed::LoginLong,
        Deed::Refused,
        Deed::RefusedLong,
        Deed::End,
        Deed::Change,
        Deed::ChangeUnnamed,
        Deed::ChangeRefused,
        Deed::Statement,
    ];

    #[inline(always)]
    pub(super) fn begins(self) -> bool {
        (self as u8) < Deed::End as u8
    }

    pub(super) fn refuses(self) -> bool {
        matches!(self, Deed::Refused | Deed::RefusedLong)
    }

    pub(super) fn changes(self) -> bool {
        matches!(self, Deed::Change | Deed::ChangeUnnamed)
    }

    /// Is it a login, or does one come of it? Others are not worth forging.
    #[inline(always)]
    pub(super) fn is_forged(self) -> bool {
        self.is_login() | (self as u8 == Deed::ChangeUnnamed as u8)
    }

    /// Does it count as a login?
    #[inline(always)]
    pub(crate) fn is_login(self) -> bool {
        (1u16 << self as u8) & 0b10_0011 != 0
    }
}

const _: () =
    assert!(Deed::Login as u8 == 0 && Deed::LoginLong as u8 == 1 && Deed::Change as u8 == 5);

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    /// Microseconds UTC.
    pub(crate) at: i64,
    pub(crate) id: u64,
    /// Where it stands in its file, and how many bytes.
    pub(crate) offset: u64,
    pub(crate) bytes: u16,
    pub(crate) mark: Mark,
    pub(crate) pair: u32,
    /// Of a beginning: the number of the one before it whose id has the same place. Of a statement: the
    /// low bits of its query id. Of a refused change of user: how many bytes the name has.
    pub(crate) link: u32,
    /// Of a refusal or an end: what is told of a user name that the log may have cut, see [`name_of`].
    pub(crate) name: u16,
    /// By how much it has fewer characters than bytes; 255: by that or more.
    pub(crate) spare: u8,
    pub(crate) deed: Deed,
}

impl Item {
    pub(crate) fn new(at: i64, id: u64, pair: u32, deed: Deed, mark: u16) -> Item {
        Item {
            at,
            id,
            offset: 0,
            bytes: 0,
            mark: Mark(mark),
            pair,
            link: 0,
            name: 0,
            spare: 0,
            deed,
        }
    }
}

/// What is known of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark(pub(crate) u16);

impl Mark {
    pub(super) const TWICE: u16 = 1;
    pub(super) const IN_NAME: u16 = 2;
    pub(super) const MISPLACED: u16 = 4;
    pub(super) const CONTESTED: u16 = Mark::TWICE | Mark::IN_NAME | Mark::MISPLACED;
    /// Its id is not the next that was to be expected.
    pub(super) const UNEXPECTED: u16 = 16;
    /// The same id began before or begins again.
    pub(super) const CLOSELY: u16 = 32;
    /// Its stamp is far from the one before.
    pub(super) const APART: u16 = 64;
    /// Of a refusal: its end has come.
    pub(super) const ENDED: u16 = 128;
    /// Ids start again with it.
    pub(super) const RESTART: u16 = 256;
    /// An end of which the connections seen so far do not tell that it is that of a login of this pair.
    pub(crate) const ODD: u16 = 512;
    /// Not a login, and a sign of a session.
    pub(crate) const SESSION: u16 = 1024;
    /// Told of.
    pub(super) const TOLD: u16 = 2048;
    /// To be told of by others.
    pub(super) const FOREIGN: u16 = 4096;
    /// Of a refusal or a change of user: never looked over.
    pub(crate) const RARE: u16 = 8192;
    /// What has to be looked at.
    pub(super) const UNUSUAL: u16 = Mark::UNEXPECTED | Mark::APART | Mark::ODD | Mark::RARE;
    /// What a judge finds out by itself when an item is pushed.
    pub(super) const FOUND: u16 = Mark::UNEXPECTED | Mark::APART;
    /// A refused change of user stands right behind it.
    pub(super) const ALONE: u16 = 16384;
    /// A column stands behind the error number.
    pub(crate) const FURTHER: u16 = 32768;
    /// What has to be weighed before it is told of.
    pub(super) const DOUBTFUL: u16 = Mark::CONTESTED
        | Mark::UNEXPECTED
        | Mark::CLOSELY
        | Mark::APART
        | Mark::ALONE
        | Mark::FURTHER;
    /// What is not simply told of as settled.
    pub(super) const SPECIAL: u16 = Mark::DOUBTFUL | Mark::TOLD | Mark::FOREIGN;

    #[inline(always)]
    pub(super) fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    pub(crate) fn reason(self) -> Option<Reason> {
        match self.0 {
            bits if bits & Mark::TWICE != 0 => Some(Reason::IdTwice),
            bits if bits & Mark::IN_NAME != 0 => Some(Reason::InRefusedName),
            bits if bits & Mark::MISPLACED != 0 => Some(Reason::IdOutOfPlace),
            _ => None,
        }
    }

    /// Does it count as a sign of a session that is no login?
    #[inline(always)]
    pub(crate) fn is_sign(self) -> bool {
        self.has(Mark::SESSION)
    }
}

/// By how much UTF-8 has fewer characters than bytes; 255: by that or more.
pub(crate) fn spare_of(text: &[u8]) -> u8 {
    let continued = text.iter().filter(|&&byte| byte & 0xc0 == 0x80).count();
    u8::try_from(continued).unwrap_or(u8::MAX)
}

/// Something of the part of a long user name that is never cut; 0 for a short one. Names that are long in both
/// records of a refusal cannot be made to have the same, as no name has room for two.
pub(crate) fn name_of(user: &[u8]) -> u16 {
    let sum = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let whole = user.get(..NAME_KEPT).map(|kept| kept.iter().fold(0x811c_9dc5, sum));
    whole.map_or(0, |sum| (sum >> 16) as u16 | 1)
}
