//! Which file of the server names which: re-exports are followed to the file where a thing stands.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{Mention, Source, mentions, shipped};

/// The files that each file names. A path to a whole module counts where something in it is named.
#[derive(Debug)]
pub struct Graph {
    pub edges: BTreeMap<String, BTreeSet<String>>,
}

/// What a file passes on under another address: the path, and the name it has there; `*` for everything.
type Reexports = Vec<(Vec<String>, String)>;

struct Modules<'s> {
    files: BTreeMap<Vec<String>, &'s Source>,
    reexports: BTreeMap<Vec<String>, Reexports>,
}

impl Graph {
    /// The graph of what ships.
    pub fn read() -> Self {
        Self::of(&shipped())
    }

    fn of(sources: &[Source]) -> Self {
        let files: BTreeMap<_, _> = sources.iter().map(|source| (source.module(), source)).collect();
        let mut modules = Modules { files, reexports: BTreeMap::new() };
        let mut own = Vec::new();
        for source in sources {
            let (rest, passed_on) = source.without_reexports();
            let passed_on: Reexports = passed_on
                .iter()
                .flat_map(|text| modules.mentions(source, text))
                .map(|mention| (mention.path, mention.name))
                .collect();
            modules.reexports.insert(source.module(), passed_on);
            own.push((source, rest));
        }
        let mut edges = BTreeMap::new();
        for (source, code) in own {
            let targets: BTreeSet<String> = modules
                .mentions(source, &code)
                .iter()
                .filter_map(|mention| modules.file_of(&mention.path, 0))
                .filter(|target| *target != source.name)
                .collect();
            edges.insert(source.name.clone(), targets);
        }
        Self { edges }
    }

    fn reached<'g>(&'g self, from: &'g str) -> BTreeSet<&'g str> {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            if seen.insert(file) {
                next.extend(self.edges.get(file).into_iter().flatten().map(String::as_str));
            }
        }
        seen
    }

    /// The circles of files that lead to each other, each as its edges.
    pub fn circles(&self) -> Vec<Vec<(String, String)>> {
        let reached: BTreeMap<&str, _> = self.edges.keys().map(|file| (file.as_str(), self.reached(file))).collect();
        let together = |one: &str, other: &str| reached[one].contains(other) && reached[other].contains(one);
        let mut found: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
        for (from, targets) in &self.edges {
            for to in targets.iter().filter(|to| together(from, to)) {
                let first = self.edges.keys().find(|file| together(file, from)).unwrap();
                found.entry(first).or_default().push((from.clone(), to.clone()));
            }
        }
        found.into_values().collect()
    }
}

impl Modules<'_> {
    /// What `code` of a file names: by `crate::`, `super::`, `self::`, by a module below it, and by the name under
    /// which a `use` has brought a module in.
    fn mentions(&self, source: &Source, code: &str) -> Vec<Mention> {
        let here = source.module();
        let mut parent = here.clone();
        parent.pop();
        let mut roots = vec![("crate".to_owned(), Vec::new()), ("self".to_owned(), here.clone())];
        for module in self.files.keys().filter(|module| module.len() == here.len() + 1 && module.starts_with(&here)) {
            roots.push((module.last().unwrap().clone(), module.clone()));
        }
        let mut found = mentions(code, &here, &roots);
        let brought: Vec<_> = found
            .iter()
            .filter(|mention| self.files.contains_key(&mention.path) && !roots.iter().any(|(n, _)| *n == mention.name))
            .map(|mention| (mention.name.clone(), mention.path.clone()))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        found.extend(mentions(code, &[], &brought));
        found
    }

    /// The file where the thing of this path stands; nothing for a whole module, or what is not of this crate.
    fn file_of(&self, path: &[String], depth: usize) -> Option<String> {
        let at = (1..=path.len()).take_while(|end| self.files.contains_key(&path[..*end])).last()?;
        let whole = at == path.len();
        // A function may have the name of a module beside it.
        let (module, rest) = path.split_at(if whole { at - 1 } else { at });
        let item = rest.first()?;
        if whole {
            let named = self
                .reexports
                .get(module)?
                .iter()
                .find(|(target, name)| name == item && !self.files.contains_key(target));
            return self.file_of(&named?.0, depth + 1);
        }
        let passed_on = &self.reexports[module];
        if depth < 8 {
            let named = passed_on.iter().find(|(_, name)| name == item).map(|(target, _)| target.clone());
            let globs = passed_on.iter().filter(|(_, name)| name == "*").map(|(target, _)| {
                let mut target = target.clone();
                target.pop();
                target.push(item.clone());
                target
            });
            let globs: Vec<_> = globs.filter(|target| self.defines(target)).collect();
            if let Some(mut target) = named.or_else(|| globs.into_iter().next()) {
                target.extend(rest.iter().skip(1).cloned());
                return self.file_of(&target, depth + 1);
            }
        }
        Some(self.files[module].name.clone())
    }

    fn defines(&self, path: &[String]) -> bool {
        let Some((item, module)) = path.split_last() else { return false };
        let Some(source) = self.files.get(module) else { return false };
        let kinds = ["fn", "struct", "enum", "type", "trait", "const", "static"];
        kinds.iter().any(|kind| source.words(&format!("{kind} {item}")))
    }
}

#[test]
fn the_graph_follows_what_is_passed_on_and_finds_circles() {
    let source = |name: &str, code: &str| Source { name: name.to_owned(), lines: 1, code: code.to_owned() };
    let graph = Graph::of(&[
        source("a/mod.rs", "pub mod model; mod store; pub use model::Thing; pub(super) use store::*;"),
        source("a/model.rs", "pub struct Thing;"),
        source("a/store.rs", "use super::Thing; use crate::b; pub fn find() -> Thing { b::deep::look() }"),
        source("b/mod.rs", "pub mod deep; use deep::look; fn f() { look() }"),
        source(
            "b/deep.rs",
            "use crate::a::{self as first, find as seek}; pub fn look() { first::model::Thing; seek() }",
        ),
        source("c.rs", "use crate::a; fn g() { a::Thing; crate::d::same() }"),
        source("d/mod.rs", "mod same; pub use same::same;"),
        source("d/same.rs", "pub fn same() {}"),
    ]);
    let of = |name: &str| graph.edges[name].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(of("a/mod.rs"), Vec::<&str>::new(), "what is passed on is no use of it");
    assert_eq!(of("a/store.rs"), ["a/model.rs", "b/deep.rs"]);
    assert_eq!(of("b/mod.rs"), ["b/deep.rs"]);
    assert_eq!(of("b/deep.rs"), ["a/model.rs", "a/store.rs"]);
    assert_eq!(of("c.rs"), ["a/model.rs", "d/same.rs"]);
    let edge = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    assert_eq!(graph.circles(), [vec![edge("a/store.rs", "b/deep.rs"), edge("b/deep.rs", "a/store.rs")]]);
}
