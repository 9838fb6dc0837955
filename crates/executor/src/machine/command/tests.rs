use meseta_proto::v1::{CommandInfo, DurationInfo, KillPolicy, TaskState};

use super::super::Recovery;
use super::*;

fn at(seconds: u64) -> Now {
    let monotonic = Duration::from_secs(seconds);
    Now {
        monotonic,
        wall: Duration::from_secs(1_700_000_000) + monotonic,
    }
}

pub(in crate::machine) struct Run {
    pub(in crate::machine) machine: Command,
}

impl Run {
    pub(in crate::machine) fn new(recovery: Option<Recovery>) -> Self {
        let identity = Identity {
            framework_id: "f".into(),
            executor_id: "t".into(),
            shutdown_grace: Duration::from_secs(5),
            recovery,
        };
        let mut run = Self {
            machine: Command::new(identity, Entropy::new(1)),
        };
        run.step(0, Input::Start);
        run
    }

    pub(in crate::machine) fn step(&mut self, seconds: u64, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.machine.step(at(seconds), input, &mut actions);
        actions
    }

    pub(in crate::machine) fn event(&mut self, seconds: u64, event: Event) -> Vec<Action> {
        self.step(seconds, Input::Event(Box::new(event)))
    }

    pub(in crate::machine) fn subscribed(&mut self, seconds: u64) -> Vec<Action> {
        self.event(
            seconds,
            Event {
                r#type: Some(event::Type::Subscribed.into()),
                subscribed: Some(event::Subscribed::default()),
                ..Event::default()
            },
        )
    }

    pub(in crate::machine) fn launch(&mut self, seconds: u64) -> Vec<Action> {
        self.launch_task(seconds, task())
    }

    pub(in crate::machine) fn launch_task(&mut self, seconds: u64, task: TaskInfo) -> Vec<Action> {
        self.event(
            seconds,
            Event {
                r#type: Some(event::Type::Launch.into()),
                launch: Some(event::Launch { task }),
                ..Event::default()
            },
        )
    }

    pub(in crate::machine) fn kill(&mut self, seconds: u64, grace: i64) -> Vec<Action> {
        let grace_period = Some(DurationInfo {
            nanoseconds: grace * 1_000_000_000,
        });
        self.event(
            seconds,
            Event {
                r#type: Some(event::Type::Kill.into()),
                kill: Some(event::Kill {
                    task_id: "t".into(),
                    kill_policy: Some(KillPolicy { grace_period }),
                }),
                ..Event::default()
            },
        )
    }
}

pub(in crate::machine) fn task() -> TaskInfo {
    TaskInfo {
        task_id: "t".into(),
        command: Some(CommandInfo {
            value: Some("x".into()),
            ..CommandInfo::default()
        }),
        ..TaskInfo::default()
    }
}

pub(in crate::machine) fn states(actions: &[Action]) -> Vec<TaskState> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send(call) => Some(call.update.as_ref()?.status.state()),
            _ => None,
        })
        .collect()
}

fn recovery() -> Recovery {
    Recovery {
        timeout: Duration::from_mins(15),
        backoff_max: Duration::from_secs(2),
    }
}

fn lost() -> Input {
    Input::Disconnected {
        reason: "gone".into(),
    }
}

#[test]
fn an_update_made_while_subscribing_is_sent_once_subscribed() {
    let mut run = Run::new(Some(recovery()));
    run.subscribed(0);
    assert_eq!(
        states(&run.launch(1)),
        [TaskState::TaskStarting, TaskState::TaskRunning]
    );
    run.step(2, lost());
    let Some(Action::Subscribe(call)) = run.step(4, Input::Wake).pop() else {
        panic!("no subscription");
    };
    assert_eq!(call.subscribe.unwrap().unacknowledged_updates.len(), 2);
    run.step(5, Input::Ended(Ending::Exited(0)));
    assert_eq!(states(&run.step(5, Input::Swept)), []);
    assert_eq!(states(&run.subscribed(6)), [TaskState::TaskFinished]);
}

