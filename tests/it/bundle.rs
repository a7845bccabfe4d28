//! The bundle: an app that has it, and what it pulled, shows every prompt and every exercise without a network.

use std::collections::{BTreeMap, BTreeSet};

use afterglow::kernel::Zone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::clinic_protocols::{a_minute_later, choose, clinic, ours, publish, rounds, tag};
use crate::protocols::upgraded;
use crate::support::app::{Answer, TestApp, new_id};
use crate::support::exercises::work;
use crate::support::journal::{reflection, two, with};
use crate::support::lakeside::{ALL, PATIENTS, Visitor, lakeside};
use crate::support::people::Person;
use crate::support::protocols::{at, publishes};
use crate::support::world::planned_for;

/// The most bytes of a bundle, not compressed.
const MOST: usize = 600_000;

/// An app without a network: the bundle, what it pulled, what it was last told of the offers, its clock.
struct Phone {
    bundle: Value,
    things: Vec<Value>,
    offers: BTreeMap<String, String>,
    now: Timestamp,
    /// The placeholders that were filled.
    filled: BTreeSet<String>,
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn word<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

fn instant(value: &Value, pointer: &str) -> Timestamp {
    word(value, pointer).parse().unwrap()
}

/// Words in one line of at most so many characters, as the document describes it.
fn quoted(words: &str, most: usize) -> String {
    let kept: String = words.chars().filter(|c| c.is_whitespace() || *c == '\u{200d}' || !odd(*c)).collect();
    let line = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let mut cut = String::new();
    for character in line.graphemes(true) {
        if cut.chars().count() + character.chars().count() > most {
            break;
        }
        cut.push_str(character);
    }
    let end = cut.rfind(' ').filter(|end| *end > cut.len() / 2).unwrap_or(cut.len());
    format!("{} …", cut[..end].trim_end())
}

fn odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

impl Phone {
    /// Gets what an app keeps, by `ask`, at `now`.
    async fn filled_by(ask: impl AsyncFn(&str) -> Answer, now: Timestamp) -> Self {
        let bundle = ask("/v1/bundle").await.ok().body;
        let offers = ask("/v1/patients/me/exercises").await.ok();
        let offers =
            offers.items().iter().map(|one| (word(one, "/exercise/key").to_owned(), word(one, "/offer").to_owned()));
        let offers = offers.collect();
        let (mut things, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = ask(&format!("/v1/patients/me/changes?limit=200{cursor}")).await.ok();
            things.extend(page.items().iter().filter(|item| item["deleted"] != true).cloned());
            cursor = format!("&cursor={}", page.text("/cursor"));
            if page.body["has_more"] == false {
                return Self { bundle, things, offers, now, filled: BTreeSet::new() };
            }
        }
    }

    async fn of(person: &Person) -> Self {
        Self::filled_by(async |path| person.get(path).send().await, person.app.now()).await
    }

    fn of_kind<'p>(&'p self, kind: &'p str) -> impl Iterator<Item = &'p Value> {
        self.things.iter().filter(move |thing| thing["kind"] == kind)
    }

    /// The done things of that kind, the newest first.
    fn newest<'p>(&'p self, kind: &'p str) -> Vec<&'p Value> {
        let mut done: Vec<_> = self.of_kind(kind).filter(|thing| thing["header"]["status"] == "done").collect();
        done.sort_by_key(|thing| {
            std::cmp::Reverse((instant(thing, "/header/occurred_at"), thing["seq"].as_i64().unwrap()))
        });
        done
    }

    fn rule(&self, prompt: &Value) -> &Value {
        let fields = &prompt["fields"];
        let mine = |one: &&Value| (&one["key"], &one["version"]) == (&fields["protocol"], &fields["protocol_version"]);
        let protocol = list(&self.bundle, "protocols").iter().find(mine).unwrap_or_else(|| panic!("{fields}"));
        let rule = list(protocol, "rules").iter().find(|rule| rule["rule_key"] == fields["rule_key"]);
        rule.unwrap_or_else(|| panic!("{fields}"))
    }

    fn exercise(&self, key: &str, version: &Value) -> &Value {
        let mine = |one: &&Value| one["key"] == key && one["version"] == *version;
        list(&self.bundle, "exercises").iter().find(mine).unwrap_or_else(|| panic!("{key}"))
    }

