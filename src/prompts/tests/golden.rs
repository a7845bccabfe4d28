use std::fmt::Write;

use super::*;

/// What people read: facts, then day by day what is asked and why it sits there, then what is not asked.
fn print(facts: &Facts, plan: &Plan) -> String {
    let mut text = serde_json::to_string_pretty(facts).unwrap();
    let mut date = None;
    for prompt in &plan.prompts {
        if date != Some(prompt.local_date) {
            let day = prompt.local_date.strftime("%a %Y-%m-%d");
            write!(text, "\n\n{day}").unwrap();
            date = Some(prompt.local_date);
        }
        let local = |at| prompt.zone.local(at).strftime("%d %H:%M").to_string();
        let reminder = prompt.reminder_at.map_or("-".to_owned(), local);
        write!(
            text,
            "\n  {} {:<15} day {:>3}  {:<11} p{} {:>2} min  due {}  expires {}  reminder {:<8}  {:?}",
            prompt.local_time.strftime("%H:%M"),
            prompt.rule_key,
            prompt.day.map_or("-".to_owned(), |day| day.to_string()),
            format!("{:?}", prompt.kind),
            prompt.priority,
            prompt.minutes,
            prompt.due_at,
            local(prompt.expires_at),
            reminder,
            prompt.why
        )
        .unwrap();
    }
    text.push_str("\n\nnot planned");
    for dropped in &plan.dropped {
        write!(text, "\n  {:<15} {:?}", dropped.rule_key, dropped.reason).unwrap();
    }
    text
}

#[track_caller]
fn golden(name: &str, facts: &Facts, now: &str) {
    let text = print(facts, &planned(facts, now));
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn full_template_across_the_autumn_change_of_the_clock() {
    let infusion = InfusionFact { planned_start: Some(at("2026-10-22T08:00:00Z")), ..done(1, "2026-10-22T08:05:00Z") };
    let facts = Facts { infusions: vec![infusion], ..facts("Europe/Berlin") };
    golden("full_template_berlin_autumn", &facts, "2026-10-22T09:00:00Z");
}

#[test]
fn the_same_course_on_the_server_of_today() {
    let infusions = vec![done(1, "2026-10-22T08:05:00Z"), coming(2, "2026-10-29T13:00:00Z")];
    golden("thin_template_berlin_autumn", &Facts { infusions, ..thin("Europe/Berlin") }, "2026-10-22T09:00:00Z");
}
