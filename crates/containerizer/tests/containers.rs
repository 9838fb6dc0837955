//! Containers of real processes. What these tests wait for, they wait for in the kernel.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers end the test when they cannot go on"
)]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use meseta_containerizer::{
    Container, LaunchError, Process, Sandbox, Signal, Spec, Watcher, become_subreaper, destroy,
    is_alive, is_destroyed, kill_tree, launch, prepare_sandbox, raise_file_limit, start_time,
    usage, wait,
};

/// The tests share this process's children and descriptors, which some of them count.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Place {
    home: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    fn new() -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        become_subreaper().unwrap();
        let home = tempfile::tempdir().unwrap();
        // Other users may pass through to their sandboxes.
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { home, _turn: turn }
    }

    fn directory(&self, name: &str) -> PathBuf {
        self.home.path().join("runs").join(name)
    }

    /// A sandbox and a shell script to run in it.
    fn script(&self, name: &str, script: &str) -> Spec {
        self.script_as(name, script, None)
    }

    fn script_as(&self, name: &str, script: &str, user: Option<&str>) -> Spec {
        let directory = self.directory(name);
        let (stdout, stderr) = (directory.join("stdout"), directory.join("stderr"));
        prepare_sandbox(&Sandbox {
            directory: &directory,
            latest: &self.directory("latest"),
            stdout: &stdout,
            stderr: &stderr,
            user,
        })
        .unwrap();
        Spec {
            program: "sh".to_owned(),
            arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
            environment: vec![
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("MESOS_SANDBOX".to_owned(), directory.display().to_string()),
            ],
            directory,
            stdout,
            stderr,
            user: user.map(str::to_owned),
        }
    }

    fn output(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory(name).join("stdout")).unwrap()
    }

    fn container(&self, name: &str, process: Process) -> Container {
        Container {
            process: Some(process),
            directory: self.directory(name),
        }
    }

    /// A pipe in the sandbox that scripts write to when they are as far as the test wants them.
    fn pipe(&self, name: &str) -> PathBuf {
        let path = self.home.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        path
    }
}

/// Everything that was written to a pipe until its last writer closed it.
fn read_all(pipe: &Path) -> String {
    let mut text = String::new();
    File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn run(spec: &Spec) -> Option<i32> {
    wait(launch(spec).unwrap()).unwrap()
}

fn pids(text: &str) -> Vec<i32> {
    text.split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect()
}

/// Children of this process, ended or not.
fn children() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = thread.unwrap().path().join("children");
        // Threads of other tests come and go.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        all.extend(text.split_whitespace().map(str::to_owned));
    }
    all
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn exit_codes_and_signals_are_told() {
    let place = Place::new();
    assert_eq!(run(&place.script("1", "exit 0")), Some(0));
    assert_eq!(run(&place.script("2", "exit 7")), Some(7 << 8));
    assert_eq!(run(&place.script("3", "kill -TERM $$")), Some(15));
    assert_eq!(
        run(&place.script("4", "ulimit -c 0; kill -KILL $$")),
        Some(9)
    );
}

#[test]
fn one_thread_hears_of_the_ends_of_many() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let before = children();
    for code in 0..40_i32 {
        let spec = place.script(&code.to_string(), &format!("exit {code}"));
        watcher.watch(launch(&spec).unwrap(), code).unwrap();
    }
    let mut heard = BTreeSet::new();
    while heard.len() < 40 {
        let (code, status) = watcher.next().unwrap();
        assert_eq!(status, Some(code << 8));
        assert!(heard.insert(code), "{code} was told twice");
    }
    assert_eq!(children(), before);
}

#[test]
fn a_process_that_is_watched_while_another_thread_waits_is_told() {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| watcher.next().unwrap());
        let process = launch(&place.script("1", "exit 5")).unwrap();
        watcher.watch(process, "one").unwrap();
        assert_eq!(waiting.join().unwrap(), ("one", Some(5 << 8)));
    });
}

