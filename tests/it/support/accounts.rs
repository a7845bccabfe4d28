//! Accounts and sessions made without HTTP, for the tests that are about sessions themselves.

use afterglow::db::schema::{accounts, address_proofs};
use afterglow::db::{At, Stored, Tx, columns};
use afterglow::identity::actions::{self, SessionSecrets, SessionTokens};
use afterglow::identity::upkeep::{self, AccountChange};
use afterglow::identity::{AccountKind, AccountRow, Email, Passphrase, Profile, totp};
use afterglow::kernel::id::{Account, AddressProof};
use afterglow::kernel::{Id, Text};
use afterglow::letters::proofs;
use diesel::prelude::*;
use serde_json::json;

use super::app::TestApp;
use super::people::Person;

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

/// Notes that somebody has proved their address, without a letter.
pub async fn has_proved_address(person: &Person) {
    let state = &person.app.server.state;
    let own = upkeep::find(state, person.account.parse().unwrap()).await.unwrap().unwrap();
    let unchanged = own.unchanged();
    let profile = Profile { verified: true, ..unchanged.profile.clone() };
    let change = AccountChange { profile, ..unchanged };
    let now = state.clock.now();
    state.db.write(move |tx| own.store(tx, &change, now)).await.unwrap();
}

/// Shows the passphrase again in the session of somebody.
pub async fn proves(person: &Person) {
    person.post("/v1/auth/step-up", json!({ "passphrase": PASSPHRASE })).send().await.ok();
}

/// The bytes that are written in base 32.
fn bytes_of(base32: &str) -> Vec<u8> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0_u32);
    for letter in base32.bytes() {
        let five = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).unwrap();
        held = (held << 5) | five as u32;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    bytes
}

/// What an authenticator app with this secret shows, `steps` of thirty seconds away from now.
pub fn code_at(app: &TestApp, secret: &str, steps: i64) -> String {
    totp::code_of(&bytes_of(secret), totp::step_at(app.now()) + steps)
}

/// What an authenticator app with this secret shows now.
pub fn code_of(app: &TestApp, secret: &str) -> String {
    code_at(app, secret, 0)
}

/// Switches the second factor of somebody on who has just proved themself. Returns its secret and the recovery codes.
pub async fn with_factor(person: &Person) -> (String, Vec<String>) {
    let secret = person.act("/v1/me/factors/totp").send().await.ok().text("/secret");
    let code = code_of(&person.app, &secret);
    let on = person.post("/v1/me/factors/totp/confirm", json!({ "code": code })).send().await.ok();
    let codes = on.body["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned());
    (secret, codes.collect())
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
