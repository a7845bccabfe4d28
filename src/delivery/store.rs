//! The outbox, and the prompts that go into it.

mod health;
mod lease;
mod outcomes;
mod receipts;
mod rows;

use std::collections::{HashMap, HashSet};

use diesel::dsl::exists;
use diesel::prelude::*;
use jiff::Timestamp;

pub use health::{ChannelCounts, count_by_channel, oldest_late};
pub use lease::{Leased, lease};
pub use outcomes::{FannedOut, Left, Outcomes, finish};
pub use receipts::{Receipt, receive};

use self::rows::{NewDelivery, insert_rows};
use super::model::{Outgoing, delivery_id, lane_of};
use crate::care::Access;
use crate::care::model::LinkState;
use crate::db::schema::{
    accounts, care_links, deliveries, entries, exercise_responses, infusions, patient_settings, prompts,
};
use crate::db::{AnyConnection, At, Both, Prepared, Tx, columns, rounded};
use crate::kernel::id::{Clinic, Delivery, Patient, Prompt};
use crate::kernel::{Id, Result};
use crate::prompts::model::StoredPrompt;
use crate::prompts::store::{self as prompt_rows, PromptRow};
use crate::settings::{Settings, SettingsRow, open_settings};
use crate::vault::Vault;

/// Puts deliveries into the outbox. One that is there already is not changed.
pub fn insert(tx: &mut Tx<'_>, vault: &Vault, channel: &'static str, list: &[Outgoing], now: Timestamp) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let rows: Vec<NewDelivery> = list
        .iter()
        .map(|one| NewDelivery {
            id: delivery_id(vault, one.prompt, one.ordinal),
            patient_id: one.patient,
            prompt_id: one.prompt,
            ordinal: one.ordinal,
            channel,
            state: "waiting",
            attempts: 0,
            due_at: At(one.due_at),
            expires_at: At(one.expires_at),
            created_at: At(now),
            device_id: None,
            sent_at: None,
            done_at: None,
            lane: one.lane,
        })
        .collect();
    insert_rows(tx, &rows)
}

/// A prompt that came due: its patient, its id, its expiry, the number of its deliveries, and the patient's clinic.
type DuePrompt = (Id<Patient>, Id<Prompt>, At, Option<i64>, Option<Id<Clinic>>);

/// Takes up to `most` prompts that came due between `cutoff` and `now`, the longest waiting first, without the patients
/// in `late`. Prompts that another worker is taking are passed over. The lane of each is that of the clinic of the
/// patient's oldest link. The lane gives nobody access, so the MAC of the link is not checked.
///
/// It is not fair between clinics, for which prompts would need a lane of their own: several batches are claimed for
/// each round of sending, so that what waits for long waits in the outbox, which is fair.
///
/// Spans patients: rests on the partial index `prompts_next_action`.
pub fn claim(
    tx: &mut Tx<'_>,
    (cutoff, now): (Timestamp, Timestamp),
    late: &[Id<Patient>],
    most: i64,
) -> Result<Vec<Outgoing>> {
    let delivered = deliveries::table
        .filter(deliveries::patient_id.eq(prompts::patient_id))
        .filter(deliveries::prompt_id.eq(prompts::id))
        .filter(deliveries::device_id.is_null())
        .count()
        .single_value();
    let clinic = care_links::table
        .filter(care_links::patient_id.eq(prompts::patient_id))
        .filter(care_links::state.eq(LinkState::Active.name()))
        .order(care_links::id)
        .select(care_links::clinic_id)
        .single_value();
    let due = prompts::table
        .filter(prompts::next_action_at.ge(At(cutoff)))
        .filter(prompts::next_action_at.le(At(now)))
        .filter(prompts::patient_id.ne_all(late))
        .order(prompts::next_action_at)
        .limit(most)
        .select((prompts::patient_id, prompts::id, prompts::expires_at, delivered, clinic));
    let rows: Vec<DuePrompt> = match tx.conn() {
        AnyConnection::Pg(conn) => due.for_update().skip_locked().load(conn)?,
        AnyConnection::Sqlite(conn) => due.load(conn)?,
    };
    let outgoing = |(patient, prompt, expires_at, count, clinic): DuePrompt| Outgoing {
        patient,
        prompt,
        ordinal: ordinal(count.unwrap_or_default()),
        due_at: now,
        expires_at: expires_at.0,
        lane: lane_of(clinic),
    };
    Ok(rows.into_iter().map(outgoing).collect())
}

fn ordinal(count: i64) -> i32 {
    i32::try_from(count).unwrap_or_default()
}

/// Makes deliveries of a patient's waiting prompts.
pub fn outgoing<A>(tx: &mut Tx<'_>, access: &Access<A>, waiting: Vec<PromptRow>) -> Result<Vec<(Outgoing, PromptRow)>> {
    let patient = access.patient();
    let counts: Vec<(Id<Prompt>, i64)> = deliveries::table
        .filter(deliveries::patient_id.eq(patient))
        .filter(deliveries::prompt_id.eq_any(waiting.iter().map(|row| row.id)))
        .filter(deliveries::device_id.is_null())
        .group_by(deliveries::prompt_id)
        .select((deliveries::prompt_id, diesel::dsl::count_star()))
        .load(tx.conn())?;
    let counts: HashMap<_, _> = counts.into_iter().collect();
    let lane = lane_of(clinic_of(tx, access)?);
    let leaving = |row: PromptRow| {
        let count = counts.get(&row.id).copied().unwrap_or_default();
        let (prompt, expires_at) = (row.id, row.expires_at.0);
        (Outgoing { patient, prompt, ordinal: ordinal(count), due_at: access.now(), expires_at, lane }, row)
    };
    Ok(waiting.into_iter().map(leaving).collect())
}

