//! Azure Blob Storage.

use http::{HeaderValue, Response};
use reqsign_azure_storage::{
    DefaultCredentialProvider, EnvCredentialProvider, RequestSigner, StaticCredentialProvider,
};
use ureq::Body;

use super::world::World;
use super::{Object, path, request, segment, signed};
use crate::download::DownloadError;
use crate::download::web::Web;

/// The version of the protocol that answers are to follow.
const VERSION: &str = "2021-12-02";

/// Where a blob is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    account: String,
    uri: String,
}

pub(super) fn get(
    object: &Object<'_>,
    web: &Web,
    world: &World,
) -> Result<Response<Body>, DownloadError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let place = place(object, variable).ok_or_else(|| {
        DownloadError::Refused(
            "The URI names no storage account, and neither does AZURE_STORAGE_ACCOUNT".into(),
        )
    })?;
    let mut request = request(&place.uri)?;
    let headers = request.headers_mut();
    headers.insert("x-ms-version", HeaderValue::from_static(VERSION));
    // The key of an account is known by two names, its account by what the URI says.
    let key = variable("AZURE_STORAGE_ACCOUNT_KEY").or_else(|| variable("AZURE_STORAGE_KEY"));
    let credentials = DefaultCredentialProvider::builder()
        .env(EnvCredentialProvider::new())
        .build();
    let credentials = match key {
        Some(key) => credentials.push_front(StaticCredentialProvider::new_shared_key(
            &place.account,
            &key,
        )),
        None => credentials,
    };
    web.ask(signed(world, request, &credentials, &RequestSigner::new())?)
}

fn place(object: &Object<'_>, variable: impl Fn(&str) -> Option<String>) -> Option<Place> {
    let (container, host) = match object.bucket.split_once('@') {
        Some((container, host)) => (container, Some(host)),
        None => (object.bucket, None),
    };
    let account = match host {
        Some(host) => host.split('.').next().map(str::to_owned),
        None => {
            variable("AZURE_STORAGE_ACCOUNT_NAME").or_else(|| variable("AZURE_STORAGE_ACCOUNT"))
        }
    };
    let account = account.filter(|account| !account.is_empty())?;
    let endpoint = match (variable("AZURE_STORAGE_ENDPOINT"), host) {
        (Some(endpoint), _) => endpoint,
        // Blobs have a host beside the one for files.
        (None, Some(host)) => format!("https://{}", host.replacen(".dfs.", ".blob.", 1)),
        (None, None) => format!("https://{account}.blob.core.windows.net"),
    };
    let endpoint = endpoint.trim_end_matches('/');
    let uri = format!("{endpoint}/{}/{}", segment(container), path(object.key));
    Some(Place { account, uri })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of(scheme: &str, rest: &str, variables: &[(&str, &str)]) -> Option<(String, String)> {
        let object = Object::parse(scheme, rest).unwrap().unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        place(&object, variable).map(|place| (place.account, place.uri))
    }

    #[test]
    fn the_account_is_in_the_uri_or_in_the_environment() {
        let at = |account: &str, uri: &str| Some((account.to_owned(), uri.to_owned()));
        assert_eq!(
            place_of("abfss", "box@acc.dfs.core.windows.net/a/b c", &[]),
            at("acc", "https://acc.blob.core.windows.net/box/a/b%20c")
        );
        let account = ("AZURE_STORAGE_ACCOUNT", "acc");
        assert_eq!(
            place_of("az", "box/a", &[account]),
            at("acc", "https://acc.blob.core.windows.net/box/a")
        );
        let endpoint = ("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:10000/acc/");
        assert_eq!(
            place_of("az", "box/a", &[account, endpoint]),
            at("acc", "http://127.0.0.1:10000/acc/box/a")
        );
        assert_eq!(place_of("az", "box/a", &[]), None);
    }
}
