//! New passphrases for staff.

use actix_web::{HttpRequest, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::members;
use crate::care::store::ResetRow;
use crate::db::Tx;
use crate::http::document::{ActionErrors, AuthErrors, IdempotencyKeyHeader};
use crate::http::{Body, Command, Reply, Request, client_network};
use crate::idempotency::Outcome;
use crate::identity::model::SIGN_IN_BYTES;
use crate::identity::routes::SessionParts;
use crate::identity::{Claimed, Email, Guarded, Live, Passphrase, Staff};
use crate::kernel::id::{Account, Clinic, StaffReset};
use crate::kernel::{Fields, Id, Result};
use crate::onboarding::JoinCode;
use crate::onboarding::resets::{self, NewPassphrase};
use crate::state::State;
use crate::vault::Vault;

/// The clinic and the account of a member.
type OfMember = (Id<Clinic>, Id<Account>);

/// An admin who has shown a fresh proof.
type Proved = Live<Guarded<Staff>>;

/// A code for a new passphrase.
#[derive(Serialize, ToSchema)]
struct StaffResetView {
    /// The account.
    account_id: Uuid,
    /// The code to hand over in person.
    #[schema(example = "7K2M-9XQ4-T0VB-HS3D")]
    code: String,
    /// The instant at which the code expires: after 24 hours.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl StaffResetView {
    fn new(vault: &Vault, row: &ResetRow) -> Self {
        let code = resets::code_of(vault, row.id).to_string();
        Self { account_id: row.account_id.uuid(), code, expires_at: row.expires_at.0 }
    }
}

/// A new passphrase, with the code for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResetCredential {
    /// The code that an admin handed over.
    #[schema(example = "7K2M-9XQ4-T0VB-HS3D")]
    code: String,
    /// The address of the account.
    #[schema(format = "idn-email", max_length = 254, example = "thea@lakeside.example")]
    email: String,
    /// The new passphrase, 15 to 256 characters.
    #[schema(format = "password", min_length = 15, max_length = 256, example = "a quiet river at dawn")]
    passphrase: String,
}

impl ResetCredential {
    fn parse(self) -> Result<NewPassphrase> {
        let mut fields = Fields::new();
        let email = fields.take("/email", Email::parse(self.email));
        let passphrase = fields.take("/passphrase", Passphrase::new(self.passphrase, email.as_ref()));
        let (email, passphrase) = fields.finish(email.zip(passphrase))?;
        Ok(NewPassphrase { code: JoinCode::parse(&self.code), email, passphrase })
    }
}

/// An account that has a new passphrase.
#[derive(Serialize, ToSchema)]
struct ResetCredentialView {
    /// The account.
    account_id: Uuid,
}

/// Make a code for a new passphrase
///
/// For the clinic's admins: the member's sessions end at once, and the code lets them choose a new passphrase within 24
/// hours. Hand it over in person. When it is used, the member's care links end: no act of an admin gives anybody
/// content, and a new link needs the patient. Not for an account that also works at a clinic that you do not administer,
/// and not for your own. An admin with a second factor proves themself again within 5 minutes (403 `step_up_required`).
/// The code is void once the account is disabled, or one of the clinic's admins is an admin no longer.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("account_id" = Uuid, Path, description = "The member's account"), IdempotencyKeyHeader),
    responses((status = 200, description = "The code", body = StaffResetView), ActionErrors))]
#[post("/clinics/{clinic_id}/members/{account_id}/credential-reset")]
pub(super) async fn create_staff_reset(
    caller: Claimed<Guarded<Staff>>,
    request: Request<OfMember>,
    state: web::Data<State>,
) -> Result<Reply> {
    let of = request.id().copied();
    let keys = members::keys_of_member(&state, caller.account(), of).await?;
    let (vault, new): (_, Id<StaffReset>) = (state.vault.clone(), state.entropy.id(caller.now()));
    let work = move |tx: &mut Tx<'_>, live: &Proved, Command { id, .. }: &Command<OfMember>| {
        resets::create(tx, (&vault, keys.as_ref()), &live.plain(), *id, new).map(|row| Outcome::ok(new, row))
    };
    let clinic = of.map(|(clinic, _)| clinic);
    let show = move |tx: &mut Tx<'_>, live: &Proved, outcome| resets::show(tx, &live.plain(), clinic, outcome);
    let answer = caller.change(&state, request, Ok, work, show);
    answer.await?.reply(|row| Ok(Reply::ok(&StaffResetView::new(&state.vault, &row)).no_store()))
}

/// Choose a new passphrase with a code
///
/// For staff, with the code that an admin of their clinic handed over. Every session of the account ends, and every care
/// link: patients accept new ones. A second factor and passkeys are taken away. Log in with the new passphrase then. The code works
/// once.
#[utoipa::path(tag = "identity", request_body = ResetCredential, security(()),
    responses((status = 200, description = "The passphrase is changed", body = ResetCredentialView), AuthErrors))]
#[post("/auth/staff-reset")]
pub(super) async fn reset_credential(
    body: Body<ResetCredential, SIGN_IN_BYTES>,
    request: HttpRequest,
    parts: SessionParts,
) -> Result<Reply> {
    let wish = body.into_inner().parse()?;
    let (state, passwords, _) = &parts;
    let account = resets::redeem(state, passwords, wish, Some(client_network(&request))).await?;
    Ok(Reply::ok(&ResetCredentialView { account_id: account.uuid() }).no_store())
}
