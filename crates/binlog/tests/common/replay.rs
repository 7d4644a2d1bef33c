//! Rows played into tables, so that they can be compared with what SELECT shows afterwards. Values
//! are turned into text by the column types that the server tells, apart from the crate's own code.

use std::collections::BTreeMap;
use std::path::Path;

use binlog::{Change, ChangeKind, Event, Table, Value, value};
use serde_json::Value as Expected;

use super::{each_event, expected};

/// Plays a log into tables and compares these with what SELECT showed.
pub(crate) fn check(folder: &Path, name: &str) -> Replay {
    let lines = expected(folder, name);
    let tables: BTreeMap<String, &serde_json::Value> =
        lines.iter().filter_map(|line| Some((line["table"].as_str()?.to_string(), line))).collect();
    let columns = tables.iter().map(|(name, table)| (name.clone(), Columns::of(table))).collect();
    let mut replay = Replay::default();
    let log = std::fs::read(folder.join(format!("{name}.binlog"))).expect("a log");
    each_event(&log, |_, event| replay.take(event, &columns));
    for (table, wanted) in tables {
        let found =
            replay.tables.get(&table).unwrap_or_else(|| panic!("{name}: no rows of {table}"));
        let rows = wanted["rows"].as_array().expect("rows");
        assert_eq!(found.len(), rows.len(), "{name}: rows of {table}");
        for ((id, found), wanted) in found.iter().zip(rows) {
            let wanted = wanted.as_array().expect("a row");
            for ((column, found), wanted) in columns[&table].0.iter().zip(found).zip(wanted) {
                let (column, kind, data_type) = column;
                assert!(
                    agrees(data_type, found, wanted),
                    "{name}: {table} {id}: {column} {kind}: {found:?} instead of {wanted}"
                );
            }
        }
    }
    replay
}

/// A value as `.expected` shows it; `None` for NULL.
pub(crate) type Shown = Option<String>;

/// Tables by name, rows by their `id`.
#[derive(Default)]
pub(crate) struct Replay {
    pub tables: BTreeMap<String, BTreeMap<i64, Vec<Shown>>>,
    pub maps: BTreeMap<u64, Table>,
    /// Of each name the newest.
    pub named: BTreeMap<String, Table>,
    pub changes: usize,
}

/// What the server says about the columns of a table.
pub(crate) struct Columns(pub Vec<(String, String, String)>);

impl Columns {
    pub(crate) fn of(table: &Expected) -> Columns {
        let text = |column: &Expected, key: &str| column[key].as_str().expect(key).to_string();
        let columns = table["columns"].as_array().expect("columns");
        Columns(
            columns
                .iter()
                .map(|c| (text(c, "name"), text(c, "type"), text(c, "data_type")))
                .collect(),
        )
    }

    fn id(&self) -> usize {
        self.0.iter().position(|(name, ..)| name == "id").expect("a column id")
    }
}

impl Replay {
    /// Takes one event; rows of tables that `columns` does not know are passed over.
    pub(crate) fn take(&mut self, event: &Event<'_>, columns: &BTreeMap<String, Columns>) {
        match event {
            Event::TableMap(map) => {
                let table = map.table().expect("a right table map");
                self.named.insert(name(&table), table.clone());
                self.maps.insert(table.id, table);
            }
            Event::Rows(rows) => {
                let table = self.maps.get(&rows.table_id).expect("its table map came before");
                let Some(columns) = columns.get(&name(table)) else { return };
                let state = self.tables.entry(name(table)).or_default();
                let mut walk = rows.rows(table).expect("rows of this table");
                let counted = walk.clone().count().expect("rows");
                let mut change = Change::default();
                let mut count = 0;
                while walk.read(&mut change).expect("a right row") {
                    count += 1;
                    apply(state, columns, table, rows.kind, &change);
                }
                assert_eq!(count, counted);
                self.changes += count as usize;
            }
            _ => {}
        }
    }
}

fn name(table: &Table) -> String {
    String::from_utf8(table.database.to_vec()).unwrap()
        + "."
        + std::str::from_utf8(&table.name).unwrap()
}

fn apply(
    state: &mut BTreeMap<i64, Vec<Shown>>,
    columns: &Columns,
    table: &Table,
    kind: ChangeKind,
    change: &Change<'_>,
) {
    let id = columns.id();
    let key = |row: &[Value<'_>]| match row[id] {
        Value::Signed(id) => Some(id),
        _ => None,
    };
    let mut row = vec![None; columns.0.len()];
    if kind != ChangeKind::Insert {
        // Without a key in the image, any row that agrees with it.
        let before = shown(columns, table, &change.before);
        let found = key(&change.before).unwrap_or_else(|| {
            *state
                .iter()
                .find(|(_, row)| {
                    row.iter()
                        .zip(&before)
                        .all(|(have, want)| want.as_ref().is_none_or(|want| have == want))
                })
                .expect("the row that is changed")
                .0
        });
        row = state.remove(&found).expect("the row that is changed");
        for (have, want) in row.iter().zip(&before) {
            if let Some(want) = want {
                assert_eq!(have, want, "the image before the change is the row");
            }
        }
    }
    if kind != ChangeKind::Delete {
        for (index, value) in change.after.iter().enumerate() {
            if let Value::JsonDiffs(diffs) = value {
                row[index] = Some(patched(row[index].as_ref().expect("a document"), diffs));
            }
        }
        for (slot, new) in row.iter_mut().zip(shown(columns, table, &change.after)) {
            if let Some(new) = new {
                *slot = new;
            }
        }
        let id = row[id].as_ref().expect("an id").parse().expect("a number");
        state.insert(id, row);
    }
}