    /// What the bundle says that `name` stands for, from what the phone holds.
    fn value(&self, name: &str, prompt: &Value) -> Option<String> {
        let placeholder = list(&self.bundle, "placeholders").iter().find(|one| one["name"] == name);
        let placeholder = placeholder.unwrap_or_else(|| panic!("{name}"));
        let most = usize::try_from(placeholder["max_length"].as_u64().unwrap()).unwrap();
        let responses = self.newest("exercise_response");
        match word(placeholder, "/source") {
            "takeaway" => self.takeaway(most, placeholder["prompt_days"].as_i64().unwrap()),
            "newest_response" => {
                let mine = |one: &&&Value| one["header"]["exercise_key"] == placeholder["exercise_key"];
                self.quote(responses.iter().find(mine)?, most)
            }
            "returned_response" => {
                let mine = |one: &&&Value| one["id"] == prompt["fields"]["response_id"];
                self.quote(responses.iter().find(mine)?, most)
            }
            other => panic!("{other}"),
        }
    }

    fn takeaway(&self, most: usize, days: i64) -> Option<String> {
        let since = self.now - SignedDuration::from_hours(24 * days);
        let giving = self.of_kind("prompt").filter(|prompt| {
            let due = instant(prompt, "/fields/due_at");
            due >= since && due <= self.now && self.rule(prompt)["gives_takeaway"] == true
        });
        let answers: Vec<&Value> = giving.map(|prompt| &prompt["fields"]["answer_id"]).collect();
        let tagged = |entry: &Value| {
            list(entry, "tags").iter().any(|tag| tag.as_str().unwrap().trim().eq_ignore_ascii_case("takeaway"))
        };
        let entries = self.newest("entry").into_iter().filter(|entry| answers.contains(&&entry["id"]) || tagged(entry));
        let mut lines = entries.filter_map(|entry| {
            let words = ["/text/title", "/text/body"].iter().find_map(|at| entry.pointer(at)?.as_str())?;
            words.lines().find(|line| !line.trim().is_empty()).map(|line| quoted(line, most))
        });
        lines.next()
    }

    fn quote(&self, response: &Value, most: usize) -> Option<String> {
        let header = &response["header"];
        let mine = |one: &&Value| {
            (&one["exercise_key"], &one["exercise_version"]) == (&header["exercise_key"], &header["exercise_version"])
        };
        let template = list(&self.bundle, "quotes").iter().find(mine)?["template"].as_str()?;
        let (quote, _) = fill(template, |step| {
            let answer = quoted(response["answers"][step].as_str()?, most);
            Some(answer).filter(|answer| !answer.is_empty())
        })?;
        Some(quote)
    }

    /// The text of a prompt.
    fn text(&mut self, prompt: &Value) -> String {
        let rule = self.rule(prompt).clone();
        let texts = list(&rule, "texts");
        let wording = usize::try_from(prompt["fields"]["wording"].as_u64().unwrap()).unwrap();
        let text = texts.get(wording).unwrap_or(&texts[0]).as_str().unwrap();
        let quoting = fill(text, |name| self.value(name, prompt));
        let mut text = match quoting {
            Some((text, names)) => {
                self.filled.extend(names);
                text
            }
            None => {
                self.filled.insert("plain".to_owned());
                word(&rule, "/plain").to_owned()
            }
        };
        let choices = list(&rule, "choices").iter().filter(|choice| self.offers(word(choice, "/exercise_key")));
        let lines: String = choices.map(|choice| format!("\n{}", word(choice, "/line"))).collect();
        if !lines.is_empty() {
            self.filled.insert("choices".to_owned());
        }
        text.push_str(&lines);
        text
    }

    fn offers(&self, exercise: &str) -> bool {
        self.offers.get(exercise).is_none_or(|offer| offer == "yes")
    }

