//! The ids that clients make: of version 4 wherever the document shows one; 4 and 7 are taken, others are not.

use std::collections::BTreeSet;

use afterglow::kernel::Entropy;
use afterglow::kernel::id::Any;
use serde_json::Value;
use uuid::Uuid;

use super::{Operation, none, operations};
use crate::support::app::{document, new_id};
use crate::support::requests::Ask;
use crate::support::world::World;

/// The collections in which clients make things, with the parameter that names one.
fn creations() -> Vec<(&'static str, &'static str)> {
    let paths = document()["paths"].as_object().unwrap().iter().filter(|(_, item)| item["put"].is_object());
    let made = paths.filter_map(|(path, _)| {
        let (collection, last) = path.rsplit_once('/')?;
        // A document of consent has a name of the server's.
        Some((collection, last.strip_prefix('{')?.strip_suffix('}').filter(|name| *name != "key")?))
    });
    made.collect()
}

/// The operation that makes a thing which `parameter` names.
fn creating(parameter: &str) -> Operation {
    let put = |one: &Operation| one.method == "put" && one.path.ends_with(&format!("{{{parameter}}}"));
    operations().into_iter().find(put).unwrap()
}

/// The ids in a value by the names under which they stand; those in a list have its name.
fn ids<'a>(value: &'a Value, name: &'a str, found: &mut Vec<(&'a str, Uuid)>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| ids(inner, name, found)),
        Value::Array(items) => items.iter().for_each(|inner| ids(inner, name, found)),
        Value::String(text) => found.extend(Uuid::try_parse(text).ok().map(|id| (name, id))),
        _ => {}
    }
}

/// A version 7 tells everybody who sees it the millisecond of writing. Apps copy what they see.
#[test]
fn the_ids_that_clients_make_are_of_version_4_in_every_example() {
    let made = creations();
    assert_eq!(made.len(), 10, "{made:?}");
    let client = |name: &str| made.iter().any(|(_, id)| name == *id || name.strip_suffix('s') == Some(id));
    let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
    for operation in operations() {
        let mut found = Vec::new();
        for parameter in operation.parameters.iter().filter(|parameter| parameter["in"] == "path") {
            let name = parameter["name"].as_str().unwrap();
            let examples = [&parameter["example"], &parameter["schema"]["example"], &parameter["schema"]["examples"]];
            examples.into_iter().for_each(|example| ids(example, name, &mut found));
        }
        let bodies = std::iter::once(&operation.item["requestBody"]).chain(operation.responses().map(|(_, body)| body));
        for media in bodies.flat_map(|body| body["content"].as_object().into_iter().flatten()).map(|(_, media)| media) {
            ids(&media["example"], "", &mut found);
            // Below the collection in which clients make things, the object itself and the items of a list are theirs.
            if made.iter().any(|(collection, _)| operation.path.starts_with(collection)) {
                let (alone, list) = (std::iter::once(&media["example"]), media["example"]["items"].as_array());
                let own = alone.chain(list.into_iter().flatten()).filter_map(|object| object["id"].as_str());
                found.extend(own.map(|id| ("own", id.parse().unwrap())));
            }
        }
        for (name, id) in found.into_iter().filter(|(name, _)| *name == "own" || client(name)) {
            seen.insert(format!("{} {name}", operation.id));
            if id.get_version_num() != 4 {
                faults.push(format!("{}: {name} {id}", operation.name));
            }
        }
    }
    none(&faults);
    for (_, name) in made {
        let id = creating(name).id;
        assert!(seen.contains(&format!("{id} own")), "{id}: no example with an id");
    }
}

#[actix_web::test]
async fn every_creation_takes_ids_of_version_4_and_7_and_no_others() {
    let world = World::open().await;
    for (_, name) in creations() {
        let id = creating(name).id;
        let who = match id.as_str() {
            "put_infusion" | "put_assignment" | "put_cover" => "granted",
            "put_clinic_protocol" => "admin",
            _ => "owner",
        };
        let seven: String = Entropy::System.id::<Any>(world.app.now()).to_string();
        let other = |digit: &str| format!("{}{digit}{}", &new_id(&world.app)[..14], &seven[15..]);
        let tried = [(new_id(&world.app), true), (seven.clone(), true), (other("1"), false), (other("8"), false)];
        for (client, taken) in tried {
            let ask = world.ask(&id, who).await;
            let (collection, _) = ask.path.rsplit_once('/').unwrap();
            let ask = Ask { path: format!("{collection}/{client}"), ..ask };
            let answer = ask.send(&world.app).await;
            if taken {
                assert_eq!(answer.expect(201).id(), client, "{id}");
            } else {
                let refused = answer.expect(422);
                let fault = &refused.body["errors"][0];
                assert_eq!((&fault["in"], &fault["name"]), (&Value::from("path"), &Value::from(name)), "{id}: {fault}");
            }
        }
    }
}
