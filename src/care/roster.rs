//! The patients of a member of staff.

use std::collections::BTreeMap;

use super::clinics::{check_second_factor, where_may};
use super::covers::list_covered;
use super::links::note_shown;
use super::model::{Capabilities, LinkState};
use super::people::SealedNames;
use super::store::{self, Link};
use crate::db::Tx;
use crate::identity::{Live, Staff};
use crate::kernel::id::Patient;
use crate::kernel::page::{Page, PageRequest, SMALL};
use crate::kernel::{Id, Result};
use crate::vault::{Keys, Vault};

/// Lists a page of the ids on the caller's roster. Ids are no content, so this leaves no trace.
pub fn list(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    asked: PageRequest<Id<Patient>>,
) -> Result<Page<Id<Patient>, Id<Patient>>> {
    check_second_factor(tx, live)?;
    let works = store::memberships(tx, live.account())?;
    let (care, record) = (where_may(&works, Capabilities::care), where_may(&works, Capabilities::record));
    let covered = list_covered(tx, live, &works)?;
    let therapists: Vec<_> = std::iter::once(live.account()).chain(covered.iter().map(|(_, who)| *who)).collect();
    let ids = store::list_roster(tx, &therapists, &care, &record, asked.after, asked.rows())?;
    Ok(asked.cut(ids, |_| SMALL, |id| *id))
}

/// A patient on the roster.
#[derive(Clone, Copy, Debug)]
pub struct OnRoster {
    /// The link that puts them there. A therapist's own link goes before a colleague's.
    pub link: Link,
    /// `therapist`, `cover` or `record`.
    pub role: &'static str,
}

/// Shows the caller those of `patients` who are still on their roster, and writes a row into each patient's log.
pub fn show(
    tx: &mut Tx<'_>,
    vault: &Vault,
    live: &Live<Staff>,
    patients: &[Id<Patient>],
    keys: &BTreeMap<Id<Patient>, Keys>,
) -> Result<(Vec<OnRoster>, SealedNames)> {
    check_second_factor(tx, live)?;
    let works = store::memberships(tx, live.account())?;
    let may = |link: &Link| works.iter().find(|(clinic, _)| *clinic == link.clinic).map(|(_, may)| *may);
    let covered = list_covered(tx, live, &works)?;
    let links = store::hold_links_between(tx, patients, &where_may(&works, |_| true))?;
    let mut shown: Vec<OnRoster> = Vec::new();
    for link in links.into_iter().filter(|link| link.state == LinkState::Active && keys.contains_key(&link.patient)) {
        let Some(may) = may(&link) else { continue };
        let role = if may.care() && link.therapist == live.account() {
            "therapist"
        } else if covered.contains(&(link.clinic, link.therapist)) {
            "cover"
        } else if may.record() {
            "record"
        } else {
            continue;
        };
        match shown.last_mut() {
            Some(last) if last.link.patient == link.patient => {
                if role == "therapist" {
                    *last = OnRoster { link, role };
                }
            }
            _ => shown.push(OnRoster { link, role }),
        }
    }
    for OnRoster { link, role } in &shown {
        if let Some(keys) = keys.get(&link.patient) {
            note_shown(tx, vault, keys, live, "list_my_patients", role, link)?;
        }
    }
    let names = SealedNames::collect(tx, shown.iter().map(|at| at.link.person), shown.iter().map(|at| at.link.clinic))?;
    Ok((shown, names))
}
