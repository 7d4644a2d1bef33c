//! Prints a log as the server's own tool does with `-v --base64-output=DECODE-ROWS`, in UTC.
//!
//! ```text
//! cargo run --release -p binlog --example print -- binlog.000001
//! ```

use std::io::Write;

use binlog::{Framer, Step, ToolBuffer, ToolText, ToolUtc};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: print FILE")?;
    let log = std::fs::read(file)?;
    let (mut framer, mut out) = (Framer::new(), ToolBuffer::default());
    let mut tool = ToolText::new(ToolUtc);
    let mut stdout = std::io::stdout().lock();
    while let Step::Event(event) = framer.next(&log[framer.position() as usize..])? {
        tool.event(&event, framer.format(), &mut out)?;
        stdout.write_all(&out.text)?;
        out.text.clear();
    }
    tool.finish(&mut out);
    stdout.write_all(&out.text)?;
    Ok(())
}
