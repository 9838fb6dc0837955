use super::*;
use crate::flags::{agent::FLAGS, tests::parsed};

fn policy(args: &[&str]) -> Result<Policy, String> {
    Policy::from_flags(&parsed(FLAGS, args)).map_err(|e| e.to_string())
}

fn bounds(max_bytes: u64, rotated: u32) -> OutputBounds {
    OutputBounds { max_bytes, rotated }
}

#[test]
fn output_has_bounds_unless_somebody_says_otherwise() {
    let [stdout, stderr] = policy(&[]).unwrap().bounds.unwrap();
    assert_eq!((stdout, stderr), (bounds(10 << 20, 9), bounds(10 << 20, 9)));
    let none = policy(&["--container_logger=sandbox"]).unwrap();
    assert_eq!(none.of_container([]), Ok(None));
    let own = "--container_logger=logrotate:max_stdout_size=1MB,rotate=2";
    let own = policy(&[own]).unwrap().bounds.unwrap();
    assert_eq!(own, [bounds(1 << 20, 2), bounds(10 << 20, 2)]);
}

#[test]
fn the_parameters_of_mesos_are_understood_or_refused() {
    let modules = |key: &str, value: &str| {
        format!(
            r#"--modules={{"libraries":[{{"modules":[{{
                "name":"org_apache_mesos_LogrotateContainerLogger",
                "parameters":[{{"key":"launcher_dir","value":"/x"}},
                    {{"key":"{key}","value":"{value}"}}]}}]}}]}}"#
        )
    };
    let logger = "--container_logger=org_apache_mesos_LogrotateContainerLogger";
    let of = |key, value| policy(&[&modules(key, value), logger]);
    let options = of("logrotate_stderr_options", r"rotate 3\nmissingok").unwrap();
    assert_eq!(
        options.bounds.unwrap(),
        [bounds(10 << 20, 9), bounds(10 << 20, 3)]
    );
    for (key, value, sentence) in [
        (
            "max_stdout_size",
            "1KB",
            "max_stdout_size: expected 4096B at least",
        ),
        (
            "logrotate_stdout_options",
            "compress",
            "logrotate's 'compress' is not served",
        ),
        ("max_size", "1MB", "there is no parameter max_size"),
    ] {
        let error = of(key, value).unwrap_err();
        assert!(error.ends_with(sentence), "{error}");
    }
}

#[test]
fn containers_have_bounds_of_their_own_in_their_variables() {
    let policy = Policy::default();
    let own = [
        ("CONTAINER_LOGGER_MAX_STDERR_SIZE", "1MB"),
        ("CONTAINER_LOGGER_LOGROTATE_STDERR_OPTIONS", "rotate 1"),
        ("PATH", "/bin"),
    ];
    let [stdout, stderr] = policy.of_container(own).unwrap().unwrap();
    assert_eq!((stdout, stderr), (bounds(10 << 20, 9), bounds(1 << 20, 1)));
    let wrong = [("CONTAINER_LOGGER_MAX_STDERR_SIZE", "much")];
    let error = policy.of_container(wrong).unwrap_err();
    assert_eq!(
        error,
        "Failed to load container logger settings: CONTAINER_LOGGER_MAX_STDERR_SIZE: \
         expected a size such as 512MB or 2GB"
    );
}

#[test]
fn no_more_files_are_kept_than_can_be_renamed_in_an_instant() {
    let rotate = |count: u32| {
        let logger = format!("--container_logger=logrotate:rotate={count}");
        policy(&[&logger])
    };
    let [stdout, _] = rotate(MAX_OUTPUT_ROTATED).unwrap().bounds.unwrap();
    assert_eq!(stdout.rotated, MAX_OUTPUT_ROTATED);
    let error = rotate(MAX_OUTPUT_ROTATED + 1).unwrap_err();
    assert!(
        error.ends_with("expected no more than 1000 files"),
        "{error}"
    );
}

