//! Values of rows against what `mysql_common` reads from the same events: a second implementation,
//! by others. It knows neither MariaDB's own types nor MariaDB's compressed events, nor events whose
//! rows have a column that it cannot read; those are counted here and tested elsewhere.

mod common;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use binlog::{Change, DateTime, Event, RawEvent, Table, Value};
use common::{all_logs, each_event};
use mysql_common::Value as Plain;
use mysql_common::binlog::EventStreamReader;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::EventData;
use mysql_common::binlog::row::BinlogRow;
use mysql_common::binlog::value::BinlogValue;

const KINDS: [&str; 20] = [
    "BIT",
    "DATE",
    "DATETIME",
    "DECIMAL",
    "DOUBLE",
    "ENUM",
    "FLOAT",
    "GEOMETRY",
    "JSON",
    "JSON without text",
    "NULL",
    "SET",
    "TIME",
    "TIMESTAMP",
    "VECTOR",
    "YEAR",
    "changes of JSON",
    "signed",
    "text",
    "unsigned",
];

/// How many values agreed, by type; and how many row events the other reader gave up.
#[derive(Default)]
struct Compared {
    values: BTreeMap<&'static str, u64>,
    given_up: u64,
}

#[test]
fn values_are_what_another_reader_finds() {
    let mut compared = Compared::default();
    for (name, log) in all_logs() {
        let mut theirs = EventStreamReader::new(BinlogVersion::Version4);
        let mut maps = BTreeMap::new();
        each_event(&log, |raw, event| {
            // Events inside payloads have a position of their own.
            let Some(bytes) = whole(&log, raw) else { return };
            let Ok(Some(other)) = theirs.read(bytes) else { return };
            match event {
                Event::TableMap(map) => {
                    let table = map.table().expect("a right table map");
                    maps.insert(table.id, table);
                }
                Event::Rows(rows) => {
                    let table = &maps[&rows.table_id];
                    let map = theirs.get_tme(rows.table_id).expect("a table map");
                    let Ok(Some(EventData::RowsEvent(other))) = other.read_data() else {
                        compared.given_up += 1;
                        return;
                    };
                    let mut ours = rows.rows(table).expect("its table");
                    compare(&name, &mut ours, other.rows(map), &mut compared);
                }
                _ => {}
            }
        });
    }
    let kinds: Vec<_> = compared.values.keys().copied().collect();
    assert_eq!(kinds, KINDS, "types that were compared");
    let values: u64 = compared.values.values().sum();
    assert!(values > 6000, "{values} values, {} row events given up", compared.given_up);
}

/// The bytes of an event; `None` for one inside a payload.
fn whole<'a>(log: &'a [u8], raw: &RawEvent<'_>) -> Option<&'a [u8]> {
    let bytes = log.get(raw.position as usize..raw.end() as usize)?;
    (binlog::Header::parse(bytes) == Some(raw.header)).then_some(bytes)
}

fn compare(
    name: &str,
    ours: &mut binlog::Rows<'_>,
    mut theirs: impl Iterator<Item = std::io::Result<(Option<BinlogRow>, Option<BinlogRow>)>>,
    compared: &mut Compared,
) {
    let table = ours.table();
    let mut change = Change::default();
    loop {
        // It overflows at some TIMEs below zero.
        let row = catch_unwind(AssertUnwindSafe(|| theirs.next()));
        let (before, after) = match row {
            Ok(Some(Ok(images))) => images,
            Ok(None) => return,
            Ok(Some(Err(_))) | Err(_) => {
                compared.given_up += 1;
                return;
            }
        };
        assert!(ours.read(&mut change).expect("a row"), "{name}: more rows");
        for (ours, theirs) in [(&change.before, before), (&change.after, after)] {
            let held = ours.iter().enumerate().filter(|(_, value)| **value != Value::Absent);
            let theirs = theirs.map_or_else(Vec::new, BinlogRow::unwrap);
            assert_eq!(held.clone().count(), theirs.len(), "{name}");
            for ((column, ours), theirs) in held.zip(&theirs) {
                let kind = agrees(ours, theirs)
                    .unwrap_or_else(|| panic!("{}", place(name, table, column, ours, theirs)));
                *compared.values.entry(kind).or_default() += 1;
            }
        }
    }
}

fn place(
    name: &str,
    table: &Table,
    column: usize,
    ours: &Value<'_>,
    theirs: &BinlogValue<'_>,
) -> String {
    let table = table.name.escape_ascii();
    format!("{name}: {table} @{}: {ours:?} instead of {theirs:?}", column + 1)
}