    /// Whether what it draws is what the server shows in `shown`, its list of prompts.
    #[track_caller]
    fn draws(&mut self, shown: &[Value]) -> usize {
        // A message on demand is shown from its time on, and only if nothing was written since it was planned.
        let waits = |one: &Value| one["fields"]["kind"] == "on_demand" && one["state"] == "planned";
        let prompts: Vec<Value> = self.of_kind("prompt").filter(|one| !waits(one)).cloned().collect();
        for prompt in &prompts {
            let online = shown.iter().find(|one| one["id"] == prompt["id"]).unwrap_or_else(|| panic!("{prompt}"));
            assert_eq!(self.text(prompt), word(online, "/detail/text"), "{prompt}");
            let (rule, detail) = (self.rule(prompt), &online["detail"]);
            let none = Value::Null;
            assert_eq!(rule.get("because").unwrap_or(&none), detail.get("because").unwrap_or(&none), "{prompt}");
            let offered: Vec<_> =
                list(rule, "exercises").iter().filter(|key| self.offers(key.as_str().unwrap())).collect();
            assert_eq!(json!(offered), detail["exercises"], "{prompt}");
            let why = word(prompt, "/fields/why");
            assert!(self.bundle["why"][why].is_string(), "{why}");
        }
        prompts.len()
    }
}

impl Phone {
    /// Whether grounding is offered after this response, which the server must say too, in the same words.
    #[track_caller]
    fn supports(&self, response: &Value) -> bool {
        let felt = |when: &str| response.pointer(&format!("/distress/{when}")).and_then(Value::as_i64);
        let rule = &self.bundle["exercise_words"]["support"];
        let least = |name: &str| rule[name].as_i64().unwrap();
        let rose = felt("before").zip(felt("after")).is_some_and(|(before, after)| after - before >= least("rise"));
        let offered = rose || felt("after").is_some_and(|after| after >= least("after"));
        let support = json!({ "exercise_key": rule["exercise_key"], "text": rule["text"] });
        assert_eq!(response.get("support"), offered.then_some(&support), "{response}");
        offered
    }
}

/// Fills what stands between braces, in one pass; the text and the names. Nothing if there is nothing for one of them.
fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> Option<(String, Vec<String>)> {
    let (mut filled, mut names) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap();
        filled.push_str(before);
        filled.push_str(&value(name)?);
        names.push(name.to_owned());
        rest = after;
    }
    filled.push_str(rest);
    Some((filled, names))
}

#[actix_web::test]
async fn every_prompt_of_a_believable_life_is_drawn_from_the_bundle_alone() {
    let app = lakeside().await;
    let (mut drawn, mut filled) = (0, BTreeSet::new());
    for email in PATIENTS {
        let visitor = Visitor::log_in(&app, email).await;
        let mut phone = Phone::filled_by(async |path| visitor.ask(path).await, app.now()).await;
        drawn += phone.draws(&visitor.mine(ALL).await);
        filled.append(&mut phone.filled);
    }
    assert!(drawn > 150, "{drawn}");
    assert!(filled.contains("choices") && filled.contains("answer:if-then-habit"), "{filled:?}");
}

#[actix_web::test]
async fn prompts_in_another_language_are_drawn_from_the_bundle_alone() {
    for locale in ["de-AT", "es"] {
        let app = TestApp::start().await;
        let (theo, ann) = two(&app).await;
        theo.records(&ann, app.now() - SignedDuration::from_hours(6)).await;
        ann.sets(json!({ "locale": locale })).await.ok();
        let plan = json!({ "exercise_key": "if-then-habit", "exercise_version": 1, "occurred_at": app.now().to_string(),
            "answers": { "when": "the kettle {boils}", "then": "breathe out" } });
        ann.works(plan).await;
        let mut phone = Phone::of(&ann).await;
        let shown = ann.get(&ann.my(&format!("/{ALL}&limit=200"))).send().await.ok();
        assert!(phone.draws(shown.items()) > 10);
        assert!(
            phone.filled.contains("choices") && phone.filled.contains("answer:if-then-habit"),
            "{:?}",
            phone.filled
        );
    }
}

