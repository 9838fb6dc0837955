//! How long an allocation takes in a large cluster.
#![allow(clippy::print_stdout, reason = "the figures are what this is for")]

use std::time::{Duration, Instant};

use meseta_allocator::{AgentView, Allocator, FrameworkView, Options};
use meseta_framework::v1::agent_info::capability::Type::{HierarchicalRole, MultiRole};
use meseta_machine::Now;
use meseta_resources::Resources;

use crate::error::Error;

/// How large the cluster is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Size {
    /// Agents, each partly in use.
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Frameworks, each in a role of its own.
    #[arg(long, default_value_t = 1_000)]
    frameworks: usize,
    /// Rounds in which every offer is declined for ever.
    #[arg(long, default_value_t = 50)]
    rounds: usize,
}

/// Longer than anything here takes.
const FOR_EVER: Duration = Duration::from_hours(24);

/// Agents are offered and declined, round after round; then rounds in which nothing, or one agent,
/// has changed.
pub(crate) fn measure(size: &Size) -> Result<(), Error> {
    let mut allocator = cluster(size)?;
    let start = Instant::now();
    let now = || Now {
        monotonic: start.elapsed(),
        wall: start.elapsed(),
    };
    println!("{} agents, {} frameworks\n", size.agents, size.frameworks);
    println!("| allocation | time |\n|---|---|");
    let mut longest = Duration::ZERO;
    let mut all = Duration::ZERO;
    for _ in 0..size.rounds {
        let began = Instant::now();
        let proposals = allocator.allocate(now());
        let took = began.elapsed();
        longest = longest.max(took);
        all += took;
        for p in proposals {
            allocator.decline(&p.framework, &p.agent, &p.resources, FOR_EVER, now());
        }
    }
    let rounds = u32::try_from(size.rounds).unwrap_or(u32::MAX).max(1);
    println!(
        "| all agents offered and declined, mean of {rounds} | {:.1?} |",
        all / rounds
    );
    println!("| the longest of them | {longest:.1?} |");

    allocator.allocate(now());
    let began = Instant::now();
    allocator.allocate(now());
    println!("| nothing has changed | {:.1?} |", began.elapsed());

    let one = Resources::parse("cpus:1;mem:64", "*")?.allocate("role0");
    allocator.recover(&"framework0".into(), &"agent0".into(), &one);
    let began = Instant::now();
    allocator.allocate(now());
    println!("| one agent has more to give | {:.1?} |", began.elapsed());
    Ok(())
}

fn cluster(size: &Size) -> Result<Allocator, Error> {
    let mut allocator = Allocator::new(Options::default());
    for i in 0..size.frameworks {
        let view = FrameworkView {
            roles: [format!("role{i}")].into(),
            ..FrameworkView::default()
        };
        allocator.add_framework(format!("framework{i}").into(), view);
    }
    let total = Resources::parse("cpus:24;mem:4096;disk:4096;ports:[31000-32000]", "*")?;
    let used = Resources::parse("cpus:1;mem:64;ports:[31000-31001]", "*")?;
    for i in 0..size.agents {
        let holder = i % size.frameworks.max(1);
        let used = used.allocate(&format!("role{holder}"));
        let view = AgentView {
            capabilities: vec![MultiRole, HierarchicalRole],
            total: total.clone(),
            used: [(format!("framework{holder}").into(), used)].into(),
            ..AgentView::default()
        };
        allocator.add_agent(format!("agent{i}").into(), view);
    }
    Ok(allocator)
}