/// The type of a value that is the same for both; `None` where it is not.
fn agrees(ours: &Value<'_>, theirs: &BinlogValue<'_>) -> Option<&'static str> {
    let ((kind, ours), wanted) = match (ours, theirs) {
        (Value::Json(json), BinlogValue::Jsonb(theirs)) => {
            let ours: serde_json::Value = serde_json::from_str(&json.to_text()).ok()?;
            // It has no text for some of SQL's types inside a document.
            let Ok(theirs) = serde_json::Value::try_from(theirs.clone()) else {
                return Some("JSON without text");
            };
            return (ours == theirs).then_some("JSON");
        }
        (Value::JsonDiffs(diffs), BinlogValue::JsonDiff(theirs)) => {
            return (diffs.read().ok()?.len() == theirs.len()).then_some("changes of JSON");
        }
        (Value::Set(members), BinlogValue::Value(Plain::Bytes(theirs))) => {
            let members = members.to_le_bytes();
            let (held, rest) = members.split_at_checked(theirs.len())?;
            return (held == theirs && rest.iter().all(|&byte| byte == 0)).then_some("SET");
        }
        (_, BinlogValue::Value(theirs)) => (plain(ours)?, theirs),
        _ => return None,
    };
    (ours == *wanted || same_number(&ours, wanted)).then_some(kind)
}

/// Unsigned integers that the other reader holds as signed ones; and MEDIUMINT below zero, which it
/// does not extend to more than 24 bits.
fn same_number(ours: &Plain, theirs: &Plain) -> bool {
    match (ours, theirs) {
        (Plain::UInt(ours), Plain::Int(theirs)) => i128::from(*ours) == i128::from(*theirs),
        (Plain::Int(ours), Plain::Int(theirs)) => {
            (-(1 << 23)..0).contains(ours) && ours + (1 << 24) == *theirs
        }
        _ => false,
    }
}

/// Our value as the other reader holds it, and the name of its type.
fn plain(value: &Value<'_>) -> Option<(&'static str, Plain)> {
    let bytes = |text: String| Plain::Bytes(text.into_bytes());
    Some(match *value {
        Value::Null => ("NULL", Plain::NULL),
        Value::Signed(number) => ("signed", Plain::Int(number)),
        Value::Unsigned(number) => ("unsigned", Plain::UInt(number)),
        Value::Float(number) => ("FLOAT", Plain::Float(number)),
        Value::Double(number) => ("DOUBLE", Plain::Double(number)),
        Value::Decimal(decimal) => ("DECIMAL", bytes(decimal.to_string())),
        Value::Bits(bits) => {
            let number = bits.number().to_be_bytes();
            let length = usize::from(bits.len()).div_ceil(8);
            ("BIT", Plain::Bytes(number[8 - length..].to_vec()))
        }
        Value::Time(time) => {
            let (days, hours) = (u32::from(time.hours / 24), (time.hours % 24) as u8);
            let (minutes, seconds) = (time.minutes, time.seconds);
            let negative = time.negative;
            ("TIME", Plain::Time(negative, days, hours, minutes, seconds, time.microseconds))
        }
        Value::Date(date) => ("DATE", Plain::Date(date.year, date.month, date.day, 0, 0, 0, 0)),
        Value::DateTime(DateTime { date, time }) => {
            let (hours, micros) = (time.hours as u8, time.microseconds);
            let (minutes, seconds) = (time.minutes, time.seconds);
            let day = (date.year, date.month, date.day);
            ("DATETIME", Plain::Date(day.0, day.1, day.2, hours, minutes, seconds, micros))
        }
        Value::Timestamp(moment) if moment.microseconds == 0 => {
            ("TIMESTAMP", bytes(moment.seconds.to_string()))
        }
        Value::Timestamp(moment) => {
            ("TIMESTAMP", bytes(format!("{}.{:06}", moment.seconds, moment.microseconds)))
        }
        // The other reader takes 0 for 1900.
        Value::Year(year) => ("YEAR", bytes(year.max(1900).to_string())),
        Value::Enum(number) => ("ENUM", Plain::Int(number.into())),
        Value::Bytes(text) => ("text", Plain::Bytes(text.to_vec())),
        Value::Geometry(geometry) => ("GEOMETRY", Plain::Bytes(geometry.to_vec())),
        Value::Vector(numbers) => ("VECTOR", Plain::Bytes(numbers.to_vec())),
        _ => return None,
    })
}