#[actix_web::test]
async fn what_the_patient_wrote_is_quoted_offline_as_it_is_online() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(6)).await;
    let session = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    theo.put(&session, planned_for(app.now() + SignedDuration::from_hours(24 * 10))).send().await.created();
    let date = (app.now() + SignedDuration::from_hours(24 * 8)).to_string()[..10].to_owned();
    let note = json!({ "exercise_key": "future-note", "exercise_version": 1, "occurred_at": app.now().to_string(),
        "answers": { "body": format!("Dear me, the {{lake}}\nwas {} there", "still ".repeat(300)), "open_on": date } });
    ann.works(note).await;
    let plan = |when: &str| {
        json!({ "exercise_key": "if-then-habit", "exercise_version": 1, "occurred_at": app.now().to_string(),
            "answers": { "when": when, "then": "one\nline \u{202e}only" } })
    };
    let shown = async || ann.get(&ann.my(&format!("/{ALL}&limit=200"))).send().await.ok().items().to_vec();
    let mut phone = Phone::of(&ann).await;
    assert!(phone.draws(&shown().await) > 10);
    for when in ["the kettle {boils}", &"👩‍👩‍👧‍👦".repeat(40), &"ebb and flow ".repeat(20)] {
        // Two of one second: the one that was changed last counts.
        ann.works(plan(when)).await;
        let takeaway = json!({ "tags": ["Takeaway"], "occurred_at": app.now().to_string(),
            "text": { "body": format!("\n  {when} is allowed\nAnd more.") } });
        ann.writes(with(reflection("Lake"), takeaway)).await;
        let mut phone = Phone::of(&ann).await;
        phone.draws(&shown().await);
        let placeholders = ["answer:if-then-habit", "choices", "last_takeaway", "returned"];
        assert!(placeholders.iter().all(|name| phone.filled.contains(*name)), "{:?}", phone.filled);
    }
    // What is deleted is quoted no more: the plan before it is, and then none.
    for plain in [false, false, true] {
        let responses = ann.get(&ann.my("/exercise-responses")).send().await.ok();
        let newest = responses.items().iter().find(|one| one["exercise_key"] == "if-then-habit").unwrap();
        ann.delete(&ann.my(&format!("/exercise-responses/{}", word(newest, "/id")))).send().await.no_content();
        let mut phone = Phone::of(&ann).await;
        phone.draws(&shown().await);
        assert_eq!(phone.filled.contains("plain"), plain, "{:?}", phone.filled);
    }
}

/// A look back that answers a prompt is a takeaway without its tag.
#[actix_web::test]
async fn an_answer_that_gives_a_takeaway_is_quoted_offline_too() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    let session = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    app.wait(SignedDuration::from_hours(24 * 16));
    theo.put(&session, planned_for(app.now() + SignedDuration::from_hours(24 * 3))).send().await.created();
    let shown = async || ann.get(&ann.my(&format!("/{ALL}&limit=200"))).send().await.ok().items().to_vec();
    let phone = Phone::of(&ann).await;
    let giving = phone.of_kind("prompt").filter(|prompt| phone.rule(prompt)["gives_takeaway"] == true);
    let past = giving.filter(|prompt| instant(prompt, "/fields/due_at") < app.now()).last().unwrap();
    let answer = json!({ "prompt_id": past["id"], "occurred_at": app.now().to_string(), "tags": [] });
    ann.writes(with(reflection("A door stood open"), answer)).await;
    let mut phone = Phone::of(&ann).await;
    let shown = shown().await;
    phone.draws(&shown);
    let quoting = |prompt: &&Value| word(prompt, "/detail/text").contains("'A door stood open'");
    assert!(shown.iter().any(|prompt| quoting(&prompt)) && phone.filled.contains("last_takeaway"));
}

/// The texts of every version stay in the bundle: an old prompt keeps its own.
#[actix_web::test]
async fn a_prompt_of_an_old_protocol_is_drawn_as_it_was_meant() {
    let (_, ann) = upgraded().await;
    let mut phone = Phone::of(&ann).await;
    let versions: BTreeSet<u64> =
        phone.of_kind("prompt").map(|prompt| prompt["fields"]["protocol_version"].as_u64().unwrap()).collect();
    assert_eq!(versions, BTreeSet::from([1, 2]));
    let current: Vec<_> =
        list(&phone.bundle, "protocols").iter().map(|one| (&one["version"], &one["current"])).collect();
    assert_eq!(current, [(&json!(1), &json!(false)), (&json!(2), &json!(true))]);
    let shown = ann.get(&ann.my("/prompts?from=2026-01-01&to=2026-12-01&limit=200")).send().await.ok();
    assert_eq!(phone.draws(shown.items()), 4);
}

/// The versions of a protocol that are in a list of prompts or of protocols.
fn versions<'v>(of: impl Iterator<Item = &'v Value>, (name, key): (&str, &str), version: &str) -> BTreeSet<u64> {
    of.filter(|one| one[name] == key).map(|one| one[version].as_u64().unwrap()).collect()
}

