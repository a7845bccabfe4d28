//! A reference phone: the rules of sync as an app should follow them, on an SQLite file of its own.
//!
//! It does no input and output beside that file: [`Phone::next`] says what to ask the server, and [`Phone::take`] stores
//! the answer. What is never answered is asked again. An app sends requests when it can, and calls nothing else:
//!
//! ```text
//! loop {
//!     let request = phone.next();
//!     match send(&request) { Some(answer) => phone.take(&request, &answer), None => wait() }
//!     if phone.is_quiet() { wait for `more` of the stream, a timer, an edit }
//! }
//! ```
//!
//! What it rests on:
//! - A copy is one version of a thing as a whole. One with changes that were not answered is never touched by a page.
//! - A batch is frozen when it is made. What is typed later is another mutation. No page is applied while it is
//!   unanswered: push first, then pull.
//! - A base moves only with a whole thing. Cursor and items are stored in one transaction.
//! - 410 means to compare, to mark what the server has lost, and to pull from the beginning. It deletes nothing.
//! - Its clock decides nothing. Ids are drawn, never counted, so that a phone restored from a backup repeats none.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::SqliteConnection;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::sections::sections_of;
use self::sections::{
    WORDS, applied, changed, extend, header, key, key_of, known, overlay, restated, revocation, same, sections_in, set,
    text,
};

mod sections;

/// The most mutations of a batch, and the most things of one comparison (`GET /v1/meta`).
const MUTATIONS: usize = 500;
const COMPARED: usize = 5_000;

/// What to ask the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub method: &'static str,
    /// Below `/v1/patients/me`.
    pub path: String,
    pub body: Option<Value>,
}

/// A thing on the phone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Thing {
    pub kind: String,
    pub id: String,
    /// The item as the server last gave it, whole or a tombstone; null for what it has not acknowledged.
    pub base: Value,
    /// The sections as the person sees them.
    pub local: Map<String, Value>,
    /// The sections that the person changed since, and `state` if they deleted it, undeleted it, or must state it anew.
    pub dirty: BTreeSet<String>,
    /// Whether the person sees it as deleted.
    pub deleted: bool,
    /// The version that undid its deletion, until a page brings its words: nothing is sent before.
    pub back: Option<i64>,
    /// Whether the server has refused it or found a conflict: nothing is sent until the person decides.
    pub waits: bool,
}

impl Thing {
    fn version(&self) -> i64 {
        self.base["version"].as_i64().unwrap_or(0)
    }

    fn has_new_words(&self) -> bool {
        self.dirty.iter().any(|name| WORDS.contains(&name.as_str()))
    }

    fn key(&self) -> String {
        key(&self.kind, &self.id)
    }
}

/// The phone of one patient.
pub struct Phone {
    db: SqliteConnection,
    patient: String,
    account: String,
    draw: Box<dyn FnMut() -> String>,
    /// Whether two texts in conflict are both kept, or the person is asked.
    pub keep_both: bool,
}

/// Where it stands.
#[derive(Default, Serialize, Deserialize)]
struct Me {
    cursor: Option<String>,
    epoch: String,
    seq: i64,
    /// Whether there may be another page.
    more: bool,
    /// The thing up to which it has compared, while it compares.
    asking: Option<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    place: i64,
    #[diesel(sql_type = Text)]
    doc: String,
}

