//! How long a log lasts before it is rotated away, against how often it is read.
//!
//! The plugin keeps `server_audit_file_rotations` files beside the live one. What was just written is gone when
//! the live file has been rotated once more than that; the live file may have been full already, so only the
//! rotated ones are counted on:
//!
//! ```text
//! safe interval = the shortest time in which  rotations x rotate_size  bytes were ever written
//! ```

use super::{Finding, Level, Reading, SECOND, Server, bytes_text, length_text};

const HOUR: i64 = 3600 * SECOND;

/// Logs that hold less than this lose a night when scans fail in it.
const HISTORY_MIN: i64 = 24 * HOUR;

/// Logs that hold less than this lose logins between two scans of every quarter of an hour.
const HISTORY_LEAST: i64 = HOUR / 2;

/// Less than this is the plugin's default (nine files of 1 MB), or near it: some 50,000 logins.
const BYTES_MIN: u64 = 100_000_000;

/// The largest number of bytes in one file that is proposed: more are handled badly by other tools.
const FILE_BYTES_MAX: u64 = 2_000_000_000;

/// How fast a log grew for a while. Times are microseconds UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// From when …
    pub from: i64,
    /// … to when.
    pub to: i64,
    /// How many bytes were written in it.
    pub bytes: u64,
}

/// How fast a log grew, from records counted by the hour or day (start, seconds, count) and the bytes of them
/// all. Their order does not matter.
pub fn hourly(counts: &[(i64, u32, u64)], bytes: u64) -> Vec<Stretch> {
    let all: u64 = counts.iter().map(|it| it.2).sum();
    let mut stretches: Vec<Stretch> = counts
        .iter()
        .map(|&(start, seconds, count)| Stretch {
            from: start,
            to: start.saturating_add(i64::from(seconds) * SECOND),
            bytes: (bytes as f64 * count as f64 / all.max(1) as f64) as u64,
        })
        .collect();
    stretches.sort_by_key(|it| it.from);
    stretches
}

/// How long the log lasts, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lasting {
    micros: i64,
    /// So much was really written within that time; else it follows from the average.
    was_seen: bool,
}

/// The shortest time in which so many bytes were written; where they never were, by the average.
fn lasting(traffic: &[Stretch], bytes: u64) -> Option<Lasting> {
    let total: u64 = traffic.iter().map(|it| it.bytes).sum();
    let (first, last) = (traffic.first()?, traffic.last()?);
    let span = last.to.saturating_sub(first.from);
    if total == 0 || span < HOUR {
        return None;
    }
    if total < bytes {
        let micros = span as f64 * (bytes as f64 / total as f64);
        return Some(Lasting { micros: micros as i64, was_seen: false });
    }
    let mirrored: Vec<Stretch> = traffic
        .iter()
        .rev()
        .map(|it| Stretch { from: -it.to, to: -it.from, bytes: it.bytes })
        .collect();
    // The fastest time begins where a stretch begins or ends where one ends.
    let shortest = [traffic, &mirrored].into_iter().filter_map(|it| shortest_from(it, bytes)).min();
    shortest.map(|micros| Lasting { micros, was_seen: true })
}

/// The shortest time from the beginning of a stretch on in which so many bytes were written, each stretch being
/// filled evenly.
fn shortest_from(traffic: &[Stretch], bytes: u64) -> Option<i64> {
    let (mut shortest, mut end, mut sum) = (None, 0, 0);
    for (at, stretch) in traffic.iter().enumerate() {
        while sum < bytes && end < traffic.len() {
            sum += traffic[end].bytes;
            end += 1;
        }
        if sum < bytes {
            break;
        }
        let last = &traffic[end - 1];
        let needed = bytes - (sum - last.bytes);
        let share = needed as f64 / last.bytes.max(1) as f64;
        let until = last.from + ((last.to - last.from) as f64 * share) as i64;
        let micros = until - stretch.from;
        shortest = Some(shortest.map_or(micros, |it: i64| it.min(micros)));
        sum -= traffic[at].bytes;
    }
    shortest
}