/// A phone holds prompts of every version that its courses have used, also of one that was retired since, and of a
/// clinic that was left.
#[actix_web::test]
async fn a_prompt_of_an_old_version_of_a_clinic_is_drawn_as_it_was_meant() {
    let app = TestApp::start().await;
    let (admin, _theo, ann, clinic) = clinic(&app).await;
    let key = publishes(&admin, &clinic, ours("Ours", "How is the weather in you?")).await;
    choose(&admin, &clinic, json!({ "protocol_id": key })).await;
    a_minute_later(&app).await;
    for _ in 0..48 {
        app.wait(SignedDuration::from_hours(1));
        rounds(&app).await;
    }
    let now = admin.get(&at(&clinic, &key)).send().await.ok().body;
    let next = admin.put(&at(&clinic, &key), ours("Ours", "And today?")).if_match(tag(&now)).send().await.ok().body;
    publish(&admin, &clinic, &key, &next).await;
    a_minute_later(&app).await;
    admin.post(&format!("{}/retire", at(&clinic, &key)), json!({ "version": 1 })).send().await.ok();
    a_minute_later(&app).await;

    let shown = async || ann.get(&ann.my(&format!("/{ALL}&limit=200"))).send().await.ok().items().to_vec();
    let used = |phone: &Phone| {
        versions(phone.of_kind("prompt").map(|one| &one["fields"]), ("protocol", key.as_str()), "protocol_version")
    };
    let known = |phone: &Phone| versions(list(&phone.bundle, "protocols").iter(), ("key", key.as_str()), "version");
    let mood = |shown: &[Value]| {
        let mood = shown.iter().find(|one| one["rule_key"] == "d2.mood").unwrap();
        word(mood, "/detail/text").to_owned()
    };
    let mut phone = Phone::of(&ann).await;
    assert_eq!((used(&phone), known(&phone)), (BTreeSet::from([1, 2]), BTreeSet::from([1, 2])));
    let online = shown().await;
    assert_eq!(mood(&online), "How is the weather in you?", "it has gone out");
    assert!(phone.draws(&online) > 10);

    let link = ann.care_links().await[0]["id"].as_str().unwrap().to_owned();
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    a_minute_later(&app).await;
    let mut phone = Phone::of(&ann).await;
    assert!(used(&phone).contains(&1), "{:?}", used(&phone));
    assert_eq!(known(&phone), BTreeSet::from([1, 2]));
    let online = shown().await;
    assert_eq!(mood(&online), "How is the weather in you?");
    assert!(phone.draws(&online) > 10);
}

