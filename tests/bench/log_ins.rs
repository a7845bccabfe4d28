//! Log-ins: what they cost beside the hash of the passphrase, what it costs each request to know who asks, and what the
//! time of an answer tells about an address.

use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use afterglow::app::Server;
use afterglow::config::{Config, PASSPHRASE_COST};
use afterglow::identity::Caller;
use afterglow::kernel::{Clock, Entropy};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Scale;
use super::client::{CONNECTIONS, Connection, load, request};
use super::people::{LOGGED_IN, PASSPHRASE, Someone};
use super::report::{Goal, Report, auc, median};
use super::rounds::{Site, ask, list};
use super::server::InProcess;

/// Attempts with one address: with one more, its log-ins would rest.
const ATTEMPTS: usize = 9;
/// Letters that one address is sent within the hour.
const LETTERS: usize = 5;
/// The first requests of a connection, which do not count.
const WARM: usize = 10;
/// An address can be asked for so many times only: more rounds would need more people.
const ROUNDS: usize = 3;
/// The orders of three requests: each of them comes after each other one as often.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1], [2, 0, 1], [1, 0, 2]];

/// Measures everything on SQLite and, if there is one, on a PostgreSQL.
pub async fn measure(scale: Scale, postgres: Option<String>, report: &mut Report) {
    let rounds = scale.rounds.min(ROUNDS);
    let scale = Scale { writers: scale.writers.clamp(2 * 56, 2 * 168), shelves: 1, rounds, ..scale };
    on("SQLite", Site::open(scale, None).await, report).await;
    if postgres.is_some() {
        on("PostgreSQL", Site::open(scale, postgres).await, report).await;
    }
}

async fn on(name: &str, site: Site, report: &mut Report) {
    let site = shares(name, site, report).await;
    rates(name, &site, report).await;
    addresses(name, &site, report).await;
    site.server.stop();
}

/// A log-in, which is sent no device token.
pub fn log_in(email: &str, passphrase: &str) -> Vec<u8> {
    let body = json!({ "email": email, "passphrase": passphrase }).to_string();
    request("POST", "/v1/auth/login", "", body.as_bytes(), None)
}

/// The form of somebody who registers.
fn form(email: &str) -> Value {
    let mut form = json!({ "name": "Somebody", "email": email, "passphrase": PASSPHRASE });
    (form["adult"], form["time_zone"]) = (json!(true), json!("Europe/Berlin"));
    form
}

/// Hashes a second of Argon2id alone, at the cost of a passphrase and on as many threads as the server has for it.
fn bare(time: Duration) -> f64 {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let threads: Vec<_> = (0..(cores / 2).clamp(1, 2)).map(|_| std::thread::spawn(move || hashes(time))).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

/// Hashes a second of one thread, in memory that is kept, as the server does it.
fn hashes(time: Duration) -> f64 {
    let (memory, passes, lanes) = PASSPHRASE_COST;
    let params = Params::new(memory, passes, lanes, Some(32)).unwrap();
    let mut room = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let (mut done, mut out, salt, begin) = (0_u32, [0_u8; 32], [7_u8; 16], Instant::now());
    while begin.elapsed() < time {
        argon2.hash_password_into_with_memory(PASSPHRASE.as_bytes(), &salt, &mut out, room.as_mut_slice()).unwrap();
        black_box(out);
        done += 1;
    }
    f64::from(done) / begin.elapsed().as_secs_f64()
}

/// Log-ins that succeed, over as many connections as there are, against the hash alone, in turn.
async fn rates(name: &str, site: &Site, report: &mut Report) {
    let Scale { rounds, time, .. } = site.scale();
    let people = LOGGED_IN.min(site.writers().len());
    let (mut alone, mut served) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(bare(time));
        let begin = Instant::now();
        let each = |c: usize, n: usize| log_in(&format!("p{}@example.org", (c + n * CONNECTIONS) % people), PASSPHRASE);
        let done = load(site.server.address, time, 200, each).await;
        // All that was answered, in all the time: many wait when the load begins to count.
        served.push(done.answered as f64 / begin.elapsed().as_secs_f64());
    }
    let (alone, served) = (median(&alone), median(&served));
    let figure = format!("{served:.1}/s over {CONNECTIONS} connections, {alone:.1}/s Argon2id alone");
    report.goal(&format!("log-ins / bare Argon2id on {name}"), figure, served / alone, Goal::Least(0.9));
}

/// Medians of one request at a time, in µs.
struct Times {
    /// A list, with all that is below.
    list: f64,
    /// The check of a token that this process has not seen.
    new_token: f64,
    /// The check of one that it has seen, as with all requests of an app but the first in ten minutes.
    token: f64,
    /// The look-up of session and account, within a unit.
    session: f64,
    /// A unit that reads nothing else, with the way to the thread of the database and back.
    nothing: f64,
}

/// What it costs a list to know who asks. Both are timed in this process, in turn. The way to the database is not
/// counted as authentication, since a list has to go it anyway; it is told.
async fn shares(name: &str, site: Site, report: &mut Report) -> Site {
    let (who, others) = (site.readable()[0].clone(), site.writers().to_vec());
    let (site, times) = site.without_server(async |config| timed(config, &who, &others).await).await;
    let Times { list, new_token, token, session, nothing } = times;
    let figure = format!("{session:.1} µs, a list takes {list:.0} µs; a unit of nothing else {nothing:.0} µs");
    report.goal(&format!("session check / a list on {name}, %"), figure, session / list * 100.0, Goal::Most(5.0));
    let all = token + session;
    let figure = format!("{all:.1} µs; a token that is not known yet takes {new_token:.0} µs, a known one {token:.1}");
    report.goal(&format!("all authentication / a list on {name}, %"), figure, all / list * 100.0, Goal::Most(15.0));
    site
}

