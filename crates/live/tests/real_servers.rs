//! What is read from real servers, and sent to them, is what they really hold.

use std::collections::HashMap;
use std::path::Path;

use live::target::Secret;
use live::{Server, Target, snapshot};

struct Bench {
    name: &'static str,
    reach: HashMap<String, String>,
}

fn benches() -> Vec<Bench> {
    let folder = std::env::var_os("ROLLCALL_TEST_SERVERS")
        .expect("ROLLCALL_TEST_SERVERS is not set: ./test starts the servers and sets it");
    ["mariadb-10.11", "mariadb-11.8", "mysql-9.7"]
        .into_iter()
        .filter_map(|name| {
            let text = std::fs::read_to_string(Path::new(&folder).join(name)).ok()?;
            let reach = text
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            Some(Bench { name, reach })
        })
        .collect()
}

#[test]
fn a_snapshot_of_each() {
    for bench in benches() {
        let target = Target::socket(bench.name, &bench.reach["socket"], "root", Secret::default());
        let mut server = Server::connect(&target).unwrap();
        let all = snapshot::snapshot(&mut server, 7).unwrap();
        println!("{all:#?}");
    }
}
