use std::time::Duration;

use meseta_proto::internal::{
    KillTaskMessage, PingSlaveMessage, PongSlaveMessage, SlaveRegisteredMessage,
    UnregisterSlaveMessage, UpdateSlaveMessage,
};
use meseta_proto::v1::scheduler::call;
use meseta_proto::v1::task_status::{Reason, Source};
use meseta_proto::v1::{AgentId, FrameworkInfo, Task, TaskId, TaskState};
use meseta_resources::Resources;

use super::world::*;
use crate::limits::TIMER_SLACK;
use crate::{Action, Input};

/// A world with an agent on which a framework runs the task `t`.
pub(super) struct Running {
    pub(super) world: World,
    pub(super) pid: meseta_proto::Upid,
    pub(super) agent: AgentId,
    pub(super) scheduler: Scheduler,
}

pub(super) fn running(info: FrameworkInfo) -> Running {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let scheduler = world.subscribe(info);
    let offers = world.offers(&scheduler);
    let task = command_task("t", &offers[0], "cpus:1;mem:64");
    world.accept(&scheduler, &offers[0], vec![task]);
    world.update(&pid, &agent, &scheduler, "t", TaskState::TaskRunning, None);
    world.acknowledge(&scheduler, &agent, "t", TaskState::TaskRunning);
    world.settle();
    world.events(&scheduler);
    world.actions();
    Running {
        world,
        pid,
        agent,
        scheduler,
    }
}

impl Running {
    pub(super) fn told(&self) -> (FrameworkInfo, Task) {
        let snapshot = self.world.master.snapshot();
        let framework = &snapshot.frameworks[&self.scheduler.id];
        let task = framework.tasks[&TaskId::from("t")].as_ref().clone();
        (framework.info.as_ref().clone(), task)
    }

    /// Lets the agent fall silent for so long that it is given up.
    pub(super) fn lose(&mut self) {
        self.world.pass(Duration::from_secs(91));
        assert!(
            !self
                .world
                .master
                .snapshot()
                .agents
                .contains_key(&self.agent)
        );
    }
}

#[test]
fn an_agent_is_admitted_on_disk_before_it_is_told() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    assert_eq!(agent.as_str(), "m-S0");
    let answer = &world.sent::<SlaveRegisteredMessage>(&pid)[0];
    let timeout = answer
        .connection
        .as_ref()
        .unwrap()
        .total_ping_timeout_seconds;
    assert_eq!(timeout, Some(75.0));
    let actions = world.actions();
    let Action::Persist { changes } = &actions[0] else {
        panic!("the registry first")
    };
    assert_eq!(changes[0].0, "agents/m-S0");
    assert!(matches!(&actions[1], Action::Link { address } if *address == pid.address));
    let Action::Send { from, .. } = &actions[2] else {
        panic!("a ping")
    };
    assert_eq!(from, "slave-observer(1)");
}

#[test]
fn an_agent_that_asks_again_gets_the_same_answer() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let first = world.agent(&pid);
    assert_eq!(world.agent(&pid), first);
    assert_eq!(world.master.snapshot().agents.len(), 1);
}

#[test]
fn agents_that_cannot_be_served_are_not_answered() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let mut old = registration();
    old.version = Some("0.28.0".into());
    world.message(&pid, "master", &old);
    let mut elsewhere = registration();
    elsewhere.slave.domain = Some(meseta_proto::v1::DomainInfo::default());
    world.message(&pid, "master", &elsewhere);
    assert!(world.actions().is_empty());
    assert_eq!(world.master.snapshot().metrics.dropped_messages, 2);
}

#[test]
fn an_agent_that_answers_its_pings_stays() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    for _ in 0..20 {
        world.pass(Duration::from_secs(14));
        world.message(&pid, "slave-observer(1)", &PongSlaveMessage {});
    }
    assert!(world.master.snapshot().agents.contains_key(&agent));
    let pings = world.sent::<PingSlaveMessage>(&pid);
    assert_eq!(pings.len(), 19);
    assert!(pings.iter().all(|ping| ping.connected));
}

#[test]
fn agents_that_came_at_about_the_same_time_are_pinged_in_one_step() {
    let mut world = World::new();
    world.pass(Duration::from_millis(1));
    let pids: Vec<_> = (0..100).map(|port| upid("slave(1)", 6000 + port)).collect();
    for pid in &pids {
        world.agent(pid);
        world.pass(Duration::from_micros(400));
    }
    // What there is to offer is nobody's, and allocated no more.
    world.settle();
    world.actions();
    assert_eq!(world.pass(Duration::from_secs(15)), 1);
    for pid in &pids {
        assert_eq!(world.sent::<PingSlaveMessage>(pid).len(), 1, "{pid}");
    }
}

