//! What tasks print is kept within bounds, and nothing of it is lost.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::support::daemon::{
    Cluster, Place, RESOURCES, agent_address, registered_agents, scheduler_api, start_agent,
    start_master,
};
use crate::support::scheduler::{Scheduler, Voice, framework, shell_task, text};
use crate::support::{eventually, http};

const FILE: u64 = 64 * 1024;

/// Large files are cut into these; more are kept than are needed.
const LOGGER: &str = "--container_logger=logrotate:max_stdout_size=64KB,rotate=100";

/// Everything that a task printed, oldest first.
fn printed(sandbox: &Path) -> String {
    let older = (1..=100).rev().map(|n| sandbox.join(format!("stdout.{n}")));
    older
        .chain([sandbox.join("stdout")])
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .collect()
}

fn numbers(range: std::ops::Range<u32>) -> String {
    range.fold(String::new(), |all, n| all + &format!("{n:07}\n"))
}

fn size(file: &Path) -> u64 {
    file.metadata().map_or(0, |it| it.len())
}

#[test]
fn output_is_cut_into_files_while_the_task_runs_and_after_the_agents_restart() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let agent = start_agent(&place, master.address, 0, &[RESOURCES, LOGGER]);
    let address = agent_address(&registered_agents(master.address, 1)[0]);
    let mut info = framework("output");
    info["checkpoint"] = true.into();
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let command = "seq -f %07.0f 0 49999; until [ -e go ]; do sleep 0.05; done; \
                   seq -f %07.0f 50000 99999; touch done; sleep 1000";
    let running = scheduler.start_and_see_running(&shell_task("t", command));
    let sandbox = place.join(&format!(
        "agent/slaves/{}/frameworks/{}/executors/t/runs/latest",
        text(&running["agent_id"]["value"]),
        scheduler.id
    ));
    eventually("the first half, in files", || {
        (printed(&sandbox).ends_with(&numbers(49_999..50_000))
            && size(&sandbox.join("stdout")) <= FILE)
            .then_some(())
    });
    assert!(size(&sandbox.join("stdout.1")) == FILE);

    agent.kill9();
    std::fs::write(sandbox.join("go"), "").expect("a file");
    eventually("the second half", || {
        sandbox.join("done").exists().then_some(())
    });
    assert!(size(&sandbox.join("stdout")) > FILE, "nobody cuts it");
    let _agent = start_agent(&place, master.address, address.port(), &[RESOURCES, LOGGER]);
    eventually("the second half, in files", || {
        (size(&sandbox.join("stdout")) <= FILE).then_some(())
    });
    let all = printed(&sandbox);
    // The task's own output begins after what its executor says.
    let at = all.find("0000000\n").expect("the first number");
    assert!(all[at..] == numbers(0..100_000), "in order, each once");

    registered_agents(master.address, 1);
    let path = format!(
        "/files/read?offset=0&length=8&path=/frameworks/{}/executors/t/runs/latest/stdout.2",
        scheduler.id
    );
    let read = http::get(address, &path).json();
    assert_eq!(read["data"].as_str().map(str::len), Some(8), "{read}");
    scheduler.kill("t");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
}

#[test]
fn a_task_of_another_user_may_open_its_output_again_and_has_bounds_of_its_own() {
    let cluster = Cluster::start();
    let mut scheduler = cluster.subscribe(framework("output"));
    let command = "seq -f %07.0f 0 49999 >> /dev/stdout; touch done; sleep 1000";
    let mut task = shell_task("t", command);
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        task["command"]["user"] = "nobody".into();
    }
    task["command"]["environment"] = serde_json::json!({"variables": [
        {"name": "CONTAINER_LOGGER_MAX_STDOUT_SIZE", "value": "64KB"},
        {"name": "CONTAINER_LOGGER_LOGROTATE_STDOUT_OPTIONS", "value": "rotate 1"},
    ]});
    let running = scheduler.start_and_see_running(&task);
    let agent = text(&running["agent_id"]["value"]);
    let slaves = eventually("the sandbox", || {
        let work = std::fs::read_dir(cluster.place.join("work")).ok()?;
        let mut homes = work
            .flatten()
            .map(|it| it.path().join("slaves").join(&agent));
        homes.find(|home| home.exists())
    });
    let sandbox = slaves.join(format!(
        "frameworks/{}/executors/t/runs/latest",
        scheduler.id
    ));
    eventually("all of it, cut", || {
        (sandbox.join("done").exists() && size(&sandbox.join("stdout")) <= FILE).then_some(())
    });
    let kept = printed(&sandbox);
    assert!(kept.len() as u64 > FILE && kept.len() as u64 <= 2 * FILE);
    assert!(numbers(0..50_000).ends_with(&kept));
    let of = |name: &str| sandbox.join(name).metadata().expect("the file");
    assert_eq!(of("stdout.1").uid(), of("stdout").uid());
    assert_eq!(of("stdout.1").uid() != 0, is_root);

    let mut wrong = shell_task("w", "true");
    wrong["command"]["environment"] = serde_json::json!({"variables": [
        {"name": "CONTAINER_LOGGER_MAX_STDOUT_SIZE", "value": "much"},
    ]});
    scheduler.start(&wrong);
    let failed = scheduler.expect("TASK_FAILED");
    assert_eq!(failed["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
    let message = text(&failed["message"]);
    assert!(
        message.contains("Failed to load container logger settings"),
        "{message}"
    );
}

#[test]
fn a_task_of_a_group_has_bounds_of_its_own_after_the_agents_restart_too() {
    let place = Place::new();
    let master = start_master(&place, &[]);
    let agent = start_agent(&place, master.address, 0, &[RESOURCES]);
    let address = agent_address(&registered_agents(master.address, 1)[0]);
    let mut info = framework("output");
    info["checkpoint"] = true.into();
    let mut scheduler = Scheduler::subscribe(scheduler_api(master.address), Voice::JSON, info);
    let command = "seq -f %07.0f 0 49999; touch first; until [ -e go ]; do sleep 0.05; done; \
                   seq -f %07.0f 50000 99999; touch second; sleep 1000";
    let mut task = shell_task("t", command);
    task["command"]["environment"] = serde_json::json!({"variables": [
        {"name": "CONTAINER_LOGGER_MAX_STDOUT_SIZE", "value": "64KB"},
    ]});
    let offer = scheduler.offer();
    scheduler.launch_group(&offer, "e", &[task]);
    scheduler.expect("TASK_STARTING");
    scheduler.expect("TASK_RUNNING");
    let containers = place.sandbox_of("e").join("containers");
    let sandbox = eventually("the task's sandbox", || {
        let mut all = std::fs::read_dir(&containers).ok()?.flatten();
        all.next().map(|it| it.path())
    });
    let is_cut = |word: &str| sandbox.join(word).exists() && size(&sandbox.join("stdout")) <= FILE;
    eventually("the first half, in files", || is_cut("first").then_some(()));
    agent.kill9();
    std::fs::write(sandbox.join("go"), "").expect("a file");
    let second = sandbox.join("second");
    eventually("the second half", || second.exists().then_some(()));
    let _agent = start_agent(&place, master.address, address.port(), &[RESOURCES]);
    eventually("the second half, in files", || {
        is_cut("second").then_some(())
    });
    let kept = printed(&sandbox);
    assert!(kept.len() as u64 > 9 * FILE && kept.len() as u64 <= 10 * FILE);
    assert!(numbers(0..100_000).ends_with(&kept));
    scheduler.kill("t");
}
