//! On a heavy day something lighter comes in the place of what asks for effort.

use afterglow::delivery::TEXT;
use afterglow::kernel::Id;
use afterglow::kernel::id::Prompt;
use afterglow::planning::{Planned, PromptKind};
use serde_json::{Value, json};

use crate::delivery::{World, hours, minutes};
use crate::support::journal::{reflection, with};

async fn feels(world: &World, mood: Value, ago: i64) -> String {
    let at = (world.app.now() - minutes(ago)).to_string();
    world.ann.writes(with(reflection("Today"), json!({ "occurred_at": at, "mood": mood }))).await
}

async fn prompts(world: &World) -> Vec<Value> {
    world.ann.get("/v1/patients/me/prompts?from=2025-12-01&limit=200").send().await.ok().items().to_vec()
}

fn of<'p>(prompts: &'p [Value], key: &str) -> Vec<&'p Value> {
    prompts.iter().filter(|prompt| prompt["rule_key"] == key).collect()
}

/// Plants an effortful prompt that comes due in an hour and works until then.
async fn comes_due(world: &World) -> Id<Prompt> {
    let id = world.plant(hours(1)).await;
    world.app.wait(hours(1));
    world.work().await;
    id
}

#[actix_web::test]
async fn rule_a_heavy_dial_puts_something_lighter_in_the_place_of_effort() {
    for (mood, heavy) in [
        (json!({ "valence": 2 }), true),
        (json!({ "distress": 8 }), true),
        (json!({ "valence": 9, "distress": 10 }), true),
        (json!({ "valence": 3, "distress": 7 }), false),
        (json!({ "energy": 0, "connection": 0 }), false),
    ] {
        let world = World::new().await;
        feels(&world, mood.clone(), 0).await;
        let asked = comes_due(&world).await;
        let all = prompts(&world).await;
        let lighter = of(&all, "adapt.low");
        if !heavy {
            assert!(lighter.is_empty() && world.sent() == [asked], "{mood}");
            continue;
        }
        let [lighter] = lighter.as_slice() else { panic!("{mood}: {lighter:?}") };
        assert_eq!(lighter["state"], "delivered", "{mood}");
        assert!(lighter["detail"]["text"].as_str().unwrap().starts_with("Today sounds heavy."), "{lighter}");
        assert_eq!((&lighter["detail"]["minutes"], &lighter["detail"]["why"]), (&json!(3), &json!("lighter")));
        let expires = world.app.now() + hours(6);
        assert_eq!(lighter["detail"]["expires_at"], json!(expires.to_string()));
        // One push for it, and none ever for the other.
        assert_eq!(world.sent(), [lighter["id"].as_str().unwrap().parse::<Id<Prompt>>().unwrap()], "{mood}");
        assert!(world.channel.sent().iter().all(|push| push.text == TEXT));
        let replaced = all.iter().find(|prompt| prompt["id"] == json!(asked.to_string())).unwrap();
        assert_eq!((&replaced["state"], &replaced["detail"]["cause"]), (&json!("cancelled"), &json!("replaced")));
        for _ in 0..30 {
            world.app.wait(hours(1));
            world.work().await;
        }
        assert_eq!(world.sent().len(), 1, "{mood}: neither again");
        // A therapist learns of neither.
        let seen = world.tess().get(&world.ann.of_theirs("/prompts?from=2025-12-01&limit=200")).send().await;
        let seen = seen.ok().body.to_string();
        assert!(!seen.contains("adapt") && !seen.contains("cancelled") && !seen.contains("heavy"), "{seen}");
    }
}

#[actix_web::test]
async fn rule_of_dials_of_one_second_the_one_that_was_changed_last_counts() {
    for ids in [["1", "2"], ["2", "1"]] {
        let world = World::new().await;
        for (n, valence) in ids.into_iter().zip([6, 0]) {
            let at = world.app.now().to_string();
            let entry = with(reflection("Today"), json!({ "occurred_at": at, "mood": { "valence": valence } }));
            let id = format!("{n}0000000-0000-4000-8000-000000000001");
            world.ann.put_entry(&id, entry).send().await.created();
        }
        let asked = comes_due(&world).await;
        assert!(world.sent() != [asked], "{ids:?}: the heavy one was written last");
    }
}

