//! Sealing and opening items, section by section.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::model::{Header as _, ItemKind, ItemRow, Part};
use crate::care::grants::Sections;
use crate::kernel::id::{Any, Patient};
use crate::kernel::{Creation, Id, Result};
use crate::vault::{Keys, Purpose, SealContext};

/// A section, with the instant at which the server received it. Its value is `null` if it was emptied.
#[derive(Serialize, Deserialize)]
struct TimedValue<V> {
    at: Timestamp,
    value: V,
}

/// The value of a [`TimedValue`] alone: most readings have no use for the instant, and a list would read one for every
/// part.
#[derive(Deserialize)]
struct Untimed<V> {
    value: V,
}

/// A section as it was opened.
struct OpenedSection {
    /// The instant at which the server received it; not read for the owner, to whom it is not shown.
    at: Option<Timestamp>,
    value: Option<Box<RawValue>>,
}

/// A header, with the server's own fields, in one object.
#[derive(Serialize)]
pub struct SealedHeader<H> {
    #[serde(flatten)]
    /// The header.
    pub header: H,
    #[serde(flatten)]
    own: OwnFields,
}

/// The server's own fields of a header.
#[derive(Default, Serialize)]
struct OwnFields {
    clock_suspect: bool,
    /// The body that created the item, if it was created by PUT.
    #[serde(skip_serializing_if = "Option::is_none")]
    creation: Option<Creation>,
    /// The item of which it is a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    copy_of: Option<Id<Any>>,
}

/// Reads both parts in one pass, by hand: `flatten` copies every field before it looks at one, and that was most of the
/// work of opening a list.
impl<'de, H: Deserialize<'de>> Deserialize<'de> for SealedHeader<H> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(SealedHeaderVisitor(PhantomData))
    }
}

struct SealedHeaderVisitor<H>(PhantomData<H>);

impl<'de, H: Deserialize<'de>> Visitor<'de> for SealedHeaderVisitor<H> {
    type Value = SealedHeader<H>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        let mut own = OwnFields::default();
        let header = H::deserialize(MapAccessDeserializer::new(HeaderFields { fields, own: &mut own }))?;
        Ok(SealedHeader { header, own })
    }
}

/// The fields of a header. The server's own ones are taken out on the way.
struct HeaderFields<'o, A> {
    fields: A,
    own: &'o mut OwnFields,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for HeaderFields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.fields.next_key::<&'de str>()? {
            match name {
                "clock_suspect" => self.own.clock_suspect = self.fields.next_value()?,
                "creation" => self.own.creation = self.fields.next_value()?,
                "copy_of" => self.own.copy_of = self.fields.next_value()?,
                _ => return seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some),
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.fields.next_value_seed(seed)
    }
}

/// Where an item comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The digest of the body that created it, if it was created by PUT.
    pub creation: Option<Creation>,
    /// The item of which it is a copy.
    pub copy_of: Option<Id<Any>>,
}

fn place<T: ItemKind>(patient: Id<Patient>, id: Id<Any>, column: &'static str, revision: i64) -> SealContext {
    SealContext { table: T::TABLE, column, subject: patient.uuid(), row: id.uuid(), revision }
}

fn seal_header<T: ItemKind>(
    (keys, place, rev, at): (&Keys, &SealContext, i64, Timestamp),
    header: &T::Header,
    Origin { creation, copy_of }: Origin,
) -> Result<Part> {
    let clock_suspect = header.circumstances().clock_suspect(at);
    let own = OwnFields { clock_suspect, creation, copy_of };
    let value = SealedHeader { header: header.clone(), own };
    Ok(Part { rev, sealed: Some(keys.seal_json(Purpose::Journal, place, &TimedValue { at, value })?) })
}

/// Seals all of an item, as `version`. Returns its parts, and the item as [`open`] would return it.
///
/// # Errors
///
/// When it cannot be sealed.
pub fn seal<T: ItemKind>(
    keys: &Keys,
    (patient, id): (Id<Patient>, Id<Any>),
    content: &T::Content,
    origin: Origin,
    (version, at): (i64, Timestamp),
) -> Result<(Vec<Part>, OpenedItem<T>)> {
    let (meta, header) = (place::<T>(patient, id, "meta", version), T::header(content).clone());
    let mut parts = vec![seal_header::<T>((keys, &meta, version, at), &header, origin.clone())?];
    let mut sections = Vec::with_capacity(T::SECTIONS.len());
    for (section, value) in T::SECTIONS.iter().zip(T::sections(content)?) {
        let stamped = value.map(|value| TimedValue { at, value: Some(value) });
        let place = place::<T>(patient, id, section.column, version);
        let sealed = stamped.as_ref().map(|stamped| keys.seal_json(Purpose::Journal, &place, stamped)).transpose()?;
        parts.push(Part { rev: if sealed.is_some() { version } else { 0 }, sealed });
        sections.push(stamped.map(|TimedValue { at, value }| OpenedSection { at: Some(at), value }));
    }
    let (clock_suspect, place) = (header.circumstances().clock_suspect(at), place::<T>(patient, id, "content", 0));
    Ok((parts, OpenedItem { header, clock_suspect, origin, sections, keys: keys.clone(), place }))
}

