//! The log-in with a passkey alone.

use std::net::IpAddr;
use std::sync::Arc;

use super::model::Assertion;
use super::proofs;
use crate::db::Tx;
use crate::identity::Tokens;
use crate::identity::actions::{SessionSecrets, SignedIn, admit};
use crate::identity::attempts::Attempt;
use crate::identity::model::DeviceName;
use crate::identity::store;
use crate::kernel::{Code, Error, Result};
use crate::state::State;

/// What somebody sends to log in with a passkey.
pub(in crate::identity) struct PasskeyLogInAttempt {
    /// The answer of the device.
    pub assertion: Assertion,
    /// The device token of an earlier log-in.
    pub device_token: Option<String>,
    /// The name of the device.
    pub device_name: Option<DeviceName>,
    /// The network of the client.
    pub network: Option<IpAddr>,
}

/// Logs in with a passkey, which counts as the passphrase and a code: its device has verified its owner.
///
/// # Errors
///
/// [`Code::PasskeyRefused`], whatever the reason; [`Code::PasskeysOff`].
pub(in crate::identity) async fn log_in(
    state: &State,
    tokens: Arc<Tokens>,
    attempt: PasskeyLogInAttempt,
) -> Result<SignedIn> {
    let PasskeyLogInAttempt { assertion, device_token, device_name, network } = attempt;
    let (now, refused) = (state.clock.now(), || Error::Unauthenticated(Code::PasskeyRefused));
    let shown = proofs::look_at(state, assertion, now).await?;
    let (account, keys) = shown.owner().ok_or_else(refused)?;
    let found = state.db.read(move |tx| store::find_documents(tx, account)).await?.ok_or_else(refused)?;
    let address = (account, found.account.email_key.as_slice());
    let attempt = Attempt::new(&state.vault, address, device_token.as_deref(), network);
    let (vault, unit_keys) = (state.vault.clone(), keys.clone());
    let opening = SessionSecrets::draw(state, now).with_code(true);
    let verdict = state.db.write(move |tx: &mut Tx<'_>| {
        let welcome = store::hold_account(tx, account)?.is_some_and(|row| row.disabled_at.is_none());
        if !welcome || !shown.spend(tx, account, now)? {
            return Ok(Err(refused()));
        }
        let device = (device_name.as_ref(), attempt.is_of_known_device(tx, now)?, None);
        admit(tx, (&vault, tokens.as_ref(), Some(&unit_keys)), account, &opening, device, now).map(Ok)
    });
    let grant = verdict.await??;
    SignedIn::open(&found.account, &found.profile, &keys, grant)
}