/// One table. Its lists: `me`; things that are `clean`, `dirty` or for the person to decide (`waits`); mutations: those
/// to come that are no sections (`decision`), those under way (`frozen`), those refused or in conflict (`told`).
const TABLE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS docs (place INTEGER PRIMARY KEY, list TEXT NOT NULL, key TEXT UNIQUE, doc TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS lists ON docs (list, key, place);";

impl Phone {
    /// Opens the file of a phone, or makes it. `draw` draws ids of version 4.
    pub fn open(file: &Path, (patient, account): (&str, &str), draw: impl FnMut() -> String + 'static) -> Self {
        let mut db = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        db.batch_execute(TABLE).unwrap();
        let (patient, account) = (patient.to_owned(), account.to_owned());
        Self { db, patient, account, draw: Box::new(draw), keep_both: true }
    }

    // What the person does. It is always possible, also while a batch is under way.

    /// Writes a section of a new thing or of one that is there; null clears it.
    pub fn edit(&mut self, (kind, id): (&str, &str), section: &str, value: Value) {
        let mut thing = self.find(kind, id).unwrap_or_else(|| named(kind, id));
        thing.local.insert(section.to_owned(), value);
        thing.local.retain(|_, value| !value.is_null());
        thing.dirty.insert(section.to_owned());
        (thing.deleted, thing.waits) = (false, false);
        self.save(&thing);
    }

    pub fn delete(&mut self, kind: &str, id: &str) {
        self.set_deleted((kind, id), true);
    }

    pub fn undelete(&mut self, kind: &str, id: &str) {
        self.set_deleted((kind, id), false);
    }

    fn set_deleted(&mut self, (kind, id): (&str, &str), deleted: bool) {
        let Some(mut thing) = self.find(kind, id) else { return };
        (thing.deleted, thing.waits) = (deleted, false);
        thing.dirty.remove("state");
        let was_deleted = thing.base["deleted"] == true && thing.back.is_none();
        thing.dirty.extend((deleted != was_deleted).then(|| "state".to_owned()));
        self.save(&thing);
    }

    /// Decides something else: a share, a revocation, a comment, an act on a prompt, a pause, settings. `members` are
    /// those of the mutation.
    pub fn decide(&mut self, (kind, id): (&str, &str), members: Value) {
        let mut mutation = json!({ "patient_id": self.patient, "kind": kind, "id": id });
        if kind == "grant" {
            // What the person could see when they decided.
            mutation["seen_seq"] = json!(self.me().seq);
        }
        extend(&mut mutation, members);
        self.put("decision", None, &mutation);
    }

    /// Ends a grant that the phone holds: it says what that opened, so that a share made elsewhere meanwhile ends too.
    pub fn revoke(&mut self, id: &str) {
        let Some(grant) = self.find("grant", id).filter(|grant| !grant.deleted) else { return };
        self.decide(("grant", id), revocation(&grant.base));
    }

    /// What the person sees.
    pub fn things(&mut self) -> Vec<Thing> {
        self.rows("list IN ('clean', 'dirty', ?)", "waits").into_iter().map(thing).collect()
    }

    pub fn find(&mut self, kind: &str, id: &str) -> Option<Thing> {
        self.rows("key = ?", &key(kind, id)).pop().map(thing)
    }

    /// What was refused or is in conflict, oldest first.
    pub fn told(&mut self) -> Vec<Value> {
        self.list("told").into_iter().map(|(_, doc)| doc).collect()
    }

    /// What is not acknowledged yet: the batch under way and the decisions after it.
    pub fn waiting(&mut self) -> Vec<Value> {
        self.rows("list IN ('frozen', ?)", "decision").into_iter().map(|(_, doc)| doc).collect()
    }

    /// The number up to which it has every change.
    pub fn seq(&mut self) -> i64 {
        self.me().seq
    }

    /// Whether everything was sent and answered, and the last page was the last one.
    pub fn is_quiet(&mut self) -> bool {
        let me = self.me();
        me.asking.is_none() && !me.more && self.waiting().is_empty() && self.list("dirty").is_empty()
    }

    /// Something may have changed on the server: the stream said `more`, or a timer went off.
    pub fn wake(&mut self) {
        let me = self.me();
        self.set_me(&Me { more: true, ..me });
    }

    /// What to ask next.
    pub fn next(&mut self) -> Request {
        let me = self.me();
        if let Some(after) = me.asking {
            return post("/integrity", json!({ "epoch": me.epoch, "have": self.have(&after) }));
        }
        // Before its first page a phone does not know the epoch in which its words are new.
        if !me.epoch.is_empty() {
            self.freeze();
            let mutations: Vec<_> = self.list("frozen").into_iter().map(|(_, doc)| doc).collect();
            if !mutations.is_empty() {
                return post("/mutations", json!({ "epoch": me.epoch, "mutations": mutations }));
            }
        }
        let cursor = me.cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        Request { method: "GET", path: format!("/changes?limit=200{cursor}"), body: None }
    }

    /// Stores an answer. Anything but the answers of sync (401, 404, 503 and the like) changes nothing.
    pub fn take(&mut self, request: &Request, (status, body): (u16, &Value)) {
        self.db.batch_execute("BEGIN IMMEDIATE").unwrap();
        match (status, request.path.as_str()) {
            (410, _) => self.ask(),
            (200, "/integrity") => self.mark(request, body),
            (200, "/mutations") => self.settle_all(body),
            (200, _) => self.apply(request, body),
            _ => {}
        }
        self.db.batch_execute("COMMIT").unwrap();
    }

    /// Begins to compare. Nothing is deleted.
    fn ask(&mut self) {
        let me = self.me();
        self.set_me(&Me { asking: me.asking.or(Some(String::new())), more: true, ..me });
    }

    // Push.

    /// Makes a batch, unless one is under way. Saved before it is sent, it stays as it is until it is answered.
    fn freeze(&mut self) {
        if !self.list("frozen").is_empty() {
            return;
        }
        self.db.batch_execute("BEGIN IMMEDIATE").unwrap();
        let mut taken = BTreeSet::new();
        for dirty in self.list("dirty").into_iter().map(thing) {
            if taken.len() < MUTATIONS
                && let Some(mutation) = self.mutation(&dirty)
            {
                taken.insert(dirty.key());
                self.push(mutation);
            }
        }
        // A thing comes once in a batch: the next decision on it waits for the next one.
        for (place, decision) in self.list("decision") {
            if taken.len() < MUTATIONS && taken.insert(key_of(&decision)) {
                self.push(decision);
                self.remove(place);
            }
        }
        self.db.batch_execute("COMMIT").unwrap();
    }

    /// The mutation of a thing that has changes; none for one that was made and deleted before anybody saw it.
    fn mutation(&mut self, thing: &Thing) -> Option<Value> {
        let mut members = json!({ "patient_id": self.patient, "kind": thing.kind, "id": thing.id,
            "base_version": thing.version() });
        if thing.deleted {
            if thing.base.is_null() {
                self.forget(&thing.key());
                return None;
            }
            members["op"] = json!("delete");
            return Some(members);
        }
        if thing.base["deleted"] == true && !thing.has_new_words() {
            members["op"] = json!("undelete");
            return Some(members);
        }
        if self.keep_both {
            members["on_conflict"] = json!("keep_both");
        }
        extend(&mut members, changed(thing));
        Some(members)
    }

    fn settle_all(&mut self, body: &Value) {
        if body["epoch"] != self.me().epoch.as_str() {
            // It tells of what the server has lost since.
            return;
        }
        for result in body["results"].as_array().into_iter().flatten() {
            let sent = self.list("frozen").into_iter().find(|(_, sent)| sent["mutation_id"] == result["mutation_id"]);
            // The answer to a batch that was answered before says nothing new.
            let Some((place, sent)) = sent else { continue };
            self.remove(place);
            self.settle(&sent, result);
        }
    }

    fn settle(&mut self, sent: &Value, result: &Value) {
        let (kind, id) = (text(sent, "kind"), text(sent, "id"));
        let refused = result["status"] == "rejected" || result["status"] == "conflict";
        let later = refused && result["problem"]["retryable"] == true;
        if refused && !later {
            self.put("told", None, &json!({ "sent": sent, "result": result }));
        }
        if let Some(copy) = result.get("sibling") {
            // Its words stood on no phone but this one: they are here at once, not only with the next page.
            self.keep(copy);
        }
        let Some(mut thing) = self.find(&kind, &id).filter(|_| !sections_of(&kind).is_empty()) else {
            if later {
                self.put("decision", None, sent);
            }
            // What a decision has come to is told by the next page, unless it is told here. Only the page knows whether
            // the entry of a comment is still there.
            let told = ["item", "current"].iter().find_map(|name| result.get(*name));
            if let Some(item) = told.filter(|_| kind != "comment") {
                self.keep(item);
            }
            return;
        };
        let status = if result["status"] == "replayed" { &result["was"] } else { &result["status"] };
        match (status.as_str().unwrap(), result.get("current")) {
            // The next page brings its words. What else has changed is sent after that: it undoes no later deletion.
            ("applied", _) if sent["op"] == "undelete" => {
                thing.dirty.remove("state");
                thing.dirty.extend(thing.deleted.then(|| "state".to_owned()));
                thing.back = result["version"].as_i64();
                self.wake();
            }
            ("applied", _) => {
                let new = applied(&thing, sent, result);
                self.settled(&mut thing, sent, new);
            }
            ("merged", _) => self.settled(&mut thing, sent, result["item"].clone()),
            // There is nothing left to undelete.
            ("conflict", None) if sent["op"] == "undelete" => {
                thing.dirty.remove("state");
                thing.deleted = true;
            }
            // There is no such thing: it is sent whole.
            ("conflict", None) => thing.base = Value::Null,
            ("conflict", Some(current)) => {
                let theirs = sections_in(&kind, current);
                for name in sections_of(&kind).iter().filter(|name| !thing.dirty.contains(**name)) {
                    set(&mut thing.local, name, theirs.get(*name).cloned());
                }
                (thing.base, thing.waits) = (current.clone(), true);
            }
            _ => thing.waits = !later,
        }
        self.save(&thing);
    }

    /// Takes what a mutation has left, but for what the person has changed since it was frozen.
    fn settled(&mut self, thing: &mut Thing, sent: &Value, new: Value) {
        let theirs = sections_in(&thing.kind, &new);
        let (mut copy, mut unseen) = (Map::new(), false);
        let (sent_deleted, is_deleted) = (sent["op"] == "delete", new["deleted"] == true);
        thing.dirty.remove("state");
        if is_deleted {
            // The page that told of the deletion may be past: it was passed over, as the thing had changes.
            self.forget_comments(&thing.id);
        }
        for name in sections_of(&thing.kind).iter().filter(|_| !is_deleted) {
            let was = known(thing, sent, name);
            let (mine, has) = (thing.local.get(*name).cloned(), theirs.get(*name).cloned());
            unseen |= has != was && WORDS.contains(name);
            if !thing.dirty.contains(*name) || same(name, mine.as_ref(), was.as_ref()) {
                thing.dirty.remove(*name);
                set(&mut thing.local, name, has);
            } else if has != was {
                let (both, clash) = overlay(name, was.as_ref(), has.as_ref(), mine.as_ref());
                if clash && matches!(*name, "text" | "answers") {
                    // Words that nobody but this phone has are never put over words that it has not shown.
                    copy.extend(mine.map(|mine| ((*name).to_owned(), mine)));
                    thing.dirty.remove(*name);
                    set(&mut thing.local, name, has);
                } else {
                    set(&mut thing.local, name, Some(both));
                }
            }
        }
        // A deletion is one of what was seen: what came back, is newer or was typed since is shown again.
        if thing.deleted == sent_deleted || thing.deleted && unseen {
            thing.deleted = is_deleted && (thing.deleted || !thing.has_new_words());
        }
        if is_deleted && thing.deleted {
            (thing.local, thing.dirty) = (Map::new(), BTreeSet::new());
        }
        if thing.deleted != is_deleted {
            thing.dirty.insert("state".to_owned());
        }
        (thing.base, thing.back, thing.waits) = (new, None, false);
        if !copy.is_empty() {
            let mut header = header(&thing.local["header"], &Value::Null);
            header["status"] = json!("draft");
            copy.insert("header".to_owned(), header);
            let dirty = copy.keys().cloned().collect();
            let id = (self.draw)();
            self.save(&Thing { local: copy, dirty, ..named(&thing.kind, &id) });
        }
    }

    // Pull.

    fn apply(&mut self, request: &Request, page: &Value) {
        let me = self.me();
        let asked = request.path.split_once("cursor=").map(|(_, cursor)| cursor.to_owned());
        if me.asking.is_some() || asked != me.cursor || !self.list("frozen").is_empty() {
            // It answers another question than the one that is open now.
            return;
        }
        let epoch = text(page, "epoch");
        if epoch != me.epoch && self.things().iter().any(|thing| thing.version() > 0) {
            return self.ask();
        }
        for item in page["items"].as_array().into_iter().flatten() {
            self.keep(item);
        }
        let (cursor, seq) = (Some(text(page, "cursor")), page["seq"].as_i64().unwrap());
        self.set_me(&Me { cursor, epoch, seq, more: page["has_more"] == true, asking: None });
    }

    /// Takes what the server gave, unless the person has changed it: then the answer to the push brings it.
    fn keep(&mut self, item: &Value) {
        let (kind, id) = (text(item, "kind"), text(item, "id"));
        let mut thing = self.find(&kind, &id).unwrap_or_else(|| named(&kind, &id));
        let is_earlier = thing.back.is_some_and(|back| item["version"].as_i64() < Some(back));
        if is_earlier || thing.back.is_none() && !thing.dirty.is_empty() || item["unreadable"] == true {
            return;
        }
        let (local, deleted) = (sections_in(&kind, item), item["deleted"] == true);
        if thing.dirty.is_empty() {
            thing = Thing { local, deleted, base: item.clone(), back: None, waits: false, ..thing };
        } else {
            self.settled(&mut thing, &json!({ "op": "undelete" }), item.clone());
        }
        self.save(&thing);
        if deleted && kind == "entry" {
            self.forget_comments(&id);
        }
    }

    /// The comments of an entry go with it; the server gives them again if it comes back.
    fn forget_comments(&mut self, entry: &str) {
        let of_it = |comment: &Thing| comment.kind == "comment" && comment.base["entry_id"] == entry;
        for comment in self.things().into_iter().filter(of_it) {
            self.forget(&comment.key());
        }
    }

    // The dance after a 410: compare, mark what the server has lost, pull from the beginning, push.

    /// What it holds after `after`, as it asks for a comparison.
    fn have(&mut self, after: &str) -> Vec<Value> {
        let held = self.things().into_iter().filter(|thing| thing.key().as_str() > after);
        let named = |thing: Thing| {
            let mut named = json!({ "kind": thing.kind, "id": thing.id, "version": thing.version() });
            if thing.base["deleted"] == true {
                named["deleted"] = json!(true);
            }
            named
        };
        held.filter(|thing| thing.version() > 0).take(COMPARED).map(named).collect()
    }

    /// Marks what the server lacks, to be sent again. Then it pulls everything, from the moment of the comparison on.
    fn mark(&mut self, request: &Request, answer: &Value) {
        let asked = request.body.as_ref().and_then(|body| body["have"].as_array()).cloned().unwrap_or_default();
        let mut me = self.me();
        let Some(asking) = me.asking.take().filter(|asking| self.have(asking) == asked) else { return };
        let epoch = text(answer, "epoch");
        if asking.is_empty() {
            me = Me { cursor: Some(text(answer, "cursor")), epoch, more: true, ..Me::default() };
        } else if epoch != me.epoch {
            return self.set_me(&Me { asking: Some(String::new()), ..me });
        }
        for differs in answer["differ"].as_array().into_iter().flatten() {
            let (kind, id) = (text(differs, "kind"), text(differs, "id"));
            match (self.find(&kind, &id), differs["state"].as_str()) {
                // Everything else comes with the pull, but not tombstones.
                (_, Some("behind")) if differs["deleted"] == true => self.keep(differs),
                (Some(thing), Some(state)) if state != "behind" => self.state(thing, state == "unknown"),
                _ => {}
            }
        }
        // The server may have lost that a deletion was undone: then no page tells of it.
        for mut thing in self.things().into_iter().filter(|thing| thing.back.is_some()) {
            thing.back = None;
            thing.dirty.insert("state".to_owned());
            self.save(&thing);
        }
        me.asking = asked.last().filter(|_| asked.len() == COMPARED).map(key_of);
        self.set_me(&me);
    }

    /// States a thing anew that the server has lost, or of which it has an earlier version.
    fn state(&mut self, mut thing: Thing, unknown: bool) {
        // A mutation of it that is under way was made for what the server had before.
        for (place, frozen) in self.list("frozen").into_iter().filter(|(_, frozen)| key_of(frozen) == thing.key()) {
            self.remove(place);
            if sections_of(&thing.kind).is_empty() {
                self.put("decision", None, &frozen);
            }
        }
        let base = std::mem::take(&mut thing.base);
        if !sections_of(&thing.kind).is_empty() {
            if unknown && thing.deleted {
                return self.forget(&thing.key());
            }
            thing.base = if unknown { Value::Null } else { base };
            thing.dirty.extend(thing.local.keys().cloned());
            thing.dirty.insert("state".to_owned());
            return self.save(&thing);
        }
        // Of other kinds, what the person decided is decided again; what others made is theirs to make again.
        self.forget(&thing.key());
        if let Some(members) = restated(&thing, &base, (unknown, &self.account)) {
            self.decide((&thing.kind, &thing.id), members);
        }
    }

    // The file.

    fn rows(&mut self, which: &str, bind: &str) -> Vec<(i64, Value)> {
        let query = diesel::sql_query(format!("SELECT place, doc FROM docs WHERE {which} ORDER BY key, place"));
        let rows: Vec<Row> = query.bind::<Text, _>(bind).load(&mut self.db).unwrap();
        rows.into_iter().map(|row| (row.place, serde_json::from_str(&row.doc).unwrap())).collect()
    }

    fn list(&mut self, name: &str) -> Vec<(i64, Value)> {
        self.rows("list = ?", name)
    }

    fn put(&mut self, list: &str, key: Option<&str>, doc: &Value) {
        let query = diesel::sql_query("INSERT OR REPLACE INTO docs (list, key, doc) VALUES (?, nullif(?, ''), ?)");
        let query = query.bind::<Text, _>(list).bind::<Text, _>(key.unwrap_or_default());
        query.bind::<Text, _>(doc.to_string()).execute(&mut self.db).unwrap();
    }

    fn remove(&mut self, place: i64) {
        diesel::sql_query("DELETE FROM docs WHERE place = ?").bind::<BigInt, _>(place).execute(&mut self.db).unwrap();
    }

    fn forget(&mut self, key: &str) {
        diesel::sql_query("DELETE FROM docs WHERE key = ?").bind::<Text, _>(key).execute(&mut self.db).unwrap();
    }

    fn me(&mut self) -> Me {
        self.list("me")
            .pop()
            .map_or(Me { more: true, ..Me::default() }, |(_, doc)| serde_json::from_value(doc).unwrap())
    }

    fn set_me(&mut self, me: &Me) {
        self.put("me", Some("me"), &json!(me));
    }

    fn save(&mut self, thing: &Thing) {
        let list = if thing.dirty.is_empty() || thing.back.is_some() { "clean" } else { "dirty" };
        self.put(if thing.waits { "waits" } else { list }, Some(&thing.key()), &json!(thing));
    }

    /// Adds a mutation to the batch, under a new id.
    fn push(&mut self, mut mutation: Value) {
        mutation["mutation_id"] = json!((self.draw)());
        self.put("frozen", None, &mutation);
    }
}

fn thing((_, doc): (i64, Value)) -> Thing {
    serde_json::from_value(doc).unwrap()
}

fn post(path: &str, body: Value) -> Request {
    Request { method: "POST", path: path.to_owned(), body: Some(body) }
}

fn named(kind: &str, id: &str) -> Thing {
    Thing { kind: kind.to_owned(), id: id.to_owned(), ..Thing::default() }
}
