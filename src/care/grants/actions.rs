//! The sealed document of a grant, and the upkeep of the grants' items.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::model::{GrantDoc, Reader, Sections, Target};
use super::store::{self, GrantKey, GrantRow};
use crate::care::Access;
use crate::care::access::Write;
use crate::changes::{self, Bytes, Change, Entity, Op};
use crate::db::{At, Tx};
use crate::kernel::id::{Account, Any, CareLink, Entry, Grant, Patient};
use crate::kernel::{Entropy, Error, Id, Result, limits};
use crate::vault::{Keys, Purpose, SealContext};

/// The maximum number of revocations with which a grant is compared. A phone that has missed more has to ask the person.
const COMPARED: usize = 1000;

/// The grants named in one statement.
const AT_ONCE: usize = 200;

fn place(patient: Id<Patient>, id: Id<Grant>) -> SealContext {
    SealContext { table: "grants", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: 1 }
}

/// Makes the row of a new grant: its sealed document, whose bytes count, and its key. Its reader sees it from
/// `visible_from` on, or at once.
///
/// # Errors
///
/// When the keys do not seal.
pub fn new_row(
    tx: &Tx<'_>,
    access: &Access<Write>,
    (id, doc): (Id<Grant>, &GrantDoc),
    visible_from: Option<Timestamp>,
) -> Result<GrantRow> {
    let patient_id = access.patient();
    let sealed = access.keys()?.seal_json(Purpose::Journal, &place(patient_id, id), doc)?;
    access.stores(Bytes::text([sealed.as_slice()]));
    let key = GrantKey {
        id,
        patient_id,
        sections: doc.sections.bits(doc.rule().is_some()),
        version: tx.first_version(),
        created_at: At(access.now()),
        expires_at: doc.expires_at.map(At),
        closed_at: None,
        visible_from: visible_from.map(At),
    };
    Ok(GrantRow { key, doc: sealed })
}

/// Opens the document of a grant.
///
/// # Errors
///
/// When the row was changed, or sealed with other keys.
pub fn open(keys: &Keys, patient: Id<Patient>, row: &GrantRow) -> Result<GrantDoc> {
    open_doc(keys, patient, row.key.id, &row.doc)
}

/// Opens a document of a grant that is kept outside its row.
///
/// # Errors
///
/// As [`open`].
pub fn open_doc(keys: &Keys, patient: Id<Patient>, id: Id<Grant>, doc: &[u8]) -> Result<GrantDoc> {
    keys.open_json(&place(patient, id), doc)
}

/// Adds an entry to the grants by rule that it matches now, and answers whether one of them opens it. Called when it has
/// become done, and when its kind or whether it answers a prompt has changed. In the second case `before` is true: the
/// entry leaves the grants that it no longer matches.
pub fn on_entry(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (entry, occurred_at): (Id<Entry>, Timestamp),
    kind: &str,
    answers_prompt: bool,
    before: bool,
) -> Result<bool> {
    if !access.may_have_rules() {
        return Ok(false);
    }
    let (rows, patient) = (store::list_by_rule(tx, access)?, access.patient());
    let sealed = rows.iter().map(|row| (place(patient, row.key.id), row.doc.as_slice()));
    let docs = access.keys()?.open_set::<GrantDoc>(tx, &sealed.collect::<Vec<_>>())?;
    let (mut matching, mut others) = (Vec::new(), Vec::new());
    // A rule that does not open opens nothing new, and what has changed leaves it.
    for (row, doc) in rows.iter().zip(docs) {
        match doc.filter(|doc| doc.rule().is_some_and(|rule| rule.matches(kind, answers_prompt))) {
            Some(doc) => matching.push((row.key, doc.reader)),
            None => others.push(row.key.id),
        }
    }
    let matching = without_revoked(tx, access, &matching, entry)?;
    store::insert_item(tx, access, &matching, (entry.any(), occurred_at))?;
    if before {
        store::delete_item(tx, access, &others, entry.any())?;
    }
    Ok(!matching.is_empty())
}

