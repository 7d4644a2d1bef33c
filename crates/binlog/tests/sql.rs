//! Statements made of the rows of recorded logs. That real servers take them, and what follows, is
//! tried in `real_sql.rs`.

mod common;

use std::collections::BTreeMap;

use binlog::{Change, ChangeKind, Event, SqlError, SqlTable, Table};
use common::{SERVERS, each_event, fixture};

/// What was made of a log: statements, undo statements and errors of either, in the log's order.
#[derive(Default)]
struct Made {
    sql: Vec<Result<String, SqlError>>,
    undo: Vec<Result<String, SqlError>>,
}

/// Statements of all rows of the tables that `complete` answers true for.
fn made(log: &[u8], mut complete: impl FnMut(&mut Table) -> bool) -> Made {
    let (mut tables, mut made) = (BTreeMap::new(), Made::default());
    each_event(log, |_, event| match event {
        Event::TableMap(map) => {
            let mut table = map.table().expect("a table map");
            tables.remove(&table.id);
            if complete(&mut table) {
                tables.insert(table.id, table);
            }
        }
        Event::Rows(event) if tables.contains_key(&event.table_id) => {
            let table = &tables[&event.table_id];
            let statements = SqlTable::new(table).expect("names");
            let (mut rows, mut change) = (event.rows(table).expect("rows"), Change::default());
            while rows.read(&mut change).expect("a row") {
                let text = |write: &dyn Fn(&mut Vec<u8>) -> Result<(), SqlError>| {
                    let mut out = Vec::new();
                    write(&mut out).map(|()| String::from_utf8(out).expect("UTF-8"))
                };
                made.sql.push(text(&|out| statements.write(rows.kind(), &change, out)));
                made.undo.push(text(&|out| statements.write_undo(rows.kind(), &change, out)));
            }
        }
        _ => {}
    });
    made
}

fn named(table: &mut Table, names: &[&str]) {
    for (column, name) in table.columns.iter_mut().zip(names) {
        column.name = Some(name.as_bytes().into());
    }
}

#[test]
fn logs_with_full_metadata_need_nothing_else() {
    for server in SERVERS {
        let made = made(&fixture(&format!("{server}-types-full.binlog")), |_| true);
        assert!(made.sql.len() > 60, "{server}: {} rows", made.sql.len());
        for one in made.sql.iter().chain(&made.undo) {
            let sql = one.as_ref().unwrap_or_else(|error| panic!("{server}: {error}"));
            assert!(sql.ends_with(";\n"), "{sql}");
        }
        let line = |wanted: &str| made.undo.iter().flatten().any(|sql| sql == wanted);
        assert!(line(
            "UPDATE `bl_types_full`.`keyed` SET `d` = NULL WHERE `c` = -2 AND `b` = 'two' AND `a` = 2 \
             LIMIT 1;\n"
        ));
    }
}

#[test]
fn logs_that_name_no_columns_ask_for_names() {
    for server in SERVERS {
        let mut asked = 0;
        each_event(&fixture(&format!("{server}-minimal.binlog")), |_, event| {
            if let Event::TableMap(map) = event {
                let error = SqlTable::new(&map.table().unwrap()).err();
                assert_eq!(error, Some(SqlError::NoNames));
                assert!(error.unwrap().to_string().contains("binlog_row_metadata=FULL"));
                asked += 1;
            }
        });
        assert!(asked > 5);
    }
}

