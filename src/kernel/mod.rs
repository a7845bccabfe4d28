//! Words shared by every slice: ids, time, text, zones, pages and errors.
//!
//! The kernel knows nothing of SQL or HTTP. All of it is pure but the clock, the source of randomness and the database
//! of time zones, which are the only permitted access to each.

pub mod clock;
pub mod creation;
pub mod device_time;
pub mod entropy;
pub mod error;
pub mod fields;
pub mod id;
pub mod limits;
pub mod locale;
pub mod origin;
pub mod page;
pub mod text;
pub mod zone;
pub mod zone_data;

pub use clock::Clock;
pub use creation::Creation;
pub use entropy::Entropy;
pub use error::{ClientAction, Code, Error, FieldError, Result, Standing};
pub use fields::Fields;
pub use id::Id;
pub use text::Text;
pub use zone::Zone;
