//! Members of a clinic, and the changes that an admin makes to them.

use std::collections::HashSet;

use jiff::Timestamp;

use super::access::{Access, Role};
use super::clinics::{hold_as_admin, require_admin};
use super::links;
use super::model::Capabilities;
use super::people::SealedNames;
use super::store::{self, CoverRow, EmergencyKey, Member};
use super::telling;
use super::write_scope::WriteScope;
use crate::audit::{self, Record, Subject};
use crate::changes::{self, Closed, Planner};
use crate::db::{At, Tx};
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::identity::{self, Live, Notice, Staff, list_disabled};
use crate::kernel::id::{Account, Clinic, Session};
use crate::kernel::page::{Page, PageRequest, SMALL};
use crate::kernel::{Code, Error, Id, Result};
use crate::letters::proofs;
use crate::state::State;
use crate::vault::{Keys, Vault};

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
/// there end, the grants over them, and covers. A member who gets `care` again has none of them. Of one who gets
/// `record` the patients of the clinic are told. The present state again changes nothing.
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
    // A repetition, too, is answered once what ended stands in the ledger, also that of an admin who is none any more.
    tx.follow_up();
    let members = hold_as_admin(tx, live, clinic)?;
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
    if change.ended || !after.admin() {
        require_other_admin(tx, &members, account)?;
    }
    let ends_links = change.ended || (before.care() && !after.care());
    let links = if ends_links { store::hold_links_of(tx, clinic, account)? } else { Vec::new() };
    let left = if change.ended { Capabilities::NONE } else { after };
    // Links, covers, heads: whoever tells patients of a cover holds them in this order, too.
    end_temporary(tx, (clinic, account), left, live.now())?;
    let actor = (live.account(), live.session());
    for link in links {
        // No keys, because many patients may be concerned: the planner marks their plans stale.
        let access = Access::opened(link.patient, Role::Server, actor, None, live.now());
        WriteScope::of(access).run(tx, planner, |tx, access| links::end(tx, access, &link))?;
    }
    let ended_at = change.ended.then_some(At(live.now()));
    let version = tx.version_after(member.version);
    let member = Member { capabilities: after.bits(), ended_at, version, ..member };
    store::update_member(tx, &member)?;
    if change.ended || before.beyond(after) {
        changes::note_closed(tx, Closed::Member(clinic, account), live.now())?;
    }
    if before.admin() && (change.ended || !after.admin()) {
        store::delete_resets_at(tx, clinic)?;
    }
    if after.record() && !before.record() {
        telling::begin(tx, (clinic, account), (live.session(), live.now()))?;
    }
    Ok(member)
}

/// Ends what a member reaches at a clinic for a time, as far as the capabilities that are `left` do not bear it: covers
/// need `care`, an access in an emergency `care` or `duty`. Whoever gets them again starts with nothing.
///
/// # Errors
///
/// When the database cannot be written.
pub(super) fn end_temporary(
    tx: &mut Tx<'_>,
    (clinic, account): (Id<Clinic>, Id<Account>),
    left: Capabilities,
    now: Timestamp,
) -> Result<()> {
    if left.care() {
        return Ok(());
    }
    for row in store::hold_covers_of(tx, clinic, account, now)? {
        let (id, version) = (row.id, tx.version_after(row.version));
        store::update_cover(tx, &CoverRow { ended_at: Some(At(now)), version, ..row })?;
        changes::note_closed(tx, Closed::Cover(id), now)?;
    }
    if left.duty() {
        return Ok(());
    }
    for key in store::hold_emergencies_of(tx, clinic, account, now)? {
        let version = tx.version_after(key.version);
        store::update_emergency(tx, &EmergencyKey { ends_at: At(now), version, ..key })?;
    }
    Ok(())
}