/// Seals the parts that differ between `old` and `new` as `version`. Returns all parts, and the replaced ones by
/// number.
///
/// # Errors
///
/// When it cannot be sealed.
pub fn reseal<T: ItemKind>(
    keys: &Keys,
    patient: Id<Patient>,
    row: &ItemRow,
    (old, new): (&OpenedItem<T>, &T::Content),
    (version, at): (i64, Timestamp),
) -> Result<(Vec<Part>, Vec<(i32, Part)>)> {
    let mut parts = row.parts.clone();
    let mut replaced = Vec::new();
    let mut put = |number: i32, slot: Option<&mut Part>, part: Part| {
        if let Some(slot) = slot {
            let before = std::mem::replace(slot, part);
            if before.rev > 0 {
                replaced.push((number, before));
            }
        }
    };
    let mut slots = parts.iter_mut();
    let header = slots.next();
    if old.header != *T::header(new) {
        let at = (keys, &place::<T>(patient, row.id, "meta", version), version, at);
        put(T::HEADER, header, seal_header::<T>(at, T::header(new), old.origin.clone())?);
    }
    for ((section, value), (before, slot)) in
        T::SECTIONS.iter().zip(T::sections(new)?).zip(old.sections.iter().zip(slots))
    {
        let before = before.as_ref().and_then(|part| part.value.as_ref()).map(|value| value.get());
        if before == value.as_ref().map(|value| value.get()) {
            continue;
        }
        let place = place::<T>(patient, row.id, section.column, version);
        let sealed = keys.seal_json(Purpose::Journal, &place, &TimedValue { at, value })?;
        put(section.number, Some(slot), Part { rev: version, sealed: Some(sealed) });
    }
    Ok((parts, replaced))
}

/// An opened item, or its opened part. Sections are kept as they are stored.
pub struct OpenedItem<T: ItemKind> {
    /// The header.
    pub header: T::Header,
    /// Whether its times were odd when it arrived.
    pub clock_suspect: bool,
    origin: Origin,
    sections: Vec<Option<OpenedSection>>,
    keys: Keys,
    place: SealContext,
}

impl<T: ItemKind> fmt::Debug for OpenedItem<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedItem({} sections)", self.sections.len())
    }
}

impl<T: ItemKind> OpenedItem<T> {
    /// Takes a section out, in its stored form, which is the shown form; `None` when it is empty or was not opened.
    pub fn take(&mut self, section: usize) -> Option<Box<RawValue>> {
        self.sections.get_mut(section)?.as_mut()?.value.take()
    }

    /// Returns the digest of the body that created it.
    pub fn creation(&self) -> Option<&Creation> {
        self.origin.creation.as_ref()
    }

    /// Returns the item of which it is a copy.
    pub fn copy_of(&self) -> Option<Id<Any>> {
        self.origin.copy_of
    }

    /// Returns the instant of the last change of the opened sections; `None` for the owner.
    pub fn sections_at(&self) -> Option<Timestamp> {
        self.sections.iter().flatten().filter_map(|part| part.at).max()
    }

    /// Returns the content; sections that were not opened are empty.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`](crate::kernel::Error::Damaged) when a section does not have its shape.
    pub fn content(&self) -> Result<T::Content> {
        let sections: Vec<_> = self.sections.iter().map(|part| part.as_ref()?.value.as_deref()).collect();
        // The reason is left out: it may quote the content.
        T::content(self.header.clone(), &sections).ok().ok_or_else(|| self.keys.damaged(&self.place))
    }
}

/// Opens the header of an item alone.
///
/// # Errors
///
/// When it cannot be opened.
pub fn open_header<T: ItemKind>(keys: &Keys, patient: Id<Patient>, id: Id<Any>, header: &Part) -> Result<T::Header> {
    Ok(open_sealed_header::<T>(keys, patient, id, header.clone())?.header)
}

/// Opens the header of an item with the server's own fields, for [`open_sections`].
///
/// # Errors
///
/// When it cannot be opened.
pub fn open_sealed_header<T: ItemKind>(
    keys: &Keys,
    patient: Id<Patient>,
    id: Id<Any>,
    part: Part,
) -> Result<SealedHeader<T::Header>> {
    let place = place::<T>(patient, id, "meta", part.rev);
    let sealed = part.sealed.ok_or_else(|| keys.damaged(&place))?;
    let Untimed { value } = keys.open_json_in_place(&place, sealed)?;
    Ok(value)
}

/// Opens the header of an item and the `shared` sections, where they lie: for its owner (`None`) all of them. The
/// others stay sealed and are empty in the result.
///
/// # Errors
///
/// When it cannot be opened.
pub fn open<T: ItemKind>(
    keys: &Keys,
    patient: Id<Patient>,
    (id, mut parts): (Id<Any>, Vec<Part>),
    shared: Option<Sections>,
) -> Result<OpenedItem<T>> {
    let header = parts.first_mut().ok_or_else(|| keys.damaged(&place::<T>(patient, id, "content", 0)))?;
    let header = open_sealed_header::<T>(keys, patient, id, std::mem::take(header))?;
    open_sections(keys, patient, (id, parts), (header, shared))
}

