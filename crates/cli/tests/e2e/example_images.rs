//! `examples/images`: a scheduler, an executor that agents fetch and a file server invert the colours of
//! images, and every pixel is right, though executors and agents die meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use image::{DynamicImage, Rgba, Rgba32FImage};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::custom::World;
use crate::support::daemon::{
    Cluster, Place, RESOURCES, agent_address, registered_agents, start_agent, start_master,
};
use crate::support::examples::{example, this_user};
use crate::support::web::Silent;
use crate::support::{eventually, http, processes, within};

const IMAGES: usize = 200;

/// So many tasks of 0.2 processors fit beside an executor on an agent with [`RESOURCES`].
const FULL: usize = 19;

/// So many results, and the work is in full swing.
const MIDWAY: usize = 20;

/// How long all images may take on a machine that does other things, too.
const ALL_IMAGES: Duration = Duration::from_mins(3);

/// How far a JPEG's colours may be from those of its original's inversion, of 255. It is written with
/// quality 95, whose tables round each of a block's 64 frequencies by 6 at most, and the first ones,
/// which are nearly all that a soft gradient has, by 1 to 3; together with the rounding of colours into
/// brightness and tints and back, that stays within a few levels. A picture that is not inverted is off
/// by 127 in the mean.
const JPEG_MEAN: f32 = 1.0;
const JPEG_WORST: f32 = 10.0;

/// The example at work.
struct Run<'a> {
    place: &'a Place,
    child: Child,
}

impl<'a> Run<'a> {
    /// On the folder `pictures` of the place.
    fn start(place: &'a Place, master: SocketAddr) -> Self {
        let mut command = example("images");
        command
            .arg("run")
            .args([place.join("pictures"), place.join("inverted")])
            .arg(format!("--master={master}"))
            .arg(format!("--user={}", this_user()));
        let child = place.run("images", &mut command);
        Self { place, child }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.join("images.log")).expect("its log")
    }

    /// The names of the results that are complete.
    fn results(&self) -> BTreeSet<String> {
        let complete = |name: &String| !name.starts_with('.');
        names(&self.place.join("inverted"))
            .into_iter()
            .filter(complete)
            .collect()
    }

    fn is_midway(&mut self) {
        eventually("the first results", || {
            let status = self.child.try_wait().expect("its state");
            assert_eq!(status, None, "it ended: {}", self.log());
            (self.results().len() >= MIDWAY).then_some(())
        });
    }

    /// How it ended, and what it said then.
    fn finish(mut self) -> (ExitStatus, String) {
        let status = within(ALL_IMAGES, "the end of the work", || {
            self.child.try_wait().expect("its state")
        });
        let output = self.child.stdout.take().expect("its output");
        let said = std::io::read_to_string(output).expect("what it said");
        (status, said)
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeSet::new();
    };
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a name in UTF-8");
    entries
        .map(|entry| name(entry.expect("an entry")))
        .collect()
}

/// Processes of the executor and the agents that they belong to.
fn executors(place: &Place) -> BTreeMap<String, u32> {
    let read = |pid: u32, file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let agent = |pid: u32| {
        read(pid, "cmdline")?
            .starts_with("./images-executor\0")
            .then_some(())?;
        let environment = read(pid, "environ")?;
        let mut variables = environment.split('\0');
        let id = variables.find_map(|it| it.strip_prefix("MESOS_SLAVE_ID="))?;
        Some((id.to_owned(), pid))
    };
    let pids = processes::with_traces_of(place.path());
    pids.into_iter().filter_map(agent).collect()
}

/// Makes the folder `pictures`: PNG and JPEG in turn, of every depth that scanners, cameras and
/// drawings have.
fn make_pictures(place: &Place, count: usize) {
    let folder = place.join("pictures");
    fs::create_dir(&folder).expect("a folder");
    for number in 0..count {
        let picture = picture(number);
        let (picture, extension) = match number % 6 {
            0 => (picture.to_rgb8().into(), "png"),
            1 | 3 => (picture.to_rgb8().into(), "jpg"),
            2 => (picture.to_rgba8().into(), "png"),
            4 => (DynamicImage::from(picture.to_luma16()), "png"),
            _ => (picture.to_luma8().into(), "jpeg"),
        };
        // With blanks and letters that addresses must write in another way.
        let path = folder.join(format!("größe #{number} 100%.{extension}"));
        picture.save(path).expect("a picture");
    }
}

/// Gradients, no two alike.
fn picture(number: usize) -> DynamicImage {
    let number = f32::from(u16::try_from(number).expect("a small number"));
    let (width, height) = (64_u16, 48_u16);
    let part =
        |at: u32, of: u16| f32::from(u16::try_from(at).expect("a small number")) / f32::from(of);
    let pixels = Rgba32FImage::from_fn(width.into(), height.into(), |x, y| {
        let (x, y) = (part(x, width), part(y, height));
        Rgba([
            x,
            y,
            (x + y + number / 200.0).fract().mul_add(0.2, 0.4),
            1.0 - x / 2.0,
        ])
    });
    pixels.into()
}

