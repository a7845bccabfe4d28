//! What a command says, not yet checked; and how a merge patch changes what a response says.

use jiff::tz::Offset;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answers::Answers;
use super::catalogue::{Exercise, find};
use super::model::{Content, Distress, Header};
use crate::kernel::patch::Change;
use crate::kernel::told::instant;
use crate::kernel::{Fields, Id, Result, Zone};

/// A whole response. What is absent is empty.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PutExerciseResponse)]
pub struct ResponseDraft {
    /// The exercise. It does not change afterwards.
    #[schema(example = "if-then-habit")]
    pub exercise_key: String,
    /// The version that was shown; the newest unless said otherwise.
    #[schema(nullable = false, example = 1)]
    pub exercise_version: Option<u32>,
    /// `done` (unless said otherwise) or `draft`. A draft is seen by nobody else, and can be finished later. What is done
    /// does not become a draft again.
    #[schema(nullable = false, example = "done")]
    pub status: Option<String>,
    /// When it was done, with an offset. Odd times are flagged, not refused.
    #[schema(format = DateTime, example = "2026-11-02T21:30:00+01:00")]
    pub occurred_at: String,
    /// The IANA zone the device is in. Without it, the patient's zone at that time.
    #[schema(nullable = false, example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// When it was taken down, by the clock of the device.
    #[schema(nullable = false, format = DateTime, example = "2026-11-02T21:34:10+01:00")]
    pub recorded_at: Option<String>,
    /// The prompt that suggested it. Once the response is done, so is the prompt.
    #[schema(nullable = false)]
    pub prompt_id: Option<Uuid>,
    /// The assignment that asked for it. Once the response is done, so is the assignment.
    #[schema(nullable = false)]
    pub assignment_id: Option<Uuid>,
    /// Answers by step: any of them, in any order. What each looks like is in `/schemas/exercise.json`.
    #[schema(nullable = false, value_type = Option<Object>, example = json!({"when": "the kettle boils", "then": "three slow breaths"}))]
    pub answers: Option<Map<String, Value>>,
    /// How it felt.
    #[schema(nullable = false)]
    pub distress: Option<DistressFields>,
}

/// How an exercise felt.
#[derive(Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExerciseDistress)]
pub struct DistressFields {
    /// Distress at the beginning, from 0 (none) to 10 (as strong as it gets).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 10, example = 5)]
    pub before: Option<i64>,
    /// Distress at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 10, example = 3)]
    pub after: Option<i64>,
    /// Whether it was of use, from 0 (not at all) to 4 (very much).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 4, example = 3)]
    pub usefulness: Option<i64>,
}

/// A merge patch (RFC 7396): what is absent stays, `null` clears, arrays replace.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchExerciseResponse)]
pub struct ResponsePatch {
    /// `done`, to finish a draft.
    #[schema(nullable = false, example = "done")]
    pub status: Option<String>,
    /// When it was done.
    #[schema(nullable = false, format = DateTime)]
    pub occurred_at: Option<String>,
    /// The zone.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub zone: Change<String>,
    /// When it was taken down.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recorded_at: Change<String>,
    /// The prompt that suggested it.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    pub prompt_id: Change<Uuid>,
    /// The assignment that asked for it.
    #[serde(default)]
    #[schema(value_type = Option<Uuid>)]
    pub assignment_id: Change<Uuid>,
    /// Answers by step: those that change; `null` takes one out.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"plan_b": "one breath", "start": null}))]
    pub answers: Change<Map<String, Value>>,
    /// How it felt; `null` clears all.
    #[serde(default)]
    #[schema(value_type = Option<DistressPatch>, nullable = false)]
    pub distress: Change<DistressPatch>,
}

/// A change of how it felt.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchExerciseDistress)]
pub struct DistressPatch {
    /// Distress at the beginning.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub before: Change<i64>,
    /// Distress at the end.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub after: Change<i64>,
    /// Whether it was of use.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub usefulness: Change<i64>,
}

// Their fields are what somebody wrote.
macro_rules! quiet {
    ($($name:ident),*) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    )* };
}
quiet!(ResponseDraft, DistressFields, ResponsePatch, DistressPatch);

