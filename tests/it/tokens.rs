//! S3: no token but the one the server issued is accepted, whatever was done to it.

use std::collections::BTreeSet;

use afterglow::db::Backend;
use afterglow::identity::actions::SessionTokens;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::support::accounts::account;
use crate::support::app::TestApp;
use crate::support::sql::Sql;

/// A token to build others from.
struct Forge {
    token: String,
    head: Value,
    claims: Value,
    genuine: EncodingKey,
    public: Vec<u8>,
    jwk: Value,
}

impl Forge {
    fn new(app: &TestApp, grant: &SessionTokens) -> Self {
        let parts: Vec<&str> = grant.access.split('.').collect();
        let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let keys = app.server.state.vault.signing_keys();
        let key = keys.signing(app.now());
        let jwk = key.jwk().clone();
        let public = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
        let (head, claims) = (read(parts[0]), read(parts[1]));
        Self { token: grant.access.clone(), head, claims, genuine: key.encoding().clone(), public, jwk }
    }

    fn seal(&self, head: &str, claims: &str, key: &EncodingKey, alg: Algorithm) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
        format!("{message}.{}", sign(message.as_bytes(), key, alg).unwrap())
    }

    /// Signed with the server's own key.
    fn genuinely(&self, head: &Value, claims: &Value) -> String {
        self.seal(&head.to_string(), &claims.to_string(), &self.genuine, Algorithm::EdDSA)
    }

    fn with_head(&self, name: &str, value: Value) -> String {
        self.genuinely(&with(&self.head, name, value), &self.claims)
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        self.genuinely(&self.head, &with(&self.claims, name, value))
    }

    /// The head says `alg`; the claims are the true ones.
    fn as_alg(&self, alg: &str) -> String {
        let head = with(&self.head, "alg", json!(alg)).to_string();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(head), self.token.split('.').nth(1).unwrap())
    }

    fn signature(&self) -> &str {
        self.token.rsplit('.').next().unwrap()
    }

    fn unsigned(&self) -> Vec<String> {
        let names = ["none", "None", "NONE", "nOnE", "", "EdDSA", "HS256", "RS256", "ES256", "PS512", "Ed25519"];
        let tails = ["", ".", ".AA", "."];
        let mut all: Vec<String> =
            names.iter().flat_map(|alg| tails.iter().map(|tail| self.as_alg(alg) + tail)).collect();
        all.extend(names[..4].iter().map(|alg| format!("{}.{}", self.as_alg(alg), self.signature())));
        all
    }

    /// The public key, in every form a careless library might take for a shared secret.
    fn by_hmac(&self) -> Vec<String> {
        let der: Vec<u8> = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(), &self.public].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
        let secrets: Vec<Vec<u8>> = vec![
            self.public.clone(),
            self.jwk["x"].as_str().unwrap().into(),
            self.jwk.to_string().into(),
            self.jwk["kid"].as_str().unwrap().into(),
            der,
            pem.into(),
            Vec::new(),
            b"secret".to_vec(),
        ];
        let mut all = Vec::new();
        for (name, alg) in [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)] {
            for secret in &secrets {
                let key = EncodingKey::from_secret(secret);
                for said in [name, "EdDSA"] {
                    let head = with(&self.head, "alg", json!(said)).to_string();
                    all.push(self.seal(&head, &self.claims.to_string(), &key, alg));
                }
            }
        }
        all
    }

    /// Signed well, by somebody else, who offers their key along.
    fn by_strangers(&self) -> Vec<String> {
        let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
        let x = URL_SAFE_NO_PAD.encode(aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let heads = [
            self.head.clone(),
            with(&self.head, "jwk", jwk.clone()),
            with(&self.head, "jku", json!("http://127.0.0.1:9/jwks.json")),
            with(&self.head, "x5u", json!("http://127.0.0.1:9/cert")),
            with(&with(&self.head, "jwk", jwk), "kid", json!("other")),
            with(&self.head, "kid", json!("../../../../dev/null")),
        ];
        heads
            .iter()
            .map(|head| self.seal(&head.to_string(), &self.claims.to_string(), &key, Algorithm::EdDSA))
            .collect()
    }

    /// The server's own signature over what it never said.
    fn never_said(&self, app: &TestApp, refresh: &str, other: &SessionTokens) -> Vec<String> {
        let now = app.now().as_second();
        let mut all = Vec::new();
        for kid in [json!("other"), json!(""), json!(null), json!(1), json!([self.jwk["kid"]])] {
            all.push(self.with_head("kid", kid));
        }
        for typ in [json!("JWT"), json!("rt+jwt"), json!(""), json!(null), json!("application/json"), json!("id+jwt")] {
            all.push(self.with_head("typ", typ));
        }
        all.push(self.with_head("crit", json!(["exp"])));
        all.push(self.with_head("crit", json!(["b64"])));
        all.push(self.with_head("enc", json!("A256GCM")));
        all.push(self.with_head("zip", json!("DEF")));
        for name in ["iss", "aud", "sub", "sid", "exp", "iat"] {
            let mut claims = self.claims.clone();
            claims.as_object_mut().unwrap().remove(name);
            all.push(self.genuinely(&self.head, &claims));
            for value in [json!(null), json!(""), json!("other"), json!([]), json!({}), json!(true), json!(-1)] {
                all.push(self.with_claim(name, value));
            }
        }
        for aud in ["Afterglow", "afterglow ", "afterglow-admin"] {
            all.push(self.with_claim("aud", json!(aud)));
        }
        for iss in ["http://127.0.0.1:8080/", "http://127.0.0.1", "https://127.0.0.1:8080"] {
            all.push(self.with_claim("iss", json!(iss)));
        }
        let nobody = "0192f0c1-2345-7000-8000-00000000abcd";
        all.push(self.with_claim("sub", json!(nobody)));
        all.push(self.with_claim("sid", json!(nobody)));
        // Another's session with one's own account, and the other way round.
        all.push(self.with_claim("sub", json!(other.account.to_string())));
        all.push(self.with_claim("sid", json!(other.session.to_string())));
        for past in [now, now - 1, now - 600, 0, i64::MIN] {
            all.push(self.with_claim("exp", json!(past)));
        }
        all.push(self.with_claim("exp", json!(1e300)));
        all.push(self.with_claim("exp", json!((now + 300).to_string())));
        for future in [now + 3600, i64::MAX] {
            all.push(self.with_claim("nbf", json!(future)));
            all.push(self.with_claim("iat", json!(future)));
        }
        all.push(self.with_claim("exp", json!(now + 86_400 * 365)));
        let tomorrow = with(&with(&self.claims, "iat", json!(now + 86_400)), "exp", json!(now + 87_000));
        all.push(self.genuinely(&self.head, &tomorrow));
        all.push(self.with_claim("role", json!("admin")));
        let twice = self.claims.to_string().replacen('{', &format!("{{\"sub\":\"{nobody}\","), 1);
        all.push(self.seal(&self.head.to_string(), &twice, &self.genuine, Algorithm::EdDSA));
        for claims in ["", "[]", "null", "\"afterglow\"", "{}", "{", "\u{0}"] {
            all.push(self.seal(&self.head.to_string(), claims, &self.genuine, Algorithm::EdDSA));
        }
        for head in ["", "[]", "null", "{}", "{"] {
            all.push(self.seal(head, &self.claims.to_string(), &self.genuine, Algorithm::EdDSA));
        }
        all.push(refresh.to_owned());
        all.push(self.claims["sid"].as_str().unwrap().to_owned());
        all
    }

    /// The token, damaged.
    fn damaged(&self) -> Vec<String> {
        let token = &self.token;
        let mut all: Vec<String> = (0..token.len()).step_by(8).map(|end| token[..end].to_owned()).collect();
        for at in (0..token.len()).step_by(3) {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            all.push(String::from_utf8(bytes).unwrap());
        }
        // The unused bits of the last character of each part must be zero: one token, one spelling.
        let parts: Vec<&str> = token.split('.').collect();
        for part in 0..3 {
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let mut other = parts.iter().map(ToString::to_string).collect::<Vec<_>>();
            let last = other[part].pop().unwrap();
            let next = (alphabet.find(last).unwrap() ^ 1) as u8;
            other[part].push(char::from(alphabet.as_bytes()[usize::from(next)]));
            all.push(other.join("."));
        }
        let raw = URL_SAFE_NO_PAD.decode(self.signature()).unwrap();
        let signed = token.rsplit_once('.').unwrap().0;
        for at in (0..raw.len()).step_by(4) {
            let mut flipped = raw.clone();
            flipped[at] ^= 1;
            all.push(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(flipped)));
        }
        all.push(format!("{signed}.{}", URL_SAFE.encode(&raw)));
        all.push(format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64])));
        all.push(format!("{signed}.{}", URL_SAFE_NO_PAD.encode([raw.clone(), vec![0]].concat())));
        for tail in ["=", "==", ".", "..", ".x", "\u{20}x", ",", ";", "%00", "&", "A"] {
            all.push(format!("{token}{tail}"));
        }
        for lead in [".", "=", "Bearer ", "\"", "x"] {
            all.push(format!("{lead}{token}"));
        }
        all.push(format!("{}.{}.{}", parts[1], parts[0], parts[2]));
        all.push(token.to_uppercase());
        all.push(token.replace('.', " . "));
        all.push(token.replace('.', "%2E"));
        all.push(format!("{token}{}", "A".repeat(1000)));
        all.push(format!("{token}{}", "A".repeat(30_000)));
        all
    }
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

