//! The language of an answer.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AcceptLanguage, Header as _, Quality};
use actix_web::{FromRequest, HttpRequest};

use crate::care::{Access, Read};
use crate::exercises::translations;
use crate::identity::{AccountKind, Caller, Directory};
use crate::kernel::{Error, Result};
use crate::settings::{find_settings, open_or_default};
use crate::state::State;

/// The language of those who ask for none and have none.
const ENGLISH: &str = "en";

/// The language that a request asks for, of the languages of the library; `None` if it asks for none.
#[derive(Clone, Copy, Debug)]
pub struct Language(pub(in crate::exercises) Option<&'static str>);

impl Language {
    /// Returns the language with the highest weight; of equals, the first.
    pub(super) fn negotiate(accepted: &AcceptLanguage) -> Self {
        let known = accepted.iter().filter(|wanted| wanted.quality > Quality::ZERO).filter_map(|wanted| {
            Some((translations::language(wanted.item.item()?.primary_language())?, wanted.quality))
        });
        // Of equals, `max_by_key` takes the last.
        Self(known.rev().max_by_key(|(_, weight)| *weight).map(|(language, _)| language))
    }

    /// Returns the language asked for, or else `own`.
    pub(in crate::exercises) fn or(self, own: &str) -> &str {
        self.0.unwrap_or(own)
    }

    /// Returns the language asked for, if any.
    pub fn asked(self) -> Option<&'static str> {
        self.0
    }

    /// Makes the caller live and returns the language asked for; else the one of the patient who asks; else English.
    ///
    /// # Errors
    ///
    /// As [`Caller::read`]; when the settings cannot be read.
    pub async fn for_caller(self, caller: &Caller, state: &State, directory: &Directory) -> Result<&'static str> {
        if let Some(asked) = self.0 {
            caller.read(state, |_, _| Ok(())).await?;
            return Ok(asked);
        }
        let patient = directory.patient_of(&state.db, caller.account()).await?;
        let keys = match patient {
            Some(patient) => state.vault.keys(patient.uuid()).await?,
            None => None,
        };
        let own_keys = keys.clone();
        let read = caller.read(state, move |tx, live| match live.kind() {
            AccountKind::Patient => find_settings(tx, &Access::<Read>::of_self(live, own_keys.clone())?),
            AccountKind::Staff => Ok(None),
        });
        let row = read.await?;
        let Some((patient, keys)) = patient.zip(keys) else { return Ok(ENGLISH) };
        let settings = open_or_default(row.as_ref(), &keys, patient)?;
        Ok(translations::language(&settings.locale).unwrap_or(ENGLISH))
    }
}

impl FromRequest for Language {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // An invalid header asks for no language.
        ready(Ok(AcceptLanguage::parse(request).map_or(Self(None), |accepted| Self::negotiate(&accepted))))
    }
}
