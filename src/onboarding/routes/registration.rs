//! The first run, registration and the acceptance of further invitations.

use std::sync::Arc;

use actix_web::{post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::model::Capabilities;
use crate::care::people::Names;
use crate::care::routes::links::CareLinkView;
use crate::db::Tx;
use crate::http::document::{AuthErrors, IdempotencyKeyHeader, SetupErrors, WriteErrors};
use crate::http::{Body, Command, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::model::SIGN_IN_BYTES;
use crate::identity::routes::{AccountView, SessionParts, SignedInView, TokensView};
use crate::identity::{Anyone, Claimed, Email, Guarded, Live, Passphrase};
use crate::kernel::locale::{country, language};
use crate::kernel::{Fields, JoinCode, Result, Text, Zone};
use crate::letters::ProofPurpose;
use crate::letters::routes::LetterSentView;
use crate::onboarding::model::{Person, Registration, TypedCode};
use crate::onboarding::registration::{self, JoinResult};
use crate::onboarding::{opening, setup};
use crate::state::State;
use crate::vault::Vault;

/// The first clinic and its admin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetUp {
    /// The code that the server printed when it started.
    #[schema(example = "7K2M-9XQ4-T0VB-HS3D")]
    code: String,
    /// The clinic's name.
    #[schema(min_length = 1, max_length = 120, example = "Lakeside Clinic")]
    clinic_name: String,
    /// The admin's name.
    #[schema(min_length = 1, max_length = 120, example = "Ada Keller")]
    name: String,
    /// The admin's address.
    #[schema(format = "idn-email", max_length = 254, example = "ada@lakeside.example")]
    email: String,
    /// 15 to 256 characters.
    #[schema(format = "password", min_length = 15, max_length = 256, example = "a quiet river at dawn")]
    passphrase: String,
    /// The admin's capabilities at the clinic: `admin`, and for a practice of one person `care`, `record`, `duty`.
    /// `admin` alone if absent or empty. Later an admin cannot give themself a capability.
    #[schema(nullable = false, example = json!(["admin"]))]
    capabilities: Option<Vec<String>>,
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    /// The code of the invitation; required where registration is not open. Case, spaces and hyphens do not matter.
    #[schema(nullable = false, example = "7K2M-9XQ4-T0VB-HS3D")]
    code: Option<String>,
    /// The code of the letter that the same registration without this field has sent, where registration is open. Case,
    /// spaces and hyphens do not matter.
    #[schema(nullable = false, example = "N4RC-81WT-ZK6E-0PJ9")]
    email_code: Option<String>,
    /// The person's name.
    #[schema(min_length = 1, max_length = 120, example = "Ann Walker")]
    name: String,
    /// The address to log in with; the invitation's own, if it was bound to one.
    #[schema(format = "idn-email", max_length = 254, example = "ann@example.org")]
    email: String,
    /// 15 to 256 characters.
    #[schema(format = "password", min_length = 15, max_length = 256, example = "a quiet river at dawn")]
    passphrase: String,
    /// Whether a patient is of age; must be true for patients. No birth date is asked or kept.
    #[serde(default)]
    adult: bool,
    /// The IANA zone of a patient; required for patients.
    #[schema(nullable = false, max_length = 64, example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// The person's language, BCP 47.
    #[schema(nullable = false, max_length = 35, example = "en")]
    locale: Option<String>,
    /// The country whose crisis numbers are shown, ISO 3166.
    #[schema(nullable = false, pattern = "^[A-Za-z]{2}$", example = "DE")]
    country: Option<String>,
}

/// The code of a further invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptInvitation {
    /// The code of the invitation. Case, spaces and hyphens do not matter.
    #[schema(format = "code", example = "7K2M-9XQ4-T0VB-HS3D")]
    code: String,
}

/// A clinic.
#[derive(Serialize, ToSchema)]
struct ClinicView {
    /// Its id.
    id: Uuid,
    /// The name.
    #[schema(example = "Lakeside Clinic")]
    name: String,
}

