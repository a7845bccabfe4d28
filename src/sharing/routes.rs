//! Grants over HTTP.

use std::collections::BTreeSet;

use actix_web::{delete, get, put};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::{self, NewGrant, Terms, WithReaders};
use crate::care::Door;
use crate::care::door::{Own, Policy, Shared};
use crate::care::grants::model::KINDS;
use crate::care::grants::store::GrantRow;
use crate::care::grants::{self, GrantDoc, Reader, Rule, Sections, Target};
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Listing, NewId, Operations, PageQuery, PatientRef, Reply, Request, read_document};
use crate::identity::Unlocked;
use crate::kernel::id::{Account, Grant};
use crate::kernel::{Error, Fields, Id, Listed, Result, device_time};

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(put_grant).service(delete_grant).service(list_grants);
}

/// A grant to make. It has exactly one of `target` and `rule`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutGrant {
    /// One item.
    #[schema(nullable = false)]
    target: Option<GrantTarget>,
    /// The rule: it opens every done entry that falls under it, now or later.
    #[schema(nullable = false)]
    rule: Option<GrantRule>,
    /// The sections to open: of an entry `text`, `mood`, `tags`, `attachments`; of an exercise response `answers`,
    /// `distress`.
    #[schema(min_items = 1, max_items = 4, example = json!(["text"]))]
    sections: BTreeSet<String>,
    /// The reader.
    reader: GrantReader,
    /// The instant at which it expires; without it, the grant is open until it is ended.
    #[schema(nullable = false, format = DateTime, example = "2026-12-24T00:00:00Z")]
    expires_at: Option<String>,
    /// Whether the reader sees it at once. Otherwise they see it from `visible_from` on, and it can be taken back until
    /// then without their ever learning of it.
    #[schema(nullable = false, example = false)]
    visible_at_once: Option<bool>,
}

/// One item.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantTarget {
    /// `entry` or `exercise_response`.
    #[serde(rename = "type")]
    #[schema(example = "entry")]
    type_: String,
    /// Its id.
    id: Uuid,
}

/// A rule; at least one of its fields is given.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRule {
    /// `reflection`, `fragment`, `note`, `dream` or `intention`; without it, entries of every kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "reflection")]
    kind: Option<String>,
    /// Whether the rule covers only entries that answer a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = true)]
    answers_prompt: Option<bool>,
}

/// A therapist with an active link (`type` is `therapist`, with `account_id`), or every therapist whose link is active
/// now (`care_team`).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantReader {
    /// `therapist` or `care_team`.
    #[serde(rename = "type")]
    #[schema(example = "care_team")]
    type_: String,
    /// The therapist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    account_id: Option<Uuid>,
}

/// Reads a grant in the form of its PUT.
///
/// # Errors
///
/// [`Error::Invalid`] with every fault.
pub fn read(document: Value) -> Result<NewGrant> {
    let (grant, _) = read_document::<PutGrant>(document)?;
    grant.parse()
}

impl PutGrant {
    fn parse(self) -> Result<NewGrant> {
        let mut fields = Fields::new();
        let target = match (self.target, self.rule) {
            (Some(target), None) => match target.type_.as_str() {
                "entry" => Some(Target::Entry(Id::from_uuid(target.id))),
                "exercise_response" => Some(Target::ExerciseResponse(Id::from_uuid(target.id))),
                _ => fields.take("/target/type", Err("must be `entry` or `exercise_response`")),
            },
            (None, Some(rule)) => {
                let known = rule.kind.as_deref().is_none_or(|kind| KINDS.contains(&kind));
                fields.check(known, "/rule/kind", "is not a kind of entry");
                let answers_prompt = rule.answers_prompt.unwrap_or(false);
                fields.check(answers_prompt || rule.kind.is_some(), "/rule", "must name a kind or `answers_prompt`");
                Some(Target::Rule(Rule { kind: rule.kind, answers_prompt }))
            }
            _ => {
                fields.fault("", "must have either `target` or `rule`");
                None
            }
        };
        let sections = Sections::parse(self.sections.iter().map(String::as_str));
        let (of, names) = match &target {
            Some(Target::ExerciseResponse(_)) => (Sections::RESPONSE, "must name answers or distress"),
            _ => (Sections::ENTRY, "must name text, mood, tags or attachments"),
        };
        let sections = fields.take("/sections", sections.filter(|named| named.within(of) == *named).ok_or(names));
        let reader = match (self.reader.type_.as_str(), self.reader.account_id) {
            ("therapist", Some(account)) => Some(Reader::Therapist(Id::<Account>::from_uuid(account))),
            ("therapist", None) => fields.take("/reader/account_id", Err("is required")),
            ("care_team", None) => Some(Reader::CareTeam),
            ("care_team", Some(_)) => fields.take("/reader/account_id", Err("does not go with `care_team`")),
            _ => fields.take("/reader/type", Err("must be `therapist` or `care_team`")),
        };
        let expires_at = device_time::take(&mut fields, "/expires_at", self.expires_at);
        let all = target.zip(sections).zip(reader);
        let at_once = self.visible_at_once.unwrap_or(false);
        let new =
            |((target, sections), reader)| NewGrant { doc: GrantDoc { target, sections, reader, expires_at }, at_once };
        fields.finish(all.map(new))
    }
}

/// A grant.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantView {
    /// Its id.
    id: Uuid,
    /// The item it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    target: Option<GrantTarget>,
    /// The rule whose entries it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rule: Option<GrantRule>,
    /// The open sections.
    #[schema(example = json!(["text"]))]
    sections: Vec<String>,
    /// Whether it opens anything now.
    live: bool,
    /// The instant from which its reader sees it, while that is to come: ended before, it leaves no trace with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    visible_from: Option<Timestamp>,
    /// The instant of its creation.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The instant at which it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    expires_at: Option<Timestamp>,
    /// The instant at which it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    closed_at: Option<Timestamp>,
    /// The reader; shown to the patient only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reader: Option<GrantReader>,
    /// The therapists who may read by it, now or from `visible_from` on; shown to the patient only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    readers: Option<Vec<Uuid>>,
}

