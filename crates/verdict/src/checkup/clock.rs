//! The server's clock, and the zone that its log is written and read in.

use super::{Finding, Level, SECOND, Server, length_text};

/// Log times that are wrong by more than this put logins into the wrong window.
const CLOCK_ERROR: i64 = 60 * SECOND;

/// More than two clocks that are kept by NTP are apart.
const CLOCK_WARN: i64 = 2 * SECOND;

/// By how much zones are ahead of UTC at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// The moment, in microseconds UTC.
    pub at: i64,
    /// The system zone of the server, in seconds: the plugin writes in it, whatever `time_zone` says.
    pub server: i32,
    /// The zone that log times are read in, in seconds.
    pub read_in: i32,
}

pub(super) fn clock(server: &Server<'_>) -> Finding {
    const ID: &str = "clock";
    const COST: &str =
        "logins stand at times at which they were not, and windows are wrong by as much";
    let ahead = server.clock_ahead;
    let sure = (ahead.abs() - server.clock_error.abs()).max(0);
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let what = format!("its clock is {} {side} this machine's", length_text(ahead.abs()));
    let level = match sure {
        sure if sure > CLOCK_ERROR => Level::Error,
        sure if sure > CLOCK_WARN => Level::Warn,
        _ => return Finding::well(ID, "its clock and this machine's agree"),
    };
    Finding::new(ID, level, what, COST).mended_by("timedatectl set-ntp true")
}

pub(super) fn zone(server: &Server<'_>) -> Finding {
    const ID: &str = "zone";
    let Some(first) = server.offsets.first() else {
        let what = "the zone of the server could not be told";
        return Finding::unseen(ID, what, "SELECT @@system_time_zone");
    };
    let Some(wrong) = server.offsets.iter().find(|it| it.server != it.read_in) else {
        return Finding::well(ID, format!("its log is read in its own zone ({})", server.zone));
    };
    let told = server.variable("system_time_zone");
    let by = length_text(i64::from((wrong.server - wrong.read_in).abs()) * SECOND);
    let (when, cost) = match wrong == first {
        true => ("", format!("its logins stand {by} off")),
        // They agree now: the two have clock changes at other times.
        false => (" in another part of the year", format!("its logins stand {by} off then")),
    };
    let what =
        format!("its zone is {told} and its log is read in {}, which differs{when}", server.zone);
    // Many zones share an abbreviation; an offset is right for those that have one only.
    let is_fixed = server.offsets.iter().all(|it| it.server == first.server);
    let zone = match (is_fixed, first.server) {
        (true, 0) => "UTC".to_owned(),
        (true, seconds) => offset_text(seconds),
        (false, _) => "what timedatectl says there, as Europe/Zurich".to_owned(),
    };
    Finding::new(ID, Level::Error, what, cost)
        .mended_by(format!("time_zone = \"{zone}\" for this [[server]] in rollcall.toml"))
        .in_setting("system_time_zone")
}

fn offset_text(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}
