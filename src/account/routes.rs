//! The operations on the caller's own account, and those for who has lost the way in.

use actix_web::{HttpRequest, get, patch, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::actions::{self, Disabling, NewAddress, NewPassphrase, OwnProfile, ProvedAddress};
use crate::db::Tx;
use crate::http::document::{ActionErrors, AuthErrors, IdempotencyKeyHeader, IfMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, EntityTag, Operations, Patch, Patchable, Reply, Request, client_network};
use crate::idempotency::Outcome;
use crate::identity::model::SIGN_IN_BYTES;
use crate::identity::{Anyone, Caller, Claimed, Email, Live, Passwords, Profile, WithCode};
use crate::kernel::{Error, Fields, JoinCode, Result, Text, locale};
use crate::letters::ProofPurpose;
use crate::letters::routes::LetterSentView;
use crate::state::State;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config
        .service(request_passphrase_reset)
        .service(confirm_passphrase_reset)
        .service(verify_email)
        .service(change_passphrase)
        .service(change_email)
        .service(send_verification)
        .service(disable_account)
        .service(get_profile)
        .service(patch_profile);
}

/// A caller whose request holds the passphrase.
type WithPassphrase = WithCode<Anyone>;

/// The server's state and the hasher of passphrases.
type PassphraseParts = (web::Data<State>, web::Data<Passwords>);

/// The address of somebody who has forgotten the passphrase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RequestPassphraseReset {
    /// The account's address.
    #[schema(format = "idn-email", max_length = 254, example = "ann@example.org")]
    email: String,
}

/// A new passphrase, with the code of a letter.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConfirmPassphraseReset {
    /// The code of the letter. Case, spaces and hyphens do not matter.
    #[schema(format = "code", example = "7K2M-9XQ4-T0VB-HS3D")]
    code: String,
    /// The new passphrase, 15 to 256 characters.
    #[schema(format = "password", min_length = 15, max_length = 256, example = "a quiet river at dawn")]
    passphrase: String,
}

/// The code of a letter.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyEmail {
    /// The code of the letter. Case, spaces and hyphens do not matter.
    #[schema(format = "code", example = "7K2M-9XQ4-T0VB-HS3D")]
    code: String,
}

/// The present and the new passphrase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassphrase {
    /// The present passphrase.
    #[schema(format = "password", example = "a quiet river at dawn")]
    passphrase: String,
    /// The new passphrase, 15 to 256 characters.
    #[schema(format = "password", min_length = 15, max_length = 256, example = "a quiet river at dusk")]
    new_passphrase: String,
}

/// A new address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeEmail {
    /// The new address.
    #[schema(format = "idn-email", max_length = 254, example = "ann@example.org")]
    email: String,
    /// The present passphrase.
    #[schema(format = "password", example = "a quiet river at dawn")]
    passphrase: String,
}

/// The passphrase of who wants to disable their account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DisableAccount {
    /// The present passphrase.
    #[schema(format = "password", example = "a quiet river at dawn")]
    passphrase: String,
}

impl VerifyEmail {
    async fn prepare(self, state: &State, caller: &Caller) -> Result<ProvedAddress> {
        actions::prepare_proof(state, caller, JoinCode::parse(&self.code)).await
    }
}

impl ChangePassphrase {
    async fn prepare(
        self,
        (state, passwords): &PassphraseParts,
        caller: &Claimed<WithPassphrase>,
    ) -> Result<NewPassphrase> {
        actions::prepare_passphrase(state, passwords, caller, self.passphrase, self.new_passphrase).await
    }
}

impl ChangeEmail {
    async fn prepare(
        self,
        (state, passwords): &PassphraseParts,
        caller: &Claimed<WithPassphrase>,
    ) -> Result<NewAddress> {
        actions::prepare_email(state, passwords, caller, self.email, self.passphrase).await
    }
}

impl DisableAccount {
    async fn prepare(
        self,
        (state, passwords): &PassphraseParts,
        caller: &Claimed<WithPassphrase>,
    ) -> Result<Disabling> {
        actions::prepare_disabling(state, passwords, caller, self.passphrase).await
    }
}

/// A change of an account that is done.
#[derive(Serialize, ToSchema)]
struct AccountChangedView {
    /// Always `true`.
    #[schema(example = true)]
    done: bool,
}

