//! Words shared by every slice: ids, time, text, zones, pages and errors.
//!
//! The kernel knows nothing of SQL or HTTP. All of it is pure but the clock, the source of randomness and the database
//! of time zones, which are the only permitted access to each.

pub mod clock;
pub mod creation;
pub mod date_range;
pub mod device_time;
pub mod email;
pub mod entropy;
pub mod error;
pub mod excerpt;
pub mod field_history;
pub mod fields;
pub mod id;
pub mod join_code;
pub mod limits;
mod listed;
pub mod locale;
pub mod origin;
pub mod page;
pub mod text;
pub mod unicode;
pub mod zone;
pub mod zone_data;

pub use clock::Clock;
pub use creation::Creation;
pub use date_range::DateRange;
pub use email::Email;
pub use entropy::Entropy;
pub use error::{ClientAction, Code, Error, FieldError, Result, Resync, Standing, StepUp};
pub use field_history::{FieldHistory, Seen};
pub use fields::Fields;
pub use id::Id;
pub use join_code::JoinCode;
pub use listed::Listed;
pub use text::Text;
pub use zone::Zone;
