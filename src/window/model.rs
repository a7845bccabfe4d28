//! Stand-in until the window slice is merged.
use serde::{Deserialize, Serialize};

/// How ketamine is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Into a vein.
    IvInfusion,
    /// Into a muscle.
    Im,
    /// Under the skin.
    Sc,
    /// Racemic ketamine into the nose.
    InRacemic,
    /// Esketamine into the nose.
    InEsketamine,
    /// Under the tongue.
    Sublingual,
    /// Swallowed.
    Oral,
}
