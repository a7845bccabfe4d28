//! One life: what happens in it, and what holds in the end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use afterglow::app::Server;
use afterglow::db::Backend;
use afterglow::kernel::{Clock, Entropy};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::words::{Words, held, within};
use crate::reference_phone::{Phone, Request, Thing};
use crate::support::app::{START, TestApp, new_id};
use crate::support::database::{Database, new_folder};
use crate::support::dice::Dice;
use crate::support::people::{Person, again};
use crate::support::reader::{Reader, new_reader};
use crate::support::sql::Sql;
use crate::support::sync::send;
use crate::tasks::settled;

/// Whether a life is long. The server of a long one is copied, and comes back from its copy; those of short ones share a
/// server, of which the start takes as long as half a life.
pub fn is_long(seed: u64) -> bool {
    seed.is_multiple_of(5)
}

type Answered = (u16, Value);

/// A phone, and what is on its way.
struct Device {
    phone: Phone,
    file: PathBuf,
    backup: Option<PathBuf>,
    /// Answers that have not arrived.
    late: Vec<(Request, Answered)>,
    /// Requests that have not arrived.
    ghosts: Vec<Request>,
    /// The batches of this epoch.
    batches: Vec<Request>,
    /// The hours by which its clock is wrong.
    skew: i64,
}

pub struct Life {
    seed: u64,
    dice: Dice,
    clinic: Clinic,
    ann: Person,
    theo: Person,
    uma: Person,
    devices: Vec<Device>,
    reader: Reader,
    words: Words,
    /// Entries that a grant has ever named, and whether a rule may have opened others.
    opened: BTreeSet<String>,
    by_rule: bool,
    /// The backup of the server.
    copy: Option<Database>,
    folder: TempDir,
}

/// How many lives share a server, each with a patient and two therapists of its own.
const LIVES: usize = 8;

/// A server, and how many of its people have no life yet.
pub struct Clinic {
    app: Arc<TestApp>,
    left: usize,
}

impl Clinic {
    pub async fn open() -> Self {
        let clock = || Clock::manual(START.parse().unwrap());
        let fill = async |database| {
            let app = TestApp::on(database, clock(), |_| {}).await;
            let admin = app.admin().await;
            for number in 0..LIVES {
                let theo = app.staff(&admin, &format!("Theo Brandt {number}"), &["care", "record"]).await;
                let uma = app.staff(&admin, &format!("Uma Beck {number}"), &["care"]).await;
                app.patient(&theo, &format!("Ann Lind {number}")).await.linked_to(&uma).await;
            }
            drop(admin);
            app.stop()
        };
        let database = Database::made_once("offline", fill).await;
        Self { app: TestApp::on(database, clock(), |_| {}).await, left: LIVES }
    }

    pub fn has_room(&self) -> bool {
        self.left > 0
    }

    /// A patient and their therapists, logged in.
    async fn people(&self) -> [Person; 3] {
        let (app, number) = (&self.app, self.left);
        [
            again(app, &format!("Ann Lind {number}")).await,
            again(app, &format!("Theo Brandt {number}")).await,
            again(app, &format!("Uma Beck {number}")).await,
        ]
    }
}

impl Life {
    pub async fn begin(seed: u64, mut clinic: Clinic) -> Self {
        println!("seed {seed}");
        let dice = Dice::new(seed + 1);
        clinic.left -= 1;
        clinic.app.set_clock(START);
        let [ann, theo, uma] = clinic.people().await;
        theo.records(&ann, clinic.app.now() - SignedDuration::from_hours(40)).await;
        let folder = new_folder();
        let mut life = Self {
            seed,
            dice,
            clinic,
            ann,
            theo,
            uma,
            devices: Vec::new(),
            reader: Reader::default(),
            words: Words::default(),
            opened: BTreeSet::new(),
            by_rule: false,
            copy: None,
            folder,
        };
        for (number, skew) in [0, 48, -48].into_iter().enumerate() {
            let file = life.folder.path().join(format!("phone{number}"));
            let (late, ghosts, batches) = (Vec::new(), Vec::new(), Vec::new());
            let phone = life.open(&file, number);
            life.devices.push(Device { phone, file, backup: None, late, ghosts, batches, skew });
        }
        life
    }

