//! The second factor of the caller's account, and the step-up within a session.

use actix_web::{delete, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::passkeys::{PasskeyAssertion, PasskeyView};
use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, Operations, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::factors::{self, FactorState, ShownProofs, TypedCode};
use crate::identity::model::SIGN_IN_BYTES;
use crate::identity::passkeys::actions as own_passkeys;
use crate::identity::{Anyone, Caller, Claimed, Email, Fresh, Live, Passwords, Unlocked, totp};
use crate::kernel::{Error, JoinCode, Result};
use crate::state::State;

/// Registers the operations below `/v1`.
pub(super) fn configure(config: &mut Operations<'_, '_>) {
    config
        .service(step_up)
        .service(get_factors)
        .service(begin_totp)
        .service(confirm_totp)
        .service(delete_totp)
        .service(renew_recovery_codes);
}

/// What the owner of a session shows to prove themself: one of these, or several.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ShowProofs {
    /// The passphrase.
    #[schema(nullable = false, format = "password", example = "a quiet river at dawn")]
    passphrase: Option<String>,
    /// A code of the second factor: of the authenticator app, or a recovery code.
    #[schema(nullable = false, format = "password", example = "287082")]
    code: Option<String>,
    /// The answer of a passkey of the account to a challenge of `begin_passkey_log_in`. It counts as both of these.
    #[schema(nullable = false)]
    passkey: Option<PasskeyAssertion>,
}

impl ShowProofs {
    async fn look(self, parts: &(web::Data<State>, web::Data<Passwords>), caller: &Caller) -> Result<ShownProofs> {
        let passkey = self.passkey.map(PasskeyAssertion::into_assertion);
        factors::look_at_proofs(&parts.0, &parts.1, caller, (self.passphrase, self.code, passkey)).await
    }
}

/// A code of an authenticator app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConfirmTotp {
    /// The present code. Spaces do not matter.
    #[schema(format = "password", example = "287082")]
    code: String,
}

impl ConfirmTotp {
    async fn look(self, state: &State, caller: &Caller) -> Result<TypedCode> {
        factors::look_at(state, caller, self.code).await
    }
}

/// A step-up that is done.
#[derive(Serialize, ToSchema)]
struct SteppedUpView {
    /// The instant from which the proofs count.
    #[schema(value_type = String, format = DateTime)]
    proved_at: Timestamp,
}

/// The second factors of an account.
#[derive(Serialize, ToSchema)]
struct FactorsView {
    /// The state of the authenticator app: `none`, `awaited` until its first code was shown, then `on`.
    #[schema(example = "on")]
    totp: &'static str,
    /// The instant from which it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    since: Option<Timestamp>,
    /// The number of recovery codes that are left, while it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 10)]
    recovery_codes_left: Option<u32>,
    /// The passkeys, the oldest first.
    passkeys: Vec<PasskeyView>,
}

impl FactorsView {
    fn new(state: Option<FactorState>, passkeys: Vec<PasskeyView>) -> Self {
        let since = state.and_then(|state| state.confirmed_at);
        let totp = match (state, since) {
            (None, _) => "none",
            (Some(_), None) => "awaited",
            (Some(_), Some(_)) => "on",
        };
        let recovery_codes_left = state.filter(|_| since.is_some()).map(|state| state.recovery_codes);
        Self { totp, since, recovery_codes_left, passkeys }
    }
}

/// The secret for an authenticator app.
#[derive(Serialize, ToSchema)]
struct TotpSecretView {
    /// The secret in base 32, to type.
    #[schema(format = "password", example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// The same as an address, to open or to show as a picture: SHA-1, six digits, thirty seconds.
    #[schema(
        format = "uri",
        example = "otpauth://totp/Afterglow:ann%40example.org?secret=GEZDGNBVGY3TQOJQ&issuer=Afterglow"
    )]
    uri: String,
}

impl TotpSecretView {
    fn reply(secret: &[u8], email: &Email) -> Reply {
        Reply::ok(&Self { secret: totp::base32(secret), uri: totp::address_of(secret, email.as_str()) }).no_store()
    }
}

/// The recovery codes of an account.
#[derive(Serialize, ToSchema)]
struct RecoveryCodesView {
    /// The codes. Each is good once, in place of a code of the authenticator app.
    #[schema(example = json!(["7K2M-9XQ4-T0VB-HS3D"]))]
    recovery_codes: Vec<String>,
}

impl RecoveryCodesView {
    fn reply(codes: &[JoinCode]) -> Reply {
        Reply::ok(&Self { recovery_codes: codes.iter().map(ToString::to_string).collect() }).no_store()
    }
}

/// Prove who you are within a session
///
/// After a 403 `step_up_required`: send what its `factors` name, then the refused request again. Wrong ones are counted
/// like failed log-ins. Each code is good once.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader), request_body = ShowProofs,
    responses((status = 200, description = "Proved", body = SteppedUpView), WriteErrors))]
#[post("/auth/step-up")]
async fn step_up(
    caller: Caller,
    request: Request<(), Body<ShowProofs, SIGN_IN_BYTES>>,
    parts: (web::Data<State>, web::Data<Passwords>),
) -> Result<Reply> {
    let (state, vault) = (&parts.0, parts.0.vault.clone());
    let asked = caller.prepare(state, request, async |asked| asked.body.into_inner().look(&parts, &caller).await).await;
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, shown: &_| factors::step_up(tx, live, &vault, shown);
    let show = |tx: &mut Tx<'_>, live: &Live<Anyone>, _: Outcome<()>| factors::proved_at(tx, live);
    let answer = caller.change(state, asked, |command| Ok(command.body), work, show);
    answer.await?.reply(|proved_at| Ok(Reply::ok(&SteppedUpView { proved_at }).no_store()))
}

