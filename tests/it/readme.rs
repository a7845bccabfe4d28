//! The README does what it says: its tour is pasted into a shell, its table is held against the command line, and the
//! tests that its pages name are there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use afterglow::db::Backend;

use crate::support::database::Database;
use crate::support::{shell, sources};

const README: &str = include_str!("../../README.md");
const ASVS: &str = include_str!("../../.github/ASVS.md");
const CONTRIBUTING: &str = include_str!("../../.github/CONTRIBUTING.md");
/// The sections of the chapters V6 to V9 of ASVS 5.0, and how many requirements each has.
const SECTIONS: [(&str, usize); 20] = [
    ("6.1", 3),
    ("6.2", 12),
    ("6.3", 8),
    ("6.4", 6),
    ("6.5", 8),
    ("6.6", 4),
    ("6.7", 2),
    ("6.8", 4),
    ("7.1", 3),
    ("7.2", 4),
    ("7.3", 2),
    ("7.4", 5),
    ("7.5", 3),
    ("7.6", 2),
    ("8.1", 4),
    ("8.2", 4),
    ("8.3", 3),
    ("8.4", 2),
    ("9.1", 3),
    ("9.2", 4),
];

/// The blocks that a person is told to paste, one after the other.
fn tour() -> String {
    let blocks = README.split("\n```sh\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0);
    blocks.collect::<Vec<_>>().join("\n")
}

/// The program itself, on data of its own, by the machine's clock. Killed when dropped.
struct Program {
    child: Child,
    code: String,
    url: String,
    _database: Database,
}

impl Program {
    fn start() -> Self {
        let database = Database::fresh();
        // The port is free again at once: nobody was connected to it.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
        command.env_clear().arg("--data-dir").arg(database.folder.path().join("data"));
        command.args(["--listen", &address.to_string(), "--workers", "1", "--log", "warn"]);
        if let Backend::Postgres(url) = &database.backend {
            command.args(["--database-url", url]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let url = format!("http://{address}");
        let mut said = Vec::new();
        let mut code = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            code = line
                .split_once(r#""code":""#)
                .and_then(|(_, rest)| rest.split_once('"'))
                .map(|(code, _)| code.to_owned());
            said.push(line);
            if code.is_some() {
                break;
            }
        }
        assert!(said[0].ends_with(&format!("{url}/docs")), "{said:?}");
        let code = code.unwrap_or_else(|| panic!("no code in {said:?}"));
        Self { child, code, url, _database: database }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_tour_can_be_pasted_into_a_shell() {
    if !shell::can_curl() {
        return;
    }
    let program = Program::start();
    let tour = tour();
    assert!(tour.contains("0000-0000-0000-0000") && tour.contains("http://127.0.0.1:8080"));
    let said =
        shell::run(&tour.replace("0000-0000-0000-0000", &program.code).replace("http://127.0.0.1:8080", &program.url));
    assert!(said.ends_with("the therapist now gets: 404\n"), "{said}");
    for sign in [r#""phase":"acute""#, r#""rule_key":"d1.tell""#, r#""title":"The lake""#, r#""act":"get_entry""#] {
        assert!(said.contains(sign), "no {sign} in {said}");
    }
    let read = said.lines().rfind(|line| line.contains("It was quiet")).unwrap();
    assert!(!read.contains("valence"), "the mood is not granted: {read}");
}

#[test]
fn the_table_names_every_flag() {
    let help = Command::new(env!("CARGO_BIN_EXE_afterglow")).env_clear().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let flags: Vec<&str> =
        help.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_whitespace().next()).collect();
    assert!(flags.len() > 10, "{help}");
    for flag in flags {
        assert!(README.contains(&format!("| `--{flag}` |")), "README.md says nothing of --{flag}");
    }
    let variables = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
    for variable in variables {
        assert!(README.contains(&format!("`{variable}`")), "README.md says nothing of {variable}");
    }
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    for command in commands.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        assert!(README.contains(command), "README.md says nothing of {command}");
    }
}

#[test]
fn the_folders_that_it_names_are_those_that_a_start_makes() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let config = afterglow::config::Config::in_folder("afterglow-data");
    let names: std::collections::BTreeSet<&str> = readme
        .split(|c: char| !(c.is_ascii_lowercase() || c == '-' || c == '/'))
        .filter(|word| word.starts_with("afterglow-"))
        .collect();
    let folders: Vec<&str> = names.into_iter().rev().filter(|name| name.ends_with('/')).collect();
    let made = [&config.data_dir, &config.key_dir].map(|folder| format!("{}/", folder.display()));
    assert_eq!(folders, made);
}

#[test]
fn each_requirement_of_asvs_has_a_verdict_and_the_tests_that_it_names_are_there() {
    let is_number = |line: &&str| line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(char::is_numeric));
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let rows: Vec<Vec<&str>> = ASVS.lines().filter(is_number).map(cells).collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let of = |(section, count): (&str, usize)| (1..=count).map(|n| format!("{section}.{n}")).collect::<Vec<_>>();
    assert_eq!(numbers, SECTIONS.into_iter().flat_map(of).collect::<Vec<_>>());
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        let [number, level, asks, verdict, reason] = row.as_slice() else { panic!("{row:?}") };
        assert!(["1", "2", "3"].contains(level) && !reason.is_empty(), "{row:?}");
        assert!((1..=8).contains(&asks.split_whitespace().count()), "{row:?}");
        *verdicts.entry(verdict.trim_matches('*')).or_default() += 1;
        for test in reason.split('`').skip(1).step_by(2).filter(|word| word.contains("::")) {
            assert!(sources::has_test(test), "{number} names {test}, which is not there");
        }
    }
    assert_eq!(verdicts.keys().copied().collect::<Vec<_>>(), ["met", "not applicable", "not met"]);
    let [met, not_applicable, not_met] = ["met", "not applicable", "not met"].map(|verdict| verdicts[verdict]);
    assert!(ASVS.contains(&format!("| all | {met} | {not_applicable} | {not_met} |")), "{verdicts:?}");
    let counts = format!("{met} met, {not_applicable} not applicable, {not_met} not met");
    assert!(README.contains(&counts), "README.md does not say: {counts}");
}

#[test]
fn the_tests_that_prove_each_mark_are_there() {
    let rows: Vec<&str> = CONTRIBUTING.lines().filter(|line| line.starts_with("| S")).collect();
    assert_eq!(rows.len(), 11, "S1 to S9, S17, and S20");
    let named = rows.iter().flat_map(|row| row.split('`').skip(1).step_by(2));
    for test in named.filter(|word| word.contains("::")) {
        assert!(sources::has_test(test), "{test} is not there");
    }
}
