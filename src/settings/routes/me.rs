//! The caller's own account and settings.

use actix_web::{get, patch, web};
use jiff::Timestamp;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::access::{Access, Read, Write};
use crate::care::door::{Door, Own};
use crate::db::Tx;
use crate::http::document::{IdempotencyKeyHeader, IfMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Command, EntityTag, Patch, Patchable, Reply, Request, read_document};
use crate::idempotency::Outcome;
use crate::identity::{self, AccountKind, Caller, Directory};
use crate::kernel::{Error, Fields, Id, Result, Zone, device_time, locale};
use crate::planning::{QuietHours, Weekday};
use crate::settings::actions::{patch_settings, settings};
use crate::settings::model::{Notifications, Settings};
use crate::settings::store::{find_settings, open_settings};
use crate::state::State;

/// The caller's account.
#[derive(Serialize, ToSchema)]
struct MeView {
    /// The account.
    account_id: Uuid,
    /// `patient` or `staff`.
    #[schema(example = "patient")]
    kind: &'static str,
    /// The person's name.
    name: String,
    /// The e-mail address for log-in.
    email: String,
    /// The patient of this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    patient_id: Option<Uuid>,
    /// A patient's settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    settings: Option<SettingsView>,
    /// The tag of the shown state: that of a patient's settings, for `If-Match`, and the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
}

/// A patient's settings.
#[derive(Serialize, ToSchema)]
struct SettingsView {
    /// The time zone the patient lives in now.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// The time zones the patient has lived in.
    zones: Vec<ZoneView>,
    /// The hours in which nothing is delivered.
    quiet_hours: QuietHoursDto,
    /// The day of the weekly prompt.
    #[schema(value_type = String, example = "sunday")]
    weekly_day: Weekday,
    /// The country of the crisis numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "DE")]
    country: Option<String>,
    /// The language.
    #[schema(example = "en")]
    locale: String,
    /// Whether prompts are pushed.
    notifications: bool,
    /// Whether linked therapists see the number of active days of the last seven.
    share_activity: bool,
    /// Their version.
    version: i64,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
}

/// A period in a time zone.
#[derive(Serialize, ToSchema)]
struct ZoneView {
    /// The zone.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// The start of the period.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
}

/// Local times between which nothing is delivered; they may cross midnight and last at most 14 hours.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHoursDto {
    /// Their beginning.
    #[schema(example = "21:00")]
    from: String,
    /// Their end.
    #[schema(example = "08:00")]
    to: String,
}

impl From<QuietHours> for QuietHoursDto {
    fn from(QuietHours { from, to }: QuietHours) -> Self {
        let time = |time: Time| time.strftime("%H:%M").to_string();
        Self { from: time(from), to: time(to) }
    }
}

impl SettingsView {
    fn reply(self) -> Reply {
        Reply::ok(&self).etag(&self.etag)
    }

    fn of(settings: Settings, version: i64, now: Timestamp) -> Self {
        let time_zone = settings.zone_at(now).name().to_owned();
        let zone =
            |since: crate::planning::ZoneSince| ZoneView { time_zone: since.zone.name().to_owned(), from: since.from };
        Self {
            time_zone,
            zones: settings.zones.into_iter().map(zone).collect(),
            quiet_hours: settings.quiet_hours.into(),
            weekly_day: settings.weekly_day,
            country: settings.country,
            locale: settings.locale,
            notifications: settings.notifications.enabled,
            share_activity: settings.share_activity,
            version,
            etag: EntityTag::version(version),
        }
    }
}

/// Read the caller's account
#[utoipa::path(tag = "identity", responses((status = 200, description = "The account", body = MeView), ReadErrors))]
#[get("/me")]
pub(super) async fn get_me(caller: Caller, state: web::Data<State>, directory: web::Data<Directory>) -> Result<Reply> {
    let (account, now) = (caller.account(), caller.now());
    let patient = directory.patient_of(&state.db, account).await?;
    let patient_keys = match patient {
        Some(patient) => state.vault.keys(patient.uuid()).await?,
        None => None,
    };
    let unit_keys = patient_keys.clone();
    let found = caller.read(&state, move |tx, live| {
        let row = match live.kind() {
            AccountKind::Patient => find_settings(tx, &Access::<Read>::of_self(live, unit_keys.clone())?)?,
            AccountKind::Staff => None,
        };
        let names = identity::names_of(tx, &[account])?;
        Ok((live.kind(), row, names.into_iter().next().ok_or(Error::NotFound)?))
    });
    let (kind, row, (_, version, sealed)) = found.await?;
    let keys = state.vault.keys(account.uuid()).await?.ok_or(Error::NotFound)?;
    let profile = identity::actions::open_profile(&keys, account, version, &sealed)?;
    let found = match patient {
        Some(patient) => Some(open_settings(row.as_ref(), patient_keys.as_ref().ok_or(Error::NotFound)?, patient)?),
        None => None,
    };
    // The name and the address of staff change with their profile, which is all that is shown of them.
    let etag = EntityTag::version(found.as_ref().map_or(version, |(_, version)| *version));
    let view = MeView {
        account_id: account.uuid(),
        kind: kind.name(),
        name: profile.name.into_string(),
        email: profile.email.as_str().to_owned(),
        patient_id: patient.map(Id::uuid),
        settings: found.map(|(settings, version)| SettingsView::of(settings, version, now)),
        etag,
    };
    Ok(Reply::ok(&view).etag(&view.etag))
}