impl AccountChangedView {
    fn reply() -> Reply {
        Reply::ok(&Self { done: true }).no_store()
    }
}

/// The caller's profile.
#[derive(Serialize, ToSchema)]
struct ProfileView {
    /// The person's name.
    #[schema(example = "Ann Walker")]
    name: String,
    /// The language of letters.
    #[schema(example = "en")]
    locale: String,
    /// The e-mail address for log-in and for letters.
    #[schema(format = "idn-email", example = "ann@example.org")]
    email: String,
    /// Whether the address was proved to be the person's. Only then a forgotten passphrase is reset by a letter.
    email_verified: bool,
    /// Whether the lock is on: then reading back asks for the passphrase within 10 minutes, and what changes who gets
    /// in, or what others see, within 5.
    lock: bool,
    /// The address that takes the place of the present one once it is proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "idn-email", example = "ann.walker@example.org")]
    pending_email: Option<String>,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
}

impl ProfileView {
    fn reply((profile, lock, version): OwnProfile) -> Reply {
        let etag = EntityTag::version(version);
        let view = Self {
            name: profile.name.into_string(),
            locale: profile.locale,
            email: profile.email.as_str().to_owned(),
            email_verified: profile.verified,
            lock,
            pending_email: profile.pending.map(|email| email.as_str().to_owned()),
            etag,
        };
        Reply::ok(&view).etag(&view.etag)
    }
}

/// The fields of a profile that its owner changes.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Profile)]
#[serde(deny_unknown_fields)]
struct ProfileBody {
    /// The person's name.
    #[schema(min_length = 1, max_length = 120, example = "Ann Walker")]
    name: String,
    /// The language of letters, BCP 47.
    #[schema(format = "language", max_length = 35, example = "en")]
    locale: String,
    /// Whether the lock is on. To switch it off asks for the passphrase within 5 minutes.
    lock: bool,
}

impl Patchable for ProfileBody {
    const FIXED: &'static [&'static str] = &[];
}

impl ProfileBody {
    fn of(profile: &Profile, lock: bool) -> Self {
        Self { name: profile.name.clone().into_string(), locale: profile.locale.clone(), lock }
    }

    /// Returns `before` with this change, and whether the lock is to be on.
    fn parse(self, before: &Profile) -> Result<(Profile, bool)> {
        let mut fields = Fields::new();
        let name = fields.take("/name", Text::line(&self.name));
        let locale = fields.take("/locale", locale::language(&self.locale));
        let (name, locale) = fields.finish(name.zip(locale))?;
        Ok((Profile { name, locale, ..before.clone() }, self.lock))
    }
}

type PatchProfile = Patch<ProfileBody>;

/// Ask for a code to set a new passphrase
///
/// Sends a code to the address, which works once and for 30 minutes, if an account has it whose owner has proved it
/// (`verify_email`, or a registration with `email_code`). An address that nobody has proved may be mistyped and a
/// stranger's, who would get all that was written: it is sent nothing. Somebody who is still logged in somewhere proves
/// it there first, without the passphrase. The answer is the same for every address. At most five letters an hour go to
/// an address.
#[utoipa::path(tag = "identity", request_body = RequestPassphraseReset, security(()),
    responses((status = 202, description = "A letter is on its way, if there is an account with that address, proved",
        body = LetterSentView), AuthErrors))]
#[post("/auth/passphrase-reset")]
async fn request_passphrase_reset(
    body: Body<RequestPassphraseReset, SIGN_IN_BYTES>,
    state: web::Data<State>,
) -> Result<Reply> {
    let mut fields = Fields::new();
    let email = fields.take("/email", Email::parse(body.into_inner().email));
    actions::request_reset(&state, fields.finish(email)?).await?;
    Ok(Reply::ok(&LetterSentView::of(ProofPurpose::Reset)).accepted().no_store())
}

/// Set a new passphrase with a code
///
/// Ends every session of the account and takes its passkeys away; the devices keep what they hold. Another address that
/// was asked for and is not proved yet is forgotten. A letter tells the owner. Nothing that was written is lost. If a
/// device was logged in, or had logged out by itself, a log-in needs the `device_token` of such a device for 24 hours,
/// or a second factor.
#[utoipa::path(tag = "identity", request_body = ConfirmPassphraseReset, security(()),
    responses((status = 200, description = "The passphrase is set", body = AccountChangedView), AuthErrors))]
