//! Statements made of rows, run by real servers through their own clients: what was changed is made
//! again in an empty copy, and taken back, and both times CHECKSUM TABLE says the same.
//!
//! Names, signs and keys come from the server here, as a caller would bring them: other tests may use
//! the same servers with other settings of `binlog_row_metadata`.

mod common;

use std::collections::BTreeMap;

use binlog::undo::{self, Last};
use binlog::{
    Change, Error, Event, Interest, Json, KeyPart, Reader, Rows, Sink, SqlError, SqlTable, Table,
    Transaction, Value, write_sql_preamble,
};
use common::server::{Server, servers};

/// A client whose own settings would spoil careless literals.
const CLIENT: [&str; 2] = [
    "--default-character-set=latin1",
    "--init-command=SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES', time_zone='+09:00'",
];

/// What information_schema says of a table.
struct Known {
    columns: Vec<KnownColumn>,
    key: Vec<KeyPart>,
}

struct KnownColumn {
    name: Vec<u8>,
    unsigned: bool,
    collation: u32,
    generated: bool,
}

/// Statements of the rows of one database.
struct Statements<'k> {
    known: &'k BTreeMap<Vec<u8>, Known>,
    from: Vec<u8>,
    /// Which database the statements are for.
    to: Vec<u8>,
    sql: Vec<u8>,
    spill: Vec<u8>,
    rows: usize,
    errors: Vec<SqlError>,
    undo_errors: Vec<SqlError>,
}

impl Sink for Statements<'_> {
    fn table(&mut self, table: &mut Table) -> Interest {
        if *table.database != self.from[..] {
            return Interest::Ignore;
        }
        table.database = self.to.clone().into();
        let known = &self.known[&*table.name];
        assert_eq!(known.columns.len(), table.columns.len());
        for (column, known) in table.columns.iter_mut().zip(&known.columns) {
            if let Some(told) = &column.name {
                assert_eq!(**told, known.name[..]);
            }
            column.name = Some(known.name.clone().into());
            column.unsigned.get_or_insert(known.unsigned);
            column.collation.get_or_insert(known.collation);
            column.generated = Some(known.generated);
        }
        if !table.primary_key.is_empty() {
            assert_eq!(table.primary_key, known.key);
        }
        table.primary_key = known.key.clone();
        Interest::Rows
    }

    fn rows(&mut self, _: &Transaction, rows: &mut Rows<'_>) {
        let table = SqlTable::new(rows.table()).expect("names");
        let (kind, mut change) = (rows.kind(), Change::default());
        while rows.read(&mut change).expect("rows") {
            self.rows += 1;
            let before = self.sql.len();
            if let Err(error) = table.write(kind, &change, &mut self.sql) {
                assert_eq!(self.sql.len(), before);
                self.errors.push(error);
            }
            let start = self.spill.len();
            if let Err(error) = table.write_undo(kind, &change, &mut self.spill) {
                assert_eq!(self.spill.len(), start);
                self.undo_errors.push(error);
            }
            undo::seal(&mut self.spill, start);
        }
    }

    fn damaged(&mut self, error: &Error) {
        panic!("{error}");
    }
}

impl Statements<'_> {
    /// The statements of the spill, the last first.
    fn undo(&self) -> Vec<u8> {
        let mut sql = Vec::new();
        write_sql_preamble(true, &mut sql);
        let mut left = &self.spill[..];
        while let Some(Last::Statement { sql: one, rest }) =
            undo::last(left, left.len() as u64).expect("the spill")
        {
            sql.extend_from_slice(one);
            left = rest;
        }
        assert!(left.is_empty());
        clean(sql)
    }

    fn forward(&self) -> Vec<u8> {
        let mut sql = Vec::new();
        write_sql_preamble(false, &mut sql);
        sql.extend_from_slice(&self.sql);
        clean(sql)
    }
}

