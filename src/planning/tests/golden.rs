//! The shipped protocol, as people read it. What a clinician signs is here, byte for byte.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::*;
use crate::kernel::id::Infusion;

/// Renders the text that people read: facts, then the prompts of each day with their reasons, then the dropped prompts.
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

/// A course at a clinic that a clinician can read and sign: six infusions in three weeks and two that keep it up,
/// across a change of the clock.
#[track_caller]
fn course(name: &str, city: &str, sessions: [&str; 8]) {
    course_of(name, city, sessions, |fact| fact);
}

/// A course whose infusions are `like` this.
#[track_caller]
fn course_of(name: &str, city: &str, sessions: [&str; 8], like: impl Fn(InfusionFact) -> InfusionFact) {
    let zone = zone(city);
    let infusion = |(n, local): (usize, &str)| {
        let local: jiff::civil::DateTime = local.parse().unwrap();
        let start = zone.instant(local.date(), local.time());
        like(InfusionFact { planned_start: Some(start), ..done(u128::try_from(n).unwrap() + 1, &start.to_string()) })
    };
    let infusions: Vec<_> = sessions.into_iter().enumerate().map(infusion).collect();
    let date = |at: Option<Timestamp>| zone.date(at.unwrap());
    let first = date(infusions[0].planned_start).saturating_sub(jiff::ToSpan::days(3));
    let last = date(infusions[7].ended_at).saturating_add(jiff::ToSpan::days(16));
    let facts = Facts { care_start: infusions[0].planned_start.unwrap() - hours(24 * 3), infusions, ..facts(city) };
    let protocol = Protocol::default_v1();
    let plan = crate::planning::preview::preview(protocol, &facts, first, last);
    agrees_with_the_reference(protocol, &facts);
    let mut text = format!(
        "Protocol {} version {}, {city}\nRead and found right by: ____________________  on: ______________\n",
        protocol.key, protocol.version
    );
    for (n, infusion) in facts.infusions.iter().enumerate() {
        let local = |at: Option<Timestamp>| zone.local(at.unwrap()).strftime("%a %d %b %Y %H:%M").to_string();
        writeln!(text, "  infusion {}  {} to {}", n + 1, local(infusion.started_at), local(infusion.ended_at)).unwrap();
    }
    let number = |id| facts.infusions.iter().position(|infusion| Some(infusion.id) == id).map(|n| n + 1);
    let ahead =
        |prompt: &Planned| zone.local(prompt.due_at).duration_since(jiff::tz::TimeZone::UTC.to_datetime(prompt.due_at));
    let changes = plan.prompts.windows(2).filter(|pair| ahead(&pair[0]) != ahead(&pair[1])).count();
    assert_eq!(changes, 1, "the clock changes once");
    let mut date = None;
    for prompt in &plan.prompts {
        if date != Some(prompt.local_date) {
            date = Some(prompt.local_date);
            let own = plan.prompts.iter().filter(|other| other.local_date == prompt.local_date && other.push);
            let (pushes, minutes) = own.fold((0, 0), |(n, sum), other| (n + 1, sum + other.minutes));
            write!(text, "\n{}   {pushes} pushes, {minutes} min", prompt.local_date.strftime("%a %d %b %Y")).unwrap();
            for session in facts.infusions.iter().filter(|one| zone.date(one.ended_at.unwrap()) == prompt.local_date) {
                write!(text, "   ** infusion {}", number(Some(session.id)).unwrap()).unwrap();
            }
            text.push('\n');
        }
        writeln!(
            text,
            "  {}  {}  {:<4} day {:>3}  {:<14} {:<11} {:>2} min{}  {}",
            prompt.local_time.strftime("%H:%M"),
            prompt.due_at.strftime("%Y-%m-%d %H:%M UTC"),
            number(prompt.anchor).map_or("-".to_owned(), |n| format!("#{n}")),
            prompt.day.map_or("-".to_owned(), |day| day.to_string()),
            prompt.rule_key,
            format!("{:?}", prompt.kind).to_lowercase(),
            prompt.minutes,
            if prompt.push { "" } else { ", card" },
            crate::planning::reasons::why_in_words(prompt.why, crate::kernel::locale::TextLanguage::of("en")),
        )
        .unwrap();
        let rule = protocol.rule(&prompt.rule_key).unwrap();
        writeln!(text, "         “{}”  ({})", rule.text_of(prompt.wording), rule.because).unwrap();
    }
    text.push_str("\nNot asked\n");
    for (reason, keys) in not_asked(&plan, &number) {
        writeln!(text, "  {reason}:\n    {}", keys.join(", ")).unwrap();
    }
    write!(text, "\nFacts\n{}", serde_json::to_string_pretty(&facts).unwrap()).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

/// The slow planner finds the same on every third day of the course.
#[track_caller]
fn agrees_with_the_reference(protocol: &Protocol, facts: &Facts) {
    let ends = facts.infusions.iter().filter_map(|infusion| infusion.ended_at);
    for now in ends.flat_map(|end| [0, 3, 6].map(|days| end + hours(24 * days))) {
        let found = reference::of(&plan(protocol, facts, now));
        assert_eq!(found, reference::reference(protocol, facts, now), "{now}");
    }
}

/// Renders the dropped prompts, by reason.
fn not_asked(
    plan: &Plan,
    number: &impl Fn(Option<Id<Infusion>>) -> Option<usize>,
) -> BTreeMap<&'static str, Vec<String>> {
    let mut by_reason: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for dropped in &plan.dropped {
        let of = number(dropped.anchor).map_or(String::new(), |n| format!(" #{n}"));
        let words =
            crate::planning::reasons::dropped_in_words(dropped.reason, crate::kernel::locale::TextLanguage::of("en"));
        by_reason.entry(words).or_default().push(format!("{}{of}", dropped.rule_key));
    }
    by_reason
}

