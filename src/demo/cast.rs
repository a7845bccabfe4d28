//! The people of the story, and their ways to the clinic.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::stage::{DemoActor, DemoServer, person, unfit};
use super::story::{self, PatientStory, Worker};
use crate::care::links;
use crate::care::model::Capabilities;
use crate::idempotency::Outcome;
use crate::identity::actions::SignedIn;
use crate::identity::upkeep::{self, AccountChange};
use crate::identity::{Anyone, Claimed, Live, Profile, Staff};
use crate::kernel::id::{Account, Assignment, CareLink, Entry, Grant, Infusion, Patient, Response};
use crate::kernel::page::{Limit, PageRequest};
use crate::kernel::{Error, Id, Result, Text, Zone};
use crate::onboarding::invitations::{self, InvitationRequest};
use crate::onboarding::model::{InvitationDoc, Invitee, Registration};
use crate::onboarding::registration::{self, JoinResult};
use crate::onboarding::{JoinCode, setup};
use crate::state::State;

/// A member of the clinic's staff.
#[derive(Debug)]
pub(super) struct Colleague {
    /// Their part in the story.
    pub(super) who: Worker,
    /// Their session.
    pub(super) actor: DemoActor,
    /// Their account.
    pub(super) account: Id<Account>,
}

/// The clinic and its staff.
#[derive(Debug)]
pub(super) struct Workplace {
    /// The clinic's name.
    pub(super) name: String,
    /// The admin.
    pub(super) admin: Colleague,
    /// The nurse.
    pub(super) nurse: Colleague,
    /// The therapists.
    pub(super) therapists: Vec<Colleague>,
}

impl Workplace {
    /// Returns the therapist whom the story calls `key`.
    pub(super) fn therapist(&mut self, key: &str) -> Result<&mut Colleague> {
        let mut all = self.therapists.iter_mut();
        all.find(|one| one.who.key == key).ok_or_else(|| unfit(format!("no therapist is called {key}")))
    }
}

/// A patient of the story.
#[derive(Debug)]
pub(super) struct DemoPatient {
    /// Their part in the story.
    pub(super) story: PatientStory,
    /// Their time zone.
    pub(super) zone: Zone,
    country: String,
    /// A word on their treatment in these weeks, in the place of the story's.
    stage: Option<String>,
    actor: Option<DemoActor>,
    /// Their links to therapists, the first one first.
    pub(super) links: Vec<(String, Id<CareLink>)>,
    /// Their infusions, by their names in the story.
    pub(super) infusions: BTreeMap<String, Id<Infusion>>,
    /// Their entries.
    pub(super) entries: BTreeMap<String, Id<Entry>>,
    /// Their responses.
    pub(super) responses: BTreeMap<String, Id<Response>>,
    /// Their assignments.
    pub(super) assignments: BTreeMap<String, Id<Assignment>>,
    /// Their grants.
    pub(super) grants: BTreeMap<String, Id<Grant>>,
}

impl DemoPatient {
    /// Returns a word on their treatment.
    pub(super) fn stage(&self) -> String {
        self.stage.as_ref().unwrap_or(&self.story.stage).clone()
    }

    /// Returns their session, once they have an account.
    pub(super) fn actor(&mut self) -> Result<&mut DemoActor> {
        self.actor.as_mut().ok_or_else(|| unfit(format!("{} has not joined", self.story.name)))
    }

    /// Returns the id of the patient.
    pub(super) fn patient(&self) -> Result<Id<Patient>> {
        let patient = self.actor.as_ref().and_then(|actor| actor.patient);
        patient.ok_or_else(|| unfit(format!("{} has not joined", self.story.name)))
    }

    /// Returns the name and the link of one of their therapists: of the first, if none is named.
    pub(super) fn link(&self, therapist: Option<&str>) -> Result<(String, Id<CareLink>)> {
        let found = self.links.iter().find(|(key, _)| therapist.is_none_or(|wanted| wanted == key));
        found.cloned().ok_or_else(|| unfit(format!("{} has no such therapist", self.story.name)))
    }
}