    fn open(&self, file: &std::path::Path, number: usize) -> Phone {
        let dice = self.dice.clone();
        let mut phone = Phone::open(file, (&self.ann.patient, &self.ann.account), move || dice.id());
        // On the last phone the person is asked.
        phone.keep_both = number != 2;
        phone
    }

    /// Tells what happens, for whoever looks into a life that fails.
    fn tell(&self, number: usize, what: &str, more: &Value) {
        println!("{} phone {number} {what} {more}", self.clinic.app.now());
    }

    pub async fn live(mut self) -> Clinic {
        for _ in 0..if is_long(self.seed) { 50 } else { 16 } {
            let number = self.dice.below(self.devices.len());
            match self.dice.below(20) {
                0..=8 => self.act(number),
                9..=15 => self.exchange(number).await,
                16 => self = self.sometimes(number).await,
                17 => self.therapists().await,
                18 => {
                    self.clinic.app.wait(SignedDuration::from_mins(i64::try_from(self.dice.below(300)).unwrap()));
                    if self.dice.once_in(2) {
                        settled(&self.clinic.app).await;
                    }
                }
                _ => {
                    self.reader.page(&self.theo, 1 + self.dice.below(5)).await;
                }
            }
        }
        self.end().await
    }

    // What the person does on a phone.

    fn act(&mut self, number: usize) {
        let dice = self.dice.clone();
        let things = self.devices[number].phone.things();
        let live: Vec<&Thing> = things.iter().filter(|thing| !thing.deleted && thing.base["deleted"] != true).collect();
        let of = |kind: &str| live.iter().filter(|thing| thing.kind == kind).copied().collect::<Vec<_>>();
        let entries = of("entry");
        let what = dice.below(24);
        match what {
            0..=3 => self.write_entry(number),
            4..=8 => {
                let both = [entries, of("exercise_response")].concat();
                let Some(thing) = dice.of(&both) else { return };
                let word = self.words.new_word();
                let (name, member) = if thing.kind == "entry" { ("text", "body") } else { ("answers", "hook") };
                let mut section = thing.local.get(name).cloned().unwrap_or(json!({}));
                section[member] = json!(format!("{} {word}", section[member].as_str().unwrap_or_default()));
                self.tell(number, "writes", &section);
                self.devices[number].phone.edit((&thing.kind, &thing.id), name, section);
            }
            9 => {
                let Some(thing) = dice.of(&entries) else { return };
                let mut mood = thing.local.get("mood").cloned().unwrap_or(json!({}));
                mood[["valence", "energy", "distress"][dice.below(3)]] = json!(dice.below(10));
                self.devices[number].phone.edit(("entry", &thing.id), "mood", mood);
            }
            10 | 11 => {
                let Some(thing) = dice.of(&entries) else { return };
                let mut tags = thing.local.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
                let tag = json!(format!("t{}", dice.below(6)));
                match tags.iter().position(|other| *other == tag) {
                    Some(place) => drop(tags.remove(place)),
                    None => tags.push(tag),
                }
                let tags = if tags.is_empty() { Value::Null } else { json!(tags) };
                self.devices[number].phone.edit(("entry", &thing.id), "tags", tags);
            }
            12 => {
                let Some(thing) = dice.of(&entries) else { return };
                let mut header = thing.local["header"].clone();
                header["kind"] = json!(["reflection", "dream", "note"][dice.below(3)]);
                header["status"] = json!("done");
                self.devices[number].phone.edit(("entry", &thing.id), "header", header);
            }
            13 | 14 => {
                let Some(thing) = dice.of(&entries) else { return };
                self.words.deleted(number, thing);
                self.tell(number, "deletes", &json!(thing.id));
                self.devices[number].phone.delete("entry", &thing.id);
            }
            15 => {
                let gone: Vec<_> = things.iter().filter(|thing| thing.kind == "entry" && thing.deleted).collect();
                let Some(thing) = dice.of(&gone) else { return };
                self.tell(number, "undeletes", &json!(thing.id));
                self.devices[number].phone.undelete("entry", &thing.id);
                self.words.shown(number, &mut self.devices[number].phone);
            }
            16 => {
                let word = self.words.new_word();
                let id = dice.id();
                let header = json!({ "exercise_key": "leaves-defusion", "exercise_version": 1, "status": "done",
                    "occurred_at": self.by_clock(number), "zone": "Europe/Berlin" });
                let phone = &mut self.devices[number].phone;
                phone.edit(("exercise_response", &id), "header", header);
                phone.edit(("exercise_response", &id), "answers", json!({ "hook": word, "grip": 4 }));
            }
            17 | 18 => self.share(number, &entries, &of("grant")),
            19 => {
                let grants = of("grant");
                let Some(grant) = dice.of(&grants) else { return };
                self.devices[number].phone.revoke(&grant.id);
            }
            20 => {
                let links = of("care_link");
                let active: Vec<_> = links.iter().filter(|link| link.base["fields"]["state"] == "active").collect();
                let (Some(entry), Some(link)) = (dice.of(&entries), dice.of(&active)) else { return };
                let word = self.words.new_word();
                let members = json!({ "base_version": 0, "entry_id": entry.id, "thread_id": link.id, "body": word });
                // A comment goes with its entry.
                self.words.comments(&entry.id, &word);
                self.devices[number].phone.decide(("comment", &dice.id()), members);
            }
            21 | 22 => {
                let prompts = of("prompt");
                let Some(prompt) = dice.of(&prompts) else { return };
                let op = ["open", "skip", "snooze", "complete"][dice.below(4)];
                self.devices[number].phone.decide(("prompt", &prompt.id), json!({ "op": op }));
            }
            _ => {
                let day = ["monday", "friday", "sunday"][dice.below(3)];
                let fields = json!({ "weekly_day": day });
                let Some(settings) = of("settings").first().copied() else { return };
                let members = json!({ "base_version": settings.base["version"], "fields": fields });
                self.devices[number].phone.decide(("settings", &settings.id), members);
                let (from, days) = (10 + dice.below(9), dice.below(3));
                let fields = json!({ "from": format!("2026-05-{from}T00:00:00Z"),
                    "until": format!("2026-05-{}T00:00:00Z", from + 1 + days) });
                let members = json!({ "base_version": 0, "fields": fields });
                self.devices[number].phone.decide(("pause", &dice.id()), members);
            }
        }
    }

