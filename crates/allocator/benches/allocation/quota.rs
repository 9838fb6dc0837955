//! Every role has a quota.

use meseta_allocator::{Allocator, Options, Quota};
use meseta_resources::{Quantities, Resources};

use crate::clusters::{agent, framework};
use crate::{at, row, timed};
use meseta_resources::Error;

/// Roles with quotas of half an agent, and of two. All they are due is offered in one round; in the
/// rounds after that there is nothing to offer, whether or not anything has changed.
pub(crate) fn measure(small: usize, large: usize) -> Result<(), Error> {
    let agents = small / 5 + large * 5;
    let size = format!("{agents} agents, {} roles under quota", small + large);
    let mut allocator = Allocator::new(Options::default());
    let mut quotas = Vec::new();
    for (count, name, text) in [
        (small, "small", "cpus:1;mem:1024;disk:1024"),
        (large, "large", "cpus:4;mem:4096;disk:4096"),
    ] {
        let amounts = Resources::parse(text, "*")?.quantities();
        for i in 0..count {
            let role = format!("{name}{i}");
            allocator.add_framework(format!("{role}-framework").into(), framework(role.clone()));
            quotas.push((role, quota(&amounts)));
        }
    }
    let total = Resources::parse("cpus:2;mem:2048;disk:2048", "*")?;
    for i in 0..agents {
        allocator.add_agent(format!("agent{i}").into(), agent(total.clone()));
    }
    let ((), took) = timed(|| allocator.set_quotas(quotas));
    row(&format!("{size}: they are set"), took);
    let (offers, took) = timed(|| allocator.allocate(at(0)).len());
    row(&format!("{size}: {offers} offers"), took);
    let (_, took) = timed(|| allocator.allocate(at(1)));
    row(&format!("{size}: nothing has changed"), took);
    allocator.set_quotas([]);
    let (offers, took) = timed(|| allocator.allocate(at(2)).len());
    row(
        &format!("{size}: a look at all agents, {offers} offers"),
        took,
    );
    Ok(())
}

fn quota(amounts: &Quantities) -> Quota {
    Quota {
        guarantees: amounts.clone(),
        limits: amounts.iter().collect(),
    }
}
