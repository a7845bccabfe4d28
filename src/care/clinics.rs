//! Clinics: finds the clinic of a request, checks the caller's capabilities there, and asks its staff for a second
//! factor.

use super::model::Capabilities;
use super::store::{self, Member};
use crate::db::{At, Tx};
use crate::idempotency::Outcome;
use crate::identity::{Live, Staff, list_disabled};
use crate::kernel::id::{Clinic, Patient};
use crate::kernel::{Code, Error, Id, Result};
use crate::vault::SealContext;

/// Returns the place to which the document of a clinic is sealed.
pub fn clinic_place(clinic: Id<Clinic>, version: i64) -> SealContext {
    SealContext { table: "clinics", column: "doc", subject: clinic.uuid(), row: clinic.uuid(), revision: version }
}

/// Finds the clinic of a request: the one it names, or the only one where the caller may do this.
///
/// # Errors
///
/// [`Error::NotFound`] for a clinic where the caller does not work; 403 where they may not do this; a fault of
/// `/clinic_id` when several clinics are possible.
pub fn clinic_for(
    memberships: &[(Id<Clinic>, Capabilities)],
    named: Option<Id<Clinic>>,
    may: impl Fn(Capabilities) -> bool,
) -> Result<Id<Clinic>> {
    let refused = Err(Error::Forbidden(Code::Forbidden));
    if let Some(named) = named {
        let found = memberships.iter().find(|(clinic, _)| *clinic == named).ok_or(Error::NotFound)?;
        return if may(found.1) { Ok(named) } else { refused };
    }
    let mut fit = memberships.iter().filter(|(_, capabilities)| may(*capabilities)).map(|(clinic, _)| *clinic);
    match (fit.next(), fit.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => refused,
        (Some(_), Some(_)) => Err(Error::field("/clinic_id", "is required: you work at several clinics")),
    }
}

/// Lists the clinics of `memberships` whose capabilities satisfy `may`.
pub fn where_may(memberships: &[(Id<Clinic>, Capabilities)], may: impl Fn(Capabilities) -> bool) -> Vec<Id<Clinic>> {
    memberships.iter().filter(|(_, capabilities)| may(*capabilities)).map(|(clinic, _)| *clinic).collect()
}

/// Lets only admins of `clinic` pass.
pub fn require_admin(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<()> {
    let memberships = store::memberships(tx, live.account())?;
    clinic_for(&memberships, Some(clinic), Capabilities::admin).map(drop)
}

/// Lets only admins of `clinic` pass, and holds its members until the unit ends. Whoever ceases to be an admin while the
/// unit waits for them, or is disabled, does not pass.
///
/// # Errors
///
/// As [`clinic_for`]; [`Code::Unauthenticated`] when the account was just disabled.
pub fn hold_as_admin(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<Vec<Member>> {
    require_admin(tx, live, clinic)?;
    let members = store::hold_members(tx, clinic)?;
    // Whoever disables an admin holds a member of each of their clinics before.
    if !list_disabled(tx, &[live.account()])?.is_empty() {
        return Err(Error::Unauthenticated(Code::Unauthenticated));
    }
    let own = members.iter().find(|member| member.account_id == live.account()).ok_or(Error::NotFound)?;
    if own.may().admin() { Ok(members) } else { Err(Error::Forbidden(Code::Forbidden)) }
}

/// Lets only those pass who have a second factor, or whose clinics ask for none: for what is behind no door.
///
/// # Errors
///
/// [`Code::SecondFactorMissing`].
pub fn check_second_factor<K>(tx: &mut Tx<'_>, live: &Live<K>) -> Result<()> {
    if !live.proofs().has_factor && store::asks_factor(tx, live.account())? {
        return Err(Error::Forbidden(Code::SecondFactorMissing));
    }
    Ok(())
}

/// Asks the staff of a clinic for a second factor, or no longer. The present state again changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] and [`Code::Forbidden`] for others than its admins.
pub fn require_second_factor(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    clinic: Id<Clinic>,
    required: bool,
) -> Result<Outcome<()>> {
    let factor_from = required.then_some(At(live.now()));
    for member in hold_as_admin(tx, live, clinic)? {
        if member.factor_from.is_some() != required {
            store::update_member(tx, &Member { factor_from, ..member })?;
        }
    }
    Ok(Outcome::ok(clinic, ()))
}

/// Whether a clinic asks its staff for a second factor, for its admins.
///
/// # Errors
///
/// As [`require_second_factor`].
pub fn second_factor(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<bool> {
    require_admin(tx, live, clinic)?;
    Ok(store::find_factor_rule(tx, clinic)?.is_some())
}

/// Counts the patients with an active link at a clinic, for its admins. Counts below ten must not be shown.
pub fn count_patients(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<i64> {
    require_admin(tx, live, clinic)?;
    store::count_patients(tx, clinic)
}

/// Lists the patients with an active link at a clinic, for what its admins are told of all of them together.
pub fn list_patients(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<Vec<Id<Patient>>> {
    require_admin(tx, live, clinic)?;
    store::list_patients_at(tx, clinic)
}

/// The smallest count that is shown to admins.
const TOLD_FROM: i64 = 10;

/// Returns a count as admins are told it.
pub fn told(count: i64) -> String {
    if count < TOLD_FROM { format!("< {TOLD_FROM}") } else { count.to_string() }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::kernel::Entropy;

    #[test]
    fn a_clinic_is_named_where_there_is_a_choice() {
        let entropy = Entropy::seeded(1);
        let (one, two, none) =
            (entropy.id(Timestamp::UNIX_EPOCH), entropy.id(Timestamp::MAX), Id::from_uuid(entropy.opaque()));
        let of = |names: &[&str]| Capabilities::parse(names.iter().copied()).unwrap();
        let works = [(one, of(&["care"])), (two, of(&["care", "admin"]))];
        assert!(matches!(clinic_for(&works, None, Capabilities::admin), Ok(found) if found == two));
        assert!(matches!(clinic_for(&works, None, Capabilities::care), Err(Error::Invalid(_))));
        assert!(matches!(clinic_for(&works, None, Capabilities::record), Err(Error::Forbidden(_))));
        assert!(matches!(clinic_for(&works, Some(one), Capabilities::care), Ok(found) if found == one));
        assert!(matches!(clinic_for(&works, Some(one), Capabilities::admin), Err(Error::Forbidden(_))));
        assert!(matches!(clinic_for(&works, Some(none), Capabilities::care), Err(Error::NotFound)));
        assert_eq!(where_may(&works, Capabilities::care), [one, two]);
    }
}
