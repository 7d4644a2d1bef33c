//! How the program ends.

/// The exit codes, all of them. Where several hold, `Nothing` goes before `Differs` before
/// `Partial` before `Condition`. A reader that closes the pipe early has what it wanted: that is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// 0: done. Doubt and gaps were named on standard error.
    Done,
    /// 1: a condition named by `--fail-on` holds.
    Condition,
    /// 3: done in part: some inputs failed, each named; running again is safe.
    Partial,
    /// 4: what was to be proven is not so.
    Differs,
    /// 2: usage, configuration, or nothing could be done.
    Nothing,
}

impl Exit {
    /// The code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Condition => 1,
            Exit::Nothing => 2,
            Exit::Partial => 3,
            Exit::Differs => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_goes_first() {
        let codes = |exits: &[Exit]| exits.iter().max().map(|it| it.code());
        assert_eq!(codes(&[Exit::Done, Exit::Condition]), Some(1));
        assert_eq!(codes(&[Exit::Partial, Exit::Condition]), Some(3));
        assert_eq!(codes(&[Exit::Differs, Exit::Partial, Exit::Done]), Some(4));
        assert_eq!(codes(&[Exit::Partial, Exit::Nothing, Exit::Differs]), Some(2));
    }
}
