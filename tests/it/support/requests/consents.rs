//! Requests about what a patient agrees to.

use super::{Ask, Asker};
use crate::support::consents::consent;

/// A document that nothing in the world needs.
const FREE: &str = "research";

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let (ann, app) = (asker.world.ann(), &asker.world.app);
    let path = asker.of_ann(&format!("/consents/{FREE}"));
    let ask = match operation {
        "list_consent_documents" => Ask::get("/v1/consent-documents"),
        "list_consents" => Ask::get(asker.of_ann("/consents")),
        "put_consent" => {
            if asker.owner() {
                // What was given before would be given already.
                ann.agrees(FREE).await;
                ann.withdraws(FREE).await;
            }
            let locale = ["en", "de", "es"][usize::try_from(asker.n % 3).unwrap()];
            Ask::put(path).with(consent(app, FREE, locale).await)
        }
        "withdraw_consent" => {
            if asker.owner() {
                ann.agrees(FREE).await;
            }
            Ask::delete(path)
        }
        _ => return None,
    };
    Some(ask)
}
