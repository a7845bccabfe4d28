//! What a process knows of the published protocols.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::model::{FRESH, IN_FORCE_AFTER, STALE, TRY_AGAIN, VersionState, protocol};
use super::store::{self, VersionKey, VersionRow};
use crate::kernel::id::{Clinic, ClinicProtocol};
use crate::kernel::{Error, Id, Result};
use crate::planning::{ClinicChoice, PublishedVersion};
use crate::state::State;

/// Reads what was published, if the process last did so more than [`FRESH`] ago. While somebody reads it already, what
/// is known is good enough for [`STALE`]: not everybody asks at once, and nobody waits for a database that is away.
///
/// # Errors
///
/// When database or keyring cannot be reached.
pub async fn refresh(state: &State, now: Timestamp) -> Result<()> {
    let age = state.protocols.read_at().map(|at| now.duration_since(at).abs());
    if age.is_some_and(|age| age < FRESH) {
        return Ok(());
    }
    let turn = state.protocols.begin();
    if turn.is_none() && age.is_some_and(|age| age < STALE) {
        return Ok(());
    }
    read(state, now).await
}

/// Reads what was published. Contents are opened once; those that do not open are tried again after [`TRY_AGAIN`].
///
/// # Errors
///
/// When database or keyring cannot be reached.
pub async fn read(state: &State, now: Timestamp) -> Result<()> {
    let known = state.protocols.known();
    let choices: BTreeMap<Id<Clinic>, ClinicChoice> = state
        .db
        .read(store::list_choices)
        .await?
        .into_iter()
        .map(|row| {
            let protocol = row.protocol_id.map(|id| id.uuid().to_string());
            (row.clinic_id, ClinicChoice { protocol, version: row.version })
        })
        .collect();
    if choices == *known.choices() && !state.protocols.is_to_try_again(now) {
        state.protocols.note(now);
        return Ok(());
    }
    let mut published = Vec::new();
    let (keys, mut are_all) = state.db.read(store::list_published).await?;
    for key in keys {
        let Some(at) = key.published_at else { continue };
        let same = |one: &&PublishedVersion| is_of(one, &key);
        let protocol = match known.published().iter().find(same) {
            Some(one) => Some(Arc::clone(&one.protocol)),
            None => open(state, &key).await?.map(Arc::new),
        };
        let Some(protocol) = protocol else {
            are_all = false;
            continue;
        };
        let from = at.0.saturating_add(IN_FORCE_AFTER).unwrap_or(at.0);
        let retired = VersionState::named(&key.state) == VersionState::Retired;
        published.push(PublishedVersion { protocol, clinic: key.clinic_id, from, retired });
    }
    let again_at = (!are_all).then(|| now.saturating_add(TRY_AGAIN).unwrap_or(now));
    state.protocols.replace(known.with(published, choices), now, again_at);
    Ok(())
}

fn is_of(one: &PublishedVersion, key: &VersionKey) -> bool {
    let id: Option<Id<ClinicProtocol>> = one.protocol.key.parse().ok().map(Id::from_uuid);
    id == Some(key.id) && i64::from(one.protocol.version) == i64::from(key.number)
}

/// Opens a published version. One that does not open is none: its patients follow another.
async fn open(state: &State, key: &VersionKey) -> Result<Option<crate::planning::Protocol>> {
    let (clinic, id, number) = (key.clinic_id, key.id, key.number);
    let row: Option<VersionRow> = state.db.read(move |tx| store::find(tx, clinic, id, Some(number))).await?;
    let keys = Error::skip_damaged(state.vault.keys(clinic.uuid()).await)?.flatten();
    let Some((row, keys)) = row.zip(keys) else { return Ok(None) };
    let content = Error::skip_damaged(row.open(&keys))?;
    if content.is_none() {
        tracing::error!(protocol = %id, number, "a published protocol cannot be opened");
    }
    Ok(content.map(|content| protocol(id, number, content)))
}
