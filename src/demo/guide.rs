//! What the demo prints: how to log in, and what to try.

use std::fmt::Write as _;

use super::cast::{ADMIN, CLINIC, Cast, NURSE, THERAPIST};
use super::stage::unfit;
use super::story::Told;
use crate::kernel::id::{Entry, Patient};
use crate::kernel::{Id, Result};

/// The passphrase of everybody in the demo.
pub const PASSPHRASE: &str = "lanterns over the lake";

/// Somebody who can log in.
#[derive(Clone, Debug)]
pub struct LogIn {
    /// Who they are.
    pub name: String,
    /// What they do.
    pub role: &'static str,
    /// Their address.
    pub email: String,
}

/// A database that was filled.
#[derive(Clone, Debug)]
pub struct Filled {
    /// Who can log in, with [`PASSPHRASE`].
    pub people: Vec<LogIn>,
    /// How many entries were written.
    pub entries: usize,
    /// An entry that the therapist may read, and whose it is.
    pub shared: (Id<Patient>, Id<Entry>),
}

pub(super) fn filled(cast: &Cast, told: Told) -> Result<Filled> {
    let log_in = |name: &str, role, email: &str| LogIn { name: name.to_owned(), role, email: email.to_owned() };
    let mut people = vec![
        log_in(ADMIN.0, "admin", ADMIN.1),
        log_in(THERAPIST.0, "therapist", THERAPIST.1),
        log_in(NURSE.0, "nurse", NURSE.1),
    ];
    people.extend(cast.patients.iter().map(|patient| log_in(&patient.story.name, "patient", &patient.story.email)));
    let shared = told.shared.ok_or_else(|| unfit("nothing was shared"))?;
    Ok(Filled { people, entries: told.entries, shared })
}

impl Filled {
    /// Who is there and what to try, for a server that will answer at `url`.
    pub fn guide(&self, url: &str) -> String {
        let mut text = self.log_ins();
        let _infallible = write!(
            text,
            "\nStart the server on the same data (the same flags, without `demo`), and paste this into another shell:\n\n{}",
            self.script(url)
        );
        text
    }

    /// Who can log in, and how.
    pub fn log_ins(&self) -> String {
        let mut text = format!("{CLINIC} is open. Nobody in it is real.\n\nEverybody's passphrase: {PASSPHRASE}\n\n");
        for LogIn { name, role, email } in &self.people {
            let _infallible = writeln!(text, "  {role:<10} {name:<15} {email}");
        }
        text
    }

    /// The part of the guide that a shell can run: two log-ins, and five requests.
    pub fn script(&self, url: &str) -> String {
        let email_of = |role| self.people.iter().find(|who| who.role == role).map_or("", |who| who.email.as_str());
        let log_in = |email: &str| {
            format!(
                "$(curl -s {url}/v1/auth/login -H 'content-type: application/json' \
                 -d '{{\"email\":\"{email}\",\"passphrase\":\"{PASSPHRASE}\"}}' \
                 | sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p')"
            )
        };
        let (patient, entry) = self.shared;
        format!(
            "patient={patient_token}\n\
             therapist={therapist_token}\n\n\
             # What the app asks the patient today, and in the days around it.\n\
             curl -sf {url}/v1/patients/me/prompts -H \"authorization: Bearer $patient\"; echo\n\
             # Where the patient is in the window.\n\
             curl -sf {url}/v1/patients/me/window -H \"authorization: Bearer $patient\"; echo\n\
             # The therapist's roster.\n\
             curl -sf {url}/v1/me/patients -H \"authorization: Bearer $therapist\"; echo\n\
             # An entry that the patient has opened to the therapist.\n\
             curl -sf {url}/v1/patients/{patient}/entries/{entry} -H \"authorization: Bearer $therapist\"; echo\n\
             # Who looked, as the patient sees it: the line before is in it.\n\
             curl -sf {url}/v1/patients/me/access-log -H \"authorization: Bearer $patient\"; echo\n",
            patient_token = log_in(email_of("patient")),
            therapist_token = log_in(email_of("therapist")),
        )
    }
}
