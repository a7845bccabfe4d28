//! The methods of each address.
//!
//! The framework tries one operation after the other, and would take `DELETE /invitations/accept` for that of
//! `/invitations/{id}`. The table here is built from the OpenAPI document, so it cannot forget an operation, and is
//! asked before the router: an address belongs to the most exact template alone.

use actix_web::http::Method;
use utoipa::openapi::OpenApi;

use super::deprecation::Deprecation;

/// The methods of every address of the server.
#[derive(Clone, Debug, Default)]
pub struct Methods(Vec<Address>);

#[derive(Clone, Debug)]
struct Address {
    template: Vec<Segment>,
    methods: Vec<Method>,
    deprecated: Vec<(Method, Deprecation)>,
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
            let there = || operations.iter().filter_map(|(method, one)| Some((method.clone(), one.as_ref()?)));
            table.0.push(Address {
                template: segments(template),
                methods: there().map(|(method, _)| method).collect(),
                deprecated: there().filter_map(|(method, one)| Some((method, Deprecation::of(one)?))).collect(),
            });
        }
        table.sorted()
    }

    /// Adds an address outside the document. `{name}` is one segment, `{name:.*}` the rest.
    #[must_use]
    pub fn with(mut self, template: &str, methods: &[Method]) -> Self {
        self.0.push(Address { template: segments(template), methods: methods.to_vec(), deprecated: Vec::new() });
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

    /// Returns the announcement of a deprecated operation.
    pub(super) fn deprecation(&self, method: &Method, path: &str) -> Option<&Deprecation> {
        let (_, deprecation) = self.find(path)?.deprecated.iter().find(|(one, _)| one == method)?;
        Some(deprecation)
    }

    /// Returns the methods of an address, in a fixed order; none for an unknown address.
    pub fn of(&self, path: &str) -> Vec<Method> {
        let Some(Address { methods: found, .. }) = self.find(path) else { return Vec::new() };
        let has = |method: &Method| match *method {
            Method::HEAD => found.contains(&Method::GET),
            Method::OPTIONS => true,
            _ => found.contains(method),
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
