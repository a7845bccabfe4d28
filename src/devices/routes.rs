//! The operations on devices.

use actix_web::{delete, get, put};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::ShownDevice;
use super::model::{DeviceDoc, Notifications, PushAddress};
use super::{actions, model};
use crate::care::door::{Own, Policy};
use crate::care::{Access, Door, Write};
use crate::consents::{self, Covers};
use crate::db::Tx;
use crate::http::document::{
    ActionErrors, IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ItemErrors, ReadErrors, WriteErrors,
};
use crate::http::{Body, EntityTag, NewId, Operations, PathOf, PatientRef, Preconditions, Reply, Request};
use crate::identity::Unlocked;
use crate::kernel::id::Device;
use crate::kernel::{Creation, Error, Fields, Id, Listed, Result, locale};

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(list_devices).service(put_device).service(get_device).service(delete_device);
}

/// A device.
#[derive(Serialize, ToSchema)]
struct DeviceView {
    /// Its id.
    id: Uuid,
    /// Its platform.
    #[schema(examples("ios", "android", "web", "email", "other"))]
    platform: String,
    /// The channel of its pushes; absent for one that shows prompts from its plan alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("fcm", "apns", "web_push", "webhook", "email"))]
    channel: Option<String>,
    /// Whether pushes go to it: its session goes on, it named an address that its push service still knows, and did not
    /// switch them off.
    reachable: bool,
    /// Its language.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "de-AT")]
    locale: Option<String>,
    /// The version of the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1.4.2")]
    app_version: Option<String>,
    /// What it does when a prompt comes due.
    #[schema(examples("visible", "silent", "off"))]
    notifications: &'static str,
    /// Whether the app acknowledges what it receives.
    acknowledges: bool,
    /// Whether it registered in the caller's session.
    current: bool,
    /// The time of its registration.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The time of the last receipt that it acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    last_receipt_at: Option<Timestamp>,
    /// Its version.
    version: i64,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
}

impl DeviceView {
    fn open<P: Policy>(door: &Door<P>, (row, goes_on): &ShownDevice) -> Result<Self> {
        let doc = row.open(door.keys()?)?;
        let key = &row.key;
        let wanted = doc.notifications != Notifications::Off;
        Ok(Self {
            id: key.id.uuid(),
            platform: doc.platform,
            reachable: *goes_on && doc.push.is_some() && row.retired_at.is_none() && wanted,
            channel: doc.push.map(|push| push.channel),
            locale: doc.locale,
            app_version: doc.app_version,
            notifications: doc.notifications.name(),
            acknowledges: doc.acknowledges,
            current: key.session_id == door.session(),
            created_at: key.created_at.0,
            last_receipt_at: row.seen_at,
            version: key.version,
            etag: EntityTag::version(key.version),
        })
    }

    fn reply(self) -> Reply {
        Reply::ok(&self).etag(&self.etag)
    }
}

/// A device in the list.
type DeviceItem = Listed<DeviceView>;

/// The devices.
#[derive(Serialize, ToSchema)]
struct DeviceList {
    /// The devices, by the time of their registration.
    items: Vec<DeviceItem>,
}

/// Where a push service reaches a device. It is never shown again.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutPush {
    /// The channel: `fcm`, `apns`, `web_push`, `webhook` or `email`. `GET /v1/meta` names those that the server has.
    #[schema(example = "fcm")]
    channel: String,
    /// What the push service gave the app: the registration token of FCM, the device token of APNs in hexadecimal
    /// digits, the endpoint of a Web Push subscription, the name by which a clinic's gateway knows the device, or an
    /// e-mail address.
    address: String,
    /// The key `p256dh` of a Web Push subscription, base64url.
    p256dh: Option<String>,
    /// The key `auth` of a Web Push subscription, base64url.
    auth: Option<String>,
    /// Whether an APNs token is of an app under development.
    development: Option<bool>,
}

/// A device to register.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutDevice {
    /// Its platform: `ios`, `android`, `web`, `email` (a mailbox, with the channel `email`) or `other`.
    #[schema(example = "ios")]
    platform: String,
    /// Where it is reached. Without one it shows prompts from its plan alone.
    #[schema(nullable = false)]
    push: Option<PutPush>,
    /// Its language, BCP 47; the patient's by default.
    #[schema(example = "de-AT")]
    locale: Option<String>,
    /// The version of the app, at most 40 characters.
    #[schema(example = "1.4.2")]
    app_version: Option<String>,
    /// What it does when a prompt comes due: `visible` shows a sentence, `silent` wakes the app alone, `off` is sent
    /// nothing. `visible` by default.
    #[schema(example = "visible")]
    notifications: Option<String>,
    /// Whether the app acknowledges what it receives, with `POST …/deliveries/{delivery_id}/received`. What such a device
    /// does not acknowledge is sent again.
    acknowledges: Option<bool>,
}

