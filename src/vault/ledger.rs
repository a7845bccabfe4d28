//! The file of the revocation ledger: outside the database, so that a restore of the database does not take it back.
//!
//! The file holds one line for each entry: the entry, a space, and a MAC, so that only a holder of the root key can write
//! entries.
//! Lines are only ever appended. The MAC does not show that a line was taken away.
//!
//! Several processes of one machine may append to one file: each holds its lock meanwhile. Processes on several machines
//! have a file each, and a restore needs them all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::folder::private_file;
use super::handle::Vault;
use super::root::MacLabel;
use crate::kernel::{Error, Result};

/// The file of a ledger.
#[derive(Clone, Debug)]
pub struct LedgerFile {
    path: PathBuf,
    vault: Vault,
}

/// What a ledger holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerLines {
    /// The entries, in the order of the file. One may stand there twice.
    pub entries: Vec<String>,
    /// The number of lines that do not fit their MACs: forged, damaged, or cut when the machine stopped.
    pub refused: usize,
}

impl LedgerFile {
    /// Makes the handle on the ledger at `path`.
    pub const fn new(path: PathBuf, vault: Vault) -> Self {
        Self { path, vault }
    }

    /// Appends entries, each one line, and returns once they are on the disk. Blocks. Without entries it only makes sure
    /// that the file is there.
    ///
    /// # Errors
    ///
    /// A sentence for the operator when the file cannot be written. Some of the entries may then stand in it.
    pub fn append(&self, entries: &[String]) -> Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |error: &io::Error| {
            Error::internal(format!("cannot write the revocation ledger {}: {error}", self.path.display()))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(&error))?;
        let is_new = !self.path.exists();
        let mut file = private_file(&self.path)?;
        let mut write = || {
            file.lock()?;
            let mut text = String::new();
            if !is_whole(&mut file)? {
                text.push('\n');
            }
            for entry in entries {
                text.extend([entry.as_str(), " ", &self.mac(entry), "\n"]);
            }
            file.seek(SeekFrom::End(0))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            if is_new { File::open(folder)?.sync_all() } else { Ok(()) }
        };
        write().map_err(|error| failed(&error))
    }

    /// Reads the ledger. One that is not there is empty. Blocks.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self) -> Result<LedgerLines> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(LedgerLines::default()),
            Err(error) => return Err(Error::Internal(Box::new(error))),
        };
        let mut lines = LedgerLines::default();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = String::from_utf8_lossy(line);
            match line.rsplit_once(' ') {
                Some((entry, mac)) if mac == self.mac(entry) => lines.entries.push(entry.to_owned()),
                _ => lines.refused += 1,
            }
        }
        Ok(lines)
    }

    fn mac(&self, entry: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.vault.mac(MacLabel::Ledger, &[entry.as_bytes()]))
    }
}

/// Whether a file is empty or ends with a whole line.
fn is_whole(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
