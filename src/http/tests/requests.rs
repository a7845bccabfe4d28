//! Parameters, preconditions, keys, response headers, limits.

use super::*;

fn get(uri: &str) -> TestRequest {
    TestRequest::get().uri(uri)
}

#[actix_web::test]
async fn parameters_are_typed_and_faults_name_them() {
    let entry = "018f3b6e-0000-7000-8000-000000000001";
    let good = ask(get(THING)).await;
    assert_eq!(good.json(), json!({"patient": "me", "id": entry}));
    let other = ask(get(&format!("/v1/patients/{entry}/things/{entry}"))).await;
    assert_eq!(other.json()["patient"], entry);
    let simple = entry.replace('-', "");
    for (uri, pointer) in [
        ("/v1/patients/me/things/canary".to_owned(), "path/entry_id"),
        (format!("/v1/patients/you/things/{entry}"), "path/patient_id"),
        (format!("/v1/patients/{simple}/things/{entry}"), "path/patient_id"),
        ("/v1/patients/me/things?limit=canary".to_owned(), "query/limit"),
        ("/v1/patients/me/things?limit=0".to_owned(), "query/limit"),
        ("/v1/patients/me/things?limit=99999999999999999999".to_owned(), "query/limit"),
        ("/v1/patients/me/things?drafts=canary".to_owned(), "query/drafts"),
        ("/v1/patients/me/things?colour=canary".to_owned(), "query/colour"),
        ("/v1/patients/me/things?limit=1&limit=2".to_owned(), "query/limit"),
    ] {
        let answer = ask(get(&uri)).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid"), "{uri}");
        assert_eq!(answer.pointer(), pointer, "{uri}");
    }
}

#[actix_web::test]
async fn all_faults_of_a_listing_are_told_at_once() {
    let answer = ask(get("/v1/patients/me/things?limit=0&drafts=canary&colour=1")).await;
    assert_eq!(answer.places(), ["query/colour", "query/drafts", "query/limit"]);
}

#[actix_web::test]
async fn a_page_links_to_the_next_one() {
    let page = ask(get("/v1/patients/me/things?limit=5&cursor=old&drafts=true")).await;
    assert_eq!(page.json(), json!({"items": [5], "drafts": true, "cursor": "old"}));
    let link = "</v1/patients/me/things?limit=5&drafts=true&cursor=abc_->; rel=\"next\"";
    assert_eq!(page.header("link"), link);
}

#[test]
fn the_reference_to_a_patient_has_one_form() {
    use utoipa::PartialSchema;
    let schema = serde_json::to_value(PatientRef::schema()).unwrap();
    assert_eq!(schema["type"], "string");
    assert!(schema["pattern"].as_str().unwrap().starts_with("^(me|"));
    for bad in ["", "ME", "{018f3b6e-0000-7000-8000-00000000000}", "018f3b6e-0000-7000-8000-00000000000g"] {
        assert!(bad.parse::<PatientRef>().is_err(), "{bad}");
    }
}

#[actix_web::test]
async fn changes_name_the_version_they_change() {
    let patch = |tag: Option<&'static str>| {
        let request = TestRequest::patch().uri(THING).set_payload("{}");
        let request = request.insert_header(("content-type", "application/json"));
        ask(tag.into_iter().fold(request, |request, tag| request.insert_header(("if-match", tag))))
    };
    assert_eq!(patch(None).await.code(), "precondition_required");
    for fresh in ["\"v3\"", "*", "\"v1\", \"v3\"", "\"a,b\" ,\"v3\""] {
        assert_eq!(patch(Some(fresh)).await.status, 200, "{fresh}");
    }
    for stale in ["\"v2\"", "\"V3\"", "\"\"", "\"v1\",\"v2\""] {
        assert_eq!(patch(Some(stale)).await.code(), "stale", "{stale}");
    }
    for wrong in ["v3", "\"v3", "\"v3\" \"v4\"", "\"v3\",", "*, \"v3\"", "\"v 3\"", ",", "w/\"v3\""] {
        let answer = patch(Some(wrong)).await;
        assert_eq!((answer.status, answer.pointer().as_str()), (422, "header/if-match"), "{wrong}");
    }
}

