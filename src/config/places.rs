//! The places of data and keys: which lies below which, and which are one.

use std::path::{Component, Path, PathBuf};

use crate::db::{Backend, PostgresUrl};

/// Returns the default key folder of a data folder: its sibling.
pub fn beside(data_dir: &Path) -> PathBuf {
    let name = data_dir.file_name().map_or_else(|| "afterglow".into(), |name| name.to_string_lossy().into_owned());
    data_dir.with_file_name(format!("{name}-keys"))
}

/// Returns the path without links and `..`, as far as it exists already.
fn absolute(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        if part == Component::ParentDir {
            real.pop();
            continue;
        }
        real.push(part);
        if let Ok(found) = real.canonicalize() {
            real = found;
        }
    }
    real
}

/// Whether `path` is `folder` or lies below it.
pub(super) fn is_below(path: &Path, folder: &Path) -> bool {
    absolute(path).starts_with(absolute(folder))
}

/// Whether two databases are one, as far as their places tell.
pub(super) fn are_one(one: &Backend, other: &Backend) -> bool {
    match (one, other) {
        (Backend::Sqlite(one), Backend::Sqlite(other)) => absolute(one) == absolute(other),
        (Backend::Postgres(one), Backend::Postgres(other)) => {
            match (PostgresUrl::parse(one), PostgresUrl::parse(other)) {
                (Ok(one), Ok(other)) => one.is_same_database(&other),
                _ => one == other,
            }
        }
        _ => false,
    }
}