/// The same text, which no terminal and no client's character set makes something else of.
fn clean(sql: Vec<u8>) -> Vec<u8> {
    let text = std::str::from_utf8(&sql).expect("UTF-8");
    let shows = |character: char| character == '\n' || !character.is_control();
    assert!(text.chars().all(|character| shows(character) && character != '\u{202e}'));
    assert!(!text.contains('\\'));
    sql
}

/// Statements of the rows that `logs` hold of a database, for another one.
fn read<'k>(
    logs: &[Vec<u8>],
    known: &'k BTreeMap<Vec<u8>, Known>,
    from: &str,
    to: &str,
) -> Statements<'k> {
    let mut statements = Statements {
        known,
        from: from.as_bytes().to_vec(),
        to: to.as_bytes().to_vec(),
        sql: Vec::new(),
        spill: Vec::new(),
        rows: 0,
        errors: Vec::new(),
        undo_errors: Vec::new(),
    };
    for log in logs {
        let mut reader = Reader::new();
        reader.read(log, &mut statements).expect("a log");
        reader.finish(&mut statements);
    }
    statements
}

/// The tables of a database, as the server describes them.
fn known(server: &Server, database: &str) -> BTreeMap<Vec<u8>, Known> {
    // Collations of MariaDB's newest kind have no number in the table of collations.
    let id = match server.is_mysql() {
        true => {
            "(SELECT id FROM information_schema.collations l WHERE l.collation_name = c.collation_name)"
        }
        false => {
            "(SELECT id FROM information_schema.collation_character_set_applicability l \
             WHERE l.full_collation_name = c.collation_name)"
        }
    };
    let columns = server.ask(&format!(
        "SELECT HEX(table_name), HEX(column_name), column_type LIKE '%unsigned%', \
         COALESCE({id}, 63), COALESCE(generation_expression, '') <> '' \
         FROM information_schema.columns c WHERE table_schema = '{database}' \
         ORDER BY table_name, ordinal_position"
    ));
    let mut known: BTreeMap<Vec<u8>, Known> = BTreeMap::new();
    for line in columns {
        let fields: Vec<&str> = line.split('\t').collect();
        let table = known
            .entry(unhex(fields[0]))
            .or_insert_with(|| Known { columns: Vec::new(), key: Vec::new() });
        table.columns.push(KnownColumn {
            name: unhex(fields[1]),
            unsigned: fields[2] == "1",
            collation: fields[3].parse().expect("a number"),
            generated: fields[4] == "1",
        });
    }
    let keys = server.ask(&format!(
        "SELECT HEX(table_name), HEX(column_name), COALESCE(sub_part, 0) \
         FROM information_schema.statistics WHERE table_schema = '{database}' \
         AND index_name = 'PRIMARY' ORDER BY table_name, seq_in_index"
    ));
    for line in keys {
        let fields: Vec<&str> = line.split('\t').collect();
        let table = known.get_mut(&unhex(fields[0])).expect("its columns");
        let name = unhex(fields[1]);
        let column = table.columns.iter().position(|column| column.name == name).expect("it");
        let prefix = Some(fields[2].parse().expect("a number")).filter(|&prefix| prefix != 0);
        table.key.push(KeyPart { column, prefix });
    }
    known
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// A column and what is put into it.
type Column = (&'static str, &'static [&'static str]);

const NUMBERS: &[Column] = &[
    ("i1 TINYINT", &["-128", "127", "0", "NULL"]),
    ("i1u TINYINT UNSIGNED", &["255", "0", "128"]),
    ("i2 SMALLINT", &["-32768", "32767"]),
    ("i3 MEDIUMINT UNSIGNED", &["16777215", "0"]),
    ("i4 INT", &["-2147483648", "2147483647", "NULL"]),
    ("i8 BIGINT", &["-9223372036854775808", "9223372036854775807"]),
    ("i8u BIGINT UNSIGNED", &["18446744073709551615", "0", "NULL"]),
    ("zf INT(8) ZEROFILL", &["42", "4294967295"]),
    (
        "d1 DECIMAL(65,30)",
        &["-12345678901234567890123456789012345.1234567890123456789", "0.5", "NULL"],
    ),
    (
        "d2 DECIMAL(30,30)",
        &["0.000000000000000000000000000001", "-0.999999999999999999999999999999"],
    ),
    ("f FLOAT", &["0.1", "-3.4028234e38", "1.17549435e-38", "16777217", "0.3", "NULL"]),
    ("fd FLOAT(7,3)", &["1234.567", "-0.001"]),
    (
        "g DOUBLE",
        &[
            "0.1",
            "-2.25e300",
            "5e-324",
            "1.7976931348623157e308",
            "2.2250738585072011e-308",
            "'-0'",
        ],
    ),
    ("b1 BIT(1)", &["b'1'", "b'0'", "NULL"]),
    ("b64 BIT(64)", &["18446744073709551615", "9223372036854775808", "1"]),
    ("y YEAR", &["2026", "1901", "2155", "0", "NULL"]),
    ("e ENUM('a','it''s','','\u{fc}')", &["1", "2", "3", "4", "NULL"]),
    ("e0 ENUM('x','y')", &["'x'", "'no such'"]),
    (
        "s SET('1','2','3','4','5','6','7','8','9','10','11','12','13','14','15','16','17','18','19',\
         '20','21','22','23','24','25','26','27','28','29','30','31','32','33','34','35','36','37','38',\
         '39','40','41','42','43','44','45','46','47','48','49','50','51','52','53','54','55','56','57',\
         '58','59','60','61','62','63','64')",
        &["18446744073709551615", "9223372036854775808", "0", "5"],
    ),
];

const TIMES: &[Column] = &[
    ("d DATE", &["'2026-11-20'", "'0000-00-00'", "'2026-00-00'", "'2026-02-31'", "NULL"]),
    ("t0 TIME", &["'-838:59:59'", "'00:00:00'", "'838:59:59'"]),
    ("t3 TIME(3)", &["'-00:00:00.001'", "'12:34:56.789'", "NULL"]),
    ("t6 TIME(6)", &["'-01:02:03.999999'", "'00:00:00.000001'"]),
    ("dt0 DATETIME", &["'2026-11-20 01:02:03'", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59'"]),
    ("dt6 DATETIME(6)", &["'2026-01-00 01:02:03.000001'", "'1000-01-01 00:00:00.999999'", "NULL"]),
    (
        "ts0 TIMESTAMP NULL",
        &["'2038-01-19 03:14:07'", "'1970-01-01 00:00:01'", "'0000-00-00 00:00:00'"],
    ),
    ("ts5 TIMESTAMP(5) NULL", &["'2026-11-20 12:34:56.78901'", "'2000-02-29 23:59:59.5'", "NULL"]),
    (
        "tu TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
        &["'2001-01-01 00:00:00'", "'2002-02-02 00:00:00'"],
    ),
    (
        "du DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)",
        &["'2003-03-03 00:00:00'", "NULL"],
    ),
];

/// Quotes, backslashes, NULs, line breaks, what is no UTF-8, what terminals act on.
const TEXTS: &[Column] = &[
    ("c CHAR(10)", &["'abc'", "'tr  '", "''", "'it''s'", "x'5c27'", "NULL"]),
    ("cl CHAR(20) CHARACTER SET latin1", &["x'e4f6'", "x'00ff1b5b'", "x'8081'", "'Q'"]),
    (
        "v VARCHAR(200)",
        &[
            "'a\tb'",
            "x'5c'",
            "x'5c6e'",
            "'''\"`'",
            "'q  '",
            "'Q  '",
            "x'1b5b33316d'",
            "x'e280aef09f9880'",
            "NULL",
        ],
    ),
    ("vb VARCHAR(20) COLLATE utf8mb4_bin", &["'a'", "'A'", "'a '", "'\u{fc};\u{df}'"]),
    ("vl VARCHAR(300) CHARACTER SET latin1", &["x'ff'", "REPEAT(x'5c', 256)", "''", "';'"]),
    ("vu VARCHAR(20) CHARACTER SET utf16", &["'ab'", "'\u{1f600}'", "''"]),
    ("vg VARCHAR(20) CHARACTER SET gbk", &["x'bf5c'", "'a'", "x'a140'"]),
    ("vs VARCHAR(20) CHARACTER SET sjis", &["x'835c'", "x'5c'"]),
    (
        "b16 BINARY(16)",
        &[
            "x'00112233445566778899aabbccddee00'",
            "x'6ccd780cbaba102695645b8c656024db'",
            "x'01'",
            "''",
            "NULL",
        ],
    ),
    ("b3 BINARY(3)", &["x'ff'", "x'202020'", "'abc'"]),
    ("vb9 VARBINARY(300)", &["x'0001'", "''", "REPEAT(x'27', 256)", "'abcdefghijkl'"]),
    ("t1 TINYTEXT", &["'x'", "''", "NULL"]),
    ("t2 TEXT", &["REPEAT('t\\n', 300)", "'--'", "'/* */'", "'DELIMITER ;'"]),
    ("t4 LONGTEXT CHARACTER SET latin1", &["REPEAT(x'00', 300)", "'m'"]),
    ("o1 BLOB", &["x'27'", "x'5c'", "REPEAT(x'ee', 300)", "''", "NULL"]),
    ("o2 LONGBLOB", &["x'0a'", "REPEAT(x'dd', 70000)", "'l'", "''", "x'00'"]),
];

const SHAPES: &[Column] = &[
    (
        "gg GEOMETRY",
        &[
            "ST_GeomFromText('POINT(1.5 -2)')",
            "ST_GeomFromText('LINESTRING(0 0, 1 1, 2 0)')",
            "NULL",
        ],
    ),
    ("gp POINT", &["ST_GeomFromText('POINT(0.1 0.2)')", "ST_GeomFromText('POINT(1 2)', 4326)"]),
];

const MYSQL: &[Column] = &[
    (
        "j JSON",
        &[
            r#"'{"b": 1, "a": [true, false, null, "it''s", 1.5], "": {}, "n": -1}'"#,
            r#"'"\\u00fc\\n\\"\\\\ \\u0001"'"#,
            "'[32767, -32768, 65535, 4294967295, 5000000000, 18446744073709551615, 1e300, 1.0, -1e-20]'",
            "JSON_OBJECT('d', CAST('2026-11-20' AS DATE), 't', CAST('-12:34:56.5' AS TIME(6)), 'dt', \
             CAST('2026-11-20 01:02:03.000004' AS DATETIME(6)), 'dec', CAST('-12345.6789' AS \
             DECIMAL(20,5)), 'bin', CAST(x'00ff' AS BINARY), 'u', CAST(5 AS UNSIGNED), 'l', \
             JSON_ARRAY(CAST(5000000000 AS SIGNED), 1.50, TRUE))",
            "CAST(CAST('1.50' AS DECIMAL(5,2)) AS JSON)",
            "JSON_ARRAY(REPEAT('x', 70000), 1, JSON_OBJECT('k', JSON_ARRAY(1, 2)))",
            "'null'",
            "NULL",
        ],
    ),
    (
        "vec VECTOR(3)",
        &["STRING_TO_VECTOR('[1,-2.5,3e10]')", "STRING_TO_VECTOR('[0,0,0]')", "NULL"],
    ),
];

const MARIADB: &[Column] = &[
    ("j JSON", &[r#"'{"a": [1, "it''s\\n"]}'"#, "'[]'", "NULL"]),
    (
        "n6 INET6",
        &[
            "'2001:db8::1'",
            "'::'",
            "'::ffff:10.0.0.1'",
            "'6162:6364:6566:6768:696a:6b6c:6d6e:6f70'",
            "NULL",
        ],
    ),
    ("vc VARCHAR(2000) COMPRESSED", &["REPEAT('a', 1000)", "''", "'it''s'", "NULL"]),
    ("bc LONGBLOB COMPRESSED", &["REPEAT(x'00', 300)", "x'27'"]),
    (
        "u UUID",
        &[
            "'6ccd780c-baba-1026-9564-5b8c656024db'",
            "'00000000-0000-0000-0000-000000000000'",
            "'f47ac10b-58cc-4372-a567-0e02b2c3d400'",
            "'01890a5d-ac96-774b-bcce-b302099a8057'",
            "NULL",
        ],
    ),
    ("n4 INET4", &["'10.0.0.7'", "'0.0.0.0'", "'97.98.99.100'", "NULL"]),
];

const MARIADB_11_7: &[Column] =
    &[("vec VECTOR(3)", &["VEC_FromText('[1,-2.5,3e10]')", "x'616263646162636461626364'", "NULL"])];

/// What is drawn at random, the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn pick<'t>(&mut self, values: &[&'t str]) -> &'t str {
        values[self.below(values.len())]
    }
}

/// All columns that a server knows.
fn columns(server: &Server) -> Vec<Column> {
    let own: &[&[Column]] = match (server.is_mysql(), server.version()) {
        (true, _) => &[MYSQL],
        (false, version) if version >= (11, 7) => &[MARIADB, MARIADB_11_7],
        (false, _) => &[MARIADB],
    };
    [&[NUMBERS, TIMES, TEXTS, SHAPES], own].concat().concat()
}

fn name(column: &Column) -> &str {
    column.0.split(' ').next().expect("a name")
}

/// A name that no careless quoting survives.
const ODD: &str = "`we``ird '\"\\\u{1b}[31m\u{202e}\n;`";

/// Statements that make the tables.
fn create(columns: &[Column]) -> String {
    let all = columns.iter().map(|(declared, _)| *declared).collect::<Vec<_>>().join(", ");
    format!(
        "CREATE TABLE keyed (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, {all});
         CREATE TABLE keyless ({all});
         CREATE TABLE texts (a VARCHAR(50), b TEXT, n INT, PRIMARY KEY (a, b(3)));
         CREATE TABLE alike (v VARCHAR(20), c CHAR(5) CHARACTER SET latin1);
         CREATE TABLE sums (id INT PRIMARY KEY, a INT, b INT GENERATED ALWAYS AS (a + 1) STORED);
         CREATE TABLE {ODD} (`a``b` INT PRIMARY KEY, `select` INT, `\u{fc}\u{1b}` VARCHAR(9));"
    )
}

const ALIKE: &[&str] = &["'q'", "'Q'", "'q '", "'Q '", "'\u{e4}'", "'a'", "'A'"];

/// Random changes of the tables.
fn changes(random: &mut Random, columns: &[Column], count: usize, duplicates: bool) -> String {
    let mut sql = String::new();
    for _ in 0..count {
        let table = if random.below(3) > 0 { "keyed" } else { "keyless" };
        let some: Vec<&Column> = columns.iter().filter(|_| random.below(2) == 0).collect();
        let names = some.iter().map(|column| name(column)).collect::<Vec<_>>().join(", ");
        match random.below(8) {
            0 => sql += &format!("DELETE FROM {table} ORDER BY i4, i8 LIMIT 1;\n"),
            1 | 2 if !some.is_empty() => {
                let list: Vec<String> = some
                    .iter()
                    .map(|column| format!("{} = {}", name(column), random.pick(column.1)))
                    .collect();
                let list = list.join(", ");
                sql += &format!("UPDATE IGNORE {table} SET {list} ORDER BY f, i2 LIMIT 3;\n");
            }
            3 if duplicates => {
                sql += "INSERT INTO keyless SELECT * FROM keyless LIMIT 1;\n";
            }
            4 => {
                let key = random.pick(&["'k'", "'it''s'", "x'5c'", "'\u{fc}'", "''", "'Kk'"]);
                let text = random.pick(&["'abcd'", "'abe'", "x'0a'", "'\u{1f600}'", "''"]);
                let number = random.below(9);
                // Rows that a collation takes for one another.
                let (one, other) = (random.pick(ALIKE), random.pick(ALIKE));
                sql += &format!("INSERT INTO alike VALUES ({one}, {other}), ({other}, {one});\n");
                sql += &format!("UPDATE alike SET v = {other} ORDER BY HEX(v) DESC LIMIT 1;\n");
                sql += "DELETE FROM alike ORDER BY HEX(c), HEX(v) LIMIT 1;\n";
                sql += &format!("REPLACE INTO texts VALUES ({key}, {text}, {number});\n");
                sql += &format!(
                    "REPLACE INTO sums (id, a) VALUES ({number}, {});\n",
                    random.below(99)
                );
                sql += &format!("REPLACE INTO {ODD} VALUES ({number}, {number}, {text});\n");
                sql += &format!(
                    "UPDATE IGNORE {ODD} SET `a``b` = `a``b` + 10 WHERE `select` = {number};\n"
                );
                sql += &format!("UPDATE sums SET a = a + 1 WHERE id < {number};\n");
                sql += &format!("UPDATE texts SET n = n + 1, a = {key} WHERE n = {number};\n")
                    .replace("UPDATE texts", "UPDATE IGNORE texts");
            }
            _ => {
                let values: Vec<&str> = some.iter().map(|column| random.pick(column.1)).collect();
                let values = values.join(", ");
                sql += &format!("INSERT IGNORE INTO {table} ({names}) VALUES ({values});\n");
            }
        }
    }
    sql
}

const TABLES: [&str; 6] = ["keyed", "keyless", "texts", "alike", "sums", ODD];

/// The checksums of the tables.
fn checksums(server: &Server, database: &str) -> Vec<String> {
    TABLES
        .iter()
        .map(|table| {
            let sql = format!(
                "CHECKSUM TABLE `{database}`.{table}; SELECT COUNT(*) FROM `{database}`.{table}"
            );
            let lines = server.ask(&sql);
            let sum = lines[0].rsplit('\t').next().expect("a checksum").to_string();
            format!("{sum} of {} rows", lines[lines.len() - 1])
        })
        .collect()
}

/// What a run is about.
struct Run {
    name: &'static str,
    settings: &'static str,
    /// Some changes hold too little to be taken back.
    poor: bool,
}

/// One run: changes in two phases; all of them made again in a copy, the second phase taken back.
fn check(server: &Server, run: &Run) {
    let (database, copy) = (format!("sq_{}", run.name), format!("sq_{}_copy", run.name));
    let columns = columns(server);
    let setup = format!(
        "SET NAMES utf8mb4; SET sql_mode = 'ALLOW_INVALID_DATES'; SET time_zone = '+00:00'; {}",
        run.settings
    );
    let mut random = Random(0x5EED ^ run.name.len() as u64);
    let clean = format!("DROP DATABASE IF EXISTS {database}; DROP DATABASE IF EXISTS {copy};");
    server.ask(&format!(
        "{clean} CREATE DATABASE {database} CHARACTER SET utf8mb4; CREATE DATABASE {copy} CHARACTER \
         SET utf8mb4; USE {database}; {setup} {} USE {copy}; {}",
        create(&columns),
        create(&columns),
    ));
    let phase = |random: &mut Random, count| {
        let log = server.new_log();
        let sql = changes(random, &columns, count, !run.poor);
        server.ask(&format!("USE {database}; {setup}{sql}"));
        log
    };
    let first = phase(&mut random, 250);
    let before = checksums(server, &database);
    let second = phase(&mut random, 350);
    let after = checksums(server, &database);
    let end = server.new_log();
    assert_ne!(before, after);

    let known = known(server, &database);
    let all = read(&server.logs(&first, &end), &known, &database, &copy);
    assert_eq!(all.errors, [], "{} {}", server.kind(), run.name);
    server.run(&all.forward(), &CLIENT);
    assert_eq!(checksums(server, &copy), after, "{} {}: made again", server.kind(), run.name);

    let last = read(&server.logs(&second, &end), &known, &database, &copy);
    assert!(last.rows > 300, "{} rows", last.rows);
    if run.poor {
        let refused = last.undo_errors.len();
        assert!(refused > 50 && refused < last.rows, "{refused} of {}", last.rows);
        let poor = |error: &SqlError| matches!(error, SqlError::Absent { .. } | SqlError::NoKey);
        assert!(last.undo_errors.iter().all(poor), "{:?}", last.undo_errors);
    } else {
        assert_eq!(last.undo_errors, []);
        server.run(&last.undo(), &CLIENT);
        assert_eq!(checksums(server, &copy), before, "{} {}: taken back", server.kind(), run.name);
    }
    server.ask(&clean);
}

#[test]
fn whole_images() {
    for server in servers() {
        check(&server, &Run { name: "whole", settings: "", poor: false });
    }
}

#[test]
fn images_that_hold_few_columns() {
    for server in servers() {
        let settings = "SET binlog_row_image = 'MINIMAL';";
        check(&server, &Run { name: "minimal", settings, poor: true });
        let settings = "SET binlog_row_image = 'NOBLOB';";
        check(&server, &Run { name: "noblob", settings, poor: true });
    }
}

#[test]
fn compressed_transactions() {
    for server in servers().iter().filter(|server| server.is_mysql()) {
        let settings = "SET binlog_transaction_compression = ON;";
        check(server, &Run { name: "compressed", settings, poor: false });
    }
}

/// Documents after partial updates are what SELECT shows, and statements make them.
#[test]
fn partial_updates_of_json() {
    for server in servers().iter().filter(|server| server.is_mysql()) {
        let (inserts, updates) = partial_changes(&mut Random(11));
        let make = "CREATE TABLE p (id INT PRIMARY KEY, j JSON, k JSON, v INT)";
        let clean = "DROP DATABASE IF EXISTS sq_partial; DROP DATABASE IF EXISTS sq_partial_copy;";
        server.ask(&format!(
            "{clean} CREATE DATABASE sq_partial; CREATE DATABASE sq_partial_copy; \
             USE sq_partial; {make}; USE sq_partial_copy; {make}"
        ));
        let shown = |database: &str| {
            server.ask(&format!(
                "SELECT id, v, HEX(CAST(j AS CHAR)), HEX(CAST(k AS CHAR)), JSON_TYPE(j->'$.n'), \
                 JSON_TYPE(j->'$.o') FROM {database}.p ORDER BY id"
            ))
        };
        let settings = "USE sq_partial; SET binlog_row_value_options = 'PARTIAL_JSON'";
        let first = server.new_log();
        server.ask(&format!("{settings}; {inserts} {updates}"));
        let (made, second) = (shown("sq_partial"), server.new_log());
        // Without the documents before, changes stay changes.
        server.ask(&format!("{settings}, binlog_row_image = 'MINIMAL'; {updates}"));
        let end = server.new_log();

        let known = known(server, "sq_partial");
        let logs = server.logs(&first, &second);
        assert!(partial_events(&logs) > 100, "{} partial updates", partial_events(&logs));
        for (id, (j, k)) in documents(&logs, "sq_partial") {
            let line = made.iter().find(|line| line.starts_with(&format!("{id}\t"))).expect("it");
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!(unhex(fields[2]), j, "{id}");
            assert_eq!(unhex(fields[3]), k, "{id}");
        }
        let all = read(&logs, &known, "sq_partial", "sq_partial_copy");
        assert_eq!((&all.errors[..], &all.undo_errors[..]), (&[][..], &[][..]));
        server.run(&all.forward(), &CLIENT);
        assert_eq!(shown("sq_partial_copy"), made);
        server.run(&all.undo(), &CLIENT);
        assert_eq!(server.ask("SELECT COUNT(*) FROM sq_partial_copy.p"), ["0"]);

        let logs = server.logs(&second, &end);
        assert!(partial_events(&logs) > 100, "{} partial updates", partial_events(&logs));
        let rest = read(&logs, &known, "sq_partial", "sq_partial_copy");
        assert_eq!(rest.errors, []);
        assert!(rest.undo_errors.len() > 100, "{} errors", rest.undo_errors.len());
        server.run(&all.forward(), &CLIENT);
        server.run(&rest.forward(), &CLIENT);
        assert_eq!(shown("sq_partial_copy"), shown("sq_partial"));
        server.ask(clean);
    }
}

/// How many row events hold changes of documents.
fn partial_events(logs: &[Vec<u8>]) -> usize {
    let mut count = 0;
    for log in logs {
        common::each_event(log, |_, event| {
            count += usize::from(matches!(event, Event::Rows(rows) if rows.is_partial()));
        });
    }
    count
}

/// Rows with documents, and updates of parts of these.
fn partial_changes(random: &mut Random) -> (String, String) {
    let document = "JSON_OBJECT('a', JSON_ARRAY(1, 2, JSON_OBJECT('x y', 'z')), 'b', \
                    REPEAT('b', 100), 'q\"\\\\', JSON_ARRAY(), '\u{fc}', 7)";
    let (mut sql, mut updates) = (String::new(), String::new());
    for id in 1..=20 {
        let long = random.pick(&["1", "REPEAT('l', 65000)", "REPEAT('m', 200)"]);
        sql +=
            &format!("INSERT INTO p VALUES ({id}, JSON_SET({document}, '$.l', {long}), '[1]', 0);");
    }
    for _ in 0..400 {
        let (id, column) = (random.below(20) + 1, random.pick(&["j", "j", "k"]));
        let path = random.pick(&[
            "$.a[1]",
            "$.a",
            "$.a[2].\"x y\"",
            "$.\"q\\\"\\\\\"[0]",
            "$.\u{fc}",
            "$[0]",
            "$.b",
            "$.n",
            "$.a[last]",
            "$.\"\"",
        ]);
        let path = path.replace('\\', "\\\\");
        let value = random.pick(&[
            "1",
            "'text'",
            "REPEAT('v', 300)",
            "CAST('{\"n\": [1, 2.5, true]}' AS JSON)",
            "CAST('2026-11-20' AS DATE)",
            "1.50",
            "NULL",
            "REPEAT('w', 66000)",
        ]);
        let call = match random.below(4) {
            0 => format!("JSON_SET({column}, '{path}', {value})"),
            1 => format!("JSON_REPLACE({column}, '{path}', {value})"),
            2 => format!("JSON_REMOVE({column}, '{path}')"),
            _ => format!("JSON_SET(JSON_REMOVE({column}, '{path}'), '$.o', {value})"),
        };
        updates += &format!("UPDATE IGNORE p SET {column} = {call}, v = v + 1 WHERE id = {id};");
    }
    (sql, updates)
}

/// The newest documents of a table `(id, j, k, v)`, by id, as text.
fn documents(logs: &[Vec<u8>], database: &str) -> BTreeMap<i64, (Vec<u8>, Vec<u8>)> {
    let (mut tables, mut documents) = (BTreeMap::new(), BTreeMap::new());
    for log in logs {
        common::each_event(log, |_, event| match event {
            Event::TableMap(map) => {
                let table = map.table().expect("a table map");
                tables.insert(table.id, table);
            }
            Event::Rows(event) if *tables[&event.table_id].database == *database.as_bytes() => {
                let mut rows = event.rows(&tables[&event.table_id]).expect("rows");
                let mut change = Change::default();
                while rows.read(&mut change).expect("a row") {
                    let text = |index: usize| {
                        let bytes = change.json_after(index).expect("changes").expect("a document");
                        let mut text = Vec::new();
                        Json::from_bytes(&bytes).write(&mut text).expect("a document");
                        text
                    };
                    let Value::Signed(id) = change.after[0] else { panic!("an id") };
                    documents.insert(id, (text(1), text(2)));
                }
            }
            _ => {}
        });
    }
    documents
}
