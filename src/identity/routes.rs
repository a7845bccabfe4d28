//! Log-in, refresh, log-out and the public keys.

mod factors;
pub(crate) mod oauth;
mod passkeys;
mod sessions;

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::{HttpRequest, get, post, web};
use passkeys::{PasskeyAssertion, PasskeyChallengeView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::{self, SessionTokens, SignedIn};
use super::log_in::{self as passphrase_log_in, LogInAttempt};
use super::model::{DeviceName, Email, Passphrase, SIGN_IN_BYTES};
use super::passkeys::actions::begin_log_in;
use super::passkeys::log_in::{self as passkey_log_in, PasskeyLogInAttempt};
use super::passkeys::model::Assertion;
use super::{Caller, Passwords, Tokens};
use crate::http::document::{
    ActionErrors, AuthErrors, IdempotencyKeyHeader, PasskeyBeginErrors, PasskeyErrors, PublicErrors,
};
use crate::http::{Body, Operations, Reply, Request, client_network};
use crate::kernel::{Fields, Id, Result, Text};
use crate::state::State;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(log_in).service(refresh_session).service(log_out).service(oauth::revoke_token);
    config.service(begin_passkey_log_in).service(log_in_with_passkey);
    sessions::configure(config);
    factors::configure(config);
    passkeys::configure(config);
}

/// The parts that open a session: the server's state, the hasher of passphrases, the tokens.
pub(crate) type SessionParts = (web::Data<State>, web::Data<Passwords>, web::Data<Arc<Tokens>>);

/// E-mail and passphrase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogIn {
    /// The account's address.
    #[schema(format = "idn-email", max_length = 254, example = "ann@example.org")]
    email: String,
    /// Its passphrase.
    #[schema(format = "password", example = "a quiet river at dawn")]
    passphrase: String,
    /// A code of the account's second factor, if it has one: of the authenticator app, or a recovery code.
    #[schema(nullable = false, format = "password", example = "287082")]
    code: Option<String>,
    /// The answer of a passkey of the account, in place of a code, to a challenge of `begin_passkey_log_in`.
    #[schema(nullable = false)]
    passkey: Option<PasskeyAssertion>,
    /// The device token of the last log-in or refresh of this account on this device. The failures of others do not
    /// keep such a device out.
    #[schema(nullable = false, format = "password", example = "AZLwwSNF…")]
    device_token: Option<String>,
    /// The name of the device, for the list of sessions.
    #[schema(nullable = false, min_length = 1, max_length = 80, example = "Ann's phone")]
    device_name: Option<String>,
}

impl LogIn {
    fn parse(self, network: IpAddr) -> Result<LogInAttempt> {
        let mut fields = Fields::new();
        let email = fields.take("/email", Email::parse(self.email));
        let device_name = self.device_name.and_then(|name| fields.take("/device_name", DeviceName::line(&name)));
        let passphrase = Passphrase::typed(self.passphrase);
        let email = fields.finish(email)?;
        let (code, device_token) = (self.code, self.device_token);
        let passkey = self.passkey.map(PasskeyAssertion::into_assertion);
        Ok(LogInAttempt { email, passphrase, code, passkey, device_token, device_name, network: Some(network) })
    }
}

/// The answer of a passkey, which needs no address and no passphrase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasskeyLogIn {
    /// The `ceremony` that came with the challenge.
    #[schema(example = "AWcn3L…")]
    ceremony: String,
    /// What the device answered, `AuthenticationResponseJSON` of WebAuthn, as it is.
    #[schema(value_type = HashMap<String, serde_json::Value>)]
    credential: Map<String, Value>,
    /// The device token of the last log-in or refresh of this account on this device.
    #[schema(nullable = false, format = "password", example = "AZLwwSNF…")]
    device_token: Option<String>,
    /// The name of the device, for the list of sessions.
    #[schema(nullable = false, min_length = 1, max_length = 80, example = "Ann's phone")]
    device_name: Option<String>,
}

impl PasskeyLogIn {
    fn parse(self, network: IpAddr) -> Result<PasskeyLogInAttempt> {
        let mut fields = Fields::new();
        let device_name = self.device_name.and_then(|name| fields.take("/device_name", DeviceName::line(&name)));
        let device_name = fields.finish(Some(device_name))?;
        let assertion = Assertion { ceremony: self.ceremony, credential: Value::Object(self.credential) };
        Ok(PasskeyLogInAttempt { assertion, device_token: self.device_token, device_name, network: Some(network) })
    }
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The refresh token of the last answer.
    #[schema(format = "password", example = "pHc1mQ…")]
    refresh_token: String,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokensView {
    /// The session. It ends by log-out; for a patient after 90 days without a refresh, or 400 days after the log-in;
    /// for staff after 60 and 180 days.
    session_id: Uuid,
    /// The access token, for `Authorization: Bearer …`.
    access_token: String,
    /// The type of the access token, always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// The lifetime of the access token in seconds.
    #[schema(example = 600)]
    expires_in: i64,
    /// The refresh token, good for one use; the answer to that use holds the next one. After a lost answer, send the
    /// same token again.
    refresh_token: String,
    /// The token by which this account knows the device at its next log-in. It opens nothing; keep it after a log-out.
    device_token: String,
}

/// An account that is logged in.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountView {
    /// Its id.
    id: Uuid,
    /// `patient` or `staff`.
    #[schema(example = "patient")]
    kind: &'static str,
    /// The patient of the account; `me` in addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    patient_id: Option<Uuid>,
    /// The person's name; absent only when it is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann Walker")]
    name: Option<String>,
    /// Whether the name is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

/// An account and the tokens of its session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedInView {
    pub(crate) account: AccountView,
    pub(crate) tokens: TokensView,
}

