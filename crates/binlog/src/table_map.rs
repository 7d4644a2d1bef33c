//! Table maps: the layout of the rows that follow, and what the server chooses to tell about columns.
//!
//! ```text
//! table id u48 | flags u16 | length u8, database, NUL | length u8, table, NUL | columns packed
//! | type u8 each | length packed, metadata | nullable, 1 bit each
//! | (kind u8, length packed, value) …              since MySQL 8.0.1 and MariaDB 10.5
//! ```
//!
//! What stands at the end depends on `binlog_row_metadata`: nothing (MariaDB's default NO_LOG), signs,
//! collations of texts and kinds of geometries (MINIMAL, MySQL's default), or also names, members and
//! keys (FULL). Sources: MySQL `libs/mysql/binlog/event/rows_event.h` (`Table_map_event`), MariaDB
//! `sql/log_event_server.cc` (`Table_map_log_event::init_metadata_fields`).

use crate::bytes::Cut;
use crate::column::{Column, ColumnKind};
use crate::error::{Malformed, Parsed};
use crate::event::table_id;
use crate::format::Format;
use crate::kind::EventType;

/// The most columns that a table has (both servers' `MAX_FIELDS`).
pub const COLUMNS_MAX: usize = 4096;

/// A table map as it stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableMap<'a> {
    /// By which number row events name it; it changes whenever the server opens the table anew.
    pub table_id: u64,
    /// As written.
    pub flags: u16,
    /// The database, raw.
    pub database: &'a [u8],
    /// The table, raw.
    pub table: &'a [u8],
    types: &'a [u8],
    metadata: &'a [u8],
    nullable: &'a [u8],
    optional: &'a [u8],
}

impl<'a> TableMap<'a> {
    pub(crate) fn parse(body: &'a [u8], format: &Format) -> Parsed<Self> {
        let mut cut = Cut::new(body);
        let table_id = table_id(&mut cut, EventType::TABLE_MAP, format)?;
        let flags = cut.u16()?;
        let database = cut.short_bytes()?;
        let nul = |cut: &mut Cut<'_>| match cut.u8()? {
            0 => Ok(()),
            _ => Err(Malformed::new("no NUL stands behind a name")),
        };
        nul(&mut cut)?;
        let table = cut.short_bytes()?;
        nul(&mut cut)?;
        let columns = cut.packed_len()?;
        if columns > COLUMNS_MAX {
            return Err(Malformed::new("a table has more than 4096 columns"));
        }
        let types = cut.take(columns)?;
        let metadata = cut.packed_bytes()?;
        let nullable = cut.take(columns.div_ceil(8))?;
        let optional = cut.rest();
        Ok(TableMap { table_id, flags, database, table, types, metadata, nullable, optional })
    }

    /// How many columns the rows have.
    pub fn columns(&self) -> usize {
        self.types.len()
    }

    /// Everything the table map tells, in a form that rows can be read with.
    ///
    /// # Errors
    /// Where it contradicts itself.
    pub fn table(&self) -> Result<Table, Malformed> {
        let mut metadata = Cut::new(self.metadata);
        let mut columns = Vec::with_capacity(self.types.len());
        for (index, &number) in self.types.iter().enumerate() {
            let mut column = Column::parse(number, &mut metadata)?;
            column.nullable = bit_low_first(self.nullable, index);
            // How much metadata an unknown type has is not known either.
            let unknown = matches!(column.kind, ColumnKind::Unknown(_));
            columns.push(column);
            if unknown {
                break;
            }
        }
        for &number in &self.types[columns.len()..] {
            let mut column = Column::parse(6, &mut metadata)?;
            column.type_number = number;
            column.kind = ColumnKind::Unknown(number);
            columns.push(column);
        }
        let mut table = Table {
            id: self.table_id,
            flags: self.flags,
            database: self.database.into(),
            name: self.table.into(),
            columns,
            primary_key: Vec::new(),
        };
        table.read_optional(self.optional)?;
        Ok(table)
    }
}

/// A part of a primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPart {
    /// Which column, from 0.
    pub column: usize,
    /// How many characters of it, where not all.
    pub prefix: Option<u64>,
}

/// A table as its table map describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// By which number row events name it.
    pub id: u64,
    /// As written; see the constants `FLAG_…`.
    pub flags: u16,
    /// The database, raw.
    pub database: Box<[u8]>,
    /// Its name, raw.
    pub name: Box<[u8]>,
    /// In the order of the table. May be completed with what is known from elsewhere (names, signs).
    pub columns: Vec<Column>,
    /// In the order of the key; empty where the log does not tell or there is none.
    pub primary_key: Vec<KeyPart>,
}