/// Opens the `shared` sections of an item whose header is open: [`open`] without its first step.
///
/// # Errors
///
/// When a section cannot be opened.
pub fn open_sections<T: ItemKind>(
    keys: &Keys,
    patient: Id<Patient>,
    (id, parts): (Id<Any>, Vec<Part>),
    (header, shared): (SealedHeader<T::Header>, Option<Sections>),
) -> Result<OpenedItem<T>> {
    let SealedHeader { header, own: OwnFields { clock_suspect, creation, copy_of } } = header;
    let mut sections = Vec::with_capacity(T::SECTIONS.len());
    for (section, Part { rev, sealed }) in T::SECTIONS.iter().zip(parts.into_iter().skip(1)) {
        let shown = shared.is_none_or(|shared| section.grant.is_some_and(|grant| shared.has(grant)));
        let open = |sealed| -> Result<OpenedSection> {
            let place = place::<T>(patient, id, section.column, rev);
            Ok(if shared.is_some() {
                let TimedValue { at, value } = keys.open_json_in_place(&place, sealed)?;
                OpenedSection { at: Some(at), value }
            } else {
                let Untimed { value } = keys.open_json_in_place(&place, sealed)?;
                OpenedSection { at: None, value }
            })
        };
        sections.push(sealed.filter(|_| shown).map(open).transpose()?);
    }
    let place = place::<T>(patient, id, "content", 0);
    let origin = Origin { creation, copy_of };
    Ok(OpenedItem { header, clock_suspect, origin, sections, keys: keys.clone(), place })
}

/// Opens one section of an item; `None` when it is empty.
///
/// # Errors
///
/// When it cannot be opened.
pub fn open_section<T: ItemKind, V: DeserializeOwned>(
    keys: &Keys,
    (patient, id): (Id<Patient>, Id<Any>),
    column: &'static str,
    part: &Part,
) -> Result<Option<V>> {
    let Some(sealed) = &part.sealed else { return Ok(None) };
    let Untimed { value } = keys.open_json(&place::<T>(patient, id, column, part.rev), sealed)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercises::Responses;
    use crate::journal::Entries;

    const ENTRY: &str = concat!(
        r#"{"at":"2026-03-10T08:00:01Z","value":{"kind":"reflection","draft":false,"#,
        r#""occurred_at":"2026-03-10T08:00:00Z","zone":"Europe/Berlin","recorded_at":null,"prompt_id":null,"#,
        r#""infusion_id":null,"clock_suspect":true,"creation":"hYOs","#,
        r#""copy_of":"67e55044-10b1-426f-9247-bb680e5fe0c8"}}"#,
    );
    const RESPONSE: &str = concat!(
        r#"{"at":"2026-03-10T08:00:01Z","value":{"exercise_key":"if-then-habit","exercise_version":1,"draft":true,"#,
        r#""occurred_at":"2026-03-10T08:00:00Z","zone":null,"recorded_at":"2026-03-10T07:59:00Z","#,
        r#""prompt_id":"67e55044-10b1-426f-9247-bb680e5fe0c8","assignment_id":null,"clock_suspect":false}}"#,
    );

    /// Reads a stored header and returns what would be stored for it.
    fn again<T: ItemKind>(stored: &str) -> serde_json::Result<String> {
        let read: TimedValue<SealedHeader<T::Header>> = serde_json::from_str(stored)?;
        serde_json::to_string(&read)
    }

    #[test]
    fn a_header_that_was_read_is_stored_as_it_was() {
        assert_eq!(again::<Entries>(ENTRY).unwrap(), ENTRY);
        assert_eq!(again::<Responses>(RESPONSE).unwrap(), RESPONSE);
    }

    #[test]
    fn a_header_is_read_whatever_the_order_of_its_fields_is_and_without_those_that_may_be_absent() {
        let before = ENTRY.replace(r#","clock_suspect":true,"creation":"hYOs""#, "");
        let later =
            before.replace(r#""value":{"#, r#""value":{"colour":[{"a":1}],"clock_suspect":true,"creation":"hYOs","#);
        assert_eq!(again::<Entries>(&later).unwrap(), ENTRY);
        let first = before.replace(r#","copy_of":"67e55044-10b1-426f-9247-bb680e5fe0c8""#, "");
        let unsaid = first.replace(r#""infusion_id":null"#, r#""infusion_id":null,"clock_suspect":false"#);
        assert_eq!(again::<Entries>(&first).unwrap(), unsaid, "older headers say nothing of the clock");
        assert!(again::<Entries>(&ENTRY.replace(r#""draft":false,"#, "")).is_err(), "without a status");
        assert!(again::<Entries>(&ENTRY.replace("true", "1")).is_err(), "of another shape");
    }
}
