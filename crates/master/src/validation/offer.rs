use std::collections::BTreeSet;

use meseta_proto::v1::{FrameworkId, Offer, OfferId};

use super::{Checked, Invalid};

/// Checks the offers that one ACCEPT or DECLINE names: they must be outstanding, belong to the
/// framework, and agree in agent and role. `outstanding` finds an offer by its id.
pub fn offers<'a>(
    ids: &[OfferId],
    framework: &FrameworkId,
    outstanding: impl Fn(&OfferId) -> Option<&'a Offer>,
) -> Checked {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(Invalid(format!("Duplicate offer {id} in offer list")));
        }
    }
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        match outstanding(id) {
            Some(offer) => found.push(offer),
            None => return Err(Invalid(format!("Offer {id} is no longer valid"))),
        }
    }
    for offer in &found {
        if offer.framework_id != *framework {
            return Err(Invalid(format!(
                "Offer {} has invalid framework {} while framework {framework} is expected",
                offer.id, offer.framework_id,
            )));
        }
    }
    let Some((first, rest)) = found.split_first() else {
        return Ok(());
    };
    for offer in rest {
        let (role, expected) = (allocation_role(offer), allocation_role(first));
        if role != expected {
            // The quotes do not close in Mesos's sentence either.
            return Err(Invalid(format!(
                "Aggregated offers must be allocated to the same role. Offer {} uses role '{role} \
                 but another is using role '{expected}",
                offer.id,
            )));
        }
    }
    for offer in rest {
        if offer.agent_id != first.agent_id {
            return Err(Invalid(format!(
                "Aggregated offers must belong to one single agent. Offer {} uses agent {} and \
                 agent {}",
                offer.id, offer.agent_id, first.agent_id,
            )));
        }
    }
    Ok(())
}

fn allocation_role(offer: &Offer) -> &str {
    offer
        .allocation_info
        .as_ref()
        .map_or("*", |allocation| allocation.role())
}

#[cfg(test)]
mod tests {
    use meseta_proto::v1::resource::AllocationInfo;

    use super::*;

    fn offer(id: &str, framework: &str, agent: &str, role: &str) -> Offer {
        Offer {
            id: id.into(),
            framework_id: framework.into(),
            agent_id: agent.into(),
            allocation_info: Some(AllocationInfo {
                role: Some(role.into()),
            }),
            ..Default::default()
        }
    }

    fn refusal(ids: &[&str]) -> Option<String> {
        let outstanding = [
            offer("O1", "F", "A", "r"),
            offer("O2", "F", "A", "r"),
            offer("O3", "F", "B", "r"),
            offer("O4", "F", "A", "s"),
            offer("O5", "G", "A", "r"),
        ];
        let ids: Vec<OfferId> = ids.iter().map(|id| OfferId::from(*id)).collect();
        let found = offers(&ids, &"F".into(), |id| {
            outstanding.iter().find(|o| o.id == *id)
        });
        found.err().map(|e| e.to_string())
    }

    #[test]
    fn offers_of_one_agent_and_role_go_together() {
        assert_eq!(refusal(&["O1", "O2"]), None);
        assert_eq!(refusal(&[]), None);
    }

    #[test]
    fn offers_that_do_not_go_together_are_refused() {
        for (ids, sentence) in [
            (&["O1", "O1"][..], "Duplicate offer O1 in offer list"),
            (&["O1", "O9"], "Offer O9 is no longer valid"),
            (
                &["O5"],
                "Offer O5 has invalid framework G while framework F is expected",
            ),
            (
                &["O1", "O4"],
                "Aggregated offers must be allocated to the same role. Offer O4 uses role 's but \
                 another is using role 'r",
            ),
            (
                &["O1", "O3"],
                "Aggregated offers must belong to one single agent. Offer O3 uses agent B and \
                 agent A",
            ),
        ] {
            assert_eq!(refusal(ids).as_deref(), Some(sentence));
        }
    }
}