impl PutDevice {
    fn parse(self) -> Result<DeviceDoc> {
        let mut f = Fields::new();
        let creation = Some(Creation::of(&self)?);
        let platform = f.take("/platform", model::platform(&self.platform));
        let locale = self.locale.map(|tag| f.take("/locale", locale::language(&tag)));
        let version = self.app_version.map(|text| f.take("/app_version", model::app_version(&text)));
        let notifications =
            self.notifications.map(|name| f.take("/notifications", Notifications::named(&name).ok_or(model::WRONG)));
        let push = self.push.map(|push| {
            let PutPush { channel, address, p256dh, auth, development } = push;
            let push = PushAddress { channel, address, p256dh, auth, development: development.unwrap_or_default() };
            f.part(push.checked("/push"))
        });
        let push = push.transpose()?.flatten();
        let doc = platform.map(|platform| DeviceDoc {
            platform,
            push,
            locale: locale.flatten(),
            app_version: version.flatten(),
            notifications: notifications.flatten().unwrap_or_default(),
            acknowledges: self.acknowledges.unwrap_or_default(),
            creation,
        });
        let doc = f.finish(doc)?;
        match doc.fault() {
            Some((pointer, fault)) => Err(Error::field(pointer, fault)),
            None => Ok(doc),
        }
    }
}

/// List devices
///
/// The phones and browsers that registered, with what is known of each. A device whose session has ended is sent
/// nothing.
#[utoipa::path(tag = "devices", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IfNoneMatchHeader),
    responses((status = 200, description = "The devices", body = DeviceList), ReadErrors))]
#[get("/devices")]
async fn list_devices(door: Door<Unlocked<Own>>, when: Preconditions) -> Result<Reply> {
    let rows = door.read("list_devices", actions::list_devices).await?;
    let item = |shown: &ShownDevice| Listed::new(shown.0.key.id.uuid(), DeviceView::open(&door, shown));
    let mut items = rows.iter().map(item).collect::<Result<Vec<_>>>()?;
    items.sort_by_key(|item| item.place(|device| (device.created_at, device.id)));
    Ok(door.whole_list("list_devices", &DeviceList { items }, &when))
}

/// Register a device
///
/// An app does so after each log-in, and when its push service gives it another address. A mailbox counts as a device, too:
/// it gets the one neutral sentence as an e-mail. Another state of the same
/// device needs `If-Match`, unless it registers in a new session. An address that another device named before now
/// belongs to this one. A patient who has withdrawn the consent `automated_messages` gets 403 `consent_required` for a
/// mailbox; who was never asked may register one.
#[utoipa::path(tag = "devices", request_body = PutDevice,
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("device_id" = Uuid, Path, description = "The device's id, a UUID of the client, version 4 or 7"), IdempotencyKeyHeader, IfMatchHeader,
        IfNoneMatchHeader),
    responses((status = 201, description = "Registered", body = DeviceView), (status = 200, description = "As asked", body = DeviceView), WriteErrors))]
#[put("/devices/{device_id}")]
async fn put_device(door: Door<Own>, request: Request<NewId<Device>, Body<PutDevice>>) -> Result<Reply> {
    let vault = door.state().vault.clone();
    let answer = door.change(
        "put_device",
        request,
        |command| Ok((command.id.0, command.body.into_inner().parse()?, command.when)),
        move |tx, access, (id, doc, when)| actions::put_device(tx, access, (&vault, may_mail), (*id, doc), when),
        actions::show,
    );
    answer.await?.reply(|shown| DeviceView::open(&door, &shown).map(DeviceView::reply))
}

/// Lets those have a mailbox who have not withdrawn the consent to messages by e-mail.
fn may_mail(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
    consents::require(tx, access, Covers::AutomatedMessages, false)
}

/// Read a device
#[utoipa::path(tag = "devices",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("device_id" = Uuid, Path, description = "The device's id")),
    responses((status = 200, description = "The device", body = DeviceView), ItemErrors))]
#[get("/devices/{device_id}")]
async fn get_device(door: Door<Unlocked<Own>>, id: PathOf<Id<Device>>) -> Result<Reply> {
    let shown = door.read("get_device", move |tx, access| actions::read_device(tx, access, id.0)).await?;
    DeviceView::open(&door, &shown).map(DeviceView::reply)
}

/// Remove a device
///
/// Nothing goes to it any more, and its session ends, unless it is the caller's own: the app on a lost phone is logged
/// out and told to erase what it holds. A mailbox is only forgotten: the session in which it was registered goes on.
#[utoipa::path(tag = "devices",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("device_id" = Uuid, Path, description = "The device's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "Removed"), ActionErrors))]
#[delete("/devices/{device_id}")]
async fn delete_device(door: Door<Own>, request: Request<Id<Device>>) -> Result<Reply> {
    door.delete("delete_device", request, |tx, access, command| actions::remove_device(tx, access, command.id)).await
}
