//! S12: what people say, and what opens doors, stands in no log, no metric and no problem.

use reqwest::Method;
use serde_json::Value;

use crate::support::canaries::{MARK, Search, journey};
use crate::support::child::{Child, Web, first_run_code};
use crate::support::database::Database;
use crate::support::sql::Sql;

#[actix_web::test]
async fn s12_nothing_anybody_said_and_no_secret_leaks_into_logs_metrics_or_problems() {
    let database = Database::fresh();
    let code = first_run_code(&database).await;
    let child = Child::serve(&database, &["--log", "trace", "--log-format", "json"]).await;
    let web = Web::new(&child.url);
    let left = journey(&web, &code).await;

    // A fault of the server: two sealed texts change places, and a column disappears.
    let mut sql = Sql::open(&database.backend);
    sql.run("UPDATE entries SET text = mood, mood = text");
    let path = format!("/v1/patients/me/entries/{}", left.entries[0]);
    left.patient.expect(Method::GET, &path, Value::Null, 500).await;
    left.patient.expect(Method::GET, "/v1/patients/me/entries", Value::Null, 200).await;
    sql.run("ALTER TABLE comments RENAME TO lost_comments");
    left.patient.expect(Method::GET, &format!("{path}/comments"), Value::Null, 500).await;
    sql.run("ALTER TABLE lost_comments RENAME TO comments");

    let metrics = web.send(web.call(Method::GET, "/metrics")).await.unwrap();
    assert_eq!(metrics.0.as_u16(), 200);
    let metrics = reqwest::get(format!("{}/metrics", child.url)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("http_requests_total"));
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let log = child.logged();
    assert!(log.lines().count() > 50, "the log has hardly any lines");
    assert!(log.contains("\"level\":\"ERROR\""), "the faults are logged");
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "every line of the log is JSON");
    let problems = web.problems.lock().unwrap().clone();
    assert!(problems.len() > 30, "too few problems: {}", problems.len());

    let mut secrets = web.secrets.lock().unwrap().clone();
    assert!(secrets.len() > 8, "too few secrets: {}", secrets.len());
    secrets.extend(left.codes.clone());
    // A signature is as good as its token in a log, and a code without its hyphens as good as the code.
    let parts: Vec<String> = secrets.iter().flat_map(|secret| secret.rsplit('.').next().map(str::to_owned)).collect();
    let bare: Vec<String> = left.codes.iter().map(|code| code.replace('-', "")).collect();
    let words = [MARK.to_owned()];
    let search = Search::of(words.iter().chain(&secrets).chain(&parts).chain(&bare).chain(&left.accounts));
    let mut faults = search.hits(log.as_bytes());
    faults.extend(search.hits(metrics.as_bytes()));
    for (request, problem) in &problems {
        faults.extend(
            search.hits(without_names(problem).as_bytes()).into_iter().map(|(_, around)| (request.clone(), around)),
        );
    }
    assert!(faults.is_empty(), "{} leaks: {:#?}", faults.len(), &faults[..faults.len().min(20)]);
    assert!(!log.to_lowercase().contains("bearer "), "a bearer header in the log");
    assert!(!log.contains(&left.who) && !metrics.contains(&left.who), "ids of patients stand in neither");
}

/// A problem, without the names of fields that the client made up: those it points to.
fn without_names(problem: &str) -> String {
    let mut problem: Value = serde_json::from_str(problem).unwrap();
    for error in problem.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
        if error["detail"].as_str().is_some_and(|detail| detail.starts_with("is not known")) {
            (error["pointer"], error["name"]) = (Value::Null, Value::Null);
        }
    }
    problem.to_string()
}