#[test]
fn a_silent_agent_is_given_up_when_its_pings_are_over_and_the_slack_of_each() {
    let mut world = World::new();
    world.pass(Duration::from_millis(7));
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let snapshot = world.master.snapshot();
    let policy = &snapshot.config.policy;
    let rule = policy.total_ping_timeout();
    let slack = TIMER_SLACK * policy.max_agent_ping_timeouts;
    world.pass(rule);
    assert!(world.master.snapshot().agents.contains_key(&agent));
    world.pass(slack);
    assert!(!world.master.snapshot().agents.contains_key(&agent));
}

#[test]
fn answers_to_pings_are_all_that_can_wait() {
    let pong = "mesos.internal.PongSlaveMessage";
    assert!(crate::can_wait(pong, b""));
    assert!(
        !crate::can_wait(pong, b"?"),
        "many of them would take memory"
    );
    for other in ["PongSlaveMessage", "mesos.internal.StatusUpdateMessage", ""] {
        assert!(!crate::can_wait(other, b""), "{other}");
    }
}

#[test]
fn tasks_of_a_silent_agent_become_unreachable() {
    let mut run = running(framework_info());
    let Running {
        world,
        pid,
        agent,
        scheduler,
    } = &mut run;
    world.message(pid, "slave-observer(1)", &PongSlaveMessage {});
    world.pass(Duration::from_secs(89));
    assert!(world.master.snapshot().agents.contains_key(agent));
    world.pass(Duration::from_secs(2));
    let events = world.events(scheduler);
    let status = &events
        .iter()
        .find_map(|event| event.update.as_ref())
        .unwrap()
        .status;
    assert_eq!(status.state(), TaskState::TaskUnreachable);
    assert_eq!(
        (status.source(), status.reason()),
        (Source::Master, Reason::AgentRemoved)
    );
    assert_eq!(status.message(), "health check timed out");
    assert!(status.unreachable_time.is_some());
    assert_eq!(status.uuid, None);
    let failure = events.last().unwrap().failure.as_ref().unwrap();
    assert_eq!(
        (failure.agent_id.as_ref(), failure.executor_id.as_ref()),
        (Some(&*agent), None)
    );
    let snapshot = world.master.snapshot();
    assert!(snapshot.unreachable_agents.contains_key(agent));
    let framework = &snapshot.frameworks[&scheduler.id];
    assert_eq!(framework.unreachable_tasks.len(), 1);
    assert!(framework.used.is_empty());
    assert_eq!(snapshot.metrics.tasks_unreachable, 1);
    let persisted = world.actions().into_iter().any(|action| {
        matches!(action, Action::Persist { changes } if changes[0].0 == format!("unreachable/{agent}"))
    });
    assert!(persisted);
}

#[test]
fn frameworks_that_know_no_partitions_are_told_of_a_loss() {
    let mut run = running(FrameworkInfo {
        capabilities: capabilities(&[]),
        roles: vec![],
        ..framework_info()
    });
    run.lose();
    let statuses = run.world.statuses(&run.scheduler);
    assert_eq!(statuses[0].state(), TaskState::TaskLost);
    // And so it stays when the framework ends.
    run.world.call(&run.scheduler, call(call::Type::Teardown));
    let completed = run.world.master.snapshot().completed_frameworks;
    let task = &completed[0].completed_tasks[0];
    assert_eq!(task.state(), TaskState::TaskLost);
}

#[test]
fn of_two_tasks_with_one_id_the_one_that_is_known_stays() {
    let mut run = running(framework_info());
    let (info, task) = run.told();
    let pid = upid("slave(1)", 5052);
    let other = AgentId::from("other-S0");
    let twin = Task {
        agent_id: other.clone(),
        ..task
    };
    run.world.reregister(&pid, &other, vec![info], vec![twin]);
    let kill = &run.world.sent::<KillTaskMessage>(&pid)[0];
    assert_eq!(kill.task_id.as_str(), "t");
    let snapshot = run.world.master.snapshot();
    assert!(snapshot.agents[&other].tasks.is_empty());
    assert_eq!(snapshot.agents[&run.agent].tasks.len(), 1);
}

#[test]
fn an_address_has_one_agent() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let first = world.agent(&pid);
    let second = world.agent(&upid("slave(1)", 5052));
    world.reregister(&pid, &second, vec![], vec![]);
    let snapshot = world.master.snapshot();
    assert!(!snapshot.agents.contains_key(&first));
    assert_eq!(snapshot.agents[&second].pid, pid);
    world.step(Input::Exited {
        address: pid.address,
    });
    assert!(!world.master.snapshot().agents[&second].connected);
}

