//! The servers that tests run against are what `tests/servers/start` promises.
//!
//! Needs the feature `real-server` and the servers themselves: see `servers`.

mod servers;

use servers::{Server, lossy};

const PASSWORD: &str = "right-2c81";

/// What holds for all of them.
fn check(kind: &str, is_version: fn(&str) -> bool) {
    let server = Server::of(kind);
    let _turn = server.turn();
    assert!(is_version(server.told("version")), "{}", server.told("version"));
    assert_eq!(server.told("family"), kind.split('-').next().expect("a family"));
    assert_eq!(server.told("hostname"), "db1");
    let settings = server.admin("SELECT @@log_bin, @@binlog_format, @@port, @@bind_address");
    assert_eq!(settings, format!("1\tROW\t{}\t127.0.0.1\n", server.told("port")));

    // Over TCP root is nobody, and the certificate is the one to expect from this address.
    server.admin("DROP USER IF EXISTS e2e_tls@`%`");
    server.admin(&format!("CREATE USER e2e_tls@`%` IDENTIFIED BY '{PASSWORD}' REQUIRE SSL"));
    let verify = match server.told("family") {
        "mysql" => "--ssl-mode=VERIFY_IDENTITY",
        _ => "--ssl-verify-server-cert",
    };
    for host in ["127.0.0.1", "localhost"] {
        let login = |user: &str, password: &[String]| {
            server
                .client()
                .args(["--protocol=tcp", "-h", host, "-P", server.told("port")])
                .args([&format!("--ssl-ca={}", server.told("ca")), verify, "-u", user])
                .args(password)
                .args(["-BN", "-e", "SHOW STATUS LIKE 'Ssl_version'"])
                .output()
                .expect("the client")
        };
        let output = login("e2e_tls", &[format!("-p{PASSWORD}")]);
        assert!(output.status.success(), "{host}: {}", lossy(&output.stderr));
        let version = lossy(&output.stdout);
        assert!(version.starts_with("Ssl_version\tTLSv1."), "{host}: {version}");
        assert!(!login("root", &[]).status.success(), "root over TCP");
    }
}

#[test]
fn mariadb_10_11() {
    check("mariadb-10.11", |version| version.starts_with("10.11."));
}

#[test]
fn mariadb_11_8() {
    check("mariadb-11.8", |version| version.starts_with("11.8."));
}

/// Debian's unstable release may have a newer one.
#[test]
fn mysql_9_7() {
    check("mysql-9.7", |version| {
        version.split('.').next().and_then(|it| it.parse().ok()).is_some_and(|it: u32| it >= 9)
    });
}
