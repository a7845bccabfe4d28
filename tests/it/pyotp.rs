//! Codes of a second factor against `pyotp`, the implementation that many servers and scripts use.

use afterglow::identity::totp;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::dice::Dice;
use crate::support::people::{Clinic, PASSPHRASE};
use crate::support::python::python;

/// Instants with a zone: without one, `pyotp` takes the zone of the machine, in which an hour may come twice.
const AT: &str = "import datetime\n\
    def at(second): return datetime.datetime.fromtimestamp(second, datetime.timezone.utc)\n";

/// 20,000 by `AFTERGLOW_CODES`.
#[test]
fn codes_and_secrets_are_those_of_pyotp() {
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let many: usize = std::env::var("AFTERGLOW_CODES").map_or(1000, |text| text.parse().unwrap());
    let dice = Dice::new(6238);
    let fixed = [0, 29, 30, 59, 1_111_111_109, 2_147_483_647, 2_147_483_648, 4_294_967_296, 20_000_000_000];
    let chosen = (fixed.len()..many).map(|_| i64::try_from(dice.below(5_000_000) * 997 + dice.below(997)).unwrap());
    let codes: Vec<Value> = fixed
        .into_iter()
        .chain(chosen)
        .map(|second| {
            let secret: Vec<u8> = (0..totp::SECRET_BYTES).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
            let step = totp::step_at(Timestamp::from_second(second).unwrap());
            json!([totp::base32(&secret), second, totp::code_of(&secret, step)])
        })
        .collect();
    let script = format!(
        "{AT}print(json.dumps([[one, pyotp.TOTP(one[0]).at(at(one[1]))] for one in given \
        if pyotp.TOTP(one[0]).at(at(one[1])) != one[2]]))"
    );
    let Some(others) = python("pyotp", &script, &json!(codes)) else { return };
    assert_eq!(others, json!([]), "of {}", codes.len());
}

#[actix_web::test]
async fn an_app_that_is_not_ours_reads_the_secret_and_its_codes_log_in() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let begun = ann.act("/v1/me/factors/totp").send().await.ok();
    let now = app.now().as_second();
    let script = format!(
        "{AT}app = pyotp.parse_uri(given['uri'])\n\
        print(json.dumps({{'read': [app.issuer, app.name, app.secret, app.digits, app.interval], \
        'codes': [app.at(at(second)) for second in given['seconds']]}}))"
    );
    let given = json!({ "uri": begun.text("/uri"), "seconds": [now, now + 30] });
    let Some(theirs) = python("pyotp", &script, &given) else { return };
    let read = json!(["Afterglow", "ann.walker@example.org", begun.text("/secret"), 6, 30]);
    assert_eq!(theirs["read"], read);
    let confirmed = ann.post("/v1/me/factors/totp/confirm", json!({ "code": theirs["codes"][0] })).send().await.ok();
    assert_eq!(confirmed.body["recovery_codes"].as_array().unwrap().len(), 10);
    app.wait(SignedDuration::from_secs(30));
    let log_in = || {
        let body = json!({ "email": "ann.walker@example.org", "passphrase": PASSPHRASE, "code": theirs["codes"][1] });
        app.post("/v1/auth/login", body)
    };
    log_in().send().await.ok();
    log_in().send().await.expect(401).refused("second_factor_wrong");
}
