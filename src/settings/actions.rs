//! The actions on a patient's settings and on their therapists' changes of the protocol. The plan follows at the end of
//! the unit.

use jiff::Timestamp;

use super::model::{ChosenProtocols, Settings};
use super::overrides::{choice_tag, tag};
use super::store::{find_settings, open_or_default, open_settings, update_settings};
use crate::care::{Access, Write};
use crate::changes::{self, Change, Entity, Op};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::kernel::Result;
use crate::planning::{Override, ZoneSince};

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
        // A repetition that hides the activity, too, is answered once it stands in the revocation ledger.
        changes::follow_up_owed(tx, access.patient())?;
        return Ok((before, version));
    }
    when.require(&EntityTag::version(version))?;
    let version = tx.version_after(version);
    Ok((update(tx, access, &before, after, version)?, version))
}

/// Returns the instant from which on two histories of zones differ.
fn zones_differ_from((before, after): (&[ZoneSince], &[ZoneSince])) -> Option<Timestamp> {
    let same = before.iter().zip(after).take_while(|(one, other)| one == other).count();
    if same == 0 {
        // The first zone is also that of what happened before.
        return Some(Timestamp::MIN);
    }
    before.iter().skip(same).chain(after.iter().skip(same)).map(|since| since.from).min()
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
        let overrides_version = tx.version_after(settings.overrides_version);
        let after = Settings { overrides: list.to_vec(), overrides_version, ..settings.clone() };
        let version = tx.version_after(version);
        settings = update(tx, access, &settings, after, version)?;
    }
    Ok(Outcome::ok(access.patient(), settings))
}

/// Replaces the therapists' choice of protocols for this patient, and returns the settings with it.
///
/// # Errors
///
/// 428 and 412 for preconditions.
pub fn put_protocols(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    choice: &ChosenProtocols,
    when: &Preconditions,
) -> Result<Outcome<Settings>> {
    access.lock(tx)?;
    let (mut settings, version) = settings(tx, access)?;
    let same = ChosenProtocols { version: settings.protocols.version, ..choice.clone() };
    if settings.protocols != same {
        when.require(&choice_tag(&settings))?;
        let protocols = ChosenProtocols { version: tx.version_after(settings.protocols.version), ..choice.clone() };
        let after = Settings { protocols, ..settings.clone() };
        let version = tx.version_after(version);
        settings = update(tx, access, &settings, after, version)?;
    }
    Ok(Outcome::ok(access.patient(), settings))
}

/// Stores `after` as `version`, and returns it with what its history then tells of `before`.
fn update(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    before: &Settings,
    after: Settings,
    version: i64,
) -> Result<Settings> {
    let history = before.history.noted(version, &before.own_fields()?, &after.own_fields()?);
    let moves_from = zones_differ_from((&before.zones, &after.zones));
    let after = Settings { history, ..after };
    update_settings(tx, access, &after, version)?;
    let change = Change::new(Entity::Settings, access.patient(), version, Op::Update).moving(moves_from);
    let hides_activity = before.share_activity && !after.share_activity;
    access.record(tx, if hides_activity { change.withdrawing() } else { change })?;
    Ok(after)
}
