//! Requests about the calendar feed.

use serde_json::{Value, json};

use super::{Ask, Asker};
use crate::support::app::Answer;
use crate::support::people::Person;

/// What is ticked.
pub fn ticked(prompts: &[&str], infusions: bool) -> Value {
    json!({ "prompts": prompts, "infusions": infusions })
}

/// The path of the address that an answer shows.
pub fn address(answer: &Answer) -> String {
    let url = answer.text("/url");
    url[url.find("/v1/calendar/").unwrap()..].to_owned()
}

/// Makes a calendar, or another address of the one there is.
pub async fn makes(person: &Person, ticked: &Value) -> Answer {
    let path = person.my("/calendar");
    let mut present = person.get(&path).send().await;
    if present.status == 500 {
        // One that does not open has no tag to change it by.
        person.delete(&path).send().await.no_content();
        present = person.get(&path).send().await;
    }
    let mut body = ticked.clone();
    body["new_address"] = json!(true);
    let call = person.put(&path, body);
    let call = if present.status == 200 { call.if_match(&present.etag()) } else { call };
    call.send().await.created()
}

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    if !["get_calendar", "put_calendar", "delete_calendar", "get_calendar_feed"].contains(&operation) {
        return None;
    }
    let path = asker.of_ann("/calendar");
    let made = makes(asker.world.ann(), &ticked(&["reflection"], true)).await;
    Some(match operation {
        "get_calendar" => Ask::get(path),
        "put_calendar" => Ask::put(path).with(ticked(&["reflection", "habit"], true)).when(made.etag()),
        "delete_calendar" => Ask::delete(path),
        _ => Ask::get(address(&made)),
    })
}