async fn timed(config: Config, who: &Someone, others: &[Someone]) -> Times {
    let server = Server::open(config, Clock::System, Entropy::System).await.unwrap();
    let running = InProcess::start(&server);
    let mut wire = Connection::to(running.address).await;
    let since = |begin: Instant| begin.elapsed().as_secs_f64() * 1e6;
    let mut all: [Vec<f64>; 5] = Default::default();
    for other in others {
        let begin = Instant::now();
        let (status, body) = wire.ask(&list(who, "me")).await;
        let listed = since(begin);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
        let check = || {
            let begin = Instant::now();
            let caller = Caller::by_token(&server.tokens, &other.token, Timestamp::now()).unwrap();
            (caller, since(begin))
        };
        let ((_, new_token), (caller, token)) = (check(), check());
        let asking = caller.clone();
        let looked = server.state.db.read(move |tx| {
            let begin = Instant::now();
            asking.live(tx)?;
            Ok(begin.elapsed())
        });
        let session = looked.await.unwrap().as_secs_f64() * 1e6;
        let begin = Instant::now();
        caller.read(&server.state, |_, _| Ok(())).await.unwrap();
        let nothing = since(begin);
        for (times, time) in all.iter_mut().zip([listed, new_token, token, session, nothing]) {
            times.push(time);
        }
    }
    drop(wire);
    running.stop().await;
    server.close();
    let [list, new_token, token, session, nothing] = all.map(|times| median(&times));
    Times { list, new_token, token, session, nothing }
}

/// Whether the time of an answer tells an address that an account has from one that none has, and from that of a
/// disabled account. Patients of even numbers are known, those of odd ones are disabled first.
async fn addresses(name: &str, site: &Site, report: &mut Report) {
    let rounds = site.scale().rounds;
    // An address is sent few letters: those who register are others than those who have forgotten their passphrase.
    let (log_ins, resets, registrations) = (0..16 * rounds, 0..28 * rounds, 28 * rounds..56 * rounds);
    assert!(2 * log_ins.end <= LOGGED_IN && 2 * registrations.end <= site.writers().len());
    let mut wire = Connection::to(site.server.address).await;
    for n in 0..registrations.end {
        let body = json!({ "passphrase": PASSPHRASE });
        ask(&mut wire, "POST", "/v1/me/disable", &site.writers()[2 * n + 1], Some(body), 200).await;
    }
    let reset = |email: &str| {
        let body = json!({ "email": email }).to_string();
        request("POST", "/v1/auth/passphrase-reset", "", body.as_bytes(), None)
    };
    let wrong = |email: &str| log_in(email, "a loud river at noon");
    let register = |form: Value| request("POST", "/v1/auth/register", "", form.to_string().as_bytes(), None);
    let open = |email: &str| register(form(email));
    let guessed = |email: &str| {
        let mut form = form(email);
        form["code"] = json!("0000-0000-0000-0000");
        register(form)
    };
    let invite = |email: &str| {
        let body = json!({ "kind": "patient", "email": email }).to_string();
        request("POST", "/v1/invitations", &site.therapist().token, body.as_bytes(), None)
    };
    for (act, times) in [
        ("a log-in", apart(site, log_ins, ATTEMPTS, 401, wrong).await),
        ("a request for a reset", apart(site, resets.clone(), LETTERS, 202, reset).await),
        ("a registration without a code", apart(site, registrations, LETTERS, 202, open).await),
        ("a registration with a wrong code", apart(site, resets.clone(), LETTERS, 422, guessed).await),
        ("an invitation", apart(site, resets, LETTERS, 201, invite).await),
    ] {
        let pairs = [("known, unknown", 0, 1), ("disabled, unknown", 2, 1), ("known, disabled", 0, 2)];
        let pairs = pairs.map(|(pair, one, other)| (pair, auc(&times[one], &times[other])));
        let worst = pairs.iter().map(|(_, auc)| *auc).fold(0.5, f64::max);
        let figure = pairs.map(|(pair, auc)| format!("{pair}: AUC {auc:.3}")).join("; ");
        let measure = format!("time of {act} tells what account an address has, on {name}");
        report.goal(&measure, format!("{figure}; {} of each", times[0].len()), worst, Goal::Most(0.55));
    }
}

/// The times of requests for known, unknown and disabled addresses, each with all of these numbers, asked for so often.
async fn apart(
    site: &Site,
    numbers: Range<usize>,
    often: usize,
    status: u16,
    request_for: impl Fn(&str) -> Vec<u8>,
) -> [Vec<f64>; 3] {
    let mut wire = Connection::to(site.server.address).await;
    let mut times: [Vec<f64>; 3] = Default::default();
    for turn in 0..numbers.len() * often {
        let n = numbers.start + turn % numbers.len();
        let emails = [format!("p{}", 2 * n), format!("x{n}"), format!("p{}", 2 * n + 1)];
        for kind in ORDERS[turn % ORDERS.len()] {
            let bytes = request_for(&format!("{}@example.org", emails[kind]));
            let sent = Instant::now();
            let (found, body) = wire.ask(&bytes).await;
            let time = sent.elapsed().as_secs_f64();
            assert_eq!(found, status, "{}", String::from_utf8_lossy(body));
            if turn >= WARM {
                times[kind].push(time);
            }
        }
    }
    times
}
