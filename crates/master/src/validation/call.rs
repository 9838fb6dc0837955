use meseta_machine::is_uuid;
use meseta_proto::v1::scheduler::Call;
use meseta_proto::v1::scheduler::call::Type;

use super::{Checked, Invalid};

/// Checks that a scheduler's call has the parts that its type needs.
///
/// `principal` is the authenticated one, if the connection has any.
pub fn scheduler_call(call: &Call, principal: Option<&str>) -> Checked {
    if call.r#type.is_none() {
        return missing("type");
    }
    let kind = call.r#type();
    if kind == Type::Subscribe {
        return subscribe(call, principal);
    }
    if call.framework_id.is_none() {
        return missing("framework_id");
    }
    match kind {
        Type::Accept if call.accept.is_none() => missing("accept"),
        Type::Decline if call.decline.is_none() => missing("decline"),
        Type::AcceptInverseOffers if call.accept_inverse_offers.is_none() => {
            missing("accept_inverse_offers")
        }
        Type::DeclineInverseOffers if call.decline_inverse_offers.is_none() => {
            missing("decline_inverse_offers")
        }
        Type::Kill if call.kill.is_none() => missing("kill"),
        Type::Shutdown if call.shutdown.is_none() => missing("shutdown"),
        Type::Reconcile if call.reconcile.is_none() => missing("reconcile"),
        Type::ReconcileOperations if call.reconcile_operations.is_none() => {
            missing("reconcile_operations")
        }
        Type::Message if call.message.is_none() => missing("message"),
        Type::Request if call.request.is_none() => missing("request"),
        Type::Acknowledge => match &call.acknowledge {
            None => missing("acknowledge"),
            Some(acknowledge) => uuid(&acknowledge.uuid),
        },
        Type::AcknowledgeOperationStatus => match &call.acknowledge_operation_status {
            None => missing("acknowledge_operation_status"),
            Some(acknowledge) => {
                uuid(&acknowledge.uuid)?;
                match acknowledge.agent_id {
                    None => missing("agent_id"),
                    Some(_) => Ok(()),
                }
            }
        },
        Type::UpdateFramework => match &call.update_framework {
            None => missing("update_framework"),
            Some(update) if update.framework_info.id != call.framework_id => Err(Invalid::new(
                "'framework_id' differs from 'update_framework.framework_info.id'",
            )),
            Some(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

fn subscribe(call: &Call, principal: Option<&str>) -> Checked {
    let Some(subscribe) = &call.subscribe else {
        return missing("subscribe");
    };
    let info = &subscribe.framework_info;
    // An absent id and an empty one are the same to Mesos.
    let text = |id: &Option<_>| id.clone().unwrap_or_default();
    if text(&info.id) != text(&call.framework_id) {
        return Err(Invalid::new(
            "'framework_id' differs from 'subscribe.framework_info.id'",
        ));
    }
    if let (Some(authenticated), Some(claimed)) = (principal, &info.principal)
        && authenticated != claimed
    {
        return Err(Invalid(format!(
            "Authenticated principal '{authenticated}' does not match principal '{claimed}' set in \
             `FrameworkInfo`"
        )));
    }
    Ok(())
}

fn missing(field: &str) -> Checked {
    Err(Invalid(format!("Expecting '{field}' to be present")))
}

fn uuid(bytes: &[u8]) -> Checked {
    if is_uuid(bytes) {
        Ok(())
    } else {
        Err(Invalid::new("Not a valid UUID"))
    }
}

#[cfg(test)]
mod tests {
    use meseta_proto::json;

    use super::*;

    fn refusal(text: &str, principal: Option<&str>) -> Option<String> {
        let call: Call = json::from_slice(text.as_bytes()).unwrap();
        scheduler_call(&call, principal).err().map(|e| e.0)
    }

    #[test]
    fn a_call_must_have_the_part_of_its_type() {
        for (name, part) in [
            ("ACCEPT", "accept"),
            ("DECLINE", "decline"),
            ("ACCEPT_INVERSE_OFFERS", "accept_inverse_offers"),
            ("DECLINE_INVERSE_OFFERS", "decline_inverse_offers"),
            ("KILL", "kill"),
            ("SHUTDOWN", "shutdown"),
            ("ACKNOWLEDGE", "acknowledge"),
            (
                "ACKNOWLEDGE_OPERATION_STATUS",
                "acknowledge_operation_status",
            ),
            ("RECONCILE", "reconcile"),
            ("RECONCILE_OPERATIONS", "reconcile_operations"),
            ("MESSAGE", "message"),
            ("REQUEST", "request"),
            ("UPDATE_FRAMEWORK", "update_framework"),
        ] {
            assert_eq!(
                refusal(&format!(r#"{{"type":"{name}"}}"#), None).unwrap(),
                "Expecting 'framework_id' to be present"
            );
            assert_eq!(
                refusal(
                    &format!(r#"{{"type":"{name}","framework_id":{{"value":"f"}}}}"#),
                    None
                )
                .unwrap(),
                format!("Expecting '{part}' to be present")
            );
        }
        for name in ["TEARDOWN", "REVIVE", "SUPPRESS", "UNKNOWN"] {
            let text = format!(r#"{{"type":"{name}","framework_id":{{"value":"f"}}}}"#);
            assert_eq!(refusal(&text, None), None);
        }
    }

    #[test]
    fn what_is_acknowledged_is_named_by_a_uuid() {
        // Sixteen zeros have no version.
        for (uuid, sentence) in [
            ("AAAAAAAAQAAAAAAAAAAAAA==", None),
            ("AAAAAAAAAAAAAAAAAAAAAA==", Some("Not a valid UUID")),
            ("AAAAAAAAQAAAAAAAAAAA", Some("Not a valid UUID")),
            ("", Some("Not a valid UUID")),
        ] {
            let id = r#""framework_id":{"value":"f"},"#;
            let agent = format!(r#""uuid":"{uuid}","agent_id":{{"value":"a"}}"#);
            for text in [
                format!(
                    r#"{{"type":"ACKNOWLEDGE",{id}"acknowledge":
                    {{"task_id":{{"value":"t"}},{agent}}}}}"#
                ),
                format!(
                    r#"{{"type":"ACKNOWLEDGE_OPERATION_STATUS",{id}
                    "acknowledge_operation_status":
                    {{"operation_id":{{"value":"o"}},{agent}}}}}"#
                ),
            ] {
                assert_eq!(refusal(&text, None).as_deref(), sentence, "{text}");
            }
        }
    }

    #[test]
    fn a_subscriber_says_one_id_and_its_own_principal() {
        let call = |id: &str| {
            format!(
                r#"{{"type":"SUBSCRIBE"{id},"subscribe":{{"framework_info":
                {{"user":"u","name":"n","id":{{"value":"a"}},"principal":"p"}}}}}}"#
            )
        };
        let same = r#","framework_id":{"value":"a"}"#;
        assert_eq!(refusal(&call(same), None), None);
        assert_eq!(refusal(&call(same), Some("p")), None);
        assert_eq!(
            refusal(&call(""), None).unwrap(),
            "'framework_id' differs from 'subscribe.framework_info.id'"
        );
        assert_eq!(
            refusal(&call(same), Some("q")).unwrap(),
            "Authenticated principal 'q' does not match principal 'p' set in `FrameworkInfo`"
        );
    }
}
