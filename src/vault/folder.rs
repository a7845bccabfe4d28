//! The key folder: private to the server's user, and complete even when two servers start at once.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::kernel::{Error, Result};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The permissions of the group and of others.
const OTHERS: u32 = 0o077;

/// A key folder.
pub(super) struct Folder {
    path: PathBuf,
    /// While it is held, no other process opens the same folder.
    _lock: Option<File>,
}

impl Folder {
    /// Makes the folder if there is none, waits for its lock, and refuses it if others may look inside. Blocks.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|error| failed("make", parent, &error))?;
        }
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            // The mode above is cut by the umask; this is not.
            Ok(()) => fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
        .map_err(|error| failed("make", path, &error))?;
        let folder = Self { path: path.to_owned(), _lock: None };
        folder.check()?;
        let lock = private_file(&path.join("lock"))?;
        lock.lock().map_err(|error| failed("lock", path, &error))?;
        folder.check()?;
        Ok(Self { _lock: Some(lock), ..folder })
    }

    /// Looks at a folder that may not be there, and refuses it if others may look inside. Makes nothing. Blocks.
    pub(super) fn look(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let folder = Self { path: path.to_owned(), _lock: None };
        folder.check()?;
        Ok(Some(folder))
    }

    /// Refuses a folder that others may look into, or one with a file that others may read.
    fn check(&self) -> Result<()> {
        let path = self.path.as_path();
        let meta = fs::metadata(path).map_err(|error| failed("read", path, &error))?;
        if !meta.is_dir() {
            return Err(Error::internal(format!("{} is not a folder", path.display())));
        }
        refuse_if_shared(path, meta.permissions().mode(), FOLDER_MODE)?;
        for entry in fs::read_dir(path).map_err(|error| failed("read", path, &error))? {
            let file = entry.map_err(|error| failed("read", path, &error))?.path();
            match fs::metadata(&file) {
                Ok(meta) => {
                    let wanted = if meta.is_dir() { FOLDER_MODE } else { FILE_MODE };
                    refuse_if_shared(&file, meta.permissions().mode(), wanted)?;
                }
                // The files beside an SQLite database come and go.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed("read", &file, &error)),
            }
        }
        Ok(())
    }

    /// Reads a file, if it is there.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    /// Writes a new file. Whenever the machine stops, the file is complete and on the disk, or absent.
    pub(super) fn create(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(name);
        let draft = self.path.join(format!("{name}.new"));
        let write = || {
            match fs::remove_file(&draft) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&draft)?;
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            file.write_all(bytes)?;
            file.sync_all()?;
            // Unlike a rename, a link never replaces a key that is there.
            fs::hard_link(&draft, &path)?;
            fs::remove_file(&draft)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|error| failed("write", &path, &error))
    }
}

/// Opens a file that only the server's user may read, and makes it if there is none.
pub(super) fn private_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(FILE_MODE);
    let file = match options.create_new(true).open(path) {
        Ok(file) => file.set_permissions(Permissions::from_mode(FILE_MODE)).map(|()| file),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => options.create_new(false).open(path),
        Err(error) => Err(error),
    }
    .map_err(|error| failed("open", path, &error))?;
    let meta = file.metadata().map_err(|error| failed("read", path, &error))?;
    refuse_if_shared(path, meta.permissions().mode(), FILE_MODE)?;
    Ok(file)
}

fn refuse_if_shared(path: &Path, mode: u32, wanted: u32) -> Result<()> {
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Error::internal(format!(
        "{path} holds keys and is open to other users (mode {:o}). Run `chmod {wanted:o} {path}`, and think about who may have read it.",
        mode & 0o777
    )))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::internal(format!("cannot {what} {}: {error}", path.display()))
}
