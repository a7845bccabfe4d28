//! Checks by implementations that are not ours.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// Runs a script with `given` as JSON in its variable `given`; it prints JSON. `None` without a Python that can.
///
/// `python3 -m venv target/push-python && target/push-python/bin/pip install http-ece pyjwt standardwebhooks
/// cryptography` makes one that can.
#[track_caller]
pub fn python(script: &str, given: &Value) -> Option<Value> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(python) = FOUND.get_or_init(find) else {
        println!("note: no Python with http_ece, jwt and standardwebhooks: only our own code checks");
        return None;
    };
    let whole = format!("import base64, json, sys\ngiven = json.load(sys.stdin)\n{script}");
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

fn find() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/push-python/bin/python");
    let able = |python: &PathBuf| {
        let test = ["-c", "import cryptography, http_ece, jwt, standardwebhooks"];
        Command::new(python).args(test).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    [own, PathBuf::from("python3")].into_iter().find(able)
}