#[test]
fn a_process_that_is_gone_is_told_of_without_a_status() {
    let place = Place::new();
    let process = launch(&place.script("1", "exit 0")).unwrap();
    assert_eq!(wait(process).unwrap(), Some(0));
    assert!(!is_alive(process.pid, process.start_time));
    assert_eq!(wait(process).unwrap(), None);
    let watcher = Watcher::new().unwrap();
    watcher.watch(process, 1).unwrap();
    assert_eq!(watcher.next().unwrap(), (1, None));
}

#[test]
fn the_environment_is_exactly_the_given_one() {
    let place = Place::new();
    let mut spec = place.script("1", "");
    spec.program = "/usr/bin/env".to_owned();
    spec.arguments = vec!["env".to_owned()];
    spec.environment = vec![
        ("B".to_owned(), "two words".to_owned()),
        ("A".to_owned(), "x=y".to_owned()),
        ("EMPTY".to_owned(), String::new()),
    ];
    assert_eq!(run(&spec), Some(0));
    assert_eq!(place.output("1"), "B=two words\nA=x=y\nEMPTY=\n");
}

#[test]
fn a_program_starts_in_its_sandbox_alone_in_its_session_with_an_empty_input() {
    let place = Place::new();
    let spec = place.script("1", "pwd; cut -d' ' -f1,5,6 /proc/$$/stat; cat; echo $0");
    let process = launch(&spec).unwrap();
    assert_eq!(wait(process).unwrap(), Some(0));
    let (directory, pid) = (spec.directory.display(), process.pid);
    assert_eq!(
        place.output("1"),
        format!("{directory}\n{pid} {pid} {pid}\nsh\n")
    );
}

#[test]
fn signals_are_as_new_whatever_this_process_ignores() {
    let place = Place::new();
    // Rust's runtime ignores SIGPIPE.
    let spec = place.script("1", "cat /proc/self/status");
    assert_eq!(run(&spec), Some(0));
    let status = place.output("1");
    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let signals = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        // The C library keeps the first two real-time signals to itself.
        assert_eq!(signals & 0x7fff_ffff, 0, "{line}");
    }
}

#[test]
fn no_descriptor_gets_into_a_container_or_is_left_here() {
    let place = Place::new();
    let inherited = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    assert!(inherited.as_raw_fd() > 2);
    run(&place.script("0", "exit 0"));
    let before = descriptors();
    let watcher = Watcher::new().unwrap();
    for name in ["1", "2", "3"] {
        let process = launch(&place.script(name, "echo /proc/self/fd/*")).unwrap();
        watcher.watch(process, ()).unwrap();
        assert_eq!(watcher.next().unwrap().1, Some(0));
        destroy(&place.container(name, process)).unwrap();
        // The shell has the directory itself open while it expands the name.
        assert_eq!(
            place.output(name),
            "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n"
        );
    }
    drop(watcher);
    assert_eq!(descriptors(), before);
}

#[test]
fn a_container_may_have_as_many_files_open_as_this_process_at_its_start() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let place = Place::new();
    let mut few = getrlimit(Resource::Nofile);
    few.current = Some(512);
    setrlimit(Resource::Nofile, few).unwrap();
    raise_file_limit().unwrap();
    let raised = getrlimit(Resource::Nofile);
    assert_eq!(raised.current, raised.maximum);

    let process = launch(&place.script("1", "ulimit -n")).unwrap();
    assert_eq!(wait(process).unwrap(), Some(0));
    assert_eq!(place.output("1"), "512\n");
}

