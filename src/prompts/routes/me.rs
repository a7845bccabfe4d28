//! The caller's own account and settings.

use actix_web::{get, patch, web};
use jiff::Timestamp;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::instant;
use crate::care::Access;
use crate::course::Settings;
use crate::http::document::{IfMatchHeader, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{EntityTag, IdempotencyKey, PatchBody, Preconditions, Reply};
use crate::idempotency::Done;
use crate::identity::{self, AccountKind, Caller, Claimed, once_of};
use crate::kernel::id::Patient;
use crate::kernel::{Change, Error, Fields, Result, Zone, locale};
use crate::planning::{QuietHours, Weekday};
use crate::prompts::actions::settings;
use crate::prompts::infusions::{SettingsPatch, patch_settings};
use crate::state::State;

/// The caller's account.
#[derive(Serialize, ToSchema)]
struct MeView {
    /// The account.
    account_id: Uuid,
    /// `patient` or `staff`.
    #[schema(example = "patient")]
    kind: &'static str,
    /// What others call this person.
    name: String,
    /// Where they log in from.
    email: String,
    /// The patient this account is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    patient_id: Option<Uuid>,
    /// A patient's settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    settings: Option<SettingsView>,
}

/// A patient's settings.
#[derive(Serialize, ToSchema)]
struct SettingsView {
    /// Where the patient lives now.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Where the patient has lived.
    zones: Vec<ZoneView>,
    /// When nothing is delivered.
    quiet_hours: QuietHoursDto,
    /// The day of the weekly prompt.
    #[schema(value_type = String, example = "sunday")]
    weekly_day: Weekday,
    /// The country whose crisis numbers are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "DE")]
    country: Option<String>,
    /// The language.
    #[schema(example = "en")]
    locale: String,
    /// Whether prompts are pushed.
    notifications: bool,
    /// Whether linked therapists see on how many of the last seven days the patient was active.
    share_activity: bool,
    /// Their version, for `If-Match`.
    version: i64,
}

/// A zone and since when.
#[derive(Serialize, ToSchema)]
struct ZoneView {
    /// The zone.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
}

/// Local times between which nothing is delivered; they may cross midnight and last at most 14 hours.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuietHoursDto {
    /// Their beginning.
    #[schema(example = "21:00")]
    from: String,
    /// Their end.
    #[schema(example = "08:00")]
    to: String,
}

impl SettingsView {
    fn of(settings: &Settings, version: i64, now: Timestamp) -> Self {
        let time = |time: Time| time.strftime("%H:%M").to_string();
        Self {
            time_zone: settings.zone_at(now).name().to_owned(),
            zones: settings
                .zones
                .iter()
                .map(|since| ZoneView { time_zone: since.zone.name().to_owned(), from: since.from })
                .collect(),
            quiet_hours: QuietHoursDto { from: time(settings.quiet_hours.from), to: time(settings.quiet_hours.to) },
            weekly_day: settings.weekly_day,
            country: settings.country.clone(),
            locale: settings.locale.clone(),
            notifications: settings.notifications.enabled,
            share_activity: settings.share_activity,
            version,
        }
    }
}

/// Read the caller's account
#[utoipa::path(tag = "identity", operation_id = "get_me",
    responses((status = 200, description = "The account", body = MeView), ReadErrors))]
#[get("/me")]
pub(crate) async fn get_me(caller: Caller, state: web::Data<State>) -> Result<Reply> {
    let (account, now) = (caller.account(), caller.now());
    let patient = state.db.read(move |tx| Ok(caller.live(tx)?.patient())).await?;
    let patient_keys = match patient {
        Some(patient) => state.vault.keys(patient.uuid()).await?,
        None => None,
    };
    let keys = state.vault.keys(account.uuid()).await?.ok_or(Error::NotFound)?;
    let found = state.db.read(move |tx| {
        let live = caller.live(tx)?;
        let settings = match live.kind() {
            AccountKind::Patient => {
                Some(settings(tx, &Access::<crate::care::Write>::of_self(&live, patient_keys.clone())?)?)
            }
            AccountKind::Staff => None,
        };
        let names = identity::names_of(tx, &[account])?;
        Ok((live.kind(), settings, names.into_iter().next().ok_or(Error::NotFound)?))
    });
    let (kind, settings, (_, version, sealed)) = found.await?;
    let profile = identity::actions::open_profile(&keys, account, version, &sealed)?;
    let view = MeView {
        account_id: account.uuid(),
        kind: kind.name(),
        name: profile.name.into_string(),
        email: profile.email.as_str().to_owned(),
        patient_id: patient.map(crate::kernel::Id::uuid),
        settings: settings.as_ref().map(|(settings, version)| SettingsView::of(settings, *version, now)),
    };
    let reply = Reply::ok(&view);
    Ok(match settings {
        Some((_, version)) => reply.etag(&EntityTag::version(version)),
        None => reply,
    })
}

