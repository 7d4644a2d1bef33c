//! `who`: a connection, and the process at its client's end.

use std::net::IpAddr;

use ledger::Sample;
use live::connection::{Connection, Details, Encryption};
use live::process::{Doubt, Evidence, Found, Holder, Process};

use super::View;
use crate::render::{
    Answer, Block, Column, Json, Page, Records, Table, Value, inert, shown, shown_plain,
};
use crate::time::second_text;

/// The fields for programs.
pub(super) const FIELDS: [&str; 25] = [
    "server",
    "connection_id",
    "user",
    "host",
    "port",
    "database",
    "command",
    "seconds",
    "tls",
    "claims",
    "evidence",
    "pid",
    "started",
    "uid",
    "os_user",
    "terminal",
    "executable",
    "unit",
    "container",
    "command_line",
    "parents",
    "reason",
    "run_there",
    "sampled_from",
    "sampled_to",
];

/// One connection that was looked for.
#[derive(Debug, Clone)]
pub(crate) struct Sought {
    /// The server that was asked; `None`: none was.
    pub(crate) server: Option<String>,
    /// What it knows.
    pub(crate) connection: Option<(Connection, Details)>,
    /// The client's host, as the server calls it or as it was given, and port; `None`: a unix socket.
    pub(crate) client: Option<(Vec<u8>, u16)>,
    pub(crate) found: Found,
}

/// The answer.
pub(crate) fn who(all: &[Sought], view: View<'_>) -> Answer {
    let mut answer = Answer::default();
    let mut records = Records::new(&FIELDS);
    for (number, one) in all.iter().enumerate() {
        if view.page {
            if number > 0 {
                answer.page.blank();
            }
            show(&mut answer.page, one, view);
        }
        if view.records {
            let holders: Vec<Option<&Holder>> = match one.found.holders.is_empty() {
                true => vec![None],
                false => one.found.holders.iter().map(Some).collect(),
            };
            holders.into_iter().for_each(|it| records.push(fields(one, it)));
        }
        answer.rows += one.found.holders.len().max(1);
    }
    if view.records {
        answer.records.push(records);
    }
    answer
}

/// What to run on the client's machine, where the client is not here: rollcall, which needs no server there, and ss.
/// Names that a shell could take for more than a name are left out.
pub(crate) fn run_there(one: &Sought) -> Vec<String> {
    if !one.found.doubts.contains(&Doubt::Elsewhere) {
        return Vec::new();
    }
    let Some((host, port)) = &one.client else { return Vec::new() };
    match verdict::network::address(host) {
        Some(IpAddr::V6(ip)) => {
            vec![format!("rollcall who '[{ip}]:{port}'"), format!("ss -tnp 'src [{ip}]:{port}'")]
        }
        Some(ip) => vec![format!("rollcall who {ip}:{port}"), format!("ss -tnp src {ip}:{port}")],
        None => {
            let is_plain = |it: &u8| it.is_ascii_alphanumeric() || b".-_".contains(it);
            let is_name = host.iter().all(is_plain) && host.first().is_some_and(|it| *it != b'-');
            let name = String::from_utf8_lossy(host);
            let own = is_name.then(|| format!("rollcall who {name}:{port}"));
            own.into_iter().chain([format!("ss -tnp 'sport = :{port}'")]).collect()
        }
    }
}

/// A connection that has ended, by what was sampled while it was open: each process with whether it still runs.
pub(crate) fn who_sampled(server: &str, all: &[(Sample, bool)], view: View<'_>) -> Answer {
    let mut answer = Answer::default();
    let mut records = Records::new(&FIELDS);
    for (number, (it, runs)) in all.iter().enumerate() {
        if view.page {
            let zone = inert(&view.zone.name);
            let span = format!(
                "from {} to {} ({zone})",
                second_text(it.first_us, view.zone),
                second_text(it.last_us, view.zone)
            );
            if number == 0 {
                let port = it.port.map_or_else(String::new, |port| format!(":{port}"));
                answer.page.line(format!(
                    "{}: connection {} has ended; it was {} from {}{port}, sampled {span}",
                    inert(server),
                    it.connection,
                    shown(&it.user),
                    shown_plain(&it.host)
                ));
            }
            answer.page.list("process", sampled_lines(it, *runs, view));
            answer.page.list("known by", vec![format!("sampled {span}: {}", it.evidence)]);
        }
        if view.records {
            records.push(sampled_fields(server, it, *runs));
        }
        answer.rows += 1;
    }
    if view.records {
        answer.records.push(records);
    }
    answer
}

