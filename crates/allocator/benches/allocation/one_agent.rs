//! One agent with very many reservations.

use std::time::Duration;

use meseta_allocator::{AgentView, Allocator, Options};
use meseta_proto::v1;
use meseta_resources::Resources;

use crate::clusters::{agent, framework};
use crate::{row, timed};
use meseta_resources::Error;

/// Each role has four reservations with a label of its own, and a framework that uses them. One
/// of the frameworks unreserves and reserves again what it has.
pub(crate) fn measure(roles: usize, repetitions: u32) -> Result<(), Error> {
    let mut allocator = Allocator::new(Options::default());
    let mut view = agent(Resources::new());
    let mut messages = Vec::new();
    for i in 0..roles {
        let role = format!("role{i}");
        let reserved = reserved(&role)?;
        messages.extend(reserved.to_v1());
        let id = format!("framework{i}");
        view.used
            .insert(id.clone().into(), reserved.allocate(&role));
        allocator.add_framework(id.into(), framework(role));
    }
    let (total, took) = timed(|| Resources::from_v1(&messages));
    view = AgentView {
        total: total?,
        ..view
    };
    let size = format!("{} resources on one agent", view.total.len());
    row(&format!("{size}: reading them"), took);
    let ((), took) = timed(|| allocator.add_agent("agent".into(), view));
    row(&format!("{size}: adding it"), took);

    let (framework, agent) = ("framework0".into(), "agent".into());
    let reserved = reserved("role0")?.allocate("role0");
    let unreserved = reserved.to_unreserved();
    let (mut unreserving, mut reserving) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..repetitions {
        let convert = |allocator: &mut Allocator, from, to| {
            timed(|| allocator.convert(&framework, &agent, from, to)).1
        };
        unreserving += convert(&mut allocator, &reserved, &unreserved);
        reserving += convert(&mut allocator, &unreserved, &reserved);
    }
    row(
        &format!("{size}: {repetitions} times UNRESERVE"),
        unreserving,
    );
    row(&format!("{size}: {repetitions} times RESERVE"), reserving);
    Ok(())
}

fn reserved(role: &str) -> Result<Resources, Error> {
    let mut messages = Resources::parse("cpus:100;mem:100;disk:100;port:[2-2]", "*")?.to_v1();
    for message in &mut messages {
        message.reservations = vec![v1::resource::ReservationInfo {
            r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
            role: Some(role.to_owned()),
            labels: Some(v1::Labels {
                labels: vec![v1::Label {
                    key: "Label".to_owned(),
                    value: Some(format!("{role:>36}")),
                }],
            }),
            ..Default::default()
        }];
    }
    Resources::from_v1(&messages)
}
