//! Variables of the environment that are no flags.

#![expect(clippy::disallowed_methods, reason = "the one place that reads them")]

use zeroize::Zeroizing;

/// The variable of the root key. It is no flag: other users of the machine see the flags of a process.
pub const ROOT_KEY: &str = "AFTERGLOW_ROOT_KEY";

/// Returns the root key as it was given, in base64.
pub fn root_key() -> Option<Zeroizing<Vec<u8>>> {
    std::env::var_os(ROOT_KEY).map(|text| Zeroizing::new(text.into_encoded_bytes()))
}

/// Whether the environment names a host for database URLs without one: libpq reads it.
pub(super) fn names_a_database_host() -> bool {
    ["PGHOST", "PGHOSTADDR", "PGSERVICE"].iter().any(|name| std::env::var_os(name).is_some())
}