/// Whether a process that was sampled is there still: another one may have its id.
fn sampled_state(runs: bool) -> &'static str {
    if runs { "it still runs" } else { "it has ended: another process may have its id now" }
}

fn sampled_lines(it: &Sample, runs: bool, view: View<'_>) -> Vec<String> {
    let user = it.os_user.as_ref().map_or_else(|| format!("id {}", it.uid), |it| inert(it));
    let since = it.started_us.map(|at| format!(" · since {}", second_text(at, view.zone)));
    let head = format!("pid {} {} · user {user}", it.pid, shown(&it.name));
    let places = [
        it.executable.as_ref().map(|it| shown_plain(it)),
        it.unit.as_ref().map(|it| format!("unit {}", shown(it))),
        it.container.as_ref().map(|it| format!("container {}", shown(&short(it)))),
    ];
    let places: Vec<String> = places.into_iter().flatten().collect();
    let mut lines = vec![format!("{head}{}", since.unwrap_or_default())];
    lines.push(shown_plain(&it.command_line));
    if !places.is_empty() {
        lines.push(places.join(" · "));
    }
    lines.push(sampled_state(runs).to_owned());
    lines
}

fn sampled_fields(server: &str, it: &Sample, runs: bool) -> Vec<Value> {
    let name = |it: &Option<Vec<u8>>| Value::name(it.as_deref());
    vec![
        Value::Text(server.to_owned()),
        Value::Text(it.connection.to_string()),
        Value::Name(it.user.clone()),
        Value::Name(it.host.clone()),
        Value::number(it.port),
        Value::Absent,
        Value::Absent,
        Value::Absent,
        Value::Absent,
        Value::Absent,
        Value::word("sampled"),
        Value::number(Some(it.pid)),
        Value::time(it.started_us),
        Value::number(Some(it.uid)),
        it.os_user.clone().map_or(Value::Absent, Value::Text),
        Value::Absent,
        name(&it.executable),
        name(&it.unit),
        name(&it.container),
        Value::Name(it.command_line.clone()),
        Value::Absent,
        Value::Text(format!("the connection has ended; {}", sampled_state(runs))),
        Value::Absent,
        Value::Time(it.first_us),
        Value::Time(it.last_us),
    ]
}

fn show(page: &mut Page, one: &Sought, view: View<'_>) {
    page.line(heading(one));
    let (certain, candidates): (Vec<&Holder>, Vec<&Holder>) =
        one.found.holders.iter().partition(|it| it.evidence != Evidence::Candidate);
    for holder in certain {
        page.list("process", process_lines(&holder.process, view));
        page.list("known by", vec![known_by(holder)]);
    }
    if let Some((_, details)) = &one.connection {
        let claims = details.claims.iter();
        let claims: Vec<String> =
            claims.map(|(name, value)| format!("{}={}", shown(name), shown(value))).collect();
        page.items("claims", claims);
        if !details.claims.is_empty() {
            page.list("", vec!["what the client says of itself, no proof".to_owned()]);
        }
    }
    let doubts = one.found.doubts.iter().map(|it| inert(&it.to_string()));
    page.list("but", doubts.collect());
    let commands = run_there(one);
    if !commands.is_empty() {
        page.list("", vec!["on the client's machine, as root, one of:".to_owned()]);
        // To be copied: neither broken nor shortened.
        let lines = commands.iter().map(|it| format!("              {it}"));
        page.blocks.push(Block::Verbatim(lines.collect()));
    }
    if !candidates.is_empty() {
        let count = candidates.len();
        page.line(match count {
            1 => "Connected to this server by a unix socket, this one or another:".to_owned(),
            _ => format!("{count} processes are connected to this server by a unix socket, one of them by this:"),
        });
        page.table(candidate_table(&candidates, view));
    }
}

