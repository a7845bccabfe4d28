//! The guide that the demo prints: log-ins, and things to try.

use std::fmt::Write as _;

use super::cast::{Colleague, DemoPatient, Workplace};
use super::play::StorySummary;
use super::stage::PASSPHRASE;
use crate::identity::ACCESS_TOKEN_LIFETIME;
use crate::kernel::Id;
use crate::kernel::id::{Assignment, Entry, Patient, Response};

/// Somebody who can log in.
#[derive(Clone, Debug)]
pub struct LogIn {
    /// Their name.
    pub name: String,
    /// Their role.
    pub role: &'static str,
    /// Their address.
    pub email: String,
    /// A word on their treatment, or on their patients.
    pub stage: String,
}

/// A database that was filled.
#[derive(Clone, Debug)]
pub struct DemoClinic {
    /// The clinic's name.
    pub clinic: String,
    /// The people who can log in, with [`PASSPHRASE`].
    pub people: Vec<LogIn>,
    /// The number of entries.
    pub entries: usize,
    /// The number of exercise responses.
    pub responses: usize,
    /// The first patient, an entry and a response that the first therapist may read, and the assignment that the
    /// response answers.
    pub shown: (Id<Patient>, Id<Entry>, Id<Response>, Id<Assignment>),
}

pub(super) fn clinic_guide(work: &Workplace, patients: &[DemoPatient], summary: StorySummary) -> DemoClinic {
    let worker = |role, one: &Colleague| LogIn {
        name: one.who.name.clone(),
        role,
        email: one.who.email.clone(),
        stage: one.who.stage.clone(),
    };
    let mut people = vec![worker("admin", &work.admin)];
    people.extend(work.therapists.iter().map(|one| worker("therapist", one)));
    people.push(worker("nurse", &work.nurse));
    people.extend(patients.iter().map(|one| LogIn {
        name: one.story.name.clone(),
        role: "patient",
        email: one.story.email.clone(),
        stage: one.stage(),
    }));
    let StorySummary { entries, responses, shown } = summary;
    DemoClinic { clinic: work.name.clone(), people, entries, responses, shown }
}

impl DemoClinic {
    /// Returns the guide, for a server that will answer at `url`.
    pub fn guide(&self, url: &str) -> String {
        let mut text = self.log_ins();
        let _infallible = write!(
            text,
            "\nStart the server on the same data (the same flags, without `demo`), and paste this into another shell:\n\n{}",
            self.script(url)
        );
        text
    }

    /// Returns the log-ins, one a line.
    pub fn log_ins(&self) -> String {
        let mut text =
            format!("{} is open. Nobody in it is real.\n\nEverybody's passphrase: {PASSPHRASE}\n\n", self.clinic);
        for LogIn { name, role, email, stage } in &self.people {
            let _infallible = writeln!(text, "  {role:<10} {name:<16} {email:<23} {stage}");
        }
        text
    }

    /// Returns the part of the guide that a shell can run: two log-ins, and nine requests.
    pub fn script(&self, url: &str) -> String {
        let email_of = |role| self.people.iter().find(|who| who.role == role).map_or("", |who| who.email.as_str());
        let log_in = |email: &str| {
            format!(
                "$(curl -s {url}/v1/auth/login -H 'content-type: application/json' \
                 -d '{{\"email\":\"{email}\",\"passphrase\":\"{PASSPHRASE}\"}}' \
                 | sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p')"
            )
        };
        let (patient, entry, response, assignment) = self.shown;
        let minutes = ACCESS_TOKEN_LIFETIME.as_mins();
        let mut text = format!(
            "# Access tokens last {minutes} minutes: paste these two lines again when a request is refused.\n\
             patient={}\ntherapist={}\n\n",
            log_in(email_of("patient")),
            log_in(email_of("therapist"))
        );
        let theirs = format!("/v1/patients/{patient}");
        for (why, path, who) in [
            ("What the app asks the patient today, and in the days around it.", "/v1/patients/me/prompts", "patient"),
            ("Where the patient is in the window.", "/v1/patients/me/window", "patient"),
            ("What the patient could do now, and why.", "/v1/patients/me/exercises/suggested", "patient"),
            ("What the patient has worked on.", "/v1/patients/me/exercise-responses", "patient"),
            ("The therapist's roster.", "/v1/me/patients", "therapist"),
            (
                "What the therapist has asked the patient to do.",
                &format!("{theirs}/assignments/{assignment}"),
                "therapist",
            ),
            (
                "The answers, which the patient has opened.",
                &format!("{theirs}/exercise-responses/{response}"),
                "therapist",
            ),
            ("An entry that the patient has opened.", &format!("{theirs}/entries/{entry}"), "therapist"),
            ("Who looked, as the patient sees it: the line before is in it.", "/v1/patients/me/access-log", "patient"),
        ] {
            let _infallible = writeln!(
                text,
                "# {why}\ncurl -sf {url}{path} -H \"authorization: Bearer ${who}\" && echo \
                 || echo 'Refused: is the token of the {who} over? It lasts {minutes} minutes; the first lines give a new one.'"
            );
        }
        text
    }
}
