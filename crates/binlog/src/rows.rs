//! Rows as they were written, updated and deleted.
//!
//! ```text
//! table id u48 | flags u16 | [version 2: length u16, further data] | columns packed
//! | columns of the image, 1 bit each | [update: the same for the image after]
//! | image … | [update: image after] | …
//! image        NULLs, 1 bit for each column of the image | values
//! image after  [partial JSON: options packed | 1 bit for each JSON column] | as above
//! ```
//!
//! Sources: MySQL `libs/mysql/binlog/event/rows_event.h` (`Rows_event`), `sql/log_event.cc`
//! (`print_verbose_one_row`; partial updates). MariaDB compresses what stands behind the maps.
//!
//! # Invariants
//! * Values borrow from the event; reading a row allocates nothing.
//! * Rows are read only with a table of as many columns as the event says.

use std::borrow::Cow;

use crate::bytes::Cut;
use crate::column::ColumnKind;
use crate::compressed;
use crate::error::{Malformed, Parsed};
use crate::event::table_id;
use crate::format::Format;
use crate::kind::EventType;
use crate::table_map::{COLUMNS_MAX, Table, bit_low_first};
use crate::value::Value;

/// What happened to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// They were written.
    Insert,
    /// They were changed.
    Update,
    /// They were removed.
    Delete,
}

impl ChangeKind {
    /// `insert`, `update`, `delete`.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Insert => "insert",
            ChangeKind::Update => "update",
            ChangeKind::Delete => "delete",
        }
    }

    fn of(kind: EventType) -> Parsed<ChangeKind> {
        Ok(match kind {
            EventType::WRITE_ROWS_V1
            | EventType::WRITE_ROWS
            | EventType::WRITE_ROWS_COMPRESSED_V1
            | EventType::WRITE_ROWS_COMPRESSED => ChangeKind::Insert,
            EventType::UPDATE_ROWS_V1
            | EventType::UPDATE_ROWS
            | EventType::UPDATE_ROWS_COMPRESSED_V1
            | EventType::UPDATE_ROWS_COMPRESSED
            | EventType::PARTIAL_UPDATE_ROWS => ChangeKind::Update,
            EventType::DELETE_ROWS_V1
            | EventType::DELETE_ROWS
            | EventType::DELETE_ROWS_COMPRESSED_V1
            | EventType::DELETE_ROWS_COMPRESSED => ChangeKind::Delete,
            _ => return Err(Malformed::new("it holds no rows")),
        })
    }
}

/// A row event whose rows are not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsEvent<'a> {
    /// What happened to the rows.
    pub kind: ChangeKind,
    /// The table map that describes them.
    pub table_id: u64,
    /// As written; see the constants `FLAG_…`.
    pub flags: u16,
    /// How many columns the table has.
    pub columns: usize,
    /// Which columns images before the change hold; of inserts none.
    before: &'a [u8],
    /// Which columns images after the change hold; of deletes none.
    after: &'a [u8],
    partial: bool,
    data: Cow<'a, [u8]>,
}

/// What a row event begins with: enough to know whether it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsHead {
    /// The table map that describes the rows.
    pub table_id: u64,
    /// As written.
    pub flags: u16,
}

impl RowsHead {
    /// Reads the front of a row event's body.
    #[inline]
    pub(crate) fn parse(cut: &mut Cut<'_>, kind: EventType, format: &Format) -> Parsed<RowsHead> {
        Ok(RowsHead { table_id: table_id(cut, kind, format)?, flags: cut.u16()? })
    }
}

impl<'a> RowsEvent<'a> {
    /// The last row event of a statement; its table maps end with it.
    pub const FLAG_STATEMENT_END: u16 = 0x0001;
    /// `foreign_key_checks=OFF`.
    pub const FLAG_NO_FOREIGN_KEYS: u16 = 0x0002;
    /// `unique_checks=OFF`.
    pub const FLAG_NO_UNIQUE: u16 = 0x0004;

    pub(crate) fn parse(kind: EventType, body: &'a [u8], format: &Format) -> Parsed<Self> {
        let mut cut = Cut::new(body);
        let head = RowsHead::parse(&mut cut, kind, format)?;
        let change = ChangeKind::of(kind)?;
        let version_2 = matches!(kind.0, 30..=32 | 39 | 169..=171);
        if version_2 {
            // Its length counts itself: partition ids and NDB's data, of no use here.
            let length = cut.u16()? as usize;
            cut.take(length.checked_sub(2).ok_or(Malformed::new("a length is below its own"))?)?;
        }
        let columns = cut.packed_len()?;
        if columns > COLUMNS_MAX {
            return Err(Malformed::new("a table has more than 4096 columns"));
        }
        let map = cut.take(columns.div_ceil(8))?;
        let (before, after) = match change {
            ChangeKind::Insert => (&b""[..], map),
            ChangeKind::Delete => (map, &b""[..]),
            ChangeKind::Update => (map, cut.take(columns.div_ceil(8))?),
        };
        let data = match kind.0 {
            166..=171 => Cow::Owned(compressed::inflate_event(cut.rest())?),
            _ => Cow::Borrowed(cut.rest()),
        };
        Ok(RowsEvent {
            kind: change,
            table_id: head.table_id,
            flags: head.flags,
            columns,
            before,
            after,
            partial: kind == EventType::PARTIAL_UPDATE_ROWS,
            data,
        })
    }

