//! Making clusters, which is measured too.

use meseta_allocator::{AgentView, Allocator, FrameworkView, Options};
use meseta_proto::v1;
use meseta_proto::v1::agent_info::capability::Type::{HierarchicalRole, MultiRole};
use meseta_proto::v1::framework_info::capability::Type::RevocableResources;
use meseta_resources::Resources;

use crate::{at, row, timed};
use meseta_resources::Error;

/// Agents are added, then all of them get revocable resources.
pub(crate) fn measure(agents: usize, frameworks: usize) -> Result<(), Error> {
    let mut allocator = Allocator::new(Options::default());
    add_frameworks(&mut allocator, frameworks);
    let (added, took) = timed(|| add_agents(&mut allocator, agents, frameworks));
    let total = added?;
    row(&format!("{agents} agents are added"), took);
    let (_, took) = timed(|| allocator.allocate(at(0)));
    row("  and offered", took);

    let oversubscribed = v1::Resource {
        revocable: Some(v1::resource::RevocableInfo {}),
        ..Resources::parse("cpus:10", "*")?.to_v1().remove(0)
    };
    let total = &total + &Resources::from_v1(&[oversubscribed])?;
    let ((), took) = timed(|| {
        for i in 0..agents {
            allocator.update_agent(&format!("agent{i}").into(), total.clone());
        }
    });
    row(&format!("{agents} agents are updated"), took);
    let (_, took) = timed(|| allocator.allocate(at(0)));
    row("  and offered", took);
    Ok(())
}

pub(crate) fn framework(role: String) -> FrameworkView {
    FrameworkView {
        roles: [role].into(),
        capabilities: vec![RevocableResources],
        ..FrameworkView::default()
    }
}

pub(crate) fn agent(total: Resources) -> AgentView {
    AgentView {
        capabilities: vec![MultiRole, HierarchicalRole],
        total,
        ..AgentView::default()
    }
}

/// Each in a role of its own.
pub(crate) fn add_frameworks(allocator: &mut Allocator, count: usize) {
    for i in 0..count {
        allocator.add_framework(
            format!("framework{i}").into(),
            framework(format!("role{i}")),
        );
    }
}

/// Each partly in use; what each of them has.
pub(crate) fn add_agents(
    allocator: &mut Allocator,
    count: usize,
    frameworks: usize,
) -> Result<Resources, Error> {
    let total = Resources::parse("cpus:24;mem:4096;disk:4096;ports:[31000-32000]", "*")?;
    let ports = "ports:[31126-31510,31512-31623,31810-31852,31854-31964]";
    let used = Resources::parse(&format!("cpus:10;mem:1024;disk:1024;{ports}"), "*")?;
    for i in 0..count {
        let holder = i % frameworks.max(1);
        let used = used.allocate(&format!("role{holder}"));
        let view = AgentView {
            used: [(format!("framework{holder}").into(), used)].into(),
            ..agent(total.clone())
        };
        allocator.add_agent(format!("agent{i}").into(), view);
    }
    Ok(total)
}