/// Read the second factors
///
/// Where the lock is on, this asks for the passphrase within 10 minutes.
#[utoipa::path(tag = "identity",
    responses((status = 200, description = "The second factors", body = FactorsView), ReadErrors))]
#[get("/me/factors")]
async fn get_factors(caller: Claimed<Unlocked<Anyone>>, state: web::Data<State>) -> Result<Reply> {
    let read = caller.read(&state, |tx, live| Ok((factors::state(tx, live)?, own_passkeys::list(tx, live)?)));
    let (factor, passkeys) = read.await?;
    let keys = state.vault.keys(caller.account().uuid()).await?.ok_or(Error::NotFound)?;
    let passkeys = passkeys.iter().map(|passkey| PasskeyView::open(passkey, &keys)).collect::<Result<_>>()?;
    Ok(Reply::ok(&FactorsView::new(factor, passkeys)))
}

/// Begin with an authenticator app
///
/// Makes a secret for the app; it counts once its first code is sent to `confirm_totp`. Asks for the passphrase within
/// 5 minutes. 409 when there is a second factor already.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader),
    responses((status = 200, description = "The secret", body = TotpSecretView), ActionErrors))]
#[post("/me/factors/totp")]
async fn begin_totp(caller: Claimed<Fresh<Anyone>>, request: Request, state: web::Data<State>) -> Result<Reply> {
    let new = factors::prepare(&state, &caller).await?;
    let (keys, email) = (new.keys().clone(), new.email().clone());
    let work = move |tx: &mut Tx<'_>, live: &Live<Fresh<Anyone>>, _: &Command| factors::begin(tx, live, &new);
    let show = move |tx: &mut Tx<'_>, live: &Live<Fresh<Anyone>>, _: Outcome<()>| factors::awaited(tx, live, &keys);
    let answer = caller.change(&state, request, Ok, work, show).await?;
    answer.reply(|secret| Ok(TotpSecretView::reply(&secret, &email)))
}

/// Switch the second factor on
///
/// With the first code of the authenticator app. From then on a log-in asks for a code. The answer holds ten recovery
/// codes, which are not shown again: have the person write them down. In a session whose proofs were taken back since,
/// this asks for the passphrase within 5 minutes, and for a code where there is a second factor
/// (403 `step_up_required`).
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader), request_body = ConfirmTotp,
    responses((status = 200, description = "It is on", body = RecoveryCodesView), WriteErrors))]
#[post("/me/factors/totp/confirm")]
async fn confirm_totp(
    caller: Caller,
    request: Request<(), Body<ConfirmTotp, SIGN_IN_BYTES>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (vault, keys) = (state.vault.clone(), state.vault.keys(caller.account().uuid()).await?);
    let asked =
        caller.prepare(&state, request, async |asked| asked.body.into_inner().look(&state, &caller).await).await;
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, typed: &_| factors::confirm(tx, live, &vault, typed);
    let show =
        move |tx: &mut Tx<'_>, live: &Live<Anyone>, _: Outcome<()>| factors::recovery_codes(tx, live, keys.as_ref());
    let answer = caller.change(&state, asked, |command| Ok(command.body), work, show).await?;
    answer.reply(|codes| Ok(RecoveryCodesView::reply(&codes)))
}

/// Take the second factor away
///
/// With its recovery codes. The other sessions go on, and are asked for a proof again (403 `step_up_required`), however
/// fresh theirs is. Asks for the passphrase and a code within 5 minutes. A repetition changes nothing.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader),
    responses((status = 204, description = "There is none"), ActionErrors))]
#[delete("/me/factors/totp")]
async fn delete_totp(caller: Claimed<Fresh<Anyone>>, request: Request, state: web::Data<State>) -> Result<Reply> {
    let (vault, keys) = (state.vault.clone(), state.vault.keys(caller.account().uuid()).await?);
    let work = move |tx: &mut Tx<'_>, live: &Live<Fresh<Anyone>>, _: &Command| {
        factors::remove(tx, live, (&vault, keys.as_ref()))
    };
    caller.delete(&state, request, work).await
}

/// Make new recovery codes
///
/// The last ones are void, and the other sessions are asked for a proof again (403 `step_up_required`), however fresh
/// theirs is. Asks for the passphrase and a code within 5 minutes. 409 without a second factor.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader),
    responses((status = 200, description = "The new codes", body = RecoveryCodesView), ActionErrors))]
#[post("/me/factors/recovery-codes")]
async fn renew_recovery_codes(
    caller: Claimed<Fresh<Anyone>>,
    request: Request,
    state: web::Data<State>,
) -> Result<Reply> {
    let (vault, new) = (state.vault.clone(), factors::prepare(&state, &caller).await?);
    let keys = new.keys().clone();
    let work = move |tx: &mut Tx<'_>, live: &Live<Fresh<Anyone>>, _: &Command| {
        factors::renew_recovery_codes(tx, live, &vault, &new)
    };
    let show = move |tx: &mut Tx<'_>, live: &Live<Fresh<Anyone>>, _: Outcome<()>| {
        factors::recovery_codes(tx, live, Some(&keys))
    };
    let answer = caller.change(&state, request, Ok, work, show).await?;
    answer.reply(|codes| Ok(RecoveryCodesView::reply(&codes)))
}
