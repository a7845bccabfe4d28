//! Caution flags: the therapists' reasons against some exercises for one patient.
//!
//! They are never named to the patient, who sees only the offers. The patient cannot see that they changed either.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::care::Access;
use crate::care::access::Write;
use crate::changes::FeedsPlan;
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::kernel::{Error, Fields, Result};
use crate::settings::{CautionFlag, find_cautions, update_cautions};
use crate::vault::{MacLabel, Vault};

/// Parses the names of flags.
///
/// # Errors
///
/// [`Error::Invalid`] for each unknown name, and for more names than there are flags.
pub fn parse(names: &[String]) -> Result<BTreeSet<CautionFlag>> {
    if names.len() > CautionFlag::ALL.len() {
        return Err(Error::field("/flags", format!("must be at most {}", CautionFlag::ALL.len())));
    }
    let mut fields = Fields::new();
    let mut flags = BTreeSet::new();
    for (n, name) in names.iter().enumerate() {
        let known = CautionFlag::ALL.into_iter().find(|flag| flag.name() == name);
        flags.extend(fields.take(&format!("/flags/{n}"), known.ok_or("is not a caution flag")));
    }
    fields.finish(Some(flags))
}

/// Returns the tag of a set of flags. It is a keyed hash, because others log headers.
pub fn tag(vault: &Vault, flags: &BTreeSet<CautionFlag>) -> EntityTag {
    let names: Vec<&str> = flags.iter().map(|flag| flag.name()).collect();
    let mac = vault.mac(MacLabel::ReaderTag, &[b"cautions", names.join(" ").as_bytes()]);
    EntityTag::opaque(&URL_SAFE_NO_PAD.encode(mac))
}

/// Replaces the flags. The plan follows, because prompts for withheld exercises are not asked. `tag` makes the entity
/// tag of a set.
///
/// # Errors
///
/// 428 and 412 for preconditions.
pub fn put(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    flags: &BTreeSet<CautionFlag>,
    when: &Preconditions,
    tag: impl Fn(&BTreeSet<CautionFlag>) -> EntityTag,
) -> Result<Outcome<BTreeSet<CautionFlag>>> {
    access.lock(tx)?;
    let before = find_cautions(tx, access)?;
    if before == *flags {
        return Ok(Outcome::ok(access.patient(), before));
    }
    when.require(&tag(&before))?;
    update_cautions(tx, access, flags)?;
    // No change row: the patient's devices have nothing to fetch.
    access.feed_plan(FeedsPlan::Always);
    Ok(Outcome::ok(access.patient(), flags.clone()))
}