#[test]
fn the_golden_course_in_berlin() {
    let sessions = [
        "2026-03-10T09:00",
        "2026-03-13T09:00",
        "2026-03-17T09:00",
        "2026-03-20T14:00",
        "2026-03-24T09:00",
        "2026-03-27T17:30",
        "2026-04-17T09:00",
        "2026-05-15T09:00",
    ];
    course("golden_course_berlin", "Europe/Berlin", sessions);
}

#[test]
fn the_golden_course_in_new_york() {
    let sessions = [
        "2026-02-24T09:00",
        "2026-02-27T09:00",
        "2026-03-03T09:00",
        "2026-03-06T14:00",
        "2026-03-10T09:00",
        "2026-03-12T17:30",
        "2026-04-02T09:00",
        "2026-04-30T09:00",
    ];
    course("golden_course_new_york", "America/New_York", sessions);
}

#[test]
fn the_golden_course_on_lord_howe_island() {
    let sessions = [
        "2026-03-24T09:00",
        "2026-03-26T09:00",
        "2026-03-31T09:00",
        "2026-04-03T14:00",
        "2026-04-04T19:30",
        "2026-04-09T09:00",
        "2026-04-30T09:00",
        "2026-05-28T09:00",
    ];
    course("golden_course_lord_howe", "Australia/Lord_Howe", sessions);
}

#[test]
fn the_golden_course_at_home() {
    let sessions = [
        "2026-03-09T19:00",
        "2026-03-12T19:00",
        "2026-03-16T19:00",
        "2026-03-19T10:00",
        "2026-03-23T19:00",
        "2026-03-26T19:00",
        "2026-04-16T19:00",
        "2026-05-14T10:00",
    ];
    let at_home = |fact| InfusionFact { route: Route::Sublingual, supervised: false, planned_minutes: 20, ..fact };
    course_of("golden_course_at_home", "Europe/Berlin", sessions, at_home);
}

#[test]
fn the_golden_course_of_a_one_person_practice_in_the_evening() {
    let sessions = [
        "2026-03-02T18:30",
        "2026-03-09T18:30",
        "2026-03-16T18:30",
        "2026-03-23T18:30",
        "2026-03-30T18:30",
        "2026-04-06T18:30",
        "2026-04-27T18:30",
        "2026-05-25T18:30",
    ];
    let long = |fact: InfusionFact| {
        let ended_at = fact.started_at.map(|start| start + SignedDuration::from_mins(70));
        InfusionFact { ended_at, planned_minutes: 90, ..fact }
    };
    course_of("golden_course_evenings", "America/New_York", sessions, long);
}

#[track_caller]
fn golden(name: &str, facts: &Facts, now: &str) {
    let text = print(facts, &plan(Protocol::default_v1(), facts, at(now)));
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
