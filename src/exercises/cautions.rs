//! Caution flags: what speaks against some exercises for one patient, as their therapists see it.
//!
//! They are never named to the patient, who only sees what is offered to them; nor can they see that they changed.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::care::Access;
use crate::care::access::Write;
use crate::changes::FeedsPlan;
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::kernel::{Error, Fields, Result};
use crate::settings::{CautionFlag, find_cautions, update_cautions};
use crate::vault::{MacLabel, Vault};

/// The flags of these names.
///
/// # Errors
///
/// [`Error::Invalid`] for each that is not known, and when there are more than there can be.
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

/// The tag of a set of flags: a keyed hash, since headers are logged by others.
pub fn tag(vault: &Vault, flags: &BTreeSet<CautionFlag>) -> EntityTag {
    let names: Vec<&str> = flags.iter().map(|flag| flag.name()).collect();
    let mac = vault.mac(MacLabel::ReaderTag, &[b"cautions", names.join(" ").as_bytes()]);
    EntityTag::opaque(&URL_SAFE_NO_PAD.encode(mac))
}

/// Replaces the flags; the plan follows: what is withheld is not asked. `tag` makes the entity tag of a set.
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
) -> Result<()> {
    access.lock(tx)?;
    let before = find_cautions(tx, access)?;
    if before == *flags {
        return Ok(());
    }
    when.require(&tag(&before))?;
    update_cautions(tx, access, flags)?;
    // No change row: the patient's devices have nothing to fetch.
    access.feed_plan(FeedsPlan::Always);
    Ok(())
}
