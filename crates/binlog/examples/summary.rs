//! What a binary log holds: transactions and rows by table. The library does no I/O; this shows how
//! a file is read in pieces.
//!
//! ```sh
//! cargo run --release -p binlog --example summary -- FILE [--table SCHEMA.NAME] [--rows | --text] [--no-crc]
//! ```
//!
//! With `--rows` every value of the rows is read, with `--text` they are printed as the server's
//! own tool prints them; with `--table` only those of that table.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

use binlog::{Change, Family, Framer, Interest, Outcome, Reader, Rows, Sink, Table, Transaction};

/// How much is read at a time, in bytes.
const PIECE_BYTES: usize = 256 << 10;

#[derive(Default)]
struct Summary {
    only: Option<String>,
    values: bool,
    text: Option<(Family, std::io::Stdout)>,
    out: Vec<u8>,
    transactions: u64,
    unfinished: u64,
    with_thread: u64,
    rows: u64,
    nulls: u64,
    /// By the place of the table in memory, which is kept, so that it is not another's.
    tables: HashMap<*const Table, (Arc<Table>, [u64; 3])>,
    damaged: u64,
}

fn name(table: &Table) -> String {
    format!("{}.{}", table.database.escape_ascii(), table.name.escape_ascii())
}

impl Sink for Summary {
    fn table(&mut self, table: &mut Table) -> Interest {
        match &self.only {
            Some(only) if *only != name(table) => Interest::Ignore,
            _ if self.values => Interest::Rows,
            _ => Interest::Count,
        }
    }

    fn rows(&mut self, _: &Transaction, rows: &mut Rows<'_>) {
        if let Some((family, stdout)) = &mut self.text {
            let _ = binlog::write_rows(rows, *family, &mut self.out);
            if self.out.len() > PIECE_BYTES {
                let _ = stdout.write_all(&self.out);
                self.out.clear();
            }
            return;
        }
        let mut change = Change::default();
        while let Ok(true) = rows.read(&mut change) {
            self.rows += 1;
            let values = change.before.iter().chain(&change.after);
            self.nulls += values.filter(|value| value.is_null()).count() as u64;
        }
    }

    fn end(&mut self, transaction: &Transaction) {
        self.transactions += 1;
        self.unfinished += u64::from(transaction.outcome == Outcome::Unfinished);
        self.with_thread += u64::from(transaction.thread.is_some());
        for count in &transaction.tables {
            let entry = self.tables.entry(Arc::as_ptr(&count.table));
            let (_, sums) = entry.or_insert_with(|| (Arc::clone(&count.table), [0; 3]));
            for (sum, more) in sums.iter_mut().zip([count.inserts, count.updates, count.deletes]) {
                *sum += more;
            }
        }
    }

    fn damaged(&mut self, _: &binlog::Error) {
        self.damaged += 1;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut summary = Summary::default();
    let (mut path, mut verify) = (None, true);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--table" => summary.only = arguments.next(),
            "--rows" => summary.values = true,
            "--text" => {
                summary.text = Some((Family::MariaDb, std::io::stdout()));
                summary.values = true;
            }
            "--no-crc" => verify = false,
            _ => path = Some(argument),
        }
    }
    let mut file = File::open(path.ok_or("name a binary log")?)?;
    let mut reader = Reader::over(Framer::new().verify(verify));
    let mut buffer = vec![0; PIECE_BYTES];
    let (mut start, mut filled) = (0, 0);
    loop {
        let before = reader.position();
        let needed = reader.read(&buffer[start..filled], &mut summary)?;
        if let Some((family, _)) = &mut summary.text {
            *family = reader.format().family();
        }
        start += (reader.position() - before) as usize;
        // What is not used yet goes to the front; the buffer grows only for longer events.
        buffer.copy_within(start..filled, 0);
        (start, filled) = (0, filled - start);
        if buffer.len() < needed {
            buffer.resize(needed, 0);
        }
        match file.read(&mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    let end = reader.finish(&mut summary);
    if let Some((_, stdout)) = &mut summary.text {
        stdout.write_all(&summary.out)?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} transactions ({} with their connection, {} unfinished, {} events damaged), {} bytes{}",
        summary.transactions,
        summary.with_thread,
        summary.unfinished,
        summary.damaged,
        end.position,
        if end.closed { "" } else { ", open" },
    )?;
    let mut tables = BTreeMap::<String, [u64; 3]>::new();
    for (table, counted) in summary.tables.values() {
        let sums = tables.entry(name(table)).or_default();
        for (sum, more) in sums.iter_mut().zip(counted) {
            *sum += more;
        }
    }
    for (table, [inserts, updates, deletes]) in tables {
        writeln!(out, "{table}: {inserts} inserts, {updates} updates, {deletes} deletes")?;
    }
    if summary.values {
        writeln!(out, "{} rows read, {} NULLs", summary.rows, summary.nulls)?;
    }
    Ok(())
}