#[test]
fn tasks_that_do_not_checkpoint_are_lost_with_the_connection() {
    let mut run = running(FrameworkInfo {
        checkpoint: Some(false),
        ..framework_info()
    });
    let address = run.pid.address;
    run.world.step(Input::Exited { address });
    let statuses = run.world.statuses(&run.scheduler);
    assert_eq!(statuses[0].state(), TaskState::TaskLost);
    assert_eq!(statuses[0].reason(), Reason::AgentDisconnected);
    assert_eq!(statuses[0].message(), "Agent host disconnected");
}

#[test]
fn a_disconnected_agent_that_answers_pings_has_ten_minutes() {
    let mut run = running(framework_info());
    let address = run.pid.address;
    run.world.step(Input::Exited { address });
    for _ in 0..43 {
        run.world.pass(Duration::from_secs(14));
        run.world
            .message(&run.pid, "slave-observer(1)", &PongSlaveMessage {});
    }
    let statuses = run.world.statuses(&run.scheduler);
    assert_eq!(
        statuses[0].message(),
        "agent did not reregister within 10mins after disconnecting"
    );
}

#[test]
fn an_agent_that_unregisters_takes_its_tasks_with_it() {
    let mut run = running(framework_info());
    let message = UnregisterSlaveMessage {
        slave_id: run.agent.clone(),
    };
    run.world.message(&upid("slave(1)", 1), "master", &message);
    assert!(run.world.master.snapshot().agents.contains_key(&run.agent));
    run.world.message(&run.pid, "master", &message);
    let snapshot = run.world.master.snapshot();
    assert!(snapshot.agents.is_empty() && snapshot.unreachable_agents.is_empty());
    let statuses = run.world.statuses(&run.scheduler);
    assert_eq!(statuses[0].state(), TaskState::TaskLost);
    assert_eq!(
        statuses[0].message(),
        "Agent host removed: the agent unregistered"
    );
}

#[test]
fn agents_that_stay_away_are_forgotten_when_they_are_too_many_or_too_long_gone() {
    let mut world = World::before_recovery(|config| {
        config.policy.registry_max_agent_count = 2;
    });
    let longest = world.master.snapshot().config.policy.registry_max_agent_age;
    let now = world.now.wall;
    let before = |time: Duration| meseta_proto::v1::TimeInfo {
        nanoseconds: i64::try_from((now.checked_sub(time).unwrap()).as_nanos()).unwrap(),
    };
    let minute = Duration::from_mins(1);
    let mut facts = Vec::new();
    for (name, since) in [
        ("older-S0", before(3 * minute)),
        ("oldest-S0", before(longest.checked_sub(minute).unwrap())),
        ("new-S0", before(minute)),
    ] {
        let id = AgentId::from(name);
        facts.push(crate::registry::admit(&id, &agent_info(Some(id.clone()))));
        facts.push(crate::registry::mark_unreachable(&id, since));
    }
    let facts = facts.into_iter().map(|(key, value)| (key, value.unwrap()));
    world.recover(facts.collect());
    let unreachable = |world: &World| -> Vec<String> {
        let snapshot = world.master.snapshot();
        let ids = snapshot.unreachable_agents.keys();
        ids.map(ToString::to_string).collect()
    };
    world.actions();
    world.pass(Duration::from_secs(1));
    assert_eq!(unreachable(&world), ["new-S0", "older-S0"]);
    let forgotten = Action::Persist {
        changes: vec![
            ("unreachable/oldest-S0".to_owned(), None),
            ("agents/oldest-S0".to_owned(), None),
        ],
    };
    assert_eq!(world.actions(), [forgotten]);

    world.pass(longest);
    assert_eq!(unreachable(&world), ["new-S0"; 0]);
    world.actions();
    world.pass(longest);
    assert_eq!(world.actions(), []);
}

#[test]
fn what_an_agent_lends_is_offered_beside_what_it_has() {
    let mut world = World::new();
    let pid = upid("slave(1)", 5051);
    let agent = world.agent(&pid);
    let mut lent = Resources::parse("cpus:2", "*").unwrap().to_v1();
    lent[0].revocable = Some(meseta_proto::v1::resource::RevocableInfo::default());
    let message = UpdateSlaveMessage {
        slave_id: agent.clone(),
        update_oversubscribed_resources: Some(true),
        oversubscribed_resources: lent,
        resource_version_uuid: Some(meseta_proto::v1::Uuid { value: vec![5; 16] }),
        ..Default::default()
    };
    world.message(&pid, "master", &message);
    let record = &world.master.snapshot().agents[&agent];
    assert_eq!(record.total.cpus(), Some(6.0));
    assert_eq!(record.resource_version, Some(vec![5; 16]));
}