/// The bit of a map whose first bit is the lowest of its first byte.
#[inline(always)]
pub(crate) fn bit_low_first(map: &[u8], index: usize) -> bool {
    map.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// The bit of a map whose first bit is the highest of its first byte.
fn bit_high_first(map: &[u8], index: usize) -> bool {
    map.get(index / 8).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
}

impl Table {
    /// MariaDB: the table is a system-versioned one or has triggers that ran (`TM_BIT_HAS_TRIGGERS_F`).
    pub const FLAG_HAS_TRIGGERS: u16 = 1 << 14;

    /// Whether rows can be read: no column is of an unknown type.
    pub fn is_readable(&self) -> bool {
        !self.columns.iter().any(|column| matches!(column.kind, ColumnKind::Unknown(_)))
    }

    /// The indices of the columns that rows are told apart by: the primary key, where the log tells.
    pub fn key_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.primary_key.iter().map(|part| part.column)
    }

    fn read_optional(&mut self, bytes: &[u8]) -> Parsed<()> {
        let mut cut = Cut::new(bytes);
        // MySQL's collations of ENUM and SET count both kinds together.
        let is_character = |column: &Column| {
            use ColumnKind as K;
            matches!(
                column.kind,
                K::Varchar { .. }
                    | K::Char { .. }
                    | K::Blob { .. }
                    | K::Geometry { .. }
                    | K::VarcharCompressed { .. }
                    | K::BlobCompressed { .. }
                    | K::Vector { .. }
            )
        };
        let is_listed = |column: &Column| {
            matches!(column.kind, ColumnKind::Enum { .. } | ColumnKind::Set { .. })
        };
        while !cut.is_empty() {
            let kind = cut.u8()?;
            let mut field = Cut::new(cut.packed_bytes()?);
            match kind {
                1 => self.read_signs(field.rest()),
                2 => self.read_default_collation(&mut field, is_character)?,
                3 => self.read_collations(&mut field, is_character)?,
                4 => {
                    for column in &mut self.columns {
                        column.name = Some(field.packed_bytes()?.into());
                    }
                }
                5 => self.read_members(&mut field, |k| matches!(k, ColumnKind::Set { .. }))?,
                6 => self.read_members(&mut field, |k| matches!(k, ColumnKind::Enum { .. }))?,
                7 => {
                    for column in &mut self.columns {
                        if matches!(column.kind, ColumnKind::Geometry { .. }) {
                            column.geometry = u32::try_from(field.packed()?).ok();
                        }
                    }
                }
                8 | 9 => self.read_key(&mut field, kind == 9)?,
                10 => self.read_default_collation(&mut field, is_listed)?,
                11 => self.read_collations(&mut field, is_listed)?,
                12 => {
                    for (index, column) in self.columns.iter_mut().enumerate() {
                        column.visible = Some(bit_high_first(field.rest(), index));
                    }
                }
                13 => {
                    for column in &mut self.columns {
                        if matches!(column.kind, ColumnKind::Vector { .. }) {
                            column.dimensions = u32::try_from(field.packed()?).ok();
                        }
                    }
                }
                // A newer server's; passed over by its length.
                _ => {}
            }
        }
        Ok(())
    }

    fn read_signs(&mut self, bits: &[u8]) {
        let numeric = self.columns.iter_mut().filter(|column| column.kind.is_numeric());
        for (index, column) in numeric.enumerate() {
            column.unsigned = Some(bit_high_first(bits, index));
        }
    }

    /// The collation of most columns, then pairs of a column among these and its collation.
    fn read_default_collation(
        &mut self,
        field: &mut Cut<'_>,
        mine: impl Fn(&Column) -> bool,
    ) -> Parsed<()> {
        let default = u32::try_from(field.packed()?).ok();
        let mut columns: Vec<_> = self.columns.iter_mut().filter(|column| mine(column)).collect();
        for column in &mut columns {
            column.collation = default;
        }
        while !field.is_empty() {
            let (index, collation) = (field.packed_len()?, field.packed()?);
            if let Some(column) = columns.get_mut(index) {
                column.collation = u32::try_from(collation).ok();
            }
        }
        Ok(())
    }

    fn read_collations(
        &mut self,
        field: &mut Cut<'_>,
        mine: impl Fn(&Column) -> bool,
    ) -> Parsed<()> {
        for column in self.columns.iter_mut().filter(|column| mine(column)) {
            if field.is_empty() {
                break;
            }
            column.collation = u32::try_from(field.packed()?).ok();
        }
        Ok(())
    }

    fn read_members(
        &mut self,
        field: &mut Cut<'_>,
        mine: impl Fn(ColumnKind) -> bool,
    ) -> Parsed<()> {
        for column in self.columns.iter_mut().filter(|column| mine(column.kind)) {
            let mut members = Vec::new();
            for _ in 0..field.packed()? {
                members.push(field.packed_bytes()?.into());
            }
            column.members = Some(members.into());
        }
        Ok(())
    }

    fn read_key(&mut self, field: &mut Cut<'_>, with_prefix: bool) -> Parsed<()> {
        self.primary_key.clear();
        while !field.is_empty() {
            let column = field.packed_len()?;
            if column >= self.columns.len() {
                return Err(Malformed::new("a primary key names a column that is not there"));
            }
            let prefix = match with_prefix {
                true => Some(field.packed()?).filter(|&prefix| prefix != 0),
                false => None,
            };
            self.primary_key.push(KeyPart { column, prefix });
        }
        Ok(())
    }
}
