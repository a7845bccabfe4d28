//! The stream that tells an app that there is something to pull, and nothing else.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use afterglow::config::{Config, StreamSettings};
use afterglow::identity::actions::{self, SessionSecrets};
use afterglow::kernel::Id;
use afterglow::kernel::id::Account;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::accounts::disable;
use crate::support::app::TestApp;
use crate::support::child::{Child, Web, first_run_code};
use crate::support::database::{Database, on_postgres};
use crate::support::journal::{reflection, two};
use crate::support::people::Person;

const STREAM: &str = "/v1/me/changes/stream";
/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(20);

/// Times in which a test need not wait: what comes is woken by a signal.
fn by_signal(config: &mut Config) {
    config.streams = StreamSettings { heartbeat: Duration::from_secs(600), gap: QUICK, ..StreamSettings::default() };
}

/// Times in which nothing comes but with a heartbeat.
fn by_heartbeat(config: &mut Config) {
    config.streams = StreamSettings { heartbeat: QUICK, gap: QUICK, signals: false, ..StreamSettings::default() };
}

const QUICK: Duration = Duration::from_millis(150);

/// One end of a stream.
struct Stream {
    response: reqwest::Response,
    text: String,
    /// What came, comment lines too.
    came: Vec<String>,
}

impl Stream {
    async fn of(person: &Person) -> Self {
        Self::after(person, None).await
    }

    async fn after(person: &Person, id: Option<&str>) -> Self {
        let call = person.get(STREAM);
        let call = if let Some(id) = id { call.header("last-event-id", id) } else { call };
        let response = call.begin().await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!response.headers().contains_key("content-encoding"));
        Self { response, text: String::new(), came: Vec::new() }
    }

    /// The next event or comment line; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                self.came.push(block.clone());
                return Some(block);
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn event(&mut self) -> Option<String> {
        loop {
            let block = self.block().await?;
            if block != ":" {
                return Some(block);
            }
        }
    }

    /// Waits for `more`; its id.
    async fn more(&mut self) -> String {
        let event = tokio::time::timeout(LONG, self.event()).await.expect("nothing came").expect("it has ended");
        let id = event.strip_prefix("retry: 3000\nid: ").unwrap_or_else(|| panic!("{event:?}"));
        let id = id.strip_suffix("\nevent: more\ndata: {}").unwrap_or_else(|| panic!("{event:?}"));
        assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{id}");
        id.to_owned()
    }

    /// Waits for the end, before which nothing else comes.
    async fn ends(&mut self) {
        let event = tokio::time::timeout(LONG, self.event()).await.expect("it did not end");
        assert_eq!(event.as_deref(), Some("event: end\ndata: {}"));
        assert_eq!(self.block().await, None);
    }

    /// Sees that no event comes for a while.
    async fn is_quiet(&mut self, time: Duration) {
        if let Ok(event) = tokio::time::timeout(time, self.event()).await {
            panic!("{event:?}");
        }
    }
}

/// Another phone of somebody.
async fn another_phone(person: &Person) -> Person {
    let account: Id<Account> = person.account.parse().unwrap();
    let app = &person.app;
    let (vault, tokens) = (app.server.state.vault.clone(), app.server.tokens.clone());
    let (now, opening) = (app.now(), SessionSecrets::draw(&app.server.state, app.now()));
    let unit = app.server.state.db.write(move |tx| actions::open_session(tx, &vault, &tokens, account, &opening, now));
    let tokens = unit.await.unwrap();
    person.with_session(&tokens.access, &tokens.refresh)
}

/// The number of streams that are open.
fn open_now(app: &TestApp) -> usize {
    app.server.streams.count()
}

#[actix_web::test]
async fn a_write_by_the_other_phone_wakes_a_stream() {
    let app = TestApp::start_with(by_signal).await;
    let (_theo, ann) = two(&app).await;
    let phone = another_phone(&ann).await;
    let mut stream = Stream::of(&phone).await;
    let first = stream.more().await;
    assert_eq!(open_now(&app), 1);
    ann.writes(reflection("The lake")).await;
    let second = stream.more().await;
    assert_ne!(first, second);
    ann.delete(&ann.my(&format!("/entries/{}", ann.writes(reflection("The hill")).await))).send().await.no_content();
    let mut last = stream.more().await;
    let mut other = Stream::of(&ann).await;
    let present = other.more().await;
    while last != present {
        last = stream.more().await;
    }
    drop(stream);
}