/// `db1: connection 8812 is 'sam' from 10.0.0.7:51234 · TLSv1.3 … · schema shop · Sleep for 12 s`.
fn heading(one: &Sought) -> String {
    let client = match &one.client {
        Some((host, port)) => format!("{}:{port}", shown_plain(host)),
        None => "a unix socket".to_owned(),
    };
    let Some((connection, details)) = &one.connection else {
        return format!("{client} (no server was asked)");
    };
    let user = shown(&connection.user);
    let mut parts = vec![match connection.is_internal {
        true => user,
        false => format!("{user} from {client}"),
    }];
    parts.push(match &details.encryption {
        Encryption::Tls(version, cipher) => inert(&format!("{version} {cipher}")),
        Encryption::None => "no TLS".to_owned(),
        Encryption::Unknown => "TLS not known".to_owned(),
    });
    if let Some(database) = connection.database.as_ref().filter(|it| !it.is_empty()) {
        parts.push(format!("schema {}", shown(database)));
    }
    let seconds = connection.seconds.map_or_else(String::new, |it| format!(" for {it} s"));
    parts.push(format!("{}{seconds}", shown(&connection.command)));
    let server = one.server.as_deref().map_or_else(|| "the server".to_owned(), inert);
    format!("{server}: connection {} is {}", connection.id, parts.join(" · "))
}

fn process_lines(process: &Process, view: View<'_>) -> Vec<String> {
    let terminal = process.terminal.as_ref();
    let parts = [
        format!("pid {} {}", process.pid, shown(&process.name)),
        format!("user {}", user(process)),
        terminal.map_or_else(|| "no terminal".to_owned(), |it| inert(it)),
        match process.started {
            Some(at) => {
                format!("since {} ({})", second_text(at, view.zone), inert(&view.zone.name))
            }
            None => "start not known".to_owned(),
        },
    ];
    let mut lines = vec![parts.join(" · "), command_text(process)];
    let places = [
        process.executable.as_ref().map(|it| shown_plain(it)),
        process.unit.as_ref().map(|it| format!("unit {}", shown(it))),
        process.container.as_ref().map(|it| format!("container {}", shown(&short(it)))),
        process.pid_inside.map(|it| format!("pid {it} in its own PID namespace")),
    ];
    let places: Vec<String> = places.into_iter().flatten().collect();
    if !places.is_empty() {
        lines.push(places.join(" · "));
    }
    let parents = process.parents.iter().map(|(pid, name)| format!("{} ({pid})", shown(name)));
    let parents: Vec<String> = parents.collect();
    if !parents.is_empty() {
        lines.push(format!("started by {}", parents.join(" ← ")));
    }
    lines
}

fn known_by(holder: &Holder) -> String {
    let (own, other) = match holder.ends {
        Some((own, other)) => (own.to_string(), other.to_string()),
        None => Default::default(),
    };
    let peer = holder.peer.as_ref();
    let peer =
        peer.map_or_else(String::new, |(pid, name)| format!(" of {} (pid {pid})", shown(name)));
    match holder.evidence {
        Evidence::TcpPair => format!("its socket {own} is the other end of {other}{peer}"),
        Evidence::Tcp => {
            format!("its socket {own} leads to {other}; that end is not on this machine, or hidden")
        }
        Evidence::SocketPeer => {
            "its socket is the other end of the one that the connection's thread waits at"
                .to_owned()
        }
        Evidence::Candidate => String::new(),
    }
}

fn candidate_table(candidates: &[&Holder], view: View<'_>) -> Table {
    let mut table = Table::new(vec![
        Column::number("PID"),
        Column::name("USER"),
        Column::fixed("SINCE"),
        Column::prose("COMMAND"),
    ]);
    for holder in candidates {
        let process = &holder.process;
        let started = process.started.map(|it| second_text(it, view.zone));
        table.push(vec![
            process.pid.to_string(),
            user(process),
            started.unwrap_or_else(|| "–".to_owned()),
            command_text(process),
        ]);
    }
    table
}

/// Its name, or its id where it has none here.
fn user(process: &Process) -> String {
    let name = process.user.as_ref().map(|it| shown(it.as_bytes()));
    name.unwrap_or_else(|| format!("id {}", process.uid))
}

/// The words as a shell would take them; in brackets the name of what has none.
fn command_text(process: &Process) -> String {
    if process.command_line.is_empty() {
        return format!("[{}]", shown_plain(&process.name));
    }
    shown_plain(&command_bytes(process))
}

pub(crate) fn command_bytes(process: &Process) -> Vec<u8> {
    let words: Vec<Vec<u8>> = process.command_line.iter().map(|it| quoted(it)).collect();
    let mut text = words.join(&b' ');
    if process.is_cut {
        text.extend(" …".as_bytes());
    }
    text
}

