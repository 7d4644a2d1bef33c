//! Logs that real servers write now, against what SELECT shows: `ROLLCALL_TEST_SERVERS` is a folder
//! with one file a server, as `tests/servers/start` prints it.

mod common;

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use common::replay::check;

/// Has the scenarios recorded by the same script as the fixtures.
#[test]
fn rows_of_every_type_are_what_select_shows() {
    let reach = env::var("ROLLCALL_TEST_SERVERS").expect("the folder that ./test sets");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = env::temp_dir().join(format!("rollcall-binlog-{}", std::process::id()));
    let mut servers = 0;
    for entry in fs::read_dir(&reach).expect("the folder that ./test sets") {
        let file = entry.expect("a file").path();
        let text = fs::read_to_string(&file).expect("how to reach a server");
        let Some(kind) = text.lines().find_map(|line| line.strip_prefix("kind=")) else { continue };
        let done = Command::new(root.join("tests/fixtures/record-binlog"))
            .arg("--server")
            .arg(&file)
            .arg("--out")
            .arg(&out)
            .args(["types", "minimal"])
            .output()
            .expect("the recorder runs");
        assert!(done.status.success(), "{kind}: {}", String::from_utf8_lossy(&done.stderr));
        for scenario in ["types", "minimal"] {
            let replay = check(&out, &format!("{kind}-{scenario}"));
            assert!(replay.changes > 10, "{kind}: {} changes", replay.changes);
        }
        servers += 1;
    }
    fs::remove_dir_all(&out).expect("the folder made here");
    assert!(servers > 0, "{reach} names no server");
}
