use meseta_framework::resource::parse;
use meseta_framework::v1::task_status::Reason;

use super::*;

fn book(commands: &[&str]) -> Book {
    let mut book = Book::default();
    for command in commands {
        book.schedule((*command).to_owned()).unwrap();
    }
    book
}

fn offer(resources: &str) -> Offer {
    Offer {
        agent_id: "agent".into(),
        resources: parse(resources).unwrap(),
        ..Offer::default()
    }
}

fn ids(launches: &[(Task, TaskInfo)]) -> Vec<&str> {
    launches
        .iter()
        .map(|(_, info)| info.task_id.as_str())
        .collect()
}

fn status(task_id: &str, state: TaskState) -> TaskStatus {
    TaskStatus {
        task_id: task_id.into(),
        state: state.into(),
        ..TaskStatus::default()
    }
}

fn answer(task_id: &str, state: TaskState) -> TaskStatus {
    TaskStatus {
        reason: Some(Reason::Reconciliation.into()),
        ..status(task_id, state)
    }
}

/// What is told of the only task of a book.
fn state(book: &Book) -> TaskState {
    book.tasks().next().unwrap().state
}

#[test]
fn as_many_tasks_as_fit_are_launched_the_oldest_first_and_the_rest_waits() {
    let mut book = book(&["a", "b", "c"]);
    assert_eq!(
        ids(&book.launch(&offer("cpus:0.2;mem:1000"))),
        ["1.1", "2.1"]
    );
    assert!(book.is_any_waiting());
    assert_eq!(ids(&book.launch(&offer("cpus:4;mem:31"))), [""; 0]);
    assert_eq!(ids(&book.launch(&offer("cpus:4;mem:32"))), ["3.1"]);
    assert!(!book.is_any_waiting());
    assert_eq!(ids(&book.launch(&offer("cpus:4;mem:4096"))), [""; 0]);
}

#[test]
fn a_command_that_fails_has_ended_and_is_not_launched_again() {
    let mut book = book(&["false"]);
    book.launch(&offer("cpus:1;mem:1000"));
    for state in [
        TaskState::TaskStarting,
        TaskState::TaskRunning,
        TaskState::TaskFailed,
    ] {
        let changed = book.on_status(&status("1.1", state)).changed.unwrap();
        assert_eq!(
            (changed.state, changed.has_ended()),
            (state, state == TaskState::TaskFailed)
        );
        // What is repeated, for an acknowledgement was lost, is not written down again.
        assert_eq!(
            book.on_status(&status("1.1", state)),
            Consequence::default()
        );
    }
    assert!(!book.is_any_waiting());
    assert_eq!(book.unconfirmed(), []);
}

#[test]
fn a_launch_that_came_to_nothing_is_followed_by_another_under_another_id() {
    let nothing = [
        answer("1.1", TaskState::TaskGone),
        status("1.1", TaskState::TaskDropped),
    ];
    for nothing in nothing {
        let mut book = book(&["a"]);
        book.launch(&offer("cpus:1;mem:1000"));
        let changed = book.on_status(&nothing).changed.unwrap();
        assert!(changed.is_waiting(), "{changed:?}");
        assert_eq!(ids(&book.launch(&offer("cpus:1;mem:1000"))), ["1.2"]);
        // Of the launch before nothing can be heard that matters.
        assert_eq!(book.on_status(&nothing), Consequence::default());
        assert_eq!(book.unconfirmed().len(), 1);
    }
}

#[test]
fn a_task_that_may_have_run_is_never_launched_again() {
    let ends = [
        // Not asked for: it was there, and its executor or agent is not any more.
        (TaskState::TaskStaging, status("1.1", TaskState::TaskGone)),
        (TaskState::TaskStarting, answer("1.1", TaskState::TaskGone)),
        (TaskState::TaskRunning, answer("1.1", TaskState::TaskGone)),
        (
            TaskState::TaskRunning,
            status("1.1", TaskState::TaskDropped),
        ),
        (
            TaskState::TaskStaging,
            answer("1.1", TaskState::TaskGoneByOperator),
        ),
    ];
    for (before, end) in ends {
        let mut book = book(&["a"]);
        book.launch(&offer("cpus:1;mem:1000"));
        book.on_status(&status("1.1", before));
        book.on_status(&end);
        assert!(!book.is_any_waiting(), "{before:?}, {end:?}");
        assert_eq!(state(&book), end.state());
    }
}

