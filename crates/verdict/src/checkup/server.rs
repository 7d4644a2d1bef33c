//! What else the server could tell of who is connected.

use super::{Finding, Level, Server};

pub(super) fn server(server: &Server<'_>) -> [Finding; 2] {
    [performance_schema(server), thread_pool(server)]
}

fn performance_schema(server: &Server<'_>) -> Finding {
    const ID: &str = "performance-schema";
    if server.is_on("performance_schema") {
        return Finding::well(ID, "performance_schema is ON");
    }
    const COST: &str =
        "which accounts connected since the start, and with which programs, is told by logs alone";
    Finding::new(ID, Level::Info, "performance_schema is OFF", COST)
        .mended_by("performance_schema = ON under [mysqld] in my.cnf, then a restart")
        .in_setting("performance_schema")
}

fn thread_pool(server: &Server<'_>) -> Finding {
    const ID: &str = "thread-pool";
    let handling = server.variable("thread_handling");
    let is_pool = matches!(handling, "pool-of-threads" | "loaded-dynamically")
        || server.has_plugin("THREAD_POOL");
    if !is_pool {
        return Finding::well(ID, "every session has a thread of its own");
    }
    const COST: &str =
        "the client process of a session on the unix socket cannot be found by its thread";
    Finding::new(ID, Level::Info, "sessions share a pool of threads", COST)
        .in_setting("thread_handling")
}
