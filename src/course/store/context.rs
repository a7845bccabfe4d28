//! The sealed sources of the context of something written, and of the window: settings and infusions.
//!
//! A patient may have hundreds of infusions, and few of them matter to an answer. Which ones is sealed in their
//! documents, so what was opened is kept, with the number of the last change of an infusion. While that number is the
//! same, an answer reads the documents that matter to it, and rests on what was kept only if none of them is another
//! one. If anything differs, all of them are read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use diesel::backend::Backend;
use diesel::expression::ValidGrouping;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Nullable};

use super::open_facts;
use crate::care::Access;
use crate::changes::Entity;
use crate::course::surroundings::{ContextSource, Needed};
use crate::db::schema::{changes, infusions, patient_settings};
use crate::db::{Both, Prepared, Tx, Uid, rounded};
use crate::kernel::id::{Infusion, Patient};
use crate::kernel::{Error, Id, Result};
use crate::planning::window::Dose;
use crate::settings::SettingsRow;
use crate::vault::{Keys, stamp};

/// The most infusions that are read by their ids. If an answer needs more, it reads all of them.
const MOST: usize = 60;

/// The sources of the context of something written, as a unit read them.
#[derive(Clone, Debug)]
pub struct SealedContextSource(Sources);

#[derive(Clone, Debug)]
enum Sources {
    /// What was kept, and is still so.
    Kept(ContextSource),
    /// All documents, sealed.
    Sealed(Documents),
}

/// The id, the document and the version of an infusion.
type InfusionColumns = (Id<Infusion>, Vec<u8>, i64);

/// Documents as they are stored.
#[derive(Clone, Debug, Default)]
struct Documents {
    /// The number of the last change of an infusion.
    changed: Option<i64>,
    settings: Option<SettingsRow>,
    infusions: Vec<InfusionColumns>,
}

/// What was made of all documents of a patient, with the stamp of each.
struct Opened {
    source: ContextSource,
    changed: Option<i64>,
    settings: Option<u64>,
    infusions: BTreeMap<Id<Infusion>, u64>,
}

/// Reads what an answer needs, in one statement unless something has changed: every answer about an entry needs it.
pub fn background<A>(tx: &mut Tx<'_>, access: &Access<A>, needed: Needed) -> Result<SealedContextSource> {
    if let Some(kept) = access.keys().ok().and_then(Keys::kept::<Opened>)
        && let Some(doses) = needed.among(&kept.source.doses)
        && doses.len() <= MOST
    {
        let ids: Vec<Id<Infusion>> = doses.iter().map(|dose| dose.infusion_id).collect();
        let found = find(tx, access, Some(&ids))?;
        // The number of the change is in the row of the settings.
        if found.settings.is_some() && kept.is_of(&found, ids.len()) {
            return Ok(SealedContextSource(Sources::Kept(kept.source.near(needed, doses))));
        }
    }
    Ok(SealedContextSource(Sources::Sealed(find(tx, access, None)?)))
}

/// Whether a change is one of an infusion. The kind is written out, not bound: only then the partial index on these
/// changes serves. With a piece of plain SQL diesel would write the text of the statement anew for every answer.
#[derive(Debug, Clone, Copy, QueryId, ValidGrouping)]
struct OfInfusion;

impl Expression for OfInfusion {
    type SqlType = Bool;
}
impl<Source> AppearsOnTable<Source> for OfInfusion where changes::entity: AppearsOnTable<Source> {}
impl<DB: Backend> QueryFragment<DB> for OfInfusion {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("changes.entity = ");
        out.push_sql(&Entity::Infusion.number().to_string());
        Ok(())
    }
}