/// The statements of the scenario `minimal`, in its order.
#[test]
fn images_that_hold_too_little_are_never_guessed_at() {
    for server in SERVERS {
        let names = ["id", "a", "b", "c", "d"];
        let of = |keyed: bool| {
            made(&fixture(&format!("{server}-minimal.binlog")), |table| {
                named(table, &names);
                table.columns[0].unsigned = Some(false);
                if keyed {
                    table.primary_key = vec![binlog::KeyPart { column: 0, prefix: None }];
                }
                *table.name == b"plain"[..]
            })
        };
        let keyed = of(true);
        let text = |one: &Result<String, SqlError>| match one {
            Ok(sql) => sql.replace("`bl_minimal`.`plain`", "t").replace(";\n", ""),
            Err(error) => error.to_string()[..40].to_string(),
        };
        let hex = |texts: &str| match server.starts_with("mysql") {
            true => texts.to_string(),
            // MariaDB's default metadata tell no character set.
            false => texts
                .split('\'')
                .enumerate()
                .map(|(at, part)| match at % 2 {
                    0 => part.to_string(),
                    _ => format!(
                        "x'{}'",
                        part.bytes().map(|b| format!("{b:02x}")).collect::<String>()
                    ),
                })
                .collect(),
        };
        assert_eq!(
            keyed.sql.iter().map(text).collect::<Vec<_>>(),
            [
                "INSERT INTO t (`id`, `a`, `b`, `c`, `d`) VALUES (1, 1, 'one', 'text', 1)",
                "INSERT INTO t (`id`, `a`, `b`, `c`, `d`) VALUES (2, 2, 'two', NULL, 2)",
                "INSERT INTO t (`id`, `b`) VALUES (3, 'three')",
                "UPDATE t SET `a` = 10, `c` = 'changed' WHERE `id` = 1 LIMIT 1",
                "UPDATE t SET `b` = NULL WHERE `id` = 2 LIMIT 1",
                "UPDATE t SET `id` = 4 WHERE `id` = 3 LIMIT 1",
                "DELETE FROM t WHERE `id` = 2 LIMIT 1",
            ]
            .map(hex)
        );
        let absent = |column: usize| SqlError::Absent { column }.to_string()[..40].to_string();
        let undo: Vec<String> = keyed.undo.iter().map(text).collect();
        assert_eq!(
            undo,
            [
                "DELETE FROM t WHERE `id` = 1 LIMIT 1".to_string(),
                "DELETE FROM t WHERE `id` = 2 LIMIT 1".to_string(),
                "DELETE FROM t WHERE `id` = 3 LIMIT 1".to_string(),
                absent(2),
                absent(3),
                // The key is in the image before, and the row is found by its new one.
                "UPDATE t SET `id` = 3 WHERE `id` = 4 LIMIT 1".to_string(),
                absent(2),
            ]
        );
        let keyless = of(false);
        assert_eq!(
            keyless.undo[2],
            Err(SqlError::NoKey),
            "an insert that tells two columns of five"
        );
    }
}

/// What the log does not tell, and what is the same whatever it is.
#[test]
fn signs_that_are_not_told_are_asked_for_only_where_they_matter() {
    let log = fixture("mariadb-11.8-types.binlog");
    let first = |unsigned: Option<bool>| {
        made(&log, |table| {
            named(table, &["id"; 20]);
            table.columns.iter_mut().for_each(|column| column.unsigned = unsigned);
            *table.name == b"ints"[..]
        })
    };
    assert!(first(None).sql.iter().any(|one| matches!(one, Err(SqlError::SignUnknown { .. }))));
    assert!(first(None).sql.iter().any(|one| one.is_ok()));
    assert!(first(Some(false)).sql.iter().all(|one| one.is_ok()));
}

#[test]
fn names_that_do_not_show_go_as_hexadecimal() {
    let log = fixture("mysql-9.7-no-checksum.binlog");
    let of = |name: &str| {
        let made = made(&log, |table| {
            named(table, &[name]);
            true
        });
        made.sql[0].clone().expect("a statement")
    };
    assert_eq!(of("a`b\"c"), "INSERT INTO `bl_no_checksum`.`n` (`a``b\"c`) VALUES (1);\n");
    let sql = "INSERT INTO `bl_no_checksum`.`n` (`\u{1b}[2J`) VALUES (1)";
    let hex: String = sql.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        of("\u{1b}[2J"),
        format!(
            "SET @rollcall = CONVERT(x'{hex}' USING utf8mb4);\nPREPARE rollcall FROM @rollcall;\n\
             EXECUTE rollcall;\nDEALLOCATE PREPARE rollcall;\n"
        )
    );
    for bad in ["", "a\0b"] {
        each_event(&log, |_, event| {
            if let Event::TableMap(map) = event {
                let mut table = map.table().expect("a table map");
                named(&mut table, &[bad]);
                assert_eq!(SqlTable::new(&table).err(), Some(SqlError::Name));
            }
        });
    }
}

#[test]
fn updates_that_change_nothing_have_no_statement() {
    let mut table = None;
    let log = fixture("mysql-9.7-no-checksum.binlog");
    each_event(&log, |_, event| {
        if let Event::TableMap(map) = event {
            table = Some(map.table().expect("a table map"));
        }
    });
    let mut table = table.expect("a table");
    named(&mut table, &["id"]);
    let statements = SqlTable::new(&table).expect("names");
    let row = vec![binlog::Value::Signed(1)];
    let change = Change { before: row.clone(), after: row };
    let mut out = Vec::new();
    statements.write(ChangeKind::Update, &change, &mut out).expect("nothing");
    statements.write_undo(ChangeKind::Update, &change, &mut out).expect("nothing");
    assert!(out.is_empty());
}
