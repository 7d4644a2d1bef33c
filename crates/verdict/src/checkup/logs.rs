//! The log files on this machine, and what of the time they tell of is missing.

use super::{Finding, Level, Reading, SECOND, Server, bytes_text, length_text};

const HOUR: i64 = 3600 * SECOND;

/// A log may be silent for so long without anybody wondering.
const SILENCE_MAX: i64 = 24 * HOUR;

/// Stretches that are not covered and shorter than this are told, and cost nothing.
const GAP_MIN: i64 = HOUR;

/// The most places of secrets that are told one by one; the others are counted.
const LEAKS_TOLD_MAX: usize = 10;

/// The most files that are told one by one.
const FILES_TOLD_MAX: usize = 10;

/// A statement with a secret in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leak {
    /// The byte of the (decompressed) file at which its record begins.
    pub byte: u64,
    /// What kind of secret.
    pub kind: &'static str,
}

/// A log file on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its path, as text.
    pub path: String,
    /// The server writes to it; else it is rotated.
    pub is_live: bool,
    /// Its permissions, as `0640`.
    pub mode: u32,
    /// Its size in bytes, as it stands on the disk.
    pub bytes: u64,
    /// When it was changed last.
    pub modified: i64,
    /// How many of its bytes were looked through for secrets, decompressed.
    pub looked_at: u64,
    /// Some were not, for want of room within the bound.
    pub is_partial: bool,
    /// Statements with secrets in them, the newest.
    pub leaks: Vec<Leak>,
    /// How many more of them.
    pub further_leaks: u64,
}

/// What is missing between the first record and the newest one.
pub(super) fn coverage(reading: &Reading<'_>) -> Option<Finding> {
    const ID: &str = "evidence-gaps";
    reading.newest?;
    let length = |from: i64, to: i64| to.saturating_sub(from).max(0);
    let missing: i64 = reading.uncovered.iter().map(|it| length(it.from, it.to)).sum();
    let longest = reading.uncovered.iter().max_by_key(|it| length(it.from, it.to));
    let Some(longest) = longest else {
        return Some(Finding::well(ID, "no time since its first record is uncovered"));
    };
    let what = format!(
        "{} of the last 90 days are not covered, in {} parts; the longest is {}: {}",
        length_text(missing),
        reading.uncovered.len(),
        length_text(length(longest.from, longest.to)),
        longest.reason
    );
    Some(match missing > GAP_MIN {
        false => Finding::well(ID, what),
        true => {
            const COST: &str = "accounts not seen in that time are unknown, never unused";
            Finding::new(ID, Level::Warn, what, COST).mended_by("rollcall evidence --state gap")
        }
    })
}

/// Logs that are read, and say nothing.
pub(super) fn silence(server: Option<&Server<'_>>, reading: &Reading<'_>) -> Option<Finding> {
    const ID: &str = "log-silent";
    let (newest, look) = (reading.newest?, reading.last_look?);
    let silent = look.saturating_sub(newest);
    if silent <= SILENCE_MAX {
        return Some(Finding::well(ID, "its logs tell of the day before they were last read"));
    }
    let what =
        format!("its newest record was {} old when logs were last looked at", length_text(silent));
    const COST: &str =
        "either nobody logged in, or the log that is read is not the one that is written";
    let finding = Finding::new(ID, Level::Warn, what, COST);
    let written = server.and_then(|it| it.status.get("server_audit_current_log"));
    Some(match written.filter(|it| !it.is_empty()) {
        Some(path) => finding.mended_by(format!("rollcall scan {path}")).at(path.as_str()),
        None => finding.mended_by("rollcall status"),
    })
}

/// Permissions of log files, and secrets in them.
pub(super) fn files(server: Option<&Server<'_>>, reading: &Reading<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, why) in reading.unreadable.iter().take(FILES_TOLD_MAX) {
        let what = format!("{path} cannot be looked at: {why}");
        findings.push(Finding::unseen("log-files", what, "sudo rollcall doctor").at(path.as_str()));
    }
    if reading.files.is_empty() {
        if reading.unreadable.is_empty() {
            let what = "none of its log files is on this machine, or known: permissions and secrets \
                        were not looked at";
            let path = server.and_then(|it| it.status.get("server_audit_current_log"));
            let path = path.filter(|it| !it.is_empty()).map_or("PATH", String::as_str);
            let remedy = format!("audit_logs = [\"{path}\"] for this [[server]] in rollcall.toml");
            findings.push(Finding::unseen("log-files", what, remedy));
        }
        return findings;
    }
    findings.extend(permissions(reading.files));
    findings.extend(secrets(reading));
    findings
}

