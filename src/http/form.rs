//! Bodies of `application/x-www-form-urlencoded`, as OAuth has them.

use std::fmt;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use url::form_urlencoded;

use super::body;
use crate::kernel::{Error, FieldError, Result};

/// The media type of a form.
const FORM: &[&str] = &["application/x-www-form-urlencoded"];

/// The parameters of a form of no more than `MOST` bytes. Unknown ones are ignored, as RFC 6749 asks for.
pub struct FormBody<const MOST: usize>(Vec<(String, String)>);

impl<const MOST: usize> fmt::Debug for FormBody<MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FormBody({} parameters)", self.0.len())
    }
}

impl<const MOST: usize> FormBody<MOST> {
    /// Returns a parameter.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`] when it is missing, empty or there twice.
    pub fn required(&self, name: &str) -> Result<&str> {
        let refuse = |detail: &str| {
            Err(Error::Unreadable(FieldError { pointer: format!("/{name}"), detail: detail.to_owned() }))
        };
        let mut found = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match (found.next(), found.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value),
            (Some(_), Some(_)) => refuse("is there twice"),
            _ => refuse("is missing"),
        }
    }
}

impl<const MOST: usize> FromRequest for FormBody<MOST> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let checked = body::expect_json(request, FORM).and_then(|()| body::expect_small(request, MOST));
        let payload = payload.take();
        Box::pin(async move {
            let raw = body::read(payload, checked?).await?;
            let pairs = form_urlencoded::parse(&raw);
            Ok(Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
        })
    }
}