#[actix_web::test]
async fn exercises_and_what_is_said_around_them_are_as_online() {
    let app = lakeside().await;
    let mut seen = 0;
    for email in PATIENTS {
        let visitor = Visitor::log_in(&app, email).await;
        let phone = Phone::filled_by(async |path| visitor.ask(path).await, app.now()).await;
        for exercise in list(&phone.bundle, "exercises") {
            let path = format!("/v1/exercises/{}?version={}", word(exercise, "/key"), exercise["version"]);
            assert_eq!(*exercise, visitor.get(&path).await, "title, steps, words");
        }
        let words = &phone.bundle["exercise_words"];
        for one in visitor.mine("exercises").await {
            assert_eq!(words["fits"][word(&one, "/fit")], one["fit_text"]);
            if let Some(text) = one.get("offer_text") {
                assert_eq!(words["offers"][word(&one, "/offer")], *text);
            }
        }
        for suggestion in visitor.mine("exercises/suggested").await {
            for reason in list(&suggestion, "reasons").iter().filter(|reason| reason["code"] != "done_before") {
                assert_eq!(words["reasons"][word(reason, "/code")], reason["text"]);
            }
        }
        for response in visitor.mine("exercise-responses").await {
            let exercise = phone.exercise(word(&response, "/exercise_key"), &response["exercise_version"]);
            assert_eq!(exercise["title"], response["title"]);
            phone.supports(&response);
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[actix_web::test]
async fn grounding_is_offered_offline_as_it_is_online() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let phone = Phone::of(&ann).await;
    for (before, after, offered) in
        [(Some(5), Some(7), false), (Some(4), Some(7), true), (None, Some(7), false), (None, Some(8), true)]
    {
        let id = ann.works(with(work(), json!({ "distress": { "before": before, "after": after } }))).await;
        let response = ann.response(&id).await.ok();
        assert_eq!(phone.supports(&response.body), offered, "{before:?} {after:?}");
    }
}

/// The phase by the infusions that the phone holds.
fn phase(phone: &Phone, at: Timestamp) -> Value {
    let window = &phone.bundle["window"];
    let time =
        |infusion: &Value, name: &str| infusion["fields"][name].as_str().map(|at| at.parse::<Timestamp>().unwrap());
    let ended = phone.of_kind("infusion").filter(|one| one["fields"]["status"] == "completed");
    let mut ended: Vec<_> = ended.filter_map(|one| Some((time(one, "ended_at")?, one))).collect();
    ended.sort_by_key(|(end, _)| *end);
    let under_way =
        ended.iter().any(|(end, one)| time(one, "started_at").is_some_and(|start| start <= at && at < *end));
    let last = ended.iter().rev().find(|(end, _)| *end <= at);
    let hours = |end: &Timestamp| at.duration_since(*end).as_secs_f64() / 3600.0;
    let key = match last {
        _ if under_way => "in_session",
        None => "none",
        Some((end, one)) => {
            let acute = window["acute_hours"][word(one, "/fields/route")].as_f64().unwrap();
            let until = |phase: &Value| if phase["key"] == "acute" { Some(acute) } else { phase["end_h"].as_f64() };
            let after = list(window, "phases").iter().filter(|phase| phase.get("start_h").is_some());
            word(after.clone().find(|phase| until(phase).is_none_or(|until| hours(end) < until)).unwrap(), "/key")
        }
    };
    list(window, "phases").iter().find(|phase| phase["key"] == key).unwrap().clone()
}

#[actix_web::test]
async fn the_phase_and_the_advice_on_driving_follow_from_the_infusions() {
    let app = lakeside().await;
    let (mut phases, mut advised) = (BTreeSet::new(), 0);
    for email in PATIENTS {
        let visitor = Visitor::log_in(&app, email).await;
        let phone = Phone::filled_by(async |path| visitor.ask(path).await, app.now()).await;
        let window = &phone.bundle["window"];
        let infusions = visitor.mine("infusions").await;
        for hours in (0..24 * 80).step_by(11) {
            let at = app.now() - SignedDuration::from_hours(hours);
            let online = visitor.get(&format!("/v1/patients/me/window?at={at}")).await;
            let phase = phase(&phone, at);
            assert_eq!((&phase["key"], &phase["label"]), (&online["phase"], &online["label"]), "{at}");
            assert_eq!((&phase["sentence"], &window["disclaimer"]), (&online["sentence"], &online["disclaimer"]));
            phases.insert(word(&phase, "/key").to_owned());
        }
        let settings = phone.of_kind("settings").next().unwrap();
        for infusion in infusions.iter().filter(|one| one.get("driving").is_some()) {
            let end = instant(infusion, "/ended_at");
            // The zone where the patient was then.
            let zones = list(&settings["fields"], "zones").iter();
            let there = zones.clone().rfind(|zone| instant(zone, "/from") <= end).or(zones.clone().next());
            let there = Zone::parse(word(there.unwrap(), "/time_zone")).unwrap();
            let advice = &window["driving"];
            let morning = word(advice, "/morning").parse().unwrap();
            let morning = there.instant(there.date(end).tomorrow().unwrap(), morning);
            let day = SignedDuration::from_secs_f64(advice["hours"].as_f64().unwrap() * 3600.0);
            let until = morning.max(end + day);
            let time = there.local(until).strftime("%A %-d %B, %H:%M");
            let (_, place) = there.name().rsplit_once('/').unwrap();
            let when = format!("{time} {} time (UTC{})", place.replace('_', " "), there.offset(until));
            assert_eq!(word(infusion, "/driving"), word(advice, "/text").replace("{when}", &when));
            advised += 1;
        }
    }
    assert!(phases.len() >= 6 && advised > 8, "{phases:?} {advised}");
}

#[actix_web::test]
async fn the_bundle_is_the_same_for_everybody_with_the_language_and_at_any_time() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let bea = app.patient(&theo, "Bea Holt").await;
    let first = ann.get("/v1/bundle").send().await.ok();
    assert!(first.bytes.len() < MOST, "{} bytes", first.bytes.len());
    println!("the bundle has {} bytes", first.bytes.len());
    assert_eq!(first.headers["content-language"], "en");
    // What is withheld from a patient, and what they wrote, changes nothing.
    let path = ann.of_theirs("/cautions");
    let tag = theo.get(&path).send().await.ok().etag();
    theo.put(&path, json!({ "flags": ["acute_si", "dissociation"] })).if_match(&tag).send().await.ok();
    ann.works(work()).await;
    theo.records(&ann, app.now()).await;
    app.wait(SignedDuration::from_hours(20));
    for (who, person) in [("ann", &ann), ("bea", &bea), ("theo", &theo)] {
        let asked = person.get("/v1/bundle").send().await.ok();
        assert_eq!((asked.etag(), &asked.bytes), (first.etag(), &first.bytes), "{who}");
        let known = person.get("/v1/bundle").header("if-none-match", first.etag()).send().await.expect(304);
        assert!(known.bytes.is_empty(), "{who}");
    }
    let shown = String::from_utf8(first.bytes.clone()).unwrap().to_lowercase();
    for word in ["caution", "withheld", "acute_si", "dissociation", "psychosis", "ptsd"] {
        assert!(!shown.contains(word), "{word}");
    }
    app.get("/v1/bundle").send().await.expect(401);
    ann.get("/v1/bundle?version=1").send().await.expect(422);
}

#[actix_web::test]
async fn the_library_is_in_the_language_asked_for_or_in_the_patients_own() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let english = ann.get("/v1/bundle").send().await.ok();
    let german = ann.get("/v1/bundle").header("accept-language", "de-AT").send().await.ok();
    assert!(german.bytes.len() < MOST, "{} bytes", german.bytes.len());
    assert_eq!((german.headers["content-language"].as_str(), &german.body["locale"]), ("de", &json!("de")));
    assert_ne!((german.etag(), &german.bytes), (english.etag(), &english.bytes));
    let titles = |answer: &Answer| {
        let titles = list(&answer.body, "exercises").iter().map(|one| (one["key"].clone(), one["title"].clone()));
        titles.collect::<Vec<_>>()
    };
    assert!(titles(&german).contains(&(json!("if-then-habit"), json!("Wenn–dann"))));
    // The texts of prompts are in it too, under the same keys.
    let rules = |answer: &Answer| {
        let rules = list(&list(&answer.body, "protocols")[0], "rules").iter();
        rules.map(|rule| (rule["rule_key"].clone(), list(rule, "texts").len())).collect::<Vec<_>>()
    };
    assert_eq!(rules(&german), rules(&english));
    assert_ne!(german.body["protocols"], english.body["protocols"]);
    ann.get("/v1/bundle").header("accept-language", "de").header("if-none-match", english.etag()).send().await.ok();
    // Without a wish the patient's own language counts, in the library too; staff have none.
    ann.sets(json!({ "locale": "de-CH" })).await.ok();
    assert_eq!(ann.get("/v1/bundle").send().await.ok().bytes, german.bytes);
    assert_eq!(ann.get("/v1/exercises/if-then-habit").send().await.ok().body["title"], "Wenn–dann");
    let first = ann.get("/v1/exercises?").send().await.ok();
    let own = first.items().iter().find(|one| one["key"] == "if-then-habit").unwrap();
    assert_eq!(own["title"], "Wenn–dann");
    let asked = ann.get("/v1/bundle").header("accept-language", "en").send().await.ok();
    assert_eq!(asked.bytes, english.bytes);
    assert_eq!(theo.get("/v1/bundle").send().await.ok().bytes, english.bytes);
    // A language without texts is English.
    ann.sets(json!({ "locale": "is" })).await.ok();
    assert_eq!(ann.get("/v1/bundle").send().await.ok().bytes, english.bytes);
}

/// The plan says nothing of what is set aside, and neither do texts: the app leaves out what was not offered last.
#[actix_web::test]
async fn what_is_not_offered_is_left_out_of_a_choice_offline_too() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now()).await;
    app.wait(SignedDuration::from_hours(6));
    let path = ann.of_theirs("/cautions");
    let tag = theo.get(&path).send().await.ok().etag();
    theo.put(&path, json!({ "flags": ["dissociation"] })).if_match(&tag).send().await.ok();
    let mut phone = Phone::of(&ann).await;
    let shown = ann.get(&ann.my(&format!("/{ALL}&limit=200"))).send().await.ok();
    phone.draws(shown.items());
    let thought = shown.items().iter().find(|prompt| prompt["rule_key"] == "d2.thought").unwrap();
    assert_eq!(thought["detail"]["exercises"], json!(["thought-record"]));
}

#[actix_web::test]
async fn the_bundle_is_compressed() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let packed = ann.get("/v1/bundle").header("accept-encoding", "gzip").send().await.ok();
    assert_eq!(packed.headers["content-encoding"], "gzip");
}