#[actix_web::test]
async fn several_writes_are_one_event_and_the_last_is_never_dropped() {
    let gap = Duration::from_millis(800);
    let app = TestApp::start_with(|config| {
        by_signal(config);
        config.streams.gap = gap;
    })
    .await;
    let (_theo, ann) = two(&app).await;
    let phone = another_phone(&ann).await;
    let mut stream = Stream::of(&phone).await;
    stream.more().await;
    let mut at = Instant::now();
    let (began, mut events) = (at, 0);
    let writing = async {
        for n in 0..20 {
            ann.writes(reflection(&format!("No {n}"))).await;
        }
        Stream::of(&ann).await.more().await
    };
    let reading = async {
        let mut ids = Vec::new();
        while let Ok(id) = tokio::time::timeout(gap * 4, stream.more()).await {
            // The clocks of both ends differ by what the event took.
            assert!(at.elapsed() > gap - Duration::from_millis(100), "{:?}", at.elapsed());
            at = Instant::now();
            events += 1;
            ids.push(id);
        }
        ids
    };
    let (last, ids) = tokio::join!(writing, reading);
    assert_eq!(ids.last(), Some(&last), "the last write is told");
    assert!(events < 20 && Duration::from_millis(800) * events < began.elapsed(), "{events}");
}

#[actix_web::test]
async fn what_the_app_has_acted_on_is_not_told_again() {
    let app = TestApp::start_with(by_signal).await;
    let (theo, ann) = two(&app).await;
    let phone = another_phone(&ann).await;
    let mut stream = Stream::of(&phone).await;
    let known = stream.more().await;
    drop(stream);
    let mut stream = Stream::after(&phone, Some(&known)).await;
    stream.is_quiet(QUICK * 3).await;
    assert_eq!(stream.came, [":"], "it is open all the same");
    ann.writes(reflection("The lake")).await;
    assert_ne!(stream.more().await, known);
    Stream::after(&phone, Some(&known)).await.more().await;
    // It is the account's own: nobody learns by it where another stands.
    let theirs = Stream::of(&theo).await.more().await;
    assert_ne!(theirs, known);
}

#[actix_web::test]
async fn a_stream_is_woken_by_nothing_of_others() {
    let app = TestApp::start_with(by_signal).await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Ray").await;
    let (phone, mut of_theo) = (another_phone(&ann).await, Stream::of(&theo).await);
    let mut stream = Stream::of(&phone).await;
    stream.more().await;
    of_theo.more().await;
    for n in 0..5 {
        ben.writes(reflection(&format!("No {n}"))).await;
        ann.get("/v1/me").send().await.ok();
    }
    stream.is_quiet(QUICK * 4).await;
    ann.writes(reflection("The lake")).await;
    stream.more().await;
    of_theo.is_quiet(QUICK * 2).await;
    assert_eq!(stream.came.len(), 3, "{:?}", stream.came);
}

#[actix_web::test]
async fn a_therapist_is_woken_by_what_they_may_see_and_by_nothing_else() {
    let app = TestApp::start_with(by_signal).await;
    let (theo, ann) = two(&app).await;
    let (open, closed) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("Sea")).await);
    let mut stream = Stream::of(&theo).await;
    let first = stream.more().await;
    let grant = ann.opens(&open, &["text"], &theo).await;
    let second = stream.more().await;
    assert_ne!(first, second);
    ann.edits(&closed, json!({ "tags": ["sea"] })).await;
    ann.edits(&open, json!({ "tags": ["lake"] })).await;
    stream.is_quiet(QUICK * 4).await;
    let mut again = Stream::after(&theo, Some(&second)).await;
    again.is_quiet(QUICK * 2).await;
    ann.revokes(&grant).await;
    again.more().await;
}

#[actix_web::test]
async fn a_stream_ends_with_its_session() {
    let app = TestApp::start_with(by_signal).await;
    let (_theo, ann) = two(&app).await;
    let (phone, thief) = (another_phone(&ann).await, another_phone(&ann).await);
    let (mut own, mut other, mut stolen) = (Stream::of(&ann).await, Stream::of(&phone).await, Stream::of(&thief).await);
    own.more().await;
    other.more().await;
    stolen.more().await;
    phone.act("/v1/auth/logout").send().await.no_content();
    other.ends().await;
    assert_eq!(phone.get(STREAM).begin().await.status(), 401);
    // A second one of the same session takes the place of the first.
    let mut again = Stream::of(&ann).await;
    own.ends().await;
    again.more().await;
    // A spent token that comes again counts as theft.
    let spent = thief.refresh_token().await;
    let once = app.post("/v1/auth/refresh", json!({ "refresh_token": spent })).transmit().await.ok();
    let next = json!({ "refresh_token": once.text("/tokens/refresh_token") });
    app.post("/v1/auth/refresh", next).transmit().await.ok();
    app.post("/v1/auth/refresh", json!({ "refresh_token": spent })).transmit().await.expect(401);
    stolen.ends().await;
    again.is_quiet(QUICK).await;
    assert_eq!(open_now(&app), 1);
}

