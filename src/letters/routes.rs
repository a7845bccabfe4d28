//! The view of operations that send a letter.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::ProofPurpose;

/// A letter with a code that is on its way, if the address is one for it. The answer is the same if it is not.
#[derive(Serialize, ToSchema)]
pub(crate) struct LetterSentView {
    /// The seconds for which the code in the letter works.
    #[schema(example = 1800)]
    expires_in: i64,
}

impl LetterSentView {
    pub(crate) fn of(purpose: ProofPurpose) -> Self {
        Self { expires_in: purpose.lifetime().as_secs() }
    }
}
