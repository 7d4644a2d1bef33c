//! What holds for any bytes: no panic, the same calls however the bytes are parted, positions that
//! only grow. Also the fuzz target's checks; it includes this file alone.

use binlog::{
    Change, ChangeKind, Error, Event, Family, Framer, Interest, RawEvent, Reader, Rows, Sink,
    SqlTable, Statement, Step, Table, ToolBuffer, ToolText, ToolUtc, Transaction, Value,
};

/// Every call of a reader as a line of text; reads all there is to read.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) lines: Vec<String>,
    /// No statements are made of rows, which takes long.
    pub(crate) rows_only: bool,
}

impl Calls {
    fn add(&mut self, line: String) {
        self.lines.push(line);
    }
}

impl Sink for Calls {
    fn begin(&mut self, transaction: &Transaction) {
        self.add(format!("begin {transaction:?}"));
    }

    fn table(&mut self, table: &mut Table) -> Interest {
        self.add(format!("table {table:?}"));
        Interest::Rows
    }

    fn statement(&mut self, _: &Transaction, statement: &Statement<'_>) {
        self.add(format!("{:?}", binlog::undo::obstacle(statement)));
        self.add(format!("statement {statement:?}"));
    }

    fn rows(&mut self, transaction: &Transaction, rows: &mut Rows<'_>) {
        let mut text = Vec::new();
        for family in [Family::MariaDb, Family::MySql] {
            let _ = binlog::write_rows(&mut rows.clone(), family, &mut text);
        }
        self.add(text.escape_ascii().to_string());
        let mut table = rows.table().clone();
        for (index, column) in table.columns.iter_mut().enumerate() {
            column.name.get_or_insert_with(|| format!("c{index}").into_bytes().into());
        }
        let statements = if self.rows_only { None } else { SqlTable::new(&table).ok() };
        let (kind, mut change) = (rows.kind(), Change::default());
        while let Ok(true) = rows.read(&mut change) {
            let mut line = read_values(&change);
            if let Some(statements) = &statements {
                line += &sql(statements, kind, &change);
            }
            self.add(format!("row {} {line}", transaction.events));
        }
    }

    fn end(&mut self, transaction: &Transaction) {
        assert!(transaction.start <= transaction.end);
        self.add(format!("end {transaction:?}"));
    }

    fn other(&mut self, raw: &RawEvent<'_>, event: &Event<'_>) {
        if let Event::PreviousGtids(gtids) = event {
            self.add(format!("{:?}", gtids.ranges()));
        }
        if let Event::GtidList(gtids) = event {
            self.add(format!("{:?}", gtids.iter().collect::<Vec<_>>()));
        }
        self.add(format!("other {} {event:?}", raw.position));
    }

    fn damaged(&mut self, error: &Error) {
        self.add(format!("damaged {error}"));
    }
}

/// The statements of a row, or why there are none.
fn sql(statements: &SqlTable<'_>, kind: ChangeKind, change: &Change<'_>) -> String {
    let mut out = Vec::new();
    let made = statements.write(kind, change, &mut out);
    assert!(made.is_ok() || out.is_empty());
    let length = out.len();
    let undone = statements.write_undo(kind, change, &mut out);
    assert!(undone.is_ok() || out.len() == length);
    let text = String::from_utf8(out).expect("UTF-8");
    assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
    format!("{made:?} {undone:?} {text}")
}

