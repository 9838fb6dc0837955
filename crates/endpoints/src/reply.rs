use std::collections::BTreeMap;
use std::fmt::Write as _;

use meseta_machine::{ContentType, Reply};
use meseta_proto::v1::{Flag, VersionInfo};
use meseta_proto::{Wire, json as mapping};
use serde::Serialize;
use serde_json::json as value;

use crate::limits::MAX_CALLBACK_LENGTH;
use crate::request::Query;

/// 200 with a form as JSON, as an argument of the query's `jsonp` callback if it names one.
pub fn json(query: Query<'_>, form: &impl Serialize) -> Reply {
    json_text(1024, query, |body| serde_json::to_writer(body, form))
}

/// The same for an answer that `write` appends, of which so many bytes are expected: a buffer that grows
/// to a hundred megabytes is copied again and again.
pub fn json_text(
    expected: usize,
    query: Query<'_>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
) -> Reply {
    let callback = query.get("jsonp");
    if let Some(name) = callback
        && !is_callback(name)
    {
        return not_a_callback();
    }
    let mut body = Vec::with_capacity(expected);
    if let Some(name) = callback {
        body.extend_from_slice(name.as_bytes());
        body.push(b'(');
    }
    if let Err(error) = write(&mut body) {
        return Reply::refused(500, format!("Failed to write the answer as JSON: {error}"));
    }
    if callback.is_none() {
        return Reply::json(body);
    }
    body.push(b')');
    Reply {
        content_type: Some(ContentType::Javascript),
        ..Reply::json(body)
    }
}

/// The refusal of a `jsonp` that is more than a name.
pub fn not_a_callback() -> Reply {
    Reply::bad_request("Expecting 'jsonp' to be the name of a function")
}

/// The callback's name comes back as code, so it must not be more than a name.
pub fn is_callback(name: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.');
    !name.is_empty() && name.len() <= MAX_CALLBACK_LENGTH && name.bytes().all(is_part)
}

/// 404 in Mesos's words.
pub fn not_found() -> Reply {
    Reply::refused(404, "404 Not Found.")
}

/// 405 in Mesos's words.
pub fn method_not_allowed(allowed: &[&str], method: &str) -> Reply {
    let mut sentence = "405 Method Not Allowed. Expecting one of { ".to_owned();
    for (i, name) in allowed.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        let _ = write!(sentence, "{separator}'{name}'");
    }
    let _ = write!(sentence, " }}, but received '{method}'.");
    Reply {
        headers: vec![("Allow", allowed.join(", "))],
        ..Reply::refused(405, sentence)
    }
}

/// What `/version` answers. Builds are reproducible, so none has a date of its own.
pub fn version(query: Query<'_>, version: &str) -> Reply {
    json(
        query,
        &value!({
            "build_date": BUILD_DATE,
            "build_time": 0.0,
            "build_user": "",
            "version": version,
        }),
    )
}

/// What `/version` tells, as a message.
pub fn build(version: &str) -> VersionInfo {
    VersionInfo {
        version: version.to_owned(),
        build_date: Some(BUILD_DATE.to_owned()),
        build_time: Some(0.0),
        build_user: Some(String::new()),
        ..VersionInfo::default()
    }
}

/// What `/flags` answers.
pub fn flags(method: &str, query: Query<'_>, flags: &BTreeMap<String, String>) -> Reply {
    if matches!(method, "GET" | "HEAD") {
        json(query, &value!({ "flags": flags }))
    } else {
        method_not_allowed(&["GET"], method)
    }
}

/// The same as messages.
pub fn flag_messages(flags: &BTreeMap<String, String>) -> Vec<Flag> {
    let flags = flags.iter().map(|(name, value)| Flag {
        name: name.clone(),
        value: Some(value.clone()),
    });
    flags.collect()
}

/// 200 with a message in the form that was asked for.
pub fn message<M: Wire>(message: &M, content_type: ContentType) -> Reply {
    let body = match content_type {
        ContentType::Protobuf => message.encode_to_vec(),
        _ => mapping::to_vec(message),
    };
    typed(body, content_type)
}

/// 200 with a body of this type.
pub fn typed(body: Vec<u8>, content_type: ContentType) -> Reply {
    Reply {
        content_type: Some(content_type),
        ..Reply::json(body)
    }
}

/// What stands where Mesos shows the date of the build.
pub(crate) const BUILD_DATE: &str = "1970-01-01 00:00:00";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_name_and_nothing_else() {
        let reply = |name: &str| json(Query(&[("jsonp".to_owned(), name.to_owned())]), &1);
        let good = reply("angular.callbacks._0");
        assert_eq!(good.content_type, Some(ContentType::Javascript));
        assert_eq!(good.body, "angular.callbacks._0(1)");
        for bad in ["", "alert(1);x", "a b", &"x".repeat(129)] {
            assert_eq!(reply(bad).status, 400, "{bad}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let reply = method_not_allowed(&["GET", "HEAD"], "PUT");
        assert_eq!(reply.headers, [("Allow", "GET, HEAD".to_owned())]);
        assert_eq!(
            reply.body,
            "405 Method Not Allowed. Expecting one of { 'GET', 'HEAD' }, but received 'PUT'."
        );
    }
}
