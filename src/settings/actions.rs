//! The actions on a patient's settings and on their therapists' changes of the protocol. The plan follows at the end of
//! the unit.

use super::model::Settings;
use super::overrides::tag;
use super::store::{find_settings, open_or_default, open_settings, update_settings};
use crate::care::{Access, Write};
use crate::changes::{Change, Entity, Op};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::kernel::Result;
use crate::planning::Override;

/// Reads the patient's settings with their version, opened in the unit, for planning and for checks. A patient without
/// settings lives in UTC.
///
/// # Errors
///
/// When they cannot be read.
pub fn settings<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<(Settings, i64)> {
    open_settings(find_settings(tx, access)?.as_ref(), access.keys()?, access.patient())
}

/// Reads the settings as [`settings`] does, for what goes on without them: settings that do not open count as none.
///
/// # Errors
///
/// When they cannot be read.
pub fn settings_or_default<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Settings> {
    open_or_default(find_settings(tx, access)?.as_ref(), access.keys()?, access.patient())
}

/// Changes the patient's settings by `change`.
///
/// # Errors
///
/// The errors of `change`; 428 and 412 for preconditions.
pub fn patch_settings(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    change: impl FnOnce(&Settings) -> Result<Settings>,
    when: &Preconditions,
) -> Result<(Settings, i64)> {
    access.lock(tx)?;
    let (before, version) = settings(tx, access)?;
    let after = change(&before)?;
    if after == before {
        return Ok((before, version));
    }
    when.require(&EntityTag::version(version))?;
    let version = tx.version_after(version);
    update(tx, access, &after, version)?;
    Ok((after, version))
}

/// Replaces the therapists' changes of the protocol for this patient, and returns the settings with them.
///
/// # Errors
///
/// 428 and 412 for preconditions.
pub fn put_overrides(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    list: &[Override],
    when: &Preconditions,
) -> Result<Outcome<Settings>> {
    access.lock(tx)?;
    let (mut settings, version) = settings(tx, access)?;
    if settings.overrides != list {
        when.require(&tag(&settings))?;
        list.clone_into(&mut settings.overrides);
        settings.overrides_version = tx.version_after(settings.overrides_version);
        let version = tx.version_after(version);
        update(tx, access, &settings, version)?;
    }
    Ok(Outcome::ok(access.patient(), settings))
}

fn update(tx: &mut Tx<'_>, access: &Access<Write>, settings: &Settings, version: i64) -> Result<()> {
    update_settings(tx, access, settings, version)?;
    access.record(tx, Change::new(Entity::Settings, access.patient(), version, Op::Update))
}
