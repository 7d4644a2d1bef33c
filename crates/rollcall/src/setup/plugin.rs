//! `rollcall setup plugin`: the login plugin, installed or taken out again.
//!
//! One library holds both plugins: `SIMPLE_LOGIN_AUDIT`, whose lines rollcall reads, and, where it is wanted,
//! `ROLLCALL_WRITES`. Whatever the library is told, it is loaded by the server's own INSTALL, which lasts over
//! restarts.
//!
//! # Facts (seen on MariaDB 10.11, 11.8 and MySQL 9.7)
//! * A library that is overwritten in place while a server has it mapped ends that server: it is copied beside
//!   its place and renamed.
//! * After UNINSTALL sessions that are in a plugin keep it (status `DELETED`) until their next statement or
//!   their end; until then INSTALL fails with 1125 or 1968.
//! * With `FORCE` in `plugin_load_add` a server does not start where the file is missing.
//! * MySQL has no `IF NOT EXISTS` for plugins, but prepares INSTALL and UNINSTALL.

use verdict::account::Family;

use super::script::Script;
use super::server::{Present, ServerFacts, literal};

/// The library's name in `plugin_dir`.
const LIBRARY: &str = "audit_login.so";

/// The plugin that writes a line for each login.
const LOGINS: &str = "SIMPLE_LOGIN_AUDIT";

/// The plugin that notes which databases are written to.
const WRITES: &str = "ROLLCALL_WRITES";

/// What is wanted of the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginOptions {
    /// Where the library is that is to be copied.
    pub(crate) library: String,
    /// `ROLLCALL_WRITES` as well.
    pub(crate) writes: bool,
    /// Both are taken out again.
    pub(crate) remove: bool,
}

/// What to do in a shell, what to send, and what to write into option files.
///
/// # Errors
/// A message where the server is too old.
pub(crate) fn plugin(server: &ServerFacts, options: &PluginOptions) -> Result<Script, String> {
    server.require((10, 5), (8, 0), "the statements that install it are there")?;
    let mut script = Script::default();
    let what = match options.remove {
        true => "The login plugin audit_login.so taken out",
        false => "The login plugin audit_login.so",
    };
    script.note(server.heading(what));
    match options.remove {
        true => remove(&mut script, server),
        false => install(&mut script, server, options),
    }
    Ok(script)
}

/// In which state a plugin is on a server that was asked.
enum State {
    Unknown,
    Absent,
    Active,
    /// Another word of `information_schema.PLUGINS`.
    Other(String),
}

fn state(server: &ServerFacts, name: &str) -> State {
    match server.present.as_ref().map(|it| it.plugin(name)) {
        None => State::Unknown,
        Some(None) => State::Absent,
        Some(Some(it)) if it.status == "ACTIVE" => State::Active,
        Some(Some(it)) => State::Other(it.status.clone()),
    }
}

fn install(script: &mut Script, server: &ServerFacts, options: &PluginOptions) {
    let wanted: &[&str] = if options.writes { &[LOGINS, WRITES] } else { &[LOGINS] };
    let present = server.present.as_ref();
    let is_loaded = present.is_some_and(has_library);
    let lacking: Vec<&str> =
        wanted.iter().copied().filter(|name| !said(script, server, name)).collect();
    if is_loaded {
        script.note(
            "The library is loaded: it is not copied again, and must never be overwritten in place, as \
             that ends the server. A newer one: rollcall setup plugin --remove, then this again.",
        );
    } else {
        copy(script, server, &options.library);
    }
    if server.is_on("read_only") || server.is_on("super_read_only") {
        script.note(
            "This server is read-only: INSTALL writes into mysql.plugin, which is refused without \
             READ_ONLY ADMIN (MariaDB) and under super_read_only (MySQL). There take plugin_load_add.",
        );
    }
    for name in &lacking {
        installed(script, server.version.family, name);
    }
    if options.writes && !server.is_on("rollcall_writes_enabled") {
        script.sql(
            "It notes nothing before it is switched on.",
            "SET GLOBAL rollcall_writes_enabled = ON",
        );
    }
    check(script, "Whether they are there: each must be ACTIVE.");
    if !lacking.is_empty() {
        option_files(script, server, options);
    }
    log(script, server, !lacking.is_empty());
    if !options.writes {
        script.note(format!(
            "{WRITES}, in the same library, notes which databases are written to: --writes installs it."
        ));
    }
    script.note("To remove both: UNINSTALL first, then the file (rollcall setup plugin --remove).");
}