/// What proxies make of a tag: nginx makes it weak when it compresses, others add what they compressed with.
fn spelled_by_proxies(tag: &str) -> Vec<String> {
    let mut all = vec![format!("W/\"{tag}\""), format!("\"{tag}\"-gzip"), format!("\"{tag}-gzip-br\"")];
    for ending in ["-gzip", "--gzip", ";gzip", "-br", "--br", ";br", "-zstd", "-deflate"] {
        all.extend([
            format!("\"{tag}{ending}\""),
            format!("W/\"{tag}{ending}\""),
            format!("\"x\", W/\"{tag}{ending}\""),
        ]);
    }
    all
}

#[actix_web::test]
async fn what_proxies_make_of_a_tag_is_the_same_tag() {
    let patch = |tag: &str| {
        let request = TestRequest::patch().uri(THING).set_payload("{}");
        ask(request.insert_header(("content-type", "application/json")).insert_header(("if-match", tag)))
    };
    let read = |tag: &str| ask(get(THING).insert_header(("if-none-match", tag)));
    for tag in spelled_by_proxies("v3") {
        assert_eq!(patch(&tag).await.status, 200, "{tag}");
    }
    for tag in spelled_by_proxies("a1,b2") {
        assert_eq!(read(&tag).await.status, 304, "{tag}");
    }
    for tag in spelled_by_proxies("v2").iter().map(String::as_str).chain(["\"v3gzip\"", "\"v3-\"", "\"-gzip\""]) {
        assert_eq!((patch(tag).await.code().as_str(), read(tag).await.status), ("stale", 200), "{tag}");
    }
    // A tag of the server's own that ends like that is taken as it is.
    let own = EntityTag::opaque("mac-br");
    assert!(Preconditions::matching(own.clone()).require(&own).is_ok());
    assert!(Preconditions::matching(EntityTag::opaque("mac")).require(&own).is_err());
}

#[actix_web::test]
async fn conditions_are_bounded() {
    let known = |text: String| ask(get(THING).insert_header(("if-none-match", text)));
    let tags = |count: usize| vec!["W/\"x\""; count].join(",");
    assert_eq!((known(tags(32)).await.status, known(tags(33)).await.status), (200, 422));
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    assert_eq!((known(long(200)).await.status, known(long(201)).await.status), (200, 422));
}

#[actix_web::test]
async fn a_known_state_is_not_sent_again() {
    for known in ["\"a1,b2\"", "W/\"a1,b2\"", "\"x\", \"a1,b2\"", "*"] {
        let answer = ask(get(THING).insert_header(("if-none-match", known))).await;
        assert_eq!((answer.status, answer.body.len(), answer.header("etag")), (304, 0, "\"a1,b2\""), "{known}");
        assert_eq!(answer.header("cache-control"), "private, no-cache");
    }
    assert_eq!(ask(get(THING).insert_header(("if-none-match", "\"old\""))).await.status, 200);
}

#[test]
fn preconditions_where_nothing_exists() {
    let tag = EntityTag::version(3);
    assert!(Preconditions::creating().check(None).is_ok());
    assert!(Preconditions::creating().check(Some(&tag)).is_err());
    assert!(Preconditions::matching(tag.clone()).check(None).is_err());
    assert!(Preconditions::matching(tag.clone()).require(&tag).is_ok());
    assert!(Preconditions::none().check(None).is_ok());
    assert_eq!(tag.as_version(), Some(3));
    assert_eq!(EntityTag::opaque("a\"\r\nb").to_string(), "\"ab\"");
}

