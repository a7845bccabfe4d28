//! The data folder: readable by its owner only, one server at a time.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::kernel::{Error, Result};

/// Makes the folder (0700) and the database file (0600) if they are missing, and takes the folder's lock.
///
/// # Errors
///
/// [`Error::Internal`] when another server holds the lock or the folder cannot be made.
pub fn prepare(folder: &Path, database: &Path) -> Result<File> {
    let io = |error: std::io::Error| Error::Internal(Box::new(error));
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(io)?;
    }
    let lock = open(&folder.join("lock")).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::internal("another server uses this data folder: one SQLite file has one server"));
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    // SQLite gives its journal files the permissions of the database file.
    drop(open(database).map_err(io)?);
    Ok(lock)
}

fn open(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}