/// Sets the clinic up with its staff.
///
/// # Errors
///
/// [`Error::Internal`] when there is a clinic already.
pub(super) async fn set_up_clinic(stage: &DemoServer) -> Result<Workplace> {
    let clinic = story::clinic()?;
    let Some(code) = setup::first_run_code(stage.state()).await? else {
        return Err(Error::internal(
            "there is a clinic in this database already, and the demo fills a new one only: give it another folder (--data-dir \
             afterglow-demo), or with PostgreSQL another database",
        ));
    };
    let (server, tokens) = (stage.server(), Arc::clone(&stage.server().tokens));
    let name = Text::line(&clinic.name).map_err(unfit)?;
    let first = person(&clinic.admin.name, &clinic.admin.email)?;
    let (code, may) = (JoinCode::parse(&code), Capabilities::ADMIN_ONLY);
    let founded = setup::set_up(stage.state(), &server.passwords, tokens, code, name, (first, may)).await?;
    let grant = founded.admin.grant;
    let account = grant.account;
    let mut admin = Colleague { who: clinic.admin, actor: stage.actor(grant, None), account };
    let nurse = add_staff(stage, &mut admin.actor, clinic.nurse, "record").await?;
    let mut therapists = Vec::new();
    for who in clinic.therapists {
        therapists.push(add_staff(stage, &mut admin.actor, who, "care").await?);
    }
    // The admin does nothing more, and a session that is idle for two months ends.
    stage.log_out(&mut admin.actor).await?;
    Ok(Workplace { name: clinic.name, admin, nurse, therapists })
}

/// Makes the patients, before they have joined.
pub(super) fn patients(stories: Vec<PatientStory>, now: Timestamp) -> Result<Vec<DemoPatient>> {
    let character = |story: PatientStory| {
        let home = story.home(now)?;
        Ok(DemoPatient {
            stage: home.changes.then(|| format!("{}, across a change of the clocks", story.stage)),
            story,
            zone: home.zone,
            country: home.country,
            actor: None,
            links: Vec::new(),
            infusions: BTreeMap::new(),
            entries: BTreeMap::new(),
            responses: BTreeMap::new(),
            assignments: BTreeMap::new(),
            grants: BTreeMap::new(),
        })
    };
    stories.into_iter().map(character).collect()
}

/// Logs out everybody who is still logged in.
pub(super) async fn leave(stage: &DemoServer, work: &mut Workplace, patients: &mut [DemoPatient]) -> Result<()> {
    let staff = std::iter::once(&mut work.nurse).chain(&mut work.therapists);
    let people = patients.iter_mut().filter_map(|patient| patient.actor.as_mut());
    for actor in staff.map(|one| &mut one.actor).chain(people) {
        stage.log_out(actor).await?;
    }
    Ok(())
}

async fn pass(stage: &DemoServer, minutes: i64) -> Result<()> {
    let to = stage.now().saturating_add(SignedDuration::from_mins(minutes)).map_err(unfit)?;
    stage.advance(to).await
}

/// Makes an invitation and returns its code.
async fn invite(
    stage: &DemoServer,
    inviter: &mut DemoActor,
    whom: Invitee,
    name: &str,
    email: &str,
) -> Result<JoinCode> {
    let caller: Claimed<Staff> = stage.claimed(inviter).await?;
    let person = person(name, email)?;
    let doc = InvitationDoc { name: Some(person.name), email: Some(person.email) };
    let new =
        invitations::prepare(stage.state(), &caller, InvitationRequest { invitee: whom, doc, clinic: None }).await?;
    let id = new.id;
    stage.change(inviter, move |tx, live: &Live<Staff>| invitations::invite(tx, live, &new).map(drop)).await?;
    Ok(invitations::code_of(&stage.state().vault, id))
}

async fn add_staff(stage: &DemoServer, admin: &mut DemoActor, who: Worker, capability: &str) -> Result<Colleague> {
    let may = Capabilities::parse([capability]).ok_or_else(|| unfit("no such capability"))?;
    let code = invite(stage, admin, Invitee::Staff(may), &who.name, &who.email).await?;
    pass(stage, 40).await?;
    let registration = Registration {
        code: Some(code.into()),
        email_code: None,
        person: person(&who.name, &who.email)?,
        adult: false,
        zone: None,
        locale: "en".to_owned(),
        country: None,
    };
    let (actor, account) = register(stage, registration).await?;
    Ok(Colleague { who, actor, account })
}

