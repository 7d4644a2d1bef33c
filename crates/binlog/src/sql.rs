//! Rows as statements that make the same changes again, or take them back.
//!
//! ```text
//! INSERT INTO `shop`.`orders` (`id`, `note`) VALUES (7, 'it''s');
//! UPDATE `shop`.`orders` SET `note` = NULL WHERE `id` = 7 LIMIT 1;
//! DELETE FROM `shop`.`orders` WHERE `id` = 7 LIMIT 1;
//! ```
//!
//! Rows are found by the primary key where the log names it (`binlog_row_metadata=FULL`), else by all
//! values of the image before: by their bytes, not by what a collation takes for equal. How values are
//! written stands in `literal.rs`. The statements want a session of their own that begins with
//! [`write_sql_preamble`].
//!
//! # What cannot be known
//! * The log does not tell which columns are generated
//!   ([`Column::generated`](crate::Column::generated)): servers refuse values for them, and nothing is
//!   changed.
//! * Columns of MariaDB's UUID, INET4 and INET6 are told from BINARY by nothing; their bytes are right
//!   for either. A UUID in the order of storage, which newer servers do not log, is refused.
//! * Triggers of the table run again. Rows that MariaDB's foreign keys changed by themselves are not in
//!   its log.
//! * An undo takes back what the log holds; what was changed since is overwritten or not found.
//!
//! # Invariants
//! * A statement is whole and right, or there is none but an error: images that hold too little
//!   (`binlog_row_image=MINIMAL`, NOBLOB) are never guessed at.
//! * The text is UTF-8 and has no control characters but the line break at its end.

use crate::column::{Column, ColumnKind};
use crate::error::Malformed;
use crate::json::{Json, JsonDiffs, JsonOperation};
use crate::literal::{is_binary, push_hex, push_json, push_utf8, push_value, shows};
use crate::rows::{Change, ChangeKind};
use crate::table_map::Table;
use crate::value::Value;

/// Why no statement can be made of a row. Columns are counted from 1, as `@1` is in the text of the
/// servers' tools. No value is echoed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The log does not tell the names of columns.
    #[error(
        "the log does not name the columns of this table: set binlog_row_metadata=FULL for logs to \
         come, or give the names"
    )]
    NoNames,
    /// A name is empty, holds a NUL, or is not UTF-8, which no server's is.
    #[error("a name of the table or its columns is damaged")]
    Name,
    /// The image does not hold the column.
    #[error(
        "the log does not hold column {column} of this row (binlog_row_image is not FULL): restore it \
         from a backup"
    )]
    Absent {
        /// From 1.
        column: usize,
    },
    /// Some columns are there, but which of them find the row is not known.
    #[error(
        "the log holds some columns of this row and does not name its key: set \
         binlog_row_metadata=FULL or binlog_row_image=FULL for logs to come, or give the key"
    )]
    NoKey,
    /// The number is negative or large and the log does not tell which.
    #[error(
        "the log does not tell whether column {column} is unsigned: set binlog_row_metadata=FULL for \
         logs to come, or give the sign"
    )]
    SignUnknown {
        /// From 1.
        column: usize,
    },
    /// A floating-point column holds no number, which servers do not store.
    #[error("column {column} holds no number")]
    NoNumber {
        /// From 1.
        column: usize,
    },
    /// A JSON document holds a value of a type that no expression makes.
    #[error("the JSON of column {column} holds a value of type {field}, which no expression makes")]
    JsonType {
        /// From 1.
        column: usize,
        /// Its number in a table map.
        field: u8,
    },
    /// Changes of a JSON document are there, but not the document.
    #[error(
        "the log holds changes of the JSON in column {column}, but not what it was before \
         (binlog_row_image is not FULL)"
    )]
    PartialJson {
        /// From 1.
        column: usize,
    },
    /// A value is damaged.
    #[error("a value cannot be read: {}", .0.what())]
    Malformed(#[from] Malformed),
}

/// What modes the statements need: values that servers store under other modes must be taken, and
/// values that do not fit must not.
const MODE: &str = "STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO";
/// For the empty value of an ENUM (number 0), which no strict mode takes.
const MODE_LENIENT: &str = "ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO";

