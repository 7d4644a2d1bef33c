//! What schemas and the server itself hold on disk, in a few questions for all of them.
//!
//! # Facts (seen on MariaDB 10.11, 11.8 and MySQL 9.7)
//! * `INNODB_SYS_TABLESPACES` (MariaDB) and `INNODB_TABLESPACES` (MySQL) tell the files of InnoDB as they are now:
//!   `ALLOCATED_SIZE` is what `du` says, also of sparse files (page compression), `FILE_SIZE` what `ls` says.
//!   `PROCESS` is enough to read them.
//! * MariaDB writes names as the files are called (`a@002db/t#P#p0`), and its `CONVERT … USING filename` turns them
//!   back; MySQL writes them decoded, so that the `/` between schema and table may be one of several, and has no
//!   such conversion. Its `INNODB_TABLESPACES_BRIEF` tells the file, in whose folder each `/` is `@002f`.
//! * `information_schema.TABLES` tells files of MyISAM and Aria as they are, but estimates of InnoDB: MariaDB's are
//!   up to 12 s old, MySQL's 24 h (without `information_schema_stats_expiry=0`, which every session here sets).
//!   MariaDB opens every table whose length is asked for (9,000: 3 s); names and engines alone cost a tenth, and
//!   so does a table that is asked for by its whole name.
//! * The servers compare these names without regard to case and accents; here each name is itself.
//! * Tables of others are listed to those alone who have some right to all tables (`SHOW VIEW` is the least).

use std::collections::{BTreeMap, BTreeSet};

use verdict::account::{Family, Missing, quoted};
use verdict::quota::SchemaGrant;

use crate::error::{LiveError, grant};
use crate::server::{Row, Server};
use crate::snapshot::is_refusal;

/// How many tables one statement asks for by name.
const NAMED_MAX: usize = 200;

/// With more tables to ask for by name it is cheaper to ask for all.
const NAMED_ALL_MAX: usize = 2000;

/// Engines whose tables have no files here: they are in memory, other tables', or elsewhere.
const WITHOUT_FILES: [&str; 8] = [
    "PERFORMANCE_SCHEMA",
    "MEMORY",
    "MRG_MyISAM",
    "BLACKHOLE",
    "FEDERATED",
    "SPIDER",
    "CONNECT",
    "SEQUENCE",
];

/// Schemas that are the server's own.
pub const SYSTEM_SCHEMAS: [&[u8]; 4] =
    [b"mysql", b"sys", b"information_schema", b"performance_schema"];

/// How sizes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// The files of InnoDB, and of other engines what `information_schema.TABLES` tells.
    #[default]
    Tablespaces,
    /// `DATA_LENGTH + INDEX_LENGTH` of `information_schema.TABLES` alone: without free space, and estimated.
    InformationSchema,
}

/// What was read of one server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sizes {
    /// `@@hostname`.
    pub hostname: Vec<u8>,
    /// `@@datadir`.
    pub data_folder: Vec<u8>,
    /// Bytes by schema, but for [`SYSTEM_SCHEMAS`].
    pub schemas: BTreeMap<Vec<u8>, u64>,
    /// What is nobody's.
    pub areas: Areas,
    /// User names of accounts that are no roles.
    pub users: BTreeSet<Vec<u8>>,
    /// Who may create or insert where, below the whole server.
    pub grants: Vec<SchemaGrant>,
    /// What could not be read.
    pub missing: Vec<Missing>,
}

/// Bytes that belong to no schema of users. `None`: not known, or it has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Areas {
    /// Binary logs.
    pub binlog: Option<u64>,
    /// Undo tablespaces. MariaDB before 11 keeps undo in the system's.
    pub undo: Option<u64>,
    /// InnoDB's temporary tablespaces; not what other engines write to `tmpdir`.
    pub tmp: Option<u64>,
    /// The server's own schemas, and the system tablespace.
    pub system: Option<u64>,
    /// General tablespaces (MySQL), which hold tables of any schema.
    pub general: Option<u64>,
}