/// What the plugin keeps beside the live file; `None` where it does not rotate.
fn kept(server: &Server<'_>) -> Option<(u64, u64)> {
    let to_file = !server.variable("server_audit_output_type").eq_ignore_ascii_case("syslog");
    let size = server.number("server_audit_file_rotate_size")?;
    // 0 rotations: the file grows, and something else cuts it.
    let files = server.number("server_audit_file_rotations")?;
    (to_file && files > 0 && server.has_plugin("SERVER_AUDIT")).then_some((files, size))
}

/// Whether the log lasts for a day.
pub(super) fn rotation(server: &Server<'_>, reading: &Reading<'_>) -> Option<Finding> {
    const ID: &str = "rotation";
    const COST: &str = "when scans fail for longer than that, logins are lost";
    let (files, size) = kept(server)?;
    let held = size.saturating_mul(files);
    let holds = format!("{files} rotated files of {} hold", bytes_text(size));
    let Some(lasting) = lasting(reading.traffic, held) else {
        let what = format!("{holds} {}; how fast the log grows is not known yet", bytes_text(held));
        return Some(match held < BYTES_MIN {
            true => Finding::new(ID, Level::Warn, what, "a busy day may rotate logins away unread")
                .mended_by(enlarged(files, BYTES_MIN * 2))
                .in_setting("server_audit_file_rotate_size"),
            false => Finding::well(ID, what),
        });
    };
    let what = format!("{holds} {}", lasting_text(lasting));
    let level = match lasting.micros {
        ..HISTORY_LEAST => Level::Error,
        HISTORY_LEAST..HISTORY_MIN => Level::Warn,
        _ => return Some(Finding::well(ID, what)),
    };
    let a_day = held as f64 * HISTORY_MIN as f64 / lasting.micros.max(1) as f64;
    Some(
        Finding::new(ID, level, what, COST)
            .mended_by(enlarged(files, a_day as u64))
            .in_setting("server_audit_file_rotate_size"),
    )
}

/// The statement by which so many files hold so many bytes. The number of files stays where it can: another
/// number of digits would leave the rotated files of before as they are.
fn enlarged(files: u64, bytes: u64) -> String {
    const STEP: u64 = 10_000_000;
    let size = bytes.div_ceil(files.max(1)).div_ceil(STEP).max(1) * STEP;
    match size <= FILE_BYTES_MAX {
        true => format!("SET GLOBAL server_audit_file_rotate_size = {size}"),
        false => {
            let files = bytes.div_ceil(FILE_BYTES_MAX).min(999);
            format!(
                "SET GLOBAL server_audit_file_rotate_size = {FILE_BYTES_MAX}; \
                 SET GLOBAL server_audit_file_rotations = {files}"
            )
        }
    }
}

fn lasting_text(lasting: Lasting) -> String {
    let length = length_text(lasting.micros);
    match lasting.was_seen {
        true => format!("{length} at the highest rate seen"),
        false => format!("about {length} at the average rate"),
    }
}

/// How long something may stay unread, as far as can be told.
fn safe(server: Option<&Server<'_>>, reading: &Reading<'_>) -> Option<Lasting> {
    if let Some((files, size)) = server.and_then(kept) {
        return lasting(reading.traffic, size.saturating_mul(files));
    }
    // Something else rotates: what stands there now says how long it leaves things.
    let rotated = reading.files.iter().filter(|it| !it.is_live).map(|it| it.modified);
    let oldest = rotated.min()?;
    Some(Lasting { micros: reading.now.saturating_sub(oldest), was_seen: true })
}