/// The first clinic, its admin, and the tokens of their session.
#[derive(Serialize, ToSchema)]
struct SetUpView {
    clinic: ClinicView,
    account: AccountView,
    tokens: TokensView,
}

/// The membership of a clinic.
#[derive(Serialize, ToSchema)]
struct MembershipView {
    /// The clinic.
    clinic_id: Uuid,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lakeside Clinic")]
    clinic_name: Option<String>,
    /// The capabilities: `care`, `record`, `duty`, `admin`.
    #[schema(example = json!(["care"]))]
    capabilities: Vec<&'static str>,
}

/// The clinic or link that was joined.
#[derive(Serialize, ToSchema)]
struct AcceptedView {
    /// The link to the inviting therapist, for patients.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    care_link: Option<CareLinkView>,
    /// The membership of the clinic, for staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    membership: Option<MembershipView>,
}

fn person(fields: &mut Fields, name: &str, email: String, passphrase: String) -> Option<Person> {
    let name = fields.take("/name", Text::line(name));
    let email = fields.take("/email", Email::parse(email));
    let passphrase = fields.take("/passphrase", Passphrase::new(passphrase, email.as_ref()));
    Some(Person { name: name?, email: email?, passphrase: passphrase? })
}

impl SetUp {
    fn parse(self) -> Result<(Option<JoinCode>, Text<120>, Person, Capabilities)> {
        let mut fields = Fields::new();
        let clinic = fields.take("/clinic_name", Text::line(&self.clinic_name));
        let person = person(&mut fields, &self.name, self.email, self.passphrase);
        // An empty list is absent, as in an invitation.
        let names = self.capabilities.filter(|names| !names.is_empty()).unwrap_or_else(|| vec!["admin".to_owned()]);
        let may = Capabilities::parse(names.iter().map(String::as_str)).filter(|may| may.admin());
        let may =
            fields.take("/capabilities", may.ok_or("must be of care, record, duty, admin, with admin among them"));
        let ((clinic, person), may) = fields.finish(clinic.zip(person).zip(may))?;
        Ok((JoinCode::parse(&self.code), clinic, person, may))
    }
}

impl Register {
    fn parse(self) -> Result<Registration> {
        let mut fields = Fields::new();
        let person = person(&mut fields, &self.name, self.email, self.passphrase);
        let zone = self.time_zone.and_then(|zone| fields.take("/time_zone", Zone::parse(&zone)));
        let locale = fields.take("/locale", language(self.locale.as_deref().unwrap_or("en")));
        let country = self.country.and_then(|text| fields.take("/country", country(&text)));
        let (person, locale) = fields.finish(person.zip(locale))?;
        let code = self.code.map(|code| TypedCode::parse(&code));
        let email_code = self.email_code.map(|code| TypedCode::parse(&code));
        Ok(Registration { code, email_code, person, adult: self.adult, zone, locale, country })
    }
}

impl AcceptedView {
    fn new(joined: JoinResult, names: &Names, vault: &Vault) -> Self {
        match joined {
            JoinResult::Link(link) => {
                Self { care_link: Some(CareLinkView::new(&link, names, vault, true)), membership: None }
            }
            JoinResult::Clinic(clinic, may) => {
                let (clinic_id, clinic_name, capabilities) = (clinic.uuid(), names.clinic(clinic), may.names());
                Self { care_link: None, membership: Some(MembershipView { clinic_id, clinic_name, capabilities }) }
            }
        }
    }
}

/// Set the server up
///
/// Makes the first clinic and its admin, with the code that the server printed when it started, and logs the admin in.
/// Works once. For 24 hours after that, the same code, address and passphrase log the admin in: the first answer may be
/// lost.
#[utoipa::path(tag = "care", request_body = SetUp, security(()),
    responses((status = 201, description = "The clinic and its admin", body = SetUpView),
        (status = 200, description = "They were made before", body = SetUpView), SetupErrors))]
