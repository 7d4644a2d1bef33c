//! Decompresses a gzip file with the library that rollcall uses and throws the bytes away: the
//! floor that reading a `.gz` log is compared with. Prints the number of bytes.

use std::fs::File;
use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| io::Error::other("usage: decode FILE.gz"))?;
    let mut decoder = MultiGzDecoder::new(io::BufReader::with_capacity(1 << 18, File::open(path)?));
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        match decoder.read(&mut buffer)? {
            0 => break,
            read => bytes += read,
        }
    }
    writeln!(io::stdout(), "{bytes}")
}