impl ResponseDraft {
    /// The response, if every field is right.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`] with every fault.
    pub fn parse(self) -> Result<Content> {
        let mut fields = Fields::new();
        let exercise = exercise(&self.exercise_key, self.exercise_version, &mut fields);
        let draft = match self.status.as_deref() {
            None | Some("done") => false,
            Some("draft") => true,
            Some(_) => {
                fields.fault("/status", "must be `draft` or `done`");
                false
            }
        };
        let occurred = fields.take("/occurred_at", instant(&self.occurred_at));
        let zone = self.zone.and_then(|name| fields.take("/zone", Zone::parse(&name)));
        let recorded = self.recorded_at.and_then(|text| fields.take("/recorded_at", instant(&text)));
        let distress = self.distress.and_then(|distress| distress.parse(&mut fields));
        let given = self.answers.unwrap_or_default();
        let answers = exercise.map(|exercise| {
            let answers = Answers::parse(exercise, given, &mut fields);
            if !draft {
                answers.check_done(exercise, &mut fields);
            }
            answers
        });
        let content = exercise.zip(occurred).map(|(exercise, (occurred_at, offset))| Content {
            header: Header {
                exercise_key: exercise.key.clone(),
                exercise_version: exercise.version,
                draft,
                occurred_at,
                offset: offset.seconds(),
                zone,
                recorded_at: recorded.map(|(at, _)| at),
                prompt_id: self.prompt_id.map(Id::from_uuid),
                assignment_id: self.assignment_id.map(Id::from_uuid),
            },
            answers: answers.filter(|answers| !answers.is_empty()),
            distress,
        });
        fields.finish(content)
    }
}

/// The exercise of that name and version, or a fault.
fn exercise(key: &str, version: Option<u32>, fields: &mut Fields) -> Option<&'static Exercise> {
    let found = find(key, version);
    if found.is_none() {
        let (pointer, why) = match find(key, None) {
            None => ("/exercise_key", "is not an exercise of the library"),
            Some(_) => ("/exercise_version", "is not a version of this exercise"),
        };
        fields.fault(pointer, why);
    }
    found
}

impl DistressFields {
    fn parse(self, fields: &mut Fields) -> Option<Distress> {
        let mut dial = |name: &str, value: Option<i64>, most: u8| {
            let parsed = value.map(|value| u8::try_from(value).ok().filter(|value| *value <= most));
            fields.check(parsed != Some(None), &format!("/distress/{name}"), &format!("must be between 0 and {most}"));
            parsed.flatten()
        };
        let distress = Distress {
            before: dial("before", self.before, 10),
            after: dial("after", self.after, 10),
            usefulness: dial("usefulness", self.usefulness, 4),
        };
        (distress != Distress::default()).then_some(distress)
    }

    /// How it felt, as it goes out.
    pub fn of(distress: Distress) -> Self {
        let dial = |value: Option<u8>| value.map(i64::from);
        Self { before: dial(distress.before), after: dial(distress.after), usefulness: dial(distress.usefulness) }
    }
}

impl Content {
    /// What a command would have to say to make this.
    fn to_draft(&self) -> ResponseDraft {
        let header = &self.header;
        let offset = Offset::from_seconds(header.offset).unwrap_or(Offset::UTC);
        ResponseDraft {
            exercise_key: header.exercise_key.clone(),
            exercise_version: Some(header.exercise_version),
            status: Some(if header.draft { "draft" } else { "done" }.to_owned()),
            occurred_at: header.occurred_at.display_with_offset(offset).to_string(),
            zone: header.zone.as_ref().map(|zone| zone.name().to_owned()),
            recorded_at: header.recorded_at.map(|at| at.to_string()),
            prompt_id: header.prompt_id.map(Id::uuid),
            assignment_id: header.assignment_id.map(Id::uuid),
            answers: self.answers.as_ref().map(|answers| answers.as_map().clone()),
            distress: self.distress.map(DistressFields::of),
        }
    }

    /// This, changed by a merge patch.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`] with every fault of the result.
    pub fn patched(&self, patch: ResponsePatch) -> Result<Self> {
        let mut draft = self.to_draft();
        draft.occurred_at = patch.occurred_at.unwrap_or(draft.occurred_at);
        draft.status = patch.status.or(draft.status);
        draft.zone = patch.zone.over(draft.zone);
        draft.recorded_at = patch.recorded_at.over(draft.recorded_at);
        draft.prompt_id = patch.prompt_id.over(draft.prompt_id);
        draft.assignment_id = patch.assignment_id.over(draft.assignment_id);
        draft.answers = match patch.answers {
            Change::Keep => draft.answers,
            Change::Clear => None,
            Change::Set(patch) => Some(self.answers.clone().unwrap_or_default().patched(patch)),
        };
        draft.distress = match patch.distress {
            Change::Keep => draft.distress,
            Change::Clear => None,
            Change::Set(change) => {
                let before = draft.distress.unwrap_or_default();
                Some(DistressFields {
                    before: change.before.over(before.before),
                    after: change.after.over(before.after),
                    usefulness: change.usefulness.over(before.usefulness),
                })
            }
        };
        draft.parse()
    }

    /// Refuses to become a response to another exercise, or a draft again.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`].
    pub fn may_become(&self, new: &Self) -> Result<()> {
        let mut fields = Fields::new();
        let same = |header: &Header| (header.exercise_key.clone(), header.exercise_version);
        fields.check(same(&self.header) == same(&new.header), "/exercise_key", "does not change");
        let again = new.header.draft && !self.header.draft;
        fields.check(!again, "/status", "what is done does not become a draft again");
        fields.done()
    }
}
