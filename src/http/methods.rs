//! The methods of each address, and the query parameters of each operation.
//!
//! The framework tries one operation after the other, and would take `DELETE /invitations/accept` for that of
//! `/invitations/{id}`. The table here is built from the OpenAPI document, so it cannot forget an operation, and is
//! asked before the router: an address belongs to the most exact template alone.

use std::collections::BTreeMap;
use std::str::Split;

use actix_web::http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::deprecation::Deprecation;
use super::query::Declared;
use crate::kernel::{Error, Result};

/// The methods of every address of the server: a tree of the segments of all templates, which a request walks once.
#[derive(Clone, Debug, Default)]
pub struct Methods {
    /// The operations of the address that ends here; none if no address does.
    operations: Vec<Entry>,
    literals: BTreeMap<String, Self>,
    any: Option<Box<Self>>,
    /// The operations of the address whose last parameter is all that follows.
    rest: Vec<Entry>,
}

/// The operations of one address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address<'m>(&'m [Entry]);

/// The entry of an operation.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    method: Method,
    /// The declared query parameters; `None` for a page and others whose query is not looked at.
    pub(super) query: Option<Declared>,
    /// Whether the operation is declared as one that needs no token.
    pub(super) public: bool,
    /// The announcement of a deprecated operation.
    pub(super) deprecation: Option<Deprecation>,
}

impl Entry {
    /// Returns the entry of an operation outside the document, which needs no token.
    fn outside(method: &Method, query: Option<Declared>) -> Self {
        Self { method: method.clone(), query, public: true, deprecation: None }
    }

    fn of(method: &Method, operation: Operation) -> Self {
        let parameters = operation.parameters.into_iter().filter(|parameter| parameter.place == "query");
        Self {
            method: method.clone(),
            query: Some(parameters.map(|parameter| parameter.name).collect()),
            public: operation.security.iter().any(BTreeMap::is_empty),
            deprecation: operation.deprecation.as_ref().and_then(Deprecation::of),
        }
    }
}

/// What the table reads of an OpenAPI document.
#[derive(Deserialize)]
struct Document {
    paths: BTreeMap<String, Item>,
}

/// The operations of a template.
#[derive(Deserialize)]
struct Item {
    get: Option<Operation>,
    put: Option<Operation>,
    post: Option<Operation>,
    patch: Option<Operation>,
    delete: Option<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    security: Vec<BTreeMap<String, Value>>,
    #[serde(rename = "x-deprecation")]
    deprecation: Option<Value>,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "in")]
    place: String,
    name: String,
}

impl Methods {
    /// Builds the table of an OpenAPI document in JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] for what is no such document, and for one without operations: the router would still serve
    /// them, with no check of their queries.
    pub fn of(document: &str) -> Result<Self> {
        let document: Document = serde_json::from_str(document).map_err(|error| Error::Internal(Box::new(error)))?;
        if document.paths.is_empty() {
            return Err(Error::internal("the OpenAPI document has no operations: make it anew, and build again"));
        }
        let mut table = Self::default();
        for (template, item) in document.paths {
            let operations = [
                (Method::GET, item.get),
                (Method::PUT, item.put),
                (Method::POST, item.post),
                (Method::PATCH, item.patch),
                (Method::DELETE, item.delete),
            ];
            let entries = operations.into_iter().filter_map(|(method, one)| Some(Entry::of(&method, one?)));
            table.at(&template).extend(entries);
        }
        Ok(table)
    }

    /// Adds an address outside the document, such as that of a page, whose query is not looked at. `{name}` is one
    /// segment, `{name:.*}` the rest.
    #[must_use]
    pub fn with(mut self, template: &str, methods: &[Method]) -> Self {
        self.at(template).extend(methods.iter().map(|method| Entry::outside(method, None)));
        self
    }

    /// Adds an address outside the document, with the query parameters of each method.
    #[must_use]
    pub fn with_operations(mut self, template: &str, operations: &[(Method, &[&str])]) -> Self {
        let names = |query: &[&str]| query.iter().map(|name| (*name).to_owned()).collect();
        let entries = operations.iter().map(|(method, query)| Entry::outside(method, Some(names(query))));
        self.at(template).extend(entries);
        self
    }

