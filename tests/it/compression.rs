//! What is compressed, what never is, and what a client may do with the tag of a compressed body.

use serde_json::json;

use crate::support::app::{Answer, new_id};
use crate::support::journal::reflection;
use crate::support::people::{Clinic, PASSPHRASE};

fn coding(answer: &Answer) -> Option<&str> {
    answer.headers.get("content-encoding").map(String::as_str)
}

#[actix_web::test]
async fn rule_what_anybody_may_read_is_compressed_for_who_takes_it() {
    let clinic = Clinic::open().await;
    for path in ["/openapi.json", "/docs/guide", "/schemas/exercise.json", "/docs/changes"] {
        let plain = clinic.app.get(path).send().await.ok();
        assert_eq!(coding(&plain), None, "{path}");
        for (asked, given) in [("gzip", "gzip"), ("br", "br"), ("gzip, br;q=0.1", "gzip"), ("GZIP;q=0.5", "gzip")] {
            let packed = clinic.app.get(path).header("accept-encoding", asked).send().await.ok();
            assert_eq!(coding(&packed), Some(given), "{path}: {asked}");
            assert_eq!(packed.bytes, plain.bytes, "{path}: {asked}");
            assert!(packed.headers["vary"].contains("accept-encoding"), "{path}: {:?}", packed.headers);
        }
        for asked in ["identity", "deflate;q=0", "gzip;q=0"] {
            let sent = clinic.app.get(path).header("accept-encoding", asked).send().await.ok();
            assert_eq!((coding(&sent), sent.bytes == plain.bytes), (None, true), "{path}: {asked}");
        }
    }
}

#[actix_web::test]
async fn rule_a_patients_own_words_are_compressed_and_what_others_read_or_wrote_is_not() {
    let clinic = Clinic::open().await;
    let (ann, thea) = (&clinic.ann, &clinic.therapist);
    let mut long = reflection("Lake");
    long["text"]["body"] = json!("It was quiet. ".repeat(300));
    let entry = ann.writes(long).await;
    ann.opens(&entry, &["text"], thea).await;
    let comments = ann.my(&format!("/entries/{entry}/comments"));
    for _ in 0..20 {
        let said = json!({ "body": "I read it twice. ".repeat(10), "thread_id": clinic.link });
        ann.says(&comments, said).send().await.created();
    }
    let own = [ann.my(&format!("/entries/{entry}")), ann.my("/entries")];
    for path in ["/v1/exercises", "/v1/exercises/values-sort", "/v1/protocols/afterglow-default"] {
        let packed = ann.get(path).header("accept-encoding", "br").send().await.ok();
        assert_eq!(coding(&packed), Some("br"), "{path}: everybody reads the same");
    }
    for path in &own {
        let packed = ann.get(path).header("accept-encoding", "gzip").send().await.ok();
        assert_eq!(coding(&packed), Some("gzip"), "{path}");
        let plain = ann.get(path).send().await.ok();
        assert_eq!(
            (packed.bytes, packed.headers["etag"].clone()),
            (plain.bytes, format!("W/{}", plain.headers["etag"]))
        );
        // The tag is good for asking again.
        let again = ann.get(path).header("accept-encoding", "gzip").header("if-none-match", &packed.headers["etag"]);
        let again = again.send().await.expect(304);
        assert_eq!((coding(&again), again.bytes.len()), (None, 0), "{path}");
    }
    // And for a change.
    let seen = ann.get(&own[0]).header("accept-encoding", "gzip").send().await.ok().etag();
    let change = json!({ "text": { "title": "The lake" } });
    ann.patch(&own[0], change).if_match(&seen).send().await.ok();

    let refused = ann.my("/entries?kind=nothing-of-the-kind");
    for (who, path, status) in [
        (thea, ann.of_theirs("/entries"), 200),
        (thea, ann.of_theirs(&format!("/entries/{entry}")), 200),
        (ann, comments, 200),
        (ann, ann.my("/access-log?limit=200"), 200),
        (ann, "/v1/me".to_owned(), 200),
        (ann, refused, 422),
    ] {
        let sent = who.get(&path).header("accept-encoding", "gzip, br").send().await.expect(status);
        assert_eq!(coding(&sent), None, "{path}");
        assert!(sent.headers.get("etag").is_none_or(|tag| !tag.starts_with("W/")), "{path}");
    }
    let body = json!({ "email": ann.get("/v1/me").send().await.ok().text("/email"), "passphrase": PASSPHRASE });
    let tokens = clinic.app.post("/v1/auth/login", body).header("accept-encoding", "gzip").send().await;
    assert_eq!(coding(&tokens), None, "{:?}", tokens.status);
}

#[actix_web::test]
async fn who_takes_no_coding_at_all_is_told_so() {
    let clinic = Clinic::open().await;
    let sent = clinic.app.get("/docs/guide").header("accept-encoding", "identity;q=0, compress").send().await;
    assert_eq!((sent.status.as_u16(), &sent.body["status"]), (406, &json!(406)), "{:?}", sent.headers);
    let page = clinic.app.get(&sent.text("/type")).send().await.ok();
    assert!(String::from_utf8(page.bytes).unwrap().contains("Accept-Encoding"), "it says what to mend");
    // As the document says of each operation, and before it is done.
    let (ann, none) = (&clinic.ann, "identity;q=0");
    ann.get("/v1/me").header("accept-encoding", none).send().await.expect(406).refused("not_acceptable");
    let path = ann.my(&format!("/entries/{}", new_id(&clinic.app)));
    let writes = ann.put(&path, reflection("Lake")).header("accept-encoding", none);
    writes.send().await.expect(406).refused("not_acceptable");
    ann.get(&path).send().await.not_found();
}
