//! The set-up of a tutorial on the old driver, as its own programs have it: a scheduler, an executor that
//! agents fetch from the framework's own file server, and that server, which takes the results, too.
//! `example_images` is the same on the v1 APIs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use meseta_proto::internal::RescindResourceOfferMessage;
use meseta_proto::v1::{
    CommandInfo, ExecutorInfo, FrameworkInfo, Offer, Resource, TaskInfo, TaskState, command_info,
    value,
};

use crate::support::daemon::{Cluster, RESOURCES};
use crate::support::driver::{Dialect, Driver};
use crate::support::golden::repository;
use crate::support::web::{self, Reply};
use crate::support::{eventually, http};

const IMAGES: usize = 100;

/// How much of an agent a task takes, beside what its executor does.
const SHARE: [(&str, f64); 2] = [("cpus", 0.5), ("mem", 64.0)];

/// The executor's own part.
const EXECUTOR_SHARE: [(&str, f64); 2] = [("cpus", 0.1), ("mem", 32.0)];

/// Files by their paths. `GET` gives one, `PUT` keeps one.
struct FileServer {
    address: SocketAddr,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl FileServer {
    fn start() -> Self {
        let files = Arc::<Mutex<BTreeMap<String, Vec<u8>>>>::default();
        let shared = Arc::clone(&files);
        let address = web::serve(move |request| {
            let mut files = shared.lock().expect("no panic holds it");
            if request.method == "PUT" {
                files.insert(request.target, request.body);
                return Reply::empty("201 Created");
            }
            match files.get(&request.target) {
                Some(content) => Reply::ok(content.clone()),
                None => Reply::empty("404 Not Found"),
            }
        });
        Self { address, files }
    }

    fn put(&self, path: &str, content: Vec<u8>) {
        let mut files = self.files.lock().expect("no panic holds it");
        files.insert(path.to_owned(), content);
    }

    fn get(&self, path: &str) -> Option<Vec<u8>> {
        let files = self.files.lock().expect("no panic holds it");
        files.get(path).cloned()
    }

    fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A picture, no two alike.
fn image(number: usize) -> Vec<u8> {
    let mut image = b"P6\n16 16\n255\n".to_vec();
    let values = (0..16 * 16 * 3).map(|at| u8::try_from((at * 7 + number * 13) % 256));
    image.extend(values.map(|value| value.expect("less than 256")));
    image
}

fn inverted(mut image: Vec<u8>) -> Vec<u8> {
    let head = b"P6\n16 16\n255\n".len();
    for value in &mut image[head..] {
        *value = 255 - *value;
    }
    image
}

#[allow(deprecated, reason = "old schedulers write it there")]
fn scalars(shares: [(&str, f64); 2]) -> Vec<Resource> {
    let scalars = shares.map(|(name, amount)| Resource {
        name: name.into(),
        r#type: value::Type::Scalar.into(),
        role: Some("*".into()),
        scalar: Some(value::Scalar { value: amount }),
        ..Default::default()
    });
    scalars.to_vec()
}

/// The executor, as the server gives it out.
fn executor(server: &FileServer, driver: &Driver) -> ExecutorInfo {
    for name in ["invert.py", "old_driver.py"] {
        let path = repository("crates/cli/tests/e2e/executors").join(name);
        let content = std::fs::read(path).expect("a program");
        server.put(&format!("/programs/{name}"), content);
    }
    let uri = |name: &str, executable| command_info::Uri {
        value: server.uri(&format!("/programs/{name}")),
        executable: Some(executable),
        ..Default::default()
    };
    ExecutorInfo {
        executor_id: "inverter".into(),
        framework_id: Some(driver.id.clone()),
        command: Some(CommandInfo {
            value: Some("./invert.py".into()),
            uris: vec![uri("invert.py", true), uri("old_driver.py", false)],
            ..Default::default()
        }),
        resources: scalars(EXECUTOR_SHARE),
        ..Default::default()
    }
}

/// How many tasks fit into an offer, beside an executor.
fn room(offer: &Offer) -> usize {
    let of = |name: &str| {
        let named = offer.resources.iter().filter(|it| it.name == name);
        named.filter_map(|it| Some(it.scalar?.value)).sum::<f64>()
    };
    let fits = |count: &u32| {
        let shares = SHARE.iter().zip(EXECUTOR_SHARE);
        let mut needed =
            shares.map(|((name, share), (_, own))| (name, share * f64::from(*count) + own));
        needed.all(|(name, amount)| amount <= of(name) + 0.0001)
    };
    (1..=20_u32).take_while(fits).count()
}

#[test]
fn a_hundred_images_are_inverted_by_an_executor_that_is_fetched() {
    for dialect in [Dialect::Legacy, Dialect::Call] {
        let server = FileServer::start();
        let cluster = Cluster::with(&[RESOURCES, "--offer_timeout=1secs"]);
        let info = FrameworkInfo {
            user: "root".into(),
            name: "images".into(),
            ..Default::default()
        };
        let mut driver = Driver::register(cluster.master(), dialect, info);
        // At first the scheduler only looks on: an offer that it does nothing with ends by itself.
        let ignored = driver.offer();
        let rescinded: RescindResourceOfferMessage = driver.receive();
        assert_eq!(rescinded.offer_id, ignored.id);

        let executor = executor(&server, &driver);
        let mut waiting: Vec<usize> = (0..IMAGES).collect();
        for number in &waiting {
            server.put(&format!("/images/{number}.ppm"), image(*number));
        }
        let (mut running, mut finished) = (0, 0);
        while finished < IMAGES {
            if running == 0 {
                let offer = driver.offer();
                let batch = waiting.split_off(waiting.len().saturating_sub(room(&offer)));
                running = batch.len();
                let tasks = batch.into_iter().map(|number| TaskInfo {
                    name: format!("image {number}"),
                    task_id: number.to_string().as_str().into(),
                    agent_id: offer.agent_id.clone(),
                    data: Some(server.uri(&format!("/images/{number}.ppm")).into_bytes()),
                    executor: Some(executor.clone()),
                    resources: scalars(SHARE),
                    ..Default::default()
                });
                driver.launch(&offer, tasks.collect());
                continue;
            }
            let status = driver.update().update.status;
            match status.state() {
                TaskState::TaskRunning => {}
                TaskState::TaskFinished => {
                    assert_eq!(status.message(), "uploaded: 201");
                    running -= 1;
                    finished += 1;
                }
                // The offer had ended before the tasks came: they go back.
                TaskState::TaskLost if status.message().contains("is no longer valid") => {
                    running -= 1;
                    let number = status.task_id.as_str().parse();
                    waiting.push(number.expect("a number"));
                }
                _ => panic!("{status:?}"),
            }
        }
        for number in 0..IMAGES {
            let result = server.get(&format!("/results/{number}.ppm"));
            assert_eq!(result, Some(inverted(image(number))), "image {number}");
        }
        driver.unregister();
        eventually("the framework's end", || {
            let state = http::get(cluster.master(), "/state").json();
            let completed = state["completed_frameworks"].as_array()?;
            let tasks = completed.first()?["completed_tasks"].as_array()?.len();
            (tasks == IMAGES).then_some(())
        });
    }
}