#[test]
fn a_task_out_of_reach_has_not_ended_and_may_come_back() {
    let mut book = book(&["a"]);
    book.launch(&offer("cpus:1;mem:1000"));
    for told in [
        TaskState::TaskRunning,
        TaskState::TaskUnreachable,
        TaskState::TaskRunning,
    ] {
        book.on_status(&status("1.1", told));
        assert_eq!(state(&book), told);
        assert!(!book.is_any_waiting());
    }
}

#[test]
fn a_waiting_task_is_killed_at_once_and_a_launched_one_until_it_has_ended() {
    let mut book = book(&["a", "b"]);
    book.launch(&offer("cpus:0.1;mem:1000"));
    let (task, call) = book.kill(2).unwrap();
    assert_eq!((task.state, call), (TaskState::TaskKilled, None));
    assert!(!book.is_any_waiting());

    let call = Some(("1.1".into(), "agent".into()));
    assert_eq!(book.kill(1).unwrap().1, call);
    for (told, again) in [
        (TaskState::TaskRunning, call.clone()),
        (TaskState::TaskKilling, None),
        // The master answers a call to kill these with the same again.
        (TaskState::TaskUnreachable, None),
        (TaskState::TaskRunning, call),
        (TaskState::TaskKilled, None),
    ] {
        assert_eq!(
            book.on_status(&status("1.1", told)).to_kill,
            again,
            "{told:?}"
        );
    }
    assert_eq!(book.kill(1), Err(Refusal::Ended(1, TaskState::TaskKilled)));
    assert_eq!(book.kill(3), Err(Refusal::Unknown(3)));
}

#[test]
fn what_is_killed_before_it_has_started_does_not_start_again() {
    let mut book = book(&["a"]);
    book.launch(&offer("cpus:1;mem:1000"));
    book.kill(1).unwrap();
    let heard = book.on_status(&answer("1.1", TaskState::TaskGone));
    assert_eq!(heard.changed.unwrap().state, TaskState::TaskKilled);
    assert_eq!(heard.to_kill, None);
    assert!(!book.is_any_waiting());
}

#[test]
fn after_each_subscription_every_launched_task_is_asked_for_until_it_is_heard_of() {
    let mut book = book(&["a", "b", "ended", "waiting"]);
    book.launch(&offer("cpus:0.3;mem:1000"));
    book.on_status(&status("3.1", TaskState::TaskFinished));
    book.doubt();
    let agent = || Some("agent".into());
    assert_eq!(
        book.unconfirmed(),
        [("1.1".into(), agent()), ("2.1".into(), agent())]
    );
    let heard = book.on_status(&answer("1.1", TaskState::TaskStaging));
    assert_eq!(
        heard,
        Consequence::default(),
        "it is confirmed, and no news"
    );
    assert_eq!(book.unconfirmed(), [("2.1".into(), agent())]);
}

#[test]
fn commands_that_could_never_run_are_refused() {
    let mut book = Book::default();
    let long = "x".repeat(MAX_COMMAND + 1);
    for (command, refusal) in [
        (" \n", Refusal::Empty),
        ("echo \0", Refusal::Nul),
        (&*long, Refusal::TooLong(MAX_COMMAND + 1)),
    ] {
        assert_eq!(book.schedule(command.to_owned()), Err(refusal));
    }
    assert!(book.schedule("x".repeat(MAX_COMMAND)).is_ok());
}

#[test]
fn of_too_many_tasks_the_oldest_that_has_ended_is_forgotten_and_no_number_is_given_twice() {
    let mut book = Book::new((1..=MAX_TASKS as u64).map(|id| Task::new(id, "a".into())));
    assert_eq!(book.schedule("b".into()), Err(Refusal::Full));
    let last = MAX_TASKS as u64;
    book.kill(last).unwrap();
    let (task, forgotten) = book.schedule("b".into()).unwrap();
    assert_eq!((task.id, forgotten), (last + 1, Some(last)));
    assert_eq!(book.tasks().count(), MAX_TASKS);
}

#[test]
fn words_of_strangers_change_nothing() {
    let mut book = book(&["a"]);
    book.launch(&offer("cpus:1;mem:1000"));
    for stranger in [
        "",
        "1",
        "1.",
        "1.2",
        "2.1",
        "01.1",
        "hello",
        "18446744073709551616.1",
    ] {
        let heard = book.on_status(&status(stranger, TaskState::TaskFailed));
        assert_eq!(heard, Consequence::default(), "{stranger}");
    }
}