/// The headers, with the parts of tokens readable.
fn told(headers: &HeaderMap) -> String {
    let read = |part: &str| {
        let text = URL_SAFE_NO_PAD.decode(part).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.unwrap_or_else(|| part.chars().take(100).collect())
    };
    let line =
        |value: &HeaderValue| value.to_str().unwrap_or("?").split(['.', ' ']).map(read).collect::<Vec<_>>().join(" . ");
    headers.iter().map(|(name, value)| format!("{name}: {}", line(value))).collect::<Vec<_>>().join("\n    ")
}

fn alone(line: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.append("authorization", HeaderValue::from_str(line).ok()?);
    Some(headers)
}

/// The true token, presented wrongly.
fn misplaced(token: &str) -> Vec<HeaderMap> {
    let lines = [
        token.to_owned(),
        format!("Basic {token}"),
        format!("Basic {}", STANDARD.encode(format!("bearer:{token}"))),
        format!("Token {token}"),
        format!("JWT {token}"),
        format!("DPoP {token}"),
        format!("Bearer{token}"),
        format!("Bearer:{token}"),
        format!("Bearer={token}"),
        format!("Bearer\t{token}"),
        format!("Bearer \t{token}"),
        format!("Bearer Bearer {token}"),
        format!("Bearer token={token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer {token}, Bearer {token}"),
        format!("Basic x, Bearer {token}"),
        "Bearer".to_owned(),
        "Bearer  ".to_owned(),
        String::new(),
    ];
    let mut all: Vec<HeaderMap> = lines.iter().filter_map(|line| alone(line)).collect();
    let bearer = format!("Bearer {token}");
    for (first, second) in
        [(bearer.as_str(), "Bearer x"), ("Bearer x", &bearer), (&bearer, &bearer), (&bearer, "Basic x")]
    {
        let mut two = alone(first).unwrap();
        two.append("authorization", HeaderValue::from_str(second).unwrap());
        all.push(two);
    }
    for name in ["x-authorization", "proxy-authorization", "cookie", "x-forwarded-authorization", "x-access-token"] {
        let mut elsewhere = HeaderMap::new();
        elsewhere.append(name, HeaderValue::from_str(&bearer).unwrap());
        all.push(elsewhere);
    }
    all
}

