//! Giving and withdrawing a consent, and asking for one.

use super::documents::{Covers, Document};
use super::model::{Consent, ConsentDoc, Consents, NewConsent, Standing};
use super::store;
use crate::care::grants::{self, store as grant_rows};
use crate::care::{Access, Write};
use crate::changes::{Change, Entity, Op};
use crate::db::Tx;
use crate::devices::actions::remove_mailboxes;
use crate::idempotency::Outcome;
use crate::kernel::{Error, Result, limits};

/// Gives a consent. The same one again changes nothing.
///
/// # Errors
///
/// [`Error::LimitReached`].
pub fn give(tx: &mut Tx<'_>, access: &Access<Write>, new: &NewConsent) -> Result<Outcome<Consent>> {
    access.lock(tx)?;
    let all = store::read(tx, access)?;
    let doc = ConsentDoc {
        document: new.document.key.to_owned(),
        version: new.document.version,
        locale: new.locale.clone(),
        text_sha256: new.text_sha256.clone(),
        method: new.method.clone(),
        given_at: access.now(),
    };
    let known = all.find(new.document.key).filter(|known| known.standing == Standing::Given);
    if let Some(known) = known
        && known.doc == (ConsentDoc { given_at: known.doc.given_at, ..doc.clone() })
    {
        return Ok(Outcome::ok(access.patient(), known.clone()));
    }
    limits::CONSENTS.admit(all.rows)?;
    let op = if all.version == 0 { Op::Create } else { Op::Update };
    add(tx, access, &all, (&doc, false), op)?;
    let given = Consent { doc, standing: Standing::Given, withdrawn_at: None };
    Ok(match known {
        Some(_) => Outcome::ok(access.patient(), given),
        None => Outcome::created(access.patient(), given),
    })
}

/// Withdraws a consent, and ends at once what it covers. A second time changes nothing. Where a row does not open, it
/// may have given the consent: what that covers ends too, and there is nothing that the record could repeat.
///
/// # Errors
///
/// [`Error::NotFound`] for one that was never given.
pub fn withdraw(tx: &mut Tx<'_>, access: &Access<Write>, document: &Document) -> Result<()> {
    if document.covers == Covers::Sharing {
        // No reader is in the middle of reading when the answer is sent.
        grant_rows::hold_readers_of_all(tx, access)?;
    }
    access.lock(tx)?;
    let all = store::read(tx, access)?;
    match all.find(document.key) {
        Some(known) if known.standing == Standing::Withdrawn => {
            tx.follow_up();
            return Ok(());
        }
        Some(known) => add(tx, access, &all, (&known.doc, true), Op::Update)?,
        // As after a withdrawal: a repetition is answered once what has ended stands in the revocation ledger.
        None if all.unclear => tx.follow_up(),
        None => return Err(Error::NotFound),
    }
    match document.covers {
        Covers::Sharing => {
            let mut open = grant_rows::list_keys(tx, access)?;
            open.retain(|key| key.closed_at.is_none());
            grants::end(tx, access, &open)
        }
        Covers::AutomatedMessages => remove_mailboxes(tx, access),
        // Nothing that the program does yet. What will do it asks [`require`] each time.
        Covers::Information | Covers::SafetyAnswers | Covers::QualityWork | Covers::ProxyAccess | Covers::Research => {
            Ok(())
        }
    }
}

fn add(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    all: &Consents,
    (doc, withdrawn): (&ConsentDoc, bool),
    op: Op,
) -> Result<()> {
    let version = tx.version_after(all.version);
    store::insert(tx, access, (version, withdrawn), doc)?;
    let change = Change::new(Entity::Consent, access.patient(), version, op);
    access.record(tx, if withdrawn { change.withdrawing() } else { change })
}

/// Lists how the documents stand, the latest first: for the patient all that were given, for a therapist those that
/// concern them.
///
/// # Errors
///
/// When they cannot be read.
pub fn list<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<Consent>> {
    let mut list = store::read(tx, access)?.list;
    let concerns = |key: &str| Document::find(key).is_some_and(Document::concerns_therapists);
    list.retain(|consent| access.is_owner() || concerns(&consent.doc.document));
    Ok(list)
}

/// Finds how a document stands, for the answer to a request that is repeated.
///
/// # Errors
///
/// [`Error::NotFound`] for one that was never given.
pub fn find(tx: &mut Tx<'_>, access: &Access<Write>, document: &str) -> Result<Consent> {
    store::read(tx, access)?.find(document).cloned().ok_or(Error::NotFound)
}

/// Asks for the consents to what is about to be done. One that was withdrawn is needed again, whatever the document.
/// One that was never given is needed if `always`, of a required document: who was never asked about another one goes
/// on.
///
/// # Errors
///
/// [`Error::ConsentRequired`], with the document.
pub fn require<A>(tx: &mut Tx<'_>, access: &Access<A>, covers: Covers, always: bool) -> Result<()> {
    let all = store::read(tx, access)?;
    for document in Document::all().iter().filter(|document| document.covers == covers) {
        match all.standing(document.key) {
            Some(Standing::Given) => {}
            None if !(always && document.required) => {}
            _ => return Err(Error::ConsentRequired(document.key, document.version)),
        }
    }
    Ok(())
}
