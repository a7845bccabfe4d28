//! The people of the benchmark: a clinic, a therapist, patients. Made through the library, before the server starts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use actix_web::FromRequest as _;
use actix_web::dev::Payload;
use actix_web::test::TestRequest;
use actix_web::web::Data;
use afterglow::app::Server;
use afterglow::care::model::Capabilities;
use afterglow::config::Config;
use afterglow::db::Backend;
use afterglow::identity::actions::SessionTokens;
use afterglow::identity::upkeep::{self, AccountChange};
use afterglow::identity::{Claimed, Email, Passphrase, Passwords, Profile, Staff};
use afterglow::kernel::{Clock, Entropy, Text, Zone};
use afterglow::onboarding::invitations::{self, InvitationRequest};
use afterglow::onboarding::model::{InvitationDoc, Invitee, Person, Registration};
use afterglow::onboarding::registration;
use afterglow::onboarding::{JoinCode, setup};
use futures_util::StreamExt as _;
use uuid::Uuid;

use super::Scale;

/// Somebody with a token.
#[derive(Clone, Debug)]
pub struct Someone {
    /// Good for ten minutes.
    pub token: String,
    /// Their account.
    pub account: Uuid,
    /// The patient they are; nil for staff.
    pub patient: Uuid,
}

/// Everybody.
#[derive(Debug)]
pub struct People {
    /// Who is linked to nobody yet, and invited everybody.
    pub therapist: Someone,
    /// Other therapists of the clinic, who invited nobody.
    pub colleagues: Vec<Someone>,
    /// The patients, in the order of [`Scale`].
    pub patients: Vec<Someone>,
    /// The therapist's own invitation.
    pub invitation: Uuid,
}

/// How many other therapists there are.
const COLLEAGUES: usize = 4;
/// How many of the patients, the first ones, have a passphrase of the usual cost.
pub const LOGGED_IN: usize = 100;
/// The passphrase of everybody.
pub const PASSPHRASE: &str = "a quiet river at dawn";

/// Makes a therapist and patients in a new data folder.
pub async fn make(folder: &Path, database: Option<&str>, address: SocketAddr, scale: Scale) -> People {
    let mut config = Config::in_folder(folder.join("data"));
    if let Some(url) = database {
        config.database = Backend::parse(url).unwrap();
    }
    // Tokens name their issuer.
    config.public_url = format!("http://{address}");
    // Nobody but the first logs in, so the others do not pay for a passphrase.
    config.passphrase_cost = (8, 1, 1);
    let server = Server::open(config, Clock::System, Entropy::System).await.unwrap();
    let code = setup::first_run_code(&server.state).await.unwrap().unwrap();
    let name = Text::parse("Lakeside").unwrap();
    let (passwords, tokens) = (&server.passwords, || Arc::clone(&server.tokens));
    let may = Capabilities::ADMIN_ONLY;
    let founded =
        setup::set_up(&server.state, passwords, tokens(), JoinCode::parse(&code), name, (person(usize::MAX), may))
            .await;
    let admin = founded.unwrap().admin.grant;
    let care = || Invitee::Staff(Capabilities::parse(["care"]).unwrap());
    let therapist = register(&server, &admin, care(), usize::MAX - 1).await;
    let mut colleagues = Vec::new();
    for n in 0..COLLEAGUES {
        colleagues.push(register(&server, &admin, care(), usize::MAX - 2 - n).await.0);
    }
    let (therapist_grant, invitation) = (therapist.1, therapist.2);
    let patients = futures_util::stream::iter(0..scale.writers + scale.shelves)
        .map(|n| register(&server, &therapist_grant, Invitee::Patient, n))
        .buffered(64)
        .map(|(someone, ..)| someone)
        .collect::<Vec<_>>()
        .await;
    let people = People { therapist: therapist.0, colleagues, patients, invitation };
    server.close();
    people
}

async fn register(
    server: &Server,
    inviter: &SessionTokens,
    invitee: Invitee,
    n: usize,
) -> (Someone, SessionTokens, Uuid) {
    let state = &server.state;
    let request = TestRequest::default()
        .app_data(Data::new(state.clone()))
        .app_data(Data::new(Arc::clone(&server.tokens)))
        .insert_header(("authorization", format!("Bearer {}", inviter.access)))
        .to_http_request();
    let caller = Claimed::<Staff>::from_request(&request, &mut Payload::None).await.unwrap();
    let wish = InvitationRequest { invitee, doc: InvitationDoc::default(), clinic: None };
    let new = invitations::prepare(state, &caller, wish).await.unwrap();
    let code = invitations::code_of(&state.vault, new.id);
    let invitation = new.id.uuid();
    let unit = state.db.write(move |tx| {
        let live = caller.live(tx)?;
        invitations::invite(tx, &live, &new).map(drop)
    });
    unit.await.unwrap();
    let registration = Registration {
        code: Some(code.into()),
        email_code: None,
        person: person(n),
        adult: true,
        zone: Some(day_zone()),
        locale: "en".to_owned(),
        country: None,
    };
    let passwords = if n < LOGGED_IN { Passwords::new() } else { server.passwords.clone() };
    let joined = registration::register(state, &passwords, Arc::clone(&server.tokens), registration).await.unwrap();
    let (patient, grant) = (joined.account.patient, joined.account.grant);
    // Only a proved address is sent a code for a new passphrase.
    let own = upkeep::find(state, grant.account).await.unwrap().unwrap();
    let unchanged = own.unchanged();
    let profile = Profile { verified: true, ..unchanged.profile.clone() };
    let proved = AccountChange { profile, ..unchanged };
    let now = state.clock.now();
    state.db.write(move |tx| own.store(tx, &proved, now)).await.unwrap();
    let patient = patient.map_or(Uuid::nil(), |id| id.uuid());
    (Someone { token: grant.access.clone(), account: grant.account.uuid(), patient }, grant, invitation)
}

/// A zone in which it is day for some hours more.
pub fn day_zone() -> Zone {
    let zones =
        ["Europe/Berlin", "America/New_York", "Pacific/Auckland", "Asia/Tokyo"].map(|name| Zone::parse(name).unwrap());
    let now = jiff::Timestamp::now();
    zones.into_iter().find(|zone| (9..17).contains(&zone.local(now).hour())).unwrap_or_else(Zone::utc)
}

fn person(n: usize) -> Person {
    let email = Email::parse(format!("p{n}@example.org")).unwrap();
    Person {
        name: Text::parse(format!("Person {n}")).unwrap(),
        passphrase: Passphrase::new(PASSPHRASE.to_owned(), Some(&email)).unwrap(),
        email,
    }
}
