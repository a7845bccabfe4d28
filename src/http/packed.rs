//! Large bodies that a client may have packed with gzip, for the operations that take them.

use std::fmt;
use std::io::Read;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use flate2::read::MultiGzDecoder;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::body::{self, BodyLimit};
use super::strict_json::mend_surrogates;
use crate::kernel::{Code, Error, FieldError, Result};

/// The bytes that are unpacked at once.
const PIECE: usize = 16 * 1024;

/// A large body.
pub trait Packed: DeserializeOwned + Send + 'static {
    /// The pointer below which words stand that were written offline.
    const WORDS: &'static str;
}

/// A JSON body as a `T`, like a [`super::Body`], of at most `MOST` bytes whatever the limit of other bodies. It may come
/// as `Content-Encoding: gzip`; `MOST` then bounds what it unpacks to.
pub struct PackedBody<T, const MOST: usize> {
    value: T,
    bytes: usize,
}

impl<T, const MOST: usize> PackedBody<T, MOST> {
    /// Returns the value, and of how many bytes it was read.
    pub fn into_parts(self) -> (T, usize) {
        (self.value, self.bytes)
    }
}

impl<T, const MOST: usize> fmt::Debug for PackedBody<T, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PackedBody")
    }
}

impl<T: Packed, const MOST: usize> FromRequest for PackedBody<T, MOST> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let usual = request.app_data::<BodyLimit>().copied().unwrap_or_default();
        let limit = BodyLimit { bytes: MOST, ..usual };
        let checked = body::expect_type(request, body::JSON)
            .and_then(|()| is_packed(request))
            .and_then(|packed| Ok((packed, body::expect_within(request, limit)?)));
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let (packed, limit) = checked?;
            let raw = body::read(payload, limit).await?;
            // A few bytes may unpack to as much as is taken at all.
            let bytes = if packed { MOST } else { raw.len() };
            let parse = move |lenient| {
                let raw = if packed { unpack(MultiGzDecoder::new(raw.as_ref()), limit)?.into() } else { raw };
                let (value, ignored) = read(&raw, lenient)?;
                Ok((Self { value, bytes: raw.len() }, ignored))
            };
            body::parsing(bytes, &request, parse).await
        })
    }
}

/// Parses a body. Lone surrogates in words that were written offline are replaced by NUL, for the taker to mend: a body
/// that was refused for them would be sent again as it is, and keep the whole batch on the phone.
fn read<T: Packed>(bytes: &[u8], lenient: bool) -> Result<(T, Vec<FieldError>)> {
    let parsed = match body::parsed(bytes, lenient) {
        Err(Error::Unreadable(fault)) if fault.pointer.starts_with(T::WORDS) => {
            body::parsed(&mend_surrogates(bytes), lenient)
        }
        parsed => parsed,
    };
    parsed.map(|(value, ignored, _)| (value, ignored))
}

/// Whether the body is packed with gzip. Every other coding is refused, and more than one.
fn is_packed(request: &HttpRequest) -> Result<bool> {
    let codings: Vec<_> = request.headers().get_all(header::CONTENT_ENCODING).collect();
    match codings.as_slice() {
        [] => Ok(false),
        [coding] if coding.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(false),
        [coding] if coding.as_bytes().eq_ignore_ascii_case(b"gzip") => Ok(true),
        _ => Err(Error::Malformed(Code::UnsupportedMediaType, "the content coding is gzip, or none".to_owned())),
    }
}

/// Unpacks what `from` gives, piece by piece. It holds no more than the limit at any time, and reads no more than one
/// piece beyond it.
fn unpack(mut from: impl Read, limit: BodyLimit) -> Result<Vec<u8>> {
    let (mut unpacked, mut piece) = (Vec::new(), [0; PIECE]);
    loop {
        let broken = |_| Error::Malformed(Code::Malformed, "the body is no complete gzip".to_owned());
        let count = from.read(&mut piece).map_err(broken)?;
        let Some(some) = piece.get(..count).filter(|some| !some.is_empty()) else { return Ok(unpacked) };
        let room = limit.bytes.saturating_sub(unpacked.len());
        if count > room {
            return Err(body::too_large(limit));
        }
        if unpacked.capacity() < unpacked.len() + count {
            unpacked.reserve_exact(unpacked.len().max(PIECE).min(room));
        }
        unpacked.extend_from_slice(some);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write as _, repeat};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn limit(bytes: usize) -> BodyLimit {
        BodyLimit { bytes, ..BodyLimit::default() }
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    /// Counts what is read of it.
    struct Counted<R>(R, usize);

    impl<R: Read> Read for Counted<R> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1 += count;
            Ok(count)
        }
    }

    #[test]
    fn unpacking_ends_at_the_limit_and_takes_no_more_room_than_that() {
        let most = 1_000_000;
        let mut bomb = Counted(repeat(b' '), 0);
        assert_eq!(unpack(&mut bomb, limit(most)).unwrap_err().code(), Code::TooLarge);
        assert!(bomb.1 <= most + PIECE, "{} bytes were unpacked", bomb.1);
        for bytes in [0, 1, PIECE, 3 * PIECE + 1, most - 1, most] {
            let words = vec![b'w'; bytes];
            let unpacked = unpack(MultiGzDecoder::new(packed(&words).as_slice()), limit(most)).unwrap();
            assert!(unpacked == words && unpacked.capacity() <= most, "{bytes}: {}", unpacked.capacity());
        }
        let over = packed(&vec![b'w'; most + 1]);
        assert_eq!(unpack(MultiGzDecoder::new(over.as_slice()), limit(most)).unwrap_err().code(), Code::TooLarge);
    }

    #[test]
    fn what_is_cut_or_no_gzip_is_malformed() {
        let whole = packed(b"words");
        let cut = &whole[..whole.len() - 4];
        let trailed = [whole.as_slice(), b"more"].concat();
        for bytes in [cut, b"{}", trailed.as_slice(), b""] {
            let answer = unpack(MultiGzDecoder::new(bytes), limit(100));
            assert_eq!(answer.unwrap_err().code(), Code::Malformed, "{bytes:?}");
        }
        assert_eq!(
            unpack(MultiGzDecoder::new([whole.clone(), whole].concat().as_slice()), limit(100)).unwrap(),
            b"wordswords"
        );
    }
}
