//! `examples/stateful`: its counter goes on, whatever is killed.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::support::daemon::{
    Daemon, Place, RESOURCES, agent_address, finish, registered_agents, start_agent, start_master,
    start_master_at,
};
use crate::support::examples::{example, this_user};
use crate::support::{eventually, http, processes};

const AGENT: [&str; 2] = [RESOURCES, "--registration_backoff_factor=10ms"];

struct World {
    master: Daemon,
    agent: Daemon,
    agent_port: u16,
    framework: Child,
    // Its end is that of every process left.
    place: Place,
}

fn command(place: &Place, master: SocketAddr) -> Command {
    let mut command = example("stateful");
    command
        .arg(format!("--master={master}"))
        .arg(format!("--folder={}", place.join("remembered").display()))
        .arg(format!("--user={}", this_user()));
    command
}

impl World {
    fn start() -> Self {
        let place = Place::new();
        let master = start_master(&place, &[]);
        let agent = start_agent(&place, master.address, 0, &AGENT);
        let agent_port = agent_address(&registered_agents(master.address, 1)[0]).port();
        let framework = place.run("stateful", &mut command(&place, master.address));
        Self {
            master,
            agent,
            agent_port,
            framework,
            place,
        }
    }

    fn volume(&self) -> PathBuf {
        self.place.join("agent/volumes/roles/stateful/count")
    }

    fn count(&self) -> Option<u64> {
        let text = fs::read_to_string(self.volume().join("count")).ok()?;
        Some(text.trim().parse().expect("a number, whenever it is read"))
    }

    /// Waits until it has counted on from what it had.
    fn counts_on_from(&self, before: u64) -> u64 {
        eventually("a higher count", || {
            let count = self.count()?;
            assert!(count >= before, "{count} after {before}");
            (count >= before + 2).then_some(count)
        })
    }

    /// The process that counts.
    fn counter(&self) -> u32 {
        eventually("one process that counts", || {
            let counters = processes::with_traces_of(self.place.path())
                .into_iter()
                .filter(|pid| {
                    fs::read(format!("/proc/{pid}/cmdline"))
                        .is_ok_and(|line| line.windows(10).any(|part| part == b"data/count"))
                });
            let counters: Vec<u32> = counters.collect();
            // While it starts `cat`, that is a second one.
            match counters[..] {
                [only] => Some(only),
                _ => None,
            }
        })
    }

    fn framework(&self) -> Value {
        eventually("the framework, connected", || {
            let state = http::get(self.master.address, "/state").json();
            let frameworks = state["frameworks"].as_array()?;
            let only = frameworks.first().filter(|_| frameworks.len() == 1)?;
            (only["connected"] == true && only["tasks"][0]["state"] == "TASK_RUNNING")
                .then(|| only.clone())
        })
    }

    fn kill_framework(&mut self) {
        self.framework.kill().expect("killed");
        self.framework.wait().expect("its end");
    }

    fn start_framework(&mut self) {
        let mut command = command(&self.place, self.master.address);
        self.framework = self.place.run("stateful", &mut command);
    }
}

#[test]
fn the_count_goes_on_after_every_death_until_it_is_ended() {
    let mut world = World::start();
    let mut count = world.counts_on_from(0);
    let id = world.framework()["id"].clone();
    let pid = world.counter();

    world.kill_framework();
    world.start_framework();
    count = world.counts_on_from(count);
    assert_eq!(world.framework()["id"], id);
    assert_eq!(world.counter(), pid);

    world.agent.kill9();
    world.agent = start_agent(&world.place, world.master.address, world.agent_port, &AGENT);
    count = world.counts_on_from(count);
    registered_agents(world.master.address, 1);
    assert_eq!(world.counter(), pid);

    let port = world.master.address.port();
    world.master.kill9();
    world.master = start_master_at(&world.place, port, &[]);
    count = world.counts_on_from(count);
    assert_eq!(world.framework()["id"], id);
    assert_eq!(world.counter(), pid);

    processes::kill9(pid);
    eventually("another task", || {
        (world.framework()["tasks"][0]["id"] == "counter.2").then_some(())
    });
    count = world.counts_on_from(count);
    assert_ne!(world.counter(), pid);
    // It was no accident of the first task: the next death is like the first.
    world.kill_framework();
    processes::kill9(world.counter());
    world.start_framework();
    eventually("a third task", || {
        (world.framework()["tasks"][0]["id"] == "counter.3").then_some(())
    });
    world.counts_on_from(count);

    // The one that runs is told that another has taken its place.
    let mut end = command(&world.place, world.master.address);
    let (status, _) = finish(&world.place, "end", end.arg("end"));
    assert!(status.success(), "{status}");
    let former = eventually("the end of the former framework", || {
        world.framework.try_wait().expect("its state")
    });
    assert!(!former.success(), "{former}");
    assert!(!world.volume().exists());
    eventually("an agent without reservations or tasks", || {
        let agents = registered_agents(world.master.address, 1);
        let is_free = agents[0]["reserved_resources_full"] == json!({})
            && agents[0]["used_resources"]["cpus"] == 0.0;
        is_free.then_some(())
    });
    let state = http::get(world.master.address, "/state").json();
    assert_eq!(state["frameworks"], json!([]));
    assert_eq!(state["completed_frameworks"][0]["id"], id);

    // Where there is nothing, there is nothing to end.
    let mut again = command(&world.place, world.master.address);
    let (status, _) = finish(&world.place, "end", again.arg("end"));
    assert!(status.success(), "{status}");
}
