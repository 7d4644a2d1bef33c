//! From flags and configuration to what is to be read: plain values, nothing opened yet.

use std::path::{Path, PathBuf};

use live::access_log::TableName;

use crate::cli::{Global, ReadArgs};
use crate::config::{Config, Conntracker, Limits};
use crate::time::Zone;

/// What a scan is to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadJob {
    pub(crate) inputs: Vec<Input>,
    /// Tables that logins write into.
    pub(crate) tables: Vec<AccessInput>,
    /// They are those of the configuration: what goes wrong with them is remembered.
    pub(crate) is_configured: bool,
    /// Read as this dialect; `None`: each file's is recognised.
    pub(crate) dialect: Option<String>,
    /// `None`: one per processor, at most four.
    pub(crate) threads: Option<usize>,
    pub(crate) limits: Limits,
    /// conntracker's settings, where they are the configuration.
    pub(crate) conntracker: Option<Conntracker>,
}

/// A table to read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AccessInput {
    /// The server that it is of.
    pub(crate) server: String,
    /// How that is reached.
    pub(crate) defaults_file: PathBuf,
    pub(crate) table: TableName,
}

/// One thing to read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Input {
    /// A file, folder, glob, or `-`.
    pub(crate) path: PathBuf,
    /// The server the log is from; `None`: the one each record names.
    pub(crate) server: Option<String>,
    /// The zone of the times in the log.
    pub(crate) zone: Zone,
    pub(crate) zone_origin: ZoneOrigin,
}

/// Who said which zone log times are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ZoneOrigin {
    Flag,
    Configuration,
    Machine,
}

impl ZoneOrigin {
    /// For people, behind the zone's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ZoneOrigin::Flag => "from --time-zone",
            ZoneOrigin::Configuration => "configured",
            ZoneOrigin::Machine => "this machine's zone",
        }
    }
}

impl ReadJob {
    /// Resolves flags and configuration; without `paths` the configured logs. `machine` is the zone
    /// of this machine.
    ///
    /// # Errors
    /// A message with the remedy: an unknown zone, group or server, or nothing to read.
    pub(crate) fn resolve(
        paths: &[PathBuf],
        args: &ReadArgs,
        global: &Global,
        config: &Config,
        machine: &Zone,
    ) -> Result<ReadJob, String> {
        let flag = args.time_zone.as_deref().map(Zone::parse).transpose();
        let flag = flag.map_err(|error| format!("--time-zone: {error}"))?;
        let zone_for = |own: Option<&Zone>| match (&flag, own.or(config.time_zone.as_ref())) {
            (Some(zone), _) => (zone.clone(), ZoneOrigin::Flag),
            (None, Some(zone)) => (zone.clone(), ZoneOrigin::Configuration),
            (None, None) => (machine.clone(), ZoneOrigin::Machine),
        };
        let (inputs, tables) = if paths.is_empty() {
            configured(global, config, &zone_for)?
        } else {
            if global.group.is_some() {
                return Err("--group chooses configured servers: leave PATH out, or name one \
                            server with --server"
                    .to_owned());
            }
            let named = global.server.as_deref();
            let server =
                config.servers.iter().find(|it| named.is_some() && it.name.as_deref() == named);
            let (zone, zone_origin) = zone_for(server.and_then(|it| it.time_zone.as_ref()));
            let input = |path: &PathBuf| Input {
                path: path.clone(),
                server: global.server.clone(),
                zone: zone.clone(),
                zone_origin,
            };
            (paths.iter().map(input).collect(), Vec::new())
        };
        Ok(ReadJob {
            inputs,
            tables,
            is_configured: paths.is_empty(),
            dialect: args.dialect.clone(),
            threads: args
                .threads
                .map(usize::from)
                .or_else(|| config.conntracker.as_ref().and_then(|it| it.workers)),
            limits: config.limits.clone(),
            conntracker: config.conntracker.clone(),
        })
    }