#[post("/auth/passphrase-reset/confirm")]
async fn confirm_passphrase_reset(
    body: Body<ConfirmPassphraseReset, SIGN_IN_BYTES>,
    request: HttpRequest,
    parts: PassphraseParts,
) -> Result<Reply> {
    let (body, (state, passwords)) = (body.into_inner(), &parts);
    let sent = (JoinCode::parse(&body.code), body.passphrase);
    actions::confirm_reset(state, passwords, sent, Some(client_network(&request))).await?;
    Ok(AccountChangedView::reply())
}

/// Prove an address with a code
///
/// If it is an address that was asked for, it takes the place of the present one. The code of a letter counts in a
/// session of the account that it was sent for alone: somebody who got it because the address was mistyped can do
/// nothing with it. An address does not move in a session whose proofs were taken back since: this then asks for the
/// passphrase within 5 minutes, and for a code where there is a second factor (403 `step_up_required`).
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader), request_body = VerifyEmail,
    responses((status = 200, description = "The address is proved", body = AccountChangedView), WriteErrors))]
#[post("/auth/verify-email")]
async fn verify_email(
    caller: Caller,
    request: Request<(), Body<VerifyEmail, SIGN_IN_BYTES>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let vault = state.vault.clone();
    let asked =
        caller.prepare(&state, request, async |asked| asked.body.into_inner().prepare(&state, &caller).await).await;
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, wish: &_| actions::verify_email(tx, &vault, live, wish);
    let answer = caller.change(&state, asked, |command| Ok(command.body), work, |_, _, _| Ok(()));
    answer.await?.reply(|()| Ok(AccountChangedView::reply()))
}

/// Change the passphrase
///
/// Ends every other session of the account; their devices keep what they hold. Passkeys stay good: `get_factors` lists
/// them, `delete_passkey` takes one away. Another address that was asked for and is not proved yet is forgotten. A
/// letter tells the owner. A wrong passphrase is counted like a failed log-in. With a second factor this asks for a
/// code within 5 minutes.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader), request_body = ChangePassphrase,
    responses((status = 200, description = "It is changed", body = AccountChangedView), WriteErrors))]
#[post("/me/passphrase")]
async fn change_passphrase(
    caller: Claimed<WithPassphrase>,
    request: Request<(), Body<ChangePassphrase, SIGN_IN_BYTES>>,
    parts: PassphraseParts,
) -> Result<Reply> {
    let (state, vault) = (&parts.0, parts.0.vault.clone());
    let asked =
        caller.prepare(state, request, async |asked| asked.body.into_inner().prepare(&parts, &caller).await).await;
    let work = move |tx: &mut Tx<'_>, live: &Live<WithPassphrase>, wish: &_| {
        actions::change_passphrase(tx, &vault, live, wish)
    };
    let answer = caller.change(state, asked, |command| Ok(command.body), work, |_, _, _| Ok(()));
    answer.await?.reply(|()| Ok(AccountChangedView::reply()))
}

/// Ask for another address
///
/// Sends a code to the new address and a notice to the present one. The present one stays until the code is presented
/// to `verify_email`, within 24 hours. An address that another account has is answered alike. At most five letters an hour
/// go to an address, and ten codes an hour to all that an account asks for. With a second factor this asks for a code
/// within 5 minutes.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader), request_body = ChangeEmail,
    responses((status = 200, description = "A letter is on its way", body = LetterSentView), WriteErrors))]
#[post("/me/email")]
async fn change_email(
    caller: Claimed<WithPassphrase>,
    request: Request<(), Body<ChangeEmail, SIGN_IN_BYTES>>,
    parts: PassphraseParts,
) -> Result<Reply> {
    let (state, vault) = (&parts.0, parts.0.vault.clone());
    let asked =
        caller.prepare(state, request, async |asked| asked.body.into_inner().prepare(&parts, &caller).await).await;
    let work = move |tx: &mut Tx<'_>, live: &Live<WithPassphrase>, wish: &_| actions::send_code(tx, &vault, live, wish);
    let answer = caller.change(state, asked, |command| Ok(command.body), work, |_, _, _| Ok(()));
    answer.await?.reply(|()| Ok(Reply::ok(&LetterSentView::of(ProofPurpose::Verify)).no_store()))
}