#[test]
fn a_repeated_kill_can_only_shorten_the_grace() {
    let mut run = Run::new(None);
    run.subscribed(0);
    run.launch(0);
    assert_eq!(run.kill(10, 20), [Action::Kill(Signal::Term)]);
    assert_eq!(run.machine.next_wake(), Some(Duration::from_secs(30)));
    assert_eq!(run.kill(12, 30), []);
    assert_eq!(run.machine.next_wake(), Some(Duration::from_secs(30)));
    assert_eq!(run.kill(13, 5), []);
    assert_eq!(run.machine.next_wake(), Some(Duration::from_secs(15)));
    assert_eq!(run.step(15, Input::Wake), [Action::Kill(Signal::Kill)]);
    assert_eq!(
        run.kill(16, 1),
        [],
        "the signal that cannot be ignored is on its way"
    );
}

#[test]
fn a_shutdown_leaves_time_to_tell_the_end() {
    let mut run = Run::new(None);
    run.subscribed(0);
    run.launch(0);
    assert_eq!(run.step(10, Input::Terminate), [Action::Kill(Signal::Term)]);
    assert_eq!(run.machine.next_wake(), Some(Duration::from_secs(13)));
}

#[test]
fn the_recovery_timeout_counts_from_the_first_loss_and_not_from_the_last_attempt() {
    let mut run = Run::new(Some(recovery()));
    run.subscribed(0);
    run.launch(0);
    run.step(10, lost());
    for second in [100, 500, 900] {
        let actions = run.step(second, Input::Wake);
        assert!(matches!(actions[..], [Action::Subscribe(_)]), "{actions:?}");
        run.step(second, lost());
    }
    let actions = run.step(910, Input::Wake);
    assert!(actions.contains(&Action::Kill(Signal::Term)), "{actions:?}");
}

#[test]
fn an_agent_that_comes_back_is_waited_for_anew_when_it_goes_again() {
    let mut run = Run::new(Some(recovery()));
    run.subscribed(0);
    run.launch(0);
    run.step(10, lost());
    run.step(800, Input::Wake);
    run.subscribed(800);
    run.step(900, lost());
    let actions = run.step(920, Input::Wake);
    assert!(matches!(actions[..], [Action::Subscribe(_)]), "{actions:?}");
}

#[test]
fn the_end_is_told_even_if_something_cannot_be_killed() {
    let mut run = Run::new(None);
    run.subscribed(0);
    run.launch(0);
    assert_eq!(
        run.step(1, Input::Ended(Ending::Exited(0))),
        [Action::Sweep]
    );
    assert_eq!(run.step(2, Input::Wake), [Action::Sweep]);
    let actions = run.step(6, Input::Wake);
    assert_eq!(states(&actions), [TaskState::TaskFinished]);
    assert_eq!(
        states(&run.step(7, Input::Swept)),
        [],
        "an end is told once"
    );
}

#[test]
fn an_agent_that_never_acknowledges_the_end_is_not_waited_for_forever() {
    let mut run = Run::new(None);
    run.subscribed(0);
    run.launch(0);
    run.step(1, Input::Ended(Ending::Exited(0)));
    run.step(1, Input::Swept);
    assert_eq!(run.step(60, Input::Wake), []);
    let actions = run.step(61, Input::Wake);
    assert_eq!(actions.last(), Some(&Action::Exit(Outcome::Failure)));
}

#[test]
fn a_kill_before_the_launch_ends_the_executor() {
    let mut run = Run::new(None);
    run.subscribed(0);
    assert_eq!(run.kill(1, 1).last(), Some(&Action::Exit(Outcome::Failure)));
}

#[test]
fn a_subscription_without_an_answer_is_a_lost_one() {
    let mut run = Run::new(None);
    assert_eq!(run.step(59, Input::Wake), []);
    let actions = run.step(60, Input::Wake);
    assert_eq!(actions.last(), Some(&Action::Exit(Outcome::Failure)));
}

#[test]
fn a_task_without_a_command_fails() {
    let mut run = Run::new(None);
    run.subscribed(0);
    let actions = run.event(
        1,
        Event {
            r#type: Some(event::Type::Launch.into()),
            launch: Some(event::Launch {
                task: TaskInfo {
                    task_id: "t".into(),
                    ..TaskInfo::default()
                },
            }),
            ..Event::default()
        },
    );
    assert_eq!(
        states(&actions),
        [TaskState::TaskStarting, TaskState::TaskFailed]
    );
}
