//! The pages for people: the front door, the errors, the changes, and the page about generated clients.

use afterglow::app::pages;
use afterglow::kernel::Code;

use crate::support::app::TestApp;

fn links(page: &str) -> Vec<&str> {
    page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[actix_web::test]
async fn every_page_has_the_layout_and_every_link_of_it_leads_somewhere() {
    let app = TestApp::start().await;
    let mut paths: Vec<String> = pages::all("").into_iter().map(|(path, _)| path.to_owned()).collect();
    paths.extend(Code::ALL.iter().map(|code| format!("/problems/{}", code.name())));
    for path in paths {
        let answer = app.get(&path).send().await.ok();
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{path}");
        let policy = &answer.headers["content-security-policy"];
        assert!(policy.contains("style-src") && policy.starts_with("default-src 'none'"), "{path}: {policy}");
        let page = String::from_utf8(answer.bytes).unwrap();
        for part in ["<!doctype html>", "<html lang=\"en\">", "name=\"viewport\"", "<style>", "<main>", "<h1 id="] {
            assert!(page.contains(part), "{path} has no {part}");
        }
        let found = links(&page);
        assert!(!found.is_empty(), "{path} leads nowhere");
        for link in found.into_iter().filter(|link| link.starts_with('/')) {
            let (to, place) = link.split_once('#').unwrap_or((link, ""));
            let answer = app.get(to).send().await;
            assert!(answer.status.is_success() || answer.status.is_redirection(), "{path}: {link} → {}", answer.status);
            let text = String::from_utf8_lossy(&answer.bytes);
            assert!(place.is_empty() || text.contains(&format!("id=\"{place}\"")), "{path}: {link}");
        }
    }
}

#[actix_web::test]
async fn the_front_door_greets_a_person_and_leads_to_reference_and_guide() {
    let app = TestApp::start().await;
    let page = String::from_utf8(app.get("/").send().await.ok().bytes).unwrap();
    let found = links(&page);
    for to in [
        "/docs",
        "/docs/guide",
        "/docs/sync",
        "/docs/clients",
        "/docs/changes",
        "/problems",
        "/openapi.json",
        "/openapi-3.0.json",
    ] {
        assert!(found.contains(&to), "/ does not lead to {to}");
    }
    assert!(page.contains("patient") && page.contains("therapist"));
}

#[actix_web::test]
async fn the_page_of_an_error_says_what_an_app_does_and_the_index_names_all() {
    let app = TestApp::start().await;
    let index = String::from_utf8(app.get("/problems").send().await.ok().bytes).unwrap();
    for code in Code::ALL {
        let problem = afterglow::http::Problem::of(*code);
        let row = index.split("<tr>").find(|row| row.contains(&format!("href=\"{}\"", problem.kind)));
        let row = row.unwrap_or_else(|| panic!("the index lacks {}", code.name()));
        assert!(
            row.contains(code.title())
                && row.contains(&code.status().to_string())
                && row.contains(problem.client_action)
        );
        let page = String::from_utf8(app.get(&problem.kind).send().await.ok().bytes).unwrap();
        let does = page.split("What an app does").nth(1).unwrap_or_else(|| panic!("{}", code.name()));
        assert!(does.contains(&format!("<code>{}</code>", problem.client_action)), "{}", code.name());
        assert!(does.contains(&format!("<code>{}</code>", problem.retryable)), "{}", code.name());
        let plain = page.replace("<code>", "`").replace("</code>", "`");
        assert!(plain.contains(code.help()) && links(&page).contains(&"/problems"), "{}", code.name());
    }
}

#[actix_web::test]
async fn the_pages_for_developers_are_read_as_markdown_too() {
    let app = TestApp::start().await;
    for (path, source) in [("/docs/clients.md", pages::CLIENTS), ("/docs/changes.md", pages::CHANGES)] {
        let raw = app.get(path).send().await.ok();
        assert_eq!(raw.headers["content-type"], "text/markdown; charset=utf-8");
        assert_eq!(raw.bytes, source.as_bytes());
    }
    let version = format!("\n## {}\n", env!("CARGO_PKG_VERSION"));
    assert!(pages::CHANGES.contains(&version), "the changes say nothing of this version");
}