fn permissions(files: &[LogFile]) -> Vec<Finding> {
    const ID: &str = "log-permissions";
    const READ: &str = "every user of the machine reads statements and names of accounts";
    const WRITTEN: &str = "others can write into it: what it tells proves nothing";
    // The server itself makes its log writable for its group (0660).
    let open: Vec<&LogFile> = files.iter().filter(|it| it.mode & 0o007 != 0).collect();
    if open.is_empty() {
        return vec![Finding::well(ID, "no log file is open to everybody")];
    }
    let finding = |file: &&LogFile| {
        let what = format!("{} is open to everybody (mode {:04o})", file.path, file.mode & 0o7777);
        let (level, cost) = match file.mode & 0o002 {
            0 => (Level::Warn, READ),
            _ => (Level::Error, WRITTEN),
        };
        Finding::new(ID, level, what, cost)
            .mended_by(format!("chmod o= {}", shell_word(&file.path)))
            .at(file.path.as_str())
    };
    let mut findings: Vec<Finding> = open.iter().take(FILES_TOLD_MAX).map(finding).collect();
    if let Some(more) = open.len().checked_sub(FILES_TOLD_MAX).filter(|&it| it > 0) {
        let what = format!("{more} more log files are open like these");
        findings.push(Finding::new(ID, Level::Warn, what, READ));
    }
    findings
}

/// A path as a shell takes it.
fn shell_word(path: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "/._-+@%".contains(it);
    match path.chars().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

fn secrets(reading: &Reading<'_>) -> Vec<Finding> {
    const ID: &str = "log-secrets";
    if reading.secrets_bytes == 0 {
        let what = "log files were not looked through for secrets";
        return vec![Finding::unseen(ID, what, "rollcall doctor --secrets 64")];
    }
    let (files, mut findings) = (reading.files, Vec::new());
    let looked_at: u64 = files.iter().map(|it| it.looked_at).sum();
    let partial = files.iter().filter(|it| it.is_partial).count();
    let bound = match partial {
        0 => format!("all {} of {} looked through", bytes_text(looked_at), plural(files.len())),
        _ => format!(
            "the newest {} of {} looked through, not all of {partial} of them (--secrets)",
            bytes_text(looked_at),
            plural(files.len())
        ),
    };
    let count = |it: &LogFile| it.leaks.len() as u64 + it.further_leaks;
    let all: u64 = files.iter().map(count).sum();
    if all == 0 {
        return vec![Finding::well(ID, format!("no secret found; {bound}"))];
    }
    const COST: &str =
        "whoever reads the log, a copy or a backup of it knows a password, or its hash";
    const CHANGED: &str =
        "ALTER USER … IDENTIFIED BY … with new passwords (the server masks that statement)";
    // The newest file first, and in it the newest statement.
    let each =
        files.iter().rev().flat_map(|file| file.leaks.iter().rev().map(move |it| (file, it)));
    for (file, leak) in each.take(LEAKS_TOLD_MAX) {
        let what = format!("{} at byte {} of {}", leak.kind, leak.byte, file.path);
        findings.push(
            Finding::new(ID, Level::Warn, what, COST)
                .mended_by(CHANGED)
                .at(format!("{}:{}", file.path, leak.byte)),
        );
    }
    let held = files.iter().filter(|it| count(it) > 0).count();
    let what = format!(
        "{all} statements in {} hold a secret ({} of them above); {bound}",
        plural(held),
        findings.len()
    );
    findings.push(Finding::new(ID, Level::Warn, what, COST).mended_by(CHANGED));
    findings
}

fn plural(files: usize) -> String {
    format!("{files} log file{}", if files == 1 { "" } else { "s" })
}
