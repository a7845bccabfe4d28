//! The callers of each operation, from the matrix of access that a test holds against the server.

use std::collections::HashMap;

use utoipa::openapi::OpenApi;

use super::shared::operations;

/// The matrix: rows are operations, columns are people, cells are statuses.
const MATRIX: &str = include_str!("../../../tests/golden/authz_matrix.txt");

/// The people to whom an operation answers with success.
pub(super) struct Callers(Vec<&'static str>);

impl Callers {
    /// Returns the callers of every operation with a row. In one pass: a search for the row of each was seen in the
    /// profile of a start.
    pub(super) fn by_operation() -> HashMap<&'static str, Self> {
        let mut lines = MATRIX.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let people: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().skip(1).collect();
        let callers = |row: &'static str| {
            let mut cells = row.split_whitespace();
            let operation = cells.next()?;
            let answered = people.iter().zip(cells).filter(|(_, status)| status.starts_with(['2', '3']));
            Some((operation, Self(answered.map(|(who, _)| *who).collect())))
        };
        lines.filter_map(callers).collect()
    }

    /// Whether an operation answers to this person.
    pub(super) fn include(&self, who: &str) -> bool {
        self.0.contains(&who)
    }

    /// Returns the callers in words.
    fn words(&self) -> String {
        let all = |people: &[&str]| people.iter().all(|who| self.include(who));
        let staff = all(&["granted", "unlinked", "foreign", "nurse", "duty", "admin"]);
        if self.0.is_empty() {
            return "whoever has the code that the server prints at its first start".to_owned();
        }
        if self.include("anonymous") {
            return "anybody, without a log-in".to_owned();
        }
        if staff && all(&["owner", "other_patient"]) {
            return "everybody who is logged in".to_owned();
        }
        let patient = if self.include("other_patient") { "every patient" } else { "the patient" };
        let therapist = match () {
            () if staff => "all staff",
            () if self.include("foreign") => "every therapist",
            () if self.include("ungranted") => "a therapist with an active care link to the patient",
            () if self.include("wrong_section") => "a therapist to whom a part of it was opened by a grant",
            () => "the therapist whose it is",
        };
        let stands_in = self.include("covering") && !self.include("unlinked");
        let in_emergency = self.include("break_glass") && !self.include("duty");
        let words = [
            (self.include("owner"), patient),
            (self.include("granted"), therapist),
            (self.include("nurse") && !staff, "staff with the capability `record`"),
            (self.include("duty") && !staff, "staff with the capability `duty`"),
            (self.include("admin") && !staff, "an admin of the clinic"),
            (stands_in, "a colleague who stands in for that therapist"),
            (in_emergency, "staff who have broken the glass over the patient"),
        ];
        words.into_iter().filter_map(|(there, words)| there.then_some(words)).collect::<Vec<_>>().join("; ")
    }
}

/// Says at each operation who may call it.
pub(super) fn describe(document: &mut OpenApi) {
    let known = Callers::by_operation();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let Some(callers) = operation.operation_id.as_deref().and_then(|id| known.get(id)) else { continue };
        let description = operation.description.get_or_insert_default();
        if !description.is_empty() {
            description.push_str("\n\n");
        }
        description.extend(["**Who may call it**: ", callers.words().as_ref(), "."]);
    }
}