/// Ask for a code that proves the address
///
/// Sends a code, for `verify_email`, to the address that was asked for last, else to the present one; 409 when it is
/// proved, or no letter reaches it. At most five letters an hour go to an address.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader),
    responses((status = 200, description = "A letter is on its way", body = LetterSentView), ActionErrors))]
#[post("/me/email/verification")]
async fn send_verification(caller: Caller, request: Request, state: web::Data<State>) -> Result<Reply> {
    let vault = state.vault.clone();
    let asked = caller.prepare(&state, request, async |_| actions::prepare_verification(&state, &caller).await).await;
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, wish: &_| actions::send_code(tx, &vault, live, wish);
    let answer = caller.change(&state, asked, |command| Ok(command.body), work, |_, _, _| Ok(()));
    answer.await?.reply(|()| Ok(Reply::ok(&LetterSentView::of(ProofPurpose::Verify)).no_store()))
}

/// Disable the caller's account
///
/// Ends every session; nobody can log in from then on. Nothing is deleted, and the devices keep what they hold. 409 for
/// the last admin of a clinic. With a second factor this asks for a code within 5 minutes.
#[utoipa::path(tag = "identity", params(IdempotencyKeyHeader), request_body = DisableAccount,
    responses((status = 200, description = "It is disabled", body = AccountChangedView), WriteErrors))]
#[post("/me/disable")]
async fn disable_account(
    caller: Claimed<WithPassphrase>,
    request: Request<(), Body<DisableAccount, SIGN_IN_BYTES>>,
    parts: PassphraseParts,
) -> Result<Reply> {
    let (state, vault) = (&parts.0, parts.0.vault.clone());
    let asked =
        caller.prepare(state, request, async |asked| asked.body.into_inner().prepare(&parts, &caller).await).await;
    let work = move |tx: &mut Tx<'_>, live: &Live<WithPassphrase>, wish: &_| actions::disable(tx, &vault, live, wish);
    let answer = caller.change(state, asked, |command| Ok(command.body), work, |_, _, _| Ok(()));
    answer.await?.reply(|()| Ok(AccountChangedView::reply()))
}

/// Read the caller's profile
///
/// Name, address, the language of letters, and the lock.
#[utoipa::path(tag = "identity",
    responses((status = 200, description = "The profile", body = ProfileView), ReadErrors))]
#[get("/me/profile")]
async fn get_profile(caller: Caller, state: web::Data<State>) -> Result<Reply> {
    let keys = state.vault.keys(caller.account().uuid()).await?.ok_or(Error::NotFound)?;
    let found = caller.read(&state, move |tx, live| actions::profile(tx, live.account(), &keys)).await?;
    Ok(ProfileView::reply(found))
}

/// Change the caller's profile
///
/// Others see a new name at once.
#[utoipa::path(tag = "identity",
    request_body(content((PatchProfile = "application/merge-patch+json"), (PatchProfile = "application/json"))),
    params(IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = ProfileView), WriteErrors))]
#[patch("/me/profile")]
async fn patch_profile(caller: Caller, request: Request<(), PatchProfile>, state: web::Data<State>) -> Result<Reply> {
    let keys = state.vault.keys(caller.account().uuid()).await?.ok_or(Error::NotFound)?;
    let (vault, unit_keys) = (state.vault.clone(), keys.clone());
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, command: &Command<(), PatchProfile>| {
        let change = |before: &Profile, lock| command.body.apply(&ProfileBody::of(before, lock))?.parse(before);
        actions::patch_profile(tx, live, (&vault, &unit_keys), &command.when, change)
    };
    let show = move |tx: &mut Tx<'_>, live: &Live<Anyone>, outcome: Outcome<OwnProfile>| {
        outcome.or_read(|| actions::profile(tx, live.account(), &keys))
    };
    caller.change(&state, request, Ok, work, show).await?.reply(|found| Ok(ProfileView::reply(found)))
}
