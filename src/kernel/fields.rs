//! The collection of a request's faults, so that one answer tells all of them.

use super::{Error, FieldError, Result};

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

impl Fields {
    /// Starts without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a fault.
    pub fn fault(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    /// Notes a fault unless `right`.
    pub fn check(&mut self, right: bool, pointer: &str, detail: &str) {
        if !right {
            self.fault(pointer, detail);
        }
    }

    /// Returns the value, or notes a fault.
    pub fn take<T, E: Into<String>>(&mut self, pointer: &str, parsed: std::result::Result<T, E>) -> Option<T> {
        parsed.map_err(|why| self.fault(pointer, why)).ok()
    }

    /// Parses a required value, or notes a fault.
    pub fn need<V, T, E: Into<String>>(
        &mut self,
        pointer: &str,
        value: Option<V>,
        parse: impl FnOnce(V) -> std::result::Result<T, E>,
    ) -> Option<T> {
        let Some(value) = value else {
            self.fault(pointer, "is required");
            return None;
        };
        self.take(pointer, parse(value))
    }

    /// Returns the value of a part that was parsed by itself, or `None` with its faults noted.
    ///
    /// # Errors
    ///
    /// An error of the part that is not about its fields.
    pub fn part<T>(&mut self, parsed: Result<T>) -> Result<Option<T>> {
        match parsed {
            Ok(value) => Ok(Some(value)),
            Err(Error::Invalid(faults)) => {
                self.0.extend(faults);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Ends the collection.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every fault, if there was one.
    pub fn done(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }

    /// Ends the collection and returns the parsed value.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every fault, if there was one.
    pub fn finish<T>(self, parsed: Option<T>) -> Result<T> {
        match (self.0.is_empty(), parsed) {
            (true, Some(value)) => Ok(value),
            (true, None) => Err(Error::internal("a field failed without a fault")),
            (false, _) => Err(Error::Invalid(self.0)),
        }
    }
}
