//! The server as a relying party of WebAuthn: the one place that knows the library.
//!
//! Attestation is not asked for, the verification of the user always is, and keys are discoverable: their owner names
//! no account.

use serde_json::{Value, json};
use url::Url;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
    Webauthn, WebauthnBuilder, WebauthnError,
};

use super::model::{Beginning, KeyOwner, NamedKey, NewKey, Verdict};
use crate::config::Config;
use crate::kernel::{Code, Error, Result};

/// The name of the server on devices.
const NAME: &str = "Afterglow";

/// The server, for devices that keep its passkeys.
pub(super) struct RelyingParty(Webauthn);

fn fault(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Internal(Box::new(error))
}

impl RelyingParty {
    /// Returns that of the configuration.
    ///
    /// # Errors
    ///
    /// [`Code::PasskeysOff`] when the operator has named none.
    pub(super) fn of(config: &Config) -> Result<Self> {
        let settings = config.passkeys.as_ref().ok_or_else(|| Error::conflict(Code::PasskeysOff))?;
        let origin = |text: &str| Url::parse(text).map_err(fault);
        let own = origin(&settings.own_origin())?;
        let mut builder = WebauthnBuilder::new(&settings.rp_id, &own).map_err(fault)?.rp_name(NAME);
        for other in &settings.origins {
            builder = builder.append_allowed_origin(&origin(other)?);
        }
        Ok(Self(builder.build().map_err(fault)?))
    }

    /// Begins to make a key. `known` are the ids of those that the account has.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`].
    pub(super) fn begin_registration(&self, owner: &KeyOwner<'_>, known: Vec<Vec<u8>>) -> Result<Beginning> {
        let begun = self.0.start_passkey_registration(owner.handle, owner.email, owner.name, Some(known));
        let (options, state) = begun.map_err(fault)?;
        let mut options = serde_json::to_value(options.public_key).map_err(fault)?;
        // The library leaves it to the device whether its owner has to name an account.
        if let Some(selection) = options.get_mut("authenticatorSelection").and_then(Value::as_object_mut) {
            selection.insert("residentKey".to_owned(), json!("required"));
            selection.insert("requireResidentKey".to_owned(), json!(true));
        }
        Ok(Beginning { options, state: serde_json::to_string(&state).map_err(fault)? })
    }

    /// Ends it with the answer of the device; `None` when that is wrong.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`].
    pub(super) fn finish_registration(&self, state: &str, mut credential: Value) -> Result<Option<NewKey>> {
        let state: PasskeyRegistration = serde_json::from_str(state).map_err(fault)?;
        // They are a hint that nobody uses, and a device may name one that the library does not know.
        if let Some(response) = credential.get_mut("response").and_then(Value::as_object_mut) {
            response.remove("transports");
        }
        let Ok(answer) = serde_json::from_value::<RegisterPublicKeyCredential>(credential) else { return Ok(None) };
        let Ok(made) = self.0.finish_passkey_registration(&answer, &state) else { return Ok(None) };
        let key = serde_json::to_string(&made).map_err(fault)?;
        Ok(Some(NewKey { credential_id: made.cred_id().clone(), key }))
    }

    /// Begins a log-in of somebody who is not known yet.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`].
    pub(super) fn begin_log_in(&self) -> Result<Beginning> {
        let (options, state) = self.0.start_discoverable_authentication().map_err(fault)?;
        let options = serde_json::to_value(options.public_key).map_err(fault)?;
        Ok(Beginning { options, state: serde_json::to_string(&state).map_err(fault)? })
    }

    /// Reads which key an answer is of; `None` when it names none.
    pub(super) fn named(credential: &Value) -> Option<NamedKey> {
        let answer: PublicKeyCredential = serde_json::from_value(credential.clone()).ok()?;
        let handle = answer.get_user_unique_id().map(<[u8]>::to_vec);
        Some(NamedKey { credential_id: answer.get_credential_id().to_vec(), handle })
    }

    /// Verifies the answer of a device by the stored key.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`].
    pub(super) fn finish_log_in(&self, state: &str, credential: Value, key: &str) -> Result<Verdict> {
        let state: DiscoverableAuthentication = serde_json::from_str(state).map_err(fault)?;
        let mut key: Passkey = serde_json::from_str(key).map_err(fault)?;
        let Ok(answer) = serde_json::from_value::<PublicKeyCredential>(credential) else { return Ok(Verdict::Wrong) };
        match self.0.finish_discoverable_authentication_v2(&answer, state, &key) {
            Ok(result) => {
                key.update_credential(&result);
                Ok(Verdict::Right(serde_json::to_string(&key).map_err(fault)?))
            }
            Err(WebauthnError::CredentialPossibleCompromise) => Ok(Verdict::Copied),
            Err(_) => Ok(Verdict::Wrong),
        }
    }
}