/// Returns those of some grants by rule, each with its reader, that this entry may enter. It stays out of one if a grant
/// of the entry alone, to a reader of that one, was revoked since the rule was made, or if more was revoked since then
/// than can be compared with. One look-up serves all rules.
fn without_revoked(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    rules: &[(GrantKey, Reader)],
    entry: Id<Entry>,
) -> Result<Vec<Id<Grant>>> {
    // To find the numbers of fifty rules takes long; most patients have ended no grant.
    if rules.is_empty() || changes::list_grants_since(tx, access.patient(), Op::Delete, 0, 1)?.is_empty() {
        return Ok(rules.iter().map(|(key, _)| key.id).collect());
    }
    let things: Vec<_> = rules.iter().map(|(key, _)| (key.id.any(), key.version)).collect();
    let numbers = changes::numbers_of(tx, access.patient(), Entity::Grant, &things)?;
    let made = |key: &GrantKey| numbers.get(&key.id.any()).copied().unwrap_or(0);
    let oldest = rules.iter().map(|(key, _)| made(key)).min().unwrap_or(0);
    let mut ends = list_ends_since(tx, access, oldest)?;
    let first = first_compared(&ends);
    let compared = || rules.iter().filter(|(key, _)| made(key) >= first);
    let since = compared().map(|(key, _)| made(key)).min().unwrap_or(i64::MAX);
    ends.retain(|(number, _)| *number > since);
    let revoked = open_revoked(tx, access, &ends)?;
    // One that cannot be read may have been of this entry.
    let is_of = |doc: &GrantDoc, reader: Reader| doc.target == Target::Entry(entry) && doc.reader.overlaps(reader);
    let is_out = |key: &GrantKey, reader: Reader| {
        let mut later = revoked.iter().filter(|(number, _)| *number > made(key));
        later.any(|(_, doc)| doc.as_ref().is_none_or(|doc| is_of(doc, reader)))
    };
    Ok(compared().filter(|(key, reader)| !is_out(key, *reader)).map(|(key, _)| key.id).collect())
}

/// Lists the grants that were revoked after the change `seen`, without those that expired: that is no decision. Returns
/// `None` if there are more than can be compared with, or one cannot be read.
///
/// # Errors
///
/// When the database fails.
pub fn list_revoked_since(tx: &mut Tx<'_>, access: &Access<Write>, seen: i64) -> Result<Option<Vec<GrantDoc>>> {
    let ends = list_ends_since(tx, access, seen)?;
    if seen < first_compared(&ends) {
        return Ok(None);
    }
    Ok(open_revoked(tx, access, &ends)?.into_iter().map(|(_, doc)| doc).collect())
}

/// A grant that was ended, after the number of that change.
type GrantEnd = (i64, Id<Grant>);

/// Lists the grants that were ended after the change `seen`, the newest first: of more than can be compared with, the
/// newest and one more.
fn list_ends_since(tx: &mut Tx<'_>, access: &Access<Write>, seen: i64) -> Result<Vec<GrantEnd>> {
    let most = i64::try_from(COMPARED + 1).unwrap_or(i64::MAX);
    changes::list_grants_since(tx, access.patient(), Op::Delete, seen, most)
}

/// Returns the first number after which no more grants were ended than can be compared with.
fn first_compared(ends: &[GrantEnd]) -> i64 {
    ends.get(COMPARED).map_or(i64::MIN, |(number, _)| *number)
}

/// Opens grants that were ended, without those that expired, each with the number of its end; `None` of one that does
/// not open or whose row does not fit its MAC.
fn open_revoked(tx: &mut Tx<'_>, access: &Access<Write>, ends: &[GrantEnd]) -> Result<Vec<(i64, Option<GrantDoc>)>> {
    // Of two ends of one grant the newest counts.
    let ends: BTreeMap<Id<Grant>, i64> = ends.iter().rev().map(|(number, id)| (*id, *number)).collect();
    let ids: Vec<Id<Grant>> = ends.keys().copied().collect();
    let mut rows = BTreeMap::new();
    for some in ids.chunks(AT_ONCE) {
        rows.extend(store::list_among(tx, access, some)?.into_iter().map(|row| (row.key.id, row)));
    }
    let mut revoked = Vec::with_capacity(ends.len());
    for (id, number) in ends {
        let Some(row) = rows.get(&id) else {
            revoked.push((number, None));
            continue;
        };
        let expired = row.key.expires_at.zip(row.key.closed_at).is_some_and(|(until, closed)| until.0 <= closed.0);
        if !expired {
            revoked.push((number, Error::skip_damaged(open(access.keys()?, access.patient(), row))?));
        }
    }
    Ok(revoked)
}