/// In quotes where a shell would not take it for one word. A mask stays a mask.
fn quoted(word: &[u8]) -> Vec<u8> {
    let is_plain =
        |it: &u8| it.is_ascii_alphanumeric() || b"_@%+=:,./-*".contains(it) || *it >= 0x80;
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.to_vec();
    }
    let mut out = vec![b'\''];
    for &byte in word {
        match byte {
            b'\'' => out.extend(b"'\\''"),
            byte => out.push(byte),
        }
    }
    out.push(b'\'');
    out
}

/// As the tools of containers show ids.
fn short(container: &[u8]) -> Vec<u8> {
    let length = if container.len() == 64 { 12 } else { container.len() };
    container[..length].to_vec()
}

fn fields(one: &Sought, holder: Option<&Holder>) -> Vec<Value> {
    let text = |text: Option<String>| text.map_or(Value::Absent, Value::Text);
    let connection = one.connection.as_ref().map(|it| &it.0);
    let details = one.connection.as_ref().map(|it| &it.1);
    let process = holder.map(|it| &it.process);
    let reasons: Vec<String> = one.found.doubts.iter().map(ToString::to_string).collect();
    let name =
        |of: fn(&Process) -> Option<&Vec<u8>>| Value::name(process.and_then(of).map(Vec::as_slice));
    vec![
        text(one.server.clone()),
        text(connection.map(|it| it.id.to_string())),
        Value::name(connection.map(|it| it.user.as_slice())),
        match (&one.client, connection) {
            (Some((host, _)), _) => Value::Name(host.clone()),
            (None, it) => Value::name(it.map(|it| it.host.as_slice())),
        },
        Value::number(one.client.as_ref().map(|it| it.1)),
        Value::name(connection.and_then(|it| it.database.as_deref())),
        Value::name(connection.map(|it| it.command.as_slice())),
        Value::number(connection.and_then(|it| it.seconds)),
        match details.map(|it| &it.encryption) {
            Some(Encryption::Tls(version, cipher)) => Value::Text(format!("{version} {cipher}")),
            Some(Encryption::None) => Value::word("none"),
            Some(Encryption::Unknown) | None => Value::Absent,
        },
        details.filter(|it| !it.claims.is_empty()).map_or(Value::Absent, |it| {
            let claims = it.claims.iter();
            let claims = claims.map(|(name, value)| (name.clone(), Json::Text(value.clone())));
            Value::Json(Json::Object(claims.collect()))
        }),
        text(holder.map(|it| it.evidence.as_str().to_owned())),
        Value::number(process.map(|it| it.pid)),
        Value::time(process.and_then(|it| it.started)),
        Value::number(process.map(|it| it.uid)),
        text(process.and_then(|it| it.user.clone())),
        text(process.and_then(|it| it.terminal.clone())),
        name(|it| it.executable.as_ref()),
        name(|it| it.unit.as_ref()),
        name(|it| it.container.as_ref()),
        process.map_or(Value::Absent, |it| Value::Name(command_bytes(it))),
        process.map_or(Value::Absent, |it| Value::Json(parents_json(it))),
        text(Some(reasons.join("; ")).filter(|it| !it.is_empty())),
        text(run_there(one).into_iter().next()),
        Value::Absent,
        Value::Absent,
    ]
}

