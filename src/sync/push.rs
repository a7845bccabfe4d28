//! The batch of a push: some mutations in one unit, each in a savepoint. On SQLite all others wait for a unit, so it
//! does fewer mutations where each has more to do.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::epoch::Epoch;
use super::model::Kind;
use super::mutation::{Came, Kept, Mutation, Remembered};
use super::outcome::{Done, Means, Written, find, first_version};
use super::{comments, epoch, grants, infusions, pauses, prompts, settings, store, words};
use crate::care::grants::store::{count_by_rule, count_made, hold_active, hold_readers_of_all, list_by_rule_among};
use crate::care::{Access, Write};
use crate::changes;
use crate::course::count_infusions;
use crate::db::Tx;
use crate::exercises::Responses;
use crate::journal::Entries;
use crate::kernel::creation::canonical;
use crate::kernel::id::Grant;
use crate::kernel::{Code, Error, Id, Result};
use crate::vault::{MacLabel, Vault};

/// The most mutations of one unit, and the most that all of them together may weigh. Most weigh 1.
const OF_UNIT: usize = 50;
/// The bytes after which a unit takes no more of them.
const BYTES_OF_UNIT: usize = 1024 * 1024;
/// The grants by rule that add 1 to the weight of an entry, which enters those that it matches.
const RULES: i64 = 2;
/// The infusions that add 1 to the weight of an infusion, which is compared with all of them.
const INFUSIONS: i64 = 50;
/// The grants that add 1 to the weight of an end, which may have to be compared with all that were ever made.
const GRANTS: i64 = 50;

/// A mutation as it was sent: read, with its fingerprint, or the fault for which it is rejected.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its place in the batch.
    pub place: usize,
    /// The id in it, if it has one.
    pub id: Option<Uuid>,
    /// The mutation and its fingerprint.
    pub mutation: std::result::Result<(Mutation, Vec<u8>), Arc<Error>>,
    /// The bytes of it.
    pub bytes: usize,
    /// Whether another one of the batch before it changes the same thing.
    pub repeated: bool,
}

/// Reads the mutations of a batch, in the order in which they are done: what ends grants comes first, so that nothing
/// of the batch opens what it ends.
pub fn read(vault: &Vault, list: &[Value]) -> Vec<Arc<Sent>> {
    let sent = |(place, value): (usize, &Value)| {
        let id = value["mutation_id"].as_str().and_then(|text| text.parse().ok());
        let text = canonical(value.clone(), true);
        let mutation = Mutation::parse(value)
            .map(|mutation| (mutation, vault.mac(MacLabel::Sync, &[b"mutation", text.as_bytes()]).to_vec()));
        Sent { place, id, mutation: mutation.map_err(Arc::new), bytes: text.len(), repeated: false }
    };
    let mut batch: Vec<_> = list.iter().enumerate().map(sent).collect();
    let revokes = |sent: &Sent| sent.mutation.as_ref().is_ok_and(|(mutation, _)| grants::ends(mutation));
    batch.sort_by_key(|sent| !revokes(sent));
    let mut things = BTreeSet::new();
    for sent in &mut batch {
        let key = sent.mutation.as_ref().ok().map(|(mutation, _)| (mutation.kind, mutation.thing));
        sent.repeated = key.is_some_and(|key| !things.insert(key));
    }
    batch.into_iter().map(Arc::new).collect()
}

/// Returns the mutations that are next for a unit, which may do fewer of them.
pub fn unit(rest: &[Arc<Sent>]) -> &[Arc<Sent>] {
    let mut bytes = 0;
    let fits = |sent: &&Arc<Sent>| {
        bytes += sent.bytes;
        bytes <= BYTES_OF_UNIT
    };
    let count = rest.iter().take(OF_UNIT).take_while(fits).count().max(1).min(rest.len());
    rest.split_at(count).0
}

fn mutations(batch: &[Arc<Sent>]) -> impl Iterator<Item = &Mutation> {
    batch.iter().filter_map(|sent| Some(&sent.mutation.as_ref().ok()?.0))
}