    /// Whether images after the change may hold changes of JSON documents instead of these.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// The rows, by the table that the event's table map describes.
    ///
    /// # Errors
    /// Where it is another table, or has a column of an unknown type.
    pub fn rows<'s>(&'s self, table: &'s Table) -> Result<Rows<'s>, Malformed> {
        if self.columns != table.columns.len() {
            return Err(Malformed::new("its table map has another number of columns"));
        }
        if !table.is_readable() {
            return Err(Malformed::new("a column is of an unknown type"));
        }
        Ok(Rows { event: self, table, cut: Cut::new(&self.data), done: 0, failed: None })
    }
}

/// The rows of an event, one after the other.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    event: &'a RowsEvent<'a>,
    table: &'a Table,
    cut: Cut<'a>,
    done: u64,
    /// What stopped the reading; nothing is read behind it.
    failed: Option<Malformed>,
}

/// A row before and after a change, each value in the place of its column.
#[derive(Debug, Clone, Default)]
pub struct Change<'a> {
    /// Empty for an insert.
    pub before: Vec<Value<'a>>,
    /// Empty for a delete.
    pub after: Vec<Value<'a>>,
}

impl<'a> Change<'a> {
    /// The whole document of MySQL's JSON in this column after the change, as stored; of a partial
    /// update it is made of the one before. `None` where there is no document: NULL, another type, or
    /// changes to one that the image before does not hold.
    ///
    /// # Errors
    /// As for [`JsonDiffs::apply`](crate::JsonDiffs::apply).
    pub fn json_after(&self, column: usize) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        Ok(match (self.before.get(column), self.after.get(column)) {
            (_, Some(Value::Json(json))) => Some(Cow::Borrowed(json.as_bytes())),
            (Some(Value::Json(before)), Some(Value::JsonDiffs(diffs))) => {
                Some(Cow::Owned(diffs.apply(*before)?))
            }
            _ => None,
        })
    }
}

impl<'a> Rows<'a> {
    /// What happened to the rows.
    pub fn kind(&self) -> ChangeKind {
        self.event.kind
    }

