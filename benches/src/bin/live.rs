//! Writes a log as a busy server does while `rollcall watch` follows it, and tells how long records
//! take from being written to being committed.
//!
//! ```text
//! live [--rate LINES] [--seconds N] [--pairs N] [--rotate BYTES] [--kill SECONDS] --folder DIR PROGRAM
//! ```
//!
//! Every line is one `write`, as the plugin does it. The log is renamed whenever it has so many bytes;
//! nine old ones are kept. With `--kill` the watch is killed and started again so often; then only the
//! counts mean something. The ledger is asked every ten milliseconds how many records it holds, so a
//! figure can be too large by that. Exit 1: records are missing or counted twice.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::{Connection, OpenFlags};

/// Lines of this long a time are one entry of the diary.
const SLICE: Duration = Duration::from_millis(1);

/// How often the ledger is asked.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// Sessions that are open at the same time.
const OPEN: u64 = 200;

/// Old logs that are kept.
const ROTATIONS: usize = 9;

struct Options {
    rate: u64,
    seconds: u64,
    pairs: u64,
    rotate_bytes: u64,
    kill: Option<Duration>,
    folder: PathBuf,
    program: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let log = options.folder.join("live/server_audit.log");
    let ledger = options.folder.join("live.sqlite");
    let _ = fs::remove_dir_all(options.folder.join("live"));
    for ending in ["", "-wal", "-shm", ".lock"] {
        let _ = fs::remove_file(format!("{}{ending}", ledger.display()));
    }
    fs::create_dir_all(log.parent().ok_or("no folder")?)?;
    fs::write(options.folder.join("live.toml"), "")?;
    let mut watch = start_watch(&options, &ledger, log.parent().ok_or("no folder")?)?;
    let outcome = follow(&options, &log, &ledger, &mut watch);
    kill(Pid::from_raw(watch.id().try_into()?), Signal::SIGTERM)?;
    let status = watch.wait()?;
    let lines = outcome?;
    if !status.success() {
        return Err(format!("watch ended with {status}").into());
    }
    let (records, logins) = counts(&open(&ledger)?)?;
    writeln!(
        io::stdout(),
        "{records} of {lines} records, {logins} of {} logins",
        lines.div_ceil(2)
    )?;
    if records != lines || logins != lines.div_ceil(2) {
        return Err("the ledger is wrong".into());
    }
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let (mut rate, mut seconds, mut pairs, mut rotate_bytes) = (50_000, 60, 11_000, 100_000_000);
    let (mut kill, mut folder, mut program) = (None, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--rate" => rate = value()?.parse()?,
            "--seconds" => seconds = value()?.parse()?,
            "--pairs" => pairs = value()?.parse()?,
            "--rotate" => rotate_bytes = value()?.parse()?,
            "--kill" => kill = Some(Duration::from_secs(value()?.parse()?)),
            "--folder" => folder = Some(PathBuf::from(value()?)),
            _ => program = Some(PathBuf::from(argument)),
        }
    }
    let folder = folder.ok_or("--folder DIR is missing")?;
    let program = program.ok_or("PROGRAM is missing")?;
    Ok(Options { rate, seconds, pairs, rotate_bytes, kill, folder, program })
}

fn start_watch(options: &Options, ledger: &Path, logs: &Path) -> Result<Child, Box<dyn Error>> {
    let child = Command::new(&options.program)
        .arg("--ledger")
        .arg(ledger)
        .arg("--config")
        .arg(options.folder.join("live.toml"))
        .args(["watch", "-q", "--time-zone", "UTC"])
        .arg(logs)
        .stdin(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while open(ledger).and_then(|db| Ok(counts(&db)?)).is_err() {
        if Instant::now() > deadline {
            return Err("watch makes no ledger".into());
        }
        thread::sleep(ASK_EVERY);
    }
    Ok(child)
}

fn open(ledger: &Path) -> Result<Connection, Box<dyn Error>> {
    let db = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(Duration::from_secs(10))?;
    Ok(db)
}

/// Records and logins that are committed.
fn counts(db: &Connection) -> rusqlite::Result<(u64, u64)> {
    let number = |sql| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let records = number("SELECT coalesce(sum(records), 0) FROM progress")?;
    let logins = number(
        "SELECT (SELECT coalesce(sum(count), 0) FROM tally WHERE error = 0)
           + (SELECT coalesce(sum(count), 0) FROM unsettled)
           + (SELECT coalesce(sum(count), 0) FROM contested)",
    )?;
    Ok((records as u64, logins as u64))
}

/// Writes, asks, and prints figures. Returns how many lines were written.
fn follow(
    options: &Options,
    log: &Path,
    ledger: &Path,
    watch: &mut Child,
) -> Result<u64, Box<dyn Error>> {
    let process = |watch: &Child| PathBuf::from(format!("/proc/{}", watch.id()));
    let mut killed = (Instant::now(), 0);
    let total = options.rate * options.seconds;
    let start = Instant::now();
    let diary = Mutex::new(Vec::new());
    let mut asked: Vec<(Instant, u64)> = Vec::new();
    let mut early = (0, 0);
    let written = thread::scope(|scope| -> Result<u64, Box<dyn Error>> {
        let writer = scope.spawn(|| write(options, log, start, total, &diary));
        let db = open(ledger)?;
        let mut known = db.prepare("SELECT coalesce(sum(records), 0) FROM progress")?;
        let deadline = start + Duration::from_secs(options.seconds + 60);
        loop {
            let records = known.query_row([], |row| row.get::<_, i64>(0))? as u64;
            asked.push((Instant::now(), records));
            if records >= total {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("{records} of {total} records after a minute more").into());
            }
            if early == (0, 0) && start.elapsed() > Duration::from_secs(options.seconds / 6) {
                early = state(&process(watch))?;
            }
            if options.kill.is_some_and(|every| killed.0.elapsed() > every) {
                watch.kill()?;
                watch.wait()?;
                *watch = start_watch(options, ledger, log.parent().ok_or("no folder")?)?;
                killed = (Instant::now(), killed.1 + 1);
            }
            thread::sleep(ASK_EVERY);
        }
        let written = writer.join().map_err(|_| "the writer failed")?;
        written.map_err(|error| format!("{}: {error}", log.display()).into())
    })?;
    let took = start.elapsed().as_secs_f64();
    let process = process(watch);
    let late = state(&process)?;
    let mut delays = delays(&diary.into_inner()?, &asked);
    delays.sort_unstable();
    let lines: u64 = delays.iter().map(|it| it.1).sum();
    let share = |part: f64| {
        let mut left = (lines as f64 * part) as u64;
        let found = delays.iter().find(|(_, count)| {
            let here = left < *count;
            left = left.saturating_sub(*count);
            here
        });
        found.or(delays.last()).map_or(0, |(delay, _)| delay.as_millis())
    };
    writeln!(io::stdout(), "{written} lines in {took:.1} s, {:.0} lines/s", written as f64 / took)?;
    if options.kill.is_some() {
        writeln!(io::stdout(), "killed {} times", killed.1)?;
        return Ok(written);
    }
    writeln!(
        io::stdout(),
        "from write to ledger: p50 {} ms, p99 {} ms, max {} ms",
        share(0.5),
        share(0.99),
        share(1.0)
    )?;
    writeln!(
        io::stdout(),
        "memory: {} KiB after a sixth of the time, {} KiB at the end",
        early.0,
        late.0
    )?;
    writeln!(
        io::stdout(),
        "open files: {} after a sixth of the time, {} at the end",
        early.1,
        late.1
    )?;
    writeln!(
        io::stdout(),
        "CPU of watch: {:.1} % of one processor",
        cpu_seconds(&process)? / took * 100.0
    )?;
    Ok(written)
}

