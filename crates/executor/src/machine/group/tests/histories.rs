//! Random histories, against an agent that keeps containers, forgets what it did not confirm, goes
//! away and comes back.

use std::collections::BTreeMap;

use super::*;

/// Containers of the agent's, and what became of them.
#[derive(Debug, Default)]
struct World {
    containers: BTreeMap<ContainerId, Container>,
    told: BTreeMap<String, Vec<TaskState>>,
    unacknowledged: Vec<TaskStatus>,
    has_ended: bool,
}

#[derive(Debug, Default)]
struct Container {
    times_launched: usize,
    end: Option<i32>,
}

struct Dice(Entropy);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.0.next_u64() % sides as u64).unwrap()
    }
}

impl World {
    fn see(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Send(call) => {
                    let Some(update) = &call.update else { continue };
                    let status = &update.status;
                    let told = self.told.entry(status.task_id.to_string()).or_default();
                    assert!(
                        !told.last().is_some_and(|state| is_end(*state)),
                        "{status:?} after {told:?}"
                    );
                    told.push(status.state());
                    self.unacknowledged.push(status.clone());
                }
                // What is sent with a subscription was told before, or was made meanwhile.
                Action::Subscribe(call) => {
                    for update in &call.subscribe.as_ref().unwrap().unacknowledged_updates {
                        let status = &update.status;
                        if !self.unacknowledged.iter().any(|s| s.uuid == status.uuid) {
                            let told = self.told.entry(status.task_id.to_string());
                            told.or_default().push(status.state());
                            self.unacknowledged.push(status.clone());
                        }
                    }
                }
                Action::Exit(_) => self.has_ended = true,
                _ => {}
            }
        }
    }

    /// What the agent does and answers; nothing to a wait for what still runs.
    fn serve(&mut self, call: &Call, dice: &mut Dice) -> Option<Answer> {
        if let Some(launch) = &call.launch_container {
            let container = self.containers.entry(launch.container_id.clone());
            let container = container.or_default();
            if container.times_launched > 0 && container.end.is_none() {
                return Some(refusal(202, ""));
            }
            container.times_launched += 1;
            return Some(ok());
        }
        if let Some(kill) = &call.kill_container {
            let Some(container) = self.containers.get_mut(&kill.container_id) else {
                return Some(refusal(404, ""));
            };
            let dies = kill.signal == Some(KILL) || dice.below(2) == 0;
            if dies && container.end.is_none() {
                container.end = kill.signal;
            }
            return Some(ok());
        }
        let wait = call.wait_container.as_ref().expect("no other calls");
        match self.containers.get(&wait.container_id) {
            None => Some(refusal(404, "")),
            Some(container) => container.end.map(|end| terminated(Some(end))),
        }
    }
}

fn is_end(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFinished | TaskState::TaskFailed | TaskState::TaskKilled
    )
}

fn history(seed: u64) {
    let mut dice = Dice(Entropy::new(seed));
    let mut run = Run::subscribed();
    let mut world = World::default();
    let mut is_away = false;
    let mut tasks = 0;
    let mut seconds = 0;
    for step in 0..400 {
        // In the end nothing new happens, and what runs is told to end.
        let is_ending = step >= 200;
        seconds += dice.below(3) as u64;
        let actions = match dice.below(8) {
            0 if !is_away && !is_ending => {
                let first = tasks;
                tasks += 1 + dice.below(3);
                let group = (first..tasks).map(|n| task(&n.to_string())).collect();
                run.launch(seconds, group)
            }
            1 if !is_away && tasks > 0 => {
                let of = dice.below(tasks).to_string();
                run.kill(seconds, &of, None)
            }
            2 if !is_away && !is_ending => {
                is_away = true;
                // The agent may have done what it could not answer any more.
                for (_, call) in run.open.clone() {
                    if dice.below(2) == 0 {
                        world.serve(&call, &mut dice);
                    }
                }
                run.lose(seconds)
            }
            3 if !world.containers.is_empty() => {
                let of = dice.below(world.containers.len());
                let container = world.containers.values_mut().nth(of).unwrap();
                let end = [EXIT_0, EXIT_1][dice.below(2)];
                container.end.get_or_insert(end);
                Vec::new()
            }
            4 if !world.unacknowledged.is_empty() && !is_away => {
                let of = dice.below(world.unacknowledged.len());
                let status = world.unacknowledged.remove(of);
                run.acknowledge(seconds, &status)
            }
            _ => run.wake(seconds),
        };
        world.see(&actions);
        if is_away && let Some(Action::Subscribe(_)) = actions.last() {
            is_away = false;
            let actions = run.subscribe(seconds);
            world.see(&actions);
        }
        for (request, call) in std::mem::take(&mut run.open) {
            // An answer may be lost, before or after the agent has done what was asked, or be late.
            let answer = match dice.below(if is_ending { 1 } else { 10 }) {
                6 | 7 => None,
                8 => Some(Err("reset".to_owned())),
                9 => {
                    world.serve(&call, &mut dice);
                    Some(Err("reset".to_owned()))
                }
                _ => world.serve(&call, &mut dice).map(Ok),
            };
            match answer {
                Some(answer) => {
                    let actions = run.step(seconds, Input::Answered { request, answer });
                    world.see(&actions);
                }
                None => run.open.push((request, call)),
            }
        }
        if world.has_ended {
            break;
        }
    }
    for (id, container) in &world.containers {
        assert_eq!(container.times_launched, 1, "{id:?} ran twice");
    }
    let alive = world
        .containers
        .values()
        .filter(|c| c.end.is_none())
        .count();
    assert!(!world.has_ended || alive == 0, "left behind: {world:#?}");
    for (task, told) in &world.told {
        let is_known = run.machine.find(&task.as_str().into()).is_some();
        let ends = told.iter().filter(|state| is_end(**state)).count();
        assert_eq!(ends, usize::from(!is_known), "{task}: {told:?}");
        assert_eq!(told[0], TaskState::TaskStarting, "{task}: {told:?}");
        let runs = told
            .iter()
            .filter(|s| **s == TaskState::TaskRunning)
            .count();
        assert!(runs <= 1, "{task}: {told:?}");
    }
}

#[test]
fn every_task_is_told_its_end_once_and_no_container_runs_twice() {
    for seed in 0..300 {
        history(seed);
    }
}
