//! Answers compressed for clients that ask for it.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use meseta_transport::{Body, Request, Response};

use super::limits::MIN_COMPRESSED;

/// Compresses an answer if its client asks for that and it is worth it.
pub(super) fn compressed(request: &Request, mut response: Response) -> Response {
    let Body::Full(body) = &response.body else {
        return response;
    };
    let is_text = response
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(is_compressible);
    if body.len() < MIN_COMPRESSED || !is_text || response.headers.contains_key(CONTENT_ENCODING) {
        return response;
    }
    response
        .headers
        .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    let asked = request.headers.get_all(ACCEPT_ENCODING).iter();
    let Some(coding) = Coding::chosen(asked.filter_map(|value| value.to_str().ok())) else {
        return response;
    };
    if let Ok(smaller) = coding.compress(body) {
        response.body = Body::Full(smaller.into());
        response
            .headers
            .insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    }
    response
}

/// How answers can be compressed; the better come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Zstd,
    Gzip,
}

impl Coding {
    const ALL: [Self; 2] = [Self::Zstd, Self::Gzip];

    fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    fn is_called(self, name: &str) -> bool {
        let older = self == Self::Gzip && name.eq_ignore_ascii_case("x-gzip");
        older || name.eq_ignore_ascii_case(self.name())
    }

    /// The fastest levels: they make JSON ten times smaller, and the client waits for it.
    fn compress(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(body, 1),
            Self::Gzip => {
                let out = Vec::with_capacity(body.len() / 8);
                let mut encoder = GzEncoder::new(out, Compression::fast());
                encoder.write_all(body)?;
                encoder.finish()
            }
        }
    }

    /// What the client likes best by `Accept-Encoding`: by its name, or by `*` where it is not named.
    /// None if it wants the answer as it is, or rather so.
    fn chosen<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let ranges = values.flat_map(|value| value.split(',')).map(range);
        let ranges: Vec<(&str, f64)> = ranges.collect();
        let named = |wanted: &dyn Fn(&str) -> bool| {
            let found = ranges.iter().find(|(name, _)| wanted(name));
            found.map(|(_, weight)| *weight)
        };
        let star = named(&|name| name == "*");
        let weight = |coding: Self| named(&|name| coding.is_called(name)).or(star);
        // Without a word it is acceptable, but less than what is asked for.
        let plain = named(&|name| name.eq_ignore_ascii_case("identity")).unwrap_or(0.0);
        let mut best = None;
        for coding in Self::ALL {
            let weight = weight(coding).unwrap_or(0.0);
            let better = best.is_none_or(|(_, other)| weight > other);
            if weight > 0.0 && weight >= plain && better {
                best = Some((coding, weight));
            }
        }
        best.map(|(coding, _)| coding)
    }
}

/// The name of a range, and how much it is wanted.
fn range(text: &str) -> (&str, f64) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        let is_weight = key.trim().eq_ignore_ascii_case("q");
        is_weight.then(|| value.trim().parse().unwrap_or(0.0))
    });
    (name, weight.unwrap_or(1.0))
}

fn is_compressible(kind: &str) -> bool {
    let name = kind.split(';').next().unwrap_or_default().trim();
    name.starts_with("text/")
        || matches!(
            name,
            "application/json" | "application/openmetrics-text" | "application/x-protobuf"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_says_what_it_likes_best_and_what_it_does_not() {
        use Coding::{Gzip, Zstd};
        let chosen = |value: &str| Coding::chosen([value].into_iter());
        for (value, coding) in [
            ("gzip", Some(Gzip)),
            ("zstd", Some(Zstd)),
            ("x-gzip", Some(Gzip)),
            ("br, GZIP;q=0.5", Some(Gzip)),
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, zstd;q=0.9", Some(Gzip)),
            ("*", Some(Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Gzip)),
            ("identity;q=0.5, *;q=0.1", None),
            ("identity, gzip", Some(Gzip)),
            ("", None),
            ("br", None),
            ("gzip;q=0", None),
            ("gzip; q=0.0, zstd;q=0, *", None),
            ("gzip;q=much", None),
            ("*;q=0", None),
            ("identity", None),
        ] {
            assert_eq!(chosen(value), coding, "{value}");
        }
        let twice = Coding::chosen(["br", "gzip"].into_iter());
        assert_eq!(twice, Some(Gzip));
    }

    #[test]
    fn what_is_compressed_is_the_same_afterwards() {
        let body = b"{\"slaves\":[]}".repeat(1000);
        let packed = Coding::Zstd.compress(&body).unwrap();
        assert!(packed.len() < body.len() / 10);
        assert_eq!(zstd::stream::decode_all(&*packed).unwrap(), body);
    }

    #[test]
    fn what_is_compressed_already_is_not_again() {
        for kind in ["application/json", "text/plain; charset=utf-8", "text/html"] {
            assert!(is_compressible(kind), "{kind}");
        }
        for kind in ["application/octet-stream", "font/woff2", "image/png"] {
            assert!(!is_compressible(kind), "{kind}");
        }
    }
}