    /// The time by the clock of a phone.
    fn by_clock(&self, number: usize) -> String {
        (self.clinic.app.now() + SignedDuration::from_hours(self.devices[number].skew)).to_string()
    }

    fn write_entry(&mut self, number: usize) {
        let count = if self.dice.once_in(40) { 60 } else { 1 };
        let status = if self.dice.once_in(4) { "draft" } else { "done" };
        let header = json!({ "kind": "reflection", "status": status, "occurred_at": self.by_clock(number),
            "zone": "Europe/Berlin" });
        for _ in 0..count {
            let (id, word) = (self.dice.id(), self.words.new_word());
            let phone = &mut self.devices[number].phone;
            phone.edit(("entry", &id), "header", header.clone());
            phone.edit(("entry", &id), "text", json!({ "title": "Lake", "body": word }));
        }
    }

    fn share(&mut self, number: usize, entries: &[&Thing], grants: &[&Thing]) {
        let dice = self.dice.clone();
        let reader = if dice.once_in(3) { &self.uma } else { &self.theo };
        let section = ["text", "mood"][dice.below(2)];
        let mut members = json!({ "base_version": 0, "sections": [section],
            "reader": { "type": "therapist", "account_id": reader.account } });
        if dice.once_in(6) {
            let kind = ["dream", "reflection"][dice.below(2)];
            members["rule"] = json!({ "kind": kind });
            self.by_rule = true;
        } else {
            let Some(entry) = dice.of(entries) else { return };
            members["target"] = json!({ "type": "entry", "id": entry.id });
            self.opened.insert(entry.id.clone());
        }
        if dice.once_in(4) {
            let hours = 1 + i64::try_from(dice.below(30)).unwrap();
            members["expires_at"] = json!((self.clinic.app.now() + SignedDuration::from_hours(hours)).to_string());
        }
        if let Some(old) = dice.of(grants).filter(|_| dice.once_in(4)) {
            members["replaces"] = json!([old.id]);
        }
        self.devices[number].phone.decide(("grant", &dice.id()), members);
    }

