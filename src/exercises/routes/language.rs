//! The language of an answer.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AcceptLanguage, Header as _, Quality};
use actix_web::{FromRequest, HttpRequest};

use crate::exercises::translations;
use crate::kernel::Error;

/// The language that a request asks for, of the languages of the library; `None` if it asks for none.
#[derive(Clone, Copy, Debug)]
pub(in crate::exercises) struct Language(pub(in crate::exercises) Option<&'static str>);

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
}

impl FromRequest for Language {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // An invalid header asks for no language.
        ready(Ok(AcceptLanguage::parse(request).map_or(Self(None), |accepted| Self::negotiate(&accepted))))
    }
}
