//! Runs what a person would paste into a shell.

use std::process::Command;

/// Whether `curl` is here; says so if it is not.
pub fn can_curl() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("note: curl is not installed; the commands that a person would paste were not run");
    }
    found
}

/// Runs a script with `sh`; what it printed. Blocks.
#[track_caller]
pub fn run(script: &str) -> String {
    let output = Command::new("sh").args(["-eu", "-c", script]).env("no_proxy", "*").output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{wrong}", output.status);
    said.into_owned()
}

/// Pastes blocks into one `sh`, as a person does: what goes wrong in one does not stop the next. What each printed.
/// Blocks.
pub fn paste(blocks: &[String]) -> Vec<String> {
    const MARK: &str = "\u{1e}";
    let script: String = blocks.iter().map(|block| format!("{block}\nprintf '{MARK}'\n")).collect();
    let output = Command::new("sh").args(["-c", &script]).env("no_proxy", "*").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let mut parts: Vec<String> = said.split(MARK).map(str::to_owned).collect();
    assert_eq!(parts.pop().as_deref(), Some(""), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(parts.len(), blocks.len(), "{}", String::from_utf8_lossy(&output.stderr));
    parts
}
