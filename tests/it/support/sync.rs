//! The reference phone with a network.

use serde_json::Value;

use super::people::Person;
use crate::reference_phone::{Phone, Request};

/// Sends what a phone asks; the status and the body of the answer. It is not held against the document, which takes
/// longer than all else in a long life; other tests hold the same operations against it.
pub async fn send(person: &Person, request: &Request) -> (u16, Value) {
    let path = person.my(&request.path);
    let call = match &request.body {
        Some(body) => person.post(&path, body.clone()),
        None => person.get(&path),
    };
    let response = call.begin().await;
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

/// Lets a phone send and fetch everything.
pub async fn syncs(person: &Person, phone: &mut Phone) {
    phone.wake();
    for _ in 0..100 {
        let request = phone.next();
        let answer = send(person, &request).await;
        assert!(matches!(answer.0, 200 | 410), "{request:?}: {}", answer.1);
        phone.take(&request, (answer.0, &answer.1));
        if phone.is_quiet() {
            return;
        }
    }
    panic!("it does not come to rest: {:?}", phone.next());
}