/// A grant in a list.
type GrantItem = Listed<GrantView>;

/// A page of grants.
#[derive(Serialize, ToSchema)]
struct GrantList {
    /// The grants, in descending order of their ids, which need not follow the time.
    items: Vec<GrantItem>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Returns what a grant opens, in its form on the wire: one item, or a rule.
pub fn target_and_rule(target: &Target) -> (Option<GrantTarget>, Option<GrantRule>) {
    let item = |name: &str, id| Some(GrantTarget { type_: name.to_owned(), id });
    match target {
        Target::Entry(id) => (item("entry", id.uuid()), None),
        Target::ExerciseResponse(id) => (item("exercise_response", id.uuid()), None),
        Target::Rule(Rule { kind, answers_prompt }) => {
            (None, Some(GrantRule { kind: kind.clone(), answers_prompt: answers_prompt.then_some(true) }))
        }
    }
}

impl From<Reader> for GrantReader {
    fn from(reader: Reader) -> Self {
        match reader {
            Reader::Therapist(id) => Self { type_: "therapist".to_owned(), account_id: Some(id.uuid()) },
            Reader::CareTeam => Self { type_: "care_team".to_owned(), account_id: None },
        }
    }
}

impl GrantView {
    /// Renders a grant for a therapist whom it names.
    pub fn for_reader(row: &GrantRow, doc: &GrantDoc, now: Timestamp) -> Self {
        let (target, rule) = target_and_rule(&doc.target);
        Self {
            id: row.key.id.uuid(),
            target,
            rule,
            sections: doc.sections.names().into_iter().map(str::to_owned).collect(),
            live: row.live(now),
            visible_from: row.waits(now).map(|at| at.0),
            created_at: row.key.created_at.0,
            expires_at: row.key.expires_at.map(|at| at.0),
            closed_at: row.key.closed_at.map(|at| at.0),
            reader: None,
            readers: None,
        }
    }
}

fn view<L: Policy>(door: &Door<L>, (row, readers): WithReaders) -> Result<GrantView> {
    let doc = grants::open(door.keys()?, door.patient()?, &row)?;
    let view = GrantView::for_reader(&row, &doc, door.now());
    if !door.is_owner() {
        return Ok(view);
    }
    let opens = view.live || view.visible_from.is_some();
    let readers = if opens { readers.into_iter().map(Id::uuid).collect() } else { Vec::new() };
    Ok(GrantView { reader: Some(GrantReader::from(doc.reader)), readers: Some(readers), ..view })
}

/// Open an entry or an exercise response to a reader
///
/// Opens sections of one entry or exercise response, or of every done entry that falls under a rule, to one therapist
/// or to the whole care team. A grant follows later edits of the item. The grant itself does not change: end it and
/// make another one. The same request again answers 200. A draft cannot be opened (409 `not_shareable`); an id that was
/// ended answers 410.
///
/// The reader sees a new grant some minutes later (`share_delay_minutes` of `/v1/meta`): until `visible_from` it can be
/// ended without a trace. With `visible_at_once` they see it at once. Sharing
/// needs the consent to the document `sharing` (403 `consent_required`). Where the patient has a second factor or the lock
/// is on, a rule and the care team ask for a proof within 5 minutes (403 `step_up_required`).
#[utoipa::path(tag = "grants", request_body = PutGrant,
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id"),
        ("grant_id" = Uuid, Path, description = "A new UUID of the client, version 4 or 7"), IdempotencyKeyHeader),
    responses((status = 201, description = "Opened", body = GrantView),
        (status = 200, description = "It was open already", body = GrantView), WriteErrors))]
#[put("/grants/{grant_id}")]
async fn put_grant(door: Door<Own>, request: Request<NewId<Grant>, Body<PutGrant>>) -> Result<Reply> {
    let terms = Terms::of(&door.state().config);
    let answer = door.change(
        "put_grant",
        request,
        |command| Ok((command.id.0, command.body.into_inner().parse()?)),
        move |tx, access, (id, new)| actions::put(tx, access, (*id, new), terms),
        actions::show,
    );
    answer.await?.reply(|grant| Ok(Reply::ok(&view(&door, grant)?)))
}

/// End a grant
///
/// No read that starts after the answer sees anything by this grant. A repetition changes nothing.
#[utoipa::path(tag = "grants",
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id"),
        ("grant_id" = Uuid, Path, description = "The grant's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "Ended"), ActionErrors))]
#[delete("/grants/{grant_id}")]
async fn delete_grant(door: Door<Own>, request: Request<Id<Grant>>) -> Result<Reply> {
    door.delete("delete_grant", request, |tx, access, command| actions::delete(tx, access, command.id)).await
}

/// List grants
///
/// The patient sees all, also those that have ended. A therapist sees the live ones that name them.
#[utoipa::path(tag = "grants",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), PageQuery),
    responses((status = 200, description = "Grants", body = GrantList), ReadErrors))]
#[get("/grants")]
async fn list_grants(door: Door<Unlocked<Shared>>, listing: Result<Listing, Error>) -> Result<Reply> {
    let scope = door.cursor_scope("list_grants", "");
    let (listing, page) = door.list("list_grants", listing, "", actions::list).await?;
    let page = page.try_map(|grant| Listed::new(grant.0.key.id.uuid(), view(&door, grant)))?;
    Ok(listing.reply(&door.state().vault, &scope, page, |items, next_cursor| GrantList { items, next_cursor }))
}