/// When how many lines had been written in all.
type Diary = Vec<(Instant, u64)>;

fn write(
    options: &Options,
    path: &Path,
    start: Instant,
    total: u64,
    diary: &Mutex<Diary>,
) -> io::Result<u64> {
    let mut log = File::create(path)?;
    let (mut lines, mut bytes) = (0, 0);
    while lines < total {
        let due = (start.elapsed().as_nanos() * u128::from(options.rate) / 1_000_000_000) as u64;
        if due <= lines {
            thread::sleep(SLICE);
            continue;
        }
        let stamp = stamp();
        for line in lines..due.min(total) {
            // A session begins with every even line; the one that began OPEN sessions ago ends.
            let (id, operation) = match line % 2 {
                0 => (line / 2, "CONNECT"),
                _ => ((line / 2).saturating_sub(OPEN), "DISCONNECT"),
            };
            let pair = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) % options.pairs;
            let text = format!(
                "{stamp},db1,app_{:03},10.{}.{}.{},{},0,{operation},shop,,0\n",
                pair % 100,
                pair / 100 % 10,
                pair / 1000,
                pair % 250,
                id + 10,
            );
            log.write_all(text.as_bytes())?;
            bytes += text.len() as u64;
        }
        lines = due.min(total);
        let written = (Instant::now(), lines);
        diary.lock().expect("nobody panics with it").push(written);
        if bytes > options.rotate_bytes {
            bytes = 0;
            log = rotate(path)?;
        }
    }
    Ok(lines)
}

/// Now, as the plugin writes it (UTC).
fn stamp() -> String {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let (year, month, day, hour, minute, second) = bench::civil(since);
    format!("{year}{month:02}{day:02} {hour:02}:{minute:02}:{second:02}")
}

fn rotate(path: &Path) -> io::Result<File> {
    let name = |number: usize| format!("{}.{number}", path.display());
    for number in (1..ROTATIONS).rev() {
        let _ = fs::rename(name(number), name(number + 1));
    }
    fs::rename(path, name(1))?;
    File::create(path)
}

/// How long each slice of lines took to be known, and how many lines it has.
fn delays(diary: &[(Instant, u64)], asked: &[(Instant, u64)]) -> Vec<(Duration, u64)> {
    let (mut before, mut asked) = (0, asked.iter().peekable());
    let mut delays = Vec::with_capacity(diary.len());
    for &(written, lines) in diary {
        while asked.next_if(|(_, known)| *known < lines).is_some() {}
        if let Some((at, _)) = asked.peek() {
            delays.push((at.saturating_duration_since(written), lines - before));
        }
        before = lines;
    }
    delays
}

/// Memory in KiB, and how many files are open.
fn state(process: &Path) -> Result<(u64, u64), Box<dyn Error>> {
    let status = fs::read_to_string(process.join("status"))?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = memory.and_then(|it| it.split_whitespace().next()).ok_or("no VmRSS")?;
    Ok((kib.parse()?, fs::read_dir(process.join("fd"))?.count() as u64))
}

fn cpu_seconds(process: &Path) -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string(process.join("stat"))?;
    let (_, behind) = stat.rsplit_once(')').ok_or("no stat")?;
    let mut fields = behind.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|it| it.parse::<f64>().ok()).ok_or("no stat");
    // Linux counts a hundred of them a second, whatever the kernel's own.
    Ok((ticks()? + ticks()?) / 100.0)
}
