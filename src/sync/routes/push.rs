//! The push of what was written offline.

use actix_web::{post, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::Door;
use crate::care::door::Own;
use crate::exercises::draft::DistressFields;
use crate::http::document::WriteErrors;
use crate::http::problem::ProblemField;
use crate::http::{HourlyLimit, Packed, PackedBody, PatientRef, Problem, Reply};
use crate::journal::draft::{MoodFields, TextFields};
use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result, limits};
use crate::sharing::{GrantReader, GrantRule, GrantTarget, Terms};
use crate::sync::item::SyncItem;
use crate::sync::outcome::{Done, Means, Numbered};
use crate::sync::push as batch;
use crate::vault::{Keys, apart};

/// A batch of changes that were made offline.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PushMutations {
    /// The epoch of what the app holds. If it is not that of the data, nothing of the batch is done (410).
    #[schema(example = "Zx0vQW8mT3eYb1c5aDf2gA")]
    epoch: String,
    /// The mutations, in the order in which they were made: at most 500, and one of each thing.
    #[schema(value_type = Vec<MutationFields>, max_items = 500)]
    mutations: Vec<Value>,
}

/// A change of one thing, or an act on it. Of the sections those are sent that the person changed.
#[derive(Deserialize, ToSchema)]
#[schema(as = SyncMutation)]
#[expect(dead_code, reason = "the document reads the fields")]
struct MutationFields {
    /// A new UUID. The same mutation sent again has the same.
    mutation_id: Uuid,
    /// The patient whose thing it is.
    patient_id: Uuid,
    /// `entry`, `exercise_response`, `prompt`, `grant`, `comment`, `pause`, `settings` or `infusion`.
    #[schema(example = "entry")]
    kind: String,
    /// The thing: a UUID of the client, version 4 or 7, for a new one.
    id: Uuid,
    /// The version that the person saw when they wrote; 0 for a new thing.
    #[schema(nullable = false, minimum = 0, example = 6)]
    base_version: Option<i64>,
    /// `put` (the default), `delete`, `undelete`; of a prompt `open`, `snooze`, `skip`, `complete`. `delete`
    /// ends a pause, for good; comments, settings and infusions are only put.
    #[schema(nullable = false, default = "put", example = "put")]
    op: Option<String>,
    /// `keep_both` to store what is in conflict as a draft of its own, instead of nothing.
    #[schema(nullable = false, example = "keep_both")]
    on_conflict: Option<String>,
    /// Kind, status, times, links: the fields of the PUT of that kind that stand in no section, any of them.
    #[schema(nullable = false, value_type = Option<HashMap<String, serde_json::Value>>)]
    header: Option<Map<String, Value>>,
    /// Title and body of an entry; `null` clears a section.
    #[schema(nullable = false)]
    text: Option<TextFields>,
    /// Dials of an entry.
    #[schema(nullable = false)]
    mood: Option<MoodFields>,
    /// Tags of an entry.
    #[schema(nullable = false, example = json!(["takeaway"]))]
    tags: Option<Vec<String>>,
    /// Answers of an exercise response, by step: all of them.
    #[schema(nullable = false, value_type = Option<HashMap<String, serde_json::Value>>)]
    answers: Option<Map<String, Value>>,
    /// Distress and usefulness of an exercise response.
    #[schema(nullable = false)]
    distress: Option<DistressFields>,
    /// For a grant: the item that it opens.
    #[schema(nullable = false)]
    target: Option<GrantTarget>,
    /// For a grant: the rule whose entries it opens, in the place of `target`.
    #[schema(nullable = false)]
    rule: Option<GrantRule>,
    /// For a grant: the sections that it opens.
    #[schema(nullable = false, example = json!(["text"]))]
    sections: Option<Vec<String>>,
    /// For a grant: the reader.
    #[schema(nullable = false)]
    reader: Option<GrantReader>,
    /// For a grant: the instant at which it expires.
    #[schema(nullable = false, format = DateTime, example = "2026-12-24T00:00:00Z")]
    expires_at: Option<String>,
    /// For a new grant: whether its reader sees it at once, as in its PUT.
    #[schema(nullable = false)]
    visible_at_once: Option<bool>,
    /// For a grant: the `seq` of the newest page that the app held when the person decided; 0 if it is absent, or names
    /// what has not happened. A new grant loses to every revocation of its target after it; a revocation also ends every
    /// grant of its target that was made after it.
    #[schema(nullable = false, minimum = 0, example = 118)]
    seen_seq: Option<i64>,
    /// For a new grant: the grants that end when it begins, at most 50.
    #[schema(nullable = false, max_items = 50)]
    replaces: Option<Vec<Uuid>>,
    /// Of a pause, the fields of its PUT, all of them. Of an infusion, those fields of its PUT that the person changed:
    /// what another device has changed meanwhile stays, with a warning, and so does what the clinic has recorded; the
    /// patient's start and end are then kept as `reported`. Of settings (`id` is the patient's), those of the item that
    /// the person changed: the same field changed to two values is a conflict; `zones` are added to the history.
    #[schema(nullable = false, value_type = Option<HashMap<String, serde_json::Value>>)]
    fields: Option<Map<String, Value>>,
    /// The entry of a comment.
    #[schema(nullable = false)]
    entry_id: Option<Uuid>,
    /// The thread of a comment: the care link of the therapist. If it is closed by then, the comment is held: only the
    /// patient sees it.
    #[schema(nullable = false)]
    thread_id: Option<Uuid>,
    /// The text of a comment, 1 to 4000 characters. It does not change: the same comment with other words is a conflict.
    #[schema(nullable = false, min_length = 1, max_length = 4000, example = "Thank you for showing me this.")]
    body: Option<String>,
    /// For `snooze`: `hour` (the default), `evening` or `tomorrow`.
    #[schema(nullable = false, example = "evening")]
    until: Option<String>,
    /// For `skip`: why, in a few words.
    #[schema(nullable = false)]
    reason: Option<String>,
    /// For `complete`: the instant of the answer.
    #[schema(nullable = false, format = DateTime)]
    occurred_at: Option<String>,
}

