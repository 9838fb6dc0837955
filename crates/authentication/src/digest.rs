use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;

/// HMAC-MD5 over a text, not yet finished: whoever checks a digest does so in constant time.
pub(crate) fn keyed(key: &[u8], text: &[u8]) -> Option<Hmac<Md5>> {
    // HMAC takes keys of any length, so that there always is one.
    let mut mac = Hmac::<Md5>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes behind 32 lowercase hexadecimal digits, the only form that SASL accepts.
pub(crate) fn unhex(text: &[u8]) -> Option<[u8; 16]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 16];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// What proves, for one challenge, that one knows a secret: 32 lowercase hexadecimal digits.
pub(crate) fn response(secret: &str, challenge: &[u8]) -> String {
    keyed(secret.as_bytes(), challenge)
        .map(|mac| hex(&mac.finalize().into_bytes()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_those_of_rfc_2195() {
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        let expected = "b913a602c7eda7a495b4e6e7334d3890";
        assert_eq!(response("tanstaaftanstaaf", challenge), expected);
    }

    #[test]
    fn digests_have_one_spelling() {
        let text = "b913a602c7eda7a495b4e6e7334d3890";
        assert_eq!(hex(&unhex(text.as_bytes()).unwrap()), text);
        for other in [&text[1..], &text.to_uppercase(), &format!("{text}00"), ""] {
            assert_eq!(unhex(other.as_bytes()), None, "{other}");
        }
    }
}