/// Compares every pixel of every result with what it must be.
fn compare(place: &Place) {
    for name in names(&place.join("pictures")) {
        let read = |folder: &str| {
            let path: PathBuf = place.join(folder).join(&name);
            image::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        let (original, result) = (read("pictures"), read("inverted"));
        assert_eq!(result.color(), original.color(), "{name}");
        // Every depth fits into this one exactly.
        let mut expected = original.to_rgba16();
        for Rgba([red, green, blue, _]) in expected.pixels_mut() {
            for level in [red, green, blue] {
                *level = u16::MAX - *level;
            }
        }
        let result = result.to_rgba16();
        assert_eq!(result.dimensions(), expected.dimensions(), "{name}");
        if name.ends_with("png") {
            assert!(result == expected, "{name} is not inverted");
            continue;
        }
        let pairs = result.as_raw().iter().zip(expected.as_raw());
        let off: Vec<f32> = pairs
            .map(|(found, expected)| f32::from(found.abs_diff(*expected)) / 257.0)
            .collect();
        let mean = off.iter().sum::<f32>() / off.iter().map(|_| 1.0).sum::<f32>();
        let worst = off.iter().copied().fold(0.0, f32::max);
        assert!(
            mean < JPEG_MEAN && worst < JPEG_WORST,
            "{name} is off by {mean} in the mean and {worst} at worst"
        );
    }
}

fn state(master: SocketAddr) -> Value {
    http::get(master, "/state").json()
}

/// How many tasks of a list are in a state.
fn count(tasks: &Value, state: &str) -> usize {
    let tasks = tasks.as_array().expect("tasks");
    tasks.iter().filter(|task| task["state"] == state).count()
}

#[test]
fn two_hundred_images_are_right_though_an_executor_is_killed_midway() {
    let place = Place::new();
    make_pictures(&place, IMAGES);
    let cluster = Cluster::in_place(place, &["--agents=2", RESOURCES]);
    let (place, master) = (&cluster.place, cluster.master());
    registered_agents(master, 2);
    let mut run = Run::start(place, master);
    run.is_midway();

    // One executor halts with tasks in its hands, until the other has done all the rest.
    let (agent, victim) = executors(place).pop_first().expect("an executor");
    processes::signal(victim, Signal::STOP);
    let held = within(ALL_IMAGES, "the end of the other executor's work", || {
        let state = state(master);
        let tasks = state["frameworks"][0]["tasks"].as_array()?.clone();
        let (held, others): (Vec<_>, Vec<_>) =
            tasks.iter().partition(|task| task["slave_id"] == *agent);
        let rest = IMAGES.saturating_sub(run.results().len());
        (others.is_empty() && !held.is_empty() && held.len() >= rest).then_some(held.len())
    });
    processes::kill9(victim);

    let log = place.join("images.log");
    let (status, said) = run.finish();
    let log = fs::read_to_string(log).expect("its log");
    assert!(status.success(), "{status}: {said}{log}");
    let expected = format!(
        "{IMAGES} inverted into {}, 0 without a result, {held} tasks run again\n",
        place.join("inverted").display()
    );
    assert_eq!(said, expected, "{log}");
    compare(place);
    let framework = state(master)["completed_frameworks"][0].clone();
    assert_eq!(framework["name"], "images");
    let tasks = &framework["completed_tasks"];
    assert_eq!(count(tasks, "TASK_FINISHED"), IMAGES);
    assert_eq!(count(tasks, "TASK_FAILED"), held);
    eventually("the end of the executors", || {
        executors(place).is_empty().then_some(())
    });
}

#[test]
fn an_executor_goes_on_through_its_agents_death() {
    let place = &Place::new();
    make_pictures(place, IMAGES);
    let master = start_master(place, &["--allocation_interval=100ms"]);
    let flags = [RESOURCES, "--registration_backoff_factor=10ms"];
    let agent = start_agent(place, master.address, 0, &flags);
    let port = agent_address(&registered_agents(master.address, 1)[0]).port();
    let mut run = Run::start(place, master.address);
    run.is_midway();

    // It halts with as many tasks in its hands as fit, so that it cannot have finished before its agent is
    // gone, and so that no task is on its way to the agent at that moment, which would be lost.
    let before = executors(place);
    for pid in before.values() {
        processes::signal(*pid, Signal::STOP);
    }
    let address = agent.address;
    within(ALL_IMAGES, "an agent that is full", || {
        let executor = state(address)["frameworks"][0]["executors"][0].clone();
        let tasks = |list: &str| executor[list].as_array().map_or(0, Vec::len);
        (tasks("tasks") + tasks("queued_tasks") == FULL).then_some(())
    });
    agent.kill9();
    // The next agent is there before the executor sees that the former one has gone.
    let _agent = start_agent(place, master.address, port, &flags);
    for pid in before.values() {
        processes::signal(*pid, Signal::CONT);
    }

    let (status, said) = run.finish();
    assert!(status.success(), "{status}: {said}");
    assert!(said.contains(", 0 tasks run again\n"), "{said}");
    compare(place);
    let framework = state(master.address)["completed_frameworks"][0].clone();
    let tasks = &framework["completed_tasks"];
    assert_eq!(count(tasks, "TASK_FINISHED"), IMAGES);
    assert_eq!(tasks.as_array().expect("tasks").len(), IMAGES);
    // The only executor that there ever was.
    let sandboxes = place.sandboxes();
    assert_eq!((before.len(), sandboxes.len()), (1, 1), "{sandboxes:?}");
}

#[test]
fn images_that_cannot_be_read_are_named_and_the_others_are_inverted() {
    let place = Place::new();
    let pictures = place.join("pictures");
    let made = example("images")
        .args(["samples", "--count=3"])
        .arg(&pictures)
        .status();
    assert!(made.expect("the example").success());
    fs::write(pictures.join("poem.png"), "roses are red").expect("a file");
    fs::write(pictures.join("notes.txt"), "no image").expect("a file");
    let cluster = Cluster::in_place(place, &[RESOURCES]);
    let place = &cluster.place;
    let run = Run::start(place, cluster.master());
    let (status, said) = run.finish();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.starts_with("3 inverted into "), "{said}");
    assert!(
        said.ends_with(", 1 without a result, 0 tasks run again\n"),
        "{said}"
    );
    let log = fs::read_to_string(place.join("images.log")).expect("its log");
    let sentence = "poem.png has no result: it is neither PNG nor JPEG\n";
    assert!(log.contains(sentence), "{log}");
    fs::remove_file(pictures.join("poem.png")).expect("the poem");
    fs::remove_file(pictures.join("notes.txt")).expect("the notes");
    compare(place);
    assert_eq!(names(&place.join("inverted")), names(&pictures));
}