/// What came of a batch.
#[derive(Serialize, ToSchema)]
struct PushResults {
    /// The epoch of the data.
    #[schema(example = "Zx0vQW8mT3eYb1c5aDf2gA")]
    epoch: String,
    /// What came of each mutation, in the order in which they were sent.
    results: Vec<MutationResult>,
}

/// What came of a mutation.
#[derive(Serialize, ToSchema)]
struct MutationResult {
    /// The mutation; absent if it has no id that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mutation_id: Option<Uuid>,
    /// `applied`: the thing is now what was sent, at `version`. `merged`: it is `item`. `replayed`: it was done before,
    /// as `was` says. `conflict`: nothing was stored, both sides changed `sections`, the thing is `current`; without
    /// `current` there is none: send it whole with `base_version` 0. `rejected`: nothing was stored, as `problem` says.
    #[schema(example = "applied")]
    status: &'static str,
    /// What came of it the first time: `applied` or `merged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    was: Option<&'static str>,
    /// The version of the thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 7)]
    version: Option<i64>,
    /// The thing as the mutation left it. Of a kind without history (prompts, pauses, settings, infusions), and of what
    /// was deleted for good since, a `replayed` mutation is answered with the thing as it is now, whose version may be
    /// later than `version`: take it whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    item: Option<SyncItem>,
    /// The draft that holds what was in conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sibling: Option<SyncItem>,
    /// The sections that both sides changed; of settings and infusions the fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["text"]))]
    sections: Vec<&'static str>,
    /// The thing as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    current: Option<SyncItem>,
    /// Why it is not what was sent: `kept_newer_words` of a deletion that the phone could not have meant so;
    /// `thread_closed` of a comment that is held; of a conflict `section_changed`, `revoked_since` for a grant of what
    /// was revoked since the person decided, `not_shareable` for one of a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    code: Option<&'static str>,
    /// What was left out: times, links, tags and members that cannot be stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<ProblemField>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<MutationProblem>,
}