/// Checks that every clinic which this account administers has another admin. The account is held, and joins no clinic
/// until the unit ends.
///
/// # Errors
///
/// [`Error::State`] when one would be left without; [`Error::Transient`] when the account has just joined or left a
/// clinic: the unit then decides again; [`Error::Damaged`] when a membership does not fit its MAC.
pub fn check_replaceable(tx: &mut Tx<'_>, account: Id<Account>) -> Result<()> {
    let works = store::all_memberships(tx, account)?;
    for (clinic, _) in works.iter().filter(|(_, may)| may.admin()) {
        let members = store::hold_members(tx, *clinic)?;
        require_other_admin(tx, &members, account)?;
    }
    hold_with_memberships(tx, account, &works)
}

/// Holds an account that was found to work at the clinics `works`, so that it joins no other one until the unit ends.
/// Members are held before accounts: whoever needs both has held the members.
///
/// # Errors
///
/// [`Error::Transient`] when the account has joined or left a clinic since: the unit then decides again;
/// [`Error::Damaged`] when a membership does not fit its MAC.
fn hold_with_memberships(tx: &mut Tx<'_>, account: Id<Account>, works: &[(Id<Clinic>, Capabilities)]) -> Result<()> {
    // Whether it is enabled does not matter here.
    identity::hold_enabled(tx, account)?;
    if store::all_memberships(tx, account)? == works {
        return Ok(());
    }
    Err(Error::Transient("an account has just joined or left a clinic".into()))
}

/// Lets `account` go as an admin only if another one is left whose account is not disabled.
fn require_other_admin(tx: &mut Tx<'_>, members: &[Member], account: Id<Account>) -> Result<()> {
    let others = members.iter().filter(|other| other.account_id != account && other.may().admin());
    let others: Vec<Id<Account>> = others.map(|other| other.account_id).collect();
    if list_disabled(tx, &others)?.len() < others.len() {
        return Ok(());
    }
    Err(Error::state("last_admin", ["create_invitation", "update_member"]))
}

/// Whether somebody treats patients at a clinic: a member with `care` whose account is not disabled. They are held as
/// they are, so that nothing is made that hangs on a capability which another unit takes.
pub fn is_therapist_at(tx: &mut Tx<'_>, clinic: Id<Clinic>, account: Id<Account>) -> Result<bool> {
    let member = store::hold_member(tx, clinic, account)?;
    let treats = member.is_some_and(|member| member.ended_at.is_none() && member.may().care());
    Ok(treats && list_disabled(tx, &[account])?.is_empty())
}

/// Ends the caller's own work at a clinic. A second call changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when they never worked there; [`Error::State`] when the clinic would be left without an admin,
/// or while the caller has care links there: each is first transferred or ended; [`Error::Damaged`] when one of them
/// does not fit its MAC.
pub fn leave(tx: &mut Tx<'_>, live: &Live<Staff>, clinic: Id<Clinic>) -> Result<()> {
    let account = live.account();
    // A repetition, too, is answered once the end stands in the ledger, also one that waited for the first request.
    tx.follow_up();
    if store::find_member(tx, clinic, account)?.ok_or(Error::NotFound)?.ended_at.is_some() {
        return Ok(());
    }
    let members = store::hold_members(tx, clinic)?;
    let Some(member) = members.iter().find(|member| member.account_id == account).copied() else { return Ok(()) };
    require_other_admin(tx, &members, account)?;
    if !store::hold_all_links_of(tx, &[clinic], account)?.is_empty() {
        return Err(Error::state("open_links", ["end_care_link", "offer_transfer"]));
    }
    end_temporary(tx, (clinic, account), Capabilities::NONE, live.now())?;
    let version = tx.version_after(member.version);
    store::update_member(tx, &Member { ended_at: Some(At(live.now())), version, ..member })?;
    if member.may().admin() {
        store::delete_resets_at(tx, clinic)?;
    }
    changes::note_closed(tx, Closed::Member(clinic, account), live.now())
}

/// Fetches the keys of a member's account for an admin of the clinic, before the unit that writes to its log.
///
/// # Errors
///
/// When database or keyring cannot be reached.
pub async fn keys_of_member(
    state: &State,
    admin: Id<Account>,
    member: Option<(Id<Clinic>, Id<Account>)>,
) -> Result<Option<Keys>> {
    let Some((clinic, account)) = member else { return Ok(None) };
    let known = state.db.read(move |tx| {
        let works = store::memberships(tx, admin)?;
        // Only for an admin is it looked up whether there is such a member.
        let administers = works.iter().any(|(at, may)| *at == clinic && may.admin());
        Ok(administers && store::find_member(tx, clinic, account)?.is_some())
    });
    if known.await? { state.vault.keys(account.uuid()).await } else { Ok(None) }
}