async fn register(stage: &DemoServer, registration: Registration) -> Result<(DemoActor, Id<Account>)> {
    let (server, tokens) = (stage.server(), Arc::clone(&stage.server().tokens));
    let registered = registration::register(stage.state(), &server.passwords, tokens, registration).await?;
    let SignedIn { patient, grant, .. } = registered.account;
    let account = grant.account;
    prove_address(stage, account).await?;
    Ok((stage.actor(grant, patient), account))
}

/// Notes that somebody has proved their address: only then is a forgotten passphrase set anew by a letter.
async fn prove_address(stage: &DemoServer, account: Id<Account>) -> Result<()> {
    let (on, now) = (stage.state(), stage.state().clock.now());
    let own = upkeep::find(on, account).await?.ok_or(Error::NotFound)?;
    let unchanged = own.unchanged();
    let profile = Profile { verified: true, ..unchanged.profile.clone() };
    let change = AccountChange { profile, ..unchanged };
    on.db.write(move |tx| own.store(tx, &change, now)).await
}

/// Lets a patient join a therapist with a code, by a new account or with the one they have. Unless told otherwise the
/// therapist confirms the link.
pub(super) async fn join(
    stage: &DemoServer,
    patient: &mut DemoPatient,
    therapist: &mut Colleague,
    confirmed: bool,
) -> Result<()> {
    let (name, email) = (patient.story.name.clone(), patient.story.email.clone());
    let code = invite(stage, &mut therapist.actor, Invitee::Patient, &name, &email).await?;
    pass(stage, 25).await?;
    let link = if let Some(actor) = &mut patient.actor {
        accept(stage, actor, code).await?
    } else {
        let registration = Registration {
            code: Some(code.into()),
            email_code: None,
            person: person(&name, &email)?,
            adult: true,
            zone: Some(patient.zone.clone()),
            locale: "en".to_owned(),
            country: Some(patient.country.clone()),
        };
        let actor = patient.actor.insert(register(stage, registration).await?.0);
        first_link(stage, actor).await?
    };
    patient.links.push((therapist.who.key.clone(), link));
    if confirmed {
        pass(stage, 15).await?;
        confirm(stage, &mut therapist.actor, patient.patient()?, link).await?;
    }
    Ok(())
}

/// Finds the link that the registration with a code has made.
async fn first_link(stage: &DemoServer, actor: &mut DemoActor) -> Result<Id<CareLink>> {
    let caller: Claimed<Anyone> = stage.claimed(actor).await?;
    let first = PageRequest { limit: Limit::default(), after: None };
    let listed = caller.read(stage.state(), move |tx, live| links::list(tx, live, first));
    Ok(listed.await?.0.links.first().ok_or_else(|| unfit("a registration made no link"))?.id)
}

/// Accepts another therapist's code with an account.
async fn accept(stage: &DemoServer, actor: &mut DemoActor, code: JoinCode) -> Result<Id<CareLink>> {
    let (parts, link) = (State::clone(stage.state()), stage.state().entropy.id(stage.now()));
    let accepted = stage.change(actor, move |tx, live: &Live<Anyone>| {
        match registration::accept(tx, &parts, live, Some(code), link)? {
            JoinResult::Link(link) => Ok(link.id),
            JoinResult::Clinic(..) => Err(unfit("a patient joins a therapist")),
        }
    });
    accepted.await
}

async fn confirm(
    stage: &DemoServer,
    therapist: &mut DemoActor,
    patient: Id<Patient>,
    link: Id<CareLink>,
) -> Result<()> {
    let parts = State::clone(stage.state());
    let keys = parts.vault.keys(patient.uuid()).await?;
    let log = (parts.vault.clone(), keys);
    let confirmed = stage.change(therapist, move |tx, live: &Live<Staff>| {
        let confirmed = links::confirm(tx, parts.planner.as_ref(), live, link, &log)?;
        links::show_confirmed(tx, &log, live, Outcome::ok(link, confirmed)).map(drop)
    });
    confirmed.await
}

/// Ends a link of a patient.
pub(super) async fn end_link(stage: &DemoServer, patient: &mut DemoPatient, link: Id<CareLink>) -> Result<()> {
    let keys = stage.state().vault.keys(patient.patient()?.uuid()).await?;
    let planner = Arc::clone(&stage.state().planner);
    let ended = stage.change(patient.actor()?, move |tx, live: &Live<Anyone>| {
        links::end_own(tx, planner.as_ref(), live, link, keys.clone())
    });
    ended.await
}
