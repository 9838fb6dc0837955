//! Object stores: S3 and whatever speaks its language, Google Cloud Storage, Azure Blob Storage.
//!
//! Each is plain HTTP with a signature. The library finds credentials where users of each cloud keep
//! them and signs; the connections are those of any other download.

mod azure;
mod google;
mod s3;
mod world;

use std::fs::File;
use std::io::Read as _;

use http::{Request, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqsign_core::{ProvideCredential, SignRequest};
use ureq::Body;

use super::web::Web;
use super::{DownloadError, Transfer};
use crate::limits::MAX_REASON;
use world::World;

/// What stays as it is in the path of a URI.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The same, of the path as a whole.
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// Something in an object store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Object<'a> {
    scheme: Scheme,
    /// Whether the scheme is one of Hadoop's own.
    is_hadoops: bool,
    /// The bucket; of Azure, `container@account` or the container.
    bucket: &'a str,
    key: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    S3,
    Google,
    Azure,
}

impl<'a> Object<'a> {
    /// What a URI names, if its scheme is that of a store.
    pub(crate) fn parse(scheme: &str, rest: &'a str) -> Option<Result<Self, String>> {
        let (scheme, is_hadoops) = match scheme {
            "s3" => (Scheme::S3, false),
            "s3a" | "s3n" => (Scheme::S3, true),
            "gs" => (Scheme::Google, false),
            "az" | "azure" => (Scheme::Azure, false),
            "abfs" | "abfss" | "wasb" | "wasbs" => (Scheme::Azure, true),
            _ => return None,
        };
        Some(match rest.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok(Self {
                scheme,
                is_hadoops,
                bucket,
                key,
            }),
            _ => Err(format!(
                "Malformed URI (no bucket, or nothing in it): {rest}"
            )),
        })
    }

    /// Whether an installed Hadoop client is to bring it.
    pub(crate) fn is_hadoops(&self) -> bool {
        self.is_hadoops
    }
}

/// Gets an object.
pub(super) fn get(
    object: &Object<'_>,
    web: &Web,
    file: &mut File,
    transfer: &mut Transfer<'_>,
) -> Result<(), DownloadError> {
    let world = World::new(web);
    let response = match object.scheme {
        Scheme::S3 => s3::get(object, web, &world)?,
        Scheme::Google => google::get(object, web, &world)?,
        Scheme::Azure => azure::get(object, web, &world)?,
    };
    if response.status() != 200 {
        return Err(refused(response, world.is_anonymous.get()));
    }
    web.save(response, file, transfer)
}

/// Signs a request, if there is anything to sign it with: some objects are for everybody.
fn signed<C>(
    world: &World,
    request: Request<()>,
    credentials: &impl ProvideCredential<Credential = C>,
    signer: &impl SignRequest<Credential = C>,
) -> Result<Request<()>, DownloadError> {
    let (mut parts, ()) = request.into_parts();
    world
        .wait(async |context| {
            let found = credentials.provide_credential(context).await?;
            world.is_anonymous.set(found.is_none());
            signer
                .sign_request(context, &mut parts, found.as_ref(), None)
                .await
        })?
        .map_err(|error| DownloadError::Refused(format!("Failed to sign the request: {error}")))?;
    Ok(Request::from_parts(parts, ()))
}

fn request(uri: &str) -> Result<Request<()>, DownloadError> {
    let malformed = |error| DownloadError::Refused(format!("Malformed URI {uri}: {error}"));
    Request::get(uri).body(()).map_err(malformed)
}

fn path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// What a store says when it does not give: XML of S3 and Azure, JSON of Google.
fn refused(mut response: Response<Body>, is_anonymous: bool) -> DownloadError {
    let status = response.status().as_u16();
    let mut said = Vec::new();
    let body = response.body_mut().as_reader();
    // The status is what matters.
    let _ = body.take(MAX_REASON).read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    let within = |start: &str, end: &str| {
        let (_, rest) = said.split_once(start)?;
        Some(rest.split_once(end)?.0.trim().to_owned())
    };
    let code = within("<Code>", "</Code>");
    let message = within("<Message>", "</Message>").or_else(|| {
        let json: serde_json::Value = serde_json::from_str(&said).ok()?;
        Some(json.get("error")?.get("message")?.as_str()?.to_owned())
    });
    let unsigned = is_anonymous.then(|| "no credentials for it were found".to_owned());
    let reason: Vec<String> = [code, message, unsigned].into_iter().flatten().collect();
    if reason.is_empty() {
        return DownloadError::Status(status);
    }
    // On one line, whatever it says.
    let reason = reason.join(": ").replace(char::is_control, " ");
    DownloadError::Store { status, reason }
}