#[actix_web::test]
async fn rule_the_newest_dial_of_the_last_day_counts_when_something_comes_due() {
    let world = World::new().await;
    // A day old to the minute when it comes due; one minute more, and it is too old.
    feels(&world, json!({ "valence": 0 }), 23 * 60 + 1).await;
    assert_eq!(comes_due(&world).await, world.sent()[0]);
    let low = feels(&world, json!({ "valence": 0 }), 0).await;
    feels(&world, json!({ "valence": 6 }), -1).await;
    world.app.wait(minutes(2));
    assert_eq!(comes_due(&world).await, world.sent()[1], "better since");
    // A deleted entry says nothing, and distress at the end of an exercise does.
    let again = feels(&world, json!({ "valence": 1 }), 0).await;
    for id in [low, again] {
        world.ann.delete(&world.ann.my(&format!("/entries/{id}"))).send().await.no_content();
    }
    assert_eq!(comes_due(&world).await, world.sent()[2]);
    let at = world.app.now().to_string();
    let work = json!({ "exercise_key": "box-breath", "exercise_version": 1, "occurred_at": at,
        "distress": { "before": 3, "after": 9 } });
    world.ann.works(work).await;
    let replaced = comes_due(&world).await;
    assert_eq!(world.state(replaced).await, "cancelled");
    // A second one on the same day makes room, and nothing more is said while the first is open.
    world.app.wait(hours(1));
    let second = comes_due(&world).await;
    assert_eq!(world.state(second).await, "cancelled");
    assert_eq!((of(&prompts(&world).await, "adapt.low").len(), world.sent().len()), (1, 4));
}

#[actix_web::test]
async fn rule_what_asks_little_comes_on_a_heavy_day_too() {
    let world = World::new().await;
    feels(&world, json!({ "valence": 0, "distress": 10 }), 0).await;
    let dial = world.plant_as(hours(1), |planned| "d2.mood".clone_into(&mut planned.rule_key)).await;
    world.app.wait(hours(1));
    world.work().await;
    assert_eq!((world.sent(), world.state(dial).await.as_str()), (vec![dial], "delivered"));
    // One that went out before the day turned heavy stays, and nobody is reminded of it.
    let world = World::new().await;
    let at = world.app.now() + hours(3);
    let asked = world.plant_as(hours(1), |planned| planned.reminder_at = Some(at)).await;
    world.app.wait(hours(1));
    world.work().await;
    feels(&world, json!({ "distress": 9 }), 0).await;
    world.app.wait(hours(2));
    world.work().await;
    assert_eq!((world.sent(), world.state(asked).await.as_str()), (vec![asked], "delivered"));
}

fn outcome(prompts: &[Value], id: Id<Prompt>) -> (&Value, &Value) {
    let found = prompts.iter().find(|prompt| prompt["id"] == json!(id.to_string())).unwrap();
    (&found["state"], &found["detail"]["cause"])
}

/// An outage of three hours in which a safety check, two effortful prompts and a light one come due; the check is what
/// goes out. Their ids, in this order.
async fn outage(world: &World) -> [Id<Prompt>; 4] {
    let check = |planned: &mut Planned| {
        "d7.body".clone_into(&mut planned.rule_key);
        planned.kind = PromptKind::Safety;
    };
    let check = world.plant_as(hours(1), check).await;
    let first = world.plant(hours(1)).await;
    let second = world.plant(hours(2)).await;
    let light = world.plant_as(hours(2), |planned| "d2.mood".clone_into(&mut planned.rule_key)).await;
    world.app.wait(hours(3));
    world.work().await;
    [check, first, second, light]
}

#[actix_web::test]
async fn rule_after_an_outage_on_a_heavy_day_what_comes_without_a_push_is_lighter_too() {
    for mood in [json!({ "valence": 2 }), json!({ "distress": 8 })] {
        let world = World::new().await;
        feels(&world, mood.clone(), 0).await;
        let [check, first, second, light] = outage(&world).await;
        let all = prompts(&world).await;
        for id in [first, second] {
            assert_eq!(outcome(&all, id), (&json!("cancelled"), &json!("replaced")), "{mood}");
        }
        let lighter = of(&all, "adapt.low");
        let [lighter] = lighter.as_slice() else { panic!("{mood}: {lighter:?}") };
        assert_eq!((&lighter["state"], &lighter["detail"]["why"]), (&json!("due"), &json!("lighter")), "{mood}");
        assert_eq!(lighter["detail"]["expires_at"], json!((world.app.now() + hours(6)).to_string()));
        assert_eq!(outcome(&all, light).0, "due", "{mood}: what asks little stays");
        for _ in 0..30 {
            assert_eq!(world.sent(), [check], "{mood}: one push after an outage");
            world.app.wait(hours(1));
            world.work().await;
        }
    }
}

