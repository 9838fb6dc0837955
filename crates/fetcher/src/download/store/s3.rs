//! Amazon S3, and stores that speak its language.

use http::{HeaderMap, Request, Response};
use reqsign_aws_v4::{DefaultCredentialProvider, RequestSigner};
use ureq::Body;

use super::world::World;
use super::{Object, path, request, segment, signed};
use crate::download::DownloadError;
use crate::download::web::Web;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    region: String,
    /// Where all buckets are, if the store is not Amazon's.
    endpoint: Option<String>,
}

impl Place {
    /// What the variables of AWS's own tools say.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&str; 2]| {
            let mut values = names.into_iter().filter_map(&variable);
            values.find(|value| !value.is_empty())
        };
        let region = first(["AWS_REGION", "AWS_DEFAULT_REGION"]);
        Self {
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
            endpoint: first(["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
        }
    }

    /// Where an object of the store is.
    fn uri(&self, object: &Object<'_>) -> String {
        let (bucket, key) = (segment(object.bucket), path(object.key));
        if let Some(endpoint) = &self.endpoint {
            let endpoint = endpoint.trim_end_matches('/');
            return format!("{endpoint}/{bucket}/{key}");
        }
        let region = &self.region;
        let end = if region.starts_with("cn-") { ".cn" } else { "" };
        let host = format!("s3.{region}.amazonaws.com{end}");
        // A dot in its name, and no certificate would cover the bucket as a host.
        if bucket.contains('.') {
            format!("https://{host}/{bucket}/{key}")
        } else {
            format!("https://{bucket}.{host}/{key}")
        }
    }
}

pub(super) fn get(
    object: &Object<'_>,
    web: &Web,
    world: &World,
) -> Result<Response<Body>, DownloadError> {
    let mut place = Place::of(|name| std::env::var(name).ok());
    let response = web.ask(prepared(object, &place, world)?)?;
    match other_region(response.headers(), &place) {
        Some(region) if response.status() != 200 => {
            place.region = region;
            web.ask(prepared(object, &place, world)?)
        }
        _ => Ok(response),
    }
}

fn prepared(
    object: &Object<'_>,
    place: &Place,
    world: &World,
) -> Result<Request<()>, DownloadError> {
    let signer = RequestSigner::new("s3", &place.region);
    let credentials = DefaultCredentialProvider::new();
    signed(world, request(&place.uri(object))?, &credentials, &signer)
}

/// Where a bucket is, if it is elsewhere.
fn other_region(headers: &HeaderMap, place: &Place) -> Option<String> {
    let region = headers.get("x-amz-bucket-region")?.to_str().ok()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (region != place.region && !region.is_empty() && region.chars().all(is_name))
        .then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(rest: &str, variables: &[(&str, &str)]) -> String {
        let object = Object::parse("s3", rest).unwrap().unwrap();
        let place = Place::of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        place.uri(&object)
    }

    #[test]
    fn buckets_are_found_where_amazon_has_them() {
        assert_eq!(
            uri("bucket/a/b c+d", &[]),
            "https://bucket.s3.us-east-1.amazonaws.com/a/b%20c%2Bd"
        );
        assert_eq!(
            uri("my.bucket/a", &[("AWS_DEFAULT_REGION", "eu-west-1")]),
            "https://s3.eu-west-1.amazonaws.com/my.bucket/a"
        );
        assert_eq!(
            uri("bucket/a", &[("AWS_REGION", "cn-north-1")]),
            "https://bucket.s3.cn-north-1.amazonaws.com.cn/a"
        );
    }

    #[test]
    fn another_store_is_asked_where_the_environment_says() {
        let endpoint = ("AWS_ENDPOINT_URL", "http://minio:9000/");
        assert_eq!(uri("bucket/a", &[endpoint]), "http://minio:9000/bucket/a");
        let nearer = ("AWS_ENDPOINT_URL_S3", "http://here");
        assert_eq!(uri("bucket/a", &[endpoint, nearer]), "http://here/bucket/a");
    }

    #[test]
    fn only_a_name_of_a_region_is_taken_for_one() {
        let place = Place::of(|_| None);
        let other = |region: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-bucket-region", region.parse().unwrap());
            other_region(&headers, &place)
        };
        assert_eq!(other("eu-west-1").as_deref(), Some("eu-west-1"));
        assert_eq!(other("us-east-1"), None);
        assert_eq!(other("evil.org/"), None);
    }
}
