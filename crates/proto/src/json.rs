//! Messages as JSON, in Mesos's mapping: names as in the `.proto` file, enums by name, bytes in
//! base64, 64-bit integers as numbers.

mod read;
mod write;

pub use read::{Error, from_slice, from_value, parse};
pub use write::{AsJson, Encoded};

use crate::wire::Wire;

/// A message as one line of JSON text.
pub fn to_vec<M: Wire>(message: &M) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    // Writing to memory does not fail, and the keys are strings.
    let _ = serde_json::to_writer(&mut out, &AsJson(message));
    out
}

/// A message as one line of JSON text.
pub fn to_string<M: Wire>(message: &M) -> String {
    String::from_utf8(to_vec(message)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{FrameworkInfo, Resource, TaskStatus, Value, scheduler::Call, value};

    #[test]
    fn defaults_are_printed_unless_deprecated_and_numbers_keep_their_form() {
        let info = FrameworkInfo {
            user: "root".into(),
            name: "é\"\n".into(),
            ..Default::default()
        };
        assert_eq!(
            to_string(&info),
            r#"{"user":"root","name":"é\"\n","failover_timeout":0.0,"checkpoint":false}"#
        );
        let status = TaskStatus {
            state: 1,
            timestamp: Some(1_795_231_721.678_700_7),
            uuid: Some(vec![0, 255]),
            ..Default::default()
        };
        assert_eq!(
            to_string(&status),
            r#"{"task_id":{"value":""},"state":"TASK_RUNNING","timestamp":1795231721.6787007,"uuid":"AP8="}"#
        );
    }

    #[test]
    fn a_task_round_trips() {
        let text = r#"{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":18446744073709551615}]}}"#;
        let resource: Resource = from_slice(text.as_bytes()).unwrap();
        assert_eq!(to_string(&resource), text);
    }

    #[test]
    fn conversions_that_mesos_makes_are_made() {
        let value: Value =
            from_slice(br#"{"type":"SCALAR","scalar":{"value":"1.5"},"more":[1,{}]}"#).unwrap();
        assert_eq!(value.scalar, Some(value::Scalar { value: 1.5 }));
        let call: Call = from_slice(br#"{"type":"NOPE","framework_id":null}"#).unwrap();
        assert_eq!(call, Call::default());
    }

    #[test]
    fn refusals_read_as_in_mesos() {
        let refusal = |text: &str| from_slice::<Call>(text.as_bytes()).unwrap_err().to_string();
        let syntax = "Failed to parse body into JSON: syntax error at line 1 near: ";
        assert_eq!(refusal(""), syntax);
        assert_eq!(refusal("{"), syntax);
        assert_eq!(refusal("{oops"), format!("{syntax}oops"));
        assert_eq!(
            refusal("{\"type\":\"\\ud800\"}}}"),
            format!("{syntax}\"}}}}}}")
        );
        let convert = "Failed to convert JSON into Call protobuf: ";
        assert_eq!(refusal("[]"), format!("{convert}Expecting a JSON object"));
        assert_eq!(
            refusal(r#"{"subscribe":{"framework_info":{"user":"u"}}}"#),
            format!("{convert}Missing required fields: subscribe.framework_info.name")
        );
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(500_000);
        assert!(from_slice::<Call>(deep.as_bytes()).is_err());
        let deep = format!(
            "{}1{}",
            r#"{"framework_id":"#.repeat(5_000),
            "}".repeat(5_000)
        );
        assert!(from_slice::<Call>(deep.as_bytes()).is_err());
    }
}
