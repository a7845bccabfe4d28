//! Merging what a phone sends into an item: the header, and each section that was sent.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::care::{Access, Write};
use crate::db::Tx;
use crate::items::{ItemKind, ItemRow, actions as items, seal};
use crate::kernel::{Error, FieldError, Result};
use crate::sync::merge::{self, Merged, Rule};
use crate::sync::sent::{Merges, Sent, json};

/// The content of an item as JSON: the header, then the sections.
pub(super) struct Parts {
    header: Map<String, Value>,
    pub(super) sections: Vec<Option<Value>>,
}

impl Parts {
    pub(super) fn of<T: ItemKind>(content: &T::Content) -> Result<Self> {
        let Value::Object(header) = json(T::header(content))? else {
            return Err(Error::internal("a header that is no object"));
        };
        let section = |raw: Option<Box<RawValue>>| raw.map(|raw| json(&raw)).transpose();
        Ok(Self { header, sections: T::sections(content)?.into_iter().map(section).collect::<Result<_>>()? })
    }

    /// Returns the content, if it has the shape of the kind.
    pub(super) fn content<T: ItemKind>(&self) -> Option<T::Content> {
        let header = serde_json::from_value(Value::Object(self.header.clone())).ok()?;
        let raw = |section: &Option<Value>| {
            section.as_ref().map(|value| serde_json::value::to_raw_value(value).ok()).unwrap_or_default()
        };
        let sections: Vec<_> = self.sections.iter().map(raw).collect();
        T::content(header, &sections.iter().map(Option::as_deref).collect::<Vec<_>>()).ok()
    }
}

/// What a merge has come to.
pub(super) struct Outcome<C> {
    pub(super) content: C,
    /// The places of the sections in conflict.
    pub(super) conflicts: Vec<usize>,
    pub(super) warnings: Vec<FieldError>,
}

/// What a merge begins with.
struct Sides<'r> {
    /// The content that the phone began with, if that is known.
    base: Option<Parts>,
    server: Parts,
    phone: Parts,
    row: &'r ItemRow,
    /// The version that the phone began with.
    version: i64,
}

impl Sides<'_> {
    /// Whether the phone has seen the newest revision of a part of the row.
    fn has_seen(&self, part: usize) -> bool {
        self.row.parts.get(part).map_or(0, |part| part.rev) <= self.version
    }
}

/// Merges the header and each section, if they were sent.
pub(super) fn merge_all<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (row, before): (&ItemRow, &T::Content),
    (base, version): (Option<&T::Content>, i64),
    sends: &Sent<T>,
) -> Result<Outcome<T::Content>> {
    let (server, phone) = (Parts::of::<T>(before)?, Parts::of::<T>(&sends.content)?);
    let sides = Sides { base: base.map(Parts::of::<T>).transpose()?, server, phone, row, version };
    let (mut conflicts, mut warnings) = (Vec::new(), sends.warnings.clone());
    let mut merged = Parts { header: sides.server.header.clone(), sections: sides.server.sections.clone() };
    if sends.header {
        let (header, kept) = merge_header(&sides);
        merged.header = header;
        let changed = |name: String| FieldError {
            pointer: format!("/header/{name}"),
            detail: "was changed on another device, and stays as it is there".to_owned(),
        };
        warnings.extend(kept.into_iter().map(changed));
    }
    let sections = T::SECTIONS.iter().zip(T::RULES).zip(&sends.sections).enumerate();
    for (place, ((section, rule), _)) in sections.filter(|(_, (_, sent))| **sent) {
        match merge_section::<T>(tx, access, &sides, (place, *rule))? {
            Merged::Value { value, cut } => {
                if cut {
                    let detail = "holds as many as it can; the others were left out".to_owned();
                    warnings.push(FieldError { pointer: format!("/{}", section.column), detail });
                }
                if let Some(slot) = merged.sections.get_mut(place) {
                    *slot = value;
                }
            }
            Merged::Conflict => conflicts.push(place),
        }
    }
    let checked = merged.content::<T>().filter(|content| T::parse(T::body(content)).is_ok());
    if let Some(content) = checked {
        return Ok(Outcome { content, conflicts, warnings });
    }
    // What does not fit together is for a person to decide; a header alone is never a conflict.
    let sent = sends.sections.iter().enumerate().filter(|(_, sent)| **sent).map(|(place, _)| place);
    let conflicts: Vec<_> = sent.collect();
    if sends.header && conflicts.is_empty() {
        let detail = "does not fit what another device has changed, and stays as it is there".to_owned();
        warnings.push(FieldError { pointer: "/header".to_owned(), detail });
    }
    Ok(Outcome { content: before.clone(), conflicts, warnings })
}

/// Merges the header. Returns also the members that both sides changed, which stay as the server has them.
fn merge_header(sides: &Sides<'_>) -> (Map<String, Value>, Vec<String>) {
    let Sides { base, server, phone, .. } = sides;
    if !sides.has_seen(0) {
        return merge::header(base.as_ref().map(|base| &base.header), &server.header, &phone.header);
    }
    let is_draft = |parts: &Parts| parts.header.get("draft") == Some(&Value::Bool(true));
    let mut header = phone.header.clone();
    // What is done does not become a draft again.
    header.insert("draft".to_owned(), Value::Bool(is_draft(server) && is_draft(phone)));
    (header, Vec::new())
}

/// Merges a section. What was sent before, and has been changed on the server since, is no conflict.
fn merge_section<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    sides: &Sides<'_>,
    (place, rule): (usize, Rule),
) -> Result<Merged> {
    let of = |parts: &Parts| parts.sections.get(place).cloned().flatten();
    let (has, comes) = (of(&sides.server), of(&sides.phone));
    if sides.has_seen(place + 1) {
        return Ok(Merged::Value { value: comes, cut: false });
    }
    let merged = merge::section(rule, sides.base.as_ref().and_then(of).as_ref(), has.as_ref(), comes.as_ref());
    if merged == Merged::Conflict && was_there::<T>(tx, access, sides.row, (place, sides.version), comes.as_ref())? {
        return Ok(Merged::Value { value: has, cut: false });
    }
    Ok(merged)
}

/// Whether a section had this value after the version that the phone began with: it was sent before, and the server has
/// gone on since.
fn was_there<T: Merges>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    row: &ItemRow,
    (place, version): (usize, i64),
    comes: Option<&Value>,
) -> Result<bool> {
    let Some(section) = T::SECTIONS.get(place) else { return Ok(false) };
    for part in items::revisions_after(tx, access, row.id, section.number, version)? {
        let value: Option<Value> =
            seal::open_section::<T, _>(access.keys()?, (access.patient(), row.id), section.column, &part)?;
        if value.as_ref() == comes {
            return Ok(true);
        }
    }
    Ok(false)
}
