//! What there is to know of one process: `/proc/<pid>` as text, and pure readers of it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::unistd::{SysconfVar, Uid, User, sysconf};
use verdict::command_line;

use super::{COMMAND_LINE_BYTES_MAX, PARENTS_MAX, Process};

/// Bytes of one small file of `/proc` that are read.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Clock ticks a second where the system does not say: Linux has no other.
const TICKS_USUAL: i64 = 100;

/// What `/proc/<pid>/stat` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) name: Vec<u8>,
    pub(super) parent: u32,
    /// The device number of its terminal; 0 for none.
    pub(super) terminal: u32,
    pub(super) started_ticks: u64,
}

pub(super) fn path(pid: u32, rest: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{rest}"))
}

/// A small file, its beginning if it is larger.
pub(super) fn small(pid: u32, rest: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path(pid, rest))?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Name, parent and start of a process; `None`: it is gone.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    read_stat(&small(pid, "stat").ok()?)
}

/// Whether a process with this id and start still runs.
pub fn still_runs(pid: u32, started_ticks: u64) -> bool {
    stat(pid).is_some_and(|it| it.started_ticks == started_ticks)
}

/// All of it. `None`: it is gone, or another process has taken its id meanwhile.
pub(super) fn process(pid: u32) -> Option<Process> {
    let before = stat(pid)?;
    let status = small(pid, "status").ok()?;
    let uid = effective_uid(&status)?;
    let cgroup = small(pid, "cgroup").unwrap_or_default();
    let (words, is_cut) = words(pid);
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let found = Process {
        pid,
        started: started(before.started_ticks),
        started_ticks: before.started_ticks,
        uid,
        user: User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|it| it.name),
        terminal: terminal(before.terminal),
        executable: fs::read_link(path(pid, "exe")).ok().map(|it| it.into_os_string().into_vec()),
        command_line: command_line::masked(&words),
        is_cut,
        parents: parents(before.parent),
        unit: unit(&cgroup),
        container: container(&cgroup),
        pid_inside: inner_id(&status).filter(|&it| it != pid),
        name: before.name,
    };
    (stat(pid)?.started_ticks == found.started_ticks).then_some(found)
}

/// The words that it was started with, and whether there are more.
fn words(pid: u32) -> (Vec<Vec<u8>>, bool) {
    let mut text = Vec::new();
    let read = File::open(path(pid, "cmdline"))
        .and_then(|file| file.take(COMMAND_LINE_BYTES_MAX as u64 + 1).read_to_end(&mut text));
    if read.is_err() {
        return (Vec::new(), false);
    }
    split_words(text)
}

/// Words end in a zero byte. A title written over them fills the rest with more of these.
fn split_words(mut text: Vec<u8>) -> (Vec<Vec<u8>>, bool) {
    let is_cut = text.len() > COMMAND_LINE_BYTES_MAX;
    text.truncate(COMMAND_LINE_BYTES_MAX);
    let ends = if is_cut { 0 } else { text.iter().rev().take_while(|it| **it == 0).count() };
    text.truncate(text.len() - ends);
    // `mysql ''` ends in two: an empty last word means nothing to us.
    match text.is_empty() {
        true => (Vec::new(), is_cut),
        false => (text.split(|it| *it == 0).map(<[u8]>::to_vec).collect(), is_cut),
    }
}

/// `4711 (name) S 4690 …`, see proc_pid_stat(5). The name may hold anything, brackets included.
fn read_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|it| *it == b'(')?;
    let close = text.iter().rposition(|it| *it == b')')?;
    let name = text.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(&text[close + 1..]).ok()?;
    // State is field 3.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        name,
        parent: field(4)?.parse().ok()?,
        terminal: u32::try_from(field(7)?.parse::<i64>().ok()?).unwrap_or(0),
        started_ticks: field(22)?.parse().ok()?,
    })
}

/// A line of `/proc/<pid>/status`.
fn line<'a>(status: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = status.split(|it| *it == b'\n');
    let line = lines.find_map(|it| it.strip_prefix(name.as_bytes())?.strip_prefix(b":"))?;
    std::str::from_utf8(line).ok()
}

