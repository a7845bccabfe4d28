//! The operation on the bundle.

use actix_web::http::header;
use actix_web::{get, web};

use crate::exercises::Language;
use crate::http::document::{AcceptLanguageHeader, IfNoneMatchHeader, ReadErrors};
use crate::http::{EntityTag, Preconditions, Reply};
use crate::identity::{Caller, Directory};
use crate::kernel::Result;
use crate::protocols::actions::list_clinics_met;
use crate::state::State;
use crate::sync::bundle::Bundle;

/// Read the bundle of the app
///
/// All that an app needs besides what it pulls to show every prompt and every exercise without a network: the texts of
/// the protocols, the sources of their placeholders, the library of exercises, the phases. It is the same for everybody
/// with the same language and the same clinics, and changes with a release, or when such a clinic publishes a protocol:
/// keep it, and ask again with `If-None-Match`. Ask again, too, when a prompt names a protocol or a response an exercise
/// that it does not have.
#[utoipa::path(tag = "sync", params(IfNoneMatchHeader, AcceptLanguageHeader),
    responses((status = 200, description = "The bundle", body = Bundle), (status = 304, description = "You have it"), ReadErrors))]
#[get("/bundle")]
pub(super) async fn get_bundle(
    caller: Caller,
    when: Preconditions,
    language: Language,
    (state, directory): (web::Data<State>, web::Data<Directory>),
) -> Result<Reply> {
    let language = language.for_caller(&caller, &state, &directory).await?;
    let known = state.protocols.known();
    let clinics = if known.has_others() { caller.read(&state, list_clinics_met).await? } else { Vec::new() };
    let bundle = Bundle::new(&known, &clinics, language);
    let reply = Reply::ok(&bundle).compressed_if(true).header(header::CONTENT_LANGUAGE, bundle.locale);
    Ok(reply.unless_shown(EntityTag::of_content, &when))
}
