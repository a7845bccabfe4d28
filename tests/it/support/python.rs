//! Checks by implementations in Python, which are not ours.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs a script with `given` as JSON in its variable `given`; it prints JSON. `None`, and a line that says so, without
/// a Python that has these modules, `target/python/bin/python` or `python3`.
///
/// `python3 -m venv target/python && target/python/bin/pip install cryptography http-ece icalendar pyjwt pyotp
/// standardwebhooks` makes one that has all of them.
#[track_caller]
pub fn python(modules: &str, script: &str, given: &Value) -> Option<Value> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let import = format!("import {modules}");
    let able = |python: &PathBuf| {
        let test = Command::new(python).args(["-c", import.as_str()]).stderr(Stdio::null()).status();
        test.is_ok_and(|status| status.success())
    };
    let Some(python) = [own, PathBuf::from("python3")].into_iter().find(able) else {
        println!("note: no Python with {modules}: only our own code checks");
        return None;
    };
    let whole = format!("import base64, json, sys\n{import}\ngiven = json.load(sys.stdin)\n{script}");
    let mut child = Command::new(python)
        .args(["-c", &whole])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
