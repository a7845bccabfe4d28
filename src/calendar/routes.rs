//! The operations on the calendar feed.

use actix_web::{delete, get, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::actions::{self, CalendarCommand};
use super::model::{Secret, Ticked, WRONG_KIND, kind_named};
use super::store::CalendarRow;
use crate::care::Door;
use crate::care::door::Own;
use crate::http::document::{
    ActionErrors, IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, PublicFeedErrors, ReadErrors, WriteErrors,
};
use crate::http::{Body, EntityTag, KnownStates, Operations, PathOf, PatientRef, Reply, Request};
use crate::identity::Unlocked;
use crate::kernel::id::CalendarAddress;
use crate::kernel::{Fields, Id, Result};
use crate::state::State;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(get_calendar_feed);
}

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(get_calendar).service(put_calendar).service(delete_calendar);
}

/// The calendar feed of a patient.
#[derive(Serialize, ToSchema)]
struct CalendarView {
    /// The kinds of prompts that the feed shows.
    #[schema(example = json!(["preparation", "reflection"]))]
    prompts: Vec<&'static str>,
    /// Whether it shows planned infusions.
    infusions: bool,
    /// The secret address of the feed, to which calendar apps subscribe. Only in the answer to the request that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://afterglow.example/v1/calendar/w7Jb0zqXkS1mR9c2VhT5yN8eLpAuD3fG.ics")]
    url: Option<String>,
    /// The time at which the address was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The time at which the feed was last read, to the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    last_read_at: Option<Timestamp>,
    /// Its version.
    version: i64,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
}

impl CalendarView {
    /// Opens a calendar; `made` if the request made its address.
    fn reply(door: &Door<Unlocked<Own>>, row: &CalendarRow, made: bool) -> Result<Reply> {
        let (ticked, key) = (row.open(door.keys()?)?.ticked, &row.key);
        let url = || {
            let secret = Secret::of(&door.state().vault, key.patient_id, key.address_id).text();
            format!("{}/v1/calendar/{secret}.ics", door.state().config.public_url)
        };
        let view = Self {
            prompts: ticked.prompt_names(),
            infusions: ticked.infusions,
            url: made.then(url),
            created_at: key.created_at.0,
            last_read_at: row.read_at,
            version: key.version,
            etag: EntityTag::version(key.version),
        };
        let reply = Reply::ok(&view).etag(&view.etag);
        Ok(if made { reply.no_store() } else { reply })
    }
}

/// What a calendar feed is to show.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutCalendar {
    /// The kinds of prompts: `safety`, `measure`, `preparation`, `reflection`, `exercise`, `habit`. The patient ticks
    /// them; an empty list shows none.
    #[schema(example = json!(["preparation", "reflection"]))]
    prompts: Vec<String>,
    /// Whether planned infusions are shown, as appointments of an hour.
    #[schema(example = true)]
    infusions: bool,
    /// Whether the feed gets a new address, and the old one ends. `false` by default.
    new_address: Option<bool>,
}

impl PutCalendar {
    fn parse(self, address: Id<CalendarAddress>) -> Result<CalendarCommand> {
        let mut f = Fields::new();
        let kinds = self.prompts.iter().enumerate();
        let kinds = kinds.map(|(n, name)| f.take(&format!("/prompts/{n}"), kind_named(name).ok_or(WRONG_KIND)));
        let prompts = kinds.collect::<Vec<_>>().into_iter().flatten().collect();
        let (infusions, new_address) = (self.infusions, self.new_address.unwrap_or_default());
        f.finish(Some(CalendarCommand { ticked: Ticked { prompts, infusions }, new_address, address }))
    }
}

/// Read the calendar feed
///
/// Whether there is one, what it shows and when it was last read. Its address is not shown again.
#[utoipa::path(tag = "calendar", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`")),
    responses((status = 200, description = "The calendar feed", body = CalendarView), ReadErrors))]
#[get("/calendar")]
async fn get_calendar(door: Door<Unlocked<Own>>) -> Result<Reply> {
    let row = door.read("get_calendar", actions::get_calendar).await?;
    CalendarView::reply(&door, &row, false)
}

/// Make or change the calendar feed
///
/// The first call makes a secret address, from which calendar apps read what is ticked of the patient's plan, without a
/// log-in: the prompts that devices show by themselves and the infusions of the next fourteen days, at most 64 events. Titles
/// say nothing of what is asked, and times are rounded to quarters of an hour. Whoever knows the address can read the feed.
/// The address is in this answer alone, and in that to a retry with the same `Idempotency-Key`; if it was lost or has
/// become known, `new_address` makes another. Later calls change what is ticked, with `If-Match`, and keep the
/// address.
#[utoipa::path(tag = "calendar", request_body = PutCalendar,
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader),
    responses((status = 201, description = "An address was made", body = CalendarView), (status = 200, description = "As asked, with the address it had", body = CalendarView), WriteErrors))]
#[put("/calendar")]
async fn put_calendar(door: Door<Unlocked<Own>>, request: Request<(), Body<PutCalendar>>) -> Result<Reply> {
    let (vault, address) = (door.state().vault.clone(), door.state().entropy.id(door.now()));
    let answer = door.change(
        "put_calendar",
        request,
        |command| Ok((command.body.into_inner().parse(address)?, command.when)),
        move |tx, access, (command, when)| actions::put_calendar(tx, access, &vault, command, when),
        actions::shown,
    );
    answer.await?.reply(|(row, made)| CalendarView::reply(&door, &row, made))
}

/// Remove the calendar feed
///
/// Its address opens nothing any more, at once.
#[utoipa::path(tag = "calendar",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IdempotencyKeyHeader),
    responses((status = 204, description = "Removed"), ActionErrors))]
#[delete("/calendar")]
async fn delete_calendar(door: Door<Own>, request: Request) -> Result<Reply> {
    door.delete("delete_calendar", request, |tx, access, _| actions::remove_calendar(tx, access)).await
}

/// Read the feed of a secret address
///
/// An iCalendar document, for calendar apps: query parameters, and an `If-None-Match` that is none, are ignored. The
/// `SEQUENCE` and the time stamp of an event grow whenever it changes. An address that was never made, was replaced or
/// removed, is malformed, or is of a patient whose account is disabled, is a 404 like any other.
#[utoipa::path(tag = "calendar", security(()),
    params(("file" = String, Path, description = "The secret of the address, with the ending `.ics`"), IfNoneMatchHeader),
    responses((status = 200, description = "The feed", body = String, content_type = "text/calendar"), PublicFeedErrors))]
#[get("/calendar/{file}")]
async fn get_calendar_feed(state: web::Data<State>, file: Option<PathOf<String>>, when: KnownStates) -> Result<Reply> {
    let secret = file.as_ref().and_then(|file| Secret::parse(file.0.strip_suffix(".ics")?));
    let feed = actions::read_feed(&state, secret, state.clock.now()).await?;
    let reply = Reply::text("text/calendar; charset=utf-8", feed);
    Ok(reply.unless_shown(EntityTag::of_content, &when.into_inner()))
}
