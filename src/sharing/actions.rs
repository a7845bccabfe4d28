//! The actions on grants: making, listing, ending.

use crate::care::access::Write;
use jiff::SignedDuration;

use crate::care::grants::store::{self, GrantRow};
use crate::care::grants::{GrantDoc, Reader, Rule, Target, end, end_expired, new_row, open};
use crate::care::{Access, Read};
use crate::changes::{Change, Entity, Op};
use crate::config::Config;
use crate::consents::{self, Covers};
use crate::db::Tx;
use crate::exercises;
use crate::idempotency::Outcome;
use crate::identity::Need;
use crate::items::{ItemState, ItemTable as _};
use crate::journal;
use crate::kernel::id::{Account, Any, Grant};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Code, Error, Id, Result, Standing, limits};

/// A grant to make.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// Its document.
    pub doc: GrantDoc,
    /// Whether its reader sees it at once, so that it cannot be taken back before.
    pub at_once: bool,
}

/// What a server asks of new grants.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The time after which their readers see them.
    pub delay: SignedDuration,
    /// Whether the patient has to have agreed to sharing.
    pub consent: bool,
}

impl Terms {
    /// Returns those of a server's configuration.
    pub fn of(config: &Config) -> Self {
        Self { delay: config.share_delay(), consent: config.require_consents }
    }
}

/// Makes a grant, which its reader sees after a while. A repetition changes nothing.
///
/// # Errors
///
/// [`Error::ConsentRequired`] without the patient's consent to sharing; [`Error::StepUp`] for a rule or the care team
/// without a fresh proof, of accounts with a second factor or the lock; [`Error::Deleted`] when it was ended,
/// [`Code::AlreadyExists`] when the id has another content, [`Error::NotFound`]
/// for an unknown or deleted item, [`Error::LimitReached`], [`Code::NotShareable`] for a draft, [`Error::Invalid`] for
/// a reader without an active link and for an end before its reader sees it.
pub fn put(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (id, new): (Id<Grant>, &NewGrant),
    Terms { delay, consent }: Terms,
) -> Result<Outcome<GrantRow>> {
    let doc = &new.doc;
    let therapist = match doc.reader {
        Reader::Therapist(account) => Some(account),
        Reader::CareTeam => None,
    };
    let links = store::hold_active(tx, access, therapist)?;
    access.lock(tx)?;
    if let Some(row) = store::find(tx, access, id)? {
        return match (&row.key.closed_at, open(access.keys()?, access.patient(), &row)? == *doc) {
            (Some(_), _) => Err(Error::Deleted),
            (None, true) => Ok(Outcome::ok(id, row)),
            (None, false) => Err(Error::Conflict(Code::AlreadyExists, Some(id.uuid()))),
        };
    }
    consents::require(tx, access, Covers::Sharing, consent)?;
    if doc.rule().is_some() || therapist.is_none() {
        access.require(Need::Guarded)?;
    }
    if links.is_empty() {
        return Err(match therapist {
            Some(_) => Error::field("/reader/account_id", "is not a therapist with an active link to you"),
            None => Error::field("/reader", "there is no active care link"),
        });
    }
    let waits = !new.at_once && delay > SignedDuration::ZERO;
    let visible_from = waits.then(|| access.now().saturating_add(delay).unwrap_or(access.now()));
    if doc.expires_at.is_some_and(|until| until <= access.now()) {
        return Err(Error::field("/expires_at", "must be in the future"));
    }
    if doc.expires_at.zip(visible_from).is_some_and(|(until, from)| until <= from) {
        return Err(Error::field("/expires_at", "must be after the instant from which its reader sees it"));
    }
    let items = match &doc.target {
        Target::Entry(entry) => {
            let state = journal::store::EntryTable::find_state(tx, access, entry.any())?;
            vec![shareable(entry.any(), "patch_entry", state)?]
        }
        Target::ExerciseResponse(response) => {
            let state = exercises::store::ResponseTable::find_state(tx, access, response.any())?;
            vec![shareable(response.any(), "patch_exercise_response", state)?]
        }
        Target::Rule(rule) => matching(tx, access, rule)?,
    };
    // What has expired does not count, also while the task that ends it is late.
    end_expired(tx, access)?;
    if doc.rule().is_some() {
        limits::GRANTS_BY_RULE.admit(store::count_by_rule(tx, access)?)?;
    }
    limits::LIVE_GRANTS.admit(store::count_open(tx, access)?)?;
    let row = new_row(tx, access, (id, doc), visible_from)?;
    store::insert(tx, access, &row, &links, therapist.is_none())?;
    store::insert_items(tx, access, id, &items)?;
    access.record(tx, Change::new(Entity::Grant, id, row.key.version, Op::Create))?;
    Ok(Outcome::created(id, row))
}

