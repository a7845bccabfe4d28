//! The therapists' changes of the protocol for one patient, over HTTP.

use actix_web::{get, put};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::care::door::{Care, Shared};
use crate::care::{Access, Door, Write};
use crate::db::Tx;
use crate::exercises::catalogue;
use crate::http::document::{IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, EntityTag, PatientRef, Preconditions, Reply, Request};
use crate::idempotency::Outcome;
use crate::kernel::{Fields, Result};
use crate::planning::{AddedRule, DayPart, Override, PromptKind, RuleChange, RuleEdit};
use crate::schedule::Following;
use crate::settings::CHANGED_OFFER;
use crate::settings::Settings;
use crate::settings::actions::{put_overrides as replace, settings};
use crate::settings::overrides::{self, OverrideFields};
use crate::settings::{find_settings, open_settings};

/// The changes of the protocol for a patient.
#[derive(Serialize, ToSchema)]
struct OverrideList {
    /// The changes, by rule.
    items: Vec<OverrideView>,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
}

/// A changed rule.
#[derive(Serialize, ToSchema)]
struct OverrideView {
    /// The rule's key.
    #[schema(example = "d5.parts")]
    rule_key: String,
    /// Whether it is left out.
    left_out: bool,
    /// The part of the day that replaces its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "evening", examples("morning", "midday", "afternoon", "evening"))]
    window: Option<DayPart>,
    /// The day after an infusion that replaces its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    day: Option<i32>,
    /// The text that replaces its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "A walk by the water, if you like.")]
    text: Option<String>,
    /// The kind of task of a rule that was added: `reflection`, `exercise` or `habit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "habit")]
    kind: Option<PromptKind>,
    /// Its duration in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 10)]
    minutes: Option<u32>,
    /// The exercises that it offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    exercises: Vec<String>,
}

impl From<Override> for OverrideView {
    fn from(Override { rule_key, change }: Override) -> Self {
        let (window, day, text) = (None, None, None);
        let unchanged =
            Self { rule_key, left_out: false, window, day, text, kind: None, minutes: None, exercises: Vec::new() };
        match change {
            RuleChange::LeftOut => Self { left_out: true, ..unchanged },
            RuleChange::MovedTo(part) => Self { window: Some(part), ..unchanged },
            RuleChange::Edited(RuleEdit { window, day, text }) => Self { window, day, text, ..unchanged },
            RuleChange::Added(AddedRule { kind, day, window, minutes, text, exercises }) => {
                let (window, day, text) = (Some(window), Some(day), Some(text));
                Self { window, day, text, kind: Some(kind), minutes: Some(minutes), exercises, ..unchanged }
            }
        }
    }
}

impl OverrideList {
    fn of(list: Vec<Override>, etag: EntityTag) -> Self {
        Self { items: list.into_iter().map(Into::into).collect(), etag }
    }
}

/// The list of a request, not yet checked, and the state to which it belongs.
type Wish = (Vec<OverrideFields>, Preconditions);

/// The changes of the protocol for a patient: the whole list.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutOverrides {
    /// The changes, each rule once.
    #[schema(max_items = 64)]
    items: Vec<PutOverride>,
}

impl PutOverrides {
    fn parse(Command { when, body, .. }: Command<(), Body<Self>>) -> Wish {
        (body.into_inner().items.into_iter().map(PutOverride::draft).collect(), when)
    }
}

