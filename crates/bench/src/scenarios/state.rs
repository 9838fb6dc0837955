//! Endpoints are polled while a scheduler works.

use std::time::Duration;

use meseta_proto::v1::master::call::Type;

use super::{
    Context, Outcome, agents, carry_out, earlier_frameworks, expect, finished, role, tell, time,
};
use crate::agents::{Pattern, Standing};
use crate::error::Error;
use crate::frameworks::{Encoding, Policy, Work};
use crate::observers::{Observer, Observers};
use crate::report::Figures;
use crate::stage::Stage;

/// How large it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// Agents with the tasks that make the state large.
    #[arg(long, default_value_t = 500)]
    agents: usize,
    /// Running tasks on each.
    #[arg(long, default_value_t = 10)]
    tasks: usize,
    /// Completed tasks that each remembers.
    #[arg(long, default_value_t = 0)]
    completed: usize,
    /// Clients that get each of /state, /tasks, /slaves, /metrics/snapshot and the calls GET_STATE
    /// (protobuf), GET_TASKS and GET_AGENTS (JSON).
    #[arg(long, default_value_t = 1)]
    pollers: usize,
    /// How long each rests after an answer.
    #[arg(long, default_value = "100ms", value_parser = time)]
    rest: Duration,
    /// Tasks that a scheduler runs meanwhile, a few at a time.
    #[arg(long, default_value_t = 2000)]
    launches: usize,
    /// The least time that is polled.
    #[arg(long, default_value = "5s", value_parser = time)]
    time: Duration,
    /// Tasks that it runs before, unmeasured.
    #[arg(long, default_value_t = 50)]
    warm_up: usize,
}

/// Tasks that the scheduler has under way.
const AT_ONCE: usize = 10;

pub(super) async fn run(sizes: &Sizes, context: &Context) -> Result<Outcome, Error> {
    let target = &context.target;
    let mut kind = agents(
        sizes.tasks.div_ceil(3) + 20,
        Pattern::finishing(Duration::ZERO),
    )?;
    let frameworks = earlier_frameworks(10);
    kind.standing = Standing {
        frameworks: frameworks.clone(),
        tasks: sizes.tasks,
        completed: sizes.completed,
    };
    let mut stage = Stage::open(context.settings.clone(), kind)?;
    stage.register(sizes.agents).await?;
    for info in frameworks {
        stage.subscribe(info, Policy::Decline { seconds: 3600.0 });
    }
    stage.all_subscribed().await?;
    let rest = Policy::Decline { seconds: 0.0 };
    let worker = stage.join(1, &rest, |_| role(9999)).await?;
    work(&mut stage, worker, sizes.warm_up, Duration::ZERO).await?;
    stage.start_anew();

    let alone = stage.now();
    work(&mut stage, worker, sizes.launches, Duration::ZERO).await?;
    let alone = stage.now().saturating_sub(alone);
    expect(
        "tasks that finished",
        finished(&stage),
        sizes.launches as u64,
    )?;
    let undisturbed = std::mem::take(&mut stage.book.running);
    stage.start_anew();

    let observers = Observers::start(target.address, observers(sizes))?;
    let meter = target.meter()?;
    let beside = stage.now();
    work(&mut stage, worker, sizes.launches, sizes.time).await?;
    let beside = stage.now().saturating_sub(beside);
    let cost = target.cost_since(&meter)?;
    let seen = observers.finish();
    expect(
        "tasks that finished",
        finished(&stage),
        sizes.launches as u64,
    )?;

    let mut figures = Figures::default();
    figures
        .seconds("the tasks alone", alone)
        .seconds("the tasks while endpoints are polled, at least", beside)
        .times("ACCEPT to TASK_RUNNING, alone", &undisturbed)
        .times("ACCEPT to TASK_RUNNING, polled", &stage.book.running);
    let notes = tell(&mut figures, seen);
    let mut outcome = Outcome::new(
        &[
            ("agents", sizes.agents),
            ("tasks on each", sizes.tasks),
            ("completed on each", sizes.completed),
            ("pollers of each endpoint", sizes.pollers),
        ],
        figures,
        cost,
        &stage,
    );
    outcome.note(notes);
    stage.leave().await?;
    Ok(outcome)
}

async fn work(
    stage: &mut Stage,
    worker: usize,
    tasks: usize,
    at_least: Duration,
) -> Result<(), Error> {
    let began = stage.now();
    let work = Work {
        at_once: AT_ONCE,
        ..Work::of(tasks)
    };
    carry_out(stage, worker, work).await?;
    let left = at_least.saturating_sub(stage.now().saturating_sub(began));
    stage.during(left).await;
    Ok(())
}

fn observers(sizes: &Sizes) -> Vec<Observer> {
    let rest = sizes.rest;
    let poll = |path| Observer::Poll { path, rest };
    let call = |r#type, encoding| Observer::Call {
        r#type,
        encoding,
        rest,
    };
    let kinds = [
        poll("/master/state"),
        poll("/master/tasks"),
        poll("/master/slaves"),
        poll("/metrics/snapshot"),
        call(Type::GetState, Encoding::Protobuf),
        call(Type::GetTasks, Encoding::Json),
        call(Type::GetAgents, Encoding::Json),
    ];
    let mut observers = kinds.repeat(sizes.pollers);
    observers.push(Observer::Poll {
        path: "/master/health",
        rest: Duration::from_millis(10),
    });
    observers
}
