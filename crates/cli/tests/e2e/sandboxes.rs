//! Where sandboxes are found, whose they are, and when they go.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::daemon::{
    Daemon, Place, RESOURCES, agent_address, registered_agents, scheduler_api, start_agent,
    start_master,
};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task, text};
use crate::support::{eventually, http};

struct World {
    // Dropped in this order: daemons before what they leave behind.
    scheduler: Scheduler,
    agent: Daemon,
    master: Daemon,
    place: Place,
    record: Value,
}

impl World {
    fn with(flags: &[&str]) -> Self {
        let place = Place::new();
        let master = start_master(&place, &[]);
        let flags: Vec<&str> = [RESOURCES].iter().chain(flags).copied().collect();
        let agent = start_agent(&place, master.address, 0, &flags);
        let record = registered_agents(master.address, 1).remove(0);
        let api = scheduler_api(master.address);
        let scheduler = Scheduler::subscribe(api, Voice::JSON, framework("sandboxes"));
        Self {
            scheduler,
            agent,
            master,
            place,
            record,
        }
    }

    fn address(&self) -> SocketAddr {
        agent_address(&self.record)
    }

    fn frameworks(&self) -> PathBuf {
        let id = text(&self.record["id"]);
        self.place.join(&format!("agent/slaves/{id}/frameworks"))
    }

    fn virtual_path(&self, task: &str) -> String {
        format!(
            "/frameworks/{}/executors/{task}/runs/latest",
            self.scheduler.id
        )
    }

    /// The status of what the agent answers to somebody who wants to see a task's output.
    fn look(&self, task: &str) -> u16 {
        let path = self.virtual_path(task);
        let target = format!("/files/browse?path={path}");
        let answer = http::request(self.address(), "GET", &target, &[], None);
        answer.expect("an answer").status()
    }

    fn finish(&mut self, task: &str) {
        self.scheduler.start(&shell_task(task, "true"));
        for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
            self.scheduler.expect(state);
        }
    }

    fn await_no_framework(&self) {
        eventually("a work directory without frameworks", || {
            let mut left = std::fs::read_dir(self.frameworks()).ok()?;
            left.next().is_none().then_some(())
        });
        eventually("an end of what was put aside", || {
            let mut left = std::fs::read_dir(self.place.join("agent/garbage")).ok()?;
            left.next().is_none().then_some(())
        });
    }
}

#[test]
fn a_sandbox_goes_when_it_is_old_and_its_framework_with_it() {
    let mut world = World::with(&["--gc_delay=1secs"]);
    world
        .scheduler
        .start_and_see_running(&shell_task("long", "sleep 1000"));
    world.finish("short");
    eventually("an end of the sandbox", || {
        (world.look("short") == 404).then_some(())
    });
    assert_eq!(world.look("long"), 200, "it is in use");
    world.scheduler.kill("long");
    world.scheduler.expect("TASK_KILLING");
    world.scheduler.expect("TASK_KILLED");
    world.await_no_framework();
    assert_eq!(world.look("long"), 404);
    let metrics = http::get(world.address(), "/metrics/snapshot").json();
    assert_eq!(metrics["gc/path_removals_failed"], 0.0);
}

#[test]
fn sandboxes_go_at_once_when_the_disk_has_no_room_for_them() {
    let flags = ["--gc_disk_headroom=1.0", "--disk_watch_interval=100ms"];
    let mut world = World::with(&flags);
    world.finish("t");
    world.await_no_framework();
}

#[test]
fn what_an_earlier_life_has_left_goes_in_the_next() {
    let mut world = World::with(&[]);
    world.finish("t");
    let path = world.virtual_path("t");
    eventually("an end of the executor", || {
        let shown = http::get(world.address(), "/files/debug").json();
        shown.get(&path).is_none().then_some(())
    });
    assert_eq!(world.look("t"), 200);
    let World {
        agent,
        master,
        place,
        record,
        scheduler,
    } = world;
    agent.kill9();
    let port = agent_address(&record).port();
    let flags = [RESOURCES, "--gc_delay=10ms"];
    let agent = start_agent(&place, master.address, port, &flags);
    let world = World {
        scheduler,
        agent,
        master,
        place,
        record,
    };
    world.await_no_framework();
}

#[test]
fn tasks_run_as_the_agents_user_where_users_are_not_switched() {
    for (flag, is_switched) in [("--no-switch_user", false), ("--switch_user", true)] {
        let mut world = World::with(&[flag]);
        let mut task = shell_task("t", "id -u > who; sleep 1000");
        task["command"]["user"] = "nobody".into();
        if is_switched && !rustix::process::geteuid().is_root() {
            continue;
        }
        world.scheduler.start_and_see_running(&task);
        let path = world.virtual_path("t");
        let shown = http::get(world.address(), "/files/debug").json();
        let real = PathBuf::from(text(&shown[path.as_str()]));
        let own = rustix::process::geteuid().as_raw();
        let who = eventually("the task's word", || {
            let who = std::fs::read_to_string(real.join("who")).ok()?;
            who.trim().parse::<u32>().ok()
        });
        assert_eq!(who != own, is_switched);
        for name in ["", "stdout", "stderr", "who"] {
            let owner = real.join(name).metadata().expect("it is there").uid();
            assert_eq!(owner, who, "{name}");
        }
        assert_eq!(real.metadata().expect("it is there").mode() & 0o7777, 0o750);
    }
}