/// Returns the first of some mutations, as many as weigh no more than a unit may while others wait for it, and at least
/// one.
fn that_fit<'s>(tx: &mut Tx<'_>, access: &Access<Write>, batch: &'s [Arc<Sent>]) -> Result<&'s [Arc<Sent>]> {
    if batch.len() < 2 {
        return Ok(batch);
    }
    let has = |kind: Kind| mutations(batch).any(|mutation| mutation.kind == kind);
    let rules = if has(Kind::Entry) && access.may_have_rules() { count_by_rule(tx, access)? } else { 0 };
    let infusions = if has(Kind::Infusion) { count_infusions(tx, access)? } else { 0 };
    let ended: Vec<Id<Grant>> = mutations(batch).flat_map(grants::named_to_end).collect();
    // A rule that is ended already may still end what was made after it.
    let (rules_ended, made) = if ended.is_empty() {
        (Vec::new(), 0)
    } else {
        (list_by_rule_among(tx, access, &ended)?, count_made(tx, access)?)
    };
    let more = |rows: i64, each: i64| usize::try_from(rows / each).unwrap_or(OF_UNIT);
    let weight = |mutation: &Mutation| match mutation.kind {
        Kind::Entry => 1 + more(rules, RULES),
        Kind::Infusion => 1 + more(infusions, INFUSIONS),
        // Thousands of entries may enter it, or leave it.
        Kind::Grant if grants::is_by_rule(mutation) => OF_UNIT,
        Kind::Grant if grants::named_to_end(mutation).iter().any(|id| rules_ended.contains(id)) => OF_UNIT,
        Kind::Grant if !grants::named_to_end(mutation).is_empty() => 1 + more(made, GRANTS),
        _ => 1,
    };
    let mut all = 0;
    let fits = |sent: &&Arc<Sent>| {
        all += sent.mutation.as_ref().map_or(1, |(mutation, _)| weight(mutation));
        all <= OF_UNIT
    };
    let count = batch.iter().take_while(fits).count().max(1);
    Ok(batch.split_at(count).0)
}

/// Does some mutations of a batch, in order, and answers what came of each: of the first of them, if all are too much
/// for one unit. One that fails leaves no trace and harms no other.
///
/// # Errors
///
/// [`Error::Resync`] for a batch of another epoch, before anything is done; when the database fails, nothing is done.
pub fn apply(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    means: &Means,
    (epoch, quota): (&str, i64),
    batch: &[Arc<Sent>],
) -> Result<(Epoch, Vec<Done>)> {
    if mutations(batch).any(grants::revokes) {
        hold_readers_of_all(tx, access)?;
    } else if mutations(batch).any(grants::shares) {
        hold_active(tx, access, None)?;
    }
    access.lock(tx)?;
    let present = epoch::current(tx)?;
    if present.to_string() != epoch {
        return Err(present.resync("epoch"));
    }
    let batch = if means.one_writer { that_fit(tx, access, batch)? } else { batch };
    let ids: Vec<_> = mutations(batch).map(|mutation| mutation.id).collect();
    let mut known = store::list(tx, access, &ids)?;
    if known.values().any(|before| matches!(before.came, Came::Stored(_))) {
        // It may have ended what does not stand in the revocation ledger yet: grants, also those of an item, or shown
        // activity.
        changes::follow_up_owed(tx, access.patient())?;
    }
    let mut new = Vec::new();
    let mut results = Vec::with_capacity(batch.len());
    for sent in batch {
        let (mutation, fingerprint) = match &sent.mutation {
            Ok(read) => read,
            Err(fault) => {
                results.push(Done::Rejected(fault.again()));
                continue;
            }
        };
        let done: Result<Done> = match known.get(&mutation.id) {
            _ if mutation.patient != access.patient().uuid() => Err(Error::conflict(Code::WrongAccount)),
            Some(before) if before.fingerprint == *fingerprint => match before.came {
                Came::Stored(kept) => Ok(replay(tx, access, mutation, kept)?),
                Came::Conflict(code) => Ok(again(tx, access, means, mutation, code)?),
                // If it is refused still, the answer says why in full. If it could be done by now, that is undone.
                Came::Refused(code) => access.attempt(tx, |tx| {
                    one(tx, access, means, mutation)?;
                    Err(Error::conflict(code))
                })?,
            },
            Some(_) => Err(Error::conflict(Code::MutationReused)),
            None if sent.repeated => Err(Error::conflict(Code::ItemRepeated)),
            None => access.attempt(tx, |tx| {
                let done = one(tx, access, means, mutation)?;
                access.within(tx, quota)?;
                Ok(done)
            })?,
        };
        let done = done.unwrap_or_else(Done::Rejected);
        // Another mutation of the batch may have the same id.
        if let Some(came) = done.came(mutation)
            && let MapEntry::Vacant(place) = known.entry(mutation.id)
        {
            let remembered = place.insert(Remembered { fingerprint: fingerprint.clone(), came });
            new.push(((mutation.id, mutation.kind.entity().number(), mutation.thing), remembered.clone()));
        }
        results.push(done);
    }
    // One statement for all of them: on PostgreSQL each costs a round trip.
    store::insert(tx, access, &new)?;
    Ok((present, results))
}