/// Whether another plugin of ours holds the library.
fn has_library(present: &Present) -> bool {
    [LOGINS, WRITES].iter().any(|name| present.plugin(name).is_some())
}

/// Says what is known of a plugin; whether it is there already.
fn said(script: &mut Script, server: &ServerFacts, name: &str) -> bool {
    // The first audit_login has the same names, and not this variable.
    let is_first = name == LOGINS && server.variable("simple_login_audit_reopen") == Some(None);
    match state(server, name) {
        State::Active if is_first => script.note(format!(
            "{name} is installed already, and is the first audit_login: a port scan can end the server, and \
             names can forge its lines. Replace it: rollcall setup plugin --remove, then this again."
        )),
        State::Active => script.note(format!("{name} is installed already, and ACTIVE.")),
        State::Other(status) => script.note(format!(
            "{name} is {status}. DELETED: sessions that are in it keep it until their next statement or \
             their end; until then INSTALL fails (1125, 1968). End them, or try again later."
        )),
        State::Unknown | State::Absent => return false,
    }
    matches!(state(server, name), State::Active)
}

/// `plugin_dir` for a shell: the path, or how to ask for it.
fn plugin_dir(server: &ServerFacts) -> String {
    let client = match server.version.family {
        Family::MariaDb => "mariadb",
        Family::MySql => "mysql",
    };
    match server.variable("plugin_dir") {
        Some(Some(path)) => format!("plugin_dir={}", shell_word(path.trim_end_matches('/'))),
        _ => format!("plugin_dir=$({client} -BNe 'SELECT @@GLOBAL.plugin_dir')"),
    }
}

fn copy(script: &mut Script, server: &ServerFacts, library: &str) {
    let guards = server.present.as_ref().and_then(|it| it.guards);
    let mut lines = vec![
        plugin_dir(server),
        format!(
            "install -o root -g root -m 0755 {} \"$plugin_dir/{LIBRARY}.new\"",
            shell_word(library)
        ),
        format!("mv -T \"$plugin_dir/{LIBRARY}.new\" \"$plugin_dir/{LIBRARY}\""),
    ];
    match guards.map(|it| it.selinux) {
        Some(true) => lines.push(format!("restorecon -v \"$plugin_dir/{LIBRARY}\"")),
        Some(false) => {}
        None => lines.push(format!(
            "if command -v restorecon >/dev/null; then restorecon -v \"$plugin_dir/{LIBRARY}\"; fi"
        )),
    }
    script.shell(
        "Copied beside its place and renamed: a library that a server has loaded must never be overwritten \
         in place, as that ends the server. packaging/plugin builds it, on this release of the system or an \
         older one.",
        lines,
    );
    if guards.is_none_or(|it| it.apparmor) {
        let known = server.variable("plugin_dir").flatten();
        let folder = known.map_or("PLUGIN_DIR", |it| it.trim_end_matches('/'));
        script.note(format!(
            "Where AppArmor rules the server (aa-status lists it), its profile allows the usual plugin_dir and \
             data directory. For others add to /etc/apparmor.d/local/usr.sbin.mysqld: {folder}/{LIBRARY} mr, \
             and for a log elsewhere its path with * behind it, rw, each with a comma at its end; then \
             apparmor_parser -r /etc/apparmor.d/usr.sbin.mysqld."
        ));
    }
}

fn installed(script: &mut Script, family: Family, name: &str) {
    let why = match name {
        LOGINS => {
            "Writes a line for each login, refusal, logout and change of user, from now on and after \
            restarts."
        }
        _ => "Notes which databases are written to.",
    };
    match family {
        Family::MariaDb => {
            script.sql(why, format!("INSTALL PLUGIN IF NOT EXISTS {name} SONAME '{LIBRARY}'"))
        }
        Family::MySql => {
            unless(script, why, name, false, &format!("INSTALL PLUGIN {name} SONAME '{LIBRARY}'"))
        }
    }
}

/// MySQL: a statement that is sent only where a plugin is there, or is not.
fn unless(script: &mut Script, why: &str, name: &str, is_there: bool, sql: &str) {
    let (sql, nothing) = (literal(sql.as_bytes()), "'DO 0'");
    let (yes, no) = if is_there { (&sql[..], nothing) } else { (nothing, &sql[..]) };
    script.sql(
        why,
        format!(
            "SET @rollcall_plugin = IF(EXISTS (SELECT 1 FROM information_schema.PLUGINS\n  \
             WHERE PLUGIN_NAME = '{name}'), {yes}, {no})"
        ),
    );
    script.sql("The same.", "PREPARE rollcall_plugin FROM @rollcall_plugin");
    script.sql("The same.", "EXECUTE rollcall_plugin");
    script.sql("The same.", "DEALLOCATE PREPARE rollcall_plugin");
}

