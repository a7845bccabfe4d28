//! The passkeys of the caller's account, and the answers of devices.

use actix_web::{delete, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, WriteErrors};
use crate::http::{Body, Command, Operations, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::passkeys::actions::{self, Challenge, NewPasskey, OwnPasskey};
use crate::identity::passkeys::model::{Assertion, PASSKEY_BYTES, PasskeyName};
use crate::identity::{Anyone, Caller, Claimed, Fresh, Live};
use crate::kernel::id::Passkey;
use crate::kernel::{Error, Fields, Id, Result};
use crate::state::State;
use crate::vault::Keys;

/// Registers the operations below `/v1`.
pub(super) fn configure(config: &mut Operations<'_, '_>) {
    config.service(begin_passkey).service(add_passkey).service(delete_passkey);
}

/// A challenge for a device (WebAuthn).
#[derive(Serialize, ToSchema)]
pub(super) struct PasskeyChallengeView {
    /// What is sent back with the answer of the device, within 5 minutes. It is good once.
    #[schema(example = "AWcn3L…")]
    ceremony: String,
    /// The options for the device, `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON`
    /// of WebAuthn: pass them on as they are.
    #[schema(value_type = HashMap<String, serde_json::Value>)]
    public_key: Value,
}

impl PasskeyChallengeView {
    /// Returns the answer that holds a challenge.
    pub(super) fn reply(challenge: Challenge) -> Reply {
        Reply::ok(&Self { ceremony: challenge.ceremony, public_key: challenge.options }).no_store()
    }
}

/// The answer of a device to a challenge of `begin_passkey_log_in`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasskeyAssertion {
    /// The `ceremony` that came with the challenge.
    #[schema(example = "AWcn3L…")]
    ceremony: String,
    /// What the device answered, `AuthenticationResponseJSON` of WebAuthn, as it is.
    #[schema(value_type = HashMap<String, serde_json::Value>)]
    credential: Map<String, Value>,
}

impl PasskeyAssertion {
    /// Returns the answer.
    pub(super) fn into_assertion(self) -> Assertion {
        Assertion { ceremony: self.ceremony, credential: Value::Object(self.credential) }
    }
}

/// A key that a device has made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddPasskey {
    /// Its name, for its owner.
    #[schema(min_length = 1, max_length = 80, example = "Ann's phone")]
    name: String,
    /// The `ceremony` that came with the challenge of `begin_passkey`.
    #[schema(example = "AWcn3L…")]
    ceremony: String,
    /// What the device answered, `RegistrationResponseJSON` of WebAuthn, as it is.
    #[schema(value_type = HashMap<String, serde_json::Value>)]
    credential: Map<String, Value>,
}

impl AddPasskey {
    async fn look(self, state: &State, caller: &Caller) -> Result<NewPasskey> {
        let mut fields = Fields::new();
        let name = fields.take("/name", PasskeyName::line(&self.name));
        let name = fields.finish(name)?;
        let made = Assertion { ceremony: self.ceremony, credential: Value::Object(self.credential) };
        actions::look_at(state, caller, (name, made)).await
    }
}

/// A passkey of the caller's account.
#[derive(Serialize, ToSchema)]
pub(super) struct PasskeyView {
    /// Its id.
    id: Uuid,
    /// Its name; absent only when it is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann's phone")]
    name: Option<String>,
    /// The instant at which it was added.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The instant of its last use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    last_used_at: Option<Timestamp>,
    /// Whether it is damaged: its name is left out, and no log-in with it is accepted. Take it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

impl PasskeyView {
    /// Shows a passkey.
    ///
    /// # Errors
    ///
    /// When the keys are not the account's.
    pub(super) fn open(passkey: &OwnPasskey, keys: &Keys) -> Result<Self> {
        let name = Error::skip_damaged(passkey.name(keys))?.map(PasskeyName::into_string);
        let unreadable = name.is_none().then_some(true);
        let (created_at, last_used_at) = (passkey.created_at(), passkey.last_used_at());
        Ok(Self { id: passkey.id().uuid(), name, created_at, last_used_at, unreadable })
    }
}

/// Begin to add a passkey
///
/// Answers a challenge for the device, which makes a key and sends it to `add_passkey`. Asks for the passphrase within
/// 5 minutes, and for a code where there is a second factor. 409 `passkeys_off` where the operator has switched none
/// on.
#[utoipa::path(tag = "identity",
    responses((status = 200, description = "The challenge", body = PasskeyChallengeView), ActionErrors))]
#[post("/me/factors/passkeys/begin")]
async fn begin_passkey(caller: Claimed<Fresh<Anyone>>, state: web::Data<State>) -> Result<Reply> {
    Ok(PasskeyChallengeView::reply(actions::begin(&state, &caller).await?))
}

/// Add a passkey
///
/// With what the device answered to the challenge of `begin_passkey`. From then on `log_in_with_passkey` takes it. The
/// passphrase goes on opening the account; to have it ask for more, set up a second factor with `begin_totp`.
/// A letter tells the owner.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader), request_body = AddPasskey,
    responses((status = 201, description = "Added", body = PasskeyView), WriteErrors))]
#[post("/me/factors/passkeys")]
async fn add_passkey(
    caller: Caller,
    request: Request<(), Body<AddPasskey, PASSKEY_BYTES>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (vault, keys) = (state.vault.clone(), state.vault.keys(caller.account().uuid()).await?);
    let asked =
        caller.prepare(&state, request, async |asked| asked.body.into_inner().look(&state, &caller).await).await;
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, new: &_| actions::add(tx, live, &vault, new);
    let show =
        |tx: &mut Tx<'_>, live: &Live<Anyone>, outcome: Outcome<_>| outcome.or_get(|id| actions::get(tx, live, id));
    let (origin, passkey) = caller.change(&state, asked, |command| Ok(command.body), work, show).await?.into_parts();
    let view = PasskeyView::open(&passkey, &keys.ok_or(Error::NotFound)?)?;
    Ok(origin.reply_at(Reply::ok(&view), &format!("/v1/me/factors/passkeys/{}", passkey.id())))
}

/// Take a passkey away
///
/// Nobody logs in with it any more. The other sessions go on, and are asked for a proof again (403 `step_up_required`),
/// however fresh theirs is. Asks for the passphrase within 5 minutes, and for a code where there is a second factor.
#[utoipa::path(tag = "identity",
    params(("passkey_id" = Uuid, Path, description = "The passkey's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "Taken away"), ActionErrors))]
#[delete("/me/factors/passkeys/{passkey_id}")]
async fn delete_passkey(
    caller: Claimed<Fresh<Anyone>>,
    request: Request<Id<Passkey>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (vault, keys) = (state.vault.clone(), state.vault.keys(caller.account().uuid()).await?);
    let work = move |tx: &mut Tx<'_>, live: &Live<Fresh<Anyone>>, command: &Command<Id<Passkey>>| {
        actions::remove(tx, live, (&vault, keys.as_ref()), command.id)
    };
    caller.delete(&state, request, work).await
}
