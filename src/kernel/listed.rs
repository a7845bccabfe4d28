//! The items of lists whose stored rows are sealed: a row that does not open stands among the others.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::{Error, Result};

/// An item of a list: the view, or the id alone of a row that does not open.
///
/// In the document it is one flat object with the members of the view, of which only the id is required, and with
/// `unreadable`. Its name is that of the view with `Item` for `View`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Listed<V> {
    /// The view.
    Readable(V),
    /// The id alone.
    Unreadable {
        /// The id.
        id: Uuid,
        /// Always true.
        unreadable: bool,
    },
}

impl<V> Listed<V> {
    /// Makes the item of a row that does not open.
    pub fn unreadable(id: Uuid) -> Self {
        Self::Unreadable { id, unreadable: true }
    }

    /// Returns the place among others by `key`; rows that do not open come last.
    pub fn place<K: Ord>(&self, key: impl FnOnce(&V) -> K) -> Result<K, Uuid> {
        match self {
            Self::Readable(view) => Ok(key(view)),
            Self::Unreadable { id, .. } => Err(*id),
        }
    }

    /// Makes the item of the row `id` from its `view`.
    ///
    /// # Errors
    ///
    /// Every error of `view` but [`Error::Damaged`].
    pub fn new(id: Uuid, view: Result<V>) -> Result<Self> {
        Ok(Error::skip_damaged(view)?.map_or_else(|| Self::unreadable(id), Self::Readable))
    }
}

impl<V: ToSchema> PartialSchema for Listed<V> {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut whole)) = V::schema() else { return V::schema() };
        let unreadable = ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .description(Some("Whether the stored item is damaged: it then has its `id` and nothing else."))
            .examples([serde_json::json!(false)]);
        whole.properties.insert("unreadable".to_owned(), unreadable.into());
        whole.required.retain(|name| name == "id");
        RefOr::T(Schema::Object(whole))
    }
}

impl<V: ToSchema> ToSchema for Listed<V> {
    fn name() -> Cow<'static, str> {
        let name = V::name();
        Cow::Owned(format!("{}Item", name.strip_suffix("View").unwrap_or(&name)))
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        V::schemas(schemas);
    }
}
