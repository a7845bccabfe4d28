//! The first run, registration and the acceptance of further invitations.

use std::sync::Arc;

use actix_web::{post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::links::CareLinkView;
use crate::care::code::JoinCode;
use crate::care::joining::{self, Joined, Person, Registration};
use crate::care::model::Capabilities;
use crate::care::people::SealedNames;
use crate::care::store::{self, Link};
use crate::care::{setup, words};
use crate::db::Tx;
use crate::http::document::{AuthErrors, OnceHeader, SetupErrors, WriteErrors};
use crate::http::{Body, IdempotencyKey, Reply};
use crate::idempotency::Done;
use crate::identity::routes::TokensView;
use crate::identity::{AccountKind, Anyone, Caller, Email, Live, Passphrase, Passwords, Tokens, once_of};
use crate::kernel::id::Clinic;
use crate::kernel::{Error, Fields, Id, Result, Text, Zone, locale};
use crate::state::State;

/// The first clinic and its admin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetUp {
    /// The code that the server printed when it started.
    #[schema(max_length = 64, example = "7K2M-9XQ4-T0VB-HS3D")]
    code: String,
    /// What the clinic is called.
    #[schema(min_length = 1, max_length = 120, example = "Lakeside Clinic")]
    clinic_name: String,
    /// What the admin is called.
    #[schema(min_length = 1, max_length = 120, example = "Ada Keller")]
    name: String,
    /// The admin's address.
    #[schema(format = "email", max_length = 254, example = "ada@lakeside.example")]
    email: String,
    /// 15 to 256 characters.
    #[schema(format = "password", min_length = 15, max_length = 256, example = "a quiet river at dawn")]
    passphrase: String,
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    /// The code of the invitation. Case, spaces and hyphens do not matter.
    #[schema(max_length = 64, example = "7K2M-9XQ4-T0VB-HS3D")]
    code: String,
    /// What others call this person.
    #[schema(min_length = 1, max_length = 120, example = "Ann Walker")]
    name: String,
    /// The address to log in with; the invitation's own, if it was bound to one.
    #[schema(format = "email", max_length = 254, example = "ann@example.org")]
    email: String,
    /// 15 to 256 characters.
    #[schema(format = "password", min_length = 15, max_length = 256, example = "a quiet river at dawn")]
    passphrase: String,
    /// Patients: must be true. No birth date is asked or kept.
    #[serde(default)]
    adult: bool,
    /// Patients: the IANA zone they live in; required.
    #[schema(nullable = false, max_length = 64, example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// The language they read, BCP 47.
    #[schema(nullable = false, max_length = 35, example = "en")]
    locale: Option<String>,
    /// The country whose crisis numbers they are shown, ISO 3166.
    #[schema(nullable = false, pattern = "^[A-Z]{2}$", example = "DE")]
    country: Option<String>,
}

/// A code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptInvitation {
    /// The code of the invitation. Case, spaces and hyphens do not matter.
    #[schema(max_length = 64, example = "7K2M-9XQ4-T0VB-HS3D")]
    code: String,
}

/// An account that has just been made.
#[derive(Serialize, ToSchema)]
struct NewAccountView {
    /// Its id.
    id: Uuid,
    /// `patient` or `staff`.
    #[schema(example = "patient")]
    kind: &'static str,
    /// The patient it is; `me` in addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    patient_id: Option<Uuid>,
    /// What others call this person.
    #[schema(example = "Ann Walker")]
    name: String,
}

/// A clinic.
#[derive(Serialize, ToSchema)]
struct ClinicView {
    /// Its id.
    id: Uuid,
    /// What it is called.
    #[schema(example = "Lakeside Clinic")]
    name: String,
}

/// The first clinic, its admin, and the tokens of their session.
#[derive(Serialize, ToSchema)]
struct SetUpView {
    clinic: ClinicView,
    account: NewAccountView,
    tokens: TokensView,
}

/// A new account and the tokens of its first session.
#[derive(Serialize, ToSchema)]
struct RegisteredView {
    account: NewAccountView,
    tokens: TokensView,
}