#[actix_web::test]
async fn a_stream_ends_with_the_account_the_time_of_the_session_and_after_its_own() {
    let app = TestApp::start_with(by_heartbeat).await;
    let (theo, ann) = two(&app).await;
    let (mut stream, mut of_theo) = (Stream::of(&ann).await, Stream::of(&theo).await);
    stream.more().await;
    of_theo.more().await;
    disable(&app, theo.account.parse().unwrap()).await;
    of_theo.ends().await;
    stream.is_quiet(QUICK * 2).await;
    app.wait(SignedDuration::from_hours(91 * 24));
    stream.ends().await;

    let app = TestApp::start_with(|config| config.streams.lifetime = QUICK * 4).await;
    let (_theo, ann) = two(&app).await;
    let mut stream = Stream::of(&ann).await;
    stream.more().await;
    stream.ends().await;
}

/// I14.
#[actix_web::test]
async fn a_change_whose_signals_are_all_lost_is_told_with_the_next_heartbeat() {
    let app = TestApp::start_with(by_heartbeat).await;
    let (_theo, ann) = two(&app).await;
    let phone = another_phone(&ann).await;
    let (mut stream, mut own) = (Stream::of(&phone).await, Stream::of(&ann).await);
    stream.more().await;
    own.more().await;
    for n in 0..3 {
        let at = Instant::now();
        ann.writes(reflection(&format!("No {n}"))).await;
        stream.more().await;
        assert!(at.elapsed() < LONG / 2, "{:?}", at.elapsed());
    }
    phone.act("/v1/auth/logout").send().await.no_content();
    stream.ends().await;

    let app = TestApp::start_with(|config| {
        by_heartbeat(config);
        config.streams.heartbeat = Duration::from_secs(600);
    })
    .await;
    let (_theo, ann) = two(&app).await;
    let phone = another_phone(&ann).await;
    let mut stream = Stream::of(&phone).await;
    stream.more().await;
    ann.writes(reflection("The lake")).await;
    stream.is_quiet(QUICK * 4).await;
}

/// Another server on the database of `app`, as behind a balancer.
async fn beside(app: &Arc<TestApp>, change: fn(&mut Config)) -> Arc<TestApp> {
    let own = app.server.state.config.clone();
    TestApp::on(app.database.shared(), app.clock.clone(), |config| {
        config.data_dir.clone_from(&own.data_dir);
        config.key_dir.clone_from(&own.key_dir);
        change(config);
    })
    .await
}

#[actix_web::test]
async fn servers_on_one_database_wake_each_others_streams() {
    if !on_postgres() {
        return;
    }
    let app = TestApp::on(Database::fresh(), TestApp::start().await.clock.clone(), by_signal).await;
    let (_theo, ann) = two(&app).await;
    let second = beside(&app, by_signal).await;
    let phone = another_phone(&ann).await;
    let there = phone.clone().absent().at(&second);
    let (mut stream, mut own) = (Stream::of(&there).await, Stream::of(&ann).await);
    stream.more().await;
    own.more().await;
    for n in 0..3 {
        let at = Instant::now();
        ann.writes(reflection(&format!("No {n}"))).await;
        stream.more().await;
        own.more().await;
        eprintln!("woken after {:?}", at.elapsed());
    }
    there.writes(reflection("The lake")).await;
    own.more().await;
    stream.more().await;
    // One stream for each session, wherever it is.
    let mut here = Stream::of(&phone).await;
    stream.ends().await;
    here.more().await;
    let mut stream = Stream::of(&ann.clone().absent().at(&second)).await;
    own.ends().await;
    stream.more().await;
    ann.act("/v1/auth/logout").send().await.no_content();
    stream.ends().await;

    // A server that hears nothing notices it with its next heartbeat.
    let third = beside(&app, by_heartbeat).await;
    let mut stream = Stream::of(&phone.clone().absent().at(&third)).await;
    stream.more().await;
    phone.writes(reflection("The hill")).await;
    stream.more().await;
}

