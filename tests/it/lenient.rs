//! Fields that an app does not know: faults, or warnings if the client says so.

use serde_json::json;

use crate::support::requests::operations;
use crate::support::world::World;

/// What stands for an account that is not there, or spends what can be spent once.
const DOER: [(&str, &str); 12] = [
    ("put_assignment", "granted"),
    ("patch_assignment", "granted"),
    ("put_cautions", "granted"),
    ("put_overrides", "granted"),
    ("start_infusion", "granted"),
    ("create_invitation", "granted"),
    ("end_infusion", "granted"),
    ("patch_infusion", "granted"),
    ("put_infusion", "granted"),
    ("update_member", "admin"),
    ("set_up", "anonymous"),
    ("register", "anonymous"),
];

#[actix_web::test]
async fn rule_an_unknown_field_is_a_fault_and_a_warning_for_the_lenient() {
    let world = World::open().await;
    let mut asked = 0;
    for operation in operations().into_iter().filter(|operation| operation.takes_body) {
        let id = operation.id.as_str();
        let doer = DOER.iter().find(|(of, _)| *of == id).map_or("owner", |(_, who)| who);
        let mut ask = world.ask(id, doer).await;
        let Some(body) = ask.body.as_mut().and_then(|body| body.as_object_mut()) else { panic!("{id} has no body") };
        body.insert("colour_of_the_sky".to_owned(), json!({ "is": "blue" }));
        let strict = ask.call(&world.app).send().await.expect(422);
        assert_eq!(strict.body["errors"][0]["pointer"], "/colour_of_the_sky", "{id}");
        let lenient = ask.call(&world.app).header("prefer", "handling=lenient").send().await;
        if id == "set_up" {
            // What it says is known, and then refused: the world is set up.
            lenient.expect(409).refused("setup_done");
            continue;
        }
        assert!(lenient.status.is_success(), "{id}: {} {}", lenient.status, lenient.body);
        assert_eq!(lenient.headers["preference-applied"], "handling=lenient", "{id}");
        assert_eq!(lenient.body["warnings"][0]["pointer"], "/colour_of_the_sky", "{id}");
        asked += 1;
    }
    assert!(asked > 15, "{asked}");
}