/// Appends what a session must begin with for statements of [`SqlTable`]. For `undo`, foreign keys are
/// not checked: what they changed is taken back by itself where the log holds it.
pub fn write_sql_preamble(undo: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"SET NAMES utf8mb4;\nSET time_zone = '+00:00';\n");
    push_mode(out, MODE);
    if undo {
        out.extend_from_slice(b"SET foreign_key_checks = 0;\n");
    }
}

fn push_mode(out: &mut Vec<u8>, mode: &str) {
    out.extend_from_slice(b"SET sql_mode = '");
    out.extend_from_slice(mode.as_bytes());
    out.extend_from_slice(b"';\n");
}

/// A table whose rows are to be made statements of.
///
/// ```
/// use binlog::{Change, Event, Framer, SqlTable, Step};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = include_bytes!("../../../tests/fixtures/binlog/mariadb-11.8-no-checksum.binlog");
/// let (mut framer, mut table, mut sql) = (Framer::new(), None, Vec::new());
/// while let Step::Event(event) = framer.next(&log[framer.position() as usize..])? {
///     match event.decode(framer.format())? {
///         Event::TableMap(map) => table = Some(map.table()?),
///         Event::Rows(event) => {
///             let table = table.as_mut().ok_or("rows without a table map")?;
///             // This log does not name them.
///             table.columns[0].name = Some((*b"id").into());
///             let statements = SqlTable::new(table)?;
///             let (mut rows, mut change) = (event.rows(table)?, Change::default());
///             while rows.read(&mut change)? {
///                 statements.write(rows.kind(), &change, &mut sql)?;
///                 statements.write_undo(rows.kind(), &change, &mut sql)?;
///             }
///         }
///         _ => {}
///     }
/// }
/// assert!(sql.starts_with(
///     b"INSERT INTO `bl_no_checksum`.`n` (`id`) VALUES (1);\n\
///       DELETE FROM `bl_no_checksum`.`n` WHERE `id` = 1 LIMIT 1;\n"
/// ));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqlTable<'t> {
    table: &'t Table,
    /// Database and table, quoted.
    name: Vec<u8>,
    /// Of the columns, quoted.
    columns: Vec<Vec<u8>>,
    /// A name holds what does not show: statements go as hexadecimal text to be prepared.
    hidden: bool,
}

/// What a column is set to.
enum Setting<'v, 'a> {
    Value(&'v Value<'a>),
    /// Itself, so that the server does not set it to the current time.
    Itself,
    Changes(&'v JsonDiffs<'a>),
    /// A document that was put together.
    Document(Vec<u8>),
}

/// A value to find a row by, in the place of its column.
type Condition<'v, 'a> = (usize, Found<'v, 'a>);

enum Found<'v, 'a> {
    Value(&'v Value<'a>),
    Document(Vec<u8>),
}

impl<'t> SqlTable<'t> {
    /// Names, signs, collations, the key and what else the log does not tell are to be added to `table`
    /// before; without collations texts are written in hexadecimal.
    ///
    /// # Errors
    /// [`SqlError::NoNames`] and [`SqlError::Name`].
    pub fn new(table: &'t Table) -> Result<Self, SqlError> {
        let mut hidden = false;
        let mut quoted = |name: &[u8]| -> Result<Vec<u8>, SqlError> {
            let text = std::str::from_utf8(name).map_err(|_| SqlError::Name)?;
            if text.is_empty() || text.contains('\0') {
                return Err(SqlError::Name);
            }
            hidden |= !text.chars().all(shows);
            Ok(format!("`{}`", text.replace('`', "``")).into_bytes())
        };
        let name = [quoted(&table.database)?, quoted(&table.name)?].join(&b'.');
        let columns = table
            .columns
            .iter()
            .map(|column| quoted(column.name.as_deref().ok_or(SqlError::NoNames)?))
            .collect::<Result<_, _>>()?;
        Ok(SqlTable { table, name, columns, hidden })
    }

    /// Appends the statement that makes the change again. An update that changes nothing has none.
    ///
    /// # Errors
    /// Where the log does not hold or tell enough for it; `out` is then as before.
    pub fn write(
        &self,
        kind: ChangeKind,
        change: &Change<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        let statement = match kind {
            ChangeKind::Insert => self.insert(&change.after, false)?,
            ChangeKind::Update => {
                let found = self.find(&self.there(&change.before), &change.before)?;
                self.update(&self.settings(change)?, &found)?
            }
            ChangeKind::Delete => {
                self.delete(&self.find(&self.there(&change.before), &change.before)?)?
            }
        };
        self.finish(statement, changed_to(kind, change), out);
        Ok(())
    }