/// `[{"pid":4690,"name":"bash"}]`.
fn parents_json(process: &Process) -> Json {
    let one = |(pid, name): &(u32, Vec<u8>)| {
        let fields = [("pid", Json::Count((*pid).into())), ("name", Json::Text(name.clone()))];
        Json::Object(fields.map(|(name, value)| (name.into(), value)).into())
    };
    Json::List(process.parents.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_view;
    use super::*;
    use crate::render::Format;
    use insta::assert_snapshot;

    fn process(pid: u32) -> Process {
        Process {
            pid,
            started: Some(1_795_159_123_000_000),
            started_ticks: 1,
            uid: 1000,
            user: Some("alice".to_owned()),
            terminal: Some("pts/3".to_owned()),
            executable: Some(b"/usr/bin/mysql".to_vec()),
            name: b"my\x1b[2J".to_vec(),
            command_line: [&b"mysql"[..], b"-p*****", b"a b", b"\xff'", b""]
                .map(Vec::from)
                .to_vec(),
            is_cut: true,
            parents: vec![(4690, b"bash".to_vec()), (1, b"a, b \"c\"".to_vec())],
            unit: Some(b"docker-x.scope".to_vec()),
            container: Some(b"0123456789abcdef".repeat(4)),
            pid_inside: Some(7),
        }
    }

    fn holder(evidence: Evidence) -> Holder {
        let ends = ("10.0.0.7:51234".parse().unwrap(), "10.0.0.9:3306".parse().unwrap());
        Holder {
            process: process(4711),
            evidence,
            ends: (evidence <= Evidence::Tcp && evidence != Evidence::SocketPeer).then_some(ends),
            peer: (evidence == Evidence::TcpPair).then(|| (812, b"mariadbd".to_vec())),
        }
    }

    fn sought(found: Found) -> Sought {
        let connection = Connection {
            id: 8812,
            user: b"sam\x1b".to_vec(),
            host: b"10.0.0.7".to_vec(),
            port: Some(51234),
            database: Some(b"shop".to_vec()),
            command: b"Sleep".to_vec(),
            seconds: Some(12),
            thread: Some(99),
            query: None,
            is_internal: false,
        };
        let details = Details {
            encryption: Encryption::Tls("TLSv1.3".to_owned(), "TLS_AES_256_GCM_SHA384".to_owned()),
            claims: vec![
                (b"_pid".to_vec(), b"4711".to_vec()),
                (b"\"x".to_vec(), b"\x1b\xff".to_vec()),
            ],
            missing: Vec::new(),
        };
        Sought {
            server: Some("db1".to_owned()),
            client: Some((connection.host.clone(), 51234)),
            connection: Some((connection, details)),
            found,
        }
    }

    fn held(evidence: Evidence) -> Found {
        Found { holders: vec![holder(evidence)], doubts: Vec::new() }
    }

    #[test]
    fn a_process_is_told_with_what_is_known_of_it() {
        let answer = with_view(|view| who(&[sought(held(Evidence::TcpPair))], view));
        assert_snapshot!(answer.text(Format::Table, None), @r#"
        db1: connection 8812 is sam\x1b from 10.0.0.7:51234 · TLSv1.3 TLS_AES_256_GCM_SHA384 · schema shop · Sleep for 12 s
        process     pid 4711 my\x1b[2J · user alice · pts/3 · since 2026-11-20 08:18:43 (Europe/Zurich)
                    mysql -p***** 'a b' '�'\''' '' …
                    /usr/bin/mysql · unit docker-x.scope · container 0123456789ab · pid 7 in its own PID namespace
                    started by bash (4690) ← 'a, b "c"' (1)
        known by    its socket 10.0.0.7:51234 is the other end of 10.0.0.9:3306 of mariadbd (pid 812)
        claims      _pid=4711 · '"x'=\x1b�
                    what the client says of itself, no proof
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"server":"db1","connection_id":"8812","user":"sam\u001b","host":"10.0.0.7","port":51234,"database":"shop","command":"Sleep","seconds":12,"tls":"TLSv1.3 TLS_AES_256_GCM_SHA384","claims":{"_pid":"4711","\"x":"\u001b�","\"x_hex":"1bff"},"evidence":"tcp-pair","pid":4711,"started":"2026-11-20T07:18:43Z","uid":1000,"os_user":"alice","terminal":"pts/3","executable":"/usr/bin/mysql","unit":"docker-x.scope","container":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","command_line":"mysql -p***** 'a b' '�'\\''' '' …","command_line_hex":"6d7973716c202d702a2a2a2a2a2027612062272027ff275c27272720272720e280a6","parents":[{"pid":4690,"name":"bash"},{"pid":1,"name":"a, b \"c\""}],"reason":null,"run_there":null,"sampled_from":null,"sampled_to":null}
        "#);
        assert_snapshot!(answer.text(Format::Csv, None), @r#"
        server,connection_id,user,host,port,database,command,seconds,tls,claims,evidence,pid,started,uid,os_user,terminal,executable,unit,container,command_line,parents,reason,run_there,sampled_from,sampled_to,user_hex,command_line_hex
        db1,8812,sam\x1b,10.0.0.7,51234,shop,Sleep,12,TLSv1.3 TLS_AES_256_GCM_SHA384,"{""_pid"":""4711"",""\""x"":""\u001b�"",""\""x_hex"":""1bff""}",tcp-pair,4711,2026-11-20T07:18:43Z,1000,alice,pts/3,/usr/bin/mysql,docker-x.scope,0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef,mysql -p***** 'a b' '�'\''' '' …,"[{""pid"":4690,""name"":""bash""},{""pid"":1,""name"":""a, b \""c\""""}]",,,,,73616d1b,6d7973716c202d702a2a2a2a2a2027612062272027ff275c27272720272720e280a6
        "#);
    }

    #[test]
    fn candidates_are_no_answer() {
        let mut found = held(Evidence::Candidate);
        found.holders.push(Holder {
            process: Process { command_line: Vec::new(), ..process(9) },
            ..holder(Evidence::Candidate)
        });
        found.doubts = vec![Doubt::Busy];
        assert!(!found.is_certain());
        let mut one = sought(found);
        one.client = None;
        let answer = with_view(|view| who(&[one], view));
        assert_eq!(answer.rows, 2);
        assert_snapshot!(answer.text(Format::Table, Some(100)), @r#"
        db1: connection 8812 is sam\x1b from a unix socket · TLSv1.3 TLS_AES_256_GCM_SHA384 · schema shop ·
        Sleep for 12 s
        claims      _pid=4711 · '"x'=\x1b�
                    what the client says of itself, no proof
        but         the connection is busy: only while it waits for its client its thread shows which unix
                      socket is its own; try again when it sleeps
        2 processes are connected to this server by a unix socket, one of them by this:
         PID  USER   SINCE                COMMAND
        4711  alice  2026-11-20 08:18:43  mysql -p***** 'a b' '�'\''' '' …
           9  alice  2026-11-20 08:18:43  [my\x1b[2J]
        "#);
    }

    #[test]
    fn for_another_machine_there_are_commands() {
        let elsewhere = || Found { holders: Vec::new(), doubts: vec![Doubt::Elsewhere] };
        let answer = with_view(|view| who(&[sought(elsewhere())], view));
        assert_snapshot!(answer.text(Format::Table, Some(100)), @r#"
        db1: connection 8812 is sam\x1b from 10.0.0.7:51234 · TLSv1.3 TLS_AES_256_GCM_SHA384 · schema shop ·
        Sleep for 12 s
        claims      _pid=4711 · '"x'=\x1b�
                    what the client says of itself, no proof
        but         the client's address is none of this machine, as seen from here
                    on the client's machine, as root, one of:
                      rollcall who 10.0.0.7:51234
                      ss -tnp src 10.0.0.7:51234
        "#);
        let commands = |host: &[u8]| {
            let mut one = sought(elsewhere());
            one.client = Some((host.to_vec(), 5));
            run_there(&one)
        };
        assert_eq!(
            commands(b"2001:db8::1"),
            ["rollcall who '[2001:db8::1]:5'", "ss -tnp 'src [2001:db8::1]:5'"]
        );
        assert_eq!(
            commands(b"web-1.example"),
            ["rollcall who web-1.example:5", "ss -tnp 'sport = :5'"]
        );
        // Whoever owns an address chooses the name that it is looked up as.
        for host in [&b"$(reboot)"[..], b"-x", b"a;b", b"a b", b""] {
            assert_eq!(commands(host), ["ss -tnp 'sport = :5'"]);
        }
        assert_eq!(run_there(&sought(held(Evidence::Tcp))), [""; 0]);
    }

    #[test]
    fn what_one_end_alone_shows_is_said() {
        let mut one = sought(held(Evidence::Tcp));
        one.server = None;
        one.connection = None;
        one.found.doubts = vec![Doubt::Ambiguous, Doubt::More(3)];
        assert!(!one.found.is_certain());
        let answer = with_view(|view| who(&[one], view));
        assert_snapshot!(answer.text(Format::Table, None), @r#"
        10.0.0.7:51234 (no server was asked)
        process     pid 4711 my\x1b[2J · user alice · pts/3 · since 2026-11-20 08:18:43 (Europe/Zurich)
                    mysql -p***** 'a b' '�'\''' '' …
                    /usr/bin/mysql · unit docker-x.scope · container 0123456789ab · pid 7 in its own PID namespace
                    started by bash (4690) ← 'a, b "c"' (1)
        known by    its socket 10.0.0.7:51234 leads to 10.0.0.9:3306; that end is not on this machine, or hidden
        but         several sockets have this address and port, in other network namespaces or to other servers: which is meant is not known
                    3 more processes have the same socket
        "#);
    }
}
