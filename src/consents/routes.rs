//! Consents over HTTP.

use actix_web::{delete, get, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::actions;
use super::documents::{Document, text_hash};
use super::model::{Consent, METHODS, NewConsent};
use crate::care::door::{Own, Shared};
use crate::care::{Access, Door, Write};
use crate::db::Tx;
use crate::http::document::{
    ActionErrors, IdempotencyKeyHeader, IfNoneMatchHeader, PublicErrors, ReadErrors, WriteErrors,
};
use crate::http::{Body, Command, Operations, PatientRef, Preconditions, Reply, Request, whole_list};
use crate::kernel::{Error, Fields, Result};
use crate::state::State;

/// Registers the operation below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(list_consent_documents);
}

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(list_consents).service(put_consent).service(withdraw_consent);
}

/// A text of a document.
#[derive(Serialize, ToSchema)]
struct ConsentTextView {
    /// Its language.
    #[schema(value_type = String, example = "en")]
    locale: &'static str,
    /// The text.
    #[schema(value_type = String)]
    text: &'static str,
    /// The SHA-256 of the text in UTF-8, in hexadecimal digits.
    #[schema(example = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    text_sha256: String,
}

/// A document to which patients agree.
#[derive(Serialize, ToSchema)]
struct ConsentDocumentView {
    /// Its key.
    #[schema(value_type = String, example = "sharing")]
    key: &'static str,
    /// Its version.
    #[schema(example = 1)]
    version: u32,
    /// What it covers: `information`, `sharing`, `safety_answers`, `quality_work`, `proxy_access`, `research` or
    /// `automated_messages`.
    #[schema(value_type = String, example = "sharing")]
    covers: &'static str,
    /// Whether what it covers needs it before. Once it is withdrawn, every document stops what it covers.
    required: bool,
    /// Its text in each language.
    texts: Vec<ConsentTextView>,
}

impl From<&'static Document> for ConsentDocumentView {
    fn from(document: &'static Document) -> Self {
        let Document { key, version, covers, required, texts } = document;
        let text = |(locale, text): &(&'static str, &'static str)| ConsentTextView {
            locale,
            text,
            text_sha256: text_hash(text),
        };
        let texts = texts.iter().map(text).collect();
        Self { key: *key, version: *version, covers: covers.name(), required: *required, texts }
    }
}

/// The documents.
#[derive(Serialize, ToSchema)]
struct ConsentDocumentList {
    /// The documents.
    items: Vec<ConsentDocumentView>,
}

/// List the documents of consent
///
/// The texts that an app shows, each with the hash by which a consent names it.
#[utoipa::path(tag = "consents", security(()), params(IfNoneMatchHeader),
    responses((status = 200, description = "The documents", body = ConsentDocumentList), PublicErrors))]
#[get("/consent-documents")]
async fn list_consent_documents(state: web::Data<State>, when: Preconditions) -> Result<Reply> {
    let items = Document::all().iter().map(ConsentDocumentView::from).collect();
    Ok(whole_list(&state.vault, b"list_consent_documents", &ConsentDocumentList { items }, &when))
}

/// What a patient agreed to.
#[derive(Serialize, ToSchema)]
struct ConsentView {
    /// The key of the document.
    #[schema(example = "sharing")]
    key: String,
    /// The version of the document.
    #[schema(example = 1)]
    version: u32,
    /// `given`, `withdrawn`, or `unclear` when the record is damaged and the consent has to be given again.
    #[schema(value_type = String, example = "given")]
    state: &'static str,
    /// The instant at which it was given.
    #[schema(value_type = String, format = DateTime)]
    given_at: Timestamp,
    /// The instant at which it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    withdrawn_at: Option<Timestamp>,
    /// The language of the text; shown to the patient only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "en")]
    locale: Option<String>,
    /// The hash of the text; shown to the patient only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text_sha256: Option<String>,
    /// The way in which it was given: `app`, `paper` or `spoken`; shown to the patient only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "app")]
    method: Option<String>,
}

impl ConsentView {
    fn new(consent: Consent, owner: bool) -> Self {
        let Consent { doc, standing, withdrawn_at } = consent;
        Self {
            key: doc.document,
            version: doc.version,
            state: standing.name(),
            given_at: doc.given_at,
            withdrawn_at,
            locale: owner.then_some(doc.locale),
            text_sha256: owner.then_some(doc.text_sha256),
            method: owner.then_some(doc.method),
        }
    }
}

