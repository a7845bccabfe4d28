//! Accounts and sessions made without HTTP, for the tests that are about sessions themselves.

use afterglow::db::schema::{accounts, address_proofs};
use afterglow::db::{At, Stored, Tx, columns};
use afterglow::identity::actions::{self, SessionSecrets, SessionTokens};
use afterglow::identity::{AccountKind, AccountRow, Email, Passphrase, Profile};
use afterglow::kernel::id::{Account, AddressProof};
use afterglow::kernel::{Id, Text};
use afterglow::letters::proofs;
use diesel::prelude::*;

use super::app::TestApp;

/// What [`account`] gives everybody.
pub const PASSPHRASE: &str = "a quiet river at dawn";

/// An account of staff, logged in.
pub async fn account(app: &TestApp, email: &str) -> SessionTokens {
    let state = &app.server.state;
    let profile = Profile::new(Text::parse("Somebody").unwrap(), Email::parse(email).unwrap());
    let passphrase = Passphrase::new(PASSPHRASE.to_owned(), None).unwrap();
    let draft = actions::draft(state, &app.server.passwords, AccountKind::Staff, &profile, passphrase, app.now()).await;
    let draft = draft.unwrap();
    let (vault, tokens, now) = (state.vault.clone(), app.server.tokens.clone(), app.now());
    let opening = SessionSecrets::draw(state, now);
    let made = state.db.write(move |tx| {
        let account = actions::insert(tx, &vault, &draft)?.unwrap();
        actions::open_session(tx, &vault, &tokens, account, &opening, now)
    });
    made.await.unwrap()
}

/// The code that was sent to an address last and was not used, without the letter.
pub async fn code_sent_to(app: &TestApp, email: &str) -> String {
    let state = &app.server.state;
    let key = actions::email_key(&state.vault, &Email::parse(email).unwrap());
    let unit = move |tx: &mut Tx<'_>| {
        let open = address_proofs::table
            .filter(address_proofs::email_key.eq(key.clone()))
            .filter(address_proofs::used_at.is_null());
        let newest = open.order(address_proofs::created_at.desc()).select(address_proofs::id);
        Ok(newest.first::<Id<AddressProof>>(tx.conn())?)
    };
    let proof = state.db.read(unit).await.unwrap();
    proofs::code_of(&state.vault, proof).to_string()
}

/// Disables an account. The operator has no operation for that yet.
pub async fn disable(app: &TestApp, account: Id<Account>) {
    mark(app, account, Some(At(app.now()))).await;
}

/// Enables an account again.
pub async fn enable(app: &TestApp, account: Id<Account>) {
    mark(app, account, None).await;
}

async fn mark(app: &TestApp, account: Id<Account>, disabled_at: Option<At>) {
    let unit = move |tx: &mut Tx<'_>| {
        let own = accounts::table.filter(accounts::id.eq(account));
        let row: Stored<AccountRow> = own.select(columns::<Stored<AccountRow>>()).first(tx.conn())?;
        let row = AccountRow { disabled_at, ..row.checked(tx)?.unwrap() };
        diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?;
        Ok(())
    };
    app.server.state.db.write(unit).await.unwrap();
}
