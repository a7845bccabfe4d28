//! A therapist's reading of several of their patients in one unit.

use std::collections::BTreeMap;

use super::access::{Access, Read, Role};
use super::clinics::{check_second_factor, where_may};
use super::model::{Capabilities, LinkState};
use super::store;
use crate::audit::{self, Record, Subject};
use crate::changes::{self, Bytes};
use crate::db::Tx;
use crate::identity::{Live, Staff};
use crate::kernel::id::Patient;
use crate::kernel::{Id, Result};
use crate::vault::{Keys, Vault};

/// Opens those of `patients` to whom the caller has an active care link. The links are held, then the patients' heads
/// are locked in ascending order: what the unit reads of them is of one moment.
///
/// # Errors
///
/// When the database fails; [`crate::kernel::Code::SecondFactorMissing`].
pub fn open(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    patients: &[Id<Patient>],
    keys: &BTreeMap<Id<Patient>, Keys>,
) -> Result<BTreeMap<Id<Patient>, Access<Read>>> {
    check_second_factor(tx, live)?;
    let care = where_may(&store::memberships(tx, live.account())?, Capabilities::care);
    let links = store::hold_links_between(tx, patients, &care)?;
    let mut opened = BTreeMap::new();
    for link in links {
        if link.therapist == live.account() && link.state == LinkState::Active {
            let role = Role::Therapist { link: link.id, clinic: link.clinic };
            let actor = (live.account(), live.session());
            let access = Access::opened(link.patient, role, actor, keys.get(&link.patient).cloned(), live.now());
            opened.insert(link.patient, access);
        }
    }
    for patient in opened.keys() {
        changes::take(tx, *patient, 0, Bytes::default())?;
    }
    Ok(opened)
}

/// Writes the audit row of an access by which something was returned.
///
/// # Errors
///
/// When it cannot be written.
pub fn trace(tx: &mut Tx<'_>, vault: &Vault, act: &'static str, access: &Access<Read>) -> Result<()> {
    let ids = access.returned();
    if ids.is_empty() {
        return Ok(());
    }
    let record = Record { act: act.to_owned(), role: access.role().name().to_owned(), refused: false, ids };
    let (account, session) = access.actor().unzip();
    let subject = Subject::Patient(access.patient());
    audit::append(tx, vault, access.keys()?, subject, account, session, access.now(), &record)
}
