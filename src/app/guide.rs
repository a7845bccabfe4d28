//! The guide for app developers: as Markdown and as a page.
//!
//! A test pastes every request of it into a shell and compares every reply.

use actix_web::web::{self, Bytes};
use actix_web::{HttpResponse, Route};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// The guide in Markdown.
pub const SOURCE: &str = include_str!("guide.md");

/// The style of the page. It takes colours from the reader's device, and nothing from another server.
const STYLE: &str = include_str!("guide.css");

/// A heading of the guide.
struct Heading {
    /// The index of its first event.
    at: usize,
    level: HeadingLevel,
    text: String,
    id: String,
}

/// Renders the guide as a page of HTML: with a table of contents, without scripts, complete in itself.
pub fn page() -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(SOURCE, Options::ENABLE_TABLES).collect();
    let headings = headings(&events);
    for Heading { at, id, .. } in &headings {
        if let Some(Event::Start(Tag::Heading { id: place, .. })) = events.get_mut(*at) {
            *place = Some(CowStr::from(id.clone()));
        }
    }
    let title = headings.first().map_or("", |heading| heading.text.as_str());
    let chapters: Vec<&Heading> = headings.iter().filter(|heading| heading.level == HeadingLevel::H2).collect();
    if let Some(first) = chapters.first() {
        events.insert(first.at, Event::Html(contents(&chapters).into()));
    }
    let mut body = String::with_capacity(SOURCE.len() * 2);
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

/// Sends the page, which is written once for all workers.
pub(super) fn page_route(page: Bytes) -> Route {
    web::get().to(move || send("text/html; charset=utf-8", page.clone()))
}

/// Sends the Markdown.
pub(super) fn source_route() -> Route {
    web::get().to(|| send("text/markdown; charset=utf-8", Bytes::from_static(SOURCE.as_bytes())))
}

fn send(kind: &'static str, text: Bytes) -> std::future::Ready<HttpResponse> {
    std::future::ready(HttpResponse::Ok().content_type(kind).body(text))
}
