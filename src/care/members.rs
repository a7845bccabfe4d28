//! Members of a clinic, and the changes that an admin makes to them.

use jiff::Timestamp;

use super::access::{Access, Role};
use super::clinics::require_admin;
use super::links;
use super::model::Capabilities;
use super::people::SealedNames;
use super::store::{self, Member};
use super::telling;
use super::write_scope::WriteScope;
use crate::changes::Planner;
use crate::db::{At, Tx};
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::identity::{Live, Staff};
use crate::kernel::id::{Account, Clinic, Session};
use crate::kernel::page::{Page, PageRequest, SMALL};
use crate::kernel::{Code, Error, Id, Result};

/// Lists a page of a clinic's members, for its admins.
pub fn list(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    clinic: Id<Clinic>,
    asked: PageRequest<Id<Account>>,
) -> Result<Page<Member, Id<Account>>> {
    require_admin(tx, live, clinic)?;
    let rows = store::list_members(tx, clinic, asked.after, asked.rows())?;
    Ok(asked.cut(rows, |_| SMALL, |member| member.account_id))
}

/// An admin's change of a member.
#[derive(Clone, Copy, Debug)]
pub struct MemberChange {
    /// The new capabilities.
    pub capabilities: Capabilities,
    /// Whether they no longer work here.
    pub ended: bool,
}

/// Returns the tag of a member.
pub fn tag(member: &Member) -> EntityTag {
    EntityTag::version(member.version)
}

/// Changes a member's capabilities, or ends their work at the clinic. With the work, and with `care`, their care links
/// there end, and the grants over them. A member who gets `care` again has no links. Of one who gets `record` the
/// patients of the clinic are told. The present state again changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when they do not work there; those of [`Preconditions::require`]; [`Code::Forbidden`] when an
/// admin gives themself a capability; [`Error::State`] when the clinic would be left without an admin; the errors of
/// `change`.
pub fn update(
    tx: &mut Tx<'_>,
    planner: &dyn Planner,
    live: &Live<Staff>,
    (clinic, account): (Id<Clinic>, Id<Account>),
    when: &Preconditions,
    change: impl FnOnce(&Member) -> Result<MemberChange>,
) -> Result<Member> {
    require_admin(tx, live, clinic)?;
    // A repetition, too, is answered once the links that ended stand in the ledger.
    tx.follow_up();
    let members = store::hold_members(tx, clinic)?;
    let Some(member) = members.iter().find(|member| member.account_id == account).copied() else {
        return ended_again(store::find_member(tx, clinic, account)?, change);
    };
    let change = change(&member)?;
    let (before, after) = (member.may(), change.capabilities);
    if after == before && !change.ended {
        return Ok(member);
    }
    when.require(&tag(&member))?;
    if account == live.account() && after.beyond(before) {
        return Err(Error::Forbidden(Code::Forbidden));
    }
    let others = members.iter().any(|other| other.account_id != account && other.may().admin());
    if !others && (change.ended || !after.admin()) {
        return Err(Error::state("last_admin", ["create_invitation", "update_member"]));
    }
    if change.ended || (before.care() && !after.care()) {
        let actor = (live.account(), live.session());
        for link in store::hold_links_of(tx, clinic, account)? {
            // No keys, because many patients may be concerned: the planner marks their plans stale.
            let access = Access::opened(link.patient, Role::Server, actor, None, live.now());
            WriteScope::of(access).run(tx, planner, |tx, access| links::end(tx, access, &link))?;
        }
    }
    let ended_at = change.ended.then_some(At(live.now()));
    let version = tx.version_after(member.version);
    let member = Member { capabilities: after.bits(), ended_at, version, ..member };
    store::update_member(tx, &member)?;
    if after.record() && !before.record() {
        telling::begin(tx, (clinic, account), (live.session(), live.now()))?;
    }
    Ok(member)
}

/// Checks that every clinic which this account administers has another admin.
///
/// # Errors
///
/// [`Error::State`] when one would be left without.
pub fn check_replaceable(tx: &mut Tx<'_>, account: Id<Account>) -> Result<()> {
    let works = store::memberships(tx, account)?;
    for (clinic, _) in works.into_iter().filter(|(_, may)| may.admin()) {
        let members = store::hold_members(tx, clinic)?;
        if !members.iter().any(|other| other.account_id != account && other.may().admin()) {
            return Err(Error::state("last_admin", ["create_invitation", "update_member"]));
        }
    }
    Ok(())
}

/// Returns a former member unchanged when `change` ends their work again, so that a repeated request succeeds.
fn ended_again(former: Option<Member>, change: impl FnOnce(&Member) -> Result<MemberChange>) -> Result<Member> {
    let member = former.ok_or(Error::NotFound)?;
    let change = change(&member)?;
    if change.ended && change.capabilities == member.may() { Ok(member) } else { Err(Error::NotFound) }
}

/// Reads a member after a change, also one who no longer works there, with their name.
///
/// # Errors
///
/// [`Error::NotFound`] when they never worked there.
pub fn show(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    clinic: Option<Id<Clinic>>,
    outcome: Outcome<Member>,
) -> Result<(Member, SealedNames)> {
    let clinic = clinic.ok_or(Error::NotFound)?;
    let member = outcome.or_get(|account| {
        require_admin(tx, live, clinic)?;
        store::find_member(tx, clinic, account)?.ok_or(Error::NotFound)
    })?;
    Ok((member, SealedNames::collect(tx, [member.account_id], [])?))
}

/// Makes an account a member of a clinic, in its session.
///
/// # Errors
///
/// [`Error::State`] when they work there already.
pub fn join(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    account: Id<Account>,
    capabilities: Capabilities,
    (session, now): (Id<Session>, Timestamp),
) -> Result<()> {
    if !store::insert_member(tx, clinic, account, capabilities, now)? {
        return Err(Error::state("member", []));
    }
    if capabilities.record() { telling::begin(tx, (clinic, account), (session, now)) } else { Ok(()) }
}
