//! The facts of the exercise library that planning and prompts need.

use std::collections::BTreeSet;

use crate::care::Access;
use crate::db::Tx;
use crate::exercises::assignments::actions as assignments;
use crate::exercises::catalogue::{self, Availability};
use crate::exercises::fit;
use crate::exercises::translations::Words;
use crate::kernel::Result;
use crate::planning::window::Phase;
use crate::settings::CautionFlag;

/// Lists the exercises that are not offered to the patient on any day. A prompt for them alone is not asked, and no
/// prompt points to them.
pub(super) fn withheld<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    flags: &BTreeSet<CautionFlag>,
) -> Result<BTreeSet<String>> {
    let open = if flags.is_empty() { Vec::new() } else { assignments::list_open(tx, access)? };
    let is_withheld = |exercise: &&catalogue::Exercise| {
        let assigned = open.iter().any(|(_, open)| open.exercise_key == exercise.key);
        // This phase by itself withholds no exercise.
        fit::offer(exercise, flags, assigned, Phase::Maintenance) != Availability::Yes
    };
    Ok(catalogue::newest().filter(is_withheld).map(|exercise| exercise.key.clone()).collect())
}

/// Finds the title of an exercise in `language`, as far as it is translated. An exercise that the library no longer has
/// gets its key in plain words.
pub(super) fn title(key: &str, language: &str) -> String {
    let found = catalogue::find(key, None).map(|exercise| Words::of(exercise, language).title().to_owned());
    found.unwrap_or_else(|| key.replace('-', " "))
}

/// Writes one line about an exercise for somebody who chooses: its title, its minutes, what it is for.
pub(super) fn choice(key: &str, language: &str) -> String {
    let Some(exercise) = catalogue::find(key, None) else { return title(key, language) };
    let words = Words::of(exercise, language);
    format!("{}, {} min: {}", words.title(), exercise.minutes, words.find("purpose").unwrap_or_default())
}
