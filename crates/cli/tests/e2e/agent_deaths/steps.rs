//! Deaths at what the agent writes: before a commit, in the middle of it, and when it is durable but
//! nobody has heard of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cluster::{Test, start};
use super::{FLAGS, doomed_agent, rounds};
use crate::support::daemon::{Daemon, Place, start_agent};
use crate::support::eventually;

const WAYS: [&str; 3] = ["before", "torn", "after"];

/// More commits than a task's life can take.
const MOST_COMMITS: u32 = 60;

/// Agents that die, one after the other, each at its own commit; the last one lives on. Gives it, and
/// how many have died when `is_over` says that what they could die of is over.
fn succession(
    place: &Place,
    master: SocketAddr,
    port: u16,
    faults: &[String],
    is_over: &AtomicBool,
) -> (Daemon, usize) {
    for (died, fault) in faults.iter().enumerate() {
        let mut command = doomed_agent(place, master, port, fault);
        let Ok(mut agent) = Daemon::try_start(place, "agent", &mut command) else {
            continue;
        };
        let lives = eventually("the agent's death, or the end of its tasks", || match agent
            .end_if_any()
        {
            Some(_) => Some(false),
            None => is_over.load(Ordering::SeqCst).then_some(true),
        });
        if lives {
            return (agent, died);
        }
    }
    (start_agent(place, master, port, &FLAGS), faults.len())
}

/// A round with agents that die so. Gives how many did.
fn round(
    test: &mut Test<'_>,
    agent: Daemon,
    port: u16,
    number: u32,
    tasks: usize,
    faults: &[String],
) -> (Daemon, usize) {
    let (place, master) = (test.place, test.master.address);
    agent.kill9();
    let is_over = AtomicBool::new(false);
    let tasks = test.tasks(number, tasks);
    let (agent, died, histories) = std::thread::scope(|scope| {
        let agents = scope.spawn(|| succession(place, master, port, faults, &is_over));
        let mut histories = test.launch(&tasks);
        test.see_the_end(&mut histories);
        // Some of what follows the end is written, too.
        test.see_tasks_gone();
        is_over.store(true, Ordering::SeqCst);
        let (agent, died) = agents.join().expect("an agent that comes back");
        (agent, died, histories)
    });
    test.see_everything_gone(&agent);
    for (task, history) in &histories {
        history.check(&test.trace(task));
    }
    (agent, died)
}

#[test]
fn an_agent_may_die_at_every_step_that_it_writes_down() {
    let place = Place::new();
    let (mut test, mut agent, port) = start(&place);
    let every_way = rounds(0) > 0;
    let mut number = 0;
    for commit in 1..MOST_COMMITS {
        let ways = if every_way {
            &WAYS[..]
        } else {
            std::slice::from_ref(&WAYS[commit as usize % WAYS.len()])
        };
        let mut deaths = 0;
        for way in ways {
            number += 1;
            let faults = [format!("{way}:{commit}")];
            let (next, died) = round(&mut test, agent, port, number, 1, &faults);
            agent = next;
            deaths += died;
        }
        if deaths == 0 {
            assert!(commit > 5, "a task's life takes more than {commit} steps");
            return;
        }
    }
    panic!("a task's life never ends");
}

#[test]
fn agents_may_die_one_after_the_other_at_what_they_write() {
    let place = Place::new();
    let (mut test, mut agent, port) = start(&place);
    // Each number comes with every other of another place before long.
    for number in 1..=rounds(6) {
        let deaths = 1 + number % 3;
        let faults = (0..deaths).map(|death| {
            let way = WAYS[((number + death) % 3) as usize];
            format!("{way}:{}", 1 + (number * 7 + death * 5) % 17)
        });
        let faults: Vec<String> = faults.collect();
        let tasks = 1 + number as usize % 4;
        (agent, _) = round(&mut test, agent, port, number, tasks, &faults);
    }
}
