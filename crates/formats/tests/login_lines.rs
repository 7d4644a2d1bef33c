//! Lines of the encoder are JSON by another's parser, and are read as what they were made of.

use formats::{
    Dialect, Doubt, Event, Input, Kind, LOGIN_LINE_BYTES_MAX, LoginKind, LoginRecord, Reader,
    Series, Sink, Span, Stamp, login_line,
};
use proptest::prelude::*;

#[derive(Debug, Default)]
struct Collected(Vec<Told>);

/// What the reader told, copied.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    time: Stamp,
    server: Vec<u8>,
    user: Vec<u8>,
    host: Vec<u8>,
    connection: u64,
    kind: Kind,
    error: u32,
    database: Vec<u8>,
    account_user: Option<Vec<u8>>,
    series: Option<Series>,
}

impl Sink for Collected {
    fn event(&mut self, _: Span, event: &Event<'_>) {
        self.0.push(Told {
            time: event.time,
            server: event.server.to_vec(),
            user: event.peer.user().to_vec(),
            host: event.peer.host().to_vec(),
            connection: event.connection,
            kind: event.kind,
            error: event.error,
            database: event.database.to_vec(),
            account_user: event.account_user.map(<[u8]>::to_vec),
            series: event.series,
        });
    }

    fn doubt(&mut self, _: Span, doubt: Doubt, shown: &[u8]) {
        panic!("{doubt:?}: {}", String::from_utf8_lossy(shown));
    }
}

fn read(lines: &[u8]) -> Vec<Told> {
    let mut sink = Collected::default();
    let mut reader = Reader::new(Dialect::AuditLogin);
    assert_eq!(reader.read(lines, Input::Ended, &mut sink), lines.len());
    sink.0
}

/// Bytes as attackers choose them: quotes, breaks, keys, broken UTF-8, and anything.
fn name() -> impl Strategy<Value = Option<Vec<u8>>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"\"",
        b"\\",
        b"\n",
        b"\r\n",
        b"{\"ts\":\"",
        b"\",\"host\":\"",
        b"\",\"user\":\"",
        b"(null)",
        b"null",
        b"\\u0041",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        "ä".as_bytes(),
        "\u{2028}".as_bytes(),
        "😀".as_bytes(),
        b"\0",
        b"\x1b[2J",
        b"app",
        b"}\n{",
        b",",
    ];
    let hostile = prop::collection::vec(prop::sample::select(pieces), 0..6)
        .prop_map(|pieces| pieces.concat());
    prop::option::of(prop_oneof![hostile, prop::collection::vec(any::<u8>(), 0..40)])
}

fn kind() -> impl Strategy<Value = LoginKind> {
    prop::sample::select(vec![
        LoginKind::Successful,
        LoginKind::Failed,
        LoginKind::Logout,
        LoginKind::ChangeUser,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        names in prop::array::uniform7(name()),
        server in prop::option::of("[a-zäé\"\\\\]{1,12}"),
        kind in kind(),
        time in 86_400_000_000..253_402_000_000_000_000_i64,
        offset in -56..=56_i32,
        thread: u64,
        status in 0..5000_u32,
        duration_ms: Option<u64>,
        seq: u64,
        dropped: u64,
    ) {
        let [user, priv_user, host, ip, database, proxy_user, external_user] = names;
        let record = LoginRecord {
            time,
            offset: offset * 900,
            kind,
            myhost: b"db1",
            thread,
            user: user.as_deref(),
            priv_user: priv_user.as_deref(),
            host: host.as_deref(),
            ip: ip.as_deref(),
            server: server.as_ref().map(String::as_bytes),
            server_id: Some(1),
            status,
            database: database.as_deref(),
            proxy_user: proxy_user.as_deref(),
            external_user: external_user.as_deref(),
            connection_type: None,
            seq,
            dropped,
            duration_ms,
        };
        let mut buffer = Box::new([0; LOGIN_LINE_BYTES_MAX]);
        let line = login_line(&record, &mut buffer).to_vec();

        prop_assert_eq!(line.iter().filter(|&&byte| byte < b' ').count(), 1);
        let object: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let object = object.as_object().unwrap();
        let told = [
            ("user", &user), ("priv_user", &priv_user), ("host", &host), ("ip", &ip),
            ("db", &database), ("proxy_user", &proxy_user), ("external_user", &external_user),
        ];
        for (key, name) in told {
            let shown = name.as_ref().map(|name| String::from_utf8_lossy(name).into_owned());
            prop_assert_eq!(object[key].as_str(), shown.as_deref());
            let hex = object.get(&format!("{key}_hex"));
            let exact = name.as_deref().unwrap_or_default();
            let expected = exact.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let wanted = std::str::from_utf8(exact).is_err() || exact == b"(null)";
            prop_assert_eq!(hex.and_then(|hex| hex.as_str()), wanted.then_some(expected.as_str()));
        }

        let succeeded =
            matches!(kind, LoginKind::Successful | LoginKind::ChangeUser) && status == 0;
        let client = host.clone().filter(|host| !host.is_empty()).or(ip).unwrap_or_default();
        prop_assert_eq!(read(&line), vec![Told {
            time: Stamp::Utc(time),
            server: server.map_or(b"db1".to_vec(), String::into_bytes),
            user: user.unwrap_or_default(),
            host: client,
            connection: thread,
            kind: match kind {
                LoginKind::Successful => Kind::Connect,
                LoginKind::Failed => Kind::Failed,
                LoginKind::Logout => Kind::Disconnect,
                LoginKind::ChangeUser => Kind::ChangeUser,
            },
            error: status,
            database: database.unwrap_or_default(),
            account_user: priv_user.filter(|_| succeeded),
            series: Some(Series { line: seq, lost: dropped }),
        }]);
    }
}

#[test]
fn a_line_that_a_full_disk_has_cut_takes_no_other_with_it() {
    let record = LoginRecord {
        time: 86_400_000_000,
        offset: 0,
        kind: LoginKind::Failed,
        myhost: b"db1",
        thread: 42,
        user: Some(b"a\"\xff\n"),
        priv_user: Some(b""),
        host: None,
        ip: Some(b"10.0.0.7"),
        server: None,
        server_id: Some(1),
        status: 1045,
        database: None,
        proxy_user: None,
        external_user: None,
        connection_type: Some("tcp"),
        seq: 1,
        dropped: 0,
        duration_ms: None,
    };
    let mut buffer = Box::new([0; LOGIN_LINE_BYTES_MAX]);
    let line = login_line(&record, &mut buffer);
    for cut in 1..line.len() - 1 {
        let log = [line, &line[..cut], b"\n", line].concat();
        let mut sink = Survivors::default();
        Reader::new(Dialect::AuditLogin).read(&log, Input::Ended, &mut sink);
        assert_eq!((sink.events, sink.doubts), (2, 1), "cut behind {cut} bytes");
    }
}

#[derive(Debug, Default)]
struct Survivors {
    events: usize,
    doubts: usize,
}

impl Sink for Survivors {
    fn event(&mut self, _: Span, _: &Event<'_>) {
        self.events += 1;
    }

    fn doubt(&mut self, _: Span, _: Doubt, _: &[u8]) {
        self.doubts += 1;
    }
}