/// What changes of a patient's settings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PatchMe {
    /// Where the patient lives, by IANA name.
    #[schema(example = "America/New_York")]
    time_zone: Option<String>,
    /// Since when, if not now; not before the last change.
    #[schema(format = DateTime)]
    effective_at: Option<String>,
    /// When nothing is delivered.
    #[schema(nullable = false)]
    quiet_hours: Option<QuietHoursDto>,
    /// `monday` to `sunday`.
    #[schema(example = "sunday")]
    weekly_day: Option<String>,
    /// Two letters of ISO 3166.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "DE")]
    country: Change<String>,
    /// A BCP 47 language.
    #[schema(max_length = 35, example = "en")]
    locale: Option<String>,
    /// Whether prompts are pushed.
    notifications: Option<bool>,
    /// Whether linked therapists see on how many of the last seven days the patient was active; off at first.
    share_activity: Option<bool>,
}

fn parse_time(text: &str) -> Result<Time, &'static str> {
    let five = text.len() == 5;
    five.then(|| Time::strptime("%H:%M", text).ok()).flatten().ok_or("must be a local time such as 21:00")
}

/// The quiet hours, if any are said; their length is the last thing that can be wrong with them.
pub(crate) fn parse_quiet_hours(f: &mut Fields, hours: Option<QuietHoursDto>) -> Result<Option<QuietHours>> {
    let Some(hours) = hours else { return Ok(None) };
    let from = f.take("/quiet_hours/from", parse_time(&hours.from));
    let times = from.zip(f.take("/quiet_hours/to", parse_time(&hours.to)));
    times.map(|(from, to)| QuietHours::parse(from, to)).transpose()
}

pub(crate) fn parse_weekday(f: &mut Fields, name: Option<String>) -> Option<Weekday> {
    let day = serde_json::from_value(serde_json::Value::String(name?));
    f.take("/weekly_day", day.or(Err("must be monday to sunday")))
}

impl PatchMe {
    fn parse(self) -> Result<SettingsPatch> {
        let mut f = Fields::new();
        let zone = self.time_zone.and_then(|name| f.take("/time_zone", Zone::parse(&name)));
        let since = instant(&mut f, "/effective_at", self.effective_at);
        f.check(since.is_none() || zone.is_some(), "/effective_at", "goes with `time_zone`");
        let quiet = parse_quiet_hours(&mut f, self.quiet_hours);
        let weekly_day = parse_weekday(&mut f, self.weekly_day);
        let country = self.country.parse("/country", &mut f, locale::country);
        let locale = self.locale.and_then(|tag| f.take("/locale", locale::language(tag)));
        f.done()?;
        Ok(SettingsPatch {
            zone: zone.map(|zone| (zone, since)),
            quiet_hours: quiet?,
            weekly_day,
            country,
            locale,
            notifications: self.notifications,
            share_activity: self.share_activity,
        })
    }
}

/// Change a patient's settings
///
/// A new zone or new quiet hours move the prompts that are not yet due.
#[utoipa::path(tag = "identity", operation_id = "patch_me",
    request_body(content((PatchMe = "application/merge-patch+json"), (PatchMe = "application/json"))),
    params(OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = SettingsView), WriteErrors))]
#[patch("/me")]
pub(crate) async fn patch_me(
    caller: Claimed<Patient>,
    when: Preconditions,
    key: IdempotencyKey,
    state: web::Data<State>,
    directory: web::Data<identity::Directory>,
    body: Result<PatchBody<PatchMe>, Error>,
) -> Result<Reply> {
    let once = once_of(&state, &key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| body.into_inner().parse());
    let keys = match directory.patient_of(&state.db, caller.account()).await? {
        Some(patient) => state.vault.keys(patient.uuid()).await?,
        None => None,
    };
    let (again_keys, now) = (keys.clone(), caller.now());
    let (_, (found, version)) = caller
        .write(
            &state,
            once,
            command,
            move |tx, live, patch| {
                let access = Access::<crate::care::Write>::of_self(live, keys.clone())?;
                Ok((Done::ok(access.patient().uuid()), patch_settings(tx, &access, patch, &when)?))
            },
            move |tx, live, _| settings(tx, &Access::<crate::care::Write>::of_self(live, again_keys.clone())?),
        )
        .await?;
    Ok(Reply::ok(&SettingsView::of(&found, version, now)).etag(&EntityTag::version(version)))
}