/// Work at a clinic.
#[derive(Serialize, ToSchema)]
struct MembershipView {
    /// The clinic.
    clinic_id: Uuid,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lakeside Clinic")]
    clinic_name: Option<String>,
    /// What one may do there: `care`, `record`, `duty`, `admin`.
    #[schema(example = json!(["care"]))]
    capabilities: Vec<&'static str>,
}

/// What was joined.
#[derive(Serialize, ToSchema)]
struct AcceptedView {
    /// Patients: the link to the therapist who invited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    care_link: Option<CareLinkView>,
    /// Staff: the clinic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    membership: Option<MembershipView>,
}

fn person(fields: &mut Fields, name: String, email: String, passphrase: String) -> Option<Person> {
    let name = fields.take("/name", Text::parse(name));
    let email = fields.take("/email", Email::parse(email));
    let passphrase = fields.take("/passphrase", Passphrase::new(passphrase, email.as_ref()));
    Some(Person { name: name?, email: email?, passphrase: passphrase? })
}

impl SetUp {
    fn parse(self) -> Result<(Option<JoinCode>, Text<120>, Person)> {
        let mut fields = Fields::new();
        let clinic = fields.take("/clinic_name", Text::parse(self.clinic_name));
        let person = person(&mut fields, self.name, self.email, self.passphrase);
        let (clinic, person) = fields.finish(clinic.zip(person))?;
        Ok((JoinCode::parse(&self.code), clinic, person))
    }
}

impl Register {
    fn parse(self) -> Result<Registration> {
        let mut fields = Fields::new();
        let person = person(&mut fields, self.name, self.email, self.passphrase);
        let zone = self.time_zone.and_then(|zone| fields.take("/time_zone", Zone::parse(&zone)));
        let locale = fields.take("/locale", locale::language(self.locale.unwrap_or_else(|| "en".to_owned())));
        let country = self.country.and_then(|text| fields.take("/country", locale::country(text)));
        let (person, locale) = fields.finish(person.zip(locale))?;
        let code = JoinCode::parse(&self.code);
        Ok(Registration { code, person, adult: self.adult, zone, locale, country })
    }
}

/// Set the server up
///
/// Makes the first clinic and its admin, with the code that the server printed when it started, and logs the admin in.
/// Works once.
#[utoipa::path(tag = "care", operation_id = "set_up", request_body = SetUp, security(()),
    responses((status = 201, description = "The clinic and its admin", body = SetUpView), SetupErrors))]
#[post("/setup")]
pub(super) async fn set_up(
    body: Body<SetUp>,
    state: web::Data<State>,
    passwords: web::Data<Passwords>,
    tokens: web::Data<Arc<Tokens>>,
) -> Result<Reply> {
    let (code, clinic_name, admin) = body.into_inner().parse()?;
    let (clinic, name) = (clinic_name.as_str().to_owned(), admin.name.as_str().to_owned());
    let founded = setup::set_up(&state, &passwords, Arc::clone(&tokens), code, clinic_name, admin).await?;
    let id = founded.grant.account.uuid();
    let view = SetUpView {
        clinic: ClinicView { id: founded.clinic.uuid(), name: clinic },
        account: NewAccountView { id, kind: AccountKind::Staff.name(), patient_id: None, name },
        tokens: founded.grant.into(),
    };
    Ok(Reply::ok(&view).created("/v1/me").no_store())
}

/// Register with an invitation
///
/// Makes an account and logs it in. For a patient the care link to the therapist who invited is then `accepted`; a
/// member of staff works at the clinic. An address that somebody has already is answered like a code that is not
/// valid, and the code stays unused.
#[utoipa::path(tag = "identity", operation_id = "register", request_body = Register, security(()),
    responses((status = 201, description = "The account and its tokens", body = RegisteredView), AuthErrors))]