/// Why a mutation was rejected, in the words of a problem document.
#[derive(Serialize, ToSchema)]
struct MutationProblem {
    /// The stable name of the error.
    #[schema(value_type = String, example = "wrong_account")]
    code: &'static str,
    /// A short title.
    #[schema(value_type = String)]
    title: &'static str,
    /// The particulars.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
    /// The wrong members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<ProblemField>,
    /// The state of the thing that does not allow the step, as its view names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "cancelled")]
    state: Option<&'static str>,
    /// The operations (`operationId`) that the patient may do on the thing in that state. Beside `state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["end_infusion"]))]
    allowed: Option<Vec<&'static str>>,
    /// The infusion that an `infusion_overlaps` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    conflicting_id: Option<Uuid>,
    /// The key of the document to which the patient has to agree first. Beside `document_version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "sharing")]
    document: Option<&'static str>,
    /// The version of that document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    document_version: Option<u32>,
    /// What the app has to send to `step_up` first: `passphrase`, `code`. Open set. Beside `max_age_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["passphrase"]))]
    factors: Option<Vec<&'static str>>,
    /// How many seconds ago that may have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 300)]
    max_age_seconds: Option<i64>,
    /// Whether the same mutation may be stored later.
    retryable: bool,
    /// What an app does.
    #[schema(value_type = String, example = "keep")]
    client_action: &'static str,
}

impl From<&Error> for MutationProblem {
    fn from(error: &Error) -> Self {
        let Problem {
            code,
            title,
            detail,
            errors,
            state,
            allowed,
            conflicting_id,
            document,
            document_version,
            factors,
            max_age_seconds,
            retryable,
            client_action,
            ..
        } = Problem::from(error);
        Self {
            code,
            title,
            detail,
            errors,
            state,
            allowed,
            conflicting_id,
            document,
            document_version,
            factors,
            max_age_seconds,
            retryable,
            client_action,
        }
    }
}

impl MutationResult {
    fn new((keys, patient): (&Keys, Id<Patient>), mutation_id: Option<Uuid>, done: Done) -> Result<Self> {
        let shown = |thing: Option<Numbered>| -> Result<Option<SyncItem>> {
            let item = |(seq, held): Numbered| {
                let (kind, thing) = (held.kind, (held.id.uuid(), held.version, seq));
                Ok(SyncItem::new(kind, thing, held.open(keys, patient)?))
            };
            thing.map(item).transpose()
        };
        let mut result = Self {
            mutation_id,
            status: "rejected",
            was: None,
            version: None,
            item: None,
            sibling: None,
            sections: Vec::new(),
            current: None,
            code: None,
            warnings: Vec::new(),
            problem: None,
        };
        match done {
            Done::Stored { replayed, kept, item, sibling, code, warnings } => {
                let was = if kept.merged { "merged" } else { "applied" };
                result.status = if replayed { "replayed" } else { was };
                result.was = replayed.then_some(was);
                result.version = Some(kept.version).filter(|version| *version > 0);
                (result.item, result.sibling, result.code) = (shown(item)?, shown(sibling)?, code);
                result.warnings = warnings.iter().map(ProblemField::from).collect();
            }
            Done::Conflict { sections, current, code } => {
                (result.status, result.current) = ("conflict", shown(current)?);
                (result.sections, result.code) = (sections, code);
            }
            Done::Rejected(error) => result.problem = Some(MutationProblem::from(&error)),
        }
        Ok(result)
    }
}

