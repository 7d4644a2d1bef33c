//! `setup`: what a server is to be told, for a server that is described, or that is asked.

use std::io;
use std::path::Path;

use anyhow::anyhow;

use super::put;
use crate::cli::{
    Global, ServerArgs, Setup, SetupArgs, SetupAudit, SetupInitConnect, SetupLockProcedure,
    SetupMonitor, SetupPlugin,
};
use crate::config::Config;
use crate::exit::Exit;
use crate::out::Out;
use crate::reach::Place;
use crate::render::{Answer, Format};
use crate::setup::{
    self, AccessLog, AuditOptions, LockNames, MonitorOptions, PluginOptions, ServerFacts, Sought,
};

/// Makes a script and puts it out. Nothing is sent.
pub(super) fn setup(args: &SetupArgs, global: &Global, out: Out) -> anyhow::Result<Exit> {
    let (Setup::Audit(SetupAudit { server, .. })
    | Setup::Plugin(SetupPlugin { server, .. })
    | Setup::InitConnect(SetupInitConnect { server, .. })
    | Setup::Monitor(SetupMonitor { server, .. })
    | Setup::LockProcedure(SetupLockProcedure { server, .. })) = &args.what;
    let server = match asked(server, global)? {
        Some((place, name)) => setup::ask(&place, name, sought(&args.what)),
        None => {
            let variables = server.variables.as_deref().map(read_text).transpose()?;
            ServerFacts::told(
                server.family.map(Into::into),
                server.server_version.as_deref(),
                variables.as_deref(),
            )
        }
    }
    .map_err(anyhow::Error::msg)?;
    let script = match &args.what {
        Setup::Audit(args) => {
            let options = AuditOptions { trace: args.trace, bytes_per_day: args.bytes_per_day };
            let script = setup::audit(&server, options);
            if args.option_file {
                let mut answer = Answer::default();
                answer.page.verbatim(&script.option_text());
                put(out, &answer, Format::Table)?;
                return Ok(Exit::Done);
            }
            Ok(script)
        }
        Setup::Plugin(args) => {
            let SetupPlugin { library, writes, remove, .. } = args.clone();
            setup::plugin(&server, &PluginOptions { library, writes, remove })
        }
        Setup::InitConnect(args) => {
            let log = AccessLog {
                schema: args.schema.clone(),
                owner: args.owner.clone(),
                keep_days: args.keep_days,
                lenient: args.lenient,
                from_how_to: args.from_how_to,
                accounts: args.accounts.clone(),
            };
            setup::init_connect(&server, &log)
        }
        Setup::Monitor(args) => {
            let account = args.account.clone();
            setup::monitor(&server, &MonitorOptions { account, password: args.password })
        }
        Setup::LockProcedure(args) => {
            let names = LockNames {
                schema: args.schema.clone(),
                definer: args.definer.clone(),
                agent: args.account.clone(),
                cool_down_days: args.cool_down_days,
            };
            setup::lock_procedure(&server, &names)
        }
    };
    put(out, &script.map_err(anyhow::Error::msg)?.answer(), global.output)?;
    Ok(Exit::Done)
}

/// How the server is reached that is to be asked, and its name; `None` where it is described instead.
fn asked<'a>(
    args: &ServerArgs,
    global: &'a Global,
) -> anyhow::Result<Option<(Place, Option<&'a str>)>> {
    let name = global.server.as_deref();
    if args.family.is_some() || args.server_version.is_some() || args.variables.is_some() {
        return Ok(None);
    }
    if let Some(file) = &args.defaults_file {
        return Ok(Some((Place::of(Some(file.clone())), name)));
    }
    let Some(name) = name else { return Ok(None) };
    let config = Config::load(global.config.as_deref(), super::credentials().as_deref());
    let config = config.map_err(anyhow::Error::msg)?;
    let Some(server) = config.servers.iter().find(|it| it.name.as_deref() == Some(name)) else {
        return Err(anyhow!("no server is configured as {name:?}: give --defaults-file"));
    };
    if server.defaults_file.is_none() {
        return Err(anyhow!(
            "{name} has no defaults_file in the configuration: give --defaults-file"
        ));
    }
    Ok(Some((Place::of(server.defaults_file.clone()), Some(name))))
}

/// What a script wants to know of a server.
fn sought(what: &Setup) -> Sought<'_> {
    let none = Sought::default();
    match what {
        Setup::Audit(_) | Setup::Plugin(_) => none,
        Setup::InitConnect(args) => Sought { access_log: Some(&args.schema), ..none },
        Setup::Monitor(args) => Sought { account: Some(&args.account), ..none },
        Setup::LockProcedure(args) => {
            Sought { procedures: Some(&args.schema), account: Some(&args.account), ..none }
        }
    }
}

/// The text of a file, or of standard input for `-`.
fn read_text(path: &Path) -> anyhow::Result<String> {
    let text = match path.as_os_str() == "-" {
        true => io::read_to_string(io::stdin()),
        false => std::fs::read_to_string(path),
    };
    text.map_err(|error| anyhow!("{} cannot be read: {error}", path.display()))
}