    /// Appends the statement that takes the change back. Those of a log are to be run in reverse
    /// order: of its transactions, and of the rows in each (see [`undo`](crate::undo)).
    ///
    /// # Errors
    /// As for [`SqlTable::write`].
    pub fn write_undo(
        &self,
        kind: ChangeKind,
        change: &Change<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        let statement = match kind {
            ChangeKind::Insert => {
                let columns = self.whole_key(&change.after)?;
                self.delete(&self.find(&columns, &change.after)?)?
            }
            ChangeKind::Update => {
                let found = self.find_changed(change)?;
                self.update(&self.settings_back(change)?, &found)?
            }
            ChangeKind::Delete => self.insert(&change.before, true)?,
        };
        self.finish(statement, &change.before, out);
        Ok(())
    }

    fn column(&self, index: usize) -> &'t Column {
        &self.table.columns[index]
    }

    fn is_generated(&self, index: usize) -> bool {
        self.column(index).generated == Some(true)
    }

    /// Servers set some of these to the current time where a statement does not set them.
    fn sets_itself(&self, index: usize) -> bool {
        use ColumnKind as K;
        matches!(
            self.column(index).kind,
            K::Timestamp(_) | K::TimestampOld | K::DateTime(_) | K::DateTimeOld
        ) && !self.is_generated(index)
    }

    fn insert(&self, image: &[Value<'_>], whole: bool) -> Result<Vec<u8>, SqlError> {
        let mut columns = Vec::new();
        for (index, value) in image.iter().enumerate() {
            match value {
                _ if self.is_generated(index) => {}
                Value::Absent if whole => return Err(SqlError::Absent { column: index + 1 }),
                Value::Absent => {}
                _ => columns.push((index, value)),
            }
        }
        let mut out = [b"INSERT INTO ", &self.name[..], b" ("].concat();
        for (place, (index, _)) in columns.iter().enumerate() {
            out.extend_from_slice(if place > 0 { b", " } else { b"" });
            out.extend_from_slice(&self.columns[*index]);
        }
        out.extend_from_slice(b") VALUES (");
        for (place, (index, value)) in columns.iter().enumerate() {
            out.extend_from_slice(if place > 0 { b", " } else { b"" });
            self.push_value(*index, value, &mut out)?;
        }
        out.push(b')');
        Ok(out)
    }

    fn update(
        &self,
        settings: &[(usize, Setting<'_, '_>)],
        found: &[Condition<'_, '_>],
    ) -> Result<Vec<u8>, SqlError> {
        if settings.iter().all(|(_, setting)| matches!(setting, Setting::Itself)) {
            return Ok(Vec::new());
        }
        let mut out = [b"UPDATE ", &self.name[..], b" SET "].concat();
        for (place, (index, setting)) in settings.iter().enumerate() {
            out.extend_from_slice(if place > 0 { b", " } else { b"" });
            out.extend_from_slice(&self.columns[*index]);
            out.extend_from_slice(b" = ");
            match setting {
                Setting::Value(value) => self.push_value(*index, value, &mut out)?,
                Setting::Itself => out.extend_from_slice(&self.columns[*index]),
                Setting::Changes(diffs) => self.push_changes(*index, diffs, &mut out)?,
                Setting::Document(bytes) => {
                    push_json(&mut out, &Json::from_bytes(bytes), index + 1)?;
                }
            }
        }
        self.push_where(found, &mut out)?;
        Ok(out)
    }

    fn delete(&self, found: &[Condition<'_, '_>]) -> Result<Vec<u8>, SqlError> {
        let mut out = [b"DELETE FROM ", &self.name[..]].concat();
        self.push_where(found, &mut out)?;
        Ok(out)
    }

    /// Ends a statement. `stored` are the values that it writes.
    fn finish(&self, statement: Vec<u8>, stored: &[Value<'_>], out: &mut Vec<u8>) {
        if statement.is_empty() {
            return;
        }
        let lenient = stored.contains(&Value::Enum(0));
        if lenient {
            push_mode(out, MODE_LENIENT);
        }
        if self.hidden {
            out.extend_from_slice(b"SET @rollcall = CONVERT(");
            push_hex(out, &statement);
            out.extend_from_slice(
                b" USING utf8mb4);\nPREPARE rollcall FROM @rollcall;\nEXECUTE rollcall;\n\
                  DEALLOCATE PREPARE rollcall",
            );
        } else if out.is_empty() {
            // It may be as long as a row can be: not copied.
            *out = statement;
        } else {
            out.extend_from_slice(&statement);
        }
        out.extend_from_slice(b";\n");
        if lenient {
            push_mode(out, MODE);
        }
    }

    /// What an update sets: what it changed, and what would otherwise set itself.
    fn settings<'v, 'a>(
        &self,
        change: &'v Change<'a>,
    ) -> Result<Vec<(usize, Setting<'v, 'a>)>, SqlError> {
        let mut settings = Vec::new();
        for (index, after) in change.after.iter().enumerate() {
            let before = change.before.get(index).unwrap_or(&Value::Absent);
            let setting = match (before, after) {
                _ if self.is_generated(index) => continue,
                (_, Value::Absent) if self.sets_itself(index) => Setting::Itself,
                (_, Value::Absent) => continue,
                (Value::Json(json), Value::JsonDiffs(diffs)) => {
                    Setting::Document(diffs.apply(*json)?)
                }
                (_, Value::JsonDiffs(diffs)) => Setting::Changes(diffs),
                _ if is_same(before, after) && !self.sets_itself(index) => continue,
                _ => Setting::Value(after),
            };
            settings.push((index, setting));
        }
        Ok(settings)
    }

    /// What takes an update back.
    fn settings_back<'v, 'a>(
        &self,
        change: &'v Change<'a>,
    ) -> Result<Vec<(usize, Setting<'v, 'a>)>, SqlError> {
        let mut settings = Vec::new();
        for (index, before) in change.before.iter().enumerate() {
            let after = change.after.get(index).unwrap_or(&Value::Absent);
            let setting = match (before, after) {
                _ if self.is_generated(index) => continue,
                (Value::Absent, Value::Absent) if self.sets_itself(index) => Setting::Itself,
                (Value::Absent, Value::Absent) => continue,
                (Value::Absent, _) => return Err(SqlError::Absent { column: index + 1 }),
                (_, Value::Absent) if !self.sets_itself(index) => continue,
                _ if is_same(before, after) && !self.sets_itself(index) => continue,
                _ => Setting::Value(before),
            };
            settings.push((index, setting));
        }
        Ok(settings)
    }

    /// The key, where the log names it and the image holds it; else all columns that are there.
    fn there(&self, image: &[Value<'_>]) -> Vec<usize> {
        let held = |index: &usize| image.get(*index).is_some_and(|value| *value != Value::Absent);
        let key: Vec<usize> = self.table.key_columns().collect();
        match !key.is_empty() && key.iter().all(held) {
            true => key,
            false => (0..image.len()).filter(held).collect(),
        }
    }

    /// The key, or all columns; the image must hold them.
    fn whole_key(&self, image: &[Value<'_>]) -> Result<Vec<usize>, SqlError> {
        let key: Vec<usize> = self.table.key_columns().collect();
        if key.is_empty() {
            return match image.contains(&Value::Absent) {
                true => Err(SqlError::NoKey),
                false => Ok((0..image.len()).collect()),
            };
        }
        let absent = key.iter().find(|index| image.get(**index) == Some(&Value::Absent));
        match absent {
            Some(index) => Err(SqlError::Absent { column: index + 1 }),
            None => Ok(key),
        }
    }

    /// How a row is found by an image of it.
    fn find<'v, 'a>(
        &self,
        columns: &[usize],
        image: &'v [Value<'a>],
    ) -> Result<Vec<Condition<'v, 'a>>, SqlError> {
        if columns.is_empty() {
            return Err(SqlError::NoKey);
        }
        Ok(columns.iter().map(|&index| (index, Found::Value(&image[index]))).collect())
    }

    /// How a row is found after an update. The image before holds what finds it; of those columns, the
    /// image after holds at least what changed.
    fn find_changed<'v, 'a>(
        &self,
        change: &'v Change<'a>,
    ) -> Result<Vec<Condition<'v, 'a>>, SqlError> {
        let mut found = Vec::new();
        for index in self.there(&change.before) {
            let before = &change.before[index];
            found.push((
                index,
                match (before, change.after.get(index).unwrap_or(&Value::Absent)) {
                    (before, Value::Absent) => Found::Value(before),
                    (Value::Json(json), Value::JsonDiffs(diffs)) => {
                        Found::Document(diffs.apply(*json)?)
                    }
                    (_, Value::JsonDiffs(_)) => {
                        return Err(SqlError::PartialJson { column: index + 1 });
                    }
                    (_, after) => Found::Value(after),
                },
            ));
        }
        if found.is_empty() { Err(SqlError::NoKey) } else { Ok(found) }
    }

    fn push_where(&self, found: &[Condition<'_, '_>], out: &mut Vec<u8>) -> Result<(), SqlError> {
        // A key is unique by its collation, and an index finds it so.
        let key: Vec<usize> = self.table.key_columns().collect();
        let by_key = found.len() == key.len() && found.iter().all(|(index, _)| key.contains(index));
        for (place, (index, value)) in found.iter().enumerate() {
            out.extend_from_slice(if place > 0 { b" AND " } else { b" WHERE " });
            match value {
                Found::Value(value) => self.push_condition(*index, value, by_key, out)?,
                Found::Document(bytes) => {
                    let json = Value::Json(Json::from_bytes(bytes));
                    self.push_condition(*index, &json, by_key, out)?;
                }
            }
        }
        out.extend_from_slice(b" LIMIT 1");
        Ok(())
    }

    fn push_condition(
        &self,
        index: usize,
        value: &Value<'_>,
        by_key: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        let (before, after): (&[u8], &[u8]) = match value {
            // MySQL compares no VECTOR, not even with NULL.
            Value::Null if matches!(self.column(index).kind, ColumnKind::Vector { .. }) => {
                (b"CAST(", b" AS BINARY) <=> ")
            }
            Value::Null => (b"", b" <=> "),
            Value::Bytes(_) | Value::Compressed(_) if !by_key && !is_binary(self.column(index)) => {
                (b"CAST(", b" AS BINARY) = ")
            }
            Value::Json(_) => (b"CAST(CAST(", b" AS CHAR) AS BINARY) = "),
            Value::Geometry(_) | Value::Vector(_) => (b"CAST(", b" AS BINARY) = "),
            // A number above the signed ones is never equal to a SET.
            Value::Set(bits) if *bits > i64::MAX as u64 => (b"CAST(", b" AS UNSIGNED) = "),
            _ => (b"", b" = "),
        };
        out.extend_from_slice(before);
        out.extend_from_slice(&self.columns[index]);
        out.extend_from_slice(after);
        if let Value::Json(json) = value {
            let mut text = Vec::new();
            json.write(&mut text)?;
            push_utf8(out, &text);
            return Ok(());
        }
        self.push_value(index, value, out)
    }

    fn push_value(
        &self,
        index: usize,
        value: &Value<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        push_value(out, self.column(index), index + 1, value)
    }

    /// A document by its changes, as `JSON_REPLACE(…)` and such in each other.
    fn push_changes(
        &self,
        index: usize,
        diffs: &JsonDiffs<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        let mut text = self.columns[index].clone();
        for diff in diffs.read()? {
            let call = match (diff.operation, diff.path.last()) {
                (JsonOperation::Replace, _) => &b"JSON_REPLACE("[..],
                (JsonOperation::Insert, Some(b']')) => b"JSON_ARRAY_INSERT(",
                (JsonOperation::Insert, _) => b"JSON_INSERT(",
                (JsonOperation::Remove, _) => b"JSON_REMOVE(",
            };
            text.splice(0..0, call.iter().copied());
            text.extend_from_slice(b", ");
            push_utf8(&mut text, diff.path);
            if let Some(value) = &diff.value {
                text.extend_from_slice(b", ");
                push_json(&mut text, value, index + 1)?;
            }
            text.push(b')');
        }
        out.extend_from_slice(&text);
        Ok(())
    }
}

/// The image that a change writes.
fn changed_to<'v, 'a>(kind: ChangeKind, change: &'v Change<'a>) -> &'v [Value<'a>] {
    if kind == ChangeKind::Delete { &[] } else { &change.after }
}

/// Whether both are stored alike: -0.0 is not 0.0.
fn is_same(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
        (Value::Double(one), Value::Double(other)) => one.to_bits() == other.to_bits(),
        _ => one == other,
    }
}