/// Push what was written offline
///
/// Each mutation is stored by itself: one that cannot be harms no other, and the answer has one result for each. What
/// two devices wrote is merged section by section; what cannot be merged is a `conflict`, or with `keep_both` a draft
/// of its own. Words win over a deletion. Send the same batch again until it is answered: a mutation that was done is
/// known by its id for 90 days and not done again; never add anything to one that was sent. Times, links and tags that
/// cannot be stored are left out with a warning: words are never refused for them. The body may be packed
/// (`Content-Encoding: gzip`). `GET /v1/meta` has the limits: of the mutations and bytes of a batch, of a section (a
/// larger one is rejected as `too_large`, the others are stored), and of the mutations of an hour (429).
#[utoipa::path(tag = "sync", request_body = PushMutations,
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id")),
    responses((status = 200, description = "What came of each", body = PushResults), WriteErrors))]
#[post("/mutations")]
pub(super) async fn push_mutations(
    door: Door<Own>,
    body: Result<Batch, Error>,
    hourly: web::Data<HourlyLimit>,
) -> Result<Reply> {
    let (asked, bytes) = door.first("push_mutations", body.and_then(bounded)).await?;
    if door.is_owner() {
        hourly.admit(door.patient()?.uuid(), asked.mutations.len())?;
    }
    let (results, own) = pushed(&door, asked, bytes).await?;
    Ok(apart(bytes, move || Reply::ok(&results)).await?.compressed_if(own))
}

/// The body of a push.
type Batch = PackedBody<PushMutations, { limits::MUTATIONS_BYTES }>;

impl Packed for PushMutations {
    const WORDS: &'static str = "/mutations/";
}

/// Returns a batch that has no more mutations than it may, and the number of its bytes.
fn bounded(body: Batch) -> Result<(PushMutations, usize)> {
    let (asked, bytes) = body.into_parts();
    let few = asked.mutations.len() <= limits::MUTATIONS;
    let too_many = || Error::field("/mutations", format!("must be at most {}", limits::MUTATIONS));
    few.then_some((asked, bytes)).ok_or_else(too_many)
}

/// Does a batch of so many `bytes`, some mutations in one unit. Each result is durable by itself. Returns also whether
/// all words of the answer are the patient's own.
async fn pushed(door: &Door<Own>, asked: PushMutations, bytes: usize) -> Result<(PushResults, bool)> {
    let PushMutations { epoch, mutations } = asked;
    let vault = door.state().vault.clone();
    let sent = apart(bytes, move || batch::read(&vault, &mutations)).await?;
    let mut results = Vec::with_capacity(sent.len());
    let own = sent.iter().all(|sent| sent.mutation.as_ref().is_ok_and(|(mutation, _)| mutation.kind.is_own()));
    let mut rest = sent.as_slice();
    // An empty batch is one unit as well: the door opens in it.
    let present = loop {
        let (state, quota) = (door.state(), door.state().config.quota());
        let means = Means {
            vault: state.vault.clone(),
            sharing: Terms::of(&state.config),
            one_writer: state.db.backend().has_one_writer(),
        };
        let (batch, epoch) = (batch::unit(rest).to_vec(), epoch.clone());
        let (present, done) = door
            .write("push_mutations", move |tx, access| batch::apply(tx, access, &means, (&epoch, quota), &batch))
            .await?;
        let (some, later) = rest.split_at(done.len());
        let (keys, patient) = (door.keys()?.clone(), door.patient()?);
        let bytes = some.iter().map(|sent| sent.bytes).sum();
        let some: Vec<_> = some.iter().map(|sent| (sent.place, sent.id)).zip(done).collect();
        let shown = apart(bytes, move || {
            let result = |((place, id), done)| Ok((place, MutationResult::new((&keys, patient), id, done)?));
            some.into_iter().map(result).collect::<Result<Vec<_>>>()
        });
        results.extend(shown.await??);
        rest = later;
        if rest.is_empty() {
            break present;
        }
    };
    results.sort_by_key(|(place, _)| *place);
    let results = results.into_iter().map(|(_, result)| result).collect();
    Ok((PushResults { epoch: present.to_string(), results }, own))
}