/// Reads all of it; [`Sizes::grants`] where they are asked for.
///
/// # Errors
/// [`LiveError::Refused`] where the files of InnoDB may not be read: without them no size is right; what
/// [`Server`] answers with otherwise. What else is refused is in [`Sizes::missing`].
pub fn read(server: &mut Server, method: Method, with_grants: bool) -> Result<Sizes, LiveError> {
    let mut look = Look { server, sizes: Sizes::default() };
    look.places()?;
    look.schemas()?;
    let files = look.tablespaces()?;
    match method {
        Method::Tablespaces => look.by_files(files)?,
        Method::InformationSchema => look.by_information_schema()?,
    }
    look.binlog()?;
    look.users()?;
    if with_grants {
        look.writers()?;
    }
    Ok(look.sizes)
}

const DOING: &str = "reading sizes";

/// What is being put together.
struct Look<'s> {
    server: &'s mut Server,
    sizes: Sizes,
}

/// One file of InnoDB that belongs to a schema.
struct TableFile {
    schema: Vec<u8>,
    table: Vec<u8>,
    bytes: u64,
}

impl Look<'_> {
    fn is_mariadb(&self) -> bool {
        self.server.version().family == Family::MariaDb
    }

    /// The rows of an answer; `None` where the right is missing, which is noted with the grant that mends it.
    fn ask(&mut self, what: &str, granted: &str, sql: &str) -> Result<Option<Vec<Row>>, LiveError> {
        match self.server.try_ask(DOING, sql.as_bytes())? {
            Ok(rows) => Ok(Some(rows)),
            Err(error) if is_refusal(error) => {
                self.miss(what, error, granted);
                Ok(None)
            }
            Err(error) => Err(self.server.fault(DOING, error)),
        }
    }

    fn miss(&mut self, what: &str, error: u16, granted: &str) {
        let remedy = grant(granted, self.server.own());
        self.sizes.missing.push(Missing { what: what.to_owned(), error: error.into(), remedy });
    }

    fn places(&mut self) -> Result<(), LiveError> {
        let rows = self.server.ask(DOING, b"SELECT @@hostname, @@datadir")?;
        let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
        self.sizes.hostname = row.next().flatten().unwrap_or_default();
        self.sizes.data_folder = row.next().flatten().unwrap_or_default();
        Ok(())
    }

    /// Every schema, also those without a table; and whether all are shown.
    fn schemas(&mut self) -> Result<(), LiveError> {
        let rows =
            self.server.ask(DOING, b"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")?;
        for row in rows {
            self.add(bytes(row, 0), 0);
        }
        let own = quoted(self.server.own().to_string().as_bytes());
        let sql = [
            &b"SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE="[..],
            &own,
        ];
        let rights = self.server.ask(DOING, &sql.concat())?;
        let shows = |row: Row| {
            [&b"SELECT"[..], b"INSERT", b"UPDATE", b"DELETE", b"CREATE", b"DROP", b"ALTER"]
                .into_iter()
                .chain([&b"REFERENCES"[..], b"INDEX", b"CREATE VIEW", b"SHOW VIEW", b"TRIGGER"])
                .any(|right| row.first().and_then(|it| it.as_deref()) == Some(right))
        };
        if !rights.into_iter().any(shows) {
            // The server leaves tables out and says nothing.
            self.miss("sizes of tables of other engines than InnoDB", 0, "SHOW VIEW ON *.*");
        }
        Ok(())
    }

    /// Adds to what a schema holds.
    fn add(&mut self, schema: Vec<u8>, bytes: u64) {
        if SYSTEM_SCHEMAS.contains(&&schema[..]) {
            add(&mut self.sizes.areas.system, bytes);
            return;
        }
        let sum = self.sizes.schemas.entry(schema).or_default();
        *sum = sum.saturating_add(bytes);
    }

    /// The files of InnoDB: those of schemas are returned, the others are put to their area.
    fn tablespaces(&mut self) -> Result<Vec<TableFile>, LiveError> {
        let sql: &[u8] = match self.server.version().family {
            // As the file is called, and both parts decoded: of a partition the name of its table, as the `#`
            // before the partition's is encoded in other names.
            Family::MariaDb => {
                b"SELECT NAME, NULL, SPACE, FILE_SIZE, ALLOCATED_SIZE, \
                  CONVERT(CONVERT(CAST(SUBSTRING_INDEX(NAME, '/', 1) AS BINARY) USING filename) USING utf8mb4), \
                  CONVERT(CONVERT(CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(NAME, '/', -1), '#', 1) AS BINARY) \
                  USING filename) USING utf8mb4) \
                  FROM information_schema.INNODB_SYS_TABLESPACES"
            }
            Family::MySql => {
                b"SELECT NAME, SPACE_TYPE, SPACE, FILE_SIZE, ALLOCATED_SIZE \
                  FROM information_schema.INNODB_TABLESPACES"
            }
        };
        let rows = match self.server.try_ask(DOING, sql)? {
            Ok(rows) => rows,
            Err(error) if is_refusal(error) => {
                return Err(LiveError::Refused {
                    server: self.server.name().to_owned(),
                    what: "sizes of InnoDB's files".to_owned(),
                    error,
                    remedy: grant("PROCESS ON *.*", self.server.own()),
                });
            }
            Err(error) => return Err(self.server.fault(DOING, error)),
        };
        let folders = match rows.iter().any(|row| slashes(row) > 1) {
            true => self.folders()?,
            false => BTreeMap::new(),
        };
        let mut files = Vec::new();
        for row in rows {
            let bytes = allocated(&row);
            match area(&row) {
                Some(area) => add(area.of(&mut self.sizes.areas), bytes),
                None => files.extend(table_file(row, bytes, &folders)),
            }
        }
        if !self.is_mariadb() {
            self.mysql_areas()?;
        }
        Ok(files)
    }

    /// Of MySQL's files with more than one `/` in their name: how many of them are the schema's.
    fn folders(&mut self) -> Result<BTreeMap<Vec<u8>, usize>, LiveError> {
        let sql = b"SELECT SPACE, PATH FROM information_schema.INNODB_TABLESPACES_BRIEF \
                    WHERE NAME LIKE '%/%/%'";
        let rows = self.server.ask(DOING, sql)?;
        let within = |row: Row| {
            let space = row.first()?.clone()?;
            let path = row.get(1)?.as_deref()?;
            let folder = path.rsplit(|&byte| byte == b'/').nth(1)?;
            Some((space, folder.windows(5).filter(|it| it.eq_ignore_ascii_case(b"@002f")).count()))
        };
        Ok(rows.into_iter().filter_map(within).collect())
    }

    /// What MySQL does not list among tablespaces: the system's file, and temporary ones of sessions.
    fn mysql_areas(&mut self) -> Result<(), LiveError> {
        let system = "SELECT TOTAL_EXTENTS * EXTENT_SIZE FROM information_schema.FILES \
                      WHERE TABLESPACE_NAME='innodb_system'";
        let sessions = "SELECT SIZE FROM information_schema.INNODB_SESSION_TEMP_TABLESPACES";
        for (area, sql) in [(Area::System, system), (Area::Tmp, sessions)] {
            let rows = self.ask("sizes of the server's own files", "PROCESS ON *.*", sql)?;
            for row in rows.unwrap_or_default() {
                add(area.of(&mut self.sizes.areas), number(&row, 0));
            }
        }
        Ok(())
    }

    /// Files of InnoDB as they are, and the tables that have none there.
    fn by_files(&mut self, files: Vec<TableFile>) -> Result<(), LiveError> {
        let mut with_file: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for file in files {
            // Of a partition the name of its table.
            let table = file.table.windows(3).position(|it| it.eq_ignore_ascii_case(b"#p#"));
            let tables = with_file.entry(file.schema.clone()).or_default();
            if let Some(at) = table {
                tables.insert(file.table[..at].to_vec());
            }
            tables.insert(file.table);
            self.add(file.schema, file.bytes);
        }
        let rows = self.server.ask(
            DOING,
            b"SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES \
              WHERE TABLE_TYPE IN ('BASE TABLE', 'SEQUENCE', 'SYSTEM VERSIONED')",
        )?;
        let (mut others, mut inside) = (Vec::new(), Vec::new());
        for row in rows {
            let mut row = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || row.next().unwrap_or_default();
            let (schema, table, engine) = (next(), next(), next());
            let is_without =
                WITHOUT_FILES.iter().any(|it| engine.eq_ignore_ascii_case(it.as_bytes()));
            if is_without || SYSTEM_SCHEMAS[2..].contains(&&schema[..]) {
                continue;
            }
            if !engine.eq_ignore_ascii_case(b"InnoDB") {
                others.push((schema, table));
            } else if !SYSTEM_SCHEMAS.contains(&&schema[..])
                && !with_file.get(&schema).is_some_and(|it| it.contains(&table))
            {
                inside.push((schema, table));
            }
        }
        if self.is_mariadb() && others.len() <= NAMED_ALL_MAX {
            inside.append(&mut others);
        }
        self.named(&inside)?;
        if !others.is_empty() {
            let engines = WITHOUT_FILES.join("', '");
            self.lengths(&format!("ENGINE NOT IN ('InnoDB', '{engines}')"))?;
        }
        Ok(())
    }

    /// What `information_schema.TABLES` tells of tables that are asked for by name.
    fn named(&mut self, tables: &[(Vec<u8>, Vec<u8>)]) -> Result<(), LiveError> {
        for some in tables.chunks(NAMED_MAX) {
            let one = |(schema, table): &(Vec<u8>, Vec<u8>)| {
                [
                    &b"SELECT TABLE_SCHEMA, DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES \
                       WHERE TABLE_SCHEMA="[..],
                    &quoted(schema),
                    b" AND TABLE_NAME=",
                    &quoted(table),
                    b" AND BINARY TABLE_SCHEMA=",
                    &quoted(schema),
                    b" AND BINARY TABLE_NAME=",
                    &quoted(table),
                ]
                .concat()
            };
            let all: Vec<Vec<u8>> = some.iter().map(one).collect();
            let rows = self.server.ask(DOING, &all.join(&b" UNION ALL "[..]))?;
            self.add_rows(rows);
        }
        Ok(())
    }

    /// What `information_schema.TABLES` tells of all tables of which this holds.
    fn lengths(&mut self, condition: &str) -> Result<(), LiveError> {
        let sql = format!(
            "SELECT TABLE_SCHEMA, DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES \
             WHERE TABLE_TYPE <> 'VIEW' AND {condition}"
        );
        let rows = self.server.ask(DOING, sql.as_bytes())?;
        self.add_rows(rows);
        Ok(())
    }

    fn by_information_schema(&mut self) -> Result<(), LiveError> {
        // MySQL's own tables are in a file that was counted.
        let others = if self.is_mariadb() { "" } else { ", 'mysql'" };
        self.lengths(&format!(
            "TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema'{others})"
        ))
    }

    /// A schema and bytes a row.
    fn add_rows(&mut self, rows: Vec<Row>) {
        for row in rows {
            let size = number(&row, 1);
            self.add(bytes(row, 0), size);
        }
    }

    fn binlog(&mut self) -> Result<(), LiveError> {
        let granted = match self.server.version().family {
            Family::MariaDb => "BINLOG MONITOR ON *.*",
            Family::MySql => "REPLICATION CLIENT ON *.*",
        };
        /// `ER_NO_BINARY_LOGGING`
        const OFF: u16 = 1381;
        match self.server.try_ask(DOING, b"SHOW BINARY LOGS")? {
            Ok(rows) => {
                let sum = rows.iter().map(|row| number(row, 1)).fold(0, u64::saturating_add);
                self.sizes.areas.binlog = Some(sum);
            }
            Err(OFF) => {}
            Err(error) if is_refusal(error) => self.miss("sizes of binary logs", error, granted),
            Err(error) => return Err(self.server.fault(DOING, error)),
        }
        Ok(())
    }

    fn users(&mut self) -> Result<(), LiveError> {
        let (granted, sql) = match self.server.version().family {
            Family::MariaDb => (
                "SELECT ON mysql.global_priv",
                "SELECT DISTINCT CAST(User AS BINARY) FROM mysql.global_priv \
                 WHERE COALESCE(JSON_VALUE(Priv, '$.is_role'), 0) <> 1",
            ),
            Family::MySql => (
                "SELECT (User) ON mysql.user",
                "SELECT DISTINCT CAST(User AS BINARY) FROM mysql.user",
            ),
        };
        let rows = self.ask("which users there are", granted, sql)?.unwrap_or_default();
        self.sizes.users = rows.into_iter().map(|row| bytes(row, 0)).collect();
        Ok(())
    }

    fn writers(&mut self) -> Result<(), LiveError> {
        let what = "who may create or insert in which schema";
        let schemas = "SELECT DISTINCT CAST(User AS BINARY), CAST(Db AS BINARY) FROM mysql.db \
                       WHERE Insert_priv='Y' OR Create_priv='Y'";
        let tables = "SELECT DISTINCT CAST(User AS BINARY), CAST(Db AS BINARY) FROM mysql.tables_priv \
                      WHERE FIND_IN_SET('Insert', Table_priv) OR FIND_IN_SET('Create', Table_priv)";
        let rows = self.ask(what, "SELECT ON mysql.db", schemas)?.unwrap_or_default();
        let grants = rows.into_iter().map(|row| schema_grant(row, false));
        self.sizes.grants.extend(grants);
        let rows = self.ask(what, "SELECT ON mysql.tables_priv", tables)?.unwrap_or_default();
        // The name of a schema there is no pattern.
        let grants = rows.into_iter().map(|row| schema_grant(row, true));
        self.sizes.grants.extend(grants);
        self.sizes.grants.sort_unstable();
        self.sizes.grants.dedup();
        Ok(())
    }
}

