//! Who makes a request: what the token that comes with it proves.

use std::time::Duration;

use meseta_authentication::{Claims, TokenKey};
use meseta_machine::Reply;
use meseta_proto::v1::{ContainerId, ExecutorId, FrameworkId};

use crate::Config;

/// What the executor API is called where clients ask for credentials.
const EXECUTOR_REALM: &str = "mesos-agent-executor";

/// What the operator API is called there.
const OPERATOR_REALM: &str = "mesos-agent-readwrite";

/// Names of claims: the executor's framework, the executor, and the container of this run.
const FRAMEWORK: &str = "fid";
const EXECUTOR: &str = "eid";
const CONTAINER: &str = "cid";

/// The claims of an executor's token.
pub(crate) fn claims(
    framework: &FrameworkId,
    executor: &ExecutorId,
    container: &ContainerId,
) -> Claims {
    [
        (FRAMEWORK, framework.as_str()),
        (EXECUTOR, executor.as_str()),
        (CONTAINER, container.value.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Who calls the executor API; nobody in particular unless executors must authenticate.
///
/// # Errors
/// The answer to who does not prove to be an executor.
pub(crate) fn executor(
    config: &Config,
    authorization: Option<&str>,
    now: Duration,
) -> Result<Option<Claims>, Box<Reply>> {
    let Some(key) = config.executor_key.as_ref() else {
        return Ok(None);
    };
    if !config.authenticate_executors {
        return Ok(None);
    }
    bearer(key, EXECUTOR_REALM, authorization, now).map(Some)
}

/// Who calls the operator API. Operators bring no token; an executor that brings one is held to it.
///
/// # Errors
/// The answer to a token that proves nothing.
pub(crate) fn operator(
    config: &Config,
    authorization: Option<&str>,
    now: Duration,
) -> Result<Option<Claims>, Box<Reply>> {
    let key = config.executor_key.as_ref();
    let Some(key) = key.filter(|_| config.authenticate_executors) else {
        return Ok(None);
    };
    if !authorization.is_some_and(|header| header.starts_with("Bearer ")) {
        return Ok(None);
    }
    bearer(key, OPERATOR_REALM, authorization, now).map(Some)
}

/// Whether these are the claims of who runs in this container.
pub(crate) fn is_of_container(claims: &Claims, container: &ContainerId) -> bool {
    claims
        .get(CONTAINER)
        .is_some_and(|claim| *claim == container.value)
}

fn bearer(
    key: &TokenKey,
    realm: &str,
    authorization: Option<&str>,
    now: Duration,
) -> Result<Claims, Box<Reply>> {
    let refuse = |description: Option<String>| {
        // Who says nothing is told nothing: RFC 6750, section 3.1.
        let error = description.map_or_else(String::new, |description| {
            format!(", error=\"invalid_token\", error_description=\"{description}\"")
        });
        Err(Box::new(Reply {
            status: 401,
            headers: vec![(
                "WWW-Authenticate",
                format!("Bearer realm=\"{realm}\"{error}"),
            )],
            ..Reply::ok()
        }))
    };
    let Some(header) = authorization else {
        return refuse(None);
    };
    let Some((scheme, token)) = header.split_once(' ').filter(|(_, t)| !t.contains(' ')) else {
        return refuse(Some("Malformed 'Authorization' header".into()));
    };
    if scheme != "Bearer" {
        return refuse(Some(format!("Scheme '{}' unsupported", quoted(scheme))));
    }
    match key.verify(token, now) {
        Ok(claims) if claims.is_empty() => refuse(Some("JWT claims missing".into())),
        Ok(claims) => Ok(claims),
        Err(error) => refuse(Some(format!("Invalid JWT: {}", quoted(&error.to_string())))),
    }
}

/// A text as it may stand between the quotation marks of a header.
fn quoted(text: &str) -> String {
    let plain = text.chars().filter(|c| *c == ' ' || c.is_ascii_graphic());
    plain
        .flat_map(|c| {
            matches!(c, '"' | '\\')
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect()
}

/// Whether these are the claims of the executor that a call names, in its present container.
///
/// # Errors
/// Mesos's sentence.
pub(crate) fn check(
    claims: &Claims,
    framework: &FrameworkId,
    executor: &ExecutorId,
    container: &ContainerId,
) -> Result<(), String> {
    let is = |name: &str, value: &str| claims.get(name).is_some_and(|claim| claim == value);
    let principal = shown(claims);
    if !is(FRAMEWORK, framework.as_str()) {
        return Err(format!(
            "Authenticated principal '{principal}' does not contain an 'fid' claim with the \
             framework ID {framework}, which is set in the call"
        ));
    }
    if !is(EXECUTOR, executor.as_str()) {
        return Err(format!(
            "Authenticated principal '{principal}' does not contain an 'eid' claim with the \
             executor ID {executor}, which is set in the call"
        ));
    }
    if !is(CONTAINER, &container.value) {
        return Err(format!(
            "Authenticated principal '{principal}' does not contain a 'cid' claim with the correct \
             active ContainerID"
        ));
    }
    Ok(())
}

/// A principal as Mesos writes it.
fn shown(claims: &Claims) -> String {
    let claims: Vec<String> = claims.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    format!("{{ {} }}", claims.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn config() -> Config {
        let mut config = Config::new("slave(1)@127.0.0.1:5051".parse().unwrap(), "/w");
        config.executor_key = Some(TokenKey::new("hush"));
        config.authenticate_executors = true;
        config
    }

    fn own() -> Claims {
        claims(&"F".into(), &"e".into(), &"c".into())
    }

    fn header(claims: &Claims) -> String {
        format!("Bearer {}", TokenKey::new("hush").sign(claims))
    }

    fn challenge(authorization: Option<&str>) -> String {
        let refusal = executor(&config(), authorization, NOW).unwrap_err();
        assert_eq!((refusal.status, refusal.body.len()), (401, 0));
        assert_eq!(refusal.headers[0].0, "WWW-Authenticate");
        refusal.headers[0].1.clone()
    }

    #[test]
    fn an_executor_is_known_by_its_token() {
        assert_eq!(
            executor(&config(), Some(&header(&own())), NOW),
            Ok(Some(own()))
        );
        let mut lax = config();
        lax.authenticate_executors = false;
        assert_eq!(executor(&lax, None, NOW), Ok(None));
        assert_eq!(executor(&lax, Some("Bearer nonsense"), NOW), Ok(None));
    }

    #[test]
    fn refusals_are_those_of_mesos() {
        let realm = "Bearer realm=\"mesos-agent-executor\"";
        assert_eq!(challenge(None), realm);
        for (authorization, description) in [
            ("Bearer", "Malformed 'Authorization' header"),
            ("Bearer a b", "Malformed 'Authorization' header"),
            ("Basic YTpi", "Scheme 'Basic' unsupported"),
            (
                "Bearer nonsense",
                "Invalid JWT: Expected 3 components in token, got 1",
            ),
            (&header(&Claims::new()), "JWT claims missing"),
            (
                &format!("Bearer {}", TokenKey::new("other").sign(&own())),
                "Invalid JWT: Token signature does not match",
            ),
            (
                &header(&Claims::from([("x\"\r\ny".into(), String::new())])).replace("ey", "eY"),
                "Invalid JWT: Failed to decode token header",
            ),
        ] {
            let expected =
                format!("{realm}, error=\"invalid_token\", error_description=\"{description}");
            let challenge = challenge(Some(authorization));
            assert!(challenge.starts_with(&expected), "{challenge}");
        }
    }

    #[test]
    fn a_token_is_good_for_its_own_run_alone() {
        let refusal = |framework: &str, executor: &str, container: &str| {
            let container = container.into();
            check(&own(), &framework.into(), &executor.into(), &container).unwrap_err()
        };
        assert_eq!(check(&own(), &"F".into(), &"e".into(), &"c".into()), Ok(()));
        let principal = "Authenticated principal '{ cid: c, eid: e, fid: F }' does not contain";
        assert_eq!(
            refusal("G", "e", "c"),
            format!("{principal} an 'fid' claim with the framework ID G, which is set in the call")
        );
        assert_eq!(
            refusal("F", "f", "c"),
            format!("{principal} an 'eid' claim with the executor ID f, which is set in the call")
        );
        assert_eq!(
            refusal("F", "e", "d"),
            format!("{principal} a 'cid' claim with the correct active ContainerID")
        );
    }

    #[test]
    fn operators_bring_no_token_and_executors_a_good_one() {
        assert_eq!(operator(&config(), None, NOW), Ok(None));
        let own_header = header(&own());
        assert_eq!(operator(&config(), Some(&own_header), NOW), Ok(Some(own())));
        let refusal = operator(&config(), Some("Bearer x"), NOW).unwrap_err();
        assert_eq!(refusal.status, 401);
    }
}
