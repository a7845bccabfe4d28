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

    /// `model`, `store`, `actions`, `routes`; a folder of that name is of that kind. The keyring, the anchors and the
    /// generations of the signing key in it are the vault's stores.
    pub fn kind(&self) -> Option<&'static str> {
        if matches!(self.name.as_str(), "vault/keyring.rs" | "vault/anchors.rs" | "vault/rotation.rs") {
            return Some("store");
        }
        kind(self.inside().into_iter())
    }

    pub fn is(&self, places: &[&str]) -> bool {
        places.iter().any(|place| if place.ends_with('/') { self.name.starts_with(place) } else { self.name == *place })
    }

    /// The path of the module that the file is: `["care", "routes", "me"]`.
    pub fn module(&self) -> Vec<String> {
        std::iter::once(self.slice()).chain(self.inside()).filter(|part| *part != "lib").map(str::to_owned).collect()
    }

    /// The code without its re-exports, and these: what follows `use` in each.
    pub fn without_reexports(&self) -> (String, Vec<String>) {
        let (mut rest, mut found, mut from) = (self.code.clone(), Vec::new(), 0);
        while let Some(at) = rest[from..].find("pub").map(|at| from + at) {
            from = at + 3;
            let after = rest[from..].trim_start();
            let restricted = after.strip_prefix('(').and_then(|inside| inside.split_once(')')).map(|(_, after)| after);
            let Some(path) = restricted.unwrap_or(after).trim_start().strip_prefix("use ") else { continue };
            let end = path.find(';').map_or(rest.len(), |end| rest.len() - path.len() + end);
            if continues(&rest, at) {
                continue;
            }
            found.push(rest[rest.len() - path.len()..end].to_owned());
            let blank: String = rest[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            rest.replace_range(at..end, &blank);
        }
        (rest, found)
    }

    /// Every path to a place of this crate, from its root: `["identity", "store", "find_live"]`.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let root = [("crate".to_owned(), Vec::new())];
        let mut found = mentions(&self.code, &self.module(), &root);
        // What `use crate::slice;` brings in is named by its last part.
        let whole = found.iter().filter(|mention| mention.path.len() == 1);
        let whole: BTreeSet<_> = whole.map(|mention| (mention.name.clone(), mention.path.clone())).collect();
        found.extend(mentions(&self.code, &[], &whole.into_iter().collect::<Vec<_>>()));
        found.into_iter().map(|mention| mention.path).collect()
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

/// A path that code names, from the root of the crate, and the name that stands for it there.
#[derive(Clone, Debug)]
pub struct Mention {
    pub path: Vec<String>,
    pub name: String,
}

/// The paths of `code` that start with a name of `roots`, which stands for a module; in the module `here` also those
/// that start with `super`.
pub fn mentions(code: &str, here: &[String], roots: &[(String, Vec<String>)]) -> Vec<Mention> {
    let mut found = Vec::new();
    for (name, module) in roots {
        let mark = format!("{name}::");
        for (at, _) in code.match_indices(&mark).filter(|(at, _)| !continues(code, *at)) {
            tree(&code[at + mark.len()..], module, &mut found);
        }
    }
    let inner = inner_modules(code);
    for (at, _) in code.match_indices("super::").filter(|(at, _)| !here.is_empty() && !continues(code, *at)) {
        let (mut rest, mut from) = (&code[at..], here.to_vec());
        from.extend(inner.iter().filter(|range| range.contains(&at)).map(|_| String::new()));
        while let Some(after) = rest.strip_prefix("super::") {
            rest = after;
            from.pop();
        }
        tree(rest, &from, &mut found);
    }
    found
}

/// Where modules stand that have no file of their own.
fn inner_modules(code: &str) -> Vec<std::ops::Range<usize>> {
    let starts = code.match_indices("mod ").filter(|(at, _)| !continues(code, *at)).filter_map(|(at, _)| {
        let name = code[at + 4..].find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
        code[at + 4 + name..].trim_start().starts_with('{').then_some(at)
    });
    starts.map(|at| at..block_end(code, at)).collect()
}

/// Reads a path, with braces as in `use`, and pushes each leaf.
fn tree<'a>(mut rest: &'a str, from: &[String], found: &mut Vec<Mention>) -> &'a str {
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
    let mut name = path.last().cloned().unwrap_or_default();
    // `as name` belongs to the leaf.
    if let Some(renamed) = rest.trim_start().strip_prefix("as ") {
        let end = renamed.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(renamed.len());
        name = renamed[..end].to_owned();
        rest = &renamed[end..];
    }
    found.push(Mention { path, name });
    rest
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

/// Whether a test is there: `file::name`, below `tests/it`, or by the path of a file of `src`.
pub fn has_test(test: &str) -> bool {
    let (file, name) = test.rsplit_once("::").unwrap();
    let folder = if file.starts_with("src/") { "" } else { "tests/it/" };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{folder}{file}.rs"));
    std::fs::read_to_string(path).is_ok_and(|source| source.contains(&format!("fn {name}()")))
}

