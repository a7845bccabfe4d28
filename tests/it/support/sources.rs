//! The sources of the server, read as text: without comments, the content of strings, and tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The kinds of file inside a slice, in import order.
const KINDS: &[&str] = &["model", "store", "actions", "routes"];

/// A source file without comments, the content of strings, and what is compiled for tests only.
#[derive(Debug)]
pub struct Source {
    /// Below `src`, with slashes.
    pub name: String,
    pub lines: usize,
    pub code: String,
}

impl Source {
    pub fn slice(&self) -> &str {
        let first = self.name.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The names below the slice: `["routes", "me"]`; a `mod.rs` is its folder.
    pub fn inside(&self) -> Vec<&str> {
        let path = self.name.strip_suffix(".rs").unwrap();
        let mut parts: Vec<&str> = path.split('/').skip(1).collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        parts
    }

    /// `model`, `store`, `actions`, `routes`; a folder of that name is of that kind. The keyring is the vault's store.
    pub fn kind(&self) -> Option<&'static str> {
        if self.name == "vault/keyring.rs" {
            return Some("store");
        }
        kind(self.inside().into_iter())
    }

    pub fn is(&self, places: &[&str]) -> bool {
        places.iter().any(|place| if place.ends_with('/') { self.name.starts_with(place) } else { self.name == *place })
    }

    /// Every path to a place of this crate, from its root: `["identity", "store", "find_live"]`.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("crate::") {
            if !continues(&self.code, at) {
                tree(&self.code[at + 7..], &[], &mut found);
            }
        }
        // What `use crate::slice;` brings in is named by its last part.
        let whole: BTreeSet<String> = found.iter().filter(|path| path.len() == 1).map(|path| path[0].clone()).collect();
        for slice in whole {
            let mark = format!("{slice}::");
            for (at, _) in self.code.match_indices(&mark).filter(|(at, _)| !continues(&self.code, *at)) {
                tree(&self.code[at + mark.len()..], std::slice::from_ref(&slice), &mut found);
            }
        }
        let here: Vec<String> = std::iter::once(self.slice())
            .chain(self.inside())
            .filter(|part| *part != "lib")
            .map(str::to_owned)
            .collect();
        for (at, _) in self.code.match_indices("super::") {
            if continues(&self.code, at) {
                continue;
            }
            let (mut rest, mut from) = (&self.code[at..], here.clone());
            while let Some(after) = rest.strip_prefix("super::") {
                rest = after;
                from.pop();
            }
            tree(rest, &from, &mut found);
        }
        found
    }

    pub fn words(&self, word: &str) -> bool {
        self.code.match_indices(word).any(|(at, _)| {
            let after = self.code[at + word.len()..].chars().next().unwrap_or(' ');
            !(continues(&self.code, at) || after.is_alphanumeric() || after == '_')
        })
    }
}

/// The kind that the first name of a kind in a path says.
pub fn kind<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    names.find_map(|name| KINDS.iter().copied().find(|kind| *kind == name))
}

/// The place of a kind in the import order.
pub fn rank(kind: &str) -> usize {
    KINDS.iter().position(|known| *known == kind).unwrap()
}

/// Whether what stands at `at` is the end of a longer path or name.
fn continues(code: &str, at: usize) -> bool {
    let before = code[..at].chars().next_back().unwrap_or(' ');
    before.is_alphanumeric() || before == '_' || code[..at].ends_with("::")
}

/// Reads a path, with braces as in `use`, and pushes each leaf.
fn tree<'a>(mut rest: &'a str, from: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let mut path = from.to_vec();
    loop {
        rest = rest.trim_start();
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = tree(inner, &path, found).trim_start();
                match inner.strip_prefix(',') {
                    Some(next) => inner = next,
                    None => return inner.strip_prefix('}').unwrap_or(inner),
                }
            }
        }
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*')).unwrap_or(rest.len());
        if end > 0 && &rest[..end] != "self" {
            path.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(next) => rest = next,
            None => break,
        }
    }
    found.push(path);
    // `as name` belongs to the leaf.
    let renamed = rest
        .trim_start()
        .strip_prefix("as ")
        .map(|name| name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'));
    renamed.unwrap_or(rest)
}

/// Every file below `src`.
pub fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        Source { name, lines: text.lines().count(), code: without_tests(&plain(&text)) }
    };
    files.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// What runs in the server: not the tests that lie beside it.
pub fn shipped() -> Vec<Source> {
    let tests = |source: &Source| source.inside().contains(&"tests") || matches!(&*source.name, "lib.rs" | "main.rs");
    all().into_iter().filter(|source| !tests(source)).collect()
}

/// The text with comments and the content of strings blanked; lines stay where they are.
fn plain(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    while at < chars.len() {
        let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        let raw = (!word_before && (chars[at] == 'r' || starts(at, "br"))).then(|| {
            let mut hash = at + if chars[at] == 'b' { 2 } else { 1 };
            let from = hash;
            while chars.get(hash) == Some(&'#') {
                hash += 1;
            }
            (chars.get(hash) == Some(&'"')).then_some((hash, hash - from))
        });
        let end = if starts(at, "//") {
            (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len())
        } else if starts(at, "/*") {
            (at..chars.len()).find(|i| starts(*i, "*/")).map_or(chars.len(), |i| i + 2)
        } else if let Some(Some((open, hashes))) = raw {
            let close = format!("\"{}", "#".repeat(hashes));
            (open + 1..chars.len()).find(|i| starts(*i, &close)).map_or(chars.len(), |i| i + 1 + hashes)
        } else if chars[at] == '"' {
            let mut i = at + 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i + 1
        } else if chars[at] == '\'' && (chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')) {
            let from = if chars[at + 1] == '\\' { at + 3 } else { at + 2 };
            (from..chars.len()).find(|i| chars[*i] == '\'').map_or(chars.len(), |i| i + 1)
        } else {
            out.push(chars[at]);
            at += 1;
            continue;
        };
        let end = end.min(chars.len());
        out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// The code without the items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(at) = out.find("#[cfg(test)]") {
        let (mut depth, mut end) = (0, out.len());
        for (i, c) in out[at..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                _ => {}
            }
            if depth == 0 && (c == '}' || c == ';') {
                end = at + i + 1;
                break;
            }
        }
        let blank: String = out[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(at..end, &blank);
    }
    out
}

#[test]
fn the_reader_of_sources_sees_paths_and_nothing_else() {
    let text = r##"
        //! crate::comment::x
        use crate::{db::{self, Tx as T}, kernel::Id};
        fn f<'a>(c: char) -> bool { c == '"' || crate::vault::open("crate::text::x", r#"crate::raw::"x"#) }
        mod inner { fn g() { super::super::store::find(); } }
        #[cfg(test)]
        mod tests { use crate::jobs::tick; fn t() { x.unwrap(); } }
        fn after() { db::unit(); crate::care::links() }
    "##;
    let source = Source { name: "care/routes/me.rs".to_owned(), lines: 9, code: without_tests(&plain(text)) };
    let found: Vec<String> = source.paths().iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        ["db", "db::Tx", "kernel::Id", "vault::open", "care::links", "db", "db::Tx", "db::unit", "care::store::find"]
    );
    assert!(!source.code.contains("unwrap"));
}