#[test]
fn a_container_whose_first_process_nobody_knows_is_destroyed() {
    let place = Place::new();
    let before = children();
    let ready = place.pipe("ready");
    let script = format!(
        "setsid sleep 1000 & echo > {ready}; exec sleep 1000",
        ready = ready.display()
    );
    let process = launch(&place.script("1", &script)).unwrap();
    std::fs::read_to_string(&ready).unwrap();
    let bystander = launch(&place.script("2", "exec sleep 1000")).unwrap();

    let lost = Container {
        process: None,
        directory: place.directory("1"),
    };
    destroy(&lost).unwrap();
    assert_eq!(wait(process).unwrap(), Some(9));
    assert!(is_alive(bystander.pid, bystander.start_time));
    destroy(&place.container("2", bystander)).unwrap();
    wait(bystander).unwrap();
    assert_eq!(children(), before, "zombies are left");
}

#[test]
fn a_tree_with_daemons_is_destroyed_to_the_last_process() {
    let place = Place::new();
    let before = children();
    let pipe = place.pipe("ready");
    // A child, a grandchild, a child in a session of its own, and two daemons that have forked
    // twice, one of them without the environment's help to find it again.
    let script = format!(
        "sleep 1000 & echo $! > {pipe}.pids
         (sleep 1000 & echo $! >> {pipe}.pids; wait) & echo $! >> {pipe}.pids
         setsid sleep 1000 & echo $! >> {pipe}.pids
         (setsid sh -c 'echo $$ >> {pipe}.pids; exec sleep 1000' &)
         (env -i /usr/bin/sleep 1000 & echo $! >> {pipe}.pids)
         while [ $(wc -l < {pipe}.pids) -lt 6 ]; do :; done
         cat {pipe}.pids > {pipe}
         wait",
        pipe = pipe.display()
    );
    let process = launch(&place.script("1", &script)).unwrap();
    let all = pids(&read_all(&pipe));
    assert_eq!(all.len(), 6);
    let other = launch(&place.script("2", "exec sleep 1000")).unwrap();
    let [measured] = usage(&[place.container("1", process)]).unwrap()[..] else {
        panic!("one container, one answer");
    };
    assert!(measured.processes >= 7, "{measured:?}");
    assert!(measured.threads >= measured.processes, "{measured:?}");
    assert!(measured.mem_rss_bytes > 0, "{measured:?}");

    destroy(&place.container("1", process)).unwrap();
    for pid in all {
        assert_eq!(start_time(pid), None, "{pid} is left");
    }
    assert_eq!(wait(process).unwrap(), Some(9));
    assert!(
        is_alive(other.pid, other.start_time),
        "it was another container"
    );
    destroy(&place.container("2", other)).unwrap();
    assert_eq!(wait(other).unwrap(), Some(9));
    assert_eq!(children(), before, "zombies are left");
}

#[test]
fn daemons_that_outlive_their_container_are_destroyed() {
    let place = Place::new();
    let before = children();
    let pipe = place.pipe("ready");
    let script = format!(
        "(setsid sh -c 'echo $$ > {pipe}; exec sleep 1000' > /dev/null 2>&1 &) ; exit 4",
        pipe = pipe.display()
    );
    let process = launch(&place.script("1", &script)).unwrap();
    let daemon = pids(&read_all(&pipe))[0];
    assert_eq!(wait(process).unwrap(), Some(4 << 8));
    assert!(start_time(daemon).is_some());
    destroy(&place.container("1", process)).unwrap();
    assert_eq!(start_time(daemon), None);
    assert_eq!(children(), before);
}

#[test]
fn a_container_that_left_nothing_behind_is_known_to_be_destroyed() {
    let place = Place::new();
    let ours = start_time(std::process::id().cast_signed()).unwrap();
    // What starts in the same tick of the kernel's clock as this process may be from before it.
    let script = place.script("1", "exec true");
    let process = loop {
        let process = launch(&script).unwrap();
        wait(process).unwrap();
        if process.start_time > ours {
            break process;
        }
    };
    assert!(is_destroyed(&place.container("1", process)));

    let process = launch(&place.script("2", "(setsid sleep 1000 &)")).unwrap();
    let container = place.container("2", process);
    wait(process).unwrap();
    assert!(!is_destroyed(&container));
    destroy(&container).unwrap();
    assert!(is_destroyed(&container));
}

