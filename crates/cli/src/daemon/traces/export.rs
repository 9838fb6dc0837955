//! Brings spans to a collector, by OTLP over HTTP, on a thread of its own.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use ureq::http::{HeaderName, HeaderValue, Uri};
use ureq::tls::{RootCerts, TlsConfig};

use super::{Counts, Span, otlp};
use crate::daemon::limits::{
    EXPORT_ATTEMPTS, EXPORT_INTERVAL, EXPORT_PATIENCE, EXPORT_RETRY, MAX_EXPORTED_SPANS,
};
use crate::flags::{FlagError, Flags};

const FLAG: &str = "otlp_endpoint";

/// Where spans are brought, and in whose name.
#[derive(Debug)]
pub(super) struct Destination {
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    resource: Vec<(&'static str, String)>,
}

impl Destination {
    /// By the flag, or else by the variables that OpenTelemetry has for it.
    pub(super) fn find(
        flags: &Flags,
        service: &'static str,
        hostname: &str,
    ) -> Result<Option<Self>, FlagError> {
        let given: Option<String> = flags.get(FLAG)?;
        Self::from_settings(given, service, hostname, |name| {
            std::env::var(name).ok().filter(|it| !it.is_empty())
        })
    }

    fn from_settings(
        given: Option<String>,
        service: &'static str,
        hostname: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, FlagError> {
        let of_all = given.or_else(|| {
            // That of traces is for them alone, and whole.
            let of_traces = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
            of_traces
                .is_none()
                .then(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"))?
        });
        let url = match of_all {
            Some(base) => format!("{}/v1/traces", base.trim_end_matches('/')),
            None => match variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
                Some(url) => url,
                None => return Ok(None),
            },
        };
        let refused = |value: &str, reason: &str| FlagError::Value {
            name: FLAG,
            value: value.to_owned(),
            reason: reason.to_owned(),
        };
        let parsed: Option<Uri> = url.parse().ok();
        let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
        if !parsed.is_some_and(|uri| is_http(&uri) && uri.host().is_some()) {
            return Err(refused(
                &url,
                "expected a URL such as http://localhost:4318",
            ));
        }
        let headers = variable("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
        let headers = headers.split(',').filter(|it| !it.trim().is_empty());
        let headers = headers.map(|pair| {
            let parsed = pair.split_once('=').and_then(|(name, value)| {
                Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
            });
            // What stands there may be secret.
            parsed.ok_or_else(|| {
                refused(
                    "OTEL_EXPORTER_OTLP_HEADERS",
                    "expected headers such as name=value,name=value",
                )
            })
        });
        Ok(Some(Self {
            headers: headers.collect::<Result<_, _>>()?,
            resource: vec![
                (
                    "service.name",
                    variable("OTEL_SERVICE_NAME").unwrap_or_else(|| service.to_owned()),
                ),
                ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
                ("host.name", hostname.to_owned()),
            ],
            url,
        }))
    }
}

/// Goes on until nobody can send spans any more.
pub(super) fn run(destination: &Destination, waiting: &Receiver<Span>, counts: &Counts) {
    let config = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(RootCerts::WebPki).build())
        .http_status_as_error(false)
        .timeout_global(Some(EXPORT_PATIENCE))
        .build();
    let agent = config.new_agent();
    let mut is_down = false;
    while let Some(spans) = gather(waiting) {
        let body = otlp::request(&destination.resource, &spans);
        let result = bring(&agent, destination, &body);
        let count = match &result {
            Ok(()) => &counts.exported,
            Err(_) => &counts.dropped,
        };
        count.fetch_add(spans.len() as u64, Ordering::Relaxed);
        // Once for each time that the collector is away.
        if let (Err(error), false) = (&result, is_down) {
            let url = &destination.url;
            tracing::warn!(%url, %error, "traces can't be exported, and are dropped");
        }
        is_down = result.is_err();
    }
}

/// The next spans: those that have come in a while, or as many as go into one request.
fn gather(waiting: &Receiver<Span>) -> Option<Vec<Span>> {
    let mut spans = vec![waiting.recv().ok()?];
    let end = Instant::now() + EXPORT_INTERVAL;
    while spans.len() < MAX_EXPORTED_SPANS {
        match waiting.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(span) => spans.push(span),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Some(spans)
}

/// Asks again where OTLP says that it may help.
fn bring(agent: &ureq::Agent, destination: &Destination, body: &[u8]) -> Result<(), String> {
    let mut wait = EXPORT_RETRY;
    let mut attempt = 1;
    loop {
        let error = match post(agent, destination, body) {
            Ok(200..=299) => return Ok(()),
            Ok(status @ (429 | 502 | 503 | 504)) => format!("the answer is {status}"),
            Ok(status) => return Err(format!("the answer is {status}")),
            Err(error) => error.to_string(),
        };
        if attempt == EXPORT_ATTEMPTS {
            return Err(error);
        }
        std::thread::sleep(wait);
        attempt += 1;
        wait = wait.saturating_mul(2);
    }
}

fn post(agent: &ureq::Agent, destination: &Destination, body: &[u8]) -> Result<u16, ureq::Error> {
    let mut request = agent
        .post(&destination.url)
        .header("Content-Type", "application/x-protobuf");
    for (name, value) in &destination.headers {
        request = request.header(name.clone(), value.clone());
    }
    let mut answer = request.send(body)?;
    // Read to its end, the connection serves the next.
    let _ = answer
        .body_mut()
        .with_config()
        .limit(64 * 1024)
        .read_to_vec();
    Ok(answer.status().as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(given: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Destination::from_settings(given.map(str::to_owned), "meseta-master", "h", variable)
            .map(|found| found.map(|it| it.url))
            .map_err(|e| e.to_string())
    }

    #[test]
    fn the_flag_or_the_environment_says_where_traces_go_and_otherwise_there_are_none() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/in");
        let url = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(find(None, &[]), Ok(None));
        assert_eq!(find(None, &[base]), url("http://c:4318/v1/traces"));
        assert_eq!(find(None, &[base, traces]), url("https://t/in"));
        let given = find(Some("http://f:1/x"), &[base, traces]);
        assert_eq!(given, url("http://f:1/x/v1/traces"));
        for wrong in ["c:4318", "ftp://c", "http://", "x y"] {
            assert!(find(Some(wrong), &[]).is_err(), "{wrong}");
        }
        let headers = |text| find(None, &[base, ("OTEL_EXPORTER_OTLP_HEADERS", text)]);
        assert!(headers("authorization=Bearer x, a=b").is_ok());
        let refusal = headers("secret").unwrap_err();
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}
