//! The body of a PUT, not yet checked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answers::Answers;
use super::catalogue::{Exercise, find};
use super::model::{Distress, Header, ResponseContent};
use crate::http::Patchable;
use crate::items::CircumstancesFields;
use crate::kernel::{Fields, Id, Result};

/// A whole response; an absent field is empty.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutExerciseResponse {
    /// The exercise. It does not change afterwards.
    #[schema(example = "if-then-habit")]
    pub exercise_key: String,
    /// The version that was shown.
    #[schema(example = 1)]
    pub exercise_version: u32,
    /// `done` (the default) or `draft`. A draft is seen by nobody else, and can be finished later. A done response does
    /// not become a draft again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, default = "done", example = "done")]
    pub status: Option<String>,
    /// The instant at which it was done, with an offset. Odd times are flagged, not refused.
    #[schema(format = DateTime, example = "2026-11-02T21:30:00+01:00")]
    pub occurred_at: String,
    /// The IANA zone the device is in. Without it, the patient's zone at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "time-zone", example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// The instant of writing, by the clock of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime, example = "2026-11-02T21:34:10+01:00")]
    pub recorded_at: Option<String>,
    /// The prompt that suggested it. Once the response is done, so is the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub prompt_id: Option<Uuid>,
    /// The assignment that asked for it. Once the response is done, so is the assignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub assignment_id: Option<Uuid>,
    /// Answers by step: any of them, in any order. `/schemas/exercise.json` describes the form of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<HashMap<String, serde_json::Value>>, example = json!({"when": "the kettle boils", "then": "three slow breaths"}))]
    pub answers: Option<Map<String, Value>>,
    /// Distress before and after, and usefulness.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub distress: Option<DistressFields>,
}

/// The distress before and after an exercise, and its usefulness.
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
    /// The usefulness, from 0 (not at all) to 4 (very much).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 4, example = 3)]
    pub usefulness: Option<i64>,
}

// Their fields are private and must not be printed.
macro_rules! quiet {
    ($($name:ident),*) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    )* };
}
quiet!(PutExerciseResponse, DistressFields);

impl Patchable for PutExerciseResponse {
    const FIXED: &'static [&'static str] = &["status"];
}

impl PutExerciseResponse {
    /// Parses the response.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`] with every fault.
    pub fn parse(self) -> Result<ResponseContent> {
        let mut fields = Fields::new();
        let exercise = exercise(&self.exercise_key, self.exercise_version, &mut fields);
        let draft = self.status.as_deref() == Some("draft");
        let told = CircumstancesFields {
            status: self.status,
            occurred_at: self.occurred_at,
            zone: self.zone,
            recorded_at: self.recorded_at,
            prompt_id: self.prompt_id,
        };
        let circumstances = told.parse(&mut fields);
        let distress = self.distress.and_then(|distress| distress.parse(&mut fields));
        let given = self.answers.unwrap_or_default();
        let answers = exercise.map(|exercise| {
            let answers = Answers::parse(exercise, given, &mut fields);
            if !draft {
                answers.check_done(exercise, &mut fields);
            }
            answers
        });
        let header = exercise.zip(circumstances).map(|(exercise, circumstances)| Header {
            exercise_key: exercise.key.clone(),
            exercise_version: exercise.version,
            circumstances,
            assignment_id: self.assignment_id.map(Id::from_uuid),
        });
        let answers = answers.filter(|answers| !answers.is_empty());
        fields.finish(header.map(|header| ResponseContent { header, answers, distress }))
    }

    /// Returns the body that would parse to `content`.
    pub fn of(content: &ResponseContent) -> Self {
        let header = &content.header;
        let CircumstancesFields { status, occurred_at, zone, recorded_at, prompt_id } =
            CircumstancesFields::of(&header.circumstances);
        Self {
            exercise_key: header.exercise_key.clone(),
            exercise_version: header.exercise_version,
            status,
            occurred_at,
            zone,
            recorded_at,
            prompt_id,
            assignment_id: header.assignment_id.map(Id::uuid),
            answers: content.answers.as_ref().map(|answers| answers.as_map().clone()),
            distress: content.distress.map(DistressFields::of),
        }
    }
}

/// Finds the exercise of that name and version, or adds a fault.
fn exercise(key: &str, version: u32, fields: &mut Fields) -> Option<&'static Exercise> {
    let found = find(key, Some(version));
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

    /// Returns the section in the form that is shown.
    pub fn of(distress: Distress) -> Self {
        let dial = |value: Option<u8>| value.map(i64::from);
        Self { before: dial(distress.before), after: dial(distress.after), usefulness: dial(distress.usefulness) }
    }
}
