//! What every daemon serves beside its machine's endpoints: files and the web page.

use std::collections::BTreeMap;

use http::StatusCode;
use meseta_endpoints::not_found;
use meseta_transport::{Body, FileBody, Request, Response};

use crate::files::{self, Shown};

/// Answers a request for a file or the page, or with 404.
pub(crate) fn answer(
    shown: &dyn Shown,
    attached: impl FnOnce() -> BTreeMap<String, String>,
    request: &Request,
) -> Response {
    let segments: Vec<&str> = request.path.split('/').filter(|s| !s.is_empty()).collect();
    let parameter = |name: &str| {
        request
            .query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone())
    };
    if let ["files", call, ..] = segments.as_slice() {
        // Sub-paths fall to the nearest handler, and `.json` is the older name of each.
        return match call.strip_suffix(".json").unwrap_or(call) {
            "browse" => files::browse(shown, &parameter).into(),
            "read" => files::read(shown, &parameter).into(),
            "debug" => files::debug(&attached(), &parameter).into(),
            "download" => match files::download(shown, &parameter) {
                files::Answer::Reply(reply) => reply.into(),
                files::Answer::Download { file, name, length } => {
                    Response::new(StatusCode::OK, Body::File(FileBody::new(file, length)))
                        .header("Content-Type", "application/octet-stream")
                        .header(
                            "Content-Disposition",
                            &format!("attachment; filename=\"{name}\""),
                        )
                }
            },
            _ => not_found().into(),
        };
    }
    page(&request.path).unwrap_or_else(|| not_found().into())
}

fn page(path: &str) -> Option<Response> {
    let asset = meseta_webui::asset(path)?;
    // Names of immutable assets change with their content.
    let caching = if asset.immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    Some(
        Response::new(StatusCode::OK, Body::Full(asset.body.into()))
            .header("Content-Type", asset.content_type)
            .header("Cache-Control", caching)
            .header("X-Content-Type-Options", "nosniff"),
    )
}
