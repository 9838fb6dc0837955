//! Deaths whose moments only the clock chooses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::cluster::{TASKS, start};
use super::{FLAGS, rounds};
use crate::support::daemon::{Daemon, Place, start_agent};

/// How many times the agent dies, unless a variable says otherwise.
const ROUNDS: u32 = 12;

/// Of the time that a round takes by itself, the fraction that the moments of death are apart,
/// whole rounds left out: multiples of it come everywhere, evenly.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;

/// Kills the agent after a while and starts it again.
fn die_and_return(
    agent: Daemon,
    after: Duration,
    place: &Place,
    master: SocketAddr,
    port: u16,
) -> Daemon {
    // A moment can only be chosen by time.
    std::thread::sleep(after);
    agent.kill9();
    start_agent(place, master, port, &FLAGS)
}

#[test]
fn an_agent_may_die_at_any_moment_of_its_tasks_lives() {
    let place = Place::new();
    let (mut test, mut agent, port) = start(&place);
    // How long a round takes that nothing disturbs.
    let tasks = test.tasks(0, TASKS);
    let begin = Instant::now();
    let mut histories = test.launch(&tasks);
    test.see_the_end(&mut histories);
    let life = begin.elapsed();
    test.see_everything_gone(&agent);

    let mut ran = 0;
    let rounds = rounds(ROUNDS);
    for round in 1..=rounds {
        let tasks = test.tasks(round, TASKS);
        let mut histories = test.launch(&tasks);
        // Every third time it dies once more, while it recovers.
        let deaths = if round % 3 == 0 { 2 } else { 1 };
        let master = test.master.address;
        let moments = (0..deaths)
            .map(move |death| life.mul_f64((f64::from(round * 2 + death) * GOLDEN_RATIO).fract()));
        agent = std::thread::scope(|scope| {
            let deaths = scope.spawn(|| {
                moments.fold(agent, |agent, after| {
                    die_and_return(agent, after, &place, master, port)
                })
            });
            test.see_the_end(&mut histories);
            deaths.join().expect("an agent that comes back")
        });
        test.see_everything_gone(&agent);
        for (task, history) in &histories {
            ran += usize::from(history.check(&test.trace(task)));
        }
    }
    // Deaths before the agent has taken the tasks are few.
    assert!(ran * 3 > rounds as usize * TASKS, "only {ran} tasks ran");
}