#[actix_web::test]
async fn there_are_only_so_many_streams() {
    let app = TestApp::start_with(|config| {
        by_heartbeat(config);
        config.streams.most = 22;
    })
    .await;
    let (theo, ann) = two(&app).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = Stream::of(&another_phone(&ann).await).await;
        stream.more().await;
        streams.push(stream);
    }
    // The oldest of the account makes room.
    let mut stream = Stream::of(&another_phone(&ann).await).await;
    stream.more().await;
    streams.remove(0).ends().await;
    streams.push(stream);
    let (mut of_theo, mut again) = (Stream::of(&theo).await, Stream::of(&another_phone(&theo).await).await);
    of_theo.more().await;
    again.more().await;
    let refused = theo.get(STREAM).send().await.expect(503).refused("unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    // HEAD opens none: it ends none, and takes no place.
    drop(again);
    for _ in 0..3 {
        theo.request(Method::HEAD, STREAM).begin().await;
    }
    of_theo.is_quiet(QUICK).await;
    let asked = Instant::now();
    while theo.get(STREAM).begin().await.status() != 200 {
        assert!(asked.elapsed() < LONG, "the place of one that has gone is free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn asked_to_stop_a_server_ends_its_streams_at_once() {
    let database = Database::fresh();
    let code = first_run_code(&database).await;
    let mut child = Child::serve(&database, &[]).await;
    let (therapist, patient, _) = Web::new(&child.url).found(&code).await;
    let mut streams = Vec::new();
    for web in [&therapist, &patient] {
        let response = web.call(Method::GET, STREAM).send().await.unwrap();
        let mut stream = Stream { response, text: String::new(), came: Vec::new() };
        stream.more().await;
        streams.push(stream);
    }
    let asked = Instant::now();
    child.ask_to_stop();
    for stream in &mut streams {
        stream.ends().await;
    }
    assert!(child.ended(Duration::from_secs(10)).await.success());
    eprintln!("stopped after {:?}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
}

/// The memory of this process that is in use, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

/// A stream of which nothing is kept here but the connection.
fn bare_stream(app: &TestApp, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.url.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head = format!("GET {STREAM} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Reads until `more` has come.
fn more_of(stream: &mut TcpStream) {
    let mut text = Vec::new();
    while !text.windows(4).any(|window| window == b"more") {
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&text));
        text.extend(&bytes[..read]);
    }
}

/// 2,000 by `AFTERGLOW_STREAMS`.
#[actix_web::test]
async fn many_streams_are_small_and_all_are_woken() {
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let many: usize = std::env::var("AFTERGLOW_STREAMS").map_or(200, |text| text.parse().unwrap());
    let app = TestApp::start_with(by_signal).await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care", "record"]).await;
    let (mut people, mut tokens) = (Vec::new(), Vec::new());
    for n in 0..many.div_ceil(20) {
        let person = app.patient(&theo, &format!("Ann No {n}")).await;
        for _ in 0..20 {
            tokens.push(another_phone(&person).await.token().await);
        }
        people.push(person);
    }
    let (some, rest) = tokens.split_at(20);
    let open = |tokens: Vec<String>| {
        let app = Arc::clone(&app);
        let open = move || {
            let mut streams: Vec<_> = tokens.iter().map(|token| bare_stream(&app, token)).collect();
            streams.iter_mut().for_each(more_of);
            streams
        };
        actix_web::rt::task::spawn_blocking(open)
    };
    let mut streams = open(some.to_vec()).await.unwrap();
    let before = resident();
    streams.extend(open(rest.to_vec()).await.unwrap());
    let each = resident().saturating_sub(before) / rest.len();
    eprintln!("{} idle streams of {each} KiB each", streams.len());
    assert_eq!(open_now(&app), many);
    // Of a process in which other tests run, the size says nothing.
    assert!(many <= 200 || each <= 40, "{each} KiB");
    let began = Instant::now();
    for person in &people {
        person.writes(reflection("The lake")).await;
    }
    let woken = actix_web::rt::task::spawn_blocking(move || streams.iter_mut().for_each(more_of));
    woken.await.unwrap();
    eprintln!("{} writes told to all after {:?}", people.len(), began.elapsed());
}

#[actix_web::test]
async fn a_stream_is_of_whoever_is_logged_in() {
    let app = TestApp::start().await;
    app.get(STREAM).send().await.expect(401).refused("unauthenticated");
    let (_theo, ann) = two(&app).await;
    let wrong = ann.get(&format!("{STREAM}?since=3")).send().await.expect(422);
    assert_eq!(wrong.body["errors"][0]["in"], Value::from("query"));
}