#[actix_web::test]
async fn no_mutant_of_a_token_is_accepted() {
    let app = TestApp::start().await;
    let (ann, other) = (account(&app, "ann@example.org").await, account(&app, "bo@example.org").await);
    let forge = Forge::new(&app, &ann);
    let mut tokens: BTreeSet<String> = BTreeSet::new();
    for made in [
        forge.unsigned(),
        forge.by_hmac(),
        forge.by_strangers(),
        forge.never_said(&app, &ann.refresh, &other),
        forge.damaged(),
    ] {
        tokens.extend(made);
    }
    assert!(!tokens.remove(&forge.token), "a mutant is the token itself");
    let mut mutants: Vec<HeaderMap> = tokens.iter().filter_map(|token| alone(&format!("Bearer {token}"))).collect();
    mutants.extend(misplaced(&forge.token));
    assert!(mutants.len() >= 200, "{}", mutants.len());
    println!("{} mutants", mutants.len());

    // The forge makes tokens that the server takes, so a refusal below is for the one thing that was changed.
    let faithful = forge.genuinely(&forge.head, &forge.claims);
    app.get("/v1/me").bearer(&faithful).send().await.ok();
    app.get("/v1/me").bearer(&forge.token).send().await.ok();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut faults = Vec::new();
    for headers in mutants {
        let answer = http.get(format!("{}/v1/me", app.url)).headers(headers.clone()).send().await.unwrap();
        let status = answer.status().as_u16();
        let problem: Value = answer.json().await.unwrap();
        // A forged token must never make an app erase what it keeps.
        if status != 401 || problem["code"] != "unauthenticated" {
            faults.push(format!("{status} {} to {}", problem["code"], told(&headers)));
        }
    }
    assert!(faults.is_empty(), "{} of the mutants:\n{}", faults.len(), faults.join("\n"));
    app.get("/v1/me").bearer(&forge.token).send().await.ok();
}

