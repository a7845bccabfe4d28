//! Usual spellings are taken; what cannot be read is named by field and cause.

use actix_web::web::Bytes;

use super::*;
use crate::http::strict_json::mend_surrogates;

fn get(uri: &str) -> TestRequest {
    TestRequest::get().uri(uri)
}

fn put(body: impl Into<Bytes>) -> TestRequest {
    TestRequest::put().uri(THING).insert_header(("content-type", "application/json")).set_payload(body.into())
}

#[actix_web::test]
async fn what_cannot_be_read_is_named_by_field_and_cause() {
    let cases: Vec<(&[u8], &str, &str)> = vec![
        (
            br#"{"text":{"title":"\ud83d","body":"b"}}"#,
            "/text/title",
            "holds half of a surrogate pair at line 1 column 25",
        ),
        (
            br#"{"text":{"title":"\ude00","body":"b"}}"#,
            "/text/title",
            "holds half of a surrogate pair at line 1 column 24",
        ),
        (
            b"{\"text\":{\"title\":\"a\xff\",\"body\":\"b\"}}",
            "/text/title",
            "is not UTF-8 after byte 19, at line 1 column",
        ),
        (b"{\"text\":{\"title\":\"a\nb\"}}", "/text/title", "holds a control character that is not escaped at line 2"),
        (br#"{"text":{"title":"t","body":"b"},"mood":1e999}"#, "/mood", "is a number that is out of range at line 1"),
        (
            br#"{"text":{"title":"t","body":"b"},"mood":NaN}"#,
            "/mood",
            "is not JSON at line 1 column 41: expected value",
        ),
        (
            br#"{"text":{"title":"t","body":"b"},"links":[1,]}"#,
            "/links",
            "is not JSON at line 1 column 45: trailing comma",
        ),
        (br#"{"text":{"title":"t","title":"u"}}"#, "/text/title", "is given twice at line 1"),
        (br#"{"text":{"title":"t""#, "/text", "is not JSON at line 1 column 20: EOF while parsing an object"),
        (b"{'text':1}", "", "is not JSON at line 1 column 2: key must be a string"),
        (b"\xef\xbb\xbf{}", "", "begins with a byte order mark"),
        (b"", "", "is empty"),
    ];
    for (body, pointer, detail) in cases {
        let answer = ask(put(body)).await;
        let body = String::from_utf8_lossy(body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{body}");
        assert_eq!(answer.places(), [pointer], "{body}");
        assert!(answer.detail().starts_with(detail), "{body}: {}", answer.detail());
    }
    let deep = format!("{{\"links\":{}", "[".repeat(70));
    let answer = ask(put(deep)).await;
    assert!(answer.pointer().starts_with("/links/0/0") && answer.detail().starts_with("is nested deeper than 64"));
}

#[actix_web::test]
async fn a_parameter_that_is_not_utf8_is_named() {
    let cases = [("drafts=%ff", "query/drafts"), ("limit=1%C3", "query/limit"), ("%ff=1", "query")];
    for (query, place) in cases {
        let answer = ask(get(&format!("/v1/patients/me/things?{query}"))).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{query}");
        assert_eq!((answer.places(), answer.detail().as_str()), (vec![place.to_owned()], "is not UTF-8"), "{query}");
    }
}

#[actix_web::test]
async fn a_whole_number_may_be_written_with_a_fraction_or_an_exponent() {
    for (written, read) in
        [("7.0", 7), ("7e0", 7), ("70E-1", 7), ("-0.0", 0), ("7", 7), ("9007199254740992.0", 1_i64 << 53)]
    {
        let value = strict_json::parse(format!("{{\"n\":[{written}]}}").as_bytes()).unwrap();
        assert_eq!(value, json!({ "n": [read] }), "{written}");
    }
    for kept in ["7.5", "1e300", "-0.1"] {
        assert!(strict_json::parse(kept.as_bytes()).unwrap().is_f64(), "{kept}");
    }
    for (query, status) in [("limit=7.0", 200), ("limit=7e0", 200), ("limit=7.5", 422), ("limit=inf", 422)] {
        assert_eq!(ask(get(&format!("/v1/patients/me/things?{query}"))).await.status, status, "{query}");
    }
}

#[actix_web::test]
async fn usual_spellings_of_a_content_type_are_taken() {
    let thing = r#"{"text":{"title":"t","body":"b"}}"#;
    for good in [
        "application/json;charset=utf8",
        "APPLICATION/JSON",
        "application/json; charset=\"utf-8\"",
        "application/json; Charset=UTF-8",
        "application/json;",
    ] {
        let put = TestRequest::put().uri(THING).insert_header(("content-type", good)).set_payload(thing);
        assert_eq!(ask(put).await.status, 200, "{good}");
        let patch = TestRequest::patch().uri(THING).insert_header(("content-type", good));
        assert_eq!(ask(patch.insert_header(("if-match", "\"v3\"")).set_payload("{}")).await.status, 200, "{good}");
    }
}

#[test]
fn halves_of_surrogate_pairs_are_mended_and_nothing_else() {
    let same = [r#"{"a":"\ud83d\ude00 \\ud83d \u00e9 \n"}"#, r#"{"a":"plain"}"#, "\\", r#"{"a":"\u12"#];
    for text in same {
        assert_eq!(mend_surrogates(text.as_bytes()), text.as_bytes(), "{text}");
    }
    let mended = [
        (r#"{"a":"x\ud83d"}"#, r#"{"a":"x\u0000"}"#),
        (r#"{"a":"\uDE00\uD83D"}"#, r#"{"a":"\u0000\u0000"}"#),
        (r#"{"a":"\ud83d\ud83d\ude00"}"#, r#"{"a":"\u0000\ud83d\ude00"}"#),
        (r#"{"a":"\ud83d\u0041","b":"\\\ud83d"}"#, r#"{"a":"\u0000\u0041","b":"\\\u0000"}"#),
    ];
    for (text, mend) in mended {
        assert_eq!(mend_surrogates(text.as_bytes()), mend.as_bytes(), "{text}");
    }
}
