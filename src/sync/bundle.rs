//! The bundle: what an app needs, besides what it holds of its patient, to show every prompt and every exercise without
//! a network.
//!
//! It is the same for everybody with the same language, but for the protocols of their clinics: the library is whole,
//! whatever is offered to whom, and no text has a word of a patient in it.

mod exercises;
mod prompts;
mod window;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use self::exercises::ExerciseWords;
use self::prompts::{PlaceholderView, ProtocolTexts, QuoteTemplate};
use self::window::WindowWords;
use crate::exercises::{ExerciseView, catalogue};
use crate::kernel::Id;
use crate::kernel::id::Clinic;
use crate::kernel::locale::TextLanguage;
use crate::planning::Protocols;

/// The texts and rules with which an app shows prompts and exercises without a network.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AppBundle)]
pub struct Bundle {
    /// The language of the texts, as far as they are translated.
    #[schema(example = "en")]
    pub locale: &'static str,
    /// Every version of the program's protocols, and of those that clinics of the patient have published, by key and
    /// version. A prompt names its own; if that is not here, the newest version of its key has its text, else the current
    /// protocol.
    protocols: Vec<ProtocolTexts>,
    /// Every placeholder in the texts of prompts.
    placeholders: Vec<PlaceholderView>,
    /// The quotes of exercises that texts quote.
    quotes: Vec<QuoteTemplate>,
    /// The words for the field `why` of a prompt, by its value. A `cause` may have one of these values too.
    #[schema(value_type = HashMap<String, String>)]
    why: BTreeMap<String, &'static str>,
    /// The words for the reasons why a prompt was not planned or was cancelled, by their names.
    #[schema(value_type = HashMap<String, String>)]
    not_asked: BTreeMap<String, &'static str>,
    /// Every version of every exercise, in a considered order.
    exercises: Vec<ExerciseView>,
    /// The words around exercises.
    exercise_words: ExerciseWords,
    /// The phases of the window that an infusion opens, and the advice on driving.
    window: WindowWords,
    /// The addresses of the JSON Schemas, by what they describe.
    #[schema(value_type = HashMap<String, String>, example = json!({ "exercise": "/schemas/exercise.json" }))]
    schemas: BTreeMap<&'static str, &'static str>,
}

impl Bundle {
    /// Makes the bundle in `locale`, a language of the library, with the protocols of `clinics` beside the program's.
    pub fn new(protocols: &Protocols, clinics: &[(Id<Clinic>, Option<Timestamp>)], locale: &'static str) -> Self {
        let language = TextLanguage::of(locale);
        Self {
            locale,
            protocols: ProtocolTexts::all(protocols, clinics, locale),
            placeholders: PlaceholderView::all(protocols, clinics),
            quotes: QuoteTemplate::all(locale),
            why: prompts::why_in_words(language),
            not_asked: prompts::not_asked_in_words(language),
            exercises: catalogue::every_version().iter().map(|one| ExerciseView::of(one, locale)).collect(),
            exercise_words: ExerciseWords::new(locale),
            window: WindowWords::new(&protocols.current().window, locale),
            schemas: BTreeMap::from([("exercise", "/schemas/exercise.json")]),
        }
    }
}