    /// The zone of log times and who said so, for people.
    pub(crate) fn zone_text(&self) -> String {
        let mut texts = Vec::new();
        for input in &self.inputs {
            let text = format!("{}, {}", input.zone.name, input.zone_origin.as_str());
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        if !self.tables.is_empty() {
            texts.push("UTC, of tables".to_owned());
        }
        texts.join("; ")
    }
}

fn configured(
    global: &Global,
    config: &Config,
    zone_for: &dyn Fn(Option<&Zone>) -> (Zone, ZoneOrigin),
) -> Result<(Vec<Input>, Vec<AccessInput>), String> {
    let chosen = config.chosen(global.server.as_deref(), global.group.as_deref())?;
    let servers = config.servers.iter().filter(|server| {
        let named = |name: &String| chosen.contains(name);
        chosen.is_empty() || server.name.as_ref().is_some_and(named)
    });
    let (mut inputs, mut tables) = (Vec::new(), Vec::new());
    let mut any = false;
    for server in servers {
        any = true;
        let (zone, zone_origin) = zone_for(server.time_zone.as_ref());
        inputs.extend(server.audit_logs.iter().map(|path| Input {
            path: PathBuf::from(path),
            server: server.name.clone(),
            zone: zone.clone(),
            zone_origin,
        }));
        let reached = server.name.clone().zip(server.defaults_file.clone());
        let table = server.access_log.clone().zip(reached);
        tables.extend(table.map(|(table, (server, defaults_file))| AccessInput {
            server,
            defaults_file,
            table,
        }));
    }
    if !inputs.is_empty() || !tables.is_empty() {
        return Ok((inputs, tables));
    }
    let place = config.path.as_deref().unwrap_or(Path::new("/etc/rollcall/rollcall.toml"));
    let place = place.display();
    if config.conntracker.is_some() && !any {
        return Err(format!("{place}: AuditLogPath is not set: add it, or give PATH"));
    }
    Err(match (&config.path, any) {
        (Some(_), true) => format!("{place}: no audit_logs are configured: add them, or give PATH"),
        (Some(_), false) => match &global.server {
            Some(server) => {
                format!("{place}: no [[server]] is named {server:?}: add it, or give PATH")
            }
            None => format!("{place}: no [[server]] is configured: add one, or give PATH"),
        },
        (None, _) => {
            format!("nothing to read: give PATH, or configure servers in {place} (rollcall init)")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser as _;

    const CONFIG: &str = "time_zone = 'Asia/Tokyo'\n\
        [[server]]\nname='db1'\ngroup='shop'\naudit_logs=['/a','/b*']\ntime_zone='Europe/Zurich'\n\
        [[server]]\nname='db2'\ngroup='shop'\naudit_logs=['/c']\n\
        [[server]]\nname='db3'\n";

    fn resolve(line: &str, config: &str) -> Result<ReadJob, String> {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Scan(scan) = &cli.command else { panic!("scan") };
        let config = Config::parse(config).unwrap();
        ReadJob::resolve(&scan.paths, &scan.read, &cli.global, &config, &Zone::utc())
    }

    fn inputs(line: &str, config: &str) -> Vec<String> {
        let text = |it: &Input| {
            let server = it.server.as_deref().unwrap_or("-");
            let origin = it.zone_origin.as_str();
            format!("{} {server} {} {origin}", it.path.display(), it.zone.name)
        };
        resolve(line, config).unwrap().inputs.iter().map(text).collect()
    }

    #[test]
    fn configured_sources_have_their_server_and_zone() {
        assert_eq!(
            inputs("rollcall scan", CONFIG),
            [
                "/a db1 Europe/Zurich configured",
                "/b* db1 Europe/Zurich configured",
                "/c db2 Asia/Tokyo configured"
            ]
        );
        let one = inputs("rollcall scan --server db2 --time-zone UTC", CONFIG);
        assert_eq!(one, ["/c db2 UTC from --time-zone"]);
        assert_eq!(inputs("rollcall scan --group shop", CONFIG).len(), 3);
    }

    #[test]
    fn tables_are_read_where_no_path_is_given() {
        let config = format!("{CONFIG}defaults_file='/db3.cnf'\naccess_log='accesslog.logins'\n");
        let job = resolve("rollcall scan", &config).unwrap();
        assert_eq!(job.inputs.len(), 3);
        let text = |it: &AccessInput| format!("{} {}", it.server, it.table);
        assert_eq!(job.tables.iter().map(text).collect::<Vec<_>>(), ["db3 accesslog.logins"]);
        let alone = resolve("rollcall scan --server db3", &config).unwrap();
        assert_eq!((alone.inputs.len(), alone.tables.len()), (0, 1));
        assert_eq!(alone.zone_text(), "UTC, of tables");
        assert!(resolve("rollcall scan --server db1", &config).unwrap().tables.is_empty());
        assert!(resolve("rollcall scan /x --server db3", &config).unwrap().tables.is_empty());
    }

    #[test]
    fn paths_go_before_the_configuration() {
        assert_eq!(inputs("rollcall scan /x", ""), ["/x - UTC this machine's zone"]);
        assert_eq!(inputs("rollcall scan /x", CONFIG), ["/x - Asia/Tokyo configured"]);
        let named = inputs("rollcall scan /x - --server db1", CONFIG);
        assert_eq!(named, ["/x db1 Europe/Zurich configured", "- db1 Europe/Zurich configured"]);
    }

    #[test]
    fn conntrackers_file_is_enough() {
        let ini = "[default]\nAuditLogPath=/var/lib/mysql\nTimeLocation=Asia/Tokyo\nMaxWorkers=3\n";
        assert_eq!(inputs("rollcall scan", ini), ["/var/lib/mysql - Asia/Tokyo configured"]);
        assert_eq!(resolve("rollcall scan", ini).unwrap().threads, Some(3));
        assert_eq!(resolve("rollcall scan --threads 5", ini).unwrap().threads, Some(5));
    }

    #[test]
    fn zones_are_named_with_their_origin() {
        let text = resolve("rollcall scan", CONFIG).unwrap().zone_text();
        assert_eq!(text, "Europe/Zurich, configured; Asia/Tokyo, configured");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for (line, config, words) in [
            ("rollcall scan", "", "nothing to read: give PATH"),
            ("rollcall scan --time-zone Nowhere /x", "", "--time-zone: no time zone"),
            ("rollcall scan --group shed", CONFIG, "no server of group"),
            ("rollcall scan --group shop /x", CONFIG, "--group chooses configured servers"),
        ] {
            let error = resolve(line, config).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let mut config = Config::parse(CONFIG).unwrap();
        config.path = Some("/c.toml".into());
        for (line, words) in [
            ("rollcall scan --server db3", "/c.toml: no audit_logs are configured"),
            ("rollcall scan --server db9", "/c.toml: no [[server]] is named \"db9\""),
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::Scan(scan) = &cli.command else { panic!("scan") };
            let error =
                ReadJob::resolve(&scan.paths, &scan.read, &cli.global, &config, &Zone::utc());
            assert!(error.unwrap_err().contains(words));
        }
    }
}
