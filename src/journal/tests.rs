use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::draft::PutEntry;
use super::model::{EntryContent, EntryKind};
use crate::care::grants::model::KINDS;
use crate::http::Patch;
use crate::kernel::device_time::instant;
use crate::kernel::unicode::folded;
use crate::kernel::{Error, Zone};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn draft(value: Value) -> PutEntry {
    serde_json::from_value(value).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "reads better at the calls")]
fn entry(more: Value) -> Result<EntryContent, Error> {
    let mut whole = json!({ "kind": "reflection", "occurred_at": "2026-11-02T21:30:00+01:00" });
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    draft(whole).parse()
}

fn pointers(result: Result<EntryContent, Error>) -> Vec<String> {
    match result {
        Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
        other => panic!("{other:?}"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better at the calls")]
fn patched(content: &EntryContent, patch: Value) -> Result<EntryContent, Error> {
    let patch = Patch::<PutEntry>::of(patch.as_object().unwrap().clone());
    patch.apply(&PutEntry::of(content)).and_then(PutEntry::parse)
}

#[test]
fn what_says_nothing_is_not_there() {
    let empty = entry(json!({ "text": { "title": "", "body": "" }, "mood": {}, "tags": [], "attachments": [] }));
    assert_eq!(empty.unwrap(), entry(json!({})).unwrap());
}

#[test]
fn every_fault_is_told_at_once() {
    let faults = pointers(entry(json!({
        "kind": "poem", "status": "gone", "occurred_at": "2026-11-02T21:30:00", "zone": "Mars/Olympus",
        "recorded_at": "yesterday", "text": { "title": "x".repeat(201), "body": "a\0b" },
        "mood": { "valence": 11, "distress": -1 }, "tags": ["ok", " "], "attachments": [Uuid::nil()],
    })));
    let expected = [
        "/kind",
        "/status",
        "/occurred_at",
        "/zone",
        "/recorded_at",
        "/text/title",
        "/text/body",
        "/mood/valence",
        "/mood/distress",
        "/tags/1",
        "/attachments",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn bodies_are_bounded_in_characters_and_tags_in_number() {
    let most = 256_000;
    assert!(entry(json!({ "text": { "body": "ü".repeat(most) } })).is_ok());
    assert_eq!(pointers(entry(json!({ "text": { "body": "x".repeat(most + 1) } }))), ["/text/body"]);
    let tags: Vec<String> = (0..21).map(|n| n.to_string()).collect();
    assert!(entry(json!({ "tags": tags.iter().take(20).collect::<Vec<_>>() })).is_ok());
    assert_eq!(pointers(entry(json!({ "tags": tags }))), ["/tags"]);
}

#[test]
fn an_instant_needs_an_offset_and_is_cut_to_whole_seconds() {
    assert_eq!(instant("2026-11-02T21:30:00.1234567+01:00").unwrap(), at("2026-11-02T20:30:00Z"));
    for wrong in ["2026-11-02T21:30:00", "2026-11-02", "2026-11-02T21:30:00+01:00[Europe/Berlin]", "soon"] {
        assert!(instant(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_patch_of_nothing_changes_nothing() {
    let whole = entry(json!({
        "status": "draft", "zone": "Europe/Berlin", "recorded_at": "2026-11-02T20:31:00Z", "infusion_id": Uuid::max(),
        "text": { "title": "Lake", "body": "quiet" }, "mood": { "energy": 3 }, "tags": ["a", "b"],
    }))
    .unwrap();
    assert_eq!(patched(&whole, json!({})).unwrap(), whole);
}

#[test]
fn a_patch_merges_sections_and_replaces_lists() {
    let whole = entry(json!({ "text": { "title": "Lake", "body": "quiet" }, "mood": { "energy": 3 }, "tags": ["a"] }));
    let change = json!({ "text": { "title": null }, "mood": { "valence": 7 }, "tags": ["b"], "status": "done" });
    let changed = patched(&whole.unwrap(), change);
    let expected =
        entry(json!({ "text": { "body": "quiet" }, "mood": { "energy": 3, "valence": 7 }, "tags": ["b"] })).unwrap();
    assert_eq!(changed.unwrap(), expected);
    let cleared = patched(&expected, json!({ "text": null, "mood": null, "tags": null })).unwrap();
    assert_eq!(cleared, entry(json!({})).unwrap());
    assert_eq!(pointers(patched(&expected, json!({ "mood": { "energy": 12 } }))), ["/mood/energy"]);
}

#[test]
fn odd_times_are_suspect_and_no_others() {
    let header = entry(json!({ "recorded_at": "2026-11-02T20:30:00Z" })).unwrap().header.circumstances;
    let arrived = at("2026-11-02T20:31:00Z");
    assert!(!header.clock_suspect(arrived));
    assert!(header.clock_suspect(arrived - SignedDuration::from_mins(7)), "from the future");
    assert!(header.clock_suspect(arrived + SignedDuration::from_hours(24 * 400)), "long ago");
    assert!(!header.clock_suspect(arrived + SignedDuration::from_hours(24 * 300)), "a late sync");
    let early = entry(json!({ "recorded_at": "2026-10-30T20:30:00Z" })).unwrap().header.circumstances;
    assert!(early.clock_suspect(arrived), "taken down days before it happened");
}

#[test]
fn the_local_date_is_that_of_the_device_else_of_home() {
    let late = |more| {
        let mut header = entry(more).unwrap().header.circumstances;
        header.occurred_at = at("2026-11-02T23:30:00Z");
        header.local_date(|_| Zone::utc()).to_string()
    };
    assert_eq!(late(json!({ "zone": "Europe/Berlin" })), "2026-11-03");
    assert_eq!(late(json!({})), "2026-11-02");
}

#[test]
fn kinds_have_one_list() {
    assert_eq!(EntryKind::ALL.map(EntryKind::name), KINDS);
    assert!(KINDS.iter().all(|kind| EntryKind::parse(kind).is_ok()));
}

#[test]
fn case_does_not_matter_in_any_script() {
    assert_eq!(folded("ÄRGER Ωμέγα"), folded("ärger ωΜΈΓΑ"));
}

#[test]
fn what_somebody_wrote_is_in_no_log() {
    let secret = "nobody may read this";
    let content = entry(json!({ "text": { "title": secret, "body": secret }, "tags": [secret] })).unwrap();
    let words = format!("{content:?} {:?} {:?}", PutEntry::of(&content), content.text);
    assert!(!words.contains("nobody"), "{words}");
}
