//! The guides for app developers: what they show is what happens.
//!
//! `AFTERGLOW_WRITE_GUIDE=1 cargo nextest run --test it -E 'test(guide)'` writes the replies of `src/app/guide.md` and
//! `src/app/sync.md` from a run; a reply keeps its gaps (`…`), and a new block of requests gets all of its replies. Without the switch a reply
//! that came otherwise fails the test. Ids that the server makes, codes, words, tokens and the minutes of prompts may
//! differ: one that is shown twice must come twice.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use afterglow::app::guide;
use afterglow::demo::PASSPHRASE;
use reqwest::Method;

use crate::support::app::TestApp;
use crate::support::contract;
use crate::support::replies::{self, Names};
use crate::support::shell;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/app/guide.md");
const SYNC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/app/sync.md");
/// Where the guide says the sandbox is.
const URL: &str = "http://127.0.0.1:8080";

fn source(file: &str) -> String {
    std::fs::read_to_string(file).unwrap()
}

/// The language and the text of each block, and the prose between them: `(None, prose)`.
fn parts(source: &str) -> Vec<(Option<String>, String)> {
    let mut parts = vec![(None, String::new())];
    for line in source.lines() {
        let inside = parts.last().unwrap().0.is_some();
        match line.strip_prefix("```") {
            Some(_) if inside => parts.push((None, String::new())),
            Some(language) => parts.push((Some(language.to_owned()), String::new())),
            None => parts.last_mut().unwrap().1.extend([line, "\n"]),
        }
    }
    assert!(parts.last().unwrap().0.is_none(), "a block has no end");
    parts
}

fn blocks(file: &str, language: &str) -> Vec<String> {
    let of = |(kind, text): (Option<String>, String)| (kind.as_deref() == Some(language)).then_some(text);
    parts(&source(file)).into_iter().filter_map(of).collect()
}

/// The sandbox, started as the guide says. Killed when dropped.
struct Program {
    process: Child,
    said: Vec<String>,
    url: String,
}

