//! `audit_login.cnf` in the data directory, as the first audit_login reads it.
//!
//! ```text
//! enabled=1
//! skip_users=collectd,nagios
//! ```
//!
//! Read once, when the plugin is loaded. Spaces around keys and values do not count; `#` and `;`
//! begin comments, `[…]` is passed over. Other keys are said in the error log.

use crate::output::Fault;
use crate::say;
use crate::sys::{self, Mode};

/// The longest file that is read.
const BYTES_MAX: usize = 64 << 10;

/// What the file says; what it does not say is left to the variables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) enabled: Option<bool>,
    pub(crate) skip_users: Option<Vec<u8>>,
}

impl Configuration {
    /// Reads the file. Servers run in their data directory.
    pub(crate) fn read() -> Configuration {
        match bytes() {
            Ok(None) => Configuration::default(),
            Ok(Some(bytes)) => {
                let (configuration, unknown) = parse(&bytes);
                if let Some(line) = unknown {
                    say::always(format_args!(
                        "audit_login.cnf:{line}: only enabled=0 or 1 and skip_users=NAME,… are known"
                    ));
                }
                configuration
            }
            Err(fault) => {
                say::always(format_args!("audit_login.cnf is not used: {fault}"));
                Configuration::default()
            }
        }
    }
}

fn bytes() -> Result<Option<Vec<u8>>, Fault> {
    let path = c"audit_login.cnf";
    match sys::status(path) {
        Err(libc::ENOENT) => return Ok(None),
        Err(errno) => return Err(Fault::Refused("stat", errno)),
        Ok(status) if !status.is_regular => return Err(Fault::NotRegular),
        Ok(status) if status.size > BYTES_MAX as u64 => {
            return Err(Fault::Refused("read", libc::EFBIG));
        }
        Ok(_) => {}
    }
    let fd = sys::open(path, Mode::Read).map_err(|errno| Fault::Refused("open", errno))?;
    let mut bytes = vec![0; BYTES_MAX];
    let mut length = 0;
    loop {
        let count = sys::read_at(&fd, &mut bytes[length..], length as u64)
            .map_err(|errno| Fault::Refused("read", errno))?;
        length += count;
        if count == 0 {
            break;
        }
    }
    bytes.truncate(length);
    Ok(Some(bytes))
}

/// The settings, and the number of the first line that holds none.
fn parse(text: &[u8]) -> (Configuration, Option<usize>) {
    let mut configuration = Configuration::default();
    let mut unknown = None;
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if matches!(line.first(), None | Some(b'#' | b';' | b'[')) {
            continue;
        }
        let equals = line.iter().position(|&byte| byte == b'=').unwrap_or(line.len());
        let key = line[..equals].trim_ascii();
        let value = line.get(equals + 1..).unwrap_or_default().trim_ascii();
        match (key, value) {
            (b"enabled", b"1" | b"on" | b"ON") => configuration.enabled = Some(true),
            (b"enabled", b"0" | b"off" | b"OFF") => configuration.enabled = Some(false),
            (b"skip_users", names) if equals < line.len() => {
                configuration.skip_users = Some(names.to_vec());
            }
            _ => unknown = unknown.or(Some(index + 1)),
        }
    }
    (configuration, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let check = |text: &str, enabled: Option<bool>, names: Option<&str>, unknown| {
            let skip_users = names.map(|names| names.as_bytes().to_vec());
            assert_eq!(parse(text.as_bytes()), (Configuration { enabled, skip_users }, unknown));
        };
        check("enabled=1\nskip_users=collectd,nagios\n", Some(true), Some("collectd,nagios"), None);
        check(" enabled = 0 \r\n# a=b\n\n[mysqld]\n;", Some(false), None, None);
        check("skip_users=", None, Some(""), None);
        check("skip_users\nenabled=maybe", None, None, Some(1));
        check("enabled=1\ncolour=blue", Some(true), None, Some(2));
        check("", None, None, None);
    }
}