/// Finds the settings, the number of the last change of an infusion, and all infusions or those among `ids`.
fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: Option<&[Id<Infusion>]>) -> Result<Documents> {
    let patient = access.patient();
    let changed = changes::table
        .filter(changes::patient_id.eq(patient))
        .filter(OfInfusion)
        .order(changes::seq.desc())
        .limit(1)
        .select(changes::seq);
    let own = patient_settings::table.filter(patient_settings::patient_id.eq(patient)).select((
        None::<Id<Infusion>>.into_sql::<Nullable<Uid>>(),
        patient_settings::doc,
        patient_settings::version,
        changed.single_value(),
    ));
    let no_change = None::<i64>.into_sql::<Nullable<BigInt>>();
    let columns = (infusions::id.nullable(), infusions::doc, infusions::version, no_change);
    let of = infusions::table.filter(infusions::patient_id.eq(patient));
    let rows: Vec<(Option<Id<Infusion>>, Vec<u8>, i64, Option<i64>)> = match ids {
        // The most frequent one: its text is known by its type.
        Some([]) => Both(own).load(tx.conn())?,
        Some(ids) => {
            let some = of.filter(infusions::id.eq_any(rounded(ids)));
            Both(Prepared(own.union_all(some.select(columns)))).load(tx.conn())?
        }
        None => Both(own.union_all(of.select(columns))).load(tx.conn())?,
    };
    let mut found = Documents::default();
    for (infusion, doc, version, changed) in rows {
        if let Some(id) = infusion {
            found.infusions.push((id, doc, version));
        } else {
            (found.settings, found.changed) = (Some(SettingsRow::new(doc, version)), changed);
        }
    }
    Ok(found)
}

impl SealedContextSource {
    /// Opens both after the unit that read them. What does not open is left out: a damaged infusion does not keep what
    /// was written from being read.
    ///
    /// What opened whole is kept: to open and read it again for every answer took longer the more infusions there were.
    pub fn open(&self, keys: &Keys, patient: Id<Patient>) -> Result<ContextSource> {
        let (source, opened) = self.opened(keys, patient)?;
        if let Some(opened) = opened {
            keys.keep(Arc::new(opened));
        }
        Ok(source)
    }

    /// Opens both as [`Self::open`] does, in the unit that read them. Nothing is kept before the unit is durable: it may
    /// have read what it changed, or on SQLite what others in its batch did. If that is undone, another change takes the
    /// same number.
    pub fn open_in_unit(&self, tx: &mut Tx<'_>, keys: &Keys, patient: Id<Patient>) -> Result<ContextSource> {
        let (source, opened) = self.opened(keys, patient)?;
        if let Some(opened) = opened {
            let keys = keys.clone();
            tx.after_commit(move || keys.keep(Arc::new(opened)));
        }
        Ok(source)
    }

    /// Opens both. Answers also what can be kept.
    fn opened(&self, keys: &Keys, patient: Id<Patient>) -> Result<(ContextSource, Option<Opened>)> {
        let found = match &self.0 {
            Sources::Kept(source) => return Ok((source.clone(), None)),
            Sources::Sealed(found) => found,
        };
        let kept = keys.kept::<Opened>();
        if let Some(kept) = kept.filter(|kept| kept.is_of(found, kept.infusions.len())) {
            return Ok((kept.source.clone(), None));
        }
        let (mut doses, mut whole) = (Vec::<Dose>::with_capacity(found.infusions.len()), true);
        for (id, doc, version) in &found.infusions {
            let facts = Error::skip_damaged(open_facts(keys, patient, (*id, *version), doc))?;
            whole &= facts.is_some();
            doses.extend(facts.and_then(|facts| facts.dose(*id)));
        }
        let settings = Error::skip_damaged(found.settings.as_ref().map(|row| row.open(keys, patient)).transpose())?;
        whole &= settings.is_some();
        let doses = doses.into();
        let source = match settings.flatten() {
            Some((settings, _)) => ContextSource::new(doses, settings.zones.into(), settings.locale),
            None => ContextSource::new(doses, Arc::default(), "en".to_owned()),
        };
        let opened = whole.then(|| Opened::new(source.clone(), found));
        Ok((source, opened))
    }
}

impl Opened {
    fn new(source: ContextSource, of: &Documents) -> Self {
        let infusions = of.infusions.iter().map(|infusion| (infusion.0, stamp_of(infusion))).collect();
        Self { source, changed: of.changed, settings: of.settings_stamp(), infusions }
    }

    /// Whether the documents that were found are those of which it was made, and `count` infusions are among them.
    fn is_of(&self, found: &Documents, count: usize) -> bool {
        self.changed == found.changed
            && self.settings == found.settings_stamp()
            && found.infusions.len() == count
            && found.infusions.iter().all(|infusion| self.infusions.get(&infusion.0) == Some(&stamp_of(infusion)))
    }
}

impl Documents {
    fn settings_stamp(&self) -> Option<u64> {
        self.settings.as_ref().map(SettingsRow::stamp)
    }
}

fn stamp_of((_, doc, version): &InfusionColumns) -> u64 {
    stamp((version, doc))
}