/// Disables the account of a member, or enables it again. A disabled one is refused at once, in every session; their
/// care links stay, and nobody reads over them. The change is written to the log of the account. A second call changes
/// nothing.
///
/// # Errors
///
/// As [`manage_account`].
pub fn set_disabled(
    tx: &mut Tx<'_>,
    (vault, keys): (&Vault, Option<&Keys>),
    live: &Live<Staff>,
    (clinic, account): (Id<Clinic>, Id<Account>),
    disabled: bool,
) -> Result<Member> {
    let member = hold_manageable(tx, live, (clinic, account))?;
    if !identity::set_disabled(tx, account, disabled, live.now())? {
        return Ok(member);
    }
    if disabled {
        identity::ask_notice(tx, account, Notice::DisabledByAdmin, live.now())?;
        void_codes(tx, account, live.now())?;
    }
    let act = if disabled { "disabled_by_admin" } else { "enabled_by_admin" };
    note_managed(tx, (vault, keys), live, account, act)?;
    // What is shown of the member has changed: so has its tag.
    let member = Member { version: tx.version_after(member.version), ..member };
    store::update_member(tx, &member)?;
    Ok(member)
}

/// Makes the codes void that were sent or made for an account that is being disabled: who is enabled again finds
/// nothing under way that somebody else has begun. If it is an admin's, so are those that they have made.
///
/// # Errors
///
/// When the database cannot be written; [`Error::Damaged`] when a membership does not fit its MAC.
pub fn void_codes(tx: &mut Tx<'_>, account: Id<Account>, now: Timestamp) -> Result<()> {
    proofs::void_of(tx, account, now)?;
    store::delete_resets(tx, &[account])?;
    for (clinic, _) in store::all_memberships(tx, account)?.iter().filter(|(_, may)| may.admin()) {
        store::delete_resets_at(tx, *clinic)?;
    }
    Ok(())
}