#[actix_web::test]
async fn idempotency_keys_are_short_and_visible() {
    let put = |key: String| {
        let request = TestRequest::put().uri(THING).insert_header(("content-type", "application/json"));
        ask(request.insert_header(("idempotency-key", key)).set_payload(r#"{"text":{"title":"t","body":"b"}}"#))
    };
    assert_eq!(put("a".repeat(255)).await.status, 200);
    for bad in [String::new(), "a".repeat(256), "a b".to_owned(), "ü".to_owned()] {
        let answer = put(bad).await;
        assert_eq!((answer.status, answer.pointer().as_str()), (422, "header/idempotency-key"));
    }
    let twice = TestRequest::put().uri(THING).append_header(("idempotency-key", "a"));
    assert_eq!(ask(twice.append_header(("idempotency-key", "b"))).await.status, 422);
}

#[actix_web::test]
async fn every_response_carries_the_security_headers() {
    for uri in ["/nowhere", THING, "/odd/internal", "/odd/panic", "/docs/", "/odd/text"] {
        let answer = ask(get(uri)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{uri}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert!(answer.header("strict-transport-security").starts_with("max-age="));
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("content-security-policy").contains("script-src"), uri.starts_with("/docs"), "{uri}");
        assert!(!answer.header("cache-control").is_empty());
    }
    assert_eq!(ask(get("/odd/id")).await.header("cache-control"), "no-store", "unless said otherwise");
}

#[actix_web::test]
async fn request_ids_and_traces_are_taken_when_they_are_sane() {
    let given = ask(get("/odd/id").insert_header(("x-request-id", "phone-7_a.b"))).await;
    assert_eq!((given.header("x-request-id"), given.body.as_slice()), ("phone-7_a.b", &b"phone-7_a.b"[..]));
    for bad in ["", "a b", "a\"", &"a".repeat(65)] {
        let answer = ask(get("/odd/id").insert_header(("x-request-id", bad))).await;
        assert!(Uuid::parse_str(answer.header("x-request-id")).is_ok(), "{bad}");
    }
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(ask(get("/odd/id").insert_header(("traceparent", trace))).await.header("traceparent"), trace);
    for bad in
        ["00-0-0-0", &trace.replace('a', "A"), &trace.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32))]
    {
        assert_eq!(ask(get("/odd/id").insert_header(("traceparent", bad))).await.header("traceparent"), "", "{bad}");
    }
}

#[actix_web::test]
async fn guessing_is_limited_by_address() {
    let app = init_service(build(&guarded(3)).0).await;
    let from = |address: &str| {
        let login =
            TestRequest::post().uri("/v1/auth/login").insert_header(("x-forwarded-for", Uuid::nil().to_string()));
        login.peer_addr(format!("{address}:40000").parse().unwrap())
    };
    for left in ["2", "1", "0"] {
        // As many may succeed as like.
        let right = call(&app, from("203.0.113.1").insert_header(("x-right", "yes")).to_request()).await;
        assert_eq!((right.status, right.header("cache-control")), (200, "no-store"));
        let answer = call(&app, from("203.0.113.1").to_request()).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("ratelimit-policy"), "\"auth\";q=3;w=60");
        assert!(answer.header("ratelimit").starts_with(&format!("\"auth\";r={left};t=")), "{left}");
    }
    let refused = call(&app, from("203.0.113.1").to_request()).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "too_many_requests"));
    assert!((1..=21).contains(&refused.header("retry-after").parse::<u32>().unwrap()));
    assert!(refused.header("ratelimit").starts_with("\"auth\";r=0"));
    let encoded = TestRequest::post().uri("/v1/%61uth/login").peer_addr("203.0.113.1:5".parse().unwrap());
    assert_ne!(call(&app, encoded.to_request()).await.status, 200, "no way around by another spelling");
    let right = from("203.0.113.1").insert_header(("x-right", "yes"));
    assert_eq!(call(&app, right.to_request()).await.status, 429, "a guess that is right is refused too");
    assert_eq!(call(&app, from("203.0.113.2").to_request()).await.status, 401);
    assert_eq!(call(&app, get(THING).peer_addr("203.0.113.1:5".parse().unwrap()).to_request()).await.status, 200);
}

#[actix_web::test]
async fn all_requests_are_limited_generously() {
    let limits = LimitSettings { general_per_minute: NonZeroU32::new(2), ..LimitSettings::default() };
    let app = init_service(build(&limits).0).await;
    assert_eq!(call(&app, get(THING).to_request()).await.status, 200);
    assert_eq!(call(&app, get("/nowhere").to_request()).await.status, 404);
    assert_eq!(call(&app, get(THING).to_request()).await.code(), "too_many_requests");
}