    // The network.

    async fn send(&self, request: &Request) -> Answered {
        let answer = send(&self.ann, request).await;
        if request.path != "/integrity" {
            println!("{} {} -> {}", request.path, request.body.as_ref().unwrap_or(&Value::Null), answer.1);
        }
        answer
    }

    async fn exchange(&mut self, number: usize) {
        for _ in 0..=self.dice.below(4) {
            let request = self.devices[number].phone.next();
            self.tell(number, "asks", &json!(request.path));
            if request.path == "/mutations" {
                self.devices[number].batches.push(request.clone());
            }
            match self.dice.below(12) {
                // It never arrives.
                0 => {}
                // It arrives, but not its answer.
                1 | 2 => drop(self.send(&request).await),
                // It arrives twice.
                3 => {
                    self.send(&request).await;
                    let answer = self.send(&request).await;
                    self.takes(number, &request, &answer);
                }
                // The phone crashes before its answer.
                4 => {
                    self.send(&request).await;
                    let file = self.devices[number].file.clone();
                    self.devices[number].phone = self.open(&file, number);
                }
                5 => {
                    let answer = self.send(&request).await;
                    self.devices[number].late.push((request, answer));
                }
                6 => self.devices[number].ghosts.push(request),
                _ => {
                    let answer = self.send(&request).await;
                    self.takes(number, &request, &answer);
                }
            }
            self.arrive(number).await;
        }
        if self.dice.once_in(2) {
            self.devices[number].phone.wake();
        }
    }

    /// What is late arrives now and then.
    async fn arrive(&mut self, number: usize) {
        let device = &mut self.devices[number];
        if !device.late.is_empty() && self.dice.once_in(3) {
            let (request, answer) = device.late.remove(self.dice.below(device.late.len()));
            self.takes(number, &request, &answer);
        }
        if !self.devices[number].ghosts.is_empty() && self.dice.once_in(3) {
            let place = self.dice.below(self.devices[number].ghosts.len());
            let request = self.devices[number].ghosts.remove(place);
            self.send(&request).await;
        }
    }

    /// An answer arrives, and the person sees what it has brought.
    fn takes(&mut self, number: usize, request: &Request, answer: &Answered) {
        self.devices[number].phone.take(request, (answer.0, &answer.1));
        self.person_decides(number);
        self.words.shown(number, &mut self.devices[number].phone);
    }

    /// The person sees a conflict, and writes what both say.
    fn person_decides(&mut self, number: usize) {
        let phone = &mut self.devices[number].phone;
        for thing in phone.things().into_iter().filter(|thing| thing.waits && thing.base["version"].is_i64()) {
            for (section, member) in [("text", "body"), ("answers", "hook")] {
                let (Some(mine), Some(theirs)) = (thing.local.get(section), thing.base.get(section)) else { continue };
                let theirs_words = within(theirs);
                let more: Vec<_> = within(mine).into_iter().filter(|word| !theirs_words.contains(word)).collect();
                let mut both = mine.clone();
                both[member] = json!(format!("{} {}", theirs[member].as_str().unwrap_or_default(), more.join(" ")));
                phone.edit((&thing.kind, &thing.id), section, both);
            }
            let section = thing.dirty.iter().find(|name| *name != "state").cloned();
            if let Some(section) = section {
                let value = phone.find(&thing.kind, &thing.id).unwrap().local.get(&section).cloned();
                phone.edit((&thing.kind, &thing.id), &section, value.unwrap_or_default());
            }
        }
    }

    // What happens more rarely.

    async fn sometimes(mut self, number: usize) -> Self {
        match self.dice.below(8) {
            0 | 1 => {
                let backup = self.folder.path().join(format!("backup{}", self.dice.id()));
                Sql::open(&Backend::Sqlite(self.devices[number].file.clone()))
                    .run(&format!("VACUUM INTO '{}'", backup.display()));
                self.devices[number].backup = Some(backup);
            }
            2 => self.restore_phone(number).await,
            3..=6 if !is_long(self.seed) => {}
            3..=6 if self.copy.is_some() && !self.dice.once_in(3) => return self.restore_server().await,
            3..=6 => return self.back_up_server().await,
            _ => {
                let links = self.ann.care_links().await;
                let uma = links.iter().find(|link| link["name"] == self.uma.name.as_str() && link["state"] == "active");
                match uma {
                    Some(link) => {
                        let path = format!("/v1/care-links/{}", link["id"].as_str().unwrap());
                        self.ann.delete(&path).send().await.no_content();
                    }
                    None => drop(self.ann.linked_to(&self.uma).await),
                }
            }
        }
        self
    }