/// `Uid: real effective saved file system`.
fn effective_uid(status: &[u8]) -> Option<u32> {
    line(status, "Uid")?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The id in the innermost PID namespace.
pub(super) fn inner_id(status: &[u8]) -> Option<u32> {
    line(status, "NSpid")?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// Ids and names up to the first process.
fn parents(first: u32) -> Vec<(u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut next = first;
    while next != 0 && found.len() < PARENTS_MAX {
        let Some(stat) = stat(next) else { break };
        found.push((next, stat.name));
        next = stat.parent;
    }
    found
}

/// As ps(1) calls it. Device numbers: Documentation/admin-guide/devices.txt of the kernel.
fn terminal(device: u32) -> Option<String> {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match (major, minor) {
        (0, 0) => None,
        (136..=143, minor) => Some(format!("pts/{}", (major - 136) * 256 + minor)),
        (4, 0..=63) => Some(format!("tty{minor}")),
        (4, 64..) => Some(format!("ttyS{}", minor - 64)),
        _ => Some(format!("{major}:{minor}")),
    }
}

/// Ticks since the machine's start to microseconds UTC.
fn started(ticks: u64) -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot: i64 = stat.lines().find_map(|it| it.strip_prefix("btime "))?.trim().parse().ok()?;
    let second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(TICKS_USUAL).max(1);
    let micros = i128::from(ticks) * 1_000_000 / i128::from(second);
    i64::try_from(i128::from(boot) * 1_000_000 + micros).ok()
}

/// The paths in `/proc/<pid>/cgroup`, that of systemd's own hierarchy first.
fn groups(cgroup: &[u8]) -> Vec<&[u8]> {
    let lines = cgroup.split(|it| *it == b'\n');
    let mut found: Vec<(bool, &[u8])> = lines
        .filter_map(|line| {
            let mut fields = line.splitn(3, |it| *it == b':');
            let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            Some((number != b"0" && controllers != b"name=systemd", path))
        })
        .collect();
    found.sort_by_key(|(is_other, _)| *is_other);
    found.into_iter().map(|(_, path)| path).collect()
}

/// The innermost part of a path that systemd calls a unit.
fn unit(cgroup: &[u8]) -> Option<Vec<u8>> {
    let is_unit = |it: &&[u8]| it.ends_with(b".service") || it.ends_with(b".scope");
    let mut paths = groups(cgroup).into_iter();
    paths.find_map(|path| path.split(|it| *it == b'/').rev().find(is_unit)).map(<[u8]>::to_vec)
}

/// 64 hexadecimal digits, as docker, podman, containerd and CRI-O name containers; or the name behind `lxc`.
fn container(cgroup: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: usize = 64;
    let digits = |part: &[u8]| {
        let runs = part.split(|it| !it.is_ascii_hexdigit());
        runs.filter(|it| it.len() == DIGITS).map(<[u8]>::to_vec).next_back()
    };
    let in_path = |path: &[u8]| {
        let parts: Vec<&[u8]> = path.split(|it| *it == b'/').collect();
        let lxc = |at: usize| match parts[at].strip_prefix(b"lxc.payload.") {
            Some(name) => Some(name.to_vec()),
            None if parts[at] == b"lxc" => parts.get(at + 1).map(|it| it.to_vec()),
            None => None,
        };
        let of_digits = parts.iter().rev().find_map(|part| digits(part));
        of_digits.or_else(|| (0..parts.len()).find_map(lxc))
    };
    groups(cgroup).into_iter().find_map(in_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_as_it_was_started() {
        let own = process(std::process::id()).unwrap();
        let words: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
        assert_eq!(own.command_line, words);
        assert_eq!(own.uid, nix::unistd::geteuid().as_raw());
        assert_eq!(own.parents[0].0, std::os::unix::process::parent_id());
        let executable = std::env::current_exe().unwrap().into_os_string().into_vec();
        assert_eq!(own.executable, Some(executable));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let started = own.started.unwrap() / 1_000_000;
        assert!((0..=86_400).contains(&(now.as_secs() as i64 - started)), "{started}");
        assert!(process(u32::MAX).is_none());
        // Another one with the same id is another one.
        assert!(still_runs(own.pid, own.started_ticks));
        assert!(!still_runs(own.pid, own.started_ticks + 1));
        assert!(!still_runs(u32::MAX, own.started_ticks));
    }

    #[test]
    fn names_may_look_like_what_stands_behind_them() {
        let text =
            b"4711 (a) S 1 (b) S 4690 4711 4690 34819 4711 4194304 1 0 0 0 0 0 0 0 20 0 1 0 \
            987654 1 2";
        let stat = read_stat(text).unwrap();
        assert_eq!(stat.name, b"a) S 1 (b");
        assert_eq!((stat.parent, stat.started_ticks), (4690, 987_654));
        assert_eq!(terminal(stat.terminal).as_deref(), Some("pts/3"));
        for text in [&b""[..], b"1 (x", b")(", b"1 (x) S", b"1 (x) S 1 2 3 4 5", b"\xff(\xff)\xff"]
        {
            assert_eq!(read_stat(text), None);
        }
    }

    #[test]
    fn terminals_are_called_as_ps_does() {
        for (device, name) in
            [(0, None), (0x401, Some("tty1")), (0x440, Some("ttyS0")), (0x88ff, Some("pts/255"))]
        {
            assert_eq!(terminal(device).as_deref(), name);
        }
        assert_eq!(terminal(0x0010_8800).as_deref(), Some("pts/256"));
    }

    #[test]
    fn words_end_in_zero_bytes() {
        let check = |text: &[u8], words: &[&[u8]], is_cut: bool| {
            let (found, cut) = split_words(text.to_vec());
            assert_eq!((found, cut), (words.iter().map(|it| it.to_vec()).collect(), is_cut));
        };
        check(b"", &[], false);
        check(b"a\0b\0", &[b"a", b"b"], false);
        check(b"a\0\0b\0", &[b"a", b"", b"b"], false);
        check(b"a title\0\0\0\0", &[b"a title"], false);
        let long = vec![b'x'; COMMAND_LINE_BYTES_MAX];
        check(&long, &[&long], false);
        check(&[&long[..], b"y"].concat(), &[&long], true);
    }

    #[test]
    fn units_and_containers_are_in_the_path() {
        let id = "0123456789abcdef".repeat(4);
        let check = |text: &str, unit_: Option<&str>, container_: Option<&str>| {
            let lossy = |it: Option<Vec<u8>>| it.map(|it| String::from_utf8(it).unwrap());
            let found = (lossy(unit(text.as_bytes())), lossy(container(text.as_bytes())));
            assert_eq!(found, (unit_.map(str::to_owned), container_.map(str::to_owned)), "{text}");
        };
        check("0::/\n", None, None);
        check("", None, None);
        check("0::/system.slice/cron.service\n", Some("cron.service"), None);
        let user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-1.scope\n";
        check(user, Some("app-1.scope"), None);
        let docker = format!("0::/system.slice/docker-{id}.scope\n");
        check(&docker, Some(&format!("docker-{id}.scope")), Some(&id));
        check(&format!("4:memory:/docker/{id}\n1:name=systemd:/docker/{id}\n"), None, Some(&id));
        let pod = format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope\n");
        check(&pod, Some(&format!("cri-containerd-{id}.scope")), Some(&id));
        check("0::/lxc.payload.web1/system.slice/x.service\n", Some("x.service"), Some("web1"));
        check("2:cpu:/lxc/web2\n0::/\n", None, Some("web2"));
        check("2:cpu:/a.service\n1:name=systemd:/b.service\n", Some("b.service"), None);
    }

    #[test]
    fn ids_are_those_of_the_innermost_namespace() {
        let status = b"Name:\tx\nUid:\t1000\t1001\t1002\t1003\nNSpid:\t4711\t12\n";
        assert_eq!((effective_uid(status), inner_id(status)), (Some(1001), Some(12)));
        assert_eq!(effective_uid(b"Name:\tUid: 7"), None);
    }
}