/// Finds the clinic of the patient's oldest link, as [`claim`] does.
fn clinic_of<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Option<Id<Clinic>>> {
    Ok(care_links::table
        .filter(care_links::patient_id.eq(access.patient()))
        .filter(care_links::state.eq(LinkState::Active.name()))
        .order(care_links::id)
        .select(care_links::clinic_id)
        .first(tx.conn())
        .optional()?)
}

/// Finds those of `stale`, deliveries that wait since before an outage, that the outage leaves out: another prompt of
/// their patient was put into the outbox after them and is still of use, such as the one that was chosen.
///
/// # Errors
///
/// When the database cannot be read.
pub fn list_left_out(tx: &mut Tx<'_>, stale: &[Leased], now: Timestamp) -> Result<HashSet<Id<Delivery>>> {
    if stale.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<(Id<Patient>, Id<Prompt>, At)> = deliveries::table
        .filter(deliveries::patient_id.eq_any(stale.iter().map(|one| one.patient)))
        .filter(deliveries::device_id.is_null())
        .filter(deliveries::state.ne("lapsed"))
        .filter(deliveries::expires_at.gt(At(now)))
        .select((deliveries::patient_id, deliveries::prompt_id, deliveries::created_at))
        .load(tx.conn())?;
    let (mut last, mut own): (HashMap<_, Timestamp>, HashMap<_, Timestamp>) = (HashMap::new(), HashMap::new());
    for (patient, prompt, at) in rows {
        let (last, own) = (last.entry(patient).or_insert(at.0), own.entry(prompt).or_insert(at.0));
        (*last, *own) = ((*last).max(at.0), (*own).max(at.0));
    }
    // What was put there in the same round, such as all that waited for the end of a session, is none later.
    let is_left_out = |one: &&Leased| last.get(&one.patient) > own.get(&one.prompt);
    Ok(stale.iter().filter(is_left_out).map(|one| one.id).collect())
}

/// The facts of one delivery, still sealed.
#[derive(Clone, Debug)]
pub struct SealedPrompt {
    /// The instant at which its prompt was due.
    pub due_at: Timestamp,
    /// Whether an infusion of the patient has just changed.
    pub changed: bool,
    /// Whether the patient has set a dial lately.
    pub dials: bool,
    /// Whether the account of the patient is disabled.
    pub shut_out: bool,
    /// The instant of the last change of its prompt.
    pub updated_at: Timestamp,
    prompt: PromptRow,
    settings: Option<SettingsRow>,
}

impl SealedPrompt {
    /// Opens the settings of the patient.
    pub fn open_settings<A>(&self, access: &Access<A>) -> Result<Settings> {
        Ok(open_settings(self.settings.as_ref(), access.keys()?, access.patient())?.0)
    }

    /// Opens the prompt.
    pub fn open<A>(self, access: &Access<A>) -> Result<StoredPrompt> {
        prompt_rows::open(access, self.prompt)
    }
}

/// Finds the prompts of these deliveries with their patients' settings, in one statement, and whether an infusion of
/// the patient has changed, and a dial was set, since these instants. Whether the account of the patient is disabled is
/// read without the MAC of its row: it only stops what would leave, and nothing goes to a device without a live
/// session.
pub fn list_sealed(
    tx: &mut Tx<'_>,
    ids: &[Id<Delivery>],
    (since, dials_since): (Timestamp, Timestamp),
) -> Result<Vec<(Id<Delivery>, SealedPrompt)>> {
    let of_patient = infusions::table.filter(infusions::patient_id.eq(deliveries::patient_id));
    let changed = exists(of_patient.filter(infusions::updated_at.ge(At(since))));
    let written = entries::table
        .filter(entries::patient_id.eq(deliveries::patient_id))
        .filter(entries::deleted_at.is_null())
        .filter(entries::occurred_at.ge(At(dials_since)))
        .filter(entries::mood.is_not_null());
    let worked = exercise_responses::table
        .filter(exercise_responses::patient_id.eq(deliveries::patient_id))
        .filter(exercise_responses::deleted_at.is_null())
        .filter(exercise_responses::occurred_at.ge(At(dials_since)))
        .filter(exercise_responses::distress.is_not_null());
    let dials = exists(written).or(exists(worked));
    let account = accounts::table.filter(accounts::patient_id.eq(deliveries::patient_id.nullable()));
    let shut_out = exists(account.filter(accounts::disabled_at.is_not_null()));
    let own = prompts::patient_id.eq(deliveries::patient_id).and(prompts::id.eq(deliveries::prompt_id));
    let of = deliveries::table
        .inner_join(prompts::table.on(own))
        .left_join(patient_settings::table.on(patient_settings::patient_id.eq(deliveries::patient_id)))
        .filter(deliveries::id.eq_any(rounded(ids)));
    let rows: Vec<(Id<Delivery>, PromptRow, Option<SettingsRow>, (bool, bool, bool, At))> =
        Both(Prepared(of.select((
            deliveries::id,
            columns::<PromptRow>(),
            columns::<SettingsRow>().nullable(),
            (changed, dials, shut_out, prompts::updated_at),
        ))))
        .load(tx.conn())?;
    let sealed = |(id, prompt, settings, (changed, dials, shut_out, updated_at)): (_, PromptRow, _, (_, _, _, At))| {
        let (due_at, updated_at) = (prompt.due_at.0, updated_at.0);
        (id, SealedPrompt { due_at, changed, dials, shut_out, updated_at, prompt, settings })
    };
    Ok(rows.into_iter().map(sealed).collect())
}