fn schema_grant(mut row: Row, is_literal: bool) -> SchemaGrant {
    let mut take = |at: usize| row.get_mut(at).and_then(Option::take).unwrap_or_default();
    let (user, name) = (take(0), take(1));
    let schema = match is_literal {
        false => name,
        true => name
            .iter()
            .flat_map(|&byte| match byte {
                b'%' | b'_' | b'\\' => vec![b'\\', byte],
                _ => vec![byte],
            })
            .collect(),
    };
    SchemaGrant { user, schema }
}

/// What a file of InnoDB is where it is no schema's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Undo,
    Tmp,
    System,
    General,
}

impl Area {
    fn of(self, areas: &mut Areas) -> &mut Option<u64> {
        match self {
            Area::Undo => &mut areas.undo,
            Area::Tmp => &mut areas.tmp,
            Area::System => &mut areas.system,
            Area::General => &mut areas.general,
        }
    }
}

/// The area of a row of tablespaces; `None`: a schema's.
fn area(row: &Row) -> Option<Area> {
    let column = |at: usize| row.get(at).and_then(|it| it.as_deref()).unwrap_or_default();
    match (column(0), column(1)) {
        (b"mysql", b"General") => Some(Area::System),
        (b"innodb_temporary", _) => Some(Area::Tmp),
        (_, b"General") => Some(Area::General),
        (_, b"Undo") => Some(Area::Undo),
        (_, b"System") => Some(Area::System),
        (name, _) if name.contains(&b'/') => None,
        (name, _) if name.starts_with(b"innodb_undo") => Some(Area::Undo),
        _ => Some(Area::System),
    }
}