#[post("/auth/register")]
pub(super) async fn register(
    body: Body<Register>,
    state: web::Data<State>,
    passwords: web::Data<Passwords>,
    tokens: web::Data<Arc<Tokens>>,
) -> Result<Reply> {
    let registration = body.into_inner().parse()?;
    let name = registration.person.name.as_str().to_owned();
    let registered = joining::register(&state, &passwords, Arc::clone(&tokens), registration).await?;
    let view = RegisteredView {
        account: NewAccountView {
            id: registered.grant.account.uuid(),
            kind: registered.kind.name(),
            patient_id: registered.patient.map(Id::uuid),
            name,
        },
        tokens: registered.grant.into(),
    };
    Ok(Reply::ok(&view).created("/v1/me").no_store())
}

/// What an acceptance answers, still sealed.
enum Accepted {
    Link(Link),
    Clinic(Id<Clinic>, Capabilities),
}

fn accepted(tx: &mut Tx<'_>, joined: Joined) -> Result<(Accepted, SealedNames)> {
    match joined {
        Joined::Link(id) => {
            let link = store::find_link(tx, id)?.ok_or(Error::NotFound)?;
            let names = SealedNames::collect(tx, [link.therapist], [link.clinic])?;
            Ok((Accepted::Link(link), names))
        }
        Joined::Clinic(clinic, may) => Ok((Accepted::Clinic(clinic, may), SealedNames::collect(tx, [], [clinic])?)),
    }
}

fn accepted_again(tx: &mut Tx<'_>, live: &Live<Anyone>, done: Done) -> Result<(Accepted, SealedNames)> {
    let reference = done.reference.ok_or(Error::NotFound)?;
    let joined = match live.kind() {
        AccountKind::Patient => {
            let link = store::find_link(tx, Id::from_uuid(reference))?;
            Joined::Link(link.filter(|link| link.person == live.account()).ok_or(Error::NotFound)?.id)
        }
        AccountKind::Staff => {
            let works = store::memberships(tx, live.account())?;
            let at = works.into_iter().find(|(clinic, _)| clinic.uuid() == reference);
            let (clinic, may) = at.ok_or(Error::NotFound)?;
            Joined::Clinic(clinic, may)
        }
    };
    accepted(tx, joined)
}

/// Accept another invitation
///
/// For somebody who has an account: a patient gets another therapist, staff another clinic.
#[utoipa::path(tag = "care", operation_id = "accept_invitation", params(OnceHeader), request_body = AcceptInvitation,
    responses((status = 200, description = "What was joined", body = AcceptedView), WriteErrors))]
#[post("/invitations/accept")]
pub(super) async fn accept_invitation(
    caller: Caller,
    key: IdempotencyKey,
    body: Result<Body<AcceptInvitation>, Error>,
    state: web::Data<State>,
) -> Result<Reply> {
    let once = once_of(&state, &key, body.as_ref().map_or(b"", |body| body.raw()));
    let command = body.map(|body| JoinCode::parse(&body.into_inner().code));
    let (vault, link) = (state.vault.clone(), state.entropy.id(caller.now()));
    let work = move |tx: &mut Tx<'_>, live: &Live<Anyone>, code: &Option<JoinCode>| {
        let joined = joining::accept(tx, &vault, live, *code, link)?;
        let reference = match joined {
            Joined::Link(id) => id.uuid(),
            Joined::Clinic(id, _) => id.uuid(),
        };
        Ok((Done::ok(reference), accepted(tx, joined)?))
    };
    let (_, (joined, names)) = caller.write(&state, once, command, work, accepted_again).await?;
    let names = names.open(&state.vault).await?;
    let view = match joined {
        Accepted::Link(link) => {
            let words = words::words_of(&state.vault, link.id, link.person);
            let view = CareLinkView::new(&link, names.person(link.therapist), names.clinic(link.clinic), words);
            AcceptedView { care_link: Some(view), membership: None }
        }
        Accepted::Clinic(clinic, may) => {
            let (clinic_id, clinic_name, capabilities) = (clinic.uuid(), names.clinic(clinic), may.names());
            AcceptedView { care_link: None, membership: Some(MembershipView { clinic_id, clinic_name, capabilities }) }
        }
    };
    Ok(Reply::ok(&view))
}
