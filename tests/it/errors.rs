//! The registry of error codes: stable, explained, and never changed by accident.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use afterglow::kernel::Code;

use crate::support::app::TestApp;

/// A code is part of the API: its name, status and action never change, and none goes away. This file has no switch
/// that overwrites it.
#[test]
fn the_codes_are_those_of_the_golden_file() {
    let mut lines = String::new();
    for code in Code::ALL {
        let (name, status, action) = (code.name(), code.status(), code.action().name());
        writeln!(lines, "{name} {status} {action} {}", code.title()).unwrap();
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/error_codes.txt");
    let expected = std::fs::read_to_string(golden).unwrap_or_default();
    assert!(lines == expected, "tests/golden/error_codes.txt is:\n{expected}\nand the codes are:\n{lines}");
}

#[test]
fn every_code_has_a_name_for_programs_and_help_for_people() {
    let mut names = BTreeSet::new();
    for code in Code::ALL {
        assert!(names.insert(code.name()), "{} is used twice", code.name());
        assert!(code.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{}", code.name());
        assert!((400..600).contains(&code.status()), "{}", code.name());
        assert!(code.title().len() > 5 && !code.title().ends_with('.'), "{}", code.title());
        assert!(code.help().len() > 10 && code.help().ends_with('.'), "{}", code.help());
    }
}

#[actix_web::test]
async fn every_code_has_a_page() {
    let app = TestApp::start().await;
    for code in Code::ALL {
        let page = app.get(&format!("/problems/{}", code.name())).send().await.ok();
        assert!(page.headers["content-type"].starts_with("text/html"));
        let text = String::from_utf8(page.bytes).unwrap().replace("<code>", "`").replace("</code>", "`");
        assert!(text.contains(code.name()) && text.contains(code.title()) && text.contains(code.help()), "{text}");
    }
    app.get("/problems/no_such_code").send().await.not_found().refused("not_found");
    app.get("/problems/%3Cscript%3E").send().await.not_found().refused("not_found");
}