/// The file of a table. `folders` tells where the schema's name ends if several `/` are in it.
fn table_file(row: Row, bytes: u64, folders: &BTreeMap<Vec<u8>, usize>) -> Option<TableFile> {
    let mut columns = row.into_iter();
    let name = columns.next()??;
    let space = columns.nth(1)?.unwrap_or_default();
    let mut decoded = columns.skip(2).map(Option::unwrap_or_default);
    let (schema, table) = match (decoded.next(), decoded.next()) {
        (Some(schema), Some(table)) => {
            let mut parts = name.split(|&byte| byte == b'/' || byte == b'#');
            let mut of = |decoded| plain_name(decoded, parts.next().unwrap_or_default());
            (of(schema), of(table))
        }
        _ => {
            let within = folders.get(&space).copied().unwrap_or(0);
            let places = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            let (at, _) = places.map(|(at, it)| (at, *it)).nth(within)?;
            (name[..at].to_vec(), name[at + 1..].to_vec())
        }
    };
    Some(TableFile { schema, table, bytes })
}

/// A decoded name, or as servers write one that is no encoded name (from before MySQL 5.1).
fn plain_name(decoded: Vec<u8>, encoded: &[u8]) -> Vec<u8> {
    // What cannot be decoded becomes `?`, which itself is encoded as `@003f`.
    let is_lossy =
        decoded.contains(&b'?') && !encoded.windows(5).any(|it| it.eq_ignore_ascii_case(b"@003f"));
    if is_lossy { [&b"#mysql50#"[..], encoded].concat() } else { decoded }
}