/// Reads what is read only where asked, too.
fn read_values(change: &Change<'_>) -> String {
    let mut line = format!("{:?} {:?}", change.before, change.after);
    for value in change.before.iter().chain(&change.after) {
        match value {
            Value::Json(json) => line += &json.to_text(),
            Value::Decimal(decimal) => line += &decimal.to_string(),
            Value::Date(date) => line += &date.to_string(),
            Value::Time(time) => line += &time.to_string(),
            Value::DateTime(moment) => line += &moment.to_string(),
            Value::Timestamp(moment) => line += &moment.to_string(),
            Value::Bits(bits) => line += &bits.to_string(),
            Value::Vector(bytes) => line += &format!("{}", binlog::value::vector(bytes).len()),
            Value::Geometry(bytes) => line += &format!("{:?}", binlog::value::geometry(bytes)),
            Value::JsonDiffs(diffs) => {
                for index in 0..change.after.len() {
                    line += &format!("{:?}", change.json_after(index));
                }
                if let Ok(diffs) = diffs.read() {
                    for diff in diffs {
                        line += &diff.value.map_or_else(String::new, |json| json.to_text());
                    }
                }
            }
            Value::Bytes(bytes) => line += &format!("{:?}", binlog::value::uuid(bytes)),
            Value::Compressed(_) => line += &format!("{:?}", value.text()),
            _ => {}
        }
    }
    line
}

/// Reads a log to its end, whose bytes come in pieces of these lengths, again and again. Damaged
/// frames are passed over.
pub(crate) fn calls(log: &[u8], pieces: &[usize], verify: bool) -> Calls {
    // What passes its checksum was not damaged: no need to try all that can be done with it.
    let calls = Calls { rows_only: verify, ..Calls::default() };
    calls_into(calls, Reader::over(Framer::new().verify(verify)), log, pieces)
}

/// The same with a reader that was set up otherwise.
pub(crate) fn calls_of(reader: Reader, log: &[u8], pieces: &[usize]) -> Calls {
    let calls = Calls { rows_only: true, ..Calls::default() };
    calls_into(calls, reader, log, pieces)
}

fn calls_into(mut calls: Calls, mut reader: Reader, log: &[u8], pieces: &[usize]) -> Calls {
    let mut pieces = pieces.iter().copied().cycle();
    let mut there = 0;
    loop {
        let used = reader.position() as usize;
        there = log.len().min(there.max(used) + pieces.next().expect("a length").max(1));
        match reader.read(&log[used..there], &mut calls) {
            Ok(_) if there == log.len() => break,
            Ok(_) => {}
            Err(error) => {
                calls.add(format!("error {error}"));
                assert!(!error.to_string().is_empty());
                let rest = &log[reader.position() as usize..];
                if rest.len() < 19 || !reader.skip(rest) || reader.position() > log.len() as u64 {
                    break;
                }
            }
        }
    }
    let end = reader.finish(&mut calls);
    assert!(end.resume <= end.position);
    calls.add(format!("{end:?}"));
    calls
}

/// The checks that hold for any bytes.
pub(crate) fn check(log: &[u8]) {
    let whole = calls(log, &[log.len()], false);
    let parted = calls(log, &[1, 7, 40], false);
    assert_eq!(whole.lines, parted.lines);
    // Payloads read while they come: another order of complaints, but no panic.
    calls_of(Reader::over(Framer::new().verify(false)).payload_bytes_max(0), log, &[33]);
    decode_all(log);
}

/// Every event by itself, so that errors inside one do not hide others.
fn decode_all(log: &[u8]) {
    let mut framer = Framer::new().verify(false);
    let (mut tool, mut text) = (ToolText::new(ToolUtc), ToolBuffer::default());
    loop {
        let before = framer.position();
        let Some(rest) = log.get(before as usize..) else { return };
        match framer.next(rest) {
            Ok(Step::Event(event)) => {
                assert!(framer.position() > before && event.position >= before);
                // What it cannot print it says so of, and the next event is printed all the same.
                let _ = tool.event(&event, framer.format(), &mut text);
                text.text.clear();
                if let Ok(event) = event.decode(framer.format()) {
                    let _ = format!("{event:?} {:?}", event.statement());
                    if let Event::Query(query) = &event {
                        let mut variables = Vec::new();
                        let _ = query.variables.read(|variable| variables.push(variable));
                    }
                }
            }
            Ok(Step::Incomplete { needed }) => {
                assert!(needed > rest.len() - (framer.position() - before) as usize);
                return;
            }
            Err(_) if framer.skip(rest).is_some() => {}
            Err(_) => return,
        }
    }
}