/// How the documents stand.
#[derive(Serialize, ToSchema)]
struct ConsentList {
    /// One for each document that was ever given, the latest change first.
    items: Vec<ConsentView>,
}

/// A consent to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutConsent {
    /// The version of the document that was shown.
    #[schema(example = 1)]
    version: u32,
    /// The language of the text that was shown: `en`, `de` or `es`.
    #[schema(example = "en")]
    locale: String,
    /// The hash of the text that was shown, as the document has it.
    text_sha256: String,
    /// The way in which it is given: `app`, `paper` or `spoken`; `app` by default.
    #[schema(nullable = false, example = "app")]
    method: Option<String>,
}

impl PutConsent {
    fn parse(self, key: &str) -> Result<NewConsent> {
        let document = Document::find(key).ok_or(Error::NotFound)?;
        let mut fields = Fields::new();
        fields.check(self.version == document.version, "/version", "is not the version of the document");
        match document.text(&self.locale).map(text_hash) {
            None => fields.fault("/locale", "must be en, de or es"),
            Some(hash) => {
                let same = hash.eq_ignore_ascii_case(&self.text_sha256);
                fields.check(same, "/text_sha256", "is not the hash of that text");
            }
        }
        let method = self.method.unwrap_or_else(|| "app".to_owned());
        fields.check(METHODS.contains(&method.as_str()), "/method", "must be app, paper or spoken");
        let (locale, text_sha256) = (self.locale, self.text_sha256.to_ascii_lowercase());
        fields.finish(Some(NewConsent { document, locale, text_sha256, method }))
    }
}

/// List consents
///
/// The patient sees how every document stands that they ever agreed to. A therapist sees those that concern them:
/// `sharing` and `safety_answers`.
#[utoipa::path(tag = "consents",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IfNoneMatchHeader),
    responses((status = 200, description = "Consents", body = ConsentList), ReadErrors))]
#[get("/consents")]
async fn list_consents(door: Door<Shared>, when: Preconditions) -> Result<Reply> {
    let found = door.read("list_consents", actions::list).await?;
    let items = found.into_iter().map(|consent| ConsentView::new(consent, door.is_owner())).collect();
    Ok(door.whole_list("list_consents", &ConsentList { items }, &when))
}

/// Give a consent
///
/// It names the text that was shown, by version, language and hash (422 if there is no such text). The same consent
/// again changes nothing. What a document covers answers 403 `consent_required` once the consent was withdrawn, until
/// it is given again; what a required one covers also before it was given.
#[utoipa::path(tag = "consents", request_body = PutConsent,
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id"),
        ("key" = String, Path, description = "The key of the document", example = "sharing"), IdempotencyKeyHeader),
    responses((status = 201, description = "Given", body = ConsentView),
        (status = 200, description = "It was given already", body = ConsentView), WriteErrors))]
#[put("/consents/{key}")]
async fn put_consent(door: Door<Own>, request: Request<String, Body<PutConsent>>) -> Result<Reply> {
    let key = request.id().cloned().unwrap_or_default();
    let answer = door.change(
        "put_consent",
        request,
        |command| command.body.into_inner().parse(&command.id),
        actions::give,
        move |tx, access, outcome| outcome.or_read(|| actions::find(tx, access, &key)),
    );
    answer.await?.reply(|consent| Ok(Reply::ok(&ConsentView::new(consent, true))))
}

/// Withdraw a consent
///
/// It acts at once on what the document covers: without `sharing` every grant ends, without `automated_messages` the
/// mailboxes are removed, and none is registered again (403 `consent_required`). Letters about the account go on. The
/// record of what was given stays. A second withdrawal changes nothing.
#[utoipa::path(tag = "consents",
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id"),
        ("key" = String, Path, description = "The key of the document", example = "sharing"), IdempotencyKeyHeader),
    responses((status = 204, description = "Withdrawn"), ActionErrors))]
#[delete("/consents/{key}")]
async fn withdraw_consent(door: Door<Own>, request: Request<String>) -> Result<Reply> {
    let work = |tx: &mut Tx<'_>, access: &Access<Write>, command: &Command<String>| {
        actions::withdraw(tx, access, Document::find(&command.id).ok_or(Error::NotFound)?)
    };
    door.delete("withdraw_consent", request, work).await
}
