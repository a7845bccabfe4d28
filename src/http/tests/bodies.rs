//! Bodies: bombs, limits, pointers, and no echo of the content.

use std::cell::Cell;
use std::io::Write as _;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use serde::Deserializer;

use super::*;

fn put(body: impl Into<Bytes>) -> TestRequest {
    TestRequest::put().uri(THING).insert_header(("content-type", "application/json")).set_payload(body)
}

fn thing(extra: &str) -> String {
    format!(r#"{{"text":{{"title":"t","body":"b"}}{extra}}}"#)
}

#[actix_web::test]
async fn a_good_body_arrives() {
    let answer = ask(put(thing("")).insert_header(("idempotency-key", "k-1"))).await;
    assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["text"]["title"], "t");
    assert_eq!(answer.json()["key"], "k-1");
    assert_eq!(
        answer.json()["parts"],
        json!([3, "/v1/patients/{patient_id}/things/{entry_id}".len(), 36, thing("").len()])
    );
    assert_eq!(answer.header("cache-control"), "private, no-cache");
}

#[actix_web::test]
async fn bombs_and_oddities_are_refused_and_never_a_fault_of_the_server() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_object = "{\"a\":".repeat(100_000);
    let bombs: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".to_vec(),
        b"canary".to_vec(),
        deep.into_bytes(),
        deep_object.into_bytes(),
        thing(&format!(r#","x":{}1{}"#, "[".repeat(70), "]".repeat(70))).into_bytes(),
        thing(r#","mood":1e400"#).into_bytes(),
        thing(r#","mood":1,"mood":2"#).into_bytes(),
        br#"{"text":{"title":"canary","title":"u","body":"b"}}"#.to_vec(),
        br#"{"text":{"title":"\ud800","body":"b"}}"#.to_vec(),
        br#"{"text":{"title":"\udc00\ud800","body":"b"}}"#.to_vec(),
        b"{\"text\":{\"title\":\"\xff\",\"body\":\"b\"}}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        thing("").into_bytes().into_iter().chain(*b" {}").collect(),
        thing(r#","mood":NaN"#).into_bytes(),
    ];
    for (number, bomb) in bombs.into_iter().enumerate() {
        let answer = ask(put(bomb)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "bomb {number}");
    }
}

#[actix_web::test]
async fn wrong_fields_are_pointed_to_and_their_values_not_repeated() {
    let id = "018f3b6e-0000-7000-8000-000000000001";
    let cases = [
        (r#"{"text":{"body":"b"}}"#.to_owned(), "/text/title", "is required"),
        (r#"{"text":{"title":7,"body":"b"}}"#.to_owned(), "/text/title", "must be a string"),
        (thing(r#","mood":"canary, expected canary""#), "/mood", "must be a number"),
        (thing(r#","colour":"canary""#), "/colour", "is not known"),
        (thing(&format!(r#","links":["{id}","canary"]"#)), "/links/1", "must be a UUID"),
        (thing(r#","a/b~c":1"#), "/a~1b~0c", "is not known"),
        (r#"{"text":"canary"}"#.to_owned(), "/text", "must be an object"),
        (r#"[{"title":"t","body":"b"},null,[]]"#.to_owned(), "", "must be an object"),
        (r#"{"text":["canary","b"]}"#.to_owned(), "/text", "must be an object"),
        ("null".to_owned(), "", "must be an object"),
    ];
    for (body, pointer, detail) in cases {
        let answer = ask(put(body.clone())).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid"), "{body}");
        assert_eq!((answer.pointer().as_str(), answer.detail().as_str()), (pointer, detail), "{body}");
    }
}

#[actix_web::test]
async fn all_faults_of_a_body_are_told_at_once() {
    let faults = |answer: &ChangeResult| -> Vec<(String, String)> {
        let told = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
        let list = answer.json()["errors"].as_array().unwrap().clone();
        list.iter().map(|fault| (told(fault, "pointer"), told(fault, "detail"))).collect()
    };
    let expect = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(pointer, detail)| ((*pointer).to_owned(), (*detail).to_owned())).collect()
    };
    let body = r#"{"text":{"title":7,"font":"canary"},"mood":"canary","links":[1,"canary"],"colour":1}"#;
    let wrong = [("/links/0", "must be a UUID"), ("/mood", "must be a number"), ("/text/title", "must be a string")];
    let unknown = [("/colour", "is not known"), ("/text/font", "is not known")];
    let strict = ask(put(body)).await;
    assert_eq!((strict.status, strict.code().as_str()), (422, "invalid"));
    assert_eq!(faults(&strict), expect(&[&unknown[..], &wrong].concat()));
    let lenient = ask(put(body).insert_header(("prefer", "handling=lenient"))).await;
    assert_eq!(faults(&lenient), expect(&wrong));
    // A missing field of one object does not hide a fault in another.
    let missing = ask(put(r#"{"text":{},"mood":"canary"}"#)).await;
    assert_eq!(faults(&missing), expect(&[("/mood", "must be a number"), ("/text/title", "is required")]));
}

#[actix_web::test]
async fn a_lenient_client_is_told_what_was_ignored() {
    let lenient = ("prefer", "respond-async, handling=lenient");
    let body = r#"{"text":{"title":"t","body":"b","font":"x"},"colour":{"a":[1]}}"#;
    let answer = ask(put(body).insert_header(lenient)).await;
    assert_eq!(answer.status, 200);
    let warnings = answer.json()["warnings"].to_string();
    assert!(warnings.contains("\"/text/font\"") && warnings.contains("\"/colour\""), "{warnings}");
    assert_eq!(answer.header("preference-applied"), "handling=lenient");
    assert_eq!(ask(put(r#"{"text":{"title":1,"body":"b"},"x":1}"#).insert_header(lenient)).await.status, 422);
    assert_eq!(ask(put(body)).await.status, 422);
    let many: String = (0..100).fold(String::new(), |all, n| format!("{all},\"x{n}\":1"));
    assert_eq!(ask(put(thing(&many)).insert_header(lenient)).await.status, 422, "bounded");
}

#[actix_web::test]
async fn the_media_type_is_checked() {
    let with = |kind: &str| {
        let request = TestRequest::put().uri(THING).set_payload(thing(""));
        ask(request.insert_header(("content-type", kind.to_owned())))
    };
    for good in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"] {
        assert_eq!(with(good).await.status, 200, "{good}");
    }
    for bad in ["text/plain", "application/json; charset=latin1", "application/merge-patch+json", "nonsense", "a/b"] {
        assert_eq!(with(bad).await.code(), "unsupported_media_type", "{bad}");
    }
    assert_eq!(ask(TestRequest::put().uri(THING).set_payload(thing(""))).await.status, 415, "no type");
    assert_eq!(ask(put(thing("")).insert_header(("content-encoding", "gzip"))).await.status, 415, "no unpacking");
    assert_eq!(ask(put(thing("")).insert_header(("content-encoding", "identity"))).await.status, 200);
}

#[actix_web::test]
async fn a_patch_tells_null_from_absent() {
    let patch = |body: &'static str, kind: &'static str| {
        let request = TestRequest::patch().uri(THING).set_payload(body).insert_header(("if-match", "\"v3\""));
        ask(request.insert_header(("content-type", kind)))
    };
    for kind in ["application/merge-patch+json", "application/json"] {
        assert_eq!(patch(r#"{"title":null}"#, kind).await.json()["title"], "Clear");
        assert_eq!(patch("{}", kind).await.json()["title"], "Keep");
        assert_eq!(patch(r#"{"title":"x"}"#, kind).await.json()["title"], "Set(\"x\")");
    }
}

/// Applies a patch to a thing: answers the faults, or the changed thing.
async fn patched(body: &str, prefer: &str) -> Result<Value, Vec<(String, String)>> {
    let json = [("content-type", "application/merge-patch+json"), ("prefer", prefer)];
    let request = json.into_iter().fold(TestRequest::patch(), TestRequest::insert_header).set_payload(body.to_owned());
    let (request, mut payload) = request.to_http_parts();
    let told = |error| -> Vec<(String, String)> {
        match error {
            Error::Invalid(list) => list.into_iter().map(|fault| (fault.pointer, fault.detail)).collect(),
            other => panic!("{other:?}"),
        }
    };
    let patch = Patch::<PutThing>::from_request(&request, &mut payload).await.map_err(told)?;
    let text = Words { title: "old".to_owned(), body: "old".to_owned() };
    let thing = patch.apply(&PutThing { text, mood: Some(1.0), links: vec![Uuid::max()] }).map_err(told)?;
    Ok(serde_json::to_value(thing).unwrap())
}

#[actix_web::test]
async fn all_faults_of_a_patch_are_told_at_once_and_before_it_is_applied() {
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(pointer, detail)| ((*pointer).to_owned(), (*detail).to_owned())).collect()
    };
    let body = r#"{"text":{"title":null,"font":1},"mood":null,"links":[7,null],"colour":null}"#;
    let unknown = [("/colour", "is not known"), ("/text/font", "is not known")];
    let wrong = [("/mood", "cannot be cleared"), ("/text/title", "cannot be cleared"), ("/links/0", "must be a UUID")];
    assert_eq!(patched(body, "").await, Err(pairs(&[&unknown[..], &wrong].concat())));
    assert_eq!(patched(body, "handling=lenient").await, Err(pairs(&wrong)));
    // A field that a patch leaves out does not hide a later fault.
    let after = r#"{"text":{"title":"new"},"mood":"canary","paper":1}"#;
    let faults = [("/paper", "is not known"), ("/mood", "must be a number")];
    assert_eq!(patched(after, "").await, Err(pairs(&faults)));
    assert_eq!(patched(r"[1]", "").await, Err(pairs(&[("", "must be an object")])));

    let thing =
        |title: &str, links: Value| json!({"text": {"title": title, "body": "old"}, "mood": 1.0, "links": links});
    let one = json!([Uuid::max()]);
    assert_eq!(patched(r#"{"text":{"title":"new"}}"#, "").await, Ok(thing("new", one.clone())));
    assert_eq!(patched(r#"{"text":{"font":{"size":1}},"ink":2}"#, "handling=lenient").await, Ok(thing("old", one)));
    assert_eq!(patched(r#"{"links":null}"#, "").await, Ok(thing("old", json!([]))));
}

#[actix_web::test]
async fn a_large_body_with_many_faults_is_read_a_few_times_only() {
    // Each fault costs one more reading of the body: 256 KB in all at most.
    let wrong = |bytes: usize| async move {
        let body = format!(r#"{{"text":{{"title":7,"body":8}},"mood":"{}","links":1}}"#, "x".repeat(bytes));
        let request = TestRequest::put().insert_header(("content-type", "application/json")).set_payload(body);
        let (request, mut payload) = request.to_http_parts();
        match Body::<PutThing>::from_request(&request, &mut payload).await.unwrap_err() {
            Error::Invalid(list) => list.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([wrong(10).await, wrong(100_000).await, wrong(900_000).await], [4, 2, 1]);
}

#[actix_web::test]
async fn an_optional_body_may_be_absent_and_not_wrong() {
    let uri = format!("{THING}/complete");
    let absent = ask(TestRequest::post().uri(&uri)).await;
    assert_eq!((absent.status, absent.header("cache-control")), (204, "no-store"));
    let json = ("content-type", "application/json");
    let whole = TestRequest::post().uri(&uri).insert_header(json).set_payload(r#"{"title":"t","body":"b"}"#);
    assert_eq!(ask(whole).await.status, 200);
    assert_eq!(ask(TestRequest::post().uri(&uri).insert_header(json).set_payload("{}")).await.status, 422);
    assert_eq!(ask(TestRequest::post().uri(&uri).set_payload("{}")).await.status, 415);
}

#[actix_web::test]
async fn a_large_body_is_refused_before_it_is_read() {
    let announced = TestRequest::put()
        .insert_header(("content-type", "application/json"))
        .insert_header(("content-length", "1048577"))
        .to_http_request();
    let unread = stream::poll_fn(|_| -> std::task::Poll<Option<std::result::Result<Bytes, PayloadError>>> {
        panic!("the body was read")
    });
    let mut payload: Payload = Payload::Stream { payload: Box::pin(unread) };
    let error = Body::<PutThing>::from_request(&announced, &mut payload).await.unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);

    let silent = TestRequest::put().insert_header(("content-type", "application/json")).to_http_request();
    let mut chunks = 0;
    let endless = stream::poll_fn(move |_| {
        chunks += 1;
        assert!(chunks <= 17, "read on past the limit");
        std::task::Poll::Ready(Some(Ok(Bytes::from(vec![b' '; 64 * 1024]))))
    });
    let mut payload: Payload = Payload::Stream { payload: Box::pin(endless) };
    let error = Body::<PutThing>::from_request(&silent, &mut payload).await.unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_given_up() {
    let request = TestRequest::put()
        .insert_header(("content-type", "application/json"))
        .app_data(BodyLimit { bytes: 100, time: Duration::from_millis(20) })
        .to_http_request();
    let mut payload: Payload = Payload::Stream { payload: Box::pin(stream::pending()) };
    let error = Body::<PutThing>::from_request(&request, &mut payload).await.unwrap_err();
    assert_eq!(error.code(), Code::RequestTimeout);
}

thread_local! {
    /// How many letters this thread has read.
    static LETTERS: Cell<usize> = const { Cell::new(0) };
}

fn noted<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<String, D::Error> {
    LETTERS.set(LETTERS.get() + 1);
    String::deserialize(from)
}

#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct PutLetter {
    #[serde(deserialize_with = "noted")]
    letter: String,
}

impl Patchable for PutLetter {
    const FIXED: &'static [&'static str] = &[];
}

impl Packed for PutLetter {
    const WORDS: &'static str = "/letter";
}

/// How many letters this thread reads when it takes one of so many bytes as a `B`.
async fn read_here<B: FromRequest<Error = Error>>(bytes: usize, packed: bool) -> usize {
    let body = json!({ "letter": "w".repeat(bytes), "stranger": 1 }).to_string();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body.as_bytes()).unwrap();
    let body = if packed { gzip.finish().unwrap() } else { body.into_bytes() };
    let request = TestRequest::post()
        .insert_header(("content-type", "application/json"))
        .insert_header(("content-encoding", if packed { "gzip" } else { "identity" }))
        .insert_header(("idempotency-key", "k-1"))
        .insert_header(("prefer", "handling=lenient"))
        .set_payload(body);
    let (request, mut payload) = request.to_http_parts();
    LETTERS.set(0);
    B::from_request(&request, &mut payload).await.unwrap();
    let warned = request.extensions().get::<body::Warnings>().map(|warnings| warnings.0[0].pointer.clone());
    assert_eq!(warned.as_deref(), Some("/stranger"), "wherever it is read, the reply tells of ignored fields");
    LETTERS.get()
}

#[actix_web::test]
async fn a_long_body_is_read_where_no_other_request_waits_for_it_and_a_short_one_at_once() {
    const MOST: usize = 8 * 1024 * 1024;
    const LONG: usize = 200 * 1024;
    for (bytes, here) in [(100, 1), (LONG, 0)] {
        assert_eq!(read_here::<Body<PutLetter>>(bytes, false).await, here, "{bytes}");
        assert_eq!(read_here::<MaybeBody<PutLetter>>(bytes, false).await, here, "{bytes}");
        assert_eq!(read_here::<Patch<PutLetter>>(bytes, false).await, here, "{bytes}");
        assert_eq!(read_here::<PackedBody<PutLetter, MOST>>(bytes, false).await, here, "{bytes}");
        assert_eq!(read_here::<Unfailing<Body<PutLetter>>>(bytes, false).await, here, "{bytes}");
        assert_eq!(read_here::<Unfailing<MaybeBody<PutLetter>>>(bytes, false).await, here, "{bytes}");
        assert_eq!(read_here::<Unfailing<Patch<PutLetter>>>(bytes, false).await, here, "{bytes}");
        assert_eq!(read_here::<PackedBody<PutLetter, MOST>>(bytes, true).await, 0, "what it unpacks to is not known");
    }
}

/// A request for a change, whose faults are told when it is looked at.
struct Unfailing<B>(std::marker::PhantomData<B>);

impl<B: RequestBody> FromRequest for Unfailing<B> {
    type Error = Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = Request::<(), B>::from_request(request, payload);
        Box::pin(async move { request.await?.into_command().map(|_| Self(std::marker::PhantomData)) })
    }
}
