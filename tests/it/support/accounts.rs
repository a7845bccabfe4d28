//! Accounts and sessions made without HTTP, for the tests that are about sessions themselves.

use afterglow::identity::actions::{self, SessionSecrets, SessionTokens};
use afterglow::identity::{AccountKind, Email, Passphrase, Profile};
use afterglow::kernel::Text;

use super::app::TestApp;

/// What [`account`] gives everybody.
pub const PASSPHRASE: &str = "a quiet river at dawn";

/// An account of staff, logged in.
pub async fn account(app: &TestApp, email: &str) -> SessionTokens {
    let state = &app.server.state;
    let profile = Profile { name: Text::parse("Somebody").unwrap(), email: Email::parse(email).unwrap() };
    let passphrase = Passphrase::new(PASSPHRASE.to_owned(), None).unwrap();
    let draft = actions::draft(state, &app.server.passwords, AccountKind::Staff, &profile, passphrase, app.now()).await;
    let draft = draft.unwrap();
    let (vault, tokens, now) = (state.vault.clone(), app.server.tokens.clone(), app.now());
    let opening = SessionSecrets::draw(state, now);
    let made = state.db.write(move |tx| {
        let account = actions::insert(tx, &vault, &draft, now)?.unwrap();
        actions::open_session(tx, &vault, &tokens, account, &opening, now)
    });
    made.await.unwrap()
}
