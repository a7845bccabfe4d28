//! The comparison of versions over HTTP.

use std::sync::Arc;

use actix_web::post;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::Door;
use crate::care::door::Own;
use crate::http::document::SearchErrors;
use crate::http::{Body, PatientRef, Reply};
use crate::kernel::page::CursorKey as _;
use crate::kernel::{Error, Fields, Id, Result, limits};
use crate::sync::integrity::{self, Compared, CopyState, Differences, Missing, Named};
use crate::sync::model::PULL;
use crate::vault::apart;

/// The most characters of an epoch or of the name of a kind.
const NAME: usize = 64;
/// The bytes that a thing takes in an answer, about.
const BYTES: usize = 128;

/// The versions of what an app holds.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckIntegrity {
    /// The epoch of what the app holds. It decides nothing.
    #[schema(max_length = 64, example = "Zx0vQW8mT3eYb1c5aDf2gA")]
    epoch: String,
    /// The things, at most 5,000.
    #[schema(max_items = 5000)]
    have: Vec<HeldVersion>,
}

/// A thing that an app holds, at one version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HeldVersion {
    /// The kind of thing, as in a pull.
    #[schema(max_length = 64, example = "entry")]
    kind: String,
    /// Its id.
    id: Uuid,
    /// The version that the app holds.
    #[schema(minimum = 0, example = 7)]
    version: i64,
    /// Whether the app holds a tombstone.
    #[serde(default)]
    #[schema(example = false)]
    deleted: bool,
}

/// The differences between an app and the data.
#[derive(Serialize, ToSchema)]
struct IntegrityReport {
    /// The present epoch of the data.
    #[schema(example = "Zx0vQW8mT3eYb1c5aDf2gA")]
    epoch: String,
    /// The number of named things that are equal.
    #[schema(example = 120)]
    equal: usize,
    /// The named things that differ, in the order of the request.
    differ: Vec<Difference>,
    /// Things that the app did not name, deleted ones left out, at most 5,000. The pull that goes on from `cursor`
    /// brings them.
    missing: Vec<MissingThing>,
    /// Whether more things than these are missing.
    more: bool,
    /// The `cursor` of a pull of everything that begins with this comparison. What is deleted before a pull without a
    /// cursor begins is not told by that: after a comparison, go on from here; of several answers, from the first.
    cursor: String,
}

/// A named thing that differs.
#[derive(Serialize, ToSchema)]
struct Difference {
    /// The kind of thing.
    #[schema(example = "entry")]
    kind: String,
    /// Its id.
    id: Uuid,
    /// The state of the app's copy. `ahead`: the data have a lower version. `behind`: they have a higher version, which
    /// came from the app's. `diverged`: they have a higher version and never had the app's. `unknown`: they have no such
    /// thing. `deleted`: at the same version only one of both is a tombstone.
    #[schema(example = "behind")]
    state: &'static str,
    /// The version of the data; 0 for what they do not have.
    #[schema(example = 8)]
    version: i64,
    /// Whether the data have a tombstone. If the copy is `behind`, replace it by one now: a pull of everything does not
    /// bring it.
    #[schema(example = false)]
    deleted: bool,
}

/// A thing that was not named.
#[derive(Serialize, ToSchema)]
struct MissingThing {
    /// The kind of thing.
    #[schema(example = "prompt")]
    kind: &'static str,
    /// Its id.
    id: Uuid,
    /// Its version.
    #[schema(example = 1)]
    version: i64,
}

/// Compare versions
///
/// After a 410 `resync_required` an app asks this with everything that it holds, before it pulls. What is `ahead` or
/// `diverged` it sends again, because a restored server has lost it; what is `unknown` it sends whole, or forgets if it
/// is a tombstone. What is `behind` or missing comes with the pull that goes on from `cursor`, except tombstones, which
/// are told here (`deleted`). An app that holds more things than one request may name asks several times; a thing is
/// missing if every answer says so. Nothing is changed.
#[utoipa::path(tag = "sync", request_body = CheckIntegrity,
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id")),
    responses((status = 200, description = "The differences", body = IntegrityReport), SearchErrors))]
#[post("/integrity")]
pub(super) async fn check_integrity(door: Door<Own>, body: Result<Body<CheckIntegrity>, Error>) -> Result<Reply> {
    let have = door.first("check_integrity", body.and_then(|body| body.into_inner().parse())).await?;
    let have: Arc<[Named]> = have.into();
    let named = Arc::clone(&have);
    let found = door.read("check_integrity", move |tx, access| integrity::compare(tx, access, &named)).await?;
    let cursor = door.state().vault.seal_cursor(&door.cursor_scope(PULL, ""), &found.pull.to_bytes());
    let bytes = (have.len() + found.missing.len()) * BYTES;
    apart(bytes, move || Reply::ok(&IntegrityReport::of(&have, found, cursor))).await
}

impl CheckIntegrity {
    fn parse(self) -> Result<Vec<Named>> {
        let most = limits::INTEGRITY_ITEMS;
        if u32::try_from(self.have.len()).map_or(true, |named| named > most) {
            return Err(Error::field("/have", format!("must have at most {most} items")));
        }
        let mut fields = Fields::new();
        fields.check(self.epoch.chars().count() <= NAME, "/epoch", "must have at most 64 characters");
        let mut have = Vec::with_capacity(self.have.len());
        for (n, held) in self.have.into_iter().enumerate() {
            let HeldVersion { kind, id, version, deleted } = held;
            let short = kind.chars().count() <= NAME;
            fields.check(short, &format!("/have/{n}/kind"), "must have at most 64 characters");
            fields.check(version >= 0, &format!("/have/{n}/version"), "must be at least 0");
            have.push(Named { kind, id: Id::from_uuid(id), version, deleted });
        }
        fields.finish(Some(have))
    }
}

impl IntegrityReport {
    fn of(have: &[Named], found: Differences, cursor: String) -> Self {
        let Differences { epoch, compared, missing, more, .. } = found;
        let equal = compared.iter().filter(|compared| compared.state == CopyState::Equal).count();
        let differ = have.iter().zip(compared).filter(|(_, compared)| compared.state != CopyState::Equal);
        let missing = missing.into_iter().map(MissingThing::from).collect();
        Self { epoch: epoch.to_string(), equal, differ: differ.map(Difference::from).collect(), missing, more, cursor }
    }
}

impl From<(&Named, Compared)> for Difference {
    fn from((named, compared): (&Named, Compared)) -> Self {
        let Compared { state, version, deleted } = compared;
        Self { kind: named.kind.clone(), id: named.id.uuid(), state: state.name(), version, deleted }
    }
}

impl From<Missing> for MissingThing {
    fn from((kind, id, version): Missing) -> Self {
        Self { kind: kind.name(), id: id.uuid(), version }
    }
}
