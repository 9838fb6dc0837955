//! Answers compressed for clients that ask for it.

use std::io::Write as _;

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
    if !accepts_gzip(asked.filter_map(|value| value.to_str().ok())) {
        return response;
    }
    // The fastest level: it makes JSON ten times smaller, and the client waits for it.
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    let written = encoder.write_all(body);
    if let Ok(smaller) = written.and_then(|()| encoder.finish()) {
        response.body = Body::Full(smaller.into());
        response
            .headers
            .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn is_compressible(kind: &str) -> bool {
    let name = kind.split(';').next().unwrap_or_default().trim();
    name.starts_with("text/")
        || matches!(
            name,
            "application/json" | "application/openmetrics-text" | "application/x-protobuf"
        )
}

/// Whether `Accept-Encoding` allows gzip: by its name, or by `*` where it is not named.
fn accepts_gzip<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let mut by_star = false;
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_allowed = !parts.any(|part| {
            part.split_once('=').is_some_and(|(name, weight)| {
                name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0_f64)
            })
        });
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => return is_allowed,
            "*" => by_star = is_allowed,
            _ => {}
        }
    }
    by_star
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_gzip_is_known_by_its_name_or_by_the_star() {
        let asks = |value: &str| accepts_gzip([value].into_iter());
        for value in ["gzip", "br, GZIP;q=0.5", "*", "identity, *;q=0.1", "x-gzip"] {
            assert!(asks(value), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "identity"] {
            assert!(!asks(value), "{value}");
        }
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