/// A change of a patient's settings, merged into the present ones.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Me)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    /// The time zone the patient lives in, by IANA name.
    #[schema(nullable = false, format = "time-zone", example = "America/New_York")]
    time_zone: Option<String>,
    /// The instant of the move, if not now: in the past, and not before the last change.
    #[schema(nullable = false, format = DateTime)]
    effective_at: Option<String>,
    /// The hours in which nothing is delivered.
    quiet_hours: QuietHoursDto,
    /// `monday` to `sunday`.
    #[schema(example = "sunday")]
    weekly_day: String,
    /// Two letters of ISO 3166.
    #[schema(format = "country", example = "DE")]
    country: Option<String>,
    /// A BCP 47 language.
    #[schema(format = "language", max_length = 35, example = "en")]
    locale: String,
    /// Whether prompts are pushed.
    notifications: bool,
    /// Whether linked therapists see the number of active days of the last seven; off at first.
    share_activity: bool,
}

impl Patchable for SettingsBody {
    const FIXED: &'static [&'static str] = &["time_zone", "effective_at"];
}

/// Parses the quiet hours, if there are any. Their length is checked last.
///
/// # Errors
///
/// When they are longer than 14 hours. Invalid times go to `f`.
pub fn parse_quiet_hours(f: &mut Fields, hours: Option<QuietHoursDto>) -> Result<Option<QuietHours>> {
    let Some(hours) = hours else { return Ok(None) };
    let from = f.take("/quiet_hours/from", device_time::local_time(&hours.from));
    let times = from.zip(f.take("/quiet_hours/to", device_time::local_time(&hours.to)));
    times.map(|(from, to)| QuietHours::parse(from, to)).transpose()
}

/// Parses the name of a day of the week, or adds a fault to `f`.
pub fn parse_weekday(f: &mut Fields, name: Option<String>) -> Option<Weekday> {
    let day = serde_json::from_value(serde_json::Value::String(name?));
    f.take("/weekly_day", day.or(Err("must be monday to sunday")))
}

impl SettingsBody {
    /// Returns the body of the present settings, without the zone: only a move sets it.
    fn of(settings: &Settings) -> Result<Self> {
        let weekly_day = serde_json::to_value(settings.weekly_day).map_err(|error| Error::Internal(Box::new(error)))?;
        Ok(Self {
            time_zone: None,
            effective_at: None,
            quiet_hours: settings.quiet_hours.into(),
            weekly_day: weekly_day.as_str().unwrap_or_default().to_owned(),
            country: settings.country.clone(),
            locale: settings.locale.clone(),
            notifications: settings.notifications.enabled,
            share_activity: settings.share_activity,
        })
    }

    /// Returns `before` with this change.
    fn parse(self, before: &Settings, now: Timestamp) -> Result<Settings> {
        let mut f = Fields::new();
        let zone = self.time_zone.and_then(|name| f.take("/time_zone", Zone::parse(&name)));
        let since = device_time::take(&mut f, "/effective_at", self.effective_at);
        f.check(since.is_none() || zone.is_some(), "/effective_at", "goes with `time_zone`");
        let quiet_hours = parse_quiet_hours(&mut f, Some(self.quiet_hours));
        let weekly_day = parse_weekday(&mut f, Some(self.weekly_day));
        let country = self.country.and_then(|code| f.take("/country", locale::country(&code)));
        let locale = f.take("/locale", locale::language(&self.locale));
        let (weekly_day, locale) = f.finish(weekly_day.zip(locale))?;
        let mut after = Settings {
            quiet_hours: quiet_hours?.unwrap_or(before.quiet_hours),
            weekly_day,
            country,
            locale,
            notifications: Notifications { enabled: self.notifications },
            share_activity: self.share_activity,
            ..before.clone()
        };
        if let Some(zone) = zone {
            after.change_zone(zone, since, now)?;
        }
        Ok(after)
    }
}

/// Returns `before` with some of the patient's own fields replaced, as a PATCH has them.
///
/// # Errors
///
/// [`Error::Invalid`] with every fault.
pub fn changed_settings(before: &Settings, fields: &Map<String, Value>, now: Timestamp) -> Result<Settings> {
    let mut body = serde_json::to_value(SettingsBody::of(before)?).map_err(|error| Error::Internal(Box::new(error)))?;
    if let Value::Object(body) = &mut body {
        body.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    read_document::<SettingsBody>(body)?.0.parse(before, now)
}

type PatchMe = Patch<SettingsBody>;

/// Change a patient's settings
///
/// A new zone or new quiet hours move the prompts that are not yet due.
#[utoipa::path(tag = "identity",
    request_body(content((PatchMe = "application/merge-patch+json"), (PatchMe = "application/json"))),
    params(IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = SettingsView), WriteErrors))]
#[patch("/me")]
pub(super) async fn patch_me(door: Door<Own>, request: Request<(), PatchMe>) -> Result<Reply> {
    let work = |tx: &mut Tx<'_>, access: &Access<Write>, command: &Command<(), PatchMe>| {
        let change = |before: &Settings| command.body.apply(&SettingsBody::of(before)?)?.parse(before, access.now());
        Ok(Outcome::ok(access.patient(), patch_settings(tx, access, change, &command.when)?))
    };
    let show = |tx: &mut Tx<'_>, access: &Access<Write>, outcome: Outcome<_>| outcome.or_read(|| settings(tx, access));
    let answer = door.change("patch_me", request, Ok, work, show).await?;
    answer.reply(|(settings, version)| Ok(SettingsView::of(settings, version, door.now()).reply()))
}