#[post("/setup")]
pub(super) async fn set_up(body: Body<SetUp, SIGN_IN_BYTES>, parts: SessionParts) -> Result<Reply> {
    let (code, clinic_name, admin, may) = body.into_inner().parse()?;
    let (state, passwords, tokens) = &parts;
    let founded = setup::set_up(state, passwords, Arc::clone(tokens), code, clinic_name, (admin, may)).await?;
    let clinic = ClinicView { id: founded.clinic.uuid(), name: founded.name.into_string() };
    let SignedInView { account, tokens } = founded.admin.into();
    let view = SetUpView { clinic, account, tokens };
    Ok(Reply::ok(&view).created_if(founded.created, "/v1/me").no_store())
}

/// Register
///
/// Makes an account with the code of an invitation and logs it in. A patient's care link to the inviting therapist is
/// then `accepted`; a member of staff is a member of the clinic. An address that is taken is answered like an invalid
/// code, and the code stays unused. For 24 hours, the used code with the same address and passphrase logs the account
/// in: the first answer may be lost. A server that sends letters sends one with a code that proves the address
/// (`verify_email`): only a proved address is sent a code for a forgotten passphrase.
///
/// Where registration is open (`open_registration` of `get_meta`), patients need no invitation, and every address is
/// proved first: without `email_code`, this sends a letter with a code to the address, also if there is an invitation.
/// The same form with that code as `email_code` then makes the account, with a proved address. Each code is good once.
/// The answer is the same for an address that has an account, which gets a letter that says so and how to accept the
/// invitation there. At most five letters an hour go to an address.
///
/// Where it is not open, somebody who holds an unused invitation can find out whether an address has an account: 422
/// if it has, and an account made, with the invitation used, if not. Refusals are limited for each network.
#[utoipa::path(tag = "identity", request_body = Register, security(()),
    responses((status = 201, description = "The account and its tokens", body = SignedInView),
        (status = 200, description = "It was made before; new tokens", body = SignedInView),
        (status = 202, description = "A letter with a code is on its way", body = LetterSentView), AuthErrors))]
#[post("/auth/register")]
pub(super) async fn register(body: Body<Register, SIGN_IN_BYTES>, parts: SessionParts) -> Result<Reply> {
    let (registration, (state, passwords, tokens)) = (body.into_inner().parse()?, &parts);
    let Some(registered) = opening::register(state, passwords, Arc::clone(tokens), registration).await? else {
        return Ok(Reply::ok(&LetterSentView::of(ProofPurpose::Register)).accepted().no_store());
    };
    let (created, view) = (registered.created, SignedInView::from(registered.account));
    Ok(Reply::ok(&view).created_if(created, "/v1/me").no_store())
}

/// Accept another invitation
///
/// For somebody who has an account: a patient gets another therapist, staff another clinic. For 24 hours, the same code
/// from the same account changes nothing: the first answer may be lost. With a second factor, or with the lock on, this
/// asks for a proof within 5 minutes (403 `step_up_required`).
#[utoipa::path(tag = "care", params(IdempotencyKeyHeader), request_body = AcceptInvitation,
    responses((status = 200, description = "What was joined", body = AcceptedView), WriteErrors))]
#[post("/invitations/accept")]
pub(super) async fn accept_invitation(
    caller: Claimed<Guarded<Anyone>>,
    request: Request<(), Body<AcceptInvitation, SIGN_IN_BYTES>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (parts, link) = (State::clone(&state), state.entropy.id(caller.now()));
    let code = |command: Command<(), Body<AcceptInvitation, _>>| Ok(JoinCode::parse(&command.body.into_inner().code));
    let accept = move |tx: &mut Tx<'_>, live: &Live<Guarded<Anyone>>, code: &_| {
        registration::accept(tx, &parts, live, *code, link).map(|joined| Outcome::ok(joined.id(), joined))
    };
    let (origin, (joined, names)) =
        caller.change(&state, request, code, accept, registration::show).await?.into_parts();
    let names = names.open(&state.vault).await?;
    Ok(origin.reply(Reply::ok(&AcceptedView::new(joined, &names, &state.vault))))
}