fn check(script: &mut Script, why: &str) {
    script.sql(
        why,
        format!(
            "SELECT PLUGIN_NAME, PLUGIN_STATUS, PLUGIN_LIBRARY FROM information_schema.PLUGINS\n  \
             WHERE PLUGIN_NAME IN ('{LOGINS}', '{WRITES}')"
        ),
    );
}

fn option_files(script: &mut Script, server: &ServerFacts, options: &PluginOptions) {
    let path = match server.version.family {
        Family::MariaDb => "/etc/mysql/mariadb.conf.d/99-rollcall.cnf (or /etc/my.cnf.d/)",
        Family::MySql => "/etc/mysql/mysql.conf.d/99-rollcall.cnf (or /etc/my.cnf.d/)",
    };
    let mut lines = vec!["[mysqld]".to_owned()];
    lines.push(format!("plugin_load_add = {LOGINS}={LIBRARY}"));
    if options.writes {
        lines.push(format!("plugin_load_add = {WRITES}={LIBRARY}"));
    }
    script.options(
        "In place of INSTALL, for whoever would rather have it in the configuration. Deliberately without \
         FORCE: with it a server whose library is missing would not start.",
        path,
        lines,
    );
    if options.writes {
        let lines = ["[mysqld]", "loose_rollcall_writes_enabled = ON"].map(str::to_owned);
        script.options("So that it stays on.", path, lines.to_vec());
    }
}

/// Where the log is, whose it is, and how it is rotated.
fn log(script: &mut Script, server: &ServerFacts, is_new: bool) {
    let told = server.variable("simple_login_audit_file").flatten().filter(|it| !it.is_empty());
    let file = told.unwrap_or("audit_login.log");
    let folder = server.variable("datadir").flatten().unwrap_or("/var/lib/mysql/");
    let path = match file.starts_with('/') {
        true => file.to_owned(),
        false => format!("{}/{file}", folder.trim_end_matches('/')),
    };
    let or_there = match server.variable("datadir") {
        Some(Some(_)) => "",
        _ => " (datadir: SELECT @@datadir)",
    };
    script.note(format!(
        "The log is {path}{or_there}. The server's system user owns it, mode 0640, in a folder that is closed \
         to others: rollcall reads it as root, or as a member of that group. In rollcall.toml: audit_logs = \
         [\"{path}\"]; then rollcall scan, or rollcall watch."
    ));
    let size = server.variable("simple_login_audit_rotate_size").flatten();
    if let Some(size) = size.filter(|it| *it != "0") {
        script.note(format!("The plugin rotates it itself, at {size} bytes: no logrotate for it."));
        return;
    }
    if !is_new {
        return;
    }
    let client = match server.version.family {
        Family::MariaDb => "mariadb",
        Family::MySql => "mysql",
    };
    let reopen = format!("{client} -e 'SET GLOBAL simple_login_audit_reopen = ON'");
    let lines = [
        &format!("{path} {{")[..],
        "    weekly",
        "    rotate 52",
        "    compress",
        "    delaycompress",
        "    missingok",
        "    postrotate",
        &format!("        {reopen}"),
        "    endscript",
        "}",
    ]
    .map(str::to_owned);
    script.options(
        "So that it does not grow for ever; simple_login_audit_rotate_size does it without logrotate. It must \
         not be compressed at once: lines go to the renamed file until it is opened anew.",
        "/etc/logrotate.d/rollcall-audit-login",
        lines.to_vec(),
    );
}

fn remove(script: &mut Script, server: &ServerFacts) {
    let family = server.version.family;
    for name in [LOGINS, WRITES] {
        if matches!(state(server, name), State::Absent) {
            script.note(format!("{name} is not installed."));
            continue;
        }
        let why = "First the plugin, then the file. Sessions that are in it keep it until their next \
            statement or their end (warning 1620).";
        match family {
            Family::MariaDb => script.sql(why, format!("UNINSTALL PLUGIN IF EXISTS {name}")),
            Family::MySql => unless(script, why, name, true, &format!("UNINSTALL PLUGIN {name}")),
        }
    }
    check(
        script,
        "Whether they are gone: no row may be left. DELETED: a session is in it still; what was loaded by \
         plugin_load_add comes back with the next start.",
    );
    script.note(
        "Take the lines with plugin_load_add out of the option files, and \
         /etc/logrotate.d/rollcall-audit-login.",
    );
    script.shell(
        "Only when no row is left.",
        vec![plugin_dir(server), format!("rm -f -- \"$plugin_dir/{LIBRARY}\"")],
    );
    script.note(
        "The log, audit_login.cnf and rollcall_writes.json stay in the data directory: delete them when the \
         log is read.",
    );
}