    /// A phone is lost, and its backup comes back.
    async fn restore_phone(&mut self, number: usize) {
        let Some(backup) = self.devices[number].backup.clone() else { return };
        self.all_words_are_somewhere().await;
        let file = self.folder.path().join(format!("phone{}", self.dice.id()));
        std::fs::copy(backup, &file).unwrap();
        let phone = self.open(&file, number);
        let device = &mut self.devices[number];
        (device.phone, device.file) = (phone, file);
        (device.late, device.ghosts) = (Vec::new(), Vec::new());
        self.words.forgets(number);
        self.tell(number, "comes back from its backup", &Value::Null);
        let left = self.somewhere().await;
        self.words.only(&left);
    }

    /// The server is stopped, copied, and started again.
    async fn back_up_server(mut self) -> Self {
        let people = [self.ann, self.theo, self.uma].map(Person::absent);
        let clock = self.clinic.app.clock.clone();
        let database = self.clinic.app.stop();
        self.copy = Some(database.copy());
        let app = TestApp::on(database, clock, |_| {}).await;
        [self.ann, self.theo, self.uma] = people.map(|person| person.at(&app));
        self.clinic.app = app;
        self
    }

    /// The server goes back to its backup, and begins a new epoch.
    async fn restore_server(mut self) -> Self {
        self.all_words_are_somewhere().await;
        drop((self.ann, self.theo, self.uma));
        let (config, clock) = (self.clinic.app.server.state.config.as_ref().clone(), self.clinic.app.clock.clone());
        let database = self.clinic.app.stop();
        database.restore(self.copy.as_ref().unwrap());
        Server::renew(config, clock.clone(), Entropy::System).await.unwrap();
        self.clinic.app = TestApp::on(database, clock, |_| {}).await;
        [self.ann, self.theo, self.uma] = self.clinic.people().await;
        for device in &mut self.devices {
            // Every session has ended: nothing that was sent before arrives any more.
            device.ghosts.clear();
            device.batches.clear();
        }
        self.reader.begins_again();
        self.tell(9, "is the server, which is restored", &Value::Null);
        let left = self.somewhere().await;
        self.words.only(&left);
        self
    }

    async fn therapists(&mut self) {
        let list = self.theo.reads(&self.ann, "/entries").await.ok();
        let open: Vec<_> = list.items().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
        if let Some(entry) = self.dice.of(&open) {
            let thread = self.ann.of_theirs(&format!("/entries/{entry}/comments"));
            drop(self.theo.says(&thread, json!({ "body": "Thank you." })).send().await);
        }
        if self.dice.once_in(4) {
            self.theo.assigns(&self.ann, "values-sort").await;
        }
        let path = self.ann.of_theirs(&format!("/infusions/{}", new_id(&self.clinic.app)));
        if self.dice.once_in(4) {
            let at = self.clinic.app.now() + SignedDuration::from_hours(72);
            drop(self.theo.put(&path, json!({ "status": "planned", "planned_at": at.to_string() })).send().await);
        }
    }

    // What holds.

    /// A phone that was bought now.
    async fn new_phone(&self) -> Phone {
        let mut phone = self.open(&self.folder.path().join(self.dice.id()), 0);
        while !phone.is_quiet() {
            let request = phone.next();
            let answer = self.send(&request).await;
            assert_eq!(answer.0, 200, "{request:?}: {}", answer.1);
            phone.take(&request, (answer.0, &answer.1));
        }
        phone
    }

    /// The words that the server or a phone has.
    async fn somewhere(&mut self) -> BTreeSet<String> {
        let mut all = held(&mut self.new_phone().await);
        for device in &mut self.devices {
            all.extend(held(&mut device.phone));
            all.extend(device.ghosts.iter().filter_map(|ghost| ghost.body.as_ref()).flat_map(within));
        }
        all
    }

