//! The methods of each address, and the query parameters of each operation.
//!
//! The framework tries one operation after the other, and would take `DELETE /invitations/accept` for that of
//! `/invitations/{id}`. The table here is built from the OpenAPI document, so it cannot forget an operation, and is
//! asked before the router: an address belongs to the most exact template alone.

use actix_web::http::Method;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{OpenApi, RefOr};

use super::deprecation::Deprecation;
use super::query::Declared;

/// The methods of every address of the server.
#[derive(Clone, Debug, Default)]
pub struct Methods(Vec<Address>);

#[derive(Clone, Debug)]
struct Address {
    template: Vec<Segment>,
    operations: Vec<Entry>,
}

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

    fn of(method: &Method, operation: &Operation) -> Self {
        let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
            RefOr::T(_) | RefOr::Ref(_) => None,
        });
        let unlocked = |needs: &Vec<SecurityRequirement>| needs.contains(&SecurityRequirement::default());
        Self {
            method: method.clone(),
            query: Some(parameters.collect()),
            public: operation.security.as_ref().is_some_and(unlocked),
            deprecation: Deprecation::of(operation),
        }
    }
}

/// A segment of a template. One that is less is more exact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    One,
    Rest,
}

impl Methods {
    /// Builds the table of a document.
    pub fn from_openapi(document: &OpenApi) -> Self {
        let mut table = Self::default();
        for (template, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::PUT, &item.put),
                (Method::POST, &item.post),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ];
            let operations = operations.iter().filter_map(|(method, one)| Some(Entry::of(method, one.as_ref()?)));
            table.0.push(Address { template: segments(template), operations: operations.collect() });
        }
        table.sorted()
    }

    /// Adds an address outside the document, such as that of a page, whose query is not looked at. `{name}` is one
    /// segment, `{name:.*}` the rest.
    #[must_use]
    pub fn with(self, template: &str, methods: &[Method]) -> Self {
        self.with_entries(template, methods.iter().map(|method| Entry::outside(method, None)))
    }

    /// Adds an address outside the document, with the query parameters of each method.
    #[must_use]
    pub fn with_operations(self, template: &str, operations: &[(Method, &[&str])]) -> Self {
        let names = |query: &[&str]| query.iter().map(|name| (*name).to_owned()).collect();
        let entries = operations.iter().map(|(method, query)| Entry::outside(method, Some(names(query))));
        self.with_entries(template, entries)
    }

    /// Lets the operations of an address ignore their query: programs that are not written for it add parameters of
    /// their own.
    #[must_use]
    pub fn ignoring_query(mut self, template: &str) -> Self {
        let template = segments(template);
        for address in self.0.iter_mut().filter(|address| address.template == template) {
            for entry in &mut address.operations {
                entry.query = None;
            }
        }
        self
    }

    fn with_entries(mut self, template: &str, entries: impl Iterator<Item = Entry>) -> Self {
        self.0.push(Address { template: segments(template), operations: entries.collect() });
        self.sorted()
    }

    /// Sorts the addresses: the first that fits is then the most exact.
    fn sorted(mut self) -> Self {
        self.0.sort_by(|one, other| one.template.cmp(&other.template));
        self
    }

    fn find(&self, path: &str) -> Option<&Address> {
        self.0.iter().find(|address| fits(&address.template, path))
    }

    /// Returns the entry of an operation.
    pub(super) fn operation(&self, method: &Method, path: &str) -> Option<&Entry> {
        self.find(path)?.operations.iter().find(|entry| entry.method == *method)
    }

    /// Returns the methods of an address, in a fixed order; none for an unknown address.
    pub fn of(&self, path: &str) -> Vec<Method> {
        let Some(Address { operations, .. }) = self.find(path) else { return Vec::new() };
        let declared = |method: &Method| operations.iter().any(|entry| entry.method == *method);
        let has = |method: &Method| match *method {
            Method::HEAD => declared(&Method::GET),
            Method::OPTIONS => true,
            _ => declared(method),
        };
        let order =
            [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS];
        order.into_iter().filter(has).collect()
    }
}

fn segments(template: &str) -> Vec<Segment> {
    let segment = |segment: &str| match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
        Some(inner) if inner.ends_with(":.*") => Segment::Rest,
        Some(_) => Segment::One,
        None => Segment::Literal(segment.to_owned()),
    };
    split(template).map(segment).collect()
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

fn fits(template: &[Segment], path: &str) -> bool {
    let mut given = split(path);
    for segment in template {
        let fits = match segment {
            Segment::Rest => return true,
            Segment::Literal(literal) => given.next() == Some(literal.as_str()),
            Segment::One => given.next().is_some_and(|text| !text.is_empty()),
        };
        if !fits {
            return false;
        }
    }
    given.next().is_none()
}
