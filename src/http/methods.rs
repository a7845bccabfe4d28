//! The methods of each address.
//!
//! The framework tries one operation after the other, and would take `DELETE /invitations/accept` for that of
//! `/invitations/{id}`. The table here is built from the OpenAPI document, so it cannot forget an operation, and is
//! asked before the router: an address belongs to the most exact template alone.

use actix_web::http::Method;
use utoipa::openapi::OpenApi;

/// The methods of every address of the server.
#[derive(Clone, Debug, Default)]
pub struct Methods(Vec<(Vec<Segment>, Vec<Method>)>);

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
                (Method::GET, item.get.is_some()),
                (Method::PUT, item.put.is_some()),
                (Method::POST, item.post.is_some()),
                (Method::PATCH, item.patch.is_some()),
                (Method::DELETE, item.delete.is_some()),
            ];
            let methods: Vec<Method> =
                operations.into_iter().filter_map(|(method, there)| there.then_some(method)).collect();
            table = table.with(template, &methods);
        }
        table
    }

    /// Adds an address outside the document. `{name}` is one segment, `{name:.*}` the rest.
    #[must_use]
    pub fn with(mut self, template: &str, methods: &[Method]) -> Self {
        let segments = split(template)
            .map(|segment| match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
                Some(inner) if inner.ends_with(":.*") => Segment::Rest,
                Some(_) => Segment::One,
                None => Segment::Literal(segment.to_owned()),
            })
            .collect();
        self.0.push((segments, methods.to_vec()));
        // The first that fits is then the most exact.
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        self
    }

    /// Returns the methods of an address, in a fixed order; none for an unknown address.
    pub fn of(&self, path: &str) -> Vec<Method> {
        let Some((_, found)) = self.0.iter().find(|(template, _)| fits(template, path)) else { return Vec::new() };
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