/// Returns the item if it can be shared: it exists and is done. `patch` is the operation that ends a draft.
fn shareable(item: Id<Any>, patch: &'static str, state: Option<ItemState>) -> Result<store::Item> {
    match state {
        Some(ItemState { draft: false, deleted: false, occurred_at }) => Ok((item, occurred_at)),
        Some(ItemState { draft: true, deleted: false, .. }) => {
            Err(Error::State(Code::NotShareable, Standing { state: "draft", allowed: vec![patch] }))
        }
        Some(ItemState { deleted: true, .. }) | None => Err(Error::NotFound),
    }
}

/// Lists the done entries that fall under a rule now: among the newest, because each is opened in the unit.
fn matching(tx: &mut Tx<'_>, access: &Access<Write>, rule: &Rule) -> Result<Vec<store::Item>> {
    let (mut found, most) = (Vec::new(), limits::PAST_ENTRIES_OF_RULE.rows());
    for entry in journal::store::list_rule_facts(tx, access, rule.answers_prompt, most)? {
        if rule.matches(entry.kind.name(), entry.answers_prompt) {
            found.push((entry.id.any(), entry.occurred_at));
        }
    }
    Ok(found)
}

/// Ends a grant. A repetition changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when there is no such grant.
pub fn delete(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Grant>) -> Result<()> {
    store::hold_readers(tx, access, &[id])?;
    access.lock(tx)?;
    let row = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    if row.key.closed_at.is_some() {
        tx.follow_up();
        return Ok(());
    }
    end(tx, access, &[row.key])
}

/// A grant with the therapists who may read by it.
pub type WithReaders = (GrantRow, Vec<Id<Account>>);

/// Reads a grant after a change, with the therapists who may read by it.
///
/// # Errors
///
/// [`Error::NotFound`] when there is no such grant.
pub fn show(tx: &mut Tx<'_>, access: &Access<Write>, outcome: Outcome<GrantRow>) -> Result<WithReaders> {
    let row = outcome.or_get(|id| store::find(tx, access, id)?.ok_or(Error::NotFound))?;
    with_readers(tx, access, vec![row])?.pop().ok_or(Error::NotFound)
}

/// Adds to each grant the therapists who may read by it.
fn with_readers<A>(tx: &mut Tx<'_>, access: &Access<A>, rows: Vec<GrantRow>) -> Result<Vec<WithReaders>> {
    let ids: Vec<Id<Grant>> = rows.iter().map(|row| row.key.id).collect();
    let readers = store::readers_of(tx, access, &ids)?;
    let of = |id| readers.iter().filter(|(grant, _)| *grant == id).map(|(_, account)| *account).collect();
    Ok(rows.into_iter().map(|row| (row.clone(), of(row.key.id))).collect())
}

/// Lists a page of grants, in descending order of their ids. The patient gets all of them, a therapist the live ones that name them.
pub fn list(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
    asked: PageRequest<Id<Grant>>,
) -> Result<Page<WithReaders, Id<Grant>>> {
    let rows = match access.link() {
        Some(link) => store::list_to(tx, access, link, asked.after, asked.rows())?,
        None => store::list(tx, access, asked.after, asked.rows())?,
    };
    let page = asked.cut(rows, |row| row.doc.len(), |row| row.key.id);
    Ok(Page { items: with_readers(tx, access, page.items)?, next: page.next })
}