/// How many `/` are in the name of a row of tablespaces.
fn slashes(row: &Row) -> usize {
    let name = row.first().and_then(|it| it.as_deref()).unwrap_or_default();
    name.iter().filter(|&&byte| byte == b'/').count()
}

/// What a file takes on the disk; its length where that is not known.
fn allocated(row: &Row) -> u64 {
    match number(row, 4) {
        0 => number(row, 3),
        bytes => bytes,
    }
}

fn add(sum: &mut Option<u64>, bytes: u64) {
    *sum = Some(sum.unwrap_or(0).saturating_add(bytes));
}

fn bytes(mut row: Row, column: usize) -> Vec<u8> {
    row.get_mut(column).and_then(Option::take).unwrap_or_default()
}

fn number(row: &Row, column: usize) -> u64 {
    let text = row.get(column).and_then(|it| it.as_deref());
    text.and_then(|it| std::str::from_utf8(it).ok()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[Option<&str>]) -> Row {
        columns.iter().map(|it| it.map(|text| text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn files_have_a_schema_or_an_area() {
        for (name, kind, expected) in [
            ("innodb_system", None, Some(Area::System)),
            ("innodb_temporary", None, Some(Area::Tmp)),
            ("innodb_undo001", None, Some(Area::Undo)),
            ("shop/orders", None, None),
            ("innodb_undo/t", None, None),
            ("mysql", Some("General"), Some(Area::System)),
            ("gen", Some("General"), Some(Area::General)),
            ("a/b", Some("General"), Some(Area::General)),
            ("innodb_temporary", Some("System"), Some(Area::Tmp)),
            ("innodb_undo_001", Some("Undo"), Some(Area::Undo)),
            ("my/undo", Some("Undo"), Some(Area::Undo)),
            ("shop/orders", Some("Single"), None),
        ] {
            assert_eq!(area(&row(&[Some(name), kind])), expected, "{name}");
        }
    }

    #[test]
    fn names_of_both_families() {
        let folders = BTreeMap::from([(b"7".to_vec(), 1)]);
        for (columns, schema, table) in [
            (vec!["shop/t#p#p0", "Single", "5", "1", "1"], "shop", "t#p#p0"),
            (vec!["x/y/t/z", "Single", "7", "1", "1"], "x/y", "t/z"),
            (vec!["x/y/t/z", "Single", "8", "1", "1"], "x", "y/t/z"),
            (vec!["a@002db/t", "", "5", "1", "1", "a-b", "t"], "a-b", "t"),
            (vec!["shop/t@002c#P#p0", "", "5", "1", "1", "shop", "t,"], "shop", "t,"),
            (vec!["old-name/t", "", "5", "1", "1", "old?name", "t"], "#mysql50#old-name", "t"),
            (vec!["q@003f/t", "", "5", "1", "1", "q?", "t"], "q?", "t"),
        ] {
            let columns: Vec<Option<&str>> = columns.into_iter().map(Some).collect();
            let file = table_file(row(&columns), 1, &folders).unwrap();
            assert_eq!((&file.schema[..], &file.table[..]), (schema.as_bytes(), table.as_bytes()));
        }
    }

    #[test]
    fn sparse_files_are_what_they_take() {
        let of = |size, allocated| {
            super::allocated(&row(&[None, None, None, Some(size), Some(allocated)]))
        };
        assert_eq!(of("100", "40"), 40);
        assert_eq!(of("100", "104"), 104);
        assert_eq!(of("100", "0"), 100);
    }

    #[test]
    fn names_of_schemas_in_grants_on_tables_are_no_patterns() {
        let grant = |is_literal| schema_grant(row(&[Some("u"), Some(r"a_b%\")]), is_literal).schema;
        assert_eq!(grant(false), br"a_b%\");
        assert_eq!(grant(true), br"a\_b\%\\");
    }
}