fn kids(set: &Value) -> Vec<&str> {
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn a_rotation_of_the_signing_key_refuses_nobody_and_ends_the_old_key() {
    let app = TestApp::start_on_disk().await;
    let ann = account(&app, "ann@example.org").await;
    let vault = app.server.state.vault.clone();
    let old = vault.signing_keys().signing(app.now()).kid().to_owned();
    let rotation = vault.rotate_signing_key(app.now()).await.unwrap();
    assert!(vault.rotate_signing_key(app.now()).await.is_err(), "one rotation at a time");
    assert_eq!(rotation.from.duration_since(app.now()), SignedDuration::from_mins(5));

    let (mut access, mut refresh) = (ann.access, ann.refresh);
    let (mut signed, mut shown) = (BTreeSet::new(), BTreeSet::new());
    while app.now() <= rotation.until {
        let set = app.get("/.well-known/jwks.json").send().await.ok().body;
        let kid = head_of(&access)["kid"].as_str().unwrap().to_owned();
        assert!(kids(&set).contains(&kid.as_str()), "{kid} signs and is not published");
        shown.insert(kids(&set).len());
        signed.insert(kid);
        app.get("/v1/me").bearer(&access).send().await.ok();
        app.wait(SignedDuration::from_secs(590));
        app.get("/v1/me").bearer(&access).send().await.ok();
        let next = app.post("/v1/auth/refresh", json!({ "refresh_token": refresh })).send().await.ok();
        (access, refresh) = (next.text("/tokens/access_token"), next.text("/tokens/refresh_token"));
    }
    assert_eq!(signed, BTreeSet::from([old.clone(), rotation.kid.clone()]));
    assert!(shown.contains(&2), "both were published: {shown:?}");
    let set = app.get("/.well-known/jwks.json").send().await.ok().body;
    assert_eq!(kids(&set), [rotation.kid.as_str()]);
    assert!(vault.signing_keys().find(&old, app.now()).is_none());
    drop(vault);

    // A server that starts later signs alike, and a next rotation may begin.
    let app = app.restart().await;
    app.get("/v1/me").bearer(&access).send().await.ok();
    let vault = &app.server.state.vault;
    assert_eq!(vault.signing_keys().signing(app.now()).kid(), rotation.kid);
    assert_ne!(vault.rotate_signing_key(app.now()).await.unwrap().kid, rotation.kid);
}

#[actix_web::test]
async fn no_token_of_a_key_that_has_ended_is_accepted() {
    let app = TestApp::start().await;
    let ann = account(&app, "ann@example.org").await;
    let old = Forge::new(&app, &ann);
    let rotation = app.server.state.vault.rotate_signing_key(app.now()).await.unwrap();
    // Claims that are right at that time, signed with the key that has ended and with the one that has not.
    let later = SignedDuration::from_mins(21);
    app.wait(later);
    assert!(app.now() > rotation.until);
    let now = app.now().as_second();
    let claims = with(&with(&old.claims, "iat", json!(now)), "exp", json!(now + 600));
    let forged = old.genuinely(&old.head, &claims);
    app.get("/v1/me").bearer(&forged).send().await.expect(401).refused("unauthenticated");
    let next = app.post("/v1/auth/refresh", json!({ "refresh_token": ann.refresh })).send().await.ok();
    app.get("/v1/me").bearer(&next.text("/tokens/access_token")).send().await.ok();
}

/// S18: the rows of the keyring say when a key begins, and with that when the one before ends.
#[actix_web::test]
async fn s18_no_change_of_the_rows_of_the_signing_keys_brings_back_a_key_that_has_ended() {
    let mut app = TestApp::start_on_disk().await;
    let ann = account(&app, "ann@example.org").await;
    let (old, mut refresh) = (Forge::new(&app, &ann), ann.refresh);
    app.server.state.vault.rotate_signing_key(app.now()).await.unwrap();
    app.wait(SignedDuration::from_mins(21));
    let forged = |app: &TestApp| {
        let now = app.now().as_second();
        old.genuinely(&old.head, &with(&with(&old.claims, "iat", json!(now)), "exp", json!(now + 600)))
    };
    for change in [
        "SET created_at = created_at + 1",
        "SET created_at = 4102444800000000",
        "SET created_at = 4102444800000000, mac = NULL",
        "SET mac = (SELECT mac FROM kept)",
        "SET number = 7",
    ] {
        let keyring = app.server.state.config.key_dir.join("keyring.sqlite");
        let mut sql = Sql::open(&Backend::Sqlite(keyring));
        let kept = "CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM signing_keys";
        sql.run(&format!("{kept}; UPDATE signing_keys {change}"));
        drop(sql);
        app = app.restart().await;
        app.get("/v1/me").bearer(&forged(&app)).send().await.expect(401).refused("unauthenticated");
        // Everybody else goes on.
        let next = app.post("/v1/auth/refresh", json!({ "refresh_token": refresh })).send().await.ok();
        app.get("/v1/me").bearer(&next.text("/tokens/access_token")).send().await.ok();
        refresh = next.text("/tokens/refresh_token");
    }
    // A running server does not forget a key that another process knows nothing of.
    Sql::open(&Backend::Sqlite(app.server.state.config.key_dir.join("keyring.sqlite"))).run("DELETE FROM signing_keys");
    app.server.state.vault.reload_signing_keys().await.unwrap();
    app.get("/v1/me").bearer(&forged(&app)).send().await.expect(401).refused("unauthenticated");
}

#[actix_web::test]
async fn the_metadata_of_the_server_says_what_is_there() {
    let app = TestApp::start().await;
    let said = app.get("/.well-known/oauth-authorization-server").send().await.ok().body;
    let ann = account(&app, "ann@example.org").await;
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(ann.access.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!(said["issuer"], claims["iss"]);
    for (name, path) in [("jwks_uri", "/.well-known/jwks.json"), ("revocation_endpoint", "/v1/auth/revoke")] {
        assert_eq!(said[name], format!("{}{path}", said["issuer"].as_str().unwrap()));
    }
    assert_eq!((&said["grant_types_supported"], &said["response_types_supported"]), (&json!([]), &json!([])));
}

fn head_of(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

#[actix_web::test]
async fn a_token_of_a_megabyte_is_refused_and_harms_nobody() {
    let app = TestApp::start().await;
    let ann = account(&app, "ann@example.org").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for size in [40_000, 120_000, 1_000_000] {
        let line = format!("Bearer {}{}", ann.access, "A".repeat(size));
        // The server may hang up before it has read all of it: that is a refusal too.
        if let Ok(answer) = http.get(format!("{}/v1/me", app.url)).header("authorization", line).send().await {
            assert!(answer.status().is_client_error(), "{size}: {}", answer.status());
        }
        app.get("/v1/me").bearer(&ann.access).send().await.ok();
    }
}

#[actix_web::test]
async fn a_token_is_good_for_ten_minutes_and_not_a_second_more_cached_or_not() {
    let app = TestApp::start().await;
    let (ann, bo) = (account(&app, "ann@example.org").await, account(&app, "bo@example.org").await);
    app.get("/v1/me").bearer(&ann.access).send().await.ok();
    app.wait(SignedDuration::from_secs(599));
    app.get("/v1/me").bearer(&ann.access).send().await.ok();
    app.wait(SignedDuration::from_secs(1));
    // Ann's token is in the cache of those verified, Bo's was never seen.
    for token in [&ann.access, &bo.access] {
        app.get("/v1/me").bearer(token).send().await.expect(401).refused("unauthenticated");
    }
}

#[actix_web::test]
async fn a_refresh_token_opens_nothing_and_an_access_token_refreshes_nothing() {
    let app = TestApp::start().await;
    let ann = account(&app, "ann@example.org").await;
    app.get("/v1/me").bearer(&ann.refresh).send().await.expect(401).refused("unauthenticated");
    let body = json!({ "refresh_token": ann.access });
    app.post("/v1/auth/refresh", body).send().await.expect(401).refused("refresh_invalid");
}