/// Whether logs are read often enough.
pub(super) fn interval(server: Option<&Server<'_>>, reading: &Reading<'_>) -> Finding {
    const ID: &str = "scan-interval";
    const LOST: &str = "what is rotated away before it is read is lost";
    const EVERY: &str = "*/15 * * * * rollcall scan";
    let Some(last) = reading.last_look.filter(|_| reading.last_read.is_some()) else {
        return Finding::new(ID, Level::Error, "its logs were never read", LOST)
            .mended_by("rollcall scan");
    };
    let waiting = reading.now.saturating_sub(last).max(0);
    let (ended, pause) = reading.longest_pause.unwrap_or((reading.now, 0));
    let seen = waiting.max(pause);
    let longest = match waiting >= pause {
        true => format!("logs were looked at {} ago", length_text(waiting)),
        false => format!(
            "the longest time between two scans was {}, {} ago",
            length_text(pause),
            length_text(reading.now.saturating_sub(ended))
        ),
    };
    let Some(safe) = safe(server, reading) else {
        let what = format!("{longest}; how long a log lasts is not known");
        return match seen > HISTORY_MIN {
            true => Finding::new(ID, Level::Warn, what, LOST).mended_by(EVERY),
            false => Finding::well(ID, what),
        };
    };
    let lasts = match server.and_then(kept) {
        Some(_) => format!("a log lasts {}", lasting_text(safe)),
        None => format!("rotated logs reach {} back", length_text(safe.micros)),
    };
    let what = format!("{longest}; {lasts}");
    let level = match seen {
        _ if seen > safe.micros => Level::Error,
        _ if seen > safe.micros / 2 => Level::Warn,
        _ => return Finding::well(ID, what),
    };
    let cost = match level {
        Level::Error => "logins in between may have been rotated away unread",
        _ => LOST,
    };
    // A third of it: one scan may fail.
    let minutes = (safe.micros / 3 / (60 * SECOND)).clamp(0, 15);
    let remedy = match minutes {
        0 => "rollcall watch".to_owned(),
        15 => EVERY.to_owned(),
        minutes => format!("*/{minutes} * * * * rollcall scan"),
    };
    Finding::new(ID, level, what, cost).mended_by(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(bytes: &[u64]) -> Vec<Stretch> {
        let counts: Vec<(i64, u32, u64)> =
            (0..).map(|hour| hour * HOUR).zip(bytes).map(|(at, &it)| (at, 3600, it)).collect();
        hourly(&counts, bytes.iter().sum())
    }

    #[test]
    fn the_shortest_time_is_found() {
        let check = |bytes: &[u64], held: u64, minutes: i64, was_seen: bool| {
            let found = lasting(&hours(bytes), held).unwrap();
            assert_eq!(
                (found.micros / 60 / SECOND, found.was_seen),
                (minutes, was_seen),
                "{bytes:?}"
            );
        };
        check(&[60, 60, 60], 60, 60, true);
        check(&[60, 60, 60], 30, 30, true);
        check(&[60, 600, 60], 300, 30, true);
        // The fast hour, and half of the one before or behind.
        check(&[60, 600, 60], 630, 90, true);
        check(&[60, 600, 0, 60], 630, 90, true);
        check(&[0, 600, 60, 0], 630, 90, true);
        check(&[10, 10], 200, 1200, false);
        assert_eq!(lasting(&[], 1), None);
        assert_eq!(lasting(&hours(&[0, 0]), 1), None);
    }

    #[test]
    fn gaps_between_stretches_count_as_time() {
        let traffic = [
            Stretch { from: 0, to: HOUR, bytes: 10 },
            Stretch { from: 9 * HOUR, to: 10 * HOUR, bytes: 10 },
        ];
        assert_eq!(lasting(&traffic, 20).unwrap().micros, 10 * HOUR);
    }

    #[test]
    fn records_become_bytes() {
        let stretches = hourly(&[(HOUR, 3600, 3), (0, 3600, 1)], 400);
        assert_eq!(
            stretches.iter().map(|it| (it.from, it.bytes)).collect::<Vec<_>>(),
            [(0, 100), (HOUR, 300)]
        );
        assert_eq!(hourly(&[(0, 3600, 0)], 400)[0].bytes, 0);
    }

    #[test]
    fn remedies_hold_what_they_should() {
        assert_eq!(enlarged(9, 1), "SET GLOBAL server_audit_file_rotate_size = 10000000");
        assert_eq!(
            enlarged(20, 4_000_000_000),
            "SET GLOBAL server_audit_file_rotate_size = 200000000"
        );
        assert_eq!(
            enlarged(9, 60_000_000_000),
            "SET GLOBAL server_audit_file_rotate_size = 2000000000; \
             SET GLOBAL server_audit_file_rotations = 30"
        );
    }
}
