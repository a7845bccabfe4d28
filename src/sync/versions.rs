//! The version of every thing that a patient has, without its content.

use std::collections::BTreeMap;

use super::model::Kind;
use crate::care::grants::store as grants;
use crate::care::{Access, Read, store as links};
use crate::course;
use crate::db::Tx;
use crate::exercises::assignments::store as assignments;
use crate::exercises::store::ResponseTable;
use crate::items::ItemTable;
use crate::journal::comments::store as comments;
use crate::journal::store::EntryTable;
use crate::kernel::id::Any;
use crate::kernel::{Id, Result};
use crate::prompts::store as prompts;
use crate::settings::find_settings_version;

/// The present version of a thing.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// The version.
    pub version: i64,
    /// Whether the thing was deleted.
    pub deleted: bool,
    /// The entry of a comment, which goes with it.
    pub entry: Option<Id<Any>>,
}

/// Lists the versions of all things of a kind, deleted ones too, by id.
///
/// # Errors
///
/// When they cannot be read.
pub fn list(tx: &mut Tx<'_>, access: &Access<Read>, kind: Kind) -> Result<BTreeMap<Id<Any>, Present>> {
    Ok(match kind {
        Kind::Settings => {
            let version = find_settings_version(tx, access)?;
            version.into_iter().map(|version| there(access.patient(), version)).collect()
        }
        Kind::CareLink => {
            let all = links::list_links_of_patient(tx, access.patient(), None, i64::MAX)?;
            all.into_iter().map(|link| there(link.id, link.version)).collect()
        }
        Kind::Infusion => all_there(course::list_infusion_versions(tx, access)?),
        Kind::Pause => with_deleted(course::list_pause_versions(tx, access)?),
        Kind::Grant => {
            let all = grants::list_keys(tx, access)?;
            all.into_iter().map(|key| thing(key.id, key.version, key.closed_at.is_some())).collect()
        }
        Kind::Assignment => {
            let all = assignments::list_keys(tx, access)?;
            all.into_iter().map(|key| there(key.id, key.version)).collect()
        }
        Kind::Prompt => all_there(prompts::list_versions(tx, access)?),
        Kind::Entry => with_deleted(EntryTable::list_versions(tx, access)?),
        Kind::ExerciseResponse => with_deleted(ResponseTable::list_versions(tx, access)?),
        Kind::Comment => {
            let comment = |key: comments::CommentKey| {
                let (id, present) = there(key.id, key.version);
                (id, Present { entry: Some(key.entry_id.any()), ..present })
            };
            comments::list_keys(tx, access)?.into_iter().map(comment).collect()
        }
        Kind::Receipt => all_there(grants::list_receipt_versions(tx, access)?),
    })
}

fn thing<K>(id: Id<K>, version: i64, deleted: bool) -> (Id<Any>, Present) {
    (id.any(), Present { version, deleted, entry: None })
}

fn there<K>(id: Id<K>, version: i64) -> (Id<Any>, Present) {
    thing(id, version, false)
}

fn all_there<K>(rows: Vec<(Id<K>, i64)>) -> BTreeMap<Id<Any>, Present> {
    rows.into_iter().map(|(id, version)| there(id, version)).collect()
}

fn with_deleted<K>(rows: Vec<(Id<K>, i64, bool)>) -> BTreeMap<Id<Any>, Present> {
    rows.into_iter().map(|(id, version, deleted)| thing(id, version, deleted)).collect()
}
