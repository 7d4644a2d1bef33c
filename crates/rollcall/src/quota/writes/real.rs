//! With the plugin in real servers: see `tests/servers`. Names that are made begin with `quow`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::*;

#[path = "../../../tests/servers/mod.rs"]
mod servers;

use servers::{Server, lossy};

const KINDS: [&str; 3] = ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"];

/// Puts the plugin into the server's folder; loads it.
fn install(server: &Server) {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/plugin");
    let built = Command::new(build).output().expect("packaging/plugin");
    assert!(built.status.success(), "{}", lossy(&built.stderr));
    // Under another name: a library that is in use must not be overwritten.
    let library = Path::new(server.told("plugin_dir")).join("audit_login_writes.so");
    let _ = fs::remove_file(&library);
    fs::copy(lossy(&built.stdout).trim(), &library).expect("the library");
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).expect("its mode");
    server.admin("INSTALL PLUGIN ROLLCALL_WRITES SONAME 'audit_login_writes.so'");
    server.admin("SET GLOBAL rollcall_writes_enabled = ON");
}

fn take_out(server: &Server) {
    let installed = "SELECT COUNT(*) FROM information_schema.PLUGINS \
        WHERE PLUGIN_NAME = 'ROLLCALL_WRITES'";
    if server.admin(installed) != "0\n" {
        server.admin("UNINSTALL PLUGIN ROLLCALL_WRITES");
    }
    server.admin("DROP DATABASE IF EXISTS quow_shop; DROP DATABASE IF EXISTS `quow_caf\u{e9} \"x`");
}

fn variables(server: &Server) -> BTreeMap<String, String> {
    let rows = server.admin("SHOW GLOBAL VARIABLES");
    let pairs = rows.lines().filter_map(|line| line.split_once('\t'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The databases that are due within two seconds of now.
fn due_within_two_seconds(writes: &mut Writes) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(2);
    let mut told = Vec::new();
    while Instant::now() < end {
        writes.look(Instant::now()).unwrap();
        let due = writes.take_due(Instant::now()).into_iter();
        told.extend(due.map(|it| it.map_or("*".into(), |it| String::from_utf8(it).unwrap())));
        std::thread::sleep(LOOK_EVERY);
    }
    told
}

#[test]
fn a_write_is_known_within_two_seconds() {
    for kind in KINDS {
        let server = Server::of(kind);
        let _turn = server.turn();
        take_out(&server);
        install(&server);
        let place = Place::of(&variables(&server)).expect("the plugin is on");
        let mut writes = Writes::open(&place).unwrap();
        writes.look(Instant::now()).unwrap();
        server.admin("CREATE DATABASE quow_shop; CREATE TABLE quow_shop.t (a INT) ENGINE=InnoDB");
        let told = due_within_two_seconds(&mut writes);
        // MySQL does not tell of which database a statement of definition is.
        let expected = if server.told("family") == "mysql" { "*" } else { "quow_shop" };
        assert!(told.iter().any(|it| it == expected), "{kind}: {told:?}");

        // A name that has to be escaped.
        server.admin(
            "CREATE DATABASE `quow_caf\u{e9} \"x`; CREATE TABLE `quow_caf\u{e9} \"x`.t (a INT)",
        );
        due_within_two_seconds(&mut writes);
        server.admin(
            "INSERT INTO quow_shop.t VALUES (1); INSERT INTO `quow_caf\u{e9} \"x`.t VALUES (1)",
        );
        let told = due_within_two_seconds(&mut writes);
        for name in ["quow_shop", "quow_caf\u{e9} \"x"] {
            assert!(told.iter().any(|it| it == name), "{kind}: {told:?}");
        }
        server.admin("SELECT * FROM quow_shop.t");
        assert_eq!(due_within_two_seconds(&mut writes), [""; 0], "{kind}");
        take_out(&server);
        assert_eq!(Place::of(&variables(&server)), None);
    }
}