/// The values of an image; `None` where it does not hold the column, or changes to it only.
fn shown(columns: &Columns, table: &Table, row: &[Value<'_>]) -> Vec<Option<Shown>> {
    let values = columns.0.iter().zip(&table.columns).zip(row);
    values
        .map(|(((_, kind, data_type), column), value)| match value {
            Value::Absent | Value::JsonDiffs(_) => None,
            Value::Null => Some(None),
            value => Some(Some(show(kind, data_type, column, *value))),
        })
        .collect()
}

fn show(kind: &str, data_type: &str, column: &binlog::Column, value: Value<'_>) -> String {
    let hex = |bytes: &[u8]| match bytes.len() * 2 {
        0..=1200 => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        _ => format!("{} bytes, crc32 {:08x}", bytes.len(), crc32fast::hash(bytes)),
    };
    let value = match kind.contains("unsigned") || kind.contains("zerofill") {
        true => {
            assert_ne!(column.unsigned, Some(false));
            value.as_unsigned(column)
        }
        false => value,
    };
    match value {
        Value::Signed(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Float(number) => format!("{:e}", number as f64),
        Value::Double(number) => format!("{number:e}"),
        Value::Decimal(number) => number.to_string(),
        Value::Bits(bits) => {
            assert_eq!(bits.to_string().len(), bits.len() as usize);
            bits.number().to_string()
        }
        Value::Date(date) => date.to_string(),
        Value::Time(time) => time.to_string(),
        Value::DateTime(moment) => moment.to_string(),
        Value::Timestamp(moment) => moment.to_string(),
        Value::Year(year) => year.to_string(),
        Value::Enum(number) => number.to_string(),
        Value::Set(bits) => bits.to_string(),
        Value::Json(json) => hex(json.to_text().as_bytes()),
        Value::Geometry(bytes) | Value::Vector(bytes) => hex(bytes),
        Value::Bytes(_) | Value::Compressed(_) => {
            let text = value.text().expect("undamaged").expect("a text");
            match data_type {
                "uuid" => binlog::format_uuid(&value::uuid(&text).expect("16 bytes")),
                "inet6" => {
                    std::net::Ipv6Addr::from(value::padded::<16>(&text).unwrap()).to_string()
                }
                "inet4" => std::net::Ipv4Addr::from(value::padded::<4>(&text).unwrap()).to_string(),
                "binary" => {
                    let width = kind["binary(".len()..kind.len() - 1].parse().unwrap();
                    let mut whole = text.to_vec();
                    whole.resize(width, 0);
                    hex(&whole)
                }
                _ => hex(&text),
            }
        }
        other => panic!("{other:?} in a column {kind}"),
    }
}

/// A document in hexadecimal, changed as a partial update says. Only what the fixtures need.
fn patched(hex: &str, diffs: &binlog::JsonDiffs<'_>) -> String {
    let bytes: Vec<u8> = hex
        .as_bytes()
        .chunks(2)
        .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
        .collect();
    let mut document: Expected = serde_json::from_slice(&bytes).expect("JSON");
    for diff in diffs.read().expect("changes") {
        let path = std::str::from_utf8(diff.path).unwrap();
        let value =
            diff.value.map(|json| serde_json::from_str::<Expected>(&json.to_text()).unwrap());
        let legs: Vec<&str> =
            path[1..].split(['.', '[', ']']).filter(|leg| !leg.is_empty()).collect();
        let (last, way) = legs.split_last().expect("a path");
        let mut place = &mut document;
        for leg in way {
            place = match leg.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[*leg],
            };
        }
        match (place, value) {
            (Expected::Object(members), Some(value)) => {
                members.insert(last.to_string(), value);
            }
            (Expected::Object(members), None) => {
                members.remove(*last);
            }
            (Expected::Array(elements), Some(value)) => {
                assert_eq!(diff.operation, binlog::JsonOperation::Replace);
                elements[last.parse::<usize>().unwrap()] = value;
            }
            (Expected::Array(elements), None) => {
                elements.remove(last.parse().unwrap());
            }
            _ => panic!("no container at {path}"),
        }
    }
    // MySQL's order of keys and its spaces; the fixtures have keys of one letter, sorted alike.
    let text = document.to_string().replace(",", ", ").replace(":", ": ");
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

/// Whether a value is what SELECT showed: numbers as numbers, all else to the letter.
fn agrees(data_type: &str, found: &Shown, wanted: &Expected) -> bool {
    let wanted = wanted.as_str();
    match (found, wanted) {
        (Some(found), Some(wanted)) if matches!(data_type, "float" | "double") => {
            found.parse::<f64>().unwrap() == wanted.parse::<f64>().unwrap()
        }
        // `a + 0` shows DECIMAL with its scale, but BIGINT as it is; TIMESTAMP 0 without fraction.
        (Some(found), Some(wanted)) if data_type == "timestamp" => {
            found == wanted || found.parse::<f64>().unwrap() == wanted.parse::<f64>().unwrap()
        }
        (Some(found), Some(wanted)) => found == wanted,
        (None, None) => true,
        _ => false,
    }
}