    async fn all_words_are_somewhere(&mut self) {
        let there = self.somewhere().await;
        assert_eq!(self.words.missing(&there), Vec::<&str>::new(), "seed {}", self.seed);
    }

    /// Everybody is connected again.
    async fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10, "seed {}: it does not come to rest", self.seed);
            let mut pushed = false;
            for number in 0..self.devices.len() {
                self.devices[number].phone.wake();
                for asked in 0.. {
                    let request = self.devices[number].phone.next();
                    pushed |= request.path != "/integrity" && request.body.is_some();
                    let answer = self.send(&request).await;
                    assert!(matches!(answer.0, 200 | 410), "{request:?}: {}", answer.1);
                    assert!(
                        asked < 60,
                        "seed {}: phone {number} asks {request:?}, and is told {}",
                        self.seed,
                        answer.1
                    );
                    self.takes(number, &request, &answer);
                    if self.devices[number].phone.is_quiet() {
                        break;
                    }
                }
            }
            if !pushed {
                return;
            }
        }
    }

    async fn end(mut self) -> Clinic {
        let seed = self.seed;
        self.settle().await;
        let mut new = self.new_phone().await;
        let there = held(&mut new);
        assert_eq!(self.words.missing(&there), Vec::<&str>::new(), "seed {seed}: words are lost");
        let whole = |phone: &mut Phone| {
            let live = phone.things().into_iter().filter(|thing| !thing.deleted);
            live.map(|thing| ((thing.kind, thing.id), thing.base)).collect::<std::collections::BTreeMap<_, _>>()
        };
        let all = whole(&mut new);
        for number in 0..self.devices.len() {
            let phone = &mut self.devices[number].phone;
            let mine = whole(phone);
            let lacks: Vec<_> = all.iter().filter(|(key, _)| !mine.contains_key(*key)).collect();
            let has: Vec<_> = mine.iter().filter(|(key, _)| !all.contains_key(*key)).collect();
            assert!(
                lacks.is_empty() && has.is_empty(),
                "seed {seed}, phone {number} lacks {lacks:?}, alone has {has:?}"
            );
            for (key, item) in &mine {
                assert_eq!(item, &all[key], "seed {seed}, phone {number}");
            }
            assert!(phone.things().iter().all(|thing| thing.dirty.is_empty()), "seed {seed}, phone {number}");
            assert!(phone.waiting().is_empty());
            let same = self.compare(number).await;
            assert_eq!((&same["differ"], &same["missing"]), (&json!([]), &json!([])), "seed {seed}, phone {number}");
        }
        // Whatever was sent is known again.
        for number in 0..self.devices.len() {
            for batch in std::mem::take(&mut self.devices[number].batches) {
                self.send(&batch).await;
            }
        }
        assert_eq!(whole(&mut self.new_phone().await), all, "seed {seed}: a batch that came again did something");
        settled(&self.clinic.app).await;
        self.reader.pull(&self.theo, 7).await;
        self.reader.holds_what_it_may_see(&self.theo, &[&self.ann]).await;
        self.reader.equals(&new_reader(&self.theo).await);
        let told = self.reader.mentioned.iter().filter(|(_, kind, _)| kind == "entry").map(|(.., id)| id);
        let never: Vec<_> = told.filter(|id| !self.by_rule && !self.opened.contains(*id)).collect();
        assert!(never.is_empty(), "seed {seed}: {never:?} were never open");
        self.clinic
    }

    /// Compares a phone with the data.
    async fn compare(&mut self, number: usize) -> Value {
        let things = self.devices[number].phone.things();
        let have: Vec<_> = things
            .iter()
            .map(|thing| {
                json!({ "kind": thing.kind, "id": thing.id, "version": thing.base["version"],
                    "deleted": thing.base["deleted"] == true })
            })
            .collect();
        let epoch = self.ann.epoch().await;
        self.send(&Request {
            method: "POST",
            path: "/integrity".to_owned(),
            body: Some(json!({ "epoch": epoch, "have": have })),
        })
        .await
        .1
    }
}
