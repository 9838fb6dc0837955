use meseta_machine::{ContentType, Reply};
use meseta_proto::{Wire, decode, json};

/// Reads the body of a call to one of the v1 APIs.
///
/// # Errors
/// The refusal to answer with.
pub fn call<M: Wire>(content_type: Option<&str>, body: &[u8]) -> Result<M, Box<Reply>> {
    let refusal = match content_type {
        None => Reply::bad_request("Expecting 'Content-Type' to be present"),
        Some(given) if given == ContentType::Protobuf.as_str() => match decode(body) {
            Ok(call) => return Ok(call),
            Err(e) => Reply::bad_request(format!("Failed to parse body into Call protobuf: {e}")),
        },
        Some(given) if given == ContentType::Json.as_str() => match json::from_slice(body) {
            Ok(call) => return Ok(call),
            Err(e) => Reply::bad_request(e.to_string()),
        },
        Some(_) => Reply::refused(
            415,
            "Expecting 'Content-Type' of application/json or application/x-protobuf",
        ),
    };
    Err(Box::new(refusal))
}

/// Whether an `Accept` header allows an answer of the type. Without one, everything is allowed.
pub fn accepts(accept: Option<&str>, offered: ContentType) -> bool {
    let Some(accept) = accept else {
        return true;
    };
    let offered = offered.as_str();
    let group = offered.split_once('/').map_or("", |(group, _)| group);
    // The most specific range that matches decides.
    [offered, &format!("{group}/*"), "*/*"]
        .into_iter()
        .find_map(|candidate| {
            accept.split(',').find_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next()?;
                name.eq_ignore_ascii_case(candidate)
                    .then(|| !parts.any(is_zero_weight))
            })
        })
        .unwrap_or(false)
}

fn is_zero_weight(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f64>() == Ok(0.0)
    })
}

#[cfg(test)]
mod tests {
    use meseta_proto::v1::scheduler::Call;

    use super::*;

    #[test]
    fn bodies_of_other_types_are_refused() {
        let status = |content_type| call::<Call>(content_type, b"{}").unwrap_err().status;
        assert_eq!(status(None), 400);
        assert_eq!(status(Some("")), 415);
        assert_eq!(status(Some("application/json; charset=utf-8")), 415);
        assert!(call::<Call>(Some("application/json"), b"{}").is_ok());
        assert!(call::<Call>(Some("application/x-protobuf"), b"").is_ok());
        let cut = call::<Call>(Some("application/x-protobuf"), &[0x0a, 0x7f]).unwrap_err();
        assert_eq!(cut.status, 400);
        assert!(
            cut.body
                .starts_with(b"Failed to parse body into Call protobuf: ")
        );
    }

    #[test]
    fn accept_headers_are_read_as_ranges_with_weights() {
        let json = |accept| accepts(Some(accept), ContentType::Json);
        assert!(accepts(None, ContentType::Json));
        for accept in [
            "*/*",
            "text/html, application/*;q=0.2",
            "Application/JSON",
            "a,*/*;q=1",
        ] {
            assert!(json(accept), "{accept}");
        }
        for accept in [
            "",
            "text/html",
            "application/x-protobuf",
            "application/json;q=0, */*",
        ] {
            assert!(!json(accept), "{accept}");
        }
    }
}
