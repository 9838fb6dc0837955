//! Google Cloud Storage.

use http::Response;
use reqsign_google::{DefaultCredentialProvider, RequestSigner};
use ureq::Body;

use super::world::World;
use super::{Object, request, segment, signed};
use crate::download::DownloadError;
use crate::download::web::Web;

/// Google's own, unless `STORAGE_EMULATOR_HOST` names another, as for Google's clients.
const HOST: &str = "https://storage.googleapis.com";

pub(super) fn get(
    object: &Object<'_>,
    web: &Web,
    world: &World,
) -> Result<Response<Body>, DownloadError> {
    let emulator = std::env::var("STORAGE_EMULATOR_HOST");
    let Some(emulator) = emulator.ok().filter(|it| !it.is_empty()) else {
        let request = request(&uri(HOST, object))?;
        let signer = RequestSigner::new("storage");
        let credentials = DefaultCredentialProvider::new();
        return web.ask(signed(world, request, &credentials, &signer)?);
    };
    // It knows no users.
    let host = if emulator.contains("://") {
        emulator
    } else {
        format!("http://{emulator}")
    };
    web.ask(request(&uri(&host, object))?)
}

fn uri(host: &str, object: &Object<'_>) -> String {
    let host = host.trim_end_matches('/');
    let (bucket, key) = (segment(object.bucket), segment(object.key));
    format!("{host}/storage/v1/b/{bucket}/o/{key}?alt=media")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_in_one_part() {
        let object = Object::parse("gs", "bucket/a/b c").unwrap().unwrap();
        assert_eq!(
            uri(HOST, &object),
            "https://storage.googleapis.com/storage/v1/b/bucket/o/a%2Fb%20c?alt=media"
        );
    }
}