/// A keeper of one container that has printed too much, while so many others are being cut.
fn crowded(home: &Path, others: usize) -> (Keeper, Receiver<Order>, ContainerId) {
    let (orders, receiver) = channel();
    let mut keeper = Keeper::new(Clock::start(), orders.clone());
    for number in 0..others {
        keeper
            .cutting
            .insert(number.to_string().as_str().into(), false);
    }
    std::fs::write(home.join("stdout"), vec![b'x'; 9000]).unwrap();
    let id = ContainerId::from("large");
    let outputs = Outputs {
        orders,
        work_dir: home.to_owned(),
    };
    outputs.watch(id.clone(), home, [bounds(4096, 2); 2]);
    keeper.take(receiver.recv().unwrap());
    keeper.look(id.clone());
    (keeper, receiver, id)
}

#[test]
fn files_are_cut_though_others_take_long() {
    let home = tempfile::tempdir().unwrap();
    let (mut keeper, cut, id) = crowded(home.path(), MAX_ROTATIONS - 1);
    keeper.take(cut.recv().unwrap());
    assert!(home.path().join("stdout.2").exists());
    assert!(keeper.containers.contains_key(&id), "it is looked at again");
    assert!(keeper.looks.next_due().is_some());
    // With its end it goes.
    keeper.take(Order::End(id));
    assert!(keeper.containers.is_empty() && keeper.looks.next_due().is_none());
}

#[test]
fn files_that_wait_for_others_are_cut_when_one_of_those_is_done_though_their_container_ends() {
    let home = tempfile::tempdir().unwrap();
    let (mut keeper, cut, id) = crowded(home.path(), MAX_ROTATIONS);
    keeper.take(Order::End(id.clone()));
    assert!(cut.try_recv().is_err() && !home.path().join("stdout.1").exists());
    let other = Watched {
        sandbox: home.path().join("gone"),
        below: PathBuf::new(),
        bounds: [bounds(4096, 2); 2],
        sizes: [0; 2],
        seen: Duration::ZERO,
        has_ended: true,
        is_stuck: false,
    };
    keeper.take(Order::Cut("0".into(), other));
    keeper.take(cut.recv().unwrap());
    assert!(home.path().join("stdout.2").exists());
    assert!(keeper.containers.is_empty(), "all of them are over");
    assert_eq!(keeper.cutting.len(), MAX_ROTATIONS - 1);
}

#[test]
fn files_are_looked_at_the_more_often_the_sooner_they_are_full() {
    let second = Duration::from_secs(1);
    assert_eq!(next_look(0, second, 0), LOOK_LONGEST);
    assert_eq!(next_look(1, second, 1 << 20), LOOK_LONGEST);
    assert_eq!(next_look(1 << 20, second, 1 << 20), second / 2);
    assert_eq!(next_look(1 << 30, second, 1 << 20), LOOK_SHORTEST);
}

#[test]
fn only_what_is_below_the_executors_sandbox_may_be_a_tasks() {
    let run = "slaves/S/frameworks/F/executors/E/runs/C";
    let nested = format!("/w/{run}/containers/N");
    assert_eq!(
        split(Path::new("/w"), Path::new(&nested)),
        (Path::new("/w").join(run), "containers/N".into())
    );
}

#[test]
fn a_file_that_grows_too_large_is_rotated_and_one_of_an_ended_container_too() {
    let home = tempfile::tempdir().unwrap();
    let outputs = Outputs::start(home.path()).unwrap();
    let await_rotation = |folder: &Path| {
        let give_up = std::time::Instant::now() + Duration::from_secs(30);
        while !folder.join("stdout.1").exists() {
            assert!(std::time::Instant::now() < give_up, "it is never rotated");
            std::thread::yield_now();
        }
    };
    for name in ["running", "ended"] {
        let run = home
            .path()
            .join("slaves/S/frameworks/F/executors/E/runs")
            .join(name);
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(run.join("stderr"), vec![b'x'; 9000]).unwrap();
        let id = ContainerId {
            value: name.into(),
            parent: None,
        };
        outputs.watch(id.clone(), &run, [bounds(4096, 2); 2]);
        std::fs::write(run.join("stdout"), vec![b'x'; 9000]).unwrap();
        if name == "ended" {
            outputs.end(&id);
        }
        await_rotation(&run);
    }
}