/// A word as a shell reads it.
fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::super::script::Part;
    use super::super::server::Guards;
    use super::super::server::tests::server;
    use super::*;
    use live::facts::Plugin;

    fn options(writes: bool, remove: bool) -> PluginOptions {
        PluginOptions { library: "it's/audit_login.so".to_owned(), writes, remove }
    }

    fn asked(states: &[(&str, &str)]) -> ServerFacts {
        let plugin = |(name, status): &(&str, &str)| Plugin {
            name: (*name).to_owned(),
            version: "1.0".to_owned(),
            status: (*status).to_owned(),
            kind: "AUDIT".to_owned(),
            library: LIBRARY.to_owned(),
        };
        let text = "version\t10.11.6-MariaDB\nplugin_dir\t/opt/plug ins/\ndatadir\t/data/\n\
            simple_login_audit_reopen\tOFF\n";
        let told = ServerFacts::told(None, None, Some(text)).unwrap();
        let plugins = states.iter().map(plugin).collect();
        let guards = Some(Guards { selinux: true, apparmor: false });
        ServerFacts { present: Some(Present { plugins, guards, ..Present::default() }), ..told }
    }

    fn sql(script: &Script) -> Vec<&str> {
        let sql = script.parts.iter().filter_map(|part| match part {
            Part::Sql(statement) => Some(statement.sql.as_str()),
            _ => None,
        });
        sql.collect()
    }

    #[test]
    fn the_file_comes_before_install_and_goes_after_uninstall() {
        for version in ["10.11.6-MariaDB", "9.7.4"] {
            let place = |script: &Script, words: &str| {
                let text = script.text();
                text.find(words).unwrap_or_else(|| panic!("{version} {words} {text}"))
            };
            let script = plugin(&server(version), &options(true, false)).unwrap();
            assert!(place(&script, "mv -T") < place(&script, "INSTALL PLUGIN"), "{version}");
            assert!(script.text().contains("'it'\\''s/audit_login.so'"));
            assert!(!script.text().contains("FORCE_") && !script.text().contains("=FORCE"));
            let script = plugin(&server(version), &options(true, true)).unwrap();
            let last = script.text().rfind("UNINSTALL PLUGIN").unwrap();
            assert!(last < place(&script, "rm -f"), "{version}");
        }
    }

    #[test]
    fn what_is_there_is_said_and_not_done_again() {
        let none = plugin(&asked(&[]), &options(false, false)).unwrap();
        assert_eq!(sql(&none).len(), 2);
        let text = none.text();
        assert!(text.contains("plugin_dir='/opt/plug ins'") && text.contains("\n--   restorecon"));
        assert!(!text.contains("AppArmor") && text.contains("/data/audit_login.log"), "{text}");

        let one = plugin(&asked(&[(LOGINS, "ACTIVE")]), &options(true, false)).unwrap();
        assert!(sql(&one)[0].contains(WRITES) && !one.text().contains("mv -T"), "{}", one.text());
        let both = [(LOGINS, "ACTIVE"), (WRITES, "ACTIVE")];
        let both = plugin(&asked(&both), &options(true, false)).unwrap();
        assert!(sql(&both).iter().all(|it| !it.starts_with("INSTALL")), "{:?}", sql(&both));
        assert!(both.text().contains("SIMPLE_LOGIN_AUDIT is installed already, and ACTIVE."));

        let going = plugin(&asked(&[(LOGINS, "DELETED")]), &options(false, false)).unwrap();
        assert!(going.text().contains("is DELETED") && going.text().contains("1968"));
        let mut first = asked(&[(LOGINS, "ACTIVE")]);
        first.variables.as_mut().unwrap().remove("simple_login_audit_reopen");
        let first = plugin(&first, &options(false, false)).unwrap();
        assert!(first.text().contains("is the first audit_login"), "{}", first.text());
        let gone = plugin(&asked(&[]), &options(false, true)).unwrap();
        assert!(gone.text().contains("ROLLCALL_WRITES is not installed."));
        assert!(sql(&gone).iter().all(|it| it.starts_with("SELECT")));
    }
}
