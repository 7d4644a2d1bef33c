//! What a running server says of itself, for the scripts. It is read, and nothing is sent.

use std::path::Path;

use live::{LiveError, facts};
use verdict::account::AccountName;

use super::server::{Guards, Present, ServerFacts};
use crate::reach::Place;

/// What a script wants to know beside version, variables and plugins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sought<'a> {
    /// The schema of the access log table.
    pub(crate) access_log: Option<&'a str>,
    /// The schema of the procedures.
    pub(crate) procedures: Option<&'a str>,
    /// rollcall's own account.
    pub(crate) account: Option<&'a AccountName>,
}

/// Asks.
///
/// # Errors
/// A message with the remedy.
pub(crate) fn ask(
    place: &Place,
    name: Option<&str>,
    sought: Sought<'_>,
) -> Result<ServerFacts, String> {
    let text = |error: LiveError| error.to_string();
    let mut server = place.connect(name)?;
    let mut present = Present {
        plugins: facts::plugins(&mut server).map_err(text)?,
        guards: (!place.way(name)?.is_remote).then(guards),
        ..Present::default()
    };
    if let Some(schema) = sought.access_log {
        present.columns = facts::columns(&mut server, schema, "accesslog").map_err(text)?;
    }
    if let Some(schema) = sought.procedures {
        present.routines = facts::routines(&mut server, schema).map_err(text)?;
    }
    if let Some(account) = sought.account {
        present.rights = facts::rights(&mut server, account).map_err(text)?;
    }
    Ok(ServerFacts {
        version: server.version().clone(),
        is_assumed: false,
        variables: Some(facts::variables(&mut server).map_err(text)?),
        present: Some(present),
    })
}

/// What rules this machine.
fn guards() -> Guards {
    let says = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    Guards {
        selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        apparmor: says("/sys/module/apparmor/parameters/enabled").starts_with('Y'),
    }
}