/// Lets an admin do `work` on the account of a member, and writes it as `act` into the log of the account.
///
/// # Errors
///
/// [`Error::NotFound`] when they do not work there; [`Error::State`] for the caller's own account, and for one that
/// also works at a clinic of which the caller is no admin: it is not this clinic's alone; [`Error::Damaged`] when a
/// membership of it does not fit its MAC; the errors of `work`.
pub fn manage_account(
    tx: &mut Tx<'_>,
    vault: (&Vault, Option<&Keys>),
    live: &Live<Staff>,
    of: (Id<Clinic>, Id<Account>),
    act: &str,
    work: impl FnOnce(&mut Tx<'_>) -> Result<()>,
) -> Result<()> {
    hold_manageable(tx, live, of)?;
    // The sessions of an account are held before its log, as by its owner who ends one.
    work(tx)?;
    note_managed(tx, vault, live, of.1, act)
}

/// Finds a member whose account the caller may manage, as [`manage_account`] says, and holds what that rests on until
/// the unit ends: the members of the clinic, the caller as an admin of the other ones, and the account.
fn hold_manageable(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    (clinic, account): (Id<Clinic>, Id<Account>),
) -> Result<Member> {
    let members = hold_as_admin(tx, live, clinic)?;
    let member = members.iter().find(|member| member.account_id == account).copied().ok_or(Error::NotFound)?;
    if account == live.account() {
        return Err(Error::state("own_account", ["update_member"]));
    }
    let works = store::all_memberships(tx, account)?;
    for (at, _) in works.iter().filter(|(at, _)| *at != clinic) {
        // Held, so that the caller stays an admin there: a clinic keeps one whose account is not disabled.
        let own = store::hold_member(tx, *at, live.account())?;
        let is_admin = own.is_some_and(|own| own.ended_at.is_none() && own.may().admin());
        if !is_admin {
            return Err(Error::state("works_elsewhere", ["update_member"]));
        }
    }
    hold_with_memberships(tx, account, &works)?;
    Ok(member)
}

/// Writes what an admin did into the log of an account.
fn note_managed(
    tx: &mut Tx<'_>,
    (vault, keys): (&Vault, Option<&Keys>),
    live: &Live<Staff>,
    account: Id<Account>,
    act: &str,
) -> Result<()> {
    let record = Record { act: act.to_owned(), role: "admin".to_owned(), refused: false, ids: Vec::new() };
    let (subject, keys) = (Subject::Account(account), keys.ok_or(Error::NotFound)?);
    audit::append(tx, vault, keys, subject, Some(live.account()), Some(live.session()), live.now(), &record)
}

/// Holds the members of every clinic where an account works, then the account, and returns the clinics. Until the unit
/// ends, the account gets no care link there and joins no other clinic.
///
/// # Errors
///
/// [`Error::Transient`] when the account has just joined or left a clinic: the unit then decides again;
/// [`Error::Damaged`] when a membership does not fit its MAC.
pub fn hold_work_of(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<Id<Clinic>>> {
    let works = store::all_memberships(tx, account)?;
    for (clinic, _) in &works {
        store::hold_members(tx, *clinic)?;
    }
    hold_with_memberships(tx, account, &works)?;
    Ok(works.into_iter().map(|(clinic, _)| clinic).collect())
}

/// Ends every care link of a therapist at `clinics`, which are held by [`hold_work_of`], for the server, and what they
/// reach there for a time.
///
/// # Errors
///
/// When the database cannot be written; [`Error::Damaged`] when a link does not fit its MAC.
pub fn end_links_of(
    tx: &mut Tx<'_>,
    planner: &dyn Planner,
    (account, clinics): (Id<Account>, &[Id<Clinic>]),
    now: Timestamp,
) -> Result<()> {
    let links = store::hold_all_links_of(tx, clinics, account)?;
    for clinic in clinics {
        end_temporary(tx, (*clinic, account), Capabilities::NONE, now)?;
    }
    for link in links {
        let access = Access::new(link.patient, Role::Server, None, None, now);
        WriteScope::of(access).run(tx, planner, |tx, access| links::end(tx, access, &link))?;
    }
    Ok(())
}

/// Returns a former member unchanged when `change` ends their work again, so that a repeated request succeeds.
fn ended_again(former: Option<Member>, change: impl FnOnce(&Member) -> Result<MemberChange>) -> Result<Member> {
    let member = former.ok_or(Error::NotFound)?;
    let change = change(&member)?;
    if change.ended && change.capabilities == member.may() { Ok(member) } else { Err(Error::NotFound) }
}

/// A member with their name, and the account if it is disabled.
pub type Shown = (Member, SealedNames, HashSet<Id<Account>>);

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
) -> Result<Shown> {
    let clinic = clinic.ok_or(Error::NotFound)?;
    let member = outcome.or_get(|account| {
        require_admin(tx, live, clinic)?;
        store::find_member(tx, clinic, account)?.ok_or(Error::NotFound)
    })?;
    let disabled = list_disabled(tx, &[member.account_id])?;
    Ok((member, SealedNames::collect(tx, [member.account_id], [])?, disabled))
}

/// Makes an account a member of a clinic, in its session.
///
/// # Errors
///
/// [`Error::State`] when they work there already; [`Code::Unauthenticated`] when the account was just disabled.
pub fn join(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    account: Id<Account>,
    capabilities: Capabilities,
    (session, now): (Id<Session>, Timestamp),
) -> Result<()> {
    // Held: while an admin of the only clinic where they work does something to their account, they join no other one.
    if !identity::hold_enabled(tx, account)? {
        return Err(Error::Unauthenticated(Code::Unauthenticated));
    }
    if !store::insert_member(tx, clinic, account, capabilities, now)? {
        return Err(Error::state("member", []));
    }
    if capabilities.record() { telling::begin(tx, (clinic, account), (session, now)) } else { Ok(()) }
}
