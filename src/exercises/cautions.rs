//! Caution flags: the therapists' reasons against some exercises for one patient.
//!
//! They belong to the clinic that set them: its therapists see only these. What is offered to the patient depends on
//! the flags of all clinics.
//!
//! They are never named to the patient, who sees only the offers. The patient cannot see that they changed either.

use std::collections::BTreeSet;

use crate::care::Access;
use crate::care::access::Write;
use crate::changes::FeedsPlan;
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::kernel::{Error, Fields, Result};
use crate::settings::{CautionFlag, ClinicCautions, find_own_cautions, update_cautions};

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

/// Returns the tag of a clinic's set: the number of its changes, because others log headers.
pub fn tag(cautions: &ClinicCautions) -> EntityTag {
    EntityTag::version(cautions.changes)
}

/// Replaces the flags of the caller's clinic. The plan follows, because prompts for withheld exercises are not asked.
///
/// # Errors
///
/// 428 and 412 for preconditions.
pub fn put(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    flags: &BTreeSet<CautionFlag>,
    when: &Preconditions,
) -> Result<Outcome<ClinicCautions>> {
    access.lock(tx)?;
    let mut own = find_own_cautions(tx, access)?;
    if own.flags != *flags {
        when.require(&tag(&own))?;
        own = update_cautions(tx, access, flags)?;
        // No change row: the patient's devices have nothing to fetch.
        access.feed_plan(FeedsPlan::Always);
    }
    Ok(Outcome::ok(access.patient(), own))
}
