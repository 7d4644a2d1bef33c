//! Binary logs through the server: byte for byte as in the files, on every kind of server, encrypted or not; and
//! followed while clients write.
//!
//! Needs the feature `real-server` and root, as it starts servers of its own with `tests/servers/start`.

#[path = "servers/own.rs"]
#[expect(dead_code, reason = "accounts are of no interest here")]
mod own;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use live::dump::{Came, Dump};
use live::target::Secret;
use live::{Server as Live, Target};
use own::Server;
use tempfile::TempDir;

const KINDS: [&str; 3] = ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"];

/// A folder that the servers can reach.
fn folder() -> TempDir {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn connect(server: &Server, user: &str) -> Live {
    let socket = PathBuf::from(server.told("socket"));
    Live::connect(&Target::socket("db1", socket, user, Secret::default())).unwrap()
}

/// A file as the server sends it.
fn fetched(server: &Server, name: &[u8]) -> Vec<u8> {
    let mut dump = Dump::begin(connect(server, "root"), name, false).unwrap();
    let mut bytes = Vec::new();
    let mut is_named = false;
    loop {
        let mut piece = Vec::new();
        match dump.next(&mut |it| piece.extend_from_slice(it)).unwrap() {
            Came::Event(_) => bytes.append(&mut piece),
            Came::File(told) if !is_named => {
                assert_eq!(told, name);
                is_named = true;
            }
            Came::File(_) | Came::End => return bytes,
            Came::Heartbeat => {}
        }
    }
}

/// The file itself, but for the flag that says that it is open.
fn on_disk(server: &Server, name: &[u8]) -> Vec<u8> {
    let name = std::str::from_utf8(name).unwrap();
    let mut bytes = fs::read(Path::new(server.told("binlog")).join(name)).unwrap();
    bytes[4 + 17] &= !1;
    bytes
}

fn write_of_all_kinds(server: &Server) {
    server.admin(
        "CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY AUTO_INCREMENT, b LONGBLOB) ENGINE=InnoDB;
         INSERT INTO shop.t (b) VALUES ('one'); UPDATE shop.t SET b = 'two'; FLUSH BINARY LOGS;
         SET GLOBAL binlog_checksum=NONE; INSERT INTO shop.t (b) VALUES ('without checksum');
         SET GLOBAL binlog_checksum=CRC32; INSERT INTO shop.t (b) VALUES (REPEAT('x', 40000000));
         XA START 'x'; INSERT INTO shop.t (b) VALUES ('xa'); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x';
         DELETE FROM shop.t WHERE id = 1;",
    );
}

#[test]
fn what_a_server_sends_is_its_file() {
    for kind in KINDS {
        let folder = folder();
        let server =
            Server::start(kind, &folder.path().join("db"), None, &["--max-allowed-packet=64M"]);
        write_of_all_kinds(&server);
        let logs = live::dump::logs(&mut connect(&server, "root")).unwrap();
        assert!(logs.len() > 2, "{kind}");
        for log in logs {
            let (came, file) = (fetched(&server, &log.name), on_disk(&server, &log.name));
            let first = came.iter().zip(&file).position(|(a, b)| a != b);
            let name = log.name.escape_ascii().to_string();
            assert_eq!((came.len(), first), (file.len(), None), "{kind}: {name}");
            assert_eq!(log.bytes, file.len() as u64, "{kind}: {name}");
        }
    }
}