/// Returns how phones write things of a kind; `None` for a kind that they only read.
const fn written(kind: Kind) -> Option<Written> {
    match kind {
        Kind::Entry => Some(words::written::<Entries>()),
        Kind::ExerciseResponse => Some(words::written::<Responses>()),
        Kind::Prompt => Some(prompts::WRITTEN),
        Kind::Grant => Some(grants::WRITTEN),
        Kind::Comment => Some(comments::WRITTEN),
        Kind::Pause => Some(pauses::WRITTEN),
        Kind::Settings => Some(settings::WRITTEN),
        Kind::Infusion => Some(infusions::WRITTEN),
        Kind::CareLink | Kind::Assignment | Kind::Receipt => None,
    }
}

fn one(tx: &mut Tx<'_>, access: &Access<Write>, means: &Means, mutation: &Mutation) -> Result<Done> {
    let written = written(mutation.kind).ok_or_else(|| Error::field("/kind", "is not a kind that phones write"))?;
    if !(written.takes)(mutation.act) {
        return Err(Error::field("/op", "is not one of this kind"));
    }
    let done = (written.apply)(tx, access, means, mutation)?;
    if mutation.mended.is_empty() {
        return Ok(done);
    }
    done.mended(&mutation.mended, |id| find(tx, access, mutation.kind, id))
}

/// Answers a mutation that was in conflict before: it still is, with the thing as it is now.
fn again(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    means: &Means,
    mutation: &Mutation,
    code: Option<&'static str>,
) -> Result<Done> {
    let current = if code.is_some() { find(tx, access, mutation.kind, mutation.thing)? } else { None };
    if code != Some("section_changed") {
        return Ok(Done::Conflict { sections: Vec::new(), current, code });
    }
    // The sections are found anew. If it could be done by now, that is undone, and all that it sends are named.
    let mut compared = None;
    let _undone = access.attempt(tx, |tx| {
        compared = Some(one(tx, access, means, mutation)?);
        Err::<(), _>(Error::conflict(Code::StateConflict))
    })?;
    let sections = match compared {
        Some(Done::Conflict { sections, .. }) if !sections.is_empty() => sections,
        _ => all_sent(mutation),
    };
    Ok(Done::Conflict { sections, current, code })
}

/// Lists what a mutation sends of all that can be in conflict.
fn all_sent(mutation: &Mutation) -> Vec<&'static str> {
    let fields = mutation.members.get("fields").and_then(Value::as_object);
    let sent = |name: &&str| mutation.members.contains_key(*name) || fields.is_some_and(|all| all.contains_key(*name));
    let names = written(mutation.kind).map_or(&[][..], |kind| kind.conflicts);
    names.iter().copied().filter(sent).collect()
}

/// Answers a mutation that was done before with what came of it then.
fn replay(tx: &mut Tx<'_>, access: &Access<Write>, mutation: &Mutation, kept: Kept) -> Result<Done> {
    let find = |tx: &mut Tx<'_>, id, version| match written(mutation.kind) {
        Some(kind) => (kind.at)(tx, access, id, version),
        None => Ok(None),
    };
    let item = if kept.merged { find(tx, kept.item, kept.version)? } else { None };
    let sibling = match kept.sibling {
        Some(id) => match first_version(tx, access, mutation.kind.entity(), id)? {
            Some(version) => find(tx, id, version)?,
            None => None,
        },
        None => None,
    };
    Ok(Done::Stored { replayed: true, kept, item, sibling, code: None, warnings: Vec::new() })
}
