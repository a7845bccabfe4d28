//! Codes of a second factor: time-based ones (RFC 6238: HMAC-SHA-1, six digits, thirty seconds) and recovery codes.

use aws_lc_rs::hmac;
use jiff::Timestamp;
use subtle::ConstantTimeEq as _;
use url::form_urlencoded::byte_serialize;

use crate::kernel::JoinCode;

/// The bytes of a secret: as many as its hash has (RFC 4226 §4).
pub const SECRET_BYTES: usize = 20;
/// The seconds for which a code is the present one.
const PERIOD: i64 = 30;
/// The steps by which the clock of the other side may be early or late.
const SKEW: i64 = 1;
/// The number of recovery codes of a set.
pub const RECOVERY_CODES: u8 = 10;

/// Returns the step in which an instant lies.
pub fn step_at(at: Timestamp) -> i64 {
    at.as_second().div_euclid(PERIOD)
}

/// Returns the code of a step.
pub fn code_of(secret: &[u8], step: i64) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret), &step.to_be_bytes());
    let mac = tag.as_ref();
    let offset = usize::from(mac.last().copied().unwrap_or_default() & 15);
    let word: [u8; 4] = mac.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    let number = (u32::from_be_bytes(word) & 0x7FFF_FFFF) % 1_000_000;
    format!("{number:06}")
}

/// Finds the step of a typed code: the first one after the step `after` that is close enough to `now`. Spaces and
/// hyphens do not matter.
pub fn step_of(secret: &[u8], typed: &str, now: Timestamp, after: i64) -> Option<i64> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let present = step_at(now);
    let fits = |step: &i64| bool::from(code_of(secret, *step).as_bytes().ct_eq(typed.as_bytes()));
    (present - SKEW..=present + SKEW).filter(|step| *step > after).find(fits)
}

/// Returns a recovery code of a set.
pub fn recovery_code(seed: &[u8; 32], number: u8) -> JoinCode {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed), &[number]);
    let mut mac = [0; 32];
    mac.copy_from_slice(tag.as_ref());
    JoinCode::of(mac)
}

/// Finds the number of a typed recovery code in its set.
pub fn recovery_number(seed: &[u8; 32], typed: &str) -> Option<u8> {
    let typed = JoinCode::parse(typed)?;
    let fits = |number: &u8| bool::from(recovery_code(seed, *number).bytes().ct_eq(typed.bytes()));
    (0..RECOVERY_CODES).find(fits)
}

/// Writes a secret as authenticator apps take it: base 32 of RFC 4648, without padding.
pub fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = |five: u32| {
        let place = usize::try_from(five & 31).unwrap_or_default();
        ALPHABET.get(place).copied().map_or('A', char::from)
    };
    let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0_u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(letter(held >> bits));
            held &= (1 << bits) - 1;
        }
    }
    if bits > 0 {
        text.push(letter(held << (5 - bits)));
    }
    text
}

/// Returns the address that an authenticator app reads, as text or from a picture.
pub fn address_of(secret: &[u8], account: &str) -> String {
    let (account, secret): (String, String) = (byte_serialize(account.as_bytes()).collect(), base32(secret));
    format!("otpauth://totp/Afterglow:{account}?secret={secret}&issuer=Afterglow&algorithm=SHA1&digits=6&period=30")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B, cut to six digits.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_of(SECRET, step_at(Timestamp::from_second(second).unwrap())), code, "{second}");
        }
        // RFC 4226, appendix D.
        let first: Vec<String> = (0..4).map(|step| code_of(SECRET, step)).collect();
        assert_eq!(first, ["755224", "287082", "359152", "969429"]);
    }

    #[test]
    fn a_code_counts_one_step_early_or_late_and_after_the_last_one_alone() {
        let at = |step: i64| Timestamp::from_second(step * PERIOD + 7).unwrap();
        let code = code_of(SECRET, 1000);
        for (now, found) in [(998, None), (999, Some(1000)), (1000, Some(1000)), (1001, Some(1000)), (1002, None)] {
            assert_eq!(step_of(SECRET, &code, at(now), 0), found, "{now}");
        }
        assert_eq!(step_of(SECRET, &code, at(1000), 999), Some(1000));
        assert_eq!(step_of(SECRET, &code, at(1000), 1000), None);
        let (first, last) = code.split_at(3);
        let spaced = format!(" {first} {last} ");
        assert_eq!(step_of(SECRET, &spaced, at(1000), 0), Some(1000));
        for wrong in ["", "000", code.split_at(5).0] {
            assert_eq!(step_of(SECRET, wrong, at(1000), 0), None, "{wrong:?}");
        }
    }

    #[test]
    fn secrets_are_written_as_rfc_4648_does() {
        for (bytes, text) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ")] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!((base32(b"fooba").as_str(), base32(b"foobar").as_str()), ("MZXW6YTB", "MZXW6YTBOI"));
        assert_eq!(base32(SECRET), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let address = address_of(SECRET, "ann+1@example.org");
        assert!(address.starts_with("otpauth://totp/Afterglow:ann%2B1%40example.org?secret=GEZDG"), "{address}");
    }

    #[test]
    fn each_recovery_code_is_found_in_its_set_and_no_other() {
        for number in 0..RECOVERY_CODES {
            let code = recovery_code(&[1; 32], number).to_string();
            assert_eq!(recovery_number(&[1; 32], &code.to_lowercase()), Some(number));
            assert_eq!(recovery_number(&[2; 32], &code), None);
        }
        assert_eq!(recovery_number(&[1; 32], "123456"), None);
    }
}