/// The content of a grant with its items.
pub type GrantContent = (GrantDoc, Vec<store::Item>);

/// Lists the content of the live grants over which the holder of a link reads.
///
/// # Errors
///
/// When a row cannot be read. A grant that does not open is left out.
pub fn list_read_by(tx: &mut Tx<'_>, access: &Access<Write>, link: Id<CareLink>) -> Result<Vec<GrantContent>> {
    let mut found = Vec::new();
    for row in store::list_to(tx, access, link, None, limits::LIVE_GRANTS.rows())? {
        let doc = Error::skip_damaged(open(access.keys()?, access.patient(), &row))?;
        if let Some(doc) = doc {
            found.push((doc, store::list_items(tx, access, row.key.id)?));
        }
    }
    Ok(found)
}

/// Makes grants with the same content for another therapist, whose link is `reader`.
///
/// # Errors
///
/// [`Error::LimitReached`].
pub fn make_again(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (therapist, reader): (Id<Account>, Id<CareLink>),
    contents: Vec<GrantContent>,
    entropy: &Entropy,
) -> Result<()> {
    let mut made = Vec::with_capacity(contents.len());
    let (mut open, mut by_rule) = (store::count_open(tx, access)?, store::count_by_rule(tx, access)?);
    for (doc, items) in contents {
        let doc = GrantDoc { reader: Reader::Therapist(therapist), ..doc };
        limits::LIVE_GRANTS.admit(open)?;
        open += 1;
        if doc.rule().is_some() {
            limits::GRANTS_BY_RULE.admit(by_rule)?;
            by_rule += 1;
        }
        let id: Id<Grant> = entropy.id(access.now());
        let row = new_row(tx, access, (id, &doc), None)?;
        store::insert(tx, access, &row, &[reader], false)?;
        store::insert_items(tx, access, id, &items)?;
        made.push(Change::new(Entity::Grant, id, row.key.version, Op::Create));
    }
    access.record_all(tx, &made)
}

/// Takes an item of a kind with sections `of` out of every grant, because its present text is not what was opened. A
/// grant of that item alone is closed.
pub fn drop_item(tx: &mut Tx<'_>, access: &Access<Write>, of: Sections, item: Id<Any>) -> Result<()> {
    let alone = store::list_of_item_alone(tx, access, of, item)?;
    if !alone.is_empty() {
        access.lock(tx)?;
    }
    end(tx, access, &alone)?;
    store::delete_item_everywhere(tx, access, of, item)
}

/// Ends grants that are open.
///
/// # Errors
///
/// When the database cannot be written.
pub fn end(tx: &mut Tx<'_>, access: &Access<Write>, open: &[GrantKey]) -> Result<()> {
    let mut closed = Vec::with_capacity(open.len());
    for key in open {
        let version = store::mark_closed(tx, access, key)?;
        closed.extend(version.map(|version| Change::new(Entity::Grant, key.id, version, Op::Delete)));
    }
    access.record_all(tx, &closed)
}

/// Tells the feeds of readers of grants that they begin to see, as many as one unit does, and returns their number. The
/// grants do not change.
///
/// # Errors
///
/// When the database fails.
pub fn tell_begun(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<usize> {
    // What is open to each reader does not change meanwhile.
    changes::take(tx, access.patient(), 0, Bytes::default())?;
    let begun = store::list_to_tell(tx, access)?;
    let ids: Vec<Id<Grant>> = begun.iter().map(|(id, _)| *id).collect();
    let items = store::mark_told(tx, access, &ids)?;
    changes::note_opened(tx, access.patient(), access.now(), items);
    for (id, version) in &begun {
        let seen = Change::new(Entity::Grant, *id, *version, Op::Create);
        changes::note_changed(tx, access.patient(), access.now(), seen);
    }
    Ok(begun.len())
}

/// Ends grants that have expired, as many as one unit ends, and returns their number.
///
/// # Errors
///
/// When the database cannot be written.
pub fn end_expired(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<usize> {
    let expired = store::list_expired(tx, access)?;
    if !expired.is_empty() {
        access.lock(tx)?;
    }
    end(tx, access, &expired)?;
    Ok(expired.len())
}
