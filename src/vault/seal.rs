//! The format of a sealed value.
//!
//! | bytes | content |
//! |---|---|
//! | 1 | format, 1 |
//! | 4 | number of the data key, big-endian |
//! | 12 | random nonce |
//! | n × 256 | AES-256-GCM-SIV of: length (4, big-endian), the data, zeros up to a multiple of 256 |
//! | 16 | tag |
//!
//! The zeros hide the length of the data. The additional data is [`bound`].

use std::io::Write as _;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use uuid::Uuid;
use zeroize::Zeroize as _;

use crate::kernel::{Error, Result};

const FORMAT: u8 = 1;
const HEADER: usize = 1 + 4 + NONCE;
const LENGTH: usize = 4;
/// Where the data begin.
const DATA: usize = HEADER + LENGTH;
const BLOCK: usize = 256;
pub(super) const NONCE: usize = 12;
pub(super) const TAG: usize = 16;

/// The purpose of a data key. The keys of each purpose are destroyed on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The entries and answers of a patient. Destroyed when the patient deletes their account.
    Journal = 1,
    /// The records of a treatment. Destroyed at the clinic's retention date.
    Clinical = 2,
    /// An account's address, name and credential.
    Account = 3,
    /// A clinic's own documents.
    Clinic = 4,
    /// The private notes of one author. Never destroyed with a patient.
    Notes = 5,
    /// The ids that are derived for a patient. Destroyed with the records of their treatment. It seals nothing.
    Ids = 6,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [Self::Journal, Self::Clinical, Self::Account, Self::Clinic, Self::Notes, Self::Ids];
    /// The purposes of a patient's own keys.
    pub const OF_PATIENT: [Self; 3] = [Self::Journal, Self::Clinical, Self::Ids];

    /// Returns the number in the keyring.
    pub(super) const fn code(self) -> i32 {
        match self {
            Self::Journal => 1,
            Self::Clinical => 2,
            Self::Account => 3,
            Self::Clinic => 4,
            Self::Notes => 5,
            Self::Ids => 6,
        }
    }

    pub(super) fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.code() == code)
    }
}

/// The place of a sealed value, the only one where it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealContext {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The subject whose keys seal it: a patient, an account or a clinic.
    pub subject: Uuid,
    /// The row.
    pub row: Uuid,
    /// The revision of this column's content (not the row's version).
    pub revision: i64,
}

/// Returns the additional data: format, key number, and the place, each of fixed length or with its length before it,
/// then zeros.
fn bound(number: u32, place: &SealContext) -> Result<[u8; 128]> {
    let mut bytes = [0; 128];
    let mut rest = bytes.as_mut_slice();
    let mut put = |part: &[u8]| rest.write_all(part);
    let mut write = || {
        put(&[FORMAT])?;
        put(&number.to_be_bytes())?;
        put(place.subject.as_bytes())?;
        put(place.row.as_bytes())?;
        put(&place.revision.to_be_bytes())?;
        for name in [place.table, place.column] {
            put(&[u8::try_from(name.len()).map_err(std::io::Error::other)?])?;
            put(name.as_bytes())?;
        }
        std::io::Result::Ok(())
    };
    write().map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(bytes)
}

const fn padded(data: usize) -> usize {
    LENGTH.saturating_add(data).next_multiple_of(BLOCK)
}

/// Seals the bytes that `fill` appends; `room` is their expected number.
pub(super) fn seal(
    key: &LessSafeKey,
    number: u32,
    nonce: [u8; NONCE],
    place: &SealContext,
    room: usize,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<Vec<u8>> {
    let refused = || Error::internal(format!("cannot seal {}.{} of {}", place.table, place.column, place.row));
    let bound = bound(number, place)?;
    let mut out = Vec::with_capacity(HEADER + padded(room) + TAG);
    out.push(FORMAT);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&[0; LENGTH]);
    fill(&mut out)?;
    let data = out.len().checked_sub(HEADER + LENGTH).ok_or_else(refused)?;
    let length = u32::try_from(data).ok().ok_or_else(refused)?;
    out.resize(HEADER + padded(data), 0);
    let body = out.get_mut(HEADER..).ok_or_else(refused)?;
    *body.first_chunk_mut().ok_or_else(refused)? = length.to_be_bytes();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(bound), body).ok().ok_or_else(refused)?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

/// Opens a sealed value where it lies, by the key of the number that it names; `None` if there is no such key, or if any
/// part of the value has changed since it was sealed.
pub(super) fn open<'k>(
    sealed: Vec<u8>,
    place: &SealContext,
    key: impl FnOnce(u32) -> Option<&'k LessSafeKey>,
) -> Option<Opened> {
    let (&format, rest) = sealed.split_first()?;
    let (&number, rest) = rest.split_first_chunk()?;
    let (&nonce, body) = rest.split_first_chunk()?;
    let padded = body.len().checked_sub(TAG)?;
    if format != FORMAT || padded == 0 || padded % BLOCK != 0 {
        return None;
    }
    let number = u32::from_be_bytes(number);
    let (key, bound) = (key(number)?, bound(number, place).ok()?);
    let mut opened = Opened { bytes: sealed, end: DATA };
    let body = opened.bytes.get_mut(HEADER..)?;
    let plain = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(bound), body).ok()?;
    let (length, data) = plain.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length > data.len() {
        return None;
    }
    opened.end = DATA + length;
    Some(opened)
}

/// The data of an opened value, where they were opened. They are wiped when it is dropped.
pub(super) struct Opened {
    bytes: Vec<u8>,
    /// The end of the data.
    end: usize,
}

impl Opened {
    pub(super) fn data(&self) -> &[u8] {
        self.bytes.get(DATA..self.end).unwrap_or_default()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // As a slice: a vector is wiped byte by byte.
        self.bytes.as_mut_slice().zeroize();
    }
}
