//! A log under construction, and the truth about it.

use std::io::{self, Write};

use crate::names::Pair;

/// The time of the first record: 2026-11-01 00:00:00 UTC.
pub const START_SECONDS: u64 = 1_793_491_200;

/// The server's name in every record.
const SERVER: &str = "db-prod-eu-01";

/// What `rollcall seen` must answer for one pair. Times in seconds since 1970, 0 for never.
#[derive(Debug, Clone, Copy, Default)]
struct Truth {
    first_seen: u64,
    last_seen: u64,
    last_active: u64,
    logins: u64,
    failures: u64,
    last_failed: u64,
}

/// Writes records and remembers what they mean.
#[derive(Debug)]
pub struct Log<W> {
    out: W,
    line: Vec<u8>,
    pairs: Vec<Pair>,
    truth: Vec<Truth>,
    bytes: u64,
    connection_bytes: u64,
    seconds: u64,
    /// `YYYYMMDD HH:MM:SS,server,` of `seconds`.
    head: Vec<u8>,
    query: u64,
}

impl<W: Write> Log<W> {
    pub(crate) fn new(out: W, pairs: Vec<Pair>) -> Self {
        let mut log = Log {
            out,
            line: Vec::with_capacity(1 << 19),
            truth: vec![Truth::default(); pairs.len()],
            pairs,
            bytes: 0,
            connection_bytes: 0,
            seconds: 0,
            head: Vec::new(),
            query: 0,
        };
        log.set_time(START_SECONDS);
        log
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of connection records written so far.
    pub(crate) fn connection_bytes(&self) -> u64 {
        self.connection_bytes
    }

    pub(crate) fn pair_count(&self) -> usize {
        self.pairs.len()
    }

    pub(crate) fn was_seen(&self, pair: usize) -> bool {
        self.truth[pair].logins > 0
    }

    /// The time of the records that follow, in seconds since 1970. Time never goes back.
    pub(crate) fn set_time(&mut self, seconds: u64) {
        if seconds > self.seconds {
            self.seconds = seconds;
            let (year, month, day, hour, minute, second) = civil(seconds);
            self.head =
                format!("{year}{month:02}{day:02} {hour:02}:{minute:02}:{second:02},{SERVER},")
                    .into_bytes();
        }
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.seconds
    }

    pub(crate) fn connect(&mut self, pair: usize, id: u64) -> io::Result<()> {
        let now = self.seconds;
        let truth = &mut self.truth[pair];
        if truth.logins == 0 {
            truth.first_seen = now;
        }
        truth.logins += 1;
        truth.last_seen = now;
        truth.last_active = now;
        self.connection(pair, id, b",0,CONNECT,", self.pairs[pair].database, 0)
    }

    pub(crate) fn disconnect(&mut self, pair: usize, id: u64) -> io::Result<()> {
        self.truth[pair].last_active = self.seconds;
        self.connection(pair, id, b",0,DISCONNECT,", self.pairs[pair].database, 0)
    }

    /// A refused login: two records, of which the second is no sign of a session.
    pub(crate) fn fail(&mut self, pair: usize, id: u64) -> io::Result<()> {
        self.truth[pair].failures += 1;
        self.truth[pair].last_failed = self.seconds;
        self.connection(pair, id, b",0,FAILED_CONNECT,", "", self.pairs[pair].error)?;
        self.connection(pair, id, b",0,DISCONNECT,", "", 0)
    }

    /// A statement with the table record before it. `statement` is escaped as the plugin does.
    pub(crate) fn statement(
        &mut self,
        pair: usize,
        id: u64,
        table: Option<(&str, &str)>,
        statement: &[u8],
    ) -> io::Result<()> {
        self.truth[pair].last_active = self.seconds;
        self.query += 1;
        let query = self.query;
        if let Some((operation, table)) = table {
            self.begin(pair, id);
            self.line.push(b',');
            push_number(&mut self.line, query);
            for part in [",", operation, ",", self.pairs[pair].database, ",", table, ",\n"] {
                self.line.extend_from_slice(part.as_bytes());
            }
            self.end()?;
        }
        self.begin(pair, id);
        self.line.push(b',');
        push_number(&mut self.line, query);
        self.line.extend_from_slice(b",QUERY,");
        self.line.extend_from_slice(self.pairs[pair].database.as_bytes());
        self.line.extend_from_slice(b",'");
        self.line.extend_from_slice(statement);
        self.line.extend_from_slice(b"',0\n");
        self.end()
    }

    fn connection(
        &mut self,
        pair: usize,
        id: u64,
        operation: &[u8],
        database: &str,
        error: u32,
    ) -> io::Result<()> {
        self.begin(pair, id);
        self.line.extend_from_slice(operation);
        self.line.extend_from_slice(database.as_bytes());
        self.line.extend_from_slice(b",,");
        push_number(&mut self.line, u64::from(error));
        self.line.push(b'\n');
        self.connection_bytes += self.line.len() as u64;
        self.end()
    }

    fn begin(&mut self, pair: usize, id: u64) {
        self.line.clear();
        self.line.extend_from_slice(&self.head);
        self.line.extend_from_slice(&self.pairs[pair].joined);
        self.line.push(b',');
        push_number(&mut self.line, id);
    }

    fn end(&mut self) -> io::Result<()> {
        self.bytes += self.line.len() as u64;
        self.out.write_all(&self.line)
    }

    /// Flushes the log and writes the truth as `rollcall seen -o csv` prints it: all pairs that
    /// occurred, sorted by user and host as bytes.
    pub(crate) fn finish(mut self, mut truth_out: impl Write) -> io::Result<()> {
        self.out.flush()?;
        let mut rows: Vec<(&[u8], &[u8], &Pair, &Truth)> = self
            .pairs
            .iter()
            .zip(&self.truth)
            .filter(|(_, truth)| truth.logins + truth.failures > 0)
            .map(|(pair, truth)| {
                (&pair.joined[..pair.user_bytes], &pair.joined[pair.user_bytes + 1..], pair, truth)
            })
            .collect();
        rows.sort_unstable_by_key(|row| (row.0, row.1));
        writeln!(
            truth_out,
            "server,user,host,first_seen,last_seen,last_active,logins,failures,last_failed,\
             last_error,contested"
        )?;
        for (_, _, pair, truth) in rows {
            write!(truth_out, "{SERVER},")?;
            truth_out.write_all(&pair.joined)?;
            let error = if truth.failures > 0 { pair.error.to_string() } else { String::new() };
            writeln!(
                truth_out,
                ",{},{},{},{},{},{},{error},false",
                utc(truth.first_seen),
                utc(truth.last_seen),
                utc(truth.last_active),
                truth.logins,
                truth.failures,
                utc(truth.last_failed),
            )?;
        }
        truth_out.flush()
    }
}

fn push_number(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

/// RFC 3339 in UTC; empty for never.
fn utc(seconds: u64) -> String {
    if seconds == 0 {
        return String::new();
    }
    let (year, month, day, hour, minute, second) = civil(seconds);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month, day, hour, minute and second of a time after 1970 (days to civil date after
/// Howard Hinnant's "chrono-compatible low-level date algorithms").
pub fn civil(seconds: u64) -> (u64, u64, u64, u64, u64, u64) {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day, second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        for (seconds, text) in [
            (0, ""),
            (START_SECONDS, "2026-11-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn records_look_as_the_plugin_writes_them() {
        let mut out = Vec::new();
        let mut log = Log::new(&mut out, crate::names::pairs(3));
        log.connect(0, 21).unwrap();
        log.statement(0, 21, Some(("READ", "orders")), br"SELECT \'a\'").unwrap();
        log.set_time(START_SECONDS + 3_661);
        log.disconnect(0, 21).unwrap();
        log.fail(1, 22).unwrap();
        let mut truth = Vec::new();
        log.finish(&mut truth).unwrap();
        let client = "db-prod-eu-01,app_tenant_000,app-0000.shop.example";
        let other = "db-prod-eu-01,app_tenant_000,10.10.0.8";
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(
                "20261101 00:00:00,{client},21,0,CONNECT,shop,,0\n\
                 20261101 00:00:00,{client},21,1,READ,shop,orders,\n\
                 20261101 00:00:00,{client},21,1,QUERY,shop,'SELECT \\'a\\'',0\n\
                 20261101 01:01:01,{client},21,0,DISCONNECT,shop,,0\n\
                 20261101 01:01:01,{other},22,0,FAILED_CONNECT,,,1045\n\
                 20261101 01:01:01,{other},22,0,DISCONNECT,,,0\n"
            )
        );
        let (begin, end) = ("2026-11-01T00:00:00Z", "2026-11-01T01:01:01Z");
        assert_eq!(
            String::from_utf8(truth).unwrap(),
            format!(
                "server,user,host,first_seen,last_seen,last_active,logins,failures,last_failed,\
                 last_error,contested\n\
                 {other},,,,0,1,{end},1045,false\n\
                 {client},{begin},{begin},{end},1,0,,,false\n"
            )
        );
    }
}
