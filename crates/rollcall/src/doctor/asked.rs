//! What a running server says of itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use live::{LiveError, facts};
use verdict::account::{Missing, Snapshot};
use verdict::checkup::{Network, Offset, Server};

use super::SECOND;
use crate::reach::Place;
use crate::time::{Zone, moment};

/// A server's answers.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) snapshot: Snapshot,
    variables: BTreeMap<String, String>,
    status: BTreeMap<String, String>,
    plugins: Vec<String>,
    clock_ahead: i64,
    clock_error: i64,
    /// What its zone is ahead of UTC at some moments, in seconds.
    zone: Vec<(i64, i32)>,
    network: Option<Network>,
    option_file: Option<String>,
}

impl Asked {
    /// Asks.
    ///
    /// # Errors
    /// A message with the remedy.
    pub(crate) fn ask(place: &Place, name: Option<&str>, now: i64) -> Result<Asked, String> {
        let text = |error: LiveError| error.to_string();
        let mut server = place.connect(name)?;
        let asked = Timestamp::now().as_microsecond();
        let clock = facts::clock(&mut server).map_err(text)?;
        let way_and_back = Timestamp::now().as_microsecond() - asked;
        let variables = facts::variables(&mut server).map_err(text)?;
        let plugins = facts::plugins(&mut server).map_err(text)?;
        let active = plugins.into_iter().filter(|it| it.status == "ACTIVE");
        let moments = moments(now);
        let zone = facts::zone_offsets(&mut server, &moments).map_err(text)?;
        let zone = moments.into_iter().zip(zone).filter_map(|(at, it)| Some((at, it?)));
        let snapshot = match live::snapshot::snapshot(&mut server, now) {
            Ok(snapshot) => snapshot,
            Err(LiveError::Refused { what, error, remedy, .. }) => {
                let missing = Missing { what, error: error.into(), remedy };
                without_accounts(&server, &variables, missing, now)
            }
            Err(error) => return Err(text(error)),
        };
        let way = place.way(name)?;
        let network = Network {
            is_encrypted: server.is_encrypted(),
            is_verified: server.is_encrypted() && way.is_verified,
        };
        Ok(Asked {
            status: facts::status(&mut server, "%audit%").map_err(text)?,
            plugins: active.map(|it| it.name.to_ascii_uppercase()).collect(),
            // The question was there half way between, give or take the rest.
            clock_ahead: clock - (asked + way_and_back / 2),
            clock_error: way_and_back / 2,
            zone: zone.collect(),
            network: way.is_remote.then_some(network),
            option_file: place.defaults_file.as_ref().map(|it| it.display().to_string()),
            snapshot,
            variables,
        })
    }

    /// The same, as it is judged. `offsets` are those of [`Asked::offsets`].
    pub(crate) fn server<'a>(&'a self, zone: &'a Zone, offsets: &'a [Offset]) -> Server<'a> {
        Server {
            snapshot: &self.snapshot,
            variables: &self.variables,
            status: &self.status,
            plugins: &self.plugins,
            clock_ahead: self.clock_ahead,
            clock_error: self.clock_error,
            zone: &zone.name,
            offsets,
            network: self.network,
            option_file: self.option_file.as_deref(),
        }
    }

    /// Its own zone beside the one that its log is read in.
    pub(crate) fn offsets(&self, zone: &Zone) -> Vec<Offset> {
        let offset = |&(at, server): &(i64, i32)| Offset {
            at,
            server,
            read_in: zone.tz.to_offset(moment(at)).seconds(),
        };
        self.zone.iter().map(offset).collect()
    }

    /// Where it writes its audit log, if that is on this machine.
    pub(crate) fn own_log(&self) -> Option<std::path::PathBuf> {
        let path = self.status.get("server_audit_current_log").filter(|it| !it.is_empty())?;
        let folder = std::path::Path::new(self.variables.get("datadir")?);
        self.network.is_none().then(|| folder.join(path))
    }
}

/// Now, and the middle of winter and summer of this year: zones that agree on all three are alike.
fn moments(now: i64) -> Vec<i64> {
    let year = moment(now).to_zoned(jiff::tz::TimeZone::UTC).year();
    let noon = |month| {
        let date = Date::new(year, month, 15).ok()?.at(12, 0, 0, 0);
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second() * SECOND)
    };
    [Some(now), noon(1), noon(7)].into_iter().flatten().collect()
}

/// Of a server that shows no list of accounts.
fn without_accounts(
    server: &live::Server,
    variables: &BTreeMap<String, String>,
    missing: Missing,
    now: i64,
) -> Snapshot {
    let text = |name: &str| variables.get(name).cloned().unwrap_or_default();
    Snapshot {
        hostname: text("hostname").into_bytes(),
        server_uuid: text("server_uuid"),
        own: server.own().clone(),
        skip_name_resolve: text("skip_name_resolve") == "ON",
        read_only: text("read_only") != "OFF",
        has_init_connect: !text("init_connect").is_empty(),
        missing: vec![missing],
        ..Snapshot::new(server.version().clone(), now)
    }
}
