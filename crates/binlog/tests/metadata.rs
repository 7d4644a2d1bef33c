//! What table maps tell about columns, against what the server says of them, and what statements
//! depend on.

mod common;

use std::collections::BTreeMap;

use binlog::{ColumnKind, Event, UserValue};
use common::replay::{Columns, Replay};
use common::{SERVERS, each_event, expected, fixture, folder};

/// The newest description of each table.
fn tables(name: &str) -> BTreeMap<String, binlog::Table> {
    let mut replay = Replay::default();
    let log = fixture(&format!("{name}.binlog"));
    each_event(&log, |_, event| replay.take(event, &BTreeMap::new()));
    replay.named
}

/// The members in a type such as `enum('a','it''s')`.
fn members(kind: &str) -> Vec<String> {
    let list = &kind[kind.find('(').expect("members") + 2..kind.len() - 2];
    list.split("','").map(|member| member.replace("''", "'")).collect()
}

#[test]
fn full_metadata_is_what_information_schema_says() {
    for server in SERVERS {
        let name = format!("{server}-types-full");
        let found = tables(&name);
        for line in expected(&folder(), &name) {
            let Some(table) = line["table"].as_str() else { continue };
            let columns = Columns::of(&line);
            let found = &found[table];
            assert_eq!(found.columns.len(), columns.0.len());
            for ((column, (name, kind, data_type)), line) in
                found.columns.iter().zip(&columns.0).zip(line["columns"].as_array().unwrap())
            {
                let place = format!("{server}: {table}.{name} {kind}");
                assert_eq!(column.name.as_deref(), Some(name.as_bytes()), "{place}");
                if column.kind.is_numeric() {
                    let unsigned = kind.contains("unsigned") || kind.contains("zerofill");
                    assert_eq!(column.unsigned, Some(unsigned), "{place}");
                } else {
                    assert_eq!(column.unsigned, None, "{place}");
                }
                if matches!(data_type.as_str(), "enum" | "set") {
                    let found: Vec<_> = column
                        .members
                        .iter()
                        .flatten()
                        .map(|member| match column.collation {
                            // latin1
                            Some(8 | 47) => member.iter().map(|&byte| byte as char).collect(),
                            _ => String::from_utf8(member.to_vec()).expect("UTF-8"),
                        })
                        .collect();
                    assert_eq!(found, members(kind), "{place}");
                }
                let collation = line["collation"].as_str().unwrap();
                let binary = match data_type.as_str() {
                    "char" | "varchar" | "text" | "tinytext" | "mediumtext" | "longtext" => false,
                    "binary" | "varbinary" | "blob" | "tinyblob" | "mediumblob" | "longblob" => {
                        true
                    }
                    _ => continue,
                };
                assert_eq!(collation.is_empty(), binary, "{place}");
                assert_eq!(column.collation == Some(63), binary, "{place}: {:?}", column.collation);
                assert!(column.collation.is_some(), "{place}");
            }
        }
    }
}

#[test]
fn keys_and_visibility() {
    for server in SERVERS {
        let mysql = server.starts_with("mysql");
        let full = tables(&format!("{server}-types-full"));
        let key: Vec<_> = full["bl_types_full.keyed"]
            .primary_key
            .iter()
            .map(|part| (part.column, part.prefix))
            .collect();
        assert_eq!(key, [(2, None), (1, Some(10)), (0, None)], "{server}");
        assert_eq!(full["bl_types_full.ints"].key_columns().collect::<Vec<_>>(), [0]);
        let visible: Vec<_> =
            full["bl_types_full.hidden"].columns.iter().map(|column| column.visible).collect();
        match mysql {
            true => assert_eq!(visible, [Some(true), Some(true), Some(false)]),
            // MariaDB does not tell.
            false => assert_eq!(visible, [None; 3]),
        }
        let dimensions = |table: &binlog::Table| table.columns[2].dimensions;
        if mysql {
            assert_eq!(dimensions(&full["bl_types_full.vectors"]), Some(3));
        }
        let shapes = &full["bl_types_full.shapes"];
        let kinds: Vec<_> = shapes.columns.iter().map(|column| column.geometry).collect();
        assert_eq!(kinds[1..], [Some(0), Some(1), Some(2), Some(3), Some(4), Some(7)], "{server}");
    }
}

/// What the families tell by default: MySQL signs and collations, MariaDB nothing.
#[test]
fn default_metadata() {
    for server in SERVERS {
        let tables = tables(&format!("{server}-types"));
        let ints = &tables["bl_types.ints"];
        let told = server.starts_with("mysql");
        assert_eq!(ints.columns[2].unsigned, told.then_some(true), "{server}");
        assert_eq!(tables["bl_types.texts"].columns[1].collation.is_some(), told);
        assert!(ints.columns.iter().all(|column| column.name.is_none()));
        assert!(ints.primary_key.is_empty());
        assert_eq!(tables["bl_types.texts"].columns[2].kind, ColumnKind::Char { bytes: 1020 });
    }
}

#[test]
fn what_statements_depend_on() {
    for server in SERVERS {
        let mut values = BTreeMap::new();
        let (mut seeds, mut inserts, mut last, mut load) = (0, 0, 0, Vec::new());
        let mut loaded = Vec::new();
        let log = fixture(&format!("{server}-statement-format.binlog"));
        each_event(&log, |_, event| match event {
            Event::UserVar(variable) => {
                let name = String::from_utf8_lossy(variable.name).into_owned();
                values.insert(name, variable.value.map(owned));
            }
            Event::Rand(..) => seeds += 1,
            Event::Intvar { kind: 2, .. } => inserts += 1,
            Event::Intvar { kind: 1, value } => last = *value,
            Event::BeginLoad { block, .. } | Event::AppendBlock { block, .. } => {
                load.extend_from_slice(block);
            }
            Event::ExecuteLoad(query) => {
                let (start, end) = (query.name_start as usize, query.name_end as usize);
                loaded = query.query.sql[start..end].to_vec();
            }
            _ => {}
        });
        assert!(seeds == 1 && inserts >= 5, "{server}: {seeds} {inserts}");
        assert_eq!(last, 1, "{server}");
        assert_eq!(load, b"four\nfive\nsix\n", "{server}");
        assert!(String::from_utf8_lossy(&loaded).contains("INFILE"), "{server}");
        let text = values["text"].as_ref().expect("a text");
        assert_eq!((text.0, &text.1[..]), (0, &b"it's"[..]), "{server}");
        let number = values["number"].as_ref().expect("a number");
        assert_eq!((number.0, &number.1[..]), (2, &(-5_i64).to_le_bytes()[..]), "{server}");
        let real = values["real"].as_ref().expect("a number");
        assert_eq!((real.0, &real.1[..]), (1, &1.5_f64.to_le_bytes()[..]), "{server}");
        assert_eq!(values["exact"].as_ref().expect("a number").0, 4);
        assert_eq!(values["nothing"], None, "{server}");
    }
}

fn owned(value: UserValue<'_>) -> (u8, Vec<u8>) {
    (value.kind, value.bytes.to_vec())
}
