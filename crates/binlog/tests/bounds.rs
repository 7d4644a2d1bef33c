//! Each bound at its limit and one above, on events made for it.

use binlog::{
    COLUMNS_MAX, Error, EventType, Framer, Outcome, Reader, Sink, TABLE_MAPS_MAX,
    TRANSACTION_TABLES_MAX, Transaction,
};

/// An event of a log without checksums.
fn event(kind: EventType, body: &[u8]) -> Vec<u8> {
    let mut bytes = 1_u32.to_le_bytes().to_vec();
    bytes.push(kind.0);
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(&(19 + body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(body);
    bytes
}

fn packed(number: usize) -> Vec<u8> {
    match number {
        0..=250 => vec![number as u8],
        _ => [&[252][..], &(number as u16).to_le_bytes()].concat(),
    }
}

/// A table of TINYINTs.
fn table_map(id: u64, name: &str, columns: usize) -> Vec<u8> {
    let mut body = id.to_le_bytes()[..6].to_vec();
    body.extend_from_slice(&[0, 0, 1, b'd', 0, name.len() as u8]);
    body.extend_from_slice(name.as_bytes());
    body.push(0);
    body.extend(packed(columns));
    body.extend(vec![1; columns]);
    body.push(0);
    body.extend(vec![0; columns.div_ceil(8)]);
    event(EventType::TABLE_MAP, &body)
}

/// An insert of one row of TINYINTs.
fn insert(id: u64, columns: usize, last: bool) -> Vec<u8> {
    let mut body = id.to_le_bytes()[..6].to_vec();
    body.extend_from_slice(&[u8::from(last), 0]);
    body.extend(packed(columns));
    body.extend(vec![0xff; columns.div_ceil(8)]);
    body.extend(vec![0; columns.div_ceil(8)]);
    body.extend(vec![7; columns]);
    event(EventType::WRITE_ROWS_V1, &body)
}

#[derive(Default)]
struct Ends {
    ends: Vec<Transaction>,
    errors: Vec<Error>,
}

impl Sink for Ends {
    fn end(&mut self, transaction: &Transaction) {
        self.ends.push(transaction.clone());
    }

    fn damaged(&mut self, error: &Error) {
        self.errors.push(*error);
    }
}

fn read(log: &[u8]) -> Ends {
    let mut ends = Ends::default();
    let mut reader = Reader::over(Framer::stream());
    reader.read(log, &mut ends).expect("right frames");
    reader.finish(&mut ends);
    ends
}

#[test]
fn tables_have_up_to_4096_columns() {
    let of = |columns| {
        let mut log = table_map(1, "t", columns);
        log.extend(insert(1, columns, true));
        read(&log)
    };
    let most = of(COLUMNS_MAX);
    assert_eq!((most.errors.len(), most.ends[0].tables[0].inserts), (0, 1));
    let more = of(COLUMNS_MAX + 1);
    assert_eq!((more.errors.len(), more.ends[0].unread, more.ends[0].tables.len()), (2, 2, 0));
    assert_eq!(more.ends[0].outcome, Outcome::Unfinished);
}

#[test]
fn a_statement_has_up_to_4096_tables() {
    let statement = |tables: usize, first: u64| {
        let mut log = Vec::new();
        for id in 0..tables as u64 {
            log.extend(table_map(first + id, "t", 1));
        }
        log.extend(insert(first, 1, true));
        log
    };
    assert!(read(&statement(TABLE_MAPS_MAX, 1)).errors.is_empty());
    assert_eq!(read(&statement(TABLE_MAPS_MAX + 1, 1)).errors.len(), 1);
    // Those of an earlier statement make room.
    let mut log = statement(TABLE_MAPS_MAX, 1);
    log.extend(statement(TABLE_MAPS_MAX, 100_000));
    let two = read(&log);
    assert_eq!((two.errors.len(), two.ends[0].tables[0].inserts), (0, 2));
}

#[test]
fn up_to_1000_tables_of_a_transaction_are_counted_each() {
    let of = |tables: usize| {
        let mut log = Vec::new();
        for id in 1..=tables as u64 {
            log.extend(table_map(id, &format!("t{id}"), 1));
            log.extend(insert(id, 1, true));
        }
        let ends = read(&log);
        (ends.ends[0].tables.len(), ends.ends[0].other_row_events, ends.errors.len())
    };
    assert_eq!(of(TRANSACTION_TABLES_MAX), (1000, 0, 0));
    assert_eq!(of(TRANSACTION_TABLES_MAX + 1), (1000, 1, 0));
}

/// Kinds that are not known, and rows without their table map.
#[test]
fn what_is_unknown_is_counted_or_told() {
    let mut log = event(EventType(99), b"secret");
    log.extend(event(EventType(99), b""));
    log.extend(event(EventType::TRANSACTION_CONTEXT, b"x"));
    log.extend(insert(5, 1, true));
    let mut ends = Ends::default();
    let mut reader = Reader::over(Framer::stream());
    reader.read(&log, &mut ends).expect("right frames");
    let passed_over: Vec<_> = reader.passed_over().collect();
    assert_eq!(passed_over, [(EventType::TRANSACTION_CONTEXT, 1), (EventType(99), 2)]);
    assert_eq!(EventType(99).to_string(), "unknown (99)");
    assert_eq!(ends.errors.len(), 1);
    let text = ends.errors[0].to_string();
    assert!(text.contains("its table map is not there"), "{text}");
    assert!(!text.contains("secret"));
}
