//! Files for what does not fit into memory: in `TMPDIR`, readable by their owner alone, without a name as
//! soon as they are open.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, anyhow};
use binlog::undo::{self, Last};

/// Bytes read at once.
const STEP_BYTES: usize = 1 << 20;

/// A file of this process alone (mode 0600), and its path; the caller removes the name.
pub(super) fn private_file() -> Result<(File, PathBuf), String> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("rollcall-trace.{}.{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
        Ok(file) => Ok((file, path)),
        Err(error) => Err(format!("{} cannot be made: {error}; set TMPDIR", path.display())),
    }
}

/// A file that is written at its end.
#[derive(Debug)]
pub(crate) struct Spill {
    file: BufWriter<File>,
    length: u64,
}

impl Spill {
    /// An empty one.
    ///
    /// # Errors
    /// Where no file can be made in `TMPDIR`.
    pub(crate) fn new() -> Result<Spill> {
        let (file, path) = private_file().map_err(|message| anyhow!(message))?;
        std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        Ok(Spill { file: BufWriter::with_capacity(256 << 10, file), length: 0 })
    }

    /// Puts bytes at the end.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).context(FULL)
    }

    /// Puts a statement at the end, so that [`Spill::backwards`] finds it.
    pub(crate) fn append_sealed(&mut self, sql: &[u8]) -> Result<()> {
        if sql.is_empty() {
            return Ok(());
        }
        self.append(sql)?;
        self.append(&undo::trailer(sql.len()))
    }

    /// Gives the statements, the last first.
    pub(crate) fn backwards(mut self, put: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.file.flush().context(FULL)?;
        let (mut left, mut wanted) = (self.length, STEP_BYTES);
        let mut bytes = Vec::new();
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(wanted);
            bytes.resize(length, 0);
            let start = left - length as u64;
            self.file.get_ref().read_exact_at(&mut bytes, start).context(UNREADABLE)?;
            wanted = STEP_BYTES;
            let mut rest = &bytes[..];
            loop {
                match undo::last(rest, start + rest.len() as u64) {
                    Ok(Some(Last::Statement { sql, rest: before })) => {
                        put(sql)?;
                        rest = before;
                    }
                    Ok(Some(Last::Incomplete { needed })) => {
                        wanted = wanted.max(needed);
                        break;
                    }
                    Ok(None) => break,
                    Err(error) => return Err(anyhow!("{UNREADABLE}: {}", error.what())),
                }
            }
            left = start + rest.len() as u64;
            if bytes.capacity() > STEP_BYTES && wanted == STEP_BYTES {
                bytes = Vec::new();
            }
        }
        Ok(())
    }

    /// Gives all bytes in their order, and is empty then.
    pub(crate) fn drain(&mut self, put: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.file.flush().context(FULL)?;
        let mut bytes = vec![0; STEP_BYTES.min(self.length as usize)];
        let mut at = 0;
        while at < self.length {
            let length = (self.length - at).min(bytes.len() as u64) as usize;
            self.file.get_ref().read_exact_at(&mut bytes[..length], at).context(UNREADABLE)?;
            put(&bytes[..length])?;
            at += length as u64;
        }
        self.empty().context(FULL)
    }

    fn empty(&mut self) -> io::Result<()> {
        self.file.get_ref().set_len(0)?;
        io::Seek::rewind(self.file.get_mut())?;
        self.length = 0;
        Ok(())
    }
}

const FULL: &str = "the temporary file cannot be written (set TMPDIR where there is room)";
const UNREADABLE: &str = "the temporary file cannot be read";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_come_back_the_last_first() {
        let mut spill = Spill::new().unwrap();
        let long = vec![b'x'; 3 * STEP_BYTES + 7];
        let mut statements: Vec<Vec<u8>> =
            (0..50_000).map(|n| format!("{n}").into_bytes()).collect();
        statements.insert(17, long.clone());
        statements.push(long);
        for statement in &statements {
            spill.append_sealed(statement).unwrap();
        }
        let mut found = Vec::new();
        spill
            .backwards(&mut |sql| {
                found.push(sql.to_vec());
                Ok(())
            })
            .unwrap();
        statements.reverse();
        assert!(found == statements);
    }

    #[test]
    fn bytes_come_back_in_order_and_once() {
        let mut spill = Spill::new().unwrap();
        for round in 0..2_u8 {
            let bytes = vec![round; STEP_BYTES + 5];
            spill.append(&bytes).unwrap();
            let mut found = Vec::new();
            spill
                .drain(&mut |piece| {
                    found.extend_from_slice(piece);
                    Ok(())
                })
                .unwrap();
            assert!(found == bytes);
        }
    }

    #[test]
    fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let (file, path) = private_file().unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