impl From<SignedIn> for SignedInView {
    fn from(SignedIn { kind, patient, name, grant }: SignedIn) -> Self {
        let (id, patient_id) = (grant.account.uuid(), patient.map(Id::uuid));
        let unreadable = name.is_none().then_some(true);
        let name = name.map(Text::into_string);
        let account = AccountView { id, kind: kind.name(), patient_id, name, unreadable };
        Self { account, tokens: grant.into() }
    }
}

impl From<SessionTokens> for TokensView {
    fn from(grant: SessionTokens) -> Self {
        Self {
            session_id: grant.session.uuid(),
            access_token: grant.access,
            token_type: "Bearer",
            expires_in: super::token::LIFETIME.as_secs(),
            refresh_token: grant.refresh,
            device_token: grant.device,
        }
    }
}

/// Log in
///
/// The answer is the same for an unknown address, a wrong passphrase and a disabled account. After ten failures in a
/// row with an address from one network, log-ins from there rest for 15 minutes; after a hundred from all networks,
/// those of all for an hour. A device that sends its `device_token` is counted apart: ten failures of its own make it
/// rest. An account with a second factor answers the right passphrase alone with 401 `second_factor_required`: send the
/// same again with `code`, or with `passkey`. A passkey counts as a code also where there is no second factor: a wrong
/// one is refused with 401 `second_factor_wrong`. For 24 hours after a code from a letter has set the passphrase,
/// devices that were not logged in before, or were logged out from elsewhere, are told `known_device_required`, unless
/// they send a passkey or, where there is a second factor, a code.
#[utoipa::path(tag = "identity", request_body = LogIn, security(()),
    responses((status = 200, description = "Logged in", body = SignedInView), PasskeyErrors))]
#[post("/auth/login")]
async fn log_in(body: Body<LogIn, SIGN_IN_BYTES>, request: HttpRequest, parts: SessionParts) -> Result<Reply> {
    let (state, passwords, tokens) = &parts;
    let attempt = body.into_inner().parse(client_network(&request))?;
    let grant = passphrase_log_in::log_in(state, passwords, Arc::clone(tokens), attempt).await?;
    Ok(Reply::ok(&SignedInView::from(grant)).no_store())
}

/// Begin a log-in with a passkey
///
/// Answers a challenge, the same for everybody: the device knows whose passkeys it has. Send what it answers to
/// `log_in_with_passkey`, or as `passkey` to `log_in` or `step_up`. 409 `passkeys_off` where the operator has switched
/// none on.
#[utoipa::path(tag = "identity", security(()),
    responses((status = 200, description = "The challenge", body = PasskeyChallengeView), PasskeyBeginErrors))]
#[post("/auth/passkey/begin")]
async fn begin_passkey_log_in(state: web::Data<State>) -> Result<Reply> {
    Ok(PasskeyChallengeView::reply(begin_log_in(&state)?))
}

/// Log in with a passkey
///
/// The device has verified its owner: this counts as the passphrase and a code. The answer is the same for a passkey
/// that is not known here, a signature that does not fit, a challenge that was used or is over, and a disabled account.
#[utoipa::path(tag = "identity", request_body = PasskeyLogIn, security(()),
    responses((status = 200, description = "Logged in", body = SignedInView), PasskeyErrors))]
#[post("/auth/passkey/finish")]
async fn log_in_with_passkey(
    body: Body<PasskeyLogIn, SIGN_IN_BYTES>,
    request: HttpRequest,
    parts: SessionParts,
) -> Result<Reply> {
    let (state, _, tokens) = &parts;
    let attempt = body.into_inner().parse(client_network(&request))?;
    let grant = passkey_log_in::log_in(state, Arc::clone(tokens), attempt).await?;
    Ok(Reply::ok(&SignedInView::from(grant)).no_store())
}

/// Exchange a refresh token
///
/// Every refresh token is good for one use. After a lost answer, the same token gets the same answer again, until the
/// token in that answer is used. A spent token that comes after that counts as theft and ends the session.
#[utoipa::path(tag = "identity", request_body = Refresh, security(()),
    responses((status = 200, description = "New tokens", body = SignedInView), AuthErrors))]
#[post("/auth/refresh")]
async fn refresh_session(
    body: Body<Refresh, SIGN_IN_BYTES>,
    state: web::Data<State>,
    tokens: web::Data<Arc<Tokens>>,
) -> Result<Reply> {
    let grant = actions::refresh(&state, Arc::clone(&tokens), body.into_inner().refresh_token).await?;
    Ok(Reply::ok(&SignedInView::from(grant)).no_store())
}

/// Log out
///
/// Ends this session. Its tokens are refused from then on, and the app is told to erase what it keeps.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader),
    responses((status = 204, description = "Logged out"), ActionErrors))]
#[post("/auth/logout")]
async fn log_out(caller: Caller, request: Request, state: web::Data<State>) -> Result<Reply> {
    Ok(caller.delete(&state, request, |tx, live, _| actions::log_out(tx, live)).await?.no_store())
}

/// Read the public keys
///
/// The keys that access tokens are signed with, as a JWK set (RFC 7517). There are two while the key is rotated.
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "The keys", body = serde_json::Value), PublicErrors))]
#[get("/.well-known/jwks.json")]
pub(crate) async fn get_jwks(tokens: web::Data<Arc<Tokens>>, state: web::Data<State>, _request: HttpRequest) -> Reply {
    Reply::ok(&tokens.jwks(state.clock.now())).public()
}
