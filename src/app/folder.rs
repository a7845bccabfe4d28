//! The data folder and the database file: readable by their owner only, one server at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::kernel::{Error, Result};

/// Makes the folder (0700) and the database file (0600) if they are missing, and takes the lock of the file. The lock
/// file lies beside the database and is named after its real path, so that two paths to one database share one lock.
///
/// # Errors
///
/// [`Error::Internal`] when another server holds the lock, the file has a second name, or something cannot be made.
pub fn prepare(folder: &Path, database: &Path) -> Result<File> {
    let failed = |what: &Path, error: &std::io::Error| Error::internal(format!("{}: {error}", what.display()));
    let parent = database.parent().filter(|parent| !parent.as_os_str().is_empty());
    for folder in [Some(folder), parent].into_iter().flatten().filter(|folder| !folder.exists()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(folder, &error))?;
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(|error| failed(folder, &error))?;
    }
    let failed = |error: std::io::Error| failed(database, &error);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(database) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
        // A link to a file that is not there yet exists, and the file does not.
        Err(_) if !database.exists() => drop(File::create(database).map_err(failed)?),
        _ => {}
    }
    let real = database.canonicalize().map_err(failed)?;
    if fs::metadata(&real).map_err(failed)?.nlink() > 1 {
        return Err(Error::internal(format!(
            "{} is one file under several names (hard links), and SQLite keeps a log beside each: leave one name",
            real.display()
        )));
    }
    let mut name = real.clone().into_os_string();
    name.push(".lock");
    let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&name);
    let lock = lock.map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::internal(format!(
                "another server uses {}: one SQLite file has one server",
                real.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // SQLite gives its journal files the permissions of the database file.
    for path in [real, name.into()] {
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
    }
    Ok(lock)
}
