//! What speaks against some exercises for one patient, as their therapists see it.
//!
//! Sealed with the patient's settings. Never named to the patient: they only see what is offered to them.

use std::collections::BTreeSet;

use crate::care::Access;
use crate::care::access::Write;
use crate::changes::{self, Change, Entity, Op};
use crate::course::{self, CautionFlag};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::kernel::{Fields, Result};
use crate::prompts::actions::settings;

/// The flags of these names.
///
/// # Errors
///
/// [`crate::kernel::Error::Invalid`] for each that is not known.
pub fn parse(names: &[String]) -> Result<BTreeSet<CautionFlag>> {
    let mut fields = Fields::new();
    let mut flags = BTreeSet::new();
    for (n, name) in names.iter().enumerate() {
        let known = CautionFlag::ALL.into_iter().find(|flag| flag.name() == name);
        flags.extend(fields.take(&format!("/flags/{n}"), known.ok_or("is not a caution flag")));
    }
    fields.finish(Some(flags))
}

/// The tag of a set of flags: whoever may see it sees all of it.
pub fn tag(flags: &BTreeSet<CautionFlag>) -> EntityTag {
    let names: Vec<&str> = flags.iter().map(|flag| flag.name()).collect();
    EntityTag::opaque(&format!("c.{}", names.join(".")))
}

/// Puts these flags in the place of what was there.
///
/// # Errors
///
/// 428 and 412 for preconditions.
pub fn put(tx: &mut Tx<'_>, access: &Access<Write>, flags: &BTreeSet<CautionFlag>, when: &Preconditions) -> Result<()> {
    let first = changes::take(tx, access.patient(), 1)?;
    let (mut settings, version) = settings(tx, access)?;
    if settings.cautions == *flags {
        return Ok(());
    }
    when.require(&tag(&settings.cautions))?;
    flags.clone_into(&mut settings.cautions);
    course::update_settings(tx, access, &settings, version + 1)?;
    let change = Change::new(Entity::Settings, access.patient(), version + 1, Op::Update);
    changes::insert(tx, access.patient(), first, access.actor(), access.now(), &[change])
}