    /// The table they belong to.
    pub fn table(&self) -> &'a Table {
        self.table
    }

    /// How many bytes of rows are not read yet: how long a row is shows before and after it is read.
    pub fn bytes_left(&self) -> usize {
        self.cut.len()
    }

    /// Reads the next row into `change`, whose memory is used again; false where there is none.
    ///
    /// # Errors
    /// Where the bytes are no row; none can be read behind it.
    #[inline]
    pub fn read(&mut self, change: &mut Change<'a>) -> Result<bool, Malformed> {
        change.before.clear();
        change.after.clear();
        self.next(|rows| {
            if rows.event.kind != ChangeKind::Insert {
                rows.image(rows.event.before, false, &mut change.before)?;
            }
            if rows.event.kind != ChangeKind::Delete {
                rows.image(rows.event.after, true, &mut change.after)?;
            }
            Ok(())
        })
    }

    /// Passes over the rows that are left, without reading values; returns how many there were in
    /// all.
    ///
    /// # Errors
    /// Where the bytes are no rows, also where that was found before.
    pub fn count(&mut self) -> Result<u64, Malformed> {
        while self.next(|rows| {
            if rows.event.kind != ChangeKind::Insert {
                rows.skip_image(rows.event.before, false)?;
            }
            if rows.event.kind != ChangeKind::Delete {
                rows.skip_image(rows.event.after, true)?;
            }
            Ok(())
        })? {}
        Ok(self.done)
    }

    /// Calls back for each value of the next row that is there: whether it is of the image after, the
    /// place of its column, and the value. False where there is no row.
    #[inline(always)]
    pub(crate) fn each_value(
        &mut self,
        mut tell: impl FnMut(bool, usize, Value<'a>) -> Parsed<()>,
    ) -> Parsed<bool> {
        let table = self.table;
        self.next(|rows| {
            for after in [false, true] {
                let unused = if after { ChangeKind::Delete } else { ChangeKind::Insert };
                if rows.event.kind == unused {
                    continue;
                }
                let map = if after { rows.event.after } else { rows.event.before };
                rows.walk(map, after, |index, place| {
                    let value = match place {
                        None => Value::Null,
                        Some((cut, false)) => table.columns[index].value(cut)?,
                        Some((cut, true)) => table.columns[index].diffs(cut)?,
                    };
                    tell(after, index, value)
                })?;
            }
            Ok(())
        })
    }

    /// Whether images after the change hold no column at all.
    pub(crate) fn nothing_after(&self) -> bool {
        count_ones(self.event.after, self.event.after.len() * 8) == 0
    }

    #[inline(always)]
    fn next(&mut self, row: impl FnOnce(&mut Self) -> Parsed<()>) -> Parsed<bool> {
        if let Some(malformed) = self.failed {
            return Err(malformed);
        }
        if self.is_done() {
            return Ok(false);
        }
        match row(self) {
            Ok(()) => {
                self.done += 1;
                Ok(true)
            }
            Err(malformed) => {
                self.failed = Some(malformed);
                Err(malformed)
            }
        }
    }

    /// An insert without columns has one row of no bytes (`INSERT INTO t VALUES ()`, minimal image).
    #[inline]
    fn is_done(&self) -> bool {
        self.cut.is_empty() && (self.done > 0 || self.event.kind != ChangeKind::Insert)
    }

    /// Calls back for each column of the next image that is there: its index, and the bytes behind
    /// it to take the value from, unless it is NULL.
    #[inline(always)]
    fn walk(
        &mut self,
        map: &[u8],
        after: bool,
        mut each: impl FnMut(usize, Option<(&mut Cut<'a>, bool)>) -> Parsed<()>,
    ) -> Parsed<()> {
        let columns = self.table.columns.len();
        let bytes_before = self.cut.len();
        let partial = match after && self.event.partial {
            true => self.partial_map()?,
            false => &[],
        };
        let held = count_ones(map, columns);
        let nulls = self.cut.take(held.div_ceil(8))?;
        let all = held == columns;
        let (mut place, mut json) = (0, 0);
        for index in 0..columns {
            let mut diffs = false;
            if !partial.is_empty()
                && matches!(self.table.columns[index].kind, ColumnKind::Json { .. })
            {
                diffs = bit_low_first(partial, json);
                json += 1;
            }
            if !all && !bit_low_first(map, index) {
                continue;
            }
            if bit_low_first(nulls, place) {
                each(index, None)?;
            } else {
                each(index, Some((&mut self.cut, diffs)))?;
            }
            place += 1;
        }
        // Rows of no bytes would never end.
        if self.cut.len() == bytes_before && !self.cut.is_empty() {
            return Err(Malformed::new("a row has no bytes"));
        }
        Ok(())
    }

    #[inline(always)]
    fn image(&mut self, map: &[u8], after: bool, out: &mut Vec<Value<'a>>) -> Parsed<()> {
        let table = self.table;
        out.reserve(table.columns.len());
        self.walk(map, after, |index, place| {
            while out.len() < index {
                out.push(Value::Absent);
            }
            let column = &table.columns[index];
            out.push(match place {
                None => Value::Null,
                Some((cut, false)) => column.value(cut)?,
                Some((cut, true)) => column.diffs(cut)?,
            });
            Ok(())
        })?;
        while out.len() < table.columns.len() {
            out.push(Value::Absent);
        }
        Ok(())
    }

    fn skip_image(&mut self, map: &[u8], after: bool) -> Parsed<()> {
        let table = self.table;
        self.walk(map, after, |index, place| match place {
            None => Ok(()),
            Some((cut, _)) => table.columns[index].kind.skip(cut),
        })
    }

    /// What an image after a partial update begins with: which JSON columns hold differences.
    fn partial_map(&mut self) -> Parsed<&'a [u8]> {
        const PARTIAL_JSON: u64 = 1;
        if self.cut.packed()? & PARTIAL_JSON == 0 {
            return Ok(&[]);
        }
        let json = |column: &&crate::Column| matches!(column.kind, ColumnKind::Json { .. });
        let count = self.table.columns.iter().filter(json).count();
        self.cut.take(count.div_ceil(8))
    }
}

/// How many of the first `count` bits are ones.
#[inline(always)]
fn count_ones(map: &[u8], count: usize) -> usize {
    let whole = &map[..count / 8];
    let mut ones: usize = whole.iter().map(|byte| byte.count_ones() as usize).sum();
    if !count.is_multiple_of(8) {
        ones += (map[count / 8] & ((1 << (count % 8)) - 1)).count_ones() as usize;
    }
    ones
}