#[test]
fn children_that_are_of_no_container_are_left_to_who_waits_for_them() {
    let place = Place::new();
    let mut helper = std::process::Command::new("sh")
        .args(["-c", "exit 3"])
        .spawn()
        .unwrap();
    let watcher = Watcher::new().unwrap();
    let process = launch(&place.script("1", "exit 0")).unwrap();
    watcher.watch(process, ()).unwrap();
    watcher.next().unwrap();
    destroy(&place.container("1", process)).unwrap();
    assert_eq!(helper.wait().unwrap().code(), Some(3));
}

#[test]
fn time_of_processes_that_have_ended_is_still_their_containers() {
    let place = Place::new();
    let pipe = place.pipe("done");
    // Some tens of the kernel's ticks, in a shell that ends.
    let script = format!(
        "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done); echo > {}; exec sleep 1000",
        pipe.display()
    );
    let process = launch(&place.script("1", &script)).unwrap();
    read_all(&pipe);
    let [measured] = usage(&[place.container("1", process)]).unwrap()[..] else {
        panic!("one container, one answer");
    };
    assert_eq!(measured.processes, 1);
    assert!(measured.cpus_user_time_secs > 0.0, "{measured:?}");
    destroy(&place.container("1", process)).unwrap();
    wait(process).unwrap();
}

#[test]
fn orphans_that_end_while_their_container_runs_leave_no_zombies() {
    let place = Place::new();
    let before = children();
    let pipe = place.pipe("ready");
    let script = format!("(true & echo $! > {}); exec sleep 1000", pipe.display());
    let process = launch(&place.script("1", &script)).unwrap();
    let orphan = pids(&read_all(&pipe))[0];
    let orphan = Process {
        pid: orphan,
        start_time: start_time(orphan).unwrap_or_default(),
    };
    // The end of another container is the occasion.
    let watcher = Watcher::new().unwrap();
    while start_time(orphan.pid).is_some() {
        let other = launch(&place.script("2", "exit 0")).unwrap();
        watcher.watch(other, ()).unwrap();
        watcher.next().unwrap();
        std::fs::remove_dir_all(place.directory("2")).unwrap();
    }
    destroy(&place.container("1", process)).unwrap();
    assert_eq!(wait(process).unwrap(), Some(9));
    assert_eq!(children(), before);
}

#[test]
fn a_signal_to_a_tree_reaches_every_process_of_it() {
    let place = Place::new();
    let pipe = place.pipe("ready");
    let done = place.pipe("done");
    // Both shells end on TERM by their own rule, and say so.
    let script = format!(
        "sh -c 'trap \"echo inner > {done}; exit 0\" TERM; echo ready > {pipe}; \
         while :; do sleep 1000 & wait; done' & \
         trap 'wait; exit 6' TERM; wait",
        pipe = pipe.display(),
        done = done.display()
    );
    let process = launch(&place.script("1", &script)).unwrap();
    assert_eq!(read_all(&pipe), "ready\n");
    let reached = kill_tree(process.pid, Signal::TERM).unwrap();
    assert!(
        reached.contains(&process.pid) && reached.len() >= 2,
        "{reached:?}"
    );
    assert_eq!(read_all(&done), "inner\n");
    assert!(matches!(wait(process).unwrap(), Some(status) if status == 6 << 8 || status == 15));
    destroy(&place.container("1", process)).unwrap();
    assert_eq!(
        kill_tree(process.pid, Signal::TERM).unwrap(),
        Vec::<i32>::new()
    );
}

