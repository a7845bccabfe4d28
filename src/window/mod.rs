//! Stand-in until the window slice is merged.
pub mod model;
pub use model::Route;