/// What runs in the server: not the tests that lie beside it.
pub fn shipped() -> Vec<Source> {
    let tests = |source: &Source| source.inside().contains(&"tests") || matches!(&*source.name, "lib.rs" | "main.rs");
    all().into_iter().filter(|source| !tests(source)).collect()
}

/// The functions of a file with their text. What stands in a macro or behind a short name of a type counts as that of
/// each function that names it, itself or through another.
pub fn functions(source: &Source) -> Vec<(String, String)> {
    let (functions, others): (Vec<_>, Vec<_>) =
        items(source).into_iter().partition(|(_, text)| text.starts_with("fn "));
    let whole = |(name, text): (String, &str)| {
        let (mut whole, mut left) = (text.to_owned(), others.clone());
        left.retain(|(other, _)| *other != name);
        loop {
            let (named, unnamed): (Vec<_>, Vec<_>) = left.into_iter().partition(|(other, _)| names(&whole, other));
            if named.is_empty() {
                return (name, whole);
            }
            whole.extend(named.into_iter().map(|(_, of)| of));
            left = unnamed;
        }
    };
    functions.into_iter().map(whole).collect()
}

/// What a file declares: its functions, macros, and short names of types, with their text.
fn items(source: &Source) -> Vec<(String, &str)> {
    let mut marks = Vec::new();
    for (mark, line_start) in [("fn ", false), ("macro_rules! ", true), ("type ", true), ("authentic! {", true)] {
        for (at, _) in source.code.match_indices(mark) {
            let line = source.code[..at].rsplit('\n').next().unwrap();
            let outside =
                !line.starts_with(' ') || (mark == "fn " && line.starts_with("    ") && !line.starts_with("     "));
            let words = line.split_whitespace().all(|word| {
                word.starts_with("pub")
                    || ["const", "async", "unsafe"].contains(&word)
                    || word.starts_with("in")
                    || word.ends_with(')')
            });
            if outside && words && !(line_start && line.starts_with(' ')) {
                let name: String =
                    source.code[at + mark.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                marks.push((at, name));
            }
        }
    }
    marks.sort();
    let ends = marks.iter().skip(1).map(|(at, _)| *at).chain([source.code.len()]);
    marks.iter().zip(ends).map(|((at, name), end)| (name.clone(), &source.code[*at..end])).collect()
}

/// Whether `text` has `word` where no longer name does.
pub fn names(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let after = text[at + word.len()..].chars().next().unwrap_or(' ');
        !(before.is_alphanumeric() || before == '_' || after.is_alphanumeric() || after == '_')
    })
}

/// The text with comments and the content of strings blanked; lines stay where they are.
fn plain(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    while at < chars.len() {
        // Most characters begin nothing: the whole tree is read in many tests.
        if !matches!(chars[at], '/' | '"' | '\'' | 'r' | 'b') {
            out.push(chars[at]);
            at += 1;
            continue;
        }
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

/// The end of the item that starts at `at`: of its block, or of its line.
fn block_end(code: &str, at: usize) -> usize {
    let mut depth = 0;
    for (i, c) in code[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            _ => {}
        }
        if depth == 0 && (c == '}' || c == ';') {
            return at + i + 1;
        }
    }
    code.len()
}

/// The code without the items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(at) = out.find("#[cfg(test)]") {
        let end = block_end(&out, at);
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
        mod inner { fn g() { super::super::super::store::find(); } }
        #[cfg(test)]
        mod tests { use crate::jobs::tick; fn t() { x.unwrap(); } }
        fn after() { db::unit(); crate::care::links() }
    "##;
    let source = Source { name: "care/routes/me.rs".to_owned(), lines: 9, code: without_tests(&plain(text)) };
    let found: Vec<String> = source.paths().iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        ["db", "db::Tx", "kernel::Id", "vault::open", "care::links", "care::store::find", "db", "db::Tx", "db::unit"]
    );
    assert!(!source.code.contains("unwrap"));
}

#[test]
fn a_function_has_what_it_names_through_a_macro_of_a_macro() {
    let code = "macro_rules! inner { () => { kind.eq(1) }; }\nmacro_rules! outer { () => { inner!() }; }\n\
                macro_rules! other { () => { id.eq(2) }; }\nfn reads() { outer!() }\nfn knows() { 3 }\n";
    let source = Source { name: "care/store.rs".to_owned(), lines: 5, code: code.to_owned() };
    let found = functions(&source);
    let of = |name: &str| &found.iter().find(|(function, _)| function == name).unwrap().1;
    assert!(of("reads").contains("kind.eq(1)"), "{}", of("reads"));
    assert!(!of("reads").contains("id.eq(2)"), "{}", of("reads"));
    assert_eq!(of("knows").trim_end(), "fn knows() { 3 }");
}