impl Program {
    fn start(file: &str) -> Self {
        let line = blocks(file, "console").concat();
        let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
        assert!(arguments.contains(&"sandbox"), "{line}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
        command.env_clear().args(arguments).args(["--listen", "127.0.0.1:0", "--workers", "1", "--log", "off"]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut said = Vec::new();
        let url = lines.find_map(|line| {
            let url = line.strip_prefix("API reference: ").and_then(|url| url.strip_suffix("/docs")).map(str::to_owned);
            said.push(line);
            url
        });
        Self { process, said, url: url.expect("it says where it listens") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Each block to paste, with what stands below it as its replies.
fn walk(parts: &[(Option<String>, String)]) -> Vec<(usize, String, Option<usize>)> {
    let is = |at: usize, kind: &str| parts.get(at).is_some_and(|(language, _)| language.as_deref() == Some(kind));
    let below = |at: usize| (is(at + 2, "json") && parts[at + 1].1.trim().is_empty()).then_some(at + 2);
    (0..parts.len()).filter(|at| is(*at, "sh")).map(|at| (at, parts[at].1.clone(), below(at))).collect()
}

#[test]
fn every_request_and_reply_of_the_guide_is_from_a_run() {
    run(GUIDE, 20);
}

#[test]
fn every_request_and_reply_of_the_guide_to_sync_is_from_a_run() {
    run(SYNC, 12);
}

/// Pastes the blocks of a page, of which there are more than so many.
fn run(file: &str, blocks: usize) {
    if !shell::can_curl() {
        return;
    }
    let program = Program::start(file);
    let mut parts = parts(&source(file));
    let steps = walk(&parts);
    let pasted: Vec<String> = steps.iter().map(|(_, block, _)| block.replace(URL, &program.url)).collect();
    assert!(pasted.len() > blocks && pasted.concat().contains(&program.url));
    let came = shell::paste(&pasted);
    let came: Vec<_> = came.iter().map(|text| replies::pieces(&text.replace(&program.url, URL))).collect();

    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    if std::env::var("AFTERGLOW_WRITE_GUIDE").is_ok() {
        for ((asked, _, below), came) in steps.into_iter().zip(&came).rev() {
            let text = |old: &str| format!("{}\n", replies::shown(&replies::pieces(old), came));
            match below {
                Some(at) => parts[at].1 = text(&parts[at].1),
                None if came.is_empty() => {}
                None => drop(
                    parts.splice(asked + 1..asked + 1, [(None, "\n".to_owned()), (Some("json".to_owned()), text(""))]),
                ),
            }
        }
        let whole = parts.iter().map(|(language, text)| match language {
            Some(language) => format!("```{language}\n{text}```\n"),
            None => text.clone(),
        });
        std::fs::write(file, whole.collect::<String>()).unwrap();
        return;
    }

    let mut names = Names::of(pasted.concat());
    for ((_, block, below), came) in steps.iter().zip(&came) {
        let shown = below.map_or_else(Vec::new, |at| replies::pieces(&parts[at].1));
        let held = names.hold(&shown, came);
        assert!(held.is_ok(), "write the guide anew (see the top of this test): {}\nafter\n{block}", held.unwrap_err());
    }
}

#[test]
fn what_the_sandbox_prints_at_its_start_is_what_the_guide_shows_of_it() {
    let program = Program::start(GUIDE);
    let shown = blocks(GUIDE, "text").concat();
    assert!(shown.contains(PASSPHRASE));
    let mut said = program.said.iter();
    for line in shown.lines().filter(|line| *line != "…") {
        assert!(said.any(|said| said == line), "{line:?} is shown, {:?} came", program.said);
    }
    let guide = format!("{}/docs/guide", program.url);
    assert!(program.said.iter().any(|line| line.contains(&guide)), "it says where the guide is");
}

/// Every `METHOD /path` that the guide writes or asks, with `x` for what a variable holds.
fn operations(source: &str) -> Vec<(Method, String)> {
    let mut all = Vec::new();
    let words: Vec<&str> =
        source.split_whitespace().map(|word| word.trim_matches(['"', '\'', '`', '(', ')', ',', ';'])).collect();
    for pair in words.windows(2) {
        let known = ["GET", "PUT", "POST", "PATCH", "DELETE"].contains(&pair[0]);
        if let Some(method) = known.then(|| pair[0].parse().unwrap()).filter(|_| pair[1].starts_with('/')) {
            all.push((method, pair[1].to_owned()));
        }
        if let Some((_, path)) = pair[1].split_once("$server").filter(|(_, path)| path.starts_with("/v1")) {
            let method = if path.ends_with("/auth/login") { Method::POST } else { Method::GET };
            all.push((method, path.to_owned()));
        }
    }
    let plain = |path: &str| {
        let path = path.split(['?', '`']).next().unwrap();
        let filled = path.split('/').map(|part| if part.starts_with(['$', '{']) { "x" } else { part });
        filled.collect::<Vec<_>>().join("/")
    };
    all.into_iter().map(|(method, path)| (method, plain(&path))).collect()
}

#[test]
fn every_operation_that_the_guides_name_is_one_of_the_document() {
    for (file, count) in [(GUIDE, 40), (SYNC, 20)] {
        let named = operations(&source(file));
        assert!(named.len() > count, "{named:?}");
        let sandbox = ["/sandbox/reset", "/sandbox/epoch", "/sandbox/clock", "/sandbox/outbox", "/sandbox/fault"];
        for (method, path) in named.iter().filter(|(_, path)| !sandbox.contains(&path.as_str())) {
            let found = contract::item(path).map(|item| &item[method.as_str().to_lowercase()]);
            assert!(found.is_some_and(|operation| operation.is_object()), "the document has no {method} {path}");
        }
    }
}

/// Walks the tags of a page: each that opens is closed, in order. Tag names and attributes, as written.
fn tags(page: &str) -> Vec<(String, String)> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    for part in page.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("<{part:.40} does not end"));
        assert!(!text.contains('>'), "a bare > in {text:.80}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "…{text:.40}");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
        if !["!doctype", "meta", "hr", "br"].contains(&name) {
            open.push(name.to_owned());
        }
        found.push((name.to_owned(), attributes.to_owned()));
    }
    assert_eq!(open, Vec::<String>::new(), "not closed");
    found
}

fn values<'t>(tags: &'t [(String, String)], attribute: &str) -> Vec<&'t str> {
    let start = format!("{attribute}=\"");
    tags.iter().filter_map(|(_, all)| Some(all.split_once(&start)?.1.split_once('"')?.0)).collect()
}

#[actix_web::test]
async fn a_page_is_complete_in_itself_and_every_link_of_it_leads_somewhere() {
    complete("/docs/guide", guide::SOURCE).await;
    complete("/docs/sync", guide::SYNC).await;
}

async fn complete(path: &str, source: &str) {
    let app = TestApp::start().await;
    let page = app.get(path).send().await.ok();
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let page = String::from_utf8(page.bytes).unwrap();
    assert_eq!(page, afterglow::app::pages::page(source));
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    for word in ["@import", "url(", "expression"] {
        assert!(!style.contains(word), "the style takes {word} from elsewhere");
    }
    let tags = tags(&page.replace(style, ""));
    let ids = values(&tags, " id").into_iter().chain(values(&tags, "id")).collect::<Vec<_>>();
    let chapters = source.lines().filter(|line| line.starts_with("## ")).count();
    let links = values(&tags, "href");
    assert!(links.iter().filter(|link| link.starts_with('#')).count() >= chapters, "each chapter is in the contents");
    for (name, attributes) in &tags {
        assert!(
            !["script", "iframe", "img", "link", "object", "embed", "form", "base"].contains(&name.as_str()),
            "{name}"
        );
        assert!(!attributes.split(' ').any(|one| one.starts_with("on") || one.starts_with("src")), "{attributes}");
    }
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    for link in links {
        match link.strip_prefix('#') {
            Some(id) => assert!(once.contains(&id), "nothing has the id {id}"),
            None => {
                assert!(link.starts_with('/'), "{link} is elsewhere");
                let answer = app.get(link).send().await;
                assert!(answer.status.is_success() || answer.status.is_redirection(), "{link}: {}", answer.status);
            }
        }
    }
    let outside = parts(source).into_iter().filter(|(language, _)| language.is_none()).map(|(_, text)| text);
    let headings = outside.collect::<String>().lines().filter(|line| line.starts_with('#')).count();
    assert_eq!(tags.iter().filter(|(name, all)| name.starts_with('h') && all.starts_with("id=")).count(), headings);
}

#[actix_web::test]
async fn the_guides_are_read_as_markdown_too_and_nothing_else_is_done_with_them() {
    let app = TestApp::start().await;
    for (path, source) in [("/docs/guide.md", guide::SOURCE), ("/docs/sync.md", guide::SYNC)] {
        let raw = app.get(path).send().await.ok();
        assert_eq!(raw.headers["content-type"], "text/markdown; charset=utf-8");
        assert_eq!(raw.bytes, source.as_bytes());
    }
    for path in ["/docs/guide", "/docs/guide.md", "/docs/sync", "/docs/sync.md"] {
        let whole = app.get(path).send().await.ok();
        let head = app.request(Method::HEAD, path).send().await.ok();
        assert_eq!(head.headers["content-length"], whole.bytes.len().to_string());
        assert!(head.bytes.is_empty());
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let refused = app.request(method, path).send().await;
            assert_eq!((refused.status.as_u16(), refused.headers["allow"].as_str()), (405, "GET, HEAD, OPTIONS"));
        }
    }
    let document = crate::support::app::document();
    assert_eq!(document["externalDocs"]["url"], "/docs/guide");
    assert!(
        document["info"]["description"].as_str().unwrap().contains("](/docs/guide)"),
        "the page of /docs leads here"
    );
}