#[test]
fn the_executor_ends_tasks_that_are_killed_and_at_its_shutdown_all_of_them() {
    let mut world = World::start();
    let scheduler = example("images");
    let program = Path::new(scheduler.get_program()).with_file_name("images-executor");
    let command = format!("exec {} http://127.0.0.1:1/results", program.display());
    let executor = world.executor("e", &command);
    // It takes connections and never answers.
    let silent = Silent::start();
    let image = format!("http://{}/images/1.png", silent.address);
    let named = |task: &str, message: &str| (task.to_owned(), message.to_owned());
    for task in ["killed", "first", "second"] {
        world.launch(task, &image, &executor);
        assert_eq!(world.update("TASK_RUNNING"), named(task, ""));
    }
    world.scheduler.kill("killed");
    assert_eq!(world.update("TASK_KILLED"), named("killed", ""));

    world.launch("nowhere", "no address", &executor);
    assert_eq!(world.update("TASK_RUNNING"), named("nowhere", ""));
    let failed = named("nowhere", "the task's data is no address of an image");
    assert_eq!(world.update("TASK_FAILED"), failed);

    let agents = registered_agents(world.master.address, 1);
    world
        .scheduler
        .tell(json!({"type": "SHUTDOWN", "shutdown": {
            "executor_id": {"value": "e"},
            "agent_id": {"value": agents[0]["id"]},
        }}));
    for task in ["first", "second"] {
        assert_eq!(world.update("TASK_KILLED"), named(task, ""));
    }
}

#[test]
fn ctrl_c_ends_the_framework_and_its_executors() {
    let place = Place::new();
    make_pictures(&place, IMAGES);
    let cluster = Cluster::in_place(place, &[RESOURCES]);
    let place = &cluster.place;
    let mut run = Run::start(place, cluster.master());
    run.is_midway();
    processes::signal(run.child.id(), Signal::INT);
    let (status, _) = run.finish();
    assert_eq!(status.code(), Some(1));
    let state = state(cluster.master());
    assert_eq!(state["frameworks"], Value::Array(Vec::new()));
    eventually("the end of the executor", || {
        executors(place).is_empty().then_some(())
    });
}

#[test]
fn what_is_wrong_with_the_folders_is_said_before_anything_starts() {
    let place = Place::new();
    let say = |arguments: [&Path; 2]| {
        let mut command = example("images");
        command.arg("run").args(arguments).stderr(Stdio::piped());
        let output = command.output().expect("the example");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("a sentence")
    };
    let (missing, empty, results) = (
        place.join("missing"),
        place.join("empty"),
        place.join("out"),
    );
    fs::create_dir(&empty).expect("a folder");
    let said = say([&missing, &results]);
    assert!(
        said.starts_with("images: cannot read the folder "),
        "{said}"
    );
    let said = say([&empty, &results]);
    assert!(said.contains("`images samples "), "{said}");
    make_pictures(&place, 1);
    let pictures = place.join("pictures");
    let said = say([&pictures, &pictures]);
    assert!(
        said.contains("the results would replace the images"),
        "{said}"
    );
}