#[test]
fn a_launch_that_fails_says_what_failed_and_leaves_nothing() {
    let place = Place::new();
    let before = (children(), descriptors());
    let good = place.script("1", "exit 0");
    let failing = |change: &dyn Fn(&mut Spec)| {
        let mut spec = good.clone();
        change(&mut spec);
        launch(&spec).unwrap_err()
    };
    let cases = [
        (
            failing(&|spec| spec.program = "/not/there".to_owned()),
            "Failed to execute '/not/there': No such file or directory (os error 2)".to_owned(),
        ),
        (
            failing(&|spec| spec.program = "no-such-program".to_owned()),
            "Failed to execute 'no-such-program': No such file or directory (os error 2)"
                .to_owned(),
        ),
        (
            failing(&|spec| spec.program = "stdout".to_owned() + "/x"),
            "Failed to execute 'stdout/x': No such file or directory (os error 2)".to_owned(),
        ),
        (
            failing(&|spec| spec.program = "./stdout".to_owned()),
            "Failed to execute './stdout': Permission denied (os error 13)".to_owned(),
        ),
        (
            failing(&|spec| spec.directory = PathBuf::from("/not/there")),
            "Failed to chdir into '/not/there': No such file or directory (os error 2)".to_owned(),
        ),
        (
            failing(&|spec| spec.stdout = PathBuf::from("/not/there")),
            "Failed to open '/not/there': No such file or directory (os error 2)".to_owned(),
        ),
        (
            failing(&|spec| spec.user = Some("nosuchuser".to_owned())),
            "Failed to run as user 'nosuchuser': No such user 'nosuchuser'".to_owned(),
        ),
        (
            failing(&|spec| spec.arguments.push("a\0b".to_owned())),
            "Failed to execute 'sh': an argument contains a zero byte".to_owned(),
        ),
    ];
    for (error, sentence) in cases {
        assert_eq!(error.to_string(), sentence);
    }
    assert_eq!((children(), descriptors()), before);
}

#[test]
fn a_script_without_its_first_line_is_run_by_the_shell() {
    let place = Place::new();
    let mut spec = place.script("1", "");
    let script = spec.directory.join("script");
    std::fs::write(&script, "echo $0 $1\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    spec.program = "./script".to_owned();
    spec.arguments = vec!["script".to_owned(), "one".to_owned()];
    assert_eq!(run(&spec), Some(0));
    assert_eq!(place.output("1"), "./script one\n");
}

#[test]
fn a_program_runs_as_its_user_with_the_users_groups() {
    let place = Place::new();
    if !rustix::process::geteuid().is_root() {
        return; // Only root becomes another user.
    }
    let expected = std::process::Command::new("id")
        .arg("nobody")
        .output()
        .unwrap();
    let spec = place.script_as("1", "id; touch mine", Some("nobody"));
    assert_eq!(run(&spec), Some(0));
    let groups = |text: &str| text.split("groups=").nth(1).unwrap().trim().to_owned();
    let shown = place.output("1");
    assert!(shown.starts_with("uid=65534(nobody) gid=65534("), "{shown}");
    assert_eq!(
        groups(&shown),
        groups(&String::from_utf8(expected.stdout).unwrap())
    );
    let made = spec.directory.join("mine").metadata().unwrap();
    assert_eq!(made.uid(), 65534);
}

#[test]
fn a_user_who_may_not_enter_the_directory_is_told_so() {
    let place = Place::new();
    if !rustix::process::geteuid().is_root() {
        return; // Only root becomes another user.
    }
    let mut spec = place.script("1", "exit 0");
    spec.user = Some("nobody".to_owned());
    let error = launch(&spec).unwrap_err();
    assert!(matches!(error, LaunchError::Directory { .. }), "{error}");
}

/// What a container's entry point starts has its session's leader outside: the session's number is 0.
#[test]
fn processes_are_told_apart_where_the_own_session_comes_from_another_pid_namespace() {
    let mut unshare = std::process::Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let output = unshare
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .args(["a_tree_with_daemons_is_destroyed_to_the_last_process"])
        .args(["orphans_that_end_while_their_container_runs_leave_no_zombies"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("2 passed"),
        "{said} {output:?}"
    );
}
