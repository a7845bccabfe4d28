//! Who is in the story, and how they came to the clinic.

use std::sync::Arc;

use jiff::SignedDuration;

use super::stage::{Actor, Stage, person, unfit};
use super::story::{self, PatientStory};
use crate::care::inviting::{self, Wish};
use crate::care::joining::{self, Registration};
use crate::care::model::{Capabilities, InvitationDoc, Invitee};
use crate::care::{JoinCode, links, setup};
use crate::db::Tx;
use crate::identity::{Anyone, Claimed, Live, Staff};
use crate::kernel::id::{Account, CareLink, Patient};
use crate::kernel::{Error, Id, Result, Text, Zone};
use crate::replay::{Done, Once};

/// The clinic.
pub(super) const CLINIC: &str = "Lakeside Clinic";
/// The admin.
pub(super) const ADMIN: (&str, &str) = ("Ada Keller", "ada@lakeside.example");
/// The therapist.
pub(super) const THERAPIST: (&str, &str) = ("Tess Moreau", "tess@lakeside.example");
/// The nurse.
pub(super) const NURSE: (&str, &str) = ("Noor Haddad", "noor@lakeside.example");

/// A patient of the story.
#[derive(Debug)]
pub(super) struct PatientActor {
    /// What happens to them.
    pub(super) story: PatientStory,
    /// Them.
    pub(super) actor: Actor,
    /// The patient they are.
    pub(super) patient: Id<Patient>,
    /// Their link to the therapist.
    pub(super) link: Id<CareLink>,
}

/// Everybody.
#[derive(Debug)]
pub(super) struct Cast {
    admin: Actor,
    /// The therapist.
    pub(super) therapist: Actor,
    /// The therapist's account.
    pub(super) therapist_id: Id<Account>,
    /// The nurse.
    pub(super) nurse: Actor,
    /// The patients.
    pub(super) patients: Vec<PatientActor>,
}

impl Cast {
    /// Everybody logs out.
    pub(super) async fn leave(&mut self, stage: &Stage) -> Result<()> {
        let staff = [&mut self.admin, &mut self.therapist, &mut self.nurse];
        for actor in staff.into_iter().chain(self.patients.iter_mut().map(|patient| &mut patient.actor)) {
            stage.log_out(actor).await?;
        }
        Ok(())
    }
}

/// Sets the clinic up: its admin, its staff, its patients with their care links.
///
/// # Errors
///
/// [`Error::Internal`] when there is a clinic already.
pub(super) async fn gather(stage: &mut Stage) -> Result<Cast> {
    let stories = story::patients()?;
    let Some(code) = setup::first_run_code(stage.state()).await? else {
        return Err(Error::internal("there is a clinic in this database already: the demo fills a new one only"));
    };
    let (server, tokens) = (stage.server(), Arc::clone(&stage.server().tokens));
    let name = Text::parse(CLINIC).map_err(unfit)?;
    let admin = person(ADMIN.0, ADMIN.1)?;
    let founded = setup::set_up(stage.state(), &server.passwords, tokens, JoinCode::parse(&code), name, admin).await?;
    let mut admin = stage.actor(founded.grant, None);
    let (mut therapist, therapist_id) = hire(stage, &mut admin, THERAPIST, "care").await?;
    let (nurse, _) = hire(stage, &mut admin, NURSE, "record").await?;
    let mut patients = Vec::new();
    for story in stories {
        pass(stage, 3 * 60).await?;
        patients.push(welcome(stage, &mut therapist, story).await?);
    }
    Ok(Cast { admin, therapist, therapist_id, nurse, patients })
}

async fn pass(stage: &Stage, minutes: i64) -> Result<()> {
    let to = stage.now().saturating_add(SignedDuration::from_mins(minutes)).map_err(unfit)?;
    stage.advance(to).await
}

/// Invites somebody; the code.
async fn invite(stage: &Stage, inviter: &mut Actor, whom: Invitee, name: &str, email: &str) -> Result<JoinCode> {
    let caller: Claimed<Staff> = stage.claimed(inviter).await?;
    let person = person(name, email)?;
    let doc = InvitationDoc { name: Some(person.name), email: Some(person.email) };
    let new = inviting::prepare(stage.state(), &caller, Wish { invitee: whom, doc, clinic: None }).await?;
    let id = new.id;
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, (): &()| {
        inviting::invite(tx, live, &new)?;
        Ok((Done::created(id.uuid()), ()))
    };
    caller.write(stage.state(), Once::none(), Ok(()), work, |_, _, _| Ok(())).await?;
    Ok(inviting::code_of(&stage.state().vault, id))
}

async fn hire(
    stage: &Stage,
    admin: &mut Actor,
    (name, email): (&str, &str),
    capability: &str,
) -> Result<(Actor, Id<Account>)> {
    let may = Capabilities::parse([capability]).ok_or_else(|| unfit("no such capability"))?;
    let code = invite(stage, admin, Invitee::Staff(may), name, email).await?;
    pass(stage, 40).await?;
    let registration = Registration {
        code: Some(code),
        person: person(name, email)?,
        adult: false,
        zone: None,
        locale: "en".to_owned(),
        country: None,
    };
    let (actor, account) = register(stage, registration).await?;
    Ok((actor, account))
}

async fn register(stage: &Stage, registration: Registration) -> Result<(Actor, Id<Account>)> {
    let (server, tokens) = (stage.server(), Arc::clone(&stage.server().tokens));
    let registered = joining::register(stage.state(), &server.passwords, tokens, registration).await?;
    let account = registered.grant.account;
    Ok((stage.actor(registered.grant, registered.patient), account))
}

/// A patient registers with the therapist's code, and the therapist confirms the link.
async fn welcome(stage: &Stage, therapist: &mut Actor, story: PatientStory) -> Result<PatientActor> {
    let code = invite(stage, therapist, Invitee::Patient, &story.name, &story.email).await?;
    pass(stage, 25).await?;
    let registration = Registration {
        code: Some(code),
        person: person(&story.name, &story.email)?,
        adult: true,
        zone: Some(Zone::parse(&story.time_zone).map_err(unfit)?),
        locale: "en".to_owned(),
        country: Some(story.country.clone()),
    };
    let (mut actor, _) = register(stage, registration).await?;
    let patient = actor.patient.ok_or_else(|| unfit("a patient is not one"))?;
    let caller: Claimed<Anyone> = stage.claimed(&mut actor).await?;
    let listed = stage.state().db.read(move |tx| {
        let live = caller.live(tx)?;
        links::list(tx, &live, None, 1)
    });
    let listed = listed.await?;
    let link = listed.links.first().ok_or_else(|| unfit("a registration made no link"))?.id;
    pass(stage, 15).await?;
    let keys = links::keys_of(&stage.state().vault, [patient]).await?;
    let vault = stage.state().vault.clone();
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, (): &()| {
        let link = links::confirm(tx, live, link, keys.get(&patient).cloned())?;
        let keys = keys.get(&patient).ok_or(Error::NotFound)?;
        links::note_shown(tx, &vault, keys, live, "confirm_care_link", "therapist", &link)?;
        Ok((Done::ok(link.id.uuid()), ()))
    };
    let caller: Claimed<Staff> = stage.claimed(therapist).await?;
    caller.write(stage.state(), Once::none(), Ok(()), work, |_, _, _| Ok(())).await?;
    Ok(PatientActor { story, actor, patient, link })
}
