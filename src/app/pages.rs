//! The pages that people read: written in Markdown, each complete in itself and without scripts.

use std::fmt::Write as _;

use actix_web::http::header;
use actix_web::web::{self, Bytes};
use actix_web::{HttpResponse, Route};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::guide;
use crate::http::Problem;
use crate::kernel::Code;

/// The page at `/`.
pub const HOME: &str = include_str!("home.md");

/// The changes of the API, and the policy of deprecation.
pub const CHANGES: &str = include_str!("changes.md");

/// The page about generated clients.
pub const CLIENTS: &str = include_str!("clients.md");

/// From so many chapters on a page has a table of contents.
const LONG: usize = 4;

/// The style of the page. It takes colours from the reader's device, and nothing from another server.
const STYLE: &str = include_str!("pages.css");

/// A heading of the guide.
struct Heading {
    /// The index of its first event.
    at: usize,
    level: HeadingLevel,
    text: String,
    id: String,
}

/// Renders Markdown as a page of HTML.
pub fn page(markdown: &str) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let headings = headings(&events);
    for Heading { at, id, .. } in &headings {
        if let Some(Event::Start(Tag::Heading { id: place, .. })) = events.get_mut(*at) {
            *place = Some(CowStr::from(id.clone()));
        }
    }
    let title = headings.first().map_or("", |heading| heading.text.as_str());
    let chapters: Vec<&Heading> = headings.iter().filter(|heading| heading.level == HeadingLevel::H2).collect();
    if let Some(first) = chapters.first().filter(|_| chapters.len() >= LONG) {
        events.insert(first.at, Event::Html(contents(&chapters).into()));
    }
    let mut body = String::with_capacity(markdown.len() * 2);
    html::push_html(&mut body, events.into_iter());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        title = escaped(title),
    )
}

fn headings(events: &[Event<'_>]) -> Vec<Heading> {
    let mut found: Vec<Heading> = Vec::new();
    let mut inside = false;
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                inside = true;
                found.push(Heading { at, level: *level, text: String::new(), id: String::new() });
            }
            Event::End(TagEnd::Heading(_)) => {
                inside = false;
                if let Some(heading) = found.last_mut() {
                    heading.id = id(&heading.text);
                }
            }
            Event::Text(words) | Event::Code(words) if inside => {
                if let Some(heading) = found.last_mut() {
                    heading.text.push_str(words);
                }
            }
            _ => {}
        }
    }
    found
}

/// Returns the id of a heading: its words in lower case, with hyphens between them.
fn id(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

fn contents(chapters: &[&Heading]) -> String {
    let mut list = "<nav aria-label=\"Contents\">\n<ul>\n".to_owned();
    for Heading { id, text, .. } in chapters {
        list.extend(["<li><a href=\"#", id, "\">", &escaped(text), "</a></li>\n"]);
    }
    list.push_str("</ul>\n</nav>\n");
    list
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Writes the page of an error: its meaning, and what an app does about it.
pub fn problem(code: Code) -> String {
    let Problem { title, status, retryable, client_action, .. } = Problem::of(code);
    let again = if retryable {
        "The same request, unchanged, may succeed later: wait as long as `Retry-After` says, if it is there."
    } else {
        "The same request, unchanged, gets the same answer: do not repeat it by itself."
    };
    format!(
        "# {title}\n\n`{name}`, status {status}\n\n{help}\n\n## What an app does\n\n{action} (`client_action` is \
         `{client_action}`.)\n\n{again} (`retryable` is `{retryable}`.)\n\n[All errors](/problems) · \
         [How errors are told](/docs/guide#errors) · [Reference](/docs)\n",
        name = code.name(),
        help = code.help(),
        action = action(client_action),
    )
}

/// Says what an app does on an action.
fn action(client_action: &str) -> &'static str {
    match client_action {
        "erase" => "Erase the local data of this account, and go to the log-in.",
        "relogin" => "Exchange the refresh token, or go to the log-in. Keep the local data, and what waits to be sent.",
        "update" => "Ask the user to update the app. Keep the local data.",
        "fix" => "Keep the words of the user, show what is wrong, and send the request again when it is mended.",
        "refresh" => "Read the object again, put both versions together, and send the change with the new `ETag`.",
        _ => "Keep the local data, and carry on.",
    }
}

/// Writes the index of the errors.
pub fn problems() -> String {
    let mut text =
        "# Errors\n\nEvery error of this server is a problem document (RFC 9457). Its `code` is one of these, \
                    and its `type` is the page of the code. More may come: treat a code that you do not know by its \
                    status.\n\n| status | code | meaning | `client_action` | `retryable` |\n|---|---|---|---|---|\n"
            .to_owned();
    for code in Code::ALL {
        let Problem { kind, title, status, retryable, client_action, .. } = Problem::of(*code);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {status} | [`{}`]({kind}) | {title} | `{client_action}` | {} |",
            code.name(),
            if retryable { "yes" } else { "no" }
        );
    }
    text.push_str("\n[How errors are told](/docs/guide#errors) · [Reference](/docs)\n");
    text
}

/// Writes every page that has no operation of the document, with its address. The one at `/` has `welcome` as its first
/// chapter.
pub fn all(welcome: &str) -> Vec<(&'static str, Bytes)> {
    let home = HOME.replacen("## ", &format!("{welcome}\n## "), 1);
    let problems = problems();
    let written = [
        ("/", home.as_str()),
        ("/docs/guide", guide::SOURCE),
        ("/docs/sync", guide::SYNC),
        ("/docs/clients", CLIENTS),
        ("/docs/changes", CHANGES),
        ("/problems", problems.as_str()),
    ];
    written.into_iter().map(|(path, source)| (path, Bytes::from(page(source)))).collect()
}

/// Registers the pages, and the Markdown of those for developers.
pub(super) fn configure(config: &mut web::ServiceConfig, pages: &[(&'static str, Bytes)]) {
    for (path, page) in pages {
        config.route(path, page_route(page.clone()));
    }
    for (path, source) in [
        ("/docs/guide.md", guide::SOURCE),
        ("/docs/sync.md", guide::SYNC),
        ("/docs/clients.md", CLIENTS),
        ("/docs/changes.md", CHANGES),
    ] {
        config.route(path, source_route(source));
    }
}

/// Sends a page that was written once for all workers.
fn page_route(page: Bytes) -> Route {
    web::get().to(move || send("text/html; charset=utf-8", page.clone()))
}

/// Sends Markdown.
fn source_route(source: &'static str) -> Route {
    web::get().to(move || send("text/markdown; charset=utf-8", Bytes::from_static(source.as_bytes())))
}

fn send(kind: &'static str, text: Bytes) -> std::future::Ready<HttpResponse> {
    std::future::ready(HttpResponse::Ok().content_type(kind).body(text))
}

/// Answers with a page that is the same for everybody.
pub(super) fn public(page: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .body(page)
}