/// A change of a rule: `left_out`, or another `window`, `day` or `text`. A rule whose key begins with `own.` is added: it
/// needs `kind`, `day`, `window`, `minutes` and `text`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutOverride {
    /// The rule's key; not that of a safety rule or a rule with priority 1. One that begins with `own.` is new.
    #[schema(example = "d5.parts")]
    rule_key: String,
    /// Whether it is to be left out.
    #[serde(default)]
    #[schema(default = false)]
    left_out: bool,
    /// `morning`, `midday`, `afternoon` or `evening`.
    #[schema(example = "evening")]
    window: Option<String>,
    /// The day after an infusion, 0 to 14.
    #[schema(minimum = 0, maximum = 14)]
    day: Option<i32>,
    /// The text, 1 to 240 characters; of the placeholders only `{therapist_name}` and `{ex:…}` of its own exercises.
    #[schema(nullable = false, min_length = 1, max_length = 240)]
    text: Option<String>,
    /// For a new rule: `reflection`, `exercise` or `habit`.
    #[schema(nullable = false)]
    kind: Option<String>,
    /// For a new rule: its duration, 1 to 30 minutes.
    #[schema(minimum = 1, maximum = 30)]
    minutes: Option<u32>,
    /// For a new exercise: the keys of those that it offers.
    #[serde(default)]
    #[schema(max_items = 10)]
    exercises: Vec<String>,
}

impl PutOverride {
    /// Returns the change, not yet checked.
    pub fn draft(self) -> OverrideFields {
        let Self { rule_key, left_out, window, day, text, kind, minutes, exercises } = self;
        OverrideFields { rule_key, left_out, window, day, text, kind, minutes, exercises }
    }
}

fn reply(settings: Settings, when: &Preconditions) -> Reply {
    let etag = overrides::tag(&settings);
    let list = OverrideList::of(settings.overrides, etag);
    Reply::ok(&list).unless_known(&list.etag, when)
}

/// Checks that the exercises of added rules are in the library.
fn check_exercises(drafts: &[OverrideFields]) -> Result<()> {
    let mut fields = Fields::new();
    for (n, draft) in drafts.iter().enumerate() {
        for (place, key) in draft.exercises.iter().enumerate() {
            let known = catalogue::find(key, None).is_some();
            fields.check(known, &format!("/items/{n}/exercises/{place}"), "is not an exercise of the library");
        }
    }
    fields.done()
}

/// Reads the settings that a change leaves.
fn changed(tx: &mut Tx<'_>, access: &Access<Write>, outcome: Outcome<Settings>) -> Result<Settings> {
    outcome.or_read(|| Ok(settings(tx, access)?.0))
}

/// Read what was changed in the protocol
///
/// The rules that therapists have left out, moved, reworded or added for this patient. The patient sees them
/// too.
#[utoipa::path(tag = "prompts", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IfNoneMatchHeader),
    responses((status = 200, description = "The changes", body = OverrideList), ReadErrors))]
#[get("/overrides")]
pub(super) async fn get_overrides(door: Door<Shared>, when: Preconditions) -> Result<Reply> {
    let row = door.read("get_overrides", find_settings).await?;
    Ok(reply(open_settings(row.as_ref(), door.keys()?, door.patient()?)?.0, &when))
}

/// Change the protocol for a patient
///
/// Replaces the whole list, with `If-Match`; the plan follows before the answer is sent. Safety checks and rules with
/// priority 1 cannot be changed (422), and no cap is raised: what has no place under it is not asked. A change of a
/// rule that the protocol has no more is kept if it is sent back as it was shown.
#[utoipa::path(tag = "prompts", request_body = PutOverrides,
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed, or as it was", body = OverrideList), WriteErrors))]
#[put("/overrides")]
pub(super) async fn put_overrides(door: Door<Care>, request: Request<(), Body<PutOverrides>>) -> Result<Reply> {
    let known = door.state().protocols.known();
    let work = move |tx: &mut Tx<'_>, access: &Access<Write>, (drafts, when): &Wish| {
        let protocol = Following::find(tx, access, &known)?.protocol;
        let list = overrides::parse(protocol, &settings(tx, access)?.0.overrides, "/items", drafts.clone())?;
        check_exercises(drafts)?;
        replace(tx, access, &list, when)
    };
    let parse = |command| Ok(PutOverrides::parse(command));
    let answer = door.change(CHANGED_OFFER, request, parse, work, changed);
    answer.await?.reply(|settings| Ok(reply(settings, &Preconditions::none())))
}