#[actix_web::test]
async fn rule_after_an_outage_without_heavy_dials_of_the_last_day_nothing_is_replaced() {
    for (mood, ago) in [
        (json!({ "valence": 3, "distress": 7 }), 0),
        (json!({ "energy": 0 }), 0),
        // A minute older than a day when the server is back.
        (json!({ "valence": 0, "distress": 10 }), 21 * 60 + 1),
    ] {
        let world = World::new().await;
        feels(&world, mood.clone(), ago).await;
        let [check, first, second, light] = outage(&world).await;
        let all = prompts(&world).await;
        assert!(of(&all, "adapt.low").is_empty(), "{mood}");
        for id in [first, second, light] {
            assert_eq!(outcome(&all, id).0, "due", "{mood}");
        }
        assert_eq!(world.sent(), [check], "{mood}");
    }
    // A day old to the minute, it counts.
    let world = World::new().await;
    feels(&world, json!({ "valence": 0 }), 21 * 60).await;
    let [_, first, ..] = outage(&world).await;
    assert_eq!(outcome(&prompts(&world).await, first).0, "cancelled");
}

#[actix_web::test]
async fn rule_the_one_push_after_an_outage_on_a_heavy_day_is_the_lighter_one() {
    let world = World::new().await;
    feels(&world, json!({ "valence": 0 }), 0).await;
    let opened = world.plant(hours(1)).await;
    world.ann.post(&format!("/v1/patients/me/prompts/{opened}/open"), json!({})).send().await.ok();
    let (first, second) = (world.plant(hours(1)).await, world.plant(hours(2)).await);
    world.app.wait(hours(3));
    world.work().await;
    let all = prompts(&world).await;
    let lighter = of(&all, "adapt.low");
    let [lighter] = lighter.as_slice() else { panic!("{lighter:?}") };
    assert_eq!(world.sent(), [lighter["id"].as_str().unwrap().parse::<Id<Prompt>>().unwrap()]);
    assert_eq!(lighter["state"], "delivered");
    for id in [first, second] {
        assert_eq!(outcome(&all, id), (&json!("cancelled"), &json!("replaced")));
    }
    assert_eq!(outcome(&all, opened).0, "opened", "what the patient has begun stays");
}

#[actix_web::test]
async fn rule_on_a_heavy_day_effort_is_replaced_for_who_wants_no_pushes_however_late_it_is_found() {
    for late in [0, 10, 120] {
        let world = World::new().await;
        world.ann.sets(json!({ "notifications": false })).await.ok();
        feels(&world, json!({ "distress": 9 }), 0).await;
        let (first, second) = (world.plant(hours(1)).await, world.plant(hours(1)).await);
        world.app.wait(hours(1) + minutes(late));
        world.work().await;
        let all = prompts(&world).await;
        for id in [first, second] {
            assert_eq!(outcome(&all, id), (&json!("cancelled"), &json!("replaced")), "{late}");
        }
        let states: Vec<_> = of(&all, "adapt.low").iter().map(|lighter| &lighter["state"]).collect();
        assert_eq!((states, world.sent()), (vec![&json!("due")], vec![]), "{late}");
    }
}

#[actix_web::test]
async fn rule_two_that_come_due_together_on_a_heavy_day_are_replaced_by_one() {
    let world = World::new().await;
    feels(&world, json!({ "valence": 1 }), 0).await;
    // Whichever is judged first, the one that is only a card does not keep the other's push from the lighter one.
    for _ in 0..4 {
        world.plant_as(hours(1), |planned| planned.push = false).await;
        world.plant(hours(1)).await;
    }
    world.app.wait(hours(1));
    world.work().await;
    let all = prompts(&world).await;
    assert_eq!(of(&all, "d1.tell").iter().filter(|prompt| prompt["state"] == "cancelled").count(), 8);
    let states: Vec<_> = of(&all, "adapt.low").iter().map(|lighter| &lighter["state"]).collect();
    assert_eq!((states, world.sent().len()), (vec![&json!("delivered")], 1));
}