    /// Lets the operations of an address ignore their query: programs that are not written for it add parameters of
    /// their own.
    #[must_use]
    pub fn ignoring_query(mut self, template: &str) -> Self {
        for entry in self.at(template) {
            entry.query = None;
        }
        self
    }

    /// Returns the operations of a template, to add to them.
    fn at(&mut self, template: &str) -> &mut Vec<Entry> {
        let mut node = self;
        for segment in split(template) {
            let parameter = segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
            if parameter.is_some_and(|inner| inner.ends_with(":.*")) {
                return &mut node.rest;
            }
            node = if parameter.is_some() {
                node.any.get_or_insert_default().as_mut()
            } else {
                node.literals.entry(segment.to_owned()).or_default()
            };
        }
        &mut node.operations
    }

    /// Returns the operations of an address; `None` for an unknown one.
    pub(super) fn address(&self, path: &str) -> Option<Address<'_>> {
        self.below(split(path)).map(Address)
    }

    /// Finds the most exact template: at each segment a literal goes before a parameter, and that before the rest.
    fn below(&self, mut path: Split<'_, char>) -> Option<&[Entry]> {
        let found = match path.next() {
            None => some(&self.operations),
            Some(segment) => {
                let literal = self.literals.get(segment).and_then(|node| node.below(path.clone()));
                let any = self.any.as_ref().filter(|_| !segment.is_empty());
                literal.or_else(|| any.and_then(|node| node.below(path)))
            }
        };
        found.or_else(|| some(&self.rest))
    }
}

impl<'m> Address<'m> {
    /// Returns the entry of an operation.
    pub(super) fn operation(self, method: &Method) -> Option<&'m Entry> {
        self.0.iter().find(|entry| entry.method == *method)
    }

    /// Whether the address has this method.
    pub(super) fn has(self, method: &Method) -> bool {
        match *method {
            Method::HEAD => self.operation(&Method::GET).is_some(),
            Method::OPTIONS => true,
            _ => self.operation(method).is_some(),
        }
    }

    /// Returns the methods of the address, in a fixed order.
    pub(super) fn methods(self) -> Vec<Method> {
        let order =
            [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS];
        order.into_iter().filter(|method| self.has(method)).collect()
    }
}

fn some(operations: &[Entry]) -> Option<&[Entry]> {
    (!operations.is_empty()).then_some(operations)
}

fn split(path: &str) -> Split<'_, char> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_does_not_start_with_a_document_that_has_no_operations() {
        assert!(Methods::of(r#"{ "paths": {} }"#).is_err());
        assert!(Methods::of(r#"{ "paths": { "/a": { "get": {} } } }"#).is_ok());
    }

    /// Returns the query parameter that marks the template whose operations are found.
    fn found(table: &Methods, path: &str) -> Option<String> {
        let entry = table.address(path)?.operation(&Method::GET)?;
        let known = |name: &&str| entry.query.as_ref().unwrap().check(&format!("{name}=1")).is_ok();
        ["own", "any", "deep", "rest", "root"].iter().find(|name| known(name)).map(|name| (*name).to_owned())
    }

    #[test]
    fn the_most_exact_template_has_an_address() {
        let templates =
            [("/a/{rest:.*}", "rest"), ("/a/{id}", "any"), ("/a/b", "own"), ("/a/{id}/c", "deep"), ("/", "root")];
        let mut table = Methods::default();
        for (template, name) in templates {
            table = table.with_operations(template, &[(Method::GET, &[name])]);
        }
        for (path, name) in [
            ("/", Some("root")),
            ("/a/b", Some("own")),
            ("/a/x", Some("any")),
            ("/a/b/c", Some("deep")),
            ("/a/b/d", Some("rest")),
            ("/a/", Some("rest")),
            ("/a", Some("rest")),
            ("/b", None),
            ("", Some("root")),
            ("//", None),
        ] {
            assert_eq!(found(&table, path).as_deref(), name, "{path}");
        }
        let table = table.with("/a/{id}", &[Method::DELETE]);
        let methods = |path: &str| table.address(path).unwrap().methods();
        assert_eq!(methods("/a/x"), [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS]);
        assert_eq!(methods("/a/b"), [Method::GET, Method::HEAD, Method::OPTIONS], "not those of another template");
        assert!(table.address("/a/b").unwrap().has(&Method::HEAD));
    }
}
